//! When the requests of a connection are due in an open loop. Knows no clock: times are counted from the start of the run.

use std::num::NonZeroU32;
use std::time::Duration;

use clap::ValueEnum;

use crate::random::Draws;
use crate::zipf::{LOG_BITS, log2};

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
    pace: Pace,
    /// Purchases of this connection, and of all: connections with more of them are asked to be quicker, and all end together.
    share: usize,
    count: u64,
    draws: Draws,
    /// How many purchases come before the next request on average, in units of 2^-32.
    at: u128,
}

impl Schedule {
    /// Begins the times of connection number `connection`, which has `share` of the `count` purchases, at least one.
    pub(crate) fn new(pace: Pace, seed: u64, connection: u64, (share, count): (usize, u64)) -> Schedule {
        Schedule { pace, share, count, draws: Draws::new(seed ^ TIMES, connection), at: 0 }
    }

    /// Returns when the next request is due, of so many purchases.
    pub(crate) fn next(&mut self, purchases: usize) -> Duration {
        let purchases = purchases as u128;
        let gap = purchases * u128::from(self.gap());
        self.at += gap;
        let due = match self.pace.arrivals {
            // The first one at once.
            Arrivals::Constant => self.at - gap,
            Arrivals::Poisson => self.at,
        };
        let per_second = self.share as u128 * u128::from(self.pace.rate.get());
        let nanos = (due * u128::from(self.count) * 1_000_000_000 / per_second) >> LOG_BITS;
        // 585 years are longer than the command line lets a run take.
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Says how far a purchase is behind the one before, in units of 2^-32 of the mean: drawn from the exponential distribution, if they
    /// come by themselves.
    fn gap(&mut self) -> u64 {
        const DRAW_BITS: u32 = 53;
        // The logarithm of 2, in units of 2^-32.
        const LN_2: u128 = 2_977_044_472;
        if self.pace.arrivals == Arrivals::Constant {
            return 1 << LOG_BITS;
        }
        let drawn = 1 + self.draws.below(1 << DRAW_BITS);
        let halvings = (u64::from(DRAW_BITS) << LOG_BITS) - log2(drawn);
        // Below 53 times 2^32.
        ((u128::from(halvings) * LN_2) >> LOG_BITS) as u64
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
        let seconds = times.last().unwrap().as_secs();
        assert!((36..44).contains(&seconds), "{seconds}");
        // Of exponential gaps a share of 1 - 1/e is shorter than their mean.
        let gaps = times.windows(2).filter(|own| own[1] - own[0] < Duration::from_millis(40)).count();
        assert!((590..675).contains(&gaps), "{gaps}");
        assert_eq!(times, times_of(0));
        assert_ne!(times, times_of(1));
    }
}
