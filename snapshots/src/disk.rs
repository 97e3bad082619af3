//! Files that appear whole or not at all, and reads at a position. Knows no format.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
#[cfg(test)]
use std::sync::{Arc, Mutex};

use crate::damage::{FileHash, Found, IoFault, ReadError, Remedy};
use crate::pause::pause;

/// What a file is called until it is whole.
pub(crate) const NEW_SUFFIX: &str = ".new";
/// Bytes that are read at once by whoever reads a whole file.
const READ_BYTES: usize = 256 * 1024;
/// Bytes that are gathered before they are written.
const WRITE_BYTES: usize = 64 * 1024;
/// Bytes that are written before they are synced. A hundred megabytes synced at once hold up whoever syncs a few bytes meanwhile: the
/// journal, and with it every purchase.
const UNSYNCED_BYTES_MAX: u64 = 256 * 1024;

/// The steps of writing, in order; in tests they are noted down, and one of them and all later ones fail, as in a crash.
#[derive(Clone, Debug, Default)]
pub(crate) struct Steps(#[cfg(test)] Arc<Mutex<TestSteps>>);

#[cfg(test)]
#[derive(Debug, Default)]
pub(crate) struct TestSteps {
    /// How many more may pass; `None` for all.
    pub(crate) left: Option<u64>,
    /// Those that passed.
    pub(crate) passed: Vec<&'static str>,
}

#[cfg(test)]
impl Steps {
    /// Lets `left` steps pass and no more.
    pub(crate) fn stop_after(left: u64) -> Steps {
        Steps(Arc::new(Mutex::new(TestSteps { left: Some(left), passed: Vec::new() })))
    }

    /// Returns the steps that passed.
    pub(crate) fn passed(&self) -> Vec<&'static str> {
        self.0.lock().unwrap().passed.clone()
    }

    fn pass(&self, step: &'static str) -> io::Result<()> {
        let mut steps = self.0.lock().unwrap();
        if let Some(left) = &mut steps.left {
            *left = left.checked_sub(1).ok_or_else(|| io::Error::other("stopped by a test"))?;
        }
        steps.passed.push(step);
        Ok(())
    }
}

#[cfg(not(test))]
impl Steps {
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "tests make it fail")]
    fn pass(&self, _: &'static str) -> io::Result<()> {
        Ok(())
    }
}

/// A file being written: in order, hashed on the way, under a temporary name until [`NewFile::publish`].
pub(crate) struct NewFile {
    path: PathBuf,
    temporary: PathBuf,
    file: File,
    steps: Steps,
    pending: Vec<u8>,
    written: u64,
    synced: u64,
    hasher: blake3::Hasher,
}

impl NewFile {
    pub(crate) fn create(path: &Path, steps: &Steps) -> Result<NewFile, IoFault> {
        let temporary = with_suffix(path);
        let open = || {
            steps.pass("create")?;
            OpenOptions::new().write(true).create(true).truncate(true).open(&temporary)
        };
        let file = open().map_err(IoFault::new("creating", &temporary))?;
        Ok(NewFile {
            path: path.to_path_buf(),
            temporary,
            file,
            steps: steps.clone(),
            pending: Vec::with_capacity(WRITE_BYTES),
            written: 0,
            synced: 0,
            hasher: blake3::Hasher::new(),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns how many bytes were put so far.
    pub(crate) fn offset(&self) -> u64 {
        self.written + self.pending.len() as u64
    }

    pub(crate) fn put(&mut self, bytes: &[u8]) -> Result<(), IoFault> {
        self.hasher.update(bytes);
        self.pending.extend_from_slice(bytes);
        if WRITE_BYTES <= self.pending.len() { self.write() } else { Ok(()) }
    }

    /// Returns the hash of all bytes so far.
    pub(crate) fn hash(&self) -> FileHash {
        FileHash(*self.hasher.finalize().as_bytes())
    }

    fn write(&mut self) -> Result<(), IoFault> {
        self.steps
            .pass("write")
            .and_then(|()| self.file.write_all(&self.pending))
            .map_err(IoFault::new("writing", &self.temporary))?;
        self.written += self.pending.len() as u64;
        self.pending.clear();
        if UNSYNCED_BYTES_MAX <= self.written - self.synced {
            self.file.sync_data().map_err(IoFault::new("syncing", &self.temporary))?;
            self.synced = self.written;
        }
        pause();
        Ok(())
    }

    /// Makes the file durable and gives it its name, which is returned.
    pub(crate) fn publish(mut self) -> Result<PathBuf, IoFault> {
        self.write()?;
        let synced = self.steps.pass("sync file").and_then(|()| self.file.sync_all());
        synced.map_err(IoFault::new("syncing", &self.temporary))?;
        let renamed = self.steps.pass("rename").and_then(|()| fs::rename(&self.temporary, &self.path));
        renamed.map_err(IoFault::new("renaming", &self.temporary))?;
        let dir = parent_of(&self.path);
        let synced = self.steps.pass("sync dir").and_then(|()| sync_dir(dir));
        synced.map_err(IoFault::new("syncing", dir))?;
        Ok(self.path.clone())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // After a failure the space is wanted back at once; what cannot be removed now is removed by the next open.
        if self.steps.pass("clean up").is_ok() {
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

fn with_suffix(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(NEW_SUFFIX);
    PathBuf::from(name)
}

fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Makes the directory where it is missing, durably.
pub(crate) fn create_dir(dir: &Path) -> Result<(), IoFault> {
    if dir.is_dir() {
        return Ok(());
    }
    let parent = parent_of(dir);
    create_dir(parent)?;
    let made = match fs::create_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => sync_dir(parent),
    };
    made.map_err(IoFault::new("creating", dir))
}

/// Removes files and makes that durable.
pub(crate) fn remove(paths: &[PathBuf], dir: &Path, steps: &Steps) -> Result<(), IoFault> {
    for path in paths {
        let removed = steps.pass("remove").and_then(|()| fs::remove_file(path));
        removed.map_err(IoFault::new("removing", path))?;
    }
    if paths.is_empty() {
        return Ok(());
    }
    steps.pass("sync dir").and_then(|()| sync_dir(dir)).map_err(IoFault::new("syncing", dir))
}

/// A directory of numbered files.
pub(crate) struct Listing {
    /// Number and path of each file, in order of the numbers.
    pub(crate) files: Vec<(u64, PathBuf)>,
    /// Files that a crash left half-written.
    pub(crate) leftovers: Vec<PathBuf>,
    /// Files that have the ending and no number.
    pub(crate) strays: Vec<PathBuf>,
}

/// Lists the files named `<prefix><number of so many digits><ending>`. Other files are nobody's business.
pub(crate) fn list(dir: &Path, prefix: &str, digits: usize, ending: &str) -> Result<Listing, IoFault> {
    let mut listing = Listing { files: Vec::new(), leftovers: Vec::new(), strays: Vec::new() };
    let fault = || IoFault::new("listing", dir);
    for entry in fs::read_dir(dir).map_err(fault())? {
        let path = entry.map_err(fault())?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        if name.strip_suffix(NEW_SUFFIX).is_some_and(|name| name.starts_with(prefix) && name.ends_with(ending)) {
            listing.leftovers.push(path);
        } else if let Some(stem) = name.strip_suffix(ending) {
            let number = stem
                .strip_prefix(prefix)
                .filter(|number| number.len() == digits && number.bytes().all(|byte| byte.is_ascii_digit()));
            match number.and_then(|number| number.parse().ok()) {
                Some(number) => listing.files.push((number, path)),
                None => listing.strays.push(path),
            }
        }
    }
    listing.files.sort();
    Ok(listing)
}

/// A stored file, known by its name and size. What it adds to an error is its name and the remedy.
///
/// No file is kept open: an archive of years has more segments than a process may have files.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) path: PathBuf,
    pub(crate) size: u64,
    remedy: Remedy,
}

impl Stored {
    pub(crate) fn new(path: &Path, remedy: Remedy) -> Result<Stored, ReadError> {
        let found = fs::metadata(path).map_err(IoFault::new("opening", path))?;
        Ok(Stored { path: path.to_path_buf(), size: found.len(), remedy })
    }

    pub(crate) fn damaged(&self, found: Found) -> ReadError {
        found.in_file(&self.path, self.remedy)
    }

    pub(crate) fn reader(&self) -> Result<Reader<'_>, ReadError> {
        let file = File::open(&self.path).map_err(IoFault::new("opening", &self.path))?;
        Ok(Reader { stored: self, file })
    }

    /// Computes the BLAKE3 hash of the first `length` bytes.
    pub(crate) fn hash(&self, length: u64) -> Result<FileHash, ReadError> {
        let mut hasher = blake3::Hasher::new();
        self.reader()?.stream(0, length, |part| {
            hasher.update(part);
        })?;
        Ok(FileHash(*hasher.finalize().as_bytes()))
    }
}

/// A stored file that is open.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    stored: &'a Stored,
    file: File,
}

impl Reader<'_> {
    /// Fills `bytes` from `at` on.
    pub(crate) fn fill(&self, at: u64, bytes: &mut [u8]) -> Result<(), ReadError> {
        let filled = self.file.read_exact_at(bytes, at);
        Ok(filled.map_err(IoFault::new("reading", &self.stored.path))?)
    }

    /// Reads `length` bytes at `at`, both of which were checked against the size.
    pub(crate) fn read(&self, at: u64, length: usize) -> Result<Vec<u8>, ReadError> {
        let mut bytes = vec![0; length];
        self.fill(at, &mut bytes)?;
        Ok(bytes)
    }

    /// Hands `length` bytes from `at` on to `see`, some at a time.
    pub(crate) fn stream(&self, at: u64, length: u64, mut see: impl FnMut(&[u8])) -> Result<(), ReadError> {
        let (mut at, end) = (at, at + length);
        let mut bytes = vec![0; READ_BYTES];
        while at < end {
            let count = (end - at).min(READ_BYTES as u64) as usize;
            let part = &mut bytes[..count];
            self.fill(at, part)?;
            see(part);
            at += count as u64;
            pause();
        }
        Ok(())
    }
}
