//! What no single customer owns: tenants and their rules, the customer directory, purchase keys, receipts of refusals,
//! promo counters.
//!
//! The desk admits a command or says why not ([`admit`]); the customer's row decides the rest ([`crate::customer`]).
//! Both are folds of the same records. What is admitted but not yet settled is not part of this state: it is in
//! [`Reservations`], and is simply gone after a crash.

mod admit;
mod admit_operation;
mod alone;
mod budgets;
mod counted;
mod image;
mod invoices;
mod keys;
mod operations;
mod reservations;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::hint::black_box;
use core::ops::Bound;

pub use admit::{Admission, PromoTerms, Terms, admit, apply, refusal, refuse};
pub use admit_operation::{OfferTerms, OperationAdmission, OperationTerms, PlaceTerms, admit_operation};
pub use alone::{DeskDecision, decide_alone};
pub use counted::{COUNTED_MAX, CountedBy, PartyTerms};
pub use image::{DeskPiece, Misfit};
pub use keys::{KeyIndex, Receipt};
pub use operations::KnownOperation;
pub use reservations::Reservations;

use crate::catalogue::{Catalogue, RuleClock};
use crate::command::PurchaseCommand;
use crate::event::{Event, Record};
use crate::identity::{CustomerId, CustomerName, Fingerprint, PartnerId, PurchaseKey, RuleId, TenantId};
use crate::invoice::{Invoice, InvoiceState};
use crate::maps::{BigMap, Map};
use crate::operation::OperationKey;
use crate::placement::Removal;
use crate::quantity::{Instant, Seq};
use crate::review::{OpenReview, REVIEWS_MAX};
use crate::risk::Remembered;
use crate::transfer::{OpenTransfer, TransferRefusal, TransferTerms};
use counted::Counted;
use operations::Operations;

/// What no single customer owns.
#[derive(Clone, Debug, Default)]
pub struct Desk {
    /// The tenants, in order of their ids from 1.
    tenants: Vec<TenantDesk>,
    /// The tenants by their slugs.
    slugs: BTreeMap<String, TenantId>,
    /// Every customer.
    customers: BigMap<CustomerId, Known>,
    /// Every booked purchase.
    keys: KeyIndex,
    /// The present refusal of every purchase key that has one.
    receipts: Map<PurchaseKey, Receipt>,
    /// What became of every operation key of the last 30 days.
    operations: Operations,
    /// The transfer that is on its way. Nothing else is written while there is one.
    transfer: Option<OpenTransfer>,
    /// The id that the next new partner gets.
    next_partner: u32,
    /// The last record that was folded in.
    last: Seq,
    /// The latest stamp of any record.
    last_received_at: Instant,
}

/// What the directory holds of a customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Whose customer.
    pub tenant: TenantId,
    /// The last record that names the customer.
    pub last: Seq,
}

/// What the desk holds of one tenant.
#[derive(Clone, Debug)]
struct TenantDesk {
    /// Every version of its rules, from 1.
    versions: Vec<Arc<Catalogue>>,
    /// The versions that removed levels, in order.
    removals: Arc<[Removal]>,
    /// How many units of each promo's quota are used.
    promos_used: BTreeMap<RuleId, u64>,
    /// How many units of each offer are redeemed.
    offers_redeemed: BTreeMap<RuleId, u64>,
    /// How often each campaign was completed.
    completions: BTreeMap<RuleId, u64>,
    /// Every invoice, by its number.
    invoices: BTreeMap<Box<str>, Invoice>,
    /// The reviews that are open, by their records.
    reviews: BTreeMap<Seq, OpenReview>,
    /// The checks of the log that are archived, by their records.
    archived: BTreeSet<Seq>,
    /// What rules of partners and devices ask for.
    counted: Counted,
    /// The highest accepted `occurred_at`.
    watermark: Option<Instant>,
    /// True once a wallet was moved.
    has_entries: bool,
}

impl TenantDesk {
    fn push_version(&mut self, catalogue: Arc<Catalogue>) {
        if let Some(removal) = self.versions.last().and_then(|before| Removal::between(before, &catalogue)) {
            self.removals = self.removals.iter().cloned().chain([removal]).collect();
        }
        self.versions.push(catalogue);
    }
}

impl Desk {
    /// Folds one record in.
    ///
    /// # Panics
    ///
    /// If the record is not the one that follows, or names a tenant that no record created: the journal was replayed
    /// out of order.
    pub fn evolve(&mut self, record: &Record) {
        assert_eq!(record.seq, self.last.next(), "the journal is replayed out of order");
        let body = &record.body;
        self.last = record.seq;
        self.last_received_at = self.last_received_at.max(body.received_at);
        self.operations.forget(self.last_received_at);
        for event in &body.events {
            self.evolve_event(record, event);
        }
        if let Some(customer) = body.customer {
            let known = self.customers.get_or_insert(customer, Known { tenant: body.tenant, last: Seq::ZERO });
            known.last = record.seq;
        }
    }

    fn evolve_event(&mut self, record: &Record, event: &Event) {
        let tenant = record.body.tenant;
        match event {
            Event::CatalogueApplied(catalogue) => self.evolve_catalogue(catalogue),
            Event::PurchaseBooked(booked) => {
                self.keys.insert(booked.key, record.seq);
                if booked.replaces.is_some() {
                    self.receipts.remove(&booked.key);
                }
                self.raise_watermark(tenant, booked.drove_rules());
            }
            Event::PurchaseRefused(refused) => {
                let receipt = Receipt { code: refused.code, fingerprint: refused.fingerprint };
                self.receipts.insert(refused.key, receipt);
            }
            Event::PromoGranted(granted) => {
                *self.tenant_mut(tenant).promos_used.entry(granted.promo).or_default() += 1;
            }
            Event::CampaignCompleted(own) => {
                *self.tenant_mut(tenant).completions.entry(own.campaign).or_default() += 1;
            }
            Event::WalletEntry(_) => self.tenant_mut(tenant).has_entries = true,
            Event::OfferRedeemed(redeemed) => {
                let redeemed_before = self.tenant_mut(tenant).offers_redeemed.entry(redeemed.offer).or_default();
                *redeemed_before += u64::from(redeemed.quantity);
            }
            Event::PurchaseRefunded(refunded) => {
                self.keys.insert(refunded.key, record.seq);
                if let Some(promo) = refunded.returned_unit {
                    let used = self.tenant_mut(tenant).promos_used.entry(promo).or_default();
                    *used = used.saturating_sub(1);
                }
            }
            Event::OperationDone(done) => {
                self.raise_watermark(tenant, done.drove_rules());
                self.remember(done.key, done.fingerprint, record);
            }
            Event::OperationRefused(refused) => self.remember(Some(refused.key), refused.fingerprint, record),
            Event::InvoiceOpened(opened) => self.evolve_invoice_opened(tenant, opened, record.seq),
            Event::InvoiceCancelled(own) => {
                self.evolve_invoice(tenant, &own.number, InvoiceState::Cancelled(record.seq));
            }
            Event::OperationReversed(own) => {
                if let Some(number) = &own.invoice {
                    self.evolve_invoice(tenant, number, InvoiceState::Reversed(record.seq));
                }
            }
            Event::InvoicePaid(own) => self.evolve_invoice(tenant, &own.number, InvoiceState::Paid(record.seq)),
            Event::TransferSent(_) => self.transfer = OpenTransfer::sent_by(&record.body, record.seq),
            Event::TransferCredited(_) => self.answer_transfer(Ok(())),
            Event::TransferDeclined(declined) => self.answer_transfer(Err(declined.reason)),
            Event::TransferSettled(_) | Event::TransferReturned(_) => {
                let over = self.transfer.take();
                if let Some(releaser) = over.and_then(|over| over.released_by) {
                    self.remember(releaser.key, releaser.fingerprint, record);
                }
            }
            Event::RiskCheckArchived(own) => drop(self.tenant_mut(tenant).archived.insert(own.check)),
            Event::OperationCounted(own) => {
                let received_at = record.body.received_at;
                self.tenant_mut(tenant).counted.evolve(record.seq, received_at, own);
            }
            Event::ReviewOpened(own) => {
                // Nobody's is refused by whoever checks records.
                if let Some(customer) = record.body.customer {
                    let (key, fingerprint) = (own.key, own.fingerprint);
                    self.open_review(tenant, record.seq, OpenReview { customer, key, fingerprint });
                }
            }
            Event::ReviewClosed(own) => {
                let over = self.tenant_mut(tenant).reviews.remove(&own.review);
                if let Some(key) = over.and_then(|over| over.key) {
                    self.operations.end_waiting(key);
                }
                // A transfer is answered once it is over.
                let releaser = own.released_by.filter(|_| OpenTransfer::sent_by(&record.body, record.seq).is_none());
                if let Some(releaser) = releaser {
                    self.remember(releaser.key, releaser.fingerprint, record);
                }
            }
            Event::CustomerCreated(_)
            | Event::HousePosted(_)
            | Event::PromoDeclined(_)
            | Event::TierStepped(_)
            | Event::MilestoneReached(_)
            | Event::SpendCounted(_)
            | Event::CashbackEarned(_)
            | Event::FulfillmentAdvanced(_)
            | Event::RewardGranted(_)
            | Event::PointEntry(_)
            | Event::TierPlaced(_)
            | Event::WalletOpened(_)
            | Event::WalletStatusSet(_)
            | Event::RiskChecked(_)
            | Event::PurchaseBlocked(_)
            | Event::Audited(_)
            | Event::CustomerErased
            | Event::HoldPlaced(_)
            | Event::HoldClosed(_) => (),
        }
    }

    fn answer_transfer(&mut self, answer: Result<(), TransferRefusal>) {
        if let Some(open) = &mut self.transfer {
            open.answer = Some(answer);
        }
    }

    fn raise_watermark(&mut self, tenant: TenantId, drove: Option<Instant>) {
        let desk = self.tenant_mut(tenant);
        desk.watermark = desk.watermark.max(drove);
    }

    fn remember(&mut self, key: Option<OperationKey>, fingerprint: Fingerprint, record: &Record) {
        let Some(key) = key else { return };
        let (seq, received_at) = (record.seq, record.body.received_at);
        self.operations.insert(key, KnownOperation { fingerprint, seq, received_at });
    }

    fn evolve_catalogue(&mut self, catalogue: &Arc<Catalogue>) {
        let highest = catalogue.partners.iter().map(|partner| partner.id.0).max().unwrap_or(0);
        self.next_partner = self.next_partner.max(highest + 1);
        if catalogue.version == 1 {
            assert_eq!(catalogue.tenant.0 as usize, self.tenants.len() + 1, "tenants are numbered in order");
            self.slugs.insert(catalogue.slug.clone(), catalogue.tenant);
            self.tenants.push(TenantDesk {
                versions: Vec::new(),
                removals: Arc::default(),
                promos_used: BTreeMap::new(),
                offers_redeemed: BTreeMap::new(),
                completions: BTreeMap::new(),
                invoices: BTreeMap::new(),
                reviews: BTreeMap::new(),
                archived: BTreeSet::new(),
                counted: Counted::default(),
                watermark: None,
                has_entries: false,
            });
        }
        self.tenant_mut(catalogue.tenant).push_version(Arc::clone(catalogue));
    }

    /// Keeps a review that is open, and its key as long as it is.
    fn open_review(&mut self, tenant: TenantId, seq: Seq, own: OpenReview) {
        if let Some(key) = own.key {
            self.operations.begin_waiting(key, own.fingerprint, seq);
        }
        self.tenant_mut(tenant).reviews.insert(seq, own);
    }

    fn tenant(&self, id: TenantId) -> Option<&TenantDesk> {
        self.tenants.get((id.0 as usize).checked_sub(1)?)
    }

    fn tenant_mut(&mut self, id: TenantId) -> &mut TenantDesk {
        let index = (id.0 as usize).wrapping_sub(1);
        self.tenants.get_mut(index).expect("a record names a tenant that an earlier record created")
    }

    /// Looks up what admitting these purchases will look up, and changes nothing: in a large ledger each look-up waits for
    /// memory that is far away, and those of a batch wait together.
    pub fn look_ahead<'a>(&self, purchases: impl Iterator<Item = &'a PurchaseCommand> + Clone) {
        for purchase in purchases.clone() {
            black_box(self.keys.candidates(purchase.key).next());
        }
        for purchase in purchases {
            black_box(self.find_customer(purchase.tenant, purchase.customer));
        }
    }

    /// As [`Desk::look_ahead`], for records that are folded next.
    pub fn look_ahead_at(&self, records: &[Record]) {
        for event in records.iter().flat_map(|record| &record.body.events) {
            black_box(event.booked_key().and_then(|key| self.keys.candidates(key).next()));
        }
        for customer in records.iter().filter_map(|record| record.body.customer) {
            black_box(self.customers.get(&customer));
        }
    }

    /// Returns the position of the last record that was folded in.
    #[must_use]
    pub const fn last(&self) -> Seq {
        self.last
    }

    /// Returns the latest stamp of any record.
    #[must_use]
    pub const fn last_received_at(&self) -> Instant {
        self.last_received_at
    }

    /// Lists the reviews of a tenant that are open and lie behind `after`, the oldest first, and whose they are.
    pub fn reviews(&self, tenant: TenantId, after: Seq) -> impl Iterator<Item = (Seq, CustomerId)> {
        let own = self.tenant(tenant).into_iter();
        let behind = (Bound::Excluded(after), Bound::Unbounded);
        own.flat_map(move |desk| desk.reviews.range(behind).map(|(seq, own)| (*seq, own.customer)))
    }

    /// Says whose operation a review is of, if it is open.
    #[must_use]
    pub fn review(&self, tenant: TenantId, review: Seq) -> Option<CustomerId> {
        self.tenant(tenant)?.reviews.get(&review).map(|own| own.customer)
    }

    /// Lists the checks of a tenant that are archived, by their records, from `first` to `last`.
    pub fn archived(&self, tenant: TenantId, first: Seq, last: Seq) -> impl Iterator<Item = Seq> {
        let own = self.tenant(tenant).filter(|_| first <= last).into_iter();
        own.flat_map(move |desk| desk.archived.range(first..=last).copied())
    }

    fn is_archived(&self, tenant: TenantId, check: Seq) -> bool {
        self.tenant(tenant).is_some_and(|desk| desk.archived.contains(&check))
    }

    fn counted(&self, tenant: TenantId) -> Option<&Counted> {
        self.tenant(tenant).map(|desk| &desk.counted)
    }

    /// Lists what rules of partners and devices ask for, in the order of its records.
    pub fn counted_operations(&self, tenant: TenantId) -> impl Iterator<Item = (CountedBy, Remembered)> {
        self.counted(tenant).into_iter().flat_map(Counted::iter).map(|(_, party, own)| (party, own))
    }

    /// Returns how many more reviews may be opened.
    fn reviews_left(&self, tenant: TenantId) -> u64 {
        self.tenant(tenant).map_or(0, |desk| REVIEWS_MAX.saturating_sub(desk.reviews.len()) as u64)
    }

    /// Returns the transfer that is on its way, with the terms of its next step.
    #[must_use]
    pub fn transfer(&self) -> Option<TransferTerms> {
        self.terms_of(self.transfer.clone()?)
    }

    /// Returns on which terms a transfer takes its next step, whether or not it was really sent.
    #[must_use]
    pub fn terms_of(&self, open: OpenTransfer) -> Option<TransferTerms> {
        let tenant = self.tenant(open.tenant)?;
        let (catalogue, removals) = (Arc::clone(tenant.versions.last()?), Arc::clone(&tenant.removals));
        Some(TransferTerms { open, catalogue, removals })
    }

    /// Returns the transfer that is on its way.
    #[must_use]
    pub const fn open_transfer(&self) -> Option<&OpenTransfer> {
        self.transfer.as_ref()
    }

    /// Finds a tenant by its slug.
    #[must_use]
    pub fn tenant_by_slug(&self, slug: &str) -> Option<TenantId> {
        self.slugs.get(slug).copied()
    }

    /// Lists the present rules of every tenant, in order of their ids.
    pub fn catalogues(&self) -> impl Iterator<Item = &Arc<Catalogue>> {
        self.tenants.iter().filter_map(|tenant| tenant.versions.last())
    }

    /// Lists every version of every tenant's rules, the older ones of a tenant first.
    pub fn catalogue_versions(&self) -> impl Iterator<Item = &Arc<Catalogue>> {
        self.tenants.iter().flat_map(|tenant| &tenant.versions)
    }

    /// Returns a tenant's present rules.
    #[must_use]
    pub fn catalogue(&self, tenant: TenantId) -> Option<&Arc<Catalogue>> {
        self.tenant(tenant)?.versions.last()
    }

    /// Returns a tenant's rules at a version.
    #[must_use]
    pub fn catalogue_at(&self, tenant: TenantId, version: u32) -> Option<&Arc<Catalogue>> {
        self.tenant(tenant)?.versions.get((version as usize).checked_sub(1)?)
    }

    /// Lists the versions of a tenant's rules that removed levels, the oldest first.
    #[must_use]
    pub fn removals(&self, tenant: TenantId) -> Option<&Arc<[Removal]>> {
        Some(&self.tenant(tenant)?.removals)
    }

    /// Finds a customer of `tenant`. Nobody is created by looking.
    #[must_use]
    pub fn find_customer(&self, tenant: TenantId, name: CustomerName) -> Option<(CustomerId, Known)> {
        let id = match name {
            CustomerName::Id(id) => id,
            CustomerName::Alias(alias) => alias.first_customer_id(),
        };
        let known = self.customers.get(&id).copied()?;
        (known.tenant == tenant).then_some((id, known))
    }

    /// Returns the last record that names the customer; zero when none does.
    #[must_use]
    pub fn last_record_of(&self, customer: CustomerId) -> Seq {
        self.customers.get(&customer).map_or(Seq::ZERO, |known| known.last)
    }

    /// Returns the index of booked purchases.
    #[must_use]
    pub const fn keys(&self) -> &KeyIndex {
        &self.keys
    }

    /// Forgets every booked purchase and every operation: for a state that sees each key once, and need not keep it.
    pub(crate) fn forget_keys(&mut self) {
        self.keys.clear();
        self.operations = Operations::default();
    }

    /// Returns the present refusal of a purchase key.
    #[must_use]
    pub fn receipt(&self, key: PurchaseKey) -> Option<Receipt> {
        self.receipts.get(&key).copied()
    }

    /// Returns how many units of a promo's quota are used.
    #[must_use]
    pub fn promo_used(&self, tenant: TenantId, promo: RuleId) -> u64 {
        self.tenant(tenant).and_then(|tenant| tenant.promos_used.get(&promo)).copied().unwrap_or(0)
    }

    /// Returns how many units of an offer are redeemed.
    #[must_use]
    pub fn offer_redeemed(&self, tenant: TenantId, offer: RuleId) -> u64 {
        self.tenant(tenant).and_then(|tenant| tenant.offers_redeemed.get(&offer)).copied().unwrap_or(0)
    }

    /// Returns how often a campaign was completed.
    #[must_use]
    pub fn completions(&self, tenant: TenantId, campaign: RuleId) -> u64 {
        self.tenant(tenant).and_then(|tenant| tenant.completions.get(&campaign)).copied().unwrap_or(0)
    }

    /// Returns the instant that is "now" for a tenant's rules when the ledger's clock says `received_at`: the highest
    /// accepted `occurred_at` where that clock drives the rules.
    #[must_use]
    pub fn now(&self, tenant: TenantId, received_at: Instant) -> Instant {
        let desk = self.tenant(tenant);
        let clock = desk.and_then(|desk| desk.versions.last()).map_or(RuleClock::Received, |rules| rules.clock);
        clock.now(desk.and_then(|desk| desk.watermark), received_at)
    }

    /// Returns how many units of every promo are used, in order of tenants and promos.
    pub fn promos_used(&self) -> impl Iterator<Item = (TenantId, RuleId, u64)> {
        self.tenants.iter().zip(1..).flat_map(|(desk, tenant)| {
            desk.promos_used.iter().map(move |(promo, used)| (TenantId(tenant), *promo, *used))
        })
    }

    fn next_partner(&self) -> PartnerId {
        PartnerId(self.next_partner.max(1))
    }
}
