//! The sample data of the repository, sent as it lies there, twice: the sums add up and the repeat changes nothing.

use crate::support::Harness;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn half_a_year_of_purchases_and_again() {
    let harness = Harness::start().await;
    let packed = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../demo/purchases.ndjson.gz")).unwrap();
    let send = async || {
        let headers = [("Content-Encoding", "gzip")];
        let reply = harness.post_to("/v1/purchases", "application/x-ndjson", &headers, &packed).await;
        assert!(reply.status == 200 && reply.whole, "{}", reply.status);
        let line = |line: &str| serde_json::from_str::<Value>(line).unwrap();
        reply.text().lines().map(line).collect::<Vec<Value>>()
    };
    let first = send().await;
    let summary = harness.get("/v1/reports/summary?tenant=journey").await.json();
    let of_status = |status: u16| first.iter().filter(|answer| answer["status"] == status).count();
    assert_eq!(of_status(201) + of_status(422), first.len(), "no line is broken");
    assert_eq!(summary["accepted"], of_status(201));
    let rejected: u64 = summary["rejected"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(rejected, of_status(422) as u64);
    let sum = |member: &str| first.iter().filter_map(|answer| answer["result"][member].as_i64()).sum::<i64>();
    for member in ["amount", "point_transaction", "point_loyalty", "point_total"] {
        assert_eq!(summary[member], sum(member), "{member}");
    }
    let declined = |answer: &&Value| answer["result"]["declined"][0]["reason"] == "quota_exhausted";
    let promo = &summary["promos"][0];
    assert_eq!(promo["declined_exhausted"], first.iter().filter(declined).count());
    let used = promo["used"].as_u64().unwrap();
    assert_eq!(used + promo["remaining"].as_u64().unwrap(), 10_000);
    let balance = harness.get("/v1/trial-balance?tenant=journey").await.json();
    assert_eq!(balance["totals"], json!([{ "unit": "IDR", "total": 0 }]));

    let again = send().await;
    for (first, again) in first.iter().zip(&again) {
        assert_eq!(again["replayed"], true, "{again}");
        assert_eq!(first["result"], again["result"]);
        assert_eq!(first["problem"]["code"], again["problem"]["code"]);
    }
    assert_eq!(again.len(), first.len());
    assert_eq!(harness.get("/v1/reports/summary?tenant=journey").await.json(), summary);
    harness.stop().await;
}
