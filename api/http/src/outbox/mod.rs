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
//!
//! Here is what an outbox is made of, and which are at work; `work` is the work itself.

mod work;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kembali_core::{Instant, Seq};
use kembali_engine::{AdministerError, Delivery, Engine, Lane, ReadError, Stopped};
use tokio::sync::{mpsc, oneshot};

use self::work::Outbox;
pub(crate) use self::work::shortened;

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
