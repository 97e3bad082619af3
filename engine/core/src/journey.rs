//! The steps of a Journey programme: KezBek's loyalty factor.
//!
//! A customer counts purchases within a level. A full count leads up, a long gap down, a longer one to the bottom; a
//! milestone pays when the count reaches its number. Gaps are whole days of 24 hours and are looked at only when the
//! next purchase comes; [`effective_level`] tells where a customer would stand if it came now.

use serde::{Deserialize, Serialize};

use crate::catalogue::{AtMaximum, Journey, JourneyLevel, Milestone};
use crate::identity::RuleId;
use crate::quantity::{Amount, Instant};

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

/// Why a milestone of the level that a step leads to does not pay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmet {
    /// The seed does not look for milestones at a first purchase, not even for one at count 1.
    FirstTransaction,
    /// A full top level counts on beyond its last number; a milestone set beyond it would pay, the rule says it must not.
    Maximum,
    /// It is for another count.
    OtherCount,
}

impl Milestone {
    /// Decides whether a step of this remark that leads to this count pays.
    ///
    /// # Errors
    ///
    /// Why it does not.
    pub const fn judge(&self, remark: Remark, count: u32) -> Result<Amount, Unmet> {
        match remark {
            Remark::FirstTransaction => Err(Unmet::FirstTransaction),
            Remark::Maximum => Err(Unmet::Maximum),
            _ if self.at_count == count => Ok(self.points),
            _ => Err(Unmet::OtherCount),
        }
    }
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

impl Journey {
    /// Returns the level that counts as that of a standing.
    #[must_use]
    pub fn level_of(&self, standing: &Standing) -> &JourneyLevel {
        // A level that is gone from the catalogue counts as the lowest until its members are placed anew.
        self.level(standing.level).unwrap_or_else(|| self.lowest())
    }
}

/// Takes the step of one purchase at `at`. `before` is `None` for a customer who is new to the programme.
#[must_use]
pub fn step(program: RuleId, rules: &Journey, before: Option<&Standing>, at: Instant) -> Step {
    let Some(before) = before else {
        let standing = Standing { program, level: rules.lowest().id, count: 1, last_at: at };
        return arrived(rules, standing, Remark::FirstTransaction);
    };
    let level = rules.level_of(before);
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
    arrived(rules, Standing { program, level: id, count, last_at: before.last_at.max(at) }, remark)
}

/// Looks for the milestone that a step meets.
fn arrived(rules: &Journey, standing: Standing, remark: Remark) -> Step {
    let milestones = rules.level(standing.level).map_or(&[][..], |level| &level.milestones);
    let milestone = milestones.iter().find(|own| own.judge(remark, standing.count).is_ok()).copied();
    Step { standing, remark, milestone }
}

/// Returns the level that a customer holds at `now`: what the gap so far already means, although no purchase came.
#[must_use]
pub fn effective_level(rules: &Journey, standing: &Standing, now: Instant) -> RuleId {
    let level = rules.level_of(standing);
    match gap(rules, standing.last_at, now) {
        Gap::Active => level.id,
        Gap::Downgrade => level.previous,
        Gap::Reset => rules.lowest().id,
    }
}
