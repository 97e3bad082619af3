//! The same input gives the same ledger, whatever the shards and the batches.

use kembali_core::Instant;
use kembali_core::draft::PolicyDraft;
use kembali_core::operation::Actor;
use kembali_engine::{ApplyRequest, LedgerDigest, PurchaseRequest};

use crate::lab::{Lab, MIDDLE, depth, open_shop, purchase, rules, runtime, word};

/// A few thousand purchases of some customers over half a year, with repeats, refusals and long gaps.
pub(crate) fn input(shop: kembali_engine::Caller) -> Vec<PurchaseRequest> {
    let mut state: u64 = 0x9e37_79b9;
    let mut draw = move |below: u64| {
        // A plain linear congruential generator: the input must be the same for ever.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    (0..3_000 * depth() as i64)
        .map(|number| {
            let id = format!("P-{}", if draw(20) == 0 { number / 2 } else { number });
            let amount = if draw(50) == 0 { 0 } else { 1_000 + draw(2_000_000) as i64 };
            let mut request = purchase(shop, &id, &format!("c{}", draw(97)), amount);
            request.purchase.occurred_at = Some(Instant(MIDDLE.0 - (3_000 - number) * 5_000_000_000));
            request
        })
        .collect()
}

fn run(shards: usize, batch: usize) -> LedgerDigest {
    let lab = Lab::new();
    runtime().block_on(async {
        let engine = lab.start(shards);
        let shop = open_shop(&engine, 500).await;
        let requests = input(shop);
        for chunk in requests.chunks(batch) {
            engine.book(chunk.to_vec()).await.expect("the engine answers");
        }
        engine.stop().await.expect("it stops well");
    });
    lab.verify().digest
}

#[test]
fn r29_one_digest_for_any_number_of_shards_and_any_batch() {
    let expected = run(1, 100);
    for (shards, batch) in [(1, 5_000), (2, 1), (2, 100), (4, 5_000), (8, 37)] {
        assert_eq!(run(shards, batch), expected, "{shards} shards, batches of {batch}");
    }
}

/// The same input, in whose middle a level goes; the engine may stop right behind that, in the middle of the sweep.
fn run_with_removal(shards: usize, batch: usize, stops: bool) -> LedgerDigest {
    run_limited(shards, batch, stops, None).0
}

/// As [`run_with_removal`], with so many customers in memory; returns what was answered, too.
fn run_limited(
    shards: usize,
    batch: usize,
    stops: bool,
    resident_max: Option<usize>,
) -> (LedgerDigest, Vec<&'static str>) {
    let lab = Lab::new();
    let mut words = Vec::new();
    runtime().block_on(async {
        let mut engine = lab.start_limited(shards, resident_max);
        let shop = open_shop(&engine, 500).await;
        let requests = input(shop);
        let (first, second) = requests.split_at(requests.len() / 2);
        for chunk in first.chunks(batch) {
            let answers = engine.book(chunk.to_vec()).await.expect("the engine answers");
            words.extend(answers.iter().map(word));
        }
        let mut draft = rules(500);
        let PolicyDraft::Journey(journey) = &mut draft.programs[0].policy else { panic!("the sample is a Journey") };
        journey.levels.retain(|level| level.name != "SILVER");
        let request = ApplyRequest {
            actor: Actor::Operator,
            draft,
            partner_keys: Vec::new(),
            expected_version: None,
            dry_run: false,
        };
        engine.apply(request).await.expect("the level is removed");
        if stops {
            engine.stop().await.expect("it stops well");
            engine = lab.start_limited(shards, resident_max);
        }
        for chunk in second.chunks(batch) {
            let answers = engine.book(chunk.to_vec()).await.expect("the engine answers");
            words.extend(answers.iter().map(word));
        }
        loop {
            // Sums are of what is durable, so each look may see more of the sweep.
            let view = engine.totals("shops").await.expect("the engine answers").expect("the shop is there");
            if view.totals.members_to_place(&view.catalogue).count() == 0 {
                break;
            }
        }
        engine.stop().await.expect("it stops well");
    });
    (lab.verify().digest, words)
}

#[test]
fn r38_one_digest_and_the_same_answers_for_any_number_of_customers_in_memory() {
    let expected = run_limited(1, 100, false, None);
    for (shards, batch, stops, resident_max) in
        [(1, 100, true, 1), (2, 100, false, 1), (1, 5_000, false, 10), (4, 37, true, 10)]
    {
        let found = run_limited(shards, batch, stops, Some(resident_max));
        assert_eq!(found, expected, "{resident_max} in memory, {shards} shards, batches of {batch}");
    }
}

#[test]
fn r29_one_digest_although_a_sweep_runs_between_the_purchases() {
    let expected = run_with_removal(1, 100, false);
    for (shards, batch, stops) in [(1, 5_000, true), (2, 100, false), (4, 37, true), (8, 1_000, false)] {
        assert_eq!(run_with_removal(shards, batch, stops), expected, "{shards} shards, batches of {batch}");
    }
    assert_ne!(expected, run(1, 100), "the removal shows");
}
