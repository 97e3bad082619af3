//! A customer over time: pages of tier steps, wallet entries and purchases, newest first.

use kembali_core::accounts::Direction;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::instant::{Rfc3339, UuidText};
use super::result::{PurchaseResult, TierStep};
use super::transfer::TransferStep;

/// Where a customer stands, and a page of the steps that led there.
#[derive(Serialize, ToSchema)]
pub(crate) struct TierPage {
    /// The customer's id.
    pub(crate) customer: UuidText,
    /// Where the customer stands in each programme.
    pub(crate) tiers: Vec<TierState>,
    /// The steps, newest first.
    pub(crate) data: Vec<TierMove>,
    /// The cursor of the next page; null on the last one.
    #[schema(required)]
    pub(crate) next_cursor: Option<String>,
    /// The position that this is the state of.
    pub(crate) as_of: u64,
}

/// Where a customer stands in a programme, and would stand at a purchase now.
#[derive(Serialize, ToSchema)]
pub(crate) struct TierState {
    /// The programme.
    pub(crate) program: String,
    /// The level that the last purchase led to.
    pub(crate) level: String,
    /// The level after the days without a purchase; null of a programme that is gone.
    #[schema(required)]
    pub(crate) effective_level: Option<String>,
    /// Purchases within the level, in a Journey programme.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) count: Option<u32>,
    /// All that was ever spent, in minor units, in a Threshold programme.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) spent: Option<i64>,
    /// The latest instant of a purchase, in a Journey programme.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) last_at: Option<Rfc3339>,
}

/// A step that a customer made.
#[derive(Serialize, ToSchema)]
pub(crate) struct TierMove {
    /// The position of the record.
    pub(crate) seq: u64,
    /// The instant that the rules saw; of a step that no purchase made, when it was made.
    pub(crate) at: Rfc3339,
    /// The id of the purchase that made it; null when none did.
    #[schema(required)]
    pub(crate) purchase: Option<UuidText>,
    /// The step.
    pub(crate) step: TierStep<'static>,
}

/// A page of the movements of a customer's wallets.
#[derive(Serialize, ToSchema)]
pub(crate) struct EntryPage {
    /// The customer's id.
    pub(crate) customer: UuidText,
    /// The entries, newest first.
    pub(crate) data: Vec<WalletEntry>,
    /// The cursor of the next page; null on the last one.
    #[schema(required)]
    pub(crate) next_cursor: Option<String>,
    /// The position that this is the state of.
    pub(crate) as_of: u64,
}

/// A movement of a wallet, and the accounts of the house on the other side.
#[derive(Serialize, ToSchema)]
pub(crate) struct WalletEntry {
    /// The position of the record.
    pub(crate) seq: u64,
    /// When the ledger received what caused it.
    pub(crate) received_at: Rfc3339,
    /// The id of the purchase that caused it.
    #[schema(required)]
    pub(crate) purchase: Option<UuidText>,
    /// The partner's own id of the refund that caused it; not there of anything else.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) refund_id: Option<String>,
    /// The operation that caused it, which `GET /v1/operations/{seq}` shows; null of a purchase.
    #[schema(required)]
    pub(crate) operation: Option<&'static str>,
    /// The transfer that it is a part of: the position of the record that sent it. Not there of anything else.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) transfer: Option<u64>,
    /// What it is of that transfer: the money was sent, received, or returned because the other side took none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) transfer_state: Option<TransferStep>,
    /// The wallet's number.
    pub(crate) wallet: u16,
    /// The currency of the amounts.
    pub(crate) currency: String,
    /// Into the wallet or out of it.
    pub(crate) direction: Side,
    /// How much, in minor units.
    pub(crate) amount: i64,
    /// What is in the wallet afterwards, in minor units.
    pub(crate) balance_after: i64,
    /// The other side; the amounts sum to `amount`.
    pub(crate) against: Vec<Leg>,
}

/// A side of the books: what is owed to a customer grows by a credit.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Side {
    Credit,
    Debit,
}

impl Side {
    /// Says what an entry is to the customer.
    pub(crate) const fn of(direction: Direction) -> Side {
        match direction {
            Direction::In => Side::Credit,
            Direction::Out => Side::Debit,
        }
    }
}

/// A part of the other side of an entry.
#[derive(Serialize, ToSchema)]
pub(crate) struct Leg {
    /// The account of the house.
    pub(crate) account: String,
    /// How much, in minor units.
    pub(crate) amount: i64,
}

/// A page of a customer's purchases.
#[derive(Serialize, ToSchema)]
pub(crate) struct PurchasePage {
    /// The customer's id.
    pub(crate) customer: UuidText,
    /// The purchases, newest first, each as its stored result.
    #[schema(value_type = Vec<PurchaseResult<'static>>)]
    pub(crate) data: Vec<Value>,
    /// The cursor of the next page; null on the last one.
    #[schema(required)]
    pub(crate) next_cursor: Option<String>,
    /// The position that this is the state of.
    pub(crate) as_of: u64,
}
