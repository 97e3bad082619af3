//! The work of an outbox, on a clock that is moved by hand.

use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use kembali_core::CustomerId;
use kembali_core::operation::Actor;
use kembali_engine::{ApplyRequest, EngineConfig, OutboxState};
use tokio::sync::oneshot;

use super::super::{ASKED_MAX, Outboxes, Start};
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
            resident_max: None,
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
                toml::from_str(include_str!("../../../demo/journey.toml")).expect("the sample is read");
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
        if attempts < 2 { Attempted::Failed("busy".to_owned(), Duration::from_secs(asked)) } else { Attempted::Made }
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
        while lab.kept().position != Some(Seq(60)) || lab.kept().deliveries.values().any(|own| own.due().is_some()) {
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
