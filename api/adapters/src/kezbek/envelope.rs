//! What KezBek's answers look like: `{statusCode, message, data}`, and `{statusCode, message, error}` of what is refused.

use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Request, Response, StatusCode};
use serde_json::{Map, Value, json};

use crate::call::Declined;

/// What was done.
pub(super) struct Done {
    status: StatusCode,
    message: &'static str,
    data: Value,
}

impl Done {
    /// Something was found.
    pub(super) const fn found(message: &'static str, data: Value) -> Done {
        Done { status: StatusCode::OK, message, data }
    }

    /// Something was made. KezBek says so of whatever was posted.
    pub(super) const fn made(message: &'static str, data: Value) -> Done {
        Done { status: StatusCode::CREATED, message, data }
    }
}

/// What was refused.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// A text, or a list of what is wrong with the fields.
    message: Value,
    /// The native code, for programs.
    pub(super) code: Option<String>,
    retry_after: Option<HeaderValue>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, message: impl Into<Value>) -> Refusal {
        Refusal { status, message: message.into(), code: None, retry_after: None }
    }

    pub(super) fn no_route<T>(request: &Request<T>) -> Refusal {
        let message = format!("Cannot {} {}", request.method(), request.uri().path());
        Refusal::new(StatusCode::NOT_FOUND, message)
    }

    /// Says it in other words, where the code is this one.
    pub(super) fn saying(self, code: &str, status: StatusCode, message: impl Into<Value>) -> Refusal {
        if self.code.as_deref() != Some(code) {
            return self;
        }
        Refusal { status, message: message.into(), ..self }
    }

    /// Returns true of this native code.
    pub(super) fn is(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }
}

impl From<Declined> for Refusal {
    fn from(own: Declined) -> Refusal {
        let Declined { status, code, message, retry_after } = own;
        Refusal { status, message: message.into(), code, retry_after }
    }
}

/// Writes an answer.
pub(super) fn written(answer: Result<Done, Refusal>) -> Response<Bytes> {
    let (status, body, retry_after) = match answer {
        Ok(Done { status, message, data }) => {
            (status, json!({ "statusCode": status.as_u16(), "message": message, "data": data }), None)
        }
        Err(Refusal { status, message, code, retry_after }) => {
            let error = status.canonical_reason().unwrap_or("Error");
            let mut body = json!({ "statusCode": status.as_u16(), "message": message, "error": error });
            if let Some(code) = code {
                body["code"] = code.into();
            }
            (status, body, retry_after)
        }
    };
    let mut response = Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    if let Some(seconds) = retry_after {
        headers.insert(RETRY_AFTER, seconds);
    }
    response
}

/// The fields of a body. What is not asked for is not looked at.
pub(super) struct Fields {
    fields: Map<String, Value>,
    wrong: Vec<String>,
}

impl Fields {
    /// Reads a body.
    ///
    /// # Errors
    ///
    /// 400 of what is no object.
    pub(super) fn read(body: &Bytes) -> Result<Fields, Refusal> {
        let no_object = || Refusal::new(StatusCode::BAD_REQUEST, "The body must be a JSON object");
        match serde_json::from_slice(body).map_err(|_| no_object())? {
            Value::Object(fields) => Ok(Fields { fields, wrong: Vec::new() }),
            _ => Err(no_object()),
        }
    }

    /// Takes a text of so many characters or more.
    pub(super) fn text(&mut self, name: &str, chars_min: usize) -> String {
        match self.fields.remove(name) {
            Some(Value::String(text)) if chars_min <= text.chars().count() => return text,
            Some(Value::String(text)) if text.is_empty() => self.wrong.push(format!("{name} should not be empty")),
            Some(Value::String(_)) => {
                self.wrong.push(format!("{name} must be longer than or equal to {chars_min} characters"));
            }
            Some(_) => self.wrong.push(format!("{name} must be a string")),
            None => self.wrong.push(format!("{name} should not be empty")),
        }
        String::new()
    }

    /// Takes a whole number, which may be written as text. The native API says what is wrong with it.
    pub(super) fn number(&mut self, name: &str) -> Value {
        match self.fields.remove(name) {
            Some(number @ (Value::Number(_) | Value::String(_))) => number,
            _ => {
                self.wrong.push(format!("{name} must be a number"));
                Value::Null
            }
        }
    }

    /// Takes what may be left away.
    pub(super) fn optional(&mut self, name: &str) -> Option<Value> {
        self.fields.remove(name).filter(|value| !value.is_null())
    }

    /// Takes a number above zero; `usual` where it may be left away.
    pub(super) fn count(&mut self, name: &str, usual: Option<u64>) -> u64 {
        let sent = self.optional(name).map_or(usual, |number| number.as_u64().filter(|count| 0 < *count));
        sent.unwrap_or_else(|| {
            self.wrong.push(format!("{name} must be a positive number"));
            0
        })
    }

    /// Says what is wrong with all of them.
    ///
    /// # Errors
    ///
    /// 400 with a list.
    pub(super) fn check(self) -> Result<(), Refusal> {
        if self.wrong.is_empty() { Ok(()) } else { Err(Refusal::new(StatusCode::BAD_REQUEST, self.wrong)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_looked_at_together() {
        let mut fields =
            Fields::read(&Bytes::from_static(br#"{"name":"Ann","total":0,"more":1,"amount":"5"}"#)).expect("an object");
        let taken =
            (fields.text("name", 4), fields.text("email", 1), fields.number("amount"), fields.count("total", Some(10)));
        assert_eq!(taken, (String::new(), String::new(), json!("5"), 0));
        let refusal = fields.check().expect_err("three are wrong");
        let expected = json!([
            "name must be longer than or equal to 4 characters",
            "email should not be empty",
            "total must be a positive number"
        ]);
        assert_eq!((refusal.status.as_u16(), &refusal.message), (400, &expected));
        for wrong in ["", "[]", "{", "1"] {
            assert!(Fields::read(&Bytes::from(wrong)).is_err(), "{wrong}");
        }
    }
}
