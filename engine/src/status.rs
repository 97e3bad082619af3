//! How the engine is doing, for whoever watches it. Nothing here waits for a decision or is part of one.

use std::io;
use std::sync::PoisonError;
use std::time::Instant;

use kembali_core::Seq;

use crate::handle::{Engine, IN_FLIGHT_UNITS};
use crate::request::Stopped;
use crate::scrub::Verification;
use crate::timings::Percentiles;

/// How the engine is doing.
#[derive(Debug)]
pub struct Status {
    /// The last durable position.
    pub durable: Seq,
    /// From where purchases are taken to where they are durable and their answers known, one measure for each.
    pub decisions: Percentiles,
    /// Writing a frame of the journal and syncing it, one measure for each frame.
    pub syncs: Percentiles,
    /// Units of room that are taken by what is under way. There are [`IN_FLIGHT_UNITS`].
    pub in_flight: usize,
    /// How many shards decide.
    pub shards: usize,
    /// Segments of the archive.
    pub segments: usize,
    /// The last record that is archived; a snapshot is taken where the archive ends.
    pub archived: Seq,
    /// Bytes that are free on the disk, and with how few nothing is taken any more (0: nobody looks); or why that cannot be told.
    pub disk: io::Result<(u64, u64)>,
    /// The check of the archive that was asked for last.
    pub verification: Option<Verification>,
}

impl Engine {
    /// Returns how the engine is doing.
    #[must_use]
    pub fn status(&self) -> Status {
        let (inner, now) = (&self.inner, Instant::now());
        let archive = inner.shared.archive();
        Status {
            durable: self.durable(),
            decisions: inner.decisions.percentiles(now),
            syncs: inner.syncs.percentiles(now),
            in_flight: (IN_FLIGHT_UNITS as usize).saturating_sub(inner.room.available_permits()),
            shards: inner.shards.get(),
            segments: archive.segments().len(),
            archived: archive.last_seq(),
            disk: inner.space.free_and_min(),
            verification: self.with_scrub(|scrub| scrub.verification()).ok().flatten(),
        }
    }

    /// Begins to check every byte of the archive, without rests; [`Engine::status`] says how far it is. Damage stops the engine, as
    /// wherever it is found. `None` while such a check is under way.
    ///
    /// # Errors
    ///
    /// [`Stopped`].
    pub fn verify_archive(&self) -> Result<Option<Verification>, Stopped> {
        let now = self.wall();
        self.with_scrub(|scrub| scrub.verify(now))
    }

    fn with_scrub<T>(&self, work: impl FnOnce(&crate::scrub::Scrub) -> T) -> Result<T, Stopped> {
        let scrub = self.inner.scrub.lock().unwrap_or_else(PoisonError::into_inner);
        scrub.as_ref().map(work).ok_or(Stopped)
    }
}
