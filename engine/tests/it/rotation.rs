//! Generations that are sealed, archived and dropped under load: nothing that an outsider sees may change by it.

use std::path::PathBuf;

use kembali_core::Seq;
use kembali_engine::{Booking, Engine, PurchaseRequest, StartReport, verify};

use crate::lab::{Lab, open_shop, runtime, word};
use crate::same::input;

const GENERATION_BYTES: u64 = 64 * 1024;

async fn book_all(engine: &Engine, requests: &[PurchaseRequest]) -> Vec<Booking> {
    let mut bookings = Vec::new();
    for chunk in requests.chunks(50) {
        bookings.extend(engine.book(chunk.to_vec()).await.expect("the engine answers"));
    }
    bookings
}

#[test]
fn the_archive_answers_as_memory_does_before_and_after_a_restart() {
    let (plain, rotating) = (Lab::new(), Lab::new());
    runtime().block_on(async {
        let engine = plain.start(1);
        let shop = open_shop(&engine, 500).await;
        book_all(&engine, &input(shop)).await;
        engine.stop().await.expect("it stops well");

        let engine = rotating.start_rotating(2, GENERATION_BYTES);
        let shop = open_shop(&engine, 500).await;
        let requests = input(shop);
        let first = book_all(&engine, &requests).await;
        let again = book_all(&engine, &requests).await;
        engine.stop().await.expect("it stops well");
        let verified = rotating.verify();
        assert!(verified.segments > 3 && verified.snapshots == 2, "{verified:?}");

        let engine = rotating.start_rotating(1, GENERATION_BYTES);
        let after = book_all(&engine, &requests).await;
        let last = engine.durable();
        for seq in 1..=last.0 {
            let (record, _) = engine.record(Seq(seq)).await.expect("readable").expect("written");
            assert_eq!(record.seq, Seq(seq));
        }
        assert!(engine.record(last.next()).await.expect("readable").is_none());
        engine.stop().await.expect("it stops well");

        for ((first, again), after) in first.iter().zip(&again).zip(&after) {
            match (first, again, after) {
                (
                    Booking::Booked { record, .. } | Booking::Replayed { record, .. },
                    Booking::Replayed { record: again, .. },
                    Booking::Replayed { record: after, .. },
                ) => assert!(record == again && record == after),
                (first, again, after) => {
                    // A key that was booked with other content, or refused for good.
                    assert!(["conflict", "refused", "refused again"].contains(&word(first)), "{}", word(first));
                    assert_eq!(word(again), word(after));
                }
            }
        }
    });
    assert_eq!(rotating.verify().digest, plain.verify().digest);
}

/// Lists the snapshots, the oldest first.
fn snapshots(lab: &Lab) -> Vec<PathBuf> {
    let listed = std::fs::read_dir(lab.path().join("snapshots")).expect("there are snapshots");
    let mut files: Vec<PathBuf> = listed.map(|entry| entry.expect("listed").path()).collect();
    files.sort();
    files
}

fn filled() -> Lab {
    let lab = Lab::new();
    runtime().block_on(async {
        let engine = lab.start_rotating(1, GENERATION_BYTES);
        let shop = open_shop(&engine, 500).await;
        book_all(&engine, &input(shop)).await;
        engine.stop().await.expect("it stops well");
    });
    lab
}

fn start_and_stop(lab: &Lab) -> StartReport {
    runtime().block_on(async {
        let config = lab.config(1, |fault| panic!("no fault is planned: {fault}"));
        let (engine, report) = Engine::start(config).expect("the engine starts");
        engine.stop().await.expect("it stops well");
        report
    })
}

#[test]
fn r28_a_start_from_a_snapshot_is_a_start_from_the_first_record() {
    let lab = filled();
    let digest = lab.verify().digest;
    let with = start_and_stop(&lab);
    std::fs::remove_dir_all(lab.path().join("snapshots")).expect("removable");
    let without = start_and_stop(&lab);
    assert_eq!((with.last, with.customers, with.purchases), (without.last, without.customers, without.purchases));
    assert_eq!(lab.verify().digest, digest);
}

#[test]
fn r27_a_damaged_snapshot_is_named_and_an_older_one_used() {
    let lab = filled();
    let whole = start_and_stop(&lab);
    let newest = snapshots(&lab).pop().expect("there is a snapshot");
    let mut bytes = std::fs::read(&newest).expect("readable");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&newest, bytes).expect("writable");

    let scratch = tempfile::tempdir().expect("a temporary folder");
    let refused = verify(lab.path(), scratch.path()).expect_err("verify names it");
    assert!(refused.is_damage() && refused.to_string().contains("snapshot-"), "{refused}");
    let report = start_and_stop(&lab);
    assert_eq!((report.last, report.purchases), (whole.last, whole.purchases));
    assert!(report.mended.iter().any(|line| line.contains("snapshot-")), "{:?}", report.mended);
}

#[test]
fn r26_a_damaged_segment_is_named_and_never_a_shorter_ledger() {
    let lab = filled();
    let segments = std::fs::read_dir(lab.path().join("archive")).expect("there is an archive");
    for segment in segments {
        let path = segment.expect("listed").path();
        let whole = std::fs::read(&path).expect("readable");
        for at in [0, whole.len() / 3, whole.len() - 9] {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            std::fs::write(&path, bytes).expect("writable");
            let scratch = tempfile::tempdir().expect("a temporary folder");
            let refused = verify(lab.path(), scratch.path()).expect_err("verify names it");
            assert!(refused.is_damage() && refused.to_string().contains("segment-"), "byte {at}: {refused}");
        }
        std::fs::write(&path, whole).expect("writable");
    }
    lab.verify();
}

/// Fills generations until the last one is sealed, archived and dropped: the journal then holds no frame at all.
fn archived_to_the_end() -> (Lab, Seq) {
    let lab = Lab::new();
    let last = runtime().block_on(async {
        let engine = lab.start_rotating(1, 4_096);
        let shop = open_shop(&engine, 500).await;
        book_all(&engine, &input(shop)[..400]).await;
        let last = engine.durable();
        engine.stop().await.expect("it stops well");
        last
    });
    // A generation that is full is sealed by the next append or the next start, and archived before the engine stops.
    start_and_stop(&lab);
    (lab, last)
}

#[test]
fn r27_a_lost_archive_is_named_and_never_a_shorter_ledger() {
    let (lab, last) = archived_to_the_end();
    let archive = lab.path().join("archive");
    let mut segments: Vec<PathBuf> =
        std::fs::read_dir(&archive).expect("there is an archive").map(|entry| entry.expect("listed").path()).collect();
    segments.sort();
    // From the newest to the oldest: with each one less, the ledger must be refused, not served shorter.
    while let Some(newest) = segments.pop() {
        std::fs::remove_file(newest).expect("removable");
        let config = lab.config(1, |fault| panic!("no fault is planned: {fault}"));
        let refused = Engine::start(config).expect_err("the start is refused");
        assert!(refused.is_damage(), "{refused}");
        let scratch = tempfile::tempdir().expect("a temporary folder");
        let refused = verify(lab.path(), scratch.path()).expect_err("verify refuses it");
        assert!(refused.is_damage(), "{refused}");
    }
    assert!(last > Seq(300), "{last:?}");
}

#[test]
fn r27_a_lost_journal_is_named_and_never_a_shorter_ledger() {
    let (lab, _) = archived_to_the_end();
    std::fs::remove_dir_all(lab.path().join("journal")).expect("removable");
    let config = lab.config(1, |fault| panic!("no fault is planned: {fault}"));
    let refused = Engine::start(config).expect_err("the start is refused");
    assert!(refused.is_damage(), "{refused}");
}

#[test]
fn a_larger_bound_after_a_restart_changes_nothing() {
    let lab = Lab::new();
    runtime().block_on(async {
        let mut all = Vec::new();
        for (from, bound) in [(0, 4_096), (400, 65_536), (800, 4_096), (1_200, 1_000_000)] {
            let engine = lab.start_rotating(1, bound);
            let shop = open_shop(&engine, 500).await;
            all.extend(book_all(&engine, &input(shop)[from..from + 400]).await);
            engine.stop().await.expect("it stops well");
        }
        assert_eq!(all.len(), 1_600);
    });
    assert!(lab.verify().segments > 3);
}

#[test]
fn a_snapshot_on_request_is_of_what_was_acknowledged() {
    let lab = Lab::new();
    runtime().block_on(async {
        let engine = lab.start(2);
        assert_eq!(engine.snapshot().await.expect("the engine answers"), Seq::ZERO, "there is nothing yet");
        let shop = open_shop(&engine, 500).await;
        let requests = input(shop);
        book_all(&engine, &requests[..200]).await;
        let acknowledged = engine.durable();
        assert_eq!(engine.snapshot().await.expect("the engine answers"), acknowledged);
        assert_eq!(engine.snapshot().await.expect("the engine answers"), acknowledged, "asked again");
        // Asked for in the middle of bookings, twice at once: each is of what its caller had seen, or later.
        let (first, second, bookings) =
            tokio::join!(engine.snapshot(), engine.snapshot(), book_all(&engine, &requests[200..400]));
        assert!(acknowledged <= first.expect("taken") && acknowledged <= second.expect("taken"));
        assert_eq!(bookings.len(), 200);
        engine.stop().await.expect("it stops well");
    });
    assert!(snapshots(&lab).len() <= 2);
    let verified = lab.verify();
    assert!(verified.snapshots > 0 && verified.segments > 0, "{verified:?}");
    start_and_stop(&lab);
}
