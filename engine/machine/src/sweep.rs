//! The sweep: places the customers of removed levels to whom nothing else happens.
//!
//! It walks through the rows of every shard, a piece at a time, between the purchases. A piece is one ticket: a bounded
//! number of rows is looked at, and of these a bounded number placed, each in a record of its own. The next piece comes
//! once the last one is durable, so the sweep is never ahead of the disk and ingest waits for one piece at most.
//!
//! Nothing of it is written down. What is still to be placed is in the rows and in the sums of members by level; a start
//! looks there and begins anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use kembali_core::catalogue::Catalogue;
use kembali_core::desk::Desk;
use kembali_core::event::Body;
use kembali_core::placement::{Removal, placed_by_sweep};
use kembali_core::totals::Totals;
use kembali_core::{Instant, Seq, TenantId};

use crate::rows::Rows;

/// Rows that one piece looks at.
pub const SWEEP_ROWS_MAX: usize = 2_048;
/// Customers that one piece places.
pub const SWEEP_PLACED_MAX: usize = 64;

/// What a piece needs to know.
#[derive(Debug)]
pub struct SweepTerms {
    received_at: Instant,
    /// Tenants that removed levels, with their present rules.
    tenants: BTreeMap<TenantId, (Arc<Catalogue>, Arc<[Removal]>)>,
}

/// What a piece did.
#[derive(Debug)]
pub struct Swept {
    /// A record's body for each customer who was placed; the rows have changed.
    pub bodies: Vec<Body>,
    /// Where to go on; `None` when all rows were looked at.
    pub next: Option<usize>,
}

impl SweepTerms {
    pub(crate) fn new(desk: &Desk, received_at: Instant) -> SweepTerms {
        let with_removals = |rules: &Arc<Catalogue>| {
            let removals = desk.removals(rules.tenant).filter(|removals| !removals.is_empty())?;
            Some((rules.tenant, (Arc::clone(rules), Arc::clone(removals))))
        };
        SweepTerms { received_at, tenants: desk.catalogues().filter_map(with_removals).collect() }
    }

    /// Does one piece.
    pub(crate) fn sweep(&self, rows: &mut Rows, from: usize) -> Swept {
        let (mut bodies, mut next, all) = (Vec::new(), from, rows.len());
        for (place, row) in rows.walk(from).take(SWEEP_ROWS_MAX) {
            next = place + 1;
            let Some((rules, removals)) = self.tenants.get(&row.tenant) else { continue };
            let Some(body) = placed_by_sweep(row, rules, removals, self.received_at) else { continue };
            row.evolve(&body);
            bodies.push(body);
            if bodies.len() == SWEEP_PLACED_MAX {
                break;
            }
        }
        Swept { bodies, next: (next < all).then_some(next) }
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
    /// Goes on where a crash or a stop may have left customers on removed levels.
    pub(crate) fn new(shards: usize, desk: &Desk, totals: &Totals) -> Sweep {
        let is_due = totals.tenants().any(|(tenant, sums)| {
            let Some(rules) = desk.catalogue(tenant) else { return false };
            sums.members_to_place(rules).any(|(_, count)| 0 < count)
        });
        Sweep { places: vec![is_due.then_some(0); shards], open: 0, last: Seq::ZERO }
    }

    /// A level was removed: looks at every row again. No piece is open then, because a change of rules waits for all.
    pub(crate) fn begin(&mut self) {
        self.places.fill(Some(0));
    }

    /// Returns true when the next pieces may be handed out.
    pub(crate) fn is_due(&self, durable: Seq) -> bool {
        self.open == 0 && self.last <= durable && self.places.iter().any(Option::is_some)
    }

    /// Returns true until every row was looked at, and what was placed is merged.
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
