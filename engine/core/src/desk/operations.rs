//! The keys of operations, with where it is written what became of each.
//!
//! Keys are forgotten [`KEY_LIFE_US`] after their record, by the stamps of the records that follow: what is remembered
//! hangs on the records alone. The key of what is set aside is kept as long as it waits.

use alloc::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::identity::Fingerprint;
use crate::maps::Map;
use crate::operation::{KEY_LIFE_US, OperationKey};
use crate::quantity::{Instant, Seq};

/// What is known of the key of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownOperation {
    /// What was asked under it.
    pub fingerprint: Fingerprint,
    /// The record that says what became of it.
    pub seq: Seq,
    /// The stamp of that record.
    pub received_at: Instant,
}

/// The keys that are remembered.
#[derive(Clone, Debug, Default)]
pub(super) struct Operations {
    known: Map<OperationKey, KnownOperation>,
    /// The keys by age, the oldest first, each with the record that it led to then. Where a key was used again since it was
    /// over, the earlier place says nothing.
    ages: VecDeque<(OperationKey, Seq)>,
    /// The keys of operations that are set aside: not forgotten as long as they wait.
    waiting: Map<OperationKey, KnownOperation>,
}

impl KnownOperation {
    fn is_over(&self, now: Instant) -> bool {
        self.received_at.0.saturating_add(KEY_LIFE_US) <= now.0
    }
}

impl Operations {
    /// Remembers what became of a key. Records come in the order of their stamps.
    pub(super) fn insert(&mut self, key: OperationKey, known: KnownOperation) {
        self.known.insert(key, known);
        self.ages.push_back((key, known.seq));
    }

    /// Keeps the key of an operation that is set aside.
    pub(super) fn begin_waiting(&mut self, key: OperationKey, fingerprint: Fingerprint, seq: Seq) {
        self.waiting.insert(key, KnownOperation { fingerprint, seq, received_at: Instant(i64::MAX) });
    }

    /// Gives the key of an operation free that waits no longer.
    pub(super) fn end_waiting(&mut self, key: OperationKey) {
        self.waiting.remove(&key);
    }

    /// Finds what is known of a key at `now`.
    pub(super) fn find(&self, key: OperationKey, now: Instant) -> Option<KnownOperation> {
        if let Some(waiting) = self.waiting.get(&key) {
            return Some(*waiting);
        }
        self.known.get(&key).copied().filter(|known| !known.is_over(now))
    }

    /// Forgets what is over at `now`.
    pub(super) fn forget(&mut self, now: Instant) {
        while let Some((oldest, seq)) = self.ages.front() {
            if let Some(known) = self.known.get(oldest).filter(|known| known.seq == *seq) {
                if !known.is_over(now) {
                    return;
                }
                self.known.remove(oldest);
            }
            self.ages.pop_front();
        }
    }

    /// Lists the keys by age, the oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (OperationKey, KnownOperation)> {
        let present = |(key, seq): &(OperationKey, Seq)| {
            let known = self.known.get(key).filter(|known| known.seq == *seq)?;
            Some((*key, *known))
        };
        self.ages.iter().filter_map(present)
    }
}
