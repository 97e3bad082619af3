//! Requests of the native API: as whoever sent the request, or signed as a partner.

use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::http::request::Builder;
use hyper::{Method, Request, StatusCode};
use kembali_engine::Engine;
use kembali_http::Native;
use kembali_http::signature::{SIGNATURE_HEADER, Signed, TIMESTAMP_HEADER};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::envelope::Refusal;

/// What a request is answered by.
#[derive(Clone)]
pub(super) struct Call<'a> {
    native: Native<'a>,
    authorization: Option<HeaderValue>,
    pub(super) tenant: &'a str,
}

/// What is encoded: ids stay as they are.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');

/// Writes text so that it can stand in a path or a query, whatever is in it.
pub(super) fn in_address(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

impl<'a> Call<'a> {
    pub(super) fn new(native: Native<'a>, headers: &HeaderMap, tenant: &'a str) -> Call<'a> {
        Call { native, authorization: headers.get(AUTHORIZATION).cloned(), tenant }
    }

    pub(super) fn engine(&self) -> &'a Engine {
        self.native.engine()
    }

    /// Asks for something of the tenant's.
    pub(super) async fn get(&self, path: &str) -> Result<Value, Refusal> {
        let sign = if path.contains('?') { '&' } else { '?' };
        self.send(Method::GET, &format!("{path}{sign}tenant={}", in_address(self.tenant)), &Value::Null, None).await
    }

    /// Asks for something that is the caller's own.
    pub(super) async fn get_own(&self, path: &str) -> Result<Value, Refusal> {
        self.send(Method::GET, path, &Value::Null, None).await
    }

    /// Has something of the tenant's done, once for each key.
    pub(super) async fn post(&self, path: &str, body: &Value, key: Option<&str>) -> Result<Value, Refusal> {
        self.send(Method::POST, &format!("{path}?tenant={}", in_address(self.tenant)), body, key).await
    }

    /// Puts something of the tenant's in the place of what there is.
    pub(super) async fn put(&self, path: &str, body: &Value) -> Result<Value, Refusal> {
        self.send(Method::PUT, &format!("{path}?tenant={}", in_address(self.tenant)), body, None).await
    }

    /// Changes a part of the tenant's rules, if they are still those of this version.
    pub(super) async fn patch(&self, path: &str, body: &Value, version: &Value) -> Result<Value, Refusal> {
        let path = format!("{path}?tenant={}&expected_version={version}", in_address(self.tenant));
        self.send(Method::PATCH, &path, body, None).await
    }

    /// Has something done that says itself of which tenant.
    pub(super) async fn post_own(&self, path: &str, body: &Value) -> Result<Value, Refusal> {
        self.send(Method::POST, path, body, None).await
    }

    async fn send(&self, method: Method, path: &str, body: &Value, key: Option<&str>) -> Result<Value, Refusal> {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        self.sent(request, text_of(body)).await
    }

    /// Sends a request as a partner, signed with its secret. So a wrong secret is refused, and so is a key that has none.
    pub(super) async fn signed(
        &self,
        (api_key, api_secret): (&str, &str),
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<Value, Refusal> {
        let body = text_of(body);
        let timestamp = self.timestamp()?;
        let signed =
            Signed { method: method.as_str(), path_and_query: path, timestamp: &timestamp, idempotency_key: None };
        let signature = signed.sign(api_secret.as_bytes(), body.as_bytes());
        let request = Request::builder()
            .method(&method)
            .uri(path)
            .header("X-Api-Key", api_key)
            .header(TIMESTAMP_HEADER, timestamp)
            .header(SIGNATURE_HEADER, signature);
        self.sent(request, body).await
    }

    /// Says what time it is, and something that no other request says: two that are alike are signed apart.
    fn timestamp(&self) -> Result<String, Refusal> {
        let mut drawn = [0; 2];
        getrandom::fill(&mut drawn).map_err(|_| internal())?;
        let now = self.engine().wall().0;
        let nanoseconds = now.rem_euclid(1_000_000) * 1_000 + i64::from(u16::from_le_bytes(drawn) % 1_000);
        Ok(format!("{}.{nanoseconds:09}", now.div_euclid(1_000_000)))
    }

    async fn sent(&self, request: Builder, body: String) -> Result<Value, Refusal> {
        let request = request.header(CONTENT_TYPE, "application/json").body(Bytes::from(body));
        // What a client sent may be no header: a key with a line feed.
        let request =
            request.map_err(|_| Refusal::new(StatusCode::BAD_REQUEST, "A field holds what it cannot hold"))?;
        let response = self.native.call(request).await;
        let (head, body) = response.into_parts();
        let body: Value = serde_json::from_slice(&body).map_err(|_| internal())?;
        if head.status.is_success() { Ok(body) } else { Err(Refusal::of(head.status, &head.headers, &body)) }
    }
}

fn text_of(body: &Value) -> String {
    if body.is_null() { String::new() } else { body.to_string() }
}

pub(super) fn internal() -> Refusal {
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal server error")
}
