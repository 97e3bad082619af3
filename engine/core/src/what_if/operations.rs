//! Operations in a what-if: each is asked again as it was asked.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::people::Moved;
use super::{Inconsistency, WhatIf};
use crate::customer::{OperationDecision, operate};
use crate::desk::{OperationAdmission, admit_operation};
use crate::event::{Body, Event, Record};
use crate::hold::HoldId;
use crate::identity::{CustomerId, CustomerName};
use crate::operation::{Operation, OperationCommand, OperationRejection};
use crate::quantity::Seq;
use crate::refund::PURCHASE_REFUSED;
use crate::review::ReviewClosed;
use crate::transfer::{self, OpenTransfer};

/// The code of what is asked of an operation that the second state refuses.
const OPERATION_REFUSED: &str = OperationRejection::NotReversible.code();
/// The code of what only the second state sets aside for a person.
const SET_ASIDE: &str = "in_review";
/// The code of what is asked of a hold that the second state does not have.
const HOLD_UNKNOWN: &str = OperationRejection::HoldUnknown.code();

impl WhatIf {
    /// Asks for an operation again.
    pub(super) fn operate_again(&mut self, seq: Seq, body: Body) -> Result<(), Inconsistency> {
        let (customer, mut moved) = self.was(seq, &body)?;
        let received_at = body.received_at;
        let placed = placed_hold(&body);
        let (mut name, mut done, mut released) = (CustomerName::Id(customer), None, None);
        // Where rules looked at it, the record says the device.
        let mut device = None;
        let (was_set_aside, was_sent) = (has_review(&body), OpenTransfer::sent_by(&body, seq).is_some());
        for event in body.events {
            match event {
                Event::OperationCounted(own) => device = own.device,
                Event::ReviewOpened(own) => {
                    device = own.device;
                    done = Some((own.actor, own.fingerprint, own.operation));
                }
                Event::ReviewClosed(own) => {
                    let ReviewClosed { review, released_by } = *own;
                    released = released_by.map(|by| (by.actor, by.fingerprint, Operation::ReleaseReview { review }));
                }
                Event::CustomerCreated(own) => name = CustomerName::Alias(own.alias),
                Event::OperationDone(own) => done = Some((own.actor, own.fingerprint, own.operation)),
                Event::TransferSent(own) => done = Some((own.actor, own.fingerprint, own.operation())),
                _ => (),
            }
        }
        let Some((actor, fingerprint, mut operation)) = released.or(done) else { return Ok(()) };
        self.transfer_refused = None;
        // A transfer that is sent counts once it is over.
        self.operations += u64::from(!was_sent);
        let is_there = self.find_hold(customer, &mut operation);
        let original = match &mut operation {
            Operation::RefundPurchase(refund) => self.originals.get(&refund.purchase).cloned(),
            Operation::ReleaseReview { review } | Operation::RejectReview { review, .. } => {
                let Some(own) = self.set_aside.remove(review) else {
                    // It was done at once there, or refused: whoever names what was released means that.
                    let own = self.done_at_once.remove(review);
                    self.note_hold(customer, placed, own.as_ref().and_then(|own| placed_hold(&own.body)));
                    if let Some(own) = own.filter(|_| self.taken_back.operations.contains(&seq)) {
                        self.reversible.insert(seq, Arc::new(Record { seq, body: own.body.clone() }));
                    }
                    self.differences.add(customer, &moved);
                    return Ok(());
                };
                *review = own.seq;
                Some(own)
            }
            Operation::Reverse { operation, .. } => self.reversible.get(operation).cloned(),
            _ => None,
        };
        // The wanted rules refuse the purchase, so nothing of it can be refunded; or they leave too little to be held or moved.
        let of_nothing = match &operation {
            Operation::RefundPurchase(_) => original.is_none().then_some(PURCHASE_REFUSED),
            Operation::Reverse { .. } => original.is_none().then_some(OPERATION_REFUSED),
            _ => (!is_there).then_some(HOLD_UNKNOWN),
        };
        if let Some(code) = of_nothing {
            *self.refused_operations.entry(code).or_default() += 1;
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
            device,
            text: None,
            dry_run: false,
            original,
            other_records: Vec::new(),
        });
        let rejection = match admit_operation(&self.desk, &self.nothing_open, received_at, &command) {
            OperationAdmission::Admitted(terms) => match operate(self.rows.get(&terms.customer), &terms, command) {
                OperationDecision::Decided(body) => {
                    for event in &body.events {
                        self.after.take(event, seq, terms.at);
                        moved.is(event);
                    }
                    if has_review(&body) && !was_set_aside {
                        *self.refused_operations.entry(SET_ASIDE).or_default() += 1;
                    }
                    self.note_hold(customer, placed, placed_hold(&body));
                    if was_set_aside && !has_review(&body) {
                        self.done_at_once.insert(seq, Arc::new(Record { seq, body: body.clone() }));
                    }
                    self.fold(body)?;
                    // Where it was set aside then, no record takes its further steps.
                    while let Some(terms) = self.desk.transfer().filter(|_| !was_sent) {
                        let next = terms.open.next_customer();
                        let row = self.rows.get(&next).ok_or(Inconsistency::UnknownCustomer(next))?;
                        let step = transfer::step(row, &terms);
                        let mut own = Moved::default();
                        for event in &step.events {
                            self.after.take(event, seq, terms.open.sent.at);
                            own.is(event);
                            if let Event::TransferReturned(returned) = event {
                                *self.refused_operations.entry(returned.reason.code()).or_default() += 1;
                            }
                        }
                        self.differences.add(next, &own);
                        self.fold(step)?;
                    }
                    self.differences.add(customer, &moved);
                    return Ok(());
                }
                OperationDecision::Unchanged => None,
                OperationDecision::Refused(rejection, _) => Some(rejection),
            },
            OperationAdmission::Refused { rejection, .. } => Some(rejection),
            OperationAdmission::Known { .. } | OperationAdmission::Booked(_) | OperationAdmission::Wait => {
                unreachable!("no key is kept here and nothing is in flight")
            }
        };
        let code = rejection.as_ref().map(OperationRejection::code);
        if was_sent {
            self.transfer_refused = code;
        } else if let Some(code) = code {
            *self.refused_operations.entry(code).or_default() += 1;
        }
        self.note_hold(customer, placed, None);
        self.differences.add(customer, &moved);
        Ok(())
    }

    /// Takes a further step of a transfer that really happened, and the same step in the second state if it was sent there
    /// too. So wherever a range ends, both sides have come equally far.
    pub(super) fn transfer_went_on(&mut self, seq: Seq, body: &Body) -> Result<(), Inconsistency> {
        let (customer, mut moved) = self.was(seq, body)?;
        if let Some(terms) = self.desk.transfer() {
            // Each step is taken by the same customer on both sides: the target, then the source.
            let row = self.rows.get(&customer).ok_or(Inconsistency::UnknownCustomer(customer))?;
            let step = transfer::step(row, &terms);
            for event in &step.events {
                self.after.take(event, seq, terms.open.sent.at);
                moved.is(event);
                if let Event::TransferReturned(returned) = event {
                    self.transfer_refused = Some(returned.reason.code());
                }
            }
            self.fold(step)?;
        }
        self.differences.add(customer, &moved);
        for event in &body.events {
            match event {
                Event::TransferSettled(_) => {
                    self.operations += 1;
                    if let Some(code) = self.transfer_refused {
                        *self.refused_operations.entry(code).or_default() += 1;
                    }
                }
                Event::OperationRefused(_) => self.left_out.refused_operations += 1,
                _ => (),
            }
        }
        Ok(())
    }

    /// Notes the number that a hold has in the second state.
    fn note_hold(&mut self, customer: CustomerId, recorded: Option<HoldId>, own: Option<HoldId>) {
        if let Some(recorded) = recorded.filter(|recorded| own != Some(*recorded)) {
            self.holds.insert((customer, recorded), own);
        }
    }

    /// Makes an operation on a hold mean that of the second state. Returns false when there is none.
    fn find_hold(&self, customer: CustomerId, operation: &mut Operation) -> bool {
        let (Operation::SettleHold { hold, .. } | Operation::VoidHold { hold }) = operation else { return true };
        match self.holds.get(&(customer, *hold)) {
            None => true,
            Some(None) => false,
            Some(Some(own)) => {
                *hold = *own;
                true
            }
        }
    }
}

fn has_review(body: &Body) -> bool {
    body.events.iter().any(|event| matches!(event, Event::ReviewOpened(_)))
}

fn placed_hold(body: &Body) -> Option<HoldId> {
    body.events.iter().find_map(|event| match event {
        Event::HoldPlaced(hold) => Some(hold.id),
        _ => None,
    })
}
