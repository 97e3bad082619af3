//! The bytes of a snapshot. Knows no file.
//!
//! All numbers are little-endian. A snapshot is its header, its sections and its footer, one right behind the other.
//!
//! The header:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 4 | magic `KMBP` |
//! | 4 | 2 | format version, `VERSION` |
//! | 6 | 2 | kind: 1 for a base; 2 is left for a run of changes to a base |
//! | 8 | 8 | sequence number of the last record that is folded in |
//! | 16 | 8 | archived: keys of purchases up to this record are left to the segments of the archive |
//! | 24 | 8 | sequence number of the base; zero in a base |
//! | 32 | 32 | hash of the frame that ends with the last record |
//! | 64 | 4 | zero |
//! | 68 | 4 | CRC32C of bytes 0 to 68 |
//!
//! The sections, by their kinds and in this order:
//!
//! | kind | section | holds |
//! |---|---|---|
//! | 1 | rows | blocks of rows; for each row the customer (16), the last record that names it (8), length (4), value |
//! | 2 | row index | for each block its first customer (16), offset (8), length (4), CRC32C (4), count of rows (4) |
//! | 3 | desk | for each `DeskPiece` its length (4) and its value |
//! | 4 | totals | for each tenant its length (4) and the value of its id and its sums |
//! | 5 | keys | for each purchase booked after `archived` the prefix of its key (8) and the record (8), in their order |
//!
//! Rows rise by customer over all blocks, so that a row is found by its index and two runs merge as streams. A row tells
//! its tenant, so rows are the customer directory as well. Values are encoded as `kembali_journal::codec::encode_value`
//! does; a new shape of any of them is a new format version. A block holds about 8 KiB: one row is read in one piece.
//!
//! The footer:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 120 | the five sections, as described in [`crate::layout`]; of the rows, whose blocks have checksums, with none |
//! | 120 | 8 | count of rows |
//! | 128 | 32 | ledger digest |
//! | 160 | 32 | BLAKE3 of all bytes before the footer |
//! | 192 | 12 | the end of every footer, with the magic `KMBp` |

use kembali_core::{CustomerId, Seq};
use kembali_journal::FrameHash;

use super::Cut;
use crate::damage::{FileHash, Flaw, Found, ReadError};
use crate::disk::Stored;
use crate::layout::{Fields, SECTION_BYTES, Section, checked, read_footer, seal_footer};

/// Bytes before the first section.
pub(crate) const HEADER_BYTES: usize = 72;
/// A block of rows is closed once it holds so many bytes.
pub(crate) const BLOCK_BYTES: usize = 8 * 1024;
/// Bytes before the value of a row: customer, last record, length.
pub(crate) const ROW_HEAD_BYTES: usize = 16 + 8 + 4;
/// Bytes of an entry of the row index.
pub(crate) const INDEX_BYTES: usize = 16 + 8 + 4 + 4 + 4;
/// Bytes of an entry of the keys.
pub(crate) const KEY_BYTES: usize = 16;

const MAGIC: [u8; 4] = *b"KMBP";
pub(crate) const END_MAGIC: [u8; 4] = *b"KMBp";
/// 1 knew no Threshold programmes, points and campaigns, 2 no states of wallets, no operations, and no version and no
/// watermark among the sums, 3 no holds, 4 no reversals, 5 no erasure, 6 no external ids, 7 no descriptions. A snapshot of these is made anew from the records.
const VERSION: u16 = 8;
const KIND_BASE: u16 = 1;
const SECTIONS: usize = 5;
const FOOTER_BYTES: usize = SECTIONS * SECTION_BYTES + 8 + 32 + 32;

const _: () = assert!(FOOTER_BYTES == 192);

/// Where a block of rows lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RowBlock {
    pub(crate) first: CustomerId,
    pub(crate) offset: u64,
    pub(crate) length: u32,
    pub(crate) crc: u32,
    pub(crate) rows: u32,
}

/// What a snapshot says at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Footer {
    pub(crate) rows: Section,
    pub(crate) index: Section,
    pub(crate) desk: Section,
    pub(crate) totals: Section,
    pub(crate) keys: Section,
    pub(crate) row_count: u64,
    pub(crate) digest: FileHash,
    pub(crate) file_hash: FileHash,
}

pub(crate) fn encode_header(cut: &Cut) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_BYTES);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&KIND_BASE.to_le_bytes());
    for number in [cut.seq.0, cut.archived.0, 0] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out.extend_from_slice(&cut.hash.0);
    out.extend_from_slice(&[0; 4]);
    let crc = crc32c::crc32c(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    out
}

pub(crate) fn decode_header(bytes: &[u8]) -> Result<Cut, Flaw> {
    let found = Fields::new(bytes).array()?;
    if found != MAGIC {
        return Err(Flaw::Magic { what: "start of the file", expected: MAGIC, found });
    }
    // The checksum comes before the version: a flipped version is damage and not another build's.
    let mut fields = Fields::new(checked(bytes, "header")?);
    fields.take(MAGIC.len())?;
    for (what, expected) in [("format version of the snapshot", VERSION), ("kind of the snapshot", KIND_BASE)] {
        let found = fields.u16()?;
        if found != expected {
            return Err(Flaw::Version { what, expected: expected.into(), found: found.into() });
        }
    }
    let (seq, archived, base) = (Seq(fields.u64()?), Seq(fields.u64()?), fields.u64()?);
    let cut = Cut { seq, hash: FrameHash(fields.array()?), archived };
    if base != 0 || fields.u32()? != 0 {
        return Err(Flaw::OutOfRange("base or reserved field of the header"));
    }
    if seq == Seq::ZERO || seq < archived || seq.0 == u64::MAX {
        return Err(Flaw::OutOfRange("sequence number of the header"));
    }
    Ok(cut)
}

impl Footer {
    fn sections(&self) -> [(u32, Section, usize); SECTIONS] {
        let (rows, index, desk) = ((1, self.rows, 1), (2, self.index, INDEX_BYTES), (3, self.desk, 1));
        [rows, index, desk, (4, self.totals, 1), (5, self.keys, KEY_BYTES)]
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(FOOTER_BYTES);
        for (kind, section, _) in self.sections() {
            Section { kind, ..section }.encode(&mut out);
        }
        out.extend_from_slice(&self.row_count.to_le_bytes());
        out.extend_from_slice(&self.digest.0);
        out.extend_from_slice(&self.file_hash.0);
        seal_footer(&mut out, END_MAGIC);
        out
    }

    /// Reads the footer of a file and holds it against the size.
    pub(crate) fn read(stored: &Stored) -> Result<Footer, ReadError> {
        let (start, bytes) = read_footer(stored, HEADER_BYTES, END_MAGIC)?;
        let footer = Footer::decode(&bytes).and_then(|footer| footer.check(start).map(|()| footer));
        footer.map_err(|flaw| stored.damaged(Found::at(start, flaw)))
    }

    fn decode(bytes: &[u8]) -> Result<Footer, Flaw> {
        if bytes.len() != FOOTER_BYTES {
            return Err(Flaw::OutOfRange("length of the footer"));
        }
        let mut fields = Fields::new(bytes);
        Ok(Footer {
            rows: Section::decode(&mut fields)?,
            index: Section::decode(&mut fields)?,
            desk: Section::decode(&mut fields)?,
            totals: Section::decode(&mut fields)?,
            keys: Section::decode(&mut fields)?,
            row_count: fields.u64()?,
            digest: fields.hash()?,
            file_hash: fields.hash()?,
        })
    }

    /// Checks that the sections lie one behind the other and fill the file up to `start`.
    fn check(&self, start: u64) -> Result<(), Flaw> {
        let mut at = HEADER_BYTES as u64;
        for (kind, section, entry_bytes) in self.sections() {
            at = section.end(at)?;
            if section.kind != kind || !section.length.is_multiple_of(entry_bytes as u64) {
                return Err(Flaw::OutOfRange("length or kind of a section"));
            }
        }
        if self.rows.crc != 0 {
            return Err(Flaw::OutOfRange("checksum of the rows"));
        }
        if at == start { Ok(()) } else { Err(Flaw::Size { expected: at, found: start }) }
    }

    /// Reads the row index and holds it against the rows.
    pub(crate) fn read_index(&self, stored: &Stored) -> Result<Vec<RowBlock>, ReadError> {
        let bytes = self.index.read(stored, "row index")?;
        self.decode_index(&bytes).map_err(|flaw| stored.damaged(Found::at(self.index.offset, flaw)))
    }

    fn decode_index(&self, bytes: &[u8]) -> Result<Vec<RowBlock>, Flaw> {
        let mut fields = Fields::new(bytes);
        let mut blocks: Vec<RowBlock> = Vec::with_capacity(bytes.len() / INDEX_BYTES);
        let (mut at, mut rows) = (self.rows.offset, 0);
        while 0 < fields.left() {
            let block = RowBlock {
                first: CustomerId(fields.u128()?),
                offset: fields.u64()?,
                length: fields.u32()?,
                crc: fields.u32()?,
                rows: fields.u32()?,
            };
            if blocks.last().is_some_and(|last| block.first <= last.first) {
                return Err(Flaw::Order("row index"));
            }
            // More rows than fit would make a reader reserve memory for them.
            let rows_fit = u64::from(block.rows) * ROW_HEAD_BYTES as u64 <= u64::from(block.length);
            if block.offset != at || block.rows == 0 || !rows_fit {
                return Err(Flaw::OutOfRange("offset or count of a block of rows"));
            }
            // Cannot pass 64 bits: both are sums of 32-bit numbers over what fits a file.
            at += u64::from(block.length);
            rows += u64::from(block.rows);
            blocks.push(block);
        }
        let end = self.rows.offset + self.rows.length;
        if at != end || rows != self.row_count {
            return Err(Flaw::OutOfRange("end or count of the rows"));
        }
        Ok(blocks)
    }
}

/// A row as it lies in a block.
pub(crate) struct RowEntry<'a> {
    pub(crate) customer: CustomerId,
    pub(crate) last: Seq,
    pub(crate) value: &'a [u8],
}

impl RowEntry<'_> {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.customer.0.to_le_bytes());
        out.extend_from_slice(&self.last.0.to_le_bytes());
        // A row is far below 4 GiB: it has a wallet and a standing for each of a bounded number of rules.
        out.extend_from_slice(&(self.value.len() as u32).to_le_bytes());
        out.extend_from_slice(self.value);
    }
}

/// Takes the next row off a block.
pub(crate) fn next_row<'a>(fields: &mut Fields<'a>) -> Result<RowEntry<'a>, Flaw> {
    let (customer, last) = (CustomerId(fields.u128()?), Seq(fields.u64()?));
    let length = fields.u32()? as usize;
    Ok(RowEntry { customer, last, value: fields.take(length)? })
}
