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
            assert_eq!(shelf.get(*place).unwrap(), value(owner, lengths[owner as usize]));
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
            for (owner, lies) in shelf.to_empty().unwrap() {
                if places[owner as usize] == lies {
                    let value = shelf.get(lies).unwrap();
                    places[owner as usize] = shelf.put(owner, &value).unwrap().unwrap();
                    shelf.forget(lies);
                }
            }
        }
        for owner in 0..4_000 {
            assert_eq!(shelf.get(places[owner as usize]).unwrap(), value(owner + round, 1_000));
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
        assert!(matches!(shelf.get(place), Err(AwayError::Damaged)), "byte {at}");
    }
    shelf.store.write(place.at(), &stored).unwrap();
    assert_eq!(shelf.get(place).unwrap(), value(7, 300));
}
