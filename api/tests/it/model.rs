//! KezBek's rules once more, as simply as they can be written: whole numbers, one purchase after the other.
//!
//! Shares no code with the program, so that a mistake would have to be made twice.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::Value;

pub(crate) const DAY_SECONDS: i64 = 86_400;
/// Quantity, smallest amount, first amount too large, share in hundredths of a percent. The last one is for 3 or more.
const BANDS: [(i64, i64, i64, i64); 7] = [
    (1, 0, 100_000, 120),
    (1, 100_000, 500_000, 175),
    (1, 500_000, 1_000_000, 230),
    (2, 500_000, 1_000_000, 245),
    (2, 1_000_000, 1_500_000, 275),
    (2, 1_500_000, i64::MAX, 295),
    (3, 1_500_000, i64::MAX, 335),
];
const TIERS: [&str; 3] = ["BRONZE", "SILVER", "GOLD"];
const MILESTONES: [[i64; 3]; 3] = [[15_000, 25_000, 35_000], [17_500, 28_500, 37_500], [18_000, 29_000, 38_000]];

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) tier: usize,
    pub(crate) count: u64,
    pub(crate) last_second: i64,
    pub(crate) wallet: i64,
}

#[derive(Debug, Default)]
pub(crate) struct Model {
    quota: u64,
    pub(crate) members: HashMap<String, Member>,
    origin_ids: HashSet<String>,
    pub(crate) accepted: u64,
    pub(crate) rejected: BTreeMap<&'static str, u64>,
    pub(crate) amount: i64,
    pub(crate) point_transaction: i64,
    pub(crate) point_loyalty: i64,
    pub(crate) used: u64,
    pub(crate) exhausted: u64,
    pub(crate) remarks: BTreeMap<&'static str, u64>,
}

impl Model {
    pub(crate) fn new(quota: u64) -> Model {
        Model { quota, ..Model::default() }
    }

    /// Takes one line of the sample; every origin id of it is its own.
    pub(crate) fn take(&mut self, line: &str) {
        let purchase: Value = serde_json::from_str(line).expect("a line is JSON");
        let number = |key: &str| purchase[key].as_i64().expect("a whole number");
        let text = |key: &str| purchase[key].as_str().expect("text").to_owned();
        assert!(self.origin_ids.insert(text("origin_id")), "the model takes each purchase once");
        let (amount, quantity) = (number("amount"), number("quantity"));
        if amount < 1 {
            *self.rejected.entry("amount_not_positive").or_default() += 1;
            return;
        }
        if quantity < 1 {
            *self.rejected.entry("quantity_not_positive").or_default() += 1;
            return;
        }
        let second = second_of(&text("occurred_at"));
        self.accepted += 1;
        self.amount += amount;
        let promo = self.promo(amount, quantity);
        let customer = purchase["customer"]["ref"].as_str().expect("a reference").to_owned();
        let member = self.members.entry(customer).or_default();
        let remark = step(member, second);
        *self.remarks.entry(remark).or_default() += 1;
        let loyalty = match (remark, member.count) {
            ("first_transaction" | "maximum", _) => 0,
            (_, count @ (3 | 5 | 7)) => MILESTONES[member.tier][(count as usize - 3) / 2],
            _ => 0,
        };
        member.wallet += promo + loyalty;
        self.point_transaction += promo;
        self.point_loyalty += loyalty;
    }

    fn promo(&mut self, amount: i64, quantity: i64) -> i64 {
        let quantity = quantity.min(3);
        let band = BANDS.iter().find(|band| band.0 == quantity && band.1 <= amount && amount < band.2);
        // Half up: hundredths of a percent of an amount are ten-thousandths.
        let points = band.map_or(0, |band| (amount * band.3 + 5_000) / 10_000);
        if points == 0 {
            return 0;
        }
        if self.used == self.quota {
            self.exhausted += 1;
            return 0;
        }
        self.used += 1;
        points
    }

    pub(crate) fn tiers(&self) -> BTreeMap<&'static str, u64> {
        let mut tiers: BTreeMap<&'static str, u64> = TIERS.iter().map(|name| (*name, 0)).collect();
        for member in self.members.values() {
            *tiers.entry(TIERS[member.tier]).or_default() += 1;
        }
        tiers
    }
}

fn step(member: &mut Member, second: i64) -> &'static str {
    if member.count == 0 {
        *member = Member { count: 1, last_second: second, ..Member::default() };
        return "first_transaction";
    }
    let days = (second - member.last_second).div_euclid(DAY_SECONDS);
    member.last_second = member.last_second.max(second);
    let (tier, count, remark) = match days {
        ..=30 if member.count < 7 => (member.tier, member.count + 1, "none"),
        ..=30 if member.tier == 2 => (2, member.count + 1, "maximum"),
        ..=30 => (member.tier + 1, 1, "upgrade"),
        31..=60 => (member.tier.saturating_sub(1), 1, "downgrade"),
        61.. => (0, 1, "reset"),
    };
    member.tier = tier;
    member.count = count;
    remark
}

/// Counts the seconds since 1970 of an instant such as `2017-01-01T11:53:26Z`.
pub(crate) fn second_of(instant: &str) -> i64 {
    let part = |range: std::ops::Range<usize>| instant[range].parse::<i64>().expect("digits");
    let (year, month, day) = (part(0..4), part(5..7), part(8..10));
    assert_eq!(&instant[19..], "Z", "the sample is in UTC");
    // Days since 1970-01-01, with March as the first month so that a leap day comes last.
    let shifted = year - i64::from(month <= 2);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = shifted * 365 + shifted / 4 - shifted / 100 + shifted / 400 + day_of_year - 719_468;
    days * DAY_SECONDS + part(11..13) * 3_600 + part(14..16) * 60 + part(17..19)
}

#[test]
fn the_model_knows_its_calendar() {
    for (instant, second) in [
        ("1970-01-01T00:00:00Z", 0),
        ("2000-02-29T12:00:00Z", 951_825_600),
        ("2000-03-01T00:00:00Z", 951_868_800),
        ("2017-01-01T11:53:26Z", 1_483_271_606),
    ] {
        assert_eq!(second_of(instant), second, "{instant}");
    }
}
