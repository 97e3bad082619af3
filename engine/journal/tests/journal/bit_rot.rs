//! R26: flipped bytes in every kind of file. Named, or everything acknowledged is there; never a shorter ledger.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use kembali_journal::{Frame, LedgerId, OpenError, ProfileKey, ProfileStore, SledJournal, SyncFault};
use tempfile::TempDir;

use super::support::{Chance, copy_tree, depth, files, fill, open_holding, options, scratch, seed};

const BOUND: u64 = 12_000;

/// How the journal was left: sled's snapshot covers all of it, or only what an earlier owner wrote.
#[derive(Clone, Copy, Debug)]
enum Left {
    Stopped,
    Killed,
    /// Killed, with generations of several segments of sled's.
    KilledLarge,
}

/// A journal of three generations that was opened more than once, so that sled has written snapshots as well.
fn journal(left: Left) -> (TempDir, Vec<Frame>) {
    let dir = scratch();
    let mut frames = Vec::new();
    let (mut journal, _) = SledJournal::open(dir.path(), options(BOUND)).unwrap();
    frames.extend(fill(&mut journal, 10, 2, 700));
    drop(journal);
    let bound = if let Left::KilledLarge = left { 1 << 30 } else { BOUND };
    let (mut journal, _) = SledJournal::open(dir.path(), options(bound)).unwrap();
    frames.extend(fill(&mut journal, 8, 2, 700));
    frames.extend(fill(&mut journal, 6, 2, 40));
    if let Left::KilledLarge = left {
        frames.extend(fill(&mut journal, 20, 4, 30_000));
    }
    match left {
        Left::Stopped => {
            drop(journal);
            drop(SledJournal::open(dir.path(), options(BOUND)).unwrap());
            (dir, frames)
        }
        Left::Killed | Left::KilledLarge => {
            // The files as they are while the owner lives: what the system keeps of a killed process.
            let image = scratch();
            copy_tree(dir.path(), image.path());
            (image, frames)
        }
    }
}

/// Counts outcomes of flips, and fails on a silent loss.
struct Rot<'a> {
    original: &'a Path,
    frames: &'a [Frame],
    outcomes: BTreeMap<String, u64>,
}

impl Rot<'_> {
    fn flip(&mut self, file: &Path, at: usize, flip: u8) {
        self.damage(file, at, |bytes| bytes[at] ^= flip);
    }

    fn damage(&mut self, file: &Path, at: usize, change: impl FnOnce(&mut [u8])) {
        let image = scratch();
        copy_tree(self.original, image.path());
        let damaged = image.path().join(file.strip_prefix(self.original).unwrap());
        let mut bytes = fs::read(&damaged).unwrap();
        change(&mut bytes);
        fs::write(&damaged, bytes).unwrap();
        let before = snapshot_of(image.path());
        let outcome = match open_holding(image.path(), BOUND, self.frames, 0) {
            Ok(report) if report.mended.is_empty() => "whole".to_owned(),
            Ok(report) => format!("mended {}", variant(&report.mended[0])),
            Err(OpenError::Damage { what, file, .. }) => {
                assert!(file.starts_with(image.path()));
                assert_eq!(before, snapshot_of(image.path()), "a refused start has changed the original");
                format!("named {}", variant(&what))
            }
            Err(error) => panic!("byte {at} of {}: {error:?}", file.display()),
        };
        let kind = file.file_name().unwrap().to_string_lossy();
        let kind = kind.split('.').next().unwrap();
        *self.outcomes.entry(format!("{kind}: {outcome}")).or_default() += 1;
    }
}

fn variant(value: &impl std::fmt::Debug) -> String {
    let text = format!("{value:?}");
    text.split([' ', '{', '(']).next().unwrap().to_owned()
}

/// The files that opening reads, with their bytes.
fn snapshot_of(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    files(dir)
        .into_iter()
        .filter(|file| !file.ends_with("lock"))
        .map(|file| (file.clone(), fs::read(file).unwrap()))
        .collect()
}

/// Where the bytes of `frame` lie in `stored`: one range a chunk, with what sled puts around it.
fn locations(stored: &[u8], frame: &Frame) -> Vec<Range<usize>> {
    let around = 48;
    let mut found = Vec::new();
    for chunk in frame.bytes().chunks(4096) {
        for (at, window) in stored.windows(chunk.len()).enumerate() {
            if window == chunk {
                found.push(at.saturating_sub(around)..(at + chunk.len() + around).min(stored.len()));
            }
        }
    }
    found
}

#[test]
fn r26_random_flips_in_every_kind_of_file() {
    let mut chance = Chance::new(seed("r26_random_flips_in_every_kind_of_file"));
    for left in [Left::Stopped, Left::Killed] {
        let outcomes = random_flips(left, 100 * depth(), &mut chance);
        println!("{left:?} {outcomes:#?}");
    }
}

fn random_flips(left: Left, flips: u64, chance: &mut Chance) -> BTreeMap<String, u64> {
    let (dir, frames) = journal(left);
    let mut rot = Rot { original: dir.path(), frames: &frames, outcomes: BTreeMap::new() };
    let files: Vec<(PathBuf, Vec<usize>)> = files(dir.path())
        .into_iter()
        .filter(|file| !file.ends_with("lock"))
        .map(|file| {
            let bytes = fs::read(&file).unwrap();
            let used = bytes.iter().enumerate().filter(|(_, byte)| **byte != 0).map(|(at, _)| at).collect();
            (file, used)
        })
        .collect();
    for _ in 0..flips {
        let (file, used) = chance.pick(&files);
        let at = match chance.below(4) {
            0 => chance.below(fs::metadata(file).unwrap().len()) as usize,
            _ => *chance.pick(used),
        };
        rot.flip(file, at, 1 << chance.below(8));
    }
    rot.outcomes
}

fn every_byte_of_the_last_two_frames(left: Left) -> BTreeMap<String, u64> {
    let (dir, frames) = journal(left);
    let mut rot = Rot { original: dir.path(), frames: &frames, outcomes: BTreeMap::new() };
    for frame in &frames[frames.len() - 2..] {
        let mut found = 0;
        for file in files(dir.path()).into_iter().filter(|file| file.ends_with("db")) {
            for range in locations(&fs::read(&file).unwrap(), frame) {
                found += 1;
                range.for_each(|at| rot.flip(&file, at, 0x10));
            }
        }
        assert!(0 < found, "the frame was not found in any file");
    }
    rot.outcomes
}

#[test]
fn r26_every_byte_of_the_last_two_frames_of_a_stopped_journal() {
    let outcomes = every_byte_of_the_last_two_frames(Left::Stopped);
    println!("{outcomes:#?}");
    assert!(outcomes.keys().any(|outcome| outcome.contains("named")));
}

#[test]
fn r26_every_byte_of_the_last_two_frames_of_a_killed_journal() {
    let outcomes = every_byte_of_the_last_two_frames(Left::Killed);
    println!("{outcomes:#?}");
    // This is what the head is for: sled comes up shorter without a word.
    assert!(outcomes.keys().any(|outcome| outcome.contains("named Shorter")));
}

#[test]
fn r26_destroyed_sectors_and_pages() {
    let mut chance = Chance::new(seed("r26_destroyed_sectors_and_pages"));
    for left in [Left::Stopped, Left::Killed, Left::KilledLarge] {
        let (dir, frames) = journal(left);
        let mut rot = Rot { original: dir.path(), frames: &frames, outcomes: BTreeMap::new() };
        let stores: Vec<PathBuf> = files(dir.path()).into_iter().filter(|file| file.ends_with("db")).collect();
        for _ in 0..75 * depth() {
            let store = chance.pick(&stores).clone();
            let stored = fs::read(&store).unwrap();
            let used = stored.iter().rposition(|byte| *byte != 0).unwrap();
            let unit = *chance.pick(&[512, 4096]);
            let at = chance.below(used as u64 / unit + 1) as usize * unit as usize;
            let (garbage, mut bytes) = (chance.below(2) == 0, chance.clone());
            rot.damage(&store, at, |stored| {
                let end = stored.len().min(at + unit as usize);
                stored[at..end].fill_with(|| if garbage { bytes.next() as u8 } else { 0 });
            });
        }
        println!("{left:?} {:#?}", rot.outcomes);
        if let Left::KilledLarge = left {
            // sled panics on some of these; should it stop doing so, the check on a copy can be made simpler.
            assert!(rot.outcomes.keys().any(|outcome| outcome.contains("named StorePanicked")));
        }
    }
}

#[test]
fn r26_every_byte_of_the_head() {
    let (dir, frames) = journal(Left::Stopped);
    let mut rot = Rot { original: dir.path(), frames: &frames, outcomes: BTreeMap::new() };
    let head = dir.path().join("head");
    for copy in 0..4 {
        for at in 0..84 {
            rot.flip(&head, copy * 2048 + at, 0x10);
        }
    }
    rot.flip(&head, 1000, 0x10);
    println!("{:#?}", rot.outcomes);
    // One flip never costs a slot, so the ledger opens whole; the copy is named.
    assert_eq!(
        rot.outcomes.into_iter().collect::<Vec<_>>(),
        [("head: mended HeadCopy".to_owned(), 4 * 84), ("head: whole".to_owned(), 1)]
    );
}

#[test]
fn r26_flips_in_the_profile_store() {
    let mut chance = Chance::new(seed("r26_flips_in_the_profile_store"));
    let original = scratch();
    let key = |n: u8| ProfileKey::new([n]).unwrap();
    {
        let (mut store, _) = ProfileStore::open(original.path(), LedgerId::default(), &SyncFault::default()).unwrap();
        for n in 0..30 {
            store.put(&[(key(n), vec![n; 60])]).unwrap();
        }
    }
    let mut outcomes: BTreeMap<String, u64> = BTreeMap::new();
    let files: Vec<PathBuf> = files(original.path());
    for _ in 0..100 * depth() {
        let image = scratch();
        copy_tree(original.path(), image.path());
        let damaged = image.path().join(chance.pick(&files).strip_prefix(original.path()).unwrap());
        let mut bytes = fs::read(&damaged).unwrap();
        let used: Vec<usize> = bytes.iter().enumerate().filter(|(_, byte)| **byte != 0).map(|(at, _)| at).collect();
        bytes[*chance.pick(&used)] ^= 1 << chance.below(8);
        fs::write(&damaged, bytes).unwrap();
        let outcome = match ProfileStore::open(image.path(), LedgerId::default(), &SyncFault::default()) {
            Ok((store, mended)) => {
                for n in 0..30 {
                    assert_eq!(store.get(&key(n)).unwrap().unwrap(), vec![n; 60]);
                }
                if mended.is_empty() { "whole".to_owned() } else { format!("mended {}", variant(&mended[0])) }
            }
            Err(OpenError::Damage { what, .. }) => format!("named {}", variant(&what)),
            Err(error) => panic!("{error:?}"),
        };
        *outcomes.entry(outcome).or_default() += 1;
    }
    println!("{outcomes:#?}");
}
