use super::*;

fn value(owner: u32, length: usize) -> Vec<u8> {
    (0..length).map(|at| (owner as usize * 31 + at * 7) as u8).collect()
}

#[test]
fn values_are_read_back_from_the_open_segment_and_from_the_store() {
    let mut shelf = Shelf::new(Box::new(MemoryStore::default()));
    let lengths = [0, 1, 100, 9_000, SEGMENT_BYTES - HEAD_BYTES, SEGMENT_BYTES / 2, SEGMENT_BYTES / 2, 5];
    let mut places = Vec::new();
    for (owner, length) in (0..).zip(lengths) {
        places.push(shelf.put(owner, &value(owner, length)).unwrap().unwrap());
        for (owner, place) in (0..).zip(&places) {
            assert_eq!(shelf.get(owner, *place).unwrap(), value(owner, lengths[owner as usize]));
        }
    }
    assert_eq!(shelf.put(9, &vec![0; SEGMENT_BYTES - HEAD_BYTES + 1]).unwrap(), None, "it fits into no segment");
}

#[test]
fn what_is_waste_is_used_again() {
    let mut shelf = Shelf::new(Box::new(MemoryStore::default()));
    let mut places: Vec<Place> =
        (0..4_000).map(|owner| shelf.put(owner, &value(owner, 1_000)).unwrap().unwrap()).collect();
    let segments = shelf.wanted.len();
    // Every value moves ten times: nine tenths of what was written is waste.
    for round in 0..10 {
        for owner in 0..4_000_u32 {
            shelf.forget(places[owner as usize]);
            places[owner as usize] = shelf.put(owner, &value(owner + round, 1_000)).unwrap().unwrap();
            // As often as rows settle.
            if owner % 64 == 0 {
                for _ in 0..2 {
                    let moved = shelf.empty_a_segment(|owner, lies| places[owner as usize] == lies).unwrap();
                    moved.into_iter().for_each(|(owner, lies)| places[owner as usize] = lies);
                }
            }
        }
        for owner in 0..4_000 {
            assert_eq!(shelf.get(owner, places[owner as usize]).unwrap(), value(owner + round, 1_000));
        }
        assert!(
            shelf.wanted.len() <= 2 * segments + 2,
            "{} segments hold what fitted into {segments}",
            shelf.wanted.len()
        );
    }
}

#[test]
fn bytes_that_have_changed_are_noticed() {
    let mut shelf = Shelf::new(Box::new(MemoryStore::default()));
    let place = shelf.put(7, &value(7, 300)).unwrap().unwrap();
    shelf.put(8, &value(8, SEGMENT_BYTES - HEAD_BYTES)).unwrap();
    let mut stored = vec![0; place.length()];
    shelf.store.read(place.at(), &mut stored).unwrap();
    for at in 0..stored.len() {
        let mut changed = stored.clone();
        changed[at] ^= 0x10;
        shelf.store.write(place.at(), &changed).unwrap();
        assert!(matches!(shelf.get(7, place), Err(AwayError::Damaged)), "byte {at}");
    }
    shelf.store.write(place.at(), &stored).unwrap();
    assert_eq!(shelf.get(7, place).unwrap(), value(7, 300));
    assert!(matches!(shelf.get(8, place), Err(AwayError::Damaged)), "another owner's");
}

#[test]
fn what_lay_there_before_is_noticed() {
    let mut shelf = Shelf::new(Box::new(MemoryStore::default()));
    let mut put = |length| shelf.put(7, &value(7, length)).unwrap().unwrap();
    let first = put(SEGMENT_BYTES / 2);
    let second = put(SEGMENT_BYTES / 2);
    let mut stale = vec![0; SEGMENT_BYTES];
    shelf.store.read(0, &mut stale).unwrap();
    // The first segment is free, and is begun again with a value as long.
    shelf.forget(first);
    let third = shelf.put(7, &value(8, SEGMENT_BYTES / 2)).unwrap().unwrap();
    shelf.put(7, &value(7, SEGMENT_BYTES / 2)).unwrap();
    assert_eq!((third, second.segment()), (first, 1));
    assert_eq!(shelf.get(7, third).unwrap(), value(8, SEGMENT_BYTES / 2));
    shelf.store.write(0, &stale).unwrap();
    assert!(matches!(shelf.get(7, third), Err(AwayError::Damaged)));
}
