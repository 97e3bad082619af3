use kembali_core::catalogue::Catalogue;
use kembali_core::draft::{CatalogueDraft, Numbering};
use kembali_core::{Instant, PartnerId, TenantId};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::wire::catalogue::*;
use crate::wire::catalogue_draft::zone_of;
use crate::wire::catalogue_view::{file_of, period_text};
use crate::wire::risk::{RiskActionFile, RiskKindFile, RiskPartyFile, RiskRuleFile};

const ZONES: [&str; 4] = ["Asia/Jakarta", "Europe/Berlin", "America/St_Johns", "UTC"];

/// Text that a careless writer would not quote right, without control characters.
fn name() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-z]{1,6}",
        Just("\"".to_owned()),
        Just("'''".to_owned()),
        Just("\\".to_owned()),
        Just("\\u0041".to_owned()),
        Just(" # ".to_owned()),
        Just("]]".to_owned()),
        Just(" = ".to_owned()),
        Just("é漢🍕".to_owned()),
        Just("\u{202e}\u{feff}".to_owned()),
    ];
    vec(piece, 1..5).prop_map(|pieces| pieces.concat())
}

/// The text of a product or a tag, which may hold anything.
fn text() -> impl Strategy<Value = String> {
    (name(), prop_oneof![Just(""), Just("\n"), Just("\r\n\t"), Just("\0\u{1b}\u{7f}\u{85}")])
        .prop_map(|(name, rest)| name + rest)
}

/// A list of `1..most` things, each with a name of its own.
fn named<T: std::fmt::Debug>(most: usize, part: impl Strategy<Value = T>) -> impl Strategy<Value = Vec<(String, T)>> {
    let apart = |all: Vec<(String, T)>| {
        all.into_iter().enumerate().map(|(index, (name, part))| (format!("{index} {name}"), part)).collect()
    };
    vec((name(), part), 0..most).prop_map(apart)
}

fn money() -> impl Strategy<Value = Money> {
    prop_oneof![0..100i64, Just((1 << 53) - 1)].prop_map(Money)
}

/// An instant, within some hours that zones skip and have twice among others.
fn instant() -> impl Strategy<Value = i64> {
    let changes = prop_oneof![Just(1_711_846_800i64), Just(1_729_990_800), Just(1_710_039_600), 0..4_000_000_000i64];
    let fraction = prop_oneof![Just(0), Just(1), Just(500_000), 0..1_000_000i64];
    (changes, -7_200..7_200i64, fraction).prop_map(|(at, off, fraction)| (at + off).max(0) * 1_000_000 + fraction)
}

fn tenant() -> impl Strategy<Value = TenantFile> {
    let clock = prop_oneof![Just(ClockFile::Received), Just(ClockFile::Occurred)];
    let customer = prop_oneof![Just(UnknownCustomerFile::AutoCreate), Just(UnknownCustomerFile::MustExist)];
    let promo = prop_oneof![Just(UnknownPromoFile::Refuse), Just(UnknownPromoFile::Ignore)];
    (name(), 0..4u8, prop::sample::select(ZONES.to_vec()), clock, customer, promo).prop_map(
        |(name, currency_exponent, zone, clock, unknown_customer, unknown_promo)| TenantFile {
            slug: "t".to_owned(),
            name,
            currency: "IDR".to_owned(),
            currency_exponent,
            timezone: zone.to_owned(),
            clock,
            unknown_customer,
            unknown_promo,
        },
    )
}

type Bands = Vec<(bool, Option<i64>, String)>;

/// A promo's quota, period, whether a partner pays, and bands, one for each quantity.
fn promo() -> impl Strategy<Value = (u64, i64, i64, bool, Bands)> {
    let percent = prop_oneof![Just("0"), Just("100"), Just("1.75"), Just("0.000001"), Just("7.50")];
    let band = (any::<bool>(), option::of(1..1_000_000i64), percent.prop_map(str::to_owned));
    (prop_oneof![0..9u64, Just((1 << 53) - 1)], instant(), instant(), any::<bool>(), vec(band, 0..4))
}

fn promo_file(code: &str, parts: (u64, i64, i64, bool, Bands), zone: &str) -> PromoFile {
    let (quota, one, other, is_funded, bands) = parts;
    let zone = zone_of(zone).ok();
    let last = bands.len();
    let band = |(index, (or_more, amount_end, percent)): (usize, (bool, Option<i64>, String))| BandFile {
        quantity: index as u32 + 1,
        // Only the largest quantity may reach further without meeting another band.
        or_more: or_more && index + 1 == last,
        amount_min: Money(0),
        amount_end: amount_end.map(Money),
        percent,
    };
    PromoFile {
        code: code.replace(|char: char| !char.is_ascii(), "-"),
        quota,
        starts_at: period_text(Instant(one.min(other)), zone.as_ref()),
        ends_at: period_text(Instant(one.max(other)), zone.as_ref()),
        funded_by: is_funded.then(|| "payer".to_owned()),
        bands: bands.into_iter().enumerate().map(band).collect(),
    }
}

fn journey() -> impl Strategy<Value = TierProgramFile> {
    let at_maximum = option::of(prop_oneof![Just(AtMaximumFile::PayNothing), Just(AtMaximumFile::RestartCycle)]);
    let milestones = vec(1..1_000i64, 0..3);
    let levels = named(4, (3..9u32, milestones)).prop_filter("needs a level", |levels| !levels.is_empty());
    (0..40u32, 0..40u32, at_maximum, levels, any::<bool>()).prop_map(|(down, more, at_maximum, levels, is_steep)| {
        let lowest = levels[0].0.clone();
        let level = |(index, (name, (count_max, milestones))): (usize, (String, (u32, Vec<i64>)))| LevelFile {
            name,
            renamed_from: None,
            spent_min: None,
            count_max: Some(count_max),
            next: None,
            // A long gap may lead further down than to the level before.
            previous: (is_steep && index > 1).then(|| lowest.clone()),
            milestones: (1..)
                .zip(milestones)
                .map(|(at_count, points)| MilestoneFile { at_count, points: Money(points) })
                .collect(),
        };
        TierProgramFile {
            name: "Journey".to_owned(),
            policy: PolicyFile::Journey,
            downgrade_after_days: Some(down),
            reset_after_days: Some(down + more),
            at_maximum,
            levels: levels.into_iter().enumerate().map(level).collect(),
        }
    })
}

fn threshold() -> impl Strategy<Value = TierProgramFile> {
    let levels = named(4, 1..1_000_000i64).prop_filter("needs a level", |levels| !levels.is_empty());
    levels.prop_map(|levels| {
        let mut spent = -1;
        let level = |(name, more)| {
            spent += more;
            LevelFile {
                name,
                renamed_from: None,
                spent_min: Some(Money(spent)),
                count_max: None,
                next: None,
                previous: None,
                milestones: Vec::new(),
            }
        };
        TierProgramFile {
            name: "Spend \"all\"".to_owned(),
            policy: PolicyFile::Threshold,
            downgrade_after_days: None,
            reset_after_days: None,
            at_maximum: None,
            levels: levels.into_iter().map(level).collect(),
        }
    })
}

fn fulfillment() -> impl Strategy<Value = (Option<BuyFile>, Option<TagFile>)> {
    let buy = (option::of(text()), 1..1_000i64, any::<bool>()).prop_map(|(product, amount_min, cumulative)| {
        (Some(BuyFile { product, amount_min: Money(amount_min), cumulative }), None)
    });
    let tag = (text(), 1..4u32).prop_map(|(tag, count)| (None, Some(TagFile { tag, count })));
    prop_oneof![buy, tag]
}

/// A cashback rule's rate, products, whether it is for one partner and active, its end, and the days of its points.
type RuleParts = (&'static str, Vec<String>, bool, bool, Option<i64>, Option<u32>);
/// Two instants between which a campaign runs, and how often.
type CampaignParts = (Option<i64>, Option<i64>, Option<u32>);

fn refunds() -> impl Strategy<Value = RefundsFile> {
    let tier = prop_oneof![Just(RefundedTierFile::Recompute), Just(RefundedTierFile::Keep)];
    let quota = prop_oneof![Just(RefundedQuotaFile::Return), Just(RefundedQuotaFile::Keep)];
    let rewards = prop_oneof![Just(RefundedRewardsFile::ClawBack), Just(RefundedRewardsFile::Keep)];
    let negative = prop_oneof![Just(NegativeBalanceFile::Allow), Just(NegativeBalanceFile::CapAtZero)];
    (tier, quota, rewards, negative).prop_map(|(tier, quota, rewards, negative_balance)| RefundsFile {
        tier,
        quota,
        rewards,
        negative_balance,
    })
}

/// A risk rule without its name.
fn risk() -> impl Strategy<Value = RiskRuleFile> {
    let every = [
        RiskKindFile::Deposit,
        RiskKindFile::Hold,
        RiskKindFile::Transfer,
        RiskKindFile::Payment,
        RiskKindFile::Purchase,
    ];
    let action = prop_oneof![Just(RiskActionFile::Flag), Just(RiskActionFile::Block), Just(RiskActionFile::Review)];
    let per = option::of(prop_oneof![Just(RiskPartyFile::Partner), Just(RiskPartyFile::Device)]);
    let operations = proptest::sample::subsequence(every.to_vec(), 0..=5);
    (operations, 0..3u8, money(), 0..=1_000u32, 1..=2_678_400u32, (per, action)).prop_map(
        |(operations, which, money, count, seconds, (per, action))| {
            // A purchase names no device, and waits for nobody.
            let is_of_purchases = operations.contains(&RiskKindFile::Purchase);
            let is_right = |action: &RiskActionFile| !is_of_purchases || *action != RiskActionFile::Review;
            RiskRuleFile {
                name: String::new(),
                operations,
                amount_above: (which == 0).then_some(money),
                count_above: (which == 1).then_some(count),
                sum_above: (which == 2).then_some(money),
                per: per.filter(|per| which != 0 && !(is_of_purchases && *per == RiskPartyFile::Device)),
                within_seconds: (which != 0).then_some(seconds),
                action: Some(action).filter(is_right).or(Some(RiskActionFile::Flag)),
            }
        },
    )
}

/// What an offer costs, credits and has in stock, whether it is active, and two instants between which it runs.
type OfferParts = (i64, Option<i64>, Option<u64>, bool, (Option<i64>, Option<i64>));

/// Everything that rules and campaigns are made of; campaigns ask for and pay all that is there.
fn earning() -> impl Strategy<Value = CatalogueFile> {
    let rule = (
        prop_oneof![Just("0.02"), Just("0.00000001")],
        vec(text(), 0..9),
        any::<bool>(),
        any::<bool>(),
        option::of(instant()),
        option::of(1..400u32),
    );
    let reward = (any::<bool>(), option::of(1..400u32), money().prop_filter("pays", |paid| 0 < paid.0));
    let campaign = (option::of(instant()), option::of(instant()), option::of(1..9u32));
    let stock = option::of(prop_oneof![0..9u64, Just((1 << 53) - 1)]);
    let credit = option::of(1..1_000i64);
    let offer = (1..1_000i64, credit, stock, any::<bool>(), (option::of(instant()), option::of(instant())));
    let earns = (named(3, rule), named(4, fulfillment()), named(4, reward), named(3, campaign));
    (named(3, Just(())), earns, named(3, offer), refunds(), tenant()).prop_map(
        |(kinds, (rules, fulfillments, rewards, campaigns), offers, refunds, tenant)| {
            let zone = zone_of(&tenant.timezone).ok();
            let text = |at: Option<i64>| at.map(|at| period_text(Instant(at), zone.as_ref()));
            let kinds: Vec<String> = kinds.into_iter().map(|(name, ())| name).chain(["points".to_owned()]).collect();
            let rule = |(name, parts): (String, RuleParts)| {
                let (rate, mut products, is_partners, active, ends_at, life_days) = parts;
                products.sort();
                products.dedup();
                let partner = is_partners.then(|| "payer".to_owned());
                CashbackRuleFile {
                    external_id: is_partners.then(|| name.clone()),
                    description: active.then(|| format!("A share\nof \"{rate}\" = # {{")),
                    name,
                    rate: rate.to_owned(),
                    products,
                    partner,
                    active,
                    ends_at: text(ends_at),
                    pays: kinds[0].clone(),
                    life_days,
                    pending_days: life_days
                        .and_then(|days| days.checked_sub(7))
                        .filter(|days| (1..=365).contains(days)),
                }
            };
            let reward = |(name, (is_points, life_days, paid)): (String, (bool, Option<u32>, Money))| RewardFile {
                external_id: is_points.then(|| name.clone()),
                name,
                points: is_points.then_some(paid),
                kind: is_points.then(|| kinds[kinds.len() - 1].clone()),
                life_days: life_days.filter(|_| is_points),
                pending_days: (is_points && life_days.is_none()).then_some(30),
                wallet_credit: (!is_points).then_some(paid),
            };
            let all = |names: &[String]| names.to_vec();
            let asked: Vec<String> = fulfillments.iter().map(|own| own.0.clone()).collect();
            let paid: Vec<String> = rewards.iter().map(|own| own.0.clone()).collect();
            let campaign = |(name, parts): (String, CampaignParts)| {
                let (one, other, completions_max) = parts;
                CampaignFile {
                    external_id: one.map(|_| name.clone()),
                    name,
                    fulfillments: all(&asked),
                    rewards: all(&paid),
                    starts_at: text(one.min(other.or(one))),
                    ends_at: text(one.max(other)),
                    completions_max,
                    budget: completions_max.map(|own| u64::from(own) << 33),
                }
            };
            let offer = |(name, parts): (String, OfferParts)| {
                let (points, credit, stock, active, (one, other)) = parts;
                OfferFile {
                    name,
                    kind: kinds[0].clone(),
                    points: Money(points),
                    wallet_credit: credit.map(Money),
                    stock,
                    active,
                    starts_at: text(one.min(other.or(one))),
                    ends_at: text(one.max(other)),
                }
            };
            let is_whole = !asked.is_empty() && !paid.is_empty();
            CatalogueFile {
                partners: Vec::new(),
                promos: Vec::new(),
                tier_programs: Vec::new(),
                cashback_rules: rules.into_iter().map(rule).collect(),
                fulfillments: fulfillments
                    .into_iter()
                    .map(|(name, (buy, tag))| FulfillmentFile {
                        external_id: buy.is_some().then(|| name.clone()),
                        name,
                        buy,
                        tag,
                    })
                    .collect(),
                rewards: rewards.into_iter().map(reward).collect(),
                campaigns: campaigns.into_iter().filter(|_| is_whole).map(campaign).collect(),
                offers: offers.into_iter().map(offer).collect(),
                refunds,
                risk_rules: Vec::new(),
                point_kinds: kinds.clone(),
                tenant,
            }
        },
    )
}

fn catalogue() -> impl Strategy<Value = CatalogueFile> {
    let programs = (option::of(journey()), option::of(threshold()));
    let parts = (earning(), name(), named(3, promo()), programs, named(3, risk()));
    parts.prop_map(|(mut file, partner, promos, (journey, threshold), risk)| {
        file.risk_rules = risk.into_iter().map(|(name, rule)| RiskRuleFile { name, ..rule }).collect();
        let zone = file.tenant.timezone.clone();
        CatalogueFile {
            partners: vec![PartnerFile {
                slug: "payer".to_owned(),
                name: partner,
                api_key: Some("a-secret-key".to_owned()),
            }],
            promos: promos.into_iter().map(|(code, parts)| promo_file(&code, parts, &zone)).collect(),
            tier_programs: journey.into_iter().chain(threshold).collect(),
            ..file
        }
    })
}

/// Makes the rules of a file, as the next version of `present` with its number.
fn rules_of(file: &CatalogueFile, present: Option<&Catalogue>) -> Catalogue {
    let draft: CatalogueDraft = file.to_draft().expect("the file is right");
    let numbering = Numbering { tenant: TenantId(1), next_partner: PartnerId(1), currency_is_fixed: false };
    let rules = draft.resolve(present, numbering).expect("the draft is right");
    Catalogue { version: 1, ..rules }
}

/// What is exported and applied again changes nothing, and applied elsewhere it makes the same rules.
fn check(file: &CatalogueFile) -> String {
    let rules = rules_of(file, None);
    let shown = file_of(&rules);
    let text = shown.to_toml().expect("an applied catalogue can be written");
    let again: CatalogueFile = toml::from_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(rules_of(&again, Some(&rules)), rules, "as the next version:\n{text}");
    let elsewhere = file_of(&rules_of(&again, None));
    assert_eq!(serde_json::to_value(&elsewhere).unwrap(), serde_json::to_value(&shown).unwrap(), "elsewhere:\n{text}");
    assert_eq!(elsewhere.to_toml().expect("so can this"), text, "written again");
    text
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_exported_is_the_same_rules(file in catalogue()) {
        let text = check(&file);
        prop_assert!(!text.contains("secret"), "a key is written: {text}");
    }
}

#[test]
fn the_samples_are_written_as_they_were() {
    for sample in [include_str!("../../../demo/journey.toml"), include_str!("../../../demo/full.toml")] {
        let text = check(&toml::from_str(sample).expect("the sample is right"));
        // Line by line, but for comments, keys, the order of products, and zeros at the end of a percentage.
        let lines = |text: &str| -> Vec<String> {
            let lines = text.lines().map(|line| line.split(" #").next().unwrap_or_default().trim());
            let lines = lines.filter(|line| !line.is_empty() && !line.starts_with(['#', '[']));
            lines.map(|line| line.replace("0\" }", "\" }")).collect()
        };
        let (written, sample) = (lines(&text), lines(sample));
        for line in sample.iter().filter(|line| !line.starts_with("api_key") && !line.starts_with("products")) {
            assert!(written.contains(line), "{line} is not in\n{text}");
        }
    }
}

#[test]
fn layout() {
    let file: CatalogueFile = toml::from_str(
        r#"
        tenant = { slug = "t", name = 'say "hi"', currency = "IDR", timezone = "UTC" }
        promos = [{ code = "P", quota = 1, starts_at = "2017-01-01T00:00:00+07:00", ends_at = "2017-01-02 00:00:00" }]
        cashback_rules = [{ name = "R", rate = "0.10", pays = "p", active = false }]
        fulfillments = [{ name = "F", buy = { amount_min = 1, cumulative = true } }]
        point_kinds = ["p"]
        [[tier_programs]]
        name = "J"
        downgrade_after_days = 1
        reset_after_days = 2
        levels = [{ name = "A", count_max = 1, milestones = [{ at_count = 1, points = 5 }] }, { name = "B", count_max = 2 }]
        "#,
    )
    .expect("it is right");
    let expected = r#"point_kinds = ["p"]

[tenant]
slug = "t"
name = "say \"hi\""
currency = "IDR"
currency_exponent = 0
timezone = "UTC"
clock = "received"
unknown_customer = "auto_create"
unknown_promo = "refuse"

[[promos]]
code = "P"
quota = 1
starts_at = "2016-12-31 17:00:00"
ends_at = "2017-01-02 00:00:00"
bands = []

[[tier_programs]]
name = "J"
policy = "journey"
downgrade_after_days = 1
reset_after_days = 2
at_maximum = "pay_nothing"

[[tier_programs.levels]]
name = "A"
count_max = 1
milestones = [
    { at_count = 1, points = 5 },
]

[[tier_programs.levels]]
name = "B"
count_max = 2

[[cashback_rules]]
name = "R"
rate = "0.1"
active = false
pays = "p"

[[fulfillments]]
name = "F"
buy = { amount_min = 1, cumulative = true }
"#;
    assert_eq!(check(&file), expected);
}
