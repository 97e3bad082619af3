//! The log of the profile store: what was put since the store's last commit, at one sync a put. Knows nothing of sled.
//!
//! A file of a fixed size, `log` in the store's directory. Puts are entries one behind the other, from the start again after each commit of
//! the store, which holds all that the entries before it said. An entry names the commit that it follows, so older ones are known as such.
//! It is stored twice, in sectors of its own, so that a damaged sector is told from a torn entry: only the last entry can be torn.
//!
//! Each copy starts at a multiple of 2048 bytes, and the first at one of 4096. All numbers are little-endian.
//!
//! | offset in a copy | bytes | field |
//! |---|---|---|
//! | 0 | 4 | magic `KMBP` |
//! | 4 | 2 | format version, 1 |
//! | 6 | 2 | zero |
//! | 8 | 16 | the ledger that it belongs to |
//! | 24 | 8 | commits of the store that it follows |
//! | 32 | 4 | its place behind them, from 0 |
//! | 36 | 4 | length of what follows, without the checksum |
//! | 40 | | of each profile: length of the key (1), key, length of the value (2), value |
//! | 40 + length | 4 | CRC32C of all before it |

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::damage::Flaw;
use crate::files::{SyncFault, create_file_durably};
use crate::head::LedgerId;
use crate::profiles::{Profile, ProfileKey};

/// The file's name.
pub(crate) const LOG_NAME: &str = "log";
/// The file's size: one name a put fills it with as many puts as the store lets wait.
pub(crate) const LOG_BYTES: usize = 1024 * 1024;

const COPY_STRIDE: usize = 2048;
const BLOCK_BYTES: usize = 4096;
const MAGIC: [u8; 4] = *b"KMBP";
const VERSION: u16 = 1;
const FIELDS_BYTES: usize = 40;
const CHECKSUM_BYTES: usize = 4;

/// Why the log was not read.
#[derive(Debug)]
pub(crate) enum LogError {
    Io(io::Error),
    Flaw(Flaw),
}

/// What lies behind the commits of the store.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Logged {
    /// The profiles, in the order in which they were put.
    pub(crate) profiles: Vec<Profile>,
    /// Entries of which one copy is damaged, or was never finished.
    pub(crate) copies_lost: Vec<u32>,
}

/// The open file.
#[derive(Debug)]
pub(crate) struct ProfileLog {
    file: File,
    ledger: LedgerId,
    syncs: SyncFault,
    /// Commits of the store that the next entry follows.
    commits: u64,
    /// The place of the next entry behind them.
    place: u32,
    /// Where it goes.
    at: usize,
}

/// A copy that is whole.
struct Found {
    commits: u64,
    place: u32,
    profiles: Vec<Profile>,
    bytes: usize,
}

impl ProfileLog {
    /// Makes the file in `dir`, durably.
    pub(crate) fn create(dir: &Path, syncs: &SyncFault) -> io::Result<()> {
        // Written whole: then a sync of an entry has no sizes and places to store, only bytes.
        create_file_durably(dir, LOG_NAME, &vec![0; LOG_BYTES], syncs)
    }

    /// Opens the file of the store of `ledger` to write behind its `commits`. What lies there already has to be in the store.
    pub(crate) fn open(dir: &Path, ledger: LedgerId, commits: u64, syncs: &SyncFault) -> io::Result<ProfileLog> {
        let file = OpenOptions::new().write(true).open(dir.join(LOG_NAME))?;
        Ok(ProfileLog { file, ledger, syncs: syncs.clone(), commits, place: 0, at: 0 })
    }

    /// Starts again behind `commits`, which hold all that was put.
    pub(crate) fn restart(&mut self, commits: u64) {
        (self.commits, self.place, self.at) = (commits, 0, 0);
    }

    /// Stores `profiles` and returns true once they are durable; false when they do not fit in, and nothing was done.
    pub(crate) fn append(&mut self, profiles: &[Profile]) -> io::Result<bool> {
        let copy = encode(self.ledger, self.commits, self.place, profiles);
        let end = self.at + span(copy.len());
        if LOG_BYTES < end {
            return Ok(false);
        }
        let mut both = vec![0; end - self.at];
        both[..copy.len()].copy_from_slice(&copy);
        both[second_copy(copy.len())..][..copy.len()].copy_from_slice(&copy);
        self.file.write_all_at(&both, self.at as u64)?;
        self.syncs.data(&self.file)?;
        self.place += 1;
        self.at = end;
        Ok(true)
    }
}

/// Reads what lies behind the `commits` of the store of `ledger` in `dir`. Changes nothing.
pub(crate) fn read(dir: &Path, ledger: LedgerId, commits: u64) -> Result<Logged, LogError> {
    let bytes = match std::fs::read(dir.join(LOG_NAME)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(LogError::Flaw(Flaw::LogMissing)),
        read => read.map_err(LogError::Io)?,
    };
    if bytes.len() != LOG_BYTES {
        let (expected, found) = (LOG_BYTES as u64, bytes.len() as u64);
        return Err(LogError::Flaw(Flaw::LogSize { expected, found }));
    }
    let mut logged = Logged::default();
    let (mut place, mut at) = (0, 0);
    while let Some((found, copies)) = entry_at(&bytes, at, ledger, (commits, place)).map_err(LogError::Flaw)? {
        if copies < 2 {
            logged.copies_lost.push(place);
        }
        logged.profiles.extend(found.profiles);
        place += 1;
        at += span(found.bytes);
    }
    // Both copies of an entry were lost when another follows it; a torn one is the last.
    for later in (at..LOG_BYTES).step_by(BLOCK_BYTES) {
        match decode(&bytes[later..], ledger).map_err(LogError::Flaw)? {
            Some(found) if commits < found.commits => {
                return Err(LogError::Flaw(Flaw::CommitsLost { expected: found.commits, found: commits }));
            }
            Some(found) if found.commits == commits && place < found.place => {
                return Err(LogError::Flaw(Flaw::LogEntry { place }));
            }
            _ => (),
        }
    }
    Ok(logged)
}

/// Returns the entry of that place which starts at `at`, and how many of its copies are whole; `None` when neither is.
fn entry_at(bytes: &[u8], at: usize, ledger: LedgerId, place: (u64, u32)) -> Result<Option<(Found, usize)>, Flaw> {
    let copy_at = |from: usize| -> Result<Option<Found>, Flaw> {
        let found = bytes.get(from..).map(|copy| decode(copy, ledger)).transpose()?.flatten();
        Ok(found.filter(|found| (found.commits, found.place) == place))
    };
    if let Some(first) = copy_at(at)? {
        let second = copy_at(at + second_copy(first.bytes))?.is_some_and(|second| second.bytes == first.bytes);
        return Ok(Some((first, 1 + usize::from(second))));
    }
    // How long the first copy was is not known.
    for from in (at + COPY_STRIDE..bytes.len()).step_by(COPY_STRIDE) {
        if let Some(second) = copy_at(from)? {
            return Ok(Some((second, 1)));
        }
    }
    Ok(None)
}

/// How far behind the first copy of so many bytes the second one starts.
fn second_copy(copy_bytes: usize) -> usize {
    copy_bytes.next_multiple_of(COPY_STRIDE)
}

/// Bytes that both copies of an entry take.
fn span(copy_bytes: usize) -> usize {
    (2 * second_copy(copy_bytes)).next_multiple_of(BLOCK_BYTES)
}

fn encode(ledger: LedgerId, commits: u64, place: u32, profiles: &[Profile]) -> Vec<u8> {
    let mut copy = vec![0; FIELDS_BYTES];
    for (key, value) in profiles {
        let key = key.as_bytes();
        copy.push(key.len() as u8);
        copy.extend_from_slice(key);
        copy.extend_from_slice(&(value.len() as u16).to_le_bytes());
        copy.extend_from_slice(value);
    }
    let length = (copy.len() - FIELDS_BYTES) as u32;
    copy[0..4].copy_from_slice(&MAGIC);
    copy[4..6].copy_from_slice(&VERSION.to_le_bytes());
    copy[8..24].copy_from_slice(&ledger.0);
    copy[24..32].copy_from_slice(&commits.to_le_bytes());
    copy[32..36].copy_from_slice(&place.to_le_bytes());
    copy[36..40].copy_from_slice(&length.to_le_bytes());
    copy.extend_from_slice(&crc32c::crc32c(&copy).to_le_bytes());
    copy
}

/// Returns the copy that `bytes` start with; `None` when they do not start with a whole one.
fn decode(bytes: &[u8], expected: LedgerId) -> Result<Option<Found>, Flaw> {
    let Some(fields) = bytes.first_chunk::<FIELDS_BYTES>() else { return Ok(None) };
    let length = u32::from_le_bytes([fields[36], fields[37], fields[38], fields[39]]) as usize;
    let checked = FIELDS_BYTES.saturating_add(length);
    let checksum = bytes.get(checked..).and_then(<[u8]>::first_chunk::<CHECKSUM_BYTES>);
    if fields[0..4] != MAGIC || checksum.is_none_or(|sum| u32::from_le_bytes(*sum) != crc32c::crc32c(&bytes[..checked]))
    {
        return Ok(None);
    }
    let version = u16::from_le_bytes([fields[4], fields[5]]);
    if version != VERSION {
        return Err(Flaw::LogVersion { expected: VERSION, found: version });
    }
    let mut ledger = [0; 16];
    ledger.copy_from_slice(&fields[8..24]);
    if LedgerId(ledger) != expected {
        return Err(Flaw::OtherLedger { expected, found: LedgerId(ledger) });
    }
    let mut commits = [0; 8];
    commits.copy_from_slice(&fields[24..32]);
    let place = u32::from_le_bytes([fields[32], fields[33], fields[34], fields[35]]);
    let profiles = profiles_of(&bytes[FIELDS_BYTES..checked]);
    let profiles = profiles.ok_or(Flaw::LogEntry { place })?;
    Ok(Some(Found { commits: u64::from_le_bytes(commits), place, profiles, bytes: checked + CHECKSUM_BYTES }))
}

fn profiles_of(mut bytes: &[u8]) -> Option<Vec<Profile>> {
    let mut take = |count: usize| {
        let (taken, rest) = bytes.split_at_checked(count)?;
        bytes = rest;
        Some(taken)
    };
    let mut profiles = Vec::new();
    while let Some(length) = take(1) {
        let key = ProfileKey::new(take(usize::from(length[0]))?).ok()?;
        let length = take(2)?;
        let value = take(usize::from(u16::from_le_bytes([length[0], length[1]])))?;
        profiles.push((key, value.to_vec()));
    }
    Some(profiles)
}

#[cfg(test)]
mod tests;
