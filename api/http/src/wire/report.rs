//! The sums of a tenant: the summary and the trial balance.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::catalogue::PolicyFile;
use super::number::Wide;

/// The sums of a tenant.
#[derive(Serialize, ToSchema)]
pub(crate) struct Summary {
    /// Purchases that are booked.
    pub(crate) accepted: u64,
    /// Purchases that are refused and were not corrected, by problem code.
    pub(crate) rejected: BTreeMap<&'static str, u64>,
    /// The sum of the booked amounts.
    pub(crate) amount: Wide,
    /// What promos paid.
    pub(crate) point_transaction: Wide,
    /// What milestones paid.
    pub(crate) point_loyalty: Wide,
    /// Both.
    pub(crate) point_total: Wide,
    /// Customers.
    pub(crate) customers: u64,
    /// Each promo's part.
    pub(crate) promos: Vec<PromoSum>,
    /// Steps in tier programmes, by remark.
    pub(crate) remarks: BTreeMap<&'static str, u64>,
    /// Customers, by level of the Journey programmes. A name that several of them have stands behind its programme's.
    pub(crate) tiers: BTreeMap<String, u64>,
    /// Each tier programme's customers.
    pub(crate) programs: Vec<ProgramSum>,
    /// What each cashback rule granted.
    pub(crate) cashback_rules: Vec<RuleSum>,
    /// How often each campaign was completed.
    pub(crate) campaigns: Vec<CampaignSum>,
    /// What rewards granted.
    pub(crate) rewards: RewardSums,
    /// What was refunded and clawed back; not there where nothing was. The sums above are what was earned at first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) refunds: Option<RefundSums>,
    /// The currency of the amounts.
    pub(crate) currency: String,
    /// The position that this is the state of.
    pub(crate) as_of: u64,
}

/// A promo's part in the sums.
#[derive(Serialize, ToSchema)]
pub(crate) struct PromoSum {
    /// The code that a purchase names.
    pub(crate) code: String,
    /// How many purchases it may pay for.
    pub(crate) quota: u64,
    /// How many it paid for.
    pub(crate) used: u64,
    /// How many are being decided.
    pub(crate) reserved: u64,
    /// How many are left.
    pub(crate) remaining: u64,
    /// How many it would have paid for, had its quota not been used up.
    pub(crate) declined_exhausted: u64,
}

/// A tier programme's customers.
#[derive(Serialize, ToSchema)]
pub(crate) struct ProgramSum {
    /// Its name.
    pub(crate) program: String,
    /// `journey` or `threshold`.
    pub(crate) policy: PolicyFile,
    /// Customers, by level, the lowest first.
    pub(crate) levels: Vec<LevelSum>,
    /// Customers whose level was removed and who are counted nowhere yet; not there once all of them are placed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) to_be_placed: Option<u64>,
}

/// A level's customers.
#[derive(Serialize, ToSchema)]
pub(crate) struct LevelSum {
    /// Its name.
    pub(crate) level: String,
    /// How many stand on it.
    pub(crate) customers: u64,
}

/// What a rule granted.
#[derive(Serialize, ToSchema)]
pub(crate) struct RuleSum {
    /// Its name.
    pub(crate) name: String,
    /// The kind of points; not there of a reward in money.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) kind: Option<String>,
    /// How often.
    pub(crate) grants: u64,
    /// How much in all: points, or minor units of a reward in money.
    pub(crate) sum: Wide,
}

/// How often a campaign was completed.
#[derive(Serialize, ToSchema)]
pub(crate) struct CampaignSum {
    /// Its name.
    pub(crate) name: String,
    /// How often.
    pub(crate) completions: u64,
    /// How often it may be completed in all; not there without a limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) budget: Option<u64>,
}

/// What rewards granted.
#[derive(Serialize, ToSchema)]
pub(crate) struct RewardSums {
    /// Points of every kind.
    pub(crate) points: Wide,
    /// Money, in minor units.
    pub(crate) wallet_credit: Wide,
    /// Customers who got a reward at least once.
    pub(crate) customers: u64,
    /// Each reward's part.
    pub(crate) by_reward: Vec<RuleSum>,
}

/// What was refunded and clawed back.
#[derive(Serialize, ToSchema)]
pub(crate) struct RefundSums {
    /// How many refunds.
    pub(crate) count: u64,
    /// The sum of the refunded amounts.
    pub(crate) amount: Wide,
    /// What promos had paid.
    pub(crate) point_transaction: Wide,
    /// What milestones had paid.
    pub(crate) point_loyalty: Wide,
    /// Units of promos' quotas that were returned.
    pub(crate) units_returned: u64,
    /// What cashback rules had granted, of those of which something was clawed back.
    pub(crate) cashback_rules: Vec<BackSum>,
    /// What rewards had granted, of those of which something was clawed back.
    pub(crate) rewards: Vec<BackSum>,
    /// What wallets had too little of, in minor units: the house's.
    pub(crate) shortfall: Wide,
}

/// What was clawed back of a rule.
#[derive(Serialize, ToSchema)]
pub(crate) struct BackSum {
    /// Its name.
    pub(crate) name: String,
    /// How much: points, or minor units of a reward in money.
    pub(crate) sum: Wide,
}

/// Debits and credits of every account.
#[derive(Serialize, ToSchema)]
pub(crate) struct TrialBalance {
    /// The accounts.
    pub(crate) accounts: Vec<Account>,
    /// Debits less credits by unit: always 0.
    pub(crate) totals: Vec<UnitTotal>,
    /// The position that this is the state of.
    pub(crate) as_of: u64,
}

/// An account.
#[derive(Serialize, ToSchema)]
pub(crate) struct Account {
    /// Its name.
    pub(crate) account: String,
    /// What it counts.
    pub(crate) unit: String,
    /// What it has more debited than credited.
    pub(crate) debit: Wide,
    /// What it has more credited than debited.
    pub(crate) credit: Wide,
}

/// The difference of all debits and credits in one unit.
#[derive(Serialize, ToSchema)]
pub(crate) struct UnitTotal {
    /// What is counted.
    pub(crate) unit: String,
    /// The difference.
    pub(crate) total: Wide,
}
