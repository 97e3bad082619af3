//! R01, R04, R06: random rules and random histories, compared with the model after every step.

use std::collections::{BTreeMap, HashMap};

use kembali_core::accounts::{Direction, HouseAccount};
use kembali_core::event::{Event, Record};
use kembali_core::ledger::Ledger;
use kembali_core::{AMOUNT_MAX, CustomerId, CustomerName, DAY_US, Instant, TenantId};
use proptest::prelude::*;

use crate::model::{Band, Buy, Level, Model, Place, Program, Promo, Rules};
use crate::support::{Seen, World, canonical, depth, hash, jakarta};

/// What a history does next.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Buy(Buy),
    /// Repeats an earlier purchase, word for word.
    Again(prop::sample::Index),
    Wait(i64),
    Quota(u8, u64),
    MustExist(bool),
    IgnoreUnknown(bool),
    CountMax(u8, u8, u32),
}

fn start() -> i64 {
    jakarta("2024-01-30 23:59:58").0
}

pub(crate) fn any_rules() -> impl Strategy<Value = Rules> {
    let promos = prop::collection::vec(any_promo(), 0..=2);
    let programs = prop::collection::vec(any_program(), 0..=2);
    (any::<bool>(), any::<bool>(), any::<bool>(), promos, programs).prop_map(
        |(must_exist, ignore_unknown, by_occurred, promos, programs)| {
            // A tenant that knows nobody and creates nobody would refuse everything.
            let must_exist = must_exist && ignore_unknown && promos.is_empty();
            Rules { must_exist, ignore_unknown, by_occurred, promos, programs }
        },
    )
}

fn any_promo() -> impl Strategy<Value = Promo> {
    let cuts = prop::collection::btree_set(prop_oneof![0..=1_000i64, 0..=AMOUNT_MAX], 1..=3);
    let row = (cuts, any::<bool>(), prop::collection::vec(any_share(), 3));
    let rows = prop::collection::vec(row, 1..=3);
    (0..=6u64, -3..=0i64, 0..=40i64, prop::option::of(1..=2u32), any::<bool>(), rows).prop_map(
        |(quota, before, days, payer, or_more, rows)| {
            let mut bands = Vec::new();
            let last = rows.len();
            for (quantity, (cuts, is_open, shares)) in (1..).zip(rows) {
                let cuts: Vec<i64> = cuts.into_iter().collect();
                for (index, (min, micro)) in cuts.iter().zip(shares).enumerate() {
                    let end = cuts.get(index + 1).copied();
                    if end.is_none() && !is_open {
                        break;
                    }
                    bands.push(Band { quantity, or_more: or_more && quantity == last as i64, min: *min, end, micro });
                }
            }
            let first = start() + before * DAY_US;
            Promo { quota, first, last: first + days * DAY_US, payer, bands }
        },
    )
}

/// Millionths of a percent.
fn any_share() -> impl Strategy<Value = i128> {
    prop_oneof![
        Just(0),
        Just(50_000_000),
        Just(100_000_000),
        (0..=1_000i128).prop_map(|own| own * 10_000),
        0..=100_000_000i128
    ]
}

fn any_program() -> impl Strategy<Value = Program> {
    let points = prop_oneof![9 => 1..=50_000i64, 1 => Just(AMOUNT_MAX)];
    let milestones = prop::collection::btree_map(1..=4u32, points, 0..=3);
    let level = (1..=4u32, prop::option::weighted(0.2, 0..3usize), milestones).prop_map(
        |(max, previous, mut milestones): (_, _, BTreeMap<u32, i64>)| {
            milestones.retain(|at, _| *at <= max);
            Level { max, previous, milestones }
        },
    );
    (0..=31i64, 0..=31i64, prop::collection::vec(level, 1..=3)).prop_map(|(down_days, more, mut levels)| {
        for (index, level) in levels.iter_mut().enumerate() {
            level.previous = level.previous.filter(|previous| *previous <= index);
        }
        Program { down_days, reset_days: down_days + more, levels }
    })
}

pub(crate) fn any_op() -> impl Strategy<Value = Op> {
    let amount = prop_oneof![
        8 => 1..=2_000i64,
        2 => AMOUNT_MAX - 3..=AMOUNT_MAX + 1,
        1 => Just(AMOUNT_MAX / 2),
        1 => prop_oneof![Just(i64::MIN), Just(-1), Just(0), Just(i64::MAX)],
    ];
    let quantity = prop_oneof![20 => 1..=4i64, 1 => -1..=0i64, 1 => Just(4_294_967_295)];
    // Days and their edges; a history crosses days, months and a leap day.
    let days = prop_oneof![(-70..=70i64).prop_map(|days| days * DAY_US), -DAY_US..=DAY_US];
    let buy = (
        0..4u8,
        prop::bool::weighted(0.2),
        amount,
        quantity,
        prop::option::weighted(0.7, 0..3u8),
        1..=2u32,
        0..40u8,
        prop::option::weighted(0.3, days),
        prop::bool::weighted(0.1),
    )
        .prop_map(|(who, by_id, amount, quantity, code, partner, key, occurred, dry)| {
            Op::Buy(Buy { who, by_id, amount, quantity, code, partner, key, occurred, dry })
        });
    let gap = prop_oneof![
        0..=3 * DAY_US,
        (25..=65i64).prop_map(|days| days * DAY_US),
        (1..=62i64).prop_map(|days| days * DAY_US - 1),
    ];
    prop_oneof![
        20 => buy,
        3 => any::<prop::sample::Index>().prop_map(Op::Again),
        6 => gap.prop_map(Op::Wait),
        2 => (0..2u8, 0..=8u64).prop_map(|(promo, quota)| Op::Quota(promo, quota)),
        1 => any::<bool>().prop_map(Op::MustExist),
        1 => any::<bool>().prop_map(Op::IgnoreUnknown),
        1 => (0..2u8, 0..3u8, 1..=5u32).prop_map(|(program, level, max)| Op::CountMax(program, level, max)),
    ]
}

/// The two ledgers side by side, and what is summed from the records alone.
pub(crate) struct Pair {
    pub(crate) world: World,
    model: Model,
    pub(crate) rules: Rules,
    /// The rules at every version, from 1.
    versions: Vec<Rules>,
    asked: Vec<Buy>,
    wallets: HashMap<CustomerId, i128>,
    grants: u64,
}

fn name(who: u8) -> &'static str {
    ["A", "B", "C", "D"][usize::from(who)]
}

fn id(who: u8) -> CustomerId {
    let (kind, hash) = (kembali_core::AliasKind::Ref, hash(&format!("1/{}", name(who))));
    kembali_core::Alias { kind, hash }.first_customer_id()
}

impl Pair {
    pub(crate) fn new(rules: Rules) -> Pair {
        let world = World::new(&rules.draft(), Instant(start()));
        let mut model = Model::default();
        model.seq = 1;
        let (versions, asked, wallets) = (vec![rules.clone()], Vec::new(), HashMap::new());
        Pair { world, model, rules, versions, asked, wallets, grants: 0 }
    }

    pub(crate) fn run(&mut self, op: &Op) {
        match op {
            Op::Buy(buy) => {
                let occurred = buy.occurred.map(|delta| self.world.now.0 + delta);
                self.buy(Buy { occurred, ..buy.clone() });
            }
            Op::Again(index) if !self.asked.is_empty() => self.buy(index.get(&self.asked).clone()),
            Op::Again(_) => (),
            Op::Wait(gap) => self.world.now.0 += gap,
            Op::Quota(promo, quota) => {
                if let Some(promo) = self.rules.promos.get_mut(usize::from(*promo)) {
                    promo.quota = *quota;
                }
                self.apply();
            }
            Op::MustExist(must_exist) => {
                self.rules.must_exist = *must_exist;
                self.apply();
            }
            Op::IgnoreUnknown(ignore) => {
                self.rules.ignore_unknown = *ignore;
                self.apply();
            }
            Op::CountMax(program, level, max) => {
                let program = self.rules.programs.get_mut(usize::from(*program));
                if let Some(level) = program.and_then(|program| program.levels.get_mut(usize::from(*level))) {
                    level.max = *max;
                    level.milestones.retain(|at, _| at <= max);
                }
                self.apply();
            }
        }
        self.compare();
    }

    fn apply(&mut self) {
        if self.world.apply(&self.rules.draft(), None).unwrap().is_some() {
            self.model.seq += 1;
            self.versions.push(self.rules.clone());
        }
    }

    fn buy(&mut self, buy: Buy) {
        let (before, records) = (self.world.canonical(), self.world.records.len());
        let used: Vec<_> = self.world.ledger.desk.promos_used().collect();

        let name = if buy.by_id { format!("id:{}", name(buy.who)) } else { name(buy.who).to_string() };
        let mut words = vec![name, buy.amount.to_string(), format!("qty={}", buy.quantity)];
        words.push(format!("key={}", buy.key));
        words.push(format!("by={}", buy.partner));
        words.extend(buy.code.map(|code| format!("code=P{code}")));
        words.extend(buy.dry.then(|| "dry".to_string()));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut command = self.world.command(&words);
        command.purchase.occurred_at = buy.occurred.map(Instant);
        command.fingerprint.hash = hash(&format!("{} {:?}", words[0], command.purchase));
        let seen = self.world.purchase(command);

        let line = self.model.buy(&self.rules, self.world.now.0, &buy);
        assert_eq!(self.world.show(&seen), line, "the rules and the model differ in {buy:?}");
        match seen {
            Seen::Booked(record) => self.check_record(&record),
            Seen::Refused { .. } | Seen::WouldBook(_) | Seen::Known(_) | Seen::Wait => {
                // R02: nothing but a receipt.
                assert_eq!(self.world.canonical(), before, "what was not booked has left a trace");
                assert_eq!(self.world.ledger.desk.promos_used().collect::<Vec<_>>(), used);
                let receipt = usize::from(matches!(seen, Seen::Refused { replayed: false, .. }) && !buy.dry);
                assert_eq!(self.world.records.len(), records + receipt);
            }
        }
        self.asked.push(buy);
    }

    /// R01 for one record: its entry balances and its grants were within the quota.
    fn check_record(&mut self, record: &Record) {
        let rules = self.world.ledger.desk.catalogue_at(record.body.tenant, record.body.catalogue_version).unwrap();
        for event in &record.body.events {
            match event {
                Event::WalletEntry(entry) => {
                    let legs: i128 = entry.against.iter().map(|leg| i128::from(leg.amount.minor_units())).sum();
                    assert_eq!(legs, i128::from(entry.amount.minor_units()), "postings do not sum to zero");
                    assert_eq!(entry.direction, Direction::In);
                    let wallet = self.wallets.entry(record.body.customer.unwrap()).or_default();
                    *wallet += legs;
                    assert_eq!(
                        i128::from(entry.balance_after.minor_units()),
                        *wallet,
                        "entries do not sum to a balance"
                    );
                }
                Event::PromoGranted(granted) => {
                    self.grants += 1;
                    let used = self.world.ledger.desk.promo_used(record.body.tenant, granted.promo);
                    assert!(used <= rules.promo(granted.promo).unwrap().quota, "the quota is oversold");
                }
                _ => (),
            }
        }
    }

    /// R01 and R04 for the whole state.
    fn compare(&self) {
        let ledger = &self.world.ledger;
        let tenant = TenantId(1);
        assert_eq!(ledger.desk.last().0, self.model.seq, "one has more records");
        assert_eq!(ledger.rows.len(), self.model.people.len(), "one has more customers");
        let rules = ledger.desk.catalogue(tenant).unwrap();
        for (who, person) in &self.model.people {
            let row = &ledger.rows[&id(*who)];
            let balance = i128::from(row.balance(kembali_core::WalletId(0)).minor_units());
            assert_eq!(balance, person.balance);
            assert_eq!(balance, self.wallets.get(&row.id).copied().unwrap_or(0));
            assert!((0..=i128::from(AMOUNT_MAX)).contains(&balance));
            assert_eq!(places(ledger, *who), person.places);
            let known = ledger.desk.find_customer(tenant, CustomerName::Id(row.id)).unwrap();
            assert_eq!(known.1.tenant, tenant);
        }
        for (index, promo) in self.rules.promos.iter().enumerate() {
            let own = rules.promo_by_code(&format!("P{index}")).unwrap();
            assert_eq!(own.quota, promo.quota);
            let used = ledger.desk.promo_used(tenant, own.id);
            assert_eq!(used, self.model.used.get(&index).copied().unwrap_or(0));
        }
        assert_eq!(ledger.desk.promos_used().map(|own| own.2).sum::<u64>(), self.grants, "used is not the grants");

        let totals = ledger.totals.tenant(tenant).cloned().unwrap_or_default();
        assert_eq!((totals.accepted, totals.amount), (self.model.accepted, self.model.amount));
        assert_eq!(totals.customers, self.model.people.len() as u64);
        assert_eq!(totals.point_loyalty, self.model.loyalty_expense);
        assert_eq!(totals.point_transaction, self.model.promo_expense.values().sum::<i128>());
        let owed: i128 = self.model.people.values().map(|person| person.balance).sum();
        assert_eq!(totals.wallets.values().sum::<i128>(), owed);
        assert!(totals.trial_balance().values().all(|sum| *sum == 0), "the trial balance is not zero");
        // What a past position is asked for comes from the sums, and must be what the desk said then.
        assert_eq!(totals.version, rules.version);
        let stamp = ledger.desk.last_received_at();
        assert_eq!(rules.clock.now(totals.watermark, stamp), ledger.desk.now(tenant, stamp), "the watermarks differ");
        for promo in &rules.promos {
            let granted = totals.promos.get(&promo.id).map_or(0, |promo| promo.granted);
            assert_eq!(granted, ledger.desk.promo_used(tenant, promo.id));
        }
        for ((_, account), sum) in &totals.house {
            let wanted = match account {
                HouseAccount::PromoExpense(partner) => self.model.promo_expense[&partner.0],
                HouseAccount::LoyaltyExpense => self.model.loyalty_expense,
                HouseAccount::RewardExpense
                | HouseAccount::PointsIssued
                | HouseAccount::CashClearing
                | HouseAccount::Adjustments
                | HouseAccount::PointsExpired
                | HouseAccount::PointsRedeemed
                | HouseAccount::RedemptionExpense
                | HouseAccount::Settlement(_)
                | HouseAccount::InTransit
                | HouseAccount::RefundShortfall => panic!("no purchase of this model posts there"),
            };
            assert_eq!(sum.net(), wanted, "{account:?}");
        }
    }
}

/// Where a customer stands in each programme, with levels by their place in the list.
fn places(ledger: &Ledger, who: u8) -> BTreeMap<usize, Place> {
    let rules = ledger.desk.catalogue(TenantId(1)).unwrap();
    let Some(row) = ledger.rows.get(&id(who)) else { return BTreeMap::new() };
    let place = |own: &kembali_core::journey::Standing| {
        let program = rules.program(own.program).unwrap();
        let level = program.levels().position(|(id, _)| id == own.level).unwrap();
        let index = program.name.strip_prefix("Programme ").unwrap().parse().unwrap();
        (index, (level, own.count, own.last_at.0))
    };
    row.standings.iter().map(place).collect()
}

/// R06: the tiers of everybody, recomputed from the bookings of `records` alone.
fn recomputed(records: &[Record], versions: &[Rules]) -> BTreeMap<u128, BTreeMap<usize, Place>> {
    let mut people: BTreeMap<u128, BTreeMap<usize, Place>> = BTreeMap::new();
    for record in records {
        let rules = &versions[record.body.catalogue_version as usize - 1];
        for event in &record.body.events {
            let Event::PurchaseBooked(booked) = event else { continue };
            let places = people.entry(record.body.customer.unwrap().0).or_default();
            for (index, program) in rules.programs.iter().enumerate() {
                let place = program.step(places.get(&index).copied(), booked.at.0).0;
                places.insert(index, place);
            }
        }
    }
    people
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000 * depth()))]

    #[test]
    fn r01_r04_r06_histories_agree_with_the_model(
        rules in any_rules(), ops in prop::collection::vec(any_op(), 1..80),
    ) {
        let mut pair = Pair::new(rules);
        for op in &ops {
            pair.run(op);
        }
        let mut replayed = Ledger::default();
        for (index, record) in pair.world.records.iter().enumerate() {
            replayed.evolve(record).unwrap();
            let mut people = recomputed(&pair.world.records[..=index], &pair.versions);
            for who in 0..4 {
                let wanted = people.remove(&id(who).0).unwrap_or_default();
                prop_assert_eq!(places(&replayed, who), wanted, "at record {}", index + 1);
            }
        }
        prop_assert_eq!(canonical(&replayed), pair.world.canonical(), "a replay differs");
    }
}
