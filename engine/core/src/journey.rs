//! The steps of a Journey programme: KezBek's loyalty factor.
//!
//! A customer counts purchases within a level. A full count leads up, a long gap down, a longer one to the bottom; a
//! milestone pays when the count reaches its number. Gaps are whole days of 24 hours and are looked at only when the
//! next purchase comes; [`effective_level`] tells where a customer would stand if it came now.

use serde::{Deserialize, Serialize};

use crate::catalogue::{AtMaximum, Journey, JourneyLevel, Milestone};
use crate::identity::RuleId;
use crate::quantity::Instant;

/// Where a customer stands in a programme.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Standing {
    /// The programme.
    pub program: RuleId,
    /// The level.
    pub level: RuleId,
    /// Purchases within the level, the present one included.
    pub count: u32,
    /// The latest instant of any purchase.
    pub last_at: Instant,
}

/// What a step was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Remark {
    /// One more within the level.
    None,
    /// The first purchase ever.
    FirstTransaction,
    /// The count was full: up one level, count 1.
    Upgrade,
    /// A long gap: down one level, count 1. The lowest level steps down to itself.
    Downgrade,
    /// A longer gap: down to the lowest level, count 1.
    Reset,
    /// The count of the highest level was full before: counted, nothing paid.
    Maximum,
    /// The count of the highest level was full before: its cycle starts again at 1.
    Restart,
}

/// A step, and what it pays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Where the customer stands now.
    pub standing: Standing,
    /// What the step was.
    pub remark: Remark,
    /// What the new count pays.
    pub milestone: Option<Milestone>,
}

/// What a gap since the last purchase means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gap {
    Active,
    Downgrade,
    Reset,
}

fn gap(rules: &Journey, last_at: Instant, at: Instant) -> Gap {
    // A negative gap, a purchase that arrives late, is active.
    let days = at.whole_days_since(last_at);
    if days <= i64::from(rules.downgrade_after_days) {
        Gap::Active
    } else if days <= i64::from(rules.reset_after_days) {
        Gap::Downgrade
    } else {
        Gap::Reset
    }
}

fn level_of<'a>(rules: &'a Journey, standing: &Standing) -> &'a JourneyLevel {
    // A level that is gone from the catalogue counts as the lowest until its members are placed anew.
    rules.level(standing.level).unwrap_or_else(|| rules.lowest())
}

/// Takes the step of one purchase at `at`. `before` is `None` for a customer who is new to the programme.
#[must_use]
pub fn step(program: RuleId, rules: &Journey, before: Option<&Standing>, at: Instant) -> Step {
    let Some(before) = before else {
        let standing = Standing { program, level: rules.lowest().id, count: 1, last_at: at };
        // The seed does not look for milestones at a first purchase, not even for one at count 1.
        return Step { standing, remark: Remark::FirstTransaction, milestone: None };
    };
    let level = level_of(rules, before);
    let (id, count, remark) = match gap(rules, before.last_at, at) {
        Gap::Active if before.count < level.count_max => (level.id, before.count.saturating_add(1), Remark::None),
        Gap::Active if level.is_highest() => match rules.at_maximum {
            AtMaximum::PayNothing => (level.id, before.count.saturating_add(1), Remark::Maximum),
            AtMaximum::RestartCycle => (level.id, 1, Remark::Restart),
        },
        Gap::Active => (level.next, 1, Remark::Upgrade),
        Gap::Downgrade => (level.previous, 1, Remark::Downgrade),
        Gap::Reset => (rules.lowest().id, 1, Remark::Reset),
    };
    let standing = Standing { program, level: id, count, last_at: before.last_at.max(at) };
    let milestone = rules.level(id).and_then(|level| level.milestone_at(count)).copied();
    // A full top level counts on beyond its last number; a milestone set beyond it would pay, the rule says it must not.
    let milestone = if remark == Remark::Maximum { None } else { milestone };
    Step { standing, remark, milestone }
}

/// Returns the level that a customer holds at `now`: what the gap so far already means, although no purchase came.
#[must_use]
pub fn effective_level(rules: &Journey, standing: &Standing, now: Instant) -> RuleId {
    let level = level_of(rules, standing);
    match gap(rules, standing.last_at, now) {
        Gap::Active => level.id,
        Gap::Downgrade => level.previous,
        Gap::Reset => rules.lowest().id,
    }
}
