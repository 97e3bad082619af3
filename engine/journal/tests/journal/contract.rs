//! The contract of `Journal`: one suite, run over every implementation through a laboratory that can crash it.

use kembali_core::Seq;
use kembali_journal::{
    AppendError, FRAME_BYTES_MAX, FRAME_HEADER_BYTES, Frame, FrameHash, Journal, MemoryDisk, MemoryFault,
    MemoryJournal, Mended, OpenError, OpenReport, Options, Position, RECORD_BYTES_MAX, ReadError, SealError,
    SledJournal, SyncFault, TrimError,
};
use tempfile::TempDir;

use super::support::{fill, next_frame, options, read_all, scratch, try_copy_tree};

/// Where an append fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The frame is written, and its sync fails.
    FrameSync,
    /// The frame is durable, and the step after it fails.
    HeadSync,
}

/// A place to make, break and reopen journals.
trait Lab {
    type Journal: Journal;

    fn new() -> Self;
    fn open(&mut self, generation_bytes_max: u64) -> Result<(Self::Journal, OpenReport), OpenError>;
    /// Makes the next append fail.
    fn fail_next_append(&mut self, step: Step);
    /// Ends the owner as a kill does: nothing is closed, what was written is there.
    fn kill(&mut self, journal: Self::Journal);
}

struct MemoryLab(MemoryDisk);

impl Lab for MemoryLab {
    type Journal = MemoryJournal;

    fn new() -> MemoryLab {
        MemoryLab(MemoryDisk::default())
    }

    fn open(&mut self, generation_bytes_max: u64) -> Result<(MemoryJournal, OpenReport), OpenError> {
        MemoryJournal::open(&self.0, &options(generation_bytes_max))
    }

    fn fail_next_append(&mut self, step: Step) {
        let fault = match step {
            Step::FrameSync => MemoryFault::BeforeSync,
            Step::HeadSync => MemoryFault::AfterSync,
        };
        self.0.fail_append(1, fault);
    }

    fn kill(&mut self, journal: MemoryJournal) {
        drop(journal);
        self.0 = self.0.image();
    }
}

struct SledLab {
    dir: TempDir,
    syncs: SyncFault,
}

impl Lab for SledLab {
    type Journal = SledJournal;

    fn new() -> SledLab {
        SledLab { dir: scratch(), syncs: SyncFault::default() }
    }

    fn open(&mut self, generation_bytes_max: u64) -> Result<(SledJournal, OpenReport), OpenError> {
        self.syncs = SyncFault::default();
        SledJournal::open(self.dir.path(), Options { syncs: self.syncs.clone(), ..options(generation_bytes_max) })
    }

    fn fail_next_append(&mut self, step: Step) {
        self.syncs.fail_after(match step {
            Step::FrameSync => 1,
            Step::HeadSync => 2,
        });
    }

    fn kill(&mut self, journal: SledJournal) {
        // A copy while the files are open holds what the system would have kept of a killed process. The next
        // generation may be renamed just now; then the copy is taken anew.
        let image = loop {
            let image = scratch();
            if try_copy_tree(self.dir.path(), image.path()).is_ok() {
                break image;
            }
        };
        drop(journal);
        self.dir = image;
    }
}

const WIDE: u64 = 1 << 30;

/// What was put right, without generations that a kill caught half-made or half-removed.
fn lost(report: &OpenReport) -> Vec<Mended> {
    let is_of_a_kill = |mended: &&Mended| matches!(mended, Mended::Leftover { .. } | Mended::Trim { .. });
    report.mended.iter().filter(|mended| !is_of_a_kill(mended)).cloned().collect()
}

fn starts_empty<L: Lab>() {
    let (journal, report) = L::new().open(WIDE).unwrap();
    let empty = Position { seq: Seq::ZERO, hash: FrameHash::GENESIS, epoch: 1 };
    assert_eq!(journal.position(), empty);
    assert_eq!((report.position, report.first_seq, report.frames), (empty, Seq(1), 0));
    assert_eq!(report.mended, []);
    assert_eq!(journal.first_seq(), Seq(1));
    assert_eq!(journal.frames(Seq(1)).unwrap().count(), 0);
    let generations = journal.generations();
    assert_eq!(generations.len(), 1);
    assert_eq!((generations[0].first_seq, generations[0].last_seq, generations[0].sealed), (Seq(1), Seq(0), false));
}

fn reads_back_what_was_appended<L: Lab>() {
    let mut lab = L::new();
    let (mut journal, _) = lab.open(WIDE).unwrap();
    // Around the size of a chunk, where a frame ends on its edge, and in many chunks.
    let sizes =
        [0, 1, 100, 4096 - FRAME_HEADER_BYTES - 5, 4096 - FRAME_HEADER_BYTES - 4, 4096 - FRAME_HEADER_BYTES - 3];
    let mut frames = Vec::new();
    for bytes in sizes.into_iter().chain([8192 - FRAME_HEADER_BYTES - 4, 70_000]) {
        frames.extend(fill(&mut journal, 1, 1, bytes));
    }
    frames.extend(fill(&mut journal, 3, 40, 25));
    assert_eq!(read_all(&journal), frames);
    assert_eq!(journal.position().seq, Seq(128));
    assert_eq!(journal.position().hash, frames[frames.len() - 1].hash());
    lab.kill(journal);
    let (journal, report) = lab.open(WIDE).unwrap();
    assert_eq!(read_all(&journal), frames);
    assert_eq!(report.frames, frames.len() as u64);
}

fn keeps_the_largest_frame<L: Lab>() {
    let mut lab = L::new();
    let (mut journal, _) = lab.open(WIDE).unwrap();
    let full = vec![7; RECORD_BYTES_MAX];
    let last = FRAME_BYTES_MAX - FRAME_HEADER_BYTES - 7 * (4 + RECORD_BYTES_MAX) - 4;
    let mut records = vec![full; 7];
    records.push(vec![8; last]);
    let frame = Frame::build(1, Seq(1), FrameHash::GENESIS, &records).unwrap();
    assert_eq!(frame.bytes().len(), FRAME_BYTES_MAX);
    journal.append(&frame).unwrap();
    lab.kill(journal);
    assert_eq!(read_all(&lab.open(WIDE).unwrap().0), [frame]);
}

fn reads_from_the_middle<L: Lab>() {
    let mut lab = L::new();
    let (mut journal, _) = lab.open(2000).unwrap();
    let frames = fill(&mut journal, 12, 5, 80);
    assert!(2 < journal.generations().len());
    for seq in 0..=61 {
        let read: Vec<Frame> = journal.frames(Seq(seq)).unwrap().collect::<Result<_, _>>().unwrap();
        let from = frames.iter().position(|frame| Seq(seq) <= frame.last_seq()).unwrap_or(frames.len());
        assert_eq!(read, frames[from..], "from {seq}");
    }
    assert_eq!(journal.frames(Seq(u64::MAX)).unwrap().count(), 0);
}

fn refuses_what_does_not_follow<L: Lab>() {
    let mut lab = L::new();
    let (mut journal, _) = lab.open(WIDE).unwrap();
    let frames = fill(&mut journal, 2, 3, 10);
    let Position { seq, hash, epoch } = journal.position();
    let build = |epoch, first: u64, previous| Frame::build(epoch, Seq(first), previous, &[b"x"]).unwrap();
    for first in [1, seq.0, seq.0 + 2] {
        let refused = journal.append(&build(epoch, first, hash)).unwrap_err();
        let expected = matches!(refused, AppendError::OutOfOrder { expected: Seq(7), found } if found == Seq(first));
        assert!(expected, "{refused:?}");
    }
    for wrong in [FrameHash::GENESIS, frames[0].hash()] {
        let refused = journal.append(&build(epoch, seq.0 + 1, wrong)).unwrap_err();
        let expected =
            matches!(refused, AppendError::BrokenChain { expected, found } if expected == hash && found == wrong);
        assert!(expected, "{refused:?}");
    }
    for other in [epoch - 1, epoch + 1] {
        let refused = journal.append(&build(other, seq.0 + 1, hash)).unwrap_err();
        let expected = matches!(refused, AppendError::Fenced { frame, owner } if frame == other && owner == epoch);
        assert!(expected, "{refused:?}");
    }
    // Refusals are no faults: nothing was stored, and the right frame is still taken.
    assert_eq!(read_all(&journal), frames);
    journal.append(&build(epoch, seq.0 + 1, hash)).unwrap();
}

fn fences_the_owner_before<L: Lab>() {
    let mut lab = L::new();
    let (mut journal, _) = lab.open(WIDE).unwrap();
    fill(&mut journal, 2, 1, 10);
    let late = next_frame(&journal, 1, 10);
    drop(journal);
    let (mut journal, report) = lab.open(WIDE).unwrap();
    assert_eq!(report.position.epoch, 2);
    assert!(matches!(journal.append(&late), Err(AppendError::Fenced { frame: 1, owner: 2 })));
    fill(&mut journal, 1, 1, 10);
    lab.kill(journal);
    assert_eq!(lab.open(WIDE).unwrap().1.position.epoch, 3);
}

fn reopens_after_stop_and_kill<L: Lab>() {
    let mut lab = L::new();
    let mut frames = Vec::new();
    for round in 0..8 {
        let (mut journal, report) = lab.open(3000).unwrap();
        assert_eq!(lost(&report), [], "round {round}");
        assert_eq!(read_all(&journal), frames);
        frames.extend(fill(&mut journal, 4, 2, 300));
        if round % 2 == 0 { drop(journal) } else { lab.kill(journal) }
    }
    let (journal, report) = lab.open(3000).unwrap();
    assert_eq!(report.position.epoch, 9);
    assert_eq!(read_all(&journal), frames);
}

fn rotates_and_trims<L: Lab>() {
    let mut lab = L::new();
    let (mut journal, _) = lab.open(2000).unwrap();
    // Five frames fill a generation; the last one stays far from full, so that it is not sealed by chance.
    let frames = fill(&mut journal, 22, 2, 200);
    let before = journal.generations();
    assert!(3 < before.len());
    for (at, generation) in before.iter().enumerate() {
        assert_eq!(generation.number, at as u64 + 1);
        assert_eq!(generation.sealed, at + 1 < before.len());
        assert!(!generation.sealed || 2000 <= generation.payload_bytes);
        assert!(generation.payload_bytes < 2000 + 480);
    }
    assert!(before.windows(2).all(|pair| pair[0].last_seq.next() == pair[1].first_seq));

    let last = before[before.len() - 1].number;
    assert!(matches!(journal.trim(2), Err(TrimError::NotOldest { asked: 2, oldest: 1 })));
    journal.trim(1).unwrap();
    assert!(matches!(journal.trim(1), Err(TrimError::NotOldest { asked: 1, oldest: 2 })));
    let first = before[1].first_seq;
    assert_eq!(journal.first_seq(), first);
    assert!(
        matches!(journal.frames(Seq(1)), Err(ReadError::Trimmed { asked: Seq(1), first: found }) if found == first)
    );
    let kept = |first: Seq| frames.iter().filter(|frame| first <= frame.first_seq()).cloned().collect::<Vec<_>>();
    assert_eq!(read_all(&journal), kept(first));

    lab.kill(journal);
    let (mut journal, report) = lab.open(2000).unwrap();
    assert_eq!(report.first_seq, first);
    assert_eq!(read_all(&journal), kept(first));
    for number in 2..last {
        journal.trim(number).unwrap();
    }
    assert!(matches!(journal.trim(last), Err(TrimError::NotSealed { .. })));
    assert_eq!(read_all(&journal), kept(before[before.len() - 1].first_seq));
}

fn seals_on_request<L: Lab>() {
    let mut lab = L::new();
    let (mut journal, _) = lab.open(WIDE).unwrap();
    journal.seal().unwrap();
    assert_eq!(journal.generations().len(), 1, "an empty generation stays");
    let mut frames = fill(&mut journal, 3, 2, 100);
    for _ in 0..2 {
        journal.seal().unwrap();
        let generations = journal.generations();
        assert_eq!(generations.iter().map(|generation| generation.sealed).collect::<Vec<_>>(), [true, false]);
        assert_eq!((generations[0].last_seq, generations[1].first_seq), (Seq(6), Seq(7)));
    }
    frames.extend(fill(&mut journal, 2, 2, 100));
    journal.trim(1).unwrap();
    lab.kill(journal);
    let (mut journal, report) = lab.open(WIDE).unwrap();
    assert_eq!((lost(&report), read_all(&journal)), (Vec::new(), frames[3..].to_vec()));

    lab.fail_next_append(Step::FrameSync);
    let frame = next_frame(&journal, 1, 10);
    assert!(matches!(journal.append(&frame), Err(AppendError::Failed(_))));
    assert!(matches!(journal.seal(), Err(SealError::Poisoned(_))));
}

fn continues_when_all_frames_are_trimmed<L: Lab>() {
    let mut lab = L::new();
    let (mut journal, _) = lab.open(1).unwrap();
    fill(&mut journal, 3, 1, 50);
    // With a bound of one byte each frame fills its generation; the frame after it opens the next.
    let position = journal.position();
    lab.kill(journal);
    let (mut journal, _) = lab.open(1).unwrap();
    let oldest = |journal: &L::Journal| journal.generations()[0];
    while oldest(&journal).sealed {
        let number = oldest(&journal).number;
        journal.trim(number).unwrap();
    }
    let held = read_all(&journal).len();
    assert!(held <= 1, "{held}");
    lab.kill(journal);
    let (mut journal, _) = lab.open(1).unwrap();
    assert_eq!((journal.position().seq, journal.position().hash), (position.seq, position.hash));
    fill(&mut journal, 2, 1, 50);
    lab.kill(journal);
    let (journal, report) = lab.open(1).unwrap();
    assert_eq!(journal.position().seq, Seq(5));
    assert_eq!(lost(&report), []);
}

fn r24_stays_failed_after_a_sync_error<L: Lab>(step: Step) {
    let mut lab = L::new();
    let (mut journal, _) = lab.open(2000).unwrap();
    let frames = fill(&mut journal, 7, 2, 200);
    let position = journal.position();
    lab.fail_next_append(step);
    let frame = next_frame(&journal, 2, 200);
    assert!(matches!(journal.append(&frame), Err(AppendError::Failed(_))));
    for _ in 0..3 {
        assert!(matches!(journal.append(&frame), Err(AppendError::Poisoned(_))));
    }
    assert!(matches!(journal.trim(1), Err(TrimError::Poisoned(_))));
    assert_eq!(journal.position(), position, "an unconfirmed frame was counted as durable");

    lab.kill(journal);
    let (mut journal, report) = lab.open(2000).unwrap();
    // The frame was stored whole and never acknowledged, so keeping it is right, and it is said; unless the head, whose
    // sync failed, was kept as well.
    let kept = lost(&report);
    assert!(kept == [Mended::FramesPastHead { frames: 1 }] || (step == Step::HeadSync && kept.is_empty()), "{kept:?}");
    let found = read_all(&journal);
    assert_eq!(found[..7], frames);
    assert_eq!(found[7..], [frame]);
    fill(&mut journal, 1, 1, 10);
    lab.kill(journal);
    assert_eq!(lost(&lab.open(2000).unwrap().1), []);
}

macro_rules! contract {
    ($name:ident, $lab:ty) => {
        mod $name {
            use super::*;

            #[test]
            fn seals_on_request() {
                super::seals_on_request::<$lab>();
            }
            #[test]
            fn starts_empty() {
                super::starts_empty::<$lab>();
            }
            #[test]
            fn reads_back_what_was_appended() {
                super::reads_back_what_was_appended::<$lab>();
            }
            #[test]
            fn keeps_the_largest_frame() {
                super::keeps_the_largest_frame::<$lab>();
            }
            #[test]
            fn reads_from_the_middle() {
                super::reads_from_the_middle::<$lab>();
            }
            #[test]
            fn refuses_what_does_not_follow() {
                super::refuses_what_does_not_follow::<$lab>();
            }
            #[test]
            fn fences_the_owner_before() {
                super::fences_the_owner_before::<$lab>();
            }
            #[test]
            fn reopens_after_stop_and_kill() {
                super::reopens_after_stop_and_kill::<$lab>();
            }
            #[test]
            fn rotates_and_trims() {
                super::rotates_and_trims::<$lab>();
            }
            #[test]
            fn continues_when_all_frames_are_trimmed() {
                super::continues_when_all_frames_are_trimmed::<$lab>();
            }
            #[test]
            fn r24_stays_failed_after_the_sync_of_a_frame_fails() {
                r24_stays_failed_after_a_sync_error::<$lab>(Step::FrameSync);
            }
            #[test]
            fn r24_stays_failed_after_the_sync_of_the_head_fails() {
                r24_stays_failed_after_a_sync_error::<$lab>(Step::HeadSync);
            }
        }
    };
}

contract!(memory, MemoryLab);
contract!(sled, SledLab);

#[test]
fn a_second_owner_of_a_memory_disk_fences_the_first() {
    let disk = MemoryDisk::default();
    let (mut first, _) = MemoryJournal::open(&disk, &options(WIDE)).unwrap();
    let (_second, _) = MemoryJournal::open(&disk, &options(WIDE)).unwrap();
    let frame = next_frame(&first, 1, 1);
    assert!(matches!(first.append(&frame), Err(AppendError::Fenced { frame: 1, owner: 2 })));
}

#[test]
fn a_second_owner_of_a_directory_is_refused() {
    let dir = scratch();
    let first = SledJournal::open(dir.path(), options(WIDE)).unwrap();
    let refused = SledJournal::open(dir.path(), options(WIDE)).unwrap_err();
    assert!(matches!(refused, OpenError::Locked { path } if path == dir.path().join("lock")));
    drop(first);
    SledJournal::open(dir.path(), options(WIDE)).unwrap();
}

#[test]
fn a_generation_that_was_dropped_is_gone_once_the_journal_is_closed() {
    let dir = scratch();
    let (mut journal, _) = SledJournal::open(dir.path(), options(2000)).unwrap();
    fill(&mut journal, 22, 2, 200);
    journal.trim(1).unwrap();
    // The first one is waited for.
    journal.trim(2).unwrap();
    assert!(["g1", "del-g1"].iter().all(|name| !dir.path().join(name).exists()));
    drop(journal);
    assert!(["g2", "del-g2"].iter().all(|name| !dir.path().join(name).exists()));
}

#[test]
fn a_generation_that_was_prepared_takes_over_at_the_next_start_whatever_the_bound() {
    for bound in [1000, 100_000] {
        let dir = scratch();
        let (mut journal, _) = SledJournal::open(dir.path(), options(1000)).unwrap();
        let mut frames = fill(&mut journal, 1, 1, 600);
        // Dropping waits for the thread that prepares.
        drop(journal);
        assert!(dir.path().join("g2").is_dir());
        let (mut journal, _) = SledJournal::open(dir.path(), options(bound)).unwrap();
        let sealed: Vec<_> = journal.generations().iter().map(|info| (info.number, info.sealed)).collect();
        assert_eq!(sealed, [(1, true), (2, false)]);
        frames.extend(fill(&mut journal, 1, 1, 10));
        assert_eq!(journal.generations()[1].first_seq, Seq(2));
        drop(journal);
        assert_eq!(read_all(&SledJournal::open(dir.path(), options(bound)).unwrap().0), frames);
    }
}

#[test]
fn r24_every_sync_of_a_run_may_be_the_one_that_fails() {
    // Rotation, preparation and trim included: whatever fails, nothing acknowledged is missing.
    for failing in 1..60 {
        let dir = scratch();
        let syncs = SyncFault::default();
        let (mut journal, _) =
            SledJournal::open(dir.path(), Options { syncs: syncs.clone(), ..options(1500) }).unwrap();
        let mut acknowledged = fill(&mut journal, 3, 1, 400);
        syncs.fail_after(failing);
        let (mut trimmed, mut failed) = (Seq(1), false);
        for _ in 0..14 {
            let frame = next_frame(&journal, 1, 400);
            match journal.append(&frame) {
                Ok(()) => {
                    assert!(!failed, "acknowledged after a failure");
                    acknowledged.push(frame);
                }
                Err(_) => failed = true,
            }
            let oldest = journal.generations()[0];
            if 2 < journal.generations().len() {
                // A trim that failed half-way is finished by the next start.
                if !matches!(journal.trim(oldest.number), Err(TrimError::Poisoned(_))) {
                    trimmed = oldest.last_seq.next();
                }
            }
        }
        drop(journal);
        let (journal, _) = SledJournal::open(dir.path(), options(1500)).unwrap();
        let found = read_all(&journal);
        let first = journal.first_seq();
        let kept: Vec<Frame> = acknowledged.iter().filter(|frame| first <= frame.first_seq()).cloned().collect();
        assert!(first <= trimmed && kept.len() <= found.len() && found.len() <= kept.len() + 1);
        assert_eq!(found[..kept.len()], kept, "sync {failing}");
    }
}
