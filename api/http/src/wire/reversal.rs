//! An operation that was taken back, as results and events tell it.

use kembali_core::reversal::OperationReversed;
use serde::Serialize;
use utoipa::ToSchema;

use super::result::Names;

/// An operation that was taken back.
#[derive(Serialize, ToSchema)]
pub(crate) struct Reversed {
    /// The position of its record.
    operation: u64,
    /// Whom it had paid; not there where it paid nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    paid: Option<Unpaid>,
}

/// Who is paid no longer, by an operation that was taken back.
#[derive(Serialize, ToSchema)]
pub(crate) struct Unpaid {
    /// The partner's slug.
    partner: String,
    /// The number of the invoice, which is not paid again; not there where it was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    va_number: Option<String>,
}

impl Reversed {
    pub(crate) fn of(own: &OperationReversed, names: &Names<'_>) -> Reversed {
        let paid = own.partner.map(|partner| Unpaid {
            partner: names.partner(partner).into_owned(),
            va_number: own.invoice.as_deref().map(str::to_owned),
        });
        Reversed { operation: own.operation.0, paid }
    }
}
