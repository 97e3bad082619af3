//! Where the records of a what-if come from: a running engine's durable records, or a ledger that nobody runs.

use std::fmt::Display;
use std::io;
use std::sync::Arc;

use kembali_core::totals::{TenantTotals, Totals};
use kembali_core::{Instant, Seq, TenantId};
use kembali_journal::{Frame, codec};
use kembali_snapshots::Archive;

use crate::request::ReadError;
use crate::shared::{Shared, read_error};

/// Records in order, up to an end that stays where it is.
pub(crate) trait History {
    /// Why they cannot be read.
    type Error;

    /// Returns the last position.
    fn end(&self) -> Seq;

    /// Returns the frame that holds `seq`, or `None` when none does.
    fn frame_of(&self, seq: Seq) -> Result<Option<Frame>, Self::Error>;

    /// Iterates over the frames from the one that holds `first` on; the last may reach beyond the end.
    fn frames(&self, first: Seq) -> impl Iterator<Item = Result<Frame, Self::Error>> + '_;

    /// Returns a position up to which nothing of the tenant's was taken back, as far as sums tell without reading records.
    fn untouched_through(&self, tenant: TenantId) -> Result<Seq, Self::Error>;

    /// Says that no thread could be started to read on.
    fn no_thread(source: io::Error) -> Self::Error;

    /// Says that the record at `seq` cannot be what was written.
    fn damaged(seq: Seq, what: &dyn Display) -> Self::Error;

    /// Returns when the ledger received the record at `seq`.
    fn received_at(&self, seq: Seq) -> Result<Instant, Self::Error> {
        let missing = || Self::damaged(seq, &"the ledger ends behind it, and it is not there");
        let frame = self.frame_of(seq)?.ok_or_else(missing)?;
        let bytes = frame.record_by_seq(seq).ok_or_else(missing)?;
        Ok(codec::decode_head(bytes).map_err(|error| Self::damaged(seq, &error))?.received_at)
    }
}

/// Returns the position of the sums where they say that nothing of the tenant's was taken back, else that before all.
pub(crate) fn untouched(sums: &Totals, tenant: TenantId) -> Seq {
    if sums.tenant(tenant).is_none_or(is_untouched) { sums.last } else { Seq::ZERO }
}

/// Returns true where a tenant's sums say that nothing was taken back.
pub(crate) fn is_untouched(sums: &TenantTotals) -> bool {
    sums.refunds.count == 0 && sums.reversals == 0
}

/// What is durable in a running engine at one moment.
pub(crate) struct Live {
    shared: Arc<Shared>,
    /// As it was then; what was archived later is still found.
    archive: Arc<Archive>,
    end: Seq,
    /// True where sums from the end or behind it say that nothing of the tenant's was taken back.
    is_untouched: bool,
}

impl Live {
    pub(crate) fn new(shared: Arc<Shared>) -> Live {
        let (end, archive) = (shared.durable(), shared.archive());
        Live { shared, archive, end, is_untouched: false }
    }

    /// Takes the tenant's sums, which were asked for since.
    pub(crate) fn learn(&mut self, sums: &TenantTotals) {
        self.is_untouched = is_untouched(sums);
    }
}

impl History for Live {
    type Error = ReadError;

    fn end(&self) -> Seq {
        self.end
    }

    fn frame_of(&self, seq: Seq) -> Result<Option<Frame>, ReadError> {
        self.shared.frame_of(seq)
    }

    fn frames(&self, first: Seq) -> impl Iterator<Item = Result<Frame, ReadError>> + '_ {
        // In order and past the cache of blocks, which is for those who look here and there.
        let mut next = first;
        let archived = self.archive.frames(first).map(move |frame| {
            let read = frame.map_err(|error| read_error(next, error));
            if let Ok(frame) = &read {
                next = frame.last_seq().next();
            }
            read
        });
        // One by one: a frame is not kept in memory for this.
        let mut next = Some(self.archive.last_seq().next().max(first));
        let newer = std::iter::from_fn(move || {
            let seq = next?;
            let read = self.shared.frame_of(seq).transpose()?;
            next = read.as_ref().ok().map(|frame| frame.last_seq().next());
            Some(read)
        });
        archived.chain(newer)
    }

    fn untouched_through(&self, tenant: TenantId) -> Result<Seq, ReadError> {
        if self.is_untouched {
            return Ok(self.end);
        }
        let sums = self.archive.sums_through(self.end).map_err(|error| read_error(self.archive.last_seq(), error))?;
        Ok(untouched(&sums, tenant))
    }

    fn no_thread(source: io::Error) -> ReadError {
        ReadError::Unreadable(Seq::ZERO, format!("starting the thread that reads: {source}"))
    }

    fn damaged(seq: Seq, what: &dyn Display) -> ReadError {
        ReadError::Damaged(seq, what.to_string())
    }
}
