//! The frame: one commit group as it lies on disk. Not the journal that stores it, and blind to what a record means.
//!
//! All numbers are little-endian.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 4 | magic `KMBF` |
//! | 4 | 2 | format version, 1 |
//! | 6 | 2 | header length, 72 |
//! | 8 | 8 | epoch of the owner that wrote it |
//! | 16 | 8 | sequence number of the first record |
//! | 24 | 4 | count of records |
//! | 28 | 4 | body length in bytes |
//! | 32 | 32 | BLAKE3 of the whole previous frame, or [`FrameHash::GENESIS`] |
//! | 64 | 4 | CRC32C of bytes 0 to 64 and the body |
//! | 68 | 4 | zero |
//! | 72 | body length | for each record: its length as 4 bytes, then its bytes |

use std::convert::Infallible;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use kembali_core::Seq;
use thiserror::Error;

/// Largest count of records in one frame.
pub const FRAME_RECORDS_MAX: usize = 4096;
/// Largest frame in bytes, header included.
pub const FRAME_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Largest record in bytes, its length field excluded.
pub const RECORD_BYTES_MAX: usize = 1024 * 1024;
/// Bytes before the body.
pub const FRAME_HEADER_BYTES: usize = 72;
/// The one version this build writes and reads.
pub const FRAME_VERSION: u16 = 1;

const MAGIC: [u8; 4] = *b"KMBF";
const LENGTH_BYTES: usize = 4;
const CHECKED_BYTES: usize = 64;

const _: () = assert!(1 <= FRAME_RECORDS_MAX);
const _: () = assert!(FRAME_HEADER_BYTES + LENGTH_BYTES + RECORD_BYTES_MAX <= FRAME_BYTES_MAX);
const _: () = assert!(FRAME_HEADER_BYTES + LENGTH_BYTES * FRAME_RECORDS_MAX <= FRAME_BYTES_MAX);
const _: () = assert!(FRAME_BYTES_MAX <= u32::MAX as usize);
const _: () = assert!(FRAME_HEADER_BYTES <= u16::MAX as usize);

/// The BLAKE3 hash of all bytes of one frame: the link of the chain.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FrameHash(pub [u8; 32]);

impl FrameHash {
    /// What the first frame of a ledger names as its previous: BLAKE3 of `kembali journal genesis 1`.
    pub const GENESIS: FrameHash = FrameHash(GENESIS_BYTES);

    /// Hashes the bytes of a whole frame.
    #[must_use]
    pub fn of(frame_bytes: &[u8]) -> FrameHash {
        FrameHash(*blake3::hash(frame_bytes).as_bytes())
    }
}

impl fmt::Display for FrameHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for FrameHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FrameHash({self})")
    }
}

/// Why records do not make a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FrameTooLarge {
    /// A frame holds at least one record.
    #[error("a frame needs at least one record")]
    NoRecords,
    /// More records than [`FRAME_RECORDS_MAX`].
    #[error("{count} records in one frame, at most {FRAME_RECORDS_MAX} fit")]
    Records {
        /// How many were given.
        count: usize,
    },
    /// A record above [`RECORD_BYTES_MAX`].
    #[error("record {index} of the frame has {bytes} bytes, at most {RECORD_BYTES_MAX} fit")]
    Record {
        /// Its place in the slice that was given.
        index: usize,
        /// Its length in bytes.
        bytes: usize,
    },
    /// All records together above [`FRAME_BYTES_MAX`].
    #[error("a frame of {bytes} bytes, at most {FRAME_BYTES_MAX} fit")]
    Bytes {
        /// Length in bytes, header included.
        bytes: usize,
    },
    /// The sequence number starts at 1 and must not pass the end of 64 bits.
    #[error("{count} records from sequence number {first} on leave the range of sequence numbers")]
    SeqOutOfRange {
        /// Sequence number of the first record.
        first: u64,
        /// How many records.
        count: usize,
    },
}

/// Why bytes are not a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FrameDamage {
    /// Fewer bytes than the header or its length fields say.
    #[error("{found} bytes, expected at least {expected}")]
    Short {
        /// Bytes needed.
        expected: usize,
        /// Bytes there.
        found: usize,
    },
    /// More bytes than the length fields say.
    #[error("{found} bytes, expected {expected}")]
    Long {
        /// Bytes needed.
        expected: usize,
        /// Bytes there.
        found: usize,
    },
    /// Not the magic.
    #[error("magic {found:02x?}, expected {MAGIC:02x?}")]
    Magic {
        /// The four bytes found.
        found: [u8; 4],
    },
    /// A version this build does not read.
    #[error("format version {found}, expected {FRAME_VERSION}")]
    Version {
        /// The version found.
        found: u16,
    },
    /// Another header length than the version has.
    #[error("header length {found}, expected {FRAME_HEADER_BYTES}")]
    HeaderLength {
        /// The length found.
        found: u16,
    },
    /// A body that would pass [`FRAME_BYTES_MAX`].
    #[error("body length {found}, at most {max} allowed", max = FRAME_BYTES_MAX - FRAME_HEADER_BYTES)]
    BodyLength {
        /// The length found.
        found: u32,
    },
    /// The checksum does not fit the bytes.
    #[error("checksum {found:08x}, expected {expected:08x}")]
    Checksum {
        /// Computed from the bytes.
        expected: u32,
        /// Stored in the header.
        found: u32,
    },
    /// The reserved bytes are not zero.
    #[error("reserved bytes {found:08x}, expected zero")]
    Reserved {
        /// What they hold.
        found: u32,
    },
    /// No record, or more than [`FRAME_RECORDS_MAX`].
    #[error("{found} records, expected 1 to {FRAME_RECORDS_MAX}")]
    Count {
        /// The count found.
        found: u32,
    },
    /// The first sequence number is 0, or the last one would not fit.
    #[error("first sequence number {first} with {count} records is out of range")]
    SeqOutOfRange {
        /// The first sequence number.
        first: u64,
        /// The count of records.
        count: u32,
    },
    /// A record length that leaves the body or passes [`RECORD_BYTES_MAX`].
    #[error("record {index} says {bytes} bytes where {left} are left")]
    Record {
        /// Its place in the frame.
        index: u32,
        /// The length it claims.
        bytes: u32,
        /// The bytes left in the body.
        left: usize,
    },
    /// Bytes of the body that belong to no record.
    #[error("{left} bytes after the last record, expected none")]
    Trailing {
        /// How many.
        left: usize,
    },
}

struct Inner {
    bytes: Vec<u8>,
    /// Where each record starts; one more entry holds the end, so a record needs no look at its length field.
    starts: Vec<u32>,
    hash: FrameHash,
    epoch: u64,
    first_seq: Seq,
    previous: FrameHash,
}

/// One commit group, checked and immutable. Cloning shares the bytes.
#[derive(Clone)]
pub struct Frame(Arc<Inner>);

impl Frame {
    /// Lays out `records` as the frame that starts at `first_seq` and follows the frame hashed `previous`.
    ///
    /// # Errors
    ///
    /// When a limit of this file is passed; nothing is truncated.
    pub fn build(
        epoch: u64,
        first_seq: Seq,
        previous: FrameHash,
        records: &[impl AsRef<[u8]>],
    ) -> Result<Frame, FrameTooLarge> {
        let mut frame =
            FrameBuilder::with_capacity(records.iter().map(|record| record.as_ref().len() + LENGTH_BYTES).sum());
        for record in records {
            let Ok(()) = frame.push(|out| {
                out.extend_from_slice(record.as_ref());
                Ok::<_, Infallible>(())
            });
        }
        frame.finish(epoch, first_seq, previous)
    }

    /// Checks `bytes` and takes them as one frame, neither shorter nor longer.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong with them.
    pub fn parse(bytes: impl Into<Vec<u8>>) -> Result<Frame, FrameDamage> {
        let bytes = bytes.into();
        let expected = frame_length(&bytes)?;
        let found = bytes.len();
        if found < expected {
            return Err(FrameDamage::Short { expected, found });
        }
        if expected < found {
            return Err(FrameDamage::Long { expected, found });
        }
        let (stored, computed) = (u32_at(&bytes, CHECKED_BYTES), checksum(&bytes));
        if stored != computed {
            return Err(FrameDamage::Checksum { expected: computed, found: stored });
        }
        let reserved = u32_at(&bytes, CHECKED_BYTES + 4);
        if reserved != 0 {
            return Err(FrameDamage::Reserved { found: reserved });
        }
        let (first, count) = (u64_at(&bytes, 16), u32_at(&bytes, 24));
        if count == 0 || FRAME_RECORDS_MAX < count as usize {
            return Err(FrameDamage::Count { found: count });
        }
        if first == 0 || first.checked_add(u64::from(count)).is_none() {
            return Err(FrameDamage::SeqOutOfRange { first, count });
        }
        let starts = record_starts(&bytes, count)?;
        let mut previous = [0; 32];
        previous.copy_from_slice(&bytes[32..64]);
        let hash = FrameHash::of(&bytes);
        let (epoch, first_seq, previous) = (u64_at(&bytes, 8), Seq(first), FrameHash(previous));
        Ok(Frame(Arc::new(Inner { bytes, starts, hash, epoch, first_seq, previous })))
    }

    /// Returns the epoch of the owner that wrote the frame.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.0.epoch
    }

    /// Returns the sequence number of the first record.
    #[must_use]
    pub fn first_seq(&self) -> Seq {
        self.0.first_seq
    }

    /// Returns the sequence number of the last record.
    #[must_use]
    pub fn last_seq(&self) -> Seq {
        Seq(self.0.first_seq.0 + self.count() as u64 - 1)
    }

    /// Returns the count of records, at least one.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.starts.len() - 1
    }

    /// Returns the hash of the frame before this one, as this one names it.
    #[must_use]
    pub fn previous(&self) -> FrameHash {
        self.0.previous
    }

    /// Returns the hash of this frame; it is computed once, when the frame is made.
    #[must_use]
    pub fn hash(&self) -> FrameHash {
        self.0.hash
    }

    /// Returns all bytes as they are stored.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0.bytes
    }

    /// Returns the bytes of the record at `index`, counted from 0.
    ///
    /// # Panics
    ///
    /// If there is no such record.
    #[must_use]
    pub fn record(&self, index: usize) -> &[u8] {
        &self.0.bytes[self.record_range(index)]
    }

    /// Returns the bytes of the record numbered `seq`, or `None` when it is not in this frame.
    #[must_use]
    pub fn record_by_seq(&self, seq: Seq) -> Option<&[u8]> {
        let index = usize::try_from(seq.0.checked_sub(self.0.first_seq.0)?).ok()?;
        (index < self.count()).then(|| self.record(index))
    }

    /// Iterates over the records in order.
    pub fn records(&self) -> impl ExactSizeIterator<Item = &[u8]> + '_ {
        (0..self.count()).map(|index| self.record(index))
    }

    fn record_range(&self, index: usize) -> Range<usize> {
        let starts = &self.0.starts;
        starts[index] as usize..starts[index + 1] as usize - LENGTH_BYTES
    }
}

/// A frame that is put together: each record is written where it will lie.
#[derive(Debug)]
pub struct FrameBuilder {
    /// The header, still empty, and the records.
    bytes: Vec<u8>,
    /// Where each record starts.
    starts: Vec<u32>,
}

impl FrameBuilder {
    /// Begins a frame with room for so many bytes of records.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> FrameBuilder {
        let mut frame = Vec::with_capacity(FRAME_HEADER_BYTES + bytes.min(FRAME_BYTES_MAX));
        frame.resize(FRAME_HEADER_BYTES, 0);
        FrameBuilder { bytes: frame, starts: Vec::new() }
    }

    /// Adds a record, which `write` appends.
    ///
    /// # Errors
    ///
    /// What `write` says; the frame is then without the record.
    pub fn push<E>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(&[0; LENGTH_BYTES]);
        if let Err(error) = write(&mut self.bytes) {
            self.bytes.truncate(at);
            return Err(error);
        }
        // What is too long for its field is too long for the frame, which `finish` refuses.
        let length = u32::try_from(self.bytes.len() - at - LENGTH_BYTES).unwrap_or(u32::MAX);
        self.bytes[at..at + LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
        self.starts.push(u32::try_from(at + LENGTH_BYTES).unwrap_or(u32::MAX));
        Ok(())
    }

    /// Takes the last record out again.
    pub fn pop(&mut self) {
        if let Some(start) = self.starts.pop() {
            self.bytes.truncate(start as usize - LENGTH_BYTES);
        }
    }

    /// Returns how many records it has.
    #[must_use]
    pub fn count(&self) -> usize {
        self.starts.len()
    }

    /// Returns how many bytes it has, the header included.
    #[must_use]
    pub fn byte_count(&self) -> usize {
        self.bytes.len()
    }

    /// Makes it the frame that starts at `first_seq` and follows the frame hashed `previous`.
    ///
    /// # Errors
    ///
    /// When a limit of this file is passed; nothing is truncated.
    pub fn finish(self, epoch: u64, first_seq: Seq, previous: FrameHash) -> Result<Frame, FrameTooLarge> {
        let FrameBuilder { mut bytes, mut starts } = self;
        let (count, total) = (starts.len(), bytes.len());
        if count == 0 {
            return Err(FrameTooLarge::NoRecords);
        }
        if FRAME_RECORDS_MAX < count {
            return Err(FrameTooLarge::Records { count });
        }
        if first_seq.0 == 0 || first_seq.0.checked_add(count as u64).is_none() {
            return Err(FrameTooLarge::SeqOutOfRange { first: first_seq.0, count });
        }
        for (index, start) in starts.iter().enumerate() {
            let bytes = u32_at(&bytes, *start as usize - LENGTH_BYTES) as usize;
            if RECORD_BYTES_MAX < bytes {
                return Err(FrameTooLarge::Record { index, bytes });
            }
        }
        if FRAME_BYTES_MAX < total {
            return Err(FrameTooLarge::Bytes { bytes: total });
        }
        bytes[0..4].copy_from_slice(&MAGIC);
        bytes[4..6].copy_from_slice(&FRAME_VERSION.to_le_bytes());
        bytes[6..8].copy_from_slice(&(FRAME_HEADER_BYTES as u16).to_le_bytes());
        bytes[8..16].copy_from_slice(&epoch.to_le_bytes());
        bytes[16..24].copy_from_slice(&first_seq.0.to_le_bytes());
        bytes[24..28].copy_from_slice(&(count as u32).to_le_bytes());
        bytes[28..32].copy_from_slice(&((total - FRAME_HEADER_BYTES) as u32).to_le_bytes());
        bytes[32..CHECKED_BYTES].copy_from_slice(&previous.0);
        let checksum = checksum(&bytes);
        bytes[CHECKED_BYTES..CHECKED_BYTES + 4].copy_from_slice(&checksum.to_le_bytes());
        starts.push((total + LENGTH_BYTES) as u32);
        // A frame is kept for minutes.
        bytes.shrink_to_fit();
        starts.shrink_to_fit();
        let hash = FrameHash::of(&bytes);
        Ok(Frame(Arc::new(Inner { bytes, starts, hash, epoch, first_seq, previous })))
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame")
            .field("epoch", &self.epoch())
            .field("first_seq", &self.first_seq())
            .field("count", &self.count())
            .field("hash", &self.hash())
            .finish_non_exhaustive()
    }
}

impl PartialEq for Frame {
    fn eq(&self, other: &Frame) -> bool {
        self.0.bytes == other.0.bytes
    }
}

impl Eq for Frame {}

/// Reads from the start of a frame how many bytes the whole of it takes.
///
/// The checksum is not looked at: a flipped length is found when the frame is parsed.
pub(crate) fn frame_length(start: &[u8]) -> Result<usize, FrameDamage> {
    if start.len() < FRAME_HEADER_BYTES {
        return Err(FrameDamage::Short { expected: FRAME_HEADER_BYTES, found: start.len() });
    }
    let found = [start[0], start[1], start[2], start[3]];
    if found != MAGIC {
        return Err(FrameDamage::Magic { found });
    }
    let version = u16_at(start, 4);
    if version != FRAME_VERSION {
        return Err(FrameDamage::Version { found: version });
    }
    let header = u16_at(start, 6);
    if usize::from(header) != FRAME_HEADER_BYTES {
        return Err(FrameDamage::HeaderLength { found: header });
    }
    let body = u32_at(start, 28);
    if FRAME_BYTES_MAX - FRAME_HEADER_BYTES < body as usize {
        return Err(FrameDamage::BodyLength { found: body });
    }
    Ok(FRAME_HEADER_BYTES + body as usize)
}

fn record_starts(bytes: &[u8], count: u32) -> Result<Vec<u32>, FrameDamage> {
    let mut starts = Vec::with_capacity(count as usize + 1);
    let mut at = FRAME_HEADER_BYTES;
    for index in 0..count {
        let left = bytes.len() - at;
        if left < LENGTH_BYTES {
            return Err(FrameDamage::Record { index, bytes: 0, left });
        }
        let length = u32_at(bytes, at);
        let left = left - LENGTH_BYTES;
        if left < length as usize || RECORD_BYTES_MAX < length as usize {
            return Err(FrameDamage::Record { index, bytes: length, left });
        }
        starts.push((at + LENGTH_BYTES) as u32);
        at += LENGTH_BYTES + length as usize;
    }
    if at != bytes.len() {
        return Err(FrameDamage::Trailing { left: bytes.len() - at });
    }
    starts.push((at + LENGTH_BYTES) as u32);
    Ok(starts)
}

fn checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&bytes[..CHECKED_BYTES]), &bytes[FRAME_HEADER_BYTES..])
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(number)
}

const GENESIS_BYTES: [u8; 32] = [
    0xd2, 0x68, 0x87, 0x52, 0x64, 0xdc, 0x81, 0xff, 0x21, 0xbe, 0xd5, 0x11, 0x60, 0xea, 0x4a, 0x07, 0x01, 0x34, 0xa3,
    0x5d, 0xb7, 0xef, 0x07, 0xf5, 0xc3, 0x85, 0xc7, 0xf9, 0x30, 0xa4, 0xa6, 0x11,
];

#[cfg(test)]
mod tests;
