//! The scrub: reads the whole archive again and again, slowly, so that damage is found before anybody asks for it.
//!
//! A start checks what finds a record, not every byte of history. What the scrub finds stops the engine, as every other
//! damage does: nothing is served from a ledger that is known to be damaged.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::journal_thread::{Ended, Fault, Report};
use crate::shared::Shared;

/// From the end of one pass over the archive to the start of the next.
const PASS_EVERY: Duration = Duration::from_secs(24 * 60 * 60);
/// After each segment it rests this many times as long as reading it took: a tenth of a disk at most.
const REST_FACTOR: u32 = 9;

/// Ends the scrub when it is dropped.
pub(crate) struct Stop(#[expect(dead_code, reason = "the other end sees it go")] Sender<()>);

/// Starts the thread. It ends when the [`Stop`] is gone, or after it found damage, which it reports.
pub(crate) fn start(
    shared: Arc<Shared>,
    report: impl Fn(Report) + Send + 'static,
) -> std::io::Result<(JoinHandle<Ended>, Stop)> {
    let (stop, stopped) = channel();
    let run = move || match scrub(&shared, &stopped) {
        Ok(()) => Ended::WhenTold,
        Err(message) => {
            report(Report::Failed(Fault::Damage { message: message.clone() }));
            Ended::AfterFault(message)
        }
    };
    Ok((thread::Builder::new().name("scrub".into()).spawn(run)?, Stop(stop)))
}

/// Reads until it is told to stop.
fn scrub(shared: &Shared, stopped: &Receiver<()>) -> Result<(), String> {
    loop {
        let archive = shared.archive();
        for segment in archive.segments() {
            let start = Instant::now();
            match segment.check_bytes() {
                Ok(()) => (),
                Err(kembali_snapshots::ReadError::Damage(damage)) => return Err(damage.to_string()),
                // The system may be short of something for a while; whoever needs the segment will hear of it.
                Err(error) => tracing::warn!(%error, "a segment could not be scrubbed"),
            }
            if rest(stopped, start.elapsed() * REST_FACTOR) {
                return Ok(());
            }
        }
        drop(archive);
        if rest(stopped, PASS_EVERY) {
            return Ok(());
        }
    }
}

/// Rests, and returns true when it is over.
fn rest(stopped: &Receiver<()>, time: Duration) -> bool {
    !matches!(stopped.recv_timeout(time), Err(RecvTimeoutError::Timeout))
}
