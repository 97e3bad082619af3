//! The rules that `full.toml` adds, once more, as simply as they can be written: whole numbers, a purchase at a time.
//!
//! Shares no code with the program, so that a mistake would have to be made twice.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::model::{DAY_SECONDS, second_of};

const LEVELS: [(&str, i64); 4] = [("Bronze", 0), ("Silver", 5_000_000), ("Gold", 15_000_000), ("Platinum", 40_000_000)];
const DAIRY: [&str; 4] = ["FLUID MILK PRODUCTS", "CHEESE", "YOGURT", "EGGS"];
/// The last second of June 2017 in Jakarta.
const DAIRY_ENDS: &str = "2017-06-30T16:59:59Z";
/// Name, what must be bought for how much, points, and how often at most.
type Campaign = (&'static str, &'static [(&'static str, i64)], u64, u64);
const CAMPAIGNS: [Campaign; 2] = [
    ("Movie night", &[("FROZEN PIZZA", 90_000), ("SOFT DRINKS", 60_000)], 100, u64::MAX),
    ("Sunday roast", &[("BEEF", 200_000), ("POTATOES", 45_000), ("ONIONS", 0)], 250, 2),
];

#[derive(Debug, Default)]
struct Member {
    spent: i64,
    /// Products that are done, by campaign.
    done: [BTreeSet<&'static str>; 2],
    completions: [u64; 2],
}

/// What everybody earned.
#[derive(Debug, Default)]
pub(crate) struct EarningModel {
    members: BTreeMap<String, Member>,
    dairy: (u64, i64),
    pizza: (u64, i64),
    /// Points of cashback, by the day in UTC that begins with their purchase or next.
    granted: BTreeMap<i64, i64>,
    /// The latest second of any purchase.
    latest: i64,
}

impl EarningModel {
    /// Takes one line of the sample; those that are refused are not there.
    pub(crate) fn take(&mut self, line: &str) {
        let purchase: Value = serde_json::from_str(line).expect("a line is JSON");
        let amount = purchase["amount"].as_i64().expect("a whole number");
        if amount < 1 || purchase["quantity"].as_i64().expect("a whole number") < 1 {
            return;
        }
        let customer = purchase["customer"]["ref"].as_str().expect("a reference").to_owned();
        let member = self.members.entry(customer).or_default();
        member.spent += amount;
        let mut bought: BTreeMap<&str, i64> = BTreeMap::new();
        for line in purchase["lines"].as_array().expect("every line of the sample has lines") {
            let product = line["product"].as_str().expect("text");
            *bought.entry(product).or_default() += line["amount"].as_i64().expect("a whole number");
        }
        // Half up: hundredths of what was bought.
        let share = |sum: i64, hundredths: i64| (sum * hundredths + 50) / 100;
        let dairy = share(DAIRY.iter().filter_map(|product| bought.get(product)).sum(), 2);
        let second = second_of(purchase["occurred_at"].as_str().expect("text"));
        self.latest = self.latest.max(second);
        let mut granted = 0;
        if 0 < dairy && purchase["occurred_at"].as_str().expect("text") <= DAIRY_ENDS {
            self.dairy = (self.dairy.0 + 1, self.dairy.1 + dairy);
            granted += dairy;
        }
        let pizza = share(bought.get("FROZEN PIZZA").copied().unwrap_or(0), 5);
        if 0 < pizza {
            self.pizza = (self.pizza.0 + 1, self.pizza.1 + pizza);
            granted += pizza;
        }
        *self.granted.entry((second + DAY_SECONDS - 1) / DAY_SECONDS).or_default() += granted;
        for (index, (_, asked, _, max)) in CAMPAIGNS.iter().enumerate() {
            if member.completions[index] == *max {
                continue;
            }
            let met = asked.iter().filter(|(product, min)| bought.get(product).is_some_and(|sum| min <= sum));
            member.done[index].extend(met.map(|(product, _)| *product));
            if member.done[index].len() == asked.len() {
                member.done[index].clear();
                member.completions[index] += 1;
            }
        }
    }

    /// Points of cashback, in all and expired, when each lives so many days.
    pub(crate) fn points(&self, life_days: i64) -> (i64, i64) {
        let is_over = |day: &i64| (day + life_days) * DAY_SECONDS <= self.latest;
        let over = self.granted.iter().filter(|(day, _)| is_over(day)).map(|(_, points)| points);
        (self.granted.values().sum(), over.sum())
    }

    /// The part of the summary that these rules make.
    pub(crate) fn report(&self) -> Value {
        let level = |spent: i64| LEVELS.iter().rev().find(|(_, min)| *min <= spent).expect("the lowest is at 0").0;
        let stands = |name: &str| self.members.values().filter(|member| level(member.spent) == name).count();
        let levels: Vec<Value> =
            LEVELS.iter().map(|(name, _)| json!({ "level": name, "customers": stands(name) })).collect();
        let completions = |index: usize| self.members.values().map(|member| member.completions[index]).sum::<u64>();
        let mut campaigns =
            [0, 1].map(|index| json!({ "name": CAMPAIGNS[index].0, "completions": completions(index) }));
        // Never used up by half a year.
        campaigns[0]["budget"] = json!(10_000);
        let points = [0, 1].map(|index| completions(index) * CAMPAIGNS[index].2);
        let rewarded = self.members.values().filter(|member| member.completions != [0, 0]).count();
        let rule = |name: &str, (grants, sum): (u64, i64)| json!({ "name": name, "kind": "cashback", "grants": grants, "sum": sum });
        let reward = |name: &str, index: usize| json!({ "name": name, "kind": "reward", "grants": completions(index), "sum": points[index] });
        json!({
            "spend": { "program": "Spend", "policy": "threshold", "levels": levels },
            "cashback_rules": [rule("Dairy 2%", self.dairy), rule("Pizza 5%", self.pizza)],
            "campaigns": campaigns,
            "rewards": {
                "points": points.iter().sum::<u64>(),
                "wallet_credit": 0,
                "customers": rewarded,
                "by_reward": [reward("100 points", 0), reward("250 points", 1)],
            },
        })
    }
}
