//! The desk's decision: which failure is reported first, who is known, what waits, and what a key remembers.

use kembali_core::catalogue::{RuleClock, UnknownCustomer, UnknownPromo};
use kembali_core::draft::CatalogueDraft;
use kembali_core::{AMOUNT_MAX, PurchaseKey, Rejection, Seq};

use crate::support::{Seen, World, amount, bands, check, jakarta, kezbek, ladder, level};

fn occurred() -> CatalogueDraft {
    CatalogueDraft { clock: RuleClock::Occurred, unknown_customer: UnknownCustomer::MustExist, ..kezbek() }
}

fn world(draft: &CatalogueDraft) -> World {
    World::new(draft, jakarta("2023-01-02 00:00:00"))
}

/// Each line mends the failure that the line before it reported.
#[test]
fn failures_are_reported_in_one_order() {
    let mut world = world(&occurred());
    check(
        &mut world,
        "buy A 0 qty=0 lines=-1*5 occurred=2d code=NONE -> refused customer_unknown
         rows -> 0",
    );
    world.apply(&CatalogueDraft { unknown_customer: UnknownCustomer::AutoCreate, ..occurred() }, None).unwrap();
    check(
        &mut world,
        "buy A 0 qty=0 lines=-1*5 occurred=2d code=NONE -> refused amount_not_positive
         buy A 9007199254740992 qty=0 lines=-1*5 occurred=2d code=NONE -> refused amount_too_large
         buy A 10 qty=0 lines=-1*5 occurred=2d code=NONE -> refused quantity_not_positive
         buy A 10 qty=4294967296 lines=-1*5 occurred=2d code=NONE -> refused quantity_too_large
         buy A 10 lines=-1*5 occurred=2d code=NONE -> refused line_out_of_range
         buy A 10 lines=1*5 occurred=2d code=NONE -> refused lines_sum_mismatch
         buy A 10 lines=1*5+0*5+9*0 occurred=2d code=NONE -> refused occurred_in_future
         buy A 10 lines=1*5+0*5+9*0 occurred=1d code=NONE -> refused promo_unknown
         buy A 10 lines=1*5+0*5+9*0 occurred=1d code=KEZBEK1000 -> new, rounds to zero, BRONZE 1 FIRST",
    );
}

#[test]
fn numbers_are_checked_at_their_edges() {
    let mut world = world(&kezbek());
    check(
        &mut world,
        "buy A -9223372036854775808 -> refused amount_not_positive
         buy A -1 -> refused amount_not_positive
         buy A 9223372036854775807 -> refused amount_too_large
         buy A 9007199254740991 -> new, BRONZE 1 FIRST
         buy A 1 qty=-9223372036854775808 -> refused quantity_not_positive
         buy A 1 qty=9223372036854775807 -> refused quantity_too_large
         buy A 1 qty=4294967295 -> BRONZE 2
         buy A 9007199254740991 lines=4294967295*9007199254740991 -> BRONZE 3, milestone 15000, balance 15000
         buy A 1 lines=4294967296*1 -> refused line_out_of_range
         buy A 1 lines=1*9007199254740992 -> refused line_out_of_range
         buy A 1 lines=1*2+1*-1 -> refused line_out_of_range
         buy A 1 lines=1*9007199254740991+1*9007199254740991 -> refused lines_sum_mismatch",
    );
    let lines = |count: usize| ["1*1"].repeat(count).join("+");
    check(&mut world, &format!("buy A 1000 lines={} -> BRONZE 4", lines(1_000)));
    check(&mut world, &format!("buy A 1001 lines={} -> refused lines_too_many", lines(1_001)));
    let most = ["1*9007199254740991"].repeat(1_000).join("+");
    check(&mut world, &format!("buy A 1 lines={most} -> refused lines_sum_mismatch"));
}

#[test]
fn refusals_carry_their_numbers() {
    let mut world = world(&occurred());
    world.apply(&CatalogueDraft { unknown_customer: UnknownCustomer::AutoCreate, ..occurred() }, None).unwrap();
    let now = world.now;
    let mut refusal = |words: &[&str]| {
        let command = world.command(words);
        let Seen::Refused { rejection, .. } = world.purchase(command) else { panic!("not refused") };
        rejection
    };
    let day = kembali_core::DAY_US;
    let cases = [
        (refusal(&["A", "0"]), Rejection::AmountNotPositive { amount: 0 }),
        (refusal(&["A", "9007199254740992"]), Rejection::AmountTooLarge { amount: 1 << 53, amount_max: AMOUNT_MAX }),
        (refusal(&["A", "1", "qty=0"]), Rejection::QuantityNotPositive { quantity: 0 }),
        (
            refusal(&["A", "1", "qty=4294967296"]),
            Rejection::QuantityTooLarge { quantity: 1 << 32, quantity_max: (1 << 32) - 1 },
        ),
        (refusal(&["A", "3", "lines=1*1+1*1+-1*1"]), Rejection::LineOutOfRange { line: 2 }),
        (refusal(&["A", "3", "lines=1*1+1*1"]), Rejection::LinesSumMismatch { lines_sum: 2, amount: 3 }),
        (
            refusal(&["A", "3", "occurred=1d1us"]),
            Rejection::OccurredInFuture {
                occurred_at: kembali_core::Instant(now.0 + day + 1),
                occurred_at_max: kembali_core::Instant(now.0 + day),
            },
        ),
    ];
    for (seen, wanted) in cases {
        assert_eq!(seen, wanted);
    }
}

/// Only a tenant whose rules follow that clock looks at `occurred_at`.
#[test]
fn the_rule_clock_is_the_tenants_choice() {
    let mut received = world(&kezbek());
    check(
        &mut received,
        "buy A 100000 code=KEZBEK1000 occurred=400d -> new, promo 1750, BRONZE 1 FIRST, balance 1750
         buy A 100000 code=KEZBEK1000 occurred=-400d -> promo 1750, BRONZE 2, balance 3500",
    );
    let mut occurred = world(&CatalogueDraft { clock: RuleClock::Occurred, ..kezbek() });
    check(
        &mut occurred,
        "buy A 100000 code=KEZBEK1000 occurred=-2d -> new, outside period, BRONZE 1 FIRST
         buy A 100000 code=KEZBEK1000 occurred=-1d -> promo 1750, BRONZE 2, balance 1750
         buy A 100000 code=KEZBEK1000 -> promo 1750, BRONZE 3, milestone 15000, balance 18500",
    );
}

#[test]
fn an_unknown_customer_is_created_or_refused_as_the_tenant_says() {
    let must_exist = CatalogueDraft { unknown_customer: UnknownCustomer::MustExist, ..kezbek() };
    let mut world = world(&must_exist);
    check(&mut world, "buy A 1 -> refused customer_unknown\nrows -> 0");
    world.apply(&kezbek(), None).unwrap();
    check(
        &mut world,
        "buy id:A 1 -> refused customer_unknown
         buy A 1 -> new, BRONZE 1 FIRST
         buy id:A 1 -> BRONZE 2
         buy id:B 1 -> refused customer_unknown
         rows -> 1",
    );
    world.apply(&must_exist, None).unwrap();
    check(&mut world, "buy A 1 -> BRONZE 3, milestone 15000, balance 15000\nbuy B 1 -> refused customer_unknown");
}

/// Nobody books for, or learns of, a customer of another tenant.
#[test]
fn an_id_of_another_tenants_customer_is_unknown() {
    let mut world = world(&kezbek());
    world.apply(&CatalogueDraft { slug: "other".into(), promos: Vec::new(), ..kezbek() }, None).unwrap();
    check(
        &mut world,
        "buy A 1 -> new, BRONZE 1 FIRST
         buy id:1:A 1 tenant=2 by=3 -> refused customer_unknown
         buy A 1 tenant=2 by=3 -> new, BRONZE 1 FIRST
         buy id:2:A 1 -> refused customer_unknown
         buy id:2:A 1 tenant=2 by=3 -> BRONZE 2
         buy id:1:A 1 -> BRONZE 2
         rows -> 2",
    );
}

#[test]
fn an_unknown_promo_is_refused_or_ignored_as_the_tenant_says() {
    let mut world = world(&kezbek());
    check(
        &mut world,
        "buy A 100000 code=NONE key=k -> refused promo_unknown
         buy A 100000 code=kezbek1000 -> refused promo_unknown",
    );
    world.apply(&CatalogueDraft { unknown_promo: UnknownPromo::Ignore, ..kezbek() }, None).unwrap();
    check(&mut world, "buy A 100000 code=NONE key=k -> new, replaces promo_unknown, BRONZE 1 FIRST");
}

#[test]
fn at_the_edge_of_the_quota_a_purchase_waits_and_a_dry_run_does_not() {
    let mut draft = kezbek();
    draft.promos[0].quota = 2;
    let mut world = world(&draft);
    check(
        &mut world,
        "reserve KEZBEK1000 r1
         buy A 100000 code=KEZBEK1000 -> new, promo 1750, BRONZE 1 FIRST, balance 1750
         buy A 100000 code=KEZBEK1000 -> wait
         buy A 1000000 code=KEZBEK1000 -> no band, BRONZE 2
         buy A 100000 code=KEZBEK1000 dry -> would: promo 1750, BRONZE 3, milestone 15000, balance 18500
         used KEZBEK1000 -> 1
         settle KEZBEK1000 r1
         buy A 100000 code=KEZBEK1000 -> promo 1750, BRONZE 3, milestone 15000, balance 18500
         used KEZBEK1000 -> 2
         buy A 100000 code=KEZBEK1000 -> exhausted 2 of 1750, BRONZE 4
         buy A 100000 code=KEZBEK1000 dry -> would: exhausted 2 of 1750, BRONZE 5, milestone 25000, balance 43500",
    );
}

/// Lowering a quota below its use stops grants; raising it lets them go on.
#[test]
fn a_quota_may_be_lowered_below_its_use() {
    let mut draft = kezbek();
    let mut world = world(&draft);
    check(
        &mut world,
        "buy A 100000 code=KEZBEK1000 -> new, promo 1750, BRONZE 1 FIRST, balance 1750
         buy A 100000 code=KEZBEK1000 -> promo 1750, BRONZE 2, balance 3500",
    );
    draft.promos[0].quota = 1;
    world.apply(&draft, None).unwrap().unwrap();
    check(
        &mut world,
        "buy A 100000 code=KEZBEK1000 -> exhausted 1 of 1750, BRONZE 3, milestone 15000, balance 18500
         used KEZBEK1000 -> 2",
    );
    draft.promos[0].quota = 3;
    world.apply(&draft, None).unwrap().unwrap();
    check(
        &mut world,
        "buy A 100000 code=KEZBEK1000 -> promo 1750, BRONZE 4, balance 20250
         buy A 100000 code=KEZBEK1000 -> exhausted 3 of 1750, BRONZE 5, milestone 25000, balance 45250",
    );
    draft.promos[0].quota = 0;
    world.apply(&draft, None).unwrap().unwrap();
    check(&mut world, "buy B 100000 code=KEZBEK1000 -> new, exhausted 0 of 1750, BRONZE 1 FIRST");
}

/// A refused purchase does not occupy its key: it leaves a receipt, and the receipt tells a replay from a correction.
#[test]
fn r13_a_refusal_leaves_a_receipt_and_no_key() {
    let mut world = world(&kezbek());
    check(
        &mut world,
        "receipt k -> none
         buy A 0 key=k -> refused amount_not_positive
         receipt k -> amount_not_positive
         buy A 0 key=k -> refused amount_not_positive, replayed
         buy A -1 key=k -> refused amount_not_positive
         buy A 0 key=k -> refused amount_not_positive
         buy A 5 qty=0 key=k -> refused quantity_not_positive
         receipt k -> quantity_not_positive
         buy A 5 key=k -> new, replaces quantity_not_positive, BRONZE 1 FIRST
         receipt k -> none
         buy A 5 key=k -> known 6
         buy A 0 key=k -> known 6",
    );
    assert_eq!(world.records.len(), 6, "a replayed refusal writes nothing");
    let totals = world.ledger.totals.tenants().next().unwrap().1;
    assert_eq!((totals.accepted, totals.rejected.len()), (1, 0), "a key counts by its present result");
}

/// The same content refused for another reason is a new refusal: the rules changed meanwhile.
#[test]
fn r13_the_same_content_may_be_refused_for_another_reason() {
    let mut draft = kezbek();
    let mut world = world(&draft);
    check(&mut world, "buy A 100000 code=NEXT key=k -> refused promo_unknown");
    draft.unknown_customer = UnknownCustomer::MustExist;
    world.apply(&draft, None).unwrap().unwrap();
    check(
        &mut world,
        "buy A 100000 code=NEXT key=k -> refused customer_unknown
         buy A 100000 code=NEXT key=k -> refused customer_unknown, replayed",
    );
    let totals = world.ledger.totals.tenants().next().unwrap().1;
    assert_eq!(totals.rejected.values().sum::<u64>(), 1, "one key, one present refusal");
    draft.unknown_customer = UnknownCustomer::AutoCreate;
    draft.promos[0].code = "NEXT".into();
    world.apply(&draft, None).unwrap().unwrap();
    check(
        &mut world,
        "buy A 100000 code=NEXT key=k -> new, replaces customer_unknown, promo 1750, BRONZE 1 FIRST, balance 1750
         receipt k -> none",
    );
}

/// A refusal by the row is a refusal like any other: receipt, replay, correction.
#[test]
fn r13_a_refusal_by_the_row_leaves_a_receipt_too() {
    let mut draft = kezbek();
    draft.promos[0].bands = bands("1 0 - 100");
    let mut world = world(&draft);
    check(
        &mut world,
        "buy A 9007199254740991 code=KEZBEK1000 -> new, promo 9007199254740991, BRONZE 1 FIRST, balance 9007199254740991
         buy A 1 code=KEZBEK1000 key=k -> refused balance_too_large
         buy A 1 code=KEZBEK1000 key=k -> refused balance_too_large, replayed
         used KEZBEK1000 -> 1
         buy A 1 key=k -> replaces balance_too_large, BRONZE 2
         buy A 1 code=KEZBEK1000 dry -> refused balance_too_large",
    );
}

/// What is refused is the wallet's lack of room, whoever would fill it; the refusal names the wallet's balance.
#[test]
fn r04_the_balance_that_is_too_large_is_the_wallets() {
    let mut draft = kezbek();
    let huge = format!("ONE 2 2:{AMOUNT_MAX}");
    ladder(&mut draft).levels = vec![level(&huge)];
    let mut second = draft.programs[0].clone();
    second.name = "Second".into();
    draft.programs.push(second);
    let mut world = world(&draft);
    check(&mut world, "buy A 100000 code=KEZBEK1000 -> new, promo 1750, ONE 1 FIRST, ONE 1 FIRST, balance 1750");
    let command = world.command(&["A", "1"]);
    let Seen::Refused { rejection, .. } = world.purchase(command) else { panic!("two milestones above the limit") };
    assert_eq!(rejection, Rejection::BalanceTooLarge { balance: amount(1_750).into() });
}

#[test]
fn a_key_in_flight_waits_whoever_asks_and_a_dry_run_does_not() {
    let mut world = world(&kezbek());
    let mut first = world.command(&["A", "100000", "key=k"]);
    world.open.take(first.key, None);
    check(
        &mut world,
        "buy A 100000 key=k -> wait
         buy B 0 key=k -> wait
         buy A 100000 key=k dry -> would: new, BRONZE 1 FIRST
         buy A 100000 key=other -> new, BRONZE 1 FIRST
         buy A 100000 key=k by=2 -> BRONZE 2",
    );
    world.open.settle(first.key, None);
    first.dry_run = false;
    let seen = world.purchase(first);
    assert_eq!(world.show(&seen), "BRONZE 3, milestone 15000, balance 15000");
    check(&mut world, "buy A 100000 key=k dry -> known 4");
}

#[test]
fn a_dry_run_leaves_nothing() {
    let mut world = world(&kezbek());
    let (before, records) = (world.canonical(), world.records.len());
    check(
        &mut world,
        "buy A 100000 code=KEZBEK1000 key=k dry -> would: new, promo 1750, BRONZE 1 FIRST, balance 1750
         buy A 0 key=k dry -> refused amount_not_positive
         receipt k -> none
         rows -> 0
         used KEZBEK1000 -> 0",
    );
    assert_eq!((world.canonical(), world.records.len()), (before, records));
    check(
        &mut world,
        "buy A 0 key=k -> refused amount_not_positive
         buy A 0 key=k dry -> refused amount_not_positive, replayed
         buy A 1 key=k dry -> would: new, replaces amount_not_positive, BRONZE 1 FIRST
         receipt k -> amount_not_positive",
    );
}

/// Two keys may share the 64 bits that the index keeps; the record tells them apart.
#[test]
fn keys_with_one_prefix_are_told_apart_by_their_records() {
    let mut world = world(&kezbek());
    let mut first = world.command(&["A", "1"]);
    first.key = PurchaseKey(7 << 64 | 1);
    let mut others = [first.clone(), first.clone()];
    others[0].key = PurchaseKey(7 << 64 | 2);
    others[1].key = PurchaseKey(7 << 64 | 3);
    world.purchase(first.clone());
    let mut seen = |command: &kembali_core::command::PurchaseCommand| {
        let seen = world.purchase(command.clone());
        world.show(&seen)
    };
    assert_eq!(seen(&others[0]), "known 2");
    others[0].other_records = vec![Seq(2)];
    assert_eq!(seen(&others[0]), "BRONZE 2");
    // Which of two candidates comes first is not promised; having looked at both, the third is booked.
    others[1].other_records = vec![Seq(2)];
    assert_eq!(seen(&others[1]), "known 3");
    others[1].other_records = vec![Seq(3)];
    assert_eq!(seen(&others[1]), "known 2");
    others[1].other_records = vec![Seq(2), Seq(3)];
    assert_eq!(seen(&others[1]), "BRONZE 3, milestone 15000, balance 15000");
    assert_eq!(seen(&first).split(' ').next(), Some("known"));
    let mut candidates: Vec<u64> = world.ledger.desk.keys().candidates(first.key).map(|seq| seq.0).collect();
    candidates.sort_unstable();
    assert_eq!(candidates, [2, 3, 4]);
    assert_eq!(world.ledger.desk.keys().len(), 3);
}
