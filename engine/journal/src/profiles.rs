//! The profile store: personal data and secrets, beside the journal and never in it. Blind to what the bytes say.
//!
//! A commit is one batch, synced before it returns, under the discipline of `sled_dir`. A head counts the commits, so that a store which came
//! up shorter is found. Each value lies behind its CRC32C. That takes two syncs, so the few entries of a put go to the log of `profile_log`,
//! at one sync, and into the store with the next commit: with a change, or once many are waiting.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use kembali_core::Seq;
use thiserror::Error;

use crate::damage::{Flaw, Mended, OpenError, Remedy};
use crate::files::{SyncFault, copy_tree, create_dir_durably, remove_tree};
use crate::head::{Head, HeadFile, LedgerId, Loaded};
use crate::journal::JournalFault;
use crate::profile_log::{self, LOG_NAME, LogError, Logged, ProfileLog};
use crate::recovery::{head_error, io_at, store_error};
use crate::sled_dir::{Purpose, SledDir, StoreError, VALUE_BYTES_MAX, io_error, unwinding};

/// Largest value in bytes: 3.5 KiB.
pub const PROFILE_VALUE_BYTES_MAX: usize = 3584;
/// Largest key in bytes.
pub const PROFILE_KEY_BYTES_MAX: usize = 255;

const CHECKSUM_BYTES: usize = 4;
const _: () = assert!(PROFILE_VALUE_BYTES_MAX + CHECKSUM_BYTES <= VALUE_BYTES_MAX);
const _: () = assert!(PROFILE_KEY_BYTES_MAX < VALUE_BYTES_MAX - PROFILE_VALUE_BYTES_MAX - CHECKSUM_BYTES);

const STORE_NAME: &str = "profiles";
const HEAD_NAME: &str = "profiles-head";
/// The epoch in the head of a store that has a log. Those of earlier builds had none.
const EPOCH_WITH_LOG: u64 = 1;
/// Entries that wait in the log for the next commit. Few enough that nobody notices when they are committed on the way.
const WAITING_MAX: usize = 256;
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

/// A key and what lies under it.
pub(crate) type Profile = (ProfileKey, Vec<u8>);

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
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    /// What the log holds and the store does not yet.
    waiting: BTreeMap<ProfileKey, Vec<u8>>,
    fault: Option<JournalFault>,
}

/// Reads profiles, from any thread. Clones read the same store.
#[derive(Clone)]
pub struct ProfileReader(Arc<Shared>);

/// The owner of the profile store: the one that writes.
pub struct ProfileStore {
    reader: ProfileReader,
    head: HeadFile,
    log: ProfileLog,
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
        let Logged { profiles, copies_lost } = check_copy(dir, &path, &loaded)?;
        let opened = unwinding(&path, || SledDir::open(&path, Purpose::Real, &mut mended, syncs));
        let opened = opened.and_then(|opened| opened).map_err(|error| store_error(error, None, &path, None))?;
        let commits = read_commits(&opened).map_err(io_at("reading", &path))?;
        judge(commits, &loaded, &path)?;
        mended.extend(loaded.copies_lost.iter().map(|(slot, copy)| Mended::HeadCopy { slot: *slot, copy: *copy }));
        mended.extend(loaded.slot_lost.map(|slot| Mended::HeadSlot { slot }));
        mended.extend(copies_lost.into_iter().map(|place| Mended::LogCopy { place }));
        if loaded.head.epoch < EPOCH_WITH_LOG && !path.join(LOG_NAME).exists() {
            ProfileLog::create(&path, syncs).map_err(io_at("creating the log of", &path))?;
        }
        // Twice, so that both slots are whole.
        for _ in 0..2 {
            let head_now = Head { seq: Seq(commits), epoch: EPOCH_WITH_LOG, ..loaded.head };
            head.write(head_now).map_err(io_at("writing", &dir.join(HEAD_NAME)))?;
        }
        let log = ProfileLog::open(&path, ledger, commits, syncs).map_err(io_at("opening the log of", &path))?;
        let state = RwLock::new(State { waiting: profiles.into_iter().collect(), fault: None });
        let reader = ProfileReader(Arc::new(Shared { dir: opened, state }));
        let mut store = ProfileStore { reader, head, log, commits };
        store.settle().map_err(|error| io_at("storing what the log holds in", &path)(io::Error::other(error)))?;
        Ok((store, mended))
    }

    /// Returns a handle that reads while this one writes.
    #[must_use]
    pub fn reader(&self) -> ProfileReader {
        self.reader.clone()
    }

    /// Stores all `entries`, or none of them, and returns once they are durable. A later entry replaces an earlier one.
    ///
    /// Takes one sync as long as few are put at a time, and three with a commit on the way.
    ///
    /// # Errors
    ///
    /// A value that is too large stores nothing. After a failed write or sync the store does nothing more.
    pub fn put(&mut self, entries: &[(ProfileKey, Vec<u8>)]) -> Result<(), ProfileError> {
        check_sizes(entries)?;
        let reader = self.reader.clone();
        let is_few = reader.0.to_read()?.waiting.len() + entries.len() <= WAITING_MAX;
        let logged = if is_few { self.log.append(entries) } else { Ok(false) };
        match logged {
            Ok(true) => reader.0.to_change()?.waiting.extend(entries.iter().cloned()),
            Ok(false) => self.commit(entries, &[])?,
            Err(error) => {
                let failed = JournalFault::new("writing the log of the profile store", error);
                return Err(reader.0.to_change()?.fail(failed));
            }
        }
        Ok(())
    }

    /// Stores all `entries` and removes what lies under the keys `removed`, present or not; or does nothing of it. Returns once that
    /// is durable, in the store itself.
    ///
    /// # Errors
    ///
    /// As [`ProfileStore::put`].
    pub fn change(&mut self, entries: &[(ProfileKey, Vec<u8>)], removed: &[ProfileKey]) -> Result<(), ProfileError> {
        check_sizes(entries)?;
        self.commit(entries, removed)
    }

    /// Leaves nothing waiting in the log, as a build without one expects it.
    ///
    /// # Errors
    ///
    /// After a failed write or sync the store does nothing more.
    pub fn settle(&mut self) -> Result<(), ProfileError> {
        if self.reader.0.to_read()?.waiting.is_empty() { Ok(()) } else { self.commit(&[], &[]) }
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

    /// Commits what waits, then what is removed, then `entries`: of one key the last counts.
    fn commit(&mut self, entries: &[Profile], removed: &[ProfileKey]) -> Result<(), ProfileError> {
        let reader = self.reader.clone();
        let mut state = reader.0.to_change()?;
        let mut batch = sled::Batch::default();
        state.waiting.iter().for_each(|(key, value)| insert(&mut batch, key, value));
        removed.iter().for_each(|key| batch.remove(key.stored()));
        entries.iter().for_each(|(key, value)| insert(&mut batch, key, value));
        let commits = self.commits + 1;
        batch.insert(&COMMITS_KEY, commit_value(commits));
        let changes = state.waiting.len() + removed.len() + entries.len();
        let stored = reader.0.dir.commit(batch, changes).map_err(|error| JournalFault::new("storing profiles", error));
        let stored = stored.and_then(|()| {
            let head = Head { seq: Seq(commits), ..*self.head.newest() };
            self.head.write(head).map_err(|error| JournalFault::new("writing the head of the profile store", error))
        });
        stored.map_err(|failed| state.fail(failed))?;
        state.waiting.clear();
        self.commits = commits;
        self.log.restart(commits);
        Ok(())
    }
}

impl Shared {
    fn to_change(&self) -> Result<RwLockWriteGuard<'_, State>, ProfileError> {
        let state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.check()?;
        Ok(state)
    }

    fn to_read(&self) -> Result<RwLockReadGuard<'_, State>, ProfileError> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.check()?;
        Ok(state)
    }
}

impl State {
    fn check(&self) -> Result<(), ProfileError> {
        self.fault.as_ref().map_or(Ok(()), |fault| Err(ProfileError::Poisoned(fault.clone())))
    }

    fn fail(&mut self, failed: JournalFault) -> ProfileError {
        self.fault = Some(failed.clone());
        ProfileError::Failed(failed)
    }
}

fn insert(batch: &mut sled::Batch, key: &ProfileKey, value: &[u8]) {
    let checksum = checksum(key.as_bytes(), value);
    batch.insert(key.stored(), [&checksum.to_le_bytes(), value].concat());
}

fn check_sizes(entries: &[Profile]) -> Result<(), ProfileError> {
    match entries.iter().map(|(_, value)| value.len()).find(|bytes| PROFILE_VALUE_BYTES_MAX < *bytes) {
        Some(bytes) => Err(ProfileError::ValueTooLarge { bytes }),
        None => Ok(()),
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
        let state = self.0.to_read()?;
        if let Some(value) = state.waiting.get(key) {
            return Ok(Some(value.clone()));
        }
        let value = self.0.dir.tree().get(key.stored()).map_err(|error| ProfileError::Read(io_error(error)))?;
        value.map(|stored| checked(key.as_bytes(), &stored)).transpose()
    }

    /// Lists the profiles whose key starts with `prefix`, in order of their keys. What it returns is durable.
    ///
    /// # Errors
    ///
    /// As [`ProfileReader::get`].
    pub fn list(&self, prefix: &[u8]) -> Result<Vec<(ProfileKey, Vec<u8>)>, ProfileError> {
        let state = self.0.to_read()?;
        let mut found = entries(&self.0.dir, prefix).collect::<Result<Vec<_>, _>>()?;
        let waiting = state.waiting.range(ProfileKey(prefix.to_vec())..);
        for (key, value) in waiting.take_while(|(key, _)| key.as_bytes().starts_with(prefix)) {
            match found.binary_search_by(|(other, _)| other.cmp(key)) {
                Ok(at) => found[at].1.clone_from(value),
                Err(at) => found.insert(at, (key.clone(), value.clone())),
            }
        }
        Ok(found)
    }
}

/// Reads what the store itself holds, in order of the keys.
fn entries(dir: &SledDir, prefix: &[u8]) -> impl Iterator<Item = Result<Profile, ProfileError>> {
    dir.tree().scan_prefix(stored_key(prefix)).map(|entry| {
        let (key, stored) = entry.map_err(|error| ProfileError::Read(io_error(error)))?;
        let key = ProfileKey::new(&key[1..])?;
        let value = checked(key.as_bytes(), &stored)?;
        Ok((key, value))
    })
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

/// Opens a copy, made in `scratch`, and reads all of it before sled touches the original. Returns what its log holds beside it.
fn check_copy(scratch: &Path, path: &Path, loaded: &Loaded) -> Result<Logged, OpenError> {
    if !path.exists() {
        return Err(damage(Flaw::StoreRefused { said: "the store is missing".to_owned() }, path));
    }
    let copy = scratch.join("check-profiles");
    copy_tree(path, &copy).map_err(io_at("copying, to check it before it is opened,", path))?;
    let read = unwinding(path, || {
        let dir = SledDir::open(&copy, Purpose::Copy, &mut Vec::new(), &SyncFault::default())
            .map_err(|error| store_error(error, None, path, None))?;
        let commits = read_commits(&dir).map_err(io_at("reading", path))?;
        judge(commits, loaded, path)?;
        entries(&dir, &[]).try_for_each(|entry| entry.map(drop)).map_err(|error| match error {
            ProfileError::Damage(what) => damage(what, path),
            error => damage(Flaw::StoreRefused { said: error.to_string() }, path),
        })?;
        read_log(&copy, path, loaded, commits)
    });
    remove_tree(&copy).map_err(io_at("removing", &copy))?;
    read.map_err(|error| store_error(error, None, path, None))?
}

/// Reads the log in `copy`, which is one of `path`; a store of an earlier build has none.
fn read_log(copy: &Path, path: &Path, loaded: &Loaded, commits: u64) -> Result<Logged, OpenError> {
    match profile_log::read(copy, loaded.head.ledger, commits) {
        Err(LogError::Flaw(Flaw::LogMissing)) if loaded.head.epoch < EPOCH_WITH_LOG => Ok(Logged::default()),
        Err(LogError::Flaw(what)) => Err(store_error(StoreError::Flaw(what), None, &path.join(LOG_NAME), None)),
        Err(LogError::Io(error)) => Err(io_at("reading", &path.join(LOG_NAME))(error)),
        Ok(logged) => Ok(logged),
    }
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
