//! Damage to a snapshot: found and named, whatever the byte; never a panic, never another state.

use std::fs;
use std::path::Path;

use kembali_core::ledger::Ledger;

use super::support::{Chance, Taken, assert_same, depth, replay};
use crate::damage::{FileHash, ReadError, Remedy};
use crate::disk::Stored;
use crate::layout::Fields;
use crate::snapshot::layout::{Footer, HEADER_BYTES, encode_header, next_row};
use crate::{Snapshot, TakeError, snapshot_name};

/// Opens and reads all.
fn check(path: &Path) -> Result<(), ReadError> {
    Snapshot::open(path)?.verify()
}

fn named(path: &Path, bytes: &[u8], how: &str) {
    fs::write(path, bytes).unwrap();
    let error = check(path).expect_err(how);
    let damage = error.damage().unwrap_or_else(|| panic!("{how}: {error}"));
    assert_eq!(damage.file, path, "{how}");
    // Whoever loads it without reading all gets an error or the truth, and a start refuses it.
    assert!(Snapshot::open(path).and_then(|snapshot| snapshot.check_bytes()).is_err(), "{how}");
}

fn small() -> (Taken, Vec<u8>, tempfile::TempDir) {
    let taken = Taken::new(81, 14, 1);
    let bytes = fs::read(taken.path(0)).unwrap();
    (taken, bytes, tempfile::tempdir().unwrap())
}

#[test]
fn r23_a_snapshot_cut_at_every_byte() {
    let (taken, bytes, dir) = small();
    let path = dir.path().join(snapshot_name(taken.cuts[0].seq));
    println!("{} bytes", bytes.len());
    for length in 0..bytes.len() {
        named(&path, &bytes[..length], &format!("cut to {length} bytes"));
    }
    for more in [1, 4, 12, 100] {
        named(&path, &[bytes.as_slice(), &vec![0; more]].concat(), &format!("{more} bytes more"));
        named(&path, &[bytes.as_slice(), &bytes[bytes.len() - more..]].concat(), &format!("{more} bytes twice"));
        // The footer is found from the end, so it would not miss them.
        let (before, footer) = bytes.split_at(taken.open(0).footer_start() as usize);
        named(&path, &[before, &vec![0; more], footer].concat(), &format!("{more} bytes before the footer"));
    }
}

#[test]
fn r26_every_byte_of_a_snapshot_changed() {
    let (taken, bytes, dir) = small();
    let path = dir.path().join(snapshot_name(taken.cuts[0].seq));
    let mut chance = Chance::new(82);
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << chance.below(8);
        named(&path, &changed, &format!("byte {at}"));
    }
}

#[test]
fn r26_opening_a_snapshot_names_all_but_its_rows_and_reading_names_these() {
    let (taken, bytes, dir) = small();
    let path = dir.path().join(snapshot_name(taken.cuts[0].seq));
    let stored = Stored::new(&taken.path(0), Remedy::MoveSnapshot).unwrap();
    let rows = HEADER_BYTES..Footer::read(&stored).unwrap().index.offset as usize;
    let expected = replay(&taken.records, taken.cuts[0].seq.0 as usize);
    let customer = *expected.rows.keys().min().unwrap();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 16;
        fs::write(&path, &changed).unwrap();
        let opened = Snapshot::open(&path);
        assert_eq!(opened.is_ok(), rows.contains(&at), "byte {at}");
        let Ok(snapshot) = opened else { continue };
        for error in [snapshot.row(customer).unwrap_err(), snapshot.load().unwrap_err()] {
            assert!(error.to_string().contains("the checksum of the block of rows"), "{error}");
            assert_eq!(error.damage().unwrap().at, Some(HEADER_BYTES as u64));
        }
    }
}

#[test]
fn r26_random_bits_of_a_snapshot_changed() {
    let taken = Taken::new(83, 600, 1);
    let bytes = fs::read(taken.path(0)).unwrap();
    let expected = replay(&taken.records, taken.cuts[0].seq.0 as usize);
    let mut customers: Vec<_> = expected.rows.keys().copied().collect();
    customers.sort();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(snapshot_name(taken.cuts[0].seq));
    let mut chance = Chance::new(84);
    for _ in 0..200 * depth() {
        let (at, bit) = (chance.below(bytes.len() as u64) as usize, chance.below(8));
        let mut changed = bytes.clone();
        changed[at] ^= 1 << bit;
        named(&path, &changed, &format!("bit {bit} of byte {at}"));
        let Ok(snapshot) = Snapshot::open(&path) else { continue };
        let customer = customers[chance.below(customers.len() as u64) as usize];
        match snapshot.row(customer) {
            Ok(found) => assert_eq!(found.map(|(row, _)| row).as_ref(), expected.rows.get(&customer)),
            Err(error) => assert!(error.damage().is_some(), "{error}"),
        }
        match snapshot.load() {
            Ok(ledger) => assert_same(&ledger, &expected, &taken.records),
            Err(error) => assert!(error.damage().is_some(), "{error}"),
        }
    }
}

/// Changes a byte of the row value of the first customer and mends what a tampering hand would.
fn tampered(bytes: &[u8], path: &Path, byte: usize, mend_hash: bool) -> Option<Vec<u8>> {
    let snapshot = Snapshot::open(path).unwrap();
    let stored = Stored::new(path, Remedy::MoveSnapshot).unwrap();
    let mut footer = Footer::read(&stored).unwrap();
    let mut index = footer.read_index(&stored).unwrap();
    let (start, length) = (index[0].offset as usize, index[0].length as usize);
    let mut fields = Fields::new(&bytes[start..start + length]);
    let value = next_row(&mut fields).unwrap().value;
    let value_at = start + length - fields.left() - value.len();
    if value.len() <= byte {
        return None;
    }
    let mut changed = bytes.to_vec();
    changed[value_at + byte] ^= 1;
    index[0].crc = crc32c::crc32c(&changed[start..start + length]);
    let at = footer.index.offset as usize;
    // The checksum of the first block stands after customer, offset and length.
    changed[at + 28..at + 32].copy_from_slice(&index[0].crc.to_le_bytes());
    footer.index.crc = crc32c::crc32c(&changed[at..at + footer.index.length as usize]);
    let end = (footer.keys.offset + footer.keys.length) as usize;
    changed.truncate(end);
    if mend_hash {
        footer.file_hash = FileHash(*blake3::hash(&changed).as_bytes());
    }
    changed.extend_from_slice(&footer.encode());
    assert_eq!(snapshot.size(), changed.len() as u64);
    Some(changed)
}

#[test]
fn r41_an_edited_row_is_named_although_its_checksums_fit() {
    let (taken, bytes, dir) = small();
    let path = dir.path().join(snapshot_name(taken.cuts[0].seq));
    let mut tried = 0;
    while let Some(changed) = tampered(&bytes, &taken.path(0), tried, false) {
        named(&path, &changed, &format!("byte {tried} of a row"));
        let Some(changed) = tampered(&bytes, &taken.path(0), tried, true) else { break };
        fs::write(&path, &changed).unwrap();
        // The version of the rules is no part of the digest, and all else is.
        let same_digest = (20..24).contains(&tried);
        assert_eq!(check(&path).is_ok(), same_digest, "byte {tried} of a row: {:?}", check(&path));
        tried += 1;
    }
    assert!(50 < tried, "a row of {tried} bytes");
}

#[test]
fn a_header_of_another_position_does_not_fit_the_desk() {
    let (taken, bytes, dir) = small();
    let mut cut = taken.cuts[0];
    cut.seq.0 += 1;
    let path = dir.path().join(snapshot_name(cut.seq));
    fs::write(&path, [encode_header(&cut), bytes[HEADER_BYTES..].to_vec()].concat()).unwrap();
    let said = check(&path).unwrap_err().to_string();
    assert!(said.contains("the desk is of another position"), "{said}");
    let loaded: Result<Ledger, ReadError> = Snapshot::open(&path).unwrap().load();
    assert!(loaded.is_err());
}

#[test]
fn a_damaged_previous_snapshot_makes_no_next_one() {
    let taken = Taken::new(85, 200, 2);
    let dir = super::support::copy_dir(taken.dir.path());
    let path = dir.path().join(snapshot_name(taken.cuts[0].seq));
    let mut bytes = fs::read(&path).unwrap();
    let previous = Snapshot::open(&path).unwrap();
    let (first, last) = (taken.cuts[0], taken.cuts[1]);
    fs::remove_file(dir.path().join(snapshot_name(last.seq))).unwrap();
    bytes[HEADER_BYTES + 200] ^= 4;
    fs::write(&path, &bytes).unwrap();
    let mut snapshots = crate::Snapshots::open(dir.path()).unwrap();
    let records = super::support::since(&taken.records, first.seq, last.seq);
    let error = snapshots.take(Some(&previous), records, last).unwrap_err();
    assert!(matches!(error, TakeError::Previous(_)), "{error}");
    assert!(error.to_string().contains(&snapshot_name(first.seq)), "{error}");
    assert_eq!(super::support::names(dir.path()).len(), 1);
}
