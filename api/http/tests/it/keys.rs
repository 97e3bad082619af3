//! API keys over real sockets: given, listed, and revoked for ever, also for connections that are open already.

use crate::support;
use std::time::Duration;

use crate::support::{Harness, KEY, apply, purchase, sample};
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

const KEYS: &str = "/v1/partners/grocer/api-keys";

async fn keys(harness: &Harness) -> Vec<Value> {
    let listed = harness.get(&format!("{KEYS}?tenant=journey")).await;
    assert_eq!(listed.status, 200, "{}", listed.text());
    listed.json()["data"].as_array().unwrap().clone()
}

async fn revoke(harness: &Harness, id: &str) -> support::Reply {
    harness.operator("DELETE", &format!("{KEYS}/{id}?tenant=journey"), "").await
}

async fn books(harness: &Harness, key: &str, origin_id: &str) -> u16 {
    let headers = [("X-Api-Key", key), ("Content-Type", "application/json")];
    harness.call("POST", "/v1/purchases", &headers, purchase(origin_id, 1_000, 1, 1).as_bytes()).await.status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_rotated_and_the_old_one_never_opens_again() {
    let harness = Harness::start().await;
    let old = keys(&harness).await;
    assert_eq!((old.len(), &old[0]["revoked"]), (1, &json!(false)));
    let old = old[0]["id"].as_str().unwrap().to_owned();

    let given = harness.operator("POST", &format!("{KEYS}?tenant=journey"), "{}").await;
    assert_eq!(given.status, 201, "{}", given.text());
    let new = given.json()["api_key"].as_str().unwrap().to_owned();
    assert_eq!((books(&harness, KEY, "A-1").await, books(&harness, &new, "A-2").await), (201, 201), "both open");
    let listed = keys(&harness).await;
    assert!(listed.iter().any(|key| key["id"] == given.json()["id"]) && listed.len() == 2);
    assert!(!json!(listed).to_string().contains(&new), "a key is shown once");

    for _ in 0..2 {
        let revoked = revoke(&harness, &old).await;
        assert_eq!((revoked.status, &revoked.json()["revoked"]), (200, &json!(true)));
    }
    assert_eq!((books(&harness, KEY, "A-3").await, books(&harness, &new, "A-3").await), (401, 201));
    // The file that gave the key first must not give it back, and nobody else may have it.
    let file = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../demo/journey.toml")).unwrap();
    let file: Value = toml::from_str(&file).unwrap();
    let again = harness.operator("PUT", "/v1/catalogue?tenant=journey", &file.to_string()).await;
    assert_eq!(again.problem(), "409 api_key_revoked -");
    let thief = format!(r#"{{"slug":"thief","name":"T","api_key":"{KEY}"}}"#);
    let stolen = harness.operator("POST", "/v1/partners?tenant=journey", &thief).await;
    assert_eq!(stolen.problem(), "409 api_key_revoked -");

    let harness = Harness::start_in(harness.stop().await, 128 * 1024 * 1024, |_| ()).await;
    assert_eq!((books(&harness, KEY, "A-4").await, books(&harness, &new, "A-4").await), (401, 201));
    let revoked = keys(&harness).await.into_iter().filter(|key| key["revoked"] == true);
    assert_eq!(revoked.map(|key| key["id"].clone()).collect::<Vec<Value>>(), [json!(old)]);
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_cannot_be_revoked() {
    let harness = Harness::start().await;
    let mut other = sample();
    other.tenant.slug = "other".to_owned();
    other.partners[0].api_key = None;
    apply(&harness.engine, &other).await;
    let id = keys(&harness).await[0]["id"].as_str().unwrap().to_owned();
    let nobody = "0".repeat(32);
    for (path, expected) in [
        (format!("{KEYS}/{nobody}?tenant=journey"), "404 api_key_not_found -"),
        (format!("{KEYS}/{}?tenant=journey", id.to_uppercase()), "404 api_key_not_found -"),
        (format!("{KEYS}/x?tenant=journey"), "404 api_key_not_found -"),
        (format!("/v1/partners/nobody/api-keys/{id}?tenant=journey"), "404 partner_not_found -"),
        // A partner of the same slug, in another tenant.
        (format!("{KEYS}/{id}?tenant=other"), "404 api_key_not_found -"),
        (format!("{KEYS}/{id}?tenant=none"), "404 tenant_not_found -"),
    ] {
        assert_eq!(harness.operator("DELETE", &path, "").await.problem(), expected, "{path}");
    }
    let given = harness.operator("POST", "/v1/partners/nobody/api-keys?tenant=journey", "{}").await;
    assert_eq!(given.problem(), "404 partner_not_found -");
    assert_eq!(books(&harness, KEY, "A-1").await, 201);
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_ends_what_it_had_opened() {
    let harness = Harness::start_with(|config| config.limits.subscriber_farewell_max = Duration::ZERO).await;
    let mut request = "ws://test/v1/stream".into_client_request().unwrap();
    request.headers_mut().insert("x-api-key", KEY.parse().unwrap());
    let stream = TcpStream::connect(harness.address).await.unwrap();
    let (mut subscriber, _) = client_async(request, stream).await.unwrap();
    assert!(matches!(subscriber.next().await, Some(Ok(Message::Text(_)))), "ready");

    let mut lines = TcpStream::connect(harness.address).await.unwrap();
    let head = format!(
        "POST /v1/purchases HTTP/1.1\r\nHost: test\r\nX-Api-Key: {KEY}\r\n\
         Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    lines.write_all((head + &chunk(&purchase("S-1", 1_000, 1, 1))).as_bytes()).await.unwrap();
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("\"status\":201") {
        assert_ne!(lines.read_buf(&mut seen).await.unwrap(), 0);
    }
    // The subscriber sees it too, before the key is gone.
    assert!(matches!(subscriber.next().await, Some(Ok(Message::Text(_)))), "the purchase");

    let id = keys(&harness).await[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(revoke(&harness, &id).await.status, 200);
    lines.write_all(chunk(&purchase("S-2", 1_000, 1, 2)).as_bytes()).await.unwrap();
    let mut rest = Vec::new();
    // Broken off: no answer, and no end of the body.
    let _ = lines.read_to_end(&mut rest).await;
    assert!(!String::from_utf8_lossy(&rest).contains("0\r\n\r\n"), "{}", String::from_utf8_lossy(&rest));
    let given = harness.operator("POST", &format!("{KEYS}?tenant=journey"), "{}").await.json();
    let summary = harness.get("/v1/reports/summary?tenant=journey").await.json();
    assert_eq!(summary["accepted"], 1, "what came after the key was revoked is not booked");
    // Any record wakes the subscriber, which must not see it.
    assert_eq!(books(&harness, given["api_key"].as_str().unwrap(), "S-3").await, 201);
    match subscriber.next().await {
        Some(Ok(Message::Close(Some(frame)))) => assert_eq!(u16::from(frame.code), 1008),
        other => panic!("{other:?}"),
    }
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_waits_for_what_its_caller_has_seen() {
    let harness = Harness::start_with(|config| config.limits.min_seq_wait_max = Duration::MAX).await;
    let next = harness.engine.durable().0 + 1;
    let path = format!("/v1/reports/summary?tenant=journey&min_seq={next}");
    let body = purchase("A-1", 1_000, 1, 1);
    let (read, booked) = tokio::join!(harness.get(&path), harness.post(&body));
    assert_eq!(booked.json()["seq"], next);
    assert_eq!((read.status, &read.json()["as_of"], &read.json()["accepted"]), (200, &json!(next), &json!(1)));
    harness.stop().await;
}

fn chunk(line: &str) -> String {
    format!("{:x}\r\n{line}\n\r\n", line.len() + 1)
}
