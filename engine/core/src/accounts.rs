//! The chart of accounts, and the entry that moves money between a wallet and the house.
//!
//! A customer's wallet is a liability of the house. Every entry is balanced by construction: what enters or leaves the
//! wallet equals what the house accounts give or take, in one unit. The sums of house accounts live in
//! [`crate::totals`].

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::identity::{PartnerId, Unit, WalletId};
use crate::quantity::Amount;

/// An account of the house, within one tenant and one unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum HouseAccount {
    /// What a partner's promos cost. Debited by promo cashback.
    PromoExpense(PartnerId),
    /// What the tenant's loyalty costs. Debited by milestones.
    LoyaltyExpense,
    /// What the tenant's campaigns cost in money. Debited by rewards that credit a wallet.
    RewardExpense,
    /// Points that were issued. Debited by whatever grants points.
    PointsIssued,
    /// Points that expired: what the house owed and never pays (breakage). Credited when they expire.
    PointsExpired,
    /// Points that were spent. Credited by whatever takes points in payment.
    PointsRedeemed,
    /// Money on its way in: debited by deposits, credited once it has arrived at the bank.
    CashClearing,
    /// What operators put right by hand: debited by what they give, credited by what they take.
    Adjustments,
    /// What points cost the tenant that were spent on money. Debited by offers that credit a wallet.
    RedemptionExpense,
}

/// Which way an entry moves a wallet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Direction {
    /// Credits the wallet, debits the house.
    In,
    /// Debits the wallet, credits the house.
    Out,
}

/// A house account's part of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HouseLeg {
    /// The account.
    pub account: HouseAccount,
    /// Its part, greater than zero.
    pub amount: Amount,
}

/// One balanced movement between a wallet and the house.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Entry {
    /// The wallet, of the customer whom the record names.
    pub wallet: WalletId,
    /// What the wallet counts.
    pub unit: Unit,
    /// Which way.
    pub direction: Direction,
    /// How much, greater than zero.
    pub amount: Amount,
    /// The wallet's balance once this entry is booked.
    pub balance_after: Amount,
    /// The other side; its parts sum to `amount`.
    pub against: Vec<HouseLeg>,
}

impl Entry {
    /// Credits `wallet`, which held `balance`, with the sum of `against`. Legs of zero are left out.
    ///
    /// Returns `None` when the sum or the new balance would pass the largest amount, or when there is nothing to book.
    #[must_use]
    pub fn credit(wallet: WalletId, unit: Unit, balance: Amount, against: &[HouseLeg]) -> Option<Entry> {
        let against: Vec<HouseLeg> = against.iter().copied().filter(|leg| !leg.amount.is_zero()).collect();
        let amount = against.iter().try_fold(Amount::ZERO, |sum, leg| sum.plus(leg.amount))?;
        if amount.is_zero() {
            return None;
        }
        let balance_after = balance.plus(amount)?;
        Some(Entry { wallet, unit, direction: Direction::In, amount, balance_after, against })
    }

    /// Debits `wallet`, which held `balance`, with `amount`, and credits `account` with it.
    ///
    /// Returns `None` when the balance is smaller, or when there is nothing to book.
    #[must_use]
    pub fn debit(
        wallet: WalletId,
        unit: Unit,
        balance: Amount,
        amount: Amount,
        account: HouseAccount,
    ) -> Option<Entry> {
        if amount.is_zero() {
            return None;
        }
        let balance_after = balance.minus(amount)?;
        let against = Vec::from([HouseLeg { account, amount }]);
        Some(Entry { wallet, unit, direction: Direction::Out, amount, balance_after, against })
    }

    /// Returns true when both sides are equal: the promise that holds for every entry of the journal.
    #[must_use]
    pub fn balances(&self) -> bool {
        let sum = self.against.iter().try_fold(Amount::ZERO, |sum, leg| sum.plus(leg.amount));
        sum == Some(self.amount) && !self.amount.is_zero()
    }
}
