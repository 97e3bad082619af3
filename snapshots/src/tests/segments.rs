//! One segment: what goes in comes out, and every accessor answers as a model does.

use std::collections::BTreeMap;
use std::{fs, io};

use kembali_core::event::{Event, Record};
use kembali_core::purchase::Purchase;
use kembali_core::totals::Totals;
use kembali_core::{CustomerId, Instant, Seq};
use kembali_journal::{Frame, FrameHash};

use super::support::{Archived, World, draft, frame, frames, generation, whole};
use crate::archive::Archive;
use crate::segment::layout::BLOCK_BYTES;
use crate::{AddError, BookedKey, Segment, segment_name};

/// What the key table must hold.
pub(super) fn keys_of(records: &[Record]) -> Vec<BookedKey> {
    let mut keys: Vec<BookedKey> = Vec::new();
    for record in records {
        for event in &record.body.events {
            if let Event::PurchaseBooked(booked) = event {
                keys.push(BookedKey { prefix: (booked.key.0 >> 64) as u64, seq: record.seq });
            }
        }
    }
    keys.sort();
    keys
}

/// What the customer table must hold.
pub(super) fn customers_of(records: &[Record]) -> BTreeMap<CustomerId, Seq> {
    records.iter().filter_map(|record| Some((record.body.customer?, record.seq))).collect()
}

/// Holds a segment of a ledger whose records are `ledger` against its own frames and records.
fn check_against_model(segment: &Segment, frames: &[Frame], records: &[Record], ledger: &[Record]) {
    let (first, last) = (frames[0].first_seq(), frames[frames.len() - 1].last_seq());
    assert_eq!((segment.first_seq(), segment.last_seq()), (first, last));
    assert_eq!((segment.previous(), segment.last_hash()), (frames[0].previous(), frames[frames.len() - 1].hash()));
    let read: Vec<Frame> = segment.frames().map(Result::unwrap).collect();
    assert_eq!(read, frames);
    for seq in (first.0.saturating_sub(2)..=last.0 + 2).map(Seq) {
        let expected = frames.iter().find(|frame| frame.record_by_seq(seq).is_some());
        assert_eq!(segment.frame_of(seq).unwrap().as_ref(), expected, "frame of {}", seq.0);
    }
    assert_eq!(segment.keys().unwrap(), keys_of(records));
    assert_eq!(segment.key_count(), keys_of(records).len() as u64);
    let customers = customers_of(records);
    for (customer, seq) in &customers {
        assert_eq!(segment.last_record_of(*customer).unwrap(), Some(*seq));
        for near in [CustomerId(customer.0 - 1), CustomerId(customer.0 + 1)] {
            assert_eq!(segment.last_record_of(near).unwrap(), customers.get(&near).copied());
        }
    }
    for edge in [CustomerId(0), CustomerId(u128::MAX)] {
        assert_eq!(segment.last_record_of(edge).unwrap(), None);
    }
    let mut sums = Totals::default();
    ledger.iter().take_while(|record| record.seq < first).for_each(|record| sums.evolve(record));
    let report = segment.verify(&mut sums).unwrap();
    assert_eq!(segment.sums().unwrap(), sums);
    assert_eq!((report.frames, report.records), (frames.len() as u64, records.len() as u64));
    assert_eq!((report.keys, report.customers), (keys_of(records).len() as u64, customers.len() as u64));
    assert_eq!(report.raw_bytes, frames.iter().map(|frame| frame.bytes().len() as u64).sum());
}

#[test]
fn a_segment_answers_as_its_records_do() {
    let archived = Archived::new(1, 150, 3);
    for (number, part) in (1..).zip(&archived.parts) {
        let range = part[0].first_seq().0 as usize - 1..part[part.len() - 1].last_seq().0 as usize;
        let segment = Segment::open(&archived.path(number)).unwrap();
        assert_eq!(segment.generation(), number);
        check_against_model(&segment, part, &archived.world.records[range], &archived.world.records);
    }
}

#[test]
fn a_segment_of_many_blocks_answers_as_its_records_do() {
    let archived = Archived::new(2, 9_000, 1);
    let segment = Segment::open(&archived.path(1)).unwrap();
    let raw_bytes = segment.verify(&mut Totals::default()).unwrap().raw_bytes;
    assert!(3 * BLOCK_BYTES < raw_bytes as usize, "more than three blocks: {raw_bytes} bytes");
    assert_ne!(segment.block_of(Seq(1)), segment.block_of(segment.last_seq()));
    check_against_model(&segment, &archived.parts[0], &archived.world.records, &archived.world.records);
}

#[test]
fn a_segment_of_one_record_and_nothing_else() {
    let mut world = World::new();
    world.apply(draft("club", 1));
    let frames = frames(&world.records, 1, 1);
    let dir = tempfile::tempdir().unwrap();
    let mut archive = Archive::open(dir.path()).unwrap();
    // The journal numbers generations from 1; an archive goes on from where it starts.
    let segment = archive.add(&generation(7, &frames), whole(&frames)).unwrap();
    check_against_model(segment, &frames, &world.records, &world.records);
    assert_eq!(archive.last_generation(), Some(7));
    assert_eq!(Archive::open(dir.path()).unwrap().last_hash(), frames[0].hash());
}

#[test]
fn the_same_records_make_the_same_bytes() {
    let (one, two) = (Archived::new(3, 80, 2), Archived::new(3, 80, 2));
    for number in [1, 2] {
        assert_eq!(fs::read(one.path(number)).unwrap(), fs::read(two.path(number)).unwrap());
    }
}

#[test]
fn only_the_generation_that_follows_is_added() {
    let archived = Archived::new(4, 60, 3);
    let (dir, [one, two, three]) = (tempfile::tempdir().unwrap(), <[_; 3]>::try_from(archived.parts.clone()).unwrap());
    let mut archive = Archive::open(dir.path()).unwrap();
    let mut refused = |info: &_, frames: Vec<Result<Frame, io::Error>>, expected: &str| {
        let said = archive.add(info, frames).unwrap_err().to_string();
        assert!(said.contains(expected), "{said}");
        assert_eq!(archive.segments().len(), 0);
    };
    let ok = |frames: &[Frame]| frames.iter().cloned().map(Ok).collect::<Vec<_>>();
    let whole_one = generation(1, &one);
    let mut open = whole_one;
    open.sealed = false;
    refused(&open, ok(&one), "generation 1 is not sealed");
    refused(&generation(2, &two), ok(&two), "the archive goes on with generation 2 at 1");
    refused(&whole_one, ok(&one[1..]), "the frames end before sequence number 1 or leave it out");
    refused(&whole_one, ok(&one[..one.len() - 1]), "the frames end before");
    refused(&whole_one, ok(&[one.clone(), two.clone()].concat()), "the frames end before");
    refused(&whole_one, Vec::new(), "the frames end before sequence number 1");
    let gap: Vec<Frame> = one.iter().enumerate().filter(|(at, _)| *at != 1).map(|(_, frame)| frame.clone()).collect();
    refused(&whole_one, ok(&gap), "leave it out");
    let mut failing = ok(&one[..1]);
    failing.push(Err(io::Error::other("no disk")));
    refused(&whole_one, failing, "reading the frames to be archived: no disk");
    let foreign = frame(&archived.world.records[..1], FrameHash([7; 32]));
    refused(&generation(1, std::slice::from_ref(&foreign)), vec![Ok(foreign)], "follows 0707");
    let garbage = Frame::build(1, Seq(1), FrameHash::GENESIS, &[b"no record"]).unwrap();
    refused(&generation(1, std::slice::from_ref(&garbage)), vec![Ok(garbage)], "record at sequence number 1 cannot");
    assert_eq!(super::support::names(dir.path()), Vec::<String>::new(), "a refusal leaves nothing");
    archive.add(&whole_one, whole(&one)).unwrap();
    for (info, frames) in [(whole_one, &one), (generation(3, &three), &three), (generation(3, &two), &two)] {
        assert!(matches!(archive.add(&info, whole(frames)), Err(AddError::NotNext { .. })));
    }
    archive.add(&generation(2, &two), whole(&two)).unwrap();
    assert_eq!(archive.last_seq(), two[two.len() - 1].last_seq());
    assert_eq!(segment_name(2), "segment-0000000002.kseg");
}

/// Purchases as a partner sends them: an origin id of eleven digits, a shop, a promo code on every third.
#[test]
fn p09_bytes_of_a_purchase_in_a_segment() {
    let mut world = World::new();
    world.apply(draft("club", 1_000_000));
    let mut chance = super::support::Chance::new(9);
    let purchases = 20_000;
    for at in 0..purchases {
        let purchase = Purchase {
            origin_id: format!("{}", 31_198_570_000 + at).into(),
            amount: 5_000 + chance.below(2_000_000) as i64,
            quantity: 1 + chance.below(3) as i64,
            occurred_at: Some(Instant(1_700_000_000_000_000 + at * 1_000_000)),
            promo_code: (chance.below(3) == 0).then(|| "KEMBALI".into()),
            store: Some(format!("{}", 300 + chance.below(40)).into()),
            ..Purchase::default()
        };
        world.buy(1, &format!("C{}", chance.below(5_000)), purchase);
    }
    let frames = frames(&world.records, 64, 9);
    let dir = tempfile::tempdir().unwrap();
    let mut archive = Archive::open(dir.path()).unwrap();
    let segment = archive.add(&generation(1, &frames), whole(&frames)).unwrap();
    let report = segment.verify(&mut Totals::default()).unwrap();
    assert_eq!(report.keys, purchases as u64);
    let (size, raw) = (segment.size() / report.keys, report.raw_bytes / report.keys);
    println!("{size} bytes a purchase in the segment, {raw} in the journal");
    assert!(size <= 150, "{size} bytes a purchase");
}
