//! A small HTTP client for the commands that talk to a running server. Knows requests and problems, no rules.
//!
//! A request is sent and its answer read at the same time: a server that answers line by line stops reading when its
//! answers are not read.

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HOST, RETRY_AFTER};
use hyper::{Method, Request, Response, StatusCode};
use kembali_http::outgoing::{ConnectError, Connection, Remote, RootsError, ServerUrl};
use kembali_http::signature::{SIGNATURE_HEADER, Signed, TIMESTAMP_HEADER};
use serde::Deserialize;
use serde_json::Value;

/// How often an overloaded server is asked again.
const OVERLOAD_RETRIES_MAX: u32 = 60;

const PURCHASES: &str = "/v1/purchases";

type Body = Full<Bytes>;

/// A partner's key.
#[derive(Clone, Copy)]
pub(crate) struct PartnerKey<'a> {
    pub(crate) api_key: &'a str,
    /// What the requests are signed with, if they are.
    pub(crate) secret: Option<&'a str>,
}

/// A running server, as seen from outside. One request at a time, over one connection.
pub(crate) struct Client {
    server: ServerUrl,
    /// How long each part of an answer may take.
    answer_time_max: Duration,
    /// Whose certificates are believed: those in this file, or those that the system believes.
    ca_file: Option<PathBuf>,
    connection: Option<Connection>,
}

/// Why the server did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Roots(#[from] RootsError),
    #[error(
        "the server did not answer within {} seconds; what became of the request is unknown. Send it again; \
         --answer-seconds-max allows more", .0.as_secs()
    )]
    Slow(Duration),
    #[error("the server went away in the middle of an answer: {0}")]
    Broken(hyper::Error),
    #[error("the server refused ({status} {}): {}", problem.code, problem.detail)]
    Refused { status: u16, problem: Problem },
    #[error("the server answered something else than expected: {0}")]
    Unexpected(String),
    #[error("the request cannot be made: {0}")]
    Request(#[from] hyper::http::Error),
}

/// The part of a problem document that a person needs.
#[derive(Debug, Deserialize)]
pub(crate) struct Problem {
    #[serde(default)]
    pub(crate) code: String,
    #[serde(default)]
    pub(crate) detail: String,
    /// Where in a catalogue it is, such as `promos[JOURNEY2017].bands[3]`.
    #[serde(default)]
    pub(crate) place: Option<String>,
    /// The partner whose API key it is about.
    #[serde(default)]
    pub(crate) partner: Option<String>,
}

/// Writes text so that it can stand in a query or a path of an address, whatever is in it.
pub(crate) fn in_address(text: &str) -> impl std::fmt::Display {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
}

impl Client {
    /// Makes a client of a server. Nothing is connected yet. The head of an answer, and each part that follows, may take
    /// `answer_time_max`.
    pub(crate) fn new(server: ServerUrl, answer_time_max: Duration) -> Client {
        Client { server, answer_time_max, ca_file: None, connection: None }
    }

    /// Believes the certificates in a file, in PEM, and no others.
    pub(crate) fn believing(self, ca_file: Option<PathBuf>) -> Client {
        Client { ca_file, ..self }
    }

    /// Gets a JSON document, as an operator.
    pub(crate) async fn get(&mut self, path: &str, token: &str) -> Result<Value, ClientError> {
        let request = self.request(Method::GET, path).header(AUTHORIZATION, format!("Bearer {token}"));
        let response = self.exchange(request.body(Body::default())?).await?;
        self.json(response).await
    }

    /// Puts a JSON document, as an operator.
    pub(crate) async fn put(&mut self, path: &str, token: &str, body: &Value) -> Result<Value, ClientError> {
        self.change(Method::PUT, path, token, body).await
    }

    /// Posts a JSON document, as an operator.
    pub(crate) async fn post(&mut self, path: &str, token: &str, body: &Value) -> Result<Value, ClientError> {
        self.change(Method::POST, path, token, body).await
    }

    async fn change(&mut self, method: Method, path: &str, token: &str, body: &Value) -> Result<Value, ClientError> {
        let request = self
            .request(method, path)
            .header(AUTHORIZATION, format!("Bearer {token}"))
            .header(CONTENT_TYPE, "application/json");
        let response = self.exchange(request.body(Body::from(body.to_string()))?).await?;
        self.json(response).await
    }

    /// Posts a JSON document, as an operator, and hands each line of the answer to `see` as it comes.
    pub(crate) async fn post_for_lines(
        &mut self,
        path: &str,
        token: &str,
        body: &Value,
        see: impl FnMut(&[u8]) -> Result<(), ClientError>,
    ) -> Result<(), ClientError> {
        let request = self
            .request(Method::POST, path)
            .header(AUTHORIZATION, format!("Bearer {token}"))
            .header(CONTENT_TYPE, "application/json");
        let response = self.exchange(request.body(Body::from(body.to_string()))?).await?;
        if !response.status().is_success() {
            return Err(self.refused(response).await);
        }
        self.read_lines(response, see).await
    }

    /// Sends lines of purchases, signed where the key has a secret, and hands each answered line to `see` as it comes. An overloaded server is asked again.
    pub(crate) async fn send_lines(
        &mut self,
        key: PartnerKey<'_>,
        lines: Bytes,
        gzipped: bool,
        see: impl FnMut(&[u8]) -> Result<(), ClientError>,
    ) -> Result<(), ClientError> {
        let mut retries = 0;
        let response = loop {
            let mut request = self
                .request(Method::POST, PURCHASES)
                .header("X-Api-Key", key.api_key)
                .header(CONTENT_TYPE, "application/x-ndjson");
            if let Some(secret) = key.secret {
                // Signed anew each time: an overloaded server may be asked again for longer than a signature holds.
                // Two packets that are alike are two requests: the decimals tell their signatures apart.
                let now = kembali_engine::now().0;
                let timestamp = format!("{}.{:06}", now.div_euclid(1_000_000), now.rem_euclid(1_000_000));
                let (method, path_and_query, timestamp) = ("POST", PURCHASES, timestamp.as_str());
                let signed = Signed { method, path_and_query, timestamp, idempotency_key: None };
                let signature = signed.sign(secret.as_bytes(), &lines);
                request = request.header(TIMESTAMP_HEADER, timestamp).header(SIGNATURE_HEADER, signature);
            }
            if gzipped {
                request = request.header(CONTENT_ENCODING, "gzip");
            }
            let response = self.exchange(request.body(Body::new(lines.clone()))?).await?;
            let is_later = matches!(response.status(), StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS);
            if !is_later || OVERLOAD_RETRIES_MAX <= retries {
                break response;
            }
            retries += 1;
            tokio::time::sleep(retry_after(&response)).await;
            // What is left of the refusal is not read, so the connection cannot be used again.
            self.connection = None;
        };
        if !response.status().is_success() {
            return Err(self.refused(response).await);
        }
        self.read_lines(response, see).await
    }

    /// Hands each line of an answer to `see` as it comes.
    async fn read_lines(
        &self,
        mut response: Response<Incoming>,
        mut see: impl FnMut(&[u8]) -> Result<(), ClientError>,
    ) -> Result<(), ClientError> {
        let mut rest: Vec<u8> = Vec::new();
        while let Some(frame) = within(self.answer_time_max, response.frame()).await? {
            let frame = frame.map_err(ClientError::Broken)?;
            let Some(bytes) = frame.data_ref() else { continue };
            rest.extend_from_slice(bytes);
            let mut seen = 0;
            while let Some(length) = rest[seen..].iter().position(|byte| *byte == b'\n') {
                see(&rest[seen..seen + length])?;
                seen += length + 1;
            }
            rest.drain(..seen);
        }
        if rest.is_empty() { Ok(()) } else { see(&rest) }
    }

    async fn whole(&self, response: Response<Incoming>) -> Result<Bytes, ClientError> {
        let collected = within(self.answer_time_max, response.into_body().collect()).await?;
        Ok(collected.map_err(ClientError::Broken)?.to_bytes())
    }

    async fn json(&self, response: Response<Incoming>) -> Result<Value, ClientError> {
        if !response.status().is_success() {
            return Err(self.refused(response).await);
        }
        let bytes = self.whole(response).await?;
        serde_json::from_slice(&bytes).map_err(|error| ClientError::Unexpected(error.to_string()))
    }

    async fn refused(&self, response: Response<Incoming>) -> ClientError {
        let status = response.status().as_u16();
        let bytes = match self.whole(response).await {
            Ok(bytes) => bytes,
            Err(error) => return error,
        };
        match serde_json::from_slice::<Problem>(&bytes) {
            Ok(problem) => ClientError::Refused { status, problem },
            Err(error) => ClientError::Unexpected(format!("status {status}, and no problem document: {error}")),
        }
    }

    fn request(&self, method: Method, path: &str) -> hyper::http::request::Builder {
        Request::builder().method(method).uri(path).header(HOST, self.server.authority())
    }

    /// Sends a request and waits for the head of its answer.
    async fn exchange(&mut self, request: Request<Body>) -> Result<Response<Incoming>, ClientError> {
        let mut connection = match self.connection.take() {
            Some(kept) => kept,
            None => self.connect().await?,
        };
        // The server may have closed it since; then a new one is made.
        if connection.ready().await.is_err() {
            connection = self.connect().await?;
        }
        let sent = within(self.answer_time_max, connection.send_request(request)).await?;
        let response = sent.map_err(ClientError::Broken)?;
        self.connection = Some(connection);
        Ok(response)
    }

    async fn connect(&self) -> Result<Connection, ClientError> {
        Ok(Remote::new(self.server.clone(), self.ca_file.as_deref())?.connect().await?)
    }
}

fn retry_after(response: &Response<Incoming>) -> Duration {
    let seconds = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    Duration::from_secs(seconds.unwrap_or(1).clamp(1, 30))
}

/// Waits for a part of an answer, as long as it may take.
async fn within<T>(time_max: Duration, part: impl Future<Output = T>) -> Result<T, ClientError> {
    tokio::time::timeout(time_max, part).await.map_err(|_| ClientError::Slow(time_max))
}
