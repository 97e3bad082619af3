//! Refunds over a real engine: races with the purchase and with each other, and what-if with refunds in its range.

use kembali_core::Seq;
use kembali_core::operation::Actor;
use kembali_core::refund::RefundOf;
use kembali_engine::{
    Bound, Caller, Engine, Operated, RefundRequest, Refunded, WhatIfError, WhatIfRequest, WhatIfUpdate,
};

use crate::lab::{Lab, open_shop, purchase, rules, runtime};
use crate::same::input;

fn refund(caller: Caller, origin_id: &str, refund_id: &str, amount: i64) -> RefundRequest {
    let (origin_id, refund_id) = (origin_id.to_owned(), refund_id.to_owned());
    let Caller { tenant, partner, .. } = caller;
    let actor = Actor::Partner(partner);
    let of = RefundOf::Amount(amount);
    RefundRequest { actor, tenant, partner, origin_id, refund_id, of, reason: None, dry_run: false }
}

fn done(refunded: &Refunded) -> Option<(Seq, bool)> {
    match refunded {
        Refunded::Operated(Operated::Done { record, replayed, .. }) => Some((record.seq, *replayed)),
        _ => None,
    }
}

/// The purchase was handed in and nobody has waited for it: the refund does.
#[test]
fn r17_a_refund_waits_for_a_purchase_in_flight() {
    let lab = Lab::new();
    runtime().block_on(async {
        let engine = lab.start(2);
        let shop = open_shop(&engine, 1_000).await;
        for round in 0..50 {
            let id = format!("P-{round}");
            let booking = engine.try_book(vec![purchase(shop, &id, "ann", 50_000)]).expect("there is room");
            let refunded = engine.refund(refund(shop, &id, "R", 50_000)).await.expect("the engine answers");
            assert!(done(&refunded).is_some(), "{refunded:?}");
            booking.await.expect("the engine answers");
        }
        engine.stop().await.expect("it stops well");
    });
}

#[test]
fn r08_the_same_refund_many_times_at_once_is_one() {
    let lab = Lab::new();
    runtime().block_on(async {
        let engine = lab.start(2);
        let shop = open_shop(&engine, 1_000).await;
        engine.book(vec![purchase(shop, "P", "ann", 50_000)]).await.expect("the engine answers");
        let mut tasks = tokio::task::JoinSet::new();
        for copy in 0..64 {
            let engine = engine.clone();
            // One of four asks for something else.
            let amount = if copy % 4 == 0 { 9_999 } else { 10_000 };
            tasks
                .spawn(async move { engine.refund(refund(shop, "P", "R", amount)).await.expect("the engine answers") });
        }
        let refunded = tasks.join_all().await;
        let booked: Vec<(Seq, bool)> = refunded.iter().filter_map(done).collect();
        assert_eq!(booked.iter().filter(|(_, replayed)| !replayed).count(), 1, "one effect");
        let conflicts = refunded.iter().filter(|own| matches!(own, Refunded::Conflict { .. })).count();
        assert!([(64 - 16, 16), (16, 64 - 16)].contains(&(booked.len(), conflicts)), "{} {conflicts}", booked.len());
        assert!(booked.iter().all(|(seq, _)| *seq == booked[0].0));
        engine.stop().await.expect("it stops well");
    });
}

async fn is_same(engine: &Engine, from: Option<Bound>) -> (bool, u64, usize) {
    let request = WhatIfRequest { draft: rules(60), from, to: None, largest: 2 };
    // The one before has said its last word, and may not have ended yet.
    let mut run = loop {
        match engine.what_if(request.clone()).await {
            Ok(run) => break run,
            Err(WhatIfError::Running) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    };
    loop {
        match run.next().await.expect("the engine runs") {
            WhatIfUpdate::Progress(_) => (),
            WhatIfUpdate::Done(report) => {
                let seen = &report.comparison;
                return (seen.is_same(), seen.operations, seen.refused_operations.len());
            }
            WhatIfUpdate::Failed(error) => panic!("{error}"),
        }
    }
}

/// R19b: under the unchanged rules nothing differs, wherever the range starts, from memory and from the archive.
#[test]
fn r19b_what_if_decides_refunds_again_as_they_were() {
    let lab = Lab::new();
    runtime().block_on(async {
        let engine = lab.start_rotating(2, 64 * 1024);
        let shop = open_shop(&engine, 60).await;
        let requests = input(shop);
        let mut refunds = 0;
        for (index, chunk) in requests[..400].chunks(20).enumerate() {
            engine.book(chunk.to_vec()).await.expect("the engine answers");
            // All of one and a part of another, of those before: their units are taken again later.
            for (request, parts) in [(&requests[index], 1), (&requests[index * 20], 3)] {
                let (id, amount) = (request.purchase.origin_id.to_string(), request.purchase.amount / parts);
                let refunded = engine.refund(refund(shop, &id, &format!("R-{index}"), amount)).await;
                refunds += u64::from(done(&refunded.expect("the engine answers")).is_some());
            }
        }
        assert!(20 < refunds, "{refunds} refunds");
        assert_eq!(is_same(&engine, None).await, (true, refunds, 0));
        let (same, fewer, refused) = is_same(&engine, Some(Bound::Position(Seq(200)))).await;
        assert!(same && fewer < refunds && refused == 0);
        engine.stop().await.expect("it stops well");

        let engine = lab.start(1);
        assert_eq!(is_same(&engine, None).await, (true, refunds, 0));
        engine.stop().await.expect("it stops well");
    });
}
