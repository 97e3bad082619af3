//! What if: under the rules that held it differs in nothing, and under others it is what a fresh ledger would have come
//! to that was fed the same purchases under them.

use std::collections::BTreeMap;
use std::sync::Arc;

use kembali_core::accounts::HouseAccount;
use kembali_core::catalogue::{Catalogue, FulfillmentKind, OfferGives, RuleClock, UnknownCustomer};
use kembali_core::command::{ApplyCatalogue, PurchaseCommand};
use kembali_core::customer::Row;
use kembali_core::desk;
use kembali_core::draft::{
    CampaignDraft, CashbackDraft, CatalogueDraft, EarningDraft, FulfillmentDraft, PolicyDraft, ProgramDraft,
    RewardDraft, RewardPaysDraft, RiskRuleDraft,
};
use kembali_core::event::{Event, Record};
use kembali_core::ledger::Inconsistency;
use kembali_core::operation::OperationCommand;
use kembali_core::risk::{RiskAction, RiskCondition, RiskKind, RiskParty};
use kembali_core::totals::{TenantTotals, Totals, Turnover};
use kembali_core::upkeep::by_sweep;
use kembali_core::what_if::{Comparison, LeftOut, RanOut, TakenBack, WhatIf};
use kembali_core::{CustomerId, CustomerName, DAY_US, PurchaseKey, Rate, RejectionCode, Seq, TenantId, Unit, WalletId};
use proptest::prelude::*;

use crate::model::Rules;
use crate::operations::reviews;
use crate::property::{Op, Pair, any_op, any_rules};
use crate::support::{Seen, World, amount, check, depth, jakarta, kezbek, ladder};

const TENANT: TenantId = TenantId(1);

/// Makes a draft rules beside the present ones.
fn resolved(world: &World, draft: &CatalogueDraft) -> Arc<Catalogue> {
    let command =
        ApplyCatalogue { actor: None, draft: draft.clone(), keys: Vec::new(), expected_version: None, dry_run: true };
    let present = || Arc::clone(world.ledger.desk.catalogue(TENANT).unwrap());
    desk::apply(&world.ledger.desk, &command).unwrap().unwrap_or_else(present)
}

/// Decides the records of a world again, and returns the customers too.
fn again(world: &World, draft: &CatalogueDraft, from: Seq) -> (Comparison, BTreeMap<CustomerId, Row>) {
    let mut what_if = WhatIf::new(resolved(world, draft), from);
    let mut taken_back = TakenBack::default();
    world.records.iter().for_each(|record| taken_back.note(record));
    what_if.expect(taken_back);
    world.records.iter().cloned().try_for_each(|record| what_if.take(record)).unwrap();
    let rows = rows(what_if.rows());
    (what_if.finish(3).unwrap(), rows)
}

/// The rows without the versions that they were decided by, which are counted differently.
fn rows<'a>(rows: impl Iterator<Item = &'a Row>) -> BTreeMap<CustomerId, Row> {
    rows.map(|row| (row.id, Row { catalogue_version: 0, ..row.clone() })).collect()
}

/// A fresh ledger that `world`'s purchases and operations were sent to, with `draft` applied before `from`; and the records
/// from there on.
fn fresh(world: &World, draft: &CatalogueDraft, from: Seq) -> (World, Totals) {
    let mut fresh = World::default();
    let mut aliases = BTreeMap::new();
    let mut is_switched = false;
    let mut range = Totals::default();
    for record in &world.records {
        if let [Event::CatalogueApplied(rules)] = record.body.events.as_slice()
            && (record.seq < from || from == Seq(1))
        {
            fresh.now = record.body.received_at;
            let body = record.body.clone();
            assert_eq!(rules.version as usize, fresh.ledger.desk.catalogue_versions().count() + 1);
            fresh.write(body);
        }
        if from <= record.seq && !is_switched {
            is_switched = true;
            fresh.apply(draft, None).unwrap();
        }
        let (mut created, mut booked, mut done) = (None, None, None);
        for event in &record.body.events {
            match event {
                Event::CustomerCreated(own) => {
                    created = Some(own.alias);
                    aliases.insert(record.body.customer.unwrap(), own.alias);
                }
                Event::PurchaseBooked(own) => booked = Some(own),
                Event::OperationDone(own) => done = Some((own.actor, own.fingerprint, own.operation.clone())),
                Event::TransferSent(own) => done = Some((own.actor, own.fingerprint, own.operation())),
                // It was asked when it was sent.
                Event::TransferSettled(_) => done = None,
                _ => (),
            }
        }
        if let Some((actor, fingerprint, operation)) = done {
            fresh.now = record.body.received_at;
            let before = fresh.records.len();
            fresh.operate(OperationCommand {
                tenant: TENANT,
                actor,
                key: None,
                fingerprint,
                customer: created.map_or(CustomerName::Id(record.body.customer.unwrap()), CustomerName::Alias),
                operation,
                device: None,
                text: None,
                dry_run: false,
                original: None,
                other_records: Vec::new(),
            });
            if is_switched {
                fresh.records[before..].iter().for_each(|record| range.evolve(record));
            }
        }
        let Some(booked) = booked else { continue };
        fresh.now = record.body.received_at;
        let seen = fresh.purchase(PurchaseCommand {
            tenant: TENANT,
            partner: booked.partner,
            key: booked.key,
            fingerprint: booked.fingerprint,
            customer: CustomerName::Alias(aliases[&record.body.customer.unwrap()]),
            alias_text: None,
            purchase: booked.purchase.clone(),
            dry_run: false,
            other_records: Vec::new(),
        });
        if let (Seen::Booked(record), true) = (seen, is_switched) {
            range.evolve(&record);
        }
    }
    (fresh, range)
}

/// Holds what-if from `from` on against a fresh ledger.
fn compare(world: &World, draft: &CatalogueDraft, from: Seq) -> Comparison {
    let (comparison, seen) = again(world, draft, from);
    let (fresh, range) = fresh(world, draft, from);
    assert_eq!(seen, rows(fresh.ledger.rows.values()), "the customers differ");
    let whole = fresh.ledger.totals.tenant(TENANT).cloned().unwrap_or_default();
    let mut wanted = range.tenant(TENANT).cloned().unwrap_or_default();
    (wanted.members, wanted.customers) = (whole.members, whole.customers);
    let rejected = std::mem::take(&mut wanted.rejected);
    assert_eq!(comparison.after, wanted, "the sums differ");
    assert!(rejected.is_empty(), "only bookings were summed");
    let refused: u64 = comparison.refused.values().sum();
    assert_eq!(comparison.purchases, comparison.after.accepted + refused);
    assert_eq!(comparison.purchases, comparison.before.accepted);
    check_people(&comparison);
    comparison
}

/// The differences of the customers sum to the difference of the sums.
fn check_people(comparison: &Comparison) {
    let Comparison { before, after, people, .. } = comparison;
    let units = [before, after].into_iter().flat_map(|totals| totals.wallets.keys().chain(totals.points.keys()));
    for unit in units {
        // What they hold, and what they had and time took.
        let got = |totals: &TenantTotals| {
            let held = totals.wallets.get(unit).or_else(|| totals.points.get(unit)).copied().unwrap_or(0);
            held + totals.house.get(&(*unit, HouseAccount::PointsExpired)).map_or(0, |sum| sum.credits)
        };
        let own = people.get(unit).cloned().unwrap_or_default();
        assert_eq!(own.winners.sum + own.losers.sum, got(after) - got(before), "{unit:?}");
        assert!(0 <= own.winners.sum && own.losers.sum <= 0);
        for side in [own.winners, own.losers] {
            assert_eq!(side.largest.len() as u64, side.customers.min(3));
            assert!(side.largest.windows(2).all(|pair| pair[1].1.abs() <= pair[0].1.abs()));
        }
    }
}

/// The first position behind the last change of the rules.
fn behind_rules(records: &[Record]) -> Seq {
    let is_change = |record: &&Record| matches!(record.body.events[0], Event::CatalogueApplied(_));
    records.iter().rev().find(is_change).unwrap().seq.next()
}

fn history(rules: Rules, ops: &[Op]) -> Pair {
    let mut pair = Pair::new(rules);
    ops.iter().for_each(|op| pair.run(op));
    pair
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500 * depth()))]

    /// R19b: under the rules that hold, from where they hold, nothing differs; from nowhere on, nothing can.
    #[test]
    fn r19b_the_same_rules_make_no_difference(
        rules in any_rules(), ops in prop::collection::vec(any_op(), 1..60), at in any::<prop::sample::Index>(),
    ) {
        let pair = history(rules, &ops);
        let (world, draft) = (&pair.world, pair.rules.draft());
        let (first, end) = (behind_rules(&world.records), world.ledger.desk.last().next());
        let later = Seq(first.0 + at.index((end.0 - first.0 + 1) as usize) as u64);
        for from in [first, later, end] {
            let comparison = compare(world, &draft, from);
            prop_assert!(comparison.is_same(), "{comparison:?}");
            let purchases = |record: &&Record| {
                let is_purchase = |event: &Event| matches!(event, Event::PurchaseBooked(_));
                from <= record.seq && record.body.events.iter().any(is_purchase)
            };
            prop_assert_eq!(comparison.purchases, world.records.iter().filter(purchases).count() as u64);
        }
    }

    /// Under any other rules, from any position on, it is what a ledger would have come to that got them there.
    #[test]
    fn other_rules_give_what_a_fresh_ledger_would(
        rules in any_rules(), ops in prop::collection::vec(any_op(), 1..60),
        changes in prop::collection::vec(any_op(), 0..8), drops in 0..3usize, flips in 0..8u8,
        at in any::<prop::sample::Index>(),
    ) {
        let is_history = |op: &&Op| matches!(op, Op::Buy(_) | Op::Again(_) | Op::Wait(_));
        let ops: Vec<Op> = ops.iter().filter(is_history).cloned().collect();
        let pair = history(rules, &ops);
        let mut wanted = pair.rules.clone();
        for change in changes {
            match change {
                Op::Quota(promo, quota) => {
                    if let Some(promo) = wanted.promos.get_mut(usize::from(promo)) {
                        promo.quota = quota;
                    }
                }
                Op::CountMax(program, level, max) => {
                    let program = wanted.programs.get_mut(usize::from(program));
                    if let Some(level) = program.and_then(|program| program.levels.get_mut(usize::from(level))) {
                        level.max = max;
                        level.milestones.retain(|at, _| *at <= max);
                    }
                }
                _ => (),
            }
        }
        wanted.promos.truncate(2 - drops.min(2));
        wanted.must_exist ^= flips & 1 != 0;
        wanted.ignore_unknown ^= flips & 2 != 0;
        wanted.by_occurred ^= flips & 4 != 0;
        let last = pair.world.ledger.desk.last().0;
        for from in [Seq(1), Seq(2 + at.index(last as usize) as u64)] {
            compare(&pair.world, &wanted.draft(), from);
        }
    }
}

/// Every kind of rule.
fn everything() -> CatalogueDraft {
    let threshold = [("Bronze", 0), ("Silver", 20_000), ("Gold", 60_000)];
    let level = |(name, min): (&str, i64)| (name.to_string(), amount(min));
    let mut draft = kezbek();
    draft.clock = RuleClock::Occurred;
    draft.promos[0].quota = 25;
    draft.promos[0].ends_at = jakarta("2024-01-31 23:59:59");
    draft.programs.push(ProgramDraft {
        renames: Default::default(),
        name: "Spend".into(),
        policy: PolicyDraft::Threshold(threshold.into_iter().map(level).collect()),
    });
    let cashback = |name: &str, rate: &str, products: &[&str]| CashbackDraft {
        description: None,
        name: name.into(),
        rate: Rate::parse(rate).unwrap(),
        products: products.iter().map(|product| (*product).to_string()).collect(),
        partner: None,
        is_active: true,
        ends_at: None,
        pays: "points".into(),
        life_days: Some(5),
        pending_days: None,
    };
    let buy = |product: &str, min: i64, is_cumulative: bool| FulfillmentDraft {
        name: product.into(),
        kind: FulfillmentKind::Buy { product: Some(product.into()), amount_min: amount(min), is_cumulative },
    };
    let campaign = |name: &str, fulfillments: &[&str], reward: &str, completions_max: Option<u32>| CampaignDraft {
        name: name.into(),
        fulfillments: fulfillments.iter().map(|own| (*own).to_string()).collect(),
        rewards: vec![reward.into()],
        starts_at: None,
        ends_at: None,
        completions_max,
        budget: None,
    };
    draft.earning = EarningDraft {
        point_kinds: vec!["points".into()],
        offers: Vec::new(),
        external_ids: Vec::new(),
        cashback_rules: vec![cashback("Milk", "0.05", &["MILK"]), cashback("All", "0.01", &[])],
        fulfillments: vec![
            buy("MILK", 900, false),
            buy("PIZZA", 3_000, true),
            buy("TEA", 0, false),
            FulfillmentDraft { name: "Reviews".into(), kind: FulfillmentKind::Tag { tag: "review".into(), count: 3 } },
        ],
        rewards: vec![
            RewardDraft {
                name: "Points".into(),
                pays: RewardPaysDraft::Points {
                    kind: "points".into(),
                    points: amount(70),
                    life_days: Some(3),
                    pending_days: None,
                },
            },
            RewardDraft { name: "Cash".into(), pays: RewardPaysDraft::WalletCredit(amount(500)) },
        ],
        campaigns: vec![
            campaign("Movie", &["PIZZA", "MILK"], "Points", None),
            campaign("Tea", &["TEA", "PIZZA"], "Cash", Some(1)),
            campaign("Critic", &["Reviews"], "Cash", None),
        ],
    };
    draft
}

/// Other rules of every kind: changed, added, removed.
fn otherwise() -> CatalogueDraft {
    let mut draft = everything();
    draft.promos[0].quota = 60;
    draft.promos[0].funded_by = Some("tokopedia".into());
    ladder(&mut draft).downgrade_after_days = 3;
    ladder(&mut draft).levels[0].count_max = 5;
    ladder(&mut draft).levels[0].milestones = vec![(2, amount(1_000)), (5, amount(9_000))];
    let PolicyDraft::Threshold(levels) = &mut draft.programs[1].policy else { panic!("spend is a threshold") };
    levels[1].1 = amount(10_000);
    levels.push(("Platinum".into(), amount(90_000)));
    let earning = &mut draft.earning;
    earning.cashback_rules.remove(1);
    earning.cashback_rules[0].rate = Rate::parse("0.11").unwrap();
    earning.cashback_rules.push(CashbackDraft {
        description: None,
        name: "Tea".into(),
        ..earning.cashback_rules[0].clone()
    });
    earning.cashback_rules[1].products = vec!["TEA".into()];
    earning.fulfillments[0].kind =
        FulfillmentKind::Buy { product: Some("MILK".into()), amount_min: amount(300), is_cumulative: true };
    earning.campaigns[1].completions_max = None;
    earning.fulfillments[3].kind = FulfillmentKind::Tag { tag: "review".into(), count: 2 };
    draft
}

/// Some hundred baskets of a few customers over three months, some of them refused, with changes of nothing else.
fn baskets(draft: &CatalogueDraft) -> World {
    baskets_and(draft, &[])
}

/// The same, with some of these operations between them.
fn baskets_and(draft: &CatalogueDraft, operations: &[&str]) -> World {
    let mut world = World::new(draft, jakarta("2023-12-20 08:00:00"));
    let mut state: u64 = 0x51ab_7c03;
    let mut draw = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for _ in 0..400 * depth() {
        world.now.0 += draw(DAY_US as u64 / 2) as i64;
        let name = ["A", "B", "C", "D", "E", "F", "G"][draw(7) as usize];
        let mut lines: Vec<(&str, u64)> = Vec::new();
        for product in ["MILK", "PIZZA", "TEA", "SOAP"] {
            if draw(3) == 0 {
                lines.push((product, draw(2_000)));
            }
        }
        lines.push(("BREAD", 100 + draw(5_000)));
        let total: u64 = lines.iter().map(|line| line.1).sum();
        let lines: Vec<String> = lines.iter().map(|(product, paid)| format!("{product}:1:{paid}")).collect();
        let mut words = vec![name.to_string(), total.to_string(), format!("lines={}", lines.join("+"))];
        words.push(format!("by={}", 1 + draw(2)));
        words.push(format!("occurred=-{}h", draw(30)));
        match draw(10) {
            0 => (),
            1 => words.push("code=NONE".into()),
            _ => words.push("code=KEZBEK1000".into()),
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let command = world.command(&words);
        world.purchase(command);
        if !operations.is_empty() && draw(2) == 0 {
            let operation = operations[draw(operations.len() as u64) as usize];
            let name = ["A", "B", "C", "D", "E", "F", "G", "H"][draw(8) as usize];
            let mut words = vec![name];
            words.extend(operation.split(' '));
            world.ask(&words);
        }
    }
    world
}

/// A hold that would not be there shifts the numbers of those behind it.
#[test]
fn holds_are_asked_again_whatever_their_numbers_would_be() {
    let mut world = World::new(&reviews(), jakarta("2024-01-15 09:00:00"));
    check(
        &mut world,
        "ask A create         -> new
         ask A did review     -> Critic/Two reviews at 1
         ask A did review     -> Critic/Two reviews met 2, Critic done 1, reward Seventy, reward Ten, balance 70, points 10
         ask A hold 0 70      -> hold 1 of 70
         ask A deposit 0 50   -> balance 120
         ask A hold 0 50      -> hold 2 of 50
         ask A settle 1       -> hold 1 settled 70, balance 50
         ask A settle 2 20    -> hold 2 settled 20, balance 30
         ask A hold 0 30 60   -> hold 3 of 30
         after 60s
         ask A take 0 30      -> hold 3 expired, balance 0",
    );
    assert!(compare(&world, &reviews(), Seq(1)).is_same());
    let mut less = reviews();
    less.earning.rewards[0].pays = RewardPaysDraft::WalletCredit(amount(10));
    let mut what_if = WhatIf::new(resolved(&world, &less), Seq(1));
    world.records.iter().for_each(|record| what_if.take(record.clone()).unwrap());
    let row = what_if.rows().next().unwrap();
    assert_eq!((row.holds_placed, row.holds.len(), row.balance(WalletId(0)).minor_units()), (2, 0, 10));
    let seen = what_if.finish(1).unwrap();
    assert_eq!(seen.refused_operations, [("balance_too_small", 1), ("hold_not_found", 1)].into());

    let holds =
        ["create", "deposit 0 700", "hold 0 500", "hold 0 90 2000000", "settle 1", "settle 2 9", "void 3", "take 0 40"];
    let world = baskets_and(&everything(), &holds);
    let placed = |row: &&Row| 0 < row.holds_placed;
    assert!(3 < world.ledger.rows.values().filter(placed).count());
    for from in [1, world.ledger.desk.last().0 / 2].map(Seq) {
        let (same, customers) = again(&world, &everything(), from);
        assert!(same.is_same(), "{same:?}");
        assert_eq!(customers, rows(world.ledger.rows.values()));
    }
}

fn is_step(event: &Event) -> bool {
    matches!(
        event,
        Event::TransferCredited(_)
            | Event::TransferDeclined(_)
            | Event::TransferSettled(_)
            | Event::TransferReturned(_)
    )
}

/// Wherever the range begins, also in the middle of a transfer: the same rules make no difference, and others send what
/// would be there to send.
#[test]
fn a_range_may_begin_and_end_in_the_middle_of_a_transfer() {
    let mut world = World::new(&reviews(), jakarta("2024-01-15 09:00:00"));
    check(
        &mut world,
        "ask A create         -> new
         ask B create         -> new
         ask A did review     -> Critic/Two reviews at 1
         ask A did review     -> Critic/Two reviews met 2, Critic done 1, reward Seventy, reward Ten, balance 70, points 10
         ask A send 0 B 0 60  -> left 10
         ask B freeze 0       -> frozen
         ask A send 0 B 0 5   -> refused target_wallet_frozen
         ask A take 0 10      -> balance 0",
    );
    for from in 1..=world.ledger.desk.last().0 + 1 {
        let (same, customers) = again(&world, &reviews(), Seq(from));
        assert!(same.is_same(), "from {from}: {same:?}");
        assert_eq!(customers, rows(world.ledger.rows.values()), "from {from}");
        // And wherever it ends.
        for to in from..=world.ledger.desk.last().0 {
            let records = world.records.iter().take(to as usize).cloned().collect();
            let (same, _) = again(&World { records, ..world.clone() }, &reviews(), Seq(from));
            assert!(same.is_same(), "from {from} to {to}: {same:?}");
        }
    }
    let mut less = reviews();
    less.earning.rewards[0].pays = RewardPaysDraft::WalletCredit(amount(50));
    let (seen, customers) = again(&world, &less, Seq(1));
    assert_eq!(
        seen.refused_operations,
        [("balance_too_small", 1)].into(),
        "there is less to send, and as much to take"
    );
    let balances: Vec<i64> = customers.values().map(|row| row.balance(WalletId(0)).minor_units()).collect();
    assert_eq!(balances.iter().sum::<i64>(), 40);
    assert_eq!(seen.operations, 7);
}

/// A reversal takes back what the operation had done in the second state.
#[test]
fn reversals_are_asked_again() {
    let mut world = World::new(&reviews(), jakarta("2024-01-15 09:00:00"));
    check(
        &mut world,
        "ask A create         -> new
         ask A did review     -> Critic/Two reviews at 1
         ask A did review     -> Critic/Two reviews met 2, Critic done 1, reward Seventy, reward Ten, balance 70, points 10
         ask A take 0 71      -> refused balance_too_small
         ask A redeem Cash 1  -> Cash 1, balance 120, points 5
         ask A deposit 0 9    -> balance 129
         ask A undo 6         -> reversed 6, balance 79, points 10
         ask A undo 7         -> reversed 7, balance 70
         ask A redeem Cash 2  -> Cash 2, balance 170, points 0",
    );
    for from in 1..=world.ledger.desk.last().0 + 1 {
        let (same, customers) = again(&world, &reviews(), Seq(from));
        assert!(same.is_same(), "from {from}: {same:?}");
        // Positions of the second state are its own.
        let there = customers.into_values().next().unwrap();
        let own = world.ledger.rows.values().next().unwrap();
        assert_eq!((there.wallets, there.points, there.reversed.len()), (own.wallets.clone(), own.points.clone(), 2));
    }
    // Where an offer gives less, less is taken back; where there is none, nothing was done that could be reversed.
    let mut less = reviews();
    less.earning.offers[1].gives = OfferGives::WalletCredit { amount: amount(30) };
    let (seen, customers) = again(&world, &less, Seq(1));
    assert!(seen.refused_operations.is_empty(), "{seen:?}");
    assert_eq!(customers.into_values().next().unwrap().balance(WalletId(0)).minor_units(), 130);
    let mut none = reviews();
    none.earning.offers.truncate(1);
    let (seen, customers) = again(&world, &none, Seq(1));
    assert_eq!(seen.refused_operations, [("offer_not_found", 2), ("operation_not_reversible", 1)].into());
    assert_eq!(customers.into_values().next().unwrap().balance(WalletId(0)).minor_units(), 70);
}

/// What is set aside is released or rejected where that happened, if the wanted rules set it aside too.
#[test]
fn what_was_set_aside_is_asked_again() {
    let above = |bound: i64| CatalogueDraft {
        risk_rules: vec![RiskRuleDraft {
            name: "Much".into(),
            operations: Vec::new(),
            condition: RiskCondition::AmountAbove(amount(bound)),
            action: RiskAction::Review,
        }],
        ..reviews()
    };
    let mut world = World::new(&above(100), jakarta("2024-01-15 09:00:00"));
    check(
        &mut world,
        "ask A create            -> new
         ask B create            -> new
         ask A deposit 0 100     -> safe, balance 100
         ask A deposit 0 350     -> set aside by Much
         ask A release 5         -> released 5, flagged Much, balance 450
         ask A send 0 B 0 200    -> set aside by Much
         ask A deposit 0 150     -> set aside by Much
         ask A release 7         -> left 250
         ask A reject 8          -> rejected 8
         ask A deposit 0 101     -> set aside by Much",
    );
    let balances = |rows: BTreeMap<CustomerId, Row>| {
        let mut all: Vec<i64> = rows.values().map(|row| row.balance(WalletId(0)).minor_units()).collect();
        all.sort_unstable();
        all
    };
    for from in 1..=world.ledger.desk.last().0 + 1 {
        let (same, customers) = again(&world, &above(100), Seq(from));
        assert!(same.is_same(), "from {from}: {same:?}");
        assert_eq!(balances(customers), [200, 250], "from {from}");
    }
    // Nothing is set aside: the transfer goes its way at once, and nobody rejects anything.
    let (seen, customers) = again(&world, &above(1_000), Seq(1));
    assert!(seen.refused_operations.is_empty(), "{seen:?}");
    assert_eq!(balances(customers), [200, 501]);
    // More is: what nobody has released is not done.
    let (seen, customers) = again(&world, &above(99), Seq(1));
    assert_eq!(seen.refused_operations, [("in_review", 1)].into());
    assert_eq!(balances(customers), [150, 200]);
}

/// Where the wanted rules do at once what was set aside, whatever names what was released means that: reversals, and holds by
/// their numbers.
#[test]
fn what_follows_a_release_finds_what_was_done_at_once() {
    let sets_aside = CatalogueDraft {
        risk_rules: vec![RiskRuleDraft {
            name: "Much".into(),
            operations: Vec::new(),
            condition: RiskCondition::AmountAbove(amount(100)),
            action: RiskAction::Review,
        }],
        ..reviews()
    };
    let mut world = World::new(&sets_aside, jakarta("2024-01-15 09:00:00"));
    check(
        &mut world,
        "ask A create            -> new
         ask A give 0 9000       -> balance 9000
         ask A deposit 0 350     -> set aside by Much
         ask A hold 0 150        -> set aside by Much
         ask A hold 0 50         -> safe, hold 1 of 50
         ask A release 4         -> released 4, flagged Much, balance 9350
         ask A release 5         -> released 5, flagged Much, hold 2 of 150
         ask A undo 7            -> reversed 7, balance 9000
         ask A settle 2          -> hold 2 settled 150, balance 8850
         ask A settle 1          -> hold 1 settled 50, balance 8800",
    );
    let balance =
        |rows: BTreeMap<CustomerId, Row>| rows.into_values().next().unwrap().balance(WalletId(0)).minor_units();
    for draft in [&sets_aside, &reviews()] {
        for from in 1..=world.ledger.desk.last().0 + 1 {
            let (seen, customers) = again(&world, draft, Seq(from));
            assert!(seen.refused_operations.is_empty(), "from {from}: {seen:?}");
            assert_eq!(balance(customers), 8_800, "from {from}");
        }
    }
}

/// What was reversed before the range is known by its place in the journal, which others share.
#[test]
fn reversals_before_the_range_are_told_apart() {
    let mut world = World::new(&reviews(), jakarta("2024-01-15 09:00:00"));
    let other = CatalogueDraft { slug: "other".into(), ..reviews() };
    check(&mut world, "ask A create            -> new");
    // The second state has the tenant's records alone, so its positions lie behind those of the journal.
    world.apply(&other, None).unwrap();
    check(
        &mut world,
        "ask A deposit 0 9       -> balance 9
         ask A deposit 0 5       -> balance 14
         ask A deposit 0 6       -> balance 20
         ask A undo 4            -> reversed 4, balance 11
         ask A undo 6            -> reversed 6, balance 5",
    );
    for from in 1..=world.ledger.desk.last().0 + 1 {
        let (same, _) = again(&world, &reviews(), Seq(from));
        assert!(same.is_same(), "from {from}: {same:?}");
    }
}

/// Operations are asked again at their place: what they do beside other rules is what a fresh ledger would have done.
#[test]
fn operations_are_asked_again() {
    let every = [
        "create",
        "open",
        "rename 1",
        "freeze 1",
        "thaw 1",
        "close 1",
        "freeze 0",
        "thaw 0",
        "thaw 0",
        "deposit 0 700",
        "deposit 1 90",
        "give 0 50",
        "take 0 400",
        "take 0 9000",
        "take 0 15000",
        "take 0 40000",
        "send 0 A 0 300",
        "send 0 B 0 7000",
        "send 0 C 1 40",
        "send 1 D 0 60",
        "did review",
        "did review",
        "did review occurred=-3h",
        "promote Journey",
        "demote Journey",
        "promote Spend",
        "demote Spend",
    ];
    let world = baskets_and(&everything(), &every);
    let done = |record: &&Record| record.body.events.iter().any(|event| matches!(event, Event::OperationDone(_)));
    let refused = |record: &&Record| record.body.events.iter().any(|event| matches!(event, Event::OperationRefused(_)));
    let last = world.ledger.desk.last().0;
    let mut refused_then = BTreeMap::new();
    let of = |wanted: fn(&Event) -> bool| world.records.iter().filter(|own| own.body.events.iter().any(wanted)).count();
    let sent = of(|event| matches!(event, Event::TransferSent(_)));
    let returned = of(|event| matches!(event, Event::TransferReturned(_)));
    assert!(10 < sent && 2 < returned && returned < sent, "{sent} {returned}");
    for from in [1, 2, 3, last / 3, last / 2, last, last + 1] {
        // A fresh ledger cannot get other rules in the middle of a transfer.
        let is_between = |seq: &u64| {
            let record = usize::try_from(*seq).ok().and_then(|seq| world.records.get(seq - 1));
            !record.is_some_and(|record| record.body.events.iter().any(is_step))
        };
        let from = (from..).map(Seq).find(|seq| is_between(&seq.0)).unwrap();
        let same = compare(&world, &everything(), from);
        assert!(same.is_same(), "{same:?}");
        let in_range = || world.records.iter().filter(|record| from <= record.seq);
        assert_eq!(same.operations, in_range().filter(done).count() as u64);
        assert_eq!(same.left_out.refused_operations, in_range().filter(refused).count() as u64);
        assert_eq!(same.left_out.others, 0, "no operation is left out");
        let otherwise = compare(&world, &otherwise(), from);
        assert!(!otherwise.is_same(), "from {}", from.0);
        refused_then.extend(otherwise.refused_operations);
    }
    // Whoever would have stood or had otherwise cannot always be moved and taken from the same.
    assert!(refused_then.contains_key("balance_too_small"), "{refused_then:?}");
    let completed = |from| {
        let comparison = compare(&world, &otherwise(), from);
        let critic = world.ledger.desk.catalogue(TENANT).unwrap().campaigns[2].id;
        (comparison.before.campaigns[&critic], comparison.after.campaigns[&critic])
    };
    let (before, after) = completed(Seq(1));
    assert!(0 < before && before < after, "{before} {after}: two reviews are enough then");
}

#[test]
fn every_kind_of_rule_gives_what_a_fresh_ledger_would() {
    let world = baskets(&everything());
    let last = world.ledger.desk.last().0;
    for from in [1, 2, 3, last / 3, last / 2, last, last + 1].map(Seq) {
        assert!(compare(&world, &everything(), from).is_same());
        // Behind the end too: the quota that ran out would have something left.
        assert!(!compare(&world, &otherwise(), from).is_same(), "from {}", from.0);
    }
    // And back: rules that were added are removed.
    let world = baskets(&otherwise());
    let mut back = everything();
    let PolicyDraft::Threshold(levels) = &mut back.programs[1].policy else { panic!("spend is a threshold") };
    levels.push(("Platinum".into(), amount(900_000)));
    let comparison = compare(&world, &back, Seq(1));
    let Comparison { before, after, people, .. } = &comparison;
    assert!(before.campaigns.values().all(|count| 0 < *count) && after.campaigns.values().all(|count| 0 < *count));
    assert!(before.cashback != after.cashback && before.rewards != after.rewards && before.remarks != after.remarks);
    let expense = |totals: &TenantTotals, partner: u32| {
        let of_partner = |((_, own), sum): (&(Unit, HouseAccount), &Turnover)| {
            (*own == HouseAccount::PromoExpense(kembali_core::PartnerId(partner))).then_some(sum.net())
        };
        totals.house.iter().filter_map(of_partner).sum::<i128>()
    };
    assert_eq!((expense(before, 1), expense(after, 2) > 0), (0, true), "another partner pays");
    assert_eq!(people.len(), 2, "money and points");
}

/// What the second state remembers and counts is its own, as a fresh ledger's is.
#[test]
fn purchases_are_looked_at_again() {
    let rule = |name: &str, condition, action| RiskRuleDraft {
        name: name.into(),
        operations: vec![RiskKind::Purchase],
        condition,
        action,
    };
    let day = 86_400;
    let rules = |most, action| {
        let of_partner = RiskCondition::CountAboveBy { by: RiskParty::Partner, count: 5, seconds: day };
        let of_customer = RiskCondition::SumAbove { sum: amount(most), seconds: 7 * day };
        let much = rule("Much", of_customer, action);
        CatalogueDraft { risk_rules: vec![much, rule("Shop", of_partner, RiskAction::Block)], ..everything() }
    };
    let flags = rules(9_000, RiskAction::Flag);
    let world = baskets(&flags);
    let blocked = world.ledger.totals.tenant(TENANT).unwrap().rejected.get(&RejectionCode::RiskBlocked).copied();
    assert!(blocked.is_some_and(|blocked| 0 < blocked), "the history blocks some");
    let last = world.ledger.desk.last().0;
    for from in [1, 2, last / 2, last].map(Seq) {
        assert!(compare(&world, &flags, from).is_same(), "from {}", from.0);
    }
    for from in [1, last / 2].map(Seq) {
        let comparison = compare(&world, &rules(12_000, RiskAction::Block), from);
        let refused = &comparison.refused;
        assert!(refused.keys().eq([&RejectionCode::RiskBlocked]) && 10 < refused[&RejectionCode::RiskBlocked]);
        assert!(refused[&RejectionCode::RiskBlocked] < comparison.purchases, "{refused:?}");
    }
}

#[test]
fn a_quota_says_where_it_runs_out() {
    let mut draft = kezbek();
    draft.promos[0].quota = 3;
    let mut world = World::new(&draft, jakarta("2023-01-02 00:00:00"));
    let script = (1..=6).map(|_| "after 1d\nbuy A 1000 code=KEZBEK1000 qty=1").collect::<Vec<_>>().join("\n");
    script.lines().for_each(|step| {
        let words: Vec<&str> = step.split(' ').collect();
        match words[0] {
            "buy" => {
                let command = world.command(&words[1..]);
                world.purchase(command);
            }
            _ => world.now.0 += DAY_US,
        }
    });
    let ran_out = |seq: u64| RanOut { seq: Seq(seq), at: world.records[seq as usize - 1].body.received_at };
    let promo = world.promo("KEZBEK1000").1;
    let with = |quota: u64, from: u64| {
        let mut wanted = draft.clone();
        wanted.promos[0].quota = quota;
        let comparison = compare(&world, &wanted, Seq(from));
        let Comparison { before, after, ran_out_before, ran_out_after, .. } = &comparison;
        let sums = |totals: &TenantTotals| {
            let own = totals.promos.get(&promo).copied().unwrap_or_default();
            (own.granted, own.points, own.declined_exhausted)
        };
        assert_eq!(ran_out_before.get(&promo), Some(&ran_out(4)));
        (sums(before), sums(after), ran_out_after.get(&promo).copied(), comparison.is_same())
    };
    // The catalogue is the first record, so the purchases are 2 to 7. Each earns 12.
    assert_eq!(with(3, 1), ((3, 36, 3), (3, 36, 3), Some(ran_out(4)), true));
    assert_eq!(with(5, 1), ((3, 36, 3), (5, 60, 1), Some(ran_out(6)), false));
    assert_eq!(with(9, 1), ((3, 36, 3), (6, 72, 0), None, false));
    assert_eq!(with(0, 1), ((3, 36, 3), (0, 0, 6), Some(ran_out(1)), false));
    // Only what lies in the range is summed, and units used before it are used.
    assert_eq!(with(4, 5), ((0, 0, 3), (1, 12, 2), Some(ran_out(5)), false));
    assert_eq!(with(2, 5), ((0, 0, 3), (0, 0, 3), Some(ran_out(4)), true));
}

#[test]
fn a_customer_whose_first_purchase_is_refused_comes_with_the_next() {
    let mut world = World::new(&kezbek(), jakarta("2023-01-02 00:00:00"));
    check(
        &mut world,
        "buy A 5 code=KEZBEK1000 -> new, rounds to zero, BRONZE 1 FIRST
         buy A 0 -> refused amount_not_positive
         buy id:A 5 code=KEZBEK1000 -> rounds to zero, BRONZE 2
         buy id:A 7 -> BRONZE 3, milestone 15000, balance 15000
         buy B 7 -> new, BRONZE 1 FIRST",
    );
    let without = CatalogueDraft { promos: Vec::new(), ..kezbek() };
    let comparison = compare(&world, &without, Seq(1));
    assert_eq!(comparison.refused, BTreeMap::from([(RejectionCode::PromoUnknown, 2)]));
    assert_eq!((comparison.before.customers, comparison.after.customers), (2, 2));
    assert_eq!(comparison.left_out, LeftOut { refusals: 1, catalogues: 1, ..LeftOut::default() });
    assert_eq!(comparison.people.values().next().unwrap().losers.sum, -15_000);

    let strict = CatalogueDraft { unknown_customer: UnknownCustomer::MustExist, ..kezbek() };
    let comparison = compare(&world, &strict, Seq(1));
    assert_eq!(comparison.refused, BTreeMap::from([(RejectionCode::CustomerUnknown, 4)]));
    assert_eq!((comparison.after.customers, comparison.after.accepted), (0, 0));
    let comparison = compare(&world, &strict, Seq(3));
    assert_eq!(comparison.refused, BTreeMap::from([(RejectionCode::CustomerUnknown, 1)]));
}

/// Keys that begin alike were told apart by their records when they were booked; here no key stands in another's way.
#[test]
fn keys_that_begin_alike_are_two_purchases() {
    let mut world = World::new(&kezbek(), jakarta("2023-01-02 00:00:00"));
    let words = ["A", "1000", "code=KEZBEK1000"];
    let mut first = world.command(&words);
    first.key = PurchaseKey(1 << 64 | 1);
    assert!(matches!(world.purchase(first), Seen::Booked(_)));
    let mut second = world.command(&words);
    (second.key, second.other_records) = (PurchaseKey(1 << 64 | 2), vec![Seq(2)]);
    assert!(matches!(world.purchase(second), Seen::Booked(_)));
    let (comparison, _) = again(&world, &kezbek(), Seq(1));
    assert!(comparison.is_same() && comparison.purchases == 2, "{comparison:?}");
}

/// A record that books no purchase is left out, but for the customer whom it makes.
#[test]
fn other_records_are_left_out_and_counted() {
    let mut world = World::new(&kezbek(), jakarta("2023-01-02 00:00:00"));
    check(
        &mut world,
        "buy A 5 -> new, BRONZE 1 FIRST\nbuy A 5 -> BRONZE 2\nbuy A 7 -> BRONZE 3, milestone 15000, balance 15000",
    );
    // What made the customer and what moved its wallet stand in records of their own.
    let [_, first, _, third] = &mut world.records[..] else { panic!("four records") };
    let (mut made, mut paid) = (first.clone(), third.clone());
    made.body.events.retain(|event| matches!(event, Event::CustomerCreated(_)));
    first.body.events.remove(0);
    paid.body.events.retain(|event| matches!(event, Event::WalletEntry(_)));
    world.records.insert(1, made);
    world.records.push(paid);
    let wanted = resolved(&world, &kezbek());
    let mut what_if = WhatIf::new(Arc::clone(&wanted), Seq(1));
    for (record, seq) in world.records.iter().cloned().zip(1..) {
        what_if.take(Record { seq: Seq(seq), ..record }).unwrap();
    }
    let comparison = what_if.finish(1).unwrap();
    assert_eq!(comparison.left_out, LeftOut { catalogues: 1, others: 2, ..LeftOut::default() });
    assert!(comparison.is_same() && comparison.purchases == 3, "{comparison:?}");

    // Without it nobody is there to buy.
    let mut what_if = WhatIf::new(wanted, Seq(1));
    let customer = world.records[2].body.customer.unwrap();
    assert_eq!(what_if.take(world.records[2].clone()), Err(Inconsistency::UnknownCustomer(customer)));
}

/// Who is placed because a level is gone is placed here too: by the purchase or the sweep that did it, and at once where
/// the rules asked about are those that remove the level.
#[test]
fn customers_of_a_removed_level_are_placed_as_the_ledger_places_them() {
    let spend = |levels: &[(&str, i64)]| {
        let levels = levels.iter().map(|(name, min)| ((*name).to_string(), amount(*min))).collect();
        let program =
            ProgramDraft { name: "Spend".into(), renames: Vec::new(), policy: PolicyDraft::Threshold(levels) };
        CatalogueDraft { promos: Vec::new(), programs: vec![program], ..kezbek() }
    };
    let (three, two) = ([("Low", 0), ("Mid", 100), ("High", 1_000)], [("Low", 0), ("Mid", 100)]);
    let mut world = World::new(&spend(&three), jakarta("2023-01-02 00:00:00"));
    check(
        &mut world,
        "buy A 2000 -> new, High at 2000\nbuy B 2000 -> new, High at 2000\nbuy C 2000 -> new, High at 2000",
    );
    world.apply(&spend(&two), None).unwrap();
    let removed_at = world.ledger.desk.last();
    check(&mut world, "buy A 1 -> placed on Mid, Mid at 2001");
    for row in world.ledger.rows.values().cloned().collect::<Vec<_>>() {
        let (desk, now) = (&world.ledger.desk, world.now);
        let rules = Arc::clone(desk.catalogue(TENANT).unwrap());
        if let Some(body) = by_sweep(&row, &rules, desk.removals(TENANT).unwrap(), desk.now(TENANT, now), now) {
            world.write(body);
        }
    }
    check(&mut world, "buy B 1 -> Mid at 2001");
    assert_eq!(world.records.len(), 9, "two purchases and two placements after the removal");
    let members = &world.ledger.totals.tenant(TENANT).unwrap().members;
    assert_eq!(members.values().copied().collect::<Vec<_>>(), [3], "all of them stand on Mid");

    for from in removed_at.0 + 1..=9 {
        let (comparison, rows_seen) = again(&world, &spend(&two), Seq(from));
        assert!(comparison.is_same(), "from {from}: {comparison:?}");
        assert_eq!(&comparison.before.members, members, "from {from}");
        assert_eq!(rows_seen, rows(world.ledger.rows.values()), "from {from}");
        assert_eq!(comparison.left_out.others, 0, "a placement is decided again");
    }
    // Asked before the removal: everybody is placed where the range starts, those too who never buy again.
    let (comparison, rows_seen) = again(&world, &spend(&two), removed_at);
    assert_eq!((&comparison.before.members, &comparison.after.members), (members, members));
    assert_eq!(rows_seen, rows(world.ledger.rows.values()));
    // Rules that keep the level keep everybody on it.
    let (comparison, _) = again(&world, &spend(&three), Seq(1));
    assert_eq!(comparison.after.members.values().copied().collect::<Vec<_>>(), [3]);
    assert_ne!(comparison.after.members, comparison.before.members);
}
