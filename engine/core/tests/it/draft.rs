//! From an operator's wish to a version: what is refused, which ids are kept, what is no change.

use kembali_core::catalogue::{Catalogue, Currency, FulfillmentKind, TierPolicy, UnknownCustomer};
use kembali_core::draft::{
    CampaignDraft, CashbackDraft, CatalogueDraft, FulfillmentDraft, NAME_BYTES_MAX, PARTNERS_MAX, PartnerDraft,
    PromoDraft, RULES_MAX, RewardDraft, RewardPaysDraft,
};
use kembali_core::{CatalogueRejection, CurrencyCode, Instant, Percent, Rate, RuleId};

use crate::support::{World, amount, bands, check as run, jakarta, kezbek, ladder, level};

fn world() -> World {
    World::new(&kezbek(), jakarta("2023-01-02 00:00:00"))
}

fn refusal(world: &mut World, draft: &CatalogueDraft) -> String {
    let before = world.records.len();
    let refused = world.apply(draft, None);
    assert_eq!(world.records.len(), before, "a refused draft left a record");
    match refused.unwrap_err() {
        CatalogueRejection::Invalid { place, problem } => format!("{place}: {problem}"),
        CatalogueRejection::VersionConflict { expected, found } => format!("conflict {expected} {found}"),
    }
}

/// Edits KezBek's rules and checks with which words the first place that is wrong is refused: for a tenant that is
/// there already, where everything has its old id, and for a new one.
fn check(edit: impl FnOnce(&mut CatalogueDraft), wanted: &str) {
    let mut draft = kezbek();
    edit(&mut draft);
    assert_eq!(refusal(&mut world(), &draft), wanted, "as the next version");
    assert_eq!(refusal(&mut World::default(), &draft), wanted, "as the first version");
}

/// Checks a refusal that only a present version makes.
fn check_next(edit: impl FnOnce(&mut CatalogueDraft), wanted: &str) {
    let mut draft = kezbek();
    edit(&mut draft);
    assert_eq!(refusal(&mut world(), &draft), wanted);
    World::default().apply(&draft, None).unwrap().unwrap();
}

const SLUG: &str = "must be 1 to 64 of a-z, 0-9 and '-'";
const BAND: &str = "the quantity must be at least 1 and amount_end above amount_min";
const LEVEL: &str = "needs a name and a count_max of at least 1";
const MILESTONE: &str = "a milestone must lie at 1 to 7 and pay something";

#[test]
fn tenants_are_checked() {
    for slug in ["", "Kezbek", "kez_bek", "kez bek", "k\u{e9}zbek", "a".repeat(65).as_str()] {
        let draft = CatalogueDraft { slug: slug.into(), ..kezbek() };
        assert_eq!(refusal(&mut World::default(), &draft), format!("tenant.slug: {SLUG}"), "{slug:?}");
    }
    let longest = CatalogueDraft { slug: "z".repeat(64), ..kezbek() };
    World::default().apply(&longest, None).unwrap().unwrap();
    check(|draft| draft.currency.exponent = 5, "tenant.currency_exponent: must be 0 to 4");
}

#[test]
fn the_currency_is_fixed_by_the_first_entry() {
    let usd = |exponent| Currency { code: CurrencyCode::parse("USD").unwrap(), exponent };
    let mut world = world();
    run(&mut world, "buy A 1000 -> new, BRONZE 1 FIRST");
    world.apply(&CatalogueDraft { currency: usd(4), ..kezbek() }, None).unwrap().unwrap();
    run(&mut world, "buy A 100000 code=KEZBEK1000 -> promo 1750, BRONZE 2, balance 1750");
    let fixed = "tenant.currency: cannot change once a wallet was moved or an invoice opened";
    assert_eq!(refusal(&mut world, &kezbek()), fixed);
    assert_eq!(
        refusal(&mut world, &CatalogueDraft { currency: usd(2), ..kezbek() }),
        fixed,
        "the exponent is part of it"
    );
}

#[test]
fn partners_are_checked() {
    check(|draft| draft.partners[1].slug = "bukalapak".into(), "partners[bukalapak]: stands twice");
    let bad = PartnerDraft { slug: "Shop".into(), name: "Shop".into() };
    check(|draft| draft.partners.push(bad), "partners[Shop]: the slug must be 1 to 64 of a-z, 0-9 and '-'");
    check_next(|draft| drop(draft.partners.remove(0)), "partners[bukalapak]: cannot be removed: its purchases name it");
}

#[test]
fn promos_are_checked() {
    let place = "promos[KEZBEK1000]";
    check(|draft| draft.promos.push(draft.promos[0].clone()), &format!("{place}: stands twice"));
    check(|draft| draft.promos[0].code = String::new(), "promos[]: the code must have 1 to 64 bytes");
    check(
        |draft| draft.promos[0].ends_at = Instant(draft.promos[0].starts_at.0 - 1),
        &format!("{place}: the period ends before it starts"),
    );
    check(
        |draft| draft.promos[0].funded_by = Some("nobody".into()),
        &format!("{place}: funded_by names no partner: nobody"),
    );
    check(|draft| draft.promos[0].quota = 1 << 53, &format!("{place}.quota: must be at most 9007199254740991"));
    let mut most = kezbek();
    most.promos[0].quota = (1 << 53) - 1;
    World::default().apply(&most, None).unwrap().unwrap();
    check(|draft| draft.promos[0].bands[1].quantity = 0, &format!("{place}.bands[1]: {BAND}"));
    check(|draft| draft.promos[0].bands[2].amount_end = Some(amount(500_000)), &format!("{place}.bands[2]: {BAND}"));
    check(
        |draft| draft.promos[0].bands = bands("1 0 100 1\n2 0 - 1\n1+ 99 200 1"),
        &format!("{place}.bands[2]: overlaps with bands[0]: a purchase would meet both"),
    );
    check(
        |draft| draft.promos[0].bands = bands("2 0 - 1\n1+ 100 200 1"),
        &format!("{place}.bands[1]: overlaps with bands[0]: a purchase would meet both"),
    );
}

#[test]
fn names_have_no_control_characters() {
    type Set = fn(&mut CatalogueDraft, String);
    // In a place, control characters stand escaped.
    let names: [(&str, Set); 10] = [
        ("tenant.name", |draft, name| draft.name = name),
        ("partners[tokopedia].name", |draft, name| draft.partners[1].name = name),
        ("promos[NAME]", |draft, name| draft.promos[0].code = name),
        ("tier_programs[NAME]", |draft, name| draft.programs[0].name = name),
        ("tier_programs[Journey].levels[NAME]", |draft, name| ladder(draft).levels[2].name = name),
        ("point_kinds[NAME]", |draft, name| draft.earning.point_kinds.push(name)),
        ("cashback_rules[NAME]", |draft, name| {
            let rate = Rate::parse("0.01").unwrap();
            draft.earning.cashback_rules.push(CashbackDraft {
                description: None,
                name,
                rate,
                products: Vec::new(),
                partner: None,
                is_active: true,
                ends_at: None,
                pays: String::new(),
                life_days: None,
                pending_days: None,
            });
        }),
        ("fulfillments[NAME]", |draft, name| {
            let kind = FulfillmentKind::Tag { tag: "t".into(), count: 1 };
            draft.earning.fulfillments.push(FulfillmentDraft { name, kind });
        }),
        ("rewards[NAME]", |draft, name| {
            draft.earning.rewards.push(RewardDraft { name, pays: RewardPaysDraft::WalletCredit(amount(1)) });
        }),
        ("campaigns[NAME]", |draft, name| {
            draft.earning.campaigns.push(CampaignDraft {
                name,
                fulfillments: Vec::new(),
                rewards: Vec::new(),
                starts_at: None,
                ends_at: None,
                completions_max: None,
                budget: None,
            });
        }),
    ];
    for (place, set) in names {
        for bad in ["a\nb", "\0", "\u{1b}[2J", "\u{7f}", "\u{85}"] {
            let mut draft = kezbek();
            set(&mut draft, bad.into());
            let place = place.replace("NAME", &bad.escape_debug().to_string());
            let wanted = format!("{place}: a name has a control character: {bad:?}");
            assert_eq!(refusal(&mut World::default(), &draft), wanted);
        }
    }
}

/// Everything has a limit, and what lies at the limit is fine.
#[test]
fn sizes_are_bounded() {
    type Set = fn(&mut CatalogueDraft, String);
    let names: [(&str, Set); 6] = [
        ("tenant.name", |draft, name| draft.name = name),
        ("tenant.timezone", |draft, name| draft.timezone = name),
        ("partners[tokopedia].name", |draft, name| draft.partners[1].name = name),
        ("promos[NAME]", |draft, name| draft.promos[0].code = name),
        ("tier_programs[NAME]", |draft, name| draft.programs[0].name = name),
        ("tier_programs[Journey].levels[NAME]", |draft, name| ladder(draft).levels[2].name = name),
    ];
    for (place, set) in names {
        let mut draft = kezbek();
        set(&mut draft, "n".repeat(NAME_BYTES_MAX));
        World::default().apply(&draft, None).unwrap().unwrap();
        let long = "n".repeat(NAME_BYTES_MAX + 1);
        set(&mut draft, long.clone());
        let place = place.replace("NAME", &long);
        let wanted = format!("{place}: a name is longer than {NAME_BYTES_MAX} bytes: {long}");
        assert_eq!(refusal(&mut World::default(), &draft), wanted);
    }
    let partner = |index: usize| PartnerDraft { slug: format!("p{index}"), name: String::new() };
    let mut draft = CatalogueDraft { partners: (0..PARTNERS_MAX).map(partner).collect(), ..kezbek() };
    World::default().apply(&draft, None).unwrap().unwrap();
    draft.partners.push(partner(PARTNERS_MAX));
    assert_eq!(refusal(&mut World::default(), &draft), format!("partners: are more than {PARTNERS_MAX}"));

    // KezBek: a promo of seven bands, a programme of three levels with three milestones each.
    let own = 1 + 7 + 1 + 3 * (1 + 3);
    let promo = |index: usize| PromoDraft { code: format!("{index}"), bands: Vec::new(), ..kezbek().promos[0].clone() };
    let mut draft = kezbek();
    draft.promos.extend((own..RULES_MAX).map(promo));
    World::default().apply(&draft, None).unwrap().unwrap();
    draft.promos.push(promo(RULES_MAX));
    let wanted = format!("tenant: has more than {RULES_MAX} rules in all");
    assert_eq!(refusal(&mut World::default(), &draft), wanted);
}

#[test]
fn a_period_of_one_instant_and_bands_that_touch_are_fine() {
    let mut draft = kezbek();
    draft.promos[0].ends_at = draft.promos[0].starts_at;
    draft.promos[0].bands = bands("1 0 1 1\n1 1 2 0\n1 2 - 100\n2+ 0 - 1");
    World::default().apply(&draft, None).unwrap().unwrap();
}

#[test]
fn programmes_are_checked() {
    let place = "tier_programs[Journey]";
    let needs = "needs a name and at least one level";
    let twin = |draft: &mut CatalogueDraft| {
        let mut twin = draft.programs[0].clone();
        twin.name = "JOURNEY".into();
        draft.programs.push(twin);
    };
    check(twin, "tier_programs[journey]: stands twice");
    check_next(
        |draft| draft.programs[0].name = "Other".into(),
        &format!("{place}: cannot be removed: customers stand in it"),
    );
    check_next(|draft| draft.programs.clear(), &format!("{place}: cannot be removed: customers stand in it"));
    check(|draft| draft.programs.push(nameless(draft)), &format!("tier_programs[]: {needs}"));
    check(|draft| ladder(draft).levels.clear(), &format!("{place}: {needs}"));
    check(
        |draft| ladder(draft).reset_after_days = 29,
        &format!("{place}: reset_after_days must not be below downgrade_after_days"),
    );
}

fn nameless(draft: &CatalogueDraft) -> kembali_core::draft::ProgramDraft {
    kembali_core::draft::ProgramDraft { name: String::new(), ..draft.programs[0].clone() }
}

#[test]
fn levels_and_milestones_are_checked() {
    let place = "tier_programs[Journey].levels";
    check(|draft| ladder(draft).levels.push(level("gold 7")), &format!("{place}[gold]: stands twice"));
    // A level may go: its customers are placed anew.
    let mut world = world();
    let mut without = kezbek();
    ladder(&mut without).levels.remove(1);
    assert!(world.apply(&without, None).unwrap().is_some());
    check(
        |draft| ladder(draft).levels[0].next = Some("silver".into()),
        &format!("{place}[BRONZE]: names no level: silver"),
    );
    check(
        |draft| ladder(draft).levels[2].previous = Some("TIN".into()),
        &format!("{place}[GOLD]: names no level: TIN"),
    );
    check(|draft| ladder(draft).levels.push(level_named("")), &format!("{place}[]: {LEVEL}"));
    check(|draft| ladder(draft).levels[1].count_max = 0, &format!("{place}[SILVER]: {LEVEL}"));
    for milestone in [(0, 1), (8, 1), (7, 0)] {
        let milestone = (milestone.0, amount(milestone.1));
        check(|draft| ladder(draft).levels[1].milestones.push(milestone), &format!("{place}[SILVER]: {MILESTONE}"));
    }
    let twin = (5, amount(1));
    check(|draft| ladder(draft).levels[1].milestones.push(twin), &format!("{place}[SILVER]: has two milestones at 5"));
}

fn level_named(name: &str) -> kembali_core::draft::LevelDraft {
    kembali_core::draft::LevelDraft { name: name.into(), ..level("X 1") }
}

#[test]
fn versions_are_compared_with_what_the_caller_saw() {
    let mut world = world();
    let conflict = |expected, found| Err(CatalogueRejection::VersionConflict { expected, found });
    let other = CatalogueDraft { name: "Other".into(), ..kezbek() };
    assert_eq!(world.apply(&other, Some(0)), conflict(0, 1));
    assert_eq!(world.apply(&other, Some(2)), conflict(2, 1));
    assert_eq!(world.apply(&other, Some(1)).unwrap().unwrap().version, 2);
    let new = CatalogueDraft { slug: "new".into(), ..kezbek() };
    assert_eq!(world.apply(&new, Some(1)), conflict(1, 0), "a tenant that is not there has version 0");
    assert_eq!(world.apply(&new, Some(0)).unwrap().unwrap().version, 1);
    // What was seen is compared first, even when the draft changes nothing or is wrong.
    assert_eq!(world.apply(&other, Some(1)), conflict(1, 2));
    assert_eq!(world.apply(&CatalogueDraft { programs: Vec::new(), ..kezbek() }, Some(9)), conflict(9, 2));
}

#[test]
fn the_same_rules_again_are_no_change() {
    let mut world = world();
    let before = world.records.len();
    assert_eq!(world.apply(&kezbek(), None), Ok(None));
    assert_eq!(world.apply(&kezbek(), Some(1)), Ok(None));
    let mut shuffled = kezbek();
    shuffled.partners.reverse();
    ladder(&mut shuffled).levels[0].milestones.reverse();
    assert_eq!(world.apply(&shuffled, None), Ok(None), "the order of partners and milestones says nothing");
    shuffled.unknown_customer = UnknownCustomer::MustExist;
    assert_eq!(world.apply(&shuffled, None).unwrap().unwrap().version, 2);
    assert_eq!(world.records.len(), before + 1);
}

/// Every rule with its id: what a version numbers.
fn ids(rules: &Catalogue) -> Vec<(String, u32)> {
    let mut ids = Vec::new();
    ids.extend(rules.partners.iter().map(|partner| (format!("partner {}", partner.slug), partner.id.0)));
    for promo in &rules.promos {
        ids.push((promo.code.clone(), promo.id.0));
        ids.extend(
            promo
                .bands
                .iter()
                .map(|band| (format!("{} {} {}", promo.code, band.quantity, band.amount_min.minor_units()), band.id.0)),
        );
    }
    for program in &rules.programs {
        ids.push((program.name.clone(), program.id.0));
        let TierPolicy::Journey(journey) = &program.policy else { panic!("KezBek has Journeys alone") };
        for level in &journey.levels {
            ids.push((format!("{} {}", program.name, level.name), level.id.0));
            ids.extend(level.milestones.iter().map(|own| (format!("{} at {}", level.name, own.at_count), own.id.0)));
        }
    }
    ids
}

#[test]
fn a_rule_keeps_its_id_whatever_else_changes() {
    let mut world = world();
    let first = world.ledger.desk.catalogues().next().unwrap().clone();
    let mut draft = kezbek();
    let edited = &mut draft.promos[0];
    edited.bands.reverse();
    edited.bands[0].percent = Percent::parse("9").unwrap();
    edited.bands.insert(0, bands("7 0 10 1").remove(0));
    // The last two bands of the seed now open at other amounts: they are other bands.
    edited.bands.retain(|band| band.quantity != 1 || band.amount_min.minor_units() != 0);
    edited.quota = 1;
    let mut early = edited.clone();
    early.code = "A".into();
    draft.promos.push(early);
    ladder(&mut draft).levels[1].milestones.insert(0, (1, amount(9)));
    ladder(&mut draft).levels[1].milestones[1].1 = amount(1);
    ladder(&mut draft).levels.insert(0, level("TIN 1 1:1"));
    draft.partners.insert(0, PartnerDraft { slug: "aaa".into(), name: "Aaa".into() });
    let second = world.apply(&draft, None).unwrap().unwrap();

    let (before, after) = (ids(&first), ids(&second));
    let mut kept = 0;
    for (name, id) in &after {
        match before.iter().find(|(old, _)| old == name) {
            Some((_, old)) => {
                assert_eq!(id, old, "{name} has another id");
                kept += 1;
            }
            None => {
                let is_new = if name.starts_with("partner") { *id == 3 } else { first.next_rule.0 <= *id };
                assert!(is_new, "{name} has the used id {id}");
            }
        }
    }
    // All but the removed band.
    assert_eq!(kept, before.len() - 1);
    let mut numbers: Vec<u32> = after.iter().filter(|own| !own.0.starts_with("partner")).map(|own| own.1).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len() + second.partners.len(), after.len(), "two rules share an id");
    assert!(numbers.iter().all(|number| *number < second.next_rule.0));
}

/// An id is never used again: a promo that comes back is another promo, with a count of its own.
#[test]
fn what_was_removed_comes_back_as_another() {
    let mut world = world();
    run(&mut world, "buy A 100000 code=KEZBEK1000 -> new, promo 1750, BRONZE 1 FIRST, balance 1750");
    let (_, old) = world.promo("KEZBEK1000");
    let without = CatalogueDraft { promos: Vec::new(), ..kezbek() };
    let next = world.apply(&without, None).unwrap().unwrap().next_rule;
    run(&mut world, "buy A 100000 code=KEZBEK1000 -> refused promo_unknown");
    world.apply(&kezbek(), None).unwrap().unwrap();
    let (_, new) = world.promo("KEZBEK1000");
    assert_eq!((old, new), (RuleId(1), next));
    run(&mut world, "used KEZBEK1000 -> 0");
}

/// Partners are numbered over all tenants, tenants in the order of their coming.
#[test]
fn tenants_and_partners_are_numbered_over_the_ledger() {
    let mut world = world();
    let other = CatalogueDraft { slug: "other".into(), ..kezbek() };
    let other = world.apply(&other, None).unwrap().unwrap();
    let numbers: Vec<u32> = other.partners.iter().map(|partner| partner.id.0).collect();
    assert_eq!((other.tenant.0, numbers), (2, vec![3, 4]));
    let mut more = kezbek();
    more.partners.push(PartnerDraft { slug: "more".into(), name: "More".into() });
    let more = world.apply(&more, None).unwrap().unwrap();
    assert_eq!((more.tenant.0, more.partners[2].id.0), (1, 5));
}

#[test]
fn up_leads_up_down_leads_down_and_every_level_can_be_reached() {
    let at = |name: &str| format!("tier_programs[Journey].levels[{name}]");
    let up = |place: String| format!("{place}: next must name a level above it, or itself at the top");
    let down = |place: String| format!("{place}: previous must name a level below it, or itself at the bottom");
    let lost = |place: String| format!("{place}: no way leads there: no customer can ever reach it");
    let names = |draft: &CatalogueDraft| draft.programs[0].name.clone();
    assert_eq!(names(&kezbek()), "Journey");
    check(|draft| ladder(draft).levels[1].next = Some("BRONZE".into()), &up(at("SILVER")));
    check(|draft| ladder(draft).levels[2].next = Some("SILVER".into()), &up(at("GOLD")));
    check(|draft| ladder(draft).levels[0].previous = Some("SILVER".into()), &down(at("BRONZE")));
    check(|draft| ladder(draft).levels[0].next = Some("BRONZE".into()), &lost(at("SILVER")));
    check(|draft| ladder(draft).levels[1].next = Some("SILVER".into()), &lost(at("GOLD")));
    // Skipped on the way up and met on the way down is reached.
    let mut draft = kezbek();
    ladder(&mut draft).levels[0].next = Some("GOLD".into());
    World::default().apply(&draft, None).unwrap().unwrap();
}
