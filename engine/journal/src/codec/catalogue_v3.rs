//! Version 3 of the stored rules, as journals of before there were risk rules, budgets and pending points hold them: read, never written.

use kembali_core::catalogue::{
    Campaign, CashbackRule, Catalogue, Currency, Fulfillment, Offer, Partner, PointKind, Promo, Reward, RewardKind,
    RuleClock, TierProgram, UnknownCustomer, UnknownPromo,
};
use kembali_core::refund::RefundPolicy;
use kembali_core::{Instant, PartnerId, Rate, RuleId, TenantId};
use serde::Deserialize;

#[derive(Deserialize)]
pub(super) struct CatalogueV3 {
    tenant: TenantId,
    version: u32,
    slug: String,
    name: String,
    currency: Currency,
    timezone: String,
    clock: RuleClock,
    unknown_customer: UnknownCustomer,
    unknown_promo: UnknownPromo,
    partners: Vec<Partner>,
    promos: Vec<Promo>,
    programs: Vec<TierProgram>,
    point_kinds: Vec<PointKind>,
    cashback_rules: Vec<CashbackRuleV3>,
    fulfillments: Vec<Fulfillment>,
    rewards: Vec<RewardV3>,
    campaigns: Vec<CampaignV3>,
    offers: Vec<Offer>,
    next_rule: RuleId,
    refunds: RefundPolicy,
}

#[derive(Deserialize)]
struct CashbackRuleV3 {
    id: RuleId,
    name: String,
    rate: Rate,
    products: Vec<String>,
    partner: Option<PartnerId>,
    is_active: bool,
    ends_at: Option<Instant>,
    pays: RuleId,
    life_days: Option<u32>,
}

#[derive(Deserialize)]
struct RewardV3 {
    id: RuleId,
    name: String,
    kind: RewardKind,
    life_days: Option<u32>,
}

#[derive(Deserialize)]
pub(super) struct CampaignV3 {
    id: RuleId,
    name: String,
    fulfillments: Vec<RuleId>,
    rewards: Vec<RuleId>,
    starts_at: Option<Instant>,
    ends_at: Option<Instant>,
    completions_max: Option<u32>,
}

impl From<CatalogueV3> for Catalogue {
    fn from(old: CatalogueV3) -> Catalogue {
        Catalogue {
            tenant: old.tenant,
            version: old.version,
            slug: old.slug,
            name: old.name,
            currency: old.currency,
            timezone: old.timezone,
            clock: old.clock,
            unknown_customer: old.unknown_customer,
            unknown_promo: old.unknown_promo,
            partners: old.partners,
            promos: old.promos,
            programs: old.programs,
            point_kinds: old.point_kinds,
            cashback_rules: old.cashback_rules.into_iter().map(CashbackRule::from).collect(),
            fulfillments: old.fulfillments,
            rewards: old.rewards.into_iter().map(Reward::from).collect(),
            campaigns: old.campaigns.into_iter().map(Campaign::from).collect(),
            offers: old.offers,
            next_rule: old.next_rule,
            refunds: old.refunds,
            risk_rules: Vec::new(),
        }
    }
}

impl From<CashbackRuleV3> for CashbackRule {
    fn from(old: CashbackRuleV3) -> CashbackRule {
        let CashbackRuleV3 { id, name, rate, products, partner, is_active, ends_at, pays, life_days } = old;
        let pending_days = None;
        CashbackRule { id, name, rate, products, partner, is_active, ends_at, pays, life_days, pending_days }
    }
}

impl From<RewardV3> for Reward {
    fn from(old: RewardV3) -> Reward {
        let RewardV3 { id, name, kind, life_days } = old;
        Reward { id, name, kind, life_days, pending_days: None }
    }
}

impl From<CampaignV3> for Campaign {
    fn from(old: CampaignV3) -> Campaign {
        let CampaignV3 { id, name, fulfillments, rewards, starts_at, ends_at, completions_max } = old;
        Campaign { id, name, fulfillments, rewards, starts_at, ends_at, completions_max, budget: None }
    }
}
