//! Why a command was refused. A refusal is a value, never a fault: the ledger is whole and the caller can act on it.
//!
//! Codes are stable: the text is what callers see, the number is what the journal keeps.

use alloc::string::String;

use serde::{Deserialize, Serialize};

use crate::quantity::{Amount, Balance, Instant};
use crate::risk::PurchaseBlocked;

/// Why a purchase was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// The tenant books purchases of known customers only, and this one is not known.
    CustomerUnknown,
    /// The amount is zero or negative.
    AmountNotPositive {
        /// What was sent.
        amount: i64,
    },
    /// The amount is above the largest.
    AmountTooLarge {
        /// What was sent.
        amount: i64,
        /// The largest.
        amount_max: i64,
    },
    /// The quantity is zero or negative.
    QuantityNotPositive {
        /// What was sent.
        quantity: i64,
    },
    /// The quantity is above the largest.
    QuantityTooLarge {
        /// What was sent.
        quantity: i64,
        /// The largest.
        quantity_max: i64,
    },
    /// There are more lines than allowed.
    LinesTooMany {
        /// How many were sent.
        lines: u64,
        /// How many are allowed.
        lines_max: u64,
    },
    /// A line's quantity or amount is negative or too large.
    LineOutOfRange {
        /// Which line, from 0.
        line: u64,
    },
    /// The lines do not sum to the amount.
    LinesSumMismatch {
        /// Their sum.
        lines_sum: i64,
        /// The amount of the purchase.
        amount: i64,
    },
    /// The purchase says that it occurred more than a day ahead of the ledger's clock.
    OccurredInFuture {
        /// What was sent.
        occurred_at: Instant,
        /// The latest instant that is believed.
        occurred_at_max: Instant,
    },
    /// No promo of the tenant has this code.
    PromoUnknown,
    /// The cashback would lift the wallet above the largest amount.
    BalanceTooLarge {
        /// The wallet's balance.
        balance: Balance,
    },
    /// What is earned or spent would lift a sum of points above the largest amount.
    PointsTooLarge {
        /// The sum so far.
        points: Amount,
    },
    /// It earns money, and the wallet that cashback goes to is frozen.
    WalletFrozen,
    /// A risk rule blocks it.
    RiskBlocked(PurchaseBlocked),
}

/// The kind of a [`Rejection`], as the journal keeps it. Numbers are never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RejectionCode {
    /// See [`Rejection::CustomerUnknown`].
    CustomerUnknown,
    /// See [`Rejection::AmountNotPositive`].
    AmountNotPositive,
    /// See [`Rejection::AmountTooLarge`].
    AmountTooLarge,
    /// See [`Rejection::QuantityNotPositive`].
    QuantityNotPositive,
    /// See [`Rejection::QuantityTooLarge`].
    QuantityTooLarge,
    /// See [`Rejection::LinesTooMany`].
    LinesTooMany,
    /// See [`Rejection::LineOutOfRange`].
    LineOutOfRange,
    /// See [`Rejection::LinesSumMismatch`].
    LinesSumMismatch,
    /// See [`Rejection::OccurredInFuture`].
    OccurredInFuture,
    /// See [`Rejection::PromoUnknown`].
    PromoUnknown,
    /// See [`Rejection::BalanceTooLarge`].
    BalanceTooLarge,
    /// See [`Rejection::PointsTooLarge`].
    PointsTooLarge,
    /// See [`Rejection::WalletFrozen`].
    WalletFrozen,
    /// See [`Rejection::RiskBlocked`].
    RiskBlocked,
}

impl Rejection {
    /// Returns the kind.
    #[must_use]
    pub const fn code(&self) -> RejectionCode {
        match self {
            Rejection::CustomerUnknown => RejectionCode::CustomerUnknown,
            Rejection::AmountNotPositive { .. } => RejectionCode::AmountNotPositive,
            Rejection::AmountTooLarge { .. } => RejectionCode::AmountTooLarge,
            Rejection::QuantityNotPositive { .. } => RejectionCode::QuantityNotPositive,
            Rejection::QuantityTooLarge { .. } => RejectionCode::QuantityTooLarge,
            Rejection::LinesTooMany { .. } => RejectionCode::LinesTooMany,
            Rejection::LineOutOfRange { .. } => RejectionCode::LineOutOfRange,
            Rejection::LinesSumMismatch { .. } => RejectionCode::LinesSumMismatch,
            Rejection::OccurredInFuture { .. } => RejectionCode::OccurredInFuture,
            Rejection::PromoUnknown => RejectionCode::PromoUnknown,
            Rejection::BalanceTooLarge { .. } => RejectionCode::BalanceTooLarge,
            Rejection::PointsTooLarge { .. } => RejectionCode::PointsTooLarge,
            Rejection::WalletFrozen => RejectionCode::WalletFrozen,
            Rejection::RiskBlocked(_) => RejectionCode::RiskBlocked,
        }
    }
}

impl RejectionCode {
    /// Every code, in order of the numbers.
    pub const ALL: [RejectionCode; 14] = [
        RejectionCode::CustomerUnknown,
        RejectionCode::AmountNotPositive,
        RejectionCode::AmountTooLarge,
        RejectionCode::QuantityNotPositive,
        RejectionCode::QuantityTooLarge,
        RejectionCode::LinesTooMany,
        RejectionCode::LineOutOfRange,
        RejectionCode::LinesSumMismatch,
        RejectionCode::OccurredInFuture,
        RejectionCode::PromoUnknown,
        RejectionCode::BalanceTooLarge,
        RejectionCode::PointsTooLarge,
        RejectionCode::WalletFrozen,
        RejectionCode::RiskBlocked,
    ];

    /// Returns the code that callers see.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            RejectionCode::CustomerUnknown => "customer_unknown",
            RejectionCode::AmountNotPositive => "amount_not_positive",
            RejectionCode::AmountTooLarge => "amount_too_large",
            RejectionCode::QuantityNotPositive => "quantity_not_positive",
            RejectionCode::QuantityTooLarge => "quantity_too_large",
            RejectionCode::LinesTooMany => "lines_too_many",
            RejectionCode::LineOutOfRange => "line_out_of_range",
            RejectionCode::LinesSumMismatch => "lines_sum_mismatch",
            RejectionCode::OccurredInFuture => "occurred_in_future",
            RejectionCode::PromoUnknown => "promo_unknown",
            RejectionCode::BalanceTooLarge => "balance_too_large",
            RejectionCode::PointsTooLarge => "points_too_large",
            RejectionCode::WalletFrozen => "wallet_frozen",
            RejectionCode::RiskBlocked => "risk_blocked",
        }
    }
}

/// Why a catalogue was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CatalogueRejection {
    /// The tenant's rules have changed since the caller looked.
    VersionConflict {
        /// What the caller saw.
        expected: u32,
        /// What holds now; 0 when the tenant does not exist.
        found: u32,
    },
    /// The catalogue contradicts itself or the ledger.
    Invalid {
        /// Where, such as `promos[JOURNEY2017].bands[3]`.
        place: String,
        /// What is wrong there and what would be right.
        problem: String,
    },
}
