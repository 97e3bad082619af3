//! Version 2 of a stored movement of points, as journals of before points could be pending hold it: read, never written.

use kembali_core::accounts::{Direction, HouseAccount};
use kembali_core::points::{Expiry, Maturity, PointEntry};
use kembali_core::{Amount, RuleId};
use serde::Deserialize;

#[derive(Deserialize)]
pub(super) struct PointEntryV2 {
    kind: RuleId,
    direction: Direction,
    points: Amount,
    source: RuleId,
    expires: Expiry,
    against: HouseAccount,
    balance_after: Amount,
}

impl From<PointEntryV2> for PointEntry {
    fn from(old: PointEntryV2) -> PointEntry {
        let PointEntryV2 { kind, direction, points, source, expires, against, balance_after } = old;
        PointEntry { kind, direction, points, source, expires, matures: Maturity::AT_ONCE, against, balance_after }
    }
}
