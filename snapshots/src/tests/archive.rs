//! Many segments: one history, found whole or not answered from at all.

use std::fs;
use std::path::Path;

use kembali_core::{CustomerId, Seq};
use kembali_journal::{Frame, FrameHash};

use super::segments::{customers_of, keys_of};
use super::support::{Archived, Chance, copy_dir, frame, generation, names, whole};
use crate::archive::Archive;
use crate::segment_name;

#[test]
fn an_archive_answers_as_its_records_do() {
    let archived = Archived::new(11, 200, 4);
    let (archive, frames, records) = (archived.open(), archived.frames(), &archived.world.records);
    let last = frames[frames.len() - 1].clone();
    assert_eq!((archive.last_seq(), archive.last_hash()), (last.last_seq(), last.hash()));
    assert_eq!((archive.segments().len(), archive.last_generation()), (4, Some(4)));
    for seq in (0..=last.last_seq().0 + 2).map(Seq) {
        let expected = frames.iter().find(|frame| frame.record_by_seq(seq).is_some());
        assert_eq!(archive.frame_of(seq).unwrap().as_ref(), expected);
        let from: Vec<Frame> = archive.frames(seq).map(Result::unwrap).collect();
        let at = frames.iter().position(|frame| seq <= frame.last_seq()).unwrap_or(frames.len());
        assert_eq!(from, frames[at..]);
        let mut keys = Vec::new();
        archive.keys(seq, |key| keys.push(key)).unwrap();
        keys.sort();
        let through = records.partition_point(|record| record.seq <= seq);
        assert_eq!(keys, keys_of(&records[..through]));
    }
    for (customer, seq) in customers_of(records) {
        assert_eq!(archive.last_record_of(customer).unwrap(), Some(seq));
    }
    assert_eq!(archive.last_record_of(CustomerId(5)).unwrap(), None);
    let reports = archive.verify().unwrap();
    assert_eq!(reports.iter().map(|report| report.records).sum::<u64>(), records.len() as u64);
}

#[test]
fn another_archive_of_the_same_segments_grows_alone_and_opens_no_file() {
    let archived = Archived::new(14, 200, 3);
    let dir = tempfile::tempdir().unwrap();
    let mut one = Archive::open(dir.path()).unwrap();
    let add = |archive: &mut Archive, number: u64| {
        let part = &archived.parts[number as usize - 1];
        archive.add(&generation(number, part), whole(part)).unwrap();
    };
    add(&mut one, 1);
    add(&mut one, 2);
    let gone = dir.path().join(segment_name(1));
    fs::rename(&gone, dir.path().join("elsewhere")).unwrap();
    let mut two = one.another();
    add(&mut two, 3);
    fs::rename(dir.path().join("elsewhere"), &gone).unwrap();
    assert_eq!((one.segments().len(), two.segments().len()), (2, 3));
    assert_eq!(two.frames(Seq(1)).map(Result::unwrap).collect::<Vec<_>>(), archived.frames());
    assert_eq!(Archive::open(dir.path()).unwrap().last_hash(), two.last_hash());
}

#[test]
fn an_empty_archive_ends_before_the_first_record() {
    let dir = tempfile::tempdir().unwrap();
    let archive = Archive::open(&dir.path().join("data/archive")).unwrap();
    assert_eq!((archive.last_seq(), archive.last_hash()), (Seq::ZERO, FrameHash::GENESIS));
    assert_eq!((archive.last_generation(), archive.segments().len()), (None, 0));
    assert_eq!(archive.frame_of(Seq(1)).unwrap(), None);
    assert_eq!(archive.verify().unwrap(), Vec::new());
}

#[test]
fn blocks_are_read_once_and_kept_within_bounds() {
    let archived = Archived::new(12, 400, 20);
    let (archive, frames) = (archived.open(), archived.frames());
    assert!(17 <= archive.segments().len());
    let mut chance = Chance::new(12);
    for _ in 0..500 {
        let frame = &frames[chance.below(frames.len() as u64) as usize];
        assert_eq!(archive.frame_of(frame.first_seq()).unwrap().as_ref(), Some(frame));
        assert!(archive.kept_blocks() <= 16);
    }
    assert_eq!(archive.kept_blocks(), 16);
    // What was read last is answered although the file is gone.
    let frame = &frames[0];
    archive.frame_of(frame.first_seq()).unwrap();
    fs::remove_file(archived.path(1)).unwrap();
    assert_eq!(archive.frame_of(frame.first_seq()).unwrap().as_ref(), Some(frame));
    assert!(archive.verify().unwrap_err().to_string().contains(&segment_name(1)));
}

/// Opens, and says what was found.
fn refusal(dir: &Path) -> String {
    let error = Archive::open(dir).unwrap_err();
    let damage = error.damage().expect("damage, not a failing system");
    assert!(damage.file.starts_with(dir), "{error}");
    assert!(damage.seq.is_some(), "{error}");
    error.to_string()
}

#[test]
fn r27_a_segment_missing() {
    let archived = Archived::new(13, 120, 4);
    for missing in 1..=3 {
        let dir = copy_dir(archived.dir.path());
        fs::remove_file(dir.path().join(segment_name(missing))).unwrap();
        let said = refusal(dir.path());
        let first = archived.parts[missing as usize - 1][0].first_seq().0;
        assert!(said.contains(&format!("{first}")) && said.contains("restore this segment"), "{said}");
        if 1 < missing {
            assert!(said.contains(&segment_name(missing)) && said.contains("the file is missing"), "{said}");
        }
    }
    // An archive cannot know of a newer segment; the journal that goes on from it does.
    let dir = copy_dir(archived.dir.path());
    fs::remove_file(dir.path().join(segment_name(4))).unwrap();
    let next = frame(&archived.world.records[..1], archived.open().last_hash());
    let next = Frame::build(1, archived.open().last_seq().next(), next.previous(), &[next.record(0)]).unwrap();
    archived.open().meets(&next).unwrap();
    let said = Archive::open(dir.path()).unwrap().meets(&next).unwrap_err().to_string();
    let first = archived.parts[3][0].first_seq().0;
    assert!(said.contains(&format!("at sequence number {first}")) && said.contains("restore archive and"), "{said}");
    assert!(said.contains(&format!("{} was found where {first} belongs", next.first_seq().0)), "{said}");
}

#[test]
fn r27_segments_swapped_doubled_or_misnamed() {
    let archived = Archived::new(14, 120, 4);
    let path = |dir: &Path, number| dir.join(segment_name(number));
    let dir = copy_dir(archived.dir.path());
    fs::rename(path(dir.path(), 2), dir.path().join("swap")).unwrap();
    fs::rename(path(dir.path(), 3), path(dir.path(), 2)).unwrap();
    fs::rename(dir.path().join("swap"), path(dir.path(), 3)).unwrap();
    assert!(refusal(dir.path()).contains("number 3, its name says 2"));
    for (from, to) in [(1, 5), (4, 5), (2, 3), (1, 2)] {
        let dir = copy_dir(archived.dir.path());
        fs::copy(path(dir.path(), from), path(dir.path(), to)).unwrap();
        assert!(refusal(dir.path()).contains(&format!("number {from}, its name says {to}")));
    }
    for name in ["segment-2.kseg", "segment-00000000002.kseg", "segment-+000000002.kseg", "copy of segment.kseg"] {
        let dir = copy_dir(archived.dir.path());
        fs::rename(path(dir.path(), 2), dir.path().join(name)).unwrap();
        let said = Archive::open(dir.path()).unwrap_err().to_string();
        assert!(said.contains(name) && said.contains("name of the file"), "{said}");
    }
    let dir = copy_dir(archived.dir.path());
    fs::write(dir.path().join("README"), "why this directory is here").unwrap();
    assert_eq!(Archive::open(dir.path()).unwrap().segments().len(), 4);
}

#[test]
fn r27_a_segment_of_another_ledger() {
    let (ours, theirs) = (Archived::new(15, 120, 3), Archived::new(16, 120, 3));
    for foreign in 1..=3 {
        let dir = copy_dir(ours.dir.path());
        fs::copy(theirs.path(foreign), dir.path().join(segment_name(foreign))).unwrap();
        let said = refusal(dir.path());
        assert!(said.contains("restore this segment"), "{said}");
    }
    // The records are ours, and only the hash before them is not: the chain tells.
    let records = &ours.world.records;
    let mut other = records.clone();
    other[0].body.received_at.0 += 1;
    let (mine, other) = (super::support::frames(records, 5, 1), super::support::frames(&other, 5, 1));
    let half = mine.len() / 2;
    let dir = tempfile::tempdir().unwrap();
    let mut archive = Archive::open(dir.path()).unwrap();
    archive.add(&super::support::generation(1, &mine[..half]), super::support::whole(&mine[..half])).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let mut their = Archive::open(elsewhere.path()).unwrap();
    for (number, part) in [(1, &other[..half]), (2, &other[half..])] {
        their.add(&super::support::generation(number, part), super::support::whole(part)).unwrap();
    }
    fs::copy(elsewhere.path().join(segment_name(2)), dir.path().join(segment_name(2))).unwrap();
    let said = refusal(dir.path());
    assert!(said.contains("has the hash") && said.contains(&segment_name(2)), "{said}");
}

#[test]
fn r27_archive_and_journal_agree_where_both_are() {
    let (ours, theirs) = (Archived::new(17, 120, 3), Archived::new(18, 120, 3));
    let archive = ours.open();
    for frame in ours.frames() {
        archive.meets(&frame).unwrap();
    }
    let foreign = &theirs.parts[2][0];
    let said = archive.meets(foreign).unwrap_err().to_string();
    assert!(said.contains("restore archive and journal"), "{said}");
    let next = archive.last_seq().next();
    let follows = Frame::build(1, next, FrameHash([9; 32]), &[b"x"]).unwrap();
    assert!(archive.meets(&follows).unwrap_err().to_string().contains("has the hash"));
}

#[test]
fn leftovers_are_removed_and_named_only_once_the_rest_is_whole() {
    let archived = Archived::new(19, 40, 2);
    let dir = copy_dir(archived.dir.path());
    let leftover = dir.path().join(format!("{}.new", segment_name(3)));
    fs::write(&leftover, b"half").unwrap();
    fs::write(dir.path().join("notes.new"), b"somebody else's").unwrap();
    assert_eq!(Archive::open_for_reading(dir.path()).unwrap().segments().len(), 2);
    assert!(leftover.exists(), "whoever only reads changes nothing");
    let nowhere = dir.path().join("nowhere");
    assert_eq!(Archive::open_for_reading(&nowhere).unwrap().last_seq(), Seq::ZERO);
    assert!(!nowhere.exists());
    let archive = Archive::open(dir.path()).unwrap();
    assert_eq!(archive.removed(), std::slice::from_ref(&leftover));
    assert_eq!(names(dir.path()).len(), 3, "two segments and the notes");
    fs::write(&leftover, b"half").unwrap();
    fs::write(dir.path().join(segment_name(2)), b"damaged").unwrap();
    refusal_without_seq(dir.path());
    assert!(leftover.exists());
}

fn refusal_without_seq(dir: &Path) {
    assert!(Archive::open(dir).unwrap_err().damage().is_some());
}
