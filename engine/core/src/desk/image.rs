//! The desk and the sums as pieces that a snapshot can hold, and back. Not how they lie on a disk.
//!
//! A piece is small, so that no store needs the whole at once. Customers and purchase keys are not among the pieces:
//! there are millions of them, and whoever keeps them does it in runs and tables of its own.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::hint::black_box;

use serde::{Deserialize, Serialize};

use super::counted::{Counted, CountedBy};
use super::{Desk, Known, KnownOperation, Receipt, TenantDesk};
use crate::catalogue::Catalogue;
use crate::identity::{CustomerId, PurchaseKey, RuleId, TenantId};
use crate::invoice::Invoice;
use crate::operation::OperationKey;
use crate::quantity::{Instant, Seq};
use crate::review::OpenReview;
use crate::risk::Remembered;
use crate::totals::{TenantTotals, Totals};
use crate::transfer::OpenTransfer;

/// A part of a desk. Kinds and shapes are stored: a new shape is a new version of whatever stores them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeskPiece {
    /// What there is once; comes first.
    Head {
        /// See [`Desk::last`].
        last: Seq,
        /// See [`Desk::last_received_at`].
        last_received_at: Instant,
        /// The id that the next new partner gets.
        next_partner: u32,
    },
    /// The next tenant; its versions and promos follow.
    Tenant {
        /// The highest accepted `occurred_at`.
        watermark: Option<Instant>,
        /// True once a wallet was moved.
        has_entries: bool,
    },
    /// The next version of the tenant's rules.
    Version(Box<Catalogue>),
    /// The used units of a promo's quota.
    PromoUsed {
        /// The promo.
        promo: RuleId,
        /// How many.
        used: u64,
    },
    /// The present refusal of a purchase key.
    Receipt {
        /// The key.
        key: PurchaseKey,
        /// Its refusal.
        receipt: Receipt,
    },
    /// The redeemed units of an offer.
    OfferRedeemed {
        /// The offer.
        offer: RuleId,
        /// How many.
        redeemed: u64,
    },
    /// What became of the key of an operation, the oldest first.
    Operation {
        /// The key.
        key: OperationKey,
        /// What became of it.
        known: KnownOperation,
    },
    /// How often a campaign was completed.
    Completions {
        /// The campaign.
        campaign: RuleId,
        /// How often.
        completions: u64,
    },
    /// The transfer that is on its way.
    Transfer(Box<OpenTransfer>),
    /// An invoice of the tenant.
    Invoice {
        /// Its number.
        number: Box<str>,
        /// What there is of it.
        invoice: Invoice,
    },
    /// A review of the tenant that is open.
    Review {
        /// The record that opened it.
        review: Seq,
        /// What is known of it.
        open: OpenReview,
    },
    /// A check of the tenant that is archived.
    Archived {
        /// The record of the check.
        check: Seq,
    },
    /// An operation of the tenant that rules of partners or devices may ask for, the oldest first.
    Counted {
        /// Its record.
        seq: Seq,
        /// Whose it is.
        by: CountedBy,
        /// What it was.
        operation: Remembered,
    },
}

/// Why a piece has no place: the pieces are not those of one desk, or not in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Misfit(pub &'static str);

impl fmt::Display for Misfit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.0)
    }
}

impl core::error::Error for Misfit {}

impl Desk {
    /// Lists the pieces, customers and keys left out, in an order that hangs on what the desk holds alone.
    pub fn pieces(&self) -> impl Iterator<Item = DeskPiece> + '_ {
        let (last, last_received_at, next_partner) = (self.last, self.last_received_at, self.next_partner);
        let head = DeskPiece::Head { last, last_received_at, next_partner };
        let mut receipts: Vec<(PurchaseKey, Receipt)> = self.receipts.iter().map(|(key, seen)| (*key, *seen)).collect();
        receipts.sort_unstable_by_key(|(key, _)| *key);
        let receipts = receipts.into_iter().map(|(key, receipt)| DeskPiece::Receipt { key, receipt });
        let operations = self.operations.iter().map(|(key, known)| DeskPiece::Operation { key, known });
        let transfer = self.transfer.clone().map(|open| DeskPiece::Transfer(Box::new(open)));
        let tenants = self.tenants.iter().flat_map(TenantDesk::pieces);
        core::iter::once(head).chain(tenants).chain(receipts).chain(operations).chain(transfer)
    }

    /// Puts back the next piece; starts with [`Desk::default`].
    ///
    /// # Errors
    ///
    /// [`Misfit`] for a piece that no desk lists at this place; the desk is then worthless.
    pub fn restore(&mut self, piece: DeskPiece) -> Result<(), Misfit> {
        match piece {
            DeskPiece::Head { last, last_received_at, next_partner } => {
                if self.last != Seq::ZERO || last == Seq::ZERO {
                    return Err(Misfit("a desk has one head, with a last record"));
                }
                (self.last, self.last_received_at, self.next_partner) = (last, last_received_at, next_partner);
            }
            DeskPiece::Tenant { watermark, has_entries } => {
                let (versions, removals) = (Vec::new(), Arc::default());
                let (promos_used, offers_redeemed) = (BTreeMap::new(), BTreeMap::new());
                self.tenants.push(TenantDesk {
                    versions,
                    removals,
                    promos_used,
                    offers_redeemed,
                    completions: BTreeMap::new(),
                    invoices: BTreeMap::new(),
                    reviews: BTreeMap::new(),
                    archived: BTreeSet::new(),
                    counted: Counted::default(),
                    watermark,
                    has_entries,
                });
            }
            DeskPiece::Version(catalogue) => self.restore_version(Arc::from(catalogue))?,
            DeskPiece::PromoUsed { promo, used } => {
                let tenant = self.tenants.last_mut().ok_or(Misfit("a promo comes before its tenant"))?;
                if tenant.promos_used.insert(promo, used).is_some() {
                    return Err(Misfit("a promo is there twice"));
                }
            }
            DeskPiece::OfferRedeemed { offer, redeemed } => {
                let tenant = self.tenants.last_mut().ok_or(Misfit("an offer comes before its tenant"))?;
                if tenant.offers_redeemed.insert(offer, redeemed).is_some() {
                    return Err(Misfit("an offer is there twice"));
                }
            }
            DeskPiece::Completions { campaign, completions } => {
                let tenant = self.tenants.last_mut().ok_or(Misfit("a campaign comes before its tenant"))?;
                if tenant.completions.insert(campaign, completions).is_some() {
                    return Err(Misfit("a campaign is there twice"));
                }
            }
            DeskPiece::Receipt { key, receipt } => {
                if self.receipts.insert(key, receipt).is_some() {
                    return Err(Misfit("a receipt is there twice"));
                }
            }
            DeskPiece::Operation { key, known } => {
                if self.operations.find(key, Instant(i64::MIN)).is_some() {
                    return Err(Misfit("the key of an operation is there twice"));
                }
                self.operations.insert(key, known);
            }
            DeskPiece::Invoice { number, invoice } => {
                let tenant = self.tenants.last_mut().ok_or(Misfit("an invoice comes before its tenant"))?;
                if tenant.invoices.insert(number, invoice).is_some() {
                    return Err(Misfit("an invoice is there twice"));
                }
            }
            DeskPiece::Review { review, open } => {
                let tenant = self.tenants.last().ok_or(Misfit("a review comes before its tenant"))?;
                if tenant.reviews.contains_key(&review) {
                    return Err(Misfit("a review is there twice"));
                }
                self.open_review(TenantId(self.tenants.len() as u32), review, open);
            }
            DeskPiece::Archived { check } => {
                let tenant = self.tenants.last_mut().ok_or(Misfit("a check is archived before its tenant"))?;
                if !tenant.archived.insert(check) {
                    return Err(Misfit("a check is archived twice"));
                }
            }
            DeskPiece::Counted { seq, by, operation } => {
                let tenant = self.tenants.last_mut().ok_or(Misfit("an operation is counted before its tenant"))?;
                tenant.counted.push(seq, by, operation);
            }
            DeskPiece::Transfer(open) => {
                if self.transfer.replace(*open).is_some() {
                    return Err(Misfit("two transfers are on their way"));
                }
            }
        }
        Ok(())
    }

    fn restore_version(&mut self, catalogue: Arc<Catalogue>) -> Result<(), Misfit> {
        let id = self.tenants.len();
        let tenant = self.tenants.last_mut().ok_or(Misfit("rules come before their tenant"))?;
        if catalogue.tenant.0 as usize != id || catalogue.version as usize != tenant.versions.len() + 1 {
            return Err(Misfit("rules are of another tenant or version"));
        }
        if catalogue.version == 1 && self.slugs.insert(catalogue.slug.clone(), catalogue.tenant).is_some() {
            return Err(Misfit("a slug is there twice"));
        }
        tenant.push_version(catalogue);
        Ok(())
    }

    /// Makes room in the directory for so many more customers.
    pub fn reserve_customers(&mut self, count: usize) {
        self.customers.reserve(count);
    }

    /// Puts customers back into the directory.
    pub fn restore_customers(&mut self, customers: &[(CustomerId, Known)]) {
        // Nobody is found; what is looked at on the way is near then.
        for (customer, _) in customers {
            black_box(self.customers.get(customer).is_some());
        }
        for (customer, known) in customers {
            self.customers.insert(*customer, *known);
        }
    }

    /// Puts a booked purchase back into the index, by the prefix of its key.
    pub fn restore_key(&mut self, prefix: u64, seq: Seq) {
        self.keys.insert(PurchaseKey(u128::from(prefix) << 64), seq);
    }
}

impl TenantDesk {
    fn pieces(&self) -> impl Iterator<Item = DeskPiece> + '_ {
        let head = DeskPiece::Tenant { watermark: self.watermark, has_entries: self.has_entries };
        let versions = self.versions.iter().map(|version| DeskPiece::Version(Box::new(Catalogue::clone(version))));
        let promos = self.promos_used.iter().map(|(promo, used)| DeskPiece::PromoUsed { promo: *promo, used: *used });
        let offers = (self.offers_redeemed.iter())
            .map(|(offer, redeemed)| DeskPiece::OfferRedeemed { offer: *offer, redeemed: *redeemed });
        let completions = (self.completions.iter())
            .map(|(campaign, count)| DeskPiece::Completions { campaign: *campaign, completions: *count });
        let invoices = (self.invoices.iter())
            .map(|(number, invoice)| DeskPiece::Invoice { number: number.clone(), invoice: *invoice });
        let reviews = self.reviews.iter().map(|(review, open)| DeskPiece::Review { review: *review, open: *open });
        let counted = self.counted.iter().map(|(seq, by, operation)| DeskPiece::Counted { seq, by, operation });
        let archived = self.archived.iter().map(|check| DeskPiece::Archived { check: *check });
        let counts = promos.chain(offers).chain(completions);
        core::iter::once(head)
            .chain(versions)
            .chain(counts)
            .chain(invoices)
            .chain(reviews)
            .chain(archived)
            .chain(counted)
    }
}

impl Totals {
    /// Puts the sums of a tenant back.
    ///
    /// # Errors
    ///
    /// [`Misfit`] when they are there already.
    pub fn restore(&mut self, tenant: TenantId, totals: TenantTotals) -> Result<(), Misfit> {
        let before = self.tenants.insert(tenant, totals);
        if before.is_some() { Err(Misfit("the sums of a tenant are there twice")) } else { Ok(()) }
    }
}
