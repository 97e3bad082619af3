//! Tests of the log's bytes: what is read of each state in which a crash or a bad sector can leave them.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::{LOG_BYTES, LOG_NAME, LogError, Logged, ProfileLog, read};
use crate::damage::Flaw;
use crate::files::SyncFault;
use crate::head::LedgerId;
use crate::profiles::{Profile, ProfileKey};

const MINE: LedgerId = LedgerId([7; 16]);
const COMMITS: u64 = 5;

fn profile(key: &str, length: usize) -> Profile {
    (ProfileKey::new(key).unwrap(), vec![b'v'; length])
}

/// Entries of one block, of two copies in three, and of several.
fn entries() -> Vec<Vec<Profile>> {
    let name = |n: usize| profile(&format!("c{n}"), 20);
    vec![
        vec![name(0)],
        vec![profile("wide", 3_000)],
        vec![name(1), name(2)],
        vec![profile("a", 3_584), profile("b", 3_584)],
        vec![name(3)],
    ]
}

/// The file after `entries`, and where the last of them begins.
fn written(dir: &Path, entries: &[Vec<Profile>]) -> (Vec<u8>, usize) {
    let syncs = SyncFault::default();
    ProfileLog::create(dir, &syncs).unwrap();
    let mut log = ProfileLog::open(dir, MINE, COMMITS, &syncs).unwrap();
    let mut last = 0;
    for entry in entries {
        last = log.at;
        assert!(log.append(entry).unwrap());
    }
    (fs::read(dir.join(LOG_NAME)).unwrap(), last)
}

fn read_as(dir: &Path, bytes: &[u8], commits: u64) -> Result<Logged, Flaw> {
    fs::write(dir.join(LOG_NAME), bytes).unwrap();
    read(dir, MINE, commits).map_err(|error| match error {
        LogError::Flaw(flaw) => flaw,
        LogError::Io(error) => panic!("{error}"),
    })
}

fn all(entries: &[Vec<Profile>]) -> Logged {
    Logged { profiles: entries.concat(), copies_lost: Vec::new() }
}

#[test]
fn an_entry_has_the_bytes_that_are_written_down() {
    let dir = tempfile::tempdir().unwrap();
    let (bytes, _) = written(dir.path(), &[vec![profile("key", 2)]]);
    let mut expected = b"KMBP\x01\0\0\0".to_vec();
    expected.extend([7; 16]);
    expected.extend(b"\x05\0\0\0\0\0\0\0\0\0\0\0\x08\0\0\0\x03key\x02\0vv");
    expected.extend(crc32c::crc32c(&expected).to_le_bytes());
    let mut file = vec![0; LOG_BYTES];
    for copy in [0, 2_048] {
        file[copy..copy + expected.len()].copy_from_slice(&expected);
    }
    assert!(bytes == file);
}

#[test]
fn what_was_put_behind_the_commits_is_read_back() {
    let dir = tempfile::tempdir().unwrap();
    for count in 0..=entries().len() {
        let (bytes, _) = written(dir.path(), &entries()[..count]);
        assert_eq!(read_as(dir.path(), &bytes, COMMITS), Ok(all(&entries()[..count])));
        // The store holds it by now.
        assert_eq!(read_as(dir.path(), &bytes, COMMITS + 1), Ok(Logged::default()));
    }
}

#[test]
fn entries_behind_other_commits_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), &entries());
    let mut log = ProfileLog::open(dir.path(), MINE, COMMITS, &SyncFault::default()).unwrap();
    log.restart(COMMITS + 1);
    assert!(log.append(&entries()[2]).unwrap());
    let bytes = fs::read(dir.path().join(LOG_NAME)).unwrap();
    assert_eq!(read_as(dir.path(), &bytes, COMMITS + 1), Ok(all(&entries()[2..3])));
    let older = read_as(dir.path(), &bytes, COMMITS);
    assert_eq!(older, Err(Flaw::CommitsLost { expected: COMMITS + 1, found: COMMITS }));
}

#[test]
fn a_full_log_takes_nothing_and_stays_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    ProfileLog::create(dir.path(), &SyncFault::default()).unwrap();
    let mut log = ProfileLog::open(dir.path(), MINE, COMMITS, &SyncFault::default()).unwrap();
    let name = vec![profile("name", 20)];
    for _ in 0..LOG_BYTES / 4_096 {
        assert!(log.append(&name).unwrap());
    }
    let full = fs::read(dir.path().join(LOG_NAME)).unwrap();
    assert!(!log.append(&name).unwrap());
    assert_eq!(fs::read(dir.path().join(LOG_NAME)).unwrap(), full);
    assert_eq!(read_as(dir.path(), &full, COMMITS).unwrap().profiles.len(), LOG_BYTES / 4_096);
    log.restart(COMMITS + 1);
    assert!(log.append(&name).unwrap());
}

#[test]
fn a_bad_sector_costs_a_copy_and_not_an_entry() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, _) = written(dir.path(), &entries());
    let used = whole.len() - whole.iter().rev().take_while(|byte| **byte == 0).count();
    for sector in 0..used.div_ceil(512) {
        let mut bytes = whole.clone();
        bytes[sector * 512..(sector + 1) * 512].fill(0xff);
        let found = read_as(dir.path(), &bytes, COMMITS).unwrap();
        assert_eq!(found.profiles, entries().concat(), "sector {sector}");
        let is_part_of_a_copy = whole[sector * 512..(sector + 1) * 512].iter().any(|byte| *byte != 0);
        assert_eq!(found.copies_lost.len(), usize::from(is_part_of_a_copy), "sector {sector}");
    }
}

#[test]
fn both_copies_damaged_are_found_by_what_follows() {
    let dir = tempfile::tempdir().unwrap();
    let mut at = 0;
    for (place, entry) in entries().iter().enumerate() {
        let (_, last) = written(dir.path(), &entries()[..=place]);
        assert!(place == 0 || at < last, "{entry:?}");
        at = last;
        let (mut bytes, end) = written(dir.path(), &entries());
        let next =
            if place + 1 < entries().len() { written(dir.path(), &entries()[..=place + 1]).1 } else { end + 4_096 };
        for copy in [at, at + (next - at) / 2] {
            bytes[copy + 8] ^= 1;
        }
        let found = read_as(dir.path(), &bytes, COMMITS);
        if place + 1 < entries().len() {
            assert_eq!(found, Err(Flaw::LogEntry { place: place as u32 }));
        } else {
            // The last one cannot be told from one that was never finished.
            assert_eq!(found, Ok(all(&entries()[..place])));
        }
    }
}

#[test]
fn other_files_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let (bytes, _) = written(dir.path(), &entries());
    assert_eq!(
        read_as(dir.path(), &bytes[1..], COMMITS),
        Err(Flaw::LogSize { expected: LOG_BYTES as u64, found: LOG_BYTES as u64 - 1 })
    );
    fs::write(dir.path().join(LOG_NAME), &bytes).unwrap();
    let theirs = LedgerId([8; 16]);
    let refused = read(dir.path(), theirs, COMMITS);
    assert!(
        matches!(refused, Err(LogError::Flaw(Flaw::OtherLedger { expected, found })) if (expected, found) == (theirs, MINE))
    );
    fs::remove_file(dir.path().join(LOG_NAME)).unwrap();
    assert!(matches!(read(dir.path(), MINE, COMMITS), Err(LogError::Flaw(Flaw::LogMissing))));
    let mut newer = bytes;
    newer[4] = 2;
    let checksum = crc32c::crc32c(&newer[..40 + 25]);
    newer[40 + 25..40 + 29].copy_from_slice(&checksum.to_le_bytes());
    assert_eq!(read_as(dir.path(), &newer, COMMITS), Err(Flaw::LogVersion { expected: 1, found: 2 }));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// A power cut leaves any of the sectors of the write that was under way.
    #[test]
    fn a_torn_entry_is_there_or_not_and_those_before_it_are(
        count in 1..=entries().len(),
        sectors in prop::collection::vec(any::<bool>(), 64),
        was_used in any::<bool>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        // Behind earlier commits the place was in use before.
        let mut bytes = vec![0; LOG_BYTES];
        if was_used {
            let syncs = SyncFault::default();
            ProfileLog::create(dir.path(), &syncs).unwrap();
            let mut log = ProfileLog::open(dir.path(), MINE, COMMITS - 1, &syncs).unwrap();
            for n in 0..40 {
                prop_assert!(log.append(&[profile("older", 10 * n)]).unwrap());
            }
            bytes = fs::read(dir.path().join(LOG_NAME)).unwrap();
        }
        let (whole, last) = written(dir.path(), &entries()[..count]);
        bytes[..last].copy_from_slice(&whole[..last]);
        for (number, stored) in sectors.iter().enumerate() {
            let at = last + number * 512;
            if *stored && at < whole.len() {
                bytes[at..at + 512].copy_from_slice(&whole[at..at + 512]);
            }
        }
        let found = read_as(dir.path(), &bytes, COMMITS).unwrap();
        prop_assert!(found.profiles == entries()[..count].concat() || found.profiles == entries()[..count - 1].concat());
        if sectors.iter().all(|stored| *stored) {
            prop_assert_eq!(found, all(&entries()[..count]));
        }
    }
}
