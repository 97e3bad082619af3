//! The event stream: `GET /v1/stream` sends what has happened, record by record, by WebSocket or as an event source; `GET /v1/events`
//! shows history page by page.
//!
//! **Asking.** `?after=<seq>` starts behind that position (without it: from now on), `?topics=purchase.*,tier.changed`
//! keeps the events of these topics, `?batch=100` lets one message tell of so many records. A partner gets the records of its own
//! purchases, a customer its own records; an operator those of the tenant, which whoever holds the server's token names by `?tenant=`.
//! With `Upgrade: websocket` it is a WebSocket, with `Accept: text/event-stream` an event source.
//!
//! **Messages from the server**, all text, each one JSON object:
//! - `{"op":"ready","head":H,"after":A,"resume":"exact"}` comes first: the last durable position, and where it starts.
//! - `{"op":"ev","seq":N,"events":[...]}`: the events of one record, as CloudEvents 1.0 (see [`crate::wire::event`]), or of a batch of
//!   records whose last is N. Those of one record are never torn apart.
//! - `{"op":"gauge","summary":{...}}`, of `?gauges=true` and for operators: the sums of the tenant. Events are never left out; of sums
//!   only the newest are sent, at most once a second. Without `after` they come first, and the events behind them (`"snapshot"`).
//! - `{"op":"pong"}` answers `{"op":"ping"}`; `{"op":"error","code":...}` answers anything else, and ends an event source.
//! - `{"op":"lag","resume_after":N}` before a subscriber that is too slow is closed, by WebSocket with 4008 and N in the reason:
//!   whoever reads it has been sent everything up to N.
//!
//! **Resuming.** A position is all there is to a subscription: `after=` the last `seq` that was seen, or `Last-Event-ID` of an event
//! source, goes on exactly there, whatever was restarted in between. Only what is durable is ever sent, in order, each record once.
//!
//! **Bounds.** Nothing is queued for a subscriber: its task reads one record or one batch, writes it and waits for the socket. One
//! that falls too far behind, or takes nothing for too long, is told and closed; ingest never waits for it.
//!
//! Files: [`reader`] (the ledger, record by record), [`tail`] (the newest records, written once for all readers), `subscriber` (one
//! WebSocket), `event_source`, `page`, [`places`] (how many there may be), [`gauge`].

mod event_source;
mod gauge;
mod page;
mod places;
mod reader;
mod subscriber;
mod tail;

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use futures_util::FutureExt as _;
use hyper::header::{ACCEPT, HeaderMap, UPGRADE};
use hyper::{Method, Request};
use kembali_core::Seq;
use kembali_core::catalogue::Catalogue;
use tokio::sync::{OwnedSemaphorePermit, watch};

pub(crate) use self::gauge::Gauges;
use self::gauge::Watch;
pub(crate) use self::page::page;
pub(crate) use self::places::Places;
use self::reader::Scope;
pub(crate) use self::reader::{Unreadable, written};
use self::subscriber::Subscriber;
pub(crate) use self::tail::Tail;
use crate::app::App;
use crate::auth::Identity;
use crate::codes;
use crate::config::Limits;
use crate::parameters::{self, BATCH_MAX};
use crate::problem::Problem;
use crate::query::{Query, invalid};
use crate::routes::Endpoint;
use crate::websocket::{self, Switch};
use crate::wire::event::Topics;
use crate::wire::message::ControlMessage;

/// What a subscriber asked for.
#[derive(Debug)]
struct Subscription {
    scope: Scope,
    topics: Topics,
    /// Records that one message may tell of.
    batch_max: u64,
    after: Seq,
    /// What is said first.
    ready: String,
    /// The sums, if they are asked for.
    watch: Option<Watch>,
}

/// Checks a request for the stream, and answers it; of an upgrade the connection finds the subscriber in `switch`.
pub(crate) async fn open(
    app: &App,
    identity: Identity,
    mut request: Request<Body>,
    switch: &Switch,
    of_partner: Option<OwnedSemaphorePermit>,
) -> Result<Response, Problem> {
    let accepted = if is_for_event_source(&request) { None } else { Some(websocket::accept(&request)?) };
    let query = Query::parse(request.uri(), parameters::of(Endpoint::Stream))?;
    let mut after = query.number::<u64>("after")?;
    if accepted.is_none() {
        // A client that comes again may ask with the address that it had at first.
        after = last_event_id(request.headers())?.or(after);
    }
    let batch_max = query.number::<u64>("batch")?.unwrap_or(1);
    if !(1..=BATCH_MAX).contains(&batch_max) {
        return Err(invalid("batch", format!("batch must be 1 to {BATCH_MAX}")));
    }
    let topics = topics_of(&query)?;
    let catalogue = app.tenant(identity, &query).await?;
    let scope = Scope::of(identity, catalogue.tenant)?;
    let place = app.subscribers.take(scope, of_partner)?;
    let watch = if query.flag("gauges")? { Some(watch(app, scope, &catalogue).await?) } else { None };
    let head = app.engine.durable();
    let (after, resume) = match (after, &watch) {
        (Some(after), _) => (Seq(after), "exact"),
        (None, Some(watch)) => (watch.as_of(), "snapshot"),
        (None, None) => (head, "exact"),
    };
    if head < after {
        return Err(Problem::new(&codes::AFTER_AHEAD).member("after", after.0).member("head", head.0));
    }
    let ready = ControlMessage::Ready { head: head.0, after: after.0, resume }.to_text();
    let subscription = Subscription { scope, topics, batch_max, after, ready, watch };
    let Some(response) = accepted else { return Ok(event_source::respond(app, subscription, place)) };
    let upgrade = hyper::upgrade::on(&mut request);
    let subscriber = Subscriber::new(app, subscription, upgrade, place);
    switch.put(Box::new(|stopping| subscriber.run(stopping).boxed()));
    Ok(response)
}

/// Begins to watch the sums of a tenant, for its operators.
async fn watch(app: &App, scope: Scope, catalogue: &Catalogue) -> Result<Watch, Problem> {
    let Scope::Tenant(tenant, _) = scope else { return Err(Problem::new(&codes::ROLE_INSUFFICIENT)) };
    let watch = Watch::new(Arc::clone(&app.gauges), app.engine.clone(), tenant, catalogue.slug.clone());
    watch.await.map_err(|_| Problem::new(&codes::ENGINE_STOPPED))
}

/// Returns true for a request that wants no WebSocket, and takes an event source.
fn is_for_event_source(request: &Request<Body>) -> bool {
    let values = |name| {
        request.headers().get_all(name).iter().filter_map(|own| own.to_str().ok()).flat_map(|own| own.split(','))
    };
    let is_event_source = |own: &str| {
        let mut parts = own.split(';').map(str::trim);
        let is_refused = |own: &str| own.strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0_f32));
        parts.next().is_some_and(|media| media.eq_ignore_ascii_case("text/event-stream")) && !parts.any(is_refused)
    };
    // Some clients offer other protocols on each request: those are no WebSocket.
    *request.method() == Method::GET
        && !values(UPGRADE).any(|own| own.trim().eq_ignore_ascii_case("websocket"))
        && values(ACCEPT).any(is_event_source)
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(last) = headers.get("last-event-id") else { return Ok(None) };
    let is_number = |last: &&str| last.bytes().all(|byte| byte.is_ascii_digit());
    let last = last.to_str().ok().filter(is_number).and_then(|last| last.parse().ok());
    last.map(Some).ok_or_else(|| invalid("last-event-id", "Last-Event-ID must be the id of an event: a position"))
}

/// Reads which topics are asked for.
fn topics_of(query: &Query) -> Result<Topics, Problem> {
    match query.text("topics").map(Topics::parse) {
        None => Ok(Topics::ALL),
        Some(Ok(topics)) => Ok(topics),
        Some(Err(name)) => {
            let detail = format!("{name:?} is no topic; topics are: {}", Topics::names());
            Err(Problem::new(&codes::QUERY_INVALID).detail(detail).member("parameter", "topics"))
        }
    }
}

/// Waits until a value is as wanted. One whose owner is gone never is.
async fn told<T>(watched: &mut watch::Receiver<T>, is_wanted: impl FnMut(&T) -> bool) {
    if watched.wait_for(is_wanted).await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn is_too_far(position: Seq, head: Seq, limits: Limits) -> bool {
    limits.subscriber_lag_max < head.0.saturating_sub(position.0)
}
