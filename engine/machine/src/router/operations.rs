//! The router's part in operations: their keys, their answers, their refusals.

use std::sync::Arc;

use kembali_core::catalogue::Catalogue;
use kembali_core::command::DeskCommand;
use kembali_core::desk::{self, CountedBy, DeskDecision, OperationAdmission, OperationTerms, PlaceTerms};
use kembali_core::event::{Body, Event};
use kembali_core::operation::{Operation, OperationCommand, OperationKey, OperationRejection};
use kembali_core::{CustomerId, Instant, PurchaseKey, RuleId, Seq, TenantId, Ticket};

use super::{Awaited, Content, NewProfile, ProfileText, Router};
use crate::outcome::Outcome;
use crate::shard::{Answer, Work};

/// What is needed of an operation once its row has answered.
pub(super) struct KeptOperation {
    key: Option<OperationKey>,
    /// The customer whom it is about.
    customer: CustomerId,
    creates: bool,
    /// Units of an offer that are reserved.
    units: Option<(TenantId, RuleId, u32)>,
    /// The campaigns of which a completion is reserved.
    campaigns: Vec<RuleId>,
    /// The invoice that is paid, or whose payment is reversed.
    invoice: Option<Box<str>>,
    /// The review that is closed.
    review: Option<Seq>,
    /// True where a place is reserved for what may be set aside.
    has_place: bool,
    /// Partners and devices of which nothing else is looked at meanwhile.
    parties: Vec<CountedBy>,
    /// What the source of a transfer would do, of a dry run.
    pub(super) proposed: Option<Body>,
    /// True of a transfer, which is over only after further steps.
    pub(super) is_transfer: bool,
    /// The key of a refund, and the promo that may get a unit back.
    refund: Option<(PurchaseKey, Option<(TenantId, RuleId)>)>,
    pub(super) catalogue: Arc<Catalogue>,
    text: Option<Box<str>>,
    pub(super) dry_run: bool,
}

impl<T> Router<T> {
    pub(super) fn operation_content(
        &mut self,
        ticket: Ticket,
        operation: Box<OperationCommand>,
        admission: OperationAdmission,
    ) -> Content {
        match admission {
            OperationAdmission::Admitted(terms) => self.admitted_operation(ticket, operation, terms),
            OperationAdmission::Known { seq, is_same } => Content::Done(Outcome::OperationKnown { seq, is_same }),
            OperationAdmission::Booked(seq) => Content::Done(Outcome::RefundBooked(seq, operation)),
            OperationAdmission::Refused { rejection, .. } if operation.key.is_none() || operation.dry_run => {
                Content::Done(Outcome::OperationRefused(rejection))
            }
            OperationAdmission::Refused { rejection, customer } => {
                self.open.begin_operation(operation.key, None);
                Content::RefusedOperation(operation, rejection, customer)
            }
            OperationAdmission::Wait => unreachable!("an operation that waits stays in the backlog"),
        }
    }

    fn admitted_operation(
        &mut self,
        ticket: Ticket,
        mut operation: Box<OperationCommand>,
        terms: Box<OperationTerms>,
    ) -> Content {
        let (tenant, customer) = (operation.tenant, terms.customer);
        let kept = Box::new(KeptOperation {
            key: operation.key,
            customer,
            creates: self.desk.last_record_of(customer) == Seq::ZERO,
            units: terms.reserved_units(),
            campaigns: terms.budgets.reserved.clone(),
            is_transfer: operation.effective().is_transfer(),
            proposed: None,
            review: operation.operation.closes_review(),
            has_place: terms.place == PlaceTerms::Reserved,
            parties: terms.parties.looked_at.clone(),
            invoice: operation.invoice().map(Into::into),
            refund: operation.operation.refund().map(|refund| (refund.key, operation.may_return())),
            catalogue: Arc::clone(&terms.catalogue),
            text: operation.text.take(),
            dry_run: operation.dry_run,
        });
        // A dry run looks at both rows as they are between two commands.
        self.is_transferring = kept.is_transfer;
        if !kept.dry_run {
            self.open.begin_operation(kept.key, kept.units);
            self.open.begin_campaigns(tenant, &kept.campaigns);
            if let Some(number) = &kept.invoice {
                self.open.begin_payment(tenant, number);
            }
            if let Some(review) = kept.review {
                self.open.begin_review(review);
            }
            if kept.has_place {
                self.open.begin_place(tenant);
            }
            self.open.begin_parties(tenant, &kept.parties);
            if let Some((key, promo)) = kept.refund {
                self.open.begin_refund(key, promo);
            }
            if kept.creates {
                self.open.begin_creation(tenant, customer);
            }
        }
        self.assign(ticket, tenant, customer, Work::Operate(Box::new((*terms, operation))));
        Content::Awaited(Awaited::Operation(kept))
    }

    /// Ends what an admitted operation had reserved.
    pub(super) fn end_operation(&mut self, kept: &KeptOperation) {
        if kept.dry_run {
            return;
        }
        self.open.end_operation(kept.key, kept.units);
        self.open.end_campaigns(kept.catalogue.tenant, &kept.campaigns);
        if let Some(number) = &kept.invoice {
            self.open.end_payment(kept.catalogue.tenant, number);
        }
        if let Some(review) = kept.review {
            self.open.end_review(review);
        }
        if kept.has_place {
            self.open.end_place(kept.catalogue.tenant);
        }
        self.open.end_parties(kept.catalogue.tenant, &kept.parties);
        if let Some((key, promo)) = kept.refund {
            self.open.end_refund(key, promo);
        }
        if kept.creates {
            self.open.end_creation(kept.catalogue.tenant, kept.customer);
        }
    }

    pub(super) fn settle_operation(&mut self, received_at: Instant, kept: KeptOperation, answer: Answer) -> Outcome {
        self.end_operation(&kept);
        match answer {
            Answer::Proposed(body) => Outcome::WouldOperate { body: Box::new(body), catalogue: kept.catalogue },
            Answer::Decided(body) => {
                if let (Some(what), Some(text)) = (profile_text(&body), kept.text) {
                    self.profiles.push(NewProfile { customer: kept.customer, what, text });
                }
                Outcome::Operated { record: self.write(body), catalogue: kept.catalogue }
            }
            Answer::Unchanged => Outcome::Unchanged { customer: kept.customer },
            Answer::OperationRefused(rejection, command) => {
                self.refuse_operation(received_at, Some(kept.customer), &command, rejection)
            }
            Answer::Refused(..) | Answer::Row(_) | Answer::Preview(_) | Answer::Listed(_) | Answer::Swept(_) => {
                panic!("a shard answered something else")
            }
        }
    }

    /// Does what no row has a part in.
    pub(super) fn decide_alone(&mut self, received_at: Instant, command: &DeskCommand) -> Outcome {
        let body = match desk::decide_alone(&self.desk, received_at, command) {
            DeskDecision::Known { seq, is_same } => return Outcome::OperationKnown { seq, is_same },
            DeskDecision::Refused { rejection, record } => {
                record.map(|record| self.write(record));
                return Outcome::OperationRefused(rejection);
            }
            DeskDecision::Decided(body) => body,
        };
        let catalogue = Arc::clone(self.desk.catalogue(command.tenant).expect("a caller's tenant exists"));
        if command.dry_run {
            return Outcome::WouldOperate { body: Box::new(body), catalogue };
        }
        Outcome::Operated { record: self.write(body), catalogue }
    }

    /// Writes the refusal of an operation down under its key, if it has one.
    pub(super) fn refuse_operation(
        &mut self,
        received_at: Instant,
        customer: Option<CustomerId>,
        command: &OperationCommand,
        rejection: OperationRejection,
    ) -> Outcome {
        let version = self.desk.catalogue(command.tenant).map_or(0, |rules| rules.version);
        if let Some(body) = command.refused(customer, &rejection, received_at, version) {
            self.write(body);
        }
        Outcome::OperationRefused(rejection)
    }
}

/// Says what the text that came with an operation is.
fn profile_text(body: &Body) -> Option<ProfileText> {
    body.events.iter().find_map(|event| match event {
        Event::CustomerCreated(_) => Some(ProfileText::FirstAlias),
        Event::WalletOpened(opened) => Some(ProfileText::WalletName(opened.wallet)),
        Event::OperationDone(done) => match done.operation {
            Operation::RenameWallet { wallet } => Some(ProfileText::WalletName(wallet)),
            _ => None,
        },
        _ => None,
    })
}
