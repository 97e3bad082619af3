//! Tells the marketplace of each bill that is paid: an outbox that follows the ledger.
//!
//! The marketplace is asked before it is told, so it hears once of each bill, unless it takes longer over it than is waited for
//! (ADR 0042). What could not be told is tried again for a day, and then left to operators.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use kembali_core::event::Event;
use kembali_core::invoice::{Invoice, InvoiceState};
use kembali_core::{Instant, Seq};
use kembali_engine::{Delivery, Engine, Lane, OutboxChange, OutboxState, ReadError};
use kembali_http::outbox::{Attempted, Bounds, Deliver, GivenUp, Halt, Start};
use kembali_http::{Background, Stop};

use super::VA_PREFIX;
use super::marketplace::{Marketplace, MarketplaceError};

/// How long to wait where the marketplace may still be at work on what it was told: told meanwhile, it would ship twice.
const DOUBT_PAUSE: Duration = Duration::from_secs(60);
/// Each bill is one by itself; those that are told are not remembered.
const BOUNDS: Bounds = Bounds {
    open: 1_000,
    at_once: 8,
    made: 0,
    keeps_each: false,
    given_up: GivenUp::All,
    lane: (Duration::ZERO, 0),
    doubt: DOUBT_PAUSE,
};

/// The notices of one tenant's bills.
pub(super) struct Notices {
    marketplace: Marketplace,
    tenant: Arc<str>,
    /// What is kept is kept under this.
    name: String,
}

impl fmt::Debug for Notices {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Notices({})", self.name)
    }
}

impl Notices {
    pub(super) fn new(marketplace: Marketplace, tenant: Arc<str>) -> Notices {
        Notices { marketplace, name: format!("dompet:{tenant}"), tenant }
    }

    pub(super) const fn marketplace(&self) -> &Marketplace {
        &self.marketplace
    }

    /// The name of the outbox.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Reads what was not told yet, as it is kept.
    pub(super) async fn kept(&self, engine: &Engine) -> Result<OutboxState, ReadError> {
        let (engine, name) = (engine.clone(), self.name.clone());
        let read = tokio::task::spawn_blocking(move || engine.outbox(&name)).await;
        read.map_err(|error| ReadError::Profile(error.to_string()))?
    }

    /// The number of the bill that a record pays, if the marketplace sent it.
    pub(super) async fn paid_by(&self, engine: &Engine, seq: Seq) -> Result<Option<String>, ReadError> {
        let (record, rules) = engine.record(seq).await?.ok_or(ReadError::NotWritten(seq))?;
        if rules.slug != *self.tenant {
            return Ok(None);
        }
        Ok(record.body.events.iter().find_map(|event| match event {
            Event::InvoicePaid(paid) if paid.number.starts_with(VA_PREFIX) => Some(paid.number.to_string()),
            _ => None,
        }))
    }

    /// Tells of paid bills until it is told to stop.
    pub(super) async fn run(self: Arc<Self>, background: Background, mut stop: Stop) {
        let native = background.native();
        let engine = native.engine().clone();
        if let Ok(None) = engine.catalogue(&self.tenant, None).await {
            tracing::warn!(
                tenant = &*self.tenant,
                "there is no such tenant yet: its marketplace hears of nothing until there is"
            );
        }
        let telling = Arc::new(Telling { notices: self, engine: engine.clone() });
        native.outboxes().run(telling, engine, stop.told()).await;
    }
}

/// The work of telling.
struct Telling {
    notices: Arc<Notices>,
    engine: Engine,
}

impl Deliver for Telling {
    fn name(&self) -> &str {
        self.notices.name()
    }

    fn bounds(&self) -> Bounds {
        BOUNDS
    }

    fn start(&self) -> Start {
        Start { after: Seq::ZERO, since: Instant(i64::MIN) }
    }

    async fn look(&self, seq: Seq) -> Result<Option<Option<Lane>>, Halt> {
        Ok(self.notices.paid_by(&self.engine, seq).await?.map(|_| None))
    }

    async fn attempt(&self, notice: Seq, in_doubt: Delivery) -> Attempted {
        self.notices.attempt(&self.engine, notice, in_doubt).await
    }
}

impl Notices {
    /// Tells the marketplace of a bill, if it is still paid and the marketplace does not know.
    async fn attempt(&self, engine: &Engine, notice: Seq, in_doubt: Delivery) -> Attempted {
        let paid = match self.paid_by(engine, notice).await {
            Ok(Some(va_number)) => self.invoice(engine, va_number).await,
            Ok(None) => return Attempted::Needless("its record pays no bill of the marketplace's"),
            Err(error) => Err(error.into()),
        };
        let (va_number, invoice, exponent) = match paid {
            Ok(Some(found)) => found,
            Ok(None) => return failed("the ledger does not show the bill".to_owned()),
            Err(Halt::Fault(why)) => return failed(why),
            Err(halt) => return Attempted::Halted(halt),
        };
        if invoice.state != InvoiceState::Paid(notice) {
            return Attempted::Needless("it was reversed");
        }
        let order = match self.marketplace.order(&va_number).await {
            Ok(Some(order)) => order,
            Ok(None) => return failed(MarketplaceError::Unknown.to_string()),
            Err(error) => return failed(error.to_string()),
        };
        if order.is_paid {
            return Attempted::Made;
        }
        if !order.costs(invoice.amount.minor_units(), exponent) {
            return failed(format!("the marketplace asks for {}, and something else was paid", order.total));
        }
        // A start in the middle of what follows must know that it was begun.
        let change = OutboxChange { put: vec![(notice, in_doubt)], ..OutboxChange::default() };
        if let Err(error) = engine.keep_outbox(&self.name, change).await {
            return Attempted::Halted(error.into());
        }
        match self.marketplace.tell_paid(&va_number).await {
            Ok(()) => Attempted::Made,
            Err(error) if error.leaves_doubt() => Attempted::Failed(error.to_string(), DOUBT_PAUSE),
            Err(error) => failed(error.to_string()),
        }
    }

    /// Finds a bill, and how many decimals its amount has.
    async fn invoice(&self, engine: &Engine, va_number: String) -> Result<Option<(String, Invoice, u8)>, Halt> {
        let Some(rules) = engine.catalogue(&self.tenant, None).await? else { return Ok(None) };
        let found = engine.find_invoice(rules.tenant, &va_number).await?;
        Ok(found.map(|own| (va_number, own.invoice, rules.currency.exponent)))
    }
}

/// It is tried again as soon as anything that fails is.
const fn failed(reason: String) -> Attempted {
    Attempted::Failed(reason, Duration::ZERO)
}
