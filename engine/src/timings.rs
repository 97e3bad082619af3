//! How long things took lately, for whoever watches the engine: percentiles over the last 50 to 60 seconds. Measured on the monotonic clock; nothing
//! that is decided depends on it.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

/// What is looked back at, in slices, of which the oldest is forgotten as a whole.
const SLICE: Duration = Duration::from_secs(10);
const SLICES: usize = 6;
/// What took longer counts as this long, in microseconds.
const MICROS_MAX: u64 = 60_000_000;
/// Two digits are right.
const DIGITS: u8 = 2;

/// What was measured lately.
#[derive(Debug)]
pub(crate) struct Timings {
    start: Instant,
    slices: Mutex<Slices>,
}

#[derive(Debug)]
struct Slices {
    /// The slice that is filled, counted from the start.
    current: u64,
    histograms: Vec<Histogram<u64>>,
}

/// Percentiles of what took place lately.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percentiles {
    /// The time that was looked back at.
    pub over: Duration,
    /// How much was measured.
    pub count: u64,
    /// Half of it took no longer.
    pub p50: Duration,
    /// 99 of 100 took no longer.
    pub p99: Duration,
    /// Nothing took longer.
    pub max: Duration,
}

impl Timings {
    pub(crate) fn new(start: Instant) -> Timings {
        let histogram = || Histogram::new_with_bounds(1, MICROS_MAX, DIGITS).expect("bounds that are known to be good");
        let histograms = std::iter::repeat_with(histogram).take(SLICES).collect();
        Timings { start, slices: Mutex::new(Slices { current: 0, histograms }) }
    }

    /// Notes that `count` things that ended at `now` took so long.
    pub(crate) fn record(&self, now: Instant, took: Duration, count: u64) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(MICROS_MAX);
        self.at(now, |slices| {
            let at = slices.current as usize % SLICES;
            slices.histograms[at].saturating_record_n(micros.max(1), count);
        });
    }

    /// Sums up the slices that are left by `now`.
    pub(crate) fn percentiles(&self, now: Instant) -> Percentiles {
        let (all, oldest) = self.at(now, |slices| {
            let mut all = slices.histograms[0].clone();
            for own in &slices.histograms[1..] {
                all.add(own).expect("the bounds are the same");
            }
            (all, slices.current.saturating_sub(SLICES as u64 - 1))
        });
        let micros = |quantile| Duration::from_micros(all.value_at_quantile(quantile));
        let since = Duration::from_secs(oldest * SLICE.as_secs());
        let over = now.saturating_duration_since(self.start).saturating_sub(since);
        Percentiles {
            over,
            count: all.len(),
            p50: micros(0.5),
            p99: micros(0.99),
            max: Duration::from_micros(all.max()),
        }
    }

    /// Forgets what is too old by `now`, and does something with the rest.
    fn at<T>(&self, now: Instant, work: impl FnOnce(&mut Slices) -> T) -> T {
        // Whoever panicked has counted or not.
        let mut slices = self.slices.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = now.saturating_duration_since(self.start).as_secs() / SLICE.as_secs();
        let passed = wanted.saturating_sub(slices.current).min(SLICES as u64);
        for own in 1..=passed {
            let at = (slices.current + own) as usize % SLICES;
            slices.histograms[at].reset();
        }
        slices.current = slices.current.max(wanted);
        work(&mut slices)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_new_is_summed_up_and_what_is_older_forgotten() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let timings = Timings::new(start);
        assert_eq!(timings.percentiles(start).count, 0);
        timings.record(after(1), Duration::from_millis(1), 98);
        timings.record(after(12), Duration::from_millis(900), 2);
        let seen = timings.percentiles(after(20));
        assert_eq!((seen.count, seen.over), (100, Duration::from_secs(20)));
        // Two digits are right.
        let is_near =
            |own: Duration, millis: u64| own.as_millis().abs_diff(u128::from(millis)) <= u128::from(millis / 50);
        assert!(is_near(seen.p50, 1) && is_near(seen.p99, 900) && is_near(seen.max, 900), "{seen:?}");
        // The first slice is gone, the second is not.
        let seen = timings.percentiles(after(65));
        assert_eq!((seen.count, seen.over), (2, Duration::from_secs(55)));
        assert_eq!(timings.percentiles(after(69)).over, Duration::from_secs(59));
        assert_eq!(timings.percentiles(after(70)).count, 0);
        assert_eq!(timings.percentiles(after(10_000)).count, 0);
        // What is longer than anything counts as the longest; a clock that stands still changes nothing.
        timings.record(after(9_000), Duration::from_secs(1_000_000), 1);
        let seen = timings.percentiles(after(10_001));
        assert!(seen.count == 1 && is_near(seen.max, 60_000), "{seen:?}");
    }
}
