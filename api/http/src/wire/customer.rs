//! A customer now: who it is, where it stands, what is in its wallets.

use serde::Serialize;
use utoipa::ToSchema;

use super::instant::{Rfc3339, UuidText};

/// A customer.
#[derive(Serialize, ToSchema)]
pub(crate) struct Customer {
    /// The customer's id.
    pub(crate) id: UuidText,
    /// The tenant's slug.
    pub(crate) tenant: String,
    /// How many purchases are booked.
    pub(crate) purchases: u64,
    /// The currency of `balance`.
    pub(crate) currency: String,
    /// How many decimals an amount in it has.
    pub(crate) currency_exponent: u8,
    /// What is in the wallet that cashback goes to, in minor units.
    pub(crate) balance: i64,
    /// What of it can be taken out: not what is held.
    pub(crate) available: i64,
    /// Where the customer stands in each programme.
    pub(crate) tiers: Vec<CustomerTier>,
    /// What is in the point accounts.
    pub(crate) points: Vec<PointHolding>,
    /// Where the customer stands in each campaign.
    pub(crate) campaigns: Vec<CampaignState>,
    /// The position of the customer's last record.
    pub(crate) last_seq: u64,
    /// The position that this is the state of.
    pub(crate) as_of: u64,
    /// The e-mail address that names the customer, for operators only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) email: Option<String>,
    /// The tenant's own reference of the customer, for operators only.
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) reference: Option<String>,
    /// True once nothing says any more who the customer is.
    pub(crate) erased: bool,
}

/// Some of a tenant's customers.
#[derive(Serialize, ToSchema)]
pub(crate) struct CustomerPage {
    /// The customers, in order of their ids.
    pub(crate) data: Vec<Customer>,
    /// Where the next page starts; null on the last.
    #[schema(required)]
    pub(crate) next_cursor: Option<String>,
}

/// Where a customer stands in a programme.
#[derive(Serialize, ToSchema)]
pub(crate) struct CustomerTier {
    /// The programme.
    pub(crate) program: String,
    /// The level.
    pub(crate) level: String,
    /// Purchases within the level, in a Journey programme.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) count: Option<u32>,
    /// All that was ever spent, in minor units, in a Threshold programme.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) spent: Option<i64>,
}

/// What a customer holds of a kind of points.
#[derive(Serialize, ToSchema)]
pub(crate) struct PointHolding {
    /// The kind.
    pub(crate) kind: String,
    /// How many points there are.
    pub(crate) balance: i64,
    /// How many of them can be spent; the others are pending.
    pub(crate) available: i64,
    /// How many of them expire within as many days as was asked, if they are not spent; not there where nobody asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) expiring: Option<i64>,
    /// What it is made of, in the order in which it is spent: the soonest expiry first.
    pub(crate) lots: Vec<PointLot>,
}

/// Points of one rule that can be spent, and expire, together.
#[derive(Serialize, ToSchema)]
pub(crate) struct PointLot {
    /// The rule that granted them.
    pub(crate) source: String,
    /// From when they can be spent; not there where they could be at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) matures_at: Option<Rfc3339>,
    /// When they expire; null for never.
    #[schema(required)]
    pub(crate) expires_at: Option<Rfc3339>,
    /// How many there are left.
    pub(crate) points: i64,
}

/// Where a customer stands in a campaign.
#[derive(Serialize, ToSchema)]
pub(crate) struct CampaignState {
    /// The campaign.
    pub(crate) campaign: String,
    /// How often it was completed.
    pub(crate) completions: u32,
    /// What was done since the last completion.
    pub(crate) progress: Vec<FulfillmentState>,
}

/// How far a fulfillment is met.
#[derive(Serialize, ToSchema)]
pub(crate) struct FulfillmentState {
    /// The fulfillment.
    pub(crate) fulfillment: String,
    /// What counts so far: minor units, or purchases with the tag.
    pub(crate) so_far: u64,
    /// True once it is met.
    pub(crate) met: bool,
}

/// A customer's wallets.
#[derive(Serialize, ToSchema)]
pub(crate) struct WalletList {
    /// The customer's id.
    pub(crate) customer: UuidText,
    /// The wallets.
    pub(crate) data: Vec<Wallet>,
    /// The position that this is the state of.
    pub(crate) as_of: u64,
}

/// A wallet.
#[derive(Serialize, ToSchema)]
pub(crate) struct Wallet {
    /// Its number.
    pub(crate) wallet: u16,
    /// What its owner calls it, for operators only; not there if it has no name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) name: Option<String>,
    /// `active`, `frozen` or `closed`.
    pub(crate) status: &'static str,
    /// The currency of `balance`.
    pub(crate) currency: String,
    /// How much is in it, in minor units.
    pub(crate) balance: i64,
    /// How much of it is held for partners.
    pub(crate) held: i64,
    /// How much can be taken out: `balance` less `held`, never less than zero.
    pub(crate) available: i64,
}
