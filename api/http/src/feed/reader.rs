//! A way through the ledger: record by record, whatever of them is for whoever looks. Knows no connection.

use std::sync::Arc;

use kembali_core::{Seq, TenantId};
use kembali_engine::{Caller, Engine};
use tokio::task::consume_budget;

use super::tail::Tail;
use crate::app::App;
use crate::auth::{CustomerCaller, Identity};
use crate::codes::{self, Code};
use crate::people::tokens::Bearer;
use crate::problem::Problem;
use crate::wire::event::{Audience, Events, Topics, WrittenRecord};

/// Records that are read at one go, although none of them may be for whoever looks.
pub(super) const RECORDS_PER_TURN: u32 = 64;
/// A batch is closed once it has so many bytes.
const BATCH_BYTES: usize = 256 * 1024;

/// Whose records somebody may see.
#[derive(Clone, Copy, Debug)]
pub(super) enum Scope {
    Partner(Caller),
    Customer(CustomerCaller),
    /// All of a tenant's, for whoever holds the server's token or a token of an operator's session.
    Tenant(TenantId, Option<Bearer>),
}

impl Scope {
    /// Finds what a caller may see, of the tenant that the request is about.
    ///
    /// # Errors
    ///
    /// 401 for nobody.
    pub(super) fn of(identity: Identity, tenant: TenantId) -> Result<Scope, Problem> {
        match identity {
            Identity::Partner(caller) => Ok(Scope::Partner(caller)),
            Identity::Customer(caller) => Ok(Scope::Customer(caller)),
            Identity::Operator(operator) => Ok(Scope::Tenant(tenant, operator.bearer)),
            Identity::Nobody => Err(Problem::new(&codes::CREDENTIALS_MISSING)),
        }
    }

    const fn tenant(self) -> TenantId {
        match self {
            Scope::Tenant(tenant, _) => tenant,
            Scope::Customer(caller) => caller.tenant,
            Scope::Partner(caller) => caller.tenant,
        }
    }

    const fn audience(self) -> Audience {
        match self {
            Scope::Tenant(..) => Audience::Operators,
            Scope::Customer(caller) => Audience::Customer(caller.customer),
            Scope::Partner(caller) => Audience::Partner(caller.partner),
        }
    }

    /// Finds why somebody who was let in may see nothing any more: a partner that was suspended since, or whose key was revoked,
    /// and a person whose session is over.
    pub(super) fn ended(self, engine: &Engine) -> Option<&'static Code> {
        if let Scope::Partner(caller) = self {
            return (!engine.is_admitted(caller)).then_some(&codes::API_KEY_UNKNOWN);
        }
        // An access token is over soon; the session that it is of goes on.
        self.bearer().filter(|bearer| !bearer.is_open(engine)).map(|_| &codes::TOKEN_INVALID)
    }

    /// Returns the token of a person.
    pub(super) const fn bearer(self) -> Option<Bearer> {
        match self {
            Scope::Partner(_) => None,
            Scope::Customer(caller) => Some(caller.bearer),
            Scope::Tenant(_, bearer) => bearer,
        }
    }
}

/// A record that is durable cannot be read or written down. The operator is told already.
#[derive(Debug)]
pub(crate) struct Unreadable;

fn unreadable(seq: Seq, error: &dyn std::fmt::Display) -> Unreadable {
    tracing::error!(%error, seq = seq.0, "a record cannot be sent");
    Unreadable
}

/// Finds a durable record, of which whatever was written down already is there.
///
/// # Errors
///
/// [`Unreadable`].
pub(crate) async fn written((engine, tail): (&Engine, &Tail), seq: Seq) -> Result<Arc<WrittenRecord>, Unreadable> {
    // Records in memory are there at once: without this a long way through them would hold the thread from everybody else.
    consume_budget().await;
    if let Some(kept) = tail.get(seq) {
        return Ok(kept);
    }
    let found = engine.record(seq).await.map_err(|error| unreadable(seq, &error))?;
    let (record, catalogue) = found.ok_or_else(|| unreadable(seq, &"a durable record is not there"))?;
    let former = engine.former_rules(&record.body);
    let read = Arc::new(WrittenRecord::new(record, catalogue, former));
    tail.keep(&read, engine.durable());
    Ok(read)
}

/// Reads on from a position.
#[derive(Debug)]
pub(super) struct Reader {
    engine: Engine,
    tail: Arc<Tail>,
    scope: Scope,
    topics: Topics,
    position: Seq,
}

impl Reader {
    pub(super) fn new(app: &App, scope: Scope, topics: Topics, after: Seq) -> Reader {
        let (engine, tail) = (app.engine.clone(), Arc::clone(&app.tail));
        Reader { engine, tail, scope, topics, position: after }
    }

    /// Returns the position of the last record that was read.
    pub(super) const fn position(&self) -> Seq {
        self.position
    }

    /// Finds why whoever looks may not any more.
    pub(super) fn ended(&self) -> Option<&'static Code> {
        self.scope.ended(&self.engine)
    }

    /// Reads the next record, which must be durable, appends what of it is to be seen, and returns true if there is anything.
    ///
    /// # Errors
    ///
    /// [`Unreadable`]; then nothing was read.
    pub(super) async fn read(&mut self, events: &mut Events) -> Result<bool, Unreadable> {
        let seq = Seq(self.position.0 + 1);
        let record = written((&self.engine, &self.tail), seq).await?;
        let is_seen = record.record().body.tenant == self.scope.tenant()
            && record
                .append_to(events, (self.scope.audience(), self.topics))
                .map_err(|error| unreadable(seq, &error))?;
        self.position = seq;
        Ok(is_seen)
    }

    /// Reads on towards `head`, and returns a frame of what up to `batch_max` records have to be seen; `None` where none of those that
    /// were read at this go has anything.
    ///
    /// # Errors
    ///
    /// [`Unreadable`].
    pub(super) async fn frame(&mut self, head: Seq, batch_max: u64) -> Result<Option<String>, Unreadable> {
        let (mut events, mut records) = (Events::default(), 0);
        let mut last = self.position;
        for _ in 0..RECORDS_PER_TURN.max(u32::try_from(batch_max).unwrap_or(u32::MAX)) {
            if self.read(&mut events).await? {
                last = self.position;
                records += 1;
            }
            if batch_max <= records || head <= self.position || BATCH_BYTES <= events.bytes() {
                break;
            }
        }
        Ok((0 < records).then(|| events.frame(last)))
    }
}
