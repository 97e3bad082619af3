//! The range of a what-if, and the loop over its records.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant as Moment};

use kembali_core::catalogue::Catalogue;
use kembali_core::what_if::WhatIf;
use kembali_core::{Instant, Seq};
use kembali_journal::codec;

use super::history::History;
use super::{Bound, WhatIfProgress, WhatIfRefused, WhatIfReport};

/// From one progress that is told to the next.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);

/// The positions that are decided again, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    first: Seq,
    last: Seq,
}

/// Finds the positions of a range.
pub(crate) fn range<H: History>(
    history: &H,
    from: Option<Bound>,
    to: Option<Bound>,
) -> Result<Result<Range, WhatIfRefused>, H::Error> {
    let end = history.end();
    let first = match from {
        None => Seq(1),
        Some(Bound::Position(seq)) => seq.max(Seq(1)),
        Some(Bound::Received(at)) => first_received(history, |received_at| at <= received_at)?,
    };
    let last = match to {
        None => end,
        Some(Bound::Position(seq)) => seq.min(end),
        Some(Bound::Received(at)) => Seq(first_received(history, |received_at| at < received_at)?.0 - 1),
    };
    let is_empty = last < first;
    Ok(if is_empty { Err(WhatIfRefused::RangeEmpty { from: first, to: last, end }) } else { Ok(Range { first, last }) })
}

/// Finds the first record that is received late enough, or the position behind the end. Stamps never fall.
fn first_received<H: History>(history: &H, is_late: impl Fn(Instant) -> bool) -> Result<Seq, H::Error> {
    let (mut low, mut high) = (1, history.end().0 + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        if is_late(history.received_at(Seq(middle))?) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Ok(Seq(low))
}

/// Runs over the records, and compares. `None` when it was told not to go on.
///
/// `go_on` is asked after every frame; `tell` hears of the progress now and then, and of the start.
pub(crate) fn run<H: History>(
    history: &H,
    wanted: Arc<Catalogue>,
    range: Range,
    largest: usize,
    go_on: impl Fn() -> bool,
    mut tell: impl FnMut(WhatIfProgress),
) -> Result<Option<WhatIfReport>, H::Error> {
    let start = Moment::now();
    let mut told = start;
    let mut what_if = WhatIf::new(wanted, range.first);
    let mut reached = Seq::ZERO;
    tell(WhatIfProgress { reached, to: range.last, purchases: 0 });
    for frame in history.frames() {
        let frame = frame?;
        for (seq, bytes) in (frame.first_seq().0..=range.last.0).map(Seq).zip(frame.records()) {
            let head = codec::decode_head(bytes).map_err(|error| H::damaged(seq, &error))?;
            reached = seq;
            // Another tenant's record is not read any further.
            if head.tenant == what_if.tenant() {
                let record = codec::decode(seq, bytes).map_err(|error| H::damaged(seq, &error))?;
                let taken = what_if.take(record);
                taken.map_err(|what| H::damaged(seq, &format_args!("it contradicts the ledger: {what:?}")))?;
            }
        }
        if range.last <= frame.last_seq() {
            break;
        }
        if !go_on() {
            return Ok(None);
        }
        if PROGRESS_EVERY <= told.elapsed() {
            told = Moment::now();
            tell(WhatIfProgress { reached, to: range.last, purchases: what_if.purchases() });
        }
        // Purchases that come in go first.
        thread::yield_now();
    }
    if reached < range.last {
        return Err(H::damaged(reached.next(), &"the ledger ends behind it, and it is not there"));
    }
    let comparison = what_if.finish(largest);
    Ok(Some(WhatIfReport { from: range.first, to: range.last, elapsed: start.elapsed(), comparison }))
}
