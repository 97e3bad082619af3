//! Adapters: they let clients of other systems talk to this one unchanged, under paths of their own.
//!
//! An adapter makes requests of the native API out of those that it gets, and answers of its own out of what comes back. So whoever
//! calls is asked for the same credentials, held by the same limits and refused by the same rules, and an adapter has none of its own.

use std::fmt;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http_body_util::BodyExt as _;
use hyper::Request;
use hyper::body::Bytes;
use kembali_core::catalogue::Catalogue;
use kembali_core::{CustomerId, Seq};
use kembali_engine::Engine;
use tokio::sync::watch;

use crate::app::App;
use crate::body::read_raw;
use crate::config::SMALL_BYTES_MAX;
use crate::feed::{self, Unreadable};
use crate::outbox::{Halt, Outboxes};
use crate::people::sessions::Peer;
use crate::problem::Problem;
use crate::request_id::RequestId;
use crate::service::dispatch;
use crate::websocket::Switch;
use crate::wire::event::{Audience, Events, Topics};

/// An answer that is under way.
pub type Answer<'a> = Pin<Box<dyn Future<Output = hyper::Response<Bytes>> + Send + 'a>>;

/// Work that goes on beside the requests.
pub type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Serves the paths of another system.
pub trait Adapter: fmt::Debug + Send + Sync + 'static {
    /// Returns true for a path that is this adapter's. None of them may be a native one.
    fn takes(&self, path: &str) -> bool;

    /// Serves a request, whose body is read and within the limits.
    fn serve<'a>(&'a self, request: Request<Bytes>, native: Native<'a>) -> Answer<'a>;

    /// Works on what does not come as requests, for as long as the server serves. It ends soon once it is told to stop.
    fn work(self: Arc<Self>, background: Background, stop: Stop) -> Option<Work> {
        drop((background, stop));
        None
    }
}

/// What works beside the requests, and serves none.
pub trait Beside: fmt::Debug + Send + Sync + 'static {
    /// The names of the outboxes that it works on, all the time.
    fn outboxes(&self) -> Vec<String>;

    /// Works for as long as the server serves. It ends soon once it is told to stop.
    fn work(self: Arc<Self>, background: Background, stop: Stop) -> Work;
}

/// What a record says.
#[derive(Debug)]
pub struct EventsOf {
    /// The rules of its version.
    pub rules: Arc<Catalogue>,
    /// Whom it is about.
    pub customer: Option<CustomerId>,
    /// Its public events, a JSON array of CloudEvents.
    pub events: String,
}

/// The native API for as long as it is needed: for work beside the requests, or by what outlives a borrowed one. It has no credentials
/// but those that it shows.
#[derive(Clone)]
pub struct Background {
    app: App,
    router: Router,
    peer: Peer,
    request_id: RequestId,
}

impl fmt::Debug for Background {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Background")
    }
}

impl Background {
    pub(crate) fn new(app: App, router: Router) -> Background {
        Background { app, router, peer: Peer(IpAddr::V4(Ipv4Addr::LOCALHOST)), request_id: RequestId::new() }
    }

    /// The native API, as whoever sent the request sees it; as this machine does, of work beside the requests.
    #[must_use]
    pub const fn native(&self) -> Native<'_> {
        Native { app: &self.app, router: &self.router, peer: self.peer, request_id: &self.request_id }
    }
}

/// Tells work to stop.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    pub(crate) const fn new(told: watch::Receiver<bool>) -> Stop {
        Stop(told)
    }

    /// Waits until the server stops. May be left at any time.
    pub async fn told(&mut self) {
        // Whoever would tell is gone: that is the end as well.
        let _ = self.0.wait_for(|is_told| *is_told).await;
    }
}

/// The native API, as whoever sent the request sees it.
#[derive(Clone, Copy)]
pub struct Native<'a> {
    app: &'a App,
    router: &'a Router,
    peer: Peer,
    request_id: &'a RequestId,
}

impl fmt::Debug for Native<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Native({:?})", self.peer)
    }
}

impl<'a> Native<'a> {
    /// Calls a route. The credentials are those that are shown in it. The answer is read whole: a stream of purchases must be so short
    /// that it may be, and the stream of events is not for this.
    pub async fn call(&self, request: Request<Bytes>) -> hyper::Response<Bytes> {
        let mut request = request.map(Body::from);
        request.extensions_mut().insert(self.peer);
        let (switch, mut rate) = (Switch::default(), None);
        let dispatched = dispatch(self.app, self.router, &switch, request, (self.request_id, &mut rate));
        let mut response = dispatched.await.unwrap_or_else(|problem| problem.into_http(self.request_id));
        if let Some(problem) = response.extensions_mut().remove::<Problem>() {
            response = problem.into_http(self.request_id);
        }
        let (head, body) = response.into_parts();
        match body.collect().await {
            Ok(body) => hyper::Response::from_parts(head, body.to_bytes()),
            // What is written in memory does not fail; a stream that is broken off is told as it is.
            Err(error) => {
                let (head, _) = Problem::internal(&error).into_http(self.request_id).into_parts();
                hyper::Response::from_parts(head, Bytes::new())
            }
        }
    }

    /// Where the request comes from.
    #[must_use]
    pub const fn peer(&self) -> IpAddr {
        self.peer.0
    }

    /// Reads the events of a durable record of a tenant that are of these topics, as its operators see them; `None` where there are none.
    /// For work of the server's own: it is asked for no credentials.
    ///
    /// # Errors
    ///
    /// [`Halt::Fault`], where the record cannot be read.
    ///
    /// # Panics
    ///
    /// If there is no such topic.
    pub async fn events_of(&self, tenant: &str, seq: Seq, topics: &str) -> Result<Option<EventsOf>, Halt> {
        let topics = Topics::parse(topics).unwrap_or_else(|name| panic!("{name} is no topic"));
        let fault = || Halt::Fault(format!("the record at {} cannot be read", seq.0));
        let record = feed::written((&self.app.engine, &self.app.tail), seq).await.map_err(|Unreadable| fault())?;
        let mut events = Events::default();
        if record.rules().slug != tenant {
            return Ok(None);
        }
        if !record.append_to(&mut events, (Audience::Operators, topics)).map_err(|_| fault())? {
            return Ok(None);
        }
        let (rules, customer) = (Arc::clone(record.rules()), record.record().body.customer);
        let events = events.array().map_err(|_| fault())?.get().to_owned();
        Ok(Some(EventsOf { rules, customer, events }))
    }

    /// Returns the outboxes that are at work.
    #[must_use]
    pub fn outboxes(&self) -> &'a Outboxes {
        &self.app.outboxes
    }

    /// Keeps it beyond the request.
    #[must_use]
    pub fn kept(&self) -> Background {
        let (app, router, request_id) = (self.app.clone(), self.router.clone(), self.request_id.clone());
        Background { app, router, peer: self.peer, request_id }
    }

    /// Returns the engine, to look rules up. What changes anything, or is somebody's, is asked of [`Native::call`].
    #[must_use]
    pub const fn engine(&self) -> &'a Engine {
        &self.app.engine
    }
}

/// Lets an adapter serve a request.
///
/// # Errors
///
/// What is wrong with its body.
pub(crate) async fn adapt(
    app: &App,
    router: &Router,
    adapter: &dyn Adapter,
    request: Request<Body>,
    request_id: &RequestId,
) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let peer = head.extensions.get::<Peer>().copied();
    let peer = peer.unwrap_or_else(|| unreachable!("every request says where it comes from"));
    let body = read_raw(body, SMALL_BYTES_MAX, app.limits.body_time_max).await?;
    let native = Native { app, router, peer, request_id };
    let response = adapter.serve(Request::from_parts(head, body.into()), native).await;
    Ok(response.map(Body::from).into_response())
}
