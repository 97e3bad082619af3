//! Operations on a customer's accounts: what callers send, and the result of one, version 1: frozen like a purchase's.

use std::borrow::Cow;
use std::sync::Arc;

use kembali_core::accounts::{Direction, Entry};
use kembali_core::catalogue::Catalogue;
use kembali_core::event::{Body, Event, OfferRedeemed};
use kembali_core::operation::{Actor, Operation, OperationDone, TierMove};
use kembali_core::purchase::TEXT_BYTES_MAX;
use kembali_core::refund::RefundOf;
use kembali_core::wallet::WalletStatus;
use kembali_core::{Seq, Unit};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::document::Object;
use super::fault::{self, Field, Form, optional, required};
use super::history::Side;
use super::instant::{Rfc3339, UuidText, parse_rfc3339};
use super::number::Whole;
use super::purchase::has_chars;
use super::refund::{BackEffect, RefundLine, RefundPart, back_effects};
use super::result::{Balance, Effect, Names, PointBalance, RenderError, Rules};
use crate::codes;
use crate::problem::Problem;

/// Characters that the name of a wallet may have.
const WALLET_NAME_CHARS_MAX: usize = 64;
/// Characters that a reference or a reason may have.
pub(super) const REFERENCE_CHARS_MAX: usize = 128;

/// A body that is read with its own table of fields, which finds the place of a fault.
pub(crate) trait OperationBody: DeserializeOwned {
    /// Its fields, in the order in which faults are told.
    const FIELDS: &'static [Field];
}

/// Reads a body.
///
/// # Errors
///
/// A problem of status 400 that names the place.
pub(crate) fn parse<T: OperationBody>(document: &[u8]) -> Result<T, Problem> {
    let body: Result<Object<T>, serde_json::Error> = serde_json::from_slice(document);
    body.map(|Object(body)| body).map_err(|error| fault::find(document, T::FIELDS, &error))
}

/// Whom to create: exactly one of `email` and `ref`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewCustomer {
    /// The e-mail address.
    #[serde(default)]
    #[schema(min_length = 3, max_length = 254)]
    pub(crate) email: Option<String>,
    /// The tenant's own reference.
    #[serde(default, rename = "ref")]
    #[schema(min_length = 1, max_length = 128)]
    pub(crate) reference: Option<String>,
}

impl OperationBody for NewCustomer {
    const FIELDS: &'static [Field] = &[optional("email", Form::Text), optional("ref", Form::Text)];
}

/// A wallet to open.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewWallet {
    /// What its owner calls it.
    #[schema(min_length = 1, max_length = 64)]
    name: String,
}

impl OperationBody for NewWallet {
    const FIELDS: &'static [Field] = &[required("name", Form::Text)];
}

impl NewWallet {
    /// Checks the name.
    pub(crate) fn name(self) -> Result<String, Problem> {
        checked(self.name, WALLET_NAME_CHARS_MAX, "/name")
    }
}

/// A change of a wallet: exactly one of `name` and `status`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WalletPatch {
    /// What its owner calls it from now on.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 64)]
    name: Option<String>,
    /// Frozen: it takes no debit and no credit until it is active again.
    #[serde(default)]
    status: Option<SettableStatus>,
}

/// What a wallet may be made.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SettableStatus {
    Active,
    Frozen,
}

impl OperationBody for WalletPatch {
    const FIELDS: &'static [Field] =
        &[optional("name", Form::Text), optional("status", Form::OneOf(&["active", "frozen"]))];
}

/// What a patch asks.
pub(crate) enum WalletChange {
    Rename(String),
    Status(WalletStatus),
}

impl WalletPatch {
    /// Reads what is asked.
    pub(crate) fn change(self) -> Result<WalletChange, Problem> {
        match (self.name, self.status) {
            (Some(name), None) => checked(name, WALLET_NAME_CHARS_MAX, "/name").map(WalletChange::Rename),
            (None, Some(SettableStatus::Active)) => Ok(WalletChange::Status(WalletStatus::Active)),
            (None, Some(SettableStatus::Frozen)) => Ok(WalletChange::Status(WalletStatus::Frozen)),
            _ => {
                Err(Problem::new(&codes::FIELD_INVALID).pointer("").detail("must have exactly one of name and status"))
            }
        }
    }
}

/// Money that came in from outside.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewDeposit {
    /// How much, in minor units of the tenant's currency; at least 1.
    pub(crate) amount: Whole,
    /// The caller's own name of it, such as the number of a bank transfer. No personal data.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 128)]
    reference: Option<String>,
}

impl OperationBody for NewDeposit {
    const FIELDS: &'static [Field] = &[required("amount", Form::Whole), optional("reference", Form::Text)];
}

impl NewDeposit {
    /// Checks the reference.
    pub(crate) fn reference(self) -> Result<Option<Box<str>>, Problem> {
        let reference = self.reference.map(|text| checked(text, REFERENCE_CHARS_MAX, "/reference"));
        reference.transpose().map(|text| text.map(String::into_boxed_str))
    }
}

/// A wallet put right by hand.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewAdjustment {
    /// Into the wallet or out of it.
    pub(crate) direction: AdjustmentSide,
    /// How much, in minor units of the tenant's currency; at least 1.
    pub(crate) amount: Whole,
    /// Why. No personal data.
    #[schema(min_length = 1, max_length = 128)]
    reason: String,
}

/// Into a wallet or out of it.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AdjustmentSide {
    Credit,
    Debit,
}

impl AdjustmentSide {
    pub(crate) const fn direction(self) -> Direction {
        match self {
            AdjustmentSide::Credit => Direction::In,
            AdjustmentSide::Debit => Direction::Out,
        }
    }
}

impl OperationBody for NewAdjustment {
    const FIELDS: &'static [Field] = &[
        required("direction", Form::OneOf(&["credit", "debit"])),
        required("amount", Form::Whole),
        required("reason", Form::Text),
    ];
}

impl NewAdjustment {
    /// Checks the reason.
    pub(crate) fn reason(self) -> Result<Box<str>, Problem> {
        checked(self.reason, REFERENCE_CHARS_MAX, "/reason").map(String::into_boxed_str)
    }
}

/// Something that the customer did.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewActivity {
    /// What it was, as fulfillments of campaigns name it.
    #[schema(min_length = 1)]
    tag: String,
    /// When it was: RFC 3339 with an offset.
    #[serde(default)]
    #[schema(format = DateTime)]
    occurred_at: Option<String>,
}

impl OperationBody for NewActivity {
    const FIELDS: &'static [Field] = &[required("tag", Form::Text), optional("occurred_at", Form::Text)];
}

impl NewActivity {
    /// Makes the operation.
    pub(crate) fn operation(self) -> Result<Operation, Problem> {
        if self.tag.is_empty() || TEXT_BYTES_MAX < self.tag.len() {
            let detail = format!("must have 1 to {TEXT_BYTES_MAX} bytes");
            return Err(Problem::new(&codes::FIELD_INVALID).pointer("/tag").detail(detail));
        }
        let instant = |text: String| {
            let detail = "must be an instant in RFC 3339 with an offset";
            let invalid = || Problem::new(&codes::FIELD_INVALID).pointer("/occurred_at").detail(detail);
            parse_rfc3339(&text).ok_or_else(invalid)
        };
        let occurred_at = self.occurred_at.map(instant).transpose()?;
        Ok(Operation::ReportActivity { tag: self.tag.into(), occurred_at })
    }
}

/// Points to spend on an offer.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRedemption {
    /// The offer's name.
    pub(crate) offer: String,
    /// How many units of it; 1 without it.
    #[serde(default)]
    pub(crate) quantity: Option<Whole>,
}

impl OperationBody for NewRedemption {
    const FIELDS: &'static [Field] = &[required("offer", Form::Text), optional("quantity", Form::Whole)];
}

pub(super) fn checked(text: String, chars_max: usize, pointer: &'static str) -> Result<String, Problem> {
    if has_chars(&text, 1..=chars_max) {
        return Ok(text);
    }
    let detail = format!("must have 1 to {chars_max} characters and no control characters");
    Err(Problem::new(&codes::FIELD_INVALID).pointer(pointer).detail(detail))
}

/// What is said of an operation that was done; the same for ever.
#[derive(Serialize, ToSchema)]
pub(crate) struct OperationResult<'a> {
    /// The position of its record, which is its id as well; null in a dry run.
    #[schema(required)]
    seq: Option<u64>,
    /// The tenant's slug.
    tenant: &'a str,
    /// The customer's id.
    #[schema(required)]
    customer: Option<UuidText>,
    /// What was asked.
    operation: Asked<'a>,
    /// Who asked: `operator`, or the slug of a partner.
    by: Cow<'a, str>,
    /// The instant that the rules saw.
    at: Rfc3339,
    /// When the ledger received it.
    received_at: Rfc3339,
    /// The version of the rules that decided it.
    catalogue_version: u32,
    /// What it did.
    effects: Vec<OperationEffect<'a>>,
    /// The wallets that it moved, afterwards.
    balances: Vec<Balance<'a>>,
    /// The point accounts that it moved, afterwards.
    points: Vec<PointBalance<'a>>,
    /// True of a dry run; else not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    dry_run: Option<bool>,
}

/// What was asked.
#[derive(Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Asked<'a> {
    /// To create the customer.
    CreateCustomer,
    /// To open one more wallet.
    OpenWallet,
    /// To give a wallet another name.
    RenameWallet {
        /// The wallet's number.
        wallet: u16,
    },
    /// To freeze a wallet, make it active again, or close it.
    SetWalletStatus {
        /// The wallet's number.
        wallet: u16,
        /// What it becomes.
        status: &'static str,
    },
    /// To put money from outside into a wallet.
    Deposit {
        /// The wallet's number.
        wallet: u16,
        /// How much, in minor units.
        amount: i64,
        /// The caller's own name of it.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        reference: Option<&'a str>,
    },
    /// To put a wallet right by hand.
    Adjust {
        /// The wallet's number.
        wallet: u16,
        /// Into it or out of it.
        direction: Side,
        /// How much, in minor units.
        amount: i64,
        /// Why.
        reason: &'a str,
    },
    /// To count something that the customer did.
    ReportActivity {
        /// What it was.
        tag: &'a str,
        /// When it was, if the caller said so.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        occurred_at: Option<Rfc3339>,
    },
    /// To move the customer one level up.
    Promote {
        /// The programme.
        program: &'a str,
    },
    /// To move the customer one level down.
    Demote {
        /// The programme.
        program: &'a str,
    },
    /// To spend points on an offer.
    Redeem {
        /// The offer.
        offer: &'a str,
        /// How many units of it.
        quantity: i64,
    },
    /// To take a purchase back, in whole or in part.
    RefundPurchase {
        /// The id of the refund.
        refund: UuidText,
        /// The partner's own id of it.
        refund_id: &'a str,
        /// The id of the purchase.
        purchase: UuidText,
        /// The partner's own id of the purchase.
        origin_id: &'a str,
        /// How much, in minor units; not there where lines were asked for.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        amount: Option<i64>,
        /// Of what; not there where an amount was asked for.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        lines: Option<Vec<RefundLine<'a>>>,
        /// Why, if the partner said so.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        reason: Option<&'a str>,
    },
}

impl<'a> Asked<'a> {
    pub(crate) fn of(operation: &'a Operation) -> Asked<'a> {
        match operation {
            Operation::CreateCustomer => Asked::CreateCustomer,
            Operation::OpenWallet => Asked::OpenWallet,
            Operation::RenameWallet { wallet } => Asked::RenameWallet { wallet: wallet.0 },
            Operation::SetWalletStatus { wallet, status } => {
                Asked::SetWalletStatus { wallet: wallet.0, status: status_text(*status) }
            }
            Operation::Deposit { wallet, amount, reference } => {
                Asked::Deposit { wallet: wallet.0, amount: *amount, reference: reference.as_deref() }
            }
            Operation::Adjust { wallet, direction, amount, reason } => {
                Asked::Adjust { wallet: wallet.0, direction: Side::of(*direction), amount: *amount, reason }
            }
            Operation::ReportActivity { tag, occurred_at } => {
                Asked::ReportActivity { tag, occurred_at: occurred_at.map(Rfc3339) }
            }
            Operation::MoveTier { program, to: TierMove::Up } => Asked::Promote { program },
            Operation::MoveTier { program, to: TierMove::Down } => Asked::Demote { program },
            Operation::Redeem { offer, quantity } => Asked::Redeem { offer, quantity: *quantity },
            Operation::RefundPurchase(refund) => Asked::RefundPurchase {
                refund: UuidText(refund.key.0),
                refund_id: &refund.refund_id,
                purchase: UuidText(refund.purchase.0),
                origin_id: &refund.origin_id,
                amount: match refund.of {
                    RefundOf::Amount(amount) => Some(amount),
                    RefundOf::Lines(_) => None,
                },
                lines: match &refund.of {
                    RefundOf::Amount(_) => None,
                    RefundOf::Lines(lines) => Some(lines.iter().map(RefundLine::of).collect()),
                },
                reason: refund.reason.as_deref(),
            },
        }
    }
}

/// Names an operation, as `type` of what was asked does.
pub(crate) const fn operation_name(operation: &Operation) -> &'static str {
    match operation {
        Operation::CreateCustomer => "create_customer",
        Operation::OpenWallet => "open_wallet",
        Operation::RenameWallet { .. } => "rename_wallet",
        Operation::SetWalletStatus { .. } => "set_wallet_status",
        Operation::Deposit { .. } => "deposit",
        Operation::Adjust { .. } => "adjust",
        Operation::ReportActivity { .. } => "report_activity",
        Operation::MoveTier { to: TierMove::Up, .. } => "promote",
        Operation::MoveTier { to: TierMove::Down, .. } => "demote",
        Operation::Redeem { .. } => "redeem",
        Operation::RefundPurchase(_) => "refund_purchase",
    }
}

/// What an operation did.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum OperationEffect<'a> {
    /// Something that purchases cause as well.
    Earned(Effect<'a>),
    /// Something else.
    Own(OwnEffect<'a>),
}

/// What only operations do.
#[derive(Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum OwnEffect<'a> {
    /// The customer is new.
    CustomerCreated,
    /// A wallet is open.
    WalletOpened {
        /// Its number.
        wallet: u16,
    },
    /// A wallet may be used otherwise than before.
    WalletStatus {
        /// Its number.
        wallet: u16,
        /// What it was.
        before: &'static str,
        /// What it is.
        after: &'static str,
    },
    /// Points were spent on an offer.
    OfferRedeemed {
        /// The offer.
        offer: Cow<'a, str>,
        /// The id of the offer.
        rule: u32,
        /// The version of the catalogue that it is of.
        version: u32,
        /// How many units.
        quantity: u32,
        /// The kind of points that it costs.
        kind: Cow<'a, str>,
        /// How many points they cost in all.
        points: i64,
    },
    /// A purchase was taken back, in whole or in part.
    Refund {
        /// How much, in minor units.
        amount: i64,
        /// Of each product, of a purchase with lines.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        #[schema(required = false)]
        lines: Vec<RefundPart>,
        /// What remains of the purchase, in minor units.
        remaining: i64,
        /// What is clawed back for it, by what had granted it.
        clawed_back: Vec<BackEffect<'a>>,
        /// The promo that gets a unit of its quota back; not there where none does.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        unit_returned: Option<Cow<'a, str>>,
        /// What the wallet held too little of, in minor units, and is the house's; not there where it held enough.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        shortfall: Option<i64>,
    },
    /// Money moved.
    WalletEntry {
        /// The wallet's number.
        wallet: u16,
        /// The currency of the amounts.
        currency: &'a str,
        /// Into it or out of it.
        direction: Side,
        /// How much, in minor units.
        amount: i64,
        /// What was in it before, in minor units.
        balance_before: i64,
        /// What is in it afterwards, in minor units.
        balance_after: i64,
    },
}

/// Says that nothing was to be done.
#[derive(Serialize, ToSchema)]
pub(crate) struct OperationUnchanged {
    /// The customer's id.
    pub(crate) customer: UuidText,
    /// False: what was asked is so already, and nothing was written.
    pub(crate) changed: bool,
}

/// Returns the state of a wallet as it is shown.
pub(crate) const fn status_text(status: WalletStatus) -> &'static str {
    match status {
        WalletStatus::Active => "active",
        WalletStatus::Frozen => "frozen",
        WalletStatus::Closed => "closed",
    }
}

/// Finds the operation that a record says was done.
pub(crate) fn operation_of(body: &Body) -> Option<&OperationDone> {
    body.events.iter().find_map(|event| match event {
        Event::OperationDone(done) => Some(&**done),
        _ => None,
    })
}

/// Writes the result of an operation to the end of `out`; `seq` is `None` of a dry run.
///
/// # Errors
///
/// [`RenderError`].
pub fn render<'a>(
    out: &mut Vec<u8>,
    seq: Option<Seq>,
    body: &'a Body,
    rules: impl Into<Rules<'a>>,
) -> Result<(), RenderError> {
    let result = operation_result(seq, body, rules.into()).ok_or(RenderError::NoOperation)?;
    Ok(serde_json::to_writer(out, &result)?)
}

/// Puts the result together; `seq` is `None` of a dry run. `None` for a record that is of no operation.
pub(crate) fn operation_result<'a>(seq: Option<Seq>, body: &'a Body, rules: Rules<'a>) -> Option<OperationResult<'a>> {
    let done = operation_of(body)?;
    let Rules { catalogue, former } = rules;
    let names = Names { catalogue };
    let mut result = OperationResult {
        seq: seq.map(|seq| seq.0),
        tenant: &catalogue.slug,
        customer: body.customer.map(|customer| UuidText(customer.0)),
        operation: Asked::of(&done.operation),
        by: by(done.actor, &names),
        at: Rfc3339(done.at),
        received_at: Rfc3339(body.received_at),
        catalogue_version: body.catalogue_version,
        effects: Vec::new(),
        balances: Vec::new(),
        points: Vec::new(),
        dry_run: if seq.is_none() { Some(true) } else { None },
    };
    for event in &body.events {
        result.effects.extend(effect(event, &names, former));
        match event {
            Event::WalletEntry(Entry { wallet, unit: Unit::Money(currency), balance_after, .. }) => {
                let (wallet, balance) = (wallet.0, balance_after.minor_units());
                match result.balances.iter_mut().find(|own| own.wallet == wallet) {
                    Some(own) => own.balance = balance,
                    None => result.balances.push(Balance { wallet, currency: currency.as_str(), balance }),
                }
            }
            Event::PointEntry(entry) => PointBalance::note(&mut result.points, entry, &names),
            _ => (),
        }
    }
    Some(result)
}

/// Names who asked.
pub(crate) fn by<'a>(actor: Actor, names: &Names<'a>) -> Cow<'a, str> {
    match actor {
        Actor::Operator => Cow::Borrowed("operator"),
        Actor::Partner(partner) => names.partner(partner),
    }
}

fn effect<'a>(event: &'a Event, names: &Names<'a>, former: &'a [Arc<Catalogue>]) -> Option<OperationEffect<'a>> {
    let own = match event {
        Event::CustomerCreated(_) => OwnEffect::CustomerCreated,
        Event::WalletOpened(opened) => OwnEffect::WalletOpened { wallet: opened.wallet.0 },
        Event::WalletStatusSet(set) => OwnEffect::WalletStatus {
            wallet: set.wallet.0,
            before: status_text(set.before),
            after: status_text(set.after),
        },
        Event::OfferRedeemed(redeemed) => offer_redeemed(redeemed, names),
        Event::WalletEntry(entry) => wallet_entry(entry)?,
        Event::PurchaseRefunded(refunded) => OwnEffect::Refund {
            amount: refunded.amount.minor_units(),
            lines: refunded.parts.iter().map(RefundPart::of).collect(),
            remaining: refunded.remaining.minor_units(),
            clawed_back: back_effects(&refunded.claw_back, names),
            unit_returned: refunded.returned_unit.map(|promo| names.promo(promo)),
            shortfall: Some(refunded.shortfall.minor_units()).filter(|shortfall| 0 < *shortfall),
        },
        event => return names.effect(event, former).map(OperationEffect::Earned),
    };
    Some(OperationEffect::Own(own))
}

fn offer_redeemed<'a>(redeemed: &OfferRedeemed, names: &Names<'a>) -> OwnEffect<'a> {
    OwnEffect::OfferRedeemed {
        offer: names.offer(redeemed.offer),
        rule: redeemed.offer.0,
        version: names.catalogue.version,
        quantity: redeemed.quantity,
        kind: names.catalogue.offer(redeemed.offer).map_or(Cow::Borrowed(""), |offer| names.point_kind(offer.kind)),
        points: redeemed.points.minor_units(),
    }
}

fn wallet_entry(entry: &Entry) -> Option<OwnEffect<'_>> {
    // A wallet holds money alone.
    let Unit::Money(currency) = &entry.unit else { return None };
    let (amount, balance_after) = (entry.amount.minor_units(), entry.balance_after.minor_units());
    let balance_before = match entry.direction {
        Direction::In => balance_after - amount,
        Direction::Out => balance_after + amount,
    };
    let (wallet, currency, direction) = (entry.wallet.0, currency.as_str(), Side::of(entry.direction));
    Some(OwnEffect::WalletEntry { wallet, currency, direction, amount, balance_before, balance_after })
}
