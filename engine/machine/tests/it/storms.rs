//! R08 and R09: many of the same at once.

use std::collections::BTreeMap;

use kembali_core::command::Command;
use kembali_core::{Seq, WalletId};
use kembali_machine::Outcome;
use proptest::prelude::*;

use crate::rig::{Chance, Rig, bookings, check_journal, command, depth, fold, purchase};

fn shuffle<T>(items: &mut [T], chance: &mut Chance) {
    for index in (1..items.len()).rev() {
        items.swap(index, chance.below(index + 1));
    }
}

/// 256 identical purchases for each of many keys: half of the keys in one submission each, half of them scattered over
/// submissions of their own. One of each is booked and all others are shown that booking.
fn same_key_storm(seed: u64, keys: usize, copies: usize) {
    let mut chance = Chance(seed);
    let shards = [1, 2, 3, 8][chance.below(4)];
    let mut rig = Rig::new(shards, keys as u64 / 2);
    let text = |key: usize| {
        let name = ["A", "B", "C", "D", "E"][key % 5];
        format!("buy {name}{name} {} key=k{key} code=P", 100 + key)
    };
    let mut submissions: Vec<Vec<usize>> = Vec::new();
    for key in 0..keys {
        match key % 2 {
            0 => submissions.push(vec![key; copies]),
            _ => submissions.extend((0..copies).map(|_| vec![key])),
        }
    }
    shuffle(&mut submissions, &mut chance);

    let mut booked: Vec<Vec<Seq>> = vec![Vec::new(); keys];
    let mut known: BTreeMap<usize, Vec<Seq>> = BTreeMap::new();
    let (mut next, mut rounds) = (0, 0);
    while next < submissions.len() || !rig.router.is_idle() {
        rounds += 1;
        assert!(rounds < 10 * submissions.len(), "seed {seed}: the machine does not come to rest");
        for _ in 0..chance.below(64) {
            if let Some(submission) = submissions.get(next) {
                let commands: Vec<Command> = submission.iter().map(|key| command(&text(*key))).collect();
                rig.submit(next as u32, commands);
                next += 1;
            }
        }
        for reply in rig.round() {
            for (key, outcome) in submissions[reply.to as usize].iter().zip(reply.outcomes) {
                match outcome {
                    Outcome::Booked { record, .. } => booked[*key].push(record.seq),
                    Outcome::Known(seq, _) => known.entry(*key).or_default().push(seq),
                    other => panic!("seed {seed}: {other:?}"),
                }
            }
        }
    }
    for (key, booked) in booked.iter().enumerate() {
        assert_eq!(booked.len(), 1, "seed {seed}: key {key} was booked {booked:?}");
        let known = &known[&key];
        assert_eq!(known.len(), copies - 1, "seed {seed}");
        assert!(known.iter().all(|seq| *seq == booked[0]), "seed {seed}: key {key} was shown another record");
    }
    assert_eq!(rig.disk.len(), 1 + keys, "seed {seed}: one record a key and one of the rules");
    let ledger = fold(&rig.disk);
    let promo = rig.router.desk().catalogues().next().unwrap().promos[0].id;
    assert_eq!(ledger.desk.promo_used(crate::rig::TENANT, promo), keys as u64 / 2, "seed {seed}");
    check_journal(&rig.disk);
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 0, ..ProptestConfig::with_cases(depth()) })]

    #[test]
    fn r08_same_key_storm(seed in any::<u64>()) {
        same_key_storm(seed, 1_000, 256);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200 * depth()))]

    /// Two bodies race for one key, one of them possibly refused: one is booked, and it stays.
    #[test]
    fn r09_same_key_other_body(
        seed in any::<u64>(), shards in 1..4usize, other in prop_oneof![Just(0), Just(900)], together in any::<bool>(),
    ) {
        let mut chance = Chance(seed);
        let mut rig = Rig::new(shards, 9);
        let bodies = ["buy A 500 key=k code=P".to_string(), format!("buy B {other} key=k code=P")];
        let order: Vec<usize> = (0..32).map(|_| chance.below(2)).collect();
        if together {
            rig.submit(0, order.iter().map(|body| command(&bodies[*body])).collect());
        } else {
            for (index, body) in (0..).zip(&order) {
                rig.submit(index, vec![command(&bodies[*body])]);
                if chance.below(3) == 0 {
                    rig.seal();
                }
            }
        }
        let outcomes: Vec<Outcome> = rig.drain().into_iter().flat_map(|reply| reply.outcomes).collect();
        let key = purchase("A 500 key=k").key;
        let winner = order.iter().position(|body| *body == 0 || other != 0);
        prop_assert_eq!(bookings(&rig.disk, key), usize::from(winner.is_some()));
        for (index, outcome) in outcomes.iter().enumerate() {
            match outcome {
                Outcome::Booked { .. } => prop_assert_eq!(Some(index), winner),
                Outcome::Known(seq, _) => {
                    prop_assert!(winner.is_some_and(|winner| winner < index));
                    // The caller compares the fingerprint of the record with its own: that is how it is told apart.
                    let record = &rig.disk[seq.0 as usize - 1];
                    let first = purchase(bodies[order[winner.unwrap()]].strip_prefix("buy ").unwrap()).fingerprint;
                    let is_first = record.body.events.iter().any(|event| matches!(
                        event, kembali_core::event::Event::PurchaseBooked(booked) if booked.fingerprint == first
                    ));
                    prop_assert!(is_first, "another body is booked");
                }
                Outcome::Refused { replayed, .. } => {
                    prop_assert!(winner.is_none_or(|winner| index < winner));
                    prop_assert_eq!(*replayed, 0 < index, "the second refusal is a replay");
                }
                other => panic!("{other:?}"),
            }
        }
        let ledger = fold(&rig.disk);
        let balances: i64 = ledger.rows.values().map(|row| row.balance(WalletId(0)).minor_units()).sum();
        let points = winner.map_or(0, |winner| if order[winner] == 0 { 50 } else { other / 10 });
        prop_assert_eq!(balances, points, "one effect");
        check_journal(&rig.disk);
    }
}
