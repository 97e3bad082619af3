//! The thread that turns sealed generations into archive segments and snapshots, beside the one that writes the journal.
//!
//! It takes the frames from memory, so it never reads the journal while that is written. A generation is dropped from
//! the journal only after its segment is durable and was read back. A snapshot is made of the one before it and the
//! records since, never of what a shard has in memory: taking it stops nobody, and checks the records once more.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use kembali_core::Seq;
use kembali_core::event::Record;
use kembali_journal::{Frame, GenerationInfo, codec};
use kembali_snapshots::{Archive, Cut, Fold, SNAPSHOTS_KEPT, Snapshot, Snapshots, TakeError};
use tokio::sync::oneshot;

use crate::give_way::give_way;
use crate::journal_thread::{Ended, Fault, Report, Work, WorkSender};
use crate::recovery::FoldError;
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
pub(crate) type ArchiveSender = SyncSender<Order>;

pub(crate) fn channel() -> (ArchiveSender, Receiver<Order>) {
    sync_channel(SEALED_MAX)
}

/// What the thread works with.
pub(crate) struct Archiver {
    pub(crate) archive_dir: PathBuf,
    pub(crate) snapshots: Snapshots,
    pub(crate) shared: Arc<Shared>,
    pub(crate) journal: WorkSender,
}

/// Starts the thread. It ends when the journal thread is gone, or after a failure, which it reports.
pub(crate) fn start(
    mut archiver: Archiver,
    orders: Receiver<Order>,
    report: impl Fn(Report) + Send + 'static,
) -> std::io::Result<JoinHandle<Ended>> {
    let run = move || {
        give_way();
        let mut ended = Ended::WhenTold;
        for order in orders {
            if let Err((generation, error)) = archiver.carry_out(order) {
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
    fn carry_out(&mut self, order: Order) -> Result<(), (Option<u64>, Failure)> {
        match order {
            Order::Archive(generation) => self.archive(&generation).map_err(|error| (Some(generation.number), error)),
            Order::Snapshot(asked) => {
                let at = self.take_snapshot().map_err(|error| (None, error))?;
                // Whoever asked may be gone; the snapshot stays.
                let _ = asked.send(at);
                Ok(())
            }
        }
    }

    /// Archives a generation and takes a snapshot at its end. Its records are decoded once for both.
    fn archive(&mut self, generation: &GenerationInfo) -> Result<(), Failure> {
        let mut archive = Archive::open(&self.archive_dir)?;
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
        self.put(Some(fold))
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
        let fold = fold_through(&archive, newest.as_ref(), cut)?;
        self.put(fold)?;
        Ok(cut.seq)
    }

    fn newest_through(&self, cut: Cut) -> Option<Snapshot> {
        let newest = self.snapshots.newest_valid_through(cut.seq);
        for error in &newest.bad {
            tracing::warn!("the next snapshot is made of an older one: {error}");
        }
        newest.snapshot
    }

    /// Puts a snapshot among the others, if it is a new one, and removes those that are not needed any more.
    fn put(&mut self, fold: Option<Fold<'_>>) -> Result<(), Failure> {
        if let Some(fold) = fold {
            self.snapshots.put::<FoldError>(fold)?;
        }
        self.snapshots.retain(SNAPSHOTS_KEPT)?;
        Ok(())
    }
}

/// Begins a snapshot at `cut`, with all records up to there that the archive holds; `None` where there is one.
fn fold_through<'a>(
    archive: &Archive,
    previous: Option<&'a Snapshot>,
    cut: Cut,
) -> Result<Option<Fold<'a>>, TakeError<FoldError>> {
    let since = previous.map_or(Seq::ZERO, |previous| previous.cut().seq);
    if cut.seq <= since {
        return Ok(None);
    }
    let mut fold = Fold::start(previous, cut)?;
    for record in archive.frames(since.next()).flat_map(records_of) {
        fold.record(&record.map_err(TakeError::Records)?)?;
    }
    Ok(Some(fold))
}

fn records_of(frame: Result<Frame, kembali_snapshots::ReadError>) -> Vec<Result<Record, FoldError>> {
    match frame {
        Err(error) => vec![Err(error.into())],
        Ok(frame) => (frame.first_seq().0..)
            .map(Seq)
            .zip(frame.records())
            .map(|(seq, bytes)| codec::decode(seq, bytes).map_err(|source| FoldError::Decode { seq, source }))
            .collect(),
    }
}
