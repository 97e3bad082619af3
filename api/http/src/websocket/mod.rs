//! What is shared by every route that becomes a WebSocket: the handshake, the change of the connection, and its end.

mod handshake;
mod text;

use std::sync::{Mutex, PoisonError};

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncWriteExt as _, copy, sink};
use tokio::sync::watch;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};

pub(crate) use self::handshake::accept;
pub(crate) use self::text::{Text, write_out};

/// A connection that is a WebSocket.
pub(crate) type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// What becomes of a connection once HTTP is over; it hears when the server stops.
pub(crate) type Session = Box<dyn FnOnce(watch::Receiver<bool>) -> BoxFuture<'static, ()> + Send>;

/// Where a request leaves what its connection turns into.
#[derive(Default)]
pub(crate) struct Switch(Mutex<Option<Session>>);

impl Switch {
    pub(crate) fn put(&self, session: Session) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(session);
    }

    /// Takes the session, once HTTP is over.
    pub(crate) fn take(&self) -> Option<Session> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// What a WebSocket may hold, in bytes.
pub(crate) struct Bounds {
    /// Of a message of the client.
    pub(crate) incoming_max: usize,
    /// Of what waits for the connection, beside what is gathered.
    pub(crate) outgoing_max: usize,
    /// Of messages that are gathered before they are written without a flush; with 0 a message is on its way at once, or its writer waits.
    pub(crate) gathered_max: usize,
}

/// Waits until the connection is a WebSocket; `None` where it is gone.
pub(crate) async fn opened(upgrade: OnUpgrade, bounds: Bounds) -> Option<Socket> {
    let Bounds { incoming_max, outgoing_max, gathered_max } = bounds;
    let upgraded = upgrade.await.inspect_err(|error| tracing::debug!(%error, "an upgrade failed")).ok()?;
    let config = WebSocketConfig::default()
        .read_buffer_size(incoming_max.min(64 * 1024))
        .write_buffer_size(gathered_max)
        .max_write_buffer_size(outgoing_max + gathered_max)
        .max_message_size(Some(incoming_max))
        .max_frame_size(Some(incoming_max));
    Some(WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await)
}

/// Says why it is over, if there is something to say, and reads on until the client has heard it.
pub(crate) async fn close(socket: &mut Socket, frame: Option<CloseFrame>, is_broken: bool) -> Result<(), Error> {
    if let Some(frame) = frame {
        socket.close(Some(frame)).await?;
    }
    // Until the client's close frame has come and both are answered.
    while socket.next().await.transpose()?.is_some() {}
    let connection = socket.get_mut();
    connection.shutdown().await?;
    if is_broken {
        // What is left of the fault is read: a socket that is closed with something unread in it takes back what
        // the client has not read either.
        copy(connection, &mut sink()).await?;
    }
    Ok(())
}
