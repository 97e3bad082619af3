//! The profile store: durable, checked, readable while it is written.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use kembali_journal::{
    Flaw, LedgerId, PROFILE_KEY_BYTES_MAX, PROFILE_VALUE_BYTES_MAX, ProfileError, ProfileKey, ProfileStore, SyncFault,
};

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
    for step in 1..=2 {
        let dir = scratch();
        let syncs = SyncFault::default();
        let (mut store, _) = ProfileStore::open(dir.path(), LedgerId::default(), &syncs).unwrap();
        store.put(&[(key("a"), vec![1])]).unwrap();
        syncs.fail_after(step);
        assert!(matches!(store.put(&[(key("a"), vec![2])]), Err(ProfileError::Failed(_))));
        assert!(matches!(store.put(&[(key("a"), vec![3])]), Err(ProfileError::Poisoned(_))));
        assert!(matches!(store.get(&key("a")), Err(ProfileError::Poisoned(_))), "an unsynced value was shown");
        drop(store);
        let found = open(dir.path()).get(&key("a")).unwrap().unwrap();
        assert!(found == [1] || found == [2]);
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
                    // Each put takes two syncs, so put number n is visible only after 2n of them.
                    let put = reader.get(&key("a")).unwrap().map_or(0, |value| u64::from(value[0]));
                    assert!(before + 2 * put <= syncs.seen(), "put {put} was read before it was synced");
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
    open(dir.path()).put(&[(key("a"), vec![1])]).unwrap();
    let old = scratch();
    copy_tree(&dir.path().join("profiles"), &old.path().join("profiles"));
    open(dir.path()).put(&[(key("a"), vec![2])]).unwrap();
    std::fs::remove_dir_all(dir.path().join("profiles")).unwrap();
    let refused =
        damage(ProfileStore::open(dir.path(), LedgerId::default(), &SyncFault::default()).map(drop).unwrap_err());
    assert!(matches!(refused.2, Flaw::StoreRefused { .. }), "{refused:?}");
    copy_tree(&old.path().join("profiles"), &dir.path().join("profiles"));
    let refused =
        damage(ProfileStore::open(dir.path(), LedgerId::default(), &SyncFault::default()).map(drop).unwrap_err());
    assert_eq!(refused.2, Flaw::CommitsLost { expected: 2, found: 1 });
    std::fs::remove_file(dir.path().join("profiles-head")).unwrap();
    let refused =
        damage(ProfileStore::open(dir.path(), LedgerId::default(), &SyncFault::default()).map(drop).unwrap_err());
    assert_eq!(refused.2, Flaw::HeadMissing);
}
