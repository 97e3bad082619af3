//! The range of a what-if, and the loop over its records.

use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant as Moment};

use kembali_core::catalogue::Catalogue;
use kembali_core::event::Record;
use kembali_core::ledger::Inconsistency;
use kembali_core::what_if::{TakenBack, WhatIf};
use kembali_core::{Instant, Seq, TenantId};
use kembali_journal::{Frame, codec};

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
pub(crate) fn run<H: History + Sync>(
    history: &H,
    wanted: Arc<Catalogue>,
    range: Range,
    largest: usize,
    go_on: impl Fn() -> bool,
    mut tell: impl FnMut(WhatIfProgress),
) -> Result<Option<WhatIfReport>, H::Error>
where
    H::Error: Send,
{
    let start = Moment::now();
    let mut told = start;
    let Some(taken_back) = taken_back(history, wanted.tenant, range, &go_on)? else { return Ok(None) };
    let mut what_if = WhatIf::new(wanted, range.first);
    what_if.expect(taken_back);
    let mut reached = Seq::ZERO;
    tell(WhatIfProgress { reached, to: range.last, purchases: 0 });
    let tenant = what_if.tenant();
    let is_given_up = thread::scope(|scope| {
        // A frame is read while the one before is decided; one more waits, so what is in memory is bounded.
        let (read, frames) = mpsc::sync_channel(1);
        let reader = move || {
            for frame in history.frames(Seq(1)) {
                let records = frame.and_then(|frame| read_records::<H>(&frame, tenant, range.last));
                let is_last = records.as_ref().map_or(true, |records| range.last <= records.last);
                // Nobody takes it where the run was given up.
                if read.send(records).is_err() || is_last {
                    return;
                }
                // Purchases that come in go first.
                thread::yield_now();
            }
        };
        thread::Builder::new().name("what-if-read".into()).spawn_scoped(scope, reader).map_err(H::no_thread)?;
        for records in frames {
            let Records { last, of_tenant } = records?;
            for record in of_tenant {
                let seq = record.seq;
                what_if.take(record).map_err(|what| contradiction::<H>(seq, &what))?;
            }
            reached = last.min(range.last);
            if range.last <= last {
                break;
            }
            if !go_on() {
                return Ok(true);
            }
            if PROGRESS_EVERY <= told.elapsed() {
                told = Moment::now();
                tell(WhatIfProgress { reached, to: range.last, purchases: what_if.purchases() });
            }
            thread::yield_now();
        }
        Ok(false)
    });
    if is_given_up? {
        return Ok(None);
    }
    if reached < range.last {
        return Err(H::damaged(reached.next(), &"the ledger ends behind it, and it is not there"));
    }
    let comparison = what_if.finish(largest).map_err(|what| contradiction::<H>(reached, &what))?;
    Ok(Some(WhatIfReport { from: range.first, to: range.last, elapsed: start.elapsed(), comparison }))
}

/// The records of one frame.
struct Records {
    /// The last position of the frame.
    last: Seq,
    /// Those of the tenant, up to the end of the range.
    of_tenant: Vec<Record>,
}

/// Reads the records of a tenant. Another one's are not read any further than whose they are.
fn read_records<H: History>(frame: &Frame, tenant: TenantId, last: Seq) -> Result<Records, H::Error> {
    let mut of_tenant = Vec::new();
    for (seq, bytes) in (frame.first_seq().0..=last.0).map(Seq).zip(frame.records()) {
        let head = codec::decode_head(bytes).map_err(|error| H::damaged(seq, &error))?;
        if head.tenant == tenant {
            of_tenant.push(codec::decode(seq, bytes).map_err(|error| H::damaged(seq, &error))?);
        }
    }
    Ok(Records { last: frame.last_seq(), of_tenant })
}

/// Finds what is taken back in the range, so that what it would have done is kept for it. `None` when it was told not to go on.
///
/// Records are only glanced at, and none where sums say that nothing was taken back: those of a running engine, or those at
/// the end of the archive.
fn taken_back<H: History>(
    history: &H,
    tenant: TenantId,
    range: Range,
    go_on: impl Fn() -> bool,
) -> Result<Option<TakenBack>, H::Error> {
    let mut found = TakenBack::default();
    let first = range.first.max(history.untouched_through(tenant)?.next());
    if range.last < first {
        return Ok(Some(found));
    }
    for frame in history.frames(first) {
        let frame = frame?;
        for (seq, bytes) in (frame.first_seq().0..=range.last.0).map(Seq).zip(frame.records()) {
            let takes_back = codec::takes_back(tenant, bytes).map_err(|error| H::damaged(seq, &error))?;
            if first <= seq && takes_back {
                found.note(&codec::decode(seq, bytes).map_err(|error| H::damaged(seq, &error))?);
            }
        }
        if range.last <= frame.last_seq() {
            break;
        }
        if !go_on() {
            return Ok(None);
        }
        thread::yield_now();
    }
    Ok(Some(found))
}

fn contradiction<H: History>(seq: Seq, what: &Inconsistency) -> H::Error {
    H::damaged(seq, &format_args!("it contradicts the ledger: {what:?}"))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fmt::Display;
    use std::io;

    use kembali_core::catalogue::{Currency, RuleClock, UnknownCustomer, UnknownPromo};
    use kembali_core::draft::{CatalogueDraft, EarningDraft, Numbering};
    use kembali_core::event::{Body, Event};
    use kembali_core::refund::RefundPolicy;
    use kembali_core::{CurrencyCode, PartnerId};
    use kembali_journal::{Frame, FrameHash};

    use super::*;

    /// Frames in memory; the last may be missing.
    struct Frames {
        frames: Vec<Frame>,
        end: Seq,
    }

    impl History for Frames {
        type Error = String;

        fn end(&self) -> Seq {
            self.end
        }

        fn frame_of(&self, seq: Seq) -> Result<Option<Frame>, String> {
            Ok(self.frames.iter().find(|frame| frame.first_seq() <= seq && seq <= frame.last_seq()).cloned())
        }

        fn frames(&self, first: Seq) -> impl Iterator<Item = Result<Frame, String>> + '_ {
            self.frames.iter().filter(move |frame| first <= frame.last_seq()).cloned().map(Ok)
        }

        fn untouched_through(&self, _: TenantId) -> Result<Seq, String> {
            // As if sums said it: no frame is read for refunds then.
            Ok(self.end)
        }

        fn no_thread(source: io::Error) -> String {
            source.to_string()
        }

        fn damaged(seq: Seq, what: &dyn Display) -> String {
            format!("{}: {what}", seq.0)
        }
    }

    fn rules() -> Arc<Catalogue> {
        let draft = CatalogueDraft {
            slug: "shops".into(),
            name: "Shops".into(),
            currency: Currency { code: CurrencyCode::parse("IDR").expect("a currency"), exponent: 0 },
            timezone: "Asia/Jakarta".into(),
            clock: RuleClock::Received,
            unknown_customer: UnknownCustomer::AutoCreate,
            unknown_promo: UnknownPromo::Refuse,
            partners: Vec::new(),
            promos: Vec::new(),
            programs: Vec::new(),
            earning: EarningDraft::default(),
            refunds: RefundPolicy::default(),
            risk_rules: Vec::new(),
        };
        let numbering = Numbering { tenant: TenantId(1), next_partner: PartnerId(1), currency_is_fixed: false };
        Arc::new(draft.resolve(None, numbering).expect("rules"))
    }

    /// Frames of one record each, received in pairs at the same instant.
    fn history(count: u64) -> Frames {
        let mut frames: Vec<Frame> = Vec::new();
        for seq in 1..=count {
            let body = Body {
                received_at: Instant(seq as i64 / 2 * 10),
                tenant: TenantId(1),
                catalogue_version: seq as u32,
                customer: None,
                previous: Seq::ZERO,
                events: vec![Event::CatalogueApplied(Arc::new(Catalogue {
                    version: seq as u32,
                    ..Catalogue::clone(&rules())
                }))],
            };
            let mut bytes = Vec::new();
            codec::encode(&body, &mut bytes).expect("a record");
            let previous = frames.last().map_or(FrameHash::GENESIS, Frame::hash);
            frames.push(Frame::build(1, Seq(seq), previous, &[bytes]).expect("a frame"));
        }
        Frames { frames, end: Seq(count) }
    }

    #[test]
    fn it_is_given_up_at_the_next_frame() {
        let history = history(9);
        let range = range(&history, None, None).expect("readable").expect("a range");
        let asked = Cell::new(0);
        let go_on = || {
            asked.set(asked.get() + 1);
            asked.get() < 3
        };
        let given_up = run(&history, rules(), range, 1, go_on, |_| ()).expect("readable");
        assert!(given_up.is_none() && asked.get() == 3);
        let report = run(&history, rules(), range, 1, || true, |_| ()).expect("readable").expect("a report");
        assert_eq!((report.from, report.to, report.comparison.left_out.catalogues), (Seq(1), Seq(9), 9));
    }

    #[test]
    fn nothing_is_read_behind_the_range() {
        let history = history(9);
        let range = range(&history, Some(Bound::Position(Seq(2))), Some(Bound::Position(Seq(4))));
        let asked = Cell::new(0);
        let go_on = || {
            asked.set(asked.get() + 1);
            true
        };
        let range = range.expect("readable").expect("a range");
        let report = run(&history, rules(), range, 1, go_on, |_| ()).expect("readable").expect("a report");
        assert_eq!((report.comparison.left_out.catalogues, asked.get()), (3, 3));
    }

    #[test]
    fn a_ledger_that_ends_too_early_is_damage() {
        let mut history = history(9);
        history.frames.pop();
        let range = range(&history, None, None).expect("readable").expect("a range");
        let short = run(&history, rules(), range, 1, || true, |_| ()).expect_err("a record is missing");
        assert_eq!(short, "9: the ledger ends behind it, and it is not there");
        assert!(history.received_at(Seq(9)).is_err());
    }

    #[test]
    fn an_instant_names_the_records_that_were_received_then() {
        let history = history(9);
        // Received at 0, 10, 10, 20, 20, 30, 30, 40, 40.
        let found = |from: i64, to: i64| {
            let [from, to] = [from, to].map(|at| Some(Bound::Received(Instant(at))));
            range(&history, from, to).expect("readable").map(|range| (range.first.0, range.last.0)).ok()
        };
        assert_eq!(found(10, 20), Some((2, 5)));
        assert_eq!(found(9, 20), Some((2, 5)));
        assert_eq!(found(11, 39), Some((4, 7)));
        assert_eq!(found(-5, 99), Some((1, 9)));
        assert_eq!((found(11, 19), found(41, 99), found(0, -1)), (None, None, None));
    }
}
