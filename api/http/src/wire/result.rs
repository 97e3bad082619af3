//! The `result` of a purchase, version 1: frozen. What it says is stored with the record, so it is the same for ever.
//!
//! A member added or renamed here breaks the promise that a repeat gets the same bytes; golden files watch over it.

use std::borrow::Cow;

use kembali_core::catalogue::{Catalogue, TierProgram};
use kembali_core::event::{Body, DeclineReason, Event, PromoDeclined, PromoGranted, PurchaseBooked, TierStepped};
use kembali_core::journey::{Remark, Standing};
use kembali_core::{PartnerId, RuleId, Seq};
use serde::Serialize;

use super::instant::{Rfc3339, UuidText};

/// A record that books no purchase was to be shown as one, or a value cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// There is no purchase in it.
    #[error("the record books no purchase")]
    NoPurchase,
    /// The writer failed.
    #[error("writing JSON")]
    Json(#[from] serde_json::Error),
}

/// What is said of a booked purchase.
#[derive(Serialize)]
pub(crate) struct PurchaseResult<'a> {
    id: Option<UuidText>,
    seq: Option<u64>,
    tenant: &'a str,
    partner: Cow<'a, str>,
    origin_id: &'a str,
    customer: Option<UuidText>,
    amount: i64,
    quantity: i64,
    currency: &'a str,
    at: Rfc3339,
    #[serde(skip_serializing_if = "Option::is_none")]
    occurred_at: Option<Rfc3339>,
    received_at: Rfc3339,
    catalogue_version: u32,
    tiers: Vec<TierStep<'a>>,
    point_transaction: i64,
    point_loyalty: i64,
    point_total: i64,
    effects: Vec<Effect<'a>>,
    declined: Vec<Declined<'a>>,
    balances: [Balance<'a>; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    dry_run: Option<bool>,
}

#[derive(Serialize)]
pub(crate) struct TierStep<'a> {
    program: Cow<'a, str>,
    before: Option<Place<'a>>,
    after: Place<'a>,
    remark: &'static str,
}

#[derive(Serialize)]
struct Place<'a> {
    level: Cow<'a, str>,
    count: u32,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Effect<'a> {
    Cashback {
        promo: Cow<'a, str>,
        rule: u32,
        band: u32,
        version: u32,
        percent: String,
        points: i64,
    },
    Milestone {
        program: Cow<'a, str>,
        level: Cow<'a, str>,
        rule: u32,
        version: u32,
        at_count: u32,
        points: i64,
    },
    TierChange {
        program: Cow<'a, str>,
        from: Cow<'a, str>,
        to: Cow<'a, str>,
        remark: &'static str,
        rule: u32,
        version: u32,
    },
}

#[derive(Serialize)]
pub(crate) struct Declined<'a> {
    rule: u32,
    promo: Cow<'a, str>,
    version: u32,
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    band: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quota: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    points: Option<i64>,
}

#[derive(Serialize)]
struct Balance<'a> {
    wallet: u16,
    currency: &'a str,
    balance: i64,
}

/// Writes the result of a booked purchase to the end of `out`.
///
/// # Errors
///
/// [`RenderError`].
pub fn render(out: &mut Vec<u8>, seq: Seq, body: &Body, catalogue: &Catalogue) -> Result<(), RenderError> {
    let result = result_of(Some(seq), body, catalogue).ok_or(RenderError::NoPurchase)?;
    Ok(serde_json::to_writer(out, &result)?)
}

/// Writes the result of a purchase that would be booked: no id, no position, and the mark that it is a dry run.
///
/// # Errors
///
/// [`RenderError`].
pub fn render_dry_run(out: &mut Vec<u8>, body: &Body, catalogue: &Catalogue) -> Result<(), RenderError> {
    let result = result_of(None, body, catalogue).ok_or(RenderError::NoPurchase)?;
    Ok(serde_json::to_writer(out, &result)?)
}

/// Finds the purchase that a record books.
pub(crate) fn purchase_of(body: &Body) -> Option<&PurchaseBooked> {
    body.events.iter().find_map(|event| match event {
        Event::PurchaseBooked(booked) => Some(&**booked),
        _ => None,
    })
}

/// Returns the remark as it is shown.
pub(crate) const fn remark_text(remark: Remark) -> &'static str {
    match remark {
        Remark::None => "none",
        Remark::FirstTransaction => "first_transaction",
        Remark::Upgrade => "upgrade",
        Remark::Downgrade => "downgrade",
        Remark::Reset => "reset",
        Remark::Maximum => "maximum",
    }
}

/// Puts the result together; `seq` is `None` of a dry run.
pub(crate) fn result_of<'a>(seq: Option<Seq>, body: &'a Body, catalogue: &'a Catalogue) -> Option<PurchaseResult<'a>> {
    let booked = purchase_of(body)?;
    let currency = catalogue.currency.code.as_str();
    let names = Names { catalogue };
    let mut result = PurchaseResult {
        id: seq.map(|_| UuidText(booked.key.0)),
        seq: seq.map(|seq| seq.0),
        tenant: &catalogue.slug,
        partner: names.partner(booked.partner),
        origin_id: &booked.purchase.origin_id,
        customer: body.customer.map(|customer| UuidText(customer.0)),
        amount: booked.purchase.amount,
        quantity: booked.purchase.quantity,
        currency: catalogue.currency.code.as_str(),
        at: Rfc3339(booked.at),
        occurred_at: booked.purchase.occurred_at.map(Rfc3339),
        received_at: Rfc3339(body.received_at),
        catalogue_version: body.catalogue_version,
        tiers: Vec::new(),
        point_transaction: 0,
        point_loyalty: 0,
        point_total: 0,
        effects: Vec::new(),
        declined: Vec::new(),
        balances: [Balance { wallet: 0, currency, balance: booked.balance_after.minor_units() }],
        dry_run: if seq.is_none() { Some(true) } else { None },
    };
    for event in &body.events {
        match event {
            Event::PromoGranted(granted) => {
                result.point_transaction += granted.points.minor_units();
                result.effects.push(names.cashback(granted));
            }
            Event::PromoDeclined(declined) => result.declined.push(names.declined(declined)),
            Event::TierStepped(stepped) => {
                result.tiers.push(names.step(stepped));
                result.effects.extend(names.tier_change(stepped));
            }
            Event::MilestoneReached(reached) => {
                result.point_loyalty += reached.points.minor_units();
                let program = catalogue.program(reached.program);
                result.effects.push(Effect::Milestone {
                    program: names.program(reached.program),
                    level: names.level(program, reached.level),
                    rule: reached.milestone.0,
                    version: catalogue.version,
                    at_count: reached.at_count,
                    points: reached.points.minor_units(),
                });
            }
            Event::CatalogueApplied(_)
            | Event::CustomerCreated(_)
            | Event::PurchaseBooked(_)
            | Event::PurchaseRefused(_)
            | Event::WalletEntry(_) => (),
        }
    }
    result.point_total = result.point_transaction + result.point_loyalty;
    Some(result)
}

/// Turns ids into names, by the rules that the record was decided by.
pub(crate) struct Names<'a> {
    pub(crate) catalogue: &'a Catalogue,
}

impl<'a> Names<'a> {
    /// A rule that is gone from the catalogue is shown by its number.
    fn or_number(&self, name: Option<&'a str>, number: u32) -> Cow<'a, str> {
        name.map_or_else(|| Cow::Owned(format!("#{number}")), Cow::Borrowed)
    }

    pub(crate) fn partner(&self, id: PartnerId) -> Cow<'a, str> {
        self.or_number(self.catalogue.partner(id).map(|partner| &*partner.slug), id.0)
    }

    pub(crate) fn promo(&self, id: RuleId) -> Cow<'a, str> {
        self.or_number(self.catalogue.promo(id).map(|promo| &*promo.code), id.0)
    }

    pub(crate) fn program(&self, id: RuleId) -> Cow<'a, str> {
        self.or_number(self.catalogue.program(id).map(|program| &*program.name), id.0)
    }

    pub(crate) fn level(&self, program: Option<&'a TierProgram>, id: RuleId) -> Cow<'a, str> {
        self.or_number(program.and_then(|program| program.level(id)).map(|level| &*level.name), id.0)
    }

    /// Returns the share that a band pays; `None` of a band that is gone from the catalogue.
    pub(crate) fn percent(&self, granted: &PromoGranted) -> Option<String> {
        let bands = &self.catalogue.promo(granted.promo)?.bands;
        bands.iter().find(|band| band.id == granted.band).map(|band| band.percent.to_string())
    }

    fn cashback(&self, granted: &PromoGranted) -> Effect<'a> {
        Effect::Cashback {
            promo: self.promo(granted.promo),
            rule: granted.promo.0,
            band: granted.band.0,
            version: self.catalogue.version,
            percent: self.percent(granted).unwrap_or_default(),
            points: granted.points.minor_units(),
        }
    }

    pub(crate) fn declined(&self, declined: &PromoDeclined) -> Declined<'a> {
        let (reason, band, quota, points) = match declined.reason {
            DeclineReason::OutsidePeriod => ("outside_period", None, None, None),
            DeclineReason::NoBand => ("no_band", None, None, None),
            DeclineReason::RoundsToZero { band } => ("rounds_to_zero", Some(band.0), None, None),
            DeclineReason::QuotaExhausted { band, quota, points } => {
                ("quota_exhausted", Some(band.0), Some(quota), Some(points.minor_units()))
            }
        };
        let (rule, promo) = (declined.promo.0, self.promo(declined.promo));
        Declined { rule, promo, version: self.catalogue.version, reason, band, quota, points }
    }

    pub(crate) fn step(&self, stepped: &TierStepped) -> TierStep<'a> {
        let program = self.catalogue.program(stepped.after.program);
        let place = |standing: &Standing| Place { level: self.level(program, standing.level), count: standing.count };
        TierStep {
            program: self.program(stepped.after.program),
            before: stepped.before.as_ref().map(place),
            after: place(&stepped.after),
            remark: remark_text(stepped.remark),
        }
    }

    fn tier_change(&self, stepped: &TierStepped) -> Option<Effect<'a>> {
        let before = stepped.before.filter(|before| before.level != stepped.after.level)?;
        let program = self.catalogue.program(stepped.after.program);
        Some(Effect::TierChange {
            program: self.program(stepped.after.program),
            from: self.level(program, before.level),
            to: self.level(program, stepped.after.level),
            remark: remark_text(stepped.remark),
            rule: stepped.after.level.0,
            version: self.catalogue.version,
        })
    }
}
