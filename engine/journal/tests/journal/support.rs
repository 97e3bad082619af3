//! What the tests share: frames, directories, chance from a seed.

use std::path::{Path, PathBuf};
use std::{fs, io};

use kembali_core::Seq;
use kembali_journal::{Flaw, Frame, Journal, OpenError, OpenReport, Options, SledJournal};
use tempfile::TempDir;

/// Multiplies the depth of the long tests.
pub(crate) fn depth() -> u64 {
    std::env::var("KEMBALI_DEPTH").ok().and_then(|depth| depth.parse().ok()).unwrap_or(1)
}

/// A directory in memory where there is one: these tests model the disk themselves.
pub(crate) fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

pub(crate) fn options(generation_bytes_max: u64) -> Options {
    Options { generation_bytes_max, ..Options::default() }
}

/// The records of the frame that starts at `first`: as many and as long as `first` says, all different.
pub(crate) fn records(first: Seq, count: usize, bytes: usize) -> Vec<Vec<u8>> {
    let mut chance = Chance::new(first.0);
    (0..count).map(|_| (0..bytes).map(|_| chance.next() as u8).collect()).collect()
}

/// The frame that comes next in `journal`.
pub(crate) fn next_frame(journal: &impl Journal, count: usize, bytes: usize) -> Frame {
    let position = journal.position();
    let first = position.seq.next();
    Frame::build(position.epoch, first, position.hash, &records(first, count, bytes)).unwrap()
}

/// Appends `frames` frames and returns them.
pub(crate) fn fill(journal: &mut impl Journal, frames: usize, count: usize, bytes: usize) -> Vec<Frame> {
    let append = |_| {
        let frame = next_frame(journal, count, bytes);
        journal.append(&frame).unwrap();
        frame
    };
    (0..frames).map(append).collect()
}

pub(crate) fn read_all(journal: &impl Journal) -> Vec<Frame> {
    journal.frames(journal.first_seq()).unwrap().collect::<Result<_, _>>().unwrap()
}

/// Opens and checks that the frames are `expected`, none fewer, and none more than `more` at the end.
pub(crate) fn open_holding(dir: &Path, bound: u64, expected: &[Frame], more: usize) -> Result<OpenReport, OpenError> {
    let (journal, report) = SledJournal::open(dir, options(bound))?;
    let found = read_all(&journal);
    assert!(expected.len() <= found.len(), "{} frames acknowledged, {} found", expected.len(), found.len());
    assert!(found.len() <= expected.len() + more, "{} frames where {} fit", found.len(), expected.len() + more);
    assert_eq!(found[..expected.len()], *expected);
    Ok(report)
}

/// Returns what is wrong and where, from an error that must say so.
pub(crate) fn damage(error: OpenError) -> (Option<u64>, Option<Seq>, Flaw) {
    match error {
        OpenError::Damage { generation, seq, what, .. } => (generation, seq, *what),
        error => panic!("expected damage, found {error:?}"),
    }
}

pub(crate) fn copy_tree(from: &Path, to: &Path) {
    try_copy_tree(from, to).unwrap();
}

pub(crate) fn try_copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            try_copy_tree(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Lists the files under `dir`, in order of their names.
pub(crate) fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Numbers from a seed (SplitMix64).
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Chance {
        Chance(seed.wrapping_mul(0x2545_f491_4f6c_dd1d))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }
}

/// The seed of a random test: `KEMBALI_SEED`, or one fixed; printed, so that a failure repeats.
pub(crate) fn seed(test: &str) -> u64 {
    let seed = std::env::var("KEMBALI_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_260_801);
    println!("{test}: KEMBALI_SEED={seed} KEMBALI_DEPTH={}", depth());
    seed
}
