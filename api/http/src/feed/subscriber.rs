//! One subscriber by WebSocket: writes what its reader finds to its socket, and knows when to give up.
//!
//! The task holds one message at a time. Whatever it waits for (the socket, the next record, the client), it hears that
//! the server stops, and once it has caught up it hears that it has fallen too far behind.

use bytes::Bytes;
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use hyper::upgrade::OnUpgrade;
use kembali_core::Seq;
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::gauge::due;
use super::places::Place;
use super::reader::{Reader, Unreadable};
use super::{Subscription, is_too_far, told};
use crate::app::App;
use crate::codes;
use crate::config::Limits;
use crate::websocket::{Bounds, Socket, Text, close, opened, write_out};
use crate::wire::message::{ClientMessage, ControlMessage};

/// Bytes that a message of a client may have.
const INCOMING_BYTES_MAX: usize = 4 * 1024;
/// Bytes of pings, their answers and the farewell that wait for the socket at most.
const OUTGOING_BYTES_MAX: usize = 64 * 1024;
/// The close code of a subscriber that was too slow.
const TOO_SLOW: u16 = 4008;

/// A subscriber whose connection is about to become a WebSocket.
pub(crate) struct Subscriber {
    reader: Reader,
    durable: watch::Receiver<Seq>,
    limits: Limits,
    subscription: Subscription,
    upgrade: OnUpgrade,
    _place: Place,
}

impl Subscriber {
    pub(super) fn new(app: &App, subscription: Subscription, upgrade: OnUpgrade, place: Place) -> Subscriber {
        let Subscription { scope, topics, after, .. } = &subscription;
        let (reader, durable) = (Reader::new(app, *scope, *topics, *after), app.engine.watch_durable());
        Subscriber { reader, durable, limits: app.limits, subscription, upgrade, _place: place }
    }

    /// Serves until the client leaves, falls behind, or the server stops.
    pub(crate) async fn run(self, stopping: watch::Receiver<bool>) {
        let Subscriber { reader, durable, limits, subscription, upgrade, _place } = self;
        let bounds = Bounds { incoming_max: INCOMING_BYTES_MAX, outgoing_max: OUTGOING_BYTES_MAX, gathered_max: 0 };
        let Some(socket) = opened(upgrade, bounds).await else { return };
        let session = Session {
            socket,
            outgoing: None,
            reader,
            limits,
            subscription,
            stopping,
            durable,
            has_caught_up: false,
            quiet_since: Instant::now(),
            is_pinged: false,
        };
        session.run().await;
    }
}

/// Why a session ends.
#[derive(Debug)]
enum End {
    /// The connection is gone.
    Gone,
    /// The client sent a close frame.
    Left,
    /// The server stops.
    Stopping,
    /// The subscriber is too slow.
    TooSlow,
    /// The client broke the protocol.
    Broken(CloseCode, &'static str),
    /// The ledger cannot be read.
    Failed,
}

impl From<Error> for End {
    fn from(error: Error) -> End {
        match error {
            Error::Capacity(_) => End::Broken(CloseCode::Size, "a message is at most 4096 bytes"),
            Error::Protocol(_) | Error::AttackAttempt => End::Broken(CloseCode::Protocol, "the protocol is broken"),
            Error::Utf8(_) => End::Broken(CloseCode::Invalid, "text is UTF-8"),
            _ => End::Gone,
        }
    }
}

impl From<Unreadable> for End {
    fn from(_: Unreadable) -> End {
        End::Failed
    }
}

/// What ended a wait.
enum Next {
    Stop,
    Heard(Option<Result<Message, Error>>),
    Record,
    Gauge,
    Silence,
}

struct Session {
    socket: Socket,
    /// A message that is not written whole.
    outgoing: Option<Text>,
    /// Everything up to its position that is for this subscriber is written, or waits to be.
    reader: Reader,
    limits: Limits,
    subscription: Subscription,
    stopping: watch::Receiver<bool>,
    durable: watch::Receiver<Seq>,
    has_caught_up: bool,
    /// When something went over the connection last.
    quiet_since: Instant,
    /// A ping is the last thing that went over it.
    is_pinged: bool,
}

impl Session {
    async fn run(mut self) {
        let end = match self.serve().await {
            Ok(never) => match never {},
            Err(end) => end,
        };
        tracing::debug!(?end, position = self.reader.position().0, "a subscriber is done");
        let farewell_max = self.limits.subscriber_farewell_max;
        // Whoever does not read the farewell in time is cut off without it.
        let _ = timeout(farewell_max, self.say_farewell(&end)).await;
    }

    async fn serve(&mut self) -> Result<std::convert::Infallible, End> {
        let ready = std::mem::take(&mut self.subscription.ready);
        self.send(ready).await?;
        loop {
            let (head, position) = (*self.durable.borrow(), self.reader.position());
            if *self.stopping.borrow() {
                return Err(End::Stopping);
            }
            if let Some(code) = self.reader.ended() {
                return Err(End::Broken(CloseCode::Policy, code.title));
            }
            if self.has_caught_up && is_too_far(position, head, self.limits) {
                return Err(End::TooSlow);
            }
            // However slowly the client takes them, an event follows each.
            if let Some(watch) = &mut self.subscription.watch
                && let Some(gauge) = watch.take(head).await?
            {
                self.outgoing = Some(Text::new(gauge));
                self.flush().await?;
            }
            if head <= position {
                self.has_caught_up = true;
                self.wait().await?;
                continue;
            }
            // While there is much to send the client is heard too, a message at a time.
            if let Some(heard) = self.socket.next().now_or_never() {
                self.hear(heard).await?;
            }
            match self.reader.frame(head, self.subscription.batch_max).await? {
                Some(frame) => self.send(frame).await?,
                None => yield_now().await,
            }
        }
    }

    /// Waits until there is a new record; hears the client and keeps the connection alive meanwhile.
    async fn wait(&mut self) -> Result<(), End> {
        let position = self.reader.position();
        let gauge_at = self.subscription.watch.as_ref().and_then(|watch| watch.due(*self.durable.borrow()));
        let ping_at = self.quiet_since + self.limits.subscriber_ping_every;
        let next = tokio::select! {
            biased;
            () = told(&mut self.stopping, |stopping| *stopping) => Next::Stop,
            heard = self.socket.next() => Next::Heard(heard),
            () = told(&mut self.durable, |head| position < *head) => Next::Record,
            () = due(gauge_at) => Next::Gauge,
            () = sleep_until(ping_at) => Next::Silence,
        };
        match next {
            Next::Stop => Err(End::Stopping),
            Next::Heard(heard) => self.hear(heard).await,
            Next::Record | Next::Gauge => Ok(()),
            Next::Silence if self.is_pinged => Err(End::Gone),
            Next::Silence => {
                self.socket.feed(Message::Ping(Bytes::new())).await?;
                self.flush().await?;
                self.is_heard();
                self.is_pinged = true;
                Ok(())
            }
        }
    }

    async fn send(&mut self, text: String) -> Result<(), End> {
        self.outgoing = Some(Text::new(text));
        self.flush().await?;
        self.is_heard();
        Ok(())
    }

    /// Waits until the socket has taken everything.
    async fn flush(&mut self) -> Result<(), End> {
        let Session { socket, outgoing, durable, stopping, limits, reader, has_caught_up, .. } = self;
        let falls_behind = told(durable, |head| *has_caught_up && is_too_far(reader.position(), *head, *limits));
        let flushed = tokio::select! {
            biased;
            flushed = timeout(limits.subscriber_stall_max, write_out(socket, outgoing)) => flushed,
            () = falls_behind => return Err(End::TooSlow),
            () = told(stopping, |stopping| *stopping) => return Err(End::Stopping),
        };
        Ok(flushed.map_err(|_| End::TooSlow)??)
    }

    fn is_heard(&mut self) {
        self.quiet_since = Instant::now();
        self.is_pinged = false;
    }

    /// Answers what the client sent.
    async fn hear(&mut self, heard: Option<Result<Message, Error>>) -> Result<(), End> {
        self.is_heard();
        match heard {
            None => Err(End::Gone),
            Some(Err(error)) => Err(error.into()),
            Some(Ok(Message::Close(_))) => Err(End::Left),
            // The answer is queued already.
            Some(Ok(Message::Ping(_))) => self.flush().await,
            Some(Ok(Message::Pong(_) | Message::Frame(_))) => Ok(()),
            Some(Ok(Message::Text(text))) => self.send(answer(text.as_bytes())).await,
            Some(Ok(Message::Binary(_))) => self.send(ControlMessage::error(&codes::OPERATION_UNKNOWN).to_text()).await,
        }
    }

    /// Tells the client why it is over, and where to go on.
    async fn say_farewell(&mut self, end: &End) -> Result<(), Error> {
        if matches!(end, End::Gone) {
            return Ok(());
        }
        // What was cut off comes first.
        write_out(&mut self.socket, &mut self.outgoing).await?;
        let (code, reason) = match end {
            End::Gone | End::Left => (None, String::new()),
            End::Stopping => (Some(CloseCode::Away), "the server stops".to_owned()),
            End::TooSlow => {
                let resume_after = self.reader.position().0;
                let lag = ControlMessage::Lag { resume_after };
                self.socket.send(Message::text(lag.to_text())).await?;
                (Some(CloseCode::from(TOO_SLOW)), format!("resume_after={resume_after}"))
            }
            End::Broken(code, reason) => (Some(*code), (*reason).to_owned()),
            End::Failed => (Some(CloseCode::Error), "internal".to_owned()),
        };
        let frame = code.map(|code| CloseFrame { code, reason: reason.into() });
        close(&mut self.socket, frame, matches!(end, End::Broken(..))).await
    }
}

fn answer(text: &[u8]) -> String {
    match serde_json::from_slice::<ClientMessage>(text) {
        Ok(ClientMessage::Ping {}) => ControlMessage::Pong.to_text(),
        Err(fault) if fault.is_syntax() || fault.is_eof() => ControlMessage::error(&codes::MALFORMED_JSON).to_text(),
        Err(_) => ControlMessage::error(&codes::OPERATION_UNKNOWN).to_text(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_may_say() {
        assert_eq!(answer(br#"{"op":"ping"}"#), r#"{"op":"pong"}"#);
        for (text, code) in [
            ("", "malformed_json"),
            ("{", "malformed_json"),
            ("ping", "malformed_json"),
            ("[]", "operation_unknown"),
            ("{}", "operation_unknown"),
            (r#"{"op":"sub"}"#, "operation_unknown"),
            (r#"{"op":"ping","id":1}"#, "operation_unknown"),
            (r#"{"op":1}"#, "operation_unknown"),
        ] {
            assert!(
                answer(text.as_bytes()).contains(&format!(r#""code":"{code}""#)),
                "{text}: {}",
                answer(text.as_bytes())
            );
        }
    }
}
