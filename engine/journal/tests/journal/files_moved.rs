//! R27: files of the journal that are missing, swapped, doubled or of another time are found before anything is read.

use std::fs;
use std::path::Path;

use kembali_core::Seq;
use kembali_journal::{
    Flaw, Frame, Journal, LedgerId, Mended, Options, ProfileStore, SledJournal, SyncFault, read_only_frames,
    verify_copy, verify_profiles,
};
use tempfile::TempDir;

use super::support::{copy_tree, damage, files, fill, open_holding, options, read_all, scratch};

const BOUND: u64 = 2000;

/// Five generations, the last of them with two frames.
fn journal() -> (TempDir, Vec<Frame>) {
    let dir = scratch();
    let (mut journal, _) = SledJournal::open(dir.path(), options(BOUND)).unwrap();
    let frames = fill(&mut journal, 22, 2, 200);
    drop(journal);
    (dir, frames)
}

/// Changes a copy of the journal, and returns what start and verify say, which must agree.
fn flaw_after(change: impl FnOnce(&Path)) -> Flaw {
    let (dir, frames) = journal();
    change(dir.path());
    let scratch = scratch();
    let verified = damage(verify_copy(dir.path(), LedgerId::default(), scratch.path()).unwrap_err());
    let opened = damage(open_holding(dir.path(), BOUND, &frames, 0).unwrap_err());
    assert_eq!(verified, opened);
    opened.2
}

fn swap(dir: &Path, a: &str, b: &str) {
    fs::rename(dir.join(a), dir.join("aside")).unwrap();
    fs::rename(dir.join(b), dir.join(a)).unwrap();
    fs::rename(dir.join("aside"), dir.join(b)).unwrap();
}

#[test]
fn r27_missing_generations_are_named() {
    for number in 1..=5 {
        let flaw = flaw_after(|dir| fs::remove_dir_all(dir.join(format!("g{number}"))).unwrap());
        assert_eq!(flaw, Flaw::GenerationMissing { number });
    }
}

#[test]
fn r27_missing_head_is_named() {
    assert_eq!(flaw_after(|dir| fs::remove_file(dir.join("head")).unwrap()), Flaw::HeadMissing);
}

#[test]
fn r27_missing_file_of_sleds_is_named() {
    let flaw = flaw_after(|dir| fs::remove_file(dir.join("g2/db")).unwrap());
    assert!(matches!(flaw, Flaw::StoreRefused { .. }), "{flaw:?}");
}

#[test]
fn r27_swapped_generations_are_named() {
    let flaw = flaw_after(|dir| swap(dir, "g1", "g2"));
    assert!(matches!(flaw, Flaw::NotDense { .. }), "{flaw:?}");
    let flaw = flaw_after(|dir| swap(dir, "g3", "g4"));
    assert!(matches!(flaw, Flaw::NotDense { .. }), "{flaw:?}");
}

#[test]
fn r27_doubled_generation_is_named() {
    let flaw = flaw_after(|dir| {
        fs::remove_dir_all(dir.join("g3")).unwrap();
        copy_tree(&dir.join("g2"), &dir.join("g3"));
    });
    assert!(matches!(flaw, Flaw::NotDense { .. }), "{flaw:?}");
}

#[test]
fn r27_generation_of_another_ledger_is_named() {
    let (other, _) = {
        let dir = scratch();
        let (mut journal, _) = SledJournal::open(dir.path(), options(BOUND)).unwrap();
        let frames = fill(&mut journal, 22, 2, 201);
        drop(journal);
        (dir, frames)
    };
    for name in ["g2", "g5"] {
        let flaw = flaw_after(|dir| {
            fs::remove_dir_all(dir.join(name)).unwrap();
            copy_tree(&other.path().join(name), &dir.join(name));
        });
        assert!(matches!(flaw, Flaw::Chain { .. }), "{flaw:?}");
    }
    let flaw = flaw_after(|dir| {
        fs::copy(other.path().join("head"), dir.join("head")).unwrap();
    });
    assert!(matches!(flaw, Flaw::HeadHash { .. }), "{flaw:?}");
}

#[test]
fn r27_head_of_another_time_is_named() {
    let dir = scratch();
    let (mut journal, _) = SledJournal::open(dir.path(), options(BOUND)).unwrap();
    fill(&mut journal, 5, 1, 10);
    let old = fs::read(dir.path().join("head")).unwrap();
    fill(&mut journal, 2, 1, 10);
    drop(journal);
    let new = fs::read(dir.path().join("head")).unwrap();
    fs::write(dir.path().join("head"), &old).unwrap();
    let refused = damage(SledJournal::open(dir.path(), options(BOUND)).unwrap_err());
    assert_eq!(refused.2, Flaw::HeadStale { found: 2, max: 1 });
    fs::write(dir.path().join("head"), &new).unwrap();
    SledJournal::open(dir.path(), options(BOUND)).unwrap();
}

#[test]
fn r27_head_of_another_ledger_that_was_trimmed_removes_nothing() {
    let other = scratch();
    let (mut trimmed, _) = SledJournal::open(other.path(), options(BOUND)).unwrap();
    fill(&mut trimmed, 22, 2, 201);
    trimmed.trim(1).unwrap();
    trimmed.trim(2).unwrap();
    drop(trimmed);
    let (dir, frames) = journal();
    fs::rename(dir.path().join("head"), dir.path().join("kept")).unwrap();
    fs::copy(other.path().join("head"), dir.path().join("head")).unwrap();
    damage(open_holding(dir.path(), BOUND, &frames, 0).unwrap_err());
    fs::rename(dir.path().join("kept"), dir.path().join("head")).unwrap();
    open_holding(dir.path(), BOUND, &frames, 0).unwrap();
}

#[test]
fn r41_generations_of_an_older_backup_are_found_by_a_kept_head() {
    let dir = scratch();
    let (mut journal, _) = SledJournal::open(dir.path(), options(BOUND)).unwrap();
    fill(&mut journal, 3, 1, 10);
    drop(journal);
    let old = scratch();
    copy_tree(&dir.path().join("g1"), &old.path().join("g1"));
    let (mut journal, _) = SledJournal::open(dir.path(), options(BOUND)).unwrap();
    fill(&mut journal, 1, 1, 10);
    drop(journal);
    fs::remove_dir_all(dir.path().join("g1")).unwrap();
    copy_tree(&old.path().join("g1"), &dir.path().join("g1"));
    let refused = damage(SledJournal::open(dir.path(), options(BOUND)).unwrap_err());
    assert_eq!(refused, (Some(1), Some(Seq(4)), Flaw::Shorter { expected: Seq(4), found: Seq(3) }));
}

#[test]
fn a_damaged_slot_needs_a_frame_that_proves_the_rest() {
    let destroy = |dir: &Path, slot: usize| {
        let mut head = fs::read(dir.join("head")).unwrap();
        head[slot * 4096..(slot + 1) * 4096].fill(0xee);
        fs::write(dir.join("head"), head).unwrap();
    };
    let (dir, frames) = journal();
    let mut outcomes = Vec::new();
    for slot in 0..2 {
        let image = scratch();
        copy_tree(dir.path(), image.path());
        destroy(image.path(), slot);
        outcomes.push(open_holding(image.path(), BOUND, &frames, 0));
    }
    outcomes.sort_by_key(Result::is_err);
    // The older slot was lost: what is left names the last frame, and nothing proves that there was none after it.
    let refused = damage(outcomes.pop().unwrap().unwrap_err());
    assert_eq!(refused.2, Flaw::HeadUnproven { survivor: Seq(44) });
    // The newer slot was lost: the last frame itself proves that it was written.
    let report = outcomes.pop().unwrap().unwrap();
    assert!(matches!(report.mended[..], [Mended::HeadSlot { .. }, Mended::FramesPastHead { frames: 1 }]), "{report:?}");

    let image = scratch();
    copy_tree(dir.path(), image.path());
    destroy(image.path(), 0);
    destroy(image.path(), 1);
    let refused = damage(open_holding(image.path(), BOUND, &frames, 0).unwrap_err());
    assert_eq!(refused.2, Flaw::HeadLost);
}

#[test]
fn leftovers_of_a_crash_are_removed_and_reported() {
    let (dir, frames) = journal();
    for name in ["new-g6", "del-g0", "check-g9"] {
        fs::create_dir(dir.path().join(name)).unwrap();
        fs::write(dir.path().join(name).join("db"), b"half").unwrap();
    }
    fs::write(dir.path().join("g4/snap.00000000000000FF.generating"), b"half").unwrap();
    fs::write(dir.path().join("g3/conf"), b"segment_si").unwrap();
    fs::remove_file(dir.path().join("g2/conf")).unwrap();
    let report = open_holding(dir.path(), BOUND, &frames, 0).unwrap();
    let kinds: Vec<usize> = [
        |mended: &Mended| matches!(mended, Mended::Leftover { .. }),
        |mended: &Mended| matches!(mended, Mended::HalfSnapshot { .. }),
        |mended: &Mended| matches!(mended, Mended::Conf { .. }),
    ]
    .iter()
    .map(|kind| report.mended.iter().filter(|mended| kind(mended)).count())
    .collect();
    assert_eq!(kinds, [3, 1, 2], "{report:?}");
    assert_eq!(open_holding(dir.path(), BOUND, &frames, 0).unwrap().mended, []);
}

#[test]
fn a_conf_of_another_build_is_refused_and_left_alone() {
    let (dir, frames) = journal();
    let other = foreign_conf();
    fs::write(dir.path().join("g1/conf"), &other).unwrap();
    let refused = damage(open_holding(dir.path(), BOUND, &frames, 0).unwrap_err());
    assert!(matches!(refused.2, Flaw::ConfForeign { .. }), "{refused:?}");
    assert_eq!(fs::read(dir.path().join("g1/conf")).unwrap(), other);
}

/// A whole conf with another segment size: the text, and its CRC32.
fn foreign_conf() -> Vec<u8> {
    let text = b"segment_size: 1048576\nuse_compression: false\nversion: 0.34\n";
    let checksum = !text.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    });
    [text.as_slice(), &checksum.to_le_bytes()].concat()
}

#[test]
fn verify_reads_everything_and_changes_nothing() {
    let (dir, frames) = journal();
    let contents =
        |dir: &Path| files(dir).into_iter().map(|file| (file.clone(), fs::read(file).unwrap())).collect::<Vec<_>>();
    let before = contents(dir.path());
    let scratch = scratch();
    let report = verify_copy(dir.path(), LedgerId::default(), scratch.path()).unwrap();
    assert_eq!((report.seq, report.frames, report.epoch), (Seq(44), 22, 1));
    assert_eq!(report.would_mend, []);
    let read = read_only_frames(dir.path(), &report, scratch.path()).unwrap();
    let read: Vec<Frame> = read.collect::<Result<_, _>>().unwrap();
    assert_eq!(read, frames);
    assert_eq!(contents(dir.path()), before);
    assert_eq!(files(scratch.path()), Vec::<std::path::PathBuf>::new());

    let (journal, _) = SledJournal::open(dir.path(), options(BOUND)).unwrap();
    assert!(
        verify_copy(dir.path(), LedgerId::default(), scratch.path()).is_err(),
        "verified under the hands of an owner"
    );
    assert_eq!(read_all(&journal), frames);
}

#[test]
fn r27_stores_of_another_ledger_are_named() {
    let (mine, theirs) = (LedgerId([1; 16]), LedgerId([2; 16]));
    let (dir, elsewhere) = (scratch(), scratch());
    let of = |ledger| Options { ledger, ..options(BOUND) };
    drop(SledJournal::open(dir.path(), of(mine)).unwrap());
    drop(ProfileStore::open(dir.path(), mine, &SyncFault::default()).unwrap());
    let contents = || files(dir.path()).iter().map(|file| fs::read(file).unwrap()).collect::<Vec<_>>();
    let before = contents();
    for refused in [
        damage(SledJournal::open(dir.path(), of(theirs)).unwrap_err()),
        damage(verify_copy(dir.path(), theirs, elsewhere.path()).unwrap_err()),
        damage(ProfileStore::open(dir.path(), theirs, &SyncFault::default()).map(drop).unwrap_err()),
        damage(verify_profiles(dir.path(), theirs, elsewhere.path()).map(drop).unwrap_err()),
    ] {
        assert!(matches!(refused.2, Flaw::OtherLedger { expected, found } if (expected, found) == (theirs, mine)));
    }
    assert_eq!(contents(), before, "nothing was changed");
    SledJournal::open(dir.path(), of(mine)).unwrap();
    assert_eq!(verify_profiles(dir.path(), mine, elsewhere.path()).unwrap(), 0);
}
