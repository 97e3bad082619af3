//! What a command earns its customer, rule by rule: the events so far, and what is still to be posted.
//!
//! A purchase goes through all rules; an activity that is reported goes through campaigns alone. In the end there is one
//! wallet entry for all money that was earned, and an entry for each grant of points.

use alloc::vec::Vec;

use crate::accounts::{Entry, HouseAccount, HouseLeg};
use crate::campaign::{Activity, Budgets};
use crate::catalogue::{Campaign, Catalogue, Journey, RewardKind, TierPolicy};
use crate::customer::Row;
use crate::desk::PromoTerms;
use crate::event::{
    CampaignCompleted, CashbackEarned, Event, FulfillmentAdvanced, MilestoneReached, PromoDeclined, PromoGranted,
    RewardGranted, SpendCounted, TierStepped,
};
use crate::identity::{PartnerId, RuleId};
use crate::journey;
use crate::points::{Expiry, Lot, Maturity, PointEntry};
use crate::purchase::Purchase;
use crate::quantity::{Amount, Balance, Instant};
use crate::threshold;
use crate::wallet::{CASHBACK_WALLET, Wallet, WalletStatus};

/// Why what is earned cannot be booked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unbookable {
    /// The wallet would pass the largest amount.
    BalanceTooLarge {
        /// What is in it.
        balance: Balance,
    },
    /// A sum of points would pass the largest amount.
    PointsTooLarge {
        /// The sum so far.
        points: Amount,
    },
    /// The wallet that it goes to is frozen.
    WalletFrozen,
}

/// What is earned.
pub(super) struct Earned<'a> {
    row: Option<&'a Row>,
    rules: &'a Catalogue,
    /// The instant that the rules see.
    at: Instant,
    pub(super) events: Vec<Event>,
    /// What the wallet is credited with, and who pays.
    legs: Vec<HouseLeg>,
    /// The point entries, with the balances that they lead to.
    points: Vec<PointEntry>,
}

impl<'a> Earned<'a> {
    pub(super) fn new(row: Option<&'a Row>, rules: &'a Catalogue, at: Instant) -> Earned<'a> {
        let (events, legs) = (Vec::with_capacity(8), Vec::with_capacity(2));
        Earned { row, rules, at, events, legs, points: Vec::new() }
    }

    fn wallet(&self) -> Wallet {
        let unit = self.rules.unit();
        let own = self.row.and_then(|row| row.wallet(CASHBACK_WALLET, unit));
        own.unwrap_or(Wallet::new(CASHBACK_WALLET, unit))
    }

    /// Finds the place of what the desk decided of the promo.
    pub(super) fn promo(&mut self, promo: PromoTerms, partner: PartnerId) {
        match promo {
            PromoTerms::NoPromo => (),
            PromoTerms::Granted { promo, band, points } => {
                self.events.push(Event::PromoGranted(PromoGranted { promo, band, points }));
                let funded_by = self.rules.promo(promo).and_then(|promo| promo.funded_by).unwrap_or(partner);
                self.legs.push(HouseLeg { account: HouseAccount::PromoExpense(funded_by), amount: points });
            }
            PromoTerms::Declined { promo, reason } => {
                self.events.push(Event::PromoDeclined(PromoDeclined { promo, reason }));
            }
        }
    }

    /// Takes the step of a purchase of `amount` in each tier programme.
    pub(super) fn tiers(&mut self, amount: Amount) -> Result<(), Unbookable> {
        let too_large = Unbookable::BalanceTooLarge { balance: self.wallet().balance };
        let mut loyalty = Amount::ZERO;
        for program in &self.rules.programs {
            match &program.policy {
                TierPolicy::Journey(journey) => {
                    let paid = self.journey(program.id, journey);
                    loyalty = loyalty.plus(paid).ok_or(too_large)?;
                }
                TierPolicy::Threshold(threshold) => {
                    let before = self.row.and_then(|row| row.spend(program.id)).copied();
                    let after = threshold::step(program.id, threshold, before.as_ref(), amount);
                    let spent = before.map_or(Amount::ZERO, |before| before.spent);
                    let after = after.ok_or(Unbookable::PointsTooLarge { points: spent })?;
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
        let step = journey::step(program, rules, before.as_ref(), self.at);
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

    /// Grants what each cashback rule pays for a purchase.
    pub(super) fn cashback(
        &mut self,
        purchase: &Purchase,
        amount: Amount,
        partner: PartnerId,
    ) -> Result<(), Unbookable> {
        let rules = self.rules;
        for rule in &rules.cashback_rules {
            let points = rule.pays_for(purchase, amount, partner, self.at);
            if !points.is_zero() {
                let (source, kind) = (rule.id, rule.pays);
                let (expires, matures) =
                    (Expiry::of(self.at, rule.life_days), Maturity::of(self.at, rule.pending_days));
                self.events.push(Event::CashbackEarned(CashbackEarned { rule: source, kind, points }));
                self.grant_points(kind, Lot { expires, source, matures, points })?;
            }
        }
        Ok(())
    }

    /// Advances each campaign by what the customer did, and pays the rewards of those that are completed; nothing happens to
    /// those whose budget is used up.
    pub(super) fn campaigns(&mut self, activity: Activity<'_>, budgets: &Budgets) -> Result<(), Unbookable> {
        let rules = self.rules;
        let mut has_completed = self.row.is_some_and(|row| row.campaigns.iter().any(|own| 0 < own.completions));
        for campaign in rules.campaigns.iter().filter(|campaign| !budgets.used_up.contains(&campaign.id)) {
            let before = self.row.and_then(|row| row.campaign(campaign.id));
            let Some(advance) = campaign.advance(rules, before, activity, self.at) else { continue };
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

    fn rewards(&mut self, campaign: &Campaign) -> Result<(), Unbookable> {
        let rules = self.rules;
        for reward in campaign.rewards.iter().filter_map(|id| rules.reward(*id)) {
            let granted = RewardGranted { campaign: campaign.id, reward: reward.id, paid: reward.kind };
            self.events.push(Event::RewardGranted(granted));
            match reward.kind {
                RewardKind::Points { kind, points } => {
                    let (source, expires) = (reward.id, Expiry::of(self.at, reward.life_days));
                    let matures = Maturity::of(self.at, reward.pending_days);
                    self.grant_points(kind, Lot { expires, source, matures, points })?;
                }
                RewardKind::WalletCredit { amount } => {
                    self.legs.push(HouseLeg { account: HouseAccount::RewardExpense, amount });
                }
            }
        }
        Ok(())
    }

    fn grant_points(&mut self, kind: RuleId, lot: Lot) -> Result<(), Unbookable> {
        let latest = self.points.iter().rev().find(|entry| entry.kind == kind).map(|entry| entry.balance_after);
        let held = || self.row.map_or(Amount::ZERO, |row| row.point_balance(kind));
        let balance = latest.unwrap_or_else(held);
        let entry = PointEntry::grant(kind, lot, balance);
        self.points.push(entry.ok_or(Unbookable::PointsTooLarge { points: balance })?);
        Ok(())
    }

    /// Posts all of it, and returns what is in the wallet then.
    pub(super) fn post(&mut self) -> Result<Balance, Unbookable> {
        let wallet = self.wallet();
        let mut balance_after = wallet.balance;
        self.legs.retain(|leg| !leg.amount.is_zero());
        if !self.legs.is_empty() {
            // It is never closed.
            if wallet.status != WalletStatus::Active {
                return Err(Unbookable::WalletFrozen);
            }
            let entry = Entry::credit(CASHBACK_WALLET, wallet.unit, wallet.balance, &self.legs);
            let entry = entry.ok_or(Unbookable::BalanceTooLarge { balance: wallet.balance })?;
            balance_after = entry.balance_after;
            self.events.push(Event::WalletEntry(entry));
        }
        self.events.extend(self.points.drain(..).map(Event::PointEntry));
        Ok(balance_after)
    }
}
