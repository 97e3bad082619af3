//! What if over HTTP: the stream of lines, what another server comes to under the same rules, and what is refused.

use crate::support;
use crate::support::{Harness, KEY, Reply, TOKEN, apply, every_kind_of_rule, purchase};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

const PATH: &str = "/v1/what-if?tenant=journey";

/// Reads the lines of an answer, and returns the report.
fn report(reply: &Reply) -> Value {
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/x-ndjson")), "{}", reply.text());
    assert!(reply.whole, "it has its end");
    let mut lines: Vec<Value> = reply.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut last = lines.pop().unwrap();
    assert!(!lines.is_empty() && lines.iter().all(|line| line["progress"].is_object()), "{lines:?}");
    last["report"].take()
}

async fn ask(harness: &Harness, path: &str, catalogue: &Value) -> Value {
    report(&harness.operator("POST", path, &catalogue.to_string()).await)
}

/// Lists every figure of a report: where it is, and what it says.
fn figures(place: String, value: &Value, out: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(members) if members.contains_key("difference") && members.contains_key("before") => {
            out.push((place, value.clone()));
        }
        Value::Object(members) => {
            members.iter().for_each(|(name, member)| figures(format!("{place}/{name}"), member, out));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, item)| figures(format!("{place}/{at}"), item, out));
        }
        _ => (),
    }
}

async fn send_sample(harness: &Harness) {
    let packed = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../demo/purchases.ndjson.gz")).unwrap();
    let headers = [("Content-Encoding", "gzip")];
    let reply = harness.post_to("/v1/purchases", "application/x-ndjson", &headers, &packed).await;
    assert!(reply.status == 200 && reply.whole);
}

/// Other rules of every kind.
fn otherwise() -> Value {
    let mut wanted = serde_json::to_value(every_kind_of_rule()).unwrap();
    wanted["promos"][0]["quota"] = json!(1_500);
    wanted["promos"][0]["bands"][0]["percent"] = json!("3.5");
    wanted["tier_programs"][0]["downgrade_after_days"] = json!(14);
    wanted["tier_programs"][0]["levels"][0]["count_max"] = json!(9);
    wanted["tier_programs"][1]["levels"][2]["spent_min"] = json!(9_000_000);
    wanted["cashback_rules"][0]["rate"] = json!("0.035");
    wanted["fulfillments"][0]["buy"]["amount_min"] = json!(40_000);
    wanted["campaigns"][1]["completions_max"] = json!(1);
    wanted["rewards"][0]["points"] = json!(70);
    wanted
}

/// The real purchases of the sample: nothing differs under the rules that hold, and under others it is what a server
/// comes to that had them from the start.
#[tokio::test(flavor = "multi_thread")]
async fn the_sample_under_the_same_and_under_other_rules() {
    let harness = Harness::start().await;
    apply(&harness.engine, &every_kind_of_rule()).await;
    send_sample(&harness).await;
    let summary = harness.get("/v1/reports/summary?tenant=journey").await.json();

    let same = ask(&harness, PATH, &serde_json::to_value(every_kind_of_rule()).unwrap()).await;
    assert_eq!((&same["same"], &same["purchases"], &same["people"]), (&json!(true), &summary["accepted"], &json!([])));
    let mut all = Vec::new();
    figures(String::new(), &same, &mut all);
    assert!(30 < all.len(), "{}", all.len());
    for (place, figure) in all {
        assert!(figure["before"] == figure["after"] && figure["difference"] == 0, "{place} {figure}");
    }
    let refused: u64 = summary["rejected"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(
        same["left_out"],
        json!({ "refused_purchases": refused, "refused_operations": 0, "catalogue_changes": 2, "other_records": 0 })
    );
    let ran_out = &same["promos"][0]["ran_out"];
    assert_eq!(ran_out["before"], ran_out["after"]);

    let differs = ask(&harness, PATH, &otherwise()).await;
    assert_eq!(harness.get("/v1/reports/summary?tenant=journey").await.json(), summary, "nothing was changed");
    harness.stop().await;

    let other = Harness::start().await;
    apply(&other.engine, &serde_json::from_value(otherwise()).unwrap()).await;
    send_sample(&other).await;
    let wanted = other.get("/v1/reports/summary?tenant=journey").await.json();
    other.stop().await;

    assert_eq!(differs["same"], json!(false));
    for member in ["accepted", "amount", "point_transaction", "point_loyalty", "point_total", "customers"] {
        assert_eq!(differs["sums"][member]["before"], summary[member], "{member}");
        assert_eq!(differs["sums"][member]["after"], wanted[member], "{member}");
    }
    for (side, summary) in [("before", &summary), ("after", &wanted)] {
        let promo = &differs["promos"][0];
        assert_eq!(promo["granted"][side], summary["promos"][0]["used"]);
        assert_eq!(promo["quota"][side], summary["promos"][0]["quota"]);
        assert_eq!(promo["declined_exhausted"][side], summary["promos"][0]["declined_exhausted"]);
        for (index, rule) in summary["cashback_rules"].as_array().unwrap().iter().enumerate() {
            let own = &differs["cashback_rules"][index];
            assert_eq!((&own["name"], &own["kind"]), (&rule["name"], &rule["kind"]));
            assert_eq!((&own["grants"][side], &own["sum"][side]), (&rule["grants"], &rule["sum"]));
        }
        for (index, reward) in summary["rewards"]["by_reward"].as_array().unwrap().iter().enumerate() {
            let own = &differs["rewards"][index];
            assert_eq!((&own["name"], &own["sum"][side]), (&reward["name"], &reward["sum"]));
        }
        for (index, campaign) in summary["campaigns"].as_array().unwrap().iter().enumerate() {
            assert_eq!(differs["campaigns"][index]["completions"][side], campaign["completions"]);
        }
        for (at, program) in summary["programs"].as_array().unwrap().iter().enumerate() {
            for (index, level) in program["levels"].as_array().unwrap().iter().enumerate() {
                let own = &differs["programs"][at]["levels"][index];
                assert_eq!((&own["level"], &own["customers"][side]), (&level["level"], &level["customers"]));
            }
        }
        for (remark, count) in summary["remarks"].as_object().unwrap() {
            assert_eq!(&differs["programs"][0]["remarks"][remark][side], count, "{remark}");
        }
        let paid = &differs["costs"][0];
        assert_eq!(
            (&paid["account"], &paid["sum"][side]),
            (&json!("promo_expense/grocer"), &summary["point_transaction"])
        );
    }
    let people = differs["people"].as_array().unwrap();
    assert_eq!(people.iter().map(|own| own["unit"].as_str().unwrap()).collect::<Vec<_>>().len(), 3);
    assert_eq!(people[0]["unit"], "IDR");
    let sum = |side: &str| people[0][side]["sum"].as_i64().unwrap();
    assert_eq!(json!(sum("winners") + sum("losers")), differs["sums"]["point_total"]["difference"]);
    assert_eq!(people[0]["winners"]["largest"].as_array().unwrap().len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_asked() {
    let harness = Harness::start().await;
    for day in 1..=3 {
        assert_eq!(harness.post(&purchase(&format!("A-{day}"), 1_000, 1, day)).await.status, 201);
    }
    let good = serde_json::to_value(support::sample()).unwrap();
    let with = |pointer: &str, value: Value| {
        let mut changed = good.clone();
        *changed.pointer_mut(pointer).unwrap() = value;
        changed.to_string()
    };
    let text = good.to_string();
    for (path, body, expected) in [
        ("/v1/what-if", text.clone(), "400 query_invalid -"),
        ("/v1/what-if?tenant=other", text.clone(), "404 tenant_not_found -"),
        (PATH, String::new(), "400 malformed_json -"),
        (PATH, "{".to_owned(), "400 malformed_json -"),
        (PATH, "[]".to_owned(), "422 catalogue_invalid -"),
        (PATH, with("/tenant/slug", json!("other")), "422 catalogue_invalid -"),
        (PATH, with("/tier_programs", json!([])), "422 catalogue_invalid -"),
        (PATH, with("/partners", json!([])), "422 catalogue_invalid -"),
        (PATH, with("/tenant/currency", json!("USD")), "422 catalogue_invalid -"),
        (PATH, with("/promos/0/quota", json!(9_007_199_254_740_992u64)), "422 catalogue_invalid -"),
        (PATH, with("/promos/0/ends_at", json!("2016-01-01 00:00:00")), "422 catalogue_invalid -"),
        ("/v1/what-if?tenant=journey&from=4&to=3", text.clone(), "422 range_empty -"),
        ("/v1/what-if?tenant=journey&from=5", text.clone(), "422 range_empty -"),
        ("/v1/what-if?tenant=journey&from=18446744073709551615", text.clone(), "422 range_empty -"),
        ("/v1/what-if?tenant=journey&to=0", text.clone(), "422 range_empty -"),
        ("/v1/what-if?tenant=journey&from=9999-12-31T23:59:59Z", text.clone(), "422 range_empty -"),
        ("/v1/what-if?tenant=journey&to=0000-01-01T00:00:00Z", text.clone(), "422 range_empty -"),
        (
            "/v1/what-if?tenant=journey&from=2018-01-02T00:00:00Z&to=2018-01-01T00:00:00Z",
            text.clone(),
            "422 range_empty -",
        ),
        ("/v1/what-if?tenant=journey&from=18446744073709551616", text.clone(), "400 query_invalid -"),
        ("/v1/what-if?tenant=journey&from=-1", text.clone(), "400 query_invalid -"),
        ("/v1/what-if?tenant=journey&from=", text.clone(), "400 query_invalid -"),
        ("/v1/what-if?tenant=journey&to=yesterday", text.clone(), "400 query_invalid -"),
        ("/v1/what-if?tenant=journey&to=2017-03-01", text.clone(), "400 query_invalid -"),
        ("/v1/what-if?tenant=journey&to=2017-02-30T00:00:00Z", text.clone(), "400 query_invalid -"),
        ("/v1/what-if?tenant=journey&to=2017-03-01T00:00:00+07:00", text.clone(), "400 query_invalid -"),
        ("/v1/what-if?tenant=journey&top=1001", text.clone(), "400 query_invalid -"),
        ("/v1/what-if?tenant=journey&top=-1", text.clone(), "400 query_invalid -"),
        ("/v1/what-if?tenant=journey&dry_run=true", text.clone(), "400 query_invalid -"),
    ] {
        let refused = harness.operator("POST", path, &body).await;
        assert_eq!(refused.problem(), expected, "{path} {}", refused.text());
    }
    let place = harness.operator("POST", PATH, &with("/tier_programs", json!([]))).await.json();
    assert_eq!(place["place"], "tier_programs[Journey]");
    let range = harness.operator("POST", &format!("{PATH}&from=5"), &text).await.json();
    assert_eq!((&range["from"], &range["to"], &range["end"]), (&json!(5), &json!(4), &json!(4)));

    let as_partner = [("X-Api-Key", KEY), ("Content-Type", "application/json")];
    let refused = harness.call("POST", PATH, &as_partner, text.as_bytes()).await;
    assert_eq!(refused.problem(), "403 role_insufficient -");
    assert_eq!(harness.call("POST", PATH, &[], text.as_bytes()).await.problem(), "401 operator_token_missing -");
    assert_eq!(harness.get(PATH).await.problem(), "405 method_not_allowed -");

    // And what can: a range by instants of receipt, with a plus that says so.
    let ranged = format!("{PATH}&from=2018-01-01T07:00:00%2B07:00&to=2018-01-01T00:00:01Z&top=0");
    let report = ask(&harness, &ranged, &good).await;
    assert_eq!((&report["from"], &report["to"], &report["purchases"]), (&json!(1), &json!(4), &json!(3)));
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_without_purchases_differs_in_nothing() {
    let harness = Harness::start().await;
    let mut wanted = serde_json::to_value(support::sample()).unwrap();
    wanted["promos"][0]["bands"] = json!([]);
    let report = ask(&harness, PATH, &wanted).await;
    assert_eq!((&report["purchases"], &report["same"]), (&json!(0), &json!(true)));
    harness.stop().await;
}

/// One at a time; a caller that leaves is not waited for.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_one_is_told_to_come_back() {
    let harness = Harness::start().await;
    assert_eq!(harness.post(&purchase("A-1", 1_000, 1, 1)).await.status, 201);
    let text = serde_json::to_string(&support::sample()).unwrap();
    let file = support::sample();
    let request = kembali_engine::WhatIfRequest { draft: file.to_draft().unwrap(), from: None, to: None, largest: 1 };
    // Whoever has it does not listen, so it is not over.
    let first = harness.engine.what_if(request).await.unwrap();
    let second = harness.operator("POST", PATH, &text).await;
    assert_eq!(second.problem(), "503 what_if_running -");
    assert_eq!((second.header("retry-after"), &second.json()["retryable"]), (Some("1"), &json!(true)));
    assert_eq!(harness.post(&purchase("A-2", 1_000, 1, 2)).await.status, 201, "purchases are booked meanwhile");
    drop(first);
    after_it_left(&harness, &text).await;

    let mut socket = TcpStream::connect(harness.address).await.unwrap();
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        text.len()
    );
    socket.write_all((head + &text).as_bytes()).await.unwrap();
    drop(socket);
    after_it_left(&harness, &text).await;
    harness.stop().await;
}

/// Asks until the one before has left.
async fn after_it_left(harness: &Harness, text: &str) {
    loop {
        let reply = harness.operator("POST", PATH, text).await;
        if reply.status == 200 {
            assert_eq!(report(&reply)["purchases"], 2);
            return;
        }
        assert_eq!(reply.problem(), "503 what_if_running -");
    }
}
