//! The sums of each tenant: what reports and the trial balance show. One fold of the records, exact at every position.
//!
//! The archive keeps them at the end of each segment. So they hold what else is asked of the desk as of a past position:
//! which rules held, and which instant was "now" for them.

use alloc::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::accounts::{Direction, HouseAccount};
use crate::catalogue::{Catalogue, RewardKind};
use crate::event::{DeclineReason, Event, Record, TierPlaced};
use crate::hold::HoldClosed;
use crate::identity::{RuleId, TenantId, Unit};
use crate::journey::Remark;
use crate::points::Expiry;
use crate::quantity::{Amount, Instant, Seq};
use crate::refund::PurchaseRefunded;
use crate::rejection::RejectionCode;

/// The sums of every tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// The last record that was folded in.
    pub last: Seq,
    pub(crate) tenants: BTreeMap<TenantId, TenantTotals>,
}

/// The sums of one tenant. Amounts are minor units of its currency.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantTotals {
    /// Purchases that are booked.
    pub accepted: u64,
    /// Purchase keys whose present result is a refusal.
    pub rejected: BTreeMap<RejectionCode, u64>,
    /// The sum of the booked amounts.
    pub amount: i128,
    /// What promos paid.
    pub point_transaction: i128,
    /// What milestones paid.
    pub point_loyalty: i128,
    /// Customers.
    pub customers: u64,
    /// Each promo's part.
    pub promos: BTreeMap<RuleId, PromoTotals>,
    /// Steps, by programme and remark.
    pub remarks: BTreeMap<(RuleId, Remark), u64>,
    /// Customers, by programme and level.
    pub members: BTreeMap<(RuleId, RuleId), u64>,
    /// What the wallets hold: the house owes it.
    pub wallets: BTreeMap<Unit, i128>,
    /// What was booked on each house account.
    pub house: BTreeMap<(Unit, HouseAccount), Turnover>,
    /// What each cashback rule granted.
    pub cashback: BTreeMap<RuleId, Grants>,
    /// How often each campaign was completed.
    pub campaigns: BTreeMap<RuleId, u64>,
    /// What each reward granted: points or minor units, as the reward says.
    pub rewards: BTreeMap<RuleId, Grants>,
    /// What rewards granted in points of any kind.
    pub reward_points: i128,
    /// What rewards granted in money.
    pub reward_credit: i128,
    /// Customers who completed a campaign at least once.
    pub rewarded_customers: u64,
    /// What the point accounts hold: the house owes it.
    pub points: BTreeMap<Unit, i128>,
    /// What of it expires when, by kind; nothing of what never does.
    pub expiring: BTreeMap<(Expiry, RuleId), i128>,
    /// What was redeemed of each offer: units, and the points that they cost.
    pub offers: BTreeMap<RuleId, Grants>,
    /// The version of the tenant's rules that holds.
    pub version: u32,
    /// The highest accepted `occurred_at`, as the desk keeps it.
    pub watermark: Option<Instant>,
    /// What was refunded, and clawed back for it. The sums above stay what was earned at first.
    pub refunds: RefundTotals,
    /// Operations that were reversed.
    pub reversals: u64,
    /// What of the wallets is held.
    pub held: BTreeMap<Unit, i128>,
    /// How many holds are over by when, of those that are open: by the minutes of [`crate::hold::Hold::due_minute`].
    pub holds_due: BTreeMap<Instant, u64>,
}

/// The sums of refunds. Amounts are minor units of the tenant's currency, or points.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundTotals {
    /// How many refunds.
    pub count: u64,
    /// What was refunded of purchases.
    pub amount: i128,
    /// What promos had paid and was clawed back.
    pub point_transaction: i128,
    /// What milestones had paid and was clawed back.
    pub point_loyalty: i128,
    /// Each promo's part.
    pub promos: BTreeMap<RuleId, PromoRefunds>,
    /// What each cashback rule had granted and was clawed back.
    pub cashback: BTreeMap<RuleId, i128>,
    /// What each reward had granted and was clawed back: points or minor units, as the reward says.
    pub rewards: BTreeMap<RuleId, i128>,
    /// What could not be taken from wallets, and is the house's.
    pub shortfall: i128,
}

/// What refunds did to one promo.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromoRefunds {
    /// What it had paid and was clawed back.
    pub points: i128,
    /// Units of its quota that were returned.
    pub units_returned: u64,
}

impl RefundTotals {
    fn evolve(&mut self, refunded: &PurchaseRefunded) {
        let PurchaseRefunded { amount, claw_back, returned_unit, shortfall, .. } = refunded;
        let units = |amount: Amount| i128::from(amount.minor_units());
        self.count += 1;
        self.amount += units(*amount);
        self.shortfall += units(*shortfall);
        self.point_loyalty += units(claw_back.loyalty);
        if let Some(back) = claw_back.promo {
            self.point_transaction += units(back.points);
            self.promos.entry(back.promo).or_default().points += units(back.points);
        }
        if let Some(promo) = returned_unit {
            self.promos.entry(*promo).or_default().units_returned += 1;
        }
        for back in &claw_back.cashback {
            *self.cashback.entry(back.rule).or_default() += units(back.points);
        }
        for reward in &claw_back.rewards {
            let paid = match reward.paid {
                RewardKind::Points { points, .. } => points,
                RewardKind::WalletCredit { amount } => amount,
            };
            *self.rewards.entry(reward.reward).or_default() += units(paid);
        }
    }
}

/// What was booked on an account of the house.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turnover {
    /// What customers got from it.
    pub debits: i128,
    /// What customers gave to it.
    pub credits: i128,
}

impl Turnover {
    /// Returns what the account holds; debits are positive.
    #[must_use]
    pub const fn net(self) -> i128 {
        self.debits - self.credits
    }

    fn add(&mut self, direction: Direction, amount: Amount) {
        match direction {
            Direction::In => self.debits += i128::from(amount.minor_units()),
            Direction::Out => self.credits += i128::from(amount.minor_units()),
        }
    }
}

/// What a rule granted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grants {
    /// How often.
    pub count: u64,
    /// How much in all.
    pub sum: i128,
}

impl Grants {
    fn add(&mut self, amount: Amount) {
        self.count += 1;
        self.sum += i128::from(amount.minor_units());
    }
}

/// The sums of one promo.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromoTotals {
    /// Purchases that it paid for.
    pub granted: u64,
    /// What it paid.
    pub points: i128,
    /// Purchases that it would have paid for, had its quota not been used up.
    pub declined_exhausted: u64,
    /// Purchases that it declined for another reason.
    pub declined_other: u64,
}

impl Totals {
    /// Folds one record in.
    pub fn evolve(&mut self, record: &Record) {
        self.last = record.seq;
        let tenant = self.tenants.entry(record.body.tenant).or_default();
        for event in &record.body.events {
            tenant.evolve(event);
        }
    }

    /// Returns the sums of one tenant.
    #[must_use]
    pub fn tenant(&self, tenant: TenantId) -> Option<&TenantTotals> {
        self.tenants.get(&tenant)
    }

    /// Lists the sums of every tenant.
    pub fn tenants(&self) -> impl Iterator<Item = (TenantId, &TenantTotals)> {
        self.tenants.iter().map(|(id, totals)| (*id, totals))
    }
}

impl TenantTotals {
    pub(crate) fn evolve(&mut self, event: &Event) {
        match event {
            Event::CatalogueApplied(catalogue) => self.version = catalogue.version,
            Event::CustomerCreated(_) => self.customers += 1,
            Event::PurchaseBooked(booked) => {
                self.watermark = self.watermark.max(booked.drove_rules());
                self.accepted += 1;
                self.amount += i128::from(booked.purchase.amount);
                self.replace(booked.replaces);
            }
            Event::OperationDone(done) => self.watermark = self.watermark.max(done.drove_rules()),
            Event::PurchaseRefused(refused) => {
                self.replace(refused.replaces);
                *self.rejected.entry(refused.code).or_default() += 1;
            }
            Event::PromoGranted(granted) => {
                let points = i128::from(granted.points.minor_units());
                self.point_transaction += points;
                let promo = self.promos.entry(granted.promo).or_default();
                promo.granted += 1;
                promo.points += points;
            }
            Event::PromoDeclined(declined) => {
                let promo = self.promos.entry(declined.promo).or_default();
                match declined.reason {
                    DeclineReason::QuotaExhausted { .. } => promo.declined_exhausted += 1,
                    _ => promo.declined_other += 1,
                }
            }
            Event::TierStepped(stepped) => {
                let program = stepped.after.program;
                *self.remarks.entry((program, stepped.remark)).or_default() += 1;
                self.move_member(program, stepped.before.map(|before| before.level), stepped.after.level);
            }
            Event::SpendCounted(counted) => {
                let before = counted.before.map(|before| before.level);
                self.move_member(counted.after.program, before, counted.after.level);
            }
            Event::TierPlaced(TierPlaced { placed, .. }) => {
                self.move_member(placed.program(), Some(placed.from()), placed.to());
            }
            Event::CashbackEarned(earned) => self.cashback.entry(earned.rule).or_default().add(earned.points),
            Event::FulfillmentAdvanced(_)
            | Event::OperationRefused(_)
            | Event::WalletOpened(_)
            | Event::WalletStatusSet(_)
            | Event::TransferSent(_)
            | Event::TransferCredited(_)
            | Event::TransferDeclined(_)
            | Event::TransferSettled(_)
            | Event::TransferReturned(_)
            | Event::InvoiceOpened(_)
            | Event::InvoiceCancelled(_)
            | Event::InvoicePaid(_)
            | Event::RiskChecked(_)
            | Event::PurchaseBlocked(_)
            | Event::Audited(_)
            | Event::CustomerErased
            | Event::ReviewOpened(_)
            | Event::ReviewClosed(_)
            | Event::OperationCounted(_)
            | Event::RiskCheckArchived(_) => (),
            Event::OperationReversed(_) => self.reversals += 1,
            Event::CampaignCompleted(completed) => {
                *self.campaigns.entry(completed.campaign).or_default() += 1;
                self.rewarded_customers += u64::from(completed.is_first);
            }
            Event::RewardGranted(granted) => {
                let (sum, amount) = match granted.paid {
                    RewardKind::Points { points, .. } => (&mut self.reward_points, points),
                    RewardKind::WalletCredit { amount } => (&mut self.reward_credit, amount),
                };
                *sum += i128::from(amount.minor_units());
                self.rewards.entry(granted.reward).or_default().add(amount);
            }
            Event::PointEntry(entry) => {
                let moved = sign_of(entry.direction) * i128::from(entry.points.minor_units());
                *self.points.entry(entry.unit()).or_default() += moved;
                self.house.entry((entry.unit(), entry.against)).or_default().add(entry.direction, entry.points);
                if entry.expires != Expiry::NEVER {
                    let key = (entry.expires, entry.kind);
                    let sum = self.expiring.entry(key).or_default();
                    *sum += moved;
                    if *sum == 0 {
                        self.expiring.remove(&key);
                    }
                }
            }
            Event::OfferRedeemed(redeemed) => {
                let sums = self.offers.entry(redeemed.offer).or_default();
                sums.count += u64::from(redeemed.quantity);
                sums.sum += i128::from(redeemed.points.minor_units());
            }
            Event::HoldPlaced(hold) => {
                *self.held.entry(hold.unit).or_default() += i128::from(hold.amount.minor_units());
                *self.holds_due.entry(hold.due_minute()).or_default() += 1;
            }
            Event::HoldClosed(HoldClosed { hold, .. }) => {
                *self.held.entry(hold.unit).or_default() -= i128::from(hold.amount.minor_units());
                take_one(&mut self.holds_due, &hold.due_minute());
            }
            Event::MilestoneReached(reached) => self.point_loyalty += i128::from(reached.points.minor_units()),
            Event::PurchaseRefunded(refunded) => self.refunds.evolve(refunded),
            Event::HousePosted(entry) => {
                for (legs, side) in [(&entry.debit, Direction::In), (&entry.credit, Direction::Out)] {
                    for leg in legs {
                        self.house.entry((entry.unit, leg.account)).or_default().add(side, leg.amount);
                    }
                }
            }
            Event::WalletEntry(entry) => {
                let sign = sign_of(entry.direction);
                *self.wallets.entry(entry.unit).or_default() += sign * i128::from(entry.amount.minor_units());
                for leg in &entry.against {
                    self.house.entry((entry.unit, leg.account)).or_default().add(entry.direction, leg.amount);
                }
            }
        }
    }

    /// Returns true when points are there that expired by `now`, or holds that did so a minute ago at the latest.
    #[must_use]
    pub fn has_due(&self, now: Instant) -> bool {
        self.expiring.first_key_value().is_some_and(|((expires, _), _)| expires.is_due(now))
            || self.holds_due.first_key_value().is_some_and(|(minute, _)| *minute <= now)
    }

    /// Counts, by programme, the customers who still stand on a level that `rules` no longer have.
    pub fn members_to_place<'a>(&'a self, rules: &'a Catalogue) -> impl Iterator<Item = (RuleId, u64)> + 'a {
        let is_gone = |(program, level): (RuleId, RuleId)| {
            rules.program(program).is_none_or(|program| program.level_name(level).is_none())
        };
        self.members.iter().filter(move |(place, _)| is_gone(**place)).map(|((program, _), count)| (*program, *count))
    }

    fn move_member(&mut self, program: RuleId, before: Option<RuleId>, after: RuleId) {
        if let Some(before) = before {
            take_one(&mut self.members, &(program, before));
        }
        *self.members.entry((program, after)).or_default() += 1;
    }

    fn replace(&mut self, code: Option<RejectionCode>) {
        if let Some(code) = code {
            take_one(&mut self.rejected, &code);
        }
    }

    /// Returns debits minus credits of each unit: zero, or the ledger is wrong.
    #[must_use]
    pub fn trial_balance(&self) -> BTreeMap<Unit, i128> {
        let owed = self.wallets.iter().chain(&self.points);
        let mut sums: BTreeMap<Unit, i128> = owed.map(|(unit, owed)| (*unit, -owed)).collect();
        for ((unit, _), turnover) in &self.house {
            *sums.entry(*unit).or_default() += turnover.net();
        }
        sums
    }
}

fn sign_of(direction: Direction) -> i128 {
    match direction {
        Direction::In => 1,
        Direction::Out => -1,
    }
}

/// Counts one less, and forgets what is counted down to nothing.
fn take_one<K: Ord>(counts: &mut BTreeMap<K, u64>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(key);
        }
    }
}
