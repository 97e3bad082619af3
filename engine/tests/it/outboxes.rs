//! What is kept of outboxes.

use std::collections::BTreeMap;

use kembali_core::{Instant, Seq};
use kembali_engine::{Delivery, OutboxChange, OutboxState};

use crate::lab::{Lab, runtime};

fn delivery(attempts: u32, next_at: Option<i64>) -> Delivery {
    Delivery { since: Instant(5), attempts, next_at: next_at.map(Instant), reason: format!("{attempts} times") }
}

#[test]
fn an_outbox_is_what_it_was_after_a_start() {
    let lab = Lab::new();
    runtime().block_on(async {
        let engine = lab.start(1);
        assert_eq!(engine.outbox("shop").expect("it is read"), OutboxState::default());
        let open = vec![(Seq(300), delivery(1, Some(9))), (Seq(7), delivery(2, None)), (Seq(8), delivery(3, Some(1)))];
        let change = OutboxChange { position: Some(Seq(301)), open, over: Vec::new() };
        engine.keep_outbox("shop", change).await.expect("it is kept");
        // What is over is gone, and what is not said stays.
        let open = vec![(Seq(7), delivery(4, Some(2)))];
        let change = OutboxChange { position: None, open, over: vec![Seq(8), Seq(9)] };
        engine.keep_outbox("shop", change).await.expect("it is kept");
        // One whose name begins alike is another.
        let change = OutboxChange { position: Some(Seq(2)), ..OutboxChange::default() };
        engine.keep_outbox("shops", change).await.expect("it is kept");
        engine.stop().await.expect("it stops well");

        let engine = lab.start(1);
        let open = BTreeMap::from([(Seq(7), delivery(4, Some(2))), (Seq(300), delivery(1, Some(9)))]);
        assert_eq!(engine.outbox("shop").expect("it is read"), OutboxState { position: Seq(301), open });
        assert_eq!(engine.outbox("shops").expect("it is read").position, Seq(2));
        assert_eq!(engine.outbox("sho").expect("it is read"), OutboxState::default());
        engine.stop().await.expect("it stops well");
    });
}

/// A reason is whatever somebody outside said.
#[test]
fn a_long_reason_is_cut() {
    let lab = Lab::new();
    runtime().block_on(async {
        let engine = lab.start(1);
        let open = vec![(Seq(1), Delivery { reason: "é".repeat(100_000), ..delivery(1, None) })];
        engine.keep_outbox("shop", OutboxChange { open, ..OutboxChange::default() }).await.expect("it is kept");
        let kept = engine.outbox("shop").expect("it is read");
        assert_eq!(kept.open[&Seq(1)].reason, "é".repeat(300));
        engine.stop().await.expect("it stops well");
    });
}
