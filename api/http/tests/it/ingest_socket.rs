//! Purchases by WebSocket: answered in order as a stream answers them, each booked once, whatever breaks in between.

use crate::support;
use crate::support::{Harness, KEY, Reply, TOKEN, purchase};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{WebSocketStream, client_async};

struct Client(WebSocketStream<TcpStream>);

impl Client {
    async fn open(harness: &Harness) -> Client {
        let mut request = "ws://test/v1/purchases/stream".into_client_request().unwrap();
        request.headers_mut().insert("x-api-key", KEY.parse().unwrap());
        let stream = TcpStream::connect(harness.address).await.unwrap();
        let (socket, response) = client_async(request, stream).await.unwrap();
        assert!(response.headers().contains_key("x-request-id"));
        let mut client = Client(socket);
        let ready = client.answer().await;
        support::contract::check_named("IngestReady", &ready);
        assert_eq!(ready["op"], "ready");
        client
    }

    async fn send(&mut self, text: impl Into<String>) {
        self.0.send(Message::text(text.into())).await.unwrap();
    }

    async fn answer(&mut self) -> Value {
        match self.0.next().await.unwrap().unwrap() {
            Message::Text(text) => serde_json::from_str(&text).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// Reads on to the close frame, and says its code and what came before.
    async fn closed(&mut self) -> (u16, Vec<Value>) {
        let mut answers = Vec::new();
        loop {
            match self.0.next().await.unwrap().unwrap() {
                Message::Text(text) => answers.push(serde_json::from_str(&text).unwrap()),
                Message::Close(Some(frame)) => return (frame.code.into(), answers),
                other => panic!("{other:?}"),
            }
        }
    }
}

fn code(answer: &Value) -> String {
    let problem = &answer["problem"];
    format!("{} {}", answer["status"], problem["code"].as_str().unwrap_or("-"))
}

async fn accepted(harness: &Harness) -> Value {
    harness.get("/v1/reports/summary?tenant=journey").await.json()["accepted"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_frame_is_answered_by_one_as_a_stream_answers_a_line() {
    let harness = Harness::start().await;
    let mut client = Client::open(&harness).await;
    let one = |name: &str| purchase(name, 200_000, 1, 1);
    client.send(one("a")).await;
    client.send(format!(" [{},{},{}]", one("b"), purchase("bad", 0, 1, 1), one("c"))).await;
    for text in ["{", "", "[", "[]", "[1]", "null"] {
        client.send(text).await;
    }
    client.send(one("a")).await;
    client.send(purchase("a", 300_000, 1, 1)).await;
    let first = client.answer().await;
    assert_eq!(
        (&first["status"], &first["replayed"], &first["result"]["origin_id"]),
        (&json!(201), &json!(false), &json!("a"))
    );
    let array = client.answer().await;
    let codes: Vec<String> = array.as_array().unwrap().iter().map(code).collect();
    assert_eq!(codes, ["201 -", "422 amount_not_positive", "201 -"]);
    for expected in ["400 malformed_json", "400 malformed_json", "400 malformed_json"] {
        assert_eq!(code(&client.answer().await), expected);
    }
    assert_eq!(client.answer().await, json!([]));
    let inner = client.answer().await;
    assert_eq!(code(&inner[0]).split(' ').next(), Some("400"), "{inner}");
    assert_eq!(code(&client.answer().await).split(' ').next(), Some("400"));
    let again = client.answer().await;
    assert_eq!((&again["replayed"], &again["result"]), (&json!(true), &first["result"]));
    assert_eq!(code(&client.answer().await), "409 origin_id_conflict");
    // And by HTTP it is the same, to the byte.
    assert_eq!(harness.stream(&one("a")).await, [again]);
    assert_eq!(accepted(&harness).await, 3);
    let too_many = vec![one("a"); 1_001].join(",");
    client.send(format!("[{too_many}]")).await;
    assert_eq!(code(&client.answer().await), "413 body_too_large");
    client.0.close(None).await.unwrap();
    while client.0.next().await.is_some() {}
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_may_be_under_way_without_number_and_are_answered_in_order() {
    let harness = Harness::start().await;
    let client = Client::open(&harness).await;
    let (mut sink, mut stream) = client.0.split();
    let send = async {
        for number in 0..3_000_u32 {
            let text = purchase(&format!("p-{number}"), 1_000, 1, 1 + number % 28);
            let text = if number % 10 == 0 { format!("[{text}]") } else { text };
            sink.send(Message::text(text)).await.unwrap();
        }
    };
    let read = async {
        for number in 0..3_000_u32 {
            let Message::Text(text) = stream.next().await.unwrap().unwrap() else { panic!("no text") };
            let answer: Value = serde_json::from_str(&text).unwrap();
            let answer = if number % 10 == 0 { &answer[0] } else { &answer };
            assert_eq!(answer["result"]["origin_id"], format!("p-{number}"));
        }
    };
    tokio::join!(send, read);
    assert_eq!(accepted(&harness).await, 3_000);
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_answered_is_sent_again_and_booked_once() {
    let harness = Harness::start().await;
    let texts: Vec<String> = (0..200).map(|number| purchase(&format!("r-{number}"), 1_000, 1, 1)).collect();
    for cut in [1, 50, 120] {
        let mut client = Client::open(&harness).await;
        for text in &texts {
            client.send(text.clone()).await;
        }
        for text in &texts[..cut] {
            let answer = client.answer().await;
            assert!(text.contains(&format!("\"{}\"", answer["result"]["origin_id"].as_str().unwrap())));
        }
        // Gone without a word.
        drop(client);
    }
    let mut client = Client::open(&harness).await;
    for text in &texts {
        client.send(text.clone()).await;
        assert_eq!(client.answer().await["status"], 201);
    }
    assert_eq!(accepted(&harness).await, 200);
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_breaks_the_protocol_is_told_after_the_answers() {
    let harness = Harness::start().await;
    let unmasked = b"\x81\x02{}".to_vec();
    for (wrong, expected) in [
        (Some(Message::binary(vec![0, 1])), 1003),
        (Some(Message::text("x".repeat(1024 * 1024 + 1))), 1009),
        (None, 1002),
    ] {
        let mut client = Client::open(&harness).await;
        client.send(purchase("w", 1_000, 1, 1)).await;
        match wrong {
            Some(message) => drop(client.0.send(message).await),
            None => client.0.get_mut().write_all(&unmasked).await.unwrap(),
        }
        let (closed, answers) = client.closed().await;
        assert_eq!((closed, answers.len(), &answers[0]["status"]), (expected, 1, &json!(201)));
    }
    // A suspended partner's purchases are taken no more; the next one ends it.
    let mut client = Client::open(&harness).await;
    client.send(purchase("w", 1_000, 1, 1)).await;
    assert_eq!(client.answer().await["replayed"], true);
    let suspended = harness.operator("PATCH", "/v1/partners/grocer?tenant=journey", r#"{"status":"suspended"}"#).await;
    assert_eq!(suspended.status, 200);
    client.send(purchase("late", 1_000, 1, 1)).await;
    assert_eq!(client.closed().await, (1008, Vec::new()));
    assert_eq!(accepted(&harness).await, 1);
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_answers_what_was_read_and_says_so() {
    let harness = Harness::start().await;
    let mut client = Client::open(&harness).await;
    client.send(purchase("s", 1_000, 1, 1)).await;
    assert_eq!(client.answer().await["status"], 201);
    let (_, closed) = tokio::join!(harness.stop(), client.closed());
    assert_eq!(closed, (1001, Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_partner_s_right_handshake_is_accepted() {
    let harness = Harness::start().await;
    let check = async |query: &str, headers: &str| {
        let mut stream = TcpStream::connect(harness.address).await.unwrap();
        let head =
            format!("GET /v1/purchases/stream{query} HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\n{headers}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes).await;
        Reply::parse(&bytes).problem()
    };
    let upgrade = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let own = format!("X-Api-Key: {KEY}\r\n");
    let operator = format!("Authorization: Bearer {TOKEN}\r\n");
    assert_eq!(check("", &own).await, "426 upgrade_required -");
    assert_eq!(check("", upgrade).await, "401 api_key_missing -");
    assert_eq!(check("", &format!("{operator}{upgrade}")).await, "403 role_insufficient -");
    assert_eq!(check("?dry_run=true", &format!("{own}{upgrade}")).await, "400 query_invalid -");
    let old = upgrade.replace("13", "8");
    assert_eq!(check("", &format!("{own}{old}")).await, "426 websocket_version_unsupported -");
    harness.stop().await;
}
