//! What comes from strangers, through the door that they use: a server of its own on a loopback socket, with everything turned on.
//!
//! A panic anywhere in the server ends the process, and so does an answer that says that the server failed. Requests change the
//! ledger that later ones meet.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use data_encoding::BASE64;
use kembali_adapters::{Dompet, KezBek, Loyaltea, Onetap};
use kembali_core::Instant;
use kembali_core::operation::Actor;
use kembali_engine::{ApplyRequest, Engine, EngineConfig};
use kembali_http::{Adapter, CatalogueFile, PartnerLimits, PeopleLimits, Secret, Server, ServerConfig};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// The rules that the server has, whose tenant each is, and who of its partners has a key.
const RULES: [(&str, &str, &str); 5] = [
    (include_str!("../../demo/full.toml"), "journey", "grocer"),
    (include_str!("../../demo/kezbek.toml"), "kezbek", "tokopedia"),
    (include_str!("../../demo/dompet.toml"), "sawit", "blackdoctrine"),
    (include_str!("../../demo/loyaltea.toml"), "meiwei", "events"),
    (include_str!("../../demo/onetap.toml"), "4f981b0b-accf-4eb7-8018-7cd651c7e907", "orders"),
];
/// What clients of other systems post: `a` is the first, `b` the second.
const POSTS: [&str; 29] = [
    "POST /promo/api/v1/try-config",
    "POST /customer/api/v1/try-new-customer",
    "POST /promo/api/v1/try-eligible",
    "POST /transaction/api/v1/generate-journey-id",
    "POST /authenticator/api/v1/login",
    "POST /partner/api/v1/try-new-partner",
    "POST /promo/api/v1/try-program",
    "POST /authenticator/api/v1/register",
    "POST /transaction/api/v1/new-transaction",
    "POST /wallet/api/v1/try-get-last-balance-history",
    "POST /wallet/api/v1/try-get-last-transaction",
    "POST /wallet/api/v1/try-new-transaction",
    "POST /buy-fulfillments/",
    "PUT /buy-fulfillments/0e41cc11-5e54-448b-a6ce-9c9a855ad207/",
    "POST /campaign",
    "POST /events/buy",
    "POST /events/tag",
    "POST /rewards/",
    "PATCH /rewards/0e41cc11-5e54-448b-a6ce-9c9a855ad207/",
    "POST /tag-fulfillments/",
    "POST /user/",
    "POST /v1/cashbacks?merchantID=4f981b0b-accf-4eb7-8018-7cd651c7e907",
    "PUT /v1/cashbacks/0e41cc11-5e54-448b-a6ce-9c9a855ad207?merchantID=4f981b0b-accf-4eb7-8018-7cd651c7e907",
    "POST /v1/merchants/customers/c/demote",
    "POST /order",
    "POST /v1/merchants/customers/c/promote",
    "POST /v1/signin",
    "POST /v1/merchants/4f981b0b-accf-4eb7-8018-7cd651c7e907/tiers",
    "PUT /v1/merchants/4f981b0b-accf-4eb7-8018-7cd651c7e907/tiers/Bronze",
];
const OPERATOR_TOKEN: &str = "operator-token-of-the-fuzzer";
const PASSWORD: &str = "a long password";
/// 2017-06-01T00:00:00Z, when the promos of the rules run.
const NOW_US: i64 = 1_496_275_200_000_000;
/// How long an answer is waited for: some come only once something happened.
const ANSWER_MAX: Duration = Duration::from_millis(200);

/// What goes through one door: opening another takes a second, and a ledger that grows makes everything slow.
const INPUTS_MAX: usize = 20_000;

/// Hands the process's door to `enter`; from time to time it is another.
///
/// # Panics
///
/// If there is none.
pub fn through_a_door(enter: impl FnOnce(&Door)) {
    static DOOR: Mutex<(Option<Door>, usize)> = Mutex::new((None, 0));
    let mut own = DOOR.lock().expect("a panic ends the process");
    let (door, inputs) = &mut *own;
    if INPUTS_MAX <= *inputs {
        (*door, *inputs) = (None, 0);
    }
    *inputs += 1;
    enter(door.get_or_insert_with(Door::open));
}

/// A server, and everybody who may call it.
#[derive(Debug)]
pub struct Door {
    address: SocketAddr,
    /// Heads that say who asks: nobody (`a`), whoever set the server up (`b`), then a partner, a customer, an operator and an admin
    /// of each tenant (`c` to `v`).
    callers: Vec<String>,
    engine: Engine,
    runtime: Runtime,
    _dir: TempDir,
}

impl Door {
    /// A whole request: its first byte says who sends it, the rest is sent as it is, but for that caller's head behind the first
    /// line.
    ///
    /// # Panics
    ///
    /// If the server fails, as all that follow.
    pub fn request(&self, data: &[u8]) {
        let Some((who, bytes)) = data.split_first() else { return };
        // A body that grows or shrinks is to be read all the same: its length stands in the head, unless the request has one.
        let head = bytes.windows(2).position(|own| own == b"\n\n").filter(|head| {
            let head = bytes[..*head].to_ascii_lowercase();
            !head.windows(7).any(|own| own == b"length:" || own == b"coding:")
        });
        match head {
            Some(head) => {
                let (head, body) = (&bytes[..=head], &bytes[head + 2..]);
                self.send_as(*who, &[head, length(body).as_bytes(), body].concat());
            }
            None => {
                self.send_as(*who, bytes);
            }
        }
    }

    /// A body as a client of another system sends it: the first byte says who that is, the second what is asked.
    ///
    /// # Panics
    ///
    /// If the server fails.
    pub fn bodies(&self, data: &[u8]) {
        let [who, post, body @ ..] = data else { return };
        let line = POSTS[usize::from(post.wrapping_sub(b'a')) % POSTS.len()];
        let head = format!("{line} HTTP/1.1\nHost: a\nContent-Type: application/json\n");
        self.send_as(*who, &with_body(&head, body));
    }

    /// A stream of purchases, as a partner sends it.
    ///
    /// # Panics
    ///
    /// If the server fails.
    pub fn lines(&self, data: &[u8]) {
        let head = "POST /v1/purchases HTTP/1.1\nHost: a\nContent-Type: application/x-ndjson\n";
        check_within(&self.send_as(b'c', &with_body(head, data)));
    }

    /// A document in GraphQL: the first byte says whose it is.
    ///
    /// # Panics
    ///
    /// If the server fails.
    pub fn graphql(&self, data: &[u8]) {
        let Some((who, document)) = data.split_first() else { return };
        let body = json!({ "query": String::from_utf8_lossy(document) }).to_string();
        let head = "POST /graphql HTTP/1.1\nHost: a\nContent-Type: application/json\n";
        self.send_as(*who, &with_body(head, body.as_bytes()));
    }

    /// Frames of WebSocket: the first byte says whether to notices (`b`), to where purchases are taken (`c`), or to the event stream.
    ///
    /// # Panics
    ///
    /// If the server fails.
    pub fn websocket(&self, data: &[u8]) {
        let Some((which, frames)) = data.split_first() else { return };
        let (path, who) = match which {
            b'b' => ("/socket.io/?EIO=4&transport=websocket", b'b'),
            b'c' => ("/v1/purchases/stream", b'c'),
            _ => ("/v1/stream?tenant=journey", b'b'),
        };
        let head = format!(
            "GET {path} HTTP/1.1\nHost: a\nConnection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n\n"
        );
        check_within(&self.send_as(who, &[head.as_bytes(), frames].concat()));
    }
}

/// Checks what an answer says behind its status: a line, a message or the close of a WebSocket may say that the server failed.
fn check_within(answer: &[u8]) {
    for text in [&br#""code":"internal""#[..], b"\x03\xf3internal"] {
        let says = answer.windows(text.len()).any(|own| own == text);
        assert!(!says, "the server failed: {}", String::from_utf8_lossy(answer));
    }
}

fn length(body: &[u8]) -> String {
    format!("Content-Length: {}\n\n", body.len())
}

fn with_body(head: &str, body: &[u8]) -> Vec<u8> {
    [head.as_bytes(), length(body).as_bytes(), body].concat()
}

impl Door {
    /// Starts a server with a ledger of its own.
    ///
    /// # Panics
    ///
    /// If that fails.
    #[must_use]
    pub fn open() -> Door {
        // Whatever thread it happens on: a server that goes on without one of its tasks would hide it.
        let told = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            told(panic);
            std::process::abort();
        }));
        let dir = TempDir::new().expect("a temporary folder");
        let now = AtomicI64::new(NOW_US);
        let (engine, _) = Engine::start(EngineConfig {
            data_dir: dir.path().to_path_buf(),
            shards: NonZeroUsize::MIN,
            installation_key: Some([7; 32]),
            secrets_key: Some([0x5a; 32]),
            resident_max: None,
            generation_bytes_max: 64 * 1024 * 1024,
            free_bytes: Arc::new(|| Ok(u64::MAX)),
            free_bytes_min: 0,
            clock: Arc::new(move || Instant(now.fetch_add(1, Ordering::Relaxed))),
            monotonic: kembali_engine::monotonic(),
            on_fault: Box::new(|fault| panic!("{fault:?}")),
        })
        .expect("a fresh ledger opens");
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build().expect("a runtime");
        let server = Server::bind(config(), engine.clone()).expect("a port is free");
        let address = server.local_addr();
        runtime.block_on(apply(&engine));
        runtime.spawn(server.run(std::future::pending()));
        let mut door = Door { address, callers: Vec::new(), engine, runtime, _dir: dir };
        door.callers = door.make_callers();
        door
    }

    /// Makes a partner's key and an account of each role in each tenant.
    fn make_callers(&self) -> Vec<String> {
        let bearer = |token: &str| format!("Authorization: Bearer {token}\nCookie: token={token}\n");
        let whoever_set_it_up = bearer(OPERATOR_TOKEN);
        let mut callers = vec![String::new(), whoever_set_it_up.clone()];
        let ask = |path: &str, body: &Value| {
            let head = format!("POST {path} HTTP/1.1\nHost: a\nConnection: close\nContent-Type: application/json\n");
            let answer = self.exchange(&with_body(&(head + &whoever_set_it_up), body.to_string().as_bytes()), None);
            let answer = String::from_utf8_lossy(&answer).into_owned();
            let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
            assert!(head.starts_with("HTTP/1.1 2"), "{path}: {answer}");
            serde_json::from_str::<Value>(body).expect("an answer in JSON")
        };
        for (_, tenant, partner) in RULES {
            let (key, secret) = (format!("key-of-{tenant}"), format!("a-secret-of-{tenant}"));
            let path = format!("/v1/partners/{partner}/api-keys?tenant={tenant}");
            ask(&path, &json!({ "api_key": key, "api_secret": secret }));
            // Only keys without a secret need sign nothing; clients of other systems send the secret.
            callers.push(match tenant {
                "journey" => "X-Api-Key: grocer-demo-key\n".to_owned(),
                _ => format!("Authorization: Basic {}\n", BASE64.encode(format!("{key}:{secret}").as_bytes())),
            });
            let account = |username: &str| json!({ "tenant": tenant, "username": username, "password": PASSWORD });
            for username in ["ann@example.com", "operator", "admin"] {
                if username == "ann@example.com" {
                    ask("/v1/auth/register", &account(username));
                } else {
                    let account = json!({ "username": username, "password": PASSWORD, "role": username });
                    ask(&format!("/v1/accounts?tenant={tenant}"), &account);
                }
                let tokens = ask("/v1/auth/login", &account(username));
                callers.push(bearer(tokens["access_token"].as_str().expect("a token")));
            }
        }
        callers
    }

    /// Sends a request as a caller, and returns what comes back.
    fn send_as(&self, who: u8, bytes: &[u8]) -> Vec<u8> {
        let line = bytes.iter().position(|own| *own == b'\n').map_or(bytes.len(), |at| at + 1);
        let caller = &self.callers[usize::from(who.wrapping_sub(b'a')) % self.callers.len()];
        let answer = self.exchange(&[&bytes[..line], caller.as_bytes(), &bytes[line..]].concat(), Some(ANSWER_MAX));
        let failed = answer.starts_with(b"HTTP/1.1 5") && !answer.starts_with(b"HTTP/1.1 503");
        assert!(!failed, "the server failed: {}", String::from_utf8_lossy(&answer));
        answer
    }

    /// Sends all of it, and returns what comes back until the server has said everything, or for so long.
    fn exchange(&self, bytes: &[u8], answer_max: Option<Duration>) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.address).expect("the server listens");
        stream.set_read_timeout(answer_max).expect("a limit");
        // The server may answer, and close, before it has read all; then there is nobody to send the rest to.
        let _ = stream.write_all(bytes).and_then(|()| stream.shutdown(Shutdown::Write));
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        answer
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.runtime.block_on(self.engine.stop()).expect("the ledger stops");
    }
}

fn config() -> ServerConfig {
    const MANY: NonZeroU32 = NonZeroU32::MAX;
    let tenant = |at: usize| RULES[at].1.to_owned();
    let mut config = ServerConfig::new(SocketAddr::from(([127, 0, 0, 1], 0)));
    config.operator_token = Some(Secret::new(OPERATOR_TOKEN));
    config.registration = RULES.iter().map(|(_, tenant, _)| (*tenant).to_owned()).collect();
    let adapters: [Arc<dyn Adapter>; 4] = [
        Arc::new(KezBek::new(tenant(1), "a text of 16 bytes or more").expect("a key")),
        Arc::new(Dompet::new(&tenant(2), None).expect("no marketplace")),
        Arc::new(Loyaltea::default()),
        Arc::new(Onetap::new(vec![tenant(4)])),
    ];
    config.adapters = adapters.into();
    config.limits.partners = PartnerLimits { requests_per_second: MANY, requests_at_once: MANY };
    config.limits.people = PeopleLimits { by_address: false, registrations_per_minute: MANY };
    // What nobody waits for any more is ended soon.
    let limits = &mut config.limits;
    limits.min_seq_wait_max = Duration::from_millis(10);
    for limit in [
        &mut limits.head_time_max,
        &mut limits.body_time_max,
        &mut limits.stream_idle_max,
        &mut limits.subscriber_ping_every,
    ] {
        *limit = Duration::from_secs(1);
    }
    config
}

async fn apply(engine: &Engine) {
    for (rules, _, _) in RULES {
        let file: CatalogueFile = toml::from_str(rules).expect("the sample rules are TOML");
        let (draft, partner_keys) = (file.to_draft().expect("the sample rules are right"), file.partner_keys());
        let request =
            ApplyRequest { actor: Actor::Operator, draft, partner_keys, expected_version: None, dry_run: false };
        engine.apply(request).await.expect("the sample rules are taken");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever is refused at the door reaches nothing behind it.
    #[test]
    fn everybody_is_let_in() {
        let door = Door::open();
        let status = |who: u8, line: &str, body: &str| {
            let head = format!("{line} HTTP/1.1\nHost: a\nConnection: close\nContent-Type: application/json\n");
            let head = head + &door.callers[usize::from(who - b'a')];
            let answer = door.exchange(&with_body(&head, body.as_bytes()), None);
            String::from_utf8_lossy(&answer).into_owned()[9..12].to_owned()
        };
        for (at, who) in (b'c'..=b'v').enumerate() {
            if at % 4 != 0 {
                assert_eq!(status(who, "GET /v1/auth/me", ""), "200", "{}", char::from(who));
            }
        }
        assert_eq!(status(b'b', "GET /v1/partners?tenant=journey", ""), "200");
        let purchase = include_str!("../seeds/lines/0");
        assert_eq!(status(b'c', "POST /v1/purchases", purchase), "201");
        let event = r#"{"eventId":"e","tenant":"meiwei","userId":"0e41cc11-5e54-448b-a6ce-9c9a855ad207","product":"tea","amount":1}"#;
        assert_eq!(status(b'o', "POST /events/buy", event), "201");
        let order =
            format!(r#"{{"orderId":"o","customerId":"c","merchantId":"{}","productId":"p","amount":1}}"#, RULES[4].1);
        assert_eq!(status(b's', "POST /order", &order), "201");
    }
}
