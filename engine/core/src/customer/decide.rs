//! The row's decision: from an admitted purchase to all of its events.
//!
//! A customer whose level was removed is placed first. Then in this order: the promo, which was decided at the desk and
//! only finds its place here; tier steps and their milestones; cashback rules; campaigns and their rewards; then one
//! wallet entry for all money that was earned, and an entry for each grant of points. All of it, or nothing.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::accounts::{Entry, HouseAccount, HouseLeg};
use crate::catalogue::{Campaign, Journey, RewardKind, TierPolicy};
use crate::command::PurchaseCommand;
use crate::customer::Row;
use crate::desk::{PromoTerms, Terms};
use crate::event::{
    Body, CampaignCompleted, CashbackEarned, CustomerCreated, Event, FulfillmentAdvanced, MilestoneReached,
    PromoDeclined, PromoGranted, PurchaseBooked, RewardGranted, SpendCounted, TierStepped,
};
use crate::identity::{CustomerName, PartnerId, RuleId, WalletId};
use crate::journey;
use crate::placement;
use crate::points::PointEntry;
use crate::quantity::{Amount, Balance, Seq};
use crate::rejection::Rejection;
use crate::threshold;

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
    let (row, placed) = match row {
        Some(row) => {
            let (row, placed) = placement::up_to_date(row, &terms.removals);
            (Some(row), placed)
        }
        None => (None, Vec::new()),
    };
    let row = row.as_deref();
    let mut earned = Earned::new(row, terms);
    earned.events.extend(placed.into_iter().map(Event::TierPlaced));
    if row.is_none() {
        let CustomerName::Alias(alias) = command.customer else { panic!("only an alias creates a customer") };
        earned.events.push(Event::CustomerCreated(CustomerCreated { alias }));
    }
    // The purchase stands before all that it does; its place is filled once nothing can refuse it any more.
    let booked_at = earned.events.len();
    let all = earned
        .promo(command.partner)
        .and_then(|()| earned.tiers())
        .and_then(|()| earned.cashback(&command))
        .and_then(|()| earned.campaigns(&command))
        .and_then(|()| earned.post());
    let balance_after = match all {
        Ok(balance_after) => balance_after,
        Err(rejection) => return Decision::Refused(rejection, command),
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

/// What a purchase earns, rule by rule: the events so far, and what is still to be posted.
struct Earned<'a> {
    row: Option<&'a Row>,
    terms: &'a Terms,
    events: Vec<Event>,
    /// What the wallet is credited with, and who pays.
    legs: Vec<HouseLeg>,
    /// The point entries, with the balances that they lead to.
    points: Vec<PointEntry>,
}

impl<'a> Earned<'a> {
    fn new(row: Option<&'a Row>, terms: &'a Terms) -> Earned<'a> {
        Earned { row, terms, events: Vec::with_capacity(8), legs: Vec::with_capacity(2), points: Vec::new() }
    }

    fn balance(&self) -> Balance {
        self.row.map_or(Balance::ZERO, |row| row.balance(CASHBACK_WALLET))
    }

    fn promo(&mut self, partner: PartnerId) -> Result<(), Rejection> {
        match self.terms.promo {
            PromoTerms::NoPromo => (),
            PromoTerms::Granted { promo, band, points } => {
                self.events.push(Event::PromoGranted(PromoGranted { promo, band, points }));
                let funded_by = self.terms.catalogue.promo(promo).and_then(|promo| promo.funded_by).unwrap_or(partner);
                self.legs.push(HouseLeg { account: HouseAccount::PromoExpense(funded_by), amount: points });
            }
            PromoTerms::Declined { promo, reason } => {
                self.events.push(Event::PromoDeclined(PromoDeclined { promo, reason }));
            }
        }
        Ok(())
    }

    fn tiers(&mut self) -> Result<(), Rejection> {
        let too_large = Rejection::BalanceTooLarge { balance: self.balance() };
        let mut loyalty = Amount::ZERO;
        for program in &self.terms.catalogue.programs {
            match &program.policy {
                TierPolicy::Journey(journey) => {
                    let paid = self.journey(program.id, journey);
                    loyalty = loyalty.plus(paid).ok_or_else(|| too_large.clone())?;
                }
                TierPolicy::Threshold(threshold) => {
                    let before = self.row.and_then(|row| row.spend(program.id)).copied();
                    let after = threshold::step(program.id, threshold, before.as_ref(), self.terms.amount);
                    let spent = before.map_or(Amount::ZERO, |before| before.spent);
                    let after = after.ok_or(Rejection::PointsTooLarge { points: spent })?;
                    self.events.push(Event::SpendCounted(SpendCounted { before, after }));
                }
            }
        }
        self.legs.push(HouseLeg { account: HouseAccount::LoyaltyExpense, amount: loyalty });
        Ok(())
    }

    /// Takes the step in one Journey programme, and returns what its milestone pays.
    fn journey(&mut self, program: RuleId, rules: &Journey) -> Amount {
        let before = self.row.and_then(|row| row.standing(program)).copied();
        let step = journey::step(program, rules, before.as_ref(), self.terms.at);
        self.events.push(Event::TierStepped(TierStepped { before, after: step.standing, remark: step.remark }));
        let Some(milestone) = step.milestone else { return Amount::ZERO };
        self.events.push(Event::MilestoneReached(MilestoneReached {
            program,
            level: step.standing.level,
            milestone: milestone.id,
            at_count: milestone.at_count,
            points: milestone.points,
        }));
        milestone.points
    }

    fn cashback(&mut self, command: &PurchaseCommand) -> Result<(), Rejection> {
        let terms = self.terms;
        for rule in &terms.catalogue.cashback_rules {
            let points = rule.pays_for(&command.purchase, terms.amount, command.partner, terms.at);
            if !points.is_zero() {
                let (rule, kind) = (rule.id, rule.pays);
                self.events.push(Event::CashbackEarned(CashbackEarned { rule, kind, points }));
                self.grant_points(kind, rule, points)?;
            }
        }
        Ok(())
    }

    fn campaigns(&mut self, command: &PurchaseCommand) -> Result<(), Rejection> {
        let terms = self.terms;
        let mut has_completed = self.row.is_some_and(|row| row.campaigns.iter().any(|own| 0 < own.completions));
        for campaign in &terms.catalogue.campaigns {
            let before = self.row.and_then(|row| row.campaign(campaign.id));
            let advance = campaign.advance(&terms.catalogue, before, &command.purchase, terms.amount, terms.at);
            let Some(advance) = advance else { continue };
            for progress in advance.progress {
                let campaign = campaign.id;
                self.events.push(Event::FulfillmentAdvanced(FulfillmentAdvanced { campaign, progress }));
            }
            if advance.is_completed {
                let completions = before.map_or(0, |before| before.completions).saturating_add(1);
                let (campaign_id, is_first) = (campaign.id, !has_completed);
                has_completed = true;
                let completed = CampaignCompleted { campaign: campaign_id, completions, is_first };
                self.events.push(Event::CampaignCompleted(completed));
                self.rewards(campaign)?;
            }
        }
        Ok(())
    }

    fn rewards(&mut self, campaign: &Campaign) -> Result<(), Rejection> {
        let terms = self.terms;
        for reward in campaign.rewards.iter().filter_map(|id| terms.catalogue.reward(*id)) {
            let granted = RewardGranted { campaign: campaign.id, reward: reward.id, paid: reward.kind };
            self.events.push(Event::RewardGranted(granted));
            match reward.kind {
                RewardKind::Points { kind, points } => self.grant_points(kind, reward.id, points)?,
                RewardKind::WalletCredit { amount } => {
                    self.legs.push(HouseLeg { account: HouseAccount::RewardExpense, amount });
                }
            }
        }
        Ok(())
    }

    fn grant_points(&mut self, kind: RuleId, source: RuleId, points: Amount) -> Result<(), Rejection> {
        let latest = self.points.iter().rev().find(|entry| entry.kind == kind).map(|entry| entry.balance_after);
        let held = || self.row.map_or(Amount::ZERO, |row| row.point_balance(kind));
        let balance = latest.unwrap_or_else(held);
        let entry = PointEntry::grant(kind, source, points, balance);
        self.points.push(entry.ok_or(Rejection::PointsTooLarge { points: balance })?);
        Ok(())
    }

    /// Posts all of it, and returns what is in the wallet then.
    fn post(&mut self) -> Result<Balance, Rejection> {
        let balance = self.balance();
        let mut balance_after = balance;
        self.legs.retain(|leg| !leg.amount.is_zero());
        if !self.legs.is_empty() {
            let entry = Entry::credit(CASHBACK_WALLET, self.terms.catalogue.unit(), balance, &self.legs);
            let entry = entry.ok_or(Rejection::BalanceTooLarge { balance })?;
            balance_after = entry.balance_after;
            self.events.push(Event::WalletEntry(entry));
        }
        self.events.extend(self.points.drain(..).map(Event::PointEntry));
        Ok(balance_after)
    }
}
