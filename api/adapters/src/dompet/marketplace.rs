//! The marketplace's own API: what it says of a bill, and telling it that one is paid.

use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use kembali_http::outgoing::{ConnectError, Remote, RootsError, TargetUrl};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::Semaphore;

/// How long a question may take, from the connection to the end of the answer. A customer waits for it.
const ASK_TIME_MAX: Duration = Duration::from_secs(5);
/// How long it may take to take what it is told. Nobody waits for it.
const TELL_TIME_MAX: Duration = Duration::from_secs(30);
/// Bytes of an answer.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Letters of what the marketplace says that are handed on.
const SAID_CHARS_MAX: usize = 200;
/// Questions of customers at one time.
const QUESTIONS_MAX: usize = 32;

/// A marketplace.
#[derive(Debug)]
pub(super) struct Marketplace {
    remote: Remote,
    authority: String,
    path: String,
    /// Room for questions of customers.
    room: Semaphore,
}

/// What a marketplace says of an order.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Order {
    /// What it costs, as the marketplace writes it.
    pub(super) total: String,
    /// True once the marketplace holds it for paid.
    pub(super) is_paid: bool,
}

impl Order {
    /// Whether it costs so many minor units of a currency with so many decimals.
    pub(super) fn costs(&self, minor_units: i64, exponent: u8) -> bool {
        crate::money::minor_units(&self.total, exponent) == Some(minor_units)
    }
}

/// What is answered to any query.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    data: Option<Map<String, Value>>,
    #[serde(default)]
    errors: Option<Vec<AnswerError>>,
}

#[derive(Deserialize)]
struct AnswerError {
    #[serde(default)]
    message: String,
}

/// Why a marketplace said nothing that can be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum MarketplaceError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("the marketplace went away before it answered: {0}")]
    Broken(hyper::Error),
    #[error("the marketplace did not answer within {} seconds", .0.as_secs())]
    Late(Duration),
    #[error("too many questions are under way")]
    Crowded,
    #[error("the marketplace answered with status {0}")]
    Status(StatusCode),
    #[error("the marketplace answered with more than {ANSWER_BYTES_MAX} bytes, or not to the end")]
    Size,
    #[error("the marketplace answered with something else than was asked for")]
    Form,
    #[error("the marketplace refused: {0}")]
    Refused(String),
    #[error("the marketplace has no such order")]
    Unknown,
}

impl MarketplaceError {
    /// Whether the marketplace may still be at work on what it was told, so that asking it is of no use yet.
    pub(super) const fn leaves_doubt(&self) -> bool {
        match self {
            MarketplaceError::Late(_) => true,
            // What stands in front of it says so of what it does not wait for.
            MarketplaceError::Status(status) => matches!(status.as_u16(), 502 | 504),
            MarketplaceError::Connect(_)
            | MarketplaceError::Broken(_)
            | MarketplaceError::Size
            | MarketplaceError::Form
            | MarketplaceError::Crowded
            | MarketplaceError::Refused(_)
            | MarketplaceError::Unknown => false,
        }
    }
}

/// What the marketplace says, so that it is one short line wherever it is shown.
fn said(text: &str) -> String {
    let letter = |letter: char| if letter.is_control() { ' ' } else { letter };
    text.chars().take(SAID_CHARS_MAX).map(letter).collect()
}

impl Marketplace {
    /// Makes ready to ask. Nothing is connected yet.
    pub(super) fn new(target: TargetUrl) -> Result<Marketplace, RootsError> {
        let (authority, path) = (target.server.authority().to_owned(), target.path);
        let room = Semaphore::new(QUESTIONS_MAX);
        Ok(Marketplace { remote: Remote::new(target.server, None)?, authority, path, room })
    }

    /// Asks for the order that is paid under a number, for a customer who waits.
    pub(super) async fn order_for_customer(&self, va_number: &str) -> Result<Option<Order>, MarketplaceError> {
        let _room = self.room.try_acquire().map_err(|_| MarketplaceError::Crowded)?;
        self.order(va_number).await
    }

    /// Asks for the order that is paid under a number; `None` where there is none.
    pub(super) async fn order(&self, va_number: &str) -> Result<Option<Order>, MarketplaceError> {
        let query = "query($vaNumber: String!) { getOrderByVA(vaNumber: $vaNumber) { totalHarga paymentStatus } }";
        let data = self.ask(query, &json!({ "vaNumber": va_number }), ASK_TIME_MAX).await?;
        match data.get("getOrderByVA") {
            Some(Value::Null) => Ok(None),
            Some(Value::Object(order)) => {
                let total = order.get("totalHarga").and_then(Value::as_number).ok_or(MarketplaceError::Form)?;
                // What is neither could be both: nothing is paid, and nothing told, on a guess.
                let is_paid = match order.get("paymentStatus").and_then(Value::as_str) {
                    Some("PAID") => true,
                    Some("UNPAID") => false,
                    _ => return Err(MarketplaceError::Form),
                };
                Ok(Some(Order { total: total.to_string(), is_paid }))
            }
            _ => Err(MarketplaceError::Form),
        }
    }

    /// Says that a bill is paid. Told twice, the marketplace ships twice: ask first.
    pub(super) async fn tell_paid(&self, va_number: &str) -> Result<(), MarketplaceError> {
        let query = "mutation($vaNumber: String!, $status: String!) { \
                     updatePaymentStatus(vaNumber: $vaNumber, status: $status) }";
        let variables = json!({ "vaNumber": va_number, "status": "PROCESSED" });
        match self.ask(query, &variables, TELL_TIME_MAX).await?.get("updatePaymentStatus") {
            Some(Value::Bool(true)) => Ok(()),
            Some(Value::Bool(false)) => Err(MarketplaceError::Unknown),
            _ => Err(MarketplaceError::Form),
        }
    }

    async fn ask(
        &self,
        query: &str,
        variables: &Value,
        time_max: Duration,
    ) -> Result<Map<String, Value>, MarketplaceError> {
        let body = json!({ "query": query, "variables": variables }).to_string();
        let answered = tokio::time::timeout(time_max, self.exchange(body)).await;
        let text = answered.map_err(|_| MarketplaceError::Late(time_max))??;
        let answer: Answer = serde_json::from_slice(&text).map_err(|_| MarketplaceError::Form)?;
        if let Some(error) = answer.errors.unwrap_or_default().first() {
            return Err(MarketplaceError::Refused(said(&error.message)));
        }
        answer.data.ok_or(MarketplaceError::Form)
    }

    async fn exchange(&self, body: String) -> Result<Bytes, MarketplaceError> {
        let request = Request::builder().method(Method::POST).uri(&self.path).header(HOST, &self.authority);
        let request = request.header(CONTENT_TYPE, "application/json").body(Full::new(Bytes::from(body)));
        let request = request.unwrap_or_else(|error| unreachable!("the address was read as one: {error}"));
        // A connection for each question: one that is kept may be closed by the other side as the question is sent.
        let answer = self.remote.connect().await?.send_request(request).await.map_err(MarketplaceError::Broken)?;
        if answer.status() != StatusCode::OK {
            return Err(MarketplaceError::Status(answer.status()));
        }
        let read = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
        Ok(read.map_err(|_| MarketplaceError::Size)?.to_bytes())
    }
}
