//! What the commands that send have in common on the command line, and what they make of it.

use std::io;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use tokio::runtime::Runtime;

use crate::Failure;
use crate::client::{Address, ClientError, Key};
use crate::mix::Mix;
use crate::run::{Plan, RunError};
use crate::schedule::Pace;
use crate::server::Program;
use crate::workload::Recipe;
use crate::zipf::{CUSTOMERS_MAX, Skew};

/// Lines that a purchase may be given.
const LINES_MAX: i64 = 100;

/// Where purchases go.
#[derive(Args)]
pub(crate) struct Target {
    /// The server
    #[arg(long, env = "KEMBALI_URL", default_value = "http://127.0.0.1:8080")]
    pub(crate) url: String,
    /// Lets the server be another machine than this one
    #[arg(long)]
    pub(crate) allow_remote: bool,
    /// The secret of the key, of one whose requests must be signed
    #[arg(long, env = "KEMBALI_API_SECRET", hide_env_values = true)]
    pub(crate) api_secret: Option<String>,
    /// The tenant of the API key
    #[arg(long, default_value = "journey", value_parser = slug)]
    pub(crate) tenant: String,
}

impl Target {
    /// Returns where the server is.
    ///
    /// # Errors
    ///
    /// [`Failure::Address`], and [`Failure::Remote`] for another machine unless that is allowed.
    pub(crate) fn address(&self) -> Result<Address, Failure> {
        let address = Address::parse(&self.url).map_err(Failure::Address)?;
        if address.is_loopback() || self.allow_remote { Ok(address) } else { Err(Failure::Remote) }
    }
}

/// A server that is started here, for a run of its own.
#[derive(Args)]
pub(crate) struct OwnServer {
    /// The server of Kembali
    #[arg(long, value_name = "FILE", default_value = "target/release/kembali")]
    kembali: PathBuf,
    /// The rules for it; they have to make the tenant and the key that the usual ones make
    #[arg(long, value_name = "FILE", default_value = "api/demo/journey.toml")]
    pub(crate) rules: PathBuf,
    /// The port of this machine that it is to listen on
    #[arg(long, default_value_t = 18_191)]
    port: u16,
}

impl OwnServer {
    /// Returns how it is started.
    ///
    /// # Errors
    ///
    /// Never with a port.
    pub(crate) fn program(&self) -> Result<Program, ClientError> {
        Program::new(self.kembali.clone(), self.port)
    }
}

/// What purchases are made by, beside their number.
#[derive(Args)]
pub(crate) struct Making {
    /// Everything made up follows from it; a seed sent before is answered from the ledger
    #[arg(long, default_value_t = 7)]
    pub(crate) seed: u64,
    /// Customers to draw from
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=i64::from(CUSTOMERS_MAX)))]
    pub(crate) customers: u32,
    /// The exponent of Zipf's law: 0 makes all customers alike, 1 the first one twice as busy as the second
    #[arg(long, default_value = "1.0")]
    pub(crate) skew: Skew,
    /// The promo code of every purchase
    #[arg(long, default_value = "JOURNEY2017", value_parser = plain)]
    pub(crate) promo: String,
    /// When the first purchase occurred
    #[arg(long, default_value = "2017-07-01T00:00:00Z", value_name = "INSTANT")]
    pub(crate) start: Timestamp,
    /// Lines of every purchase
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=LINES_MAX))]
    pub(crate) lines: u32,
    /// How many milliseconds later each purchase occurred than the one before
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(0..=86_400_000))]
    pub(crate) step_millis: u32,
}

impl Making {
    /// Returns the recipe for so many purchases of a seed, with so many copies in a thousand.
    ///
    /// # Errors
    ///
    /// [`Failure::Calendar`].
    pub(crate) fn recipe(&self, seed: u64, count: u64, duplicates: u64) -> Result<Recipe, Failure> {
        let span_ms = count * u64::from(self.step_millis);
        let ends = self.start.as_millisecond().checked_add_unsigned(span_ms);
        let in_years = |at_ms: i64| {
            let at = Timestamp::from_millisecond(at_ms).ok()?;
            // The first form of the year 0 and before, and of 10000 and after, has another length.
            (1..=9_999).contains(&at.to_zoned(jiff::tz::TimeZone::UTC).year()).then_some(())
        };
        in_years(self.start.as_millisecond()).and(ends.and_then(in_years)).ok_or(Failure::Calendar)?;
        Ok(Recipe {
            seed,
            count,
            customers: NonZeroU32::new(self.customers).unwrap_or(NonZeroU32::MIN),
            skew: self.skew,
            duplicates,
            lines: self.lines,
            promo: self.promo.clone(),
            start: self.start,
            step_ms: self.step_millis,
        })
    }
}

/// How purchases are sent.
#[derive(Args)]
pub(crate) struct Way {
    /// Purchases a request; 1 posts them singly as JSON, more as NDJSON
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) batch: u32,
    /// Connections; customer number c is served by connection c modulo this
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) connections: u32,
    /// Threads of this program
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) threads: u16,
    /// Sends by WebSocket instead, one purchase a frame, with so many under way on each connection
    #[arg(long, value_name = "UNDER_WAY", conflicts_with = "batch", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) socket: Option<u32>,
}

impl Way {
    /// Returns how they are sent to a server, by this key, for how long at most, and what there is beside them.
    ///
    /// # Errors
    ///
    /// A key that cannot stand in a header.
    pub(crate) fn plan(
        &self,
        target: &Target,
        api_key: &str,
        pace: Option<Pace>,
        (time_max, mix): (Duration, Mix),
    ) -> Result<Plan, Failure> {
        Ok(Plan {
            address: target.address()?,
            key: Key::new(api_key, target.api_secret.clone()).map_err(RunError::from)?,
            connections: NonZeroU32::new(self.connections).unwrap_or(NonZeroU32::MIN),
            batch: NonZeroU32::new(if self.socket.is_some() { 1 } else { self.batch }).unwrap_or(NonZeroU32::MIN),
            time_max,
            pace,
            window: self.socket.and_then(NonZeroU32::new),
            mix,
        })
    }

    /// Starts the threads that send.
    ///
    /// # Errors
    ///
    /// [`Failure::Threads`].
    pub(crate) fn runtime(&self) -> Result<Runtime, Failure> {
        runtime(self.threads).map_err(Failure::Threads)
    }
}

/// Starts so many threads that send.
///
/// # Errors
///
/// The system has none to give.
pub(crate) fn runtime(threads: u16) -> io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(usize::from(threads)).enable_all().build()
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
    use super::*;

    #[test]
    fn text_that_would_have_to_be_escaped_is_refused() {
        assert!(plain("A\"B").is_err() && slug("a&b").is_err());
    }
}
