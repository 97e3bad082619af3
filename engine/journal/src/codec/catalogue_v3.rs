//! Version 3 of the stored rules, as journals of before there were risk rules hold them: read, never written.

use kembali_core::catalogue::{
    Catalogue, Currency, Fulfillment, Offer, Partner, PointKind, Promo, RuleClock, TierProgram, UnknownCustomer,
    UnknownPromo,
};
use kembali_core::refund::RefundPolicy;
use kembali_core::{RuleId, TenantId};
use serde::Deserialize;

use super::catalogue_v4::{CampaignV4, CashbackRuleV4, CatalogueV4, RewardV4};

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
    cashback_rules: Vec<CashbackRuleV4>,
    fulfillments: Vec<Fulfillment>,
    rewards: Vec<RewardV4>,
    campaigns: Vec<CampaignV4>,
    offers: Vec<Offer>,
    next_rule: RuleId,
    refunds: RefundPolicy,
}

impl From<CatalogueV3> for Catalogue {
    fn from(old: CatalogueV3) -> Catalogue {
        let next = CatalogueV4 {
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
            risk_rules: Vec::new(),
        };
        next.into()
    }
}
