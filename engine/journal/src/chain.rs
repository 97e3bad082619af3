//! Holds frames against the head, one after the other. Reads no file: sled, memory and verify hand the frames in.

use kembali_core::Seq;

use crate::damage::{Flaw, Remedy};
use crate::frame::{Frame, FrameHash};
use crate::head::Head;

/// One append is under way at a time, so at most one frame was stored and not acknowledged.
const FRAMES_UNDER_WAY_MAX: u64 = 1;

/// What does not fit, and the first record that cannot be trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Break {
    pub(crate) seq: Seq,
    pub(crate) flaw: Flaw,
}

impl Break {
    pub(crate) fn remedy(&self) -> Remedy {
        remedy_of(&self.flaw)
    }
}

/// Returns what an operator can do about `flaw`.
pub(crate) fn remedy_of(flaw: &Flaw) -> Remedy {
    match flaw {
        Flaw::HeadHash { .. }
        | Flaw::HeadInside { .. }
        | Flaw::HeadGeneration { .. }
        | Flaw::HeadStale { .. }
        | Flaw::HeadUnproven { .. }
        | Flaw::HeadLost
        | Flaw::HeadMissing
        | Flaw::HeadSize { .. } => Remedy::RestoreHead,
        Flaw::HeadVersion { .. } | Flaw::LogVersion { .. } | Flaw::ConfForeign { .. } => Remedy::UseOtherVersion,
        Flaw::OtherLedger { .. } => Remedy::RestoreWhole,
        Flaw::CommitsLost { .. }
        | Flaw::LogMissing
        | Flaw::LogSize { .. }
        | Flaw::LogEntry { .. }
        | Flaw::Value { .. } => Remedy::RestoreProfiles,
        _ => Remedy::RestoreGeneration,
    }
}

/// The end of the frames that were accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) seq: Seq,
    pub(crate) hash: FrameHash,
    pub(crate) epoch: u64,
    pub(crate) generation: u64,
    /// Whole frames after the head.
    pub(crate) past_head: u64,
}

/// Walks over all frames that are kept, oldest first.
#[derive(Debug)]
pub(crate) struct Walker {
    head: Head,
    slot_lost: bool,
    last: Option<End>,
    past_head: u64,
    torn: bool,
}

impl Walker {
    /// Starts before the first frame. `slot_lost` says that the other slot may have named one frame more.
    pub(crate) fn new(head: Head, slot_lost: bool) -> Walker {
        Walker { head, slot_lost, last: None, past_head: 0, torn: false }
    }

    /// Accepts the next frame.
    pub(crate) fn frame(&mut self, generation: u64, frame: &Frame) -> Result<(), Break> {
        self.link(generation, frame)?;
        self.hold_against_head(generation, frame)?;
        self.last = Some(End {
            seq: frame.last_seq(),
            hash: frame.hash(),
            epoch: frame.epoch(),
            generation,
            past_head: self.past_head,
        });
        Ok(())
    }

    /// Accepts that a frame cannot be read, which is no damage after the head: it was never acknowledged.
    pub(crate) fn torn(&mut self, flaw: Flaw) -> Result<(), Break> {
        // An entry that no journal writes was not left by a torn write.
        if self.reached_head() && !matches!(flaw, Flaw::ChunkShape { .. }) {
            self.torn = true;
            return Ok(());
        }
        Err(Break { seq: self.next_seq(), flaw })
    }

    /// Accepts that no more frames come; `oldest` is the oldest generation there is.
    pub(crate) fn finish(&self, oldest: u64) -> Result<End, Break> {
        let head = &self.head;
        let end = match self.last {
            Some(end) => end,
            // What the head names was trimmed, or there never was a frame.
            None if head.seq == Seq::ZERO || head.generation < oldest => {
                End { seq: head.seq, hash: head.hash, epoch: head.epoch, generation: head.generation, past_head: 0 }
            }
            None => return Err(Break { seq: Seq(1), flaw: Flaw::Shorter { expected: head.seq, found: Seq::ZERO } }),
        };
        if end.seq < head.seq {
            let flaw = Flaw::Shorter { expected: head.seq, found: end.seq };
            return Err(Break { seq: end.seq.next(), flaw });
        }
        let max = FRAMES_UNDER_WAY_MAX + u64::from(self.slot_lost);
        if max < self.past_head {
            return Err(Break { seq: head.seq.next(), flaw: Flaw::HeadStale { found: self.past_head, max } });
        }
        if self.slot_lost && self.past_head == 0 {
            // The lost slot may have named one frame more, which may be gone as well.
            return Err(Break { seq: head.seq.next(), flaw: Flaw::HeadUnproven { survivor: head.seq } });
        }
        Ok(end)
    }

    /// The record that has to come next, as far as it is known.
    pub(crate) fn next_seq(&self) -> Seq {
        self.last.map_or(Seq(1), |end| end.seq.next())
    }

    fn reached_head(&self) -> bool {
        self.head.seq <= self.last.map_or(Seq::ZERO, |end| end.seq)
    }

    fn link(&self, generation: u64, frame: &Frame) -> Result<(), Break> {
        let first = frame.first_seq();
        let (expected_seq, expected_hash, least) = match self.last {
            Some(last) => (last.seq.next(), Some(last.hash), last.epoch),
            None => self.expected_at_start(generation, first),
        };
        if first != expected_seq || self.torn {
            return Err(Break { seq: expected_seq, flaw: Flaw::NotDense { expected: expected_seq, found: first } });
        }
        if let Some(expected) = expected_hash
            && frame.previous() != expected
        {
            // Either frame may have been changed; a change leaves the hash of the earlier one wrong far more often.
            let seq = self.last.map_or(first, |last| last.seq);
            return Err(Break { seq, flaw: Flaw::Chain { first, expected, found: frame.previous() } });
        }
        // The lost slot may have named a later epoch.
        let most = if self.slot_lost { u64::MAX } else { self.head.epoch };
        if frame.epoch() < least || most < frame.epoch() {
            return Err(Break { seq: first, flaw: Flaw::Epoch { found: frame.epoch(), least, most } });
        }
        Ok(())
    }

    /// Returns the record, the previous frame and the least epoch that the oldest frame may have.
    fn expected_at_start(&self, generation: u64, first: Seq) -> (Seq, Option<FrameHash>, u64) {
        if first == Seq(1) {
            return (first, Some(FrameHash::GENESIS), 0);
        }
        if first <= self.head.seq {
            // The frames before it were trimmed; the archive holds what it follows.
            return (first, None, 0);
        }
        if self.head.generation < generation {
            return (self.head.seq.next(), Some(self.head.hash), 0);
        }
        // The generation that the head names has lost its beginning.
        (self.head.seq, None, 0)
    }

    fn hold_against_head(&mut self, generation: u64, frame: &Frame) -> Result<(), Break> {
        let (first, last, seq) = (frame.first_seq(), frame.last_seq(), self.head.seq);
        if seq < first {
            self.past_head += 1;
            return Ok(());
        }
        if last < seq {
            return Ok(());
        }
        let flaw = if last != seq {
            Flaw::HeadInside { seq, first, last }
        } else if frame.hash() != self.head.hash {
            Flaw::HeadHash { seq, expected: self.head.hash, found: frame.hash() }
        } else if generation != self.head.generation {
            Flaw::HeadGeneration { expected: self.head.generation, found: generation }
        } else {
            return Ok(());
        };
        Err(Break { seq: first, flaw })
    }
}

#[cfg(test)]
mod tests;
