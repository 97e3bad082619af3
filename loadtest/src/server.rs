//! A server of Kembali that is started here: one process, on a port of this machine, on a ledger that whoever starts it names. It has the
//! rules of a file, and is killed when it is dropped.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};

use crate::client::{Address, Client, ClientError, Key};
use crate::totals::{Totals, TotalsError};

/// How long a server may take to start.
pub(crate) const START_TIME_MAX: Duration = Duration::from_secs(60);

/// The tenant that the rules of `api/demo/journey.toml` make, and a key of one of its partners.
pub(crate) const TENANT: &str = "journey";
const API_KEY: &str = "grocer-demo-key";
const TOKEN: &str = "loadtest-operator-token";
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How servers are started.
pub(crate) struct Program {
    path: PathBuf,
    address: Address,
}

/// A server that runs.
pub(crate) struct Server {
    process: Child,
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

    /// Starts a server on the ledger in `dir`, and waits until it is ready. What it says goes to a file beside the ledger.
    ///
    /// # Errors
    ///
    /// [`ServerError`].
    pub(crate) async fn start(&self, dir: &Path) -> Result<Server, ServerError> {
        let log = dir.with_extension("log");
        let lost = |source| ServerError::Log { path: log.clone(), source };
        let mut serve = self.command();
        serve.arg("serve").arg("--data-dir").arg(dir).args(["--listen", self.address.authority()]);
        serve.stderr(File::create(&log).map_err(lost)?);
        let begun = Instant::now();
        let mut process = serve.spawn().map_err(|source| self.failed_to_run(source))?;
        loop {
            let ready = Client::new(&self.address).is_ready().await;
            // Where it has ended, another server may have answered.
            if process.try_wait().map_err(|source| self.failed_to_run(source))?.is_some() {
                let said = std::fs::read_to_string(&log).map_err(lost)?.trim().to_owned();
                return Err(ServerError::Failed { program: self.name(), said });
            }
            match ready {
                Ok(()) => return Ok(Server { process, ready_after: begun.elapsed() }),
                Err(said) if START_TIME_MAX < begun.elapsed() => {
                    return Err(ServerError::Slow { program: self.name(), said: said.to_string() });
                }
                Err(_) => tokio::time::sleep(LOOK_EVERY).await,
            }
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
        let applied = apply.output().await.map_err(|source| self.failed_to_run(source))?;
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

    /// Kills a server and waits until it is gone.
    ///
    /// # Errors
    ///
    /// [`ServerError::Run`].
    pub(crate) async fn kill(&self, mut server: Server) -> Result<(), ServerError> {
        server.process.kill().await.map_err(|source| self.failed_to_run(source))
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
