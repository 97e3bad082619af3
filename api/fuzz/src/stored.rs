//! What lies on a disk: records, frames, segments and snapshots. Checksums that do not fit are mended first, or nothing behind
//! them would ever be reached.

use std::fs;
use std::ops::Range;
use std::path::Path;

use kembali_core::totals::Totals;
use kembali_core::{CustomerId, Seq};
use kembali_journal::{FRAME_HEADER_BYTES, Frame, FrameHash, codec};
use kembali_snapshots::{Segment, Snapshot};
use tempfile::NamedTempFile;

/// Bytes of the header of a segment and of a snapshot, whose checksum ends it.
const HEADER_BYTES: usize = 72;
/// Bytes that every footer ends with: its length, its checksum, the magic.
const END_BYTES: usize = 12;
/// Bytes of a footer of a segment behind the entries of its blocks.
const SEGMENT_FIXED_BYTES: usize = 156;
/// Bytes of a footer of a snapshot.
const SNAPSHOT_FOOTER_BYTES: usize = 204;

/// A record of the journal: what is read is written in the present shape, and that is read to the same.
///
/// # Panics
///
/// If that does not hold.
pub fn record(data: &[u8]) {
    let _ = codec::decode_head(data);
    let Ok(read) = codec::decode(Seq(1), data) else { return };
    let _ = codec::takes_back(read.body.tenant, data).expect("what is read whole is read in part");
    let mut written = Vec::new();
    codec::encode(&read.body, &mut written).expect("what is read can be written");
    assert_eq!(codec::decode(Seq(1), &written).expect("what is written can be read"), read);
}

/// A frame of the journal, with its checksum mended: what is read is what would have been built.
///
/// # Panics
///
/// If that does not hold.
pub fn frame(data: &[u8]) {
    let mut bytes = data.to_vec();
    if FRAME_HEADER_BYTES <= bytes.len() {
        let sum = crc32c::crc32c_append(crc32c::crc32c(&bytes[..64]), &bytes[FRAME_HEADER_BYTES..]);
        put(&mut bytes, 64, sum);
    }
    let Ok(read) = Frame::parse(bytes) else { return };
    let records: Vec<&[u8]> = read.records().collect();
    let built = Frame::build(read.epoch(), read.first_seq(), read.previous(), &records);
    assert_eq!(built.expect("what is read can be built"), read);
}

/// A segment of the archive, with its checksums mended.
///
/// # Panics
///
/// Never, if it is right.
pub fn segment(data: &[u8]) {
    let mut bytes = data.to_vec();
    mend_segment(&mut bytes);
    with_file(&bytes, |path| {
        let Ok(segment) = Segment::open(path) else { return };
        let _ = segment.verify(&mut Totals::default());
        let _ = segment.check_bytes();
        let _ = segment.frames().count();
        let _ = (segment.frame_of(segment.first_seq()), segment.frame_of(segment.last_seq()));
        let _ = (segment.keys(), segment.sums(), segment.last_record_of(CustomerId(1 << 127)));
    });
}

/// A snapshot of the ledger, with its checksums mended.
///
/// # Panics
///
/// Never, if it is right.
pub fn snapshot(data: &[u8]) {
    let mut bytes = data.to_vec();
    mend_snapshot(&mut bytes);
    with_file(&bytes, |path| {
        let Ok(snapshot) = Snapshot::open(path) else { return };
        let _ = snapshot.load();
        let _ = (snapshot.row(CustomerId(0)), snapshot.row(CustomerId(1 << 127)));
        let _ = (snapshot.check_bytes(), snapshot.verify());
        if let Ok(frame) = Frame::build(1, Seq(1), FrameHash::GENESIS, &[b"a record"]) {
            let _ = snapshot.meets(&frame);
        }
    });
}

/// Hands a file with these bytes to `look`.
fn with_file(bytes: &[u8], look: impl FnOnce(&Path)) {
    let file = NamedTempFile::new().expect("a temporary file");
    fs::write(file.path(), bytes).expect("a temporary file is written");
    look(file.path());
}

fn mend_segment(bytes: &mut [u8]) {
    let Some((fixed_at, end)) = mend_header(bytes, SEGMENT_FIXED_BYTES) else { return };
    let footer_at = bytes.len().saturating_sub(number(bytes, end, 4));
    if !(HEADER_BYTES..=fixed_at).contains(&footer_at) {
        return;
    }
    for entry in (footer_at..fixed_at.saturating_sub(31)).step_by(32) {
        mend_part(bytes, (entry + 8, 8), (entry + 16, 4), entry + 24);
    }
    for section in (fixed_at + 8..).step_by(24).take(3) {
        mend_part(bytes, (section, 8), (section + 8, 8), section + 16);
    }
    mend_end(bytes, footer_at, fixed_at + 112, end);
}

fn mend_snapshot(bytes: &mut [u8]) {
    let Some((footer_at, end)) = mend_header(bytes, SNAPSHOT_FOOTER_BYTES) else { return };
    // The second section is the index of the blocks of rows, which are not summed up as a section.
    let (from, length) = (number(bytes, footer_at + 24, 8), number(bytes, footer_at + 32, 8));
    if let Some(index) = part(bytes, from, length) {
        for entry in index.step_by(36).filter(|entry| entry + 36 <= footer_at) {
            mend_part(bytes, (entry + 16, 8), (entry + 24, 4), entry + 28);
        }
    }
    for section in (footer_at + 24..).step_by(24).take(4) {
        mend_part(bytes, (section, 8), (section + 8, 8), section + 16);
    }
    mend_end(bytes, footer_at, footer_at + 160, end);
}

/// Mends the header; returns where the last `fixed` bytes start, and where those that every footer ends with do.
fn mend_header(bytes: &mut [u8], fixed: usize) -> Option<(usize, usize)> {
    let fixed_at = bytes.len().checked_sub(fixed).filter(|at| HEADER_BYTES <= *at)?;
    let sum = crc32c::crc32c(&bytes[..HEADER_BYTES - 4]);
    put(bytes, HEADER_BYTES - 4, sum);
    Some((fixed_at, bytes.len() - END_BYTES))
}

/// Mends the hash of what is before the footer, and then the checksum of that.
fn mend_end(bytes: &mut [u8], footer_at: usize, hash_at: usize, end: usize) {
    let hash = *blake3::hash(&bytes[..footer_at]).as_bytes();
    bytes[hash_at..hash_at + 32].copy_from_slice(&hash);
    let sum = crc32c::crc32c(&bytes[footer_at..end + 4]);
    put(bytes, end + 4, sum);
}

/// Mends the checksum at `sum_at` of a part of the file: where its offset and its length stand, and in how many bytes.
fn mend_part(bytes: &mut [u8], offset: (usize, usize), length: (usize, usize), sum_at: usize) {
    let (offset, length) = (number(bytes, offset.0, offset.1), number(bytes, length.0, length.1));
    if let Some(part) = part(bytes, offset, length) {
        let sum = crc32c::crc32c(&bytes[part]);
        put(bytes, sum_at, sum);
    }
}

/// Returns the bytes of a part, if the file has them.
fn part(bytes: &[u8], offset: usize, length: usize) -> Option<Range<usize>> {
    let part = offset..offset.checked_add(length)?;
    bytes.get(part.clone()).map(|_| part)
}

fn number(bytes: &[u8], at: usize, width: usize) -> usize {
    let mut number = [0; 8];
    number[..width].copy_from_slice(&bytes[at..at + width]);
    usize::try_from(u64::from_le_bytes(number)).unwrap_or(usize::MAX)
}

fn put(bytes: &mut [u8], at: usize, sum: u32) {
    bytes[at..at + 4].copy_from_slice(&sum.to_le_bytes());
}
