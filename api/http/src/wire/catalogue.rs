//! The catalogue as people write it: one shape for the TOML file and for JSON.
//!
//! Nothing is resolved here and no id is given; unknown fields are refused, so that a slip of the pen is no silent
//! change. Every struct here is read from an object: a derive alone would read it from an array too, by position, and
//! an array has no names that could be misspelled. How this becomes a draft: [`CatalogueFile::to_draft`].

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::document::{object, object_if_any, objects};
use super::number::{Whole, whole_schema};
use super::risk::RiskRuleFile;

/// The rules of one tenant.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CatalogueFile {
    /// The tenant itself.
    #[serde(deserialize_with = "object")]
    pub tenant: TenantFile,
    /// Who sends purchases.
    #[serde(default, deserialize_with = "objects")]
    pub partners: Vec<PartnerFile>,
    /// The promos.
    #[serde(default, deserialize_with = "objects")]
    pub promos: Vec<PromoFile>,
    /// The tier programmes.
    #[serde(default, deserialize_with = "objects")]
    pub tier_programs: Vec<TierProgramFile>,
    /// The names of the kinds of points that rules pay in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub point_kinds: Vec<String>,
    /// The cashback rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "objects")]
    pub cashback_rules: Vec<CashbackRuleFile>,
    /// What campaigns ask for.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "objects")]
    pub fulfillments: Vec<FulfillmentFile>,
    /// What campaigns pay.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "objects")]
    pub rewards: Vec<RewardFile>,
    /// The campaigns.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "objects")]
    pub campaigns: Vec<CampaignFile>,
    /// What points may be spent on.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "objects")]
    pub offers: Vec<OfferFile>,
    /// What a refund does beside taking back what was earned.
    #[serde(default, skip_serializing_if = "RefundsFile::is_default", deserialize_with = "object")]
    pub refunds: RefundsFile,
    /// What is looked at before money moves.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "objects")]
    pub risk_rules: Vec<RiskRuleFile>,
}

/// What a refund does beside taking back what was earned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefundsFile {
    /// To the customer's level in Threshold programmes.
    #[serde(default)]
    pub tier: RefundedTierFile,
    /// To the unit of a promo's quota that the purchase used.
    #[serde(default)]
    pub quota: RefundedQuotaFile,
    /// To rewards of campaigns that the purchase completed.
    #[serde(default)]
    pub rewards: RefundedRewardsFile,
    /// Where a wallet holds less than is clawed back.
    #[serde(default)]
    pub negative_balance: NegativeBalanceFile,
}

impl RefundsFile {
    fn is_default(&self) -> bool {
        *self == RefundsFile::default()
    }
}

/// What a refund does to the customer's level in Threshold programmes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RefundedTierFile {
    /// What was refunded counts as spent no longer, and the level is placed anew.
    #[default]
    Recompute,
    /// Nothing.
    Keep,
}

/// What a refund does to the unit of a promo's quota that the purchase used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RefundedQuotaFile {
    /// It is free again once the rest of the purchase earns nothing from the promo.
    #[default]
    Return,
    /// It stays used.
    Keep,
}

/// What a refund does to rewards of campaigns that the purchase completed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RefundedRewardsFile {
    /// They are clawed back once the rest of the purchase would not have completed the campaign.
    #[default]
    ClawBack,
    /// They stay.
    Keep,
}

/// What happens where a wallet holds less than is clawed back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NegativeBalanceFile {
    /// The balance goes below zero, and later credits fill it.
    #[default]
    Allow,
    /// No more is taken than there is; the rest is posted to `refund_shortfall`.
    CapAtZero,
}

/// The tenant.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TenantFile {
    /// Its name in addresses.
    pub slug: String,
    /// Its name for people.
    pub name: String,
    /// The ISO 4217 code of its currency.
    pub currency: String,
    /// Decimal places of the currency's major unit.
    #[serde(default)]
    pub currency_exponent: u8,
    /// The IANA name of its time zone; local times of periods are read in it.
    pub timezone: String,
    /// Which instant the rules see.
    #[serde(default)]
    pub clock: ClockFile,
    /// What a purchase by somebody unknown does.
    #[serde(default)]
    pub unknown_customer: UnknownCustomerFile,
    /// What a purchase with an unknown promo code does.
    #[serde(default)]
    pub unknown_promo: UnknownPromoFile,
}

/// Which instant the rules see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClockFile {
    /// When the ledger received the purchase.
    #[default]
    Received,
    /// When the partner says that it occurred.
    Occurred,
}

/// What a purchase by somebody unknown does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnknownCustomerFile {
    /// Creates the customer.
    #[default]
    AutoCreate,
    /// Is refused.
    MustExist,
}

/// What a purchase with an unknown promo code does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnknownPromoFile {
    /// Is refused.
    #[default]
    Refuse,
    /// Is booked as if it named none.
    Ignore,
}

/// A partner.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PartnerFile {
    /// Its name in addresses.
    pub slug: String,
    /// Its name for people.
    pub name: String,
    /// A key to give to it; never shown again.
    // Not `skip_serializing`: the schema would then say that it cannot be sent either.
    #[serde(default, skip_serializing_if = "is_never_shown")]
    #[schema(write_only)]
    pub api_key: Option<String>,
}

fn is_never_shown(_: &Option<String>) -> bool {
    true
}

impl std::fmt::Debug for PartnerFile {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let api_key = self.api_key.as_ref().map(|_| "[redacted]");
        let PartnerFile { slug, name, .. } = self;
        out.debug_struct("PartnerFile").field("slug", slug).field("name", name).field("api_key", &api_key).finish()
    }
}

/// A promo.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PromoFile {
    /// The code that a purchase names.
    pub code: String,
    /// How many purchases it may pay for.
    pub quota: u64,
    /// The first instant of its period: local, such as `2017-01-01 00:00:00`, or RFC 3339 with an offset.
    pub starts_at: String,
    /// The last instant of its period, included.
    pub ends_at: String,
    /// The slug of the partner that pays; nobody named means the one that sent the purchase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub funded_by: Option<String>,
    /// What it pays.
    #[serde(default, deserialize_with = "objects")]
    pub bands: Vec<BandFile>,
}

/// One band of a promo.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BandFile {
    /// The quantity that it is for.
    pub quantity: u32,
    /// True when larger quantities count too.
    #[serde(default)]
    pub or_more: bool,
    /// The smallest amount, included.
    pub amount_min: Money,
    /// The first amount that is too large; none means no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_end: Option<Money>,
    /// The share, such as `1.75`; a string, because a float is not exact.
    pub percent: String,
}

/// A tier programme.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TierProgramFile {
    /// Its name.
    pub name: String,
    /// How a customer moves.
    #[serde(default)]
    pub policy: PolicyFile,
    /// A gap of more whole days than this steps a customer down one level. Of `journey`, where it is required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub downgrade_after_days: Option<u32>,
    /// A gap of more whole days than this returns a customer to the lowest level. Of `journey`, where it is required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset_after_days: Option<u32>,
    /// What happens at the top once its count is full. Of `journey`; `pay_nothing` when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_maximum: Option<AtMaximumFile>,
    /// The levels, the lowest first.
    #[serde(deserialize_with = "objects")]
    pub levels: Vec<LevelFile>,
}

/// How a customer moves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PolicyFile {
    /// By the count of purchases within a level and the days between them.
    #[default]
    Journey,
    /// By all that was ever spent.
    Threshold,
}

/// What happens at the top once its count is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AtMaximumFile {
    /// Counts on; no milestone is met again.
    PayNothing,
    /// Counts from 1 again, so that its milestones are met again.
    RestartCycle,
}

/// One level of a programme.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LevelFile {
    /// Its name.
    pub name: String,
    /// The name that it has now, or had before it was renamed: it stays the same level, and nobody moves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renamed_from: Option<String>,
    /// What must have been spent to stand on it, in minor units. Of `threshold`, where it is required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spent_min: Option<Money>,
    /// How many purchases fill it. Of `journey`, where it is required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count_max: Option<u32>,
    /// The level above; none means the one that follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// The level below; none means the one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<String>,
    /// What it pays at which count. Of `journey`.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "objects")]
    pub milestones: Vec<MilestoneFile>,
}

/// A cashback rule.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CashbackRuleFile {
    /// Its name.
    pub name: String,
    /// What another system knows it by, unique among cashback rules. It then says which rule this is, and the name may change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// What is said of it to people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The share as a fraction, such as `0.02` for 2 %; a string, because a float is not exact.
    pub rate: String,
    /// The products that it is for; none means every product.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub products: Vec<String>,
    /// The slug of the partner whose purchases it is for; nobody named means every partner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partner: Option<String>,
    /// False while it pays nothing.
    #[serde(default = "yes")]
    pub active: bool,
    /// The last instant at which it pays: local, or RFC 3339 with an offset; none means that it has no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<String>,
    /// The name of the kind of points that it pays.
    pub pays: String,
    /// How many days these points live; none means for ever. They expire at 00:00 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub life_days: Option<u32>,
    /// How many days these points are pending before they can be spent, in days that begin at midnight UTC; none means not at
    /// all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_days: Option<u32>,
}

fn yes() -> bool {
    true
}

/// Something that points may be spent on. Without `wallet_credit` it is a thing that the tenant hands out.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OfferFile {
    /// Its name.
    pub name: String,
    /// The name of the kind of points that it costs.
    pub kind: String,
    /// How many points one unit costs.
    pub points: Money,
    /// What one unit credits to the wallet, in minor units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wallet_credit: Option<Money>,
    /// How many units there are in all; none means without end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stock: Option<u64>,
    /// False while it cannot be redeemed.
    #[serde(default = "yes")]
    pub active: bool,
    /// The first instant of its period: local, or RFC 3339 with an offset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<String>,
    /// The last instant of its period, included: local, or RFC 3339 with an offset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<String>,
}

/// A fulfillment: what purchases must do. Exactly one of `buy` and `tag` stands in it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FulfillmentFile {
    /// Its name.
    pub name: String,
    /// What another system knows it by. With this id it stays the same rule, whatever its name becomes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Buying something.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "object_if_any")]
    pub buy: Option<BuyFile>,
    /// Purchases with a tag.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "object_if_any")]
    pub tag: Option<TagFile>,
}

/// Buying something.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BuyFile {
    /// The product; none means anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// For how much at least, in minor units.
    pub amount_min: Money,
    /// True when several purchases add up; else one purchase must do it.
    #[serde(default)]
    pub cumulative: bool,
}

/// Purchases with a tag.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TagFile {
    /// The tag, exact.
    pub tag: String,
    /// How many purchases.
    #[serde(default = "one")]
    pub count: u32,
}

fn one() -> u32 {
    1
}

/// A reward. Exactly one of `points` and `wallet_credit` stands in it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RewardFile {
    /// Its name.
    pub name: String,
    /// What another system knows it by. With this id it stays the same rule, whatever its name becomes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// How many points it pays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub points: Option<Money>,
    /// The name of the kind of these points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// How many days these points live; none means for ever. They expire at 00:00 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub life_days: Option<u32>,
    /// How many days these points are pending before they can be spent, in days that begin at midnight UTC; none means not at
    /// all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_days: Option<u32>,
    /// What it credits to the wallet, in minor units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wallet_credit: Option<Money>,
}

/// A campaign.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CampaignFile {
    /// Its name.
    pub name: String,
    /// What another system knows it by. With this id it stays the same rule, whatever its name becomes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// The names of the fulfillments that must be met.
    pub fulfillments: Vec<String>,
    /// The names of the rewards that are paid.
    pub rewards: Vec<String>,
    /// The first instant of its period: local, or RFC 3339 with an offset; none means that it has no start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<String>,
    /// The last instant of its period, included; none means that it has no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<String>,
    /// How often a customer may complete it; none means without a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completions_max: Option<u32>,
    /// How often all customers together may complete it; none means without a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<u64>,
}

/// One milestone.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MilestoneFile {
    /// The count within the level.
    pub at_count: u32,
    /// What it pays, in minor units.
    pub points: Money,
}

/// Money in whole minor units: an integer or a decimal string of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Money(pub i64);

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Money, D::Error> {
        Whole::deserialize(deserializer).map(|Whole(value)| Money(value))
    }
}

impl Serialize for Money {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(self.0)
    }
}

impl PartialSchema for Money {
    fn schema() -> RefOr<Schema> {
        whole_schema("Money in whole minor units, shown as an integer.")
    }
}

impl ToSchema for Money {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Money")
    }
}
