//! The map types of the rules: hash maps whose hasher is fixed.
//!
//! Keys are ids that the ledger gave or keyed hashes, never text that a stranger chose, so a fixed hasher is safe; and
//! no rule depends on the order of a map.

use alloc::vec::Vec;
use core::hash::{BuildHasher as _, Hash};

use foldhash::fast::FixedState;

/// A map of the rules.
pub type Map<K, V> = hashbrown::HashMap<K, V, FixedState>;
/// A set of the rules.
pub type Set<K> = hashbrown::HashSet<K, FixedState>;

/// Parts of what grows with the ledger. A table that is full moves everything into one of twice the size while whoever asks waits: with
/// as many parts, a part of ten million entries is moved in a millisecond or two.
pub(crate) const PARTS: usize = 256;

/// A map of as many entries as a ledger has customers: it grows part by part.
#[derive(Clone, Debug)]
pub struct BigMap<K, V> {
    parts: Vec<Map<K, V>>,
}

impl<K, V> Default for BigMap<K, V> {
    fn default() -> BigMap<K, V> {
        BigMap { parts: (0..PARTS).map(|_| Map::default()).collect() }
    }
}

impl<K: Eq + Hash, V> BigMap<K, V> {
    fn part(key: &K) -> usize {
        // The part's own hasher must not see the same bits, or every key of a part would share them.
        (FixedState::with_seed(1).hash_one(key) >> 32) as usize % PARTS
    }

    /// Finds the value of a key.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&V> {
        self.parts[Self::part(key)].get(key)
    }

    /// Sets the value of a key, and returns the one before.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.parts[Self::part(&key)].insert(key, value)
    }

    /// Returns the value of a key, which is `value` where there was none.
    pub fn get_or_insert(&mut self, key: K, value: V) -> &mut V {
        self.parts[Self::part(&key)].entry(key).or_insert(value)
    }

    /// Makes room for so many entries more.
    pub fn reserve(&mut self, count: usize) {
        // They are spread unevenly: a part has a few in a hundred more than its share.
        let share = count.div_ceil(PARTS);
        self.parts.iter_mut().for_each(|part| part.reserve(share + share / 16));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_big_map_is_a_map_whose_parts_are_alike() {
        let mut map = BigMap::default();
        map.reserve(10);
        for key in 0..100_000_u64 {
            assert_eq!(map.get(&key), None);
            assert_eq!(map.insert(key, key), None);
        }
        for key in 0..100_000 {
            assert_eq!(map.insert(key, key + 1), Some(key));
            *map.get_or_insert(key, 0) += 1;
            assert_eq!(map.get(&key), Some(&(key + 2)));
        }
        assert_eq!(*map.get_or_insert(100_000, 7), 7);
        let (share, parts) = (100_000 / PARTS, map.parts.iter().map(Map::len));
        assert!(parts.clone().all(|part| share / 2 < part && part < 2 * share), "{:?}", parts.collect::<Vec<_>>());
    }
}
