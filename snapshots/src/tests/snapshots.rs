//! Snapshots: each is what a full replay gives, whatever it was made from, and a start needs no more than it and the
//! tail.

use std::{fs, io};

use kembali_core::purchase::Purchase;
use kembali_core::{CustomerId, Seq};
use kembali_journal::{Frame, FrameHash};

use super::support::{
    Archived, Chance, Taken, World, assert_same, copy_dir, cut, depth, frames, generation, names, replay, since, whole,
};
use crate::archive::Archive;
use crate::{Cut, FileHash, Snapshot, Snapshots, TakeError, ledger_digest, snapshot_name};

#[test]
fn a_snapshot_holds_what_a_full_replay_gives() {
    let taken = Taken::new(61, 200, 4);
    for (at, cut) in taken.cuts.iter().enumerate() {
        let snapshot = taken.open(at);
        let expected = replay(&taken.records, cut.seq.0 as usize);
        assert_eq!(snapshot.cut(), *cut);
        assert_same(&snapshot.load().unwrap(), &expected, &taken.records);
        assert_eq!(snapshot.digest(), ledger_digest(&expected));
        assert_eq!(snapshot.row_count(), expected.rows.len() as u64);
        snapshot.verify().unwrap();
        for record in &taken.records {
            let Some(customer) = record.body.customer else { continue };
            let known = expected.rows.get(&customer).cloned();
            let known = known.map(|row| (row, expected.desk.last_record_of(customer)));
            assert_eq!(snapshot.row(customer).unwrap(), known);
            assert_eq!(snapshot.row(CustomerId(customer.0 ^ 1)).unwrap(), None);
        }
        for edge in [CustomerId(0), CustomerId(u128::MAX)] {
            assert_eq!(snapshot.row(edge).unwrap(), None);
        }
    }
}

#[test]
fn a_snapshot_has_the_same_bytes_whatever_it_was_made_from() {
    let taken = Taken::new(62, 300, 5);
    let dir = tempfile::tempdir().unwrap();
    let mut snapshots = Snapshots::open(dir.path()).unwrap();
    for (at, cut) in taken.cuts.iter().enumerate() {
        snapshots.take(None, since(&taken.records, Seq::ZERO, cut.seq), *cut).unwrap();
        let (direct, derived) = (dir.path().join(snapshot_name(cut.seq)), taken.path(at));
        assert_eq!(fs::read(direct).unwrap(), fs::read(derived).unwrap());
    }
}

#[test]
fn a_snapshot_of_many_blocks_of_rows() {
    let taken = Taken::new(63, 2_000, 3);
    let snapshot = taken.open(2);
    assert!(5 < snapshot.block_count(), "{} blocks", snapshot.block_count());
    let expected = replay(&taken.records, snapshot.cut().seq.0 as usize);
    assert_same(&snapshot.load().unwrap(), &expected, &taken.records);
    for (customer, row) in &expected.rows {
        let last = expected.desk.last_record_of(*customer);
        assert_eq!(snapshot.row(*customer).unwrap(), Some((row.clone(), last)));
    }
    snapshot.verify().unwrap();
}

#[test]
fn a_snapshot_before_the_first_customer() {
    let mut world = World::new();
    world.apply(super::support::draft("club", 3));
    let (frames, dir) = (frames(&world.records, 1, 1), tempfile::tempdir().unwrap());
    let mut snapshots = Snapshots::open(dir.path()).unwrap();
    let cut = cut(&frames[0], Seq::ZERO);
    let snapshot = snapshots.take(None, since(&world.records, Seq::ZERO, cut.seq), cut).unwrap();
    assert_eq!((snapshot.row_count(), snapshot.row(CustomerId(1)).unwrap()), (0, None));
    snapshot.verify().unwrap();
    assert_same(&snapshot.load().unwrap(), &world.ledger, &world.records);
}

/// Snapshot, keys of the archive and tail, at every position and with every end of the archive that has been there.
#[test]
fn r28_snapshot_and_tail_are_the_full_replay_at_every_prefix() {
    let mut chance = Chance::new(64);
    for seed in 0..3 * depth() {
        let records = World::random(6_400 + seed, 60).records;
        let frames = frames(&records, 4, seed);
        let dir = tempfile::tempdir().unwrap();
        let mut archive = Archive::open(&dir.path().join("archive")).unwrap();
        let mut snapshots = Snapshots::open(&dir.path().join("snapshots")).unwrap();
        let (mut previous, mut archived): (Option<Snapshot>, usize) = (None, 0);
        for end in 1..=frames.len() {
            // The archive is sometimes behind the snapshot and sometimes at its end, never beyond the journal.
            if archived < end && chance.below(4) == 0 {
                let upto = archived + 1 + chance.below((end - archived) as u64) as usize;
                let part = &frames[archived..upto];
                let number = archive.last_generation().unwrap_or(0) + 1;
                archive.add(&generation(number, part), whole(part)).unwrap();
                archived = upto;
            }
            let cut = cut(&frames[end - 1], archive.last_seq());
            let after = previous.as_ref().map_or(Seq::ZERO, |previous| previous.cut().seq);
            let snapshot = snapshots.take(previous.as_ref(), since(&records, after, cut.seq), cut).unwrap();
            let mut ledger = snapshot.load().unwrap();
            archive.keys(snapshot.cut().archived, |key| ledger.desk.restore_key(key.prefix, key.seq)).unwrap();
            assert_same(&ledger, &replay(&records, cut.seq.0 as usize), &records);
            let middle = cut.seq.0 as usize + chance.below(1 + records.len() as u64 - cut.seq.0) as usize;
            for upto in [middle, records.len()] {
                let done = ledger.desk.last().0 as usize;
                records[done..upto].iter().for_each(|record| ledger.evolve(record).unwrap());
                assert_same(&ledger, &replay(&records, upto), &records);
            }
            frames.get(end).into_iter().chain([&frames[end - 1]]).for_each(|frame| snapshot.meets(frame).unwrap());
            // Now and then one is skipped, so that the next has more to do.
            if chance.below(3) != 0 {
                previous = Some(snapshot);
            }
        }
    }
}

#[test]
fn a_snapshot_older_than_the_archive_takes_its_keys_from_there() {
    let archived = Archived::new(65, 100, 2);
    let (archive, records, frames) = (archived.open(), &archived.world.records, archived.frames());
    let dir = tempfile::tempdir().unwrap();
    let mut snapshots = Snapshots::open(dir.path()).unwrap();
    // The cut lies within the second segment: its later keys must not be there yet.
    let cut = cut(&frames[frames.len() * 3 / 4], archive.last_seq());
    let snapshot = snapshots.take(None, since(records, Seq::ZERO, cut.seq), cut).unwrap();
    assert_eq!(snapshot.cut().archived, cut.seq);
    let mut ledger = snapshot.load().unwrap();
    assert!(ledger.desk.keys().is_empty());
    archive.keys(snapshot.cut().archived, |key| ledger.desk.restore_key(key.prefix, key.seq)).unwrap();
    for frame in archive.frames(cut.seq.next()) {
        let frame = frame.unwrap();
        for record in &records[frame.first_seq().0 as usize - 1..frame.last_seq().0 as usize] {
            ledger.evolve(record).unwrap();
        }
    }
    assert_same(&ledger, &replay(records, records.len()), records);
}

#[test]
fn only_the_records_between_two_snapshots_make_the_next() {
    let taken = Taken::new(66, 60, 2);
    let (first, last) = (taken.cuts[0], taken.cuts[1]);
    let previous = taken.open(0);
    let dir = tempfile::tempdir().unwrap();
    let mut snapshots = Snapshots::open(dir.path()).unwrap();
    let mut refused = |previous: Option<&Snapshot>, records: Vec<Result<_, io::Error>>, cut: Cut, expected: &str| {
        let error = snapshots.take(previous, records, cut).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(names(dir.path()), Vec::<String>::new(), "a refusal leaves nothing");
    };
    let some = |from: u64, through: u64| {
        taken.records[from as usize..through as usize].iter().cloned().map(Ok).collect::<Vec<_>>()
    };
    let (middle, end) = (first.seq.0, last.seq.0);
    refused(Some(&previous), some(middle + 1, end), last, &format!("before sequence number {}", middle + 1));
    refused(Some(&previous), some(middle, end - 1), last, &format!("before sequence number {end}"));
    refused(Some(&previous), some(0, end), last, "or leave it out");
    refused(None, some(middle, end), last, "before sequence number 1 or");
    refused(Some(&previous), some(middle, end), Cut { seq: Seq(end - 1), ..last }, "or leave it out");
    refused(Some(&previous), Vec::new(), first, "adds nothing to the one at");
    refused(None, Vec::new(), Cut { seq: Seq::ZERO, ..first }, "adds nothing to the one at 0");
    let mut failing = some(middle, end - 1);
    failing.push(Err(io::Error::other("no disk")));
    refused(Some(&previous), failing, last, "reading the records since the previous snapshot: no disk");
    let mut unbalanced = taken.records[middle as usize..end as usize].to_vec();
    let seq = unbalanced.iter_mut().rev().find_map(|record| {
        record.body.customer?;
        record.body.previous = Seq(record.body.previous.0 + 1);
        Some(record.seq)
    });
    let said = format!("the record at sequence number {} contradicts the ledger: BrokenChain", seq.unwrap().0);
    refused(Some(&previous), unbalanced.into_iter().map(Ok).collect(), last, &said);
    let ours = Cut { archived: Seq(5), ..first };
    let with_keys_archived = snapshots.take(None, since(&taken.records, Seq::ZERO, first.seq), ours).unwrap();
    let shrunk = snapshots.take(Some(&with_keys_archived), since(&taken.records, first.seq, last.seq), last);
    assert!(matches!(shrunk, Err(TakeError::ArchiveShrank { .. })));
}

#[test]
fn r27_a_snapshot_of_another_ledger() {
    let (ours, theirs) = (Taken::new(67, 80, 2), Taken::new(68, 80, 2));
    for (taken, is_ours) in [(&ours, true), (&theirs, false)] {
        let snapshot = taken.open(0);
        let seq = snapshot.cut().seq;
        let here = ours.frames.iter().filter(|frame| frame.last_seq() == seq || frame.first_seq() == seq.next());
        let meets: Vec<_> = here.map(|frame| snapshot.meets(frame)).collect();
        assert!(is_ours || !meets.is_empty());
        for met in meets {
            assert_eq!(met.is_ok(), is_ours, "{met:?}");
        }
    }
    let snapshot = ours.open(0);
    let far = ours.frames.last().unwrap();
    let error = snapshot.meets(far).unwrap_err();
    assert_eq!(error.damage().unwrap().seq, Some(snapshot.cut().seq), "{error}");
    assert!(error.to_string().contains(&format!("{} was found where", far.first_seq().0)), "{error}");
    let foreign = Frame::build(1, snapshot.cut().seq.next(), FrameHash([1; 32]), &[b"x"]).unwrap();
    let error = snapshot.meets(&foreign).unwrap_err();
    assert!(error.to_string().contains("but the ledger has 0101"), "{error}");
}

#[test]
fn r27_a_damaged_missing_or_misnamed_newest_snapshot_is_named_and_the_older_one_used() {
    let taken = Taken::new(69, 120, 3);
    let newest = |dir: &tempfile::TempDir| Snapshots::open(dir.path()).unwrap().newest_valid();
    let name = |at: usize| snapshot_name(taken.cuts[at].seq);
    let found = newest(&copy_dir(taken.dir.path()));
    assert_eq!((found.snapshot.unwrap().cut(), found.bad.len()), (taken.cuts[2], 0));
    // Damaged in a row, which opening alone does not read.
    let dir = copy_dir(taken.dir.path());
    let path = dir.path().join(name(2));
    let mut bytes = fs::read(&path).unwrap();
    bytes[100] ^= 1;
    fs::write(&path, &bytes).unwrap();
    Snapshot::open(&path).unwrap();
    let found = newest(&dir);
    assert_eq!((found.snapshot.unwrap().cut(), found.bad.len()), (taken.cuts[1], 1));
    let said = found.bad[0].to_string();
    assert!(said.contains(&name(2)) && said.contains("move this snapshot away"), "{said}");
    // The one before it is gone, and the first has the name of a later one.
    fs::remove_file(dir.path().join(name(1))).unwrap();
    fs::rename(dir.path().join(name(0)), dir.path().join(snapshot_name(Seq(taken.cuts[0].seq.0 + 1)))).unwrap();
    let found = newest(&dir);
    assert!(found.snapshot.is_none());
    assert!(found.bad[1].to_string().contains("its name says"), "{}", found.bad[1]);
    // A snapshot for a read as of the past.
    let snapshots = Snapshots::open(taken.dir.path()).unwrap();
    let through = |seq: u64| snapshots.newest_valid_through(Seq(seq)).snapshot.map(|snapshot| snapshot.cut());
    assert_eq!(through(taken.cuts[2].seq.0 - 1), Some(taken.cuts[1]));
    assert_eq!(through(taken.cuts[1].seq.0), Some(taken.cuts[1]));
    assert_eq!(through(taken.cuts[0].seq.0 - 1), None);
}

#[test]
fn whoever_only_reads_changes_nothing() {
    let taken = Taken::new(72, 40, 2);
    let leftover = taken.dir.path().join(format!("{}.new", snapshot_name(Seq(7))));
    fs::write(&leftover, b"half").unwrap();
    let snapshots = Snapshots::open_for_reading(taken.dir.path()).unwrap();
    assert_eq!(snapshots.positions().collect::<Vec<_>>(), [1, 0].map(|at: usize| taken.cuts[at].seq));
    assert!(leftover.exists());
    assert_eq!(Snapshots::open(taken.dir.path()).unwrap().removed(), std::slice::from_ref(&leftover));
    assert!(!leftover.exists());
    let nowhere = taken.dir.path().join("nowhere");
    assert_eq!(Snapshots::open_for_reading(&nowhere).unwrap().positions().len(), 0);
    assert!(!nowhere.exists());
}

#[test]
fn two_whole_snapshots_are_kept_and_damaged_ones_do_not_count() {
    let taken = Taken::new(70, 150, 5);
    let dir = copy_dir(taken.dir.path());
    let mut snapshots = Snapshots::open(dir.path()).unwrap();
    let spoilt = dir.path().join(snapshot_name(taken.cuts[3].seq));
    fs::write(&spoilt, b"spoilt").unwrap();
    let removed = snapshots.retain(2).unwrap();
    let old = [1, 0].map(|at| dir.path().join(snapshot_name(taken.cuts[at].seq)));
    assert_eq!(removed, old);
    let kept: Vec<Seq> = snapshots.positions().collect();
    assert_eq!(kept, [4, 3, 2].map(|at: usize| taken.cuts[at].seq));
    assert_eq!(names(dir.path()).len(), 3);
    assert_eq!(snapshots.retain(2).unwrap(), Vec::<std::path::PathBuf>::new());
    assert_eq!(Snapshots::open(dir.path()).unwrap().positions().collect::<Vec<_>>(), kept);
    snapshots.retain(0).unwrap();
    assert_eq!(snapshots.positions().collect::<Vec<_>>(), [taken.cuts[4].seq]);
}

/// The stored shape, frozen: whoever changes it gives the format another version, and then this hash.
#[test]
fn the_bytes_of_a_snapshot_and_of_a_segment_are_frozen() {
    let mut world = World::new();
    world.apply(super::support::draft("club", 2));
    for (at, amount) in [1_000, 2_000, 0, 3_000, 4_000].into_iter().enumerate() {
        let (origin_id, promo_code) = (format!("{at}").into(), Some("KEMBALI".into()));
        world.buy(1, "C1", Purchase { origin_id, amount, quantity: 1, promo_code, ..Purchase::default() });
    }
    let frames = frames(&world.records, 2, 1);
    let dir = tempfile::tempdir().unwrap();
    let cut = cut(frames.last().unwrap(), Seq(2));
    let mut snapshots = Snapshots::open(dir.path()).unwrap();
    let snapshot = snapshots.take(None, since(&world.records, Seq::ZERO, cut.seq), cut).unwrap();
    let hash = |bytes: &[u8]| FileHash(*blake3::hash(bytes).as_bytes()).to_string();
    let snapshot = hash(&fs::read(snapshot.path()).unwrap());
    let mut archive = Archive::open(dir.path()).unwrap();
    let segment = archive.add(&generation(1, &frames), whole(&frames)).unwrap();
    // What a block is compressed to is zstd's business: header, tables and sums are ours.
    let bytes = fs::read(segment.path()).unwrap();
    let segment = hash(&[&bytes[..72], segment.after_blocks(&bytes)].concat());
    // The hash of the last frame is in it, which changed with the layout of records.
    assert_eq!(snapshot, "161e07782203f72c3d59fe0c317cd67b09d9de0df250a0af9a09f0a307d41176");
    assert_eq!(segment, "3e8f2fa39cd58d55eb5531df9b96fc85cbc38e2ffd12ee2f33289cfd5fb1a68e");
}

/// A million customers: what a start costs. Run it with `--release`.
#[test]
#[ignore = "a measurement"]
fn p06_a_million_customers() {
    let customers: u64 = std::env::var("CUSTOMERS").ok().and_then(|count| count.parse().ok()).unwrap_or(1_000_000);
    let mut world = World::new();
    world.apply(super::support::draft("club", u64::MAX / 2));
    let buy = |world: &mut World, at: u64, customer: u64| {
        let purchase = Purchase {
            origin_id: format!("{}", 31_198_570_000 + at).into(),
            amount: 50_000,
            quantity: 1,
            promo_code: Some("KEMBALI".into()),
            ..Purchase::default()
        };
        world.buy(1, &format!("C{customer}"), purchase);
    };
    (0..customers).for_each(|at| buy(&mut world, at, at));
    let dir = tempfile::tempdir().unwrap();
    let mut snapshots = Snapshots::open(dir.path()).unwrap();
    let cut = |seq| Cut { seq, hash: FrameHash::GENESIS, archived: seq };
    let timed = |what: &str, start: std::time::Instant| println!("{what}: {:?}", start.elapsed());
    let start = std::time::Instant::now();
    let (first, records) = (world.ledger.desk.last(), world.records.clone());
    let base = snapshots.take(None, since(&records, Seq::ZERO, first), cut(first)).unwrap();
    timed("from nothing", start);
    println!("{} bytes a customer", base.size() / customers);
    let mut chance = Chance::new(6);
    (0..customers / 4).for_each(|at| buy(&mut world, customers + at, chance.below(customers)));
    let last = world.ledger.desk.last();
    let start = std::time::Instant::now();
    let next = snapshots.take(Some(&base), since(&world.records, first, last), cut(last)).unwrap();
    timed("from the previous and a quarter as many purchases", start);
    let start = std::time::Instant::now();
    let found = snapshots.newest_valid();
    timed("find the newest", start);
    let start = std::time::Instant::now();
    let ledger = found.snapshot.unwrap().load().unwrap();
    timed("load", start);
    assert_eq!(ledger.rows.len() as u64, customers);
    let start = std::time::Instant::now();
    next.verify().unwrap();
    timed("verify", start);
}
