//! The seam: what a journal promises, whoever keeps it. No implementation and no file is named here.
//!
//! Epoch and expected sequence number are part of the promise so that a replicated log can stand behind it later.

use std::io;
use std::sync::Arc;

use kembali_core::Seq;
use thiserror::Error;

use crate::frame::{Frame, FrameHash};

/// The end of what is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The last durable record, [`Seq::ZERO`] when there is none.
    pub seq: Seq,
    /// The hash of the frame that holds it, [`FrameHash::GENESIS`] when there is none.
    pub hash: FrameHash,
    /// The epoch of this owner: every frame it appends carries it.
    pub epoch: u64,
}

impl Position {
    /// Checks that `frame` may be appended right here by this owner.
    pub(crate) fn admit(&self, frame: &Frame) -> Result<(), AppendError> {
        if frame.epoch() != self.epoch {
            return Err(AppendError::Fenced { frame: frame.epoch(), owner: self.epoch });
        }
        if frame.first_seq() != self.seq.next() {
            return Err(AppendError::OutOfOrder { expected: self.seq.next(), found: frame.first_seq() });
        }
        if frame.previous() != self.hash {
            return Err(AppendError::BrokenChain { expected: self.hash, found: frame.previous() });
        }
        Ok(())
    }
}

/// One generation: a run of frames that is dropped as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GenerationInfo {
    /// Its number; numbers are dense.
    pub number: u64,
    /// Its first record, or the record that it will start with while it is empty.
    pub first_seq: Seq,
    /// Its last record, or the one before `first_seq` while it is empty.
    pub last_seq: Seq,
    /// True when nothing will be appended to it any more.
    pub sealed: bool,
    /// Bytes of its frames.
    pub payload_bytes: u64,
}

/// The first failure of a journal, which every later append repeats.
#[derive(Clone, Debug, Error)]
#[error("{doing}")]
pub struct JournalFault {
    /// The step that failed.
    pub doing: &'static str,
    /// What the system said.
    pub source: Arc<io::Error>,
}

impl JournalFault {
    pub(crate) fn new(doing: &'static str, source: io::Error) -> JournalFault {
        JournalFault { doing, source: Arc::new(source) }
    }
}

/// Why a frame was not appended.
#[derive(Clone, Debug, Error)]
pub enum AppendError {
    /// The frame carries another epoch than this owner's, or another owner has taken the journal. Nothing was stored.
    #[error("fenced: the frame carries epoch {frame}, the owner has epoch {owner}")]
    Fenced {
        /// The epoch of the frame.
        frame: u64,
        /// The epoch that may append.
        owner: u64,
    },
    /// The frame does not start right after the last durable record. Nothing was stored.
    #[error("the frame starts at sequence number {}, expected {}", found.0, expected.0)]
    OutOfOrder {
        /// The only sequence number that may come now.
        expected: Seq,
        /// The one the frame starts with.
        found: Seq,
    },
    /// The frame names another frame as its previous one. Nothing was stored.
    #[error("the frame follows {found}, expected {expected}")]
    BrokenChain {
        /// The hash of the last durable frame.
        expected: FrameHash,
        /// The hash that the frame names.
        found: FrameHash,
    },
    /// A write or a sync failed: it is unknown whether the frame is stored. The journal takes no more frames.
    #[error("the journal failed")]
    Failed(#[source] JournalFault),
    /// An earlier append failed; nothing was tried. Stop, and recover.
    #[error("the journal takes no more frames since an earlier failure")]
    Poisoned(#[source] JournalFault),
}

/// Why frames cannot be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The record was trimmed: it is in the archive now.
    #[error("sequence number {} was trimmed, the journal starts at {}", asked.0, first.0)]
    Trimmed {
        /// What was asked for.
        asked: Seq,
        /// The first record still held.
        first: Seq,
    },
    /// What is stored is not what was written.
    #[error("generation {generation} is damaged after sequence number {}", after.0)]
    Damage {
        /// The generation.
        generation: u64,
        /// The last record read from it before the damage.
        after: Seq,
        /// What was found.
        #[source]
        flaw: crate::damage::Flaw,
    },
    /// The store could not be read.
    #[error("reading generation {generation}")]
    Io {
        /// The generation.
        generation: u64,
        /// What the system said.
        source: io::Error,
    },
}

/// Why a generation was not sealed.
#[derive(Debug, Error)]
pub enum SealError {
    /// A write or a sync failed. The journal takes no more frames.
    #[error("the journal failed")]
    Failed(#[source] JournalFault),
    /// An earlier operation failed; nothing was tried.
    #[error("the journal does nothing more since an earlier failure")]
    Poisoned(#[source] JournalFault),
}

/// Why a generation was not dropped.
#[derive(Debug, Error)]
pub enum TrimError {
    /// Only the oldest generation may be dropped.
    #[error("generation {asked} is not the oldest one, {oldest} is")]
    NotOldest {
        /// What was asked for.
        asked: u64,
        /// What may be asked for.
        oldest: u64,
    },
    /// The generation still takes frames.
    #[error("generation {asked} is not sealed")]
    NotSealed {
        /// What was asked for.
        asked: u64,
    },
    /// A write or a sync failed. The journal takes no more frames.
    #[error("the journal failed")]
    Failed(#[source] JournalFault),
    /// An earlier operation failed; nothing was tried.
    #[error("the journal does nothing more since an earlier failure")]
    Poisoned(#[source] JournalFault),
}

/// Iterates over frames in order; ends after the first error.
pub type Frames<'a> = Box<dyn Iterator<Item = Result<Frame, ReadError>> + 'a>;

/// Ordered, durable, fenced frames.
///
/// One owner appends at a time. Frames are dense in sequence numbers and chained by hash.
pub trait Journal: Send {
    /// Returns the end of what is durable, and the epoch of this owner.
    fn position(&self) -> Position;

    /// Appends `frame` and returns once it is durable.
    ///
    /// # Errors
    ///
    /// A frame that is fenced, out of order or off the chain changes nothing. After the first failed write or sync
    /// every later call is refused as [`AppendError::Poisoned`].
    fn append(&mut self, frame: &Frame) -> Result<(), AppendError>;

    /// Iterates over the held frames from the one that holds `from`; over none when `from` is not written yet.
    ///
    /// # Errors
    ///
    /// When `from` lies before [`Journal::first_seq`], or the store cannot be read.
    fn frames(&self, from: Seq) -> Result<Frames<'_>, ReadError>;

    /// Returns the first record still held; the one after the last when none is.
    fn first_seq(&self) -> Seq;

    /// Lists the generations, oldest first; the last one takes the frames.
    fn generations(&self) -> Vec<GenerationInfo>;

    /// Seals the generation that takes the frames, however full it is; an empty one stays as it is.
    ///
    /// # Errors
    ///
    /// A failed write or sync poisons the journal.
    fn seal(&mut self) -> Result<(), SealError>;

    /// Drops the oldest generation, which must be sealed. What it takes on the disk may be given back later.
    ///
    /// # Errors
    ///
    /// When it is not the oldest or not sealed, nothing changes. A failed write or sync poisons the journal, if need be at a later append.
    fn trim(&mut self, generation: u64) -> Result<(), TrimError>;
}
