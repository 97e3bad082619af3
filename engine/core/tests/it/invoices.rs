//! Invoices: paid once, in full, in time; Dompet Digital Sawit's virtual accounts with their bugs fixed.

use std::collections::BTreeSet;

use kembali_core::desk::{self, DeskPiece, OperationAdmission};
use kembali_core::event::Event;
use kembali_core::ledger::{Inconsistency, Ledger};
use kembali_core::{CatalogueRejection, Seq, TenantId};

use crate::operations::reviews;
use crate::support::{World, amount, check, jakarta};

fn world() -> World {
    let mut world = World::new(&reviews(), jakarta("2024-01-15 09:00:00"));
    check(
        &mut world,
        "ask A create          -> new
         ask A deposit 0 5000  -> balance 5000",
    );
    world
}

#[test]
fn an_invoice_is_paid_once_and_in_full() {
    check(
        &mut world(),
        "invoice open 1200 dry             -> would: VA-1000000000 for 1200
         invoice open 1200 key=o           -> VA-1000000000 for 1200
         invoice open 1200 key=o           -> known 4
         invoice open 1201 key=o           -> reused 4
         invoice open 800 3600 DS-8800     -> DS-88001000000001 for 800
         ask A pay 0 VA-1000000000 1199        -> refused invoice_amount_differs
         ask A pay 0 VA-1000000000 1201        -> refused invoice_amount_differs
         ask A pay 0 VA-1000000000 0           -> refused amount_not_positive
         ask A pay 0 VA-1000000000 -1200       -> refused amount_not_positive
         ask A pay 0 OFFLINE-1 1200        -> refused invoice_not_found
         ask A pay 0 VA-1000000000 1200 dry    -> would: VA-1000000000 paid, balance 3800
         ask A pay 0 VA-1000000000 1200 key=p  -> VA-1000000000 paid, balance 3800
         ask A pay 0 VA-1000000000 1200 key=p  -> known 11
         ask A pay 0 VA-1000000000 1200        -> refused invoice_paid
         invoice cancel VA-1000000000          -> refused invoice_paid
         ask A pay 0 DS-88001000000001 800     -> DS-88001000000001 paid, balance 3000
         ask A pay 0 DS-88001000000001 800     -> refused invoice_paid",
    );
}

/// Dompet Digital Sawit: a virtual account of 20,000 takes 20,000, once, out of a wallet of one's own that is not frozen; and a
/// transfer changes no total. Numbers are counted here, so that no two are one.
#[test]
fn dompet_vectors() {
    let mut world = world();
    check(
        &mut world,
        "ask B create                                -> new
         ask A deposit 0 40000                       -> balance 45000
         invoice open 20000 86400 DS-8800            -> DS-88001000000000 for 20000
         ask A pay 0 DS-88001000000000 19999         -> refused invoice_amount_differs
         ask A pay 7 DS-88001000000000 20000         -> refused wallet_not_found
         ask A freeze 0                              -> frozen
         ask A pay 0 DS-88001000000000 20000         -> refused wallet_frozen
         ask A deposit 0 1                           -> refused wallet_frozen
         ask A thaw 0                                -> active
         ask A pay 0 DS-88001000000000 20000         -> DS-88001000000000 paid, balance 25000
         ask A pay 0 DS-88001000000000 20000         -> refused invoice_paid
         ask A send 0 B 0 25000                      -> left 0
         ask A take 0 1                              -> refused balance_too_small",
    );
    let balances = world.ledger.rows.values().map(|row| row.balance(kembali_core::WalletId(0)).minor_units());
    assert_eq!(balances.sum::<i64>(), 25_000);
}

#[test]
fn an_invoice_is_over_or_cancelled() {
    check(
        &mut world(),
        "invoice open 10 60                -> VA-1000000000 for 10
         invoice open 10                   -> VA-1000000001 for 10
         invoice open 10                   -> VA-1000000002 for 10
         invoice cancel VA-1000000002          -> VA-1000000002 cancelled
         invoice cancel VA-1000000002          -> refused invoice_cancelled
         ask A pay 0 VA-1000000002 10          -> refused invoice_cancelled
         after 59s
         ask A pay 0 VA-1000000000 10 dry      -> would: VA-1000000000 paid, balance 4990
         after 1s
         ask A pay 0 VA-1000000000 10          -> refused invoice_expired
         invoice cancel VA-1000000000          -> VA-1000000000 cancelled
         after 23h
         ask A pay 0 VA-1000000001 10 dry      -> would: VA-1000000001 paid, balance 4990
         after 3600s
         ask A pay 0 VA-1000000001 10          -> refused invoice_expired
         invoice open 0                    -> refused amount_not_positive
         invoice open 10 0                 -> refused life_out_of_range
         invoice open 10 7776001           -> refused life_out_of_range
         invoice open 10 7776000           -> VA-1000000003 for 10
         invoice cancel VA-9               -> refused invoice_not_found",
    );
}

#[test]
fn an_invoice_is_its_partner_s_and_a_wallet_must_be_able_to_pay() {
    check(
        &mut world(),
        "invoice open 900 by=1             -> VA-1000000000 for 900
         invoice cancel VA-1000000000 by=2     -> refused invoice_not_found
         ask A hold 0 4500                 -> hold 1 of 4500
         ask A pay 0 VA-1000000000 900         -> refused balance_held
         ask A open                        -> wallet 1
         ask A pay 1 VA-1000000000 900         -> refused balance_too_small
         ask A pay 2 VA-1000000000 900         -> refused wallet_not_found
         ask A freeze 0                    -> frozen
         ask A pay 0 VA-1000000000 900         -> refused wallet_frozen
         ask A thaw 0                      -> active
         ask A void 1                      -> hold 1 voided
         ask A pay 0 VA-1000000000 900         -> VA-1000000000 paid, balance 4100",
    );
}

/// While one payment is in flight, another waits; a dry run looks.
#[test]
fn one_payment_of_an_invoice_is_in_flight_at_a_time() {
    let mut world = world();
    check(&mut world, "invoice open 10 -> VA-1000000000 for 10");
    world.open.begin_payment(TenantId(1), "VA-1000000000");
    let command = world.operation(&["A", "pay", "0", "VA-1000000000", "10"]);
    let admission = desk::admit_operation(&world.ledger.desk, &world.open, world.now, &command);
    assert!(matches!(admission, OperationAdmission::Wait));
    world.open.end_payment(TenantId(1), "VA-1000000000");
    check(&mut world, "ask A pay 0 VA-1000000000 10 -> VA-1000000000 paid, balance 4990");
}

#[test]
fn a_replay_refuses_invoices_that_cannot_be_and_a_desk_is_made_of_its_pieces() {
    let mut world = world();
    check(
        &mut world,
        "invoice open 10           -> VA-1000000000 for 10
         ask A pay 0 VA-1000000000 10  -> VA-1000000000 paid, balance 4990
         invoice open 7            -> VA-1000000001 for 7
         invoice cancel VA-1000000001  -> VA-1000000001 cancelled",
    );
    let replayed = |change: fn(&mut Event)| {
        let mut ledger = Ledger::default();
        world.records.clone().into_iter().try_for_each(|mut record| {
            record.body.events.iter_mut().for_each(change);
            ledger.evolve(&record)
        })
    };
    assert_eq!(replayed(|_| ()), Ok(()));
    for refused in [
        replayed(|event| {
            if let Event::InvoiceOpened(opened) = event {
                opened.number = "VA-1000000000".into();
            }
        }),
        replayed(|event| {
            if let Event::InvoicePaid(paid) = event {
                paid.number = "VA-1000000001".into();
            }
        }),
        replayed(|event| {
            if let Event::InvoicePaid(paid) = event {
                paid.amount = amount(9);
            }
        }),
        replayed(|event| {
            if let Event::InvoiceCancelled(cancelled) = event {
                cancelled.number = "VA-1000000000".into();
            }
        }),
    ] {
        assert_eq!(refused, Err(Inconsistency::WrongInvoice));
    }
    let mut restored = desk::Desk::default();
    world.ledger.desk.pieces().try_for_each(|piece| restored.restore(piece)).unwrap();
    assert!(restored.invoices().eq(world.ledger.desk.invoices()));
    let again = world.ledger.desk.pieces().find(|piece| matches!(piece, DeskPiece::Invoice { .. })).unwrap();
    assert!(restored.restore(again).is_err());
    assert_eq!(restored.last(), Seq(7));
}

/// R13: also what the desk refuses by itself stays refused under its key.
#[test]
fn r13_a_refusal_of_the_desk_is_remembered() {
    check(
        &mut world(),
        "invoice open 0 key=o              -> refused amount_not_positive
         invoice open 0 key=o              -> known 4
         invoice open 5 key=o              -> reused 4
         invoice cancel VA-1000000000 key=c -> refused invoice_not_found
         ask A send 0 C 0 5 key=t          -> refused transfer_target_not_found
         ask C deposit 0 5 key=d           -> refused customer_not_found
         invoice open 5                    -> VA-1000000000 for 5
         ask C create                      -> new
         invoice cancel VA-1000000000 key=c -> known 5
         ask A send 0 C 0 5 key=t          -> known 6
         ask C deposit 0 5 key=d           -> known 7
         ask C deposit 0 6 key=d           -> reused 7",
    );
}

/// A start that ends with digits looks like a larger count.
#[test]
fn no_two_numbers_are_equal_whatever_their_starts() {
    let mut world = world();
    let mut numbers = BTreeSet::new();
    for start in ["VA-", "VA-1", "VA-10", "1", "10", "100", "DS-8800"].into_iter().cycle().take(70) {
        let said = world.invoice(&["open", "10", "60", start]);
        assert!(said.ends_with(" for 10") && numbers.insert(said.clone()), "{said}");
    }
}

/// An invoice says how much is to be paid, so what its amount means stands from then on.
#[test]
fn the_first_invoice_fixes_the_currency() {
    let mut cents = reviews();
    cents.currency.exponent = 2;
    let apply = |opens: bool| {
        let mut world = World::new(&reviews(), jakarta("2024-01-15 09:00:00"));
        if opens {
            check(&mut world, "invoice open 10 -> VA-1000000000 for 10");
        }
        world.apply(&cents, None)
    };
    assert!(apply(false).is_ok());
    assert!(matches!(apply(true), Err(CatalogueRejection::Invalid { place, .. }) if place == "tenant.currency"));
}
