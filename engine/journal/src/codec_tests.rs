//! The stored shapes, frozen: each kind of event as bytes in a golden file that must never change.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use kembali_core::accounts::{Direction, Entry, HouseAccount, HouseLeg};
use kembali_core::catalogue::{
    AtMaximum, Catalogue, Currency, JourneyRules, Milestone, Partner, Promo, PromoBand, RuleClock, TierLevel,
    TierPolicy, TierProgram, UnknownCustomer, UnknownPromo,
};
use kembali_core::event::{
    Body, CustomerCreated, DeclineReason, Event, MilestoneReached, PromoDeclined, PromoGranted, PurchaseBooked,
    PurchaseRefused, Record, TierStepped,
};
use kembali_core::journey::{Remark, Standing};
use kembali_core::purchase::{Line, Purchase};
use kembali_core::{
    Alias, AliasKind, Amount, CurrencyCode, CustomerId, Fingerprint, Instant, PartnerId, Percent, PurchaseKey,
    RejectionCode, RuleId, Seq, TenantId, Unit, WalletId,
};

use super::{DecodeError, decode, encode};

fn amount(minor_units: i64) -> Amount {
    Amount::new(minor_units).expect("an amount")
}

fn money() -> Unit {
    Unit::Money(CurrencyCode(*b"IDR"))
}

fn catalogue() -> Catalogue {
    Catalogue {
        tenant: TenantId(1),
        version: 2,
        slug: "journey".into(),
        name: "Journey Rewards".into(),
        currency: Currency { code: CurrencyCode(*b"IDR"), exponent: 0 },
        timezone: "Asia/Jakarta".into(),
        clock: RuleClock::Occurred,
        unknown_customer: UnknownCustomer::MustExist,
        unknown_promo: UnknownPromo::Ignore,
        partners: vec![Partner { id: PartnerId(3), slug: "grocer".into(), name: "Grocer".into() }],
        promos: vec![Promo {
            id: RuleId(4),
            code: "JOURNEY2017".into(),
            quota: 10_000,
            starts_at: Instant(-1),
            ends_at: Instant(1_514_739_599_000_000),
            funded_by: Some(PartnerId(3)),
            bands: vec![PromoBand {
                id: RuleId(5),
                quantity: 3,
                or_more: true,
                amount_min: amount(1_500_000),
                amount_end: Some(amount(2_000_000)),
                percent: Percent::parse("3.35").expect("a percentage"),
            }],
        }],
        programs: vec![TierProgram {
            id: RuleId(6),
            name: "Journey".into(),
            policy: TierPolicy::Journey(JourneyRules {
                downgrade_after_days: 30,
                reset_after_days: 60,
                at_maximum: AtMaximum::PayNothing,
            }),
            levels: vec![TierLevel {
                id: RuleId(7),
                name: "BRONZE".into(),
                count_max: 7,
                next: RuleId(7),
                previous: RuleId(7),
                milestones: vec![Milestone { id: RuleId(8), at_count: 3, points: amount(15_000) }],
            }],
        }],
        next_rule: RuleId(9),
    }
}

fn purchase() -> Purchase {
    Purchase {
        origin_id: "31198570044".into(),
        amount: 14_850,
        quantity: 2,
        occurred_at: Some(Instant(1_483_271_606_000_000)),
        promo_code: Some("JOURNEY2017".into()),
        store: Some("330".into()),
        product: None,
        tags: vec!["till-4".into()],
        lines: vec![Line { product: "ROLLS".into(), quantity: 2, amount: 14_850 }],
    }
}

fn standing(level: u32, count: u32) -> Standing {
    Standing { program: RuleId(6), level: RuleId(level), count, last_at: Instant(1_483_271_606_000_000) }
}

fn body(customer: Option<CustomerId>, events: Vec<Event>) -> Body {
    Body {
        received_at: Instant(1_700_000_000_000_001),
        tenant: TenantId(1),
        catalogue_version: 2,
        customer,
        previous: if customer.is_some() { Seq(41) } else { Seq::ZERO },
        events,
    }
}

/// One record for each kind and each variant of an event.
fn samples() -> Vec<(&'static str, Body)> {
    let customer = Some(CustomerId(0x0123_4567_89ab_8cde_8f01_2345_6789_abcd));
    let key = PurchaseKey(0xfedc_ba98_7654_8210_8fed_cba9_8765_4321);
    let fingerprint = Fingerprint { version: 1, hash: 0x1111_2222_3333_4444_5555_6666_7777_8888 };
    let of_customer = |event| body(customer, vec![event]);
    let declined = |reason| of_customer(Event::PromoDeclined(PromoDeclined { promo: RuleId(4), reason }));
    let stepped =
        |before, remark| of_customer(Event::TierStepped(TierStepped { before, after: standing(7, 1), remark }));
    let entry = |account, direction| {
        let against = vec![HouseLeg { account, amount: amount(15_000) }];
        let (wallet, balance_after) = (WalletId(0), amount(20_000));
        of_customer(Event::WalletEntry(Entry {
            wallet,
            unit: money(),
            direction,
            amount: amount(15_000),
            balance_after,
            against,
        }))
    };
    let created = |kind| of_customer(Event::CustomerCreated(CustomerCreated { alias: Alias { kind, hash: 5 } }));
    vec![
        ("catalogue_applied", body(None, vec![Event::CatalogueApplied(Arc::new(catalogue()))])),
        ("customer_created_email", created(AliasKind::Email)),
        ("customer_created_ref", created(AliasKind::Ref)),
        (
            "purchase_booked",
            of_customer(Event::PurchaseBooked(Box::new(PurchaseBooked {
                partner: PartnerId(3),
                key,
                fingerprint,
                at: Instant(1_483_271_606_000_000),
                replaces: Some(RejectionCode::QuantityNotPositive),
                balance_after: amount(20_000),
                purchase: purchase(),
            }))),
        ),
        (
            "purchase_refused",
            body(
                None,
                vec![Event::PurchaseRefused(Box::new(PurchaseRefused {
                    partner: PartnerId(3),
                    key,
                    fingerprint,
                    origin_id: "31198570044".into(),
                    code: RejectionCode::AmountNotPositive,
                    replaces: None,
                }))],
            ),
        ),
        (
            "promo_granted",
            of_customer(Event::PromoGranted(PromoGranted { promo: RuleId(4), band: RuleId(5), points: amount(1_200) })),
        ),
        ("promo_declined_outside_period", declined(DeclineReason::OutsidePeriod)),
        ("promo_declined_no_band", declined(DeclineReason::NoBand)),
        ("promo_declined_rounds_to_zero", declined(DeclineReason::RoundsToZero { band: RuleId(5) })),
        (
            "promo_declined_quota_exhausted",
            declined(DeclineReason::QuotaExhausted { band: RuleId(5), quota: 10_000, points: amount(1_200) }),
        ),
        ("tier_stepped_first", stepped(None, Remark::FirstTransaction)),
        ("tier_stepped_none", stepped(Some(standing(7, 2)), Remark::None)),
        ("tier_stepped_upgrade", stepped(Some(standing(7, 7)), Remark::Upgrade)),
        ("tier_stepped_downgrade", stepped(Some(standing(7, 2)), Remark::Downgrade)),
        ("tier_stepped_reset", stepped(Some(standing(7, 2)), Remark::Reset)),
        ("tier_stepped_maximum", stepped(Some(standing(7, 7)), Remark::Maximum)),
        (
            "milestone_reached",
            of_customer(Event::MilestoneReached(MilestoneReached {
                program: RuleId(6),
                level: RuleId(7),
                milestone: RuleId(8),
                at_count: 3,
                points: amount(15_000),
            })),
        ),
        ("wallet_entry_in_promo", entry(HouseAccount::PromoExpense(PartnerId(3)), Direction::In)),
        ("wallet_entry_out_loyalty", entry(HouseAccount::LoyaltyExpense, Direction::Out)),
    ]
}

fn bytes_of(body: &Body) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(body, &mut bytes).expect("a sample is small");
    bytes
}

#[test]
fn stored_shapes_are_frozen() {
    let mut shapes = String::new();
    for (name, body) in samples() {
        write!(shapes, "{name} ").expect("a string takes text");
        bytes_of(&body).iter().for_each(|byte| write!(shapes, "{byte:02x}").expect("a string takes text"));
        shapes.push('\n');
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/records-v1.txt");
    if !path.exists() && std::env::var_os("KEMBALI_BLESS").is_some() {
        std::fs::write(&path, &shapes).expect("the golden file is written");
    }
    let golden = std::fs::read_to_string(&path).expect("the golden file is there");
    for (line, golden) in shapes.lines().zip(golden.lines()) {
        assert_eq!(line, golden, "a stored shape has changed: make it a new version of its kind instead");
    }
    assert_eq!(shapes.lines().count(), golden.lines().count(), "a shape is missing");
}

#[test]
fn what_is_written_is_read() {
    for (name, body) in samples() {
        let record = decode(Seq(42), &bytes_of(&body)).expect(name);
        assert_eq!(record, Record { seq: Seq(42), body }, "{name}");
    }
}

#[test]
fn r23_a_record_cut_anywhere_is_refused_and_never_a_panic() {
    for (name, body) in samples() {
        let bytes = bytes_of(&body);
        for end in 0..bytes.len() {
            assert!(decode(Seq(42), &bytes[..end]).is_err(), "{name} cut to {end}");
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert!(matches!(decode(Seq(42), &longer), Err(DecodeError::Trailing(1))), "{name}");
    }
}

#[test]
fn a_record_with_any_byte_changed_is_refused_or_another_record_and_never_a_panic() {
    for (name, body) in samples() {
        let bytes = bytes_of(&body);
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                // The frame's checksum finds the damage; here it must only do no harm.
                if let Ok(record) = decode(Seq(42), &changed) {
                    assert_ne!(record.body, body, "{name}: bit {bit} of byte {at} counts for nothing");
                }
            }
        }
    }
}

#[test]
fn a_newer_kind_is_named() {
    let mut bytes = bytes_of(&body(None, Vec::new()));
    let count_at = bytes.len() - 2;
    bytes[count_at] = 1;
    bytes.extend_from_slice(&[0xff, 0x7f, 1, 0, 0, 0, 0]);
    let refused = decode(Seq(42), &bytes);
    assert!(matches!(refused, Err(DecodeError::Unknown { found: 0x7fff, .. })), "{refused:?}");
}
