//! Purchases of one caller, booked in the order in which they come, a few chunks at a time, and answered in that order as they become
//! durable. Knows neither where they come from nor how the answers are put together.
//!
//! It is pulled: while nobody asks for answers, no chunk is booked and nothing more is read. What is held at any time is a few
//! chunks and their answers.

use std::error::Error;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::{BoxFuture, Either, select};
use futures_util::stream::FuturesOrdered;
use futures_util::{FutureExt as _, StreamExt as _};
use kembali_core::purchase::Purchase;
use kembali_engine::{BookError, Booking, Caller, CustomerRef, Engine, NotTaken, PurchaseRequest};
use tokio::time::timeout;

use super::{Answer, answer};
use crate::app::App;
use crate::problem::Problem;
use crate::request_id::RequestId;
use crate::wire::result::RenderError;

/// Chunks that are being booked at one time.
const CHUNKS_IN_FLIGHT_MAX: usize = 4;

/// A purchase that was read, or what is wrong with it.
pub(super) type Parsed = Result<(CustomerRef, Purchase), Box<Problem>>;

/// Where purchases come from.
pub(super) trait Source: Send {
    /// What arrived together.
    type Chunk: Send + Sync;
    /// How the answers of a chunk are put together.
    type Shape: Send + 'static;
    /// Why nothing more comes.
    type Fault: Error + Send;

    /// Waits for what comes next and returns all that has arrived, up to a limit; `None` at the end. Dropping the future loses nothing.
    fn next(&mut self) -> impl Future<Output = Result<Option<Self::Chunk>, Self::Fault>> + Send;

    /// Reads what is in a chunk, one purchase after the other.
    fn read(chunk: &Self::Chunk, take: impl FnMut(Parsed)) -> Self::Shape;
}

/// Why purchases are taken no more.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault<F: Error> {
    #[error(transparent)]
    Source(F),
    #[error("the API key was revoked")]
    KeyRevoked,
    #[error("nothing came for too long")]
    Idle,
    #[error(transparent)]
    Book(#[from] BookError),
    #[error(transparent)]
    Render(#[from] RenderError),
    #[error("writing JSON")]
    Json(#[from] serde_json::Error),
    #[error("the engine answered fewer purchases than it was asked for")]
    TooFewAnswers,
}

/// The answers of a chunk, a line of JSON each.
pub(super) struct Answers<S> {
    pub(super) shape: S,
    pub(super) lines: Vec<u8>,
    /// Where each of them ends, its line feed included.
    pub(super) ends: Vec<usize>,
}

/// What is to be answered for one purchase.
enum Place {
    /// The next booking.
    Booking,
    /// It cannot be read.
    Problem(Box<Problem>),
}

type Booked<S> = (S, Vec<Place>, Result<Vec<Booking>, BookError>);

/// The purchases that are under way.
pub(super) struct Pipeline<S: Source> {
    engine: Engine,
    idle_max: Duration,
    caller: Caller,
    request_id: RequestId,
    source: S,
    in_flight: FuturesOrdered<BoxFuture<'static, Booked<S::Shape>>>,
    /// A chunk for which there was no room. Nothing is read behind it.
    waiting: Option<S::Chunk>,
    ended: bool,
    fault: Option<Fault<S::Fault>>,
}

impl<S: Source> Pipeline<S> {
    pub(super) fn new(app: &App, caller: Caller, request_id: RequestId, source: S) -> Pipeline<S> {
        Pipeline {
            engine: app.engine.clone(),
            idle_max: app.limits.stream_idle_max,
            caller,
            request_id,
            source,
            in_flight: FuturesOrdered::new(),
            waiting: None,
            ended: false,
            fault: None,
        }
    }

    pub(super) const fn request_id(&self) -> &RequestId {
        &self.request_id
    }

    pub(super) fn source(&mut self) -> &mut S {
        &mut self.source
    }

    pub(super) fn into_source(self) -> S {
        self.source
    }

    /// Reads nothing more: what is under way is answered, and then it ends.
    pub(super) const fn end(&mut self) {
        self.ended = true;
    }

    /// Waits for the answers of the oldest chunk, and reads on meanwhile. `None` at the end.
    pub(super) async fn next_answers(&mut self) -> Result<Option<Answers<S::Shape>>, Fault<S::Fault>> {
        loop {
            let may_read = !self.ended && self.waiting.is_none() && self.in_flight.len() < CHUNKS_IN_FLIGHT_MAX;
            if self.in_flight.is_empty() {
                if let Some(chunk) = self.waiting.take() {
                    // It waits for room alone: a later chunk must never be submitted before it.
                    let (shape, places, requests) = self.read(&chunk);
                    let bookings = self.engine.book(requests).await?;
                    return self.render(shape, places, &bookings).map(Some);
                }
                if self.ended {
                    return self.fault.take().map_or(Ok(None), Err);
                }
                let read = timeout(self.idle_max, self.source.next());
                let read = read.await.map_err(|_| Fault::Idle)?;
                self.take(read);
                continue;
            }
            if !may_read {
                if let Some(booked) = self.in_flight.next().await {
                    return self.render_booked(booked).map(Some);
                }
                continue;
            }
            // Both can be given up at any point: the source keeps what it has gathered, the set its futures.
            let (booked, read) = {
                let read = pin!(self.source.next());
                match select(self.in_flight.next(), read).await {
                    Either::Left((booked, _)) => (booked, None),
                    Either::Right((read, _)) => (None, Some(read)),
                }
            };
            if let Some(booked) = booked {
                return self.render_booked(booked).map(Some);
            }
            if let Some(read) = read {
                self.take(read);
            }
        }
    }

    /// Takes what was read. A fault ends it once what was read before is booked and answered.
    fn take(&mut self, read: Result<Option<S::Chunk>, S::Fault>) {
        // It may go on for hours: the key that opened it may be revoked meanwhile.
        let read =
            if self.engine.is_admitted(self.caller) { read.map_err(Fault::Source) } else { Err(Fault::KeyRevoked) };
        match read {
            Ok(Some(chunk)) => {
                if self.submit(&chunk).is_err() {
                    self.waiting = Some(chunk);
                }
            }
            Ok(None) => self.ended = true,
            Err(fault) => {
                self.ended = true;
                self.fault = Some(fault);
            }
        }
    }

    /// Submits a chunk behind those in flight, if there is room.
    ///
    /// # Errors
    ///
    /// [`NotTaken`]: nothing was done.
    pub(super) fn submit(&mut self, chunk: &S::Chunk) -> Result<(), NotTaken> {
        let (shape, places, requests) = self.read(chunk);
        if requests.is_empty() {
            self.in_flight.push_back(std::future::ready((shape, places, Ok(Vec::new()))).boxed());
            return Ok(());
        }
        // It is under way from here on: chunks are booked in the order of these calls.
        let booked = self.engine.try_book(requests)?;
        self.in_flight.push_back(async move { (shape, places, booked.await) }.boxed());
        Ok(())
    }

    fn read(&self, chunk: &S::Chunk) -> (S::Shape, Vec<Place>, Vec<PurchaseRequest>) {
        let (mut places, mut requests) = (Vec::new(), Vec::new());
        let shape = S::read(chunk, |parsed| {
            places.push(match parsed {
                Ok((customer, purchase)) => {
                    requests.push(PurchaseRequest { caller: self.caller, customer, purchase, dry_run: false });
                    Place::Booking
                }
                Err(problem) => Place::Problem(problem),
            });
        });
        (shape, places, requests)
    }

    fn render_booked(&self, (shape, places, bookings): Booked<S::Shape>) -> Result<Answers<S::Shape>, Fault<S::Fault>> {
        self.render(shape, places, &bookings?)
    }

    fn render(
        &self,
        shape: S::Shape,
        places: Vec<Place>,
        bookings: &[Booking],
    ) -> Result<Answers<S::Shape>, Fault<S::Fault>> {
        let mut bookings = bookings.iter();
        let mut out = Vec::with_capacity(1024 * places.len());
        let mut ends = Vec::with_capacity(places.len());
        for place in places {
            let start = out.len();
            let problem = match place {
                Place::Problem(problem) => Some(problem),
                Place::Booking => {
                    let booking = bookings.next().ok_or(Fault::TooFewAnswers)?;
                    let is_repeat = matches!(booking, Booking::Replayed { .. });
                    out.extend_from_slice(br#"{"status":201,"replayed":"#);
                    out.extend_from_slice(if is_repeat { b"true" } else { b"false" });
                    out.extend_from_slice(br#","result":"#);
                    match answer(&self.engine, &mut out, booking, false)? {
                        Answer::Problem(problem) => Some(problem),
                        Answer::Result { replayed, .. } => {
                            debug_assert_eq!(replayed, is_repeat);
                            None
                        }
                    }
                }
            };
            if let Some(problem) = problem {
                out.truncate(start);
                out.extend_from_slice(format!(r#"{{"status":{},"replayed":"#, problem.code.status).as_bytes());
                out.extend_from_slice(if problem.replayed == Some(true) { b"true" } else { b"false" });
                out.extend_from_slice(br#","problem":"#);
                serde_json::to_writer(&mut out, &problem.with_id(&self.request_id))?;
            }
            out.extend_from_slice(b"}\n");
            ends.push(out.len());
        }
        Ok(Answers { shape, lines: out, ends })
    }
}
