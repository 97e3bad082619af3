//! R32: every list shows all that a scan of the records finds, each thing once and in order: for every caller, every
//! position, every size of a page, while more is booked, and after the server started anew.

use crate::support;
use crate::support::{Harness, KEY, TOKEN, every_kind_of_rule};
use kembali_core::accounts::Direction;
use kembali_core::event::{Event, Placed, Record};
use kembali_core::{PartnerId, Seq};
use kembali_engine::Engine;
use serde_json::{Value, json};

const BAKER_KEY: &str = "baker-test-key";
const SIZES: [usize; 6] = [1, 2, 3, 7, 50, 200];
const LISTS: [&str; 4] = ["entries", "purchases", "tiers", "statement"];

/// Six customers, two partners, repeats and refusals between them; some pay for nothing, some for much at once.
fn purchases(from: i64, count: i64) -> Vec<(&'static str, String)> {
    let one = |number: i64| {
        let (customer, day) = (number * 7 % 6, 1 + number % 28);
        let amount = if number % 11 == 0 { 0 } else { 1_000 + number * 3_701 % 400_000 };
        let line = |product: &str, amount: i64| json!({ "product": product, "quantity": 1, "amount": amount });
        let (pizza, cheese) = (amount / 2, amount / 3);
        let purchase = json!({
            "origin_id": format!("L-{}", if number % 13 == 0 { number - 2 } else { number }),
            "customer": { "ref": format!("C{customer}") },
            "amount": amount,
            "quantity": 1 + number % 3,
            "occurred_at": format!("2017-03-{day:02}T10:00:00Z"),
            "promo_code": "JOURNEY2017",
            "lines": [
                line("FROZEN PIZZA", pizza), line("CHEESE", cheese), line("SOFT DRINKS", amount - pizza - cheese),
            ],
        });
        (if number % 3 == 0 { BAKER_KEY } else { KEY }, purchase.to_string())
    };
    (from..from + count).map(one).collect()
}

async fn book(harness: &Harness, purchases: &[(&'static str, String)]) {
    for (key, purchase) in purchases {
        let headers = [("X-Api-Key", *key), ("Content-Type", "application/json")];
        let reply = harness.call("POST", "/v1/purchases", &headers, purchase.as_bytes()).await;
        assert!([201, 409, 422].contains(&reply.status), "{}", reply.text());
    }
}

/// Deposits, adjustments and levels by hand, some of them refused, under keys of their own.
async fn operate(harness: &Harness, ids: &[String], round: usize) {
    let token = format!("Bearer {TOKEN}");
    for (index, id) in ids.iter().enumerate() {
        let amount = 1_000 * (1 + (index + round) % 5);
        for (number, (path, body)) in [
            ("wallets/0/deposits", json!({ "amount": amount })),
            ("wallets", json!({ "name": "one more" })),
            ("wallets/1/deposits", json!({ "amount": 2 * amount })),
            ("wallets/0/adjustments", json!({ "direction": "debit", "amount": 1_700, "reason": "a slip" })),
            ("tiers/Journey/promote", json!({})),
            ("tiers/Spend/demote", json!({})),
        ]
        .into_iter()
        .enumerate()
        {
            let key = format!("{round}/{id}/{number}");
            let headers = [
                ("Authorization", token.as_str()),
                ("Content-Type", "application/json"),
                ("Idempotency-Key", key.as_str()),
            ];
            let path = format!("/v1/customers/{id}/{path}?tenant=journey");
            let reply = harness.call("POST", &path, &headers, body.to_string().as_bytes()).await;
            assert!([201, 422].contains(&reply.status), "{path} {}", reply.text());
        }
    }
}

/// One thing of a list as both sides name it: the position, and what tells it from others of the same record.
type Item = (u64, String);

/// What a scan of all records up to `to` finds for a list of a customer, newest record first.
fn scan(records: &[Record], customer: u128, list: &str, only: Option<PartnerId>, to: u64) -> Vec<Item> {
    let partner = |record: &Record| {
        record.body.events.iter().find_map(|event| match event {
            Event::PurchaseBooked(booked) => Some(booked.partner),
            _ => None,
        })
    };
    let mut found = Vec::new();
    for record in records.iter().rev().filter(|record| record.seq.0 <= to) {
        let is_own = record.body.customer.is_some_and(|own| own.0 == customer);
        if !is_own || only.is_some_and(|only| partner(record) != Some(only)) {
            continue;
        }
        let items = record.body.events.iter().filter_map(|event| match (list, event) {
            ("entries" | "statement", Event::WalletEntry(entry)) => {
                let (amount, after) = (entry.amount.minor_units(), entry.balance_after.minor_units());
                Some(format!("IDR {} {amount} {after}", side(entry.direction)))
            }
            ("statement", Event::PointEntry(entry)) => {
                let (points, after) = (entry.points.minor_units(), entry.balance_after.minor_units());
                Some(format!("points {} {points} {after}", side(entry.direction)))
            }
            ("purchases", Event::PurchaseBooked(booked)) => Some(booked.purchase.origin_id.to_string()),
            ("tiers", Event::TierStepped(stepped)) => Some(format!("Journey {}", stepped.after.count)),
            ("tiers", Event::TierPlaced(placed)) => Some(match placed.placed {
                Placed::Journey { after, .. } => format!("Journey {}", after.count),
                Placed::Threshold { after, .. } => format!("Spend {}", after.spent.minor_units()),
            }),
            ("tiers", Event::SpendCounted(counted)) => Some(format!("Spend {}", counted.after.spent.minor_units())),
            _ => None,
        });
        let mut items: Vec<String> = items.collect();
        if list == "statement" {
            items.reverse();
        }
        found.extend(items.into_iter().map(|item| (record.seq.0, item)));
    }
    found
}

const fn side(direction: Direction) -> &'static str {
    match direction {
        Direction::In => "credit",
        Direction::Out => "debit",
    }
}

/// The same of an item that was shown.
fn shown(item: &Value, list: &str) -> Item {
    let text = match list {
        "purchases" => item["origin_id"].as_str().unwrap().to_owned(),
        "tiers" => {
            let after = &item["step"]["after"];
            let number = if after["count"].is_null() { &after["spent"] } else { &after["count"] };
            format!("{} {number}", item["step"]["program"].as_str().unwrap())
        }
        _ => {
            let unit = if item["holds"] == "points" { "points" } else { "IDR" };
            let side = item["direction"].as_str().unwrap();
            format!("{unit} {side} {} {}", item["amount"], item["balance_after"])
        }
    };
    (item["seq"].as_u64().unwrap(), text)
}

/// Reads all pages of a list, and says as of which position the first one was.
async fn pages(harness: &Harness, path: &str, list: &str, size: usize, as_partner: bool) -> (u64, Vec<Item>) {
    let (mut cursor, mut as_of, mut items) = (String::new(), None, Vec::new());
    loop {
        let path = format!("{path}&limit={size}{cursor}");
        let reply = if as_partner { harness.get_as_partner(&path).await } else { harness.get(&path).await };
        assert_eq!(reply.status, 200, "{path} {}", reply.text());
        let page = reply.json();
        as_of.get_or_insert(page["as_of"].as_u64().unwrap());
        let data = page["data"].as_array().unwrap();
        assert!(data.len() <= size && items.len() < 5_000, "{path} has no end");
        items.extend(data.iter().map(|item| shown(item, list)));
        let Some(next) = page["next_cursor"].as_str() else { return (as_of.unwrap(), items) };
        cursor = format!("&cursor={next}");
    }
}

async fn records(engine: &Engine) -> Vec<Record> {
    let mut records = Vec::new();
    for seq in 1..=engine.durable().0 {
        records.push(Record::clone(&engine.record(Seq(seq)).await.unwrap().unwrap().0));
    }
    records
}

async fn ids(harness: &Harness) -> Vec<String> {
    let mut ids = Vec::new();
    for customer in 0..6 {
        let found = harness.get(&format!("/v1/customers?tenant=journey&ref=C{customer}")).await.json();
        ids.push(found["id"].as_str().unwrap().to_owned());
    }
    ids
}

/// Every combination, of what is there and stays.
async fn compare(harness: &Harness, ids: &[String], records: &[Record]) {
    let last = harness.engine.durable().0;
    let mut seen = 0;
    for (index, id) in ids.iter().enumerate() {
        let customer = u128::from_str_radix(&id.replace('-', ""), 16).unwrap();
        for list in LISTS {
            // A third of the sizes for each customer, so that each size is met twice.
            for size in SIZES.into_iter().cycle().skip(index).take(2) {
                for at in [None, Some(last / 2), Some(last * 3 / 4 + index as u64)] {
                    let as_of = at.map(|at| match list {
                        "statement" => format!("&to={at}"),
                        _ => format!("&at={at}"),
                    });
                    let path = format!("/v1/customers/{id}/{list}?tenant=journey{}", as_of.unwrap_or_default());
                    let (as_of, items) = pages_of(harness, &path, list, size).await;
                    assert_eq!(as_of, at.unwrap_or(last));
                    assert_eq!(items, scan(records, customer, list, None, as_of), "{path} by {size}");
                    seen += items.len();
                }
                if list == "tiers" {
                    let path = format!("/v1/customers/{id}/tiers?tenant=journey");
                    let (as_of, items) = pages(harness, &path, list, size, true).await;
                    assert_eq!(items, scan(records, customer, list, Some(PartnerId(1)), as_of), "{path} by {size}");
                }
            }
        }
    }
    assert!(2_000 < seen, "{seen}");
}

/// Pages of an operator.
async fn pages_of(harness: &Harness, path: &str, list: &str, size: usize) -> (u64, Vec<Item>) {
    pages(harness, path, list, size, false).await
}

#[tokio::test(flavor = "multi_thread")]
async fn r32_every_list_is_whole_during_writes_and_after_recovery() {
    let harness = Harness::start_in(tempfile::tempdir().unwrap(), 64 * 1024, |_| ()).await;
    let mut rules = every_kind_of_rule();
    let baker = json!({ "slug": "baker", "name": "The Baker", "api_key": BAKER_KEY });
    rules.partners.push(serde_json::from_value(baker).unwrap());
    support::apply(&harness.engine, &rules).await;
    book(&harness, &purchases(0, 60)).await;
    let ids = ids(&harness).await;

    operate(&harness, &ids, 0).await;

    // While purchases are booked, pages show what was there when the first of them was read, and nothing twice.
    let more = purchases(60, 120);
    let read = async {
        let mut seen = Vec::new();
        for (index, id) in ids.iter().cycle().take(24).enumerate() {
            let (list, size) = (LISTS[index % 4], SIZES[index % 3]);
            let path = format!("/v1/customers/{id}/{list}?tenant=journey");
            seen.push((id, list, pages_of(&harness, &path, list, size).await));
        }
        seen
    };
    let write = async {
        for (round, chunk) in more.chunks(40).enumerate() {
            book(&harness, chunk).await;
            operate(&harness, &ids, 1 + round).await;
        }
    };
    let ((), seen) = tokio::join!(write, read);
    let all = records(&harness.engine).await;
    let mut positions: Vec<u64> = Vec::new();
    for (id, list, (as_of, items)) in seen {
        let customer = u128::from_str_radix(&id.replace('-', ""), 16).unwrap();
        assert_eq!(items, scan(&all, customer, list, None, as_of), "{list} of {id} as of {as_of}");
        positions.push(as_of);
    }
    positions.dedup();
    assert!(3 < positions.len(), "nothing was booked meanwhile: {positions:?}");

    compare(&harness, &ids, &all).await;
    let dir = harness.stop().await;
    let harness = Harness::start_in(dir, 64 * 1024, |_| ()).await;
    compare(&harness, &ids, &all).await;
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r32_every_customer_of_the_tenant_is_listed_once() {
    let harness = Harness::start_in(tempfile::tempdir().unwrap(), 64 * 1024, |_| ()).await;
    let mut other = every_kind_of_rule();
    other.tenant.slug = "other".to_owned();
    other.partners[0].api_key = Some(BAKER_KEY.to_owned());
    support::apply(&harness.engine, &every_kind_of_rule()).await;
    support::apply(&harness.engine, &other).await;
    let mut wanted: [Vec<Value>; 2] = [Vec::new(), Vec::new()];
    for number in 0..23 {
        let (at, tenant) = if number % 5 == 0 { (1, "other") } else { (0, "journey") };
        let body = json!({ "ref": format!("C{number}") }).to_string();
        let created = harness.operator("POST", &format!("/v1/customers?tenant={tenant}"), &body).await;
        wanted[at].push(created.json()["customer"].clone());
    }
    wanted.iter_mut().for_each(|ids| ids.sort_by_key(Value::to_string));
    let dir = {
        check_customers(&harness, &wanted).await;
        let refused = harness.get("/v1/reports/customers?tenant=journey&cursor=0209").await;
        assert_eq!(refused.problem(), "400 cursor_invalid -");
        assert_eq!(harness.get_as_partner("/v1/reports/customers").await.problem(), "403 role_insufficient -");
        harness.stop().await
    };
    let harness = Harness::start_in(dir, 64 * 1024, |_| ()).await;
    check_customers(&harness, &wanted).await;
    harness.stop().await;
}

async fn check_customers(harness: &Harness, wanted: &[Vec<Value>; 2]) {
    for (tenant, wanted) in ["journey", "other"].into_iter().zip(wanted) {
        for size in SIZES {
            let path = format!("/v1/reports/customers?tenant={tenant}&limit={size}");
            let (mut seen, mut cursor) = (Vec::new(), String::new());
            loop {
                let page = harness.get(&format!("{path}{cursor}")).await.json();
                let data = page["data"].as_array().unwrap();
                assert!(data.len() <= size && data.iter().all(|own| own["tenant"] == tenant), "{page}");
                seen.extend(data.iter().map(|own| own["id"].clone()));
                let Some(next) = page["next_cursor"].as_str() else { break };
                cursor = format!("&cursor={next}");
            }
            assert_eq!(seen, *wanted, "{tenant} by {size}");
        }
    }
}
