//! The bytes of a segment. Knows no file.
//!
//! All numbers are little-endian. A segment is its header, its blocks, the key table, the customer table, the sums
//! and the footer, one right behind the other.
//!
//! The header:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 4 | magic `KMBA` |
//! | 4 | 2 | format version, 1 |
//! | 6 | 2 | header length, 72 |
//! | 8 | 8 | generation of the journal |
//! | 16 | 8 | sequence number of the first record |
//! | 24 | 8 | sequence number of the last record |
//! | 32 | 32 | hash of the frame before the first, or `FrameHash::GENESIS` |
//! | 64 | 4 | zero |
//! | 68 | 4 | CRC32C of bytes 0 to 68 |
//!
//! A block is one zstd frame of the bytes of whole journal frames, as the journal stored them, about 256 KiB of them.
//!
//! An entry of the key table has 16 bytes: the prefix of a booked purchase's key (8), the record that booked it (8). An
//! entry of the customer table has 24: the customer (16), the last record of the segment that names it (8). Entries
//! rise.
//!
//! The sums are those of all records from the first of the ledger to the last of this segment: version (2), 4; then for
//! each tenant the length of its value (4) and the value of its id and its sums, as
//! `kembali_journal::codec::encode_value` writes it. So a report as of a past position needs no more than one segment.
//!
//! The footer starts with an entry of 32 bytes for each block:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | sequence number of its first record |
//! | 8 | 8 | where it starts in the file |
//! | 16 | 4 | length in the file |
//! | 20 | 4 | length decompressed |
//! | 24 | 4 | CRC32C of it in the file |
//! | 28 | 4 | count of frames |
//!
//! and goes on with, counted from there:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | count of blocks |
//! | 8 | 24 | key table, as described in [`crate::layout`] |
//! | 32 | 24 | customer table |
//! | 56 | 24 | sums |
//! | 80 | 32 | hash of the last frame |
//! | 112 | 32 | BLAKE3 of all bytes before the footer |
//! | 144 | 12 | the end of every footer, with the magic `KMBa` |

use kembali_core::Seq;
use kembali_journal::{FRAME_BYTES_MAX, FrameHash};

use crate::damage::{FileHash, Flaw, Found, ReadError};
use crate::disk::Stored;
use crate::layout::{END_BYTES, Fields, SECTION_BYTES, Section, checked, read_footer, seal_footer};

/// Bytes before the first block.
pub(crate) const HEADER_BYTES: usize = 72;
/// Bytes of an entry of the key table.
pub(crate) const KEY_BYTES: usize = 16;
/// Bytes of an entry of the customer table.
pub(crate) const CUSTOMER_BYTES: usize = 24;
/// A block is closed once it holds so many bytes of frames.
pub(crate) const BLOCK_BYTES: usize = 256 * 1024;
/// The most bytes of frames that a block can hold: it is closed by the frame that fills it.
pub(crate) const BLOCK_BYTES_MAX: usize = BLOCK_BYTES + FRAME_BYTES_MAX;
/// The most bytes that a block can take in the file: zstd adds little to what it cannot compress.
const STORED_BYTES_MAX: usize = BLOCK_BYTES_MAX + BLOCK_BYTES_MAX / 128 + 1024;

const MAGIC: [u8; 4] = *b"KMBA";
pub(crate) const END_MAGIC: [u8; 4] = *b"KMBa";
const VERSION: u16 = 1;
const BLOCK_ENTRY_BYTES: usize = 32;
const FIXED_BYTES: usize = 8 + 3 * SECTION_BYTES + 32 + 32;

const _: () = assert!(STORED_BYTES_MAX <= u32::MAX as usize);
const _: () = assert!(FIXED_BYTES + END_BYTES == 156);

/// What a segment says at its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) generation: u64,
    pub(crate) first_seq: Seq,
    pub(crate) last_seq: Seq,
    pub(crate) previous: FrameHash,
}

/// Where a block lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) first_seq: Seq,
    pub(crate) offset: u64,
    pub(crate) stored_bytes: u32,
    pub(crate) raw_bytes: u32,
    pub(crate) crc: u32,
    pub(crate) frames: u32,
}

/// What a segment says at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Footer {
    pub(crate) blocks: Vec<Block>,
    pub(crate) keys: Section,
    pub(crate) customers: Section,
    pub(crate) sums: Section,
    pub(crate) last_hash: FrameHash,
    pub(crate) file_hash: FileHash,
}

impl Header {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_BYTES);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&(HEADER_BYTES as u16).to_le_bytes());
        out.extend_from_slice(&self.generation.to_le_bytes());
        out.extend_from_slice(&self.first_seq.0.to_le_bytes());
        out.extend_from_slice(&self.last_seq.0.to_le_bytes());
        out.extend_from_slice(&self.previous.0);
        out.extend_from_slice(&[0; 4]);
        let crc = crc32c::crc32c(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Header, Flaw> {
        let mut fields = Fields::new(bytes);
        let found = fields.array()?;
        if found != MAGIC {
            return Err(Flaw::Magic { what: "start of the file", expected: MAGIC, found });
        }
        // The checksum comes before the version: a flipped version is damage and not another build's.
        let mut fields = Fields::new(checked(bytes, "header")?);
        fields.take(MAGIC.len())?;
        let version = fields.u16()?;
        if version != VERSION {
            let (expected, found) = (VERSION.into(), version.into());
            return Err(Flaw::Version { what: "format version of the segment", expected, found });
        }
        if usize::from(fields.u16()?) != HEADER_BYTES {
            return Err(Flaw::OutOfRange("length of the header"));
        }
        let header = Header {
            generation: fields.u64()?,
            first_seq: Seq(fields.u64()?),
            last_seq: Seq(fields.u64()?),
            previous: FrameHash(fields.array()?),
        };
        if fields.u32()? != 0 {
            return Err(Flaw::OutOfRange("reserved field of the header"));
        }
        let in_range = header.first_seq != Seq::ZERO && header.first_seq <= header.last_seq;
        if !in_range || header.last_seq.0 == u64::MAX {
            return Err(Flaw::OutOfRange("range of sequence numbers"));
        }
        Ok(header)
    }
}

impl Footer {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.blocks.len() * BLOCK_ENTRY_BYTES + FIXED_BYTES + END_BYTES);
        for block in &self.blocks {
            out.extend_from_slice(&block.first_seq.0.to_le_bytes());
            out.extend_from_slice(&block.offset.to_le_bytes());
            for number in [block.stored_bytes, block.raw_bytes, block.crc, block.frames] {
                out.extend_from_slice(&number.to_le_bytes());
            }
        }
        out.extend_from_slice(&(self.blocks.len() as u64).to_le_bytes());
        for section in [self.keys, self.customers, self.sums] {
            section.encode(&mut out);
        }
        out.extend_from_slice(&self.last_hash.0);
        out.extend_from_slice(&self.file_hash.0);
        seal_footer(&mut out, END_MAGIC);
        out
    }

    /// Reads the footer of a file and holds it against the header and the size.
    pub(crate) fn read(stored: &Stored, header: &Header) -> Result<Footer, ReadError> {
        let (start, bytes) = read_footer(stored, HEADER_BYTES, END_MAGIC)?;
        let footer = Footer::decode(&bytes).and_then(|footer| footer.check(header, start).map(|()| footer));
        footer.map_err(|flaw| stored.damaged(Found::at(start, flaw)))
    }

    fn decode(bytes: &[u8]) -> Result<Footer, Flaw> {
        let index_bytes = bytes.len().checked_sub(FIXED_BYTES).ok_or(Flaw::OutOfRange("length of the footer"))?;
        let (index, fixed) = bytes.split_at(index_bytes);
        let (mut fields, mut index) = (Fields::new(fixed), Fields::new(index));
        let count = fields.u64()?;
        if !index_bytes.is_multiple_of(BLOCK_ENTRY_BYTES) || count != (index_bytes / BLOCK_ENTRY_BYTES) as u64 {
            return Err(Flaw::OutOfRange("count of blocks"));
        }
        let mut blocks = Vec::with_capacity(count as usize);
        while 0 < index.left() {
            blocks.push(Block {
                first_seq: Seq(index.u64()?),
                offset: index.u64()?,
                stored_bytes: index.u32()?,
                raw_bytes: index.u32()?,
                crc: index.u32()?,
                frames: index.u32()?,
            });
        }
        Ok(Footer {
            blocks,
            keys: Section::decode(&mut fields)?,
            customers: Section::decode(&mut fields)?,
            sums: Section::decode(&mut fields)?,
            last_hash: FrameHash(fields.array()?),
            file_hash: fields.hash()?,
        })
    }

    /// Checks that everything lies where nothing else does, and fills the file up to `start`.
    fn check(&self, header: &Header, start: u64) -> Result<(), Flaw> {
        let mut at = HEADER_BYTES as u64;
        let mut least = header.first_seq;
        for (index, block) in self.blocks.iter().enumerate() {
            let seq_fits = if index == 0 { block.first_seq == least } else { least < block.first_seq };
            if !seq_fits || header.last_seq < block.first_seq {
                return Err(Flaw::OutOfRange("first sequence number of a block"));
            }
            let length_fits = 0 < block.raw_bytes && block.raw_bytes as usize <= BLOCK_BYTES_MAX;
            if block.offset != at || !length_fits || STORED_BYTES_MAX < block.stored_bytes as usize {
                return Err(Flaw::OutOfRange("offset or length of a block"));
            }
            // Cannot pass 64 bits: at most 2^27 blocks fit a footer, of less than 2^24 bytes each.
            at += u64::from(block.stored_bytes);
            least = block.first_seq;
        }
        if self.blocks.is_empty() {
            return Err(Flaw::OutOfRange("count of blocks"));
        }
        for (section, entry_bytes) in [(self.keys, KEY_BYTES), (self.customers, CUSTOMER_BYTES), (self.sums, 1)] {
            at = section.end(at)?;
            if !section.length.is_multiple_of(entry_bytes as u64) || section.kind != 0 {
                return Err(Flaw::OutOfRange("length or kind of a section"));
            }
        }
        if at == start { Ok(()) } else { Err(Flaw::Size { expected: at, found: start }) }
    }
}
