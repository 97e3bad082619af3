//! Every kind of rule over HTTP: the file and the wire have one form, a fault names its place, a customer sees what is
//! there.

use crate::support;
use crate::support::{Harness, every_kind_of_rule};
use serde_json::{Value, json};

const PATH: &str = "/v1/catalogue?tenant=journey";

async fn with_every_kind_of_rule() -> Harness {
    let harness = Harness::start().await;
    support::apply(&harness.engine, &every_kind_of_rule()).await;
    harness
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_shown_can_be_sent_back() {
    let harness = with_every_kind_of_rule().await;
    let shown = harness.get(PATH).await.json()["catalogue"].clone();
    let mut file = serde_json::to_value(every_kind_of_rule()).unwrap();
    // Where levels lead is shown; the file leaves it to their order.
    file["tier_programs"] = shown["tier_programs"].clone();
    // A percentage is shown without the zeros at its end, and products are a set.
    file["promos"] = shown["promos"].clone();
    file["cashback_rules"][0]["products"].as_array_mut().unwrap().sort_by_key(Value::to_string);
    assert_eq!(file, shown);
    let same = harness.operator("PUT", PATH, &shown.to_string()).await.json();
    assert_eq!((&same["changed"], &same["changes"]), (&json!(false), &json!([])));

    let mut wanted = shown.clone();
    wanted["cashback_rules"][0]["rate"] = json!("0.03");
    wanted["campaigns"][1]["completions_max"] = json!(3);
    wanted["rewards"].as_array_mut().unwrap().push(json!({ "name": "Cash", "wallet_credit": 5_000 }));
    let changed = harness.operator("PUT", PATH, &wanted.to_string()).await.json();
    assert_eq!(
        changed["changes"],
        json!([
            "cashback rule Dairy 2%: rate 0.02 -> 0.03",
            "reward Cash: added",
            "campaign Sunday roast: completions_max 2 -> 3",
        ])
    );
    // What another system has an id of is the same rule under another name.
    wanted["fulfillments"][0]["external_id"] = json!("7bed8bf6");
    let changed = harness.operator("PUT", PATH, &wanted.to_string()).await.json();
    assert_eq!(changed["changes"], json!(["fulfillment Pizza for 90,000: external_id none -> 7bed8bf6"]));
    wanted["fulfillments"][0]["name"] = json!("Pizza");
    wanted["campaigns"][0]["fulfillments"][0] = json!("Pizza");
    let changed = harness.operator("PUT", PATH, &wanted.to_string()).await.json();
    let changes = &changed["changes"];
    assert_eq!(changes[0], "fulfillment Pizza: name Pizza for 90,000 -> Pizza", "{changes}");
    assert_eq!(changes.as_array().map(Vec::len), Some(2), "{changes}");
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_names_its_place() {
    let harness = with_every_kind_of_rule().await;
    let shown = harness.get(PATH).await.json()["catalogue"].clone();
    for (pointer, value, place) in [
        ("/cashback_rules/0/rate", json!("2"), "cashback_rules[Dairy 2%].rate"),
        ("/cashback_rules/0/ends_at", json!("soon"), "cashback_rules[Dairy 2%].ends_at"),
        ("/cashback_rules/0/pays", json!("miles"), "cashback_rules[Dairy 2%].pays"),
        ("/fulfillments/0/tag", json!({ "tag": "app" }), "fulfillments[Pizza for 90,000]"),
        ("/fulfillments/0/buy/amount_min", json!(-1), "fulfillments[Pizza for 90,000].buy.amount_min"),
        ("/rewards/0/wallet_credit", json!(1), "rewards[100 points]"),
        ("/rewards/0/points", json!(0), "rewards[100 points]"),
        ("/campaigns/0/rewards/0", json!("200 points"), "campaigns[Movie night].rewards"),
        ("/campaigns/0/completions_max", json!(0), "campaigns[Movie night].completions_max"),
        ("/campaigns/0/budget", json!(0), "campaigns[Movie night].budget"),
        ("/cashback_rules/0/pending_days", json!(0), "cashback_rules[Dairy 2%].pending_days"),
        ("/rewards/0/pending_days", json!(366), "rewards[100 points].pending_days"),
        ("/tier_programs/1/levels/0/count_max", json!(7), "tier_programs[Spend].levels[Bronze]"),
        ("/tier_programs/1/levels/1/spent_min", json!(0), "tier_programs[Spend].levels[Silver]"),
        ("/tier_programs/0/levels/0/spent_min", json!(5), "tier_programs[Journey].levels[BRONZE]"),
        ("/point_kinds/0", json!("miles"), "point_kinds[cashback]"),
    ] {
        let mut wanted = shown.clone();
        let (parent, member) = pointer.rsplit_once('/').unwrap();
        match wanted.pointer_mut(parent).unwrap() {
            Value::Array(all) => all[member.parse::<usize>().unwrap()] = value,
            Value::Object(all) => drop(all.insert(member.to_owned(), value)),
            other => panic!("{other}"),
        }
        let refused = harness.operator("PUT", PATH, &wanted.to_string()).await;
        assert_eq!(refused.problem(), "422 catalogue_invalid -", "{pointer}");
        assert_eq!(refused.json()["place"], place, "{pointer}: {}", refused.text());
    }
    assert_eq!(harness.get(PATH).await.json()["catalogue"], shown);
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_sees_points_campaigns_and_what_was_spent() {
    let harness = with_every_kind_of_rule().await;
    let buy = async |origin_id: &str, lines: Value| {
        let amount: i64 = lines.as_array().unwrap().iter().map(|line| line["amount"].as_i64().unwrap()).sum();
        let purchase = json!({
            "origin_id": origin_id, "customer": { "ref": "one" }, "amount": amount, "quantity": 1,
            "occurred_at": "2017-03-01T03:00:00Z", "lines": lines,
        });
        harness.post(&purchase.to_string()).await
    };
    let line = |product: &str, amount: i64| json!({ "product": product, "quantity": 1, "amount": amount });
    let first = buy("E-1", json!([line("FROZEN PIZZA", 90_000), line("EGGS", 10_050)])).await;
    assert_eq!(first.status, 201);
    // 90,000 x 0.05, and 10,050 x 0.02.
    assert_eq!(first.json()["points"], json!([{ "kind": "cashback", "balance": 4_701 }]));
    let second = buy("E-2", json!([line("SOFT DRINKS", 60_000)])).await.json();
    assert_eq!(second["points"], json!([{ "kind": "reward", "balance": 100 }]));
    let third = buy("E-3", json!([line("BEEF", 200_000)])).await.json();
    assert_eq!(third.get("points"), None, "{third}");

    let id = first.json()["customer"].as_str().unwrap().to_owned();
    let customer = harness.get(&format!("/v1/customers/{id}?tenant=journey")).await.json();
    assert_eq!(customer["tiers"][1], json!({ "program": "Spend", "level": "Bronze", "spent": 360_050 }));
    let lot = |source: &str, points: i64| json!({ "source": source, "expires_at": null, "points": points });
    let points = json!([
        { "kind": "cashback", "balance": 4_701, "available": 4_701, "lots": [lot("Dairy 2%", 201), lot("Pizza 5%", 4_500)] },
        { "kind": "reward", "balance": 100, "available": 100, "lots": [lot("100 points", 100)] },
    ]);
    assert_eq!(customer["points"], points);
    let progress = json!([{ "fulfillment": "Beef for 200,000", "so_far": 200_000, "met": true }]);
    assert_eq!(
        customer["campaigns"],
        json!([
            { "campaign": "Movie night", "completions": 1, "progress": [] },
            { "campaign": "Sunday roast", "completions": 0, "progress": progress },
        ])
    );
    harness.stop().await;
}

/// A budget is of all customers: who comes when it is used up is told so, and reports say how far it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_budget_is_used_up() {
    let harness = with_every_kind_of_rule().await;
    let mut wanted = harness.get(PATH).await.json()["catalogue"].clone();
    wanted["campaigns"][0]["budget"] = json!(2);
    assert_eq!(harness.operator("PUT", PATH, &wanted.to_string()).await.status, 200);
    assert_eq!(harness.get(PATH).await.json()["catalogue"], wanted, "what was applied is shown");
    let buy = async |origin_id: &str| {
        let lines = json!([
            { "product": "FROZEN PIZZA", "quantity": 1, "amount": 90_000 },
            { "product": "SOFT DRINKS", "quantity": 1, "amount": 60_000 },
        ]);
        let purchase = json!({
            "origin_id": origin_id, "customer": { "ref": origin_id }, "amount": 150_000, "quantity": 1,
            "occurred_at": "2017-03-01T03:00:00Z", "lines": lines,
        });
        harness.post(&purchase.to_string()).await.json()
    };
    for origin_id in ["one", "two"] {
        assert_eq!(buy(origin_id).await["points"][1], json!({ "kind": "reward", "balance": 100 }));
    }
    let late = buy("three").await;
    assert_eq!(late["points"], json!([{ "kind": "cashback", "balance": 4_500 }]), "no reward any more");
    let path = format!("/v1/purchases/{}/explain?tenant=journey", late["id"].as_str().unwrap());
    let explained = harness.get(&path).await.json();
    let campaign = &explained["campaigns"][0];
    assert_eq!(
        (&campaign["name"], &campaign["reason"], &campaign["budget"], &campaign["fulfillments"]),
        (&json!("Movie night"), &json!("budget_used"), &json!(2), &json!([]))
    );
    let summary = harness.get("/v1/reports/summary?tenant=journey").await.json();
    assert_eq!(summary["campaigns"][0], json!({ "name": "Movie night", "completions": 2, "budget": 2 }));
    assert_eq!(summary["campaigns"][1], json!({ "name": "Sunday roast", "completions": 0 }));
    harness.stop().await;
}

/// Points live so long and no longer, whether or not anybody wrote it down; then it is written down.
#[tokio::test(flavor = "multi_thread")]
async fn points_expire_for_whoever_looks_and_in_the_books() {
    let harness = with_every_kind_of_rule().await;
    let mut wanted = harness.get(PATH).await.json()["catalogue"].clone();
    for (days, field) in [(json!(0), "cashback_rules"), (json!(36_501), "rewards"), (json!(-1), "rewards")] {
        let mut bad = wanted.clone();
        bad[field][0]["life_days"] = days.clone();
        let refused = harness.operator("PUT", PATH, &bad.to_string()).await;
        assert_eq!(refused.problem(), "422 catalogue_invalid -", "{days}");
    }
    wanted["cashback_rules"][1]["life_days"] = json!(30);
    let applied = harness.operator("PUT", PATH, &wanted.to_string()).await;
    assert_eq!(applied.status, 200, "{}", applied.text());
    assert_eq!(harness.get(PATH).await.json()["catalogue"], wanted, "what was applied is shown");
    let buy = async |origin_id: &str, customer: &str, at: &str| {
        let purchase = json!({
            "origin_id": origin_id, "customer": { "ref": customer }, "amount": 100, "quantity": 1, "occurred_at": at,
            "lines": [
                { "product": "FROZEN PIZZA", "quantity": 1, "amount": 80 },
                { "product": "EGGS", "quantity": 1, "amount": 20 },
            ],
        });
        harness.post(&purchase.to_string()).await.json()
    };
    let bought = buy("L-1", "one", "2017-03-01T03:00:00Z").await;
    let path = format!("/v1/customers/{}?tenant=journey", bought["customer"].as_str().unwrap());
    let lot = |source: &str, expires_at: Value, points: i64| json!({ "source": source, "expires_at": expires_at, "points": points });
    let holds = |balance: i64, lots: Value| json!([{ "kind": "cashback", "balance": balance, "available": balance, "lots": lots }]);
    let pizza = lot("Pizza 5%", json!("2017-04-01T00:00:00Z"), 4);
    assert_eq!(harness.get(&path).await.json()["points"], holds(4, json!([pizza])));
    // They are gone a little less than 31 days from now.
    for (days, expiring) in [(1, 0), (30, 0), (31, 4), (36_500, 4)] {
        let shown = harness.get(&format!("{path}&expiring_within_days={days}")).await.json();
        assert_eq!(shown["points"][0]["expiring"], expiring, "{days}");
        let found = format!("/v1/customers?tenant=journey&ref=one&expiring_within_days={days}");
        assert_eq!(harness.get(&found).await.json(), shown, "{days}");
    }
    for days in ["0", "36501", "-1", "x", "99999999999"] {
        let refused = harness.get(&format!("{path}&expiring_within_days={days}")).await;
        assert_eq!(refused.problem(), "400 query_invalid -", "{days}");
    }
    // Somebody else's purchase is what says that it is April.
    let april = buy("L-2", "two", "2017-04-01T00:00:00Z").await["seq"].as_u64().unwrap();
    assert_eq!(harness.get(&path).await.json()["points"], holds(0, json!([])));
    let before = harness.get(&format!("{path}&at={}", april - 1)).await.json();
    assert_eq!(before["points"], holds(4, json!([pizza])), "the past is what it was");
    let as_of = harness.get(&format!("{path}&at={april}")).await.json();
    assert_eq!(as_of["points"], holds(0, json!([])), "and time had passed");
    let expired = async || {
        let balance = harness.get("/v1/trial-balance?tenant=journey").await.json();
        assert!(balance["totals"].as_array().unwrap().iter().all(|own| own["total"] == 0), "{balance}");
        let accounts = balance["accounts"].as_array().unwrap().clone();
        accounts.into_iter().find(|own| own["account"] == "points_expired")
    };
    let sum = loop {
        if let Some(sum) = expired().await {
            break sum;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(sum, json!({ "account": "points_expired", "unit": "points/cashback", "debit": 0, "credit": 4 }));
    let statement = harness.get(&path.replace("?", "/statement?")).await.json();
    let entry = &statement["data"][0];
    assert_eq!((&entry["direction"], &entry["amount"]), (&json!("debit"), &json!(4)), "{statement}");
    assert_eq!((&entry["balance_before"], &entry["balance_after"]), (&json!(4), &json!(0)));
    assert_eq!(entry["against"], json!([{ "account": "points_expired", "amount": 4 }]));
    assert_eq!((&entry["source"], &entry["purchase"]), (&json!("Pizza 5%"), &Value::Null));
    harness.stop().await;
}
