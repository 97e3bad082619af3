//! Changes of the rules: what is wanted now, and what of it is left out for the time being.

use std::collections::BTreeSet;

use kembali_core::Amount;
use kembali_core::catalogue::{RuleClock, UnknownCustomer};
use kembali_core::draft::{CatalogueDraft, LevelDraft, LevelRename, PolicyDraft, ProgramDraft};
use kembali_core::refund::RefundPolicy;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::draw_rules::any_policy;
use crate::support::amount;

/// A change of the rules.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Quota(usize, u64),
    Refunds(RefundPolicy),
    Risk(bool),
    IsActive(usize),
    Stock(usize, u64),
    Budget(usize, Option<u64>),
    RemoveLevel(usize, Index),
    AddLevel(usize, Index),
    CountMax(Index, u32),
    Bound(Index, i64),
    MustExist(bool),
    /// By what the partners say, or by when it is received.
    Clock(bool),
    /// Gives a level another name. Nobody moves.
    Rename(usize, Index),
    /// Adds a second Threshold programme. It cannot be removed.
    AddProgram,
    /// Takes a rule away, or brings it back under its name.
    Toggle(&'static str),
}

pub(super) fn any_change() -> impl Strategy<Value = Change> {
    prop_oneof![
        2 => (0..2usize, 0..6u64).prop_map(|(promo, quota)| Change::Quota(promo, quota)),
        3 => any_policy().prop_map(Change::Refunds),
        1 => any::<bool>().prop_map(Change::Risk),
        1 => (0..3usize).prop_map(Change::IsActive),
        1 => (0..2usize, 0..9u64).prop_map(|(offer, stock)| Change::Stock(offer, stock)),
        1 => (0..3usize, prop::option::of(1..6u64)).prop_map(|(campaign, budget)| Change::Budget(campaign, budget)),
        4 => (0..2usize, any::<Index>()).prop_map(|(program, level)| Change::RemoveLevel(program, level)),
        3 => (0..2usize, any::<Index>()).prop_map(|(program, level)| Change::AddLevel(program, level)),
        1 => (any::<Index>(), 1..4u32).prop_map(|(level, count)| Change::CountMax(level, count)),
        2 => (any::<Index>(), -500..500i64).prop_map(|(level, more)| Change::Bound(level, more)),
        1 => any::<bool>().prop_map(Change::MustExist),
        1 => any::<bool>().prop_map(Change::Clock),
        2 => (0..2usize, any::<Index>()).prop_map(|(program, level)| Change::Rename(program, level)),
        1 => Just(Change::AddProgram),
        2 => select(&["P0", "R0", "C0", "Thing"][..]).prop_map(Change::Toggle),
    ]
}

/// The rules as they are wanted now, and what of them is left out for the time being.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    all: CatalogueDraft,
    out: BTreeSet<&'static str>,
    has_risk: bool,
    levels_made: u32,
}

impl Wanted {
    pub(super) fn new(all: CatalogueDraft) -> Wanted {
        Wanted { all, out: BTreeSet::new(), has_risk: true, levels_made: 0 }
    }

    pub(super) fn draft(&self) -> CatalogueDraft {
        let mut draft = self.all.clone();
        let is_in = |name: &str| !self.out.contains(name);
        draft.promos.retain(|own| is_in(&own.code));
        draft.earning.cashback_rules.retain(|own| is_in(&own.name));
        draft.earning.campaigns.retain(|own| is_in(&own.name));
        draft.earning.offers.retain(|own| is_in(&own.name));
        if !self.has_risk {
            draft.risk_rules.clear();
        }
        draft
    }

    fn journey(&mut self) -> &mut Vec<LevelDraft> {
        match &mut self.all.programs[0].policy {
            PolicyDraft::Journey(journey) => &mut journey.levels,
            PolicyDraft::Threshold(_) => unreachable!("the first programme is a Journey"),
        }
    }

    fn threshold(&mut self) -> &mut Vec<(String, Amount)> {
        match &mut self.all.programs[1].policy {
            PolicyDraft::Threshold(levels) => levels,
            PolicyDraft::Journey(_) => unreachable!("the second programme is a Threshold"),
        }
    }

    pub(super) fn change(&mut self, change: &Change) {
        // Applied again, names that were swapped would be swapped back.
        self.all.programs.iter_mut().for_each(|program| program.renames.clear());
        match change {
            Change::Quota(promo, quota) => self.all.promos[*promo].quota = *quota,
            Change::Refunds(policy) => self.all.refunds = *policy,
            Change::Risk(has_risk) => self.has_risk = *has_risk,
            Change::IsActive(rule) => self.all.earning.cashback_rules[*rule].is_active ^= true,
            Change::Stock(offer, stock) => self.all.earning.offers[*offer].stock = Some(*stock),
            Change::Budget(campaign, budget) => self.all.earning.campaigns[*campaign].budget = *budget,
            Change::RemoveLevel(0, level) if self.journey().len() > 1 => {
                let levels = self.journey();
                let gone = levels.remove(level.index(levels.len())).name;
                for own in levels {
                    own.previous = own.previous.take().filter(|previous| *previous != gone);
                }
            }
            Change::RemoveLevel(1, level) if self.threshold().len() > 1 => {
                let levels = self.threshold();
                drop(levels.remove(level.index(levels.len())));
            }
            Change::RemoveLevel(..) => (),
            Change::AddLevel(program, level) => {
                self.levels_made += 1;
                let name = format!("N{}", self.levels_made);
                if *program == 0 {
                    let levels = self.journey();
                    let milestones = vec![(1, amount(11))];
                    let own = LevelDraft { name, count_max: 2, next: None, previous: None, milestones };
                    levels.insert(level.index(levels.len() + 1), own);
                } else {
                    let levels = self.threshold();
                    let place = level.index(levels.len()) + 1;
                    let below = levels[place - 1].1.minor_units();
                    let above = levels.get(place).map_or(below + 600, |own| own.1.minor_units());
                    if below + 1 < above {
                        levels.insert(place, (name, amount((below + above) / 2)));
                    }
                }
            }
            Change::CountMax(level, count_max) => {
                let levels = self.journey();
                let own = level.index(levels.len());
                levels[own].count_max = *count_max;
                levels[own].milestones.retain(|(at, _)| at <= count_max);
            }
            Change::Bound(level, more) => {
                let levels = self.threshold();
                let place = level.index(levels.len());
                let wanted = levels[place].1.minor_units() + more;
                let is_above = place > 0 && levels[place - 1].1.minor_units() < wanted;
                if is_above && levels.get(place + 1).is_none_or(|own| wanted < own.1.minor_units()) {
                    levels[place].1 = amount(wanted);
                }
            }
            Change::MustExist(must_exist) => {
                self.all.unknown_customer =
                    if *must_exist { UnknownCustomer::MustExist } else { UnknownCustomer::AutoCreate };
            }
            Change::Clock(by_occurred) => {
                self.all.clock = if *by_occurred { RuleClock::Occurred } else { RuleClock::Received };
            }
            Change::Rename(program, level) => {
                self.levels_made += 1;
                let to = format!("N{}", self.levels_made);
                let from = if *program == 0 {
                    let levels = self.journey();
                    let place = level.index(levels.len());
                    let from = std::mem::replace(&mut levels[place].name, to.clone());
                    for own in levels {
                        own.previous = own.previous.take().map(|name| if name == from { to.clone() } else { name });
                    }
                    from
                } else {
                    let levels = self.threshold();
                    let place = level.index(levels.len());
                    std::mem::replace(&mut levels[place].0, to.clone())
                };
                self.all.programs[*program].renames = vec![LevelRename { from, to }];
            }
            Change::AddProgram if self.all.programs.len() == 2 => {
                let levels = [("T0", 0), ("T1", 400), ("T2", 1_500)];
                let levels = levels.map(|(name, bound)| (name.to_string(), amount(bound)));
                let policy = PolicyDraft::Threshold(levels.into());
                self.all.programs.push(ProgramDraft { name: "Late".into(), renames: Vec::new(), policy });
            }
            Change::AddProgram => (),
            Change::Toggle(name) => {
                if !self.out.remove(name) {
                    self.out.insert(name);
                }
            }
        }
    }
}
