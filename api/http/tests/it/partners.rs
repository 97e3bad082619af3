//! What operators do about partners: suspended, opened again, limited, and all of it in the log.

use crate::support;
use crate::support::{Harness, KEY, Reply, purchase};
use futures_util::StreamExt as _;
use kembali_http::ServerConfig;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

const GROCER: &str = "/v1/partners/grocer?tenant=journey";

async fn patch(harness: &Harness, body: &Value) -> Reply {
    harness.operator("PATCH", GROCER, &body.to_string()).await
}

async fn audit(harness: &Harness) -> Vec<Value> {
    let listed = harness.get("/v1/audit?tenant=journey").await;
    assert_eq!(listed.status, 200, "{}", listed.text());
    listed.json()["data"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_partner_is_out_until_it_is_opened_again() {
    let harness = Harness::start().await;
    assert_eq!(harness.post(&purchase("A-1", 1_000, 1, 1)).await.status, 201);
    let mut request = "ws://test/v1/stream?after=0".into_client_request().unwrap();
    request.headers_mut().insert("x-api-key", KEY.parse().unwrap());
    let stream = TcpStream::connect(harness.address).await.unwrap();
    let (mut subscriber, _) = client_async(request, stream).await.unwrap();

    let open = json!({ "status": "active", "limits": { "requests_per_second": null, "requests_at_once": null } });
    let closed = json!({ "status": "suspended", "limits": open["limits"] });
    let wish = json!({ "status": "suspended", "reason": "chargebacks" });
    let suspended = patch(&harness, &wish).await;
    assert_eq!(suspended.status, 200, "{}", suspended.text());
    let seq = suspended.json()["seq"].as_u64().unwrap();
    let changed = |before: &Value, after: &Value, seq: Value| json!({ "partner": "grocer", "before": before, "after": after, "seq": seq });
    assert_eq!(suspended.json(), changed(&open, &closed, json!(seq)));
    assert_eq!(patch(&harness, &wish).await.json(), changed(&closed, &closed, Value::Null), "again");

    for (method, path, body) in [
        ("POST", "/v1/purchases", purchase("A-2", 1_000, 1, 1)),
        ("POST", "/v1/purchases", purchase("A-1", 1_000, 1, 1)),
        ("GET", "/v1/promos", String::new()),
    ] {
        let headers = [("X-Api-Key", KEY), ("Content-Type", "application/json")];
        let refused = harness.call(method, path, &headers, body.as_bytes()).await;
        assert_eq!(refused.problem(), "403 partner_suspended -", "{method} {path}");
    }
    // The catalogue file knows nothing of it, so applying one opens nothing. Any record wakes the subscriber, which is out too.
    support::apply(&harness.engine, &support::every_kind_of_rule()).await;
    loop {
        match subscriber.next().await {
            Some(Ok(Message::Close(Some(frame)))) => break assert_eq!(u16::from(frame.code), 1008),
            Some(Ok(Message::Text(_))) => (),
            other => panic!("{other:?}"),
        }
    }
    drop(subscriber);
    assert_eq!(harness.post(&purchase("A-2", 1_000, 1, 1)).await.problem(), "403 partner_suspended -");

    let listed = harness.get("/v1/partners?tenant=journey").await.json();
    let grocer = listed["data"].as_array().unwrap().iter().find(|own| own["slug"] == "grocer").unwrap().clone();
    assert_eq!((&grocer["status"], &grocer["limits"]), (&closed["status"], &open["limits"]));
    let dir = harness.stop().await;

    let harness = Harness::start_in(dir, 128 * 1024 * 1024, |_| ()).await;
    assert_eq!(harness.post(&purchase("A-2", 1_000, 1, 1)).await.problem(), "403 partner_suspended -", "a start");
    assert_eq!(patch(&harness, &json!({ "status": "active" })).await.status, 200);
    assert_eq!(harness.post(&purchase("A-2", 1_000, 1, 1)).await.status, 201);
    let said: Vec<Value> = audit(&harness).await.into_iter().filter(|own| own["act"] == "partner_changed").collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert_eq!((&said[1]["seq"], &said[1]["by"]), (&json!(seq), &json!("operator")));
    assert_eq!((&said[1]["before"], &said[1]["after"], &said[1]["reason"]), (&open, &closed, &json!("chargebacks")));
    assert_eq!((&said[0]["before"], &said[0]["after"], &said[0]["reason"]), (&closed, &open, &Value::Null));
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_a_partners_own_and_answers_say_them() {
    let harness = Harness::start().await;
    let one = |text: &str| text.split("r=").nth(1).unwrap().split(';').next().unwrap().parse::<u32>().unwrap();
    let first = harness.post(&purchase("A-1", 1_000, 1, 1)).await;
    assert_eq!(first.header("ratelimit-policy"), Some("\"partner\";q=50000;w=1"));
    assert!(one(first.header("ratelimit").unwrap()) < 50_000);
    assert_eq!(harness.get("/v1/partners?tenant=journey").await.header("ratelimit"), None, "an operator has none");

    // No second is long enough for a thousand requests, one behind the other, at one a second.
    assert_eq!(patch(&harness, &json!({ "requests_per_second": 1 })).await.status, 200);
    let mut refused = None;
    for _ in 0..1_000 {
        let answer = harness.post(&purchase("A-1", 1_000, 1, 1)).await;
        assert_eq!(answer.header("ratelimit-policy"), Some("\"partner\";q=1;w=1"));
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("more than one in a second");
    assert_eq!(refused.problem(), "429 rate_limited -");
    assert_eq!((refused.header("retry-after"), refused.header("ratelimit")), (Some("1"), Some("\"partner\";r=0;t=1")));
    let told = refused.json();
    assert_eq!((&told["requests_per_second"], &told["retryable"]), (&json!(1), &json!(true)));
    assert_eq!(patch(&harness, &json!({ "requests_per_second": null, "requests_at_once": 7 })).await.status, 200);
    assert_eq!(harness.post(&purchase("A-1", 1_000, 1, 1)).await.status, 201);
    let listed = harness.get("/v1/partners?tenant=journey").await.json();
    let limits = json!({ "requests_per_second": null, "requests_at_once": 7 });
    assert!(listed["data"].as_array().unwrap().iter().any(|own| own["limits"] == limits), "{listed}");
    harness.stop().await;
}

/// What is under way takes a place until its answer is sent, a stream or a subscriber for as long as it lives.
#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_is_under_way_for_as_long_as_it_lives() {
    let harness = Harness::start().await;
    assert_eq!(patch(&harness, &json!({ "requests_at_once": 1 })).await.status, 200);
    let mut request = "ws://test/v1/stream".into_client_request().unwrap();
    request.headers_mut().insert("x-api-key", KEY.parse().unwrap());
    let stream = TcpStream::connect(harness.address).await.unwrap();
    let (mut subscriber, _) = client_async(request, stream).await.unwrap();
    assert_eq!(harness.post(&purchase("A-1", 1_000, 1, 1)).await.problem(), "429 too_many_at_once -");
    subscriber.close(None).await.unwrap();
    while subscriber.next().await.is_some() {}
    // The server lets go of the place after it has closed.
    while harness.post(&purchase("A-1", 1_000, 1, 1)).await.status == 429 {
        tokio::task::yield_now().await;
    }
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_partner_may_do_is_checked() {
    let harness = Harness::start().await;
    for (body, expected) in [
        (json!({ "status": "gone" }), "400 field_invalid /status"),
        (json!({ "requests_per_second": 0 }), "400 field_invalid /requests_per_second"),
        (json!({ "requests_per_second": -1 }), "400 field_invalid /requests_per_second"),
        (json!({ "requests_at_once": 1_000_001 }), "400 field_invalid /requests_at_once"),
        (json!({ "requests_at_once": true }), "400 field_invalid /requests_at_once"),
        (json!({ "reason": "" }), "400 field_invalid /reason"),
        (json!({ "name": "Other" }), "400 field_unknown /name"),
        (json!([]), "400 field_invalid "),
    ] {
        assert_eq!(patch(&harness, &body).await.problem(), expected, "{body}");
    }
    let nobody = harness.operator("PATCH", "/v1/partners/nobody?tenant=journey", "{}").await;
    assert_eq!(nobody.problem(), "404 partner_not_found -");
    assert_eq!(patch(&harness, &json!({})).await.json()["seq"], Value::Null);
    harness.free_bytes.store(0, std::sync::atomic::Ordering::SeqCst);
    // The disk is looked at anew with whatever is written.
    assert_eq!(harness.post(&purchase("A-1", 1_000, 1, 1)).await.status, 201);
    assert_eq!(patch(&harness, &json!({ "status": "suspended" })).await.problem(), "503 read_only -");
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn use_of_a_key_is_counted() {
    let harness = Harness::start_with(|_: &mut ServerConfig| ()).await;
    let keys = || async { harness.get("/v1/partners/grocer/api-keys?tenant=journey").await.json() };
    let before = keys().await;
    let own = &before["data"][0];
    assert_eq!((&own["requests"], &own["last_used_at"], &own["failures"]), (&json!(0), &Value::Null, &json!(0)));
    assert!(before["counted_since"].is_string());
    harness.post(&purchase("A-1", 1_000, 1, 1)).await;
    harness.post("{").await;
    let headers = [("X-Api-Key", KEY), ("X-Signature", "00")];
    assert_eq!(harness.call("GET", "/v1/promos", &headers, b"").await.status, 401);
    let after = keys().await;
    let own = &after["data"][0];
    assert_eq!((&own["requests"], &own["failures"]), (&json!(2), &json!(1)), "{own}");
    assert_eq!(own["last_failure"]["code"], "signature_unexpected");
    assert!(own["last_used_at"].as_str().unwrap() < own["last_failure"]["at"].as_str().unwrap(), "{own}");
    harness.stop().await;
}

/// Rules, keys and operations stand in one log, each with who did it.
#[tokio::test(flavor = "multi_thread")]
async fn the_log_says_who_did_what() {
    let harness = Harness::start().await;
    let booked = harness.post(&purchase("A-1", 1_000, 1, 1)).await.json();
    let customer = booked["customer"].as_str().unwrap();
    let adjust = json!({ "amount": 5, "direction": "credit", "reason": "sorry" }).to_string();
    let path = format!("/v1/customers/{customer}/wallets/0/adjustments?tenant=journey");
    let headers = [
        ("Authorization", "Bearer operator-token-of-tests"),
        ("Content-Type", "application/json"),
        ("Idempotency-Key", "k"),
    ];
    let adjusted = harness.call("POST", &path, &headers, adjust.as_bytes()).await;
    assert_eq!(adjusted.status, 201, "{}", adjusted.text());
    let said = audit(&harness).await;
    let acts: Vec<&str> = said.iter().map(|own| own["act"].as_str().unwrap()).collect();
    assert_eq!(acts, ["operation", "rules_applied", "api_key_given"], "the newest record first, and no purchase");
    assert_eq!((&said[0]["customer"], &said[0]["operation"]["type"]), (&json!(customer), &json!("adjust")));
    assert_eq!(said[0]["seq"], adjusted.json()["seq"]);
    assert_eq!((&said[2]["partner"], &said[2]["signed"]), (&json!("grocer"), &json!(false)));
    assert_eq!(said[1]["version"], 1);
    assert!(said.iter().all(|own| own["by"] == "operator" && own.get("role").is_none()));
    let page = harness.get("/v1/audit?tenant=journey&limit=1").await.json();
    assert_eq!(page["data"].as_array().unwrap().len(), 1);
    let next = page["next_cursor"].as_str().unwrap();
    let page = harness.get(&format!("/v1/audit?tenant=journey&cursor={next}")).await.json();
    assert_eq!(page["data"].as_array().unwrap().len(), 2);
    let headers = [("X-Api-Key", KEY)];
    assert_eq!(harness.call("GET", "/v1/audit", &headers, b"").await.problem(), "403 role_insufficient -");
    harness.stop().await;
}
