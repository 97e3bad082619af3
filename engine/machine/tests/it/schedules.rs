//! R29 and R34 of this layer: whatever the schedule and the number of shards, one input gives one ledger and one set of
//! outcomes, in order, and none of them leaves before the disk has what it rests on.

use std::num::NonZeroUsize;

use kembali_core::command::Command;
use kembali_core::customer::Row;
use kembali_core::event::Event;
use kembali_core::{Instant, Seq};
use kembali_machine::{Outcome, Reply};
use proptest::prelude::*;

use crate::rig::{Rig, canonical, check_journal, command, depth, fold, show};
use crate::sequential::Sequential;

const NAMES: [&str; 8] = ["A", "B", "C", "D", "E", "F", "G", "H"];

/// Commands that arrive together, and how much later than the ones before: also earlier.
type Arrival = (i64, Vec<String>);

fn any_command() -> impl Strategy<Value = String> {
    let name = (prop::bool::weighted(0.2), 0..NAMES.len())
        .prop_map(|(by_id, name)| if by_id { format!("id:{}", NAMES[name]) } else { NAMES[name].to_string() });
    let amount = prop_oneof![1 => Just(0i64), 8 => 1..=300i64, 2 => Just(9_007_199_254_740_991)];
    let code = prop_oneof![6 => Just(" code=P"), 3 => Just(""), 1 => Just(" code=NONE")];
    let buy = (name, amount, 0..40u8, code, prop::bool::weighted(0.1)).prop_map(|(name, amount, key, code, dry)| {
        format!("buy {name} {amount} key=k{key}{code}{}", if dry { " dry" } else { "" })
    });
    let verb = prop_oneof![
        3 => Just("create".to_string()),
        1 => Just("open".to_string()),
        2 => Just("freeze".to_string()),
        4 => Just("thaw".to_string()),
        5 => (0..300i64).prop_map(|amount| format!("deposit={amount}")),
        3 => (1..300i64).prop_map(|amount| format!("take={amount}")),
        5 => (0..4i64).prop_map(|quantity| format!("mug={quantity}")),
        5 => (1..60i64).prop_map(|amount| format!("hold={amount}")),
        2 => (1..4i64).prop_map(|hold| format!("settle={hold}")),
        1 => (1..4i64).prop_map(|hold| format!("void={hold}")),
        6 => (1..200i64).prop_map(|amount| format!("send={amount}")),
        6 => (0..3u8).prop_map(|count| format!("pay={count}")),
        2 => Just("up".to_string()),
        1 => Just("down".to_string()),
        1 => Just("tag".to_string()),
    ];
    // Keys are few, so that they come again, also for something else.
    let operate = (0..NAMES.len(), verb, 0..30u8, prop::bool::weighted(0.1)).prop_map(|(name, verb, key, dry)| {
        format!("do {} {verb} key=o{key}{}", NAMES[name], if dry { " dry" } else { "" })
    });
    let invoice = prop_oneof![2 => Just("open".to_string()), 1 => (0..3u8).prop_map(|count| format!("cancel={count}"))];
    let invoice = (invoice, 0..20u8, prop::bool::weighted(0.1))
        .prop_map(|(verb, key, dry)| format!("invoice {verb} key=i{key}{}", if dry { " dry" } else { "" }));
    // A few that come again word for word, some of them refused.
    let again = ["A 0 key=r1", "B 9 key=r2 code=NONE", "C 9 key=r3 code=P", "id:Z 9 key=r4"];
    prop_oneof![
        20 => buy,
        8 => operate,
        2 => invoice,
        3 => (0..again.len()).prop_map(move |index| format!("buy {}", again[index])),
        2 => (0..NAMES.len()).prop_map(|name| format!("row {}", NAMES[name])),
        1 => Just("use".to_string()),
        1 => (0..40u8).prop_map(|key| format!("find k{key}")),
        1 => Just("totals".to_string()),
        1 => Just("time".to_string()),
        1 => Just("rules".to_string()),
        1 => (0..12u64).prop_map(|quota| format!("quota {quota}")),
        1 => (0..12u64).prop_map(|quota| format!("risk {quota}")),
    ]
}

fn any_input() -> impl Strategy<Value = Vec<Arrival>> {
    // Some of the gaps are long enough to lose a level.
    let gap = prop_oneof![6 => 0..1_000i64, 1 => -500..0i64, 1 => Just(31 * kembali_core::DAY_US)];
    prop::collection::vec((gap, prop::collection::vec(any_command(), 0..6)), 1..40)
}

/// What the sequential driver says: each arrival's outcomes as text, the position behind it, all records.
struct Wanted {
    shown: Vec<Vec<Option<String>>>,
    behind: Vec<Seq>,
    driver: Sequential,
}

fn wanted(input: &[Arrival]) -> Wanted {
    let mut driver = Sequential::default();
    driver.run(Instant(1_000), &command("quota 5"));
    let (mut shown, mut behind, mut now) = (Vec::new(), Vec::new(), 1_000);
    for (gap, texts) in input {
        now += gap;
        let outcomes = texts.iter().map(|text| {
            let asked = command(text);
            let outcome = driver.run(Instant(now), &asked);
            // What a dry run says of units that are reserved just now hangs on the schedule, and it leaves nothing.
            let is_dry = match &asked {
                Command::Purchase(purchase) => purchase.dry_run,
                Command::Operation(operation) => operation.dry_run,
                Command::Desk(invoice) => invoice.dry_run,
                Command::ApplyCatalogue(_) | Command::Audit(_) | Command::Read(_) => false,
            };
            outcome.filter(|_| !is_dry).map(|outcome| show(&outcome))
        });
        shown.push(outcomes.collect());
        behind.push(driver.ledger.desk.last());
    }
    Wanted { shown, behind, driver }
}

/// Plays `input` over `shards` shards; each choice is one step of somebody, and the rest goes as it goes.
fn play(input: &[Arrival], wanted: &Wanted, shards: usize, choices: &[u8]) {
    play_limited(input, wanted, (shards, None), choices);
}

/// As [`play`], with so many rows of each shard in memory.
fn play_limited(
    input: &[Arrival],
    wanted: &Wanted,
    (shards, resident_max): (usize, Option<NonZeroUsize>),
    choices: &[u8],
) {
    let mut rig = Rig { is_swept: false, ..Rig::limited_new(shards, 5, resident_max) };
    let mut arrivals = input.iter().zip(0u32..);
    let mut replied = 0;
    for choice in choices {
        let shard = usize::from(choice / 8) % shards;
        match choice % 8 {
            0 | 1 => {
                if let Some(((gap, texts), index)) = arrivals.next() {
                    rig.now.0 += gap;
                    rig.submit(index, texts.iter().map(|text| command(text)).collect());
                }
            }
            2 => drop(rig.seal()),
            3 => drop(rig.work(shard)),
            4 => drop(rig.answer(shard)),
            5 => drop(rig.take_group()),
            6 => drop(rig.confirm()),
            _ => {
                let replies = rig.router.release();
                check_replies(wanted, &rig, &mut replied, &replies);
            }
        }
    }
    for ((gap, texts), index) in arrivals {
        rig.now.0 += gap;
        rig.submit(index, texts.iter().map(|text| command(text)).collect());
    }
    for _ in 0..10_000 {
        let replies = rig.round();
        check_replies(wanted, &rig, &mut replied, &replies);
        if rig.router.is_idle() {
            break;
        }
    }
    assert_eq!(replied, input.len(), "somebody was not answered");

    assert_eq!(rig.disk, wanted.driver.records, "the journals differ");
    assert_eq!(canonical(&fold(&rig.disk)), canonical(&wanted.driver.ledger));
    check_journal(&rig.disk);
    let rows: Vec<Row> = rig
        .shards
        .iter()
        .flat_map(kembali_machine::Shard::rows)
        .collect::<Result<_, _>>()
        .expect("memory does not fail");
    assert_eq!(rows.len(), wanted.driver.ledger.rows.len());
    for row in &rows {
        assert_eq!(row, &wanted.driver.ledger.rows[&row.id], "a shard's row is not the fold of its records");
    }
}

fn check_replies(wanted: &Wanted, rig: &Rig, replied: &mut usize, replies: &[Reply<u32>]) {
    let durable = Seq(rig.disk.len() as u64);
    assert_eq!(rig.router.durable(), durable);
    for reply in replies {
        assert_eq!(reply.to as usize, *replied, "replies out of order");
        assert!(wanted.behind[*replied] <= durable, "a reply left before the disk had what it rests on");
        assert_eq!(reply.outcomes.len(), wanted.shown[*replied].len());
        for (outcome, shown) in reply.outcomes.iter().zip(&wanted.shown[*replied]) {
            match (outcome, shown) {
                (outcome, Some(shown)) => assert_eq!(&show(outcome), shown),
                (Outcome::Totals(sums), None) => {
                    let sums = sums.as_ref().unwrap();
                    // They are looked at when their turn comes, and leave with the last of their submission.
                    assert!(sums.as_of <= durable, "sums of what is not durable");
                    let ledger = fold(&rig.disk[..sums.as_of.0 as usize]);
                    let tenant = sums.catalogue.tenant;
                    assert_eq!(&sums.catalogue, ledger.desk.catalogue(tenant).unwrap(), "rules that are not durable");
                    assert_eq!(sums.totals, ledger.totals.tenant(tenant).cloned().unwrap_or_default());
                }
                (
                    Outcome::WouldBook { .. }
                    | Outcome::Known(..)
                    | Outcome::Refused { .. }
                    | Outcome::WouldOperate { .. }
                    | Outcome::Unchanged { .. }
                    | Outcome::OperationKnown { .. }
                    | Outcome::OperationRefused(_),
                    None,
                ) => (),
                (other, None) => panic!("a dry run did this: {other:?}"),
            }
        }
        *replied += 1;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200 * depth()))]

    #[test]
    fn r38_with_one_row_in_memory_or_three_replies_and_ledger_are_the_same(
        input in any_input(), choices in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        let wanted = wanted(&input);
        for resident_max in [1, 3] {
            for shards in [1, 3] {
                play_limited(&input, &wanted, (shards, NonZeroUsize::new(resident_max)), &choices);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500 * depth()))]

    #[test]
    fn r29_r34_every_schedule_gives_one_ledger(
        input in any_input(), choices in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        let wanted = wanted(&input);
        for shards in [1, 2, 3, 8] {
            play(&input, &wanted, shards, &choices);
        }
    }
}

/// The random inputs do meet what they are for: the test above would be idle otherwise.
#[test]
fn the_random_inputs_meet_every_case() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut seen = std::collections::BTreeMap::<String, u32>::new();
    for _ in 0..200 {
        let input = any_input().new_tree(&mut runner).unwrap().current();
        for shown in wanted(&input).shown.into_iter().flatten().flatten() {
            let words: Vec<&str> = shown.split(' ').collect();
            let case = match words[0] {
                "booked" if shown.contains("declined") => "declined",
                "booked" if shown.contains("replaces balance_too_large") => "corrected after the row's refusal",
                "booked" if shown.contains("replaces") => "corrected",
                "booked" if shown.contains("promo") => "granted",
                "refused" if words.len() == 3 => "replayed",
                "refused" => words[1],
                other => other,
            };
            *seen.entry(case.to_string()).or_default() += 1;
        }
    }
    let wanted = [
        "amount_not_positive",
        "at",
        "balance",
        "balance_too_large",
        "booked",
        "corrected",
        "corrected after the row's refusal",
        "customer_unknown",
        "declined",
        "granted",
        "known",
        "nobody",
        "promo_unknown",
        "replayed",
        "rules",
        "used",
        "version",
    ];
    for case in wanted {
        assert!(10 < seen.get(case).copied().unwrap_or(0), "too few of {case}: {seen:?}");
    }
}

/// Events of one record travel together: a shard that answers late delays whole records, never parts.
#[test]
fn r34_a_slow_shard_delays_everything_behind_it_and_nothing_before() {
    let mut rig = Rig::new(8, 5);
    for (index, name) in (0..).zip(NAMES) {
        rig.submit(index, vec![command(&format!("buy {name} 100 key={name}"))]);
    }
    rig.seal();
    for shard in [7, 6, 5, 4, 2, 1, 0] {
        rig.work(shard);
        rig.answer(shard);
    }
    rig.take_group();
    rig.confirm();
    let replied: Vec<u32> = rig.router.release().iter().map(|reply| reply.to).collect();
    assert_eq!((replied, rig.disk.len()), (vec![0, 1, 2], 4), "the shard 3 has not answered");
    let replied: Vec<u32> = rig.drain().iter().map(|reply| reply.to).collect();
    assert_eq!((replied, rig.disk.len()), (vec![3, 4, 5, 6, 7], 9));
    assert!(rig.disk.iter().skip(1).all(|record| matches!(record.body.events[0], Event::CustomerCreated(_))));
}
