//! The result of a run, for a person and for a program.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::num::NonZeroU32;
use std::time::Duration;

use serde::Serialize;

use crate::run::{Outcome, Plan};
use crate::subscribers::Delivered;
use crate::tally::Latency;
use crate::workload::Recipe;

/// The result, whole numbers only. Its members are written as they are named here.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    tenant: String,
    seed: u64,
    customers: u32,
    skew: String,
    duplicates_per_mille: u64,
    promo: String,
    start: String,
    step_ms: u32,
    connections: u32,
    batch: u32,
    purchases_planned: u64,
    purchases_answered: u64,
    requests: u64,
    elapsed_us: u64,
    purchases_per_second: u64,
    requests_per_second: u64,
    /// While every connection had something to send.
    busy_elapsed_us: u64,
    busy_purchases_per_second: u64,
    latency_us: Latency,
    booked: u64,
    replayed: u64,
    refused: BTreeMap<String, u64>,
    retries: u64,
    amount: String,
    point_total: String,
    /// Purchases a second that were to be sent; null without a limit.
    rate: Option<u32>,
    arrivals: Option<&'static str>,
    /// Purchases under way on each connection, one a frame by WebSocket; null by HTTP.
    window: Option<u32>,
    /// What subscribers of the event stream saw.
    delivered: Option<Delivered>,
    /// What differs between the totals of the server, what subscribers saw, and the answers.
    differences: Vec<String>,
}

impl Report {
    /// Sums a run up.
    pub(crate) fn new(
        tenant: &str,
        recipe: &Recipe,
        plan: &Plan,
        outcome: &Outcome,
        mut differences: Vec<String>,
        mut delivered: Option<Delivered>,
    ) -> Report {
        if let Some(delivered) = &mut delivered {
            differences.append(&mut delivered.differences);
        }
        let tally = &outcome.tally;
        let (busy, busy_answered) = outcome.busy;
        Report {
            tenant: tenant.to_owned(),
            seed: recipe.seed,
            customers: recipe.customers.get(),
            skew: recipe.skew.to_string(),
            duplicates_per_mille: recipe.duplicates,
            promo: recipe.promo.clone(),
            start: recipe.start.to_string(),
            step_ms: recipe.step_ms,
            connections: plan.connections.get(),
            batch: plan.batch.get(),
            purchases_planned: recipe.count,
            purchases_answered: tally.answered(),
            requests: tally.requests,
            elapsed_us: microseconds(outcome.elapsed),
            purchases_per_second: per_second(tally.answered(), outcome.elapsed),
            requests_per_second: per_second(tally.requests, outcome.elapsed),
            busy_elapsed_us: microseconds(busy),
            busy_purchases_per_second: per_second(busy_answered, busy),
            latency_us: tally.latency(),
            booked: tally.booked,
            replayed: tally.replayed,
            refused: tally.refused.clone(),
            retries: tally.retries,
            amount: tally.amount.to_string(),
            point_total: tally.points.to_string(),
            rate: plan.pace.map(|pace| pace.rate.get()),
            arrivals: plan.pace.map(|pace| pace.arrivals.name()),
            window: plan.window.map(NonZeroU32::get),
            delivered,
            differences,
        }
    }

    /// Returns true if everything that was answered is what the server's totals say.
    pub(crate) fn is_right(&self) -> bool {
        self.differences.is_empty()
    }

    /// Writes the result for a person.
    pub(crate) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let Latency { p50, p90, p99, p999, max } = self.latency_us;
        writeln!(out, "purchases      {:>12} of {} planned", self.purchases_answered, self.purchases_planned)?;
        writeln!(out, "time           {:>12} ms", self.elapsed_us / 1_000)?;
        writeln!(out, "purchases/s    {:>12}", self.purchases_per_second)?;
        writeln!(
            out,
            "  all busy     {:>12} in the first {} ms",
            self.busy_purchases_per_second,
            self.busy_elapsed_us / 1_000
        )?;
        writeln!(out, "requests/s     {:>12}", self.requests_per_second)?;
        writeln!(out, "latency of a request, us: p50 {p50}  p90 {p90}  p99 {p99}  p99.9 {p999}  max {max}")?;
        writeln!(out, "booked         {:>12}", self.booked)?;
        writeln!(out, "booked before  {:>12}", self.replayed)?;
        writeln!(out, "refused        {:>12}", self.refused.values().sum::<u64>())?;
        for (code, count) in &self.refused {
            writeln!(out, "  {code:<28} {count:>6}")?;
        }
        writeln!(out, "retries        {:>12}", self.retries)?;
        writeln!(out, "amount booked  {:>12}", self.amount)?;
        writeln!(out, "points booked  {:>12}", self.point_total)?;
        if let Some(delivered) = &self.delivered {
            delivered.write(out)?;
        }
        if self.is_right() {
            return writeln!(out, "the server's totals agree, and its trial balance is zero");
        }
        for difference in &self.differences {
            writeln!(out, "WRONG: {difference}")?;
        }
        Ok(())
    }
}

fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Divides a count by a time, rounded down; 0 if there was no time.
pub(crate) fn per_second(count: u64, time: Duration) -> u64 {
    let rate = (u128::from(count) * 1_000_000_000).checked_div(time.as_nanos());
    u64::try_from(rate.unwrap_or(0)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_counts_by_time() {
        assert_eq!(per_second(200_000, Duration::from_millis(500)), 400_000);
        assert_eq!(per_second(1, Duration::from_secs(3)), 0);
        assert_eq!(per_second(1, Duration::ZERO), 0);
        assert_eq!(per_second(u64::MAX, Duration::from_nanos(1)), u64::MAX);
    }
}
