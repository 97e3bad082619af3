//! Random rules of a tenant: every kind of rule, small enough that histories reach their edges.

use std::collections::BTreeMap;

use kembali_core::catalogue::{AtMaximum, FulfillmentKind, OfferGives, RuleClock, UnknownCustomer, UnknownPromo};
use kembali_core::draft::{
    BandDraft, CampaignDraft, CashbackDraft, CatalogueDraft, EarningDraft, FulfillmentDraft, JourneyDraft, LevelDraft,
    OfferDraft, PolicyDraft, ProgramDraft, PromoDraft, RewardDraft, RewardPaysDraft, RiskRuleDraft,
};
use kembali_core::refund::{NegativeBalance, RefundPolicy, RefundedQuota, RefundedRewards, RefundedTier};
use kembali_core::risk::{RiskAction, RiskCondition, RiskKind, RiskParty};
use kembali_core::{AMOUNT_MAX, DAY_US, Instant, Percent, Rate};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::commands::TAG;
use crate::support::{amount, jakarta, kezbek};

pub(super) const PRODUCTS: [&str; 3] = ["MILK", "PIZZA", "TEA"];
const PARTNERS: [&str; 2] = ["bukalapak", "tokopedia"];
/// Windows of risk rules and lives of holds and invoices, some of which histories wait out to the microsecond.
pub(super) const SECONDS: [i64; 4] = [60, 3_600, 86_400, 200_000];
const KINDS: [&str; 2] = ["gold", "silver"];

pub(super) fn start() -> i64 {
    jakarta("2024-01-30 23:59:58").0
}

fn instant(days: i64) -> Instant {
    Instant(start() + days * DAY_US)
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_string()).collect()
}

pub(super) fn any_rules() -> impl Strategy<Value = CatalogueDraft> {
    let tenant = (prop::bool::weighted(0.3), prop::bool::weighted(0.15), prop::bool::weighted(0.3));
    let promos = (any_promo("P0"), any_promo("P1"));
    let programs = (any_journey(), any_threshold());
    (tenant, promos, programs, any_earning(), any_policy(), any_risk()).prop_map(
        |((by_occurred, must_exist, ignores), promos, programs, earning, refunds, risk_rules)| CatalogueDraft {
            clock: if by_occurred { RuleClock::Occurred } else { RuleClock::Received },
            unknown_customer: if must_exist { UnknownCustomer::MustExist } else { UnknownCustomer::AutoCreate },
            unknown_promo: if ignores { UnknownPromo::Ignore } else { UnknownPromo::Refuse },
            promos: vec![promos.0, promos.1],
            programs: vec![programs.0, programs.1],
            earning,
            refunds,
            risk_rules,
            ..kezbek()
        },
    )
}

/// Bands for one piece and for two or more, with holes between them.
fn any_promo(code: &'static str) -> BoxedStrategy<PromoDraft> {
    let cuts = || prop::collection::btree_map(0..1_200i64, (any::<bool>(), any_percent()), 1..=3);
    let rows = (cuts(), cuts());
    let funded_by = prop::option::of(select(&PARTNERS[..]));
    (0..5u64, -3..=1i64, 4..70i64, funded_by, rows)
        .prop_map(move |(quota, before, days, funded_by, rows)| {
            let row = |quantity: u32, cuts: &BTreeMap<i64, (bool, Percent)>| -> Vec<BandDraft> {
                let ends = cuts.keys().skip(1).map(|end| Some(amount(*end))).chain([None]);
                let band = |((min, (_, percent)), amount_end): ((&i64, &(bool, Percent)), _)| BandDraft {
                    quantity,
                    or_more: quantity == 2,
                    amount_min: amount(*min),
                    amount_end,
                    percent: *percent,
                };
                let is_there =
                    |((_, (is_hole, _)), end): &((&i64, &(bool, Percent)), Option<_>)| !is_hole || end.is_none();
                cuts.iter().zip(ends).filter(is_there).map(band).collect()
            };
            PromoDraft {
                code: code.into(),
                quota,
                starts_at: instant(before),
                ends_at: instant(before + days),
                funded_by: funded_by.map(str::to_string),
                bands: [row(1, &rows.0), row(2, &rows.1)].concat(),
            }
        })
        .boxed()
}

fn any_percent() -> impl Strategy<Value = Percent> {
    let hundredths = prop_oneof![1 => Just(0), 8 => 1..3_000i64, 1 => Just(10_000)];
    hundredths.prop_map(|own| Percent::parse(&format!("{}.{:02}", own / 100, own % 100)).unwrap())
}

fn any_level() -> impl Strategy<Value = (LevelDraft, Option<usize>)> {
    let milestones = prop::collection::btree_map(1..=3u32, 1..300i64, 0..=3);
    (1..=3u32, milestones, prop::option::weighted(0.2, 0..3usize)).prop_map(|(count_max, milestones, previous)| {
        let milestones = milestones.into_iter().filter(|(at, _)| *at <= count_max);
        let milestones = milestones.map(|(at, points)| (at, amount(points))).collect();
        (LevelDraft { name: String::new(), count_max, next: None, previous: None, milestones }, previous)
    })
}

fn any_journey() -> BoxedStrategy<ProgramDraft> {
    let days = (0..=30u32, 0..=30u32);
    let levels = prop::collection::vec(any_level(), 1..=4);
    (days, any::<bool>(), levels)
        .prop_map(|((down, more), restarts, levels)| {
            let level = |(index, (level, previous)): (usize, (LevelDraft, Option<usize>))| LevelDraft {
                name: format!("L{index}"),
                previous: previous.filter(|previous| *previous <= index).map(|previous| format!("L{previous}")),
                ..level
            };
            ProgramDraft {
                name: "Ladder".into(),
                renames: Vec::new(),
                policy: PolicyDraft::Journey(JourneyDraft {
                    downgrade_after_days: down,
                    reset_after_days: down + more,
                    at_maximum: if restarts { AtMaximum::RestartCycle } else { AtMaximum::PayNothing },
                    levels: levels.into_iter().enumerate().map(level).collect(),
                }),
            }
        })
        .boxed()
}

fn any_threshold() -> BoxedStrategy<ProgramDraft> {
    (prop_oneof![3 => Just(0), 1 => 1..900i64], prop::collection::btree_set(900..3_000i64, 0..=3))
        .prop_map(|(lowest, bounds)| {
            let bounds = [lowest].into_iter().chain(bounds);
            let levels = bounds.enumerate().map(|(index, bound)| (format!("S{index}"), amount(bound)));
            let policy = PolicyDraft::Threshold(levels.collect());
            ProgramDraft { name: "Spend".into(), renames: Vec::new(), policy }
        })
        .boxed()
}

fn any_life() -> impl Strategy<Value = Option<u32>> {
    prop_oneof![Just(None), (1..4u32).prop_map(Some)]
}

/// So long that histories see points mature, and spend some that are pending not yet.
fn any_pending() -> impl Strategy<Value = Option<u32>> {
    prop_oneof![2 => Just(None), 1 => (1..4u32).prop_map(Some)]
}

/// Points that would expire unspent are no rule.
fn before_the_end(pending_days: Option<u32>, life_days: Option<u32>) -> Option<u32> {
    pending_days.filter(|pending| life_days.is_none_or(|life| *pending < life))
}

fn any_cashback(
    name: &'static str,
    life_days: impl Strategy<Value = Option<u32>>,
) -> impl Strategy<Value = CashbackDraft> {
    let rate = (1..900u32).prop_map(|own| Rate::parse(&format!("0.{own:03}")).unwrap());
    let products = prop_oneof![2 => subsequence(PRODUCTS.to_vec(), 1..=2), 1 => Just(Vec::new())];
    let partner = prop_oneof![4 => Just(None), 1 => select(&PARTNERS[..]).prop_map(Some)];
    let ends_at = prop::option::weighted(0.2, 0..40i64);
    let times = (ends_at, life_days, any_pending());
    let rule = (rate, products, partner, prop::bool::weighted(0.9), select(&KINDS[..]), times);
    rule.prop_map(move |(rate, products, partner, is_active, pays, (ends_at, life_days, pending_days))| CashbackDraft {
        description: None,
        name: name.into(),
        rate,
        products: names(&products),
        partner: partner.map(str::to_string),
        is_active,
        ends_at: ends_at.map(instant),
        pays: pays.into(),
        life_days,
        pending_days: before_the_end(pending_days, life_days),
    })
}

fn any_purchase(name: &'static str, is_cumulative: bool) -> impl Strategy<Value = FulfillmentDraft> {
    let product = prop_oneof![3 => select(&PRODUCTS[..]).prop_map(Some), 1 => Just(None)];
    // A sum of nothing would be there before anything is bought.
    let least = i64::from(is_cumulative);
    let amount_min = prop_oneof![1 => Just(least), 9 => 1..1_200i64];
    (product, amount_min).prop_map(move |(product, amount_min)| {
        let product = product.map(str::to_string);
        let kind = FulfillmentKind::Buy { product, amount_min: amount(amount_min), is_cumulative };
        FulfillmentDraft { name: name.into(), kind }
    })
}

/// Now and then one that nobody can get twice.
fn any_paid() -> impl Strategy<Value = i64> {
    prop_oneof![14 => 1..200i64, 1 => Just(AMOUNT_MAX - 100)]
}

fn any_points(name: &'static str) -> impl Strategy<Value = RewardDraft> {
    let reward = (any_paid(), any_life(), any_pending(), select(&KINDS[..]));
    reward.prop_map(move |(points, life_days, pending_days, kind)| RewardDraft {
        name: name.into(),
        pays: RewardPaysDraft::Points {
            kind: kind.into(),
            points: amount(points),
            life_days,
            pending_days: before_the_end(pending_days, life_days),
        },
    })
}

fn any_campaign(name: &'static str) -> impl Strategy<Value = CampaignDraft> {
    let fulfillments = subsequence(vec!["Once", "Sum", "Tag"], 1..=2);
    let rewards = subsequence(vec!["W0", "W1", "Cash"], 1..=3);
    let (starts_at, ends_at) = (prop::option::weighted(0.2, -1..5i64), prop::option::weighted(0.35, 5..18i64));
    let completions_max = prop::option::weighted(0.3, 1..=2u32);
    let budget = prop::option::weighted(0.3, 1..=4u64);
    let campaign = (fulfillments, rewards, starts_at, ends_at, completions_max, budget);
    campaign.prop_map(move |(fulfillments, rewards, starts_at, ends_at, completions_max, budget)| CampaignDraft {
        name: name.into(),
        fulfillments: names(&fulfillments),
        rewards: names(&rewards),
        starts_at: starts_at.map(instant),
        ends_at: ends_at.map(instant),
        completions_max,
        budget,
    })
}

fn any_offers() -> impl Strategy<Value = Vec<OfferDraft>> {
    let offer = |name: &str, points: i64, kind: &str, gives, stock, is_active| OfferDraft {
        name: name.into(),
        kind: kind.into(),
        points: amount(points),
        gives,
        stock,
        is_active,
        starts_at: None,
        ends_at: Some(instant(80)),
    };
    let thing = (1..40i64, 0..6u64, select(&KINDS[..]));
    let money = (1..40i64, select(&KINDS[..]));
    (thing, money).prop_map(move |((price, stock, kind), (points, pays))| {
        let gives = OfferGives::WalletCredit { amount: amount(points * 7) };
        vec![
            offer("Thing", price, kind, OfferGives::Item, Some(stock), true),
            offer("Money", points, pays, gives, None, true),
            offer("Off", 1, "gold", OfferGives::Item, None, false),
        ]
    })
}

fn any_earning() -> BoxedStrategy<EarningDraft> {
    // One rule always gives its points a life, one never.
    let days = (1..4u32).prop_map(Some);
    let rules = (any_cashback("R0", days), any_cashback("R1", Just(None)), any_cashback("R2", any_life()));
    let tag = (1..=3u32).prop_map(|count| FulfillmentDraft {
        name: "Tag".into(),
        kind: FulfillmentKind::Tag { tag: TAG.into(), count },
    });
    let fulfillments = (any_purchase("Once", false), any_purchase("Sum", true), tag);
    let cash = any_paid()
        .prop_map(|paid| RewardDraft { name: "Cash".into(), pays: RewardPaysDraft::WalletCredit(amount(paid)) });
    let rewards = (any_points("W0"), any_points("W1"), cash);
    let campaigns = (any_campaign("C0"), any_campaign("C1"), any_campaign("C2"));
    (rules, fulfillments, rewards, campaigns, any_offers())
        .prop_map(|(rules, fulfillments, rewards, campaigns, offers)| EarningDraft {
            point_kinds: names(&KINDS),
            cashback_rules: vec![rules.0, rules.1, rules.2],
            fulfillments: vec![fulfillments.0, fulfillments.1, fulfillments.2],
            rewards: vec![rewards.0, rewards.1, rewards.2],
            campaigns: vec![campaigns.0, campaigns.1, campaigns.2],
            offers,
            external_ids: Vec::new(),
        })
        .boxed()
}

pub(super) fn any_policy() -> impl Strategy<Value = RefundPolicy> {
    any::<[bool; 4]>().prop_map(|[tier, quota, rewards, negative]| RefundPolicy {
        tier: if tier { RefundedTier::Keep } else { RefundedTier::Recompute },
        quota: if quota { RefundedQuota::Keep } else { RefundedQuota::Return },
        rewards: if rewards { RefundedRewards::Keep } else { RefundedRewards::ClawBack },
        negative_balance: if negative { NegativeBalance::CapAtZero } else { NegativeBalance::Allow },
    })
}

fn any_risk() -> BoxedStrategy<Vec<RiskRuleDraft>> {
    let kinds = vec![RiskKind::Deposit, RiskKind::Hold, RiskKind::Transfer, RiskKind::Payment, RiskKind::Purchase];
    let seconds = select(&SECONDS[..]).prop_map(|seconds| seconds as u32);
    let party = select(&[RiskParty::Partner, RiskParty::Device][..]);
    let condition = prop_oneof![
        (200..600i64).prop_map(|own| RiskCondition::AmountAbove(amount(own))),
        (0..3u32, seconds.clone()).prop_map(|(count, seconds)| RiskCondition::CountAbove { count, seconds }),
        (100..1_500i64, seconds.clone())
            .prop_map(|(sum, seconds)| RiskCondition::SumAbove { sum: amount(sum), seconds }),
        (party.clone(), 0..3u32, seconds.clone()).prop_map(|(by, count, seconds)| RiskCondition::CountAboveBy {
            by,
            count,
            seconds
        }),
        (party, 100..1_500i64, seconds).prop_map(|(by, sum, seconds)| RiskCondition::SumAboveBy {
            by,
            sum: amount(sum),
            seconds
        }),
    ];
    let operations = prop_oneof![2 => Just(Vec::new()), 3 => subsequence(kinds, 1..=2)];
    let action = prop_oneof![6 => Just(RiskAction::Flag), 2 => Just(RiskAction::Block), 3 => Just(RiskAction::Review)];
    let rules = prop::collection::vec((operations, condition, action), 1..=4);
    let rule = |(index, (operations, condition, action)): (usize, (Vec<_>, _, _))| {
        // A purchase names no device, and waits for nobody.
        let is_of_purchases = operations.contains(&RiskKind::Purchase);
        let condition = match condition {
            RiskCondition::CountAboveBy { count, seconds, .. } if is_of_purchases => {
                RiskCondition::CountAboveBy { by: RiskParty::Partner, count, seconds }
            }
            RiskCondition::SumAboveBy { sum, seconds, .. } if is_of_purchases => {
                RiskCondition::SumAboveBy { by: RiskParty::Partner, sum, seconds }
            }
            condition => condition,
        };
        let action = if is_of_purchases && action == RiskAction::Review { RiskAction::Flag } else { action };
        RiskRuleDraft { name: format!("K{index}"), operations, condition, action }
    };
    prop_oneof![
        1 => Just(Vec::new()),
        1 => rules.prop_map(move |rules| rules.into_iter().enumerate().map(rule).collect()),
    ]
    .boxed()
}
