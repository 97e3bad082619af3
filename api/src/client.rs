//! A small HTTP client for the commands that talk to a running server. Knows requests and problems, no rules.
//!
//! A request is sent and its answer read at the same time: a server that answers line by line stops reading when its
//! answers are not read.

use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HOST, RETRY_AFTER};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::Value;
use tokio::net::TcpStream;

/// How long a connection may take to come up.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// How often an overloaded server is asked again.
const OVERLOAD_RETRIES_MAX: u32 = 60;

type Body = Full<Bytes>;

/// A running server, as seen from outside. One request at a time, over one connection.
pub(crate) struct Client {
    /// The host and port.
    authority: String,
    connection: Option<SendRequest<Body>>,
}

/// Why the server did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    #[error("{0} is no address of a server; it must look like http://127.0.0.1:8080")]
    Url(String),
    #[error("the server at {authority} cannot be reached: {source}")]
    Unreachable { authority: String, source: std::io::Error },
    #[error("the server went away in the middle of an answer: {0}")]
    Broken(hyper::Error),
    #[error("the server refused ({status} {code}): {detail}")]
    Refused { status: u16, code: String, detail: String },
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
}

impl Client {
    /// Makes a client of the server at `url`. Nothing is connected yet.
    pub(crate) fn new(url: &str) -> Result<Client, ClientError> {
        let authority = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
        match authority.filter(|authority| !authority.is_empty() && !authority.contains('/')) {
            Some(authority) => Ok(Client { authority: authority.to_owned(), connection: None }),
            None => Err(ClientError::Url(url.to_owned())),
        }
    }

    /// Gets a JSON document, as an operator.
    pub(crate) async fn get(&mut self, path: &str, token: &str) -> Result<Value, ClientError> {
        let request = self.request(Method::GET, path).header(AUTHORIZATION, format!("Bearer {token}"));
        let response = self.exchange(request.body(Body::default())?).await?;
        json(response).await
    }

    /// Puts a JSON document, as an operator.
    pub(crate) async fn put(&mut self, path: &str, token: &str, body: &Value) -> Result<Value, ClientError> {
        let request = self
            .request(Method::PUT, path)
            .header(AUTHORIZATION, format!("Bearer {token}"))
            .header(CONTENT_TYPE, "application/json");
        let response = self.exchange(request.body(Body::from(body.to_string()))?).await?;
        json(response).await
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
            return Err(refused(response).await);
        }
        read_lines(response, see).await
    }

    /// Sends lines of purchases, and hands each answered line to `see` as it comes. An overloaded server is asked again.
    pub(crate) async fn send_lines(
        &mut self,
        api_key: &str,
        lines: Bytes,
        gzipped: bool,
        see: impl FnMut(&[u8]) -> Result<(), ClientError>,
    ) -> Result<(), ClientError> {
        let mut retries = 0;
        let response = loop {
            let mut request = self
                .request(Method::POST, "/v1/purchases")
                .header("X-Api-Key", api_key)
                .header(CONTENT_TYPE, "application/x-ndjson");
            if gzipped {
                request = request.header(CONTENT_ENCODING, "gzip");
            }
            let response = self.exchange(request.body(Body::new(lines.clone()))?).await?;
            if response.status() != StatusCode::SERVICE_UNAVAILABLE || OVERLOAD_RETRIES_MAX <= retries {
                break response;
            }
            retries += 1;
            tokio::time::sleep(retry_after(&response)).await;
            // What is left of the refusal is not read, so the connection cannot be used again.
            self.connection = None;
        };
        if !response.status().is_success() {
            return Err(refused(response).await);
        }
        read_lines(response, see).await
    }

    fn request(&self, method: Method, path: &str) -> hyper::http::request::Builder {
        Request::builder().method(method).uri(path).header(HOST, &self.authority)
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
        let response = connection.send_request(request).await.map_err(ClientError::Broken)?;
        self.connection = Some(connection);
        Ok(response)
    }

    async fn connect(&self) -> Result<SendRequest<Body>, ClientError> {
        let unreachable = |source| ClientError::Unreachable { authority: self.authority.clone(), source };
        let connecting = tokio::time::timeout(CONNECT_TIME_MAX, TcpStream::connect(&self.authority)).await;
        let stream = connecting.map_err(|_| unreachable(std::io::ErrorKind::TimedOut.into()))?.map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        let (connection, driver) = handshake(TokioIo::new(stream)).await.map_err(ClientError::Broken)?;
        tokio::spawn(async move {
            // Its failure is what the request under way reports.
            let _ = driver.await;
        });
        Ok(connection)
    }
}

fn retry_after(response: &Response<Incoming>) -> Duration {
    let seconds = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    Duration::from_secs(seconds.unwrap_or(1).clamp(1, 30))
}

/// Hands each line of an answer to `see` as it comes.
async fn read_lines(
    mut response: Response<Incoming>,
    mut see: impl FnMut(&[u8]) -> Result<(), ClientError>,
) -> Result<(), ClientError> {
    let mut rest: Vec<u8> = Vec::new();
    while let Some(frame) = response.frame().await {
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

async fn whole(response: Response<Incoming>) -> Result<Bytes, ClientError> {
    Ok(response.into_body().collect().await.map_err(ClientError::Broken)?.to_bytes())
}

async fn json(response: Response<Incoming>) -> Result<Value, ClientError> {
    if !response.status().is_success() {
        return Err(refused(response).await);
    }
    let bytes = whole(response).await?;
    serde_json::from_slice(&bytes).map_err(|error| ClientError::Unexpected(error.to_string()))
}

async fn refused(response: Response<Incoming>) -> ClientError {
    let status = response.status().as_u16();
    let bytes = match whole(response).await {
        Ok(bytes) => bytes,
        Err(error) => return error,
    };
    match serde_json::from_slice::<Problem>(&bytes) {
        Ok(Problem { code, detail }) => ClientError::Refused { status, code, detail },
        Err(error) => ClientError::Unexpected(format!("status {status}, and no problem document: {error}")),
    }
}
