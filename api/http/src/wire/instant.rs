//! Instants and ids as text: RFC 3339 with an offset on the way in, UTC on the way out; ids as UUIDs.

use std::borrow::Cow;
use std::fmt;

use jiff::fmt::temporal::DateTimePrinter;
use jiff::{Timestamp, civil};
use kembali_core::Instant;
use serde::ser::Error as _;
use serde::{Serialize, Serializer};
use utoipa::openapi::schema::{ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// An instant as it is shown: RFC 3339 in UTC, with microseconds only when there are any.
#[derive(Clone, Copy, Debug)]
pub struct Rfc3339(pub Instant);

impl Rfc3339 {
    fn text(self) -> Result<Text, jiff::Error> {
        const PRINTER: DateTimePrinter = DateTimePrinter::new();
        let nearest = if self.0.0 < 0 { Timestamp::MIN } else { Timestamp::MAX };
        let instant = Timestamp::from_microsecond(self.0.0).unwrap_or(nearest);
        let precision = (instant.subsec_nanosecond() != 0).then_some(6);
        let mut text = Text { bytes: [0; TEXT_BYTES_MAX], length: 0 };
        PRINTER.precision(precision).print_timestamp(&instant, &mut text)?;
        Ok(text)
    }
}

/// Bytes that an instant has as text at most: `-009999-01-02T01:59:59.123456Z` has 30.
const TEXT_BYTES_MAX: usize = 32;

/// The text of an instant. Every answer has some, so it needs no memory of its own.
struct Text {
    bytes: [u8; TEXT_BYTES_MAX],
    length: usize,
}

impl Text {
    fn as_str(&self) -> &str {
        str::from_utf8(&self.bytes[..self.length]).expect("it is made of whole strings")
    }
}

impl jiff::fmt::Write for Text {
    fn write_str(&mut self, piece: &str) -> Result<(), jiff::Error> {
        let end = self.length + piece.len();
        let Some(place) = self.bytes.get_mut(self.length..end) else {
            return Err(jiff::Error::from_args(format_args!("an instant has more than {TEXT_BYTES_MAX} bytes")));
        };
        place.copy_from_slice(piece.as_bytes());
        self.length = end;
        Ok(())
    }
}

impl fmt::Display for Rfc3339 {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.text().map_err(|_| fmt::Error)?.as_str())
    }
}

impl Serialize for Rfc3339 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.text().map_err(S::Error::custom)?.as_str())
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
    let (local, zone) = text.split_at(text.len() - if text.ends_with(['Z', 'z']) { 1 } else { 6 });
    let number = |text: &str| text.parse::<i64>().ok();
    let offset_minutes = match zone.get(1..) {
        None | Some("") => 0,
        Some(offset) => {
            let (hours, minutes) = (number(offset.get(..2)?)?, number(offset.get(3..)?)?);
            if 23 < hours || 59 < minutes {
                return None;
            }
            (60 * hours + minutes) * if zone.starts_with('-') { -1 } else { 1 }
        }
    };
    if has_leap_second(local) {
        return None;
    }
    // Counted by hand: the library's instants end within the last days of 9999, which are no worse than others.
    let local: civil::DateTime = local.parse().ok()?;
    let days = civil::date(1970, 1, 1).until(local.date()).ok()?.get_days();
    let time = local.time();
    let seconds = 3_600 * i64::from(time.hour()) + 60 * i64::from(time.minute()) + i64::from(time.second());
    let seconds = 86_400 * i64::from(days) + seconds - 60 * offset_minutes;
    Some(Instant(1_000_000 * seconds + i64::from(time.subsec_nanosecond()) / 1_000))
}

/// Tells whether `text`, of the form `2017-01-01 00:00:60`, is within a second that the ledger's clock does not have.
pub(crate) fn has_leap_second(text: &str) -> bool {
    text.get(17..19) == Some("60")
}

/// Tells whether `text` is like `pattern`, in which 0 stands for any digit and T for itself in either case.
fn shape(text: &[u8], pattern: &[u8]) -> bool {
    text.len() == pattern.len()
        && text.iter().zip(pattern).all(|(byte, form)| match form {
            b'0' => byte.is_ascii_digit(),
            b'T' => matches!(byte, b'T' | b't'),
            form => byte == form,
        })
}

/// Checks the form of a local time: `2017-01-01 00:00:00`, with at most six digits of a second's fraction.
pub(crate) fn is_local(text: &str) -> bool {
    let Some((start, fraction)) = text.as_bytes().split_at_checked(19) else { return false };
    let fraction_fits = match fraction.strip_prefix(b".") {
        Some(digits) => (1..=6).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit),
        None => fraction.is_empty(),
    };
    shape(start, b"0000-00-00 00:00:00") && fraction_fits
}

/// Checks the form only; whether there is such a day is the calendar's business.
fn is_rfc3339(text: &[u8]) -> bool {
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
            ("9999-12-30T23:59:59+23:59", "9999-12-30T00:00:59Z"),
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
            "2017-01-01T00:00:00+25:00",
            "2017-01-01T00:00:00-24:00",
            "2017-01-01T00:00:00+07:60",
            "2016-12-31T23:59:60Z",
        ];
        for text in bad {
            assert_eq!(at(text), None, "{text}");
        }
        // Beyond what the calendar library calls an instant.
        assert_eq!(parse_rfc3339("9999-12-31T23:59:59.999999Z"), Some(Instant(253_402_300_799_999_999)));
    }
}
