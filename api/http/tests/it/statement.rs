//! A customer's statement over real sockets: what was there and the entries sum to what is there, on any pages, in either
//! form, between any two positions.

use crate::support;
use std::collections::BTreeMap;

use crate::support::{Harness, every_kind_of_rule, purchase};
use serde_json::{Value, json};

type Balances = BTreeMap<String, i64>;

fn account(line: &Value) -> String {
    format!("{}/{}/{}", line["holds"].as_str().unwrap(), line["wallet"], line["unit"].as_str().unwrap())
}

fn balances(list: &Value) -> Balances {
    let balance = |own: &Value| (account(own), own["balance"].as_i64().unwrap());
    list.as_array().unwrap().iter().map(balance).collect()
}

/// Reads every page of a statement: opening balances, entries, closing balances, each page with the same balances.
async fn whole(harness: &Harness, path: &str) -> (Balances, Vec<Value>, Balances) {
    let first = harness.get(path).await;
    assert_eq!(first.status, 200, "{path} {}", first.text());
    let mut page = first.json();
    let (opening, closing) = (page["opening"].clone(), page["closing"].clone());
    let base = path.split("&from").next().unwrap();
    let limit = path.split("&limit=").nth(1).unwrap();
    let mut entries = Vec::new();
    loop {
        assert_eq!((&page["opening"], &page["closing"]), (&opening, &closing));
        entries.extend(page["data"].as_array().unwrap().iter().cloned());
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        page = harness.get(&format!("{base}&limit={limit}&cursor={cursor}")).await.json();
    }
    (balances(&opening), entries, balances(&closing))
}

/// Fails unless opening and entries sum to closing, and each balance before is the one after the entry before.
fn check_sums(opening: &Balances, entries: &[Value], closing: &Balances) {
    let mut held = opening.clone();
    for entry in entries.iter().rev() {
        let held = held.get_mut(&account(entry)).expect("each account stands in the opening balances");
        let amount = entry["amount"].as_i64().unwrap();
        assert!(0 < amount);
        assert_eq!(entry["balance_before"], *held, "{entry}");
        *held += if entry["direction"] == "credit" { amount } else { -amount };
        assert_eq!(entry["balance_after"], *held, "{entry}");
        let against = entry["against"].as_array().into_iter().flatten().map(|leg| leg["amount"].as_i64().unwrap());
        assert!(entry["holds"] == "points" || against.sum::<i64>() == amount, "{entry}");
    }
    assert_eq!(held, *closing);
}

/// Reads CSV without quotes.
fn csv(text: &str) -> Vec<Vec<String>> {
    let lines = text.strip_suffix("\r\n").unwrap().split("\r\n");
    lines.map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

async fn csv_pages(harness: &Harness, path: &str) -> Vec<Vec<String>> {
    let token = format!("Bearer {}", support::TOKEN);
    let headers = [("Authorization", token.as_str()), ("Accept", "application/json;q=0.5, text/csv")];
    let mut path = path.to_owned();
    let mut lines = Vec::new();
    loop {
        let reply = harness.call("GET", &path, &headers, b"").await;
        assert_eq!(reply.header("content-type"), Some("text/csv; charset=utf-8; header=present"));
        let mut page = csv(reply.text());
        let head = page.remove(0);
        assert_eq!((head.len(), head[0].as_str(), head[11].as_str()), (12, "line", "balance_after"));
        lines.extend(page);
        let Some(link) = reply.header("link") else { return lines };
        path = link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap().to_owned();
    }
}

/// The sample under every kind of rule: random customers, between random positions, on small pages.
#[tokio::test(flavor = "multi_thread")]
async fn opening_balances_and_entries_sum_to_closing_balances() {
    let harness = Harness::start_in(tempfile::tempdir().unwrap(), 1 << 20, |_| ()).await;
    support::apply(&harness.engine, &every_kind_of_rule()).await;
    let packed = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../demo/purchases.ndjson.gz")).unwrap();
    let headers = [("Content-Encoding", "gzip")];
    let reply = harness.post_to("/v1/purchases", "application/x-ndjson", &headers, &packed).await;
    let customers: Vec<String> = (reply.text().lines())
        .filter_map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["result"]["customer"].as_str().map(str::to_owned)
        })
        .collect();
    let last = harness.engine.durable().0;
    // A plain linear congruential generator: a failure can be repeated.
    let mut state: u64 = 3;
    let mut draw = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let (mut entries_seen, mut with_opening) = (0, 0);
    for _ in 0..12 {
        let customer = &customers[draw(customers.len() as u64) as usize];
        let path = format!("/v1/customers/{customer}/statement?tenant=journey");
        let (mut from, mut to) = (draw(last + 1), draw(last + 1));
        (from, to) = (from.min(to), from.max(to));
        // The whole, and three that follow each other.
        let all = whole(&harness, &format!("{path}&from=0&limit=7")).await;
        check_sums(&all.0, &all.1, &all.2);
        assert!(all.0.values().all(|balance| *balance == 0));
        let mut parts = Vec::new();
        let mut before = None;
        for (from, to) in [(0, from), (from, to), (to, last)] {
            let part = format!("{path}&from={from}&to={to}&limit=3");
            let told = harness.get(&part).await;
            let at = harness.get(&format!("/v1/customers/{customer}?tenant=journey&at={to}")).await;
            assert_eq!(told.status, at.status, "{part}");
            if at.status == 404 {
                continue;
            }
            let (opening, entries, closing) = whole(&harness, &part).await;
            check_sums(&opening, &entries, &closing);
            assert!(entries.iter().all(|entry| (from + 1..=to).contains(&entry["seq"].as_u64().unwrap())));
            let money: i64 = closing.iter().filter(|(own, _)| own.starts_with("money/0/")).map(|own| own.1).sum();
            assert_eq!(at.json()["balance"], money, "{part}");
            let nonzero =
                |all: &Balances| all.iter().filter(|own| *own.1 != 0).map(|own| own.0.clone()).collect::<Vec<_>>();
            if let Some(before) = before.replace(closing.clone()) {
                assert_eq!(nonzero(&before), nonzero(&opening), "one statement begins where the other ended");
                with_opening += usize::from(opening.values().any(|balance| *balance != 0));
            }
            // The same as CSV.
            let lines = csv_pages(&harness, &part).await;
            let of = |kind: &str| lines.iter().filter(|line| line[0] == kind).collect::<Vec<_>>();
            assert_eq!((of("closing").len(), of("opening").len()), (closing.len(), opening.len()));
            for (line, entry) in of("entry").iter().zip(&entries) {
                for (cell, name) in [(1, "seq"), (9, "amount"), (10, "balance_before"), (11, "balance_after")] {
                    assert_eq!(line[cell], entry[name].to_string(), "{name}");
                }
                for (cell, name) in [(2, "received_at"), (3, "purchase"), (5, "holds"), (7, "unit"), (8, "direction")] {
                    assert_eq!(line[cell], entry[name].as_str().unwrap(), "{name}");
                }
                assert_eq!(line[4], "", "nothing but purchases moved anything");
            }
            assert_eq!(of("entry").len(), entries.len());
            parts.splice(0..0, entries);
        }
        assert_eq!(parts, all.1, "the parts are the whole");
        entries_seen += all.1.len();
    }
    assert!(200 < entries_seen && 5 < with_opening, "{entries_seen} {with_opening}");
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_by_hand() {
    let harness = Harness::start().await;
    let mut id = String::new();
    let mut received = Vec::new();
    for day in 1..=3 {
        let booked = harness.post(&purchase(&format!("D-{day}"), 200_000, 1, day)).await.json();
        id = booked["customer"].as_str().unwrap().to_owned();
        received.push(booked["received_at"].as_str().unwrap().to_owned());
    }
    let path = format!("/v1/customers/{id}/statement?tenant=journey");
    // From the instant of the first purchase to that of the second: the second alone.
    let by_instant = harness.get(&format!("{path}&from={}&to={}", received[0], received[1])).await.json();
    assert_eq!((&by_instant["from"], &by_instant["to"], &by_instant["as_of"]), (&json!(2), &json!(3), &json!(3)));
    let money = |balance: i64| json!([{ "holds": "money", "wallet": 0, "unit": "IDR", "balance": balance }]);
    assert_eq!((&by_instant["opening"], &by_instant["closing"]), (&money(3_500), &money(7_000)));
    let entry = &by_instant["data"][0];
    assert_eq!(
        (&entry["amount"], &entry["balance_before"], &entry["balance_after"], &entry["against"]),
        (&json!(3_500), &json!(3_500), &json!(7_000), &json!([{ "account": "promo_expense/grocer", "amount": 3_500 }]))
    );
    assert_eq!(by_instant, harness.get(&format!("{path}&from=2&to=3")).await.json());
    // Nothing in between, and before the customer was there.
    let none = harness.get(&format!("{path}&from=3&to=3")).await.json();
    assert_eq!((&none["data"], &none["opening"]), (&json!([]), &none["closing"]));
    assert_eq!(harness.get(&format!("{path}&from=0&to=2")).await.json()["opening"], money(0));
    harness.stop().await;
}

/// Deposits and adjustments stand in a statement as they moved the wallet, and name what they were.
#[tokio::test(flavor = "multi_thread")]
async fn a_statement_shows_operations() {
    let harness = Harness::start().await;
    let booked = harness.post(&purchase("D-1", 200_000, 1, 1)).await.json();
    let id = booked["customer"].as_str().unwrap();
    let token = format!("Bearer {}", support::TOKEN);
    let operate = async |key: &str, path: &str, body: Value| {
        let headers =
            [("Authorization", token.as_str()), ("Content-Type", "application/json"), ("Idempotency-Key", key)];
        let path = format!("/v1/customers/{id}/wallets{path}?tenant=journey");
        let reply = harness.call("POST", &path, &headers, body.to_string().as_bytes()).await;
        assert_eq!(reply.status, 201, "{}", reply.text());
        reply.json()["seq"].as_u64().unwrap()
    };
    let deposit = operate("1", "/0/deposits", json!({ "amount": 500 })).await;
    operate("2", "", json!({ "name": "Mobil" })).await;
    operate("3", "/1/deposits", json!({ "amount": 40 })).await;
    let taken = json!({ "direction": "debit", "amount": 3_900, "reason": "a slip" });
    let taken = operate("4", "/0/adjustments", taken).await;
    let path = format!("/v1/customers/{id}/statement?tenant=journey&from=0&limit=2");
    let (opening, entries, closing) = whole(&harness, &path).await;
    check_sums(&opening, &entries, &closing);
    let balances = BTreeMap::from([("money/0/IDR".to_owned(), 100), ("money/1/IDR".to_owned(), 40)]);
    assert_eq!(closing, balances);
    let seen: Vec<Value> = (entries.iter())
        .map(|entry| {
            json!([
                entry["operation"],
                entry["purchase"].is_null(),
                entry["balance_before"],
                entry["balance_after"],
                entry["against"][0]["account"],
            ])
        })
        .collect();
    assert_eq!(
        seen,
        [
            json!(["adjust", true, 4_000, 100, "adjustments"]),
            json!(["deposit", true, 0, 40, "cash_clearing"]),
            json!(["deposit", true, 3_500, 4_000, "cash_clearing"]),
            json!([null, false, 0, 3_500, "promo_expense/grocer"]),
        ]
    );
    let lines = csv_pages(&harness, &path).await;
    let operations: Vec<&str> = lines.iter().filter(|line| line[0] == "entry").map(|line| line[4].as_str()).collect();
    assert_eq!(operations, ["adjust", "deposit", "deposit", ""]);
    // As of each position the wallet holds what the statement up to there ends with.
    for at in deposit..=taken {
        let shown = harness.get(&format!("/v1/customers/{id}/wallets?tenant=journey&at={at}")).await.json();
        let list = shown["data"].as_array().unwrap();
        let shown: Balances =
            list.iter().map(|own| (format!("money/{}/IDR", own["wallet"]), own["balance"].as_i64().unwrap())).collect();
        let (.., closing) =
            whole(&harness, &format!("{path}&limit=7").replace("&from=0&limit=2", &format!("&from=0&to={at}"))).await;
        assert_eq!(shown, closing, "as of {at}");
    }
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_statement_is_told() {
    let harness = Harness::start_with(|config| config.limits.min_seq_wait_max = std::time::Duration::ZERO).await;
    for day in 1..=5 {
        harness.post(&purchase(&format!("D-{day}"), 200_000, 1, day)).await;
    }
    let found = harness.get("/v1/customers?tenant=journey&ref=C1").await.json();
    let id = found["id"].as_str().unwrap();
    let path = format!("/v1/customers/{id}/statement?tenant=journey");
    let told = async |query: &str| harness.get(&format!("{path}{query}")).await.problem();
    for query in ["&from=x", "&to=", "&from=-1", "&to=2017-03-01", "&from=4&to=3", "&limit=0", "&limit=201", "&at=3"] {
        assert_eq!(told(query).await, "400 query_invalid -", "{query}");
    }
    for query in ["&to=1", "&to=0", "&to=2000-01-01T00:00:00Z"] {
        assert_eq!(told(query).await, "404 customer_not_found -", "{query}");
    }
    for query in ["&to=7", "&from=7", "&to=18446744073709551615", "&to=9999-12-31T00:00:00Z"] {
        assert_eq!(told(query).await, "409 position_ahead -", "{query}");
    }
    // A cursor is good for its own statement alone.
    let first = harness.get(&format!("{path}&from=2&to=5&limit=1")).await.json();
    let cursor = first["next_cursor"].as_str().unwrap();
    assert_eq!(harness.get(&format!("{path}&from=2&to=5&limit=1&cursor={cursor}")).await.json()["data"][0]["seq"], 4);
    let entries = harness.get(&format!("/v1/customers/{id}/entries?tenant=journey&limit=1")).await.json();
    let foreign = entries["next_cursor"].as_str().unwrap();
    let beyond = cursor.replace("0000000000000004", "0000000000000006");
    assert_ne!(beyond, cursor);
    for query in [
        format!("&from=3&cursor={cursor}"),
        format!("&to=6&cursor={cursor}"),
        format!("&cursor={foreign}"),
        format!("&cursor={beyond}"),
        "&cursor=".to_owned(),
    ] {
        assert_eq!(told(&query).await, "400 cursor_invalid -", "{query}");
    }
    let elsewhere = format!("/v1/customers/{id}/entries?tenant=journey&cursor={cursor}");
    assert_eq!(harness.get(&elsewhere).await.problem(), "400 cursor_invalid -");
    let mut other = support::sample();
    other.tenant.slug = "other".to_owned();
    other.partners.iter_mut().for_each(|partner| partner.api_key = None);
    support::apply(&harness.engine, &other).await;
    for path in [path.replace("journey", "other"), path.replace(id, "4df5900c-22c4-4373-875d-f1172048e1b4")] {
        assert_eq!(harness.get(&path).await.problem(), "404 customer_not_found -", "{path}");
    }
    assert_eq!(harness.get_as_partner(&path).await.problem(), "403 role_insufficient -");
    harness.stop().await;
}
