//! What is admitted but not yet settled: units of quotas and stocks, keys in flight, operations, customers in creation.
//!
//! Never stored. A reservation ends when its command is settled: a grant then counts as used by its event, and what
//! was not used is simply free again.

use alloc::boxed::Box;

use super::counted::CountedBy;
use crate::identity::{CustomerId, PurchaseKey, RuleId, TenantId};
use crate::maps::{Map, Set};
use crate::operation::OperationKey;
use crate::quantity::Seq;

/// What is admitted but not yet settled.
#[derive(Clone, Debug, Default)]
pub struct Reservations {
    promos: Map<(TenantId, RuleId), u64>,
    keys: Set<PurchaseKey>,
    creations: Map<(TenantId, CustomerId), u64>,
    operations: Set<OperationKey>,
    /// Refunds in flight, by the promo that may get a unit back.
    returns: Map<(TenantId, RuleId), u64>,
    /// Operations without a key.
    keyless: u64,
    /// Units of offers.
    offers: Map<(TenantId, RuleId), u64>,
    /// Completions of campaigns.
    campaigns: Map<(TenantId, RuleId), u64>,
    /// Invoices that are being paid.
    invoices: Set<(TenantId, Box<str>)>,
    /// Reviews that are being closed.
    reviews: Set<Seq>,
    /// Operations that may be set aside.
    may_wait: Map<TenantId, u64>,
    /// Partners and devices whose rules look at an operation.
    parties: Set<(TenantId, CountedBy)>,
}

impl Reservations {
    /// Reserves a key, and a unit of a promo where there is one.
    pub fn take(&mut self, key: PurchaseKey, promo: Option<(TenantId, RuleId)>) {
        self.keys.insert(key);
        if let Some(promo) = promo {
            *self.promos.entry(promo).or_default() += 1;
        }
    }

    /// Ends what [`Reservations::take`] began.
    ///
    /// # Panics
    ///
    /// If it was not taken.
    pub fn settle(&mut self, key: PurchaseKey, promo: Option<(TenantId, RuleId)>) {
        assert!(self.keys.remove(&key), "a key is settled that was not reserved");
        let Some(promo) = promo else { return };
        let reserved = self.promos.get_mut(&promo).expect("a unit is settled that was not reserved");
        *reserved -= 1;
        if *reserved == 0 {
            self.promos.remove(&promo);
        }
    }

    /// Reserves the key of a refund, and notes the promo that may get a unit back.
    pub fn begin_refund(&mut self, key: PurchaseKey, promo: Option<(TenantId, RuleId)>) {
        self.keys.insert(key);
        if let Some(promo) = promo {
            *self.returns.entry(promo).or_default() += 1;
        }
    }

    /// Ends what [`Reservations::begin_refund`] began.
    ///
    /// # Panics
    ///
    /// If it was not begun.
    pub fn end_refund(&mut self, key: PurchaseKey, promo: Option<(TenantId, RuleId)>) {
        assert!(self.keys.remove(&key), "a key is settled that was not reserved");
        let Some(promo) = promo else { return };
        let open = self.returns.get_mut(&promo).expect("a refund ends that was not begun");
        *open -= 1;
        if *open == 0 {
            self.returns.remove(&promo);
        }
    }

    /// Returns true while a refund is in flight that may return a unit of a promo.
    #[must_use]
    pub fn may_return(&self, tenant: TenantId, promo: RuleId) -> bool {
        self.returns.contains_key(&(tenant, promo))
    }

    /// Reserves the key of an operation, if it has one, and the units of the offer that it redeems.
    pub fn begin_operation(&mut self, key: Option<OperationKey>, units: Option<(TenantId, RuleId, u32)>) {
        if let Some((tenant, offer, quantity)) = units {
            *self.offers.entry((tenant, offer)).or_default() += u64::from(quantity);
        }
        match key {
            Some(key) => drop(self.operations.insert(key)),
            None => self.keyless += 1,
        }
    }

    /// Ends what [`Reservations::begin_operation`] began.
    ///
    /// # Panics
    ///
    /// If it was not begun.
    pub fn end_operation(&mut self, key: Option<OperationKey>, units: Option<(TenantId, RuleId, u32)>) {
        if let Some((tenant, offer, quantity)) = units {
            let reserved = self.offers.get_mut(&(tenant, offer)).expect("units are settled that were not reserved");
            *reserved -= u64::from(quantity);
            if *reserved == 0 {
                self.offers.remove(&(tenant, offer));
            }
        }
        match key {
            Some(key) => assert!(self.operations.remove(&key), "a key is settled that was not reserved"),
            None => self.keyless -= 1,
        }
    }

    /// Reserves a completion of each of these campaigns.
    pub fn begin_campaigns(&mut self, tenant: TenantId, campaigns: &[RuleId]) {
        for campaign in campaigns {
            *self.campaigns.entry((tenant, *campaign)).or_default() += 1;
        }
    }

    /// Ends what [`Reservations::begin_campaigns`] began.
    ///
    /// # Panics
    ///
    /// If it was not begun.
    pub fn end_campaigns(&mut self, tenant: TenantId, campaigns: &[RuleId]) {
        for campaign in campaigns {
            let open = self.campaigns.get_mut(&(tenant, *campaign)).expect("a completion ends that was not reserved");
            *open -= 1;
            if *open == 0 {
                self.campaigns.remove(&(tenant, *campaign));
            }
        }
    }

    /// Returns how many completions of a campaign are reserved.
    #[must_use]
    pub fn campaign(&self, tenant: TenantId, campaign: RuleId) -> u64 {
        self.campaigns.get(&(tenant, campaign)).copied().unwrap_or(0)
    }

    /// Keeps an invoice for one payment.
    pub fn begin_payment(&mut self, tenant: TenantId, number: &str) {
        self.invoices.insert((tenant, number.into()));
    }

    /// Ends what [`Reservations::begin_payment`] began.
    ///
    /// # Panics
    ///
    /// If it was not begun.
    pub fn end_payment(&mut self, tenant: TenantId, number: &str) {
        assert!(self.invoices.remove(&(tenant, number.into())), "a payment ends that was not begun");
    }

    /// Returns true while an invoice is being paid.
    #[must_use]
    pub fn has_invoice(&self, tenant: TenantId, number: &str) -> bool {
        !self.invoices.is_empty() && self.invoices.contains(&(tenant, number.into()))
    }

    /// Keeps a review for one operation that closes it.
    pub fn begin_review(&mut self, review: Seq) {
        self.reviews.insert(review);
    }

    /// Ends what [`Reservations::begin_review`] began.
    ///
    /// # Panics
    ///
    /// If it was not begun.
    pub fn end_review(&mut self, review: Seq) {
        assert!(self.reviews.remove(&review), "the end of a review ends that was not begun");
    }

    /// Reserves a place for an operation that may be set aside.
    pub fn begin_place(&mut self, tenant: TenantId) {
        *self.may_wait.entry(tenant).or_default() += 1;
    }

    /// Ends what [`Reservations::begin_place`] began.
    ///
    /// # Panics
    ///
    /// If it was not begun.
    pub fn end_place(&mut self, tenant: TenantId) {
        let open = self.may_wait.get_mut(&tenant).expect("a place is given free that was not reserved");
        *open -= 1;
        if *open == 0 {
            self.may_wait.remove(&tenant);
        }
    }

    /// Returns how many places are reserved for operations that may be set aside.
    #[must_use]
    pub fn places(&self, tenant: TenantId) -> u64 {
        self.may_wait.get(&tenant).copied().unwrap_or(0)
    }

    /// Keeps partners and devices for one operation that their rules look at.
    pub fn begin_parties(&mut self, tenant: TenantId, parties: &[CountedBy]) {
        self.parties.extend(parties.iter().map(|party| (tenant, *party)));
    }

    /// Ends what [`Reservations::begin_parties`] began.
    ///
    /// # Panics
    ///
    /// If it was not begun.
    pub fn end_parties(&mut self, tenant: TenantId, parties: &[CountedBy]) {
        for party in parties {
            assert!(self.parties.remove(&(tenant, *party)), "an operation of a party ends that was not begun");
        }
    }

    /// Returns true while an operation of a partner or a device is in flight that their rules look at.
    #[must_use]
    pub fn has_party(&self, tenant: TenantId, party: CountedBy) -> bool {
        self.parties.contains(&(tenant, party))
    }

    /// Returns true while a review is being closed.
    #[must_use]
    pub fn has_review(&self, review: Seq) -> bool {
        self.reviews.contains(&review)
    }

    /// Returns true while an operation of this key is admitted but not settled.
    #[must_use]
    pub fn has_operation(&self, key: OperationKey) -> bool {
        self.operations.contains(&key)
    }

    /// Returns true while nothing is admitted that is not settled.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.operations.is_empty() && self.keyless == 0
    }

    /// Notes a command that creates its customer, unless its row refuses it.
    pub fn begin_creation(&mut self, tenant: TenantId, customer: CustomerId) {
        *self.creations.entry((tenant, customer)).or_default() += 1;
    }

    /// Ends what [`Reservations::begin_creation`] began.
    ///
    /// # Panics
    ///
    /// If it was not begun.
    pub fn end_creation(&mut self, tenant: TenantId, customer: CustomerId) {
        let open = self.creations.get_mut(&(tenant, customer)).expect("a creation ends that was not begun");
        *open -= 1;
        if *open == 0 {
            self.creations.remove(&(tenant, customer));
        }
    }

    /// Returns true while a purchase is admitted but not settled that would create this customer.
    #[must_use]
    pub fn is_creating(&self, tenant: TenantId, customer: CustomerId) -> bool {
        self.creations.contains_key(&(tenant, customer))
    }

    /// Returns true while a purchase of this key is admitted but not settled.
    #[must_use]
    pub fn has_key(&self, key: PurchaseKey) -> bool {
        self.keys.contains(&key)
    }

    /// Returns how many units of an offer are reserved.
    #[must_use]
    pub fn offer(&self, tenant: TenantId, offer: RuleId) -> u64 {
        self.offers.get(&(tenant, offer)).copied().unwrap_or(0)
    }

    /// Returns how many units of a promo are reserved.
    #[must_use]
    pub fn promo(&self, tenant: TenantId, promo: RuleId) -> u64 {
        self.promos.get(&(tenant, promo)).copied().unwrap_or(0)
    }
}
