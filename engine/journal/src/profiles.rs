//! The profile store: personal data and secrets, beside the journal and never in it. Blind to what the bytes say.
//!
//! One `put` is one batch, synced before it returns, under the discipline of `sled_dir`. A head counts the commits, so
//! that a store which came up shorter is found. Each value lies behind its CRC32C.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use kembali_core::Seq;
use thiserror::Error;

use crate::damage::{Flaw, Mended, OpenError, Remedy};
use crate::files::{SyncFault, copy_tree, create_dir_durably, remove_tree};
use crate::head::{Head, HeadFile, LedgerId, Loaded};
use crate::journal::JournalFault;
use crate::recovery::{head_error, io_at, store_error};
use crate::sled_dir::{Purpose, SledDir, VALUE_BYTES_MAX, io_error, unwinding};

/// Largest value in bytes: 3.5 KiB.
pub const PROFILE_VALUE_BYTES_MAX: usize = 3584;
/// Largest key in bytes.
pub const PROFILE_KEY_BYTES_MAX: usize = 255;

const CHECKSUM_BYTES: usize = 4;
const _: () = assert!(PROFILE_VALUE_BYTES_MAX + CHECKSUM_BYTES <= VALUE_BYTES_MAX);
const _: () = assert!(PROFILE_KEY_BYTES_MAX < VALUE_BYTES_MAX - PROFILE_VALUE_BYTES_MAX - CHECKSUM_BYTES);

const STORE_NAME: &str = "profiles";
const HEAD_NAME: &str = "profiles-head";
/// Keys of entries start with it, so that no key of a caller meets the count of commits.
const ENTRY_PREFIX: u8 = 1;
const COMMITS_KEY: [u8; 1] = [0];

/// The key of a profile: 1 to 255 bytes, ordered as bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProfileKey(Vec<u8>);

impl ProfileKey {
    /// Takes `bytes` as a key, or refuses them when there are none or too many.
    ///
    /// # Errors
    ///
    /// [`ProfileError::Key`].
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<ProfileKey, ProfileError> {
        let bytes = bytes.into();
        match bytes.len() {
            1..=PROFILE_KEY_BYTES_MAX => Ok(ProfileKey(bytes)),
            bytes => Err(ProfileError::Key { bytes }),
        }
    }

    /// Returns the bytes of the key.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn stored(&self) -> Vec<u8> {
        stored_key(&self.0)
    }
}

fn stored_key(key: &[u8]) -> Vec<u8> {
    [&[ENTRY_PREFIX], key].concat()
}

/// Why a profile was not read or written.
#[derive(Debug, Error)]
pub enum ProfileError {
    /// A key without bytes, or above [`PROFILE_KEY_BYTES_MAX`].
    #[error("a profile key of {bytes} bytes, 1 to {PROFILE_KEY_BYTES_MAX} fit")]
    Key {
        /// Its length.
        bytes: usize,
    },
    /// A value above [`PROFILE_VALUE_BYTES_MAX`]. Nothing was stored.
    #[error("a profile of {bytes} bytes, at most {PROFILE_VALUE_BYTES_MAX} fit")]
    ValueTooLarge {
        /// Its length.
        bytes: usize,
    },
    /// What is stored is not what was written.
    #[error("a profile is damaged; restore the profile store from a backup")]
    Damage(#[source] Flaw),
    /// The store could not be read.
    #[error("reading a profile")]
    Read(#[source] io::Error),
    /// A write or a sync failed: it is unknown whether the entries are stored. The store does nothing more.
    #[error("the profile store failed")]
    Failed(#[source] JournalFault),
    /// An earlier write failed; nothing was tried.
    #[error("the profile store does nothing more since an earlier failure")]
    Poisoned(#[source] JournalFault),
}

struct Shared {
    dir: SledDir,
    /// Readers wait while a commit is under way, for a power cut could undo what they would see.
    fault: RwLock<Option<JournalFault>>,
}

/// Reads profiles, from any thread. Clones read the same store.
#[derive(Clone)]
pub struct ProfileReader(Arc<Shared>);

/// The owner of the profile store: the one that writes.
pub struct ProfileStore {
    reader: ProfileReader,
    head: HeadFile,
    commits: u64,
}

impl ProfileStore {
    /// Opens the profile store of `ledger` in the data directory `dir`, making it when there is none.
    ///
    /// The caller owns the data directory, as it does while it has the journal open.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or written, or when the store does not hold everything that was acknowledged; damage
    /// leaves the original as it was.
    pub fn open(dir: &Path, ledger: LedgerId, syncs: &SyncFault) -> Result<(ProfileStore, Vec<Mended>), OpenError> {
        create_dir_durably(dir, syncs).map_err(io_at("creating", dir))?;
        let path = dir.join(STORE_NAME);
        for name in ["new-profiles", "new-profiles-head", "check-profiles"] {
            remove_tree(&dir.join(name)).map_err(io_at("removing", &dir.join(name)))?;
        }
        let (mut head, loaded) = open_head(dir, ledger, &path, syncs)?;
        if loaded.head.seq == Seq::ZERO && !path.exists() {
            SledDir::create(dir, STORE_NAME, syncs).map_err(io_at("creating", &path))?;
        }
        let mut mended = Vec::new();
        check_copy(dir, &path, &loaded)?;
        let opened = unwinding(&path, || SledDir::open(&path, Purpose::Real, &mut mended, syncs));
        let opened = opened.and_then(|opened| opened).map_err(|error| store_error(error, None, &path, None))?;
        let commits = read_commits(&opened).map_err(io_at("reading", &path))?;
        judge(commits, &loaded, &path)?;
        mended.extend(loaded.copies_lost.iter().map(|(slot, copy)| Mended::HeadCopy { slot: *slot, copy: *copy }));
        mended.extend(loaded.slot_lost.map(|slot| Mended::HeadSlot { slot }));
        // Twice, so that both slots are whole.
        for _ in 0..2 {
            head.write(Head { seq: Seq(commits), ..loaded.head }).map_err(io_at("writing", &dir.join(HEAD_NAME)))?;
        }
        let reader = ProfileReader(Arc::new(Shared { dir: opened, fault: RwLock::new(None) }));
        Ok((ProfileStore { reader, head, commits }, mended))
    }

    /// Returns a handle that reads while this one writes.
    #[must_use]
    pub fn reader(&self) -> ProfileReader {
        self.reader.clone()
    }

    /// Stores all `entries`, or none of them, and returns once they are durable. A later entry replaces an earlier one.
    ///
    /// # Errors
    ///
    /// A value that is too large stores nothing. After a failed write or sync the store does nothing more.
    pub fn put(&mut self, entries: &[(ProfileKey, Vec<u8>)]) -> Result<(), ProfileError> {
        self.change(entries, &[])
    }

    /// Stores all `entries` and removes what lies under the keys `removed`, present or not; or does nothing of it. Returns once that
    /// is durable.
    ///
    /// # Errors
    ///
    /// As [`ProfileStore::put`].
    pub fn change(&mut self, entries: &[(ProfileKey, Vec<u8>)], removed: &[ProfileKey]) -> Result<(), ProfileError> {
        let mut batch = sled::Batch::default();
        for key in removed {
            batch.remove(key.stored());
        }
        for (key, value) in entries {
            if PROFILE_VALUE_BYTES_MAX < value.len() {
                return Err(ProfileError::ValueTooLarge { bytes: value.len() });
            }
            let checksum = checksum(key.as_bytes(), value);
            batch.insert(key.stored(), [&checksum.to_le_bytes(), value.as_slice()].concat());
        }
        self.commit(batch, entries.len() + removed.len())
    }

    /// Reads the profile under `key`; see [`ProfileReader::get`].
    ///
    /// # Errors
    ///
    /// As [`ProfileReader::get`].
    pub fn get(&self, key: &ProfileKey) -> Result<Option<Vec<u8>>, ProfileError> {
        self.reader.get(key)
    }

    /// Lists the profiles whose key starts with `prefix`; see [`ProfileReader::list`].
    ///
    /// # Errors
    ///
    /// As [`ProfileReader::list`].
    pub fn list(&self, prefix: &[u8]) -> Result<Vec<(ProfileKey, Vec<u8>)>, ProfileError> {
        self.reader.list(prefix)
    }

    fn commit(&mut self, mut batch: sled::Batch, changes: usize) -> Result<(), ProfileError> {
        let shared = &self.reader.0;
        let mut fault = shared.fault.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(fault) = &*fault {
            return Err(ProfileError::Poisoned(fault.clone()));
        }
        let commits = self.commits + 1;
        batch.insert(&COMMITS_KEY, commit_value(commits));
        let stored = shared.dir.commit(batch, changes).map_err(|error| JournalFault::new("storing profiles", error));
        let stored = stored.and_then(|()| {
            let head = Head { seq: Seq(commits), ..*self.head.newest() };
            self.head.write(head).map_err(|error| JournalFault::new("writing the head of the profile store", error))
        });
        match stored {
            Ok(()) => {
                self.commits = commits;
                Ok(())
            }
            Err(failed) => {
                *fault = Some(failed.clone());
                Err(ProfileError::Failed(failed))
            }
        }
    }
}

impl ProfileReader {
    /// Reads the profile under `key`, `None` when there is none. What it returns is durable.
    ///
    /// Waits while a commit is under way.
    ///
    /// # Errors
    ///
    /// When the value does not fit its checksum, the store cannot be read, or an earlier write failed.
    pub fn get(&self, key: &ProfileKey) -> Result<Option<Vec<u8>>, ProfileError> {
        self.durable(|dir| {
            let value = dir.tree().get(key.stored()).map_err(|error| ProfileError::Read(io_error(error)))?;
            value.map(|stored| checked(key.as_bytes(), &stored)).transpose()
        })
    }

    /// Lists the profiles whose key starts with `prefix`, in order of their keys. What it returns is durable.
    ///
    /// # Errors
    ///
    /// As [`ProfileReader::get`].
    pub fn list(&self, prefix: &[u8]) -> Result<Vec<(ProfileKey, Vec<u8>)>, ProfileError> {
        self.durable(|dir| {
            let entries = dir.tree().scan_prefix(stored_key(prefix));
            let read = entries.map(|entry| {
                let (key, stored) = entry.map_err(|error| ProfileError::Read(io_error(error)))?;
                let key = ProfileKey::new(&key[1..])?;
                let value = checked(key.as_bytes(), &stored)?;
                Ok((key, value))
            });
            read.collect()
        })
    }

    fn durable<T>(&self, read: impl FnOnce(&SledDir) -> Result<T, ProfileError>) -> Result<T, ProfileError> {
        let fault = self.0.fault.read().unwrap_or_else(PoisonError::into_inner);
        match &*fault {
            Some(fault) => Err(ProfileError::Poisoned(fault.clone())),
            None => read(&self.0.dir),
        }
    }
}

/// Covers the key as well, so that a value under another key is found.
fn checksum(key: &[u8], value: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(&[key.len() as u8]), key), value)
}

fn checked(key: &[u8], stored: &[u8]) -> Result<Vec<u8>, ProfileError> {
    let (found, value) = match stored.split_first_chunk::<CHECKSUM_BYTES>() {
        Some((found, value)) => (u32::from_le_bytes(*found), value),
        None => (0, stored),
    };
    let expected = checksum(key, value);
    if found != expected {
        return Err(ProfileError::Damage(Flaw::Value { expected, found }));
    }
    Ok(value.to_vec())
}

fn commit_value(commits: u64) -> Vec<u8> {
    let commits = commits.to_le_bytes();
    [checksum(&COMMITS_KEY, &commits).to_le_bytes().as_slice(), &commits].concat()
}

/// Returns how many commits the store holds; 0 for one that says nothing readable, which the head refutes.
fn read_commits(dir: &SledDir) -> io::Result<u64> {
    let stored = dir.tree().get(COMMITS_KEY).map_err(io_error)?;
    let value = stored.and_then(|stored| checked(&COMMITS_KEY, &stored).ok());
    Ok(value.and_then(|value| Some(u64::from_le_bytes(value.try_into().ok()?))).unwrap_or(0))
}

fn open_head(dir: &Path, ledger: LedgerId, store: &Path, syncs: &SyncFault) -> Result<(HeadFile, Loaded), OpenError> {
    let path = dir.join(HEAD_NAME);
    let open = || HeadFile::open(&path, ledger, syncs).map_err(|error| head_error(error, &path));
    if let Some(opened) = open()? {
        return Ok(opened);
    }
    if !store.exists() {
        HeadFile::create(dir, HEAD_NAME, ledger, syncs).map_err(io_at("creating", &path))?;
        if let Some(opened) = open()? {
            return Ok(opened);
        }
    }
    Err(damage(Flaw::HeadMissing, &path))
}

fn damage(what: Flaw, path: &Path) -> OpenError {
    OpenError::Damage {
        generation: None,
        file: PathBuf::from(path),
        seq: None,
        what: Box::new(what),
        remedy: Remedy::RestoreProfiles,
    }
}

/// Checks everything in the profile store of `ledger` in the data directory `dir` against its head, on a copy in
/// `scratch`, and returns how many commits were acknowledged.
///
/// # Errors
///
/// As [`ProfileStore::open`]; nothing in `dir` is changed either way.
pub fn verify_profiles(dir: &Path, ledger: LedgerId, scratch: &Path) -> Result<u64, OpenError> {
    let path = dir.join(HEAD_NAME);
    let loaded = HeadFile::read(&path, ledger).map_err(|error| head_error(error, &path))?;
    let loaded = loaded.ok_or_else(|| damage(Flaw::HeadMissing, &path))?;
    check_copy(scratch, &dir.join(STORE_NAME), &loaded)?;
    Ok(loaded.head.seq.0)
}

/// Opens a copy, made in `scratch`, and reads all of it before sled touches the original.
fn check_copy(scratch: &Path, path: &Path, loaded: &Loaded) -> Result<(), OpenError> {
    if !path.exists() {
        return Err(damage(Flaw::StoreRefused { said: "the store is missing".to_owned() }, path));
    }
    let copy = scratch.join("check-profiles");
    copy_tree(path, &copy).map_err(io_at("copying, to check it before it is opened,", path))?;
    let read = unwinding(path, || {
        let dir = SledDir::open(&copy, Purpose::Copy, &mut Vec::new(), &SyncFault::default())
            .map_err(|error| store_error(error, None, path, None))?;
        judge(read_commits(&dir).map_err(io_at("reading", path))?, loaded, path)?;
        let reader = ProfileReader(Arc::new(Shared { dir, fault: RwLock::new(None) }));
        match reader.list(&[]) {
            Err(ProfileError::Damage(what)) => Err(damage(what, path)),
            Err(error) => Err(damage(Flaw::StoreRefused { said: error.to_string() }, path)),
            Ok(_) => Ok(()),
        }
    });
    remove_tree(&copy).map_err(io_at("removing", &copy))?;
    read.map_err(|error| store_error(error, None, path, None))?
}

/// Compares the commits in the store with those that were acknowledged; see `chain` for the rule of the lost slot.
fn judge(found: u64, loaded: &Loaded, path: &Path) -> Result<(), OpenError> {
    let expected = loaded.head.seq.0;
    if found < expected {
        return Err(damage(Flaw::CommitsLost { expected, found }, path));
    }
    if loaded.slot_lost.is_some() && found == expected {
        return Err(damage(Flaw::HeadUnproven { survivor: loaded.head.seq }, path));
    }
    let max = 1 + u64::from(loaded.slot_lost.is_some());
    if max < found - expected {
        return Err(damage(Flaw::HeadStale { found: found - expected, max }, path));
    }
    Ok(())
}
