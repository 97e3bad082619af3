//! The scrub: reads the whole archive again and again, slowly, so that damage is found before anybody asks for it.
//!
//! A start checks what finds a record, not every byte of history. What the scrub finds stops the engine, as every other
//! damage does: nothing is served from a ledger that is known to be damaged. Who does not want to wait asks for a pass without rests, and
//! watches it.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use kembali_core::Seq;
use kembali_snapshots::Segment;

use crate::give_way::give_way;
use crate::journal_thread::{Ended, Fault, Report};
use crate::shared::Shared;

/// From the end of one pass over the archive to the start of the next.
const PASS_EVERY: Duration = Duration::from_secs(24 * 60 * 60);
/// After each segment it rests this many times as long as reading it took: a tenth of a disk at most.
const REST_FACTOR: u32 = 9;

/// A pass over the archive that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// When it was asked for.
    pub started_at: kembali_core::Instant,
    /// How long it has taken, or took.
    pub took: Duration,
    /// Segments of the archive that it goes through.
    pub segments: usize,
    /// Those that were read and are as they were written.
    pub checked: usize,
    /// The last record that it looks at.
    pub through: Seq,
    /// True once it has ended, and all segments were checked or could not be read.
    pub is_over: bool,
    /// Why a segment could not be read, if one could not: that is no damage.
    pub unread: Option<String>,
}

/// The pass that was asked for last, and how far it is.
#[derive(Debug, Default)]
pub(crate) struct Progress(Mutex<Option<(Instant, Verification)>>);

impl Progress {
    pub(crate) fn get(&self) -> Option<Verification> {
        let own = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        own.as_ref().map(|(since, own)| {
            let took = if own.is_over { own.took } else { since.elapsed() };
            Verification { took, ..own.clone() }
        })
    }

    /// Begins a pass, unless one is under way.
    fn begin(&self, now: kembali_core::Instant) -> Option<Verification> {
        let mut own = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if own.as_ref().is_some_and(|(_, own)| !own.is_over) {
            return None;
        }
        let (segments, checked, through) = (0, 0, Seq::ZERO);
        let begun = Verification {
            started_at: now,
            took: Duration::ZERO,
            segments,
            checked,
            through,
            is_over: false,
            unread: None,
        };
        *own = Some((Instant::now(), begun.clone()));
        Some(begun)
    }

    fn edit(&self, edit: impl FnOnce(&mut Verification)) {
        let mut own = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((since, own)) = own.as_mut() {
            edit(own);
            own.took = since.elapsed();
        }
    }
}

/// A way to the scrub, which ends when this is dropped.
pub(crate) struct Scrub {
    ask: Sender<()>,
    progress: Arc<Progress>,
}

impl Scrub {
    /// How far the pass is that was asked for last, if one was.
    pub(crate) fn verification(&self) -> Option<Verification> {
        self.progress.get()
    }

    /// Asks for a pass without rests. `None` while one is under way.
    pub(crate) fn verify(&self, now: kembali_core::Instant) -> Option<Verification> {
        let begun = self.progress.begin(now)?;
        // A scrub that found damage is gone, and so is the engine.
        let _ = self.ask.send(());
        Some(begun)
    }
}

/// Starts the thread. It ends when the [`Scrub`] is gone, or after it found damage, which it reports.
pub(crate) fn start(
    shared: Arc<Shared>,
    report: impl Fn(Report) + Send + 'static,
) -> std::io::Result<(JoinHandle<Ended>, Scrub)> {
    let (ask, asked) = channel();
    let progress = Arc::new(Progress::default());
    let own = Scrub { ask, progress: Arc::clone(&progress) };
    let run = move || {
        give_way();
        match scrub(&shared, &asked, &progress) {
            Ok(()) => Ended::WhenTold,
            Err(message) => {
                report(Report::Failed(Fault::Damage { message: message.clone() }));
                Ended::AfterFault(message)
            }
        }
    };
    Ok((thread::Builder::new().name("scrub".into()).spawn(run)?, own))
}

/// How a rest ended.
enum Rested {
    InFull,
    Asked,
    Ended,
}

/// Reads until its [`Scrub`] is gone.
fn scrub(shared: &Shared, asked: &Receiver<()>, progress: &Progress) -> Result<(), String> {
    let mut next = Rested::InFull;
    loop {
        next = match next {
            Rested::Ended => return Ok(()),
            Rested::Asked => verify(shared, asked, progress)?,
            Rested::InFull => pass(shared, asked)?,
        };
        if matches!(next, Rested::InFull) {
            next = rest(asked, PASS_EVERY);
        }
    }
}

/// Reads the archive once, slowly. Ends early where it is asked for something.
fn pass(shared: &Shared, asked: &Receiver<()>) -> Result<Rested, String> {
    for segment in shared.archive().segments() {
        let start = Instant::now();
        check(segment)?;
        match rest(asked, start.elapsed() * REST_FACTOR) {
            Rested::InFull => (),
            other => return Ok(other),
        }
    }
    Ok(Rested::InFull)
}

/// Reads the archive once, and tells how far it is.
fn verify(shared: &Shared, asked: &Receiver<()>, progress: &Progress) -> Result<Rested, String> {
    let archive = shared.archive();
    progress.edit(|own| (own.segments, own.through) = (archive.segments().len(), archive.last_seq()));
    for segment in archive.segments() {
        match check(segment)? {
            None => progress.edit(|own| own.checked += 1),
            unread => progress.edit(|own| own.unread = unread),
        }
        // Nobody asks again while this is under way; but it may have to end.
        if matches!(rest(asked, Duration::ZERO), Rested::Ended) {
            return Ok(Rested::Ended);
        }
    }
    progress.edit(|own| own.is_over = true);
    Ok(Rested::InFull)
}

/// Reads a segment. Says why it could not be read, where that is no damage.
///
/// # Errors
///
/// What is damaged.
fn check(segment: &Segment) -> Result<Option<String>, String> {
    match segment.check_bytes() {
        Ok(()) => Ok(None),
        Err(kembali_snapshots::ReadError::Damage(damage)) => Err(damage.to_string()),
        // The system may be short of something for a while; whoever needs the segment will hear of it.
        Err(error) => {
            tracing::warn!(%error, "a segment could not be scrubbed");
            Ok(Some(error.to_string()))
        }
    }
}

/// Rests until it is over, or something else is wanted.
fn rest(asked: &Receiver<()>, time: Duration) -> Rested {
    match asked.recv_timeout(time) {
        Err(RecvTimeoutError::Timeout) => Rested::InFull,
        Ok(()) => Rested::Asked,
        Err(RecvTimeoutError::Disconnected) => Rested::Ended,
    }
}
