//! R32 for what is read off the records of a tenant: the log of risk checks, the list of payments, and what is set aside.

use crate::support;
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::support::{Harness, Reply, TOKEN};
use kembali_core::Seq;
use kembali_core::event::{Event, Record};
use kembali_core::operation::OperationRejection;
use kembali_core::risk::Verdict;
use serde_json::{Value, json};

const RULES: &str = "/v1/catalogue?tenant=journey";
const SIZES: [usize; 3] = [1, 7, 200];

async fn post(harness: &Harness, path: &str, key: &str, body: Value) -> Reply {
    let token = format!("Bearer {TOKEN}");
    let headers = [("Authorization", token.as_str()), ("Content-Type", "application/json"), ("Idempotency-Key", key)];
    let body = if body.is_null() { String::new() } else { body.to_string() };
    harness.call("POST", &format!("{path}?tenant=journey"), &headers, body.as_bytes()).await
}

/// Above 100 it is flagged, above 1,000 set aside, above 5,000 blocked. Two customers.
async fn shop() -> (Harness, [String; 2]) {
    let harness = Harness::start_in(tempfile::tempdir().unwrap(), 64 * 1024, |_| ()).await;
    support::apply(&harness.engine, &support::sample()).await;
    let mut rules = harness.get(RULES).await.json()["catalogue"].clone();
    rules["risk_rules"] = json!([
        { "name": "Some", "amount_above": 100, "action": "flag" },
        { "name": "Much", "amount_above": 1_000, "action": "review" },
        { "name": "Too much", "amount_above": 5_000, "action": "block" },
    ]);
    assert_eq!(harness.operator("PUT", RULES, &rules.to_string()).await.status, 200);
    let mut ids = Vec::new();
    for own in ["C1", "C2"] {
        let body = json!({ "ref": own }).to_string();
        let created = harness.operator("POST", "/v1/customers?tenant=journey", &body).await.json();
        ids.push(created["customer"].as_str().unwrap().to_owned());
    }
    (harness, ids.try_into().unwrap())
}

/// Deposits and transfers of every kind of amount; of what is set aside a third is released, a third rejected.
async fn operate(harness: &Harness, ids: &[String; 2], round: usize) {
    for index in 0..24 {
        let amount = [7, 150, 1_500, 6_000][index % 4];
        let (own, other) = (&ids[index % 3 % 2], &ids[(index + 1) % 2]);
        let (verb, body) = match index % 5 {
            0 => ("transfers", json!({ "to": { "id": other }, "to_wallet": index % 2 * 9, "amount": amount })),
            _ => ("deposits", json!({ "amount": amount })),
        };
        let key = format!("{round}/{index}");
        let reply = post(harness, &format!("/v1/customers/{own}/wallets/0/{verb}"), &key, body).await;
        let verb = ["release", "reject"].get(index / 4 % 3);
        if let Some(verb) = verb.filter(|_| reply.status == 202) {
            let body = if *verb == "reject" { json!({ "reason": "x" }) } else { Value::Null };
            post(harness, &format!("/v1/reviews/{}/{verb}", reply.json()["seq"]), &key, body).await;
        }
    }
}

/// Reads a list page by page, and returns as of what it began.
async fn pages(harness: &Harness, path: &str, size: usize) -> (u64, Vec<Value>) {
    let (mut items, mut cursor, mut as_of) = (Vec::new(), String::new(), None);
    loop {
        let reply = harness.get(&format!("{path}&limit={size}{cursor}")).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let page = reply.json();
        as_of = as_of.or(page["as_of"].as_u64());
        items.extend(page["data"].as_array().unwrap().clone());
        let Some(next) = page["next_cursor"].as_str() else { return (as_of.unwrap_or(0), items) };
        cursor = format!("&cursor={next}");
    }
}

async fn records(harness: &Harness) -> Vec<Arc<Record>> {
    let mut all = Vec::new();
    for seq in 1..=harness.engine.durable().0 {
        all.push(harness.engine.record(Seq(seq)).await.unwrap().unwrap().0);
    }
    all
}

/// The checks that the records say, the newest first: where, whose, and the verdict.
fn checks(records: &[Arc<Record>]) -> Vec<(u64, u128, &'static str)> {
    let of_event = |record: &Record, event: &Event| match event {
        Event::RiskChecked(own) if own.verdict == Verdict::Safe => Some((record.body.customer?.0, "safe")),
        Event::RiskChecked(_) => Some((record.body.customer?.0, "suspicious")),
        Event::ReviewOpened(_) => Some((record.body.customer?.0, "in_review")),
        Event::OperationRefused(own) if matches!(own.rejection, OperationRejection::RiskBlocked { .. }) => {
            Some((own.customer?.0, "blocked"))
        }
        _ => None,
    };
    let of_record = |record: &Arc<Record>| {
        let mut found = record.body.events.iter().filter_map(|event| of_event(record, event));
        found.next().map(|(customer, verdict)| (record.seq.0, customer, verdict))
    };
    records.iter().rev().filter_map(of_record).collect()
}

fn shown(items: &[Value]) -> Vec<(u64, u128, String)> {
    let number = |own: &Value| u128::from_str_radix(&own.as_str().unwrap().replace('-', ""), 16).unwrap();
    let item = |own: &Value| {
        (own["seq"].as_u64().unwrap(), number(&own["customer"]), own["verdict"].as_str().unwrap().to_owned())
    };
    items.iter().map(item).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn r32_every_log_is_whole_during_writes_and_after_recovery() {
    let (harness, ids) = shop().await;
    operate(&harness, &ids, 0).await;
    // While operations are done, a walk shows what was there when it began, and nothing twice.
    let read = async {
        let mut seen = Vec::new();
        for size in [3, 11, 2, 5] {
            seen.push(pages(&harness, "/v1/risk-checks?tenant=journey", size).await);
        }
        seen
    };
    let write = async {
        for round in 1..4 {
            operate(&harness, &ids, round).await;
        }
    };
    let ((), seen) = tokio::join!(write, read);
    let all = records(&harness).await;
    for (as_of, items) in seen {
        let until = usize::try_from(as_of).unwrap();
        let wanted: Vec<_> =
            checks(&all[..until]).into_iter().map(|(seq, whose, said)| (seq, whose, said.into())).collect();
        assert_eq!(shown(&items), wanted, "as of {as_of}");
    }
    let every: Vec<u64> = checks(&all).into_iter().map(|(seq, ..)| seq).collect();
    let archived: BTreeSet<u64> = every.into_iter().step_by(3).collect();
    for seq in &archived {
        let reply = post(&harness, &format!("/v1/risk-checks/{seq}/archive"), &format!("a{seq}"), Value::Null).await;
        assert_eq!(reply.status, 201, "{}", reply.text());
    }
    let all = records(&harness).await;
    compare(&harness, &ids, &all, &archived).await;
    let dir = harness.stop().await;
    let harness = Harness::start_in(dir, 64 * 1024, |_| ()).await;
    compare(&harness, &ids, &all, &archived).await;
    harness.stop().await;
}

/// Every combination of filters and sizes of pages.
async fn compare(harness: &Harness, ids: &[String; 2], all: &[Arc<Record>], archived: &BTreeSet<u64>) {
    let customers = [None, Some(&ids[0]), Some(&ids[1])];
    let with = |name: &str, value: Option<&String>| value.map_or(String::new(), |value| format!("&{name}={value}"));
    let number = |id: &String| u128::from_str_radix(&id.replace('-', ""), 16).unwrap();
    for customer in customers {
        for verdict in [None, Some("safe"), Some("suspicious"), Some("blocked"), Some("in_review")] {
            for shows_archived in [false, true] {
                let wanted = checks(all).into_iter().filter(|(seq, whose, said)| {
                    customer.is_none_or(|id| number(id) == *whose)
                        && verdict.is_none_or(|verdict| verdict == *said)
                        && (shows_archived || !archived.contains(seq))
                });
                let wanted: Vec<_> = wanted.map(|(seq, whose, said)| (seq, whose, said.to_owned())).collect();
                for size in SIZES {
                    let verdict = with("verdict", verdict.map(str::to_owned).as_ref());
                    let path = format!(
                        "/v1/risk-checks?tenant=journey{}{verdict}&archived={shows_archived}",
                        with("customer", customer)
                    );
                    let (_, items) = pages(harness, &path, size).await;
                    assert_eq!(shown(&items), wanted, "{path} by {size}");
                    let hidden = items.iter().filter(|own| own["archived"] == true).count();
                    assert_eq!(hidden, wanted.iter().filter(|(seq, ..)| archived.contains(seq)).count(), "{path}");
                }
            }
        }
        let (_, whole) = pages(harness, "/v1/payments?tenant=journey", 200).await;
        for state in [None, Some("funds_held"), Some("settled"), Some("rejected"), Some("failed"), Some("in_review")] {
            let wanted = whole.iter().filter(|own| {
                customer.is_none_or(|id| own["customer"] == *id) && state.is_none_or(|state| own["state"] == state)
            });
            let wanted: Vec<&Value> = wanted.collect();
            assert!(!wanted.is_empty() || customer.is_some(), "{state:?} is not there");
            for size in SIZES {
                let state = with("state", state.map(str::to_owned).as_ref());
                let path = format!("/v1/payments?tenant=journey{}{state}", with("customer", customer));
                let (_, items) = pages(harness, &path, size).await;
                assert!(items.iter().eq(wanted.iter().copied()), "{path} by {size}");
            }
        }
    }
    // What is set aside and not closed, the oldest first.
    let mut open: Vec<u64> = Vec::new();
    for record in all {
        open.extend(record.review().map(|_| record.seq.0));
        for event in &record.body.events {
            if let Event::ReviewClosed(own) = event {
                open.retain(|seq| *seq != own.review.0);
            }
        }
    }
    assert!(!open.is_empty());
    for size in SIZES {
        let (_, items) = pages(harness, "/v1/reviews?tenant=journey", size).await;
        let shown: Vec<u64> = items.iter().map(|own| own["review"].as_u64().unwrap()).collect();
        assert_eq!(shown, open, "by {size}");
    }
}
