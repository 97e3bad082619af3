//! What if: how far a run is, and what it came to.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::catalogue::PolicyFile;
use super::instant::{Rfc3339, UuidText};
use super::number::Wide;

/// A line of the answer: some of the progress, and the report as the last one.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WhatIfLine {
    /// It goes on.
    Progress(WhatIfProgress),
    /// It is done.
    Report(Box<WhatIfReport>),
}

/// How far a run is.
#[derive(Serialize, ToSchema)]
pub(crate) struct WhatIfProgress {
    /// The position that it has reached.
    pub(crate) reached: u64,
    /// The position where it ends.
    pub(crate) to: u64,
    /// Purchases that were decided again so far.
    pub(crate) purchases: u64,
}

/// What recorded purchases would have come to under other rules, beside what they came to.
#[derive(Serialize, ToSchema)]
pub(crate) struct WhatIfReport {
    /// The tenant's slug.
    pub(crate) tenant: String,
    /// The currency of the amounts.
    pub(crate) currency: String,
    /// The first position that was decided again.
    pub(crate) from: u64,
    /// The last one.
    pub(crate) to: u64,
    /// Purchases that were decided again.
    pub(crate) purchases: u64,
    /// How long it took, in microseconds.
    pub(crate) elapsed_us: u64,
    /// Purchases that were decided again, a second.
    pub(crate) purchases_per_second: u64,
    /// True when nothing differs.
    pub(crate) same: bool,
    /// Purchases that the rules asked about refuse, by problem code.
    pub(crate) refused: BTreeMap<&'static str, u64>,
    /// Operations that were asked again: activities, deposits, adjustments, wallets, levels moved by hand.
    pub(crate) operations: u64,
    /// Operations that are refused under the rules asked about, by problem code.
    pub(crate) refused_operations: BTreeMap<&'static str, u64>,
    /// Records of the range that were not decided again.
    pub(crate) left_out: WhatIfLeftOut,
    /// The sums of the range.
    pub(crate) sums: WhatIfSums,
    /// Each promo's part.
    pub(crate) promos: Vec<WhatIfPromo>,
    /// Each cashback rule's part.
    pub(crate) cashback_rules: Vec<WhatIfRule>,
    /// How often each campaign was completed.
    pub(crate) campaigns: Vec<WhatIfCampaign>,
    /// Each reward's part.
    pub(crate) rewards: Vec<WhatIfRule>,
    /// Each tier programme: the customers of its levels at the end of the range, and the steps within it.
    pub(crate) programs: Vec<WhatIfProgram>,
    /// What it costs, by the account of the house that pays.
    pub(crate) costs: Vec<WhatIfCost>,
    /// Who would have got more or less, in each unit in which somebody would.
    pub(crate) people: Vec<WhatIfPeople>,
}

/// Records of the range that were not decided again.
#[derive(Serialize, ToSchema)]
pub(crate) struct WhatIfLeftOut {
    /// Receipts of refused purchases: what was bought is not kept, so nobody can decide it again.
    pub(crate) refused_purchases: u64,
    /// Receipts of refused operations: whoever is refused asks otherwise, and nobody knows what.
    pub(crate) refused_operations: u64,
    /// Changes of the rules: those asked about hold instead.
    pub(crate) catalogue_changes: u64,
    /// Everything else that happened.
    pub(crate) other_records: u64,
}

/// A number as it was and as it would have been.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[schema(as = WhatIfFigure)]
pub(crate) struct Figure {
    /// As it was.
    pub(crate) before: Wide,
    /// As it would have been.
    pub(crate) after: Wide,
    /// What it would have been more.
    pub(crate) difference: Wide,
}

impl Figure {
    pub(crate) fn of(before: impl Into<i128>, after: impl Into<i128>) -> Figure {
        let (before, after) = (before.into(), after.into());
        Figure { before: Wide(before), after: Wide(after), difference: Wide(after - before) }
    }
}

/// The sums of the range.
#[derive(Serialize, ToSchema)]
pub(crate) struct WhatIfSums {
    /// Purchases that are booked.
    pub(crate) accepted: Figure,
    /// The sum of the booked amounts.
    pub(crate) amount: Figure,
    /// What promos paid.
    pub(crate) point_transaction: Figure,
    /// What milestones paid.
    pub(crate) point_loyalty: Figure,
    /// Both.
    pub(crate) point_total: Figure,
    /// What rewards paid in points of every kind.
    pub(crate) reward_points: Figure,
    /// What rewards paid in money.
    pub(crate) reward_credit: Figure,
    /// Customers who completed a campaign for the first time.
    pub(crate) rewarded_customers: Figure,
    /// Customers at the end of the range.
    pub(crate) customers: Figure,
}

/// A promo's part.
#[derive(Serialize, ToSchema)]
pub(crate) struct WhatIfPromo {
    /// The code that a purchase names.
    pub(crate) code: String,
    /// How many purchases it may pay for.
    pub(crate) quota: WhatIfQuota,
    /// How many it paid for.
    pub(crate) granted: Figure,
    /// What it paid.
    pub(crate) points: Figure,
    /// How many it would have paid for, had its quota not been used up.
    pub(crate) declined_exhausted: Figure,
    /// Where its quota ran out.
    pub(crate) ran_out: WhatIfRanOut,
}

/// A quota; null where there is no such promo.
#[derive(Serialize, ToSchema)]
pub(crate) struct WhatIfQuota {
    /// As it was at the end of the range.
    #[schema(required)]
    pub(crate) before: Option<u64>,
    /// As it would have been.
    #[schema(required)]
    pub(crate) after: Option<u64>,
}

/// Where a quota ran out; null where something was left at the end of the range.
#[derive(Serialize, ToSchema)]
pub(crate) struct WhatIfRanOut {
    /// Where it did.
    #[schema(required)]
    pub(crate) before: Option<Place>,
    /// Where it would have.
    #[schema(required)]
    pub(crate) after: Option<Place>,
}

/// A place in the journal.
#[derive(Serialize, ToSchema)]
#[schema(as = WhatIfPlace)]
pub(crate) struct Place {
    /// The position.
    pub(crate) seq: u64,
    /// The instant that the rules saw there.
    pub(crate) at: Rfc3339,
}

/// The part of a cashback rule or a reward.
#[derive(Serialize, ToSchema)]
pub(crate) struct WhatIfRule {
    /// Its name.
    pub(crate) name: String,
    /// The kind of points; not there of a reward in money.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) kind: Option<String>,
    /// How often it paid.
    pub(crate) grants: Figure,
    /// What it paid: points, or minor units of a reward in money.
    pub(crate) sum: Figure,
}

/// How often a campaign was completed.
#[derive(Serialize, ToSchema)]
pub(crate) struct WhatIfCampaign {
    /// Its name.
    pub(crate) name: String,
    /// How often.
    pub(crate) completions: Figure,
}

/// A tier programme.
#[derive(Serialize, ToSchema)]
pub(crate) struct WhatIfProgram {
    /// Its name.
    pub(crate) program: String,
    /// `journey` or `threshold`.
    pub(crate) policy: PolicyFile,
    /// Customers by level, the lowest first.
    pub(crate) levels: Vec<WhatIfLevel>,
    /// Steps by remark; those that nobody made are left out.
    pub(crate) remarks: BTreeMap<&'static str, Figure>,
}

/// A level's customers.
#[derive(Serialize, ToSchema)]
pub(crate) struct WhatIfLevel {
    /// Its name.
    pub(crate) level: String,
    /// How many stand on it at the end of the range.
    pub(crate) customers: Figure,
}

/// What an account of the house pays.
#[derive(Serialize, ToSchema)]
pub(crate) struct WhatIfCost {
    /// Its name; a partner's promos are `promo_expense/` and the partner's slug.
    pub(crate) account: String,
    /// What it counts.
    pub(crate) unit: String,
    /// How much.
    pub(crate) sum: Figure,
}

/// Who would have got more or less of a unit.
#[derive(Serialize, ToSchema)]
pub(crate) struct WhatIfPeople {
    /// The unit.
    pub(crate) unit: String,
    /// Those who would have got more.
    pub(crate) winners: WhatIfSide,
    /// Those who would have got less.
    pub(crate) losers: WhatIfSide,
}

/// The customers of one side.
#[derive(Serialize, ToSchema)]
pub(crate) struct WhatIfSide {
    /// How many.
    pub(crate) customers: u64,
    /// What they would have got more; negative for losers.
    pub(crate) sum: Wide,
    /// Those with the largest differences, the largest first.
    pub(crate) largest: Vec<WhatIfCustomer>,
}

/// A customer's difference.
#[derive(Serialize, ToSchema)]
pub(crate) struct WhatIfCustomer {
    /// The customer's id.
    pub(crate) customer: UuidText,
    /// What the customer would have got more.
    pub(crate) difference: Wide,
}
