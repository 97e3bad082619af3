//! What a change of the rules would do: held against what the rules then do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kembali_core::campaign::{CampaignStanding, Progress};
use kembali_core::catalogue::{
    AtMaximum, Campaign, CashbackRule, Catalogue, Journey, JourneyLevel, Threshold, ThresholdLevel, TierPolicy,
    TierProgram,
};
use kembali_core::customer::Row;
use kembali_core::journey::{self, Standing};
use kembali_core::points::{Expiry, Lot, Maturity, PointAccount};
use kembali_core::preview::{EXAMPLES_MAX, Preview, RuleChange, Stopped, TierMove, When, Why};
use kembali_core::threshold::{self, SpendStanding};
use kembali_core::{AMOUNT_MAX, Alias, AliasKind, CustomerId, DAY_US, Instant, Rate, RuleId, TenantId};
use proptest::prelude::*;
use smallvec::{SmallVec, smallvec};
use thin_vec::{ThinVec, thin_vec};

use crate::support::{World, amount, jakarta, kezbek};

const PROGRAM: RuleId = RuleId(1);

fn rules(policy: TierPolicy) -> Catalogue {
    let mut world = World::default();
    let rules = world.apply(&kezbek(), None).expect("KezBek's rules are right").expect("they are new");
    let program = TierProgram { id: PROGRAM, name: "P".into(), policy };
    Catalogue { programs: vec![program], ..(*rules).clone() }
}

fn change(before: Catalogue, after: Catalogue) -> RuleChange {
    let after = Catalogue { version: before.version + 1, ..after };
    RuleChange::new(Arc::new(before), Arc::new(after))
}

fn row(id: u128) -> Row {
    Row {
        id: CustomerId(id),
        tenant: TenantId(1),
        catalogue_version: 1,
        alias: Alias { kind: AliasKind::Ref, hash: id },
        purchases: 0,
        wallets: SmallVec::new(),
        standings: SmallVec::new(),
        spends: ThinVec::new(),
        points: ThinVec::new(),
        campaigns: ThinVec::new(),
        refunds: ThinVec::new(),
        holds_placed: 0,
        holds: ThinVec::new(),
        risk: ThinVec::new(),
        reversed: ThinVec::new(),
        is_erased: false,
    }
}

/// Looks at one row, and returns where it would stand instead.
fn moved(before: TierPolicy, after: TierPolicy, row: &Row, now: Instant) -> Option<TierMove> {
    let change = change(rules(before), rules(after));
    let mut preview = Preview::new(&change, now);
    preview.look(&change, &[], row, now);
    let mut moves = preview.tiers.into_keys();
    let first = moves.next();
    assert_eq!(moves.next(), None, "a customer is counted once a programme");
    first
}

fn bounds(bounds: &[(u32, i64)]) -> Threshold {
    let level = |&(id, spent_min): &(u32, i64)| ThresholdLevel {
        id: RuleId(id),
        name: format!("L{id}"),
        spent_min: amount(spent_min),
    };
    Threshold { levels: bounds.iter().map(level).collect() }
}

fn spent(level: u32, spent: i64) -> Row {
    let standing = SpendStanding { program: PROGRAM, level: RuleId(level), spent: amount(spent) };
    Row { spends: thin_vec![standing], ..row(7) }
}

/// Levels 10, 20, 30 and 40 at 0, 500, 1,500 and 4,000.
const LADDER: [(u32, i64); 4] = [(10, 0), (20, 500), (30, 1_500), (40, 4_000)];

#[test]
fn bounds_that_change() {
    let check = |after: &[(u32, i64)], row: &Row, expected: Option<(When, u32, u32)>| {
        let policy = |levels: &[(u32, i64)]| TierPolicy::Threshold(bounds(levels));
        let moved = moved(policy(&LADDER), policy(after), row, Instant(0));
        assert_eq!(moved.map(|own| (own.when, own.from.0, own.to.0)), expected, "{after:?} {row:?}");
    };
    check(&LADDER, &spent(20, 700), None);
    // Raised: nobody is moved down.
    let raised = [(10, 0), (20, 900), (30, 1_500), (40, 4_000)];
    check(&raised, &spent(20, 700), Some((When::Never, 20, 10)));
    check(&raised, &spent(20, 900), None);
    // Lowered: up with the purchase that crosses the bound above what is spent, never when there is none.
    let lowered = [(10, 0), (20, 500), (30, 600), (40, 4_000)];
    check(&lowered, &spent(20, 700), Some((When::NextBound, 20, 30)));
    check(&lowered, &spent(20, 599), None);
    check(&[(10, 0), (20, 500), (30, 600), (40, 650)], &spent(20, 700), Some((When::Never, 20, 40)));
    // Somebody who was placed higher by hand stays there, and was no other case before.
    check(&lowered, &spent(40, 700), Some((When::Never, 40, 30)));
    check(&LADDER, &spent(40, 700), None);
    // Who waits already for the same level is not moved by this change; who waits for it and gets it neither.
    check(&[(10, 0), (20, 500), (30, 1_400), (40, 4_000)], &spent(20, 1_600), None);
    check(&[(10, 0), (20, 1_600), (30, 1_700), (40, 4_000)], &spent(20, 1_600), None);
    // A new level between: the same.
    check(&[(10, 0), (20, 500), (50, 600), (30, 1_500), (40, 4_000)], &spent(20, 700), Some((When::NextBound, 20, 50)));
    // A level that is gone moves its members at once.
    check(&[(10, 0), (30, 1_500), (40, 4_000)], &spent(20, 700), Some((When::AtOnce, 20, 10)));
}

/// Journey levels 1, 2 and 3, full at a count of their own.
fn journey(counts: [u32; 3], days: (u32, u32)) -> Journey {
    let level = |(id, count_max): (u32, u32)| JourneyLevel {
        id: RuleId(id),
        name: format!("L{id}"),
        count_max,
        next: RuleId((id + 1).min(3)),
        previous: RuleId(id.max(2) - 1),
        milestones: Vec::new(),
    };
    Journey {
        downgrade_after_days: days.0,
        reset_after_days: days.1,
        at_maximum: AtMaximum::PayNothing,
        levels: (1..).zip(counts).map(level).collect(),
    }
}

fn counted(level: u32, count: u32, days_ago: i64, now: Instant) -> Row {
    let last_at = Instant(now.0 - days_ago * DAY_US);
    let standing = Standing { program: PROGRAM, level: RuleId(level), count, last_at };
    Row { standings: smallvec![standing], ..row(7) }
}

#[test]
fn counts_and_gaps_that_change() {
    let now = jakarta("2023-06-01 00:00:00");
    let check = |after: Journey, (level, count, days): (u32, u32, i64), expected: Option<(When, u32, u32)>| {
        let before = TierPolicy::Journey(journey([7, 7, 7], (30, 60)));
        let moved = moved(before, TierPolicy::Journey(after), &counted(level, count, days, now), now);
        assert_eq!(moved.map(|own| (own.when, own.from.0, own.to.0)), expected);
    };
    check(journey([7, 7, 7], (30, 60)), (2, 7, 1), None);
    // A lower count leads up with the next purchase; a higher one keeps whom the next purchase would have led up.
    check(journey([5, 7, 7], (30, 60)), (1, 5, 1), Some((When::NextPurchase, 1, 2)));
    check(journey([5, 7, 7], (30, 60)), (1, 4, 1), None);
    check(journey([9, 7, 7], (30, 60)), (1, 7, 1), Some((When::NextPurchase, 1, 1)));
    // Gaps count at once: what a customer is shown at changes with them.
    check(journey([7, 7, 7], (45, 60)), (3, 2, 40), Some((When::AtOnce, 2, 3)));
    check(journey([7, 7, 7], (20, 60)), (3, 2, 25), Some((When::AtOnce, 3, 2)));
    check(journey([7, 7, 7], (30, 40)), (3, 2, 50), Some((When::AtOnce, 2, 1)));
    check(journey([7, 7, 7], (30, 40)), (3, 2, 40), None);
}

fn ladders() -> impl Strategy<Value = Vec<(u32, i64)>> {
    let level = (1..9u32, 1..60i64);
    proptest::collection::vec(level, 1..5).prop_map(|levels| {
        let (mut ids, mut spent_min) = (BTreeSet::new(), -1);
        let levels = levels.into_iter().filter(|(id, _)| ids.insert(*id));
        levels
            .map(|(id, more)| {
                spent_min += more;
                (id, spent_min)
            })
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// What is said of a spender holds for every amount that the next purchase may have.
    #[test]
    fn a_spender_does_as_is_said(before in ladders(), after in ladders(), place in 0..9usize, sum in 0..250i64) {
        let level = before[place % before.len()].0;
        let row = spent(level, sum);
        let (before, after) = (bounds(&before), bounds(&after));
        let policy = |own: &Threshold| TierPolicy::Threshold(own.clone());
        let moved = moved(policy(&before), policy(&after), &row, Instant(0));
        let next = |more: i64| threshold::step(PROGRAM, &after, row.spends.first(), amount(more)).unwrap().level;
        let Some(TierMove { when, from, to, .. }) = moved else {
            prop_assert!(after.level(RuleId(level)).is_some(), "its level is gone and nothing is said");
            return Ok(());
        };
        prop_assert_eq!(from.0, level);
        prop_assert_eq!(to, after.reached_by(amount(sum)).id);
        let above = after.levels.iter().find(|own| sum < own.spent_min.minor_units());
        match when {
            When::AtOnce => prop_assert!(after.level(from).is_none()),
            When::NextPurchase => prop_assert!(false, "a spender has no such step"),
            When::NextBound => {
                let above = above.expect("there is a bound above");
                let gap = above.spent_min.minor_units() - sum;
                prop_assert_eq!(next(gap), above.id);
                prop_assert_eq!(next(gap - 1), from, "below the bound the level is kept");
            }
            When::Never => {
                let last = if above.is_none() { 1_000 } else { above.unwrap().spent_min.minor_units() - sum - 1 };
                prop_assert_eq!(next(last), from);
            }
        }
    }

    /// What is said of a counter holds for a purchase that comes now.
    #[test]
    fn a_counter_does_as_is_said(
        before in ([1..9u32, 1..9, 1..9], 0..90u32, 0..90u32),
        after in ([1..9u32, 1..9, 1..9], 0..90u32, 0..90u32),
        level in 1..4u32, count in 1..9u32, days in 0..120i64,
    ) {
        let now = jakarta("2023-06-01 00:00:00");
        let of = |(counts, down, more): ([u32; 3], u32, u32)| journey(counts, (down, down + more));
        let (before, after) = (of(before), of(after));
        let row = counted(level, count, days, now);
        let standing = row.standings.first();
        let shown = |rules| journey::effective_level(rules, standing.unwrap(), now);
        let next = |rules| journey::step(PROGRAM, rules, standing, now).standing.level;
        let moved = moved(TierPolicy::Journey(before.clone()), TierPolicy::Journey(after.clone()), &row, now);
        match moved.map(|own| (own.when, own.from, own.to)) {
            None => prop_assert_eq!((shown(&before), next(&before)), (shown(&after), next(&after))),
            Some((When::AtOnce, from, to)) => {
                prop_assert!(from != to);
                prop_assert_eq!((from, to), (shown(&before), shown(&after)));
            }
            Some((When::NextPurchase, from, to)) => {
                prop_assert_eq!((from, to), (shown(&after), next(&after)));
                prop_assert!(next(&before) != next(&after));
            }
            Some(other) => prop_assert!(false, "a Journey has no such step: {:?}", other),
        }
    }
}

fn cashback(id: u32) -> CashbackRule {
    CashbackRule {
        id: RuleId(id),
        name: format!("R{id}"),
        rate: Rate::parse("0.1").unwrap(),
        products: Vec::new(),
        partner: None,
        is_active: true,
        ends_at: None,
        pays: RuleId(1),
        life_days: None,
        pending_days: None,
    }
}

fn campaign(id: u32) -> Campaign {
    let (fulfillments, rewards) = (vec![RuleId(1)], vec![RuleId(2)]);
    let name = format!("C{id}");
    Campaign {
        id: RuleId(id),
        name,
        fulfillments,
        rewards,
        starts_at: None,
        ends_at: None,
        completions_max: None,
        budget: None,
    }
}

/// What a customer has: points by rules, and completions and progress of campaigns.
fn holding(id: u128, points: &[(u32, u32, i64)], campaigns: &[(u32, u32, bool)]) -> Row {
    let account = |&(kind, rule, points): &(u32, u32, i64)| {
        let lots = vec![Lot {
            expires: Expiry::NEVER,
            source: RuleId(rule),
            matures: Maturity::AT_ONCE,
            points: amount(points),
        }];
        PointAccount { kind: RuleId(kind), lots }
    };
    let standing = |&(campaign, completions, has_progress): &(u32, u32, bool)| {
        let progress = Progress { fulfillment: RuleId(1), so_far: 1, is_met: true };
        let progress = has_progress.then_some(progress).into_iter().collect();
        CampaignStanding { campaign: RuleId(campaign), completions, progress }
    };
    let (points, campaigns) = (points.iter().map(account).collect(), campaigns.iter().map(standing).collect());
    Row { points, campaigns, ..row(id) }
}

#[test]
fn rules_that_stop_and_what_customers_have_with_them() {
    let now = Instant(1_000);
    let before = Catalogue {
        cashback_rules: (10..16).map(cashback).collect(),
        campaigns: (20..26).map(campaign).collect(),
        ..rules(TierPolicy::Threshold(bounds(&LADDER)))
    };
    let mut after = before.clone();
    after.cashback_rules.remove(0);
    after.cashback_rules[0].is_active = false;
    after.cashback_rules[1].ends_at = Some(Instant(999));
    after.cashback_rules[2].ends_at = Some(now);
    after.campaigns.remove(0);
    after.campaigns[0].ends_at = Some(Instant(999));
    after.campaigns[1].starts_at = Some(Instant(1_001));
    (after.campaigns[2].starts_at, after.campaigns[2].ends_at) = (Some(now), Some(now));
    let change = change(before, after);
    let rows = [
        holding(9, &[(1, 10, 5), (2, 10, 6), (3, 14, 7)], &[(20, 0, true), (21, 3, false), (24, 1, true)]),
        holding(8, &[(1, 10, 1)], &[(20, 2, true), (22, 1, true)]),
        holding(7, &[(1, 11, AMOUNT_MAX)], &[]),
        holding(6, &[(1, 11, AMOUNT_MAX)], &[(20, 1, false)]),
    ];
    let mut preview = Preview::new(&change, now);
    // Counted apart and added up, in whatever order, it is the same.
    for row in rows.iter().rev() {
        let mut one = Preview::new(&change, now);
        one.look(&change, &[], row, now);
        preview.merge(one);
    }
    let mut whole = Preview::new(&change, now);
    rows.iter().for_each(|row| whole.look(&change, &[], row, now));
    assert_eq!(preview, whole);

    assert_eq!(whole.customers, 4);
    let seen = |stopped: &BTreeMap<RuleId, Stopped>| -> Vec<(u32, Why, Vec<u128>, u64, i128)> {
        let shown = |(id, own): (&RuleId, &Stopped)| {
            assert_eq!(own.customers.count, own.customers.examples.len() as u64);
            let examples = own.customers.examples.iter().map(|id| id.0).collect();
            (id.0, own.why, examples, own.completed, own.points)
        };
        stopped.iter().map(shown).collect()
    };
    assert_eq!(
        seen(&whole.cashback_rules),
        [
            (10, Why::Removed, vec![8, 9], 0, 12),
            (11, Why::Off, vec![6, 7], 0, 2 * i128::from(AMOUNT_MAX)),
            (12, Why::Off, vec![], 0, 0),
        ]
    );
    assert_eq!(
        seen(&whole.campaigns),
        [(20, Why::Removed, vec![8, 9], 2, 0), (21, Why::Off, vec![], 1, 0), (22, Why::Off, vec![8], 1, 0)]
    );
}

/// Points that are due are gone, whether or not a record says so yet.
#[test]
fn points_that_expired_are_held_by_nobody() {
    let before = Catalogue { cashback_rules: vec![cashback(10)], ..rules(TierPolicy::Threshold(bounds(&LADDER))) };
    let change = change(before.clone(), Catalogue { cashback_rules: Vec::new(), ..before });
    let lot = |expires, points| Lot { expires, source: RuleId(10), matures: Maturity::AT_ONCE, points: amount(points) };
    let lots = vec![lot(Expiry::of(Instant(0), Some(3)), 5), lot(Expiry::NEVER, 7)];
    let row = Row { points: thin_vec![PointAccount { kind: RuleId(1), lots }], ..row(1) };
    for (now, points) in [(3 * DAY_US - 1, 12), (3 * DAY_US, 7)] {
        let mut preview = Preview::new(&change, Instant(now));
        preview.look(&change, &[], &row, Instant(now));
        assert_eq!(preview.cashback_rules[&RuleId(10)].points, points);
    }
}

#[test]
fn a_few_examples_are_named() {
    let policy = |levels: &[(u32, i64)]| rules(TierPolicy::Threshold(bounds(levels)));
    let change = change(policy(&LADDER), policy(&[(10, 0), (20, 900), (30, 1_500), (40, 4_000)]));
    let mut preview = Preview::new(&change, Instant(0));
    for id in [9, 3, 5, 1, 7, 2, 8] {
        preview.look(&change, &[], &Row { id: CustomerId(id), ..spent(20, 700) }, Instant(0));
    }
    let [kept] = preview.tiers.values().collect::<Vec<_>>()[..] else { panic!("{preview:?}") };
    assert_eq!((kept.count, kept.examples.len()), (7, EXAMPLES_MAX));
    assert_eq!(kept.examples, [1, 2, 3, 5, 7].map(CustomerId));
}
