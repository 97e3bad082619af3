//! From the ids of a comparison to the names of a report.
//!
//! What the rules asked about still have comes first and in their order; what only the rules that held had follows.

use std::collections::{BTreeMap, BTreeSet};

use kembali_core::catalogue::{Catalogue, Reward, RewardKind, TierPolicy, TierProgram};
use kembali_core::totals::{Grants, PromoTotals, TenantTotals};
use kembali_core::what_if::{Comparison, RanOut, Side};
use kembali_core::{RuleId, Unit};
use kembali_engine::WhatIfReport;

use crate::reads::history::account_name;
use crate::reads::reports::unit_name;
use crate::wire::catalogue::PolicyFile;
use crate::wire::instant::{Rfc3339, UuidText};
use crate::wire::number::Wide;
use crate::wire::result::{REMARKS, remark_text};
use crate::wire::what_if::{
    self as wire, Figure, Place, WhatIfCampaign, WhatIfCost, WhatIfCustomer, WhatIfLeftOut, WhatIfLevel, WhatIfPeople,
    WhatIfProgram, WhatIfPromo, WhatIfQuota, WhatIfRanOut, WhatIfRule, WhatIfSide, WhatIfSums,
};

const MICROS: u128 = 1_000_000;

/// Puts a report into names.
pub(super) fn of(done: &WhatIfReport) -> wire::WhatIfReport {
    let sides = Sides(&done.comparison);
    let Comparison { wanted, purchases, refused, operations, refused_operations, left_out, people, .. } =
        &done.comparison;
    let elapsed_us = done.elapsed.as_micros().max(1);
    wire::WhatIfReport {
        tenant: wanted.slug.clone(),
        currency: wanted.currency.code.as_str().to_owned(),
        from: done.from.0,
        to: done.to.0,
        purchases: *purchases,
        elapsed_us: u64::try_from(elapsed_us).unwrap_or(u64::MAX),
        purchases_per_second: u64::try_from(u128::from(*purchases) * MICROS / elapsed_us).unwrap_or(u64::MAX),
        same: done.comparison.is_same(),
        refused: refused.iter().map(|(code, count)| (code.as_str(), *count)).collect(),
        operations: *operations,
        refused_operations: refused_operations.clone(),
        left_out: WhatIfLeftOut {
            refused_purchases: left_out.refusals,
            refused_operations: left_out.refused_operations,
            catalogue_changes: left_out.catalogues,
            other_records: left_out.others,
        },
        sums: sides.sums(),
        promos: sides.promos(),
        cashback_rules: sides.cashback_rules(),
        campaigns: sides.campaigns(),
        rewards: sides.rewards(),
        programs: wanted.programs.iter().map(|program| sides.program(program)).collect(),
        costs: sides.costs(),
        people: people
            .iter()
            .map(|(unit, own)| WhatIfPeople {
                unit: unit_name(*unit, wanted),
                winners: side(&own.winners),
                losers: side(&own.losers),
            })
            .collect(),
    }
}

fn side(side: &Side) -> WhatIfSide {
    let customer = |(customer, difference): &(kembali_core::CustomerId, i128)| WhatIfCustomer {
        customer: UuidText(customer.0),
        difference: Wide(*difference),
    };
    WhatIfSide { customers: side.customers, sum: Wide(side.sum), largest: side.largest.iter().map(customer).collect() }
}

/// Both sides, with the names of both.
struct Sides<'a>(&'a Comparison);

impl<'a> Sides<'a> {
    /// Looks a rule up in the rules asked about, else in the newest that held and had it.
    fn find<T>(&self, find: impl Fn(&'a Catalogue) -> Option<T>) -> Option<T> {
        let held = self.0.recorded.iter().rev();
        std::iter::once(&self.0.wanted).chain(held).find_map(|catalogue| find(catalogue))
    }

    /// Names a rule; one that no version has is shown by its number.
    fn name(&self, id: RuleId, find: impl Fn(&'a Catalogue) -> Option<&'a str>) -> String {
        self.find(find).map_or_else(|| format!("#{}", id.0), str::to_owned)
    }

    fn figure(&self, read: impl Fn(&TenantTotals) -> i128) -> Figure {
        Figure::of(read(&self.0.before), read(&self.0.after))
    }

    fn count(&self, read: impl Fn(&TenantTotals) -> u64) -> Figure {
        Figure::of(read(&self.0.before), read(&self.0.after))
    }

    /// Lists what is wanted, then what else did something.
    fn listed<T>(
        &self,
        wanted: impl Iterator<Item = RuleId>,
        of: impl Fn(&'a TenantTotals) -> &'a BTreeMap<RuleId, T>,
    ) -> Vec<RuleId>
    where
        T: 'a,
    {
        let mut listed: Vec<RuleId> = wanted.collect();
        let did: BTreeSet<RuleId> = of(&self.0.before).keys().chain(of(&self.0.after).keys()).copied().collect();
        listed.extend(did.into_iter().filter(|id| !listed.contains(id)).collect::<Vec<RuleId>>());
        listed
    }

    fn sums(&self) -> WhatIfSums {
        WhatIfSums {
            accepted: self.count(|own| own.accepted),
            amount: self.figure(|own| own.amount),
            point_transaction: self.figure(|own| own.point_transaction),
            point_loyalty: self.figure(|own| own.point_loyalty),
            point_total: self.figure(|own| own.point_transaction + own.point_loyalty),
            reward_points: self.figure(|own| own.reward_points),
            reward_credit: self.figure(|own| own.reward_credit),
            rewarded_customers: self.count(|own| own.rewarded_customers),
            customers: self.count(|own| own.customers),
        }
    }

    fn promos(&self) -> Vec<WhatIfPromo> {
        let wanted = self.0.wanted.promos.iter().map(|promo| promo.id);
        self.listed(wanted, |own| &own.promos).into_iter().map(|id| self.promo(id)).collect()
    }

    fn promo(&self, id: RuleId) -> WhatIfPromo {
        let own = |totals: &TenantTotals| -> PromoTotals { totals.promos.get(&id).copied().unwrap_or_default() };
        let quota = |rules: &Catalogue| rules.promo(id).map(|promo| promo.quota);
        let place = |ran_out: &BTreeMap<RuleId, RanOut>| {
            ran_out.get(&id).map(|ran_out| Place { seq: ran_out.seq.0, at: Rfc3339(ran_out.at) })
        };
        WhatIfPromo {
            code: self.name(id, |rules| rules.promo(id).map(|promo| &*promo.code)),
            quota: WhatIfQuota {
                before: self.0.recorded.last().and_then(|held| quota(held)),
                after: quota(&self.0.wanted),
            },
            granted: self.count(|totals| own(totals).granted),
            points: self.figure(|totals| own(totals).points),
            declined_exhausted: self.count(|totals| own(totals).declined_exhausted),
            ran_out: WhatIfRanOut { before: place(&self.0.ran_out_before), after: place(&self.0.ran_out_after) },
        }
    }

    fn kind(&self, id: RuleId) -> String {
        self.name(id, |rules| rules.point_kind(id).map(|kind| &*kind.name))
    }

    fn rule(
        &self,
        id: RuleId,
        name: String,
        kind: Option<String>,
        of: impl Fn(&TenantTotals) -> &BTreeMap<RuleId, Grants>,
    ) -> WhatIfRule {
        let own = |totals: &TenantTotals| of(totals).get(&id).copied().unwrap_or_default();
        let (grants, sum) = (self.count(|totals| own(totals).count), self.figure(|totals| own(totals).sum));
        WhatIfRule { name, kind, grants, sum }
    }

    fn cashback_rules(&self) -> Vec<WhatIfRule> {
        let wanted = self.0.wanted.cashback_rules.iter().map(|rule| rule.id);
        let rule = |id: RuleId| {
            let name = self.name(id, |rules| rules.cashback_rule(id).map(|rule| &*rule.name));
            let pays = self.find(|rules| rules.cashback_rule(id).map(|rule| rule.pays));
            self.rule(id, name, pays.map(|kind| self.kind(kind)), |own| &own.cashback)
        };
        self.listed(wanted, |own| &own.cashback).into_iter().map(rule).collect()
    }

    fn rewards(&self) -> Vec<WhatIfRule> {
        let wanted = self.0.wanted.rewards.iter().map(|reward| reward.id);
        let reward = |id: RuleId| {
            let name = self.name(id, |rules| rules.reward(id).map(|reward| &*reward.name));
            let kind = |reward: &Reward| match reward.kind {
                RewardKind::Points { kind, .. } => Some(kind),
                RewardKind::WalletCredit { .. } => None,
            };
            let kind = self.find(|rules| rules.reward(id).map(kind)).flatten();
            self.rule(id, name, kind.map(|kind| self.kind(kind)), |own| &own.rewards)
        };
        self.listed(wanted, |own| &own.rewards).into_iter().map(reward).collect()
    }

    fn campaigns(&self) -> Vec<WhatIfCampaign> {
        let wanted = self.0.wanted.campaigns.iter().map(|campaign| campaign.id);
        let campaign = |id: RuleId| WhatIfCampaign {
            name: self.name(id, |rules| rules.campaign(id).map(|campaign| &*campaign.name)),
            completions: self.count(|own| own.campaigns.get(&id).copied().unwrap_or(0)),
        };
        self.listed(wanted, |own| &own.campaigns).into_iter().map(campaign).collect()
    }

    fn program(&self, program: &TierProgram) -> WhatIfProgram {
        let members =
            |totals: &TenantTotals, level: RuleId| totals.members.get(&(program.id, level)).copied().unwrap_or(0);
        let mut levels: Vec<RuleId> = program.levels().map(|(id, _)| id).collect();
        let stood = self.0.before.members.keys().filter(|(own, _)| *own == program.id).map(|(_, level)| *level);
        levels.extend(stood.filter(|level| program.level_name(*level).is_none()));
        let level = |id: RuleId| WhatIfLevel {
            level: self.name(id, |rules| rules.program(program.id).and_then(|own| own.level_name(id))),
            customers: self.count(|totals| members(totals, id)),
        };
        let steps = |remark| {
            let count = |totals: &TenantTotals| totals.remarks.get(&(program.id, remark)).copied().unwrap_or(0);
            let is_there = 0 < count(&self.0.before) || 0 < count(&self.0.after);
            is_there.then(|| (remark_text(remark), self.count(count)))
        };
        WhatIfProgram {
            program: program.name.clone(),
            policy: match program.policy {
                TierPolicy::Journey(_) => PolicyFile::Journey,
                TierPolicy::Threshold(_) => PolicyFile::Threshold,
            },
            levels: levels.into_iter().map(level).collect(),
            remarks: REMARKS.into_iter().filter_map(steps).collect(),
        }
    }

    fn costs(&self) -> Vec<WhatIfCost> {
        let accounts: BTreeSet<_> = self.0.before.house.keys().chain(self.0.after.house.keys()).copied().collect();
        // Partners and kinds of points are never removed.
        let rules: &Catalogue = &self.0.wanted;
        let cost = |(unit, account): (Unit, _)| WhatIfCost {
            account: account_name(account, rules),
            unit: unit_name(unit, rules),
            sum: self.figure(|own| own.house.get(&(unit, account)).map_or(0, |sum| sum.net())),
        };
        accounts.into_iter().map(cost).collect()
    }
}
