//! A customer's statement: what was there, each movement, what is there then. As JSON, and as CSV.

use serde::Serialize;
use utoipa::ToSchema;

use super::history::{Leg, Side};
use super::instant::{Rfc3339, UuidText};
use crate::csv;

/// A page of a customer's statement between two positions.
#[derive(Serialize, ToSchema)]
pub(crate) struct Statement {
    /// The customer's id.
    pub(crate) customer: UuidText,
    /// The position that `opening` is as of; entries of later records follow.
    pub(crate) from: u64,
    /// The position that `closing` is as of, the last whose entries are shown.
    pub(crate) to: u64,
    /// What each account held as of `from`.
    pub(crate) opening: Vec<AccountBalance>,
    /// The entries, newest first.
    pub(crate) data: Vec<StatementEntry>,
    /// What each account holds as of `to`: what it held, and the entries of every page.
    pub(crate) closing: Vec<AccountBalance>,
    /// The cursor of the next page; null on the last one.
    #[schema(required)]
    pub(crate) next_cursor: Option<String>,
    /// The position that this is the state of.
    pub(crate) as_of: u64,
}

/// An account of a customer.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
pub(crate) struct StatementAccount {
    /// What it holds.
    pub(crate) holds: Holds,
    /// The wallet's number, of money.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) wallet: Option<u16>,
    /// The currency, or the kind of points.
    pub(crate) unit: String,
}

/// What an account holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Holds {
    /// Minor units of a currency.
    Money,
    /// Points.
    Points,
}

/// What is in an account.
#[derive(Serialize, ToSchema)]
pub(crate) struct AccountBalance {
    #[serde(flatten)]
    pub(crate) account: StatementAccount,
    /// How much, in minor units or points.
    pub(crate) balance: i64,
}

/// A movement of an account.
#[derive(Serialize, ToSchema)]
pub(crate) struct StatementEntry {
    /// The position of the record.
    pub(crate) seq: u64,
    /// When the ledger received what caused it.
    pub(crate) received_at: Rfc3339,
    /// The id of the purchase that caused it.
    #[schema(required)]
    pub(crate) purchase: Option<UuidText>,
    /// The operation that caused it, which `GET /v1/operations/{seq}` shows; null of a purchase.
    #[schema(required)]
    pub(crate) operation: Option<&'static str>,
    /// The partner's own id of the refund that caused it; not there of anything else.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) refund_id: Option<String>,
    #[serde(flatten)]
    pub(crate) account: StatementAccount,
    /// Into the account or out of it.
    pub(crate) direction: Side,
    /// How much, in minor units or points.
    pub(crate) amount: i64,
    /// What was in the account before.
    pub(crate) balance_before: i64,
    /// What is in it afterwards.
    pub(crate) balance_after: i64,
    /// The accounts of the house on the other side; their amounts sum to `amount`.
    pub(crate) against: Vec<Leg>,
    /// The rule that granted them, of points.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) source: Option<String>,
    /// From when they can be spent, or could have been, of points that are pending first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) matures_at: Option<Rfc3339>,
    /// When they expire, or would have, of points that do.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) expires_at: Option<Rfc3339>,
}

/// The first line of every page.
const CSV_HEAD: &str =
    "line,seq,received_at,purchase,operation,holds,wallet,unit,direction,amount,balance_before,balance_after\r\n";

impl Statement {
    /// Writes the page as CSV (RFC 4180). The pages in their order, without the heads of all but the first, are the whole
    /// statement: closing balances stand on the first page, opening balances on the last.
    pub(crate) fn csv(&self, is_first: bool) -> String {
        let mut out = String::from(CSV_HEAD);
        if is_first {
            self.closing.iter().for_each(|own| own.csv(&mut out, "closing", self.to));
        }
        self.data.iter().for_each(|own| own.csv(&mut out));
        if self.next_cursor.is_none() {
            self.opening.iter().for_each(|own| own.csv(&mut out, "opening", self.from));
        }
        out
    }
}

impl StatementAccount {
    fn cells(&self) -> [String; 3] {
        let holds = match self.holds {
            Holds::Money => "money",
            Holds::Points => "points",
        };
        [holds.to_owned(), self.wallet.map(|wallet| wallet.to_string()).unwrap_or_default(), self.unit.clone()]
    }
}

impl AccountBalance {
    fn csv(&self, out: &mut String, line: &str, seq: u64) {
        let [holds, wallet, unit] = self.account.cells();
        let (seq, balance, none) = (seq.to_string(), self.balance.to_string(), "");
        csv::line(out, &[line, &seq, none, none, none, &holds, &wallet, &unit, none, none, none, &balance]);
    }
}

impl StatementEntry {
    fn csv(&self, out: &mut String) {
        let [holds, wallet, unit] = self.account.cells();
        let direction = match self.direction {
            Side::Credit => "credit",
            Side::Debit => "debit",
        };
        let purchase = self.purchase.map(|id| id.to_string()).unwrap_or_default();
        let [seq, at] = [self.seq.to_string(), self.received_at.to_string()];
        let numbers = [self.amount, self.balance_before, self.balance_after].map(|number| number.to_string());
        let [amount, before, after] = &numbers;
        let operation = self.operation.unwrap_or_default();
        let cells =
            ["entry", &seq, &at, &purchase, operation, &holds, &wallet, &unit, direction, amount, before, after];
        csv::line(out, &cells);
    }
}
