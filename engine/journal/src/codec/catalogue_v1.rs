//! Version 1 of the stored rules, as journals of before the Threshold programmes hold them: read, never written.

use kembali_core::catalogue::{
    AtMaximum, Catalogue, Currency, Journey, JourneyLevel, Milestone, Partner, Promo, RuleClock, TierPolicy,
    TierProgram, UnknownCustomer, UnknownPromo,
};
use kembali_core::refund::RefundPolicy;
use kembali_core::{RuleId, TenantId};
use serde::Deserialize;

#[derive(Deserialize)]
pub(super) struct CatalogueV1 {
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
    programs: Vec<TierProgramV1>,
    next_rule: RuleId,
}

#[derive(Deserialize)]
struct TierProgramV1 {
    id: RuleId,
    name: String,
    policy: TierPolicyV1,
    levels: Vec<TierLevelV1>,
}

#[derive(Deserialize)]
enum TierPolicyV1 {
    Journey { downgrade_after_days: u32, reset_after_days: u32, at_maximum: AtMaximum },
}

#[derive(Deserialize)]
struct TierLevelV1 {
    id: RuleId,
    name: String,
    count_max: u32,
    next: RuleId,
    previous: RuleId,
    milestones: Vec<Milestone>,
}

impl From<CatalogueV1> for Catalogue {
    fn from(old: CatalogueV1) -> Catalogue {
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
            programs: old.programs.into_iter().map(TierProgram::from).collect(),
            point_kinds: Vec::new(),
            cashback_rules: Vec::new(),
            fulfillments: Vec::new(),
            rewards: Vec::new(),
            campaigns: Vec::new(),
            offers: Vec::new(),
            next_rule: old.next_rule,
            refunds: RefundPolicy::default(),
            risk_rules: Vec::new(),
            external_ids: Vec::new(),
            descriptions: Vec::new(),
        }
    }
}

impl From<TierProgramV1> for TierProgram {
    fn from(old: TierProgramV1) -> TierProgram {
        let TierPolicyV1::Journey { downgrade_after_days, reset_after_days, at_maximum } = old.policy;
        let levels = old.levels.into_iter().map(JourneyLevel::from).collect();
        let journey = Journey { downgrade_after_days, reset_after_days, at_maximum, levels };
        TierProgram { id: old.id, name: old.name, policy: TierPolicy::Journey(journey) }
    }
}

impl From<TierLevelV1> for JourneyLevel {
    fn from(old: TierLevelV1) -> JourneyLevel {
        let TierLevelV1 { id, name, count_max, next, previous, milestones } = old;
        JourneyLevel { id, name, count_max, next, previous, milestones }
    }
}
