//! The router's part in transfers: three records side by side, by the rows of two customers.
//!
//! From the admission of a transfer until it is over nothing else is admitted, so each step has the next ticket. A start
//! that finds a transfer on its way goes on with it before anything else.

use kembali_core::Instant;
use kembali_core::event::{Body, Event};
use kembali_core::operation::OperationRejection;
use kembali_core::transfer::{OpenTransfer, TransferRefusal, TransferTerms, would_settle};
use kembali_core::{Seq, Ticket};

use super::operations::KeptOperation;
use super::{Awaited, Content, Router, Slot};
use crate::outcome::Outcome;
use crate::shard::{Answer, Work};

impl<T> Router<T> {
    /// Goes on with the transfer that was on its way when the ledger stopped.
    pub(super) fn resume_transfer(&mut self) {
        if let Some(terms) = self.desk.transfer() {
            self.is_transferring = true;
            self.next_step(terms, None);
        }
    }

    /// The source has answered. Returns the outcome of a transfer that is over with that: its first step was refused.
    pub(super) fn transfer_began(
        &mut self,
        received_at: Instant,
        mut kept: Box<KeptOperation>,
        answer: Answer,
    ) -> Option<Outcome> {
        let sent = match &answer {
            Answer::Decided(body) | Answer::Proposed(body) => OpenTransfer::sent_by(body, Seq::ZERO),
            _ => None,
        };
        let terms = match (answer, sent) {
            (Answer::Decided(body), Some(_)) => {
                self.write(body);
                self.desk.transfer().expect("a transfer that was sent is on its way")
            }
            (Answer::Proposed(body), Some(open)) => {
                kept.proposed = Some(body);
                self.desk.terms_of(open).expect("a caller's tenant exists")
            }
            // It is refused, or set aside.
            (other, _) => {
                self.is_transferring = false;
                return Some(self.settle_operation(received_at, *kept, other));
            }
        };
        self.next_step(terms, Some(kept));
        None
    }

    /// A row has taken a further step. Returns the outcome once the transfer is over and somebody waits for it.
    pub(super) fn transfer_went_on(&mut self, kept: Option<Box<KeptOperation>>, answer: Answer) -> Option<Outcome> {
        match (answer, kept) {
            (Answer::Decided(body), kept) => {
                let record = self.write(body);
                if let Some(terms) = self.desk.transfer() {
                    self.next_step(terms, kept);
                    return None;
                }
                self.is_transferring = false;
                let kept = kept?;
                self.end_operation(&kept);
                Some(match declined(&record.body) {
                    Some(reason) => Outcome::OperationRefused(OperationRejection::TransferDeclined(reason)),
                    None => Outcome::Operated { record, catalogue: kept.catalogue },
                })
            }
            (Answer::Proposed(body), Some(kept)) => {
                self.is_transferring = false;
                let sent = kept.proposed.expect("a dry run keeps what the source would do");
                Some(match declined(&body) {
                    Some(reason) => Outcome::OperationRefused(OperationRejection::TransferDeclined(reason)),
                    None => {
                        let body = Box::new(would_settle(&sent).expect("a transfer is proposed"));
                        Outcome::WouldOperate { body, catalogue: kept.catalogue }
                    }
                })
            }
            _ => panic!("a shard answered something else"),
        }
    }

    /// Hands the next step to the row whose turn it is.
    fn next_step(&mut self, terms: TransferTerms, kept: Option<Box<KeptOperation>>) {
        let ticket = Ticket(self.first_ticket + self.slots.len() as u64);
        let (tenant, customer, received_at) = (terms.open.tenant, terms.open.next_customer(), terms.open.received_at);
        let dry_run = kept.as_ref().is_some_and(|kept| kept.dry_run);
        self.assign(ticket, tenant, customer, Work::Transfer(Box::new(terms), dry_run));
        self.slots.push_back(Slot { received_at, content: Content::Awaited(Awaited::Transfer(kept)) });
    }
}

/// Returns why the target takes nothing, by a record that says so.
fn declined(body: &Body) -> Option<TransferRefusal> {
    body.events.iter().find_map(|event| match event {
        Event::TransferDeclined(declined) => Some(declined.reason),
        Event::TransferReturned(returned) => Some(returned.reason),
        _ => None,
    })
}
