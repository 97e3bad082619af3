//! Reviews over HTTP: what is set aside, the list of it, and what becomes of it, for whoever asked and for operators.

use crate::support;
use crate::support::{Harness, KEY, Reply, TOKEN};
use serde_json::{Value, json};

const RULES: &str = "/v1/catalogue?tenant=journey";

/// What is above 1,000 waits for an operator.
async fn shop() -> (Harness, String) {
    let harness = Harness::start().await;
    let mut rules = harness.get(RULES).await.json()["catalogue"].clone();
    rules["risk_rules"] = json!([{ "name": "Much", "amount_above": 1_000, "action": "review" }]);
    let applied = harness.operator("PUT", RULES, &rules.to_string()).await;
    assert_eq!(applied.status, 200, "{}", applied.text());
    assert_eq!(harness.get(RULES).await.json()["catalogue"], rules, "what was applied is shown");
    let created = harness.operator("POST", "/v1/customers?tenant=journey", r#"{"ref":"C1"}"#).await;
    let path = format!("/v1/customers/{}", created.json()["customer"].as_str().unwrap());
    let given = json!({ "direction": "credit", "amount": 9_000, "reason": "a start" });
    assert_eq!(post(&harness, &format!("{path}/wallets/0/adjustments"), "a", given).await.status, 201);
    (harness, path)
}

async fn post(harness: &Harness, path: &str, key: &str, body: Value) -> Reply {
    let token = format!("Bearer {TOKEN}");
    let headers = [("Authorization", token.as_str()), ("Content-Type", "application/json"), ("Idempotency-Key", key)];
    let body = if body.is_null() { String::new() } else { body.to_string() };
    harness.call("POST", &format!("{path}?tenant=journey"), &headers, body.as_bytes()).await
}

async fn as_partner(harness: &Harness, path: &str, key: &str, body: Value) -> Reply {
    let headers = [("X-Api-Key", KEY), ("Content-Type", "application/json"), ("Idempotency-Key", key)];
    let body = if body.is_null() { String::new() } else { body.to_string() };
    harness.call("POST", path, &headers, body.as_bytes()).await
}

async fn open(harness: &Harness) -> Vec<Value> {
    harness.get("/v1/reviews?tenant=journey").await.json()["data"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_partner_asks_waits_and_is_released() {
    let (harness, path) = shop().await;
    let (holds, hold) = (format!("{path}/wallets/0/holds"), json!({ "amount": 1_001, "expires_in_seconds": 60 }));
    let set_aside = as_partner(&harness, &holds, "h", hold.clone()).await;
    let result = set_aside.json();
    assert_eq!(set_aside.status, 202, "{result}");
    assert_eq!((&result["effects"], &result["balances"]), (&json!([{ "type": "review_opened" }]), &json!([])));
    assert!(!set_aside.text().contains("Much"), "whoever asks is not told which rule it was");
    let again = as_partner(&harness, &holds, "h", hold.clone()).await;
    assert_eq!((again.status, again.text()), (202, set_aside.text()));
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(as_partner(&harness, &format!("{holds}?dry_run=true"), "h2", hold.clone()).await.status, 200);

    let id = path.rsplit_once('/').unwrap().1;
    let listed = open(&harness).await;
    assert_eq!(listed.len(), 1);
    let own = &listed[0];
    assert_eq!((&own["review"], &own["rule"], &own["by"]), (&result["seq"], &json!("Much"), &json!("grocer")));
    assert_eq!((&own["customer"], &own["operation"]), (&json!(id), &result["operation"]));
    let review = result["seq"].as_u64().unwrap();
    let release = format!("/v1/reviews/{review}/release");
    let released = post(&harness, &release, "r", Value::Null).await;
    let done = released.json();
    assert_eq!(released.status, 201, "{done}");
    // It is the partner's hold, as if it were asked now.
    assert_eq!((&done["by"], &done["operation"]), (&json!("grocer"), &result["operation"]));
    assert_eq!(done["effects"][0], json!({ "type": "review_released", "review": review }));
    assert_eq!((&done["effects"][1]["type"], &done["effects"][1]["hold"]), (&json!("hold_placed"), &json!(1)));
    assert_eq!(post(&harness, &release, "r", Value::Null).await.text(), released.text());
    let again = as_partner(&harness, &holds, "h", hold).await;
    assert_eq!((again.status, again.text()), (201, released.text()), "the partner's key leads to what became of it");
    assert_eq!(post(&harness, &release, "r2", Value::Null).await.problem(), "422 review_closed -");
    assert_eq!(open(&harness).await.len(), 0);
    // What was said when it was set aside is still there to read.
    let shown = harness.get(&format!("/v1/operations/{review}?tenant=journey")).await;
    assert_eq!((shown.status, shown.text()), (200, set_aside.text()));
    let settled = as_partner(&harness, &format!("{path}/holds/1/settle"), "s", Value::Null).await;
    assert_eq!(settled.status, 201, "{}", settled.text());
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_rejected_is_refused_for_whoever_asked() {
    let (harness, path) = shop().await;
    let (deposits, much) = (format!("{path}/wallets/0/deposits"), json!({ "amount": 5_000 }));
    let review = post(&harness, &deposits, "d", much.clone()).await.json()["seq"].as_u64().unwrap();
    let reject = format!("/v1/reviews/{review}/reject");
    let rejected = post(&harness, &reject, "r", json!({ "reason": "not theirs" })).await;
    let result = rejected.json();
    assert_eq!(rejected.status, 201, "{result}");
    assert_eq!(result["operation"], json!({ "type": "reject_review", "review": review, "reason": "not theirs" }));
    assert_eq!(result["effects"], json!([{ "type": "review_rejected", "review": review }]));
    let again = post(&harness, &reject, "r", json!({ "reason": "not theirs" })).await;
    assert_eq!((again.status, again.text()), (201, rejected.text()));
    let refused = post(&harness, &deposits, "d", much).await;
    assert_eq!(
        (refused.problem().as_str(), refused.header("idempotency-replayed")),
        ("422 review_rejected -", Some("true"))
    );
    assert_eq!(harness.get(&format!("{path}/wallets?tenant=journey")).await.json()["data"][0]["balance"], 9_000);

    // The log and the list of payments tell of both.
    let log = harness.get("/v1/risk-checks?tenant=journey&verdict=in_review").await.json();
    assert_eq!((&log["data"][0]["seq"], &log["data"][0]["rule"]), (&json!(review), &json!("Much")));
    let payments = harness.get("/v1/payments?tenant=journey").await.json();
    let told: Vec<_> = payments["data"].as_array().unwrap().iter().map(|own| (&own["state"], &own["path"])).collect();
    assert_eq!(
        told,
        [
            (&json!("rejected"), &json!(["rejected"])),
            (&json!("in_review"), &json!(["initiated", "validated", "in_review"])),
        ]
    );
    assert_eq!(payments["data"][0]["review"], review);
    harness.stop().await;
}

/// A transfer of three records is released as one, and is told the same under either key, also where it comes back.
#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_is_released() {
    let (harness, path) = shop().await;
    let other = harness.operator("POST", "/v1/customers?tenant=journey", r#"{"ref":"C2"}"#).await.json();
    let transfers = format!("{path}/wallets/0/transfers");
    for (key, wallet, expected) in [("1", 0, "201"), ("2", 7, "422 target_wallet_not_found /to_wallet")] {
        let body = json!({ "to": { "id": other["customer"] }, "to_wallet": wallet, "amount": 1_500 });
        let set_aside = post(&harness, &transfers, key, body.clone()).await;
        assert_eq!(set_aside.status, 202, "{}", set_aside.text());
        let release = format!("/v1/reviews/{}/release", set_aside.json()["seq"]);
        let said = |reply: &Reply| if reply.status == 201 { "201".to_owned() } else { reply.problem() };
        let released = post(&harness, &release, &format!("r{key}"), Value::Null).await;
        assert_eq!(said(&released), expected);
        let again = post(&harness, &release, &format!("r{key}"), Value::Null).await;
        assert_eq!((said(&again).as_str(), again.header("idempotency-replayed")), (expected, Some("true")));
        assert_eq!(said(&post(&harness, &transfers, key, body).await), expected);
    }
    assert_eq!(harness.get(&format!("{path}/wallets?tenant=journey")).await.json()["data"][0]["balance"], 7_500);
    assert_eq!(open(&harness).await.len(), 0);
    let books = harness.get("/v1/trial-balance?tenant=journey").await.json();
    assert!(books["totals"].as_array().unwrap().iter().all(|own| own["total"] == 0), "{books}");
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reviews_are_there_after_a_restart_page_by_page() {
    let (harness, path) = shop().await;
    for key in 0..5 {
        let body = json!({ "amount": 2_000 + key });
        assert_eq!(post(&harness, &format!("{path}/wallets/0/deposits"), &key.to_string(), body).await.status, 202);
    }
    let listed = open(&harness).await;
    let amounts: Vec<_> = listed.iter().map(|own| own["operation"]["amount"].as_i64().unwrap()).collect();
    assert_eq!(amounts, [2_000, 2_001, 2_002, 2_003, 2_004], "the oldest first");
    let dir = harness.stop().await;
    let harness = Harness::start_in(dir, 128 * 1024 * 1024, |_| ()).await;
    let (mut cursor, mut paged) = (String::new(), Vec::new());
    loop {
        let page = harness.get(&format!("/v1/reviews?tenant=journey&limit=2{cursor}")).await.json();
        paged.extend(page["data"].as_array().unwrap().clone());
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(paged, listed);
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_closed_is_told() {
    let (harness, path) = shop().await;
    let set_aside = post(&harness, &format!("{path}/wallets/0/deposits"), "d", json!({ "amount": 2_000 })).await;
    let review = set_aside.json()["seq"].to_string();
    for verb in ["release", "reject"] {
        let body = if verb == "reject" { json!({ "reason": "x" }) } else { Value::Null };
        for (seq, expected) in [("1", "404"), ("3", "404"), ("0", "404"), ("99", "404"), ("x", "404"), ("-1", "404")] {
            let refused = post(&harness, &format!("/v1/reviews/{seq}/{verb}"), seq, body.clone()).await;
            assert_eq!(refused.problem(), format!("{expected} review_not_found -"), "{verb} {seq}");
        }
        let refused = as_partner(&harness, &format!("/v1/reviews/{review}/{verb}"), "p", body).await;
        assert_eq!(refused.problem(), "403 role_insufficient -");
    }
    for (verb, body, expected) in [
        ("reject", json!({}), "400 field_missing /reason"),
        ("reject", json!({ "reason": "" }), "400 field_invalid /reason"),
        ("reject", json!({ "reason": "x", "why": 1 }), "400 field_unknown /why"),
        ("release", json!({ "amount": 1 }), "400 field_unknown /amount"),
    ] {
        let refused = post(&harness, &format!("/v1/reviews/{review}/{verb}"), "b", body.clone()).await;
        assert_eq!(refused.problem(), expected, "{verb} {body}");
    }
    let refused = harness.call("GET", "/v1/reviews", &[("X-Api-Key", KEY)], b"").await;
    assert_eq!(refused.problem(), "403 role_insufficient -");
    let forged = format!("0207{:032x}{}{:08x}", 0, "f".repeat(16), 0);
    for cursor in ["x", &forged] {
        let refused = harness.get(&format!("/v1/reviews?tenant=journey&cursor={cursor}")).await;
        assert_eq!(refused.problem(), "400 cursor_invalid -");
    }
    // Another tenant's review is not there.
    let mut other = support::sample();
    other.tenant.slug = "other".to_owned();
    other.partners.iter_mut().for_each(|partner| partner.api_key = None);
    support::apply(&harness.engine, &other).await;
    let token = format!("Bearer {TOKEN}");
    let headers = [("Authorization", token.as_str()), ("Idempotency-Key", "k")];
    let refused = harness.call("POST", &format!("/v1/reviews/{review}/release?tenant=other"), &headers, b"").await;
    assert_eq!(refused.problem(), "404 review_not_found -");
    assert_eq!(harness.get("/v1/reviews?tenant=other").await.json()["data"], json!([]));
    harness.stop().await;
}
