//! Invoices: what partners send, what a payment names, and how an invoice is shown.

use kembali_core::invoice::{Invoice, InvoiceOpened, InvoicePaid, InvoiceState, PREFIX_CHARS_MAX, is_prefix};
use kembali_core::{Instant, PartnerId, Seq, Unit};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::fault::{Field, Form, optional, required};
use super::instant::Rfc3339;
use super::number::Whole;
use super::operation::{OperationBody, REFERENCE_CHARS_MAX, checked};
use super::result::Names;
use crate::codes;
use crate::problem::Problem;

/// Bytes that a number may have: that of any invoice is shorter.
const NUMBER_BYTES_MAX: usize = 64;

/// An invoice to open.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewInvoice {
    /// How much it is for, in minor units of the tenant's currency; at least 1.
    pub(crate) amount: Whole,
    /// How its number begins: letters, digits and hyphens; `VA-` without it.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 16)]
    va_prefix: Option<String>,
    /// For how many seconds it can be paid, 1 to 7,776,000; one day without it.
    #[serde(default)]
    pub(crate) expires_in_seconds: Option<Whole>,
    /// The caller's own name of it, such as the number of an order. No personal data.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 128)]
    reference: Option<String>,
}

impl OperationBody for NewInvoice {
    const FIELDS: &'static [Field] = &[
        required("amount", Form::Whole),
        optional("va_prefix", Form::Text),
        optional("expires_in_seconds", Form::Whole),
        optional("reference", Form::Text),
    ];
}

impl NewInvoice {
    /// Checks how the number begins.
    pub(crate) fn prefix(&self) -> Result<Option<Box<str>>, Problem> {
        let Some(text) = &self.va_prefix else { return Ok(None) };
        if is_prefix(text) {
            return Ok(Some(text.as_str().into()));
        }
        let detail = format!("must have 1 to {PREFIX_CHARS_MAX} letters of the English alphabet, digits and hyphens");
        Err(Problem::new(&codes::FIELD_INVALID).pointer("/va_prefix").detail(detail))
    }

    /// Checks the reference.
    pub(crate) fn reference(self) -> Result<Option<Box<str>>, Problem> {
        let reference = self.reference.map(|text| checked(text, REFERENCE_CHARS_MAX, "/reference"));
        reference.transpose().map(|text| text.map(String::into_boxed_str))
    }
}

/// A payment of an invoice.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPayment {
    /// The number of the invoice.
    va_number: String,
    /// How much, in minor units: what the invoice is for.
    pub(crate) amount: Whole,
    /// The caller's own name of the device that is used, which risk rules may count by. It is kept as a keyed hash alone.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 128)]
    pub(crate) device: Option<String>,
}

impl OperationBody for NewPayment {
    const FIELDS: &'static [Field] =
        &[required("va_number", Form::Text), required("amount", Form::Whole), optional("device", Form::Text)];
}

impl NewPayment {
    pub(crate) fn number(self) -> Result<Box<str>, Problem> {
        number(self.va_number).map_err(|problem| problem.pointer("/va_number"))
    }
}

/// Reads a number. What no invoice can have is kept in no record.
pub(crate) fn number(text: String) -> Result<Box<str>, Problem> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let is_possible = is_plain && !text.is_empty() && text.len() <= NUMBER_BYTES_MAX;
    if is_possible { Ok(text.into()) } else { Err(Problem::new(&codes::INVOICE_NOT_FOUND)) }
}

/// An invoice as it is.
#[derive(Serialize, ToSchema)]
pub(crate) struct InvoiceView {
    /// Its number, which a customer pays to.
    va_number: String,
    /// The slug of the partner that is to be paid.
    partner: String,
    /// The currency of `amount`.
    currency: String,
    /// How much it is for, in minor units.
    amount: i64,
    /// When it is over.
    expires_at: Rfc3339,
    /// What became of it.
    state: InvoiceStateName,
    /// The position of the record that opened it.
    opened_seq: u64,
    /// The position of the record that paid or cancelled it, or took the payment back; not there of another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    closed_seq: Option<u64>,
    /// The position that this is the state of.
    as_of: u64,
}

/// What became of an invoice.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum InvoiceStateName {
    /// It can be paid.
    Open,
    /// It is paid.
    Paid,
    /// It was taken back.
    Cancelled,
    /// Nobody paid it in time.
    Expired,
    /// It was paid, and the payment was taken back.
    Reversed,
}

impl InvoiceView {
    pub(crate) fn of(number: &str, invoice: &Invoice, names: &Names<'_>, (now, as_of): (Instant, Seq)) -> InvoiceView {
        let (state, closed) = match invoice.state {
            InvoiceState::Open if invoice.is_over(now) => (InvoiceStateName::Expired, None),
            InvoiceState::Open => (InvoiceStateName::Open, None),
            InvoiceState::Paid(seq) => (InvoiceStateName::Paid, Some(seq.0)),
            InvoiceState::Cancelled(seq) => (InvoiceStateName::Cancelled, Some(seq.0)),
            InvoiceState::Reversed(seq) => (InvoiceStateName::Reversed, Some(seq.0)),
        };
        InvoiceView {
            va_number: number.to_owned(),
            partner: names.partner(invoice.partner).into_owned(),
            currency: unit_text(invoice.unit, names),
            amount: invoice.amount.minor_units(),
            expires_at: Rfc3339(invoice.expires_at),
            state,
            opened_seq: invoice.opened.0,
            closed_seq: closed,
            as_of: as_of.0,
        }
    }
}

/// Something that happened to an invoice.
#[derive(Serialize, ToSchema)]
pub(crate) struct InvoiceChange {
    /// Its number.
    va_number: String,
    /// The slug of the partner that is to be paid, or was.
    partner: String,
    /// The currency of `amount`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    currency: Option<String>,
    /// How much it is for, in minor units.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    amount: Option<i64>,
    /// When it is over, of one that is opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    expires_at: Option<Rfc3339>,
    /// The wallet's number that it was paid out of.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    wallet: Option<u16>,
}

impl InvoiceChange {
    pub(crate) fn cancelled(number: &str, partner: PartnerId, names: &Names<'_>) -> InvoiceChange {
        let partner = names.partner(partner).into_owned();
        let va_number = number.to_owned();
        InvoiceChange { va_number, partner, currency: None, amount: None, expires_at: None, wallet: None }
    }

    pub(crate) fn opened(own: &InvoiceOpened, names: &Names<'_>) -> InvoiceChange {
        InvoiceChange {
            currency: Some(unit_text(own.unit, names)),
            amount: Some(own.amount.minor_units()),
            expires_at: Some(Rfc3339(own.expires_at)),
            ..InvoiceChange::cancelled(&own.number, own.partner, names)
        }
    }

    pub(crate) fn paid(own: &InvoicePaid, names: &Names<'_>) -> InvoiceChange {
        InvoiceChange {
            currency: Some(unit_text(own.unit, names)),
            amount: Some(own.amount.minor_units()),
            wallet: Some(own.wallet.0),
            ..InvoiceChange::cancelled(&own.number, own.partner, names)
        }
    }
}

/// An invoice is for money.
fn unit_text(unit: Unit, names: &Names<'_>) -> String {
    match unit {
        Unit::Money(currency) => currency.as_str().to_owned(),
        Unit::Points(kind) => names.point_kind(kind).into_owned(),
    }
}
