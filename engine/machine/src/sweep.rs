//! The sweep: brings the rows up to date of customers to whom nothing else happens. Levels that were removed, and points
//! and holds that are due, are what it is for.
//!
//! It walks through the rows of every shard, a piece at a time, between the purchases. A piece is one ticket: a bounded
//! number of rows is looked at, and of these a bounded number changed, each in a record of its own. The next piece comes
//! once the last one is durable, so the sweep is never ahead of the disk and ingest waits for one piece at most.
//!
//! Nothing of it is written down. What is still to be done is in the rows, and in the sums of members by level, of
//! points by expiry and of holds by their end; a start looks there and begins anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use kembali_core::catalogue::Catalogue;
use kembali_core::desk::Desk;
use kembali_core::event::Body;
use kembali_core::placement::Removal;
use kembali_core::totals::Totals;
use kembali_core::{Instant, Seq, TenantId, upkeep};

use crate::rows::{AWAY_LOOKS_MAX, Rows};
use crate::shelf::AwayError;

/// Rows that one piece looks at.
pub const SWEEP_ROWS_MAX: usize = 2_048;
/// Customers that one piece changes.
pub const SWEEP_CHANGED_MAX: usize = 64;

/// What a piece needs to know.
#[derive(Debug)]
pub struct SweepTerms {
    received_at: Instant,
    tenants: BTreeMap<TenantId, TenantTerms>,
}

/// What a piece needs to know of a tenant whose customers it changes.
#[derive(Debug)]
struct TenantTerms {
    rules: Arc<Catalogue>,
    removals: Arc<[Removal]>,
    now: Instant,
}

/// What a piece did.
#[derive(Debug)]
pub struct Swept {
    /// A record's body for each customer whose row has changed.
    pub bodies: Vec<Body>,
    /// Where to go on; `None` when all rows were looked at.
    pub next: Option<usize>,
}

impl SweepTerms {
    pub(crate) fn new(desk: &Desk, received_at: Instant) -> SweepTerms {
        let terms = |rules: &Arc<Catalogue>| {
            let removals = desk.removals(rules.tenant).cloned().unwrap_or_default();
            (rules.tenant, TenantTerms { rules: Arc::clone(rules), removals, now: desk.now(rules.tenant, received_at) })
        };
        SweepTerms { received_at, tenants: desk.catalogues().map(terms).collect() }
    }

    /// Does one piece.
    pub(crate) fn sweep(&self, rows: &mut Rows, from: usize) -> Result<Swept, AwayError> {
        let (mut bodies, mut next, mut away) = (Vec::new(), from, 0);
        let end = from.saturating_add(SWEEP_ROWS_MAX).min(rows.len());
        while next < end && bodies.len() < SWEEP_CHANGED_MAX && away < AWAY_LOOKS_MAX {
            away += usize::from(rows.is_away(next));
            bodies.extend(rows.visit(next, |row| {
                let TenantTerms { rules, removals, now } = self.tenants.get(&row.tenant)?;
                let body = upkeep::by_sweep(row, rules, removals, *now, self.received_at)?;
                row.evolve(&body);
                Some(body)
            })?);
            next += 1;
        }
        Ok(Swept { bodies, next: (next < rows.len()).then_some(next) })
    }
}

/// How far the sweep is.
#[derive(Debug)]
pub(crate) struct Sweep {
    /// Where each shard goes on; `None` of one whose rows were all looked at.
    places: Vec<Option<usize>>,
    /// Pieces whose tickets are not merged yet.
    open: usize,
    /// The last record that a piece made.
    last: Seq,
}

impl Sweep {
    /// Goes on where a crash or a stop may have left customers on removed levels. What is due is found anyhow.
    pub(crate) fn new(shards: usize, desk: &Desk, totals: &Totals) -> Sweep {
        let is_due = totals.tenants().any(|(tenant, sums)| {
            let Some(rules) = desk.catalogue(tenant) else { return false };
            sums.members_to_place(rules).any(|(_, count)| 0 < count)
        });
        Sweep { places: vec![is_due.then_some(0); shards], open: 0, last: Seq::ZERO }
    }

    /// Looks at every row again. No piece may be open: a change of rules waits for all, and what is due is looked for at rest.
    pub(crate) fn begin(&mut self) {
        debug_assert_eq!(self.open, 0, "a sweep begins anew while a piece is on its way");
        self.places.fill(Some(0));
    }

    /// Returns true when a sweep may begin that finds what the sums as of `durable` say.
    pub(crate) fn is_at_rest(&self, durable: Seq) -> bool {
        !self.is_under_way() && self.last <= durable
    }

    /// Returns true when the next pieces may be handed out.
    pub(crate) fn is_due(&self, durable: Seq) -> bool {
        self.open == 0 && self.last <= durable && self.places.iter().any(Option::is_some)
    }

    /// Returns true until every row was looked at, and what was changed is merged.
    pub(crate) fn is_under_way(&self) -> bool {
        0 < self.open || self.places.iter().any(Option::is_some)
    }

    /// Hands out a piece for each shard that has rows left: `(shard, place)`.
    pub(crate) fn pieces(&mut self) -> Vec<(usize, usize)> {
        let pieces: Vec<(usize, usize)> =
            self.places.iter().enumerate().filter_map(|(shard, place)| Some((shard, (*place)?))).collect();
        self.open += pieces.len();
        pieces
    }

    /// A piece of a shard is merged; `last` is the last record now.
    pub(crate) fn merged(&mut self, shard: usize, next: Option<usize>, last: Option<Seq>) {
        self.open -= 1;
        self.places[shard] = next;
        self.last = last.unwrap_or(self.last);
    }
}
