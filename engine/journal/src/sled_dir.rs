//! One sled directory under the discipline that makes 0.34.7 keep what it acknowledged. Blind to what is stored.
//!
//! sled's `flush` ends in `sync_file_range`, so a second handle of its file is synced after it. Values above 4 KiB are
//! refused, because large pages go to files that sled never syncs. sled's `conf` is written once and never synced; all
//! directories are made with one configuration, so its bytes are known here and are mended when they are damaged.

use std::fs::{self, File, TryLockError};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::damage::{Flaw, Mended};
use crate::files::{SyncFault, parent_of, remove_tree};
use crate::opening::Opening;

/// Largest stored value in bytes; see the file's comment.
pub(crate) const VALUE_BYTES_MAX: usize = 4096;

/// The text of sled's `conf` under [`config`]; a CRC32 follows it in the file.
const CONF_TEXT: &[u8] = b"segment_size: 524288\nuse_compression: false\nversion: 0.34\n";
/// Small: the tail is read from memory elsewhere, and sled is read only at start.
const CACHE_BYTES: u64 = 16 * 1024 * 1024;
/// Changes after which what sled replaced is freed: each replaces up to a dozen pieces, and 512 are freed at a time.
const CHANGES_FREED: usize = 32;
const LOCK_TRIES_MAX: u32 = 2000;
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// Why a directory was not opened or read.
#[derive(Debug)]
pub(crate) enum StoreError {
    Io(&'static str, io::Error),
    Flaw(Flaw),
}

/// Whether the directory is the real one, or a copy that nobody will rely on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Real,
    Copy,
}

/// An open directory. One owner commits.
pub(crate) struct SledDir {
    db: sled::Db,
    file: File,
    syncs: SyncFault,
}

impl SledDir {
    /// Makes `parent/name` so that after a power cut it is there whole or not at all.
    pub(crate) fn create(parent: &Path, name: &str, syncs: &SyncFault) -> io::Result<()> {
        let fresh = parent.join(format!("new-{name}"));
        remove_tree(&fresh)?;
        let db = config(&fresh).open().map_err(io_error)?;
        db.flush().map_err(io_error)?;
        drop(db);
        wait_until_unlocked(&fresh.join("db"))?;
        let conf = fs::read(fresh.join("conf"))?;
        if conf != conf_bytes() {
            // Mending rests on these bytes, so a sled that writes others must not be used.
            return Err(io::Error::other("sled wrote another conf than this build knows"));
        }
        syncs.tree(&fresh)?;
        fs::rename(&fresh, parent.join(name))?;
        syncs.path(parent)
    }

    /// Opens the directory; only then is what it holds committed.
    ///
    /// sled panics on some damage, so the caller wraps it in [`unwinding`].
    pub(crate) fn open(
        path: &Path,
        purpose: Purpose,
        mended: &mut Vec<Mended>,
        syncs: &SyncFault,
    ) -> Result<SledDir, StoreError> {
        if purpose == Purpose::Real {
            syncs.tree(path).map_err(|error| StoreError::Io("syncing", error))?;
        }
        remove_half_snapshots(path, mended).map_err(|error| StoreError::Io("removing snapshots in", error))?;
        mend_conf(path, mended)?;
        if !path.join("db").is_file() {
            // sled would make an empty one in silence.
            return Err(StoreError::Flaw(Flaw::StoreRefused { said: "the file db is missing".to_owned() }));
        }
        wait_until_unlocked(&path.join("db")).map_err(|error| StoreError::Io("waiting for the lock of", error))?;
        let db = config(path).open().map_err(|error| match error {
            sled::Error::Io(error) if error.raw_os_error().is_some() => StoreError::Io("opening", error),
            error => StoreError::Flaw(Flaw::StoreRefused { said: error.to_string() }),
        })?;
        if purpose == Purpose::Real {
            syncs.tree(path).map_err(|error| StoreError::Io("syncing", error))?;
            syncs.path(parent_of(path)).map_err(|error| StoreError::Io("syncing the parent of", error))?;
        }
        let blobs = count_entries(&path.join("blobs")).map_err(|error| StoreError::Io("listing blobs of", error))?;
        if blobs != 0 {
            return Err(StoreError::Flaw(Flaw::Blobs { count: blobs }));
        }
        // Syncing needs no write access, and a handle of our own cannot write by mistake.
        let file = File::open(path.join("db")).map_err(|error| StoreError::Io("opening", error))?;
        Ok(SledDir { db, file, syncs: syncs.clone() })
    }

    /// Stores `batch` of so many changes whole and returns once it is durable. It must be the only change since the last sync.
    pub(crate) fn commit(&self, batch: sled::Batch, changes: usize) -> io::Result<()> {
        self.db.apply_batch(batch).map_err(io_error)?;
        // sled frees what it replaced as further calls of it come, a few hundred pieces each 128 calls. A batch is one call: what many
        // of them replaced would stay for ever, kilobytes a customer.
        for _ in 0..=changes / CHANGES_FREED {
            crossbeam_epoch::pin().flush();
        }
        self.sync()
    }

    /// Returns once all that was stored is durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.db.flush().map_err(io_error)?;
        self.syncs.data(&self.file)
    }

    /// The tree that holds everything.
    pub(crate) fn tree(&self) -> &sled::Tree {
        &self.db
    }
}

/// Runs `work`, which opens or reads the store at `path`; a panic becomes a flaw where panics unwind, and `opening`
/// names the store where they do not.
pub(crate) fn unwinding<T>(path: &Path, work: impl FnOnce() -> T) -> Result<T, StoreError> {
    let _opening = Opening::begin(format!(
        "the store {} was being opened; if it is damaged, restore it from the archive or a backup",
        path.display()
    ));
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let said = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|said| (*said).to_owned()))
            .unwrap_or_default();
        StoreError::Flaw(Flaw::StorePanicked { said })
    })
}

/// Turns sled's error into the system's, so that no type of sled's leaves the crate.
pub(crate) fn io_error(error: sled::Error) -> io::Error {
    match error {
        sled::Error::Io(error) => error,
        error => io::Error::other(error.to_string()),
    }
}

fn config(path: &Path) -> sled::Config {
    sled::Config::new()
        .path(path)
        .flush_every_ms(None)
        .cache_capacity(CACHE_BYTES)
        .use_compression(false)
        .mode(sled::Mode::HighThroughput)
}

fn conf_bytes() -> Vec<u8> {
    [CONF_TEXT, &crc32(CONF_TEXT).to_le_bytes()].concat()
}

fn mend_conf(dir: &Path, mended: &mut Vec<Mended>) -> Result<(), StoreError> {
    let path = dir.join("conf");
    let found = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        read => read.map_err(|error| StoreError::Io("reading conf of", error))?,
    };
    if found == conf_bytes() {
        return Ok(());
    }
    // A whole conf that says something else is no damage: another build made the store.
    if let Some((text, checksum)) = found.split_last_chunk::<4>()
        && !text.is_empty()
        && crc32(text).to_le_bytes() == *checksum
    {
        return Err(StoreError::Flaw(Flaw::ConfForeign { found: String::from_utf8_lossy(text).into_owned() }));
    }
    fs::write(&path, conf_bytes()).map_err(|error| StoreError::Io("mending conf of", error))?;
    mended.push(Mended::Conf { path });
    Ok(())
}

fn remove_half_snapshots(dir: &Path, mended: &mut Vec<Mended>) -> io::Result<()> {
    for path in entries(dir)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::remove_file(&path)?;
            mended.push(Mended::HalfSnapshot { path });
        }
    }
    Ok(())
}

fn entries(dir: &Path) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect()
}

fn count_entries(dir: &Path) -> io::Result<usize> {
    match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        listed => Ok(listed?.count()),
    }
}

/// Waits until sled has let go of `file`; it does so some time after its last handle is dropped.
fn wait_until_unlocked(file: &Path) -> io::Result<()> {
    let file = File::open(file)?;
    for _ in 0..LOCK_TRIES_MAX {
        match file.try_lock() {
            Ok(()) => return file.unlock(),
            Err(TryLockError::WouldBlock) => thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Err(io::Error::new(io::ErrorKind::WouldBlock, "the lock was not released"))
}

/// The CRC32 of zip and Ethernet, which sled puts behind its `conf`; everything of ours has CRC32C.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

#[cfg(test)]
mod tests;
