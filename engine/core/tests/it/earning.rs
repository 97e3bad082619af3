//! Threshold tiers, cashback rules and campaigns: the seeds' own vectors, then the edges that the seeds got wrong.

use kembali_core::catalogue::{AtMaximum, FulfillmentKind};
use kembali_core::draft::{
    CampaignDraft, CashbackDraft, CatalogueDraft, EarningDraft, ExternalIdDraft, FulfillmentDraft, Identified,
    PolicyDraft, ProgramDraft, RewardDraft, RewardPaysDraft,
};
use kembali_core::{AMOUNT_MAX, CatalogueRejection, Rate, TenantId};

use crate::support::{World, amount, check, jakarta, kezbek, ladder};

/// KezBek's tenant without its programme and its promo.
fn bare() -> CatalogueDraft {
    CatalogueDraft { promos: Vec::new(), programs: Vec::new(), ..kezbek() }
}

fn world(draft: &CatalogueDraft) -> World {
    World::new(draft, jakarta("2024-01-15 09:00:00"))
}

fn threshold(levels: &[(&str, i64)]) -> ProgramDraft {
    let level = |(name, min): &(&str, i64)| ((*name).to_string(), amount(*min));
    ProgramDraft {
        name: "Spend".into(),
        policy: PolicyDraft::Threshold(levels.iter().map(level).collect()),
        renames: Vec::new(),
    }
}

fn spending(levels: &[(&str, i64)]) -> World {
    world(&CatalogueDraft { programs: vec![threshold(levels)], ..bare() })
}

fn rule(name: &str, rate: &str, products: &[&str]) -> CashbackDraft {
    CashbackDraft {
        description: None,
        name: name.into(),
        rate: Rate::parse(rate).unwrap(),
        products: products.iter().map(|product| (*product).to_string()).collect(),
        partner: None,
        is_active: true,
        ends_at: None,
        pays: "points".into(),
        life_days: None,
        pending_days: None,
    }
}

fn buy(name: &str, product: Option<&str>, min: i64, is_cumulative: bool) -> FulfillmentDraft {
    let kind = FulfillmentKind::Buy { product: product.map(str::to_string), amount_min: amount(min), is_cumulative };
    FulfillmentDraft { name: name.into(), kind }
}

fn campaign(name: &str, fulfillments: &[&str]) -> CampaignDraft {
    CampaignDraft {
        name: name.into(),
        fulfillments: fulfillments.iter().map(|own| (*own).to_string()).collect(),
        rewards: vec!["Hundred".into()],
        starts_at: None,
        ends_at: None,
        completions_max: None,
        budget: None,
    }
}

fn hundred() -> RewardDraft {
    RewardDraft {
        name: "Hundred".into(),
        pays: RewardPaysDraft::Points {
            kind: "points".into(),
            points: amount(100),
            life_days: None,
            pending_days: None,
        },
    }
}

fn earning(draft: EarningDraft) -> CatalogueDraft {
    CatalogueDraft { earning: EarningDraft { point_kinds: vec!["points".into()], ..draft }, ..bare() }
}

fn cashback(rules: Vec<CashbackDraft>) -> CatalogueDraft {
    earning(EarningDraft { cashback_rules: rules, ..EarningDraft::default() })
}

fn campaigns(fulfillments: Vec<FulfillmentDraft>, campaigns: Vec<CampaignDraft>) -> CatalogueDraft {
    earning(EarningDraft { fulfillments, rewards: vec![hundred()], campaigns, ..EarningDraft::default() })
}

/// onetap's own tests; the customer who was placed by hand is made by changing the bounds.
#[test]
fn onetap_vectors() {
    let mut world = spending(&[("Bronze", 50), ("Silver", 1_000), ("Gold", 1_500)]);
    check(
        &mut world,
        "buy A 40  -> new, Bronze at 40
         buy A 10  -> Bronze at 50
         buy A 850 -> Bronze at 900
         buy A 150 -> Silver at 1050
         buy B 950 -> new, Bronze at 950
         buy B 50  -> Silver at 1000",
    );
    let mut world = spending(&[("Bronze", 50), ("Green", 500), ("Silver", 1_000), ("Gold", 1_500)]);
    check(
        &mut world,
        "buy A 50   -> new, Bronze at 50
         buy A 1050 -> Silver at 1100
         buy B 9999 -> new, Gold at 9999",
    );
    let mut world = spending(&[("white", 100), ("black", 1_000), ("red", 2_000)]);
    check(&mut world, "buy A 200 -> new, white at 200");
}

#[test]
fn nobody_is_moved_down_by_buying() {
    let levels = [("Bronze", 0), ("Silver", 1_000), ("Gold", 2_000)];
    let mut world = spending(&levels);
    check(&mut world, "buy A 1500 -> new, Silver at 1500");
    // The bounds are raised: the customer keeps the level, and moves on when the points cross the next one.
    let raised = threshold(&[("Bronze", 0), ("Silver", 1_600), ("Gold", 2_000)]);
    world.apply(&CatalogueDraft { programs: vec![raised], ..bare() }, None).unwrap().unwrap();
    check(
        &mut world,
        "buy A 10  -> Silver at 1510
         buy A 200 -> Silver at 1710
         buy A 290 -> Gold at 2000",
    );
}

#[test]
fn spending_beyond_the_largest_amount_is_refused_and_leaves_nothing() {
    let mut world = spending(&[("Bronze", 0)]);
    check(&mut world, &format!("buy A {AMOUNT_MAX} -> new, Bronze at {AMOUNT_MAX}"));
    let before = world.canonical();
    check(&mut world, "buy A 1 -> refused points_too_large");
    assert_eq!(world.canonical(), before);
}

/// onetap: 0.1 on product P, amount 50; a rule that does not fit never keeps the next one from paying.
#[test]
fn onetap_cashback_vectors() {
    let mut world = world(&cashback(vec![rule("Q", "0.5", &["Q"]), rule("P", "0.1", &["P"])]));
    check(
        &mut world,
        "buy A 50 product=P -> new, P 5, points 5
         buy A 50 product=Q -> Q 25, points 30
         buy A 50 product=R
         buy A 50",
    );
    let stacked = cashback(vec![rule("P", "0.1", &["P"]), rule("All", "0.01", &[])]);
    let mut world = self::world(&stacked);
    check(&mut world, "buy A 50 product=P -> new, P 5, All 1, points 5, points 6");
}

/// The sum is rounded, not the lines: 333 and 333 at 2 % are 13.32, and half up.
#[test]
fn r03_the_sum_of_the_lines_is_rounded_once() {
    let mut world = world(&cashback(vec![rule("Dairy", "0.02", &["MILK", "CHEESE"])]));
    check(
        &mut world,
        "buy A 666 lines=MILK:1:333+MILK:1:333            -> new, Dairy 13, points 13
         buy A 666 lines=MILK:1:333+CHEESE:1:333          -> Dairy 13, points 26
         buy A 25  lines=MILK:1:25                        -> Dairy 1, points 27
         buy A 24  lines=MILK:1:24
         buy A 999 lines=MILK:0:333+BREAD:1:666+CHEESE:1:0 -> Dairy 7, points 34",
    );
}

#[test]
fn a_rule_pays_while_it_is_active_until_its_last_instant_and_for_its_partner() {
    let mut ended = rule("Ended", "0.1", &[]);
    ended.ends_at = Some(jakarta("2024-01-15 09:00:00"));
    let mut off = rule("Off", "0.1", &[]);
    off.is_active = false;
    let mut own = rule("Own", "0.1", &[]);
    own.partner = Some("tokopedia".into());
    let mut world = world(&cashback(vec![ended, off, own]));
    check(
        &mut world,
        "buy A 100      -> new, Ended 10, points 10
         buy A 100 by=2 -> Ended 10, Own 10, points 20, points 30
         at 2024-01-15 09:00:01
         buy A 100",
    );
}

/// Loyaltea's README: 101 on bread, then its edges.
#[test]
fn loyaltea_vectors() {
    let draft = campaigns(vec![buy("Lucky", Some("bread"), 100, false)], vec![campaign("Lucky Guys", &["Lucky"])]);
    let mut world = world(&draft);
    check(
        &mut world,
        "buy A 101 product=bread -> new, Lucky Guys/Lucky met 101, Lucky Guys done 1, reward Hundred, points 100
         buy A 100 product=bread -> Lucky Guys/Lucky met 100, Lucky Guys done 2, reward Hundred, points 200
         buy A 99  product=bread
         buy A 500 product=cake",
    );
}

#[test]
fn a_campaign_of_two_is_completed_by_both_and_not_by_one_twice() {
    let both = [buy("Pizza", Some("PIZZA"), 90, false), buy("Soda", Some("SODA"), 60, false)];
    let mut world = world(&campaigns(both.to_vec(), vec![campaign("Movie", &["Pizza", "Soda"])]));
    check(
        &mut world,
        "buy A 95 product=PIZZA -> new, Movie/Pizza met 95
         buy A 95 product=PIZZA
         buy B 60 product=SODA  -> new, Movie/Soda met 60
         buy A 60 product=SODA  -> Movie/Soda met 60, Movie done 1, reward Hundred, points 100
         buy A 60 product=SODA  -> Movie/Soda met 60
         buy A 200 lines=PIZZA:1:100+SODA:1:100 -> Movie/Pizza met 100, Movie done 2, reward Hundred, points 200
         buy C 400 lines=PIZZA:1:200+SODA:1:200 -> new, Movie/Pizza met 200, Movie/Soda met 200, Movie done 1, reward Hundred, points 100",
    );
}

#[test]
fn a_shared_fulfillment_advances_every_campaign_that_asks_for_it() {
    let mut limited = campaign("Once", &["Any"]);
    limited.completions_max = Some(1);
    let mut over = campaign("Over", &["Any"]);
    over.ends_at = Some(jakarta("2024-01-15 08:59:59"));
    let mut later = campaign("Later", &["Any"]);
    later.starts_at = Some(jakarta("2024-01-15 09:00:01"));
    let always = campaign("Always", &["Any"]);
    let draft = campaigns(vec![buy("Any", None, 0, false)], vec![limited, over, later, always]);
    let mut world = world(&draft);
    check(
        &mut world,
        "buy A 1 -> new, Once/Any met 1, Once done 1, reward Hundred, Always/Any met 1, Always done 1, reward Hundred, points 100, points 200
         buy A 1 -> Always/Any met 1, Always done 2, reward Hundred, points 300",
    );
    assert_eq!(world.ledger.totals.tenants().next().unwrap().1.rewarded_customers, 1);
}

/// A budget is of all customers together: whoever comes too late moves nothing, and whoever does nothing for it uses none.
#[test]
fn a_budget_is_used_up_by_completions_and_then_nothing_moves() {
    let limited = CampaignDraft { budget: Some(2), ..campaign("Two", &["Cake", "Soda"]) };
    let both = vec![buy("Cake", Some("CAKE"), 0, false), buy("Soda", Some("SODA"), 60, false)];
    let mut world = world(&campaigns(both, vec![limited.clone()]));
    let tenant = kembali_core::TenantId(1);
    let id = world.ledger.desk.catalogue(tenant).unwrap().campaigns[0].id;
    check(
        &mut world,
        "buy A 9 product=CAKE -> new, Two/Cake met 9
         buy B 9 product=CAKE -> new, Two/Cake met 9
         buy C 9 product=CAKE -> new, Two/Cake met 9
         buy A 60 product=SODA -> Two/Soda met 60, Two done 1, reward Hundred, points 100",
    );
    // The last one is being bought: whoever might complete it waits, and nobody else.
    world.open.begin_campaigns(tenant, &[id]);
    check(
        &mut world,
        "buy B 60 product=SODA     -> wait
         buy D 9 product=CAKE      -> wait
         buy B 60 product=SODA dry -> would: Two/Soda met 60, Two done 1, reward Hundred, points 100
         buy B 59 product=SODA
         buy D 9 product=BREAD     -> new",
    );
    world.open.end_campaigns(tenant, &[id]);
    check(
        &mut world,
        "buy B 60 product=SODA -> Two/Soda met 60, Two done 1, reward Hundred, points 100
         buy C 60 product=SODA
         buy D 9 product=CAKE",
    );
    let more = |budget| {
        campaigns(
            vec![buy("Cake", Some("CAKE"), 0, false), buy("Soda", Some("SODA"), 60, false)],
            vec![CampaignDraft { budget, ..limited.clone() }],
        )
    };
    world.apply(&more(Some(1)), None).unwrap();
    check(&mut world, "buy C 60 product=SODA");
    world.apply(&more(Some(3)), None).unwrap();
    check(
        &mut world,
        "buy C 60 product=SODA -> Two/Soda met 60, Two done 1, reward Hundred, points 100
         buy A 9 product=CAKE",
    );
    world.apply(&more(None), None).unwrap();
    check(&mut world, "buy A 9 product=CAKE -> Two/Cake met 9");
    assert_eq!(world.ledger.desk.completions(tenant, id), 3);
    assert!(
        matches!(world.apply(&more(Some(0)), None), Err(CatalogueRejection::Invalid { place, .. }) if place == "campaigns[Two].budget")
    );
}

#[test]
fn sums_and_tags_count_over_purchases_and_nothing_is_carried_over() {
    let tag = FulfillmentDraft { name: "App".into(), kind: FulfillmentKind::Tag { tag: "app".into(), count: 2 } };
    let sum = buy("Sum", Some("MILK"), 100, true);
    let mut world = world(&campaigns(vec![tag, sum], vec![campaign("Both", &["App", "Sum"])]));
    check(
        &mut world,
        "buy A 60 product=MILK tags=app   -> new, Both/App at 1, Both/Sum at 60
         buy A 90 product=MILK            -> Both/Sum met 150
         buy A 70 product=MILK tags=web
         buy A 10 tags=till+app           -> Both/App met 2, Both done 1, reward Hundred, points 100
         buy A 10 product=MILK tags=app   -> Both/App at 1, Both/Sum at 10",
    );
}

/// A line that is there with amount 0 meets a minimum of 0; a product that is not there meets none.
#[test]
fn an_amount_of_nothing_meets_a_minimum_of_nothing() {
    let draft = campaigns(vec![buy("Onions", Some("ONIONS"), 0, false)], vec![campaign("Roast", &["Onions"])]);
    let mut world = world(&draft);
    check(
        &mut world,
        "buy A 5 lines=BEEF:1:5             -> new
         buy A 5 lines=BEEF:1:5+ONIONS:1:0  -> Roast/Onions met 0, Roast done 1, reward Hundred, points 100",
    );
}

#[test]
fn a_reward_of_money_is_one_entry_with_the_rest_and_balances() {
    let mut draft = campaigns(vec![buy("Any", None, 0, false)], vec![campaign("Gift", &["Any"])]);
    draft.earning.rewards.push(RewardDraft { name: "Cash".into(), pays: RewardPaysDraft::WalletCredit(amount(5_000)) });
    draft.earning.campaigns[0].rewards.push("Cash".into());
    draft.programs = kezbek().programs;
    let mut world = world(&draft);
    check(
        &mut world,
        "buy A 1 -> new, BRONZE 1 FIRST, Gift/Any met 1, Gift done 1, reward Hundred, reward Cash, balance 5000, points 100",
    );
    let totals = world.ledger.totals.tenants().next().unwrap().1;
    assert!(totals.trial_balance().len() == 2 && totals.trial_balance().values().all(|sum| *sum == 0));
}

/// KezBek's cap pays nothing; a tenant may let the cycle start again.
#[test]
fn a_full_top_level_may_restart_its_cycle() {
    let mut draft = kezbek();
    ladder(&mut draft).at_maximum = AtMaximum::RestartCycle;
    let mut world = world(&draft);
    check(
        &mut world,
        "daily A 21 -> GOLD 7, milestone 38000, balance 243500
         after 1d
         buy A 1000 -> GOLD 1 RESTART
         buy A 1000 -> GOLD 2
         buy A 1000 -> GOLD 3, milestone 18000, balance 261500",
    );
}

#[test]
fn what_contradicts_itself_is_refused() {
    let refuse = |draft: &CatalogueDraft| match World::default().apply(draft, None) {
        Err(CatalogueRejection::Invalid { place, problem }) => format!("{place}: {problem}"),
        other => panic!("{other:?}"),
    };
    let spend = |levels: &[(&str, i64)]| refuse(&CatalogueDraft { programs: vec![threshold(levels)], ..bare() });
    let never = "spent_min must be above that of the level below: no customer can ever stand there";
    assert_eq!(spend(&[]), "tier_programs[Spend]: needs a name and at least one level");
    assert_eq!(spend(&[("A", 5), ("B", 5)]), format!("tier_programs[Spend].levels[B]: {never}"));
    assert_eq!(spend(&[("A", 5), ("a", 6)]), "tier_programs[Spend].levels[a]: stands twice");
    let mut lost = rule("R", "0.1", &[]);
    lost.pays = "miles".into();
    let mut far = rule("R", "0.1", &[]);
    far.partner = Some("nobody".into());
    for (rule, said) in [
        (lost, "cashback_rules[R].pays: names nothing that is there: miles"),
        (far, "cashback_rules[R].partner: names no partner: nobody"),
        (rule("R", "0.1", &["P", "P"]), "cashback_rules[R].products: names a product twice: P"),
        (rule("R", "0.1", &[""]), "cashback_rules[R].products: a product must have 1 to 256 bytes: "),
        (rule("", "0.1", &[]), "cashback_rules[]: needs a name"),
    ] {
        assert_eq!(refuse(&cashback(vec![rule])), said);
    }
    let any = || vec![buy("Any", None, 0, false)];
    let needs = "campaigns[C].fulfillments: needs a fulfillment: it could never be completed";
    assert_eq!(refuse(&campaigns(any(), vec![campaign("C", &[])])), needs);
    let mut unpaid = campaigns(any(), vec![campaign("C", &["Any"])]);
    unpaid.earning.campaigns[0].rewards.clear();
    assert_eq!(refuse(&unpaid), "campaigns[C].rewards: needs a reward: it would pay nothing");
    let unknown = refuse(&campaigns(any(), vec![campaign("C", &["None"])]));
    assert_eq!(unknown, "campaigns[C].fulfillments: names nothing that is there: None");
    let twice = refuse(&campaigns(any(), vec![campaign("C", &["Any", "Any"])]));
    assert_eq!(twice, "campaigns[C].fulfillments: names one twice: Any");
    let empty = refuse(&campaigns(vec![buy("Any", None, 0, true)], Vec::new()));
    assert_eq!(empty, "fulfillments[Any]: a sum of at least 0 is there before anything is bought");
    let mut free = campaigns(any(), Vec::new());
    free.earning.rewards[0].pays = RewardPaysDraft::WalletCredit(amount(0));
    assert_eq!(refuse(&free), "rewards[Hundred]: pays nothing");
    for rate in ["0", "1", "0.0", "1.5", "0.123456789", ".5", "0.5e1", "+0.5", "0,5", "0."] {
        assert_eq!(Rate::parse(rate), None, "{rate}");
    }
    assert_eq!(Rate::parse("0.02000000").unwrap().to_string(), "0.02");
}

#[test]
fn what_customers_hold_or_stand_in_cannot_be_removed() {
    let full = CatalogueDraft {
        programs: vec![threshold(&[("A", 0), ("B", 9)])],
        ..earning(EarningDraft { cashback_rules: vec![rule("R", "0.1", &[])], ..EarningDraft::default() })
    };
    let refused = |edit: fn(&mut CatalogueDraft)| {
        let mut world = world(&full);
        let mut draft = full.clone();
        edit(&mut draft);
        match world.apply(&draft, None) {
            Err(CatalogueRejection::Invalid { place, problem }) => format!("{place}: {problem}"),
            other => format!("{other:?}"),
        }
    };
    let kinds = refused(|draft| {
        draft.earning.cashback_rules.clear();
        draft.earning.point_kinds.clear();
    });
    assert_eq!(kinds, "point_kinds[points]: cannot be removed: customers hold points of it");
    let policy = refused(|draft| {
        draft.programs = kezbek().programs;
        draft.programs[0].name = "Spend".into();
        ladder(draft).levels = vec![crate::support::level("A 7"), crate::support::level("B 7")];
    });
    assert_eq!(policy, "tier_programs[Spend]: the policy cannot change: customers stand in it; add another programme");
    // A rule goes, and what it granted stays: its points name it for ever.
    let mut world = world(&full);
    check(&mut world, "buy A 100 -> new, B at 100, R 10, points 10");
    let mut draft = full.clone();
    draft.earning.cashback_rules.clear();
    world.apply(&draft, None).unwrap().unwrap();
    check(&mut world, "buy A 100 -> B at 200");
}

/// A rule that another system has an id of goes by that id: its name may change, and another rule may take the name.
#[test]
fn what_has_an_external_id_stays_itself_under_another_name() {
    let known = |of, name: &str, id: &str| ExternalIdDraft { of, name: name.into(), id: id.into() };
    let two = vec![buy("Bread", Some("bread"), 100, false), buy("Milk", Some("milk"), 100, false)];
    let mut draft = campaigns(two, vec![campaign("C", &["Bread", "Milk"])]);
    draft.earning.external_ids =
        vec![known(Identified::Fulfillment, "Bread", "f-1"), known(Identified::Reward, "Hundred", "f-1")];
    let mut world = world(&draft);
    let rules = |world: &World| world.ledger.desk.catalogue(TenantId(1)).expect("the rules").clone();
    let before = rules(&world);
    let bread = before.fulfillments[0].id;
    assert_eq!(before.external_id(bread), Some("f-1"));
    assert_eq!(before.external_id(before.fulfillments[1].id), None);
    assert_eq!(before.external_id(before.rewards[0].id), Some("f-1"), "an id is of its kind of rule");
    check(&mut world, "buy A 100 product=bread -> new, C/Bread met 100");

    // It is renamed, and another rule takes the name that it had: whoever met it, met it.
    draft.earning.fulfillments[0].name = "Loaf".into();
    draft.earning.fulfillments.push(buy("Bread", Some("roll"), 5, false));
    draft.earning.external_ids[0].name = "Loaf".into();
    draft.earning.campaigns[0].fulfillments[0] = "Loaf".into();
    world.apply(&draft, None).expect("it is possible").expect("it is a change");
    let after = rules(&world);
    let named = |name: &str| after.fulfillments.iter().find(|own| own.name == name).expect("it is there").id;
    assert_eq!((named("Loaf"), named("Milk")), (bread, before.fulfillments[1].id));
    assert!(before.next_rule <= named("Bread"), "it is a new rule");
    check(&mut world, "buy A 100 product=milk -> C/Milk met 100, C done 1, reward Hundred, points 100");
    // What nobody knows by an id goes by its name; and an id may be given up.
    draft.earning.external_ids.clear();
    world.apply(&draft, None).expect("it is possible").expect("it is a change");
    let last = rules(&world);
    assert_eq!((last.fulfillments.clone(), last.external_ids.len()), (after.fulfillments.clone(), 0));

    for (ids, problem) in [
        (vec![known(Identified::Reward, "Hundred", "")], "rewards[Hundred].external_id: must have 1 byte or more"),
        (
            vec![known(Identified::Fulfillment, "Loaf", "a"), known(Identified::Fulfillment, "Milk", "a")],
            "fulfillments[Milk].external_id: stands twice, here and of Loaf",
        ),
        (vec![known(Identified::Campaign, "None", "a")], "campaigns.external_id: names nothing that is there: None"),
        (
            vec![known(Identified::Campaign, "C", "a\nb")],
            "campaigns[C].external_id: a name has a control character: \"a\\nb\"",
        ),
    ] {
        draft.earning.external_ids = ids;
        let refused = match world.apply(&draft, None) {
            Err(CatalogueRejection::Invalid { place, problem }) => format!("{place}: {problem}"),
            other => format!("{other:?}"),
        };
        assert_eq!(refused, problem);
    }
}

/// A cashback rule too; and what is said of it is kept with it, and decides nothing.
#[test]
fn a_cashback_rule_is_renamed_and_described() {
    let mut draft = cashback(vec![rule("Dairy", "0.02", &[])]);
    draft.earning.cashback_rules[0].description = Some("2 % of milk\nand cheese".into());
    draft.earning.external_ids =
        vec![ExternalIdDraft { of: Identified::CashbackRule, name: "Dairy".into(), id: "c-1".into() }];
    let mut world = world(&draft);
    let rules = |world: &World| world.ledger.desk.catalogue(TenantId(1)).expect("the rules").clone();
    let before = rules(&world).cashback_rules[0].id;
    assert_eq!(rules(&world).description(before), Some("2 % of milk\nand cheese"));
    draft.earning.cashback_rules[0].name = "Milk".into();
    draft.earning.cashback_rules.push(rule("Dairy", "0.05", &["butter"]));
    draft.earning.external_ids[0].name = "Milk".into();
    world.apply(&draft, None).expect("it is possible").expect("it is a change");
    let after = rules(&world);
    let named = |name: &str| after.cashback_rules.iter().find(|own| own.name == name).expect("it is there").id;
    assert_eq!(named("Milk"), before);
    assert_eq!((after.description(before), after.description(named("Dairy"))), (Some("2 % of milk\nand cheese"), None));
    for wrong in ["", "a\tb", "x".repeat(1_025).as_str()] {
        draft.earning.cashback_rules[0].description = Some(wrong.into());
        let refused = world.apply(&draft, None);
        let is_place = |place: &str| place == "cashback_rules[Milk].description";
        assert!(matches!(&refused, Err(CatalogueRejection::Invalid { place, .. }) if is_place(place)), "{refused:?}");
    }
    // What is not said any more is no more said.
    draft.earning.cashback_rules[0].description = None;
    world.apply(&draft, None).expect("it is possible").expect("it is a change");
    assert!(rules(&world).descriptions.is_empty());
}
