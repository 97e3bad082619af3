//! Holds: what partners send, and how a hold is shown while it is open and once it is closed.

use kembali_core::hold::{Hold, HoldClosed, HoldEnd};
use kembali_core::{Unit, WalletId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::fault::{Field, Form, optional, required};
use super::instant::{Rfc3339, UuidText};
use super::number::Whole;
use super::operation::{OperationBody, REFERENCE_CHARS_MAX, checked};
use super::result::Names;
use crate::problem::Problem;

/// Money to set aside.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewHold {
    /// How much, in minor units of the tenant's currency; at least 1.
    pub(crate) amount: Whole,
    /// For how many seconds, 1 to 2,592,000; seven days without it.
    #[serde(default)]
    pub(crate) expires_in_seconds: Option<Whole>,
    /// The caller's own name of it, such as the number of an order. No personal data.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 128)]
    reference: Option<String>,
    /// The caller's own name of the device that is used, which risk rules may count by. It is kept as a keyed hash alone.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 128)]
    pub(crate) device: Option<String>,
}

impl OperationBody for NewHold {
    const FIELDS: &'static [Field] = &[
        required("amount", Form::Whole),
        optional("expires_in_seconds", Form::Whole),
        optional("reference", Form::Text),
        optional("device", Form::Text),
    ];
}

impl NewHold {
    /// Checks the reference.
    pub(crate) fn reference(self) -> Result<Option<Box<str>>, Problem> {
        let reference = self.reference.map(|text| checked(text, REFERENCE_CHARS_MAX, "/reference"));
        reference.transpose().map(|text| text.map(String::into_boxed_str))
    }
}

/// What of a hold is paid.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HoldSettlement {
    /// How much, in minor units, at most what is held; all of it without this. The rest is given free.
    #[serde(default)]
    pub(crate) amount: Option<Whole>,
}

impl OperationBody for HoldSettlement {
    const FIELDS: &'static [Field] = &[optional("amount", Form::Whole)];
}

/// A hold, open or closed.
#[derive(Serialize, ToSchema)]
pub(crate) struct HoldState {
    /// Its number among those of the customer.
    pub(crate) hold: u32,
    /// The wallet's number.
    pub(crate) wallet: u16,
    /// The slug of the partner that it is for.
    pub(crate) partner: String,
    /// The currency of the amounts.
    pub(crate) currency: String,
    /// What is held, in minor units; of a hold that is closed, what was.
    pub(crate) amount: i64,
    /// When it is over.
    pub(crate) expires_at: Rfc3339,
    /// What became of it; not there while it is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    end: Option<HoldEndName>,
    /// What its partner was paid of it, in minor units: nothing where it was voided or has expired. Not there while it is
    /// open.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    settled: Option<i64>,
}

impl HoldState {
    pub(crate) fn of(hold: &Hold, names: &Names<'_>) -> HoldState {
        let WalletId(wallet) = hold.wallet;
        HoldState {
            hold: hold.id.0,
            wallet,
            partner: names.partner(hold.partner).into_owned(),
            currency: match hold.unit {
                Unit::Money(currency) => currency.as_str().to_owned(),
                Unit::Points(kind) => names.point_kind(kind).into_owned(),
            },
            amount: hold.amount.minor_units(),
            expires_at: Rfc3339(hold.expires_at),
            end: None,
            settled: None,
        }
    }

    pub(crate) fn closed(closed: &HoldClosed, names: &Names<'_>) -> HoldState {
        let (end, settled) = match closed.end {
            HoldEnd::Settled { amount } => (HoldEndName::Settled, amount.minor_units()),
            HoldEnd::Voided => (HoldEndName::Voided, 0),
            HoldEnd::Expired => (HoldEndName::Expired, 0),
        };
        HoldState { end: Some(end), settled: Some(settled), ..HoldState::of(&closed.hold, names) }
    }
}

/// What became of a hold.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum HoldEndName {
    /// Its partner was paid.
    Settled,
    /// It was given free.
    Voided,
    /// Its time was over.
    Expired,
}

/// A customer's open holds.
#[derive(Serialize, ToSchema)]
pub(crate) struct HoldList {
    /// The customer's id.
    pub(crate) customer: UuidText,
    /// The holds, in order of their numbers.
    pub(crate) data: Vec<HoldState>,
    /// The position that this is the state of.
    pub(crate) as_of: u64,
}
