//! The one map type of the rules: a hash map whose hasher is fixed.
//!
//! Keys are ids that the ledger gave or keyed hashes, never text that a stranger chose, so a fixed hasher is safe; and
//! no rule depends on the order of a map.

use foldhash::fast::FixedState;

/// A map with a fixed hasher.
pub type Map<K, V> = hashbrown::HashMap<K, V, FixedState>;
/// A set with a fixed hasher.
pub type Set<K> = hashbrown::HashSet<K, FixedState>;
