//! The event stream as an event source (Server-Sent Events): the messages of the WebSocket, in an answer that does not end.
//!
//! An `ev` has its position as its id, so whoever comes again with `Last-Event-ID` goes on there; an id with no message keeps a quiet
//! connection open, moves that position on, and is how it is noticed that a client has left: so it comes soon. Nothing is queued here:
//! a message is made once the connection takes one, which keeps a few hundred KiB of them at most.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use http_body_util::StreamBody;
use hyper::body::Frame;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use kembali_core::Seq;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::gauge::{Watch, due};
use super::places::Place;
use super::reader::Reader;
use super::{Subscription, is_too_far, told};
use crate::app::App;
use crate::codes;
use crate::config::Limits;
use crate::wire::message::ControlMessage;

/// How soon a client comes again after the end, in milliseconds.
const RETRY_MS: u32 = 1_000;
/// How long nothing may be said. A client that has left is noticed by the second time that something is, and keeps a place until then.
const QUIET_MAX: Duration = Duration::from_secs(5);

/// Answers with what a subscription asks for, until its client leaves.
pub(super) fn respond(app: &App, subscription: Subscription, place: Place) -> Response {
    let Subscription { scope, topics, batch_max, after, ready, watch } = subscription;
    let source = Source {
        reader: Reader::new(app, scope, topics, after),
        batch_max,
        limits: app.limits,
        durable: app.engine.watch_durable(),
        stopping: app.stopping.clone(),
        // With an id: whoever is cut off before the first record comes again behind this position, not behind a later one.
        first: Some(format!("retry: {RETRY_MS}\nid: {}\ndata: {ready}\n\n", after.0)),
        watch,
        was_gauge: false,
        has_caught_up: false,
        is_over: false,
        _place: place,
    };
    let messages = stream::unfold(source, |mut source| async {
        let text = source.next().await?;
        Some((Ok::<_, Infallible>(Frame::data(Bytes::from(text))), source))
    });
    let mut response = Response::new(Body::new(StreamBody::new(messages)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    // Proxies that collect answers before they hand them on are asked not to.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

struct Source {
    reader: Reader,
    batch_max: u64,
    limits: Limits,
    durable: watch::Receiver<Seq>,
    stopping: watch::Receiver<bool>,
    /// What is said first.
    first: Option<String>,
    watch: Option<Watch>,
    /// What was said last were sums.
    was_gauge: bool,
    has_caught_up: bool,
    /// What was said last is the last.
    is_over: bool,
    _place: Place,
}

impl Source {
    /// Waits for what is to be said next; `None` is the end.
    async fn next(&mut self) -> Option<String> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        if self.is_over {
            return None;
        }
        let quiet_until = Instant::now() + self.limits.subscriber_ping_every.min(QUIET_MAX);
        loop {
            let (head, position) = (*self.durable.borrow(), self.reader.position());
            if *self.stopping.borrow() {
                return None;
            }
            if let Some(code) = self.reader.ended() {
                return Some(self.farewell(&ControlMessage::error(code)));
            }
            if self.has_caught_up && is_too_far(position, head, self.limits) {
                return Some(self.farewell(&ControlMessage::Lag { resume_after: position.0 }));
            }
            // However slowly the client takes them, an event follows each.
            let is_next_event = std::mem::take(&mut self.was_gauge) && position < head;
            if let Some(watch) = self.watch.as_mut().filter(|_| !is_next_event) {
                match watch.take(head).await {
                    // Without an id: nothing of what happens is told by it.
                    Ok(Some(gauge)) => {
                        self.was_gauge = true;
                        return Some(format!("data: {gauge}\n\n"));
                    }
                    Ok(None) => (),
                    Err(_) => return Some(self.farewell(&ControlMessage::error(&codes::INTERNAL))),
                }
            }
            if head <= position {
                self.has_caught_up = true;
                let gauge_at = self.watch.as_ref().and_then(|watch| watch.due(head));
                tokio::select! {
                    biased;
                    () = told(&mut self.stopping, |stopping| *stopping) => return None,
                    () = told(&mut self.durable, |head| position < *head) => (),
                    () = due(gauge_at) => (),
                    () = sleep_until(quiet_until) => return Some(format!("id: {}\n\n", position.0)),
                }
                continue;
            }
            match self.reader.frame(head, self.batch_max).await {
                Ok(Some(frame)) => return Some(format!("id: {}\ndata: {frame}\n\n", self.reader.position().0)),
                // Much that is somebody else's: the client is to notice that it goes on, and others get their turn.
                Ok(None) if quiet_until <= Instant::now() => {
                    return Some(format!("id: {}\n\n", self.reader.position().0));
                }
                Ok(None) => tokio::task::yield_now().await,
                Err(_) => return Some(self.farewell(&ControlMessage::error(&codes::INTERNAL))),
            }
        }
    }

    /// Says the last message.
    fn farewell(&mut self, message: &ControlMessage) -> String {
        self.is_over = true;
        format!("data: {}\n\n", message.to_text())
    }
}
