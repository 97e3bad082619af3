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
use kembali_snapshots::{Archive, Cut, SNAPSHOTS_KEPT, Snapshots};

use crate::journal_thread::{Ended, Fault, Report, Work, WorkSender};
use crate::recovery::FoldError;
use crate::shared::Shared;

/// Sealed generations that may wait beside the one that is being archived; then the journal waits.
pub(crate) const SEALED_MAX: usize = 1;

/// A way to the thread.
pub(crate) type ArchiveSender = SyncSender<GenerationInfo>;

pub(crate) fn channel() -> (ArchiveSender, Receiver<GenerationInfo>) {
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
    sealed: Receiver<GenerationInfo>,
    report: impl Fn(Report) + Send + 'static,
) -> std::io::Result<JoinHandle<Ended>> {
    let run = move || {
        let mut ended = Ended::WhenTold;
        for generation in sealed {
            if let Err(error) = archiver.archive(&generation) {
                let (generation, message) = (generation.number, error.to_string());
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
    fn archive(&mut self, generation: &GenerationInfo) -> Result<(), Failure> {
        let mut archive = Archive::open(&self.archive_dir)?;
        if archive.last_seq() < generation.last_seq {
            let frames = self.shared.tail(generation.first_seq, generation.last_seq);
            archive.add(generation, frames.into_iter().map(Ok::<_, Infallible>))?;
        }
        self.shared.archived(archive);
        // After a fault the journal thread may be gone; the next start drops the generation.
        drop(self.journal.send(Work::Trim(generation.number)));
        self.take_snapshot()
    }

    /// Takes a snapshot where the archive ends.
    fn take_snapshot(&mut self) -> Result<(), Failure> {
        let archive = self.shared.archive();
        let cut = Cut { seq: archive.last_seq(), hash: archive.last_hash(), archived: archive.last_seq() };
        let newest = self.snapshots.newest_valid_through(cut.seq);
        for error in &newest.bad {
            tracing::warn!("the next snapshot is made of an older one: {error}");
        }
        let since = newest.snapshot.as_ref().map_or(Seq::ZERO, |snapshot| snapshot.cut().seq);
        if since < cut.seq {
            let records = archive.frames(since.next()).flat_map(records_of);
            self.snapshots.take(newest.snapshot.as_ref(), records, cut)?;
        }
        self.snapshots.retain(SNAPSHOTS_KEPT)?;
        Ok(())
    }
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
