//! A ledger that is recovered into shards, against the fold of the same records.

use std::num::NonZeroUsize;
use std::sync::Arc;

use kembali_core::CustomerId;
use kembali_core::draft::CatalogueDraft;
use kembali_core::event::{Body, Event, Record};
use kembali_core::ledger::{Inconsistency, Ledger};
use kembali_core::{Seq, TenantId};
use kembali_machine::{Limit, MemoryStore, Restore, RestoreError, Router, Shard};

use crate::rig::{Rig, apply, command, draft, fold};

/// Two tenants, and two customers of the first.
fn disk() -> Vec<Record> {
    let mut rig = Rig::new(1, 9);
    let second = CatalogueDraft { slug: "u".into(), ..draft(9) };
    rig.submit(
        0,
        vec![apply(second), command("buy A 100 key=k1"), command("buy B 100 key=k2"), command("buy A 100 key=k3")],
    );
    rig.drain();
    rig.disk.iter().map(|record| Record::clone(record)).collect()
}

fn restore(shards: usize, resident_max: Option<NonZeroUsize>) -> Restore {
    let shard = |_| match resident_max {
        None => Shard::default(),
        Some(resident_max) => Shard::limited(Limit { resident_max, store: Box::new(MemoryStore::default()) }),
    };
    let shard_of = move |tenant: TenantId, customer: CustomerId| (tenant.0 as usize + customer.0 as usize) % shards;
    Restore::new((0..shards).map(shard).collect(), Box::new(shard_of))
}

/// Says how the next record is refused, by a ledger and by one that is recovered.
fn refused(disk: &[Record], next: &Record) -> Inconsistency {
    let arcs: Vec<_> = disk.iter().cloned().map(Arc::new).collect();
    let mut ledger: Ledger = fold(&arcs);
    let expected = ledger.evolve(next).unwrap_err();
    for shards in [1, 3] {
        let mut recovered = restore(shards, None);
        recovered.fold(disk).unwrap();
        match recovered.fold(std::slice::from_ref(next)).unwrap_err() {
            RestoreError::Inconsistent { seq, what } => assert_eq!((seq, &what), (next.seq, &expected)),
            other @ RestoreError::Away(_) => panic!("{other}"),
        }
    }
    expected
}

#[test]
fn records_that_contradict_the_ledger_are_refused_as_by_a_fold() {
    let disk = disk();
    let last = disk.last().unwrap();
    let next = |body: Body| Record { seq: last.seq.next(), body };
    let customer = last.body.customer.unwrap();
    let own = Body { previous: last.seq, ..last.body.clone() };
    let other = Body { tenant: TenantId(2), ..own.clone() };
    assert_eq!(refused(&disk, &next(other)), Inconsistency::CustomerTwice(customer));
    let unknown = Body { customer: Some(CustomerId(7)), previous: Seq::ZERO, events: Vec::new(), ..own };
    assert_eq!(refused(&disk, &next(unknown)), Inconsistency::UnknownCustomer(CustomerId(7)));
    assert_eq!(refused(&disk, &next(Body { previous: Seq(1), ..own.clone() })), Inconsistency::BrokenChain);
    assert_eq!(refused(&disk, &Record { seq: Seq(99), body: own }), Inconsistency::OutOfOrder);
}

#[test]
fn rows_and_records_make_the_ledger_and_name_who_is_erased() {
    let mut disk = disk();
    let last = disk.last().unwrap();
    let erased = Body { previous: last.seq, events: vec![Event::CustomerErased], ..last.body.clone() };
    disk.push(Record { seq: last.seq.next(), body: erased });
    let arcs: Vec<_> = disk.iter().cloned().map(Arc::new).collect();
    let expected = fold(&arcs);
    let customer = disk.last().unwrap().body.customer.unwrap();
    for at in 0..6 * (disk.len() + 1) {
        let (shards, resident_max, cut) = (1 + at % 3, NonZeroUsize::new(at / 3 % 2), at / 6);
        // Rows of a snapshot at the cut, then records.
        let Ledger { desk, rows, totals } = fold(&arcs[..cut]);
        let mut recovered = restore(shards, resident_max);
        recovered.rows(rows.into_values().collect()).unwrap();
        recovered.go_on_from(desk, totals);
        recovered.fold(&disk[cut..]).unwrap();
        assert_eq!((recovered.last(), recovered.customers()), (disk.last().unwrap().seq, 2));
        assert!(recovered.erased().iter().eq([&customer]), "{:?}", recovered.erased());
        assert_eq!(recovered.totals(), &expected.totals);
        let (_, shards): (Router<()>, _) = recovered.finish();
        let mut rows: Vec<_> = shards.iter().flat_map(Shard::rows).map(Result::unwrap).collect();
        rows.sort_unstable_by_key(|row| row.id);
        let mut wanted: Vec<_> = expected.rows.values().cloned().collect();
        wanted.sort_unstable_by_key(|row| row.id);
        assert_eq!(rows, wanted);
    }
}
