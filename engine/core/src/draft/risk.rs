//! Risk rules, resolved: names become ids, and what makes no sense is refused.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{Ids, first_twin, invalid};
use crate::catalogue::Catalogue;
use crate::rejection::CatalogueRejection;
use crate::risk::{COUNT_MAX, RiskAction, RiskCondition, RiskKind, RiskParty, RiskRule, WINDOW_SECONDS_MAX};

/// Risk rules that a tenant may have.
pub const RISK_RULES_MAX: usize = 64;

/// A risk rule, as wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RiskRuleDraft {
    /// See [`RiskRule::name`].
    pub name: String,
    /// See [`RiskRule::operations`].
    pub operations: Vec<RiskKind>,
    /// See [`RiskRule::condition`].
    pub condition: RiskCondition,
    /// See [`RiskRule::action`].
    pub action: RiskAction,
}

pub(super) fn resolve(
    drafts: &[RiskRuleDraft],
    present: Option<&Catalogue>,
    ids: &mut Ids,
) -> Result<Vec<RiskRule>, CatalogueRejection> {
    if RISK_RULES_MAX < drafts.len() {
        return Err(invalid("risk_rules", format!("are more than {RISK_RULES_MAX}")));
    }
    if drafts.iter().any(|draft| draft.name.is_empty()) {
        return Err(invalid("risk_rules[]", "needs a name"));
    }
    if let Some(twin) = first_twin(drafts.iter().map(|draft| draft.name.as_str()), str::to_string) {
        return Err(invalid(format!("risk_rules[{twin}]"), "stands twice"));
    }
    let rules: Result<Vec<RiskRule>, _> = drafts.iter().map(|draft| draft.resolve(present, ids)).collect();
    let mut rules = rules?;
    rules.sort_by_key(|rule| rule.id);
    Ok(rules)
}

impl RiskRuleDraft {
    fn resolve(&self, present: Option<&Catalogue>, ids: &mut Ids) -> Result<RiskRule, CatalogueRejection> {
        let place = |member: &str| format!("risk_rules[{}].{member}", self.name);
        let check_seconds = |seconds: u32| match seconds {
            1..=WINDOW_SECONDS_MAX => Ok(()),
            _ => Err(invalid(place("within_seconds"), format!("must be 1 to {WINDOW_SECONDS_MAX}"))),
        };
        match self.condition {
            RiskCondition::AmountAbove(_) => (),
            RiskCondition::CountAbove { count, seconds } | RiskCondition::CountAboveBy { count, seconds, .. } => {
                check_seconds(seconds)?;
                if COUNT_MAX < count {
                    return Err(invalid(place("count_above"), format!("must be at most {COUNT_MAX}")));
                }
            }
            RiskCondition::SumAbove { seconds, .. } | RiskCondition::SumAboveBy { seconds, .. } => {
                check_seconds(seconds)?
            }
        }
        let mut operations = self.operations.clone();
        operations.sort_unstable();
        if operations.windows(2).any(|two| two[0] == two[1]) {
            return Err(invalid(place("operations"), "names one twice"));
        }
        if operations.contains(&RiskKind::Purchase) {
            if self.action == RiskAction::Review {
                let problem = "must be flag or block: a purchase is over when it is sent, so no one can release it";
                return Err(invalid(place("action"), problem));
            }
            if self.condition.party() == Some(RiskParty::Device) {
                return Err(invalid(place("per"), "must not be device: a purchase names none"));
            }
        }
        let kept = present.and_then(|present| present.risk_rules.iter().find(|rule| rule.name == self.name));
        let id = ids.keep_or_next(kept.map(|rule| rule.id));
        let (name, condition, action) = (self.name.clone(), self.condition, self.action);
        Ok(RiskRule { id, name, operations, condition, action })
    }
}
