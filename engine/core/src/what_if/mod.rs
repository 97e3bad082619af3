//! What if: the purchases and operations of a tenant, decided again under other rules, beside what really happened.
//!
//! A second state of the one tenant is built: up to a position it is the fold of the records, from there on every booked
//! purchase goes through the same [`admit`] and [`decide`] as it did then, with the stamp that it had, and what these say
//! is folded into the second state. So quotas, tiers, cashback rules and campaigns act on each other as they would have.
//!
//! Customers whose level is gone are placed in the second state as the ledger places them: with the next purchase, by the
//! record that did it, or, where the wanted rules are those that remove the level, once they hold. Points expire in it as
//! they did: with the next purchase, or by the record of a sweep.
//!
//! Operations are asked again too, each as it was asked, at its place among the purchases: activities advance the wanted
//! campaigns; deposits, adjustments, wallets and levels moved by hand act on what the customer would have had by then. So
//! money is moved as it was, and a level is moved up or down from where the customer would have stood. What then cannot
//! be, such as taking more out of a wallet than would have been in it, is refused and counted. A refund claws back what
//! the purchase had earned in the second state, and a reversal takes back what the operation had done there; for that the
//! records of what is taken back are kept, which are those that [`WhatIf::expect`] was told of. What is set aside for a person
//! is released or rejected where that happened, if it is set aside in the second state; where that does something at once
//! that was set aside, what became of it plays no part, and what only the second state sets aside stays there.
//!
//! Any other record that books no purchase is left out and counted: an event carries outcomes, which another history
//! would not have had. [`kind_of`] is the place to say more about a new kind of record.

mod operations;
mod people;
mod quota;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

pub use people::{People, Side};
pub use quota::RanOut;

use self::people::{Differences, Moved};
use self::quota::QuotaWatch;
use crate::catalogue::Catalogue;
use crate::command::PurchaseCommand;
use crate::customer::{Decision, Row, decide};
use crate::desk::{Admission, Desk, DeskPiece, Reservations, admit};
use crate::event::{Body, Event, PurchaseBooked, Record};
use crate::hold::HoldId;
use crate::identity::{Alias, CustomerId, CustomerName, PurchaseKey, RuleId, TenantId, Unit};
use crate::ledger::Inconsistency;
use crate::maps::{Map, Set};
use crate::quantity::{Instant, Seq};
use crate::rejection::RejectionCode;
use crate::totals::TenantTotals;
use crate::upkeep;

/// The purchases of one tenant, decided again as their records come by.
#[derive(Debug)]
pub struct WhatIf {
    tenant: TenantId,
    wanted: Arc<Catalogue>,
    /// The first position that is decided again.
    from: Seq,
    /// True once that position was reached: the wanted rules hold.
    is_switched: bool,
    /// What the second state holds beside rows. Purchase keys and receipts are not kept: the journal books a key once.
    desk: Desk,
    /// Nothing is ever in flight here.
    nothing_open: Reservations,
    rows: Map<CustomerId, Row>,
    /// Customers whose first purchase the wanted rules refuse, as long as they refuse it.
    nameless: Map<CustomerId, Alias>,
    /// What is taken back somewhere in the range.
    taken_back: TakenBack,
    /// The second state's records of the purchases among these.
    originals: Map<PurchaseKey, Arc<Record>>,
    /// The second state's records of the operations among these, by their positions in the journal.
    reversible: Map<Seq, Arc<Record>>,
    /// The second state's records of what is set aside there, by the positions in the journal of those that asked for it.
    set_aside: Map<Seq, Arc<Record>>,
    /// The second state's records of what it did at once and was set aside then, in the same way.
    done_at_once: Map<Seq, Arc<Record>>,
    /// The position of the record that is being taken.
    recorded_at: Seq,
    /// The numbers that holds have in the second state, of those that have another there; `None` of those that it refuses.
    holds: Map<(CustomerId, HoldId), Option<HoldId>>,
    /// With which code the second state refuses the transfer that is on its way in the records.
    transfer_refused: Option<&'static str>,
    /// The versions of the rules that really held, the oldest first.
    recorded: Vec<Arc<Catalogue>>,
    before: Sums,
    after: Sums,
    differences: Differences,
    purchases: u64,
    refused: BTreeMap<RejectionCode, u64>,
    operations: u64,
    refused_operations: BTreeMap<&'static str, u64>,
    left_out: LeftOut,
}

/// What is taken back somewhere in a range: the records of it are kept until then.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TakenBack {
    /// Purchases that are refunded.
    pub purchases: Set<PurchaseKey>,
    /// Operations that are reversed, by the positions of their records.
    pub operations: Set<Seq>,
}

impl TakenBack {
    /// Notes what a record takes back.
    pub fn note(&mut self, record: &Record) {
        for event in &record.body.events {
            match event {
                Event::PurchaseRefunded(own) => drop(self.purchases.insert(own.purchase)),
                Event::OperationReversed(own) => drop(self.operations.insert(own.operation)),
                _ => (),
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.purchases.is_empty() && self.operations.is_empty()
    }
}

/// One side of the comparison.
#[derive(Clone, Debug, Default)]
struct Sums {
    totals: TenantTotals,
    quota: QuotaWatch,
}

/// Records of the range that are neither a booked purchase nor an operation that was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Refused purchases: their receipts do not hold what was bought, so nobody can decide them again.
    pub refusals: u64,
    /// Refused operations: whoever is refused asks otherwise, so nobody knows what would have been asked instead.
    pub refused_operations: u64,
    /// Changes of the tenant's rules: the wanted ones hold instead.
    pub catalogues: u64,
    /// Whatever else happened.
    pub others: u64,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The rules asked about. Rules that hold now have the ids that they have now.
    pub wanted: Arc<Catalogue>,
    /// The versions that really held up to the end of the range, the oldest first.
    pub recorded: Vec<Arc<Catalogue>>,
    /// Purchases that were decided again.
    pub purchases: u64,
    /// Those of them that the wanted rules refuse.
    pub refused: BTreeMap<RejectionCode, u64>,
    /// Operations that were asked again.
    pub operations: u64,
    /// Those of them that are refused then, by code.
    pub refused_operations: BTreeMap<&'static str, u64>,
    /// Records that were left out.
    pub left_out: LeftOut,
    /// The sums of the range as it was. `customers` and `members` count what is there at its end.
    pub before: TenantTotals,
    /// The sums of the range as it would have been.
    pub after: TenantTotals,
    /// Where the quotas ran out, of promos that had nothing left at the end.
    pub ran_out_before: BTreeMap<RuleId, RanOut>,
    /// Where they would have run out.
    pub ran_out_after: BTreeMap<RuleId, RanOut>,
    /// Who would have got more or less, in each unit in which somebody would.
    pub people: BTreeMap<Unit, People>,
}

/// What a record is to this.
enum Kind {
    Purchase,
    /// An operation was done.
    Operation,
    /// An invoice was opened or cancelled: no rule has a say in that.
    Invoice,
    /// A transfer was sent.
    TransferSent,
    /// A transfer went on, or is over.
    TransferStep,
    Refusal,
    RefusedOperation,
    Catalogue,
    /// A customer's row was brought up to date, and nothing else happened.
    Upkeep,
    Other,
}

/// Says what becomes of a record in the range. Records of kinds that come later are left out until they are named here.
fn kind_of(body: &Body) -> Kind {
    let of_event = |event: &Event| match event {
        Event::TransferSent(_) => Some(Kind::TransferSent),
        Event::TransferCredited(_) | Event::TransferDeclined(_) => Some(Kind::TransferStep),
        Event::TransferSettled(_) | Event::TransferReturned(_) => Some(Kind::TransferStep),
        Event::PurchaseBooked(_) => Some(Kind::Purchase),
        Event::OperationDone(_) | Event::ReviewOpened(_) => Some(Kind::Operation),
        Event::PurchaseRefused(_) => Some(Kind::Refusal),
        Event::OperationRefused(_) => Some(Kind::RefusedOperation),
        Event::CatalogueApplied(_) => Some(Kind::Catalogue),
        _ => None,
    };
    let is_invoice = |event: &Event| matches!(event, Event::InvoiceOpened(_) | Event::InvoiceCancelled(_));
    let is_step = |event: &Event| matches!(event, Event::TransferSettled(_) | Event::TransferReturned(_));
    // The log is of what really happened.
    if body.events.iter().any(|event| matches!(event, Event::RiskCheckArchived(_))) {
        return Kind::Other;
    }
    match body.events.iter().find_map(of_event) {
        // What is done or refused at the end of a transfer was asked at its start.
        Some(Kind::Operation | Kind::RefusedOperation) if body.events.iter().any(is_step) => Kind::TransferStep,
        Some(Kind::Operation) if body.events.iter().any(is_invoice) => Kind::Invoice,
        Some(kind) => kind,
        None if body.events.iter().all(upkeep::is_upkeep) => Kind::Upkeep,
        None => Kind::Other,
    }
}

impl WhatIf {
    /// Starts with nothing. `wanted` was resolved against the tenant's present rules; from `from` on it decides.
    #[must_use]
    pub fn new(wanted: Arc<Catalogue>, from: Seq) -> WhatIf {
        let mut desk = Desk::default();
        for _ in 0..wanted.tenant.0 {
            // Tenants stand in the order of their ids; the ones before this one are empty.
            let piece = DeskPiece::Tenant { watermark: None, has_entries: false };
            desk.restore(piece).expect("a tenant has a place at any time");
        }
        WhatIf {
            tenant: wanted.tenant,
            wanted,
            from,
            is_switched: false,
            desk,
            nothing_open: Reservations::default(),
            rows: Map::default(),
            nameless: Map::default(),
            taken_back: TakenBack::default(),
            originals: Map::default(),
            reversible: Map::default(),
            set_aside: Map::default(),
            done_at_once: Map::default(),
            recorded_at: Seq::ZERO,
            holds: Map::default(),
            transfer_refused: None,
            recorded: Vec::new(),
            before: Sums::default(),
            after: Sums::default(),
            differences: Differences::default(),
            purchases: 0,
            refused: BTreeMap::new(),
            operations: 0,
            refused_operations: BTreeMap::new(),
            left_out: LeftOut::default(),
        }
    }

    /// Tells what is taken back in the range, before the first record is taken. To take back anything else is refused.
    pub fn expect(&mut self, taken_back: TakenBack) {
        self.taken_back = taken_back;
    }

    /// Returns the tenant whose records are looked at; others may be left away.
    #[must_use]
    pub const fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// Returns how many purchases were decided again so far.
    #[must_use]
    pub const fn purchases(&self) -> u64 {
        self.purchases
    }

    /// Lists the customers as they would be now.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.values()
    }

    /// Takes the next record of the journal.
    ///
    /// # Errors
    ///
    /// [`Inconsistency`] when it contradicts those before it; the state is then worthless.
    pub fn take(&mut self, record: Record) -> Result<(), Inconsistency> {
        let Record { seq, body } = record;
        if body.tenant != self.tenant {
            return Ok(());
        }
        self.recorded_at = seq;
        if seq < self.from {
            return self.happened(seq, body);
        }
        self.switch(seq, body.received_at)?;
        match kind_of(&body) {
            Kind::Purchase => return self.again(seq, body),
            Kind::Operation | Kind::TransferSent => return self.operate_again(seq, body),
            Kind::TransferStep => return self.transfer_went_on(seq, &body),
            Kind::Invoice => {
                for event in &body.events {
                    self.before.take(event, seq, body.received_at);
                    self.after.take(event, seq, body.received_at);
                }
                self.fold(body)?;
            }
            Kind::Refusal => self.left_out.refusals += 1,
            Kind::RefusedOperation => self.left_out.refused_operations += 1,
            Kind::Catalogue => {
                self.left_out.catalogues += 1;
                self.note_rules(seq, &body);
            }
            Kind::Upkeep => {
                for event in &body.events {
                    self.before.take(event, seq, body.received_at);
                }
                let customer = body.customer.ok_or(Inconsistency::UnknownTenant(self.tenant))?;
                // What was due then is due in the second state, and no more.
                let due = body.events.iter().filter_map(|event| match event {
                    Event::PointEntry(entry) => entry.expires.instant(),
                    Event::HoldClosed(closed) => Some(closed.hold.expires_at),
                    _ => None,
                });
                let now = due.max().unwrap_or(Instant(i64::MIN));
                self.keep_up(customer, seq, body.received_at, now)?;
            }
            Kind::Other => {
                self.left_out.others += 1;
                self.come_to_be(body)?;
            }
        }
        Ok(())
    }

    /// Folds in what really happened before the range.
    fn happened(&mut self, seq: Seq, mut body: Body) -> Result<(), Inconsistency> {
        match kind_of(&body) {
            Kind::Refusal | Kind::RefusedOperation => Ok(()),
            Kind::Catalogue => {
                self.note_rules(seq, &body);
                body.events.iter().try_for_each(|event| match event {
                    Event::CatalogueApplied(catalogue) => self.hold(catalogue),
                    _ => Ok(()),
                })
            }
            Kind::Purchase
            | Kind::Operation
            | Kind::Invoice
            | Kind::TransferSent
            | Kind::TransferStep
            | Kind::Upkeep
            | Kind::Other => {
                let at = rule_time_of(&body);
                for event in &mut body.events {
                    self.before.take(event, seq, at);
                    // It has another position in the second state.
                    if let Event::ReviewClosed(closed) = event
                        && let Some(opened) = self.set_aside.remove(&closed.review)
                    {
                        closed.review = opened.seq;
                    }
                }
                self.fold(body)
            }
        }
    }

    /// Notes rules that really held from `seq` on.
    fn note_rules(&mut self, seq: Seq, body: &Body) {
        for event in &body.events {
            if let Event::CatalogueApplied(catalogue) = event {
                self.before.quota.hold(catalogue, RanOut { seq, at: body.received_at });
                self.recorded.push(Arc::clone(catalogue));
            }
        }
    }

    /// Makes the wanted rules the ones that hold, once.
    fn switch(&mut self, seq: Seq, at: Instant) -> Result<(), Inconsistency> {
        if self.is_switched {
            return Ok(());
        }
        self.is_switched = true;
        let version = self.desk.catalogue(self.tenant).map_or(0, |present| present.version) + 1;
        let wanted = Arc::new(Catalogue { version, ..Catalogue::clone(&self.wanted) });
        self.hold(&wanted)?;
        // From here on sums are those of the range; what is counted at its end starts with what is there.
        let TenantTotals { customers, ref mut members, .. } = self.before.totals;
        let members = core::mem::take(members);
        self.before.totals = TenantTotals { customers, members, ..TenantTotals::default() };
        self.after = self.before.clone();
        self.after.quota.hold(&wanted, RanOut { seq, at });
        let removals = self.desk.removals(self.tenant);
        if removals.and_then(|removals| removals.last()).is_some_and(|removal| removal.version() == version) {
            let customers: Vec<CustomerId> = self.rows.keys().copied().collect();
            // Only levels went; which points are due, records say.
            let now = Instant(i64::MIN);
            customers.into_iter().try_for_each(|customer| self.keep_up(customer, seq, at, now))?;
        }
        Ok(())
    }

    /// Brings a customer of the second state up to date, as a sweep does that finds `now`. Nothing happens to anybody
    /// else.
    fn keep_up(&mut self, customer: CustomerId, seq: Seq, at: Instant, now: Instant) -> Result<(), Inconsistency> {
        let rules = self.desk.catalogue(self.tenant).zip(self.desk.removals(self.tenant));
        let own = self.rows.get(&customer).zip(rules);
        let Some(body) = own.and_then(|(row, (rules, removals))| upkeep::by_sweep(row, rules, removals, now, at))
        else {
            return Ok(());
        };
        for event in &body.events {
            self.after.take(event, seq, at);
        }
        self.fold(body)
    }

    /// Makes these rules the ones that the second state decides by.
    fn hold(&mut self, catalogue: &Catalogue) -> Result<(), Inconsistency> {
        let piece = DeskPiece::Version(Box::new(catalogue.clone()));
        self.desk.restore(piece).map_err(|_| Inconsistency::UnknownTenant(self.tenant))
    }

    /// Takes what really happened to a customer.
    fn was(&mut self, seq: Seq, body: &Body) -> Result<(CustomerId, Moved), Inconsistency> {
        let customer = body.customer.ok_or(Inconsistency::UnknownTenant(self.tenant))?;
        let at = rule_time_of(body);
        let mut moved = Moved::default();
        for event in &body.events {
            self.before.take(event, seq, at);
            moved.was(event);
        }
        Ok((customer, moved))
    }

    /// Decides a purchase again.
    fn again(&mut self, seq: Seq, body: Body) -> Result<(), Inconsistency> {
        let (customer, mut moved) = self.was(seq, &body)?;
        let received_at = body.received_at;
        let (mut created, mut booked) = (None, None);
        for event in body.events {
            match event {
                Event::CustomerCreated(own) => created = Some(own.alias),
                Event::PurchaseBooked(own) => booked = Some(*own),
                _ => (),
            }
        }
        let Some(PurchaseBooked { partner, key, fingerprint, purchase, .. }) = booked else { return Ok(()) };
        self.purchases += 1;
        // Whom the wanted rules have not created yet is named as at first: nobody could know an id that was never given.
        let alias = created.or_else(|| self.nameless.get(&customer).copied());
        let name = match alias {
            Some(alias) => CustomerName::Alias(alias),
            None => CustomerName::Id(customer),
        };
        let command = Box::new(PurchaseCommand {
            tenant: self.tenant,
            partner,
            key,
            fingerprint,
            customer: name,
            alias_text: None,
            purchase,
            dry_run: false,
            other_records: Vec::new(),
        });
        let rejection = match admit(&self.desk, &self.nothing_open, received_at, &command) {
            Admission::Admitted(terms) => match decide(self.rows.get(&terms.customer), &terms, command) {
                Decision::Decided(body) => {
                    for event in &body.events {
                        self.after.take(event, seq, terms.at);
                        moved.is(event);
                    }
                    self.nameless.remove(&customer);
                    self.differences.add(customer, &moved);
                    return self.fold(body);
                }
                Decision::Refused(rejection, _) => rejection,
            },
            Admission::Refused { rejection, .. } => rejection,
            Admission::Known(_) | Admission::Wait => unreachable!("no key is kept here and nothing is in flight"),
        };
        if self.rows.contains_key(&customer) {
            self.nameless.remove(&customer);
        } else {
            // A customer who is neither there nor made by this record has no record that made it.
            let alias = alias.ok_or(Inconsistency::UnknownCustomer(customer))?;
            self.nameless.insert(customer, alias);
        }
        *self.refused.entry(rejection.code()).or_default() += 1;
        self.differences.add(customer, &moved);
        Ok(())
    }

    /// Takes no more of a record that is left out than that its customer came to be: later purchases may name it.
    fn come_to_be(&mut self, mut body: Body) -> Result<(), Inconsistency> {
        body.events.retain(|event| matches!(event, Event::CustomerCreated(_)));
        if body.events.is_empty() {
            return Ok(());
        }
        for event in &body.events {
            self.before.totals.evolve(event);
            self.after.totals.evolve(event);
        }
        self.fold(body)
    }

    /// Folds what happened, or would have, into the second state.
    fn fold(&mut self, body: Body) -> Result<(), Inconsistency> {
        if let Some(customer) = body.customer {
            if let Some(row) = Row::created_by(&body) {
                self.rows.insert(customer, row);
            }
            self.rows.get_mut(&customer).ok_or(Inconsistency::UnknownCustomer(customer))?.evolve(&body);
        }
        if !self.taken_back.is_empty() {
            self.keep_original(&body);
        }
        // Positions of the second state are its own: what was refused or left out has none there.
        let record = Record { seq: self.desk.last().next(), body };
        self.desk.evolve(&record);
        if record.review().is_some() {
            self.set_aside.insert(self.recorded_at, Arc::new(record));
        }
        self.desk.forget_keys();
        Ok(())
    }

    /// Keeps a purchase or an operation that is taken back later.
    fn keep_original(&mut self, body: &Body) {
        let booked = body.events.iter().find_map(|event| match event {
            Event::PurchaseBooked(booked) => Some(booked.key),
            _ => None,
        });
        let key = booked.filter(|key| self.taken_back.purchases.contains(key));
        let is_reversed = body.operation().is_some() && self.taken_back.operations.contains(&self.recorded_at);
        if key.is_none() && !is_reversed {
            return;
        }
        // Named as it is in the journal: what was reversed before the range is known by that too.
        let record = Arc::new(Record { seq: self.recorded_at, body: body.clone() });
        if is_reversed {
            self.reversible.insert(self.recorded_at, Arc::clone(&record));
        }
        if let Some(key) = key {
            self.originals.insert(key, record);
        }
    }

    /// Ends it, and lists of each side as many as `largest` of the customers with the largest differences.
    ///
    /// # Errors
    ///
    /// As [`WhatIf::take`].
    pub fn finish(mut self, largest: usize) -> Result<Comparison, Inconsistency> {
        // Nothing of the tenant's may lie in the range.
        self.switch(self.from, self.desk.last_received_at())?;
        Ok(Comparison {
            wanted: self.wanted,
            recorded: self.recorded,
            purchases: self.purchases,
            refused: self.refused,
            operations: self.operations,
            refused_operations: self.refused_operations,
            left_out: self.left_out,
            before: self.before.totals,
            after: self.after.totals,
            ran_out_before: self.before.quota.ran_out,
            ran_out_after: self.after.quota.ran_out,
            people: self.differences.summed(largest),
        })
    }
}

impl Sums {
    fn take(&mut self, event: &Event, seq: Seq, at: Instant) {
        self.totals.evolve(event);
        match event {
            Event::PromoGranted(granted) => self.quota.granted(granted.promo, RanOut { seq, at }),
            Event::PurchaseRefunded(refunded) => {
                if let Some(promo) = refunded.returned_unit {
                    self.quota.returned(promo);
                }
            }
            _ => (),
        }
    }
}

/// Returns the instant that the rules saw.
fn rule_time_of(body: &Body) -> Instant {
    let booked = body.events.iter().find_map(|event| match event {
        Event::PurchaseBooked(booked) => Some(booked.at),
        Event::OperationDone(done) => Some(done.at),
        Event::TransferSent(sent) => Some(sent.at),
        Event::ReviewOpened(opened) => Some(opened.at),
        _ => None,
    });
    booked.unwrap_or(body.received_at)
}

impl Comparison {
    /// Returns true when the wanted rules decide every purchase as it was decided.
    ///
    /// Which rules are asked about does not count, only what they do. A quota that differs without anything else
    /// counts only where it runs out.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.before == self.after
            && self.ran_out_before == self.ran_out_after
            && self.refused.is_empty()
            && self.refused_operations.is_empty()
            && self.people.is_empty()
    }
}
