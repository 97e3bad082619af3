//! What must be equal after each command, and at the end.

use std::collections::BTreeMap;

use kembali_core::accounts::HouseAccount;
use kembali_core::customer::Row;
use kembali_core::invoice::InvoiceState as CoreState;
use kembali_core::ledger::Ledger;
use kembali_core::points::Expiry;
use kembali_core::totals::{Grants, TenantTotals};
use kembali_core::upkeep::as_of;
use kembali_core::wallet::WalletStatus;
use kembali_core::{PurchaseKey, RuleId, Seq, Unit, WalletId};

use super::driver::{TENANT, id};
use super::model::{Account, Campaigning, InvoiceState, Model, NEVER, Paid, Person, SECOND, Status};
use super::pair::Pair;
use crate::refund::whole;
use crate::support::hash;

const MINUTE: i64 = 60 * SECOND;

impl Pair {
    pub(super) fn sums(&self) -> TenantTotals {
        let sums = self.world.ledger.totals.tenant(TENANT).cloned().unwrap_or_default();
        TenantTotals { rejected: BTreeMap::new(), ..sums }
    }

    /// What is shown of everybody is what a sweep would write down.
    pub(super) fn look(&self) {
        let desk = &self.world.ledger.desk;
        let removals = desk.removals(TENANT).unwrap();
        let mut model = self.model.clone();
        for who in self.model.people.keys() {
            model.catch_up(*who, model.now());
            let row = as_of(self.world.ledger.rows[&id(*who)].clone(), removals, desk.now(TENANT, self.world.now));
            compare_row(&row, &model, *who);
        }
    }

    pub(super) fn compare(&self) {
        let (ledger, model) = (&self.world.ledger, &self.model);
        let desk = &ledger.desk;
        assert_eq!(desk.last().0, model.seq, "one has more records");
        assert_eq!(ledger.rows.len(), model.people.len(), "one has more customers");
        assert_eq!(desk.now(TENANT, self.world.now).0, model.now(), "now differs");
        for who in model.people.keys() {
            compare_row(&ledger.rows[&id(*who)], model, *who);
        }
        let used: BTreeMap<RuleId, u64> = desk.promos_used().map(|(_, promo, used)| (promo, used)).collect();
        assert_eq!(without_zeros(used), without_zeros(model.used.clone()), "units of promos");
        for (offer, redeemed) in &model.redeemed {
            assert_eq!(desk.offer_redeemed(TENANT, *offer), *redeemed, "units of {offer:?}");
        }
        let open = model.reviews.iter().filter(|(_, own)| own.is_open);
        let open = open.map(|(seq, own)| (Seq(*seq), id(own.ask.who)));
        let archived = desk.archived(TENANT, Seq::ZERO, desk.last()).map(|check| check.0);
        assert!(archived.eq(model.archived.iter().copied()), "what is archived");
        assert!(desk.reviews(TENANT, Seq::ZERO).eq(open), "what is set aside");
        assert_eq!(desk.invoices().count(), model.invoices.len());
        for own in &model.invoices {
            let invoice = desk.invoice(TENANT, &own.number).expect("the model's invoice is there");
            let state = match invoice.state {
                CoreState::Open => InvoiceState::Open,
                CoreState::Paid(_) => InvoiceState::Paid,
                CoreState::Cancelled(_) => InvoiceState::Cancelled,
                CoreState::Reversed(_) => InvoiceState::Reversed,
            };
            let core = (invoice.partner.0, i128::from(invoice.amount.minor_units()), invoice.expires_at.0, state);
            assert_eq!(core, (own.partner, own.amount, own.ends, own.state), "{}", own.number);
        }
        self.compare_sums();
    }

    fn compare_sums(&self) {
        let (model, sums) = (&self.model, self.world.ledger.totals.tenant(TENANT).unwrap());
        assert_eq!(sums.accepted, model.bought.len() as u64);
        assert_eq!(sums.amount, model.bought.iter().map(|own| i128::from(own.buy.amount)).sum::<i128>());
        assert_eq!(sums.customers, model.people.len() as u64);
        let mut rejected: BTreeMap<&str, u64> = BTreeMap::new();
        for (code, _) in model.refused.values() {
            *rejected.entry(code).or_default() += 1;
        }
        let core: BTreeMap<&str, u64> = sums.rejected.iter().map(|(code, count)| (code.as_str(), *count)).collect();
        assert_eq!(without_zeros(core), rejected, "refused purchases");
        let refunds = model.bought.iter().map(|own| own.refunds.len() as u64).sum::<u64>();
        assert_eq!((sums.refunds.count, sums.refunds.amount), (refunds, model.refunded));
        assert_eq!(sums.refunds.shortfall, model.shortfall);
        assert_eq!(sums.reversals, model.done.values().filter(|own| own.is_reversed).count() as u64);

        self.compare_earned(sums);

        // The books: what customers hold, what is held of it, and every account of the house.
        let (mut owed, mut expiring): (BTreeMap<Unit, i128>, BTreeMap<(i64, RuleId), i128>) = Default::default();
        let mut house: BTreeMap<(Unit, HouseAccount), i128> = BTreeMap::new();
        let mut balance: BTreeMap<Unit, i128> = BTreeMap::new();
        for (account, net) in &model.books {
            let unit = match account {
                Account::Wallet(..) => model.money(),
                Account::Lot(_, kind, ..) => Unit::Points(*kind),
                Account::House(unit, _) => *unit,
            };
            *balance.entry(unit).or_default() += net;
            match account {
                Account::Wallet(..) => *owed.entry(unit).or_default() -= net,
                Account::Lot(_, kind, day, ..) => {
                    *owed.entry(unit).or_default() -= net;
                    if *day != NEVER {
                        *expiring.entry((*day, *kind)).or_default() -= net;
                    }
                }
                Account::House(unit, account) => *house.entry((*unit, *account)).or_default() += net,
            }
        }
        assert!(balance.values().all(|sum| *sum == 0), "the model's books do not balance");
        let core = sums.wallets.iter().chain(&sums.points).map(|(unit, sum)| (*unit, *sum)).collect();
        assert_eq!(without_zeros::<_, i128>(core), without_zeros(owed), "what is owed");
        let core = sums.house.iter().map(|(account, sum)| (*account, sum.net())).collect();
        assert_eq!(without_zeros::<_, i128>(core), without_zeros(house), "accounts of the house");
        let day = |expiry: Expiry| expiry.day().map_or(NEVER, i64::from);
        let core = sums.expiring.iter().map(|((expiry, kind), sum)| ((day(*expiry), *kind), *sum)).collect();
        assert_eq!(without_zeros::<_, i128>(core), without_zeros(expiring), "points that expire");
        assert!(sums.trial_balance().values().all(|sum| *sum == 0), "debits are not credits");
        let holds = || model.people.values().flat_map(|person| person.holds.values());
        assert_eq!(sums.held.values().sum::<i128>(), holds().map(|held| held.amount).sum::<i128>(), "held");
        let mut due: BTreeMap<i64, u64> = BTreeMap::new();
        for held in holds() {
            // By the minutes that begin with or after the ends.
            *due.entry((held.ends + MINUTE - 1).div_euclid(MINUTE) * MINUTE).or_default() += 1;
        }
        let core = sums.holds_due.iter().map(|(at, count)| (at.0, *count)).collect();
        assert_eq!(without_zeros::<_, u64>(core), due, "when holds end");
        let mut members: BTreeMap<(RuleId, RuleId), u64> = BTreeMap::new();
        for person in model.people.values() {
            let journeys = person.journeys.iter().map(|(program, own)| (*program, own.0));
            for place in journeys.chain(person.spends.iter().map(|(program, own)| (*program, own.0))) {
                *members.entry(place).or_default() += 1;
            }
        }
        assert_eq!(without_zeros(sums.members.clone()), members, "members of levels");
        let mut completions: BTreeMap<RuleId, u64> = BTreeMap::new();
        for (campaign, own) in model.people.values().flat_map(|person| &person.campaigns) {
            *completions.entry(*campaign).or_default() += u64::from(own.completions);
        }
        assert_eq!(without_zeros(sums.campaigns.clone()), without_zeros(completions), "completions");
    }

    /// What promos, programmes, rules and campaigns have paid, and what refunds have taken back of it.
    fn compare_earned(&self, sums: &TenantTotals) {
        let model = &self.model;
        let grants = |own: &BTreeMap<RuleId, Grants>| -> BTreeMap<RuleId, (u64, i128)> {
            own.iter().map(|(rule, own)| (*rule, (own.count, own.sum))).collect()
        };
        assert_eq!(sums.version as usize, model.versions.len());
        assert_eq!(sums.watermark.map(|at| at.0), model.watermark);
        assert_eq!(sums.promos, model.sums.promos, "promos");
        assert_eq!(sums.remarks, model.sums.remarks, "steps");
        assert_eq!(grants(&sums.cashback), model.sums.cashback, "cashback rules");
        assert_eq!(grants(&sums.rewards), model.sums.rewards, "rewards");
        assert_eq!(grants(&sums.offers), model.sums.offers, "offers");
        assert_eq!(sums.point_transaction, model.sums.promos.values().map(|own| own.points).sum::<i128>());
        assert_eq!(sums.point_loyalty, model.bought.iter().map(|own| own.loyalty).sum::<i128>());
        assert_eq!(sums.reward_points + sums.reward_credit, model.sums.rewards.values().map(|own| own.1).sum::<i128>());
        let is_rewarded = |person: &&Person| person.campaigns.values().any(|own| own.completions > 0);
        assert_eq!(sums.rewarded_customers, model.people.values().filter(is_rewarded).count() as u64);

        let (mut promos, mut cashback, mut rewards): (
            BTreeMap<RuleId, (i128, u64)>,
            BTreeMap<_, i128>,
            BTreeMap<_, _>,
        ) = Default::default();
        for bought in &model.bought {
            if let Some((promo, ..)) = bought.promo {
                let own = promos.entry(promo).or_default();
                *own = (own.0 + bought.back.promo, own.1 + u64::from(bought.back.is_unit_returned));
            }
            for (rule, points) in &bought.back.cashback {
                *cashback.entry(*rule).or_default() += points;
            }
            for own in &bought.completed {
                let is_back = |paid: &&Paid| bought.back.rewards.contains(&(own.campaign, paid.reward()));
                for paid in own.paid.iter().filter(is_back) {
                    *rewards.entry(paid.reward()).or_default() += paid.amount();
                }
            }
        }
        let refunds = &sums.refunds;
        let core = refunds.promos.iter().map(|(promo, own)| (*promo, (own.points, own.units_returned))).collect();
        assert_eq!(without_zeros::<_, (i128, u64)>(core), without_zeros(promos.clone()), "promos come back");
        assert_eq!(without_zeros(refunds.cashback.clone()), without_zeros(cashback), "cashback comes back");
        assert_eq!(without_zeros(refunds.rewards.clone()), without_zeros(rewards), "rewards come back");
        assert_eq!(refunds.point_transaction, promos.values().map(|own| own.0).sum::<i128>());
        assert_eq!(refunds.point_loyalty, model.bought.iter().map(|own| own.back.loyalty).sum::<i128>());
    }

    /// The fold of the records from nothing is the state that lives.
    pub(super) fn finish(&mut self) {
        self.look();
        let mut replayed = Ledger::default();
        for record in &self.world.records {
            replayed.evolve(record).unwrap();
        }
        assert_eq!(whole(&replayed), whole(&self.world.ledger), "a replay differs");
        // Whoever was not looked at is written down now, and then nobody is left.
        self.sweep();
        self.compare();
        let seq = self.model.seq;
        self.sweep();
        assert_eq!(self.model.seq, seq, "a second sweep finds something");
        self.compare();
    }
}

fn compare_row(row: &Row, model: &Model, who: u8) {
    let person: &Person = &model.people[&who];
    assert_eq!(row.purchases, person.purchases);
    for (wallet, status) in &person.wallets {
        let own = row.wallet(WalletId(*wallet), model.money()).expect("the model's wallet is there");
        let core = match own.status {
            WalletStatus::Active => Status::Active,
            WalletStatus::Frozen => Status::Frozen,
            WalletStatus::Closed => Status::Closed,
        };
        let balance = i128::from(own.balance.minor_units());
        assert_eq!((core, balance), (*status, model.balance(who, *wallet)), "wallet {wallet} of {who}");
        assert_eq!(i128::from(row.held(own.id).minor_units()), model.held(who, *wallet), "held of {wallet} of {who}");
    }
    assert!(row.wallets.iter().all(|own| person.wallets.contains_key(&own.id.0)), "a wallet too many");
    assert_eq!((row.holds_placed, row.is_erased), (person.placed, person.is_erased));
    let reversed = model.done.iter().filter(|(_, own)| own.who == who && own.is_reversed);
    assert!(row.reversed.iter().map(|seq| seq.0).eq(reversed.map(|(seq, _)| *seq)), "reversals of {who}");
    let risky = row.risk.iter().map(|own| (own.at.0, own.kind, i128::from(own.amount.minor_units())));
    assert_eq!(risky.collect::<Vec<_>>(), person.risky, "what risk rules remember of {who}");
    let holds: Vec<_> = row
        .holds
        .iter()
        .map(|own| (own.id.0, own.wallet.0, own.partner.0, i128::from(own.amount.minor_units()), own.expires_at.0))
        .collect();
    let wanted: Vec<_> =
        person.holds.iter().map(|(id, own)| (*id, own.wallet, own.partner, own.amount, own.ends)).collect();
    assert_eq!(holds, wanted, "holds of {who}");
    let lots = row.points.iter().flat_map(|account| account.lots.iter().map(move |lot| (account.kind, lot)));
    let lots: Vec<_> = lots
        .map(|(kind, lot)| {
            let day = lot.expires.day().map_or(NEVER, i64::from);
            (
                Account::Lot(who, kind, day, lot.source, i64::from(lot.matures.day())),
                i128::from(lot.points.minor_units()),
            )
        })
        .collect();
    assert_eq!(lots, model.lots(who, None), "lots of {who}");
    let standings = row.standings.iter().map(|own| (own.program, (own.level, own.count, own.last_at.0)));
    assert_eq!(standings.collect::<BTreeMap<_, _>>(), person.journeys, "journeys of {who}");
    let spends = row.spends.iter().map(|own| (own.program, (own.level, i128::from(own.spent.minor_units()))));
    assert_eq!(spends.collect::<BTreeMap<_, _>>(), person.spends, "what {who} has spent");
    let is_some = |own: &Campaigning| own.completions != 0 || !own.progress.is_empty();
    let core = row.campaigns.iter().map(|own| {
        let progress = own.progress.iter().map(|own| (own.fulfillment, (i128::from(own.so_far), own.is_met)));
        (own.campaign, Campaigning { completions: own.completions, progress: progress.collect() })
    });
    let wanted = person.campaigns.iter().map(|(campaign, own)| (*campaign, own.clone()));
    let core: Vec<_> = core.filter(|(_, own)| is_some(own)).collect();
    let wanted: Vec<_> = wanted.filter(|(_, own)| is_some(own)).collect();
    assert_eq!(core, wanted, "campaigns of {who}");
    let bought = model.bought.iter().filter(|own| own.buy.who == who && !own.refunds.is_empty());
    let mut wanted: Vec<_> = bought
        .map(|own| {
            let key = PurchaseKey::from_hash(hash(&format!("{}/{}", own.buy.partner, own.buy.key)));
            (key, own.back.amount, own.back.is_unit_returned, own.refunds.len())
        })
        .collect();
    wanted.sort();
    let refunds = row.refunds.iter();
    let core = refunds
        .map(|own| (own.purchase, i128::from(own.amount.minor_units()), own.is_unit_returned, own.refunds.len()))
        .collect::<Vec<_>>();
    assert_eq!(core, wanted, "refunds of {who}");
}

fn without_zeros<K: Ord, V: Default + PartialEq>(map: BTreeMap<K, V>) -> BTreeMap<K, V> {
    map.into_iter().filter(|(_, value)| *value != V::default()).collect()
}
