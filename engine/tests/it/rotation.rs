//! Generations that are sealed, archived and dropped under load: nothing that an outsider sees may change by it.

use kembali_core::Seq;
use kembali_engine::{Booking, Engine, PurchaseRequest};

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
        engine.stop().await;

        let engine = rotating.start_rotating(2, GENERATION_BYTES);
        let shop = open_shop(&engine, 500).await;
        let requests = input(shop);
        let first = book_all(&engine, &requests).await;
        let again = book_all(&engine, &requests).await;
        engine.stop().await;
        assert!(rotating.segments() > 3, "{} segments", rotating.segments());

        let engine = rotating.start_rotating(1, GENERATION_BYTES);
        let after = book_all(&engine, &requests).await;
        let last = engine.durable();
        for seq in 1..=last.0 {
            let (record, _) = engine.record(Seq(seq)).await.expect("readable").expect("written");
            assert_eq!(record.seq, Seq(seq));
        }
        assert!(engine.record(last.next()).await.expect("readable").is_none());
        engine.stop().await;

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
