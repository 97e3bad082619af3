//! What is explained is held against what was booked: for many random purchases, what the rules are said to have paid are
//! the events of the record, and whatever paid nothing has a reason.

use std::collections::BTreeSet;

use kembali_core::campaign::{Closed, Unmoved};
use kembali_core::cashback::Unpaid;
use kembali_core::catalogue::{AtMaximum, Catalogue, FulfillmentKind};
use kembali_core::customer::Row;
use kembali_core::draft::{
    CampaignDraft, CashbackDraft, CatalogueDraft, EarningDraft, FulfillmentDraft, JourneyDraft, PolicyDraft,
    ProgramDraft, PromoDraft, RewardDraft, RewardPaysDraft, RiskRuleDraft,
};
use kembali_core::event::{
    CampaignCompleted, CashbackEarned, DeclineReason, Event, FulfillmentAdvanced, MilestoneReached, PromoDeclined,
    PromoGranted, PurchaseBooked, Record, RewardGranted, SpendCounted, TierStepped,
};
use kembali_core::explain::{Explanation, ProgramVerdict, PromoUnpaid, explain};
use kembali_core::journey::Unmet;
use kembali_core::risk::{RiskAction, RiskCondition, RiskKind, RiskParty};
use kembali_core::upkeep::as_of;
use kembali_core::{DAY_US, Instant, Rate, RuleId};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;

use crate::support::{Seen, World, amount, bands, depth, jakarta, kezbek, level};

const PRODUCTS: [&str; 4] = ["", "milk", "pizza", "bread"];
const TAGS: [&str; 2] = ["app", "shop"];

fn start() -> Instant {
    jakarta("2024-01-15 09:00:00")
}

/// Every kind of rule, and of each kind one for every reason not to pay.
fn rules() -> CatalogueDraft {
    let day = |days: i64| Some(Instant(start().0 + days * DAY_US));
    let promo = |code: &str, quota: u64, days: i64, text: &str| PromoDraft {
        code: code.into(),
        quota,
        starts_at: Instant(start().0 + DAY_US),
        ends_at: Instant(start().0 + days * DAY_US),
        funded_by: None,
        bands: bands(text),
    };
    let journey = |at_maximum, levels: &[&str]| {
        PolicyDraft::Journey(JourneyDraft {
            downgrade_after_days: 5,
            reset_after_days: 9,
            at_maximum,
            levels: levels.iter().map(|text| level(text)).collect(),
        })
    };
    let program = |name: &str, policy| ProgramDraft { renames: Vec::new(), name: name.into(), policy };
    let spend = [("Low", 0), ("Middle", 3_000), ("High", 20_000)].map(|(name, min)| (name.to_owned(), amount(min)));
    let rule = |name: &str, rate: &str, products: &[&str]| CashbackDraft {
        description: None,
        name: name.into(),
        rate: Rate::parse(rate).unwrap(),
        products: products.iter().map(|product| (*product).to_owned()).collect(),
        partner: None,
        is_active: true,
        ends_at: None,
        pays: "points".into(),
        life_days: Some(9),
        pending_days: None,
    };
    let buy = |name: &str, product: Option<&str>, min: i64, is_cumulative: bool| FulfillmentDraft {
        name: name.into(),
        kind: FulfillmentKind::Buy { product: product.map(str::to_owned), amount_min: amount(min), is_cumulative },
    };
    let campaign = |name: &str, fulfillments: &[&str], rewards: &[&str]| CampaignDraft {
        name: name.into(),
        fulfillments: fulfillments.iter().map(|own| (*own).to_owned()).collect(),
        rewards: rewards.iter().map(|own| (*own).to_owned()).collect(),
        starts_at: None,
        ends_at: None,
        completions_max: None,
        budget: None,
    };
    let risk = |name: &str, kind: Option<RiskKind>, condition| RiskRuleDraft {
        name: name.into(),
        operations: vec![kind.unwrap_or(RiskKind::Purchase)],
        condition,
        action: RiskAction::Flag,
    };
    let other = kezbek().partners[1].slug.clone();
    CatalogueDraft {
        promos: vec![
            promo("FEW", 3, 60, "1 0 1000 10\n 1 1000 - 0.01\n 2 500 - 5"),
            promo("LONG", 1_000, 40, "1+ 0 - 2"),
        ],
        programs: vec![
            program("Up", journey(AtMaximum::PayNothing, &["B 2 1:10 2:20", "S 2 1:30", "G 2 2:50"])),
            program("Round", journey(AtMaximum::RestartCycle, &["ONE 3 1:7 3:9"])),
            program("Spend", PolicyDraft::Threshold(spend.into())),
        ],
        earning: EarningDraft {
            point_kinds: vec!["points".into()],
            offers: Vec::new(),
            external_ids: Vec::new(),
            cashback_rules: vec![
                rule("Milk", "0.1", &["milk"]),
                rule("All", "0.00001", &[]),
                CashbackDraft { is_active: false, ..rule("Off", "0.1", &[]) },
                CashbackDraft { ends_at: day(20), ..rule("Over", "0.03", &[]) },
                CashbackDraft { partner: Some(other), ..rule("Theirs", "0.05", &["pizza", "milk"]) },
            ],
            fulfillments: vec![
                buy("Pizza", Some("pizza"), 400, false),
                buy("Much", None, 2_500, true),
                buy("Bread", Some("bread"), 0, false),
                FulfillmentDraft { name: "App".into(), kind: FulfillmentKind::Tag { tag: "app".into(), count: 2 } },
            ],
            rewards: vec![
                RewardDraft {
                    name: "Points".into(),
                    pays: RewardPaysDraft::Points {
                        kind: "points".into(),
                        points: amount(100),
                        life_days: Some(4),
                        pending_days: None,
                    },
                },
                RewardDraft { name: "Cash".into(), pays: RewardPaysDraft::WalletCredit(amount(5)) },
            ],
            campaigns: vec![
                campaign("Evening", &["Pizza", "Much"], &["Points"]),
                campaign("Loyal", &["App"], &["Points", "Cash"]),
                CampaignDraft { completions_max: Some(1), ..campaign("Once", &["Bread"], &["Cash"]) },
                CampaignDraft { budget: Some(3), ..campaign("First three", &["Pizza"], &["Cash"]) },
                CampaignDraft { starts_at: day(10), ends_at: day(30), ..campaign("Soon", &["Much"], &["Cash"]) },
            ],
        },
        risk_rules: vec![
            risk("Large", None, RiskCondition::AmountAbove(amount(2_000))),
            risk("Shop", None, RiskCondition::CountAboveBy { by: RiskParty::Partner, count: 3, seconds: 86_400 }),
            risk("Often", None, RiskCondition::CountAbove { count: 2, seconds: 3 * 86_400 }),
            risk("Deposits", Some(RiskKind::Deposit), RiskCondition::AmountAbove(amount(1))),
        ],
        ..kezbek()
    }
}

/// A purchase: who, amount, quantity, code, partner, product, line of which product and amount, tags, days since the last.
type Buy = (u8, i64, i64, u8, u32, u8, Option<(u8, i64)>, u8, u8);

fn any_buy() -> impl Strategy<Value = Buy> {
    let amount = prop_oneof![1..=20i64, 1..=3_000i64, 1..=20_000i64];
    let line = prop::option::of((1..4u8, 0..=1_000i64));
    (0..2u8, amount, 1..=3i64, 0..4u8, 1..=2u32, 0..4u8, line, 0..4u8, prop_oneof![4 => 0..=2u8, 1 => 3..=12u8])
}

fn command_words(buy: &Buy) -> Vec<String> {
    let (who, amount, quantity, code, partner, product, line, tags, _) = buy;
    let mut words = vec![["A", "B"][usize::from(*who)].to_owned(), amount.to_string()];
    words.push(format!("qty={quantity}"));
    words.push(format!("by={partner}"));
    words.extend([None, Some("code=FEW"), Some("code=LONG"), Some("code=NONE")][usize::from(*code)].map(str::to_owned));
    if *product > 0 {
        words.push(format!("product={}", PRODUCTS[usize::from(*product)]));
    }
    if let Some((product, part)) = line {
        // The rest of the amount is a line of bread.
        let part = part.min(amount);
        words.push(format!("lines={}:1:{part}+bread:1:{}", PRODUCTS[usize::from(*product)], amount - part));
    }
    let tags: Vec<&str> =
        TAGS.iter().enumerate().filter(|(bit, _)| tags >> bit & 1 == 1).map(|(_, tag)| *tag).collect();
    if !tags.is_empty() {
        words.push(format!("tags={}", tags.join("+")));
    }
    words
}

/// The events that an explanation says there must be, in the order of a record.
fn events_of(explanation: &Explanation, rules: &Catalogue, row: Option<&Row>) -> Vec<Event> {
    let mut events = Vec::new();
    for own in &explanation.promos {
        match own.verdict {
            Ok(found) => {
                let granted = PromoGranted { promo: own.promo, band: found.band, points: found.points };
                events.push(Event::PromoGranted(granted));
            }
            Err(PromoUnpaid::Declined(reason)) => {
                events.push(Event::PromoDeclined(PromoDeclined { promo: own.promo, reason }));
            }
            Err(PromoUnpaid::NotNamed) => (),
        }
    }
    for own in &explanation.programs {
        match own {
            ProgramVerdict::Journey(own) => {
                let (before, after) = (own.before, own.step.standing);
                events.push(Event::TierStepped(TierStepped { before, after, remark: own.step.remark }));
                for (milestone, verdict) in &own.milestones {
                    if let Ok(points) = verdict {
                        events.push(Event::MilestoneReached(MilestoneReached {
                            program: own.program,
                            level: after.level,
                            milestone: milestone.id,
                            at_count: milestone.at_count,
                            points: *points,
                        }));
                    }
                }
            }
            ProgramVerdict::Threshold(own) => {
                events.push(Event::SpendCounted(SpendCounted { before: own.before, after: own.after }));
            }
        }
    }
    for own in &explanation.cashback_rules {
        if let Ok(paid) = own.verdict {
            let kind = rules.cashback_rule(own.rule).unwrap().pays;
            events.push(Event::CashbackEarned(CashbackEarned { rule: own.rule, kind, points: paid.points }));
        }
    }
    let mut is_first = row.is_none_or(|row| row.campaigns.iter().all(|own| own.completions == 0));
    for own in &explanation.campaigns {
        let campaign = own.campaign;
        for progress in own.verdict.iter().flatten().filter_map(|judged| judged.after.ok()) {
            events.push(Event::FulfillmentAdvanced(FulfillmentAdvanced { campaign, progress }));
        }
        if own.is_completed {
            let completions = own.completions + 1;
            events.push(Event::CampaignCompleted(CampaignCompleted { campaign, completions, is_first }));
            is_first = false;
            for reward in rules.campaign(campaign).unwrap().rewards.iter().map(|id| rules.reward(*id).unwrap()) {
                let granted = RewardGranted { campaign, reward: reward.id, paid: reward.kind };
                events.push(Event::RewardGranted(granted));
            }
        }
    }
    events
}

/// What the rules say of a purchase in its record; entries are what follows from it, and whoever stood on a level that is
/// gone was placed before.
fn said(record: &Record) -> Vec<Event> {
    let is_said = |event: &&Event| {
        !matches!(
            event,
            Event::CustomerCreated(_)
                | Event::TierPlaced(_)
                | Event::PurchaseBooked(_)
                | Event::WalletEntry(_)
                | Event::PointEntry(_)
                | Event::RiskChecked(_)
                | Event::OperationCounted(_)
        )
    };
    record.body.events.iter().filter(is_said).cloned().collect()
}

fn booked(record: &Record) -> &PurchaseBooked {
    let booked = record.body.events.iter().find_map(|event| match event {
        Event::PurchaseBooked(booked) => Some(&**booked),
        _ => None,
    });
    booked.expect("a purchase")
}

/// Every rule is spoken of, once and in order.
fn check_complete(explanation: &Explanation, rules: &Catalogue) {
    let spoken: Vec<RuleId> = explanation.promos.iter().map(|own| own.promo).collect();
    assert_eq!(spoken, rules.promos.iter().map(|own| own.id).collect::<Vec<_>>());
    let program = |own: &ProgramVerdict| match own {
        ProgramVerdict::Journey(own) => own.program,
        ProgramVerdict::Threshold(own) => own.program,
    };
    let spoken: Vec<RuleId> = explanation.programs.iter().map(program).collect();
    assert_eq!(spoken, rules.programs.iter().map(|own| own.id).collect::<Vec<_>>());
    let spoken: Vec<RuleId> = explanation.cashback_rules.iter().map(|own| own.rule).collect();
    assert_eq!(spoken, rules.cashback_rules.iter().map(|own| own.id).collect::<Vec<_>>());
    for (own, campaign) in explanation.campaigns.iter().zip(&rules.campaigns) {
        assert_eq!(own.campaign, campaign.id);
        if let Ok(judged) = &own.verdict {
            let spoken: Vec<RuleId> = judged.iter().map(|own| own.fulfillment).collect();
            assert_eq!(spoken, campaign.fulfillments);
            assert_eq!(
                own.is_completed,
                judged.iter().any(|own| own.after.is_ok()) && judged.iter().all(|own| own.is_met())
            );
        }
    }
    assert_eq!(explanation.campaigns.len(), rules.campaigns.len());
}

/// What the record says that strikes is the first that is said to find too much, unless a partner's rule came before it.
fn check_risk(explanation: &Explanation, rules: &Catalogue, record: &Record) {
    let spoken: Vec<RuleId> = explanation.risk_rules.iter().map(|own| own.rule).collect();
    let of_purchases = rules.risk_rules.iter().filter(|rule| rule.name != "Deposits");
    assert_eq!(spoken, of_purchases.map(|rule| rule.id).collect::<Vec<_>>());
    let checked = record.body.events.iter().find_map(|event| match event {
        Event::RiskChecked(checked) => Some(checked.rule),
        _ => None,
    });
    let said = checked.expect("a purchase is looked at");
    let shop = rules.risk_rules.iter().find(|rule| rule.name == "Shop").unwrap().id;
    assert!(explanation.risk_rules.iter().all(|own| own.finding.is_none() == (own.rule == shop)));
    let strikes = explanation.risk_rules.iter().filter(|own| own.finding.is_some_and(|found| found.strikes()));
    let first = strikes.map(|own| own.rule).next();
    match said {
        Some(own) if own == shop => assert!(first.is_none_or(|first| shop < first)),
        said => assert_eq!(said, first),
    }
}

/// Notes the reasons that were given.
fn note(explanation: &Explanation, reasons: &mut BTreeSet<&'static str>) {
    reasons.extend(explanation.risk_rules.iter().filter_map(|own| own.finding).map(|found| match found.strikes() {
        true => "risk strikes",
        false => "risk within the bound",
    }));
    reasons.extend(explanation.promos.iter().filter_map(|own| own.verdict.err()).map(|reason| match reason {
        PromoUnpaid::NotNamed => "promo not named",
        PromoUnpaid::Declined(DeclineReason::OutsidePeriod) => "promo outside period",
        PromoUnpaid::Declined(DeclineReason::NoBand) => "promo no band",
        PromoUnpaid::Declined(DeclineReason::RoundsToZero { .. }) => "promo rounds to zero",
        PromoUnpaid::Declined(DeclineReason::QuotaExhausted { .. }) => "promo quota",
    }));
    for own in &explanation.programs {
        let ProgramVerdict::Journey(own) = own else { continue };
        reasons.extend(own.milestones.iter().filter_map(|(_, verdict)| verdict.err()).map(|reason| match reason {
            Unmet::FirstTransaction => "milestone first",
            Unmet::Maximum => "milestone maximum",
            Unmet::OtherCount => "milestone other count",
        }));
    }
    reasons.extend(explanation.cashback_rules.iter().filter_map(|own| own.verdict.err()).map(|reason| match reason {
        Unpaid::Inactive => "cashback inactive",
        Unpaid::Ended => "cashback ended",
        Unpaid::OtherPartner => "cashback other partner",
        Unpaid::NothingBought => "cashback nothing bought",
        Unpaid::RoundsToZero { .. } => "cashback rounds to zero",
    }));
    for own in &explanation.campaigns {
        match &own.verdict {
            Err(Closed::NotStarted) => drop(reasons.insert("campaign not started")),
            Err(Closed::Ended) => drop(reasons.insert("campaign ended")),
            Err(Closed::BudgetUsed) => drop(reasons.insert("campaign budget used")),
            Err(Closed::CompletionsUsed) => drop(reasons.insert("campaign completions used")),
            Ok(judged) => reasons.extend(judged.iter().filter_map(|own| own.after.err()).map(|reason| match reason {
                Unmoved::MetBefore => "fulfillment met before",
                Unmoved::NotBought => "fulfillment not bought",
                Unmoved::BelowMinimum { .. } => "fulfillment below minimum",
                Unmoved::NoTag => "fulfillment no tag",
                Unmoved::Gone => panic!("an applied catalogue has it"),
            })),
        }
    }
}

fn run(buys: &[Buy], reasons: &mut BTreeSet<&'static str>) {
    let mut world = World::new(&rules(), start());
    // The rules change halfway, and levels go: a purchase is explained by those that decided it.
    let mut changed = CatalogueDraft { promos: vec![rules().promos.remove(0)], ..rules() };
    for program in &mut changed.programs {
        match &mut program.policy {
            PolicyDraft::Journey(journey) => journey.levels.retain(|level| level.name != "S"),
            PolicyDraft::Threshold(levels) => levels.retain(|(name, _)| name != "Middle"),
        }
    }
    for (index, buy) in buys.iter().enumerate() {
        if index == buys.len() / 2 {
            world.apply(&changed, None).unwrap();
        }
        world.now.0 += i64::from(buy.8) * DAY_US;
        let words = command_words(buy);
        let command = world.command(&words.iter().map(String::as_str).collect::<Vec<_>>());
        let before = world.ledger.clone();
        let Seen::Booked(record) = world.purchase(command) else { continue };
        let catalogue = before.desk.catalogue_at(record.body.tenant, record.body.catalogue_version).unwrap();
        let removals = before.desk.removals(record.body.tenant).unwrap();
        let row =
            before.rows.get(&record.body.customer.unwrap()).map(|row| as_of(row.clone(), removals, booked(&record).at));
        let row = row.as_ref();
        let used = |promo| before.desk.promo_used(record.body.tenant, promo);
        let completed = |campaign| before.desk.completions(record.body.tenant, campaign);
        let received = (booked(&record), record.body.received_at);
        let explanation = explain(catalogue, row, used, completed, received).expect("it is booked");
        check_risk(&explanation, catalogue, &record);
        assert_eq!(events_of(&explanation, catalogue, row), said(&record), "{words:?}");
        check_complete(&explanation, catalogue);
        note(&explanation, reasons);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100 * depth()))]

    #[test]
    fn what_is_explained_is_what_was_booked(buys in prop::collection::vec(any_buy(), 1..60)) {
        run(&buys, &mut BTreeSet::new());
    }
}

/// The random purchases above meet every reason that there is.
#[test]
fn every_reason_is_met() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut reasons = BTreeSet::new();
    for _ in 0..30 {
        let tree = prop::collection::vec(any_buy(), 60).new_tree(&mut runner).expect("drawn");
        run(&tree.current(), &mut reasons);
    }
    let wanted = [
        "campaign budget used",
        "campaign completions used",
        "campaign ended",
        "campaign not started",
        "cashback ended",
        "cashback inactive",
        "cashback nothing bought",
        "cashback other partner",
        "cashback rounds to zero",
        "fulfillment below minimum",
        "fulfillment met before",
        "fulfillment no tag",
        "fulfillment not bought",
        "milestone first",
        "milestone maximum",
        "milestone other count",
        "promo no band",
        "promo not named",
        "promo outside period",
        "promo quota",
        "promo rounds to zero",
        "risk strikes",
        "risk within the bound",
    ];
    assert_eq!(reasons.into_iter().collect::<Vec<_>>(), wanted);
}
