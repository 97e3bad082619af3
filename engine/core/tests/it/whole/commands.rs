//! What is asked of both ledgers, as plain data.

use kembali_core::accounts::Direction;
use kembali_core::operation::Actor;
use kembali_core::wallet::WalletStatus;

/// The tag that purchases carry.
pub(super) const TAG: &str = "app";

/// A wallet that nobody has. Others are counted among those that the customer has.
pub(super) const NO_WALLET: u16 = 99;

/// A line: product, pieces, for how much.
pub(super) type Line = (&'static str, i64, i64);

/// A purchase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Buy {
    pub(super) who: u8,
    pub(super) by_id: bool,
    pub(super) partner: u32,
    pub(super) key: u16,
    pub(super) amount: i64,
    pub(super) quantity: i64,
    /// `P` and this number.
    pub(super) code: Option<u8>,
    pub(super) product: Option<&'static str>,
    pub(super) lines: Vec<Line>,
    pub(super) has_tag: bool,
    pub(super) occurred: Option<i64>,
    pub(super) dry: bool,
}

/// A refund of a purchase, counted from 0 in the order of the bookings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refund {
    pub(super) purchase: usize,
    pub(super) id: u8,
    pub(super) of: Of,
    pub(super) dry: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Of {
    Amount(i64),
    Lines(Vec<Line>),
}

/// An operation under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ask {
    pub(super) who: u8,
    pub(super) actor: Actor,
    pub(super) key: u32,
    pub(super) device: Option<u8>,
    pub(super) verb: Verb,
    pub(super) dry: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Create,
    Open,
    Rename(u16),
    Erase,
    Status(u16, WalletStatus),
    Deposit(u16, i64),
    Adjust(u16, Direction, i64),
    /// A tag, and when.
    Did(&'static str, Option<i64>),
    Redeem(&'static str, i64),
    Promote(&'static str),
    Demote(&'static str),
    /// Of which wallet, for which partner, how much, for how many seconds.
    Hold(u16, u32, i64, Option<i64>),
    Settle(u32, Option<i64>),
    Void(u32),
    /// The operation of which record.
    Reverse(u64),
    /// The check of which record.
    Archive(u64),
    /// The review of which record.
    Release(u64),
    Reject(u64),
    /// Out of which wallet, to whom, which wallet, how much.
    Send(u16, u8, u16, i64),
    /// For which partner, how the number begins, how much, for how many seconds.
    Bill(u32, Option<&'static str>, i64, Option<i64>),
    Unbill(String),
    /// Out of which wallet, which number, how much.
    Pay(u16, String, i64),
}

/// Anything that is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Buy(Buy),
    Refund(Refund),
    Ask(Ask),
}

impl Command {
    pub(super) fn verb(&self) -> &'static str {
        match self {
            Command::Buy(_) => "buy",
            Command::Refund(refund) => match refund.of {
                Of::Amount(_) => "refund by amount",
                Of::Lines(_) => "refund by lines",
            },
            Command::Ask(ask) => match &ask.verb {
                Verb::Create => "create",
                Verb::Open => "open",
                Verb::Rename(_) => "rename",
                Verb::Erase => "erase",
                Verb::Status(_, WalletStatus::Active) => "make active",
                Verb::Status(_, WalletStatus::Frozen) => "freeze",
                Verb::Status(_, WalletStatus::Closed) => "close",
                Verb::Deposit(..) => "deposit",
                Verb::Adjust(_, Direction::In, _) => "give",
                Verb::Adjust(_, Direction::Out, _) => "take",
                Verb::Did(..) => "did",
                Verb::Redeem(..) => "redeem",
                Verb::Promote(_) => "promote",
                Verb::Demote(_) => "demote",
                Verb::Hold(..) => "hold",
                Verb::Settle(..) => "settle",
                Verb::Void(_) => "void",
                Verb::Reverse(_) => "reverse",
                Verb::Archive(_) => "archive",
                Verb::Release(_) => "release",
                Verb::Reject(_) => "reject",
                Verb::Send(..) => "send",
                Verb::Bill(..) => "bill",
                Verb::Unbill(_) => "unbill",
                Verb::Pay(..) => "pay",
            },
        }
    }
}
