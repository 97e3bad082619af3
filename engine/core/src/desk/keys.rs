//! The index of booked purchases, and the receipt of a refused one.
//!
//! A key is remembered for the life of the ledger, so an entry must be small: 64 bits of the keyed hash and the
//! position, 17 bytes in a table that is 44 to 88 % full. Two keys may share the 64 bits; the record tells them apart,
//! so a hit is a candidate and never yet an answer. The table has parts, so that it grows a little at a time.

use alloc::vec::Vec;
use core::fmt;

use hashbrown::HashTable;
use serde::{Deserialize, Serialize};

use crate::identity::{Fingerprint, PurchaseKey};
use crate::maps::PARTS;
use crate::quantity::Seq;
use crate::rejection::RejectionCode;

/// Finds the record of a booked purchase by the prefix of its key.
#[derive(Clone)]
pub struct KeyIndex {
    parts: Vec<HashTable<(u64, Seq)>>,
    len: usize,
    /// The part of the key that came last.
    last_part: usize,
}

impl Default for KeyIndex {
    fn default() -> KeyIndex {
        KeyIndex { parts: (0..PARTS).map(|_| HashTable::new()).collect(), len: 0, last_part: 0 }
    }
}

impl KeyIndex {
    /// Remembers that the purchase of `key` is booked by the record at `seq`.
    pub fn insert(&mut self, key: PurchaseKey, seq: Seq) {
        let hash = spread(key.prefix());
        self.last_part = part(hash);
        self.len += 1;
        self.parts[self.last_part].insert_unique(hash, (key.prefix(), seq), |entry| spread(entry.0));
    }

    /// Lists the records that may be of `key`: nearly always none or one.
    pub fn candidates(&self, key: PurchaseKey) -> impl Iterator<Item = Seq> {
        let prefix = key.prefix();
        let hash = spread(prefix);
        self.parts[part(hash)].iter_hash(hash).filter(move |entry| entry.0 == prefix).map(|entry| entry.1)
    }

    /// Forgets everything, and keeps its room.
    pub(crate) fn clear(&mut self) {
        match self.len {
            0 => (),
            // Whoever forgets after each record does not look at all parts.
            1 => self.parts[self.last_part].clear(),
            _ => self.parts.iter_mut().for_each(HashTable::clear),
        }
        self.len = 0;
    }

    /// Returns how many purchases are booked.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Returns true when no purchase is booked.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// Returns the hash of a prefix, which is a keyed hash already but for the four bits that mark a UUID: these are turned
/// to where the table looks at neither its bucket nor its tag.
const fn spread(prefix: u64) -> u64 {
    prefix.rotate_right(24)
}

/// Returns the part of a hash, by bits of it that no table looks at and that are not the marks of a UUID.
const fn part(hash: u64) -> usize {
    (hash >> 44) as usize % PARTS
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys as they are made of hashes: with the marks of a UUID.
    fn key(number: u64) -> PurchaseKey {
        let half = |seed: u64| {
            let mixed = (number ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            u128::from(mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) as u64
        };
        PurchaseKey::from_hash(u128::from(half(1)) << 64 | u128::from(half(2)))
    }

    #[test]
    fn every_key_is_found_and_the_parts_are_alike() {
        let mut index = KeyIndex::default();
        for number in 0..100_000 {
            index.insert(key(number), Seq(number));
        }
        assert_eq!(index.len(), 100_000);
        for number in 0..100_000 {
            assert!(index.candidates(key(number)).any(|seq| seq == Seq(number)), "{number}");
        }
        assert_eq!((100_000..200_000).flat_map(|number| index.candidates(key(number))).count(), 0);
        let (share, parts) = (100_000 / PARTS, index.parts.iter().map(HashTable::len));
        assert!(parts.clone().all(|part| share / 2 < part && part < 2 * share), "{:?}", parts.collect::<Vec<_>>());
        index.clear();
        for number in 0..2 {
            assert!((0..100_000).all(|number| index.candidates(key(number)).next().is_none()));
            assert!(index.is_empty());
            index.insert(key(number), Seq(number));
            assert_eq!(index.len(), 1);
            index.clear();
        }
    }
}
