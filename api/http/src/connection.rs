//! One connection: TLS where there is a certificate, then HTTP/1.1 or HTTP/2, whichever the client chose while it shook hands. What
//! is served is in `service`.
//!
//! Nobody keeps a place by doing nothing: a handshake, the head of a request and the time between two are limited, and so is how
//! long nothing is taken of what is written.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use http_body_util::BodyExt as _;
use hyper::Request;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, interval, timeout};
use tokio_io_timeout::TimeoutStream;

use crate::app::App;
use crate::people::sessions::Peer;
use crate::service::serve;
use crate::tls::{Tls, is_http_2};
use crate::websocket::Switch;

/// Requests that a connection of HTTP/2 may have under way at one time.
const STREAMS_MAX: u32 = 32;
/// Bytes that a request may send before they are read; and all requests of a connection, so that one that is not read stops no other.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = STREAMS_MAX * STREAM_WINDOW;
/// Bytes that the heads of a request of HTTP/2 may have.
const HEADER_BYTES_MAX: u32 = 16 * 1024;
/// How long a connection of HTTP/2 that is told to end may take to say that it has read that.
const FAREWELL_MAX: Duration = Duration::from_secs(5);

/// How much of a body, and for how long, is read that nobody wants.
const LINGER_BYTES_MAX: usize = 32 * 1024 * 1024;
const LINGER_MAX: Duration = Duration::from_secs(10);

/// What every connection needs.
pub(crate) struct Shared {
    pub(crate) app: App,
    pub(crate) router: Router,
    pub(crate) tls: Option<Arc<Tls>>,
}

/// Where the requests of a connection come from, and how.
#[derive(Clone, Copy)]
pub(crate) struct Origin {
    pub(crate) peer: Peer,
    pub(crate) is_encrypted: bool,
    /// How long it may say nothing.
    head_time_max: Duration,
}

/// Serves a connection until it ends, or is told to.
pub(crate) async fn connection(
    (stream, peer): (TcpStream, Peer),
    shared: Arc<Shared>,
    head_time_max: Duration,
    mut stopping: watch::Receiver<bool>,
    _permit: OwnedSemaphorePermit,
) {
    // Answers are written whole; waiting to fill a packet would only delay them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "setting TCP_NODELAY");
    }
    // Who asks and never reads must not keep a place, nor the answers that wait for it, for ever.
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(shared.app.limits.write_stall_max));
    let stream = Box::pin(stream);
    let Some(tls) = &shared.tls else {
        let origin = Origin { peer, is_encrypted: false, head_time_max };
        return http_1(stream, origin, &shared, stopping).await;
    };
    let shaken = tokio::select! {
        shaken = timeout(head_time_max, tls.acceptor().accept(stream)) => shaken,
        _ = stopping.wait_for(|stopping| *stopping) => return,
    };
    let stream = match shaken {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%error, "a handshake failed"),
        Err(_) => return tracing::debug!("a handshake took too long"),
    };
    let origin = Origin { peer, is_encrypted: true, head_time_max };
    if is_http_2(stream.get_ref().1.alpn_protocol()) {
        http_2(stream, origin, shared, stopping).await;
    } else {
        http_1(stream, origin, &shared, stopping).await;
    }
}

async fn http_1(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    origin: Origin,
    shared: &Shared,
    mut stopping: watch::Receiver<bool>,
) {
    let switch = Switch::default();
    let service = service_fn(|request| {
        let switch = &switch;
        async move { Ok::<_, Infallible>(serve(&shared.app, &shared.router, (switch, origin), request).await) }
    });
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(origin.head_time_max)
            .half_close(true)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades()
    );
    let served = tokio::select! {
        served = connection.as_mut() => Some(served),
        // It is sent once; an error means that the server is gone, which stops too.
        _ = stopping.wait_for(|stopping| *stopping) => None,
    };
    let served = match served {
        Some(served) => served,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended");
        return;
    }
    // It is no HTTP any more: the task goes on as the session's, so that it counts and stops like any other.
    if let Some(session) = switch.take() {
        session(stopping).await;
    }
}

async fn http_2(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    origin: Origin,
    shared: Arc<Shared>,
    mut stopping: watch::Receiver<bool>,
) {
    let limits = shared.app.limits;
    let activity = Arc::new(Activity::new());
    let service = service_fn(|request: Request<Incoming>| {
        let (shared, under_way) = (Arc::clone(&shared), UnderWay::of(&activity));
        async move {
            // A connection of HTTP/2 is switched to nothing else: who asks for a WebSocket is told so.
            let request = request.map(|body| Lingering(Some(body)));
            let response = serve(&shared.app, &shared.router, (&Switch::default(), origin), request).await;
            Ok::<_, Infallible>(response.map(|body| Watched { body, under_way }))
        }
    });
    let mut connection = std::pin::pin!(
        http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(HEADER_BYTES_MAX)
            .serve_connection(TokioIo::new(Noted { stream, activity: Arc::clone(&activity) }), service)
    );
    let mut look = interval(origin.head_time_max);
    let end = loop {
        tokio::select! {
            served = connection.as_mut() => break End::Served(served),
            _ = stopping.wait_for(|stopping| *stopping) => break End::Stopping,
            _ = look.tick() => match activity.quiet() {
                (0, quiet) if origin.head_time_max <= quiet => break End::Idle,
                (_, quiet) if limits.stream_idle_max <= quiet => break End::Stuck,
                _ => (),
            },
        }
    };
    let served = match end {
        End::Served(served) => served,
        End::Stopping => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        End::Idle => {
            connection.as_mut().graceful_shutdown();
            let farewell = FAREWELL_MAX.min(origin.head_time_max);
            // What is written answers pings too, so it is no proof for ever.
            let until = Instant::now() + origin.head_time_max;
            loop {
                // Answers that are finished here may be on their way still, and requests have come before they knew.
                let moved_before = activity.moved();
                match timeout(farewell, connection.as_mut()).await {
                    Ok(served) => break served,
                    Err(_) if activity.moved() != moved_before && Instant::now() < until => (),
                    Err(_) if 0 < activity.quiet().0 && activity.quiet().1 < limits.stream_idle_max => (),
                    Err(_) => return tracing::debug!("a connection did not end when it was told to"),
                }
            }
        }
        End::Stuck => return tracing::debug!("nothing was taken of what is under way on a connection"),
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended");
    }
}

/// The body of a request of HTTP/2. Who gives it up before its end leaves a stream that is reset behind the answer, and some clients
/// throw the answer away then: so the rest is read and forgotten, as far as that is not asked too much.
struct Lingering(Option<Incoming>);

impl Drop for Lingering {
    fn drop(&mut self) {
        let Some(mut body) = self.0.take().filter(|body| !body.is_end_stream()) else { return };
        tokio::spawn(timeout(LINGER_MAX, async move {
            let mut left = LINGER_BYTES_MAX;
            while let Some(Ok(frame)) = body.frame().await {
                match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
                    Some(less) => left = less,
                    None => return,
                }
            }
        }));
    }
}

impl HttpBody for Lingering {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.0 {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}

/// Why a connection of HTTP/2 is served no more.
enum End {
    Served(hyper::Result<()>),
    Stopping,
    /// Nothing is under way.
    Idle,
    /// Something is, and nothing moves.
    Stuck,
}

/// What a connection of HTTP/2 is at: HTTP/1.1 has its own limits, this one has none between requests.
struct Activity {
    /// How many requests are under way, and since when nothing happened to any.
    requests: Mutex<(usize, Instant)>,
    /// Bytes that were written.
    written: AtomicU64,
}

impl Activity {
    fn new() -> Activity {
        Activity { requests: Mutex::new((0, Instant::now())), written: AtomicU64::new(0) }
    }

    fn moved(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Notes that something happened, and that so many more or fewer are under way.
    fn note(&self, change: isize) {
        let mut own = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        *own = (own.0.saturating_add_signed(change), Instant::now());
    }

    /// Returns how many are under way, and since when nothing happened.
    fn quiet(&self) -> (usize, Duration) {
        let own = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        (own.0, own.1.elapsed())
    }
}

/// A stream of which is noted what is written.
struct Noted<S> {
    stream: S,
    activity: Arc<Activity>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Noted<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Noted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if let Poll::Ready(Ok(written)) = polled {
            self.activity.written.fetch_add(written as u64, Ordering::Relaxed);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A request, until its answer is written or given up.
struct UnderWay(Arc<Activity>);

impl UnderWay {
    fn of(activity: &Arc<Activity>) -> UnderWay {
        activity.note(1);
        UnderWay(Arc::clone(activity))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.note(-1);
    }
}

/// A body whose parts are noted as they are taken.
struct Watched {
    body: Body,
    under_way: UnderWay,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if polled.is_ready() {
            self.under_way.0.note(0);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
