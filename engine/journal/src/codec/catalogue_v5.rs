//! Version 5 of the stored rules, as journals of before there were external ids hold them: read, never written.

use kembali_core::catalogue::{
    Campaign, CashbackRule, Catalogue, Currency, Fulfillment, Offer, Partner, PointKind, Promo, Reward, RuleClock,
    TierProgram, UnknownCustomer, UnknownPromo,
};
use kembali_core::refund::RefundPolicy;
use kembali_core::risk::RiskRule;
use kembali_core::{RuleId, TenantId};
use serde::Deserialize;

#[derive(Deserialize)]
pub(super) struct CatalogueV5 {
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
    cashback_rules: Vec<CashbackRule>,
    fulfillments: Vec<Fulfillment>,
    rewards: Vec<Reward>,
    campaigns: Vec<Campaign>,
    offers: Vec<Offer>,
    next_rule: RuleId,
    refunds: RefundPolicy,
    risk_rules: Vec<RiskRule>,
}

impl From<CatalogueV5> for Catalogue {
    fn from(old: CatalogueV5) -> Catalogue {
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
            cashback_rules: old.cashback_rules,
            fulfillments: old.fulfillments,
            rewards: old.rewards,
            campaigns: old.campaigns,
            offers: old.offers,
            next_rule: old.next_rule,
            refunds: old.refunds,
            risk_rules: old.risk_rules,
            external_ids: Vec::new(),
            descriptions: Vec::new(),
        }
    }
}
