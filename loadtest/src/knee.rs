//! `loadtest knee`: the highest rate at which a server still answers in time, found by steps in an open loop.
//!
//! The rate rises step by step until one is not held, and then what lies between is halved. Requests come at equal distances: of those that come
//! by themselves a step has too few to end when it should. Each step sends other purchases, and the totals
//! are checked after each. A server that slows down only after minutes is not found out by steps of seconds. Read [`Search`] first.

use std::io::{self, Write};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use crate::Failure;
use crate::generate::{measure, write_json};
use crate::mix::Mix;
use crate::options::{Making, Target, Way};
use crate::report::Report;
use crate::schedule::{Arrivals, Pace};
use crate::subscribers::Watching;
use crate::workload::COUNT_MAX;

const RATE_MAX: u32 = 10_000_000;
const SECONDS_MAX: u32 = 600;
/// Steps that there may be, the halvings included.
const STEPS_MAX: u32 = 100;
/// So many of a hundred of the purchases that were asked for must be answered in a second for a rate to be held.
const REACHED_PERCENT_MIN: u64 = 95;
/// Bounds of the knee that are no further apart than a part of so many are not told apart by a measurement.
const NARROW_PART: u32 = 100;

#[derive(Args)]
pub(crate) struct Knee {
    #[command(flatten)]
    target: Target,
    /// The partner's API key
    #[arg(long, env = "KEMBALI_API_KEY", hide_env_values = true)]
    api_key: String,
    /// The operator's token, for the totals
    #[arg(long, env = "KEMBALI_OPERATOR_TOKEN", hide_env_values = true)]
    operator_token: String,
    #[command(flatten)]
    making: Making,
    #[command(flatten)]
    way: Way,
    /// Purchases a second of the first step
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=i64::from(RATE_MAX)))]
    rate: u32,
    /// By how many percent the rate rises from step to step
    #[arg(long, default_value_t = 50, value_name = "PERCENT", value_parser = clap::value_parser!(u32).range(1..=900))]
    rise: u32,
    /// By how many purchases a second it rises instead
    #[arg(long, value_name = "RATE", conflicts_with = "rise", value_parser = clap::value_parser!(u32).range(1..=i64::from(RATE_MAX)))]
    rise_by: Option<u32>,
    /// How long a step sends; one that is behind ends after twice as long
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=i64::from(SECONDS_MAX)))]
    seconds: u32,
    /// The longest p99 of a request with which a rate is held
    #[arg(long, default_value_t = 10, value_name = "MILLISECONDS", value_parser = clap::value_parser!(u64).range(1..=60_000))]
    p99_max_ms: u64,
    /// How often what lies between the highest rate that held and the lowest that did not is halved
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(0..=20))]
    halvings: u32,
    /// Steps at most, the halvings included
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=i64::from(STEPS_MAX)))]
    steps_max: u32,
    /// Writes the steps with their whole results as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// How the rate rises while all are held.
#[derive(Clone, Copy, Debug)]
enum Rise {
    Percent(u32),
    By(u32),
}

/// Which rates are tried: each higher than the one before until one is not held, and then the middle of what lies between.
#[derive(Debug)]
struct Search {
    first: u32,
    rise: Rise,
    rate_max: u32,
    /// The highest that held.
    held: Option<u32>,
    /// The lowest that did not.
    failed: Option<u32>,
    steps_left: u32,
    halvings_left: u32,
}

impl Search {
    /// Returns the rate to try now, or nothing when it is over.
    fn next(&mut self) -> Option<u32> {
        self.steps_left = self.steps_left.checked_sub(1)?;
        match (self.held, self.failed) {
            (None, None) => Some(self.first),
            (Some(held), None) => {
                let higher = match self.rise {
                    Rise::Percent(percent) => u64::from(held) * u64::from(100 + percent) / 100,
                    Rise::By(rate) => u64::from(held) + u64::from(rate),
                };
                let higher = u32::try_from(higher).unwrap_or(u32::MAX).max(held.saturating_add(1)).min(self.rate_max);
                (held < higher).then_some(higher)
            }
            (held, Some(failed)) => {
                let low = held.unwrap_or(0);
                if failed - low <= (failed / NARROW_PART).max(1) {
                    return None;
                }
                self.halvings_left = self.halvings_left.checked_sub(1)?;
                Some(low + (failed - low) / 2)
            }
        }
    }

    /// Takes what became of the rate that was tried.
    fn tell(&mut self, rate: u32, is_held: bool) {
        if is_held {
            self.held = Some(rate);
        } else {
            self.failed = Some(rate);
        }
    }
}

/// What became of a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Held,
    /// Its p99 is longer than it may be.
    Late,
    /// Too few of the purchases that were asked for were answered in time.
    Behind,
}

impl Verdict {
    fn of((rate, p99_us_max): (u32, u64), (reached, p99_us): (u64, u64)) -> Verdict {
        if u128::from(reached) * 100 < u128::from(rate) * u128::from(REACHED_PERCENT_MIN) {
            Verdict::Behind
        } else if p99_us_max < p99_us {
            Verdict::Late
        } else {
            Verdict::Held
        }
    }

    const fn in_words(self) -> &'static str {
        match self {
            Verdict::Held => "held",
            Verdict::Late => "p99 too long",
            Verdict::Behind => "rate not reached",
        }
    }
}

/// All steps, whole numbers only. Its members are written as they are named here.
#[derive(Debug, Serialize)]
struct Found {
    p99_max_ms: u64,
    seconds: u32,
    /// Null if none held.
    highest_held: Option<u32>,
    /// Null if all held.
    lowest_not_held: Option<u32>,
    steps: Vec<Step>,
}

#[derive(Debug, Serialize)]
struct Step {
    rate: u32,
    verdict: Verdict,
    /// As of `generate`.
    result: Report,
}

impl Knee {
    /// Writes each step as it is done, and then what was found.
    ///
    /// # Errors
    ///
    /// [`Failure`]; also if a step sent what had been sent before, or its totals do not agree: then the search ends.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let found = self.way.runtime()?.block_on(self.search(&mut io::stdout().lock()))?;
        match &self.json {
            Some(path) => write_json(&found, path),
            None => Ok(()),
        }
    }

    async fn search(&self, out: &mut impl Write) -> Result<Found, Failure> {
        // A step has at most as many purchases as a run may have.
        let rate_max = COUNT_MAX / u64::from(self.seconds);
        let mut search = Search {
            first: self.rate,
            rise: self.rise_by.map_or(Rise::Percent(self.rise), Rise::By),
            rate_max: u32::try_from(rate_max).unwrap_or(u32::MAX).min(RATE_MAX),
            held: None,
            failed: None,
            steps_left: self.steps_max,
            halvings_left: self.halvings,
        };
        search.first = search.first.min(search.rate_max);
        let p99_us_max = 1_000 * self.p99_max_ms;
        let (asked, reached) = ("asked/s", "reached/s");
        writeln!(out, "{:>4} {asked:>10} {reached:>10} {:>10} {:>10} {:>10}  (us)", "step", "p50", "p99", "max")
            .map_err(Failure::Print)?;
        // What is cold is no knee: the first step is not judged.
        self.step(search.first, 0).await?;
        let mut steps = Vec::new();
        while let Some(rate) = search.next() {
            let number = steps.len() + 1;
            let report = self.step(rate, number as u64).await?;
            let (reached, latency) = (report.answered_per_second_of(self.seconds), report.latency_us);
            let verdict = Verdict::of((rate, p99_us_max), (reached, latency.p99));
            let words = verdict.in_words();
            writeln!(
                out,
                "{number:>4} {rate:>10} {reached:>10} {:>10} {:>10} {:>10}  {words}",
                latency.p50, latency.p99, latency.max
            )
            .and_then(|()| out.flush())
            .map_err(Failure::Print)?;
            search.tell(rate, verdict == Verdict::Held);
            steps.push(Step { rate, verdict, result: report });
        }
        let found = Found {
            p99_max_ms: self.p99_max_ms,
            seconds: self.seconds,
            highest_held: search.held,
            lowest_not_held: search.failed,
            steps,
        };
        found.write(out).map_err(Failure::Print)?;
        Ok(found)
    }

    /// Sends at a rate for a step's time, other purchases than the steps before.
    async fn step(&self, rate: u32, number: u64) -> Result<Report, Failure> {
        let seed = self.making.seed.wrapping_add(number);
        let recipe = self.making.recipe(seed, u64::from(rate) * u64::from(self.seconds), 0)?;
        let pace = NonZeroU32::new(rate).map(|rate| Pace { rate, ramp_to: None, arrivals: Arrivals::Constant });
        let time_max = 2 * Duration::from_secs(self.seconds.into());
        let plan = self.way.plan(&self.target, &self.api_key, pace, (time_max, Mix::default()))?;
        let nobody = Watching { subscribers: 0, stalled: 0, stall: Duration::ZERO };
        let report = measure(recipe, &plan, nobody, false, (&self.target.tenant, &self.operator_token)).await?;
        if !report.is_right() {
            report.write(&mut io::stderr().lock()).map_err(Failure::Print)?;
            return Err(Failure::Wrong);
        }
        if report.replayed != 0 {
            return Err(Failure::Repeated { seed });
        }
        Ok(report)
    }
}

impl Found {
    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let limit = self.p99_max_ms;
        match (self.highest_held, self.lowest_not_held) {
            (Some(held), Some(failed)) => {
                writeln!(out, "{held} purchases/s held with a p99 of {limit} ms at most; {failed} did not")?;
            }
            (Some(held), None) => writeln!(out, "{held} purchases/s held, as all rates that were tried")?,
            (None, Some(failed)) => writeln!(out, "no rate held; {failed} purchases/s was the lowest that was tried")?,
            (None, None) => writeln!(out, "nothing was tried")?,
        }
        let refused: u64 = self.steps.iter().flat_map(|step| step.result.refused.values()).sum();
        if refused != 0 {
            writeln!(out, "{refused} purchases were refused, and count as answered")?;
        }
        writeln!(out, "the server's totals agreed after each step")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lists what is tried on a server that holds rates up to some knee.
    fn tried(knee: u32, (first, rise): (u32, Rise), (steps_left, halvings_left): (u32, u32)) -> (Vec<u32>, Search) {
        let mut search = Search { first, rise, rate_max: 100_000, held: None, failed: None, steps_left, halvings_left };
        let mut rates = Vec::new();
        while let Some(rate) = search.next() {
            rates.push(rate);
            search.tell(rate, rate <= knee);
        }
        (rates, search)
    }

    #[test]
    fn the_rate_rises_until_it_is_not_held_and_is_halved_then() {
        let (rates, search) = tried(5_100, (1_000, Rise::Percent(100)), (20, 3));
        assert_eq!(rates, [1_000, 2_000, 4_000, 8_000, 6_000, 5_000, 5_500]);
        assert_eq!((search.held, search.failed), (Some(5_000), Some(5_500)));
        assert_eq!(tried(3_500, (1_000, Rise::By(1_000)), (20, 1)).0, [1_000, 2_000, 3_000, 4_000, 3_500]);
    }

    #[test]
    fn a_search_ends_whatever_the_server_does() {
        assert_eq!(tried(0, (1_000, Rise::Percent(50)), (20, 4)).0, [1_000, 500, 250, 125, 62]);
        assert_eq!(tried(0, (1, Rise::Percent(50)), (20, 4)).0, [1]);
        assert_eq!(tried(u32::MAX, (60_000, Rise::Percent(50)), (20, 4)).0, [60_000, 90_000, 100_000]);
        assert_eq!(tried(u32::MAX, (1, Rise::Percent(1)), (3, 4)).0, [1, 2, 3], "it always rises");
        assert_eq!(tried(1_000, (1_000, Rise::By(10)), (20, 4)).0, [1_000, 1_010], "nearer than can be told");
        assert_eq!(tried(5_000, (1_000, Rise::Percent(100)), (5, 20)).0.len(), 5, "halvings are steps");
    }

    #[test]
    fn a_rate_is_held_up_to_its_limits() {
        let verdict = |reached, p99_us| Verdict::of((1_000, 10_000), (reached, p99_us));
        assert_eq!([verdict(950, 10_000), verdict(1_010, 1)], [Verdict::Held; 2]);
        assert_eq!([verdict(950, 10_001), verdict(949, 10_001)], [Verdict::Late, Verdict::Behind]);
    }

    #[test]
    fn what_was_found_is_said() {
        let said = |highest_held, lowest_not_held| {
            let found = Found { p99_max_ms: 10, seconds: 1, highest_held, lowest_not_held, steps: Vec::new() };
            let mut out = Vec::new();
            found.write(&mut out).unwrap();
            String::from_utf8(out).unwrap().lines().next().unwrap().to_owned()
        };
        assert_eq!(said(Some(5), Some(6)), "5 purchases/s held with a p99 of 10 ms at most; 6 did not");
        assert_eq!(said(Some(5), None), "5 purchases/s held, as all rates that were tried");
        assert_eq!(said(None, Some(6)), "no rate held; 6 purchases/s was the lowest that was tried");
    }
}
