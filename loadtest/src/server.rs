//! A server of Kembali that is started here: one process, on a port of this machine, on a ledger that whoever starts it names. It has the
//! rules of a file, and is killed when it is dropped.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use crate::client::{Address, Client, ClientError, Key};
use crate::decided::{DecidedAgain, decide_again};
use crate::totals::{Totals, TotalsError};

/// How long a server may take to start.
pub(crate) const START_TIME_MAX: Duration = Duration::from_secs(60);

/// The tenant that the rules of `api/demo/journey.toml` make, and a key of one of its partners.
pub(crate) const TENANT: &str = "journey";
const API_KEY: &str = "grocer-demo-key";
const TOKEN: &str = "loadtest-operator-token";
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// How long the word that it is ready may take.
const LOOK_TIME_MAX: Duration = Duration::from_secs(5);
/// Lines of a log that are shown.
const LINES_SHOWN_MAX: usize = 5;
/// The signal that a process is killed by.
const KILLED: i32 = 9;

/// How servers are started.
pub(crate) struct Program {
    path: PathBuf,
    address: Address,
}

/// A server that runs.
pub(crate) struct Server {
    process: Child,
    /// What it says, and what others said before it.
    log: PathBuf,
    /// From its start to its first word that it is ready.
    pub(crate) ready_after: Duration,
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerError {
    #[error("{program} cannot be run: {source}")]
    Run { program: String, source: io::Error },
    #[error("the log of the server cannot be kept in {}: {source}", path.display())]
    Log { path: PathBuf, source: io::Error },
    #[error("somebody listens at {authority} already; --port names another port")]
    Taken { authority: String },
    #[error("{program} had ended before it was killed ({status}): {said}")]
    Ended { program: String, status: std::process::ExitStatus, said: String },
    #[error("{program} failed: {said}")]
    Failed { program: String, said: String },
    #[error("{program} is not ready within {seconds} s: {said}", seconds = START_TIME_MAX.as_secs())]
    Slow { program: String, said: String },
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl Program {
    /// Takes the program at `path`, whose servers are to listen on `port` of this machine.
    ///
    /// # Errors
    ///
    /// Never with a port.
    pub(crate) fn new(path: PathBuf, port: u16) -> Result<Program, ClientError> {
        Ok(Program { path, address: Address::parse(&format!("http://127.0.0.1:{port}"))? })
    }

    /// Returns where its servers listen.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// Returns the key by which purchases are let in.
    ///
    /// # Errors
    ///
    /// Never: the key can stand in a header.
    pub(crate) fn key(&self) -> Result<Key, ClientError> {
        Key::new(API_KEY, None)
    }

    /// Starts a server on the ledger in `dir`, and waits until it is ready. What it says goes to the end of a file beside the ledger.
    ///
    /// # Errors
    ///
    /// [`ServerError`].
    pub(crate) async fn start(&self, dir: &Path) -> Result<Server, ServerError> {
        let log = dir.with_extension("log");
        let lost = |source| ServerError::Log { path: log.clone(), source };
        let mut serve = self.command();
        serve.arg("serve").arg("--data-dir").arg(dir).args(["--listen", self.address.authority()]);
        serve.stderr(OpenOptions::new().create(true).append(true).open(&log).map_err(lost)?);
        // A server listens only once it has recovered: until then another one would answer in its place.
        if self.address.connect().await.is_ok() {
            return Err(ServerError::Taken { authority: self.address.authority().to_owned() });
        }
        let begun = Instant::now();
        let mut process = serve.spawn().map_err(|source| self.failed_to_run(source))?;
        loop {
            let ready = tokio::time::timeout(LOOK_TIME_MAX, Client::new(&self.address).is_ready()).await;
            if process.try_wait().map_err(|source| self.failed_to_run(source))?.is_some() {
                return Err(ServerError::Failed { program: self.name(), said: said_last(&log)? });
            }
            let said = match ready {
                Ok(Ok(())) => return Ok(Server { process, log, ready_after: begun.elapsed() }),
                Ok(Err(error)) => error.to_string(),
                Err(_) => "it does not answer".to_owned(),
            };
            if START_TIME_MAX < begun.elapsed() {
                return Err(ServerError::Slow { program: self.name(), said });
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Gives the server that runs the rules of a file.
    ///
    /// # Errors
    ///
    /// [`ServerError`].
    pub(crate) async fn apply(&self, rules: &Path) -> Result<(), ServerError> {
        let mut apply = self.command();
        apply.arg("apply").arg("--yes").arg(rules).stderr(Stdio::piped());
        let applied = tokio::time::timeout(START_TIME_MAX, apply.output()).await;
        let slow = |_| ServerError::Slow { program: self.name(), said: "its rules are not applied".to_owned() };
        let applied = applied.map_err(slow)?.map_err(|source| self.failed_to_run(source))?;
        if applied.status.success() {
            return Ok(());
        }
        Err(ServerError::Failed {
            program: self.name(),
            said: String::from_utf8_lossy(&applied.stderr).trim().to_owned(),
        })
    }

    /// Reads the totals of [`TENANT`] from the server that runs.
    ///
    /// # Errors
    ///
    /// [`TotalsError`].
    pub(crate) async fn totals(&self) -> Result<Totals, TotalsError> {
        Totals::read(&mut Client::new(&self.address), TENANT, TOKEN).await
    }

    /// Has all purchases of [`TENANT`] decided again by the server that runs.
    ///
    /// # Errors
    ///
    /// [`TotalsError`].
    pub(crate) async fn decide_again(&self, totals: &Totals) -> Result<DecidedAgain, TotalsError> {
        decide_again(&mut Client::new(&self.address), (TENANT, TOKEN), totals).await
    }

    /// Kills a server and waits until it is gone.
    ///
    /// # Errors
    ///
    /// [`ServerError`]; one that had ended by itself is one, too.
    pub(crate) async fn kill(&self, mut server: Server) -> Result<(), ServerError> {
        // Where it has ended already, the status tells.
        let _ = server.process.start_kill();
        let status = server.process.wait().await.map_err(|source| self.failed_to_run(source))?;
        if status.signal() == Some(KILLED) {
            return Ok(());
        }
        Err(ServerError::Ended { program: self.name(), status, said: said_last(&server.log)? })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.env("KEMBALI_OPERATOR_TOKEN", TOKEN).env("KEMBALI_URL", format!("http://{}", self.address.authority()));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        command
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn failed_to_run(&self, source: io::Error) -> ServerError {
        ServerError::Run { program: self.name(), source }
    }
}

/// Returns the end of what servers said into a file.
fn said_last(log: &Path) -> Result<String, ServerError> {
    let said = std::fs::read(log).map_err(|source| ServerError::Log { path: log.to_path_buf(), source })?;
    let said = String::from_utf8_lossy(&said);
    let lines: Vec<&str> = said.trim().lines().rev().take(LINES_SHOWN_MAX).collect();
    Ok(lines.into_iter().rev().collect::<Vec<_>>().join("\n"))
}

/// Waits until this program is told to end, by the keyboard or by whoever started it.
///
/// # Errors
///
/// That cannot be heard.
pub(crate) async fn told_to_end() -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        told = tokio::signal::ctrl_c() => told,
        _ = terminate.recv() => Ok(()),
    }
}
