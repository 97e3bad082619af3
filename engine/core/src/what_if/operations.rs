//! Operations in a what-if: each is asked again as it was asked.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::people::Moved;
use super::{Inconsistency, WhatIf, rule_time_of};
use crate::customer::{OperationDecision, operate};
use crate::desk::{OperationAdmission, Reservations, admit_operation};
use crate::event::{Body, Event};
use crate::identity::CustomerName;
use crate::operation::{OperationCommand, OperationDone};
use crate::quantity::Seq;
use crate::refund::PURCHASE_REFUSED;

impl WhatIf {
    /// Asks for an operation again.
    pub(super) fn operate_again(&mut self, seq: Seq, body: Body) -> Result<(), Inconsistency> {
        let customer = body.customer.ok_or(Inconsistency::UnknownTenant(self.tenant))?;
        let at = rule_time_of(&body);
        let mut moved = Moved::default();
        for event in &body.events {
            self.before.take(event, seq, at);
            moved.was(event);
        }
        let received_at = body.received_at;
        let (mut name, mut done) = (CustomerName::Id(customer), None);
        for event in body.events {
            match event {
                Event::CustomerCreated(own) => name = CustomerName::Alias(own.alias),
                Event::OperationDone(own) => done = Some(*own),
                _ => (),
            }
        }
        let Some(OperationDone { actor, fingerprint, operation, .. }) = done else { return Ok(()) };
        self.operations += 1;
        let original = operation.refund().and_then(|refund| self.originals.get(&refund.purchase)).cloned();
        if operation.refund().is_some() && original.is_none() {
            // The wanted rules refuse the purchase, so nothing of it can be refunded.
            *self.refused_operations.entry(PURCHASE_REFUSED).or_default() += 1;
            self.differences.add(customer, &moved);
            return Ok(());
        }
        let command = Box::new(OperationCommand {
            tenant: self.tenant,
            actor,
            // A key is asked once: what was done under it before is not told again.
            key: None,
            fingerprint,
            customer: name,
            operation,
            text: None,
            dry_run: false,
            original,
            other_records: Vec::new(),
        });
        let rejection = match admit_operation(&self.desk, &Reservations::default(), received_at, &command) {
            OperationAdmission::Admitted(terms) => match operate(self.rows.get(&terms.customer), &terms, command) {
                OperationDecision::Decided(body) => {
                    for event in &body.events {
                        self.after.take(event, seq, terms.at);
                        moved.is(event);
                    }
                    self.differences.add(customer, &moved);
                    return self.fold(body);
                }
                OperationDecision::Unchanged => None,
                OperationDecision::Refused(rejection, _) => Some(rejection),
            },
            OperationAdmission::Refused(rejection) => Some(rejection),
            OperationAdmission::Known { .. } | OperationAdmission::Booked(_) | OperationAdmission::Wait => {
                unreachable!("no key is kept here and nothing is in flight")
            }
        };
        if let Some(rejection) = rejection {
            *self.refused_operations.entry(rejection.code()).or_default() += 1;
        }
        self.differences.add(customer, &moved);
        Ok(())
    }
}
