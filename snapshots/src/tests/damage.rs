//! Damage to a segment: found and named, whatever the byte; never a panic, never a shorter history.

use std::fs;
use std::path::Path;

use kembali_core::event::{Event, PurchaseBooked};
use kembali_core::totals::Totals;
use kembali_core::{Balance, Seq};
use kembali_journal::{Frame, FrameHash};

use super::support::{Archived, Chance, depth, frame};
use crate::damage::{FileHash, ReadError};
use crate::segment::layout::{Footer, Header};
use crate::{Archive, Segment, SegmentReport, segment_name};

/// Opens and reads all.
fn check(path: &Path) -> Result<SegmentReport, ReadError> {
    Segment::open(path)?.verify(&mut Totals::default())
}

fn named(path: &Path, bytes: &[u8], how: &str) {
    fs::write(path, bytes).unwrap();
    let error = check(path).expect_err(how);
    let damage = error.damage().unwrap_or_else(|| panic!("{how}: {error}"));
    assert_eq!(damage.file, path, "{how}");
    assert!(damage.at.is_some() || damage.seq.is_some() || error.to_string().contains("BLAKE3"), "{how}: {error}");
}

/// A segment of a few frames, its bytes, and a place to spoil a copy of it.
fn small() -> (Archived, Vec<u8>, tempfile::TempDir) {
    let archived = Archived::new(21, 12, 1);
    let bytes = fs::read(archived.path(1)).unwrap();
    (archived, bytes, tempfile::tempdir().unwrap())
}

#[test]
fn r23_a_segment_cut_at_every_byte() {
    let (archived, bytes, dir) = small();
    let path = dir.path().join(segment_name(1));
    println!("{} bytes", bytes.len());
    for length in 0..bytes.len() {
        named(&path, &bytes[..length], &format!("cut to {length} bytes"));
    }
    for more in [1, 4, 12, 100] {
        named(&path, &[bytes.as_slice(), &vec![0; more]].concat(), &format!("{more} bytes more"));
        named(&path, &[bytes.as_slice(), &bytes[bytes.len() - more..]].concat(), &format!("{more} bytes twice"));
        named(&path, &[&vec![0; more], bytes.as_slice()].concat(), &format!("{more} bytes before"));
        // The footer is found from the end, so it would not miss them.
        let (before, footer) = bytes.split_at(Segment::open(&archived.path(1)).unwrap().footer_start() as usize);
        named(&path, &[before, &vec![0; more], footer].concat(), &format!("{more} bytes before the footer"));
    }
}

#[test]
fn r26_every_byte_of_a_segment_changed() {
    let (_archived, bytes, dir) = small();
    let path = dir.path().join(segment_name(1));
    let mut chance = Chance::new(26);
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << chance.below(8);
        named(&path, &changed, &format!("byte {at}"));
    }
}

#[test]
fn r26_opening_a_segment_names_all_but_its_blocks_and_reading_names_these() {
    let (archived, bytes, dir) = small();
    let path = dir.path().join(segment_name(1));
    let blocks = 72..bytes.len() - Segment::open(&archived.path(1)).unwrap().bytes_behind_blocks();
    assert!(blocks.len() > 300 && bytes.len() - blocks.end > 300, "{blocks:?}");
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 16;
        fs::write(&path, &changed).unwrap();
        let opened = Segment::open(&path);
        assert_eq!(opened.is_ok(), blocks.contains(&at), "byte {at}");
        let Ok(segment) = opened else { continue };
        let error = segment.frame_of(Seq(1)).unwrap_err();
        assert!(error.to_string().contains("the checksum of the block"), "{error}");
        assert_eq!(error.damage().map(|damage| (damage.at, damage.seq)), Some((Some(72), Some(Seq(1)))));
    }
}

#[test]
fn r26_random_bits_of_a_segment_changed() {
    let archived = Archived::new(27, 3_000, 1);
    let bytes = fs::read(archived.path(1)).unwrap();
    let frames = archived.frames();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(segment_name(1));
    let mut chance = Chance::new(27);
    for _ in 0..200 * depth() {
        let (at, bit) = (chance.below(bytes.len() as u64) as usize, chance.below(8));
        let mut changed = bytes.clone();
        changed[at] ^= 1 << bit;
        named(&path, &changed, &format!("bit {bit} of byte {at}"));
        // What is read without reading all is the truth or an error.
        let Ok(segment) = Segment::open(&path) else { continue };
        for _ in 0..4 {
            let frame = &frames[chance.below(frames.len() as u64) as usize];
            match segment.frame_of(frame.first_seq()) {
                Ok(read) => assert_eq!(read.as_ref(), Some(frame)),
                Err(error) => assert!(error.damage().is_some_and(|damage| damage.seq.is_some()), "{error}"),
            }
        }
    }
}

#[test]
fn r26_ranges_of_a_segment_overwritten() {
    let (_archived, bytes, dir) = small();
    let path = dir.path().join(segment_name(1));
    let mut chance = Chance::new(28);
    for _ in 0..200 * depth() {
        let start = chance.below(bytes.len() as u64) as usize;
        let end = (start + 1 + chance.below(600) as usize).min(bytes.len());
        let mut changed = bytes.clone();
        match chance.below(3) {
            0 => changed[start..end].fill(0),
            1 => changed[start..end].iter_mut().for_each(|byte| *byte = chance.next() as u8),
            _ => changed.copy_within(0..end - start, start),
        }
        if changed != bytes {
            named(&path, &changed, &format!("bytes {start} to {end}"));
        }
    }
}

/// Which of a segment's checksums the tampering hand mends.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Mend {
    /// Those of the frame, its block and the footer.
    Checksums,
    /// The hash of the file too.
    FileHash,
    /// The hash of the last frame too.
    LastHash,
}

/// Puts `changed` in the place of the frame that starts with the same record, in a segment of one block.
fn tamper(path: &Path, changed: &Frame, mend: Mend) -> Vec<u8> {
    let segment = Segment::open(path).unwrap();
    let bytes = fs::read(path).unwrap();
    let header = Header::decode(&bytes[..72]).unwrap();
    let stored = crate::disk::Stored::new(path, crate::Remedy::RestoreSegment).unwrap();
    let mut footer = Footer::read(&stored, &header).unwrap();
    assert_eq!(footer.blocks.len(), 1);
    let mut frames: Vec<Frame> = segment.frames().map(Result::unwrap).collect();
    let at = frames.iter().position(|frame| frame.first_seq() == changed.first_seq()).unwrap();
    assert_ne!(frames[at], *changed);
    frames[at] = changed.clone();
    if mend == Mend::LastHash {
        footer.last_hash = frames[frames.len() - 1].hash();
    }
    let raw: Vec<u8> = frames.iter().flat_map(|frame| frame.bytes().to_vec()).collect();
    let block = zstd::bulk::compress(&raw, 3).unwrap();
    let old_end = (72 + footer.blocks[0].stored_bytes) as usize;
    let tables = bytes[old_end..(footer.sums.offset + footer.sums.length) as usize].to_vec();
    let moved = (block.len() as u64 + 72).wrapping_sub(old_end as u64);
    for section in [&mut footer.keys, &mut footer.customers, &mut footer.sums] {
        section.offset = section.offset.wrapping_add(moved);
    }
    footer.blocks[0].stored_bytes = block.len() as u32;
    footer.blocks[0].raw_bytes = raw.len() as u32;
    footer.blocks[0].crc = crc32c::crc32c(&block);
    let mut out = [&bytes[..72], &block, &tables].concat();
    if Mend::FileHash <= mend {
        footer.file_hash = FileHash(*blake3::hash(&out).as_bytes());
    }
    out.extend_from_slice(&footer.encode());
    out
}

/// Makes a frame in which the record `seq` says another amount and every checksum fits.
fn edited(archived: &Archived, part: usize, seq: Seq) -> Option<Frame> {
    edited_by(archived, part, seq, |booked| {
        booked.purchase.amount += 1;
        booked.balance_after = Balance::new(booked.balance_after.minor_units() + 1).unwrap();
    })
}

/// Makes a frame in which `edit` has changed the purchase of the record `seq` and every checksum fits.
fn edited_by(archived: &Archived, part: usize, seq: Seq, edit: fn(&mut PurchaseBooked)) -> Option<Frame> {
    let old = archived.parts[part].iter().find(|frame| frame.record_by_seq(seq).is_some()).unwrap();
    let range = old.first_seq().0 as usize - 1..old.last_seq().0 as usize;
    let mut records = archived.world.records[range].to_vec();
    let record = records.iter_mut().find(|record| record.seq == seq).unwrap();
    let booked = record.body.events.iter_mut().find_map(|event| match event {
        Event::PurchaseBooked(booked) => Some(booked),
        _ => None,
    })?;
    edit(booked);
    Some(frame(&records, old.previous()))
}

#[test]
fn r41_an_edited_record_is_named_although_its_checksums_fit() {
    let archived = Archived::new(41, 60, 2);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(segment_name(1));
    let last = archived.parts[0].last().unwrap().clone();
    let mut tried = 0;
    for seq in (1..last.first_seq().0).map(Seq) {
        let Some(changed) = edited(&archived, 0, seq) else { continue };
        for mend in [Mend::Checksums, Mend::FileHash] {
            fs::write(&path, tamper(&archived.path(1), &changed, mend)).unwrap();
            let error = check(&path).unwrap_err();
            assert_eq!(error.damage().unwrap().seq, Some(changed.first_seq()), "{error}");
            let said = format!("frame from {} to {}", changed.first_seq().0, changed.last_seq().0);
            assert!(error.to_string().contains(&said), "{error}");
        }
        tried += 1;
    }
    assert!(5 < tried);
}

#[test]
fn r41_an_edited_last_record_is_named_by_what_follows() {
    let archived = Archived::new(42, 60, 2);
    let last = archived.parts[0].last().unwrap().clone();
    let seqs = (last.first_seq().0..=last.last_seq().0).map(Seq);
    let changed =
        seqs.filter_map(|seq| edited(&archived, 0, seq)).next_back().expect("the last frame books a purchase");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(segment_name(1));
    for mend in [Mend::Checksums, Mend::FileHash] {
        fs::write(&path, tamper(&archived.path(1), &changed, mend)).unwrap();
        assert_eq!(check(&path).unwrap_err().damage().unwrap().seq, Some(changed.first_seq()));
    }
    // With the last hash mended too, the sums tell.
    fs::write(&path, tamper(&archived.path(1), &changed, Mend::LastHash)).unwrap();
    assert!(check(&path).unwrap_err().to_string().contains("entry 0 of the sums is not what the records say"));
    // What the sums do not see leaves the segment whole by itself; the one that follows names another frame.
    let seqs = (last.first_seq().0..=last.last_seq().0).map(Seq);
    let changed = seqs.filter_map(|seq| edited_by(&archived, 0, seq, |booked| booked.at.0 += 1)).next_back().unwrap();
    let bytes = tamper(&archived.path(1), &changed, Mend::LastHash);
    fs::write(&path, &bytes).unwrap();
    check(&path).unwrap();
    fs::copy(archived.path(2), dir.path().join(segment_name(2))).unwrap();
    let error = Archive::open(dir.path()).unwrap_err();
    assert_eq!(error.damage().unwrap().seq, Some(archived.parts[1][0].first_seq()), "{error}");
    // And where none follows, the journal does.
    fs::remove_file(dir.path().join(segment_name(2))).unwrap();
    let archive = Archive::open(dir.path()).unwrap();
    let error = archive.meets(&archived.parts[1][0]).unwrap_err();
    assert!(error.to_string().contains("restore archive and journal"), "{error}");
}

#[test]
fn r41_an_edited_table_is_named_although_its_checksums_fit() {
    let (archived, bytes, dir) = small();
    let header = Header::decode(&bytes[..72]).unwrap();
    let stored = crate::disk::Stored::new(&archived.path(1), crate::Remedy::RestoreSegment).unwrap();
    let clean = Footer::read(&stored, &header).unwrap();
    let path = dir.path().join(segment_name(1));
    let end = (clean.sums.offset + clean.sums.length) as usize;
    for (section, said) in [(clean.keys, "key table"), (clean.customers, "customer table"), (clean.sums, "")] {
        for at in section.offset..section.offset + section.length {
            let (mut changed, mut footer) = (bytes[..end].to_vec(), clean.clone());
            // The highest bit: sums of an older version would be counted anew, and no flaw.
            changed[at as usize] ^= 0x80;
            for section in [&mut footer.keys, &mut footer.customers, &mut footer.sums] {
                let (start, length) = (section.offset as usize, section.length as usize);
                section.crc = crc32c::crc32c(&changed[start..start + length]);
            }
            footer.file_hash = FileHash(*blake3::hash(&changed).as_bytes());
            changed.extend_from_slice(&footer.encode());
            fs::write(&path, &changed).unwrap();
            assert!(check(&path).unwrap_err().to_string().contains(said));
        }
    }
}

#[test]
fn another_version_is_told_apart_from_damage() {
    let (_archived, bytes, dir) = small();
    let path = dir.path().join(segment_name(1));
    let mut changed = bytes;
    changed[4] = 2;
    let crc = crc32c::crc32c(&changed[..68]);
    changed[68..72].copy_from_slice(&crc.to_le_bytes());
    fs::write(&path, &changed).unwrap();
    let said = Segment::open(&path).unwrap_err().to_string();
    assert!(said.contains("is 2, this build reads 1; start the version of the program that wrote it"), "{said}");
}

#[test]
fn the_chain_starts_at_the_hash_of_the_header() {
    let (_archived, bytes, dir) = small();
    let path = dir.path().join(segment_name(1));
    let mut header = Header::decode(&bytes[..72]).unwrap();
    header.previous = FrameHash([3; 32]);
    let changed = [header.encode(), bytes[72..].to_vec()].concat();
    fs::write(&path, &changed).unwrap();
    let error = check(&path).unwrap_err();
    assert_eq!(error.damage().unwrap().seq, Some(Seq(1)), "{error}");
}
