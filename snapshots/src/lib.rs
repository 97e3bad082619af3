//! Snapshots and the archive, each a function of a journal prefix.
//!
//! The journal holds the last minutes; [`Archive`] holds history: each sealed generation becomes one immutable
//! [`Segment`]. A [`Snapshot`] is the ledger at one position, made of the snapshot before it and the records since, so
//! that a start need not fold all of history. Nothing here decides, answers or reads a clock, and no file is ever changed
//! once it has its name.
//!
//! In reading order: [`damage`] (what can be wrong), the segment, the archive, the snapshot, the snapshots.

mod archive;
pub mod damage;
mod disk;
mod layout;
mod ledger_digest;
mod pause;
mod segment;
mod snapshot;
mod snapshots;
#[cfg(test)]
mod tests;

pub use archive::{Archive, segment_name};
pub use damage::{Damage, FileHash, Flaw, IoFault, ReadError, Remedy};
pub use ledger_digest::ledger_digest;
pub use pause::between_pieces;
pub use segment::{AddError, BookedKey, Segment, SegmentReport};
pub use snapshot::{Cut, Fold, Snapshot, TakeError};
pub use snapshots::{Newest, SNAPSHOTS_KEPT, Snapshots, snapshot_name};
