//! What operators do, and what partners may see of it, over real sockets.

use std::sync::Arc;

use crate::support::{Harness, KEY, purchase, sample};
use serde_json::{Value, json};
use tokio::task::JoinSet;

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_there_are_no_operators() {
    let harness = Harness::start_with(|config| config.operator_token = None).await;
    let reply = harness.get("/v1/catalogue?tenant=journey").await;
    assert_eq!(reply.problem(), "403 operator_access_disabled -");
    assert_eq!(harness.get_as_partner("/v1/catalogue").await.problem(), "403 role_insufficient -");
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_methods_ids_and_pages() {
    let harness = Harness::start().await;
    assert_eq!(harness.get("/v1/nothing").await.problem(), "404 route_unknown -");
    let wrong = harness.operator("DELETE", "/v1/promos/X", "").await;
    assert_eq!(wrong.problem(), "405 method_not_allowed -");
    assert_eq!(wrong.header("allow"), Some("GET, PUT, PATCH"));
    let brought = harness.call("GET", "/healthz", &[("X-Request-Id", "mine-1")], b"").await;
    assert_eq!((brought.text(), brought.header("x-request-id")), (r#"{"status":"ok"}"#, Some("mine-1")));
    let replaced = harness.call("GET", "/readyz", &[("X-Request-Id", "<script>")], b"").await;
    assert_eq!(replaced.header("x-request-id").map(str::len), Some(36));
    let page = harness.call("GET", "/problems/origin_id_conflict", &[], b"").await;
    assert!(page.text().starts_with("origin_id_conflict\n"));
    assert_eq!(harness.call("GET", "/problems/none", &[], b"").await.problem(), "404 code_not_found -");
    let head = harness.call("HEAD", "/healthz", &[], b"").await;
    assert_eq!((head.status, head.text()), (200, ""));
    let engine = harness.engine.clone();
    engine.stop().await.expect("it stops well");
    assert_eq!(harness.call("GET", "/healthz", &[], b"").await.status, 200);
    let gone = harness.call("GET", "/readyz", &[], b"").await;
    assert_eq!(gone.problem(), "503 engine_stopped -");
    assert_eq!(gone.header("retry-after"), Some("1"));
    assert_eq!(harness.post(&purchase("A-1", 1, 1, 1)).await.status, 503);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_from_all_sides() {
    let harness = Harness::start().await;
    // Eight purchases fill BRONZE and lead to SILVER.
    for day in 1..=8 {
        let reply = harness.post(&purchase(&format!("D-{day}"), 200_000, 1, day)).await;
        assert_eq!(reply.status, 201, "{}", reply.text());
    }
    let found = harness.get("/v1/customers?tenant=journey&ref=C1").await.json();
    let id = found["id"].as_str().unwrap().to_owned();
    assert_eq!(found["ref"], "C1");
    assert_eq!((&found["purchases"], &found["balance"]), (&json!(8), &json!(8 * 3_500 + 75_000)));
    assert_eq!(found["tiers"], json!([{ "program": "Journey", "level": "SILVER", "count": 1 }]));
    let seen = harness.get_as_partner(&format!("/v1/customers/{id}")).await.json();
    assert_eq!((seen.get("ref"), &seen["id"]), (None, &found["id"]), "names are for operators");

    let wallets = harness.get_as_partner(&format!("/v1/customers/{id}/wallets")).await.json();
    let wallet = json!({
        "wallet": 0, "status": "active", "currency": "IDR", "balance": 103_000, "held": 0, "available": 103_000,
    });
    assert_eq!(wallets["data"], json!([wallet]));
    let tiers = harness.get(&format!("/v1/customers/{id}/tiers?tenant=journey&limit=3")).await.json();
    assert_eq!((&tiers["tiers"][0]["level"], &tiers["tiers"][0]["count"]), (&json!("SILVER"), &json!(1)));
    assert_eq!(tiers["data"][0]["step"]["remark"], "upgrade");
    assert_eq!(tiers["data"].as_array().unwrap().len(), 3);

    let entries = pages(&harness, &format!("/v1/customers/{id}/entries?tenant=journey&limit=3")).await;
    assert_eq!(entries.len(), 8);
    assert_eq!((&entries[0]["balance_after"], &entries[7]["amount"]), (&json!(103_000), &json!(3_500)));
    assert_eq!(entries[7]["against"], json!([{ "account": "promo_expense/grocer", "amount": 3_500 }]));
    let purchases = pages(&harness, &format!("/v1/customers/{id}/purchases?tenant=journey&limit=5")).await;
    let origins: Vec<&str> = purchases.iter().map(|purchase| purchase["origin_id"].as_str().unwrap()).collect();
    assert_eq!(origins, ["D-8", "D-7", "D-6", "D-5", "D-4", "D-3", "D-2", "D-1"]);

    let first = harness.get(&format!("/v1/customers/{id}/entries?tenant=journey&limit=1")).await.json();
    let cursor = first["next_cursor"].as_str().unwrap();
    let elsewhere = format!("/v1/customers/{id}/purchases?tenant=journey&cursor={cursor}");
    assert_eq!(harness.get(&elsewhere).await.problem(), "400 cursor_invalid -");
    // A position that was made up: the record there is the catalogue, not the customer's.
    let forged = format!("{}{:016x}{}", &cursor[..36], 1, &cursor[52..]);
    let forged = format!("/v1/customers/{id}/entries?tenant=journey&cursor={forged}");
    assert_eq!(harness.get(&forged).await.problem(), "400 cursor_invalid -");
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_ends_within_a_record_that_holds_more_than_fits() {
    let harness = Harness::start().await;
    let mut program = harness.get("/v1/tier-programs?tenant=journey").await.json()["data"][0].clone();
    for name in ["Second", "Third"] {
        program["name"] = json!(name);
        let path = format!("/v1/tier-programs/{name}?tenant=journey");
        assert_eq!(harness.operator("PUT", &path, &program.to_string()).await.status, 200);
    }
    for day in 1..=2 {
        assert_eq!(harness.post(&purchase(&format!("D-{day}"), 1_000, 1, day)).await.status, 201);
    }
    let found = harness.get("/v1/customers?tenant=journey&ref=C1").await.json();
    let path = format!("/v1/customers/{}/tiers?tenant=journey", found["id"].as_str().unwrap());
    let whole = harness.get(&path).await.json()["data"].as_array().unwrap().clone();
    assert_eq!(whole.len(), 6, "three steps of each purchase");
    for limit in 1..=6 {
        let path = format!("{path}&limit={limit}");
        let first = harness.get(&path).await.json();
        assert_eq!(first["data"].as_array().unwrap().len(), limit);
        assert_eq!(first["next_cursor"].is_null(), limit == 6);
        assert_eq!(pages(&harness, &path).await, whole, "limit {limit}");
    }
    harness.stop().await;
}

/// Reads all pages of a list.
async fn pages(harness: &Harness, path: &str) -> Vec<Value> {
    let mut all = Vec::new();
    let mut next = path.to_owned();
    loop {
        let page = harness.get(&next).await.json();
        all.extend(page["data"].as_array().unwrap().iter().cloned());
        let Some(cursor) = page["next_cursor"].as_str() else { return all };
        next = format!("{path}&cursor={cursor}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_404_and_is_not_created() {
    let harness = Harness::start_with(|config| config.limits.min_seq_wait_max = std::time::Duration::ZERO).await;
    let nobody = "/v1/customers/4df5900c-22c4-4373-875d-f1172048e1b4";
    for (path, expected) in [
        (format!("{nobody}?tenant=journey"), "404 customer_not_found -"),
        (format!("{nobody}/entries?tenant=journey"), "404 customer_not_found -"),
        (format!("{nobody}?tenant=other"), "404 tenant_not_found -"),
        (nobody.to_owned(), "400 query_invalid -"),
        ("/v1/customers/C1?tenant=journey".to_owned(), "404 customer_not_found -"),
        ("/v1/customers?tenant=journey&ref=C1".to_owned(), "404 customer_not_found -"),
        ("/v1/customers?tenant=journey".to_owned(), "400 customer_invalid -"),
        ("/v1/customers?tenant=journey&ref=C1&email=a@b".to_owned(), "400 customer_invalid -"),
        ("/v1/purchases/4df5900c-22c4-4373-875d-f1172048e1b4".to_owned(), "404 purchase_not_found -"),
        ("/v1/purchases/x".to_owned(), "404 purchase_not_found -"),
        ("/v1/promos/NONE?tenant=journey".to_owned(), "404 promo_not_found -"),
        ("/v1/promos/%FF?tenant=journey".to_owned(), "400 path_invalid -"),
        ("/v1/catalogue?tenant=journey&version=9".to_owned(), "404 version_not_found -"),
        ("/v1/catalogue?tenant=journey&min_seq=99".to_owned(), "409 position_ahead -"),
        ("/v1/reports/summary?tenant=journey&min_seq=99".to_owned(), "409 position_ahead -"),
    ] {
        assert_eq!(harness.get(&path).await.problem(), expected, "{path}");
    }
    assert_eq!(harness.get("/v1/reports/summary?tenant=journey").await.json()["customers"], 0);
    assert_eq!(harness.get_as_partner("/v1/promos?tenant=other").await.problem(), "404 tenant_not_found -");
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_partner_sees_nothing_of_a_purchase() {
    let harness = Harness::start().await;
    let booked = harness.post(&purchase("A-1", 1_000, 1, 1)).await.json();
    let made = harness.operator("POST", "/v1/partners?tenant=journey", r#"{"slug":"baker","name":"The Baker"}"#).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let key = made.json()["api_key"].as_str().unwrap().to_owned();
    assert_eq!(key.len(), 64);
    let path = format!("/v1/purchases/{}", booked["id"].as_str().unwrap());
    let seen = harness.call("GET", &path, &[("X-Api-Key", &key)], b"").await;
    assert_eq!(seen.problem(), "404 purchase_not_found -");
    assert_eq!(harness.get(&path).await.status, 200);
    // Where the customer stands is the tenant's; what led there is the other partner's.
    let tiers = format!("/v1/customers/{}/tiers", booked["customer"].as_str().unwrap());
    let seen = harness.call("GET", &tiers, &[("X-Api-Key", &key)], b"").await.json();
    assert_eq!((&seen["tiers"][0]["level"], &seen["data"]), (&json!("BRONZE"), &json!([])));
    assert_eq!(harness.get_as_partner(&tiers).await.json()["data"].as_array().map(Vec::len), Some(1));
    let again = harness.operator("POST", "/v1/partners?tenant=journey", r#"{"slug":"baker","name":"B"}"#).await;
    assert_eq!(again.problem(), "409 partner_exists -");
    let taken = format!(r#"{{"slug":"thief","name":"T","api_key":"{KEY}"}}"#);
    assert_eq!(harness.operator("POST", "/v1/partners?tenant=journey", &taken).await.problem(), "409 api_key_taken -");
    let listed = harness.get("/v1/partners?tenant=journey").await;
    assert!(!listed.text().contains(&key) && listed.text().contains("baker"));
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sums_and_the_trial_balance() {
    let harness = Harness::start().await;
    for day in 1..=3 {
        harness.post(&purchase(&format!("D-{day}"), 200_000, 1, day)).await;
    }
    harness.post(&purchase("R", 0, 1, 1)).await;
    let summary = harness.get("/v1/reports/summary?tenant=journey").await.json();
    assert_eq!(
        summary,
        json!({
            "accepted": 3,
            "rejected": { "amount_not_positive": 1 },
            "amount": 600_000,
            "point_transaction": 10_500,
            "point_loyalty": 15_000,
            "point_total": 25_500,
            "customers": 1,
            "promos": [{
                "code": "JOURNEY2017", "quota": 10_000, "used": 3, "reserved": 0, "remaining": 9_997,
                "declined_exhausted": 0,
            }],
            "remarks": {
                "none": 2, "first_transaction": 1, "upgrade": 0, "downgrade": 0, "reset": 0, "maximum": 0,
            },
            "tiers": { "BRONZE": 1, "SILVER": 0, "GOLD": 0 },
            "programs": [{
                "program": "Journey", "policy": "journey", "levels": [
                    { "level": "BRONZE", "customers": 1 }, { "level": "SILVER", "customers": 0 },
                    { "level": "GOLD", "customers": 0 },
                ],
            }],
            "cashback_rules": [],
            "campaigns": [],
            "rewards": { "points": 0, "wallet_credit": 0, "customers": 0, "by_reward": [] },
            "currency": "IDR",
            "as_of": summary["as_of"],
        })
    );
    let taken = harness.operator("POST", "/v1/snapshots", "").await;
    assert_eq!((taken.status, &taken.json()["seq"]), (200, &summary["as_of"]));
    let balance = harness.get("/v1/trial-balance?tenant=journey").await.json();
    assert_eq!(balance["totals"], json!([{ "unit": "IDR", "total": 0 }]));
    let accounts = balance["accounts"].as_array().unwrap();
    let account = |name: &str| accounts.iter().find(|account| account["account"] == name).unwrap();
    assert_eq!((&account("wallets")["debit"], &account("wallets")["credit"]), (&json!(0), &json!(25_500)));
    assert_eq!(account("promo_expense/grocer")["debit"], 10_500);
    assert_eq!(account("loyalty_expense")["debit"], 15_000);
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalogue_there_and_back() {
    let harness = Harness::start().await;
    let shown = harness.get("/v1/catalogue?tenant=journey").await.json();
    assert_eq!(shown["version"], 1);
    assert_eq!(shown["catalogue"]["promos"][0]["starts_at"], "2017-01-01 00:00:00");
    assert!(!shown.to_string().contains("api_key"));
    let put = async |path: &str, body: &Value| harness.operator("PUT", path, &body.to_string()).await;
    let same = put("/v1/catalogue?tenant=journey", &shown["catalogue"]).await.json();
    assert_eq!((&same["changed"], &same["seq"], &same["version"]), (&json!(false), &Value::Null, &json!(1)));

    let mut wanted = shown["catalogue"].clone();
    wanted["promos"][0]["quota"] = json!(1_000_000);
    wanted["tenant"]["name"] = json!("Journey");
    let dry = put("/v1/catalogue?tenant=journey&dry_run=true", &wanted).await.json();
    let expected =
        json!(["tenant journey: name Journey Rewards -> Journey", "promo JOURNEY2017: quota 10000 -> 1000000"]);
    assert_eq!((&dry["changes"], &dry["dry_run"], &dry["seq"]), (&expected, &json!(true), &Value::Null));
    let applied = put("/v1/catalogue?tenant=journey&expected_version=1", &wanted).await.json();
    assert_eq!((&applied["changes"], &applied["version"]), (&expected, &json!(2)));
    assert!(applied["seq"].is_u64());
    assert_eq!(
        applied["warnings"],
        json!([
            "promo JOURNEY2017: quantity 1, amounts from 1000000 meet no band",
            "promo JOURNEY2017: quantity 2, amounts 1 to 499999 meet no band",
            "promo JOURNEY2017: quantity 3, amounts 1 to 1499999 meet no band",
        ])
    );
    let late = put("/v1/catalogue?tenant=journey&expected_version=1", &wanted).await;
    assert_eq!(late.problem(), "409 version_conflict -");

    wanted["promos"][0]["bands"][2]["percent"] = json!(2.3);
    assert_eq!(put("/v1/catalogue?tenant=journey", &wanted).await.problem(), "422 catalogue_invalid -");
    wanted["promos"][0]["bands"][2]["percent"] = json!("230");
    let bad = put("/v1/catalogue?tenant=journey", &wanted).await;
    assert_eq!(bad.json()["place"], "promos[JOURNEY2017].bands[2].percent");
    let typo = json!({ "tenant": shown["catalogue"]["tenant"], "promo": [] });
    assert_eq!(put("/v1/catalogue?tenant=journey", &typo).await.problem(), "422 catalogue_invalid -");
    let gone = json!({ "tenant": shown["catalogue"]["tenant"] });
    let gone = put("/v1/catalogue?tenant=journey", &gone).await;
    assert_eq!(gone.json()["place"], "partners[grocer]");
    let elsewhere = put("/v1/catalogue?tenant=other", &shown["catalogue"]).await;
    assert_eq!(elsewhere.json()["place"], "tenant.slug");
    let old = harness.get("/v1/catalogue?tenant=journey&version=1").await.json();
    assert_eq!(old["catalogue"], shown["catalogue"]);

    // The file and the wire have one shape.
    let file = serde_json::to_value(sample()).unwrap();
    assert_eq!(file["partners"], shown["catalogue"]["partners"]);
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_promo_and_one_programme_at_a_time() {
    let harness = Harness::start().await;
    let promo = json!({
        "code": "FREE 100%", "quota": 5, "starts_at": "2017-01-01 00:00:00", "ends_at": "2017-12-31T23:59:59Z",
        "funded_by": "grocer", "bands": [{ "quantity": 1, "or_more": true, "amount_min": 0, "percent": "100" }],
    });
    let path = "/v1/promos/FREE%20100%25?tenant=journey";
    let made = harness.operator("PUT", path, &promo.to_string()).await.json();
    assert_eq!(made["changes"], json!(["promo FREE 100%: added"]));
    let changed = harness.operator("PATCH", path, r#"{"quota":1,"ends_at":"2018-06-30 23:59:59"}"#).await.json();
    assert_eq!(
        changed["changes"],
        json!([
            "promo FREE 100%: quota 5 -> 1",
            "promo FREE 100%: ends_at 2017-12-31T23:59:59Z -> 2018-06-30T16:59:59Z"
        ])
    );
    for number in 1..=2 {
        let body = purchase(&format!("F-{number}"), 500, 7, 1).replace("JOURNEY2017", "FREE 100%");
        let result = harness.post(&body).await.json();
        match number {
            1 => assert_eq!(result["point_transaction"], 500),
            _ => assert_eq!(
                (&result["declined"][0]["reason"], &result["declined"][0]["quota"]),
                (&json!("quota_exhausted"), &json!(1))
            ),
        }
    }
    let shown = harness.get_as_partner("/v1/promos/FREE%20100%25").await.json();
    assert_eq!((&shown["quota"], &shown["used"], &shown["remaining"]), (&json!(1), &json!(1), &json!(0)));
    let listed = harness.get_as_partner("/v1/promos").await.json();
    assert_eq!((&listed["data"][0]["code"], &listed["data"][0]["used"]), (&json!("FREE 100%"), &json!(1)));
    let none = harness.operator("PATCH", "/v1/promos/NONE?tenant=journey", "{}").await;
    assert_eq!(none.problem(), "404 promo_not_found -");
    let misspelled = harness.operator("PATCH", path, r#"{"qouta":1}"#).await;
    assert_eq!(misspelled.problem(), "422 catalogue_invalid -");

    let mut program = harness.get("/v1/tier-programs?tenant=journey").await.json()["data"][0].clone();
    program["levels"][0]["milestones"][0]["points"] = json!("16000");
    let put = harness.operator("PUT", "/v1/tier-programs/Journey?tenant=journey", &program.to_string()).await.json();
    assert_eq!(put["changes"], json!(["tier programme Journey, level BRONZE: milestone at 3: 15000 -> 16000"]));
    harness.stop().await;
}

/// Makes an array of the members of the object at `pointer`: what a reader by position would take for the object.
fn by_position(document: &Value, pointer: &str) -> String {
    let mut document = document.clone();
    let place = document.pointer_mut(pointer).unwrap();
    *place = place.as_object().unwrap().values().cloned().collect();
    document.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_array_is_no_object_at_any_depth() {
    let harness = Harness::start().await;
    let mut catalogue = harness.get("/v1/catalogue?tenant=journey").await.json()["catalogue"].clone();
    // Whole in every member, so that nothing but the form is wrong.
    catalogue["partners"][0]["api_key"] = json!("one-more-demo-key");
    let (promo, program) = (catalogue["promos"][0].clone(), catalogue["tier_programs"][0].clone());
    let bands = json!({ "quota": 1, "starts_at": null, "ends_at": null, "bands": promo["bands"] });
    let partner = json!({ "slug": "baker", "name": "The Baker", "api_key": null });
    let key = json!({ "api_key": "another-demo-key" });
    for (method, path, document, pointers) in [
        (
            "PUT",
            "/v1/catalogue",
            &catalogue,
            &[
                "",
                "/tenant",
                "/partners/0",
                "/promos/0",
                "/promos/0/bands/1",
                "/tier_programs/0",
                "/tier_programs/0/levels/1",
                "/tier_programs/0/levels/1/milestones/0",
            ][..],
        ),
        ("PUT", "/v1/promos/JOURNEY2017", &promo, &["", "/bands/0"]),
        ("PATCH", "/v1/promos/JOURNEY2017", &bands, &["", "/bands/0"]),
        ("PUT", "/v1/tier-programs/Journey", &program, &["", "/levels/0", "/levels/0/milestones/0"]),
        ("POST", "/v1/partners", &partner, &[""]),
        ("POST", "/v1/partners/grocer/api-keys", &key, &[""]),
    ] {
        let path = format!("{path}?tenant=journey&dry_run=true");
        for pointer in pointers {
            let refused = harness.operator(method, &path, &by_position(document, pointer)).await;
            assert_eq!(refused.problem(), "422 catalogue_invalid -", "{method} {path} {pointer}");
            let detail = refused.json()["detail"].to_string();
            assert!(
                detail.contains("invalid type: sequence, expected an object"),
                "{method} {path} {pointer}: {detail}"
            );
        }
        let taken = harness.operator(method, &path, &document.to_string()).await;
        assert_eq!(taken.status, 200, "{method} {path}: {}", taken.text());
    }
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_that_change_at_once_never_conflict() {
    let harness = Arc::new(Harness::start().await);
    let mut patches = JoinSet::new();
    for quota in 1..=16 {
        let harness = Arc::clone(&harness);
        patches.spawn(async move {
            let path = "/v1/promos/JOURNEY2017?tenant=journey";
            harness.operator("PATCH", path, &json!({ "quota": quota }).to_string()).await
        });
    }
    for reply in patches.join_all().await {
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    let rules = harness.get("/v1/catalogue?tenant=journey").await.json();
    assert_eq!(rules["version"], 17, "each is a version of its own");
    Arc::into_inner(harness).unwrap().stop().await;
}
