//! The row's decision: from an admitted purchase to all of its events.
//!
//! In this order: tier steps and their milestones, then one wallet entry for all that was earned. The promo was decided
//! at the desk and only finds its place here.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::accounts::{Entry, HouseAccount, HouseLeg};
use crate::catalogue::TierPolicy;
use crate::command::PurchaseCommand;
use crate::customer::Row;
use crate::desk::{PromoTerms, Terms};
use crate::event::{
    Body, CustomerCreated, Event, MilestoneReached, PromoDeclined, PromoGranted, PurchaseBooked, TierStepped,
};
use crate::identity::{CustomerName, RuleId, WalletId};
use crate::journey;
use crate::quantity::{Amount, Seq};
use crate::rejection::Rejection;

/// The wallet that cashback goes to.
const CASHBACK_WALLET: WalletId = WalletId(0);

impl Needs {
    /// Answers needs of which there are none: the resource kinds are empty.
    ///
    /// # Panics
    ///
    /// If a row needs an empty list, which no rule makes.
    pub fn nothing<T>(self) -> T {
        match self.resources.into_iter().next() {
            Some(resource) => match resource.kind {},
            None => panic!("a row that needs nothing must decide"),
        }
    }
}

/// What the row says.
#[derive(Debug)]
pub enum Decision {
    /// All that happened. `previous` is left to whoever gives the position.
    Decided(Body),
    /// The row must know what of these it may use, and then decides again. It is unchanged.
    Needs(Needs),
    /// It is refused. The command is given back for its receipt.
    Refused(Rejection, Box<PurchaseCommand>),
}

/// Resources of the desk that only the row could name.
#[derive(Debug)]
pub struct Needs {
    /// What, in the order in which the row uses them.
    pub resources: Vec<Resource>,
    /// The command, to decide again.
    pub command: Box<PurchaseCommand>,
}

/// A count or an amount of something that the desk owns.
#[derive(Debug)]
pub struct Resource {
    /// Of which rule.
    pub id: RuleId,
    /// What is counted.
    pub kind: ResourceKind,
    /// How much.
    pub amount: u64,
}

/// What a resource counts. No rule has one yet: budgets and stocks come with campaigns, and until then the compiler
/// proves that no row ever needs anything.
#[derive(Debug)]
pub enum ResourceKind {}

/// Decides a purchase that the desk admitted. `row` is `None` for a customer who does not exist yet.
///
/// # Panics
///
/// If the desk admitted a customer by an id that has no row.
#[must_use]
pub fn decide(row: Option<&Row>, terms: &Terms, command: Box<PurchaseCommand>) -> Decision {
    let rules = &terms.catalogue;
    let mut events = Vec::with_capacity(8);
    if row.is_none() {
        let CustomerName::Alias(alias) = command.customer else { panic!("only an alias creates a customer") };
        events.push(Event::CustomerCreated(CustomerCreated { alias }));
    }
    // The purchase stands first; its place is filled once nothing can refuse it any more.
    let booked_at = events.len();
    let mut legs = Vec::with_capacity(2);
    match terms.promo {
        PromoTerms::NoPromo => (),
        PromoTerms::Granted { promo, band, points } => {
            events.push(Event::PromoGranted(PromoGranted { promo, band, points }));
            let funded_by = rules.promo(promo).and_then(|promo| promo.funded_by).unwrap_or(command.partner);
            legs.push(HouseLeg { account: HouseAccount::PromoExpense(funded_by), amount: points });
        }
        PromoTerms::Declined { promo, reason } => events.push(Event::PromoDeclined(PromoDeclined { promo, reason })),
    }
    let balance = row.map_or(Amount::ZERO, |row| row.balance(CASHBACK_WALLET));
    let mut loyalty = Amount::ZERO;
    for program in &rules.programs {
        let TierPolicy::Journey(journey_rules) = &program.policy;
        let before = row.and_then(|row| row.standing(program.id)).copied();
        let step = journey::step(program, journey_rules, before.as_ref(), terms.at);
        events.push(Event::TierStepped(TierStepped { before, after: step.standing, remark: step.remark }));
        if let Some(milestone) = step.milestone {
            events.push(Event::MilestoneReached(MilestoneReached {
                program: program.id,
                level: step.standing.level,
                milestone: milestone.id,
                at_count: milestone.at_count,
                points: milestone.points,
            }));
            let Some(sum) = loyalty.plus(milestone.points) else {
                return Decision::Refused(Rejection::BalanceTooLarge { balance }, command);
            };
            loyalty = sum;
        }
    }
    if !loyalty.is_zero() {
        legs.push(HouseLeg { account: HouseAccount::LoyaltyExpense, amount: loyalty });
    }
    let mut balance_after = balance;
    if !legs.is_empty() {
        let Some(entry) = Entry::credit(CASHBACK_WALLET, rules.unit(), balance, &legs) else {
            return Decision::Refused(Rejection::BalanceTooLarge { balance }, command);
        };
        balance_after = entry.balance_after;
        events.push(Event::WalletEntry(entry));
    }
    let PurchaseCommand { partner, key, fingerprint, purchase, .. } = *command;
    let (at, replaces) = (terms.at, terms.replaces);
    let booked = PurchaseBooked { partner, key, fingerprint, at, replaces, balance_after, purchase };
    events.insert(booked_at, Event::PurchaseBooked(Box::new(booked)));
    Decision::Decided(Body {
        received_at: terms.received_at,
        tenant: rules.tenant,
        catalogue_version: rules.version,
        customer: Some(terms.customer),
        previous: Seq::ZERO,
        events,
    })
}
