//! The same input gives the same ledger, whatever the shards and the batches.

use kembali_core::Instant;
use kembali_engine::{LedgerDigest, PurchaseRequest};

use crate::lab::{Lab, MIDDLE, depth, open_shop, purchase, runtime};

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
