//! Invoices: what a partner is to be paid, under a number that a customer pays to (a virtual account, as Dompet Digital
//! Sawit has them, with their bugs fixed).
//!
//! Invoices belong to the desk, since no customer owns one before it is paid. The desk opens and cancels them, and lets one
//! payment at a time go to a row; the row pays. An invoice is paid once, in full, and never again; its number is for ever.
//! One that is over is so for whoever looks: nothing is written about it.

use alloc::boxed::Box;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::accounts::{Entry, HouseAccount, HouseLeg};
use crate::customer::Row;
use crate::event::Event;
use crate::identity::{PartnerId, Unit, WalletId};
use crate::operation::{Operation, OperationRejection};
use crate::quantity::{Amount, Instant, Seq};

/// Characters that the start of a number may have.
pub const PREFIX_CHARS_MAX: usize = 16;
/// The start of a number, unless the partner says otherwise.
pub const PREFIX_DEFAULT: &str = "VA-";
/// What stands behind the start of a tenant's first number; it rises by one from each to the next. Ten digits hold more
/// invoices than any memory, so each number ends with as many, and no two are equal whatever their starts.
pub const FIRST_NUMBER: u64 = 1_000_000_000;
/// How long an invoice can be paid, in seconds, unless the partner says otherwise: one day.
pub const LIFE_SECONDS_DEFAULT: i64 = 86_400;
/// How long an invoice can be paid, in seconds, at most: ninety days.
pub const LIFE_SECONDS_MAX: i64 = 90 * 86_400;

/// An invoice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invoice {
    /// Who is to be paid.
    pub partner: PartnerId,
    /// In which currency.
    pub unit: Unit,
    /// How much, greater than zero. Nothing else pays it.
    pub amount: Amount,
    /// When it is over.
    pub expires_at: Instant,
    /// The record that opened it.
    pub opened: Seq,
    /// What became of it.
    pub state: InvoiceState,
}

/// What became of an invoice. That its time is over is not written down: see [`Invoice::is_over`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum InvoiceState {
    /// It can be paid.
    Open,
    /// It is paid, by this record.
    Paid(Seq),
    /// It was taken back, by this record.
    Cancelled(Seq),
    /// It was paid, and the payment was reversed by this record.
    Reversed(Seq),
}

impl Invoice {
    /// Returns true of one that nobody paid in time.
    #[must_use]
    pub fn is_over(&self, now: Instant) -> bool {
        self.state == InvoiceState::Open && self.expires_at <= now
    }
}

/// An invoice was opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvoiceOpened {
    /// Its number.
    pub number: Box<str>,
    /// Who is to be paid.
    pub partner: PartnerId,
    /// In which currency.
    pub unit: Unit,
    /// How much.
    pub amount: Amount,
    /// When it is over.
    pub expires_at: Instant,
}

/// An invoice was taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvoiceCancelled {
    /// Its number.
    pub number: Box<str>,
    /// Who was to be paid.
    pub partner: PartnerId,
}

/// An invoice was paid, out of a wallet of the record's customer; an entry of the record says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvoicePaid {
    /// Its number.
    pub number: Box<str>,
    /// Who was paid.
    pub partner: PartnerId,
    /// The wallet that was debited.
    pub wallet: WalletId,
    /// What it counts.
    pub unit: Unit,
    /// How much.
    pub amount: Amount,
}

/// What the desk says of the invoice that is to be paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvoiceTerms {
    /// None is to be paid.
    None,
    /// The tenant has none of this number.
    Unknown,
    /// It is kept for this payment, if it can be paid at all.
    Found(Invoice),
}

/// Checks the start of a number: letters, digits and hyphens.
#[must_use]
pub fn is_prefix(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=PREFIX_CHARS_MAX).contains(&text.len()) && text.bytes().all(is_plain)
}

/// Pays an invoice.
///
/// # Errors
///
/// In this order: the amount, whether there is such an invoice, whether it is paid, cancelled or over, whether the amount is
/// its own, the wallet, its currency, what is available.
pub(crate) fn pay(
    row: &Row,
    (terms, at): (InvoiceTerms, Instant),
    (wallet, number, amount): (WalletId, &str, i64),
    unit: Unit,
) -> Result<Vec<Event>, OperationRejection> {
    let amount = Operation::amount(amount)?;
    let InvoiceTerms::Found(invoice) = terms else { return Err(OperationRejection::InvoiceUnknown) };
    match invoice.state {
        InvoiceState::Paid(_) => return Err(OperationRejection::InvoicePaid),
        InvoiceState::Cancelled(_) => return Err(OperationRejection::InvoiceCancelled),
        InvoiceState::Reversed(_) => return Err(OperationRejection::InvoiceReversed),
        InvoiceState::Open if invoice.is_over(at) => return Err(OperationRejection::InvoiceExpired),
        InvoiceState::Open => (),
    }
    if amount != invoice.amount {
        return Err(OperationRejection::InvoiceAmountDiffers { amount, invoice_amount: invoice.amount });
    }
    let own = row.wallet(wallet, unit).ok_or(OperationRejection::WalletUnknown)?;
    own.check_usable()?;
    if own.unit != invoice.unit {
        return Err(OperationRejection::InvoiceCurrencyDiffers);
    }
    row.check_available(&own, amount)?;
    let leg = HouseLeg { account: HouseAccount::Settlement(invoice.partner), amount };
    let entry = Entry::debit(own.id, own.unit, own.balance, &[leg]);
    let entry = entry.ok_or(OperationRejection::BalanceTooSmall { balance: own.balance, amount })?;
    let (number, partner) = (number.into(), invoice.partner);
    let paid = InvoicePaid { number, partner, wallet: own.id, unit: own.unit, amount };
    Ok(Vec::from([Event::InvoicePaid(Box::new(paid)), Event::WalletEntry(entry)]))
}
