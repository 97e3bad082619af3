//! Percentages: what is read, and the one rounding, against integers.

use kembali_core::{AMOUNT_MAX, Percent};
use proptest::prelude::*;

use crate::support::{amount, depth};

/// Checks lines `text -> what is read`; quotes show where a text ends.
fn check(table: &str) {
    let wanted: Vec<&str> = table.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let seen: Vec<String> = wanted
        .iter()
        .map(|line| {
            let text = line.split(" -> ").next().unwrap();
            let inner = text.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')).unwrap();
            let read = Percent::parse(inner).map_or("refused".into(), |percent| percent.to_string());
            format!("{text} -> {read}")
        })
        .collect();
    assert_eq!(seen.join("\n"), wanted.join("\n"));
}

#[test]
fn digits_and_one_point_are_read() {
    check(
        "'0' -> 0
         '1.20' -> 1.2
         '1.75' -> 1.75
         '007' -> 7
         '0.000001' -> 0.000001
         '99.999999' -> 99.999999
         '100' -> 100
         '100.000000' -> 100",
    );
}

#[test]
fn everything_else_is_refused() {
    check(
        "'' -> refused
         '.' -> refused
         '5.' -> refused
         '.5' -> refused
         '1e5' -> refused
         '1E1' -> refused
         '+5' -> refused
         '-5' -> refused
         '-0' -> refused
         '1_000' -> refused
         '1_0' -> refused
         '1,5' -> refused
         '1.2.3' -> refused
         '1._5' -> refused
         ' 5' -> refused
         '5 ' -> refused
         '5%' -> refused
         '101' -> refused
         '100.000001' -> refused
         '1000' -> refused
         '0001' -> refused
         '1.1234567' -> refused
         '0.0000001' -> refused
         '1.0000000' -> refused
         '0x10' -> refused
         'NaN' -> refused
         'inf' -> refused
         '\u{0665}' -> refused",
    );
}

/// Millionths of a percent, as text with every place written out.
fn percent(micro: i128) -> Percent {
    Percent::parse(&format!("{}.{:06}", micro / 1_000_000, micro % 1_000_000)).unwrap()
}

/// The share in integers: half up.
fn exact(minor_units: i64, micro: i128) -> i128 {
    (i128::from(minor_units) * micro + 50_000_000) / 100_000_000
}

fn assert_share(minor_units: i64, micro: i128) {
    let share = percent(micro).share_of(amount(minor_units)).minor_units();
    assert_eq!(i128::from(share), exact(minor_units, micro), "{micro} millionths of a percent of {minor_units}");
}

/// Every hundredth of a percent of every amount up to 1,000, and of KezBek's seven shares up to 20,000.
#[test]
fn r03_rounding_is_half_up_on_a_small_domain() {
    for hundredths in 0..=10_000 {
        let percent = percent(hundredths * 10_000);
        for minor_units in (0..=1_000).step_by(if hundredths % 10 == 0 { 1 } else { 7 }) {
            let share = percent.share_of(amount(minor_units)).minor_units();
            assert_eq!(i128::from(share), exact(minor_units, hundredths * 10_000), "{percent} % of {minor_units}");
        }
    }
    for hundredths in [120, 175, 230, 245, 275, 295, 335] {
        for minor_units in 0..=20_000 {
            assert_share(minor_units, hundredths * 10_000);
        }
    }
}

/// KezBek's own bands: the doubles of the seed differ in 257 amounts, all a rupiah low; integers never differ.
#[test]
fn r03_rounding_at_every_half() {
    // 50 % of odd amounts, and the largest amounts that are odd or even.
    for minor_units in [1, 3, 5, 999, AMOUNT_MAX - 2, AMOUNT_MAX - 1, AMOUNT_MAX] {
        assert_share(minor_units, 50_000_000);
    }
    for minor_units in [AMOUNT_MAX, AMOUNT_MAX - 1, 1, 0] {
        for micro in [0, 1, 2, 49_999_999, 50_000_001, 99_999_999, 100_000_000] {
            assert_share(minor_units, micro);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000 * depth()))]

    #[test]
    fn r03_rounding_is_half_up_everywhere(
        minor_units in prop_oneof![0..=AMOUNT_MAX, AMOUNT_MAX - 1_000..=AMOUNT_MAX, 0..=10_000_000i64],
        micro in prop_oneof![0..=100_000_000i128, (0..=10_000i128).prop_map(|hundredths| hundredths * 10_000)],
    ) {
        assert_share(minor_units, micro);
    }

    /// A share of parts is never further from the share of the whole than one unit a part.
    #[test]
    fn r03_a_split_loses_less_than_one_unit_a_part(
        parts in prop::collection::vec(0..=1_000_000_000i64, 1..20), micro in 0..=100_000_000i128,
    ) {
        let percent = percent(micro);
        let of_parts: i64 = parts.iter().map(|part| percent.share_of(amount(*part)).minor_units()).sum();
        let of_whole = percent.share_of(amount(parts.iter().sum())).minor_units();
        // Half a unit a part, and half a unit of the whole.
        prop_assert!(2 * (of_parts - of_whole).abs() <= parts.len() as i64 + 1);
    }
}
