//! Point accounts: what a customer holds of a kind of points, as lots by the rule that granted them.
//!
//! Points are no money. They balance against the points that the house has issued, in a unit of their own.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::accounts::Direction;
use crate::identity::{RuleId, Unit};
use crate::quantity::Amount;

/// What a customer holds of one kind of points.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PointAccount {
    /// The kind.
    pub kind: RuleId,
    /// What is left of what each rule granted, in order of the rules; none is empty.
    pub lots: Vec<Lot>,
}

/// What is left of what one rule granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lot {
    /// The cashback rule or the reward.
    pub source: RuleId,
    /// How many points.
    pub points: Amount,
}

/// One movement of a point account, against the points that the house has issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PointEntry {
    /// The kind of points.
    pub kind: RuleId,
    /// Which way.
    pub direction: Direction,
    /// How many, greater than zero.
    pub points: Amount,
    /// The cashback rule or the reward that granted them.
    pub source: RuleId,
    /// What the customer holds of the kind once this entry is booked.
    pub balance_after: Amount,
}

impl PointAccount {
    /// Returns how many points there are in all.
    #[must_use]
    pub fn balance(&self) -> Amount {
        // Every entry was refused that would have lifted the sum above the largest amount.
        self.lots.iter().fold(Amount::ZERO, |sum, lot| sum.plus(lot.points).unwrap_or(sum))
    }

    /// Folds an entry of this kind in.
    pub fn evolve(&mut self, entry: &PointEntry) {
        let at = self.lots.binary_search_by_key(&entry.source, |lot| lot.source);
        let held = at.map_or(Amount::ZERO, |at| self.lots[at].points);
        let left = match entry.direction {
            Direction::In => held.plus(entry.points),
            Direction::Out => held.minus(entry.points),
        };
        // The ledger has checked the entry before it is folded in.
        let points = left.unwrap_or(held);
        match at {
            Ok(at) if points.is_zero() => drop(self.lots.remove(at)),
            Ok(at) => self.lots[at].points = points,
            Err(_) if points.is_zero() => (),
            Err(at) => {
                self.lots.reserve_exact(1);
                self.lots.insert(at, Lot { source: entry.source, points });
            }
        }
    }
}

impl PointEntry {
    /// Grants `points` to an account that held `balance`. `None` when the sum would pass the largest amount.
    #[must_use]
    pub fn grant(kind: RuleId, source: RuleId, points: Amount, balance: Amount) -> Option<PointEntry> {
        let balance_after = balance.plus(points)?;
        Some(PointEntry { kind, direction: Direction::In, points, source, balance_after })
    }

    /// Takes `points` of what `source` had granted from an account that holds `balance`. `None` when it holds less, or when
    /// there is nothing to take.
    #[must_use]
    pub fn take(kind: RuleId, source: RuleId, points: Amount, balance: Amount) -> Option<PointEntry> {
        if points.is_zero() {
            return None;
        }
        let balance_after = balance.minus(points)?;
        Some(PointEntry { kind, direction: Direction::Out, points, source, balance_after })
    }

    /// Returns the unit that it counts.
    #[must_use]
    pub const fn unit(&self) -> Unit {
        Unit::Points(self.kind)
    }
}
