//! What a purchase was granted, and what of it is clawed back once less remains of the purchase.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::{Original, RefundedRewards};
use crate::event::{Event, RewardGranted};
use crate::identity::RuleId;
use crate::purchase::Purchase;
use crate::quantity::Amount;

/// What is clawed back, by what had granted it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClawBack {
    /// What its promo had paid.
    pub promo: Option<PromoBack>,
    /// What milestones had paid.
    pub loyalty: Amount,
    /// What cashback rules had granted, in the order of the purchase's record.
    pub cashback: Vec<CashbackBack>,
    /// Rewards, each as a whole, in the order of the purchase's record.
    pub rewards: Vec<RewardGranted>,
}

/// What is clawed back of a promo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromoBack {
    /// The promo.
    pub promo: RuleId,
    /// How much, greater than zero.
    pub points: Amount,
}

/// What is clawed back of a cashback rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CashbackBack {
    /// The rule.
    pub rule: RuleId,
    /// The kind of points.
    pub kind: RuleId,
    /// How many, greater than zero.
    pub points: Amount,
}

impl ClawBack {
    pub(super) const NOTHING: ClawBack =
        ClawBack { promo: None, loyalty: Amount::ZERO, cashback: Vec::new(), rewards: Vec::new() };

    /// Returns true when nothing is clawed back.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == ClawBack::NOTHING
    }

    /// Returns what is to be clawed back now of what is to be clawed back in all. Never less than nothing: what was
    /// clawed back under another policy stays so.
    pub(super) fn minus(&self, before: &ClawBack) -> ClawBack {
        let left = |due: Amount, done: Amount| due.minus(done).unwrap_or(Amount::ZERO);
        let promo = self.promo.map(|due| {
            let done = before.promo.map_or(Amount::ZERO, |done| done.points);
            PromoBack { points: left(due.points, done), ..due }
        });
        let cashback = self.cashback.iter().map(|due| {
            let done = before.cashback.iter().find(|done| done.rule == due.rule);
            CashbackBack { points: left(due.points, done.map_or(Amount::ZERO, |done| done.points)), ..*due }
        });
        ClawBack {
            promo: promo.filter(|own| !own.points.is_zero()),
            loyalty: left(self.loyalty, before.loyalty),
            cashback: cashback.filter(|own| !own.points.is_zero()).collect(),
            rewards: self.rewards.iter().filter(|due| !before.rewards.contains(due)).copied().collect(),
        }
    }

    /// Adds what one more refund claws back.
    pub(super) fn add(&mut self, more: &ClawBack) {
        let sum = |own: Amount, more: Amount| own.plus(more).unwrap_or(own);
        self.promo = match (self.promo, more.promo) {
            (Some(own), Some(more)) => Some(PromoBack { points: sum(own.points, more.points), ..own }),
            (own, more) => own.or(more),
        };
        self.loyalty = sum(self.loyalty, more.loyalty);
        for more in &more.cashback {
            match self.cashback.iter_mut().find(|own| own.rule == more.rule) {
                Some(own) => own.points = sum(own.points, more.points),
                None => self.cashback.push(*more),
            }
        }
        // One state for any split: the rules stand in the order of their ids, whichever came back first.
        self.cashback.sort_unstable_by_key(|own| own.rule);
        self.rewards.extend(&more.rewards);
        self.rewards.sort_unstable_by_key(|own| (own.campaign, own.reward));
    }
}

/// What the record of a purchase says that it was granted.
pub(super) struct Granted {
    promo: Option<PromoBack>,
    loyalty: Amount,
    cashback: Vec<CashbackBack>,
    rewards: Vec<RewardGranted>,
}

impl Granted {
    pub(super) fn of(original: Original<'_>) -> Granted {
        let mut granted = Granted { promo: None, loyalty: Amount::ZERO, cashback: Vec::new(), rewards: Vec::new() };
        for event in &original.body.events {
            match event {
                Event::PromoGranted(own) => {
                    granted.promo = Some(PromoBack { promo: own.promo, points: own.points });
                }
                Event::MilestoneReached(own) => {
                    // The entry that paid all of them together was an amount.
                    granted.loyalty = granted.loyalty.plus(own.points).unwrap_or(granted.loyalty);
                }
                Event::CashbackEarned(own) => {
                    granted.cashback.push(CashbackBack { rule: own.rule, kind: own.kind, points: own.points });
                }
                Event::RewardGranted(own) => granted.rewards.push(*own),
                _ => (),
            }
        }
        granted
    }

    /// Returns what is clawed back in all once no more than `rest` remains of the purchase: what was granted less what
    /// the rest earns.
    pub(super) fn due(&self, original: Original<'_>, rest: Option<&Purchase>, policy: RefundedRewards) -> ClawBack {
        let rewards = |is_due: &dyn Fn(RuleId) -> bool| match policy {
            RefundedRewards::Keep => Vec::new(),
            RefundedRewards::ClawBack => self.rewards.iter().filter(|own| is_due(own.campaign)).copied().collect(),
        };
        let Some((rest, remaining)) = rest.and_then(|rest| Some((rest, Amount::new(rest.amount)?))) else {
            let (promo, loyalty, cashback) = (self.promo, self.loyalty, self.cashback.clone());
            return ClawBack { promo, loyalty, cashback, rewards: rewards(&|_| true) };
        };
        let lost = |granted: Amount, earns: Amount| granted.minus(earns).unwrap_or(Amount::ZERO);
        let promo = self.promo.map(|own| {
            let rule = original.rules.promo(own.promo);
            let earns = rule.map_or(Amount::ZERO, |rule| rule.least(rest.quantity, remaining, original.amount()));
            PromoBack { points: lost(own.points, earns), ..own }
        });
        let cashback = self.cashback.iter().map(|own| {
            let rule = original.rules.cashback_rule(own.rule);
            let (partner, at) = (original.booked.partner, original.booked.at);
            let earns = rule.map_or(Amount::ZERO, |rule| rule.pays_for(rest, remaining, partner, at));
            CashbackBack { points: lost(own.points, earns), ..*own }
        });
        ClawBack {
            promo: promo.filter(|own| !own.points.is_zero()),
            // A milestone is for the purchase, however much of it is left.
            loyalty: Amount::ZERO,
            cashback: cashback.filter(|own| !own.points.is_zero()).collect(),
            rewards: rewards(&|campaign| !is_completed_by_rest(original, campaign, rest, remaining)),
        }
    }

    /// Returns the promo that paid and of which nothing is earned any more.
    pub(super) fn promo_spent(&self, due: &ClawBack) -> Option<RuleId> {
        self.promo.filter(|own| due.promo == Some(*own)).map(|own| own.promo)
    }
}

/// Returns true when the rest of a purchase that completed a campaign would have completed it too: it still meets
/// whatever the purchase had met of it.
fn is_completed_by_rest(original: Original<'_>, campaign: RuleId, rest: &Purchase, remaining: Amount) -> bool {
    original.body.events.iter().all(|event| {
        let Event::FulfillmentAdvanced(advanced) = event else { return true };
        if advanced.campaign != campaign {
            return true;
        }
        let bought = (&original.booked.purchase, original.amount());
        let rule = original.rules.fulfillment(advanced.progress.fulfillment);
        rule.is_some_and(|rule| rule.is_met_by_rest(advanced.progress.so_far, bought, (rest, remaining)))
    })
}
