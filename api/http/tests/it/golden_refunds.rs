//! The frozen result of a refund, version 1, and its events: golden files, one line a refund.
//!
//! `KEMBALI_BLESS=1` writes the files anew; for a result that was released, that is never the answer.

use crate::support;
use kembali_core::accounts::{Entry, HouseAccount, HouseEntry, HouseLeg};
use kembali_core::catalogue::{Catalogue, RewardKind, TierPolicy};
use kembali_core::draft::Numbering;
use kembali_core::event::{Body, Event, Placed, PlacementReason, RewardGranted, TierPlaced};
use kembali_core::operation::{Actor, Operation, OperationDone};
use kembali_core::purchase::Line;
use kembali_core::refund::{CashbackBack, ClawBack, Part, PromoBack, PurchaseRefunded, Refund, RefundOf};
use kembali_core::threshold::SpendStanding;
use kembali_core::{
    Amount, Balance, CustomerId, Fingerprint, Instant, PartnerId, PurchaseKey, Seq, TenantId, WalletId,
};
use kembali_http::wire::event::{self, Audience, Topics};
use kembali_http::wire::operation::render;

const AT: Instant = Instant(1_488_337_200_000_000);
const PURCHASE: PurchaseKey = PurchaseKey(0x4df5_900c_22c4_8373_875d_f117_2048_e1b4);
const KEY: PurchaseKey = PurchaseKey(0x1111_900c_22c4_8373_875d_f117_2048_e1b4);

fn catalogue() -> Catalogue {
    let numbering = Numbering { tenant: TenantId(1), next_partner: PartnerId(1), currency_is_fixed: false };
    support::every_kind_of_rule().to_draft().unwrap().resolve(None, numbering).unwrap()
}

fn amount(minor_units: i64) -> Amount {
    Amount::new(minor_units).unwrap()
}

fn done(of: RefundOf, reason: Option<&str>, effects: Vec<Event>) -> Body {
    let refund = Refund {
        purchase: PURCHASE,
        origin_id: "31198570044".into(),
        key: KEY,
        refund_id: "R \"1\"".into(),
        of,
        reason: reason.map(Into::into),
    };
    let operation = Operation::RefundPurchase(Box::new(refund));
    let (actor, fingerprint) = (Actor::Partner(PartnerId(1)), Fingerprint { version: 1, hash: 5 });
    let mut events =
        vec![Event::OperationDone(Box::new(OperationDone { actor, key: None, fingerprint, at: AT, operation }))];
    events.extend(effects);
    let (received_at, customer) = (Instant(1_514_764_800_000_001), Some(CustomerId(PURCHASE.0)));
    Body { received_at, tenant: TenantId(1), catalogue_version: 1, customer, previous: Seq(2), events }
}

/// One that claws everything back, and one that claws nothing back.
fn samples(catalogue: &Catalogue) -> Vec<Body> {
    let spend = &catalogue.programs[1];
    let TierPolicy::Threshold(bounds) = &spend.policy else { panic!("a Threshold programme") };
    let standing =
        |level: usize, spent| SpendStanding { program: spend.id, level: bounds.levels[level].id, spent: amount(spent) };
    let placed = |before, after| {
        let placed = Placed::Threshold { before, after };
        Event::TierPlaced(TierPlaced { reason: PlacementReason::Refunded, placed })
    };
    let rule = &catalogue.cashback_rules[0];
    let campaign = &catalogue.campaigns[0];
    let reward = |paid| RewardGranted { campaign: campaign.id, reward: campaign.rewards[0], paid };
    let legs = [HouseLeg { account: HouseAccount::LoyaltyExpense, amount: amount(300) }];
    let taken = Entry::debit(WalletId(0), catalogue.unit(), Balance::new(100).unwrap(), &legs).unwrap();
    let all = PurchaseRefunded {
        partner: PartnerId(1),
        purchase: PURCHASE,
        key: KEY,
        refund_id: "R \"1\"".into(),
        at: AT,
        amount: amount(7_425),
        parts: vec![Part { product: "CHEESE".into(), quantity: 2, amount: amount(7_425) }],
        remaining: amount(75),
        claw_back: ClawBack {
            promo: Some(PromoBack { promo: catalogue.promos[0].id, points: amount(130) }),
            loyalty: amount(120),
            cashback: vec![CashbackBack { rule: rule.id, kind: rule.pays, points: amount(148) }],
            rewards: vec![
                reward(RewardKind::Points { kind: catalogue.point_kinds[1].id, points: amount(100) }),
                reward(RewardKind::WalletCredit { amount: amount(50) }),
            ],
        },
        returned_unit: Some(catalogue.promos[0].id),
        shortfall: amount(40),
        points_short: Vec::new(),
        balance_after: taken.balance_after,
    };
    let nothing = PurchaseRefunded {
        parts: Vec::new(),
        claw_back: ClawBack::default(),
        returned_unit: None,
        shortfall: Amount::ZERO,
        ..all.clone()
    };
    let leg = |account| vec![HouseLeg { account, amount: amount(40) }];
    let line = Line { product: "CHEESE".into(), quantity: 2, amount: 7_425 };
    vec![
        done(
            RefundOf::Lines(vec![line]),
            Some("mouldy"),
            vec![
                Event::PurchaseRefunded(Box::new(all)),
                placed(standing(1, 5_000_000), standing(0, 4_992_575)),
                Event::WalletEntry(taken),
                Event::HousePosted(HouseEntry {
                    unit: catalogue.unit(),
                    debit: leg(HouseAccount::RefundShortfall),
                    credit: leg(HouseAccount::LoyaltyExpense),
                }),
            ],
        ),
        done(
            RefundOf::Amount(7_425),
            None,
            vec![Event::PurchaseRefunded(Box::new(nothing)), placed(standing(0, 9_000), standing(0, 1_575))],
        ),
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
fn a_refund_has_a_frozen_result() {
    let catalogue = catalogue();
    let shown = |seq: Option<Seq>, body: &Body| {
        let mut out = Vec::new();
        render(&mut out, seq, body, &catalogue).unwrap();
        String::from_utf8(out).unwrap()
    };
    let samples = samples(&catalogue);
    let lines = [shown(Some(Seq(3)), &samples[0]), shown(Some(Seq(4)), &samples[1]), shown(None, &samples[1])];
    check("operations_of_refunds.ndjson", &lines);
}

#[test]
fn a_refund_has_its_events() {
    let catalogue = catalogue();
    let frame = |(body, seq): (&Body, u64)| {
        event::render(Seq(seq), body, &catalogue, (Audience::Operators, Topics::ALL)).unwrap().unwrap()
    };
    let lines: Vec<String> = samples(&catalogue).iter().zip(3..).map(frame).collect();
    check("events_of_refunds.ndjson", &lines);
    let own = Topics::parse("purchase.refunded").unwrap();
    let frame =
        event::render(Seq(3), &samples(&catalogue)[1], &catalogue, (Audience::Operators, own)).unwrap().unwrap();
    assert_eq!(frame.matches("\"type\":\"purchase.refunded\"").count(), 1);
    // Who follows a level hears of no level that stays.
    let tiers = Topics::parse("tier.changed").unwrap();
    assert!(
        event::render(Seq(3), &samples(&catalogue)[1], &catalogue, (Audience::Operators, tiers)).unwrap().is_none()
    );
}
