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
    /// Purchases a second, at the start.
    pub(crate) rate: NonZeroU32,
    /// Purchases a second at the end, to which the rate changes evenly over the run; without, it stays.
    pub(crate) ramp_to: Option<NonZeroU32>,
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
        let nanos = match self.pace.ramp_to {
            None => self.nanos(due, self.pace.rate),
            Some(ramp_to) => {
                let share = (self.share as u128) << LOG_BITS;
                // What comes behind the last one by chance comes at the last rate.
                self.nanos_of_ramp(due.min(share), ramp_to) + self.nanos(due.saturating_sub(share), ramp_to)
            }
        };
        // 585 years are longer than the command line lets a run take.
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Returns how long so many purchases, in units of 2^-32, take at a rate.
    fn nanos(&self, due: u128, rate: NonZeroU32) -> u128 {
        let per_second = self.share as u128 * u128::from(rate.get());
        (due * u128::from(self.count) * 1_000_000_000 / per_second) >> LOG_BITS
    }

    /// Returns how long so many of the purchases, in units of 2^-32, take while the rate changes.
    ///
    /// If r is the first rate, R the last one, and N the count, then n of them are due after the time t with
    /// n = r t + (R^2 - r^2) t^2 / 4N. The rate is v = sqrt(r^2 + (R^2 - r^2) n / N) then, and t = 2n / (r + v).
    fn nanos_of_ramp(&self, due: u128, ramp_to: NonZeroU32) -> u128 {
        // Binary digits of n / N, and half as many of a rate. The share is below 2^27, so nothing exceeds 118 bits.
        const PART_BITS: u32 = 40;
        const RATE_BITS: u32 = PART_BITS / 2;
        let share = self.share as u128;
        let square = |rate: NonZeroU32| u128::from(rate.get()).pow(2);
        let (first, last) = (square(self.pace.rate), square(ramp_to));
        let part = (due << (PART_BITS - LOG_BITS)) / share;
        let rate_square = if first <= last {
            (first << PART_BITS) + (last - first) * part
        } else {
            (first << PART_BITS) - (first - last) * part
        };
        let rates = (u128::from(self.pace.rate.get()) << RATE_BITS) + rate_square.isqrt();
        ((2_000_000_000 * due * u128::from(self.count)) >> (LOG_BITS - RATE_BITS)) / (share * rates)
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
        let pace = Pace { rate: NonZeroU32::new(1_000).unwrap(), ramp_to: None, arrivals };
        let mut schedule = Schedule::new(pace, 7, connection, (10_000, 40_000));
        (0..requests).map(|_| schedule.next(10)).collect()
    }

    #[test]
    fn constant_requests_are_equally_far_apart() {
        let millis: Vec<u128> = times(Arrivals::Constant, 0, 4).iter().map(Duration::as_millis).collect();
        assert_eq!(millis, [0, 40, 80, 120]);
    }

    /// Lists when each of 2,000 purchases is due, and 100 more, while the rate changes.
    fn ramp((first, last): (u32, u32), arrivals: Arrivals) -> Vec<Duration> {
        let rate = |rate| NonZeroU32::new(rate).unwrap();
        let pace = Pace { rate: rate(first), ramp_to: Some(rate(last)), arrivals };
        let mut schedule = Schedule::new(pace, 7, 0, (2_000, 2_000));
        (0..2_100).map(|_| schedule.next(1)).collect()
    }

    #[test]
    fn a_ramp_changes_the_rate_evenly() {
        let micros = |rates, number: usize| ramp(rates, Arrivals::Constant)[number].as_micros();
        // From 100 to 300 a second over 10 seconds: 100 t + 10 t^2 of them within t seconds.
        assert_eq!([0, 110, 750, 1_710].map(|number| micros((100, 300), number)), [0, 1_000_000, 5_000_000, 9_000_000]);
        assert_eq!(
            [0, 290, 1_250, 1_890].map(|number| micros((300, 100), number)),
            [0, 1_000_000, 5_000_000, 9_000_000]
        );
        // Behind the end it stays: the 30th after 2,000 comes a tenth of a second later.
        assert_eq!([2_000, 2_030].map(|number| micros((100, 300), number)), [10_000_000, 10_100_000]);
        assert_eq!([0, 200, 2_000].map(|number| micros((200, 200), number)), [0, 1_000_000, 10_000_000]);
    }

    #[test]
    fn a_ramp_of_any_rates_never_goes_back() {
        for rates in [(1, 10_000_000), (10_000_000, 1), (1, 2), (1, 1), (10_000_000, 10_000_000)] {
            for arrivals in [Arrivals::Constant, Arrivals::Poisson] {
                assert!(ramp(rates, arrivals).is_sorted(), "{rates:?} {arrivals:?}");
            }
        }
        // The most purchases that one connection may have, at the highest rates.
        let rate = NonZeroU32::new(10_000_000).unwrap();
        let pace = Pace { rate, ramp_to: Some(NonZeroU32::MIN), arrivals: Arrivals::Constant };
        let mut schedule = Schedule::new(pace, 7, 0, (100_000_000, 100_000_000));
        let _ = schedule.next(100_000_000);
        // Twice as many by the sum of both rates.
        assert_eq!(schedule.next(1).as_secs(), 19);
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
