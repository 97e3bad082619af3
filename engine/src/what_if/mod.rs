//! What if: the recorded purchases of a tenant, decided again under other rules. The ledger is only read.
//!
//! [`history`] is where records come from, `run` the loop over them, `offline` the ledger that no server runs. Every
//! decision is made in `kembali_core::what_if`.

mod history;
mod offline;
mod run;

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use kembali_core::catalogue::Catalogue;
use kembali_core::draft::CatalogueDraft;
use kembali_core::what_if::Comparison;
use kembali_core::{CatalogueRejection, Instant, Seq};
use tokio::sync::mpsc;

use self::history::Live;
pub use self::offline::{WhatIfOfflineError, what_if_offline};
use self::run::{Range, range, run};
use crate::handle::Engine;
use crate::request::{ReadError, Stopped};

/// What is asked.
#[derive(Clone, Debug)]
pub struct WhatIfRequest {
    /// The rules as wanted, of a tenant that is there.
    pub draft: CatalogueDraft,
    /// From where on purchases are decided again, included; `None` for all of them. What lies before really happened.
    pub from: Option<Bound>,
    /// Up to where, included; `None` for what is durable when the run starts.
    pub to: Option<Bound>,
    /// How many of the customers with the largest differences are listed, of each side and unit.
    pub largest: usize,
}

/// An end of the range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// A position of the journal.
    Position(Seq),
    /// When the ledger received what lies there.
    Received(Instant),
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WhatIfProgress {
    /// The position that it has reached.
    pub reached: Seq,
    /// The position where it ends.
    pub to: Seq,
    /// Purchases that were decided so far.
    pub purchases: u64,
}

/// What a run came to.
#[derive(Clone, Debug)]
pub struct WhatIfReport {
    /// The first position that was decided again.
    pub from: Seq,
    /// The last one.
    pub to: Seq,
    /// How long it took, reading included.
    pub elapsed: Duration,
    /// The two sides.
    pub comparison: Comparison,
}

/// Why what was asked has no answer.
#[derive(Debug, thiserror::Error)]
pub enum WhatIfRefused {
    /// There is no such tenant.
    #[error("there is no tenant {slug}")]
    TenantUnknown {
        /// The slug.
        slug: String,
    },
    /// The rules are refused.
    #[error("the catalogue is refused: {}", said_of(_0))]
    Rules(CatalogueRejection),
    /// No record lies in the range.
    #[error("no record lies in the range: it would start at position {} and end at {}; the ledger ends at {}",
        from.0, to.0, end.0)]
    RangeEmpty {
        /// The first position that was asked for.
        from: Seq,
        /// The last one.
        to: Seq,
        /// The last one that there is.
        end: Seq,
    },
}

fn said_of(rejection: &CatalogueRejection) -> String {
    match rejection {
        CatalogueRejection::Invalid { place, problem } => format!("{place}: {problem}"),
        CatalogueRejection::VersionConflict { expected, found } => {
            format!("version {expected} was expected, and {found} holds")
        }
    }
}

/// Why a run did not start.
#[derive(Debug, thiserror::Error)]
pub enum WhatIfError {
    /// See [`WhatIfRefused`].
    #[error(transparent)]
    Refused(#[from] WhatIfRefused),
    /// Another one is under way.
    #[error("another what-if is under way; one runs at a time")]
    Running,
    /// The records could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// No thread could be started for it.
    #[error("starting the what-if thread")]
    Thread(#[source] std::io::Error),
    /// The engine has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// News of a run.
#[derive(Debug)]
pub enum WhatIfUpdate {
    /// It goes on. Not every step is told, least of all to somebody who is slow to hear.
    Progress(WhatIfProgress),
    /// It is done; nothing comes after this.
    Done(Box<WhatIfReport>),
    /// The records could not be read; nothing comes after this.
    Failed(ReadError),
}

/// A run under way. It is given up when this is dropped.
#[derive(Debug)]
pub struct WhatIfRun {
    updates: mpsc::Receiver<WhatIfUpdate>,
    is_done: bool,
}

impl WhatIfRun {
    /// Waits for the next news. `None` after the last of them, and when the engine was stopped meanwhile.
    pub async fn next(&mut self) -> Option<WhatIfUpdate> {
        let next = self.updates.recv().await;
        self.is_done |= matches!(next, Some(WhatIfUpdate::Done(_)));
        next
    }

    /// Returns true once the report was fetched.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.is_done
    }
}

impl Engine {
    /// Starts to decide the recorded purchases of a tenant again under other rules, on a thread of its own. One at a
    /// time, and given up when the [`WhatIfRun`] is dropped.
    ///
    /// Nothing of the ledger is changed and nobody waits for it. It holds a second state of the tenant: a row of each
    /// customer and the rules.
    ///
    /// # Errors
    ///
    /// [`WhatIfError`]: nothing was started.
    pub async fn what_if(&self, request: WhatIfRequest) -> Result<WhatIfRun, WhatIfError> {
        let turn = self.what_if_turn().ok_or(WhatIfError::Running)?;
        let WhatIfRequest { draft, from, to, largest } = request;
        // The end comes first: no version beyond it is newer than the one that the draft is laid beside.
        let mut live = Live::new(self.shared());
        if let Some(sums) = self.totals(&draft.slug).await? {
            live.learn(&sums.totals);
        }
        let wanted = self.wanted(draft).await?;
        let engine = self.clone();
        let looked = move || {
            let range = range(&live, from, to).inspect_err(|error| engine.report_damage(error));
            range.map(|range| (range, live))
        };
        let joined = tokio::task::spawn_blocking(looked).await;
        let (range, live) = joined.map_err(|error| ReadError::Unreadable(Seq::ZERO, error.to_string()))??;
        let range = range?;
        // A progress that is not fetched yet; the last word waits behind it.
        let (sender, updates) = mpsc::channel(1);
        let engine = self.clone();
        let work = move || {
            if let Some(last) = engine.run(&live, wanted, range, largest, &sender) {
                // Nobody may be left to hear it.
                let _ = sender.blocking_send(last);
            }
            // Not before it was heard: one report at a time is in memory.
            drop(turn);
        };
        thread::Builder::new().name("what-if".into()).spawn(work).map_err(WhatIfError::Thread)?;
        Ok(WhatIfRun { updates, is_done: false })
    }

    async fn wanted(&self, draft: CatalogueDraft) -> Result<Arc<Catalogue>, WhatIfError> {
        let slug = draft.slug.clone();
        let applied = self.propose(draft).await?.map_err(WhatIfRefused::Rules)?;
        match applied.before {
            Some(_) => Ok(applied.catalogue),
            None => Err(WhatIfRefused::TenantUnknown { slug }.into()),
        }
    }

    /// Runs to the end, and returns the last word; `None` when it was given up.
    fn run(
        &self,
        live: &Live,
        wanted: Arc<Catalogue>,
        range: Range,
        largest: usize,
        updates: &mpsc::Sender<WhatIfUpdate>,
    ) -> Option<WhatIfUpdate> {
        let go_on = || !updates.is_closed() && !self.is_stopped();
        // Where the one before was not fetched yet, this one is not needed.
        let tell = |progress| drop(updates.try_send(WhatIfUpdate::Progress(progress)));
        match run(live, wanted, range, largest, go_on, tell) {
            Ok(report) => report.map(|report| WhatIfUpdate::Done(Box::new(report))),
            Err(error) => {
                self.report_damage(&error);
                Some(WhatIfUpdate::Failed(error))
            }
        }
    }
}
