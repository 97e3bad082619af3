//! Reviews: operations that a risk rule sets aside for a person, who releases or rejects them.
//!
//! What is set aside has moved nothing. The desk keeps which reviews are open; what was asked stands in the record that set
//! it aside. A release does what was asked as if it were asked now, for whoever asked, and is refused where that is. The key
//! of the caller leads to what became of it last: set aside, done, or rejected.

use alloc::boxed::Box;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::event::{Event, Record};
use crate::identity::{CustomerId, Fingerprint, RuleId};
use crate::operation::{Actor, Operation, OperationCommand, OperationKey, OperationRefused, OperationRejection};
use crate::quantity::{Amount, Instant, Seq};
use crate::risk::{DeviceId, RiskKind};

/// Reviews of a tenant that may be open.
pub const REVIEWS_MAX: usize = 10_000;

/// An operation was set aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewOpened {
    /// Who asked.
    pub actor: Actor,
    /// Its key, if it has one.
    pub key: Option<OperationKey>,
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
    /// The instant that the rules saw.
    pub at: Instant,
    /// What was asked.
    pub operation: Operation,
    /// What of it was looked at.
    pub kind: RiskKind,
    /// How much.
    pub amount: Amount,
    /// The device that the caller named.
    pub device: Option<DeviceId>,
    /// The rule that set it aside.
    pub rule: RuleId,
}

/// A review that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenReview {
    /// Whose operation.
    pub customer: CustomerId,
    /// Its key, if it has one, which is not forgotten as long as the review is open.
    pub key: Option<OperationKey>,
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
}

/// A review is over. What was done, or is refused, stands behind it in the same record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewClosed {
    /// The record that set the operation aside.
    pub review: Seq,
    /// Who released it; `None` of one that was rejected.
    pub released_by: Option<Releaser>,
}

/// Who released what was set aside, and how that was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Releaser {
    /// Who asked.
    pub actor: Actor,
    /// The key, if there was one.
    pub key: Option<OperationKey>,
    /// The fingerprint.
    pub fingerprint: Fingerprint,
}

impl Record {
    /// Returns the operation that the record set aside.
    #[must_use]
    pub fn review(&self) -> Option<&ReviewOpened> {
        self.body.events.iter().find_map(|event| match event {
            Event::ReviewOpened(opened) => Some(&**opened),
            _ => None,
        })
    }
}

impl Operation {
    /// Returns the review that is to be closed.
    #[must_use]
    pub const fn closes_review(&self) -> Option<Seq> {
        match self {
            Operation::ReleaseReview { review } | Operation::RejectReview { review, .. } => Some(*review),
            _ => None,
        }
    }
}

impl OperationCommand {
    /// Returns what was set aside, of a release.
    fn set_aside(&self) -> Option<&ReviewOpened> {
        match self.operation {
            Operation::ReleaseReview { .. } => self.original.as_deref()?.review(),
            _ => None,
        }
    }

    /// Returns what is to be done: of a release, what was set aside.
    #[must_use]
    pub fn effective(&self) -> &Operation {
        self.set_aside().map_or(&self.operation, |opened| &opened.operation)
    }

    /// Returns for whom it is to be done: of a release, for whoever had asked.
    pub(crate) fn effective_actor(&self) -> Actor {
        self.set_aside().map_or(self.actor, |opened| opened.actor)
    }

    /// Returns the device that is named: of a release, by whoever had asked.
    pub(crate) fn effective_device(&self) -> Option<DeviceId> {
        self.set_aside().map_or(self.device, |opened| opened.device)
    }

    /// Makes the command that was set aside, as its caller asked for it, and says who releases it. `None` of a command that
    /// releases nothing.
    pub(crate) fn released(&self) -> Option<(OperationCommand, ReviewClosed)> {
        let opened = self.set_aside()?;
        let review = self.operation.closes_review()?;
        let OperationCommand { actor, key, fingerprint, .. } = *self;
        let closed = ReviewClosed { review, released_by: Some(Releaser { actor, key, fingerprint }) };
        let command = OperationCommand {
            actor: opened.actor,
            key: opened.key,
            fingerprint: opened.fingerprint,
            operation: opened.operation.clone(),
            device: opened.device,
            original: None,
            ..self.clone()
        };
        Some((command, closed))
    }
}

/// Rejects what was set aside: the caller's key leads to the refusal from now on.
pub(crate) fn reject(customer: CustomerId, review: Seq, opened: &ReviewOpened) -> Vec<Event> {
    let mut events = Vec::from([Event::ReviewClosed(Box::new(ReviewClosed { review, released_by: None }))]);
    let ReviewOpened { actor, key, fingerprint, ref operation, .. } = *opened;
    events.extend(key.map(|key| {
        let (customer, rejection) = (Some(customer), OperationRejection::ReviewRejected);
        let operation = operation.clone();
        Event::OperationRefused(Box::new(OperationRefused { actor, key, fingerprint, customer, operation, rejection }))
    }));
    events
}
