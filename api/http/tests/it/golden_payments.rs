//! The frozen results and events of what is paid out of wallets: golden files, one line an operation.
//!
//! `KEMBALI_BLESS=1` writes the files anew; for a result that was released, that is never the answer.

use crate::support;
use kembali_core::accounts::{Entry, HouseAccount, HouseLeg};
use kembali_core::catalogue::Catalogue;
use kembali_core::draft::Numbering;
use kembali_core::event::{Body, Event};
use kembali_core::hold::{Hold, HoldClosed, HoldEnd, HoldId};
use kembali_core::invoice::{InvoiceCancelled, InvoiceOpened, InvoicePaid};
use kembali_core::operation::{Actor, Operation, OperationDone, OperationKey, OperationRefused, OperationRejection};
use kembali_core::reversal::OperationReversed;
use kembali_core::review::{Releaser, ReviewClosed, ReviewOpened};
use kembali_core::risk::RiskKind;
use kembali_core::transfer::{
    TransferCredited, TransferDeclined, TransferRefusal, TransferReturned, TransferSent, TransferSettled,
};
use kembali_core::{Amount, CustomerId, Fingerprint, Instant, PartnerId, RuleId, Seq, TenantId, WalletId};
use kembali_http::wire::event::{self, Audience, Topics};
use kembali_http::wire::operation::render;

const AT: Instant = Instant(1_488_337_200_000_000);
const CUSTOMER: CustomerId = CustomerId(0x4df5_900c_22c4_8373_875d_f117_2048_e1b4);
const OTHER: CustomerId = CustomerId(0x0e6b_1f0c_22c4_8373_875d_f117_2048_e1b5);
const GROCER: PartnerId = PartnerId(1);

fn catalogue() -> Catalogue {
    let numbering = Numbering { tenant: TenantId(1), next_partner: GROCER, currency_is_fixed: false };
    support::every_kind_of_rule().to_draft().unwrap().resolve(None, numbering).unwrap()
}

fn amount(minor_units: i64) -> Amount {
    Amount::new(minor_units).unwrap()
}

fn body(events: Vec<Event>) -> Body {
    let received_at = Instant(1_514_764_800_000_001);
    Body { received_at, tenant: TenantId(1), catalogue_version: 1, customer: Some(CUSTOMER), previous: Seq(2), events }
}

fn done(actor: Actor, operation: Operation, effects: Vec<Event>) -> Body {
    let (key, fingerprint) = (Some(OperationKey(7)), Fingerprint { version: 1, hash: 5 });
    let mut events = vec![Event::OperationDone(Box::new(OperationDone { actor, key, fingerprint, at: AT, operation }))];
    events.extend(effects);
    body(events)
}

fn hold(catalogue: &Catalogue) -> Hold {
    let (unit, expires_at) = (catalogue.unit(), Instant(AT.0 + 604_800_000_000));
    Hold { id: HoldId(2), wallet: WalletId(0), unit, partner: GROCER, amount: amount(3_000), expires_at }
}

/// One record for each operation.
fn samples(catalogue: &Catalogue) -> Vec<Body> {
    let hold = hold(catalogue);
    let closed = |end| Event::HoldClosed(HoldClosed { hold, end });
    let place = |life_seconds, reference: Option<&str>| Operation::PlaceHold {
        wallet: WalletId(0),
        partner: GROCER,
        amount: 3_000,
        life_seconds,
        reference: reference.map(Into::into),
    };
    let leg = HouseLeg { account: HouseAccount::Settlement(GROCER), amount: amount(1_200) };
    let paid = Entry::debit(WalletId(0), hold.unit, amount(5_000).into(), &[leg]).unwrap();
    let by_grocer = Actor::Partner(GROCER);
    vec![
        done(by_grocer, place(None, None), vec![Event::HoldPlaced(hold)]),
        done(by_grocer, place(Some(604_800), Some("order \"7\"")), vec![Event::HoldPlaced(hold)]),
        done(
            by_grocer,
            Operation::SettleHold { hold: HoldId(2), amount: Some(1_200) },
            vec![closed(HoldEnd::Settled { amount: amount(1_200) }), Event::WalletEntry(paid.clone())],
        ),
        done(Actor::Operator, Operation::VoidHold { hold: HoldId(2) }, vec![closed(HoldEnd::Voided)]),
        done(Actor::Operator, sent(catalogue, None).operation(), vec![Event::TransferSettled(settled(catalogue))]),
        done(
            Actor::Operator,
            sent(catalogue, Some("rent \"3\"")).operation(),
            vec![Event::TransferSettled(settled(catalogue))],
        ),
        without_customer(done(by_grocer, open_invoice(None), vec![Event::InvoiceOpened(Box::new(opened(catalogue)))])),
        without_customer(done(
            by_grocer,
            open_invoice(Some("DS-8800")),
            vec![Event::InvoiceOpened(Box::new(InvoiceOpened { number: "DS-8800100001".into(), ..opened(catalogue) }))],
        )),
        without_customer(done(
            Actor::Operator,
            Operation::CancelInvoice { number: "VA-100000".into() },
            vec![Event::InvoiceCancelled(Box::new(InvoiceCancelled { number: "VA-100000".into(), partner: GROCER }))],
        )),
        done(
            Actor::Operator,
            Operation::PayInvoice { wallet: WalletId(0), number: "VA-100000".into(), amount: 1_200 },
            vec![Event::InvoicePaid(Box::new(paid_invoice(catalogue))), Event::WalletEntry(paid)],
        ),
    ]
}

/// What came later: reversals, and what is set aside.
fn later(catalogue: &Catalogue) -> Vec<Body> {
    let hold = hold(catalogue);
    let leg = HouseLeg { account: HouseAccount::Settlement(GROCER), amount: amount(1_200) };
    let back = Entry::credit(WalletId(0), hold.unit, amount(3_800).into(), &[leg]).unwrap();
    let reversed = |invoice: Option<&str>| {
        let (partner, invoice) = (invoice.map(|_| GROCER), invoice.map(Into::into));
        Event::OperationReversed(OperationReversed { operation: Seq(12), partner, invoice })
    };
    let (key, fingerprint) = (OperationKey(7), Fingerprint { version: 1, hash: 5 });
    let (by_grocer, operation) = (Actor::Partner(GROCER), open_hold());
    let opened = ReviewOpened {
        actor: by_grocer,
        key: Some(key),
        fingerprint,
        at: AT,
        operation: operation.clone(),
        kind: RiskKind::Hold,
        amount: hold.amount,
        device: None,
        rule: RuleId(7_000),
    };
    let closed = |released_by| Event::ReviewClosed(Box::new(ReviewClosed { review: Seq(14), released_by }));
    let mut released = done(by_grocer, operation.clone(), vec![Event::HoldPlaced(hold)]);
    let releaser = Releaser { actor: Actor::Operator, key: Some(OperationKey(8)), fingerprint };
    released.events.insert(0, closed(Some(releaser)));
    let refused = OperationRefused {
        actor: by_grocer,
        key,
        fingerprint,
        customer: Some(CUSTOMER),
        operation,
        rejection: OperationRejection::ReviewRejected,
    };
    vec![
        done(
            Actor::Operator,
            Operation::Reverse { operation: Seq(12), reason: "paid \"twice\"".into() },
            vec![reversed(Some("VA-1000000000")), Event::WalletEntry(back)],
        ),
        done(
            Actor::Operator,
            Operation::Reverse { operation: Seq(3), reason: "it bounced".into() },
            vec![reversed(None)],
        ),
        body(vec![Event::ReviewOpened(Box::new(opened))]),
        released,
        done(
            Actor::Operator,
            Operation::RejectReview { review: Seq(14), reason: "not \"theirs\"".into() },
            vec![closed(None), Event::OperationRefused(Box::new(refused))],
        ),
    ]
}

fn open_hold() -> Operation {
    Operation::PlaceHold { wallet: WalletId(0), partner: GROCER, amount: 3_000, life_seconds: None, reference: None }
}

fn open_invoice(prefix: Option<&str>) -> Operation {
    Operation::OpenInvoice {
        partner: GROCER,
        prefix: prefix.map(Into::into),
        amount: 1_200,
        life_seconds: prefix.map(|_| 3_600),
        reference: prefix.map(|_| "order 8".into()),
    }
}

fn opened(catalogue: &Catalogue) -> InvoiceOpened {
    let (number, unit, expires_at) = ("VA-100000".into(), catalogue.unit(), Instant(AT.0 + 3_600_000_000));
    InvoiceOpened { number, partner: GROCER, unit, amount: amount(1_200), expires_at }
}

fn paid_invoice(catalogue: &Catalogue) -> InvoicePaid {
    let (number, wallet, unit) = ("VA-100000".into(), WalletId(0), catalogue.unit());
    InvoicePaid { number, partner: GROCER, wallet, unit, amount: amount(1_200) }
}

fn without_customer(body: Body) -> Body {
    Body { customer: None, previous: Seq::ZERO, ..body }
}

fn sent(catalogue: &Catalogue, reference: Option<&str>) -> TransferSent {
    TransferSent {
        actor: Actor::Operator,
        key: Some(OperationKey(7)),
        fingerprint: Fingerprint { version: 1, hash: 5 },
        at: AT,
        wallet: WalletId(0),
        unit: catalogue.unit(),
        amount: amount(700),
        balance_after: amount(4_300).into(),
        to: OTHER,
        to_wallet: WalletId(1),
        reference: reference.map(Into::into),
    }
}

fn settled(catalogue: &Catalogue) -> TransferSettled {
    let TransferSent { wallet, unit, amount, balance_after, to, to_wallet, .. } = sent(catalogue, None);
    TransferSettled { transfer: Seq(5), wallet, unit, amount, balance_after, to, to_wallet }
}

/// The steps of transfers that have no result of their own.
fn steps(catalogue: &Catalogue) -> Vec<Body> {
    let (transfer, from, wallet, reason) = (Seq(5), CUSTOMER, WalletId(1), TransferRefusal::WalletFrozen);
    let credited = TransferCredited { transfer, from, wallet, unit: catalogue.unit(), amount: amount(700) };
    let refused = OperationRefused {
        actor: Actor::Operator,
        key: OperationKey(7),
        fingerprint: Fingerprint { version: 1, hash: 5 },
        customer: Some(CUSTOMER),
        operation: sent(catalogue, None).operation(),
        rejection: OperationRejection::TransferDeclined(reason),
    };
    vec![
        body(vec![Event::TransferSent(Box::new(sent(catalogue, None)))]),
        body(vec![Event::TransferCredited(credited)]),
        body(vec![Event::TransferDeclined(TransferDeclined { transfer, from, wallet, reason })]),
        body(vec![
            Event::TransferReturned(TransferReturned { transfer, reason }),
            Event::OperationRefused(Box::new(refused)),
        ]),
    ]
}

fn check(file: &str, lines: &[String]) {
    let path = format!("{}/tests/golden/{file}", env!("CARGO_MANIFEST_DIR"));
    let written = lines.join("\n") + "\n";
    if std::env::var_os("KEMBALI_BLESS").is_some() {
        std::fs::write(&path, &written).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), written, "{file}");
}

#[test]
fn every_payment_has_a_frozen_result() {
    let catalogue = catalogue();
    let shown = |(body, seq): (&Body, u64)| {
        let mut out = Vec::new();
        render(&mut out, Some(Seq(seq)), body, &catalogue).unwrap();
        String::from_utf8(out).unwrap()
    };
    let samples = [samples(&catalogue), later(&catalogue)].concat();
    let lines: Vec<String> = samples.iter().zip(3..).map(shown).collect();
    check("operations_of_payments.ndjson", &lines);
}

#[test]
fn every_payment_has_its_events() {
    let catalogue = catalogue();
    let mut samples = samples(&catalogue);
    samples.push(body(vec![Event::HoldClosed(HoldClosed { hold: hold(&catalogue), end: HoldEnd::Expired })]));
    samples.extend(steps(&catalogue));
    samples.extend(later(&catalogue));
    let all = (Audience::Operators, Topics::ALL);
    let frame = |(body, seq): (&Body, u64)| event::render(Seq(seq), body, &catalogue, all).unwrap().unwrap();
    let lines: Vec<String> = samples.iter().zip(3..).map(frame).collect();
    check("events_of_payments.ndjson", &lines);
}

/// A hold or an invoice is its partner's, whatever record says so; and of what another did, a partner sees nothing else.
#[test]
fn holds_and_invoices_are_shown_to_their_partner_alone() {
    let catalogue = catalogue();
    let types = |body: &Body, partner| {
        let seen = event::render(Seq(3), body, &catalogue, (Audience::Partner(partner), Topics::ALL)).unwrap();
        let frame: serde_json::Value =
            serde_json::from_str(&seen.unwrap_or_else(|| r#"{"events":[]}"#.into())).unwrap();
        let events = frame["events"].as_array().unwrap().iter();
        events.map(|event| event["type"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let samples = samples(&catalogue);
    let settled = ["operation.accepted", "hold.settled", "wallet.entry"];
    assert_eq!(
        (types(&samples[2], GROCER), types(&samples[2], PartnerId(2))),
        (settled.map(Into::into).to_vec(), vec![])
    );
    // An operator voids it.
    assert_eq!((types(&samples[3], GROCER), types(&samples[3], PartnerId(2))), (vec!["hold.voided".into()], vec![]));
    // An operator cancels its invoice, and a customer pays it.
    assert_eq!(
        (types(&samples[8], GROCER), types(&samples[8], PartnerId(2))),
        (vec!["invoice.cancelled".into()], vec![])
    );
    assert_eq!((types(&samples[9], GROCER), types(&samples[9], PartnerId(2))), (vec!["invoice.paid".into()], vec![]));
    // A partner sees what becomes of what it asked for, and no other one does.
    let [.., set_aside, released, rejected] = &later(&catalogue)[..] else { panic!("what is set aside") };
    for (body, expected) in [
        (set_aside, vec!["review.opened"]),
        (released, vec!["review.released", "operation.accepted", "hold.placed"]),
        (rejected, vec!["operation.rejected"]),
    ] {
        assert_eq!(types(body, GROCER), expected);
        assert!(types(body, PartnerId(2)).is_empty());
    }
    // It is over, which a purchase at another partner is the first to see.
    let mut bought = samples[2].clone();
    bought.events.insert(0, Event::HoldClosed(HoldClosed { hold: hold(&catalogue), end: HoldEnd::Expired }));
    let Event::OperationDone(done) = &mut bought.events[1] else { panic!("an operation") };
    done.actor = Actor::Partner(PartnerId(2));
    assert_eq!(types(&bought, GROCER), ["hold.expired", "hold.settled"]);
    assert_eq!(types(&bought, PartnerId(2)), ["operation.accepted", "wallet.entry"]);
}
