//! The result of an operation on a customer's accounts, version 1: frozen like a purchase's. What callers send is in
//! `bodies`, what results say was asked in `asked`, and what it did in `effect`.

mod asked;
mod bodies;
mod effect;

use std::borrow::Cow;

use kembali_core::accounts::Entry;
use kembali_core::event::{Body, Event};
use kembali_core::operation::{Actor, Operation};
use kembali_core::transfer::TransferSettled;
use kembali_core::wallet::WalletStatus;
use kembali_core::{Instant, Seq, Unit};
use serde::Serialize;
use utoipa::ToSchema;

pub(crate) use self::asked::Asked;
use self::asked::operation_name;
pub(crate) use self::bodies::{
    NewActivity, NewAdjustment, NewCustomer, NewDeposit, NewReason, NewRedemption, NewWallet, Nothing, OperationBody,
    REFERENCE_CHARS_MAX, WalletChange, WalletPatch, checked, parse,
};
use self::effect::{OperationEffect, effect};
use super::instant::{Rfc3339, UuidText};
use super::result::{Balance, Names, PointBalance, RenderError, Rules};

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

/// An operation as a record has it: done, or set aside.
#[derive(Clone, Copy)]
pub(crate) struct OperationOf<'a> {
    /// Who asked.
    pub(crate) actor: Actor,
    /// The instant that the rules saw.
    pub(crate) at: Instant,
    /// What was asked.
    pub(crate) operation: &'a Operation,
}

/// Finds the operation that a record says was done, or set aside.
pub(crate) fn operation_of(body: &Body) -> Option<OperationOf<'_>> {
    body.events.iter().find_map(|event| match event {
        Event::OperationDone(done) => Some(OperationOf { actor: done.actor, at: done.at, operation: &done.operation }),
        Event::ReviewOpened(own) => Some(OperationOf { actor: own.actor, at: own.at, operation: &own.operation }),
        _ => None,
    })
}

/// Names the operation that a record is of, be it done or on its way.
pub(crate) fn operation_behind(body: &Body) -> Option<&'static str> {
    body.events.iter().find_map(|event| match event {
        Event::OperationDone(done) => Some(operation_name(&done.operation)),
        Event::OperationRefused(refused) => Some(operation_name(&refused.operation)),
        Event::ReviewOpened(own) => Some(operation_name(&own.operation)),
        Event::TransferSent(_) | Event::TransferCredited(_) | Event::TransferDeclined(_) => Some("transfer"),
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
        operation: Asked::of(done.operation),
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
            // The entry stands in the record that sent it.
            Event::TransferSettled(TransferSettled { wallet, unit: Unit::Money(currency), balance_after, .. }) => {
                let (wallet, balance) = (wallet.0, balance_after.minor_units());
                result.balances.push(Balance { wallet, currency: currency.as_str(), balance });
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
        Actor::Person(account, _) => Cow::Owned(UuidText(account.0).to_string()),
        Actor::Server => Cow::Borrowed("server"),
    }
}
