//! Connections: accept, serve, and stop so that what is in flight is finished. What is served is in `service`.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use axum::Router;
use governor::clock::MonotonicClock;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use kembali_engine::Engine;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_io_timeout::TimeoutStream;

use crate::app::{App, router};
use crate::config::{Limits, ServerConfig};
use crate::feed::Switch;
use crate::partner_gate::PartnerGates;
use crate::people::People;
use crate::people::sessions::Peer;
use crate::replays::Replays;
use crate::service::serve;

/// How long to wait after the system refused a connection for want of something.
const ACCEPT_PAUSE: std::time::Duration = std::time::Duration::from_millis(50);

/// Why the server cannot listen.
#[derive(Debug, thiserror::Error)]
#[error("listening at {address}")]
pub struct BindError {
    /// Where.
    pub address: SocketAddr,
    /// What the system said.
    pub source: io::Error,
}

/// A server that listens and does not serve yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    local_addr: SocketAddr,
    engine: Engine,
    config: ServerConfig,
}

impl Server {
    /// Starts to listen. Connections wait until [`Server::run`].
    ///
    /// # Errors
    ///
    /// [`BindError`].
    pub fn bind(config: ServerConfig, engine: Engine) -> Result<Server, BindError> {
        let address = config.listen;
        let bind = || {
            let listener = TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            let local_addr = listener.local_addr()?;
            Ok((listener, local_addr))
        };
        let (listener, local_addr) = bind().map_err(|source| BindError { address, source })?;
        Ok(Server { listener, local_addr, engine, config })
    }

    /// Returns where the server listens, with the port that the system chose.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Serves until `shutdown` completes, then lets what is in flight finish, for a limited time.
    ///
    /// The engine is not stopped: that is the caller's business, afterwards.
    ///
    /// # Errors
    ///
    /// What the system says when the listener cannot be used, or that there is no key to sign tokens with.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let Server { listener, engine, config, .. } = self;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let people =
            People::start(&engine, config.registration, config.limits.people).await.map_err(io::Error::other)?;
        let app = App {
            people: Arc::new(people),
            started_at: engine.wall(),
            replays: Arc::new(Replays::new(config.limits.signatures_max)),
            partner_gates: Arc::new(PartnerGates::new(config.limits.partners, MonotonicClock)),
            key_uses: Arc::default(),
            engine,
            operator_token: config.operator_token.map(Arc::new),
            limits: config.limits,
            subscribers: Arc::new(Semaphore::new(config.limits.subscribers_max)),
            part_change: Arc::default(),
        };
        let router = router(app.clone());
        let room = Arc::new(Semaphore::new(config.limits.connections_max));
        let (stop, stopping) = watch::channel(false);
        let mut connections = JoinSet::new();
        let accept = async {
            loop {
                // With no room left nothing is accepted: callers wait in the system's queue.
                let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
                match listener.accept().await {
                    Ok((stream, peer)) => {
                        let peer = Peer(peer.ip());
                        let connection =
                            connection((stream, peer), app.clone(), router.clone(), stopping.clone(), permit);
                        connections.spawn(connection);
                    }
                    Err(error) => {
                        tracing::warn!(%error, "accepting a connection failed");
                        sleep(ACCEPT_PAUSE).await;
                    }
                }
                // Those that have ended are forgotten.
                while connections.try_join_next().is_some() {}
            }
        };
        tokio::select! {
            () = shutdown => (),
            () = accept => (),
        }
        drop(listener);
        finish(connections, &stop, config.limits).await;
        Ok(())
    }
}

/// Lets connections finish what they are at, then ends those that do not.
async fn finish(mut connections: JoinSet<()>, stop: &watch::Sender<bool>, limits: Limits) {
    stop.send_replace(true);
    let all_finished = async { while connections.join_next().await.is_some() {} };
    if timeout(limits.shutdown_time_max, all_finished).await.is_err() {
        tracing::warn!(connections = connections.len(), "connections are cut off");
        connections.shutdown().await;
    }
}

async fn connection(
    (stream, peer): (TcpStream, Peer),
    app: App,
    router: Router,
    mut stopping: watch::Receiver<bool>,
    _permit: OwnedSemaphorePermit,
) {
    // Answers are written whole; waiting to fill a packet would only delay them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "setting TCP_NODELAY");
    }
    // Who asks and never reads must not keep a place, nor the answers that wait for it, for ever.
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(app.limits.write_stall_max));
    let stream = Box::pin(stream);
    let head_time_max = app.limits.head_time_max;
    let switch = Switch::default();
    let service = service_fn(|request| {
        let (app, router, switch) = (&app, &router, &switch);
        async move { Ok::<_, Infallible>(serve(app, router, (switch, peer), request).await) }
    });
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(head_time_max)
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
    // It is no HTTP any more: the task goes on as the subscriber's, so that it counts and stops like any other.
    if let Some(subscriber) = switch.take() {
        subscriber.run(stopping).await;
    }
}
