//! The rules driven one command at a time, with neither tickets nor shards nor groups: what every schedule must equal.

use std::sync::Arc;

use kembali_core::catalogue::Catalogue;
use kembali_core::command::{ApplyCatalogue, Command, PurchaseCommand, Query};
use kembali_core::customer::{Decision, decide};
use kembali_core::desk::{self, Admission, Reservations};
use kembali_core::event::{Body, Event, Record};
use kembali_core::ledger::Ledger;
use kembali_core::{Instant, Rejection, RejectionCode, Seq, upkeep};
use kembali_machine::{CustomerView, Outcome, PromoUse};

/// The whole state and how it came to be.
#[derive(Default)]
pub(crate) struct Sequential {
    pub(crate) ledger: Ledger,
    pub(crate) records: Vec<Arc<Record>>,
    pub(crate) stamp: Instant,
}

impl Sequential {
    /// Does one command. Returns `None` for sums, which are of what is durable when they leave.
    pub(crate) fn run(&mut self, now: Instant, command: &Command) -> Option<Outcome> {
        self.stamp = self.stamp.max(now);
        Some(match command {
            Command::Purchase(purchase) => self.purchase(purchase),
            Command::Operation(operation) => self.operate(operation),
            Command::Desk(invoice) => self.invoice(invoice),
            Command::ApplyCatalogue(apply) => self.apply(apply),
            Command::Audit(command) => {
                let rules = Arc::clone(self.ledger.desk.catalogue(command.tenant).unwrap());
                let events = vec![Event::Audited(Box::new(command.audit.clone()))];
                Outcome::Audited(self.write(self.desk_body(&rules, events)).seq)
            }
            Command::Read(Query::Totals { .. }) => return None,
            Command::Read(query) => self.read(query),
        })
    }

    pub(crate) fn stamp(&self) -> Instant {
        self.stamp
    }

    pub(crate) fn write(&mut self, mut body: Body) -> Arc<Record> {
        if let Some(customer) = body.customer {
            body.previous = self.ledger.desk.last_record_of(customer);
        }
        let record = Arc::new(Record { seq: self.ledger.desk.last().next(), body });
        self.ledger.evolve(&record).unwrap();
        self.records.push(Arc::clone(&record));
        record
    }

    pub(crate) fn desk_body(&self, rules: &Catalogue, events: Vec<Event>) -> Body {
        let (received_at, customer, previous) = (self.stamp, None, Seq::ZERO);
        let (tenant, catalogue_version) = (rules.tenant, rules.version);
        Body { received_at, tenant, catalogue_version, customer, previous, events }
    }

    fn purchase(&mut self, command: &PurchaseCommand) -> Outcome {
        let terms = match desk::admit(&self.ledger.desk, &Reservations::default(), self.stamp, command) {
            Admission::Admitted(terms) => terms,
            Admission::Known(seq) => return Outcome::Known(seq, Box::new(command.clone())),
            Admission::Wait => panic!("nothing is open, and yet it waits"),
            Admission::Refused { rejection, replaces, replayed } => {
                return self.refuse(command, rejection, replaces, replayed);
            }
        };
        match decide(self.ledger.rows.get(&terms.customer), &terms, Box::new(command.clone())) {
            Decision::Decided(body) if command.dry_run => {
                Outcome::WouldBook { body: Box::new(body), catalogue: terms.catalogue }
            }
            Decision::Decided(body) => Outcome::Booked { record: self.write(body), catalogue: terms.catalogue },
            Decision::Refused(rejection, _) => {
                let receipt = self.ledger.desk.receipt(command.key);
                let wanted = (rejection.code(), command.fingerprint);
                let replayed = receipt.is_some_and(|receipt| (receipt.code, receipt.fingerprint) == wanted);
                self.refuse(command, rejection, terms.replaces, replayed)
            }
        }
    }

    fn refuse(
        &mut self,
        command: &PurchaseCommand,
        rejection: Rejection,
        replaces: Option<RejectionCode>,
        replayed: bool,
    ) -> Outcome {
        if !replayed && !command.dry_run {
            let rules = Arc::clone(self.ledger.desk.catalogue(command.tenant).unwrap());
            let events = desk::refusal(command.clone(), &rejection, replaces);
            self.write(self.desk_body(&rules, events));
        }
        Outcome::Refused { rejection, replayed }
    }

    fn apply(&mut self, command: &ApplyCatalogue) -> Outcome {
        let before = self.ledger.desk.catalogues().next().cloned();
        match desk::apply(&self.ledger.desk, command) {
            Err(rejection) => Outcome::CatalogueRefused(rejection),
            Ok(None) => Outcome::Applied { catalogue: before.clone().unwrap(), before, seq: None },
            Ok(Some(catalogue)) => {
                let record =
                    self.write(self.desk_body(&catalogue, vec![Event::CatalogueApplied(Arc::clone(&catalogue))]));
                Outcome::Applied { catalogue, before, seq: Some(record.seq) }
            }
        }
    }

    fn read(&self, query: &Query) -> Outcome {
        let desk = &self.ledger.desk;
        let as_of = desk.last();
        match query {
            Query::Customer { tenant, customer } => {
                let found = desk.find_customer(*tenant, *customer);
                Outcome::Customer(found.map(|(id, known)| {
                    let (booked, now) = (self.ledger.rows[&id].clone(), desk.now(*tenant, self.stamp));
                    Box::new(CustomerView {
                        id,
                        row: upkeep::as_of(booked.clone(), desk.removals(*tenant).unwrap(), now),
                        booked,
                        catalogue: Arc::clone(desk.catalogue(*tenant).unwrap()),
                        now,
                        last: known.last,
                        as_of,
                    })
                }))
            }
            Query::Purchase { key } => Outcome::Candidates(desk.keys().candidates(*key).collect()),
            Query::Receipt { key } => Outcome::Receipt(desk.receipt(*key).map(|receipt| receipt.code)),
            Query::Catalogue { .. } => Outcome::Catalogue(desk.catalogues().next().cloned()),
            Query::PromoUse { tenant, promo } => Outcome::PromoUse(desk.catalogue(*tenant).map(|rules| PromoUse {
                catalogue: Arc::clone(rules),
                used: desk.promo_used(*tenant, *promo),
                reserved: 0,
                as_of,
            })),
            Query::Clock => Outcome::Clock { received_at: self.stamp, as_of },
            Query::Invoice { .. }
            | Query::Reviews { .. }
            | Query::ArchivedChecks { .. }
            | Query::Customers { .. }
            | Query::Totals { .. }
            | Query::Preview { .. } => {
                unreachable!("neither sums nor walks are asked of the sequential driver")
            }
        }
    }
}
