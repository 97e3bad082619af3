//! Offers over HTTP: what points are spent on, what is left of it, and bad input.

use crate::support;
use crate::support::{Harness, KEY, Reply, every_kind_of_rule};
use serde_json::{Value, json};

const PATH: &str = "/v1/catalogue?tenant=journey";

/// Every kind of rule, and two offers: a mug for 30 points of cashback, of which there are three, and money at 2 a point.
async fn shop() -> Harness {
    let harness = Harness::start().await;
    support::apply(&harness.engine, &every_kind_of_rule()).await;
    let mut rules = harness.get(PATH).await.json()["catalogue"].clone();
    rules["offers"] = json!([
        { "name": "Mug", "kind": "cashback", "points": 30, "stock": 3, "active": true },
        { "name": "Cash", "kind": "cashback", "points": 1, "wallet_credit": 2, "active": true },
    ]);
    let applied = harness.operator("PUT", PATH, &rules.to_string()).await;
    assert_eq!(applied.status, 200, "{}", applied.text());
    assert_eq!(harness.get(PATH).await.json()["catalogue"], rules, "what was applied is shown");
    harness
}

/// Buys pizza, five percent of which are points, and returns the customer's path.
async fn buy(harness: &Harness, origin_id: &str, customer: &str, amount: i64) -> String {
    let line = json!({ "product": "FROZEN PIZZA", "quantity": 1, "amount": amount });
    let purchase = json!({
        "origin_id": origin_id, "customer": { "ref": customer }, "amount": amount, "quantity": 1,
        "occurred_at": "2017-03-01T03:00:00Z", "lines": [line],
    });
    let booked = harness.post(&purchase.to_string()).await;
    assert_eq!(booked.status, 201, "{}", booked.text());
    format!("/v1/customers/{}", booked.json()["customer"].as_str().unwrap())
}

async fn redeem(harness: &Harness, path: &str, key: &str, body: Value) -> Reply {
    let headers = [("X-Api-Key", KEY), ("Content-Type", "application/json"), ("Idempotency-Key", key)];
    harness.call("POST", &format!("{path}/redemptions"), &headers, body.to_string().as_bytes()).await
}

/// Pending points are there and cannot be spent; a refund takes them; time makes the others ripe.
#[tokio::test(flavor = "multi_thread")]
async fn pending_points_are_shown_and_not_spent() {
    let harness = shop().await;
    let mut rules = harness.get(PATH).await.json()["catalogue"].clone();
    assert_eq!(rules["cashback_rules"][1]["name"], "Pizza 5%");
    rules["cashback_rules"][1]["pending_days"] = json!(7);
    assert_eq!(harness.operator("PUT", PATH, &rules.to_string()).await.status, 200);
    let path = buy(&harness, "O-1", "one", 2_000).await;
    assert_eq!(buy(&harness, "O-2", "one", 400).await, path);
    let points = async || harness.get(&format!("{path}?tenant=journey")).await.json()["points"][0].clone();
    let lot = |points: i64| {
        json!([{
            "source": "Pizza 5%", "matures_at": "2017-03-09T00:00:00Z", "expires_at": null, "points": points,
        }])
    };
    assert_eq!(points().await, json!({ "kind": "cashback", "balance": 120, "available": 0, "lots": lot(120) }));
    let few = redeem(&harness, &path, "few", json!({ "offer": "Mug" })).await;
    assert_eq!((few.problem().as_str(), &few.json()["points"]), ("422 points_too_few -", &json!(0)));
    let back = json!({ "origin_id": "O-2", "refund_id": "R", "amount": 400 });
    let back = harness.post_to("/v1/refunds", "application/json", &[], back.to_string().as_bytes()).await;
    assert_eq!(back.status, 201, "{}", back.text());
    assert_eq!(points().await, json!({ "kind": "cashback", "balance": 100, "available": 0, "lots": lot(100) }));
    let statement = harness.get(&format!("{path}/statement?tenant=journey")).await.json();
    assert_eq!(statement["data"][0]["matures_at"], "2017-03-09T00:00:00Z", "{statement}");
    // Somebody else's purchase says that it is the ninth.
    let later = json!({
        "origin_id": "O-3", "customer": { "ref": "two" }, "amount": 1, "quantity": 1,
        "occurred_at": "2017-03-09T00:00:00Z",
    });
    let later = harness.post(&later.to_string()).await.json();
    assert_eq!(points().await["available"], 100);
    let before = format!("{path}?tenant=journey&at={}", later["seq"].as_u64().unwrap() - 1);
    assert_eq!(harness.get(&before).await.json()["points"][0]["available"], 0, "as of then they were pending");
    let mug = redeem(&harness, &path, "mug", json!({ "offer": "Mug" })).await;
    assert_eq!((mug.status, &mug.json()["points"][0]["balance"]), (201, &json!(70)));
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn points_are_spent_and_the_stock_goes_down() {
    let harness = shop().await;
    let path = buy(&harness, "O-1", "one", 2_000).await;
    let mugs = redeem(&harness, &path, "m", json!({ "offer": "Mug", "quantity": 2 })).await;
    assert_eq!(mugs.status, 201, "{}", mugs.text());
    let result = mugs.json();
    assert_eq!(result["operation"], json!({ "type": "redeem", "offer": "Mug", "quantity": 2 }));
    assert_eq!(result["points"], json!([{ "kind": "cashback", "balance": 40 }]));
    let effect = &result["effects"][0];
    assert_eq!(
        (&effect["type"], &effect["points"], &effect["kind"]),
        (&json!("offer_redeemed"), &json!(60), &json!("cashback"))
    );
    let again = redeem(&harness, &path, "m", json!({ "offer": "Mug", "quantity": 2 })).await;
    assert_eq!((again.text(), again.header("idempotency-replayed")), (mugs.text(), Some("true")));
    let other = redeem(&harness, &path, "m", json!({ "offer": "Mug", "quantity": 1 })).await;
    assert_eq!(other.problem(), "422 idempotency_key_reused -");

    let cash = redeem(&harness, &path, "c", json!({ "offer": "Cash", "quantity": "7" })).await.json();
    assert_eq!(cash["points"], json!([{ "kind": "cashback", "balance": 33 }]));
    assert_eq!(cash["balances"][0]["balance"], 14);
    let few = redeem(&harness, &path, "few", json!({ "offer": "Mug", "quantity": 2 })).await;
    assert_eq!(few.problem(), "422 stock_exhausted -");
    assert_eq!((&few.json()["stock"], &few.json()["redeemed"]), (&json!(3), &json!(2)));
    assert_eq!(redeem(&harness, &path, "one", json!({ "offer": "Mug" })).await.status, 201, "one without a quantity");
    let none = redeem(&harness, &path, "none", json!({ "offer": "Cash", "quantity": 4 })).await;
    assert_eq!(none.problem(), "422 points_too_few -");
    assert_eq!((&none.json()["points"], &none.json()["price"]), (&json!(3), &json!(1)));
    // A refusal is as sticky as a success, though there are points now.
    buy(&harness, "O-2", "one", 2_000).await;
    let sticky = redeem(&harness, &path, "none", json!({ "offer": "Cash", "quantity": 4 })).await;
    assert_eq!(
        (sticky.problem().as_str(), sticky.header("idempotency-replayed")),
        ("422 points_too_few -", Some("true"))
    );

    let offers = harness.get("/v1/offers?tenant=journey").await.json();
    let left: Vec<(&Value, &Value)> =
        offers["data"].as_array().unwrap().iter().map(|own| (&own["redeemed"], &own["remaining"])).collect();
    assert_eq!(left, [(&json!(3), &json!(0)), (&json!(7), &Value::Null)]);
    let books = harness.get("/v1/trial-balance?tenant=journey").await.json();
    assert!(books["totals"].as_array().unwrap().iter().all(|own| own["total"] == 0), "{books}");
    let account = |name: &str| {
        let accounts = books["accounts"].as_array().unwrap();
        let own = accounts.iter().find(|own| own["account"] == name).unwrap();
        (own["debit"].as_i64().unwrap(), own["credit"].as_i64().unwrap())
    };
    assert_eq!((account("points_redeemed"), account("redemption_expense")), ((0, 97), (14, 0)));
    // What was owed, what came and went, what is owed: from the start, and from where the refusal was.
    let from = mugs.json()["seq"].as_u64().unwrap();
    let rolled = harness.get("/v1/reports/liability?tenant=journey").await.json();
    let points = json!({
        "unit": "points/cashback", "opening": 0, "earned": 200, "exchanged": 0, "deposited": 0, "adjusted": 0,
        "clawed_back": 0, "spent": 97, "expired": 0, "in_transit": 0, "closing": 103, "accounts": [
            { "account": "points_issued", "debit": 200, "credit": 0 },
            { "account": "points_redeemed", "debit": 0, "credit": 97 },
        ],
    });
    assert_eq!(rolled["data"][1], points, "{rolled}");
    assert_eq!((&rolled["data"][0]["exchanged"], &rolled["data"][0]["closing"]), (&json!(14), &json!(14)));
    let later = harness.get(&format!("/v1/reports/liability?tenant=journey&from={from}")).await.json();
    let own = &later["data"][1];
    let lines = ["opening", "earned", "spent", "closing"].map(|line| own[line].as_i64().unwrap());
    assert_eq!((lines, &later["from"]), ([40, 100, 37, 103], &json!(from)));
    let token = format!("Bearer {}", support::TOKEN);
    let headers = [("Authorization", token.as_str()), ("Accept", "text/csv")];
    let csv = harness.call("GET", &format!("/v1/reports/liability?tenant=journey&from={from}"), &headers, b"").await;
    let lines: Vec<String> = csv.text().lines().map(str::to_owned).collect();
    assert_eq!(
        lines[0],
        "unit,from,to,opening,earned,exchanged,deposited,adjusted,clawed_back,spent,expired,in_transit,closing"
    );
    assert_eq!(lines[2], format!("points/cashback,{from},{},40,100,0,0,0,0,37,0,0,103", later["to"]));
    for (query, expected) in [
        ("from=2&to=1", "400 query_invalid -"),
        ("from=x", "400 query_invalid -"),
        ("to=99999", "409 position_ahead -"),
        ("at=1", "400 query_invalid -"),
    ] {
        let refused = harness.get(&format!("/v1/reports/liability?tenant=journey&{query}")).await;
        assert_eq!(refused.problem(), expected, "{query}");
    }
    let by_partner = harness.call("GET", "/v1/reports/liability", &[("X-Api-Key", KEY)], b"").await;
    assert_eq!(by_partner.problem(), "403 role_insufficient -");
    let statement = harness.get(&format!("{path}/statement?tenant=journey")).await.json();
    let entry = &statement["data"][1];
    assert_eq!(entry["against"], json!([{ "account": "points_redeemed", "amount": 30 }]), "{statement}");
    harness.stop().await;
}

/// R18 for stocks: whoever asks at once, there are never more units than there were, and none is lost.
#[tokio::test(flavor = "multi_thread")]
async fn r18_a_stock_is_never_oversold() {
    let harness = std::sync::Arc::new(shop().await);
    let mut paths = Vec::new();
    for index in 0..24 {
        paths.push(buy(&harness, &format!("S-{index}"), &format!("c{index}"), 800).await);
    }
    let asked = paths.into_iter().enumerate().map(|(index, path)| {
        let harness = std::sync::Arc::clone(&harness);
        tokio::spawn(
            async move { redeem(&harness, &path, &format!("k{index}"), json!({ "offer": "Mug" })).await.status },
        )
    });
    let asked: Vec<_> = asked.collect();
    let mut statuses = Vec::new();
    for one in asked {
        statuses.push(one.await.unwrap());
    }
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 3);
    assert_eq!(statuses.iter().filter(|status| **status == 422).count(), 21);
    let offers = harness.get("/v1/offers?tenant=journey").await.json();
    assert_eq!((&offers["data"][0]["redeemed"], &offers["data"][0]["remaining"]), (&json!(3), &json!(0)));
    std::sync::Arc::into_inner(harness).unwrap().stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_redemptions() {
    let harness = shop().await;
    let path = buy(&harness, "B-1", "one", 2_000).await;
    let before = harness.engine.durable();
    for (body, expected) in [
        (json!({}), "400 field_missing /offer"),
        (json!({ "offer": 1 }), "400 field_invalid /offer"),
        (json!({ "offer": "Mug", "quantity": 1.5 }), "400 field_invalid /quantity"),
        (json!({ "offer": "Mug", "quantity": "x" }), "400 field_invalid /quantity"),
        (json!({ "offer": "Mug", "points": 1 }), "400 field_unknown /points"),
        (json!({ "offer": "x".repeat(65) }), "404 offer_not_found -"),
        (json!([]), "400 field_invalid "),
    ] {
        assert_eq!(redeem(&harness, &path, "k", body.clone()).await.problem(), expected, "{body}");
    }
    assert_eq!(harness.engine.durable(), before, "nothing of this is written");
    for (index, (body, expected)) in [
        (json!({ "offer": "mug" }), "404 offer_not_found -"),
        (json!({ "offer": "" }), "404 offer_not_found -"),
        (json!({ "offer": "Mug", "quantity": 0 }), "422 quantity_out_of_range /quantity"),
        (json!({ "offer": "Mug", "quantity": -1 }), "422 quantity_out_of_range /quantity"),
        (json!({ "offer": "Cash", "quantity": "9223372036854775807" }), "422 quantity_out_of_range /quantity"),
        (json!({ "offer": "Cash", "quantity": 1_000_000 }), "422 points_too_few -"),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(redeem(&harness, &path, &format!("k{index}"), body.clone()).await.problem(), expected, "{body}");
    }
    let nobody = format!("/v1/customers/{}", uuid_of_nobody());
    assert_eq!(redeem(&harness, &nobody, "n", json!({ "offer": "Mug" })).await.problem(), "404 customer_not_found -");
    let keyless = harness
        .call(
            "POST",
            &format!("{path}/redemptions"),
            &[("X-Api-Key", KEY), ("Content-Type", "application/json")],
            br#"{"offer":"Mug"}"#,
        )
        .await;
    assert_eq!(keyless.problem(), "400 idempotency_key_missing -");
    for (offer, place) in [
        (json!({ "name": "Tea", "kind": "miles", "points": 1 }), "offers[Tea].kind"),
        (json!({ "name": "Tea", "kind": "cashback", "points": 0 }), "offers[Tea].points"),
        (json!({ "name": "Tea", "kind": "cashback", "points": 1, "wallet_credit": 0 }), "offers[Tea].wallet_credit"),
        (json!({ "name": "Tea", "kind": "cashback", "points": 1, "ends_at": "soon" }), "offers[Tea].ends_at"),
    ] {
        let mut rules = harness.get(PATH).await.json()["catalogue"].clone();
        rules["offers"][1] = offer;
        let refused = harness.operator("PUT", PATH, &rules.to_string()).await;
        assert_eq!(
            (refused.problem().as_str(), refused.json()["place"].as_str()),
            ("422 catalogue_invalid -", Some(place))
        );
    }
    harness.stop().await;
}

fn uuid_of_nobody() -> &'static str {
    "00000000-0000-8000-8000-000000000001"
}
