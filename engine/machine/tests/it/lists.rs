//! The list of a tenant's customers, piece by piece, against a sort of all of them.

use kembali_core::customer::Row;
use kembali_core::event::{Body, CustomerCreated, Event};
use kembali_core::{Alias, AliasKind, CustomerId, Instant, Seq, TenantId, Ticket};
use kembali_machine::{Answer, Assigned, ListTerms, Shard, Work};
use proptest::prelude::*;

fn row(tenant: u32, id: u128) -> Row {
    let created = CustomerCreated { alias: Alias { kind: AliasKind::Ref, hash: id } };
    let (received_at, customer) = (Instant(0), Some(CustomerId(id)));
    let events = vec![Event::CustomerCreated(created)];
    let tenant = TenantId(tenant);
    Row::created_by(&Body { received_at, tenant, catalogue_version: 1, customer, previous: Seq::ZERO, events })
        .expect("somebody is created")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Pieces together hold the first customers behind any one, for any number of rows, whatever their order.
    #[test]
    fn the_first_customers_are_in_some_piece(
        count in prop_oneof![0..40_u128, 4_090..4_110_u128, 8_190..9_000_u128],
        step in (0..1_u128 << 90).prop_map(|own| own * 2 + 1),
        behind in proptest::option::of(0..9_000_u128),
        limit in 1..300_usize,
    ) {
        // Distinct, since the step is odd, and in no order.
        let ids: Vec<u128> = (0..count).map(|at| at.wrapping_mul(step)).collect();
        let mut shard = Shard::default();
        ids.iter().for_each(|id| shard.add(row(u32::from(id % 3 == 0), *id)));
        let after = behind.map(|at| CustomerId(at.wrapping_mul(step)));
        let terms = ListTerms { tenant: TenantId(0), after, limit };
        let (mut from, mut listed): (_, Vec<CustomerId>) = (Some(0), Vec::new());
        while let Some(place) = from {
            let answers = shard.work(vec![Assigned { ticket: Ticket(1), work: Work::List(terms, place) }]).unwrap();
            let [answered] = &answers[..] else { panic!("{answers:?}") };
            let Answer::Listed(piece) = &answered.answer else { panic!("{answered:?}") };
            prop_assert!(piece.customers.len() <= limit);
            listed.extend(&piece.customers);
            from = piece.next;
        }
        listed.sort_unstable();
        listed.truncate(limit);
        let mut wanted: Vec<CustomerId> = ids.iter().filter(|id| *id % 3 != 0).map(|id| CustomerId(*id)).collect();
        wanted.retain(|own| after.is_none_or(|after| after < *own));
        wanted.sort_unstable();
        wanted.truncate(limit);
        prop_assert_eq!(listed, wanted);
    }
}
