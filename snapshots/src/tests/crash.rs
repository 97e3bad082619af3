//! A crash at each step of writing, and a power cut after it: the old state or the new, and a next start that works.

use std::fs;
use std::path::Path;

use super::support::{Archived, Taken, assert_same, copy_dir, generation, names, replay, since, whole};
use crate::archive::Archive;
use crate::disk::Steps;
use crate::{Snapshots, segment_name, snapshot_name};

/// What a power cut may leave of a directory in which the last steps were not synced.
fn after_power_cut(dir: &Path, name: &str, dir_synced: bool) -> Vec<tempfile::TempDir> {
    let (whole, new) = (name.to_string(), format!("{name}.new"));
    let mut left = vec![copy_dir(dir)];
    if dir.join(&whole).exists() && !dir_synced {
        // The rename may be undone; the bytes were synced before it.
        let undone = copy_dir(dir);
        fs::rename(undone.path().join(&whole), undone.path().join(&new)).unwrap();
        left.push(undone);
    }
    if let Ok(bytes) = fs::read(dir.join(&new)) {
        let gone = copy_dir(dir);
        fs::remove_file(gone.path().join(&new)).unwrap();
        left.push(gone);
        for length in [0, bytes.len() / 2] {
            let torn = copy_dir(dir);
            fs::write(torn.path().join(&new), &bytes[..length]).unwrap();
            left.push(torn);
        }
    }
    left
}

#[test]
fn r28_a_crash_at_each_step_of_archiving() {
    let archived = Archived::new(51, 60, 2);
    let (info, expected) = (generation(2, &archived.parts[1]), fs::read(archived.path(2)).unwrap());
    let base = copy_dir(archived.dir.path());
    fs::remove_file(base.path().join(segment_name(2))).unwrap();
    let (mut old, mut new) = (0, 0);
    for steps_left in 0.. {
        let dir = copy_dir(base.path());
        let steps = Steps::stop_after(steps_left);
        let mut archive = Archive::open_with(dir.path(), steps.clone()).unwrap();
        let added = archive.add(&info, whole(&archived.parts[1])).is_ok();
        let synced = steps.passed().ends_with(&["sync dir"]) || steps.passed().contains(&"clean up");
        for left in after_power_cut(dir.path(), &segment_name(2), synced) {
            let mut archive = Archive::open(left.path()).unwrap();
            assert!(!names(left.path()).iter().any(|name| name.ends_with(".new")));
            match archive.segments().len() {
                1 => {
                    assert!(!added, "what was acknowledged is gone");
                    archive.add(&info, whole(&archived.parts[1])).unwrap();
                    old += 1;
                }
                2 => new += 1,
                other => panic!("{other} segments"),
            }
            archive.verify().unwrap();
            assert_eq!(fs::read(left.path().join(segment_name(2))).unwrap(), expected);
        }
        if added {
            assert_eq!(steps.passed()[..5], ["create", "write", "sync file", "rename", "sync dir"]);
            break;
        }
    }
    println!("{old} times the old state, {new} times the new one");
    assert!(4 < old && 1 < new);
}

#[test]
fn r28_a_failed_step_leaves_the_archive_as_it_was() {
    let archived = Archived::new(52, 60, 2);
    let dir = copy_dir(archived.dir.path());
    fs::remove_file(dir.path().join(segment_name(2))).unwrap();
    let mut archive = Archive::open(dir.path()).unwrap();
    // A directory stands where the file should go: a step fails and the process lives on.
    let in_the_way = dir.path().join(segment_name(2));
    fs::create_dir_all(in_the_way.join("full")).unwrap();
    let said = archive.add(&generation(2, &archived.parts[1]), whole(&archived.parts[1])).unwrap_err();
    assert!(said.to_string().contains("renaming") && said.to_string().contains(&segment_name(2)), "{said}");
    assert_eq!(archive.last_seq(), archived.parts[0].last().unwrap().last_seq());
    assert_eq!(names(dir.path()).len(), 2, "the half-written file was removed");
    fs::remove_dir_all(in_the_way).unwrap();
    archive.add(&generation(2, &archived.parts[1]), whole(&archived.parts[1])).unwrap();
    archive.verify().unwrap();
}

#[test]
fn what_does_not_read_back_is_not_taken_for_archived() {
    let archived = Archived::new(53, 60, 2);
    let path = archived.path(1);
    let mut bytes = fs::read(&path).unwrap();
    let written = crate::Segment::open(&path).unwrap();
    bytes[80] ^= 1;
    fs::write(&path, bytes).unwrap();
    let said = written.check_read_back(written.file_hash()).unwrap_err().to_string();
    assert!(said.contains("is not what was written") && said.contains("remove this file"), "{said}");
}

#[test]
fn r28_a_crash_at_each_step_of_taking_a_snapshot() {
    let taken = Taken::new(54, 80, 2);
    let (first, last) = (taken.cuts[0], taken.cuts[1]);
    let expected = fs::read(taken.path(1)).unwrap();
    let base = copy_dir(taken.dir.path());
    fs::remove_file(base.path().join(snapshot_name(last.seq))).unwrap();
    let full = replay(&taken.records, taken.records.len());
    let (mut old, mut new) = (0, 0);
    for steps_left in 0.. {
        let dir = copy_dir(base.path());
        let steps = Steps::stop_after(steps_left);
        let mut snapshots = Snapshots::open_with(dir.path(), steps.clone()).unwrap();
        let previous = snapshots.newest_valid().snapshot.unwrap();
        let since = || since(&taken.records, first.seq, last.seq);
        let done = snapshots.take(Some(&previous), since(), last).is_ok();
        let synced = steps.passed().ends_with(&["sync dir"]) || steps.passed().contains(&"clean up");
        for left in after_power_cut(dir.path(), &snapshot_name(last.seq), synced) {
            let mut snapshots = Snapshots::open(left.path()).unwrap();
            assert!(!names(left.path()).iter().any(|name| name.ends_with(".new")));
            let newest = snapshots.newest_valid();
            assert_eq!(newest.bad.len(), 0);
            let newest = newest.snapshot.unwrap();
            // Whichever it is: with its tail it is the full replay.
            let mut ledger = newest.load().unwrap();
            taken.records[newest.cut().seq.0 as usize..].iter().for_each(|record| ledger.evolve(record).unwrap());
            assert_same(&ledger, &full, &taken.records);
            if newest.cut() == last {
                new += 1;
            } else {
                assert!(!done, "what was reported is gone");
                snapshots.take(Some(&newest), since(), last).unwrap();
                old += 1;
            }
            assert_eq!(fs::read(left.path().join(snapshot_name(last.seq))).unwrap(), expected);
        }
        if done {
            assert_eq!(steps.passed()[..5], ["create", "write", "sync file", "rename", "sync dir"]);
            break;
        }
    }
    println!("{old} times the old state, {new} times the new one");
    assert!(4 < old && 1 < new);
}

#[test]
fn r28_a_crash_at_each_step_of_removing_old_snapshots() {
    let taken = Taken::new(55, 80, 5);
    for steps_left in 0.. {
        let dir = copy_dir(taken.dir.path());
        let done = Snapshots::open_with(dir.path(), Steps::stop_after(steps_left)).unwrap().retain(2).is_ok();
        let mut snapshots = Snapshots::open(dir.path()).unwrap();
        let left: Vec<_> = snapshots.positions().collect();
        // The oldest go first, so that what is left is always the newest.
        let newest: Vec<_> = taken.cuts.iter().rev().map(|cut| cut.seq).take(left.len()).collect();
        assert_eq!(left, newest);
        assert_eq!(left.len(), 5 - (steps_left as usize).min(3));
        assert_eq!(snapshots.newest_valid().snapshot.unwrap().cut(), taken.cuts[4]);
        snapshots.retain(2).unwrap();
        assert_eq!(names(dir.path()).len(), 2);
        if done {
            assert_eq!(steps_left, 4, "three removals and a sync");
            break;
        }
    }
}
