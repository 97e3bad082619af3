use std::collections::HashMap;

use kembali_core::event::{Body, CustomerCreated, Event};
use kembali_core::{Alias, AliasKind, Instant, Seq, TenantId};
use proptest::prelude::*;

use super::*;
use crate::shelf::MemoryStore;

fn row(id: u128) -> Row {
    let created = CustomerCreated { alias: Alias { kind: AliasKind::Ref, hash: id } };
    let body = Body {
        received_at: Instant(0),
        tenant: TenantId(1),
        catalogue_version: 1,
        customer: Some(CustomerId(id)),
        previous: Seq::ZERO,
        events: vec![Event::CustomerCreated(created)],
    };
    Row::created_by(&body).expect("the body creates one")
}

fn rows(resident_max: Option<usize>) -> Rows {
    Rows::new(resident_max.map(|resident_max| Limit {
        resident_max: NonZeroUsize::new(resident_max).expect("at least one"),
        store: Box::new(MemoryStore::default()),
    }))
}

fn check(rows: &Rows, model: &HashMap<u128, Row>, order: &[u128]) {
    assert_eq!(rows.len(), order.len());
    for (place, id) in order.iter().enumerate() {
        assert_eq!(rows.peek(place).unwrap().as_deref(), model.get(id), "place {place}");
    }
    assert!(rows.peek(order.len()).unwrap().is_none());
}

/// What is done to rows.
#[derive(Clone, Debug)]
enum Step {
    Insert,
    Read(usize),
    Change(usize),
    Visit(usize, bool),
    Settle,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Insert),
        3 => any::<usize>().prop_map(Step::Read),
        6 => any::<usize>().prop_map(Step::Change),
        3 => any::<(usize, bool)>().prop_map(|(at, changes)| Step::Visit(at, changes)),
        4 => Just(Step::Settle),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Rows with any limit are the rows of a map, whatever is done to them.
    #[test]
    fn rows_are_those_of_a_map(
        resident_max in proptest::option::of(1..12_usize),
        large in any::<bool>(),
        steps in proptest::collection::vec(step(), 1..400),
    ) {
        let (mut rows, mut model, mut order) = (rows(resident_max), HashMap::new(), Vec::new());
        for (n, step) in (1_u64..).zip(steps) {
            match step {
                Step::Insert => {
                    let id = u128::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
                    let mut row = row(id);
                    // Long lists, so that segments fill up and are emptied.
                    if large {
                        row.reversed = (0..3_000).map(|at| Seq(u64::MAX - at)).collect();
                    }
                    rows.insert(row.clone());
                    model.insert(id, row);
                    order.push(id);
                }
                _ if order.is_empty() => prop_assert!(rows.find(&CustomerId(7)).unwrap().is_none()),
                Step::Read(at) => {
                    let id = order[at % order.len()];
                    let found = rows.find(&CustomerId(id)).unwrap().expect("it was inserted");
                    prop_assert_eq!(rows.row(found), &model[&id]);
                    prop_assert!(rows.find(&CustomerId(id ^ 1)).unwrap().is_none());
                }
                Step::Change(at) => {
                    let id = order[at % order.len()];
                    let found = rows.find(&CustomerId(id)).unwrap().expect("it was inserted");
                    rows.row_mut(found).purchases = n;
                    model.get_mut(&id).expect("it was inserted").purchases = n;
                }
                Step::Visit(at, changes) => {
                    let place = at % order.len();
                    let expected = model.get_mut(&order[place]).expect("it was inserted");
                    let said = rows.visit(place, |row| {
                        assert_eq!(row, expected);
                        changes.then(|| row.purchases = n)
                    });
                    prop_assert_eq!(said.unwrap().is_some(), changes);
                    if changes {
                        expected.purchases = n;
                    }
                }
                Step::Settle => {
                    rows.settle().unwrap();
                    let most = resident_max.unwrap_or(usize::MAX);
                    let away = rows.away.as_ref().map_or(0, |away| away.free.len());
                    let count = rows.residents.len() - away;
                    prop_assert!(count <= most, "{} rows in memory", count);
                }
            }
        }
        check(&rows, &model, &order);
    }
}

#[test]
fn a_row_keeps_its_place_and_is_found_by_its_customer() {
    for resident_max in [None, Some(1), Some(10), Some(3_000)] {
        let (mut rows, mut model, mut order) = (rows(resident_max), HashMap::new(), Vec::new());
        for id in 0..2_100_u128 {
            rows.insert(row(id));
            rows.settle().unwrap();
            model.insert(id, row(id));
            order.push(id);
        }
        check(&rows, &model, &order);
        for id in 0..2_100 {
            let found = rows.find(&CustomerId(id)).unwrap().expect("it was inserted");
            assert_eq!(rows.row(found).id, CustomerId(id));
            rows.settle().unwrap();
        }
        assert!(rows.find(&CustomerId(2_100)).unwrap().is_none());
        assert_eq!(rows.visit(2_100, |_| Some(())).unwrap(), None);
    }
}

#[test]
fn customers_whose_hashes_are_alike_are_told_apart() {
    let mut rows = rows(Some(1));
    let hash = Directory::hash(&CustomerId(1));
    for id in 1..=3 {
        let number = rows.residents.len();
        rows.insert(row(id));
        // As if all of them had the hash of the first.
        let own = Directory::hash(&CustomerId(id));
        if own != hash {
            let part = &mut rows.directory.parts[(own >> 56) as usize];
            let own = part.find_entry(Directory::spread(own as u32), |entry| entry.1 == At::resident(number));
            own.expect("it was inserted").remove();
            rows.directory.insert(hash, At::resident(number));
        }
    }
    for id in 1..=3 {
        assert!(matches!(rows.locate(&CustomerId(id), hash).unwrap(), Some(Located::Resident(_))));
    }
    assert!(rows.locate(&CustomerId(4), hash).unwrap().is_none());
}

#[test]
fn a_row_that_did_not_change_is_not_put_away_twice() {
    let mut rows = rows(Some(1));
    for id in 0..10 {
        rows.insert(row(id));
    }
    rows.settle().unwrap();
    for id in (0..10).chain(0..10) {
        rows.find(&CustomerId(id)).unwrap().expect("it was inserted");
        rows.settle().unwrap();
    }
    let lies = |place| rows.whereabouts(place).and_then(Result::err);
    let mut away: Vec<u64> = (0..10).filter_map(lies).map(|lies| lies.0.get() >> 24).collect();
    away.sort_unstable();
    // Ten rows behind each other, and none of them anywhere else.
    let length = away[1] - away[0];
    assert!(away.iter().all(|at| *at < 10 * (length + 2)), "{away:?}");
}

/// A store that knows how far it was written.
#[derive(Debug)]
struct Measured(MemoryStore, std::sync::Arc<std::sync::atomic::AtomicU64>);

impl crate::shelf::Store for Measured {
    fn write(&mut self, at: u64, bytes: &[u8]) -> std::io::Result<()> {
        self.1.fetch_max(at + bytes.len() as u64, std::sync::atomic::Ordering::Relaxed);
        self.0.write(at, bytes)
    }

    fn read(&self, at: u64, bytes: &mut [u8]) -> std::io::Result<()> {
        self.0.read(at, bytes)
    }
}

#[test]
fn a_store_stays_small_however_often_rows_change() {
    let end = std::sync::Arc::default();
    let store = Box::new(Measured(MemoryStore::default(), std::sync::Arc::clone(&end)));
    let mut rows = Rows::new(Some(Limit { resident_max: NonZeroUsize::MIN, store }));
    let large = |id: u128| Row { reversed: (0..500).map(|at| Seq(u64::MAX - at)).collect(), ..row(id) };
    // A part of what is put away in each round is never changed again, and keeps its segments taken.
    let ends: Vec<u64> = (0..8)
        .map(|round| {
            for id in (0..2_000_u128).filter(|id| round <= id % 8) {
                match rows.find(&CustomerId(id)).unwrap() {
                    None => rows.insert(large(id)),
                    Some(found) => rows.row_mut(found).purchases = round as u64,
                }
                // A shard settles after so many commands.
                if id % crate::LOOK_AHEAD_MAX as u128 == 7 {
                    rows.settle().unwrap();
                }
            }
            rows.settle().unwrap();
            end.load(std::sync::atomic::Ordering::Relaxed)
        })
        .collect();
    assert!(ends[7] < 3 * ends[0], "bytes after each round: {ends:?}");
}
