//! Holds: money of a wallet that is set aside for a partner until it is settled, voided, or the hold expires.
//!
//! A hold moves nothing. What is held stays in the wallet, and nothing but the hold itself may take it out again: every
//! other debit looks at what is available, the balance less all that is held. A settlement takes all of it or a part, and
//! gives the rest free. A hold is closed once, by whichever comes first.
//!
//! A hold that is due is gone for whoever looks ([`crate::upkeep`]), whether or not that is written down yet.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::accounts::{Entry, HouseAccount, HouseLeg};
use crate::customer::Row;
use crate::event::Event;
use crate::identity::{PartnerId, Unit, WalletId};
use crate::operation::{Actor, Operation, OperationRejection};
use crate::quantity::{Amount, Instant};

/// Holds of a customer that may be open at once.
pub const HOLDS_MAX: usize = 256;
/// Those of them that one partner may have, so that none takes the place of the others.
pub const PARTNER_HOLDS_MAX: usize = 64;
/// How long a hold lasts, in seconds, unless the caller says otherwise: seven days.
pub const LIFE_SECONDS_DEFAULT: i64 = 7 * 86_400;
/// How long a hold may last, in seconds: thirty days.
pub const LIFE_SECONDS_MAX: i64 = 30 * 86_400;

/// The number of a hold among those of its customer, from 1. Numbers are never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct HoldId(pub u32);

/// A hold that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Its number.
    pub id: HoldId,
    /// The wallet.
    pub wallet: WalletId,
    /// What the wallet counts.
    pub unit: Unit,
    /// For whom the money is set aside.
    pub partner: PartnerId,
    /// How much, greater than zero.
    pub amount: Amount,
    /// When it is over.
    pub expires_at: Instant,
}

/// A hold was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldClosed {
    /// The hold as it was.
    pub hold: Hold,
    /// What became of it.
    pub end: HoldEnd,
}

/// What became of a hold. New ends stand last: the journal holds them by their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HoldEnd {
    /// Its partner was paid; an entry of the same record says so.
    Settled {
        /// How much, at most what was held.
        amount: Amount,
    },
    /// It was given free.
    Voided,
    /// Its time was over.
    Expired,
}

/// Sets money aside.
///
/// # Errors
///
/// In this order: the amount, how long, the wallet, how many holds are open, what is available.
pub(crate) fn place(
    row: &Row,
    wallet: WalletId,
    (unit, partner): (Unit, PartnerId),
    (amount, life_seconds): (i64, Option<i64>),
    at: Instant,
) -> Result<Event, OperationRejection> {
    let amount = Operation::amount(amount)?;
    let seconds = Operation::life(life_seconds, LIFE_SECONDS_DEFAULT, LIFE_SECONDS_MAX)?;
    let own = row.wallet(wallet, unit).ok_or(OperationRejection::WalletUnknown)?;
    own.check_usable()?;
    let too_many = |holds_max: usize| OperationRejection::HoldsTooMany { holds_max: holds_max as u32 };
    if HOLDS_MAX <= row.holds.len() {
        return Err(too_many(HOLDS_MAX));
    }
    if PARTNER_HOLDS_MAX <= row.holds.iter().filter(|hold| hold.partner == partner).count() {
        return Err(too_many(PARTNER_HOLDS_MAX));
    }
    row.check_available(&own, amount)?;
    // Numbers are never used again, so they may run out.
    let id = HoldId(row.holds_placed.checked_add(1).ok_or(too_many(0))?);
    let expires_at = Instant(at.0.saturating_add(seconds * 1_000_000));
    Ok(Event::HoldPlaced(Hold { id, wallet, unit: own.unit, partner, amount, expires_at }))
}

/// Pays the partner of a hold what is held, or a part of it, and gives the rest free.
///
/// # Errors
///
/// In this order: the amount, the hold, whether it holds so much, the wallet.
pub(crate) fn settle(
    row: &Row,
    actor: Actor,
    id: HoldId,
    asked: Option<i64>,
) -> Result<Vec<Event>, OperationRejection> {
    let asked = asked.map(Operation::amount).transpose()?;
    let hold = open(row, actor, id)?;
    let amount = asked.unwrap_or(hold.amount);
    if hold.amount < amount {
        return Err(OperationRejection::HoldExceeded { held: hold.amount, amount });
    }
    let wallet = row.wallet(hold.wallet, hold.unit).ok_or(OperationRejection::WalletUnknown)?;
    wallet.check_usable()?;
    let leg = HouseLeg { account: HouseAccount::Settlement(hold.partner), amount };
    // A refund may have taken what was held: the partner was promised it all the same.
    let entry = Entry::debit(wallet.id, wallet.unit, wallet.balance, &[leg]);
    let entry = entry.ok_or(OperationRejection::BalanceTooSmall { balance: wallet.balance, amount })?;
    let closed = HoldClosed { hold, end: HoldEnd::Settled { amount } };
    Ok(Vec::from([Event::HoldClosed(closed), Event::WalletEntry(entry)]))
}

/// Gives free what is held. Moves no money, so a frozen wallet does not matter.
///
/// # Errors
///
/// There is no such hold, or it is closed.
pub(crate) fn void(row: &Row, actor: Actor, id: HoldId) -> Result<Event, OperationRejection> {
    Ok(Event::HoldClosed(HoldClosed { hold: open(row, actor, id)?, end: HoldEnd::Voided }))
}

/// Finds a hold that is open and may be closed by `actor`: its partner, or an operator.
///
/// A partner is told the same of a hold of another one, open or not, as of its own that is closed: nobody learns by asking
/// when another partner's hold ends.
fn open(row: &Row, actor: Actor, id: HoldId) -> Result<Hold, OperationRejection> {
    let is_own = |hold: &&Hold| match actor {
        Actor::Partner(partner) => partner == hold.partner,
        actor => actor.is_operator(),
    };
    let was_placed = (1..=row.holds_placed).contains(&id.0);
    let missing = if was_placed { OperationRejection::HoldClosed } else { OperationRejection::HoldUnknown };
    row.hold(id).filter(is_own).copied().ok_or(missing)
}

/// Lists what closes the holds that are due at `now`.
pub(crate) fn due(row: &Row, now: Instant) -> impl Iterator<Item = HoldClosed> + '_ {
    let is_due = move |hold: &&Hold| hold.expires_at <= now;
    row.holds.iter().filter(is_due).map(|hold| HoldClosed { hold: *hold, end: HoldEnd::Expired })
}

impl Hold {
    /// Returns the minute that begins with or after its end. Ends are counted by it, so that the counts stay few; the
    /// sweep comes so much later at most, which nobody sees but by the event.
    #[must_use]
    pub const fn due_minute(&self) -> Instant {
        const MINUTE_US: i64 = 60_000_000;
        let rest = self.expires_at.0.rem_euclid(MINUTE_US);
        let wait = if rest == 0 { 0 } else { MINUTE_US - rest };
        Instant(self.expires_at.0.saturating_add(wait))
    }
}

impl Row {
    /// Finds a hold that is open.
    #[must_use]
    pub fn hold(&self, id: HoldId) -> Option<&Hold> {
        let at = self.holds.binary_search_by_key(&id, |hold| hold.id).ok()?;
        self.holds.get(at)
    }

    /// Returns how much of a wallet is held.
    #[must_use]
    pub fn held(&self, wallet: WalletId) -> Amount {
        let own = self.holds.iter().filter(|hold| hold.wallet == wallet);
        // No hold was placed beyond what was available.
        own.fold(Amount::ZERO, |sum, hold| sum.plus(hold.amount).unwrap_or(sum))
    }

    /// Returns how much can be taken out of a wallet: what is in it less what is held.
    #[must_use]
    pub fn available(&self, wallet: WalletId) -> Amount {
        self.balance(wallet).available().minus(self.held(wallet)).unwrap_or(Amount::ZERO)
    }

    pub(crate) fn evolve_hold_placed(&mut self, hold: &Hold) {
        self.holds_placed = hold.id.0;
        self.holds.reserve_exact(1);
        self.holds.push(*hold);
    }

    pub(crate) fn evolve_hold_closed(&mut self, closed: &HoldClosed) {
        self.holds.retain(|hold| hold.id != closed.hold.id);
    }
}
