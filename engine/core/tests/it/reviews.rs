//! Reviews: what a risk rule sets aside moves nothing until a person releases it, and then as if it were asked then.

use kembali_core::Seq;
use kembali_core::TenantId;
use kembali_core::desk::{self, Desk, DeskPiece, OperationAdmission};
use kembali_core::draft::{CatalogueDraft, RiskRuleDraft};
use kembali_core::event::Event;
use kembali_core::ledger::{Inconsistency, Ledger};
use kembali_core::operation::KEY_LIFE_US;
use kembali_core::review::{REVIEWS_MAX, ReviewClosed};
use kembali_core::risk::{RiskAction, RiskCondition};

use crate::operations::reviews as rewarding;
use crate::refund::whole;
use crate::support::{World, amount, check, jakarta};

fn rule(name: &str, condition: RiskCondition, action: RiskAction) -> RiskRuleDraft {
    RiskRuleDraft { name: name.into(), operations: Vec::new(), condition, action }
}

/// Above 1,000 it is set aside, above 5,000 it is blocked, above 100 it is flagged.
fn draft() -> CatalogueDraft {
    let above = |amount_above: i64| RiskCondition::AmountAbove(amount(amount_above));
    let risk_rules = vec![
        rule("Some", above(100), RiskAction::Flag),
        rule("Much", above(1_000), RiskAction::Review),
        rule("Too much", above(5_000), RiskAction::Block),
    ];
    CatalogueDraft { risk_rules, ..rewarding() }
}

fn world(draft: &CatalogueDraft) -> World {
    let mut world = World::new(draft, jakarta("2024-01-15 09:00:00"));
    check(
        &mut world,
        "ask A create          -> new
         ask B create          -> new",
    );
    world
}

#[test]
fn what_is_set_aside_moves_nothing_until_it_is_released() {
    let mut world = world(&draft());
    check(
        &mut world,
        "ask A deposit 0 1000                -> flagged Some, balance 1000
         ask A deposit 0 1001 dry            -> would: set aside by Much
         ask A deposit 0 1001 key=a          -> set aside by Much
         ask A deposit 0 1001 key=a          -> known 5
         ask A deposit 0 5001                -> refused risk_blocked
         ask A take 0 1000                   -> balance 0
         ask A release 5 dry                 -> would: released 5, flagged Much, balance 1001
         ask A release 5 key=b               -> released 5, flagged Much, balance 1001
         ask A release 5 key=b               -> known 8
         ask A deposit 0 1001 key=a          -> known 8
         ask A deposit 0 1002 key=a          -> reused 8
         ask A release 5                     -> refused review_closed
         ask A reject 5                      -> refused review_closed",
    );
    let done = world.records[7].body.operation_done().unwrap();
    assert_eq!(done.operation, world.records[4].review().unwrap().operation, "what was asked is done");
}

#[test]
fn what_is_rejected_is_refused_under_the_key_of_whoever_asked() {
    let mut world = world(&draft());
    check(
        &mut world,
        "ask A deposit 0 1001 key=a          -> set aside by Much
         ask A reject 4 dry                  -> would: rejected 4
         ask A reject 4 key=b                -> rejected 4
         ask A reject 4 key=b                -> known 5
         ask A deposit 0 1001 key=a          -> known 5
         ask A release 4                     -> refused review_closed
         ask A deposit 0 5                   -> safe, balance 5",
    );
}

/// Nobody is asked about what would be refused anyway, and a block comes before a review.
#[test]
fn only_what_could_be_done_is_set_aside() {
    check(
        &mut world(&draft()),
        "ask A send 0 B 0 1001               -> refused balance_too_small
         ask A hold 0 1001                   -> refused balance_too_small
         ask A deposit 7 1001                -> refused wallet_not_found
         ask A give 0 9000                   -> balance 9000
         ask A hold 0 1001 0                 -> refused life_out_of_range
         ask A hold 0 5001                   -> refused risk_blocked
         ask A hold 0 5000                   -> set aside by Much",
    );
}

/// A partner's dry run says nothing of risk rules: it would find their bounds, and leave no check.
#[test]
fn a_partner_does_not_probe() {
    check(
        &mut world(&draft()),
        "ask A give 0 9000                   -> balance 9000
         ask A hold 0 1001 60 1 by=1 dry     -> would: hold 1 of 1001
         ask A hold 0 5001 60 1 by=1 dry     -> would: hold 1 of 5001
         ask A hold 0 9001 60 1 by=1 dry     -> refused balance_too_small, unwritten
         ask A hold 0 5001 60 1 dry          -> refused risk_blocked, unwritten
         ask A hold 0 1001 60 1 by=1         -> set aside by Much
         ask A release 5 dry                 -> would: released 5, flagged Much, hold 1 of 1001
         ask A hold 0 5001 60 1 by=1         -> refused risk_blocked",
    );
}

/// A release is asked at its time: it is refused where that is, and may be tried again.
#[test]
fn a_release_is_refused_as_any_operation() {
    let mut world = world(&draft());
    check(
        &mut world,
        "ask A give 0 2000                   -> balance 2000
         ask A hold 0 1500 60                -> set aside by Much
         ask A take 0 1000                   -> balance 1000
         ask A release 5                     -> refused balance_too_small
         ask A give 0 1000                   -> balance 2000
         after 1d
         ask A release 5                     -> released 5, flagged Much, hold 1 of 1500
         ask A settle 1                      -> hold 1 settled 1500, balance 500
         invoice open 1200 60                -> VA-1000000000 for 1200
         ask A give 0 1000                   -> balance 1500
         ask A pay 0 VA-1000000000 1200      -> set aside by Much
         after 61s
         ask A release 13                    -> refused invoice_expired
         ask A reject 13                     -> rejected 13",
    );
}

/// A person has decided: no rule strikes any more, and the one that would block is named.
#[test]
fn a_release_passes_rules_that_came_later() {
    let mut world = world(&draft());
    check(&mut world, "ask A deposit 0 1001   -> set aside by Much");
    let mut later = draft();
    later.risk_rules[2].condition = RiskCondition::AmountAbove(amount(900));
    world.apply(&later, None).unwrap();
    check(
        &mut world,
        "ask A deposit 0 1001   -> refused risk_blocked
         ask A release 4        -> released 4, flagged Too much, balance 1001",
    );
}

#[test]
fn a_transfer_is_released_and_goes_its_way() {
    let mut world = world(&draft());
    check(
        &mut world,
        "ask A give 0 3000                   -> balance 3000
         ask A send 0 B 0 1500 key=a         -> set aside by Much
         ask A release 5 key=b               -> left 1500
         ask A release 5 key=b               -> known 8
         ask A send 0 B 0 1500 key=a         -> known 8
         ask A send 0 B 7 1200 key=c         -> set aside by Much
         ask A release 9 key=d               -> refused target_wallet_not_found
         ask A release 9 key=d               -> known 12
         ask A send 0 B 7 1200 key=c         -> known 12
         ask A release 9                     -> refused review_closed",
    );
    let shown = world.show_body(&world.records[5].body);
    assert_eq!(shown, "released 5, flagged Much, sent 1500, balance 1500");
}

/// What is released counts for whatever looks at the times after it, and what is set aside does not.
#[test]
fn what_is_set_aside_is_not_remembered() {
    let many = RiskCondition::CountAbove { count: 1, seconds: 3_600 };
    let draft = CatalogueDraft { risk_rules: vec![rule("Many", many, RiskAction::Review)], ..rewarding() };
    check(
        &mut world(&draft),
        "ask A deposit 0 5                   -> safe, balance 5
         ask A deposit 0 6                   -> set aside by Many
         ask A deposit 0 7                   -> set aside by Many
         after 1h
         ask A deposit 0 8                   -> safe, balance 13
         ask A release 5                     -> released 5, flagged Many, balance 19
         after 1h
         ask A deposit 0 9                   -> safe, balance 28
         ask A reject 6                      -> rejected 6",
    );
}

/// The key leads to what became of it last, for 30 days from then.
#[test]
fn a_key_is_remembered_from_its_last_record_on() {
    let mut world = world(&draft());
    check(
        &mut world,
        "ask A deposit 0 1001 key=a -> set aside by Much
         ask A deposit 0 5          -> safe, balance 5",
    );
    world.now.0 += KEY_LIFE_US - 1;
    check(&mut world, "ask A release 4            -> released 4, flagged Much, balance 1006");
    world.now.0 += 1;
    check(&mut world, "ask A deposit 0 5          -> safe, balance 1011");
    let keys = world.ledger.desk.pieces().filter(|piece| matches!(piece, DeskPiece::Operation { .. }));
    assert_eq!(keys.count(), 3, "the key between is forgotten: left are both of the release, and the last");
    world.now.0 += KEY_LIFE_US - 2;
    check(&mut world, "ask A deposit 0 1001 key=a -> known 6");
    let restored = restored(&world.ledger.desk);
    assert!(restored.pieces().eq(world.ledger.desk.pieces()), "a snapshot keeps the same keys");
    world.now.0 += 1;
    check(&mut world, "ask A deposit 0 1001 key=a -> set aside by Much");
}

/// What waits for longer than keys live is still one request, whoever asks again and whoever closes it.
#[test]
fn the_key_of_what_waits_is_not_forgotten() {
    let mut world = world(&draft());
    check(&mut world, "ask A deposit 0 1001 key=a -> set aside by Much");
    world.now.0 += KEY_LIFE_US;
    check(
        &mut world,
        "ask A deposit 0 5          -> safe, balance 5
         ask A deposit 0 1001 key=a -> known 4
         ask A deposit 0 7 key=a    -> reused 4
         ask A release 4 key=a      -> reused 4
         ask A release 4 key=b      -> released 4, flagged Much, balance 1006
         ask A deposit 0 1001 key=a -> known 6",
    );
    let restored = restored(&world.ledger.desk);
    assert!(restored.pieces().eq(world.ledger.desk.pieces()));
    world.now.0 += KEY_LIFE_US;
    check(&mut world, "ask A deposit 0 1001 key=a -> set aside by Much");
}

/// One less than all may wait: of two that are in flight, the second one waits to be admitted.
#[test]
fn the_last_place_is_reserved() {
    let mut world = world(&draft());
    for _ in 1..REVIEWS_MAX {
        let command = world.operation(&["A", "deposit", "0", "1001"]);
        world.operate(command);
    }
    let small = world.operation(&["A", "deposit", "0", "5"]);
    let waits = |world: &World| {
        let admission = desk::admit_operation(&world.ledger.desk, &world.open, world.now, &small);
        matches!(admission, OperationAdmission::Wait)
    };
    assert!(!waits(&world));
    world.open.begin_place(TenantId(1));
    assert!(waits(&world));
    world.open.end_place(TenantId(1));
    assert!(!waits(&world));
}

fn restored(desk: &Desk) -> Desk {
    let mut restored = Desk::default();
    desk.pieces().for_each(|piece| restored.restore(piece).unwrap());
    restored
}

#[test]
fn a_review_in_flight_is_waited_for() {
    let mut world = world(&draft());
    check(&mut world, "ask A deposit 0 1001       -> set aside by Much");
    world.open.begin_review(Seq(4));
    for words in [["A", "release", "4"], ["A", "reject", "4"]] {
        let command = world.operation(&words);
        let admission = desk::admit_operation(&world.ledger.desk, &world.open, world.now, &command);
        assert!(matches!(admission, OperationAdmission::Wait), "{admission:?}");
    }
}

#[test]
fn reviews_are_bounded() {
    let mut world = world(&draft());
    for _ in 0..REVIEWS_MAX {
        let command = world.operation(&["A", "deposit", "0", "1001"]);
        world.operate(command);
    }
    assert_eq!(world.ledger.desk.reviews(TenantId(1), Seq::ZERO).count(), REVIEWS_MAX);
    check(
        &mut world,
        "ask A deposit 0 1001       -> refused reviews_too_many
         ask A reject 4             -> rejected 4
         ask A deposit 0 1001       -> set aside by Much",
    );
}

#[test]
fn a_replay_refuses_reviews_that_cannot_be_and_a_desk_is_made_of_its_pieces() {
    let mut world = world(&draft());
    check(
        &mut world,
        "ask A deposit 0 1001       -> set aside by Much
         ask B deposit 0 1001       -> set aside by Much
         ask A release 4            -> released 4, flagged Much, balance 1001",
    );
    assert!(restored(&world.ledger.desk).reviews(TenantId(1), Seq::ZERO).eq([(Seq(5), id_of(&world, 5))]));
    let last = world.records.last().unwrap().clone();
    let mut replayed = Ledger::default();
    world.records[..5].iter().for_each(|record| replayed.evolve(record).unwrap());
    for review in [3, 5] {
        let mut wrong = last.clone();
        let closed = ReviewClosed { review: Seq(review), released_by: None };
        *wrong.body.events.iter_mut().find(|event| matches!(event, Event::ReviewClosed(_))).unwrap() =
            Event::ReviewClosed(Box::new(closed));
        assert_eq!(replayed.clone().evolve(&wrong), Err(Inconsistency::WrongReview), "{review}");
    }
    let mut double = last.clone();
    double.body.events.push(Event::ReviewClosed(Box::new(ReviewClosed { review: Seq(4), released_by: None })));
    assert_eq!(replayed.clone().evolve(&double), Err(Inconsistency::WrongReview));
    replayed.evolve(&last).unwrap();
    assert_eq!(whole(&replayed), whole(&world.ledger));
}

fn id_of(world: &World, seq: usize) -> kembali_core::CustomerId {
    world.records[seq - 1].body.customer.unwrap()
}
