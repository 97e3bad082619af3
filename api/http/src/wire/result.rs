//! The `result` of a purchase, version 1: frozen. What it says is stored with the record, so it is the same for ever.
//!
//! A member added or renamed here breaks the promise that a repeat gets the same bytes; golden files watch over it.

use std::borrow::Cow;
use std::sync::Arc;

use kembali_core::catalogue::{Catalogue, RewardKind, TierProgram};
use kembali_core::event::{
    Body, CashbackEarned, DeclineReason, Event, FulfillmentAdvanced, Placed, PlacementReason, PromoDeclined,
    PromoGranted, PurchaseBooked, RewardGranted, SpendCounted, TierPlaced, TierStepped,
};
use kembali_core::journey::{Remark, Standing};
use kembali_core::points::PointEntry;
use kembali_core::threshold::SpendStanding;
use kembali_core::{PartnerId, RuleId, Seq};
use serde::Serialize;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::instant::{Rfc3339, UuidText};
use super::json;
use super::refund::{RefundState, is_same_level};

/// A record was to be shown as what it is not, or a value cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// There is no purchase in it.
    #[error("the record books no purchase")]
    NoPurchase,
    /// There is no operation in it.
    #[error("the record is of no operation")]
    NoOperation,
    /// The writer failed.
    #[error("writing JSON")]
    Json(#[from] serde_json::Error),
}

/// What is said of a booked purchase; the same for ever.
#[derive(Serialize, ToSchema)]
pub(crate) struct PurchaseResult<'a> {
    /// The purchase's id; null in a dry run.
    #[schema(required)]
    id: Option<UuidText>,
    /// The position of its record; null in a dry run.
    #[schema(required)]
    seq: Option<u64>,
    /// The tenant's slug.
    tenant: &'a str,
    /// The slug of the partner that sent it.
    partner: Cow<'a, str>,
    /// The partner's own id of it.
    origin_id: &'a str,
    /// The customer's id.
    #[schema(required)]
    customer: Option<UuidText>,
    /// What was paid, in minor units.
    amount: i64,
    /// How many pieces.
    quantity: i64,
    /// The currency of every amount and of points.
    currency: &'a str,
    /// The instant that the rules saw.
    at: Rfc3339,
    /// When it occurred, if the partner said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    occurred_at: Option<Rfc3339>,
    /// When the ledger received it.
    received_at: Rfc3339,
    /// The version of the rules that decided it.
    catalogue_version: u32,
    /// The step in each tier programme.
    tiers: Vec<TierStep<'a>>,
    /// What promos pay.
    point_transaction: i64,
    /// What milestones pay.
    point_loyalty: i64,
    /// Both.
    point_total: i64,
    /// What it caused.
    effects: Vec<Effect<'a>>,
    /// What it did not get, and why.
    declined: Vec<Declined<'a>>,
    /// What is in the wallets afterwards.
    #[schema(value_type = Vec<Balance<'a>>)]
    balances: [Balance<'a>; 1],
    /// The point accounts that it moved, afterwards; not there where it moved none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    points: Vec<PointBalance<'a>>,
    /// True of a dry run; else not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    dry_run: Option<bool>,
}

/// A step in a tier programme.
#[derive(Serialize, ToSchema)]
pub(crate) struct TierStep<'a> {
    /// The programme.
    program: Cow<'a, str>,
    /// Where the customer stood; null at the first purchase.
    #[schema(required)]
    before: Option<Place<'a>>,
    /// Where the customer stands.
    after: Place<'a>,
    /// What the step was.
    #[schema(value_type = RemarkName)]
    remark: &'static str,
}

impl TierStep<'_> {
    /// Keeps the names beyond the rules that they come from.
    pub(crate) fn into_owned(self) -> TierStep<'static> {
        let owned = |name: Cow<'_, str>| Cow::Owned(name.into_owned());
        let place = |place: Place<'_>| Place { level: owned(place.level), ..place };
        TierStep {
            program: owned(self.program),
            before: self.before.map(place),
            after: place(self.after),
            remark: self.remark,
        }
    }
}

/// A place in a tier programme.
#[derive(Serialize, ToSchema)]
#[schema(as = TierPlace)]
struct Place<'a> {
    /// The level.
    level: Cow<'a, str>,
    /// Purchases within the level, in a Journey programme.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    count: Option<u32>,
    /// All that was ever spent, in minor units, in a Threshold programme.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    spent: Option<i64>,
}

/// What a purchase caused.
#[derive(Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Effect<'a> {
    /// A promo paid.
    Cashback {
        /// The promo's code.
        promo: Cow<'a, str>,
        /// The promo's id.
        rule: u32,
        /// The id of the band that fits.
        band: u32,
        /// The version of the rules.
        version: u32,
        /// The share, a decimal string.
        percent: String,
        /// What it paid, in minor units.
        points: i64,
    },
    /// A milestone was reached and paid.
    Milestone {
        /// The programme.
        program: Cow<'a, str>,
        /// The level.
        level: Cow<'a, str>,
        /// The milestone's id.
        rule: u32,
        /// The version of the rules.
        version: u32,
        /// The count within the level.
        at_count: u32,
        /// What it paid, in minor units.
        points: i64,
    },
    /// The customer moved to another level.
    TierChange {
        /// The programme.
        program: Cow<'a, str>,
        /// The level before.
        from: Cow<'a, str>,
        /// The level after.
        to: Cow<'a, str>,
        /// What the step was.
        #[schema(value_type = RemarkName)]
        remark: &'static str,
        /// The id of the level after.
        rule: u32,
        /// The version of the rules.
        version: u32,
    },
    /// A cashback rule paid.
    CashbackRule {
        /// The rule's name.
        name: Cow<'a, str>,
        /// The rule's id.
        rule: u32,
        /// The version of the rules.
        version: u32,
        /// The kind of points.
        kind: Cow<'a, str>,
        /// What it paid.
        points: i64,
    },
    /// A fulfillment of a campaign came nearer, or was met.
    Fulfillment {
        /// The campaign.
        campaign: Cow<'a, str>,
        /// The fulfillment.
        fulfillment: Cow<'a, str>,
        /// The fulfillment's id.
        rule: u32,
        /// The version of the rules.
        version: u32,
        /// What counts so far.
        so_far: u64,
        /// True once it is met.
        met: bool,
    },
    /// A campaign was completed.
    Campaign {
        /// The campaign.
        campaign: Cow<'a, str>,
        /// The campaign's id.
        rule: u32,
        /// The version of the rules.
        version: u32,
        /// How often the customer has completed it now.
        completions: u32,
    },
    /// A campaign paid a reward.
    Reward {
        /// The campaign.
        campaign: Cow<'a, str>,
        /// The reward.
        reward: Cow<'a, str>,
        /// The reward's id.
        rule: u32,
        /// The version of the rules.
        version: u32,
        /// The kind of points, of a reward in points.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        kind: Option<Cow<'a, str>>,
        /// How many points.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        points: Option<i64>,
        /// What it credits to the wallet, in minor units, of a reward in money.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        wallet_credit: Option<i64>,
    },
}

/// What a purchase did not get, and why.
#[derive(Serialize, ToSchema)]
pub(crate) struct Declined<'a> {
    /// The promo's id.
    rule: u32,
    /// The promo's code.
    promo: Cow<'a, str>,
    /// The version of the rules.
    version: u32,
    /// Why it does not pay.
    #[schema(value_type = ReasonName)]
    reason: &'static str,
    /// The id of the band that would fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    band: Option<u32>,
    /// The quota that is used up.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    quota: Option<u64>,
    /// What it would have paid, in minor units.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    points: Option<i64>,
}

/// What is in a wallet.
#[derive(Serialize, ToSchema)]
pub(crate) struct Balance<'a> {
    /// The wallet's number.
    pub(crate) wallet: u16,
    /// The currency of `balance`.
    pub(crate) currency: &'a str,
    /// How much is in it, in minor units.
    pub(crate) balance: i64,
}

/// What is in a point account.
#[derive(Serialize, ToSchema)]
pub(crate) struct PointBalance<'a> {
    /// The kind of points.
    pub(crate) kind: Cow<'a, str>,
    /// How many there are.
    pub(crate) balance: i64,
}

impl<'a> PointBalance<'a> {
    /// Notes what an account holds after one more entry.
    pub(crate) fn note(balances: &mut Vec<PointBalance<'a>>, entry: &PointEntry, names: &Names<'a>) {
        let (kind, balance) = (names.point_kind(entry.kind), entry.balance_after.minor_units());
        match balances.iter_mut().find(|own| own.kind == kind) {
            Some(own) => own.balance = balance,
            None => balances.push(PointBalance { kind, balance }),
        }
    }
}

/// Stands for a remark in the schema.
struct RemarkName;

impl PartialSchema for RemarkName {
    fn schema() -> RefOr<Schema> {
        let remarks = REMARKS.map(remark_text).into_iter().chain(PLACEMENTS);
        names_schema(remarks, "What a step in a tier programme was.")
    }
}

impl ToSchema for RemarkName {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Remark")
    }
}

/// Stands for the reason of a promo that declines in the schema.
struct ReasonName;

impl PartialSchema for ReasonName {
    fn schema() -> RefOr<Schema> {
        let reasons = [OUTSIDE_PERIOD, NO_BAND, ROUNDS_TO_ZERO, QUOTA_EXHAUSTED];
        names_schema(reasons, "Why a promo does not pay.")
    }
}

impl ToSchema for ReasonName {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("DeclineReason")
    }
}

fn names_schema<'a>(names: impl IntoIterator<Item = &'a str>, says: &str) -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names)).description(Some(says)).into()
}

/// Every remark.
pub(crate) const REMARKS: [Remark; 7] = [
    Remark::None,
    Remark::FirstTransaction,
    Remark::Upgrade,
    Remark::Downgrade,
    Remark::Reset,
    Remark::Maximum,
    Remark::Restart,
];

const PROMOTE: &str = "promote";
const DEMOTE: &str = "demote";
const TIER_REMOVED: &str = "tier_removed";
const REFUND: &str = "refund";

/// Every reason for which a customer is placed on another level without a purchase.
const PLACEMENTS: [&str; 4] = [PROMOTE, DEMOTE, TIER_REMOVED, REFUND];

const OUTSIDE_PERIOD: &str = "outside_period";
const NO_BAND: &str = "no_band";
const ROUNDS_TO_ZERO: &str = "rounds_to_zero";
const QUOTA_EXHAUSTED: &str = "quota_exhausted";

/// The rules that a record was decided by, and former ones: a level that was removed has its name there.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// The rules of the record's version.
    pub catalogue: &'a Catalogue,
    /// The last rules that still had each level from which the record places its customer; see
    /// [`kembali_engine::Engine::former_rules`].
    pub former: &'a [Arc<Catalogue>],
}

impl<'a> From<&'a Catalogue> for Rules<'a> {
    /// Of a record that places nobody.
    fn from(catalogue: &'a Catalogue) -> Rules<'a> {
        Rules { catalogue, former: &[] }
    }
}

impl<'a> From<&'a Arc<Catalogue>> for Rules<'a> {
    fn from(catalogue: &'a Arc<Catalogue>) -> Rules<'a> {
        Rules::from(&**catalogue)
    }
}

/// Writes the result of a booked purchase to the end of `out`.
///
/// # Errors
///
/// [`RenderError`].
pub fn render<'a>(out: &mut Vec<u8>, seq: Seq, body: &'a Body, rules: impl Into<Rules<'a>>) -> Result<(), RenderError> {
    let result = result_of(Some(seq), body, rules.into()).ok_or(RenderError::NoPurchase)?;
    Ok(json::write(out, &result)?)
}

/// Writes the result of a purchase that would be booked, or was and is only tried again: no id, no position, and the
/// mark that it is a dry run.
///
/// # Errors
///
/// [`RenderError`].
pub fn render_dry_run<'a>(out: &mut Vec<u8>, body: &'a Body, rules: impl Into<Rules<'a>>) -> Result<(), RenderError> {
    let result = result_of(None, body, rules.into()).ok_or(RenderError::NoPurchase)?;
    Ok(json::write(out, &result)?)
}

/// A purchase of which something was refunded: its result, and what was refunded.
#[derive(Serialize, ToSchema)]
pub(crate) struct RefundedPurchase<'a> {
    #[serde(flatten)]
    result: PurchaseResult<'a>,
    /// What was refunded so far; not there where nothing was.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    refunds: Option<RefundState<'a>>,
}

/// Writes the result of a purchase of which something was refunded to the end of `out`.
///
/// # Errors
///
/// [`RenderError`].
pub(crate) fn render_refunded<'a>(
    out: &mut Vec<u8>,
    seq: Seq,
    body: &'a Body,
    rules: Rules<'a>,
    refunds: RefundState<'a>,
) -> Result<(), RenderError> {
    let result = result_of(Some(seq), body, rules).ok_or(RenderError::NoPurchase)?;
    Ok(serde_json::to_writer(out, &RefundedPurchase { result, refunds: Some(refunds) })?)
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
        Remark::Restart => "restart",
    }
}

const fn placement_text(reason: PlacementReason) -> &'static str {
    match reason {
        PlacementReason::Promoted => PROMOTE,
        PlacementReason::Demoted => DEMOTE,
        PlacementReason::LevelRemoved { .. } => TIER_REMOVED,
        PlacementReason::Refunded => REFUND,
    }
}

fn spend_remark(counted: &SpendCounted) -> Remark {
    match counted.before {
        None => Remark::FirstTransaction,
        Some(before) if before.level == counted.after.level => Remark::None,
        Some(_) => Remark::Upgrade,
    }
}

/// Puts the result together; `seq` is `None` of a dry run.
pub(crate) fn result_of<'a>(seq: Option<Seq>, body: &'a Body, rules: Rules<'a>) -> Option<PurchaseResult<'a>> {
    let Rules { catalogue, former } = rules;
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
        points: Vec::new(),
        dry_run: if seq.is_none() { Some(true) } else { None },
    };
    for event in &body.events {
        result.effects.extend(names.effect(event, former));
        match event {
            Event::PromoGranted(granted) => result.point_transaction += granted.points.minor_units(),
            Event::PromoDeclined(declined) => result.declined.push(names.declined(declined)),
            Event::TierStepped(stepped) => result.tiers.push(names.step(stepped)),
            Event::MilestoneReached(reached) => result.point_loyalty += reached.points.minor_units(),
            Event::SpendCounted(counted) => result.tiers.push(names.spend_step(counted)),
            Event::PointEntry(entry) => PointBalance::note(&mut result.points, entry, &names),
            _ => (),
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
    /// Shows an event as an effect, if it is one of those that purchases have.
    pub(crate) fn effect(&self, event: &Event, former: &'a [Arc<Catalogue>]) -> Option<Effect<'a>> {
        Some(match event {
            Event::PromoGranted(granted) => self.cashback(granted),
            Event::TierStepped(stepped) => return self.tier_change(stepped),
            Event::MilestoneReached(reached) => Effect::Milestone {
                program: self.program(reached.program),
                level: self.level(self.catalogue.program(reached.program), reached.level),
                rule: reached.milestone.0,
                version: self.catalogue.version,
                at_count: reached.at_count,
                points: reached.points.minor_units(),
            },
            Event::SpendCounted(counted) => return self.spend_change(counted),
            // What was spent is less, and the level is the same.
            Event::TierPlaced(placed) if is_same_level(placed) => return None,
            Event::TierPlaced(placed) => self.placement_change(placed, former),
            Event::CashbackEarned(earned) => self.cashback_rule(earned),
            Event::FulfillmentAdvanced(advanced) => self.fulfillment(advanced),
            Event::CampaignCompleted(completed) => Effect::Campaign {
                campaign: self.campaign(completed.campaign),
                rule: completed.campaign.0,
                version: self.catalogue.version,
                completions: completed.completions,
            },
            Event::RewardGranted(granted) => self.reward(granted),
            Event::CatalogueApplied(_)
            | Event::CustomerCreated(_)
            | Event::PurchaseBooked(_)
            | Event::PurchaseRefused(_)
            | Event::PromoDeclined(_)
            | Event::WalletEntry(_)
            | Event::PointEntry(_)
            | Event::PurchaseRefunded(_)
            | Event::HousePosted(_)
            | Event::OperationDone(_)
            | Event::OperationRefused(_)
            | Event::WalletOpened(_)
            | Event::WalletStatusSet(_)
            | Event::OfferRedeemed(_)
            | Event::HoldPlaced(_)
            | Event::HoldClosed(_)
            | Event::TransferSent(_)
            | Event::TransferCredited(_)
            | Event::TransferDeclined(_)
            | Event::TransferSettled(_)
            | Event::TransferReturned(_)
            | Event::InvoiceOpened(_)
            | Event::InvoiceCancelled(_)
            | Event::InvoicePaid(_)
            | Event::OperationReversed(_)
            | Event::ReviewOpened(_)
            | Event::ReviewClosed(_)
            | Event::OperationCounted(_)
            | Event::PurchaseBlocked(_)
            | Event::Audited(_)
            | Event::CustomerErased
            | Event::RiskCheckArchived(_)
            | Event::RiskChecked(_) => return None,
        })
    }

    /// A rule that is gone from the catalogue is shown by its number.
    fn or_number(&self, name: Option<&'a str>, number: u32) -> Cow<'a, str> {
        name.map_or_else(|| Cow::Owned(format!("#{number}")), Cow::Borrowed)
    }

    pub(crate) fn partner(&self, id: PartnerId) -> Cow<'a, str> {
        self.or_number(self.catalogue.partner(id).map(|partner| &*partner.slug), id.0)
    }

    pub(crate) fn risk_rule(&self, id: RuleId) -> Cow<'a, str> {
        self.or_number(self.catalogue.risk_rule(id).map(|rule| &*rule.name), id.0)
    }

    pub(crate) fn promo(&self, id: RuleId) -> Cow<'a, str> {
        self.or_number(self.catalogue.promo(id).map(|promo| &*promo.code), id.0)
    }

    pub(crate) fn program(&self, id: RuleId) -> Cow<'a, str> {
        self.or_number(self.catalogue.program(id).map(|program| &*program.name), id.0)
    }

    pub(crate) fn level(&self, program: Option<&'a TierProgram>, id: RuleId) -> Cow<'a, str> {
        self.or_number(program.and_then(|program| program.level_name(id)), id.0)
    }

    pub(crate) fn point_kind(&self, id: RuleId) -> Cow<'a, str> {
        self.or_number(self.catalogue.point_kind(id).map(|kind| &*kind.name), id.0)
    }

    /// Names what points are spent on.
    pub(crate) fn offer(&self, id: RuleId) -> Cow<'a, str> {
        self.or_number(self.catalogue.offer(id).map(|offer| &*offer.name), id.0)
    }

    /// Names what grants points: a cashback rule or a reward.
    pub(crate) fn source(&self, id: RuleId) -> Cow<'a, str> {
        let rule = self.catalogue.cashback_rule(id).map(|rule| &*rule.name);
        self.or_number(rule.or_else(|| self.catalogue.reward(id).map(|reward| &*reward.name)), id.0)
    }

    pub(crate) fn campaign(&self, id: RuleId) -> Cow<'a, str> {
        self.or_number(self.catalogue.campaign(id).map(|campaign| &*campaign.name), id.0)
    }

    pub(crate) fn fulfillment_name(&self, id: RuleId) -> Cow<'a, str> {
        self.or_number(self.catalogue.fulfillment(id).map(|own| &*own.name), id.0)
    }

    pub(crate) fn cashback_rule(&self, earned: &CashbackEarned) -> Effect<'a> {
        Effect::CashbackRule {
            name: self.or_number(self.catalogue.cashback_rule(earned.rule).map(|rule| &*rule.name), earned.rule.0),
            rule: earned.rule.0,
            version: self.catalogue.version,
            kind: self.point_kind(earned.kind),
            points: earned.points.minor_units(),
        }
    }

    pub(crate) fn fulfillment(&self, advanced: &FulfillmentAdvanced) -> Effect<'a> {
        let progress = advanced.progress;
        Effect::Fulfillment {
            campaign: self.campaign(advanced.campaign),
            fulfillment: self.fulfillment_name(progress.fulfillment),
            rule: progress.fulfillment.0,
            version: self.catalogue.version,
            so_far: progress.so_far,
            met: progress.is_met,
        }
    }

    pub(crate) fn reward(&self, granted: &RewardGranted) -> Effect<'a> {
        let (kind, points, wallet_credit) = match granted.paid {
            RewardKind::Points { kind, points } => (Some(self.point_kind(kind)), Some(points.minor_units()), None),
            RewardKind::WalletCredit { amount } => (None, None, Some(amount.minor_units())),
        };
        Effect::Reward {
            campaign: self.campaign(granted.campaign),
            reward: self.or_number(self.catalogue.reward(granted.reward).map(|own| &*own.name), granted.reward.0),
            rule: granted.reward.0,
            version: self.catalogue.version,
            kind,
            points,
            wallet_credit,
        }
    }

    /// Shows what was spent as a step: buying leads up or nowhere.
    pub(crate) fn spend_step(&self, counted: &SpendCounted) -> TierStep<'a> {
        let program = self.catalogue.program(counted.after.program);
        let place = |standing: &SpendStanding| self.spend_place(program, standing);
        TierStep {
            program: self.program(counted.after.program),
            before: counted.before.as_ref().map(place),
            after: place(&counted.after),
            remark: remark_text(spend_remark(counted)),
        }
    }

    fn spend_change(&self, counted: &SpendCounted) -> Option<Effect<'a>> {
        let before = counted.before.filter(|before| before.level != counted.after.level)?;
        let program = self.catalogue.program(counted.after.program);
        Some(Effect::TierChange {
            program: self.program(counted.after.program),
            from: self.level(program, before.level),
            to: self.level(program, counted.after.level),
            remark: remark_text(Remark::Upgrade),
            rule: counted.after.level.0,
            version: self.catalogue.version,
        })
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
            DeclineReason::OutsidePeriod => (OUTSIDE_PERIOD, None, None, None),
            DeclineReason::NoBand => (NO_BAND, None, None, None),
            DeclineReason::RoundsToZero { band } => (ROUNDS_TO_ZERO, Some(band.0), None, None),
            DeclineReason::QuotaExhausted { band, quota, points } => {
                (QUOTA_EXHAUSTED, Some(band.0), Some(quota), Some(points.minor_units()))
            }
        };
        let (rule, promo) = (declined.promo.0, self.promo(declined.promo));
        Declined { rule, promo, version: self.catalogue.version, reason, band, quota, points }
    }

    pub(crate) fn step(&self, stepped: &TierStepped) -> TierStep<'a> {
        let program = self.catalogue.program(stepped.after.program);
        let place = |standing: &Standing| self.journey_place(program, standing);
        TierStep {
            program: self.program(stepped.after.program),
            before: stepped.before.as_ref().map(place),
            after: place(&stepped.after),
            remark: remark_text(stepped.remark),
        }
    }

    fn journey_place(&self, program: Option<&'a TierProgram>, standing: &Standing) -> Place<'a> {
        Place { level: self.level(program, standing.level), count: Some(standing.count), spent: None }
    }

    fn spend_place(&self, program: Option<&'a TierProgram>, standing: &SpendStanding) -> Place<'a> {
        let spent = Some(standing.spent.minor_units());
        Place { level: self.level(program, standing.level), count: None, spent }
    }

    /// Shows a placement as a step: where the customer stood and stands, and why.
    pub(crate) fn placement(&self, placed: &TierPlaced, former: &'a [Arc<Catalogue>]) -> TierStep<'a> {
        let program = self.catalogue.program(placed.placed.program());
        let (mut before, after) = match &placed.placed {
            Placed::Journey { before, after } => {
                (self.journey_place(program, before), self.journey_place(program, after))
            }
            Placed::Threshold { before, after } => {
                (self.spend_place(program, before), self.spend_place(program, after))
            }
        };
        before.level = self.level_left(placed, former);
        TierStep {
            program: self.program(placed.placed.program()),
            before: Some(before),
            after,
            remark: placement_text(placed.reason),
        }
    }

    /// Names the level that a placement leads away from, which the present rules may not have any more.
    fn level_left(&self, placed: &TierPlaced, former: &'a [Arc<Catalogue>]) -> Cow<'a, str> {
        let (program, level) = (placed.placed.program(), placed.placed.from());
        let mut rules = std::iter::once(self.catalogue).chain(former.iter().map(|rules| &**rules));
        self.or_number(rules.find_map(|rules| rules.program(program)?.level_name(level)), level.0)
    }

    pub(crate) fn placement_change(&self, placed: &TierPlaced, former: &'a [Arc<Catalogue>]) -> Effect<'a> {
        let program = self.catalogue.program(placed.placed.program());
        Effect::TierChange {
            program: self.program(placed.placed.program()),
            from: self.level_left(placed, former),
            to: self.level(program, placed.placed.to()),
            remark: placement_text(placed.reason),
            rule: placed.placed.to().0,
            version: self.catalogue.version,
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
