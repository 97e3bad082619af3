//! What the desk decides alone, because no customer's row has a part in it: invoices that are opened and cancelled, checks that
//! are archived.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::{Desk, invoices};
use crate::command::DeskCommand;
use crate::event::{Body, Event};
use crate::operation::{Operation, OperationDone, OperationRefused, OperationRejection};
use crate::quantity::{Instant, Seq};
use crate::risk::RiskCheckArchived;

/// What the desk says to what it decides alone.
#[derive(Debug)]
pub enum DeskDecision {
    /// Its key was used before.
    Known {
        /// The record that says what became of it.
        seq: Seq,
        /// True when the same was asked.
        is_same: bool,
    },
    /// All that happens.
    Decided(Body),
    /// It is refused. `record` keeps it under its key, if it has one.
    Refused {
        /// Why.
        rejection: OperationRejection,
        /// What is written.
        record: Option<Body>,
    },
}

/// Decides what no row is asked about. Nothing may be in flight: it sees everything before it settled.
///
/// # Panics
///
/// If the command names a tenant that does not exist: its caller was identified by that tenant's rules.
#[must_use]
pub fn decide_alone(desk: &Desk, received_at: Instant, command: &DeskCommand) -> DeskDecision {
    if let Some(known) = command.key.and_then(|key| desk.operations.find(key, received_at)) {
        return DeskDecision::Known { seq: known.seq, is_same: known.fingerprint == command.fingerprint };
    }
    let rules = desk.catalogue(command.tenant).expect("a caller's tenant exists");
    let at = desk.now(command.tenant, received_at);
    let DeskCommand { tenant, actor, key, fingerprint, operation, dry_run } = command.clone();
    let effect = match effect(desk, command, at) {
        Ok(effect) => effect,
        Err(rejection) => {
            let record = key.filter(|_| !dry_run).map(|key| {
                let rejection = rejection.clone();
                let refused = OperationRefused { actor, key, fingerprint, customer: None, operation, rejection };
                refused.record(tenant, received_at, rules.version)
            });
            return DeskDecision::Refused { rejection, record };
        }
    };
    let done = OperationDone { actor, key, fingerprint, at, operation };
    DeskDecision::Decided(Body {
        received_at,
        tenant: rules.tenant,
        catalogue_version: rules.version,
        customer: None,
        previous: Seq::ZERO,
        events: Vec::from([Event::OperationDone(Box::new(done)), effect]),
    })
}

fn effect(desk: &Desk, command: &DeskCommand, at: Instant) -> Result<Event, OperationRejection> {
    match &command.operation {
        Operation::OpenInvoice { partner, prefix, amount, life_seconds, .. } => {
            let (whose, how) = ((*partner, prefix.as_deref()), (*amount, *life_seconds));
            invoices::open(desk, command.tenant, whose, how, at)
        }
        Operation::CancelInvoice { number } => invoices::cancel(desk, command.tenant, command.actor, number),
        Operation::ArchiveRiskCheck { check } if desk.is_archived(command.tenant, *check) => {
            Err(OperationRejection::RiskCheckArchived)
        }
        Operation::ArchiveRiskCheck { check } => Ok(Event::RiskCheckArchived(RiskCheckArchived { check: *check })),
        _ => panic!("a row has a part in whatever else is asked"),
    }
}
