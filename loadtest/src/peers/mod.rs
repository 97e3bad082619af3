//! `loadtest peers`: the same purchases into Kembali, PostgreSQL and Redis, in turns on this machine, each on a server of its own that is
//! started here and killed before what it answered is counted again.

mod kembali;
mod postgres;
mod redis;
mod session;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use self::kembali::Kembali;
use self::postgres::Postgres;
use self::redis::Redis;
use crate::client::ClientError;
use crate::options::{OwnServer, runtime};
use crate::report::per_second;
use crate::run::RunError;
use crate::server::{START_TIME_MAX, ServerError, told_to_end};
use crate::tally::Tally;
use crate::totals::TotalsError;
use crate::workload::Recipe;
use crate::zipf::Skew;

/// Everything that a peer is told follows from it; that of the warm-up is another one.
const SEED: u64 = 7;
const WARM_UP_SEED: u64 = 6;
/// Purchases that each customer has booked before, on average: whoever is measured knows nearly all of them.
const WARM_UP_EACH: u64 = 3;
/// So many at least: the promo is used up by then.
const WARM_UP_MIN: u64 = 20_000;

#[derive(Args)]
pub(crate) struct Peers {
    /// Runs of each way of each system
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Purchases a run, sent in batches; a quarter of them singly
    #[arg(long, default_value_t = 400_000, value_parser = clap::value_parser!(u64).range(1_000..=10_000_000))]
    count: u64,
    /// Customers to draw from; each has bought three times before, on average
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    customers: u32,
    /// The exponent of Zipf's law: 0 makes all customers alike, 1 the first one twice as busy as the second
    #[arg(long, default_value = "0")]
    skew: Skew,
    /// Threads of this program
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    threads: u16,
    #[command(flatten)]
    server: OwnServer,
    /// Where PostgreSQL's initdb and pg_ctl are; without it, PATH and the places of Debian's packages are looked through
    #[arg(long, value_name = "DIRECTORY")]
    postgres: Option<PathBuf>,
    /// Where redis-server is; without it, PATH is looked through
    #[arg(long, value_name = "DIRECTORY")]
    redis: Option<PathBuf>,
}

/// Why there is no comparison.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PeerError {
    #[error("making a temporary directory: {0}")]
    Directory(io::Error),
    #[error("{program} cannot be run: {source}")]
    Run { program: String, source: io::Error },
    #[error("{program} failed: {said}")]
    Failed { program: String, said: String },
    #[error("{program} is not ready within {seconds} s: {said}", seconds = START_TIME_MAX.as_secs())]
    Slow { program: String, said: String },
    #[error("PostgreSQL: {0}")]
    Postgres(#[from] tokio_postgres::Error),
    #[error("Redis: {0}")]
    Redis(#[from] ::redis::RedisError),
    #[error("sending: {0}")]
    Send(#[from] RunError),
    #[error("{0}")]
    Client(#[from] ClientError),
    #[error("{0}")]
    Server(#[from] ServerError),
    #[error("reading totals: {0}")]
    Totals(#[from] TotalsError),
    #[error("{system} booked {booked} of {count} purchases")]
    Short { system: &'static str, booked: u64, count: u64 },
    #[error("{system} after it was killed and started again: {difference}")]
    Wrong { system: &'static str, difference: String },
    #[error("starting the threads: {0}")]
    Threads(io::Error),
    #[error("listening for an interrupt: {0}")]
    Signal(io::Error),
    #[error("interrupted")]
    Interrupted,
    #[error("writing the result: {0}")]
    Print(#[from] io::Error),
}

/// How purchases are sent.
#[derive(Clone, Copy, Debug)]
struct Way {
    name: &'static str,
    batch: u32,
    connections: u32,
    /// Of the purchases of a run, one in so many.
    part: u64,
}

const WAYS: [Way; 3] = [
    Way { name: "single", batch: 1, connections: 64, part: 4 },
    Way { name: "batches of 100", batch: 100, connections: 4, part: 1 },
    Way { name: "batches of 1,000", batch: 1_000, connections: 4, part: 1 },
];

/// How a system is warmed up.
const WARM_UP_WAY: Way = Way { name: "warm-up", batch: 1_000, connections: 4, part: 1 };

impl Way {
    fn connections(self) -> NonZeroU32 {
        NonZeroU32::new(self.connections).unwrap_or(NonZeroU32::MIN)
    }

    fn batch(self) -> NonZeroU32 {
        NonZeroU32::new(self.batch).unwrap_or(NonZeroU32::MIN)
    }
}

/// One of those that are compared.
enum System {
    Kembali(Kembali),
    Postgres(Postgres),
    Redis(Redis),
}

impl System {
    const fn name(&self) -> &'static str {
        match self {
            System::Kembali(_) => kembali::NAME,
            System::Postgres(_) => postgres::NAME,
            System::Redis(_) => redis::NAME,
        }
    }

    /// Books the purchases of a recipe on a new server, after others to warm it up.
    async fn measure(&self, way: Way, warm_up: &Recipe, recipe: &Recipe) -> Result<Measured, PeerError> {
        match self {
            System::Kembali(kembali) => kembali.measure(way, warm_up, recipe).await,
            System::Postgres(postgres) => postgres.measure(way, warm_up, recipe).await,
            System::Redis(redis) => redis.measure(way, warm_up, recipe).await,
        }
    }
}

/// What one run came to.
struct Measured {
    tally: Tally,
    elapsed: Duration,
    /// What milestones paid: it hangs on the purchases alone, so every system must come to the same.
    loyalty: i128,
}

impl Peers {
    /// Measures everything in turns, and writes each run and then the medians.
    ///
    /// # Errors
    ///
    /// [`PeerError`]. A peer that is not installed is none: it is left out, and that is said.
    pub(crate) fn run(self) -> Result<(), PeerError> {
        runtime(self.threads).map_err(PeerError::Threads)?.block_on(async {
            let mut out = io::stdout().lock();
            tokio::select! {
                done = self.compare(&mut out) => done,
                // What was started is stopped.
                told = told_to_end() => Err(told.err().map_or(PeerError::Interrupted, PeerError::Signal)),
            }
        })
    }

    async fn compare(&self, out: &mut impl Write) -> Result<(), PeerError> {
        let mut systems = self.systems(out)?;
        writeln!(out, "{:<18}{:<12}{:>12}{:>10}{:>10}  (us a request)", "way", "system", "purchases/s", "p50", "p99")?;
        let mut rates: BTreeMap<(usize, &'static str), Vec<u64>> = BTreeMap::new();
        for _ in 0..self.rounds {
            for (place, way) in WAYS.into_iter().enumerate() {
                let (warm_up, recipe) = (
                    self.recipe(WARM_UP_SEED, WARM_UP_MIN.max(WARM_UP_EACH * u64::from(self.customers))),
                    self.recipe(SEED, self.count / way.part),
                );
                let mut loyalties = Vec::new();
                for system in &systems {
                    let name = system.name();
                    let Measured { tally, elapsed, loyalty } = system.measure(way, &warm_up, &recipe).await?;
                    let (rate, latency) = (per_second(tally.answered(), elapsed), tally.latency());
                    writeln!(out, "{:<18}{name:<12}{rate:>12}{:>10}{:>10}", way.name, latency.p50, latency.p99)?;
                    out.flush()?;
                    rates.entry((place, name)).or_default().push(rate);
                    loyalties.push((name, loyalty));
                }
                same_work(&loyalties)?;
            }
            // Whoever came first comes last.
            systems.reverse();
        }
        let rounds = self.rounds;
        writeln!(out, "\nmedians of {rounds} (least to most), and how many times as many purchases Kembali books:")?;
        for (place, way) in WAYS.into_iter().enumerate() {
            let of = |name| rates.get(&(place, name)).map(|rates| Spread::of(rates));
            let Some(own) = of(kembali::NAME) else { continue };
            writeln!(out, "{:<18}{:<12}{own}", way.name, kembali::NAME)?;
            for name in [postgres::NAME, redis::NAME] {
                let Some(peer) = of(name) else { continue };
                let hundredths = 100 * own.median / peer.median.max(1);
                let (whole, rest) = (hundredths / 100, hundredths % 100);
                writeln!(out, "{:<18}{name:<12}{peer}  {whole}.{rest:02} times", way.name)?;
            }
        }
        Ok(())
    }

    /// Finds what is there to be compared, and says what is not.
    fn systems(&self, out: &mut impl Write) -> Result<Vec<System>, PeerError> {
        let kembali = Kembali::new(self.server.program()?, self.server.rules.clone());
        let mut systems = vec![System::Kembali(kembali)];
        match Postgres::find(self.postgres.as_deref()) {
            Some(postgres) => systems.push(System::Postgres(postgres)),
            None => writeln!(out, "PostgreSQL is left out: no initdb and pg_ctl (Debian's package is `postgresql`)")?,
        }
        match Redis::find(self.redis.as_deref()) {
            Some(redis) => systems.push(System::Redis(redis)),
            None => writeln!(out, "Redis is left out: no redis-server (Debian's package is `redis-server`)")?,
        }
        Ok(systems)
    }

    fn recipe(&self, seed: u64, count: u64) -> Recipe {
        Recipe {
            seed,
            count,
            customers: NonZeroU32::new(self.customers).unwrap_or(NonZeroU32::MIN),
            skew: self.skew,
            duplicates: 0,
            lines: 0,
            promo: "JOURNEY2017".to_owned(),
            start: "2017-07-01T00:00:00Z".parse().unwrap_or_default(),
            step_ms: 100,
        }
    }
}

/// Finds the directory that has programs: the one that is named, or the first of those in PATH and the usual ones.
fn installed(named: Option<&Path>, programs: &[&str], usual: &[PathBuf]) -> Option<PathBuf> {
    let mut places: Vec<PathBuf> = match named {
        Some(named) => vec![named.to_path_buf()],
        None => std::env::var_os("PATH").iter().flat_map(std::env::split_paths).collect(),
    };
    if named.is_none() {
        places.extend_from_slice(usual);
    }
    places.into_iter().find(|dir| programs.iter().all(|name| dir.join(name).is_file()))
}

/// Checks that a run was a whole one.
fn all_booked(system: &'static str, recipe: &Recipe, tally: &Tally) -> Result<(), PeerError> {
    if tally.booked == recipe.count {
        return Ok(());
    }
    Err(PeerError::Short { system, booked: tally.booked, count: recipe.count })
}

/// Checks that a peer has what it answered: how many purchases, their sum, what balances and what entries come to.
fn check(system: &'static str, found: [i64; 4], (before, tally): (&Tally, &Tally)) -> Result<(), PeerError> {
    let points = before.points + tally.points;
    let expected = [i128::from(before.booked + tally.booked), before.amount + tally.amount, points, points];
    let found = found.map(i128::from);
    if found == expected {
        return Ok(());
    }
    let difference = format!("purchases, their sum, balances and entries are {found:?}, its answers make {expected:?}");
    Err(PeerError::Wrong { system, difference })
}

/// Checks that all did the same work.
fn same_work(loyalties: &[(&'static str, i128)]) -> Result<(), PeerError> {
    for own in loyalties.windows(2) {
        if let [(one, first), (system, second)] = own
            && first != second
        {
            let difference = format!("its milestones paid {second}, those of {one} {first}");
            return Err(PeerError::Wrong { system, difference });
        }
    }
    Ok(())
}

/// The middle of some rates, and how far they are apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Spread {
    median: u64,
    least: u64,
    most: u64,
}

impl Spread {
    fn of(rates: &[u64]) -> Spread {
        let mut sorted = rates.to_vec();
        sorted.sort_unstable();
        let at = |index: usize| sorted.get(index).copied().unwrap_or(0);
        Spread {
            median: at(sorted.len().saturating_sub(1) / 2),
            least: at(0),
            most: at(sorted.len().saturating_sub(1)),
        }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{:>12} ({} to {})", self.median, self.least, self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_one_is_the_median() {
        assert_eq!(Spread::of(&[5, 1, 9]), Spread { median: 5, least: 1, most: 9 });
        assert_eq!(Spread::of(&[4, 2]), Spread { median: 2, least: 2, most: 4 });
        assert_eq!(Spread::of(&[3]).to_string(), "           3 (3 to 3)");
    }

    #[test]
    fn other_work_is_told() {
        assert!(same_work(&[("a", 5)]).is_ok() && same_work(&[("a", 5), ("b", 5)]).is_ok());
        let wrong = same_work(&[("a", 5), ("b", 6)]).unwrap_err().to_string();
        assert!(wrong.contains("milestones paid 6, those of a 5"), "{wrong}");
    }
}
