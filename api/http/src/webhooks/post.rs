//! One attempt to deliver: a signed request to where its owner said, and what the answer means.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use data_encoding::BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode};
use kembali_core::{Instant, PartnerId, TenantId};
use kembali_engine::Webhook;
use serde_json::json;
use sha2::Sha256;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::outbox::{Attempted, End, shortened};
use crate::outgoing::{ConnectError, Networks, Remote, Roots, TargetUrl};
use crate::wire::instant::Rfc3339;
use crate::wire::webhook::{WebhookTested, shown_id};

/// How long an attempt may take, from its beginning to the head of the answer.
const ATTEMPT_TIME_MAX: Duration = Duration::from_secs(15);
/// Attempts at one time, of all webhooks: each is a socket.
pub const ATTEMPTS_MAX: usize = 256;
/// Those of one owner, so that receivers that take their time hold up nobody else's.
const ATTEMPTS_OF_AN_OWNER_MAX: usize = 16;
/// Tests at one time. Each is an attempt that somebody waits for.
const TESTS_MAX: usize = 8;
const MICROS_PER_SECOND: i64 = 1_000_000;

/// Whose a webhook is.
type Owner = (TenantId, Option<PartnerId>);

/// Sends requests to receivers.
#[derive(Debug)]
pub(crate) struct Poster {
    networks: Arc<Networks>,
    /// Read once they are needed.
    roots: OnceLock<Result<Roots, String>>,
    room: Semaphore,
    /// Room of each owner; there are as many as owners of webhooks.
    room_of_owners: Mutex<HashMap<Owner, Arc<Semaphore>>>,
    room_of_tests: Semaphore,
}

/// A place for an attempt, until it is dropped.
pub(super) struct Place<'a> {
    _own: Option<OwnedSemaphorePermit>,
    _all: Option<SemaphorePermit<'a>>,
}

/// Why a receiver did not take it.
#[derive(Debug, thiserror::Error)]
enum PostError {
    #[error("{0}")]
    Url(String),
    #[error("{0}")]
    Roots(String),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("the receiver went away before it answered: {0}")]
    Broken(hyper::Error),
    #[error("the receiver did not answer within {} seconds", ATTEMPT_TIME_MAX.as_secs())]
    Late,
}

impl Poster {
    pub(crate) fn new(networks: Networks) -> Poster {
        Poster {
            networks: Arc::new(networks),
            roots: OnceLock::new(),
            room: Semaphore::new(ATTEMPTS_MAX),
            room_of_owners: Mutex::default(),
            room_of_tests: Semaphore::new(TESTS_MAX),
        }
    }

    /// Checks what of a URL can be told without a look at the network.
    pub(super) fn check(&self, target: &TargetUrl) -> Result<(), &'static str> {
        let is_encrypted = target.server.is_encrypted();
        let host = target.server.authority().to_ascii_lowercase();
        let host = host.rsplit_once(':').map_or(&*host, |(host, _)| host).trim_end_matches('.');
        let is_here = host == "localhost" || host.ends_with(".localhost");
        if let Some(address) = target.server.ip().or(is_here.then_some(IpAddr::V4(Ipv4Addr::LOCALHOST))) {
            return self.networks.check(address, is_encrypted);
        }
        if !is_encrypted && self.networks.is_public_alone() { Err("it must begin with https://") } else { Ok(()) }
    }

    /// Waits for a place of an owner's to make an attempt in.
    pub(super) async fn place(&self, owner: Owner) -> Place<'_> {
        let own = {
            let mut rooms = self.room_of_owners.lock().unwrap_or_else(PoisonError::into_inner);
            let room = rooms.entry(owner).or_insert_with(|| Arc::new(Semaphore::new(ATTEMPTS_OF_AN_OWNER_MAX)));
            Arc::clone(room)
        };
        // Neither is ever closed.
        Place { _own: own.acquire_owned().await.ok(), _all: self.room.acquire().await.ok() }
    }

    /// Delivers, and says what came of it. There must be a place for it.
    pub(super) async fn deliver(&self, webhook: &Webhook, id: &str, now: Instant, body: String) -> Attempted {
        let response = match self.post(webhook, id, now, body).await {
            Ok(response) => response,
            Err(error) => return Attempted::Failed(error.to_string(), Duration::ZERO),
        };
        match response.status() {
            status if status.is_success() => Attempted::Made,
            StatusCode::GONE => Attempted::Ended(End::Gone),
            status => Attempted::Failed(refused(status), retry_after(&response)),
        }
    }

    /// Delivers what did not happen; `None` where too many do.
    pub(super) async fn test(&self, webhook: &Webhook, tenant: &str, now: Instant) -> Option<WebhookTested> {
        let _room = self.room_of_tests.try_acquire().ok()?;
        let id = format!("test_{}_{}", shown_id(webhook.id), now.0);
        let event = json!({
            "specversion": "1.0",
            "id": id,
            "source": format!("/tenants/{tenant}"),
            "type": "webhook.test",
            "time": Rfc3339(now).to_string(),
            "datacontenttype": "application/json",
            "data": { "webhook": shown_id(webhook.id) },
        });
        let start = tokio::time::Instant::now();
        let posted = self.post(webhook, &id, now, json!([event]).to_string()).await;
        let reason = match posted {
            Ok(response) if response.status().is_success() => None,
            Ok(response) => Some(refused(response.status())),
            Err(error) => Some(shortened(&error.to_string())),
        };
        let milliseconds = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        Some(WebhookTested { delivered: reason.is_none(), reason, milliseconds })
    }

    async fn post(
        &self,
        webhook: &Webhook,
        id: &str,
        now: Instant,
        body: String,
    ) -> Result<Response<Incoming>, PostError> {
        let target: TargetUrl = webhook.settings.url.parse().map_err(PostError::Url)?;
        self.check(&target)
            .map_err(|why| PostError::Url(format!("the URL is not where this server sends to: {why}")))?;
        let roots = self.roots.get_or_init(|| Roots::load(None).map_err(|error| error.to_string()));
        let roots = roots.as_ref().map_err(|error| PostError::Roots(error.clone()))?;
        let timestamp = now.0.div_euclid(MICROS_PER_SECOND);
        let signatures: Vec<String> = webhook
            .secrets
            .iter()
            .filter(|own| own.until.is_none_or(|until| now < until))
            .map(|own| sign(&own.key, id, timestamp, &body))
            .collect();
        let request = Request::builder()
            .method(Method::POST)
            .uri(&target.path)
            .header(HOST, target.server.authority())
            .header(USER_AGENT, concat!("Kembali/", env!("CARGO_PKG_VERSION")))
            .header(CONTENT_TYPE, "application/cloudevents-batch+json; charset=utf-8")
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signatures.join(" "))
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| PostError::Url(error.to_string()))?;
        let asked = async {
            let remote = Remote::named_by_stranger(target.server.clone(), roots, Arc::clone(&self.networks));
            remote.connect().await?.send_request(request).await.map_err(PostError::Broken)
        };
        timeout(ATTEMPT_TIME_MAX, asked).await.map_err(|_| PostError::Late)?
    }
}

/// Signs as Standard Webhooks have it.
fn sign(key: &[u8], id: &str, timestamp: i64, body: &str) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { unreachable!("HMAC takes keys of any length") };
    for part in [id, ".", &timestamp.to_string(), ".", body] {
        mac.update(part.as_bytes());
    }
    format!("v1,{}", BASE64.encode(&mac.finalize().into_bytes()))
}

fn refused(status: StatusCode) -> String {
    if status.is_redirection() {
        format!("the receiver answered {}: redirects are not followed", status.as_u16())
    } else {
        format!("the receiver answered {}", status.as_u16())
    }
}

fn retry_after<T>(response: &Response<T>) -> Duration {
    let asked = response.headers().get(RETRY_AFTER).and_then(|own| own.to_str().ok());
    asked.and_then(|own| own.parse().ok()).map_or(Duration::ZERO, Duration::from_secs)
}
