//! Amounts as people read them.

use crate::compose::Language;

/// What stands between a currency and its number: never the end of a line.
const SPACE: char = '\u{a0}';

/// Writes minor units of a currency with so many decimals. Rupiah are written as in Indonesia in every language.
pub(crate) fn money(minor_units: i64, (currency, exponent): (&str, u8), language: Language) -> String {
    let (name, language) = if currency == "IDR" { ("Rp", Language::Indonesian) } else { (currency, language) };
    format!("{name}{SPACE}{}", number(minor_units, exponent, language))
}

/// Writes a number with so many decimals.
pub(crate) fn number(units: i64, exponent: u8, language: Language) -> String {
    let (thousands, decimal) = match language {
        Language::Indonesian => ('.', ','),
        Language::English => (',', '.'),
    };
    let digits = format!("{:0width$}", units.unsigned_abs(), width = usize::from(exponent) + 1);
    let (whole, decimals) = digits.split_at(digits.len() - usize::from(exponent));
    let mut text = String::from(if units < 0 { "-" } else { "" });
    for (at, digit) in whole.chars().enumerate() {
        if 0 < at && (whole.len() - at).is_multiple_of(3) {
            text.push(thousands);
        }
        text.push(digit);
    }
    if !decimals.is_empty() {
        text.push(decimal);
        text.push_str(decimals);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_as_people_write_them() {
        let (id, en) = (Language::Indonesian, Language::English);
        for (units, currency, language, expected) in [
            (48_000, ("IDR", 0), id, "Rp\u{a0}48.000"),
            (48_000, ("IDR", 0), en, "Rp\u{a0}48.000"),
            (0, ("IDR", 0), id, "Rp\u{a0}0"),
            (999, ("IDR", 0), id, "Rp\u{a0}999"),
            (1_000_000, ("IDR", 0), id, "Rp\u{a0}1.000.000"),
            (-1_500, ("IDR", 0), id, "Rp\u{a0}-1.500"),
            (i64::MIN, ("IDR", 0), id, "Rp\u{a0}-9.223.372.036.854.775.808"),
            (123_450, ("USD", 2), en, "USD\u{a0}1,234.50"),
            (123_450, ("USD", 2), id, "USD\u{a0}1.234,50"),
            (5, ("USD", 2), en, "USD\u{a0}0.05"),
        ] {
            assert_eq!(money(units, currency, language), expected);
        }
    }
}
