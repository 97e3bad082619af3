//! The thread that turns sealed generations into archive segments and snapshots, beside the one that writes the journal.
//!
//! It takes the frames from memory, so it never reads the journal while that is written. A generation is dropped from
//! the journal only after its segment is durable and was read back. A snapshot is made of the one before it and the
//! records since, never of what a shard has in memory: taking it stops nobody, and checks the records once more. It rests between small
//! pieces of all that, for as long as nobody waits for it.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SendError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use kembali_core::Seq;
use kembali_core::event::Record;
use kembali_journal::{Frame, GenerationInfo};
use kembali_snapshots::{Archive, Cut, Fold, SNAPSHOTS_KEPT, Snapshot, Snapshots, between_pieces};
use tokio::sync::oneshot;

use crate::give_way::{Pace, give_way};
use crate::journal_thread::{Ended, Fault, Report, Work, WorkSender};
use crate::recovery::{self, FoldError};
use crate::shared::Shared;

/// Sealed generations that may wait beside the one that is being archived; then the journal waits.
pub(crate) const SEALED_MAX: usize = 1;

/// What the thread is told.
pub(crate) enum Order {
    /// Archive a generation that is sealed, and take a snapshot.
    Archive(GenerationInfo),
    /// Take a snapshot of what is archived, and tell where that is.
    Snapshot(oneshot::Sender<Seq>),
}

/// A way to the thread.
pub(crate) struct ArchiveSender {
    orders: SyncSender<Order>,
    waiting: Waiting,
}

impl ArchiveSender {
    /// Sends an order; waits when the thread is behind. Returns it when the thread is gone.
    pub(crate) fn send(&self, order: Order) -> Result<(), SendError<Order>> {
        self.waiting.begin();
        self.orders.send(order)
    }
}

impl Drop for ArchiveSender {
    fn drop(&mut self) {
        // Whoever wants no more of it waits for its end.
        self.waiting.begin();
    }
}

/// The orders that the thread has not begun.
pub(crate) struct ArchiveQueue {
    orders: Receiver<Order>,
    waiting: Waiting,
}

/// How many wait for the thread to be done with what it is at.
#[derive(Clone, Default)]
struct Waiting(Arc<AtomicUsize>);

impl Waiting {
    fn begin(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn end(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    fn is_somebody(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }
}

pub(crate) fn channel() -> (ArchiveSender, ArchiveQueue) {
    let (to, orders) = sync_channel(SEALED_MAX);
    let waiting = Waiting::default();
    (ArchiveSender { orders: to, waiting: waiting.clone() }, ArchiveQueue { orders, waiting })
}

/// What the thread works with.
pub(crate) struct Archiver {
    pub(crate) snapshots: Snapshots,
    pub(crate) shared: Arc<Shared>,
    pub(crate) journal: WorkSender,
}

/// Starts the thread. It ends when the journal thread is gone, or after a failure, which it reports.
pub(crate) fn start(
    mut archiver: Archiver,
    queue: ArchiveQueue,
    report: impl Fn(Report) + Send + 'static,
) -> std::io::Result<JoinHandle<Ended>> {
    let run = move || {
        give_way();
        let mut ended = Ended::WhenTold;
        let ArchiveQueue { orders, waiting } = queue;
        let (mut pace, others) = (Pace::begin(), waiting.clone());
        between_pieces(move || pace.rest(others.is_somebody()));
        for order in orders {
            waiting.end();
            if let Err((generation, error)) = archiver.carry_out(order, &waiting) {
                let message = error.to_string();
                report(Report::Failed(Fault::Archive { generation, message: message.clone() }));
                ended = Ended::AfterFault(message);
                break;
            }
        }
        // The journal thread waits for this when it is told to end; after a fault it may be gone.
        drop(archiver.journal.send(Work::ArchiverEnded));
        ended
    };
    thread::Builder::new().name("archiver".into()).spawn(run)
}

type Failure = Box<dyn std::error::Error>;

impl Archiver {
    fn carry_out(&mut self, order: Order, waiting: &Waiting) -> Result<(), (Option<u64>, Failure)> {
        match order {
            Order::Archive(generation) => self.archive(&generation).map_err(|error| (Some(generation.number), error)),
            Order::Snapshot(asked) => {
                waiting.begin();
                let taken = self.take_snapshot();
                waiting.end();
                let at = taken.map_err(|error| (None, error))?;
                // Whoever asked may be gone; the snapshot stays.
                let _ = asked.send(at);
                Ok(())
            }
        }
    }

    /// Archives a generation and takes a snapshot at its end. Its records are decoded once for both.
    fn archive(&mut self, generation: &GenerationInfo) -> Result<(), Failure> {
        let mut archive = self.shared.archive().another();
        if generation.last_seq <= archive.last_seq() {
            self.show(archive, generation);
            return self.take_snapshot().map(drop);
        }
        let frames = self.shared.tail(generation.first_seq, generation.last_seq);
        let last = frames.last().ok_or("its frames are not in memory any more")?;
        let cut = Cut { seq: last.last_seq(), hash: last.hash(), archived: last.last_seq() };
        let newest = self.newest_through(cut);
        let since = newest.as_ref().map_or(Seq::ZERO, |newest| newest.cut().seq);
        if since != archive.last_seq() {
            // The generation is not to wait while the snapshot catches up.
            archive.add(generation, frames.into_iter().map(Ok::<_, Infallible>))?;
            self.show(archive, generation);
            return self.take_snapshot().map(drop);
        }
        let mut fold = Fold::start::<FoldError>(newest.as_ref(), cut)?;
        let mut folded = Ok(());
        archive.add_seeing(generation, frames.into_iter().map(Ok::<_, Infallible>), |record| {
            if folded.is_ok() {
                folded = fold.record::<FoldError>(record);
            }
        })?;
        self.show(archive, generation);
        folded?;
        self.snapshots.put::<FoldError>(fold)?;
        self.snapshots.retain(SNAPSHOTS_KEPT)?;
        Ok(())
    }

    /// Shows an archive that holds a generation, and has that dropped from the journal.
    fn show(&self, archive: Archive, generation: &GenerationInfo) {
        self.shared.archived(archive);
        // After a fault the journal thread may be gone; the next start drops the generation.
        drop(self.journal.send(Work::Trim(generation.number)));
    }

    /// Takes a snapshot where the archive ends, unless there is one, and returns where that is.
    fn take_snapshot(&mut self) -> Result<Seq, Failure> {
        let archive = self.shared.archive();
        let cut = Cut { seq: archive.last_seq(), hash: archive.last_hash(), archived: archive.last_seq() };
        let newest = self.newest_through(cut);
        let since = newest.as_ref().map_or(Seq::ZERO, |newest| newest.cut().seq);
        if since < cut.seq {
            self.snapshots.take(newest.as_ref(), archive.frames(since.next()).flat_map(records_of), cut)?;
        }
        self.snapshots.retain(SNAPSHOTS_KEPT)?;
        Ok(cut.seq)
    }

    fn newest_through(&self, cut: Cut) -> Option<Snapshot> {
        let newest = self.snapshots.newest_valid_through(cut.seq);
        for error in &newest.bad {
            tracing::warn!("the next snapshot is made of an older one: {error}");
        }
        newest.snapshot
    }
}

fn records_of(frame: Result<Frame, kembali_snapshots::ReadError>) -> Vec<Result<Record, FoldError>> {
    match frame.map_err(FoldError::from).and_then(|frame| recovery::records_of(&frame)) {
        Ok(records) => records.into_iter().map(Ok).collect(),
        Err(error) => vec![Err(error)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_sends_an_order_or_closes_waits() {
        let (sender, queue) = channel();
        assert!(!queue.waiting.is_somebody());
        let (asked, _answer) = oneshot::channel();
        assert!(sender.send(Order::Snapshot(asked)).is_ok());
        assert!(queue.waiting.is_somebody());
        drop(queue.orders.recv().expect("it was sent"));
        queue.waiting.end();
        assert!(!queue.waiting.is_somebody());
        drop(sender);
        assert!(queue.waiting.is_somebody());
    }
}
