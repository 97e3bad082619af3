//! R17: random rules, purchases and splits. What was clawed back is what a model says that shares no code with the rules,
//! and every split of a refund ends in one state.
//!
//! The model of what the rest earns: cashback, campaigns and milestones as a world books them in which no more was bought
//! at first; the promo by arithmetic of its own, over every amount from what is left up to what was bought.

use std::collections::BTreeMap;

use kembali_core::accounts::Direction;
use kembali_core::catalogue::RewardKind;
use kembali_core::command::PurchaseCommand;
use kembali_core::draft::{BandDraft, CatalogueDraft};
use kembali_core::event::{Event, Record};
use kembali_core::liability::roll_forward;
use kembali_core::purchase::{Line, Purchase};
use kembali_core::refund::{
    NegativeBalance, Part, RefundOf, RefundPolicy, RefundedQuota, RefundedRewards, RefundedTier,
};
use kembali_core::totals::TenantTotals;
use kembali_core::{Percent, RuleId, WalletId};
use proptest::prelude::*;

use crate::refund::{everything, give_back, whole};
use crate::support::{Seen, World, amount, depth, jakarta};

/// What was bought, and in which parts it comes back.
#[derive(Clone, Debug)]
struct Case {
    policy: RefundPolicy,
    /// Where each band of the promo starts, whether it is there, and its hundredths of a percent.
    bands: Vec<(i64, bool, i64)>,
    /// Purchases before: amounts of the two products.
    before: Vec<(i64, i64)>,
    purchase: Bought,
    /// Shares of what is left, in hundredths, one after the other.
    parts: Vec<(u8, u8, u8)>,
    /// Ends with all that is left.
    is_whole: bool,
    /// The order in which the parts come back the second time.
    order: Vec<prop::sample::Index>,
}

#[derive(Clone, Debug)]
struct Bought {
    amounts: [i64; 3],
    has_lines: bool,
    has_code: bool,
    has_tag: bool,
}

const PRODUCTS: [&str; 3] = ["DRINKS", "MILK", "PIZZA"];

fn any_policy() -> impl Strategy<Value = RefundPolicy> {
    any::<[bool; 4]>().prop_map(|[tier, quota, rewards, negative]| RefundPolicy {
        tier: if tier { RefundedTier::Keep } else { RefundedTier::Recompute },
        quota: if quota { RefundedQuota::Keep } else { RefundedQuota::Return },
        rewards: if rewards { RefundedRewards::Keep } else { RefundedRewards::ClawBack },
        negative_balance: if negative { NegativeBalance::CapAtZero } else { NegativeBalance::Allow },
    })
}

fn any_case() -> impl Strategy<Value = Case> {
    let bands = prop::collection::vec((1..400i64, any::<bool>(), 0..=3_000i64), 1..=4);
    let before = prop::collection::vec((0..200i64, 0..1_500i64), 0..=3);
    let bought = (prop::array::uniform3(0..400i64), any::<[bool; 3]>()).prop_map(|(amounts, flags)| Bought {
        amounts,
        has_lines: flags[0],
        has_code: flags[1],
        has_tag: flags[2],
    });
    let parts = prop::collection::vec((0..=100u8, 0..=100u8, 0..=100u8), 1..=5);
    let order = prop::collection::vec(any::<prop::sample::Index>(), 6);
    (any_policy(), bands, before, bought, parts, any::<bool>(), order).prop_map(
        |(policy, bands, before, purchase, parts, is_whole, order)| Case {
            policy,
            bands,
            before,
            purchase,
            parts,
            is_whole,
            order,
        },
    )
}

/// The bands, as `(start, end, hundredths of a percent)`.
fn promo_bands(case: &Case) -> Vec<(i64, Option<i64>, i64)> {
    let starts: BTreeMap<i64, (bool, i64)> =
        case.bands.iter().map(|(start, is_there, share)| (*start, (*is_there, *share))).collect();
    let ends = starts.keys().skip(1).copied().map(Some).chain([None]);
    let all = starts.iter().zip(ends).map(|((start, (is_there, share)), end)| (*is_there, (*start, end, *share)));
    all.filter(|(is_there, _)| *is_there).map(|(_, band)| band).collect()
}

fn draft(case: &Case) -> CatalogueDraft {
    let mut draft = everything(case.policy);
    let band = |(start, end, share): (i64, Option<i64>, i64)| BandDraft {
        quantity: 1,
        or_more: true,
        amount_min: amount(start),
        amount_end: end.map(amount),
        percent: Percent::parse(&format!("{}.{:02}", share / 100, share % 100)).unwrap(),
    };
    draft.promos[0].bands = promo_bands(case).into_iter().map(band).collect();
    if draft.promos[0].bands.is_empty() {
        draft.promos[0].bands = vec![band((500_000, None, 100))];
    }
    draft
}

/// What the promo pays for an amount: half up, in whole numbers.
fn promo_pays(bands: &[(i64, Option<i64>, i64)], amount: i64) -> i64 {
    let band = bands.iter().find(|(start, end, _)| *start <= amount && end.is_none_or(|end| amount < end));
    band.map_or(0, |(_, _, share)| (amount * share * 2 + 10_000) / 20_000)
}

fn book(world: &mut World, amounts: [i64; 3], like: &Bought) -> Option<Record> {
    let total: i64 = amounts.iter().sum();
    if total == 0 {
        return None;
    }
    let command = world.command(&["A", &total.to_string()]);
    let lines = PRODUCTS.iter().zip(amounts).filter(|(_, amount)| 0 < *amount);
    let lines = lines.map(|(product, amount)| Line { product: (*product).into(), quantity: 1, amount });
    let purchase = Purchase {
        lines: if like.has_lines { lines.collect() } else { Vec::new() },
        product: if like.has_lines { None } else { Some("PIZZA".into()) },
        promo_code: like.has_code.then(|| "P".into()),
        tags: if like.has_tag { vec!["app".into()] } else { Vec::new() },
        ..command.purchase
    };
    match world.purchase(PurchaseCommand { purchase, ..command }) {
        Seen::Booked(record) => Some(record),
        other => panic!("not booked: {other:?}"),
    }
}

fn refund_of(like: &Bought, amounts: [i64; 3]) -> Option<RefundOf> {
    let total: i64 = amounts.iter().sum();
    if total == 0 {
        return None;
    }
    if !like.has_lines {
        return Some(RefundOf::Amount(total));
    }
    let lines = PRODUCTS.iter().zip(amounts).filter(|(_, amount)| 0 < *amount);
    Some(RefundOf::Lines(
        lines.map(|(product, amount)| Line { product: (*product).into(), quantity: 0, amount }).collect(),
    ))
}

/// What a record granted: by the promo, by milestones, in money by rewards, and in points by each source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Earned {
    promo: i64,
    loyalty: i64,
    reward_money: i64,
    cashback: BTreeMap<RuleId, i64>,
    reward_points: BTreeMap<RuleId, i64>,
}

fn earned(record: &Record) -> Earned {
    let mut earned = Earned::default();
    for event in &record.body.events {
        match event {
            Event::PromoGranted(own) => earned.promo += own.points.minor_units(),
            Event::MilestoneReached(own) => earned.loyalty += own.points.minor_units(),
            Event::CashbackEarned(own) => *earned.cashback.entry(own.rule).or_default() += own.points.minor_units(),
            Event::RewardGranted(own) => match own.paid {
                RewardKind::Points { points, .. } => {
                    *earned.reward_points.entry(own.reward).or_default() += points.minor_units();
                }
                RewardKind::WalletCredit { amount } => earned.reward_money += amount.minor_units(),
            },
            _ => (),
        }
    }
    earned
}

fn check(case: &Case) {
    let mut world = World::new(&draft(case), jakarta("2024-01-15 09:00:00"));
    for (drinks, milk) in &case.before {
        let plain = Bought { amounts: [0; 3], has_lines: true, has_code: false, has_tag: false };
        book(&mut world, [*drinks, *milk, 0], &plain);
    }
    let like = &case.purchase;
    let start = world.clone();
    let Some(original) = book(&mut world, like.amounts, like) else { return };
    let booked = world.clone();

    // One after the other.
    let mut left = like.amounts;
    let mut refunds = Vec::new();
    for (first, second, third) in &case.parts {
        let shares = [first, second, third];
        let part = [0, 1, 2].map(|at| left[at] * i64::from(*shares[at]) / 100);
        let Some(of) = refund_of(like, part) else { continue };
        left = [0, 1, 2].map(|at| left[at] - part[at]);
        refunds.push((of, part));
    }
    if case.is_whole
        && let Some(of) = refund_of(like, left)
    {
        refunds.push((of, left));
        left = [0; 3];
    }
    for (index, (of, _)) in refunds.iter().enumerate() {
        give_back(&mut world, &original, &index.to_string(), of.clone()).unwrap();
    }
    let back = [0, 1, 2].map(|at| like.amounts[at] - left[at]);
    let Some(all) = refund_of(like, back) else { return };

    // At once, and in another order.
    let mut at_once = booked.clone();
    give_back(&mut at_once, &original, "all", all).unwrap();
    assert_eq!(whole(&at_once.ledger), whole(&world.ledger), "one refund of the sum");
    let mut shuffled = refunds.clone();
    for (at, index) in (1..shuffled.len()).zip(&case.order) {
        shuffled.swap(at, index.index(at + 1));
    }
    let mut other = booked.clone();
    for (index, (of, _)) in shuffled.iter().enumerate() {
        give_back(&mut other, &original, &format!("other {index}"), of.clone()).unwrap();
    }
    assert_eq!(whole(&other.ledger), whole(&world.ledger), "another order");

    // What the model says.
    let had = earned(&original);
    let mut rest = Earned::default();
    let (bought, remains): (i64, i64) = (like.amounts.iter().sum(), left.iter().sum());
    if 0 < remains {
        let mut twin = start;
        rest = earned(&book(&mut twin, left, like).unwrap());
        let bands = promo_bands(case);
        let least = (remains..=bought).map(|amount| promo_pays(&bands, amount)).min().unwrap();
        rest.promo = if had.promo == 0 { 0 } else { least };
        assert_eq!(rest.loyalty, had.loyalty);
    }
    if case.policy.rewards == RefundedRewards::Keep {
        (rest.reward_money, rest.reward_points) = (had.reward_money, had.reward_points.clone());
    }
    let before = &booked.ledger.rows[&original.body.customer.unwrap()];
    let after = &world.ledger.rows[&original.body.customer.unwrap()];
    let money = |earned: &Earned| earned.promo + earned.loyalty + earned.reward_money;
    let wallet = |row: &kembali_core::customer::Row| row.balance(WalletId(0)).minor_units();
    assert_eq!(wallet(before) - wallet(after), money(&had) - money(&rest));
    let mut points: BTreeMap<RuleId, i64> = BTreeMap::new();
    for (sign, earned) in [(1, &had), (-1, &rest)] {
        for (source, sum) in earned.cashback.iter().chain(&earned.reward_points) {
            *points.entry(*source).or_default() += sign * sum;
        }
    }
    let held = |row: &kembali_core::customer::Row, source: RuleId| -> i64 {
        let lots = row.points.iter().flat_map(|account| &account.lots).filter(|lot| lot.source == source);
        lots.map(|lot| lot.points.minor_units()).sum()
    };
    for (source, sum) in points {
        assert_eq!(held(before, source) - held(after, source), sum, "points of {source:?}");
    }

    // Units, levels, what remains, and the balance of everything.
    let (tenant, promo) = world.promo("P");
    let is_returned = case.policy.quota == RefundedQuota::Return && had.promo > 0 && rest.promo == 0;
    let used = |world: &World| world.ledger.desk.promo_used(tenant, promo);
    assert_eq!(used(&booked) - used(&world), u64::from(is_returned));
    let spent_back = before.spends[0].spent.minor_units() - after.spends[0].spent.minor_units();
    assert_eq!(spent_back, if case.policy.tier == RefundedTier::Keep { 0 } else { bought - remains });
    let reaches = [0, 1_000, 2_000].iter().filter(|min| **min <= after.spends[0].spent.minor_units()).count();
    let levels = &world.ledger.desk.catalogue(tenant).unwrap().programs[1];
    let names: Vec<RuleId> = levels.levels().map(|(id, _)| id).collect();
    assert_eq!(after.spends[0].level, names[reaches - 1]);
    assert_eq!(after.standings, before.standings);
    let purchase = original.body.events.iter().find_map(|event| match event {
        Event::PurchaseBooked(booked) => Some(booked),
        _ => None,
    });
    let standing = &after.refunds[0];
    let parts: i64 = standing.parts.iter().map(|part: &Part| part.amount.minor_units()).sum();
    assert_eq!(parts, if like.has_lines { bought - remains } else { 0 });
    assert_eq!(standing.remaining(&purchase.unwrap().purchase).0.minor_units(), remains);
    for (_, totals) in world.ledger.totals.tenants() {
        assert!(totals.trial_balance().values().all(|sum| *sum == 0));
        let rolled = roll_forward(&TenantTotals::default(), totals);
        assert!(rolled.values().all(|own| own.expected() == own.closing), "{rolled:?}");
    }
    // A refund never pays.
    for record in &world.records[booked.records.len()..] {
        for event in &record.body.events {
            match event {
                Event::WalletEntry(entry) => assert_eq!(entry.direction, Direction::Out),
                Event::PointEntry(entry) => assert_eq!(entry.direction, Direction::Out),
                _ => (),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000 * depth()))]

    #[test]
    fn r17_any_split_and_order_of_refunds_is_one_refund_of_the_sum(case in any_case()) {
        check(&case);
    }
}
