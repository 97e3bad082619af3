//! The newest records with their events written down: what a hundred subscribers are told is written once. Knows no subscriber.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use kembali_core::Seq;
use kembali_core::event::{Body, Event, Record};

use crate::wire::event::WrittenRecord;

/// Records that are kept. Whoever is further behind reads for itself, which is much slower: so these are nearly as many as the server
/// lets a subscriber fall behind.
const RECORDS: usize = 8_192;
/// What all that are kept may have: see [`parts`].
const PARTS_MAX: usize = 16 * RECORDS;

/// The newest records. A record stands at its position modulo their number.
#[derive(Debug)]
pub(crate) struct Tail {
    places: Box<[Mutex<Option<Arc<WrittenRecord>>>]>,
    parts: AtomicUsize,
}

impl Tail {
    pub(crate) fn new() -> Tail {
        Tail { places: (0..RECORDS).map(|_| Mutex::new(None)).collect(), parts: AtomicUsize::new(0) }
    }

    fn place(&self, seq: Seq) -> Option<&Mutex<Option<Arc<WrittenRecord>>>> {
        let length = u64::try_from(self.places.len()).ok()?;
        self.places.get(usize::try_from(seq.0.checked_rem(length)?).ok()?)
    }

    /// Finds a record that is kept.
    pub(super) fn get(&self, seq: Seq) -> Option<Arc<WrittenRecord>> {
        // Whoever panicked has put a whole record or none.
        let kept = self.place(seq)?.lock().unwrap_or_else(PoisonError::into_inner);
        kept.as_ref().filter(|kept| kept.record().seq == seq).cloned()
    }

    /// Keeps a record in the place of an older one, if all that are kept stay small.
    pub(super) fn keep(&self, written: &Arc<WrittenRecord>) {
        let Record { seq, body, .. } = written.record();
        let Some(place) = self.place(*seq) else { return };
        let mut kept = place.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.as_ref().is_some_and(|kept| *seq <= kept.record().seq) {
            return;
        }
        if let Some(old) = kept.take() {
            self.parts.fetch_sub(parts(&old.record().body), Ordering::Relaxed);
        }
        let own = parts(body);
        // Two may pass at once, and are a few too many together.
        if self.parts.load(Ordering::Relaxed).saturating_add(own) <= PARTS_MAX {
            self.parts.fetch_add(own, Ordering::Relaxed);
            *kept = Some(Arc::clone(written));
        }
    }
}

/// Counts what makes a record large: its events, and the lines of a purchase. Rules are too large at all.
fn parts(body: &Body) -> usize {
    let parts = |event: &Event| match event {
        Event::CatalogueApplied(_) => PARTS_MAX,
        Event::PurchaseBooked(booked) => booked.purchase.lines.len(),
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
        let (first, later) = (Seq(7), Seq(7 + RECORDS as u64));
        let kept = |seq| tail.get(seq).map(|kept| kept.record().seq);
        assert_eq!(kept(first), None);
        tail.keep(&written(later, vec![Event::CustomerErased]));
        // Whoever is far behind takes nothing away from the others.
        tail.keep(&written(first, vec![Event::CustomerErased; 2]));
        assert_eq!((kept(first), kept(later)), (None, Some(later)));
        assert_eq!((kept(Seq(8)), kept(Seq(7 + 2 * RECORDS as u64))), (None, None));
        assert_eq!(tail.parts.load(Ordering::Relaxed), 1);
        // What is too large is not kept, nor is what stood there.
        let latest = Seq(7 + 2 * RECORDS as u64);
        tail.keep(&written(latest, vec![Event::CustomerErased; PARTS_MAX + 1]));
        assert_eq!((kept(later), kept(latest)), (None, None));
        assert_eq!(tail.parts.load(Ordering::Relaxed), 0);
        tail.keep(&written(latest, vec![Event::CustomerErased; PARTS_MAX]));
        tail.keep(&written(Seq(8), vec![Event::CustomerErased]));
        assert_eq!((kept(latest), kept(Seq(8))), (Some(latest), None));
    }
}
