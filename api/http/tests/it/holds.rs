//! Holds over HTTP: money that is set aside for a partner, who may touch it, what races for it, and bad input.

use crate::support::{Harness, KEY, Reply, TOKEN, purchase};
use serde_json::{Value, json};

const BAKER: &str = "baker-test-key";

/// A customer with 5,000 in wallet 0, and two partners.
async fn shop() -> (Harness, String) {
    let harness = Harness::start().await;
    let baker = json!({ "slug": "baker", "name": "The Baker", "api_key": BAKER }).to_string();
    assert_eq!(harness.operator("POST", "/v1/partners?tenant=journey", &baker).await.status, 201);
    let created = harness.operator("POST", "/v1/customers?tenant=journey", r#"{"ref":"C1"}"#).await;
    let path = format!("/v1/customers/{}", created.json()["customer"].as_str().unwrap());
    let deposit = format!("{path}/wallets/0/deposits?tenant=journey");
    assert_eq!(as_operator(&harness, &deposit, "d", json!({ "amount": 5_000 })).await.status, 201);
    (harness, path)
}

async fn as_operator(harness: &Harness, path: &str, key: &str, body: Value) -> Reply {
    let token = format!("Bearer {TOKEN}");
    let headers = [("Authorization", token.as_str()), ("Content-Type", "application/json"), ("Idempotency-Key", key)];
    let text = if body.is_null() { String::new() } else { body.to_string() };
    harness.call("POST", path, &headers, text.as_bytes()).await
}

async fn as_partner(harness: &Harness, api_key: &str, path: &str, key: &str, body: Value) -> Reply {
    let headers = [("X-Api-Key", api_key), ("Content-Type", "application/json"), ("Idempotency-Key", key)];
    let text = if body.is_null() { String::new() } else { body.to_string() };
    harness.call("POST", path, &headers, text.as_bytes()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn money_is_held_settled_in_part_and_given_free() {
    let (harness, path) = shop().await;
    let holds = format!("{path}/wallets/0/holds");
    let body = json!({ "amount": 3_000, "expires_in_seconds": 600, "reference": "order 7" });
    let placed = as_partner(&harness, KEY, &holds, "h1", body.clone()).await;
    let result = placed.json();
    assert_eq!(placed.status, 201, "{result}");
    assert_eq!(
        result["operation"],
        json!({ "type": "place_hold", "wallet": 0, "amount": 3_000, "expires_in_seconds": 600, "reference": "order 7" })
    );
    let effect = &result["effects"][0];
    let what = ["type", "hold", "partner", "currency", "amount"].map(|name| effect[name].clone());
    assert_eq!(what, [json!("hold_placed"), json!(1), json!("grocer"), json!("IDR"), json!(3_000)]);
    assert_eq!((&result["effects"].as_array().unwrap().len(), &result["balances"]), (&1, &json!([])));
    let again = as_partner(&harness, KEY, &holds, "h1", body).await;
    assert_eq!((again.text(), again.header("idempotency-replayed")), (placed.text(), Some("true")));

    let wallet = async || harness.get(&format!("{path}/wallets?tenant=journey")).await.json()["data"][0].clone();
    let shown = wallet().await;
    let numbers = ["balance", "held", "available"].map(|name| shown[name].as_i64().unwrap());
    assert_eq!(numbers, [5_000, 3_000, 2_000]);
    let customer = harness.get(&format!("{path}?tenant=journey")).await.json();
    assert_eq!((&customer["balance"], &customer["available"]), (&json!(5_000), &json!(2_000)));
    let listed = harness.get_as_partner(&format!("{path}/holds")).await.json();
    assert_eq!((&listed["data"][0]["hold"], &listed["data"][0]["amount"]), (&json!(1), &json!(3_000)));
    assert_eq!(listed["data"][0]["expires_at"], effect["expires_at"]);
    let before = placed.json()["seq"].as_u64().unwrap() - 1;
    let then = harness.get(&format!("{path}/holds?tenant=journey&at={before}")).await.json();
    assert_eq!(then["data"], json!([]), "it was not held yet");

    let taken = json!({ "direction": "debit", "amount": 2_001, "reason": "too much" });
    let refused = as_operator(&harness, &format!("{path}/wallets/0/adjustments?tenant=journey"), "a", taken).await;
    assert_eq!(refused.problem(), "422 balance_held /amount");
    assert_eq!((&refused.json()["balance"], &refused.json()["held"]), (&json!(5_000), &json!(3_000)));

    let settle = format!("{path}/holds/1/settle");
    let dry = as_partner(&harness, KEY, &format!("{settle}?dry_run=true"), "s0", json!({})).await;
    assert_eq!((dry.status, &dry.json()["effects"][0]["settled"]), (200, &json!(3_000)));
    let over = as_partner(&harness, KEY, &settle, "s1", json!({ "amount": 3_001 })).await;
    assert_eq!((over.problem().as_str(), &over.json()["held"]), ("422 hold_exceeded /amount", &json!(3_000)));
    let settled = as_partner(&harness, KEY, &settle, "s2", json!({ "amount": "1200" })).await;
    let result = settled.json();
    assert_eq!(settled.status, 201, "{result}");
    let (closed, entry) = (&result["effects"][0], &result["effects"][1]);
    assert_eq!(
        ["type", "end", "amount", "settled"].map(|name| closed[name].clone()),
        [json!("hold_closed"), json!("settled"), json!(3_000), json!(1_200)]
    );
    assert_eq!((&entry["direction"], &entry["amount"]), (&json!("debit"), &json!(1_200)));
    assert_eq!(result["balances"][0]["balance"], 3_800);
    let late = as_partner(&harness, KEY, &settle, "s3", json!({})).await;
    assert_eq!(late.problem(), "422 hold_closed -");

    assert_eq!(as_partner(&harness, KEY, &holds, "h2", json!({ "amount": 3_800 })).await.status, 201);
    let voided = as_operator(&harness, &format!("{path}/holds/2/void?tenant=journey"), "v", Value::Null).await;
    assert_eq!((voided.status, &voided.json()["effects"][0]["end"]), (201, &json!("voided")));
    let shown = wallet().await;
    assert_eq!((&shown["held"], &shown["available"]), (&json!(0), &json!(3_800)));

    let books = harness.get("/v1/trial-balance?tenant=journey").await.json();
    assert!(books["totals"].as_array().unwrap().iter().all(|own| own["total"] == 0), "{books}");
    let accounts = books["accounts"].as_array().unwrap();
    let own = accounts.iter().find(|own| own["account"] == "settlement/grocer").unwrap();
    assert_eq!((&own["debit"], &own["credit"]), (&json!(0), &json!(1_200)));
    let liability = harness.get("/v1/reports/liability?tenant=journey").await.json();
    assert_eq!((&liability["data"][0]["spent"], &liability["data"][0]["closing"]), (&json!(1_200), &json!(3_800)));
    let entries = harness.get(&format!("{path}/entries?tenant=journey")).await.json();
    assert_eq!(entries["data"][0]["operation"], "settle_hold");
    harness.stop().await;
}

/// Under this tenant's clock, time is what purchases say.
#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_is_over_is_gone_whoever_looks() {
    let (harness, path) = shop().await;
    assert_eq!(harness.post(&purchase("P-1", 1_000, 1, 1)).await.status, 201);
    let holds = format!("{path}/wallets/0/holds");
    let body = json!({ "amount": 5_000, "expires_in_seconds": 86_400 });
    assert_eq!(as_partner(&harness, KEY, &holds, "h", body).await.status, 201);
    let other = purchase("P-2", 1_000, 1, 2).replace("C1", "C2");
    assert_eq!(harness.post(&other).await.status, 201, "somebody else's purchase makes it a day later");
    let shown = harness.get(&format!("{path}/wallets?tenant=journey")).await.json()["data"][0].clone();
    assert_eq!((&shown["held"], &shown["available"]), (&json!(0), &shown["balance"]));
    let late = as_partner(&harness, KEY, &format!("{path}/holds/1/settle"), "s", json!({})).await;
    assert_eq!(late.problem(), "422 hold_closed -");
    let body = json!({ "amount": 5_000 });
    assert_eq!(as_partner(&harness, KEY, &holds, "h2", body).await.json()["effects"][0]["hold"], 2);
    harness.stop().await;
}

/// What time did to another partner's hold is written down by whoever comes next, who is not told of it.
#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_hold_is_told_to_nobody_who_comes_by() {
    let (harness, path) = shop().await;
    assert_eq!(harness.post(&purchase("P-1", 1_000, 1, 1)).await.status, 201);
    let holds = format!("{path}/wallets/0/holds");
    let body = json!({ "amount": 4_000, "expires_in_seconds": 86_400 });
    assert_eq!(as_partner(&harness, KEY, &holds, "h", body).await.status, 201);
    let other = purchase("P-2", 1_000, 1, 2).replace("C1", "C2");
    assert_eq!(harness.post(&other).await.status, 201, "somebody else's purchase makes it a day later");
    let body = json!({ "amount": 10 });
    let dry = as_partner(&harness, BAKER, &format!("{holds}?dry_run=true"), "b", body.clone()).await.json();
    let placed = as_partner(&harness, BAKER, &holds, "b", body).await.json();
    let read = format!("/v1/operations/{}", placed["seq"]);
    let read = harness.call("GET", &read, &[("X-Api-Key", BAKER)], b"").await.json();
    for said in [dry, placed, read] {
        let effects = said["effects"].as_array().unwrap();
        assert_eq!((effects.len(), &effects[0]["type"]), (1, &json!("hold_placed")), "{said}");
        assert_eq!(effects[0]["partner"], "baker");
    }
    harness.stop().await;
}

/// A hold is its partner's: another partner of the tenant neither sees nor closes it.
#[tokio::test(flavor = "multi_thread")]
async fn another_partner_s_hold_is_not_there() {
    let (harness, path) = shop().await;
    let holds = format!("{path}/wallets/0/holds");
    assert_eq!(as_partner(&harness, KEY, &holds, "h", json!({ "amount": 1 })).await.status, 201);
    assert_eq!(as_partner(&harness, BAKER, &holds, "h", json!({ "amount": 2 })).await.status, 201);
    for (verb, body) in [("settle", json!({})), ("void", Value::Null)] {
        let refused = as_partner(&harness, BAKER, &format!("{path}/holds/1/{verb}"), verb, body).await;
        assert_eq!(refused.problem(), "422 hold_closed -", "as one of its own that is closed");
    }
    let list = async |api_key| {
        let reply = harness.call("GET", &format!("{path}/holds"), &[("X-Api-Key", api_key)], b"").await.json();
        reply["data"].as_array().unwrap().iter().map(|hold| hold["hold"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!((list(KEY).await, list(BAKER).await), (vec![1], vec![2]));
    let all = harness.get(&format!("{path}/holds?tenant=journey")).await.json();
    assert_eq!(all["data"].as_array().unwrap().len(), 2);
    // An operator has no account to settle to.
    let by_operator = as_operator(&harness, &holds, "o", json!({ "amount": 1 })).await;
    assert_eq!(by_operator.problem(), "403 role_insufficient -");
    harness.stop().await;
}

/// R14 and R15, from outside: of all that race for one hold one wins, and six of 1,000 on 5,000 are five.
#[tokio::test(flavor = "multi_thread")]
async fn r14_r15_races_for_what_is_held() {
    let (harness, path) = shop().await;
    let holds = format!("{path}/wallets/0/holds");
    let place = |index: usize| {
        let (harness, holds) = (&harness, holds.clone());
        async move { as_partner(harness, KEY, &holds, &format!("h{index}"), json!({ "amount": 1_000 })).await }
    };
    let placed = futures_util::future::join_all((0..6).map(place)).await;
    let won: Vec<&Reply> = placed.iter().filter(|reply| reply.status == 201).collect();
    assert_eq!(won.len(), 5);
    assert!(
        placed.iter().filter(|reply| reply.status != 201).all(|reply| reply.problem() == "422 balance_held /amount")
    );
    for hold in 1..=5 {
        let close = |index: usize| {
            let (harness, path) = (&harness, &path);
            async move {
                let (verb, body) = if index.is_multiple_of(2) { ("settle", json!({})) } else { ("void", Value::Null) };
                let key = format!("c{hold}-{index}");
                as_partner(harness, KEY, &format!("{path}/holds/{hold}/{verb}"), &key, body).await
            }
        };
        let closed = futures_util::future::join_all((0..16).map(close)).await;
        assert_eq!(closed.iter().filter(|reply| reply.status == 201).count(), 1, "hold {hold}");
        assert!(closed.iter().filter(|reply| reply.status != 201).all(|own| own.problem() == "422 hold_closed -"));
    }
    let books = harness.get("/v1/trial-balance?tenant=journey").await.json();
    assert!(books["totals"].as_array().unwrap().iter().all(|own| own["total"] == 0), "{books}");
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_holds_are_refused_with_a_reason() {
    let (harness, path) = shop().await;
    let holds = format!("{path}/wallets/0/holds");
    assert_eq!(as_partner(&harness, KEY, &holds, "h", json!({ "amount": 10 })).await.status, 201);
    for (key, body, expected) in [
        ("1", json!({}), "400 field_missing /amount"),
        ("2", json!({ "amount": "x" }), "400 field_invalid /amount"),
        ("3", json!({ "amount": 1.5 }), "400 field_invalid /amount"),
        ("4", json!({ "amount": 1, "partner": "baker" }), "400 field_unknown /partner"),
        ("5", json!({ "amount": 0 }), "422 amount_not_positive /amount"),
        ("6", json!({ "amount": -1 }), "422 amount_not_positive /amount"),
        ("7", json!({ "amount": "9223372036854775807" }), "422 amount_too_large /amount"),
        ("8", json!({ "amount": 1, "expires_in_seconds": 0 }), "422 life_out_of_range /expires_in_seconds"),
        ("9", json!({ "amount": 1, "expires_in_seconds": -5 }), "422 life_out_of_range /expires_in_seconds"),
        (
            "10",
            json!({ "amount": 1, "expires_in_seconds": "9223372036854775807" }),
            "422 life_out_of_range /expires_in_seconds",
        ),
        ("11", json!({ "amount": 1, "reference": "" }), "400 field_invalid /reference"),
        ("12", json!({ "amount": 5_001 }), "422 balance_too_small /amount"),
        ("13", json!({ "amount": 4_991 }), "422 balance_held /amount"),
        ("14", json!([1]), "400 field_invalid "),
    ] {
        let refused = as_partner(&harness, KEY, &holds, key, body.clone()).await;
        assert_eq!(refused.problem(), expected, "{body}");
    }
    let targets = [
        (format!("{path}/wallets/7/holds"), json!({ "amount": 1 }), "404 wallet_not_found -"),
        (format!("{path}/wallets/x/holds"), json!({ "amount": 1 }), "404 wallet_not_found -"),
        ("/v1/customers/nobody/wallets/0/holds".to_owned(), json!({ "amount": 1 }), "404 customer_not_found -"),
        (format!("{path}/holds/2/settle"), json!({}), "404 hold_not_found -"),
        (format!("{path}/holds/0/settle"), json!({}), "404 hold_not_found -"),
        (format!("{path}/holds/-1/settle"), json!({}), "404 hold_not_found -"),
        (format!("{path}/holds/4294967296/void"), Value::Null, "404 hold_not_found -"),
        (format!("{path}/holds/1/settle"), json!({ "amount": 0 }), "422 amount_not_positive /amount"),
        (format!("{path}/holds/1/settle"), json!({ "sum": 1 }), "400 field_unknown /sum"),
        // Whoever means a part of it must not give all of it free.
        (format!("{path}/holds/1/void"), json!({ "amount": 5 }), "400 field_unknown /amount"),
    ];
    for (index, (target, body, expected)) in targets.into_iter().enumerate() {
        let refused = as_partner(&harness, KEY, &target, &format!("t{index}"), body.clone()).await;
        assert_eq!(refused.problem(), expected, "{target} {body}");
    }
    let headers = [("X-Api-Key", KEY), ("Content-Type", "application/json")];
    for target in [holds.clone(), format!("{path}/holds/1/settle"), format!("{path}/holds/1/void")] {
        let keyless = harness.call("POST", &target, &headers, br#"{"amount":1}"#).await;
        assert_eq!(keyless.problem(), "400 idempotency_key_missing -", "{target}");
    }
    let shown = harness.get(&format!("{path}/wallets?tenant=journey")).await.json()["data"][0].clone();
    assert_eq!((&shown["balance"], &shown["held"]), (&json!(5_000), &json!(10)), "nothing came of any of these");
    harness.stop().await;
}
