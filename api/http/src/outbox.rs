//! Outboxes at work: each follows the ledger and delivers what it says to somebody outside, until that is done or given up.
//!
//! What an outbox has to deliver is in durable records, and how far it is lies beside them (see [`kembali_engine::OutboxState`]), so
//! nothing is lost whatever stops. What could not be delivered is tried again for a day, ever more seldom. Who receives it and how,
//! is a [`Deliver`]'s. The rules that all keep to:
//!
//! - What is known is kept after a hundred changes, after five seconds, and soon after nothing is under way: a kill before makes the
//!   last deliveries again.
//! - Deliveries of one lane are made in order: one that fails holds back those behind it, and none of other lanes. It does for a
//!   time, and for so many of them; then they overtake it.
//! - Where so much is open, no more of the ledger is read: the rest waits there.
//! - Where nothing gets through, one is tried at a time.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kembali_core::{Instant, Seq};
use kembali_engine::{AdministerError, Delivery, DeliveryState, Engine, Lane, OutboxChange, ReadError, Stopped};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};

/// How long to wait before a delivery is tried again, at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(600));
/// How long a receiver may ask to be left alone.
const PAUSE_ASKED_MAX: Duration = Duration::from_secs(3_600);
/// How long a delivery is tried, and how often at least: the clock may jump.
const TRIED_FOR: (Duration, u32) = (Duration::from_secs(86_400), 100);
/// Changes after which they are kept although there is more to do, and how long any may wait.
const CHANGES_MAX: usize = 100;
const CHANGE_AGE_MAX: Duration = Duration::from_secs(5);
/// How long changes may wait where nothing is under way: what comes at once is kept at once.
const CHANGE_AGE_IDLE: Duration = Duration::from_millis(250);
/// Records after which the position is kept although there is nothing to deliver, and how long it may wait.
const RECORDS_MAX: u64 = 10_000;
const POSITION_AGE_MAX: Duration = Duration::from_secs(30);
/// How long to wait where the ledger or its disk does not go on.
const FAULT_PAUSE: Duration = Duration::from_secs(5);
/// Attempts that fail one behind the other before one is made at a time.
const FAILURES_MAX: u32 = 8;
/// Characters of a reason.
const REASON_CHARS_MAX: usize = 300;
/// How long attempts may go on once the work is told to stop.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(5);
/// Requests to deliver again that wait.
const ASKED_MAX: usize = 8;

/// What an outbox delivers, and to whom.
pub trait Deliver: Send + Sync + 'static {
    /// The name that what is known of it is kept under.
    fn name(&self) -> &str;

    /// How much of what it does at most.
    fn bounds(&self) -> Bounds;

    /// Where it begins, if nothing is kept of it.
    fn start(&self) -> Start;

    /// Finds whether a record is to be delivered, and in which lane.
    fn look(&self, seq: Seq) -> impl Future<Output = Result<Option<Option<Lane>>, Halt>> + Send;

    /// Delivers a record. What is given is what is known of it meanwhile.
    fn attempt(&self, seq: Seq, delivery: Delivery) -> impl Future<Output = Attempted> + Send;
}

/// How much of what an outbox does at most.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Deliveries that are tried, or wait for the next attempt.
    pub open: usize,
    /// Attempts at one time, so that one that hangs holds up no other.
    pub at_once: usize,
    /// Deliveries that are known after they are made; with some, any earlier record may be delivered again.
    pub made: usize,
    /// True where each delivery is kept as made by itself, so that a start makes none again but those that were under way.
    pub keeps_each: bool,
    /// What is known of deliveries that are given up.
    pub given_up: GivenUp,
    /// How long a delivery holds back its lane once it is tried, and how many.
    pub lane: (Duration, usize),
    /// How long to wait where the receiver may still be at work on what it was told.
    pub doubt: Duration,
}

/// What is known of deliveries that are given up.
#[derive(Clone, Copy, Debug)]
pub enum GivenUp {
    /// All of them.
    All,
    /// So many of the newest records.
    Newest(usize),
    /// All of them; with so many, or with nothing delivered for as long as one is tried, the outbox ends.
    EndsAt(usize),
}

/// Where an outbox begins.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// Behind which position.
    pub after: Seq,
    /// Since when: what was tried before then is tried as if it were new.
    pub since: Instant,
}

/// What came of an attempt.
#[derive(Debug)]
pub enum Attempted {
    /// It is delivered.
    Made,
    /// It needs not to be, for this reason. Nothing is known of it any more.
    Needless(&'static str),
    /// It is not, as far as one can tell. It is tried again, and not before this long, of an hour at most.
    Failed(String, Duration),
    /// It never will be.
    Refused(String),
    /// Nothing is to be delivered any more.
    Ended(End),
    /// Nothing was tried.
    Halted(Halt),
}

/// Why an outbox has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The receiver is gone for good.
    Gone,
    /// The receiver takes nothing.
    Failing,
}

/// Why nothing goes on.
#[derive(Debug)]
pub enum Halt {
    /// The engine has stopped.
    Stopped,
    /// For now.
    Fault(String),
    /// For now, and that is known.
    Waiting,
    /// For good.
    Ended(End),
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

/// Which deliveries are to be made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// Those that are given up.
    GivenUp,
    /// The one of this record.
    Of(Seq),
}

/// Why nothing is delivered again.
#[derive(Debug, thiserror::Error)]
pub enum AgainError {
    /// The outbox is not at work.
    #[error("nothing is delivered at present")]
    Idle,
    /// Too many ask, or too much is open.
    #[error("too many deliveries are asked for at one time")]
    Busy,
}

struct Asked {
    again: Again,
    answer: oneshot::Sender<Result<usize, AgainError>>,
}

/// The outboxes that are at work.
#[derive(Debug, Default)]
pub struct Outboxes {
    at_work: Mutex<HashMap<String, mpsc::Sender<Asked>>>,
    /// Those that are at work for as long as the server serves, or are about to be.
    lasting: Vec<String>,
}

impl fmt::Debug for Asked {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Asked({:?})", self.again)
    }
}

impl Outboxes {
    /// Has deliveries made at once, and for another day. Returns how many those are, once that is durable.
    ///
    /// # Errors
    ///
    /// [`AgainError`].
    pub async fn again(&self, name: &str, again: Again) -> Result<usize, AgainError> {
        let sender = self.at_work.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        let (answer, answered) = oneshot::channel();
        sender.ok_or(AgainError::Idle)?.try_send(Asked { again, answer }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => AgainError::Busy,
            mpsc::error::TrySendError::Closed(_) => AgainError::Idle,
        })?;
        answered.await.unwrap_or(Err(AgainError::Idle))
    }

    /// Outboxes that are at work for as long as the server serves, once it does.
    pub(crate) fn with_lasting(names: Vec<String>) -> Outboxes {
        Outboxes { at_work: Mutex::default(), lasting: names }
    }

    /// Returns true of an outbox that is at work for as long as the server serves.
    pub(crate) fn is_lasting(&self, name: &str) -> bool {
        self.lasting.iter().any(|own| own == name)
    }

    /// Works on an outbox until it is told to stop, or has ended.
    pub async fn run(&self, deliver: Arc<impl Deliver>, engine: Engine, stop: impl Future<Output = ()>) -> Option<End> {
        let (sender, asked) = mpsc::channel(ASKED_MAX);
        let name = deliver.name().to_owned();
        if let Entry::Vacant(place) = self.at_work.lock().unwrap_or_else(PoisonError::into_inner).entry(name.clone()) {
            place.insert(sender);
        } else {
            // Two would make each delivery twice.
            tracing::error!(outbox = name, "this outbox is at work already");
            return None;
        }
        let mut outbox = Outbox::new(deliver, engine, asked);
        let end = outbox.run(stop).await;
        outbox.drain().await;
        self.at_work.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
        // What is not kept is delivered once more after the next start.
        if let Err(Halt::Fault(why)) = outbox.keep().await {
            tracing::warn!(outbox = name, "what was delivered is not kept: {why}");
        }
        end
    }
}

/// The state of the work.
struct Outbox<D> {
    deliver: Arc<D>,
    engine: Engine,
    bounds: Bounds,
    durable: watch::Receiver<Seq>,
    asked: mpsc::Receiver<Asked>,
    /// What is asked for and not answered yet.
    asking: Option<Asked>,
    /// How far it was when it was kept last; `None` until it is read.
    kept_position: Option<Seq>,
    position: Seq,
    /// What is tried.
    open: BTreeMap<Seq, Delivery>,
    /// Attempts that are under way. Each is a task of its own: one may wait for what this one holds up.
    running: JoinSet<(Seq, Attempted)>,
    trying: HashSet<Seq>,
    /// What is open in each lane.
    lanes: HashMap<Lane, BTreeSet<Seq>>,
    /// What is open, not under way and not held back, by when it is due.
    ready: BTreeSet<(Instant, Seq)>,
    /// What is known as made, and as given up.
    made: BTreeSet<Seq>,
    given_up: BTreeSet<Seq>,
    /// What is not kept as it is; `None` of what nothing is to be known of.
    changes: BTreeMap<Seq, Option<Delivery>>,
    /// Since when something is not kept.
    changed_since: Option<tokio::time::Instant>,
    /// When the position was kept last.
    position_kept_at: tokio::time::Instant,
    /// Something must be kept before anything else.
    is_urgent: bool,
    /// When something was delivered last.
    made_at: Option<Instant>,
    /// Attempts that failed since then, and when the first of them was made.
    failures: u32,
    failing_since: Option<Instant>,
}

impl<D: Deliver> Outbox<D> {
    fn new(deliver: Arc<D>, engine: Engine, asked: mpsc::Receiver<Asked>) -> Outbox<D> {
        Outbox {
            bounds: deliver.bounds(),
            deliver,
            durable: engine.watch_durable(),
            engine,
            asked,
            asking: None,
            kept_position: None,
            position: Seq::ZERO,
            open: BTreeMap::new(),
            running: JoinSet::new(),
            trying: HashSet::new(),
            lanes: HashMap::new(),
            ready: BTreeSet::new(),
            made: BTreeSet::new(),
            given_up: BTreeSet::new(),
            changes: BTreeMap::new(),
            changed_since: None,
            position_kept_at: tokio::time::Instant::now(),
            is_urgent: false,
            made_at: None,
            failures: 0,
            failing_since: None,
        }
    }

    async fn run(&mut self, stop: impl Future<Output = ()>) -> Option<End> {
        let mut stop = std::pin::pin!(stop);
        loop {
            let halt = tokio::select! {
                biased;
                () = &mut stop => return None,
                halt = self.work() => halt,
            };
            match halt {
                Halt::Stopped => return None,
                Halt::Ended(end) => return Some(end),
                Halt::Fault(why) => {
                    tracing::error!(outbox = self.deliver.name(), "deliveries wait, nothing of them is lost: {why}");
                }
                Halt::Waiting => (),
            }
            if self.is_urgent
                && let Err(Halt::Fault(why)) = self.keep().await
            {
                tracing::error!(outbox = self.deliver.name(), "what was delivered is not kept yet: {why}");
            }
            tokio::select! {
                biased;
                () = &mut stop => return None,
                () = sleep(FAULT_PAUSE) => (),
            }
        }
    }

    /// Lets attempts that are under way come to something, for a limited time: what is cut off is made again.
    async fn drain(&mut self) {
        let finish = async {
            while let Some(done) = self.running.join_next().await {
                // Why it does not go on, does not matter any more.
                let _ = self.finish(done);
            }
        };
        if timeout(DRAIN_TIME_MAX, finish).await.is_err() {
            tracing::warn!(outbox = self.deliver.name(), "deliveries are cut off, and made again");
            self.running.abort_all();
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
        if self.kept_position.is_none() {
            self.load().await?;
        }
        if self.asking.is_none() {
            self.asking = self.asked.try_recv().ok();
        }
        if self.asking.is_some() {
            let made_again = self.make_again().await;
            // Where that cannot be now, whoever asks is told so, and does not wait.
            self.asking = None;
            return made_again;
        }
        // What is done is kept before anything else is begun.
        while let Some(done) = self.running.try_join_next() {
            self.finish(done)?;
        }
        if self.must_keep() {
            return self.keep().await;
        }
        let now = self.engine.wall();
        let at_once = if self.failures < FAILURES_MAX { self.bounds.at_once } else { 1 };
        while self.running.len() < at_once
            && let Some(seq) = self.due(now)
        {
            self.begin(seq, now);
        }
        let has_room = self.open.len() < self.bounds.open;
        if has_room && self.position < *self.durable.borrow_and_update() {
            self.look().await?;
            return Ok(());
        }
        let next = self.ready.first().filter(|_| self.running.len() < at_once);
        let until_next = next.map_or(PAUSES.1, |(at, _)| between(now, *at));
        let age_max = self.change_age_max();
        let until_kept = self.changed_since.map_or(POSITION_AGE_MAX, |since| age_max.saturating_sub(since.elapsed()));
        tokio::select! {
            Some(done) = self.running.join_next() => self.finish(done),
            changed = self.durable.changed(), if has_room => changed.map_err(|_| Halt::Stopped),
            Some(asked) = self.asked.recv() => {
                self.asking = Some(asked);
                Ok(())
            }
            // The clock of the wall may be put right meanwhile.
            () = sleep(until_next.min(until_kept).min(PAUSES.1)) => Ok(()),
        }
    }

    fn change_age_max(&self) -> Duration {
        if self.running.is_empty() { CHANGE_AGE_IDLE } else { CHANGE_AGE_MAX }
    }

    fn must_keep(&self) -> bool {
        let passed = self.position.0.saturating_sub(self.kept_position.unwrap_or_default().0);
        let is_old = self.changed_since.is_some_and(|since| self.change_age_max() <= since.elapsed());
        let is_behind = 0 < passed && POSITION_AGE_MAX <= self.position_kept_at.elapsed();
        self.is_urgent || is_behind || CHANGES_MAX <= self.changes.len() || RECORDS_MAX <= passed || is_old
    }

    fn changed(&mut self, seq: Seq, delivery: Option<Delivery>) {
        self.changes.insert(seq, delivery);
        self.changed_since.get_or_insert_with(tokio::time::Instant::now);
    }

    /// Takes up what is kept.
    async fn load(&mut self) -> Result<(), Halt> {
        let (engine, name) = (self.engine.clone(), self.deliver.name().to_owned());
        let kept = tokio::task::spawn_blocking(move || engine.outbox(&name)).await;
        let kept = kept.map_err(|error| Halt::Fault(error.to_string()))??;
        let (durable, start) = (self.engine.durable(), self.deliver.start());
        let position = kept.position.unwrap_or(start.after);
        let is_ahead = durable < position || kept.deliveries.keys().any(|seq| durable < *seq);
        self.position = if is_ahead {
            tracing::error!(
                outbox = self.deliver.name(),
                "what is kept of the outbox is of a ledger that went further than this one: it begins again"
            );
            start.after.min(durable)
        } else {
            position
        };
        for (seq, delivery) in kept.deliveries {
            match delivery.state {
                _ if durable < seq => self.changed(seq, None),
                DeliveryState::GivenUp => drop(self.given_up.insert(seq)),
                DeliveryState::Made => {
                    self.made_at = self.made_at.max(delivery.tried_at);
                    self.made.insert(seq);
                }
                DeliveryState::Due(_) if delivery.since < start.since => {
                    self.insert(seq, Delivery::new(delivery.lane, start.since));
                }
                DeliveryState::Due(_) => self.insert(seq, delivery),
            }
        }
        self.kept_position = Some(self.position);
        // Where it begins must not be forgotten: another start would begin later.
        self.is_urgent = kept.position.is_none() || is_ahead;
        let tried = self.open.values().filter(|own| 0 < own.attempts).map(|own| own.since).min();
        self.failing_since = tried.filter(|tried| self.made_at.is_none_or(|made| made < *tried));
        Ok(())
    }

    /// Takes in what is to be tried.
    fn insert(&mut self, seq: Seq, delivery: Delivery) {
        if let Some(lane) = delivery.lane {
            self.lanes.entry(lane).or_default().insert(seq);
        }
        self.open.insert(seq, delivery);
        self.settle(seq);
    }

    /// Makes what is open ready, unless it is held back.
    fn settle(&mut self, seq: Seq) {
        let Some(delivery) = self.open.get(&seq).filter(|_| !self.trying.contains(&seq)) else { return };
        let is_first = |lane| self.lanes.get(&lane).and_then(BTreeSet::first) == Some(&seq);
        if let Some(at) = delivery.due().filter(|_| delivery.lane.is_none_or(is_first)) {
            self.ready.insert((at, seq));
        }
    }

    /// Lets whatever is behind a delivery in its lane go on.
    fn leave_lane(&mut self, seq: Seq, lane: Lane) {
        let Some(others) = self.lanes.get_mut(&lane) else { return };
        others.remove(&seq);
        match others.first().copied() {
            Some(next) => self.settle(next),
            None => drop(self.lanes.remove(&lane)),
        }
    }

    /// What is to be tried next. What is due long after any pause is due: the clock was wrong when it was put off.
    fn due(&self, now: Instant) -> Option<Seq> {
        let furthest = after(now, PAUSE_ASKED_MAX * 2);
        let is_due = |(at, _): &&(Instant, Seq)| *at <= now || furthest < *at;
        self.ready.first().filter(is_due).or_else(|| self.ready.last().filter(is_due)).map(|(_, seq)| *seq)
    }

    /// Looks at the next record.
    async fn look(&mut self) -> Result<(), Halt> {
        let seq = self.position.next();
        // Where the outbox has begun again, some may be known.
        if let Some(lane) = self.deliver.look(seq).await?
            && !self.open.contains_key(&seq)
        {
            let delivery = Delivery::new(lane, self.engine.wall());
            self.made.remove(&seq);
            self.given_up.remove(&seq);
            self.changed(seq, Some(delivery.clone()));
            self.insert(seq, delivery);
        }
        self.position = seq;
        Ok(())
    }

    /// Begins an attempt. Until it is over, what is known is that nobody knows.
    fn begin(&mut self, seq: Seq, now: Instant) {
        let Some(delivery) = self.open.get_mut(&seq) else { return };
        if let Some(at) = delivery.due() {
            self.ready.remove(&(at, seq));
        }
        if delivery.attempts == 0 {
            delivery.since = now;
        }
        delivery.attempts = delivery.attempts.saturating_add(1);
        delivery.tried_at = Some(now);
        delivery.state = DeliveryState::Due(after(now, self.bounds.doubt));
        let (deliver, delivery) = (Arc::clone(&self.deliver), delivery.clone());
        self.trying.insert(seq);
        self.changed(seq, Some(delivery.clone()));
        self.running.spawn(async move { (seq, deliver.attempt(seq, delivery).await) });
    }

    /// Takes what came of an attempt.
    fn finish(&mut self, done: Result<(Seq, Attempted), JoinError>) -> Result<(), Halt> {
        let (seq, attempted) = match done {
            Ok(done) => done,
            // A bug stays one here.
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The runtime ends.
            Err(_) => return Err(Halt::Stopped),
        };
        self.trying.remove(&seq);
        let Some(mut delivery) = self.open.remove(&seq) else { return Ok(()) };
        let (now, deliver) = (self.engine.wall(), Arc::clone(&self.deliver));
        let name = deliver.name();
        let halt = match attempted {
            Attempted::Needless(why) => {
                tracing::debug!(outbox = name, record = seq.0, "nothing is delivered: {why}");
                if let Some(lane) = delivery.lane {
                    self.leave_lane(seq, lane);
                }
                self.changed(seq, None);
                return Ok(());
            }
            Attempted::Made => {
                (self.made_at, self.failures, self.failing_since) = (Some(now), 0, None);
                delivery.state = DeliveryState::Made;
                delivery.reason.clear();
                self.is_urgent |= self.bounds.keeps_each;
                self.close(seq, delivery);
                return Ok(());
            }
            Attempted::Refused(reason) => {
                let reason = shortened(&reason);
                tracing::error!(outbox = name, record = seq.0, "given up: {reason}");
                (delivery.state, delivery.reason) = (DeliveryState::GivenUp, reason);
                self.close(seq, delivery);
                return Ok(());
            }
            Attempted::Failed(reason, pause) => {
                self.failures = self.failures.saturating_add(1);
                self.failing_since.get_or_insert(delivery.tried_at.unwrap_or(now));
                let Delivery { since, attempts, .. } = delivery;
                delivery.reason = shortened(&reason);
                if let Some(lane) = delivery.lane.filter(|lane| self.is_held_enough(*lane, &delivery, now)) {
                    delivery.lane = None;
                    self.leave_lane(seq, lane);
                }
                if self.is_failing(now) {
                    delivery.state = DeliveryState::Due(now);
                    Some(Halt::Ended(End::Failing))
                } else if !is_over(since, attempts, now) {
                    tracing::warn!(outbox = name, record = seq.0, attempts, "not delivered yet: {}", delivery.reason);
                    let pause = pause.min(PAUSE_ASKED_MAX).max(pause_after(attempts));
                    delivery.state = DeliveryState::Due(after(now, pause));
                    None
                } else if self.must_end(since) {
                    delivery.state = DeliveryState::Due(now);
                    Some(Halt::Ended(End::Failing))
                } else {
                    tracing::error!(outbox = name, record = seq.0, attempts, "given up: {}", delivery.reason);
                    delivery.state = DeliveryState::GivenUp;
                    self.close(seq, delivery);
                    return Ok(());
                }
            }
            Attempted::Ended(end) => {
                delivery.state = DeliveryState::Due(now);
                Some(Halt::Ended(end))
            }
            Attempted::Halted(halt) => {
                delivery.attempts = delivery.attempts.saturating_sub(1);
                delivery.state = DeliveryState::Due(now);
                Some(halt)
            }
        };
        self.changed(seq, Some(delivery.clone()));
        self.insert(seq, delivery);
        halt.map_or(Ok(()), Err)
    }

    /// True once a delivery that fails has held back its lane for long enough, or enough of it.
    fn is_held_enough(&self, lane: Lane, delivery: &Delivery, now: Instant) -> bool {
        let (long, many) = self.bounds.lane;
        after(delivery.since, long) <= now || self.lanes.get(&lane).is_some_and(|own| many < own.len())
    }

    /// True where nothing has got through for as long as a delivery is tried, however many share the attempts.
    fn is_failing(&self, now: Instant) -> bool {
        let ends = matches!(self.bounds.given_up, GivenUp::EndsAt(_));
        ends && self.failing_since.is_some_and(|since| is_over(since, self.failures, now))
    }

    /// True where what is given up must not be forgotten: nothing gets through at all, or too much is given up.
    fn must_end(&self, since: Instant) -> bool {
        let GivenUp::EndsAt(most) = self.bounds.given_up else { return false };
        most <= self.given_up.len() || self.made_at.is_none_or(|made| made < since)
    }

    /// Takes what is not tried any more.
    fn close(&mut self, seq: Seq, delivery: Delivery) {
        if let Some(lane) = delivery.lane {
            self.leave_lane(seq, lane);
        }
        match delivery.state {
            DeliveryState::GivenUp => {
                self.given_up.insert(seq);
                if let GivenUp::Newest(most) = self.bounds.given_up
                    && most < self.given_up.len()
                    && let Some(oldest) = self.given_up.pop_first()
                {
                    self.changed(oldest, None);
                }
            }
            _ if self.bounds.made == 0 => return self.changed(seq, None),
            _ => drop(self.made.insert(seq)),
        }
        if self.made.contains(&seq) || self.given_up.contains(&seq) {
            self.changed(seq, Some(delivery));
        }
        // What was made again is known, however old it is.
        if self.bounds.made < self.made.len()
            && let Some(oldest) = self.made.iter().find(|own| **own != seq).copied()
        {
            self.made.remove(&oldest);
            self.changed(oldest, None);
        }
    }

    /// Has deliveries made again, and answers whoever asked for it.
    async fn make_again(&mut self) -> Result<(), Halt> {
        let now = self.engine.wall();
        let again = match self.asking.as_ref().map(|asked| asked.again) {
            None => return Ok(()),
            Some(Again::GivenUp) => self.given_up.iter().copied().collect(),
            Some(Again::Of(seq)) if self.trying.contains(&seq) => vec![seq],
            Some(Again::Of(seq)) => {
                let is_known = self.open.contains_key(&seq) || self.given_up.contains(&seq);
                let may_be = self.bounds.made > 0 && Seq::ZERO < seq && seq <= self.position;
                if is_known {
                    vec![seq]
                } else if !may_be || self.deliver.look(seq).await?.is_none() {
                    Vec::new()
                } else if self.open.len() < self.bounds.open {
                    vec![seq]
                } else {
                    self.answer(Err(AgainError::Busy));
                    return Ok(());
                }
            }
        };
        for seq in again.iter().filter(|seq| !self.trying.contains(seq)).copied().collect::<Vec<_>>() {
            // One that is made again holds nobody back; one that others wait for stays where it is.
            let open = self.open.remove(&seq);
            if let Some(at) = open.as_ref().and_then(Delivery::due) {
                self.ready.remove(&(at, seq));
            }
            let lane = open.and_then(|own| own.lane);
            self.given_up.remove(&seq);
            self.made.remove(&seq);
            let delivery = Delivery::new(lane, now);
            self.changed(seq, Some(delivery.clone()));
            self.insert(seq, delivery);
        }
        if !again.is_empty() {
            self.keep().await?;
        }
        self.answer(Ok(again.len()));
        Ok(())
    }

    fn answer(&mut self, answer: Result<usize, AgainError>) {
        if let Some(asked) = self.asking.take() {
            // Whoever asked may be gone.
            let _ = asked.answer.send(answer);
        }
    }

    /// Makes durable how far it is.
    async fn keep(&mut self) -> Result<(), Halt> {
        let Some(kept_position) = self.kept_position else { return Ok(()) };
        if self.changes.is_empty() && kept_position == self.position && !self.is_urgent {
            return Ok(());
        }
        let mut change = OutboxChange { position: Some(self.position), ..OutboxChange::default() };
        for (seq, delivery) in &self.changes {
            match delivery {
                Some(delivery) => change.put.push((*seq, delivery.clone())),
                None => change.remove.push(*seq),
            }
        }
        self.engine.keep_outbox(self.deliver.name(), change).await?;
        self.kept_position = Some(self.position);
        self.changes.clear();
        (self.changed_since, self.is_urgent) = (None, false);
        self.position_kept_at = tokio::time::Instant::now();
        Ok(())
    }
}

/// What is kept of a reason, and shown of it: whoever is outside may have written much.
pub(crate) fn shortened(reason: &str) -> String {
    reason.chars().take(REASON_CHARS_MAX).collect()
}

fn is_over(since: Instant, attempts: u32, now: Instant) -> bool {
    TRIED_FOR.1 <= attempts && after(since, TRIED_FOR.0) <= now
}

/// How long to wait after so many attempts: twice as long each time, and each delivery a little other than the next.
fn pause_after(attempts: u32) -> Duration {
    let doubled = PAUSES.0.saturating_mul(1 << attempts.saturating_sub(1).min(20)).min(PAUSES.1);
    let mut drawn = [0];
    // Without random bytes all wait alike.
    let quarters = getrandom::fill(&mut drawn).map_or(4, |()| 3 + u32::from(drawn[0] % 3));
    doubled.saturating_mul(quarters) / 4
}

fn after(at: Instant, pause: Duration) -> Instant {
    Instant(at.0.saturating_add(i64::try_from(pause.as_micros()).unwrap_or(i64::MAX)))
}

/// How long it is until then; nothing where that is over.
fn between(now: Instant, at: Instant) -> Duration {
    Duration::from_micros(u64::try_from(at.0.saturating_sub(now.0)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::sync::atomic::{AtomicI64, Ordering};

    use kembali_core::CustomerId;
    use kembali_core::operation::Actor;
    use kembali_engine::{ApplyRequest, EngineConfig, OutboxState};

    use super::*;
    use crate::CatalogueFile;

    const NAME: &str = "test";
    const DAY_US: i64 = 86_400_000_000;
    const BOUNDS: Bounds = Bounds {
        open: 100,
        at_once: 4,
        made: 5,
        keeps_each: false,
        given_up: GivenUp::EndsAt(3),
        lane: (Duration::from_secs(3_600), 100),
        doubt: Duration::ZERO,
    };

    /// A ledger whose records are versions of the rules, and a clock that is moved by hand.
    struct Lab {
        engine: Engine,
        clock: Arc<AtomicI64>,
        _dir: tempfile::TempDir,
    }

    impl Lab {
        fn start() -> Lab {
            let (dir, clock) = (tempfile::tempdir().expect("a folder"), Arc::new(AtomicI64::new(DAY_US)));
            let wall = Arc::clone(&clock);
            let config = EngineConfig {
                secrets_key: None,
                data_dir: dir.path().to_path_buf(),
                shards: NonZeroUsize::MIN,
                installation_key: Some([7; 32]),
                generation_bytes_max: 1024 * 1024,
                free_bytes: Arc::new(|| Ok(u64::MAX)),
                free_bytes_min: 0,
                clock: Arc::new(move || Instant(wall.load(Ordering::SeqCst))),
                monotonic: kembali_engine::monotonic(),
                on_fault: Box::new(|fault| panic!("{fault:?}")),
            };
            let (engine, _) = Engine::start(config).expect("it starts");
            Lab { engine, clock, _dir: dir }
        }

        /// Writes records until there are so many.
        async fn write(&self, count: u64) {
            for version in self.engine.durable().0..count {
                let file: CatalogueFile =
                    toml::from_str(include_str!("../../demo/journey.toml")).expect("the sample is read");
                let mut draft = file.to_draft().expect("it is right");
                draft.name = format!("Shop {version}");
                let (actor, partner_keys) = (Actor::Operator, Vec::new());
                let request = ApplyRequest { actor, draft, partner_keys, expected_version: None, dry_run: false };
                self.engine.apply(request).await.expect("it is applied");
            }
            assert_eq!(self.engine.durable(), Seq(count));
        }

        fn outbox(&self, script: &Arc<Script>) -> (mpsc::Sender<Asked>, Outbox<Script>) {
            let (sender, asked) = mpsc::channel(ASKED_MAX);
            (sender, Outbox::new(Arc::clone(script), self.engine.clone(), asked))
        }

        fn kept(&self) -> OutboxState {
            self.engine.outbox(NAME).expect("it is read")
        }

        /// Does what the outbox does, and moves the clock to whatever is due next, until nothing is or something halts it.
        async fn drive(&self, outbox: &mut Outbox<Script>) -> Option<End> {
            if outbox.kept_position.is_none() {
                outbox.load().await.expect("it is read");
            }
            let end = loop {
                while outbox.open.len() < outbox.bounds.open && outbox.position < self.engine.durable() {
                    outbox.look().await.expect("it is there");
                }
                let now = self.engine.wall();
                while outbox.running.len() < outbox.bounds.at_once
                    && let Some(seq) = outbox.due(now)
                {
                    outbox.begin(seq, now);
                }
                match (outbox.running.join_next().await, outbox.ready.first()) {
                    (Some(done), _) => match outbox.finish(done) {
                        Ok(()) => (),
                        Err(Halt::Ended(end)) => break Some(end),
                        Err(halt) => panic!("{halt:?}"),
                    },
                    (None, Some((at, _))) => self.clock.store(at.0, Ordering::SeqCst),
                    (None, None) => break None,
                }
            };
            outbox.keep().await.expect("it is kept");
            end
        }
    }

    type Decide = Box<dyn Fn(Seq, u32, Instant) -> Attempted + Send + Sync>;

    /// Delivers to a list.
    struct Script {
        bounds: Bounds,
        start: Start,
        lanes: u64,
        clock: Arc<AtomicI64>,
        decide: Decide,
        seen: Mutex<Vec<(Seq, bool)>>,
    }

    impl Script {
        fn new(lab: &Lab, bounds: Bounds, lanes: u64, decide: Decide) -> Arc<Script> {
            let start = Start { after: Seq::ZERO, since: Instant(i64::MIN) };
            Arc::new(Script { bounds, start, lanes, clock: Arc::clone(&lab.clock), decide, seen: Mutex::default() })
        }

        fn seen(&self) -> Vec<(Seq, bool)> {
            self.seen.lock().expect("no test has failed").clone()
        }
    }

    impl Deliver for Script {
        fn name(&self) -> &str {
            NAME
        }

        fn bounds(&self) -> Bounds {
            self.bounds
        }

        fn start(&self) -> Start {
            self.start
        }

        async fn look(&self, seq: Seq) -> Result<Option<Option<Lane>>, Halt> {
            Ok(Some((0 < self.lanes).then(|| Lane::Customer(CustomerId(u128::from(seq.0 % self.lanes))))))
        }

        async fn attempt(&self, seq: Seq, delivery: Delivery) -> Attempted {
            let attempted = (self.decide)(seq, delivery.attempts, Instant(self.clock.load(Ordering::SeqCst)));
            self.seen.lock().expect("no test has failed").push((seq, matches!(attempted, Attempted::Made)));
            attempted
        }
    }

    fn failed() -> Attempted {
        Attempted::Failed("it did not answer".to_owned(), Duration::ZERO)
    }

    #[tokio::test]
    async fn one_that_fails_holds_back_its_lane_for_an_hour_and_no_other() {
        let lab = Lab::start();
        lab.write(12).await;
        let hours = Arc::new(Mutex::new(Vec::new()));
        let seen_at = Arc::clone(&hours);
        let begun = lab.clock.load(Ordering::SeqCst);
        // The first of one lane of three fails for three hours.
        let decide = move |seq, _, now: Instant| {
            if seq == Seq(6) {
                seen_at.lock().expect("no test has failed").push(now.0 - begun);
            }
            if seq == Seq(3) && now.0 < begun + DAY_US / 8 { failed() } else { Attempted::Made }
        };
        let script = Script::new(&lab, BOUNDS, 3, Box::new(decide));
        let (_asking, mut outbox) = lab.outbox(&script);
        assert_eq!(lab.drive(&mut outbox).await, None);
        let seen = script.seen();
        let of = |lane: u64| seen.iter().filter(move |(seq, _)| seq.0 % 3 == lane).map(|(seq, _)| seq.0);
        assert!(of(1).eq([1, 4, 7, 10]) && of(2).eq([2, 5, 8, 11]), "{seen:?}");
        // What is behind it comes once it has failed for an hour, in order; it comes in the end.
        let hour = DAY_US / 24;
        let hours = hours.lock().expect("no test has failed").clone();
        assert!(hours.len() == 1 && (hour..hour + hour / 4).contains(&hours[0]), "{hours:?}");
        let made: Vec<u64> = seen.iter().filter(|own| own.1).map(|(seq, _)| seq.0).filter(|seq| seq % 3 == 0).collect();
        assert_eq!(made, [6, 9, 12, 3]);
        // The last that were made are known, and no more.
        let kept = lab.kept();
        assert_eq!((kept.position, kept.deliveries.len()), (Some(Seq(12)), 5));
        assert!(kept.deliveries.values().all(|own| own.state == DeliveryState::Made && own.reason.is_empty()));
        lab.engine.stop().await.expect("it stops well");
    }

    #[tokio::test]
    async fn one_that_fails_holds_back_only_so_many() {
        let lab = Lab::start();
        lab.write(6).await;
        let decide = |seq, attempts, _| if seq == Seq(1) && attempts < 2 { failed() } else { Attempted::Made };
        for (many, expected) in [(6, [1, 1, 2, 3, 4, 5, 6]), (5, [1, 2, 3, 4, 5, 6, 1])] {
            let script = Script::new(&lab, Bounds { lane: (BOUNDS.lane.0, many), ..BOUNDS }, 1, Box::new(decide));
            let (_asking, mut outbox) = lab.outbox(&script);
            assert_eq!(lab.drive(&mut outbox).await, None);
            assert_eq!(script.seen().iter().map(|(seq, _)| seq.0).collect::<Vec<_>>(), expected);
            lab.engine.forget_outbox(NAME).await.expect("it is forgotten");
        }
        lab.engine.stop().await.expect("it stops well");
    }

    #[tokio::test]
    async fn one_is_given_up_after_a_day_where_others_get_through_and_made_again_by_hand() {
        let lab = Lab::start();
        lab.write(3).await;
        let begun = lab.clock.load(Ordering::SeqCst);
        // Another one gets through an hour later.
        let decide = move |seq: Seq, attempts, now: Instant| match seq.0 {
            2 if attempts < 500 => failed(),
            3 if now.0 < begun + DAY_US / 24 => failed(),
            _ => Attempted::Made,
        };
        let script = Script::new(&lab, BOUNDS, 0, Box::new(decide));
        let (asking, mut outbox) = lab.outbox(&script);
        assert_eq!(lab.drive(&mut outbox).await, None);
        let given_up = lab.kept().deliveries[&Seq(2)].clone();
        let tries = script.seen().iter().filter(|(seq, _)| *seq == Seq(2)).count();
        assert_eq!((given_up.state, given_up.attempts as usize), (DeliveryState::GivenUp, tries));
        assert!((100..200).contains(&tries) && given_up.reason == "it did not answer", "{tries}");
        assert!((DAY_US..DAY_US + 750_000_000).contains(&(lab.clock.load(Ordering::SeqCst) - begun)));
        // Somebody says so: those that are given up, one of a record that was delivered, and none that is not there.
        for (again, expected) in [
            (Again::GivenUp, 1),
            (Again::GivenUp, 0),
            (Again::Of(Seq(3)), 1),
            (Again::Of(Seq(4)), 0),
            (Again::Of(Seq::ZERO), 0),
        ] {
            let (answer, answered) = oneshot::channel();
            asking.try_send(Asked { again, answer }).expect("there is room");
            outbox.asking = outbox.asked.try_recv().ok();
            outbox.make_again().await.expect("it is kept");
            assert!(matches!(answered.await, Ok(Ok(count)) if count == expected), "{again:?}");
        }
        for (seq, own) in lab.kept().deliveries {
            assert_eq!((own.due().is_some(), own.attempts == 0), (seq != Seq(1), seq != Seq(1)), "{seq:?} {own:?}");
        }
        lab.engine.stop().await.expect("it stops well");
    }

    #[tokio::test]
    async fn an_outbox_ends_where_nothing_gets_through_for_a_day_and_begins_where_it_was() {
        let lab = Lab::start();
        lab.write(8).await;
        let script = Script::new(&lab, Bounds { open: 6, ..BOUNDS }, 0, Box::new(|_, _, _| failed()));
        let (_asking, mut outbox) = lab.outbox(&script);
        assert_eq!(lab.drive(&mut outbox).await, Some(End::Failing));
        // No more was read than may be open, and nothing of that is given up.
        let kept = lab.kept();
        assert_eq!((kept.position, kept.deliveries.len()), (Some(Seq(6)), 6));
        assert!(kept.deliveries.values().all(|own| own.due().is_some()));
        // Once it is begun again, what was tried is new; a receiver that is gone ends it, and loses nothing.
        let decide = |seq, attempts, _| {
            assert_eq!(attempts, 1);
            if seq == Seq(8) { Attempted::Ended(End::Gone) } else { Attempted::Made }
        };
        let mut script = Script::new(&lab, BOUNDS, 1, Box::new(decide));
        let since = lab.engine.wall();
        Arc::get_mut(&mut script).expect("it is one's own").start.since = since;
        let (_asking, mut outbox) = lab.outbox(&script);
        assert_eq!(lab.drive(&mut outbox).await, Some(End::Gone));
        let (made, due): (Vec<_>, Vec<_>) = lab.kept().deliveries.into_iter().partition(|(_, own)| own.due().is_none());
        assert_eq!((made.len(), due.len(), due[0].0), (5, 1, Seq(8)));
        lab.engine.stop().await.expect("it stops well");
    }

    /// A receiver that asks to be left alone for an hour is, and one that asks for a year is for an hour.
    #[tokio::test]
    async fn a_receiver_is_left_alone_for_as_long_as_it_asks() {
        let lab = Lab::start();
        lab.write(2).await;
        let begun = lab.clock.load(Ordering::SeqCst);
        let times = Arc::new(Mutex::new(Vec::new()));
        let seen_at = Arc::clone(&times);
        let decide = move |seq: Seq, attempts, now: Instant| {
            seen_at.lock().expect("no test has failed").push((now.0 - begun) / 1_000_000);
            let asked = if seq == Seq(1) { 3_600 } else { 31_536_000 };
            if attempts < 2 {
                Attempted::Failed("busy".to_owned(), Duration::from_secs(asked))
            } else {
                Attempted::Made
            }
        };
        let script = Script::new(&lab, BOUNDS, 0, Box::new(decide));
        let (_asking, mut outbox) = lab.outbox(&script);
        assert_eq!(lab.drive(&mut outbox).await, None);
        assert_eq!(*times.lock().expect("no test has failed"), [0, 0, 3_600, 3_600]);
        lab.engine.stop().await.expect("it stops well");
    }

    /// However many share the attempts, a receiver that takes nothing for a day ends it.
    #[tokio::test]
    async fn many_that_fail_end_it_after_a_day_together() {
        let lab = Lab::start();
        lab.write(80).await;
        // Each attempt takes a quarter of an hour, so no delivery is tried as often as one must be to be given up.
        let clock = Arc::clone(&lab.clock);
        let decide = move |_, _, _| {
            clock.fetch_add(DAY_US / 96, Ordering::SeqCst);
            failed()
        };
        let script = Script::new(&lab, BOUNDS, 0, Box::new(decide));
        let (_asking, mut outbox) = lab.outbox(&script);
        let begun = lab.clock.load(Ordering::SeqCst);
        assert_eq!(lab.drive(&mut outbox).await, Some(End::Failing));
        assert!(lab.clock.load(Ordering::SeqCst) - begun < DAY_US + DAY_US / 8);
        assert!(lab.kept().deliveries.values().all(|own| own.due().is_some()), "nothing is given up");
        lab.engine.stop().await.expect("it stops well");
    }

    /// An attempt may wait for a lock that whoever keeps what is known waits for as well.
    #[tokio::test]
    async fn attempts_and_the_outbox_do_not_wait_for_each_other() {
        struct Keeping(Engine);

        impl Deliver for Keeping {
            fn name(&self) -> &str {
                NAME
            }

            fn bounds(&self) -> Bounds {
                Bounds { at_once: 8, keeps_each: true, ..BOUNDS }
            }

            fn start(&self) -> Start {
                Start { after: Seq::ZERO, since: Instant(i64::MIN) }
            }

            async fn look(&self, _: Seq) -> Result<Option<Option<Lane>>, Halt> {
                Ok(Some(None))
            }

            async fn attempt(&self, seq: Seq, delivery: Delivery) -> Attempted {
                let change = OutboxChange { put: vec![(seq, delivery)], ..OutboxChange::default() };
                match self.0.keep_outbox(NAME, change).await {
                    Ok(()) => Attempted::Made,
                    Err(error) => Attempted::Halted(error.into()),
                }
            }
        }

        let lab = Lab::start();
        lab.write(60).await;
        let outboxes = Outboxes::default();
        let is_done = async {
            while lab.kept().position != Some(Seq(60)) || lab.kept().deliveries.values().any(|own| own.due().is_some())
            {
                tokio::task::yield_now().await;
            }
        };
        outboxes.run(Arc::new(Keeping(lab.engine.clone())), lab.engine.clone(), is_done).await;
        lab.engine.stop().await.expect("it stops well");
    }

    #[tokio::test]
    async fn too_many_that_are_given_up_end_it() {
        let lab = Lab::start();
        lab.write(9).await;
        // Others get through, some of them hours later.
        let decide = |seq: Seq, attempts, _| {
            if seq.0.is_multiple_of(2) || attempts < 90 { failed() } else { Attempted::Made }
        };
        let script = Script::new(&lab, BOUNDS, 0, Box::new(decide));
        let (_asking, mut outbox) = lab.outbox(&script);
        assert_eq!(lab.drive(&mut outbox).await, Some(End::Failing));
        let given_up = lab.kept().deliveries.values().filter(|own| own.state == DeliveryState::GivenUp).count();
        assert_eq!(given_up, 3);
        lab.engine.stop().await.expect("it stops well");
    }

    /// Told to stop, it keeps what it has done, and nobody asks it any more.
    #[tokio::test]
    async fn what_was_done_is_kept_at_the_end() {
        let lab = Lab::start();
        lab.write(3).await;
        let script = Script::new(&lab, BOUNDS, 0, Box::new(|_, _, _| Attempted::Made));
        let outboxes = Outboxes::default();
        let is_done = async {
            while script.seen().len() < 3 || outboxes.again(NAME, Again::GivenUp).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        assert_eq!(outboxes.run(Arc::clone(&script), lab.engine.clone(), is_done).await, None);
        assert_eq!((lab.kept().position, lab.kept().deliveries.len()), (Some(Seq(3)), 3));
        assert!(outboxes.again(NAME, Again::GivenUp).await.is_err());
        lab.engine.stop().await.expect("it stops well");
    }

    #[test]
    fn a_delivery_is_tried_ever_more_seldom_and_for_a_day() {
        let (mut now, mut pauses) = (Instant(0), Vec::new());
        while !is_over(Instant(0), u32::try_from(pauses.len()).expect("a few"), now) {
            let next = after(now, pause_after(u32::try_from(pauses.len()).expect("a few") + 1));
            pauses.push(next.0 - now.0);
            now = next;
        }
        let near = |expected: i64, found: i64| (expected * 3 / 4..=expected * 5 / 4).contains(&found);
        for (attempt, found) in pauses.iter().enumerate() {
            let expected = (1_000_000 << attempt.min(20)).min(600_000_000);
            assert!(near(expected, *found), "{attempt}: {found}");
        }
        assert!((DAY_US..DAY_US + 750_000_000).contains(&now.0), "{now:?}");
        // A clock that jumps a year gives nothing up that was tried a few times.
        assert!(!is_over(Instant(0), 4, Instant(365 * DAY_US)));
    }
}
