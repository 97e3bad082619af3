//! The pipeline around the rules, without any I/O: tickets, order, batches, and who waits for what.
//!
//! [`Router`] gives every command its place and holds every outcome until the disk has what it rests on. [`Shard`]
//! holds rows. Both are plain values that a test can drive step by step; actors and threads are the engine's business.

mod chunks;
mod outcome;
mod restore;
mod router;
mod rows;
mod shard;
mod shelf;
mod sweep;

pub use outcome::{CustomerView, InvoiceView, Outcome, PreviewView, PromoUse, TotalsView};
pub use restore::{Restore, RestoreError};
pub use router::{GROUP_RECORDS_MAX, Group, NewProfile, OPEN_TICKETS_MAX, ProfileText, Reply, Router, ShardOf};
pub use rows::Limit;
pub use shard::{
    Answer, Answered, Assigned, ListPiece, ListTerms, PREVIEW_ROWS_MAX, PreviewPiece, PreviewTerms, Shard, Work,
};
pub use shelf::{AwayError, MemoryStore, Store};
pub use sweep::{SWEEP_CHANGED_MAX, SWEEP_ROWS_MAX, SweepTerms, Swept};

/// Commands for which memory is looked at before the first of them is decided: what lies far away is waited for together, and is still
/// near when it is needed.
const LOOK_AHEAD_MAX: usize = 64;
