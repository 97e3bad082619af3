//! A server whose engine or disk has no room: single purchases and new streams are refused, a running stream waits.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::support::{FREE_BYTES_MIN, Harness, KEY, Reply, purchase};
use kembali_http::{Limits, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_refused_within_a_stream() {
    let harness = Harness::start().await;
    let mut socket = TcpStream::connect(harness.address).await.unwrap();
    let head = format!(
        "POST /v1/purchases HTTP/1.1\r\nHost: test\r\nX-Api-Key: {KEY}\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    );
    let chunk = |origin_id: &str| {
        let line = purchase(origin_id, 1_000, 1, 1) + "\n";
        format!("{:x}\r\n{line}\r\n", line.len())
    };
    socket.write_all((head + &chunk("O-1")).as_bytes()).await.unwrap();
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("O-1") {
        assert_ne!(socket.read_buf(&mut seen).await.unwrap(), 0);
    }

    let room = harness.engine.pause().await.unwrap();
    for number in 2..=5 {
        socket.write_all(chunk(&format!("O-{number}")).as_bytes()).await.unwrap();
        let single = harness.post(&purchase("S", 1_000, 1, 1)).await;
        assert_eq!(single.problem(), "503 overloaded -");
        assert_eq!(single.header("retry-after"), Some("1"));
        let body = purchase("S", 1_000, 1, 1);
        let stream = harness.post_to("/v1/purchases", "application/x-ndjson", &[], body.as_bytes()).await;
        assert_eq!(stream.problem(), "503 overloaded -");
    }
    drop(room);

    socket.write_all(b"0\r\n\r\n").await.unwrap();
    socket.read_to_end(&mut seen).await.unwrap();
    let reply = Reply::parse(&seen);
    assert!(reply.whole);
    let origins: Vec<String> = reply
        .text()
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|line| line["result"]["origin_id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(origins, ["O-1", "O-2", "O-3", "O-4", "O-5"]);
    assert_eq!(harness.post(&purchase("S", 1_000, 1, 1)).await.header("idempotency-replayed"), None);
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_stops_in_mid_stream_breaks_the_answer_off() {
    let harness = Harness::start().await;
    let mut socket = TcpStream::connect(harness.address).await.unwrap();
    let head = format!(
        "POST /v1/purchases HTTP/1.1\r\nHost: test\r\nX-Api-Key: {KEY}\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    let chunk = |origin_id: &str| {
        let line = purchase(origin_id, 1_000, 1, 1) + "\n";
        format!("{:x}\r\n{line}\r\n", line.len())
    };
    socket.write_all((head + &chunk("E-1")).as_bytes()).await.unwrap();
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("E-1") {
        assert_ne!(socket.read_buf(&mut seen).await.unwrap(), 0);
    }
    harness.engine.stop().await.expect("it stops well");
    socket.write_all(chunk("E-2").as_bytes()).await.unwrap();
    // A reset is as good a sign as a connection that just ends.
    let _ = socket.read_to_end(&mut seen).await;
    let reply = Reply::parse(&seen);
    assert!(!reply.whole, "no end");
    assert_eq!(reply.text().lines().count(), 1, "and no line that is none");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_and_never_reads_is_cut_off_and_leaves_its_place() {
    let limits =
        Limits { connections_max: 1, write_stall_max: std::time::Duration::from_millis(100), ..Limits::default() };
    let harness = Harness::start_with(|config| config.limits = limits).await;
    let mut hog = TcpStream::connect(harness.address).await.unwrap();
    let requests = b"GET /problems/overloaded HTTP/1.1\r\nHost: test\r\n\r\n".repeat(64);
    // Until the server stops reading because nobody takes its answers, and then ends the connection for it.
    while hog.write_all(&requests).await.is_ok() {}
    // The only place is free again.
    assert_eq!(harness.post(&purchase("O-1", 1_000, 1, 1)).await.status, 201);
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r25_a_disk_that_runs_low_makes_the_server_read_only_until_there_is_room() {
    let harness = Harness::start().await;
    let mut socket = TcpStream::connect(harness.address).await.unwrap();
    let head = format!(
        "POST /v1/purchases HTTP/1.1\r\nHost: test\r\nX-Api-Key: {KEY}\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    );
    let chunk = |origin_id: &str| {
        let line = purchase(origin_id, 1_000, 1, 1) + "\n";
        format!("{:x}\r\n{line}\r\n", line.len())
    };
    socket.write_all((head + &chunk("F-1")).as_bytes()).await.unwrap();
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("F-1") {
        assert_ne!(socket.read_buf(&mut seen).await.unwrap(), 0);
    }

    harness.free_bytes.store(FREE_BYTES_MIN - 1, Ordering::SeqCst);
    // The disk is looked at after a commit, while there is room for what is under way.
    assert_eq!(harness.post(&purchase("F-2", 1_000, 1, 1)).await.status, 201);
    let refused = harness.post(&purchase("F-3", 1_000, 1, 1)).await;
    assert_eq!((refused.problem().as_str(), refused.header("retry-after")), ("503 read_only -", Some("1")));
    let body = purchase("F-3", 1_000, 1, 1);
    let stream = harness.post_to("/v1/purchases", "application/x-ndjson", &[], body.as_bytes()).await;
    assert_eq!(stream.problem(), "503 read_only -");
    let partner = r#"{"slug":"baker","name":"The Baker"}"#;
    assert_eq!(harness.operator("POST", "/v1/partners?tenant=journey", partner).await.problem(), "503 read_only -");
    assert_eq!(harness.operator("POST", "/v1/snapshots", "").await.problem(), "503 read_only -");
    // Reads go on, and so do questions.
    assert_eq!(harness.get("/v1/reports/summary?tenant=journey").await.json()["accepted"], 2);
    assert_eq!(harness.call("GET", "/readyz", &[], b"").await.text(), r#"{"status":"read_only"}"#);
    let dry_run = harness.post_to("/v1/purchases?dry_run=true", "application/json", &[], body.as_bytes()).await;
    assert_eq!(dry_run.status, 200);
    // A stream that is under way is not refused: it waits.
    socket.write_all((chunk("F-4") + "0\r\n\r\n").as_bytes()).await.unwrap();

    harness.free_bytes.store(FREE_BYTES_MIN * 2, Ordering::SeqCst);
    assert_eq!(harness.post(&body).await.status, 201, "it resumes by itself");
    socket.read_to_end(&mut seen).await.unwrap();
    let reply = Reply::parse(&seen);
    assert!(reply.whole && reply.text().contains("F-4"), "{}", reply.text());
    assert_eq!(harness.call("GET", "/readyz", &[], b"").await.text(), r#"{"status":"ok"}"#);
    assert_eq!(harness.get("/v1/reports/summary?tenant=journey").await.json()["accepted"], 4);
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r30_a_clock_that_jumps_makes_the_server_not_ready_and_takes_no_stamp_with_it() {
    const DAY_US: i64 = 86_400_000_000;
    let harness = Harness::start().await;
    let hour = async |origin_id: &str| {
        let booked = harness.post(&purchase(origin_id, 1_000, 1, 1)).await;
        assert_eq!(booked.status, 201, "purchases are booked all the same");
        booked.json()["received_at"].as_str().unwrap()[..13].to_owned()
    };
    let before = hour("C-1").await;
    for (number, error_us) in [DAY_US, -DAY_US, 400 * DAY_US].into_iter().enumerate() {
        harness.clock_error_us.store(error_us, Ordering::SeqCst);
        let ready = harness.call("GET", "/readyz", &[], b"").await;
        assert_eq!((ready.problem().as_str(), ready.header("retry-after")), ("503 clock_off -", Some("1")));
        assert_eq!(harness.call("GET", "/healthz", &[], b"").await.status, 200, "the process is up");
        assert_eq!(hour(&format!("C-{number}-off")).await, before, "by {error_us}");
        harness.clock_error_us.store(0, Ordering::SeqCst);
        assert_eq!(harness.call("GET", "/readyz", &[], b"").await.text(), r#"{"status":"ok"}"#, "by itself");
    }
    harness.stop().await;
}

/// Four places: three are taken by whoever says nothing, and the fourth is free again long before them.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_says_nothing_gives_way_where_few_places_are_left() {
    let configure = |config: &mut ServerConfig| {
        (config.limits.connections_max, config.limits.head_time_max) = (4, Duration::from_secs(12));
    };
    let harness = Harness::start_with(configure).await;
    let mut silent = Vec::new();
    for _ in 0..4 {
        silent.push(TcpStream::connect(harness.address).await.unwrap());
    }
    let mut last = silent.pop().unwrap();
    assert_eq!(last.read(&mut [0; 8]).await.unwrap(), 0);
    assert_eq!(harness.call("GET", "/healthz", &[], b"").await.status, 200);
    for first in silent {
        let read = first.try_read(&mut [0; 8]);
        assert_eq!(read.unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "it has its time");
    }
    harness.stop().await;
}
