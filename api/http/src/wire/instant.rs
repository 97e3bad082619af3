//! Instants and ids as text: RFC 3339 with an offset on the way in, UTC on the way out; ids as UUIDs.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use kembali_core::Instant;
use serde::{Serialize, Serializer};
use utoipa::openapi::schema::{ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// An instant as it is shown: RFC 3339 in UTC, with microseconds only when there are any.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rfc3339(pub(crate) Instant);

impl fmt::Display for Rfc3339 {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nearest = if self.0.0 < 0 { Timestamp::MIN } else { Timestamp::MAX };
        let instant = Timestamp::from_microsecond(self.0.0).unwrap_or(nearest);
        if instant.subsec_nanosecond() == 0 { write!(out, "{instant}") } else { write!(out, "{instant:.6}") }
    }
}

impl Serialize for Rfc3339 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl PartialSchema for Rfc3339 {
    fn schema() -> RefOr<Schema> {
        text_schema("date-time", "An instant: RFC 3339 in UTC, with microseconds only when there are any.")
    }
}

impl ToSchema for Rfc3339 {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Instant")
    }
}

fn text_schema(format: &str, says: &str) -> RefOr<Schema> {
    let text = ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::Custom(format.to_owned())));
    text.description(Some(says)).into()
}

/// Reads RFC 3339 with an offset. Digits finer than a microsecond are cut off.
pub(crate) fn parse_rfc3339(text: &str) -> Option<Instant> {
    // The calendar library reads more than RFC 3339: dates without dashes, named zones, commas.
    if !is_rfc3339(text.as_bytes()) {
        return None;
    }
    let instant: Timestamp = text.parse().ok()?;
    i64::try_from(instant.as_nanosecond().div_euclid(1_000)).ok().map(Instant)
}

/// Checks the form only; whether there is such a day is the calendar's business.
fn is_rfc3339(text: &[u8]) -> bool {
    let shape = |text: &[u8], pattern: &[u8]| {
        text.len() == pattern.len()
            && text.iter().zip(pattern).all(|(byte, form)| match form {
                b'0' => byte.is_ascii_digit(),
                b'T' => matches!(byte, b'T' | b't'),
                form => byte == form,
            })
    };
    let Some((start, rest)) = text.split_at_checked(19) else { return false };
    if !shape(start, b"0000-00-00T00:00:00") {
        return false;
    }
    let digits = match rest.strip_prefix(b".") {
        Some(fraction) => fraction.iter().take_while(|byte| byte.is_ascii_digit()).count(),
        None => 0,
    };
    let offset = match (rest.first(), digits) {
        (Some(b'.'), 1..=9) => &rest[1 + digits..],
        (Some(b'.'), _) => return false,
        _ => rest,
    };
    matches!(offset, b"Z" | b"z") || shape(offset, b"+00:00") || shape(offset, b"-00:00")
}

/// A 128-bit id as it is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UuidText(pub(crate) u128);

impl Serialize for UuidText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut buffer = uuid::Uuid::encode_buffer();
        serializer.serialize_str(uuid::Uuid::from_u128(self.0).hyphenated().encode_lower(&mut buffer))
    }
}

impl PartialSchema for UuidText {
    fn schema() -> RefOr<Schema> {
        text_schema("uuid", "A UUID in lower case.")
    }
}

impl ToSchema for UuidText {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Uuid")
    }
}

impl fmt::Display for UuidText {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        uuid::Uuid::from_u128(self.0).hyphenated().fmt(out)
    }
}

/// Reads a UUID of 36 characters with hyphens.
pub(crate) fn parse_uuid(text: &str) -> Option<u128> {
    if text.len() != 36 {
        return None;
    }
    uuid::Uuid::try_parse(text).ok().map(|id| id.as_u128())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_rfc3339_and_nothing_else() {
        let at = |text: &str| parse_rfc3339(text).map(|instant| Rfc3339(instant).to_string());
        let good = [
            ("2017-01-01T00:00:00Z", "2017-01-01T00:00:00Z"),
            ("2017-01-01T07:00:00+07:00", "2017-01-01T00:00:00Z"),
            ("2016-12-31T19:00:00-05:00", "2017-01-01T00:00:00Z"),
            ("2017-01-01T00:00:00.5Z", "2017-01-01T00:00:00.500000Z"),
            ("2017-01-01T00:00:00.1234569Z", "2017-01-01T00:00:00.123456Z"),
            ("1969-12-31T23:59:59.1234569Z", "1969-12-31T23:59:59.123456Z"),
        ];
        for (text, shown) in good {
            assert_eq!(at(text).as_deref(), Some(shown), "{text}");
        }
        let bad = [
            "",
            "2017-01-01",
            "2017-01-01T00:00:00",
            "2017-01-01 00:00:00Z",
            "20170101T000000Z",
            "2017-02-30T00:00:00Z",
            "2017-01-01T00:00:00.Z",
            "2017-01-01T00:00:00.1234567890Z",
            "2017-01-01T00:00:00+07:00[Asia/Jakarta]",
            "2017-01-01T25:00:00Z",
            "2017-01-01T00:00:00+0700",
        ];
        for text in bad {
            assert_eq!(at(text), None, "{text}");
        }
    }
}
