//! Amounts as other systems write them, in whole units with decimals, and in minor units. On text: no floats are reckoned with.

use serde_json::{Number, Value};

/// The text of a decimal number, which may be sent as a number or as text.
pub(crate) fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text.trim().to_owned()),
        _ => None,
    }
}

/// Turns a decimal number into minor units of a currency with so many decimals.
///
/// `None` where it is no number, has more decimals than the currency, or is too large.
pub(crate) fn minor_units(text: &str, exponent: u8) -> Option<i64> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let (whole, decimals) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_number(whole) || !is_number(decimals) || (digits.contains('.') && decimals.is_empty()) {
        return None;
    }
    // A number that is whole is often written with a zero behind the point.
    let decimals = decimals.trim_end_matches('0');
    let missing = usize::from(exponent).checked_sub(decimals.len())?;
    let units: i64 = format!("{whole}{decimals}{}", "0".repeat(missing)).parse().ok()?;
    Some(sign * units)
}

/// Writes minor units as a number with decimals.
pub(crate) fn number(minor_units: i64, exponent: u8) -> Value {
    let (sign, units) =
        if minor_units < 0 { ("-", minor_units.unsigned_abs()) } else { ("", minor_units.unsigned_abs()) };
    let digits = format!("{units:0width$}", width = usize::from(exponent) + 1);
    let (whole, decimals) = digits.split_at(digits.len() - usize::from(exponent));
    let decimals = decimals.trim_end_matches('0');
    let text = if decimals.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{decimals}") };
    text.parse::<Number>().map_or(Value::Null, Value::Number)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn amounts_are_scaled_exactly_or_not_at_all() {
        for (text, exponent, expected) in [
            ("101", 0, Some(101)),
            ("101.0", 0, Some(101)),
            ("99.99", 2, Some(9_999)),
            ("99.9", 2, Some(9_990)),
            ("0.1", 1, Some(1)),
            ("-5", 2, Some(-500)),
            ("0", 4, Some(0)),
            ("99.99", 0, None),
            ("99.999", 2, None),
            ("1e3", 0, None),
            ("", 0, None),
            (".5", 1, None),
            ("5.", 1, None),
            ("--5", 0, None),
            ("+5", 0, None),
            ("1_0", 0, None),
            ("NaN", 0, None),
            ("9223372036854775808", 0, None),
            ("9223372036854775807", 1, None),
        ] {
            assert_eq!(minor_units(text, exponent), expected, "{text}");
        }
        for (units, exponent, expected) in [
            (101, 0, json!(101)),
            (9_999, 2, json!(99.99)),
            (10_000, 2, json!(100)),
            (5, 3, json!(0.005)),
            (-150, 2, json!(-1.5)),
        ] {
            assert_eq!(number(units, exponent), expected);
            assert_eq!(minor_units(&text_of(&expected).expect("a number"), exponent), Some(units));
        }
    }
}
