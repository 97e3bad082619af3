//! Risk rules: Dompet Digital Sawit's two thresholds, and what a customer does within a time.

use kembali_core::catalogue::RuleClock;
use kembali_core::desk::{self, Admission, CountedBy, Desk, OperationAdmission};
use kembali_core::draft::{CatalogueDraft, RISK_RULES_MAX, RiskRuleDraft};
use kembali_core::event::{Event, Record};
use kembali_core::ledger::{Inconsistency, Ledger};
use kembali_core::operation::OperationRejection;
use kembali_core::risk::{
    REMEMBERED_MAX, RiskAction, RiskCheckArchived, RiskCondition, RiskKind, RiskParty, WINDOW_SECONDS_MAX,
};
use kembali_core::{AMOUNT_MAX, CatalogueRejection, CustomerName, Seq, TenantId};

use crate::operations::reviews;
use crate::operator::Operated;
use crate::support::{World, amount, check, customer, jakarta, kezbek};

fn rule(name: &str, operations: &[RiskKind], condition: RiskCondition, action: RiskAction) -> RiskRuleDraft {
    RiskRuleDraft { name: name.into(), operations: operations.to_vec(), condition, action }
}

fn with(risk_rules: Vec<RiskRuleDraft>) -> CatalogueDraft {
    CatalogueDraft { risk_rules, ..reviews() }
}

fn world(risk_rules: Vec<RiskRuleDraft>) -> World {
    let mut world = World::new(&with(risk_rules), jakarta("2024-01-15 09:00:00"));
    check(
        &mut world,
        "ask A create          -> new
         ask B create          -> new",
    );
    world
}

/// Strictly above 50 million is blocked, strictly above 10 million is flagged.
fn dompet() -> Vec<RiskRuleDraft> {
    vec![
        rule("Limit > 50jt", &[], RiskCondition::AmountAbove(amount(50_000_000)), RiskAction::Block),
        rule("Transaksi Besar > 10jt", &[], RiskCondition::AmountAbove(amount(10_000_000)), RiskAction::Flag),
    ]
}

#[test]
fn dompet_vectors() {
    check(
        &mut world(dompet()),
        "ask A deposit 0 10000000     -> safe, balance 10000000
         ask A deposit 0 10000001     -> flagged Transaksi Besar > 10jt, balance 20000001
         ask A deposit 0 50000000     -> flagged Transaksi Besar > 10jt, balance 70000001
         ask A deposit 0 50000001     -> refused risk_blocked
         ask A deposit 0 50000001 dry -> refused risk_blocked, unwritten
         ask A deposit 0 0            -> refused amount_not_positive
         ask A give 0 50000001        -> balance 120000002
         ask A hold 0 50000001        -> refused risk_blocked
         ask A hold 0 50000000        -> flagged Transaksi Besar > 10jt, hold 1 of 50000000
         ask A send 0 B 0 50000001    -> refused risk_blocked
         ask A send 0 B 0 10000001    -> left 110000001
         invoice open 50000001        -> VA-1000000000 for 50000001
         ask A pay 0 VA-1000000000 50000001 -> refused risk_blocked
         ask A take 0 60000001        -> balance 50000000",
    );
}

/// What is refused for another reason is refused for that, and nothing of it is remembered.
#[test]
fn a_block_comes_before_what_the_wallet_says() {
    check(
        &mut world(dompet()),
        "ask A send 0 B 0 50000001    -> refused risk_blocked
         ask A send 0 B 0 50000000    -> refused balance_too_small
         ask A freeze 0               -> frozen
         ask A deposit 0 50000001     -> refused risk_blocked
         ask A deposit 0 5            -> refused wallet_frozen
         ask C deposit 0 50000001     -> refused customer_not_found",
    );
}

#[test]
fn operations_within_a_time_are_counted_and_summed() {
    let hour = 3_600;
    let rules = vec![
        rule("Many", &[RiskKind::Transfer], RiskCondition::CountAbove { count: 2, seconds: hour }, RiskAction::Block),
        rule("Much", &[], RiskCondition::SumAbove { sum: amount(1_000), seconds: 2 * hour }, RiskAction::Flag),
    ];
    let mut world = world(rules);
    check(
        &mut world,
        "ask A deposit 0 1000         -> safe, balance 1000
         ask A send 0 B 0 1           -> left 999
         after 1h
         ask A send 0 B 0 1           -> left 998
         ask A send 0 B 0 1           -> left 997
         ask A send 0 B 0 1           -> refused risk_blocked
         ask B send 0 A 0 1           -> left 2
         ask A hold 0 1               -> flagged Much, hold 1 of 1
         after 3599s
         ask A send 0 B 0 1           -> refused risk_blocked
         after 1s
         ask A send 0 B 0 1           -> left 997
         ask A deposit 0 996          -> safe, balance 1993
         ask A deposit 0 1            -> flagged Much, balance 1994
         after 2h
         ask A deposit 0 1000         -> safe, balance 2994",
    );
    let row = world.ledger.rows.values().find(|row| row.holds_placed == 1).unwrap();
    assert_eq!(row.risk.len(), 1, "what no rule asks for is forgotten");
    // Without velocity rules nothing is remembered any more.
    world.apply(&with(dompet()), None).unwrap();
    check(&mut world, "ask A deposit 0 1 -> safe, balance 2995");
    let row = world.ledger.rows.values().find(|row| row.holds_placed == 1).unwrap();
    assert!(row.risk.is_empty());
    // And without rules nothing is looked at.
    world.apply(&with(Vec::new()), None).unwrap();
    check(&mut world, "ask A deposit 0 60000000 -> balance 60002995");
}

/// A customer who does more than is remembered is above every velocity rule, and the row stays bounded.
#[test]
fn what_is_remembered_is_bounded() {
    let sum = RiskCondition::SumAbove { sum: amount(AMOUNT_MAX), seconds: 60 };
    let mut world = world(vec![rule("Sum", &[], sum, RiskAction::Flag)]);
    for _ in 0..REMEMBERED_MAX {
        assert!(world.ask(&["A", "deposit", "0", "1"]).starts_with("safe"));
    }
    assert_eq!(world.ask(&["A", "deposit", "0", "1"]), format!("flagged Sum, balance {}", REMEMBERED_MAX + 1));
    let most = world.ledger.rows.values().map(|row| row.risk.len()).max();
    assert_eq!(most, Some(REMEMBERED_MAX));
    world.now.0 += 60_000_000;
    assert!(world.ask(&["A", "deposit", "0", "1"]).starts_with("safe"));
}

/// What one rule asks for must not make another one strike.
#[test]
fn a_full_memory_strikes_only_where_the_window_is_cut_off() {
    let count = |count, seconds| RiskCondition::CountAbove { count, seconds };
    let mut world = world(vec![
        rule("Many deposits", &[RiskKind::Deposit], count(1_000, 2_678_400), RiskAction::Flag),
        rule("Many transfers", &[RiskKind::Transfer], count(5, 60), RiskAction::Block),
    ]);
    for _ in 0..REMEMBERED_MAX + 3 {
        world.now.0 += 1_000_000;
        world.ask(&["A", "deposit", "0", "1"]);
    }
    check(
        &mut world,
        "ask A send 0 B 0 1 -> left 1026
         ask A send 0 B 0 1 -> left 1025
         ask A send 0 B 0 1 -> left 1024
         ask A send 0 B 0 1 -> left 1023
         ask A send 0 B 0 1 -> left 1022
         ask A send 0 B 0 1 -> refused risk_blocked
         after 60s
         ask A send 0 B 0 1 -> left 1021
         ask A deposit 0 1  -> flagged Many deposits, balance 1022",
    );
    assert_eq!(world.ledger.rows.values().map(|row| row.risk.len()).max(), Some(REMEMBERED_MAX));
}

/// Whoever is looked at must not move the time of the windows: it is the ledger's own, whatever the rules follow.
#[test]
fn windows_follow_the_clock_of_the_ledger() {
    let rules =
        vec![rule("Two a day", &[], RiskCondition::CountAbove { count: 2, seconds: 86_400 }, RiskAction::Block)];
    let draft = CatalogueDraft { clock: RuleClock::Occurred, ..with(rules) };
    let mut world = World::new(&draft, jakarta("2024-01-15 09:00:00"));
    check(
        &mut world,
        "ask A create                -> new
         ask A deposit 0 1           -> safe, balance 1
         buy A 10 occurred=-700d
         ask A deposit 0 1           -> safe, balance 2
         ask A deposit 0 1           -> refused risk_blocked
         buy A 10 occurred=1d
         ask A deposit 0 1           -> refused risk_blocked
         after 1d
         ask A deposit 0 1           -> safe, balance 3",
    );
}

/// The first rule that blocks is named in the record, whatever flags before it.
#[test]
fn a_block_is_stored_with_its_rule() {
    let mut rules = dompet();
    rules.reverse();
    let mut world = world(rules);
    let command = world.operation(&["A", "deposit", "0", "50000001"]);
    let Operated::Refused { rejection: OperationRejection::RiskBlocked { rule }, is_written: true } =
        world.operate(command)
    else {
        panic!("it is not blocked")
    };
    let present = world.ledger.desk.catalogues().next().unwrap();
    assert_eq!(present.risk_rule(rule).unwrap().name, "Limit > 50jt");
}

#[test]
fn rules_that_make_no_sense_are_refused() {
    let above = RiskCondition::AmountAbove(amount(1));
    let count = |count, seconds| RiskCondition::CountAbove { count, seconds };
    let of = |condition| vec![rule("R", &[], condition, RiskAction::Flag)];
    for (rules, place) in [
        (vec![rule("", &[], above, RiskAction::Flag)], "risk_rules[]"),
        (vec![rule("R", &[], above, RiskAction::Flag); 2], "risk_rules[R]"),
        (of(count(1, 0)), "risk_rules[R].within_seconds"),
        (of(count(1, 2_678_401)), "risk_rules[R].within_seconds"),
        (of(count(1_001, 1)), "risk_rules[R].count_above"),
        (of(RiskCondition::SumAbove { sum: amount(1), seconds: 0 }), "risk_rules[R].within_seconds"),
        (vec![rule("R", &[RiskKind::Hold, RiskKind::Hold], above, RiskAction::Flag)], "risk_rules[R].operations"),
        ((0..=RISK_RULES_MAX).map(|at| rule(&at.to_string(), &[], above, RiskAction::Flag)).collect(), "risk_rules"),
        (vec![rule("R", &[RiskKind::Hold, RiskKind::Purchase], above, RiskAction::Review)], "risk_rules[R].action"),
        (
            vec![rule(
                "R",
                &[RiskKind::Purchase],
                RiskCondition::CountAboveBy { by: RiskParty::Device, count: 1, seconds: 1 },
                RiskAction::Flag,
            )],
            "risk_rules[R].per",
        ),
        (vec![rule(&"x".repeat(300), &[], above, RiskAction::Flag)], &format!("risk_rules[{}]", "x".repeat(300))),
    ] {
        let mut world = World::new(&reviews(), jakarta("2024-01-15 09:00:00"));
        match world.apply(&with(rules), None) {
            Err(CatalogueRejection::Invalid { place: found, .. }) => assert_eq!(found, place),
            other => panic!("{place}: {other:?}"),
        }
    }
    // A rule keeps its id by its name.
    let mut world = world(dompet());
    let before = world.ledger.desk.catalogues().next().unwrap().risk_rules[0].id;
    let mut rules = dompet();
    rules[0].condition = RiskCondition::AmountAbove(amount(60_000_000));
    world.apply(&with(rules), None).unwrap();
    assert_eq!(world.ledger.desk.catalogues().next().unwrap().risk_rules[0].id, before);
}

/// Rules of partners and devices count over all customers, and wait for what is in flight.
#[test]
fn partners_and_devices_are_counted_over_all_customers() {
    let by = |by, count| RiskCondition::CountAboveBy { by, count, seconds: 3_600 };
    let sum = RiskCondition::SumAboveBy { by: RiskParty::Partner, sum: amount(100), seconds: 3_600 };
    let mut world = world(vec![
        rule("Device", &[RiskKind::Deposit], by(RiskParty::Device, 2), RiskAction::Block),
        rule("Partner", &[RiskKind::Hold, RiskKind::Payment], sum, RiskAction::Flag),
    ]);
    check(
        &mut world,
        "ask A deposit 0 500             -> safe, balance 500
         ask A deposit 0 5 dev=x         -> safe, for device, balance 505
         ask B deposit 0 5 dev=x         -> safe, for device, balance 5
         ask B deposit 0 5 dev=x         -> refused risk_blocked
         ask A deposit 0 5 dev=x dry     -> refused risk_blocked, unwritten
         ask A deposit 0 5 dev=y         -> safe, for device, balance 510
         ask A deposit 0 5 dev=x by=1    -> refused risk_blocked
         ask A deposit 0 5 by=1          -> safe, for partner, balance 515
         ask A hold 0 60 60 1            -> safe, for partner, hold 1 of 60
         ask A hold 0 60 60 2 dev=x      -> safe, for partner+device, hold 2 of 60
         ask A hold 0 41 60 1            -> flagged Partner, for partner, hold 3 of 41
         invoice open 10                 -> VA-1000000000 for 10
         ask A pay 0 VA-1000000000 10    -> flagged Partner, for partner, VA-1000000000 paid, balance 505
         ask A pay 0 VA-1 10 by=1        -> refused invoice_not_found
         after 1h
         ask B deposit 0 5 dev=x         -> safe, for device, balance 10
         ask A hold 0 100 60 1           -> hold 1 expired, hold 2 expired, hold 3 expired, safe, for partner, hold 4 of 100",
    );
    let own = world.operation(&["A", "deposit", "0", "5", "dev=x"]);
    let other = world.operation(&["B", "deposit", "0", "5", "dev=y"]);
    world.open.begin_parties(TenantId(1), &[CountedBy::Device(own.device.unwrap())]);
    for (command, waits) in [(&own, true), (&other, false)] {
        let admission = desk::admit_operation(&world.ledger.desk, &world.open, world.now, command);
        assert_eq!(matches!(admission, OperationAdmission::Wait), waits, "{admission:?}");
    }
    // A desk is made of its pieces, this too.
    let mut restored = Desk::default();
    world.ledger.desk.pieces().for_each(|piece| restored.restore(piece).unwrap());
    let counted = |desk: &Desk| desk.counted_operations(TenantId(1)).collect::<Vec<_>>();
    assert_eq!(counted(&restored), counted(&world.ledger.desk));
    assert_eq!(counted(&restored).len(), 11, "an operation of both counts for each");
}

/// Purchases are looked at by rules that name them, and by no others: those of Dompet are of the four operations.
#[test]
fn purchases_are_looked_at_by_rules_that_name_them() {
    let mut rules = dompet();
    rules.push(rule("Big", &[RiskKind::Purchase], RiskCondition::AmountAbove(amount(10_000_000)), RiskAction::Flag));
    rules.push(rule("Huge", &[RiskKind::Purchase], RiskCondition::AmountAbove(amount(60_000_000)), RiskAction::Block));
    let mut world = world(rules);
    let customers = world.ledger.rows.len();
    check(
        &mut world,
        "buy A 10000000           -> safe
         buy A 10000001           -> flagged Big
         buy A 50000001           -> flagged Big
         buy A 60000001 key=k     -> refused risk_blocked
         buy A 60000001 key=k     -> refused risk_blocked, replayed
         receipt k                -> risk_blocked
         buy C 60000001           -> refused risk_blocked
         buy C 60000001 dry       -> would: new
         buy A 0                  -> refused amount_not_positive
         ask A deposit 0 50000001 -> refused risk_blocked",
    );
    assert_eq!(world.ledger.rows.len(), customers, "a purchase that is blocked makes nobody");
    // The first rule that blocks is named behind the receipt, with whom and how much it was about.
    let blocked = world.records.iter().filter_map(|record| match &record.body.events[..] {
        [Event::PurchaseRefused(refused), Event::PurchaseBlocked(own)] => {
            let rules = world.ledger.desk.catalogues().next().unwrap();
            assert_eq!((record.body.customer, refused.code.as_str()), (None, "risk_blocked"));
            Some((own.customer, own.amount.minor_units(), rules.risk_rule(own.rule).unwrap().name.clone()))
        }
        _ => None,
    });
    let blocked: Vec<_> = blocked.collect();
    let [a, c] = ["A", "C"].map(|name| match customer(1, name) {
        CustomerName::Alias(alias) => alias.first_customer_id(),
        CustomerName::Id(id) => id,
    });
    assert_eq!(blocked, [(a, 60_000_001, "Huge".into()), (c, 60_000_001, "Huge".into())]);
    // A refusal of a purchase leaves its key free.
    world.apply(&with(dompet()), None).unwrap();
    check(
        &mut world,
        "buy A 60000001 key=k     -> replaces risk_blocked
         buy C 60000001           -> new",
    );
}

/// A unit that was reserved for a purchase that is blocked is free again.
#[test]
fn a_block_comes_before_the_promo() {
    let block = rule("Huge", &[RiskKind::Purchase], RiskCondition::AmountAbove(amount(1_000)), RiskAction::Block);
    let draft = CatalogueDraft { risk_rules: vec![block], ..kezbek() };
    let mut world = World::new(&draft, jakarta("2017-01-15 09:00:00"));
    check(
        &mut world,
        "buy A 1001 code=FREE       -> refused promo_unknown
         buy A 1001 code=KEZBEK1000 -> refused risk_blocked
         used KEZBEK1000            -> 0
         rows                     -> 0",
    );
}

/// What no rule asks for is not remembered, and purchases make no rule of operations strike.
#[test]
fn purchases_within_a_time_are_counted_apart() {
    let count = |count, seconds| RiskCondition::CountAbove { count, seconds };
    let hour = 3_600;
    let operations = rule("Operations", &[], count(1, 2 * hour), RiskAction::Block);
    let purchases = rule("Purchases", &[RiskKind::Purchase], count(2, hour), RiskAction::Block);
    let sum = RiskCondition::SumAbove { sum: amount(100), seconds: hour };
    let both = rule("Both", &[RiskKind::Deposit, RiskKind::Purchase], sum, RiskAction::Flag);
    let mut world = world(vec![operations.clone()]);
    check(
        &mut world,
        "ask A deposit 0 1       -> safe, balance 1
         buy A 10",
    );
    let remembered = |world: &World| world.ledger.rows.values().map(|row| row.risk.len()).sum::<usize>();
    assert_eq!(remembered(&world), 1, "no rule asks for purchases");
    world.apply(&with(vec![operations.clone(), purchases, both]), None).unwrap();
    check(
        &mut world,
        "buy A 10                -> safe
         buy A 90                -> flagged Both
         buy A 10                -> refused risk_blocked
         buy B 101               -> flagged Both
         ask B deposit 0 1       -> flagged Both, balance 1
         ask B deposit 0 1       -> refused risk_blocked
         after 3599s
         buy A 10                -> refused risk_blocked
         after 1s
         buy A 91                -> safe
         ask A deposit 0 10      -> refused risk_blocked
         after 1h
         ask A deposit 0 101     -> flagged Both, balance 102",
    );
    // The longest window is that of operations, and keeps what a purchase does not ask for.
    assert_eq!(remembered(&world), 1 + 1 + 2);
    // Where no rule asks for purchases any more, these go.
    world.apply(&with(vec![operations]), None).unwrap();
    world.now.0 += 3 * 3_600_000_000;
    check(
        &mut world,
        "buy A 10                -> safe
         buy A 10
         buy B 10                -> safe",
    );
    assert_eq!(remembered(&world), 0);
}

/// Neither pushes the other out: more purchases than are remembered make no rule of operations strike, and the other way round.
#[test]
fn purchases_and_operations_are_remembered_apart() {
    let count = |count, seconds| RiskCondition::CountAbove { count, seconds };
    let by = |count, seconds| RiskCondition::CountAboveBy { by: RiskParty::Partner, count, seconds };
    let day = 86_400;
    let mut world = world(vec![
        rule("Operations", &[], count(3, day), RiskAction::Block),
        rule("Holds of a partner", &[RiskKind::Hold], by(2, day), RiskAction::Block),
        rule("Purchases", &[RiskKind::Purchase], count(1_000, day), RiskAction::Flag),
        rule("Purchases of a partner", &[RiskKind::Purchase], by(1_000, 60), RiskAction::Flag),
        rule("Both", &[RiskKind::Deposit, RiskKind::Purchase], count(1_000, 60), RiskAction::Flag),
    ]);
    for _ in 0..REMEMBERED_MAX + 10 {
        world.now.0 += 1_000_000;
        let command = world.command(&["A", "1"]);
        world.purchase(command);
    }
    check(
        &mut world,
        "after 1h
         buy A 1                  -> flagged Purchases, for partner
         ask A deposit 0 5        -> safe, balance 5
         ask A hold 0 1 60 1      -> safe, for partner, hold 1 of 1
         ask A hold 0 1 60 1      -> safe, for partner, hold 2 of 1
         ask A hold 0 1 60 1      -> refused risk_blocked
         ask A deposit 0 5        -> refused risk_blocked
         ask B deposit 0 5        -> safe, balance 5",
    );
    let row = world.ledger.rows.values().max_by_key(|row| row.risk.len()).unwrap();
    let purchases = row.risk.iter().filter(|own| own.kind == RiskKind::Purchase).count();
    assert_eq!((purchases, row.risk.len()), (REMEMBERED_MAX, REMEMBERED_MAX + 3));
    let counted: Vec<RiskKind> = world.ledger.desk.counted_operations(TenantId(1)).map(|(_, own)| own.kind).collect();
    assert_eq!(counted.iter().filter(|kind| **kind == RiskKind::Purchase).count(), REMEMBERED_MAX);
    assert_eq!(counted.iter().filter(|kind| **kind == RiskKind::Hold).count(), 2);
    // A desk is made of its pieces, and a replay is equal.
    let mut restored = Desk::default();
    world.ledger.desk.pieces().for_each(|piece| restored.restore(piece).unwrap());
    let list = |desk: &Desk| desk.counted_operations(TenantId(1)).collect::<Vec<_>>();
    assert_eq!(list(&restored), list(&world.ledger.desk));
    let mut replayed = Ledger::default();
    world.records.iter().for_each(|record| replayed.evolve(record).unwrap());
    assert_eq!(replayed.rows, world.ledger.rows);
}

/// A partner's purchases are counted over all customers, and one waits for the other.
#[test]
fn purchases_of_a_partner_are_counted_over_all_customers() {
    let by = RiskCondition::CountAboveBy { by: RiskParty::Partner, count: 2, seconds: 3_600 };
    let holds = rule("Holds", &[], by, RiskAction::Block);
    let mut world = world(vec![holds.clone()]);
    check(&mut world, "buy A 10");
    assert_eq!(world.ledger.desk.counted_operations(TenantId(1)).count(), 0, "no rule asks for purchases");
    let own = rule("Shop", &[RiskKind::Purchase, RiskKind::Hold], by, RiskAction::Block);
    world.apply(&with(vec![holds, own]), None).unwrap();
    check(
        &mut world,
        "buy A 10                 -> safe, for partner
         buy B 10 by=2            -> safe, for partner
         ask A deposit 0 5        -> safe, balance 5
         ask A hold 0 1 60 1      -> safe, for partner, hold 1 of 1
         buy B 10                 -> refused risk_blocked
         buy C 10                 -> refused risk_blocked
         ask A hold 0 1 60 1      -> refused risk_blocked
         buy B 10 by=2            -> safe, for partner
         buy B 10 by=2            -> refused risk_blocked
         after 1h
         buy B 10                 -> safe, for partner",
    );
    let (own, other) = (world.command(&["A", "10"]), world.command(&["A", "10", "by=2"]));
    world.open.begin_parties(TenantId(1), &[CountedBy::Partner(own.partner)]);
    for (command, waits) in [(&own, true), (&other, false)] {
        let admission = world.admit(command);
        assert_eq!(matches!(admission, Admission::Wait), waits, "{admission:?}");
    }
    let dry = world.command(&["A", "10", "dry"]);
    assert!(matches!(world.admit(&dry), Admission::Admitted(_)));
}

/// Of one partner or device the latest are remembered, and where these lie in the window the rule strikes.
#[test]
fn what_is_remembered_of_a_device_is_bounded() {
    let sum = RiskCondition::SumAboveBy { by: RiskParty::Device, sum: amount(1_000_000), seconds: WINDOW_SECONDS_MAX };
    let mut world = world(vec![rule("Sum", &[], sum, RiskAction::Block)]);
    for _ in 0..REMEMBERED_MAX {
        let command = world.operation(&["A", "deposit", "0", "1", "dev=x"]);
        assert!(matches!(world.operate(command), Operated::Done(_)));
    }
    check(
        &mut world,
        "ask A deposit 0 1 dev=x         -> refused risk_blocked
         ask A deposit 0 1 dev=y         -> safe, for device, balance 1025
         after 31d
         ask A deposit 0 1 dev=x         -> safe, for device, balance 1026",
    );
    assert_eq!(world.ledger.desk.counted_operations(TenantId(1)).count(), 1, "what no window reaches is forgotten");
}

/// What a device did counts once it is released, for the device that was named then.
#[test]
fn what_is_released_counts_for_its_device() {
    let by = RiskCondition::CountAboveBy { by: RiskParty::Device, count: 1, seconds: 3_600 };
    check(
        &mut world(vec![rule("Device", &[], by, RiskAction::Review)]),
        "ask A deposit 0 5 dev=x         -> safe, for device, balance 5
         ask B deposit 0 5 dev=x         -> set aside by Device
         after 1h
         ask B deposit 0 6 dev=x         -> safe, for device, balance 6
         after 1800s
         ask B release 5                 -> released 5, flagged Device, for device, balance 11
         after 1860s
         ask B deposit 0 5 dev=x         -> set aside by Device",
    );
}

/// A check is archived once, by the position of its record, and a replay refuses what cannot be.
#[test]
fn a_check_is_archived_once() {
    let mut world = world(dompet());
    check(
        &mut world,
        "ask A deposit 0 1              -> safe, balance 1
         invoice archive 4 dry          -> would: check 4 archived
         invoice archive 4 key=a        -> check 4 archived
         invoice archive 4 key=a        -> known 5
         invoice archive 4              -> refused risk_check_archived",
    );
    let archived = |desk: &Desk| desk.archived(TenantId(1), Seq::ZERO, desk.last()).collect::<Vec<_>>();
    assert_eq!(archived(&world.ledger.desk), [Seq(4)]);
    let mut restored = Desk::default();
    world.ledger.desk.pieces().for_each(|piece| restored.restore(piece).unwrap());
    assert_eq!(archived(&restored), [Seq(4)]);
    let mut replayed = Ledger::default();
    world.records[..4].iter().for_each(|record| replayed.evolve(record).unwrap());
    let mut early = world.records[4].clone();
    early.body.events[1] = Event::RiskCheckArchived(RiskCheckArchived { check: Seq(5) });
    assert_eq!(replayed.clone().evolve(&early), Err(Inconsistency::WrongReview));
    replayed.evolve(&world.records[4]).unwrap();
    let twice = Record { seq: Seq(6), ..world.records[4].clone() };
    assert_eq!(replayed.evolve(&twice), Err(Inconsistency::WrongReview));
}
