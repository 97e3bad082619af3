//! What is asked of the ledger.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::audit::Audit;
use crate::draft::CatalogueDraft;
use crate::identity::{CustomerId, CustomerName, Fingerprint, PartnerId, PurchaseKey, RuleId, TenantId};
use crate::operation::{Actor, Operation, OperationCommand, OperationKey};
use crate::preview::RuleChange;
use crate::purchase::Purchase;
use crate::quantity::Seq;

/// One thing that is asked. Each gets a ticket, and its answer leaves once every lower ticket is durable.
#[derive(Clone, Debug)]
pub enum Command {
    /// Book a purchase.
    Purchase(Box<PurchaseCommand>),
    /// Do something with a customer's accounts.
    Operation(Box<OperationCommand>),
    /// Do something that no customer's row has a part in.
    Desk(Box<DeskCommand>),
    /// Make a catalogue the tenant's next version.
    ApplyCatalogue(Box<ApplyCatalogue>),
    /// Write down what an administrator does.
    Audit(Box<AuditCommand>),
    /// Look at something.
    Read(Query),
}

/// Writes down what an administrator does.
#[derive(Clone, Debug)]
pub struct AuditCommand {
    /// The tenant, which is there.
    pub tenant: TenantId,
    /// Who does what.
    pub audit: Audit,
}

/// Books a purchase.
#[derive(Clone, Debug)]
pub struct PurchaseCommand {
    /// The tenant of the partner.
    pub tenant: TenantId,
    /// Who sends it.
    pub partner: PartnerId,
    /// The keyed hash of partner and origin id.
    pub key: PurchaseKey,
    /// The keyed hash of the content.
    pub fingerprint: Fingerprint,
    /// Whose purchase it is.
    pub customer: CustomerName,
    /// The text of the alias, for the profile store. No rule looks at it and no event holds it.
    pub alias_text: Option<Box<str>>,
    /// What was bought.
    pub purchase: Purchase,
    /// True when the answer is wanted but not the effect.
    pub dry_run: bool,
    /// Records of the same key prefix that were read and found to be of another purchase.
    pub other_records: Vec<Seq>,
}

/// Asks for something that no customer's row has a part in.
#[derive(Clone, Debug)]
pub struct DeskCommand {
    /// The tenant.
    pub tenant: TenantId,
    /// Who asks.
    pub actor: Actor,
    /// The key, of a request that has one.
    pub key: Option<OperationKey>,
    /// The keyed hash of what is asked.
    pub fingerprint: Fingerprint,
    /// [`Operation::OpenInvoice`], [`Operation::CancelInvoice`] or [`Operation::ArchiveRiskCheck`].
    pub operation: Operation,
    /// True when the answer is wanted but not the effect.
    pub dry_run: bool,
}

/// Makes a catalogue the tenant's next version.
#[derive(Clone, Debug)]
pub struct ApplyCatalogue {
    /// Who wants it; nobody where it is only looked at.
    pub actor: Option<Actor>,
    /// What is wanted.
    pub draft: CatalogueDraft,
    /// Keys that partners are given by it; they lie in the profile store.
    pub keys: Vec<KeyToGive>,
    /// The version that the caller changes; `None` to change whatever holds.
    pub expected_version: Option<u32>,
    /// True when the answer is wanted but not the effect.
    pub dry_run: bool,
}

/// A key that a partner is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyToGive {
    /// The partner's slug.
    pub partner: String,
    /// The id that the key is shown by.
    pub key: u128,
    /// True where its requests must be signed.
    pub is_signed: bool,
}

/// A question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// A customer's row.
    Customer {
        /// The tenant.
        tenant: TenantId,
        /// The customer.
        customer: CustomerName,
    },
    /// Where a purchase is booked.
    Purchase {
        /// Its key.
        key: PurchaseKey,
    },
    /// Why a purchase is refused.
    Receipt {
        /// Its key.
        key: PurchaseKey,
    },
    /// A tenant's rules at a version; `None` means the present one.
    Catalogue {
        /// The tenant's slug.
        tenant: String,
        /// The version.
        version: Option<u32>,
    },
    /// A promo's quota.
    PromoUse {
        /// The tenant.
        tenant: TenantId,
        /// The promo.
        promo: RuleId,
    },
    /// An invoice.
    Invoice {
        /// The tenant.
        tenant: TenantId,
        /// Its number.
        number: Box<str>,
    },
    /// Reviews that are open, the oldest first.
    Reviews {
        /// The tenant.
        tenant: TenantId,
        /// Those behind this record.
        after: Seq,
        /// How many at most.
        limit: usize,
    },
    /// Checks of the log that are archived.
    ArchivedChecks {
        /// The tenant.
        tenant: TenantId,
        /// From this record on.
        first: Seq,
        /// To this record.
        last: Seq,
    },
    /// The sums of a tenant.
    Totals {
        /// The tenant's slug.
        tenant: String,
    },
    /// What a change of rules would do to some of the customers that a shard holds.
    Preview {
        /// The change.
        change: Arc<RuleChange>,
        /// The shard, from 0.
        shard: usize,
        /// How many of its rows were looked at before.
        from: usize,
    },
    /// The first of a tenant's customers, in order of their ids, among some that a shard holds.
    Customers {
        /// The tenant.
        tenant: TenantId,
        /// Behind this one.
        after: Option<CustomerId>,
        /// How many at most.
        limit: usize,
        /// The shard, from 0.
        shard: usize,
        /// How many of its rows were looked at before.
        from: usize,
    },
    /// The ledger's clock: an instant before which nothing will be received any more.
    Clock,
}
