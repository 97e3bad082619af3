//! The model's refunds: what was granted, less what the rest keeps, less what was taken before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kembali_core::accounts::HouseAccount;
use kembali_core::catalogue::{Promo, TierPolicy};
use kembali_core::refund::{NegativeBalance, RefundedQuota, RefundedRewards, RefundedTier};
use kembali_core::{RuleId, Unit};

use super::commands::{Buy, Line, Of, Refund};
use super::model::{Account, Bought, Code, DAY, Granted, LIMIT, Model, NEVER, Paid, reached};
use super::purchases::{cashback_pays, met_by, needed, promo_pays};

/// A product, how many pieces of it, and for how much.
type Part = (&'static str, i128, i128);

/// What came back of a purchase so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Back {
    pub(super) amount: i128,
    /// Pieces, and for how much; by product.
    pub(super) parts: BTreeMap<&'static str, (i128, i128)>,
    pub(super) promo: i128,
    pub(super) loyalty: i128,
    pub(super) cashback: BTreeMap<RuleId, i128>,
    /// Rewards of campaigns, each taken once.
    pub(super) rewards: BTreeSet<(RuleId, RuleId)>,
    pub(super) is_unit_returned: bool,
}

impl Model {
    /// Says what becomes of a refund, and does it.
    pub(super) fn refund(&mut self, refund: &Refund) -> String {
        let asked = Refund { dry: false, ..refund.clone() };
        if let Some((known, seq)) = self.bought[refund.purchase].refunds.get(&refund.id) {
            return format!("{} {seq}", if *known == asked { "known" } else { "refund_id_conflict" });
        }
        let before = self.clone();
        match self.give_back(&asked) {
            Ok(()) if refund.dry => {
                *self = before;
                "would".into()
            }
            Ok(()) => {
                self.seq += 1;
                let seq = self.seq;
                self.bought[refund.purchase].refunds.insert(refund.id, (asked, seq));
                "done".into()
            }
            Err(code) => {
                *self = before;
                format!("refused {code}, unwritten")
            }
        }
    }

    fn give_back(&mut self, refund: &Refund) -> Result<(), Code> {
        let at = self.now();
        let mut bought = self.bought[refund.purchase].clone();
        let who = bought.buy.who;
        self.catch_up(who, at);
        let (amount, parts) = part(&bought, &refund.of)?;
        bought.back.amount += amount;
        for (product, pieces, amount) in parts {
            let own = bought.back.parts.entry(product).or_default();
            *own = (own.0 + pieces, own.1 + amount);
        }
        let rest = rest(&bought);
        self.note(if rest.is_some() { "a part comes back" } else { "all comes back" });
        self.give_back_money(who, &mut bought, rest.as_ref())?;
        self.give_back_points(who, &mut bought, rest.as_ref(), at);
        self.give_back_unit(&mut bought, rest.as_ref());
        self.give_back_spent(who, &bought, amount);
        self.refunded += amount;
        self.bought[refund.purchase] = bought;
        Ok(())
    }

    /// Takes money of promos, milestones and rewards back from wallet 0.
    fn give_back_money(&mut self, who: u8, bought: &mut Bought, rest: Option<&Buy>) -> Result<(), Code> {
        let mut due: Vec<(HouseAccount, i128)> = Vec::new();
        if let Some((_, granted, payer)) = bought.promo {
            let more = (granted - self.promo_keeps(bought, rest) - bought.back.promo).max(0);
            bought.back.promo += more;
            due.push((payer, more));
        }
        if rest.is_none() {
            due.push((HouseAccount::LoyaltyExpense, bought.loyalty - bought.back.loyalty));
            bought.back.loyalty = bought.loyalty;
        }
        for (campaign, reward, paid) in self.lost_rewards(bought, rest) {
            if let Paid::Money(_, amount) = paid {
                due.push((HouseAccount::RewardExpense, amount));
                bought.back.rewards.insert((campaign, reward));
                self.note("a reward in money comes back");
            }
        }
        let sum: i128 = due.iter().map(|(_, amount)| amount).sum();
        let held: i128 = self.person(who).holds.values().filter(|held| held.wallet == 0).map(|held| held.amount).sum();
        let is_capped = self.rules().refunds.negative_balance == NegativeBalance::CapAtZero;
        let taken = if is_capped { sum.min((self.balance(who, 0) - held).max(0)) } else { sum };
        if self.balance(who, 0) - taken < -LIMIT {
            return Err("balance_too_small");
        }
        // Who had paid gets all of it back; what the wallet does not give, the house does.
        for (account, amount) in due {
            self.post(Account::Wallet(who, 0), self.house(account), amount);
        }
        let short = sum - taken;
        self.post(self.house(HouseAccount::RefundShortfall), Account::Wallet(who, 0), short);
        self.shortfall += short;
        if short > 0 {
            self.note("a refund falls short");
        }
        if self.balance(who, 0) < 0 {
            self.note("a wallet goes below zero");
        }
        Ok(())
    }

    /// Takes points of cashback rules and rewards back.
    fn give_back_points(&mut self, who: u8, bought: &mut Bought, rest: Option<&Buy>, at: i64) {
        let recorded = Arc::clone(&self.versions[bought.version - 1]);
        let mut due = Vec::new();
        for granted in &bought.cashback {
            let rule = recorded.cashback_rule(granted.source).expect("a rule of the record's version");
            let keeps = rest.map_or(0, |rest| cashback_pays(rule, rest));
            let done = bought.back.cashback.entry(granted.source).or_default();
            let more = granted.points - keeps - *done;
            *done += more;
            due.push(Granted { points: more, ..*granted });
        }
        for (campaign, reward, paid) in self.lost_rewards(bought, rest) {
            if let Paid::Points(granted) = paid {
                due.push(granted);
                bought.back.rewards.insert((campaign, reward));
                self.note("a reward in points comes back");
            }
        }
        for granted in due {
            self.take_points(who, granted, at);
        }
    }

    /// From the lot that was granted, then from others of the rule, then from all others, the soonest expiry first.
    fn take_points(&mut self, who: u8, granted: Granted, at: i64) {
        let Granted { source, kind, day, from_day, points } = granted;
        if day != NEVER && day * DAY <= at {
            self.note("points that have expired are not taken twice");
            return;
        }
        let mut left = points;
        let order = |lot: &Account| match lot {
            Account::Lot(_, _, own, from, own_from) => {
                (!(*own == day && *from == source && *own_from == from_day), *from != source)
            }
            _ => (true, true),
        };
        let mut lots = self.lots(who, Some(kind));
        // Sorting keeps the order of spending within each group.
        lots.sort_by_key(|(lot, _)| order(lot));
        for (lot, has) in lots {
            let part = left.min(has);
            if part != 0 && matches!(lot, Account::Lot(.., from_day) if at < from_day * DAY) {
                self.note("pending points come back");
            }
            if part != 0 && order(&lot).1 {
                self.note("points of another rule are taken");
            }
            left -= part;
            self.post(lot, Account::House(Unit::Points(kind), HouseAccount::PointsIssued), part);
        }
        if left != 0 {
            self.note("points are short");
        }
    }

    fn give_back_unit(&mut self, bought: &mut Bought, rest: Option<&Buy>) {
        let is_free = self.rules().refunds.quota == RefundedQuota::Return && !bought.back.is_unit_returned;
        let Some((promo, ..)) = bought.promo.filter(|_| is_free && self.promo_keeps(bought, rest) == 0) else { return };
        bought.back.is_unit_returned = true;
        *self.used.entry(promo).or_default() -= 1;
        self.note("a unit is returned");
    }

    /// What came back counts as spent no longer.
    fn give_back_spent(&mut self, who: u8, bought: &Bought, amount: i128) {
        let (rules, recorded) = (self.rules(), Arc::clone(&self.versions[bought.version - 1]));
        if rules.refunds.tier == RefundedTier::Keep {
            return;
        }
        for program in &rules.programs {
            let TierPolicy::Threshold(threshold) = &program.policy else { continue };
            if recorded.program(program.id).is_none() {
                continue;
            }
            let Some((level, had)) = self.person(who).spends.get(&program.id).copied() else { continue };
            let has = had - amount;
            let falls = |bound: i64| has < i128::from(bound) && i128::from(bound) <= had;
            let place = |level| threshold.levels.iter().position(|own| own.id == level);
            let to = reached(threshold, has);
            let is_lower =
                threshold.levels.iter().any(|own| falls(own.spent_min.minor_units())) && place(to) < place(level);
            self.person(who).spends.insert(program.id, (if is_lower { to } else { level }, has));
            if is_lower {
                self.note("a refund places lower");
            }
        }
    }

    /// The least that the promo pays for any amount from the rest up to what was bought.
    fn promo_keeps(&self, bought: &Bought, rest: Option<&Buy>) -> i128 {
        let (Some((promo, ..)), Some(rest)) = (bought.promo, rest) else { return 0 };
        let recorded = &self.versions[bought.version - 1];
        let promo = recorded.promo(promo).expect("a promo of the record's version");
        least(promo, bought.buy.quantity, i128::from(rest.amount), i128::from(bought.buy.amount))
    }

    /// The rewards of campaigns of which the rest does not meet what the purchase had met, but for those taken before.
    fn lost_rewards(&self, bought: &Bought, rest: Option<&Buy>) -> Vec<(RuleId, RuleId, Paid)> {
        if self.rules().refunds.rewards == RefundedRewards::Keep {
            return Vec::new();
        }
        let recorded = &self.versions[bought.version - 1];
        let still_meets = |(id, so_far): &(RuleId, i128)| {
            let kind = &recorded.fulfillment(*id).expect("a fulfillment of the record's version").kind;
            rest.and_then(|rest| met_by(kind, rest)).is_some_and(|more| needed(kind) <= so_far + more)
        };
        let lost = bought.completed.iter().filter(|own| !own.met.iter().all(still_meets));
        let all = lost.flat_map(|own| own.paid.iter().map(|paid| (own.campaign, paid.reward(), *paid)));
        all.filter(|(campaign, reward, _)| !bought.back.rewards.contains(&(*campaign, *reward))).collect()
    }
}

/// What a promo pays rises with the amount within a band, so the least is at the rest or where a band begins or ends.
fn least(promo: &Promo, quantity: i64, rest: i128, bought: i128) -> i128 {
    let edges = promo.bands.iter().flat_map(|band| [Some(band.amount_min), band.amount_end]).flatten();
    let edges = edges.map(|edge| i128::from(edge.minor_units())).filter(|edge| rest < *edge && *edge <= bought);
    edges.chain([rest]).map(|amount| promo_pays(promo, quantity, amount)).min().unwrap_or(0)
}

/// How many pieces of each product remain, and for how much; those of which nothing does are left out.
pub(super) fn remaining(bought: &Bought) -> BTreeMap<&'static str, (i128, i128)> {
    let mut left: BTreeMap<&'static str, (i128, i128)> = BTreeMap::new();
    for (product, pieces, amount) in &bought.buy.lines {
        let own = left.entry(product).or_default();
        *own = (own.0 + i128::from(*pieces), own.1 + i128::from(*amount));
    }
    for (product, (pieces, amount)) in &bought.back.parts {
        let own = left.entry(product).or_default();
        *own = (own.0 - pieces, own.1 - amount);
    }
    left
}

/// Checks which part is meant: how much, and of what.
fn part(bought: &Bought, of: &Of) -> Result<(i128, Vec<Part>), Code> {
    let left = i128::from(bought.buy.amount) - bought.back.amount;
    let products = remaining(bought);
    match of {
        Of::Amount(amount) => {
            let amount = i128::from(*amount);
            check_sum(amount)?;
            if left < amount {
                return Err("refund_exceeds_remainder");
            }
            if !bought.buy.lines.is_empty() && amount < left {
                return Err("refund_lines_required");
            }
            Ok((amount, products.into_iter().map(|(product, (pieces, amount))| (product, pieces, amount)).collect()))
        }
        Of::Lines(lines) => {
            let is_out = |(_, pieces, amount): &Line| {
                !(0..=4_294_967_295).contains(pieces) || *amount < 0 || LIMIT < i128::from(*amount)
            };
            if lines.iter().any(is_out) {
                return Err("line_out_of_range");
            }
            let amount: i128 = lines.iter().map(|(_, _, amount)| i128::from(*amount)).sum();
            check_sum(amount)?;
            for (product, ..) in lines {
                let (pieces, amount) = *products.get(product).ok_or("refund_line_not_bought")?;
                let own = || lines.iter().filter(|line| line.0 == *product);
                let asked: i128 = own().map(|line| i128::from(line.1)).sum();
                if pieces < asked || amount < own().map(|line| i128::from(line.2)).sum() {
                    return Err("refund_line_exceeds_remainder");
                }
            }
            let wide = |(product, pieces, amount): &Line| (*product, i128::from(*pieces), i128::from(*amount));
            Ok((amount, lines.iter().map(wide).collect()))
        }
    }
}

fn check_sum(amount: i128) -> Result<(), Code> {
    match amount {
        ..1 => Err("amount_not_positive"),
        _ if LIMIT < amount => Err("amount_too_large"),
        _ => Ok(()),
    }
}

/// What remains, as a purchase. A product is gone once all of its money is back; one that was free, once all of it is.
fn rest(bought: &Bought) -> Option<Buy> {
    let amount = i128::from(bought.buy.amount) - bought.back.amount;
    if amount == 0 {
        return None;
    }
    let was_free = |product| bought.buy.lines.iter().filter(|line| line.0 == product).all(|line| line.2 == 0);
    let is_there = |(product, (pieces, amount)): &(&'static str, (i128, i128))| {
        *amount != 0 || (*pieces != 0 && was_free(*product))
    };
    let lines = remaining(bought).into_iter().filter(is_there);
    let lines = lines.map(|(product, (pieces, amount))| (product, pieces as i64, amount as i64)).collect();
    Some(Buy { amount: amount as i64, lines, ..bought.buy.clone() })
}
