//! A refresh whose answer was lost: the token before the newest is taken once more for a short while, as long as nobody has shown the newest.
//!
//! A page that is loaded again in the middle of a refresh, or a network that breaks, would end the session otherwise. Whoever stole a token
//! gains that while at most: as soon as both have refreshed, one of them shows a token that is neither, and the session ends.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use kembali_core::Instant;

/// How long, in microseconds.
const LEEWAY_US: i64 = 30_000_000;

/// A refresh that was answered.
#[derive(Clone, Copy, Debug)]
struct Answered {
    /// The hash of the token that was shown.
    shown: [u8; 32],
    /// The hash of the one that was given for it.
    given: [u8; 32],
    /// When it was shown first.
    at: Instant,
}

/// The refreshes of the last while, by session. Each needs a token that was good, so sessions bound them.
#[derive(Debug, Default)]
pub(super) struct Leeway(Mutex<HashMap<u128, Answered>>);

impl Leeway {
    /// Returns true where `shown`, which is not the session's newest token, may be taken once more: `newest` was given for it just now.
    pub(super) fn covers(&self, session: u128, shown: &[u8; 32], newest: &[u8; 32], now: Instant) -> bool {
        let answered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        answered.get(&session).is_some_and(|own| own.shown == *shown && own.given == *newest && own.is_fresh(now))
    }

    /// Notes that `given` is the answer to `shown`.
    pub(super) fn note(&self, session: u128, shown: [u8; 32], given: [u8; 32], now: Instant) {
        let mut answered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        answered.retain(|_, own| own.is_fresh(now));
        let again = answered.get(&session).filter(|own| own.shown == shown);
        // However often it is shown again, the while is not longer.
        let at = again.map_or(now, |own| own.at);
        answered.insert(session, Answered { shown, given, at });
    }
}

impl Answered {
    fn is_fresh(&self, now: Instant) -> bool {
        let since = now.0.saturating_sub(self.at.0);
        (0..LEEWAY_US).contains(&since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_before_the_newest_is_taken_again_for_a_while() {
        let leeway = Leeway::default();
        let [one, two, three] = [1, 2, 3].map(|byte| [byte; 32]);
        let at = |seconds: i64| Instant(1_000_000 * seconds);
        assert!(!leeway.covers(7, &one, &two, at(0)), "nobody has shown it");
        leeway.note(7, one, two, at(0));
        assert!(leeway.covers(7, &one, &two, at(29)));
        assert!(!leeway.covers(7, &one, &two, at(30)) && !leeway.covers(7, &one, &two, at(-1)));
        assert!(!leeway.covers(8, &one, &two, at(1)), "of another session");
        assert!(!leeway.covers(7, &one, &three, at(1)), "the newest was shown since");
        // Shown again, it is answered by another, and the while goes on from the first time.
        leeway.note(7, one, three, at(20));
        assert!(leeway.covers(7, &one, &three, at(29)) && !leeway.covers(7, &one, &three, at(31)));
        // What is over is forgotten.
        leeway.note(9, one, two, at(100));
        assert_eq!(leeway.0.lock().expect("nobody panicked").len(), 1);
    }
}
