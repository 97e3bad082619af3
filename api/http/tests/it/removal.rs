//! A tier level is removed and another renamed, over HTTP: everybody is placed, and everybody hears of it.

use crate::support;
use std::collections::BTreeMap;

use crate::support::{Harness, KEY, apply, every_kind_of_rule};
use futures_util::StreamExt as _;
use kembali_http::CatalogueFile;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{WebSocketStream, client_async};

const SPEND: usize = 1;

/// The levels of the Threshold programme.
fn levels(file: &mut CatalogueFile) -> &mut Vec<kembali_http::wire::catalogue::LevelFile> {
    &mut file.tier_programs[SPEND].levels
}

fn without(name: &str) -> CatalogueFile {
    let mut file = every_kind_of_rule();
    levels(&mut file).retain(|level| level.name != name);
    file
}

async fn buy(harness: &Harness, origin_id: &str, customer: &str, amount: i64) -> Value {
    let body = format!(
        r#"{{"origin_id":"{origin_id}","customer":{{"ref":"{customer}"}},"amount":{amount},"quantity":1,"occurred_at":"2017-03-01T10:00:00+07:00"}}"#
    );
    harness.post(&body).await.json()
}

async fn programs(harness: &Harness) -> Value {
    harness.get("/v1/reports/summary?tenant=journey").await.json()["programs"][SPEND].clone()
}

/// Waits for the end of the sweep: each look rests on what is durable, so there is nothing to sleep for.
async fn placed(harness: &Harness) -> Value {
    loop {
        let programs = programs(harness).await;
        if programs.get("to_be_placed").is_none() {
            return programs;
        }
    }
}

fn customers(program: &Value) -> BTreeMap<String, u64> {
    let level = |own: &Value| (own["level"].as_str().unwrap().to_owned(), own["customers"].as_u64().unwrap());
    program["levels"].as_array().unwrap().iter().map(level).collect()
}

async fn subscribe(harness: &Harness) -> WebSocketStream<TcpStream> {
    let mut request = "ws://test/v1/stream?after=0&topics=tier.changed".into_client_request().unwrap();
    request.headers_mut().insert("x-api-key", KEY.parse().unwrap());
    client_async(request, TcpStream::connect(harness.address).await.unwrap()).await.unwrap().0
}

/// The next event that says that a level was removed.
async fn removal(socket: &mut WebSocketStream<TcpStream>) -> Value {
    loop {
        let text = socket.next().await.unwrap().unwrap();
        let Ok(text) = text.to_text() else { continue };
        let Ok(frame) = serde_json::from_str::<Value>(text) else { continue };
        support::contract::check_named("StreamMessage", &frame);
        let events = frame["events"].as_array().into_iter().flatten();
        if let Some(event) = events.into_iter().find(|event| event["data"]["remark"] == "tier_removed") {
            return event.clone();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_level_leaves_nobody_behind() {
    let harness = Harness::start().await;
    apply(&harness.engine, &every_kind_of_rule()).await;
    let mut socket = subscribe(&harness).await;
    for customer in 0..150 {
        buy(&harness, &format!("A-{customer}"), &format!("gold-{customer}"), 15_000_000).await;
    }
    let silver = buy(&harness, "S", "silver", 5_000_000).await;
    assert_eq!(silver["tiers"][SPEND]["after"]["level"], "Silver");
    assert_eq!(customers(&programs(&harness).await)["Gold"], 150);

    apply(&harness.engine, &without("Gold")).await;
    // Whoever buys or looks now finds the customer placed, wherever the sweep is.
    let bought = buy(&harness, "B", "gold-149", 1).await;
    assert_eq!(bought["tiers"][SPEND]["before"]["level"], "Silver");
    let gold = bought["customer"].as_str().unwrap();
    let shown = harness.get_as_partner(&format!("/v1/customers/{gold}/tiers")).await.json();
    assert_eq!(shown["tiers"][SPEND]["level"], "Silver");
    let program = placed(&harness).await;
    assert_eq!(
        customers(&program),
        [("Bronze", 0), ("Silver", 151), ("Platinum", 0)].map(|(own, count)| (own.to_owned(), count)).into()
    );

    let mut told = BTreeMap::new();
    for _ in 0..150 {
        let event = removal(&mut socket).await;
        assert_eq!((&event["type"], &event["data"]["before"]["level"]), (&json!("tier.changed"), &json!("Gold")));
        assert_eq!((&event["data"]["program"], &event["data"]["after"]["level"]), (&json!("Spend"), &json!("Silver")));
        *told.entry(event["subject"].as_str().unwrap().to_owned()).or_insert(0) += 1;
    }
    assert_eq!(told.len(), 150, "one change each");
    // The history says it too, and of the placement that no purchase made that none did.
    let other = told.keys().find(|own| *own != gold).unwrap();
    for reader in [
        harness.get_as_partner(&format!("/v1/customers/{other}/tiers")).await,
        harness.get(&format!("/v1/customers/{other}/tiers?tenant=journey")).await,
    ] {
        let newest = &reader.json()["data"][0];
        assert_eq!((&newest["purchase"], &newest["step"]["remark"]), (&Value::Null, &json!("tier_removed")));
        assert_eq!(newest["step"]["before"]["level"], "Gold", "by the name that it had");
    }
    // A repeat is answered as the first time, placement and all.
    assert_eq!(buy(&harness, "B", "gold-149", 1).await, bought);
    let removed = bought["effects"].as_array().unwrap().iter().find(|own| own["remark"] == "tier_removed");
    // The sweep may have come before the purchase.
    if let Some(removed) = removed {
        assert_eq!((&removed["from"], &removed["to"]), (&json!("Gold"), &json!("Silver")));
    }
    let path = format!("/v1/purchases/{}", bought["id"].as_str().unwrap());
    assert_eq!(harness.get(&path).await.json(), bought);
    let newest = &harness.get(&format!("/v1/customers/{gold}/purchases?tenant=journey")).await.json()["data"][0];
    assert_eq!(newest, &bought);
}

/// A stop in the middle of a sweep is no harm: the next start goes on by itself, before anybody calls.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_goes_on_with_the_sweep() {
    let harness = Harness::start().await;
    apply(&harness.engine, &every_kind_of_rule()).await;
    let mut body = String::new();
    for customer in 0..3_000 {
        body += &format!(
            "{{\"origin_id\":\"A-{customer}\",\"customer\":{{\"ref\":\"c{customer}\"}},\"amount\":15000000,\"quantity\":1}}\n"
        );
    }
    harness.stream(&body).await;
    apply(&harness.engine, &without("Gold")).await;
    let dir = harness.stop().await;
    let harness = Harness::start_in(dir, 128 * 1024 * 1024, |_| ()).await;
    let program = placed(&harness).await;
    assert_eq!(customers(&program)["Silver"], 3_000);
    let dir = harness.stop().await;
    let scratch = tempfile::tempdir().unwrap();
    kembali_engine::verify(dir.path(), scratch.path()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_level_is_renamed_and_a_wrong_rename_refused() {
    let harness = Harness::start().await;
    apply(&harness.engine, &every_kind_of_rule()).await;
    buy(&harness, "A", "gold", 15_000_000).await;
    let mut file = every_kind_of_rule();
    let gold = levels(&mut file).iter_mut().find(|level| level.name == "Gold").unwrap();
    (gold.name, gold.renamed_from) = ("Aurum".into(), Some("Gold".into()));
    let put = async |file: &CatalogueFile| {
        let body = serde_json::to_string(file).unwrap();
        harness.operator("PUT", "/v1/catalogue?tenant=journey", &body).await
    };
    let changed = put(&file).await.json();
    assert_eq!(changed["changes"], json!(["tier programme Spend, level Gold: renamed to Aurum"]));
    assert_eq!(customers(&programs(&harness).await)["Aurum"], 1);
    assert_eq!(put(&file).await.json()["changed"], false, "the file applies twice");
    let shown = harness.get("/v1/catalogue?tenant=journey").await.text().to_owned();
    assert!(!shown.contains("renamed_from"), "what was renamed is what it is now");

    levels(&mut file).retain(|level| level.name != "Aurum");
    let removed = put(&file).await.json();
    assert_eq!(
        removed["changes"],
        json!(["tier programme Spend, level Aurum: removed; its customers are placed anew"])
    );
    levels(&mut file)[1].renamed_from = Some("Tin".into());
    levels(&mut file)[1].name = "Zinc".into();
    let reply = put(&file).await;
    assert!(reply.text().contains(".renamed_from: names no present level: Tin"), "{}", reply.text());
    assert_eq!(reply.status, 422);
}
