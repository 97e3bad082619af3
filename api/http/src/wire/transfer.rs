//! Transfers: what operators send, and how a transfer is shown at each of its steps.

use kembali_core::transfer::{TransferCredited, TransferDeclined, TransferReturned, TransferSent, TransferSettled};
use kembali_core::{Amount, CurrencyCode, CustomerId, Seq, Unit, WalletId};
use kembali_engine::CustomerRef;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::document::Object;
use super::fault::{CUSTOMER, Field, Form, optional, required};
use super::instant::UuidText;
use super::number::Whole;
use super::operation::{OperationBody, REFERENCE_CHARS_MAX, checked};
use super::purchase::{customer_by_email, customer_by_id, customer_by_ref};
use crate::codes;
use crate::problem::Problem;

/// Money to send.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewTransfer {
    /// Whose wallet gets it.
    #[schema(value_type = TransferTarget)]
    to: Object<TransferTarget>,
    /// The number of that wallet; 0 without it.
    #[serde(default)]
    to_wallet: Option<Whole>,
    /// How much, in minor units of the tenant's currency; at least 1.
    pub(crate) amount: Whole,
    /// The caller's own name of it. No personal data.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 128)]
    reference: Option<String>,
    /// The caller's own name of the device that is used, which risk rules may count by. It is kept as a keyed hash alone.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 128)]
    pub(crate) device: Option<String>,
}

/// Whose wallet gets it: exactly one of `id`, `email` and `ref`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TransferTarget {
    /// The customer's id.
    #[serde(default)]
    #[schema(format = "uuid")]
    id: Option<String>,
    /// The e-mail address.
    #[serde(default)]
    #[schema(min_length = 3, max_length = 254)]
    email: Option<String>,
    /// The tenant's own reference.
    #[serde(default, rename = "ref")]
    #[schema(min_length = 1, max_length = 128)]
    reference: Option<String>,
}

impl OperationBody for NewTransfer {
    const FIELDS: &'static [Field] = &[
        required("to", Form::Object(CUSTOMER)),
        optional("to_wallet", Form::Whole),
        required("amount", Form::Whole),
        optional("reference", Form::Text),
        optional("device", Form::Text),
    ];
}

impl NewTransfer {
    /// Says whom it names.
    pub(crate) fn target(&self) -> Result<CustomerRef, Problem> {
        let Object(TransferTarget { id, email, reference }) = &self.to;
        let customer = match (id, email, reference) {
            // What is no id is nobody's.
            (Some(id), None, None) => {
                return customer_by_id(id)
                    .ok_or_else(|| Problem::new(&codes::TRANSFER_TARGET_NOT_FOUND).pointer("/to"));
            }
            (None, Some(email), None) => customer_by_email(email),
            (None, None, Some(text)) => customer_by_ref(text),
            _ => None,
        };
        customer.ok_or_else(|| Problem::new(&codes::CUSTOMER_INVALID).pointer("/to"))
    }

    /// Says which wallet.
    pub(crate) fn wallet(&self) -> Result<WalletId, Problem> {
        let number = self.to_wallet.as_ref().map_or(0, |number| number.0);
        let wallet = u16::try_from(number).map(WalletId);
        wallet.map_err(|_| Problem::new(&codes::TARGET_WALLET_NOT_FOUND).pointer("/to_wallet"))
    }

    /// Checks the reference.
    pub(crate) fn reference(self) -> Result<Option<Box<str>>, Problem> {
        let reference = self.reference.map(|text| checked(text, REFERENCE_CHARS_MAX, "/reference"));
        reference.transpose().map(|text| text.map(String::into_boxed_str))
    }
}

/// A transfer at one of its steps. The customer whom the step is about has the wallet; `other` is the one on the other side.
#[derive(Serialize, ToSchema)]
pub(crate) struct TransferState {
    /// The position of the record that sent it, which is its id as well; null in a dry run.
    #[schema(required)]
    transfer: Option<u64>,
    /// How far it is.
    state: TransferStep,
    /// The number of the wallet that is debited or credited.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    wallet: Option<u16>,
    /// The customer on the other side.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    other: Option<UuidText>,
    /// The number of the wallet on the other side.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    other_wallet: Option<u16>,
    /// The currency of `amount`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    currency: Option<String>,
    /// How much, in minor units.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    amount: Option<i64>,
    /// The problem code of what was not taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<&'static str>,
}

/// How far a transfer is.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TransferStep {
    /// The money has left its wallet and is on its way.
    Sent,
    /// It has arrived.
    Received,
    /// The other side does not take it.
    Declined,
    /// It is over: the money has arrived.
    Settled,
    /// It is over: the money is back.
    Returned,
}

impl TransferState {
    fn at(state: TransferStep, transfer: Option<Seq>) -> TransferState {
        TransferState {
            transfer: transfer.filter(|transfer| *transfer != Seq::ZERO).map(|transfer| transfer.0),
            state,
            wallet: None,
            other: None,
            other_wallet: None,
            currency: None,
            amount: None,
            reason: None,
        }
    }

    fn moves(self, wallet: WalletId, unit: Unit, amount: Amount) -> TransferState {
        let currency = match unit {
            Unit::Money(code) => Some(CurrencyCode::as_str(&code).to_owned()),
            Unit::Points(_) => None,
        };
        TransferState { wallet: Some(wallet.0), currency, amount: Some(amount.minor_units()), ..self }
    }

    fn with(self, other: CustomerId, wallet: Option<WalletId>) -> TransferState {
        TransferState { other: Some(UuidText(other.0)), other_wallet: wallet.map(|wallet| wallet.0), ..self }
    }

    pub(crate) fn sent(seq: Seq, own: &TransferSent) -> TransferState {
        let state = TransferState::at(TransferStep::Sent, Some(seq));
        state.moves(own.wallet, own.unit, own.amount).with(own.to, Some(own.to_wallet))
    }

    pub(crate) fn received(own: &TransferCredited) -> TransferState {
        let state = TransferState::at(TransferStep::Received, Some(own.transfer));
        state.moves(own.wallet, own.unit, own.amount).with(own.from, None)
    }

    pub(crate) fn declined(own: &TransferDeclined) -> TransferState {
        let state = TransferState::at(TransferStep::Declined, Some(own.transfer)).with(own.from, None);
        TransferState { wallet: Some(own.wallet.0), reason: Some(own.reason.code()), ..state }
    }

    pub(crate) fn settled(own: &TransferSettled) -> TransferState {
        let state = TransferState::at(TransferStep::Settled, Some(own.transfer));
        state.moves(own.wallet, own.unit, own.amount).with(own.to, Some(own.to_wallet))
    }

    pub(crate) fn returned(own: &TransferReturned) -> TransferState {
        TransferState {
            reason: Some(own.reason.code()),
            ..TransferState::at(TransferStep::Returned, Some(own.transfer))
        }
    }
}
