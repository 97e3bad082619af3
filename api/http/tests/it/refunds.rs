//! Refunds over HTTP: what they answer, what they do to what is read afterwards, and bad input.

use crate::support;
use crate::support::{Harness, KEY, Reply, apply, every_kind_of_rule, purchase};
use serde_json::{Value, json};

async fn refund(harness: &Harness, body: &Value) -> Reply {
    harness.post_to("/v1/refunds", "application/json", &[], body.to_string().as_bytes()).await
}

fn of_amount(origin_id: &str, refund_id: &str, amount: i64) -> Value {
    json!({ "origin_id": origin_id, "refund_id": refund_id, "amount": amount })
}

/// A purchase with lines, of customer `C1`.
fn basket(origin_id: &str, lines: &[(&str, i64, i64)]) -> String {
    let amount: i64 = lines.iter().map(|(_, _, amount)| amount).sum();
    let lines: Vec<Value> = (lines.iter())
        .map(|(product, quantity, amount)| json!({ "product": product, "quantity": quantity, "amount": amount }))
        .collect();
    let customer = json!({ "ref": "C1" });
    let at = "2017-03-01T10:00:00+07:00";
    json!({
        "origin_id": origin_id, "customer": customer, "amount": amount, "quantity": 1, "occurred_at": at, "lines": lines,
    })
    .to_string()
}

async fn trial_balance_is_zero(harness: &Harness) -> bool {
    let books = harness.get("/v1/trial-balance?tenant=journey").await.json();
    books["totals"].as_array().unwrap().iter().all(|total| total["total"] == json!(0))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purchase_comes_back_in_parts() {
    let harness = Harness::start().await;
    let booked = harness.post(&purchase("P-1", 200_000, 1, 1)).await;
    assert_eq!(booked.json()["point_transaction"], json!(3_500));
    let id = booked.json()["id"].as_str().unwrap().to_owned();

    let dry = harness
        .post_to(
            "/v1/refunds?dry_run=true",
            "application/json",
            &[],
            of_amount("P-1", "R-1", 80_000).to_string().as_bytes(),
        )
        .await;
    assert_eq!((dry.status, &dry.json()["seq"], &dry.json()["dry_run"]), (200, &json!(null), &json!(true)));
    let part = refund(&harness, &of_amount("P-1", "R-1", 80_000)).await;
    let result = part.json();
    assert_eq!((part.status, part.header("idempotency-replayed")), (201, None), "{result}");
    assert_eq!(dry.json()["effects"], result["effects"]);
    assert_eq!(
        result["effects"],
        json!([
            {
                "type": "refund", "amount": 80_000, "remaining": 120_000,
                "clawed_back": [{ "type": "cashback", "promo": "JOURNEY2017", "rule": 1, "points": 1_400 }],
            },
            {
                "type": "wallet_entry", "wallet": 0, "currency": "IDR", "direction": "debit", "amount": 1_400,
                "balance_before": 3_500, "balance_after": 2_100,
            },
        ])
    );
    assert_eq!(
        (&result["operation"]["type"], &result["operation"]["origin_id"], &result["operation"]["amount"]),
        (&json!("refund_purchase"), &json!("P-1"), &json!(80_000))
    );
    // As many bytes again, also with the number in another form.
    let again = refund(&harness, &json!({ "origin_id": "P-1", "refund_id": "R-1", "amount": "80000" })).await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (201, Some("true")));
    assert_eq!(again.text(), part.text());
    let other = refund(&harness, &of_amount("P-1", "R-1", 80_001)).await;
    assert_eq!((other.problem().as_str(), &other.json()["seq"]), ("409 refund_id_conflict -", &result["seq"]));
    let shown = harness.get_as_partner(&format!("/v1/operations/{}", result["seq"])).await;
    assert_eq!(shown.text(), part.text());

    // Below 100,000 the promo pays another share.
    let second = refund(&harness, &of_amount("P-1", "R-2", 70_000)).await.json();
    assert_eq!(second["balances"], json!([{ "wallet": 0, "currency": "IDR", "balance": 600 }]));
    let seen = harness.get_as_partner(&format!("/v1/purchases/{id}")).await.json();
    assert_eq!((&seen["id"], &seen["point_transaction"]), (&json!(id), &json!(3_500)));
    let refunds = &seen["refunds"];
    assert_eq!((&refunds["refunded"], &refunds["remaining"]), (&json!(150_000), &json!(50_000)));
    assert_eq!(refunds["clawed_back"][0]["points"], json!(2_900));
    let ids: Vec<&Value> = refunds["refunds"].as_array().unwrap().iter().map(|own| &own["refund_id"]).collect();
    assert_eq!(ids, [&json!("R-1"), &json!("R-2")]);

    // The rest: the unit of the quota comes back, once.
    let before = harness.get("/v1/promos/JOURNEY2017?tenant=journey").await.json();
    let last = refund(&harness, &of_amount("P-1", "R-3", 50_000)).await.json();
    assert_eq!(last["effects"][0]["unit_returned"], json!("JOURNEY2017"), "{last}");
    let after = harness.get("/v1/promos/JOURNEY2017?tenant=journey").await.json();
    assert_eq!((&before["used"], &after["used"]), (&json!(1), &json!(0)));
    let too_much = refund(&harness, &of_amount("P-1", "R-4", 1)).await;
    assert_eq!(too_much.problem(), "422 refund_exceeds_remainder -");
    assert_eq!((&too_much.json()["amount"], &too_much.json()["remaining"]), (&json!(1), &json!(0)));

    let summary = harness.get("/v1/reports/summary?tenant=journey").await.json();
    assert_eq!(
        (&summary["point_transaction"], &summary["promos"][0]["used"], &summary["refunds"]["point_transaction"]),
        (&json!(3_500), &json!(0), &json!(3_500))
    );
    assert_eq!((&summary["refunds"]["count"], &summary["refunds"]["amount"]), (&json!(3), &json!(200_000)));
    assert!(trial_balance_is_zero(&harness).await);
    let customer = seen["customer"].as_str().unwrap();
    let entries = harness.get(&format!("/v1/customers/{customer}/entries?tenant=journey")).await.json();
    let entry = &entries["data"][0];
    assert_eq!(
        (&entry["direction"], &entry["balance_after"], &entry["purchase"], &entry["refund_id"], &entry["operation"]),
        (&json!("debit"), &json!(0), &json!(id), &json!("R-3"), &json!("refund_purchase"))
    );
    assert_eq!(entry["against"], json!([{ "account": "promo_expense/grocer", "amount": 600 }]));
    let statement = harness.get(&format!("/v1/customers/{customer}/statement?tenant=journey")).await.json();
    let entry = &statement["data"][0];
    assert_eq!((&entry["balance_before"], &entry["balance_after"]), (&json!(600), &json!(0)));
    assert_eq!((&entry["purchase"], &entry["refund_id"]), (&json!(id), &json!("R-3")));
    // What is explained afterwards saw a quota with its unit back.
    let next = harness.post(&purchase("P-2", 200_000, 1, 2)).await.json();
    let explained =
        harness.get(&format!("/v1/purchases/{}/explain?tenant=journey", next["id"].as_str().unwrap())).await;
    assert_eq!(explained.json()["promos"][0]["used_before"], json!(0));
    harness.stop().await;
}

/// R07, R10, R17: after a restart the same gets the same bytes, in parts or at once the ledger is the same one.
#[tokio::test(flavor = "multi_thread")]
async fn r07_r17_a_refund_outlives_a_restart_and_any_split_ends_alike() {
    let mut ends = Vec::new();
    for split in [&[30_000, 50_000, 20_000][..], &[20_000, 30_000, 50_000], &[100_000]] {
        // Segments and snapshots: keys and rows are found in them too.
        let harness = Harness::start_in(tempfile::tempdir().unwrap(), 64 * 1024, |_| ()).await;
        apply(&harness.engine, &every_kind_of_rule()).await;
        let mut bodies = Vec::new();
        assert_eq!(harness.post(&purchase("P-0", 5_000_000, 3, 1)).await.status, 201);
        assert_eq!(harness.post(&purchase("P-1", 800_000, 1, 1)).await.status, 201);
        for (at, amount) in split.iter().enumerate() {
            let booked = refund(&harness, &of_amount("P-1", &format!("R-{at}"), *amount)).await;
            assert_eq!(booked.status, 201, "{}", booked.text());
            bodies.push(booked.text().to_owned());
        }
        let snapshot = harness.operator("POST", "/v1/snapshots", "").await;
        assert_eq!(snapshot.status, 200, "{}", snapshot.text());
        let dir = harness.stop().await;
        let harness = Harness::start_in(dir, 64 * 1024, |_| ()).await;
        for ((at, amount), body) in split.iter().enumerate().zip(&bodies) {
            let again = refund(&harness, &of_amount("P-1", &format!("R-{at}"), *amount)).await;
            assert_eq!((again.text(), again.header("idempotency-replayed")), (body.as_str(), Some("true")));
        }
        let left = refund(&harness, &of_amount("P-1", "R-x", 700_001)).await;
        assert_eq!((left.status, &left.json()["remaining"]), (422, &json!(700_000)));
        let dir = harness.stop().await;
        let scratch = tempfile::tempdir().unwrap();
        ends.push(kembali_engine::verify(dir.path(), scratch.path()).unwrap().digest.to_string());
    }
    assert!(ends.iter().all(|digest| *digest == ends[0]), "{ends:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_basket_comes_back_line_by_line() {
    let harness = Harness::start().await;
    apply(&harness.engine, &every_kind_of_rule()).await;
    let lines = [("FROZEN PIZZA", 2, 100_000), ("SOFT DRINKS", 6, 70_000), ("CHEESE", 1, 333), ("YOGURT", 1, 333)];
    let booked = harness.post(&basket("P-1", &lines)).await;
    assert_eq!(booked.status, 201, "{}", booked.text());
    // 5 % of the pizza, 2 % of 666, and Movie night's 100 points.
    assert_eq!(
        booked.json()["points"],
        json!([{ "kind": "cashback", "balance": 5_013 }, { "kind": "reward", "balance": 100 }])
    );
    let lines = |lines: Value| json!({ "origin_id": "P-1", "refund_id": "R-1", "lines": lines });
    let cheese = json!([{ "product": "CHEESE", "quantity": 1, "amount": 333 }]);
    let part = refund(&harness, &lines(cheese)).await.json();
    assert_eq!(part["points"], json!([{ "kind": "cashback", "balance": 5_007 }]), "6 of 13 come back");
    let reason = json!({
        "origin_id": "P-1", "refund_id": "R-2", "reason": "thawed",
        "lines": [{ "product": "FROZEN PIZZA", "quantity": 1, "amount": 50_000 }],
    });
    let pizza = refund(&harness, &reason).await.json();
    assert_eq!(pizza["operation"]["reason"], json!("thawed"));
    let back = &pizza["effects"][0]["clawed_back"];
    assert_eq!(back[0]["points"], json!(2_500));
    assert_eq!(
        (&back[1]["type"], &back[1]["campaign"], &back[1]["points"]),
        (&json!("reward"), &json!("Movie night"), &json!(100))
    );
    let id = booked.json()["id"].as_str().unwrap().to_owned();
    let seen = harness.get_as_partner(&format!("/v1/purchases/{id}")).await.json();
    assert_eq!(
        seen["refunds"]["remaining_lines"],
        json!([
            { "product": "FROZEN PIZZA", "quantity": 1, "amount": 50_000 },
            { "product": "SOFT DRINKS", "quantity": 6, "amount": 70_000 },
            { "product": "YOGURT", "quantity": 1, "amount": 333 },
        ])
    );
    let part = refund(&harness, &of_amount("P-1", "R-3", 1_000)).await;
    assert_eq!(part.problem(), "422 refund_lines_required /amount");
    assert_eq!(part.json()["remaining"], json!(120_333));
    let rest = refund(&harness, &of_amount("P-1", "R-3", 120_333)).await;
    assert_eq!(rest.status, 201, "{}", rest.text());
    assert!(trial_balance_is_zero(&harness).await);
    let reward = harness.get("/v1/reports/summary?tenant=journey").await.json()["refunds"]["rewards"].clone();
    assert_eq!(reward[0]["sum"], json!(100));
    harness.stop().await;
}

/// A reversal passes a frozen wallet, and what is spent is owed, or is the house's.
#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_that_is_frozen_or_too_empty() {
    for (policy, balance) in [("allow", -400), ("cap_at_zero", 0)] {
        let harness = Harness::start().await;
        let mut file = every_kind_of_rule();
        file.refunds = serde_json::from_value(json!({ "negative_balance": policy })).unwrap();
        apply(&harness.engine, &file).await;
        let booked = harness.post(&purchase("P-1", 200_000, 1, 1)).await.json();
        let wallet = format!("/v1/customers/{}/wallets/0", booked["customer"].as_str().unwrap());
        let token = format!("Bearer {}", support::TOKEN);
        let headers =
            [("Authorization", token.as_str()), ("Content-Type", "application/json"), ("Idempotency-Key", "k")];
        let spent = json!({ "direction": "debit", "amount": 400, "reason": "spent" }).to_string();
        let path = format!("{wallet}/adjustments?tenant=journey");
        assert_eq!(harness.call("POST", &path, &headers, spent.as_bytes()).await.status, 201);
        let frozen = harness.operator("PATCH", &format!("{wallet}?tenant=journey"), r#"{"status":"frozen"}"#).await;
        assert_eq!(frozen.status, 200, "{}", frozen.text());
        let whole = refund(&harness, &of_amount("P-1", "R-1", 200_000)).await;
        assert_eq!(whole.status, 201, "{}", whole.text());
        assert_eq!(whole.json()["balances"][0]["balance"], json!(balance));
        let shortfall = whole.json()["effects"][0]["shortfall"].clone();
        assert_eq!(shortfall, if policy == "allow" { json!(null) } else { json!(400) });
        let books = harness.get("/v1/trial-balance?tenant=journey").await.text().to_owned();
        assert_eq!(books.contains("refund_shortfall"), policy == "cap_at_zero", "{books}");
        assert!(trial_balance_is_zero(&harness).await);
        // What comes in later fills it.
        assert_eq!(
            harness.operator("PATCH", &format!("{wallet}?tenant=journey"), r#"{"status":"active"}"#).await.status,
            200
        );
        let next = harness.post(&purchase("P-2", 200_000, 1, 2)).await.json();
        assert_eq!(next["balances"][0]["balance"], json!(balance + 3_500));
        harness.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recomputed_tier_is_told() {
    let harness = Harness::start().await;
    apply(&harness.engine, &every_kind_of_rule()).await;
    let booked = harness.post(&purchase("P-1", 6_000_000, 1, 1)).await.json();
    assert!(booked.to_string().contains("Silver"), "{booked}");
    let small = refund(&harness, &of_amount("P-1", "R-1", 500_000)).await.json();
    assert!(!small.to_string().contains("tier_change"), "{small}");
    let large = refund(&harness, &of_amount("P-1", "R-2", 1_000_000)).await.json();
    let change = large["effects"].as_array().unwrap().iter().find(|effect| effect["type"] == "tier_change").unwrap();
    assert_eq!(
        (&change["from"], &change["to"], &change["remark"]),
        (&json!("Silver"), &json!("Bronze"), &json!("refund"))
    );
    let customer = booked["customer"].as_str().unwrap();
    let tiers = harness.get(&format!("/v1/customers/{customer}/tiers?tenant=journey")).await.json();
    assert!(tiers["tiers"].to_string().contains("4500000"), "{tiers}");
    assert_eq!(tiers["data"][0]["step"]["remark"], json!("refund"));
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_named() {
    let harness = Harness::start().await;
    assert_eq!(harness.post(&purchase("P-1", 1_000, 1, 1)).await.status, 201);
    assert_eq!(harness.post(&basket("B-1", &[("A", 1, 600), ("B", 1, 400)])).await.status, 201);
    assert_eq!(harness.post(&purchase("P-0", 0, 1, 1)).await.status, 422);
    let with = |more: Value| {
        let mut body = json!({ "origin_id": "P-1", "refund_id": "R-1" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body.to_string()
    };
    let line = |product: &str, quantity: Value, amount: Value| json!({ "lines": [{ "product": product, "quantity": quantity, "amount": amount }], "origin_id": "B-1" });
    let many: Vec<Value> = vec![json!({ "product": "A", "quantity": 0, "amount": 0 }); 1_001];
    let long = "x".repeat(129);
    let cases = [
        ("{".to_owned(), "400 malformed_json -"),
        ("[]".into(), "400 field_invalid "),
        ("{}".into(), "400 field_missing /origin_id"),
        (json!({ "origin_id": "P-1" }).to_string(), "400 field_missing /refund_id"),
        (with(json!({})), "400 field_invalid "),
        (with(json!({ "amount": 1, "lines": [] })), "400 field_invalid "),
        (with(json!({ "amount": null, "lines": null })), "400 field_invalid "),
        (with(json!({ "amount": 1.5 })), "400 field_invalid /amount"),
        (with(json!({ "amount": "1e3" })), "400 field_invalid /amount"),
        (with(json!({ "amount": "9223372036854775808" })), "400 field_invalid /amount"),
        (with(json!({ "amount": 1, "note": "x" })), "400 field_unknown /note"),
        (with(json!({ "amount": 1, "reason": "" })), "400 field_invalid /reason"),
        (with(json!({ "amount": 1, "reason": long })), "400 field_invalid /reason"),
        (with(json!({ "amount": 1, "reason": 7 })), "400 field_invalid /reason"),
        (with(json!({ "amount": 1, "origin_id": "" })), "400 origin_id_invalid /origin_id"),
        (with(json!({ "amount": 1, "origin_id": long })), "400 origin_id_invalid /origin_id"),
        (with(json!({ "amount": 1, "refund_id": "" })), "400 refund_id_invalid /refund_id"),
        (with(json!({ "amount": 1, "refund_id": long })), "400 refund_id_invalid /refund_id"),
        (with(json!({ "amount": 1, "refund_id": "a\u{7}" })), "400 refund_id_invalid /refund_id"),
        (with(json!({ "lines": [{ "product": "A", "amount": 1 }] })), "400 field_missing /lines/0/quantity"),
        (with(json!({ "lines": [7] })), "400 field_invalid /lines/0"),
        (with(line(&"x".repeat(257), json!(1), json!(1))), "400 field_invalid /lines/0/product"),
        (with(json!({ "amount": 1, "origin_id": "P-9" })), "404 purchase_not_found /origin_id"),
        (with(json!({ "amount": 1, "origin_id": "P-0" })), "422 purchase_refused /origin_id"),
        (with(json!({ "amount": 0 })), "422 amount_not_positive -"),
        (with(json!({ "amount": -1 })), "422 amount_not_positive -"),
        (with(json!({ "amount": i64::MIN })), "422 amount_not_positive -"),
        (with(json!({ "amount": i64::MAX })), "422 amount_too_large -"),
        (with(json!({ "amount": 9_007_199_254_740_991_i64 })), "422 refund_exceeds_remainder -"),
        (with(json!({ "amount": 1_001 })), "422 refund_exceeds_remainder -"),
        (
            with(json!({ "lines": [{ "product": "A", "quantity": 1, "amount": 1 }] })),
            "422 refund_line_not_bought /lines/0",
        ),
        (with(json!({ "amount": 999, "origin_id": "B-1" })), "422 refund_lines_required /amount"),
        (with(json!({ "lines": [], "origin_id": "B-1" })), "422 amount_not_positive -"),
        (with(json!({ "lines": many, "origin_id": "B-1" })), "422 lines_too_many /lines"),
        (with(line("A", json!(-1), json!(1))), "422 line_out_of_range /lines/0"),
        (with(line("A", json!(1), json!(-1))), "422 line_out_of_range /lines/0"),
        (with(line("A", json!(1), json!(i64::MAX))), "422 line_out_of_range /lines/0"),
        (with(line("C", json!(1), json!(1))), "422 refund_line_not_bought /lines/0"),
        (with(line("A", json!(2), json!(600))), "422 refund_line_exceeds_remainder /lines/0"),
        (with(line("A", json!(1), json!(601))), "422 refund_line_exceeds_remainder /lines/0"),
    ];
    for (body, wanted) in &cases {
        let reply = harness.post_to("/v1/refunds", "application/json", &[], body.as_bytes()).await;
        assert_eq!(reply.problem(), *wanted, "{body}");
    }
    // Nothing of it occupied the refund's id.
    assert_eq!(refund(&harness, &of_amount("P-1", "R-1", 1_000)).await.status, 201);
    let body = of_amount("P-1", "R-1", 1_000).to_string();
    let by_nobody = harness.call("POST", "/v1/refunds", &[("Content-Type", "application/json")], body.as_bytes()).await;
    assert_eq!(by_nobody.problem(), "401 credentials_missing -");
    let by_operator = harness.operator("POST", "/v1/refunds?tenant=journey", &body).await;
    assert_eq!(by_operator.problem(), "400 field_missing /partner");
    assert_eq!(harness.operator("POST", "/v1/refunds", &body).await.problem(), "400 query_invalid -");
    let text = harness.post_to("/v1/refunds", "text/plain", &[], body.as_bytes()).await;
    assert_eq!(text.problem(), "415 media_type_unsupported -");
    let typo = harness.post_to("/v1/refunds?dryrun=true", "application/json", &[], body.as_bytes()).await;
    assert_eq!(typo.problem(), "400 query_invalid -");
    harness.free_bytes.store(1, std::sync::atomic::Ordering::SeqCst);
    // The guard looks after each group.
    assert_eq!(harness.post(&purchase("P-2", 1_000, 1, 1)).await.status, 201);
    let full = refund(&harness, &of_amount("B-1", "R-1", 1_000)).await;
    assert_eq!(full.problem(), "503 read_only -");
    harness.stop().await;
}

/// Another partner's purchase is not there, although the id is the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_partner_refunds_its_own_purchases_alone() {
    let harness = Harness::start().await;
    let mut file = support::sample();
    file.partners
        .push(serde_json::from_value(json!({ "slug": "other", "name": "Other", "api_key": "other-key-1" })).unwrap());
    apply(&harness.engine, &file).await;
    assert_eq!(harness.post(&purchase("P-1", 1_000, 1, 1)).await.status, 201);
    let body = of_amount("P-1", "R-1", 1_000).to_string();
    let ask = async |key: &str| {
        harness
            .call("POST", "/v1/refunds", &[("X-Api-Key", key), ("Content-Type", "application/json")], body.as_bytes())
            .await
    };
    assert_eq!(ask("other-key-1").await.problem(), "404 purchase_not_found /origin_id");
    let booked = ask(KEY).await;
    assert_eq!(booked.status, 201, "{}", booked.text());
    let path = format!("/v1/operations/{}", booked.json()["seq"]);
    assert_eq!(
        harness.call("GET", &path, &[("X-Api-Key", "other-key-1")], b"").await.problem(),
        "404 operation_not_found -"
    );
    harness.stop().await;
}

/// An operator refunds what a partner has booked, and says whose that is. The partner sees it as its own.
#[tokio::test(flavor = "multi_thread")]
async fn an_operator_refunds_for_a_partner() {
    let harness = Harness::start().await;
    let mut file = support::sample();
    file.partners
        .push(serde_json::from_value(json!({ "slug": "other", "name": "Other", "api_key": "other-key-1" })).unwrap());
    apply(&harness.engine, &file).await;
    assert_eq!(harness.post(&purchase("P-1", 200_000, 1, 1)).await.status, 201);
    let of = |partner: &str| {
        let mut body = of_amount("P-1", "R-1", 80_000);
        body["partner"] = json!(partner);
        body["reason"] = json!("broken on arrival");
        body
    };
    let ask = async |dry_run: &str, partner: &str| {
        let path = format!("/v1/refunds?tenant=journey{dry_run}");
        harness.operator("POST", &path, &of(partner).to_string()).await
    };
    assert_eq!(ask("", "nobody").await.problem(), "404 partner_not_found /partner");
    assert_eq!(ask("", "other").await.problem(), "404 purchase_not_found /origin_id");
    let dry = ask("&dry_run=true", "grocer").await;
    assert_eq!((dry.status, &dry.json()["seq"]), (200, &json!(null)), "{}", dry.text());
    let done = ask("", "grocer").await;
    let result = done.json();
    assert_eq!((done.status, &result["by"]), (201, &json!("operator")), "{result}");
    assert_eq!(dry.json()["effects"], result["effects"]);
    // The partner sees it, and its own request for the same is a repeat; other partners see nothing.
    let path = format!("/v1/operations/{}", result["seq"]);
    assert_eq!(harness.get_as_partner(&path).await.text(), done.text());
    let other = harness.call("GET", &path, &[("X-Api-Key", "other-key-1")], b"").await;
    assert_eq!(other.problem(), "404 operation_not_found -");
    let own = refund(&harness, &of("grocer")).await;
    assert_eq!((own.status, own.header("idempotency-replayed"), own.text()), (201, Some("true"), done.text()));
    let seen = harness.get_as_partner("/v1/events?topics=purchase.refunded").await.json();
    assert_eq!(seen["data"].as_array().unwrap().len(), 1, "{seen}");
    assert_eq!(seen["data"][0]["data"]["refund_id"], json!("R-1"), "{seen}");
    // A partner refunds for no other.
    assert_eq!(refund(&harness, &of("other")).await.problem(), "404 partner_not_found /partner");
    assert!(trial_balance_is_zero(&harness).await);
    harness.stop().await;
}
