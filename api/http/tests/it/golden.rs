//! The frozen `result`, version 1: golden files. A change of any byte here breaks repeats of purchases that are booked.
//!
//! `KEMBALI_BLESS=1` writes the files anew; for a result that was released, that is never the answer.

use crate::support;
use kembali_core::accounts::{Entry, HouseAccount, HouseLeg};
use kembali_core::campaign::Progress;
use kembali_core::catalogue::{Catalogue, Journey, RewardKind, TierPolicy};
use kembali_core::draft::Numbering;
use kembali_core::event::{
    Body, CampaignCompleted, CashbackEarned, CustomerCreated, DeclineReason, Event, FulfillmentAdvanced,
    MilestoneReached, Placed, PlacementReason, PromoDeclined, PromoGranted, PurchaseBooked, PurchaseRefused,
    RewardGranted, SpendCounted, TierPlaced, TierStepped,
};
use kembali_core::journey::{Remark, Standing};
use kembali_core::points::{Expiry, Lot, Maturity, PointEntry};
use kembali_core::purchase::{Line, Purchase};
use kembali_core::threshold::SpendStanding;
use kembali_core::{
    Alias, AliasKind, Amount, CustomerId, Fingerprint, Instant, PartnerId, PurchaseKey, RejectionCode, RuleId, Seq,
    TenantId, Unit, WalletId,
};
use kembali_http::CatalogueFile;
use kembali_http::wire::event::{self, Audience, Topics};
use kembali_http::wire::result::{render, render_dry_run};

/// 2017-03-01T03:00:00Z.
const AT: Instant = Instant(1_488_337_200_000_000);
const CUSTOMER: CustomerId = CustomerId(0x4df5_900c_22c4_8373_875d_f117_2048_e1b4);

fn catalogue() -> Catalogue {
    resolved(&support::sample())
}

fn resolved(file: &CatalogueFile) -> Catalogue {
    let numbering = Numbering { tenant: TenantId(1), next_partner: PartnerId(1), currency_is_fixed: false };
    file.to_draft().unwrap().resolve(None, numbering).unwrap()
}

fn journey(catalogue: &Catalogue) -> &Journey {
    match &catalogue.programs[0].policy {
        TierPolicy::Journey(journey) => journey,
        TierPolicy::Threshold(_) => panic!("the sample's programme is a Journey"),
    }
}

fn level(catalogue: &Catalogue, name: &str) -> RuleId {
    journey(catalogue).levels.iter().find(|level| level.name == name).unwrap().id
}

fn standing(catalogue: &Catalogue, name: &str, count: u32) -> Standing {
    Standing { program: catalogue.programs[0].id, level: level(catalogue, name), count, last_at: AT }
}

fn amount(minor_units: i64) -> Amount {
    Amount::new(minor_units).unwrap()
}

fn body(purchase: Purchase, balance_after: i64, more: Vec<Event>) -> Body {
    let booked = PurchaseBooked {
        partner: PartnerId(1),
        key: PurchaseKey(0x0921_f285_50c6_8e5f_9e54_f8c3_7352_3e66),
        fingerprint: Fingerprint { version: 1, hash: 5 },
        at: AT,
        replaces: Some(RejectionCode::PromoUnknown),
        balance_after: amount(balance_after).into(),
        purchase,
    };
    let mut events = vec![Event::PurchaseBooked(Box::new(booked))];
    events.extend(more);
    Body {
        received_at: Instant(1_514_764_800_000_001),
        tenant: TenantId(1),
        catalogue_version: 1,
        customer: Some(CUSTOMER),
        previous: Seq(2),
        events,
    }
}

fn check(file: &str, written: &[u8]) {
    let path = format!("{}/tests/golden/{file}", env!("CARGO_MANIFEST_DIR"));
    let written = format!("{}\n", std::str::from_utf8(written).unwrap());
    if std::env::var_os("KEMBALI_BLESS").is_some() {
        std::fs::write(&path, &written).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), written, "{file}");
}

#[test]
fn a_first_purchase_with_cashback() {
    let catalogue = catalogue();
    let promo = &catalogue.promos[0];
    let purchase = Purchase {
        origin_id: "A-\"1\"/\u{e9}".into(),
        amount: 200_000,
        quantity: 1,
        occurred_at: Some(AT),
        promo_code: Some("JOURNEY2017".into()),
        store: Some("s".into()),
        product: None,
        tags: vec!["t".to_owned()],
        lines: vec![Line { product: "tea".into(), quantity: 1, amount: 200_000 }],
    };
    let created = CustomerCreated { alias: Alias { kind: AliasKind::Ref, hash: 9 } };
    let after = standing(&catalogue, "BRONZE", 1);
    let body = body(
        purchase,
        3_500,
        vec![
            Event::CustomerCreated(created),
            Event::PromoGranted(PromoGranted { promo: promo.id, band: promo.bands[1].id, points: amount(3_500) }),
            Event::TierStepped(TierStepped { before: None, after, remark: Remark::FirstTransaction }),
        ],
    );
    let mut out = Vec::new();
    render(&mut out, Seq(3), &body, &catalogue).unwrap();
    check("first_purchase.json", &out);
    out.clear();
    render_dry_run(&mut out, &body, &catalogue).unwrap();
    check("dry_run.json", &out);
}

#[test]
fn an_upgrade_a_milestone_and_a_quota_that_is_used_up() {
    let catalogue = catalogue();
    let promo = &catalogue.promos[0];
    let (before, after) = (standing(&catalogue, "BRONZE", 7), standing(&catalogue, "SILVER", 1));
    let silver = journey(&catalogue).level(after.level).unwrap();
    let reached = MilestoneReached {
        program: after.program,
        level: silver.id,
        milestone: silver.milestones[0].id,
        at_count: 3,
        points: amount(17_500),
    };
    let reason = DeclineReason::QuotaExhausted { band: promo.bands[6].id, quota: 10_000, points: amount(50_250) };
    let purchase = Purchase { origin_id: "A-2".into(), amount: 1_500_000, quantity: 5, ..Purchase::default() };
    let body = body(
        purchase,
        21_000,
        vec![
            Event::PromoDeclined(PromoDeclined { promo: promo.id, reason }),
            Event::TierStepped(TierStepped { before: Some(before), after, remark: Remark::Upgrade }),
            Event::MilestoneReached(reached),
        ],
    );
    let mut out = Vec::new();
    render(&mut out, Seq(u64::from(u32::MAX) + 7), &body, &catalogue).unwrap();
    check("upgrade_and_quota.json", &out);
}

#[test]
fn the_events_of_one_purchase() {
    let catalogue = catalogue();
    let promo = &catalogue.promos[0];
    let (before, after) = (standing(&catalogue, "BRONZE", 7), standing(&catalogue, "SILVER", 1));
    let silver = journey(&catalogue).level(after.level).unwrap();
    let declined = |reason| Event::PromoDeclined(PromoDeclined { promo: promo.id, reason });
    let exhausted = DeclineReason::QuotaExhausted { band: promo.bands[6].id, quota: 10_000, points: amount(50_250) };
    let legs = [HouseLeg { account: HouseAccount::PromoExpense(PartnerId(1)), amount: amount(3_500) }];
    let entry = Entry::credit(WalletId(0), Unit::Money(catalogue.currency.code), amount(17_500).into(), &legs).unwrap();
    let purchase = Purchase { origin_id: "A-2".into(), amount: 1_500_000, quantity: 5, ..Purchase::default() };
    let body = body(
        purchase,
        21_000,
        vec![
            Event::CustomerCreated(CustomerCreated { alias: Alias { kind: AliasKind::Email, hash: 9 } }),
            Event::PromoGranted(PromoGranted { promo: promo.id, band: promo.bands[1].id, points: amount(3_500) }),
            declined(exhausted),
            declined(DeclineReason::NoBand),
            // One more within the level is not public, and its number is not given to another.
            Event::TierStepped(TierStepped { before: Some(before), after: before, remark: Remark::None }),
            Event::TierStepped(TierStepped { before: Some(before), after, remark: Remark::Upgrade }),
            Event::MilestoneReached(MilestoneReached {
                program: after.program,
                level: silver.id,
                milestone: silver.milestones[0].id,
                at_count: 3,
                points: amount(17_500),
            }),
            Event::WalletEntry(entry),
        ],
    );
    let frame = event::render(Seq(42), &body, &catalogue, (Audience::Operators, Topics::ALL)).unwrap().unwrap();
    check("events_of_a_purchase.json", frame.as_bytes());
    let tiers = event::render(Seq(42), &body, &catalogue, (Audience::Operators, Topics::parse("tier.*").unwrap()))
        .unwrap()
        .unwrap();
    assert!(tiers.contains(r#""id":"42-6""#) && frame.contains(r#""id":"42-6""#), "a filter changes no id");
    assert_eq!(
        event::render(Seq(42), &body, &catalogue, (Audience::Operators, Topics::parse("catalogue.*").unwrap()))
            .unwrap(),
        None
    );
}

#[test]
fn the_events_of_a_change_of_rules_and_of_a_refusal() {
    let catalogue = std::sync::Arc::new(catalogue());
    let mut body = body(Purchase::default(), 0, Vec::new());
    body.customer = None;
    body.events = vec![Event::CatalogueApplied(std::sync::Arc::clone(&catalogue))];
    let frame = event::render(Seq(1), &body, &catalogue, (Audience::Operators, Topics::ALL)).unwrap().unwrap();
    check("events_of_a_catalogue.json", frame.as_bytes());
    body.events = vec![Event::PurchaseRefused(Box::new(PurchaseRefused {
        partner: PartnerId(1),
        key: PurchaseKey(0x0921_f285_50c6_8e5f_9e54_f8c3_7352_3e66),
        fingerprint: Fingerprint { version: 1, hash: 5 },
        origin_id: "A-9".into(),
        code: RejectionCode::PromoUnknown,
        replaces: None,
    }))];
    let frame = event::render(Seq(2), &body, &catalogue, (Audience::Operators, Topics::ALL)).unwrap().unwrap();
    check("events_of_a_refusal.json", frame.as_bytes());
}

#[test]
fn every_other_reason_and_remark() {
    let catalogue = catalogue();
    let promo = &catalogue.promos[0];
    let declined = |reason| Event::PromoDeclined(PromoDeclined { promo: promo.id, reason });
    let stepped = |before: &str, after: &str, remark| {
        let (before, after) = (standing(&catalogue, before, 3), standing(&catalogue, after, 1));
        Event::TierStepped(TierStepped { before: Some(before), after, remark })
    };
    let purchase = Purchase { origin_id: "A-3".into(), amount: 1, quantity: 1, ..Purchase::default() };
    let body = body(
        purchase,
        0,
        vec![
            declined(DeclineReason::OutsidePeriod),
            declined(DeclineReason::NoBand),
            declined(DeclineReason::RoundsToZero { band: promo.bands[0].id }),
            // A rule that is gone is shown by its number.
            Event::PromoDeclined(PromoDeclined { promo: RuleId(99), reason: DeclineReason::NoBand }),
            stepped("BRONZE", "BRONZE", Remark::None),
            stepped("BRONZE", "BRONZE", Remark::Downgrade),
            stepped("GOLD", "SILVER", Remark::Downgrade),
            stepped("GOLD", "BRONZE", Remark::Reset),
            stepped("GOLD", "GOLD", Remark::Maximum),
        ],
    );
    let mut out = Vec::new();
    render(&mut out, Seq(4), &body, &catalogue).unwrap();
    check("reasons_and_remarks.json", &out);
}

#[test]
fn spend_tiers_cashback_rules_and_campaigns() {
    let catalogue = resolved(&support::every_kind_of_rule());
    let TierPolicy::Threshold(spend) = &catalogue.programs[1].policy else { panic!("the second one is a Threshold") };
    let spent = |level: usize, spent| {
        let level = spend.levels[level].id;
        SpendStanding { program: catalogue.programs[1].id, level, spent: amount(spent) }
    };
    let counted = |before, after| Event::SpendCounted(SpendCounted { before, after });
    let kind = |name: &str| catalogue.point_kinds.iter().find(|kind| kind.name == name).unwrap().id;
    let (cashback, reward) = (kind("cashback"), kind("reward"));
    let (pizza, campaign) = (&catalogue.cashback_rules[1], &catalogue.campaigns[0]);
    let met = |at: usize, so_far, is_met| {
        let progress = Progress { fulfillment: campaign.fulfillments[at], so_far, is_met };
        Event::FulfillmentAdvanced(FulfillmentAdvanced { campaign: campaign.id, progress })
    };
    let granted =
        |paid| Event::RewardGranted(RewardGranted { campaign: campaign.id, reward: campaign.rewards[0], paid });
    let points = |kind, source, points, balance| {
        let lot = Lot { expires: Expiry::NEVER, source, matures: Maturity::AT_ONCE, points: amount(points) };
        Event::PointEntry(PointEntry::grant(kind, lot, amount(balance)).unwrap())
    };
    let purchase = Purchase { origin_id: "A-4".into(), amount: 90_000, quantity: 1, ..Purchase::default() };
    let hundred = RewardKind::Points { kind: reward, points: amount(100) };
    let body = body(
        purchase,
        5_000,
        vec![
            counted(None, spent(0, 90_000)),
            counted(Some(spent(0, 4_950_000)), spent(1, 5_040_000)),
            counted(Some(spent(1, 5_040_000)), spent(1, 5_130_000)),
            Event::CashbackEarned(CashbackEarned { rule: pizza.id, kind: cashback, points: amount(4_500) }),
            met(0, 90_000, true),
            met(1, 15_000, false),
            Event::CampaignCompleted(CampaignCompleted { campaign: campaign.id, completions: 2, is_first: false }),
            granted(hundred),
            granted(RewardKind::WalletCredit { amount: amount(5_000) }),
            points(cashback, pizza.id, 4_500, 1_000),
            points(reward, campaign.rewards[0], 100, 0),
            // Only the last balance of a kind is said.
            points(cashback, pizza.id, 1, 5_500),
        ],
    );
    let mut out = Vec::new();
    render(&mut out, Seq(5), &body, &catalogue).unwrap();
    check("earning.json", &out);
    let frame = event::render(Seq(5), &body, &catalogue, (Audience::Operators, Topics::ALL)).unwrap().unwrap();
    check("events_of_earning.json", frame.as_bytes());
}

#[test]
fn placements_of_a_customer() {
    let catalogue = resolved(&support::every_kind_of_rule());
    let TierPolicy::Threshold(spend) = &catalogue.programs[1].policy else { panic!("the second one is a Threshold") };
    let at = |level: RuleId| SpendStanding { program: catalogue.programs[1].id, level, spent: amount(4_000_000) };
    let place = |reason, before, after| {
        let placed = Placed::Threshold { before: at(before), after: at(after) };
        Event::TierPlaced(TierPlaced { reason, placed })
    };
    let gone = RuleId(999);
    let (bronze, silver) = (spend.levels[0].id, spend.levels[1].id);
    let removed = PlacementReason::LevelRemoved { version: 1 };
    let program = catalogue.programs[0].id;
    let before = Standing { program, level: gone, count: 3, last_at: AT };
    let after = Standing { level: level(&catalogue, "SILVER"), count: 0, ..before };
    let mut body = body(
        Purchase { origin_id: "A-6".into(), amount: 1, quantity: 1, ..Purchase::default() },
        0,
        vec![
            place(PlacementReason::Promoted, bronze, silver),
            place(PlacementReason::Demoted, silver, bronze),
            place(removed, gone, bronze),
            Event::TierPlaced(TierPlaced { reason: removed, placed: Placed::Journey { before, after } }),
        ],
    );
    let mut out = Vec::new();
    render(&mut out, Seq(6), &body, &catalogue).unwrap();
    check("placements.json", &out);
    body.events.retain(|event| matches!(event, Event::TierPlaced(_)));
    let frame = event::render(Seq(6), &body, &catalogue, (Audience::Operators, Topics::ALL)).unwrap().unwrap();
    check("events_of_placements.json", frame.as_bytes());
}

#[test]
fn a_record_without_a_purchase_is_no_result() {
    let mut body = body(Purchase::default(), 0, Vec::new());
    body.events.clear();
    assert!(render(&mut Vec::new(), Seq(1), &body, &catalogue()).is_err());
}
