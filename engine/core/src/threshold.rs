//! The steps of a Threshold programme: onetap's tiers by all that was ever spent.
//!
//! Each minor unit that is spent is a point, for ever. A customer stands on the highest level whose bound the points
//! reach, or on the lowest. Nobody is moved down by buying: a customer who was placed higher by hand stays there.

use serde::{Deserialize, Serialize};

use crate::catalogue::{Threshold, ThresholdLevel};
use crate::identity::RuleId;
use crate::quantity::Amount;

/// Where a customer stands in a Threshold programme.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SpendStanding {
    /// The programme.
    pub program: RuleId,
    /// The level.
    pub level: RuleId,
    /// All that was ever spent, in minor units of the tenant's currency.
    pub spent: Amount,
}

impl Threshold {
    /// Finds a level by its id.
    #[must_use]
    pub fn level(&self, id: RuleId) -> Option<&ThresholdLevel> {
        self.levels.iter().find(|level| level.id == id)
    }

    /// Returns the level that somebody who comes with `spent` stands on.
    ///
    /// # Panics
    ///
    /// If the programme has no level, which no applied catalogue allows.
    #[must_use]
    pub fn reached_by(&self, spent: Amount) -> &ThresholdLevel {
        self.levels.get(self.place_of(spent)).expect("an applied programme has a level")
    }

    /// Returns the place of the highest level that `spent` reaches, or of the lowest where it reaches none.
    pub(crate) fn place_of(&self, spent: Amount) -> usize {
        self.bounds_reached_by(spent).saturating_sub(1)
    }

    fn bounds_reached_by(&self, spent: Amount) -> usize {
        self.levels.partition_point(|level| level.spent_min <= spent)
    }
}

/// Takes the step of one purchase of `amount`. `before` is `None` for a customer who is new to the programme.
///
/// Returns `None` when the sum would pass the largest amount.
///
/// # Panics
///
/// If the programme has no level, which no applied catalogue allows.
#[must_use]
pub fn step(
    program: RuleId,
    rules: &Threshold,
    before: Option<&SpendStanding>,
    amount: Amount,
) -> Option<SpendStanding> {
    let spent_before = before.map_or(Amount::ZERO, |before| before.spent);
    let spent = spent_before.plus(amount)?;
    let (was, is) = (rules.place_of(spent_before), rules.place_of(spent));
    let present = before.and_then(|before| rules.levels.iter().position(|level| level.id == before.level));
    // A level that was set by hand holds until the points cross a bound, and then only a higher one takes its place.
    let place = match present {
        None => is,
        Some(present) if was < is => present.max(is),
        Some(present) => present,
    };
    let level = rules.levels.get(place).expect("an applied programme has a level").id;
    Some(SpendStanding { program, level, spent })
}

/// Takes back what was spent: a refund of `amount`. Where the sum falls below a bound, the level that it still reaches is
/// the highest that the customer may have; a level that was set by hand lower than that stays.
#[must_use]
pub fn take_back(rules: &Threshold, before: &SpendStanding, amount: Amount) -> SpendStanding {
    let spent = before.spent.minus(amount).unwrap_or(Amount::ZERO);
    let is = rules.place_of(spent);
    // The lowest level may have a bound as well, below which nobody stands higher than on it.
    let falls = rules.bounds_reached_by(spent) < rules.bounds_reached_by(before.spent);
    let present = rules.levels.iter().position(|level| level.id == before.level);
    let level = match present {
        Some(present) if falls => rules.levels.get(present.min(is)).map_or(before.level, |level| level.id),
        _ => before.level,
    };
    SpendStanding { level, spent, ..*before }
}
