//! Reversals: what an operation moved is moved back, once, in whole, and against the accounts that it came from.

use kembali_core::accounts::HouseAccount;
use kembali_core::desk::OperationAdmission;
use kembali_core::draft::{CatalogueDraft, RewardPaysDraft};
use kembali_core::event::Event;
use kembali_core::ledger::{Inconsistency, Ledger};
use kembali_core::refund::{NegativeBalance, RefundPolicy};
use kembali_core::reversal::REVERSALS_MAX;
use kembali_core::{AMOUNT_MAX, Seq, TenantId, Unit, desk};

use crate::operations::reviews;
use crate::support::{World, amount, check, idr, jakarta};

fn world(negative_balance: NegativeBalance) -> World {
    let refunds = RefundPolicy { negative_balance, ..RefundPolicy::default() };
    World::new(&CatalogueDraft { refunds, ..reviews() }, jakarta("2024-01-15 09:00:00"))
}

fn is_balanced(world: &World) -> bool {
    world.ledger.totals.tenant(TenantId(1)).unwrap().trial_balance().values().all(|sum| *sum == 0)
}

fn net(world: &World, account: HouseAccount) -> i128 {
    let sums = world.ledger.totals.tenant(TenantId(1)).unwrap();
    sums.house[&(Unit::Money(idr().code), account)].net()
}

#[test]
fn a_deposit_is_taken_back_once() {
    let mut world = world(NegativeBalance::Allow);
    check(
        &mut world,
        "ask A create               -> new
         ask A deposit 0 500        -> balance 500
         ask A deposit 0 70         -> balance 570
         ask A undo 3 dry           -> would: reversed 3, balance 70
         ask A undo 3 key=k         -> reversed 3, balance 70
         ask A undo 3 key=k         -> known 5
         ask A undo 3               -> refused operation_reversed
         ask A undo 5               -> refused operation_not_reversible
         ask A undo 4               -> reversed 4, balance 0",
    );
    assert_eq!(net(&world, HouseAccount::CashClearing), 0);
    assert_eq!(world.ledger.totals.tenant(TenantId(1)).unwrap().reversals, 2);
    assert!(is_balanced(&world));
}

/// What is gone is owed where the tenant allows it, and else an operator is told that it is gone.
#[test]
fn a_deposit_that_is_spent_follows_the_tenant_s_policy() {
    let spent = "ask A create          -> new
         ask A deposit 0 500   -> balance 500
         ask A take 0 400      -> balance 100
         ask A hold 0 90       -> hold 1 of 90";
    let mut allowed = world(NegativeBalance::Allow);
    check(&mut allowed, spent);
    check(&mut allowed, "ask A undo 3 -> reversed 3, balance -400");
    let mut capped = world(NegativeBalance::CapAtZero);
    check(&mut capped, spent);
    check(
        &mut capped,
        "ask A undo 3          -> refused balance_too_small
         ask A deposit 0 450   -> balance 550
         ask A undo 3          -> refused balance_held
         ask A void 1          -> hold 1 voided
         ask A undo 3          -> reversed 3, balance 50",
    );
    assert!(is_balanced(&allowed) && is_balanced(&capped));
}

#[test]
fn a_payment_comes_back_and_its_invoice_is_not_paid_again() {
    let mut world = world(NegativeBalance::CapAtZero);
    check(
        &mut world,
        "ask A create                      -> new
         ask A deposit 0 500               -> balance 500
         invoice open 200                  -> VA-1000000000 for 200
         ask A pay 0 VA-1000000000 200     -> VA-1000000000 paid, balance 300
         ask A freeze 0                    -> frozen
         ask A undo 5                      -> reversed 5, balance 500
         ask A undo 5                      -> refused operation_reversed
         ask A thaw 0                      -> active
         ask A pay 0 VA-1000000000 200     -> refused invoice_reversed
         invoice cancel VA-1000000000      -> refused invoice_reversed",
    );
    let partner = kembali_core::PartnerId(1);
    assert_eq!(net(&world, HouseAccount::Settlement(partner)), 0);
    let said = world.records.iter().flat_map(|record| &record.body.events).find_map(|event| match event {
        Event::OperationReversed(own) => Some((own.operation, own.partner, own.invoice.clone())),
        _ => None,
    });
    assert_eq!(said, Some((Seq(5), Some(partner), Some("VA-1000000000".into()))));
    assert!(is_balanced(&world));
}

/// Whether an invoice is paid or was reversed must not hang on what is in flight.
#[test]
fn a_payment_waits_for_a_reversal_of_its_invoice() {
    let mut world = world(NegativeBalance::Allow);
    check(
        &mut world,
        "ask A create                      -> new
         ask A deposit 0 500               -> balance 500
         invoice open 200                  -> VA-1000000000 for 200
         ask A pay 0 VA-1000000000 200     -> VA-1000000000 paid, balance 300",
    );
    let reversal = world.operation(&["A", "undo", "5"]);
    assert_eq!(reversal.invoice(), Some("VA-1000000000"));
    let payment = world.operation(&["A", "pay", "0", "VA-1000000000", "200"]);
    for (first, second) in [(&reversal, &payment), (&payment, &reversal)] {
        world.open.begin_payment(TenantId(1), first.invoice().unwrap());
        let admission = desk::admit_operation(&world.ledger.desk, &world.open, world.now, second);
        assert!(matches!(admission, OperationAdmission::Wait), "{admission:?}");
        world.open.end_payment(TenantId(1), first.invoice().unwrap());
    }
}

#[test]
fn a_settled_hold_comes_back() {
    let mut world = world(NegativeBalance::Allow);
    check(
        &mut world,
        "ask A create               -> new
         ask A open                 -> wallet 1
         ask A deposit 1 500        -> balance 500
         ask A hold 1 300           -> hold 1 of 300
         ask A undo 5               -> refused operation_not_reversible
         ask A settle 1 120         -> hold 1 settled 120, balance 380
         ask A undo 7               -> reversed 7, balance 500
         ask A hold 1 500           -> hold 2 of 500",
    );
    assert!(is_balanced(&world));
}

/// Nothing comes back beyond the largest sum, of money or of points.
#[test]
fn what_finds_no_room_is_refused() {
    let pays = |points| RewardPaysDraft::Points {
        kind: "points".into(),
        points: amount(points),
        life_days: None,
        pending_days: None,
    };
    let mut draft = reviews();
    draft.earning.rewards[1].pays = pays(AMOUNT_MAX);
    let mut world = World::new(&draft, jakarta("2024-01-15 09:00:00"));
    check(
        &mut world,
        "ask A create                        -> new
         ask A deposit 0 500                 -> balance 500
         ask A hold 0 300                    -> hold 1 of 300
         ask A settle 1 300                  -> hold 1 settled 300, balance 200
         ask A deposit 0 9007199254740500    -> balance 9007199254740700
         ask A undo 5                        -> refused balance_too_large
         ask A take 0 9007199254740700       -> balance 0
         ask A did review                    -> Critic/Two reviews at 1
         ask A did review                    -> Critic/Two reviews met 2, Critic done 1, reward Seventy, reward Ten, balance 70, points 9007199254740991
         ask A redeem Coffee 1               -> Coffee 1, points 9007199254740984
         ask A undo 11                       -> reversed 11, points 9007199254740991
         ask A redeem Coffee 1               -> Coffee 1, points 9007199254740984
         ask A did review                    -> Critic/Two reviews at 1",
    );
    draft.earning.rewards[1].pays = pays(7);
    world.apply(&draft, None).unwrap();
    check(
        &mut world,
        "ask A did review -> Critic/Two reviews met 2, Critic done 2, reward Seventy, reward Ten, balance 140, points 9007199254740991
         ask A undo 13    -> refused points_too_large",
    );
    assert!(is_balanced(&world));
}

/// Points go back into the lots that they came from, and money that was given for them goes; the stock does not come back.
#[test]
fn a_redemption_comes_back() {
    let mut world = world(NegativeBalance::Allow);
    check(
        &mut world,
        "ask A create               -> new
         ask A did review           -> Critic/Two reviews at 1
         ask A did review           -> Critic/Two reviews met 2, Critic done 1, reward Seventy, reward Ten, balance 70, points 10
         ask A redeem Coffee 1      -> Coffee 1, points 3
         ask A undo 5               -> reversed 5, points 10
         ask A redeem Cash 2        -> Cash 2, balance 170, points 0
         ask A undo 7               -> reversed 7, balance 70, points 10
         ask A undo 7               -> refused operation_reversed
         ask A undo 4               -> refused operation_not_reversible",
    );
    let lots: Vec<_> = world.ledger.rows.values().flat_map(|row| &row.points).map(|own| own.lots.len()).collect();
    assert_eq!(lots, [1], "the same lot");
    let coffee = world.ledger.desk.catalogues().next().unwrap().offer_by_name("Coffee").unwrap().id;
    assert_eq!(world.ledger.desk.offer_redeemed(TenantId(1), coffee), 1);
    assert!(is_balanced(&world));
}

/// Points that come back after their day are gone again by the next look, and never spent.
#[test]
fn points_that_expired_meanwhile_are_not_spent_again() {
    let mut draft = reviews();
    draft.earning.rewards[1].pays =
        RewardPaysDraft::Points { kind: "points".into(), points: amount(10), life_days: Some(2), pending_days: None };
    let mut world = World::new(&draft, jakarta("2024-01-15 09:00:00"));
    check(
        &mut world,
        "ask A create               -> new
         ask A did review           -> Critic/Two reviews at 1
         ask A did review           -> Critic/Two reviews met 2, Critic done 1, reward Seventy, reward Ten, balance 70, points 10
         ask A redeem Coffee 1      -> Coffee 1, points 3
         at 2024-02-15 09:00:00
         ask A undo 5               -> points 0, reversed 5, points 7
         ask A redeem Coffee 1      -> refused points_too_few",
    );
    assert!(is_balanced(&world));
}

#[test]
fn other_operations_are_not_reversed() {
    let mut world = world(NegativeBalance::Allow);
    check(
        &mut world,
        "ask A create               -> new
         ask B create               -> new
         ask A give 0 50            -> balance 50
         ask A send 0 B 0 10        -> left 40
         ask A open                 -> wallet 1
         ask A deposit 1 5          -> balance 5
         ask A take 1 5             -> balance 0
         ask A close 1              -> closed",
    );
    for seq in ["2", "4", "7", "8", "10", "11"] {
        assert_eq!(world.ask(&["A", "undo", seq]), "refused operation_not_reversible", "{seq}");
    }
    assert_eq!(world.ask(&["A", "undo", "9"]), "refused wallet_closed");
}

#[test]
fn what_is_kept_of_reversals_is_bounded() {
    let mut world = world(NegativeBalance::Allow);
    check(&mut world, "ask A create -> new");
    for _ in 0..REVERSALS_MAX {
        world.ask(&["A", "deposit", "0", "1"]);
        let seq = world.ledger.desk.last().0.to_string();
        assert!(world.ask(&["A", "undo", &seq]).starts_with("reversed"));
    }
    world.ask(&["A", "deposit", "0", "1"]);
    let seq = world.ledger.desk.last().0.to_string();
    assert_eq!(world.ask(&["A", "undo", &seq]), "refused reversals_too_many");
}

#[test]
fn a_replay_refuses_reversals_that_cannot_be() {
    let mut world = world(NegativeBalance::Allow);
    check(
        &mut world,
        "ask A create                      -> new
         ask A deposit 0 500               -> balance 500
         invoice open 200                  -> VA-1000000000 for 200
         ask A pay 0 VA-1000000000 200     -> VA-1000000000 paid, balance 300
         ask A undo 5                      -> reversed 5, balance 500
         ask A undo 3                      -> reversed 3, balance 0",
    );
    let replayed = |change: &dyn Fn(&mut Event)| {
        let mut ledger = Ledger::default();
        world.records.clone().into_iter().try_for_each(|mut record| {
            record.body.events.iter_mut().for_each(change);
            ledger.evolve(&record)
        })
    };
    assert_eq!(replayed(&|_| ()), Ok(()));
    let with = |from: u64, to: u64, invoice: Option<&'static str>| {
        replayed(&move |event| {
            if let Event::OperationReversed(own) = event
                && own.operation == Seq(from)
            {
                own.operation = Seq(to);
                own.invoice = invoice.map(Into::into);
            }
        })
    };
    assert_eq!(with(3, 5, None), Err(Inconsistency::WrongReversal), "twice");
    assert_eq!(with(3, 99, None), Err(Inconsistency::WrongReversal), "not there yet");
    assert_eq!(with(5, 4, Some("VA-1000000000")), Err(Inconsistency::WrongInvoice));
    assert_eq!(with(5, 5, Some("VA-1000000001")), Err(Inconsistency::WrongInvoice));
}
