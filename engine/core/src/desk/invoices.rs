//! The desk's part in invoices: it opens and cancels them by itself, and says what there is of one that is to be paid.

use alloc::boxed::Box;
use alloc::format;

use super::{Desk, Reservations};
use crate::event::Event;
use crate::identity::{PartnerId, TenantId};
use crate::invoice::{
    FIRST_NUMBER, Invoice, InvoiceCancelled, InvoiceOpened, InvoiceState, InvoiceTerms, LIFE_SECONDS_DEFAULT,
    LIFE_SECONDS_MAX, PREFIX_DEFAULT,
};
use crate::operation::{Actor, Operation, OperationCommand, OperationRejection};
use crate::quantity::{Instant, Seq};

/// Opens an invoice.
///
/// # Errors
///
/// In this order: the amount, how long it can be paid.
pub(super) fn open(
    desk: &Desk,
    tenant: TenantId,
    (partner, prefix): (PartnerId, Option<&str>),
    (amount, life_seconds): (i64, Option<i64>),
    at: Instant,
) -> Result<Event, OperationRejection> {
    let amount = Operation::amount(amount)?;
    let seconds = Operation::life(life_seconds, LIFE_SECONDS_DEFAULT, LIFE_SECONDS_MAX)?;
    let unit = desk.catalogue(tenant).expect("a caller's tenant exists").unit();
    let number = desk.next_invoice_number(tenant, prefix.unwrap_or(PREFIX_DEFAULT));
    let expires_at = Instant(at.0.saturating_add(seconds * 1_000_000));
    Ok(Event::InvoiceOpened(Box::new(InvoiceOpened { number, partner, unit, amount, expires_at })))
}

/// Takes an invoice back that is open. A partner names its own.
///
/// # Errors
///
/// What became of it, or that there is none.
pub(super) fn cancel(desk: &Desk, tenant: TenantId, actor: Actor, number: &str) -> Result<Event, OperationRejection> {
    let invoice = desk.invoice(tenant, number).ok_or(OperationRejection::InvoiceUnknown)?;
    let is_own = match actor {
        Actor::Partner(partner) => partner == invoice.partner,
        actor => actor.is_operator(),
    };
    match invoice.state {
        _ if !is_own => Err(OperationRejection::InvoiceUnknown),
        InvoiceState::Paid(_) => Err(OperationRejection::InvoicePaid),
        InvoiceState::Cancelled(_) => Err(OperationRejection::InvoiceCancelled),
        InvoiceState::Reversed(_) => Err(OperationRejection::InvoiceReversed),
        InvoiceState::Open => {
            let (number, partner) = (number.into(), invoice.partner);
            Ok(Event::InvoiceCancelled(Box::new(InvoiceCancelled { number, partner })))
        }
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
