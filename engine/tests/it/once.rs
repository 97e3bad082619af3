//! Once and only once: repeats, conflicts, storms, corrected refusals, before and after a restart.

use kembali_engine::Booking;

use crate::lab::{Lab, book, depth, open_shop, purchase, runtime, word};

#[test]
fn r07_a_repeat_gets_the_stored_result_before_and_after_a_restart() {
    let lab = Lab::new();
    runtime().block_on(async {
        let engine = lab.start(1);
        let shop = open_shop(&engine, 10).await;
        let request = purchase(shop, "P-1", "ann", 50_000);
        let Booking::Booked { record, .. } = book(&engine, request.clone()).await else { panic!("a new purchase") };
        let Booking::Replayed { record: again, .. } = book(&engine, request.clone()).await else { panic!("a repeat") };
        assert_eq!(again, record);
        engine.stop().await.expect("it stops well");

        let engine = lab.start(2);
        let Booking::Replayed { record: after, .. } = book(&engine, request).await else { panic!("a late repeat") };
        assert_eq!(after, record);
        engine.stop().await.expect("it stops well");
    });
}

#[test]
fn r08_same_key_storm_has_one_effect_a_key() {
    const COPIES: usize = 256;
    let keys = 100 * depth();
    let lab = Lab::new();
    let (booked, replayed) = runtime().block_on(async {
        let engine = lab.start(2);
        let shop = open_shop(&engine, 1_000_000).await;
        let mut tasks = tokio::task::JoinSet::new();
        for copy in 0..COPIES {
            let engine = engine.clone();
            let requests: Vec<_> =
                (0..keys).map(|key| purchase(shop, &format!("P-{key}"), &format!("c{}", key % 7), 1_000)).collect();
            // Half come one by one, half in batches.
            tasks.spawn(async move {
                if copy % 2 == 0 {
                    return engine.book(requests).await.expect("the engine answers");
                }
                let mut bookings = Vec::new();
                for request in requests {
                    bookings.push(book(&engine, request).await);
                }
                bookings
            });
        }
        let bookings: Vec<Booking> = tasks.join_all().await.into_iter().flatten().collect();
        engine.stop().await.expect("it stops well");
        let count = |wanted| bookings.iter().filter(|booking| word(booking) == wanted).count();
        (count("booked"), count("replayed"))
    });
    assert_eq!((booked, replayed), (keys, keys * (COPIES - 1)));
    assert_eq!(lab.verify().purchases, keys as u64);
}

#[test]
fn r09_same_key_other_body_is_a_conflict_also_when_they_race() {
    let lab = Lab::new();
    runtime().block_on(async {
        let engine = lab.start(2);
        let shop = open_shop(&engine, 10).await;
        for round in 0..50 {
            let id = format!("P-{round}");
            let one = engine.book(vec![purchase(shop, &id, "ann", 1_000)]);
            let other = engine.book(vec![purchase(shop, &id, "bob", 1_000)]);
            let (one, other) = tokio::join!(one, other);
            let mut words = [word(&one.expect("answered")[0]), word(&other.expect("answered")[0])];
            words.sort_unstable();
            assert_eq!(words, ["booked", "conflict"]);
        }
        engine.stop().await.expect("it stops well");
    });
    assert_eq!(lab.verify().purchases, 50);
}

#[test]
fn r10_a_lost_reply_is_repeated_without_a_second_effect() {
    let lab = Lab::new();
    runtime().block_on(async {
        let engine = lab.start(1);
        let shop = open_shop(&engine, 10).await;
        let request = purchase(shop, "P-1", "ann", 1_000);
        let lost = engine.try_book(vec![request.clone()]).expect("there is room");
        let lost = tokio::spawn(lost);
        // The caller hangs up at some moment after the engine has it, or before: both are fine.
        tokio::task::yield_now().await;
        lost.abort();
        let word = word(&book(&engine, request).await);
        assert!(word == "booked" || word == "replayed", "{word}");
        engine.stop().await.expect("it stops well");
    });
    assert_eq!(lab.verify().purchases, 1);
}

#[test]
fn r13_a_refused_purchase_may_be_corrected_and_its_repeat_writes_nothing() {
    let lab = Lab::new();
    runtime().block_on(async {
        let engine = lab.start(1);
        let shop = open_shop(&engine, 10).await;
        assert_eq!(word(&book(&engine, purchase(shop, "P-1", "ann", 0)).await), "refused");
        let written = engine.durable();
        assert_eq!(word(&book(&engine, purchase(shop, "P-1", "ann", 0)).await), "refused again");
        assert_eq!(engine.durable(), written);
        assert_eq!(word(&book(&engine, purchase(shop, "P-1", "ann", -5)).await), "refused");
        assert_eq!(word(&book(&engine, purchase(shop, "P-1", "ann", 5_000)).await), "booked");
        assert_eq!(word(&book(&engine, purchase(shop, "P-1", "ann", 0)).await), "conflict");
        let totals = engine.totals("shops").await.expect("answered").expect("there are sums").totals;
        assert_eq!((totals.accepted, totals.rejected.values().sum::<u64>()), (1, 0));
        engine.stop().await.expect("it stops well");
    });
}
