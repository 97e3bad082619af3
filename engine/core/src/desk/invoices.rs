//! The desk's part in invoices: it opens and cancels them by itself, and says what there is of one that is to be paid.

use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;

use super::{Desk, Reservations};
use crate::command::InvoiceCommand;
use crate::event::{Body, Event};
use crate::identity::TenantId;
use crate::invoice::{
    FIRST_NUMBER, Invoice, InvoiceCancelled, InvoiceOpened, InvoiceState, InvoiceTerms, LIFE_SECONDS_DEFAULT,
    LIFE_SECONDS_MAX, PREFIX_DEFAULT,
};
use crate::operation::{Actor, Operation, OperationCommand, OperationDone, OperationRefused, OperationRejection};
use crate::quantity::{Instant, Seq};

/// What the desk says to an invoice that is to be opened or cancelled.
#[derive(Debug)]
pub enum InvoiceDecision {
    /// Its key was used before.
    Known {
        /// The record that says what became of it.
        seq: Seq,
        /// True when the same was asked.
        is_same: bool,
    },
    /// All that happens.
    Decided(Body),
    /// It is refused. `record` keeps it under its key, if it has one.
    Refused {
        /// Why.
        rejection: OperationRejection,
        /// What is written.
        record: Option<Body>,
    },
}

/// Decides an invoice command. Nothing may be in flight: it sees everything before it settled.
///
/// # Panics
///
/// If the command names a tenant that does not exist: its caller was identified by that tenant's rules.
#[must_use]
pub fn decide_invoice(desk: &Desk, received_at: Instant, command: &InvoiceCommand) -> InvoiceDecision {
    if let Some(known) = command.key.and_then(|key| desk.operations.find(key, received_at)) {
        return InvoiceDecision::Known { seq: known.seq, is_same: known.fingerprint == command.fingerprint };
    }
    let rules = desk.catalogue(command.tenant).expect("a caller's tenant exists");
    let at = desk.now(command.tenant, received_at);
    let InvoiceCommand { tenant, actor, key, fingerprint, operation, dry_run } = command.clone();
    let effect = match effect(desk, command, at) {
        Ok(effect) => effect,
        Err(rejection) => {
            let record = key.filter(|_| !dry_run).map(|key| {
                let rejection = rejection.clone();
                let refused = OperationRefused { actor, key, fingerprint, customer: None, operation, rejection };
                refused.record(tenant, received_at, rules.version)
            });
            return InvoiceDecision::Refused { rejection, record };
        }
    };
    let done = OperationDone { actor, key, fingerprint, at, operation };
    InvoiceDecision::Decided(Body {
        received_at,
        tenant: rules.tenant,
        catalogue_version: rules.version,
        customer: None,
        previous: Seq::ZERO,
        events: Vec::from([Event::OperationDone(Box::new(done)), effect]),
    })
}

fn effect(desk: &Desk, command: &InvoiceCommand, at: Instant) -> Result<Event, OperationRejection> {
    match &command.operation {
        Operation::OpenInvoice { partner, prefix, amount, life_seconds, .. } => {
            let amount = Operation::amount(*amount)?;
            let seconds = life_seconds.unwrap_or(LIFE_SECONDS_DEFAULT);
            if !(1..=LIFE_SECONDS_MAX).contains(&seconds) {
                return Err(OperationRejection::LifeOutOfRange { seconds, seconds_max: LIFE_SECONDS_MAX });
            }
            let unit = desk.catalogue(command.tenant).expect("a caller's tenant exists").unit();
            let number = desk.next_invoice_number(command.tenant, prefix.as_deref().unwrap_or(PREFIX_DEFAULT));
            let expires_at = Instant(at.0.saturating_add(seconds * 1_000_000));
            Ok(Event::InvoiceOpened(Box::new(InvoiceOpened { number, partner: *partner, unit, amount, expires_at })))
        }
        Operation::CancelInvoice { number } => {
            let invoice = desk.invoice(command.tenant, number).ok_or(OperationRejection::InvoiceUnknown)?;
            let is_own = match command.actor {
                Actor::Operator => true,
                Actor::Partner(partner) => partner == invoice.partner,
            };
            match invoice.state {
                _ if !is_own => Err(OperationRejection::InvoiceUnknown),
                InvoiceState::Paid(_) => Err(OperationRejection::InvoicePaid),
                InvoiceState::Cancelled(_) => Err(OperationRejection::InvoiceCancelled),
                InvoiceState::Reversed(_) => Err(OperationRejection::InvoiceReversed),
                InvoiceState::Open => {
                    let (number, partner) = (number.clone(), invoice.partner);
                    Ok(Event::InvoiceCancelled(Box::new(InvoiceCancelled { number, partner })))
                }
            }
        }
        _ => panic!("the desk alone decides invoices alone"),
    }
}

impl Desk {
    /// Finds an invoice by its number.
    #[must_use]
    pub fn invoice(&self, tenant: TenantId, number: &str) -> Option<&Invoice> {
        self.tenant(tenant)?.invoices.get(number)
    }

    /// Lists every invoice, in order of tenants and numbers.
    pub fn invoices(&self) -> impl Iterator<Item = (TenantId, &str, &Invoice)> {
        self.tenants.iter().zip(1..).flat_map(|(desk, tenant)| {
            desk.invoices.iter().map(move |(number, invoice)| (TenantId(tenant), &**number, invoice))
        })
    }

    /// Makes the number of the next invoice.
    fn next_invoice_number(&self, tenant: TenantId, prefix: &str) -> Box<str> {
        let opened = self.tenant(tenant).map_or(0, |desk| desk.invoices.len() as u64);
        format!("{prefix}{}", FIRST_NUMBER + opened).into_boxed_str()
    }

    pub(super) fn evolve_invoice_opened(&mut self, tenant: TenantId, opened: &InvoiceOpened, seq: Seq) {
        let InvoiceOpened { number, partner, unit, amount, expires_at } = opened.clone();
        let invoice = Invoice { partner, unit, amount, expires_at, opened: seq, state: InvoiceState::Open };
        self.tenant_mut(tenant).invoices.insert(number, invoice);
    }

    pub(super) fn evolve_invoice(&mut self, tenant: TenantId, number: &str, state: InvoiceState) {
        if let Some(invoice) = self.tenant_mut(tenant).invoices.get_mut(number) {
            invoice.state = state;
        }
    }
}

/// Says what there is of the invoice that is to be paid, or `None` while another payment of it is in flight.
pub(super) fn invoice_terms(desk: &Desk, open: &Reservations, command: &OperationCommand) -> Option<InvoiceTerms> {
    let Some(number) = command.invoice() else { return Some(InvoiceTerms::None) };
    if open.has_invoice(command.tenant, number) && !command.dry_run {
        return None;
    }
    let invoice = desk.invoice(command.tenant, number);
    Some(invoice.map_or(InvoiceTerms::Unknown, |invoice| InvoiceTerms::Found(*invoice)))
}
