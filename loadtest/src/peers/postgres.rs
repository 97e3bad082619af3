//! PostgreSQL as a peer: a cluster of its own on a socket in a temporary directory, with durability as it comes.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_postgres::{Client, Config, NoTls, Statement};

use super::{Measured, PeerError, WARM_UP_WAY, Way};
use crate::tally::Tally;
use crate::workload::{Order, Recipe, Workload};

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
        let has_programs = |dir: &PathBuf| ["initdb", "pg_ctl"].iter().all(|name| dir.join(name).is_file());
        let mut places: Vec<PathBuf> = match named {
            Some(named) => vec![named.to_path_buf()],
            None => std::env::var_os("PATH").iter().flat_map(std::env::split_paths).collect(),
        };
        if named.is_none()
            && let Ok(versions) = std::fs::read_dir("/usr/lib/postgresql")
        {
            places.extend(versions.flatten().map(|version| version.path().join("bin")));
        }
        places.into_iter().find(has_programs).map(|programs| Postgres { programs })
    }

    /// Books the purchases of a recipe on a new cluster, after others to warm it up.
    pub(super) async fn measure(&self, way: Way, warm_up: &Recipe, recipe: &Recipe) -> Result<Measured, PeerError> {
        let mut cluster = Cluster::create(self.programs.clone())?;
        cluster.start()?;
        let (first, driver) = cluster.connect().await?;
        first.batch_execute(SCHEMA).await?;
        drop(first);
        driver.abort();
        let (before, _) = cluster.book(WARM_UP_WAY, warm_up).await?;
        let (tally, elapsed) = cluster.book(way, recipe).await?;
        // Everything that was answered is there after the worst end.
        cluster.stop("immediate")?;
        cluster.start()?;
        let (client, driver) = cluster.connect().await?;
        let row = client.query_one(TOTALS, &[]).await?;
        driver.abort();
        let expected = [
            (before.booked + tally.booked) as i64,
            (before.amount + tally.amount) as i64,
            (before.points + tally.points) as i64,
            (before.points + tally.points) as i64,
        ];
        let found: [i64; 4] = [row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?];
        if found != expected {
            let difference =
                format!("purchases, their sum, balances and entries are {found:?}, its answers make {expected:?}");
            return Err(PeerError::Wrong { system: NAME, difference });
        }
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
            let owner = owner_of_programs();
            chown(dir.path(), owner, None).map_err(PeerError::Directory)?;
            std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o700))
                .map_err(PeerError::Directory)?;
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
        self.run("pg_ctl", &["-D", &data, "-w", "-t", "60", "-l", &log, "-o", &settings, "start"])?;
        self.is_started = true;
        Ok(())
    }

    fn stop(&mut self, mode: &str) -> Result<(), PeerError> {
        self.is_started = false;
        self.run("pg_ctl", &["-D", &self.data(), "-w", "-m", mode, "stop"])
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

    async fn connect(&self) -> Result<(Client, tokio::task::JoinHandle<()>), PeerError> {
        let mut config = Config::new();
        config.host_path(self.dir.path()).user(USER).dbname("postgres");
        let (client, connection) = config.connect(NoTls).await?;
        let driver = tokio::spawn(async move {
            // Its failure is what the call under way reports.
            let _ = connection.await;
        });
        Ok((client, driver))
    }

    /// Books everything, each connection its share in order, one call after the other.
    async fn book(&self, way: Way, recipe: &Recipe) -> Result<(Tally, Duration), PeerError> {
        let workload = Arc::new(Workload::new(recipe.clone()));
        let shares = workload.shares(way.connections());
        let mut clients = Vec::with_capacity(shares.len());
        for share in shares.into_iter().filter(|share| !share.is_empty()) {
            let (client, driver) = self.connect().await?;
            let statement = client.prepare(if way.batch == 1 { ONE } else { MANY }).await?;
            clients.push((share, client, driver, statement));
        }
        let begun = Instant::now();
        let mut connections = JoinSet::new();
        for (share, client, driver, statement) in clients {
            let workload = Arc::clone(&workload);
            connections.spawn(async move {
                let tally = book_share(&workload, &client, &statement, &share, way.batch as usize).await;
                drop(client);
                driver.abort();
                tally
            });
        }
        let mut tally = Tally::new().map_err(crate::run::RunError::from)?;
        while let Some(own) = connections.join_next().await {
            tally.add(own.map_err(crate::run::RunError::from)??);
        }
        Ok((tally, begun.elapsed()))
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

async fn book_share(
    workload: &Workload,
    client: &Client,
    statement: &Statement,
    share: &[Order],
    batch: usize,
) -> Result<Tally, PeerError> {
    let mut tally = Tally::new().map_err(crate::run::RunError::from)?;
    for orders in share.chunks(batch) {
        let made: Vec<_> = orders.iter().map(|order| workload.purchase(*order)).collect();
        let codes = vec![workload.promo(); made.len()];
        let begun = Instant::now();
        let points: Vec<Option<i64>> = match made.as_slice() {
            [own] if batch == 1 => {
                let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 7] =
                    [&own.origin_id, &own.customer, &own.amount, &own.quantity, &own.store, &codes[0], &own.at];
                vec![client.query_one(statement, &parameters).await?.try_get(0)?]
            }
            _ => {
                let ids: Vec<&str> = made.iter().map(|own| own.origin_id.as_str()).collect();
                let refs: Vec<&str> = made.iter().map(|own| own.customer.as_str()).collect();
                let amounts: Vec<i64> = made.iter().map(|own| own.amount).collect();
                let quantities: Vec<i64> = made.iter().map(|own| own.quantity).collect();
                let stores: Vec<&str> = made.iter().map(|own| own.store.as_str()).collect();
                let ats: Vec<Timestamp> = made.iter().map(|own| own.at).collect();
                let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 7] =
                    [&ids, &refs, &amounts, &quantities, &stores, &codes, &ats];
                client.query_one(statement, &parameters).await?.try_get(0)?
            }
        };
        tally.count_request(begun.elapsed());
        for (own, points) in made.iter().zip(points) {
            match points {
                Some(points) => {
                    tally.booked += 1;
                    tally.amount += i128::from(own.amount);
                    tally.points += i128::from(points);
                }
                None => tally.replayed += 1,
            }
        }
    }
    Ok(tally)
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// Finds the user that the programs are run as in place of root.
fn owner_of_programs() -> Option<u32> {
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    let own = users.lines().find_map(|line| line.strip_prefix(UNPRIVILEGED)?.strip_prefix(':'))?;
    own.split(':').nth(1)?.parse().ok()
}
