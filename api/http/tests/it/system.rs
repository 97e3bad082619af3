//! How the server is doing, over HTTP, and the check of the archive on request.

use std::time::Duration;

use crate::support::{Harness, purchase};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn it_tells_what_was_measured_and_what_is_where() {
    let harness = Harness::start().await;
    let fresh = harness.get("/v1/system").await.json();
    assert_eq!(fresh["decisions"]["p99_us"], Value::Null, "nothing was decided: {fresh}");
    assert_eq!((&fresh["status"], &fresh["clock"], &fresh["verification"]), (&json!("ok"), &json!("ok"), &Value::Null));
    let lines: Vec<String> = (1..=3).map(|index| purchase(&format!("P-{index}"), 200_000, 1, index)).collect();
    harness.stream(&lines.join("\n")).await;
    let dry = harness.post_to("/v1/purchases?dry_run=true", "application/json", &[], lines[0].as_bytes()).await;
    assert_eq!(dry.status, 200, "{}", dry.text());
    assert_eq!(harness.post(&purchase("P-4", 200_000, 1, 4)).await.status, 201);
    let seen = harness.get("/v1/system").await.json();
    assert_eq!(seen["decisions"]["count"], json!(4), "{seen}");
    let [p50, p99, max] = ["p50_us", "p99_us", "max_us"].map(|name| seen["decisions"][name].as_u64().unwrap());
    assert!(0 < p50 && p50 <= p99 && p99 <= max, "{seen}");
    assert!(fresh["syncs"]["count"].as_u64() < seen["syncs"]["count"].as_u64(), "{seen}");
    assert_eq!(seen["tail"]["records"], seen["as_of"]);
    // What was answered may not have given its room back yet.
    assert!(seen["in_flight"]["used"].as_u64() < seen["in_flight"]["room"].as_u64(), "{seen}");
    assert_eq!(seen["archive"]["segments"], json!(0));
    if cfg!(target_os = "linux") {
        let resident = seen["memory"]["resident_bytes"].as_u64().unwrap();
        assert!((1 << 20..1 << 36).contains(&resident), "{seen}");
    }
    harness.free_bytes.store(1, std::sync::atomic::Ordering::SeqCst);
    // The guard looks after each group.
    assert_eq!(harness.post(&purchase("P-5", 1_000, 1, 5)).await.status, 201);
    let full = harness.get("/v1/system").await.json();
    assert_eq!((&full["status"], &full["disk"]["free_bytes"]), (&json!("read_only"), &json!(1)));
    assert_eq!(harness.get("/v1/system?tenant=journey").await.problem(), "400 query_invalid -");
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_archive_is_checked_when_asked_for() {
    let harness = Harness::start().await;
    assert_eq!(harness.post(&purchase("P-1", 200_000, 1, 1)).await.status, 201);
    let archived = harness.operator("POST", "/v1/snapshots", "").await.json();
    let begun = harness.operator("POST", "/v1/system/verification", "").await;
    assert_eq!((begun.status, &begun.json()["state"]), (202, &json!("running")), "{}", begun.text());
    let over = async {
        loop {
            let seen = harness.get("/v1/system").await.json()["verification"].clone();
            if seen["state"] != "running" {
                return seen;
            }
        }
    };
    let seen = tokio::time::timeout(Duration::from_secs(60), over).await.unwrap();
    assert_eq!((&seen["state"], &seen["unread"]), (&json!("passed"), &Value::Null), "{seen}");
    assert_eq!((&seen["segments"], &seen["segments_checked"]), (&json!(1), &json!(1)));
    assert_eq!((&seen["through"], &seen["started_at"]), (&archived["seq"], &begun.json()["started_at"]));
    assert!(seen["started_at"].as_str() <= seen["ended_at"].as_str(), "{seen}");
    // It can be asked for again.
    assert_eq!(harness.operator("POST", "/v1/system/verification", "").await.status, 202);
    harness.stop().await;
}
