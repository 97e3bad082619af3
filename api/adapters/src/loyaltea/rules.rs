//! What Loyaltea's clients know rules by: numbers in addresses, and ids.

use serde_json::{Value, json};

use super::answer::Refusal;
use crate::rules::{Rules, id_of_number, uuid};

/// A kind of rule that has ids of Loyaltea's.
#[derive(Clone, Copy, Debug)]
pub(super) enum Listed {
    Fulfillments,
    Rewards,
    Campaigns,
}

impl Listed {
    const fn name(self) -> &'static str {
        match self {
            Listed::Fulfillments => "fulfillments",
            Listed::Rewards => "rewards",
            Listed::Campaigns => "campaigns",
        }
    }
}

/// What a rule is known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// Its number in the rules, which stands in addresses.
    pub(super) number: u64,
    /// What Loyaltea's clients know it by.
    pub(super) id: String,
}

impl Known {
    /// Returns true where an address names the rule.
    pub(super) fn is(&self, key: &str) -> bool {
        // What may be read as both is an id: one of digits alone, without hyphens.
        uuid(key).map_or_else(|| key == self.number.to_string() || key == self.id, |id| id == self.id)
    }
}

/// What a rule is known by, given its name and what other systems know it by.
pub(super) fn known(rules: &Rules, list: Listed, name: &str, external_id: Option<&String>) -> Known {
    let number = rules.number(list.name(), name);
    Known { number, id: external_id.cloned().unwrap_or_else(|| id_of_number(number)) }
}

/// Checks that nobody gives a tenant's things to another one.
pub(super) fn check_tenant(rules: &Rules, wanted: Option<&str>) -> Result<(), Refusal> {
    match wanted {
        Some(wanted) if wanted != rules.tenant => Err(Refusal::field("tenant", "Cannot change.")),
        _ => Ok(()),
    }
}

/// Lists what is shown of several things.
pub(super) fn all(things: impl Iterator<Item = Value>) -> Value {
    json!(things.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_named_by_its_number_or_its_id() {
        let own = Known { number: 17, id: "0e41cc11-5e54-448b-a6ce-9c9a855ad207".to_owned() };
        for (key, expected) in [
            ("17", true),
            ("0e41cc11-5e54-448b-a6ce-9c9a855ad207", true),
            ("0E41CC115E54448BA6CE9C9A855AD207", true),
            ("18", false),
            ("+17", false),
            ("017", false),
            ("", false),
            ("0e41cc11-5e54-448b-a6ce-9c9a855ad208", false),
        ] {
            assert_eq!(own.is(key), expected, "{key}");
        }
        let number = Known { number: 10, id: "0e41cc11-5e54-448b-a6ce-9c9a855ad207".to_owned() };
        assert!(!number.is("00000000000000000000000000000010"), "that is an id");
    }
}
