//! Point accounts: what a customer holds of a kind of points, as lots by the rule that granted them and their end of life.
//!
//! Points are no money. They balance against the points that the house has issued, in a unit of their own. A lot expires
//! with the beginning of a day in UTC, so that what one rule grants within a day is one lot. What is spent comes from
//! the lots that expire soonest.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::accounts::{Direction, HouseAccount};
use crate::identity::{RuleId, Unit};
use crate::quantity::{Amount, DAY_US, Instant};

/// The longest life that a rule may give to points, in days: a hundred years.
pub const LIFE_DAYS_MAX: u32 = 36_500;

/// The longest that points may be pending, in days: a year.
pub const PENDING_DAYS_MAX: u32 = 365;

/// The last day that begins at an instant.
const LAST_DAY: u32 = (i64::MAX / DAY_US) as u32;

/// When points expire: the number of a day in UTC, counted from 1970-01-01. They are gone when that day begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Expiry(u32);

/// From when points can be spent: the number of a day in UTC, counted from 1970-01-01. They are pending until it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Maturity(u32);

/// What a customer holds of one kind of points.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PointAccount {
    /// The kind.
    pub kind: RuleId,
    /// The lots, in the order in which they are spent: the soonest expiry first, then by rule and maturity. None is empty.
    pub lots: Vec<Lot>,
}

/// What is left of what one rule granted with one expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lot {
    /// When it expires.
    pub expires: Expiry,
    /// The cashback rule or the reward.
    pub source: RuleId,
    /// From when it can be spent.
    pub matures: Maturity,
    /// How many points.
    pub points: Amount,
}

/// One movement of one lot of a point account.
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
    /// When they expire, or would have.
    pub expires: Expiry,
    /// From when they can be spent, or could have been.
    pub matures: Maturity,
    /// The account of the house on the other side.
    pub against: HouseAccount,
    /// What the customer holds of the kind once this entry is booked.
    pub balance_after: Amount,
}

impl Expiry {
    /// Points that never expire.
    pub const NEVER: Expiry = Expiry(u32::MAX);

    /// Returns when points expire that are granted at `at` for a life of so many days: when the first day begins that is
    /// wholly behind it. So they live that long at least, and less than a day longer.
    #[must_use]
    pub fn of(at: Instant, life_days: Option<u32>) -> Expiry {
        life_days.map_or(Expiry::NEVER, |days| Expiry(whole_days_after(at, days)))
    }

    /// Returns the instant; `None` for never.
    #[must_use]
    pub const fn instant(self) -> Option<Instant> {
        if self.0 == u32::MAX { None } else { Some(Instant((self.0 as i64).saturating_mul(DAY_US))) }
    }

    /// Returns the number of the day; `None` for never.
    #[must_use]
    pub const fn day(self) -> Option<u32> {
        if self.0 == u32::MAX { None } else { Some(self.0) }
    }

    /// Returns true when points are gone at `now`.
    #[must_use]
    pub fn is_due(self, now: Instant) -> bool {
        self.instant().is_some_and(|instant| instant <= now)
    }
}

/// Returns the first day that begins so many whole days after `at`.
fn whole_days_after(at: Instant, days: u32) -> u32 {
    // Rounds up: the day that begins at `at` itself is the first one.
    let first = at.0.div_euclid(DAY_US) + i64::from(at.0.rem_euclid(DAY_US) != 0);
    let day = first.saturating_add(i64::from(days)).clamp(0, i64::from(LAST_DAY));
    u32::try_from(day).unwrap_or(LAST_DAY)
}

impl Maturity {
    /// Points that are never pending.
    pub const AT_ONCE: Maturity = Maturity(0);

    /// Returns from when points can be spent that are granted at `at` and pending for so many days: when the first day
    /// begins that is wholly behind these. So they are pending that long at least, and less than a day longer.
    #[must_use]
    pub fn of(at: Instant, pending_days: Option<u32>) -> Maturity {
        pending_days.map_or(Maturity::AT_ONCE, |days| Maturity(whole_days_after(at, days)))
    }

    /// Returns the instant; `None` for at once.
    #[must_use]
    pub const fn instant(self) -> Option<Instant> {
        if self.0 == 0 { None } else { Some(Instant((self.0 as i64).saturating_mul(DAY_US))) }
    }

    /// Returns the number of the day; 0 for at once.
    #[must_use]
    pub const fn day(self) -> u32 {
        self.0
    }

    /// Returns true when points can be spent at `now`.
    #[must_use]
    pub fn is_reached(self, now: Instant) -> bool {
        self.instant().is_none_or(|instant| instant <= now)
    }
}

impl PointAccount {
    /// Returns how many points there are in all.
    #[must_use]
    pub fn balance(&self) -> Amount {
        // Every entry was refused that would have lifted the sum above the largest amount.
        self.lots.iter().fold(Amount::ZERO, |sum, lot| sum.plus(lot.points).unwrap_or(sum))
    }

    /// Returns how many points can be spent at `now`: all but those that are pending.
    #[must_use]
    pub fn available(&self, now: Instant) -> Amount {
        let ripe = self.lots.iter().filter(|lot| lot.matures.is_reached(now));
        ripe.fold(Amount::ZERO, |sum, lot| sum.plus(lot.points).unwrap_or(sum))
    }

    /// Returns how many points expire by `until`, pending or not, if they are not spent before.
    #[must_use]
    pub fn expiring(&self, until: Instant) -> Amount {
        let due = self.lots.iter().take_while(|lot| lot.expires.is_due(until));
        due.fold(Amount::ZERO, |sum, lot| sum.plus(lot.points).unwrap_or(sum))
    }

    /// Takes every lot away that is due at `now`. Empty when there is none.
    #[must_use]
    pub fn expire(&self, now: Instant) -> Vec<PointEntry> {
        let due = self.lots.iter().take_while(|lot| lot.expires.is_due(now));
        self.take(due.copied(), HouseAccount::PointsExpired)
    }

    /// Spends points against an account of the house, from the lots that expire soonest and are not pending at `now`; those
    /// that are due are the caller's to take away before. Returns `None` when there are too few.
    #[must_use]
    pub fn spend(&self, points: Amount, against: HouseAccount, now: Instant) -> Option<Vec<PointEntry>> {
        let mut left = points;
        let mut parts = Vec::new();
        for lot in self.lots.iter().filter(|lot| lot.matures.is_reached(now)) {
            if left.is_zero() {
                break;
            }
            let part = left.min(lot.points);
            left = left.minus(part)?;
            parts.push(Lot { points: part, ..*lot });
        }
        left.is_zero().then(|| self.take(parts.into_iter(), against))
    }

    /// Takes points of a grant back, and says of how many there are too few: from what is left of its lot, pending or not,
    /// then from the other lots of its source, then from all others, the soonest expiry first. What has expired by `now` is
    /// gone already, and is not taken a second time.
    #[must_use]
    pub fn claw_back(&self, granted: Lot, now: Instant) -> (Vec<PointEntry>, Amount) {
        if granted.expires.is_due(now) {
            return (Vec::new(), Amount::ZERO);
        }
        let mut lots = self.lots.clone();
        lots.sort_by_key(|lot| (lot.source != granted.source, lot.key() != granted.key()));
        let mut left = granted.points;
        for lot in &mut lots {
            lot.points = lot.points.min(left);
            left = left.minus(lot.points).unwrap_or(Amount::ZERO);
        }
        let parts = lots.into_iter().filter(|lot| !lot.points.is_zero());
        (self.take(parts, HouseAccount::PointsIssued), left)
    }

    /// Gives points back that were spent, into the lots that they came from. Returns `None` when the sum would pass the
    /// largest amount.
    #[must_use]
    pub fn restore(&self, spent: &[PointEntry]) -> Option<Vec<PointEntry>> {
        let mut balance = self.balance();
        let restored = spent.iter().map(|entry| {
            balance = balance.plus(entry.points)?;
            Some(PointEntry { direction: Direction::In, balance_after: balance, ..*entry })
        });
        restored.collect()
    }

    fn take(&self, parts: impl Iterator<Item = Lot>, against: HouseAccount) -> Vec<PointEntry> {
        let mut balance = self.balance();
        let entry = |Lot { expires, source, matures, points }: Lot| {
            // A part of a lot is a part of the sum.
            balance = balance.minus(points).unwrap_or(Amount::ZERO);
            let (kind, direction) = (self.kind, Direction::Out);
            PointEntry { kind, direction, points, source, expires, matures, against, balance_after: balance }
        };
        parts.map(entry).collect()
    }

    /// Returns how many points the lot of an entry holds.
    #[must_use]
    pub fn held(&self, entry: &PointEntry) -> Amount {
        self.place(entry.lot()).map_or(Amount::ZERO, |at| self.lots[at].points)
    }

    fn place(&self, lot: Lot) -> Result<usize, usize> {
        self.lots.binary_search_by_key(&lot.key(), Lot::key)
    }

    /// Folds an entry of this kind in.
    pub fn evolve(&mut self, entry: &PointEntry) {
        let at = self.place(entry.lot());
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
                self.lots.insert(at, Lot { points, ..entry.lot() });
            }
        }
        if entry.direction == Direction::In && entry.matures != Maturity::AT_ONCE {
            self.merge_ripe(entry);
        }
    }

    /// Makes one lot of those of a grant's rule and expiry that can be spent for sure, so that lots do not gather by the day
    /// of their maturity. Nothing is granted that is pending for longer than [`PENDING_DAYS_MAX`] and the rest of a day.
    fn merge_ripe(&mut self, granted: &PointEntry) {
        let ripe = granted.matures.0.saturating_sub(PENDING_DAYS_MAX + 1);
        let is_ripe = |lot: &Lot| {
            (lot.expires, lot.source) == (granted.expires, granted.source) && (1..=ripe).contains(&lot.matures.0)
        };
        let points = self.lots.iter().filter(|lot| is_ripe(lot)).map(|lot| lot.points);
        let points = points.reduce(|sum, points| sum.plus(points).unwrap_or(sum));
        let Some(points) = points else { return };
        self.lots.retain(|lot| !is_ripe(lot));
        let merged = Lot { matures: Maturity::AT_ONCE, points, ..granted.lot() };
        match self.place(merged) {
            Ok(at) => self.lots[at].points = self.lots[at].points.plus(points).unwrap_or(points),
            Err(at) => self.lots.insert(at, merged),
        }
    }
}

impl Lot {
    /// Returns what tells it from the other lots of its account, in their order.
    #[must_use]
    pub const fn key(&self) -> (Expiry, RuleId, Maturity) {
        (self.expires, self.source, self.matures)
    }
}

impl PointEntry {
    /// Returns the lot that it moves, with as many points as it moves.
    #[must_use]
    pub const fn lot(&self) -> Lot {
        Lot { expires: self.expires, source: self.source, matures: self.matures, points: self.points }
    }

    /// Grants a lot to an account that held `balance`. `None` when the sum would pass the largest amount.
    #[must_use]
    pub fn grant(kind: RuleId, lot: Lot, balance: Amount) -> Option<PointEntry> {
        let Lot { expires, source, matures, points } = lot;
        let balance_after = balance.plus(points)?;
        let (direction, against) = (Direction::In, HouseAccount::PointsIssued);
        Some(PointEntry { kind, direction, points, source, expires, matures, against, balance_after })
    }

    /// Returns the unit that it counts.
    #[must_use]
    pub const fn unit(&self) -> Unit {
        Unit::Points(self.kind)
    }

    /// Returns true when its points expired.
    #[must_use]
    pub fn is_expiry(&self) -> bool {
        self.against == HouseAccount::PointsExpired
    }
}
