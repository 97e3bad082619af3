//! Numbers as people read them.

/// Writes a number with its thousands apart.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.char_indices() {
        if place != 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Writes a number of seconds.
pub(crate) fn seconds(number: u64) -> String {
    if number == 1 { "1 second".to_owned() } else { format!("{} seconds", count(number)) }
}

/// Writes microseconds in the unit that fits, with three digits that matter.
pub(crate) fn time(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} us"),
        1_000..1_000_000 => in_unit(us, 1_000, "ms"),
        _ => in_unit(us, 1_000_000, "s"),
    }
}

/// Writes bytes in the unit that fits, with three digits that matter.
pub(crate) fn bytes(number: u64) -> String {
    match number {
        0..1_000 => format!("{number} B"),
        1_000..1_000_000 => in_unit(number, 1_000, "kB"),
        1_000_000..1_000_000_000 => in_unit(number, 1_000_000, "MB"),
        _ => in_unit(number, 1_000_000_000, "GB"),
    }
}

/// Writes a number in a unit that is so many, rounded down.
fn in_unit(number: u64, unit: u64, name: &str) -> String {
    let (whole, hundredths) = (number / unit, number % unit / (unit / 100).max(1));
    let decimals = match whole {
        0..10 => format!("{hundredths:02}"),
        10..100 => format!("{}", hundredths / 10),
        _ => String::new(),
    };
    let decimals = decimals.trim_end_matches('0');
    let point = if decimals.is_empty() { "" } else { "." };
    format!("{}{point}{decimals} {name}", count(whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [0, 950, 1_000, 1_050, 12_345, 100_000, 999_999, 1_500_000, 600_000_000].map(time),
            ["0 us", "950 us", "1 ms", "1.05 ms", "12.3 ms", "100 ms", "999 ms", "1.5 s", "600 s"]
        );
        assert_eq!([1, 1_500, 20_000_000, 77_332_152_320].map(bytes), ["1 B", "1.5 kB", "20 MB", "77.3 GB"]);
        assert_eq!([1, 2].map(seconds), ["1 second", "2 seconds"]);
    }
}
