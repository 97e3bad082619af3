//! Invoices over HTTP: opened by a partner, paid once by a customer's wallet, taken back, over; races, and bad input.

use crate::support;
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
    let deposit = as_operator(&harness, &format!("{path}/wallets/0/deposits"), "d", json!({ "amount": 5_000 })).await;
    assert_eq!(deposit.status, 201);
    (harness, path)
}

fn text(body: &Value) -> String {
    if body.is_null() { String::new() } else { body.to_string() }
}

async fn as_operator(harness: &Harness, path: &str, key: &str, body: Value) -> Reply {
    let token = format!("Bearer {TOKEN}");
    let headers = [("Authorization", token.as_str()), ("Content-Type", "application/json"), ("Idempotency-Key", key)];
    let separator = if path.contains('?') { '&' } else { '?' };
    harness.call("POST", &format!("{path}{separator}tenant=journey"), &headers, text(&body).as_bytes()).await
}

async fn as_partner(harness: &Harness, api_key: &str, path: &str, key: &str, body: Value) -> Reply {
    let headers = [("X-Api-Key", api_key), ("Content-Type", "application/json"), ("Idempotency-Key", key)];
    harness.call("POST", path, &headers, text(&body).as_bytes()).await
}

async fn open(harness: &Harness, key: &str, body: Value) -> String {
    let opened = as_partner(harness, KEY, "/v1/invoices", key, body).await;
    assert_eq!(opened.status, 201, "{}", opened.text());
    opened.json()["effects"][0]["va_number"].as_str().unwrap().to_owned()
}

async fn state(harness: &Harness, number: &str) -> Value {
    harness.get_as_partner(&format!("/v1/invoices/{number}")).await.json()["state"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invoice_is_opened_and_paid_once() {
    let (harness, path) = shop().await;
    let body = json!({ "amount": 1_200, "va_prefix": "DS-8800", "expires_in_seconds": 3_600, "reference": "order 7" });
    let opened = as_partner(&harness, KEY, "/v1/invoices", "o", body.clone()).await;
    let result = opened.json();
    assert_eq!((opened.status, &result["customer"]), (201, &Value::Null), "{result}");
    let effect = &result["effects"][0];
    let what = ["type", "va_number", "partner", "currency", "amount"].map(|name| effect[name].clone());
    assert_eq!(
        what,
        [json!("invoice_opened"), json!("DS-88001000000000"), json!("grocer"), json!("IDR"), json!(1_200)]
    );
    let again = as_partner(&harness, KEY, "/v1/invoices", "o", body).await;
    assert_eq!((again.text(), again.header("idempotency-replayed")), (opened.text(), Some("true")));
    let other = as_partner(&harness, KEY, "/v1/invoices", "o", json!({ "amount": 1 })).await;
    assert_eq!(other.problem(), "422 idempotency_key_reused -");
    let shown = harness.get_as_partner("/v1/invoices/DS-88001000000000").await.json();
    assert_eq!((&shown["state"], &shown["opened_seq"]), (&json!("open"), &result["seq"]));
    assert_eq!(shown["expires_at"], effect["expires_at"]);

    let pay = format!("{path}/wallets/0/payments");
    let body = json!({ "va_number": "DS-88001000000000", "amount": 1_200 });
    let wrong = as_operator(&harness, &pay, "p0", json!({ "va_number": "DS-88001000000000", "amount": 1_199 })).await;
    assert_eq!(wrong.problem(), "422 invoice_amount_differs /amount");
    assert_eq!(wrong.json()["invoice_amount"], 1_200);
    let paid = as_operator(&harness, &pay, "p1", body.clone()).await;
    let result = paid.json();
    assert_eq!(paid.status, 201, "{result}");
    assert_eq!(
        result["operation"],
        json!({ "type": "pay_invoice", "wallet": 0, "va_number": "DS-88001000000000", "amount": 1_200 })
    );
    assert_eq!(result["balances"][0]["balance"], 3_800);
    let late = as_operator(&harness, &pay, "p2", body.clone()).await;
    assert_eq!(late.problem(), "422 invoice_paid -");
    let shown = harness.get("/v1/invoices/DS-88001000000000?tenant=journey").await.json();
    assert_eq!((&shown["state"], &shown["closed_seq"]), (&json!("paid"), &result["seq"]));

    let books = harness.get("/v1/trial-balance?tenant=journey").await.json();
    assert!(books["totals"].as_array().unwrap().iter().all(|own| own["total"] == 0), "{books}");
    let accounts = books["accounts"].as_array().unwrap();
    let own = accounts.iter().find(|own| own["account"] == "settlement/grocer").unwrap();
    assert_eq!(own["credit"], 1_200);
    let entries = harness.get(&format!("{path}/entries?tenant=journey")).await.json();
    assert_eq!(entries["data"][0]["operation"], "pay_invoice");
    // Everything is there after a restart: what is paid stays paid, and numbers go on.
    let dir = harness.stop().await;
    let harness = Harness::start_in(dir, 128 * 1024 * 1024, |_| ()).await;
    assert_eq!(state(&harness, "DS-88001000000000").await, "paid");
    let again = as_operator(&harness, &pay, "p1", body).await;
    assert_eq!((again.text(), again.header("idempotency-replayed")), (paid.text(), Some("true")));
    assert_eq!(open(&harness, "o2", json!({ "amount": 5 })).await, "VA-1000000001");
    harness.stop().await;
}

/// One success ever, whoever races for it under whichever keys.
#[tokio::test(flavor = "multi_thread")]
async fn many_payments_of_one_invoice_are_one() {
    let (harness, path) = shop().await;
    let number = open(&harness, "o", json!({ "amount": 100 })).await;
    let pay = format!("{path}/wallets/0/payments");
    let attempt = |index: usize| {
        let (harness, pay, body) = (&harness, &pay, json!({ "va_number": number, "amount": 100 }));
        async move { as_operator(harness, pay, &format!("p{index}"), body).await }
    };
    let cancel = as_partner(&harness, KEY, "/v1/invoices/VA-1000000000/cancel", "c", Value::Null);
    let (attempts, cancelled) =
        futures_util::future::join(futures_util::future::join_all((0..32).map(attempt)), cancel).await;
    let won = attempts.iter().filter(|reply| reply.status == 201).count();
    let is_cancelled = cancelled.status == 201;
    assert_eq!(won, usize::from(!is_cancelled), "either it was paid once, or it was taken back");
    let lost = if is_cancelled { "422 invoice_cancelled -" } else { "422 invoice_paid -" };
    assert!(attempts.iter().filter(|reply| reply.status != 201).all(|reply| reply.problem() == lost));
    let balance = harness.get(&format!("{path}?tenant=journey")).await.json()["balance"].as_i64().unwrap();
    assert_eq!(balance, 5_000 - 100 * i64::from(!is_cancelled));
    harness.stop().await;
}

/// Under this tenant's clock, time is what purchases say.
#[tokio::test(flavor = "multi_thread")]
async fn an_invoice_that_is_over_or_taken_back_is_not_paid() {
    let (harness, path) = shop().await;
    assert_eq!(harness.post(&purchase("P-1", 1_000, 1, 1)).await.status, 201);
    let (late, taken) =
        (open(&harness, "1", json!({ "amount": 10 })).await, open(&harness, "2", json!({ "amount": 10 })).await);
    let pay = format!("{path}/wallets/0/payments");
    let cancelled = as_partner(&harness, KEY, &format!("/v1/invoices/{taken}/cancel"), "c", Value::Null).await;
    assert_eq!((cancelled.status, &cancelled.json()["effects"][0]["type"]), (201, &json!("invoice_cancelled")));
    let refused = as_operator(&harness, &pay, "p1", json!({ "va_number": taken, "amount": 10 })).await;
    assert_eq!(refused.problem(), "422 invoice_cancelled -");
    let again = as_partner(&harness, KEY, &format!("/v1/invoices/{taken}/cancel"), "c2", Value::Null).await;
    assert_eq!(again.problem(), "422 invoice_cancelled -");
    assert_eq!(harness.post(&purchase("P-2", 1_000, 1, 3)).await.status, 201, "two days later");
    let refused = as_operator(&harness, &pay, "p2", json!({ "va_number": late, "amount": 10 })).await;
    assert_eq!(refused.problem(), "422 invoice_expired -");
    assert_eq!((state(&harness, &late).await, state(&harness, &taken).await), (json!("expired"), json!("cancelled")));
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_partner_s_invoice_is_not_there() {
    let (harness, path) = shop().await;
    let number = open(&harness, "o", json!({ "amount": 10 })).await;
    let seen = harness.call("GET", &format!("/v1/invoices/{number}"), &[("X-Api-Key", BAKER)], b"").await;
    assert_eq!(seen.problem(), "404 invoice_not_found -");
    let cancelled = as_partner(&harness, BAKER, &format!("/v1/invoices/{number}/cancel"), "c", Value::Null).await;
    assert_eq!(cancelled.problem(), "404 invoice_not_found -");
    // A key of one partner is no key of another.
    let own = as_partner(&harness, BAKER, "/v1/invoices", "o", json!({ "amount": 10 })).await;
    assert_eq!((own.status, &own.json()["effects"][0]["va_number"]), (201, &json!("VA-1000000001")));
    let by_operator = as_operator(&harness, "/v1/invoices", "x", json!({ "amount": 10 })).await;
    assert_eq!(by_operator.problem(), "403 role_insufficient -");
    let by_partner = as_partner(&harness, KEY, &format!("{path}/wallets/0/payments"), "y", json!({})).await;
    assert_eq!(by_partner.problem(), "403 role_insufficient -");
    // Another tenant's numbers are its own.
    let mut rules = support::sample();
    rules.tenant.slug = "other".to_owned();
    rules.partners.clear();
    support::apply(&harness.engine, &rules).await;
    let elsewhere = harness.get(&format!("/v1/invoices/{number}?tenant=other")).await;
    assert_eq!(elsewhere.problem(), "404 invoice_not_found -");
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_invoices_and_payments_are_refused_with_a_reason() {
    let (harness, path) = shop().await;
    for (key, body, expected) in [
        ("1", json!({}), "400 field_missing /amount"),
        ("2", json!({ "amount": 1.5 }), "400 field_invalid /amount"),
        ("3", json!({ "amount": 0 }), "422 amount_not_positive /amount"),
        ("4", json!({ "amount": -3 }), "422 amount_not_positive /amount"),
        ("5", json!({ "amount": "9223372036854775807" }), "422 amount_too_large /amount"),
        ("6", json!({ "amount": 1, "expires_in_seconds": 0 }), "422 life_out_of_range /expires_in_seconds"),
        ("7", json!({ "amount": 1, "expires_in_seconds": 7_776_001 }), "422 life_out_of_range /expires_in_seconds"),
        ("8", json!({ "amount": 1, "va_prefix": "" }), "400 field_invalid /va_prefix"),
        ("9", json!({ "amount": 1, "va_prefix": "DS 8800" }), "400 field_invalid /va_prefix"),
        ("10", json!({ "amount": 1, "va_prefix": "12345678901234567" }), "400 field_invalid /va_prefix"),
        ("11", json!({ "amount": 1, "reference": "\u{7}" }), "400 field_invalid /reference"),
        ("12", json!({ "amount": 1, "description": "x" }), "400 field_unknown /description"),
    ] {
        let refused = as_partner(&harness, KEY, "/v1/invoices", key, body.clone()).await;
        assert_eq!(refused.problem(), expected, "{body}");
    }
    let number = open(&harness, "o", json!({ "amount": 5_001 })).await;
    let cancel = format!("/v1/invoices/{number}/cancel");
    let refused = as_partner(&harness, KEY, &cancel, "c", json!({ "reason": "x" })).await;
    assert_eq!(refused.problem(), "400 field_unknown /reason");
    // R13: a refusal stays what it was, and its key is taken.
    let refused = as_partner(&harness, KEY, "/v1/invoices", "r13", json!({ "amount": 0 })).await;
    let again = as_partner(&harness, KEY, "/v1/invoices", "r13", json!({ "amount": 0 })).await;
    assert_eq!((again.problem(), again.header("idempotency-replayed")), (refused.problem(), Some("true")));
    let reused = as_partner(&harness, KEY, "/v1/invoices", "r13", json!({ "amount": 5 })).await;
    assert_eq!(reused.problem(), "422 idempotency_key_reused -");
    let pay = format!("{path}/wallets/0/payments");
    for (key, body, expected) in [
        ("1", json!({ "amount": 1 }), "400 field_missing /va_number"),
        ("2", json!({ "va_number": number }), "400 field_missing /amount"),
        ("3", json!({ "va_number": "", "amount": 1 }), "404 invoice_not_found /va_number"),
        ("4", json!({ "va_number": "OFFLINE-1511863200000", "amount": 1 }), "404 invoice_not_found -"),
        ("5", json!({ "va_number": "x".repeat(65), "amount": 1 }), "404 invoice_not_found /va_number"),
        ("6", json!({ "va_number": number, "amount": 0 }), "422 amount_not_positive /amount"),
        ("7", json!({ "va_number": number, "amount": 5_001 }), "422 balance_too_small /amount"),
        ("8", json!({ "va_number": number, "amount": 5_001, "wallet": 1 }), "400 field_unknown /wallet"),
    ] {
        assert_eq!(as_operator(&harness, &pay, key, body.clone()).await.problem(), expected, "{body}");
    }
    assert_eq!(harness.get("/v1/invoices/%7F?tenant=journey").await.problem(), "404 invoice_not_found -");
    assert_eq!(state(&harness, &number).await, "open", "nothing came of any of these");
    harness.stop().await;
}
