//! What partners may send: so many requests in a second, and so many at one time. Counted by partner, over all of its keys.
//!
//! A stream is one request, however many lines it has: inside it the server stops reading instead.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use governor::clock::{Clock, MonotonicClock, Reference};
use governor::middleware::StateInformationMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use hyper::body::{Frame, SizeHint};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use kembali_core::PartnerId;
use kembali_core::audit::PartnerStanding;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::codes;
use crate::problem::Problem;

const POLICY_HEADER: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT_HEADER: HeaderName = HeaderName::from_static("ratelimit");

/// What everybody may send who has no limits of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartnerLimits {
    /// Requests in a second; as many may come at once.
    pub requests_per_second: NonZeroU32,
    /// Requests under way at one time.
    pub requests_at_once: NonZeroU32,
}

impl Default for PartnerLimits {
    fn default() -> PartnerLimits {
        const PER_SECOND: NonZeroU32 = NonZeroU32::new(50_000).unwrap();
        const AT_ONCE: NonZeroU32 = NonZeroU32::new(1_024).unwrap();
        PartnerLimits { requests_per_second: PER_SECOND, requests_at_once: AT_ONCE }
    }
}

impl PartnerLimits {
    fn of(self, standing: PartnerStanding) -> PartnerLimits {
        let own = |own: Option<u32>, other| own.and_then(NonZeroU32::new).unwrap_or(other);
        PartnerLimits {
            requests_per_second: own(standing.requests_per_second, self.requests_per_second),
            requests_at_once: own(standing.requests_at_once, self.requests_at_once),
        }
    }
}

/// What a partner may send after a request of its own, for the headers of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    per_second: u32,
    remaining: u32,
}

impl Rate {
    /// Writes the headers of the IETF's draft on rate limits: the policy, and what is left of it.
    pub(crate) fn write(self, headers: &mut HeaderMap) {
        let Rate { per_second, remaining } = self;
        let texts = [
            (POLICY_HEADER, format!("\"partner\";q={per_second};w=1")),
            (LIMIT_HEADER, format!("\"partner\";r={remaining};t=1")),
        ];
        for (name, text) in texts {
            if let Ok(value) = HeaderValue::try_from(text) {
                headers.insert(name, value);
            }
        }
    }
}

struct Gate<C: Clock> {
    limits: PartnerLimits,
    rate: RateLimiter<NotKeyed, InMemoryState, C, StateInformationMiddleware>,
    at_once: Arc<Semaphore>,
}

impl<C: Clock> Gate<C> {
    fn new(limits: PartnerLimits, clock: C) -> Gate<C> {
        let quota = Quota::per_second(limits.requests_per_second);
        let rate = RateLimiter::direct_with_clock(quota, clock).with_middleware();
        Gate { limits, rate, at_once: Arc::new(Semaphore::new(limits.requests_at_once.get() as usize)) }
    }
}

/// The gates of all partners. One for each server.
pub(crate) struct PartnerGates<C: Clock = MonotonicClock> {
    limits: PartnerLimits,
    clock: C,
    gates: Mutex<HashMap<PartnerId, Arc<Gate<C>>>>,
}

impl<C: Clock + Clone> PartnerGates<C>
where
    C::Instant: Reference,
{
    pub(crate) fn new(limits: PartnerLimits, clock: C) -> PartnerGates<C> {
        PartnerGates { limits, clock, gates: Mutex::default() }
    }

    /// Lets a request of a partner in, and says what may follow; it is under way until the permit is dropped.
    pub(crate) fn enter(
        &self,
        partner: PartnerId,
        standing: PartnerStanding,
    ) -> (Rate, Result<OwnedSemaphorePermit, Problem>) {
        let gate = self.gate(partner, self.limits.of(standing));
        let per_second = gate.limits.requests_per_second.get();
        let refused = |code| Problem::new(code).member("requests_per_second", per_second);
        match gate.rate.check() {
            Err(_) => (Rate { per_second, remaining: 0 }, Err(refused(&codes::RATE_LIMITED))),
            Ok(state) => {
                let rate = Rate { per_second, remaining: state.remaining_burst_capacity() };
                let at_once = gate.limits.requests_at_once.get();
                let full = |_| Problem::new(&codes::TOO_MANY_AT_ONCE).member("requests_at_once", at_once);
                (rate, Arc::clone(&gate.at_once).try_acquire_owned().map_err(full))
            }
        }
    }

    /// Finds a partner's gate. Other limits are another gate, where nothing is under way yet.
    fn gate(&self, partner: PartnerId, limits: PartnerLimits) -> Arc<Gate<C>> {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Gate::new(limits, self.clock.clone()));
        let gate = gates.entry(partner).or_insert_with(new);
        if gate.limits != limits {
            *gate = new();
        }
        Arc::clone(gate)
    }
}

impl<C: Clock> fmt::Debug for PartnerGates<C> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "PartnerGates({:?})", self.limits)
    }
}

/// Keeps a request under way until all of its answer is sent, or given up.
pub(crate) fn until_sent(body: Body, permit: OwnedSemaphorePermit) -> Body {
    if body.is_end_stream() { body } else { Body::new(Held { body, _permit: permit }) }
}

struct Held {
    body: Body,
    _permit: OwnedSemaphorePermit,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use governor::clock::FakeRelativeClock;

    use super::*;

    fn limits(per_second: u32, at_once: u32) -> PartnerLimits {
        let number = |number| NonZeroU32::new(number).expect("not zero");
        PartnerLimits { requests_per_second: number(per_second), requests_at_once: number(at_once) }
    }

    fn standing(per_second: Option<u32>, at_once: Option<u32>) -> PartnerStanding {
        PartnerStanding { is_suspended: false, requests_per_second: per_second, requests_at_once: at_once }
    }

    #[test]
    fn each_partner_has_a_rate_of_its_own_that_fills_up_again() {
        let clock = FakeRelativeClock::default();
        let gates = PartnerGates::new(limits(2, 100), clock.clone());
        let enter = |partner| gates.enter(PartnerId(partner), standing(None, None));
        let code = |entered: (Rate, Result<OwnedSemaphorePermit, Problem>)| {
            (entered.0.remaining, entered.1.map_or_else(|problem| problem.code.code, |_| "in"))
        };
        assert_eq!(code(enter(1)), (1, "in"));
        assert_eq!(code(enter(1)), (0, "in"));
        assert_eq!(code(enter(1)), (0, "rate_limited"));
        assert_eq!(code(enter(2)), (1, "in"), "another partner");
        clock.advance(Duration::from_millis(500));
        assert_eq!(code(enter(1)), (0, "in"));
        assert_eq!(code(enter(1)), (0, "rate_limited"));
        clock.advance(Duration::from_secs(60));
        assert_eq!(code(enter(1)), (1, "in"), "no more than a second's worth is saved up");
    }

    #[test]
    fn what_is_under_way_takes_a_place_until_it_is_dropped() {
        let gates = PartnerGates::new(limits(1_000, 2), FakeRelativeClock::default());
        let enter = |own| gates.enter(PartnerId(1), own).1;
        let (first, second) = (enter(standing(None, None)), enter(standing(None, None)));
        let refused = enter(standing(None, None)).expect_err("no place is left");
        assert_eq!(refused.code.code, "too_many_at_once");
        drop(first);
        let third = enter(standing(None, None)).expect("a place is free");
        assert!(enter(standing(None, None)).is_err());
        // Limits of its own hold at once.
        let fourth = enter(standing(None, Some(3))).expect("a place of its own");
        drop((second, third, fourth));
    }

    #[test]
    fn a_limit_of_its_own_goes_before_the_one_for_everybody() {
        let all = limits(10, 20);
        assert_eq!(all.of(standing(None, None)), all);
        assert_eq!(all.of(standing(Some(1), None)), limits(1, 20));
        assert_eq!(all.of(standing(None, Some(1))), limits(10, 1));
    }

    #[test]
    fn headers_say_the_policy_and_what_is_left() {
        let mut headers = HeaderMap::new();
        Rate { per_second: 100, remaining: 99 }.write(&mut headers);
        assert_eq!(headers["ratelimit-policy"], "\"partner\";q=100;w=1");
        assert_eq!(headers["ratelimit"], "\"partner\";r=99;t=1");
    }
}
