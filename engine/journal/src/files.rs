//! Directories and files made durable: each step that a power cut can undo is synced here. Knows no format.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of a page of the system's.
const PAGE_BYTES: usize = 4096;

/// Counts syncs and, in tests, makes them fail.
///
/// Clones share one count. The default never fails. A failed sync leaves the pages unsynced, and every later one fails
/// as well, as a drive does that has gone.
#[derive(Clone, Debug)]
pub struct SyncFault(Arc<SyncCounts>);

#[derive(Debug)]
struct SyncCounts {
    seen: AtomicU64,
    fail_from: AtomicU64,
}

impl Default for SyncFault {
    fn default() -> SyncFault {
        SyncFault(Arc::new(SyncCounts { seen: AtomicU64::new(0), fail_from: AtomicU64::new(u64::MAX) }))
    }
}

impl SyncFault {
    /// Returns how many syncs were asked for.
    #[must_use]
    pub fn seen(&self) -> u64 {
        self.0.seen.load(Ordering::SeqCst)
    }

    /// Makes the `n`-th sync from now, counted from 1, and all later ones fail.
    pub fn fail_after(&self, n: u64) {
        self.0.fail_from.store(self.seen().saturating_add(n), Ordering::SeqCst);
    }

    pub(crate) fn data(&self, file: &File) -> io::Result<()> {
        self.pass()?;
        file.sync_data()
    }

    pub(crate) fn all(&self, file: &File) -> io::Result<()> {
        self.pass()?;
        file.sync_all()
    }

    pub(crate) fn path(&self, path: &Path) -> io::Result<()> {
        self.all(&File::open(path)?)
    }

    /// Syncs every file under `dir`, the directories in it, and `dir` itself.
    pub(crate) fn tree(&self, dir: &Path) -> io::Result<()> {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                self.tree(&entry.path())?;
            } else {
                self.path(&entry.path())?;
            }
        }
        self.path(dir)
    }

    fn pass(&self) -> io::Result<()> {
        let n = self.0.seen.fetch_add(1, Ordering::SeqCst) + 1;
        if self.0.fail_from.load(Ordering::SeqCst) <= n {
            return Err(io::Error::other("sync failed by a fault plan"));
        }
        Ok(())
    }
}

/// Creates `dir` and its missing parents, each entry synced.
pub(crate) fn create_dir_durably(dir: &Path, syncs: &SyncFault) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let parent = parent_of(dir);
    create_dir_durably(parent, syncs)?;
    match fs::create_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => (),
    }
    syncs.path(parent)
}

/// Writes `bytes` as `parent/name` so that after a power cut there is all of it or nothing.
pub(crate) fn create_file_durably(parent: &Path, name: &str, bytes: &[u8], syncs: &SyncFault) -> io::Result<()> {
    let fresh = parent.join(format!("new-{name}"));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&fresh)?;
    // Page by page: what is written at once may become one large page, all of which counts as written with each later write into it.
    for page in bytes.chunks(PAGE_BYTES) {
        file.write_all(page)?;
    }
    syncs.all(&file)?;
    fs::rename(&fresh, parent.join(name))?;
    syncs.path(parent)
}

/// Copies the files of `from` and of its directories to `to`, which is made anew. Nothing is synced.
pub(crate) fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    remove_tree(to)?;
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Removes a file or a whole directory; succeeds when there is none.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Returns the directory that holds `path`; the current one for a bare name.
pub(crate) fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
