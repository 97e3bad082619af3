//! Purchases by WebSocket: one a frame, many under way on a connection, answered a frame each in order.
//!
//! Sending and reading go on side by side: a server that answers as it reads stops reading when its answers are not read.

use std::time::Instant;

use futures_util::{SinkExt as _, StreamExt as _};
use hyper::Method;
use hyper::body::Bytes;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::answer::{self, Answer};
use crate::client::{Address, Key};
use crate::run::RunError;

const PATH: &str = "/v1/purchases/stream";
/// Bytes that are read at one go. The room for them is filled with zeroes before each read, so a large one costs more than reading again.
const READ_BYTES: usize = 32 * 1024;
/// What the server says first begins so.
const READY: &str = r#"{"op":"ready""#;

/// Why a connection cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SocketError {
    #[error("the connection for purchases cannot be opened: {0}")]
    Open(Error),
    #[error("the connection for purchases does not begin with `ready`")]
    NotReady,
    #[error("the connection for purchases broke: {0}")]
    Broken(Error),
    #[error("the connection for purchases ended before all was answered: {0}")]
    Ended(String),
    #[error("a purchase is no text")]
    NoText,
    #[error("a mistake of this program: nobody reads the answers")]
    NoReader,
}

/// A connection that takes purchases.
pub(crate) struct PurchaseSocket(WebSocketStream<TcpStream>);

impl PurchaseSocket {
    /// Connects, and waits until the server is ready.
    ///
    /// # Errors
    ///
    /// [`RunError`].
    pub(crate) async fn connect(address: &Address, key: &Key) -> Result<PurchaseSocket, RunError> {
        let stream = address.connect().await?;
        let url = format!("ws://{}{PATH}", address.authority());
        let mut request = url.into_client_request().map_err(SocketError::Open)?;
        key.open((&Method::GET, PATH), b"", request.headers_mut())?;
        let config = WebSocketConfig::default().read_buffer_size(READ_BYTES);
        let opened = client_async_with_config(request, stream, Some(config)).await;
        let (mut socket, _) = opened.map_err(SocketError::Open)?;
        match socket.next().await {
            Some(Ok(Message::Text(text))) if text.starts_with(READY) => Ok(PurchaseSocket(socket)),
            _ => Err(SocketError::NotReady.into()),
        }
    }

    /// Sends frames as they come and reads their answers, with at most `window` of them under way.
    ///
    /// `next` makes the next purchase, when it may be sent and whose it is; `None` ends it. `see` gets each answer.
    ///
    /// # Errors
    ///
    /// [`RunError`].
    pub(crate) async fn exchange<O>(
        self,
        window: usize,
        mut next: impl FnMut() -> Option<Frame<O>>,
        mut see: impl FnMut(O, Instant, &Answer<'_>),
    ) -> Result<(), RunError> {
        let (mut sink, mut stream) = self.0.split();
        let room = &Semaphore::new(window);
        let (sent, mut under_way) = mpsc::channel(window);
        let send = async move {
            while let Some(Frame { text, due, order }) = next() {
                if let Some(due) = due.filter(|due| Instant::now() < *due) {
                    sink.flush().await.map_err(SocketError::Broken)?;
                    tokio::time::sleep_until(due.into()).await;
                }
                if room.available_permits() == 0 {
                    sink.flush().await.map_err(SocketError::Broken)?;
                }
                // The reader gives it back with the answer.
                room.acquire().await.map_err(|_| SocketError::NoReader)?.forget();
                let began = due.unwrap_or_else(Instant::now);
                sent.send((order, began)).await.map_err(|_| SocketError::NoReader)?;
                let text = Utf8Bytes::try_from(text).map_err(|_| SocketError::NoText)?;
                sink.feed(Message::Text(text)).await.map_err(SocketError::Broken)?;
            }
            sink.flush().await.map_err(SocketError::Broken)?;
            Ok::<_, RunError>(())
        };
        let read = async {
            while let Some((order, began)) = under_way.recv().await {
                let text = loop {
                    match stream.next().await {
                        Some(Ok(Message::Text(text))) => break text,
                        Some(Ok(Message::Ping(_) | Message::Pong(_))) => (),
                        Some(Err(error)) => return Err(SocketError::Broken(error).into()),
                        other => return Err(SocketError::Ended(format!("{other:?}")).into()),
                    }
                };
                see(order, began, &answer::of_line(text.as_bytes())?);
                room.add_permits(1);
            }
            Ok::<_, RunError>(())
        };
        tokio::try_join!(send, read).map(|_| ())
    }
}

/// A purchase to send.
pub(crate) struct Frame<O> {
    pub(crate) text: Bytes,
    /// When it is due, at a rate.
    pub(crate) due: Option<Instant>,
    pub(crate) order: O,
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::net::TcpListener;
    use tokio_tungstenite::accept_async;

    use super::*;

    type Server = WebSocketStream<TcpStream>;

    const READY_MESSAGE: &str = r#"{"op":"ready","window":1048576}"#;

    /// Sends so many frames, numbered, to a server that does as told. Returns the points of the answers with the numbers, and how many
    /// frames were made and not answered at most.
    async fn exchange<F: Future<Output = ()> + Send + 'static>(
        frames: u32,
        window: usize,
        server: impl FnOnce(Server) -> F + Send + 'static,
    ) -> Result<(Vec<(u32, i64)>, usize), RunError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = Address::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let served = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            server(accept_async(stream).await.unwrap()).await;
        });
        let socket = PurchaseSocket::connect(&address, &Key::new("key", None).unwrap()).await?;
        let (mut numbers, mut seen) = (0..frames, Vec::new());
        let (under_way, most) = (Cell::new(0_usize), Cell::new(0));
        let next = || {
            let order = numbers.next()?;
            under_way.update(|count| count + 1);
            most.set(most.get().max(under_way.get()));
            Some(Frame { text: order.to_string().into(), due: None, order })
        };
        let see = |order, _, answer: &Answer<'_>| {
            under_way.update(|count| count - 1);
            seen.push(match answer {
                Answer::Booked { result, .. } => (order, result.point_total),
                Answer::Refused { .. } => (order, -1),
            });
        };
        socket.exchange(window, next, see).await?;
        served.await.unwrap();
        Ok((seen, most.get()))
    }

    async fn hear(server: &mut Server) -> String {
        loop {
            if let Message::Text(text) = server.next().await.unwrap().unwrap() {
                return text.as_str().to_owned();
            }
        }
    }

    async fn say(server: &mut Server, text: &str) {
        server.send(Message::text(text)).await.unwrap();
    }

    fn answer(points: &str) -> String {
        format!(r#"{{"status":201,"replayed":false,"result":{{"origin_id":"a","amount":1,"point_total":{points}}}}}"#)
    }

    #[tokio::test]
    async fn answers_belong_to_frames_in_order_whatever_else_is_said() {
        let seen = exchange(3, 2, async |mut server: Server| {
            say(&mut server, READY_MESSAGE).await;
            for _ in 0..3 {
                let number = hear(&mut server).await;
                server.send(Message::Ping("x".into())).await.unwrap();
                let refused = r#"{"status":422,"replayed":false,"problem":{"code":"x"}}"#.to_owned();
                say(&mut server, &if number == "1" { refused } else { answer(&number) }).await;
            }
            // A server that goes before it has read the answers to its pings takes back what it said.
            while server.next().await.is_some_and(|heard| heard.is_ok()) {}
        });
        assert_eq!(seen.await.unwrap().0, [(0, 0), (1, -1), (2, 2)]);
    }

    #[tokio::test]
    async fn as_many_as_the_window_are_under_way() {
        const WINDOW: usize = 10;
        let seen = exchange(100, WINDOW, async |mut server: Server| {
            say(&mut server, READY_MESSAGE).await;
            for _ in 0..10 {
                let mut heard = Vec::new();
                for _ in 0..WINDOW {
                    heard.push(hear(&mut server).await);
                }
                for number in heard {
                    say(&mut server, &answer(&number)).await;
                }
            }
        });
        let (seen, most) = seen.await.unwrap();
        assert_eq!(seen, (0..100).map(|number| (number, i64::from(number))).collect::<Vec<_>>());
        // One more is made, and waits.
        assert_eq!(most, WINDOW + 1);
    }

    #[tokio::test]
    async fn a_server_that_is_not_ready_or_leaves_is_told() {
        let other = exchange(1, 1, async |mut server: Server| say(&mut server, r#"{"op":"error"}"#).await).await;
        assert!(matches!(other, Err(RunError::Socket(SocketError::NotReady))), "{other:?}");
        let left = exchange(2, 2, async |mut server: Server| {
            say(&mut server, READY_MESSAGE).await;
            hear(&mut server).await;
            server.close(None).await.unwrap();
        });
        let left = left.await;
        assert!(matches!(left, Err(RunError::Socket(SocketError::Ended(_) | SocketError::Broken(_)))), "{left:?}");
    }
}
