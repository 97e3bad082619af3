//! Operations: Dompet Digital Sawit's wallets with their bugs fixed, activities, and keys that are remembered.

use kembali_core::accounts::HouseAccount;
use kembali_core::catalogue::{FulfillmentKind, OfferGives, RuleClock, UnknownCustomer};
use kembali_core::desk::DeskPiece;
use kembali_core::draft::{
    CampaignDraft, CatalogueDraft, EarningDraft, FulfillmentDraft, OfferDraft, PolicyDraft, ProgramDraft, RewardDraft,
    RewardPaysDraft,
};
use kembali_core::{AMOUNT_MAX, CatalogueRejection, Unit};

use crate::support::{World, amount, check, idr, jakarta, kezbek};

/// Two reviews pay 70 of money and 10 points, which are good for three coffees or for any sum of money.
pub(crate) fn reviews() -> CatalogueDraft {
    let money = RewardDraft { name: "Seventy".into(), pays: RewardPaysDraft::WalletCredit(amount(70)) };
    let points =
        RewardPaysDraft::Points { kind: "points".into(), points: amount(10), life_days: None, pending_days: None };
    let earning = EarningDraft {
        point_kinds: vec!["points".into()],
        fulfillments: vec![FulfillmentDraft {
            name: "Two reviews".into(),
            kind: FulfillmentKind::Tag { tag: "review".into(), count: 2 },
        }],
        rewards: vec![money, RewardDraft { name: "Ten".into(), pays: points }],
        campaigns: vec![CampaignDraft {
            name: "Critic".into(),
            fulfillments: vec!["Two reviews".into()],
            rewards: vec!["Seventy".into(), "Ten".into()],
            starts_at: None,
            ends_at: None,
            completions_max: None,
            budget: None,
        }],
        offers: vec![offer("Coffee", 7, OfferGives::Item, Some(3)), offer("Cash", 5, cash(50), None)],
        ..EarningDraft::default()
    };
    CatalogueDraft { promos: Vec::new(), programs: Vec::new(), earning, ..kezbek() }
}

fn cash(minor_units: i64) -> OfferGives {
    OfferGives::WalletCredit { amount: amount(minor_units) }
}

fn offer(name: &str, points: i64, gives: OfferGives, stock: Option<u64>) -> OfferDraft {
    OfferDraft {
        name: name.into(),
        kind: "points".into(),
        points: amount(points),
        gives,
        stock,
        is_active: true,
        starts_at: None,
        ends_at: None,
    }
}

fn world(draft: &CatalogueDraft) -> World {
    World::new(draft, jakarta("2024-01-15 09:00:00"))
}

#[test]
fn a_customer_is_created_once() {
    let mut world = world(&CatalogueDraft { unknown_customer: UnknownCustomer::MustExist, ..reviews() });
    check(
        &mut world,
        "buy A 100 tags=review  -> refused customer_unknown
         ask A create dry       -> would: new
         rows                   -> 0
         ask A create           -> new
         ask A create           -> unchanged
         buy A 100 tags=review  -> Critic/Two reviews at 1
         ask B deposit 0 5      -> refused customer_not_found
         ask id:2:A open        -> refused customer_not_found
         rows                   -> 1",
    );
}

#[test]
fn whoever_is_erased_keeps_money_and_gets_no_new_names() {
    check(
        &mut world(&reviews()),
        "ask B erase            -> refused customer_not_found
         ask A create           -> new
         ask A open             -> wallet 1
         ask A deposit 1 500    -> balance 500
         ask A erase dry        -> would: erased
         ask A erase            -> erased
         ask A erase            -> unchanged
         ask A open             -> refused customer_erased
         ask A rename 1         -> refused customer_erased
         ask A deposit 1 500    -> balance 1000
         ask A take 1 1000      -> balance 0
         ask A close 1          -> closed
         ask A create           -> unchanged",
    );
}

#[test]
fn wallets_open_and_close() {
    check(
        &mut world(&reviews()),
        "ask A create           -> new
         ask A open             -> wallet 1
         ask A open             -> wallet 2
         ask A deposit 1 500    -> balance 500
         ask A close 1          -> refused wallet_not_empty
         ask A take 1 500       -> balance 0
         ask A rename 1         -> done
         ask A close 1          -> closed
         ask A close 1          -> unchanged
         ask A rename 1         -> refused wallet_closed
         ask A deposit 1 500    -> refused wallet_closed
         ask A thaw 1           -> refused wallet_closed
         ask A open             -> wallet 3
         ask A close 0          -> refused wallet_is_default
         ask A deposit 4 1      -> refused wallet_not_found
         ask A rename 4         -> refused wallet_not_found",
    );
}

#[test]
fn a_customer_has_at_most_256_wallets() {
    let mut world = world(&reviews());
    check(&mut world, "ask A create -> new");
    for id in 1..=255 {
        assert_eq!(world.ask(&["A", "open"]), format!("wallet {id}"));
    }
    check(&mut world, "ask A open -> refused wallets_too_many");
}

/// Dompet's rule: nothing goes in or out while it is frozen. Cashback goes into wallet 0.
#[test]
fn a_frozen_wallet_refuses_every_debit_and_credit() {
    check(
        &mut world(&CatalogueDraft { programs: kezbek().programs, ..reviews() }),
        "buy A 100              -> new, BRONZE 1 FIRST
         ask A give 0 900       -> balance 900
         ask A freeze 0         -> frozen
         ask A freeze 0         -> unchanged
         ask A deposit 0 1      -> refused wallet_frozen
         ask A take 0 1         -> refused wallet_frozen
         ask A give 0 1         -> refused wallet_frozen
         buy A 100              -> BRONZE 2
         buy A 100 key=paid     -> refused wallet_frozen
         receipt paid           -> wallet_frozen
         ask A did review       -> Critic/Two reviews at 1
         ask A did review key=k -> refused wallet_frozen
         ask A open             -> wallet 1
         ask A deposit 1 7      -> balance 7
         ask A freeze 1         -> frozen
         ask A close 1          -> refused wallet_frozen
         ask A thaw 0           -> active
         ask A thaw 0           -> unchanged
         buy A 100 key=paid     -> replaces wallet_frozen, BRONZE 3, milestone 15000, balance 15900",
    );
}

#[test]
fn amounts_and_balances() {
    let most = AMOUNT_MAX;
    let script = format!(
        "ask A create                -> new
         ask A deposit 0 0           -> refused amount_not_positive
         ask A deposit 0 -1          -> refused amount_not_positive
         ask A deposit 0 {min}       -> refused amount_not_positive
         ask A deposit 0 {over}      -> refused amount_too_large
         ask A give 0 {max}          -> refused amount_too_large
         ask A take 0 1              -> refused balance_too_small
         ask A deposit 0 {most}      -> balance {most}
         ask A deposit 0 1           -> refused balance_too_large
         ask A take 0 {most}         -> balance 0
         ask A take 0 0              -> refused amount_not_positive",
        min = i64::MIN,
        over = most + 1,
        max = i64::MAX,
    );
    check(&mut world(&reviews()), &script);
}

#[test]
fn activities_complete_campaigns() {
    check(
        &mut world(&reviews()),
        "ask A create            -> new
         ask A did review by=1   -> Critic/Two reviews at 1
         ask A did review by=1   -> Critic/Two reviews met 2, Critic done 1, reward Seventy, reward Ten, balance 70, points 10
         ask A did nothing by=1  -> done
         buy A 100 tags=review   -> Critic/Two reviews at 1
         ask A did review dry    -> would: Critic/Two reviews met 2, Critic done 2, reward Seventy, reward Ten, balance 140, points 20
         ask A did review        -> Critic/Two reviews met 2, Critic done 2, reward Seventy, reward Ten, balance 140, points 20",
    );
}

/// Under the `occurred` clock an activity moves what is now, like a purchase; everything else waits for what is open.
#[test]
fn an_activity_has_the_time_that_its_tenant_chose() {
    let mut world = world(&CatalogueDraft { clock: RuleClock::Occurred, ..reviews() });
    check(
        &mut world,
        "ask A create                        -> new
         ask A did x occurred=-2d            -> done
         ask A did x occurred=1d             -> done
         ask A did x occurred=1d5us          -> refused occurred_in_future",
    );
    let tenant = kembali_core::TenantId(1);
    assert_eq!(world.ledger.desk.now(tenant, world.now).0, world.now.0 + kembali_core::DAY_US);
    world.open.begin_operation(None, None);
    check(
        &mut world,
        "ask A deposit 0 1                   -> wait
         ask A did x                         -> done",
    );
    world.open.end_operation(None, None);
    check(&mut world, "ask A deposit 0 1 -> balance 1");
}

/// R13: the answer to a key stays what it was, a refusal too, for 30 days.
#[test]
fn r13_a_key_is_remembered_with_its_refusal() {
    let mut world = world(&reviews());
    check(
        &mut world,
        "ask A create                  -> new
         ask A take 0 5 key=a          -> refused balance_too_small
         ask A deposit 0 100 key=b     -> balance 100
         ask A take 0 5 key=a          -> known 3
         ask A deposit 0 100 key=b     -> known 4
         ask A deposit 0 101 key=b     -> reused 4
         ask A take 0 5 key=b          -> reused 4
         ask A deposit 0 100 key=b by=1 -> balance 200
         ask A deposit 0 100 key=c dry -> would: balance 300
         ask A deposit 0 100 key=b dry -> known 4
         after 29d23h
         ask A take 0 5 key=a          -> known 3
         after 1h
         ask A take 0 5 key=a          -> balance 195
         ask A deposit 0 100 key=b     -> balance 295
         ask A take 0 5 key=a          -> known 6",
    );
    let remembered = |piece: &DeskPiece| matches!(piece, DeskPiece::Operation { .. });
    assert_eq!(world.ledger.desk.pieces().filter(remembered).count(), 2, "old keys are still there");
}

#[test]
fn a_key_in_flight_is_waited_for() {
    let mut world = world(&reviews());
    check(&mut world, "ask A create -> new");
    let key = world.operation(&["A", "deposit", "0", "1", "key=a"]).key;
    world.open.begin_operation(key, None);
    check(
        &mut world,
        "ask A deposit 0 1 key=a     -> wait
         ask A deposit 0 1 key=a dry -> would: balance 1
         ask A deposit 0 1 key=b     -> balance 1",
    );
    world.open.end_operation(key, None);
    check(&mut world, "ask A deposit 0 1 key=a -> balance 2");
}

/// Money that comes from outside and money that operators give stand on accounts of their own, and the books balance.
#[test]
fn deposits_and_adjustments_have_their_accounts() {
    use kembali_core::accounts::HouseAccount::{Adjustments, CashClearing};
    let mut world = world(&reviews());
    check(
        &mut world,
        "ask A create         -> new
         ask A deposit 0 700  -> balance 700
         ask A give 0 50      -> balance 750
         ask A take 0 90      -> balance 660",
    );
    let totals = world.ledger.totals.tenant(kembali_core::TenantId(1)).unwrap();
    let unit = Unit::Money(idr().code);
    assert_eq!((totals.house[&(unit, CashClearing)].net(), totals.house[&(unit, Adjustments)].net()), (700, -40));
    assert!(totals.trial_balance().values().all(|sum| *sum == 0));
}

/// onetap's own vector: white 100, black 1000, red 2000; promote twice, and a third time is one too many. Demotion is
/// undone by the next order there; here a level that was given by hand holds until a bound is crossed.
#[test]
fn onetap_levels_by_hand() {
    let levels = [("white", 100), ("black", 1_000), ("red", 2_000)];
    let levels = levels.map(|(name, min)| (name.to_string(), amount(min)));
    let policy = PolicyDraft::Threshold(levels.to_vec());
    let program = ProgramDraft { name: "Spend".into(), policy, renames: Vec::new() };
    check(
        &mut world(&CatalogueDraft { programs: vec![program], ..reviews() }),
        "ask A create                -> new
         ask A promote Spend         -> refused tier_none
         buy A 200                   -> white at 200
         ask A demote Spend          -> refused tier_lowest
         ask A promote Spend         -> black at 200 Promoted
         ask A promote Spend dry     -> would: red at 200 Promoted
         ask A promote Spend         -> red at 200 Promoted
         ask A promote Spend         -> refused tier_highest
         buy A 900                   -> red at 1100
         ask A demote Spend          -> black at 1100 Demoted
         ask A demote Spend          -> white at 1100 Demoted
         buy A 100                   -> white at 1200
         buy A 800                   -> red at 2000
         ask A promote spend         -> refused tier_program_not_found",
    );
}

/// In a Journey a step by hand leaves nothing counted: the next purchase is number 1 of the level.
#[test]
fn journey_levels_by_hand() {
    check(
        &mut world(&CatalogueDraft { programs: kezbek().programs, ..reviews() }),
        "buy A 100               -> new, BRONZE 1 FIRST
         buy A 100               -> BRONZE 2
         ask A promote Journey   -> SILVER 0 Promoted
         buy A 100               -> SILVER 1
         ask A promote Journey   -> GOLD 0 Promoted
         ask A promote Journey   -> refused tier_highest
         ask A demote Journey    -> SILVER 0 Demoted
         ask A demote Journey    -> BRONZE 0 Demoted
         ask A demote Journey    -> refused tier_lowest
         after 31d
         buy A 100               -> BRONZE 1 DOWNGRADE",
    );
}

/// Reviews until a customer has so many points.
fn earn(world: &mut World, name: &str, points: usize) {
    (0..points / 5).for_each(|_| drop(world.ask(&[name, "did", "review"])));
}

#[test]
fn points_are_spent_on_offers() {
    let mut world = world(&reviews());
    check(&mut world, "ask A create -> new");
    earn(&mut world, "A", 40);
    check(
        &mut world,
        "ask A redeem Coffee 1 dry -> would: Coffee 1, points 33
         ask A redeem Coffee 2     -> Coffee 2, points 26
         ask A redeem Cash 2       -> Cash 2, balance 380, points 16
         ask A redeem Coffee 2     -> refused stock_exhausted
         ask A redeem Coffee 1     -> Coffee 1, points 9
         ask A redeem Coffee 1     -> refused stock_exhausted
         ask A redeem Cash 2       -> refused points_too_few
         ask A redeem Cash 1 key=k -> Cash 1, balance 430, points 4
         ask A redeem Cash 1 key=k -> known 17
         ask A redeem Cash 1       -> refused points_too_few
         ask A redeem Tea 1        -> refused offer_not_found
         ask A redeem Cash 0       -> refused quantity_out_of_range
         ask A redeem Cash -1      -> refused quantity_out_of_range
         ask A redeem Cash 1000001 -> refused quantity_out_of_range
         ask A redeem Cash 9223372036854775807 -> refused quantity_out_of_range
         ask A redeem Cash 1000000 -> refused points_too_few
         ask B redeem Cash 1       -> refused customer_not_found",
    );
    let sums = world.ledger.totals.tenants().next().unwrap().1;
    let account = |wanted: HouseAccount| {
        let found = sums.house.iter().find(|((_, account), _)| *account == wanted);
        found.map_or(0, |(_, sum)| sum.net())
    };
    assert_eq!(account(HouseAccount::PointsIssued), 40);
    assert_eq!(account(HouseAccount::PointsRedeemed), -36);
    assert_eq!(account(HouseAccount::RedemptionExpense), 150);
    assert!(sums.trial_balance().values().all(|sum| *sum == 0));
}

/// Whoever has an offer's whole price and finds the wallet frozen keeps the points.
#[test]
fn a_frozen_wallet_takes_no_money_for_points() {
    let mut world = world(&reviews());
    check(&mut world, "ask A create -> new");
    earn(&mut world, "A", 10);
    check(
        &mut world,
        "ask A freeze 0        -> frozen
         ask A redeem Cash 1   -> refused wallet_frozen
         ask A redeem Coffee 1 -> Coffee 1, points 3
         ask A thaw 0          -> active
         ask A give 0 9007199254740900 -> balance 9007199254740970
         ask A redeem Cash 1   -> refused points_too_few",
    );
}

#[test]
fn an_offer_has_its_time_and_can_be_switched_off() {
    let mut draft = reviews();
    let at = |text: &str| Some(jakarta(text));
    draft.earning.offers[0].starts_at = at("2024-01-15 09:00:01");
    draft.earning.offers[0].ends_at = at("2024-01-15 10:00:01");
    let mut world = world(&draft);
    check(&mut world, "ask A create -> new");
    earn(&mut world, "A", 30);
    check(
        &mut world,
        "ask A redeem Coffee 1 -> refused offer_closed
         at 2024-01-15 09:00:01
         ask A redeem Coffee 1 -> Coffee 1, points 23
         at 2024-01-15 10:00:01
         ask A redeem Coffee 1 -> Coffee 1, points 16
         at 2024-01-15 10:00:02
         ask A redeem Coffee 1 -> refused offer_closed",
    );
    draft.earning.offers[0].ends_at = None;
    draft.earning.offers[0].is_active = false;
    world.apply(&draft, None).unwrap().unwrap();
    check(&mut world, "ask A redeem Coffee 1 -> refused offer_closed");
    // The stock of an offer is what was ever redeemed of it, whatever its version.
    draft.earning.offers[0].is_active = true;
    draft.earning.offers[0].stock = Some(2);
    world.apply(&draft, None).unwrap().unwrap();
    check(&mut world, "ask A redeem Coffee 1 -> refused stock_exhausted");
    draft.earning.offers[0].stock = Some(3);
    world.apply(&draft, None).unwrap().unwrap();
    check(&mut world, "ask A redeem Coffee 1 -> Coffee 1, points 9");
}

/// Only settled units exhaust a stock; what is reserved may come back.
#[test]
fn the_last_unit_of_a_stock_is_waited_for() {
    let mut world = world(&reviews());
    check(&mut world, "ask A create -> new");
    earn(&mut world, "A", 40);
    let offer = world.ledger.desk.catalogues().next().unwrap().offer_by_name("Coffee").unwrap().id;
    let key = world.operation(&["A", "redeem", "Coffee", "2", "key=a"]).key;
    let units = Some((kembali_core::TenantId(1), offer, 2));
    world.open.begin_operation(key, units);
    check(
        &mut world,
        "ask A redeem Coffee 2     -> wait
         ask A redeem Coffee 2 dry -> would: Coffee 2, points 26
         ask A redeem Coffee 4     -> wait
         ask A redeem Coffee 1     -> Coffee 1, points 33
         ask A redeem Coffee 1     -> wait",
    );
    world.open.end_operation(key, units);
    check(
        &mut world,
        "ask A redeem Coffee 3 -> refused stock_exhausted
         ask A redeem Coffee 2 -> Coffee 2, points 19",
    );
    assert_eq!(world.open.offer(kembali_core::TenantId(1), offer), 0);
}

#[test]
fn offers_that_cannot_be_are_refused() {
    type Spoil = fn(&mut OfferDraft);
    let cases: [(Spoil, &str, &str); 5] = [
        (|own| own.stock = Some(1 << 53), "stock", "must be at most 9007199254740991"),
        (|own| own.points = amount(0), "points", "must be at least 1"),
        (|own| own.gives = cash(0), "wallet_credit", "must be at least 1"),
        (|own| own.kind = "miles".into(), "kind", "names nothing that is there: miles"),
        (
            |own| {
                own.starts_at = Some(jakarta("2024-01-15 09:00:01"));
                own.ends_at = Some(jakarta("2024-01-15 09:00:00"));
            },
            "ends_at",
            "lies before starts_at",
        ),
    ];
    for (spoil, member, wanted) in cases {
        let mut draft = reviews();
        spoil(&mut draft.earning.offers[1]);
        match World::default().apply(&draft, None) {
            Err(CatalogueRejection::Invalid { place, problem }) => {
                assert_eq!((place, problem.as_str()), (format!("offers[Cash].{member}"), wanted));
            }
            other => panic!("{other:?}"),
        }
    }
}
