//! A shard: the rows of some of the customers, and the decisions that need them.
//!
//! Knows no order and no disk. Batches come in the order of their tickets, so each row sees its commands in that order.

use std::sync::Arc;

use kembali_core::command::PurchaseCommand;
use kembali_core::customer::{Decision, OperationDecision, Row, decide, operate};
use kembali_core::desk::{OperationTerms, Terms};
use kembali_core::event::{Body, Event};
use kembali_core::operation::{OperationCommand, OperationRejection};
use kembali_core::placement::Removal;
use kembali_core::preview::{Preview, RuleChange};
use kembali_core::transfer::{self, TransferTerms};
use kembali_core::{CustomerId, Instant, Rejection, TenantId, Ticket};

use crate::LOOK_AHEAD_MAX;
use crate::rows::Rows;
use crate::sweep::{SweepTerms, Swept};

/// Rows that a preview or a list looks at under one ticket; then the shard does other work.
pub const PREVIEW_ROWS_MAX: usize = 4_096;

/// Work for a shard, under its ticket.
#[derive(Debug)]
pub struct Assigned {
    /// The ticket.
    pub ticket: Ticket,
    /// What to do.
    pub work: Work,
}

/// What a shard does under one ticket.
#[derive(Debug)]
pub enum Work {
    /// Decide a purchase, and change the row.
    Decide(Box<(Terms, Box<PurchaseCommand>)>),
    /// Decide a purchase, and leave the row as it is.
    Propose(Box<(Terms, Box<PurchaseCommand>)>),
    /// Decide an operation, and change the row unless it is a dry run.
    Operate(Box<(OperationTerms, Box<OperationCommand>)>),
    /// Take the next step of a transfer, and change the row unless it is a dry run.
    Transfer(Box<TransferTerms>, bool),
    /// Look at a row.
    Read(TenantId, CustomerId),
    /// Bring rows up to date that nobody asks for, from a place among them on.
    Sweep(Arc<SweepTerms>, usize),
    /// Count what a change of rules would do to some of the rows, from a place on.
    Preview(Box<PreviewTerms>, usize),
    /// List some of the customers, from a place on.
    List(ListTerms, usize),
}

/// Which customers are listed.
#[derive(Clone, Copy, Debug)]
pub struct ListTerms {
    /// Those of this tenant,
    pub tenant: TenantId,
    /// behind this one in order of their ids,
    pub after: Option<CustomerId>,
    /// so many at most.
    pub limit: usize,
}

/// What a piece of a preview needs to know.
#[derive(Debug)]
pub struct PreviewTerms {
    /// The change.
    pub change: Arc<RuleChange>,
    /// The versions of the tenant's rules that removed levels: the sweep may not have come by.
    pub removals: Arc<[Removal]>,
    /// What the tenant's clock says.
    pub now: Instant,
}

/// A shard's answer under one ticket.
#[derive(Debug)]
pub struct Answered {
    /// The ticket.
    pub ticket: Ticket,
    /// What the row says.
    pub answer: Answer,
}

/// What a row says.
#[derive(Debug)]
pub enum Answer {
    /// All that happened; the row has changed.
    Decided(Body),
    /// All that would happen; the row has not changed.
    Proposed(Body),
    /// Refused; the row has not changed.
    Refused(Rejection, Box<PurchaseCommand>),
    /// An operation would change nothing; the row has not changed.
    Unchanged,
    /// An operation is refused; the row has not changed.
    OperationRefused(OperationRejection, Box<OperationCommand>),
    /// The row, or nobody.
    Row(Option<Box<Row>>),
    /// Those whose rows were not up to date; they have changed.
    Swept(Swept),
    /// What a change of rules would do to some of the rows.
    Preview(Box<PreviewPiece>),
    /// Some of the customers.
    Listed(ListPiece),
}

/// The first customers among some of a shard's rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListPiece {
    /// Their ids, in order.
    pub customers: Vec<CustomerId>,
    /// The place of the first row that was not looked at; `None` once all were.
    pub next: Option<usize>,
}

/// What a change of rules would do to some of a shard's rows.
#[derive(Clone, Debug)]
pub struct PreviewPiece {
    /// The counts.
    pub preview: Preview,
    /// The place of the first row that was not looked at; `None` once all were.
    pub next: Option<usize>,
}

/// The rows of some of the customers.
#[derive(Debug, Default)]
pub struct Shard {
    rows: Rows,
}

impl Shard {
    /// Makes a shard of rows that recovery found.
    #[must_use]
    pub fn new(rows: impl IntoIterator<Item = Row>) -> Shard {
        Shard { rows: rows.into_iter().collect() }
    }

    /// Does a batch of work, in order, and answers all of it.
    pub fn work(&mut self, batch: Vec<Assigned>) -> Vec<Answered> {
        let mut answers = Vec::with_capacity(batch.len());
        let mut batch = batch.into_iter();
        while !batch.as_slice().is_empty() {
            let next = batch.as_slice().iter().take(LOOK_AHEAD_MAX);
            self.rows.look_ahead(next.filter_map(|assigned| match &assigned.work {
                Work::Decide(work) => Some(work.0.customer),
                _ => None,
            }));
            answers.extend(batch.by_ref().take(LOOK_AHEAD_MAX).map(|assigned| self.answer(assigned)));
        }
        answers
    }

    fn answer(&mut self, Assigned { ticket, work }: Assigned) -> Answered {
        let answer = match work {
            Work::Decide(work) => self.decide(&work.0, work.1),
            Work::Propose(work) => match decide(self.rows.get(&work.0.customer), &work.0, work.1) {
                Decision::Decided(body) => Answer::Proposed(body),
                Decision::Refused(rejection, command) => Answer::Refused(rejection, command),
            },
            Work::Operate(work) => self.operate(&work.0, work.1),
            Work::Transfer(terms, dry_run) => self.transfer(&terms, dry_run),
            Work::Read(tenant, customer) => {
                let row = self.rows.get(&customer).filter(|row| row.tenant == tenant);
                Answer::Row(row.cloned().map(Box::new))
            }
            Work::Sweep(terms, from) => Answer::Swept(terms.sweep(&mut self.rows, from)),
            Work::Preview(terms, from) => Answer::Preview(Box::new(self.preview(&terms, from))),
            Work::List(terms, from) => Answer::Listed(self.list(terms, from)),
        };
        Answered { ticket, answer }
    }

    fn preview(&self, terms: &PreviewTerms, from: usize) -> PreviewPiece {
        let PreviewTerms { change, removals, now } = terms;
        let mut preview = Preview::new(change, *now);
        for row in self.rows.values(from).take(PREVIEW_ROWS_MAX) {
            if row.tenant == change.before.tenant {
                preview.look(change, removals, row, *now);
            }
        }
        PreviewPiece { preview, next: self.next_piece(from) }
    }

    fn list(&self, terms: ListTerms, from: usize) -> ListPiece {
        let ListTerms { tenant, after, limit } = terms;
        let piece = self.rows.values(from).take(PREVIEW_ROWS_MAX);
        let own = piece.filter(|row| row.tenant == tenant && after.is_none_or(|after| after < row.id));
        let mut customers: Vec<CustomerId> = own.map(|row| row.id).collect();
        customers.sort_unstable();
        customers.truncate(limit);
        ListPiece { customers, next: self.next_piece(from) }
    }

    fn next_piece(&self, from: usize) -> Option<usize> {
        let next = from.saturating_add(PREVIEW_ROWS_MAX);
        (next < self.rows.len()).then_some(next)
    }

    fn decide(&mut self, terms: &Terms, command: Box<PurchaseCommand>) -> Answer {
        // Look, do not create: a refused command must leave no trace.
        let row = self.rows.get_mut(&terms.customer);
        match decide(row.as_deref(), terms, command) {
            Decision::Decided(body) => {
                match row {
                    Some(row) => evolve(row, &body),
                    None => self.create(&body),
                }
                Answer::Decided(body)
            }
            Decision::Refused(rejection, command) => Answer::Refused(rejection, command),
        }
    }

    fn operate(&mut self, terms: &OperationTerms, command: Box<OperationCommand>) -> Answer {
        let dry_run = command.dry_run;
        match operate(self.rows.get(&terms.customer), terms, command) {
            OperationDecision::Decided(body) if dry_run => Answer::Proposed(body),
            OperationDecision::Decided(body) => {
                self.evolve(terms.customer, &body);
                Answer::Decided(body)
            }
            OperationDecision::Unchanged => Answer::Unchanged,
            OperationDecision::Refused(rejection, command) => Answer::OperationRefused(rejection, command),
        }
    }

    fn transfer(&mut self, terms: &TransferTerms, dry_run: bool) -> Answer {
        let customer = terms.open.next_customer();
        let row = self.rows.get(&customer).expect("a transfer goes between customers who are there");
        let body = transfer::step(row, terms);
        if dry_run {
            return Answer::Proposed(body);
        }
        self.evolve(customer, &body);
        Answer::Decided(body)
    }

    fn evolve(&mut self, customer: CustomerId, body: &Body) {
        match self.rows.get_mut(&customer) {
            Some(row) => evolve(row, body),
            None => self.create(body),
        }
    }

    fn create(&mut self, body: &Body) {
        let mut row = Row::created_by(body).expect("what is decided for a customer has a row, or makes one");
        row.evolve(body);
        self.rows.insert(row);
    }

    /// Lists the rows.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.values(0)
    }
}

/// Folds what is decided into the row of a customer who is there.
fn evolve(row: &mut Row, body: &Body) {
    let creates = body.events.iter().any(|event| matches!(event, Event::CustomerCreated(_)));
    assert!(!creates, "a customer is created twice");
    row.evolve(body);
}
