//! The chart of accounts, and the entry that moves money between a wallet and the house.
//!
//! A customer's wallet is a liability of the house. Every entry is balanced by construction: what enters or leaves the
//! wallet equals what the house accounts give or take, in one unit. The sums of house accounts live in
//! [`crate::totals`].

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::identity::{PartnerId, Unit, WalletId};
use crate::quantity::{Amount, Balance};

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
    /// What refunds should have taken back from wallets that had too little in them. Debited where the tenant's wallets
    /// never go below zero.
    RefundShortfall,
    /// What is owed to a partner for what customers paid it out of their wallets. Credited by payments.
    Settlement(PartnerId),
    /// Money on its way from one wallet to another: credited when it is sent, debited when it arrives or comes back.
    InTransit,
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
    pub balance_after: Balance,
    /// The other side; its parts sum to `amount`.
    pub against: Vec<HouseLeg>,
}

impl Entry {
    /// Credits `wallet`, which held `balance`, with the sum of `against`. Legs of zero are left out.
    ///
    /// Returns `None` when the sum or the new balance would pass the largest amount, or when there is nothing to book.
    #[must_use]
    pub fn credit(wallet: WalletId, unit: Unit, balance: Balance, against: &[HouseLeg]) -> Option<Entry> {
        let (amount, against) = moved(against)?;
        let balance_after = balance.plus(amount)?;
        Some(Entry { wallet, unit, direction: Direction::In, amount, balance_after, against })
    }

    /// Debits `wallet`, which held `balance`, with the sum of `against`, also below zero: whoever may not lead it there asks
    /// before what is available. Legs of zero are left out.
    ///
    /// Returns `None` when the sum would pass the largest amount or the new balance lie further than that below zero, or
    /// when there is nothing to book.
    #[must_use]
    pub fn debit(wallet: WalletId, unit: Unit, balance: Balance, against: &[HouseLeg]) -> Option<Entry> {
        let (amount, against) = moved(against)?;
        let balance_after = balance.minus(amount)?;
        Some(Entry { wallet, unit, direction: Direction::Out, amount, balance_after, against })
    }

    /// Returns true when both sides are equal: the promise that holds for every entry of the journal.
    #[must_use]
    pub fn balances(&self) -> bool {
        sum_of(&self.against) == Some(self.amount) && !self.amount.is_zero()
    }
}

fn moved(against: &[HouseLeg]) -> Option<(Amount, Vec<HouseLeg>)> {
    let against: Vec<HouseLeg> = against.iter().copied().filter(|leg| !leg.amount.is_zero()).collect();
    let amount = sum_of(&against)?;
    if amount.is_zero() { None } else { Some((amount, against)) }
}

/// Sums legs up, or returns `None` above the largest amount.
fn sum_of(legs: &[HouseLeg]) -> Option<Amount> {
    legs.iter().try_fold(Amount::ZERO, |sum, leg| sum.plus(leg.amount))
}

/// One balanced movement between accounts of the house alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HouseEntry {
    /// What all of them count.
    pub unit: Unit,
    /// The accounts that are debited.
    pub debit: Vec<HouseLeg>,
    /// The accounts that are credited; their parts sum to those of `debit`.
    pub credit: Vec<HouseLeg>,
}

impl HouseEntry {
    /// Returns true when both sides are equal.
    #[must_use]
    pub fn balances(&self) -> bool {
        let (debit, credit) = (sum_of(&self.debit), sum_of(&self.credit));
        debit.is_some_and(|debit| !debit.is_zero()) && debit == credit
    }
}
