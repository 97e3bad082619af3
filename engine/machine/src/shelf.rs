//! Values that are not in memory: bytes in segments of a store, which are emptied as what lies in them is taken away. Knows no row.
//!
//! A store keeps nothing for the next start, so nothing is synced, and there is no format but within a process. Values are
//! put behind each other into an open segment, which is written when it is full. One that has changed lies somewhere else then: what is left of
//! its segment is moved together once half of the store is such waste.
//!
//! An entry is its length, its owner's number and a CRC32C, 4 bytes each, and the value. The checksum covers how often the segment was begun
//! as well: a disk that gives back what lay there before is found out. A length of 0 ends a segment.

use std::fmt;
use std::io;
use std::num::NonZeroU64;

/// Bytes of a segment: what is emptied at a time.
const SEGMENT_BYTES: usize = 256 * 1024;
/// Segments under which nothing is moved: waste that small is nobody's concern.
const SEGMENTS_UNTOUCHED: usize = 4;
/// Segments of a store: a place has 40 bits for where it begins.
const SEGMENTS_MAX: usize = (1 << 40) / SEGMENT_BYTES;
const HEAD_BYTES: usize = 12;

/// Bytes under positions, for as long as the process lives.
pub trait Store: Send + fmt::Debug {
    /// Writes all of `bytes` from position `at` on.
    ///
    /// # Errors
    ///
    /// What the system said.
    fn write(&mut self, at: u64, bytes: &[u8]) -> io::Result<()>;

    /// Fills `bytes` from position `at` on with what was written there.
    ///
    /// # Errors
    ///
    /// What the system said.
    fn read(&self, at: u64, bytes: &mut [u8]) -> io::Result<()>;
}

/// A store in memory: it saves nothing, and is for tests.
#[derive(Debug, Default)]
pub struct MemoryStore(Vec<u8>);

impl Store for MemoryStore {
    fn write(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let end = at as usize + bytes.len();
        self.0.resize(end.max(self.0.len()), 0);
        self.0[at as usize..end].copy_from_slice(bytes);
        Ok(())
    }

    fn read(&self, at: u64, bytes: &mut [u8]) -> io::Result<()> {
        let stored = self.0.get(at as usize..at as usize + bytes.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        bytes.copy_from_slice(stored);
        Ok(())
    }
}

/// Why something cannot be put away, or be fetched again. Nothing is lost: the next start has everything.
#[derive(Debug, thiserror::Error)]
pub enum AwayError {
    /// The store cannot be read or written.
    #[error("{doing} customers who are not in memory")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// What was read is not what was written.
    #[error("a customer who was not in memory was read back damaged: the disk or the memory is failing")]
    Damaged,
}

impl AwayError {
    fn io(doing: &'static str) -> impl FnOnce(io::Error) -> AwayError {
        move |source| AwayError::Io { doing, source }
    }
}

/// Where a value lies: 40 bits of position and 24 of length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place(pub(crate) NonZeroU64);

impl Place {
    fn new(at: u64, length: usize) -> Place {
        Place(NonZeroU64::new(at << 24 | length as u64).expect("an entry has a head"))
    }

    fn at(self) -> u64 {
        self.0.get() >> 24
    }

    fn length(self) -> usize {
        (self.0.get() & 0xff_ffff) as usize
    }

    fn segment(self) -> usize {
        self.at() as usize / SEGMENT_BYTES
    }
}

/// What lies in a store.
#[derive(Debug)]
pub(crate) struct Shelf {
    store: Box<dyn Store>,
    /// The segment that is being filled.
    open: usize,
    filled: Vec<u8>,
    /// Bytes of each segment that are still wanted.
    wanted: Vec<u32>,
    /// How often each segment was begun.
    rounds: Vec<u32>,
    free: Vec<usize>,
    /// Bytes that are wanted of all segments.
    wanted_in_all: u64,
}

impl Shelf {
    pub(crate) fn new(store: Box<dyn Store>) -> Shelf {
        let filled = Vec::with_capacity(SEGMENT_BYTES);
        Shelf { store, open: 0, filled, wanted: vec![0], rounds: vec![0], free: Vec::new(), wanted_in_all: 0 }
    }

    /// Puts a value away; `None` when it is too large for that.
    pub(crate) fn put(&mut self, owner: u32, value: &[u8]) -> Result<Option<Place>, AwayError> {
        let length = HEAD_BYTES + value.len();
        if SEGMENT_BYTES < length {
            return Ok(None);
        }
        if SEGMENT_BYTES < self.filled.len() + length {
            self.close()?;
        }
        let place = Place::new((self.open * SEGMENT_BYTES + self.filled.len()) as u64, length);
        self.filled.extend_from_slice(&(length as u32).to_le_bytes());
        self.filled.extend_from_slice(&owner.to_le_bytes());
        self.filled.extend_from_slice(&self.checksum(self.open, owner, value).to_le_bytes());
        self.filled.extend_from_slice(value);
        self.wanted[self.open] += length as u32;
        self.wanted_in_all += length as u64;
        Ok(Some(place))
    }

    /// Fetches the value of an owner, which stays where it lies.
    pub(crate) fn get(&self, owner: u32, place: Place) -> Result<Vec<u8>, AwayError> {
        let mut entry = vec![0; place.length()];
        if place.segment() == self.open {
            let at = place.at() as usize % SEGMENT_BYTES;
            let found = self.filled.get(at..at + entry.len()).ok_or(AwayError::Damaged)?;
            entry.copy_from_slice(found);
        } else {
            self.store.read(place.at(), &mut entry).map_err(AwayError::io("reading"))?;
        }
        let (found, value) = self.parse(place.segment(), &entry).ok_or(AwayError::Damaged)?;
        if found != owner || HEAD_BYTES + value.len() != place.length() {
            return Err(AwayError::Damaged);
        }
        entry.drain(..HEAD_BYTES);
        Ok(entry)
    }

    /// Forgets a value.
    pub(crate) fn forget(&mut self, place: Place) {
        let segment = place.segment();
        self.wanted[segment] -= place.length() as u32;
        self.wanted_in_all -= place.length() as u64;
        if self.wanted[segment] == 0 && segment != self.open {
            self.free.push(segment);
        }
    }

    /// Empties the emptiest segment once half of what is taken is waste: returns where each value that `is_wanted` there lies now.
    pub(crate) fn empty_a_segment(
        &mut self,
        is_wanted: impl Fn(u32, Place) -> bool,
    ) -> Result<Vec<(u32, Place)>, AwayError> {
        let taken = self.wanted.len() - self.free.len();
        if taken <= SEGMENTS_UNTOUCHED || (taken * SEGMENT_BYTES) as u64 <= 2 * self.wanted_in_all {
            return Ok(Vec::new());
        }
        let full = (0..self.wanted.len()).filter(|segment| *segment != self.open && self.wanted[*segment] != 0);
        let Some(emptiest) = full.min_by_key(|segment| self.wanted[*segment]) else { return Ok(Vec::new()) };
        let mut bytes = vec![0; SEGMENT_BYTES];
        let start = (emptiest * SEGMENT_BYTES) as u64;
        self.store.read(start, &mut bytes).map_err(AwayError::io("reading"))?;
        let (mut moved, mut at) = (Vec::new(), 0);
        while at + HEAD_BYTES <= bytes.len() && bytes[at..at + 4] != [0; 4] {
            let (owner, value) = self.parse(emptiest, &bytes[at..]).ok_or(AwayError::Damaged)?;
            let place = Place::new(start + at as u64, HEAD_BYTES + value.len());
            if is_wanted(owner, place) {
                moved.push((owner, self.put(owner, value)?.expect("it fitted before")));
                self.forget(place);
            }
            at += place.length();
        }
        Ok(moved)
    }

    fn close(&mut self) -> Result<(), AwayError> {
        self.filled.resize(SEGMENT_BYTES, 0);
        self.store.write((self.open * SEGMENT_BYTES) as u64, &self.filled).map_err(AwayError::io("putting away"))?;
        self.filled.clear();
        if self.wanted[self.open] == 0 {
            self.free.push(self.open);
        }
        self.open = match self.free.pop() {
            Some(segment) => segment,
            None if self.wanted.len() < SEGMENTS_MAX => {
                self.wanted.push(0);
                self.rounds.push(0);
                self.wanted.len() - 1
            }
            None => return Err(AwayError::io("putting away")(io::ErrorKind::FileTooLarge.into())),
        };
        self.rounds[self.open] = self.rounds[self.open].wrapping_add(1);
        Ok(())
    }

    /// Reads the entry that `bytes` of a segment begin with.
    fn parse<'a>(&self, segment: usize, bytes: &'a [u8]) -> Option<(u32, &'a [u8])> {
        let number = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let (length, owner, sum) = (number(0)?, number(4)?, number(8)?);
        let value = bytes.get(HEAD_BYTES..length as usize)?;
        (self.checksum(segment, owner, value) == sum).then_some((owner, value))
    }

    fn checksum(&self, segment: usize, owner: u32, value: &[u8]) -> u32 {
        let round = crc32c::crc32c(&self.rounds[segment].to_le_bytes());
        crc32c::crc32c_append(crc32c::crc32c_append(round, &owner.to_le_bytes()), value)
    }
}

#[cfg(test)]
mod tests;
