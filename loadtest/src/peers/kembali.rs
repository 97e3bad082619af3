//! Kembali as one of those that are compared: a server started here, on a ledger of its own.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::{Measured, PeerError, START_TIME_MAX, WARM_UP_WAY, Way, all_booked};
use crate::client::{Address, Client, Key};
use crate::run::{self, Plan};
use crate::totals::Totals;
use crate::workload::{Recipe, Workload};

pub(super) const NAME: &str = "Kembali";

const TENANT: &str = "journey";
const API_KEY: &str = "grocer-demo-key";
const TOKEN: &str = "loadtest-operator-token";
const LOOK_EVERY: Duration = Duration::from_millis(100);
const RUN_TIME_MAX: Duration = Duration::from_secs(600);

pub(super) struct Kembali {
    program: PathBuf,
    rules: PathBuf,
    address: Address,
}

impl Kembali {
    pub(super) fn new(program: PathBuf, rules: PathBuf, port: u16) -> Result<Kembali, PeerError> {
        Ok(Kembali { program, rules, address: Address::parse(&format!("http://127.0.0.1:{port}"))? })
    }

    /// Books the purchases of a recipe on a new ledger, after others to warm it up.
    pub(super) async fn measure(&self, way: Way, warm_up: &Recipe, recipe: &Recipe) -> Result<Measured, PeerError> {
        let dir = TempDir::new().map_err(PeerError::Directory)?;
        let data = dir.path().join("ledger");
        let mut server = self.start(&data).await?;
        let key = Key::new(API_KEY, None)?;
        let plan = |way: Way| Plan {
            address: self.address.clone(),
            key: key.clone(),
            connections: way.connections(),
            batch: way.batch(),
            time_max: RUN_TIME_MAX,
            pace: None,
            window: None,
        };
        let warmed_up = run::run(Workload::new(warm_up.clone()), &plan(WARM_UP_WAY), None).await?;
        all_booked(NAME, warm_up, &warmed_up.tally)?;
        let before = self.totals().await?;
        let outcome = run::run(Workload::new(recipe.clone()), &plan(way), None).await?;
        all_booked(NAME, recipe, &outcome.tally)?;
        // Everything that was answered is there after a kill.
        server.kill().await.map_err(|source| self.failed_to_run(source))?;
        server = self.start(&data).await?;
        let after = self.totals().await?;
        // It is gone before its directory is.
        server.kill().await.map_err(|source| self.failed_to_run(source))?;
        match after.differences(&before, &outcome.tally).into_iter().next() {
            Some(difference) => Err(PeerError::Wrong { system: NAME, difference }),
            None => Ok(Measured { tally: outcome.tally, elapsed: outcome.elapsed, loyalty: after.loyalty }),
        }
    }

    async fn totals(&self) -> Result<Totals, PeerError> {
        Ok(Totals::read(&mut Client::new(&self.address), TENANT, TOKEN).await?)
    }

    /// Starts a server on a ledger, and waits until it has its rules. It ends with what is returned.
    async fn start(&self, dir: &Path) -> Result<Child, PeerError> {
        let log = dir.with_extension("log");
        let mut serve = self.command();
        serve.arg("serve").arg("--data-dir").arg(dir).args(["--listen", self.address.authority()]);
        serve.stderr(File::create(&log).map_err(PeerError::Directory)?);
        let mut server = serve.spawn().map_err(|source| self.failed_to_run(source))?;
        let begun = Instant::now();
        loop {
            let mut apply = self.command();
            apply.arg("apply").arg("--yes").arg(&self.rules);
            let applied = apply.stderr(Stdio::piped()).output().await.map_err(|source| self.failed_to_run(source))?;
            let program = self.program.display().to_string();
            // Where it has ended, another server may have answered.
            if server.try_wait().map_err(|source| self.failed_to_run(source))?.is_some() {
                let said = std::fs::read_to_string(&log).map_err(PeerError::Directory)?.trim().to_owned();
                return Err(PeerError::Failed { program, said });
            }
            if applied.status.success() {
                return Ok(server);
            }
            let said = String::from_utf8_lossy(&applied.stderr).trim().to_owned();
            if START_TIME_MAX < begun.elapsed() {
                return Err(PeerError::Slow { program, said });
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.env("KEMBALI_OPERATOR_TOKEN", TOKEN).env("KEMBALI_URL", format!("http://{}", self.address.authority()));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        command
    }

    fn failed_to_run(&self, source: std::io::Error) -> PeerError {
        PeerError::Run { program: self.program.display().to_string(), source }
    }
}
