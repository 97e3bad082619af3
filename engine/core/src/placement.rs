//! Where customers stand whose level was removed.
//!
//! In a Threshold programme the highest remaining level whose bound the points reach, else the lowest. In a Journey
//! programme the nearest remaining level below, in the order that the version before had, else the lowest; with a count
//! of 0, because nobody has bought anything: the next purchase is number 1. The latest instant of a purchase stays.
//!
//! [`placed`] takes a row through all removals since the version that it was last decided by, one by one, each by the rules
//! of its own version. [`crate::upkeep`] says when.

use alloc::borrow::Cow;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::catalogue::{Catalogue, TierPolicy, TierProgram};
use crate::customer::Row;
use crate::event::{Placed, PlacementReason, TierPlaced};
use crate::identity::RuleId;
use crate::journey::Standing;
use crate::threshold::SpendStanding;

/// A version of a tenant's rules that removed levels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    rules: Arc<Catalogue>,
    levels: Vec<RemovedLevel>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct RemovedLevel {
    program: RuleId,
    level: RuleId,
    /// Where its customers go, in a Journey programme.
    below: RuleId,
}

impl Removal {
    /// Compares two versions that follow each other. Returns `None` when no level is gone.
    #[must_use]
    pub fn between(before: &Catalogue, after: &Arc<Catalogue>) -> Option<Removal> {
        let programs = before.programs.iter().filter_map(|old| Some((old, after.program(old.id)?)));
        let levels: Vec<RemovedLevel> = programs.flat_map(|(old, new)| removed_levels(old, new)).collect();
        if levels.is_empty() { None } else { Some(Removal { rules: Arc::clone(after), levels }) }
    }

    /// Returns the version.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.rules.version
    }

    /// Says where a customer goes who stands on a level that this removed, programme by programme.
    fn placements(&self, row: &Row) -> Vec<TierPlaced> {
        let journeys = row.standings.iter().filter_map(|before| self.journey(before));
        let mut placed: Vec<Placed> = journeys.chain(row.spends.iter().filter_map(|own| self.threshold(own))).collect();
        placed.sort_by_key(Placed::program);
        let reason = PlacementReason::LevelRemoved { version: self.version() };
        placed.into_iter().map(|placed| TierPlaced { reason, placed }).collect()
    }

    fn find(&self, program: RuleId, level: RuleId) -> Option<&RemovedLevel> {
        self.levels.iter().find(|removed| removed.program == program && removed.level == level)
    }

    fn journey(&self, before: &Standing) -> Option<Placed> {
        let removed = self.find(before.program, before.level)?;
        Some(Placed::Journey { before: *before, after: Standing { level: removed.below, count: 0, ..*before } })
    }

    fn threshold(&self, before: &SpendStanding) -> Option<Placed> {
        let removed = self.find(before.program, before.level)?;
        let TierPolicy::Threshold(rules) = &self.rules.program(removed.program)?.policy else { return None };
        let level = rules.levels.get(rules.place_of(before.spent))?.id;
        Some(Placed::Threshold { before: *before, after: SpendStanding { level, ..*before } })
    }
}

/// Lists the levels that `old` has and `new` has not, each with the nearest one below that remains, else the lowest.
fn removed_levels(old: &TierProgram, new: &TierProgram) -> Vec<RemovedLevel> {
    let remains = |level: RuleId| new.levels().any(|(own, _)| own == level);
    let Some((lowest, _)) = new.levels().next() else { return Vec::new() };
    let mut removed = Vec::new();
    let mut below = lowest;
    for (level, _) in old.levels() {
        if remains(level) {
            below = level;
        } else {
            removed.push(RemovedLevel { program: old.id, level, below });
        }
    }
    removed
}

/// Returns the row as it stands once every removal since its version is applied, and what that changes. `removals` are
/// all of the tenant's, the oldest first.
#[must_use]
pub fn placed<'a>(row: &'a Row, removals: &[Removal]) -> (Cow<'a, Row>, Vec<TierPlaced>) {
    let known = removals.partition_point(|removal| removal.version() <= row.catalogue_version);
    let mut row = Cow::Borrowed(row);
    let mut placed = Vec::new();
    for removal in &removals[known..] {
        for placement in removal.placements(&row) {
            row.to_mut().place_anew(&placement.placed);
            placed.push(placement);
        }
    }
    (row, placed)
}
