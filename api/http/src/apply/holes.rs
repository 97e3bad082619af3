//! Holes in a promo's grid of bands: purchases that meet no band and get nothing. Allowed, but worth a word.

use std::collections::BTreeSet;

use kembali_core::catalogue::{Catalogue, Promo, PromoBand};

/// Tells of every promo what its bands leave out.
pub(super) fn warnings(catalogue: &Catalogue) -> Vec<String> {
    catalogue.promos.iter().flat_map(holes).collect()
}

fn holes(promo: &Promo) -> Vec<String> {
    let code = &promo.code;
    if promo.bands.is_empty() {
        return vec![format!("promo {code}: has no band and pays nothing")];
    }
    let mut warnings = Vec::new();
    let named: BTreeSet<u32> = promo.bands.iter().map(|band| band.quantity).collect();
    let last = named.last().copied().unwrap_or(0);
    let mut next = 1;
    for quantity in named {
        let reaches = |band: &&PromoBand| band.quantity == quantity || (band.or_more && band.quantity < quantity);
        if next < quantity && !promo.bands.iter().any(|band| band.or_more && band.quantity < next) {
            warnings.push(format!("promo {code}: no band for quantities {}", range(next, quantity - 1)));
        }
        let mut bands: Vec<&PromoBand> = promo.bands.iter().filter(reaches).collect();
        bands.sort_by_key(|band| band.amount_min);
        warnings
            .extend(gaps(&bands).iter().map(|gap| format!("promo {code}: quantity {quantity}, {gap} meet no band")));
        next = quantity.saturating_add(1);
    }
    if !promo.bands.iter().any(|band| band.or_more) {
        warnings.push(format!("promo {code}: no band for quantities above {last}"));
    }
    warnings
}

/// Lists the ranges of amounts that bands of one quantity, in order of their amounts, leave out.
fn gaps(bands: &[&PromoBand]) -> Vec<String> {
    let mut gaps = Vec::new();
    // The first amount that no band so far is for; nothing once a band has no end.
    let mut covered = Some(1);
    for band in bands {
        let Some(from) = covered else { break };
        let start = band.amount_min.minor_units();
        if from < start {
            gaps.push(format!("amounts {from} to {}", start - 1));
        }
        covered = band.amount_end.map(|end| end.minor_units().max(from));
    }
    if let Some(from) = covered {
        gaps.push(format!("amounts from {from}"));
    }
    gaps
}

fn range(first: u32, last: u32) -> String {
    if first == last { first.to_string() } else { format!("{first} to {last}") }
}

#[cfg(test)]
mod tests {
    use kembali_core::{Amount, Instant, Percent, RuleId};

    use super::*;

    /// Each band as quantity, `or_more`, smallest amount and end.
    fn check(bands: &[(u32, bool, i64, Option<i64>)], expected: &[&str]) {
        let amount = |value| Amount::new(value).unwrap();
        let band = |&(quantity, or_more, amount_min, amount_end): &(u32, bool, i64, Option<i64>)| PromoBand {
            id: RuleId(1),
            quantity,
            or_more,
            amount_min: amount(amount_min),
            amount_end: amount_end.map(amount),
            percent: Percent::parse("1").unwrap(),
        };
        let (starts_at, ends_at, bands) = (Instant(0), Instant(1), bands.iter().map(band).collect());
        let promo = Promo { id: RuleId(1), code: "P".into(), quota: 1, starts_at, ends_at, funded_by: None, bands };
        let expected: Vec<String> = expected.iter().map(|text| format!("promo P: {text}")).collect();
        assert_eq!(holes(&promo), expected);
    }

    #[test]
    fn grids() {
        check(&[(1, true, 0, None)], &[]);
        check(&[], &["has no band and pays nothing"]);
        check(&[(1, false, 0, None)], &["no band for quantities above 1"]);
        check(&[(3, true, 0, None)], &["no band for quantities 1 to 2"]);
        check(&[(1, true, 0, Some(10)), (1, true, 20, None)], &["quantity 1, amounts 10 to 19 meet no band"]);
        check(&[(1, true, 20, None), (1, true, 0, Some(20))], &[]);
        // What reaches down from a smaller quantity counts at the larger one.
        check(&[(1, true, 100, None), (5, false, 0, Some(100))], &["quantity 1, amounts 1 to 99 meet no band"]);
        check(
            &[(1, false, 0, None), (4, false, 0, Some(7))],
            &[
                "no band for quantities 2 to 3",
                "quantity 4, amounts from 7 meet no band",
                "no band for quantities above 4",
            ],
        );
    }
}
