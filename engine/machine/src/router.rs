//! The router: one order for everything, and who waits for what.
//!
//! Commands come in submissions and wait in a backlog. The desk admits them in the order of their arrival; each gets a
//! ticket. Shards decide; their answers are merged back in the order of the tickets, get their positions, and go to the
//! journal in groups. An outcome leaves once every record up to its ticket is durable. So journal order, decision order
//! and quota order are one, whatever the number of shards.
//!
//! Nothing here knows an actor, a clock or a disk.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use kembali_core::audit::{Act, Audit};
use kembali_core::catalogue::Catalogue;
use kembali_core::command::{ApplyCatalogue, AuditCommand, Command, DeskCommand, KeyToGive, PurchaseCommand, Query};
use kembali_core::customer::Row;
use kembali_core::desk::{self, Admission, CountedBy, Desk, OperationAdmission, Reservations, Terms};
use kembali_core::event::{Body, Event, Record};
use kembali_core::operation::{OperationCommand, OperationRejection};
use kembali_core::placement::Removal;
use kembali_core::totals::Totals;
use kembali_core::{
    CustomerId, CustomerName, Instant, PurchaseKey, Rejection, RejectionCode, RuleId, Seq, TenantId, Ticket, WalletId,
    upkeep,
};

mod operations;
mod transfers;

use operations::KeptOperation;

use crate::LOOK_AHEAD_MAX;
use crate::outcome::{CustomerView, InvoiceView, Outcome, PreviewView, PromoUse, TotalsView};
use crate::shard::{Answer, Answered, Assigned, ListTerms, PreviewTerms, Work};
use crate::sweep::{Sweep, SweepTerms, Swept};

/// Tickets that may be open at once: admitted, not yet merged. Few enough for what belongs to them to stay in the processor's own memory
/// from admission to merging. With more than 64 shards there may be four for each, or a round of the sweep would leave no room.
pub const OPEN_TICKETS_MAX: usize = 256;
/// Records that one group may have.
pub const GROUP_RECORDS_MAX: usize = 4_096;

/// Says which shard holds a customer's row.
pub type ShardOf = Box<dyn Fn(TenantId, CustomerId) -> usize + Send>;

/// Records for the journal, in order, and what must be on disk before them.
#[derive(Debug, Default)]
pub struct Group {
    /// The records, dense.
    pub records: Vec<Arc<Record>>,
    /// The texts of the aliases that these records use first, for the profile store.
    pub profiles: Vec<NewProfile>,
}

/// A text that the profile store keeps of a customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewProfile {
    /// The customer.
    pub customer: CustomerId,
    /// What it is.
    pub what: ProfileText,
    /// The text.
    pub text: Box<str>,
}

/// What a text of the profile store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProfileText {
    /// The alias that named the customer first.
    FirstAlias,
    /// The name of a wallet.
    WalletName(WalletId),
}

/// Outcomes for one submission, complete and in its order.
#[derive(Debug)]
pub struct Reply<T> {
    /// Who waits.
    pub to: T,
    /// One outcome a command.
    pub outcomes: Vec<Outcome>,
}

struct Submission<T> {
    reply: T,
    outcomes: Vec<Outcome>,
    commands: usize,
}

/// A ticket that is not yet merged.
struct Slot {
    received_at: Instant,
    content: Content,
}

enum Content {
    /// A shard is at work on it.
    Awaited(Awaited),
    /// A shard has answered.
    Answered(Awaited, Answer),
    /// The desk refused a purchase.
    Refused(Box<PurchaseCommand>, Rejection, Option<RejectionCode>),
    /// Nothing is to be written; the outcome is known.
    Done(Outcome),
    /// A change of rules.
    Apply(Box<ApplyCatalogue>),
    /// An operation that the desk refused, and whose accounts it was about.
    RefusedOperation(Box<OperationCommand>, OperationRejection, Option<CustomerId>),
    /// What the desk decides alone.
    Desk(Box<DeskCommand>),
    /// What an administrator does.
    Audit(Box<AuditCommand>),
    /// A question to the desk.
    Ask(Query),
}

/// What the desk said to a command that it looked at.
enum Admitted {
    Purchase(Admission),
    Operation(OperationAdmission),
}

/// What the router remembers of work that it gave to a shard.
enum Awaited {
    Purchase {
        terms: Box<Kept>,
        dry_run: bool,
    },
    Operation(Box<KeptOperation>),
    /// A further step of a transfer, and the operation that waits for its end; after a start, nobody does.
    Transfer(Option<Box<KeptOperation>>),
    Customer,
    Preview,
    List,
    /// A piece of the sweep over the rows of this shard.
    Sweep(usize),
}

/// What is needed of a purchase once its row has answered.
struct Kept {
    key: PurchaseKey,
    promo: Option<(TenantId, RuleId)>,
    /// The campaigns of which a completion is reserved.
    campaigns: Vec<RuleId>,
    /// The partner, if its rules look at this purchase.
    parties: Vec<CountedBy>,
    /// The customer, if this purchase would create one.
    creates: Option<CustomerId>,
    catalogue: Arc<Catalogue>,
    alias_text: Option<Box<str>>,
}

/// An outcome that waits for the disk.
enum Held {
    Ready(Outcome),
    /// Sums are looked at when they leave: they are folded from what is durable.
    Totals(String),
}

/// One order for everything.
pub struct Router<T> {
    desk: Desk,
    open: Reservations,
    totals: Totals,
    /// The rules of each tenant as of the last durable position.
    durable_rules: BTreeMap<TenantId, Arc<Catalogue>>,
    shard_of: ShardOf,
    backlog: VecDeque<(Instant, Command)>,
    /// How many of the backlog, from the front, were looked ahead at.
    looked_ahead: usize,
    submissions: VecDeque<Submission<T>>,
    slots: VecDeque<Slot>,
    /// The ticket of the first slot.
    first_ticket: u64,
    stamp: Instant,
    outgoing: Vec<Vec<Assigned>>,
    /// Merged, not yet with the journal.
    merged: VecDeque<Arc<Record>>,
    profiles: Vec<NewProfile>,
    /// With the journal, not yet durable.
    in_flight: VecDeque<Arc<Record>>,
    /// The last durable position.
    durable: Seq,
    /// Outcomes in the order of their tickets, each with the position that must be durable before it leaves.
    held: VecDeque<(Seq, Held)>,
    sweep: Sweep,
    /// True while a transfer is on its way: nothing else is admitted, so its records stand side by side.
    is_transferring: bool,
    is_poisoned: bool,
}

impl<T> Router<T> {
    /// Makes a router that goes on where `desk` and `totals` stand, all of it durable, with `shards` shards.
    #[must_use]
    pub fn new(desk: Desk, totals: Totals, shards: usize, shard_of: ShardOf) -> Router<T> {
        let durable = desk.last();
        let stamp = desk.last_received_at();
        let sweep = Sweep::new(shards, &desk, &totals);
        let durable_rules = desk.catalogues().map(|rules| (rules.tenant, Arc::clone(rules))).collect();
        let mut router = Router {
            desk,
            open: Reservations::default(),
            totals,
            durable_rules,
            shard_of,
            backlog: VecDeque::new(),
            looked_ahead: 0,
            submissions: VecDeque::new(),
            slots: VecDeque::new(),
            first_ticket: 1,
            stamp,
            outgoing: (0..shards).map(|_| Vec::new()).collect(),
            merged: VecDeque::new(),
            profiles: Vec::new(),
            in_flight: VecDeque::new(),
            durable,
            held: VecDeque::new(),
            sweep,
            is_transferring: false,
            is_poisoned: false,
        };
        router.resume_transfer();
        router
    }

    /// Takes commands that arrived together; `reply` gets their outcomes, in order, when the last of them may leave.
    ///
    /// A stamp that lies before the last one counts as the last one: stamps never fall. After [`Router::poison`] nothing
    /// is taken any more, and `reply` is dropped.
    pub fn submit(&mut self, received_at: Instant, commands: Vec<Command>, reply: T) {
        if self.is_poisoned {
            return;
        }
        self.submissions.push_back(Submission {
            reply,
            outcomes: Vec::with_capacity(commands.len()),
            commands: commands.len(),
        });
        self.backlog.extend(commands.into_iter().map(|command| (received_at, command)));
        self.advance();
    }

    /// Returns true when [`Router::sweep`] has something to do at `now`: customers of removed levels may be left, or points
    /// or holds that expired; and the last piece of the sweep is durable.
    pub fn is_sweep_due(&mut self, now: Instant) -> bool {
        if self.is_poisoned || self.is_transferring {
            return false;
        }
        if self.sweep.is_at_rest(self.durable) && self.has_due(now) {
            self.sweep.begin();
        }
        self.sweep.is_due(self.durable)
    }

    /// Looks at the sums of what is durable, so it costs little and finds nothing of an open ticket.
    fn has_due(&self, now: Instant) -> bool {
        let stamp = self.stamp.max(now);
        self.totals.tenants().any(|(tenant, sums)| {
            let clock = self.durable_rules.get(&tenant).map(|rules| rules.clock);
            clock.is_some_and(|clock| sums.has_due(clock.now(sums.watermark, stamp)))
        })
    }

    /// Returns true until the sweep has looked at every row.
    #[must_use]
    pub fn is_sweeping(&self) -> bool {
        self.sweep.is_under_way()
    }

    /// Gives each shard the next piece of the sweep, if it is due. A piece has a ticket like any command, and is there for
    /// itself alone: full slots do not keep it waiting, and nothing waits for the end of the sweep.
    pub fn sweep(&mut self, now: Instant) {
        if !self.is_sweep_due(now) {
            return;
        }
        // Who waits since before keeps the stamp of the arrival: stamps do not hang on when a sweep comes by.
        let waits_since = self.backlog.front().map_or(now, |(received_at, _)| *received_at);
        self.stamp = self.stamp.max(now.min(waits_since));
        let terms = Arc::new(SweepTerms::new(&self.desk, self.stamp));
        for (shard, from) in self.sweep.pieces() {
            let ticket = Ticket(self.first_ticket + self.slots.len() as u64);
            self.outgoing[shard].push(Assigned { ticket, work: Work::Sweep(Arc::clone(&terms), from) });
            let content = Content::Awaited(Awaited::Sweep(shard));
            self.slots.push_back(Slot { received_at: self.stamp, content });
        }
    }

    /// Hands out the work for each shard that has some: `(shard, batch)`.
    pub fn seal(&mut self) -> impl Iterator<Item = (usize, Vec<Assigned>)> + '_ {
        self.outgoing
            .iter_mut()
            .enumerate()
            .filter(|(_, batch)| !batch.is_empty())
            .map(|(shard, batch)| (shard, std::mem::take(batch)))
    }

    /// Takes a shard's answers to one batch.
    ///
    /// # Panics
    ///
    /// If an answer is to no open ticket.
    pub fn answered(&mut self, answers: Vec<Answered>) {
        if self.is_poisoned {
            return;
        }
        for Answered { ticket, answer } in answers {
            let index = ticket.0.checked_sub(self.first_ticket).expect("an answer to a merged ticket");
            let slot = self.slots.get_mut(index as usize).expect("an answer to a ticket that was never given");
            let content = std::mem::replace(&mut slot.content, Content::Done(Outcome::Candidates(Vec::new())));
            let Content::Awaited(awaited) = content else { panic!("a second answer to one ticket") };
            slot.content = Content::Answered(awaited, answer);
        }
        self.advance();
    }

    /// Hands out the next group for the journal, or `None` when nothing was decided since the last one.
    pub fn next_group(&mut self) -> Option<Group> {
        if self.merged.is_empty() {
            return None;
        }
        let count = self.merged.len().min(GROUP_RECORDS_MAX);
        let records: Vec<Arc<Record>> = self.merged.drain(..count).collect();
        self.in_flight.extend(records.iter().cloned());
        // All of the texts go with the first group: early is harmless, late is not.
        Some(Group { records, profiles: std::mem::take(&mut self.profiles) })
    }

    /// The journal has made every record through `last` durable.
    ///
    /// # Panics
    ///
    /// If `last` is not with the journal.
    pub fn confirm(&mut self, last: Seq) {
        while let Some(record) = self.in_flight.pop_front_if(|record| record.seq <= last) {
            self.totals.evolve(&record);
            if let [Event::CatalogueApplied(rules), ..] = record.body.events.as_slice() {
                self.durable_rules.insert(rules.tenant, Arc::clone(rules));
            }
            self.durable = record.seq;
        }
        assert_eq!(self.durable, last, "a record is confirmed that was not handed out");
    }

    /// Lets go what may leave: submissions whose every outcome rests on durable records.
    pub fn release(&mut self) -> Vec<Reply<T>> {
        let mut replies = Vec::new();
        loop {
            while let Some(submission) = self.submissions.pop_front_if(|next| next.outcomes.len() == next.commands) {
                replies.push(Reply { to: submission.reply, outcomes: submission.outcomes });
            }
            let durable = self.durable;
            let Some((_, held)) = self.held.pop_front_if(|(needs, _)| *needs <= durable) else { return replies };
            let outcome = match held {
                Held::Ready(outcome) => outcome,
                Held::Totals(tenant) => Outcome::Totals(self.totals_view(&tenant)),
            };
            let submission = self.submissions.front_mut().expect("every outcome belongs to a submission");
            submission.outcomes.push(outcome);
        }
    }

    /// The journal failed: gives back everybody who waits, unanswered.
    pub fn poison(&mut self) -> Vec<T> {
        self.is_poisoned = true;
        self.backlog.clear();
        self.looked_ahead = 0;
        self.merged.clear();
        self.held.clear();
        self.submissions.drain(..).map(|submission| submission.reply).collect()
    }

    /// Returns true when nothing is open: every command was answered and every record is durable.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.submissions.is_empty() && self.slots.is_empty() && self.merged.is_empty() && self.in_flight.is_empty()
    }

    /// Returns the last durable position.
    #[must_use]
    pub const fn durable(&self) -> Seq {
        self.durable
    }

    /// Returns what no single customer owns, as decided so far, durable or not.
    #[must_use]
    pub const fn desk(&self) -> &Desk {
        &self.desk
    }

    /// Returns the sums of what is durable.
    #[must_use]
    pub const fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Merges what is answered and admits what can be, until neither goes on.
    fn advance(&mut self) {
        loop {
            self.merge();
            if !self.admit_next() {
                return;
            }
        }
    }

    /// Admits the first command of the backlog. Returns false when it must wait: then everything behind it waits too,
    /// because a customer's commands keep the order of their arrival.
    fn admit_next(&mut self) -> bool {
        if self.is_transferring || OPEN_TICKETS_MAX.max(4 * self.outgoing.len()) <= self.slots.len() {
            return false;
        }
        if self.looked_ahead == 0 {
            self.look_ahead();
        }
        let Some((received_at, command)) = self.backlog.front() else { return false };
        let stamp = self.stamp.max(*received_at);
        let admission = match command {
            Command::Purchase(purchase) => match desk::admit(&self.desk, &self.open, stamp, purchase) {
                Admission::Wait => return false,
                admission => Some(Admitted::Purchase(admission)),
            },
            Command::Operation(operation) => match desk::admit_operation(&self.desk, &self.open, stamp, operation) {
                OperationAdmission::Wait => return false,
                admission => Some(Admitted::Operation(admission)),
            },
            // A change of rules, or of the desk's invoices, sees everything before it settled.
            Command::ApplyCatalogue(_) | Command::Desk(_) if !self.slots.is_empty() => return false,
            Command::ApplyCatalogue(_) | Command::Desk(_) | Command::Audit(_) | Command::Read(_) => None,
        };
        self.stamp = stamp;
        let Some((_, command)) = self.backlog.pop_front() else { return false };
        self.looked_ahead -= 1;
        let ticket = Ticket(self.first_ticket + self.slots.len() as u64);
        let content = match (command, admission) {
            (Command::Purchase(purchase), Some(Admitted::Purchase(admission))) => {
                self.purchase_content(ticket, purchase, admission)
            }
            (Command::Operation(operation), Some(Admitted::Operation(admission))) => {
                self.operation_content(ticket, operation, admission)
            }
            (Command::ApplyCatalogue(apply), _) => Content::Apply(apply),
            (Command::Desk(command), _) => Content::Desk(command),
            (Command::Audit(command), _) => Content::Audit(command),
            (Command::Read(Query::Customer { tenant, customer }), _) => {
                let id = match customer {
                    CustomerName::Id(id) => id,
                    CustomerName::Alias(alias) => alias.first_customer_id(),
                };
                self.assign(ticket, tenant, id, Work::Read(tenant, id));
                Content::Awaited(Awaited::Customer)
            }
            (Command::Read(Query::Preview { change, shard, from }), _) => {
                let tenant = change.before.tenant;
                let removals = self.desk.removals(tenant).cloned().unwrap_or_default();
                let terms = PreviewTerms { change, removals, now: self.desk.now(tenant, stamp) };
                match self.outgoing.get_mut(shard) {
                    Some(outgoing) => {
                        outgoing.push(Assigned { ticket, work: Work::Preview(Box::new(terms), from) });
                        Content::Awaited(Awaited::Preview)
                    }
                    None => Content::Done(Outcome::Preview(None)),
                }
            }
            (Command::Read(Query::Customers { tenant, after, limit, shard, from }), _) => {
                match self.outgoing.get_mut(shard) {
                    Some(outgoing) => {
                        let work = Work::List(ListTerms { tenant, after, limit }, from);
                        outgoing.push(Assigned { ticket, work });
                        Content::Awaited(Awaited::List)
                    }
                    None => Content::Done(Outcome::Customers(None)),
                }
            }
            (Command::Read(query), _) => Content::Ask(query),
            (Command::Purchase(_) | Command::Operation(_), _) => unreachable!("these have admissions of their own"),
        };
        self.slots.push_back(Slot { received_at: stamp, content });
        true
    }

    fn look_ahead(&mut self) {
        self.looked_ahead = self.backlog.len().min(LOOK_AHEAD_MAX);
        let next = self.backlog.iter().take(self.looked_ahead);
        self.desk.look_ahead(next.filter_map(|(_, command)| match command {
            Command::Purchase(purchase) => Some(&**purchase),
            _ => None,
        }));
    }

    fn purchase_content(
        &mut self,
        ticket: Ticket,
        mut purchase: Box<PurchaseCommand>,
        admission: Admission,
    ) -> Content {
        match admission {
            Admission::Admitted(terms) => self.admitted(ticket, purchase, terms),
            Admission::Known(seq) => Content::Done(Outcome::Known(seq, purchase)),
            Admission::Refused { rejection, replayed: true, .. } => {
                Content::Done(Outcome::Refused { rejection, replayed: true })
            }
            Admission::Refused { rejection, .. } if purchase.dry_run => {
                Content::Done(Outcome::Refused { rejection, replayed: false })
            }
            Admission::Refused { rejection, replaces, .. } => {
                self.open.take(purchase.key, None);
                purchase.alias_text = None;
                Content::Refused(purchase, rejection, replaces)
            }
            Admission::Wait => unreachable!("a purchase that waits stays in the backlog"),
        }
    }

    fn admitted(&mut self, ticket: Ticket, mut purchase: Box<PurchaseCommand>, mut terms: Terms) -> Content {
        let dry_run = purchase.dry_run;
        let (tenant, customer) = (purchase.tenant, terms.customer);
        let is_new = self.desk.last_record_of(customer) == Seq::ZERO;
        let kept = Box::new(Kept {
            key: purchase.key,
            creates: is_new.then_some(customer),
            promo: terms.reserved_promo(),
            campaigns: std::mem::take(&mut terms.budgets.reserved),
            parties: terms.parties.as_mut().map_or_else(Vec::new, |own| std::mem::take(&mut own.looked_at)),
            catalogue: Arc::clone(&terms.catalogue),
            alias_text: purchase.alias_text.take(),
        });
        let work = Box::new((terms, purchase));
        if dry_run {
            self.assign(ticket, tenant, customer, Work::Propose(work));
        } else {
            self.open.take(kept.key, kept.promo);
            self.open.begin_campaigns(tenant, &kept.campaigns);
            self.open.begin_parties(tenant, &kept.parties);
            if let Some(customer) = kept.creates {
                self.open.begin_creation(tenant, customer);
            }
            self.assign(ticket, tenant, customer, Work::Decide(work));
        }
        Content::Awaited(Awaited::Purchase { terms: kept, dry_run })
    }

    fn assign(&mut self, ticket: Ticket, tenant: TenantId, customer: CustomerId, work: Work) {
        let shard = (self.shard_of)(tenant, customer);
        self.outgoing[shard].push(Assigned { ticket, work });
    }

    /// Settles, in the order of the tickets, every ticket up to the first that a shard still holds.
    fn merge(&mut self) {
        while let Some(slot) = self.slots.pop_front_if(|slot| !matches!(slot.content, Content::Awaited(_))) {
            self.first_ticket += 1;
            let held = match slot.content {
                Content::Awaited(_) => unreachable!("only what is answered is taken"),
                Content::Answered(Awaited::Sweep(shard), Answer::Swept(swept)) => {
                    // Nobody waits for it.
                    self.settle_sweep(shard, swept);
                    continue;
                }
                Content::Answered(Awaited::Operation(kept), answer) if kept.is_transfer => {
                    match self.transfer_began(slot.received_at, kept, answer) {
                        Some(outcome) => Held::Ready(outcome),
                        None => continue,
                    }
                }
                Content::Answered(Awaited::Transfer(kept), answer) => match self.transfer_went_on(kept, answer) {
                    Some(outcome) => Held::Ready(outcome),
                    None => continue,
                },
                Content::Answered(awaited, answer) => Held::Ready(self.settle(slot.received_at, awaited, answer)),
                Content::Refused(command, rejection, replaces) => {
                    self.open.settle(command.key, None);
                    Held::Ready(self.refuse(slot.received_at, *command, rejection, replaces))
                }
                Content::RefusedOperation(command, rejection, customer) => {
                    self.open.end_operation(command.key, None);
                    Held::Ready(self.refuse_operation(slot.received_at, customer, &command, rejection))
                }
                Content::Done(outcome) => Held::Ready(outcome),
                Content::Apply(apply) => Held::Ready(self.apply(slot.received_at, &apply)),
                Content::Desk(command) => Held::Ready(self.decide_alone(slot.received_at, &command)),
                Content::Audit(command) => Held::Ready(self.write_down(slot.received_at, *command)),
                Content::Ask(Query::Totals { tenant }) => Held::Totals(tenant),
                Content::Ask(Query::Clock) => {
                    Held::Ready(Outcome::Clock { received_at: slot.received_at, as_of: self.desk.last() })
                }
                Content::Ask(query) => Held::Ready(self.ask(query)),
            };
            self.held.push_back((self.desk.last(), held));
        }
    }

    fn settle(&mut self, received_at: Instant, awaited: Awaited, answer: Answer) -> Outcome {
        match (awaited, answer) {
            (Awaited::Customer, Answer::Row(row)) => {
                Outcome::Customer(row.and_then(|row| self.customer_view(received_at, *row)))
            }
            (Awaited::Purchase { terms, dry_run: true }, Answer::Proposed(body)) => {
                Outcome::WouldBook { body: Box::new(body), catalogue: terms.catalogue }
            }
            (Awaited::Purchase { dry_run: true, .. }, Answer::Refused(rejection, _)) => {
                Outcome::Refused { rejection, replayed: false }
            }
            (Awaited::Purchase { terms, dry_run: false }, Answer::Decided(body)) => {
                self.close(&terms);
                let created = body.events.iter().any(|event| matches!(event, Event::CustomerCreated(_)));
                if let (true, Some(customer), Some(text)) = (created, body.customer, terms.alias_text) {
                    self.profiles.push(NewProfile { customer, what: ProfileText::FirstAlias, text });
                }
                Outcome::Booked { record: self.write(body), catalogue: terms.catalogue }
            }
            (Awaited::Purchase { terms, dry_run: false }, Answer::Refused(rejection, command)) => {
                self.close(&terms);
                match desk::refuse(&self.desk, &command, rejection) {
                    Admission::Refused { rejection, replaces, replayed: false } => {
                        self.refuse(received_at, *command, rejection, replaces)
                    }
                    Admission::Refused { rejection, replayed, .. } => Outcome::Refused { rejection, replayed },
                    _ => unreachable!("refusing refuses"),
                }
            }
            (Awaited::Preview, Answer::Preview(piece)) => {
                Outcome::Preview(Some(PreviewView { piece, as_of: self.desk.last() }))
            }
            (Awaited::List, Answer::Listed(piece)) => Outcome::Customers(Some(piece)),
            (Awaited::Operation(kept), answer) => self.settle_operation(received_at, *kept, answer),
            (
                Awaited::Customer
                | Awaited::Purchase { .. }
                | Awaited::Preview
                | Awaited::List
                | Awaited::Sweep(_)
                | Awaited::Transfer(_),
                _,
            ) => panic!("a shard answered something else"),
        }
    }

    fn settle_sweep(&mut self, shard: usize, swept: Swept) {
        let mut last = None;
        for body in swept.bodies {
            last = Some(self.write(body).seq);
        }
        self.sweep.merged(shard, swept.next, last);
    }

    /// Ends all that an admitted purchase had reserved.
    fn close(&mut self, terms: &Kept) {
        self.open.settle(terms.key, terms.promo);
        self.open.end_campaigns(terms.catalogue.tenant, &terms.campaigns);
        self.open.end_parties(terms.catalogue.tenant, &terms.parties);
        if let Some(customer) = terms.creates {
            self.open.end_creation(terms.catalogue.tenant, customer);
        }
    }

    fn refuse(
        &mut self,
        received_at: Instant,
        command: PurchaseCommand,
        rejection: Rejection,
        replaces: Option<RejectionCode>,
    ) -> Outcome {
        let (tenant, events) = (command.tenant, desk::refusal(command, &rejection, replaces));
        self.write(self.desk_body(received_at, tenant, events));
        Outcome::Refused { rejection, replayed: false }
    }

    fn write_down(&mut self, received_at: Instant, command: AuditCommand) -> Outcome {
        let AuditCommand { tenant, audit } = command;
        let body = self.desk_body(received_at, tenant, vec![Event::Audited(Box::new(audit))]);
        Outcome::Audited(self.write(body).seq)
    }

    /// Makes the body of a record that is about no customer, by the tenant's present rules.
    ///
    /// # Panics
    ///
    /// If there is no such tenant: a caller's is there.
    fn desk_body(&self, received_at: Instant, tenant: TenantId, events: Vec<Event>) -> Body {
        let catalogue_version = self.desk.catalogue(tenant).expect("a caller's tenant exists").version;
        Body { received_at, tenant, catalogue_version, customer: None, previous: Seq::ZERO, events }
    }

    fn apply(&mut self, received_at: Instant, command: &ApplyCatalogue) -> Outcome {
        let tenant = self.desk.tenant_by_slug(&command.draft.slug);
        let before = tenant.and_then(|tenant| self.desk.catalogue(tenant)).cloned();
        let next = match desk::apply(&self.desk, command) {
            Ok(next) => next,
            Err(rejection) => return Outcome::CatalogueRefused(rejection),
        };
        let is_change = next.is_some();
        let Some(catalogue) = next.or_else(|| before.clone()) else {
            unreachable!("a new tenant's rules are a change")
        };
        let events = applied(command, &catalogue, is_change);
        let seq = (!command.dry_run && !events.is_empty()).then(|| {
            let (tenant, catalogue_version) = (catalogue.tenant, catalogue.version);
            let body = Body { received_at, tenant, catalogue_version, customer: None, previous: Seq::ZERO, events };
            self.write(body).seq
        });
        let removals = self.desk.removals(catalogue.tenant);
        let last_removal = removals.and_then(|all| all.last()).map(Removal::version);
        if is_change && seq.is_some() && last_removal == Some(catalogue.version) {
            self.sweep.begin();
        }
        Outcome::Applied { catalogue, before, seq }
    }

    /// Gives a body its position.
    fn write(&mut self, mut body: Body) -> Arc<Record> {
        if let Some(customer) = body.customer {
            body.previous = self.desk.last_record_of(customer);
            // No start would accept a customer who is created twice: better to end before it is written.
            let creates = body.events.iter().any(|event| matches!(event, Event::CustomerCreated(_)));
            assert!(!creates || body.previous == Seq::ZERO, "a customer is created twice");
        }
        let record = Arc::new(Record { seq: self.desk.last().next(), body });
        self.desk.evolve(&record);
        self.merged.push_back(Arc::clone(&record));
        record
    }

    fn ask(&self, query: Query) -> Outcome {
        match query {
            Query::Purchase { key } => Outcome::Candidates(self.desk.keys().candidates(key).collect()),
            Query::Receipt { key } => Outcome::Receipt(self.desk.receipt(key).map(|receipt| receipt.code)),
            Query::Catalogue { tenant, version } => {
                let tenant = self.desk.tenant_by_slug(&tenant);
                let catalogue = tenant.and_then(|tenant| match version {
                    Some(version) => self.desk.catalogue_at(tenant, version),
                    None => self.desk.catalogue(tenant),
                });
                Outcome::Catalogue(catalogue.cloned())
            }
            Query::PromoUse { tenant, promo } => {
                let catalogue = self.desk.catalogue(tenant).filter(|rules| rules.promo(promo).is_some());
                Outcome::PromoUse(catalogue.map(|catalogue| PromoUse {
                    catalogue: Arc::clone(catalogue),
                    used: self.desk.promo_used(tenant, promo),
                    reserved: self.open.promo(tenant, promo),
                    as_of: self.desk.last(),
                }))
            }
            Query::Invoice { tenant, number } => {
                let invoice = self.desk.invoice(tenant, &number).copied();
                Outcome::Invoice(invoice.zip(self.desk.catalogue(tenant).cloned()).map(|(invoice, catalogue)| {
                    let (now, as_of) = (self.desk.now(tenant, self.stamp), self.desk.last());
                    InvoiceView { invoice, catalogue, now, as_of }
                }))
            }
            Query::ArchivedChecks { tenant, first, last } => {
                Outcome::ArchivedChecks(self.desk.archived(tenant, first, last).collect())
            }
            Query::Reviews { tenant, after, limit } => {
                Outcome::Reviews(self.desk.reviews(tenant, after).take(limit).map(|(review, _)| review).collect())
            }
            Query::Customer { .. }
            | Query::Customers { .. }
            | Query::Totals { .. }
            | Query::Preview { .. }
            | Query::Clock => {
                unreachable!("these are answered elsewhere")
            }
        }
    }

    fn customer_view(&self, received_at: Instant, row: Row) -> Option<Box<CustomerView>> {
        let catalogue = Arc::clone(self.desk.catalogue(row.tenant)?);
        let removals = self.desk.removals(row.tenant)?;
        let now = self.desk.now(row.tenant, received_at);
        // Whoever looks sees the row up to date, whether or not the sweep has come by.
        let booked = row.clone();
        let row = upkeep::as_of(row, removals, now);
        Some(Box::new(CustomerView {
            id: row.id,
            now,
            last: self.desk.last_record_of(row.id),
            as_of: self.desk.last(),
            catalogue,
            row,
            booked,
        }))
    }

    fn totals_view(&self, slug: &str) -> Option<Box<TotalsView>> {
        let tenant = self.desk.tenant_by_slug(slug)?;
        // The desk may be ahead of the disk; sums and rules are of one position.
        let catalogue = Arc::clone(self.durable_rules.get(&tenant)?);
        let reserved = catalogue.promos.iter().map(|promo| self.open.promo(tenant, promo.id)).collect();
        let totals = self.totals.tenant(tenant).cloned().unwrap_or_default();
        Some(Box::new(TotalsView { catalogue, totals, reserved, as_of: self.totals.last }))
    }
}

/// Says what applying rules comes to: the rules, if they are other ones, and who did that and gave which keys.
fn applied(command: &ApplyCatalogue, catalogue: &Arc<Catalogue>, is_change: bool) -> Vec<Event> {
    let rules = is_change.then(|| Event::CatalogueApplied(Arc::clone(catalogue)));
    let acts = is_change.then_some(Act::RulesApplied).into_iter().chain(command.keys.iter().filter_map(|given| {
        let KeyToGive { partner, key, is_signed } = given;
        let partner = catalogue.partner_by_slug(partner)?.id;
        Some(Act::ApiKeyGiven { partner, key: *key, is_signed: *is_signed })
    }));
    let audited = acts.filter_map(|act| Some(Event::Audited(Box::new(Audit { actor: command.actor?, act }))));
    rules.into_iter().chain(audited).collect()
}
