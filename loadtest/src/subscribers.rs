//! Subscribers of the event stream while purchases are sent: each counts what it is told, and what it should have been.
//!
//! All ask for the topic `purchase.accepted` in batches, by WebSocket, as an operator. Some may stall: they are told that the
//! stream begins, take nothing for a while, and then whatever there is; dropped, they go on where they were told to. Each must come to
//! exactly what was booked, each purchase once.

use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use hyper::header::{AUTHORIZATION, HeaderValue};
use memchr::memmem;
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::client::{Address, ClientError};

/// How long the start of the stream may take, and seeing what was booked once the run is over, and an answer.
const GRACE: Duration = Duration::from_secs(60);
/// Records that the server may tell of in one message.
const BATCH: u32 = 256;
/// Bytes that are read at one go. The room for them is filled with zeroes before each read, so a large one costs more than reading again.
const READ_BYTES: usize = 32 * 1024;
const SEQUENCE: &[u8] = br#""sequence":""#;
/// Digits of a position.
const SEQUENCE_DIGITS: usize = 20;

/// Who watches.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watching {
    pub(crate) subscribers: u32,
    /// More of them, which stall.
    pub(crate) stalled: u32,
    /// How long these take nothing.
    pub(crate) stall: Duration,
}

/// Why it is not known what subscribers saw.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SubscribeError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("the event stream cannot be opened: {0}")]
    Open(Error),
    #[error("the event stream does not begin with `ready`")]
    NotReady,
    #[error("the event stream did not begin, or answer, within {} s", GRACE.as_secs())]
    Silent,
    #[error("an event has no position")]
    NoPosition,
    #[error("position {later} comes behind position {earlier}")]
    OutOfOrder { earlier: u64, later: u64 },
    #[error("the event stream ended after {events} events: {why}")]
    Ended { events: u64, why: String },
    #[error("a subscriber failed by a mistake of this program: {0}")]
    Bug(#[from] tokio::task::JoinError),
}

/// What all subscribers were told.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Delivered {
    pub(crate) subscribers: u32,
    /// Of those together that did not stall.
    events: u64,
    bytes: u64,
    messages: u64,
    pub(crate) events_per_second: u64,
    /// How long after the last answer the last event came.
    behind_us: u64,
    pub(crate) stalled: u32,
    /// Stalled ones that were told where to go on.
    stalled_told: u32,
    /// Stalled ones that were cut off.
    stalled_dropped: u32,
    /// Those that did not see each purchase once, in words.
    #[serde(skip)]
    pub(crate) differences: Vec<String>,
}

/// Subscribers who are connected.
pub(crate) struct Subscribers {
    tasks: JoinSet<Result<Seen, SubscribeError>>,
    /// How many events each must see, once that is known.
    expected: watch::Sender<Option<u64>>,
    watching: Watching,
    began: Instant,
}

/// What one of them saw.
#[derive(Debug)]
struct Seen {
    is_stalled: bool,
    events: u64,
    bytes: u64,
    messages: u64,
    position: u64,
    at: Instant,
    /// Where a stalled one was told to go on.
    resume_after: Option<u64>,
    is_dropped: bool,
    /// All that was sent before its ping is seen.
    is_answered: bool,
}

/// The messages that are no events.
#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
enum Control {
    Ready { after: u64 },
    Pong,
    Lag { resume_after: u64 },
}

impl Subscribers {
    /// Connects them all, and waits until each is told that the stream begins.
    ///
    /// # Errors
    ///
    /// [`SubscribeError`].
    pub(crate) async fn connect(
        watching: Watching,
        address: &Address,
        tenant: &str,
        token: &str,
    ) -> Result<Subscribers, SubscribeError> {
        let (expected, expects) = watch::channel(None);
        let mut tasks = JoinSet::new();
        for number in 0..watching.subscribers + watching.stalled {
            let door = Door { address: address.clone(), tenant: tenant.to_owned(), token: token.to_owned() };
            let (socket, after) = door.connect(None).await?;
            let stall = (watching.subscribers <= number).then_some(watching.stall);
            let subscriber = Subscriber { door, socket, seen: Seen::new(stall.is_some(), after) };
            tasks.spawn(subscriber.run(stall, expects.clone()));
        }
        Ok(Subscribers { tasks, expected, watching, began: Instant::now() })
    }

    /// Waits until each has seen so many events, or for [`GRACE`].
    ///
    /// # Errors
    ///
    /// [`SubscribeError`].
    pub(crate) async fn finish(mut self, booked: u64) -> Result<Delivered, SubscribeError> {
        let over = Instant::now();
        self.expected.send_replace(Some(booked));
        let Watching { subscribers, stalled, .. } = self.watching;
        let mut all = Delivered { subscribers, stalled, ..Delivered::default() };
        let mut last = over;
        while let Some(seen) = self.tasks.join_next().await {
            let seen = seen??;
            if seen.events != booked {
                all.differences.push(format!("a subscriber saw {} of {booked} purchases", seen.events));
            }
            if seen.is_stalled {
                all.stalled_dropped += u32::from(seen.is_dropped);
                all.stalled_told += u32::from(seen.resume_after.is_some());
                continue;
            }
            all.events += seen.events;
            all.bytes += seen.bytes;
            all.messages += seen.messages;
            last = last.max(seen.at);
        }
        all.behind_us = u64::try_from(last.duration_since(over).as_micros()).unwrap_or(u64::MAX);
        all.events_per_second = crate::report::per_second(all.events, last.duration_since(self.began));
        Ok(all)
    }
}

impl Delivered {
    /// Writes the figures for a person.
    pub(crate) fn write(&self, out: &mut impl std::io::Write) -> std::io::Result<()> {
        writeln!(
            out,
            "events seen    {:>12} by {} subscribers, {} a second",
            self.events, self.subscribers, self.events_per_second
        )?;
        writeln!(out, "  in messages  {:>12} with {} bytes", self.messages, self.bytes)?;
        writeln!(out, "  behind       {:>12} us after the last answer", self.behind_us)?;
        writeln!(
            out,
            "stalled        {:>12} of which {} were told and {} dropped",
            self.stalled, self.stalled_told, self.stalled_dropped
        )
    }
}

type Socket = WebSocketStream<TcpStream>;

/// Where the stream is, and who asks.
struct Door {
    address: Address,
    tenant: String,
    token: String,
}

impl Door {
    /// Opens the stream, from now on or behind a position, and returns where it begins.
    async fn connect(&self, after: Option<u64>) -> Result<(Socket, u64), SubscribeError> {
        tokio::time::timeout(GRACE, self.open(after)).await.map_err(|_| SubscribeError::Silent)?
    }

    async fn open(&self, after: Option<u64>) -> Result<(Socket, u64), SubscribeError> {
        let stream = self.address.connect().await?;
        let after = after.map(|after| format!("&after={after}")).unwrap_or_default();
        let path = format!("/v1/stream?tenant={}&topics=purchase.accepted&batch={BATCH}{after}", self.tenant);
        let url = format!("ws://{}{path}", self.address.authority());
        let mut request = url.into_client_request().map_err(SubscribeError::Open)?;
        let token = HeaderValue::try_from(format!("Bearer {}", self.token)).map_err(|_| ClientError::Secret)?;
        request.headers_mut().insert(AUTHORIZATION, token);
        let config = WebSocketConfig::default().read_buffer_size(READ_BYTES);
        let opened = client_async_with_config(request, stream, Some(config)).await;
        let (mut socket, _) = opened.map_err(SubscribeError::Open)?;
        match socket.next().await {
            Some(Ok(Message::Text(text))) => match serde_json::from_str(&text) {
                Ok(Control::Ready { after }) => Ok((socket, after)),
                _ => Err(SubscribeError::NotReady),
            },
            _ => Err(SubscribeError::NotReady),
        }
    }
}

struct Subscriber {
    door: Door,
    socket: Socket,
    seen: Seen,
}

impl Subscriber {
    async fn run(
        mut self,
        stall: Option<Duration>,
        mut expected: watch::Receiver<Option<u64>>,
    ) -> Result<Seen, SubscribeError> {
        if let Some(stall) = stall {
            tokio::time::sleep(stall).await;
        }
        let mut expects = None;
        let mut until = tokio::time::Instant::now() + GRACE;
        while expects.is_none_or(|expects| self.seen.events < expects) {
            tokio::select! {
                message = self.socket.next() => self.hear(message).await?,
                Ok(()) = expected.changed() => {
                    expects = *expected.borrow_and_update();
                    until = tokio::time::Instant::now() + GRACE;
                }
                () = tokio::time::sleep_until(until), if expects.is_some() => return Ok(self.seen),
            }
        }
        // What was written once too often by now comes before the answer. What comes later is not seen.
        self.socket.send(Message::text(r#"{"op":"ping"}"#)).await.map_err(SubscribeError::Open)?;
        let answered = async {
            while !self.seen.is_answered {
                let message = self.socket.next().await;
                self.hear(message).await?;
            }
            Ok::<_, SubscribeError>(())
        };
        tokio::time::timeout(GRACE, answered).await.map_err(|_| SubscribeError::Silent)??;
        Ok(self.seen)
    }

    async fn hear(&mut self, message: Option<Result<Message, Error>>) -> Result<(), SubscribeError> {
        match message {
            Some(Ok(Message::Text(text))) => self.seen.see(text.as_bytes()),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(()),
            _ if self.seen.is_stalled && !self.seen.is_dropped => {
                self.seen.is_dropped = true;
                // One that was cut off without a word goes on behind what it saw, as any client would.
                let after = self.seen.resume_after.unwrap_or(self.seen.position);
                (self.socket, _) = self.door.connect(Some(after)).await?;
                Ok(())
            }
            other => Err(self.seen.ended(format!("{other:?}"))),
        }
    }
}

impl Seen {
    fn new(is_stalled: bool, position: u64) -> Seen {
        Seen {
            is_stalled,
            events: 0,
            bytes: 0,
            messages: 0,
            position,
            at: Instant::now(),
            resume_after: None,
            is_dropped: false,
            is_answered: false,
        }
    }

    fn ended(&self, why: String) -> SubscribeError {
        SubscribeError::Ended { events: self.events, why }
    }

    /// Counts the events of a message.
    fn see(&mut self, text: &[u8]) -> Result<(), SubscribeError> {
        if !text.starts_with(br#"{"op":"ev""#) {
            return match serde_json::from_slice(text) {
                Ok(Control::Lag { resume_after }) if self.is_stalled => {
                    self.resume_after = Some(resume_after);
                    Ok(())
                }
                Ok(Control::Pong) => {
                    self.is_answered = true;
                    Ok(())
                }
                _ => Err(self.ended(String::from_utf8_lossy(text).into_owned())),
            };
        }
        for at in memmem::find_iter(text, SEQUENCE) {
            let digits = text.get(at + SEQUENCE.len()..).and_then(|text| text.get(..SEQUENCE_DIGITS));
            let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
            let later = digits.ok_or(SubscribeError::NoPosition)?;
            if later <= self.position {
                return Err(SubscribeError::OutOfOrder { earlier: self.position, later });
            }
            self.position = later;
            self.events += 1;
        }
        self.bytes += text.len() as u64;
        self.messages += 1;
        self.at = Instant::now();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(position: u64) -> String {
        format!(r#"{{"sequence":"{position:020}"}}"#)
    }

    #[test]
    fn each_event_is_counted_once_and_in_order() {
        let mut seen = Seen::new(false, 6);
        seen.see(format!(r#"{{"op":"ev","seq":9,"events":[{},{}]}}"#, event(7), event(9)).as_bytes()).unwrap();
        assert_eq!((seen.events, seen.messages, seen.position), (2, 1, 9));
        let again = seen.see(format!(r#"{{"op":"ev","seq":9,"events":[{}]}}"#, event(9)).as_bytes());
        assert!(matches!(again, Err(SubscribeError::OutOfOrder { earlier: 9, later: 9 })));
        let lag = br#"{"op":"lag","resume_after":9}"#;
        assert!(matches!(seen.see(lag), Err(SubscribeError::Ended { events: 2, .. })));
        let mut stalled = Seen::new(true, 6);
        stalled.see(lag).unwrap();
        assert!(!stalled.is_answered);
        stalled.see(br#"{"op":"pong"}"#).unwrap();
        assert_eq!((stalled.resume_after, stalled.is_answered), (Some(9), true));
    }
}
