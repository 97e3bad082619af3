//! What a change of rules would do, counted while purchases are booked.

use kembali_core::operation::Actor;
use std::sync::Arc;

use kembali_core::draft::PolicyDraft;
use kembali_core::preview::{RuleChange, When};
use kembali_engine::{ApplyRequest, Engine, PurchaseRequest};

use crate::lab::{Lab, open_shop, purchase, rules, runtime};

/// More than one piece of a shard.
const CUSTOMERS: usize = 10_000;

async fn book(engine: &Engine, requests: Vec<PurchaseRequest>) {
    for chunk in requests.chunks(1_000) {
        engine.book(chunk.to_vec()).await.expect("the engine answers");
    }
}

/// A lower bound of the lowest level: everybody who stands on it moves up with the next purchase.
fn lower_count() -> ApplyRequest {
    let mut draft = rules(1);
    let PolicyDraft::Journey(journey) = &mut draft.programs[0].policy else { panic!("the sample is a Journey") };
    journey.levels[0].count_max = 1;
    journey.levels[0].milestones.clear();
    ApplyRequest { actor: Actor::Operator, draft, partner_keys: Vec::new(), expected_version: None, dry_run: true }
}

#[test]
fn every_customer_is_counted_once_while_purchases_go_on() {
    for shards in [1, 3] {
        let lab = Lab::new();
        runtime().block_on(async {
            let engine = lab.start(shards);
            let caller = open_shop(&engine, 1).await;
            let of = |range: std::ops::Range<usize>| -> Vec<PurchaseRequest> {
                range.map(|own| purchase(caller, &format!("O-{own}"), &format!("C-{own}"), 1)).collect()
            };
            book(&engine, of(0..CUSTOMERS)).await;
            let applied = engine.apply(lower_count()).await.expect("it is a change");
            let before = applied.before.expect("the tenant is there");
            let change = RuleChange::new(Arc::clone(&before), applied.catalogue);
            // Others come meanwhile.
            let late = tokio::spawn({
                let (engine, requests) = (engine.clone(), of(CUSTOMERS..CUSTOMERS + 2_000));
                async move { book(&engine, requests).await }
            });
            let seen = engine.preview(change.clone()).await.expect("the engine answers");
            late.await.expect("they are booked");
            let all = CUSTOMERS as u64..=CUSTOMERS as u64 + 2_000;
            assert!(all.contains(&seen.preview.customers) && seen.as_of.0 <= seen.as_of.1, "{seen:?}");

            let again = engine.preview(change.clone()).await.expect("the engine answers");
            assert_eq!(again.preview.customers, CUSTOMERS as u64 + 2_000);
            assert_eq!(again.as_of.0, again.as_of.1, "nothing was written meanwhile");
            let moves: Vec<(When, u64)> = again.preview.tiers.iter().map(|(own, who)| (own.when, who.count)).collect();
            assert_eq!(moves, [(When::NextPurchase, CUSTOMERS as u64 + 2_000)]);
            // Nothing was changed, and a walk whose caller goes away leaves nothing behind.
            drop(tokio::time::timeout(std::time::Duration::ZERO, engine.preview(change)).await);
            let present = engine.catalogue("shops", None).await.expect("the engine answers");
            assert_eq!(present, Some(before));
            engine.stop().await.expect("it stops");
        });
    }
}
