//! The server: accept connections, and stop so that what is in flight is finished. One connection is in `connection`.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use governor::clock::MonotonicClock;
use kembali_engine::Engine;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::adapter::{Background, Stop};
use crate::app::{App, router};
use crate::config::{Limits, ServerConfig};
use crate::connection::{Shared, connection};
use crate::feed::{Gauges, Places, Tail};
use crate::outbox::Outboxes;
use crate::outgoing::Networks;
use crate::partner_gate::PartnerGates;
use crate::people::People;
use crate::people::sessions::Peer;
use crate::replays::Replays;
use crate::webhooks::{self, Poster};

/// How long to wait after the system refused a connection for want of something.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Pages of history that are read at one time.
const PAGES_MAX: usize = 8;
/// The server is crowded once it has fewer places left than one in so many.
const CROWDED_PART: usize = 4;
/// How many times faster a connection must say something then.
const CROWDED_HASTE: u32 = 6;

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
        let (stop, stopping) = watch::channel(false);
        let app = App {
            stopping: stopping.clone(),
            people: Arc::new(people),
            started_at: engine.wall(),
            replays: Arc::new(Replays::new(config.limits.signatures_max)),
            partner_gates: Arc::new(PartnerGates::new(config.limits.partners, MonotonicClock)),
            key_uses: Arc::default(),
            adapters: config.adapters.into(),
            engine,
            operator_token: config.operator_token.map(Arc::new),
            limits: config.limits,
            subscribers: Places::new(&config.limits),
            gauges: Arc::new(Gauges::new(&config.limits)),
            outboxes: Arc::new(Outboxes::with_lasting(config.beside.iter().flat_map(|own| own.outboxes()).collect())),
            poster: Arc::new(Poster::new(Networks::public_and(config.webhook_networks))),
            tail: Arc::new(Tail::new()),
            pages: Arc::new(Semaphore::new(PAGES_MAX)),
            part_change: Arc::default(),
        };
        let (router, tls) = (router(app.clone()), config.tls);
        let look = tls.clone().map(|tls| tokio::spawn(tls.keep_looking()));
        let mut connections = JoinSet::new();
        connections.spawn(webhooks::send(app.clone(), Stop::new(stopping.clone())));
        for adapter in app.adapters.iter().map(Arc::clone) {
            let background = Background::new(app.clone(), router.clone());
            if let Some(work) = adapter.work(background, Stop::new(stopping.clone())) {
                connections.spawn(work);
            }
        }
        for own in config.beside {
            connections.spawn(own.work(Background::new(app.clone(), router.clone()), Stop::new(stopping.clone())));
        }
        let shared = Arc::new(Shared { app, router, tls });
        let room = Arc::new(Semaphore::new(config.limits.connections_max));
        let accept = async {
            loop {
                // With no room left nothing is accepted: callers wait in the system's queue.
                let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
                let head_time_max = head_time(config.limits, room.available_permits());
                match listener.accept().await {
                    Ok((stream, peer)) => {
                        let peer = Peer(peer.ip());
                        let (shared, stopping) = (Arc::clone(&shared), stopping.clone());
                        connections.spawn(connection((stream, peer), shared, head_time_max, stopping, permit));
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
        if let Some(look) = look {
            look.abort();
        }
        finish(connections, &stop, config.limits).await;
        Ok(())
    }
}

/// Returns how long a connection may be silent. Where few places are left it is less: those who say nothing give way to others.
fn head_time(limits: Limits, places_left: usize) -> Duration {
    let is_crowded = places_left < limits.connections_max / CROWDED_PART;
    if is_crowded { limits.head_time_max / CROWDED_HASTE } else { limits.head_time_max }
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
