//! Why a purchase got what it got, and why not the rest. The reasons are the core's; here they get their names.

use axum::Extension;
use axum::extract::{Path, State};
use hyper::Uri;
use kembali_core::campaign::{Closed, Judged, Unmoved};
use kembali_core::cashback::Unpaid;
use kembali_core::catalogue::{Catalogue, RewardKind, TierPolicy};
use kembali_core::event::{DeclineReason, SpendCounted, TierStepped};
use kembali_core::explain::{
    CampaignVerdict, CashbackVerdict, JourneyVerdict, ProgramVerdict, PromoUnpaid, PromoVerdict, RiskVerdict,
    ThresholdVerdict, explain,
};
use kembali_core::journey::Unmet;
use kembali_core::{Amount, RuleId};

use super::Json;
use super::promos::band_shown;
use super::purchase::found;
use crate::app::App;
use crate::auth::Identity;
use crate::codes;
use crate::parameters;
use crate::problem::Problem;
use crate::query::Query;
use crate::routes::Endpoint;
use crate::wire::explanation::{
    CampaignExplained, CampaignReason, CashbackExplained, CashbackReason, FulfillmentExplained, FulfillmentReason,
    JourneyExplained, MilestoneExplained, MilestoneReason, NextLevel, PromoExplained, PromoReason, PurchaseExplanation,
    RewardExplained, RiskExplained, TierExplained,
};
use crate::wire::instant::{Rfc3339, UuidText};
use crate::wire::number::Wide;
use crate::wire::result::{Names, purchase_of};
use crate::wire::risk::risk_file;

/// Explains a purchase by every rule of the version that decided it.
pub(crate) async fn show(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Json<PurchaseExplanation>, Problem> {
    let query = Query::parse(&uri, parameters::of(Endpoint::ExplainPurchase))?;
    app.reach_min_seq(&query).await?;
    let tenant = app.tenant(identity, &query).await?.tenant;
    let (record, catalogue) = found(&app, identity, &id).await?;
    if record.body.tenant != tenant {
        return Err(Problem::new(&codes::PURCHASE_NOT_FOUND));
    }
    let before = app.engine.before(&record).await?;
    let none = || Problem::internal(&format_args!("the record at {} books what no rule can be asked of", record.seq.0));
    let booked = purchase_of(&record.body).ok_or_else(none)?;
    let sums = &before.totals;
    let used = |promo: RuleId| {
        let granted = sums.promos.get(&promo).map_or(0, |promo| promo.granted);
        granted.saturating_sub(sums.refunds.promos.get(&promo).map_or(0, |promo| promo.units_returned))
    };
    let completed = |campaign: RuleId| sums.campaigns.get(&campaign).copied().unwrap_or(0);
    let received = (booked, record.body.received_at);
    let said = explain(&catalogue, before.row.as_ref(), used, completed, received).ok_or_else(none)?;
    let page = Explained { rules: &catalogue, names: Names { catalogue: &catalogue } };
    Ok(Json(PurchaseExplanation {
        id: UuidText(booked.key.0),
        seq: record.seq.0,
        tenant: catalogue.slug.clone(),
        partner: page.names.partner(booked.partner).into_owned(),
        origin_id: booked.purchase.origin_id.to_string(),
        at: Rfc3339(booked.at),
        amount: booked.purchase.amount,
        quantity: booked.purchase.quantity,
        currency: catalogue.currency.code.as_str().to_owned(),
        promo_code: booked.purchase.promo_code.as_deref().map(str::to_owned),
        catalogue_version: catalogue.version,
        promos: said.promos.iter().filter_map(|own| page.promo(own)).collect(),
        tiers: said.programs.iter().map(|own| page.program(own)).collect(),
        cashback_rules: said.cashback_rules.iter().filter_map(|own| page.cashback(own)).collect(),
        campaigns: said.campaigns.iter().filter_map(|own| page.campaign(own)).collect(),
        risk_rules: said.risk_rules.iter().filter_map(|own| page.risk(own)).collect(),
    }))
}

/// What is explained, and by which rules.
struct Explained<'a> {
    rules: &'a Catalogue,
    names: Names<'a>,
}

impl Explained<'_> {
    fn promo(&self, own: &PromoVerdict) -> Option<PromoExplained> {
        let promo = self.rules.promo(own.promo)?;
        let (points, reason, band, missed) = match own.verdict {
            Ok(found) => (found.points, None, Some(found.band), None),
            Err(PromoUnpaid::NotNamed) => (Amount::ZERO, Some(PromoReason::NotNamed), None, None),
            Err(PromoUnpaid::Declined(reason)) => {
                let (reason, band, missed) = match reason {
                    DeclineReason::OutsidePeriod => (PromoReason::OutsidePeriod, None, None),
                    DeclineReason::NoBand => (PromoReason::NoBand, None, None),
                    DeclineReason::RoundsToZero { band } => (PromoReason::RoundsToZero, Some(band), None),
                    DeclineReason::QuotaExhausted { band, points, .. } => {
                        (PromoReason::QuotaExhausted, Some(band), Some(points.minor_units()))
                    }
                };
                (Amount::ZERO, Some(reason), band, missed)
            }
        };
        let fits = promo.bands.iter().find(|own| Some(own.id) == band);
        let all = if reason == Some(PromoReason::NoBand) { &promo.bands[..] } else { &[] };
        Some(PromoExplained {
            rule: promo.id.0,
            code: promo.code.clone(),
            version: self.rules.version,
            points: points.minor_units(),
            reason,
            starts_at: Rfc3339(promo.starts_at),
            ends_at: Rfc3339(promo.ends_at),
            quota: promo.quota,
            used_before: own.used,
            band: fits.map(band_shown),
            points_missed: missed,
            bands: all.iter().map(band_shown).collect(),
        })
    }

    fn program(&self, own: &ProgramVerdict) -> TierExplained {
        match own {
            ProgramVerdict::Journey(own) => self.journey(own),
            ProgramVerdict::Threshold(own) => self.threshold(own),
        }
    }

    fn journey(&self, own: &JourneyVerdict) -> TierExplained {
        let (before, after, remark) = (own.before, own.step.standing, own.step.remark);
        let policy = self.rules.program(own.program).map(|program| &program.policy);
        let milestones = own.milestones.iter().map(|(milestone, verdict)| MilestoneExplained {
            rule: milestone.id.0,
            at_count: milestone.at_count,
            points: milestone.points.minor_units(),
            paid: verdict.is_ok(),
            reason: verdict.err().map(|reason| match reason {
                Unmet::FirstTransaction => MilestoneReason::FirstTransaction,
                Unmet::Maximum => MilestoneReason::Maximum,
                Unmet::OtherCount => MilestoneReason::OtherCount,
            }),
        });
        let journey = match policy {
            Some(TierPolicy::Journey(journey)) => Some(JourneyExplained {
                gap_days: own.gap_days,
                downgrade_after_days: journey.downgrade_after_days,
                reset_after_days: journey.reset_after_days,
                count_max: before.map(|before| journey.level_of(&before).count_max),
                milestones: milestones.collect(),
            }),
            Some(TierPolicy::Threshold(_)) | None => None,
        };
        TierExplained {
            rule: own.program.0,
            version: self.rules.version,
            step: self.names.step(&TierStepped { before, after, remark }).into_owned(),
            journey,
            next_level: None,
        }
    }

    fn threshold(&self, own: &ThresholdVerdict) -> TierExplained {
        let spent = own.after.spent.minor_units();
        TierExplained {
            rule: own.program.0,
            version: self.rules.version,
            step: self.names.spend_step(&SpendCounted { before: own.before, after: own.after }).into_owned(),
            journey: None,
            next_level: own.next.as_ref().map(|next| NextLevel {
                rule: next.id.0,
                level: next.name.clone(),
                spent_min: next.spent_min.minor_units(),
                missing: next.spent_min.minor_units() - spent,
            }),
        }
    }

    fn cashback(&self, own: &CashbackVerdict) -> Option<CashbackExplained> {
        let rule = self.rules.cashback_rule(own.rule)?;
        let (bought, points, reason) = match own.verdict {
            Ok(paid) => (Some(paid.bought), paid.points, None),
            Err(Unpaid::Inactive) => (None, Amount::ZERO, Some(CashbackReason::Inactive)),
            Err(Unpaid::Ended) => (None, Amount::ZERO, Some(CashbackReason::Ended)),
            Err(Unpaid::OtherPartner) => (None, Amount::ZERO, Some(CashbackReason::OtherPartner)),
            Err(Unpaid::NothingBought) => (Some(Amount::ZERO), Amount::ZERO, Some(CashbackReason::NothingBought)),
            Err(Unpaid::RoundsToZero { bought }) => (Some(bought), Amount::ZERO, Some(CashbackReason::RoundsToZero)),
        };
        Some(CashbackExplained {
            rule: rule.id.0,
            name: rule.name.clone(),
            version: self.rules.version,
            kind: self.names.point_kind(rule.pays).into_owned(),
            points: points.minor_units(),
            reason,
            rate: rule.rate.to_string(),
            products: rule.products.clone(),
            partner: rule.partner.map(|partner| self.names.partner(partner).into_owned()),
            ends_at: rule.ends_at.map(Rfc3339),
            bought: bought.map(Amount::minor_units),
            exact_share: bought.map(|bought| rule.rate.exact_share_of(bought).to_string()),
        })
    }

    fn campaign(&self, own: &CampaignVerdict) -> Option<CampaignExplained> {
        let campaign = self.rules.campaign(own.campaign)?;
        let reason = match own.verdict {
            _ if own.is_completed => None,
            Ok(_) => Some(CampaignReason::Unmet),
            Err(Closed::NotStarted) => Some(CampaignReason::NotStarted),
            Err(Closed::Ended) => Some(CampaignReason::Ended),
            Err(Closed::CompletionsUsed) => Some(CampaignReason::CompletionsUsed),
            Err(Closed::BudgetUsed) => Some(CampaignReason::BudgetUsed),
        };
        let rewards = campaign.rewards.iter().filter_map(|id| self.rules.reward(*id)).map(|reward| {
            let (kind, points, wallet_credit) = match reward.kind {
                RewardKind::Points { kind, points } => {
                    (Some(self.names.point_kind(kind).into_owned()), Some(points), None)
                }
                RewardKind::WalletCredit { amount } => (None, None, Some(amount)),
            };
            RewardExplained {
                rule: reward.id.0,
                name: reward.name.clone(),
                kind,
                points: points.map(Amount::minor_units),
                wallet_credit: wallet_credit.map(Amount::minor_units),
                paid: own.is_completed,
            }
        });
        Some(CampaignExplained {
            rule: campaign.id.0,
            name: campaign.name.clone(),
            version: self.rules.version,
            completed: own.is_completed,
            reason,
            starts_at: campaign.starts_at.map(Rfc3339),
            ends_at: campaign.ends_at.map(Rfc3339),
            completions_before: own.completions,
            completions_max: campaign.completions_max,
            budget: campaign.budget,
            fulfillments: own.verdict.iter().flatten().map(|own| self.fulfillment(own)).collect(),
            rewards: rewards.collect(),
        })
    }

    fn risk(&self, own: &RiskVerdict) -> Option<RiskExplained> {
        let rule = self.rules.risk_rule(own.rule)?;
        Some(RiskExplained {
            rule: rule.id.0,
            version: self.rules.version,
            found: own.finding.map(|own| Wide(own.found)),
            strikes: own.finding.map(|own| own.strikes()),
            definition: risk_file(rule),
        })
    }

    fn fulfillment(&self, own: &Judged) -> FulfillmentExplained {
        let reason = own.after.err().map(|reason| match reason {
            Unmoved::MetBefore => FulfillmentReason::MetBefore,
            Unmoved::NotBought => FulfillmentReason::NotBought,
            Unmoved::BelowMinimum { .. } => FulfillmentReason::BelowMinimum,
            Unmoved::NoTag => FulfillmentReason::NoTag,
            Unmoved::Gone => FulfillmentReason::Gone,
        });
        let bought = match own.after {
            Err(Unmoved::BelowMinimum { bought }) => Some(bought.minor_units()),
            _ => None,
        };
        FulfillmentExplained {
            rule: own.fulfillment.0,
            name: self.names.fulfillment_name(own.fulfillment).into_owned(),
            needed: self.rules.fulfillment(own.fulfillment).map_or(0, |own| own.needed()),
            so_far_before: own.before.so_far,
            so_far: own.after.unwrap_or(own.before).so_far,
            met: own.is_met(),
            reason,
            bought,
        }
    }
}
