//! Campaigns: sets of fulfillments that pay rewards once all are met (Loyaltea).
//!
//! All fulfillments that one purchase meets enter the set at once, and a campaign is completed at most once a purchase.
//! Then its progress starts again with nothing: what was over is not carried.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::cashback::bought_of;
use crate::catalogue::{Campaign, Catalogue, Fulfillment, FulfillmentKind};
use crate::identity::RuleId;
use crate::purchase::Purchase;
use crate::quantity::{Amount, Instant};

/// Where a customer stands in a campaign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CampaignStanding {
    /// The campaign.
    pub campaign: RuleId,
    /// How often it was completed.
    pub completions: u32,
    /// What was done since the last completion, in order of the fulfillments; those with nothing are left out.
    pub progress: Vec<Progress>,
}

/// How far a fulfillment is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The fulfillment.
    pub fulfillment: RuleId,
    /// What counts so far: minor units of what was bought, or purchases with the tag.
    pub so_far: u64,
    /// True once it is met; it stays so until the campaign is completed.
    pub is_met: bool,
}

/// What a customer did, as campaigns see it.
#[derive(Clone, Copy, Debug)]
pub enum Activity<'a> {
    /// Bought something, for so much in all.
    Purchase(&'a Purchase, Amount),
    /// Did something that has a tag.
    Tag(&'a str),
}

/// What one activity does for a campaign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advance {
    /// Each fulfillment that moved, with where it is now.
    pub progress: Vec<Progress>,
    /// True when every fulfillment is met now.
    pub is_completed: bool,
}

/// What there is of the budgets of the campaigns that an activity may complete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Budgets {
    /// A completion of these is reserved.
    pub reserved: Vec<RuleId>,
    /// Of these none is left: the activity does nothing for them.
    pub used_up: Vec<RuleId>,
}

/// Why an activity does nothing for a campaign as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// It comes before the campaign's start.
    NotStarted,
    /// It comes after the campaign's end.
    Ended,
    /// The customer has completed the campaign as often as it may be.
    CompletionsUsed,
    /// All customers together have completed it as often as it may be.
    BudgetUsed,
}

/// What an activity does for one fulfillment of a campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judged {
    /// The fulfillment.
    pub fulfillment: RuleId,
    /// Where it was before, nothing included.
    pub before: Progress,
    /// Where the activity brings it, or why it does not move it.
    pub after: Result<Progress, Unmoved>,
}

/// Why an activity does not move a fulfillment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmoved {
    /// It was met before.
    MetBefore,
    /// What it asks for was not bought.
    NotBought,
    /// Too little was bought at once.
    BelowMinimum {
        /// What was bought.
        bought: Amount,
    },
    /// The activity has not the tag.
    NoTag,
    /// It is gone from the rules, which no applied catalogue allows.
    Gone,
}

impl Judged {
    /// Returns true when the fulfillment is met once the activity is booked.
    #[must_use]
    pub fn is_met(&self) -> bool {
        self.after.map_or(self.before.is_met, |after| after.is_met)
    }
}

impl Campaign {
    /// Returns true when an activity at `at` moves the campaign for some customer. Whoever it moves nothing for, it completes
    /// nothing for.
    #[must_use]
    pub fn may_move(&self, rules: &Catalogue, activity: Activity<'_>, at: Instant) -> bool {
        let moves = |id: &RuleId| rules.fulfillment(*id).is_some_and(|own| own.judge(0, activity).is_ok());
        self.is_open(at).is_ok() && self.fulfillments.iter().any(moves)
    }

    /// Returns true when its budget is used up, once it was completed so often in all.
    #[must_use]
    pub fn is_used_up(&self, completed: u64) -> bool {
        self.budget.is_some_and(|budget| budget <= completed)
    }

    fn is_open(&self, at: Instant) -> Result<(), Closed> {
        if self.starts_at.is_some_and(|starts_at| at < starts_at) {
            return Err(Closed::NotStarted);
        }
        if self.ends_at.is_some_and(|ends_at| ends_at < at) {
            return Err(Closed::Ended);
        }
        Ok(())
    }

    /// Decides what an activity at `at` does for each fulfillment of the campaign.
    ///
    /// # Errors
    ///
    /// The first reason why it does nothing for any.
    pub fn judge<'a>(
        &'a self,
        rules: &'a Catalogue,
        before: Option<&'a CampaignStanding>,
        activity: Activity<'a>,
        at: Instant,
    ) -> Result<impl Iterator<Item = Judged> + 'a, Closed> {
        self.is_open(at)?;
        let completions = before.map_or(0, |before| before.completions);
        if self.completions_max.is_some_and(|max| max <= completions) {
            return Err(Closed::CompletionsUsed);
        }
        let own = move |id: RuleId| before.and_then(|before| before.progress.iter().find(|own| own.fulfillment == id));
        Ok(self.fulfillments.iter().map(move |id| {
            let nothing = Progress { fulfillment: *id, so_far: 0, is_met: false };
            let before = own(*id).copied().unwrap_or(nothing);
            let after = match rules.fulfillment(*id) {
                _ if before.is_met => Err(Unmoved::MetBefore),
                None => Err(Unmoved::Gone),
                Some(fulfillment) => fulfillment.judge(before.so_far, activity),
            };
            Judged { fulfillment: *id, before, after }
        }))
    }

    /// Returns what an activity at `at` does for the campaign; `None` when that is nothing.
    #[must_use]
    pub fn advance(
        &self,
        rules: &Catalogue,
        before: Option<&CampaignStanding>,
        activity: Activity<'_>,
        at: Instant,
    ) -> Option<Advance> {
        let (mut moved, mut is_completed) = (Vec::new(), true);
        for judged in self.judge(rules, before, activity, at).ok()? {
            is_completed &= judged.is_met();
            moved.extend(judged.after.ok());
        }
        (!moved.is_empty()).then_some(Advance { progress: moved, is_completed })
    }
}

impl Fulfillment {
    /// Decides where an activity brings it from `so_far`.
    fn judge(&self, so_far: u64, activity: Activity<'_>) -> Result<Progress, Unmoved> {
        let (so_far, needed) = match (&self.kind, activity) {
            (FulfillmentKind::Buy { .. }, Activity::Tag(_)) => return Err(Unmoved::NotBought),
            (FulfillmentKind::Buy { product, amount_min, is_cumulative }, Activity::Purchase(purchase, amount)) => {
                let is_wanted = |own: &str| product.as_deref().is_none_or(|product| product == own);
                // A line that is there with amount 0 meets a minimum of 0; a product that is not there meets none.
                let is_bought = if purchase.lines.is_empty() {
                    is_wanted(purchase.product.as_deref().unwrap_or(""))
                } else {
                    purchase.lines.iter().any(|line| is_wanted(&line.product))
                };
                if !is_bought {
                    return Err(Unmoved::NotBought);
                }
                let bought = bought_of(purchase, amount, is_wanted);
                if !is_cumulative && bought < *amount_min {
                    return Err(Unmoved::BelowMinimum { bought });
                }
                let bought = bought.minor_units().unsigned_abs();
                (if *is_cumulative { so_far.saturating_add(bought) } else { bought }, self.needed())
            }
            (FulfillmentKind::Tag { tag, .. }, activity) => {
                let has_tag = match activity {
                    Activity::Purchase(purchase, _) => purchase.tags.iter().any(|own| own == tag),
                    Activity::Tag(own) => own == tag,
                };
                if !has_tag {
                    return Err(Unmoved::NoTag);
                }
                (so_far.saturating_add(1), self.needed())
            }
        };
        Ok(Progress { fulfillment: self.id, so_far, is_met: needed <= so_far })
    }

    /// Returns what it asks for: minor units of what is bought, or activities with the tag.
    #[must_use]
    pub fn needed(&self) -> u64 {
        match &self.kind {
            FulfillmentKind::Buy { amount_min, .. } => amount_min.minor_units().unsigned_abs(),
            FulfillmentKind::Tag { count, .. } => u64::from(*count),
        }
    }

    /// Returns true when a purchase that left it met at `so_far` would have met it too with no more than `remains`.
    pub(crate) fn is_met_by_rest(
        &self,
        so_far: u64,
        bought: (&Purchase, Amount),
        remains: (&Purchase, Amount),
    ) -> bool {
        let [bought, remains] = [bought, remains].map(|(purchase, amount)| Activity::Purchase(purchase, amount));
        let own = self.judge(0, bought).map_or(0, |progress| progress.so_far);
        self.judge(so_far.saturating_sub(own), remains).is_ok_and(|progress| progress.is_met)
    }
}
