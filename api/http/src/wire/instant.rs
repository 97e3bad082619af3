//! Instants and ids as text: RFC 3339 with an offset on the way in, UTC on the way out; ids as UUIDs.

use std::borrow::Cow;
use std::fmt;

use jiff::fmt::temporal::DateTimePrinter;
use jiff::{Timestamp, civil};
use kembali_core::{DAY_US, Instant};
use serde::ser::Error as _;
use serde::{Serialize, Serializer};
use utoipa::openapi::schema::{ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// An instant as it is shown: RFC 3339 in UTC, with microseconds only when there are any.
#[derive(Clone, Copy, Debug)]
pub struct Rfc3339(pub Instant);

impl Rfc3339 {
    /// Every answer has several instants, and nearly all are of years with four digits: these are written by hand.
    fn text(self) -> Result<Text, jiff::Error> {
        let days = self.0.0.div_euclid(DAY_US) - DAY_ZERO;
        let Some(days) = u32::try_from(days).ok().filter(|days| *days < DAYS_OF_FOUR_DIGITS) else {
            return self.printed();
        };
        let (year, month, day) = civil(days);
        let time = self.0.0.rem_euclid(DAY_US);
        let (seconds, fraction) = ((time / 1_000_000) as u32, (time % 1_000_000) as u32);
        let mut bytes = *b"0000-00-00T00:00:00.000000Z\0\0\0\0\0";
        put(&mut bytes, 0, year / 100);
        put(&mut bytes, 2, year % 100);
        put(&mut bytes, 5, month);
        put(&mut bytes, 8, day);
        put(&mut bytes, 11, seconds / 3_600);
        put(&mut bytes, 14, seconds / 60 % 60);
        put(&mut bytes, 17, seconds % 60);
        if fraction == 0 {
            bytes[19] = b'Z';
            return Ok(Text { bytes, length: 20 });
        }
        put(&mut bytes, 20, fraction / 10_000);
        put(&mut bytes, 22, fraction / 100 % 100);
        put(&mut bytes, 24, fraction % 100);
        Ok(Text { bytes, length: 27 })
    }

    fn printed(self) -> Result<Text, jiff::Error> {
        const PRINTER: DateTimePrinter = DateTimePrinter::new();
        let nearest = if self.0.0 < 0 { Timestamp::MIN } else { Timestamp::MAX };
        let instant = Timestamp::from_microsecond(self.0.0).unwrap_or(nearest);
        let precision = (instant.subsec_nanosecond() != 0).then_some(6);
        let mut text = Text { bytes: [0; TEXT_BYTES_MAX], length: 0 };
        PRINTER.precision(precision).print_timestamp(&instant, &mut text)?;
        Ok(text)
    }
}

/// The first of March of the year 0, counted from 1970-01-01.
const DAY_ZERO: i64 = -719_468;
/// Days from there on to the end of the year 9999, but for the last two: the calendar library's instants end within one of them.
const DAYS_OF_FOUR_DIGITS: u32 = 3_652_425 - 60 - 2;

/// Returns year, month and day of a day that is counted from the first of March of the year 0, in the Gregorian calendar. With years that
/// begin in March, the day of February that comes and goes is the last of one.
const fn civil(days: u32) -> (u32, u32, u32) {
    let (age, day_of_age) = (days / 146_097, days % 146_097);
    let year_of_age = (day_of_age - day_of_age / 1_460 + day_of_age / 36_524 - day_of_age / 146_096) / 365;
    let day_of_year = day_of_age - (365 * year_of_age + year_of_age / 4 - year_of_age / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (400 * age + year_of_age + next_year, month, day)
}

/// Writes a number of two digits.
const fn put(bytes: &mut [u8; TEXT_BYTES_MAX], at: usize, pair: u32) {
    (bytes[at], bytes[at + 1]) = (b'0' + (pair / 10) as u8, b'0' + (pair % 10) as u8);
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
    fn every_day_is_written_as_by_the_calendar_library() {
        let day = |text: &str| parse_rfc3339(text).unwrap().0 / DAY_US;
        let (first, last) = (day("0000-01-01T00:00:00Z") - 400, day("9999-12-31T00:00:00Z") + 400);
        for number in first..=last {
            // Another time and fraction each day, none at all on some.
            let time = number.wrapping_mul(7_919_317_471).rem_euclid(DAY_US);
            let time = if number % 3 == 0 { time - time % 1_000_000 } else { time };
            let instant = Rfc3339(Instant(DAY_US * number + time));
            assert_eq!(instant.text().unwrap().as_str(), instant.printed().unwrap().as_str(), "{number}");
        }
        for instant in [i64::MIN, i64::MIN + 1, -1, 0, i64::MAX - 1, i64::MAX].map(|at| Rfc3339(Instant(at))) {
            assert_eq!(instant.text().unwrap().as_str(), instant.printed().unwrap().as_str());
        }
    }

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
