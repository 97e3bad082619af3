//! A second ledger, as simple as can be: plain integers and maps, one purchase after another, no code of the rules.
//!
//! Its rules are read off KezBek's and written down again here, so that a mistake has to be made twice to go unseen.

use std::collections::{BTreeMap, HashMap};

use kembali_core::catalogue::{AtMaximum, RuleClock, UnknownCustomer, UnknownPromo};
use kembali_core::draft::{BandDraft, CatalogueDraft, JourneyDraft, LevelDraft, PolicyDraft, ProgramDraft, PromoDraft};
use kembali_core::{Instant, Percent};

use crate::support::{amount, kezbek};

const LIMIT: i128 = 9_007_199_254_740_991;
const DAY: i64 = 86_400_000_000;

/// The rules of one tenant.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) must_exist: bool,
    pub(crate) ignore_unknown: bool,
    pub(crate) by_occurred: bool,
    pub(crate) promos: Vec<Promo>,
    pub(crate) programs: Vec<Program>,
}

#[derive(Clone, Debug)]
pub(crate) struct Promo {
    pub(crate) quota: u64,
    pub(crate) first: i64,
    pub(crate) last: i64,
    pub(crate) payer: Option<u32>,
    pub(crate) bands: Vec<Band>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Band {
    pub(crate) quantity: i64,
    pub(crate) or_more: bool,
    pub(crate) min: i64,
    pub(crate) end: Option<i64>,
    /// Millionths of a percent.
    pub(crate) micro: i128,
}

#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) down_days: i64,
    pub(crate) reset_days: i64,
    pub(crate) levels: Vec<Level>,
}

#[derive(Clone, Debug)]
pub(crate) struct Level {
    pub(crate) max: u32,
    /// Where a long gap leads, if not to the level before.
    pub(crate) previous: Option<usize>,
    pub(crate) milestones: BTreeMap<u32, i64>,
}

/// Where a customer stands: level, count, last purchase.
pub(crate) type Place = (usize, u32, i64);

/// A purchase, as asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Buy {
    pub(crate) who: u8,
    pub(crate) by_id: bool,
    pub(crate) amount: i64,
    pub(crate) quantity: i64,
    pub(crate) code: Option<u8>,
    pub(crate) partner: u32,
    pub(crate) key: u8,
    pub(crate) occurred: Option<i64>,
    pub(crate) dry: bool,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Person {
    pub(crate) balance: i128,
    pub(crate) places: BTreeMap<usize, Place>,
}

/// The second ledger.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    pub(crate) people: BTreeMap<u8, Person>,
    pub(crate) used: BTreeMap<usize, u64>,
    pub(crate) promo_expense: BTreeMap<u32, i128>,
    pub(crate) loyalty_expense: i128,
    pub(crate) amount: i128,
    pub(crate) accepted: u64,
    pub(crate) seq: u64,
    booked: HashMap<(u32, u8), u64>,
    refused: HashMap<(u32, u8), (&'static str, Buy)>,
}

struct Outcome {
    promo: Option<(usize, Result<i128, String>)>,
    steps: Vec<(Place, &'static str, i128)>,
    total: i128,
}

impl Program {
    /// KezBek's step. Returns the place, the remark, and what a milestone pays.
    pub(crate) fn step(&self, before: Option<Place>, at: i64) -> (Place, &'static str, i128) {
        let Some((level, count, last)) = before else { return ((0, 1, at), " FIRST", 0) };
        let top = self.levels.len() - 1;
        let days = (at - last).div_euclid(DAY);
        let (level, count, remark) = if self.reset_days < days {
            (0, 1, " RESET")
        } else if self.down_days < days {
            (self.levels[level].previous.unwrap_or(level.max(1) - 1), 1, " DOWNGRADE")
        } else if count < self.levels[level].max {
            (level, count + 1, "")
        } else if level == top {
            (level, count + 1, " MAX")
        } else {
            (level + 1, 1, " UPGRADE")
        };
        let paid = self.levels[level].milestones.get(&count).filter(|_| remark != " MAX").copied().unwrap_or(0);
        ((level, count, last.max(at)), remark, i128::from(paid))
    }
}

impl Model {
    /// Books, or says why not; `now` is the ledger's clock. Returns the line that a script would show.
    pub(crate) fn buy(&mut self, rules: &Rules, now: i64, buy: &Buy) -> String {
        let key = (buy.partner, buy.key);
        if let Some(seq) = self.booked.get(&key) {
            return format!("known {seq}");
        }
        let earlier = self.refused.get(&key).map(|refused| refused.0);
        match self.decide(rules, now, buy) {
            Err(code) => {
                let content = Buy { dry: false, ..buy.clone() };
                if self.refused.get(&key) == Some(&(code, content.clone())) {
                    return format!("refused {code}, replayed");
                }
                if !buy.dry {
                    self.seq += 1;
                    self.refused.insert(key, (code, content));
                }
                format!("refused {code}")
            }
            Ok(outcome) => {
                let mut parts = Vec::new();
                let known = self.people.get(&buy.who);
                parts.extend(known.is_none().then(|| "new".to_string()));
                parts.extend(earlier.map(|code| format!("replaces {code}")));
                parts.extend(outcome.promo.as_ref().map(|(_, promo)| match promo {
                    Ok(points) => format!("promo {points}"),
                    Err(reason) => reason.clone(),
                }));
                for ((level, count, _), remark, paid) in &outcome.steps {
                    parts.push(format!("L{level} {count}{remark}"));
                    parts.extend((*paid != 0).then(|| format!("milestone {paid}")));
                }
                let balance = known.map_or(0, |person| person.balance) + outcome.total;
                parts.extend((outcome.total != 0).then(|| format!("balance {balance}")));
                let line = parts.join(", ");
                if buy.dry {
                    return format!("would: {line}");
                }
                self.book(rules, buy, outcome);
                line
            }
        }
    }

    fn book(&mut self, rules: &Rules, buy: &Buy, outcome: Outcome) {
        self.seq += 1;
        self.booked.insert((buy.partner, buy.key), self.seq);
        self.refused.remove(&(buy.partner, buy.key));
        self.accepted += 1;
        self.amount += i128::from(buy.amount);
        let person = self.people.entry(buy.who).or_default();
        person.balance += outcome.total;
        if let Some((promo, Ok(points))) = outcome.promo {
            *self.used.entry(promo).or_default() += 1;
            *self.promo_expense.entry(rules.promos[promo].payer.unwrap_or(buy.partner)).or_default() += points;
        }
        for (program, (place, _, paid)) in outcome.steps.into_iter().enumerate() {
            person.places.insert(program, place);
            self.loyalty_expense += paid;
        }
    }

    fn decide(&self, rules: &Rules, now: i64, buy: &Buy) -> Result<Outcome, &'static str> {
        let person = self.people.get(&buy.who);
        if person.is_none() && (buy.by_id || rules.must_exist) {
            return Err("customer_unknown");
        }
        if buy.amount <= 0 {
            return Err("amount_not_positive");
        }
        if LIMIT < i128::from(buy.amount) {
            return Err("amount_too_large");
        }
        if buy.quantity <= 0 {
            return Err("quantity_not_positive");
        }
        let mut at = now;
        if let (true, Some(occurred)) = (rules.by_occurred, buy.occurred) {
            if now + DAY < occurred {
                return Err("occurred_in_future");
            }
            at = occurred;
        }
        let mut promo = None;
        if let Some(code) = buy.code {
            match rules.promos.get(usize::from(code)) {
                Some(own) => promo = Some((usize::from(code), self.promo(own, usize::from(code), at, buy))),
                None if rules.ignore_unknown => (),
                None => return Err("promo_unknown"),
            }
        }
        let place = |program: usize| person.and_then(|person| person.places.get(&program)).copied();
        let steps: Vec<_> = rules.programs.iter().enumerate().map(|(id, own)| own.step(place(id), at)).collect();
        let loyalty: i128 = steps.iter().map(|step| step.2).sum();
        let total = loyalty + promo.as_ref().and_then(|own| own.1.as_ref().ok()).copied().unwrap_or(0);
        if total != 0 && LIMIT < person.map_or(0, |person| person.balance) + total {
            return Err("balance_too_large");
        }
        Ok(Outcome { promo, steps, total })
    }

    fn promo(&self, promo: &Promo, id: usize, at: i64, buy: &Buy) -> Result<i128, String> {
        if at < promo.first || promo.last < at {
            return Err("outside period".into());
        }
        let fits = |band: &&Band| {
            (band.quantity == buy.quantity || (band.or_more && band.quantity < buy.quantity))
                && band.min <= buy.amount
                && band.end.is_none_or(|end| buy.amount < end)
        };
        let band = promo.bands.iter().find(fits).ok_or("no band")?;
        let points = (i128::from(buy.amount) * band.micro + 50_000_000) / 100_000_000;
        if points == 0 {
            return Err("rounds to zero".into());
        }
        if promo.quota <= self.used.get(&id).copied().unwrap_or(0) {
            return Err(format!("exhausted {} of {points}", promo.quota));
        }
        Ok(points)
    }
}

impl Rules {
    /// Writes the same rules as an operator would.
    pub(crate) fn draft(&self) -> CatalogueDraft {
        CatalogueDraft {
            clock: if self.by_occurred { RuleClock::Occurred } else { RuleClock::Received },
            unknown_customer: if self.must_exist { UnknownCustomer::MustExist } else { UnknownCustomer::AutoCreate },
            unknown_promo: if self.ignore_unknown { UnknownPromo::Ignore } else { UnknownPromo::Refuse },
            promos: self.promos.iter().enumerate().map(|(id, promo)| promo.draft(id)).collect(),
            programs: self.programs.iter().enumerate().map(|(id, program)| program.draft(id)).collect(),
            ..kezbek()
        }
    }
}

impl Promo {
    fn draft(&self, id: usize) -> PromoDraft {
        let band = |band: &Band| BandDraft {
            quantity: u32::try_from(band.quantity).unwrap(),
            or_more: band.or_more,
            amount_min: amount(band.min),
            amount_end: band.end.map(amount),
            percent: Percent::parse(&format!("{}.{:06}", band.micro / 1_000_000, band.micro % 1_000_000)).unwrap(),
        };
        PromoDraft {
            code: format!("P{id}"),
            quota: self.quota,
            starts_at: Instant(self.first),
            ends_at: Instant(self.last),
            funded_by: self.payer.map(|payer| ["bukalapak", "tokopedia"][payer as usize - 1].into()),
            bands: self.bands.iter().map(band).collect(),
        }
    }
}

impl Program {
    fn draft(&self, id: usize) -> ProgramDraft {
        let level = |(index, level): (usize, &Level)| LevelDraft {
            name: format!("L{index}"),
            count_max: level.max,
            next: None,
            previous: level.previous.map(|previous| format!("L{previous}")),
            milestones: level.milestones.iter().map(|(at, points)| (*at, amount(*points))).collect(),
        };
        ProgramDraft {
            name: format!("Programme {id}"),
            renames: Vec::new(),
            policy: PolicyDraft::Journey(JourneyDraft {
                downgrade_after_days: u32::try_from(self.down_days).unwrap(),
                reset_after_days: u32::try_from(self.reset_days).unwrap(),
                at_maximum: AtMaximum::PayNothing,
                levels: self.levels.iter().enumerate().map(level).collect(),
            }),
        }
    }
}
