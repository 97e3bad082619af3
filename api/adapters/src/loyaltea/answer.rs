//! What Loyaltea's answers look like: the thing itself, and `{detail}` or `{message}` of what is refused.

use hyper::body::Bytes;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue, LINK, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Method, Response, StatusCode};
use serde_json::{Map, Value, json};

use crate::call::Declined;

/// How a service writes what it refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// `{detail}`, or what is wrong with each field.
    Django,
    /// `{message}`.
    Plain,
}

/// What was done.
#[derive(Debug)]
pub(super) struct Done {
    status: StatusCode,
    body: Value,
    /// Where a list goes on.
    next: Option<String>,
}

impl Done {
    pub(super) const fn found(body: Value) -> Done {
        Done { status: StatusCode::OK, body, next: None }
    }

    pub(super) const fn made(body: Value) -> Done {
        Done { status: StatusCode::CREATED, body, next: None }
    }

    pub(super) const fn gone() -> Done {
        Done { status: StatusCode::NO_CONTENT, body: Value::Null, next: None }
    }

    /// A list that goes on elsewhere, if it does.
    pub(super) const fn page(body: Value, next: Option<String>) -> Done {
        Done { status: StatusCode::OK, body, next }
    }
}

/// What was refused.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    message: Message,
    /// The native code, for programs.
    code: Option<String>,
    retry_after: Option<HeaderValue>,
    /// The methods that the path takes instead.
    allowed: Option<&'static str>,
}

#[derive(Debug)]
enum Message {
    Text(String),
    /// What is wrong with each field.
    Fields(Map<String, Value>),
}

impl Refusal {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Refusal {
        Refusal { status, message: Message::Text(message.into()), code: None, retry_after: None, allowed: None }
    }

    /// Says what is wrong with each field.
    pub(super) const fn fields(wrong: Map<String, Value>) -> Refusal {
        Refusal {
            status: StatusCode::BAD_REQUEST,
            message: Message::Fields(wrong),
            code: None,
            retry_after: None,
            allowed: None,
        }
    }

    /// Says what is wrong with one field.
    pub(super) fn field(name: &str, problem: impl Into<String>) -> Refusal {
        Refusal::fields(Map::from_iter([(name.to_owned(), json!([problem.into()]))]))
    }

    /// Says it of this status, where the code is this one.
    pub(super) fn with_status(self, code: &str, status: StatusCode) -> Refusal {
        if self.is(code) { Refusal { status, ..self } } else { self }
    }

    /// Returns true where whoever called may not do so, whatever was asked.
    pub(super) fn is_about_the_caller(&self) -> bool {
        matches!(self.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS)
    }

    pub(super) fn not_found() -> Refusal {
        Refusal::new(StatusCode::NOT_FOUND, "Not found.")
    }

    pub(super) fn method(method: &Method, allowed: &'static str) -> Refusal {
        let refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, format!("Method \"{method}\" not allowed."));
        Refusal { allowed: Some(allowed), ..refusal }
    }

    /// Returns true of this native code.
    pub(super) fn is(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }

    /// What is wrong, in a line.
    pub(super) fn text(&self) -> String {
        match &self.message {
            Message::Text(text) => text.clone(),
            Message::Fields(wrong) => {
                let of = |(name, problems): (&String, &Value)| {
                    let problems = problems.as_array().into_iter().flatten().filter_map(Value::as_str);
                    format!("{name}: {}", problems.collect::<Vec<_>>().join(" "))
                };
                wrong.iter().map(of).collect::<Vec<_>>().join(" ")
            }
        }
    }
}

impl From<Declined> for Refusal {
    fn from(own: Declined) -> Refusal {
        let Declined { status, code, message, retry_after } = own;
        Refusal { status, message: Message::Text(message), code, retry_after, allowed: None }
    }
}

/// Writes an answer.
pub(super) fn written(answer: Result<Done, Refusal>, style: Style) -> Response<Bytes> {
    let (status, body, next, retry_after, allowed) = match answer {
        Ok(Done { status, body, next }) => (status, body, next, None, None),
        Err(refusal) => (refusal.status, refused(&refusal, style), None, refusal.retry_after, refusal.allowed),
    };
    let text = if status == StatusCode::NO_CONTENT { String::new() } else { body.to_string() };
    let mut response = Response::new(Bytes::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(next) = next.and_then(|next| HeaderValue::try_from(format!("<{next}>; rel=\"next\"")).ok()) {
        headers.insert(LINK, next);
    }
    if let Some(seconds) = retry_after {
        headers.insert(RETRY_AFTER, seconds);
    }
    if let Some(allowed) = allowed {
        headers.insert(ALLOW, HeaderValue::from_static(allowed));
    }
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"api\""));
    }
    response
}

fn refused(refusal: &Refusal, style: Style) -> Value {
    let mut body = match (style, &refusal.message) {
        (Style::Django, Message::Fields(wrong)) => return Value::Object(wrong.clone()),
        (Style::Django, Message::Text(text)) => json!({ "detail": text }),
        (Style::Plain, _) => json!({ "message": refusal.text() }),
    };
    if let Some(code) = &refusal.code {
        body["code"] = code.as_str().into();
    }
    body
}
