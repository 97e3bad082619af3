//! What the benches share: rules, purchases of many customers, records, and the pieces of a purchase's way. No measurement is made here.

mod pipeline;
mod stages;

pub use pipeline::Pipeline;
pub use stages::Stage;

use kembali_core::catalogue::{AtMaximum, Catalogue, Currency, RuleClock, UnknownCustomer, UnknownPromo};
use kembali_core::command::PurchaseCommand;
use kembali_core::desk::{Admission, Reservations, admit};
use kembali_core::draft::{
    BandDraft, CatalogueDraft, EarningDraft, JourneyDraft, LevelDraft, Numbering, PartnerDraft, PolicyDraft,
    ProgramDraft, PromoDraft,
};
use kembali_core::event::{Body, Event, Record};
use kembali_core::ledger::Ledger;
use kembali_core::purchase::Purchase;
use kembali_core::refund::RefundPolicy;
use kembali_core::{
    Alias, AliasKind, Amount, CurrencyCode, CustomerName, Fingerprint, Instant, PartnerId, Percent, PurchaseKey, Seq,
    TenantId,
};

/// The start of the benches' time.
pub const START: Instant = Instant(1_673_740_800_000_000);

/// When the rules' benches receive everything: after any purchase that they make up has occurred.
const RECEIVED: Instant = Instant(START.0 + 2_000_000_000 * 1_000_000);

fn amount(minor_units: i64) -> Amount {
    Amount::new(minor_units).expect("an amount")
}

/// KezBek's bands and tiers, with this quota.
#[must_use]
pub fn rules(quota: u64) -> CatalogueDraft {
    let band = |quantity, amount_min, amount_end: Option<i64>, percent| BandDraft {
        quantity,
        or_more: quantity == 3,
        amount_min: amount(amount_min),
        amount_end: amount_end.map(amount),
        percent: Percent::parse(percent).expect("a percentage"),
    };
    let level = |name: &str, points: [i64; 3]| LevelDraft {
        name: name.into(),
        count_max: 7,
        next: None,
        previous: None,
        milestones: [3, 5, 7].into_iter().zip(points.map(amount)).collect(),
    };
    CatalogueDraft {
        slug: "bench".into(),
        name: "Bench".into(),
        currency: Currency { code: CurrencyCode::parse("IDR").expect("a currency"), exponent: 0 },
        timezone: "Asia/Jakarta".into(),
        clock: RuleClock::Occurred,
        unknown_customer: UnknownCustomer::AutoCreate,
        unknown_promo: UnknownPromo::Refuse,
        partners: vec![PartnerDraft { slug: "shop".into(), name: "Shop".into() }],
        promos: vec![PromoDraft {
            code: "KEZBEK1000".into(),
            quota,
            starts_at: Instant(0),
            ends_at: Instant(START.0 * 2),
            funded_by: None,
            bands: vec![
                band(1, 0, Some(100_000), "1.20"),
                band(1, 100_000, Some(500_000), "1.75"),
                band(1, 500_000, Some(1_000_000), "2.30"),
                band(2, 500_000, Some(1_000_000), "2.45"),
                band(2, 1_000_000, Some(1_500_000), "2.75"),
                band(2, 1_500_000, None, "2.95"),
                band(3, 1_500_000, None, "3.35"),
            ],
        }],
        programs: vec![ProgramDraft {
            renames: Vec::new(),
            name: "Journey".into(),
            policy: PolicyDraft::Journey(JourneyDraft {
                downgrade_after_days: 30,
                reset_after_days: 60,
                at_maximum: AtMaximum::PayNothing,
                levels: vec![
                    level("BRONZE", [15_000, 25_000, 35_000]),
                    level("SILVER", [17_500, 28_500, 37_500]),
                    level("GOLD", [18_000, 29_000, 38_000]),
                ],
            }),
        }],
        earning: EarningDraft::default(),
        refunds: RefundPolicy::default(),
        risk_rules: Vec::new(),
    }
}

/// The first record of a ledger, which brings the rules.
///
/// # Panics
///
/// Never: the rules are whole.
#[must_use]
pub fn first_record(quota: u64) -> Record {
    let numbering = Numbering { tenant: TenantId(1), next_partner: PartnerId(1), currency_is_fixed: false };
    let catalogue: Catalogue = rules(quota).resolve(None, numbering).expect("the rules are whole");
    let body = Body {
        received_at: START,
        tenant: TenantId(1),
        catalogue_version: 1,
        customer: None,
        previous: Seq::ZERO,
        events: vec![Event::CatalogueApplied(catalogue.into())],
    };
    Record { seq: Seq(1), body }
}

/// A ledger that holds the rules and nothing else.
///
/// # Panics
///
/// Never: the rules are a first record.
#[must_use]
pub fn ledger(quota: u64) -> Ledger {
    let mut ledger = Ledger::default();
    ledger.evolve(&first_record(quota)).expect("a first record");
    ledger
}

/// Spreads a number over all bits, as a keyed hash would.
fn spread(number: u64) -> u128 {
    let mix = |mut value: u64| {
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    };
    (u128::from(mix(number.wrapping_add(0x9e37_79b9_7f4a_7c15))) << 64) | u128::from(mix(number ^ 0x5555_5555))
}

/// The purchase of this number, by one of so many customers. Small: no lines, one promo.
#[must_use]
pub fn command(number: u64, customers: u64) -> PurchaseCommand {
    PurchaseCommand {
        tenant: TenantId(1),
        partner: PartnerId(1),
        key: PurchaseKey::from_hash(spread(number)),
        fingerprint: Fingerprint { version: 1, hash: spread(!number) },
        customer: CustomerName::Alias(Alias { kind: AliasKind::Ref, hash: spread(spread(number) as u64 % customers) }),
        alias_text: None,
        purchase: Purchase {
            origin_id: format!("P-{number:010}").into(),
            amount: 10_000 + (number as i64 % 400) * 1_000,
            quantity: 1,
            occurred_at: Some(Instant(START.0 + number as i64 * 1_000_000)),
            promo_code: Some("KEZBEK1000".into()),
            ..Purchase::default()
        },
        dry_run: false,
        other_records: Vec::new(),
    }
}

/// Takes one purchase from command to folded record.
///
/// # Panics
///
/// If it is not booked.
pub fn book(ledger: &mut Ledger, command: PurchaseCommand) -> Record {
    let open = Reservations::default();
    let Admission::Admitted(terms) = admit(&ledger.desk, &open, RECEIVED, &command) else { panic!("it is admitted") };
    let decision = kembali_core::customer::decide(ledger.rows.get(&terms.customer), &terms, Box::new(command));
    let kembali_core::customer::Decision::Decided(mut body) = decision else { panic!("it is decided") };
    body.previous = ledger.desk.last_record_of(terms.customer);
    let record = Record { seq: ledger.desk.last().next(), body };
    ledger.evolve(&record).expect("it follows");
    record
}
