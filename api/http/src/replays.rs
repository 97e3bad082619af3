//! Signatures that were seen, for as long as they would be right again: none opens twice.
//!
//! In memory: a start forgets them. What is booked is protected for ever by its origin id or its idempotency key; see ADR 0036.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, PoisonError};

use crate::signature::WINDOW_SECONDS;

/// The signatures of the last minutes. One for each server.
#[derive(Debug)]
pub(crate) struct Replays {
    signatures_max: usize,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// The first eight bytes of each signature. Whoever does not know the secret cannot choose it.
    all: HashSet<u64>,
    /// The same by the second that each was made in, to be forgotten in that order.
    by_second: BTreeMap<i64, Vec<u64>>,
    /// What was made up to this second is forgotten, and so never taken again: the clock may be set back.
    forgotten_through: i64,
}

/// What a signature is that is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    First,
    Again,
    /// Too many others are remembered to remember it too.
    NoRoom,
}

impl Replays {
    pub(crate) fn new(signatures_max: usize) -> Replays {
        Replays { signatures_max, seen: Mutex::default() }
    }

    /// Remembers a signature that is right and was made in this second, unless it was shown before.
    pub(crate) fn show(&self, signature: &[u8; 32], second: i64, now: i64) -> Shown {
        let mut first = [0; 8];
        first.copy_from_slice(&signature[..8]);
        let half = u64::from_le_bytes(first);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = &mut *seen;
        let over = now.saturating_sub(WINDOW_SECONDS + 1);
        while let Some(oldest) = seen.by_second.first_entry().filter(|oldest| *oldest.key() <= over) {
            let (second, halves) = oldest.remove_entry();
            for half in halves {
                seen.all.remove(&half);
            }
            seen.forgotten_through = seen.forgotten_through.max(second);
        }
        if second <= seen.forgotten_through || seen.all.contains(&half) {
            return Shown::Again;
        }
        if self.signatures_max <= seen.all.len() {
            return Shown::NoRoom;
        }
        seen.all.insert(half);
        seen.by_second.entry(second).or_default().push(half);
        Shown::First
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_514_764_800;

    fn signature(number: u8) -> [u8; 32] {
        [number; 32]
    }

    #[test]
    fn a_signature_is_new_once() {
        let replays = Replays::new(10);
        for (number, expected) in [(1, Shown::First), (2, Shown::First), (1, Shown::Again), (2, Shown::Again)] {
            assert_eq!(replays.show(&signature(number), NOW, NOW), expected, "{number}");
        }
        // Up to the last second in which it would be right.
        assert_eq!(replays.show(&signature(1), NOW, NOW + WINDOW_SECONDS), Shown::Again);
    }

    #[test]
    fn what_cannot_be_right_again_makes_room_and_stays_closed() {
        let replays = Replays::new(2);
        assert_eq!(replays.show(&signature(1), NOW, NOW), Shown::First);
        assert_eq!(replays.show(&signature(2), NOW + 1, NOW), Shown::First);
        assert_eq!(replays.show(&signature(3), NOW, NOW), Shown::NoRoom);
        let later = NOW + WINDOW_SECONDS + 1;
        assert_eq!(replays.show(&signature(3), later, later), Shown::First, "the first is forgotten");
        assert_eq!(replays.show(&signature(4), later, later), Shown::NoRoom, "the second is not");
        // The clock is set back: what was forgotten would be right again.
        let later = later + 1;
        assert_eq!(replays.show(&signature(4), later, later), Shown::First);
        for number in [1, 2, 5] {
            assert_eq!(replays.show(&signature(number), NOW, NOW), Shown::Again, "{number}");
        }
    }
}
