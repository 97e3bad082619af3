//! Tells the marketplace of each bill that is paid: an outbox that follows the ledger.
//!
//! What it has to tell is in durable records, and how far it is lies beside them, so nothing is lost whatever stops. What could not be
//! told is tried again for a day, ever more seldom, and then left to operators. The marketplace is asked before it is told, so it hears
//! once of each bill, unless it dies on the very question or an answer of it is lost: then once more, if it did not get it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use kembali_core::event::Event;
use kembali_core::invoice::InvoiceState;
use kembali_core::{Instant, Seq};
use kembali_engine::{AdministerError, Delivery, Engine, OutboxChange, OutboxState, ReadError, Stopped};
use kembali_http::{Background, Stop};
use tokio::sync::{Notify, watch};

use super::VA_PREFIX;
use super::marketplace::Marketplace;
use crate::call::drawn;

/// What is tried at one time. Where so much fails, nothing new is begun: it waits in the ledger.
const OPEN_MAX: usize = 1_000;
/// How long to wait before a notice is tried again, at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(600));
/// How long a notice is tried.
const TRIED_FOR: Duration = Duration::from_secs(86_400);
/// Changes after which they are kept although there is more to do.
const CHANGES_MAX: usize = 100;
/// Records after which the position is kept although there is nothing to tell.
const RECORDS_MAX: u64 = 10_000;
/// How long to wait where the ledger or its disk does not go on.
const FAULT_PAUSE: Duration = Duration::from_secs(5);

/// The notices of one tenant's bills.
pub(super) struct Notices {
    marketplace: Marketplace,
    tenant: Arc<str>,
    /// What is kept is kept under this.
    name: String,
    /// Somebody had given up ones tried again.
    woken: Notify,
}

impl fmt::Debug for Notices {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Notices({})", self.name)
    }
}

/// Why nothing goes on.
enum Halt {
    /// For good.
    Stopped,
    /// For now.
    Fault(String),
}

impl From<ReadError> for Halt {
    fn from(error: ReadError) -> Halt {
        match error {
            ReadError::Stopped(_) => Halt::Stopped,
            error => Halt::Fault(error.to_string()),
        }
    }
}

impl From<Stopped> for Halt {
    fn from(_: Stopped) -> Halt {
        Halt::Stopped
    }
}

impl From<AdministerError> for Halt {
    fn from(error: AdministerError) -> Halt {
        match error {
            AdministerError::Stopped(_) => Halt::Stopped,
            error => Halt::Fault(error.to_string()),
        }
    }
}

impl Notices {
    pub(super) fn new(marketplace: Marketplace, tenant: Arc<str>) -> Notices {
        Notices { marketplace, name: format!("dompet:{tenant}"), tenant, woken: Notify::new() }
    }

    pub(super) const fn marketplace(&self) -> &Marketplace {
        &self.marketplace
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

    /// Has a notice that is given up tried for another day; returns false where there is none.
    pub(super) async fn retry(&self, engine: &Engine, notice: Seq) -> Result<bool, RetryError> {
        let kept = self.kept(engine).await?;
        let Some(given_up) = kept.open.get(&notice).filter(|own| own.next_at.is_none()) else { return Ok(false) };
        let now = engine.wall();
        let again = Delivery { since: now, attempts: 0, next_at: Some(now), ..given_up.clone() };
        let change = OutboxChange { open: vec![(notice, again)], ..OutboxChange::default() };
        engine.keep_outbox(&self.name, change).await?;
        self.woken.notify_one();
        Ok(true)
    }

    /// Tells of paid bills until it is told to stop.
    pub(super) async fn run(self: Arc<Self>, background: Background, mut stop: Stop) {
        let engine = background.native().engine();
        let mut outbox = Outbox::new(&self, engine);
        loop {
            let halt = tokio::select! {
                biased;
                () = stop.told() => break,
                halt = outbox.work() => halt,
            };
            let Halt::Fault(why) = halt else { return };
            tracing::error!(
                tenant = &*self.tenant,
                "what the marketplace is to be told waits, nothing of it is lost: {why}"
            );
            tokio::select! {
                biased;
                () = stop.told() => break,
                () = tokio::time::sleep(FAULT_PAUSE) => (),
            }
        }
        // What is not kept is tried once more after the next start.
        if let Err(Halt::Fault(why)) = outbox.keep().await {
            tracing::warn!(tenant = &*self.tenant, "what the marketplace was told is not kept: {why}");
        }
    }
}

/// Why a notice is not tried again.
#[derive(Debug, thiserror::Error)]
pub(super) enum RetryError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Keep(#[from] AdministerError),
}

/// A notice that is being tried.
struct Open {
    delivery: Delivery,
    /// As it is kept.
    is_kept: bool,
}

/// The state of the work.
struct Outbox<'a> {
    notices: &'a Notices,
    engine: &'a Engine,
    durable: watch::Receiver<Seq>,
    is_loaded: bool,
    position: Seq,
    kept_position: Seq,
    /// What is tried, and what is given up and not kept as such yet.
    open: BTreeMap<Seq, Open>,
    /// What is kept as open and is over.
    over: Vec<Seq>,
}

impl<'a> Outbox<'a> {
    fn new(notices: &'a Notices, engine: &'a Engine) -> Outbox<'a> {
        Outbox {
            notices,
            engine,
            durable: engine.watch_durable(),
            is_loaded: false,
            position: Seq::ZERO,
            kept_position: Seq::ZERO,
            open: BTreeMap::new(),
            over: Vec::new(),
        }
    }

    /// Works until something is in the way. May be left and taken up again at any time.
    async fn work(&mut self) -> Halt {
        loop {
            if let Err(halt) = self.step().await {
                return halt;
            }
        }
    }

    async fn step(&mut self) -> Result<(), Halt> {
        if !self.is_loaded {
            self.load().await?;
        }
        let changes = self.over.len() + self.open.values().filter(|own| !own.is_kept).count();
        if CHANGES_MAX <= changes || self.kept_position.0 + RECORDS_MAX <= self.position.0 {
            return self.keep().await;
        }
        let now = self.engine.wall();
        let next = self.open.iter().filter_map(|(seq, own)| Some((own.delivery.next_at?, *seq))).min();
        match next {
            Some((at, notice)) if at <= now => return self.attempt(notice).await,
            _ if self.position < *self.durable.borrow_and_update() && self.open.len() < OPEN_MAX => {
                return self.look().await;
            }
            _ if changes > 0 || self.kept_position < self.position => return self.keep().await,
            _ => (),
        }
        let pause = next.map_or(PAUSES.1, |(at, _)| micros(at.0.saturating_sub(now.0)));
        tokio::select! {
            changed = self.durable.changed() => changed.map_err(|_| Halt::Stopped),
            () = tokio::time::sleep(pause) => Ok(()),
            () = self.notices.woken.notified() => {
                self.is_loaded = false;
                Ok(())
            }
        }
    }

    /// Takes up what is kept: at the start all of it, later what somebody had tried again.
    async fn load(&mut self) -> Result<(), Halt> {
        let kept = self.notices.kept(self.engine).await?;
        self.kept_position = kept.position;
        self.position = self.position.max(kept.position);
        for (notice, delivery) in kept.open {
            if delivery.next_at.is_some() && !self.over.contains(&notice) {
                self.open.entry(notice).or_insert(Open { delivery, is_kept: true });
            }
        }
        self.is_loaded = true;
        Ok(())
    }

    /// Looks at the next record.
    async fn look(&mut self) -> Result<(), Halt> {
        let seq = self.position.next();
        if self.notices.paid_by(self.engine, seq).await?.is_some() {
            let now = self.engine.wall();
            let delivery = Delivery { since: now, attempts: 0, next_at: Some(now), reason: String::new() };
            self.open.insert(seq, Open { delivery, is_kept: false });
        }
        self.position = seq;
        Ok(())
    }

    /// Tells the marketplace of a bill, if it is still paid.
    async fn attempt(&mut self, notice: Seq) -> Result<(), Halt> {
        let told = match self.notices.paid_by(self.engine, notice).await? {
            Some(va_number) if self.is_paid(notice, &va_number).await? => {
                let told = self.notices.marketplace.tell_paid(&va_number).await;
                told.map_err(|error| (va_number, error.to_string()))
            }
            _ => Ok(()),
        };
        let Some(own) = self.open.get_mut(&notice) else { return Ok(()) };
        match told {
            Ok(()) => {
                // Of one that was never tried before, and not kept, nothing is kept.
                if own.is_kept || own.delivery.attempts > 0 {
                    self.over.push(notice);
                }
                self.open.remove(&notice);
            }
            Err((va_number, reason)) => {
                own.failed(self.engine.wall(), &reason);
                let (tenant, attempts) = (&*self.notices.tenant, own.delivery.attempts);
                if own.delivery.next_at.is_some() {
                    tracing::warn!(
                        tenant,
                        notice = notice.0,
                        va_number,
                        attempts,
                        "the marketplace is not told yet: {reason}"
                    );
                } else {
                    tracing::error!(
                        tenant,
                        notice = notice.0,
                        va_number,
                        attempts,
                        "the marketplace was not told, and it is given up; retryMarketplaceNotice tries it again: {reason}"
                    );
                }
            }
        }
        Ok(())
    }

    /// Whether the money of this payment is still where it went.
    async fn is_paid(&self, payment: Seq, va_number: &str) -> Result<bool, Halt> {
        let rules = self.engine.catalogue(&self.notices.tenant, None).await?;
        let Some(rules) = rules else { return Ok(false) };
        let invoice = self.engine.find_invoice(rules.tenant, va_number).await?;
        Ok(invoice.is_some_and(|own| own.invoice.state == InvoiceState::Paid(payment)))
    }

    /// Makes durable how far it is.
    async fn keep(&mut self) -> Result<(), Halt> {
        let position = self.position;
        let changed = self.open.iter().filter(|(_, own)| !own.is_kept);
        let change = OutboxChange {
            position: Some(position),
            open: changed.map(|(notice, own)| (*notice, own.delivery.clone())).collect(),
            over: self.over.clone(),
        };
        self.engine.keep_outbox(&self.notices.name, change).await?;
        self.kept_position = position;
        self.over.clear();
        // What is given up is only kept from here on.
        self.open.retain(|_, own| {
            own.is_kept = true;
            own.delivery.next_at.is_some()
        });
        Ok(())
    }
}

impl Open {
    fn failed(&mut self, now: Instant, reason: &str) {
        let Delivery { since, attempts, next_at, .. } = &mut self.delivery;
        *attempts = attempts.saturating_add(1);
        let is_over = now.0.saturating_sub(since.0) >= micros_of(TRIED_FOR);
        *next_at = (!is_over).then(|| Instant(now.0.saturating_add(micros_of(pause(*attempts)))));
        self.delivery.reason = reason.to_owned();
        self.is_kept = false;
    }
}

/// How long to wait after so many attempts: twice as long each time, and each notice a little other than the next.
fn pause(attempts: u32) -> Duration {
    let doubled = PAUSES.0.saturating_mul(1 << attempts.saturating_sub(1).min(20)).min(PAUSES.1);
    let quarters = drawn().map_or(4, |drawn| 3 + u32::try_from(drawn % 3).unwrap_or_default());
    doubled.saturating_mul(quarters) / 4
}

fn micros(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or_default())
}

fn micros_of(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_tried_ever_more_seldom_and_for_a_day() {
        let delivery = Delivery { since: Instant(0), attempts: 0, next_at: Some(Instant(0)), reason: String::new() };
        let mut own = Open { delivery, is_kept: true };
        let mut pauses = Vec::new();
        while let Some(now) = own.delivery.next_at {
            own.failed(now, "it did not answer");
            assert!(!own.is_kept);
            pauses.extend(own.delivery.next_at.map(|next| next.0 - now.0));
        }
        let near = |expected: i64, found: i64| (expected * 3 / 4..=expected * 5 / 4).contains(&found);
        for (attempt, found) in pauses.iter().enumerate() {
            let expected = (1_000_000 << attempt.min(20)).min(600_000_000);
            assert!(near(expected, *found), "{attempt}: {found}");
        }
        let tried_for: i64 = pauses.iter().sum();
        assert!((micros_of(TRIED_FOR)..micros_of(TRIED_FOR) + 750_000_000).contains(&tried_for), "{tried_for}");
        assert_eq!(own.delivery.reason, "it did not answer");
    }
}
