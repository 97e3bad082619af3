//! From the rules that hold back to the shape that people write, and to a draft that a small change can be made to.
//!
//! What comes out, sent back unchanged, changes nothing.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use kembali_core::Instant;
use kembali_core::catalogue::{
    AtMaximum, Catalogue, Journey, JourneyLevel, Promo, PromoBand, RuleClock, Threshold, ThresholdLevel, TierPolicy,
    TierProgram, UnknownCustomer, UnknownPromo,
};
use kembali_core::draft::{
    BandDraft, CatalogueDraft, JourneyDraft, LevelDraft, PartnerDraft, PolicyDraft, ProgramDraft, PromoDraft,
};

use super::catalogue::{
    AtMaximumFile, BandFile, CatalogueFile, ClockFile, LevelFile, MilestoneFile, Money, PartnerFile, PolicyFile,
    PromoFile, TenantFile, TierProgramFile, UnknownCustomerFile, UnknownPromoFile,
};
use super::catalogue_draft::{period_instant, zone_of};
use super::earning::{earning_draft_of, write_earning};
use super::instant::Rfc3339;
use super::refund::refunds_file;
use super::risk::{risk_drafts_of, risk_files};
use super::rules::{CatalogueIds, LevelIds, PromoIds, TierProgramIds};

/// Writes the rules as people write them, without API keys.
pub(crate) fn file_of(catalogue: &Catalogue) -> CatalogueFile {
    let zone = zone_of(&catalogue.timezone).ok();
    let mut file = CatalogueFile {
        tenant: TenantFile {
            slug: catalogue.slug.clone(),
            name: catalogue.name.clone(),
            currency: catalogue.currency.code.as_str().to_owned(),
            currency_exponent: catalogue.currency.exponent,
            timezone: catalogue.timezone.clone(),
            clock: match catalogue.clock {
                RuleClock::Received => ClockFile::Received,
                RuleClock::Occurred => ClockFile::Occurred,
            },
            unknown_customer: match catalogue.unknown_customer {
                UnknownCustomer::AutoCreate => UnknownCustomerFile::AutoCreate,
                UnknownCustomer::MustExist => UnknownCustomerFile::MustExist,
            },
            unknown_promo: match catalogue.unknown_promo {
                UnknownPromo::Refuse => UnknownPromoFile::Refuse,
                UnknownPromo::Ignore => UnknownPromoFile::Ignore,
            },
        },
        partners: catalogue
            .partners
            .iter()
            .map(|partner| PartnerFile { slug: partner.slug.clone(), name: partner.name.clone(), api_key: None })
            .collect(),
        promos: catalogue.promos.iter().map(|promo| promo_file(promo, catalogue, zone.as_ref())).collect(),
        tier_programs: catalogue.programs.iter().map(program_file).collect(),
        point_kinds: Vec::new(),
        cashback_rules: Vec::new(),
        fulfillments: Vec::new(),
        rewards: Vec::new(),
        campaigns: Vec::new(),
        offers: Vec::new(),
        refunds: refunds_file(catalogue.refunds),
        risk_rules: risk_files(catalogue),
    };
    write_earning(&mut file, catalogue, zone.as_ref());
    file
}

fn promo_file(promo: &Promo, catalogue: &Catalogue, zone: Option<&TimeZone>) -> PromoFile {
    PromoFile {
        code: promo.code.clone(),
        quota: promo.quota,
        starts_at: period_text(promo.starts_at, zone),
        ends_at: period_text(promo.ends_at, zone),
        funded_by: promo.funded_by.and_then(|id| catalogue.partner(id)).map(|partner| partner.slug.clone()),
        bands: promo.bands.iter().map(band_file).collect(),
    }
}

/// Writes one band as people write it.
pub(crate) fn band_file(band: &PromoBand) -> BandFile {
    BandFile {
        quantity: band.quantity,
        or_more: band.or_more,
        amount_min: Money(band.amount_min.minor_units()),
        amount_end: band.amount_end.map(|end| Money(end.minor_units())),
        percent: band.percent.to_string(),
    }
}

/// Writes one programme as people write it.
pub(crate) fn program_file(program: &TierProgram) -> TierProgramFile {
    match &program.policy {
        TierPolicy::Journey(journey) => journey_file(&program.name, journey),
        TierPolicy::Threshold(threshold) => threshold_file(&program.name, threshold),
    }
}

fn journey_file(name: &str, journey: &Journey) -> TierProgramFile {
    let level_name = |id| journey.level(id).map(|level| level.name.clone());
    let level = |level: &JourneyLevel| LevelFile {
        renamed_from: None,
        name: level.name.clone(),
        spent_min: None,
        count_max: Some(level.count_max),
        next: level_name(level.next),
        previous: level_name(level.previous),
        milestones: level
            .milestones
            .iter()
            .map(|milestone| MilestoneFile {
                at_count: milestone.at_count,
                points: Money(milestone.points.minor_units()),
            })
            .collect(),
    };
    TierProgramFile {
        name: name.to_owned(),
        policy: PolicyFile::Journey,
        downgrade_after_days: Some(journey.downgrade_after_days),
        reset_after_days: Some(journey.reset_after_days),
        at_maximum: Some(match journey.at_maximum {
            AtMaximum::PayNothing => AtMaximumFile::PayNothing,
            AtMaximum::RestartCycle => AtMaximumFile::RestartCycle,
        }),
        levels: journey.levels.iter().map(level).collect(),
    }
}

fn threshold_file(name: &str, threshold: &Threshold) -> TierProgramFile {
    let level = |level: &ThresholdLevel| LevelFile {
        renamed_from: None,
        name: level.name.clone(),
        spent_min: Some(Money(level.spent_min.minor_units())),
        count_max: None,
        next: None,
        previous: None,
        milestones: Vec::new(),
    };
    TierProgramFile {
        name: name.to_owned(),
        policy: PolicyFile::Threshold,
        downgrade_after_days: None,
        reset_after_days: None,
        at_maximum: None,
        levels: threshold.levels.iter().map(level).collect(),
    }
}

/// Writes an instant of a period: local where that says exactly one instant, else in UTC.
pub(crate) fn period_text(instant: Instant, zone: Option<&TimeZone>) -> String {
    let local = zone.and_then(|zone| {
        let local = Timestamp::from_microsecond(instant.0).ok()?.to_zoned(zone.clone()).datetime();
        let form = if local.subsec_nanosecond() == 0 { "%Y-%m-%d %H:%M:%S" } else { "%Y-%m-%d %H:%M:%S%.6f" };
        let text = local.strftime(form).to_string();
        (period_instant(&text, zone, "").ok()? == instant).then_some(text)
    });
    local.unwrap_or_else(|| Rfc3339(instant).to_string())
}

/// Makes the draft that would change nothing.
pub(crate) fn draft_of(catalogue: &Catalogue) -> CatalogueDraft {
    CatalogueDraft {
        slug: catalogue.slug.clone(),
        name: catalogue.name.clone(),
        currency: catalogue.currency,
        timezone: catalogue.timezone.clone(),
        clock: catalogue.clock,
        unknown_customer: catalogue.unknown_customer,
        unknown_promo: catalogue.unknown_promo,
        partners: catalogue
            .partners
            .iter()
            .map(|partner| PartnerDraft { slug: partner.slug.clone(), name: partner.name.clone() })
            .collect(),
        promos: catalogue.promos.iter().map(|promo| promo_draft(promo, catalogue)).collect(),
        programs: catalogue.programs.iter().map(program_draft).collect(),
        earning: earning_draft_of(catalogue),
        refunds: catalogue.refunds,
        risk_rules: risk_drafts_of(catalogue),
    }
}

fn promo_draft(promo: &Promo, catalogue: &Catalogue) -> PromoDraft {
    let band = |band: &PromoBand| BandDraft {
        quantity: band.quantity,
        or_more: band.or_more,
        amount_min: band.amount_min,
        amount_end: band.amount_end,
        percent: band.percent,
    };
    PromoDraft {
        code: promo.code.clone(),
        quota: promo.quota,
        starts_at: promo.starts_at,
        ends_at: promo.ends_at,
        funded_by: promo.funded_by.and_then(|id| catalogue.partner(id)).map(|partner| partner.slug.clone()),
        bands: promo.bands.iter().map(band).collect(),
    }
}

fn program_draft(program: &TierProgram) -> ProgramDraft {
    let policy = match &program.policy {
        TierPolicy::Journey(journey) => PolicyDraft::Journey(journey_draft(journey)),
        TierPolicy::Threshold(threshold) => {
            PolicyDraft::Threshold(threshold.levels.iter().map(|level| (level.name.clone(), level.spent_min)).collect())
        }
    };
    ProgramDraft { name: program.name.clone(), policy, renames: Vec::new() }
}

fn journey_draft(journey: &Journey) -> JourneyDraft {
    let level_name = |id| journey.level(id).map(|level| level.name.clone());
    let level = |level: &JourneyLevel| LevelDraft {
        name: level.name.clone(),
        count_max: level.count_max,
        next: level_name(level.next),
        previous: level_name(level.previous),
        milestones: level.milestones.iter().map(|milestone| (milestone.at_count, milestone.points)).collect(),
    };
    JourneyDraft {
        downgrade_after_days: journey.downgrade_after_days,
        reset_after_days: journey.reset_after_days,
        at_maximum: journey.at_maximum,
        levels: journey.levels.iter().map(level).collect(),
    }
}

/// Lists the ids that the rules were given, by their names.
pub(crate) fn ids_of(catalogue: &Catalogue) -> CatalogueIds {
    let promo = |promo: &Promo| {
        let bands = promo.bands.iter().map(|band| band.id.0).collect();
        (promo.code.clone(), PromoIds { id: promo.id.0, bands })
    };
    let level = |level: &JourneyLevel| {
        let milestones = level.milestones.iter().map(|milestone| milestone.id.0).collect();
        (level.name.clone(), LevelIds { id: level.id.0, milestones })
    };
    let bare = |level: &ThresholdLevel| (level.name.clone(), LevelIds { id: level.id.0, milestones: Vec::new() });
    let program = |program: &TierProgram| {
        let levels = match &program.policy {
            TierPolicy::Journey(journey) => journey.levels.iter().map(level).collect(),
            TierPolicy::Threshold(threshold) => threshold.levels.iter().map(bare).collect(),
        };
        (program.name.clone(), TierProgramIds { id: program.id.0, levels })
    };
    CatalogueIds {
        tenant: catalogue.tenant.0,
        partners: catalogue.partners.iter().map(|partner| (partner.slug.clone(), partner.id.0)).collect(),
        promos: catalogue.promos.iter().map(promo).collect(),
        tier_programs: catalogue.programs.iter().map(program).collect(),
        point_kinds: catalogue.point_kinds.iter().map(|own| (own.name.clone(), own.id.0)).collect(),
        cashback_rules: catalogue.cashback_rules.iter().map(|own| (own.name.clone(), own.id.0)).collect(),
        fulfillments: catalogue.fulfillments.iter().map(|own| (own.name.clone(), own.id.0)).collect(),
        rewards: catalogue.rewards.iter().map(|own| (own.name.clone(), own.id.0)).collect(),
        campaigns: catalogue.campaigns.iter().map(|own| (own.name.clone(), own.id.0)).collect(),
        offers: catalogue.offers.iter().map(|own| (own.name.clone(), own.id.0)).collect(),
        risk_rules: catalogue.risk_rules.iter().map(|own| (own.name.clone(), own.id.0)).collect(),
    }
}
