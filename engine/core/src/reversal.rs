//! Reversals: an operation that moved what a customer holds, taken back by an operator: a deposit that bounced, a payment that
//! was none, points that were spent for nothing.
//!
//! A reversal posts the other side of each entry of the operation, against the same accounts. It passes whatever is said of a
//! wallet, a frozen one too, and is whole or not at all. An operation is reversed once. A transfer is not among them: its
//! money lies with somebody else, who sends it back.

use alloc::boxed::Box;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::accounts::{Direction, Entry, HouseAccount};
use crate::catalogue::Catalogue;
use crate::customer::Row;
use crate::event::{Event, Record};
use crate::identity::PartnerId;
use crate::operation::{Operation, OperationRejection};
use crate::points::{PointAccount, PointEntry};
use crate::quantity::Seq;
use crate::refund::NegativeBalance;
use crate::wallet::WalletStatus;

/// Operations of a customer that may be reversed.
pub const REVERSALS_MAX: usize = 1_024;

/// An operation was reversed; the entries of the same record say what moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationReversed {
    /// The record of the operation.
    pub operation: Seq,
    /// The partner that was paid and is paid no longer.
    pub partner: Option<PartnerId>,
    /// The invoice that it had paid. It stays paid, and what is reversed of it is not paid again.
    pub invoice: Option<Box<str>>,
}

/// Returns true for an operation that can be reversed.
#[must_use]
pub const fn is_reversible(operation: &Operation) -> bool {
    matches!(
        operation,
        Operation::Deposit { .. }
            | Operation::PayInvoice { .. }
            | Operation::SettleHold { .. }
            | Operation::Redeem { .. }
    )
}

/// Reverses an operation of the row's customer.
///
/// # Errors
///
/// In this order: whether it can be reversed, whether it is, how many are, the wallet, what is in it, the points.
pub(crate) fn reverse(row: &Row, rules: &Catalogue, original: &Record) -> Result<Vec<Event>, OperationRejection> {
    let events = &original.body.events;
    let done = original.body.operation().filter(|done| is_reversible(done)).ok_or(OperationRejection::NotReversible)?;
    if row.reversed.binary_search(&original.seq).is_ok() {
        return Err(OperationRejection::Reversed);
    }
    if REVERSALS_MAX <= row.reversed.len() {
        return Err(OperationRejection::ReversalsTooMany { reversals_max: REVERSALS_MAX as u32 });
    }
    let own = OperationReversed {
        operation: original.seq,
        partner: partner_paid(events),
        invoice: done.pays_invoice().map(Into::into),
    };
    let mut reversed = Vec::from([Event::OperationReversed(own)]);
    let mut accounts: Vec<PointAccount> = row.points.to_vec();
    for event in events {
        match event {
            Event::WalletEntry(entry) => reversed.push(Event::WalletEntry(other_side(row, rules, entry)?)),
            Event::PointEntry(entry) if entry.against == HouseAccount::PointsRedeemed => {
                reversed.push(Event::PointEntry(given_back(&mut accounts, entry)?));
            }
            _ => (),
        }
    }
    Ok(reversed)
}

/// Finds the partner whose settlement account the entries credit.
fn partner_paid(events: &[Event]) -> Option<PartnerId> {
    let mut legs = events.iter().flat_map(|event| match event {
        Event::WalletEntry(entry) => entry.against.as_slice(),
        _ => &[],
    });
    legs.find_map(|leg| match leg.account {
        HouseAccount::Settlement(partner) => Some(partner),
        _ => None,
    })
}

/// Makes the entry that takes a wallet's entry back.
fn other_side(row: &Row, rules: &Catalogue, entry: &Entry) -> Result<Entry, OperationRejection> {
    let own = row.wallet(entry.wallet, entry.unit).ok_or(OperationRejection::WalletUnknown)?;
    if own.status == WalletStatus::Closed {
        return Err(OperationRejection::WalletClosed);
    }
    let balance = own.balance;
    match entry.direction {
        Direction::Out => {
            let credit = Entry::credit(own.id, own.unit, balance, &entry.against);
            credit.ok_or(OperationRejection::BalanceTooLarge { balance })
        }
        Direction::In => {
            if rules.refunds.negative_balance == NegativeBalance::CapAtZero {
                row.check_available(&own, entry.amount)?;
            }
            let debit = Entry::debit(own.id, own.unit, balance, &entry.against);
            debit.ok_or(OperationRejection::BalanceTooSmall { balance, amount: entry.amount })
        }
    }
}

/// Makes the entry that gives spent points back into the lot that they came from.
fn given_back(accounts: &mut Vec<PointAccount>, spent: &PointEntry) -> Result<PointEntry, OperationRejection> {
    let known = accounts.iter().position(|own| own.kind == spent.kind);
    let at = known.unwrap_or_else(|| {
        accounts.push(PointAccount { kind: spent.kind, lots: Vec::new() });
        accounts.len() - 1
    });
    let account = &mut accounts[at];
    let too_large = OperationRejection::PointsTooLarge { points: account.balance() };
    let back = account.restore(&[*spent]).and_then(|back| back.first().copied()).ok_or(too_large)?;
    account.evolve(&back);
    Ok(back)
}

impl Row {
    pub(crate) fn evolve_reversed(&mut self, reversed: &OperationReversed) {
        if let Err(at) = self.reversed.binary_search(&reversed.operation) {
            self.reversed.reserve_exact(1);
            self.reversed.insert(at, reversed.operation);
        }
    }
}
