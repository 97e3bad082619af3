//! The sums of a tenant for those who watch them: the newest alone, at most once a second ([`Limits::gauge_every`]), computed once for
//! all who watch. Knows no subscriber.
//!
//! Events are never left out and sums are: whoever was busy for a minute wants those of now.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use kembali_core::{Seq, TenantId};
use kembali_engine::Engine;
use tokio::sync;
use tokio::time::{Duration, Instant};

use super::reader::Unreadable;
use crate::config::Limits;
use crate::reads::reports::summary_of;
use crate::wire::message::ControlMessage;

/// The newest sums of every tenant that somebody watches.
#[derive(Debug)]
pub(crate) struct Gauges {
    /// How long sums are new.
    every: Duration,
    of_tenants: Mutex<HashMap<TenantId, Arc<sync::Mutex<Option<Gauge>>>>>,
}

/// A tenant's sums, as they are sent.
#[derive(Clone, Debug)]
pub(super) struct Gauge {
    as_of: Seq,
    text: Arc<str>,
    computed: Instant,
}

impl Gauges {
    pub(crate) fn new(limits: &Limits) -> Gauges {
        Gauges { every: limits.gauge_every, of_tenants: Mutex::default() }
    }

    /// Returns sums that are new.
    async fn newest(&self, engine: &Engine, tenant: TenantId, slug: &str) -> Result<Gauge, Unreadable> {
        let kept = {
            // Whoever panicked has made a place or none.
            let mut of_tenants = self.of_tenants.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(of_tenants.entry(tenant).or_default())
        };
        // Whoever comes meanwhile waits, and takes what was found.
        let mut kept = kept.lock().await;
        if let Some(gauge) = kept.as_ref().filter(|gauge| gauge.computed.elapsed() < self.every) {
            return Ok(gauge.clone());
        }
        let failed = |error: &dyn std::fmt::Display| {
            tracing::debug!(%error, "sums cannot be sent");
            Unreadable
        };
        let view = engine.totals(slug).await.map_err(|error| failed(&error))?;
        let view = view.ok_or_else(|| failed(&"there is no such tenant"))?;
        let text = ControlMessage::Gauge { summary: Box::new(summary_of(&view)) }.to_text();
        let gauge = Gauge { as_of: view.as_of, text: text.into(), computed: Instant::now() };
        *kept = Some(gauge.clone());
        Ok(gauge)
    }
}

/// What one subscriber has been sent of it.
#[derive(Debug)]
pub(super) struct Watch {
    gauges: Arc<Gauges>,
    engine: Engine,
    tenant: TenantId,
    slug: String,
    /// What is to be sent first.
    first: Option<Gauge>,
    /// What the last one was of.
    as_of: Seq,
    due: Instant,
}

impl Watch {
    /// Begins to watch.
    ///
    /// # Errors
    ///
    /// [`Unreadable`].
    pub(super) async fn new(
        gauges: Arc<Gauges>,
        engine: Engine,
        tenant: TenantId,
        slug: String,
    ) -> Result<Watch, Unreadable> {
        let first = gauges.newest(&engine, tenant, &slug).await?;
        let as_of = first.as_of;
        Ok(Watch { gauges, engine, tenant, slug, first: Some(first), as_of, due: Instant::now() })
    }

    /// Returns the position that the last sums are of.
    pub(super) const fn as_of(&self) -> Seq {
        self.as_of
    }

    /// Returns when there is something to be sent; `None` as long as the ledger has not moved on.
    pub(super) fn due(&self, head: Seq) -> Option<Instant> {
        (self.first.is_some() || self.as_of < head).then_some(self.due)
    }

    /// Returns what is to be sent now, if anything is due.
    ///
    /// # Errors
    ///
    /// [`Unreadable`].
    pub(super) async fn take(&mut self, head: Seq) -> Result<Option<String>, Unreadable> {
        if self.due(head).is_none_or(|due| Instant::now() < due) {
            return Ok(None);
        }
        self.due = Instant::now() + self.gauges.every;
        if let Some(first) = self.first.take() {
            return Ok(Some(first.text.to_string()));
        }
        let newest = self.gauges.newest(&self.engine, self.tenant, &self.slug).await?;
        // What was computed for somebody else may be what was sent already.
        let is_new = self.as_of < newest.as_of;
        self.as_of = self.as_of.max(newest.as_of);
        Ok(is_new.then(|| newest.text.to_string()))
    }
}

/// Waits until something is due; for ever where nothing is.
pub(super) async fn due(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
