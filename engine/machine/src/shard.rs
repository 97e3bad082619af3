//! A shard: the rows of some of the customers, and the decisions that need them.
//!
//! Knows no order and no disk. Batches come in the order of their tickets, so each row sees its commands in that order.

use std::borrow::Cow;
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
use crate::rows::{AWAY_LOOKS_MAX, Found, Guess, Limit, Rows};
use crate::shelf::AwayError;
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
    /// Makes a shard of which a bounded number of rows is in memory.
    #[must_use]
    pub fn limited(limit: Limit) -> Shard {
        Shard { rows: Rows::new(Some(limit)) }
    }

    /// Adds the row of a customer who has none.
    pub fn add(&mut self, row: Row) {
        self.rows.insert(row);
    }

    /// Puts rows away until no more are in memory than may be.
    ///
    /// # Errors
    ///
    /// [`AwayError`], of a shard that is limited.
    pub fn settle(&mut self) -> Result<(), AwayError> {
        self.rows.settle()
    }

    /// Hands a row out until [`Shard::take_back`]; nothing else may be asked meanwhile.
    pub(crate) fn lend(&mut self, customer: &CustomerId) -> Result<Option<(Found, Row)>, AwayError> {
        let found = self.rows.find(customer)?;
        Ok(found.map(|found| (found, self.rows.lend(found))))
    }

    pub(crate) fn take_back(&mut self, found: Found, row: Row) {
        self.rows.take_back(found, row);
    }

    /// See [`Rows::guess`].
    pub(crate) fn guess(&self, customer: &CustomerId) -> Option<Guess> {
        self.rows.guess(customer)
    }

    /// See [`Rows::look_at`].
    pub(crate) fn look_at(&self, guess: Guess) {
        self.rows.look_at(guess);
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Does a batch of work, in order, and answers all of it.
    ///
    /// # Errors
    ///
    /// [`AwayError`], of a shard that is limited: then some of the batch may be done, and nothing more may be answered.
    pub fn work(&mut self, batch: Vec<Assigned>) -> Result<Vec<Answered>, AwayError> {
        let mut answers = Vec::with_capacity(batch.len());
        let mut batch = batch.into_iter();
        while !batch.as_slice().is_empty() {
            let next = batch.as_slice().iter().take(LOOK_AHEAD_MAX);
            let guessed = next.filter_map(|assigned| match &assigned.work {
                Work::Decide(work) => self.rows.guess(&work.0.customer),
                _ => None,
            });
            let guessed: Vec<Guess> = guessed.collect();
            guessed.into_iter().for_each(|guess| self.rows.look_at(guess));
            for assigned in batch.by_ref().take(LOOK_AHEAD_MAX) {
                answers.push(self.answer(assigned)?);
            }
            self.rows.settle()?;
        }
        Ok(answers)
    }

    fn answer(&mut self, Assigned { ticket, work }: Assigned) -> Result<Answered, AwayError> {
        let answer = match work {
            Work::Decide(work) => self.decide(&work.0, work.1)?,
            Work::Propose(work) => match decide(self.row(&work.0.customer)?, &work.0, work.1) {
                Decision::Decided(body) => Answer::Proposed(body),
                Decision::Refused(rejection, command) => Answer::Refused(rejection, command),
            },
            Work::Operate(work) => self.operate(&work.0, work.1)?,
            Work::Transfer(terms, dry_run) => self.transfer(&terms, dry_run)?,
            Work::Read(tenant, customer) => {
                let row = self.row(&customer)?.filter(|row| row.tenant == tenant);
                Answer::Row(row.cloned().map(Box::new))
            }
            Work::Sweep(terms, from) => Answer::Swept(terms.sweep(&mut self.rows, from)?),
            Work::Preview(terms, from) => Answer::Preview(Box::new(self.preview(&terms, from)?)),
            Work::List(terms, from) => Answer::Listed(self.list(terms, from)?),
        };
        Ok(Answered { ticket, answer })
    }

    fn row(&mut self, customer: &CustomerId) -> Result<Option<&Row>, AwayError> {
        let found = self.rows.find(customer)?;
        Ok(found.map(|found| self.rows.row(found)))
    }

    fn preview(&self, terms: &PreviewTerms, from: usize) -> Result<PreviewPiece, AwayError> {
        let PreviewTerms { change, removals, now } = terms;
        let mut preview = Preview::new(change, *now);
        let next = self.look_at_piece(from, |row| {
            if row.tenant == change.before.tenant {
                preview.look(change, removals, row, *now);
            }
        })?;
        Ok(PreviewPiece { preview, next })
    }

    fn list(&self, terms: ListTerms, from: usize) -> Result<ListPiece, AwayError> {
        let ListTerms { tenant, after, limit } = terms;
        let mut customers = Vec::new();
        let next = self.look_at_piece(from, |row| {
            if row.tenant == tenant && after.is_none_or(|after| after < row.id) {
                customers.push(row.id);
            }
        })?;
        customers.sort_unstable();
        customers.truncate(limit);
        Ok(ListPiece { customers, next })
    }

    /// Looks at some rows, and returns where to go on.
    fn look_at_piece(&self, from: usize, mut look: impl FnMut(&Row)) -> Result<Option<usize>, AwayError> {
        let end = from.saturating_add(PREVIEW_ROWS_MAX).min(self.rows.len());
        let (mut next, mut away) = (from, 0);
        while next < end && away < AWAY_LOOKS_MAX {
            away += usize::from(self.rows.is_away(next));
            if let Some(row) = self.rows.peek(next)? {
                look(&row);
            }
            next += 1;
        }
        Ok((next < self.rows.len()).then_some(next))
    }

    fn decide(&mut self, terms: &Terms, command: Box<PurchaseCommand>) -> Result<Answer, AwayError> {
        // Look, do not create: a refused command must leave no trace.
        let found = self.rows.find(&terms.customer)?;
        match decide(found.map(|found| self.rows.row(found)), terms, command) {
            Decision::Decided(body) => {
                match found {
                    Some(found) => evolve(self.rows.row_mut(found), &body),
                    None => self.create(&body),
                }
                Ok(Answer::Decided(body))
            }
            Decision::Refused(rejection, command) => Ok(Answer::Refused(rejection, command)),
        }
    }

    fn operate(&mut self, terms: &OperationTerms, command: Box<OperationCommand>) -> Result<Answer, AwayError> {
        let dry_run = command.dry_run;
        let found = self.rows.find(&terms.customer)?;
        match operate(found.map(|found| self.rows.row(found)), terms, command) {
            OperationDecision::Decided(body) if dry_run => Ok(Answer::Proposed(body)),
            OperationDecision::Decided(body) => {
                match found {
                    Some(found) => evolve(self.rows.row_mut(found), &body),
                    None => self.create(&body),
                }
                Ok(Answer::Decided(body))
            }
            OperationDecision::Unchanged => Ok(Answer::Unchanged),
            OperationDecision::Refused(rejection, command) => Ok(Answer::OperationRefused(rejection, command)),
        }
    }

    fn transfer(&mut self, terms: &TransferTerms, dry_run: bool) -> Result<Answer, AwayError> {
        let found = self.rows.find(&terms.open.next_customer())?;
        let found = found.expect("a transfer goes between customers who are there");
        let body = transfer::step(self.rows.row(found), terms);
        if dry_run {
            return Ok(Answer::Proposed(body));
        }
        evolve(self.rows.row_mut(found), &body);
        Ok(Answer::Decided(body))
    }

    fn create(&mut self, body: &Body) {
        let mut row = Row::created_by(body).expect("what is decided for a customer has a row, or makes one");
        row.evolve(body);
        self.rows.insert(row);
    }

    /// Lists the rows, those that are not in memory too.
    ///
    /// # Errors
    ///
    /// [`AwayError`], in the place of a row.
    pub fn rows(&self) -> impl Iterator<Item = Result<Row, AwayError>> {
        (0..self.rows.len()).filter_map(|place| self.rows.peek(place).map(|row| row.map(Cow::into_owned)).transpose())
    }
}

/// Folds what is decided into the row of a customer who is there.
fn evolve(row: &mut Row, body: &Body) {
    let creates = body.events.iter().any(|event| matches!(event, Event::CustomerCreated(_)));
    assert!(!creates, "a customer is created twice");
    row.evolve(body);
}
