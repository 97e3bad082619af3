//! What points may be spent on, with what is left of it.

use serde::Serialize;
use utoipa::ToSchema;

use super::instant::Rfc3339;

/// A tenant's offers.
#[derive(Serialize, ToSchema)]
pub(crate) struct OfferList {
    /// The offers, in order of their ids.
    pub(crate) data: Vec<Offer>,
    /// Null: all of them are here.
    #[schema(required)]
    pub(crate) next_cursor: (),
    /// The version of the catalogue that they are of.
    pub(crate) version: u32,
    /// The position that this is the state of.
    pub(crate) as_of: u64,
}

/// An offer.
#[derive(Serialize, ToSchema)]
pub(crate) struct Offer {
    /// Its id.
    pub(crate) id: u32,
    /// Its name.
    pub(crate) name: String,
    /// The kind of points that it costs.
    pub(crate) kind: String,
    /// How many points one unit costs.
    pub(crate) points: i64,
    /// What one unit credits to the wallet, in minor units; null of a thing that the tenant hands out.
    #[schema(required)]
    pub(crate) wallet_credit: Option<i64>,
    /// The tenant's currency.
    pub(crate) currency: String,
    /// How many units there are in all; null without end.
    #[schema(required)]
    pub(crate) stock: Option<u64>,
    /// How many units are redeemed.
    pub(crate) redeemed: u64,
    /// How many are left; null without end.
    #[schema(required)]
    pub(crate) remaining: Option<u64>,
    /// False while it cannot be redeemed.
    pub(crate) active: bool,
    /// The first instant of its period; null without a start.
    #[schema(required)]
    pub(crate) starts_at: Option<Rfc3339>,
    /// The last instant of its period, included; null without an end.
    #[schema(required)]
    pub(crate) ends_at: Option<Rfc3339>,
}
