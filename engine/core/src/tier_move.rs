//! Levels by hand: onetap's promote and demote, one step each.
//!
//! What the customer has spent or counted so far is left alone, so the level holds until the customer's own purchases
//! lead to another one ([`crate::threshold::step`], [`crate::journey::step`]). In a Journey the count starts at 0: the
//! next purchase is number 1 of the level.

use crate::catalogue::{Catalogue, Journey, Threshold, TierPolicy};
use crate::customer::Row;
use crate::event::{Placed, PlacementReason, TierPlaced};
use crate::journey::Standing;
use crate::operation::{OperationRejection, TierMove};
use crate::threshold::SpendStanding;

/// Moves a customer one level up or down in the programme of a name.
///
/// # Errors
///
/// [`OperationRejection::ProgramUnknown`], [`OperationRejection::TierNone`], [`OperationRejection::TierHighest`],
/// [`OperationRejection::TierLowest`].
pub fn move_tier(rules: &Catalogue, row: &Row, program: &str, to: TierMove) -> Result<TierPlaced, OperationRejection> {
    let program = rules.programs.iter().find(|own| own.name == program).ok_or(OperationRejection::ProgramUnknown)?;
    let placed = match &program.policy {
        TierPolicy::Journey(journey) => {
            let before = *row.standing(program.id).ok_or(OperationRejection::TierNone)?;
            Placed::Journey { before, after: in_journey(journey, before, to)? }
        }
        TierPolicy::Threshold(threshold) => {
            let before = *row.spend(program.id).ok_or(OperationRejection::TierNone)?;
            Placed::Threshold { before, after: in_threshold(threshold, before, to)? }
        }
    };
    let reason = match to {
        TierMove::Up => PlacementReason::Promoted,
        TierMove::Down => PlacementReason::Demoted,
    };
    Ok(TierPlaced { reason, placed })
}

fn in_journey(rules: &Journey, before: Standing, to: TierMove) -> Result<Standing, OperationRejection> {
    let level = rules.level(before.level).unwrap_or_else(|| rules.lowest());
    let next = match to {
        TierMove::Up => level.next,
        TierMove::Down => level.previous,
    };
    if next == level.id {
        return Err(at_the_end(to));
    }
    Ok(Standing { level: next, count: 0, ..before })
}

fn in_threshold(rules: &Threshold, before: SpendStanding, to: TierMove) -> Result<SpendStanding, OperationRejection> {
    let present = rules.levels.iter().position(|level| level.id == before.level).unwrap_or(0);
    let next = match to {
        TierMove::Up => rules.levels.get(present + 1),
        TierMove::Down => present.checked_sub(1).and_then(|below| rules.levels.get(below)),
    };
    let level = next.ok_or(at_the_end(to))?.id;
    Ok(SpendStanding { level, ..before })
}

const fn at_the_end(to: TierMove) -> OperationRejection {
    match to {
        TierMove::Up => OperationRejection::TierHighest,
        TierMove::Down => OperationRejection::TierLowest,
    }
}
