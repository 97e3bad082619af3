//! The thread that turns sealed generations into archive segments, beside the one that writes the journal.
//!
//! It takes the frames from memory, so it never reads the journal while that is written. A generation is dropped from
//! the journal only after its segment is durable and was read back.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use kembali_journal::GenerationInfo;
use kembali_snapshots::Archive;

use crate::journal_thread::{Fault, Report, Work, WorkSender};
use crate::shared::Shared;

/// Sealed generations that may wait beside the one that is being archived; then the journal waits.
pub(crate) const SEALED_MAX: usize = 1;

/// A way to the thread.
pub(crate) type ArchiveSender = SyncSender<GenerationInfo>;

pub(crate) fn channel() -> (ArchiveSender, Receiver<GenerationInfo>) {
    sync_channel(SEALED_MAX)
}

/// Starts the thread. It ends when the journal thread is gone, or after a failure, which it reports.
pub(crate) fn start(
    dir: PathBuf,
    shared: Arc<Shared>,
    sealed: Receiver<GenerationInfo>,
    journal: WorkSender,
    report: impl Fn(Report) + Send + 'static,
) -> std::io::Result<JoinHandle<()>> {
    let run = move || {
        for generation in sealed {
            match archive(&dir, &shared, &generation) {
                // The journal thread is gone when the engine is being stopped; the next start drops the generation.
                Ok(()) => drop(journal.send(Work::Trim(generation.number))),
                Err(message) => {
                    report(Report::Failed(Fault::Archive { generation: generation.number, message }));
                    return;
                }
            }
        }
    };
    thread::Builder::new().name("archiver".into()).spawn(run)
}

fn archive(dir: &Path, shared: &Shared, generation: &GenerationInfo) -> Result<(), String> {
    let mut archive = Archive::open(dir).map_err(|error| error.to_string())?;
    if archive.last_seq() < generation.last_seq {
        let frames = shared.tail(generation.first_seq, generation.last_seq);
        let frames = frames.into_iter().map(Ok::<_, Infallible>);
        archive.add(generation, frames, &[]).map_err(|error| error.to_string())?;
    }
    shared.archived(archive);
    Ok(())
}
