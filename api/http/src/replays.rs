//! Signatures that were seen, for as long as they would be right again: none opens twice.
//!
//! In memory: a start forgets them. What is booked is protected for ever by its origin id or its idempotency key; see ADR 0036.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use kembali_core::PartnerId;

use crate::signature::WINDOW_SECONDS;

/// The signatures of the last minutes. One for each server.
#[derive(Debug)]
pub(crate) struct Replays {
    signatures_max: usize,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// The first eight bytes of each signature and whose it is, by the second that it was made in. Whoever does not know the secret
    /// cannot choose them.
    by_second: BTreeMap<i64, HashMap<u64, PartnerId>>,
    /// How many each partner has.
    counts: HashMap<PartnerId, usize>,
    /// How many there are.
    count: usize,
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

    /// Remembers a signature of a partner that is right and was made in this second, unless it was shown before.
    pub(crate) fn show(&self, partner: PartnerId, signature: &[u8; 32], second: i64, now: i64) -> Shown {
        let mut first = [0; 8];
        first.copy_from_slice(&signature[..8]);
        let half = u64::from_le_bytes(first);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.forget_through(now.saturating_sub(WINDOW_SECONDS + 1));
        if second <= seen.forgotten_through || seen.by_second.get(&second).is_some_and(|seen| seen.contains_key(&half))
        {
            return Shown::Again;
        }
        let own = seen.counts.get(&partner).copied().unwrap_or_default();
        // A partner takes no more than there is left for others: alone a half, two a third each.
        let free = self.signatures_max.saturating_sub(seen.count);
        if free == 0 || free < own {
            return Shown::NoRoom;
        }
        seen.by_second.entry(second).or_default().insert(half, partner);
        seen.counts.insert(partner, own + 1);
        seen.count += 1;
        Shown::First
    }
}

impl Seen {
    /// Forgets what was made up to a second.
    fn forget_through(&mut self, second: i64) {
        while let Some(oldest) = self.by_second.first_entry().filter(|oldest| *oldest.key() <= second) {
            let (second, entries) = oldest.remove_entry();
            self.count -= entries.len();
            for partner in entries.into_values() {
                let own = self.counts.get_mut(&partner).map(|own| {
                    *own -= 1;
                    *own
                });
                if own == Some(0) {
                    self.counts.remove(&partner);
                }
            }
            self.forgotten_through = self.forgotten_through.max(second);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTNER: PartnerId = PartnerId(1);
    const NOW: i64 = 1_514_764_800;

    fn signature(number: u8) -> [u8; 32] {
        [number; 32]
    }

    #[test]
    fn a_signature_is_new_once() {
        let replays = Replays::new(10);
        for (number, expected) in [(1, Shown::First), (2, Shown::First), (1, Shown::Again), (2, Shown::Again)] {
            assert_eq!(replays.show(PARTNER, &signature(number), NOW, NOW), expected, "{number}");
        }
        // Up to the last second in which it would be right.
        assert_eq!(replays.show(PARTNER, &signature(1), NOW, NOW + WINDOW_SECONDS), Shown::Again);
    }

    #[test]
    fn what_cannot_be_right_again_makes_room_and_stays_closed() {
        let replays = Replays::new(2);
        assert_eq!(replays.show(PARTNER, &signature(1), NOW, NOW), Shown::First);
        assert_eq!(replays.show(PARTNER, &signature(2), NOW + 1, NOW), Shown::First);
        assert_eq!(replays.show(PARTNER, &signature(3), NOW, NOW), Shown::NoRoom);
        let later = NOW + WINDOW_SECONDS + 1;
        assert_eq!(replays.show(PARTNER, &signature(3), later, later), Shown::First, "the first is forgotten");
        assert_eq!(replays.show(PARTNER, &signature(4), later, later), Shown::NoRoom, "the second is not");
        // The clock is set back: what was forgotten would be right again.
        let later = later + 1;
        assert_eq!(replays.show(PARTNER, &signature(4), later, later), Shown::First);
        for number in [1, 2, 5] {
            assert_eq!(replays.show(PARTNER, &signature(number), NOW, NOW), Shown::Again, "{number}");
        }
    }

    #[test]
    fn a_partner_that_signs_much_leaves_room_for_others() {
        let replays = Replays::new(128);
        let show = |partner, number: u8| replays.show(PartnerId(partner), &signature(number), NOW, NOW);
        let taken = (0..=u8::MAX).take_while(|number| show(1, *number) == Shown::First).count();
        assert_eq!(taken, 65, "a half");
        let taken = (100..=u8::MAX).take_while(|number| show(2, *number) == Shown::First).count();
        assert_eq!(taken, 32, "a half of the rest");
        assert_eq!((show(3, 204), show(3, 1), show(1, 1)), (Shown::First, Shown::Again, Shown::Again));
        // What is forgotten is nobody's any more.
        let later = NOW + WINDOW_SECONDS + 1;
        assert_eq!(replays.show(PARTNER, &signature(1), later, later), Shown::First);
        let seen = replays.seen.lock().expect("no panic");
        assert_eq!((seen.count, seen.counts.len(), seen.by_second.len()), (1, 1, 1));
    }
}
