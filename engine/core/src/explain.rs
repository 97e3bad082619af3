//! Why a booked purchase got what it got, and why not the rest: what each rule of its version says of it.
//!
//! Nothing is decided here. The rules are asked once more, by the functions that decided, with what they saw then: the
//! customer's row and the quotas before the purchase. So what is explained as paid is what the record says.

use alloc::vec::Vec;

use crate::campaign::{Activity, Closed, Judged};
use crate::cashback::{Paid, Unpaid};
use crate::catalogue::{Catalogue, Journey, Milestone, Threshold, ThresholdLevel, TierPolicy};
use crate::customer::Row;
use crate::event::{DeclineReason, PurchaseBooked};
use crate::identity::RuleId;
use crate::journey::{self, Standing, Step, Unmet};
use crate::promo::Match;
use crate::quantity::{Amount, Instant};
use crate::risk::{Finding, Remembered, RiskKind};
use crate::threshold::{self, SpendStanding};

/// What each rule says of a purchase, in the order in which they decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Each promo.
    pub promos: Vec<PromoVerdict>,
    /// Each tier programme.
    pub programs: Vec<ProgramVerdict>,
    /// Each cashback rule.
    pub cashback_rules: Vec<CashbackVerdict>,
    /// Each campaign.
    pub campaigns: Vec<CampaignVerdict>,
    /// Each risk rule that looks at purchases.
    pub risk_rules: Vec<RiskVerdict>,
}

/// What a risk rule says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RiskVerdict {
    /// The rule.
    pub rule: RuleId,
    /// What it found; `None` of a rule of partners, whose purchases are not the customer's alone.
    pub finding: Option<Finding>,
}

/// What a promo says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromoVerdict {
    /// The promo.
    pub promo: RuleId,
    /// How many units of its quota were used before.
    pub used: u64,
    /// What it pays, or why not.
    pub verdict: Result<Match, PromoUnpaid>,
}

/// Why a promo pays nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PromoUnpaid {
    /// The purchase does not name it.
    NotNamed,
    /// The purchase names it, and it declines.
    Declined(DeclineReason),
}

/// What a tier programme says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProgramVerdict {
    /// A Journey programme.
    Journey(JourneyVerdict),
    /// A Threshold programme.
    Threshold(ThresholdVerdict),
}

/// What a Journey programme says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JourneyVerdict {
    /// The programme.
    pub program: RuleId,
    /// Where the customer stood.
    pub before: Option<Standing>,
    /// Whole days since the purchase before; `None` of a first one.
    pub gap_days: Option<i64>,
    /// The step.
    pub step: Step,
    /// Each milestone of the level that it leads to: what it pays, or why not.
    pub milestones: Vec<(Milestone, Result<Amount, Unmet>)>,
}

/// What a Threshold programme says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThresholdVerdict {
    /// The programme.
    pub program: RuleId,
    /// Where the customer stood.
    pub before: Option<SpendStanding>,
    /// Where the customer stands.
    pub after: SpendStanding,
    /// The first level that what was spent does not reach yet.
    pub next: Option<ThresholdLevel>,
}

/// What a cashback rule says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CashbackVerdict {
    /// The rule.
    pub rule: RuleId,
    /// What it pays, or why not.
    pub verdict: Result<Paid, Unpaid>,
}

/// What a campaign says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CampaignVerdict {
    /// The campaign.
    pub campaign: RuleId,
    /// How often the customer had completed it before.
    pub completions: u32,
    /// What the purchase does for each fulfillment, or why for none.
    pub verdict: Result<Vec<Judged>, Closed>,
    /// True when it is completed now: then it pays each of its rewards, else none.
    pub is_completed: bool,
}

/// Asks each rule of `rules` what it says of a purchase that was booked at `received_at`. `row` is the customer's row before it,
/// `used` tells how many units of a promo were used before it, and `completed` how often a campaign was completed.
///
/// `None` when the numbers of the purchase are such that it could not have been booked.
#[must_use]
pub fn explain(
    rules: &Catalogue,
    row: Option<&Row>,
    used: impl Fn(RuleId) -> u64,
    completed: impl Fn(RuleId) -> u64,
    (booked, received_at): (&PurchaseBooked, Instant),
) -> Option<Explanation> {
    let PurchaseBooked { purchase, partner, at, .. } = booked;
    let amount = Amount::new(purchase.amount)?;
    let promos = rules.promos.iter().map(|promo| {
        let used = used(promo.id);
        let verdict = match purchase.promo_code.as_deref() == Some(&*promo.code) {
            true => promo.judge(used, *at, purchase.quantity, amount).map_err(PromoUnpaid::Declined),
            false => Err(PromoUnpaid::NotNamed),
        };
        PromoVerdict { promo: promo.id, used, verdict }
    });
    let programs = rules.programs.iter().map(|program| match &program.policy {
        TierPolicy::Journey(journey) => {
            let before = row.and_then(|row| row.standing(program.id)).copied();
            Some(ProgramVerdict::Journey(journey_verdict(program.id, journey, before, booked)))
        }
        TierPolicy::Threshold(threshold) => {
            let before = row.and_then(|row| row.spend(program.id)).copied();
            threshold_verdict(program.id, threshold, before, amount).map(ProgramVerdict::Threshold)
        }
    });
    let cashback_rules = rules.cashback_rules.iter().map(|rule| {
        let verdict = rule.judge(purchase, amount, *partner, *at);
        CashbackVerdict { rule: rule.id, verdict }
    });
    let bought = Activity::Purchase(purchase, amount);
    let campaigns = rules.campaigns.iter().map(|campaign| {
        let before = row.and_then(|row| row.campaign(campaign.id));
        let is_used_up = campaign.is_used_up(completed(campaign.id));
        let verdict = campaign.judge(rules, before, bought, *at).map(Iterator::collect);
        let verdict = if is_used_up { verdict.and(Err(Closed::BudgetUsed)) } else { verdict };
        let advance = campaign.advance(rules, before, bought, *at).filter(|_| !is_used_up);
        CampaignVerdict {
            campaign: campaign.id,
            completions: before.map_or(0, |before| before.completions),
            verdict,
            is_completed: advance.is_some_and(|advance| advance.is_completed),
        }
    });
    let own = Remembered { at: received_at, kind: RiskKind::Purchase, amount };
    let remembered = row.map_or(&[][..], |row| &row.risk);
    let risk_rules = rules.risk_rules.iter().filter(|rule| rule.looks_at(own.kind)).map(|rule| {
        let finding = rule.find(&remembered.iter(), own).filter(|_| rule.condition.party().is_none());
        RiskVerdict { rule: rule.id, finding }
    });
    Some(Explanation {
        promos: promos.collect(),
        programs: programs.collect::<Option<_>>()?,
        cashback_rules: cashback_rules.collect(),
        campaigns: campaigns.collect(),
        risk_rules: risk_rules.collect(),
    })
}

fn journey_verdict(
    program: RuleId,
    rules: &Journey,
    before: Option<Standing>,
    booked: &PurchaseBooked,
) -> JourneyVerdict {
    let step = journey::step(program, rules, before.as_ref(), booked.at);
    let milestones = rules.level(step.standing.level).map_or(&[][..], |level| &level.milestones);
    JourneyVerdict {
        program,
        before,
        gap_days: before.map(|before| booked.at.whole_days_since(before.last_at)),
        step,
        milestones: milestones.iter().map(|own| (*own, own.judge(step.remark, step.standing.count))).collect(),
    }
}

fn threshold_verdict(
    program: RuleId,
    rules: &Threshold,
    before: Option<SpendStanding>,
    amount: Amount,
) -> Option<ThresholdVerdict> {
    let after = threshold::step(program, rules, before.as_ref(), amount)?;
    let next = rules.levels.iter().find(|level| after.spent < level.spent_min).cloned();
    Some(ThresholdVerdict { program, before, after, next })
}
