//! The server's own totals, before and after a run, against what it answered.

use serde_json::Value;

use crate::client::{Client, ClientError};
use crate::tally::Tally;

/// What the server has booked for a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Totals {
    accepted: i128,
    amount: i128,
    point_total: i128,
    /// What milestones paid, of that.
    pub(crate) loyalty: i128,
    /// The difference of debits and credits, by unit.
    trial_balance: Vec<(String, i128)>,
}

/// Why the totals are not known.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TotalsError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("the server's report has no whole number {0}")]
    Missing(&'static str),
}

impl Totals {
    /// Asks the server.
    pub(crate) async fn read(client: &mut Client, tenant: &str, token: &str) -> Result<Totals, TotalsError> {
        let summary = client.report(&format!("/v1/reports/summary?tenant={tenant}"), token).await?;
        let balance = client.report(&format!("/v1/trial-balance?tenant={tenant}"), token).await?;
        Totals::of(&summary, &balance)
    }

    pub(crate) fn of(summary: &Value, balance: &Value) -> Result<Totals, TotalsError> {
        let totals = balance["totals"].as_array().ok_or(TotalsError::Missing("totals"))?;
        let total = |total: &Value| Ok((total["unit"].as_str().unwrap_or_default().to_owned(), whole(total, "total")?));
        Ok(Totals {
            accepted: whole(summary, "accepted")?,
            amount: whole(summary, "amount")?,
            point_total: whole(summary, "point_total")?,
            loyalty: whole(summary, "point_loyalty")?,
            trial_balance: totals.iter().map(total).collect::<Result<_, TotalsError>>()?,
        })
    }

    /// Returns what purchases and their answers add up to, by the names that the server's reports have for it.
    pub(crate) fn sums(&self) -> [(&'static str, i128); 3] {
        [("accepted", self.accepted), ("amount", self.amount), ("point_total", self.point_total)]
    }

    /// Lists what is wrong: differences between what was answered and what the totals rose by.
    pub(crate) fn differences(&self, before: &Totals, tally: &Tally) -> Vec<String> {
        let mut found = Vec::new();
        let answered = [i128::from(tally.booked), tally.amount, tally.points];
        for (((name, now), (_, before)), answered) in self.sums().into_iter().zip(before.sums()).zip(answered) {
            let rise = now - before;
            if rise != answered {
                found.push(format!("{name}: the server's total rose by {rise}, its answers make {answered}"));
            }
        }
        for (unit, off) in self.trial_balance.iter().filter(|(_, off)| *off != 0) {
            found.push(format!("trial balance of {unit}: off by {off}"));
        }
        if tally.mismatches != 0 {
            let shown = tally.mismatches_shown.join("; ");
            found.push(format!("{} answers do not fit what was sent or told before: {shown}", tally.mismatches));
        }
        found
    }
}

/// Reads a whole number: a number, or decimal digits in a text.
pub(crate) fn whole(report: &Value, name: &'static str) -> Result<i128, TotalsError> {
    let value = &report[name];
    let number = value.as_i64().map(i128::from).or_else(|| value.as_str()?.parse().ok());
    number.ok_or(TotalsError::Missing(name))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::answer::{Answer, Booked};
    use crate::tally::Sent;

    fn totals(accepted: u64, amount: &Value, point_total: u64, off: i64) -> Totals {
        let summary = json!({ "accepted": accepted, "amount": amount, "point_total": point_total, "point_loyalty": 0, "customers": 1 });
        Totals::of(&summary, &json!({ "accounts": [], "totals": [{ "unit": "IDR", "total": off }] })).unwrap()
    }

    #[test]
    fn totals_that_fit_and_totals_that_do_not() {
        let before = totals(10, &json!("9007199254740993"), 5, 0);
        let mut tally = Tally::new().unwrap();
        let result = Booked { origin_id: "a".into(), amount: 7, point_total: 2 };
        tally.count(Sent { origin_id: b"a", amount: 7 }, &Answer::Booked { replayed: false, result });
        let after = totals(11, &json!("9007199254741000"), 7, 0);
        assert_eq!(after.differences(&before, &tally), [""; 0]);
        let wrong = totals(12, &json!("9007199254741000"), 6, -1);
        assert_eq!(
            wrong.differences(&before, &tally),
            [
                "accepted: the server's total rose by 2, its answers make 1",
                "point_total: the server's total rose by 1, its answers make 2",
                "trial balance of IDR: off by -1",
            ]
        );
    }

    #[test]
    fn a_report_without_a_total_is_no_report() {
        let found = Totals::of(&json!({ "accepted": 1, "amount": 1.5 }), &json!({ "totals": [] }));
        assert!(matches!(found, Err(TotalsError::Missing("amount"))), "{found:?}");
    }
}
