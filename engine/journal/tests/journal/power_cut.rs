//! R21: power cuts of the real journal. A writer runs under a preloaded recorder; from its trace come images of the disk
//! at any moment, with everything unsynced kept, lost or torn; each is opened and held against the acknowledgements.

mod disk;
mod trace;

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use kembali_core::Seq;
use kembali_journal::{Frame, Journal, Mended, SledJournal};

use super::support::{Chance, copy_tree, depth, files, options, scratch, seed};
use disk::Disk;
use trace::Entry;

const DIR_VARIABLE: &str = "KEMBALI_TRACE_DIR";
const MARKS_VARIABLE: &str = "KEMBALI_TRACE_MARKS";
/// Says which frames the writer writes.
const FRAMES_VARIABLE: &str = "KEMBALI_TRACE_FRAMES";
/// Makes the writer end as a killed process does: a frame is written and neither synced nor acknowledged.
const KILL_VARIABLE: &str = "KEMBALI_TRACE_KILL";
const ROUNDS: u64 = 3;
/// A process that is being started has the locks of all journals that are open here, until it is another program.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
const FRAMES_A_ROUND: u64 = 14;

/// What the writer says has happened: the last acknowledged record, its generation, and the first record it may have
/// trimmed up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Mark {
    acknowledged: u64,
    generation: u64,
    first: u64,
    /// 1 when this mark is an acknowledgement of a frame.
    is_frame: u64,
}

impl Mark {
    fn encode(self) -> Vec<u8> {
        [self.acknowledged, self.generation, self.first, self.is_frame].iter().flat_map(|n| n.to_le_bytes()).collect()
    }

    fn decode(bytes: &[u8]) -> Mark {
        let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        Mark { acknowledged: number(0), generation: number(8), first: number(16), is_frame: number(24) }
    }
}

/// Which frames are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Frames {
    /// Of one chunk, or of a few.
    Small,
    /// Of up to 60 chunks, stored entry by entry or as a batch; some begin a segment of sled's.
    Medium,
    /// Some that sled puts into several of its segments of 512 KiB.
    Large,
}

/// The longest frame that may be there in part after a power cut: longer ones are there whole or not at all.
const TORN_BYTES_MAX: usize = 32 * 4_096;

impl Frames {
    const ALL: [Frames; 3] = [Frames::Small, Frames::Medium, Frames::Large];

    /// How many bytes a generation has.
    fn bound(self) -> u64 {
        match self {
            Frames::Small => 60_000,
            Frames::Medium => 2_000_000,
            Frames::Large => 4_000_000,
        }
    }

    /// The bytes of record `seq`: short or long, some of many chunks.
    fn record(self, seq: u64) -> Vec<u8> {
        let mut chance = Chance::new(seq + 1000);
        let bytes = match (self, chance.below(10)) {
            (Frames::Small, 0) => 9000 + chance.below(3000),
            (Frames::Medium, 0..9) => 3_000 + chance.below(37_000),
            (Frames::Large, 0..4) => 200_000 + chance.below(400_000),
            (_, 9) => 0,
            _ => 10 + chance.below(1500),
        };
        (0..bytes).map(|_| chance.next() as u8).collect()
    }

    fn append_next(self, journal: &mut SledJournal) -> usize {
        let frame = self.next(journal);
        journal.append(&frame).unwrap();
        frame.bytes().len()
    }

    fn next(self, journal: &SledJournal) -> Frame {
        let position = journal.position();
        let first = position.seq.next();
        let count = 1 + Chance::new(first.0).below(6);
        let records: Vec<Vec<u8>> = (first.0..first.0 + count).map(|seq| self.record(seq)).collect();
        Frame::build(position.epoch, first, position.hash, &records).unwrap()
    }
}

/// Not a test: the process under the recorder, started by the test below. Does nothing without its environment.
#[test]
#[ignore = "the writer that r21 starts"]
fn writer() {
    let (Ok(dir), Ok(marks)) = (std::env::var(DIR_VARIABLE), std::env::var(MARKS_VARIABLE)) else { return };
    let named = std::env::var(FRAMES_VARIABLE).unwrap();
    let frames = Frames::ALL.into_iter().find(|frames| format!("{frames:?}") == named).unwrap();
    let mut marks = OpenOptions::new().append(true).open(marks).unwrap();
    let mut mark = |journal: &SledJournal, first: Seq, is_frame: u64| {
        let generation =
            journal.generations().iter().rev().find(|info| info.first_seq <= info.last_seq).map(|info| info.number);
        let acknowledged = journal.position().seq.0;
        let mark = Mark { acknowledged, generation: generation.unwrap_or(0), first: first.0, is_frame };
        marks.write_all(&mark.encode()).unwrap();
    };
    for round in 0..ROUNDS {
        let options = options(frames.bound());
        let syncs = options.syncs.clone();
        let (mut journal, _) = SledJournal::open(&dir, options).unwrap();
        mark(&journal, journal.first_seq(), 0);
        for _ in 0..FRAMES_A_ROUND {
            frames.append_next(&mut journal);
            mark(&journal, journal.first_seq(), 1);
            let generations = journal.generations();
            if 2 < generations.len() {
                mark(&journal, generations[1].first_seq, 0);
                journal.trim(generations[0].number).unwrap();
            }
        }
        if round == 0 && std::env::var(KILL_VARIABLE).is_ok() {
            syncs.fail_after(1);
            journal.append(&frames.next(&journal)).unwrap_err();
            std::process::exit(0);
        }
    }
}

/// Builds the recorder; `None` without a C compiler.
fn build_shim(into: &Path) -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/powercut/shim.c");
    let shim = into.join("shim.so");
    let compiler =
        Command::new("cc").args(["-O2", "-shared", "-fPIC", "-o"]).arg(&shim).arg(source).arg("-ldl").output();
    match compiler {
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            Some(shim)
        }
        Err(_) => None,
    }
}

/// Runs the writer on `dir` twice, the first time killed, and returns the trace of both.
fn record_writer(shim: &Path, dir: &Path, work: &Path, frames: Frames) -> Vec<u8> {
    let (trace, marks) = (work.join("trace"), work.join("marks"));
    let _absent = fs::remove_file(&trace);
    fs::write(&marks, b"").unwrap();
    // The second process goes on where the first was killed, with what that one had not synced.
    for is_killed in [true, false] {
        let mut writer = Command::new(std::env::current_exe().unwrap());
        writer.args(["--ignored", "--exact", "power_cut::writer", "--nocapture"]);
        writer.env("LD_PRELOAD", shim).env(DIR_VARIABLE, dir).env(MARKS_VARIABLE, &marks);
        writer.env("KEMBALI_TRACE_FILE", &trace);
        writer.env(FRAMES_VARIABLE, format!("{frames:?}"));
        if is_killed {
            writer.env(KILL_VARIABLE, "1");
        }
        let output = writer.output().unwrap();
        assert!(output.status.success(), "the writer failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    fs::read(&trace).unwrap()
}

/// A trace on the directory it began with, and what was acknowledged before it.
struct Run {
    trace: Vec<u8>,
    entries: Vec<Entry>,
    base: PathBuf,
    before: Mark,
    frames: Frames,
}

/// What the cuts have shown.
#[derive(Debug, Default)]
struct Tally {
    images: u64,
    before_first_mark: u64,
    frame_under_way: u64,
    kept_past_head: u64,
    torn_past_head: u64,
    /// Frames that were read back, by how they are stored.
    of_one_chunk: u64,
    of_more: u64,
    /// Bytes of the largest one.
    largest: usize,
    outcomes: BTreeMap<String, u64>,
}

impl Run {
    fn record(shim: &Path, base: &Path, work: &Path, before: Mark, frames: Frames) -> Run {
        fs::create_dir_all(work).unwrap();
        let live = work.join("live");
        copy_tree(base, &live);
        let trace = record_writer(shim, &live, work, frames);
        let entries = trace::parse(&trace);
        let run = Run { trace, entries, base: base.to_path_buf(), before, frames };
        run.check_model(&live);
        run
    }

    /// The model must end where the real files did, or the recorder has missed a call.
    fn check_model(&self, live: &Path) {
        let mut disk = Disk::new(&self.trace, &self.base);
        for (at, entry) in self.entries.iter().enumerate() {
            disk.step(at, entry);
        }
        let expected = |dir: &Path| {
            let files = files(dir).into_iter().filter(|file| !file.ends_with("lock"));
            files
                .map(|file| (file.strip_prefix(dir).unwrap().to_path_buf(), fs::read(&file).unwrap()))
                .collect::<Vec<_>>()
        };
        let all = live.with_file_name("all");
        disk.write_all(&all);
        assert!(expected(&all) == expected(live), "the trace does not explain the files");
    }

    /// Asserts that each acknowledgement follows a sync of the frame's file and then one of the head.
    fn check_syncs(&self) -> u64 {
        let mut disk = Disk::new(&self.trace, &self.base);
        let mut syncs_before = (0, 0);
        let mut acknowledged = 0;
        for (at, entry) in self.entries.iter().enumerate() {
            disk.step(at, entry);
            if entry.kind != b'M' {
                continue;
            }
            let mark = Mark::decode(&self.trace[entry.data.clone()]);
            let file = format!("g{}/db", mark.generation);
            let syncs = |path: &str| disk.synced.get(path).copied().unwrap_or(0);
            let syncs = (syncs(&file), syncs("head"));
            if mark.is_frame == 1 {
                assert_eq!(disk.pending(&file), 0, "frame up to {} acknowledged before its sync", mark.acknowledged);
                assert_eq!(disk.pending("head"), 0, "frame up to {} acknowledged before its head", mark.acknowledged);
                assert!(syncs_before.1 < syncs.1, "no sync of the head for {}", mark.acknowledged);
                self.check_order(at, &file);
                acknowledged += 1;
            }
            syncs_before = syncs;
        }
        acknowledged
    }

    /// Before the mark at `at`: writes of the frame, their sync, the write of the head, its sync.
    fn check_order(&self, at: usize, file: &str) {
        let before = &self.entries[..at];
        let last = |kind: u8, path: &str| before.iter().rposition(|entry| entry.kind == kind && entry.path == path);
        let end = |start: usize| {
            let started = &self.entries[start];
            let end = started.kind.to_ascii_lowercase();
            before.iter().position(|entry| entry.kind == end && entry.id == started.id).expect("the call has returned")
        };
        let (write, sync) = (last(b'W', file).unwrap(), last(b'S', file).unwrap());
        let (head_write, head_sync) = (last(b'W', "head").unwrap(), last(b'S', "head").unwrap());
        let order = [end(write), sync, end(sync), head_write, end(head_write), head_sync, end(head_sync), at];
        assert!(order.is_sorted(), "writes and syncs before an acknowledgement are out of order: {order:?}");
    }

    /// Cuts the power at `points` moments; keeps the last image in `keep`, and returns what it must hold.
    fn cut(&self, points: u64, chance: &mut Chance, work: &Path, tally: &mut Tally) -> (PathBuf, Mark) {
        // A third of the cuts falls right behind a rare event: a name, a length, the end of a sync.
        let is_rare = |entry: &Entry| !matches!(entry.kind, b'W' | b'w' | b'S' | b'M');
        let rare: Vec<usize> = (0..self.entries.len()).filter(|at| is_rare(&self.entries[*at])).collect();
        // Another part falls right behind an opening, when what a killed owner left must have become durable.
        let is_opening = |at: &usize| {
            let entry = &self.entries[*at];
            entry.kind == b'M' && Mark::decode(&self.trace[entry.data.clone()]).is_frame == 0
        };
        let openings: Vec<usize> = (0..self.entries.len()).filter(is_opening).collect();
        let mut moments: Vec<usize> = (0..points)
            .map(|n| match n % 6 {
                0 | 3 => *chance.pick(&rare),
                1 => *chance.pick(&openings),
                _ => chance.below(self.entries.len() as u64) as usize,
            })
            .collect();
        moments.sort_unstable();
        let mut disk = Disk::new(&self.trace, &self.base);
        let (mut mark, mut marked) = (self.before, false);
        let mut kept = (self.base.clone(), self.before);
        let mut moments = moments.into_iter().peekable();
        for (at, entry) in self.entries.iter().enumerate() {
            disk.step(at, entry);
            if entry.kind == b'M' {
                mark = Mark::decode(&self.trace[entry.data.clone()]);
                marked = true;
            }
            while moments.next_if_eq(&at).is_some() {
                let image = work.join(format!("image-{}", tally.images));
                disk.cut(&image, chance);
                tally.images += 1;
                tally.before_first_mark += u64::from(!marked);
                let pristine = work.join("pristine");
                let _absent = fs::remove_dir_all(&pristine);
                copy_tree(&image, &pristine);
                check_image(&image, mark, self.frames, tally);
                fs::remove_dir_all(&image).unwrap();
                kept = (pristine, mark);
            }
        }
        kept
    }
}

/// Opens the image and checks that it holds what was acknowledged; writes on, and opens it again.
fn check_image(image: &Path, mark: Mark, frames: Frames, tally: &mut Tally) {
    let opened = SledJournal::open(image, options(frames.bound()));
    let (mut journal, report) = opened.unwrap_or_else(|error| {
        panic!("image {} after {mark:?} does not open: {error:?}", tally.images - 1);
    });
    let end = check_records(&journal, mark, frames);
    for frame in journal.frames(journal.first_seq()).unwrap() {
        // One entry of the store, or a batch of several.
        let bytes = frame.unwrap().bytes().len();
        let count = if bytes <= 4_096 { &mut tally.of_one_chunk } else { &mut tally.of_more };
        *count += 1;
        tally.largest = tally.largest.max(bytes);
    }
    tally.frame_under_way += u64::from(mark.acknowledged < end);
    for mended in &report.mended {
        let text = format!("{mended:?}");
        *tally.outcomes.entry(text.split(' ').next().unwrap().to_owned()).or_default() += 1;
        tally.kept_past_head += u64::from(matches!(mended, Mended::FramesPastHead { .. }));
        if let Mended::TornTail { .. } = mended {
            // What was under way is as long as what comes next now.
            let length = frames.next(&journal).bytes().len();
            assert!(length <= TORN_BYTES_MAX, "a batch of {length} bytes is torn: {text}");
            tally.torn_past_head += 1;
        }
        assert!(!matches!(mended, Mended::HeadSlot { .. } | Mended::HeadCopy { .. }), "{text}");
    }
    frames.append_next(&mut journal);
    let written = Mark { acknowledged: journal.position().seq.0, first: journal.first_seq().0, ..mark };
    drop(journal);
    let (journal, report) = SledJournal::open(image, options(frames.bound())).unwrap();
    assert_eq!(report.mended, []);
    assert_eq!(check_records(&journal, written, frames), written.acknowledged);
}

/// Checks that the records are dense, right, and all there; returns the last one.
fn check_records(journal: &SledJournal, mark: Mark, frames: Frames) -> u64 {
    let first = journal.first_seq();
    assert!(first.0 <= mark.first.max(1), "starts at {} where {} must be there", first.0, mark.first);
    let mut next = first.0;
    for frame in journal.frames(first).unwrap() {
        let frame = frame.unwrap();
        assert_eq!(frame.first_seq().0, next);
        for bytes in frame.records() {
            assert!(bytes == frames.record(next), "record {next} is another one");
            next += 1;
        }
    }
    assert!(mark.acknowledged < next, "{} was acknowledged, the journal ends at {}", mark.acknowledged, next - 1);
    assert_eq!(journal.position().seq.0, next - 1);
    next - 1
}

/// Cuts the power of runs on an empty directory, and of runs that start on what was left; `None` without a compiler.
fn cut_runs(name: &str, frames: Frames, first_cuts: u64, later_cuts: u64) -> Option<Tally> {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let work = scratch();
    let Some(shim) = build_shim(work.path()) else {
        println!("{name} SKIPPED: no C compiler `cc` for the recorder");
        return None;
    };
    let mut chance = Chance::new(seed(name));
    let mut tally = Tally::default();
    let empty = work.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let first = Run::record(&shim, &empty, &work.path().join("first"), Mark::default(), frames);
    let mut acknowledged = first.check_syncs();
    first.cut(first_cuts * depth(), &mut chance, work.path(), &mut tally);
    // Cuts of cuts: the writer starts on an image, so recovery itself is cut as well.
    for n in 0..5 {
        let base = work.path().join(format!("base-{n}"));
        let (image, mark) = first.cut(1, &mut chance, work.path(), &mut tally);
        copy_tree(&image, &base);
        let run = Run::record(&shim, &base, &work.path().join(format!("run-{n}")), mark, frames);
        acknowledged += run.check_syncs();
        run.cut(later_cuts * depth(), &mut chance, work.path(), &mut tally);
    }
    println!("{acknowledged} acknowledgements with both syncs in order; {tally:#?}");
    Some(tally)
}

#[test]
fn r21_power_cut_keeps_what_was_acknowledged() {
    let name = "r21_power_cut_keeps_what_was_acknowledged";
    let Some(tally) = cut_runs(name, Frames::Small, 260, 50) else { return };
    assert!(500 <= tally.images);
    assert!(0 < tally.of_one_chunk && 0 < tally.of_more);
    assert!(0 < tally.before_first_mark && 0 < tally.frame_under_way && 0 < tally.kept_past_head);
}

#[test]
fn r21_power_cut_in_frames_of_several_entries() {
    let name = "r21_power_cut_in_frames_of_several_entries";
    let Some(tally) = cut_runs(name, Frames::Medium, 120, 20) else { return };
    assert!(0 < tally.frame_under_way && 0 < tally.kept_past_head);
    assert!(TORN_BYTES_MAX < tally.largest, "no frame is a batch");
    assert!(depth() == 1 || 0 < tally.torn_past_head, "no frame is torn");
}

#[test]
fn r21_power_cut_in_frames_of_several_segments() {
    let Some(tally) = cut_runs("r21_power_cut_in_frames_of_several_segments", Frames::Large, 24, 4) else { return };
    assert!(1_100_000 < tally.largest, "no frame takes three segments");
    assert!(0 < tally.frame_under_way);
}
