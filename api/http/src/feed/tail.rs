//! The newest records with their events written down: what a hundred subscribers are told is written once. Knows no subscriber.

use std::sync::{Arc, Mutex, PoisonError};

use kembali_core::Seq;
use kembali_core::event::{Body, Event, Record};

use crate::wire::event::WrittenRecord;

/// Records that are kept. Whoever is further behind reads for itself, which is much slower: so these are nearly as many as the server
/// lets a subscriber fall behind.
const RECORDS: u64 = 8_192;
/// What a record has at most that is kept, see [`parts`]: whoever makes large ones makes no room for them.
const PARTS_MAX: usize = 32;

/// The newest records. A record stands at its position modulo their number.
#[derive(Debug)]
pub(crate) struct Tail {
    places: Box<[Mutex<Option<Arc<WrittenRecord>>>]>,
}

impl Tail {
    pub(crate) fn new() -> Tail {
        Tail { places: (0..RECORDS).map(|_| Mutex::new(None)).collect() }
    }

    fn place(&self, seq: Seq) -> Option<&Mutex<Option<Arc<WrittenRecord>>>> {
        self.places.get(usize::try_from(seq.0 % RECORDS).ok()?)
    }

    /// Finds a record that is kept.
    pub(super) fn get(&self, seq: Seq) -> Option<Arc<WrittenRecord>> {
        // Whoever panicked has put a whole record or none.
        let kept = self.place(seq)?.lock().unwrap_or_else(PoisonError::into_inner);
        kept.as_ref().filter(|kept| kept.record().seq == seq).cloned()
    }

    /// Keeps a record in the place of an older one, if it is among the newest, of which the last is `head`, and small.
    pub(super) fn keep(&self, written: &Arc<WrittenRecord>, head: Seq) {
        let Record { seq, body, .. } = written.record();
        let is_new = head.0.saturating_sub(seq.0) < RECORDS;
        let Some(place) = self.place(*seq).filter(|_| is_new && parts(body) <= PARTS_MAX) else { return };
        let mut kept = place.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.as_ref().is_none_or(|kept| kept.record().seq < *seq) {
            *kept = Some(Arc::clone(written));
        }
    }
}

/// Counts what makes a record large: its events, and the lines and tags of a purchase. Rules are too large at all.
fn parts(body: &Body) -> usize {
    let parts = |event: &Event| match event {
        Event::CatalogueApplied(_) => PARTS_MAX,
        Event::PurchaseBooked(booked) => booked.purchase.lines.len() + booked.purchase.tags.len(),
        Event::PurchaseRefunded(refunded) => refunded.parts.len(),
        _ => 0,
    };
    body.events.iter().map(|event| 1 + parts(event)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::event::tests::written;

    #[test]
    fn a_record_is_kept_until_a_later_one_stands_in_its_place() {
        let tail = Tail::new();
        let (first, later, latest) = (Seq(7), Seq(7 + RECORDS), Seq(7 + 2 * RECORDS));
        let kept = |seq| tail.get(seq).map(|kept| kept.record().seq);
        let erased = |seq, events| written(seq, vec![Event::CustomerErased; events]);
        // What is old is not kept, also where nothing stands.
        tail.keep(&erased(first, 1), later);
        assert_eq!(kept(first), None);
        tail.keep(&erased(first, 1), Seq(6 + RECORDS));
        tail.keep(&erased(later, 1), later);
        // Whoever is behind takes nothing away from the others.
        tail.keep(&erased(first, 2), Seq(6 + RECORDS));
        assert_eq!((kept(first), kept(later), kept(Seq(8)), kept(latest)), (None, Some(later), None, None));
        // What is large is not kept.
        tail.keep(&erased(latest, PARTS_MAX + 1), latest);
        assert_eq!(kept(latest), None);
        tail.keep(&erased(latest, PARTS_MAX), latest);
        tail.keep(&erased(Seq(latest.0 + 1), 1), latest);
        assert_eq!((kept(later), kept(latest), kept(Seq(latest.0 + 1))), (None, Some(latest), Some(Seq(latest.0 + 1))));
    }
}
