//! When the requests of a connection are due in an open loop. Knows no clock: times are counted from the start of the run.

use std::num::NonZeroU32;
use std::time::Duration;

use clap::ValueEnum;

use crate::random::Draws;

/// Makes the sequence that times are drawn from another than those of the purchases.
const TIMES: u64 = 0x7275_6d61_6820_6b75;

/// How requests come at a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Arrivals {
    /// One after the other, at equal distances on each connection
    Constant,
    /// As a Poisson process: each by itself, so some come together
    Poisson,
}

impl Arrivals {
    /// Returns the name that the command line has for it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Arrivals::Constant => "constant",
            Arrivals::Poisson => "poisson",
        }
    }
}

/// How often requests come, of all connections together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Purchases a second.
    pub(crate) rate: NonZeroU32,
    pub(crate) arrivals: Arrivals,
}

/// The times of one connection's requests.
#[derive(Debug)]
pub(crate) struct Schedule {
    arrivals: Arrivals,
    /// Between two purchases of this connection, in seconds: connections with more of them are asked to be quicker, and all end
    /// together.
    gap: f64,
    draws: Draws,
    /// When the next request is due, in seconds.
    at: f64,
}

impl Schedule {
    /// Begins the times of connection number `connection`, which has `share` of the `count` purchases, at least one.
    pub(crate) fn new(pace: Pace, seed: u64, connection: u64, (share, count): (usize, u64)) -> Schedule {
        let gap = count as f64 / (share as f64 * f64::from(pace.rate.get()));
        Schedule { arrivals: pace.arrivals, gap, draws: Draws::new(seed ^ TIMES, connection), at: 0.0 }
    }

    /// Returns when the next request is due, of so many purchases.
    pub(crate) fn next(&mut self, purchases: usize) -> Duration {
        let mean = self.gap * purchases as f64;
        let due = match self.arrivals {
            Arrivals::Constant => self.at,
            Arrivals::Poisson => self.at - self.share().ln() * mean,
        };
        self.at = if self.arrivals == Arrivals::Constant { self.at + mean } else { due };
        // More than the command line lets a run take.
        Duration::try_from_secs_f64(due).unwrap_or(Duration::MAX)
    }

    /// Draws a number above 0 and up to 1.
    fn share(&mut self) -> f64 {
        const STEPS: u64 = 1 << 53;
        (1 + self.draws.below(STEPS)) as f64 / STEPS as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(arrivals: Arrivals, connection: u64, requests: usize) -> Vec<Duration> {
        // A quarter of the purchases at 1,000 a second: 250 a second.
        let pace = Pace { rate: NonZeroU32::new(1_000).unwrap(), arrivals };
        let mut schedule = Schedule::new(pace, 7, connection, (10_000, 40_000));
        (0..requests).map(|_| schedule.next(10)).collect()
    }

    #[test]
    fn constant_requests_are_equally_far_apart() {
        let millis: Vec<u128> = times(Arrivals::Constant, 0, 4).iter().map(Duration::as_millis).collect();
        assert_eq!(millis, [0, 40, 80, 120]);
    }

    #[test]
    fn poisson_requests_come_as_often_and_each_by_itself() {
        let times_of = |connection| times(Arrivals::Poisson, connection, 1_000);
        let times = times_of(0);
        assert!(times.is_sorted());
        let seconds = times.last().unwrap().as_secs_f64();
        assert!((36.0..44.0).contains(&seconds), "{seconds}");
        // Of exponential gaps a share of 1 - 1/e is shorter than their mean.
        let gaps = times.windows(2).filter(|own| own[1] - own[0] < Duration::from_millis(40)).count();
        assert!((590..675).contains(&gaps), "{gaps}");
        assert_eq!(times, times_of(0));
        assert_ne!(times, times_of(1));
    }
}
