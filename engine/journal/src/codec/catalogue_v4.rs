//! Version 4 of the stored rules, as journals of before there were budgets and pending points hold them: read, never written.

use kembali_core::catalogue::{
    Campaign, CashbackRule, Catalogue, Currency, Fulfillment, Offer, Partner, PointKind, Promo, Reward, RewardKind,
    RuleClock, TierProgram, UnknownCustomer, UnknownPromo,
};
use kembali_core::refund::RefundPolicy;
use kembali_core::risk::RiskRule;
use kembali_core::{Instant, PartnerId, Rate, RuleId, TenantId};
use serde::Deserialize;

#[derive(Deserialize)]
pub(super) struct CatalogueV4 {
    pub(super) tenant: TenantId,
    pub(super) version: u32,
    pub(super) slug: String,
    pub(super) name: String,
    pub(super) currency: Currency,
    pub(super) timezone: String,
    pub(super) clock: RuleClock,
    pub(super) unknown_customer: UnknownCustomer,
    pub(super) unknown_promo: UnknownPromo,
    pub(super) partners: Vec<Partner>,
    pub(super) promos: Vec<Promo>,
    pub(super) programs: Vec<TierProgram>,
    pub(super) point_kinds: Vec<PointKind>,
    pub(super) cashback_rules: Vec<CashbackRuleV4>,
    pub(super) fulfillments: Vec<Fulfillment>,
    pub(super) rewards: Vec<RewardV4>,
    pub(super) campaigns: Vec<CampaignV4>,
    pub(super) offers: Vec<Offer>,
    pub(super) next_rule: RuleId,
    pub(super) refunds: RefundPolicy,
    pub(super) risk_rules: Vec<RiskRule>,
}

#[derive(Deserialize)]
pub(super) struct CashbackRuleV4 {
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
pub(super) struct RewardV4 {
    id: RuleId,
    name: String,
    kind: RewardKind,
    life_days: Option<u32>,
}

#[derive(Deserialize)]
pub(super) struct CampaignV4 {
    id: RuleId,
    name: String,
    fulfillments: Vec<RuleId>,
    rewards: Vec<RuleId>,
    starts_at: Option<Instant>,
    ends_at: Option<Instant>,
    completions_max: Option<u32>,
}

impl From<CatalogueV4> for Catalogue {
    fn from(old: CatalogueV4) -> Catalogue {
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
            risk_rules: old.risk_rules,
            external_ids: Vec::new(),
            descriptions: Vec::new(),
        }
    }
}

impl From<CashbackRuleV4> for CashbackRule {
    fn from(old: CashbackRuleV4) -> CashbackRule {
        let CashbackRuleV4 { id, name, rate, products, partner, is_active, ends_at, pays, life_days } = old;
        let pending_days = None;
        CashbackRule { id, name, rate, products, partner, is_active, ends_at, pays, life_days, pending_days }
    }
}

impl From<RewardV4> for Reward {
    fn from(old: RewardV4) -> Reward {
        let RewardV4 { id, name, kind, life_days } = old;
        Reward { id, name, kind, life_days, pending_days: None }
    }
}

impl From<CampaignV4> for Campaign {
    fn from(old: CampaignV4) -> Campaign {
        let CampaignV4 { id, name, fulfillments, rewards, starts_at, ends_at, completions_max } = old;
        Campaign { id, name, fulfillments, rewards, starts_at, ends_at, completions_max, budget: None }
    }
}
