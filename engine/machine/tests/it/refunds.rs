//! R08, R09, R10, R11, R17 and R20 for refunds: one effect for each key under every schedule and crash, and a unit that is
//! returned comes back once.

use std::collections::BTreeMap;
use std::sync::Arc;

use kembali_core::command::Command;
use kembali_core::event::{Event, Record};
use kembali_core::operation::{Actor, Operation, OperationCommand};
use kembali_core::refund::{Refund, RefundOf};
use kembali_core::{CustomerName, Fingerprint, PartnerId, PurchaseKey};
use kembali_machine::Outcome;
use proptest::prelude::*;

use crate::rig::{Chance, Rig, TENANT, canonical, check_journal, command, depth, fold, hash, show};

/// Asks to refund `amount` of the purchase that `disk` holds under a key, as the shell does once it has read it.
fn refund(disk: &[Arc<Record>], key: &str, refund_id: &str, amount: i64) -> Command {
    let key = PurchaseKey::from_hash(hash(key));
    let books = |event: &Event| matches!(event, Event::PurchaseBooked(booked) if booked.key == key);
    let original = disk.iter().find(|record| record.body.events.iter().any(books)).unwrap();
    let operation = Operation::RefundPurchase(Box::new(Refund {
        purchase: key,
        origin_id: "".into(),
        key: refund_key(key, refund_id),
        refund_id: refund_id.into(),
        of: RefundOf::Amount(amount),
        reason: None,
    }));
    Command::Operation(Box::new(OperationCommand {
        tenant: TENANT,
        actor: Actor::Partner(PartnerId(1)),
        key: None,
        fingerprint: Fingerprint { version: 1, hash: hash(&format!("{operation:?}")) },
        customer: CustomerName::Id(original.body.customer.unwrap()),
        operation,
        device: None,
        text: None,
        dry_run: false,
        original: Some(Arc::clone(original)),
        other_records: Vec::new(),
    }))
}

fn refund_key(purchase: PurchaseKey, refund_id: &str) -> PurchaseKey {
    PurchaseKey::from_hash(hash(&format!("{} {refund_id}", purchase.0)))
}

fn used(rig: &Rig) -> u64 {
    let ledger = fold(&rig.disk);
    let promo = ledger.desk.catalogues().next().unwrap().promos[0].id;
    ledger.desk.promo_used(TENANT, promo)
}

#[test]
fn r08_r09_a_refund_in_flight_is_waited_for_and_booked_once() {
    let mut rig = Rig::new(2, 1);
    assert_eq!(show(&rig.ask(command("buy A 100 key=a code=P"))), "booked 2 new promo 10 balance 10");
    let asked = vec![
        refund(&rig.disk, "a", "1", 40),
        refund(&rig.disk, "a", "1", 40),
        refund(&rig.disk, "a", "1", 50),
        refund(&rig.disk, "a", "2", 60),
        command("buy B 100 key=b code=P"),
        refund(&rig.disk, "a", "3", 1),
    ];
    rig.submit(1, asked);
    let replies = rig.drain();
    let shown: Vec<String> = replies[0].outcomes.iter().map(show).collect();
    assert_eq!(
        shown,
        [
            "done 3 refunded 40 balance 6",
            // The record tells whether it is the same or another of the id; the shell reads it.
            "booked by 3",
            "booked by 3",
            "done 4 refunded 60 unit balance 0",
            // The unit is there for whoever comes next.
            "booked 5 new promo 10 balance 10",
            "refused refund_exceeds_remainder",
        ]
    );
    check_journal(&rig.disk);
    // A key of other content, or of the same 64 bits, is told apart by whoever reads the record.
    let mut other = match refund(&rig.disk, "a", "1", 1) {
        Command::Operation(operation) => operation,
        _ => unreachable!(),
    };
    other.other_records = vec![rig.disk[2].seq];
    assert_eq!(show(&rig.ask(Command::Operation(other))), "refused refund_exceeds_remainder");
    let mut dry = match refund(&rig.disk, "b", "1", 40) {
        Command::Operation(operation) => operation,
        _ => unreachable!(),
    };
    dry.dry_run = true;
    let before = canonical(&fold(&rig.disk));
    assert_eq!(show(&rig.ask(Command::Operation(dry))), "would refunded 40 balance 6");
    assert_eq!(canonical(&fold(&rig.disk)), before);
}

#[test]
fn why_a_purchase_is_refused_can_be_asked() {
    let mut rig = Rig::new(1, 1);
    let ask = |rig: &mut Rig, key: &str| {
        let key = PurchaseKey::from_hash(hash(key));
        show(&rig.ask(Command::Read(kembali_core::command::Query::Receipt { key })))
    };
    assert_eq!(ask(&mut rig, "a"), "no receipt");
    rig.ask(command("buy A 0 key=a"));
    assert_eq!(ask(&mut rig, "a"), "amount_not_positive");
    rig.ask(command("buy A 10 key=a"));
    assert_eq!(ask(&mut rig, "a"), "no receipt");
}

/// Purchases of a few customers on few units, refunds of parts of them in any order, and crashes; whatever got no answer
/// is sent again, and some of it twice.
fn storm(seed: u64) {
    let mut chance = Chance(seed);
    let mut rig = Rig::new([1, 2, 3][chance.below(3)], 6);
    let names = ["A", "B", "C", "D", "E", "F", "G", "H"];
    for name in names {
        rig.ask(command(&format!("buy {name} 100 key={name} code=P")));
    }
    let bookings = rig.disk.clone();
    let granted = |record: &Arc<Record>| record.body.events.iter().any(|event| matches!(event, Event::PromoGranted(_)));
    let with_unit = bookings.iter().filter(|record| granted(record)).count();
    assert_eq!(with_unit, 6);
    // 100 of each in parts, and one refund too many.
    let mut open: Vec<(&str, String, i64)> = Vec::new();
    for name in names {
        let first = 1 + chance.below(98) as i64;
        open.extend([(name, "1".to_string(), first), (name, "2".into(), 100 - first)]);
        if chance.below(3) == 0 {
            open.push((name, "1".into(), first));
        }
    }
    let mut waiting: BTreeMap<u32, Vec<(&str, String, i64)>> = BTreeMap::new();
    let (mut submission, mut steps, mut crashes) = (0, 0, 6);
    while !open.is_empty() || !waiting.is_empty() {
        steps += 1;
        assert!(steps < 100_000, "seed {seed}: the machine does not come to rest");
        let shard = chance.below(rig.shards.len());
        match chance.below(100) {
            0..4 if 0 < crashes => {
                crashes -= 1;
                let kept = chance.below(1 + rig.under_way());
                rig = rig.crash(kept);
                open.extend(std::mem::take(&mut waiting).into_values().flatten());
            }
            4..20 => {
                submission += 1;
                let count = (1 + chance.below(4)).min(open.len());
                let some: Vec<_> = (0..count).map(|_| open.swap_remove(chance.below(open.len()))).collect();
                let commands = some.iter().map(|(key, id, amount)| refund(&bookings, key, id, *amount)).collect();
                rig.submit(submission, commands);
                waiting.insert(submission, some);
            }
            20..40 => drop(rig.seal()),
            40..60 => drop(rig.work(shard)),
            60..75 => drop(rig.answer(shard)),
            75..82 => drop(rig.take_group()),
            82..90 => drop(rig.confirm()),
            _ => {
                for reply in rig.router.release() {
                    for ((key, id, _), outcome) in waiting.remove(&reply.to).unwrap().into_iter().zip(reply.outcomes) {
                        let seq = match &outcome {
                            Outcome::Operated { record, .. } => record.seq,
                            Outcome::RefundBooked(seq, _) => *seq,
                            other => panic!("seed {seed}: {}", show(other)),
                        };
                        let wanted = refund_key(PurchaseKey::from_hash(hash(key)), &id);
                        let own = &rig.disk[seq.0 as usize - 1].body.events;
                        let is_own = |event: &Event| matches!(event, Event::PurchaseRefunded(own) if own.key == wanted);
                        assert!(own.iter().any(is_own), "seed {seed}: shown another's refund");
                    }
                }
            }
        }
    }
    check_journal(&rig.disk);
    assert_eq!(rig.disk.len(), bookings.len() + 2 * names.len(), "seed {seed}: each refund is booked once");
    assert_eq!(used(&rig), 0, "seed {seed}: each unit came back once");
    // However it went, the end is that of one refund each.
    let mut once = Rig::recover(bookings.clone(), 1);
    for name in names {
        once.ask(refund(&bookings, name, "all", 100));
    }
    assert_eq!(canonical_all(&rig), canonical_all(&once), "seed {seed}");
}

fn canonical_all(rig: &Rig) -> Vec<u8> {
    let ledger = fold(&rig.disk);
    let mut bytes = canonical(&ledger);
    ledger.canonical_more(|piece| bytes.extend_from_slice(piece));
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 0, ..ProptestConfig::with_cases(200 * depth()) })]

    #[test]
    fn r17_r20_refunds_under_crashes_are_one_refund_each(seed in any::<u64>()) {
        storm(seed);
    }
}

/// The machine stops after every step, with every part of the group on disk, and the same is sent again.
#[test]
fn r10_r11_a_refund_stopped_at_every_step_and_sent_again() {
    let mut stops = 0;
    for steps in 0..=6 {
        for kept in 0..=1 {
            let mut rig = Rig::new(1, 9);
            rig.ask(command("buy A 100 key=a code=P"));
            let bookings = rig.disk.clone();
            rig.submit(1, vec![refund(&bookings, "a", "1", 100)]);
            for step in 0..steps {
                match step {
                    0 => drop(rig.seal()),
                    1 => drop(rig.work(0)),
                    2 => drop(rig.answer(0)),
                    3 => drop(rig.take_group()),
                    4 => drop(rig.confirm()),
                    _ => drop(rig.router.release()),
                }
            }
            if rig.under_way() < kept {
                continue;
            }
            stops += 1;
            let mut again = rig.crash(kept);
            let halves = fold(&again.disk);
            let back = halves.totals.tenant(TENANT).unwrap().refunds.point_transaction;
            assert_eq!(back, 10 * i128::from(1 - used(&again)), "money without its unit");
            let shown = show(&again.ask(refund(&bookings, "a", "1", 100)));
            assert!(["done 3 refunded 100 unit balance 0", "booked by 3"].contains(&shown.as_str()), "{shown}");
            assert_eq!((again.disk.len(), used(&again)), (3, 0));
            check_journal(&again.disk);
        }
    }
    assert!(7 < stops, "only {stops} stops");
}
