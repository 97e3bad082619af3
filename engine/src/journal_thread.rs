//! The one thread that writes: profiles first, then the frame, then everybody may know.
//!
//! Groups that come while a frame is written wait, and go into the next one together. A frame that would be too large becomes several.
//! After any failure nothing more is written or answered.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use kembali_core::Seq;
use kembali_core::event::Record;
use kembali_journal::codec::{self, EncodeError};
use kembali_journal::{
    AppendError, FRAME_BYTES_MAX, FRAME_RECORDS_MAX, Frame, FrameBuilder, FrameTooLarge, Journal, ProfileError,
    ProfileStore, SealError, TrimError,
};
use kembali_machine::{AwayError, GROUP_RECORDS_MAX, Group};
use tokio::sync::oneshot;

use crate::archiver::{ArchiveSender, Order};
use crate::free_space::FreeSpace;
use crate::profile_keys::{self, ProfileChange};
use crate::shared::Shared;
use crate::timings::Timings;

/// Bytes that most records have at most: room for them is taken at once.
const RECORD_BYTES_USUAL: usize = 320;

/// Why the engine stopped.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] AppendError),
    /// The profile store failed.
    #[error(transparent)]
    Profiles(#[from] ProfileError),
    /// A record could not be written down.
    #[error("a record could not be encoded")]
    Encode(#[from] EncodeError),
    /// A record does not fit into any frame.
    #[error("a record is too large for a frame")]
    Frame(#[from] FrameTooLarge),
    /// A sealed generation could not be archived, or a snapshot not be taken.
    #[error("{} failed: {message}", archiving(*.generation))]
    Archive {
        /// The generation; none for a snapshot that was asked for.
        generation: Option<u64>,
        /// What failed.
        message: String,
    },
    /// What is stored was found to be damaged, by a read or by the scrub.
    #[error("{message}")]
    Damage {
        /// What, where and what to do.
        message: String,
    },
    /// Customers who are not in memory cannot be reached.
    #[error(transparent)]
    Away(#[from] AwayError),
    /// A generation could not be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A generation that is archived could not be dropped.
    #[error("a generation that is archived could not be dropped")]
    Trim(#[from] TrimError),
}

impl Fault {
    /// Returns true when bytes are damaged, as opposed to the disk or the system having failed.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        matches!(self, Fault::Damage { .. })
    }
}

fn archiving(generation: Option<u64>) -> String {
    generation.map_or_else(|| "taking a snapshot".to_owned(), |number| format!("archiving generation {number}"))
}

/// What the thread does.
pub(crate) enum Work {
    /// Makes a group durable.
    Commit(Group),
    /// Changes the profile store, and tells once that is durable.
    Store(ProfileChange, oneshot::Sender<()>),
    /// Seals what there is, so that it is archived and a snapshot taken; tells where that was.
    Snapshot(oneshot::Sender<Seq>),
    /// Drops a generation that is archived.
    Trim(u64),
    /// Ends the thread and closes the journal, once the archiver has put away what it was told of.
    Close,
    /// The archiver has ended.
    ArchiverEnded,
}

/// How a thread of the journal ended. A fault is reported at once, too; whoever stops the engine must see it even when
/// nobody hears reports any more.
#[derive(Debug)]
pub(crate) enum Ended {
    /// It was told to.
    WhenTold,
    /// Something failed.
    AfterFault(String),
}

/// What the thread reports.
pub(crate) enum Report {
    /// More is durable, and shown.
    Committed,
    /// Something failed. Nothing more will be answered.
    Failed(Fault),
}

/// A way to the thread. A send never waits, so that nobody who owes the thread something can be held up by it.
///
/// What is under way is bounded by who sends: what the router has admitted, one put of an administrator's and one
/// snapshot at a time, one order to close, and one trim for each generation that the thread itself handed to the
/// archiver.
pub(crate) type WorkSender = Sender<Work>;

/// What the thread writes to, and where it shows that.
pub(crate) struct Stores {
    pub(crate) journal: Box<dyn Journal>,
    pub(crate) profiles: ProfileStore,
    pub(crate) shared: Arc<Shared>,
    pub(crate) space: Arc<FreeSpace>,
    /// How long writing and syncing a frame takes.
    pub(crate) syncs: Arc<Timings>,
}

/// Starts the thread. It ends when every sender is gone or something has failed.
pub(crate) fn start(
    stores: Stores,
    queue: Receiver<Work>,
    archiver: ArchiveSender,
    report: impl Fn(Report) + Send + 'static,
) -> std::io::Result<JoinHandle<Ended>> {
    let Stores { journal, profiles, shared, space, syncs } = stores;
    let mut writer = Writer { journal, profiles, shared, space, syncs, archiver: Some(archiver), handed_over: 0 };
    thread::Builder::new().name("journal".into()).spawn(move || {
        // A crash may have left generations that were sealed and not archived.
        writer.hand_over_sealed();
        let mut archiver_ended = false;
        let mut next = None;
        while let Some(work) = next.take().or_else(|| queue.recv().ok()) {
            let done = match work {
                Work::Close => {
                    writer.archiver = None;
                    writer.profiles.settle().map_err(Fault::from)
                }
                Work::ArchiverEnded => {
                    archiver_ended = true;
                    Ok(())
                }
                Work::Snapshot(asked) => writer.snapshot(asked),
                Work::Trim(generation) => writer.journal.trim(generation).map_err(Fault::from),
                Work::Commit(mut group) => {
                    next = gather(&mut group, &queue);
                    writer.commit(&group).map(|()| report(Report::Committed))
                }
                Work::Store(change, reply) => {
                    writer.profiles.change(&change.put, &change.remove).map_err(Fault::from).map(|()| {
                        // Whoever asked may be gone; what is stored stays.
                        let _ = reply.send(());
                    })
                }
            };
            if let Err(fault) = done {
                let message = fault.to_string();
                report(Report::Failed(fault));
                return Ended::AfterFault(message);
            }
            if archiver_ended && writer.archiver.is_none() {
                return Ended::WhenTold;
            }
        }
        Ended::WhenTold
    })
}

/// Adds the groups that have come meanwhile, and returns the work that comes after them.
fn gather(group: &mut Group, queue: &Receiver<Work>) -> Option<Work> {
    loop {
        match queue.try_recv().ok()? {
            Work::Commit(more) if group.records.len() + more.records.len() <= GROUP_RECORDS_MAX => {
                group.records.extend(more.records);
                group.profiles.extend(more.profiles);
            }
            other => return Some(other),
        }
    }
}

struct Writer {
    journal: Box<dyn Journal>,
    profiles: ProfileStore,
    shared: Arc<Shared>,
    space: Arc<FreeSpace>,
    syncs: Arc<Timings>,
    /// Gone once the thread was told to end.
    archiver: Option<ArchiveSender>,
    /// The last generation that the archiver was told of.
    handed_over: u64,
}

impl Writer {
    fn commit(&mut self, group: &Group) -> Result<(), Fault> {
        if !group.profiles.is_empty() {
            let entries: Result<Vec<_>, ProfileError> = group
                .profiles
                .iter()
                .map(|profile| Ok((profile_keys::key_of(profile)?, profile.text.as_bytes().to_vec())))
                .collect();
            self.profiles.put(&entries?)?;
        }
        let mut rest = group.records.as_slice();
        while !rest.is_empty() {
            let frame = self.frame_of(rest)?;
            let (now, later) = rest.split_at(frame.count());
            self.append(frame, now)?;
            rest = later;
        }
        self.space.look();
        Ok(())
    }

    /// Writes as many of the records as one frame holds.
    fn frame_of(&self, records: &[Arc<Record>]) -> Result<Frame, Fault> {
        let records = &records[..records.len().min(FRAME_RECORDS_MAX)];
        let mut frame = FrameBuilder::with_capacity(records.len() * RECORD_BYTES_USUAL);
        for record in records {
            frame.push(|out| codec::encode(&record.body, out))?;
            // The first record always stays: if it is too large by itself, finishing the frame says so.
            if FRAME_BYTES_MAX < frame.byte_count() && 1 < frame.count() {
                frame.pop();
                break;
            }
        }
        let (position, first) = (self.journal.position(), records.first().map_or(Seq::ZERO, |record| record.seq));
        Ok(frame.finish(position.epoch, first, position.hash)?)
    }

    fn append(&mut self, frame: Frame, records: &[Arc<Record>]) -> Result<(), Fault> {
        let start = Instant::now();
        self.journal.append(&frame)?;
        let end = Instant::now();
        self.syncs.record(end, end - start, 1);
        self.shared.publish(frame, records.iter().map(Arc::as_ref));
        self.hand_over_sealed();
        Ok(())
    }

    /// Tells the archiver of generations that were sealed. Waits when it is behind: so admission slows, and neither
    /// memory nor the journal grows without bound.
    fn hand_over_sealed(&mut self) {
        for generation in self.journal.generations() {
            if generation.sealed && self.handed_over < generation.number {
                self.handed_over = generation.number;
                self.tell_archiver(Order::Archive(generation));
            }
        }
    }

    /// Seals what there is. The archiver answers once the snapshot behind it is taken.
    fn snapshot(&mut self, asked: oneshot::Sender<Seq>) -> Result<(), Fault> {
        self.journal.seal()?;
        self.hand_over_sealed();
        self.tell_archiver(Order::Snapshot(asked));
        Ok(())
    }

    fn tell_archiver(&self, order: Order) {
        // Gone once the thread was told to end: the next start hands over what is left.
        let Some(archiver) = &self.archiver else { return };
        if archiver.send(order).is_err() {
            // It ends only after it reported why; the report stops the engine.
            tracing::error!("the archiver is gone");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use kembali_core::event::Body;
    use kembali_core::{Instant, TenantId};

    use super::*;

    fn group(seqs: std::ops::Range<u64>) -> Group {
        let body = |_| Body {
            received_at: Instant(0),
            tenant: TenantId(1),
            catalogue_version: 1,
            customer: None,
            previous: Seq::ZERO,
            events: Vec::new(),
        };
        let records = seqs.map(|seq| Arc::new(Record { seq: Seq(seq), body: body(seq) })).collect();
        Group { records, profiles: Vec::new() }
    }

    #[test]
    fn groups_are_gathered_in_their_order_until_other_work_comes_or_a_group_is_full() {
        let (to, queue) = channel();
        let most = GROUP_RECORDS_MAX as u64;
        for work in [Work::Commit(group(3..5)), Work::Commit(group(5..6)), Work::Trim(1), Work::Commit(group(6..7))] {
            assert!(to.send(work).is_ok());
        }
        let mut gathered = group(1..3);
        assert!(matches!(gather(&mut gathered, &queue), Some(Work::Trim(1))));
        let seqs: Vec<u64> = gathered.records.iter().map(|record| record.seq.0).collect();
        assert_eq!(seqs, [1, 2, 3, 4, 5]);

        assert!(to.send(Work::Commit(group(7..most + 7))).is_ok());
        let mut gathered = group(5..6);
        let next = gather(&mut gathered, &queue);
        assert!(matches!(next, Some(Work::Commit(next)) if next.records.len() == GROUP_RECORDS_MAX));
        assert_eq!(gathered.records.len(), 2);
        assert!(gather(&mut gathered, &queue).is_none());
    }
}
