//! The model's purchases, and what purchases and activities earn.

use std::sync::Arc;

use kembali_core::accounts::HouseAccount;
use kembali_core::catalogue::{
    AtMaximum, Campaign, CashbackRule, Catalogue, FulfillmentKind, Journey, Promo, RewardKind, TierPolicy,
    UnknownCustomer, UnknownPromo,
};
use kembali_core::journey::Remark;
use kembali_core::risk::RiskKind;
use kembali_core::{RuleId, Unit};

use super::commands::{Buy, Line, TAG};
use super::model::{
    Account, Bought, Code, Completed, DAY, Granted, LIMIT, Model, NEVER, Paid, Status, add, reached, share,
};
use super::refunds::Back;
use super::risk::Looked;

/// What one purchase or activity earns.
#[derive(Clone, Debug, Default)]
pub(super) struct Earned {
    money: Vec<(HouseAccount, i128)>,
    points: Vec<Granted>,
}

impl Model {
    /// Says what becomes of a purchase, and does it.
    pub(super) fn buy(&mut self, buy: &Buy) -> String {
        let content = Buy { dry: false, ..buy.clone() };
        let key = (buy.partner, buy.key);
        if let Some(own) = self.bought.iter().find(|own| (own.buy.partner, own.buy.key) == key) {
            return format!("{} {}", if own.buy == content { "known" } else { "origin_id_conflict" }, own.seq);
        }
        let before = self.clone();
        self.flagged = None;
        match self.book(&content, buy.dry) {
            Ok(()) if buy.dry => {
                *self = before;
                "would".into()
            }
            Ok(()) => {
                self.refused.remove(&key);
                "booked".into()
            }
            Err(code) => {
                *self = Model { flagged: self.flagged, ..before };
                if self.refused.get(&key) == Some(&(code, content.clone())) {
                    return format!("refused {code}, replayed");
                }
                if !buy.dry {
                    self.seq += 1;
                    self.refused.insert(key, (code, content));
                }
                format!("refused {code}")
            }
        }
    }

    fn book(&mut self, buy: &Buy, is_dry: bool) -> Result<(), Code> {
        let (rules, who) = (self.rules(), buy.who);
        let is_known = self.people.contains_key(&who);
        if !is_known && (buy.by_id || rules.unknown_customer == UnknownCustomer::MustExist) {
            return Err("customer_unknown");
        }
        check_numbers(buy)?;
        let at = self.rule_time(buy.occurred)?;
        let promo = match buy.code.map(|code| rules.promos.iter().find(|own| own.code == format!("P{code}"))) {
            Some(None) if rules.unknown_promo == UnknownPromo::Refuse => return Err("promo_unknown"),
            promo => promo.flatten(),
        };
        let promo = promo.and_then(|own| self.promo(own, buy, at));
        if !is_known {
            self.create(who);
        }
        self.catch_up(who, at);
        let amount = i128::from(buy.amount);
        if !is_dry {
            let (kind, partner) = (RiskKind::Purchase, Some(buy.partner));
            self.look(&Looked { who, kind, amount, partner, device: None, is_released: false })?;
        }
        let mut earned = Earned::default();
        earned.money.extend(promo.map(|(_, points, payer)| (payer, points)));
        let loyalty = self.tiers(who, &rules, amount, at)?;
        earned.money.push((HouseAccount::LoyaltyExpense, loyalty));
        let mut cashback = Vec::new();
        for rule in &rules.cashback_rules {
            let is_its = rule.partner.is_none_or(|partner| partner.0 == buy.partner);
            let is_on = rule.is_active && rule.ends_at.is_none_or(|ends| at <= ends.0);
            let points = cashback_pays(rule, buy);
            if is_its && is_on && points != 0 {
                let (day, from_day) = (day_of(at, rule.life_days), pending_until(at, rule.pending_days));
                let granted = Granted { source: rule.id, kind: rule.pays, day, from_day, points };
                self.note(if day == NEVER { "cashback for ever" } else { "cashback with a life" });
                self.grant(who, &mut earned, granted)?;
                cashback.push(granted);
            }
        }
        let completed = self.campaigns(who, &rules, &mut earned, at, |kind| met_by(kind, buy))?;
        self.pay(who, earned)?;
        if let Some((promo, points, _)) = promo {
            self.note("a promo pays");
            *self.used.entry(promo).or_default() += 1;
            let sums = self.sums.promos.entry(promo).or_default();
            (sums.granted, sums.points) = (sums.granted + 1, sums.points + points);
        }
        for granted in &cashback {
            add(&mut self.sums.cashback, granted.source, 1, granted.points);
        }
        self.person(who).purchases += 1;
        self.occurred(buy.occurred, at);
        self.seq += 1;
        self.bought.push(Bought {
            buy: buy.clone(),
            seq: self.seq,
            version: self.versions.len(),
            promo,
            loyalty,
            cashback,
            completed,
            back: Back::default(),
            refunds: Default::default(),
        });
        Ok(())
    }

    /// Which promo pays how much, at whose expense.
    fn promo(&mut self, promo: &Promo, buy: &Buy, at: i64) -> Option<(RuleId, i128, HouseAccount)> {
        let is_its_time = promo.starts_at.0 <= at && at <= promo.ends_at.0;
        let points = promo_pays(promo, buy.quantity, i128::from(buy.amount));
        if !is_its_time || points == 0 {
            self.note("a promo declines");
            self.sums.promos.entry(promo.id).or_default().declined_other += 1;
            return None;
        }
        if promo.quota <= self.used.get(&promo.id).copied().unwrap_or(0) {
            self.note("a quota is exhausted");
            self.sums.promos.entry(promo.id).or_default().declined_exhausted += 1;
            return None;
        }
        let payer = promo.funded_by.unwrap_or(kembali_core::PartnerId(buy.partner));
        Some((promo.id, points, HouseAccount::PromoExpense(payer)))
    }

    /// Takes a step in each programme. Returns what milestones pay.
    fn tiers(&mut self, who: u8, rules: &Arc<Catalogue>, amount: i128, at: i64) -> Result<i128, Code> {
        let mut loyalty = 0;
        for program in &rules.programs {
            match &program.policy {
                TierPolicy::Journey(journey) => {
                    let before = self.person(who).journeys.get(&program.id).copied();
                    let (after, remark) = step(journey, before, at);
                    self.person(who).journeys.insert(program.id, after);
                    *self.sums.remarks.entry((program.id, remark)).or_default() += 1;
                    if remark != Remark::FirstTransaction && remark != Remark::Maximum {
                        let level = journey.levels.iter().find(|own| own.id == after.0).expect("a level of the rules");
                        let paid = level.milestones.iter().find(|own| own.at_count == after.1);
                        loyalty += paid.map_or(0, |own| i128::from(own.points.minor_units()));
                    }
                }
                TierPolicy::Threshold(threshold) => {
                    let before = self.person(who).spends.get(&program.id).copied();
                    let had = before.map_or(0, |(_, spent)| spent);
                    let spent = had + amount;
                    if LIMIT < spent {
                        return Err("points_too_large");
                    }
                    let place = |level| threshold.levels.iter().position(|own| own.id == level);
                    let bound = |spent_min: i64| had < i128::from(spent_min) && i128::from(spent_min) <= spent;
                    let crosses = threshold.levels.iter().any(|own| bound(own.spent_min.minor_units()));
                    let to = reached(threshold, spent);
                    let level = match before {
                        Some((level, _)) if crosses && place(level) < place(to) => {
                            self.note("climbs by what was spent");
                            to
                        }
                        Some((level, _)) => level,
                        None => to,
                    };
                    self.person(who).spends.insert(program.id, (level, spent));
                }
            }
        }
        Ok(loyalty)
    }

    /// Advances each campaign by what meets its fulfillments: so much, or nothing.
    pub(super) fn campaigns(
        &mut self,
        who: u8,
        rules: &Arc<Catalogue>,
        earned: &mut Earned,
        at: i64,
        counts: impl Fn(&FulfillmentKind) -> Option<i128>,
    ) -> Result<Vec<Completed>, Code> {
        let mut all = Vec::new();
        for campaign in &rules.campaigns {
            if campaign.budget.is_some_and(|budget| budget <= self.completions(campaign.id)) {
                self.note("a budget is used up");
                continue;
            }
            let own = self.person(who).campaigns.entry(campaign.id).or_default();
            if !is_open(campaign, own.completions, at) {
                continue;
            }
            let mut met = Vec::new();
            for id in &campaign.fulfillments {
                let kind = &rules.fulfillment(*id).expect("a campaign's fulfillment is there").kind;
                let (so_far, is_met) = own.progress.get(id).copied().unwrap_or_default();
                let Some(more) = counts(kind).filter(|_| !is_met) else { continue };
                let meets = needed(kind) <= so_far + more;
                own.progress.insert(*id, (so_far + more, meets));
                met.extend(meets.then_some((*id, so_far)));
            }
            let is_whole = |id| own.progress.get(id).is_some_and(|(_, is_met)| *is_met);
            // Only what happens completes; what was met before waits for something that moves the campaign.
            if met.is_empty() || !campaign.fulfillments.iter().all(is_whole) {
                continue;
            }
            own.completions += 1;
            own.progress.clear();
            self.note("a campaign is completed");
            let mut paid = Vec::new();
            for id in &campaign.rewards {
                let reward = rules.reward(*id).expect("a campaign's reward is there");
                match reward.kind {
                    RewardKind::Points { kind, points } => {
                        let (day, points) = (day_of(at, reward.life_days), i128::from(points.minor_units()));
                        let from_day = pending_until(at, reward.pending_days);
                        let granted = Granted { source: *id, kind, day, from_day, points };
                        self.grant(who, earned, granted)?;
                        paid.push(Paid::Points(granted));
                    }
                    RewardKind::WalletCredit { amount } => {
                        let amount = i128::from(amount.minor_units());
                        earned.money.push((HouseAccount::RewardExpense, amount));
                        paid.push(Paid::Money(*id, amount));
                    }
                }
            }
            for own in &paid {
                add(&mut self.sums.rewards, own.reward(), 1, own.amount());
            }
            all.push(Completed { campaign: campaign.id, met, paid });
        }
        Ok(all)
    }

    /// How often all customers have completed a campaign.
    fn completions(&self, campaign: RuleId) -> u64 {
        let own = self.people.values().filter_map(|person| person.campaigns.get(&campaign));
        own.map(|own| u64::from(own.completions)).sum()
    }

    /// Lots of one rule that can be spent for sure are one again: those that were ripe a year and a day before a grant is.
    pub(super) fn make_one(&mut self, who: u8, (kind, day, source): (RuleId, i64, RuleId), from_day: i64) {
        for (lot, points) in self.lots(who, Some(kind)) {
            let Account::Lot(_, _, own_day, own_source, own_from) = lot else { continue };
            if (own_day, own_source) == (day, source) && own_from != 0 && own_from + 366 <= from_day {
                self.post(lot, Account::Lot(who, kind, day, source, 0), points);
            }
        }
    }

    fn grant(&mut self, who: u8, earned: &mut Earned, granted: Granted) -> Result<(), Code> {
        earned.points.push(granted);
        let own = earned.points.iter().filter(|own| own.kind == granted.kind);
        let sum: i128 = own.map(|own| own.points).sum();
        if LIMIT < self.points(who, granted.kind) + sum { Err("points_too_large") } else { Ok(()) }
    }

    /// Posts what is earned: money into wallet 0, points into their lots.
    pub(super) fn pay(&mut self, who: u8, earned: Earned) -> Result<(), Code> {
        let money: i128 = earned.money.iter().map(|(_, amount)| amount).sum();
        if money != 0 && self.person(who).wallets[&0] == Status::Frozen {
            return Err("wallet_frozen");
        }
        if LIMIT < money.max(self.balance(who, 0) + money) {
            return Err("balance_too_large");
        }
        for (account, amount) in earned.money {
            self.post(self.house(account), Account::Wallet(who, 0), amount);
        }
        for Granted { source, kind, day, from_day, points } in earned.points {
            let issued = Account::House(Unit::Points(kind), HouseAccount::PointsIssued);
            self.post(issued, Account::Lot(who, kind, day, source, from_day), points);
            self.make_one(who, (kind, day, source), from_day);
        }
        Ok(())
    }
}

fn check_numbers(buy: &Buy) -> Result<(), Code> {
    let is_out = |(_, quantity, amount): &Line| {
        !(0..=4_294_967_295).contains(quantity) || *amount < 0 || LIMIT < i128::from(*amount)
    };
    let sum: i128 = buy.lines.iter().map(|(_, _, amount)| i128::from(*amount)).sum();
    match buy {
        Buy { amount: ..1, .. } => Err("amount_not_positive"),
        Buy { amount, .. } if LIMIT < i128::from(*amount) => Err("amount_too_large"),
        Buy { quantity: ..1, .. } => Err("quantity_not_positive"),
        Buy { quantity: 4_294_967_296.., .. } => Err("quantity_too_large"),
        Buy { lines, .. } if lines.iter().any(is_out) => Err("line_out_of_range"),
        Buy { lines, amount, .. } if !lines.is_empty() && sum != i128::from(*amount) => Err("lines_sum_mismatch"),
        _ => Ok(()),
    }
}

/// What the band pays that fits, half up; nothing without one.
pub(super) fn promo_pays(promo: &Promo, quantity: i64, amount: i128) -> i128 {
    let band = promo.bands.iter().find(|band| {
        let own = i64::from(band.quantity);
        (own == quantity || (band.or_more && own < quantity))
            && i128::from(band.amount_min.minor_units()) <= amount
            && band.amount_end.is_none_or(|end| amount < i128::from(end.minor_units()))
    });
    band.map_or(0, |band| share(amount, &band.percent.to_string(), 100))
}

/// KezBek's step.
fn step(journey: &Journey, before: Option<(RuleId, u32, i64)>, at: i64) -> ((RuleId, u32, i64), Remark) {
    let lowest = journey.levels[0].id;
    let Some((level, count, last)) = before else { return ((lowest, 1, at), Remark::FirstTransaction) };
    let own = journey.levels.iter().find(|own| own.id == level).expect("a level of the rules");
    let days = (at - last).div_euclid(DAY);
    let (is_full, is_top) = (own.count_max <= count, own.next == own.id);
    let (level, count, remark) = if i64::from(journey.reset_after_days) < days {
        (lowest, 1, Remark::Reset)
    } else if i64::from(journey.downgrade_after_days) < days {
        (own.previous, 1, Remark::Downgrade)
    } else if is_full && !is_top {
        (own.next, 1, Remark::Upgrade)
    } else if is_full && journey.at_maximum == AtMaximum::RestartCycle {
        (level, 1, Remark::Restart)
    } else {
        (level, count + 1, if is_full { Remark::Maximum } else { Remark::None })
    };
    ((level, count, last.max(at)), remark)
}

fn is_open(campaign: &Campaign, completions: u32, at: i64) -> bool {
    campaign.starts_at.is_none_or(|starts| starts.0 <= at)
        && campaign.ends_at.is_none_or(|ends| at <= ends.0)
        && campaign.completions_max.is_none_or(|max| completions < max)
}

pub(super) fn needed(kind: &FulfillmentKind) -> i128 {
    match kind {
        FulfillmentKind::Buy { amount_min, .. } => i128::from(amount_min.minor_units()),
        FulfillmentKind::Tag { count, .. } => i128::from(*count),
    }
}

/// How much a purchase counts for a fulfillment.
pub(super) fn met_by(kind: &FulfillmentKind, buy: &Buy) -> Option<i128> {
    match kind {
        FulfillmentKind::Buy { product, is_cumulative, .. } => {
            let bought = sum(buy, |own| product.as_deref().is_none_or(|product| product == own))?;
            (*is_cumulative || needed(kind) <= bought).then_some(bought)
        }
        FulfillmentKind::Tag { tag, .. } => (buy.has_tag && tag == TAG).then_some(1),
    }
}

/// The share of what was bought of a rule's products: summed first, rounded once.
pub(super) fn cashback_pays(rule: &CashbackRule, buy: &Buy) -> i128 {
    let bought = sum(buy, |product| rule.products.is_empty() || rule.products.iter().any(|own| own == product));
    share(bought.unwrap_or(0), &rule.rate.to_string(), 1)
}

/// For how much products were bought; `None` where none of them was.
fn sum(buy: &Buy, is_wanted: impl Fn(&str) -> bool) -> Option<i128> {
    if buy.lines.is_empty() {
        return is_wanted(buy.product.unwrap_or("")).then_some(i128::from(buy.amount));
    }
    let own: Vec<i128> =
        buy.lines.iter().filter(|line| is_wanted(line.0)).map(|(_, _, amount)| i128::from(*amount)).collect();
    (!own.is_empty()).then(|| own.iter().sum())
}

/// The day from which on points can be spent: so many days after the first midnight that is not before the grant.
fn pending_until(at: i64, pending_days: Option<u32>) -> i64 {
    pending_days.map_or(0, |days| (at + DAY - 1).div_euclid(DAY) + i64::from(days))
}

/// The day on which points are gone: so many days after the first midnight that is not before the grant.
pub(super) fn day_of(at: i64, life_days: Option<u32>) -> i64 {
    life_days.map_or(NEVER, |days| (at + DAY - 1).div_euclid(DAY) + i64::from(days))
}
