//! The fields of a JSON body. What is not asked for is not looked at.

use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderMap};
use hyper::{StatusCode, Uri};
use serde_json::{Map, Value};

use super::answer::Refusal;
use crate::call::decoded;
use crate::money::text_of;

/// The fields of a body, and what was wrong with those that were taken.
#[derive(Debug)]
pub(super) struct Fields {
    fields: Map<String, Value>,
    wrong: Map<String, Value>,
}

/// A parameter of a query.
pub(super) fn parameter(uri: &Uri, name: &str) -> Option<String> {
    let pairs = uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(own, _)| *own == name).find_map(|(_, value)| decoded(value))
}

/// Checks that a body says that it is JSON.
pub(super) fn check_media(headers: &HeaderMap) -> Result<(), Refusal> {
    let media = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_json = media.split(';').next().is_some_and(|own| own.trim().eq_ignore_ascii_case("application/json"));
    let refused = || Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Send Content-Type: application/json");
    if is_json { Ok(()) } else { Err(refused()) }
}

impl Fields {
    /// Reads a body.
    ///
    /// # Errors
    ///
    /// 400 of what is no object, 415 of what says that it is something else.
    pub(super) fn read(headers: &HeaderMap, body: &Bytes) -> Result<Fields, Refusal> {
        check_media(headers)?;
        let fields = serde_json::from_slice(body).map_err(|_| Refusal::bad("The body must be a JSON object"))?;
        Ok(Fields { fields, wrong: Map::new() })
    }

    pub(super) fn reject(&mut self, name: &str, problem: impl Into<String>) {
        self.wrong.entry(name).or_insert_with(|| problem.into().into());
    }

    /// Takes what may be left away.
    pub(super) fn optional(&mut self, name: &str) -> Option<Value> {
        self.fields.remove(name).filter(|value| !value.is_null())
    }

    /// Takes a text of so many letters.
    pub(super) fn text(&mut self, name: &str, (least, most): (usize, usize)) -> String {
        match self.optional(name) {
            Some(Value::String(text)) if (least..=most).contains(&text.chars().count()) => return text,
            Some(Value::String(_)) => self.reject(name, format!("must have {least} to {most} letters")),
            Some(_) => self.reject(name, "must be a text"),
            None => self.reject(name, "is required"),
        }
        String::new()
    }

    /// Takes a number, as it is written.
    pub(super) fn number(&mut self, name: &str) -> String {
        match self.optional(name) {
            Some(value @ Value::Number(_)) => return text_of(&value).unwrap_or_default(),
            Some(_) => self.reject(name, "must be a number"),
            None => self.reject(name, "is required"),
        }
        String::new()
    }

    /// Returns what was wrong, if anything was.
    ///
    /// # Errors
    ///
    /// 422 with what is wrong with each field.
    pub(super) fn check(self) -> Result<(), Refusal> {
        if self.wrong.is_empty() { Ok(()) } else { Err(Refusal::fields(&self.wrong)) }
    }
}
