//! Cashback rules and campaigns, between the catalogue as people write it and the ledger.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use kembali_core::catalogue::{Catalogue, FulfillmentKind, Offer, OfferGives, RewardKind};
use kembali_core::draft::{
    CampaignDraft, CashbackDraft, EarningDraft, ExternalIdDraft, FulfillmentDraft, Identified, OfferDraft, RewardDraft,
    RewardPaysDraft,
};
use kembali_core::{Instant, Rate, RuleId};

use super::catalogue::{
    BuyFile, CampaignFile, CashbackRuleFile, CatalogueFile, FulfillmentFile, Money, OfferFile, RewardFile, TagFile,
};
use super::catalogue_draft::{CatalogueFault, amount, fault, period_instant};
use super::catalogue_view::period_text;

/// Makes the drafts of everything that a file says of cashback rules and campaigns.
pub(super) fn earning_draft(file: &CatalogueFile, zone: &TimeZone) -> Result<EarningDraft, CatalogueFault> {
    let cashback_rules: Result<Vec<_>, _> = file.cashback_rules.iter().map(|own| own.to_draft(zone)).collect();
    let fulfillments: Result<Vec<_>, _> = file.fulfillments.iter().map(FulfillmentFile::to_draft).collect();
    let rewards: Result<Vec<_>, _> = file.rewards.iter().map(RewardFile::to_draft).collect();
    let campaigns: Result<Vec<_>, _> = file.campaigns.iter().map(|own| own.to_draft(zone)).collect();
    let offers: Result<Vec<_>, _> = file.offers.iter().map(|own| own.to_draft(zone)).collect();
    Ok(EarningDraft {
        point_kinds: file.point_kinds.clone(),
        cashback_rules: cashback_rules?,
        fulfillments: fulfillments?,
        rewards: rewards?,
        campaigns: campaigns?,
        offers: offers?,
        external_ids: external_ids(file),
    })
}

fn external_ids(file: &CatalogueFile) -> Vec<ExternalIdDraft> {
    let fulfillments = file.fulfillments.iter().map(|own| (Identified::Fulfillment, &own.name, &own.external_id));
    let rewards = file.rewards.iter().map(|own| (Identified::Reward, &own.name, &own.external_id));
    let campaigns = file.campaigns.iter().map(|own| (Identified::Campaign, &own.name, &own.external_id));
    let cashback_rules = file.cashback_rules.iter().map(|own| (Identified::CashbackRule, &own.name, &own.external_id));
    let all = fulfillments.chain(rewards).chain(campaigns).chain(cashback_rules);
    all.filter_map(|(of, name, id)| Some(ExternalIdDraft { of, name: name.clone(), id: id.clone()? })).collect()
}

fn instant(text: Option<&String>, zone: &TimeZone, place: &str) -> Result<Option<Instant>, CatalogueFault> {
    text.map(|text| period_instant(text, zone, place)).transpose()
}

impl CashbackRuleFile {
    fn to_draft(&self, zone: &TimeZone) -> Result<CashbackDraft, CatalogueFault> {
        let place = |field: &str| format!("cashback_rules[{}].{field}", self.name);
        let form = "must be above 0 and below 1 with at most 8 decimal places, as a string such as \"0.02\"";
        Ok(CashbackDraft {
            name: self.name.clone(),
            description: self.description.clone(),
            rate: Rate::parse(&self.rate).ok_or_else(|| fault(place("rate"), form))?,
            products: self.products.clone(),
            partner: self.partner.clone(),
            is_active: self.active,
            ends_at: instant(self.ends_at.as_ref(), zone, &place("ends_at"))?,
            pays: self.pays.clone(),
            life_days: self.life_days,
            pending_days: self.pending_days,
        })
    }
}

impl FulfillmentFile {
    fn to_draft(&self) -> Result<FulfillmentDraft, CatalogueFault> {
        let place = || format!("fulfillments[{}]", self.name);
        let kind = match (&self.buy, &self.tag) {
            (Some(buy), None) => FulfillmentKind::Buy {
                product: buy.product.clone(),
                amount_min: amount(buy.amount_min, || format!("{}.buy.amount_min", place()))?,
                is_cumulative: buy.cumulative,
            },
            (None, Some(tag)) => FulfillmentKind::Tag { tag: tag.tag.clone(), count: tag.count },
            (Some(_), Some(_)) | (None, None) => return Err(fault(place(), "needs exactly one of buy and tag")),
        };
        Ok(FulfillmentDraft { name: self.name.clone(), kind })
    }
}

impl RewardFile {
    fn to_draft(&self) -> Result<RewardDraft, CatalogueFault> {
        let place = || format!("rewards[{}]", self.name);
        let pays = match (self.points, &self.kind, self.wallet_credit) {
            (Some(points), Some(kind), None) => RewardPaysDraft::Points {
                kind: kind.clone(),
                points: amount(points, || format!("{}.points", place()))?,
                life_days: self.life_days,
                pending_days: self.pending_days,
            },
            (None, None, Some(_)) if self.life_days.is_some() => {
                return Err(fault(format!("{}.life_days", place()), "is of points: money does not expire"));
            }
            (None, None, Some(_)) if self.pending_days.is_some() => {
                return Err(fault(format!("{}.pending_days", place()), "is of points: money is never pending"));
            }
            (None, None, Some(credit)) => {
                RewardPaysDraft::WalletCredit(amount(credit, || format!("{}.wallet_credit", place()))?)
            }
            _ => return Err(fault(place(), "needs points and their kind, or wallet_credit")),
        };
        Ok(RewardDraft { name: self.name.clone(), pays })
    }
}

impl CampaignFile {
    fn to_draft(&self, zone: &TimeZone) -> Result<CampaignDraft, CatalogueFault> {
        let place = |field: &str| format!("campaigns[{}].{field}", self.name);
        Ok(CampaignDraft {
            name: self.name.clone(),
            fulfillments: self.fulfillments.clone(),
            rewards: self.rewards.clone(),
            starts_at: instant(self.starts_at.as_ref(), zone, &place("starts_at"))?,
            ends_at: instant(self.ends_at.as_ref(), zone, &place("ends_at"))?,
            completions_max: self.completions_max,
            budget: self.budget,
        })
    }
}

impl OfferFile {
    fn to_draft(&self, zone: &TimeZone) -> Result<OfferDraft, CatalogueFault> {
        let place = |field: &str| format!("offers[{}].{field}", self.name);
        let gives = match self.wallet_credit {
            Some(credit) => OfferGives::WalletCredit { amount: amount(credit, || place("wallet_credit"))? },
            None => OfferGives::Item,
        };
        Ok(OfferDraft {
            name: self.name.clone(),
            kind: self.kind.clone(),
            points: amount(self.points, || place("points"))?,
            gives,
            stock: self.stock,
            is_active: self.active,
            starts_at: instant(self.starts_at.as_ref(), zone, &place("starts_at"))?,
            ends_at: instant(self.ends_at.as_ref(), zone, &place("ends_at"))?,
        })
    }
}

/// The names of the rules, by their ids.
struct Known(BTreeMap<RuleId, String>);

impl Known {
    fn of(catalogue: &Catalogue) -> Known {
        let kinds = catalogue.point_kinds.iter().map(|own| (own.id, own.name.clone()));
        let fulfillments = catalogue.fulfillments.iter().map(|own| (own.id, own.name.clone()));
        let rewards = catalogue.rewards.iter().map(|own| (own.id, own.name.clone()));
        Known(kinds.chain(fulfillments).chain(rewards).collect())
    }

    /// Every rule that another one names is there: the draft was resolved.
    fn name(&self, id: RuleId) -> String {
        self.0.get(&id).cloned().unwrap_or_else(|| format!("#{}", id.0))
    }

    fn names(&self, ids: &[RuleId]) -> Vec<String> {
        ids.iter().map(|id| self.name(*id)).collect()
    }
}

/// Writes cashback rules and campaigns as people write them, into a file that holds the rest.
pub(super) fn write_earning(file: &mut CatalogueFile, catalogue: &Catalogue, zone: Option<&TimeZone>) {
    let known = Known::of(catalogue);
    let partner = |id| catalogue.partner(id).map(|partner| partner.slug.clone());
    let text = |at: Option<Instant>| at.map(|at| period_text(at, zone));
    let external_id = |rule| catalogue.external_id(rule).map(str::to_owned);
    file.point_kinds = catalogue.point_kinds.iter().map(|kind| kind.name.clone()).collect();
    file.cashback_rules = (catalogue.cashback_rules.iter())
        .map(|rule| CashbackRuleFile {
            name: rule.name.clone(),
            external_id: external_id(rule.id),
            description: catalogue.description(rule.id).map(str::to_owned),
            rate: rule.rate.to_string(),
            products: rule.products.clone(),
            partner: rule.partner.and_then(partner),
            active: rule.is_active,
            ends_at: text(rule.ends_at),
            pays: known.name(rule.pays),
            life_days: rule.life_days,
            pending_days: rule.pending_days,
        })
        .collect();
    file.fulfillments = (catalogue.fulfillments.iter())
        .map(|own| {
            let (buy, tag) = match &own.kind {
                FulfillmentKind::Buy { product, amount_min, is_cumulative } => {
                    let (product, amount_min) = (product.clone(), Money(amount_min.minor_units()));
                    (Some(BuyFile { product, amount_min, cumulative: *is_cumulative }), None)
                }
                FulfillmentKind::Tag { tag, count } => (None, Some(TagFile { tag: tag.clone(), count: *count })),
            };
            FulfillmentFile { name: own.name.clone(), external_id: external_id(own.id), buy, tag }
        })
        .collect();
    file.rewards = (catalogue.rewards.iter())
        .map(|own| {
            let (points, kind, wallet_credit) = match own.kind {
                RewardKind::Points { kind, points } => {
                    (Some(Money(points.minor_units())), Some(known.name(kind)), None)
                }
                RewardKind::WalletCredit { amount } => (None, None, Some(Money(amount.minor_units()))),
            };
            let (life_days, pending_days) = (own.life_days, own.pending_days);
            let (name, external_id) = (own.name.clone(), external_id(own.id));
            RewardFile { name, external_id, points, kind, life_days, pending_days, wallet_credit }
        })
        .collect();
    file.campaigns = (catalogue.campaigns.iter())
        .map(|own| CampaignFile {
            name: own.name.clone(),
            external_id: external_id(own.id),
            fulfillments: known.names(&own.fulfillments),
            rewards: known.names(&own.rewards),
            starts_at: text(own.starts_at),
            ends_at: text(own.ends_at),
            completions_max: own.completions_max,
            budget: own.budget,
        })
        .collect();
    file.offers = catalogue.offers.iter().map(|own| offer_file(own, &known, zone)).collect();
}

fn offer_file(own: &Offer, known: &Known, zone: Option<&TimeZone>) -> OfferFile {
    OfferFile {
        name: own.name.clone(),
        kind: known.name(own.kind),
        points: Money(own.points.minor_units()),
        wallet_credit: match own.gives {
            OfferGives::WalletCredit { amount } => Some(Money(amount.minor_units())),
            OfferGives::Item => None,
        },
        stock: own.stock,
        active: own.is_active,
        starts_at: own.starts_at.map(|at| period_text(at, zone)),
        ends_at: own.ends_at.map(|at| period_text(at, zone)),
    }
}

/// Makes the drafts that would change nothing.
pub(super) fn earning_draft_of(catalogue: &Catalogue) -> EarningDraft {
    let known = Known::of(catalogue);
    EarningDraft {
        point_kinds: catalogue.point_kinds.iter().map(|kind| kind.name.clone()).collect(),
        cashback_rules: (catalogue.cashback_rules.iter())
            .map(|rule| CashbackDraft {
                name: rule.name.clone(),
                description: catalogue.description(rule.id).map(str::to_owned),
                rate: rule.rate,
                products: rule.products.clone(),
                partner: rule.partner.and_then(|id| catalogue.partner(id)).map(|partner| partner.slug.clone()),
                is_active: rule.is_active,
                ends_at: rule.ends_at,
                pays: known.name(rule.pays),
                life_days: rule.life_days,
                pending_days: rule.pending_days,
            })
            .collect(),
        fulfillments: (catalogue.fulfillments.iter())
            .map(|own| FulfillmentDraft { name: own.name.clone(), kind: own.kind.clone() })
            .collect(),
        rewards: (catalogue.rewards.iter())
            .map(|own| RewardDraft {
                name: own.name.clone(),
                pays: match own.kind {
                    RewardKind::Points { kind, points } => {
                        let (life_days, pending_days) = (own.life_days, own.pending_days);
                        RewardPaysDraft::Points { kind: known.name(kind), points, life_days, pending_days }
                    }
                    RewardKind::WalletCredit { amount } => RewardPaysDraft::WalletCredit(amount),
                },
            })
            .collect(),
        campaigns: (catalogue.campaigns.iter())
            .map(|own| CampaignDraft {
                name: own.name.clone(),
                fulfillments: known.names(&own.fulfillments),
                rewards: known.names(&own.rewards),
                starts_at: own.starts_at,
                ends_at: own.ends_at,
                completions_max: own.completions_max,
                budget: own.budget,
            })
            .collect(),
        offers: (catalogue.offers.iter())
            .map(|own| OfferDraft {
                name: own.name.clone(),
                kind: known.name(own.kind),
                points: own.points,
                gives: own.gives,
                stock: own.stock,
                is_active: own.is_active,
                starts_at: own.starts_at,
                ends_at: own.ends_at,
            })
            .collect(),
        external_ids: external_ids_of(catalogue),
    }
}

fn external_ids_of(catalogue: &Catalogue) -> Vec<ExternalIdDraft> {
    let fulfillments = catalogue.fulfillments.iter().map(|own| (Identified::Fulfillment, &own.name, own.id));
    let rewards = catalogue.rewards.iter().map(|own| (Identified::Reward, &own.name, own.id));
    let campaigns = catalogue.campaigns.iter().map(|own| (Identified::Campaign, &own.name, own.id));
    let draft = |(of, name, rule): (Identified, &String, RuleId)| {
        Some(ExternalIdDraft { of, name: name.clone(), id: catalogue.external_id(rule)?.to_owned() })
    };
    let cashback_rules = catalogue.cashback_rules.iter().map(|own| (Identified::CashbackRule, &own.name, own.id));
    fulfillments.chain(rewards).chain(campaigns).chain(cashback_rules).filter_map(draft).collect()
}
