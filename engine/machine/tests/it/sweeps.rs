//! Levels are removed while purchases stream: whatever the schedule, the shards and the crashes, the ledger ends as if
//! everybody had been placed at the change.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use kembali_core::command::{ApplyCatalogue, Command, Query};
use kembali_core::desk;
use kembali_core::draft::{CashbackDraft, CatalogueDraft, JourneyDraft, LevelDraft, PolicyDraft, ProgramDraft};
use kembali_core::event::{Event, Record, TierPlaced};
use kembali_core::preview::{RuleChange, When};
use kembali_core::upkeep::by_sweep;
use kembali_core::{Amount, CustomerId, DAY_US, Instant, Rate};
use kembali_machine::{OPEN_TICKETS_MAX, Outcome, SWEEP_CHANGED_MAX, SWEEP_ROWS_MAX};
use proptest::prelude::*;

use crate::rig::{Chance, Rig, TENANT, apply, canonical, check_journal, command, depth, draft, fold};
use crate::sequential::Sequential;

/// A ladder of the first word's letters, and spend levels of the second's: `a` from 0, `b` from 100, `c` from 200.
fn tiers(text: &str) -> CatalogueDraft {
    let (ladder, spends) = text.split_once(' ').unwrap();
    let mut rules = draft(1_000_000);
    let PolicyDraft::Journey(days) = rules.programs.remove(0).policy else { panic!("the rig has a ladder") };
    let level = |letter: char| LevelDraft {
        name: letter.into(),
        count_max: 2,
        next: None,
        previous: None,
        milestones: vec![(2, Amount::new(5).unwrap())],
    };
    let spend = |letter: char| (letter.into(), Amount::new(100 * i64::from(letter as u32 - 'a' as u32)).unwrap());
    let ladder = PolicyDraft::Journey(JourneyDraft { levels: ladder.chars().map(level).collect(), ..days });
    let spends = PolicyDraft::Threshold(spends.chars().map(spend).collect());
    rules.programs = vec![
        ProgramDraft { name: "Ladder".into(), policy: ladder, renames: Vec::new() },
        ProgramDraft { name: "Spend".into(), policy: spends, renames: Vec::new() },
    ];
    rules
}

fn any_command(text: &str) -> kembali_core::command::Command {
    match text.strip_prefix("tiers ") {
        Some(text) => apply(tiers(text)),
        None => command(text),
    }
}

fn rig(shards: usize) -> Rig {
    // Where rows are does not matter: with several shards most of them are away.
    let resident_max = NonZeroUsize::new(2).filter(|_| 1 < shards);
    let mut rig = Rig::limited(Vec::new(), shards, resident_max);
    rig.submit(0, vec![any_command("tiers ABC abc")]);
    rig.drain();
    rig
}

/// Each customer's placements, in order.
fn placements(disk: &[Arc<Record>]) -> BTreeMap<CustomerId, Vec<TierPlaced>> {
    let mut all: BTreeMap<CustomerId, Vec<TierPlaced>> = BTreeMap::new();
    for record in disk {
        let placed = record.body.events.iter().filter_map(|event| match event {
            Event::TierPlaced(placed) => Some(*placed),
            _ => None,
        });
        let placed: Vec<TierPlaced> = placed.collect();
        if !placed.is_empty() {
            all.entry(record.body.customer.unwrap()).or_default().extend(placed);
        }
    }
    all
}

/// Counts those who stand on levels that the present rules have not.
fn left_behind(disk: &[Arc<Record>]) -> u64 {
    let ledger = fold(disk);
    let rules = ledger.desk.catalogue(TENANT).unwrap();
    let by_sums = ledger.totals.tenant(TENANT).map_or(0, |sums| sums.members_to_place(rules).map(|(_, own)| own).sum());
    let is_dead = |program, level| rules.program(program).unwrap().level_name(level).is_none();
    let journeys = ledger.rows.values().flat_map(|row| &row.standings).filter(|own| is_dead(own.program, own.level));
    let spends = ledger.rows.values().flat_map(|row| &row.spends).filter(|own| is_dead(own.program, own.level));
    assert_eq!(by_sums, (journeys.count() + spends.count()) as u64, "sums and rows differ");
    by_sums
}

fn rest(rig: &mut Rig) {
    for _ in 0..100_000 {
        if rig.router.is_idle() && !rig.router.is_sweeping() {
            return;
        }
        rig.round();
    }
    panic!("the sweep does not come to rest");
}

/// Buys for `count` customers until they stand on level C and c.
fn fill(rig: &mut Rig, count: usize) {
    for round in 0..5 {
        let buys = (0..count).map(|own| any_command(&format!("buy {own:05}A 50 key={own}/{round}")));
        rig.submit(0, buys.collect());
        rig.drain();
    }
    assert_eq!(rig.disk.len(), 1 + 5 * count);
}

#[test]
fn a_piece_is_bounded_and_the_next_one_waits_for_the_disk() {
    let mut rig = rig(1);
    fill(&mut rig, SWEEP_CHANGED_MAX + 5);
    assert!(!rig.router.is_sweep_due(rig.now), "nothing was removed");
    let before = rig.disk.len();
    rig.submit(1, vec![any_command("tiers AB abc")]);
    assert!(rig.router.is_sweep_due(rig.now));
    rig.router.sweep(rig.now);
    assert!(!rig.router.is_sweep_due(rig.now), "one piece at a time");
    assert_eq!(rig.seal(), [(0, 1)]);
    rig.work(0);
    rig.answer(0);
    assert!(!rig.router.is_sweep_due(rig.now), "the first piece is not durable");
    rig.take_group();
    assert!(!rig.router.is_sweep_due(rig.now));
    rig.confirm();
    assert_eq!(rig.disk.len(), before + 1 + SWEEP_CHANGED_MAX);
    assert!(rig.router.is_sweep_due(rig.now) && rig.router.is_sweeping());
    assert_eq!(rig.router.release().len(), 1, "whoever changed the rules waits for no sweep");
    rest(&mut rig);
    assert_eq!(rig.disk.len(), before + 1 + SWEEP_CHANGED_MAX + 5);
    assert_eq!(left_behind(&rig.disk), 0);
    check_journal(&rig.disk);
}

/// The router does not go through all rows at once to find the few that are due.
#[test]
fn a_piece_looks_at_a_bounded_number_of_rows() {
    let mut rig = rig(1);
    let count = 2 * SWEEP_ROWS_MAX + 7;
    let buys = (0..count).map(|own| any_command(&format!("buy {own:05}A 50 key={own}")));
    rig.submit(0, buys.collect());
    rig.drain();
    rig.submit(1, vec![any_command("tiers AB abc")]);
    let mut pieces = 0;
    while rig.router.is_sweeping() {
        pieces += 1;
        rig.round();
    }
    assert_eq!(pieces, 3);
    assert_eq!(rig.disk.len(), 2 + count, "nobody stood there");
}

/// Full slots keep a piece from nobody, and a piece keeps nobody from being served.
#[test]
fn ingest_and_sweep_do_not_wait_for_each_other() {
    let mut rig = rig(1);
    fill(&mut rig, 10);
    rig.submit(1, vec![any_command("tiers AB abc")]);
    let many = OPEN_TICKETS_MAX + 10;
    rig.submit(2, (0..many).map(|own| any_command(&format!("buy {own:05}A 1 key=n{own}"))).collect());
    rig.router.sweep(rig.now);
    assert_eq!(rig.seal(), [(0, OPEN_TICKETS_MAX + 1)]);
    rest(&mut rig);
    assert_eq!(left_behind(&rig.disk), 0);
    assert_eq!(rig.disk.len(), 1 + 50 + 1 + many, "who bought first was placed by that");
}

#[test]
fn a_round_of_the_sweep_leaves_room_with_as_many_shards_as_tickets() {
    let mut rig = rig(OPEN_TICKETS_MAX);
    fill(&mut rig, 2);
    rig.submit(1, vec![any_command("tiers AB abc")]);
    rig.router.sweep(rig.now);
    rig.submit(2, vec![any_command("row 00000A")]);
    let sealed: usize = rig.seal().iter().map(|(_, count)| count).sum();
    assert_eq!(sealed, OPEN_TICKETS_MAX + 1);
    rest(&mut rig);
    assert_eq!(left_behind(&rig.disk), 0);
}

/// A purchase of a customer whom the sweep has not reached places the customer in its own record, and a look shows it.
#[test]
fn whoever_comes_before_the_sweep_is_placed() {
    let mut rig = rig(2);
    fill(&mut rig, 3);
    rig.submit(1, vec![any_command("tiers AB ab")]);
    rig.submit(2, vec![any_command("row 00000A"), any_command("buy 00001A 1 key=x"), any_command("row 00002A")]);
    for _ in 0..3 {
        rig.seal();
        for shard in 0..2 {
            while rig.work(shard) || rig.answer(shard) {}
        }
        rig.take_group();
        rig.confirm();
    }
    let replies = rig.router.release();
    let outcomes: Vec<&Outcome> = replies.iter().flat_map(|reply| &reply.outcomes).collect();
    let rules = rig.router.desk().catalogue(TENANT).unwrap();
    for outcome in [outcomes[1], outcomes[3]] {
        let Outcome::Customer(Some(view)) = outcome else { panic!("{outcome:?}") };
        let levels: Vec<&str> = [view.row.standings[0].level, view.row.spends[0].level]
            .into_iter()
            .zip(&rules.programs)
            .map(|(level, program)| program.level_name(level).unwrap())
            .collect();
        assert_eq!((levels.join(" "), view.row.standings[0].count), ("B b".into(), 0));
    }
    let Outcome::Booked { record, .. } = outcomes[2] else { panic!("{:?}", outcomes[2]) };
    let kinds: Vec<bool> = record.body.events.iter().map(|event| matches!(event, Event::TierPlaced(_))).collect();
    assert_eq!(kinds[..3], [true, true, false], "placements come first");
    assert_eq!(left_behind(&rig.disk), 4, "looking writes nothing");
    rest(&mut rig);
    assert_eq!(left_behind(&rig.disk), 0);
    assert!(placements(&rig.disk).values().all(|own| own.len() == 2));
}

/// What another change would do is told of customers as they are placed, whether or not the sweep has come by.
#[test]
fn a_change_is_previewed_whether_or_not_the_sweep_has_come_by() {
    let mut rig = rig(2);
    fill(&mut rig, 3);
    rig.submit(1, vec![any_command("tiers AB ab")]);
    assert_eq!(left_behind(&rig.disk), 0, "the change is not durable");
    let change = |rig: &Rig, text: &str| {
        let wish =
            ApplyCatalogue { actor: None, draft: tiers(text), keys: Vec::new(), expected_version: None, dry_run: true };
        let after = desk::apply(rig.router.desk(), &wish).unwrap().expect("a change");
        Arc::new(RuleChange::new(Arc::clone(rig.router.desk().catalogue(TENANT).unwrap()), after))
    };
    let change = change(&rig, "A a");
    let preview = |rig: &mut Rig| {
        let shards = 0..3;
        let ask = |shard| Command::Read(Query::Preview { change: Arc::clone(&change), shard, from: 0 });
        rig.submit(2, shards.map(ask).collect());
        for _ in 0..3 {
            rig.seal();
            for shard in 0..2 {
                while rig.work(shard) || rig.answer(shard) {}
            }
            rig.take_group();
            rig.confirm();
        }
        let reply = rig.router.release().pop().expect("an answer");
        let [Outcome::Preview(Some(own)), Outcome::Preview(Some(other)), Outcome::Preview(None)] = &reply.outcomes[..]
        else {
            panic!("{:?}", reply.outcomes)
        };
        assert_eq!((own.piece.next, other.piece.next), (None, None));
        let mut preview = own.piece.preview.clone();
        preview.merge(other.piece.preview.clone());
        preview
    };
    let early = preview(&mut rig);
    assert_eq!(left_behind(&rig.disk), 6, "nobody was placed yet");
    let rules = &change.before.programs;
    let name = |program: usize, level| rules[program].level_name(level).unwrap();
    let moves = early.tiers.iter().map(|(own, who)| {
        let program = rules.iter().position(|program| program.id == own.program).unwrap();
        (own.when, name(program, own.from), name(program, own.to), who.count)
    });
    assert_eq!(moves.collect::<Vec<_>>(), [(When::AtOnce, "B", "A", 3), (When::AtOnce, "b", "a", 3)]);
    rest(&mut rig);
    assert_eq!(left_behind(&rig.disk), 0);
    assert_eq!(preview(&mut rig), early, "the sweep changes nothing of it");
}

/// The machine dies after every step of a sweep, with every part of the group on disk, and the next start ends it.
#[test]
fn a_crash_in_the_middle_of_a_sweep_loses_and_repeats_nothing() {
    let mut stops = 0;
    let wanted = {
        let mut rig = rig(2);
        fill(&mut rig, 5);
        rig.submit(1, vec![any_command("tiers AB ab")]);
        rest(&mut rig);
        (placements(&rig.disk), canonical(&fold(&rig.disk)))
    };
    for steps in 0..12 {
        for kept in 0..8 {
            let mut rig = rig(2);
            fill(&mut rig, 5);
            rig.submit(1, vec![any_command("tiers AB ab")]);
            rig.take_group();
            rig.confirm();
            for step in 0..steps {
                match step % 6 {
                    0 => rig.router.sweep(rig.now),
                    1 => drop(rig.seal()),
                    2 => drop(rig.work(1) && rig.answer(1)),
                    3 => drop(rig.work(0) && rig.answer(0)),
                    4 => drop(rig.take_group()),
                    _ => drop(rig.confirm()),
                }
            }
            if rig.under_way() < kept {
                continue;
            }
            stops += 1;
            let mut again = rig.crash(kept);
            assert_eq!(
                again.router.is_sweep_due(again.now),
                0 < left_behind(&again.disk),
                "a start knows what is left"
            );
            rest(&mut again);
            assert_eq!(placements(&again.disk), wanted.0);
            assert_eq!(canonical(&fold(&again.disk)), wanted.1);
            check_journal(&again.disk);
        }
    }
    assert!(15 < stops, "only {stops} stops");
}

/// A change of rules waits for the pieces that are open, and they let it through although the sweep has not ended.
#[test]
fn a_second_removal_comes_through_in_the_middle_of_a_sweep() {
    for shards in [1, 2, 3] {
        let mut rig = rig(shards);
        fill(&mut rig, 3 * SWEEP_CHANGED_MAX);
        rig.submit(1, vec![any_command("tiers AB abc")]);
        rig.round();
        rig.router.sweep(rig.now);
        rig.submit(2, vec![any_command("tiers A ab")]);
        let version = |rig: &Rig| rig.router.desk().catalogue(TENANT).unwrap().version;
        assert_eq!(version(&rig), 2, "it waits for the open pieces");
        let replies: Vec<u32> = rig.round().iter().map(|reply| reply.to).collect();
        assert_eq!((replies, version(&rig)), (vec![2], 3), "and not for the end of the sweep");
        assert!(rig.router.is_sweeping());
        rest(&mut rig);
        assert_eq!(left_behind(&rig.disk), 0);
    }
}

#[test]
fn nothing_is_swept_after_a_fault() {
    let mut rig = rig(1);
    fill(&mut rig, 1);
    rig.submit(1, vec![any_command("tiers AB abc")]);
    rig.router.poison();
    assert!(!rig.router.is_sweep_due(rig.now));
    rig.router.sweep(rig.now);
    assert_eq!(rig.seal(), []);
}

/// Every purchase pays a tenth of its amount, in points that live a day.
fn with_points(mut rules: CatalogueDraft) -> CatalogueDraft {
    rules.earning.point_kinds = vec!["points".into()];
    rules.earning.cashback_rules = vec![CashbackDraft {
        description: None,
        name: "Tenth".into(),
        rate: Rate::parse("0.1").unwrap(),
        products: Vec::new(),
        partner: None,
        is_active: true,
        ends_at: None,
        pays: "points".into(),
        life_days: Some(1),
        pending_days: None,
    }];
    rules
}

fn points_in_sums(rig: &Rig) -> (i128, usize) {
    let sums = rig.router.totals().tenant(TENANT).unwrap();
    (sums.points.values().sum(), sums.expiring.len())
}

/// Nobody calls: the clock alone makes points due, and the sweep ends when none is left.
#[test]
fn points_expire_although_nothing_happens() {
    for shards in [1, 3] {
        let mut rig = Rig::recover(Vec::new(), shards);
        rig.submit(0, vec![apply(with_points(tiers("ABC abc")))]);
        rig.drain();
        fill(&mut rig, SWEEP_CHANGED_MAX + 3);
        assert_eq!(points_in_sums(&rig), (5 * 5 * (SWEEP_CHANGED_MAX as i128 + 3), 1));
        let due = (rig.now.0.div_euclid(DAY_US) + 2) * DAY_US;
        assert!(!rig.router.is_sweep_due(Instant(due - 1)));
        rig.now = Instant(due);
        assert!(rig.router.is_sweep_due(rig.now));
        // What the end of the sweep leaves is what a start finds.
        rig.round();
        let mut again = rig.crash(0);
        assert!(again.router.is_sweep_due(again.now));
        rest(&mut again);
        assert_eq!(points_in_sums(&again), (0, 0));
        let written = again.disk.len();
        assert!(!again.router.is_sweep_due(again.now));
        rest(&mut again);
        assert_eq!(again.disk.len(), written, "there is nothing left to write");
        check_journal(&again.disk);
        let ledger = fold(&again.disk);
        let sums = ledger.totals.tenant(TENANT).unwrap();
        assert!(sums.trial_balance().values().all(|sum| *sum == 0));
    }
}

/// A hold that is over is closed by the sweep, at the first instant at which it is over and once.
#[test]
fn holds_expire_although_nothing_happens() {
    for shards in [1, 3] {
        let mut rig = Rig::recover(Vec::new(), shards);
        rig.submit(0, vec![any_command("tiers ABC abc")]);
        let of = |name: &str| {
            ["create", "deposit=90", "hold=50", "hold=40"].map(|verb| format!("do {name} {verb} key={name}{verb}"))
        };
        let asked: Vec<String> = ["A", "B", "C"].into_iter().flat_map(of).collect();
        rig.submit(1, asked.iter().map(|text| any_command(text)).collect());
        rig.submit(2, vec![any_command("do B void=2")]);
        rig.drain();
        let held = |rig: &Rig| rig.router.totals().tenant(TENANT).unwrap().held.values().sum::<i128>();
        assert_eq!(held(&rig), 3 * 90 - 40);
        // Ends are counted by the minutes that begin behind them.
        let due = (rig.now.0 + DAY_US) / 60_000_000 * 60_000_000 + 60_000_000;
        assert!(!rig.router.is_sweep_due(Instant(due - 1)));
        rig.now = Instant(due);
        assert!(rig.router.is_sweep_due(rig.now));
        let written = rig.disk.len();
        rest(&mut rig);
        assert_eq!((held(&rig), rig.disk.len()), (0, written + 3), "one record a customer");
        assert!(!rig.router.is_sweep_due(rig.now));
        check_journal(&rig.disk);
        assert!(fold(&rig.disk).rows.values().all(|row| row.holds.is_empty()));
    }
}

const NAMES: [&str; 8] = ["A", "B", "C", "D", "E", "F", "G", "H"];

fn any_text() -> impl Strategy<Value = String> {
    let some = |of: &'static str| prop::sample::subsequence(of.chars().collect::<Vec<_>>(), 1..=of.len());
    let tiers = (some("ABC"), some("abc"))
        .prop_map(|(ladder, spends)| format!("tiers {} {}", String::from_iter(ladder), String::from_iter(spends)));
    prop_oneof![
        12 => (0..NAMES.len(), 1..90i64, 0..40u8, any::<bool>()).prop_map(|(name, amount, key, promo)| {
            format!("buy {} {amount} key=k{key}{}", NAMES[name], if promo { " code=P" } else { "" })
        }),
        2 => tiers,
        1 => (0..NAMES.len()).prop_map(|name| format!("row {}", NAMES[name])),
        1 => Just("totals".to_string()),
    ]
}

/// What happens when a change places everybody at once, before anything else happens.
fn at_once(input: &[(i64, Vec<String>)]) -> Sequential {
    let mut driver = Sequential::default();
    driver.run(Instant(1_000), &any_command("tiers ABC abc"));
    let mut now = 1_000;
    for (gap, texts) in input {
        now += gap;
        for text in texts {
            driver.run(Instant(now), &any_command(text));
            let desk = &driver.ledger.desk;
            let (rules, removals) =
                (Arc::clone(desk.catalogue(TENANT).unwrap()), Arc::clone(desk.removals(TENANT).unwrap()));
            let mut rows: Vec<_> = driver.ledger.rows.values().collect();
            rows.sort_by_key(|row| row.id);
            let due =
                rows.into_iter().filter_map(|row| by_sweep(row, &rules, &removals, driver.stamp(), driver.stamp()));
            for body in due.collect::<Vec<_>>() {
                driver.write(body);
            }
        }
    }
    driver
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300 * depth()))]

    /// R29 with removals: any schedule of purchases, changes, looks and pieces of the sweep, over any shards, with a crash
    /// in between, gives the ledger and each customer's placements of the driver that places everybody at once.
    #[test]
    fn r29_placing_late_gives_the_ledger_of_placing_at_once(
        input in prop::collection::vec(
            (prop_oneof![6 => 0..1_000i64, 1 => Just(31 * kembali_core::DAY_US)], prop::collection::vec(any_text(), 0..5)),
            1..30,
        ),
        choices in prop::collection::vec(any::<u8>(), 0..600),
        crash in any::<u64>(),
    ) {
        let wanted = at_once(&input);
        for shards in [1, 2, 3, 8] {
            let mut rig = rig(shards);
            let mut arrivals = input.iter();
            let mut chance = Chance(crash);
            let crash_at = chance.below(600);
            for (index, choice) in choices.iter().enumerate() {
                let shard = usize::from(choice / 8) % shards;
                match choice % 8 {
                    0 => if let Some((gap, texts)) = arrivals.next() {
                        rig.now.0 += gap;
                        rig.submit(1, texts.iter().map(|text| any_command(text)).collect());
                    },
                    1 => rig.router.sweep(rig.now),
                    2 => drop(rig.seal()),
                    3 => drop(rig.work(shard)),
                    4 => drop(rig.answer(shard)),
                    5 => drop(rig.take_group()),
                    6 => drop(rig.confirm()),
                    _ => drop(rig.router.release()),
                }
                // Whatever has no answer yet would be sent again; a crash when all is answered leaves the sweep alone.
                if index >= crash_at && rig.router.is_idle() {
                    rig = rig.crash(0);
                }
            }
            for (gap, texts) in arrivals {
                rig.now.0 += gap;
                rig.submit(1, texts.iter().map(|text| any_command(text)).collect());
            }
            rest(&mut rig);
            prop_assert_eq!(left_behind(&rig.disk), 0);
            prop_assert_eq!(canonical(&fold(&rig.disk)), canonical(&wanted.ledger), "{} shards", shards);
            prop_assert_eq!(placements(&rig.disk), placements(&wanted.records));
            check_journal(&rig.disk);
            let ledger = fold(&rig.disk);
            for row in rig.shards.iter().flat_map(kembali_machine::Shard::rows) {
                let row = row.expect("memory does not fail");
                prop_assert_eq!(&row, &ledger.rows[&row.id], "a shard's row is not the fold of its records");
            }
        }
    }
}

/// The property above would be idle if its inputs placed nobody.
#[test]
fn the_random_inputs_place_customers() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let strategy = prop::collection::vec((0..1_000i64, prop::collection::vec(any_text(), 0..5)), 1..30);
    let placed: usize = (0..100)
        .map(|_| {
            placements(&at_once(&strategy.new_tree(&mut runner).unwrap().current()).records)
                .values()
                .map(Vec::len)
                .sum::<usize>()
        })
        .sum();
    assert!(100 < placed, "only {placed}");
}
