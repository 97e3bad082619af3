//! The desk's decision: may this command go to its customer's row, and on which terms?

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::budgets::budgets;
use super::counted::{PartyTerms, party_terms_of_purchase};
use crate::campaign::{Activity, Budgets};
use crate::catalogue::{Catalogue, Promo, RuleClock, UnknownCustomer, UnknownPromo};
use crate::command::{ApplyCatalogue, PurchaseCommand};
use crate::desk::{Desk, Reservations};
use crate::draft::Numbering;
use crate::event::{DeclineReason, Event, PurchaseRefused};
use crate::identity::{CustomerId, CustomerName, RuleId, TenantId};
use crate::placement::Removal;
use crate::quantity::{Amount, DAY_US, Instant, Seq};
use crate::rejection::{CatalogueRejection, Rejection, RejectionCode};

/// What the desk says to a purchase.
#[derive(Clone, Debug)]
pub enum Admission {
    /// It goes to the customer's row on these terms.
    Admitted(Terms),
    /// A record of the same key prefix is booked; whether it is this purchase, the record tells.
    Known(Seq),
    /// It is refused.
    Refused {
        /// Why.
        rejection: Rejection,
        /// The refusal that the key had before.
        replaces: Option<RejectionCode>,
        /// True when the same content was refused for the same reason before: nothing is written.
        replayed: bool,
    },
    /// It cannot be decided until what is reserved now is settled: its key is in flight, or the last units of its
    /// promo are, or the customer of its id is just being created.
    Wait,
}

/// On which terms a purchase goes to its customer's row.
#[derive(Clone, Debug)]
pub struct Terms {
    /// When the ledger received it.
    pub received_at: Instant,
    /// The rules to decide by.
    pub catalogue: Arc<Catalogue>,
    /// The versions of these rules that removed levels: the row is brought up to date first.
    pub removals: Arc<[Removal]>,
    /// Whose row.
    pub customer: CustomerId,
    /// What was paid, checked.
    pub amount: Amount,
    /// The instant that the rules see.
    pub at: Instant,
    /// What its promo does.
    pub promo: PromoTerms,
    /// What there is of the budgets of campaigns.
    pub budgets: Budgets,
    /// What risk rules of partners say, where one looks at purchases.
    pub parties: Option<Box<PartyTerms>>,
    /// The refusal that a booking replaces.
    pub replaces: Option<RejectionCode>,
}

/// What a purchase's promo does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PromoTerms {
    /// The purchase names none.
    NoPromo,
    /// A unit is reserved.
    Granted {
        /// The promo.
        promo: RuleId,
        /// The band.
        band: RuleId,
        /// What it pays.
        points: Amount,
    },
    /// It pays nothing.
    Declined {
        /// The promo.
        promo: RuleId,
        /// Why.
        reason: DeclineReason,
    },
}

impl Terms {
    /// Returns the promo of which a unit is reserved.
    #[must_use]
    pub fn reserved_promo(&self) -> Option<(TenantId, RuleId)> {
        match self.promo {
            PromoTerms::Granted { promo, .. } => Some((self.catalogue.tenant, promo)),
            PromoTerms::NoPromo | PromoTerms::Declined { .. } => None,
        }
    }
}

/// Decides whether a purchase may go to its customer's row.
///
/// Checks that need no row, in the order that decides which failure is reported: the key, the customer, amount,
/// quantity, lines, the time, the promo. The quota is looked at last, so that nothing but the row can still refuse what
/// a unit was reserved for.
///
/// # Panics
///
/// If the command names a tenant that does not exist: its caller was identified by that tenant's rules.
#[must_use]
pub fn admit(desk: &Desk, open: &Reservations, received_at: Instant, command: &PurchaseCommand) -> Admission {
    if open.has_key(command.key) && !command.dry_run {
        return Admission::Wait;
    }
    let is_other = |seq: &Seq| command.other_records.contains(seq);
    if let Some(seq) = desk.keys().candidates(command.key).find(|seq| !is_other(seq)) {
        return Admission::Known(seq);
    }
    match terms(desk, open, received_at, command) {
        Ok(Some(terms)) => Admission::Admitted(terms),
        Ok(None) => Admission::Wait,
        Err(rejection) => refuse(desk, command, rejection),
    }
}

/// Refuses a purchase, for the desk or for its row: tells what its key had before.
#[must_use]
pub fn refuse(desk: &Desk, command: &PurchaseCommand, rejection: Rejection) -> Admission {
    let receipt = desk.receipt(command.key);
    let replayed =
        receipt.is_some_and(|receipt| receipt.code == rejection.code() && receipt.fingerprint == command.fingerprint);
    Admission::Refused { rejection, replaces: receipt.map(|receipt| receipt.code), replayed }
}

/// Says what the record of a refused purchase holds: its receipt, and behind it the rule that blocks it, if one does.
#[must_use]
pub fn refusal(command: PurchaseCommand, rejection: &Rejection, replaces: Option<RejectionCode>) -> Vec<Event> {
    let PurchaseCommand { partner, key, fingerprint, purchase, .. } = command;
    let (origin_id, code) = (purchase.origin_id, rejection.code());
    let refused = PurchaseRefused { partner, key, fingerprint, origin_id, code, replaces };
    let blocked = match rejection {
        Rejection::RiskBlocked(own) => Some(Event::PurchaseBlocked(*own)),
        _ => None,
    };
    [Event::PurchaseRefused(Box::new(refused))].into_iter().chain(blocked).collect()
}

fn terms(
    desk: &Desk,
    open: &Reservations,
    received_at: Instant,
    command: &PurchaseCommand,
) -> Result<Option<Terms>, Rejection> {
    let catalogue = desk.catalogue(command.tenant).expect("a caller's tenant exists");
    let may_create = catalogue.unknown_customer == UnknownCustomer::AutoCreate;
    let customer = match name_customer(desk, open, command.tenant, command.customer, may_create) {
        Named::Customer(customer) => customer,
        Named::Open => return Ok(None),
        Named::Nobody => return Err(Rejection::CustomerUnknown),
    };
    let amount = command.purchase.check()?;
    let occurred_at = command.purchase.occurred_at;
    let at = rule_time(catalogue, received_at, occurred_at).map_err(|occurred_at_max| Rejection::OccurredInFuture {
        occurred_at: occurred_at.unwrap_or(received_at),
        occurred_at_max,
    })?;
    let promo = match &command.purchase.promo_code {
        None => PromoTerms::NoPromo,
        Some(code) => match (catalogue.promo_by_code(code), catalogue.unknown_promo) {
            (Some(promo), _) => {
                let Some(terms) = promo_terms(desk, open, promo, at, amount, command) else { return Ok(None) };
                terms
            }
            (None, UnknownPromo::Refuse) => return Err(Rejection::PromoUnknown),
            (None, UnknownPromo::Ignore) => PromoTerms::NoPromo,
        },
    };
    let bought = (Activity::Purchase(&command.purchase, amount), at);
    let Some(budgets) = budgets(desk, open, catalogue, bought, command.dry_run) else { return Ok(None) };
    let looked_at = (&**catalogue, received_at);
    let Some(parties) = party_terms_of_purchase(desk, open, looked_at, command, amount) else { return Ok(None) };
    let replaces = desk.receipt(command.key).map(|receipt| receipt.code);
    let removals = desk.removals(command.tenant).cloned().unwrap_or_default();
    let catalogue = Arc::clone(catalogue);
    Ok(Some(Terms { received_at, catalogue, removals, customer, amount, at, promo, budgets, parties, replaces }))
}

/// Whom a name means.
pub(super) enum Named {
    /// A customer, who may yet have to be created.
    Customer(CustomerId),
    /// That hangs on a creation that is still open.
    Open,
    /// Nobody.
    Nobody,
}

/// Finds whom a command names. An alias that nobody has creates somebody where the command `may_create`.
pub(super) fn name_customer(
    desk: &Desk,
    open: &Reservations,
    tenant: TenantId,
    name: CustomerName,
    may_create: bool,
) -> Named {
    if let Some((customer, _)) = desk.find_customer(tenant, name) {
        return Named::Customer(customer);
    }
    match name {
        // Only an alias can create somebody; an id that nobody has was made up.
        CustomerName::Alias(alias) if may_create => Named::Customer(alias.first_customer_id()),
        CustomerName::Alias(alias) if open.is_creating(tenant, alias.first_customer_id()) => Named::Open,
        CustomerName::Id(id) if open.is_creating(tenant, id) => Named::Open,
        _ => Named::Nobody,
    }
}

/// Returns the instant that the rules see of something that is said to have occurred at `occurred_at`.
///
/// # Errors
///
/// The latest instant that is believed, when it lies before that.
pub(super) fn rule_time(
    catalogue: &Catalogue,
    received_at: Instant,
    occurred_at: Option<Instant>,
) -> Result<Instant, Instant> {
    let (RuleClock::Occurred, Some(occurred_at)) = (catalogue.clock, occurred_at) else { return Ok(received_at) };
    let occurred_at_max = Instant(received_at.0.saturating_add(DAY_US));
    if occurred_at_max < occurred_at { Err(occurred_at_max) } else { Ok(occurred_at) }
}

/// Says what a promo does, or `None` when that hangs on reservations that are still open.
///
/// Only settled uses can exhaust a quota: a reservation may yet be given back, and a unit must never be lost.
fn promo_terms(
    desk: &Desk,
    open: &Reservations,
    promo: &Promo,
    at: Instant,
    amount: Amount,
    command: &PurchaseCommand,
) -> Option<PromoTerms> {
    let used = desk.promo_used(command.tenant, promo.id);
    let found = match promo.judge(used, at, command.purchase.quantity, amount) {
        Ok(found) => found,
        // A refund in flight may give a unit back: nobody is declined beside a unit that is about to be free.
        Err(DeclineReason::QuotaExhausted { .. }) if open.may_return(command.tenant, promo.id) && !command.dry_run => {
            return None;
        }
        Err(reason) => return Some(PromoTerms::Declined { promo: promo.id, reason }),
    };
    let reserved = open.promo(command.tenant, promo.id);
    if promo.quota - used <= reserved && !command.dry_run {
        return None;
    }
    Some(PromoTerms::Granted { promo: promo.id, band: found.band, points: found.points })
}

/// Makes a draft the tenant's next version. Returns `None` when it says what holds already.
///
/// # Errors
///
/// [`CatalogueRejection`].
pub fn apply(desk: &Desk, command: &ApplyCatalogue) -> Result<Option<Arc<Catalogue>>, CatalogueRejection> {
    let tenant = desk.tenant_by_slug(&command.draft.slug);
    let present = tenant.and_then(|tenant| desk.catalogue(tenant)).map(Arc::as_ref);
    let found = present.map_or(0, |present| present.version);
    if let Some(expected) = command.expected_version.filter(|expected| *expected != found) {
        return Err(CatalogueRejection::VersionConflict { expected, found });
    }
    let numbering = Numbering {
        tenant: tenant.unwrap_or(TenantId(desk.tenants.len() as u32 + 1)),
        next_partner: desk.next_partner(),
        // An invoice says how much is to be paid before anything is.
        currency_is_fixed: tenant
            .and_then(|tenant| desk.tenant(tenant))
            .is_some_and(|desk| desk.has_entries || !desk.invoices.is_empty()),
    };
    let next = command.draft.resolve(present, numbering)?;
    let is_same = present.is_some_and(|present| Catalogue { version: present.version, ..next.clone() } == *present);
    Ok(if is_same { None } else { Some(Arc::new(next)) })
}
