//! The second ledger: what is remembered, the books, what time and changes of the rules do, and keys.
//!
//! It reads the rules as data from the catalogue that holds, so that ids agree, and decides by itself: see
//! [`super::purchases`], [`super::operations`] and [`super::refunds`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kembali_core::accounts::HouseAccount;
use kembali_core::catalogue::{Catalogue, RuleClock, TierPolicy};
use kembali_core::journey::Remark;
use kembali_core::operation::Actor;
use kembali_core::risk::RiskKind;
use kembali_core::totals::PromoTotals;
use kembali_core::{RuleId, Unit};

use super::commands::{Ask, Buy, Refund, Verb};
use super::refunds::Back;

pub(super) const LIMIT: i128 = 9_007_199_254_740_991;
pub(super) const SECOND: i64 = 1_000_000;
pub(super) const DAY: i64 = 86_400 * SECOND;
/// The day of points that live for ever.
pub(super) const NEVER: i64 = i64::MAX;

/// Why something is refused.
pub(super) type Code = &'static str;

/// An account of the books. Every movement has two of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Account {
    /// Whose, and which.
    Wallet(u8, u16),
    /// Whose points, of which kind, gone on which day, granted by which rule, to be spent from which day on: in the order
    /// in which they are spent.
    Lot(u8, RuleId, i64, RuleId, i64),
    House(Unit, HouseAccount),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Active,
    Frozen,
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) wallet: u16,
    pub(super) partner: u32,
    pub(super) amount: i128,
    pub(super) ends: i64,
}

/// How often a campaign was completed, and how far each of its fulfillments is since: how much, and whether it is met.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Campaigning {
    pub(super) completions: u32,
    pub(super) progress: BTreeMap<RuleId, (i128, bool)>,
}

#[derive(Clone, Debug)]
pub(super) struct Person {
    /// The version of the rules of the last record of this customer.
    pub(super) version: usize,
    pub(super) purchases: u64,
    pub(super) wallets: BTreeMap<u16, Status>,
    pub(super) placed: u32,
    pub(super) holds: BTreeMap<u32, Held>,
    /// Level, count, latest purchase; by programme.
    pub(super) journeys: BTreeMap<RuleId, (RuleId, u32, i64)>,
    /// Level, and all that was spent; by programme.
    pub(super) spends: BTreeMap<RuleId, (RuleId, i128)>,
    pub(super) campaigns: BTreeMap<RuleId, Campaigning>,
    /// What risk rules may ask for: when, what, how much.
    pub(super) risky: Vec<(i64, RiskKind, i128)>,
    pub(super) is_erased: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InvoiceState {
    Open,
    Paid,
    Cancelled,
    Reversed,
}

#[derive(Clone, Debug)]
pub(super) struct Invoice {
    pub(super) number: String,
    pub(super) partner: u32,
    pub(super) amount: i128,
    pub(super) ends: i64,
    pub(super) state: InvoiceState,
}

/// A purchase that is booked, with what its record says that it earned.
#[derive(Clone, Debug)]
pub(super) struct Bought {
    pub(super) buy: Buy,
    pub(super) seq: u64,
    pub(super) version: usize,
    /// The promo, what it paid, and whose expense that is.
    pub(super) promo: Option<(RuleId, i128, HouseAccount)>,
    pub(super) loyalty: i128,
    pub(super) cashback: Vec<Granted>,
    pub(super) completed: Vec<Completed>,
    pub(super) back: Back,
    pub(super) refunds: BTreeMap<u8, (Refund, u64)>,
}

/// Points of a cashback rule or a reward.
#[derive(Clone, Copy, Debug)]
pub(super) struct Granted {
    pub(super) source: RuleId,
    pub(super) kind: RuleId,
    pub(super) day: i64,
    /// From which day on they can be spent; 0 for at once.
    pub(super) from_day: i64,
    pub(super) points: i128,
}

/// What a reward paid.
#[derive(Clone, Copy, Debug)]
pub(super) enum Paid {
    Points(Granted),
    Money(RuleId, i128),
}

/// A campaign that a purchase completed: what that purchase met, with how far it was before, and what was paid.
#[derive(Clone, Debug)]
pub(super) struct Completed {
    pub(super) campaign: RuleId,
    pub(super) met: Vec<(RuleId, i128)>,
    pub(super) paid: Vec<Paid>,
}

/// An operation that was done: by whom, what it moved, and which invoice it paid.
#[derive(Clone, Debug)]
pub(super) struct Done {
    pub(super) who: u8,
    /// False of what is never reversed.
    pub(super) can_be_reversed: bool,
    /// Debit, credit, how much.
    pub(super) moved: Vec<(Account, Account, i128)>,
    pub(super) invoice: Option<String>,
    pub(super) is_reversed: bool,
}

/// Whose operations are counted, of all customers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Party {
    Partner(u32),
    Device(u8),
}

/// An operation that was set aside.
#[derive(Clone, Debug)]
pub(super) struct Review {
    pub(super) ask: Ask,
    pub(super) is_open: bool,
}

/// What a key of an operation was used for.
#[derive(Clone, Debug)]
pub(super) struct Used {
    asked: Ask,
    seq: u64,
    stamp: i64,
}

/// What is summed up beside the books.
#[derive(Clone, Debug, Default)]
pub(super) struct Sums {
    pub(super) promos: BTreeMap<RuleId, PromoTotals>,
    pub(super) remarks: BTreeMap<(RuleId, Remark), u64>,
    /// How often, and how much.
    pub(super) cashback: BTreeMap<RuleId, (u64, i128)>,
    pub(super) rewards: BTreeMap<RuleId, (u64, i128)>,
    /// How many units, and for how many points.
    pub(super) offers: BTreeMap<RuleId, (u64, i128)>,
}

/// The second ledger.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    /// Every version of the rules, from 1.
    pub(super) versions: Vec<Arc<Catalogue>>,
    pub(super) people: BTreeMap<u8, Person>,
    /// What the command moves: debit, credit, how much.
    pub(super) moved: Vec<(Account, Account, i128)>,
    /// Debits less credits.
    pub(super) books: BTreeMap<Account, i128>,
    pub(super) bought: Vec<Bought>,
    pub(super) used: BTreeMap<RuleId, u64>,
    pub(super) redeemed: BTreeMap<RuleId, u64>,
    pub(super) invoices: Vec<Invoice>,
    /// The operations of customers that were done, by their records.
    pub(super) done: BTreeMap<u64, Done>,
    /// What rules of partners and devices ask for: whose, when, what, how much.
    pub(super) counted: Vec<(Party, i64, RiskKind, i128)>,
    /// The records of the checks that are archived.
    pub(super) archived: BTreeSet<u64>,
    /// What was set aside, by its records.
    pub(super) reviews: BTreeMap<u64, Review>,
    pub(super) keys: BTreeMap<((u8, u128), u32), Used>,
    pub(super) refused: BTreeMap<(u32, u16), (Code, Buy)>,
    pub(super) shortfall: i128,
    pub(super) sums: Sums,
    pub(super) refunded: i128,
    pub(super) seq: u64,
    /// The ledger's clock.
    pub(super) stamp: i64,
    pub(super) watermark: Option<i64>,
    /// The risk rule that flags the operation, if one does.
    pub(super) flagged: Option<RuleId>,
    /// What has happened at least once, for the test that asks whether the histories reach it.
    pub(super) notes: BTreeSet<&'static str>,
}

impl Model {
    pub(super) fn rules(&self) -> Arc<Catalogue> {
        Arc::clone(self.versions.last().expect("a catalogue was applied"))
    }

    pub(super) fn money(&self) -> Unit {
        self.rules().unit()
    }

    pub(super) fn note(&mut self, what: &'static str) {
        self.notes.insert(what);
    }

    pub(super) fn create(&mut self, who: u8) {
        let person = Person {
            version: self.versions.len(),
            purchases: 0,
            wallets: BTreeMap::from([(0, Status::Active)]),
            placed: 0,
            holds: BTreeMap::new(),
            journeys: BTreeMap::new(),
            spends: BTreeMap::new(),
            campaigns: BTreeMap::new(),
            risky: Vec::new(),
            is_erased: false,
        };
        self.people.insert(who, person);
    }

    pub(super) fn person(&mut self, who: u8) -> &mut Person {
        self.people.get_mut(&who).expect("somebody is there")
    }

    pub(super) fn house(&self, account: HouseAccount) -> Account {
        Account::House(self.money(), account)
    }

    pub(super) fn post(&mut self, debit: Account, credit: Account, amount: i128) {
        self.moved.push((debit, credit, amount));
        *self.books.entry(debit).or_default() += amount;
        *self.books.entry(credit).or_default() -= amount;
    }

    /// What the house owes: credits less debits.
    pub(super) fn owed(&self, account: Account) -> i128 {
        -self.books.get(&account).copied().unwrap_or(0)
    }

    pub(super) fn balance(&self, who: u8, wallet: u16) -> i128 {
        self.owed(Account::Wallet(who, wallet))
    }

    /// The lots of a customer that are not empty, in the order in which they are spent.
    pub(super) fn lots(&self, who: u8, kind: Option<RuleId>) -> Vec<(Account, i128)> {
        let is_own = |account: &Account| match account {
            Account::Lot(own, its, ..) => *own == who && kind.is_none_or(|kind| kind == *its),
            _ => false,
        };
        let own = self.books.iter().filter(|(account, net)| is_own(account) && **net != 0);
        own.map(|(account, net)| (*account, -net)).collect()
    }

    pub(super) fn points(&self, who: u8, kind: RuleId) -> i128 {
        self.lots(who, Some(kind)).iter().map(|(_, points)| points).sum()
    }

    /// Now, as the rules see it.
    pub(super) fn now(&self) -> i64 {
        match self.rules().clock {
            RuleClock::Received => self.stamp,
            RuleClock::Occurred => self.watermark.unwrap_or(self.stamp),
        }
    }

    /// The instant that the rules see of what occurred then.
    pub(super) fn rule_time(&self, occurred: Option<i64>) -> Result<i64, Code> {
        match (self.rules().clock, occurred) {
            (RuleClock::Occurred, Some(occurred)) if self.stamp + DAY < occurred => Err("occurred_in_future"),
            (RuleClock::Occurred, Some(occurred)) => Ok(occurred),
            _ => Ok(self.stamp),
        }
    }

    /// Moves "now" if what was accepted says when it occurred, and that is what the rules saw.
    pub(super) fn occurred(&mut self, occurred: Option<i64>, at: i64) {
        self.watermark = self.watermark.max(occurred.filter(|occurred| *occurred == at));
    }

    /// Does to a customer what time and changes of the rules have done. Returns true when that is something.
    pub(super) fn catch_up(&mut self, who: u8, at: i64) -> bool {
        let mut has_changed = false;
        for version in self.person(who).version..self.versions.len() {
            has_changed |= self.place(who, version);
        }
        self.person(who).version = self.versions.len();
        for (lot, points) in self.lots(who, None) {
            let Account::Lot(_, kind, day, ..) = lot else { continue };
            if day != NEVER && day * DAY <= at {
                self.post(lot, Account::House(Unit::Points(kind), HouseAccount::PointsExpired), points);
                self.note("points expire");
                has_changed = true;
            }
        }
        let holds = &mut self.person(who).holds;
        let before = holds.len();
        holds.retain(|_, held| at < held.ends);
        if holds.len() < before {
            self.note("a hold expires");
            has_changed = true;
        }
        has_changed
    }

    /// Places a customer whose level the version after `version` has not any more.
    fn place(&mut self, who: u8, version: usize) -> bool {
        let (old, new) = (Arc::clone(&self.versions[version - 1]), Arc::clone(&self.versions[version]));
        let person = self.person(who);
        let mut notes = Vec::new();
        for program in &new.programs {
            let levels = |rules: &Catalogue| -> Vec<RuleId> {
                let program = rules.programs.iter().find(|own| own.id == program.id);
                program.map(|own| own.levels().map(|(id, _)| id).collect()).unwrap_or_default()
            };
            let (before, after) = (levels(&old), levels(&new));
            match &program.policy {
                TierPolicy::Journey(_) => {
                    let Some((level, count, _)) = person.journeys.get_mut(&program.id) else { continue };
                    if after.contains(level) {
                        continue;
                    }
                    let below = before.iter().take_while(|own| *own != level).filter(|own| after.contains(own)).last();
                    (*level, *count) = (below.copied().unwrap_or(after[0]), 0);
                    notes.push("placed in a journey");
                }
                TierPolicy::Threshold(threshold) => {
                    let Some((level, spent)) = person.spends.get_mut(&program.id) else { continue };
                    if after.contains(level) {
                        continue;
                    }
                    *level = reached(threshold, *spent);
                    notes.push("placed by what was spent");
                }
            }
        }
        let is_placed = !notes.is_empty();
        self.notes.extend(notes);
        is_placed
    }

    /// Writes down for everybody what nobody looked at.
    pub(super) fn sweep(&mut self) {
        for who in self.people.keys().copied().collect::<Vec<_>>() {
            let before = self.people[&who].version;
            if self.catch_up(who, self.now()) {
                self.seq += 1;
                self.note("a sweep writes");
            } else {
                self.person(who).version = before;
            }
        }
    }

    /// Says what becomes of an operation, and does it.
    pub(super) fn ask(&mut self, ask: &Ask) -> String {
        let asked = Ask { dry: false, ..ask.clone() };
        let key = (caller(ask.actor), ask.key);
        let mut open = self.reviews.values().filter(|review| review.is_open);
        let waits = open.any(|review| (caller(review.ask.actor), review.ask.key) == key);
        if let Some(used) = self.keys.get(&key).filter(|used| waits || self.stamp < used.stamp + 30 * DAY) {
            return format!("{} {}", if used.asked == asked { "known" } else { "reused" }, used.seq);
        }
        let before = self.clone();
        self.flagged = None;
        let said = self.operate(ask);
        if ask.dry || !matches!(said, Said::Done { .. } | Said::Declined { .. } | Said::SetAside) {
            *self = Model { flagged: self.flagged, ..before };
        }
        let (answer, records) = match said {
            Said::Done { records } => ("done".into(), records),
            Said::SetAside => ("set aside".into(), 1),
            Said::Unchanged => ("unchanged".into(), 0),
            Said::Refused(code) => (format!("refused {code}"), 1),
            Said::Declined { code, records } => (format!("refused {code}"), records),
        };
        if 0 < records && !ask.dry {
            self.seq += records;
            if let Said::SetAside = said {
                self.reviews.insert(self.seq, Review { ask: asked.clone(), is_open: true });
            }
            // The key of whoever had asked leads to the end as well.
            let inner = match ask.verb {
                Verb::Release(seq) | Verb::Reject(seq) if !matches!(said, Said::Refused(_)) => {
                    let review = self.reviews.get_mut(&seq).expect("what is closed was opened");
                    review.is_open = false;
                    Some(review.ask.clone())
                }
                _ => None,
            };
            let is_release = matches!(ask.verb, Verb::Release(_));
            self.remember(inner.as_ref().filter(|_| is_release).unwrap_or(ask), &said);
            let (seq, stamp) = (self.seq, self.stamp);
            for asked in inner.into_iter().chain([asked]) {
                self.keys.insert((caller(asked.actor), asked.key), Used { asked, seq, stamp });
            }
            return answer;
        }
        match said {
            Said::Done { .. } | Said::SetAside => "would".into(),
            Said::Unchanged => answer,
            Said::Refused(_) | Said::Declined { .. } => format!("{answer}, unwritten"),
        }
    }
}

/// What becomes of an operation that was not asked before.
pub(super) enum Said {
    Done {
        records: u64,
    },
    /// A risk rule sets it aside.
    SetAside,
    Unchanged,
    /// That is sticky, as what is done is.
    Refused(Code),
    /// By the target of a transfer: sent, declined, returned.
    Declined {
        code: Code,
        records: u64,
    },
}

/// Each partner and each account has keys of its own, and whoever holds the server's token shares them.
fn caller(actor: Actor) -> (u8, u128) {
    match actor {
        Actor::Operator => (0, 0),
        Actor::Partner(partner) => (1, u128::from(partner.0)),
        Actor::Person(account, _) => (2, account.0),
        Actor::Server => (3, 0),
    }
}

pub(super) fn add(sums: &mut BTreeMap<RuleId, (u64, i128)>, rule: RuleId, count: u64, amount: i128) {
    let own = sums.entry(rule).or_default();
    *own = (own.0 + count, own.1 + amount);
}

impl Paid {
    pub(super) fn reward(&self) -> RuleId {
        match self {
            Paid::Points(granted) => granted.source,
            Paid::Money(reward, _) => *reward,
        }
    }

    pub(super) fn amount(&self) -> i128 {
        match self {
            Paid::Points(granted) => granted.points,
            Paid::Money(_, amount) => *amount,
        }
    }
}

/// The highest level whose bound a sum reaches, or the lowest.
pub(super) fn reached(threshold: &kembali_core::catalogue::Threshold, spent: i128) -> RuleId {
    let own = threshold.levels.iter().rfind(|level| i128::from(level.spent_min.minor_units()) <= spent);
    own.unwrap_or(&threshold.levels[0]).id
}

/// `amount * text`, half up, where the text is a decimal number of at most 8 places.
pub(super) fn share(amount: i128, text: &str, hundreds: i128) -> i128 {
    let (whole, places) = text.split_once('.').unwrap_or((text, ""));
    let scaled: i128 = format!("{whole}{places:0<8}").parse().expect("a decimal number");
    let unit = 100_000_000 * hundreds;
    (amount * scaled * 2 + unit) / (unit * 2)
}
