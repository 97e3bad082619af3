//! Version 2 of the stored rules, as journals of before points could expire hold them: read, never written.

use kembali_core::catalogue::{
    Campaign, CashbackRule, Catalogue, Currency, Fulfillment, Partner, PointKind, Promo, Reward, RewardKind, RuleClock,
    TierProgram, UnknownCustomer, UnknownPromo,
};
use kembali_core::refund::RefundPolicy;
use kembali_core::{Instant, PartnerId, Rate, RuleId, TenantId};
use serde::Deserialize;

use super::catalogue_v4::CampaignV4;

#[derive(Deserialize)]
pub(super) struct CatalogueV2 {
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
    cashback_rules: Vec<CashbackRuleV2>,
    fulfillments: Vec<Fulfillment>,
    rewards: Vec<RewardV2>,
    campaigns: Vec<CampaignV4>,
    next_rule: RuleId,
}

#[derive(Deserialize)]
struct CashbackRuleV2 {
    id: RuleId,
    name: String,
    rate: Rate,
    products: Vec<String>,
    partner: Option<PartnerId>,
    is_active: bool,
    ends_at: Option<Instant>,
    pays: RuleId,
}

#[derive(Deserialize)]
struct RewardV2 {
    id: RuleId,
    name: String,
    kind: RewardKind,
}

impl From<CatalogueV2> for Catalogue {
    fn from(old: CatalogueV2) -> Catalogue {
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
            offers: Vec::new(),
            next_rule: old.next_rule,
            refunds: RefundPolicy::default(),
            risk_rules: Vec::new(),
            external_ids: Vec::new(),
            descriptions: Vec::new(),
        }
    }
}

impl From<CashbackRuleV2> for CashbackRule {
    fn from(old: CashbackRuleV2) -> CashbackRule {
        let CashbackRuleV2 { id, name, rate, products, partner, is_active, ends_at, pays } = old;
        CashbackRule {
            id,
            name,
            rate,
            products,
            partner,
            is_active,
            ends_at,
            pays,
            life_days: None,
            pending_days: None,
        }
    }
}

impl From<RewardV2> for Reward {
    fn from(old: RewardV2) -> Reward {
        let RewardV2 { id, name, kind } = old;
        Reward { id, name, kind, life_days: None, pending_days: None }
    }
}
