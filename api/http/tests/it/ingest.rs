//! Booking purchases over real sockets: single ones, streams, and everything that can be wrong with them.

use std::io::Write as _;

use crate::support::{Harness, KEY, Reply, purchase};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purchase_its_repeat_and_a_conflict() {
    let harness = Harness::start().await;
    let first = harness.post(&purchase("A-1", 200_000, 1, 1)).await;
    assert_eq!(first.status, 201, "{}", first.text());
    assert_eq!(first.header("idempotency-replayed"), None);
    let result = first.json();
    assert_eq!(result["point_transaction"], 3_500);
    assert_eq!(result["tiers"][0]["remark"], "first_transaction");
    assert_eq!(result["at"], "2017-03-01T03:00:00Z");
    assert_eq!(result["balances"][0]["balance"], 3_500);

    // Other spellings of the same content are the same content.
    let spelled = purchase("A-1", 200_000, 1, 1).replace("200000", "\"200000\"").replace("10:00:00+07", "05:00:00+02");
    for body in [purchase("A-1", 200_000, 1, 1), spelled] {
        let again = harness.post(&body).await;
        assert_eq!(again.status, 201);
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        assert_eq!(again.body, first.body, "byte for byte");
    }
    let other = harness.post(&purchase("A-1", 200_001, 1, 1)).await;
    assert_eq!(other.problem(), "409 origin_id_conflict /origin_id");

    let id = result["id"].as_str().unwrap();
    let read = harness.get_as_partner(&format!("/v1/purchases/{id}")).await;
    assert_eq!(read.body, first.body);
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_and_dry_runs_book_nothing() {
    let harness = Harness::start().await;
    let refused = harness.post(&purchase("A-1", -5, 1, 1)).await;
    assert_eq!(refused.problem(), "422 amount_not_positive /amount");
    assert_eq!(refused.json()["amount"], -5);
    assert_eq!(refused.json()["replayed"], false);
    let again = harness.post(&purchase("A-1", -5, 1, 1)).await;
    assert_eq!(again.json()["replayed"], true);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));

    let body = purchase("A-1", 200_000, 1, 1);
    let dry = harness.post_to("/v1/purchases?dry_run=true", "application/json", &[], body.as_bytes()).await;
    assert_eq!(dry.status, 200, "{}", dry.text());
    assert_eq!((&dry.json()["id"], &dry.json()["seq"]), (&Value::Null, &Value::Null));
    assert_eq!(dry.json()["dry_run"], true);

    // The key is still free.
    assert_eq!(harness.post(&purchase("A-1", 200_000, 1, 1)).await.status, 201);
    let unknown = purchase("A-2", 1, 1, 1).replace("JOURNEY2017", "NONE");
    assert_eq!(harness.post(&unknown).await.problem(), "422 promo_unknown /promo_code");
    let summary = harness.get("/v1/reports/summary?tenant=journey").await.json();
    assert_eq!((&summary["accepted"], &summary["customers"]), (&json!(1), &json!(1)));
    assert_eq!(summary["rejected"], json!({ "promo_unknown": 1 }));
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_of_a_booked_purchase_names_no_record() {
    let harness = Harness::start().await;
    let mut booked = harness.post(&purchase("A-1", 200_000, 1, 1)).await.json();
    let path = "/v1/purchases?dry_run=true";
    let body = purchase("A-1", 200_000, 1, 1);
    let dry = harness.post_to(path, "application/json", &[], body.as_bytes()).await;
    assert_eq!(dry.status, 200, "{}", dry.text());
    assert_eq!(dry.header("idempotency-replayed"), Some("true"));
    for (member, value) in [("id", Value::Null), ("seq", Value::Null), ("dry_run", json!(true))] {
        booked[member] = value;
    }
    assert_eq!(dry.json(), booked, "all else is as it was booked");

    let other = purchase("A-1", 200_001, 1, 1);
    let conflict = harness.post_to(path, "application/json", &[], other.as_bytes()).await;
    assert_eq!(conflict.problem(), "409 origin_id_conflict /origin_id");
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_answers_in_order_with_broken_lines_in_their_places() {
    let harness = Harness::start().await;
    let long = format!("{{\"origin_id\":\"{}\"}}", "x".repeat(1024 * 1024));
    let body = [
        purchase("A-1", 200_000, 1, 1),
        "not json".to_owned(),
        String::new(),
        purchase("A-2", 0, 1, 1),
        long,
        purchase("A-1", 200_000, 1, 1),
        purchase("A-3", 200_000, 1, 2),
    ]
    .join("\n");
    let answers = harness.stream(&body).await;
    let told: Vec<String> = answers
        .iter()
        .map(|line| {
            let what = line["problem"]["code"].as_str().or(line["result"]["origin_id"].as_str()).unwrap();
            format!("{} {} {what}", line["status"], line["replayed"])
        })
        .collect();
    assert_eq!(
        told,
        [
            "201 false A-1",
            "400 false malformed_json",
            "422 false amount_not_positive",
            "413 false line_too_large",
            "201 true A-1",
            "201 false A-3",
        ]
    );
    assert_eq!(answers[0]["result"], answers[4]["result"]);
    assert_eq!(answers[5]["result"]["tiers"][0]["after"]["count"], 2);
    let single = harness.post(&purchase("A-1", 200_000, 1, 1)).await;
    assert_eq!(single.json(), answers[0]["result"]);
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_stream_keeps_its_order_over_many_chunks() {
    let harness = Harness::start().await;
    let lines: Vec<String> = (0..5_500).map(|number| purchase(&format!("L-{number}"), 1_000, 1, 1)).collect();
    let answers = harness.stream(&lines.join("\n")).await;
    assert_eq!(answers.len(), lines.len());
    for (number, answer) in answers.iter().enumerate() {
        assert_eq!(answer["result"]["origin_id"], format!("L-{number}"));
    }
    let seq = |answer: &Value| answer["result"]["seq"].as_u64().unwrap();
    assert!(answers.windows(2).all(|pair| seq(&pair[0]) < seq(&pair[1])), "booked in the order of the input");
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_answered_while_it_is_still_being_sent() {
    let harness = Harness::start().await;
    let mut socket = TcpStream::connect(harness.address).await.unwrap();
    let head = format!(
        "POST /v1/purchases HTTP/1.1\r\nHost: test\r\nX-Api-Key: {KEY}\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut seen = Vec::new();
    for number in 0..3 {
        let line = purchase(&format!("S-{number}"), 1_000, 1, 1) + "\n";
        socket.write_all(format!("{:x}\r\n{line}\r\n", line.len()).as_bytes()).await.unwrap();
        let wanted = format!("\"origin_id\":\"S-{number}\"");
        // The next line is sent only once this one was answered.
        while !String::from_utf8_lossy(&seen).contains(&wanted) {
            assert_ne!(socket.read_buf(&mut seen).await.unwrap(), 0, "closed before the answer");
        }
    }
    socket.write_all(b"0\r\n\r\n").await.unwrap();
    socket.read_to_end(&mut seen).await.unwrap();
    let reply = Reply::parse(&seen);
    assert!(reply.whole);
    assert_eq!(reply.text().lines().count(), 3);
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_stops_half_way_gets_no_end_and_its_whole_lines_are_booked() {
    let harness = Harness::start().await;
    let (one, two) = (purchase("H-1", 1_000, 1, 1), purchase("H-2", 1_000, 1, 1));
    let sent = format!("{one}\n{}", &two[..two.len() / 2]);
    let head = format!(
        "POST /v1/purchases HTTP/1.1\r\nHost: test\r\nX-Api-Key: {KEY}\r\nContent-Type: application/x-ndjson\r\nContent-Length: 100000\r\n\r\n"
    );
    let mut socket = TcpStream::connect(harness.address).await.unwrap();
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(sent.as_bytes()).await.unwrap();
    socket.shutdown().await.unwrap();
    let mut seen = Vec::new();
    let _ = socket.read_to_end(&mut seen).await;
    let reply = Reply::parse(&seen);
    assert!(!reply.whole, "no end: {}", reply.text());
    // What was whole is booked, whether or not the answer got through; what was cut off is not.
    assert_eq!(harness.post(&one).await.header("idempotency-replayed"), Some("true"));
    assert_eq!(harness.post(&two).await.header("idempotency-replayed"), None);

    let head = head.replace("x-ndjson", "json");
    let mut socket = TcpStream::connect(harness.address).await.unwrap();
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(purchase("H-3", 1_000, 1, 1).as_bytes()).await.unwrap();
    socket.shutdown().await.unwrap();
    let _ = socket.read_to_end(&mut Vec::new()).await;
    assert_eq!(harness.post(&purchase("H-3", 1_000, 1, 1)).await.header("idempotency-replayed"), None);
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gzip_of_both_kinds_and_damaged_gzip() {
    let harness = Harness::start().await;
    let gz = [("Content-Encoding", "gzip")];
    let (json, ndjson, path) = ("application/json", "application/x-ndjson", "/v1/purchases");
    let single = gzip(purchase("G-1", 1_000, 1, 1).as_bytes());
    assert_eq!(harness.post_to(path, json, &gz, &single).await.status, 201);
    let lines: String = (0..1_500).map(|number| purchase(&format!("Z-{number}"), 1_000, 1, 1) + "\n").collect();
    let reply = harness.post_to(path, ndjson, &gz, &gzip(lines.as_bytes())).await;
    assert_eq!(reply.text().lines().count(), 1_500);
    assert!(reply.whole);
    for media in [json, ndjson] {
        let cut = harness.post_to(path, media, &gz, &single[..single.len() - 9]).await;
        assert_eq!(cut.problem(), "400 content_encoding_invalid -");
        let noise = harness.post_to(path, media, &gz, b"no gzip").await;
        assert_eq!(noise.problem(), "400 content_encoding_invalid -");
    }
    let bomb = gzip(&vec![b' '; 64 * 1024 * 1024]);
    assert_eq!(harness.post_to(path, json, &gz, &bomb).await.problem(), "413 body_too_large -");
    let bomb = harness.post_to(path, ndjson, &gz, &bomb).await;
    assert_eq!(bomb.json()["problem"]["code"], "line_too_large");
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_blank_lines_is_refused_or_broken_off() {
    let harness = Harness::start().await;
    let (path, ndjson, gz) = ("/v1/purchases", "application/x-ndjson", [("Content-Encoding", "gzip")]);
    let blank = vec![b'\n'; 16 * 1024 * 1024];
    let refused = harness.post_to(path, ndjson, &gz, &gzip(&blank)).await;
    assert_eq!(refused.problem(), "400 blank_lines_too_many -");
    assert_eq!(refused.json()["bytes_max"], 65_536);
    // The lines before it are booked and answered, as before every fault.
    let mut lines: Vec<u8> =
        (0..1_000).flat_map(|n| (purchase(&format!("B-{n}"), 1_000, 1, 1) + "\n").into_bytes()).collect();
    lines.extend(blank);
    let broken = harness.post_to(path, ndjson, &gz, &gzip(&lines)).await;
    assert!(!broken.whole, "no end");
    let again = harness.post(&purchase("B-999", 1_000, 1, 1)).await;
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    harness.stop().await;
}

/// What is booked before a fault is answered, also where fault and lines arrive together.
#[tokio::test(flavor = "multi_thread")]
async fn a_fault_takes_no_answer_with_it() {
    let harness = Harness::start().await;
    let (path, ndjson) = ("/v1/purchases", "application/x-ndjson");
    let lines = |prefix: &str, count: usize| -> Vec<u8> {
        (0..count).flat_map(|n| (purchase(&format!("{prefix}-{n}"), 1_000, 1, 1) + "\n").into_bytes()).collect()
    };
    for (prefix, count) in [("X", 3), ("Y", 200), ("Z", 1_500)] {
        let body = [lines(prefix, count), vec![b' '; 70_000]].concat();
        let broken = harness.post_to(path, ndjson, &[], &body).await;
        assert_eq!((broken.text().lines().count(), broken.whole), (count, false), "{prefix}");
    }
    let mut cut = gzip(&lines("G", 5_000));
    cut.truncate(cut.len() - 8);
    let broken = harness.post_to(path, ndjson, &[("Content-Encoding", "gzip")], &cut).await;
    let answered = broken.text().lines().count();
    let summary = harness.get("/v1/reports/summary?tenant=journey").await.json();
    assert_eq!(summary["accepted"], 3 + 200 + 1_500 + answered, "{answered}");
    assert!(4_000 < answered && !broken.whole, "{answered} {}", broken.whole);
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_not_taken() {
    let harness = Harness::start().await;
    let good = purchase("B-1", 1_000, 1, 1);
    let (path, json) = ("/v1/purchases", "application/json");
    let post = async |path: &str, media: &str, more: &[(&str, &str)], body: &[u8]| {
        harness.post_to(path, media, more, body).await.problem()
    };
    assert_eq!(post(path, "text/plain", &[], good.as_bytes()).await, "415 media_type_unsupported -");
    let brotli = [("Content-Encoding", "br")];
    assert_eq!(post(path, json, &brotli, good.as_bytes()).await, "415 content_encoding_unsupported -");
    let large = format!("{good}{}", " ".repeat(1024 * 1024));
    assert_eq!(post(path, json, &[], large.as_bytes()).await, "413 body_too_large -");
    assert_eq!(post(path, json, &[], b"").await, "400 malformed_json -");
    assert_eq!(post("/v1/purchases?dry_rum=true", json, &[], good.as_bytes()).await, "400 query_invalid -");
    let stream = post("/v1/purchases?dry_run=true", "application/x-ndjson", &[], good.as_bytes()).await;
    assert_eq!(stream, "400 dry_run_on_stream -");
    assert_eq!(harness.post(&good).await.header("idempotency-replayed"), None, "nothing of it was booked");
    let empty = harness.post_to(path, "application/x-ndjson", &[], b"\n\n").await;
    assert_eq!((empty.status, empty.text()), (200, ""));
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_does_not_read_holds_up_itself_and_loses_nothing() {
    const LINES: usize = 64_000;
    let harness = Harness::start().await;
    let head = format!(
        "POST /v1/purchases HTTP/1.1\r\nHost: test\r\nX-Api-Key: {KEY}\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    );
    let socket = TcpStream::connect(harness.address).await.unwrap();
    let (mut reader, mut writer) = socket.into_split();
    writer.write_all(head.as_bytes()).await.unwrap();
    let sending = tokio::spawn(async move {
        // 64 MB up and 20 MB down: more than the buffers of both sides hold.
        let line = "x".repeat(1_023) + "\n";
        let text = line.repeat(64);
        for _ in 0..LINES / 64 {
            writer.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes()).await.unwrap();
        }
        writer.write_all(b"0\r\n\r\n").await.unwrap();
        writer
    });
    // Others are served meanwhile.
    for number in 0..10 {
        assert_eq!(harness.post(&purchase(&format!("other-{number}"), 1_000, 1, 1)).await.status, 201);
    }
    assert!(!sending.is_finished(), "the server reads on although nobody reads its answers");
    let mut seen = Vec::new();
    reader.read_to_end(&mut seen).await.unwrap();
    sending.await.unwrap();
    let reply = Reply::parse(&seen);
    assert!(reply.whole);
    assert_eq!(reply.text().lines().count(), LINES);
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_told_to_stop_finishes_what_it_is_at() {
    let mut harness = Harness::start().await;
    let head = format!(
        "POST /v1/purchases HTTP/1.1\r\nHost: test\r\nX-Api-Key: {KEY}\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    // One connection is idle, one is in the midst of a stream.
    let mut idle = TcpStream::connect(harness.address).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
    let mut idle_seen = Vec::new();
    while !String::from_utf8_lossy(&idle_seen).contains("ok") {
        idle.read_buf(&mut idle_seen).await.unwrap();
    }
    let mut socket = TcpStream::connect(harness.address).await.unwrap();
    socket.write_all(head.as_bytes()).await.unwrap();
    let chunk = |origin_id: &str| {
        let line = purchase(origin_id, 1_000, 1, 1) + "\n";
        format!("{:x}\r\n{line}\r\n", line.len())
    };
    socket.write_all(chunk("K-1").as_bytes()).await.unwrap();
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("K-1") {
        socket.read_buf(&mut seen).await.unwrap();
    }
    harness.tell_to_stop();
    assert_eq!(idle.read_buf(&mut idle_seen).await.unwrap(), 0, "the idle connection is closed");
    socket.write_all((chunk("K-2") + "0\r\n\r\n").as_bytes()).await.unwrap();
    socket.read_to_end(&mut seen).await.unwrap();
    let reply = Reply::parse(&seen);
    assert!(reply.whole);
    assert_eq!(reply.text().lines().count(), 2);
    harness.served().await;
    assert!(TcpStream::connect(harness.address).await.is_err(), "nobody listens any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_serves_many_requests() {
    let harness = Harness::start().await;
    let mut socket = TcpStream::connect(harness.address).await.unwrap();
    let mut seen = Vec::new();
    for number in 0..3 {
        let body = purchase(&format!("P-{number}"), 1_000, 1, 1);
        let head = format!(
            "POST /v1/purchases HTTP/1.1\r\nHost: test\r\nX-Api-Key: {KEY}\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        socket.write_all((head + &body).as_bytes()).await.unwrap();
        while !String::from_utf8_lossy(&seen).contains(&format!("P-{number}")) {
            assert_ne!(socket.read_buf(&mut seen).await.unwrap(), 0);
        }
    }
    assert_eq!(String::from_utf8_lossy(&seen).matches("HTTP/1.1 201").count(), 3);
    drop(socket);
    harness.stop().await;
}
