//! The `loadtest` program: makes purchases up, sends them to a running server, measures, and checks the totals.
//!
//! It shares no code with the server. [`workload`] says what is sent, [`run`] how, [`totals`] and [`subscribers`] what must come of it.

mod answer;
mod client;
mod compare;
mod gauges;
mod page;
mod peers;
mod plot;
mod random;
mod report;
mod run;
mod schedule;
mod series;
mod socket;
mod subscribers;
mod tally;
mod totals;
mod workload;
mod zipf;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use jiff::Timestamp;

use crate::client::{Address, Client, ClientError, Key};
use crate::compare::{Compare, CompareError};
use crate::gauges::Sampler;
use crate::page::Page;
use crate::peers::{PeerError, Peers};
use crate::report::Report;
use crate::run::{Plan, RunError, TIME_SECONDS_MAX};
use crate::schedule::{Arrivals, Pace};
use crate::subscribers::{SubscribeError, Subscribers, Watching};
use crate::totals::{Totals, TotalsError};
use crate::workload::{COUNT_MAX, Recipe, Workload, Writer};
use crate::zipf::{CUSTOMERS_MAX, Skew};

const EXIT_HELP: &str = "\
Exit codes:
   0  done, and the server's totals agree with its answers
   1  they do not, or the run failed; the message says what
   2  the command line is wrong";

const COMPARE_EXIT_HELP: &str = "\
Exit codes:
   0  done, however the results differ
   1  a file cannot be read or is no result, or B is worse than --worse-than allows
   2  the command line is wrong";

/// Load for a running Kembali server, from outside: made-up purchases, figures, and a check of the totals.
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Makes purchases from a seed and sends them, or writes them to a file
    ///
    /// Nothing else may book for the tenant meanwhile: what its totals rise by is compared with the answers.
    #[command(after_long_help = EXIT_HELP)]
    Generate(Generate),
    /// Compares Kembali with PostgreSQL and Redis: the same purchases into each, in turns, on this machine
    ///
    /// All do the same work, durable when it is answered: each purchase booked once, a promo's quota, a tier and its milestones, a wallet
    /// with its entry. Each run has a server of its own, which is started here and killed; what it answered must be there afterwards.
    #[command(after_long_help = EXIT_HELP)]
    Peers(Peers),
    /// Puts two results beside each other: what changed, and which conditions differ
    #[command(after_long_help = COMPARE_EXIT_HELP)]
    Compare(Compare),
}

#[derive(Args)]
struct Generate {
    /// The server
    #[arg(long, env = "KEMBALI_URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// Lets the server be another machine than this one
    #[arg(long)]
    allow_remote: bool,
    /// The partner's API key
    #[arg(long, env = "KEMBALI_API_KEY", hide_env_values = true, required_unless_present = "write")]
    api_key: Option<String>,
    /// The secret of the key, of one whose requests must be signed
    #[arg(long, env = "KEMBALI_API_SECRET", hide_env_values = true)]
    api_secret: Option<String>,
    /// The operator's token, for the totals
    #[arg(long, env = "KEMBALI_OPERATOR_TOKEN", hide_env_values = true, required_unless_present = "write")]
    operator_token: Option<String>,
    /// The tenant of the API key
    #[arg(long, default_value = "journey", value_parser = slug)]
    tenant: String,
    /// Purchases
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=COUNT_MAX))]
    count: u64,
    /// Everything made up follows from it; a seed sent before is answered from the ledger
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Customers to draw from
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=i64::from(CUSTOMERS_MAX)))]
    customers: u32,
    /// The exponent of Zipf's law: 0 makes all customers alike, 1 the first one twice as busy as the second
    #[arg(long, default_value = "1.0")]
    skew: Skew,
    /// Purchases a request; 1 posts them singly as JSON, more as NDJSON
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    batch: u32,
    /// Connections; customer number c is served by connection c modulo this
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    connections: u32,
    /// Threads of this program
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    threads: u16,
    /// Purchases a second; without it, each connection sends its next request once the last one is answered
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    rate: Option<u32>,
    /// Purchases a second at the end: the rate changes evenly from the first one over the run
    #[arg(long, requires = "rate", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    ramp_to: Option<u32>,
    /// How requests come at that rate
    #[arg(long, value_enum, default_value_t = Arrivals::Constant, requires = "rate")]
    arrivals: Arrivals,
    /// Sends by WebSocket instead, one purchase a frame, with so many under way on each connection
    #[arg(long, value_name = "UNDER_WAY", conflicts_with = "batch", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    socket: Option<u32>,
    /// Subscribers of the event stream, each of which must see every purchase that is booked
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    subscribers: u32,
    /// More subscribers, which take nothing for a while: the server is to tell them where to go on, and drop them
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1_000))]
    stalled: u32,
    /// How long these take nothing
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(0..=86_400))]
    stall_seconds: u32,
    /// The promo code of every purchase
    #[arg(long, default_value = "JOURNEY2017", value_parser = plain)]
    promo: String,
    /// How many of a thousand purchases are copies of earlier ones
    #[arg(long, default_value_t = 0, value_name = "PER_MILLE", value_parser = clap::value_parser!(u16).range(0..=999))]
    duplicates: u16,
    /// When sending ends, whatever is left
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..=i64::from(TIME_SECONDS_MAX)))]
    timeout_seconds: u32,
    /// When the first purchase occurred
    #[arg(long, default_value = "2017-07-01T00:00:00Z", value_name = "INSTANT")]
    start: Timestamp,
    /// How many milliseconds later each purchase occurred than the one before
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(0..=86_400_000))]
    step_millis: u32,
    /// Writes the result as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Writes the result as a page of HTML with plots, which needs nothing beside itself
    #[arg(long, value_name = "FILE")]
    page: Option<PathBuf>,
    /// Writes the purchases as NDJSON instead of sending them
    #[arg(long, value_name = "FILE", conflicts_with_all = ["json", "page"])]
    write: Option<PathBuf>,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Address(ClientError),
    #[error("the server is on another machine; say --allow-remote if that is meant")]
    Remote,
    #[error("purchases would occur outside of the years 1 to 9999")]
    Calendar,
    #[error("there is no API key, or no operator token")]
    Secrets,
    #[error("starting the threads: {0}")]
    Threads(io::Error),
    #[error("reading the server's totals: {0}")]
    Totals(#[from] TotalsError),
    #[error("sending: {0}")]
    Run(#[from] RunError),
    #[error("{0}")]
    Peers(#[from] PeerError),
    #[error("{0}")]
    Compare(#[from] CompareError),
    #[error("subscribing: {0}")]
    Subscribe(#[from] SubscribeError),
    #[error("writing {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("writing the result: {0}")]
    Print(io::Error),
    #[error("what the server counted, or told its subscribers, differs from its answers")]
    Wrong,
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Generate(generate) => generate.run(),
        Command::Peers(peers) => peers.run().map_err(Failure::from),
        Command::Compare(compare) => compare.run().map_err(Failure::from),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // If nobody reads the error stream, the exit code has to do.
            let _ = writeln!(io::stderr(), "loadtest: {failure}");
            ExitCode::FAILURE
        }
    }
}

impl Generate {
    fn run(self) -> Result<(), Failure> {
        let recipe = self.recipe()?;
        match &self.write {
            Some(path) => write_purchases(recipe, path),
            None => self.send(recipe),
        }
    }

    fn recipe(&self) -> Result<Recipe, Failure> {
        let span_ms = self.count * u64::from(self.step_millis);
        let ends = self.start.as_millisecond().checked_add_unsigned(span_ms);
        let in_years = |at_ms: i64| {
            let at = Timestamp::from_millisecond(at_ms).ok()?;
            // The first form of the year 0 and before, and of 10000 and after, has another length.
            (1..=9_999).contains(&at.to_zoned(jiff::tz::TimeZone::UTC).year()).then_some(())
        };
        in_years(self.start.as_millisecond()).and(ends.and_then(in_years)).ok_or(Failure::Calendar)?;
        Ok(Recipe {
            seed: self.seed,
            count: self.count,
            customers: NonZeroU32::new(self.customers).unwrap_or(NonZeroU32::MIN),
            skew: self.skew,
            duplicates: u64::from(self.duplicates),
            promo: self.promo.clone(),
            start: self.start,
            step_ms: self.step_millis,
        })
    }

    fn send(self, recipe: Recipe) -> Result<(), Failure> {
        let address = Address::parse(&self.url).map_err(Failure::Address)?;
        if !address.is_loopback() && !self.allow_remote {
            return Err(Failure::Remote);
        }
        let (Some(api_key), Some(token)) = (self.api_key, self.operator_token) else {
            return Err(Failure::Secrets);
        };
        let plan = Plan {
            address,
            key: Key::new(&api_key, self.api_secret).map_err(RunError::from)?,
            connections: NonZeroU32::new(self.connections).unwrap_or(NonZeroU32::MIN),
            batch: NonZeroU32::new(if self.socket.is_some() { 1 } else { self.batch }).unwrap_or(NonZeroU32::MIN),
            time_max: Duration::from_secs(u64::from(self.timeout_seconds)),
            pace: self.rate.and_then(NonZeroU32::new).map(|rate| Pace {
                rate,
                ramp_to: self.ramp_to.and_then(NonZeroU32::new),
                arrivals: self.arrivals,
            }),
            window: self.socket.and_then(NonZeroU32::new),
        };
        let stall = Duration::from_secs(u64::from(self.stall_seconds));
        let watching = Watching { subscribers: self.subscribers, stalled: self.stalled, stall };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(usize::from(self.threads))
            .enable_all()
            .build()
            .map_err(Failure::Threads)?;
        let report = runtime.block_on(measure(recipe, &plan, watching, (&self.tenant, &token)))?;
        if let Some(path) = &self.json {
            write_json(&report, path).map_err(|source| Failure::Write { path: path.clone(), source })?;
        }
        if let Some(path) = &self.page {
            let page = Page(&report).to_string();
            std::fs::write(path, page).map_err(|source| Failure::Write { path: path.clone(), source })?;
        }
        report.write(&mut io::stdout().lock()).map_err(Failure::Print)?;
        if report.is_right() { Ok(()) } else { Err(Failure::Wrong) }
    }
}

/// Sends everything, between two looks at the server's totals.
async fn measure(
    recipe: Recipe,
    plan: &Plan,
    watching: Watching,
    (tenant, token): (&str, &str),
) -> Result<Report, Failure> {
    let mut operator = Client::new(&plan.address);
    let before = Totals::read(&mut operator, tenant, token).await?;
    let subscribers = match watching {
        Watching { subscribers: 0, stalled: 0, .. } => None,
        _ => Some(Subscribers::connect(watching, &plan.address, tenant, token).await?),
    };
    let outcome = run::run(Workload::new(recipe.clone()), plan, Some(Sampler::new(&plan.address, token))).await?;
    let delivered = match subscribers {
        Some(subscribers) => Some(subscribers.finish(outcome.tally.booked).await?),
        None => None,
    };
    // A new connection: the server may have closed the first one meanwhile.
    let after = Totals::read(&mut Client::new(&plan.address), tenant, token).await?;
    let differences = after.differences(&before, &outcome.tally);
    Ok(Report::new(tenant, &recipe, plan, &outcome, differences, delivered))
}

fn write_purchases(recipe: Recipe, path: &Path) -> Result<(), Failure> {
    let failed = |source| Failure::Write { path: path.to_path_buf(), source };
    let mut out = BufWriter::new(File::create(path).map_err(failed)?);
    let workload = Workload::new(recipe);
    let mut writer = Writer::new(&workload);
    let mut line = Vec::new();
    for order in workload.orders() {
        line.clear();
        writer.write(order, &mut line);
        line.push(b'\n');
        out.write_all(&line).map_err(failed)?;
    }
    out.flush().map_err(failed)
}

fn write_json(report: &Report, path: &Path) -> io::Result<()> {
    let mut text = serde_json::to_vec_pretty(report)?;
    text.push(b'\n');
    std::fs::write(path, text)
}

/// Takes text that stands in JSON as it is.
fn plain(text: &str) -> Result<String, &'static str> {
    let fits = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    if (1..=64).contains(&text.len()) && text.bytes().all(fits) {
        return Ok(text.to_owned());
    }
    Err("must have 1 to 64 visible ASCII characters, no quotes and no backslashes")
}

/// Takes text that stands in an address as it is.
fn slug(text: &str) -> Result<String, &'static str> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if (1..=64).contains(&text.len()) && text.bytes().all(fits) {
        return Ok(text.to_owned());
    }
    Err("must have 1 to 64 letters, digits, dashes, dots or underscores")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
        assert!(plain("A\"B").is_err() && slug("a&b").is_err());
    }
}
