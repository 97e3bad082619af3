//! The fold: what a refusal must not touch, and what a record may not say.

use kembali_core::accounts::HouseAccount;
use kembali_core::customer::Row;
use kembali_core::event::{Event, Record};
use kembali_core::ledger::{Inconsistency, Ledger};
use kembali_core::{CustomerId, Instant, Seq, WalletId};

use crate::support::{Seen, World, amount, bands, canonical, check, jakarta, kezbek};

/// A ledger with two customers, a quota of two of which one unit is used, and a wallet that is nearly full.
fn world() -> World {
    let mut draft = kezbek();
    draft.promos[0].quota = 2;
    draft.promos[0].bands = bands("1 0 - 100");
    let mut world = World::new(&draft, jakarta("2023-01-02 00:00:00"));
    check(
        &mut world,
        "buy A 9007199254740991 code=KEZBEK1000 -> new, promo 9007199254740991, BRONZE 1 FIRST, balance 9007199254740991
         buy B 5 -> new, BRONZE 1 FIRST
         used KEZBEK1000 -> 1",
    );
    world
}

#[test]
fn r02_a_refusal_leaves_nothing_but_its_receipt() {
    let refusals = "
        A 0
        A 9007199254740992
        A 1 qty=0
        A 1 qty=9999999999
        A 1 lines=-1*1
        A 1 lines=1*2
        A 1 code=NONE
        A 1 code=KEZBEK1000
        C 0
        C 1 code=NONE
        id:C 1
        id:2:A 1";
    for refusal in refusals.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let mut world = world();
        let before = world.clone();
        let command = world.command(&refusal.split(' ').collect::<Vec<_>>());
        let seen = world.purchase(command.clone());
        assert!(matches!(seen, Seen::Refused { replayed: false, .. }), "{refusal}: {seen:?}");

        assert_eq!(world.canonical(), before.canonical(), "{refusal}: the canonical form differs");
        assert_eq!(rows(&world.ledger), rows(&before.ledger), "{refusal}: a row differs");
        check(&mut world, "used KEZBEK1000 -> 1");
        let (tenant, promo) = world.promo("KEZBEK1000");
        assert_eq!(world.open.promo(tenant, promo), 0, "{refusal}: a unit is reserved");
        assert_eq!(world.ledger.desk.keys().len(), 2, "{refusal}: the key is occupied");
        assert_eq!(world.records.len(), before.records.len() + 1, "{refusal}: a receipt is one record");
        // And again: not even a receipt.
        let again = world.purchase(command);
        assert!(matches!(again, Seen::Refused { replayed: true, .. }), "{refusal}: {again:?}");
        assert_eq!(world.records.len(), before.records.len() + 1, "{refusal}: a replay wrote a record");
    }
}

fn rows(ledger: &Ledger) -> Vec<Row> {
    let mut rows: Vec<Row> = ledger.rows.values().cloned().collect();
    rows.sort_by_key(|row| row.id);
    rows
}

/// The canonical form sees each thing that it is to compare, and none of those that two equal runs may differ in.
#[test]
fn the_canonical_form_sees_what_it_should() {
    type Change = fn(&mut Ledger);
    let base = world();
    let mut later = base.records.clone();
    for record in &mut later {
        record.body.received_at = Instant(record.body.received_at.0 + 5);
    }
    assert_eq!(canonical(&fold(&later).unwrap()), base.canonical(), "a receive stamp is not part of it");
    let changes: [(&str, Change); 8] = [
        ("a balance", |ledger| row(ledger).wallets[0].balance = amount(1).into()),
        ("a wallet", |ledger| row(ledger).wallets.clear()),
        ("a level", |ledger| row(ledger).standings[0].level.0 += 1),
        ("a count", |ledger| row(ledger).standings[0].count += 1),
        ("a last purchase", |ledger| row(ledger).standings[0].last_at.0 += 1),
        ("the purchases", |ledger| row(ledger).purchases += 1),
        ("an alias", |ledger| row(ledger).alias.hash += 1),
        ("a row", |ledger| ledger.rows.clear()),
    ];
    for (name, change) in changes {
        let mut ledger = base.ledger.clone();
        change(&mut ledger);
        assert_ne!(canonical(&ledger), base.canonical(), "{name} is not part of it");
    }
}

fn row(ledger: &mut Ledger) -> &mut Row {
    ledger.rows.values_mut().find(|row| !row.wallets.is_empty()).unwrap()
}

fn fold(records: &[Record]) -> Result<Ledger, Inconsistency> {
    let mut ledger = Ledger::default();
    records.iter().try_for_each(|record| ledger.evolve(record))?;
    Ok(ledger)
}

/// Folds the history with its record `index` changed.
fn damaged(index: usize, change: impl FnOnce(&mut Record)) -> Option<Inconsistency> {
    let mut records = world().records;
    fold(&records).unwrap();
    change(&mut records[index]);
    fold(&records).err()
}

fn entry(record: &mut Record) -> &mut kembali_core::accounts::Entry {
    let entry = record.body.events.iter_mut().find_map(|event| match event {
        Event::WalletEntry(entry) => Some(entry),
        _ => None,
    });
    entry.unwrap()
}

#[test]
fn an_unbalanced_entry_is_reported() {
    let unbalanced = Some(Inconsistency::UnbalancedEntry);
    assert_eq!(damaged(1, |record| entry(record).amount = amount(1)), unbalanced);
    assert_eq!(damaged(1, |record| entry(record).against[0].amount = amount(1)), unbalanced);
    assert_eq!(damaged(1, |record| entry(record).against.clear()), unbalanced);
    let nothing = |record: &mut Record| {
        let entry = entry(record);
        entry.amount = amount(0);
        entry.against.clear();
    };
    assert_eq!(damaged(1, nothing), unbalanced, "an entry of nothing");
    let overflow = |record: &mut Record| {
        let entry = entry(record);
        let leg = entry.against[0];
        entry.against = vec![leg, leg];
    };
    assert_eq!(damaged(1, overflow), unbalanced, "legs above the largest amount");
    // Who pays is not for the fold to know.
    assert_eq!(damaged(1, |record| entry(record).against[0].account = HouseAccount::LoyaltyExpense), None);
    assert_eq!(damaged(1, |record| entry(record).wallet = WalletId(1)), None);
}

#[test]
fn a_record_out_of_order_is_reported() {
    let out_of_order = Some(Inconsistency::OutOfOrder);
    assert_eq!(damaged(0, |record| record.seq = Seq(0)), out_of_order);
    assert_eq!(damaged(0, |record| record.seq = Seq(2)), out_of_order);
    assert_eq!(damaged(2, |record| record.seq = Seq(2)), out_of_order, "twice the same");
    assert_eq!(damaged(2, |record| record.seq = Seq(4)), out_of_order, "a gap");
}

#[test]
fn a_broken_chain_is_reported() {
    let mut world = world();
    check(&mut world, "buy A 5 -> BRONZE 2\nbuy B 5 -> BRONZE 2");
    let chain: Vec<u64> = world.records.iter().map(|record| record.body.previous.0).collect();
    assert_eq!(chain, [0, 0, 0, 2, 3]);
    for (index, previous) in [(1, 1), (2, 2), (3, 0), (3, 1), (3, 3), (4, 2), (4, 4)] {
        let mut records = world.records.clone();
        records[index].body.previous = Seq(previous);
        assert_eq!(fold(&records).err(), Some(Inconsistency::BrokenChain), "record {index} says {previous}");
    }
}

#[test]
fn an_unknown_customer_is_reported() {
    let drop_creation = |record: &mut Record| {
        record.body.events.retain(|event| !matches!(event, Event::CustomerCreated(_)));
    };
    let customer = world().records[1].body.customer.unwrap();
    assert_eq!(damaged(1, drop_creation), Some(Inconsistency::UnknownCustomer(customer)));
    let mut world = world();
    check(&mut world, "buy B 5 -> BRONZE 2");
    let last = world.records.last_mut().unwrap();
    last.body.customer = Some(CustomerId(9));
    last.body.previous = Seq::ZERO;
    assert_eq!(fold(&world.records).err(), Some(Inconsistency::UnknownCustomer(CustomerId(9))));
}
