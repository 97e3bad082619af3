//! What segments and snapshots share in their layout: numbers, sections, the end of the file.
//!
//! All numbers are little-endian. A section of a file is described by 24 bytes:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | where it starts in the file |
//! | 8 | 8 | its length in bytes |
//! | 16 | 4 | CRC32C of it |
//! | 20 | 4 | its kind, or zero |
//!
//! Every file ends with a footer, and every footer with 12 bytes:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 4 | length of the footer in bytes, these 12 included |
//! | 4 | 4 | CRC32C of the footer before this field |
//! | 8 | 4 | end magic |

use crate::damage::{FileHash, Flaw, Found, ReadError};
use crate::disk::Stored;

/// Bytes of a section's description.
pub(crate) const SECTION_BYTES: usize = 24;
/// Bytes that every footer ends with.
pub(crate) const END_BYTES: usize = 12;

/// Reads fields one after the other; a field that is not there is a flaw.
pub(crate) struct Fields<'a> {
    bytes: &'a [u8],
    taken: usize,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Fields<'a> {
        Fields { bytes, taken: 0 }
    }

    /// Returns how many bytes are left.
    pub(crate) fn left(&self) -> usize {
        self.bytes.len() - self.taken
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Flaw> {
        let left = &self.bytes[self.taken..];
        let short = || Flaw::Size { expected: (self.taken as u64) + count as u64, found: self.bytes.len() as u64 };
        let taken = left.get(..count).ok_or_else(short)?;
        self.taken += count;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Flaw> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Flaw> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Flaw> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Flaw> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(crate) fn u128(&mut self) -> Result<u128, Flaw> {
        Ok(u128::from_le_bytes(self.array()?))
    }

    pub(crate) fn hash(&mut self) -> Result<FileHash, Flaw> {
        Ok(FileHash(self.array()?))
    }
}

/// Where a section of a file lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Section {
    pub(crate) offset: u64,
    pub(crate) length: u64,
    pub(crate) crc: u32,
    pub(crate) kind: u32,
}

impl Section {
    pub(crate) fn encode(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.offset.to_le_bytes());
        out.extend_from_slice(&self.length.to_le_bytes());
        out.extend_from_slice(&self.crc.to_le_bytes());
        out.extend_from_slice(&self.kind.to_le_bytes());
    }

    pub(crate) fn decode(fields: &mut Fields<'_>) -> Result<Section, Flaw> {
        Ok(Section { offset: fields.u64()?, length: fields.u64()?, crc: fields.u32()?, kind: fields.u32()? })
    }

    /// Checks that it starts at `start`, and returns where it ends.
    ///
    /// Sections lie one behind the other, so that no byte of a file belongs to none.
    pub(crate) fn end(&self, start: u64) -> Result<u64, Flaw> {
        let end = self.offset.checked_add(self.length).ok_or(Flaw::OutOfRange("length of a section"))?;
        if self.offset == start { Ok(end) } else { Err(Flaw::OutOfRange("offset of a section")) }
    }

    /// Checks the checksum without keeping the bytes.
    pub(crate) fn check(&self, stored: &Stored, what: &'static str) -> Result<(), ReadError> {
        let mut found = 0;
        stored.reader()?.stream(self.offset, self.length, |part| found = crc32c::crc32c_append(found, part))?;
        self.hold(stored, what, found)
    }

    /// Reads all of it and checks the checksum.
    pub(crate) fn read(&self, stored: &Stored, what: &'static str) -> Result<Vec<u8>, ReadError> {
        let length = usize::try_from(self.length);
        let length = length.map_err(|_| stored.damaged(Found::at(self.offset, Flaw::OutOfRange(what))))?;
        let bytes = stored.reader()?.read(self.offset, length)?;
        self.hold(stored, what, crc32c::crc32c(&bytes))?;
        Ok(bytes)
    }

    fn hold(&self, stored: &Stored, what: &'static str, found: u32) -> Result<(), ReadError> {
        let flaw = Flaw::Checksum { what, expected: self.crc, found };
        if found == self.crc { Ok(()) } else { Err(stored.damaged(Found::at(self.offset, flaw))) }
    }
}

/// Checks a checksum that stands at the end of `bytes`, and returns what is before it.
pub(crate) fn checked<'a>(bytes: &'a [u8], what: &'static str) -> Result<&'a [u8], Flaw> {
    let short = Flaw::Size { expected: 4, found: bytes.len() as u64 };
    let (before, stored) = bytes.split_last_chunk::<4>().ok_or(short)?;
    let (expected, found) = (u32::from_le_bytes(*stored), crc32c::crc32c(before));
    if expected == found { Ok(before) } else { Err(Flaw::Checksum { what, expected, found }) }
}

/// Appends the 12 bytes that every footer ends with.
pub(crate) fn seal_footer(footer: &mut Vec<u8>, magic: [u8; 4]) {
    // A footer grows with the blocks of a file, whose sizes are bounded far below 4 GiB of footer.
    let length = (footer.len() + END_BYTES) as u32;
    footer.extend_from_slice(&length.to_le_bytes());
    let crc = crc32c::crc32c(footer);
    footer.extend_from_slice(&crc.to_le_bytes());
    footer.extend_from_slice(&magic);
}

/// Reads a footer that lies behind at least `header_bytes` and checks it. Returns where it starts, and it without its
/// last 12 bytes.
pub(crate) fn read_footer(stored: &Stored, header_bytes: usize, magic: [u8; 4]) -> Result<(u64, Vec<u8>), ReadError> {
    let least = (header_bytes + END_BYTES) as u64;
    if stored.size < least {
        return Err(stored.damaged(Found::at(0, Flaw::Size { expected: least, found: stored.size })));
    }
    let reader = stored.reader()?;
    let end_at = stored.size - END_BYTES as u64;
    let mut end = [0; END_BYTES];
    reader.fill(end_at, &mut end)?;
    let [l0, l1, l2, l3, _, _, _, _, m0, m1, m2, m3] = end;
    let found = [m0, m1, m2, m3];
    if found != magic {
        let flaw = Flaw::Magic { what: "end of the file", expected: magic, found };
        return Err(stored.damaged(Found::at(end_at + 8, flaw)));
    }
    let length = u64::from(u32::from_le_bytes([l0, l1, l2, l3]));
    if length < END_BYTES as u64 || stored.size - (header_bytes as u64) < length {
        return Err(stored.damaged(Found::at(end_at, Flaw::OutOfRange("length of the footer"))));
    }
    let start = stored.size - length;
    // The magic stands behind the checksum.
    let mut footer = reader.read(start, length as usize - 4)?;
    checked(&footer, "footer").map_err(|flaw| stored.damaged(Found::at(start, flaw)))?;
    footer.truncate(length as usize - END_BYTES);
    Ok((start, footer))
}
