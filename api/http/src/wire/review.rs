//! Operations that are set aside, as operators see them.

use std::borrow::Cow;

use kembali_core::catalogue::Catalogue;
use kembali_core::event::Record;
use serde::Serialize;
use utoipa::ToSchema;

use super::instant::{Rfc3339, UuidText};
use super::operation::{Asked, by};
use super::result::Names;

/// An operation that is set aside.
#[derive(Serialize, ToSchema)]
pub(crate) struct Review<'a> {
    /// The position of the record that set it aside, which is its id as well.
    review: u64,
    /// When the ledger received it.
    received_at: Rfc3339,
    /// Whose operation.
    customer: UuidText,
    /// What was asked.
    operation: Asked<'a>,
    /// Who asked: `operator`, or the slug of a partner.
    by: Cow<'a, str>,
    /// The risk rule that set it aside.
    rule: Cow<'a, str>,
}

/// A page of what is set aside, the oldest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReviewPage<'a> {
    /// The operations.
    pub(crate) data: Vec<Review<'a>>,
    /// Where the next page starts; null on the last.
    #[schema(required)]
    pub(crate) next_cursor: Option<String>,
}

impl<'a> Review<'a> {
    /// Shows what a record set aside; `None` of another record.
    pub(crate) fn of(record: &'a Record, catalogue: &'a Catalogue) -> Option<Review<'a>> {
        let (opened, names) = (record.review()?, Names { catalogue });
        Some(Review {
            review: record.seq.0,
            received_at: Rfc3339(record.body.received_at),
            customer: UuidText(record.body.customer?.0),
            operation: Asked::of(&opened.operation),
            by: by(opened.actor, &names),
            rule: names.risk_rule(opened.rule),
        })
    }
}
