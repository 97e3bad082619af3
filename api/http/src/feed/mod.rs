//! The event stream: `GET /v1/stream` upgrades to WebSocket and sends what has happened, record by record.
//!
//! **Asking.** `?after=<seq>` starts behind that position (without it: from now on), `?topics=purchase.*,tier.changed`
//! keeps the events of these topics. A partner gets the records of its own purchases, a customer its own
//! records; an operator those of the tenant, which whoever holds the server's token names by `?tenant=`.
//!
//! **Frames from the server**, all text, each one JSON object:
//! - `{"op":"ready","head":H,"after":A,"resume":"exact"}` comes first: the last durable position, and where it starts.
//! - `{"op":"ev","seq":N,"events":[...]}`: the events of one record, as CloudEvents 1.0 (see [`crate::wire::event`]).
//! - `{"op":"pong"}` answers `{"op":"ping"}`; `{"op":"error","code":...}` answers anything else.
//! - `{"op":"lag","resume_after":N}` before a subscriber that is too slow is closed with 4008 and N in the reason:
//!   whoever reads it has been sent everything up to N.
//!
//! **Resuming.** A position is all there is to a subscription: `after=` the last `seq` that was seen goes on exactly
//! there, whatever was restarted in between. Only what is durable is ever sent, in order, each record once.
//!
//! **Bounds.** Nothing is queued for a subscriber: its task reads one record, writes it and waits for the socket. One
//! that falls too far behind, or takes nothing for too long, is told and closed; ingest never waits for it.
//!
//! Files: [`handshake`] (RFC 6455), `subscriber` (one connection).

mod handshake;
mod subscriber;

use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::response::Response;
use hyper::Request;
use kembali_core::{Seq, TenantId};
use kembali_engine::Caller;
use tokio::sync::OwnedSemaphorePermit;

use self::subscriber::Subscriber;
use crate::app::App;
use crate::auth::{CustomerCaller, Identity};
use crate::codes;
use crate::parameters;
use crate::people::tokens::Bearer;
use crate::problem::Problem;
use crate::query::Query;
use crate::routes::Endpoint;
use crate::wire::event::{Audience, Topics};

/// Where a request leaves the subscriber that its connection turns into.
#[derive(Default)]
pub(crate) struct Switch(Mutex<Option<Subscriber>>);

impl Switch {
    fn put(&self, subscriber: Subscriber) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(subscriber);
    }

    /// Takes the subscriber, once HTTP is over.
    pub(crate) fn take(&self) -> Option<Subscriber> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Whose records a subscriber may see.
#[derive(Clone, Copy, Debug)]
enum Scope {
    Partner(Caller),
    Customer(CustomerCaller),
    /// All of a tenant's, for whoever holds the server's token or a token of an operator's session.
    Tenant(TenantId, Option<Bearer>),
}

impl Scope {
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
}

/// What a subscriber asked for.
#[derive(Clone, Copy, Debug)]
struct Subscription {
    scope: Scope,
    topics: Topics,
    after: Seq,
    head: Seq,
}

/// Checks a request for the stream and accepts the upgrade; the connection finds the subscriber in `switch`.
pub(crate) async fn open(
    app: &App,
    identity: Identity,
    mut request: Request<Body>,
    switch: &Switch,
    of_partner: Option<OwnedSemaphorePermit>,
) -> Result<Response, Problem> {
    let response = handshake::accept(&request)?;
    let query = Query::parse(request.uri(), parameters::of(Endpoint::Stream))?;
    let after = query.number::<u64>("after")?.map(Seq);
    let topics = match query.text("topics").map(Topics::parse) {
        None => Topics::ALL,
        Some(Ok(topics)) => topics,
        Some(Err(name)) => {
            let detail = format!("{name:?} is no topic; topics are: {}", Topics::names());
            return Err(Problem::new(&codes::QUERY_INVALID).detail(detail).member("parameter", "topics"));
        }
    };
    let tenant = app.tenant(identity, &query).await?.tenant;
    let scope = match identity {
        Identity::Partner(caller) => Scope::Partner(caller),
        Identity::Customer(caller) => Scope::Customer(caller),
        Identity::Operator(operator) => Scope::Tenant(tenant, operator.bearer),
        Identity::Nobody => return Err(Problem::new(&codes::CREDENTIALS_MISSING)),
    };
    let permit = Arc::clone(&app.subscribers).try_acquire_owned();
    let permit = permit.map_err(|_| Problem::new(&codes::OVERLOADED))?;
    let head = app.engine.durable();
    let after = after.unwrap_or(head);
    if head < after {
        return Err(Problem::new(&codes::AFTER_AHEAD).member("after", after.0).member("head", head.0));
    }
    let upgrade = hyper::upgrade::on(&mut request);
    let subscription = Subscription { scope, topics, after, head };
    switch.put(Subscriber::new(app.engine.clone(), app.limits, subscription, upgrade, (permit, of_partner)));
    Ok(response)
}
