//! Operations on a customer's accounts over HTTP: what they answer, what is remembered of them, and bad input.

use crate::support;
use crate::support::{Harness, KEY, Reply, TOKEN, every_kind_of_rule};
use serde_json::{Value, json};

/// Calls as the operator, under a key if there is one.
async fn ask(harness: &Harness, method: &str, path: &str, key: Option<&str>, body: &Value) -> Reply {
    let token = format!("Bearer {TOKEN}");
    let mut headers = vec![("Authorization", token.as_str()), ("Content-Type", "application/json")];
    headers.extend(key.map(|key| ("Idempotency-Key", key)));
    let separator = if path.contains('?') { '&' } else { '?' };
    let path = format!("{path}{separator}tenant=journey");
    let text = if body.is_null() { String::new() } else { body.to_string() };
    harness.call(method, &path, &headers, text.as_bytes()).await
}

async fn post(harness: &Harness, path: &str, key: &str, body: Value) -> Reply {
    ask(harness, "POST", path, Some(key), &body).await
}

/// Creates a customer, and returns the path of its accounts.
async fn customer(harness: &Harness, reference: &str) -> String {
    let created = ask(harness, "POST", "/v1/customers", None, &json!({ "ref": reference })).await;
    assert_eq!(created.status, 201, "{}", created.text());
    format!("/v1/customers/{}", created.json()["customer"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_is_created_with_a_name_of_its_own() {
    let harness = Harness::start().await;
    let path = customer(&harness, "C1").await;
    let id = path.rsplit_once('/').unwrap().1.to_owned();
    let again = ask(&harness, "POST", "/v1/customers", None, &json!({ "ref": "C1" })).await;
    assert_eq!((again.status, again.json()), (200, json!({ "customer": id, "changed": false })));
    let shown = ask(&harness, "GET", &path, None, &Value::Null).await.json();
    assert_eq!((&shown["ref"], &shown["purchases"], &shown["balance"]), (&json!("C1"), &json!(0), &json!(0)));
    // The purchase finds the customer that was created.
    let bought = harness.post(&support::purchase("P-1", 1_000, 1, 1)).await.json();
    assert_eq!(bought["customer"], json!(id));
    // A partner may create too, within its own tenant.
    let body = br#"{"email":"Ann@Example.id"}"#;
    let headers = [("X-Api-Key", KEY), ("Content-Type", "application/json")];
    let by_partner = harness.call("POST", "/v1/customers", &headers, body).await;
    assert_eq!((by_partner.status, &by_partner.json()["by"]), (201, &json!("grocer")));
    let found = harness.get("/v1/customers?tenant=journey&email=ann@example.id").await.json();
    assert_eq!(found["id"], by_partner.json()["customer"]);
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wallets_and_money() {
    let harness = Harness::start().await;
    let path = customer(&harness, "C1").await;
    let opened = post(&harness, &format!("{path}/wallets"), "w", json!({ "name": "Tabungan" })).await;
    assert_eq!(opened.status, 201, "{}", opened.text());
    assert_eq!(opened.json()["effects"], json!([{ "type": "wallet_opened", "wallet": 1 }]));
    assert!(!opened.text().contains("Tabungan"), "the name is with the profiles, not in the ledger");

    let deposits = format!("{path}/wallets/1/deposits");
    let deposited = post(&harness, &deposits, "d", json!({ "amount": "50000", "reference": "BCA 42" })).await;
    let result = deposited.json();
    assert_eq!(deposited.status, 201, "{result}");
    assert_eq!(result["operation"], json!({ "type": "deposit", "wallet": 1, "amount": 50_000, "reference": "BCA 42" }));
    assert_eq!(result["balances"], json!([{ "wallet": 1, "currency": "IDR", "balance": 50_000 }]));
    let shown = ask(&harness, "GET", &format!("/v1/operations/{}", result["seq"]), None, &Value::Null).await;
    assert_eq!(shown.text(), deposited.text(), "an operation is shown byte for byte");

    let taken = json!({ "direction": "debit", "amount": 20_000, "reason": "sent twice" });
    let taken = post(&harness, &format!("{path}/wallets/1/adjustments"), "a", taken).await.json();
    assert_eq!(
        taken["effects"],
        json!([{
            "type": "wallet_entry", "wallet": 1, "currency": "IDR", "direction": "debit", "amount": 20_000,
            "balance_before": 50_000, "balance_after": 30_000,
        }])
    );
    let wallet = format!("{path}/wallets/1");
    let patch = async |body: Value| ask(&harness, "PATCH", &wallet, None, &body).await;
    let renamed = patch(json!({ "name": "Mobil" })).await;
    assert_eq!(renamed.status, 200, "{}", renamed.text());
    assert_eq!(patch(json!({ "status": "frozen" })).await.status, 200);
    assert_eq!(patch(json!({ "status": "frozen" })).await.json()["changed"], false);
    assert_eq!(post(&harness, &deposits, "d2", json!({ "amount": 1 })).await.problem(), "422 wallet_frozen -");
    let wallets = ask(&harness, "GET", &format!("{path}/wallets"), None, &Value::Null).await.json()["data"].clone();
    let frozen = json!({ "wallet": 1, "name": "Mobil", "status": "frozen", "currency": "IDR", "balance": 30_000, "held": 0, "available": 30_000 });
    assert_eq!(wallets, json!([frozen]));

    assert_eq!(patch(json!({ "status": "active" })).await.status, 200);
    let close = async || ask(&harness, "DELETE", &wallet, None, &Value::Null).await;
    assert_eq!(close().await.problem(), "422 wallet_not_empty -");
    let rest = json!({ "direction": "debit", "amount": 30_000, "reason": "paid out" });
    assert_eq!(post(&harness, &format!("{path}/wallets/1/adjustments"), "a2", rest).await.status, 201);
    assert_eq!((close().await.status, close().await.json()["changed"].clone()), (200, json!(false)));

    let entries = ask(&harness, "GET", &format!("{path}/entries"), None, &Value::Null).await.json()["data"].clone();
    let seen: Vec<(&Value, &Value)> =
        entries.as_array().unwrap().iter().map(|entry| (&entry["operation"], &entry["balance_after"])).collect();
    assert_eq!(
        seen,
        [(&json!("adjust"), &json!(0)), (&json!("adjust"), &json!(30_000)), (&json!("deposit"), &json!(50_000))]
    );
    assert_eq!(entries[2]["against"], json!([{ "account": "cash_clearing", "amount": 50_000 }]));
    let books = harness.get("/v1/trial-balance?tenant=journey").await.json();
    assert!(books.to_string().contains("adjustments"), "{books}");
    harness.stop().await;
}

/// R07 and R13: the same key gets the same bytes, before a restart and after it; a refusal is as sticky as a success.
#[tokio::test(flavor = "multi_thread")]
async fn r07_r13_an_answer_is_remembered_under_its_key() {
    let harness = Harness::start().await;
    let path = customer(&harness, "C1").await;
    let deposits = format!("{path}/wallets/0/deposits");
    let done = post(&harness, &deposits, "\"one\"", json!({ "amount": 700 })).await;
    assert_eq!((done.status, done.header("idempotency-replayed")), (201, None));
    let adjustments = format!("{path}/wallets/0/adjustments");
    let too_much = json!({ "direction": "debit", "amount": 701, "reason": "all of it" });
    let refused = post(&harness, &adjustments, "two", too_much.clone()).await;
    assert_eq!(
        (refused.problem().as_str(), &refused.json()["balance"]),
        ("422 balance_too_small /amount", &json!(700))
    );
    assert_eq!(post(&harness, &deposits, "three", json!({ "amount": 1_000 })).await.status, 201);

    let dir = harness.stop().await;
    let harness = Harness::start_in(dir, 128 * 1024 * 1024, |_| ()).await;
    let again = post(&harness, &deposits, "one", json!({ "amount": "700" })).await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (201, Some("true")));
    assert_eq!(again.text(), done.text(), "quotation marks and the writing of a number do not count");
    let again = post(&harness, &adjustments, "two", too_much).await;
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!((again.status, &again.json()["balance"]), (422, &json!(700)), "there is enough now, but it was refused");
    for (path, body) in [
        (&deposits, json!({ "amount": 701 })),
        (&deposits, json!({ "amount": 700, "reference": "x" })),
        (&adjustments, json!({ "direction": "credit", "amount": 700, "reason": "x" })),
    ] {
        assert_eq!(post(&harness, path, "one", body).await.problem(), "422 idempotency_key_reused -");
    }
    let shown = ask(&harness, "GET", &path, None, &Value::Null).await.json();
    assert_eq!(shown["balance"], 1_700);
    harness.stop().await;
}

/// R08 for money: a key that comes many times at once has one effect.
#[tokio::test(flavor = "multi_thread")]
async fn r08_a_deposit_that_comes_many_times_at_once_is_one() {
    let harness = std::sync::Arc::new(Harness::start().await);
    let path = customer(&harness, "C1").await;
    let deposits = format!("{path}/wallets/0/deposits");
    let mut calls = Vec::new();
    for _ in 0..64 {
        let (harness, deposits) = (std::sync::Arc::clone(&harness), deposits.clone());
        calls.push(tokio::spawn(async move { post(&harness, &deposits, "k", json!({ "amount": 5 })).await }));
    }
    let mut texts = std::collections::BTreeSet::new();
    for call in calls {
        texts.insert(call.await.unwrap().text().to_owned());
    }
    assert_eq!(texts.len(), 1, "{texts:?}");
    assert_eq!(ask(&harness, "GET", &path, None, &Value::Null).await.json()["balance"], 5);
    std::sync::Arc::into_inner(harness).unwrap().stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_tells_and_does_nothing() {
    let harness = Harness::start().await;
    let path = customer(&harness, "C1").await;
    let before = harness.engine.durable();
    let deposits = format!("{path}/wallets/0/deposits?dry_run=true");
    for _ in 0..2 {
        let told = post(&harness, &deposits, "k", json!({ "amount": 5 })).await;
        assert_eq!(told.status, 200);
        assert_eq!((&told.json()["seq"], &told.json()["dry_run"]), (&Value::Null, &json!(true)));
    }
    let refused = post(&harness, &deposits, "k", json!({ "amount": 0 })).await;
    assert_eq!(refused.problem(), "422 amount_not_positive /amount");
    assert_eq!(harness.engine.durable(), before);
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_names_its_place() {
    let harness = Harness::start().await;
    let path = customer(&harness, "C1").await;
    let (wallets, deposits) = (format!("{path}/wallets"), format!("{path}/wallets/0/deposits"));
    let (adjustments, activities) = (format!("{path}/wallets/0/adjustments"), format!("{path}/activities"));
    let long = "x".repeat(129);
    let nobody = "/v1/customers/00000000-0000-8000-8000-000000000000";
    for (path, body, expected) in [
        (&deposits, json!({}), "400 field_missing /amount"),
        (&deposits, json!({ "amount": 1.5 }), "400 field_invalid /amount"),
        (&deposits, json!({ "amount": "1e3" }), "400 field_invalid /amount"),
        (&deposits, json!({ "amount": true }), "400 field_invalid /amount"),
        (&deposits, json!({ "amount": 1, "wallet": 2 }), "400 field_unknown /wallet"),
        (&deposits, json!({ "amount": 1, "reference": long }), "400 field_invalid /reference"),
        (&deposits, json!({ "amount": 1, "reference": "a\nb" }), "400 field_invalid /reference"),
        (&deposits, json!([1]), "400 field_invalid "),
        (&deposits, json!({ "amount": 0 }), "422 amount_not_positive /amount"),
        (&deposits, json!({ "amount": i64::MIN }), "422 amount_not_positive /amount"),
        (&deposits, json!({ "amount": i64::MAX }), "422 amount_too_large /amount"),
        (&deposits, json!({ "amount": 9_007_199_254_740_992_i64 }), "422 amount_too_large /amount"),
        (&deposits, json!({ "amount": u64::MAX }), "400 field_invalid /amount"),
        (&adjustments, json!({ "amount": 1, "reason": "x" }), "400 field_missing /direction"),
        (&adjustments, json!({ "direction": "up", "amount": 1, "reason": "x" }), "400 field_invalid /direction"),
        (&adjustments, json!({ "direction": "debit", "amount": 1, "reason": "" }), "400 field_invalid /reason"),
        (&adjustments, json!({ "direction": "debit", "amount": 1, "reason": "x" }), "422 balance_too_small /amount"),
        (&wallets, json!({ "name": "" }), "400 field_invalid /name"),
        (&wallets, json!({ "name": "x".repeat(65) }), "400 field_invalid /name"),
        (&activities, json!({ "tag": "" }), "400 field_invalid /tag"),
        (&activities, json!({ "tag": "x".repeat(257) }), "400 field_invalid /tag"),
        (&activities, json!({ "tag": "x", "occurred_at": "yesterday" }), "400 field_invalid /occurred_at"),
        (
            &activities,
            json!({ "tag": "x", "occurred_at": "2018-01-03T00:00:00Z" }),
            "422 occurred_in_future /occurred_at",
        ),
        (&format!("{path}/wallets/1/deposits"), json!({ "amount": 1 }), "404 wallet_not_found -"),
        (&format!("{path}/wallets/65536/deposits"), json!({ "amount": 1 }), "404 wallet_not_found -"),
        (&format!("{path}/wallets/-1/deposits"), json!({ "amount": 1 }), "404 wallet_not_found -"),
        (&format!("{nobody}/wallets/0/deposits"), json!({ "amount": 1 }), "404 customer_not_found -"),
        (&"/v1/customers/C1/wallets/0/deposits".to_owned(), json!({ "amount": 1 }), "404 customer_not_found -"),
    ] {
        let key: String = format!("{path} {body}").chars().take(200).collect();
        let refused = post(&harness, path, key.replace(['"', '\\'], "").as_str(), body.clone()).await;
        assert_eq!(refused.problem(), expected, "{path} {body}");
    }
    for (body, expected) in [
        (json!({}), "400 field_invalid "),
        (json!({ "name": "x", "status": "frozen" }), "400 field_invalid "),
        (json!({ "status": "closed" }), "400 field_invalid /status"),
        (json!({ "status": 1 }), "400 field_invalid /status"),
    ] {
        let refused = ask(&harness, "PATCH", &format!("{path}/wallets/0"), None, &body).await;
        assert_eq!(refused.problem(), expected, "{body}");
    }
    let zero = ask(&harness, "DELETE", &format!("{path}/wallets/0"), None, &Value::Null).await;
    assert_eq!(zero.problem(), "422 wallet_is_default -");
    for body in [json!({}), json!({ "ref": "a", "email": "a@b" }), json!({ "email": "a" }), json!({ "ref": "" })] {
        let refused = ask(&harness, "POST", "/v1/customers", None, &body).await;
        assert_eq!(refused.problem(), "400 customer_invalid -", "{body}");
    }
    let before = harness.engine.durable();
    let endless = post(&harness, &format!("{path}/tiers/{}/promote", "x".repeat(65)), "endless", Value::Null).await;
    assert_eq!(endless.problem(), "404 tier_program_not_found -");
    assert_eq!(harness.engine.durable(), before, "no record keeps a name that is too long");
    let unknown = post(&harness, &format!("{path}/tiers/Nobody%27s/promote"), "unknown", Value::Null).await;
    assert_eq!(unknown.problem(), "404 tier_program_not_found -");
    assert_ne!(harness.engine.durable(), before, "a refusal is kept under its key");
    let nowhere = post(&harness, &format!("{path}/tiers/Journey/demote"), "nowhere", Value::Null).await;
    assert_eq!(nowhere.problem(), "422 tier_none -");
    for seq in ["0", "1", "x", "18446744073709551616", "999"] {
        let none = ask(&harness, "GET", &format!("/v1/operations/{seq}"), None, &Value::Null).await;
        assert_eq!(none.problem(), "404 operation_not_found -", "{seq}");
    }
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_asked_for_and_looked_at() {
    let harness = Harness::start().await;
    let path = customer(&harness, "C1").await;
    let deposits = format!("{path}/wallets/0/deposits");
    let one = json!({ "amount": 1 });
    let missing = ask(&harness, "POST", &deposits, None, &one).await;
    assert_eq!(missing.problem(), "400 idempotency_key_missing -");
    for key in ["", "\"\"", "\"a", "a\"b", "\\", &"k".repeat(256), "\u{e9}"] {
        let refused = ask(&harness, "POST", &deposits, Some(key), &one).await;
        assert_eq!(refused.problem(), "400 idempotency_key_invalid -", "{key:?}");
    }
    assert_eq!(post(&harness, &deposits, &"k".repeat(255), one).await.status, 201);
    harness.stop().await;
}

/// What moves money is the operator's; a partner reports, and sees what it did itself and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn a_partner_reports_activities_and_moves_no_money() {
    let mut rules = every_kind_of_rule();
    rules
        .partners
        .push(serde_json::from_value(json!({ "slug": "other", "name": "Other", "api_key": "the-other-key" })).unwrap());
    let harness = Harness::start().await;
    support::apply(&harness.engine, &rules).await;
    let path = customer(&harness, "C1").await;
    let as_partner = async |method: &str, path: &str, key: &str, body: Value| {
        let headers = [("X-Api-Key", key), ("Content-Type", "application/json"), ("Idempotency-Key", "k")];
        harness.call(method, path, &headers, body.to_string().as_bytes()).await
    };
    for (method, own, body) in [
        ("POST", "/wallets", json!({ "name": "x" })),
        ("PATCH", "/wallets/0", json!({ "status": "frozen" })),
        ("DELETE", "/wallets/0", json!({})),
        ("POST", "/wallets/0/deposits", json!({ "amount": 1 })),
        ("POST", "/wallets/0/adjustments", json!({ "direction": "credit", "amount": 1, "reason": "x" })),
        ("POST", "/tiers/Journey/promote", json!({})),
        ("POST", "/tiers/Journey/demote", json!({})),
    ] {
        let refused = as_partner(method, &format!("{path}{own}"), KEY, body).await;
        assert_eq!(refused.problem(), "403 role_insufficient -", "{method} {own}");
    }
    let reported = as_partner("POST", &format!("{path}/activities"), KEY, json!({ "tag": "review" })).await;
    assert_eq!((reported.status, &reported.json()["by"]), (201, &json!("grocer")));
    let shown = format!("/v1/operations/{}", reported.json()["seq"]);
    assert_eq!(harness.call("GET", &shown, &[("X-Api-Key", KEY)], b"").await.status, 200);
    let others = harness.call("GET", &shown, &[("X-Api-Key", "the-other-key")], b"").await;
    assert_eq!(others.problem(), "404 operation_not_found -");
    // The same key of another caller is another key.
    let other = as_partner("POST", &format!("{path}/activities"), "the-other-key", json!({ "tag": "review" })).await;
    assert_eq!((other.status, other.header("idempotency-replayed")), (201, None));
    let elsewhere = format!("{path}/activities?tenant=kezbek");
    assert_eq!(as_partner("POST", &elsewhere, KEY, json!({ "tag": "x" })).await.problem(), "404 tenant_not_found -");
    harness.stop().await;
}

/// Nothing is done to a customer of another tenant, and none of that tenant's operations is shown.
#[tokio::test(flavor = "multi_thread")]
async fn another_tenants_customer_is_unknown() {
    let harness = Harness::start().await;
    let path = customer(&harness, "C1").await;
    let done = post(&harness, &format!("{path}/wallets/0/deposits"), "k", json!({ "amount": 9 })).await.json();
    let mut other = support::sample();
    other.tenant.slug = "other".to_owned();
    other.partners.iter_mut().for_each(|partner| partner.api_key = None);
    support::apply(&harness.engine, &other).await;
    let state = async || {
        let shown = harness.get(&format!("{path}?tenant=journey")).await.json();
        (shown["wallets"].clone(), shown["balance"].clone(), shown["tiers"].clone(), shown["seq"].clone())
    };
    let before = state().await;
    let token = format!("Bearer {TOKEN}");
    for (method, own, body) in [
        ("POST", "/wallets", json!({ "name": "x" })),
        ("PATCH", "/wallets/0", json!({ "status": "frozen" })),
        ("DELETE", "/wallets/0", Value::Null),
        ("POST", "/wallets/0/deposits", json!({ "amount": 9 })),
        ("POST", "/wallets/0/adjustments", json!({ "direction": "credit", "amount": 1, "reason": "x" })),
        ("POST", "/activities", json!({ "tag": "x" })),
        ("POST", "/tiers/Journey/promote", Value::Null),
        ("POST", "/tiers/Journey/demote", Value::Null),
    ] {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let key = format!("{method} {own}");
        let headers = [
            ("Authorization", token.as_str()),
            ("Content-Type", "application/json"),
            ("Idempotency-Key", key.as_str()),
        ];
        let reply = harness.call(method, &format!("{path}{own}?tenant=other"), &headers, text.as_bytes()).await;
        assert_eq!(reply.problem(), "404 customer_not_found -", "{method} {own}");
        let path = format!("{path}{own}?tenant=none");
        let reply = harness.call(method, &path, &headers, text.as_bytes()).await;
        assert_eq!(reply.problem(), "404 tenant_not_found -", "{method} {own}");
    }
    let shown = format!("/v1/operations/{}?tenant=other", done["seq"]);
    assert_eq!(harness.get(&shown).await.problem(), "404 operation_not_found -");
    assert_eq!(state().await, before, "nothing was done");
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_takes_no_operation() {
    let harness = Harness::start().await;
    let path = customer(&harness, "C1").await;
    harness.free_bytes.store(support::FREE_BYTES_MIN - 1, std::sync::atomic::Ordering::SeqCst);
    // The guard looks after each group.
    let _ = harness.post(&support::purchase("P-1", 1_000, 1, 1)).await;
    let deposits = format!("{path}/wallets/0/deposits");
    assert_eq!(post(&harness, &deposits, "k", json!({ "amount": 1 })).await.problem(), "503 read_only -");
    harness.free_bytes.store(u64::MAX, std::sync::atomic::Ordering::SeqCst);
    harness.stop().await;
}
