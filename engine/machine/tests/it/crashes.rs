//! R10, R11, R18, R19, R19b: the machine dies at any step; what is durable, and the same again, make one effect.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use kembali_core::accounts::HouseAccount;
use kembali_core::event::{Event, Record};
use kembali_core::{PurchaseKey, WalletId};
use kembali_machine::Outcome;
use proptest::prelude::*;

use crate::rig::{
    Chance, Rig, TENANT, alias, bookings, canonical, check_journal, command, depth, fold, purchase, shard_of, show,
};

const MAX: &str = "9007199254740991";

/// How often a promo paid, and how often it declined for want of a unit.
fn grants(disk: &[Arc<Record>]) -> (usize, usize) {
    let events = || disk.iter().flat_map(|record| &record.body.events);
    let grants = events().filter(|event| matches!(event, Event::PromoGranted(_))).count();
    (grants, events().filter(|event| matches!(event, Event::PromoDeclined(_))).count())
}

/// Many claims on few units, among them some that their row refuses; the machine dies again and again, and every claim
/// that got no answer is sent again.
fn last_unit(seed: u64, claims: usize, units: usize) {
    let mut chance = Chance(seed);
    let mut rig = Rig::new([1, 2, 3, 8][chance.below(4)], units as u64 + 1);
    // Z's wallet is full: its next purchase would pay a milestone at least, and is refused whatever its promo says.
    let shown = show(&rig.ask(command(&format!("buy Z {MAX} key=z code=P"))));
    assert_eq!(shown, format!("booked 2 new promo {MAX} balance {MAX}"));

    let is_full = |claim: usize| claim.is_multiple_of(16);
    let text = |claim: usize| match is_full(claim) {
        true => format!("Z 100 key=c{claim} code=P"),
        false => format!("{}{} 100 key=c{claim} code=P", claim % 97, (b'A' + (claim % 8) as u8) as char),
    };
    let keys: HashMap<PurchaseKey, usize> = (0..claims).map(|claim| (purchase(&text(claim)).key, claim)).collect();
    assert_eq!(keys.len(), claims);
    let mut open: Vec<usize> = (0..claims).collect();
    let mut waiting: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    // A crash comes soon after so many were answered; the first one before anybody is.
    let mut crashes: Vec<usize> = (0..16).map(|_| chance.below(claims)).chain([0]).collect();
    crashes.sort_unstable();
    crashes.reverse();
    let (mut submission, mut answered, mut steps) = (0, 0, 0);
    while !open.is_empty() || !waiting.is_empty() {
        steps += 1;
        assert!(steps < 100_000 + 100 * claims, "seed {seed}: the machine does not come to rest");
        let shard = chance.below(rig.shards.len());
        match chance.below(400) {
            0..40 if crashes.last().is_some_and(|crash| *crash <= answered) => {
                crashes.pop();
                let kept = chance.below(1 + rig.under_way());
                rig = rig.crash(kept);
                open.extend(std::mem::take(&mut waiting).into_values().flatten());
            }
            0..80 => {
                submission += 1;
                let some: Vec<usize> = (0..=chance.below(64)).filter_map(|_| open.pop()).collect();
                let commands = some.iter().map(|claim| command(&format!("buy {}", text(*claim)))).collect();
                rig.submit(submission, commands);
                waiting.insert(submission, some);
            }
            80..160 => drop(rig.seal()),
            160..240 => drop(rig.work(shard)),
            240..320 => drop(rig.answer(shard)),
            320..345 => drop(rig.take_group()),
            345..358 => drop(rig.confirm()),
            358..370 => rig.confirm_records(chance.below(1 + rig.under_way())),
            _ => {
                for reply in rig.router.release() {
                    for (claim, outcome) in waiting.remove(&reply.to).unwrap().into_iter().zip(reply.outcomes) {
                        check_answer(seed, &rig, &keys, claim, is_full(claim), &outcome);
                        answered += 1;
                    }
                }
            }
        }
    }
    let full = (0..claims).filter(|claim| is_full(*claim)).count();
    assert_eq!(grants(&rig.disk), (1 + units, claims - full - units), "seed {seed}: grants and declines");
    let ledger = fold(&rig.disk);
    let promo = ledger.desk.catalogues().next().unwrap().promos[0].id;
    assert_eq!(ledger.desk.promo_used(TENANT, promo), 1 + units as u64, "seed {seed}");
    assert_eq!(ledger.desk.keys().len(), 1 + claims - full, "seed {seed}: one booking a key");
    let totals = ledger.totals.tenant(TENANT).unwrap();
    assert_eq!(totals.accepted as usize, 1 + claims - full, "seed {seed}");
    assert_eq!(totals.rejected.values().sum::<u64>() as usize, full, "seed {seed}: one present refusal a key");
    check_journal(&rig.disk);
}

fn check_answer(
    seed: u64,
    rig: &Rig,
    keys: &HashMap<PurchaseKey, usize>,
    claim: usize,
    is_full: bool,
    outcome: &Outcome,
) {
    let seq = match outcome {
        Outcome::Booked { record, .. } => record.seq,
        Outcome::Known(seq, _) => *seq,
        Outcome::Refused { .. } if is_full => return,
        other => panic!("seed {seed}: claim {claim} was answered {}", show(other)),
    };
    let record = rig.disk.get(seq.0 as usize - 1).expect("an answer rests on a record that is not durable");
    let books = |event: &Event| matches!(event, Event::PurchaseBooked(booked) if keys[&booked.key] == claim);
    assert!(record.body.events.iter().any(books), "seed {seed}: claim {claim} was shown another's booking");
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 0, ..ProptestConfig::with_cases(2 * depth()) })]

    #[test]
    fn r18_last_unit(seed in any::<u64>()) {
        last_unit(seed, 10_000, 137);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 0, ..ProptestConfig::with_cases(100 * depth()) })]

    /// The same, small: here nearly everything happens at the edge.
    #[test]
    fn r18_last_unit_of_few(seed in any::<u64>(), units in 0..5usize) {
        last_unit(seed, 40, units);
    }
}

/// The steps of the write path, one after another, for two shards.
fn micro_step(rig: &mut Rig, step: usize) -> usize {
    match step % 8 {
        0 => drop(rig.seal()),
        1 => drop(rig.work(0)),
        2 => drop(rig.answer(0)),
        3 => drop(rig.work(1)),
        4 => drop(rig.answer(1)),
        5 => drop(rig.take_group()),
        6 => drop(rig.confirm()),
        _ => return rig.router.release().len(),
    }
    0
}

/// Stops a history of `texts`, of which `first` come together and the others one a round, after every step and with
/// every part of the group on disk, recovers, sends everything again in `order`, and hands the end to `check`.
fn stop_everywhere(texts: &[&str], first: usize, quota: u64, check: impl Fn(&Rig, &Rig)) -> usize {
    let mut stops = 0;
    for steps in 0..=8 * (texts.len() + 2) {
        // A transfer is three records.
        for kept in 0..=texts.len() + 2 {
            let mut rig = Rig::new(2, quota);
            let mut rest = texts.iter();
            rig.submit(1, rest.by_ref().take(first).map(|text| command(text)).collect());
            for step in 0..steps {
                if step % 8 == 7 {
                    // The reply is dropped: nobody remembers it.
                    micro_step(&mut rig, step);
                    rig.submit(2, rest.by_ref().take(1).map(|text| command(text)).collect());
                } else {
                    micro_step(&mut rig, step);
                }
            }
            if rig.under_way() < kept {
                continue;
            }
            stops += 1;
            let recovered = rig.crash(kept);
            check_journal(&recovered.disk);
            for order in [false, true] {
                let mut again = Rig::recover(recovered.disk.clone(), 2);
                let mut texts = texts.to_vec();
                if order {
                    texts.reverse();
                }
                again.profiles.clone_from(&recovered.profiles);
                again.submit(9, texts.iter().map(|text| command(text)).collect());
                again.drain();
                check_journal(&again.disk);
                check(&recovered, &again);
            }
        }
    }
    stops
}

/// The units that are used and the money that they brought are in one record: after any stop there are both or neither,
/// and sending everything again books every purchase once.
#[test]
fn r10_r11_r19_stopped_at_every_step_and_sent_again() {
    let texts =
        ["buy A 100 key=a code=P", "buy B 100 key=b code=P", "buy A 100 key=c", "buy B 0 key=d", "buy B 50 key=e"];
    let stops = stop_everywhere(&texts, 2, 9, |recovered, again| {
        for disk in [&recovered.disk, &again.disk] {
            let ledger = fold(disk);
            let promo = ledger.desk.catalogues().next().unwrap().promos[0].id;
            let used = i128::from(ledger.desk.promo_used(TENANT, promo));
            let paid = ledger.totals.tenant(TENANT).map_or(0, |totals| totals.point_transaction);
            assert_eq!(10 * used, paid, "units without money, or money without units");
        }
        for (key, count) in [("a", 1), ("b", 1), ("c", 1), ("d", 0), ("e", 1)] {
            let key = purchase(&format!("A 1 key={key}")).key;
            assert_eq!(bookings(&again.disk, key), count);
        }
        assert_eq!(again.disk.len(), 1 + 5);
        assert_eq!(grants(&again.disk), (2, 0));
    });
    assert!(50 < stops, "only {stops} stops");
}

/// Whoever comes second may be declined only once the first one's grant is durable: after any stop there is no decline
/// beside a free unit, and when all is sent again, in either order, exactly one has the unit.
#[test]
fn r19b_one_order() {
    let stops = stop_everywhere(&["buy A 100 key=a code=P", "buy B 100 key=b code=P"], 2, 1, |recovered, again| {
        let (granted, declined) = grants(&recovered.disk);
        assert!(declined <= granted, "a durable decline beside a free unit");
        assert_eq!(grants(&again.disk), (1, 1));
        assert_eq!(again.disk.len(), 3);
    });
    assert!(30 < stops, "only {stops} stops");
}

/// What is with A, with B, and on its way between them.
fn places(disk: &[Arc<Record>]) -> [i128; 3] {
    let ledger = fold(disk);
    let of = |name| {
        let row = ledger.rows.get(&alias(name).first_customer_id());
        row.map_or(0, |row| i128::from(row.balance(WalletId(0)).minor_units()))
    };
    let house = ledger.totals.tenant(TENANT).map(|totals| totals.house.clone()).unwrap_or_default();
    let in_transit = house.iter().filter(|((_, account), _)| *account == HouseAccount::InTransit);
    [of("A"), of("B"), -in_transit.map(|(_, turnover)| turnover.net()).sum::<i128>()]
}

/// A transfer between two shards that is stopped after any step, and with any part of its records on disk: a start goes on
/// with it before anything else, and the money is at one place, once. So for one that arrives and for one that comes back.
#[test]
fn r16_a_transfer_is_stopped_at_every_step() {
    let shard = |name| shard_of(2)(TENANT, alias(name).first_customer_id());
    assert_ne!(shard("A"), shard("B"), "they lie in two shards");
    for (frozen, end) in [(false, [40, 60, 0]), (true, [100, 0, 0])] {
        let mut texts = vec!["do A create", "do B create", "do A deposit=100", "do A send=60", "buy C 10 key=c"];
        if frozen {
            texts.insert(2, "do B freeze");
        }
        let stops = stop_everywhere(&texts, texts.len(), 9, |recovered, again| {
            let [a, b, moving] = places(&recovered.disk);
            let has_deposit = a + b + moving == 100;
            assert!(has_deposit || [a, b, moving] == [0, 0, 0]);
            assert!([[100, 0, 0], [40, 0, 60], [40, 60, 0], [0, 0, 0]].contains(&[a, b, moving]));
            // Nobody asks, and it is finished all the same.
            let mut alone = Rig::recover(recovered.disk.clone(), 2);
            alone.drain();
            let is_open = fold(&recovered.disk).desk.open_transfer().is_some();
            assert_eq!(alone.disk.len() == recovered.disk.len(), !is_open);
            let expected = if is_open { end } else { [a, b, moving] };
            assert_eq!(places(&alone.disk), expected);
            check_journal(&alone.disk);
            let [a, b, moving] = places(&again.disk);
            // Backwards, the deposit may come before its customer.
            assert!(moving == 0 && [0, 100].contains(&(a + b)));
            let sent = again.disk.iter().flat_map(|record| &record.body.events);
            let sent = sent.filter(|event| matches!(event, Event::TransferSent(_))).count();
            assert!(sent <= 1, "a transfer was sent twice");
        });
        assert!(50 < stops, "only {stops} stops");
        let mut rig = Rig::new(2, 9);
        rig.submit(1, texts.iter().map(|text| command(text)).collect());
        rig.drain();
        assert_eq!(places(&rig.disk), end);
    }
}

/// The reply is dropped after the commit: the same again shows the first booking, before and after a restart.
#[test]
fn r10_lost_ack() {
    for restarts in [false, true] {
        let mut rig = Rig::new(2, 9);
        rig.submit(1, vec![command("buy A 100 key=a code=P")]);
        let replies = rig.drain();
        assert_eq!(show(&replies[0].outcomes[0]), "booked 2 new promo 10 balance 10");
        let before = canonical(&fold(&rig.disk));
        if restarts {
            rig = rig.crash(0);
        }
        assert_eq!(show(&rig.ask(command("buy A 100 key=a code=P"))), "known 2");
        assert_eq!(canonical(&fold(&rig.disk)), before);
    }
}

/// A refusal's receipt outlives a restart like a booking does.
#[test]
fn r13_receipts_outlive_a_restart() {
    let mut rig = Rig::new(2, 9);
    assert_eq!(show(&rig.ask(command("buy A 0 key=a"))), "refused amount_not_positive");
    rig = rig.crash(0);
    assert_eq!(show(&rig.ask(command("buy A 0 key=a"))), "refused amount_not_positive replayed");
    assert_eq!(show(&rig.ask(command("buy A 100 key=a"))), "booked 3 new replaces amount_not_positive");
    rig = rig.crash(0);
    assert_eq!(show(&rig.ask(command("buy A 0 key=a"))), "known 3");
}
