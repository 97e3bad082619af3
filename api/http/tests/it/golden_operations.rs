//! The frozen result of an operation, version 1, and its events: golden files, one line an operation.
//!
//! `KEMBALI_BLESS=1` writes the files anew; for a result that was released, that is never the answer.

use crate::support;
use kembali_core::accounts::{Direction, Entry, HouseAccount, HouseLeg};
use kembali_core::catalogue::{Catalogue, RewardKind, TierPolicy};
use kembali_core::draft::Numbering;
use kembali_core::event::{
    Body, CustomerCreated, Event, Placed, PlacementReason, RewardGranted, TierPlaced, WalletOpened, WalletStatusSet,
};
use kembali_core::journey::Standing;
use kembali_core::operation::{
    Actor, Operation, OperationDone, OperationKey, OperationRefused, OperationRejection, TierMove,
};
use kembali_core::points::{Expiry, Lot, Maturity, PointEntry};
use kembali_core::threshold::SpendStanding;
use kembali_core::wallet::WalletStatus;
use kembali_core::{
    Alias, AliasKind, Amount, CustomerId, Fingerprint, Instant, PartnerId, RuleId, Seq, TenantId, WalletId,
};
use kembali_http::wire::event::{self, Audience, Topics};
use kembali_http::wire::operation::render;

const AT: Instant = Instant(1_488_337_200_000_000);
const CUSTOMER: CustomerId = CustomerId(0x4df5_900c_22c4_8373_875d_f117_2048_e1b4);
const FINGERPRINT: Fingerprint = Fingerprint { version: 1, hash: 5 };
const WALLET: WalletId = WalletId(2);

fn catalogue() -> Catalogue {
    let numbering = Numbering { tenant: TenantId(1), next_partner: PartnerId(1), currency_is_fixed: false };
    support::every_kind_of_rule().to_draft().unwrap().resolve(None, numbering).unwrap()
}

fn amount(minor_units: i64) -> Amount {
    Amount::new(minor_units).unwrap()
}

fn body(customer: Option<CustomerId>, events: Vec<Event>) -> Body {
    let received_at = Instant(1_514_764_800_000_001);
    Body { received_at, tenant: TenantId(1), catalogue_version: 1, customer, previous: Seq(2), events }
}

fn done(actor: Actor, operation: Operation, effects: Vec<Event>) -> Body {
    let done = OperationDone { actor, key: Some(OperationKey(7)), fingerprint: FINGERPRINT, at: AT, operation };
    let mut events = vec![Event::OperationDone(Box::new(done))];
    events.extend(effects);
    body(Some(CUSTOMER), events)
}

fn deposit() -> Operation {
    Operation::Deposit { wallet: WALLET, amount: 500, reference: Some("BCA \"42\"".into()) }
}

/// One record for each operation, with all that it can do.
fn samples(catalogue: &Catalogue) -> Vec<Body> {
    let unit = catalogue.unit();
    let status = |before, after| {
        let set = WalletStatusSet { wallet: WALLET, unit, before, after };
        let operation = Operation::SetWalletStatus { wallet: WALLET, status: after };
        done(Actor::Operator, operation, vec![Event::WalletStatusSet(set)])
    };
    let into = |wallet, account, moved, balance| {
        let leg = HouseLeg { account, amount: amount(moved) };
        Event::WalletEntry(Entry::credit(wallet, unit, amount(balance).into(), &[leg]).unwrap())
    };
    let adjust =
        |direction, reason: &str| Operation::Adjust { wallet: WALLET, direction, amount: 500, reason: reason.into() };
    let out_of = Entry::debit(
        WALLET,
        unit,
        amount(1_200).into(),
        &[HouseLeg { account: HouseAccount::Adjustments, amount: amount(500) }],
    )
    .unwrap();
    let (journey, spend) = (&catalogue.programs[0], &catalogue.programs[1]);
    let (TierPolicy::Journey(ladder), TierPolicy::Threshold(bounds)) = (&journey.policy, &spend.policy) else {
        panic!("one programme of each kind")
    };
    let standing =
        |level: usize, count| Standing { program: journey.id, level: ladder.levels[level].id, count, last_at: AT };
    let spent = |level: usize| SpendStanding { program: spend.id, level: bounds.levels[level].id, spent: amount(90) };
    let moved = |program: &str, to, reason, placed| {
        let operation = Operation::MoveTier { program: program.into(), to };
        done(Actor::Operator, operation, vec![Event::TierPlaced(TierPlaced { reason, placed })])
    };
    let (campaign, reward) = (&catalogue.campaigns[0], catalogue.campaigns[0].rewards[0]);
    let granted = |paid| Event::RewardGranted(RewardGranted { campaign: campaign.id, reward, paid });
    let kind = catalogue.point_kinds[0].id;
    let points = |points, balance| {
        Event::PointEntry(
            PointEntry::grant(
                kind,
                Lot { expires: Expiry::NEVER, source: RuleId(4), matures: Maturity::AT_ONCE, points: amount(points) },
                amount(balance),
            )
            .unwrap(),
        )
    };
    let activity = Operation::ReportActivity { tag: "review".into(), occurred_at: Some(AT) };
    let created = CustomerCreated { alias: Alias { kind: AliasKind::Email, hash: 9 } };
    let mut create = done(Actor::Operator, Operation::CreateCustomer, Vec::new());
    create.events.insert(0, Event::CustomerCreated(created));
    vec![
        create,
        done(Actor::Operator, Operation::OpenWallet, vec![Event::WalletOpened(WalletOpened { wallet: WALLET, unit })]),
        done(Actor::Operator, Operation::RenameWallet { wallet: WALLET }, Vec::new()),
        status(WalletStatus::Active, WalletStatus::Frozen),
        status(WalletStatus::Frozen, WalletStatus::Active),
        status(WalletStatus::Active, WalletStatus::Closed),
        done(Actor::Operator, deposit(), vec![into(WALLET, HouseAccount::CashClearing, 500, 700)]),
        done(
            Actor::Operator,
            adjust(Direction::In, "forgotten"),
            vec![into(WALLET, HouseAccount::Adjustments, 500, 0)],
        ),
        done(Actor::Operator, adjust(Direction::Out, "sent twice"), vec![Event::WalletEntry(out_of)]),
        done(
            Actor::Partner(PartnerId(1)),
            activity,
            vec![
                granted(RewardKind::Points { kind, points: amount(100) }),
                granted(RewardKind::WalletCredit { amount: amount(50) }),
                into(WalletId(0), HouseAccount::RewardExpense, 50, 1),
                points(100, 0),
                points(1, 100),
            ],
        ),
        moved(
            "Journey",
            TierMove::Up,
            PlacementReason::Promoted,
            Placed::Journey { before: standing(0, 3), after: standing(1, 0) },
        ),
        moved(
            "Spend",
            TierMove::Down,
            PlacementReason::Demoted,
            Placed::Threshold { before: spent(2), after: spent(1) },
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
fn every_operation_has_a_frozen_result() {
    let catalogue = catalogue();
    let shown = |(body, seq): (&Body, u64)| {
        let mut out = Vec::new();
        render(&mut out, Some(Seq(seq)), body, &catalogue).unwrap();
        String::from_utf8(out).unwrap()
    };
    let samples = samples(&catalogue);
    let mut lines: Vec<String> = samples.iter().zip(3..).map(shown).collect();
    let mut dry = Vec::new();
    render(&mut dry, None, &samples[6], &catalogue).unwrap();
    lines.push(String::from_utf8(dry).unwrap());
    check("operations.ndjson", &lines);
}

#[test]
fn every_operation_has_its_events() {
    let catalogue = catalogue();
    let refused = OperationRefused {
        actor: Actor::Operator,
        key: OperationKey(7),
        fingerprint: FINGERPRINT,
        customer: Some(CUSTOMER),
        operation: deposit(),
        rejection: OperationRejection::WalletFrozen,
    };
    let mut samples = samples(&catalogue);
    samples.push(body(None, vec![Event::OperationRefused(Box::new(refused))]));
    let reason = PlacementReason::LevelRemoved { version: 2 };
    let Event::TierPlaced(placed) = samples[11].events[1] else { panic!("a placement") };
    samples.push(body(Some(CUSTOMER), vec![Event::TierPlaced(TierPlaced { reason, ..placed })]));
    let frame = |(body, seq): (&Body, u64)| {
        event::render(Seq(seq), body, &catalogue, (Audience::Operators, Topics::ALL)).unwrap().unwrap()
    };
    let lines: Vec<String> = samples.iter().zip(3..).map(frame).collect();
    check("events_of_operations.ndjson", &lines);
}

#[test]
fn an_erasure_has_a_frozen_result_and_its_events() {
    let catalogue = catalogue();
    let erased =
        done(Actor::Operator, Operation::EraseCustomer { reason: "asked to".into() }, vec![Event::CustomerErased]);
    let mut out = Vec::new();
    render(&mut out, Some(Seq(3)), &erased, &catalogue).unwrap();
    let events = event::render(Seq(3), &erased, &catalogue, (Audience::Operators, Topics::ALL)).unwrap().unwrap();
    check("operations_of_erasure.ndjson", &[String::from_utf8(out).unwrap()]);
    check("events_of_erasure.ndjson", &[events]);
}

#[test]
fn a_record_without_an_operation_is_no_result() {
    let nothing = body(Some(CUSTOMER), Vec::new());
    assert!(render(&mut Vec::new(), Some(Seq(1)), &nothing, &catalogue()).is_err());
}
