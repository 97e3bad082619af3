//! The `kembali` program: its command line, and nothing that a library would want.

mod apply;
mod client;
mod demo;
mod exit;
mod export;
mod send;
mod serve;
mod settings;
mod what_if;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use kembali_http::outgoing::ServerUrl;
use tracing_subscriber::EnvFilter;

use crate::apply::ApplyError;
use crate::client::{Client, ClientError, PartnerKey};
use crate::demo::DemoError;
use crate::exit::Exit;
use crate::export::ExportError;
use crate::send::{Plan, SendError, Source};
use crate::what_if::{BoundText, Format, Question, WhatIfError, read_bound};

// The allocator of glibc keeps what frames, batches and archiving leave between small blocks: with it the process held
// several times what it used. mimalloc takes its slow way for what is aligned to 16 bytes, as ids are.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Kembali: a ledger engine for cashback, loyalty and wallets.
///
/// Partners stream completed purchases over HTTP; each is decided against promos with quotas and tiers, booked to the
/// customer's wallet in balanced entries, made durable, and only then answered.
#[derive(Parser)]
#[command(version, after_long_help = exit::HELP, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// The server that a client command talks to.
#[derive(Args)]
struct ServerFlags {
    /// The server
    #[arg(long, env = "KEMBALI_URL", default_value = "http://127.0.0.1:8080")]
    url: ServerUrl,
    /// How many seconds the server may take to answer, and between parts of a long answer
    #[arg(long, default_value_t = 60, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    answer_seconds_max: u64,
    /// A file with certificates in PEM: the server's must be one of them, or made by one. Without it those are believed that the
    /// system believes
    #[arg(long, env = "KEMBALI_CA_FILE", value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

impl ServerFlags {
    fn client(self) -> Client {
        Client::new(self.url, Duration::from_secs(self.answer_seconds_max)).believing(self.ca_file)
    }
}

#[derive(Subcommand)]
enum Command {
    /// Runs the server
    ///
    /// Each setting comes from its flag, else from its environment variable, else from the configuration file, else
    /// from its default. The log goes to standard error; RUST_LOG chooses how much of it.
    #[command(after_long_help = exit::HELP)]
    Serve {
        #[command(flatten)]
        flags: Box<settings::Flags>,
    },
    /// Makes a catalogue file the rules of a tenant, on a running server
    ///
    /// Shows what would change and which customers would see what of it, then asks. What was shown is what is applied:
    /// if somebody else changed the rules meanwhile, nothing is done.
    #[command(after_long_help = exit::HELP)]
    Apply {
        /// The catalogue: a TOML file such as api/demo/journey.toml
        catalogue: PathBuf,
        #[command(flatten)]
        server: ServerFlags,
        /// The operator's token
        #[arg(long, env = "KEMBALI_OPERATOR_TOKEN", hide_env_values = true)]
        operator_token: String,
        /// Only shows what would change
        #[arg(long)]
        dry_run: bool,
        /// Applies without asking, for scripts
        #[arg(long, short)]
        yes: bool,
    },
    /// Writes the rules that a tenant has on a running server as a catalogue file, to standard output
    ///
    /// The file can be applied again, and then nothing changes. Keys of partners are never written.
    Export {
        /// The tenant's slug
        #[arg(long, value_name = "SLUG")]
        tenant: String,
        #[command(flatten)]
        server: ServerFlags,
        /// The operator's token
        #[arg(long, env = "KEMBALI_OPERATOR_TOKEN", hide_env_values = true)]
        operator_token: String,
        /// The version of the rules [default: the present one]
        #[arg(long, value_name = "N")]
        version: Option<u32>,
    },
    /// Sends a file of purchases to a running server, in order, and sums up the answers
    ///
    /// Sending a file again is harmless: what is booked stays booked once, so an interrupted run is simply repeated. Ends
    /// with 4 when a line was not booked.
    #[command(after_long_help = exit::HELP)]
    Send {
        /// One purchase as JSON a line; plain or gzip
        file: PathBuf,
        #[command(flatten)]
        server: ServerFlags,
        /// The partner's API key
        #[arg(long, env = "KEMBALI_API_KEY", hide_env_values = true)]
        api_key: String,
        /// The secret of the key, of one whose requests must be signed; a signed request has at most 1 MiB
        #[arg(long, env = "KEMBALI_API_SECRET", hide_env_values = true)]
        api_secret: Option<String>,
        /// Lines a request; one request is under way at a time
        #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        batch: u32,
        /// Compresses the requests
        #[arg(long)]
        gzip: bool,
        /// How many lines that were not booked are printed with their reasons
        #[arg(long, default_value_t = 10, value_name = "N")]
        show: usize,
    },
    /// Decides recorded purchases again under another catalogue, and reports what would have been different
    ///
    /// On a running server, or with --data-dir on a ledger that no server runs. Nothing is changed. Rules that are in both
    /// catalogues are compared by name. Refused purchases are not decided again: what was bought is not kept.
    #[command(after_long_help = exit::HELP)]
    WhatIf {
        /// The catalogue asked about: a TOML file such as api/demo/journey.toml
        #[arg(long, value_name = "FILE")]
        catalogue: PathBuf,
        /// From where on purchases are decided again: a position, or when they were received; before it, what happened
        /// holds [default: all of them]
        #[arg(long, value_name = "POSITION|INSTANT", value_parser = read_bound)]
        from: Option<BoundText>,
        /// Up to where [default: all of them]
        #[arg(long, value_name = "POSITION|INSTANT", value_parser = read_bound)]
        to: Option<BoundText>,
        /// How many of the customers with the largest differences are listed, of each side and unit
        #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=1_000))]
        top: u16,
        /// How the report is written
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
        #[command(flatten)]
        server: ServerFlags,
        /// The operator's token
        #[arg(long, env = "KEMBALI_OPERATOR_TOKEN", hide_env_values = true, required_unless_present = "data_dir")]
        operator_token: Option<String>,
        /// The data directory of a ledger that no server runs; no server is asked then
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
        /// Where copies may be made [default: a folder in the data directory, removed afterwards]
        #[arg(long, value_name = "DIR", requires = "data_dir")]
        scratch: Option<PathBuf>,
    },
    /// Checks a ledger that no server runs: its key, checksums, chain, every record, every balance, every profile
    ///
    /// Works on copies and changes nothing. The last line printed is the ledger digest. Ends with 3 on damage, and says
    /// what is damaged and where.
    Verify {
        /// The data directory
        dir: PathBuf,
        /// Where copies may be made [default: a folder in the data directory, removed afterwards]
        #[arg(long, value_name = "DIR")]
        scratch: Option<PathBuf>,
    },
    /// Starts a server with sample rules, streams real purchases into it, and prints what happened
    Demo {
        /// Where to listen
        #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS:PORT")]
        listen: SocketAddr,
        /// Where the demo's ledger is kept
        #[arg(long, default_value = "kembali-demo", value_name = "DIR")]
        data_dir: PathBuf,
        /// Ends after the table instead of serving on
        #[arg(long)]
        exit: bool,
    },
}

/// The folder of copies that a check made for itself, to be removed even when it ends by a panic.
static SCRATCH: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(say_what_panicked));
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
    let (exit, message) = match run(Cli::parse().command) {
        Ok(exit) => (exit, None),
        Err(Failure { exit, message }) => (exit, Some(message)),
    };
    if let Some(message) = message {
        // Standard error may be closed; the exit code still says it.
        let _ = writeln!(io::stderr(), "kembali: {}", harmless(&message));
    }
    exit.into()
}

/// Escapes what a terminal would take for an order: a message may hold names that somebody else chose.
fn harmless(message: &str) -> String {
    let is_order = |char: char| char.is_control() && char != '\n' && char != '\t';
    message.chars().fold(String::with_capacity(message.len()), |mut shown, char| {
        if is_order(char) {
            shown.extend(char.escape_debug())
        } else {
            shown.push(char)
        }
        shown
    })
}

/// A bug, or damage that the storage library does not survive: says what, where and what to do, and ends.
fn say_what_panicked(panic: &std::panic::PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("unnamed").to_owned();
    let mut stderr = io::stderr().lock();
    let (exit, remedy) = match kembali_engine::opening() {
        Some(what) => (Exit::Damage, format!("It happened while opening {what}")),
        None => {
            (Exit::Bug, "This is a bug. Nothing acknowledged is lost: start again, and report these lines.".to_owned())
        }
    };
    let _ = writeln!(stderr, "kembali: the {name} thread stopped: {panic}\nkembali: {remedy}");
    if let Some(scratch) = SCRATCH.get().filter(|_| cfg!(panic = "abort")) {
        // The copy that the check was at; there is nobody to tell when it cannot be removed.
        let _ = std::fs::remove_dir_all(scratch);
    }
    // While a store is being opened, a panic that can unwind is caught and reported as damage by whoever opens it.
    if cfg!(panic = "abort") || exit == Exit::Bug {
        std::process::exit(i32::from(exit as u8));
    }
}

/// Why the program ends without having done what was asked.
struct Failure {
    exit: Exit,
    message: String,
}

impl Failure {
    fn new(exit: Exit, error: &dyn std::error::Error) -> Failure {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            // Some errors show their cause themselves.
            if !message.contains(&cause_text) {
                message = format!("{message}: {cause_text}");
            }
            source = cause.source();
        }
        Failure { exit, message }
    }
}

fn exit_of_client(error: &ClientError) -> Exit {
    match error {
        ClientError::Connect(_) | ClientError::Broken(_) | ClientError::Slow(_) => Exit::Unreachable,
        ClientError::Refused { .. } => Exit::Refused,
        ClientError::Unexpected(_) | ClientError::Request(_) | ClientError::Roots(_) => Exit::Failed,
    }
}

fn exit_of_send(error: &SendError) -> Exit {
    match error {
        SendError::Server { source, .. } => exit_of_client(source),
        SendError::Short { .. } => Exit::Unreachable,
        SendError::Read { .. } | SendError::Cut { .. } | SendError::TooLarge { .. } => Exit::Failed,
    }
}

fn exit_of_apply(error: &ApplyError) -> Exit {
    match error {
        ApplyError::Server(error) => exit_of_client(error),
        ApplyError::Refused { .. } | ApplyError::ChangedMeanwhile => Exit::Refused,
        ApplyError::NobodyToAsk | ApplyError::Declined => Exit::NotConfirmed,
        ApplyError::Read { .. } | ApplyError::Parse { .. } | ApplyError::Write(_) => Exit::Failed,
    }
}

fn exit_of_export(error: &ExportError) -> Exit {
    match error {
        ExportError::Server(error) => exit_of_client(error),
        ExportError::Form(_) | ExportError::Toml(_) | ExportError::Write(_) => Exit::Failed,
    }
}

fn exit_of_what_if(error: &WhatIfError) -> Exit {
    match error {
        WhatIfError::Catalogue(error) => exit_of_apply(error),
        WhatIfError::Server(error) => exit_of_client(error),
        WhatIfError::Offline(error) if error.is_damage() => Exit::Damage,
        WhatIfError::Refused { .. } | WhatIfError::Offline(_) | WhatIfError::Runtime(_) | WhatIfError::Bar(_) => {
            Exit::Failed
        }
    }
}

fn exit_of_demo(error: &DemoError) -> Exit {
    match error {
        DemoError::Serve(error) => error.exit(),
        DemoError::Apply(error) => exit_of_apply(error),
        DemoError::Send(error) => exit_of_send(error),
        DemoError::Client(error) => exit_of_client(error),
        DemoError::Write(_) => Exit::Failed,
    }
}

fn run(command: Command) -> Result<Exit, Failure> {
    let failed = |error: io::Error| Failure::new(Exit::Failed, &error);
    let mut out = io::stdout();
    match command {
        Command::Serve { flags } => {
            let settings = flags.settings().map_err(|error| Failure::new(Exit::Failed, &error))?;
            tracing::info!("settings:\n{settings}");
            serve(&settings).map_err(|error| Failure::new(error.exit(), &error))?;
        }
        Command::Apply { catalogue, server, operator_token, dry_run, yes } => {
            let options = apply::Options { dry_run, yes };
            let applied = runtime()?.block_on(async {
                let wanted = apply::read(&catalogue)?;
                apply::run(&mut server.client(), &operator_token, &wanted, &options, &mut out).await
            });
            applied.map_err(|error| Failure::new(exit_of_apply(&error), &error))?;
        }
        Command::Export { tenant, server, operator_token, version } => {
            let exported = runtime()?.block_on(async {
                export::export(&mut server.client(), &operator_token, &tenant, version, &mut out).await
            });
            exported.map_err(|error| Failure::new(exit_of_export(&error), &error))?;
        }
        Command::Send { file, server, api_key, api_secret, batch, gzip, show } => {
            let key = PartnerKey { api_key: &api_key, secret: api_secret.as_deref() };
            let plan = Plan { key, batch: batch as usize, gzip, failures_max: show };
            let sent =
                runtime()?.block_on(async { send::send(&mut server.client(), Source::open(&file)?, &plan).await });
            let summary = sent.map_err(|error| Failure::new(exit_of_send(&error), &error))?;
            summary.write(&mut out).map_err(failed)?;
            return Ok(if summary.has_refused() { Exit::Refused } else { Exit::Done });
        }
        Command::WhatIf { catalogue, from, to, top, format, server, operator_token, data_dir, scratch } => {
            let question = Question { from, to, top };
            let read = apply::read(&catalogue).map_err(WhatIfError::from);
            let asked = read.and_then(|wanted| match data_dir {
                Some(dir) => with_scratch(&dir, scratch, |scratch| what_if::offline(&dir, scratch, &wanted, &question)),
                None => serve::runtime().map_err(WhatIfError::Runtime)?.block_on(async {
                    // The command line asks for a token where no directory is named.
                    let token = operator_token.unwrap_or_default();
                    what_if::ask(&mut server.client(), &token, &wanted, &question).await
                }),
            });
            let report = asked.map_err(|error| Failure::new(exit_of_what_if(&error), &error))?;
            what_if::write(&report, format, &mut out).map_err(failed)?;
        }
        Command::Verify { dir, scratch } => verify(&dir, scratch, &mut out)?,
        Command::Demo { listen, data_dir, exit } => {
            demo::demo(listen, data_dir, exit).map_err(|error| Failure::new(exit_of_demo(&error), &error))?;
        }
    }
    Ok(Exit::Done)
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    serve::runtime().map_err(|error| Failure::new(Exit::Failed, &error))
}

fn serve(settings: &settings::Settings) -> Result<(), serve::ServeError> {
    let runtime = serve::runtime()?;
    runtime.block_on(async {
        // From the start on: a signal during a long recovery counts too.
        let stop = serve::told_to_stop();
        let ready = serve::open(settings).await?;
        for line in &ready.report.mended {
            tracing::warn!("put right: {line}");
        }
        let report = &ready.report;
        tracing::info!(
            "recovered {} records: {} customers, {} purchases",
            report.last.0,
            report.customers,
            report.purchases
        );
        if settings.operator_token.is_none() {
            tracing::warn!("no operator token is set: operator routes are closed");
        }
        let scheme = if settings.tls.is_some() { "https" } else { "http" };
        tracing::info!("listening on {scheme}://{}", ready.address);
        ready.run(stop).await
    })
}

/// Looks at a ledger on copies: in the folder that was named, or in one of its own that is removed afterwards.
fn with_scratch<T>(dir: &std::path::Path, scratch: Option<PathBuf>, look: impl FnOnce(&std::path::Path) -> T) -> T {
    let (scratch, is_ours) = match scratch {
        Some(scratch) => (scratch, false),
        // One for each process: two checks at a time must not remove each other's copies.
        None => (dir.join(format!("verify-{}", std::process::id())), true),
    };
    if is_ours {
        // One check a process: it is set once.
        let _ = SCRATCH.set(scratch.clone());
    }
    let looked = look(&scratch);
    if is_ours
        && scratch.exists()
        && let Err(error) = std::fs::remove_dir_all(&scratch)
    {
        tracing::warn!("{} is left over: {error}", scratch.display());
    }
    looked
}

fn verify(dir: &std::path::Path, scratch: Option<PathBuf>, out: &mut impl Write) -> Result<(), Failure> {
    let checked = with_scratch(dir, scratch, |scratch| kembali_engine::verify(dir, scratch));
    let verified =
        checked.map_err(|error| Failure::new(if error.is_damage() { Exit::Damage } else { Exit::Failed }, &error))?;
    let mut write = || -> io::Result<()> {
        for line in &verified.would_mend {
            writeln!(out, "the next start will put right: {line}")?;
        }
        writeln!(out, "records        {}", verified.last.0)?;
        writeln!(out, "segments       {}", verified.segments)?;
        writeln!(out, "snapshots      {}", verified.snapshots)?;
        writeln!(out, "journal frames {}", verified.frames)?;
        writeln!(out, "profile writes {}", verified.profile_commits)?;
        writeln!(out, "customers      {}", verified.customers)?;
        writeln!(out, "purchases      {}", verified.purchases)?;
        for (tenant, unit, off) in &verified.trial_balances {
            writeln!(out, "trial balance  {tenant} {unit} {off}")?;
        }
        writeln!(out, "digest         {}", verified.digest)
    };
    write().map_err(|error| Failure::new(Exit::Failed, &error))
}
