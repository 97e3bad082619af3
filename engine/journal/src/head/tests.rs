//! Tests of the two slots.

use std::fs;
use std::path::Path;

use kembali_core::Seq;

use super::{COPY_STRIDE, Head, HeadError, HeadFile, LedgerId, SLOT_BYTES};
use crate::damage::Flaw;
use crate::files::SyncFault;
use crate::frame::FrameHash;

fn written(dir: &Path, writes: u64) -> Vec<u8> {
    let syncs = SyncFault::default();
    HeadFile::create(dir, "head", LedgerId::default(), &syncs).unwrap();
    let (mut head, _) = HeadFile::open(&dir.join("head"), LedgerId::default(), &syncs).unwrap().unwrap();
    for seq in 1..=writes {
        head.write(Head { seq: Seq(seq), hash: FrameHash([seq as u8; 32]), epoch: 7, ..*head.newest() }).unwrap();
    }
    fs::read(dir.join("head")).unwrap()
}

fn loaded(dir: &Path, bytes: &[u8]) -> Result<super::Loaded, HeadError> {
    fs::write(dir.join("head"), bytes).unwrap();
    Ok(HeadFile::read(&dir.join("head"), LedgerId::default())?.unwrap())
}

#[test]
fn the_newest_write_is_read_back() {
    let dir = tempfile::tempdir().unwrap();
    for writes in 0..5 {
        let bytes = written(dir.path(), writes);
        assert_eq!(bytes.len(), 2 * SLOT_BYTES);
        let found = loaded(dir.path(), &bytes).unwrap();
        assert_eq!((found.head.seq, found.head.counter), (Seq(writes), writes + 1));
        assert_eq!((found.slot_lost, found.copies_lost), (None, vec![]));
    }
}

#[test]
fn a_write_torn_at_any_sector_reads_as_the_old_or_the_new_head() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (written(dir.path(), 4), written(dir.path(), 5));
    for kept in 0_u32..1 << 8 {
        let mut torn = old.clone();
        // Any of the eight sectors of the slot may have arrived.
        let slot = if old[..SLOT_BYTES] == new[..SLOT_BYTES] { SLOT_BYTES } else { 0 };
        for sector in (0..8).filter(|sector| kept >> sector & 1 == 1) {
            let range = slot + sector * 512..slot + (sector + 1) * 512;
            torn[range.clone()].copy_from_slice(&new[range]);
        }
        let found = loaded(dir.path(), &torn).unwrap();
        let arrived = kept & 0b1_0001 != 0;
        assert_eq!(found.head.seq, Seq(if arrived { 5 } else { 4 }));
        assert_eq!((found.slot_lost, found.copies_lost), (None, vec![]));
    }
}

#[test]
fn damage_costs_a_copy_then_a_slot_then_the_head() {
    let dir = tempfile::tempdir().unwrap();
    let mut bytes = written(dir.path(), 6);
    // Seven counts: the newest head is in slot 1.
    bytes[SLOT_BYTES + 20] ^= 1;
    let found = loaded(dir.path(), &bytes).unwrap();
    assert_eq!((found.head.seq, found.slot_lost, found.copies_lost), (Seq(6), None, vec![(1, 0)]));
    bytes[SLOT_BYTES + COPY_STRIDE + 50] ^= 1;
    let found = loaded(dir.path(), &bytes).unwrap();
    assert_eq!((found.head.seq, found.slot_lost, found.copies_lost), (Seq(5), Some(1), vec![]));
    bytes[3] ^= 1;
    assert_eq!(loaded(dir.path(), &bytes).unwrap().copies_lost, [(0, 0)]);
    bytes[COPY_STRIDE] ^= 1;
    assert!(matches!(loaded(dir.path(), &bytes), Err(HeadError::Flaw(Flaw::HeadLost))));
    bytes.pop();
    assert!(matches!(loaded(dir.path(), &bytes), Err(HeadError::Flaw(Flaw::HeadSize { .. }))));
}

#[test]
fn a_version_of_later_is_not_taken_for_damage() {
    let dir = tempfile::tempdir().unwrap();
    let mut bytes = written(dir.path(), 1);
    for at in [0, COPY_STRIDE, SLOT_BYTES, SLOT_BYTES + COPY_STRIDE] {
        bytes[at + 4] = 2;
        let checksum = crc32c::crc32c(&bytes[at..at + 96]);
        bytes[at + 96..at + 100].copy_from_slice(&checksum.to_le_bytes());
    }
    let refused = loaded(dir.path(), &bytes);
    assert!(matches!(refused, Err(HeadError::Flaw(Flaw::HeadVersion { expected: 1, found: 2 }))));
}

#[test]
fn a_failed_sync_of_the_head_counts_as_no_write() {
    let dir = tempfile::tempdir().unwrap();
    let syncs = SyncFault::default();
    HeadFile::create(dir.path(), "head", LedgerId::default(), &syncs).unwrap();
    let (mut head, _) = HeadFile::open(&dir.path().join("head"), LedgerId::default(), &syncs).unwrap().unwrap();
    syncs.fail_after(1);
    let before = *head.newest();
    head.write(Head { seq: Seq(1), ..before }).unwrap_err();
    assert_eq!(*head.newest(), before);
}
