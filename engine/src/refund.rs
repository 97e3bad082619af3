//! Refunds at the handle: the purchase is found by its partner's id and read, then the refund travels as an operation.
//!
//! A purchase in flight is waited for: the look for it has a ticket behind it. What is found is durable, so it never
//! changes, and the command carries it.

use std::sync::Arc;

use kembali_core::command::{Command, Query};
use kembali_core::event::{Event, Record};
use kembali_core::operation::{Actor, Operation, OperationCommand};
use kembali_core::refund::{Refund, RefundOf};
use kembali_core::{CustomerName, Fingerprint, PartnerId, PurchaseKey, RejectionCode, Seq, TenantId};
use kembali_machine::Outcome;
use tokio::sync::TryAcquireError;

use crate::handle::{Engine, SUBMISSION_UNITS_MAX};
use crate::operate::{OperateError, Operated};
use crate::request::{NotTaken, Stopped};

/// A refund to book.
#[derive(Clone, Debug)]
pub struct RefundRequest {
    /// Who asks: that partner, or an operator of its tenant.
    pub actor: Actor,
    /// The tenant.
    pub tenant: TenantId,
    /// The partner that booked the purchase.
    pub partner: PartnerId,
    /// The partner's own id of the purchase.
    pub origin_id: String,
    /// The partner's own id of the refund, unique within the purchase.
    pub refund_id: String,
    /// How much, or of what.
    pub of: RefundOf,
    /// Why, if whoever asks says so.
    pub reason: Option<String>,
    /// True when the answer is wanted but not the effect.
    pub dry_run: bool,
}

/// What became of a refund. Everything that it rests on is durable.
#[derive(Clone, Debug)]
pub enum Refunded {
    /// It was booked, now or before, or refused, as any operation.
    Operated(Operated),
    /// Another refund of the purchase has the same id.
    Conflict {
        /// The record of that.
        seq: Seq,
    },
    /// The partner has booked no such purchase.
    PurchaseUnknown,
    /// The partner's purchase was refused, so there is nothing to take back.
    PurchaseRefused {
        /// Why.
        code: RejectionCode,
    },
}

impl Engine {
    /// Books a refund, or refuses at once when too much is in flight or the disk is nearly full.
    ///
    /// # Errors
    ///
    /// [`OperateError`].
    pub async fn refund(&self, request: RefundRequest) -> Result<Refunded, OperateError> {
        if !request.dry_run {
            self.check_room_on_disk().map_err(NotTaken::from)?;
        }
        let key = self.inner.naming.purchase(request.partner, &request.origin_id);
        let Some((original, _)) = self.purchase(key).await? else {
            return Ok(match self.receipt(key).await? {
                Some(code) => Refunded::PurchaseRefused { code },
                None => Refunded::PurchaseUnknown,
            });
        };
        let units = units_of(&request.of);
        let mut command = Box::new(self.refund_command(request, key, original));
        loop {
            let permit = match Arc::clone(&self.inner.room).try_acquire_many_owned(units) {
                Ok(permit) => permit,
                Err(TryAcquireError::NoPermits) => return Err(NotTaken::Overloaded.into()),
                Err(TryAcquireError::Closed) => return Err(Stopped.into()),
            };
            let operated = match self.submit_one(permit, Command::Operation(command)).await? {
                Outcome::Operated { record, catalogue } => Operated::Done { record, catalogue, replayed: false },
                Outcome::WouldOperate { body, catalogue } => Operated::WouldDo { body, catalogue },
                Outcome::OperationRefused(rejection) => Operated::Refused { rejection, replayed: false },
                Outcome::RefundBooked(seq, own) => {
                    command = own;
                    let (record, catalogue) = self.durable_record(seq).await?;
                    let refund_key = command.operation.refund().map(|refund| refund.key);
                    match refund_key.and_then(|key| refunded_as(&record, key)) {
                        Some(own) if own == command.fingerprint => Operated::Done { record, catalogue, replayed: true },
                        Some(_) => return Ok(Refunded::Conflict { seq }),
                        None => {
                            // Something else whose key begins with the same 64 bits.
                            command.other_records.push(seq);
                            continue;
                        }
                    }
                }
                other => unreachable!("a refund cannot end as {other:?}"),
            };
            return Ok(Refunded::Operated(operated));
        }
    }

    fn refund_command(&self, request: RefundRequest, purchase: PurchaseKey, original: Arc<Record>) -> OperationCommand {
        let RefundRequest { actor, tenant, origin_id, refund_id, of, reason, dry_run, .. } = request;
        let naming = &self.inner.naming;
        let refund = Refund {
            purchase,
            key: naming.refund(purchase, &refund_id),
            origin_id: origin_id.into(),
            refund_id: refund_id.into(),
            of,
            reason: reason.map(String::into_boxed_str),
        };
        let customer = CustomerName::Id(original.body.customer.expect("a purchase is a customer's"));
        let operation = Operation::RefundPurchase(Box::new(refund));
        OperationCommand {
            tenant,
            actor,
            key: None,
            fingerprint: naming.operation_fingerprint(customer, &operation, None, None),
            customer,
            operation,
            device: None,
            text: None,
            dry_run,
            original: Some(original),
            other_records: Vec::new(),
        }
    }

    /// Says why a purchase is refused, if it is.
    async fn receipt(&self, key: PurchaseKey) -> Result<Option<RejectionCode>, Stopped> {
        match self.ask(Query::Receipt { key }).await? {
            Outcome::Receipt(code) => Ok(code),
            other => unreachable!("a look for a receipt cannot end as {other:?}"),
        }
    }
}

/// Counts the room that a refund takes: one unit, and one for each KiB of its lines.
fn units_of(of: &RefundOf) -> u32 {
    let bytes = match of {
        RefundOf::Amount(_) => 0,
        RefundOf::Lines(lines) => lines.iter().map(|line| line.product.len() + 32).sum(),
    };
    u32::try_from(1 + bytes / 1024).unwrap_or(u32::MAX).min(SUBMISSION_UNITS_MAX)
}

/// Returns the fingerprint of the refund that a record books under `key`.
fn refunded_as(record: &Record, key: PurchaseKey) -> Option<Fingerprint> {
    let books = |event: &Event| matches!(event, Event::PurchaseRefunded(refunded) if refunded.key == key);
    record.body.events.iter().find(|event| books(event))?;
    record.body.events.iter().find_map(|event| match event {
        Event::OperationDone(done) => Some(done.fingerprint),
        _ => None,
    })
}
