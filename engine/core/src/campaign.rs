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

impl Campaign {
    /// Returns what an activity at `at` does for the campaign; `None` when that is nothing.
    #[must_use]
    pub fn advance(
        &self,
        rules: &Catalogue,
        before: Option<&CampaignStanding>,
        activity: &Activity<'_>,
        at: Instant,
    ) -> Option<Advance> {
        let is_early = self.starts_at.is_some_and(|starts_at| at < starts_at);
        let is_late = self.ends_at.is_some_and(|ends_at| ends_at < at);
        let completions = before.map_or(0, |before| before.completions);
        if is_early || is_late || self.completions_max.is_some_and(|max| max <= completions) {
            return None;
        }
        let own = |id: RuleId| before.and_then(|before| before.progress.iter().find(|own| own.fulfillment == id));
        let (mut moved, mut is_completed) = (Vec::new(), true);
        for id in &self.fulfillments {
            let was_met = own(*id).is_some_and(|own| own.is_met);
            let advanced = rules
                .fulfillment(*id)
                .filter(|_| !was_met)
                .and_then(|fulfillment| fulfillment.advance(own(*id).map_or(0, |own| own.so_far), activity));
            is_completed &= was_met || advanced.is_some_and(|advanced| advanced.is_met);
            moved.extend(advanced);
        }
        (!moved.is_empty()).then_some(Advance { progress: moved, is_completed })
    }
}

impl Fulfillment {
    /// Returns where an activity brings it from `so_far`; `None` when it does not move it.
    fn advance(&self, so_far: u64, activity: &Activity<'_>) -> Option<Progress> {
        let (so_far, needed) = match (&self.kind, *activity) {
            (FulfillmentKind::Buy { .. }, Activity::Tag(_)) => return None,
            (FulfillmentKind::Buy { product, amount_min, is_cumulative }, Activity::Purchase(purchase, amount)) => {
                let is_wanted = |own: &str| product.as_deref().is_none_or(|product| product == own);
                // A line that is there with amount 0 meets a minimum of 0; a product that is not there meets none.
                let is_bought = if purchase.lines.is_empty() {
                    is_wanted(purchase.product.as_deref().unwrap_or(""))
                } else {
                    purchase.lines.iter().any(|line| is_wanted(&line.product))
                };
                if !is_bought {
                    return None;
                }
                let bought = bought_of(purchase, amount, is_wanted).minor_units().unsigned_abs();
                let needed = amount_min.minor_units().unsigned_abs();
                if !is_cumulative && bought < needed {
                    return None;
                }
                (if *is_cumulative { so_far.saturating_add(bought) } else { bought }, needed)
            }
            (FulfillmentKind::Tag { tag, count }, activity) => {
                let has_tag = match activity {
                    Activity::Purchase(purchase, _) => purchase.tags.iter().any(|own| own == tag),
                    Activity::Tag(own) => own == tag,
                };
                if !has_tag {
                    return None;
                }
                (so_far.saturating_add(1), u64::from(*count))
            }
        };
        Some(Progress { fulfillment: self.id, so_far, is_met: needed <= so_far })
    }
}
