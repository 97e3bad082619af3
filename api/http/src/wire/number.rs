//! Whole numbers on the wire: a JSON integer, or a decimal string of one. Never a float.

use std::borrow::Cow;
use std::fmt;

use kembali_core::AMOUNT_MAX;
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};
use serde_json::Value;
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// What a number that is none is told.
pub(crate) const WHOLE_EXPECTED: &str = "a whole number of at most 64 bits, as a JSON integer or a decimal string";

/// A whole number as a caller sends it. Sign and size are the ledger's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Whole(pub(crate) i64);

/// Reads a decimal string: digits, and a minus sign in front at most.
pub(crate) fn parse_whole(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Whole, D::Error> {
        deserializer.deserialize_any(WholeVisitor)
    }
}

struct WholeVisitor;

impl Visitor<'_> for WholeVisitor {
    type Value = Whole;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(WHOLE_EXPECTED)
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Whole, E> {
        Ok(Whole(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Whole, E> {
        i64::try_from(value).map(Whole).map_err(|_| E::invalid_value(de::Unexpected::Unsigned(value), &self))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Whole, E> {
        parse_whole(value).map(Whole).ok_or_else(|| E::invalid_value(de::Unexpected::Str(value), &self))
    }
}

/// A number that may be larger than JSON's: an integer up to 2^53 - 1, beyond it a decimal string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wide(pub(crate) i128);

impl Serialize for Wide {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match i64::try_from(self.0) {
            Ok(small) if (-AMOUNT_MAX..=AMOUNT_MAX).contains(&small) => serializer.serialize_i64(small),
            _ => serializer.collect_str(&self.0),
        }
    }
}

/// Makes a member of a problem of a [`Wide`] number.
pub(crate) fn wide(value: impl Into<i128>) -> Value {
    // A number and a string are written without fail.
    serde_json::to_value(Wide(value.into())).unwrap_or_default()
}

/// Describes a whole number that may be a string.
pub(crate) fn whole_schema(says: &str) -> RefOr<Schema> {
    let either = SchemaType::from_iter([Type::Integer, Type::String]);
    ObjectBuilder::new().schema_type(either).pattern(Some("^-?[0-9]+$")).description(Some(says)).into()
}

impl PartialSchema for Whole {
    fn schema() -> RefOr<Schema> {
        whole_schema("A whole number of at most 64 bits: an integer or a decimal string.")
    }
}

impl ToSchema for Whole {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Whole")
    }
}

impl PartialSchema for Wide {
    fn schema() -> RefOr<Schema> {
        whole_schema("A whole number: an integer up to 2^53 - 1, beyond it a decimal string.")
    }
}

impl ToSchema for Wide {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Wide")
    }
}
