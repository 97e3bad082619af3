//! The desk's part in campaigns: which of their budgets an activity may use.
//!
//! Only the row knows whether an activity completes a campaign, so a completion of each that it may complete is reserved
//! before the row is asked. What it does not use is free again before the next activity is decided.

use super::{Desk, Reservations};
use crate::campaign::{Activity, Budgets};
use crate::catalogue::Catalogue;
use crate::quantity::Instant;

/// Says what there is of the budgets, or `None` while that hangs on reservations that are still open: only completions that
/// are settled use a budget up.
pub(super) fn budgets(
    desk: &Desk,
    open: &Reservations,
    rules: &Catalogue,
    (activity, at): (Activity<'_>, Instant),
    dry_run: bool,
) -> Option<Budgets> {
    let mut budgets = Budgets::default();
    for campaign in &rules.campaigns {
        let Some(budget) = campaign.budget.filter(|_| campaign.may_move(rules, activity, at)) else { continue };
        let completed = desk.completions(rules.tenant, campaign.id);
        if campaign.is_used_up(completed) {
            budgets.used_up.push(campaign.id);
        } else if budget - completed <= open.campaign(rules.tenant, campaign.id) && !dry_run {
            return None;
        } else {
            budgets.reserved.push(campaign.id);
        }
    }
    Some(budgets)
}
