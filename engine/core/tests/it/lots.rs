//! R05: points as lots. Earned, spent, expired and restored in any order they equal a model that knows each single point;
//! and it does not matter when a sweep comes by.

use std::collections::BTreeMap;

use kembali_core::accounts::HouseAccount;
use kembali_core::draft::{CashbackDraft, CatalogueDraft, EarningDraft, PolicyDraft, ProgramDraft};
use kembali_core::event::Event;
use kembali_core::liability::roll_forward;
use kembali_core::points::{Expiry, LIFE_DAYS_MAX, Lot, Maturity, PointAccount, PointEntry};
use kembali_core::totals::TenantTotals;
use kembali_core::upkeep::{as_of, by_sweep};
use kembali_core::{AMOUNT_MAX, CatalogueRejection, DAY_US, Instant, Rate, RuleId, Unit};
use proptest::prelude::*;

use crate::support::{Seen, World, amount, check, depth, jakarta, kezbek};

const KIND: RuleId = RuleId(1);
/// Whenever that is: nothing is pending.
const NOW: Instant = Instant(0);

#[test]
fn points_live_their_days_and_end_at_midnight() {
    let day = |number: i64| Instant(number * DAY_US);
    for (at, life, expires) in [
        (day(10), 1, day(11)),
        (Instant(day(10).0 + 1), 1, day(12)),
        (Instant(day(11).0 - 1), 1, day(12)),
        (day(10), 365, day(375)),
        (Instant(-1), 1, day(1)),
        // Nothing that was granted before 1970 expires before it.
        (Instant(day(-10).0), 3, day(0)),
        (Instant(i64::MIN), 1, day(0)),
        // The last day that has a midnight.
        (Instant(i64::MAX), LIFE_DAYS_MAX, day(106_751_991)),
    ] {
        let found = Expiry::of(at, Some(life));
        assert_eq!(found.instant(), Some(expires), "{at:?} and {life} days");
        assert!(found.is_due(expires) && !found.is_due(Instant(expires.0 - 1)));
    }
    assert_eq!(Expiry::of(day(10), None), Expiry::NEVER);
    assert!(!Expiry::NEVER.is_due(Instant(i64::MAX)) && Expiry::NEVER.instant().is_none());
    assert!(Expiry::of(day(10), Some(1)) < Expiry::NEVER);
}

fn account(lots: &[(u32, u32, i64)]) -> PointAccount {
    let mut account = PointAccount { kind: KIND, lots: Vec::new() };
    for &(day, source, points) in lots {
        grant(&mut account, (Expiry::of(Instant(0), Some(day)), RuleId(source)), points);
    }
    account
}

fn grant(account: &mut PointAccount, (expires, source): (Expiry, RuleId), points: i64) -> Option<PointEntry> {
    grant_pending(account, (expires, source, Maturity::AT_ONCE), points)
}

fn grant_pending(
    account: &mut PointAccount,
    (expires, source, matures): (Expiry, RuleId, Maturity),
    points: i64,
) -> Option<PointEntry> {
    let lot = Lot { expires, source, matures, points: amount(points) };
    let entry = PointEntry::grant(KIND, lot, account.balance())?;
    account.evolve(&entry);
    Some(entry)
}

#[test]
fn the_soonest_expiry_is_spent_first() {
    let account = account(&[(30, 7, 5), (10, 9, 5), (10, 8, 5), (20, 7, 5)]);
    let spent = account.spend(amount(12), HouseAccount::PointsRedeemed, NOW).unwrap();
    let parts: Vec<_> = spent.iter().map(|own| (own.expires.day().unwrap(), own.source.0, own.points)).collect();
    assert_eq!(parts, [(10, 8, amount(5)), (10, 9, amount(5)), (20, 7, amount(2))]);
    let after: Vec<i64> = spent.iter().map(|own| own.balance_after.minor_units()).collect();
    assert_eq!(after, [15, 10, 8]);
    assert!(account.spend(amount(21), HouseAccount::PointsRedeemed, NOW).is_none(), "there are 20");
    assert_eq!(account.spend(amount(20), HouseAccount::PointsRedeemed, NOW).unwrap().len(), 4);
}

#[test]
fn r04_a_sum_of_points_never_passes_the_largest_amount() {
    let mut account = account(&[(30, 7, AMOUNT_MAX - 1)]);
    let more = |account: &mut PointAccount, points| grant(account, (Expiry::NEVER, RuleId(8)), points);
    assert!(more(&mut account, 2).is_none());
    assert!(more(&mut account, 1).is_some());
    let spent = account.spend(amount(AMOUNT_MAX), HouseAccount::PointsRedeemed, NOW).unwrap();
    let mut left = account;
    spent.iter().for_each(|entry| left.evolve(entry));
    assert!(left.lots.is_empty());
    assert!(more(&mut left, 1).is_some());
    assert!(left.restore(&spent).is_none(), "one point has come meanwhile");
}

#[test]
fn pending_points_are_spent_from_the_day_of_their_maturity() {
    let at = |day: i64| Instant(day * DAY_US);
    let mut account = account(&[(30, 7, 5)]);
    let lot = (Expiry::of(at(0), Some(20)), RuleId(8), Maturity::of(Instant(1), Some(7)));
    grant_pending(&mut account, lot, 9).unwrap();
    assert_eq!(lot.2.instant(), Some(at(8)), "seven days at least");
    let last = Instant(at(8).0 - 1);
    assert_eq!((account.available(last), account.balance()), (amount(5), amount(14)));
    assert!(account.spend(amount(6), HouseAccount::PointsRedeemed, last).is_none());
    let spent = account.spend(amount(5), HouseAccount::PointsRedeemed, last).unwrap();
    assert_eq!(spent[0].source, RuleId(7), "although the other lot expires sooner");
    assert_eq!(account.available(at(8)), amount(14));
    let expiring = [19, 20, 29, 30].map(|day| account.expiring(at(day)).minor_units());
    assert_eq!(expiring, [0, 9, 9, 14], "pending or not");
    let spent = account.spend(amount(10), HouseAccount::PointsRedeemed, at(8)).unwrap();
    assert_eq!(spent.iter().map(|own| own.source.0).collect::<Vec<_>>(), [8, 7]);
}

/// A refund takes the points of its own grant while they are pending, and leaves others of the same rule.
#[test]
fn a_claw_back_takes_pending_points_first_of_their_own_grant() {
    let mut account = account(&[]);
    let lot = |pending, points| Lot {
        expires: Expiry::NEVER,
        source: RuleId(7),
        matures: Maturity::of(Instant(0), pending),
        points: amount(points),
    };
    for own in [lot(None, 4), lot(Some(3), 5), lot(Some(9), 6)] {
        grant_pending(&mut account, (own.expires, own.source, own.matures), own.points.minor_units()).unwrap();
    }
    let (entries, short) = account.claw_back(lot(Some(9), 8), Instant(0));
    let taken: Vec<_> = entries.iter().map(|own| (own.matures.day(), own.points)).collect();
    assert_eq!((taken, short), (vec![(9, amount(6)), (0, amount(2))], amount(0)));
}

/// Who earns pending points every day for years, and spends none, has no more lots than a year has days.
#[test]
fn lots_do_not_gather_by_their_maturity() {
    let mut account = account(&[]);
    for day in 0..2_000 {
        let at = Instant(day * DAY_US);
        grant_pending(&mut account, (Expiry::NEVER, RuleId(7), Maturity::of(at, Some(30))), 1).unwrap();
        assert_eq!(account.available(at).minor_units(), (day - 29).max(0), "on day {day}");
    }
    assert_eq!(account.balance(), amount(2_000));
    assert!(account.lots.len() < 370, "{}", account.lots.len());
}

/// A step of the life of an account.
#[derive(Clone, Debug)]
enum Step {
    Earn { life: Option<u32>, pending: Option<u32>, source: u32, points: i64 },
    Spend(i64),
    Restore(usize),
    Wait(i64),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (prop::option::of(1..6u32), prop_oneof![3 => Just(None), 2 => (1..4u32).prop_map(Some)], 1..4u32, 1..20i64)
            .prop_map(|(life, pending, source, points)| Step::Earn { life, pending, source, points }),
        3 => (1..40i64).prop_map(Step::Spend),
        1 => (0..8usize).prop_map(Step::Restore),
        2 => prop_oneof![6 => 1..40i64, 1 => 8_700..8_900i64].prop_map(Step::Wait),
    ]
}

/// Each single point: when it expires, who granted it, and from when it can be spent.
type Single = (Option<i64>, u32, i64);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400 * depth()))]

    /// The model counts hours, knows no lots and no days of its own, and takes the best point for each one that is spent.
    #[test]
    fn r05_lots_equal_single_points(steps in prop::collection::vec(any_step(), 1..60)) {
        let mut account = PointAccount { kind: KIND, lots: Vec::new() };
        let (mut singles, mut hour): (Vec<Single>, i64) = (Vec::new(), 0);
        let mut spendings: Vec<(Vec<PointEntry>, Vec<Single>)> = Vec::new();
        let mut posted: BTreeMap<HouseAccount, i128> = BTreeMap::new();
        for step in steps {
            let now = Instant(hour * 3_600_000_000);
            // What is due is gone before anything is decided.
            let mut entries = account.expire(now);
            entries.iter().for_each(|entry| account.evolve(entry));
            singles.retain(|(expires, ..)| expires.is_none_or(|expires| hour < expires));
            match step {
                Step::Earn { life, pending, source, points } => {
                    let after = |days: u32| (hour + 23) / 24 * 24 + i64::from(days) * 24;
                    let (expires, matures) = (life.map(after), pending.map_or(0, after));
                    singles.extend((0..points).map(|_| (expires, source, matures)));
                    let lot = (Expiry::of(now, life), RuleId(source), Maturity::of(now, pending));
                    entries.push(grant_pending(&mut account, lot, points).unwrap());
                }
                Step::Spend(points) => {
                    let spent = account.spend(amount(points), HouseAccount::PointsRedeemed, now);
                    let ripe = singles.iter().filter(|(.., matures)| *matures <= hour).count();
                    prop_assert_eq!(spent.is_some(), points as usize <= ripe);
                    prop_assert_eq!(account.available(now).minor_units(), ripe as i64);
                    if let Some(spent) = spent {
                        spent.iter().for_each(|entry| account.evolve(entry));
                        // Those that are pending stand behind all others.
                        let order = |(expires, source, matures): &Single| {
                            (hour < *matures, expires.unwrap_or(i64::MAX), *source, *matures)
                        };
                        singles.sort_by_key(order);
                        let gone: Vec<Single> = singles.drain(..points as usize).collect();
                        entries.extend(&spent);
                        spendings.push((spent, gone));
                    }
                }
                Step::Restore(which) => if which < spendings.len() {
                    let (spent, gone) = spendings.swap_remove(which);
                    let restored = account.restore(&spent).unwrap();
                    restored.iter().for_each(|entry| account.evolve(entry));
                    entries.extend(&restored);
                    singles.extend(gone);
                },
                Step::Wait(hours) => hour += hours,
            }
            for entry in &entries {
                let sign = if entry.direction == kembali_core::accounts::Direction::In { 1 } else { -1 };
                *posted.entry(entry.against).or_default() += sign * i128::from(entry.points.minor_units());
            }
            // Lots that are ripe for sure may be one.
            let mut lots: BTreeMap<(Option<i64>, u32), i64> = BTreeMap::new();
            singles.iter().for_each(|(expires, source, _)| *lots.entry((*expires, *source)).or_default() += 1);
            let mut held: BTreeMap<(Option<i64>, u32), i64> = BTreeMap::new();
            for lot in &account.lots {
                let key = (lot.expires.day().map(|day| i64::from(day) * 24), lot.source.0);
                *held.entry(key).or_default() += lot.points.minor_units();
            }
            prop_assert_eq!(held, lots);
            prop_assert_eq!(account.balance().minor_units(), singles.len() as i64);
            prop_assert_eq!(posted.values().sum::<i128>(), singles.len() as i128, "the house has the other side");
            prop_assert!(account.lots.windows(2).all(|pair| pair[0].key() < pair[1].key()), "no two lots are one");
            prop_assert!(account.lots.iter().all(|lot| !lot.points.is_zero()));
        }
    }
}

fn rule(name: &str, rate: &str, life_days: Option<u32>) -> CashbackDraft {
    CashbackDraft {
        description: None,
        name: name.into(),
        rate: Rate::parse(rate).unwrap(),
        products: Vec::new(),
        partner: None,
        is_active: true,
        ends_at: None,
        pays: "points".into(),
        life_days,
        pending_days: None,
    }
}

/// One percent that lives three days, and one per mille for ever; a tier whose middle may go.
fn rules(levels: &[(&str, i64)]) -> CatalogueDraft {
    let levels = levels.iter().map(|(name, min)| ((*name).to_owned(), amount(*min))).collect();
    CatalogueDraft {
        promos: Vec::new(),
        programs: vec![ProgramDraft {
            name: "Spend".into(),
            policy: PolicyDraft::Threshold(levels),
            renames: Vec::new(),
        }],
        earning: EarningDraft {
            point_kinds: vec!["points".into()],
            cashback_rules: vec![rule("Short", "0.01", Some(3)), rule("Long", "0.001", None)],
            ..EarningDraft::default()
        },
        ..kezbek()
    }
}

const LEVELS: [(&str, i64); 3] = [("Low", 0), ("Middle", 5_000), ("High", 20_000)];

fn world() -> World {
    World::new(&rules(&LEVELS), jakarta("2024-01-15 09:00:00"))
}

/// Returns what the customer holds, as somebody sees it who looks now.
fn seen(world: &World, name: &str) -> i64 {
    let desk = &world.ledger.desk;
    let tenant = desk.tenant_by_slug("kezbek").unwrap();
    let (id, _) = desk.find_customer(tenant, crate::support::customer(tenant.0, name)).unwrap();
    let row = as_of(world.ledger.rows[&id].clone(), desk.removals(tenant).unwrap(), desk.now(tenant, world.now));
    row.points.iter().map(|own| own.balance().minor_units()).sum()
}

fn sweep(world: &mut World) -> usize {
    let desk = &world.ledger.desk;
    let tenant = desk.tenant_by_slug("kezbek").unwrap();
    let (rules, removals) = (desk.catalogue(tenant).unwrap(), desk.removals(tenant).unwrap());
    let now = desk.now(tenant, world.now);
    let mut rows: Vec<_> = world.ledger.rows.values().collect();
    rows.sort_by_key(|row| row.id);
    let bodies: Vec<_> = rows.into_iter().filter_map(|row| by_sweep(row, rules, removals, now, world.now)).collect();
    let count = bodies.len();
    bodies.into_iter().for_each(|body| drop(world.write(body)));
    count
}

#[test]
fn lateness_is_invisible() {
    let mut world = world();
    check(&mut world, "buy A 10000 -> new, Middle at 10000, Short 100, Long 10, points 100, points 110");
    // The first whole day behind the purchase begins on the 16th at 7 in Jakarta.
    world.now = jakarta("2024-01-19 06:59:59");
    assert_eq!((seen(&world, "A"), sweep(&mut world)), (110, 0));
    world.now = jakarta("2024-01-19 07:00:00");
    assert_eq!(seen(&world, "A"), 10, "though nobody wrote it down");
    assert_eq!((sweep(&mut world), sweep(&mut world), seen(&world, "A")), (1, 0, 10));
    let sums = world.ledger.totals.tenants().next().unwrap().1;
    let kind = world.ledger.desk.catalogues().next().unwrap().point_kinds[0].id;
    let house = |account| sums.house[&(Unit::Points(kind), account)];
    assert_eq!(house(HouseAccount::PointsIssued).debits, 110);
    assert_eq!(house(HouseAccount::PointsExpired).credits, 100);
    let rolled = &roll_forward(&TenantTotals::default(), sums)[&Unit::Points(kind)];
    assert_eq!((rolled.opening, rolled.earned, rolled.expired, rolled.closing), (0, 110, 100, 10));
    assert!(sums.expiring.is_empty() && sums.trial_balance().values().all(|sum| *sum == 0));
}

#[test]
fn a_purchase_writes_down_what_expired_before_it() {
    let mut world = world();
    check(&mut world, "buy A 10000 -> new, Middle at 10000, Short 100, Long 10, points 100, points 110");
    world.now = jakarta("2024-01-20 09:00:00");
    check(&mut world, "buy A 1000 -> points 10, Middle at 11000, Short 10, Long 1, points 20, points 21");
}

#[test]
fn a_life_is_a_number_of_days_from_one_to_a_hundred_years() {
    for days in [0, LIFE_DAYS_MAX + 1, u32::MAX] {
        let mut draft = rules(&LEVELS);
        draft.earning.cashback_rules[0].life_days = Some(days);
        let mut world = World::default();
        let refused = world.apply(&draft, None);
        assert!(
            matches!(&refused, Err(CatalogueRejection::Invalid { place, .. }) if place == "cashback_rules[Short].life_days"),
            "{days}: {refused:?}"
        );
    }
}

#[test]
fn points_are_pending_for_a_year_at_most_and_mature_before_they_expire() {
    for (life, pending, is_right) in [
        (None, 0, false),
        (None, 1, true),
        (None, 365, true),
        (None, 366, false),
        (Some(3), 3, false),
        (Some(3), 2, true),
    ] {
        let mut draft = rules(&LEVELS);
        (draft.earning.cashback_rules[0].life_days, draft.earning.cashback_rules[0].pending_days) =
            (life, Some(pending));
        match World::default().apply(&draft, None) {
            Ok(_) => assert!(is_right, "{life:?} {pending}"),
            Err(CatalogueRejection::Invalid { place, .. }) => {
                assert!(!is_right && place == "cashback_rules[Short].pending_days", "{life:?} {pending}");
            }
            Err(other) => panic!("{other:?}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200 * depth()))]

    /// Whether sweeps come by or not, the same is granted, seen and left: only the records differ that say so.
    #[test]
    fn r05_sweeps_change_nothing_that_anybody_sees(
        buys in prop::collection::vec((0..4u8, 1..30_000i64, 0..50i64, any::<bool>()), 1..40),
        removed in 0..40usize,
    ) {
        let (mut swept, mut unswept) = (world(), world());
        for (index, (who, spent, hours, comes_by)) in buys.into_iter().enumerate() {
            if index == removed {
                let levels = [LEVELS[0], LEVELS[2]];
                swept.apply(&rules(&levels), None).unwrap();
                unswept.apply(&rules(&levels), None).unwrap();
            }
            let name = ["A", "B", "C", "D"][usize::from(who)];
            let mut granted = Vec::new();
            for world in [&mut swept, &mut unswept] {
                world.now.0 += hours * 3_600_000_000;
                let command = world.command(&[name, &spent.to_string()]);
                let Seen::Booked(record) = world.purchase(command) else { panic!("it is booked") };
                let earned: Vec<Event> = (record.body.events.iter())
                    .filter(|event| matches!(event, Event::CashbackEarned(_) | Event::SpendCounted(_)))
                    .cloned()
                    .collect();
                granted.push((earned, seen(world, name)));
            }
            prop_assert_eq!(&granted[0], &granted[1]);
            if comes_by {
                sweep(&mut swept);
                prop_assert_eq!(sweep(&mut swept), 0);
            }
            for name in ["A", "B", "C", "D"] {
                let id = crate::support::customer(1, name);
                if swept.ledger.desk.find_customer(kembali_core::TenantId(1), id).is_some() {
                    prop_assert_eq!(seen(&swept, name), seen(&unswept, name), "{}", name);
                }
            }
            for world in [&swept, &unswept] {
                let sums = world.ledger.totals.tenants().next().unwrap().1;
                prop_assert!(sums.trial_balance().values().all(|sum| *sum == 0));
                let lots = world.ledger.rows.values().flat_map(|row| &row.points).flat_map(|own| &own.lots);
                let mortal = lots.filter(|lot| lot.expires != Expiry::NEVER);
                let held: i128 = mortal.map(|lot| i128::from(lot.points.minor_units())).sum();
                prop_assert_eq!(sums.expiring.values().sum::<i128>(), held);
                prop_assert!(sums.expiring.values().all(|points| 0 < *points));
            }
        }
        sweep(&mut swept);
        sweep(&mut unswept);
        prop_assert_eq!(swept.canonical(), unswept.canonical());
    }
}
