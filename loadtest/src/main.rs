//! The `loadtest` program: makes purchases up, sends them to a running server, measures, and checks the totals.
//!
//! It shares no code with the server. [`generate`] is the command to read first; [`workload`] says what is sent, [`run`] how, [`totals`], [`decided`] and
//! [`subscribers`] what must come of it.

mod answer;
mod client;
mod compare;
mod decided;
mod gauges;
mod generate;
mod knee;
mod live;
mod mix;
mod options;
mod page;
mod peers;
mod plot;
mod random;
mod recover;
mod report;
mod run;
mod schedule;
mod series;
mod server;
mod socket;
mod subscribers;
mod tally;
mod totals;
mod units;
mod workload;
mod zipf;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::client::ClientError;
use crate::compare::{Compare, CompareError};
use crate::generate::Generate;
use crate::knee::Knee;
use crate::peers::{PeerError, Peers};
use crate::recover::{Recover, RecoverError};
use crate::run::RunError;
use crate::subscribers::SubscribeError;
use crate::totals::TotalsError;

const EXIT_HELP: &str = "\
Exit codes:
   0  done, and the server's totals agree with its answers
   1  they do not, or the run failed; the message says what
   2  the command line is wrong";

const KNEE_EXIT_HELP: &str = "\
Exit codes:
   0  done, whichever rates held
   1  totals did not agree, a seed was sent before, or a step failed; the message says what
   2  the command line is wrong";

const RECOVER_EXIT_HELP: &str = "\
Exit codes:
   0  nothing is lost, nothing booked twice, no answer changed
   1  something is, or the run failed; the message says what, and where the ledger is kept
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
    Generate(Box<Generate>),
    /// Finds the highest rate that a server holds: steps at rising rates, until requests take too long or answers fall behind
    ///
    /// Each step sends other purchases, of the seeds from --seed on. Nothing else may book for the tenant meanwhile: the totals are checked
    /// after each step. It takes at most --steps-max times twice --seconds, and the time for the answers under way.
    #[command(after_long_help = KNEE_EXIT_HELP)]
    Knee(Box<Knee>),
    /// Compares Kembali with PostgreSQL and Redis: the same purchases into each, in turns, on this machine
    ///
    /// All do the same work, durable when it is answered: each purchase booked once, a promo's quota, a tier and its milestones, a wallet
    /// with its entry. Each run has a server of its own, which is started here and killed; what it answered must be there afterwards.
    #[command(after_long_help = EXIT_HELP)]
    Peers(Peers),
    /// Kills a server while purchases are sent, again and again, and checks that everything it answered is there
    ///
    /// The server and its ledger are its own, in a temporary directory. Who was not answered sends the same purchases again once the server
    /// is back; what was answered before must be answered the same. A kill is the end of a process, not of the power.
    #[command(after_long_help = RECOVER_EXIT_HELP)]
    Recover(Recover),
    /// Puts two results beside each other: what changed, and which conditions differ
    #[command(after_long_help = COMPARE_EXIT_HELP)]
    Compare(Compare),
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
    Recover(#[from] RecoverError),
    #[error("{0}")]
    Compare(#[from] CompareError),
    #[error("subscribing: {0}")]
    Subscribe(#[from] SubscribeError),
    #[error("writing {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("writing the result: {0}")]
    Print(io::Error),
    #[error("purchases of seed {seed} had been booked before; say a --seed from which on none was sent")]
    Repeated { seed: u64 },
    #[error("something went wrong, as told above; the ledger, and what its servers said, are kept in {}", kept.display())]
    Lost { kept: PathBuf },
    #[error("{error}; the ledger, and what its servers said, are kept in {}", kept.display())]
    RecoverKept { error: RecoverError, kept: PathBuf },
    #[error("what the server counted, decided again, or told its subscribers, differs from its answers")]
    Wrong,
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Generate(generate) => generate.run(),
        Command::Knee(knee) => knee.run(),
        Command::Peers(peers) => peers.run().map_err(Failure::from),
        Command::Recover(recover) => recover.run(),
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
