//! All purchases of a tenant, decided once more: by the core alone, one after the other in the order of the ledger, on the server that booked
//! them. No actors, no shards and no quotas in flight take part, so under the same rules all has to come out the same.

use serde_json::{Value, json};

use crate::client::{Client, ClientError};
use crate::totals::{Totals, TotalsError, whole};

/// Figures that differ and are told.
const DIFFERENCES_SHOWN_MAX: usize = 5;

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct DecidedAgain {
    /// Purchases that were decided.
    pub(crate) purchases: u64,
    /// What came out otherwise than it was booked.
    pub(crate) differences: Vec<String>,
}

/// Has them decided under the rules that hold, and holds that against the `totals` of the tenant.
///
/// # Errors
///
/// [`TotalsError`].
pub(crate) async fn decide_again(
    client: &mut Client,
    (tenant, token): (&str, &str),
    totals: &Totals,
) -> Result<DecidedAgain, TotalsError> {
    let held = client.report(&format!("/v1/catalogue?tenant={tenant}"), token).await?;
    let rules = held["catalogue"].to_string();
    let path = format!("/v1/what-if?tenant={tenant}&top=1");
    let lines = client.ask_as_operator(&path, token, rules).await?;
    // What comes before tells how far it is. A run that was broken off has no report.
    let last = lines.trim_ascii_end().rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    let last: Value = serde_json::from_slice(last).map_err(ClientError::Report)?;
    compare(&last["report"], totals)
}

fn compare(report: &Value, totals: &Totals) -> Result<DecidedAgain, TotalsError> {
    let purchases = report["purchases"].as_u64().ok_or(TotalsError::Missing("purchases"))?;
    let mut found = Vec::new();
    for (name, total) in totals.sums() {
        let again = whole(&report["sums"][name], "after")?;
        if again != total {
            found.push(format!("decided again, {name} is {again}, and the server's total is {total}"));
        }
    }
    let mut figures = Vec::new();
    differing("", report, &mut figures);
    if report["same"] != json!(true) && figures.is_empty() {
        figures.push("people: somebody has something else".to_owned());
    }
    let more = figures.len().saturating_sub(DIFFERENCES_SHOWN_MAX);
    figures.truncate(DIFFERENCES_SHOWN_MAX);
    found.extend(figures.into_iter().map(|figure| format!("decided again, {figure}")));
    if more != 0 {
        found.push(format!("decided again, {more} more figures differ"));
    }
    Ok(DecidedAgain { purchases, differences: found })
}

/// Lists the figures that differ: where they are in the report, and what they are.
fn differing(place: &str, value: &Value, out: &mut Vec<String>) {
    match value {
        // Within a figure there is no other one.
        Value::Object(members) if members.contains_key("difference") && value["before"] != value["after"] => {
            out.push(format!("{place} is {}, and was {}", value["after"], value["before"]));
        }
        Value::Object(members) => {
            members.iter().for_each(|(name, own)| differing(&format!("{place}/{name}"), own, out))
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, own)| differing(&format!("{place}/{at}"), own, out));
        }
        _ => (),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(before: i64, after: i64) -> Value {
        json!({ "before": before, "after": after, "difference": after - before })
    }

    fn totals() -> Totals {
        let summary = json!({ "accepted": 3, "amount": 300, "point_total": 30, "point_loyalty": 0 });
        Totals::of(&summary, &json!({ "totals": [] })).unwrap()
    }

    fn report(points: &Value) -> Value {
        let sums = json!({ "accepted": figure(3, 3), "amount": figure(300, 300), "point_total": points });
        json!({ "purchases": 3, "same": true, "sums": sums, "promos": [{ "granted": figure(2, 2) }] })
    }

    #[test]
    fn the_same_is_the_same() {
        let found = compare(&report(&figure(30, 30)), &totals()).unwrap();
        assert_eq!(found, DecidedAgain { purchases: 3, differences: Vec::new() });
    }

    #[test]
    fn what_differs_is_named() {
        let found = compare(&report(&figure(30, 31)), &totals()).unwrap();
        assert_eq!(
            found.differences,
            [
                "decided again, point_total is 31, and the server's total is 30",
                "decided again, /sums/point_total is 31, and was 30",
            ]
        );
        let mut other = report(&figure(30, 30));
        other["promos"] = (0..7).map(|n| json!({ "granted": figure(n, n + 1) })).collect();
        let found = compare(&other, &totals()).unwrap().differences;
        assert_eq!(found.len(), 6);
        assert_eq!(found[0], "decided again, /promos/0/granted is 1, and was 0");
        assert_eq!(found[5], "decided again, 2 more figures differ");
        let mut moved = report(&figure(30, 30));
        moved["same"] = json!(false);
        assert_eq!(
            compare(&moved, &totals()).unwrap().differences,
            ["decided again, people: somebody has something else"]
        );
    }

    #[test]
    fn what_is_no_report_is_no_result() {
        assert!(compare(&json!(null), &totals()).is_err());
        assert!(compare(&json!({ "purchases": 3, "same": true }), &totals()).is_err());
    }
}
