//! Writes a segment as a stream: one frame at a time, and in memory no more than a block and the tables.

use std::path::Path;

use kembali_core::event::Record;
use kembali_core::totals::Totals;
use kembali_core::{CustomerId, Map, Seq};
use kembali_journal::codec::{self, DecodeError};
use kembali_journal::{Frame, FrameHash};
use thiserror::Error;
use zstd::bulk::Compressor;

use super::layout::{BLOCK_BYTES, Block, CUSTOMER_BYTES, Footer, Header, KEY_BYTES};
use super::{BookedKey, Segment, sums};
use crate::damage::{IoFault, ReadError};
use crate::disk::{NewFile, Steps};
use crate::layout::Section;
use crate::pause::pause;

/// The level at which zstd compresses. Its default writes a tenth less and takes twice the time, while purchases are booked.
const LEVEL: i32 = 1;

/// Why a generation was not archived.
#[derive(Debug, Error)]
pub enum AddError<E: std::error::Error + 'static> {
    /// The generation still takes frames.
    #[error("generation {generation} is not sealed")]
    NotSealed {
        /// Its number.
        generation: u64,
    },
    /// The generation is not the one that follows the archive.
    #[error(
        "generation {generation} starts at sequence number {}, the archive goes on with generation {} at {}",
        first.0, expected_generation, expected_first.0
    )]
    NotNext {
        /// Its number.
        generation: u64,
        /// Its first record.
        first: Seq,
        /// The generation that may be added.
        expected_generation: u64,
        /// The record that may be added.
        expected_first: Seq,
    },
    /// The frames could not be read.
    #[error("reading the frames to be archived: {0}")]
    Frames(E),
    /// The frames are not those of the generation.
    #[error("the frames end before sequence number {} or leave it out", expected.0)]
    NotDense {
        /// The record that should have come.
        expected: Seq,
    },
    /// A frame does not follow the one before it.
    #[error("the frame at sequence number {} follows {found}, expected {expected}", first.0)]
    Chain {
        /// Its first record.
        first: Seq,
        /// The hash of the frame before it.
        expected: FrameHash,
        /// The hash that it names.
        found: FrameHash,
    },
    /// A record's bytes are whole and no record.
    #[error("the record at sequence number {} cannot be read: {source}", seq.0)]
    Record {
        /// Which.
        seq: Seq,
        /// Why. Displayed as part of the error, since start-up prints one line.
        source: DecodeError,
    },
    /// The sums of the segment before could not be read.
    #[error("reading the sums at the end of the segment before: {0}")]
    SumsBefore(ReadError),
    /// A file could not be written. The archive is as it was, or has the segment at its next open.
    #[error(transparent)]
    Io(#[from] IoFault),
    /// What was written does not read back.
    #[error("reading back what was archived: {0}")]
    ReadBack(ReadError),
}

/// What the frames of a segment have to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    pub(crate) generation: u64,
    pub(crate) first_seq: Seq,
    pub(crate) last_seq: Seq,
    pub(crate) previous: FrameHash,
}

/// What the tables of a segment hold, gathered from its records.
#[derive(Default)]
pub(super) struct Tables {
    keys: Vec<BookedKey>,
    customers: Map<CustomerId, Seq>,
}

impl Tables {
    pub(super) fn see(&mut self, record: &Record) {
        for event in &record.body.events {
            if let Some(key) = event.booked_key() {
                self.keys.push(BookedKey { prefix: key.prefix(), seq: record.seq });
            }
        }
        if let Some(customer) = record.body.customer {
            self.customers.insert(customer, record.seq);
        }
    }

    pub(super) fn sorted(mut self) -> (Vec<BookedKey>, Vec<(CustomerId, Seq)>) {
        self.keys.sort_unstable();
        let mut customers: Vec<_> = self.customers.into_iter().collect();
        customers.sort_unstable();
        (self.keys, customers)
    }
}

/// Decodes every record of a frame.
pub(super) fn records(frame: &Frame) -> impl Iterator<Item = Result<Record, (Seq, DecodeError)>> + '_ {
    let seqs = (frame.first_seq().0..).map(Seq);
    seqs.zip(frame.records()).map(|(seq, bytes)| codec::decode(seq, bytes).map_err(|source| (seq, source)))
}

/// Writes the segment of `expected` at `path`, durably, and reads it back; shows each of its records to `see`. `sums` are those of all
/// records before it.
pub(crate) fn write<E: std::error::Error + 'static>(
    path: &Path,
    steps: &Steps,
    expected: Expected,
    (frames, mut see): (impl IntoIterator<Item = Result<Frame, E>>, impl FnMut(&Record)),
    mut sums: Totals,
) -> Result<Segment, AddError<E>> {
    let Expected { generation, first_seq, last_seq, previous } = expected;
    let header = Header { generation, first_seq, last_seq, previous };
    let compressor = Compressor::new(LEVEL).map_err(IoFault::new("preparing to compress", path))?;
    let (file, raw, done) = (NewFile::create(path, steps)?, Vec::new(), Vec::new());
    let mut blocks = Blocks { file, compressor, raw, frames: 0, done };
    blocks.file.put(&header.encode())?;
    let mut tables = Tables::default();
    let (mut next, mut hash) = (first_seq, previous);
    for frame in frames {
        let frame = frame.map_err(AddError::Frames)?;
        if frame.first_seq() != next || last_seq < frame.last_seq() {
            return Err(AddError::NotDense { expected: next });
        }
        if frame.previous() != hash {
            return Err(AddError::Chain { first: next, expected: hash, found: frame.previous() });
        }
        for record in records(&frame) {
            let record = record.map_err(|(seq, source)| AddError::Record { seq, source })?;
            tables.see(&record);
            sums.evolve(&record);
            see(&record);
            pause();
        }
        blocks.put(&frame)?;
        (next, hash) = (frame.last_seq().next(), frame.hash());
    }
    if next != last_seq.next() {
        return Err(AddError::NotDense { expected: next });
    }
    blocks.close()?;
    let Blocks { mut file, done, .. } = blocks;
    let (keys, customers) = tables.sorted();
    let keys = put_section(&mut file, keys.iter().map(key_entry))?;
    let customers = put_section(&mut file, customers.iter().map(customer_entry))?;
    let sums = put_section(&mut file, [sums::encode(&sums)])?;
    let footer = Footer { blocks: done, keys, customers, sums, last_hash: hash, file_hash: file.hash() };
    file.put(&footer.encode())?;
    let path = file.publish()?;
    let segment = Segment::open(&path).map_err(AddError::ReadBack)?;
    segment.check_read_back(footer.file_hash).map_err(AddError::ReadBack)?;
    Ok(segment)
}

pub(super) fn key_entry(key: &BookedKey) -> [u8; KEY_BYTES] {
    let mut entry = [0; KEY_BYTES];
    entry[..8].copy_from_slice(&key.prefix.to_le_bytes());
    entry[8..].copy_from_slice(&key.seq.0.to_le_bytes());
    entry
}

pub(super) fn customer_entry(customer: &(CustomerId, Seq)) -> [u8; CUSTOMER_BYTES] {
    let mut entry = [0; CUSTOMER_BYTES];
    entry[..16].copy_from_slice(&customer.0.0.to_le_bytes());
    entry[16..].copy_from_slice(&customer.1.0.to_le_bytes());
    entry
}

fn put_section<B: AsRef<[u8]>>(file: &mut NewFile, parts: impl IntoIterator<Item = B>) -> Result<Section, IoFault> {
    let (offset, mut crc) = (file.offset(), 0);
    for part in parts {
        crc = crc32c::crc32c_append(crc, part.as_ref());
        file.put(part.as_ref())?;
    }
    Ok(Section { offset, length: file.offset() - offset, crc, kind: 0 })
}

/// Gathers frames to blocks.
struct Blocks {
    file: NewFile,
    compressor: Compressor<'static>,
    /// The frames of the block that is open.
    raw: Vec<u8>,
    /// How many.
    frames: u32,
    done: Vec<Block>,
}

impl Blocks {
    fn put(&mut self, frame: &Frame) -> Result<(), IoFault> {
        if self.frames == 0 {
            let (first_seq, offset) = (frame.first_seq(), self.file.offset());
            self.done.push(Block { first_seq, offset, stored_bytes: 0, raw_bytes: 0, crc: 0, frames: 0 });
        }
        self.raw.extend_from_slice(frame.bytes());
        self.frames += 1;
        if BLOCK_BYTES <= self.raw.len() { self.close() } else { Ok(()) }
    }

    fn close(&mut self) -> Result<(), IoFault> {
        let Some(block) = self.done.last_mut().filter(|_| 0 < self.frames) else { return Ok(()) };
        let stored = self.compressor.compress(&self.raw);
        let stored = stored.map_err(IoFault::new("compressing a block of", self.file.path()))?;
        // Both fit: the layout bounds a block far below 4 GiB.
        (block.stored_bytes, block.raw_bytes) = (stored.len() as u32, self.raw.len() as u32);
        (block.crc, block.frames) = (crc32c::crc32c(&stored), self.frames);
        self.file.put(&stored)?;
        self.raw.clear();
        self.frames = 0;
        Ok(())
    }
}
