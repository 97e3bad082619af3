//! What a person is shown of a change of the rules: the changes, what may be a slip, who would see what of it, and which
//! API keys partners are given.

use std::io::{self, Write};

use serde::Deserialize;
use serde_json::Value;

use crate::demo::grouped;

/// What the server says of a change.
#[derive(Debug, Deserialize)]
pub(crate) struct Report {
    tenant: String,
    pub(super) version: u32,
    pub(super) changed: bool,
    changes: Vec<String>,
    warnings: Vec<String>,
    #[serde(default)]
    api_keys: Vec<Key>,
    outcome: Option<Outcome>,
}

#[derive(Debug, Deserialize)]
struct Key {
    partner: String,
    id: String,
    is_new: bool,
}

#[derive(Debug, Deserialize)]
struct Outcome {
    customers: u64,
    tier_moves: Vec<Move>,
    promos: Vec<Promo>,
    cashback_rules: Vec<Stop>,
    campaigns: Vec<Stop>,
}

#[derive(Debug, Deserialize)]
struct Move {
    program: String,
    when: String,
    from: String,
    to: String,
    bound: Option<Value>,
    bound_level: Option<String>,
    customers: u64,
    examples: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Promo {
    code: String,
    quota: u64,
    used: u64,
}

#[derive(Debug, Deserialize)]
struct Stop {
    name: String,
    why: String,
    customers: u64,
    #[serde(default)]
    points: Value,
    #[serde(default)]
    completed: u64,
    examples: Vec<String>,
}

impl Report {
    /// Returns the version that the change is made to; 0 when the tenant is new.
    pub(super) fn version_before(&self) -> u32 {
        if self.changed { self.version.saturating_sub(1) } else { self.version }
    }

    /// Tells whether applying it does anything.
    pub(super) fn does_something(&self) -> bool {
        self.changed || self.api_keys.iter().any(|key| key.is_new)
    }

    /// Writes what would happen.
    pub(super) fn write_plan(&self, out: &mut impl Write) -> io::Result<()> {
        if self.changed {
            writeln!(out, "tenant {}, version {} -> {}", self.tenant, self.version_before(), self.version)?;
        }
        self.write_changes(out)?;
        if let Some(outcome) = &self.outcome {
            outcome.write(out)?;
        }
        self.write_keys(out, "would be given")
    }

    /// Writes what happened.
    pub(crate) fn write_done(&self, out: &mut impl Write) -> io::Result<()> {
        self.write_changes(out)?;
        self.write_closing(out)
    }

    /// Writes what happened, without what a plan said before.
    pub(super) fn write_closing(&self, out: &mut impl Write) -> io::Result<()> {
        self.write_keys(out, "was given")?;
        if self.changed {
            writeln!(out, "applied; version {} holds now", self.version)
        } else {
            writeln!(out, "nothing changes; version {} holds", self.version)
        }
    }

    fn write_changes(&self, out: &mut impl Write) -> io::Result<()> {
        for change in &self.changes {
            writeln!(out, "  {change}")?;
        }
        for warning in &self.warnings {
            writeln!(out, "  warning: {warning}")?;
        }
        Ok(())
    }

    fn write_keys(&self, out: &mut impl Write, given: &str) -> io::Result<()> {
        for Key { partner, id, is_new } in &self.api_keys {
            match is_new {
                true => writeln!(out, "  partner {partner} {given} an API key, with the id {id}")?,
                false => writeln!(out, "  partner {partner} has its API key already, with the id {id}")?,
            }
        }
        Ok(())
    }
}

/// Writes how many customers something is about, as `1 customer` or `1,234 customers`.
fn people(count: u64) -> String {
    format!("{} customer{}", grouped(&count.into()), if count == 1 { "" } else { "s" })
}

fn write_examples(examples: &[String], out: &mut impl Write) -> io::Result<()> {
    if examples.is_empty() { Ok(()) } else { writeln!(out, "      such as {}", examples.join(", ")) }
}

impl Outcome {
    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "What {} would see of it, as they stand now:", people(self.customers))?;
        for own in &self.tier_moves {
            writeln!(out, "  tier programme {}: {}", own.program, own.says())?;
            write_examples(&own.examples, out)?;
        }
        for Promo { code, quota, used } in &self.promos {
            let (quota, used) = (grouped(&(*quota).into()), grouped(&(*used).into()));
            writeln!(out, "  promo {code}: a quota of {quota} with {used} used pays nothing more, at once")?;
        }
        for own in &self.cashback_rules {
            let (who, points) = (people(own.customers), grouped(&own.points));
            writeln!(out, "  cashback rule {} is {}: {points} points of it stay with {who}", own.name, own.why)?;
            write_examples(&own.examples, out)?;
        }
        for own in &self.campaigns {
            let (who, completed) = (people(own.customers), people(own.completed));
            writeln!(
                out,
                "  campaign {} is {}: the progress of {who} leads to nothing then; {completed} completed it before",
                own.name, own.why
            )?;
            write_examples(&own.examples, out)?;
        }
        let is_quiet = self.tier_moves.is_empty() && self.cashback_rules.is_empty() && self.campaigns.is_empty();
        if is_quiet && self.promos.is_empty() {
            writeln!(out, "  nobody stands elsewhere, and no rule stops that customers have something of")?;
        }
        Ok(())
    }
}

impl Move {
    fn says(&self) -> String {
        let Move { from, to, .. } = self;
        let who = people(self.customers);
        match self.when.as_str() {
            "at_once" => format!("at once, {who} at {from} are shown at {to}"),
            "next_purchase" if from == to => {
                format!("{who} at {from} stay there with the next purchase, which would have led them elsewhere")
            }
            "next_purchase" => {
                format!("{who} at {from} stay there now; the next purchase, if it came now, leads them to {to}")
            }
            "next_bound" => {
                let bound = self.bound.as_ref().map(grouped).unwrap_or_default();
                let level = self.bound_level.as_deref().unwrap_or_default();
                format!(
                    "{who} at {from} have spent enough for {to} and stay there now; the purchase that takes them to \
                     {bound} leads them to {level}"
                )
            }
            "never" => format!("{who} keep {from}; somebody new who has spent as much would stand on {to}"),
            // Of a newer server.
            when => format!("{who} at {from} move to {to}: {when}"),
        }
    }
}

/// Asks a person, and tells whether the answer is yes. Anything but a clear yes is no.
pub(super) fn ask(input: &mut impl io::BufRead, out: &mut impl Write) -> io::Result<bool> {
    write!(out, "Apply these changes? [y/N] ")?;
    out.flush()?;
    let mut answer = String::new();
    if input.read_line(&mut answer)? == 0 {
        writeln!(out)?;
    }
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_clear_yes_is_one() {
        for (answer, is_yes) in [
            ("y\n", true),
            ("Yes\r\n", true),
            (" YES \nn", true),
            ("\n", false),
            ("", false),
            ("n\n", false),
            ("yy\n", false),
        ] {
            let mut out = Vec::new();
            assert_eq!(ask(&mut answer.as_bytes(), &mut out).expect("memory does not fail"), is_yes, "{answer:?}");
            assert!(String::from_utf8_lossy(&out).starts_with("Apply these changes? [y/N] "));
        }
    }

    #[test]
    fn a_plan() {
        let own = |when: &str, from: &str, to: &str| {
            json!({ "program": "P", "when": when, "from": from, "to": to, "bound": 40_000_000, "bound_level": "D",
                    "customers": 1_200, "examples": ["x", "y"] })
        };
        let stop = |name: &str, why: &str| json!({ "name": name, "why": why, "customers": 1, "points": "9007199254740993", "completed": 2, "examples": [] });
        let report = json!({
            "tenant": "t", "version": 3, "changed": true, "seq": null, "changes": ["promo X: removed"],
            "warnings": ["promo Y: a hole"], "dry_run": true,
            "api_keys": [{ "partner": "a", "id": "01", "is_new": true }, { "partner": "b", "id": "02", "is_new": false }],
            "outcome": {
                "customers": 5_000,
                "tier_moves": [own("at_once", "A", "B"), own("next_purchase", "A", "B"), own("next_purchase", "A", "A"),
                               own("next_bound", "B", "C"), own("never", "C", "A")],
                "promos": [{ "code": "Y", "quota_before": 10, "quota": 1, "used": 2_000 }],
                "cashback_rules": [stop("R", "off")],
                "campaigns": [stop("C", "removed")],
                "as_of_first": 1, "as_of": 2,
            },
        });
        let report: Report = serde_json::from_value(report).expect("it is a report");
        let mut out = Vec::new();
        report.write_plan(&mut out).expect("memory does not fail");
        let expected = "\
tenant t, version 2 -> 3
  promo X: removed
  warning: promo Y: a hole
What 5,000 customers would see of it, as they stand now:
  tier programme P: at once, 1,200 customers at A are shown at B
      such as x, y
  tier programme P: 1,200 customers at A stay there now; the next purchase, if it came now, leads them to B
      such as x, y
  tier programme P: 1,200 customers at A stay there with the next purchase, which would have led them elsewhere
      such as x, y
  tier programme P: 1,200 customers at B have spent enough for C and stay there now; the purchase that takes them to 40,000,000 leads them to D
      such as x, y
  tier programme P: 1,200 customers keep C; somebody new who has spent as much would stand on A
      such as x, y
  promo Y: a quota of 1 with 2,000 used pays nothing more, at once
  cashback rule R is off: 9,007,199,254,740,993 points of it stay with 1 customer
  campaign C is removed: the progress of 1 customer leads to nothing then; 2 customers completed it before
  partner a would be given an API key, with the id 01
  partner b has its API key already, with the id 02
";
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }
}
