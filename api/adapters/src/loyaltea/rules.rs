//! The rules of a tenant, read and changed whole: Loyaltea's fulfillments, rewards and campaigns are parts of them.

use hyper::StatusCode;
use kembali_http::CatalogueFile;
use serde_json::{Value, json};

use super::Call;
use super::answer::Refusal;
use super::fields::uuid;
use crate::call::{Declined, drawn};

/// How often a change is tried anew where somebody else changed the rules meanwhile.
const ATTEMPTS: usize = 5;

/// A version of a tenant's rules, as whoever asks sees them.
pub(super) struct Rules {
    pub(super) tenant: String,
    pub(super) file: CatalogueFile,
    version: Value,
    ids: Value,
}

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

/// What clients know a rule by that no client named: its number, in the form of a UUID.
pub(super) fn id_of_number(number: u64) -> String {
    format!("00000000-0000-0000-0000-{number:012x}")
}

/// Returns true of an id that only the number of a rule makes. Nobody may give it to another one.
pub(super) fn is_of_number(id: &str) -> bool {
    id.starts_with("00000000-0000-0000-0000-")
}

impl Rules {
    /// Reads the present rules.
    pub(super) async fn read(call: &Call<'_>) -> Result<Rules, Refusal> {
        let mut shown = call.get("/v1/catalogue").await?;
        let file = serde_json::from_value(shown["catalogue"].take()).map_err(|_| Declined::internal())?;
        let tenant = shown["tenant"].as_str().unwrap_or_default().to_owned();
        Ok(Rules { tenant, file, version: shown["version"].take(), ids: shown["ids"].take() })
    }

    /// Changes the rules, and reads them again. What somebody else changes meanwhile is not lost.
    pub(super) async fn change<T>(
        call: &Call<'_>,
        mut edit: impl FnMut(&mut Rules) -> Result<T, Refusal>,
    ) -> Result<(Rules, T), Refusal> {
        for _ in 0..ATTEMPTS {
            let mut rules = Rules::read(call).await?;
            let edited = edit(&mut rules)?;
            let body = serde_json::to_value(&rules.file).map_err(|_| Declined::internal())?;
            let path = format!("/v1/catalogue?expected_version={}", rules.version);
            match call.about(&rules.tenant).put(&path, &body).await {
                Ok(_) => return Ok((Rules::read(call).await?, edited)),
                Err(refusal) if refusal.is("version_conflict") => (),
                Err(refusal) => return Err(refusal),
            }
        }
        Err(Refusal::new(StatusCode::CONFLICT, "The rules are being changed by others. Try again.")
            .retry_after_a_second())
    }

    pub(super) const fn exponent(&self) -> u8 {
        self.file.tenant.currency_exponent
    }

    /// What a rule is known by, given its name and what other systems know it by.
    pub(super) fn known(&self, list: Listed, name: &str, external_id: Option<&String>) -> Known {
        let number = self.ids[list.name()][name].as_u64().unwrap_or_default();
        Known { number, id: external_id.cloned().unwrap_or_else(|| id_of_number(number)) }
    }

    /// Checks that nobody gives a tenant's things to another one.
    pub(super) fn check_tenant(&self, wanted: Option<&str>) -> Result<(), Refusal> {
        match wanted {
            Some(wanted) if wanted != self.tenant => Err(Refusal::field("tenant", "Cannot change.")),
            _ => Ok(()),
        }
    }
}

/// Draws an id for what nobody named.
pub(super) fn new_id() -> Result<String, Refusal> {
    let number = (drawn()? & !(0xf << 76) | 4 << 76) & !(0x3 << 62) | 2 << 62;
    uuid(&format!("{number:032x}")).ok_or_else(|| Declined::internal().into())
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
        assert!(is_of_number(&id_of_number(17)) && !is_of_number(&own.id));
        assert_eq!(id_of_number(17), "00000000-0000-0000-0000-000000000011");
        let (one, other) = (new_id().expect("an id"), new_id().expect("an id"));
        assert_eq!((&one[14..15], one.len()), ("4", 36));
        assert!("89ab".contains(&one[19..20]) && one != other, "{one} {other}");
    }
}
