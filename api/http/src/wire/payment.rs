//! Payments as they move on: one item for each record that moves one to another state.
//!
//! A payment is initiated, validated, checked for risk, its funds are held, and it is settled; or it is rejected, or fails on
//! its way. What is done in one record goes through all states that it has at once.

use kembali_core::accounts::{Direction, Entry, HouseAccount};
use kembali_core::event::{Event, Record};
use kembali_core::hold::HoldEnd;
use kembali_core::operation::Operation;
use kembali_core::{Amount, Unit, WalletId};
use serde::Serialize;
use utoipa::ToSchema;

use super::history::Side;
use super::instant::{Rfc3339, UuidText};
use super::result::Names;

/// What a payment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PaymentKind {
    /// Money from outside goes into a wallet.
    Deposit,
    /// Money is set aside for a partner, and paid to it or given free.
    Hold,
    /// An invoice is paid.
    Invoice,
    /// Money goes from wallet to wallet.
    Transfer,
}

/// How far a payment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PaymentState {
    /// It was asked for.
    Initiated,
    /// It makes sense.
    Validated,
    /// Risk rules looked at it and let it be.
    RiskChecked,
    /// A risk rule set it aside; it waits for an operator.
    InReview,
    /// Its money is set aside, or on its way.
    FundsHeld,
    /// It is done.
    Settled,
    /// It was refused, and no money moved.
    Rejected,
    /// It was not taken at the other end, and the money is back.
    Failed,
    /// What was set aside was given free.
    Voided,
    /// What was set aside was not taken in time.
    Expired,
    /// It was done, and taken back.
    Reversed,
}

/// A payment after a record that moved it on.
#[derive(Serialize, ToSchema)]
pub(crate) struct Payment {
    /// The position of the record.
    seq: u64,
    /// When the ledger received what moved it on.
    received_at: Rfc3339,
    /// Whose wallet.
    pub(crate) customer: UuidText,
    /// What it is.
    kind: PaymentKind,
    /// How far it is.
    pub(crate) state: PaymentState,
    /// The states that it went through in this record, the last of which is `state`.
    path: Vec<PaymentState>,
    /// The wallet's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    wallet: Option<u16>,
    /// Into the wallet or out of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    direction: Option<Side>,
    /// The currency of `amount`.
    currency: String,
    /// How much, in minor units; of a hold that is settled, how much of it.
    amount: i64,
    /// The number of the hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    hold: Option<u32>,
    /// The number of the invoice.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    va_number: Option<String>,
    /// The position of the record that sent the transfer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    transfer: Option<u64>,
    /// The position of the record of what was taken back.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reverses: Option<u64>,
    /// The position of the record that set it aside, of one that was released or rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    review: Option<u64>,
    /// The problem code, of one that was rejected or has failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<&'static str>,
}

/// A page of payments, the newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct PaymentPage {
    /// The payments. There may be none on a page that is not the last.
    pub(crate) data: Vec<Payment>,
    /// Where the next page starts; null on the last.
    #[schema(required)]
    pub(crate) next_cursor: Option<String>,
    /// The position that the records were looked at from.
    pub(crate) as_of: u64,
}

impl Payment {
    /// Returns the payments that a record moves on: one, and holds whose time is over.
    pub(crate) fn moved_by(record: &Record, names: &Names<'_>) -> Vec<Payment> {
        let events = &record.body.events;
        let is_checked = events.iter().any(|event| matches!(event, Event::RiskChecked(_)));
        let has_failed = events.iter().any(|event| matches!(event, Event::TransferReturned(_)));
        let closed = events.iter().find_map(|event| match event {
            Event::ReviewClosed(own) => Some(own.review),
            _ => None,
        });
        let currency = |unit: Unit| match unit {
            Unit::Money(code) => code.as_str().to_owned(),
            Unit::Points(kind) => names.point_kind(kind).into_owned(),
        };
        let bare = |kind, state, unit, amount: Amount| {
            Some(Payment {
                seq: record.seq.0,
                received_at: Rfc3339(record.body.received_at),
                customer: UuidText(record.body.customer?.0),
                kind,
                state,
                // It was initiated and validated when it was set aside.
                path: path(state, is_checked).into_iter().skip(if closed.is_some() { 2 } else { 0 }).collect(),
                wallet: None,
                direction: None,
                currency: currency(unit),
                amount: amount.minor_units(),
                hold: None,
                va_number: None,
                transfer: None,
                reverses: None,
                review: closed.map(|review| review.0),
                reason: None,
            })
        };
        let out = |wallet: WalletId, payment: Payment| Payment {
            wallet: Some(wallet.0),
            direction: Some(Side::of(Direction::Out)),
            ..payment
        };
        let into = |wallet: WalletId, payment: Payment| Payment {
            wallet: Some(wallet.0),
            direction: Some(Side::of(Direction::In)),
            ..payment
        };
        let is_deposit = events.iter().any(|event| match event {
            Event::OperationDone(done) => matches!(done.operation, Operation::Deposit { .. }),
            _ => false,
        });
        let moved = |event: &Event| match event {
            Event::WalletEntry(entry) if is_deposit => {
                let payment = bare(PaymentKind::Deposit, PaymentState::Settled, entry.unit, entry.amount)?;
                Some(into(entry.wallet, payment))
            }
            Event::HoldPlaced(hold) => {
                let payment = bare(PaymentKind::Hold, PaymentState::FundsHeld, hold.unit, hold.amount)?;
                Some(Payment { hold: Some(hold.id.0), ..out(hold.wallet, payment) })
            }
            Event::HoldClosed(closed) => {
                let hold = closed.hold;
                let (state, amount) = match closed.end {
                    HoldEnd::Settled { amount } => (PaymentState::Settled, amount),
                    HoldEnd::Voided => (PaymentState::Voided, hold.amount),
                    HoldEnd::Expired => (PaymentState::Expired, hold.amount),
                };
                let payment = bare(PaymentKind::Hold, state, hold.unit, amount)?;
                // It was looked at when it was placed, and its end is no part of a review.
                let payment = Payment { path: vec![state], review: None, ..payment };
                Some(Payment { hold: Some(hold.id.0), ..out(hold.wallet, payment) })
            }
            Event::InvoicePaid(paid) => {
                let payment = bare(PaymentKind::Invoice, PaymentState::Settled, paid.unit, paid.amount)?;
                Some(Payment { va_number: Some(paid.number.to_string()), ..out(paid.wallet, payment) })
            }
            Event::TransferSent(sent) => {
                let payment = bare(PaymentKind::Transfer, PaymentState::FundsHeld, sent.unit, sent.amount)?;
                Some(Payment { transfer: Some(record.seq.0), ..out(sent.wallet, payment) })
            }
            Event::TransferCredited(own) => {
                let payment = bare(PaymentKind::Transfer, PaymentState::Settled, own.unit, own.amount)?;
                let path = vec![PaymentState::Settled];
                Some(Payment { transfer: Some(own.transfer.0), path, ..into(own.wallet, payment) })
            }
            Event::TransferSettled(own) => {
                let payment = bare(PaymentKind::Transfer, PaymentState::Settled, own.unit, own.amount)?;
                let path = vec![PaymentState::Settled];
                Some(Payment { transfer: Some(own.transfer.0), path, ..out(own.wallet, payment) })
            }
            Event::TransferReturned(own) => {
                let back = events.iter().find_map(|event| match event {
                    Event::WalletEntry(entry) => Some(entry),
                    _ => None,
                })?;
                let payment = bare(PaymentKind::Transfer, PaymentState::Failed, back.unit, back.amount)?;
                let (path, reason) = (vec![PaymentState::Failed], Some(own.reason.code()));
                Some(Payment { transfer: Some(own.transfer.0), path, reason, ..into(back.wallet, payment) })
            }
            Event::OperationReversed(own) => {
                // Points alone are no payment.
                let entry = events.iter().find_map(|event| match event {
                    Event::WalletEntry(entry) => Some(entry),
                    _ => None,
                })?;
                let is_hold = own.partner.is_some() && own.invoice.is_none();
                let kind = match &own.invoice {
                    Some(_) => PaymentKind::Invoice,
                    None if is_hold => PaymentKind::Hold,
                    None if leads_from(entry, HouseAccount::CashClearing) => PaymentKind::Deposit,
                    None => return None,
                };
                let payment = bare(kind, PaymentState::Reversed, entry.unit, entry.amount)?;
                let va_number = own.invoice.as_deref().map(str::to_owned);
                let payment = Payment { va_number, path: vec![PaymentState::Reversed], ..payment };
                let payment = Payment { reverses: Some(own.operation.0), ..payment };
                Some(match entry.direction {
                    Direction::In => into(entry.wallet, payment),
                    Direction::Out => out(entry.wallet, payment),
                })
            }
            Event::ReviewOpened(own) => {
                let (kind, wallet, _) = asked(&own.operation)?;
                let payment = bare(kind, PaymentState::InReview, names.catalogue.unit(), own.amount)?;
                let va_number = own.operation.pays_invoice().map(str::to_owned);
                Some(Payment { wallet: Some(wallet.0), va_number, ..payment })
            }
            // What came back has failed, and is told by that.
            Event::OperationRefused(own) if !has_failed => {
                let (kind, wallet, amount) = asked(&own.operation)?;
                let va_number = own.operation.pays_invoice().map(str::to_owned);
                Some(Payment {
                    seq: record.seq.0,
                    received_at: Rfc3339(record.body.received_at),
                    customer: UuidText(own.customer?.0),
                    kind,
                    state: PaymentState::Rejected,
                    path: if closed.is_some() {
                        vec![PaymentState::Rejected]
                    } else {
                        path(PaymentState::Rejected, false)
                    },
                    wallet: Some(wallet.0),
                    direction: None,
                    currency: currency(names.catalogue.unit()),
                    amount,
                    hold: None,
                    va_number,
                    transfer: None,
                    reverses: None,
                    review: closed.map(|review| review.0),
                    reason: Some(own.rejection.code()),
                })
            }
            _ => None,
        };
        events.iter().filter_map(moved).collect()
    }
}

/// Returns true for an entry with this account on its other side.
fn leads_from(entry: &Entry, account: HouseAccount) -> bool {
    entry.against.iter().any(|leg| leg.account == account)
}

/// Says what was asked of a payment that is rejected.
fn asked(operation: &Operation) -> Option<(PaymentKind, WalletId, i64)> {
    match operation {
        Operation::Deposit { wallet, amount, .. } => Some((PaymentKind::Deposit, *wallet, *amount)),
        Operation::PlaceHold { wallet, amount, .. } => Some((PaymentKind::Hold, *wallet, *amount)),
        Operation::PayInvoice { wallet, amount, .. } => Some((PaymentKind::Invoice, *wallet, *amount)),
        Operation::Transfer { wallet, amount, .. } => Some((PaymentKind::Transfer, *wallet, *amount)),
        _ => None,
    }
}

/// Lists the states that a payment goes through on its way to one, in the record that begins it.
fn path(state: PaymentState, is_checked: bool) -> Vec<PaymentState> {
    let mut path = vec![PaymentState::Initiated];
    if state != PaymentState::Rejected {
        path.push(PaymentState::Validated);
        path.extend(is_checked.then_some(PaymentState::RiskChecked));
    }
    path.push(state);
    path
}
