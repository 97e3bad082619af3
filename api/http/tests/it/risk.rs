//! Risk rules over HTTP: what is flagged and blocked, the log of it, and who sees it.

use crate::support::{Harness, KEY, Reply, TOKEN, purchase};
use serde_json::{Value, json};

const PATH: &str = "/v1/catalogue?tenant=journey";

/// Dompet Digital Sawit's two thresholds, and no more than two transfers an hour.
async fn shop() -> (Harness, String) {
    let harness = Harness::start().await;
    let mut rules = harness.get(PATH).await.json()["catalogue"].clone();
    rules["risk_rules"] = json!([
        { "name": "Limit > 50jt", "amount_above": 50_000_000, "action": "block" },
        { "name": "Transaksi Besar > 10jt", "amount_above": 10_000_000, "action": "flag" },
        {
            "name": "Two transfers an hour", "operations": ["transfer"], "count_above": 2, "within_seconds": 3_600,
            "action": "block",
        },
    ]);
    let applied = harness.operator("PUT", PATH, &rules.to_string()).await;
    assert_eq!(applied.status, 200, "{}", applied.text());
    assert_eq!(harness.get(PATH).await.json()["catalogue"], rules, "what was applied is shown");
    let created = harness.operator("POST", "/v1/customers?tenant=journey", r#"{"ref":"C1"}"#).await;
    let path = format!("/v1/customers/{}", created.json()["customer"].as_str().unwrap());
    (harness, path)
}

async fn post(harness: &Harness, path: &str, key: &str, body: Value) -> Reply {
    let token = format!("Bearer {TOKEN}");
    let headers = [("Authorization", token.as_str()), ("Content-Type", "application/json"), ("Idempotency-Key", key)];
    let body = if body.is_null() { String::new() } else { body.to_string() };
    harness.call("POST", &format!("{path}?tenant=journey"), &headers, body.as_bytes()).await
}

async fn log(harness: &Harness, query: &str) -> Value {
    let reply = harness.get(&format!("/v1/risk-checks?tenant=journey{query}")).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

fn verdicts(page: &Value) -> Vec<(i64, &str, Option<&str>)> {
    (page["data"].as_array().unwrap().iter())
        .map(|own| (own["amount"].as_i64().unwrap(), own["verdict"].as_str().unwrap(), own["rule"].as_str()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_check_is_in_the_log() {
    let (harness, path) = shop().await;
    let deposits = format!("{path}/wallets/0/deposits");
    let safe = post(&harness, &deposits, "1", json!({ "amount": 10_000_000 })).await;
    assert_eq!(safe.status, 201, "{}", safe.text());
    let flagged = post(&harness, &deposits, "2", json!({ "amount": 10_000_001 })).await;
    assert_eq!(flagged.status, 201);
    assert!(!flagged.text().contains("Besar"), "whoever asks is not told which rule it was");
    let blocked = post(&harness, &deposits, "3", json!({ "amount": 50_000_001 })).await;
    assert_eq!(blocked.problem(), "422 risk_blocked -");
    assert!(!blocked.text().contains("50jt"));
    // A refusal is as sticky as a success.
    let again = post(&harness, &deposits, "3", json!({ "amount": 50_000_001 })).await;
    assert_eq!((again.problem().as_str(), again.header("idempotency-replayed")), ("422 risk_blocked -", Some("true")));

    let all = log(&harness, "").await;
    assert_eq!(
        verdicts(&all),
        [
            (50_000_001, "blocked", Some("Limit > 50jt")),
            (10_000_001, "suspicious", Some("Transaksi Besar > 10jt")),
            (10_000_000, "safe", None),
        ]
    );
    let id = path.rsplit_once('/').unwrap().1;
    assert!(all["data"].as_array().unwrap().iter().all(|own| own["customer"] == id && own["operation"] == "deposit"));
    assert_eq!(all["data"][1]["seq"], flagged.json()["seq"]);
    assert_eq!(all["next_cursor"], Value::Null);
    for (query, count) in [
        ("&verdict=blocked", 1),
        ("&verdict=suspicious", 1),
        ("&verdict=safe", 1),
        (&format!("&customer={id}"), 3),
        ("&customer=00000000-0000-8000-8000-000000000000", 0),
    ] {
        assert_eq!(log(&harness, query).await["data"].as_array().unwrap().len(), count, "{query}");
    }
    // Page by page it is the same.
    let (mut cursor, mut paged) = (String::new(), Vec::new());
    loop {
        let page = log(&harness, &format!("&limit=1{cursor}")).await;
        paged.extend(page["data"].as_array().unwrap().clone());
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(json!(paged), all["data"]);
    harness.stop().await;
}

/// What an operator is done with is hidden from whoever does not ask for it, and there all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_check_is_archived_and_never_gone() {
    let (harness, path) = shop().await;
    let deposits = format!("{path}/wallets/0/deposits");
    let mut checks = Vec::new();
    for (key, amount) in [("1", 1), ("2", 10_000_001), ("3", 50_000_001)] {
        post(&harness, &deposits, key, json!({ "amount": amount })).await;
        checks.push(harness.engine.durable().0);
    }
    let archive = |seq: u64| format!("/v1/risk-checks/{seq}/archive");
    let dry = format!("{}?dry_run=true", archive(checks[1]));
    assert_eq!(harness.operator("POST", &format!("{dry}&tenant=journey"), "").await.status, 400, "a key is needed");
    for seq in &checks[1..] {
        let archived = post(&harness, &archive(*seq), &seq.to_string(), Value::Null).await;
        let result = archived.json();
        assert_eq!(archived.status, 201, "{result}");
        assert_eq!(result["operation"], json!({ "type": "archive_risk_check", "check": seq }));
        assert_eq!(result["effects"], json!([{ "type": "risk_check_archived", "check": seq }]));
        let again = post(&harness, &archive(*seq), &seq.to_string(), Value::Null).await;
        assert_eq!((again.text(), again.header("idempotency-replayed")), (archived.text(), Some("true")));
        let other = post(&harness, &archive(*seq), &format!("other {seq}"), Value::Null).await;
        assert_eq!(other.problem(), "422 risk_check_archived -");
    }
    // Also after a restart.
    let dir = harness.stop().await;
    let harness = Harness::start_in(dir, 128 * 1024 * 1024, |_| ()).await;
    let seqs = |page: &Value| -> Vec<(u64, bool)> {
        let data = page["data"].as_array().unwrap().iter();
        data.map(|own| (own["seq"].as_u64().unwrap(), own["archived"].as_bool().unwrap())).collect()
    };
    assert_eq!(seqs(&log(&harness, "").await), [(checks[0], false)]);
    let all = log(&harness, "&archived=true").await;
    assert_eq!(seqs(&all), [(checks[2], true), (checks[1], true), (checks[0], false)]);
    let first = log(&harness, "&archived=true&limit=1").await;
    let cursor = first["next_cursor"].as_str().unwrap();
    let next = log(&harness, &format!("&archived=true&limit=1&cursor={cursor}")).await;
    assert_eq!(seqs(&next), [(checks[1], true)]);
    let other = harness.get(&format!("/v1/risk-checks?tenant=journey&cursor={cursor}")).await;
    assert_eq!(other.problem(), "400 cursor_invalid -", "a cursor belongs to its question");
    for seq in ["0", "1", "999", "x"] {
        let refused = post(&harness, &format!("/v1/risk-checks/{seq}/archive"), seq, Value::Null).await;
        assert_eq!(refused.problem(), "404 risk_check_not_found -", "{seq}");
    }
    let body = post(&harness, &archive(checks[0]), "b", json!({ "why": 1 })).await;
    assert_eq!(body.problem(), "400 field_unknown /why");
    let headers = [("X-Api-Key", KEY), ("Idempotency-Key", "k")];
    let refused = harness.call("POST", &archive(checks[0]), &headers, b"").await;
    assert_eq!(refused.problem(), "403 role_insufficient -");
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn transfers_within_an_hour_are_counted() {
    let (harness, path) = shop().await;
    let other = harness.operator("POST", "/v1/customers?tenant=journey", r#"{"ref":"C2"}"#).await.json();
    let deposit = post(&harness, &format!("{path}/wallets/0/deposits"), "d", json!({ "amount": 100 })).await;
    assert_eq!(deposit.status, 201);
    let body = json!({ "to": { "id": other["customer"] }, "amount": 1 });
    let transfers = format!("{path}/wallets/0/transfers");
    for key in ["1", "2"] {
        assert_eq!(post(&harness, &transfers, key, body.clone()).await.status, 201);
    }
    assert_eq!(post(&harness, &transfers, "3", body.clone()).await.problem(), "422 risk_blocked -");
    // What the row remembers is there after a restart.
    let dir = harness.stop().await;
    let harness = Harness::start_in(dir, 128 * 1024 * 1024, |_| ()).await;
    assert_eq!(post(&harness, &transfers, "4", body).await.problem(), "422 risk_blocked -");
    let page = log(&harness, "&verdict=blocked").await;
    assert_eq!(verdicts(&page), [(1, "blocked", Some("Two transfers an hour")); 2]);
    harness.stop().await;
}

/// Of all customers: a device that deposits for several, and a partner that holds much.
#[tokio::test(flavor = "multi_thread")]
async fn partners_and_devices_are_counted() {
    let (harness, path) = shop().await;
    let mut rules = harness.get(PATH).await.json()["catalogue"].clone();
    rules["risk_rules"] = json!([
        {
            "name": "Two deposits a device", "operations": ["deposit"], "count_above": 2, "per": "device",
            "within_seconds": 3_600, "action": "block",
        },
        { "name": "100 a partner", "sum_above": 100, "per": "partner", "within_seconds": 3_600, "action": "flag" },
    ]);
    let applied = harness.operator("PUT", PATH, &rules.to_string()).await;
    assert_eq!(applied.status, 200, "{}", applied.text());
    assert_eq!(harness.get(PATH).await.json()["catalogue"], rules, "what was applied is shown");
    let other = harness.operator("POST", "/v1/customers?tenant=journey", r#"{"ref":"C2"}"#).await.json();
    let other = format!("/v1/customers/{}", other["customer"].as_str().unwrap());
    let deposit = |device: &str| json!({ "amount": 500, "device": device });
    for (key, path, device, expected) in [
        ("1", &path, "phone-1", 201),
        ("2", &other, "phone-1", 201),
        ("3", &path, "phone-1", 422),
        ("4", &path, "phone-2", 201),
    ] {
        let reply = post(&harness, &format!("{path}/wallets/0/deposits"), key, deposit(device)).await;
        assert_eq!(reply.status, expected, "{key}: {}", reply.text());
        assert!(!reply.text().contains("phone"), "the name of a device is kept nowhere");
    }
    // The device is part of what is asked.
    let reused = post(&harness, &format!("{path}/wallets/0/deposits"), "1", deposit("phone-3")).await;
    assert_eq!(reused.problem(), "422 idempotency_key_reused -");
    for (key, amount) in [("h1", 60), ("h2", 41)] {
        let headers = [("X-Api-Key", KEY), ("Content-Type", "application/json"), ("Idempotency-Key", key)];
        let body = json!({ "amount": amount }).to_string();
        let placed = harness.call("POST", &format!("{path}/wallets/0/holds"), &headers, body.as_bytes()).await;
        assert_eq!(placed.status, 201, "{}", placed.text());
    }
    // After a restart it goes on.
    let dir = harness.stop().await;
    let harness = Harness::start_in(dir, 128 * 1024 * 1024, |_| ()).await;
    let blocked = post(&harness, &format!("{other}/wallets/0/deposits"), "5", deposit("phone-1")).await;
    assert_eq!(blocked.problem(), "422 risk_blocked -");
    assert_eq!(
        verdicts(&log(&harness, "&limit=4").await),
        [
            (500, "blocked", Some("Two deposits a device")),
            (41, "suspicious", Some("100 a partner")),
            (60, "safe", None),
            (500, "safe", None),
        ]
    );
    for (device, expected) in [(json!(""), "400 field_invalid /device"), (json!(7), "400 field_invalid /device")] {
        let body = json!({ "amount": 1, "device": device });
        let refused = post(&harness, &format!("{path}/wallets/0/deposits"), "6", body).await;
        assert_eq!(refused.problem(), expected);
    }
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_for_operators_and_bad_questions_are_told() {
    let (harness, _) = shop().await;
    let refused = harness.call("GET", "/v1/risk-checks", &[("X-Api-Key", KEY)], b"").await;
    assert_eq!(refused.problem(), "403 role_insufficient -");
    for (query, expected) in [
        ("verdict=fraud", "400 query_invalid -"),
        ("customer=x", "400 query_invalid -"),
        ("limit=0", "400 query_invalid -"),
        ("cursor=x", "400 cursor_invalid -"),
        ("rule=1", "400 query_invalid -"),
    ] {
        let refused = harness.get(&format!("/v1/risk-checks?tenant=journey&{query}")).await;
        assert_eq!(refused.problem(), expected, "{query}");
    }
    let present = harness.get(PATH).await.json()["catalogue"].clone();
    for (rule, place) in [
        (json!({ "name": "R", "action": "flag" }), "risk_rules[R]"),
        (json!({ "name": "R", "amount_above": 1, "within_seconds": 5, "action": "flag" }), "risk_rules[R]"),
        (json!({ "name": "R", "amount_above": 1, "count_above": 5, "action": "flag" }), "risk_rules[R]"),
        (json!({ "name": "R", "count_above": 5, "action": "flag" }), "risk_rules[R]"),
        (json!({ "name": "R", "amount_above": 5, "per": "device", "action": "flag" }), "risk_rules[R]"),
        (json!({ "name": "R", "amount_above": -1, "action": "flag" }), "risk_rules[R].amount_above"),
        (json!({ "name": "R", "sum_above": 1, "within_seconds": 0, "action": "flag" }), "risk_rules[R].within_seconds"),
    ] {
        let mut file = present.clone();
        file["risk_rules"] = json!([rule]);
        let refused = harness.operator("PUT", PATH, &file.to_string()).await;
        assert_eq!((refused.status, &refused.json()["place"]), (422, &json!(place)), "{rule}");
    }
    harness.stop().await;
}

/// Purchases are looked at by rules that name them: what flags is told to operators alone, what blocks refuses the purchase and
/// leaves its origin id free.
#[tokio::test(flavor = "multi_thread")]
async fn purchases_are_flagged_and_blocked() {
    let harness = Harness::start().await;
    let mut rules = harness.get(PATH).await.json()["catalogue"].clone();
    rules["risk_rules"] = json!([
        { "name": "Huge", "operations": ["purchase"], "amount_above": 5_000_000, "action": "block" },
        { "name": "Big", "operations": ["purchase"], "amount_above": 1_000_000 },
        { "name": "Day", "operations": ["purchase"], "sum_above": 1_100_000, "within_seconds": 86_400, "action": "flag" },
        {
            "name": "Shop", "operations": ["purchase"], "count_above": 3, "within_seconds": 86_400, "per": "partner",
            "action": "block",
        },
        { "name": "Wallets", "amount_above": 1, "action": "block" },
    ]);
    let applied = harness.operator("PUT", PATH, &rules.to_string()).await;
    assert_eq!(applied.status, 200, "{}", applied.text());
    rules["risk_rules"][1]["action"] = json!("flag");
    assert_eq!(
        harness.get(PATH).await.json()["catalogue"],
        rules,
        "whoever does not say what a rule of purchases does flags them"
    );

    let safe = harness.post(&purchase("R-1", 1_000_000, 1, 1)).await;
    assert_eq!(safe.status, 201, "{}", safe.text());
    let flagged = harness.post(&purchase("R-2", 1_000_001, 1, 2)).await;
    assert_eq!(flagged.status, 201);
    let blocked = harness.post(&purchase("R-3", 5_000_001, 1, 3)).await;
    assert_eq!(blocked.problem(), "422 risk_blocked -");
    for reply in [&safe, &flagged, &blocked] {
        let text = reply.text();
        assert!(["Huge", "Big", "Day", "suspicious"].iter().all(|word| !text.contains(word)), "{text}");
    }
    let again = harness.post(&purchase("R-3", 5_000_001, 1, 3)).await;
    assert_eq!((again.problem(), again.header("idempotency-replayed")), (blocked.problem(), Some("true")));
    // A dry run says nothing of risk rules: it would find their bounds and leave no check.
    let dry = purchase("R-4", 5_000_001, 1, 3);
    let dry = harness.post_to("/v1/purchases?dry_run=true", "application/json", &[], dry.as_bytes()).await;
    assert_eq!(dry.status, 200, "{}", dry.text());
    let lines = [purchase("R-3", 5_000_001, 1, 3), purchase("R-5", 10, 1, 4), purchase("R-6", 10, 1, 5)].join("\n");
    let answers = harness.stream(&lines).await;
    let said: Vec<_> = answers.iter().map(|own| (own["status"].as_u64(), own["problem"]["code"].as_str())).collect();
    let is_blocked = (Some(422), Some("risk_blocked"));
    assert_eq!(said, [is_blocked, (Some(201), None), is_blocked], "{answers:?}");

    let all = log(&harness, "").await;
    assert_eq!(
        verdicts(&all),
        [
            (10, "blocked", Some("Shop")),
            (10, "suspicious", Some("Day")),
            (5_000_001, "blocked", Some("Huge")),
            (1_000_001, "suspicious", Some("Big")),
            (1_000_000, "safe", None),
        ]
    );
    let customer = &safe.json()["customer"];
    let whose = all["data"].as_array().unwrap();
    assert!(whose.iter().all(|own| own["operation"] == "purchase" && own["customer"] == *customer), "{all}");
    let summary = harness.get("/v1/reports/summary?tenant=journey").await.json();
    assert_eq!(summary["rejected"], json!({ "risk_blocked": 2 }), "{summary}");

    let path = format!("/v1/purchases/{}/explain?tenant=journey", flagged.json()["id"].as_str().unwrap());
    let said = harness.get(&path).await.json();
    let found: Vec<_> = said["risk_rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|own| (own["definition"]["name"].as_str().unwrap(), own["found"].as_i64(), own["strikes"].as_bool()))
        .collect();
    assert_eq!(
        found,
        [
            ("Huge", Some(1_000_001), Some(false)),
            ("Big", Some(1_000_001), Some(true)),
            ("Day", Some(2_000_001), Some(true)),
            ("Shop", None, None),
        ]
    );
    // The rule is changed, and the same purchase is sent again.
    rules["risk_rules"] = json!([]);
    assert_eq!(harness.operator("PUT", PATH, &rules.to_string()).await.status, 200);
    assert_eq!(harness.post(&purchase("R-3", 5_000_001, 1, 3)).await.status, 201);
    harness.stop().await;
}

/// What a rule of purchases cannot do is refused where it is applied.
#[tokio::test(flavor = "multi_thread")]
async fn rules_of_purchases_that_make_no_sense_are_refused() {
    let harness = Harness::start().await;
    let rules = harness.get(PATH).await.json()["catalogue"].clone();
    let both = json!(["hold", "purchase"]);
    for (rule, place) in [
        (json!({ "name": "R", "operations": both, "amount_above": 1, "action": "review" }), "risk_rules[R].action"),
        (json!({ "name": "R", "operations": both, "amount_above": 1 }), "risk_rules[R].action"),
        (json!({ "name": "R", "amount_above": 1 }), "risk_rules[R].action"),
        (
            json!({ "name": "R", "operations": both, "count_above": 1, "within_seconds": 1, "per": "device", "action": "flag" }),
            "risk_rules[R].per",
        ),
    ] {
        let mut rules = rules.clone();
        rules["risk_rules"] = json!([rule]);
        let refused = harness.operator("PUT", PATH, &rules.to_string()).await;
        assert_eq!((refused.status, refused.json()["place"].as_str()), (422, Some(place)), "{}", refused.text());
    }
    harness.stop().await;
}
