//! What becomes of a command: the answers that leave the machine.

use std::sync::Arc;

use kembali_core::catalogue::Catalogue;
use kembali_core::command::PurchaseCommand;
use kembali_core::customer::Row;
use kembali_core::event::{Body, Record};
use kembali_core::invoice::Invoice;
use kembali_core::operation::{OperationCommand, OperationRejection};
use kembali_core::totals::TenantTotals;
use kembali_core::{CatalogueRejection, CustomerId, Instant, Rejection, RejectionCode, Seq};

use crate::shard::{ListPiece, PreviewPiece};

/// What became of a command. Everything that it rests on is durable when it is seen.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// A purchase was booked.
    Booked {
        /// All that happened.
        record: Arc<Record>,
        /// The rules that it was decided by.
        catalogue: Arc<Catalogue>,
    },
    /// A purchase would be booked; nothing was.
    WouldBook {
        /// All that would happen.
        body: Box<Body>,
        /// The rules that it was judged by.
        catalogue: Arc<Catalogue>,
    },
    /// The record at this position has the same key prefix; whether it is this purchase, the record tells. The command
    /// is given back: if it is another purchase, send it again with this position among `other_records`.
    Known(Seq, Box<PurchaseCommand>),
    /// A purchase was refused.
    Refused {
        /// Why.
        rejection: Rejection,
        /// True when the same content was refused for the same reason before.
        replayed: bool,
    },
    /// An operation was done.
    Operated {
        /// All that happened.
        record: Arc<Record>,
        /// The rules that it was decided by.
        catalogue: Arc<Catalogue>,
    },
    /// An operation would be done; nothing was.
    WouldOperate {
        /// All that would happen.
        body: Box<Body>,
        /// The rules that it was judged by.
        catalogue: Arc<Catalogue>,
    },
    /// What an operation asks is so already.
    Unchanged {
        /// The customer.
        customer: CustomerId,
    },
    /// The key of an operation was used before.
    OperationKnown {
        /// The record that says what became of it.
        seq: Seq,
        /// True when the same was asked.
        is_same: bool,
    },
    /// The record at this position has the same key prefix as a refund; whether it is this one, the record tells. The
    /// command is given back: if it is something else, send it again with this position among `other_records`.
    RefundBooked(Seq, Box<OperationCommand>),
    /// An operation was refused.
    OperationRefused(OperationRejection),
    /// A catalogue holds now.
    Applied {
        /// The present version.
        catalogue: Arc<Catalogue>,
        /// The version before, if there was one.
        before: Option<Arc<Catalogue>>,
        /// The record of the change; `None` when nothing changed or nothing was to change.
        seq: Option<Seq>,
    },
    /// A catalogue was refused.
    CatalogueRefused(CatalogueRejection),
    /// An administrative act is written down in this record.
    Audited(Seq),
    /// A customer, or nobody.
    Customer(Option<Box<CustomerView>>),
    /// The records that may have booked a purchase key.
    Candidates(Vec<Seq>),
    /// The present refusal of a purchase key, if it has one.
    Receipt(Option<RejectionCode>),
    /// A tenant's rules at the asked version, if there are any.
    Catalogue(Option<Arc<Catalogue>>),
    /// A promo's quota, if there is such a promo.
    PromoUse(Option<PromoUse>),
    /// A tenant's sums, if there is such a tenant.
    Totals(Option<Box<TotalsView>>),
    /// An invoice, if the tenant has it.
    Invoice(Option<InvoiceView>),
    /// Reviews that are open, by the records that opened them.
    Reviews(Vec<Seq>),
    /// Checks of the log that are archived, by their records.
    ArchivedChecks(Vec<Seq>),
    /// What a change of rules would do to some of a shard's customers, if there is such a shard.
    Preview(Option<PreviewView>),
    /// The first of a tenant's customers among some that a shard holds, if there is such a shard.
    Customers(Option<ListPiece>),
    /// The ledger's clock.
    Clock {
        /// What it says: every record behind `as_of` has this stamp or a later one.
        received_at: Instant,
        /// The last record before the question.
        as_of: Seq,
    },
}

/// A customer as of a position.
#[derive(Clone, Debug)]
pub struct CustomerView {
    /// The customer.
    pub id: CustomerId,
    /// The row, up to date.
    pub row: Row,
    /// The row as its last record left it: what was due since is not in it.
    pub booked: Row,
    /// The tenant's present rules.
    pub catalogue: Arc<Catalogue>,
    /// The instant that is "now" for these rules.
    pub now: Instant,
    /// The last record that names the customer.
    pub last: Seq,
    /// The position that this is as of.
    pub as_of: Seq,
}

/// What a change of rules would do to some of a shard's customers, as of a position.
#[derive(Clone, Debug)]
pub struct PreviewView {
    /// The counts, and where they go on.
    pub piece: Box<PreviewPiece>,
    /// The position that this is as of.
    pub as_of: Seq,
}

/// An invoice as of a position.
#[derive(Clone, Debug)]
pub struct InvoiceView {
    /// The invoice.
    pub invoice: Invoice,
    /// The tenant's present rules.
    pub catalogue: Arc<Catalogue>,
    /// The instant that is "now" for these rules.
    pub now: Instant,
    /// The position that this is as of.
    pub as_of: Seq,
}

/// A promo's quota as of a position.
#[derive(Clone, Debug)]
pub struct PromoUse {
    /// The tenant's present rules.
    pub catalogue: Arc<Catalogue>,
    /// Units that booked purchases use.
    pub used: u64,
    /// Units that purchases use which are being decided now.
    pub reserved: u64,
    /// The position that this is as of.
    pub as_of: Seq,
}

/// A tenant's sums as of a position.
#[derive(Clone, Debug)]
pub struct TotalsView {
    /// The tenant's present rules.
    pub catalogue: Arc<Catalogue>,
    /// The sums.
    pub totals: TenantTotals,
    /// Each promo's units that are reserved now, in the order of the rules.
    pub reserved: Vec<u64>,
    /// The position that this is as of.
    pub as_of: Seq,
}
