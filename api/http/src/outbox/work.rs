//! The work of one outbox: it looks at records, begins attempts, takes what comes of them, and keeps what is known.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use kembali_core::{Instant, Seq};
use kembali_engine::{Delivery, DeliveryState, Engine, Lane, OUTBOX_REASON_CHARS_MAX, OutboxChange};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};

use super::{Again, AgainError, Asked, Attempted, Bounds, Deliver, End, GivenUp, Halt};

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
/// How long attempts may go on once the work is told to stop.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(5);

/// The state of the work.
pub(super) struct Outbox<D> {
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
    pub(super) fn new(deliver: Arc<D>, engine: Engine, asked: mpsc::Receiver<Asked>) -> Outbox<D> {
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

    pub(super) async fn run(&mut self, stop: impl Future<Output = ()>) -> Option<End> {
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
    pub(super) async fn drain(&mut self) {
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
    pub(super) async fn keep(&mut self) -> Result<(), Halt> {
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
    reason.chars().take(OUTBOX_REASON_CHARS_MAX).collect()
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
#[path = "work_tests.rs"]
mod tests;
