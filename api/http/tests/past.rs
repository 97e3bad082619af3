//! What is asked as of a past position, over real sockets: what is answered, to whom, and what no position is told.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use support::{Harness, purchase};

/// Eight purchases of `C1`, at the positions 2 to 9; returns its id.
async fn eight_purchases(harness: &Harness) -> String {
    for day in 1..=8 {
        let reply = harness.post(&purchase(&format!("D-{day}"), 200_000, 1, day)).await;
        assert_eq!((reply.status, &reply.json()["seq"]), (201, &json!(day + 1)), "{}", reply.text());
    }
    let found = harness.get("/v1/customers?tenant=journey&ref=C1").await.json();
    found["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn r33_a_customer_as_of_each_position() {
    let harness = Harness::start().await;
    let mut shown: Vec<Vec<Value>> = Vec::new();
    let mut id = String::new();
    for day in 1..=9 {
        let reply = harness.post(&purchase(&format!("D-{day}"), 200_000, 1, day)).await.json();
        id = reply["customer"].as_str().unwrap().to_owned();
        // The present state, as it is shown now.
        let mut now = Vec::new();
        for path in ["", "/wallets", "/tiers", "/entries", "/purchases"] {
            now.push(harness.get(&format!("/v1/customers/{id}{path}?tenant=journey")).await.json());
        }
        now.push(harness.get("/v1/customers?tenant=journey&ref=C1").await.json());
        shown.push(now);
    }
    for (at, now) in (2..).zip(&shown) {
        for (path, now) in ["", "/wallets", "/tiers", "/entries", "/purchases"].iter().zip(now) {
            let path = format!("/v1/customers/{id}{path}?tenant=journey&at={at}");
            assert_eq!(harness.get(&path).await.json(), *now, "{path}");
        }
        let found = harness.get(&format!("/v1/customers?tenant=journey&ref=C1&at={at}")).await.json();
        assert_eq!((&found, &found["as_of"]), (&now[5], &json!(at)));
        // And by the instant at which it was received.
        let received = now[4]["data"][0]["received_at"].as_str().unwrap();
        let by_instant = harness.get(&format!("/v1/customers/{id}?tenant=journey&at={received}")).await.json();
        assert_eq!(by_instant, now[0]);
    }
    harness.stop().await;
}

/// "Now" of the rules is of the position too: what a long gap means is not known before the gap.
#[tokio::test(flavor = "multi_thread")]
async fn the_effective_level_is_of_the_position() {
    let harness = Harness::start().await;
    let id = eight_purchases(&harness).await;
    let later = purchase("L-1", 200_000, 1, 1).replace("2017-03-01", "2017-08-01").replace("C1", "C2");
    assert_eq!(harness.post(&later).await.json()["seq"], 10);
    let tiers = async |at: &str| {
        let tiers = harness.get(&format!("/v1/customers/{id}/tiers?tenant=journey{at}")).await.json();
        (tiers["tiers"][0]["level"].clone(), tiers["tiers"][0]["effective_level"].clone(), tiers["as_of"].clone())
    };
    assert_eq!(tiers("").await, (json!("SILVER"), json!("BRONZE"), json!(10)));
    assert_eq!(tiers("&at=10").await, (json!("SILVER"), json!("BRONZE"), json!(10)));
    assert_eq!(tiers("&at=9").await, (json!("SILVER"), json!("SILVER"), json!(9)));
    assert_eq!(tiers("&at=8").await, (json!("BRONZE"), json!("BRONZE"), json!(8)));
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_a_past_list_hold_together() {
    let harness = Harness::start().await;
    let id = eight_purchases(&harness).await;
    let path = format!("/v1/customers/{id}/entries?tenant=journey&limit=2");
    let first = harness.get(&format!("{path}&at=6")).await.json();
    let seqs = |page: &Value| -> Vec<u64> {
        page["data"].as_array().unwrap().iter().map(|entry| entry["seq"].as_u64().unwrap()).collect()
    };
    assert_eq!(seqs(&first), [6, 5]);
    let cursor = first["next_cursor"].as_str().unwrap();
    assert_eq!(seqs(&harness.get(&format!("{path}&at=6&cursor={cursor}")).await.json()), [4, 3]);
    // A cursor that leads behind the position is of another list.
    assert_eq!(harness.get(&format!("{path}&at=3&cursor={cursor}")).await.problem(), "400 cursor_invalid -");
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_past_position_is_told() {
    let harness = Harness::start_with(|config| config.limits.min_seq_wait_max = std::time::Duration::ZERO).await;
    let id = eight_purchases(&harness).await;
    let paths = [
        format!("/v1/customers/{id}?tenant=journey"),
        "/v1/customers?tenant=journey&ref=C1".to_owned(),
        format!("/v1/customers/{id}/wallets?tenant=journey"),
        format!("/v1/customers/{id}/tiers?tenant=journey"),
        format!("/v1/customers/{id}/entries?tenant=journey"),
        format!("/v1/customers/{id}/purchases?tenant=journey"),
    ];
    for path in &paths {
        let told = async |at: &str| harness.get(&format!("{path}&at={at}")).await.problem();
        for at in ["", "-1", "+1", "1.0", "1e3", "18446744073709551616", "now", "2017-03-01", "2017-03-01T00:00:00"] {
            assert_eq!(told(at).await, "400 query_invalid -", "{path} {at}");
        }
        // Before the customer, and before everything.
        for at in ["1", "0", "0001-01-01T00:00:00Z", "2017-03-01T00:00:00Z", "2017-03-01T00:00:00%2B23:59"] {
            assert_eq!(told(at).await, "404 customer_not_found -", "{path} {at}");
        }
        // Not yet.
        for at in ["10", "18446744073709551615", "2018-01-02T00:00:00Z", "9999-12-31T23:59:59.999999-23:59"] {
            assert_eq!(told(at).await, "409 position_ahead -", "{path} {at}");
        }
        let twice = format!("{path}&at=1&at=1");
        assert_eq!(harness.get(&twice).await.problem(), "400 query_invalid -");
    }
    let ahead = harness.get(&format!("{}&at=10", paths[0])).await.json();
    assert_eq!((&ahead["at"], &ahead["as_of"]), (&json!(10), &json!(9)));
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_past_is_for_operators_of_the_customers_tenant() {
    let harness = Harness::start().await;
    let id = eight_purchases(&harness).await;
    let mut other = support::sample();
    other.tenant.slug = "other".to_owned();
    other.partners.iter_mut().for_each(|partner| partner.api_key = None);
    support::apply(&harness.engine, &other).await;
    for path in ["", "/wallets", "/tiers"] {
        let path = format!("/v1/customers/{id}{path}");
        assert_eq!(harness.get_as_partner(&path).await.status, 200, "the present is");
        assert_eq!(harness.get_as_partner(&format!("{path}?at=9")).await.problem(), "403 role_insufficient -");
        // Of another tenant there is nobody, then as now.
        for at in ["&at=9", "&at=10", ""] {
            assert_eq!(harness.get(&format!("{path}?tenant=other{at}")).await.problem(), "404 customer_not_found -");
        }
        assert_eq!(harness.get(&format!("{path}?tenant=none&at=9")).await.problem(), "404 tenant_not_found -");
    }
    let by_name = harness.get_as_partner("/v1/customers?ref=C1&at=9").await;
    assert_eq!(by_name.problem(), "403 role_insufficient -");
    harness.stop().await;
}
