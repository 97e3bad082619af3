//! Transfers over HTTP: money from wallet to wallet, what comes back, what is remembered, and bad input.

use crate::support;
use crate::support::{Harness, Reply, TOKEN};
use serde_json::{Value, json};

async fn post(harness: &Harness, path: &str, key: &str, body: Value) -> Reply {
    let token = format!("Bearer {TOKEN}");
    let mut headers = vec![("Authorization", token.as_str()), ("Content-Type", "application/json")];
    headers.extend((!key.is_empty()).then_some(("Idempotency-Key", key)));
    let separator = if path.contains('?') { '&' } else { '?' };
    harness.call("POST", &format!("{path}{separator}tenant=journey"), &headers, body.to_string().as_bytes()).await
}

/// Two customers by their paths; the first has 5,000 in wallet 0.
async fn two() -> (Harness, String, String) {
    let harness = Harness::start().await;
    let mut paths = Vec::new();
    for body in [json!({ "ref": "A" }), json!({ "email": "bea@example.id" })] {
        let created = post(&harness, "/v1/customers", "", body).await;
        paths.push(format!("/v1/customers/{}", created.json()["customer"].as_str().unwrap()));
    }
    let [a, b] = <[String; 2]>::try_from(paths).unwrap();
    assert_eq!(post(&harness, &format!("{a}/wallets/0/deposits"), "d", json!({ "amount": 5_000 })).await.status, 201);
    (harness, a, b)
}

async fn balance(harness: &Harness, path: &str) -> i64 {
    harness.get(&format!("{path}?tenant=journey")).await.json()["balance"].as_i64().unwrap()
}

async fn assert_books_balance(harness: &Harness) {
    let books = harness.get("/v1/trial-balance?tenant=journey").await.json();
    assert!(books["totals"].as_array().unwrap().iter().all(|own| own["total"] == 0), "{books}");
}

#[tokio::test(flavor = "multi_thread")]
async fn money_goes_to_another_customer_once() {
    let (harness, a, b) = two().await;
    let path = format!("{a}/wallets/0/transfers");
    let body = json!({ "to": { "email": "Bea@Example.id" }, "amount": "1200", "reference": "rent" });
    let dry = post(&harness, &format!("{path}?dry_run=true"), "t", body.clone()).await;
    assert_eq!((dry.status, &dry.json()["balances"][0]["balance"]), (200, &json!(3_800)));
    assert_eq!((balance(&harness, &a).await, balance(&harness, &b).await), (5_000, 0), "nothing came of it");

    let sent = post(&harness, &path, "t", body.clone()).await;
    let result = sent.json();
    assert_eq!(sent.status, 201, "{result}");
    let other = b.rsplit_once('/').unwrap().1;
    assert_eq!(
        result["operation"],
        json!({ "type": "transfer", "wallet": 0, "to": other, "to_wallet": 0, "amount": 1_200, "reference": "rent" })
    );
    let seq = result["seq"].as_u64().unwrap();
    assert_eq!(
        result["effects"],
        json!([{
            "type": "transfer", "transfer": seq - 2, "state": "settled", "wallet": 0, "other": other,
            "other_wallet": 0, "currency": "IDR", "amount": 1_200,
        }])
    );
    assert_eq!(result["balances"], json!([{ "wallet": 0, "currency": "IDR", "balance": 3_800 }]));
    assert_eq!((balance(&harness, &a).await, balance(&harness, &b).await), (3_800, 1_200));
    let again = post(&harness, &path, "t", body).await;
    assert_eq!((again.text(), again.header("idempotency-replayed")), (sent.text(), Some("true")));
    let shown = harness.get(&format!("/v1/operations/{seq}?tenant=journey")).await;
    assert_eq!(shown.text(), sent.text());
    let reused = post(&harness, &path, "t", json!({ "to": { "id": other }, "amount": 1_200 })).await;
    assert_eq!(reused.problem(), "422 idempotency_key_reused -");

    // Both sides have an entry, and at each position the books balance and the money is at one place.
    for (path, direction) in [(&a, "debit"), (&b, "credit")] {
        let entries = harness.get(&format!("{path}/entries?tenant=journey")).await.json()["data"][0].clone();
        assert_eq!((&entries["operation"], &entries["direction"]), (&json!("transfer"), &json!(direction)));
        assert_eq!(entries["against"], json!([{ "account": "in_transit", "amount": 1_200 }]));
    }
    for (at, expected) in
        [(seq - 3, [5_000, 0]), (seq - 2, [3_800, 0]), (seq - 1, [3_800, 1_200]), (seq, [3_800, 1_200])]
    {
        let of = async |path: &str| {
            harness.get(&format!("{path}?tenant=journey&at={at}")).await.json()["balance"].as_i64().unwrap()
        };
        assert_eq!([of(&a).await, of(&b).await], expected, "as of {at}");
        let liability = harness.get(&format!("/v1/reports/liability?tenant=journey&to={at}")).await.json();
        let own = &liability["data"][0];
        let (closing, moving) = (own["closing"].as_i64().unwrap(), own["in_transit"].as_i64().unwrap());
        assert_eq!((closing, closing + moving), (expected.iter().sum::<i64>(), 5_000));
    }
    assert_books_balance(&harness).await;

    // To a wallet of its own, and after a restart the same answer.
    let opened = post(&harness, &format!("{a}/wallets"), "w", json!({ "name": "Savings" })).await;
    assert_eq!(opened.status, 201);
    let own = a.rsplit_once('/').unwrap().1;
    let saved = post(&harness, &path, "s", json!({ "to": { "id": own }, "to_wallet": 1, "amount": 800 })).await;
    assert_eq!((saved.status, &saved.json()["balances"][0]["balance"]), (201, &json!(3_000)));
    let dir = harness.stop().await;
    let harness = Harness::start_in(dir, 128 * 1024 * 1024, |_| ()).await;
    let again = post(&harness, &path, "s", json!({ "to": { "id": own }, "to_wallet": 1, "amount": 800 })).await;
    assert_eq!((again.text(), again.header("idempotency-replayed")), (saved.text(), Some("true")));
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_taken_is_back_and_the_refusal_stays() {
    let (harness, a, b) = two().await;
    let path = format!("{a}/wallets/0/transfers");
    let other = b.rsplit_once('/').unwrap().1;
    let freeze = async |status: &str| {
        let body = json!({ "status": status }).to_string();
        harness.operator("PATCH", &format!("{b}/wallets/0?tenant=journey"), &body).await.status
    };
    assert_eq!(freeze("frozen").await, 200);
    let body = json!({ "to": { "id": other }, "amount": 10 });
    let refused = post(&harness, &path, "f", body.clone()).await;
    assert_eq!(refused.problem(), "422 target_wallet_frozen /to_wallet");
    assert_eq!((balance(&harness, &a).await, balance(&harness, &b).await), (5_000, 0));
    let entries = harness.get(&format!("{a}/entries?tenant=journey")).await.json();
    let seen: Vec<i64> =
        entries["data"].as_array().unwrap().iter().map(|own| own["balance_after"].as_i64().unwrap()).collect();
    assert_eq!(seen, [5_000, 4_990, 5_000], "it left, and came back");
    assert_eq!(freeze("active").await, 200);
    // R13: a refusal is as sticky as a success.
    let again = post(&harness, &path, "f", body.clone()).await;
    assert_eq!(
        (again.problem().as_str(), again.header("idempotency-replayed")),
        ("422 target_wallet_frozen /to_wallet", Some("true"))
    );
    assert_eq!(post(&harness, &path, "g", body).await.status, 201);
    let closed = post(&harness, &path, "c", json!({ "to": { "id": other }, "to_wallet": 3, "amount": 1 })).await;
    assert_eq!(closed.problem(), "422 target_wallet_not_found /to_wallet");
    assert_books_balance(&harness).await;
    harness.stop().await;
}

/// Everybody sends to everybody at once: nothing is lost, nothing is made, and nobody goes below zero.
#[tokio::test(flavor = "multi_thread")]
async fn many_transfers_at_once_lose_nothing() {
    let (harness, a, b) = two().await;
    let id = |path: &str| path.rsplit_once('/').unwrap().1.to_owned();
    let transfer = |index: usize| {
        let (from, to) = if index.is_multiple_of(2) { (&a, &b) } else { (&b, &a) };
        let (path, to) = (format!("{from}/wallets/0/transfers"), id(to));
        let harness = &harness;
        async move {
            // Each is sent twice.
            let body = json!({ "to": { "id": to }, "amount": 400 });
            let key = format!("k{index}");
            let both = (post(harness, &path, &key, body.clone()), post(harness, &path, &key, body));
            let (first, second) = futures_util::future::join(both.0, both.1).await;
            let json = |reply: &Reply| {
                let mut json = reply.json();
                json.as_object_mut().unwrap().retain(|name, _| name != "request_id" && name != "replayed");
                json
            };
            assert_eq!((first.status, json(&first)), (second.status, json(&second)));
            first.status
        }
    };
    let statuses = futures_util::future::join_all((0..40).map(transfer)).await;
    let arrived = |parity| (0..40).filter(|index| index % 2 == parity && statuses[*index] == 201).count() as i64;
    let moved = 400 * (arrived(0) - arrived(1));
    assert_eq!((balance(&harness, &a).await, balance(&harness, &b).await), (5_000 - moved, moved));
    assert!((0..=5_000).contains(&moved) && statuses.iter().all(|status| [201, 422].contains(status)));
    assert_books_balance(&harness).await;
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_transfers_are_refused_with_a_reason() {
    let (harness, a, b) = two().await;
    let path = format!("{a}/wallets/0/transfers");
    let (own, other) = (a.rsplit_once('/').unwrap().1, b.rsplit_once('/').unwrap().1);
    let to = json!({ "id": other });
    for (key, body, expected) in [
        ("1", json!({}), "400 field_missing /to"),
        ("2", json!({ "to": other, "amount": 1 }), "400 field_invalid /to"),
        ("3", json!({ "to": {}, "amount": 1 }), "400 customer_invalid /to"),
        ("4", json!({ "to": { "id": other, "ref": "A" }, "amount": 1 }), "400 customer_invalid /to"),
        ("5", json!({ "to": { "id": "x" }, "amount": 1 }), "422 transfer_target_not_found /to"),
        ("6", json!({ "to": { "ref": "nobody" }, "amount": 1 }), "422 transfer_target_not_found /to"),
        ("7", json!({ "to": to }), "400 field_missing /amount"),
        ("8", json!({ "to": to, "amount": 0 }), "422 amount_not_positive /amount"),
        ("9", json!({ "to": to, "amount": -1 }), "422 amount_not_positive /amount"),
        ("10", json!({ "to": to, "amount": "9223372036854775807" }), "422 amount_too_large /amount"),
        ("11", json!({ "to": to, "amount": 5_001 }), "422 balance_too_small /amount"),
        ("12", json!({ "to": { "id": own }, "amount": 1 }), "422 transfer_to_itself /to_wallet"),
        ("13", json!({ "to": to, "to_wallet": -1, "amount": 1 }), "422 target_wallet_not_found /to_wallet"),
        ("14", json!({ "to": to, "to_wallet": 65_536, "amount": 1 }), "422 target_wallet_not_found /to_wallet"),
        ("15", json!({ "to": to, "amount": 1, "reference": "" }), "400 field_invalid /reference"),
        ("16", json!({ "to": to, "amount": 1, "note": "x" }), "400 field_unknown /note"),
        ("", json!({ "to": to, "amount": 1 }), "400 idempotency_key_missing -"),
    ] {
        assert_eq!(post(&harness, &path, key, body.clone()).await.problem(), expected, "{body}");
    }
    // Another tenant's customer is not there.
    let mut rules = support::sample();
    rules.tenant.slug = "other".to_owned();
    rules.partners.clear();
    support::apply(&harness.engine, &rules).await;
    let created = harness.operator("POST", "/v1/customers?tenant=other", r#"{"ref":"O"}"#).await;
    let foreign = json!({ "to": { "id": created.json()["customer"] }, "amount": 1 });
    assert_eq!(post(&harness, &path, "17", foreign).await.problem(), "422 transfer_target_not_found /to");
    let by_partner = [("X-Api-Key", support::KEY), ("Content-Type", "application/json"), ("Idempotency-Key", "p")];
    let refused =
        harness.call("POST", &path, &by_partner, json!({ "to": to, "amount": 1 }).to_string().as_bytes()).await;
    assert_eq!(refused.problem(), "403 role_insufficient -");
    assert_eq!((balance(&harness, &a).await, balance(&harness, &b).await), (5_000, 0));
    harness.stop().await;
}
