//! The result of a run, for a person and for a program.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::gauges::{Gauges, Server};
use crate::run::{Outcome, Plan};
use crate::series::LatencyBrief;
use crate::subscribers::Delivered;
use crate::tally::{Latency, Timed, microseconds};
use crate::workload::Recipe;

/// The result, whole numbers only. Its members are written as they are named here. Results of earlier versions lack the last ones.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) tenant: String,
    pub(crate) seed: u64,
    pub(crate) customers: u32,
    pub(crate) skew: String,
    pub(crate) duplicates_per_mille: u64,
    pub(crate) promo: String,
    pub(crate) start: String,
    pub(crate) step_ms: u32,
    pub(crate) connections: u32,
    pub(crate) batch: u32,
    pub(crate) purchases_planned: u64,
    pub(crate) purchases_answered: u64,
    pub(crate) requests: u64,
    pub(crate) elapsed_us: u64,
    pub(crate) purchases_per_second: u64,
    pub(crate) requests_per_second: u64,
    /// While every connection had something to send.
    pub(crate) busy_elapsed_us: u64,
    pub(crate) busy_purchases_per_second: u64,
    pub(crate) latency_us: Latency,
    pub(crate) booked: u64,
    pub(crate) replayed: u64,
    pub(crate) refused: BTreeMap<String, u64>,
    pub(crate) retries: u64,
    pub(crate) amount: String,
    pub(crate) point_total: String,
    /// Purchases a second that were to be sent; null without a limit.
    pub(crate) rate: Option<u32>,
    /// Those at the end, to which the rate changed evenly; null if it did not.
    pub(crate) ramp_to: Option<u32>,
    pub(crate) arrivals: Option<String>,
    /// Purchases under way on each connection, one a frame by WebSocket; null by HTTP.
    pub(crate) window: Option<u32>,
    /// Lines of every purchase, and of a thousand purchases those that were followed by a read, and refunded.
    #[serde(default)]
    pub(crate) lines: u32,
    #[serde(default)]
    pub(crate) reads_per_mille: u64,
    #[serde(default)]
    pub(crate) refunds_per_mille: u64,
    /// Requests beside purchases; null without any.
    pub(crate) reads: Option<Timed>,
    pub(crate) refunds: Option<Timed>,
    /// What subscribers of the event stream saw.
    pub(crate) delivered: Option<Delivered>,
    /// Purchases of the tenant that the core decided again; null if it was not asked to.
    pub(crate) decided_again: Option<u64>,
    /// What differs between the totals of the server, what subscribers saw, what was decided again, and the answers.
    pub(crate) differences: Vec<String>,
    /// When the run began, by the clock of the machine that sent.
    #[serde(default)]
    pub(crate) began_at: String,
    /// Of that machine.
    #[serde(default)]
    pub(crate) cores: usize,
    /// What the server said that it is; null if it did not say.
    pub(crate) server: Option<Server>,
    /// Parts of a million, and the latency that so many of all requests did not exceed, in microseconds.
    #[serde(default)]
    pub(crate) percentiles: Vec<(u64, u64)>,
    #[serde(default)]
    pub(crate) seconds: Vec<SecondShown>,
    #[serde(default)]
    pub(crate) gauges: Sampled,
}

/// A second of the run. The last one may have been cut short.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SecondShown {
    /// When it began, counted from the start of the run.
    pub(crate) second: u32,
    /// Of the requests that were answered whole in it.
    pub(crate) purchases: u64,
    pub(crate) requests: u64,
    /// Null if no request was answered in it.
    pub(crate) latency_us: Option<LatencyBrief>,
    /// What the server said when it began; null if it could not be asked.
    pub(crate) server: Option<Gauges>,
}

/// For how many seconds the server was asked for its gauges.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Sampled {
    pub(crate) sampled: u64,
    pub(crate) missed: u64,
    /// Why, and how often.
    pub(crate) missed_because: BTreeMap<String, u64>,
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
        let mut gauges = Sampled::default();
        let samples = outcome.watched.samples(outcome.seconds.len());
        let seconds = (0..).zip(&outcome.seconds).zip(samples).map(|((second, answered), sample)| {
            let server = match sample {
                Ok(sample) => {
                    gauges.sampled += 1;
                    Some(sample)
                }
                Err(gap) => {
                    gauges.missed += 1;
                    *gauges.missed_because.entry(gap.to_string()).or_default() += 1;
                    None
                }
            };
            let (purchases, requests, latency_us) = (answered.purchases, answered.requests, answered.latency);
            SecondShown { second, purchases, requests, latency_us, server }
        });
        let seconds = seconds.collect();
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
            ramp_to: plan.pace.and_then(|pace| pace.ramp_to).map(NonZeroU32::get),
            arrivals: plan.pace.map(|pace| pace.arrivals.name().to_owned()),
            window: plan.window.map(NonZeroU32::get),
            lines: recipe.lines,
            reads_per_mille: plan.mix.reads,
            refunds_per_mille: plan.mix.refunds,
            reads: tally.reads.sum(),
            refunds: tally.refunds.sum(),
            delivered,
            decided_again: None,
            differences,
            began_at: format!("{:.0}", outcome.began_at),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            server: outcome.watched.server.clone(),
            percentiles: tally.curve(),
            seconds,
            gauges,
        }
    }

    /// Returns how many purchases were answered a second, of so many seconds at least: the last requests of a schedule go out before its end.
    pub(crate) fn answered_per_second_of(&self, seconds: u32) -> u64 {
        let elapsed = Duration::from_micros(self.elapsed_us).max(Duration::from_secs(seconds.into()));
        per_second(self.purchases_answered, elapsed)
    }

    /// Returns true if everything that was answered is what the server's totals say.
    pub(crate) fn is_right(&self) -> bool {
        self.differences.is_empty()
    }

    /// Returns what the server said of itself, oldest first.
    pub(crate) fn sampled(&self) -> impl Iterator<Item = &Gauges> {
        self.seconds.iter().filter_map(|own| own.server.as_ref())
    }

    /// Returns the fewest purchases that were answered in a second which was not cut short; `None` if there was none.
    pub(crate) fn slowest_second(&self) -> Option<u64> {
        let is_whole = |own: &&SecondShown| (u64::from(own.second) + 1) * 1_000_000 <= self.elapsed_us;
        self.seconds.iter().filter(is_whole).map(|own| own.purchases).min()
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
        for (name, timed) in [("reads", self.reads), ("refunds", self.refunds)] {
            let Some(Timed { requests, latency_us: Latency { p50, p90, p99, p999, max } }) = timed else { continue };
            writeln!(out, "{name:<15}{requests:>12}, us: p50 {p50}  p90 {p90}  p99 {p99}  p99.9 {p999}  max {max}")?;
        }
        if let Some(delivered) = &self.delivered {
            delivered.write(out)?;
        }
        let Sampled { sampled, missed, missed_because } = &self.gauges;
        if *missed != 0 {
            let reasons: Vec<String> = missed_because.iter().map(|(why, count)| format!("{why} ({count})")).collect();
            writeln!(out, "gauges missed  {missed:>12} of {} seconds: {}", missed + sampled, reasons.join(", "))?;
        }
        if let Some(purchases) = self.decided_again {
            writeln!(out, "decided again  {purchases:>12} by the core alone, in the order of the ledger")?;
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
