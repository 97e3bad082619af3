//! The ledger digest: one number that two ledgers share exactly when they hold the same.

use std::fmt;

use kembali_core::ledger::Ledger;
use kembali_snapshots::{FileHash, ledger_digest};

/// The BLAKE3 hash of a ledger's canonical form. Positions, receive stamps and receipts do not count.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LedgerDigest(FileHash);

impl LedgerDigest {
    /// Computes the digest of a ledger.
    #[must_use]
    pub fn of(ledger: &Ledger) -> LedgerDigest {
        LedgerDigest(ledger_digest(ledger))
    }
}

impl fmt::Display for LedgerDigest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl fmt::Debug for LedgerDigest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}
