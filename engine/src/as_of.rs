//! Reads as of a past position. What they answer is a function of the durable records up to there, so it never changes.

use std::sync::Arc;

use kembali_core::command::Query;
use kembali_core::customer::Row;
use kembali_core::event::{Event, Record};
use kembali_core::totals::TenantTotals;
use kembali_core::{Instant, Seq, TenantId};
use kembali_machine::{CustomerView, Outcome, TotalsView};
use tokio::sync::oneshot;

use crate::handle::Engine;
use crate::history::{History, IsWanted};
use crate::request::{CustomerRef, ReadError, Stopped};

/// Past states that are made at the same time; others wait. Each takes a thread and reads as fast as a disk gives.
pub(crate) const HISTORY_READS_MAX: usize = 4;

/// What was before a record.
#[derive(Clone, Debug)]
pub struct Before {
    /// The row of the customer whom the record names, as the record found it;
    /// `None` when it names none or creates the one.
    pub row: Option<Row>,
    /// The sums of the tenant.
    pub totals: TenantTotals,
}

impl Engine {
    /// Finds the position that an instant means: the last record that was received at that instant or before it.
    ///
    /// `None` until the ledger's clock has passed the instant: before that, more records might be received up to it. Clocks
    /// of the wall that are set back while no engine runs are the one thing that this cannot know.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub async fn position_of(&self, instant: Instant) -> Result<Option<Seq>, ReadError> {
        let Outcome::Clock { received_at, as_of } = self.ask(Query::Clock).await? else {
            unreachable!("the clock is told")
        };
        if received_at <= instant {
            return Ok(None);
        }
        self.look_back(move |history, _| history.position_of(instant, as_of)).await.map(Some)
    }

    /// Looks at a customer as of a durable position: the row, the rules that held, and their "now". `None` where there was
    /// no such customer of the tenant.
    ///
    /// Under the received clock "now" is the stamp of the record at that position, under the occurred clock the tenant's
    /// watermark there.
    ///
    /// # Errors
    ///
    /// [`ReadError::NotWritten`] for a position that is not durable.
    pub async fn customer_at(
        &self,
        tenant: TenantId,
        customer: &CustomerRef,
        at: Seq,
    ) -> Result<Option<Box<CustomerView>>, ReadError> {
        let Some(present) = self.customer(tenant, customer).await? else { return Ok(None) };
        self.check_written(at)?;
        let (id, newest) = (present.id, present.last);
        let found = self.look_back(move |history, is_wanted| {
            let Some((row, last)) = history.row(id, newest, at, is_wanted)? else { return Ok(None) };
            Ok(Some((row, last, history.sums(at, is_wanted)?, history.record(at)?.body.received_at)))
        });
        let Some((row, last, sums, stamp)) = found.await? else { return Ok(None) };
        let sums = sums.tenant(tenant).ok_or_else(|| no_rules(at))?;
        let catalogue = self.rules_at(tenant, sums.version).ok_or_else(|| no_rules(at))?;
        let now = catalogue.clock.now(sums.watermark, stamp);
        let booked = row.clone();
        let row = self.up_to_date(row, catalogue.version, now);
        Ok(Some(Box::new(CustomerView { id, row, booked, catalogue, now, last, as_of: at })))
    }

    /// Looks at a tenant's sums and rules as of a durable position, at which nothing is reserved. `None` where there was no
    /// such tenant.
    ///
    /// # Errors
    ///
    /// [`ReadError::NotWritten`] for a position that is not durable.
    pub async fn totals_at(&self, tenant: TenantId, at: Seq) -> Result<Option<Box<TotalsView>>, ReadError> {
        self.check_written(at)?;
        let sums = self.look_back(move |history, is_wanted| history.sums(at, is_wanted)).await?;
        let Some(totals) = sums.tenant(tenant).cloned() else { return Ok(None) };
        let catalogue = self.rules_at(tenant, totals.version).ok_or_else(|| no_rules(at))?;
        let reserved = vec![0; catalogue.promos.len()];
        Ok(Some(Box::new(TotalsView { catalogue, totals, reserved, as_of: at })))
    }

    /// Looks at what the record of a purchase was decided on, beside its rules: what was before it.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub async fn before(&self, record: &Record) -> Result<Before, ReadError> {
        let (at, tenant) = (Seq(record.seq.0.saturating_sub(1)), record.body.tenant);
        let (customer, newest) = (record.body.customer, record.body.previous);
        let found = self.look_back(move |history, is_wanted| {
            let row = match customer.filter(|_| newest != Seq::ZERO) {
                Some(customer) => history.row(customer, newest, at, is_wanted)?,
                None => None,
            };
            Ok((row, history.sums(at, is_wanted)?))
        });
        let (row, sums) = found.await?;
        let totals = sums.tenant(tenant).cloned().unwrap_or_default();
        let now = record.body.events.iter().find_map(|event| match event {
            Event::PurchaseBooked(booked) => Some(booked.at),
            _ => None,
        });
        let now = now.unwrap_or(record.body.received_at);
        Ok(Before { row: row.map(|(row, _)| self.up_to_date(row, record.body.catalogue_version, now)), totals })
    }

    fn check_written(&self, at: Seq) -> Result<(), ReadError> {
        if at <= self.durable() { Ok(()) } else { Err(ReadError::NotWritten(at)) }
    }

    /// Reads history on a thread that may wait for a disk. It is broken off once nobody waits for it any more.
    pub(crate) async fn look_back<T: Send + 'static>(
        &self,
        read: impl FnOnce(&History, IsWanted<'_>) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        let permit = Arc::clone(self.history_room()).acquire_owned().await.map_err(|_| Stopped)?;
        let history = Arc::clone(self.history());
        let (sender, answer) = oneshot::channel();
        tokio::task::spawn_blocking(move || {
            let read = read(&history, &|| !sender.is_closed());
            // Whoever asked may be gone.
            let _ = sender.send(read);
            drop(permit);
        });
        let read = answer.await.map_err(|_| Stopped)?;
        if let Err(error) = &read {
            self.report_damage(error);
        }
        read
    }
}

fn no_rules(at: Seq) -> ReadError {
    ReadError::Damaged(at, "it names a tenant or rules that do not exist".to_owned())
}
