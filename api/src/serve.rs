//! `kembali serve`: the engine and the HTTP server in one process, until it is told to stop.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use kembali_adapters::{Dompet, KezBek, KezBekError, Loyaltea, Onetap};
use kembali_engine::{Engine, EngineConfig, Fault, ForgetError, StartError, StartReport, StopError};
use kembali_http::outgoing::RootsError;
use kembali_http::{Adapter, BindError, Secret, Server, ServerConfig, Tls, TlsError, WEBHOOK_ATTEMPTS_MAX};

use kembali_notify::{Mail, TransportError};

use crate::exit::Exit;
use crate::settings::Settings;

/// Why a server does not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    #[error("the runtime cannot be started: {0}")]
    Runtime(io::Error),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    KezBek(#[from] KezBekError),
    #[error("the marketplace cannot be spoken to: {0}")]
    Marketplace(#[from] RootsError),
    #[error("mail cannot be sent: {0}")]
    Mail(#[from] TransportError),
    #[error("what was mailed to other tenants' customers cannot be forgotten: {0}")]
    Forget(#[from] ForgetError),
    #[cfg(feature = "kafka")]
    #[error(transparent)]
    Kafka(#[from] kembali_adapters::KafkaStartError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("the server failed: {0}")]
    Run(io::Error),
    #[error(transparent)]
    Stop(#[from] StopError),
}

impl ServeError {
    /// Returns the exit code that this ends with.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            ServeError::Start(error) if error.is_damage() => Exit::Damage,
            ServeError::Stop(_) => Exit::DiskFault,
            _ => Exit::Failed,
        }
    }
}

/// Files that the ledger opens beside the connections, with room to spare: two generations, the archive, snapshots, a
/// copy at start, and what the runtime keeps.
const LEDGER_FILES: usize = 256;

/// A server that listens and is ready to run.
pub(crate) struct Ready {
    engine: Engine,
    server: Server,
    pub(crate) report: StartReport,
    pub(crate) address: SocketAddr,
}

/// Makes the runtime that everything of the network runs on.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, ServeError> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(ServeError::Runtime)
}

/// Opens the ledger, recovers, and listens. Must run on the runtime.
pub(crate) async fn open(settings: &Settings) -> Result<Ready, ServeError> {
    let tls = settings.tls.as_ref().map(|(certificate, key)| Tls::load(certificate, key)).transpose()?;
    let mut adapters: Vec<Arc<dyn Adapter>> = Vec::new();
    if let Some((tenant, encrypt_key)) = &settings.kezbek {
        adapters.push(Arc::new(KezBek::new(tenant.clone(), encrypt_key)?));
    }
    if let Some((tenant, marketplace)) = &settings.dompet {
        adapters.push(Arc::new(Dompet::new(tenant, marketplace.clone())?));
    }
    if settings.loyaltea {
        adapters.push(Arc::new(loyaltea(settings)?));
    }
    if !settings.onetap.is_empty() {
        adapters.push(Arc::new(Onetap::new(settings.onetap.clone())));
    }
    let config = EngineConfig {
        data_dir: settings.data_dir.clone(),
        shards: settings.shards,
        installation_key: settings.installation_key,
        secrets_key: settings.secrets_key,
        resident_max: settings.resident_max,
        generation_bytes_max: settings.generation_bytes,
        free_bytes: kembali_engine::free_bytes_of(&settings.data_dir),
        free_bytes_min: settings.free_bytes_min,
        clock: Arc::new(kembali_engine::now),
        monotonic: kembali_engine::monotonic(),
        on_fault: Box::new(end_after_fault),
    };
    // Recovery reads everything and blocks for as long as that takes.
    let started = tokio::task::spawn_blocking(move || Engine::start(config)).await;
    let (engine, report) = started.map_err(|error| ServeError::Runtime(io::Error::other(error)))??;
    let mut config = ServerConfig::new(settings.listen);
    // Sockets of notices are files as well, and those of webhooks.
    let beside = WEBHOOK_ATTEMPTS_MAX + if settings.onetap.is_empty() { 0 } else { Onetap::CLIENTS_MAX };
    config.limits.connections_max = connections_max(config.limits.connections_max, beside);
    config.limits.partners = settings.partners;
    config.limits.people = settings.people;
    config.tls = tls.map(Arc::new);
    config.adapters = adapters;
    let tenants = settings.mail.as_ref().map_or(&[][..], |mail| &mail.tenants);
    kembali_notify::forget_others(&engine, tenants).await?;
    if let Some(mail) = settings.mail.clone() {
        config.beside.push(Arc::new(Mail::new(mail)?));
    }
    config.webhook_networks = settings.webhook_networks.clone();
    config.registration = settings.registration.clone();
    config.operator_token = settings.operator_token.clone().map(Secret::new);
    let server = Server::bind(config, engine.clone())?;
    let address = server.local_addr();
    Ok(Ready { engine, server, report, address })
}

/// Makes the adapter of Loyaltea's clients, which takes events from Kafka too where that is set.
#[cfg(feature = "kafka")]
fn loyaltea(settings: &Settings) -> Result<Loyaltea, ServeError> {
    let Some(crate::settings::Kafka { brokers, keys, group }) = settings.loyaltea_kafka.clone() else {
        return Ok(Loyaltea::default());
    };
    Ok(Loyaltea::with_kafka(&kembali_adapters::KafkaConfig { brokers, keys, group })?)
}

#[cfg(not(feature = "kafka"))]
#[expect(clippy::unnecessary_wraps, reason = "with Kafka it may fail")]
fn loyaltea(_: &Settings) -> Result<Loyaltea, ServeError> {
    Ok(Loyaltea::default())
}

/// Lets the process open as many files as the system allows, and leaves room for those of the ledger: strangers who
/// hold connections must never keep the journal or the archive from opening a file.
fn connections_max(wanted: usize, beside: usize) -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let current = if setrlimit(Resource::Nofile, raised).is_ok() { limit.maximum } else { limit.current };
    let files = current.map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX));
    let fit = files.saturating_sub(LEDGER_FILES + beside).max(1);
    if fit < wanted {
        tracing::warn!("the system lets this process open {files} files: at most {fit} connections are taken");
    }
    fit.min(wanted)
}

impl Ready {
    /// Serves until `shutdown` is ready; what is in flight is finished first.
    pub(crate) async fn run(self, shutdown: impl Future<Output = ()> + Send + 'static) -> Result<(), ServeError> {
        self.server.run(shutdown).await.map_err(ServeError::Run)?;
        Ok(self.engine.stop().await?)
    }
}

/// After a fault nothing may be answered any more: the process ends at once, and the next start recovers.
#[expect(clippy::needless_pass_by_value, reason = "the engine hands its fault over")]
fn end_after_fault(fault: Fault) {
    use std::error::Error as _;
    let mut message = fault.to_string();
    let mut source = fault.source();
    while let Some(cause) = source {
        message = format!("{message}: {cause}");
        source = cause.source();
    }
    tracing::error!(
        "{message}. Nothing more is acknowledged, and what was acknowledged before is on disk. {}",
        if fault.is_damage() {
            "Restore what is damaged, then start again."
        } else {
            "See to the disk, then start again."
        }
    );
    let exit = if fault.is_damage() { Exit::Damage } else { Exit::DiskFault };
    std::process::exit(i32::from(exit as u8));
}

/// Begins to listen for the signals that tell the process to stop; the future is ready when one came. Must be called on
/// the runtime.
pub(crate) fn told_to_stop() -> impl Future<Output = ()> + Send + 'static {
    use tokio::signal::unix::{SignalKind, signal};
    let signals = [signal(SignalKind::interrupt()), signal(SignalKind::terminate())];
    async move {
        let waits = signals.into_iter().map(|signal| {
            Box::pin(async move {
                match signal {
                    Ok(mut signal) => drop(signal.recv().await),
                    // Without a handler the signal still ends the process; only the grace is lost.
                    Err(_) => std::future::pending().await,
                }
            })
        });
        futures_util::future::select_all(waits).await;
    }
}
