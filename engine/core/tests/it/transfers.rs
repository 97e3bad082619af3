//! R16 in core, and what a transfer refuses: three records, and the money at one place at each position.

use kembali_core::accounts::HouseAccount;
use kembali_core::event::{Body, Event, Record};
use kembali_core::ledger::{Inconsistency, Ledger};
use kembali_core::transfer::{TransferRefusal, TransferReturned};
use kembali_core::{AMOUNT_MAX, CustomerId, CustomerName, Seq, TenantId, WalletId};

use crate::operations::reviews;
use crate::support::{World, amount, check, customer, jakarta};

fn world() -> World {
    let mut world = World::new(&reviews(), jakarta("2024-01-15 09:00:00"));
    check(
        &mut world,
        "ask A create          -> new
         ask B create          -> new
         ask A deposit 0 5000  -> balance 5000",
    );
    world
}

fn id(name: &str) -> CustomerId {
    let CustomerName::Id(id) = customer(1, &format!("id:{name}")) else { panic!("it is an id") };
    id
}

/// What is where: with A, with B, on its way.
fn places(ledger: &Ledger) -> (i64, i64, i128) {
    let of = |name| ledger.rows[&id(name)].balance(WalletId(0)).minor_units();
    let totals = ledger.totals.tenant(TenantId(1)).unwrap();
    assert!(totals.trial_balance().values().all(|sum| *sum == 0));
    let in_transit = totals.house.iter().filter(|((_, account), _)| *account == HouseAccount::InTransit);
    (of("A"), of("B"), -in_transit.map(|(_, turnover)| turnover.net()).sum::<i128>())
}

fn replayed(records: &[Record]) -> Result<Ledger, Inconsistency> {
    let mut ledger = Ledger::default();
    records.iter().try_for_each(|record| ledger.evolve(record)).map(|()| ledger)
}

#[test]
fn money_goes_from_one_wallet_to_another() {
    let mut world = world();
    check(
        &mut world,
        "ask A send 0 B 0 1200 dry     -> would: left 3800
         ask A send 0 B 0 1200 key=k   -> left 3800
         ask A send 0 B 0 1200 key=k   -> known 7
         ask A send 0 B 0 1201 key=k   -> reused 7
         ask B take 0 1200             -> balance 0
         ask A open                    -> wallet 1
         ask A send 0 A 1 3800         -> left 0
         ask A send 1 B 0 3800         -> left 0
         ask B take 0 3800             -> balance 0",
    );
    assert_eq!(places(&world.ledger), (0, 0, 0));
}

#[test]
fn what_the_target_does_not_take_comes_back() {
    let mut world = world();
    check(
        &mut world,
        "ask A send 0 B 1 10           -> refused target_wallet_not_found
         ask B open                    -> wallet 1
         ask B close 1                 -> closed
         ask A send 0 B 1 10           -> refused target_wallet_closed
         ask B freeze 0                -> frozen
         ask A send 0 B 0 10 key=k     -> refused target_wallet_frozen
         ask B thaw 0                  -> active
         ask A send 0 B 0 10 key=k     -> known 16",
    );
    assert_eq!(places(&world.ledger), (5_000, 0, 0));
    let most = AMOUNT_MAX - 5;
    check(
        &mut world,
        &format!(
            "ask B deposit 0 {most}     -> balance {most}
             ask A send 0 B 0 6 dry     -> refused target_balance_too_large, unwritten
             ask A send 0 B 0 6         -> refused target_balance_too_large
             ask A send 0 B 0 5         -> left 4995"
        ),
    );
}

#[test]
fn what_cannot_be_sent_is_refused() {
    check(
        &mut world(),
        "ask A send 0 C 0 10           -> refused transfer_target_not_found
         ask C send 0 A 0 10           -> refused customer_not_found
         ask A send 0 A 0 10           -> refused transfer_to_itself
         ask A send 3 B 0 10           -> refused wallet_not_found
         ask A send 0 B 0 0            -> refused amount_not_positive
         ask A send 0 B 0 -1           -> refused amount_not_positive
         ask A send 0 B 0 9223372036854775807 -> refused amount_too_large
         ask A send 0 B 0 5001         -> refused balance_too_small
         ask A hold 0 4000             -> hold 1 of 4000
         ask A send 0 B 0 1001         -> refused balance_held
         ask A send 0 B 0 1000         -> left 4000
         ask A freeze 0                -> frozen
         ask A send 0 B 0 1            -> refused wallet_frozen
         ask B send 0 A 0 1            -> refused target_wallet_frozen",
    );
}

/// Frozen or not: what is given back is no credit that an operator would want to stop.
#[test]
fn r16_the_money_is_at_one_place_after_every_step() {
    for frozen in [false, true] {
        let mut world = world();
        if frozen {
            check(&mut world, "ask B freeze 0  -> frozen");
        }
        let before = world.records.len();
        let operated = world.ask(&["A", "send", "0", "B", "0", "1200"]);
        assert_eq!(operated, if frozen { "refused target_wallet_frozen" } else { "left 3800" });
        assert_eq!(world.records.len(), before + 3);
        let wanted = if frozen {
            [(5_000, 0, 0), (3_800, 0, 1_200), (3_800, 0, 1_200), (5_000, 0, 0)]
        } else {
            [(5_000, 0, 0), (3_800, 0, 1_200), (3_800, 1_200, 0), (3_800, 1_200, 0)]
        };
        for (steps, expected) in wanted.into_iter().enumerate() {
            // Whoever comes to the ledger here goes on, to the same records.
            let ledger = replayed(&world.records[..before + steps]).unwrap();
            assert_eq!(places(&ledger), expected, "after {steps} steps");
            assert_eq!(ledger.desk.open_transfer().is_some(), steps == 1 || steps == 2);
            let mut again = World { ledger, records: world.records[..before + steps].to_vec(), ..World::default() };
            while again.step_transfer().is_some() {}
            if 0 < steps {
                assert_eq!(again.records, world.records);
            }
        }
    }
}

/// A journal in which a transfer goes on otherwise than it was sent, or in which something comes in between.
#[test]
fn a_replay_refuses_transfers_that_cannot_be() {
    let mut world = world();
    let at = world.records.len();
    assert_eq!(world.ask(&["A", "send", "0", "B", "0", "1200"]), "left 3800");
    assert_eq!(world.ask(&["A", "deposit", "0", "1"]), "balance 3801");
    let replayed = |change: &dyn Fn(&mut Vec<Record>)| {
        let mut records = world.records.clone();
        change(&mut records);
        replayed(&records).map(|_| ())
    };
    let changed = |position: usize, change: fn(&mut Event)| {
        replayed(&|records| records[at + position].body.events.iter_mut().for_each(change))
    };
    let without = |position: usize, is_gone: fn(&Event) -> bool| {
        replayed(&|records| records[at + position].body.events.retain(|event| !is_gone(event)))
    };
    let is_entry = |event: &Event| matches!(event, Event::WalletEntry(_));
    let is_step = |event: &Event| matches!(event, Event::TransferCredited(_) | Event::TransferSettled(_));
    assert_eq!(changed(0, |_| ()), Ok(()));
    for refused in [
        changed(0, |event| {
            if let Event::TransferSent(sent) = event {
                sent.amount = amount(1_199);
            }
        }),
        without(0, is_entry),
        changed(1, |event| {
            if let Event::TransferCredited(credited) = event {
                credited.transfer = Seq(1);
            }
        }),
        without(1, is_entry),
        without(1, is_step),
        changed(2, |event| {
            if let Event::TransferSettled(settled) = event {
                settled.transfer = Seq(1);
            }
        }),
        // It was credited, and is said to have come back.
        changed(2, |event| {
            if let Event::TransferSettled(settled) = event {
                let (transfer, reason) = (settled.transfer, TransferRefusal::WalletFrozen);
                *event = Event::TransferReturned(TransferReturned { transfer, reason });
            }
        }),
        without(2, is_step),
        // Something comes in between.
        replayed(&|records| {
            let deposit = records.pop().unwrap();
            records.truncate(at + 1);
            let (seq, previous) = (Seq(at as u64 + 2), records[at].seq);
            records.push(Record { seq, body: Body { previous, ..deposit.body } });
        }),
        // A step without a transfer.
        replayed(&|records| {
            let settled = records.remove(at + 2);
            records.truncate(at);
            let previous = records[at - 1].seq;
            records.push(Record { seq: Seq(at as u64 + 1), body: Body { previous, ..settled.body } });
        }),
    ] {
        assert_eq!(refused, Err(Inconsistency::WrongTransfer));
    }
}
