//! Subscribers of the real process through kills of both sides: by WebSocket and as event sources, alone and in batches.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::StreamExt as _;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::{JoinSet, yield_now};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::program::{OPERATOR_TOKEN, Server, sample_lines};

const SUBSCRIBERS: u64 = 200;
const KILLS: usize = 20;
/// Purchases that are sent in each life of the server.
const PURCHASES: usize = 25;

/// Chance from a seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// What a subscriber needs to know of the world.
#[derive(Clone)]
struct World {
    /// Where the server is, in this life.
    address: watch::Receiver<String>,
    /// The last position, once nothing more is sent.
    last: watch::Receiver<Option<u64>>,
    /// Messages that all subscribers have seen.
    seen: Arc<AtomicU64>,
}

enum Link {
    WebSocket(Box<WebSocketStream<TcpStream>>),
    EventSource(Lines<BufReader<TcpStream>>),
}

impl Link {
    /// Connects behind a position; `None` where there is no server at the moment.
    async fn open(address: &str, number: u64, after: u64) -> Option<Link> {
        let batch = if number.is_multiple_of(4) { 16 } else { 1 };
        let path = format!("/v1/stream?tenant=journey&after={after}&batch={batch}");
        let mut stream = TcpStream::connect(address).await.ok()?;
        let bearer = format!("Bearer {OPERATOR_TOKEN}");
        if number.is_multiple_of(2) {
            let mut request = format!("ws://{address}{path}").into_client_request().expect("a request");
            request.headers_mut().insert("authorization", bearer.parse().expect("a header"));
            return Some(Link::WebSocket(Box::new(client_async(request, stream).await.ok()?.0)));
        }
        let head =
            format!("GET {path} HTTP/1.0\r\nHost: a\r\nAccept: text/event-stream\r\nAuthorization: {bearer}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.ok()?;
        Some(Link::EventSource(BufReader::new(stream).lines()))
    }

    /// The next message; `None` once the server is gone.
    async fn message(&mut self) -> Option<Value> {
        let text = match self {
            Link::WebSocket(socket) => loop {
                match socket.next().await?.ok()? {
                    Message::Text(text) => break text.as_str().to_owned(),
                    Message::Close(_) => return None,
                    _ => (),
                }
            },
            Link::EventSource(lines) => loop {
                let line = lines.next_line().await.ok()??;
                if let Some(data) = line.strip_prefix("data: ") {
                    break data.to_owned();
                }
            },
        };
        // A kill may cut an event source in the middle of a line.
        serde_json::from_str(&text).ok()
    }
}

/// Sees everything once, in order, whatever is killed in between, and returns the position that it came to.
async fn subscribe(number: u64, mut world: World) -> u64 {
    let mut chance = Chance(number);
    let mut position = 0;
    loop {
        let address = world.address.borrow_and_update().clone();
        let Some(mut link) = Link::open(&address, number, position).await else {
            yield_now().await;
            continue;
        };
        // Or else it is the client that is killed.
        let messages = 1 + chance.below(150);
        for _ in 0..messages {
            let Some(message) = link.message().await else { break };
            if message["op"] != "ev" {
                assert_eq!((&message["op"], message["after"].as_u64()), (&"ready".into(), Some(position)), "{message}");
                continue;
            }
            for event in message["events"].as_array().expect("events") {
                let own: u64 = event["sequence"].as_str().and_then(|own| own.parse().ok()).expect("a position");
                assert!(own == position || own == position + 1, "subscriber {number} at {position} sees {own}");
                position = own;
            }
            assert_eq!(message["seq"], position);
            world.seen.fetch_add(1, Ordering::Relaxed);
            if *world.last.borrow() == Some(position) {
                return position;
            }
        }
    }
}

#[test]
fn r35_two_hundred_subscribers_see_every_position_once_through_kills() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let lines = sample_lines();
    let mut chance = Chance(35);
    let server = Server::start_with(dir.path(), &["--generation-bytes", "65536"]);
    server.apply_sample();
    let address_of = |server: &Server| server.url.trim_start_matches("http://").to_owned();
    let (address, addresses) = watch::channel(address_of(&server));
    let (last, lasts) = watch::channel(None);
    let seen = Arc::new(AtomicU64::new(0));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let mut subscribers = JoinSet::new();
    for number in 0..SUBSCRIBERS {
        let world = World { address: addresses.clone(), last: lasts.clone(), seen: Arc::clone(&seen) };
        subscribers.spawn_on(subscribe(number, world), runtime.handle());
    }
    let mut server = server;
    for (life, chunk) in lines.chunks(PURCHASES).take(KILLS).enumerate() {
        // Somewhere in the middle of what is sent and of what is seen: each that is answered is seen by most of them as a message.
        let until = 1 + chance.below(PURCHASES as u64) as usize;
        let before = seen.load(Ordering::Relaxed) + chance.below(SUBSCRIBERS / 2 * until as u64);
        let mut answered = 0;
        server.send(chunk, |_| {
            answered += 1;
            answered < until
        });
        while seen.load(Ordering::Relaxed) < before {
            // One that saw what it should not is not waited for.
            if let Some(ended) = subscribers.try_join_next() {
                panic!("a subscriber ended before its time: {ended:?}");
            }
            std::thread::yield_now();
        }
        server.kill();
        let shards = (1 + life % 3).to_string();
        server = Server::start_with(dir.path(), &["--shards", &shards, "--generation-bytes", "65536"]);
        address.send_replace(address_of(&server));
    }
    // A last one, which everybody waits for: its position is told before it is there, for nothing comes behind it.
    let head = 1 + server.get("/v1/reports/summary?tenant=journey")["as_of"].as_u64().expect("a position");
    last.send_replace(Some(head));
    assert!(server.send(&lines[KILLS * PURCHASES..][..1], |_| true));
    runtime.block_on(async {
        while let Some(position) = subscribers.join_next().await {
            assert_eq!(position.expect("it saw what it should"), head);
        }
    });
    server.stop();
}
