//! Version 1 of a stored movement of points, as journals of before points could expire hold it: read, never written.

use kembali_core::accounts::{Direction, HouseAccount};
use kembali_core::points::{Expiry, Maturity, PointEntry};
use kembali_core::{Amount, RuleId};
use serde::Deserialize;

#[derive(Deserialize)]
pub(super) struct PointEntryV1 {
    kind: RuleId,
    direction: Direction,
    points: Amount,
    source: RuleId,
    balance_after: Amount,
}

impl From<PointEntryV1> for PointEntry {
    fn from(old: PointEntryV1) -> PointEntry {
        let PointEntryV1 { kind, direction, points, source, balance_after } = old;
        let (expires, against) = (Expiry::NEVER, HouseAccount::PointsIssued);
        PointEntry { kind, direction, points, source, expires, matures: Maturity::AT_ONCE, against, balance_after }
    }
}
