//! The installation's key: 32 secret bytes under which every id of the ledger is hashed. Made once, at first start.
//!
//! Without it no customer and no purchase can be found by name, and a repeat would be booked again: so the stores are
//! bound to it, and none of them is opened under another one's. It belongs to every backup.
//!
//! A first start writes the key under another name, makes the stores, and then gives it its own: a key that has its name
//! says that everything else was there.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use kembali_journal::LedgerId;

const FILE_NAME: &str = "installation.key";
/// The name while the first start is under way.
const FIRST_NAME: &str = "installation.first";
const MAGIC: &[u8; 8] = b"KMBKEY01";
const LENGTH: usize = 8 + 32 + 4;

/// Why the installation's key is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A file operation failed.
    #[error("{doing} {path}: {source}")]
    Io {
        /// The step.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not what was written.
    #[error("{path} is damaged: restore it from a backup; without it no customer can be found by name")]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// A part of the ledger is gone although others are there.
    #[error("{path} is missing although {there} is there: restore the whole data directory from one backup")]
    Missing {
        /// What is gone.
        path: PathBuf,
        /// What is not.
        there: PathBuf,
    },
    /// The configuration fixes another key than the one that the ledger was made with.
    #[error("the configured installation key is not the one that {path} holds")]
    Different {
        /// The file.
        path: PathBuf,
    },
}

impl KeyError {
    /// Returns true when bytes are damaged or gone, as opposed to not being readable at all.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        matches!(self, KeyError::Damaged { .. } | KeyError::Missing { .. })
    }
}

/// The key of a data directory.
pub(crate) struct InstallationKey {
    pub(crate) bytes: [u8; 32],
    dir: PathBuf,
    /// The first start is under way: nothing else needs to be there.
    is_first: bool,
}

impl InstallationKey {
    /// Reads the key of the data directory `dir`, or draws one where there is no ledger. `parts` are the files that a
    /// ledger has beside its key: with the key all of them must be there, without it none.
    ///
    /// # Errors
    ///
    /// [`KeyError`].
    pub(crate) fn open(dir: &Path, fixed: Option<[u8; 32]>, parts: &[PathBuf]) -> Result<InstallationKey, KeyError> {
        let dir = dir.to_path_buf();
        if let Some(bytes) = read(&dir.join(FILE_NAME))? {
            check_fixed(&dir.join(FILE_NAME), bytes, fixed)?;
            check_parts(&dir, parts)?;
            return Ok(InstallationKey { bytes, dir, is_first: false });
        }
        // A first start that was broken off goes on with its own key: its stores may be bound to it already.
        if let Some(bytes) = read(&dir.join(FIRST_NAME))? {
            check_fixed(&dir.join(FIRST_NAME), bytes, fixed)?;
            return Ok(InstallationKey { bytes, dir, is_first: true });
        }
        if let Some(there) = parts.iter().find(|part| part.exists()) {
            return Err(KeyError::Missing { path: dir.join(FILE_NAME), there: there.clone() });
        }
        let bytes = match fixed {
            Some(fixed) => fixed,
            None => random_key().map_err(io_error("drawing a key for", &dir.join(FILE_NAME)))?,
        };
        write(&dir, &bytes).map_err(io_error("writing", &dir.join(FIRST_NAME)))?;
        Ok(InstallationKey { bytes, dir, is_first: true })
    }

    /// Reads the key of a ledger that nobody runs, all of whose `parts` must be there.
    ///
    /// # Errors
    ///
    /// [`KeyError`].
    pub(crate) fn of_ledger(dir: &Path, parts: &[PathBuf]) -> Result<InstallationKey, KeyError> {
        let path = dir.join(FILE_NAME);
        let there = || parts.iter().find(|part| part.exists()).cloned().unwrap_or_else(|| dir.to_path_buf());
        let bytes = read(&path)?.ok_or_else(|| KeyError::Missing { path, there: there() })?;
        check_parts(dir, parts)?;
        Ok(InstallationKey { bytes, dir: dir.to_path_buf(), is_first: false })
    }

    /// Returns true when there is a key.
    pub(crate) fn is_there(dir: &Path) -> bool {
        dir.join(FILE_NAME).exists()
    }

    /// Returns what the stores are bound to. The key cannot be told from it.
    pub(crate) fn ledger(&self) -> LedgerId {
        let mut id = [0; 16];
        id.copy_from_slice(&blake3::derive_key("kembali ledger id v1", &self.bytes)[..16]);
        LedgerId(id)
    }

    /// Gives the key its name, once all stores are there.
    ///
    /// # Errors
    ///
    /// [`KeyError::Io`].
    pub(crate) fn keep(&self) -> Result<(), KeyError> {
        if !self.is_first {
            return Ok(());
        }
        let path = self.dir.join(FILE_NAME);
        let kept = fs::rename(self.dir.join(FIRST_NAME), &path).and_then(|()| File::open(&self.dir)?.sync_all());
        kept.map_err(io_error("writing", &path))
    }
}

fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> KeyError {
    let path = path.to_path_buf();
    move |source| KeyError::Io { doing, path, source }
}

fn check_fixed(path: &Path, key: [u8; 32], fixed: Option<[u8; 32]>) -> Result<(), KeyError> {
    let is_other = fixed.is_some_and(|fixed| fixed != key);
    if is_other { Err(KeyError::Different { path: path.to_path_buf() }) } else { Ok(()) }
}

fn check_parts(dir: &Path, parts: &[PathBuf]) -> Result<(), KeyError> {
    match parts.iter().find(|part| !part.exists()) {
        Some(path) => Err(KeyError::Missing { path: path.clone(), there: dir.join(FILE_NAME) }),
        None => Ok(()),
    }
}

fn read(path: &Path) -> Result<Option<[u8; 32]>, KeyError> {
    match fs::read(path) {
        Ok(bytes) => parse(&bytes).map(Some).ok_or_else(|| KeyError::Damaged { path: path.to_path_buf() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_error("reading", path)(error)),
    }
}

fn random_key() -> io::Result<[u8; 32]> {
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    Ok(key)
}

fn parse(bytes: &[u8]) -> Option<[u8; 32]> {
    let bytes: &[u8; LENGTH] = bytes.try_into().ok()?;
    let (head, checksum) = bytes.split_at(LENGTH - 4);
    let key = head.strip_prefix(MAGIC)?;
    (checksum == crc32c::crc32c(head).to_le_bytes()).then(|| key.try_into().ok()).flatten()
}

/// Writes under a temporary name, syncs, renames, syncs the directory: the key is whole on disk or not there.
fn write(dir: &Path, key: &[u8; 32]) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(LENGTH);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(key);
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
    let temporary = dir.join("installation.new");
    let mut file = File::create(&temporary)?;
    restrict(&file)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, dir.join(FIRST_NAME))?;
    File::open(dir)?.sync_all()
}

#[cfg(unix)]
fn restrict(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    file.set_permissions(fs::Permissions::from_mode(0o600))
}

#[cfg(not(unix))]
fn restrict(_: &File) -> io::Result<()> {
    Ok(())
}
