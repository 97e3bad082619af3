//! PostgreSQL as a peer: a cluster of its own on a socket in a temporary directory, with durability as it comes.

use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use jiff::Timestamp;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, NoTls, Statement};

use super::session::{self, Session};
use super::{Measured, PeerError, WARM_UP_WAY, Way, all_booked, check, installed};
use crate::workload::{Purchase, Recipe};

pub(super) const NAME: &str = "PostgreSQL";

const SCHEMA: &str = include_str!("postgres.sql");
const USER: &str = "kembali";
/// Who runs it where this program runs as root, which PostgreSQL does not.
const UNPRIVILEGED: &str = "postgres";
/// Room for a cache and for the log between checkpoints, for what is measured is booking. What is promised stays as it comes: `fsync`,
/// `synchronous_commit` and `full_page_writes` are on.
const SETTINGS: &str = "-c listen_addresses='' -c max_connections=200 -c shared_buffers=1GB -c wal_buffers=64MB \
                        -c max_wal_size=8GB -c checkpoint_timeout=30min";

pub(super) struct Postgres {
    programs: PathBuf,
}

impl Postgres {
    /// Looks for the programs, in a directory or where they usually are.
    pub(super) fn find(named: Option<&Path>) -> Option<Postgres> {
        let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        let usual: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
        installed(named, &["initdb", "pg_ctl"], &usual).map(|programs| Postgres { programs })
    }

    /// Books the purchases of a recipe on a new cluster, after others to warm it up.
    pub(super) async fn measure(&self, way: Way, warm_up: &Recipe, recipe: &Recipe) -> Result<Measured, PeerError> {
        let mut cluster = Cluster::create(self.programs.clone())?;
        cluster.start()?;
        let (first, driver) = cluster.connect().await?;
        first.batch_execute(SCHEMA).await?;
        drop(first);
        driver.abort();
        let connect = async || PostgresSession::connect(&cluster).await;
        let (before, _) = session::book(WARM_UP_WAY, warm_up, connect).await?;
        let (planner, driver) = cluster.connect().await?;
        planner.batch_execute("analyze").await?;
        driver.abort();
        let (tally, elapsed) = session::book(way, recipe, connect).await?;
        all_booked(NAME, recipe, &tally)?;
        // Everything that was answered is there after a kill.
        cluster.stop("immediate")?;
        cluster.start()?;
        let (client, driver) = cluster.connect().await?;
        let row = client.query_one(TOTALS, &[]).await?;
        driver.abort();
        check(NAME, [row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?], (&before, &tally))?;
        let loyalty: i64 = row.try_get(4)?;
        Ok(Measured { tally, elapsed, loyalty: i128::from(loyalty) })
    }
}

const TOTALS: &str = "select (select count(*) from purchase), (select sum(amount)::bigint from purchase), \
                      (select sum(balance)::bigint from customer), (select sum(transaction + loyalty)::bigint from entry), \
                      (select sum(loyalty)::bigint from entry)";

/// A cluster, which is stopped and removed at the end.
struct Cluster {
    programs: PathBuf,
    dir: TempDir,
    is_started: bool,
}

impl Cluster {
    fn create(programs: PathBuf) -> Result<Cluster, PeerError> {
        let dir = TempDir::new().map_err(PeerError::Directory)?;
        if is_root() {
            chown(dir.path(), unprivileged_user(), None).map_err(PeerError::Directory)?;
        }
        let cluster = Cluster { programs, dir, is_started: false };
        let data = cluster.data();
        cluster.run("initdb", &["-D", &data, "-A", "trust", "-U", USER, "--no-locale", "-E", "UTF8"])?;
        Ok(cluster)
    }

    fn data(&self) -> String {
        self.dir.path().join("data").display().to_string()
    }

    fn start(&mut self) -> Result<(), PeerError> {
        let (data, log) = (self.data(), self.dir.path().join("log").display().to_string());
        let settings = format!("-k {} {SETTINGS}", self.dir.path().display());
        // It may be there although this failed.
        self.is_started = true;
        self.run("pg_ctl", &["-D", &data, "-w", "-t", "60", "-l", &log, "-o", &settings, "start"])
    }

    fn stop(&mut self, mode: &str) -> Result<(), PeerError> {
        self.run("pg_ctl", &["-D", &self.data(), "-w", "-m", mode, "stop"])?;
        self.is_started = false;
        Ok(())
    }

    /// Runs one of the programs to its end.
    fn run(&self, program: &str, arguments: &[&str]) -> Result<(), PeerError> {
        let path = self.programs.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", UNPRIVILEGED, "--"]).arg(&path);
            command
        } else {
            Command::new(&path)
        };
        // The server that `pg_ctl` leaves behind would keep a pipe open.
        let said = self.dir.path().join("said");
        let (out, and) =
            std::fs::File::create(&said).and_then(|out| Ok((out.try_clone()?, out))).map_err(PeerError::Directory)?;
        command.args(arguments).stdin(Stdio::null()).stdout(out).stderr(and).current_dir("/");
        let status = command.status().map_err(|source| PeerError::Run { program: program.to_owned(), source })?;
        if status.success() {
            return Ok(());
        }
        let said = std::fs::read_to_string(&said).unwrap_or_default().trim().to_owned();
        Err(PeerError::Failed { program: program.to_owned(), said })
    }

    async fn connect(&self) -> Result<(Client, JoinHandle<()>), PeerError> {
        let mut config = Config::new();
        config.host_path(self.dir.path()).user(USER).dbname("postgres");
        let (client, connection) = config.connect(NoTls).await?;
        let driver = tokio::spawn(async move {
            // Its failure is what the call under way reports.
            let _ = connection.await;
        });
        Ok((client, driver))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.is_started {
            // It is thrown away.
            let _ = self.stop("immediate");
        }
    }
}

const ONE: &str = "select book($1, $2, $3, $4, $5, $6, $7)";
const MANY: &str = "select book_all($1, $2, $3, $4, $5, $6, $7)";

struct PostgresSession {
    client: Client,
    driver: JoinHandle<()>,
    one: Statement,
    many: Statement,
}

impl PostgresSession {
    async fn connect(cluster: &Cluster) -> Result<PostgresSession, PeerError> {
        let (client, driver) = cluster.connect().await?;
        let (one, many) = (client.prepare(ONE).await?, client.prepare(MANY).await?);
        Ok(PostgresSession { client, driver, one, many })
    }
}

impl Drop for PostgresSession {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Session for PostgresSession {
    async fn book(&mut self, purchases: &[Purchase]) -> Result<Vec<Option<i64>>, PeerError> {
        if let [own] = purchases {
            let Purchase { origin_id, customer, amount, quantity, store, promo, at } = own;
            let parameters: [&(dyn ToSql + Sync); 7] = [origin_id, customer, amount, quantity, store, promo, at];
            return Ok(vec![self.client.query_one(&self.one, &parameters).await?.try_get(0)?]);
        }
        let texts = |of: fn(&Purchase) -> &str| purchases.iter().map(of).collect::<Vec<_>>();
        let (ids, refs) = (texts(|own| &own.origin_id), texts(|own| &own.customer));
        let (stores, codes) = (texts(|own| &own.store), texts(|own| &own.promo));
        let amounts: Vec<i64> = purchases.iter().map(|own| own.amount).collect();
        let quantities: Vec<i64> = purchases.iter().map(|own| own.quantity).collect();
        let ats: Vec<Timestamp> = purchases.iter().map(|own| own.at).collect();
        let parameters: [&(dyn ToSql + Sync); 7] = [&ids, &refs, &amounts, &quantities, &stores, &codes, &ats];
        Ok(self.client.query_one(&self.many, &parameters).await?.try_get(0)?)
    }
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// Finds the number of [`UNPRIVILEGED`]. Where there is none, `runuser` says so.
fn unprivileged_user() -> Option<u32> {
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    let own = users.lines().find_map(|line| line.strip_prefix(UNPRIVILEGED)?.strip_prefix(':'))?;
    own.split(':').nth(1)?.parse().ok()
}
