//! One immutable segment of the archive: one sealed generation of the journal.
//!
//! The bytes are described in [`layout`]. Opening checks all but the blocks; a block is checked whenever it is read;
//! [`Segment::verify`] reads everything.

pub(crate) mod layout;
mod sums;
mod verify;
mod write;

use std::path::Path;

use kembali_core::totals::Totals;
use kembali_core::{CustomerId, Seq};
use kembali_journal::{FRAME_HEADER_BYTES, Frame, FrameDamage, FrameHash};
pub use verify::SegmentReport;
pub use write::AddError;
pub(crate) use write::{Expected, write};

use crate::damage::{FileHash, Flaw, Found, ReadError, Remedy};
use crate::disk::Stored;
use crate::layout::Fields;
use layout::{Block, CUSTOMER_BYTES, Footer, HEADER_BYTES, Header, KEY_BYTES};

/// Where a frame's header says how long its body is.
const BODY_LENGTH_AT: usize = 28;

/// A purchase that a segment books: the prefix of its key, and the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BookedKey {
    /// See `PurchaseKey::prefix`.
    pub prefix: u64,
    /// The record that books it.
    pub seq: Seq,
}

/// A segment, opened and checked but for its blocks.
#[derive(Debug)]
pub struct Segment {
    stored: Stored,
    header: Header,
    footer: Footer,
}

impl Segment {
    /// Opens a segment and checks header, footer, sizes, tables and sums; no block is read.
    ///
    /// # Errors
    ///
    /// [`ReadError`], naming the file and the place.
    pub fn open(path: &Path) -> Result<Segment, ReadError> {
        let stored = Stored::new(path, Remedy::RestoreSegment)?;
        if stored.size < HEADER_BYTES as u64 {
            let flaw = Flaw::Size { expected: HEADER_BYTES as u64, found: stored.size };
            return Err(stored.damaged(Found::at(0, flaw)));
        }
        let start = stored.reader()?.read(0, HEADER_BYTES)?;
        let header = Header::decode(&start).map_err(|flaw| stored.damaged(Found::at(0, flaw)))?;
        let footer = Footer::read(&stored, &header)?;
        footer.keys.check(&stored, "key table")?;
        footer.customers.check(&stored, "customer table")?;
        footer.sums.check(&stored, "sums")?;
        Ok(Segment { stored, header, footer })
    }

    /// Returns the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.stored.path
    }

    /// Returns the size of the file in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.stored.size
    }

    /// Returns the number of the generation that it was.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.header.generation
    }

    /// Returns its first record.
    #[must_use]
    pub fn first_seq(&self) -> Seq {
        self.header.first_seq
    }

    /// Returns its last record.
    #[must_use]
    pub fn last_seq(&self) -> Seq {
        self.header.last_seq
    }

    /// Returns the hash of the frame before its first.
    #[must_use]
    pub fn previous(&self) -> FrameHash {
        self.header.previous
    }

    /// Returns the hash of its last frame.
    #[must_use]
    pub fn last_hash(&self) -> FrameHash {
        self.footer.last_hash
    }

    /// Returns how many purchases it books.
    #[must_use]
    pub fn key_count(&self) -> u64 {
        self.footer.keys.length / KEY_BYTES as u64
    }

    /// Reads the frame that holds `seq`, or `None` when the segment does not hold it.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when the block that should hold it is damaged.
    pub fn frame_of(&self, seq: Seq) -> Result<Option<Frame>, ReadError> {
        let Some(block) = self.block_of(seq) else { return Ok(None) };
        Ok(frame_in(&self.read_block(block)?, seq))
    }

    /// Iterates over its frames in order; ends after the first error.
    pub fn frames(&self) -> impl Iterator<Item = Result<Frame, ReadError>> + '_ {
        let mut previous = self.header.previous;
        let mut failed = false;
        let blocks = (0..self.footer.blocks.len()).flat_map(move |block| {
            let read = self.read_block(block).and_then(|frames| {
                self.check_link(block, previous, &frames[0])?;
                previous = frames[frames.len() - 1].hash();
                Ok(frames)
            });
            match read {
                Ok(frames) => frames.into_iter().map(Ok).collect::<Vec<_>>(),
                Err(error) => vec![Err(error)],
            }
        });
        blocks.take_while(move |read| !std::mem::replace(&mut failed, read.is_err()))
    }

    /// Finds the block that holds `seq`.
    pub(crate) fn block_of(&self, seq: Seq) -> Option<usize> {
        if seq < self.header.first_seq || self.header.last_seq < seq {
            return None;
        }
        self.footer.blocks.partition_point(|block| block.first_seq <= seq).checked_sub(1)
    }

    /// Reads a block: checksum, length, every frame, their order and the chain between them. Never empty.
    pub(crate) fn read_block(&self, index: usize) -> Result<Vec<Frame>, ReadError> {
        let block = &self.footer.blocks[index];
        let bytes = self.stored.reader()?.read(block.offset, block.stored_bytes as usize)?;
        let frames = self.parse_block(index, block, &bytes);
        frames.map_err(|found| self.stored.damaged(found.placed(block.offset)))
    }

    fn parse_block(&self, index: usize, block: &Block, bytes: &[u8]) -> Result<Vec<Frame>, Found> {
        let whole = |flaw| Found::of(block.first_seq, flaw);
        let found = crc32c::crc32c(bytes);
        if found != block.crc {
            return Err(whole(Flaw::Checksum { what: "block", expected: block.crc, found }));
        }
        let raw = zstd::bulk::decompress(bytes, block.raw_bytes as usize)
            .map_err(|error| whole(Flaw::Compression { block: index, said: error.to_string() }))?;
        if raw.len() != block.raw_bytes as usize {
            return Err(whole(Flaw::Size { expected: block.raw_bytes.into(), found: raw.len() as u64 }));
        }
        let mut frames: Vec<Frame> = Vec::with_capacity(block.frames.min(4096) as usize);
        let (mut rest, mut next) = (raw.as_slice(), block.first_seq);
        while !rest.is_empty() {
            let (bytes, left) = split_frame(rest).map_err(|flaw| Found::of(next, flaw))?;
            let frame = Frame::parse(bytes).map_err(|damage| Found::of(next, Flaw::Frame(damage)))?;
            if frame.first_seq() != next {
                return Err(Found::of(next, Flaw::NotDense { expected: next, found: frame.first_seq() }));
            }
            if let Some(last) = frames.last() {
                chain(last, frame.previous())?;
            }
            (rest, next) = (left, frame.last_seq().next());
            frames.push(frame);
        }
        let end = self.footer.blocks.get(index + 1).map_or(self.header.last_seq.next(), |block| block.first_seq);
        if next != end {
            return Err(Found::of(next.min(end), Flaw::NotDense { expected: end, found: next }));
        }
        if frames.len() != block.frames as usize {
            return Err(whole(Flaw::OutOfRange("count of frames of a block")));
        }
        if let Some(last) = frames.last().filter(|_| index + 1 == self.footer.blocks.len()) {
            chain(last, self.footer.last_hash)?;
        }
        Ok(frames)
    }

    /// Checks that a block's first frame follows the frame hashed `previous`.
    fn check_link(&self, block: usize, previous: FrameHash, first: &Frame) -> Result<(), ReadError> {
        if first.previous() == previous {
            return Ok(());
        }
        let block = &self.footer.blocks[block];
        // The frame before may have been changed: it is the last of the block before.
        let seq = Seq(block.first_seq.0.saturating_sub(1).max(self.header.first_seq.0));
        let flaw = Flaw::Chain { first: seq, last: seq, expected: first.previous(), found: previous };
        Err(self.stored.damaged(Found::of(seq, flaw).placed(block.offset)))
    }

    /// Reads every purchase that the segment books, in order of the prefixes.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when the key table is damaged.
    pub fn keys(&self) -> Result<Vec<BookedKey>, ReadError> {
        let bytes = self.footer.keys.read(&self.stored, "key table")?;
        let mut fields = Fields::new(&bytes);
        let mut keys = Vec::with_capacity(bytes.len() / KEY_BYTES);
        while 0 < fields.left() {
            let key = fields.u64().and_then(|prefix| Ok(BookedKey { prefix, seq: Seq(fields.u64()?) }));
            keys.push(key.map_err(|flaw| self.stored.damaged(Found::at(self.footer.keys.offset, flaw)))?);
        }
        Ok(keys)
    }

    /// Finds the last record of the segment that names `customer`, or `None` when none does.
    ///
    /// Reads some ten entries of the customer table, which was checked when the segment was opened.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when the table cannot be read.
    pub fn last_record_of(&self, customer: CustomerId) -> Result<Option<Seq>, ReadError> {
        let reader = self.stored.reader()?;
        let entry_at = |index: u64| self.footer.customers.offset + index * CUSTOMER_BYTES as u64;
        let (mut low, mut high) = (0, self.footer.customers.length / CUSTOMER_BYTES as u64);
        let mut entry = [0; CUSTOMER_BYTES];
        while low < high {
            let middle = low + (high - low) / 2;
            reader.fill(entry_at(middle), &mut entry)?;
            let (id, seq) = customer_entry(&entry);
            match id.cmp(&customer) {
                std::cmp::Ordering::Equal => return Ok(Some(seq)),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Ok(None)
    }

    /// Reads the sums of all records up to its last one.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when they are damaged.
    pub fn sums(&self) -> Result<Totals, ReadError> {
        let bytes = self.footer.sums.read(&self.stored, "sums")?;
        let sums = sums::decode(&bytes, self.last_seq());
        sums.map_err(|flaw| self.stored.damaged(Found::at(self.footer.sums.offset, flaw)))
    }

    /// Returns where the footer starts: what the hash of the file covers ends there.
    pub(crate) fn footer_start(&self) -> u64 {
        self.footer.sums.offset + self.footer.sums.length
    }

    #[cfg(test)]
    pub(crate) fn bytes_behind_blocks(&self) -> usize {
        (self.stored.size - self.footer.keys.offset) as usize
    }

    /// Returns what lies between the blocks and the footer, of all bytes of the file.
    #[cfg(test)]
    pub(crate) fn after_blocks<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[self.footer.keys.offset as usize..self.footer_start() as usize]
    }

    /// Returns the hash of all bytes before the footer.
    #[must_use]
    pub fn file_hash(&self) -> FileHash {
        self.footer.file_hash
    }

    /// Reads all bytes and checks their hash, without understanding them.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when they are not those that were written.
    pub fn check_bytes(&self) -> Result<(), ReadError> {
        let (expected, found) = (self.footer.file_hash, self.stored.hash(self.footer_start())?);
        if expected == found {
            return Ok(());
        }
        Err(self.stored.damaged(Found::whole(Flaw::FileHash { expected, found })))
    }

    /// Checks that the file holds the bytes whose hash is `written`.
    pub(crate) fn check_read_back(&self, written: FileHash) -> Result<(), ReadError> {
        let read = self.stored.hash(self.footer_start())?;
        if read == written && self.footer.file_hash == written {
            return Ok(());
        }
        Err(Found::whole(Flaw::ReadBack).in_file(self.path(), Remedy::RemoveNew))
    }
}

/// Finds the frame that holds `seq` among frames in order.
pub(crate) fn frame_in(frames: &[Frame], seq: Seq) -> Option<Frame> {
    let at = frames.partition_point(|frame| frame.last_seq() < seq);
    frames.get(at).filter(|frame| frame.first_seq() <= seq).cloned()
}

/// Checks that `expected` is the hash of `frame`.
fn chain(frame: &Frame, expected: FrameHash) -> Result<(), Found> {
    let (first, last, found) = (frame.first_seq(), frame.last_seq(), frame.hash());
    if found == expected {
        return Ok(());
    }
    // Either frame may have been changed; a change leaves the hash of the earlier one wrong far more often.
    Err(Found::of(first, Flaw::Chain { first, last, expected, found }))
}

/// Splits the bytes of the first frame off.
fn split_frame(bytes: &[u8]) -> Result<(&[u8], &[u8]), Flaw> {
    let short = |expected| Flaw::Frame(FrameDamage::Short { expected, found: bytes.len() });
    let header = bytes.get(..FRAME_HEADER_BYTES).ok_or_else(|| short(FRAME_HEADER_BYTES))?;
    let body_bytes = Fields::new(&header[BODY_LENGTH_AT..]).u32()? as usize;
    let length = FRAME_HEADER_BYTES.saturating_add(body_bytes);
    bytes.split_at_checked(length).ok_or_else(|| short(length))
}

fn customer_entry(entry: &[u8; CUSTOMER_BYTES]) -> (CustomerId, Seq) {
    let (mut id, mut seq) = ([0; 16], [0; 8]);
    id.copy_from_slice(&entry[..16]);
    seq.copy_from_slice(&entry[16..]);
    (CustomerId(u128::from_le_bytes(id)), Seq(u64::from_le_bytes(seq)))
}
