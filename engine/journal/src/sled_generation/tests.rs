//! Tests that write chunks through sled, as neither the journal nor a crash can: R23 and R41 on disk.

use std::path::Path;

use kembali_core::Seq;

use super::{Generation, directory_name};
use crate::damage::{Flaw, Mended, OpenError};
use crate::durable::{Options, SledJournal};
use crate::files::{SyncFault, copy_tree};
use crate::frame::Frame;
use crate::head::LedgerId;
use crate::journal::Journal;
use crate::recovery::OpenReport;
use crate::sled_dir::{Purpose, VALUE_BYTES_MAX};
use crate::verify::{read_only_frames, verify_copy};

fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

fn open(dir: &Path) -> Result<(SledJournal, OpenReport), OpenError> {
    SledJournal::open(dir, Options::default())
}

fn append(journal: &mut SledJournal, records: &[Vec<u8>]) -> Frame {
    let position = journal.position();
    let frame = Frame::build(position.epoch, position.seq.next(), position.hash, records).unwrap();
    journal.append(&frame).unwrap();
    frame
}

/// Opens the generation beside the journal, to write what a journal would not.
fn with_generation<T>(dir: &Path, number: u64, work: impl FnOnce(&Generation) -> T) -> T {
    let path = dir.join(directory_name(number));
    let syncs = SyncFault::default();
    let generation = Generation::open(path, number, Purpose::Real, &mut Vec::new(), &syncs).unwrap();
    work(&generation)
}

fn commit_one(generation: &Generation, key: &[u8], value: &[u8]) {
    let mut batch = sled::Batch::default();
    batch.insert(key, value);
    generation.dir().commit(batch, 1).unwrap();
}

/// Replaces all chunks from `chunk` on by `values`, in one batch.
fn rewrite(dir: &Path, number: u64, chunk: u64, values: &[&[u8]]) {
    with_generation(dir, number, |generation| {
        let mut batch = sled::Batch::default();
        for entry in generation.dir().tree().range(super::key_range(chunk)) {
            batch.remove(entry.unwrap().0);
        }
        for (number, value) in (chunk..).zip(values) {
            batch.insert(&number.to_be_bytes(), *value);
        }
        generation.dir().commit(batch, 1).unwrap();
    });
}

fn damage(error: OpenError) -> (Option<Seq>, Flaw) {
    match error {
        OpenError::Damage { seq, what, generation: Some(1), .. } => (seq, *what),
        error => panic!("expected damage in generation 1, found {error:?}"),
    }
}

/// Three frames of one chunk, and `last` after them, acknowledged or stored only.
fn journal(last: &[Vec<u8>], acknowledged: bool) -> (tempfile::TempDir, Vec<Frame>, Frame) {
    let dir = scratch();
    let (mut journal, _) = open(dir.path()).unwrap();
    let frames: Vec<Frame> = (0..3).map(|n| append(&mut journal, &[vec![n; 30], vec![n; 3]])).collect();
    if acknowledged {
        let last = append(&mut journal, last);
        drop(journal);
        return (dir, frames, last);
    }
    let position = journal.position();
    let last = Frame::build(position.epoch, position.seq.next(), position.hash, last).unwrap();
    drop(journal);
    let values: Vec<&[u8]> = last.bytes().chunks(VALUE_BYTES_MAX).collect();
    rewrite(dir.path(), 1, 3, &values);
    (dir, frames, last)
}

fn read_all(journal: &SledJournal) -> Vec<Frame> {
    journal.frames(Seq(1)).unwrap().collect::<Result<_, _>>().unwrap()
}

/// Every way to leave the one chunk of the last frame short, and each of its bytes changed.
fn damaged_values(last: &Frame) -> Vec<Vec<u8>> {
    let bytes = last.bytes();
    let short = (0..bytes.len()).map(|at| bytes[..at].to_vec());
    let changed = (0..bytes.len()).map(|at| {
        let mut changed = bytes.to_vec();
        changed[at] ^= 0x20;
        changed
    });
    short.chain(changed).collect()
}

#[test]
fn r23_torn_tail_after_the_head_is_cut() {
    let (dir, frames, last) = journal(&[vec![9; 20]], false);
    for value in damaged_values(&last) {
        let image = scratch();
        copy_tree(dir.path(), &image.path().join("j")).unwrap();
        let dir = image.path().join("j");
        rewrite(&dir, 1, 3, &[&value]);
        let (mut journal, report) = open(&dir).unwrap();
        assert_eq!(report.mended, [Mended::TornTail { generation: 1, chunks: 1 }], "{} bytes", value.len());
        assert_eq!(read_all(&journal), frames);
        append(&mut journal, &[vec![1]]);
        drop(journal);
        assert_eq!(open(&dir).unwrap().1.mended, []);
    }
}

#[test]
fn r23_torn_acknowledged_frame_is_named() {
    let (dir, _, last) = journal(&[vec![9; 20]], true);
    for value in damaged_values(&last) {
        let image = scratch();
        copy_tree(dir.path(), &image.path().join("j")).unwrap();
        let dir = image.path().join("j");
        rewrite(&dir, 1, 3, &[&value]);
        let (seq, what) = damage(open(&dir).unwrap_err());
        assert_eq!(seq, Some(Seq(7)));
        assert!(matches!(what, Flaw::Frame { chunk: 3, .. }), "{what:?}");
    }
}

#[test]
fn r23_frame_of_many_chunks_that_lost_some() {
    let (dir, frames, last) = journal(&[vec![9; 20_000]], false);
    let values: Vec<&[u8]> = last.bytes().chunks(VALUE_BYTES_MAX).collect();
    assert_eq!(values.len(), 5);
    for lost in 0..5 {
        let image = scratch();
        copy_tree(dir.path(), &image.path().join("j")).unwrap();
        let dir = image.path().join("j");
        with_generation(&dir, 1, |generation| {
            let mut batch = sled::Batch::default();
            batch.remove(&(3 + lost as u64).to_be_bytes());
            generation.dir().commit(batch, 1).unwrap();
        });
        let (journal, report) = open(&dir).unwrap();
        assert_eq!(report.mended, [Mended::TornTail { generation: 1, chunks: 4 }]);
        assert_eq!(read_all(&journal), frames);
    }
    assert_eq!(read_all(&open(dir.path()).unwrap().0).len(), 4);
}

#[test]
fn an_entry_that_no_journal_writes_is_never_cut() {
    let (dir, _, _) = journal(&[vec![9; 20]], true);
    with_generation(dir.path(), 1, |generation| {
        commit_one(generation, &[0xff, 1], b"x");
    });
    let (_, what) = damage(open(dir.path()).unwrap_err());
    assert_eq!(what, Flaw::ChunkShape { entry: 4, key: 2, value: 1 });
}

#[test]
fn spares_that_a_crash_has_lost_are_not_missed() {
    for is_lost in [|key| key == 4, |key| key == 5, |key| key == 200, |_| true] {
        let (dir, mut frames, last) = journal(&[vec![9; 20]], true);
        frames.push(last);
        with_generation(dir.path(), 1, |generation| {
            assert!(200 < generation.keys, "{} keys", generation.keys);
            let mut batch = sled::Batch::default();
            (4..generation.keys).filter(|key| is_lost(*key)).for_each(|key: u64| batch.remove(&key.to_be_bytes()));
            generation.dir().commit(batch, 1).unwrap();
        });
        let (mut journal, report) = open(dir.path()).unwrap();
        assert_eq!(report.mended, []);
        frames.extend((0..200).map(|n| append(&mut journal, &[vec![n; 5_000]])));
        assert_eq!(read_all(&journal), frames);
        drop(journal);
        let (journal, report) = open(dir.path()).unwrap();
        assert_eq!((report.mended, read_all(&journal)), (vec![], frames));
    }
}

#[test]
fn a_last_chunk_that_looks_like_a_spare_is_a_chunk() {
    let dir = scratch();
    let (mut journal, _) = open(dir.path()).unwrap();
    // Header, length, record: the record's last byte is alone in the second chunk.
    let frame = append(&mut journal, &[[vec![1; VALUE_BYTES_MAX - 72 - 4], b"-".to_vec()].concat()]);
    assert_eq!(frame.bytes().chunks(VALUE_BYTES_MAX).nth(1), Some(super::SPARE));
    let next = append(&mut journal, &[vec![2]]);
    drop(journal);
    let (journal, report) = open(dir.path()).unwrap();
    assert_eq!((report.mended, read_all(&journal)), (vec![], vec![frame, next]));
}

#[test]
fn r23_frame_with_spares_in_the_place_of_chunks_is_cut_after_the_head() {
    let (dir, frames, last) = journal(&[vec![9; 20_000]], false);
    for lost in 0..5 {
        let image = scratch();
        copy_tree(dir.path(), &image.path().join("j")).unwrap();
        let dir = image.path().join("j");
        with_generation(&dir, 1, |generation| commit_one(generation, &u64::to_be_bytes(3 + lost), super::SPARE));
        // Whoever only reads sees what a start would keep.
        let copies = scratch();
        let checked = verify_copy(&dir, LedgerId::default(), copies.path()).unwrap();
        let read = read_only_frames(&dir, &checked, copies.path()).unwrap();
        assert_eq!(read.collect::<Result<Vec<Frame>, _>>().unwrap(), frames);
        let (mut journal, report) = open(&dir).unwrap();
        assert_eq!(report.mended, [Mended::TornTail { generation: 1, chunks: 4 }]);
        assert_eq!(read_all(&journal), frames);
        let next = append(&mut journal, &[vec![7; 30_000]]);
        drop(journal);
        let (journal, report) = open(&dir).unwrap();
        assert_eq!((report.mended, read_all(&journal)), (vec![], [frames.clone(), vec![next]].concat()));
    }
    assert_eq!(read_all(&open(dir.path()).unwrap().0).last(), Some(&last));
}

#[test]
fn a_generation_of_an_earlier_build_is_written_on_without_spares() {
    let (dir, mut frames, last) = journal(&[vec![9; 20]], false);
    frames.push(last);
    let (mut journal, _) = open(dir.path()).unwrap();
    frames.extend((0..100).map(|n| append(&mut journal, &[vec![n; 5_000]])));
    drop(journal);
    with_generation(dir.path(), 1, |generation| assert_eq!((generation.keys, generation.has_spares), (4 + 200, false)));
    assert_eq!(read_all(&open(dir.path()).unwrap().0), frames);
}

#[test]
fn a_key_at_the_end_of_all_numbers_harms_nobody() {
    let cut = [Mended::TornTail { generation: 1, chunks: 1 }];
    for (value, mended) in [(super::SPARE, &cut[..0]), (b"x", &cut)] {
        let (dir, _, _) = journal(&[vec![9; 20]], true);
        with_generation(dir.path(), 1, |generation| commit_one(generation, &[0xff; 8], value));
        let (mut journal, report) = open(dir.path()).unwrap();
        assert_eq!(report.mended, mended);
        append(&mut journal, &[vec![1; 9_000]]);
        drop(journal);
        assert_eq!(read_all(&open(dir.path()).unwrap().0).len(), 5);
    }
}

#[test]
fn a_spare_in_the_place_of_an_acknowledged_chunk_is_damage() {
    for (at, expected) in
        [(2, Flaw::ChunkMissing { expected: 2, found: 3 }), (3, Flaw::Shorter { expected: Seq(7), found: Seq(6) })]
    {
        let (dir, _, _) = journal(&[vec![9; 20]], true);
        with_generation(dir.path(), 1, |generation| {
            commit_one(generation, &u64::to_be_bytes(at), super::SPARE);
        });
        assert_eq!(damage(open(dir.path()).unwrap_err()).1, expected);
    }
}

#[test]
fn chunks_are_written_once_because_spares_were_split_before() {
    let dir = scratch();
    let (mut journal, _) = open(dir.path()).unwrap();
    for n in 0..3_000 {
        append(&mut journal, &[vec![n as u8; 3_000]]);
    }
    drop(journal);
    let bytes = with_generation(dir.path(), 1, |generation| {
        assert_eq!(generation.frames().count(), 3_000);
        generation.dir().tree().iter().values().map(|value| value.unwrap().len() as u64).sum::<u64>()
    });
    let stored = std::fs::metadata(dir.path().join("g1/db")).unwrap().len();
    assert!(stored < bytes * 5 / 4, "{stored} bytes hold {bytes}");
}

#[test]
fn r41_edited_record_with_a_mended_checksum_is_named() {
    let dir = scratch();
    let (mut journal, _) = open(dir.path()).unwrap();
    let frames: Vec<Frame> = (0..5).map(|n| append(&mut journal, &[vec![n; 30], vec![n; 3]])).collect();
    drop(journal);
    for (at, frame) in frames.iter().enumerate() {
        let image = scratch();
        copy_tree(dir.path(), &image.path().join("j")).unwrap();
        let dir = image.path().join("j");
        let edited = [vec![77; 30], frame.record(1).to_vec()];
        let edited = Frame::build(frame.epoch(), frame.first_seq(), frame.previous(), &edited).unwrap();
        with_generation(&dir, 1, |generation| {
            commit_one(generation, &(at as u64).to_be_bytes(), edited.bytes());
        });
        let scratch = scratch();
        let (seq, what) = damage(verify_copy(&dir, LedgerId::default(), scratch.path()).unwrap_err());
        let seq = seq.unwrap();
        assert!(frame.first_seq() <= seq && seq <= frame.last_seq(), "{seq:?} named for frame {at}");
        let expected = match what {
            Flaw::Chain { found, .. } => at < 4 && found == frame.hash(),
            Flaw::HeadHash { expected, .. } => at == 4 && expected == frame.hash(),
            _ => false,
        };
        assert!(expected, "{what:?}");
        assert_eq!(damage(open(&dir).unwrap_err()).1, what);
    }
}

#[test]
fn r41_cut_tail_is_found_against_the_head() {
    let (dir, _, _) = journal(&[vec![9; 20]], true);
    for left in (0..4).rev() {
        rewrite(dir.path(), 1, left, &[]);
        let scratch = scratch();
        let (seq, what) = damage(verify_copy(dir.path(), LedgerId::default(), scratch.path()).unwrap_err());
        assert_eq!(seq, Some(Seq(left * 2 + 1)));
        assert_eq!(what, Flaw::Shorter { expected: Seq(7), found: Seq(left * 2) });
    }
}
