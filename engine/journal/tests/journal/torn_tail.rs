//! R23 in memory, at every byte. The same on sled's chunks is a unit test of the crate, since it writes through sled.

use kembali_core::Seq;
use kembali_journal::{Flaw, Frame, Journal, MemoryDisk, MemoryFault, MemoryJournal, Mended};

use super::support::{damage, fill, next_frame, options, read_all};

const BOUND: u64 = 1 << 20;

/// Three acknowledged frames, and a fourth that is stored; whether it was acknowledged is the question.
fn disk(last_acknowledged: bool) -> (MemoryDisk, Vec<Frame>, Frame) {
    let disk = MemoryDisk::default();
    let (mut journal, _) = MemoryJournal::open(&disk, &options(BOUND)).unwrap();
    let frames = fill(&mut journal, 3, 3, 20);
    let last = next_frame(&journal, 4, 30);
    if !last_acknowledged {
        disk.fail_append(1, MemoryFault::AfterSync);
    }
    assert_eq!(journal.append(&last).is_ok(), last_acknowledged);
    (disk, frames, last)
}

/// Every way to leave the last frame short, or with a byte changed.
fn each_damage(disk: &MemoryDisk, last: &Frame, mut check: impl FnMut(&MemoryDisk, bool)) -> u32 {
    let start = disk.newest_bytes().len() - last.bytes().len();
    let mut images = 0;
    for at in 0..last.bytes().len() {
        let short = disk.image();
        short.change_newest_bytes(|bytes| bytes.truncate(start + at));
        check(&short, at == 0);
        for flip in [0x01, 0x80, 0xff] {
            let changed = disk.image();
            changed.change_newest_bytes(|bytes| bytes[start + at] ^= flip);
            check(&changed, false);
            images += 1;
        }
        images += 1;
    }
    images
}

#[test]
fn r23_torn_tail_after_the_head_is_cut_to_the_last_whole_frame() {
    let (disk, frames, last) = disk(false);
    let images = each_damage(&disk, &last, |image, gone| {
        let (mut journal, report) = MemoryJournal::open(image, &options(BOUND)).unwrap();
        assert_eq!(read_all(&journal), frames);
        assert_eq!(journal.position().seq, Seq(9));
        let cut = report.mended.iter().any(|mended| matches!(mended, Mended::TornTail { generation: 1, .. }));
        assert_eq!(cut, !gone);
        fill(&mut journal, 1, 1, 1);
        let (journal, _) = MemoryJournal::open(image, &options(BOUND)).unwrap();
        assert_eq!(read_all(&journal).len(), 4);
    });
    println!("{images} images");
}

#[test]
fn r23_torn_acknowledged_frame_is_damage_that_is_named() {
    let (disk, _, last) = disk(true);
    let images = each_damage(&disk, &last, |image, gone| {
        let (generation, seq, what) = damage(MemoryJournal::open(image, &options(BOUND)).unwrap_err());
        assert_eq!((generation, seq), (Some(1), Some(Seq(10))));
        let expected = match what {
            Flaw::Shorter { expected: Seq(13), found: Seq(9) } => gone,
            Flaw::Frame { .. } => !gone,
            _ => false,
        };
        assert!(expected, "{what:?}");
    });
    println!("{images} images");
}

#[test]
fn r23_whole_frame_after_the_head_is_kept() {
    let (disk, mut frames, last) = disk(false);
    let (journal, report) = MemoryJournal::open(&disk, &options(BOUND)).unwrap();
    frames.push(last);
    assert_eq!(read_all(&journal), frames);
    assert_eq!(report.mended, [Mended::FramesPastHead { frames: 1 }]);
}

#[test]
fn r23_a_power_cut_during_an_append_leaves_a_prefix_of_the_frame() {
    let whole = disk(true).2.bytes().len();
    for bytes in 0..=whole {
        let disk = MemoryDisk::default();
        let (mut journal, _) = MemoryJournal::open(&disk, &options(BOUND)).unwrap();
        let frames = fill(&mut journal, 3, 3, 20);
        disk.fail_append(1, MemoryFault::Torn { bytes });
        journal.append(&next_frame(&journal, 4, 30)).unwrap_err();
        let killed = disk.image();
        let (journal, _) = MemoryJournal::open(&killed, &options(BOUND)).unwrap();
        assert_eq!(read_all(&journal).len(), 3 + usize::from(bytes == whole));
        disk.crash();
        let (journal, _) = MemoryJournal::open(&disk, &options(BOUND)).unwrap();
        assert_eq!(read_all(&journal), frames);
    }
}
