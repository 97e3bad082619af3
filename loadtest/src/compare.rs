//! `loadtest compare`: two results beside each other, what changed, and whether they may be compared at all.
//!
//! Sends nothing. One run each says little: it shows what differs, not why, and knows no spread.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use crate::report::Report;

/// Bytes that a result may have: one of a day has a fifth of that.
const RESULT_BYTES_MAX: u64 = 256 << 20;

#[derive(Args)]
pub(crate) struct Compare {
    /// A result that `loadtest generate --json` wrote
    #[arg(value_name = "A")]
    one: PathBuf,
    /// Another one, seen from the first
    #[arg(value_name = "B")]
    two: PathBuf,
    /// Fails if B's purchases a second are fewer, or its p99 longer, by more than so many percent, or if the totals of either did not agree
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u32).range(0..=10_000))]
    worse_than: Option<u32>,
}

/// Why there is no comparison, or a bad one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CompareError {
    #[error("reading {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is no result of `loadtest generate --json`: it has more than {RESULT_BYTES_MAX} bytes", path.display())]
    Large { path: PathBuf },
    #[error("{} is no result of `loadtest generate --json`: {source}", path.display())]
    NoResult { path: PathBuf, source: serde_json::Error },
    #[error("writing the comparison: {0}")]
    Print(#[from] io::Error),
    #[error("B is worse than it may be")]
    Worse,
}

impl Compare {
    /// Writes the comparison.
    ///
    /// # Errors
    ///
    /// [`CompareError`]. It is all written before [`CompareError::Worse`].
    pub(crate) fn run(self) -> Result<(), CompareError> {
        let (one, two) = (read(&self.one)?, read(&self.two)?);
        let mut out = io::stdout().lock();
        for (name, path, report) in [("A", &self.one, &one), ("B", &self.two, &two)] {
            writeln!(out, "{name}: {} ({})", path.display(), origin(report))?;
        }
        write_comparison(&one, &two, &mut out)?;
        let worse = self.worse_than.map(|percent| worsenings(&one, &two, percent)).unwrap_or_default();
        for worsening in &worse {
            writeln!(out, "WORSE: {worsening}")?;
        }
        if worse.is_empty() { Ok(()) } else { Err(CompareError::Worse) }
    }
}

fn read(path: &Path) -> Result<Report, CompareError> {
    let failed = |source| CompareError::Read { path: path.to_path_buf(), source };
    let mut text = Vec::new();
    File::open(path).map_err(failed)?.take(RESULT_BYTES_MAX + 1).read_to_end(&mut text).map_err(failed)?;
    if RESULT_BYTES_MAX < text.len() as u64 {
        return Err(CompareError::Large { path: path.to_path_buf() });
    }
    serde_json::from_slice(&text).map_err(|source| CompareError::NoResult { path: path.to_path_buf(), source })
}

/// Says where a result comes from, as far as it knows.
fn origin(report: &Report) -> String {
    let version = report.server.as_ref().map(|server| format!("server {}", server.version));
    let begun = (!report.began_at.is_empty()).then(|| format!("begun {}", report.began_at));
    let parts: Vec<String> = [begun, version, Some(format!("seed {}", report.seed))].into_iter().flatten().collect();
    parts.join(", ")
}

/// Writes what should have been alike, and then all figures.
fn write_comparison(one: &Report, two: &Report, out: &mut impl Write) -> io::Result<()> {
    for warning in warnings(one, two) {
        writeln!(out, "WARNING: {warning}")?;
    }
    writeln!(out, "{:<34}{:>14}{:>14}{:>12}", "figure", "A", "B", "change")?;
    for (name, of) in FIGURES {
        let (one, two) = (of(one), of(two));
        let shown = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
        let change = one.zip(two).map_or_else(|| "-".to_owned(), |(one, two)| Change { one, two }.to_string());
        writeln!(out, "{name:<34}{:>14}{:>14}{change:>12}", shown(one), shown(two))?;
    }
    Ok(())
}

type Figure = (&'static str, fn(&Report) -> Option<u64>);

const FIGURES: [Figure; 19] = [
    ("purchases/s", |own| Some(own.purchases_per_second)),
    ("  all busy", |own| Some(own.busy_purchases_per_second)),
    ("  in the slowest whole second", Report::slowest_second),
    ("requests/s", |own| Some(own.requests_per_second)),
    ("time, us", |own| Some(own.elapsed_us)),
    ("latency p50, us", |own| Some(own.latency_us.p50)),
    ("latency p90, us", |own| Some(own.latency_us.p90)),
    ("latency p99, us", |own| Some(own.latency_us.p99)),
    ("latency p99.9, us", |own| Some(own.latency_us.p999)),
    ("latency max, us", |own| Some(own.latency_us.max)),
    ("booked", |own| Some(own.booked)),
    ("booked before", |own| Some(own.replayed)),
    ("refused", |own| Some(own.refused.values().sum())),
    ("retries", |own| Some(own.retries)),
    ("p99 of a read, us", |own| own.reads.map(|reads| reads.latency_us.p99)),
    ("p99 of a refund, us", |own| own.refunds.map(|refunds| refunds.latency_us.p99)),
    ("events/s of subscribers", |own| own.delivered.as_ref().map(|own| own.events_per_second)),
    ("server: p99 of a sync at most, us", |own| own.sampled().filter_map(|own| own.sync_p99_us).max()),
    ("server: units under way at most", |own| own.sampled().map(|own| own.in_flight_units).max()),
];

/// Lists what makes a comparison doubtful.
fn warnings(one: &Report, two: &Report) -> Vec<String> {
    let mut found = Vec::new();
    for ((name, first), (_, second)) in conditions(one).into_iter().zip(conditions(two)) {
        if let (Some(first), Some(second)) = (first, second)
            && first != second
        {
            found.push(format!("{name} differs: {first} in A, {second} in B"));
        }
    }
    for (name, report) in [("A", one), ("B", two)] {
        if !report.is_right() {
            found.push(format!("the totals of {name} did not agree; its figures are worth nothing"));
        }
        if report.replayed != 0 {
            found.push(format!("{} purchases of {name} were answered from the ledger", report.replayed));
        }
        if report.purchases_answered != report.purchases_planned {
            found.push(format!("the time of {name} was up before all was sent"));
        }
    }
    found
}

/// Lists what must be alike, in words; nothing for what a result does not say, as those of earlier versions.
fn conditions(own: &Report) -> [(&'static str, Option<String>); 21] {
    let or_none = |value: Option<u32>| Some(value.map_or_else(|| "none".to_owned(), |value| value.to_string()));
    let delivered = own.delivered.as_ref();
    [
        ("batch", Some(own.batch.to_string())),
        ("connections", Some(own.connections.to_string())),
        ("customers", Some(own.customers.to_string())),
        ("skew", Some(own.skew.clone())),
        ("rate", or_none(own.rate)),
        ("rate at the end", or_none(own.ramp_to)),
        ("arrivals", Some(own.arrivals.clone().unwrap_or_else(|| "none".to_owned()))),
        ("window of a WebSocket", or_none(own.window)),
        ("purchases planned", Some(own.purchases_planned.to_string())),
        ("duplicates per mille", Some(own.duplicates_per_mille.to_string())),
        ("lines", Some(own.lines.to_string())),
        ("reads per mille", Some(own.reads_per_mille.to_string())),
        ("refunds per mille", Some(own.refunds_per_mille.to_string())),
        ("promo", Some(own.promo.clone())),
        ("tenant", Some(own.tenant.clone())),
        ("start", Some(own.start.clone())),
        ("step_ms", Some(own.step_ms.to_string())),
        ("subscribers", Some(delivered.map_or(0, |own| own.subscribers).to_string())),
        ("stalled subscribers", Some(delivered.map_or(0, |own| own.stalled).to_string())),
        ("cores", (own.cores != 0).then(|| own.cores.to_string())),
        ("shards of the server", own.server.as_ref().map(|server| server.shards.to_string())),
    ]
}

/// Lists what of B is worse by more than so many percent.
fn worsenings(one: &Report, two: &Report, percent: u32) -> Vec<String> {
    let hundredfold = |value: u64| u128::from(value) * 100;
    let times = |value: u64, percent: u32| u128::from(value) * u128::from(percent);
    let mut found = Vec::new();
    let (rate, rate_now) = (one.purchases_per_second, two.purchases_per_second);
    if hundredfold(rate_now) < times(rate, 100_u32.saturating_sub(percent)) {
        found.push(format!("purchases/s fell by more than {percent} %: {}", Change { one: rate, two: rate_now }));
    }
    let (p99, p99_now) = (one.latency_us.p99, two.latency_us.p99);
    if times(p99, 100 + percent) < hundredfold(p99_now) {
        found.push(format!("p99 rose by more than {percent} %: {}", Change { one: p99, two: p99_now }));
    }
    if !one.is_right() || !two.is_right() {
        found.push("the totals did not agree".to_owned());
    }
    found
}

/// How a figure changed. It is written in percent, in whole tenths of one, a half away from zero.
struct Change {
    one: u64,
    two: u64,
}

impl fmt::Display for Change {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (one, apart) = (u128::from(self.one), u128::from(self.one.abs_diff(self.two)));
        if one == 0 {
            return out.write_str(if apart == 0 { "0.0 %" } else { "from 0" });
        }
        let tenths = (apart * 1_000 + one / 2) / one;
        let sign = match tenths {
            0 => "",
            _ if self.one < self.two => "+",
            _ => "-",
        };
        write!(out, "{sign}{}.{} %", tenths / 10, tenths % 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As it was written before results told of seconds.
    const EARLIER: &str = r#"{"tenant":"journey","seed":7,"customers":100000,"skew":"1.000","duplicates_per_mille":0,
        "promo":"JOURNEY2017","start":"2017-07-01T00:00:00Z","step_ms":100,"connections":4,"batch":100,
        "purchases_planned":8000,"purchases_answered":8000,"requests":81,"elapsed_us":392554,
        "purchases_per_second":20000,"requests_per_second":206,"busy_elapsed_us":364602,
        "busy_purchases_per_second":20296,"latency_us":{"p50":17167,"p90":26527,"p99":40000,"p999":40001,"max":40002},
        "booked":8000,"replayed":0,"refused":{"promo_unknown":2},"retries":0,"amount":"4043486200",
        "point_total":"72548276","rate":null,"arrivals":null,"window":null,"delivered":null,"differences":[]}"#;

    fn report(change: impl FnOnce(&mut Report)) -> Report {
        let mut report = serde_json::from_str(EARLIER).unwrap();
        change(&mut report);
        report
    }

    fn same() -> Report {
        report(|_| ())
    }

    fn written(one: &Report, two: &Report) -> String {
        let mut out = Vec::new();
        write_comparison(one, two, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_earlier_result_is_read_and_a_later_one_keeps_its_form() {
        let earlier = same();
        assert_eq!((earlier.cores, earlier.seconds.len(), earlier.server.is_none()), (0, 0, true));
        let again: Report = serde_json::from_str(&serde_json::to_string(&earlier).unwrap()).unwrap();
        assert_eq!(again.latency_us, earlier.latency_us);
        let text = written(&earlier, &again);
        assert!(!text.contains("WARNING"), "{text}");
        let refused = text.lines().find(|line| line.starts_with("refused")).unwrap();
        assert_eq!(refused.split_whitespace().collect::<Vec<_>>(), ["refused", "2", "2", "0.0", "%"]);
        let syncs = text.lines().find(|line| line.starts_with("server: p99")).unwrap();
        assert!(syncs.ends_with('-'), "what neither knows is not 0: {syncs}");
    }

    #[test]
    fn what_is_no_result_is_told() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for text in ["", "[]", "{\"tenant\":\"journey\"}"] {
            std::fs::write(file.path(), text).unwrap();
            assert!(matches!(read(file.path()), Err(CompareError::NoResult { .. })), "{text}");
        }
        assert!(matches!(read(Path::new("/nowhere/at/all")), Err(CompareError::Read { .. })));
    }

    #[test]
    fn conditions_that_differ_are_warned_of() {
        let two = report(|own| {
            (own.batch, own.rate, own.skew, own.cores) = (1, Some(5), "0.000".to_owned(), 8);
            own.replayed = 3;
            own.purchases_answered = 7;
            own.differences.push("amount".to_owned());
        });
        assert_eq!(
            warnings(&same(), &two),
            [
                "batch differs: 100 in A, 1 in B",
                "skew differs: 1.000 in A, 0.000 in B",
                "rate differs: none in A, 5 in B",
                "the totals of B did not agree; its figures are worth nothing",
                "3 purchases of B were answered from the ledger",
                "the time of B was up before all was sent",
            ]
        );
    }

    #[test]
    fn changes_are_in_tenths_of_a_percent() {
        let change = |one, two| Change { one, two }.to_string();
        assert_eq!(change(1_000, 1_123), "+12.3 %");
        assert_eq!(change(1_000, 995), "-0.5 %");
        assert_eq!(change(10_000, 9_996), "0.0 %");
        assert_eq!(change(10_000, 10_005), "+0.1 %");
        assert_eq!(change(3, 2), "-33.3 %");
        assert_eq!(change(1, u64::MAX), "+1844674407370955161400.0 %");
        assert_eq!([change(0, 0), change(0, 1)], ["0.0 %", "from 0"]);
    }

    #[test]
    fn worse_is_more_than_the_limit_either_way() {
        let worse = |rate, p99, percent| {
            let two = report(|own| (own.purchases_per_second, own.latency_us.p99) = (rate, p99));
            worsenings(&same(), &two, percent).len()
        };
        assert_eq!(worse(18_000, 44_000, 10), 0, "as much is not more");
        assert_eq!(worse(17_999, 44_000, 10), 1);
        assert_eq!(worse(17_999, 44_001, 10), 2);
        assert_eq!(worse(30_000, 1, 0), 0, "better");
        assert_eq!(worse(0, 40_000, 100), 0);
        assert_eq!(worsenings(&same(), &report(|own| own.differences.push("amount".to_owned())), 50).len(), 1);
    }
}
