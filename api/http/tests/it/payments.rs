//! Payments as they moved from state to state: deposits, holds, invoices and transfers, those too that came to nothing.

use crate::support::{Harness, KEY, TOKEN, purchase};
use serde_json::{Value, json};

async fn post(harness: &Harness, path: &str, key: &str, body: Value, by_partner: bool) -> u16 {
    let token = format!("Bearer {TOKEN}");
    let who = if by_partner { ("X-Api-Key", KEY) } else { ("Authorization", token.as_str()) };
    let headers = [who, ("Content-Type", "application/json"), ("Idempotency-Key", key)];
    let path = if by_partner { path.to_owned() } else { format!("{path}?tenant=journey") };
    let text = if body.is_null() { String::new() } else { body.to_string() };
    harness.call("POST", &path, &headers, text.as_bytes()).await.status
}

async fn list(harness: &Harness, query: &str) -> Value {
    let reply = harness.get(&format!("/v1/payments?tenant=journey{query}")).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

/// Says `kind amount: path`, and why not.
fn shown(page: &Value) -> Vec<String> {
    let one = |own: &Value| {
        let path: Vec<&str> = own["path"].as_array().unwrap().iter().map(|state| state.as_str().unwrap()).collect();
        assert_eq!(own["state"].as_str(), path.last().copied());
        let reason = own["reason"].as_str().map(|reason| format!(" ({reason})")).unwrap_or_default();
        format!("{} {}: {}{reason}", own["kind"].as_str().unwrap(), own["amount"], path.join(", "))
    };
    page["data"].as_array().unwrap().iter().map(one).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_payment_says_how_far_it_is() {
    let harness = Harness::start().await;
    let create = async |reference: &str| {
        let body = json!({ "ref": reference }).to_string();
        let created = harness.operator("POST", "/v1/customers?tenant=journey", &body).await.json();
        created["customer"].as_str().unwrap().to_owned()
    };
    let (a, b) = (create("A").await, create("B").await);
    let own = |what: &str| format!("/v1/customers/{a}{what}");
    let wallet = |what: &str| own(&format!("/wallets/0/{what}"));
    assert_eq!(harness.post(&purchase("P-1", 1_000, 1, 1)).await.status, 201);
    assert_eq!(post(&harness, &wallet("deposits"), "1", json!({ "amount": 5_000 }), false).await, 201);
    assert_eq!(post(&harness, &wallet("deposits"), "2", json!({ "amount": 0 }), false).await, 422);
    assert_eq!(post(&harness, &wallet("holds"), "3", json!({ "amount": 900 }), true).await, 201);
    assert_eq!(post(&harness, &own("/holds/1/settle"), "4", json!({ "amount": 400 }), true).await, 201);
    assert_eq!(post(&harness, &wallet("holds"), "5", json!({ "amount": 70 }), true).await, 201);
    assert_eq!(post(&harness, &own("/holds/2/void"), "6", Value::Null, true).await, 201);
    assert_eq!(post(&harness, "/v1/invoices", "7", json!({ "amount": 250 }), true).await, 201);
    let pay = json!({ "va_number": "VA-1000000000", "amount": 250 });
    assert_eq!(post(&harness, &wallet("payments"), "8", pay.clone(), false).await, 201);
    assert_eq!(post(&harness, &wallet("payments"), "9", pay, false).await, 422);
    let send = |wallet: u16| json!({ "to": { "id": b }, "to_wallet": wallet, "amount": 30 });
    assert_eq!(post(&harness, &wallet("transfers"), "10", send(0), false).await, 201);
    assert_eq!(post(&harness, &wallet("transfers"), "11", send(4), false).await, 422);
    // A hold whose time is over, written down by the operation that comes by.
    let short = json!({ "amount": 5, "expires_in_seconds": 60 });
    assert_eq!(post(&harness, &wallet("holds"), "12", short, true).await, 201);
    assert_eq!(harness.post(&purchase("P-2", 1_000, 1, 2)).await.status, 201);
    assert_eq!(post(&harness, &wallet("deposits"), "13", json!({ "amount": 1 }), false).await, 201);

    let all = list(&harness, "").await;
    let mut expected = [
        "deposit 5000: initiated, validated, settled",
        "deposit 0: initiated, rejected (amount_not_positive)",
        "hold 900: initiated, validated, funds_held",
        "hold 400: settled",
        "hold 70: initiated, validated, funds_held",
        "hold 70: voided",
        "invoice 250: initiated, validated, settled",
        "invoice 250: initiated, rejected (invoice_paid)",
        "transfer 30: initiated, validated, funds_held",
        "transfer 30: settled",
        "transfer 30: settled",
        "transfer 30: initiated, validated, funds_held",
        "transfer 30: failed (target_wallet_not_found)",
        "hold 5: initiated, validated, funds_held",
    ];
    expected.reverse();
    let seen = shown(&all);
    // The sweep may have come by before the deposit did.
    let is_late = |line: &&String| line.starts_with("hold 5: expired") || line.starts_with("deposit 1:");
    assert_eq!(seen.iter().filter(is_late).count(), 2, "{seen:?}");
    assert_eq!(seen.iter().filter(|line| !is_late(line)).collect::<Vec<_>>(), expected.iter().collect::<Vec<_>>());

    let received = all["data"].as_array().unwrap().iter().find(|own| own["customer"] == b.as_str()).unwrap();
    assert_eq!((&received["direction"], &received["wallet"]), (&json!("credit"), &json!(0)));
    for (query, count) in [
        ("&state=rejected".to_owned(), 2),
        ("&state=failed".to_owned(), 1),
        ("&state=voided".to_owned(), 1),
        (format!("&customer={b}"), 1),
        (format!("&customer={a}&state=funds_held"), 5),
    ] {
        assert_eq!(list(&harness, &query).await["data"].as_array().unwrap().len(), count, "{query}");
    }
    // Page by page it is the same.
    let (mut cursor, mut paged) = (String::new(), Vec::new());
    loop {
        let page = list(&harness, &format!("&limit=2{cursor}")).await;
        paged.extend(page["data"].as_array().unwrap().clone());
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(json!(paged), all["data"]);
    // A cursor goes on with its own list.
    let other = harness.get(&format!("/v1/payments?tenant=journey&state=failed{cursor}")).await;
    assert_eq!(other.problem(), "400 cursor_invalid -");
    assert_eq!(harness.get("/v1/payments?tenant=journey&state=paid").await.problem(), "400 query_invalid -");
    let by_partner = harness.call("GET", "/v1/payments", &[("X-Api-Key", KEY)], b"").await;
    assert_eq!(by_partner.problem(), "403 role_insufficient -");
    harness.stop().await;
}
