//! Refunds: what each takes back, policy by policy, and what is refused.

use std::sync::Arc;

use kembali_core::accounts::{Entry, HouseAccount, HouseLeg};
use kembali_core::catalogue::{AtMaximum, FulfillmentKind};
use kembali_core::command::ApplyCatalogue;
use kembali_core::desk;
use kembali_core::draft::{
    CampaignDraft, CashbackDraft, CatalogueDraft, EarningDraft, FulfillmentDraft, JourneyDraft, PolicyDraft,
    ProgramDraft, PromoDraft, RewardDraft, RewardPaysDraft,
};
use kembali_core::event::{Body, Event, Record};
use kembali_core::ledger::{Inconsistency, Ledger};
use kembali_core::liability::roll_forward;
use kembali_core::operation::{Actor, Operation, OperationCommand, OperationRejection};
use kembali_core::purchase::Line;
use kembali_core::refund::{
    NegativeBalance, Refund, RefundOf, RefundPolicy, RefundRejection, RefundedQuota, RefundedRewards, RefundedTier,
};
use kembali_core::totals::TenantTotals;
use kembali_core::what_if::{Comparison, TakenBack, WhatIf};
use kembali_core::{AMOUNT_MAX, Amount, Balance, CustomerName, Fingerprint, PurchaseKey, Rate, Seq, TenantId};

use crate::operator::Operated;
use crate::support::{Seen, World, amount, bands, canonical, hash, jakarta, kezbek, level};

/// A tenant with every kind of rule.
pub(crate) fn everything(refunds: RefundPolicy) -> CatalogueDraft {
    let kezbek = kezbek();
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_string()).collect::<Vec<_>>();
    let cashback = |name: &str, rate: &str, products: &[&str]| CashbackDraft {
        description: None,
        name: name.into(),
        rate: Rate::parse(rate).unwrap(),
        products: names(products),
        partner: None,
        is_active: true,
        ends_at: None,
        life_days: None,
        pending_days: None,
        pays: "points".into(),
    };
    let buy = |name: &str, product: &str, min: i64, is_cumulative: bool| FulfillmentDraft {
        name: name.into(),
        kind: FulfillmentKind::Buy { product: Some(product.into()), amount_min: amount(min), is_cumulative },
    };
    let campaign = |name: &str, fulfillments: &[&str], rewards: &[&str]| CampaignDraft {
        name: name.into(),
        fulfillments: names(fulfillments),
        rewards: names(rewards),
        starts_at: None,
        ends_at: None,
        completions_max: None,
        budget: None,
    };
    CatalogueDraft {
        promos: vec![PromoDraft {
            code: "P".into(),
            quota: 2,
            starts_at: jakarta("2024-01-01 00:00:00"),
            ends_at: jakarta("2024-12-31 00:00:00"),
            funded_by: Some("tokopedia".into()),
            bands: bands("1+ 500 - 1.75"),
        }],
        programs: vec![
            ProgramDraft {
                renames: Vec::new(),
                name: "Journey".into(),
                policy: PolicyDraft::Journey(JourneyDraft {
                    downgrade_after_days: 30,
                    reset_after_days: 60,
                    at_maximum: AtMaximum::PayNothing,
                    levels: vec![level("BRONZE 7 2:20 3:30")],
                }),
            },
            ProgramDraft {
                renames: Vec::new(),
                name: "Spend".into(),
                policy: PolicyDraft::Threshold(
                    [("Low", 0), ("Mid", 1_000), ("High", 2_000)].map(|(name, min)| (name.into(), amount(min))).into(),
                ),
            },
        ],
        earning: EarningDraft {
            offers: Vec::new(),
            external_ids: Vec::new(),
            point_kinds: names(&["points"]),
            cashback_rules: vec![cashback("Dairy", "0.02", &["CHEESE", "MILK"]), cashback("All", "0.01", &[])],
            fulfillments: vec![
                buy("Pizza", "PIZZA", 100, false),
                buy("Drinks", "DRINKS", 100, true),
                FulfillmentDraft { name: "App".into(), kind: FulfillmentKind::Tag { tag: "app".into(), count: 1 } },
            ],
            rewards: vec![
                RewardDraft {
                    name: "Hundred".into(),
                    pays: RewardPaysDraft::Points {
                        kind: "points".into(),
                        points: amount(100),
                        life_days: None,
                        pending_days: None,
                    },
                },
                RewardDraft { name: "Cash".into(), pays: RewardPaysDraft::WalletCredit(amount(50)) },
            ],
            campaigns: vec![
                campaign("Movie", &["Pizza", "Drinks"], &["Hundred", "Cash"]),
                campaign("Apps", &["App"], &["Cash"]),
            ],
        },
        refunds,
        ..kezbek
    }
}

pub(crate) fn world(refunds: RefundPolicy) -> World {
    World::new(&everything(refunds), jakarta("2024-01-15 09:00:00"))
}

/// Books a refund of the purchase of a record, as its partner asks for it.
pub(crate) fn give_back(
    world: &mut World,
    original: &Record,
    id: &str,
    of: RefundOf,
) -> Result<Record, RefundRejection> {
    let command = asked(original, id, of);
    match world.operate(command) {
        Operated::Done(record) => Ok(record),
        Operated::Refused { rejection: OperationRejection::Refund(rejection), is_written: false } => Err(rejection),
        other => panic!("not decided: {other:?}"),
    }
}

/// Asks for a refund of the purchase of a record.
fn asked(original: &Record, id: &str, of: RefundOf) -> OperationCommand {
    let booked = original.body.events.iter().find_map(|event| match event {
        Event::PurchaseBooked(booked) => Some(booked),
        _ => None,
    });
    let booked = booked.unwrap();
    let operation = Operation::RefundPurchase(Box::new(Refund {
        purchase: booked.key,
        origin_id: booked.purchase.origin_id.clone(),
        key: PurchaseKey::from_hash(hash(&format!("refund {} {id}", original.seq.0))),
        refund_id: id.into(),
        of,
        reason: None,
    }));
    OperationCommand {
        tenant: original.body.tenant,
        actor: Actor::Partner(booked.partner),
        key: None,
        fingerprint: Fingerprint { version: 1, hash: hash(&format!("{operation:?}")) },
        customer: CustomerName::Id(original.body.customer.unwrap()),
        operation,
        device: None,
        text: None,
        dry_run: false,
        original: Some(Arc::new(original.clone())),
        other_records: Vec::new(),
    }
}

pub(crate) fn buy(world: &mut World, words: &str) -> Record {
    let command = world.command(&words.split_whitespace().collect::<Vec<_>>());
    match world.purchase(command) {
        Seen::Booked(record) => record,
        other => panic!("not booked: {other:?}"),
    }
}

fn sum(minor_units: i64) -> RefundOf {
    RefundOf::Amount(minor_units)
}

/// Reads `PRODUCT:QUANTITY:AMOUNT+…`.
fn lines(text: &str) -> RefundOf {
    RefundOf::Lines(
        text.split('+')
            .map(|line| {
                let words: Vec<&str> = line.split(':').collect();
                Line {
                    product: words[0].into(),
                    quantity: words[1].parse().unwrap(),
                    amount: words[2].parse().unwrap(),
                }
            })
            .collect(),
    )
}

fn shown(world: &mut World, original: &Record, id: &str, of: RefundOf) -> String {
    match give_back(world, original, id, of) {
        Ok(record) => world.show_body(&record.body),
        Err(rejection) => format!("{rejection:?}"),
    }
}

/// The whole digest's input: what the ledger had at first, and what came later.
pub(crate) fn whole(ledger: &Ledger) -> Vec<u8> {
    let mut bytes = canonical(ledger);
    ledger.canonical_more(|piece| bytes.extend_from_slice(piece));
    bytes
}

fn used(world: &World) -> u64 {
    let (tenant, promo) = world.promo("P");
    world.ledger.desk.promo_used(tenant, promo)
}

fn trial_balance(world: &World) -> bool {
    world.ledger.totals.tenants().all(|(_, totals)| {
        // What came and went leads to what is owed, a shortfall of the house included.
        let rolled = roll_forward(&TenantTotals::default(), totals);
        let adds_up = rolled.values().all(|own| own.expected() == own.closing);
        adds_up && totals.trial_balance().values().all(|sum| *sum == 0)
    })
}

#[test]
fn what_is_left_earns_and_the_rest_comes_back() {
    let mut world = world(RefundPolicy::default());
    let record = buy(&mut world, "A 1000 code=P");
    // 1.75 % of 1,000 in money, 1 % in points.
    assert_eq!(
        world.show_body(&record.body),
        "new, promo 18, BRONZE 1 FIRST, Mid at 1000, All 10, balance 18, points 10"
    );
    assert_eq!(shown(&mut world, &record, "1", sum(200)), "refunded 200, Low at 800 Refunded, balance 14, points 8");
    // Less than the band's 500 earn nothing, so the unit is free again.
    assert_eq!(
        shown(&mut world, &record, "2", sum(400)),
        "refunded 400, unit returned, Low at 400 Refunded, balance 0, points 4"
    );
    assert_eq!(used(&world), 0);
    assert_eq!(shown(&mut world, &record, "3", sum(400)), "refunded 400, Low at 0 Refunded, points 0");
    assert_eq!((used(&world), trial_balance(&world)), (0, true));
    let row = world.ledger.rows.values().next().unwrap();
    assert_eq!((row.balance(kembali_core::WalletId(0)), row.spends[0].spent), (Balance::ZERO, Amount::ZERO));
    assert_eq!(row.standings[0].count, 1, "a Journey counts the purchase all the same");
}

/// Lines of 333 and 333 at 2 % earn 13.32, so 13; the one that is left earns 6.66, so 7: 6 come back.
#[test]
fn r03_the_rest_is_rounded_as_a_purchase_of_its_own() {
    let mut world = world(RefundPolicy::default());
    let record = buy(&mut world, "A 666 lines=MILK:1:333+CHEESE:1:333");
    assert_eq!(world.show_body(&record.body), "new, BRONZE 1 FIRST, Low at 666, Dairy 13, All 7, points 13, points 20");
    assert_eq!(
        shown(&mut world, &record, "1", lines("MILK:1:333")),
        "refunded 333, Low at 333 Refunded, points 14, points 10",
        "6 of Dairy, 4 of All"
    );
}

#[test]
fn r17_ten_refunds_of_one_equal_one_of_ten_the_tier_included() {
    let start = || {
        let mut world = world(RefundPolicy::default());
        buy(&mut world, "A 950");
        let record = buy(&mut world, "A 1056 code=P");
        (world, record)
    };
    let (mut many, original) = start();
    for id in 0..10 {
        give_back(&mut many, &original, &id.to_string(), sum(1)).unwrap();
    }
    let (mut one, original) = start();
    let record = give_back(&mut one, &original, "all", sum(10)).unwrap();
    assert_eq!(
        one.show_body(&record.body),
        "refunded 10, Mid at 1996 Refunded, points 20",
        "High is for 2,000, 1,996 are left"
    );
    assert_eq!(whole(&many.ledger), whole(&one.ledger));
}

#[test]
fn a_milestone_comes_back_with_the_whole_purchase_alone() {
    let mut world = world(RefundPolicy::default());
    buy(&mut world, "A 100");
    let record = buy(&mut world, "A 100");
    assert!(world.show_body(&record.body).contains("milestone 20"));
    assert_eq!(shown(&mut world, &record, "1", sum(99)), "refunded 99, Low at 101 Refunded, points 1");
    assert_eq!(shown(&mut world, &record, "2", sum(1)), "refunded 1, Low at 100 Refunded, balance 0");
}

#[test]
fn rewards_come_back_once_the_rest_would_not_have_completed_the_campaign() {
    let mut world = world(RefundPolicy::default());
    buy(&mut world, "A 60 lines=DRINKS:1:60");
    let words = "A 260 lines=PIZZA:2:200+DRINKS:1:60 tags=app";
    let record = buy(&mut world, words);
    let booked = world.show_body(&record.body);
    assert!(booked.contains("Movie done 1, reward Hundred, reward Cash") && booked.contains("Apps done 1"), "{booked}");
    // 60 of the drinks came with another purchase; 40 of these 60 are still needed.
    assert_eq!(shown(&mut world, &record, "1", lines("DRINKS:0:20")), "refunded 20, Low at 300 Refunded, points 103");
    assert_eq!(shown(&mut world, &record, "2", lines("PIZZA:1:100")), "refunded 100, Low at 200 Refunded, points 102");
    let both = "refunded 1, Low at 199 Refunded, balance 70, points 2";
    assert_eq!(shown(&mut world, &record, "3", lines("PIZZA:0:1")), both, "100 points and 50 of the 120");
    // The tag stays until nothing does.
    assert_eq!(shown(&mut world, &record, "4", sum(139)), "refunded 139, Low at 60 Refunded, balance 0, points 1");
    assert!(trial_balance(&world));
}

#[test]
fn each_policy_can_keep() {
    let keep = RefundPolicy {
        tier: RefundedTier::Keep,
        quota: RefundedQuota::Keep,
        rewards: RefundedRewards::Keep,
        negative_balance: NegativeBalance::Allow,
    };
    let mut world = world(keep);
    let record = buy(&mut world, "A 1000 code=P lines=PIZZA:1:900+DRINKS:1:100");
    // 18 of the promo come back; 100 points and 50 of the campaign, the level and the unit stay.
    assert_eq!(shown(&mut world, &record, "1", sum(1_000)), "refunded 1000, balance 50, points 100");
    assert_eq!(used(&world), 1);
    let row = world.ledger.rows.values().next().unwrap();
    assert_eq!(row.spends[0].spent, amount(1_000));
}

#[test]
fn r20_a_unit_comes_back_once_and_can_be_used_again() {
    let mut world = world(RefundPolicy::default());
    let first = buy(&mut world, "A 600 code=P");
    buy(&mut world, "B 600 code=P");
    let declined = buy(&mut world, "C 600 code=P");
    assert!(world.show_body(&declined.body).contains("exhausted 2"));
    let before = used(&world);
    give_back(&mut world, &first, "1", sum(300)).unwrap();
    assert_eq!((before, used(&world)), (2, 1));
    give_back(&mut world, &first, "2", sum(100)).unwrap();
    give_back(&mut world, &first, "3", sum(200)).unwrap();
    assert_eq!(used(&world), 1, "it comes back once");
    // A purchase whose promo declined has no unit to return.
    give_back(&mut world, &declined, "1", sum(600)).unwrap();
    assert_eq!(used(&world), 1);
    let again = buy(&mut world, "C 600 code=P");
    assert!(world.show_body(&again.body).contains("promo 11"));
    assert_eq!(used(&world), 2);
}

/// The promo's bands have a hole: nothing is earned in it, and nothing below it either.
#[test]
fn what_was_lost_on_the_way_down_is_not_earned_again() {
    let draft = everything(RefundPolicy::default());
    let promo = PromoDraft { bands: bands("1 100 200 10\n1 400 - 1"), ..draft.promos[0].clone() };
    let start =
        || World::new(&CatalogueDraft { promos: vec![promo.clone()], ..draft.clone() }, jakarta("2024-01-15 09:00:00"));
    for split in [&[600][..], &[250, 350], &[450, 150]] {
        let mut world = start();
        let record = buy(&mut world, "A 750 code=P");
        for part in split {
            give_back(&mut world, &record, &part.to_string(), sum(*part)).unwrap();
        }
        let row = world.ledger.rows.values().next().unwrap();
        assert_eq!((row.wallets[0].balance, used(&world)), (Balance::ZERO, 0), "{split:?}");
    }
}

#[test]
fn a_wallet_goes_below_zero_or_the_house_pays() {
    // Nothing debits a wallet but a refund; a reward that was spent is made by a balance that another policy took.
    let allow = RefundPolicy { rewards: RefundedRewards::Keep, ..RefundPolicy::default() };
    for (policy, seen) in [
        (allow, "refunded 1000, unit returned, Low at 0 Refunded, balance -18, points 0"),
        (
            RefundPolicy { negative_balance: NegativeBalance::CapAtZero, ..allow },
            "refunded 1000, unit returned, Low at 0 Refunded, shortfall 18, points 0",
        ),
    ] {
        let mut world = world(policy);
        let record = buy(&mut world, "A 1000 code=P");
        spend(&mut world, &record, 18);
        assert_eq!(shown(&mut world, &record, "1", sum(1_000)), seen);
        let next = buy(&mut world, "A 2000 code=P");
        let balance = if policy.negative_balance == NegativeBalance::Allow { "balance 37" } else { "balance 55" };
        assert!(world.show_body(&next.body).contains(balance), "{}", world.show_body(&next.body));
        let totals = world.ledger.totals.tenant(TenantId(1)).unwrap();
        let shortfall = i128::from(policy.negative_balance == NegativeBalance::CapAtZero) * 18;
        assert_eq!(totals.refunds.shortfall, shortfall);
        assert!(trial_balance(&world));
    }
}

/// What is held is a partner's: the house pays where a wallet is not led below zero, and where it is, the hold is settled
/// all the same.
#[test]
fn a_refund_leaves_what_is_held() {
    let allow = RefundPolicy { rewards: RefundedRewards::Keep, ..RefundPolicy::default() };
    let cap = RefundPolicy { negative_balance: NegativeBalance::CapAtZero, ..allow };
    for (policy, refunded, settled) in [
        (
            allow,
            "refunded 1000, unit returned, Low at 0 Refunded, balance 0, points 0",
            "hold 1 settled 10, balance -10",
        ),
        (
            cap,
            "refunded 1000, unit returned, Low at 0 Refunded, balance 10, shortfall 10, points 0",
            "hold 1 settled 10, balance 0",
        ),
    ] {
        let mut world = world(policy);
        let record = buy(&mut world, "A 1000 code=P");
        assert_eq!(world.ask(&["A", "hold", "0", "10"]), "hold 1 of 10");
        assert_eq!(shown(&mut world, &record, "1", sum(1_000)), refunded);
        assert_eq!(world.ask(&["A", "settle", "1"]), settled);
        assert!(trial_balance(&world));
    }
}

/// Takes money out of the wallet of a record's customer, as a payment will.
fn spend(world: &mut World, of: &Record, minor_units: i64) {
    let customer = of.body.customer.unwrap();
    let row = &world.ledger.rows[&customer];
    let wallet = row.wallets[0];
    let leg = HouseLeg { account: HouseAccount::RewardExpense, amount: amount(minor_units) };
    let entry = Entry::debit(wallet.id, wallet.unit, wallet.balance, &[leg]).unwrap();
    let events = vec![Event::WalletEntry(entry)];
    world.write(Body { events, ..of.body.clone() });
}

#[test]
fn what_cannot_be_refunded_is_refused() {
    let mut world = world(RefundPolicy::default());
    let plain = buy(&mut world, "A 1000");
    let basket = buy(&mut world, "A 1000 lines=PIZZA:2:600+DRINKS:1:400+FREE:1:0");
    give_back(&mut world, &basket, "1", lines("PIZZA:1:500")).unwrap();
    let before = whole(&world.ledger);
    let cases = [
        (&plain, sum(0), "AmountNotPositive { amount: 0 }"),
        (&plain, sum(-1), "AmountNotPositive { amount: -1 }"),
        (&plain, sum(i64::MIN), "AmountNotPositive { amount: -9223372036854775808 }"),
        (&plain, sum(i64::MAX), "AmountTooLarge { amount: 9223372036854775807, amount_max: 9007199254740991 }"),
        (&plain, sum(AMOUNT_MAX), "ExceedsRemainder { amount: Amount(9007199254740991), remaining: Amount(1000) }"),
        (&plain, sum(1_001), "ExceedsRemainder { amount: Amount(1001), remaining: Amount(1000) }"),
        (&plain, lines("PIZZA:1:1"), "LineNotBought { line: 0 }"),
        (&basket, sum(499), "LinesRequired { remaining: Amount(500) }"),
        (&basket, sum(501), "ExceedsRemainder { amount: Amount(501), remaining: Amount(500) }"),
        (&basket, RefundOf::Lines(Vec::new()), "AmountNotPositive { amount: 0 }"),
        (&basket, lines("FREE:1:0"), "AmountNotPositive { amount: 0 }"),
        (&basket, lines("PIZZA:1:-1"), "LineOutOfRange { line: 0 }"),
        (&basket, lines("DRINKS:1:1+PIZZA:-1:1"), "LineOutOfRange { line: 1 }"),
        (&basket, lines("DRINKS:1:1+PIZZA:4294967296:1"), "LineOutOfRange { line: 1 }"),
        (&basket, lines("DRINKS:1:9223372036854775807"), "LineOutOfRange { line: 0 }"),
        (
            &basket,
            lines("DRINKS:1:9007199254740991+PIZZA:1:1"),
            "AmountTooLarge { amount: 9007199254740992, amount_max: 9007199254740991 }",
        ),
        (&basket, lines("DRINKS:1:1+BREAD:1:1"), "LineNotBought { line: 1 }"),
        (
            &basket,
            lines("PIZZA:1:101"),
            "LineExceedsRemainder { line: 0, remaining_quantity: 1, remaining_amount: Amount(100) }",
        ),
        (
            &basket,
            lines("PIZZA:2:1"),
            "LineExceedsRemainder { line: 0, remaining_quantity: 1, remaining_amount: Amount(100) }",
        ),
        (
            &basket,
            lines("DRINKS:0:1+PIZZA:0:60+PIZZA:0:60"),
            "LineExceedsRemainder { line: 1, remaining_quantity: 1, remaining_amount: Amount(100) }",
        ),
        (
            &basket,
            RefundOf::Lines(vec![Line { product: "DRINKS".into(), quantity: 0, amount: 0 }; 1_001]),
            "LinesTooMany { lines: 1001, lines_max: 1000 }",
        ),
    ];
    for (original, of, wanted) in cases {
        assert_eq!(shown(&mut world, original, "x", of.clone()), wanted, "{of:?}");
    }
    assert_eq!(whole(&world.ledger), before, "R02");
    // The other half of both rules: what remains may come back without lines, and then nothing does.
    assert!(shown(&mut world, &basket, "2", sum(500)).starts_with("refunded 500"));
    let none = "ExceedsRemainder { amount: Amount(1), remaining: Amount(0) }";
    assert_eq!(shown(&mut world, &basket, "3", sum(1)), none);
    let line = "LineExceedsRemainder { line: 0, remaining_quantity: 0, remaining_amount: Amount(0) }";
    assert_eq!(shown(&mut world, &basket, "4", lines("PIZZA:0:1")), line);
}

#[test]
fn a_purchase_has_no_more_refunds_than_it_may() {
    let mut world = world(RefundPolicy::default());
    let record = buy(&mut world, "A 2000");
    for id in 0..1_000 {
        give_back(&mut world, &record, &id.to_string(), sum(1)).unwrap();
    }
    assert_eq!(shown(&mut world, &record, "x", sum(1)), "RefundsTooMany { refunds_max: 1000 }");
}

#[test]
fn the_largest_purchase_can_be_refunded() {
    let mut world = world(RefundPolicy::default());
    let record = buy(&mut world, &format!("A {AMOUNT_MAX} code=P"));
    give_back(&mut world, &record, "1", sum(1)).unwrap();
    give_back(&mut world, &record, "2", sum(AMOUNT_MAX - 1)).unwrap();
    let row = world.ledger.rows.values().next().unwrap();
    assert_eq!((row.wallets[0].balance, row.points[0].lots.len()), (Balance::ZERO, 0));
    assert!(trial_balance(&world));
}

/// What a customer's refund takes back is decided by the rules of the purchase, and the policy by those that hold.
#[test]
fn the_purchase_keeps_its_rules_and_the_policy_is_todays() {
    let mut world = world(RefundPolicy::default());
    let record = buy(&mut world, "A 1000 code=P");
    let mut draft = everything(RefundPolicy { quota: RefundedQuota::Keep, ..RefundPolicy::default() });
    draft.promos[0].bands = bands("1+ 0 - 50");
    draft.earning.cashback_rules[1].rate = Rate::parse("0.5").unwrap();
    world.apply(&draft, None).unwrap().unwrap();
    assert_eq!(shown(&mut world, &record, "1", sum(600)), "refunded 600, Low at 400 Refunded, balance 0, points 4");
    assert_eq!(used(&world), 1);
    let customer = world.ledger.desk.find_customer(TenantId(1), CustomerName::Id(record.body.customer.unwrap()));
    assert_eq!(customer.unwrap().1.last, Seq(4));
}

/// Books two purchases and takes parts of them back, one of them twice; returns the records.
fn history(world: &mut World) -> Vec<Record> {
    let first = buy(world, "A 1000 code=P");
    let second = buy(world, "A 1200 lines=PIZZA:1:600+DRINKS:2:600 tags=app");
    let third = buy(world, "B 5000 code=P");
    vec![
        give_back(world, &first, "1", sum(600)).unwrap(),
        give_back(world, &second, "1", lines("PIZZA:1:550")).unwrap(),
        give_back(world, &third, "1", sum(100)).unwrap(),
        give_back(world, &second, "2", sum(650)).unwrap(),
    ]
}

fn what_if(world: &World, draft: &CatalogueDraft, from: Seq) -> Comparison {
    let command =
        ApplyCatalogue { actor: None, draft: draft.clone(), keys: Vec::new(), expected_version: None, dry_run: true };
    let present = || Arc::clone(world.ledger.desk.catalogue(TenantId(1)).unwrap());
    let wanted = desk::apply(&world.ledger.desk, &command).unwrap().unwrap_or_else(present);
    let mut what_if = WhatIf::new(wanted, from);
    let mut taken_back = TakenBack::default();
    world.records.iter().for_each(|record| taken_back.note(record));
    what_if.expect(taken_back);
    world.records.iter().cloned().try_for_each(|record| what_if.take(record)).unwrap();
    what_if.finish(3).unwrap()
}

#[test]
fn r19b_what_if_under_the_same_rules_decides_refunds_as_they_were() {
    let draft = everything(RefundPolicy::default());
    let mut world = world(RefundPolicy::default());
    history(&mut world);
    for from in 1..=world.records.len() as u64 {
        let seen = what_if(&world, &draft, Seq(from));
        assert!(seen.is_same(), "from {from}: {:?}", seen.people);
        assert_eq!((seen.operations, seen.refused_operations.len()), (4.min(9 - from), 0));
    }
}

/// Under other rules the refunds are what they would have been, had the rules held.
#[test]
fn what_if_decides_refunds_by_what_the_purchases_would_have_earned() {
    let mut world = world(RefundPolicy::default());
    history(&mut world);
    let mut draft = everything(RefundPolicy { quota: RefundedQuota::Keep, ..RefundPolicy::default() });
    draft.promos[0].bands = bands("1+ 0 - 10");
    draft.promos[0].quota = 1;
    draft.earning.cashback_rules[1].rate = Rate::parse("0.5").unwrap();
    let seen = what_if(&world, &draft, Seq(1));
    let mut fresh = World::new(&draft, world.now);
    history(&mut fresh);
    let totals = fresh.ledger.totals.tenant(TenantId(1)).unwrap();
    assert_eq!(
        (&seen.after.house, &seen.after.wallets, &seen.after.points),
        (&totals.house, &totals.wallets, &totals.points)
    );
    assert_eq!((&seen.after.members, &seen.after.refunds), (&totals.members, &totals.refunds));
    assert!(!seen.is_same());
    // A purchase that would have been refused leaves nothing to refund.
    let mut must_exist = everything(RefundPolicy::default());
    must_exist.unknown_customer = kembali_core::catalogue::UnknownCustomer::MustExist;
    let seen = what_if(&world, &must_exist, Seq(1));
    assert_eq!((seen.purchases, seen.operations), (3, 4));
    assert_eq!(seen.refused_operations, [("purchase_refused", 4)].into());
}

#[test]
fn nothing_but_a_refund_leads_below_zero() {
    let mut world = world(RefundPolicy::default());
    let record = buy(&mut world, "A 1000 code=P");
    let row = &world.ledger.rows[&record.body.customer.unwrap()];
    let leg = HouseLeg { account: HouseAccount::Adjustments, amount: amount(19) };
    let entry = Entry::debit(row.wallets[0].id, row.wallets[0].unit, row.wallets[0].balance, &[leg]).unwrap();
    let previous = world.ledger.desk.last_record_of(record.body.customer.unwrap());
    let body = Body { events: vec![Event::WalletEntry(entry)], previous, ..record.body };
    let record = Record { seq: world.ledger.desk.last().next(), body };
    assert_eq!(world.ledger.clone().evolve(&record), Err(Inconsistency::WrongBalance));
}
