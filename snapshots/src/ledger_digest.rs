//! The ledger digest of a state that is never in memory as a whole: fed with one row at a time.

use kembali_core::customer::Row;
use kembali_core::ledger::{Ledger, canonical_rest, canonical_row};

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
pub(crate) struct RowsDigest(blake3::Hasher);

impl RowsDigest {
    /// Starts with the count of the rows.
    pub(crate) fn new(rows: u64) -> RowsDigest {
        let mut hasher = blake3::Hasher::new();
        hasher.update(DOMAIN);
        hasher.update(&rows.to_be_bytes());
        RowsDigest(hasher)
    }

    pub(crate) fn row(&mut self, row: &Row) {
        canonical_row(row, &mut |piece: &[u8]| {
            self.0.update(piece);
        });
    }

    /// Ends with the rest of a ledger, whose own rows are not looked at.
    pub(crate) fn finish(mut self, rest: &Ledger) -> FileHash {
        canonical_rest(&rest.desk, &rest.totals, &mut |piece: &[u8]| {
            self.0.update(piece);
        });
        FileHash(*self.0.finalize().as_bytes())
    }
}
