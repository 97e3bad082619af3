//! A server on a real socket over a real engine in a directory of its own, and a client that speaks plain bytes.

pub(crate) mod contract;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use kembali_core::Instant;
use kembali_core::operation::Actor;
use kembali_engine::{ApplyRequest, Engine, EngineConfig};
use kembali_http::{CatalogueFile, Secret, Server, ServerConfig};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) const KEY: &str = "grocer-demo-key";
pub(crate) const TOKEN: &str = "operator-token-of-tests";

pub(crate) const FREE_BYTES_MIN: u64 = 1_000;

/// 2018-01-01T00:00:00Z: after the year of the sample promo.
const NOW_US: i64 = 1_514_764_800_000_000;

pub(crate) struct Harness {
    pub(crate) address: SocketAddr,
    pub(crate) engine: Engine,
    /// What the disk says it has free; with less than [`FREE_BYTES_MIN`] the ledger is read-only.
    pub(crate) free_bytes: Arc<AtomicU64>,
    /// What the clock of the wall says beyond what it should, in microseconds.
    pub(crate) clock_error_us: Arc<AtomicI64>,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<std::io::Result<()>>,
    dir: tempfile::TempDir,
}

/// The sample catalogue, as it lies in the repository.
pub(crate) fn sample() -> CatalogueFile {
    demo("journey.toml")
}

/// The sample catalogue with every kind of rule.
pub(crate) fn every_kind_of_rule() -> CatalogueFile {
    demo("full.toml")
}

fn demo(file: &str) -> CatalogueFile {
    let path = format!("{}/../demo/{file}", env!("CARGO_MANIFEST_DIR"));
    toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Makes `file` the next version of its tenant's rules.
pub(crate) async fn apply(engine: &Engine, file: &CatalogueFile) {
    let (draft, partner_keys) = (file.to_draft().unwrap(), file.partner_keys());
    engine
        .apply(ApplyRequest { actor: Actor::Operator, draft, partner_keys, expected_version: None, dry_run: false })
        .await
        .unwrap();
}

impl Harness {
    pub(crate) async fn start() -> Harness {
        Harness::start_with(|_| ()).await
    }

    pub(crate) async fn start_with(configure: impl FnOnce(&mut ServerConfig)) -> Harness {
        Harness::start_in(tempfile::tempdir().unwrap(), 128 * 1024 * 1024, configure).await
    }

    /// Starts with what lies in `dir`; a new directory gets the sample catalogue.
    pub(crate) async fn start_in(
        dir: tempfile::TempDir,
        generation_bytes_max: u64,
        configure: impl FnOnce(&mut ServerConfig),
    ) -> Harness {
        Harness::start_on(dir, generation_bytes_max, None, configure).await
    }

    /// The same, with something to seal the secrets of API keys under.
    pub(crate) async fn start_on(
        dir: tempfile::TempDir,
        generation_bytes_max: u64,
        secrets_key: Option<[u8; 32]>,
        configure: impl FnOnce(&mut ServerConfig),
    ) -> Harness {
        Harness::start_at(dir, generation_bytes_max, secrets_key, u64::MAX, configure).await
    }

    /// The same, with so much room on the disk.
    pub(crate) async fn start_at(
        dir: tempfile::TempDir,
        generation_bytes_max: u64,
        secrets_key: Option<[u8; 32]>,
        free_bytes: u64,
        configure: impl FnOnce(&mut ServerConfig),
    ) -> Harness {
        let now = AtomicI64::new(NOW_US);
        let clock_error_us = Arc::new(AtomicI64::new(0));
        let error = Arc::clone(&clock_error_us);
        let free_bytes = Arc::new(AtomicU64::new(free_bytes));
        let seen = Arc::clone(&free_bytes);
        let config = EngineConfig {
            secrets_key,
            data_dir: dir.path().to_path_buf(),
            shards: NonZeroUsize::MIN,
            installation_key: Some([7; 32]),
            resident_max: None,
            generation_bytes_max,
            free_bytes: Arc::new(move || Ok(seen.load(Ordering::SeqCst))),
            free_bytes_min: FREE_BYTES_MIN,
            clock: Arc::new(move || Instant(now.fetch_add(1, Ordering::Relaxed) + error.load(Ordering::SeqCst))),
            monotonic: kembali_engine::monotonic(),
            on_fault: Box::new(|fault| panic!("{fault:?}")),
        };
        let engine = tokio::task::spawn_blocking(move || Engine::start(config)).await.unwrap().unwrap().0;
        if engine.tenants().await.unwrap().is_empty() {
            apply(&engine, &sample()).await;
        }
        let mut config = ServerConfig::new("127.0.0.1:0".parse().unwrap());
        config.operator_token = Some(Secret::new(TOKEN));
        configure(&mut config);
        let server = Server::bind(config, engine.clone()).unwrap();
        let address = server.local_addr();
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(server.run(async move {
            let _ = stopped.await;
        }));
        Harness { address, engine, free_bytes, clock_error_us, stop: Some(stop), served, dir }
    }

    /// Stops server and engine, and hands back what they leave.
    pub(crate) async fn stop(mut self) -> tempfile::TempDir {
        self.tell_to_stop();
        self.served().await;
        self.engine.stop().await.expect("it stops well");
        self.dir
    }

    pub(crate) fn tell_to_stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    /// Waits until the server has finished.
    pub(crate) async fn served(&mut self) {
        (&mut self.served).await.unwrap().unwrap();
    }

    /// Sends `head` and `body` as they are and reads all that comes back.
    pub(crate) async fn raw(&self, head: &str, body: &[u8]) -> Reply {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        // The server may answer and close before it has read all.
        let _ = stream.write_all(body).await;
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes).await;
        Reply::parse(&bytes)
    }

    pub(crate) async fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n");
        if method != "GET" {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        let reply = self.raw(&(head + "\r\n"), body).await;
        contract::check_reply(method, path, headers, body, &reply);
        reply
    }

    /// A partner's single purchase.
    pub(crate) async fn post(&self, body: &str) -> Reply {
        self.post_to("/v1/purchases", "application/json", &[], body.as_bytes()).await
    }

    pub(crate) async fn post_to(&self, path: &str, media: &str, more: &[(&str, &str)], body: &[u8]) -> Reply {
        let mut headers = vec![("X-Api-Key", KEY), ("Content-Type", media)];
        headers.extend_from_slice(more);
        self.call("POST", path, &headers, body).await
    }

    pub(crate) async fn stream(&self, body: &str) -> Vec<Value> {
        let reply = self.post_to("/v1/purchases", "application/x-ndjson", &[], body.as_bytes()).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub(crate) async fn operator(&self, method: &str, path: &str, body: &str) -> Reply {
        let token = format!("Bearer {TOKEN}");
        let headers = [("Authorization", token.as_str()), ("Content-Type", "application/json")];
        self.call(method, path, &headers, body.as_bytes()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.operator("GET", path, "").await
    }

    pub(crate) async fn get_as_partner(&self, path: &str) -> Reply {
        self.call("GET", path, &[("X-Api-Key", KEY)], b"").await
    }
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// False when a chunked body broke off.
    pub(crate) whole: bool,
}

impl Reply {
    pub(crate) fn parse(bytes: &[u8]) -> Reply {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no head in {:?}", String::from_utf8_lossy(bytes)));
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: Vec<(String, String)> = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let rest = &bytes[end + 4..];
        let mut reply = Reply { status, headers, body: rest.to_vec(), whole: true };
        if reply.header("transfer-encoding") == Some("chunked") {
            (reply.body, reply.whole) = unchunk(rest);
        }
        reply
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    /// Says `status code pointer` of a problem, and checks its form.
    pub(crate) fn problem(&self) -> String {
        let json = self.json();
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{json}");
        assert_eq!(json["status"], self.status);
        assert_eq!(json["request_id"].as_str(), self.header("x-request-id"));
        assert_eq!(json["type"], format!("/problems/{}", json["code"].as_str().unwrap()));
        format!("{} {} {}", self.status, json["code"].as_str().unwrap(), json["pointer"].as_str().unwrap_or("-"))
    }
}

fn unchunk(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        let Some(at) = rest.windows(2).position(|two| two == b"\r\n") else { return (body, false) };
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..at]).unwrap(), 16).unwrap();
        if size == 0 {
            return (body, true);
        }
        let Some(data) = rest.get(at + 2..at + 2 + size) else { return (body, false) };
        body.extend_from_slice(data);
        rest = rest.get(at + 4 + size..).unwrap_or_default();
    }
}

/// A purchase of customer `C1` in the sample promo's year.
pub(crate) fn purchase(origin_id: &str, amount: i64, quantity: i64, day: u32) -> String {
    format!(
        r#"{{"origin_id":"{origin_id}","customer":{{"ref":"C1"}},"amount":{amount},"quantity":{quantity},"occurred_at":"2017-03-{day:02}T10:00:00+07:00","promo_code":"JOURNEY2017"}}"#
    )
}
