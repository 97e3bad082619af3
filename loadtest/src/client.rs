//! One connection to the server: HTTP/1.1, kept alive, one request at a time. Knows requests, no purchases.
//!
//! A request is sent and its answer read at the same time: a server that answers line by line stops reading when its
//! answers are not read.

use std::net::IpAddr;
use std::time::Duration;

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpStream;

use crate::answer::Problem;

const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
const RETRY_AFTER_MAX: u64 = 30;

const PURCHASES: &str = "/v1/purchases";
const REFUNDS: &str = "/v1/refunds";

type Body = Full<Bytes>;

/// Where the server is.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    /// The host and port.
    authority: String,
    is_loopback: bool,
}

/// A partner's key. No log shows it.
#[derive(Clone)]
pub(crate) struct Key {
    api_key: HeaderValue,
    /// What the requests are signed with, if they are.
    secret: Option<String>,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("[redacted]")
    }
}

impl Key {
    /// Takes a key, and its secret if it has one.
    ///
    /// # Errors
    ///
    /// [`ClientError::Secret`].
    pub(crate) fn new(api_key: &str, secret: Option<String>) -> Result<Key, ClientError> {
        let mut api_key = HeaderValue::try_from(api_key).map_err(|_| ClientError::Secret)?;
        api_key.set_sensitive(true);
        Ok(Key { api_key, secret })
    }

    /// Puts what a request is let in by into its head, and its signature.
    ///
    /// # Errors
    ///
    /// [`ClientError::Secret`].
    pub(crate) fn open(
        &self,
        (method, path): (&Method, &str),
        body: &[u8],
        head: &mut HeaderMap,
    ) -> Result<(), ClientError> {
        head.insert("x-api-key", self.api_key.clone());
        if let Some(secret) = &self.secret {
            let now = Timestamp::now();
            // The decimals tell the signatures of requests apart that are alike.
            let timestamp = format!("{}.{:09}", now.as_second(), now.subsec_nanosecond());
            let value = |text: &str| HeaderValue::try_from(text).map_err(|_| ClientError::Secret);
            head.insert("x-signature", value(&sign(secret, (method, path), &timestamp, body))?);
            head.insert("x-timestamp", value(&timestamp)?);
        }
        Ok(())
    }
}

/// Signs a request as the server's description asks for it.
fn sign(secret: &str, (method, path): (&Method, &str), timestamp: &str, body: &[u8]) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        unreachable!("HMAC takes keys of any length")
    };
    mac.update(format!("{method}\n{path}\n{timestamp}\n{}", HEXLOWER.encode(&Sha256::digest(body))).as_bytes());
    HEXLOWER.encode(&mac.finalize().into_bytes())
}

/// What a purchase or a stream of them is sent as.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Media {
    Json,
    NdJson,
}

/// Why the server did not answer as expected.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    #[error("{0} is no address of a server; it must look like http://127.0.0.1:8080")]
    Address(String),
    #[error("the server at {authority} cannot be reached: {source}")]
    Unreachable { authority: String, source: std::io::Error },
    #[error("the server went away in the middle of an answer: {0}")]
    Broken(hyper::Error),
    #[error("the server refused ({status} {code}): {detail}")]
    Refused { status: u16, code: String, detail: String },
    #[error("the server's report is no JSON: {0}")]
    Report(serde_json::Error),
    #[error("the key or the token cannot stand in a header")]
    Secret,
    #[error("the request cannot be made: {0}")]
    Request(#[from] hyper::http::Error),
}

impl Address {
    /// Reads `http://host:port`.
    ///
    /// # Errors
    ///
    /// [`ClientError::Address`].
    pub(crate) fn parse(text: &str) -> Result<Address, ClientError> {
        let bad = || ClientError::Address(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| bad())?;
        let host = uri.host().ok_or_else(bad)?;
        if uri.scheme_str() != Some("http") || uri.path() != "/" || uri.query().is_some() {
            return Err(bad());
        }
        let authority = format!("{host}:{}", uri.port_u16().unwrap_or(80));
        let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        let is_loopback = ip.map_or(host == "localhost", |ip| ip.is_loopback());
        Ok(Address { authority, is_loopback })
    }

    /// Returns true for this machine.
    pub(crate) fn is_loopback(&self) -> bool {
        self.is_loopback
    }

    /// Returns the host and port.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// Connects, without any request yet.
    ///
    /// # Errors
    ///
    /// [`ClientError::Unreachable`].
    pub(crate) async fn connect(&self) -> Result<TcpStream, ClientError> {
        let unreachable = |source| ClientError::Unreachable { authority: self.authority.clone(), source };
        let connecting = tokio::time::timeout(CONNECT_TIME_MAX, TcpStream::connect(&self.authority)).await;
        let stream = connecting.map_err(|_| unreachable(std::io::ErrorKind::TimedOut.into()))?.map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        Ok(stream)
    }
}

/// A connection, made when it is first needed and made again when the server has closed it.
pub(crate) struct Client {
    address: Address,
    kept: Option<SendRequest<Body>>,
}

impl Client {
    /// Makes a client. Nothing is connected yet.
    pub(crate) fn new(address: &Address) -> Client {
        Client { address: address.clone(), kept: None }
    }

    /// Gets a report, as an operator.
    pub(crate) async fn report(&mut self, path: &str, token: &str) -> Result<Value, ClientError> {
        let answer = self.operate(Method::GET, path, token, Bytes::new()).await?;
        serde_json::from_slice(&answer).map_err(ClientError::Report)
    }

    /// Asks something that is answered in lines of JSON, as an operator.
    pub(crate) async fn ask_as_operator(
        &mut self,
        path: &str,
        token: &str,
        question: String,
    ) -> Result<Bytes, ClientError> {
        self.operate(Method::POST, path, token, question.into()).await
    }

    async fn operate(&mut self, method: Method, path: &str, token: &str, body: Bytes) -> Result<Bytes, ClientError> {
        let token = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| ClientError::Secret)?;
        let request = self.request(method, path).header(AUTHORIZATION, token).header(CONTENT_TYPE, "application/json");
        let response = self.exchange(request.body(Body::new(body))?).await?;
        if response.status().is_success() { whole(response).await } else { Err(refused(response).await) }
    }

    /// Asks whether the server takes requests: it refuses for as long as it does not.
    pub(crate) async fn is_ready(&mut self) -> Result<(), ClientError> {
        let request = self.request(Method::GET, "/readyz").body(Body::default())?;
        let response = self.exchange(request).await?;
        if response.status().is_success() { Ok(()) } else { Err(refused(response).await) }
    }

    /// Sends purchases and returns the head of the answer as soon as it is there.
    pub(crate) async fn purchases(
        &mut self,
        key: &Key,
        media: Media,
        body: Bytes,
    ) -> Result<Response<Incoming>, ClientError> {
        let media = match media {
            Media::Json => "application/json",
            Media::NdJson => "application/x-ndjson",
        };
        let request = self.request(Method::POST, PURCHASES).header(CONTENT_TYPE, media);
        let mut request = request.body(Body::new(body.clone()))?;
        key.open((&Method::POST, PURCHASES), &body, request.headers_mut())?;
        self.exchange(request).await
    }

    /// Refunds a purchase, again while the server is overloaded, which is counted.
    pub(crate) async fn refund(&mut self, key: &Key, body: Bytes, retries: &mut u64) -> Result<Bytes, ClientError> {
        self.ask(key, (Method::POST, REFUNDS), &body, retries).await
    }

    /// Reads a customer, again while the server is overloaded, which is counted.
    pub(crate) async fn customer(&mut self, key: &Key, id: &str, retries: &mut u64) -> Result<Bytes, ClientError> {
        self.ask(key, (Method::GET, &format!("/v1/customers/{id}")), &Bytes::new(), retries).await
    }

    /// Sends a request until the server is not overloaded, and returns the answer of one that succeeded.
    async fn ask(
        &mut self,
        key: &Key,
        (method, path): (Method, &str),
        body: &Bytes,
        retries: &mut u64,
    ) -> Result<Bytes, ClientError> {
        loop {
            let request = self.request(method.clone(), path).header(CONTENT_TYPE, "application/json");
            let mut request = request.body(Body::new(body.clone()))?;
            key.open((&method, path), body, request.headers_mut())?;
            let response = self.exchange(request).await?;
            if response.status().is_success() {
                return whole(response).await;
            }
            let Some(pause) = retry_after(&response) else { return Err(refused(response).await) };
            *retries += 1;
            drop(whole(response).await?);
            tokio::time::sleep(pause).await;
        }
    }

    /// Gives the connection up: what is under way on it is not read to its end.
    pub(crate) fn disconnect(&mut self) {
        self.kept = None;
    }

    fn request(&self, method: Method, path: &str) -> hyper::http::request::Builder {
        Request::builder().method(method).uri(path).header(HOST, &self.address.authority)
    }

    async fn exchange(&mut self, request: Request<Body>) -> Result<Response<Incoming>, ClientError> {
        let mut connection = match self.kept.take() {
            Some(kept) => kept,
            None => self.connect().await?,
        };
        if connection.ready().await.is_err() {
            connection = self.connect().await?;
        }
        let response = connection.send_request(request).await.map_err(ClientError::Broken)?;
        self.kept = Some(connection);
        Ok(response)
    }

    async fn connect(&self) -> Result<SendRequest<Body>, ClientError> {
        let stream = self.address.connect().await?;
        let (connection, driver) = handshake(TokioIo::new(stream)).await.map_err(ClientError::Broken)?;
        tokio::spawn(async move {
            // Its failure is what the request under way reports.
            let _ = driver.await;
        });
        Ok(connection)
    }
}

/// Returns how long an overloaded server asks to be left alone; `None` if it is not overloaded.
pub(crate) fn retry_after(response: &Response<Incoming>) -> Option<Duration> {
    if response.status() != StatusCode::SERVICE_UNAVAILABLE {
        return None;
    }
    let seconds = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    Some(Duration::from_secs(seconds.unwrap_or(1).min(RETRY_AFTER_MAX)))
}

/// Reads an answer to its end.
pub(crate) async fn whole(response: Response<Incoming>) -> Result<Bytes, ClientError> {
    Ok(response.into_body().collect().await.map_err(ClientError::Broken)?.to_bytes())
}

/// Makes an error of a refusal.
pub(crate) async fn refused(response: Response<Incoming>) -> ClientError {
    let status = response.status().as_u16();
    let bytes = match whole(response).await {
        Ok(bytes) => bytes,
        Err(error) => return error,
    };
    let problem: Problem<'_> = serde_json::from_slice(&bytes).unwrap_or_default();
    ClientError::Refused { status, code: problem.code.into_owned(), detail: problem.detail.into_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with another program: `openssl dgst -sha256 -hmac`.
    #[test]
    fn a_signature_is_that_of_others() {
        let signature =
            sign("a-secret-of-16-chars", (&Method::POST, PURCHASES), "1483228800", br#"{"origin_id":"A-1"}"#);
        assert_eq!(signature, "abc05322148e95dca5f95d2ec74ac53d410a4f7cc1196ec5ed2b4c0aea65b8b4");
    }

    #[test]
    fn addresses_are_read_and_loopback_is_told() {
        for (text, authority, is_loopback) in [
            ("http://127.0.0.1:8080", "127.0.0.1:8080", true),
            ("http://localhost:81/", "localhost:81", true),
            ("http://[::1]:8080", "[::1]:8080", true),
            ("http://10.0.0.7", "10.0.0.7:80", false),
            ("http://localhost.example.com:80", "localhost.example.com:80", false),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!((address.authority.as_str(), address.is_loopback), (authority, is_loopback), "{text}");
        }
        for bad in ["", "127.0.0.1:8080", "https://127.0.0.1", "http://127.0.0.1/v1", "http://127.0.0.1/?a"] {
            assert!(Address::parse(bad).is_err(), "{bad}");
        }
    }
}
