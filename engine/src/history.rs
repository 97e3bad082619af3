//! What the ledger was at a past position: rows and sums, folded from what is durable.
//!
//! Everything here waits for a disk and belongs on a thread that may. What it costs hangs on the distance of the stored
//! states: a row is that of the nearest older snapshot and the customer's own records since; sums are those at the end of
//! the nearest older archive segment and all records since, so at most the records of a segment, or of the journal's
//! generations that are not archived yet. In memory is never more than the positions of one customer's records within one
//! of these, eight bytes each.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kembali_core::customer::Row;
use kembali_core::event::Record;
use kembali_core::totals::Totals;
use kembali_core::{CustomerId, Instant, Seq};
use kembali_journal::codec;
use kembali_snapshots::{Snapshot, Snapshots, snapshot_name};

use crate::request::{ReadError, Stopped};
use crate::shared::Shared;

/// Sums of past positions that are kept: whoever looks at one position looks at it more than once.
const SUMS_KEPT_MAX: usize = 8;

/// Says whether anybody still waits for the answer.
pub(crate) type IsWanted<'a> = &'a dyn Fn() -> bool;

/// A row, and the last record that is folded into it.
pub(crate) type RowAndLast = (Row, Seq);

/// Reads past states.
pub(crate) struct History {
    shared: Arc<Shared>,
    snapshots_dir: PathBuf,
    /// The snapshots that were opened, as long as they exist.
    snapshots: Mutex<Vec<Arc<Snapshot>>>,
    /// The newest use comes first.
    sums: Mutex<VecDeque<Arc<Totals>>>,
}

// What these locks guard is never half-changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn check(is_wanted: IsWanted<'_>) -> Result<(), ReadError> {
    // Nobody sees this.
    if is_wanted() { Ok(()) } else { Err(Stopped.into()) }
}

fn damaged(seq: Seq, what: &str) -> ReadError {
    ReadError::Damaged(seq, what.to_owned())
}

impl History {
    pub(crate) fn new(shared: Arc<Shared>, snapshots_dir: &Path) -> History {
        let snapshots_dir = snapshots_dir.to_path_buf();
        History { shared, snapshots_dir, snapshots: Mutex::default(), sums: Mutex::default() }
    }

    /// Reads a record that is known to be there.
    pub(crate) fn record(&self, seq: Seq) -> Result<Record, ReadError> {
        self.shared
            .record(seq)?
            .ok_or_else(|| damaged(seq, "it is durable and neither the journal nor the archive holds it"))
    }

    /// Finds the last record up to `through` that was received at `instant` or before it; zero when none was.
    ///
    /// Stamps never fall, so this reads some twenty records of a million.
    pub(crate) fn position_of(&self, instant: Instant, through: Seq) -> Result<Seq, ReadError> {
        let (mut low, mut high) = (Seq::ZERO, through);
        while low < high {
            let middle = Seq(high.0 - (high.0 - low.0) / 2);
            if self.record(middle)?.body.received_at <= instant {
                low = middle;
            } else {
                high = Seq(middle.0 - 1);
            }
        }
        Ok(low)
    }

    /// Makes a customer's row as of `at`; `None` when no record up to there names the customer. `newest` is a record of
    /// the customer that is not before the last one up to `at`.
    pub(crate) fn row(
        &self,
        customer: CustomerId,
        newest: Seq,
        at: Seq,
        is_wanted: IsWanted<'_>,
    ) -> Result<Option<RowAndLast>, ReadError> {
        let (stored, base) = self.stored_row(customer, at);
        let mut fold = RowFold { history: self, customer, row: stored, at, is_wanted };
        let archive = self.shared.archive();
        let between = archive.segments().iter().filter(|own| base < own.last_seq() && own.first_seq() <= at);
        for segment in between {
            let found = segment.last_record_of(customer).map_err(|error| of_archive(segment.first_seq(), &error))?;
            if let Some(last) = found {
                fold.take(last, base.max(Seq(segment.first_seq().0 - 1)))?;
            }
        }
        if archive.last_seq() < at {
            fold.take(newest, base.max(archive.last_seq()))?;
        }
        Ok(fold.row)
    }

    /// Reads the row of the nearest snapshot up to `at`, and tells where that was taken. A snapshot that cannot be used is
    /// passed over: it is derived from the records, and they are there.
    fn stored_row(&self, customer: CustomerId, at: Seq) -> (Option<RowAndLast>, Seq) {
        for seq in self.snapshot_positions().into_iter().filter(|seq| *seq <= at) {
            let read = self.snapshot(seq).and_then(|snapshot| snapshot.row(customer));
            match read {
                Ok(row) => return (row, seq),
                Err(error) => tracing::warn!("a past state is made of an older snapshot: {error}"),
            }
        }
        (None, Seq::ZERO)
    }

    fn snapshot_positions(&self) -> Vec<Seq> {
        match Snapshots::open_for_reading(&self.snapshots_dir) {
            Ok(snapshots) => snapshots.positions().collect(),
            Err(error) => {
                tracing::warn!("a past state is made without snapshots: {error}");
                Vec::new()
            }
        }
    }

    fn snapshot(&self, seq: Seq) -> Result<Arc<Snapshot>, kembali_snapshots::ReadError> {
        let is_there = |own: &&Arc<Snapshot>| own.cut().seq == seq;
        if let Some(kept) = lock(&self.snapshots).iter().find(is_there) {
            return Ok(Arc::clone(kept));
        }
        // Opened without the lock: a slow disk must not hold up those whose snapshot is there.
        let opened = Arc::new(Snapshot::open(&self.snapshots_dir.join(snapshot_name(seq)))?);
        let mut kept = lock(&self.snapshots);
        kept.retain(|own| own.path().exists() && own.cut().seq != seq);
        kept.push(Arc::clone(&opened));
        Ok(opened)
    }

    /// Makes the sums as of `at`.
    pub(crate) fn sums(&self, at: Seq, is_wanted: IsWanted<'_>) -> Result<Arc<Totals>, ReadError> {
        let kept = lock(&self.sums).iter().filter(|own| own.last <= at).max_by_key(|own| own.last).cloned();
        let stored = self.shared.archive().sums_through(at).map_err(|error| of_archive(at, &error))?;
        let base = match kept {
            Some(kept) if stored.last <= kept.last => kept,
            _ => Arc::new(stored),
        };
        if base.last == at {
            self.keep(&base);
            return Ok(base);
        }
        let mut sums = Totals::clone(&base);
        while sums.last < at {
            check(is_wanted)?;
            let next = sums.last.next();
            let frame = self.shared.frame_of(next)?.ok_or_else(|| damaged(next, "no frame holds it"))?;
            let records = (frame.first_seq().0..).map(Seq).zip(frame.records());
            for (seq, bytes) in records.filter(|(seq, _)| next <= *seq && *seq <= at) {
                let record = codec::decode(seq, bytes).map_err(|error| damaged(seq, &error.to_string()))?;
                sums.evolve(&record);
            }
        }
        let sums = Arc::new(sums);
        self.keep(&sums);
        Ok(sums)
    }

    fn keep(&self, sums: &Arc<Totals>) {
        let mut kept = lock(&self.sums);
        kept.retain(|own| own.last != sums.last);
        kept.truncate(SUMS_KEPT_MAX - 1);
        kept.push_front(Arc::clone(sums));
    }
}

/// A row on its way from a stored state to a position.
struct RowFold<'a> {
    history: &'a History,
    customer: CustomerId,
    row: Option<RowAndLast>,
    at: Seq,
    is_wanted: IsWanted<'a>,
}

impl RowFold<'_> {
    /// Folds the customer's records in that lie behind `after`, from there to `newest` or to the position.
    ///
    /// Their chain leads backwards and a fold goes forwards, so they are read twice; both ways pass block by block, and
    /// the archive keeps the blocks that were read last.
    fn take(&mut self, newest: Seq, after: Seq) -> Result<(), ReadError> {
        let mut own = Vec::new();
        let mut next = newest;
        while after < next {
            let record = self.read(next)?;
            if next <= self.at {
                own.push(next);
            }
            if next <= record.body.previous {
                return Err(damaged(next, "its link to the customer's record before does not lead back"));
            }
            next = record.body.previous;
        }
        for seq in own.into_iter().rev() {
            let body = self.read(seq)?.body;
            let (row, last) = match self.row.take() {
                Some(stored) => stored,
                None => {
                    let created = Row::created_by(&body);
                    (created.ok_or_else(|| damaged(seq, "it is its customer's first and creates nobody"))?, Seq::ZERO)
                }
            };
            if body.previous != last {
                return Err(damaged(seq, "its link to the customer's record before leads elsewhere"));
            }
            let (row, _) = self.row.insert((row, seq));
            row.evolve(&body);
        }
        Ok(())
    }

    fn read(&self, seq: Seq) -> Result<Record, ReadError> {
        check(self.is_wanted)?;
        let record = self.history.record(seq)?;
        if record.body.customer == Some(self.customer) {
            return Ok(record);
        }
        Err(damaged(seq, "the link of a customer's record leads to it, and it names somebody else"))
    }
}

fn of_archive(seq: Seq, error: &kembali_snapshots::ReadError) -> ReadError {
    match error {
        kembali_snapshots::ReadError::Damage(damage) => ReadError::Damaged(seq, damage.to_string()),
        kembali_snapshots::ReadError::Io(fault) => ReadError::Unreadable(seq, fault.to_string()),
    }
}
