//! Requests of the native API: as whoever sent the request, or signed as a partner.
//!
//! Credentials are handed on, never vouched for: the native API looks at them.

use std::marker::PhantomData;

use data_encoding::BASE64;
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use hyper::http::request::Builder;
use hyper::{Method, Request, Response, StatusCode};
use kembali_engine::Engine;
use kembali_http::Native;
use kembali_http::signature::{SIGNATURE_HEADER, Signed, TIMESTAMP_HEADER};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::Value;

/// The header of API keys.
const API_KEY_HEADER: &str = "X-Api-Key";
/// The header of answers that were given before.
const REPLAYED_HEADER: &str = "Idempotency-Replayed";
/// The user in whose place a token stands.
const TOKEN_USER: &str = "token";

/// What a request is answered by. Problems become what the adapter refuses with.
pub(crate) struct Call<'a, R> {
    native: Native<'a>,
    credentials: Credentials,
    tenant: Option<&'a str>,
    refuses: PhantomData<fn() -> R>,
}

/// What a request shows to say who sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Credentials {
    /// Nothing.
    None,
    /// The `Authorization` header, as it is.
    Authorization(HeaderValue),
    /// A partner's key alone.
    ApiKey(HeaderValue),
    /// A partner's key with the secret that signs.
    Secret(String, String),
}

/// Why the native API did not do what it was asked for.
#[derive(Debug)]
pub(crate) struct Declined {
    pub(crate) status: StatusCode,
    /// The native code, for programs; not there where the adapter found it.
    pub(crate) code: Option<String>,
    pub(crate) message: String,
    pub(crate) retry_after: Option<HeaderValue>,
}

/// Draws a number that nobody can guess.
pub(crate) fn drawn() -> Result<u128, Declined> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| Declined::internal())?;
    Ok(u128::from_le_bytes(bytes))
}

/// What is encoded: ids stay as they are.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');

/// Writes text so that it can stand in a path or a query, whatever is in it.
pub(crate) fn in_address(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// Reads what stands in a path or a query; `None` of what is no text.
pub(crate) fn decoded(text: &str) -> Option<String> {
    percent_decode_str(text).decode_utf8().ok().map(|text| text.into_owned())
}

impl Credentials {
    /// Takes the `Authorization` header as it is.
    pub(crate) fn authorization(headers: &HeaderMap) -> Credentials {
        headers.get(AUTHORIZATION).cloned().map_or(Credentials::None, Credentials::Authorization)
    }

    /// Takes an API key, or HTTP's basic credentials: a partner's key with its secret or without one, or the user `token` with a
    /// token. Whatever else there is, is handed on as it is.
    pub(crate) fn of(headers: &HeaderMap) -> Credentials {
        if let Some(key) = headers.get(API_KEY_HEADER) {
            return Credentials::ApiKey(key.clone());
        }
        let Some(authorization) = headers.get(AUTHORIZATION) else { return Credentials::None };
        let given = || Credentials::Authorization(authorization.clone());
        match basic(authorization) {
            None => given(),
            Some((user, token)) if user == TOKEN_USER => {
                let bearer = HeaderValue::try_from(format!("Bearer {token}"));
                bearer.map_or_else(|_| given(), Credentials::Authorization)
            }
            Some((key, secret)) if secret.is_empty() => {
                HeaderValue::try_from(key).map_or_else(|_| given(), Credentials::ApiKey)
            }
            Some((key, secret)) => Credentials::Secret(key, secret),
        }
    }

    /// The partner's key, if these are a partner's.
    pub(crate) fn api_key(&self) -> Option<&str> {
        match self {
            Credentials::ApiKey(key) => key.to_str().ok(),
            Credentials::Secret(key, _) => Some(key),
            Credentials::None | Credentials::Authorization(_) => None,
        }
    }
}

fn basic(authorization: &HeaderValue) -> Option<(String, String)> {
    let (scheme, encoded) = authorization.to_str().ok()?.split_once(' ')?;
    let decoded = BASE64.decode(encoded.trim().as_bytes()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let (user, password) = str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

impl<R> Clone for Call<'_, R> {
    fn clone(&self) -> Self {
        Call { credentials: self.credentials.clone(), ..*self }
    }
}

impl<'a, R: From<Declined>> Call<'a, R> {
    pub(crate) fn new(native: Native<'a>, credentials: Credentials, tenant: Option<&'a str>) -> Call<'a, R> {
        Call { native, credentials, tenant, refuses: PhantomData }
    }

    /// Asks about another tenant.
    pub(crate) fn about<'b>(&self, tenant: &'b str) -> Call<'b, R>
    where
        'a: 'b,
    {
        Call { tenant: Some(tenant), ..self.clone() }
    }

    /// Asks so that problems stay what the native API says.
    pub(crate) fn plain(&self) -> Call<'a, Declined> {
        Call { native: self.native, credentials: self.credentials.clone(), tenant: self.tenant, refuses: PhantomData }
    }

    pub(crate) fn engine(&self) -> &'a Engine {
        self.native.engine()
    }

    /// The tenant that is asked about; nothing where that is the caller's own.
    pub(crate) fn tenant(&self) -> &'a str {
        self.tenant.unwrap_or_default()
    }

    pub(crate) const fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Asks for something of the tenant's.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, R> {
        self.send(Method::GET, &self.of_tenant(path), &Value::Null, None).await
    }

    /// Asks for something that is the caller's own.
    pub(crate) async fn get_own(&self, path: &str) -> Result<Value, R> {
        self.send(Method::GET, path, &Value::Null, None).await
    }

    /// Has something of the tenant's done, once for each key.
    pub(crate) async fn post(&self, path: &str, body: &Value, key: Option<&str>) -> Result<Value, R> {
        self.send(Method::POST, &self.of_tenant(path), body, key).await
    }

    /// Asks what something of the tenant's would come to. Says too whether it was done under this key before, and is what it came to.
    pub(crate) async fn propose(&self, path: &str, body: &Value, key: &str) -> Result<(Value, bool), R> {
        let (path, body) = (self.of_tenant(&format!("{path}?dry_run=true")), text_of(body));
        let request = Request::builder().method(Method::POST).uri(&path).header("Idempotency-Key", key);
        let request = self.shown(request, ("POST", &path, Some(key)), &body)?;
        let answer = self.answered(request, "application/json", body).await?;
        let is_replayed = answer.headers().contains_key(REPLAYED_HEADER);
        Ok((serde_json::from_slice(answer.body()).map_err(|_| Declined::internal())?, is_replayed))
    }

    /// Puts something of the tenant's in the place of what there is.
    pub(crate) async fn put(&self, path: &str, body: &Value) -> Result<Value, R> {
        self.send(Method::PUT, &self.of_tenant(path), body, None).await
    }

    /// Changes a part of the tenant's rules, if they are still those of this version.
    pub(crate) async fn patch(&self, path: &str, body: &Value, version: &Value) -> Result<Value, R> {
        let path = self.of_tenant(&format!("{path}?expected_version={version}"));
        self.send(Method::PATCH, &path, body, None).await
    }

    /// Ends something of the tenant's.
    pub(crate) async fn delete(&self, path: &str) -> Result<Value, R> {
        self.send(Method::DELETE, &self.of_tenant(path), &Value::Null, None).await
    }

    /// Has something done that says itself of which tenant, or whose caller does; once for each key.
    pub(crate) async fn post_own(&self, path: &str, body: &Value, key: Option<&str>) -> Result<Value, R> {
        self.send(Method::POST, path, body, key).await
    }

    fn of_tenant(&self, path: &str) -> String {
        let sign = if path.contains('?') { '&' } else { '?' };
        self.tenant.map_or_else(|| path.to_owned(), |tenant| format!("{path}{sign}tenant={}", in_address(tenant)))
    }

    async fn send(&self, method: Method, path: &str, body: &Value, key: Option<&str>) -> Result<Value, R> {
        let mut request = Request::builder().method(&method).uri(path);
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        let body = text_of(body);
        self.sent(self.shown(request, (method.as_str(), path, key), &body)?, body).await
    }

    /// Shows the credentials.
    fn shown(&self, request: Builder, said: (&str, &str, Option<&str>), body: &str) -> Result<Builder, R> {
        Ok(match &self.credentials {
            Credentials::None => request,
            Credentials::Authorization(value) => request.header(AUTHORIZATION, value),
            Credentials::ApiKey(value) => request.header(API_KEY_HEADER, value),
            Credentials::Secret(api_key, secret) => self.sign(request, (api_key, secret), said, body)?,
        })
    }

    /// Sends a request as a partner, signed with its secret. So a wrong secret is refused, and so is a key that has none.
    pub(crate) async fn signed(
        &self,
        secret: (&str, &str),
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<Value, R> {
        let body = text_of(body);
        let request = Request::builder().method(&method).uri(path);
        self.sent(self.sign(request, secret, (method.as_str(), path, None), &body)?, body).await
    }

    fn sign(
        &self,
        request: Builder,
        (api_key, api_secret): (&str, &str),
        (method, path_and_query, idempotency_key): (&str, &str, Option<&str>),
        body: &str,
    ) -> Result<Builder, R> {
        let timestamp = self.timestamp().ok_or_else(Declined::internal)?;
        let idempotency_key = idempotency_key.map(str::as_bytes);
        let signed = Signed { method, path_and_query, timestamp: &timestamp, idempotency_key };
        let signature = signed.sign(api_secret.as_bytes(), body.as_bytes());
        let request = request.header(API_KEY_HEADER, api_key).header(TIMESTAMP_HEADER, timestamp);
        Ok(request.header(SIGNATURE_HEADER, signature))
    }

    /// Says what time it is, and something that no other request says: two that are alike are signed apart.
    fn timestamp(&self) -> Option<String> {
        let mut drawn = [0; 2];
        getrandom::fill(&mut drawn).ok()?;
        let now = self.engine().wall().0;
        let nanoseconds = now.rem_euclid(1_000_000) * 1_000 + i64::from(u16::from_le_bytes(drawn) % 1_000);
        Some(format!("{}.{nanoseconds:09}", now.div_euclid(1_000_000)))
    }

    /// Sends purchases, a line each, and returns what is said of each.
    #[cfg(feature = "kafka")]
    pub(crate) async fn book(&self, lines: String) -> Result<Vec<Value>, R> {
        let (method, path) = (Method::POST, "/v1/purchases");
        let request =
            self.shown(Request::builder().method(&method).uri(path), (method.as_str(), path, None), &lines)?;
        let body = self.body(request, "application/x-ndjson", lines).await?;
        let said: Result<Vec<Value>, _> = serde_json::Deserializer::from_slice(&body).into_iter().collect();
        Ok(said.map_err(|_| Declined::internal())?)
    }

    async fn sent(&self, request: Builder, body: String) -> Result<Value, R> {
        let body = self.body(request, "application/json", body).await?;
        Ok(serde_json::from_slice(&body).map_err(|_| Declined::internal())?)
    }

    async fn body(&self, request: Builder, media: &str, body: String) -> Result<Bytes, R> {
        Ok(self.answered(request, media, body).await?.into_body())
    }

    async fn answered(&self, request: Builder, media: &str, body: String) -> Result<Response<Bytes>, R> {
        let request = request.header(CONTENT_TYPE, media).body(Bytes::from(body));
        // What a client sent may be no header: a key with a line feed.
        let request = request.map_err(|_| Declined {
            status: StatusCode::BAD_REQUEST,
            code: None,
            message: "A field holds what it cannot hold".to_owned(),
            retry_after: None,
        })?;
        let answer = self.native.call(request).await;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let (head, body) = answer.into_parts();
        let problem = serde_json::from_slice(&body).map_err(|_| Declined::internal())?;
        Err(Declined::of(head.status, &head.headers, &problem).into())
    }
}

impl Declined {
    /// Something failed that the caller cannot help.
    pub(crate) fn internal() -> Declined {
        let (status, message) = (StatusCode::INTERNAL_SERVER_ERROR, "Internal server error".to_owned());
        Declined { status, code: None, message, retry_after: None }
    }

    fn of(status: StatusCode, headers: &HeaderMap, problem: &Value) -> Declined {
        let text = |name: &str| problem[name].as_str().unwrap_or_default();
        Declined {
            status,
            code: problem["code"].as_str().map(str::to_owned),
            message: format!("{}. {}", text("title"), text("detail")),
            retry_after: headers.get(RETRY_AFTER).cloned(),
        }
    }
}

fn text_of(body: &Value) -> String {
    if body.is_null() { String::new() } else { body.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_credentials_are_a_partners_or_a_token() {
        let of = |name: &'static str, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_str(value).expect("a header"));
            Credentials::of(&headers)
        };
        let basic = |text: &str| of("authorization", &format!("Basic {}", BASE64.encode(text.as_bytes())));
        let header = HeaderValue::from_static;
        assert_eq!(Credentials::of(&HeaderMap::new()), Credentials::None);
        assert_eq!(of("x-api-key", "k"), Credentials::ApiKey(header("k")));
        assert_eq!(of("authorization", "Bearer t"), Credentials::Authorization(header("Bearer t")));
        assert_eq!(basic("token:a.b.c"), Credentials::Authorization(header("Bearer a.b.c")));
        assert_eq!(basic("key:"), Credentials::ApiKey(header("key")));
        assert_eq!(basic("key:se:cret"), Credentials::Secret("key".to_owned(), "se:cret".to_owned()));
        for odd in ["Basic", "Basic %", "Basic a2V5", "Digest a2V5OnNlY3JldA=="] {
            assert_eq!(of("authorization", odd), Credentials::Authorization(HeaderValue::from_str(odd).expect("one")));
        }
        assert!(matches!(basic("token:a\nb"), Credentials::Authorization(_)), "no header can hold it");
    }
}
