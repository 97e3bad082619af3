//! The marketplace's own API: what it says of a bill, and telling it that one is paid.

use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use kembali_http::outgoing::{ConnectError, Remote, RootsError, TargetUrl};
use serde_json::{Value, json};

/// How long a question may take, from the connection to the end of the answer. A customer waits for it.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);
/// Bytes of an answer.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// A marketplace.
#[derive(Debug)]
pub(super) struct Marketplace {
    remote: Remote,
    authority: String,
    path: String,
}

/// What a marketplace says of an order.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Order {
    /// What it costs, as the marketplace writes it.
    pub(super) total: String,
    /// True once the marketplace holds it for paid.
    pub(super) is_paid: bool,
}

/// Why a marketplace said nothing that can be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum MarketplaceError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("the marketplace went away before it answered: {0}")]
    Broken(hyper::Error),
    #[error("the marketplace did not answer within {} seconds", ANSWER_TIME_MAX.as_secs())]
    Late,
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

impl Marketplace {
    /// Makes ready to ask. Nothing is connected yet.
    pub(super) fn new(target: TargetUrl) -> Result<Marketplace, RootsError> {
        let (authority, path) = (target.server.authority().to_owned(), target.path);
        Ok(Marketplace { remote: Remote::new(target.server, None)?, authority, path })
    }

    /// Asks for the order that is paid under a number; `None` where there is none.
    pub(super) async fn order(&self, va_number: &str) -> Result<Option<Order>, MarketplaceError> {
        let query = "query($vaNumber: String!) { getOrderByVA(vaNumber: $vaNumber) { totalHarga paymentStatus } }";
        let data = self.ask(query, &json!({ "vaNumber": va_number })).await?;
        match &data["getOrderByVA"] {
            Value::Null => Ok(None),
            order => {
                let total = order["totalHarga"].as_number().ok_or(MarketplaceError::Form)?.to_string();
                Ok(Some(Order { total, is_paid: order["paymentStatus"] == "PAID" }))
            }
        }
    }

    /// Says that a bill is paid, unless the marketplace knows: told twice, it ships twice.
    pub(super) async fn tell_paid(&self, va_number: &str) -> Result<(), MarketplaceError> {
        if self.order(va_number).await?.ok_or(MarketplaceError::Unknown)?.is_paid {
            return Ok(());
        }
        let query = "mutation($vaNumber: String!, $status: String!) { \
                     updatePaymentStatus(vaNumber: $vaNumber, status: $status) }";
        let data = self.ask(query, &json!({ "vaNumber": va_number, "status": "PROCESSED" })).await?;
        match data["updatePaymentStatus"].as_bool() {
            Some(true) => Ok(()),
            Some(false) => Err(MarketplaceError::Unknown),
            None => Err(MarketplaceError::Form),
        }
    }

    async fn ask(&self, query: &str, variables: &Value) -> Result<Value, MarketplaceError> {
        let body = json!({ "query": query, "variables": variables }).to_string();
        let answered = tokio::time::timeout(ANSWER_TIME_MAX, self.exchange(body)).await;
        let text = answered.map_err(|_| MarketplaceError::Late)??;
        let mut answer: Value = serde_json::from_slice(&text).map_err(|_| MarketplaceError::Form)?;
        if let Some(error) = answer["errors"].get(0) {
            let said = error["message"].as_str().unwrap_or("no message");
            return Err(MarketplaceError::Refused(said.to_owned()));
        }
        let data = answer["data"].take();
        if data.is_object() { Ok(data) } else { Err(MarketplaceError::Form) }
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
