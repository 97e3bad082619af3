//! The desk's decision on an operation: was it asked before, is its customer known, and which rules hold?

use alloc::boxed::Box;
use alloc::sync::Arc;

use super::admit::{Named, name_customer, rule_time};
use super::budgets::budgets;
use super::counted::{PartyTerms, party_terms};
use super::invoices::invoice_terms;
use super::{Desk, Reservations};
use crate::campaign::{Activity, Budgets};
use crate::catalogue::{Catalogue, RuleClock};
use crate::identity::{CustomerId, CustomerName, RuleId, TenantId};
use crate::invoice::InvoiceTerms;
use crate::offer;
use crate::operation::{Operation, OperationCommand, OperationRejection};
use crate::placement::Removal;
use crate::quantity::{Instant, Seq};
use crate::risk::{RiskAction, RiskRule};

/// What the desk says to an operation.
#[derive(Clone, Debug)]
pub enum OperationAdmission {
    /// It goes to the customer's row on these terms.
    Admitted(Box<OperationTerms>),
    /// Its key was used before.
    Known {
        /// The record that says what became of it.
        seq: Seq,
        /// True when the same was asked.
        is_same: bool,
    },
    /// A record of the same key prefix as a refund's is booked; whether it is this refund, the record tells.
    Booked(Seq),
    /// It is refused, whatever the row says.
    Refused {
        /// Why.
        rejection: OperationRejection,
        /// Whose accounts, if there is such a customer.
        customer: Option<CustomerId>,
    },
    /// It cannot be decided until what is reserved now is settled.
    Wait,
}

/// On which terms an operation goes to its customer's row.
#[derive(Clone, Debug)]
pub struct OperationTerms {
    /// When the ledger received it.
    pub received_at: Instant,
    /// The rules to decide by.
    pub catalogue: Arc<Catalogue>,
    /// The rules that decided the purchase that is refunded, of a refund.
    pub recorded: Option<Arc<Catalogue>>,
    /// The versions that removed levels, the oldest first.
    pub removals: Arc<[Removal]>,
    /// Whose row.
    pub customer: CustomerId,
    /// The instant that the rules see.
    pub at: Instant,
    /// What there is of the offer that is redeemed.
    pub offer: OfferTerms,
    /// What there is of the budgets of campaigns, of an activity.
    pub budgets: Budgets,
    /// What there is of the invoice that is paid.
    pub invoice: InvoiceTerms,
    /// What rules of partners and devices say.
    pub parties: PartyTerms,
    /// Whether the operation may be set aside.
    pub place: PlaceTerms,
}

/// What the desk says of an offer that is redeemed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfferTerms {
    /// There is none, or as many units as anybody wants.
    Unlimited,
    /// The units are reserved.
    Reserved {
        /// The offer.
        offer: RuleId,
        /// How many.
        quantity: u32,
    },
    /// There are fewer units left than asked for.
    Exhausted {
        /// How many there are in all.
        stock: u64,
        /// How many of them are redeemed.
        redeemed: u64,
    },
}

/// What the desk says of a place for an operation that may be set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlaceTerms {
    /// No rule sets it aside.
    None,
    /// A place is reserved.
    Reserved,
    /// As many operations of the tenant are set aside as may be.
    Exhausted,
}

impl OperationTerms {
    /// Returns the units of an offer that are reserved.
    #[must_use]
    pub fn reserved_units(&self) -> Option<(TenantId, RuleId, u32)> {
        match self.offer {
            OfferTerms::Reserved { offer, quantity } => Some((self.catalogue.tenant, offer, quantity)),
            OfferTerms::Unlimited | OfferTerms::Exhausted { .. } => None,
        }
    }
}

/// Decides whether an operation may go to its customer's row.
///
/// # Panics
///
/// If the command names a tenant that does not exist: its caller was identified by that tenant's rules.
#[must_use]
pub fn admit_operation(
    desk: &Desk,
    open: &Reservations,
    received_at: Instant,
    command: &OperationCommand,
) -> OperationAdmission {
    if let Some(key) = command.key {
        if open.has_operation(key) && !command.dry_run {
            return OperationAdmission::Wait;
        }
        if let Some(known) = desk.operations.find(key, received_at) {
            return OperationAdmission::Known { seq: known.seq, is_same: known.fingerprint == command.fingerprint };
        }
    }
    if let Some(refund) = command.operation.refund() {
        if open.has_key(refund.key) && !command.dry_run {
            return OperationAdmission::Wait;
        }
        let is_other = |seq: &Seq| command.other_records.contains(seq);
        if let Some(seq) = desk.keys().candidates(refund.key).find(|seq| !is_other(seq)) {
            return OperationAdmission::Booked(seq);
        }
    }
    let catalogue = desk.catalogue(command.tenant).expect("a caller's tenant exists");
    let creates = command.operation.creates_customer();
    let customer = match name_customer(desk, open, command.tenant, command.customer, creates) {
        Named::Customer(customer) => customer,
        Named::Open => return OperationAdmission::Wait,
        Named::Nobody => {
            return OperationAdmission::Refused { rejection: OperationRejection::CustomerUnknown, customer: None };
        }
    };
    let refused = |rejection| OperationAdmission::Refused { rejection, customer: Some(customer) };
    if let Some(review) = command.operation.closes_review() {
        if open.has_review(review) && !command.dry_run {
            return OperationAdmission::Wait;
        }
        if desk.review(command.tenant, review).is_none() {
            return refused(OperationRejection::ReviewClosed);
        }
    }
    if let Operation::Transfer { to, .. } = command.effective() {
        match name_customer(desk, open, command.tenant, CustomerName::Id(*to), false) {
            Named::Customer(_) => (),
            Named::Open => return OperationAdmission::Wait,
            Named::Nobody => return refused(OperationRejection::TransferTargetUnknown),
        }
    }
    let at = match &command.operation {
        Operation::ReportActivity { occurred_at, .. } => match rule_time(catalogue, received_at, *occurred_at) {
            Ok(at) => at,
            Err(occurred_at_max) => {
                let occurred_at = occurred_at.unwrap_or(received_at);
                return refused(OperationRejection::OccurredInFuture { occurred_at, occurred_at_max });
            }
        },
        // What is in flight may still raise the instant that is now.
        _ if catalogue.clock == RuleClock::Occurred && !open.is_empty() => return OperationAdmission::Wait,
        _ => desk.now(command.tenant, received_at),
    };
    let Some(offer) = offer_terms(desk, open, catalogue, at, command) else { return OperationAdmission::Wait };
    let budgets = match &command.operation {
        Operation::ReportActivity { tag, .. } => {
            budgets(desk, open, catalogue, (Activity::Tag(tag), at), command.dry_run)
        }
        _ => Some(Budgets::default()),
    };
    let Some(budgets) = budgets else { return OperationAdmission::Wait };
    let Some(invoice) = invoice_terms(desk, open, command) else { return OperationAdmission::Wait };
    let Some(place) = place_terms(desk, open, catalogue, command) else { return OperationAdmission::Wait };
    let looked_at = (&**catalogue, received_at);
    let Some(parties) = party_terms(desk, open, looked_at, command) else { return OperationAdmission::Wait };
    let recorded = command.original.as_deref().map(|record| record.body.catalogue_version);
    let recorded = recorded.and_then(|version| desk.catalogue_at(command.tenant, version)).cloned();
    let removals = desk.removals(command.tenant).cloned().unwrap_or_default();
    OperationAdmission::Admitted(Box::new(OperationTerms {
        received_at,
        catalogue: Arc::clone(catalogue),
        recorded,
        removals,
        customer,
        at,
        offer,
        budgets,
        invoice,
        parties,
        place,
    }))
}

/// Says what there is of an offer, or `None` when that hangs on reservations that are still open: only settled units can
/// exhaust a stock. Whatever else may refuse is the row's to say.
fn offer_terms(
    desk: &Desk,
    open: &Reservations,
    rules: &Catalogue,
    at: Instant,
    command: &OperationCommand,
) -> Option<OfferTerms> {
    let Operation::Redeem { offer, quantity } = &command.operation else { return Some(OfferTerms::Unlimited) };
    let offer = rules.offer_by_name(offer).filter(|offer| offer.is_open(at));
    let wanted = offer.and_then(|offer| Some((offer, offer.stock?))).zip(offer::quantity(*quantity).ok());
    let Some(((offer, stock), quantity)) = wanted else { return Some(OfferTerms::Unlimited) };
    let redeemed = desk.offer_redeemed(command.tenant, offer.id);
    let left = stock.saturating_sub(redeemed);
    let reserved = if command.dry_run { 0 } else { open.offer(command.tenant, offer.id) };
    if u64::from(quantity).saturating_add(reserved) <= left {
        return Some(OfferTerms::Reserved { offer: offer.id, quantity });
    }
    // Also what cannot be had any more is said with the number that is settled.
    if 0 < reserved { None } else { Some(OfferTerms::Exhausted { stock, redeemed }) }
}

/// Says whether there is a place for an operation that may be set aside, or `None` while that hangs on others in flight.
fn place_terms(desk: &Desk, open: &Reservations, rules: &Catalogue, command: &OperationCommand) -> Option<PlaceTerms> {
    let Some((kind, _)) = command.operation.at_risk() else { return Some(PlaceTerms::None) };
    let sets_aside = |rule: &RiskRule| rule.action == RiskAction::Review && rule.looks_at(kind);
    if !rules.risk_rules.iter().any(sets_aside) {
        return Some(PlaceTerms::None);
    }
    match desk.reviews_left(command.tenant) {
        0 => Some(PlaceTerms::Exhausted),
        left if left <= open.places(command.tenant) && !command.dry_run => None,
        _ => Some(PlaceTerms::Reserved),
    }
}
