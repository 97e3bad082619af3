//! What the house owes its customers, rolled forward from one position to another: what there was, what came, what went,
//! what there is.
//!
//! Everything is read off the sums: what customers hold on both sides, and the turnover of each house account between
//! them. Every entry has a house account on its other side, so the lines add up as the trial balance does.

use alloc::collections::BTreeMap;

use crate::accounts::HouseAccount;
use crate::identity::Unit;
use crate::totals::{TenantTotals, Turnover};

/// The liability in one unit between two positions: minor units of a currency, or points.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RollForward {
    /// What was owed.
    pub opening: i128,
    /// What rules granted.
    pub earned: i128,
    /// What was given for points.
    pub exchanged: i128,
    /// What customers brought from outside, less what they took there.
    pub deposited: i128,
    /// What operators gave by hand, less what they took.
    pub adjusted: i128,
    /// What was taken back of what rules had granted, as far as customers held enough.
    pub clawed_back: i128,
    /// What was spent, less what of it was given back.
    pub spent: i128,
    /// What expired.
    pub expired: i128,
    /// What was sent from one wallet to another and has not arrived.
    pub in_transit: i128,
    /// What is owed.
    pub closing: i128,
    /// The turnover of each account that had one.
    pub accounts: BTreeMap<HouseAccount, Turnover>,
}

impl RollForward {
    /// Returns what `closing` must be by the other lines.
    #[must_use]
    pub const fn expected(&self) -> i128 {
        self.opening + self.earned + self.exchanged + self.deposited + self.adjusted
            - self.clawed_back
            - self.spent
            - self.expired
            - self.in_transit
    }

    fn add(&mut self, account: HouseAccount, turnover: Turnover) {
        match account {
            HouseAccount::PromoExpense(_)
            | HouseAccount::LoyaltyExpense
            | HouseAccount::RewardExpense
            | HouseAccount::PointsIssued => {
                self.earned += turnover.debits;
                self.clawed_back += turnover.credits;
            }
            HouseAccount::RedemptionExpense => self.exchanged += turnover.net(),
            HouseAccount::CashClearing => self.deposited += turnover.net(),
            HouseAccount::Adjustments => self.adjusted += turnover.net(),
            // What should have been taken back and was not, stands on both accounts.
            HouseAccount::RefundShortfall => self.clawed_back -= turnover.net(),
            HouseAccount::InTransit => self.in_transit -= turnover.net(),
            HouseAccount::PointsExpired => self.expired -= turnover.net(),
            HouseAccount::PointsRedeemed | HouseAccount::Settlement(_) => self.spent -= turnover.net(),
        }
        self.accounts.insert(account, turnover);
    }
}

/// Rolls the liability of a tenant forward, in every unit that customers ever held.
#[must_use]
pub fn roll_forward(before: &TenantTotals, after: &TenantTotals) -> BTreeMap<Unit, RollForward> {
    let mut units: BTreeMap<Unit, RollForward> = BTreeMap::new();
    for (unit, closing) in after.wallets.iter().chain(&after.points) {
        let opening = before.wallets.get(unit).or_else(|| before.points.get(unit)).copied().unwrap_or_default();
        units.insert(*unit, RollForward { opening, closing: *closing, ..RollForward::default() });
    }
    for ((unit, account), now) in &after.house {
        let then = before.house.get(&(*unit, *account)).copied().unwrap_or_default();
        let turnover = Turnover { debits: now.debits - then.debits, credits: now.credits - then.credits };
        if turnover != Turnover::default() {
            units.entry(*unit).or_default().add(*account, turnover);
        }
    }
    units
}
