//! The row's decision on an operation: what is done to wallets, levels and campaigns beside a purchase.
//!
//! What time and changes of the rules have done comes first, and the operation sees the row as it is then. A refusal
//! changes nothing: what is due stays due until the next decision, or the sweep.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::vec::Vec;

use super::Row;
use super::earned::{Earned, Unbookable};
use crate::accounts::{Direction, Entry, HouseAccount, HouseLeg};
use crate::campaign::Activity;
use crate::desk::{OperationTerms, PlaceTerms};
use crate::event::{Body, CustomerCreated, Event, WalletOpened, WalletStatusSet};
use crate::hold;
use crate::identity::{CustomerName, WalletId};
use crate::invoice;
use crate::offer::redeem;
use crate::operation::{Operation, OperationCommand, OperationDone, OperationRejection};
use crate::quantity::{Amount, Seq};
use crate::refund::{Original, refund};
use crate::reversal::reverse;
use crate::review::{REVIEWS_MAX, ReviewOpened, reject};
use crate::risk::{self, Look};
use crate::tier_move::move_tier;
use crate::transfer;
use crate::upkeep;
use crate::wallet::{CASHBACK_WALLET, WALLETS_MAX, Wallet, WalletStatus};

/// What the row says to an operation.
#[derive(Debug)]
pub enum OperationDecision {
    /// All that happened. `previous` is left to whoever gives the position.
    Decided(Body),
    /// It is so already; nothing happened.
    Unchanged,
    /// It is refused. The command is given back for its receipt.
    Refused(OperationRejection, Box<OperationCommand>),
}

/// Decides an operation that the desk admitted. `row` is `None` for a customer who does not exist yet.
///
/// # Panics
///
/// If the desk admitted a customer by an id that has no row, or a refund comes without the record of its purchase.
#[must_use]
pub fn operate(row: Option<&Row>, terms: &OperationTerms, command: Box<OperationCommand>) -> OperationDecision {
    let Some(row) = row else {
        let CustomerName::Alias(alias) = command.customer else { panic!("only an alias creates a customer") };
        let created = Vec::from([Event::CustomerCreated(CustomerCreated { alias })]);
        return OperationDecision::Decided(body(terms, *command, created, Vec::new()));
    };
    let (row, events) = upkeep::up_to_date(row, &terms.removals, terms.at);
    match decide(&row, terms, &command, events) {
        Ok(Some(body)) => OperationDecision::Decided(body),
        Ok(None) => OperationDecision::Unchanged,
        Err(rejection) => OperationDecision::Refused(rejection, command),
    }
}

/// Says all that an operation does, behind what time has done; `None` when nothing would be other than it is.
fn decide(
    row: &Row,
    terms: &OperationTerms,
    command: &OperationCommand,
    mut events: Vec<Event>,
) -> Result<Option<Body>, OperationRejection> {
    // A partner or a customer that could ask for nothing what is looked at would find every bound.
    let is_probe = command.dry_run && !command.actor.is_operator();
    // What a person released is done for whoever had asked.
    let released = command.released();
    if let (Some(_), Some(record)) = (&released, &command.original) {
        assert_eq!(record.body.customer, Some(terms.customer), "what is released is the customer's");
    }
    let (command, closed) =
        released.map_or((Cow::Borrowed(command), None), |(own, closed)| (Cow::Owned(own), Some(closed)));
    let own = command.operation.looked_at(terms.received_at);
    let look = match own.filter(|_| !is_probe) {
        Some(own) => {
            risk::look(&row.risk, &terms.catalogue.risk_rules, own, (closed.is_some(), &terms.parties.striking))
                .map_err(|rule| OperationRejection::RiskBlocked { rule })?
        }
        None => Look::Nothing,
    };
    let Some(effects) = effects(row, terms, &command)? else { return Ok(None) };
    let checked = match look {
        Look::Nothing => None,
        Look::LetBe(checked) => Some(Event::RiskChecked(checked)),
        // Only what could be done is set aside: nobody is asked about what would be refused anyway.
        Look::SetAside { .. } if terms.place == PlaceTerms::Exhausted => {
            return Err(OperationRejection::ReviewsTooMany { reviews_max: REVIEWS_MAX as u32 });
        }
        Look::SetAside { kind, amount, rule } => {
            let OperationCommand { actor, key, fingerprint, operation, device, .. } = command.into_owned();
            let opened = ReviewOpened { actor, key, fingerprint, at: terms.at, operation, kind, amount, device, rule };
            events.push(Event::ReviewOpened(Box::new(opened)));
            return Ok(Some(body_of(terms, events)));
        }
    };
    events.extend(closed.map(|closed| Event::ReviewClosed(Box::new(closed))));
    let counted = own.and_then(|own| terms.parties.counts(own)).map(Event::OperationCounted);
    let effects = checked.into_iter().chain(counted).chain(effects);
    Ok(Some(body(terms, command.into_owned(), events, effects)))
}

fn body(
    terms: &OperationTerms,
    command: OperationCommand,
    mut events: Vec<Event>,
    effects: impl IntoIterator<Item = Event>,
) -> Body {
    let OperationCommand { actor, key, fingerprint, operation, .. } = command;
    // A transfer is done once it has arrived.
    if !operation.is_transfer() {
        let done = OperationDone { actor, key, fingerprint, at: terms.at, operation };
        events.push(Event::OperationDone(Box::new(done)));
    }
    events.extend(effects);
    body_of(terms, events)
}

fn body_of(terms: &OperationTerms, events: Vec<Event>) -> Body {
    Body {
        received_at: terms.received_at,
        tenant: terms.catalogue.tenant,
        catalogue_version: terms.catalogue.version,
        customer: Some(terms.customer),
        previous: Seq::ZERO,
        events,
    }
}

/// Says what an operation does; `None` when nothing would be other than it is.
fn effects(
    row: &Row,
    terms: &OperationTerms,
    command: &OperationCommand,
) -> Result<Option<Vec<Event>>, OperationRejection> {
    let unit = terms.catalogue.unit();
    let wallet = |id: WalletId| row.wallet(id, unit).ok_or(OperationRejection::WalletUnknown);
    Ok(Some(match &command.operation {
        Operation::CreateCustomer => return Ok(None),
        Operation::EraseCustomer { .. } if row.is_erased => return Ok(None),
        Operation::EraseCustomer { .. } => Vec::from([Event::CustomerErased]),
        // Their names would be personal again.
        Operation::OpenWallet | Operation::RenameWallet { .. } if row.is_erased => {
            return Err(OperationRejection::CustomerErased);
        }
        Operation::OpenWallet => {
            let opened = WalletOpened { wallet: next_wallet(row)?, unit };
            Vec::from([Event::WalletOpened(opened)])
        }
        Operation::RenameWallet { wallet: id } => {
            // A name says what a wallet is for, also while it is frozen.
            if wallet(*id)?.status == WalletStatus::Closed {
                return Err(OperationRejection::WalletClosed);
            }
            Vec::new()
        }
        Operation::SetWalletStatus { wallet: id, status } => {
            let own = wallet(*id)?;
            if !own.check_becomes(*status, row.held(*id))? {
                return Ok(None);
            }
            let set = WalletStatusSet { wallet: own.id, unit: own.unit, before: own.status, after: *status };
            Vec::from([Event::WalletStatusSet(set)])
        }
        Operation::Deposit { wallet: id, amount, .. } => {
            let amount = Operation::amount(*amount)?;
            let own = usable(wallet(*id)?)?;
            Vec::from([credit(&own, amount, HouseAccount::CashClearing)?])
        }
        Operation::Adjust { wallet: id, direction, amount, .. } => {
            let amount = Operation::amount(*amount)?;
            let own = usable(wallet(*id)?)?;
            Vec::from([match direction {
                Direction::In => credit(&own, amount, HouseAccount::Adjustments)?,
                Direction::Out => debit(row, &own, amount, HouseAccount::Adjustments)?,
            }])
        }
        Operation::ReportActivity { tag, .. } => {
            let mut earned = Earned::new(Some(row), &terms.catalogue, terms.at);
            earned.campaigns(Activity::Tag(tag), &terms.budgets)?;
            earned.post()?;
            earned.events
        }
        Operation::MoveTier { program, to } => {
            Vec::from([Event::TierPlaced(move_tier(&terms.catalogue, row, program, *to)?)])
        }
        Operation::PlaceHold { wallet, partner, amount, life_seconds, .. } => {
            Vec::from([hold::place(row, *wallet, (unit, *partner), (*amount, *life_seconds), terms.at)?])
        }
        Operation::SettleHold { hold, amount } => hold::settle(row, command.actor, *hold, *amount)?,
        Operation::PayInvoice { wallet, number, amount } => {
            invoice::pay(row, (terms.invoice, terms.at), (*wallet, number, *amount), unit)?
        }
        Operation::OpenInvoice { .. } | Operation::CancelInvoice { .. } | Operation::ArchiveRiskCheck { .. } => {
            panic!("the desk decides these alone")
        }
        Operation::Transfer { .. } => transfer::send(row, command, terms.at, unit)?,
        Operation::VoidHold { hold } => Vec::from([hold::void(row, command.actor, *hold)?]),
        Operation::Redeem { offer, quantity } => redeem(row, terms, offer, *quantity)?,
        Operation::Reverse { operation, .. } => {
            let record = command.original.as_deref().expect("a reversal comes with the record of its operation");
            assert_eq!((record.seq, record.body.customer), (*operation, Some(terms.customer)));
            reverse(row, &terms.catalogue, record)?
        }
        Operation::RejectReview { review, .. } => {
            let record = command.original.as_deref().expect("a review is closed with the record that opened it");
            assert_eq!((record.seq, record.body.customer), (*review, Some(terms.customer)));
            reject(terms.customer, *review, record.review().expect("that record opens a review"))
        }
        Operation::ReleaseReview { .. } => panic!("what a release does is done in the place of it"),
        Operation::RefundPurchase(asked) => {
            let record = command.original.as_deref().expect("a refund comes with the record of its purchase");
            let recorded = terms.recorded.as_deref().expect("the rules of a durable record are known");
            let original = Original::of(&record.body, recorded).expect("a refund comes with a purchase's record");
            assert_eq!((original.booked.key, record.body.customer), (asked.purchase, Some(terms.customer)));
            refund(row, &terms.catalogue, original, asked, terms.at).map_err(OperationRejection::Refund)?
        }
    }))
}

/// Returns the number of the next wallet.
fn next_wallet(row: &Row) -> Result<WalletId, OperationRejection> {
    let last = row.wallets.last().map_or(CASHBACK_WALLET, |wallet| wallet.id);
    let next = last.0 + 1;
    if WALLETS_MAX <= usize::from(next) {
        return Err(OperationRejection::WalletsTooMany { wallets_max: WALLETS_MAX as u32 });
    }
    Ok(WalletId(next))
}

fn usable(wallet: Wallet) -> Result<Wallet, OperationRejection> {
    wallet.check_usable().map(|()| wallet)
}

fn credit(wallet: &Wallet, amount: Amount, account: HouseAccount) -> Result<Event, OperationRejection> {
    let entry = Entry::credit(wallet.id, wallet.unit, wallet.balance, &[HouseLeg { account, amount }]);
    entry.map(Event::WalletEntry).ok_or(OperationRejection::BalanceTooLarge { balance: wallet.balance })
}

fn debit(row: &Row, wallet: &Wallet, amount: Amount, account: HouseAccount) -> Result<Event, OperationRejection> {
    row.check_available(wallet, amount)?;
    let entry = Entry::debit(wallet.id, wallet.unit, wallet.balance, &[HouseLeg { account, amount }]);
    entry.map(Event::WalletEntry).ok_or(OperationRejection::BalanceTooSmall { balance: wallet.balance, amount })
}

impl Row {
    /// Checks that so much can be taken out of a wallet.
    pub(crate) fn check_available(&self, wallet: &Wallet, amount: Amount) -> Result<(), OperationRejection> {
        let (balance, held) = (wallet.balance, self.held(wallet.id));
        if balance.available() < amount {
            return Err(OperationRejection::BalanceTooSmall { balance, amount });
        }
        if self.available(wallet.id) < amount {
            return Err(OperationRejection::BalanceHeld { balance, held, amount });
        }
        Ok(())
    }
}

impl From<Unbookable> for OperationRejection {
    fn from(unbookable: Unbookable) -> OperationRejection {
        match unbookable {
            Unbookable::BalanceTooLarge { balance } => OperationRejection::BalanceTooLarge { balance },
            Unbookable::PointsTooLarge { points } => OperationRejection::PointsTooLarge { points },
            Unbookable::WalletFrozen => OperationRejection::WalletFrozen,
        }
    }
}
