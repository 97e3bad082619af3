//! A stream of purchases: chunks are booked in order, a few at a time, and answered in order as they become durable.
//!
//! The answer is pulled: while the caller does not read, nothing is rendered, no chunk is booked and nothing more is
//! read from the request. What is held at any time is a few chunks and their answers.

use std::pin::pin;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::Response;
use futures_util::future::{BoxFuture, Either, select};
use futures_util::stream::{FuturesOrdered, unfold};
use futures_util::{FutureExt as _, StreamExt as _};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use kembali_engine::{BookError, Booking, Caller, Engine, NotTaken, PurchaseRequest};
use tokio::time::timeout;

use super::lines::{BLANK_BYTES_MAX, Chunk, ChunkReader, StreamFault};
use super::{Answer, answer};
use crate::app::App;
use crate::body::Unpacker;
use crate::codes;
use crate::problem::Problem;
use crate::request_id::RequestId;
use crate::wire::purchase::parse;
use crate::wire::result::RenderError;

/// Chunks that are being booked at one time.
const CHUNKS_IN_FLIGHT_MAX: usize = 4;

/// Books the stream. Refuses as a whole only before the first line.
pub(super) async fn book(
    app: &App,
    caller: Caller,
    body: Body,
    unpacker: Unpacker,
    request_id: RequestId,
) -> Result<Response, Problem> {
    let mut stream = Stream {
        engine: app.engine.clone(),
        idle_max: app.limits.stream_idle_max,
        caller,
        request_id,
        reader: ChunkReader::new(body, unpacker),
        in_flight: FuturesOrdered::new(),
        waiting: None,
        ended: false,
        fault: None,
    };
    let Ok(read) = timeout(app.limits.stream_idle_max, stream.reader.next()).await else {
        return Err(Problem::new(&codes::REQUEST_TIMEOUT));
    };
    match read {
        Ok(Some(chunk)) => stream.submit(&chunk).map_err(Problem::from)?,
        Ok(None) => stream.ended = true,
        Err(StreamFault::Damaged(error)) => {
            return Err(Problem::new(&codes::CONTENT_ENCODING_INVALID).detail(error.to_string()));
        }
        Err(StreamFault::Broken(_)) => return Err(Problem::new(&codes::BODY_INCOMPLETE)),
        Err(StreamFault::TooBlank) => {
            return Err(Problem::new(&codes::BLANK_LINES_TOO_MANY).member("bytes_max", BLANK_BYTES_MAX));
        }
        Err(StreamFault::KeyRevoked) => return Err(Problem::new(&codes::API_KEY_UNKNOWN)),
    }
    let answers = unfold(Some(stream), |stream| async {
        let mut stream = stream?;
        match stream.next_answers().await {
            Ok(Some(bytes)) => Some((Ok(bytes), Some(stream))),
            Ok(None) => None,
            Err(fault) => {
                tracing::warn!(%fault, request_id = stream.request_id.as_str(), "a stream is broken off");
                // The connection writes what it was given whenever nothing more is there: else answers of what is booked
                // would be lost with the fault.
                tokio::task::yield_now().await;
                // The body ends without its end: the caller sees that the rest is unanswered.
                Some((Err(fault), None))
            }
        }
    });
    let mut response = Response::new(Body::from_stream(answers));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    Ok(response)
}

/// Why a stream is broken off.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Request(#[from] StreamFault),
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

/// What is to be answered for one line.
enum Place {
    /// The next booking.
    Booking,
    /// The line cannot be read.
    Problem(Box<Problem>),
}

type Booked = (Vec<Place>, Result<Vec<Booking>, BookError>);

struct Stream {
    engine: Engine,
    idle_max: Duration,
    caller: Caller,
    request_id: RequestId,
    reader: ChunkReader,
    in_flight: FuturesOrdered<BoxFuture<'static, Booked>>,
    /// A chunk for which there was no room. Nothing is read behind it.
    waiting: Option<Chunk>,
    ended: bool,
    fault: Option<StreamFault>,
}

impl Stream {
    /// Waits for the answers of the oldest chunk, and reads on meanwhile. `None` at the end.
    async fn next_answers(&mut self) -> Result<Option<Bytes>, Fault> {
        loop {
            let may_read = !self.ended && self.waiting.is_none() && self.in_flight.len() < CHUNKS_IN_FLIGHT_MAX;
            if self.in_flight.is_empty() {
                if let Some(chunk) = self.waiting.take() {
                    // It waits for room alone: a later chunk must never be submitted before it.
                    let (places, requests) = self.read(&chunk);
                    let bookings = self.engine.book(requests).await?;
                    return self.render(places, &bookings).map(Some);
                }
                if self.ended {
                    return self.fault.take().map_or(Ok(None), |fault| Err(fault.into()));
                }
                let read = timeout(self.idle_max, self.reader.next());
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
            // Both can be given up at any point: the reader keeps what it has gathered, the set its futures.
            let (booked, read) = {
                let read = pin!(self.reader.next());
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

    /// Takes what was read. A fault ends the stream once what was read before it is booked and answered.
    fn take(&mut self, read: Result<Option<Chunk>, StreamFault>) {
        // A stream may live for hours: the key that opened it may be revoked meanwhile.
        let admitted = if self.engine.is_admitted(self.caller) { Ok(()) } else { Err(StreamFault::KeyRevoked) };
        match admitted.and(read) {
            Ok(Some(chunk)) => self.submit_or_keep(chunk),
            Ok(None) => self.ended = true,
            Err(fault) => {
                self.ended = true;
                self.fault = Some(fault);
            }
        }
    }

    fn submit_or_keep(&mut self, chunk: Chunk) {
        if self.submit(&chunk).is_err() {
            self.waiting = Some(chunk);
        }
    }

    /// Submits a chunk behind those in flight, if there is room.
    fn submit(&mut self, chunk: &Chunk) -> Result<(), NotTaken> {
        let (places, requests) = self.read(chunk);
        if requests.is_empty() {
            self.in_flight.push_back(std::future::ready((places, Ok(Vec::new()))).boxed());
            return Ok(());
        }
        // It is under way from here on: chunks are booked in the order of these calls.
        let booked = self.engine.try_book(requests)?;
        self.in_flight.push_back(async move { (places, booked.await) }.boxed());
        Ok(())
    }

    fn read(&self, chunk: &Chunk) -> (Vec<Place>, Vec<PurchaseRequest>) {
        let (mut places, mut requests) = (Vec::new(), Vec::new());
        for line in chunk.lines() {
            let parsed = line.map_or_else(|| Err(Box::new(Problem::new(&codes::LINE_TOO_LARGE))), parse);
            places.push(match parsed {
                Ok((customer, purchase)) => {
                    requests.push(PurchaseRequest { caller: self.caller, customer, purchase, dry_run: false });
                    Place::Booking
                }
                Err(problem) => Place::Problem(problem),
            });
        }
        (places, requests)
    }

    fn render_booked(&self, (places, bookings): Booked) -> Result<Bytes, Fault> {
        self.render(places, &bookings?)
    }

    fn render(&self, places: Vec<Place>, bookings: &[Booking]) -> Result<Bytes, Fault> {
        let mut bookings = bookings.iter();
        let mut out = Vec::with_capacity(1024 * places.len());
        let mut result = Vec::with_capacity(1024);
        for place in places {
            let problem = match place {
                Place::Problem(problem) => problem,
                Place::Booking => {
                    result.clear();
                    match answer(&self.engine, &mut result, bookings.next().ok_or(Fault::TooFewAnswers)?, false)? {
                        Answer::Problem(problem) => problem,
                        Answer::Result { replayed, .. } => {
                            out.extend_from_slice(br#"{"status":201,"replayed":"#);
                            out.extend_from_slice(if replayed { b"true" } else { b"false" });
                            out.extend_from_slice(br#","result":"#);
                            out.extend_from_slice(&result);
                            out.extend_from_slice(b"}\n");
                            continue;
                        }
                    }
                }
            };
            out.extend_from_slice(format!(r#"{{"status":{},"replayed":"#, problem.code.status).as_bytes());
            out.extend_from_slice(if problem.replayed == Some(true) { b"true" } else { b"false" });
            out.extend_from_slice(br#","problem":"#);
            serde_json::to_writer(&mut out, &problem.with_id(&self.request_id))?;
            out.extend_from_slice(b"}\n");
        }
        Ok(Bytes::from(out))
    }
}
