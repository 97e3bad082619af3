//! `GET /v1/purchases/stream`: purchases by WebSocket, for partners that keep a connection.
//!
//! **From the client**, text: a purchase, or an array of up to 1,000 of them, as `POST /v1/purchases` takes them. As many frames as it
//! likes may be under way.
//!
//! **From the server**, text: `{"op":"ready","window":N}` first, then one frame for each of the client's, in order, as soon as it is
//! durable: what a stream answers to a line, or an array of that. More than about `window` bytes of purchases that are not answered
//! are not read, nor is anything while the client does not read: it is never refused for overload.
//!
//! **Afterwards.** Whatever was not answered may or may not be booked: the client sends it again, and gets the stored result.
//!
//! The signature of a key with a secret is that of the handshake: what comes over the connection is under it, and under TLS.

use std::pin::pin;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::future::{Either, select};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use hyper::Request;
use hyper::upgrade::OnUpgrade;
use kembali_engine::Caller;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::pipeline::{Answers, Fault, Parsed, Pipeline, Source};
use crate::app::App;
use crate::codes;
use crate::config::{BODY_BYTES_MAX, Limits};
use crate::parameters;
use crate::problem::Problem;
use crate::query::Query;
use crate::request_id::RequestId;
use crate::routes::Endpoint;
use crate::websocket::{Bounds, Socket, Switch, accept, close, opened};
use crate::wire::message::IngestReady;
use crate::wire::purchase::parse_text;

/// Purchases that a frame may hold, and after which a chunk takes no further frame: a few bytes of an array may stand for a thousand
/// answers.
pub(crate) const FRAME_PURCHASES_MAX: usize = 1_000;
/// Bytes of frames that are booked together.
const CHUNK_BYTES: usize = 256 * 1024;
/// Bytes of purchases that are under way at one time, about: four chunks, each of which may end with the largest frame.
const WINDOW_BYTES: usize = 4 * CHUNK_BYTES;
/// Bytes of answers that wait for the socket at most: of a frame with a thousand purchases, each of which may have many effects.
const OUTGOING_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes of answers that are written to the socket together: an answer each would be a call of the system each.
const GATHERED_BYTES_MAX: usize = 64 * 1024;

/// Checks a request for the socket and accepts the upgrade; the connection finds the session in `switch`.
pub(crate) fn open(
    app: &App,
    caller: Caller,
    mut request: Request<Body>,
    switch: &Switch,
    (request_id, permit): (&RequestId, Option<OwnedSemaphorePermit>),
) -> Result<Response, Problem> {
    let response = accept(&request)?;
    Query::parse(request.uri(), parameters::of(Endpoint::IngestSocket))?;
    let upgrade = hyper::upgrade::on(&mut request);
    let (app, request_id) = (app.clone(), request_id.clone());
    switch.put(Box::new(move |stopping| {
        async move {
            run(&app, caller, upgrade, request_id, stopping).await;
            drop(permit);
        }
        .boxed()
    }));
    Ok(response)
}

async fn run(
    app: &App,
    caller: Caller,
    upgrade: OnUpgrade,
    request_id: RequestId,
    mut stopping: watch::Receiver<bool>,
) {
    let bounds =
        Bounds { incoming_max: BODY_BYTES_MAX, outgoing_max: OUTGOING_BYTES_MAX, gathered_max: GATHERED_BYTES_MAX };
    let Some(socket) = opened(upgrade, bounds).await else { return };
    let (mut sink, stream) = socket.split();
    let mut pipeline =
        Pipeline::new(app, caller, request_id, Frames { stream, chunk: Vec::new(), bytes: 0, purchases: 0, end: None });
    let end = serve(&mut pipeline, &mut sink, app.limits, &mut stopping).await;
    tracing::debug!(?end, request_id = pipeline.request_id().as_str(), "purchases by WebSocket end");
    // Both are of one socket.
    let Ok(mut socket) = sink.reunite(pipeline.into_source().stream) else { return };
    let (frame, is_broken) = end.frame();
    // Whoever does not read the farewell in time is cut off without it.
    let _ = timeout(app.limits.subscriber_farewell_max, close(&mut socket, frame, is_broken)).await;
}

/// Why it ends.
#[derive(Debug)]
enum End {
    Gone,
    Left,
    Stopping,
    Fault(Fault<FrameFault>),
}

impl End {
    /// Says what the client is told, and whether it broke the protocol.
    fn frame(&self) -> (Option<CloseFrame>, bool) {
        let told = |code, reason: &str| Some(CloseFrame { code, reason: reason.to_owned().into() });
        match self {
            End::Gone | End::Left => (None, false),
            End::Stopping => (told(CloseCode::Away, "the server stops"), false),
            End::Fault(Fault::Source(FrameFault::Binary)) => (told(CloseCode::Unsupported, "purchases are text"), true),
            End::Fault(Fault::Source(FrameFault::TooLarge)) => {
                (told(CloseCode::Size, "a frame is at most 1048576 bytes"), true)
            }
            End::Fault(Fault::Source(FrameFault::Broken)) => {
                (told(CloseCode::Protocol, "the protocol is broken"), true)
            }
            End::Fault(Fault::KeyRevoked) => (told(CloseCode::Policy, codes::API_KEY_UNKNOWN.title), false),
            End::Fault(Fault::Idle) => (told(CloseCode::Policy, "nothing came for too long"), false),
            End::Fault(_) => (told(CloseCode::Error, "internal"), false),
        }
    }
}

impl From<Error> for End {
    fn from(_: Error) -> End {
        End::Gone
    }
}

async fn serve(
    pipeline: &mut Pipeline<Frames>,
    sink: &mut SplitSink<Socket, Message>,
    limits: Limits,
    stopping: &mut watch::Receiver<bool>,
) -> End {
    let ready = IngestReady { op: "ready", window: WINDOW_BYTES };
    if let Err(end) = write(sink, [ready.to_text().into()], limits).await {
        return end;
    }
    let mut is_stopping = false;
    loop {
        let answers = if is_stopping {
            pipeline.next_answers().await
        } else {
            let stop = pin!(stopping.wait_for(|stopping| *stopping));
            let answered = match select(pin!(pipeline.next_answers()), stop).await {
                Either::Left((answers, _)) => Some(answers),
                // Its owner is gone: that is a stop, too.
                Either::Right(_) => None,
            };
            match answered {
                Some(answers) => answers,
                None => {
                    // What was read is answered, and nothing more is.
                    is_stopping = true;
                    pipeline.end();
                    continue;
                }
            }
        };
        match answers {
            Ok(Some(answers)) => {
                if let Err(end) = write(sink, texts(answers), limits).await {
                    return end;
                }
            }
            Ok(None) if is_stopping => return End::Stopping,
            Ok(None) => return End::Left,
            Err(fault) => return End::Fault(fault),
        }
    }
}

/// Puts the answers of a chunk into one text for each frame of the client.
fn texts(answers: Answers<Vec<Shape>>) -> impl Iterator<Item = Utf8Bytes> {
    let Answers { shape, lines, ends } = answers;
    let (all, mut start) = (Bytes::from(lines), 0);
    let mut lines = ends.into_iter().map(move |end| all.slice(std::mem::replace(&mut start, end)..end - 1));
    shape.into_iter().map(move |shape| {
        let text = match shape {
            Shape::One => lines.next().unwrap_or_default(),
            Shape::Array(count) => {
                let own: Vec<Bytes> = lines.by_ref().take(count).collect();
                let mut array = Vec::with_capacity(2 + own.iter().map(|line| line.len() + 1).sum::<usize>());
                array.push(b'[');
                for (at, line) in own.iter().enumerate() {
                    if 0 < at {
                        array.push(b',');
                    }
                    array.extend_from_slice(line);
                }
                array.push(b']');
                array.into()
            }
        };
        Utf8Bytes::try_from(text).expect("answers are JSON")
    })
}

/// Writes all of them, and waits until the socket has taken them.
async fn write(
    sink: &mut SplitSink<Socket, Message>,
    texts: impl IntoIterator<Item = Utf8Bytes>,
    limits: Limits,
) -> Result<(), End> {
    let all = async {
        for text in texts {
            sink.feed(Message::Text(text)).await?;
        }
        sink.flush().await
    };
    // Who does not read for so long is not there any more.
    timeout(limits.write_stall_max, all).await.map_err(|_| End::Gone)?.map_err(End::from)
}

/// How a frame is answered.
#[derive(Debug)]
enum Shape {
    /// By one answer.
    One,
    /// By an array of so many.
    Array(usize),
}

/// Why no frame comes any more.
#[derive(Debug, thiserror::Error)]
enum FrameFault {
    #[error("a frame is not text")]
    Binary,
    #[error("a frame is too large")]
    TooLarge,
    #[error("the protocol is broken")]
    Broken,
}

/// Frames of a client, as many as have arrived.
struct Frames {
    stream: SplitStream<Socket>,
    /// What was gathered; kept here so that a read which is given up loses nothing.
    chunk: Vec<Utf8Bytes>,
    bytes: usize,
    purchases: usize,
    /// Nothing comes any more, and why.
    end: Option<Result<(), FrameFault>>,
}

impl Source for Frames {
    type Chunk = Vec<Utf8Bytes>;
    type Shape = Vec<Shape>;
    type Fault = FrameFault;

    async fn next(&mut self) -> Result<Option<Vec<Utf8Bytes>>, FrameFault> {
        loop {
            let is_full = CHUNK_BYTES <= self.bytes || FRAME_PURCHASES_MAX <= self.purchases;
            if !self.chunk.is_empty() && (is_full || self.end.is_some()) {
                return Ok(Some(self.hand_over()));
            }
            if let Some(end) = self.end.take() {
                return end.map(|()| None);
            }
            // What is there already is taken at once; only an empty chunk waits.
            let message = match self.stream.next().now_or_never() {
                Some(message) => message,
                None if !self.chunk.is_empty() => return Ok(Some(self.hand_over())),
                None => self.stream.next().await,
            };
            self.end = match message {
                Some(Ok(Message::Text(text))) => {
                    self.bytes += text.len();
                    self.purchases += count(&text);
                    self.chunk.push(text);
                    None
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => None,
                Some(Ok(Message::Binary(_))) => Some(Err(FrameFault::Binary)),
                Some(Ok(Message::Close(_))) | None => Some(Ok(())),
                Some(Err(Error::Capacity(_))) => Some(Err(FrameFault::TooLarge)),
                Some(Err(Error::Protocol(_) | Error::Utf8(_) | Error::AttackAttempt)) => Some(Err(FrameFault::Broken)),
                Some(Err(_)) => Some(Ok(())),
            };
        }
    }

    fn read(chunk: &Vec<Utf8Bytes>, mut take: impl FnMut(Parsed)) -> Vec<Shape> {
        let mut shapes = Vec::with_capacity(chunk.len());
        for text in chunk {
            if !text.trim_start().starts_with('[') {
                shapes.push(Shape::One);
                take(parse_text(text));
                continue;
            }
            match serde_json::from_str::<Vec<&RawValue>>(text) {
                Ok(purchases) if purchases.len() <= FRAME_PURCHASES_MAX => {
                    shapes.push(Shape::Array(purchases.len()));
                    purchases.iter().map(|purchase| parse_text(purchase.get())).for_each(&mut take);
                }
                Ok(_) => {
                    shapes.push(Shape::One);
                    let problem = Problem::new(&codes::BODY_TOO_LARGE)
                        .detail(format!("A frame holds at most {FRAME_PURCHASES_MAX} purchases."));
                    take(Err(Box::new(problem)));
                }
                Err(error) => {
                    shapes.push(Shape::One);
                    take(Err(Box::new(Problem::new(&codes::MALFORMED_JSON).detail(error.to_string()))));
                }
            }
        }
        shapes
    }
}

/// Counts what a frame is to be answered for; an empty one, and one that cannot be read, has a place all the same.
fn count(text: &str) -> usize {
    let is_array = text.trim_start().starts_with('[');
    let purchases = is_array.then(|| serde_json::from_str::<Vec<IgnoredAny>>(text).ok()).flatten();
    purchases.map_or(1, |purchases| purchases.len().max(1))
}

impl Frames {
    fn hand_over(&mut self) -> Vec<Utf8Bytes> {
        (self.bytes, self.purchases) = (0, 0);
        std::mem::take(&mut self.chunk)
    }
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn what_is_to_be_answered_is_counted() {
        for (text, expected) in [("{}", 1), ("", 1), ("[", 1), ("[]", 1), ("[1,2,{\"a\":[3,4]}]", 3), (" [{},{}]", 2)] {
            assert_eq!(count(text), expected, "{text}");
        }
        assert_eq!(count(&format!("[{}]", ["1"; 1_000].join(","))), 1_000);
    }
}
