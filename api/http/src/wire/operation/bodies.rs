//! What callers send to have an operation done.

use kembali_core::accounts::Direction;
use kembali_core::operation::Operation;
use kembali_core::purchase::TEXT_BYTES_MAX;
use kembali_core::wallet::WalletStatus;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use crate::codes;
use crate::problem::Problem;
use crate::wire::document::Object;
use crate::wire::fault::{self, Field, Form, optional, required};
use crate::wire::instant::parse_rfc3339;
use crate::wire::number::Whole;
use crate::wire::purchase::has_chars;

/// Characters that the name of a wallet may have.
const WALLET_NAME_CHARS_MAX: usize = 64;
/// Characters that a reference or a reason may have.
pub(crate) const REFERENCE_CHARS_MAX: usize = 128;

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
    /// The caller's own name of the device that is used, which risk rules may count by. It is kept as a keyed hash alone.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 128)]
    pub(crate) device: Option<String>,
}

impl OperationBody for NewDeposit {
    const FIELDS: &'static [Field] =
        &[required("amount", Form::Whole), optional("reference", Form::Text), optional("device", Form::Text)];
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

/// Why something is taken back or refused.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewReason {
    /// Why. No personal data.
    #[schema(min_length = 1, max_length = 128)]
    reason: String,
}

impl OperationBody for NewReason {
    const FIELDS: &'static [Field] = &[required("reason", Form::Text)];
}

impl NewReason {
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

pub(crate) fn checked(text: String, chars_max: usize, pointer: &'static str) -> Result<String, Problem> {
    if has_chars(&text, 1..=chars_max) {
        return Ok(text);
    }
    let detail = format!("must have 1 to {chars_max} characters and no control characters");
    Err(Problem::new(&codes::FIELD_INVALID).pointer(pointer).detail(detail))
}

/// A body that says nothing. What it says beyond that is refused, and not silently left out.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

impl OperationBody for Nothing {
    const FIELDS: &'static [Field] = &[];
}
