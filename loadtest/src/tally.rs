//! What was answered, counted: one tally for each connection, added up at the end.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::{CreationError, Histogram};
use serde::{Deserialize, Serialize};

use crate::answer::Answer;

/// The longest latency that is told apart from longer ones.
const LATENCY_US_MAX: u64 = 3_600_000_000;
/// Significant decimal digits of a latency.
const LATENCY_DIGITS: u8 = 3;
/// The whole, in the parts that a curve of percentiles counts in.
pub(crate) const WHOLE_PARTS: u64 = 1_000_000;
/// Answers that do not fit their purchase and are shown.
const MISMATCHES_SHOWN_MAX: usize = 5;

/// What became of the purchases of one connection, or of all.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    pub(crate) booked: u64,
    pub(crate) replayed: u64,
    pub(crate) refused: BTreeMap<String, u64>,
    /// Of the purchases that were booked now, as sent.
    pub(crate) amount: i128,
    /// Of the purchases that were booked now, as answered.
    pub(crate) points: i128,
    pub(crate) requests: u64,
    /// How often an overloaded server was asked again.
    pub(crate) retries: u64,
    /// Answers that do not fit what was sent, or what another one told before.
    pub(crate) mismatches: u64,
    pub(crate) mismatches_shown: Vec<String>,
    /// Of reads and refunds beside the purchases.
    pub(crate) reads: Times,
    pub(crate) refunds: Times,
    latency: Histogram<u64>,
}

/// Latencies of requests, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Latency {
    pub(crate) p50: u64,
    pub(crate) p90: u64,
    pub(crate) p99: u64,
    pub(crate) p999: u64,
    pub(crate) max: u64,
}

impl Latency {
    fn of(latencies: &Histogram<u64>) -> Latency {
        let at = |quantile| latencies.value_at_quantile(quantile);
        Latency { p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max: latencies.max() }
    }
}

/// How long requests of one kind took. Takes memory only once there is one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Times(Option<Histogram<u64>>);

/// How many requests of one kind there were, and how long they took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Timed {
    pub(crate) requests: u64,
    pub(crate) latency_us: Latency,
}

impl Times {
    /// Counts a request.
    ///
    /// # Errors
    ///
    /// Never with the limits of this file.
    pub(crate) fn record(&mut self, latency: Duration) -> Result<(), CreationError> {
        let times = match &mut self.0 {
            Some(times) => times,
            none => none.insert(new_histogram()?),
        };
        times.saturating_record(microseconds(latency));
        Ok(())
    }

    fn add(&mut self, other: Times) {
        match (&mut self.0, other.0) {
            // Both have the same bounds, so this cannot fail.
            (Some(own), Some(other)) => *own += other,
            (own, other) => *own = own.take().or(other),
        }
    }

    /// Sums them up; nothing if there was none.
    pub(crate) fn sum(&self) -> Option<Timed> {
        self.0.as_ref().map(|own| Timed { requests: own.len(), latency_us: Latency::of(own) })
    }
}

/// A purchase as it was sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent<'a> {
    pub(crate) origin_id: &'a [u8],
    pub(crate) amount: u64,
}

impl Tally {
    /// Starts at nothing.
    ///
    /// # Errors
    ///
    /// Never with the limits of this file.
    pub(crate) fn new() -> Result<Tally, CreationError> {
        Ok(Tally {
            booked: 0,
            replayed: 0,
            refused: BTreeMap::new(),
            amount: 0,
            points: 0,
            requests: 0,
            retries: 0,
            mismatches: 0,
            mismatches_shown: Vec::new(),
            reads: Times::default(),
            refunds: Times::default(),
            latency: new_histogram()?,
        })
    }

    /// Counts the answer of a purchase.
    pub(crate) fn count(&mut self, sent: Sent<'_>, answer: &Answer<'_>) {
        let (replayed, result) = match answer {
            Answer::Booked { replayed, result } => (*replayed, result),
            Answer::Refused { code } => {
                match self.refused.get_mut(&**code) {
                    Some(count) => *count += 1,
                    None => {
                        self.refused.insert(code.clone().into_owned(), 1);
                    }
                }
                return;
            }
        };
        if result.origin_id.as_bytes() != sent.origin_id || i128::from(result.amount) != i128::from(sent.amount) {
            self.mismatch(|| {
                let origin_id = String::from_utf8_lossy(sent.origin_id);
                format!("{origin_id} of {} was answered as {} of {}", sent.amount, result.origin_id, result.amount)
            });
        }
        if replayed {
            self.replayed += 1;
        } else {
            self.booked += 1;
            self.amount += i128::from(sent.amount);
            self.points += i128::from(result.point_total);
        }
    }

    /// Counts an answer that does not fit what was sent, or told before.
    pub(crate) fn mismatch(&mut self, shown: impl FnOnce() -> String) {
        self.mismatches += 1;
        if self.mismatches_shown.len() < MISMATCHES_SHOWN_MAX {
            self.mismatches_shown.push(shown());
        }
    }

    /// Counts a request that was answered.
    pub(crate) fn count_request(&mut self, latency: Duration) {
        self.requests += 1;
        self.latency.saturating_record(microseconds(latency));
    }

    /// Adds another tally. Of the mismatches shown, the first stay.
    pub(crate) fn add(&mut self, other: Tally) {
        self.booked += other.booked;
        self.replayed += other.replayed;
        for (code, count) in other.refused {
            *self.refused.entry(code).or_default() += count;
        }
        self.amount += other.amount;
        self.points += other.points;
        self.requests += other.requests;
        self.retries += other.retries;
        self.mismatches += other.mismatches;
        self.mismatches_shown.extend(other.mismatches_shown);
        self.mismatches_shown.truncate(MISMATCHES_SHOWN_MAX);
        self.reads.add(other.reads);
        self.refunds.add(other.refunds);
        // Both have the same bounds, so this cannot fail.
        self.latency += other.latency;
    }

    /// Counts the purchases that were answered.
    pub(crate) fn answered(&self) -> u64 {
        self.booked + self.replayed + self.refused.values().sum::<u64>()
    }

    /// Sums up the latencies.
    pub(crate) fn latency(&self) -> Latency {
        Latency::of(&self.latency)
    }

    /// Returns the latency that so many parts of [`WHOLE_PARTS`] of all requests did not exceed, in microseconds, for ever finer parts up to
    /// the whole: in steps of a tenth, from nine tenths of a hundredth, and so on, as long as a request is beyond. Nothing without requests.
    pub(crate) fn curve(&self) -> Vec<(u64, u64)> {
        let requests = self.latency.len();
        let decades =
            std::iter::successors(Some(WHOLE_PARTS / 10), |decade| Some(decade / 10).filter(|next| *next != 0));
        let beyond = decades.flat_map(|decade| (2..=10).rev().map(move |digit| digit * decade));
        let mut wanted = beyond
            .filter(|beyond| WHOLE_PARTS <= beyond * requests)
            .map(|beyond| WHOLE_PARTS - beyond)
            .chain((requests != 0).then_some(WHOLE_PARTS))
            .peekable();
        let mut curve = Vec::new();
        let mut counted = 0;
        for step in self.latency.iter_recorded() {
            counted += step.count_since_last_iteration();
            while let Some(parts) = wanted.next_if(|parts| parts * requests <= counted * WHOLE_PARTS) {
                curve.push((parts, step.value_iterated_to()));
            }
        }
        curve
    }
}

/// Makes a histogram of latencies, in microseconds.
pub(crate) fn new_histogram() -> Result<Histogram<u64>, CreationError> {
    Histogram::new_with_bounds(1, LATENCY_US_MAX, LATENCY_DIGITS)
}

/// Returns a time in microseconds.
pub(crate) fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::Booked;

    fn booked(replayed: bool, origin_id: &'static str, amount: i64, point_total: i64) -> Answer<'static> {
        Answer::Booked { replayed, result: Booked { origin_id: origin_id.into(), amount, point_total } }
    }

    #[test]
    fn only_what_is_booked_now_is_summed() {
        let mut one = Tally::new().unwrap();
        let sent = Sent { origin_id: b"a", amount: 100 };
        one.count(sent, &booked(false, "a", 100, 3));
        one.count(sent, &booked(true, "a", 100, 3));
        one.count(sent, &Answer::Refused { code: "promo_unknown".into() });
        let mut two = one.clone();
        two.count(sent, &Answer::Refused { code: "promo_unknown".into() });
        one.add(two);
        assert_eq!((one.booked, one.replayed, one.amount, one.points), (2, 2, 200, 6));
        assert_eq!(one.refused, BTreeMap::from([("promo_unknown".to_owned(), 3)]));
        assert_eq!((one.answered(), one.mismatches), (7, 0));
    }

    #[test]
    fn an_answer_for_another_purchase_is_a_mismatch() {
        let mut tally = Tally::new().unwrap();
        let sent = Sent { origin_id: b"a", amount: 100 };
        tally.count(sent, &booked(false, "b", 100, 0));
        tally.count(sent, &booked(true, "a", 101, 0));
        assert_eq!(tally.mismatches, 2);
        assert_eq!(tally.mismatches_shown, ["a of 100 was answered as b of 100", "a of 100 was answered as a of 101"]);
    }

    #[test]
    fn latencies_are_summed_up_over_tallies() {
        let (mut one, mut two) = (Tally::new().unwrap(), Tally::new().unwrap());
        for us in 1..=500 {
            one.count_request(Duration::from_micros(us));
            two.count_request(Duration::from_micros(500 + us));
        }
        two.reads.record(Duration::from_micros(7)).unwrap();
        one.add(two);
        assert_eq!(one.reads.sum().map(|reads| (reads.requests, reads.latency_us.max)), Some((1, 7)));
        assert_eq!(one.refunds.sum(), None);
        assert_eq!(one.requests, 1_000);
        assert_eq!(one.latency(), Latency { p50: 500, p90: 900, p99: 990, p999: 999, max: 1_000 });
        let curve = one.curve();
        let at = |parts| curve.iter().find(|(own, _)| *own == parts).map(|(_, us)| *us);
        assert_eq!(
            [0, 500_000, 900_000, 990_000, 998_000, 1_000_000].map(at),
            [1, 500, 900, 990, 998, 1_000].map(Some)
        );
        assert!(curve.is_sorted(), "{curve:?}");
        assert_eq!(curve.len(), 29, "three decades in nine steps each, the last request, and the whole: {curve:?}");
        assert_eq!(Tally::new().unwrap().curve(), []);
        one.count_request(Duration::from_secs(86_400));
        let longest = LATENCY_US_MAX..LATENCY_US_MAX + LATENCY_US_MAX / 500;
        assert!(longest.contains(&one.latency().max), "longer ones count as the longest");
    }
}
