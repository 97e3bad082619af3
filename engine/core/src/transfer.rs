//! Transfers: money from a wallet of one customer to a wallet of another.
//!
//! A record changes one customer, so a transfer is three of them, also where both rows lie side by side:
//!
//! 1. *sent*: the source is debited, and `in transit` is credited ([`send`]);
//! 2. *credited*: the target is credited, and `in transit` is debited; or *declined*, which moves nothing;
//! 3. *settled*, which moves nothing; or *returned*: the source is credited again ([`step`]).
//!
//! Whatever stops in between finds the open transfer in the desk and goes on with its next step before it does anything
//! else, so the three stand side by side in the journal and nobody sees a row that changed in the middle. The money is at
//! one place at each position: in the one wallet, in transit, or in the other.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::accounts::{Entry, HouseAccount, HouseLeg};
use crate::catalogue::Catalogue;
use crate::customer::Row;
use crate::event::{Body, Event};
use crate::identity::{CustomerId, Fingerprint, TenantId, Unit, WalletId};
use crate::operation::{
    Actor, Operation, OperationCommand, OperationDone, OperationKey, OperationRefused, OperationRejection,
};
use crate::placement::Removal;
use crate::quantity::{Amount, Balance, Instant, Seq};
use crate::review::Releaser;
use crate::upkeep;
use crate::wallet::WalletStatus;

/// A transfer that was sent: what was asked, and what of it was done. Named by the position of this record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferSent {
    /// Who asked.
    pub actor: Actor,
    /// Its key, if it has one.
    pub key: Option<OperationKey>,
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
    /// The instant that the rules saw, and see at each step.
    pub at: Instant,
    /// The wallet that was debited.
    pub wallet: WalletId,
    /// What it counts.
    pub unit: Unit,
    /// How much, greater than zero.
    pub amount: Amount,
    /// What is in that wallet now.
    pub balance_after: Balance,
    /// Whose wallet is to be credited.
    pub to: CustomerId,
    /// Which of them.
    pub to_wallet: WalletId,
    /// The caller's own name of it.
    pub reference: Option<Box<str>>,
}

/// The target was credited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferCredited {
    /// The transfer.
    pub transfer: Seq,
    /// Who sent it.
    pub from: CustomerId,
    /// The wallet that was credited.
    pub wallet: WalletId,
    /// What it counts.
    pub unit: Unit,
    /// How much.
    pub amount: Amount,
}

/// The target takes nothing. After this record it never will.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferDeclined {
    /// The transfer.
    pub transfer: Seq,
    /// Who sent it.
    pub from: CustomerId,
    /// The wallet that was to be credited.
    pub wallet: WalletId,
    /// Why.
    pub reason: TransferRefusal,
}

/// The transfer is over, and the money is where it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferSettled {
    /// The transfer.
    pub transfer: Seq,
    /// The wallet that was debited.
    pub wallet: WalletId,
    /// What it counts.
    pub unit: Unit,
    /// How much.
    pub amount: Amount,
    /// What is in that wallet.
    pub balance_after: Balance,
    /// Whose wallet was credited.
    pub to: CustomerId,
    /// Which of them.
    pub to_wallet: WalletId,
}

/// The transfer is over, and the money is back where it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferReturned {
    /// The transfer.
    pub transfer: Seq,
    /// Why.
    pub reason: TransferRefusal,
}

/// Why a wallet takes nothing. New reasons stand last: the journal holds them by their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TransferRefusal {
    /// The target has no such wallet.
    WalletUnknown,
    /// It is frozen.
    WalletFrozen,
    /// It is closed.
    WalletClosed,
    /// It counts another currency.
    OtherCurrency,
    /// It would pass the largest amount.
    BalanceTooLarge,
}

impl TransferRefusal {
    /// Returns the code that the sender sees.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            TransferRefusal::WalletUnknown => "target_wallet_not_found",
            TransferRefusal::WalletFrozen => "target_wallet_frozen",
            TransferRefusal::WalletClosed => "target_wallet_closed",
            TransferRefusal::OtherCurrency => "target_currency_differs",
            TransferRefusal::BalanceTooLarge => "target_balance_too_large",
        }
    }
}

/// A transfer that is on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenTransfer {
    /// Its record.
    pub seq: Seq,
    /// The tenant.
    pub tenant: TenantId,
    /// Whose wallet was debited.
    pub from: CustomerId,
    /// When the ledger received it.
    pub received_at: Instant,
    /// What was sent.
    pub sent: TransferSent,
    /// What the target said; `None` as long as it was not asked.
    pub answer: Option<Result<(), TransferRefusal>>,
    /// Who released it, of one that was set aside.
    pub released_by: Option<Releaser>,
}

impl TransferSent {
    /// Returns what was asked.
    #[must_use]
    pub fn operation(&self) -> Operation {
        let TransferSent { wallet, amount, to, to_wallet, ref reference, .. } = *self;
        Operation::Transfer { wallet, to, to_wallet, amount: amount.minor_units(), reference: reference.clone() }
    }
}

impl OpenTransfer {
    /// Returns the customer whose row takes the next step: the target, then the source.
    #[must_use]
    pub const fn next_customer(&self) -> CustomerId {
        if self.answer.is_none() { self.sent.to } else { self.from }
    }

    /// Finds the transfer that a body sends, as it would be at `seq`.
    #[must_use]
    pub fn sent_by(body: &Body, seq: Seq) -> Option<OpenTransfer> {
        let from = body.customer?;
        let sent = body.events.iter().find_map(|event| match event {
            Event::TransferSent(sent) => Some(TransferSent::clone(sent)),
            _ => None,
        })?;
        let (tenant, received_at) = (body.tenant, body.received_at);
        let released_by = body.events.iter().find_map(|event| match event {
            Event::ReviewClosed(closed) => closed.released_by,
            _ => None,
        });
        Some(OpenTransfer { seq, tenant, from, received_at, sent, answer: None, released_by })
    }

    /// Says that the transfer is done.
    fn settled(&self) -> [Event; 2] {
        let TransferSent { actor, key, fingerprint, at, wallet, unit, amount, balance_after, to, to_wallet, .. } =
            self.sent;
        let done = OperationDone { actor, key, fingerprint, at, operation: self.sent.operation() };
        let settled = TransferSettled { transfer: self.seq, wallet, unit, amount, balance_after, to, to_wallet };
        [Event::OperationDone(Box::new(done)), Event::TransferSettled(settled)]
    }
}

/// On which terms a row takes the next step of a transfer.
#[derive(Clone, Debug)]
pub struct TransferTerms {
    /// The transfer.
    pub open: OpenTransfer,
    /// The rules that hold.
    pub catalogue: Arc<Catalogue>,
    /// The versions that removed levels, the oldest first.
    pub removals: Arc<[Removal]>,
}

/// Sends a transfer: the source's part.
///
/// # Errors
///
/// In this order: the amount, the wallet, that it is another one, what is available.
pub(crate) fn send(
    row: &Row,
    command: &OperationCommand,
    at: Instant,
    unit: Unit,
) -> Result<Vec<Event>, OperationRejection> {
    let Operation::Transfer { wallet, to, to_wallet, amount, reference } = &command.operation else {
        panic!("only a transfer is sent")
    };
    let amount = Operation::amount(*amount)?;
    let own = row.wallet(*wallet, unit).ok_or(OperationRejection::WalletUnknown)?;
    own.check_usable()?;
    if (row.id, own.id) == (*to, *to_wallet) {
        return Err(OperationRejection::TransferToItself);
    }
    row.check_available(&own, amount)?;
    let leg = HouseLeg { account: HouseAccount::InTransit, amount };
    let entry = Entry::debit(own.id, own.unit, own.balance, &[leg]);
    let entry = entry.ok_or(OperationRejection::BalanceTooSmall { balance: own.balance, amount })?;
    let sent = TransferSent {
        actor: command.actor,
        key: command.key,
        fingerprint: command.fingerprint,
        at,
        wallet: own.id,
        unit: own.unit,
        amount,
        balance_after: entry.balance_after,
        to: *to,
        to_wallet: *to_wallet,
        reference: reference.clone(),
    };
    Ok(Vec::from([Event::TransferSent(Box::new(sent)), Event::WalletEntry(entry)]))
}

/// Takes the next step of a transfer, which is always possible. `row` is that of [`OpenTransfer::next_customer`].
///
/// # Panics
///
/// If the row is another customer's, or has not the wallet that was debited.
#[must_use]
pub fn step(row: &Row, terms: &TransferTerms) -> Body {
    let open = &terms.open;
    assert_eq!(row.id, open.next_customer(), "a step of a transfer is taken by the customer whose turn it is");
    let (row, mut events) = upkeep::up_to_date(row, &terms.removals, open.sent.at);
    match open.answer {
        None => events.extend(receive(&row, open, terms.catalogue.unit())),
        Some(Ok(())) => events.extend(open.settled()),
        Some(Err(reason)) => events.extend(give_back(&row, open, reason)),
    }
    Body {
        received_at: open.received_at,
        tenant: open.tenant,
        catalogue_version: terms.catalogue.version,
        customer: Some(row.id),
        previous: Seq::ZERO,
        events,
    }
}

/// Says what the source would be told of a transfer that it would send with `body`.
#[must_use]
pub fn would_settle(body: &Body) -> Option<Body> {
    let events = OpenTransfer::sent_by(body, Seq::ZERO)?.settled().into();
    Some(Body { events, ..body.clone() })
}

/// The target's part: it is credited, or says why not.
fn receive(row: &Row, open: &OpenTransfer, unit: Unit) -> Vec<Event> {
    let (transfer, from, wallet) = (open.seq, open.from, open.sent.to_wallet);
    match credit(row, open, unit) {
        Ok(entry) => {
            let (unit, amount) = (entry.unit, entry.amount);
            let credited = TransferCredited { transfer, from, wallet, unit, amount };
            Vec::from([Event::TransferCredited(credited), Event::WalletEntry(entry)])
        }
        Err(reason) => Vec::from([Event::TransferDeclined(TransferDeclined { transfer, from, wallet, reason })]),
    }
}

fn credit(row: &Row, open: &OpenTransfer, unit: Unit) -> Result<Entry, TransferRefusal> {
    let own = row.wallet(open.sent.to_wallet, unit).ok_or(TransferRefusal::WalletUnknown)?;
    match own.status {
        WalletStatus::Active => (),
        WalletStatus::Frozen => return Err(TransferRefusal::WalletFrozen),
        WalletStatus::Closed => return Err(TransferRefusal::WalletClosed),
    }
    if own.unit != open.sent.unit {
        return Err(TransferRefusal::OtherCurrency);
    }
    let leg = HouseLeg { account: HouseAccount::InTransit, amount: open.sent.amount };
    Entry::credit(own.id, own.unit, own.balance, &[leg]).ok_or(TransferRefusal::BalanceTooLarge)
}

/// The source gets its money back, and the refusal stands under the transfer's key as any other would.
fn give_back(row: &Row, open: &OpenTransfer, reason: TransferRefusal) -> Vec<Event> {
    let TransferSent { actor, key, fingerprint, wallet, unit, amount, .. } = open.sent;
    let leg = HouseLeg { account: HouseAccount::InTransit, amount };
    // Nothing has happened to the wallet since it was debited, so it has room.
    let entry = Entry::credit(wallet, unit, row.balance(wallet), &[leg]).expect("what was taken out goes in again");
    let mut events = Vec::from([
        Event::TransferReturned(TransferReturned { transfer: open.seq, reason }),
        Event::WalletEntry(entry),
    ]);
    events.extend(key.map(|key| {
        let (customer, rejection) = (Some(open.from), OperationRejection::TransferDeclined(reason));
        let refused =
            OperationRefused { actor, key, fingerprint, customer, operation: open.sent.operation(), rejection };
        Event::OperationRefused(Box::new(refused))
    }));
    events
}
