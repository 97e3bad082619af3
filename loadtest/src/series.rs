//! A run second by second: what was answered in each, and how long it took. Knows no clock: whoever records says when it was.
//!
//! Of a second that is over only a few numbers stay, so a run of a day takes some megabytes. Read [`Recorder`] first.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hdrhistogram::{CreationError, Histogram};
use serde::{Deserialize, Serialize};

use crate::run::{GRACE, TIME_SECONDS_MAX};
use crate::tally::new_histogram;

/// Seconds that a run may have: it is over by then.
pub(crate) const SECONDS_MAX: usize = TIME_SECONDS_MAX as usize + GRACE.as_secs() as usize + 1;

/// What was answered within a second of the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Second {
    /// Of the requests that were answered whole in it.
    pub(crate) purchases: u64,
    pub(crate) requests: u64,
    /// Of these requests; nothing if there were none.
    pub(crate) latency: Option<LatencyBrief>,
}

/// Latencies of the requests of a second, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LatencyBrief {
    pub(crate) p50: u64,
    pub(crate) p99: u64,
    pub(crate) max: u64,
}

/// Takes what is answered, of all connections together.
#[derive(Debug)]
pub(crate) struct Recorder(Mutex<Going>);

#[derive(Debug)]
struct Going {
    over: Vec<Second>,
    /// Of the second that goes on.
    purchases: u64,
    latency: Histogram<u64>,
}

impl Recorder {
    /// Starts at the first second.
    ///
    /// # Errors
    ///
    /// Never with the limits of the histogram.
    pub(crate) fn new() -> Result<Recorder, CreationError> {
        Ok(Recorder(Mutex::new(Going { over: Vec::new(), purchases: 0, latency: new_histogram()? })))
    }

    /// Counts a request of so many purchases, answered when the run had lasted for `at`. One that comes behind another of a later second, as
    /// two connections at once may, counts for that one.
    pub(crate) fn record(&self, at: Duration, latency_us: u64, purchases: u64) {
        let mut going = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let second = usize::try_from(at.as_secs()).unwrap_or(usize::MAX);
        going.end_seconds(second);
        going.purchases += purchases;
        going.latency.saturating_record(latency_us);
    }

    /// Returns the last second that is over when the run has lasted for `at`; nothing in the first one.
    pub(crate) fn last(&self, at: Duration) -> Option<Second> {
        let mut going = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        going.end_seconds(usize::try_from(at.as_secs()).unwrap_or(usize::MAX));
        going.over.last().copied()
    }

    /// Returns all seconds of a run that lasted for `elapsed`. The last one may have been cut short.
    pub(crate) fn finish(&self, elapsed: Duration) -> Vec<Second> {
        let mut going = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = usize::try_from(elapsed.as_nanos().div_ceil(1_000_000_000)).unwrap_or(usize::MAX);
        going.end_seconds(begun.saturating_sub(1));
        if !elapsed.is_zero() || !going.latency.is_empty() {
            going.end_second();
        }
        std::mem::take(&mut going.over)
    }
}

impl Going {
    /// Ends all seconds before the given one.
    fn end_seconds(&mut self, second: usize) {
        while self.over.len() < second.min(SECONDS_MAX - 1) {
            self.end_second();
        }
    }

    fn end_second(&mut self) {
        let requests = self.latency.len();
        let at = |quantile| self.latency.value_at_quantile(quantile);
        let brief = || LatencyBrief { p50: at(0.5), p99: at(0.99), max: self.latency.max() };
        let latency = (requests != 0).then(brief);
        self.over.push(Second { purchases: self.purchases, requests, latency });
        self.purchases = 0;
        if requests != 0 {
            self.latency.reset();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_second_is_one_that_is_over() {
        let recorder = Recorder::new().unwrap();
        recorder.record(Duration::from_millis(900), 5, 3);
        assert_eq!(recorder.last(Duration::from_millis(999)), None);
        assert_eq!(recorder.last(Duration::from_millis(1_000)).map(|own| own.purchases), Some(3));
        assert_eq!(recorder.last(Duration::from_millis(2_500)), Some(Second::default()));
    }

    #[test]
    fn each_second_has_its_own_and_silent_ones_are_there() {
        let recorder = Recorder::new().unwrap();
        for us in 1..=100 {
            recorder.record(Duration::from_millis(10 * us - 1), us, 2);
        }
        recorder.record(Duration::from_millis(3_500), 7, 1);
        // A connection that noted its time before another one did.
        recorder.record(Duration::from_millis(2_999), 9, 1);
        let seconds = recorder.finish(Duration::from_millis(4_200));
        let first = LatencyBrief { p50: 50, p99: 99, max: 100 };
        let fourth = LatencyBrief { p50: 7, p99: 9, max: 9 };
        assert_eq!(
            seconds,
            [
                Second { purchases: 200, requests: 100, latency: Some(first) },
                Second::default(),
                Second::default(),
                Second { purchases: 2, requests: 2, latency: Some(fourth) },
                Second::default(),
            ]
        );
    }

    #[test]
    fn a_run_has_as_many_seconds_as_it_began() {
        let seconds = |millis| Recorder::new().unwrap().finish(Duration::from_millis(millis)).len();
        assert_eq!([0, 1, 1_000, 1_001].map(seconds), [0, 1, 1, 2]);
    }

    #[test]
    fn there_are_never_more_than_a_run_may_take() {
        let recorder = Recorder::new().unwrap();
        recorder.record(Duration::MAX, 1, 1);
        recorder.record(Duration::MAX, 1, 1);
        let seconds = recorder.finish(Duration::MAX);
        assert_eq!((seconds.len(), seconds.last().unwrap().requests), (SECONDS_MAX, 2));
    }
}
