//! Holds: what is set aside, what stays available beside it, and that a hold is closed once.

use kembali_core::draft::PartnerDraft;
use kembali_core::event::Event;
use kembali_core::hold::{Hold, HoldClosed, HoldEnd, HoldId};
use kembali_core::ledger::{Inconsistency, Ledger};
use kembali_core::{Instant, TenantId, Unit, WalletId};

use crate::operations::reviews;
use crate::support::{World, amount, check, idr, jakarta};

fn world() -> World {
    let mut world = World::new(&reviews(), jakarta("2024-01-15 09:00:00"));
    check(
        &mut world,
        "ask A create          -> new
         ask A deposit 0 5000  -> balance 5000",
    );
    world
}

/// Six of 1,000 on 5,000.
#[test]
fn r15_holds_never_exceed_what_is_available() {
    let mut world = world();
    check(
        &mut world,
        "ask A hold 0 1000        -> hold 1 of 1000
         ask A hold 0 1000        -> hold 2 of 1000
         ask A hold 0 1000        -> hold 3 of 1000
         ask A hold 0 1000        -> hold 4 of 1000
         ask A hold 0 1000        -> hold 5 of 1000
         ask A hold 0 1000        -> refused balance_held
         ask A hold 0 1           -> refused balance_held
         ask A take 0 1           -> refused balance_held
         ask A take 0 5001        -> refused balance_too_small
         ask A hold 0 5001        -> refused balance_too_small
         ask A void 3             -> hold 3 voided
         ask A take 0 400         -> balance 4600
         ask A hold 0 601         -> refused balance_held
         ask A hold 0 600         -> hold 6 of 600
         ask A deposit 0 7        -> balance 4607
         ask A take 0 8           -> refused balance_held
         ask A take 0 7           -> balance 4600",
    );
}

#[test]
fn a_hold_is_settled_in_whole_or_in_part_and_closed_once() {
    let mut world = world();
    check(
        &mut world,
        "ask A hold 0 1000           -> hold 1 of 1000
         ask A settle 1 1001         -> refused hold_exceeded
         ask A settle 1 0            -> refused amount_not_positive
         ask A settle 1 300 dry      -> would: hold 1 settled 300, balance 4700
         ask A settle 1 300 key=k    -> hold 1 settled 300, balance 4700
         ask A settle 1 300 key=k    -> known 7
         ask A settle 1 300          -> refused hold_closed
         ask A void 1                -> refused hold_closed
         ask A hold 0 4700           -> hold 2 of 4700
         ask A settle 2              -> hold 2 settled 4700, balance 0
         ask A settle 3              -> refused hold_not_found
         ask A void 0                -> refused hold_not_found
         ask B settle 1              -> refused customer_not_found",
    );
    let totals = world.ledger.totals.tenant(TenantId(1)).unwrap();
    assert!(totals.trial_balance().values().all(|sum| *sum == 0));
    assert_eq!(totals.held[&Unit::Money(idr().code)], 0);
    assert!(totals.holds_due.is_empty());
}

/// Whoever comes first closes it: settle, void and the end of its time, in any order.
#[test]
fn r14_exactly_one_of_settle_void_and_expiry_wins() {
    let verbs = ["settle", "void", "wait"];
    for (first, second, third) in [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)] {
        let mut world = world();
        assert_eq!(world.ask(&["A", "hold", "0", "1000", "60"]), "hold 1 of 1000");
        let mut won = Vec::new();
        for verb in [first, second, third].map(|at| verbs[at]) {
            if verb == "wait" {
                // The last moment was the one before.
                world.now.0 += 60_000_000;
                continue;
            }
            let said = world.ask(&["A", verb, "1"]);
            if said != "refused hold_closed" {
                won.push(verb);
                assert!(said.starts_with(&format!("hold 1 {verb}")), "{said}");
            }
        }
        let expected: &[&str] = if first == 2 { &[] } else { &[verbs[first]] };
        assert_eq!(won, expected);
        world.ask(&["A", "deposit", "0", "1"]);
        let ends = world.records.iter().flat_map(|record| &record.body.events);
        let ends = ends.filter(|event| matches!(event, Event::HoldClosed(_)));
        assert_eq!(ends.count(), 1);
    }
}

#[test]
fn a_hold_that_is_due_is_gone_for_whoever_comes() {
    let mut world = world();
    check(
        &mut world,
        "ask A hold 0 5000 60        -> hold 1 of 5000
         after 59s
         ask A take 0 1              -> refused balance_held
         after 1s
         ask A settle 1              -> refused hold_closed
         ask A take 0 5000           -> hold 1 expired, balance 0
         ask A hold 0 1 0            -> refused life_out_of_range
         ask A hold 0 1 -1           -> refused life_out_of_range
         ask A hold 0 1 2592001      -> refused life_out_of_range
         ask A deposit 0 2           -> balance 2
         ask A hold 0 1 2592000      -> hold 2 of 1
         ask A hold 0 1              -> hold 3 of 1
         after 7d
         buy A 100                   -> hold 3 expired
         after 23d
         buy A 100                   -> hold 2 expired",
    );
}

#[test]
fn only_its_partner_and_operators_close_a_hold() {
    check(
        &mut world(),
        "ask A hold 0 10 by=1        -> hold 1 of 10
         ask A hold 0 10 by=1        -> hold 2 of 10
         ask A settle 1 by=2         -> refused hold_closed
         ask A void 1 by=2           -> refused hold_closed
         ask A void 3 by=2           -> refused hold_not_found
         ask A settle 1 by=1         -> hold 1 settled 10, balance 4990
         ask A settle 1 by=2         -> refused hold_closed
         ask A void 2                -> hold 2 voided",
    );
}

#[test]
fn a_wallet_that_is_frozen_or_closed() {
    check(
        &mut world(),
        "ask A open                  -> wallet 1
         ask A hold 1 1              -> refused balance_too_small
         ask A hold 2 1              -> refused wallet_not_found
         ask A deposit 1 30          -> balance 30
         ask A hold 1 10             -> hold 1 of 10
         ask A hold 1 20             -> hold 2 of 20
         ask A hold 0 5000           -> hold 3 of 5000
         ask A freeze 1              -> frozen
         ask A hold 1 1              -> refused wallet_frozen
         ask A settle 1              -> refused wallet_frozen
         ask A void 1                -> hold 1 voided
         ask A thaw 1                -> active
         ask A settle 2              -> hold 2 settled 20, balance 10
         ask A take 1 10             -> balance 0
         ask A close 1               -> closed
         ask A hold 1 1              -> refused wallet_closed",
    );
}

/// No partner takes the place of the others.
#[test]
fn open_holds_are_bounded_by_partner_and_in_all() {
    let mut draft = reviews();
    draft.partners =
        (1..=5).map(|at| PartnerDraft { slug: format!("shop-{at}"), ..draft.partners[0].clone() }).collect();
    let mut world = World::new(&draft, jakarta("2024-01-15 09:00:00"));
    check(
        &mut world,
        "ask A create          -> new
         ask A deposit 0 5000  -> balance 5000",
    );
    let mut id = 0;
    for partner in ["1", "2", "3", "4"] {
        let place = |world: &mut World| world.ask(&["A", "hold", "0", "1", "60", partner]);
        for _ in 0..64 {
            id += 1;
            assert_eq!(place(&mut world), format!("hold {id} of 1"));
        }
        assert_eq!(place(&mut world), "refused holds_too_many");
    }
    check(
        &mut world,
        "ask A hold 0 1 60 5         -> refused holds_too_many
         ask A void 17               -> hold 17 voided
         ask A hold 0 1 60 5         -> hold 257 of 1
         ask A hold 0 1 60 1         -> refused holds_too_many",
    );
}

/// The counts of what is due, which sums carry, are as few as there are minutes.
#[test]
fn ends_are_counted_by_the_minute() {
    let mut world = world();
    let from = world.now.0;
    for at in 0..50 {
        world.now.0 = from + at * 1_100_000;
        world.ask(&["A", "hold", "0", "1", "60"]);
    }
    let due = |world: &World, now: i64| world.ledger.totals.tenant(TenantId(1)).unwrap().has_due(Instant(now));
    assert_eq!(
        world.ledger.totals.tenant(TenantId(1)).unwrap().holds_due.values().copied().collect::<Vec<_>>(),
        [1, 49]
    );
    assert!(!due(&world, from + 60_000_000 - 1) && due(&world, from + 60_000_000));
    world.now.0 = from + 61_000_000;
    check(&mut world, "ask A void 2 -> hold 1 expired, hold 2 voided");
    assert!(!due(&world, from + 119_999_999) && due(&world, from + 120_000_000));
    world.now.0 = from + 120_000_000;
    world.ask(&["A", "take", "0", "1"]);
    assert!(world.ledger.totals.tenant(TenantId(1)).unwrap().holds_due.is_empty());
}

/// A record of a hold that cannot be: out of turn, beyond what is there, closed as what it was not, or settled for more.
#[test]
fn a_replay_refuses_holds_that_cannot_be() {
    let mut world = world();
    check(
        &mut world,
        "ask A hold 0 1000  -> hold 1 of 1000
         ask A settle 1     -> hold 1 settled 1000, balance 4000",
    );
    let replayed = |change: &dyn Fn(&mut Event)| {
        let mut ledger = Ledger::default();
        world.records.clone().into_iter().try_for_each(|mut record| {
            record.body.events.iter_mut().for_each(change);
            ledger.evolve(&record)
        })
    };
    assert_eq!(replayed(&|_| ()), Ok(()));
    let placed = |change: fn(&mut Hold)| {
        replayed(&move |event| {
            if let Event::HoldPlaced(hold) = event {
                change(hold);
            }
        })
    };
    let closed = |change: fn(&mut HoldClosed)| {
        replayed(&move |event| {
            if let Event::HoldClosed(closed) = event {
                change(closed);
            }
        })
    };
    for refused in [
        placed(|hold| hold.id = HoldId(2)),
        placed(|hold| hold.wallet = WalletId(1)),
        placed(|hold| hold.amount = amount(0)),
        placed(|hold| hold.amount = amount(5_001)),
        closed(|closed| closed.hold.amount = amount(999)),
        closed(|closed| closed.end = HoldEnd::Settled { amount: amount(1_001) }),
        closed(|closed| closed.end = HoldEnd::Settled { amount: amount(0) }),
        closed(|closed| closed.end = HoldEnd::Settled { amount: amount(999) }),
    ] {
        assert_eq!(refused, Err(Inconsistency::WrongHold));
    }
}
