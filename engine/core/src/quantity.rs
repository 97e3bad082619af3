//! The quantities of the ledger. Each has a type, and only its type does arithmetic.
//!
//! Nothing here knows a rule: rounding and limits that belong to a rule live beside that rule.

use serde::{Deserialize, Serialize};

/// The largest amount that a purchase, an entry or a balance may hold, in minor units: JSON numbers end here.
pub const AMOUNT_MAX: i64 = (1 << 53) - 1;

/// Microseconds in one day of 24 hours.
pub const DAY_US: i64 = 86_400 * 1_000_000;

/// A position in the journal: the number of one record, dense, counted from 1. Zero stands before the first record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Seq(pub u64);

impl Seq {
    /// The position before the first record.
    pub const ZERO: Seq = Seq(0);

    /// Returns the position that follows this one.
    #[must_use]
    pub const fn next(self) -> Seq {
        Seq(self.0 + 1)
    }
}

/// The place of one command in the one order of the ledger. Every command has a ticket, a read and a refusal too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// An instant: microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Instant(pub i64);

impl Instant {
    /// Counts the whole days of 24 hours from `earlier` to this instant; negative when this one comes first.
    #[must_use]
    pub const fn whole_days_since(self, earlier: Instant) -> i64 {
        self.0.saturating_sub(earlier.0).div_euclid(DAY_US)
    }
}

/// Money in whole minor units of its wallet's currency, never negative, at most [`AMOUNT_MAX`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i64")]
pub struct Amount(i64);

impl TryFrom<i64> for Amount {
    type Error = &'static str;

    fn try_from(minor_units: i64) -> Result<Amount, &'static str> {
        Amount::new(minor_units).ok_or("an amount lies outside of its range")
    }
}

impl Amount {
    /// No money.
    pub const ZERO: Amount = Amount(0);

    /// Returns the amount of `minor_units`, or `None` when it is negative or above [`AMOUNT_MAX`].
    #[must_use]
    pub const fn new(minor_units: i64) -> Option<Amount> {
        if 0 <= minor_units && minor_units <= AMOUNT_MAX { Some(Amount(minor_units)) } else { None }
    }

    /// Returns the number of minor units.
    #[must_use]
    pub const fn minor_units(self) -> i64 {
        self.0
    }

    /// Returns true when there is no money in it.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Adds, or returns `None` above [`AMOUNT_MAX`].
    #[must_use]
    pub const fn plus(self, more: Amount) -> Option<Amount> {
        // Both are below 2^53, so the sum cannot wrap an i64.
        Amount::new(self.0 + more.0)
    }

    /// Subtracts, or returns `None` below zero.
    #[must_use]
    pub const fn minus(self, less: Amount) -> Option<Amount> {
        Amount::new(self.0 - less.0)
    }
}

/// What is in an account, in minor units: an amount, or less than nothing where more was taken back than was left.
///
/// It lies as far below zero at most as an amount lies above it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i64")]
pub struct Balance(i64);

impl TryFrom<i64> for Balance {
    type Error = &'static str;

    fn try_from(minor_units: i64) -> Result<Balance, &'static str> {
        Balance::new(minor_units).ok_or("a balance lies outside of its range")
    }
}

impl From<Amount> for Balance {
    fn from(amount: Amount) -> Balance {
        Balance(amount.0)
    }
}

impl Balance {
    /// Nothing.
    pub const ZERO: Balance = Balance(0);

    /// Returns the balance of `minor_units`, or `None` when it is further than [`AMOUNT_MAX`] from zero.
    #[must_use]
    pub const fn new(minor_units: i64) -> Option<Balance> {
        if -AMOUNT_MAX <= minor_units && minor_units <= AMOUNT_MAX { Some(Balance(minor_units)) } else { None }
    }

    /// Returns the number of minor units.
    #[must_use]
    pub const fn minor_units(self) -> i64 {
        self.0
    }

    /// Returns true when there is nothing in it and nothing is owed.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Returns what can be taken without going below zero.
    #[must_use]
    pub const fn available(self) -> Amount {
        if 0 < self.0 { Amount(self.0) } else { Amount::ZERO }
    }

    /// Adds, or returns `None` above [`AMOUNT_MAX`].
    #[must_use]
    pub const fn plus(self, more: Amount) -> Option<Balance> {
        // Both lie within 2^53 of zero, so the sum cannot wrap an i64.
        Balance::new(self.0 + more.0)
    }

    /// Subtracts, also below zero; `None` where that is further than [`AMOUNT_MAX`].
    #[must_use]
    pub const fn minus(self, less: Amount) -> Option<Balance> {
        Balance::new(self.0 - less.0)
    }
}
