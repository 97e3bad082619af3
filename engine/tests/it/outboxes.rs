//! What is kept of outboxes.

use std::collections::BTreeMap;

use kembali_core::{CustomerId, Instant, Seq};
use kembali_engine::{Delivery, DeliveryState, Lane, OutboxChange, OutboxState};

use crate::lab::{Lab, runtime};

fn delivery(attempts: u32, state: DeliveryState) -> Delivery {
    let lane = Some(Lane::Customer(CustomerId(u128::from(attempts))));
    let reason = format!("{attempts} times");
    Delivery { lane, since: Instant(5), attempts, tried_at: Some(Instant(6)), state, reason }
}

#[test]
fn an_outbox_is_what_it_was_after_a_start() {
    let lab = Lab::new();
    let (made, given_up, due) = (DeliveryState::Made, DeliveryState::GivenUp, |at| DeliveryState::Due(Instant(at)));
    runtime().block_on(async {
        let engine = lab.start(1);
        assert_eq!(engine.outbox("shop").expect("it is read"), OutboxState::default());
        let put = vec![(Seq(300), delivery(1, due(9))), (Seq(7), delivery(2, given_up)), (Seq(8), delivery(3, due(1)))];
        let change = OutboxChange { position: Some(Seq(301)), put, remove: Vec::new() };
        engine.keep_outbox("shop", change).await.expect("it is kept");
        // What is removed is gone, and what is not said stays.
        let change =
            OutboxChange { position: None, put: vec![(Seq(7), delivery(4, made))], remove: vec![Seq(8), Seq(9)] };
        engine.keep_outbox("shop", change).await.expect("it is kept");
        // One whose name begins alike is another.
        let put = vec![(Seq(1), delivery(1, due(1)))];
        let change = OutboxChange { position: Some(Seq(2)), put, remove: Vec::new() };
        engine.keep_outbox("shops", change).await.expect("it is kept");
        engine.stop().await.expect("it stops well");

        let engine = lab.start(1);
        let deliveries = BTreeMap::from([(Seq(7), delivery(4, made)), (Seq(300), delivery(1, due(9)))]);
        assert_eq!(engine.outbox("shop").expect("it is read"), OutboxState { position: Some(Seq(301)), deliveries });
        assert_eq!(engine.outbox("sho").expect("it is read"), OutboxState::default());
        assert_eq!(engine.outboxes("sh").expect("they are read"), ["shop", "shops"]);
        // One that is forgotten takes no other with it.
        engine.forget_outbox("shop").await.expect("it is forgotten");
        assert_eq!(engine.outbox("shop").expect("it is read"), OutboxState::default());
        assert_eq!(engine.outbox("shops").expect("it is read").deliveries.len(), 1);
        assert_eq!(engine.outboxes("").expect("they are read"), ["shops"]);
        engine.stop().await.expect("it stops well");
    });
}

/// A reason is whatever somebody outside said.
#[test]
fn a_long_reason_is_cut() {
    let lab = Lab::new();
    runtime().block_on(async {
        let engine = lab.start(1);
        let put = vec![(Seq(1), Delivery { reason: "é".repeat(100_000), ..delivery(1, DeliveryState::GivenUp) })];
        engine.keep_outbox("shop", OutboxChange { put, ..OutboxChange::default() }).await.expect("it is kept");
        let kept = engine.outbox("shop").expect("it is read");
        assert_eq!(kept.deliveries[&Seq(1)].reason, "é".repeat(300));
        engine.stop().await.expect("it stops well");
    });
}
