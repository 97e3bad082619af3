//! A promo as it is shown: what it pays, and how much of its quota is left.

use serde::Serialize;
use utoipa::ToSchema;

use super::catalogue::Money;
use super::instant::Rfc3339;

/// A tenant's promos.
#[derive(Serialize, ToSchema)]
pub(crate) struct PromoList {
    /// The promos, in the order of the rules.
    pub(crate) data: Vec<Promo>,
    /// Always null: the list is whole.
    #[schema(value_type = Option<String>, required)]
    pub(crate) next_cursor: (),
    /// The position that this is the state of.
    pub(crate) as_of: u64,
}

/// A promo, and as of when.
#[derive(Serialize, ToSchema)]
pub(crate) struct PromoReply {
    #[serde(flatten)]
    pub(crate) promo: Promo,
    /// The version of the rules.
    pub(crate) version: u32,
    /// The position that this is the state of.
    pub(crate) as_of: u64,
}

/// A promo.
#[derive(Serialize, ToSchema)]
pub(crate) struct Promo {
    /// Its id.
    pub(crate) id: u32,
    /// The code that a purchase names.
    pub(crate) code: String,
    /// The currency of its amounts.
    pub(crate) currency: String,
    /// How many purchases it may pay for.
    pub(crate) quota: u64,
    /// How many it paid for.
    pub(crate) used: u64,
    /// How many are being decided.
    pub(crate) reserved: u64,
    /// How many are left.
    pub(crate) remaining: u64,
    /// The first instant of its period.
    pub(crate) starts_at: Rfc3339,
    /// The last instant of its period, included.
    pub(crate) ends_at: Rfc3339,
    /// The slug of the partner that pays; null means the one that sent the purchase.
    #[schema(required)]
    pub(crate) funded_by: Option<String>,
    /// What it pays.
    pub(crate) bands: Vec<PromoBand>,
}

/// A band of a promo, with its id.
#[derive(Serialize, ToSchema)]
pub(crate) struct PromoBand {
    /// Its id.
    pub(crate) id: u32,
    /// The quantity that it is for.
    pub(crate) quantity: u32,
    /// True when larger quantities count too.
    pub(crate) or_more: bool,
    /// The smallest amount, included.
    pub(crate) amount_min: Money,
    /// The first amount that is too large; not there when there is no end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) amount_end: Option<Money>,
    /// The share, a decimal string.
    pub(crate) percent: String,
}
