//! Signed requests over real sockets: what is signed opens, and nothing else does, on every route of a partner.

use std::io::Write as _;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::support::{Harness, KEY, Reply, purchase};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::StreamExt as _;
use hyper::header::HeaderName;
use kembali_http::ServerConfig;
use kembali_http::routes::ROUTES;
use kembali_http::signature::{SIGNATURE_HEADER, Signed, TIMESTAMP_HEADER};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};

const KEYS: &str = "/v1/partners/grocer/api-keys?tenant=journey";
const SECRETS_KEY: [u8; 32] = [9; 32];
/// When the clock of the tests starts, in seconds.
const NOW: i64 = 1_514_764_800;
const JSON: (&str, &str) = ("Content-Type", "application/json");
const NDJSON: (&str, &str) = ("Content-Type", "application/x-ndjson");

/// A server whose grocer has a key with a secret beside the one that opens alone.
async fn shop() -> (Harness, Signer) {
    let harness = start(tempfile::tempdir().unwrap(), Some(SECRETS_KEY)).await;
    let given = harness.operator("POST", KEYS, "{}").await;
    assert_eq!(given.status, 201, "{}", given.text());
    let given = given.json();
    let text = |member: &str| given[member].as_str().unwrap().to_owned();
    let signer = Signer { key: text("api_key"), secret: text("api_secret"), at: NOW };
    (harness, signer)
}

async fn start(dir: tempfile::TempDir, secrets_key: Option<[u8; 32]>) -> Harness {
    Harness::start_on(dir, 128 * 1024 * 1024, secrets_key, |_| ()).await
}

#[derive(Clone)]
struct Signer {
    key: String,
    secret: String,
    at: i64,
}

impl Signer {
    fn sign(&self, method: &str, path: &str, more: &[(&str, &str)], body: &[u8]) -> Vec<(String, String)> {
        // Each request is another one, also where all else is alike.
        static REQUESTS: AtomicU32 = AtomicU32::new(0);
        let timestamp = format!("{}.{:09}", self.at, REQUESTS.fetch_add(1, Ordering::Relaxed));
        let key = more.iter().find(|(name, _)| *name == "Idempotency-Key").map(|(_, key)| key.as_bytes());
        let signed = Signed { method, path_and_query: path, timestamp: &timestamp, idempotency_key: key };
        let signature = signed.sign(self.secret.as_bytes(), body);
        let own = [("X-Api-Key", self.key.as_str()), (TIMESTAMP_HEADER, &timestamp), (SIGNATURE_HEADER, &signature)];
        own.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    async fn call(&self, harness: &Harness, method: &str, path: &str, more: &[(&str, &str)], body: &[u8]) -> Reply {
        call(harness, method, path, &self.sign(method, path, more, body), body).await
    }
}

async fn call(harness: &Harness, method: &str, path: &str, headers: &[(String, String)], body: &[u8]) -> Reply {
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    harness.call(method, path, &headers, body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_signed_is_served() {
    let (harness, signer) = shop().await;
    let body = purchase("S-1", 1_000, 1, 1);
    let booked = signer.call(&harness, "POST", "/v1/purchases", &[JSON], body.as_bytes()).await;
    assert_eq!(booked.status, 201, "{}", booked.text());
    // A repeat that is signed anew gets what was booked.
    let again = signer.call(&harness, "POST", "/v1/purchases", &[JSON], body.as_bytes()).await;
    assert_eq!((again.text(), again.header("idempotency-replayed")), (booked.text(), Some("true")));
    let dry = signer.call(&harness, "POST", "/v1/purchases?dry_run=true", &[JSON], body.as_bytes()).await;
    assert_eq!(dry.status, 200, "{}", dry.text());

    let lines = [purchase("S-2", 1_000, 1, 2), purchase("S-3", 1_000, 1, 3)].join("\n");
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(lines.as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    for (more, body) in [(&[NDJSON][..], lines.as_bytes()), (&[NDJSON, ("Content-Encoding", "gzip")], &packed[..])] {
        let streamed = signer.call(&harness, "POST", "/v1/purchases", more, body).await;
        let answers: Vec<Value> = streamed.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(answers.len() == 2 && answers.iter().all(|own| own["status"] == 201), "{answers:?}");
    }

    let path = format!("/v1/purchases/{}", booked.json()["id"].as_str().unwrap());
    assert_eq!(signer.call(&harness, "GET", &path, &[], b"").await.status, 200);
    let holds = format!("/v1/customers/{}/wallets/0/holds", booked.json()["customer"].as_str().unwrap());
    let hold = json!({ "amount": 1 }).to_string();
    let placed = signer.call(&harness, "POST", &holds, &[JSON, ("Idempotency-Key", "h")], hold.as_bytes()).await;
    assert_eq!(placed.status, 201, "{}", placed.text());
    // Roles are as before: a signature makes nobody an operator.
    let operator = signer.call(&harness, "GET", "/v1/risk-checks?tenant=journey", &[], b"").await;
    assert_eq!(operator.problem(), "403 role_insufficient -");
    // The other key of the same partner goes on opening alone.
    assert_eq!(harness.post(&purchase("S-4", 1_000, 1, 4)).await.status, 201);
    harness.stop().await;
}

/// No route of partners is served to whoever shows the key alone, or with the signature of another request.
#[tokio::test(flavor = "multi_thread")]
async fn every_route_of_partners_wants_a_signature() {
    let (harness, signer) = shop().await;
    let of_partners = ROUTES.iter().filter(|route| route.role.takes_partners());
    let mut count = 0;
    for route in of_partners {
        let path: Vec<&str> =
            route.path.split('/').map(|part| if part.starts_with('{') { "1" } else { part }).collect();
        let path = path.join("/");
        let alone = [("X-Api-Key".to_owned(), signer.key.clone()), (JSON.0.to_owned(), JSON.1.to_owned())];
        let other = signer.sign("POST", "/v1/elsewhere", &[JSON], b"{}");
        let methods = if route.method == "GET" { vec!["GET", "HEAD"] } else { vec![route.method.as_str()] };
        for method in methods {
            for (headers, code) in [(&alone[..], "signature_missing"), (&other, "signature_invalid")] {
                let refused = call(&harness, method, &path, headers, b"{}").await;
                let body = if method == "HEAD" { String::new() } else { refused.json()["code"].to_string() };
                assert_eq!(refused.status, 401, "{method} {path}: {}", refused.text());
                assert!(method == "HEAD" || body.contains(code), "{method} {path}: {body}");
            }
            count += 1;
        }
    }
    assert!(20 < count, "{count} routes");
    harness.stop().await;
}

/// Whoever overhears a signed request can do nothing with it: not what was refused, not a read, not by another key.
#[tokio::test(flavor = "multi_thread")]
async fn a_signature_opens_once() {
    let (harness, signer) = shop().await;
    let twin = json!({ "api_key": "a-twin-of-the-key", "api_secret": signer.secret }).to_string();
    assert_eq!(harness.operator("POST", KEYS, &twin).await.status, 201);
    let body = purchase("S-1", 1_000, 1, 1);
    for (method, path, body, status) in [
        ("POST", "/v1/purchases", body.as_str(), 201),
        ("POST", "/v1/purchases", r#"{"origin_id":"S-2"}"#, 400),
        ("GET", "/v1/promos", "", 200),
        ("GET", "/v1/operations/1", "", 404),
    ] {
        let mut headers = signer.sign(method, path, &[JSON], body.as_bytes());
        assert_eq!(call(&harness, method, path, &headers, body.as_bytes()).await.status, status, "{method} {path}");
        for key in [&signer.key, "a-twin-of-the-key"] {
            headers[0].1 = key.to_owned();
            let again = call(&harness, method, path, &headers, body.as_bytes()).await;
            assert_eq!(again.problem(), "401 signature_replayed -", "{method} {path}");
        }
    }
    // One that was refused for something else was not used.
    let headers = signer.sign("POST", "/v1/purchases", &[JSON], body.as_bytes());
    let other = call(&harness, "POST", "/v1/purchases", &headers, b"{}").await;
    assert_eq!(other.problem(), "401 signature_invalid -");
    assert_eq!(call(&harness, "POST", "/v1/purchases", &headers, body.as_bytes()).await.status, 201);
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_signatures_than_are_remembered_are_overload() {
    let dir = tempfile::tempdir().unwrap();
    let configure = |config: &mut ServerConfig| config.limits.signatures_max = 2;
    let harness = Harness::start_on(dir, 128 * 1024 * 1024, Some(SECRETS_KEY), configure).await;
    let given = harness.operator("POST", KEYS, "{}").await.json();
    let text = |member: &str| given[member].as_str().unwrap().to_owned();
    let signer = Signer { key: text("api_key"), secret: text("api_secret"), at: NOW };
    for status in [200, 200, 503] {
        assert_eq!(signer.call(&harness, "GET", "/v1/promos", &[], b"").await.status, status);
    }
    harness.stop().await;
}

/// A subscriber signs the request that opens the stream.
#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_signs_too() {
    let (harness, signer) = shop().await;
    let path = "/v1/stream?after=0";
    for (headers, is_right) in [
        (signer.sign("GET", path, &[], b""), true),
        (signer.sign("GET", "/v1/stream", &[], b""), false),
        (vec![("X-Api-Key".to_owned(), signer.key.clone())], false),
    ] {
        let mut request = format!("ws://test{path}").into_client_request().unwrap();
        for (name, value) in &headers {
            request.headers_mut().insert(HeaderName::try_from(name).unwrap(), value.parse().unwrap());
        }
        let stream = TcpStream::connect(harness.address).await.unwrap();
        match client_async(request, stream).await {
            Ok((mut subscriber, _)) => {
                assert!(is_right && matches!(subscriber.next().await, Some(Ok(Message::Text(_)))), "{headers:?}");
            }
            Err(Error::Http(refused)) => assert!(!is_right && refused.status() == 401, "{refused:?}"),
            Err(other) => panic!("{other}"),
        }
    }
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_else_is_served() {
    let (harness, signer) = shop().await;
    let (path, body) = ("/v1/purchases", purchase("S-1", 1_000, 1, 1));
    let right = || signer.sign("POST", path, &[JSON], body.as_bytes());
    let with = |name: &str, value: &str| {
        let is_other = |(own, _): &(String, String)| own != name;
        right().into_iter().filter(is_other).chain([(name.to_owned(), value.to_owned())]).collect::<Vec<_>>()
    };
    let without = |name: &str| right().into_iter().filter(|(own, _)| own != name).collect::<Vec<_>>();
    let at = |seconds: i64| Signer { at: NOW + seconds, ..signer.clone() }.sign("POST", path, &[JSON], body.as_bytes());
    let by = |secret: &str| {
        Signer { secret: secret.to_owned(), ..signer.clone() }.sign("POST", path, &[JSON], body.as_bytes())
    };
    let of = |method: &str, path: &str| signer.sign(method, path, &[JSON], body.as_bytes());
    let keyed = [right(), vec![("Idempotency-Key".to_owned(), "another".to_owned())]].concat();
    let signature = right().into_iter().find(|(name, _)| name == SIGNATURE_HEADER).unwrap().1;
    for (headers, expected) in [
        (without(SIGNATURE_HEADER), "401 signature_missing -"),
        (without(TIMESTAMP_HEADER), "401 signature_missing -"),
        (without("X-Api-Key"), "401 api_key_missing -"),
        (with("X-Api-Key", "nobody-has-this-key"), "401 api_key_unknown -"),
        (with("X-Api-Key", KEY), "401 signature_unexpected -"),
        (with(SIGNATURE_HEADER, ""), "401 signature_invalid -"),
        (with(SIGNATURE_HEADER, &signature[1..]), "401 signature_invalid -"),
        (with(SIGNATURE_HEADER, &signature.to_uppercase()), "401 signature_invalid -"),
        (with(SIGNATURE_HEADER, &format!("{signature}00")), "401 signature_invalid -"),
        (with(SIGNATURE_HEADER, &signature.replace(|digit| digit != '0', "0")), "401 signature_invalid -"),
        (with(TIMESTAMP_HEADER, &(NOW + 1).to_string()), "401 signature_invalid -"),
        (with(TIMESTAMP_HEADER, &format!("0{NOW}")), "401 signature_invalid -"),
        (with(TIMESTAMP_HEADER, "now"), "401 timestamp_off -"),
        (at(-301), "401 timestamp_off -"),
        (at(301), "401 timestamp_off -"),
        (by("a-secret-of-somebody-else"), "401 signature_invalid -"),
        (by(&signer.key), "401 signature_invalid -"),
        (of("GET", path), "401 signature_invalid -"),
        (of("POST", "/v1/purchases?dry_run=true"), "401 signature_invalid -"),
        (of("POST", "/v1/refunds"), "401 signature_invalid -"),
        (keyed, "401 signature_invalid -"),
    ] {
        let refused = call(&harness, "POST", path, &headers, body.as_bytes()).await;
        assert_eq!(refused.problem(), expected, "{headers:?}");
        assert!(!refused.text().contains(&signer.secret));
    }
    // Every byte of the body counts, also of one that is no JSON.
    for other in [body.replace("1000", "9000"), format!("{body} "), String::new(), "{".to_owned()] {
        let refused = call(&harness, "POST", path, &right(), other.as_bytes()).await;
        assert_eq!(refused.problem(), "401 signature_invalid -", "{other}");
    }
    // A stream is checked before its first line is booked.
    let lines = [purchase("S-2", 1_000, 1, 2), purchase("S-3", 1_000, 1, 3)].join("\n");
    let headers = signer.sign("POST", path, &[NDJSON], lines.as_bytes());
    let longer = format!("{lines}\n{}", purchase("S-4", 1_000, 1, 4));
    assert_eq!(call(&harness, "POST", path, &headers, longer.as_bytes()).await.problem(), "401 signature_invalid -");
    let large = vec![b' '; 1024 * 1024 + 1];
    let refused = signer.call(&harness, "POST", path, &[NDJSON], &large).await;
    assert_eq!(refused.problem(), "413 body_too_large -");
    let summary = harness.get("/v1/reports/summary?tenant=journey").await.json();
    assert_eq!((&summary["accepted"], &summary["rejected"]), (&json!(0), &json!({})), "nothing came through");
    // At the edge of the window it is served.
    for seconds in [-299, 300] {
        let signer = Signer { at: NOW + seconds, ..signer.clone() };
        assert_eq!(signer.call(&harness, "POST", path, &[JSON], body.as_bytes()).await.status, 201, "{seconds}");
    }
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_shown_once_and_lives_as_long_as_its_key() {
    let (harness, signer) = shop().await;
    let body = purchase("S-1", 1_000, 1, 1);
    let listed = harness.get(KEYS).await;
    assert!(!listed.text().contains(&signer.secret));
    let signed: Vec<(bool, bool)> = (listed.json()["data"].as_array().unwrap().iter())
        .map(|own| (own["signed"].as_bool().unwrap(), own["revoked"].as_bool().unwrap()))
        .collect();
    assert!(signed.len() == 2 && signed.contains(&(true, false)) && signed.contains(&(false, false)), "{signed:?}");
    // A key and a secret that a partner has already, and a key that opens alone.
    let own = json!({ "api_key": "kezbek-partner-key", "api_secret": "kezbek-partner-secret" });
    assert_eq!(harness.operator("POST", KEYS, &own.to_string()).await.status, 201);
    let imported = Signer { key: "kezbek-partner-key".into(), secret: "kezbek-partner-secret".into(), at: NOW };
    assert_eq!(imported.call(&harness, "POST", "/v1/purchases", &[JSON], body.as_bytes()).await.status, 201);
    // The same again changes nothing, of a key that opens alone too.
    assert_eq!(harness.operator("POST", KEYS, &own.to_string()).await.status, 201);
    let again = harness.operator("POST", KEYS, r#"{"api_key":"grocer-demo-key"}"#).await;
    assert_eq!((again.status, again.json().get("api_secret")), (201, None));
    let bare = harness.operator("POST", KEYS, r#"{"signed":false}"#).await.json();
    assert_eq!(bare.get("api_secret"), None);
    let baker = r#"{"slug":"baker","name":"The Baker"}"#;
    let made = harness.operator("POST", "/v1/partners?tenant=journey", baker).await.json();
    assert_eq!(made["api_secret"].as_str().map(str::len), Some(64), "{made}");
    for (body, expected) in [
        (r#"{"api_key":"kezbek-partner-key","api_secret":"another-partners-secret"}"#, "409 api_key_exists -"),
        (r#"{"api_key":"kezbek-partner-key"}"#, "409 api_key_exists -"),
        (r#"{"api_key":"kezbek-partner-key","signed":false}"#, "409 api_key_exists -"),
        (r#"{"api_key":"grocer-demo-key","signed":true}"#, "409 api_key_exists -"),
        (r#"{"api_key":"one-key-and-secret","api_secret":"one-key-and-secret"}"#, "422 api_secret_malformed -"),
        (r#"{"api_secret":"short"}"#, "422 api_secret_malformed -"),
        (r#"{"api_secret":"with a blank in it!"}"#, "422 api_secret_malformed -"),
        (r#"{"api_secret":"kezbek-partner-secret","signed":false}"#, "422 api_secret_malformed -"),
    ] {
        assert_eq!(harness.operator("POST", KEYS, body).await.problem(), expected, "{body}");
    }

    // It is in no file in clear, and is there after a restart.
    let dir = harness.stop().await;
    let mut files = vec![dir.path().to_path_buf()];
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        for secret in [&signer.secret, &imported.secret] {
            let is_there = bytes.windows(secret.len()).any(|own| own == secret.as_bytes());
            assert!(!is_there, "{} holds a secret", path.display());
        }
    }
    let harness = start(dir, Some(SECRETS_KEY)).await;
    assert_eq!(signer.call(&harness, "POST", "/v1/purchases", &[JSON], body.as_bytes()).await.status, 201);
    let listed = harness.get(KEYS).await.json();
    for id in listed["data"].as_array().unwrap().iter().filter(|own| own["signed"] == true).map(|own| &own["id"]) {
        let path = format!("/v1/partners/grocer/api-keys/{}?tenant=journey", id.as_str().unwrap());
        assert_eq!(harness.operator("DELETE", &path, "").await.status, 200);
    }
    let revoked = signer.call(&harness, "POST", "/v1/purchases", &[JSON], body.as_bytes()).await;
    assert_eq!(revoked.problem(), "401 api_key_unknown -");
    harness.stop().await;
}

/// Without something to seal secrets under no key has one.
#[tokio::test(flavor = "multi_thread")]
async fn secrets_need_their_key() {
    let harness = Harness::start().await;
    let given = harness.operator("POST", KEYS, r#"{"signed":true}"#).await;
    assert_eq!(given.problem(), "422 signing_disabled -");
    let given = harness.operator("POST", KEYS, "{}").await.json();
    assert_eq!((given.get("api_secret"), given["api_key"].is_string()), (None, true), "{given}");
    harness.stop().await;
}
