//! Why a purchase got what it got, and why not the rest: each rule of the version that decided it, with its numbers.

use serde::Serialize;
use utoipa::ToSchema;

use super::instant::{Rfc3339, UuidText};
use super::number::Wide;
use super::promo::PromoBand;
use super::result::TierStep;
use super::risk::RiskRuleFile;

/// What each rule says of a purchase.
#[derive(Serialize, ToSchema)]
pub(crate) struct PurchaseExplanation {
    /// The purchase's id.
    pub(crate) id: UuidText,
    /// The position of its record.
    pub(crate) seq: u64,
    /// The tenant's slug.
    pub(crate) tenant: String,
    /// The slug of the partner that sent it.
    pub(crate) partner: String,
    /// The partner's own id of it.
    pub(crate) origin_id: String,
    /// The instant that the rules saw.
    pub(crate) at: Rfc3339,
    /// What was paid, in minor units.
    pub(crate) amount: i64,
    /// How many pieces.
    pub(crate) quantity: i64,
    /// The currency of the amounts.
    pub(crate) currency: String,
    /// The code that it names; null when it names none. A code of no promo is in none of `promos`.
    #[schema(required)]
    pub(crate) promo_code: Option<String>,
    /// The version of the rules that decided it.
    pub(crate) catalogue_version: u32,
    /// What each promo says.
    pub(crate) promos: Vec<PromoExplained>,
    /// What each tier programme says.
    pub(crate) tiers: Vec<TierExplained>,
    /// What each cashback rule says.
    pub(crate) cashback_rules: Vec<CashbackExplained>,
    /// What each campaign says.
    pub(crate) campaigns: Vec<CampaignExplained>,
    /// What each risk rule says that looks at purchases.
    pub(crate) risk_rules: Vec<RiskExplained>,
}

/// What a risk rule says.
#[derive(Serialize, ToSchema)]
pub(crate) struct RiskExplained {
    /// Its id.
    pub(crate) rule: u32,
    /// The version of the rules.
    pub(crate) version: u32,
    /// How much it found of what it bounds, this purchase among it; null of one with `per`, which looks at more than the
    /// customer's.
    #[schema(required, value_type = Option<i64>)]
    pub(crate) found: Option<Wide>,
    /// True where that is above its bound, or may be, because more lies in its window than is remembered; null where what it found
    /// is.
    #[schema(required)]
    pub(crate) strikes: Option<bool>,
    /// The rule, as the catalogue has it.
    pub(crate) definition: RiskRuleFile,
}

/// What a promo says.
#[derive(Serialize, ToSchema)]
pub(crate) struct PromoExplained {
    /// Its id.
    pub(crate) rule: u32,
    /// Its code.
    pub(crate) code: String,
    /// The version of the rules.
    pub(crate) version: u32,
    /// What it paid, in minor units.
    pub(crate) points: i64,
    /// Why it paid nothing; null when it paid.
    #[schema(required)]
    pub(crate) reason: Option<PromoReason>,
    /// The first instant of its period.
    pub(crate) starts_at: Rfc3339,
    /// The last instant of its period, included.
    pub(crate) ends_at: Rfc3339,
    /// How many purchases it might pay for.
    pub(crate) quota: u64,
    /// How many it had paid for before.
    pub(crate) used_before: u64,
    /// The band that fits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) band: Option<PromoBand>,
    /// What it would have paid, in minor units, had its quota not been used up.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) points_missed: Option<i64>,
    /// Every band, where none fits.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub(crate) bands: Vec<PromoBand>,
}

/// Why a promo paid nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PromoReason {
    /// The purchase does not name it.
    NotNamed,
    /// The purchase is outside of its period.
    OutsidePeriod,
    /// No band is for this quantity and amount.
    NoBand,
    /// The band's share rounds to nothing.
    RoundsToZero,
    /// Its quota was used up.
    QuotaExhausted,
}

/// What a tier programme says.
#[derive(Serialize, ToSchema)]
pub(crate) struct TierExplained {
    /// Its id.
    pub(crate) rule: u32,
    /// The version of the rules.
    pub(crate) version: u32,
    /// The step.
    pub(crate) step: TierStep<'static>,
    /// How the step came about, in a Journey programme.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) journey: Option<JourneyExplained>,
    /// The first level that is not reached yet, in a Threshold programme; not there on the highest.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) next_level: Option<NextLevel>,
}

/// How a step in a Journey programme came about.
#[derive(Serialize, ToSchema)]
pub(crate) struct JourneyExplained {
    /// Whole days since the purchase before, negative of one that came late; null of a first one.
    #[schema(required)]
    pub(crate) gap_days: Option<i64>,
    /// A gap of more days leads down a level.
    pub(crate) downgrade_after_days: u32,
    /// A gap of more days leads to the lowest level.
    pub(crate) reset_after_days: u32,
    /// How many purchases fill the level that the customer stood on; null of a first one.
    #[schema(required)]
    pub(crate) count_max: Option<u32>,
    /// The milestones of the level that the step leads to.
    pub(crate) milestones: Vec<MilestoneExplained>,
}

/// What a milestone says.
#[derive(Serialize, ToSchema)]
pub(crate) struct MilestoneExplained {
    /// Its id.
    pub(crate) rule: u32,
    /// The count that it is for.
    pub(crate) at_count: u32,
    /// What it pays when it is met, in minor units.
    pub(crate) points: i64,
    /// True when it paid.
    pub(crate) paid: bool,
    /// Why it did not pay; null when it did.
    #[schema(required)]
    pub(crate) reason: Option<MilestoneReason>,
}

/// Why a milestone did not pay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MilestoneReason {
    /// A first purchase meets none.
    FirstTransaction,
    /// The highest level was full before.
    Maximum,
    /// The count is another.
    OtherCount,
}

/// A level that is not reached yet.
#[derive(Serialize, ToSchema)]
pub(crate) struct NextLevel {
    /// Its id.
    pub(crate) rule: u32,
    /// The level.
    pub(crate) level: String,
    /// What must have been spent to reach it, in minor units.
    pub(crate) spent_min: i64,
    /// What is missing, in minor units.
    pub(crate) missing: i64,
}

/// What a cashback rule says.
#[derive(Serialize, ToSchema)]
pub(crate) struct CashbackExplained {
    /// Its id.
    pub(crate) rule: u32,
    /// Its name.
    pub(crate) name: String,
    /// The version of the rules.
    pub(crate) version: u32,
    /// The kind of points that it pays.
    pub(crate) kind: String,
    /// How many it paid.
    pub(crate) points: i64,
    /// Why it paid nothing; null when it paid.
    #[schema(required)]
    pub(crate) reason: Option<CashbackReason>,
    /// Its share, a decimal string.
    pub(crate) rate: String,
    /// The products that it is for; none means every product.
    pub(crate) products: Vec<String>,
    /// The slug of the partner that it is for; null means every partner.
    #[schema(required)]
    pub(crate) partner: Option<String>,
    /// The last instant at which it pays, included; null means that it has no end.
    #[schema(required)]
    pub(crate) ends_at: Option<Rfc3339>,
    /// What was bought of its products, in minor units.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) bought: Option<i64>,
    /// The share of it before it was rounded, a decimal string.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) exact_share: Option<String>,
}

/// Why a cashback rule paid nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CashbackReason {
    /// It is switched off.
    Inactive,
    /// The purchase comes after its end.
    Ended,
    /// It is for the purchases of another partner.
    OtherPartner,
    /// Nothing was bought of its products, or for nothing.
    NothingBought,
    /// Its share rounds to nothing.
    RoundsToZero,
}

/// What a campaign says.
#[derive(Serialize, ToSchema)]
pub(crate) struct CampaignExplained {
    /// Its id.
    pub(crate) rule: u32,
    /// Its name.
    pub(crate) name: String,
    /// The version of the rules.
    pub(crate) version: u32,
    /// True when the purchase completed it.
    pub(crate) completed: bool,
    /// Why it is not completed; null when it is.
    #[schema(required)]
    pub(crate) reason: Option<CampaignReason>,
    /// The first instant of its period; null means that it has no start.
    #[schema(required)]
    pub(crate) starts_at: Option<Rfc3339>,
    /// The last instant of its period, included; null means that it has no end.
    #[schema(required)]
    pub(crate) ends_at: Option<Rfc3339>,
    /// How often the customer had completed it before.
    pub(crate) completions_before: u32,
    /// How often a customer may complete it; null means that there is no limit.
    #[schema(required)]
    pub(crate) completions_max: Option<u32>,
    /// How often all customers together may complete it; not there without a limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) budget: Option<u64>,
    /// What it asks for; none where the reason is of the campaign as a whole.
    pub(crate) fulfillments: Vec<FulfillmentExplained>,
    /// What it pays once it is completed.
    pub(crate) rewards: Vec<RewardExplained>,
}

/// Why a purchase did not complete a campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CampaignReason {
    /// The purchase comes before its start.
    NotStarted,
    /// The purchase comes after its end.
    Ended,
    /// The customer had completed it as often as it may be.
    CompletionsUsed,
    /// All customers together had completed it as often as it may be.
    BudgetUsed,
    /// Not all that it asks for is met.
    Unmet,
}

/// What a fulfillment says.
#[derive(Serialize, ToSchema)]
pub(crate) struct FulfillmentExplained {
    /// Its id.
    pub(crate) rule: u32,
    /// Its name.
    pub(crate) name: String,
    /// What it asks for: minor units of what is bought, or purchases with the tag.
    pub(crate) needed: u64,
    /// What counted before, of the same.
    pub(crate) so_far_before: u64,
    /// What counts now.
    pub(crate) so_far: u64,
    /// True when it is met.
    pub(crate) met: bool,
    /// Why the purchase did not move it; null when it did.
    #[schema(required)]
    pub(crate) reason: Option<FulfillmentReason>,
    /// What was bought, where that was too little at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) bought: Option<i64>,
}

/// Why a purchase did not move a fulfillment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FulfillmentReason {
    /// It was met before.
    MetBefore,
    /// What it asks for was not bought.
    NotBought,
    /// Too little was bought at once.
    BelowMinimum,
    /// The purchase has not the tag.
    NoTag,
    /// It is gone from the rules.
    Gone,
}

/// What a reward says.
#[derive(Serialize, ToSchema)]
pub(crate) struct RewardExplained {
    /// Its id.
    pub(crate) rule: u32,
    /// Its name.
    pub(crate) name: String,
    /// The kind of points, of a reward in points.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) kind: Option<String>,
    /// How many points, of a reward in points.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) points: Option<i64>,
    /// How much money, in minor units, of a reward in money.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) wallet_credit: Option<i64>,
    /// True when it was paid: the campaign was completed.
    pub(crate) paid: bool,
}
