//! What a change of the rules would do to the customers as they stand, counted before it is made.
//!
//! Pure: a row, the rules before and after, and an instant go in, counts come out. Nothing is decided here: the counts
//! say what [`placement`](crate::placement), [`journey`](crate::journey), [`threshold`](crate::threshold),
//! [`cashback`](crate::cashback) and [`campaign`](crate::campaign) would do. Parts of the rows may be counted apart and
//! added up.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::catalogue::{Campaign, CashbackRule, Catalogue, Journey, Threshold, TierPolicy};
use crate::customer::Row;
use crate::identity::{CustomerId, RuleId};
use crate::journey::{self, Standing};
use crate::placement::{self, Removal};
use crate::quantity::Instant;
use crate::threshold::SpendStanding;
use crate::upkeep;

/// Customers that are named as examples of each count.
pub const EXAMPLES_MAX: usize = 5;

/// A version of a tenant's rules, and the one that would follow it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleChange {
    /// What holds.
    pub before: Arc<Catalogue>,
    /// What would hold.
    pub after: Arc<Catalogue>,
    /// The levels that go with the change.
    removal: Option<Removal>,
}

impl RuleChange {
    /// Makes the change from a version to the one that would follow it.
    #[must_use]
    pub fn new(before: Arc<Catalogue>, after: Arc<Catalogue>) -> RuleChange {
        let removal = Removal::between(&before, &after);
        RuleChange { before, after, removal }
    }
}

/// What the change would do, counted over some of the tenant's customers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preview {
    /// How many customers were looked at.
    pub customers: u64,
    /// Who would stand elsewhere. A customer is counted once a programme.
    pub tiers: BTreeMap<TierMove, Customers>,
    /// Campaigns that stop, with those whom they leave with progress.
    pub campaigns: BTreeMap<RuleId, Stopped>,
    /// Cashback rules that stop, with those who hold points of theirs. The points stay.
    pub cashback_rules: BTreeMap<RuleId, Stopped>,
}

/// Where some customers would stand instead, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TierMove {
    /// The programme.
    pub program: RuleId,
    /// When they move.
    pub when: When,
    /// The level that they are shown at under the rules before.
    pub from: RuleId,
    /// The level that the rules after would give them.
    pub to: RuleId,
}

/// When customers move to the level that other rules give them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum When {
    /// With the change: they are shown at the new level from then on. Of a level that is gone, where its customers are
    /// placed; of a Journey, also by what a gap means then.
    AtOnce,
    /// With their next purchase, if it came now. Of a Journey, whose next purchase takes them elsewhere than it would.
    NextPurchase,
    /// With the purchase that takes what they spent across the bound above `to`; that bound's level is then theirs. Of a
    /// Threshold whose bounds were lowered below what they have spent.
    NextBound,
    /// Not by this change: they keep `from`, although somebody new who spends as much would stand on `to`.
    Never,
}

/// Some customers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Customers {
    /// How many.
    pub count: u64,
    /// Those with the lowest ids, at most [`EXAMPLES_MAX`], in order.
    pub examples: Vec<CustomerId>,
}

/// A rule that stops with the change, and what customers have with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// Why.
    pub why: Why,
    /// Who has progress with the campaign, or points by the cashback rule.
    pub customers: Customers,
    /// Who has completed the campaign at least once.
    pub completed: u64,
    /// How many points of the cashback rule all of them hold.
    pub points: i128,
}

/// Why a rule stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It is not there any more.
    Removed,
    /// It is there and does nothing now: switched off, or outside of its period.
    Off,
}

impl Customers {
    fn add(&mut self, customer: CustomerId) {
        self.merge(Customers { count: 1, examples: [customer].into() });
    }

    fn merge(&mut self, other: Customers) {
        self.count += other.count;
        for id in other.examples {
            let at = self.examples.partition_point(|own| *own < id);
            if at < EXAMPLES_MAX {
                self.examples.insert(at, id);
                self.examples.truncate(EXAMPLES_MAX);
            }
        }
    }
}

impl Stopped {
    fn new(why: Why) -> Stopped {
        Stopped { why, customers: Customers::default(), completed: 0, points: 0 }
    }

    fn merge(&mut self, other: Stopped) {
        self.customers.merge(other.customers);
        self.completed += other.completed;
        self.points += other.points;
    }
}

impl Preview {
    /// Makes the preview of a change at `now`, before any customer is looked at. Every rule that stops is in it.
    #[must_use]
    pub fn new(change: &RuleChange, now: Instant) -> Preview {
        let (before, after) = (&change.before, &change.after);
        let why = |runs: bool, next: Option<bool>| match next {
            None => Some(Why::Removed),
            Some(false) if runs => Some(Why::Off),
            Some(_) => None,
        };
        let campaigns = before.campaigns.iter().filter_map(|own| {
            let next = after.campaign(own.id).map(|next| campaign_runs(next, now));
            Some((own.id, Stopped::new(why(campaign_runs(own, now), next)?)))
        });
        let cashback_rules = before.cashback_rules.iter().filter_map(|own| {
            let next = after.cashback_rule(own.id).map(|next| cashback_runs(next, now));
            Some((own.id, Stopped::new(why(cashback_runs(own, now), next)?)))
        });
        Preview {
            customers: 0,
            tiers: BTreeMap::new(),
            campaigns: campaigns.collect(),
            cashback_rules: cashback_rules.collect(),
        }
    }

    /// Looks at one of the tenant's customers, as of `now`. `removals` are all of the tenant's, the oldest first: the row
    /// may still stand on a level that went before.
    pub fn look(&mut self, change: &RuleChange, removals: &[Removal], row: &Row, now: Instant) {
        self.customers += 1;
        // Somebody may have changed the rules since `before` was read.
        let known = removals.partition_point(|removal| removal.version() <= change.before.version);
        let (row, _) = upkeep::up_to_date(row, &removals[..known], now);
        let (placed, _) = placement::placed(&row, change.removal.as_slice());
        for program in &change.before.programs {
            let Some(next) = change.after.program(program.id) else { continue };
            let moved = match (&program.policy, &next.policy) {
                (TierPolicy::Journey(before), TierPolicy::Journey(after)) => {
                    let stands = row.standing(program.id).zip(placed.standing(program.id));
                    stands.and_then(|(was, is)| journey_move((before, was), (after, is), now))
                }
                (TierPolicy::Threshold(before), TierPolicy::Threshold(after)) => {
                    let stands = row.spend(program.id).zip(placed.spend(program.id));
                    stands.and_then(|(was, is)| threshold_move((before, was), (after, is)))
                }
                // A programme keeps its policy.
                (TierPolicy::Journey(_), TierPolicy::Threshold(_))
                | (TierPolicy::Threshold(_), TierPolicy::Journey(_)) => None,
            };
            if let Some(moved) = moved {
                self.tiers.entry(moved).or_default().add(row.id);
            }
        }
        for standing in &row.campaigns {
            let Some(stopped) = self.campaigns.get_mut(&standing.campaign) else { continue };
            stopped.completed += u64::from(0 < standing.completions);
            if !standing.progress.is_empty() {
                stopped.customers.add(row.id);
            }
        }
        for (rule, stopped) in &mut self.cashback_rules {
            // A rule that paid another kind before has lots of both.
            let lots = row.points.iter().flat_map(|account| &account.lots).filter(|lot| lot.source == *rule);
            let points: i128 = lots.map(|lot| i128::from(lot.points.minor_units())).sum();
            if 0 < points {
                stopped.points += points;
                stopped.customers.add(row.id);
            }
        }
    }

    /// Adds what was counted over other customers, of the same change.
    pub fn merge(&mut self, other: Preview) {
        self.customers += other.customers;
        for (moved, customers) in other.tiers {
            self.tiers.entry(moved).or_default().merge(customers);
        }
        for (own, more) in [(&mut self.campaigns, other.campaigns), (&mut self.cashback_rules, other.cashback_rules)] {
            for (rule, stopped) in more {
                own.entry(rule).or_insert_with(|| Stopped::new(stopped.why)).merge(stopped);
            }
        }
    }
}

fn campaign_runs(campaign: &Campaign, now: Instant) -> bool {
    campaign.starts_at.is_none_or(|starts_at| starts_at <= now) && campaign.ends_at.is_none_or(|ends_at| now <= ends_at)
}

fn cashback_runs(rule: &CashbackRule, now: Instant) -> bool {
    rule.is_active && rule.ends_at.is_none_or(|ends_at| now <= ends_at)
}

/// Where a customer of a Journey would stand instead: each standing by its rules.
fn journey_move(before: (&Journey, &Standing), after: (&Journey, &Standing), now: Instant) -> Option<TierMove> {
    let program = before.1.program;
    let shown = |(rules, standing)| journey::effective_level(rules, standing, now);
    let moved = |when, to| TierMove { program, when, from: shown(before), to };
    if shown(before) != shown(after) {
        return Some(moved(When::AtOnce, shown(after)));
    }
    let next = |(rules, standing)| journey::step(program, rules, Some(standing), now).standing.level;
    (next(before) != next(after)).then(|| moved(When::NextPurchase, next(after)))
}

/// Where a customer of a Threshold programme would stand instead: each standing by its rules.
fn threshold_move(before: (&Threshold, &SpendStanding), after: (&Threshold, &SpendStanding)) -> Option<TierMove> {
    let ((old_rules, was), (rules, is)) = (before, after);
    let moved = |when, to| Some(TierMove { program: was.program, when, from: was.level, to });
    if was.level != is.level {
        return moved(When::AtOnce, is.level);
    }
    // A customer whom a purchase moved since `before` was read may stand on a level of neither version.
    let present = rules.level(is.level)?;
    let to = rules.reached_by(is.spent);
    if present.id == to.id || old_rules.reached_by(was.spent).id == to.id {
        return None;
    }
    // Only a purchase that crosses a bound moves anybody, and only up: see `threshold::step`.
    let is_highest = rules.levels.last().is_some_and(|highest| highest.id == to.id);
    let keeps = to.spent_min < present.spent_min || is_highest;
    moved(if keeps { When::Never } else { When::NextBound }, to.id)
}
