//! The event stream over real sockets: exact order, exact resume, the walls between callers, and slow subscribers.

use crate::support;
use std::collections::BTreeSet;
use std::io::Read as _;
use std::time::Duration;

use crate::support::{Harness, KEY, TOKEN, purchase, sample};
use futures_util::{SinkExt as _, StreamExt as _};
use kembali_http::Limits;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::{WebSocketStream, client_async};

const BAKER: &str = "baker-test-key";

struct Client {
    socket: WebSocketStream<TcpStream>,
    /// What came first.
    ready: Value,
}

impl Client {
    async fn over(stream: TcpStream, path: &str, header: (&'static str, &str)) -> Client {
        let mut request = format!("ws://test{path}").into_client_request().unwrap();
        request.headers_mut().insert(header.0, header.1.parse().unwrap());
        let (socket, response) = client_async(request, stream).await.unwrap();
        assert_eq!(response.status().as_u16(), 101);
        assert!(response.headers().contains_key("x-request-id"));
        let mut client = Client { socket, ready: Value::Null };
        client.ready = client.frame().await;
        let resume = if path.contains("gauges") { "snapshot" } else { "exact" };
        assert_eq!((&client.ready["op"], &client.ready["resume"]), (&json!("ready"), &json!(resume)));
        client
    }

    async fn partner(harness: &Harness, key: &str, query: &str) -> Client {
        let stream = TcpStream::connect(harness.address).await.unwrap();
        Client::over(stream, &format!("/v1/stream?{query}"), ("x-api-key", key)).await
    }

    async fn operator(harness: &Harness, query: &str) -> Client {
        let stream = TcpStream::connect(harness.address).await.unwrap();
        let path = format!("/v1/stream?tenant=journey&{query}");
        Client::over(stream, &path, ("authorization", &format!("Bearer {TOKEN}"))).await
    }

    async fn message(&mut self) -> Message {
        self.socket.next().await.expect("a message").unwrap()
    }

    /// The next text.
    async fn frame(&mut self) -> Value {
        loop {
            match self.message().await {
                Message::Text(text) => {
                    let frame = serde_json::from_str(&text).unwrap();
                    support::contract::check_named("StreamMessage", &frame);
                    return frame;
                }
                Message::Ping(_) | Message::Pong(_) => (),
                other => panic!("{other:?}"),
            }
        }
    }

    /// The frames up to the record at `last`.
    async fn until(&mut self, last: u64) -> Vec<Value> {
        let mut frames = Vec::new();
        loop {
            let frame = self.frame().await;
            assert_eq!(frame["op"], "ev", "{frame}");
            let seq = seq_of(&frame);
            frames.push(frame);
            if last <= seq {
                assert_eq!(last, seq);
                return frames;
            }
        }
    }

    async fn say(&mut self, text: impl Into<Message>) -> Value {
        self.socket.send(text.into()).await.unwrap();
        self.frame().await
    }

    /// Reads on to the close frame, answers it, and says its code and reason.
    async fn closed(&mut self) -> (u16, String) {
        loop {
            match self.message().await {
                Message::Close(Some(frame)) => {
                    assert!(self.socket.next().await.is_none());
                    return (frame.code.into(), frame.reason.to_string());
                }
                Message::Close(None) => panic!("closed without a reason"),
                _ => (),
            }
        }
    }
}

fn seq_of(frame: &Value) -> u64 {
    frame["seq"].as_u64().unwrap()
}

fn seqs(frames: &[Value]) -> Vec<u64> {
    frames.iter().map(seq_of).collect()
}

fn types(frames: &[Value]) -> BTreeSet<String> {
    let events = frames.iter().flat_map(|frame| frame["events"].as_array().unwrap());
    events.map(|event| event["type"].as_str().unwrap().to_owned()).collect()
}

/// Books purchases on these days of March, one of which is refused.
async fn book(harness: &Harness, name: &str, days: std::ops::RangeInclusive<u32>) {
    let mut body = purchase(&format!("{name}-bad"), 0, 1, 1) + "\n";
    for day in days {
        body += &(purchase(&format!("{name}-{day}"), 200_000, 1, day) + "\n");
    }
    harness.stream(&body).await;
}

async fn with_baker() -> Harness {
    let harness = Harness::start().await;
    let baker = format!(r#"{{"slug":"baker","name":"The Baker","api_key":"{BAKER}"}}"#);
    assert_eq!(harness.operator("POST", "/v1/partners?tenant=journey", &baker).await.status, 201);
    harness
}

async fn book_as(harness: &Harness, key: &str, origin_id: &str, day: u32) -> Value {
    let headers = [("X-Api-Key", key), ("Content-Type", "application/json")];
    let body = purchase(origin_id, 200_000, 1, day);
    harness.call("POST", "/v1/purchases", &headers, body.as_bytes()).await.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn early_late_and_resumed_subscribers_see_the_same() {
    let harness = Harness::start().await;
    let mut early = Client::operator(&harness, "after=0").await;
    assert_eq!((&early.ready["head"], &early.ready["after"]), (&json!(1), &json!(0)));
    let mut from_now_on = Client::operator(&harness, "").await;
    assert_eq!(from_now_on.ready["after"], 1);
    book(&harness, "A", 1..=20).await;
    let last = harness.engine.durable().0;
    let all = early.until(last).await;
    assert_eq!(seqs(&all), (1..=last).collect::<Vec<u64>>(), "each record once, in order");
    let mut late = Client::operator(&harness, "after=0").await;
    assert_eq!(late.ready["head"], last);
    assert_eq!(late.until(last).await, all);
    assert_eq!(from_now_on.until(last).await, all[1..]);
    for after in [1, last / 2, last - 1] {
        let mut resumed = Client::operator(&harness, &format!("after={after}")).await;
        assert_eq!(resumed.until(last).await, all[usize::try_from(after).unwrap()..], "after {after}");
    }

    let mut ids = BTreeSet::new();
    for frame in &all {
        for event in frame["events"].as_array().unwrap() {
            let seq = seq_of(frame);
            assert_eq!(event["sequence"], format!("{seq:020}"));
            assert!(event["id"].as_str().unwrap().starts_with(&format!("{seq}-")), "{event}");
            assert!(ids.insert(event["id"].as_str().unwrap().to_owned()), "{event}");
            assert_eq!((&event["specversion"], &event["source"]), (&json!("1.0"), &json!("/tenants/journey")));
            if event["type"] == "purchase.accepted" {
                let path = format!("/v1/purchases/{}", event["data"]["id"].as_str().unwrap());
                assert_eq!(harness.get(&path).await.json(), event["data"], "the result as it is stored");
            }
        }
    }
    let expected = [
        "catalogue.applied",
        "customer.registered",
        "milestone.reached",
        "promo.applied",
        "purchase.accepted",
        "purchase.rejected",
        "tier.changed",
        "wallet.entry",
    ];
    assert_eq!(types(&all), expected.into_iter().map(str::to_owned).collect());

    // At the head: what comes next is next.
    let mut at_head = Client::operator(&harness, &format!("after={last}")).await;
    book_as(&harness, KEY, "next", 21).await;
    for client in [&mut at_head, &mut early, &mut late] {
        assert_eq!(seq_of(&client.frame().await), last + 1);
    }
    // A repeat is no record, so it is no event.
    book_as(&harness, KEY, "next", 21).await;
    book_as(&harness, KEY, "after that", 22).await;
    assert_eq!(seq_of(&at_head.frame().await), last + 2);
    drop((early, late, at_head, from_now_on));
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn restarts_of_everything_leave_no_gap_and_no_repeat() {
    const GENERATION_BYTES: u64 = 16 * 1024;
    let mut harness = Harness::start_in(tempfile::tempdir().unwrap(), GENERATION_BYTES, |_| ()).await;
    let mut seen: Vec<Value> = Vec::new();
    for round in 0..5 {
        let after = seen.last().map_or(0, seq_of);
        let mut client = Client::operator(&harness, &format!("after={after}")).await;
        let name = format!("round-{round}");
        let read_some = async {
            // Some of it while it is being booked; the rest in another life.
            for _ in 0..10 + round {
                let frame = client.frame().await;
                seen.push(frame);
            }
        };
        tokio::join!(book(&harness, &name, 1..=28), read_some);
        let (dir, closed) = tokio::join!(harness.stop(), client.closed());
        assert_eq!(closed.0, 1001);
        harness = Harness::start_in(dir, GENERATION_BYTES, |_| ()).await;
    }
    let last = harness.engine.durable().0;
    let mut client = Client::operator(&harness, &format!("after={}", seq_of(seen.last().unwrap()))).await;
    seen.extend(client.until(last).await);
    assert_eq!(seqs(&seen), (1..=last).collect::<Vec<u64>>());
    let mut whole = Client::operator(&harness, "after=0").await;
    assert_eq!(whole.until(last).await, seen, "and nothing reads otherwise afterwards");
    drop((client, whole));
    let dir = harness.stop().await;
    let archived = std::fs::read_dir(dir.path().join("archive")).unwrap().count();
    assert!(0 < archived, "part of it came out of the archive");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_leaves_gaps_in_seq_and_none_in_what_is_asked_for() {
    let harness = Harness::start().await;
    book(&harness, "A", 1..=20).await;
    let last = harness.engine.durable().0;
    let all = Client::operator(&harness, "after=0").await.until(last).await;
    let asked_for = |frame: &Value| -> Option<Value> {
        let mut frame = frame.clone();
        let is_asked_for = |event: &Value| {
            let topic = event["type"].as_str().unwrap();
            topic == "tier.changed" || topic == "purchase.rejected" || topic.starts_with("milestone.")
        };
        frame["events"].as_array_mut().unwrap().retain(is_asked_for);
        (!frame["events"].as_array().unwrap().is_empty()).then_some(frame)
    };
    let expected: Vec<Value> = all.iter().filter_map(asked_for).collect();
    assert!(3 < expected.len() && expected.len() < all.len());
    let query = "after=0&topics=tier.changed,milestone.*,purchase.rejected";
    let mut client = Client::operator(&harness, query).await;
    assert_eq!(client.until(seq_of(expected.last().unwrap())).await, expected);
    let changes: Vec<&Value> = expected
        .iter()
        .flat_map(|frame| frame["events"].as_array().unwrap())
        .filter(|event| event["type"] == "tier.changed")
        .collect();
    assert_eq!(changes[0]["data"]["remark"], "first_transaction");
    assert!(changes[1..].iter().all(|event| event["data"]["before"]["level"] != event["data"]["after"]["level"]));
    // A purchase that is booked is nothing to this subscriber; the refusal behind it is.
    let mut refusals = Client::operator(&harness, &format!("after={last}&topics=purchase.rejected")).await;
    harness.post(&purchase("silent", 1_000, 1, 20)).await;
    harness.post(&purchase("refused", 0, 1, 20)).await;
    assert_eq!(seq_of(&refusals.frame().await), last + 2);
    drop((client, refusals));
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_sees_what_is_another_s() {
    let harness = with_baker().await;
    let mut other = sample();
    other.tenant.slug = "other".to_owned();
    other.partners.clear();
    let mut grocer = Client::partner(&harness, KEY, "after=0").await;
    for day in 1..=6 {
        book_as(&harness, KEY, &format!("g-{day}"), day).await;
        book_as(&harness, BAKER, &format!("b-{day}"), day).await;
        harness.post(&purchase(&format!("refused-{day}"), 0, 1, day)).await;
    }
    support::apply(&harness.engine, &other).await;
    book_as(&harness, BAKER, "b-last", 7).await;
    book_as(&harness, KEY, "g-last", 7).await;
    let last = harness.engine.durable().0;
    let own = grocer.until(last).await;
    assert_eq!(own.len(), 13);
    let partner_of = |frame: &Value| {
        let mut events = frame["events"].as_array().unwrap().iter();
        events.find_map(|event| event["data"]["partner"].as_str()).unwrap().to_owned()
    };
    assert!(own.iter().all(|frame| partner_of(frame) == "grocer"));
    let baked = Client::partner(&harness, BAKER, "after=0").await.until(last - 1).await;
    assert_eq!(baked.len(), 7);
    assert!(baked.iter().all(|frame| partner_of(frame) == "baker"));
    assert!(!types(&own).contains("catalogue.applied"));

    let whole = Client::operator(&harness, "after=0").await.until(last).await;
    assert!(whole.iter().all(|frame| frame["events"][0]["source"] == "/tenants/journey"));
    // Every record but the other tenant's.
    assert_eq!(whole.len() as u64, last - 1);
    let stream = TcpStream::connect(harness.address).await.unwrap();
    let bearer = format!("Bearer {TOKEN}");
    let mut client = Client::over(stream, "/v1/stream?tenant=other&after=0", ("authorization", &bearer)).await;
    let applied = client.frame().await;
    assert_eq!(applied["events"].as_array().unwrap().len(), 1);
    assert_eq!(applied["events"][0]["source"], "/tenants/other");
    drop((grocer, client));
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_a_problem() {
    let harness = with_baker().await;
    let websocket = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    // Sends the headers as they are, without the ones of the ordinary client, and says the problem.
    let check = async |query: &str, more: &[(&str, &str)], left_out: &str| {
        let mut head = format!("GET /v1/stream{query} HTTP/1.1\r\nHost: test\r\n");
        let kept = websocket.iter().filter(|(name, _)| *name != left_out);
        for (name, value) in kept.chain(more) {
            head += &format!("{name}: {value}\r\n");
        }
        let mut stream = TcpStream::connect(harness.address).await.unwrap();
        stream.write_all((head + "\r\n").as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        support::Reply::parse(&bytes)
    };
    let key = ("X-Api-Key", KEY);
    let bearer = format!("Bearer {TOKEN}");
    let token = ("Authorization", bearer.as_str());
    for (query, credentials, expected) in [
        ("", vec![], "401 credentials_missing -"),
        ("", vec![("X-Api-Key", "somebody else's")], "401 api_key_unknown -"),
        ("", vec![token], "400 query_invalid -"),
        ("?tenant=nobody", vec![token], "404 tenant_not_found -"),
        ("?tenant=nobody", vec![key], "404 tenant_not_found -"),
        ("?after=garbage", vec![key], "400 query_invalid -"),
        ("?after=-1", vec![key], "400 query_invalid -"),
        ("?after=99999999999999999999", vec![key], "400 query_invalid -"),
        ("?after=1000", vec![key], "409 after_ahead -"),
        ("?topics=mail.*", vec![key], "400 query_invalid -"),
        ("?topics=", vec![key], "400 query_invalid -"),
        ("?topic=tier.changed", vec![key], "400 query_invalid -"),
    ] {
        assert_eq!(check(query, &credentials, "").await.problem(), expected, "{query} {credentials:?}");
    }
    for (left_out, more, expected) in [
        ("Upgrade", None, "426 upgrade_required -"),
        ("Connection", None, "426 upgrade_required -"),
        ("Sec-WebSocket-Version", None, "400 websocket_handshake_invalid -"),
        ("Sec-WebSocket-Version", Some("12"), "426 websocket_version_unsupported -"),
        ("Sec-WebSocket-Key", None, "400 websocket_handshake_invalid -"),
        ("Sec-WebSocket-Key", Some("short"), "400 websocket_handshake_invalid -"),
    ] {
        let mut headers = vec![key];
        headers.extend(more.map(|value| (left_out, value)));
        let reply = check("", &headers, left_out).await;
        assert_eq!(reply.problem(), expected, "{left_out} {more:?}");
        let is_426 = reply.status == 426;
        assert_eq!(reply.header("sec-websocket-version"), is_426.then_some("13"));
        assert_eq!(reply.header("upgrade"), is_426.then_some("websocket"));
    }
    let ahead = check("?after=1000", &[key], "").await.json();
    assert_eq!((&ahead["after"], &ahead["head"]), (&json!(1000), &json!(2)));
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_says_is_answered() {
    let harness = Harness::start().await;
    let mut client = Client::partner(&harness, KEY, "").await;
    assert_eq!(client.say(r#"{"op":"ping"}"#).await, json!({ "op": "pong" }));
    for (said, code) in [
        (Message::text("hello"), "malformed_json"),
        (Message::text(r#"{"op":"sub","topics":["*"]}"#), "operation_unknown"),
        (Message::binary(&b"{}"[..]), "operation_unknown"),
    ] {
        let answer = client.say(said).await;
        assert_eq!((&answer["op"], &answer["code"]), (&json!("error"), &json!(code)), "{answer}");
    }
    client.socket.send(Message::Ping(b"mine"[..].to_vec().into())).await.unwrap();
    assert_eq!(client.message().await, Message::Pong(b"mine"[..].to_vec().into()));
    book_as(&harness, KEY, "A-1", 1).await;
    assert_eq!(client.frame().await["seq"], 2, "and events go on");
    client.socket.send(Message::text("x".repeat(4 * 1024 + 1))).await.unwrap();
    assert_eq!(client.closed().await.0, 1009);

    let mut leaving = Client::partner(&harness, KEY, "").await;
    leaving.socket.close(None).await.unwrap();
    assert!(matches!(leaving.message().await, Message::Close(_)));
    assert!(leaving.socket.next().await.is_none());
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_is_pinged_and_the_dead_are_cut_off() {
    let ping_every = Duration::from_millis(100);
    let configure = |config: &mut kembali_http::ServerConfig| config.limits.subscriber_ping_every = ping_every;
    let harness = Harness::start_in(tempfile::tempdir().unwrap(), 1 << 20, configure).await;
    // On a machine that is busy an answer may come too late, and the client is cut off for it: then another one tries.
    let mut clients = 0;
    let client = 'client: loop {
        clients += 1;
        assert!(clients <= 100, "no client that answers is kept");
        let mut client = Client::partner(&harness, KEY, "").await;
        for _ in 0..3 {
            // Reading answers it. A second ping comes only to whoever has answered the first.
            match client.socket.next().await {
                Some(Ok(Message::Ping(_))) => (),
                Some(Err(_)) | None => continue 'client,
                other => panic!("{other:?}"),
            }
        }
        break client;
    };
    // One that answers nothing.
    let mut dead = TcpStream::connect(harness.address).await.unwrap();
    let head = format!(
        "GET /v1/stream HTTP/1.1\r\nHost: test\r\nX-Api-Key: {KEY}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {}\r\n\r\n",
        generate_key()
    );
    dead.write_all(head.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    dead.read_to_end(&mut bytes).await.unwrap();
    assert!(bytes.ends_with(&[0x89, 0]), "the ping was the last thing");
    drop(client);
    harness.stop().await;
}

fn own_key() -> String {
    format!("X-Api-Key: {KEY}")
}

/// Asks for the stream, leaves, and returns the answer.
async fn knock(harness: &Harness, header: &str) -> support::Reply {
    let key = generate_key();
    let head = format!(
        "GET /v1/stream HTTP/1.1\r\nHost: test\r\n{header}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
    );
    let mut stream = TcpStream::connect(harness.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    support::Reply::parse(&bytes)
}

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_are_counted() {
    let configure = |config: &mut kembali_http::ServerConfig| config.limits.subscribers_max = 1;
    let harness = Harness::start_with(configure).await;
    let first = Client::partner(&harness, KEY, "").await;
    let refused = knock(&harness, &own_key()).await;
    assert_eq!(refused.problem(), "503 overloaded -");
    assert_eq!(refused.header("retry-after"), Some("1"));
    drop(first);
    // The place is free a moment after the connection has ended.
    while knock(&harness, &own_key()).await.status != 101 {
        tokio::task::yield_now().await;
    }
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_and_a_partner_have_so_many_places() {
    let configure = |config: &mut kembali_http::ServerConfig| {
        config.limits.subscribers_of_a_person_max = 2;
        config.limits.subscribers_of_a_partner_max = 1;
    };
    let dir = tempfile::tempdir().unwrap();
    let harness = Harness::start_on(dir, 128 * 1024 * 1024, Some([9; 32]), configure).await;
    let mut bearers = Vec::new();
    for username in ["desk", "counter"] {
        let account = json!({ "username": username, "password": "correct horse battery", "role": "operator" });
        let made = harness.operator("POST", "/v1/accounts?tenant=journey", &account.to_string()).await;
        assert_eq!(made.status, 201, "{}", made.text());
        let login = json!({ "tenant": "journey", "username": username, "password": "correct horse battery" });
        let login = harness.post_to("/v1/auth/login", "application/json", &[], login.to_string().as_bytes()).await;
        bearers.push(format!("Bearer {}", login.json()["access_token"].as_str().unwrap()));
    }
    let open = async |who: &String| {
        let stream = TcpStream::connect(harness.address).await.unwrap();
        Client::over(stream, "/v1/stream", ("authorization", who)).await
    };
    let [desk, counter] = &bearers[..] else { panic!("two") };
    let (first, second) = (open(desk).await, open(desk).await);
    let refused = knock(&harness, &format!("Authorization: {desk}")).await;
    assert_eq!(
        (refused.problem(), refused.json()["requests_at_once"].as_u64()),
        ("429 too_many_at_once -".into(), Some(2))
    );
    // Somebody else is not held up, nor is whoever holds the server's token.
    let other = open(counter).await;
    let server = [Client::operator(&harness, "").await, Client::operator(&harness, "").await];
    let third = Client::operator(&harness, "").await;
    drop(second);
    while knock(&harness, &format!("Authorization: {desk}")).await.status != 101 {
        tokio::task::yield_now().await;
    }
    let partner = Client::partner(&harness, KEY, "").await;
    assert_eq!(knock(&harness, &own_key()).await.problem(), "429 too_many_at_once -");
    drop((first, server, third, partner));
    // Whoever is out is told no sums any more either.
    let stream = TcpStream::connect(harness.address).await.unwrap();
    let mut watching = Client::over(stream, "/v1/stream?gauges=true", ("authorization", counter)).await;
    assert_eq!(watching.frame().await["op"], "gauge");
    let out = [("Authorization", counter.as_str())];
    assert_eq!(harness.call("POST", "/v1/auth/logout?everywhere=true", &out, b"").await.status, 200);
    assert_eq!(harness.post(&purchase("L-1", 200_000, 1, 1)).await.status, 201);
    assert_eq!(watching.closed().await.0, 1008);
    drop(other);
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r36_a_stalled_subscriber_is_told_and_nobody_else_notices() {
    const LAG_MAX: u64 = 200;
    let limits = Limits {
        subscriber_lag_max: LAG_MAX,
        // It wakes up late, and is to find the farewell then.
        subscriber_farewell_max: Duration::from_secs(600),
        ..Limits::default()
    };
    let harness = Harness::start_with(|config| config.limits = limits).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4 * 1024).unwrap();
    let stream = socket.connect(harness.address).await.unwrap();
    let bearer = format!("Bearer {TOKEN}");
    let path = "/v1/stream?tenant=journey&after=0";
    let mut stalled = Client::over(stream, path, ("authorization", &bearer)).await;
    let mut healthy = Client::operator(&harness, "after=0").await;

    let packed = std::fs::File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/../demo/purchases.ndjson.gz")).unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(packed).read_to_string(&mut text).unwrap();
    let lines: Vec<&str> = text.lines().take(6_000).collect();
    let mut seen = Vec::new();
    for chunk in lines.chunks(100) {
        let answers = harness.stream(&chunk.join("\n")).await;
        assert_eq!(answers.len(), chunk.len(), "ingest goes on");
        // It keeps up, so it is never far behind.
        seen.extend(healthy.until(harness.engine.durable().0).await);
    }
    let last = harness.engine.durable().0;
    assert_eq!(seqs(&seen), (1..=last).collect::<Vec<u64>>());

    let mut frames = Vec::new();
    let lag = loop {
        let frame = stalled.frame().await;
        if frame["op"] != "ev" {
            break frame;
        }
        frames.push(frame);
    };
    let resume_after = frames.last().map_or(0, seq_of);
    assert_eq!(lag, json!({ "op": "lag", "resume_after": resume_after }));
    assert!(resume_after + LAG_MAX < last, "it was told long before the end");
    assert_eq!(stalled.closed().await, (4008, format!("resume_after={resume_after}")));
    // A history of any length is caught up with, however far behind it begins.
    let mut resumed = Client::operator(&harness, &format!("after={resume_after}")).await;
    frames.extend(resumed.until(last).await);
    assert_eq!(frames, seen);
    drop((stalled, healthy, resumed));
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_takes_nothing_is_cut_off() {
    let limits = Limits {
        subscribers_max: 1,
        subscriber_stall_max: Duration::from_millis(100),
        subscriber_farewell_max: Duration::from_millis(100),
        ..Limits::default()
    };
    let harness = Harness::start_with(|config| config.limits = limits).await;
    let packed = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../demo/purchases.ndjson.gz")).unwrap();
    let headers = [("Content-Encoding", "gzip")];
    assert!(harness.post_to("/v1/purchases", "application/x-ndjson", &headers, &packed).await.whole);
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4 * 1024).unwrap();
    let stream = socket.connect(harness.address).await.unwrap();
    let path = "/v1/stream?tenant=journey&after=0";
    let mut stalled = Client::over(stream, path, ("authorization", &format!("Bearer {TOKEN}"))).await;
    // Its place is free once it is cut off.
    while knock(&harness, &own_key()).await.status != 101 {
        tokio::task::yield_now().await;
    }
    let last = harness.engine.durable().0;
    let mut position = 0;
    while let Some(Ok(Message::Text(text))) = stalled.socket.next().await {
        let frame: Value = serde_json::from_str(&text).unwrap();
        if frame["op"] == "ev" {
            assert_eq!(seq_of(&frame), position + 1, "what comes is still in order");
            position += 1;
        }
    }
    assert!(position < last);
    harness.stop().await;
}
