//! The ledger digest of a state that is never in memory as a whole: fed with one row at a time.

use kembali_core::customer::Row;
use kembali_core::ledger::Ledger;

use crate::damage::FileHash;

/// What the engine's ledger digest hashes before the canonical form.
const DOMAIN: &[u8] = b"kembali ledger digest v1";

/// Computes the ledger digest: the BLAKE3 hash of the canonical form of `ledger`.
#[must_use]
pub fn ledger_digest(ledger: &Ledger) -> FileHash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(DOMAIN);
    ledger.canonical(|piece| {
        hasher.update(piece);
    });
    FileHash(*hasher.finalize().as_bytes())
}

/// Computes the ledger digest of rows that come in order of their ids.
///
/// The canonical form is the count of the rows, the rows, and the rest, each independent of the others; so the form of
/// a ledger with one row and nothing else is the count 1 and the form of that row.
pub(crate) struct RowsDigest {
    hasher: blake3::Hasher,
    one: Ledger,
}

impl RowsDigest {
    /// Starts with the count of the rows.
    pub(crate) fn new(rows: u64) -> RowsDigest {
        let mut hasher = blake3::Hasher::new();
        hasher.update(DOMAIN);
        hasher.update(&rows.to_be_bytes());
        RowsDigest { hasher, one: Ledger::default() }
    }

    pub(crate) fn row(&mut self, row: Row) {
        self.one.rows.insert(row.id, row);
        without_count(&mut self.hasher, &self.one);
        self.one.rows.clear();
    }

    /// Ends with `rest`, the ledger without its rows.
    pub(crate) fn finish(mut self, rest: &Ledger) -> FileHash {
        without_count(&mut self.hasher, rest);
        FileHash(*self.hasher.finalize().as_bytes())
    }
}

fn without_count(hasher: &mut blake3::Hasher, ledger: &Ledger) {
    let mut is_count = true;
    ledger.canonical(|piece| {
        if !std::mem::replace(&mut is_count, false) {
            hasher.update(piece);
        }
    });
}
