//! The fields of a body: JSON, or a form as `curl -d` sends it. What is not asked for is not looked at.

use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderMap};
use hyper::{StatusCode, Uri};
use serde_json::{Map, Value, json};

use super::answer::Refusal;
use crate::call::decoded;
use crate::money::text_of;
use crate::rules::uuid;

/// The fields of a body, and what was wrong with those that were taken.
#[derive(Debug)]
pub(super) struct Fields {
    fields: Map<String, Value>,
    wrong: Map<String, Value>,
}

/// The parameters of a query.
pub(super) fn query(uri: &Uri) -> Result<Vec<(String, String)>, Refusal> {
    let malformed = || Refusal::new(StatusCode::BAD_REQUEST, "The query is malformed");
    uri.query().map_or(Ok(Vec::new()), |text| form(text).ok_or_else(malformed))
}

/// Reads a form; `None` of text that is none.
fn form(text: &str) -> Option<Vec<(String, String)>> {
    let value = |text: &str| decoded(&text.replace('+', " "));
    let pair = |pair: &str| {
        let (name, text) = pair.split_once('=').unwrap_or((pair, ""));
        Some((value(name)?, value(text)?))
    };
    text.split('&').filter(|pair| !pair.is_empty()).map(pair).collect()
}

impl Fields {
    /// Reads a body.
    ///
    /// # Errors
    ///
    /// 400 of what is no object.
    pub(super) fn read(headers: &HeaderMap, body: &Bytes) -> Result<Fields, Refusal> {
        let media = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let is_form = media
            .split(';')
            .next()
            .is_some_and(|own| own.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"));
        if !is_form {
            return Fields::of_json(body);
        }
        let pairs = str::from_utf8(body).ok().and_then(form);
        let pairs = pairs.ok_or_else(|| Refusal::new(StatusCode::BAD_REQUEST, "The body must be a form"))?;
        // What is sent several times is a list.
        Ok(Fields { fields: pairs.into_iter().fold(Map::new(), with_pair), wrong: Map::new() })
    }

    /// Reads JSON.
    ///
    /// # Errors
    ///
    /// 400 of what is no object.
    pub(super) fn of_json(body: &[u8]) -> Result<Fields, Refusal> {
        let no_object = |_| Refusal::new(StatusCode::BAD_REQUEST, "The body must be a JSON object");
        Ok(Fields { fields: serde_json::from_slice(body).map_err(no_object)?, wrong: Map::new() })
    }

    fn reject(&mut self, name: &str, problem: &str) {
        self.wrong.insert(name.to_owned(), json!([problem]));
    }

    fn missing(&mut self, name: &str) {
        self.reject(name, "This field is required.");
    }

    /// Takes what may be left away.
    fn take(&mut self, name: &str) -> Option<Value> {
        self.fields.remove(name).filter(|value| !value.is_null())
    }

    /// Takes a text that may be left away, or be empty.
    pub(super) fn optional_text(&mut self, name: &str) -> Option<String> {
        match self.take(name)? {
            Value::String(text) => Some(text),
            _ => {
                self.reject(name, "Not a valid string.");
                None
            }
        }
    }

    /// Takes a text that must be there.
    pub(super) fn text(&mut self, name: &str) -> String {
        let is_there = self.fields.get(name).is_some_and(|value| !value.is_null());
        match self.optional_text(name) {
            Some(text) if text.is_empty() => self.reject(name, "This field may not be blank."),
            Some(text) => return text,
            None if is_there => (),
            None => self.missing(name),
        }
        String::new()
    }

    /// Takes a UUID that may be left away.
    pub(super) fn optional_uuid(&mut self, name: &str) -> Option<String> {
        // A form sends what is left blank.
        let text = self.optional_text(name).filter(|text| !text.is_empty())?;
        let own = uuid(&text);
        if own.is_none() {
            self.reject(name, "Must be a valid UUID.");
        }
        own
    }

    /// Takes a decimal number that may be left away, as text.
    pub(super) fn optional_number(&mut self, name: &str) -> Option<String> {
        let number = self.take(name)?;
        let text = text_of(&number);
        if text.is_none() {
            self.reject(name, "A valid number is required.");
        }
        text
    }

    /// Takes a decimal number that must be there, as text.
    pub(super) fn number(&mut self, name: &str) -> String {
        match self.optional_number(name) {
            Some(text) => text,
            None => {
                if !self.wrong.contains_key(name) {
                    self.missing(name);
                }
                String::new()
            }
        }
    }

    /// Takes a list of UUIDs that must be there.
    pub(super) fn uuids(&mut self, name: &str) -> Vec<String> {
        let Some(list) = self.take(name) else {
            self.missing(name);
            return Vec::new();
        };
        let texts: Vec<Value> = match list {
            Value::Array(all) => all,
            one => vec![one],
        };
        let own: Option<Vec<String>> = texts.iter().map(|text| text.as_str().and_then(uuid)).collect();
        own.unwrap_or_else(|| {
            self.reject(name, "Must be valid UUIDs.");
            Vec::new()
        })
    }

    /// Says what is wrong with all of them.
    ///
    /// # Errors
    ///
    /// 400 with what is wrong with each field.
    pub(super) fn check(self) -> Result<(), Refusal> {
        if self.wrong.is_empty() { Ok(()) } else { Err(Refusal::fields(self.wrong)) }
    }
}

fn with_pair(mut fields: Map<String, Value>, (name, value): (String, String)) -> Map<String, Value> {
    let before = fields.remove(&name);
    let value = match before {
        None => Value::String(value),
        Some(Value::Array(mut all)) => {
            all.push(value.into());
            Value::Array(all)
        }
        Some(first) => json!([first, value]),
    };
    fields.insert(name, value);
    fields
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;
    use proptest::prelude::*;

    use super::*;
    use crate::money::{minor_units, number};

    const UUID: &str = "0e41cc11-5e54-448b-a6ce-9c9a855ad207";

    fn read(media: &'static str, body: &'static str) -> Result<Fields, Refusal> {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(media))]);
        Fields::read(&headers, &Bytes::from_static(body.as_bytes()))
    }

    #[test]
    fn json_and_forms_hold_the_same() {
        let json = r#"{"tenant":"mei wei","amount":"99.5","rewards":["0E41CC115E54448BA6CE9C9A855AD207"]}"#;
        let form = "tenant=mei+wei&amount=99%2E5&rewards=0e41cc11-5e54-448b-a6ce-9c9a855ad207";
        for (media, body) in [("application/json", json), ("application/x-www-form-urlencoded; charset=utf-8", form)] {
            let mut fields = read(media, body).expect("fields");
            assert_eq!((fields.text("tenant"), fields.number("amount")), ("mei wei".to_owned(), "99.5".to_owned()));
            assert_eq!(fields.uuids("rewards"), [UUID]);
            assert_eq!((fields.optional_text("name"), fields.optional_uuid("id")), (None, None));
            assert!(fields.check().is_ok());
        }
        for wrong in ["", "[]", "{", "1", "tenant=a"] {
            assert!(read("application/json", wrong).is_err(), "{wrong}");
        }
        assert!(read("application/x-www-form-urlencoded", "a=%ff").is_err());
    }

    #[test]
    fn what_is_wrong_is_told_of_all_fields_together() {
        let mut fields =
            read("application/json", r#"{"tenant":"","name":1,"id":"x","amount":[],"list":["x"]}"#).expect("fields");
        assert_eq!(fields.text("tenant"), "");
        assert_eq!(fields.text("name"), "");
        assert_eq!((fields.optional_uuid("id"), fields.number("amount")), (None, String::new()));
        assert_eq!((fields.uuids("list"), fields.uuids("more")), (Vec::new(), Vec::new()));
        let told = fields.check().expect_err("six are wrong").text();
        for problem in [
            "tenant: This field may not be blank.",
            "name: Not a valid string.",
            "id: Must be a valid UUID.",
            "amount: A valid number is required.",
            "list: Must be valid UUIDs.",
            "more: This field is required.",
        ] {
            assert!(told.contains(problem), "{told}");
        }
    }

    proptest! {
        /// R45: whatever strangers send is read or refused, and what is read is what a client of Loyaltea could mean.
        #[test]
        fn r45_any_body_is_read_or_refused(is_form: bool, own in any_body(), cut in 0..200_usize) {
            let media = if is_form { "application/x-www-form-urlencoded" } else { "application/json" };
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(media))]);
            let body = Bytes::from(own.get(..cut.min(own.len())).map_or_else(|| own.clone(), <[u8]>::to_vec));
            let Ok(mut fields) = Fields::read(&headers, &body) else { return Ok(()) };
            let (tenant, amount) = (fields.text("tenant"), fields.number("amount"));
            let (id, list) = (fields.optional_uuid("id"), fields.uuids("list"));
            let is_uuid = |own: &String| own.len() == 36 && uuid(own).as_ref() == Some(own);
            prop_assert!(id.iter().chain(&list).all(is_uuid));
            let units = minor_units(&amount, 2);
            if let Some(units) = units {
                prop_assert_eq!(minor_units(&text_of(&number(units, 2)).expect("a number"), 2), Some(units));
            }
            match fields.check() {
                Ok(()) => prop_assert!(!tenant.is_empty()),
                Err(refusal) => prop_assert!(!refusal.text().is_empty()),
            }
        }
    }

    fn any_body() -> impl Strategy<Value = Vec<u8>> {
        let value = prop_oneof![
            Just("null".to_owned()),
            Just("[]".to_owned()),
            Just(format!("{UUID:?}")),
            Just(format!("[{UUID:?},1]")),
            Just("{}".to_owned()),
            "-?[0-9]{1,20}(\\.[0-9]{0,6})?(e[0-9]{1,3})?",
            "\"[^\"]{0,12}\"",
        ];
        let member = (prop_oneof![Just("tenant"), Just("amount"), Just("id"), Just("list")], value);
        let json = proptest::collection::vec(member, 0..6).prop_map(|members| {
            let members = members.iter().map(|(name, value)| format!("{name:?}:{value}"));
            format!("{{{}}}", members.collect::<Vec<_>>().join(",")).into_bytes()
        });
        let form = "((tenant|amount|id|list)=[0-9a-f%+.-]{0,36}&?){0,6}".prop_map(String::into_bytes);
        prop_oneof![json, form, proptest::collection::vec(any::<u8>(), 0..80)]
    }
}
