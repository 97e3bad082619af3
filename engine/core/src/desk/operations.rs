//! The keys of operations, with where it is written what became of each.
//!
//! Keys are forgotten [`KEY_LIFE_US`] after their record, by the stamps of the records that follow: what is remembered
//! hangs on the records alone.

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
    /// The keys by age, the oldest first, each with the record that it led to then. Where a key leads to a later one since,
    /// the earlier place says nothing.
    ages: VecDeque<(OperationKey, Seq)>,
}

impl KnownOperation {
    fn is_over(&self, now: Instant) -> bool {
        self.received_at.0.saturating_add(KEY_LIFE_US) <= now.0
    }
}

impl Operations {
    /// Remembers what became of a key, be it for the first time or since it was set aside. Records come in the order of their
    /// stamps.
    pub(super) fn insert(&mut self, key: OperationKey, known: KnownOperation) {
        self.known.insert(key, known);
        self.ages.push_back((key, known.seq));
    }

    /// Finds what is known of a key at `now`.
    pub(super) fn find(&self, key: OperationKey, now: Instant) -> Option<KnownOperation> {
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
