//! The ledger digest of a state that is never in memory as a whole: fed with one row at a time.
//!
//! The hash of the canonical form and, where there is any, of the hash of what later rules have added to it.

use kembali_core::customer::Row;
use kembali_core::ledger::{Ledger, canonical_rest, canonical_rest_more, canonical_row, canonical_row_more};

use crate::damage::FileHash;

/// What the engine's ledger digest hashes before the canonical form.
const DOMAIN: &[u8] = b"kembali ledger digest v1";
/// What the hash of what later rules have added starts with.
const DOMAIN_MORE: &[u8] = b"kembali ledger digest v1, more";

/// Computes the ledger digest of `ledger`.
#[must_use]
pub fn ledger_digest(ledger: &Ledger) -> FileHash {
    let mut hashers = Hashers::new();
    ledger.canonical(|piece| hashers.main(piece));
    ledger.canonical_more(|piece| hashers.more(piece));
    hashers.finish()
}

/// The two hashes that one digest is made of.
struct Hashers {
    main: blake3::Hasher,
    more: blake3::Hasher,
    has_more: bool,
}

impl Hashers {
    fn new() -> Hashers {
        let (mut main, mut more) = (blake3::Hasher::new(), blake3::Hasher::new());
        main.update(DOMAIN);
        more.update(DOMAIN_MORE);
        Hashers { main, more, has_more: false }
    }

    fn main(&mut self, piece: &[u8]) {
        self.main.update(piece);
    }

    fn more(&mut self, piece: &[u8]) {
        self.has_more = true;
        self.more.update(piece);
    }

    fn finish(mut self) -> FileHash {
        if self.has_more {
            self.main.update(self.more.finalize().as_bytes());
        }
        FileHash(*self.main.finalize().as_bytes())
    }
}

/// Computes the ledger digest of rows that come in order of their ids.
pub(crate) struct RowsDigest(Hashers);

impl RowsDigest {
    /// Starts with the count of the rows.
    pub(crate) fn new(rows: u64) -> RowsDigest {
        let mut hashers = Hashers::new();
        hashers.main(&rows.to_be_bytes());
        RowsDigest(hashers)
    }

    pub(crate) fn row(&mut self, row: &Row) {
        canonical_row(row, &mut |piece: &[u8]| self.0.main(piece));
        canonical_row_more(row, &mut |piece: &[u8]| self.0.more(piece));
    }

    /// Ends with the rest of a ledger, whose own rows are not looked at.
    pub(crate) fn finish(mut self, rest: &Ledger) -> FileHash {
        canonical_rest(&rest.desk, &rest.totals, &mut |piece: &[u8]| self.0.main(piece));
        canonical_rest_more(&rest.desk, &rest.totals, &mut |piece: &[u8]| self.0.more(piece));
        self.0.finish()
    }
}
