//! Tells the marketplace of each bill that is paid: an outbox that follows the ledger.
//!
//! What it has to tell is in durable records, and how far it is lies beside them, so nothing is lost whatever stops. What could not be
//! told is tried again for a day, ever more seldom, and then left to operators. The marketplace is asked before it is told, so it hears
//! once of each bill, unless it takes longer over it than is waited for (ADR 0042).

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use kembali_core::event::Event;
use kembali_core::invoice::{Invoice, InvoiceState};
use kembali_core::{Instant, Seq};
use kembali_engine::{AdministerError, Delivery, Engine, OutboxChange, OutboxState, ReadError, Stopped};
use kembali_http::{Background, Stop};
use tokio::sync::{Notify, watch};

use super::VA_PREFIX;
use super::marketplace::{Marketplace, MarketplaceError};
use crate::call::drawn;

/// What is tried, or waits for the next attempt. Where so much fails, nothing new is begun: it waits in the ledger.
const OPEN_MAX: usize = 1_000;
/// Attempts at one time, so that one that hangs holds up no other.
const AT_ONCE: usize = 8;
/// How long to wait before a notice is tried again, at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(600));
/// How long to wait where the marketplace may still be at work on what it was told: told meanwhile, it would ship twice.
const DOUBT_PAUSE: Duration = Duration::from_secs(60);
/// How long a notice is tried, and how often at least: the clock may jump.
const TRIED_FOR: (Duration, u32) = (Duration::from_secs(86_400), 100);
/// Changes after which they are kept although there is more to do, and how long any may wait.
const CHANGES_MAX: usize = 100;
const CHANGE_AGE_MAX: Duration = Duration::from_secs(5);
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

    /// Has a notice tried at once, and for another day; or all that are given up. Returns how many that are.
    pub(super) async fn retry(&self, engine: &Engine, notice: Option<Seq>) -> Result<usize, RetryError> {
        let now = engine.wall();
        let again = |own: Delivery| Delivery { since: now, attempts: 0, next_at: Some(now), ..own };
        let kept = self.kept(engine).await?.open.into_iter();
        let wanted = kept.filter(|(seq, own)| notice.map_or(own.next_at.is_none(), |notice| notice == *seq));
        let open: Vec<_> = wanted.map(|(seq, own)| (seq, again(own))).collect();
        let count = open.len();
        if count > 0 {
            engine.keep_outbox(&self.name, OutboxChange { open, ..OutboxChange::default() }).await?;
            self.woken.notify_one();
        }
        Ok(count)
    }

    /// Tells of paid bills until it is told to stop.
    pub(super) async fn run(self: Arc<Self>, background: Background, mut stop: Stop) {
        let engine = background.native().engine();
        if let Ok(None) = engine.catalogue(&self.tenant, None).await {
            tracing::warn!(
                tenant = &*self.tenant,
                "there is no such tenant yet: its marketplace hears of nothing until there is"
            );
        }
        let mut outbox = Outbox::new(Arc::clone(&self), engine.clone());
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

/// A notice that is tried.
struct Open {
    delivery: Delivery,
    /// As it is kept.
    is_kept: bool,
    /// An attempt is under way.
    is_running: bool,
}

/// What came of an attempt.
enum Attempted {
    /// The marketplace knows; or needs not to, for the reason that is there.
    Over(Option<&'static str>),
    /// It does not know, as far as one can tell.
    Failed(String),
    /// It may still be at work on it.
    InDoubt(String),
    /// Nothing was tried.
    Halted(Halt),
}

type Attempt = Pin<Box<dyn Future<Output = (Seq, Attempted)> + Send>>;

/// The state of the work.
struct Outbox {
    notices: Arc<Notices>,
    engine: Engine,
    durable: watch::Receiver<Seq>,
    /// How far it was when it was kept last; `None` until it is read.
    kept_position: Option<Seq>,
    position: Seq,
    /// What is tried, and what is given up and not kept as such yet.
    open: BTreeMap<Seq, Open>,
    running: FuturesUnordered<Attempt>,
    /// What is kept as open and is over.
    over: Vec<Seq>,
    /// Since when something is not kept.
    changed_since: Option<tokio::time::Instant>,
    must_load: bool,
}

impl Outbox {
    fn new(notices: Arc<Notices>, engine: Engine) -> Outbox {
        Outbox {
            notices,
            durable: engine.watch_durable(),
            engine,
            kept_position: None,
            position: Seq::ZERO,
            open: BTreeMap::new(),
            running: FuturesUnordered::new(),
            over: Vec::new(),
            changed_since: None,
            must_load: true,
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

    /// Begins what is due, looks at the next record, keeps what is to be kept, or waits.
    async fn step(&mut self) -> Result<(), Halt> {
        if self.must_load {
            self.load().await?;
        }
        if self.must_keep() {
            return self.keep().await;
        }
        let now = self.engine.wall();
        while self.running.len() < AT_ONCE
            && let Some(notice) = self.due(now)
        {
            self.begin(notice, now);
        }
        let has_room = self.open.len() < OPEN_MAX;
        if has_room && self.position < *self.durable.borrow_and_update() {
            self.look().await?;
            // Whatever is ready is taken in between.
            return match futures_util::FutureExt::now_or_never(self.running.next()) {
                Some(Some(done)) => self.finish(done),
                _ => Ok(()),
            };
        }
        // Nothing is under way, so nothing else will be kept with it.
        if self.running.is_empty() && self.changed_since.is_some() {
            return self.keep().await;
        }
        let waits_for_room = AT_ONCE <= self.running.len();
        let next = self.open.values().filter(|own| !own.is_running).filter_map(|own| own.delivery.next_at).min();
        let until_next = next.filter(|_| !waits_for_room).map_or(PAUSES.1, |at| between(now, at));
        let until_kept = self.changed_since.map_or(PAUSES.1, |since| CHANGE_AGE_MAX.saturating_sub(since.elapsed()));
        let notices = Arc::clone(&self.notices);
        tokio::select! {
            Some(done) = self.running.next() => self.finish(done),
            changed = self.durable.changed(), if has_room => changed.map_err(|_| Halt::Stopped),
            () = notices.woken.notified() => {
                self.must_load = true;
                Ok(())
            }
            // The clock of the wall may be put right meanwhile.
            () = tokio::time::sleep(until_next.min(until_kept).min(PAUSES.1)) => Ok(()),
        }
    }

    fn must_keep(&self) -> bool {
        let changes = self.over.len() + self.open.values().filter(|own| !own.is_kept).count();
        let passed = self.position.0.saturating_sub(self.kept_position.unwrap_or_default().0);
        let is_old = self.changed_since.is_some_and(|since| CHANGE_AGE_MAX <= since.elapsed());
        CHANGES_MAX <= changes || RECORDS_MAX <= passed || is_old
    }

    fn changed(&mut self) {
        self.changed_since.get_or_insert_with(tokio::time::Instant::now);
    }

    /// Takes up what is kept: at the start all of it, later what somebody had tried again.
    async fn load(&mut self) -> Result<(), Halt> {
        let kept = self.notices.kept(&self.engine).await?;
        let (durable, is_first) = (self.engine.durable(), self.kept_position.is_none());
        let is_ahead = durable < kept.position || kept.open.keys().any(|notice| durable < *notice);
        let position = if is_first && is_ahead {
            tracing::error!(
                tenant = &*self.notices.tenant,
                "what is kept of the marketplace's notices is of a ledger that went further than this one: every paid bill is looked at again"
            );
            Seq::ZERO
        } else {
            kept.position
        };
        if is_first {
            self.position = position;
        }
        self.kept_position = Some(position);
        for (notice, delivery) in kept.open {
            if durable < notice {
                self.over.push(notice);
            } else if delivery.next_at.is_some() && !self.over.contains(&notice) {
                let new = || Open { delivery: delivery.clone(), is_kept: true, is_running: false };
                let own = self.open.entry(notice).or_insert_with(new);
                // One that waits for its next attempt is tried when somebody says so.
                if !own.is_running {
                    own.delivery.next_at = own.delivery.next_at.min(delivery.next_at);
                }
            }
        }
        self.must_load = false;
        Ok(())
    }

    /// The notice that is to be tried next. One that is due long after any pause is due: the clock was wrong when it was put off.
    fn due(&self, now: Instant) -> Option<Seq> {
        let furthest = Instant(now.0.saturating_add(2 * micros_of(PAUSES.1)));
        let waiting = self.open.iter().filter(|(_, own)| !own.is_running);
        let due = waiting.filter_map(|(notice, own)| Some((own.delivery.next_at?, *notice)));
        due.filter(|(at, _)| *at <= now || furthest < *at).min().map(|(_, notice)| notice)
    }

    /// Looks at the next record.
    async fn look(&mut self) -> Result<(), Halt> {
        let seq = self.position.next();
        if self.notices.paid_by(&self.engine, seq).await?.is_some() {
            let now = self.engine.wall();
            let delivery = Delivery { since: now, attempts: 0, next_at: Some(now), reason: String::new() };
            self.open.entry(seq).or_insert(Open { delivery, is_kept: false, is_running: false });
        }
        self.position = seq;
        self.changed();
        Ok(())
    }

    /// Begins an attempt. Until it is over, what is known of the notice is that nobody knows.
    fn begin(&mut self, notice: Seq, now: Instant) {
        let Some(own) = self.open.get_mut(&notice) else { return };
        own.delivery.attempts = own.delivery.attempts.saturating_add(1);
        own.delivery.next_at = Some(after(now, DOUBT_PAUSE));
        (own.is_kept, own.is_running) = (false, true);
        let (notices, engine, delivery) = (Arc::clone(&self.notices), self.engine.clone(), own.delivery.clone());
        self.running.push(Box::pin(async move { (notice, notices.attempt(&engine, notice, delivery).await) }));
        self.changed();
    }

    /// Takes what came of an attempt.
    fn finish(&mut self, (notice, attempted): (Seq, Attempted)) -> Result<(), Halt> {
        let Some(own) = self.open.get_mut(&notice) else { return Ok(()) };
        (own.is_kept, own.is_running) = (false, false);
        let (now, tenant) = (self.engine.wall(), &*self.notices.tenant);
        let (reason, wait) = match attempted {
            Attempted::Over(needless) => {
                if let Some(why) = needless {
                    tracing::info!(tenant, notice = notice.0, "the marketplace is not told of a payment: {why}");
                }
                self.open.remove(&notice);
                self.over.push(notice);
                self.changed();
                return Ok(());
            }
            Attempted::Failed(reason) => (reason, pause(own.delivery.attempts)),
            Attempted::InDoubt(reason) => (reason, DOUBT_PAUSE.max(pause(own.delivery.attempts))),
            Attempted::Halted(halt) => {
                own.delivery.attempts = own.delivery.attempts.saturating_sub(1);
                own.delivery.next_at = Some(now);
                return Err(halt);
            }
        };
        own.failed(now, wait, reason);
        let Delivery { attempts, reason, next_at, .. } = &own.delivery;
        if next_at.is_some() {
            tracing::warn!(tenant, notice = notice.0, attempts, "the marketplace is not told yet: {reason}");
        } else {
            tracing::error!(
                tenant,
                notice = notice.0,
                attempts,
                "the marketplace was not told, and it is given up; retryMarketplaceNotice tries it again: {reason}"
            );
        }
        self.changed();
        Ok(())
    }

    /// Makes durable how far it is.
    async fn keep(&mut self) -> Result<(), Halt> {
        let position = self.position;
        let changed: Vec<Seq> = self.open.iter().filter(|(_, own)| !own.is_kept).map(|(notice, _)| *notice).collect();
        let open =
            changed.iter().filter_map(|notice| Some((*notice, self.open.get(notice)?.delivery.clone()))).collect();
        let change = OutboxChange { position: Some(position), open, over: self.over.clone() };
        self.engine.keep_outbox(&self.notices.name, change).await?;
        self.kept_position = Some(position);
        self.over.clear();
        self.changed_since = None;
        // What is given up is only kept from here on.
        self.open.retain(|_, own| {
            own.is_kept = true;
            own.delivery.next_at.is_some()
        });
        Ok(())
    }
}

impl Notices {
    /// Tells the marketplace of a bill, if it is still paid and the marketplace does not know.
    async fn attempt(&self, engine: &Engine, notice: Seq, in_doubt: Delivery) -> Attempted {
        let paid = match self.paid_by(engine, notice).await {
            Ok(Some(va_number)) => self.invoice(engine, va_number).await,
            Ok(None) => return Attempted::Over(Some("its record pays no bill of the marketplace's")),
            Err(error) => Err(error.into()),
        };
        let (va_number, invoice, exponent) = match paid {
            Ok(Some(found)) => found,
            Ok(None) => return Attempted::Failed("the ledger does not show the bill".to_owned()),
            Err(Halt::Stopped) => return Attempted::Halted(Halt::Stopped),
            Err(Halt::Fault(why)) => return Attempted::Failed(why),
        };
        if invoice.state != InvoiceState::Paid(notice) {
            return Attempted::Over(Some("it was reversed"));
        }
        let order = match self.marketplace.order(&va_number).await {
            Ok(Some(order)) => order,
            Ok(None) => return Attempted::Failed(MarketplaceError::Unknown.to_string()),
            Err(error) => return Attempted::Failed(error.to_string()),
        };
        if order.is_paid {
            return Attempted::Over(None);
        }
        if !order.costs(invoice.amount.minor_units(), exponent) {
            return Attempted::Failed(format!("the marketplace asks for {}, and something else was paid", order.total));
        }
        // A start in the middle of what follows must know that it was begun.
        let change = OutboxChange { open: vec![(notice, in_doubt)], ..OutboxChange::default() };
        if let Err(error) = engine.keep_outbox(&self.name, change).await {
            return Attempted::Halted(error.into());
        }
        match self.marketplace.tell_paid(&va_number).await {
            Ok(()) => Attempted::Over(None),
            Err(error) if error.leaves_doubt() => Attempted::InDoubt(error.to_string()),
            Err(error) => Attempted::Failed(error.to_string()),
        }
    }

    /// Finds a bill, and how many decimals its amount has.
    async fn invoice(&self, engine: &Engine, va_number: String) -> Result<Option<(String, Invoice, u8)>, Halt> {
        let Some(rules) = engine.catalogue(&self.tenant, None).await? else { return Ok(None) };
        let found = engine.find_invoice(rules.tenant, &va_number).await?;
        Ok(found.map(|own| (va_number, own.invoice, rules.currency.exponent)))
    }
}

impl Open {
    fn failed(&mut self, now: Instant, wait: Duration, reason: String) {
        let Delivery { since, attempts, .. } = self.delivery;
        let is_over = TRIED_FOR.1 <= attempts && after(since, TRIED_FOR.0) <= now;
        self.delivery.next_at = (!is_over).then(|| after(now, wait));
        self.delivery.reason = reason;
    }
}

/// How long to wait after so many attempts: twice as long each time, and each notice a little other than the next.
fn pause(attempts: u32) -> Duration {
    let doubled = PAUSES.0.saturating_mul(1 << attempts.saturating_sub(1).min(20)).min(PAUSES.1);
    let quarters = drawn().map_or(4, |drawn| 3 + u32::try_from(drawn % 3).unwrap_or_default());
    doubled.saturating_mul(quarters) / 4
}

fn after(at: Instant, pause: Duration) -> Instant {
    Instant(at.0.saturating_add(micros_of(pause)))
}

/// How long it is until then; nothing where that is over.
fn between(now: Instant, at: Instant) -> Duration {
    Duration::from_micros(u64::try_from(at.0.saturating_sub(now.0)).unwrap_or_default())
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
        let mut own = Open { delivery, is_kept: true, is_running: false };
        let mut pauses = Vec::new();
        while let Some(now) = own.delivery.next_at {
            own.delivery.attempts += 1;
            own.failed(now, pause(own.delivery.attempts), "it did not answer".to_owned());
            pauses.extend(own.delivery.next_at.map(|next| next.0 - now.0));
        }
        let near = |expected: i64, found: i64| (expected * 3 / 4..=expected * 5 / 4).contains(&found);
        for (attempt, found) in pauses.iter().enumerate() {
            let expected = (1_000_000 << attempt.min(20)).min(600_000_000);
            assert!(near(expected, *found), "{attempt}: {found}");
        }
        let tried_for: i64 = pauses.iter().sum();
        let day = micros_of(TRIED_FOR.0);
        assert!((day..day + 750_000_000).contains(&tried_for), "{tried_for}");
        assert_eq!(own.delivery.reason, "it did not answer");
        // A clock that jumps a year gives nothing up that was tried a few times.
        let delivery = Delivery { attempts: 4, ..own.delivery };
        let mut own = Open { delivery, is_kept: true, is_running: false };
        own.failed(Instant(365 * day), Duration::from_secs(1), "it did not answer".to_owned());
        assert_eq!(own.delivery.next_at, Some(Instant(365 * day + 1_000_000)));
    }
}
