//! What became of what is delivered elsewhere, as callers see it.

use kembali_core::Seq;
use kembali_engine::{Delivery, DeliveryState};
use serde::Serialize;
use utoipa::ToSchema;

use super::instant::Rfc3339;

/// Whether a delivery is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DeliveryStateName {
    /// It is tried, or waits for the next attempt, or for an earlier one of its customer.
    Due,
    /// It was tried for a day, or will never be taken, and is not tried any more.
    GivenUp,
    /// The receiver took it.
    Made,
}

impl DeliveryStateName {
    pub(crate) const fn of(delivery: &Delivery) -> DeliveryStateName {
        match delivery.state {
            DeliveryState::Due(_) => DeliveryStateName::Due,
            DeliveryState::GivenUp => DeliveryStateName::GivenUp,
            DeliveryState::Made => DeliveryStateName::Made,
        }
    }

    pub(crate) const fn parse(text: &str) -> Option<DeliveryStateName> {
        match text.as_bytes() {
            b"due" => Some(DeliveryStateName::Due),
            b"given_up" => Some(DeliveryStateName::GivenUp),
            b"made" => Some(DeliveryStateName::Made),
            _ => None,
        }
    }
}

/// Deliveries, those of the newest records first.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeliveryPage {
    /// The deliveries: all that are due or given up, and the last thousand that were made.
    pub(crate) data: Vec<DeliveryShown>,
    /// Where the next page starts; null at the end.
    #[schema(required)]
    pub(crate) next_cursor: Option<String>,
}

/// A delivery: what one record says.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeliveryShown {
    /// The position of the record.
    pub(crate) seq: u64,
    /// What it is called, the same in each attempt: `webhook-id` of a webhook, what the `Message-ID` begins with of a mail.
    pub(crate) id: String,
    /// Whether it is made.
    pub(crate) state: DeliveryStateName,
    /// Since when it is tried.
    pub(crate) since: Rfc3339,
    /// How often it was tried.
    pub(crate) attempts: u32,
    /// When it was tried last; null before that.
    #[schema(required)]
    pub(crate) tried_at: Option<Rfc3339>,
    /// When it is tried next, or later, where an earlier one of its customer holds it back; null where it is not.
    #[schema(required)]
    pub(crate) next_at: Option<Rfc3339>,
    /// Why the last attempt failed; null where none did.
    #[schema(required)]
    pub(crate) reason: Option<String>,
}

impl DeliveryShown {
    pub(crate) fn of(id: String, seq: Seq, delivery: Delivery) -> DeliveryShown {
        DeliveryShown {
            seq: seq.0,
            id,
            state: DeliveryStateName::of(&delivery),
            since: Rfc3339(delivery.since),
            attempts: delivery.attempts,
            tried_at: delivery.tried_at.map(Rfc3339),
            next_at: delivery.due().map(Rfc3339),
            reason: Some(delivery.reason).filter(|reason| !reason.is_empty()),
        }
    }
}

/// Deliveries that are made again.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeliveriesReplayed {
    /// How many.
    pub(crate) replayed: usize,
}

/// How far the mail of a tenant is.
#[derive(Serialize, ToSchema)]
pub(crate) struct MailProgress {
    /// The position up to which the ledger was looked through for it, as it was kept last: up to half a minute ago.
    pub(crate) position: u64,
    /// The last durable position of the ledger.
    pub(crate) head: u64,
    /// Mails that are tried, or wait for it.
    pub(crate) due: usize,
    /// Mails that were given up.
    pub(crate) given_up: usize,
}
