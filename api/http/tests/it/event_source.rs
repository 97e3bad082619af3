//! The event stream as an event source, in batches, and history page by page: the same events as by WebSocket, each once.

use crate::support;
use std::io::Read as _;
use std::time::Duration;

use crate::support::{Harness, KEY, Reply, TOKEN, purchase, sample};
use futures_util::StreamExt as _;
use kembali_http::Limits;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

/// A block of an event source: its id and its data, if it has them.
type Block = (Option<u64>, Option<Value>);

struct Source {
    lines: BufReader<TcpStream>,
}

impl Source {
    /// Asks for the stream, and reads up to the first message.
    async fn open(harness: &Harness, query: &str, headers: &str) -> Source {
        Source::over(TcpStream::connect(harness.address).await.unwrap(), query, headers).await
    }

    async fn over(mut stream: TcpStream, query: &str, headers: &str) -> Source {
        // The answer to 1.0 is not cut into chunks.
        let head =
            format!("GET /v1/stream?{query} HTTP/1.0\r\nHost: test\r\nAccept: text/event-stream\r\n{headers}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut source = Source { lines: BufReader::new(stream) };
        let (mut head, mut line) = (String::new(), String::new());
        while line != "\r\n" {
            line.clear();
            source.lines.read_line(&mut line).await.unwrap();
            head += &line;
        }
        assert!(head.starts_with("HTTP/1.0 200") && head.contains("text/event-stream"), "{head}");
        assert!(head.contains("x-request-id") && head.contains("cache-control: no-store"), "{head}");
        source
    }

    async fn operator(harness: &Harness, query: &str, headers: &str) -> Source {
        let query = format!("tenant=journey&{query}");
        Source::open(harness, &query, &format!("Authorization: Bearer {TOKEN}\r\n{headers}")).await
    }

    /// The next block; `None` at the end.
    async fn block(&mut self) -> Option<Block> {
        let mut block = (None, None);
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).await.unwrap() == 0 {
                return None;
            }
            match line.trim_end_matches('\n').split_once(": ") {
                Some(("id", id)) => block.0 = Some(id.parse().unwrap()),
                Some(("data", data)) => {
                    let message = serde_json::from_str(data).unwrap();
                    support::contract::check_named("StreamMessage", &message);
                    block.1 = Some(message);
                }
                Some(("retry", _)) => (),
                _ if line == "\n" => return Some(block),
                _ => panic!("{line:?}"),
            }
        }
    }

    /// The next message.
    async fn message(&mut self) -> Value {
        loop {
            if let (_, Some(message)) = self.block().await.unwrap() {
                return message;
            }
        }
    }

    /// The events up to the record at `last`, whose messages bear its position.
    async fn until(&mut self, last: u64) -> Vec<Value> {
        let mut events = Vec::new();
        loop {
            let (id, message) = self.block().await.unwrap();
            let Some(message) = message else { continue };
            if message["op"] == "ready" {
                continue;
            }
            assert_eq!((&message["op"], message["seq"].as_u64()), (&json!("ev"), id), "{message}");
            events.extend(message["events"].as_array().unwrap().iter().cloned());
            if last <= id.unwrap() {
                return events;
            }
        }
    }
}

/// What a WebSocket tells, up to the record at `last`.
async fn by_websocket(harness: &Harness, query: &str, last: u64) -> Vec<Value> {
    let mut request = format!("ws://test/v1/stream?tenant=journey&after=0&{query}").into_client_request().unwrap();
    request.headers_mut().insert("authorization", format!("Bearer {TOKEN}").parse().unwrap());
    let stream = TcpStream::connect(harness.address).await.unwrap();
    let (mut socket, _) = client_async(request, stream).await.unwrap();
    let mut frames: Vec<Value> = Vec::new();
    while frames.last().is_none_or(|own| own["seq"].as_u64().is_none_or(|seq| seq < last)) {
        if let Message::Text(text) = socket.next().await.unwrap().unwrap() {
            frames.push(serde_json::from_str(&text).unwrap());
        }
    }
    frames.remove(0);
    frames
}

fn flat(frames: &[Value]) -> Vec<Value> {
    frames.iter().flat_map(|frame| frame["events"].as_array().unwrap()).cloned().collect()
}

async fn book(harness: &Harness, name: &str, days: std::ops::RangeInclusive<u32>) -> u64 {
    let lines: Vec<String> = days.map(|day| purchase(&format!("{name}-{day}"), 200_000, 1, day)).collect();
    harness.stream(&lines.join("\n")).await;
    harness.engine.durable().0
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_source_tells_what_a_websocket_tells() {
    let harness = Harness::start().await;
    let mut early = Source::operator(&harness, "after=0", "").await;
    let ready = json!({ "op": "ready", "head": 1, "after": 0, "resume": "exact" });
    assert_eq!(early.block().await.unwrap(), (Some(0), Some(ready)));
    let middle = book(&harness, "A", 1..=14).await;
    let last = book(&harness, "B", 1..=14).await;
    let frames = by_websocket(&harness, "", last).await;
    assert_eq!(frames.len() as u64, last);
    let all = flat(&frames);
    assert_eq!(early.until(last).await, all);
    // Whoever comes again with the id that was seen last goes on there, whatever the address says.
    let later = Source::operator(&harness, "after=0", &format!("Last-Event-ID: {middle}\r\n")).await.until(last).await;
    assert!(later.len() < all.len());
    assert_eq!(later, all[all.len() - later.len()..]);
    assert_eq!(later[0]["sequence"], format!("{:020}", middle + 1));
    // Whoever was cut off before the first record has the position of `ready`.
    let (id, _) = Source::operator(&harness, "", "").await.block().await.unwrap();
    assert_eq!(id, Some(last));
    // From now on, without either.
    let mut from_now_on = Source::operator(&harness, "topics=purchase.*", "").await;
    assert_eq!(from_now_on.block().await.unwrap().1.unwrap()["after"], last);
    let next = book(&harness, "C", 1..=1).await;
    assert_eq!(from_now_on.until(next).await.len(), 1);
    harness.stop().await;
    assert!(from_now_on.block().await.is_none(), "a stop ends it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_tells_of_many_records_and_tears_none() {
    let harness = Harness::start().await;
    let last = book(&harness, "A", 1..=28).await;
    let all = flat(&by_websocket(&harness, "", last).await);
    for (batch, most) in [(1, 1), (7, 7), (256, last)] {
        let frames = by_websocket(&harness, &format!("batch={batch}"), last).await;
        assert_eq!(frames.len() as u64, last.div_ceil(most), "{batch}");
        assert_eq!(flat(&frames), all, "{batch}");
        for frame in &frames {
            let sequence = frame["events"].as_array().unwrap().last().unwrap()["sequence"].as_str().unwrap();
            assert_eq!(frame["seq"].as_u64(), sequence.parse().ok());
        }
        assert_eq!(Source::operator(&harness, &format!("after=0&batch={batch}"), "").await.until(last).await, all);
    }
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_event_source_says_where_it_is() {
    let every = Duration::from_millis(10);
    let limits = Limits { subscriber_ping_every: every, ..Limits::default() };
    let harness = Harness::start_with(|config| config.limits = limits).await;
    let mut source = Source::operator(&harness, "after=0&topics=tier.changed", "").await;
    assert!(source.block().await.unwrap().1.is_some());
    // What is not asked for moves it on, too.
    assert_eq!(source.block().await.unwrap(), (Some(1), None));
    let last = book(&harness, "A", 1..=1).await;
    let mut seen = 0;
    while seen < last {
        seen = source.block().await.unwrap().0.unwrap();
    }
    assert_eq!(source.block().await.unwrap(), (Some(last), None));
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_look_no_more_is_told_and_so_is_who_is_too_slow() {
    const LAG_MAX: u64 = 200;
    // Where nothing happens it is looked once in a while.
    let every = Duration::from_millis(50);
    let limits = Limits { subscriber_lag_max: LAG_MAX, subscriber_ping_every: every, ..Limits::default() };
    let harness = Harness::start_with(|config| config.limits = limits).await;
    let mut partner = Source::open(&harness, "after=0", &format!("X-Api-Key: {KEY}\r\n")).await;
    assert!(partner.block().await.is_some());
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4 * 1024).unwrap();
    let stream = socket.connect(harness.address).await.unwrap();
    let authorization = format!("Authorization: Bearer {TOKEN}\r\n");
    let mut stalled = Source::over(stream, "tenant=journey", &authorization).await;
    assert!(stalled.block().await.is_some());

    let packed = std::fs::File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/../demo/purchases.ndjson.gz")).unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(packed).read_to_string(&mut text).unwrap();
    let lines: Vec<&str> = text.lines().take(6_000).collect();
    for chunk in lines.chunks(100) {
        harness.stream(&chunk.join("\n")).await;
        // It keeps up meanwhile.
        partner.until(harness.engine.durable().0).await;
    }
    let mut seen = 1;
    let lag = loop {
        match stalled.block().await.unwrap() {
            (Some(id), None) => assert_eq!(id, seen),
            (Some(id), Some(_)) => {
                assert_eq!(id, seen + 1);
                seen = id;
            }
            (None, message) => break message.unwrap(),
        }
    };
    assert_eq!(lag, json!({ "op": "lag", "resume_after": seen }));
    assert!(seen + LAG_MAX < harness.engine.durable().0 && stalled.block().await.is_none());

    let suspended = harness.operator("PATCH", "/v1/partners/grocer?tenant=journey", r#"{"status":"suspended"}"#).await;
    assert_eq!(suspended.status, 200, "{}", suspended.text());
    let farewell = loop {
        let (_, message) = partner.block().await.unwrap();
        if let Some(message) = message.filter(|own| own["op"] != "ev") {
            break message;
        }
    };
    assert_eq!((&farewell["op"], &farewell["code"]), (&json!("error"), &json!("api_key_unknown")));
    assert!(partner.block().await.is_none());
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_left_gives_the_place_back() {
    let limits = Limits { subscribers_max: 1, subscriber_ping_every: Duration::from_millis(10), ..Limits::default() };
    let harness = Harness::start_with(|config| config.limits = limits).await;
    let authorization = format!("Authorization: Bearer {TOKEN}\r\n");
    let knock = async || {
        let mut stream = TcpStream::connect(harness.address).await.unwrap();
        let head = format!(
            "GET /v1/stream?tenant=journey HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n{authorization}\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut start = [0; 12];
        stream.read_exact(&mut start).await.unwrap();
        (String::from_utf8_lossy(&start).into_owned(), stream)
    };
    let (first, stream) = knock().await;
    assert_eq!(first, "HTTP/1.1 200");
    assert_eq!(knock().await.0, "HTTP/1.1 503");
    drop(stream);
    while knock().await.0 != "HTTP/1.1 200" {
        tokio::task::yield_now().await;
    }
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_a_problem() {
    let harness = Harness::start().await;
    let check = async |method: &str, query: &str, headers: &str| {
        let mut stream = TcpStream::connect(harness.address).await.unwrap();
        let head = format!("{method} /v1/stream?{query} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{headers}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes).await;
        Reply::parse(&bytes).problem()
    };
    let accept = "Accept: text/html, text/event-stream;q=0.9\r\n";
    let own = format!("X-Api-Key: {KEY}\r\n");
    for other in ["", "Accept: text/event-stream;q=0\r\n", "Accept: text/html\r\n"] {
        assert_eq!(check("GET", "", &format!("{own}{other}")).await, "426 upgrade_required -", "{other}");
    }
    // Which media it takes is written in any case, and another protocol that is offered is no WebSocket.
    let offers = "Accept: Text/Event-Stream\r\nUpgrade: h2c\r\n";
    assert_eq!(check("GET", "after=99", &format!("{own}{offers}")).await, "409 after_ahead -");
    assert_eq!(check("GET", "", accept).await, "401 credentials_missing -");
    for (query, more, expected) in [
        ("after=x", "", "400 query_invalid -"),
        ("after=99", "", "409 after_ahead -"),
        ("batch=0", "", "400 query_invalid -"),
        ("batch=257", "", "400 query_invalid -"),
        ("topics=nothing", "", "400 query_invalid -"),
        ("tenant=other", "", "404 tenant_not_found -"),
        ("", "Last-Event-ID: x\r\n", "400 query_invalid -"),
        ("", "Last-Event-ID: +1\r\n", "400 query_invalid -"),
        ("after=x", "Last-Event-ID: 1\r\n", "400 query_invalid -"),
        ("after=0", "Last-Event-ID: 99\r\n", "409 after_ahead -"),
    ] {
        assert_eq!(check("GET", query, &format!("{own}{accept}{more}")).await, expected, "{query} {more}");
    }
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sums_begin_with_a_snapshot_and_only_the_newest_are_sent() {
    // Nothing is new for long; below nothing is old for long.
    watch(Duration::from_millis(10), true).await;
    watch(Duration::from_secs(3_600), false).await;
}

/// Watches 300 purchases, to the end and up to the sums of the end if those come at all.
async fn watch(gauge_every: Duration, comes_to_the_end: bool) {
    let limits = Limits { gauge_every, ..Limits::default() };
    let harness = Harness::start_with(|config| config.limits = limits).await;
    let before = book(&harness, "A", 1..=3).await;
    let mut source = Source::operator(&harness, "gauges=true&topics=purchase.*", "").await;
    let mut request = "ws://test/v1/stream?tenant=journey&gauges=true&topics=purchase.*".into_client_request().unwrap();
    request.headers_mut().insert("authorization", format!("Bearer {TOKEN}").parse().unwrap());
    let stream = TcpStream::connect(harness.address).await.unwrap();
    let (mut socket, _) = client_async(request, stream).await.unwrap();
    let mut frame = async || loop {
        if let Message::Text(text) = socket.next().await.unwrap().unwrap() {
            let message: Value = serde_json::from_str(&text).unwrap();
            support::contract::check_named("StreamMessage", &message);
            return message;
        }
    };
    let lines: Vec<String> = (0..300).map(|number| purchase(&format!("B-{number}"), 200_000, 1, 4)).collect();
    for chunk in lines.chunks(30) {
        harness.stream(&chunk.join("\n")).await;
    }
    let last = harness.engine.durable().0;
    let summary = harness.get("/v1/reports/summary?tenant=journey").await.json();
    assert_eq!((&summary["accepted"], &summary["as_of"]), (&json!(303), &json!(last)));
    for by_websocket in [true, false] {
        let mut next = async || if by_websocket { frame().await } else { source.message().await };
        let ready = next().await;
        assert_eq!((&ready["after"], &ready["resume"]), (&json!(before), &json!("snapshot")), "{ready}");
        let first = next().await;
        assert_eq!((&first["op"], &first["summary"]["as_of"]), (&json!("gauge"), &json!(before)), "{first}");
        assert_eq!(first["summary"]["accepted"], 3);
        let (mut events, mut gauges, mut seen) = (0, Vec::new(), before);
        while seen < last || (comes_to_the_end && gauges.last() != Some(&last)) {
            let message = next().await;
            match message["op"].as_str().unwrap() {
                "ev" => {
                    // Each one that the first sums did not know, and no other.
                    assert_eq!(message["seq"], seen + 1);
                    (seen, events) = (seen + 1, events + 1);
                }
                "gauge" => {
                    gauges.push(message["summary"]["as_of"].as_u64().unwrap());
                    if gauges.last() == Some(&last) {
                        assert_eq!(message["summary"], summary);
                    }
                }
                _ => panic!("{message}"),
            }
        }
        assert_eq!(events, 300);
        assert!(gauges.is_sorted_by(|one, two| one < two) && gauges.is_empty() != comes_to_the_end, "{gauges:?}");
    }
    // From a position on, nothing is a snapshot; and sums are for operators.
    let mut resumed = Source::operator(&harness, "gauges=true&after=2", "").await;
    let ready = resumed.message().await;
    assert_eq!((&ready["after"], &ready["resume"]), (&json!(2), &json!("exact")));
    let own = [("X-Api-Key", KEY), ("Accept", "text/event-stream")];
    let refused = harness.call("GET", "/v1/stream?gauges=true", &own, b"").await;
    assert_eq!(refused.problem(), "403 role_insufficient -");
    drop((socket, source, resumed));
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn history_comes_page_by_page() {
    let harness = Harness::start().await;
    let last = book(&harness, "A", 1..=28).await;
    let all = flat(&by_websocket(&harness, "", last).await);
    for limit in [1, 7, 100] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("/v1/events?tenant=journey&limit={limit}{cursor}");
            let page = harness.get(&path).await.json();
            let data = page["data"].as_array().unwrap();
            // A record is never torn apart.
            let first_of_last = data.iter().rfind(|own| own["id"].as_str().unwrap().ends_with("-0")).unwrap();
            assert!(data.iter().position(|own| own == first_of_last).unwrap() < limit, "{limit}");
            seen.extend(data.iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break assert_eq!(page["as_of"], last),
            }
        }
        assert_eq!(seen, all, "{limit}");
    }
    let none = json!({ "data": [], "next_cursor": null, "as_of": last });
    assert_eq!(harness.get(&format!("/v1/events?tenant=journey&after={last}")).await.json(), none);
    // Topics, and a cursor that is good for them alone.
    let tiers = harness.get("/v1/events?tenant=journey&topics=tier.changed&limit=2").await.json();
    let expected: Vec<&Value> = all.iter().filter(|own| own["type"] == "tier.changed").take(2).collect();
    assert_eq!(tiers["data"].as_array().unwrap().iter().collect::<Vec<_>>(), expected);
    let next = tiers["next_cursor"].as_str().unwrap();
    let other = harness.get(&format!("/v1/events?tenant=journey&topics=wallet.entry&cursor={next}")).await;
    assert_eq!(other.problem(), "400 cursor_invalid -");
    let both = harness.get(&format!("/v1/events?tenant=journey&after=1&topics=tier.changed&cursor={next}")).await;
    assert_eq!(both.problem(), "400 query_invalid -");
    let ahead = harness.get(&format!("/v1/events?tenant=journey&after={}", last + 1)).await;
    assert_eq!(ahead.problem(), "409 after_ahead -");
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn history_is_for_whoever_it_is_of() {
    let harness = Harness::start().await;
    let mut other = sample();
    other.tenant.slug = "other".to_owned();
    other.partners.clear();
    support::apply(&harness.engine, &other).await;
    let baker = r#"{"slug":"baker","name":"The Baker","api_key":"baker-test-key"}"#;
    assert_eq!(harness.operator("POST", "/v1/partners?tenant=journey", baker).await.status, 201);
    book(&harness, "A", 1..=3).await;
    let partner = async |key: &str, query: &str| {
        harness.call("GET", &format!("/v1/events?{query}"), &[("X-Api-Key", key)], b"").await
    };
    let sources = |page: &Value| -> Vec<String> {
        page["data"].as_array().unwrap().iter().map(|own| own["type"].as_str().unwrap().to_owned()).collect()
    };
    let own = sources(&partner(KEY, "").await.json());
    assert_eq!(own.iter().filter(|own| *own == "purchase.accepted").count(), 3);
    assert!(!own.contains(&"catalogue.applied".to_owned()));
    assert_eq!(sources(&partner("baker-test-key", "").await.json()), [""; 0], "nothing of another partner's");
    assert_eq!(partner(KEY, "tenant=other").await.problem(), "404 tenant_not_found -");
    let of_other = harness.get("/v1/events?tenant=other").await.json();
    assert_eq!(sources(&of_other), ["catalogue.applied"]);
    assert_eq!(of_other["data"][0]["source"], "/tenants/other");
    assert_eq!(harness.call("GET", "/v1/events", &[], b"").await.problem(), "401 credentials_missing -");
    harness.stop().await;
}
