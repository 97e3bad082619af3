//! The row's decision: from an admitted purchase to all of its events.
//!
//! What time and changes of the rules have done comes first. Then in this order: risk rules; the promo, which was decided at
//! the desk and only finds its place here; tier steps and their milestones; cashback rules; campaigns and their rewards; then one
//! wallet entry for all money that was earned, and an entry for each grant of points. All of it, or nothing.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::Row;
use super::earned::{Earned, Unbookable};
use crate::campaign::Activity;
use crate::command::PurchaseCommand;
use crate::desk::Terms;
use crate::event::{Body, CustomerCreated, Event, PurchaseBooked};
use crate::identity::CustomerName;
use crate::quantity::Seq;
use crate::rejection::Rejection;
use crate::risk::{self, Look, PurchaseBlocked, Remembered, RiskKind};
use crate::upkeep;

/// What the row says.
#[derive(Debug)]
pub enum Decision {
    /// All that happened. `previous` is left to whoever gives the position.
    Decided(Body),
    /// It is refused. The command is given back for its receipt.
    Refused(Rejection, Box<PurchaseCommand>),
}

/// Decides a purchase that the desk admitted. `row` is `None` for a customer who does not exist yet.
///
/// # Panics
///
/// If the desk admitted a customer by an id that has no row.
#[must_use]
pub fn decide(row: Option<&Row>, terms: &Terms, command: Box<PurchaseCommand>) -> Decision {
    let (row, upkeep) = match row {
        Some(row) => {
            let (row, upkeep) = upkeep::up_to_date(row, &terms.removals, terms.at);
            (Some(row), upkeep)
        }
        None => (None, Vec::new()),
    };
    let row = row.as_deref();
    let looked = match look(row, terms, &command) {
        Ok(looked) => looked,
        Err(blocked) => return Decision::Refused(Rejection::RiskBlocked(blocked), command),
    };
    let mut earned = Earned::new(row, &terms.catalogue, terms.at);
    earned.events.extend(upkeep);
    if row.is_none() {
        let CustomerName::Alias(alias) = command.customer else { panic!("only an alias creates a customer") };
        earned.events.push(Event::CustomerCreated(CustomerCreated { alias }));
    }
    // The purchase stands before all that it does; its place is filled once nothing can refuse it any more.
    let booked_at = earned.events.len();
    earned.events.extend(looked);
    earned.promo(terms.promo, command.partner);
    let bought = Activity::Purchase(&command.purchase, terms.amount);
    let all = earned
        .tiers(terms.amount)
        .and_then(|()| earned.cashback(&command.purchase, terms.amount, command.partner))
        .and_then(|()| earned.campaigns(bought, &terms.budgets))
        .and_then(|()| earned.post());
    let balance_after = match all {
        Ok(balance_after) => balance_after,
        Err(unbookable) => return Decision::Refused(unbookable.into(), command),
    };
    let mut events = earned.events;
    let PurchaseCommand { partner, key, fingerprint, purchase, .. } = *command;
    let (at, replaces) = (terms.at, terms.replaces);
    let booked = PurchaseBooked { partner, key, fingerprint, at, replaces, balance_after, purchase };
    events.insert(booked_at, Event::PurchaseBooked(Box::new(booked)));
    let rules = &terms.catalogue;
    Decision::Decided(Body {
        received_at: terms.received_at,
        tenant: rules.tenant,
        catalogue_version: rules.version,
        customer: Some(terms.customer),
        previous: Seq::ZERO,
        events,
    })
}

/// Looks at a purchase by the risk rules: says what they found, and what rules of partners will ask for.
///
/// # Errors
///
/// [`PurchaseBlocked`] where a rule blocks it.
fn look(row: Option<&Row>, terms: &Terms, command: &PurchaseCommand) -> Result<Vec<Event>, PurchaseBlocked> {
    // A partner that could send for nothing what is looked at would find every bound.
    if command.dry_run {
        return Ok(Vec::new());
    }
    let (customer, amount) = (terms.customer, terms.amount);
    let own = Remembered { at: terms.received_at, kind: RiskKind::Purchase, amount };
    let remembered = row.map_or(&[][..], |row| &row.risk);
    let striking = terms.parties.as_ref().map_or(&[][..], |parties| &parties.striking);
    let checked = match risk::look(remembered, &terms.catalogue.risk_rules, own, (false, striking)) {
        Ok(Look::Nothing) => None,
        Ok(Look::LetBe(checked)) => Some(Event::RiskChecked(checked)),
        Ok(Look::SetAside { .. }) => panic!("no rule sets a purchase aside"),
        Err(rule) => return Err(PurchaseBlocked { customer, amount, rule }),
    };
    let counted = terms.parties.as_ref().and_then(|parties| parties.counts(own)).map(Event::OperationCounted);
    Ok(checked.into_iter().chain(counted).collect())
}

impl From<Unbookable> for Rejection {
    fn from(unbookable: Unbookable) -> Rejection {
        match unbookable {
            Unbookable::BalanceTooLarge { balance } => Rejection::BalanceTooLarge { balance },
            Unbookable::PointsTooLarge { points } => Rejection::PointsTooLarge { points },
            Unbookable::WalletFrozen => Rejection::WalletFrozen,
        }
    }
}
