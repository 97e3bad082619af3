//! Reversals over HTTP: what is taken back, who may do it, what is shown of it afterwards, and bad input.

use crate::support;
use crate::support::{Harness, KEY, Reply, TOKEN};
use serde_json::{Value, json};

async fn ask(harness: &Harness, path: &str, key: &str, body: Value) -> Reply {
    let token = format!("Bearer {TOKEN}");
    let headers = [("Authorization", token.as_str()), ("Content-Type", "application/json"), ("Idempotency-Key", key)];
    harness.call("POST", &format!("{path}?tenant=journey"), &headers, body.to_string().as_bytes()).await
}

async fn as_partner(harness: &Harness, path: &str, key: &str, body: Value) -> Reply {
    let headers = [("X-Api-Key", KEY), ("Content-Type", "application/json"), ("Idempotency-Key", key)];
    harness.call("POST", path, &headers, body.to_string().as_bytes()).await
}

/// A customer who deposited 5,000 and paid an invoice of 1,200; the positions of both, and the customer's path.
async fn paid() -> (Harness, String, u64, u64) {
    let harness = Harness::start().await;
    let created = harness.operator("POST", "/v1/customers?tenant=journey", r#"{"ref":"C1"}"#).await;
    let path = format!("/v1/customers/{}", created.json()["customer"].as_str().unwrap());
    let deposit = ask(&harness, &format!("{path}/wallets/0/deposits"), "d", json!({ "amount": 5_000 })).await;
    assert_eq!(as_partner(&harness, "/v1/invoices", "i", json!({ "amount": 1_200 })).await.status, 201);
    let pay = json!({ "va_number": "VA-1000000000", "amount": 1_200 });
    let paid = ask(&harness, &format!("{path}/wallets/0/payments"), "p", pay).await;
    assert_eq!(paid.status, 201, "{}", paid.text());
    let seq = |reply: &Reply| reply.json()["seq"].as_u64().unwrap();
    let (deposit, paid) = (seq(&deposit), seq(&paid));
    (harness, path, deposit, paid)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_and_a_deposit_are_taken_back() {
    let (harness, path, deposit, paid) = paid().await;
    let reverse = |seq: u64| format!("/v1/operations/{seq}/reverse");
    let why = json!({ "reason": "paid twice" });
    let reversed = ask(&harness, &reverse(paid), "r", why.clone()).await;
    let result = reversed.json();
    assert_eq!(reversed.status, 201, "{result}");
    assert_eq!(result["operation"], json!({ "type": "reverse", "operation": paid, "reason": "paid twice" }));
    assert_eq!(
        result["effects"][0],
        json!({ "type": "operation_reversed", "operation": paid, "paid": { "partner": "grocer", "va_number": "VA-1000000000" } })
    );
    assert_eq!(
        (&result["effects"][1]["direction"], &result["balances"][0]["balance"]),
        (&json!("credit"), &json!(5_000))
    );
    let again = ask(&harness, &reverse(paid), "r", why.clone()).await;
    assert_eq!((again.text(), again.header("idempotency-replayed")), (reversed.text(), Some("true")));
    assert_eq!(ask(&harness, &reverse(paid), "r2", why.clone()).await.problem(), "422 operation_reversed -");

    let invoice = harness.get_as_partner("/v1/invoices/VA-1000000000").await.json();
    assert_eq!((&invoice["state"], &invoice["closed_seq"]), (&json!("reversed"), &result["seq"]));
    let pay = json!({ "va_number": "VA-1000000000", "amount": 1_200 });
    let late = ask(&harness, &format!("{path}/wallets/0/payments"), "p2", pay).await;
    assert_eq!(late.problem(), "422 invoice_reversed -");
    let bounced = ask(&harness, &reverse(deposit), "b", json!({ "reason": "it bounced" })).await.json();
    assert_eq!(bounced["balances"][0]["balance"], 0);

    let payments = harness.get("/v1/payments?tenant=journey&state=reversed").await.json();
    let one = |own: &Value| {
        (own["kind"].as_str().unwrap().to_owned(), own["amount"].clone(), own["reverses"].as_u64().unwrap())
    };
    let shown: Vec<_> = payments["data"].as_array().unwrap().iter().map(one).collect();
    assert_eq!(shown, [("deposit".into(), json!(5_000), deposit), ("invoice".into(), json!(1_200), paid)]);
    let books = harness.get("/v1/trial-balance?tenant=journey").await.json();
    assert!(books["totals"].as_array().unwrap().iter().all(|own| own["total"] == 0), "{books}");
    let liability = harness.get("/v1/reports/liability?tenant=journey").await.json();
    let line = &liability["data"][0];
    assert_eq!(
        (&line["deposited"], &line["spent"], &line["closing"]),
        (&json!(0), &json!(0), &json!(0)),
        "{liability}"
    );
    let entries = harness.get(&format!("{path}/entries?tenant=journey")).await.json();
    assert_eq!(entries["data"][0]["operation"], "reverse");
    let compared = harness.operator("POST", "/v1/what-if?tenant=journey", &present(&harness).await).await;
    let same: Value = serde_json::from_str(compared.text().lines().last().unwrap()).unwrap();
    assert_eq!(same["report"]["same"], true, "{same}");
    harness.stop().await;
}

async fn present(harness: &Harness) -> String {
    harness.get("/v1/catalogue?tenant=journey").await.json()["catalogue"].to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_reversed_is_told() {
    let (harness, path, deposit, _) = paid().await;
    let why = json!({ "reason": "x" });
    let reverse = |seq: &str| format!("/v1/operations/{seq}/reverse");
    let adjusted = json!({ "direction": "credit", "amount": 1, "reason": "x" });
    let adjusted =
        ask(&harness, &format!("{path}/wallets/0/adjustments"), "a", adjusted).await.json()["seq"].to_string();
    for (key, seq, expected) in [
        ("1", adjusted.as_str(), "422 operation_not_reversible -"),
        ("2", "4", "422 operation_not_reversible -"),
        ("3", "1", "404 operation_not_found -"),
        ("4", "999", "404 operation_not_found -"),
        ("5", "0", "404 operation_not_found -"),
        ("6", "x", "404 operation_not_found -"),
    ] {
        assert_eq!(ask(&harness, &reverse(seq), key, why.clone()).await.problem(), expected, "{seq}");
    }
    let deposit = deposit.to_string();
    for (key, body, expected) in [
        ("7", json!({}), "400 field_missing /reason"),
        ("8", json!({ "reason": "" }), "400 field_invalid /reason"),
        ("9", json!({ "reason": "x", "amount": 1 }), "400 field_unknown /amount"),
    ] {
        assert_eq!(ask(&harness, &reverse(&deposit), key, body.clone()).await.problem(), expected, "{body}");
    }
    let refused = as_partner(&harness, &reverse(&deposit), "10", why.clone()).await;
    assert_eq!(refused.problem(), "403 role_insufficient -");
    // Another tenant's operation is not there.
    let mut other = support::sample();
    other.tenant.slug = "other".to_owned();
    other.partners.iter_mut().for_each(|partner| partner.api_key = None);
    support::apply(&harness.engine, &other).await;
    let token = format!("Bearer {TOKEN}");
    let headers = [("Authorization", token.as_str()), ("Content-Type", "application/json"), ("Idempotency-Key", "k")];
    let path = format!("{}?tenant=other", reverse(&deposit));
    let refused = harness.call("POST", &path, &headers, why.to_string().as_bytes()).await;
    assert_eq!(refused.problem(), "404 operation_not_found -");
    harness.stop().await;
}
