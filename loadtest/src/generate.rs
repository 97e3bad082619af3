//! `loadtest generate`: makes purchases and sends them once, or writes them to a file.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use crate::Failure;
use crate::client::Client;
use crate::decided::decide_again;
use crate::gauges::Sampler;
use crate::mix::Mix;
use crate::options::{Making, Target, Way};
use crate::page::{Page, images};
use crate::report::Report;
use crate::run::{self, Plan, TIME_SECONDS_MAX};
use crate::schedule::{Arrivals, Pace};
use crate::subscribers::{Subscribers, Watching};
use crate::totals::Totals;
use crate::workload::{COUNT_MAX, Recipe, Workload, Writer};

#[derive(Args)]
pub(crate) struct Generate {
    #[command(flatten)]
    target: Target,
    /// The partner's API key
    #[arg(long, env = "KEMBALI_API_KEY", hide_env_values = true, required_unless_present = "write")]
    api_key: Option<String>,
    /// The operator's token, for the totals
    #[arg(long, env = "KEMBALI_OPERATOR_TOKEN", hide_env_values = true, required_unless_present = "write")]
    operator_token: Option<String>,
    #[command(flatten)]
    making: Making,
    /// Purchases
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=COUNT_MAX))]
    count: u64,
    /// How many of a thousand purchases are copies of earlier ones
    #[arg(long, default_value_t = 0, value_name = "PER_MILLE", value_parser = clap::value_parser!(u16).range(0..=999))]
    duplicates: u16,
    #[command(flatten)]
    way: Way,
    /// How many of a thousand purchases are followed by a read of their customer, whose balance is checked
    #[arg(long, default_value_t = 0, value_name = "PER_MILLE", conflicts_with = "socket", value_parser = clap::value_parser!(u16).range(0..=1_000))]
    reads: u16,
    /// How many of a thousand purchases are refunded as soon as they are answered
    #[arg(long, default_value_t = 0, value_name = "PER_MILLE", conflicts_with = "socket", value_parser = clap::value_parser!(u16).range(0..=1_000))]
    refunds: u16,
    /// Purchases a second; without it, each connection sends its next request once the last one is answered
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    rate: Option<u32>,
    /// Purchases a second at the end: the rate changes evenly from the first one over the run
    #[arg(long, requires = "rate", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    ramp_to: Option<u32>,
    /// How requests come at that rate
    #[arg(long, value_enum, default_value_t = Arrivals::Constant, requires = "rate")]
    arrivals: Arrivals,
    /// Subscribers of the event stream, each of which must see every purchase that is booked
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    subscribers: u32,
    /// More subscribers, which take nothing for a while: the server is to tell them where to go on, and drop them
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1_000))]
    stalled: u32,
    /// How long these take nothing
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(0..=86_400))]
    stall_seconds: u32,
    /// Has all purchases of the tenant decided again at the end, by the server's core alone and one after the other: nothing may differ. Its
    /// rules must be those that it has had from the start
    #[arg(long)]
    decide_again: bool,
    /// When sending ends, whatever is left
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..=i64::from(TIME_SECONDS_MAX)))]
    timeout_seconds: u32,
    /// Writes the result as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Writes the result as a page of HTML with plots, which needs nothing beside itself
    #[arg(long, value_name = "FILE")]
    page: Option<PathBuf>,
    /// Writes each plot of that page as an image of SVG into a directory, which is made if it is not there
    #[arg(long, value_name = "DIR")]
    plots: Option<PathBuf>,
    /// Writes the purchases as NDJSON instead of sending them
    #[arg(long, value_name = "FILE", conflicts_with_all = ["json", "page", "plots"])]
    write: Option<PathBuf>,
}

impl Generate {
    /// Does it, and writes the result.
    ///
    /// # Errors
    ///
    /// [`Failure`]. The result is written before [`Failure::Wrong`].
    pub(crate) fn run(self) -> Result<(), Failure> {
        let recipe = self.making.recipe(self.making.seed, self.count, self.duplicates.into())?;
        match &self.write {
            Some(path) => write_purchases(recipe, path),
            None => self.send(recipe),
        }
    }

    fn send(self, recipe: Recipe) -> Result<(), Failure> {
        let (Some(api_key), Some(token)) = (self.api_key, self.operator_token) else {
            return Err(Failure::Secrets);
        };
        let pace = self.rate.and_then(NonZeroU32::new).map(|rate| Pace {
            rate,
            ramp_to: self.ramp_to.and_then(NonZeroU32::new),
            arrivals: self.arrivals,
        });
        let mix = Mix { reads: self.reads.into(), refunds: self.refunds.into() };
        let time_max = Duration::from_secs(self.timeout_seconds.into());
        let plan = self.way.plan(&self.target, &api_key, pace, (time_max, mix))?;
        let stall = Duration::from_secs(u64::from(self.stall_seconds));
        let watching = Watching { subscribers: self.subscribers, stalled: self.stalled, stall };
        let runtime = self.way.runtime()?;
        let who = (self.target.tenant.as_str(), token.as_str());
        let report = runtime.block_on(measure(recipe, &plan, watching, self.decide_again, who))?;
        // First of all: a file that cannot be written must not take the result of a long run with it.
        report.write(&mut io::stdout().lock()).map_err(Failure::Print)?;
        if let Some(path) = &self.json {
            write_json(&report, path)?;
        }
        if let Some(path) = &self.page {
            let page = Page(&report).to_string();
            std::fs::write(path, page).map_err(|source| Failure::Write { path: path.clone(), source })?;
        }
        if let Some(dir) = &self.plots {
            write_plots(&report, dir)?;
        }
        if report.is_right() { Ok(()) } else { Err(Failure::Wrong) }
    }
}

/// Sends everything, between two looks at the server's totals.
///
/// # Errors
///
/// [`Failure`]. Totals that do not agree are no error but part of the result.
pub(crate) async fn measure(
    recipe: Recipe,
    plan: &Plan,
    watching: Watching,
    is_decided_again: bool,
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
    let mut operator = Client::new(&plan.address);
    let after = Totals::read(&mut operator, tenant, token).await?;
    let differences = after.differences(&before, &outcome.tally);
    let mut report = Report::new(tenant, &recipe, plan, &outcome, differences, delivered);
    if is_decided_again {
        let again = decide_again(&mut operator, (tenant, token), &after).await?;
        report.decided_again = Some(again.purchases);
        report.differences.extend(again.differences);
    }
    Ok(report)
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

fn write_plots(report: &Report, dir: &Path) -> Result<(), Failure> {
    let failed = |path: &Path, source| Failure::Write { path: path.to_path_buf(), source };
    std::fs::create_dir_all(dir).map_err(|source| failed(dir, source))?;
    images(report).into_iter().try_for_each(|(name, image)| {
        let path = dir.join(name);
        std::fs::write(&path, image).map_err(|source| failed(&path, source))
    })
}

/// Writes a result for programs.
///
/// # Errors
///
/// [`Failure::Write`].
pub(crate) fn write_json(result: &impl Serialize, path: &Path) -> Result<(), Failure> {
    let write = || {
        let mut text = serde_json::to_vec_pretty(result)?;
        text.push(b'\n');
        std::fs::write(path, text)
    };
    write().map_err(|source| Failure::Write { path: path.to_path_buf(), source })
}
