//! What the rules have cost: in JSON and CSV the same, and the same as the other sums say.

use crate::support;
use crate::support::{Harness, every_kind_of_rule};
use serde_json::{Value, json};

const PATH: &str = "/v1/reports/costs?tenant=journey";

/// Every kind of cost: a promo, milestones, both cashback rules, a campaign that is completed twice, a reward in money.
async fn with_costs() -> Harness {
    let harness = Harness::start().await;
    let mut file = every_kind_of_rule();
    let mut cash = serde_json::to_value(&file).unwrap();
    cash["rewards"].as_array_mut().unwrap().push(json!({ "name": "Cash, \"now\"", "wallet_credit": 5_000 }));
    cash["campaigns"][0]["rewards"] = json!(["100 points", "Cash, \"now\""]);
    file = serde_json::from_value(cash).unwrap();
    support::apply(&harness.engine, &file).await;
    for number in 1..=4 {
        let line = json!({
            "origin_id": format!("P-{number}"), "customer": { "ref": "ann" }, "amount": 300_000, "quantity": 1,
            "promo_code": "JOURNEY2017", "occurred_at": "2017-03-01T00:00:00Z",
            "lines": [
                { "product": "FROZEN PIZZA", "quantity": 1, "amount": 100_000 * (number % 2) },
                { "product": "SOFT DRINKS", "quantity": 1, "amount": 100_000 },
                { "product": "CHEESE", "quantity": 1, "amount": 200_000 - 100_000 * (number % 2) },
            ],
        });
        assert_eq!(harness.post(&line.to_string()).await.status, 201);
    }
    harness
}

/// Finds rows by what they are of.
fn rows(report: &Value, of: &str) -> Vec<(Value, Value, Value, Value)> {
    let rows = report["data"].as_array().unwrap().iter().filter(|row| row["of"] == of);
    rows.map(|row| (row["name"].clone(), row["unit"].clone(), row["grants"].clone(), row["cost"].clone())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn costs_tell_what_the_other_sums_tell() {
    let harness = with_costs().await;
    let report = harness.get(PATH).await.json();
    let row = |name: Value, unit: &str, grants: Value, cost: i64| (name, json!(unit), grants, json!(cost));
    assert_eq!(rows(&report, "partner"), [row(json!("grocer"), "IDR", Value::Null, 4 * 5_250)]);
    assert_eq!(rows(&report, "promo"), [row(json!("JOURNEY2017"), "IDR", json!(4), 4 * 5_250)]);
    assert_eq!(rows(&report, "milestones"), [row(Value::Null, "IDR", Value::Null, 15_000)]);
    assert_eq!(
        rows(&report, "cashback_rule"),
        [
            row(json!("Dairy 2%"), "points/cashback", json!(4), 2 * 2_000 + 2 * 4_000),
            row(json!("Pizza 5%"), "points/cashback", json!(2), 2 * 5_000),
        ]
    );
    assert_eq!(
        rows(&report, "reward"),
        [
            row(json!("100 points"), "points/reward", json!(2), 200),
            row(json!("Cash, \"now\""), "IDR", json!(2), 10_000)
        ]
    );
    assert_eq!(rows(&report, "campaign"), [(json!("Movie night"), Value::Null, json!(2), Value::Null)]);
    let total: i64 = 4 * 5_250 + 15_000 + 10_000;
    assert_eq!(
        rows(&report, "total"),
        [
            row(Value::Null, "IDR", Value::Null, total),
            row(Value::Null, "points/cashback", Value::Null, 22_000),
            row(Value::Null, "points/reward", Value::Null, 200),
        ]
    );
    // What the customer has is what it cost.
    let ann = harness.get("/v1/customers?tenant=journey&ref=ann").await.json();
    assert_eq!(ann["balance"], total);
    assert_eq!(report["as_of"], ann["as_of"]);
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn csv_has_the_same_rows() {
    let harness = with_costs().await;
    let report = harness.get(PATH).await.json();
    let token = format!("Bearer {}", support::TOKEN);
    let csv = harness.call("GET", PATH, &[("Authorization", &token), ("Accept", "text/csv")], b"").await;
    assert_eq!(csv.header("content-type"), Some("text/csv; charset=utf-8; header=present"));
    assert_eq!(csv.header("vary"), Some("Accept"));
    let text = |value: &Value| match value {
        Value::Null => String::new(),
        Value::String(text) if text.contains([',', '"']) => format!("\"{}\"", text.replace('"', "\"\"")),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let row = |row: &Value| ["of", "id", "name", "unit", "grants", "cost"].map(|member| text(&row[member])).join(",");
    let rows = report["data"].as_array().unwrap().iter().map(row);
    let expected: Vec<String> = ["of,id,name,unit,grants,cost".to_owned()].into_iter().chain(rows).collect();
    assert_eq!(csv.text(), expected.join("\r\n") + "\r\n");
    assert!(csv.text().contains("reward,") && csv.text().contains(",\"Cash, \"\"now\"\"\",IDR,2,10000\r\n"));
    harness.stop().await;
}

/// Points cost what was granted, whatever became of them.
#[tokio::test(flavor = "multi_thread")]
async fn points_that_expire_have_cost_what_they_did() {
    let harness = Harness::start().await;
    let mut file = every_kind_of_rule();
    file.cashback_rules.iter_mut().for_each(|rule| rule.life_days = Some(1));
    support::apply(&harness.engine, &file).await;
    let buy = async |number: u32, day: &str, amount: i64| {
        let line = json!({
            "origin_id": format!("P-{number}"), "customer": { "ref": "ann" }, "amount": amount, "quantity": 1,
            "occurred_at": format!("{day}T00:00:00Z"), "product": "FROZEN PIZZA",
        });
        assert_eq!(harness.post(&line.to_string()).await.status, 201);
        let ann = harness.get("/v1/customers?tenant=journey&ref=ann").await.json();
        let costs = harness.get(PATH).await.json();
        let totals = rows(&costs, "total").into_iter().filter(|row| row.1 == "points/cashback").map(|row| row.3);
        (ann["points"][0]["balance"].clone(), totals.collect::<Vec<_>>())
    };
    assert_eq!(buy(1, "2017-03-01", 100_000).await, (json!(5_000), vec![json!(5_000)]));
    assert_eq!(buy(2, "2017-04-01", 1).await, (json!(0), vec![json!(5_000)]));
    harness.stop().await;
}

/// A rule that is gone keeps its costs, by its id alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_is_gone_keeps_its_costs() {
    let harness = with_costs().await;
    let before = harness.get(PATH).await.json();
    let mut wanted = harness.get("/v1/catalogue?tenant=journey").await.json()["catalogue"].clone();
    for list in ["cashback_rules", "campaigns", "promos"] {
        wanted[list] = json!([]);
    }
    let changed = harness.operator("PUT", "/v1/catalogue?tenant=journey", &wanted.to_string()).await;
    assert_eq!(changed.json()["changed"], true, "{}", changed.text());
    let after = harness.get(PATH).await.json();
    let ids_and_costs = |report: &Value| -> Vec<(Value, Value, Value)> {
        let rows = report["data"].as_array().unwrap().iter();
        rows.map(|row| (row["of"].clone(), row["id"].clone(), row["cost"].clone())).collect()
    };
    assert_eq!(ids_and_costs(&after), ids_and_costs(&before));
    assert!(rows(&after, "cashback_rule").iter().all(|row| row.0.is_null() && row.1.is_null()));
    // Nobody has spent anything at a tenant that is new.
    wanted["tenant"]["slug"] = json!("new");
    harness.operator("PUT", "/v1/catalogue?tenant=new", &wanted.to_string()).await;
    let new = harness.get("/v1/reports/costs?tenant=new").await.json();
    assert_eq!(new["data"], json!([]));
    assert_eq!(harness.get("/v1/reports/costs?tenant=none").await.problem(), "404 tenant_not_found -");
    assert_eq!(harness.get("/v1/reports/costs").await.problem(), "400 query_invalid -");
    harness.stop().await;
}
