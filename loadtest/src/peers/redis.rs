//! Redis as a peer: a server of its own on a socket in a temporary directory, whose append-only file is synced before each answer.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisError, Script};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::session::{self, Session};
use super::{Measured, PeerError, START_TIME_MAX, WARM_UP_WAY, Way, all_booked, check, installed};
use crate::workload::{Purchase, Recipe};

pub(super) const NAME: &str = "Redis";

const PROGRAM: &str = "redis-server";
const LOOK_EVERY: Duration = Duration::from_millis(50);
const PROMO: &str = "promo:JOURNEY2017";
const PURCHASES: &str = "purchases";
const ENTRIES: &str = "entries";
/// How many purchases there are, their sum, what balances and entries come to, and what milestones paid.
const TOTALS: &str = "
    local amount, balance, entries, loyalty = 0, 0, 0, 0
    for _, what in ipairs(redis.call('HVALS', KEYS[1])) do
        amount = amount + tonumber(string.match(what, '^%S+ (%d+)'))
    end
    for _, entry in ipairs(redis.call('LRANGE', KEYS[2], 0, -1)) do
        local own, milestone = string.match(entry, '(%d+) (%d+)$')
        entries, loyalty = entries + own + milestone, loyalty + milestone
    end
    for _, customer in ipairs(redis.call('KEYS', 'customer:*')) do
        balance = balance + (redis.call('HGET', customer, 'balance') or 0)
    end
    return { redis.call('HLEN', KEYS[1]), amount, balance, entries, loyalty }";

pub(super) struct Redis {
    program: PathBuf,
}

impl Redis {
    /// Looks for the program, in a directory or where PATH says.
    pub(super) fn find(named: Option<&Path>) -> Option<Redis> {
        installed(named, &[PROGRAM], &[]).map(|dir| Redis { program: dir.join(PROGRAM) })
    }

    /// Books the purchases of a recipe on a new server, after others to warm it up.
    pub(super) async fn measure(&self, way: Way, warm_up: &Recipe, recipe: &Recipe) -> Result<Measured, PeerError> {
        let dir = TempDir::new().map_err(PeerError::Directory)?;
        let mut server = self.start(dir.path()).await?;
        let connect = async || RedisSession::connect(dir.path()).await;
        let (before, _) = session::book(WARM_UP_WAY, warm_up, connect).await?;
        let (tally, elapsed) = session::book(way, recipe, connect).await?;
        // Everything that was answered is there after a kill.
        let gone = |source| PeerError::Run { program: PROGRAM.to_owned(), source };
        server.kill().await.map_err(gone)?;
        server = self.start(dir.path()).await?;
        let found = totals(dir.path()).await?;
        server.kill().await.map_err(gone)?;
        all_booked(NAME, recipe, &tally)?;
        let [purchases, amount, balances, entries, loyalty] = found;
        check(NAME, [purchases, amount, balances, entries], (&before, &tally))?;
        Ok(Measured { tally, elapsed, loyalty: i128::from(loyalty) })
    }

    async fn start(&self, dir: &Path) -> Result<Child, PeerError> {
        let gone = |source| PeerError::Run { program: PROGRAM.to_owned(), source };
        let mut command = Command::new(&self.program);
        command.args(["--port", "0", "--save", "", "--appendonly", "yes", "--appendfsync", "always"]);
        // The file is not written anew meanwhile.
        command.args(["--auto-aof-rewrite-percentage", "0"]);
        command.arg("--dir").arg(dir).arg("--unixsocket").arg(dir.join("socket"));
        // It writes everything there.
        let log = dir.join("log");
        command.stdin(Stdio::null()).stdout(File::create(&log).map_err(PeerError::Directory)?);
        command.stderr(Stdio::null()).kill_on_drop(true);
        let mut server = command.spawn().map_err(gone)?;
        let begun = Instant::now();
        loop {
            let said = match ready(dir).await {
                Ok(()) => return Ok(server),
                Err(error) => error.to_string(),
            };
            if server.try_wait().map_err(gone)?.is_some() {
                let said = std::fs::read_to_string(&log).map_err(PeerError::Directory)?.trim().to_owned();
                return Err(PeerError::Failed { program: PROGRAM.to_owned(), said });
            }
            if START_TIME_MAX < begun.elapsed() {
                return Err(PeerError::Slow { program: PROGRAM.to_owned(), said });
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

async fn connect(dir: &Path) -> Result<MultiplexedConnection, RedisError> {
    let url = format!("redis+unix://{}", dir.join("socket").display());
    // The library gives up after half a second: an append-only file that is synced may take longer.
    let config = AsyncConnectionConfig::new().set_response_timeout(None);
    Client::open(url)?.get_multiplexed_async_connection_with_config(&config).await
}

/// Answers once the server has read its file.
async fn ready(dir: &Path) -> Result<(), RedisError> {
    let mut connection = connect(dir).await?;
    redis::cmd("HLEN").arg(PURCHASES).query_async::<i64>(&mut connection).await.map(|_| ())
}

async fn totals(dir: &Path) -> Result<[i64; 5], PeerError> {
    let mut connection = connect(dir).await?;
    Ok(Script::new(TOTALS).key(PURCHASES).key(ENTRIES).invoke_async(&mut connection).await?)
}

struct RedisSession {
    connection: MultiplexedConnection,
    script: Script,
}

impl RedisSession {
    async fn connect(dir: &Path) -> Result<RedisSession, PeerError> {
        Ok(RedisSession { connection: connect(dir).await?, script: Script::new(include_str!("redis.lua")) })
    }
}

impl Session for RedisSession {
    async fn book(&mut self, purchases: &[Purchase]) -> Result<Vec<Option<i64>>, PeerError> {
        let mut call = self.script.key(PROMO);
        call.key(PURCHASES).key(ENTRIES);
        for own in purchases {
            call.arg(&own.origin_id).arg(&own.customer).arg(own.amount).arg(own.quantity);
            call.arg(&own.store).arg(own.at.as_second());
        }
        Ok(call.invoke_async(&mut self.connection).await?)
    }
}
