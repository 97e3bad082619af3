//! What can be wrong with a stored journal, what was mended on the way, and what to do about the rest. No checks here.

use std::io;
use std::path::PathBuf;

use kembali_core::Seq;
use thiserror::Error;

use crate::frame::{FrameDamage, FrameHash};
use crate::head::LedgerId;

/// What is wrong with stored bytes.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Flaw {
    /// Bytes that are not a frame.
    #[error("the frame at chunk {chunk} is damaged: {damage}")]
    Frame {
        /// Number of the chunk that the frame starts with.
        chunk: u64,
        /// What is wrong with it.
        damage: FrameDamage,
    },
    /// A chunk number is missing.
    #[error("chunk {found} follows where chunk {expected} belongs")]
    ChunkMissing {
        /// The number that should have come.
        expected: u64,
        /// The number that came.
        found: u64,
    },
    /// A key or a value that no journal writes.
    #[error("chunk entry {entry} has a key of {key} bytes and a value of {value} bytes")]
    ChunkShape {
        /// Place of the entry, counted from 0.
        entry: u64,
        /// Length of the key in bytes.
        key: usize,
        /// Length of the value in bytes.
        value: usize,
    },
    /// A record number was skipped or repeated.
    #[error("a frame starts at sequence number {}, expected {}", found.0, expected.0)]
    NotDense {
        /// The number that should have come.
        expected: Seq,
        /// The number that came.
        found: Seq,
    },
    /// The chain of hashes does not fit.
    #[error("the frame that starts at {} follows {found}, but the frame before it is {expected}", first.0)]
    Chain {
        /// First record of the later frame.
        first: Seq,
        /// The hash of the earlier frame.
        expected: FrameHash,
        /// The hash that the later frame names.
        found: FrameHash,
    },
    /// An epoch fell, or passes the one in the head.
    #[error("a frame carries epoch {found}, expected {least} to {most}")]
    Epoch {
        /// The epoch found.
        found: u64,
        /// The epoch of the frame before it.
        least: u64,
        /// The epoch in the head.
        most: u64,
    },
    /// Fewer frames than were acknowledged.
    #[error("the journal ends at sequence number {}, but {} was acknowledged", found.0, expected.0)]
    Shorter {
        /// The last record in the head.
        expected: Seq,
        /// The last record found.
        found: Seq,
    },
    /// The frame that the head names is another one.
    #[error("the frame that ends at {} is {found}, but the head names {expected}", seq.0)]
    HeadHash {
        /// The last record in the head.
        seq: Seq,
        /// The hash in the head.
        expected: FrameHash,
        /// The hash of the frame found.
        found: FrameHash,
    },
    /// No frame ends where the head says.
    #[error("the head names {} as the end of a frame, but a frame goes from {} to {}", seq.0, first.0, last.0)]
    HeadInside {
        /// The last record in the head.
        seq: Seq,
        /// First record of the frame found there.
        first: Seq,
        /// Last record of it.
        last: Seq,
    },
    /// The last frame lies in another generation than the head says.
    #[error("the head names generation {expected}, the frame lies in generation {found}")]
    HeadGeneration {
        /// The generation in the head.
        expected: u64,
        /// The generation found.
        found: u64,
    },
    /// More frames after the head than one that was under way: the head is of another time.
    #[error("{found} frames lie after the head, at most {max} can be under way: the head is older than the journal")]
    HeadStale {
        /// Frames found after the head.
        found: u64,
        /// Frames that can be under way.
        max: u64,
    },
    /// A slot of the head is damaged, and the frames do not prove that it named no more than the other slot.
    #[error("a slot of the head is damaged, and no frame after {} proves that nothing is lost", survivor.0)]
    HeadUnproven {
        /// The last record in the slot that is left.
        survivor: Seq,
    },
    /// Both slots of the head are damaged.
    #[error("both slots of the head are damaged")]
    HeadLost,
    /// There is no head beside the generations.
    #[error("the head is missing although there are generations")]
    HeadMissing,
    /// The head has another size than it was made with.
    #[error("the head has {found} bytes, expected {expected}")]
    HeadSize {
        /// Bytes expected.
        expected: u64,
        /// Bytes found.
        found: u64,
    },
    /// The store was made under another installation's key.
    #[error("it belongs to ledger {found}, and the installation's key is that of {expected}")]
    OtherLedger {
        /// The ledger of the installation's key.
        expected: LedgerId,
        /// The ledger that the head names.
        found: LedgerId,
    },
    /// A version of the head that this build does not read.
    #[error("the head has format version {found}, this build reads {expected}")]
    HeadVersion {
        /// The version this build reads.
        expected: u16,
        /// The version found.
        found: u16,
    },
    /// A generation that must be there is not.
    #[error("generation {number} is missing")]
    GenerationMissing {
        /// Its number.
        number: u64,
    },
    /// The original did not read as its copy had.
    #[error("the generation reads otherwise than the copy that was checked")]
    CopyDiffers,
    /// The store was made with another configuration than this build has.
    #[error("the store was made with another configuration: {found:?}")]
    ConfForeign {
        /// The configuration found.
        found: String,
    },
    /// Values went to side files that are never synced.
    #[error("{count} files lie in blobs, expected none")]
    Blobs {
        /// How many.
        count: usize,
    },
    /// The store refused to open.
    #[error("the store does not open: {said}")]
    StoreRefused {
        /// What it said.
        said: String,
    },
    /// The store panicked.
    #[error("the store panicked: {said}")]
    StorePanicked {
        /// What it said.
        said: String,
    },
    /// The profile store holds fewer commits than were acknowledged.
    #[error("the store holds {found} commits, but {expected} were acknowledged")]
    CommitsLost {
        /// Commits in the head.
        expected: u64,
        /// Commits found.
        found: u64,
    },
    /// The log of the profile store is missing.
    #[error("the log of the store is missing")]
    LogMissing,
    /// The log of the profile store has another size than it was made with.
    #[error("the log of the store has {found} bytes, expected {expected}")]
    LogSize {
        /// Bytes expected.
        expected: u64,
        /// Bytes found.
        found: u64,
    },
    /// A version of the log of the profile store that this build does not read.
    #[error("the log of the store has format version {found}, this build reads {expected}")]
    LogVersion {
        /// The version this build reads.
        expected: u16,
        /// The version found.
        found: u16,
    },
    /// Both copies of an entry in the log of the profile store are damaged.
    #[error("entry {place} of the store's log is damaged")]
    LogEntry {
        /// Its place, counted from 0.
        place: u32,
    },
    /// A stored value does not fit its checksum.
    #[error("a value has checksum {found:08x}, expected {expected:08x}")]
    Value {
        /// Computed from the bytes.
        expected: u32,
        /// Stored with them.
        found: u32,
    },
}

/// What an operator can do about damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Remedy {
    /// The generation's bytes cannot be trusted.
    #[error("restore the data directory from a backup, or this generation from the archive; nothing was changed here")]
    RestoreGeneration,
    /// The head cannot be trusted.
    #[error("restore head and generations from one backup; nothing was changed here")]
    RestoreHead,
    /// The profile store cannot be trusted.
    #[error("restore the profile store from a backup; nothing was changed here")]
    RestoreProfiles,
    /// Files of two ledgers lie together.
    #[error("restore the whole data directory from one backup, installation.key included; nothing was changed here")]
    RestoreWhole,
    /// Another build made it.
    #[error("start the version of the program that wrote it")]
    UseOtherVersion,
}

/// Why a store was not opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another process has the directory open.
    #[error("{} is held by another process", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// A file could not be read or written.
    #[error("{doing} {}", path.display())]
    Io {
        /// The step that failed.
        doing: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What is stored is not what was acknowledged. Nothing was changed.
    #[error("{} is damaged{}: {what}; {remedy}", file.display(), at_seq(*seq))]
    Damage {
        /// The generation, where one is meant.
        generation: Option<u64>,
        /// The file or directory.
        file: PathBuf,
        /// The sequence number of the first record that cannot be trusted, where it is known.
        seq: Option<Seq>,
        /// What is wrong. Displayed as part of the error, since start-up prints one line.
        what: Box<Flaw>,
        /// What to do.
        remedy: Remedy,
    },
}

fn at_seq(seq: Option<Seq>) -> String {
    seq.map_or_else(String::new, |seq| format!(" at sequence number {}", seq.0))
}

/// What opening put right; each is worth a line in the log.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Mended {
    /// sled's `conf` was damaged or missing; its bytes are known and were written anew.
    #[error("{} was damaged and has been written anew", path.display())]
    Conf {
        /// The file.
        path: PathBuf,
    },
    /// A snapshot of sled's that a crash had left half-written was removed.
    #[error("{} was left half-written and has been removed", path.display())]
    HalfSnapshot {
        /// The file.
        path: PathBuf,
    },
    /// One of the two copies in a slot of the head was damaged.
    #[error("copy {copy} of slot {slot} of the head was damaged")]
    HeadCopy {
        /// The slot, 0 or 1.
        slot: usize,
        /// The copy, 0 or 1.
        copy: usize,
    },
    /// A slot of the head was damaged; the frames proved that nothing is lost.
    #[error("slot {slot} of the head was damaged, the frames prove that nothing is lost")]
    HeadSlot {
        /// The slot, 0 or 1.
        slot: usize,
    },
    /// One of the two copies of an entry in the log of the profile store was damaged, or never finished.
    #[error("a copy of entry {place} in the log of the profile store was damaged")]
    LogCopy {
        /// The entry's place, counted from 0.
        place: u32,
    },
    /// Whole frames after the head were kept: they were stored and not acknowledged.
    #[error("{frames} whole frames after the head were kept")]
    FramesPastHead {
        /// How many.
        frames: u64,
    },
    /// A torn frame after the head was cut; it was never acknowledged.
    #[error("a torn frame after the head was cut from generation {generation}: {chunks} chunks")]
    TornTail {
        /// The generation.
        generation: u64,
        /// Chunks removed.
        chunks: u64,
    },
    /// A crash had interrupted the drop of a generation; it was finished.
    #[error("the drop of generation {generation} was finished")]
    Trim {
        /// The generation.
        generation: u64,
    },
    /// A directory that a crash had left half-made or half-removed was removed.
    #[error("{} was left by a crash and has been removed", path.display())]
    Leftover {
        /// The directory or file.
        path: PathBuf,
    },
}
