//! What is asked as of a past position, over real sockets: what is answered, to whom, and what no position is told.

use crate::support;
use crate::support::{Harness, every_kind_of_rule, purchase};
use kembali_core::ledger::Ledger;
use kembali_core::{CustomerId, Seq, TenantId, WalletId};
use kembali_engine::CustomerRef;
use serde_json::{Value, json};

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

/// What is said of the tenant, not of one customer.
const OF_THE_TENANT: [&str; 8] = [
    "/v1/catalogue?tenant=journey",
    "/v1/promos?tenant=journey",
    "/v1/promos/JOURNEY2017?tenant=journey",
    "/v1/tier-programs?tenant=journey",
    "/v1/partners?tenant=journey",
    "/v1/reports/summary?tenant=journey",
    "/v1/reports/costs?tenant=journey",
    "/v1/trial-balance?tenant=journey",
];

#[tokio::test(flavor = "multi_thread")]
async fn r33_rules_quotas_and_sums_as_of_each_position() {
    // So few bytes a generation that most of it is archived before it is asked for again.
    let harness = Harness::start_in(tempfile::tempdir().unwrap(), 4_096, |_| ()).await;
    let mut shown: Vec<Vec<Value>> = Vec::new();
    for step in 1..=40 {
        let reply = match step % 4 {
            0 => {
                let body = json!({ "quota": 1_000 + step }).to_string();
                harness.operator("PATCH", "/v1/promos/JOURNEY2017?tenant=journey", &body).await
            }
            _ => harness.post(&purchase(&format!("D-{step}"), 200_000 + i64::from(step), 1, 1 + step % 28)).await,
        };
        assert!(reply.status < 300, "{}", reply.text());
        let mut now = Vec::new();
        for path in OF_THE_TENANT {
            now.push(harness.get(path).await.json());
        }
        shown.push(now);
    }
    let compare = async |harness: &Harness| {
        for (at, now) in (2..).zip(&shown) {
            for (path, now) in OF_THE_TENANT.iter().zip(now) {
                assert_eq!(harness.get(&format!("{path}&at={at}")).await.json(), *now, "{path} as of {at}");
            }
        }
    };
    compare(&harness).await;
    let used: Vec<&Value> = shown.iter().map(|now| &now[2]["used"]).collect();
    assert_eq!((used[0], used[39], &shown[39][0]["version"]), (&json!(1), &json!(30), &json!(11)));
    let dir = harness.stop().await;
    let harness = Harness::start_in(dir, 4_096, |_| ()).await;
    compare(&harness).await;
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_that_came_and_went() {
    let harness = Harness::start_with(|config| config.limits.min_seq_wait_max = std::time::Duration::ZERO).await;
    let get = async |path: &str| harness.get(path).await;
    let mut rules = get(OF_THE_TENANT[0]).await.json()["catalogue"].clone();
    let mut other = rules["promos"][0].clone();
    other["code"] = json!("LATER");
    let promos = json!([other]);
    rules["promos"] = promos;
    assert_eq!(harness.operator("PUT", OF_THE_TENANT[0], &rules.to_string()).await.status, 200);
    assert_eq!(get("/v1/promos/JOURNEY2017?tenant=journey").await.problem(), "404 promo_not_found -");
    assert_eq!(get("/v1/promos/JOURNEY2017?tenant=journey&at=1").await.json()["code"], "JOURNEY2017");
    assert_eq!(get("/v1/promos/LATER?tenant=journey&at=2").await.json()["code"], "LATER");
    assert_eq!(get("/v1/promos/LATER?tenant=journey&at=1").await.problem(), "404 promo_not_found -");
    let both = get("/v1/catalogue?tenant=journey&version=1&at=1").await;
    assert_eq!((both.problem(), both.json()["parameter"].clone()), ("400 query_invalid -".to_owned(), json!("at")));
    for path in OF_THE_TENANT {
        for (at, told) in [
            ("0", "404 tenant_not_found -"),
            ("1970-01-01T00:00:00Z", "404 tenant_not_found -"),
            ("3", "409 position_ahead -"),
            ("9999-12-31T00:00:00Z", "409 position_ahead -"),
            ("soon", "400 query_invalid -"),
        ] {
            assert_eq!(get(&format!("{path}&at={at}")).await.problem(), told, "{path} {at}");
        }
    }
    assert_eq!(harness.get_as_partner("/v1/promos?at=1").await.problem(), "403 role_insufficient -");
    assert_eq!(harness.get_as_partner("/v1/promos/LATER?at=2").await.problem(), "403 role_insufficient -");
    assert_eq!(get("/v1/promos?tenant=none&at=1").await.problem(), "404 tenant_not_found -");
    harness.stop().await;
}

/// The sample under every kind of rule: ten random customers at ten random positions.
#[tokio::test(flavor = "multi_thread")]
async fn ten_customers_of_the_sample_at_ten_positions_equal_a_replay_of_the_prefix() {
    let harness = Harness::start_in(tempfile::tempdir().unwrap(), 1 << 20, |_| ()).await;
    support::apply(&harness.engine, &every_kind_of_rule()).await;
    let packed = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../demo/purchases.ndjson.gz")).unwrap();
    let headers = [("Content-Encoding", "gzip")];
    let reply = harness.post_to("/v1/purchases", "application/x-ndjson", &headers, &packed).await;
    assert_eq!(reply.status, 200);
    let last = harness.engine.durable().0;
    // A plain linear congruential generator: a failure can be repeated.
    let mut state: u64 = 11;
    let mut draw = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let positions: Vec<u64> = (0..10).map(|_| 1 + draw(last)).collect();
    let (mut ledger, mut prefixes) = (Ledger::default(), Vec::new());
    for seq in 1..=last {
        ledger.evolve(&harness.engine.record(Seq(seq)).await.unwrap().unwrap().0).unwrap();
        if positions.contains(&seq) {
            prefixes.push(ledger.clone());
        }
    }
    let mut customers: Vec<CustomerId> = ledger.rows.keys().copied().collect();
    customers.sort_unstable();
    let (mut there, mut not_yet) = (0, 0);
    for _ in 0..10 {
        let customer = customers[draw(customers.len() as u64) as usize];
        for prefix in &prefixes {
            let at = prefix.desk.last();
            let view = harness.engine.customer_at(TenantId(1), &CustomerRef::Id(customer), at).await.unwrap();
            assert_eq!(view.map(|view| view.row), prefix.rows.get(&customer).cloned(), "{customer:?} as of {at:?}");
            let path = format!("/v1/customers/{}?tenant=journey&at={}", hyphenated(customer), at.0);
            let (reply, row) = (harness.get(&path).await, prefix.rows.get(&customer));
            assert_eq!(reply.status == 200, row.is_some(), "{path}");
            let Some(row) = row else {
                not_yet += 1;
                continue;
            };
            there += 1;
            let shown = reply.json();
            let balance = row.balance(WalletId(0)).minor_units();
            let last = prefix.desk.last_record_of(customer).0;
            assert_eq!(
                (&shown["balance"], &shown["purchases"], &shown["last_seq"], &shown["as_of"]),
                (&json!(balance), &json!(row.purchases), &json!(last), &json!(at.0))
            );
        }
    }
    assert!(20 < there && 0 < not_yet, "{there} {not_yet}");
    harness.stop().await;
}

fn hyphenated(customer: CustomerId) -> String {
    let digits = format!("{:032x}", customer.0);
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}
