//! The desk's decision on an operation: was it asked before, is its customer known, and which rules hold?

use alloc::sync::Arc;

use super::admit::{Named, name_customer, rule_time};
use super::{Desk, Reservations};
use crate::catalogue::{Catalogue, RuleClock};
use crate::identity::CustomerId;
use crate::operation::{Operation, OperationCommand, OperationRejection};
use crate::placement::Removal;
use crate::quantity::{Instant, Seq};

/// What the desk says to an operation.
#[derive(Clone, Debug)]
pub enum OperationAdmission {
    /// It goes to the customer's row on these terms.
    Admitted(OperationTerms),
    /// Its key was used before.
    Known {
        /// The record that says what became of it.
        seq: Seq,
        /// True when the same was asked.
        is_same: bool,
    },
    /// A record of the same key prefix as a refund's is booked; whether it is this refund, the record tells.
    Booked(Seq),
    /// It is refused. Nothing is written: no rule of the customer's was looked at.
    Refused(OperationRejection),
    /// It cannot be decided until what is reserved now is settled.
    Wait,
}

/// On which terms an operation goes to its customer's row.
#[derive(Clone, Debug)]
pub struct OperationTerms {
    /// When the ledger received it.
    pub received_at: Instant,
    /// The rules to decide by.
    pub catalogue: Arc<Catalogue>,
    /// The rules that decided the purchase that is refunded, of a refund.
    pub recorded: Option<Arc<Catalogue>>,
    /// The versions that removed levels, the oldest first.
    pub removals: Arc<[Removal]>,
    /// Whose row.
    pub customer: CustomerId,
    /// The instant that the rules see.
    pub at: Instant,
}

/// Decides whether an operation may go to its customer's row.
///
/// # Panics
///
/// If the command names a tenant that does not exist: its caller was identified by that tenant's rules.
#[must_use]
pub fn admit_operation(
    desk: &Desk,
    open: &Reservations,
    received_at: Instant,
    command: &OperationCommand,
) -> OperationAdmission {
    if let Some(key) = command.key {
        if open.has_operation(key) && !command.dry_run {
            return OperationAdmission::Wait;
        }
        if let Some(known) = desk.operations.find(key, received_at) {
            return OperationAdmission::Known { seq: known.seq, is_same: known.fingerprint == command.fingerprint };
        }
    }
    if let Some(refund) = command.operation.refund() {
        if open.has_key(refund.key) && !command.dry_run {
            return OperationAdmission::Wait;
        }
        let is_other = |seq: &Seq| command.other_records.contains(seq);
        if let Some(seq) = desk.keys().candidates(refund.key).find(|seq| !is_other(seq)) {
            return OperationAdmission::Booked(seq);
        }
    }
    let catalogue = desk.catalogue(command.tenant).expect("a caller's tenant exists");
    let creates = command.operation.creates_customer();
    let customer = match name_customer(desk, open, command.tenant, command.customer, creates) {
        Named::Customer(customer) => customer,
        Named::Open => return OperationAdmission::Wait,
        Named::Nobody => return OperationAdmission::Refused(OperationRejection::CustomerUnknown),
    };
    let at = match &command.operation {
        Operation::ReportActivity { occurred_at, .. } => match rule_time(catalogue, received_at, *occurred_at) {
            Ok(at) => at,
            Err(occurred_at_max) => {
                let occurred_at = occurred_at.unwrap_or(received_at);
                return OperationAdmission::Refused(OperationRejection::OccurredInFuture {
                    occurred_at,
                    occurred_at_max,
                });
            }
        },
        // What is in flight may still raise the instant that is now.
        _ if catalogue.clock == RuleClock::Occurred && !open.is_empty() => return OperationAdmission::Wait,
        _ => desk.now(command.tenant, received_at),
    };
    let recorded = command.original.as_deref().map(|record| record.body.catalogue_version);
    let recorded = recorded.and_then(|version| desk.catalogue_at(command.tenant, version)).cloned();
    let removals = desk.removals(command.tenant).cloned().unwrap_or_default();
    let catalogue = Arc::clone(catalogue);
    OperationAdmission::Admitted(OperationTerms { received_at, catalogue, recorded, removals, customer, at })
}
