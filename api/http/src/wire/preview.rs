//! What a change of the rules would do to customers as they stand: part of the answer to a dry run.

use serde::Serialize;
use utoipa::ToSchema;

use super::catalogue::Money;
use super::instant::UuidText;
use super::number::Wide;

/// What a change would do to customers as they stand. Purchases go on while they are counted: each customer is looked at
/// once, at a position from `as_of_first` to `as_of`.
#[derive(Serialize, ToSchema)]
pub(crate) struct OutcomePreview {
    /// How many customers were looked at.
    pub(crate) customers: u64,
    /// Who would stand elsewhere in a tier programme.
    pub(crate) tier_moves: Vec<PreviewMove>,
    /// Promos whose quota would be used up by what they paid for already.
    pub(crate) promos: Vec<PromoSpent>,
    /// Cashback rules that would pay no more.
    pub(crate) cashback_rules: Vec<CashbackStop>,
    /// Campaigns that would move no more.
    pub(crate) campaigns: Vec<CampaignStop>,
    /// The position at which the first customers were looked at.
    pub(crate) as_of_first: u64,
    /// The position at which the last customers were looked at.
    pub(crate) as_of: u64,
}

/// Customers who would stand elsewhere.
#[derive(Serialize, ToSchema)]
pub(crate) struct PreviewMove {
    /// The programme.
    pub(crate) program: String,
    /// When they move.
    pub(crate) when: WhenMoved,
    /// The level that they are shown at now.
    pub(crate) from: String,
    /// The level that the new rules would give them.
    pub(crate) to: String,
    /// Of `next_bound`: the sum whose crossing moves them, in minor units.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) bound: Option<Money>,
    /// Of `next_bound`: the level of that bound, on which they stand then.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) bound_level: Option<String>,
    /// How many.
    pub(crate) customers: u64,
    /// Some of them.
    pub(crate) examples: Vec<UuidText>,
}

/// When customers move.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WhenMoved {
    /// With the change: they are shown at `to` from then on.
    AtOnce,
    /// With their next purchase, if it came now.
    NextPurchase,
    /// With the purchase that takes what they spent across `bound`; then they stand on `bound_level`, not on `to`.
    NextBound,
    /// Not by this change: they keep `from`; somebody new who spends as much would stand on `to`.
    Never,
}

/// A promo without a unit left.
#[derive(Serialize, ToSchema)]
pub(crate) struct PromoSpent {
    /// Its code.
    pub(crate) code: String,
    /// How many purchases it may pay for now.
    pub(crate) quota_before: u64,
    /// How many it could pay for then.
    pub(crate) quota: u64,
    /// How many it paid for.
    pub(crate) used: u64,
}

/// Why a rule stops.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WhyStopped {
    /// It is not there any more. One that comes back under its name starts with nothing.
    Removed,
    /// It does nothing now: switched off, or outside of its period.
    Off,
}

/// A cashback rule that pays no more. Points that it granted stay.
#[derive(Serialize, ToSchema)]
pub(crate) struct CashbackStop {
    /// Its name.
    pub(crate) name: String,
    /// Why.
    pub(crate) why: WhyStopped,
    /// How many customers hold points of it.
    pub(crate) customers: u64,
    /// How many points they hold of it.
    pub(crate) points: Wide,
    /// Some of them.
    pub(crate) examples: Vec<UuidText>,
}

/// A campaign that moves no more.
#[derive(Serialize, ToSchema)]
pub(crate) struct CampaignStop {
    /// Its name.
    pub(crate) name: String,
    /// Why.
    pub(crate) why: WhyStopped,
    /// How many customers have progress with it, which leads to nothing then.
    pub(crate) customers: u64,
    /// How many customers completed it at least once.
    pub(crate) completed: u64,
    /// Some of those with progress.
    pub(crate) examples: Vec<UuidText>,
}
