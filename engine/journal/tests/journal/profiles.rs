//! The profile store: durable, checked, readable while it is written.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use kembali_journal::{
    Flaw, LedgerId, Mended, PROFILE_KEY_BYTES_MAX, PROFILE_VALUE_BYTES_MAX, ProfileError, ProfileKey, ProfileStore,
    SyncFault, verify_profiles,
};
use proptest::prelude::*;

use super::support::{copy_tree, damage, scratch};

fn key(text: &str) -> ProfileKey {
    ProfileKey::new(text).unwrap()
}

fn open(dir: &std::path::Path) -> ProfileStore {
    let (store, mended) = ProfileStore::open(dir, LedgerId::default(), &SyncFault::default()).unwrap();
    assert_eq!(mended, []);
    store
}

#[test]
fn profiles_are_there_after_a_kill_and_gone_after_removal() {
    let dir = scratch();
    let mut store = open(dir.path());
    assert_eq!(store.get(&key("c/1")).unwrap(), None);
    store.put(&[(key("c/1"), b"Siti".to_vec()), (key("c/2"), Vec::new()), (key("d/1"), b"Budi".to_vec())]).unwrap();
    store.put(&[(key("c/1"), b"Siti Rahma".to_vec())]).unwrap();
    let image = scratch();
    copy_tree(dir.path(), image.path());
    drop(store);

    let mut store = open(image.path());
    assert_eq!(store.get(&key("c/1")).unwrap().unwrap(), b"Siti Rahma");
    assert_eq!(store.list(b"c/").unwrap(), [(key("c/1"), b"Siti Rahma".to_vec()), (key("c/2"), Vec::new())]);
    assert_eq!(store.list(b"").unwrap().len(), 3);
    store.change(&[], &[key("c/1"), key("never there")]).unwrap();
    drop(store);
    let store = open(image.path());
    assert_eq!(store.get(&key("c/1")).unwrap(), None);
    assert_eq!(store.list(b"").unwrap().len(), 2);
}

#[test]
fn limits_are_refused_and_store_nothing() {
    let dir = scratch();
    let mut store = open(dir.path());
    let widest = ProfileKey::new(vec![255; PROFILE_KEY_BYTES_MAX]).unwrap();
    store.put(&[(widest.clone(), vec![1; PROFILE_VALUE_BYTES_MAX])]).unwrap();
    let refused = store.put(&[(key("a"), vec![1]), (key("b"), vec![1; PROFILE_VALUE_BYTES_MAX + 1])]);
    assert!(matches!(refused, Err(ProfileError::ValueTooLarge { bytes }) if bytes == PROFILE_VALUE_BYTES_MAX + 1));
    assert_eq!(store.get(&key("a")).unwrap(), None);
    assert!(matches!(ProfileKey::new(vec![0; PROFILE_KEY_BYTES_MAX + 1]), Err(ProfileError::Key { .. })));
    assert!(matches!(ProfileKey::new(""), Err(ProfileError::Key { bytes: 0 })));
    assert_eq!(store.get(&widest).unwrap().unwrap().len(), PROFILE_VALUE_BYTES_MAX);
}

#[test]
fn r24_profile_store_stays_failed_and_shows_nothing_unsynced() {
    type Write = fn(&mut ProfileStore, u8) -> Result<(), ProfileError>;
    let put: Write = |store, value| store.put(&[(key("a"), vec![value])]);
    let change: Write = |store, value| store.change(&[(key("a"), vec![value])], &[]);
    // A put is one sync, a change is two.
    for (write, syncs_taken) in [(put, 1), (change, 2)] {
        for step in 1..=syncs_taken {
            let dir = scratch();
            let syncs = SyncFault::default();
            let (mut store, _) = ProfileStore::open(dir.path(), LedgerId::default(), &syncs).unwrap();
            let before = syncs.seen();
            write(&mut store, 1).unwrap();
            assert_eq!(syncs.seen() - before, syncs_taken);
            syncs.fail_after(step);
            assert!(matches!(write(&mut store, 2), Err(ProfileError::Failed(_))));
            assert!(matches!(store.put(&[(key("a"), vec![3])]), Err(ProfileError::Poisoned(_))));
            assert!(matches!(store.change(&[], &[key("a")]), Err(ProfileError::Poisoned(_))));
            assert!(matches!(store.settle(), Err(ProfileError::Poisoned(_))));
            assert!(matches!(store.get(&key("a")), Err(ProfileError::Poisoned(_))), "an unsynced value was shown");
            drop(store);
            let found = open(dir.path()).get(&key("a")).unwrap().unwrap();
            assert!(found == [1] || found == [2]);
        }
    }
}

#[test]
fn many_threads_read_while_one_writes() {
    let dir = scratch();
    let mut store = open(dir.path());
    store.put(&[(key("a"), vec![0; 100]), (key("b"), vec![0; 100])]).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..3 {
            let reader = store.reader();
            let done = &done;
            scope.spawn(move || {
                while !done.load(Ordering::SeqCst) {
                    // Both were put together, so a list that mixes two puts would be a half commit.
                    let both = reader.list(b"").unwrap();
                    assert_eq!(both[0].1, both[1].1);
                    assert_eq!(reader.get(&key("a")).unwrap().unwrap().len(), 100);
                }
            });
        }
        for n in 1..100 {
            store.put(&[(key("a"), vec![n; 100]), (key("b"), vec![n; 100])]).unwrap();
        }
        done.store(true, Ordering::SeqCst);
    });
}

#[test]
fn r34_a_profile_is_not_read_before_it_is_synced() {
    let dir = scratch();
    let syncs = SyncFault::default();
    let (mut store, _) = ProfileStore::open(dir.path(), LedgerId::default(), &syncs).unwrap();
    let before = syncs.seen();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            let (reader, syncs, done) = (store.reader(), syncs.clone(), &done);
            scope.spawn(move || {
                while !done.load(Ordering::SeqCst) {
                    // Each put takes a sync at least, so put number n is visible only after n of them.
                    let put = reader.get(&key("a")).unwrap().map_or(0, |value| u64::from(value[0]));
                    assert!(before + put <= syncs.seen(), "put {put} was read before it was synced");
                }
            });
        }
        for n in 1..=200 {
            store.put(&[(key("a"), vec![n])]).unwrap();
        }
        done.store(true, Ordering::SeqCst);
    });
}

#[test]
fn r27_profile_store_of_another_time_is_found() {
    let dir = scratch();
    open(dir.path()).change(&[(key("a"), vec![1])], &[]).unwrap();
    let old = scratch();
    copy_tree(&dir.path().join("profiles"), &old.path().join("profiles"));
    open(dir.path()).change(&[(key("a"), vec![2])], &[]).unwrap();
    fs::remove_dir_all(dir.path().join("profiles")).unwrap();
    let refused =
        damage(ProfileStore::open(dir.path(), LedgerId::default(), &SyncFault::default()).map(drop).unwrap_err());
    assert!(matches!(refused.2, Flaw::StoreRefused { .. }), "{refused:?}");
    copy_tree(&old.path().join("profiles"), &dir.path().join("profiles"));
    let refused =
        damage(ProfileStore::open(dir.path(), LedgerId::default(), &SyncFault::default()).map(drop).unwrap_err());
    assert_eq!(refused.2, Flaw::CommitsLost { expected: 2, found: 1 });
    fs::remove_file(dir.path().join("profiles-head")).unwrap();
    let refused =
        damage(ProfileStore::open(dir.path(), LedgerId::default(), &SyncFault::default()).map(drop).unwrap_err());
    assert_eq!(refused.2, Flaw::HeadMissing);
}

#[test]
fn what_waits_in_the_log_is_read_listed_replaced_and_removed() {
    let dir = scratch();
    let mut store = open(dir.path());
    store.change(&[(key("c/2"), vec![2]), (key("c/4"), vec![4]), (key("d/1"), vec![1])], &[]).unwrap();
    store.put(&[(key("c/1"), vec![1]), (key("c/4"), vec![44])]).unwrap();
    store.put(&[(key("c/3"), vec![3]), (key("c/3"), vec![33])]).unwrap();
    let listed = [("c/1", 1), ("c/2", 2), ("c/3", 33), ("c/4", 44)].map(|(name, value)| (key(name), vec![value]));
    assert_eq!(store.list(b"c/").unwrap(), listed);
    assert_eq!(store.get(&key("c/4")).unwrap().unwrap(), [44]);
    // What is removed was put before, wherever it lies.
    store.change(&[(key("c/2"), vec![22])], &[key("c/1"), key("c/2"), key("c/4")]).unwrap();
    let listed = [("c/2", 22), ("c/3", 33)].map(|(name, value)| (key(name), vec![value]));
    assert_eq!(store.list(b"c/").unwrap(), listed);
    drop(store);
    assert_eq!(open(dir.path()).list(b"c/").unwrap(), listed);
}

#[test]
fn many_puts_are_committed_on_the_way() {
    let dir = scratch();
    let syncs = SyncFault::default();
    let (mut store, _) = ProfileStore::open(dir.path(), LedgerId::default(), &syncs).unwrap();
    let before = syncs.seen();
    for n in 0..600_u32 {
        store.put(&[(key(&n.to_string()), n.to_le_bytes().to_vec())]).unwrap();
    }
    // 256 wait at most, and the put that would be one more is part of the commit.
    assert_eq!(verify_profiles(dir.path(), LedgerId::default(), scratch().path()).unwrap(), 2);
    assert_eq!(syncs.seen() - before, 600 + 2);
    // Values that fill the log are committed as well, before there are as many.
    for n in 0..100_u32 {
        store
            .put(&[(key("wide"), vec![n as u8; PROFILE_VALUE_BYTES_MAX]), (key("wider"), vec![n as u8; 3_000])])
            .unwrap();
    }
    assert_eq!(verify_profiles(dir.path(), LedgerId::default(), scratch().path()).unwrap(), 3);
    // And a put of many goes straight into the store.
    let many: Vec<_> = (0..300_u32).map(|n| (key(&format!("m{n}")), vec![7])).collect();
    store.put(&many).unwrap();
    assert_eq!(verify_profiles(dir.path(), LedgerId::default(), scratch().path()).unwrap(), 4);
    drop(store);
    let store = open(dir.path());
    assert_eq!(store.list(b"").unwrap().len(), 600 + 2 + 300);
    assert_eq!(store.get(&key("599")).unwrap().unwrap(), 599_u32.to_le_bytes());
    assert_eq!(store.get(&key("wide")).unwrap().unwrap(), [99; PROFILE_VALUE_BYTES_MAX]);
}

#[test]
fn settled_puts_lie_in_the_store_itself() {
    let dir = scratch();
    let mut store = open(dir.path());
    store.settle().unwrap();
    store.put(&[(key("a"), vec![1])]).unwrap();
    store.settle().unwrap();
    store.settle().unwrap();
    drop(store);
    assert_eq!(verify_profiles(dir.path(), LedgerId::default(), scratch().path()).unwrap(), 1);
    fs::File::options()
        .write(true)
        .open(dir.path().join("profiles/log"))
        .unwrap()
        .write_all_at(&[0; 8_192], 0)
        .unwrap();
    assert_eq!(open(dir.path()).get(&key("a")).unwrap().unwrap(), [1]);
}

#[test]
fn r26_damage_in_the_log_is_mended_or_named() {
    let dir = scratch();
    let mut store = open(dir.path());
    for n in 0..3 {
        store.put(&[(key("a"), vec![n])]).unwrap();
    }
    let refused = |dir: &std::path::Path| {
        let opened = ProfileStore::open(dir, LedgerId::default(), &SyncFault::default()).map(drop);
        let (verified, opened) =
            (verify_profiles(dir, LedgerId::default(), scratch().path()), damage(opened.unwrap_err()));
        assert_eq!(damage(verified.map(drop).unwrap_err()), opened);
        opened.2
    };
    let image = |change: &dyn Fn(&fs::File)| {
        let image = scratch();
        copy_tree(dir.path(), image.path());
        change(&fs::File::options().write(true).open(image.path().join("profiles/log")).unwrap());
        image
    };
    // Each entry of one name takes 4096 bytes, a copy in each half.
    let one_copy = image(&|log| log.write_all_at(&[0], 4_096 + 41).unwrap());
    let (opened, mended) = ProfileStore::open(one_copy.path(), LedgerId::default(), &SyncFault::default()).unwrap();
    assert_eq!(mended, [Mended::LogCopy { place: 1 }]);
    assert_eq!(opened.get(&key("a")).unwrap().unwrap(), [2]);
    let both_copies = image(&|log| log.write_all_at(&[0; 4_096], 4_096).unwrap());
    assert_eq!(refused(both_copies.path()), Flaw::LogEntry { place: 1 });
    let shorter = image(&|log| log.set_len(4_096).unwrap());
    assert_eq!(refused(shorter.path()), Flaw::LogSize { expected: 1 << 20, found: 4_096 });
    let missing = image(&|_| ());
    fs::remove_file(missing.path().join("profiles/log")).unwrap();
    assert_eq!(refused(missing.path()), Flaw::LogMissing);
}

#[test]
fn a_store_without_a_log_of_an_earlier_build_is_given_one() {
    let dir = scratch();
    // Stores of that build: no log, and no word of one in the head.
    drop(open(dir.path()));
    fs::remove_file(dir.path().join("profiles/log")).unwrap();
    let head = fs::read(dir.path().join("profiles-head")).unwrap();
    let head: Vec<u8> = head
        .chunks(2_048)
        .flat_map(|copy| {
            let mut copy = copy.to_vec();
            copy[24..32].fill(0);
            let checksum = crc32c::crc32c(&copy[..96]);
            copy[96..100].copy_from_slice(&checksum.to_le_bytes());
            copy
        })
        .collect();
    fs::write(dir.path().join("profiles-head"), head).unwrap();
    assert_eq!(verify_profiles(dir.path(), LedgerId::default(), scratch().path()).unwrap(), 0);
    open(dir.path()).put(&[(key("a"), vec![1])]).unwrap();
    assert_eq!(open(dir.path()).get(&key("a")).unwrap().unwrap(), [1]);
    fs::remove_file(dir.path().join("profiles/log")).unwrap();
    let refused =
        damage(ProfileStore::open(dir.path(), LedgerId::default(), &SyncFault::default()).map(drop).unwrap_err());
    assert_eq!(refused.2, Flaw::LogMissing);
}

#[derive(Clone, Debug)]
enum Step {
    Put(Vec<(u8, u16)>),
    Change(Vec<(u8, u16)>, Vec<u8>),
    Settle,
    Kill,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let entries = |most| prop::collection::vec((any::<u8>(), 0..3_500_u16), 1..most);
    let step = prop_oneof![
        8 => entries(60).prop_map(Step::Put),
        1 => (entries(5), prop::collection::vec(any::<u8>(), 0..20)).prop_map(|(put, remove)| Step::Change(put, remove)),
        1 => Just(Step::Settle),
        2 => Just(Step::Kill),
    ];
    prop::collection::vec(step, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_store_says_what_a_map_says(steps in steps()) {
        let of = |n: u8| ProfileKey::new([n]).unwrap();
        let stored = |put: &[(u8, u16)]| -> Vec<_> {
            put.iter().map(|(n, length)| (of(*n), vec![*n; usize::from(*length)])).collect()
        };
        let mut dir = scratch();
        let mut store = open(dir.path());
        let mut model = BTreeMap::new();
        for step in steps {
            match step {
                Step::Put(put) => {
                    store.put(&stored(&put)).unwrap();
                    model.extend(stored(&put));
                }
                Step::Change(put, removed) => {
                    let removed: Vec<_> = removed.into_iter().map(of).collect();
                    store.change(&stored(&put), &removed).unwrap();
                    model.retain(|key, _| !removed.contains(key));
                    model.extend(stored(&put));
                }
                Step::Settle => store.settle().unwrap(),
                Step::Kill => {
                    let image = scratch();
                    copy_tree(dir.path(), image.path());
                    drop(store);
                    dir = image;
                    store = open(dir.path());
                }
            }
            prop_assert!(model.keys().all(|key| store.get(key).unwrap().as_ref() == model.get(key)));
            prop_assert_eq!(store.list(b"").unwrap(), model.clone().into_iter().collect::<Vec<_>>());
        }
    }
}
