//! The liability rolled forward: what the house owed, what came and went, what it owes. As JSON, and as CSV.

use serde::Serialize;
use utoipa::ToSchema;

use super::number::Wide;
use crate::csv::{self, Table};

/// What a tenant owes its customers, from one position to another.
#[derive(Serialize, ToSchema)]
pub(crate) struct Liability {
    /// The position that `opening` is as of.
    pub(crate) from: u64,
    /// The position that `closing` is as of.
    pub(crate) to: u64,
    /// A line for each unit that customers ever held.
    pub(crate) data: Vec<LiabilityLine>,
    /// The position that this is the state of.
    pub(crate) as_of: u64,
}

/// The liability in one unit. `closing` is `opening` and what came, less what went.
#[derive(Serialize, ToSchema)]
pub(crate) struct LiabilityLine {
    /// A currency, or `points/` and a kind.
    pub(crate) unit: String,
    /// What was owed.
    pub(crate) opening: Wide,
    /// Came: what rules granted.
    pub(crate) earned: Wide,
    /// Came: what was given for points.
    pub(crate) exchanged: Wide,
    /// Came: what customers brought from outside, less what they took there.
    pub(crate) deposited: Wide,
    /// Came: what operators gave by hand, less what they took.
    pub(crate) adjusted: Wide,
    /// Went: what was taken back of what rules had granted.
    pub(crate) clawed_back: Wide,
    /// Went: what was spent, less what of it was given back.
    pub(crate) spent: Wide,
    /// Went: what expired.
    pub(crate) expired: Wide,
    /// Went, and will arrive or come back: what is on its way from one wallet to another.
    pub(crate) in_transit: Wide,
    /// What is owed: what wallets, or point accounts, hold in the trial balance.
    pub(crate) closing: Wide,
    /// The turnover of each account of the house on the other side.
    pub(crate) accounts: Vec<AccountTurnover>,
}

/// What was booked on an account of the house.
#[derive(Serialize, ToSchema)]
pub(crate) struct AccountTurnover {
    /// The account.
    pub(crate) account: String,
    /// What customers got from it.
    pub(crate) debit: Wide,
    /// What customers gave to it.
    pub(crate) credit: Wide,
}

impl Table for Liability {
    /// A row for each line, without the accounts.
    fn to_csv(&self) -> String {
        let mut out = String::new();
        csv::line(
            &mut out,
            &[
                "unit",
                "from",
                "to",
                "opening",
                "earned",
                "exchanged",
                "deposited",
                "adjusted",
                "clawed_back",
                "spent",
                "expired",
                "in_transit",
                "closing",
            ],
        );
        let [from, to] = [self.from, self.to].map(|position| position.to_string());
        for own in &self.data {
            let LiabilityLine { opening, earned, exchanged, deposited, adjusted, .. } = own;
            let LiabilityLine { clawed_back, spent, expired, in_transit, closing, .. } = own;
            let sums =
                [opening, earned, exchanged, deposited, adjusted, clawed_back, spent, expired, in_transit, closing];
            let sums = sums.map(|sum| sum.0.to_string());
            let cells: Vec<&str> = [&own.unit, &from, &to].into_iter().chain(&sums).map(String::as_str).collect();
            csv::line(&mut out, &cells);
        }
        out
    }
}
