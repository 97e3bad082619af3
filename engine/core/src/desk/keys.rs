//! The index of booked purchases, and the receipt of a refused one.
//!
//! A key is remembered for the life of the ledger, so an entry must be small: 64 bits of the keyed hash and the
//! position, 17 bytes in a table that is 44 to 88 % full. Two keys may share the 64 bits; the record tells them apart,
//! so a hit is a candidate and never yet an answer.

use core::fmt;

use hashbrown::HashTable;
use serde::{Deserialize, Serialize};

use crate::identity::{Fingerprint, PurchaseKey};
use crate::quantity::Seq;
use crate::rejection::RejectionCode;

/// Finds the record of a booked purchase by the prefix of its key.
#[derive(Clone, Default)]
pub struct KeyIndex {
    table: HashTable<(u64, Seq)>,
}

impl KeyIndex {
    /// Remembers that the purchase of `key` is booked by the record at `seq`.
    pub fn insert(&mut self, key: PurchaseKey, seq: Seq) {
        self.table.insert_unique(spread(key.prefix()), (key.prefix(), seq), |entry| spread(entry.0));
    }

    /// Lists the records that may be of `key`: nearly always none or one.
    pub fn candidates(&self, key: PurchaseKey) -> impl Iterator<Item = Seq> {
        let prefix = key.prefix();
        self.table.iter_hash(spread(prefix)).filter(move |entry| entry.0 == prefix).map(|entry| entry.1)
    }

    /// Forgets everything, and keeps its room.
    pub(crate) fn clear(&mut self) {
        self.table.clear();
    }

    /// Returns how many purchases are booked.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Returns true when no purchase is booked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }
}

/// Returns the hash of a prefix, which is a keyed hash already but for the four bits that mark a UUID: these are turned
/// to where the table looks at neither its bucket nor its tag.
const fn spread(prefix: u64) -> u64 {
    prefix.rotate_right(24)
}

impl fmt::Debug for KeyIndex {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "KeyIndex({} keys)", self.len())
    }
}

/// The present refusal of a purchase key. It does not occupy the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Why it was refused.
    pub code: RejectionCode,
    /// Of which content.
    pub fingerprint: Fingerprint,
}
