//! What onetap's answers look like: `{message}`, or what is wrong with each field.

use hyper::body::Bytes;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER, SET_COOKIE};
use hyper::{Response, StatusCode};
use serde_json::{Map, Value, json};

use crate::call::Declined;

/// What was done.
#[derive(Debug)]
pub(super) struct Done {
    status: StatusCode,
    body: Value,
    cookie: Option<HeaderValue>,
}

impl Done {
    pub(super) const fn found(body: Value) -> Done {
        Done { status: StatusCode::OK, body, cookie: None }
    }

    pub(super) const fn made(body: Value) -> Done {
        Done { status: StatusCode::CREATED, body, cookie: None }
    }

    pub(super) fn with_cookie(self, cookie: HeaderValue) -> Done {
        Done { cookie: Some(cookie), ..self }
    }
}

/// What was refused.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    body: Value,
    /// The native code, for programs.
    code: Option<String>,
    retry_after: Option<HeaderValue>,
    /// The methods that the address takes instead.
    allowed: Option<&'static str>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Refusal {
        let body = json!({ "message": message.into() });
        Refusal { status, body, code: None, retry_after: None, allowed: None }
    }

    pub(super) fn bad(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::BAD_REQUEST, message)
    }

    pub(super) fn not_found(message: &str) -> Refusal {
        Refusal::new(StatusCode::NOT_FOUND, message)
    }

    /// Says which methods an address takes.
    pub(super) fn method(allowed: &'static str) -> Refusal {
        let message = format!("This address takes {allowed}");
        Refusal { allowed: Some(allowed), ..Refusal::new(StatusCode::METHOD_NOT_ALLOWED, message) }
    }

    /// Says what is wrong with each field.
    pub(super) fn fields(wrong: &Map<String, Value>) -> Refusal {
        let body = json!({ "Errors": wrong });
        Refusal { status: StatusCode::UNPROCESSABLE_ENTITY, body, code: None, retry_after: None, allowed: None }
    }

    /// Says what is wrong with one field.
    pub(super) fn field(name: &str, problem: impl Into<String>) -> Refusal {
        Refusal::fields(&Map::from_iter([(name.to_owned(), problem.into().into())]))
    }

    /// Says it in other words and of another status, where the code is this one.
    pub(super) fn saying(self, code: &str, status: StatusCode, message: &str) -> Refusal {
        if self.is(code) { Refusal { code: self.code, ..Refusal::new(status, message) } } else { self }
    }

    /// Returns true where whoever called may not do so, whatever was asked.
    pub(super) fn is_about_the_caller(&self) -> bool {
        matches!(self.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS)
    }

    /// Returns true of this native code.
    pub(super) fn is(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }
}

impl From<Declined> for Refusal {
    fn from(own: Declined) -> Refusal {
        let Declined { status, code, message, retry_after } = own;
        Refusal { code, retry_after, ..Refusal::new(status, message) }
    }
}

/// Writes an answer.
pub(super) fn written(answer: Result<Done, Refusal>) -> Response<Bytes> {
    let (status, body, cookie, retry_after, allowed) = match answer {
        Ok(Done { status, body, cookie }) => (status, body, cookie, None, None),
        Err(Refusal { status, mut body, code, retry_after, allowed }) => {
            if let Some(code) = code {
                body["code"] = code.into();
            }
            (status, body, None, retry_after, allowed)
        }
    };
    let mut response = Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(cookie) = cookie {
        headers.insert(SET_COOKIE, cookie);
    }
    if let Some(seconds) = retry_after {
        headers.insert(RETRY_AFTER, seconds);
    }
    if let Some(allowed) = allowed {
        headers.insert(ALLOW, HeaderValue::from_static(allowed));
    }
    response
}
