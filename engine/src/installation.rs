//! The installation's key: 32 secret bytes under which every id of the ledger is hashed. Made once, at first start.
//!
//! Losing it does no harm to balances, but no customer and no purchase could be found by name any more: it belongs to
//! every backup.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

const FILE_NAME: &str = "installation.key";
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
    /// The file is gone although the ledger holds records.
    #[error("{path} is missing although the ledger holds records: restore it from a backup")]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The configuration fixes another key than the one that the ledger was made with.
    #[error("the configured installation key is not the one that {path} holds")]
    Different {
        /// The file.
        path: PathBuf,
    },
}

/// Reads the key of the data directory, or makes it where the ledger is new.
///
/// # Errors
///
/// [`KeyError`].
pub(crate) fn installation_key(dir: &Path, fixed: Option<[u8; 32]>, ledger_is_new: bool) -> Result<[u8; 32], KeyError> {
    let path = dir.join(FILE_NAME);
    let io_error = |doing| {
        let path = path.clone();
        move |source| KeyError::Io { doing, path, source }
    };
    match fs::read(&path) {
        Ok(bytes) => {
            let key = parse(&bytes).ok_or_else(|| KeyError::Damaged { path: path.clone() })?;
            if fixed.is_some_and(|fixed| fixed != key) {
                return Err(KeyError::Different { path });
            }
            Ok(key)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound && ledger_is_new => {
            let key = match fixed {
                Some(fixed) => fixed,
                None => random_key().map_err(io_error("drawing a key for"))?,
            };
            write(dir, &path, &key).map_err(io_error("writing"))?;
            Ok(key)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(KeyError::Missing { path }),
        Err(error) => Err(io_error("reading")(error)),
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
fn write(dir: &Path, path: &Path, key: &[u8; 32]) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(LENGTH);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(key);
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
    let temporary = path.with_extension("new");
    let mut file = File::create(&temporary)?;
    restrict(&file)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
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
