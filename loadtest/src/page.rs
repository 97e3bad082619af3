//! A result as one page of HTML, for whoever was not there: what was measured under which conditions, in figures, plots and tables.
//!
//! The page needs nothing beside itself: no script, no font, no network. It shows a [`Report`] and adds no finding of its own.

use std::fmt::{self, Display as _};

use crate::gauges::Gauges;
use crate::plot::{Axis, Image, Line, POINTS_MAX, Plot, Point, Scale, Text};
use crate::report::{Report, Sampled, SecondShown};
use crate::series::LatencyBrief;
use crate::tally::{Latency, Timed, WHOLE_PARTS};
use crate::units::{bytes, count, seconds, time};
use crate::zipf::log2;

const STYLE: &str = include_str!("page.css");
/// The curve of percentiles is drawn from here on.
const CURVE_PARTS_MIN: u64 = WHOLE_PARTS / 2;
/// Where the curve of percentiles may have a mark: one of so many requests is beyond, and how that is said.
const CURVE_MARKS: [(u64, &str); 7] = [
    (2, "50 %"),
    (4, "75 %"),
    (10, "90 %"),
    (100, "99 %"),
    (1_000, "99.9 %"),
    (10_000, "99.99 %"),
    (100_000, "99.999 %"),
];

/// A page to be written.
pub(crate) struct Page<'a>(pub(crate) &'a Report);

/// Seconds put together, so that a plot has at most [`POINTS_MAX`] of them.
struct Stretch {
    second: u64,
    seconds: u64,
    purchases: u64,
    requests: u64,
    /// The highest of each.
    latency: Option<LatencyBrief>,
    /// The highest of each, but for the free bytes: the fewest.
    server: Option<Gauges>,
}

impl fmt::Display for Page<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        let stretches = stretches(&report.seconds);
        out.write_str("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n")?;
        out.write_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n")?;
        let rate = count(report.purchases_per_second);
        writeln!(
            out,
            "<title>Kembali load test: {rate} purchases/s</title>\n<style>\n{STYLE}</style>\n</head>\n<body><main>"
        )?;
        writeln!(out, "<h1>Kembali load test</h1>")?;
        writeln!(out, "<p class=\"lead\">{} Begun {}.</p>", Text(&lead(report)), Text(&report.began_at))?;
        write_verdict(report, out)?;
        write_figures(report, out)?;
        write_conditions(report, out)?;
        out.write_str("<h2>Over time</h2>\n")?;
        over_time(report, &stretches).iter().try_for_each(|plot| plot.fmt(out))?;
        out.write_str("<h2>Percentiles of latency</h2>\n")?;
        curve(report).fmt(out)?;
        write_server(report, &stretches, out)?;
        write_tables(report, &stretches, out)?;
        let version = env!("CARGO_PKG_VERSION");
        writeln!(out, "<footer>Written by loadtest {version}. Point at a line for its numbers.</footer>")?;
        out.write_str("</main></body>\n</html>\n")
    }
}

/// Says in a sentence or two what was done.
fn lead(report: &Report) -> String {
    let (answered, connections) = (count(report.purchases_answered), count(report.connections.into()));
    let way = match (report.window, report.batch) {
        (Some(window), _) => format!("by WebSocket, up to {} under way on each", count(window.into())),
        (None, 1) => "one a request".to_owned(),
        (None, batch) => format!("{} a request", count(batch.into())),
    };
    let pace = match report.rate {
        Some(rate) => format!(
            "Sent at {}{} purchases a second ({} arrivals): latency counts from when a request was due.",
            count(rate.into()),
            report.ramp_to.map(|last| format!(", changing evenly to {},", count(last.into()))).unwrap_or_default(),
            report.arrivals.as_deref().unwrap_or("constant")
        ),
        None => {
            "A closed loop: each connection sends when its last request is answered, so a server that stalls is asked \
                 less, and latency leaves out what would have waited."
                .to_owned()
        }
    };
    format!("{answered} purchases over {connections} connections, {way}. {pace}")
}

/// Makes each plot of the page an image of SVG, with a name for its file.
pub(crate) fn images(report: &Report) -> Vec<(String, String)> {
    let stretches = stretches(&report.seconds);
    let mut plots = over_time(report, &stretches).into_iter().chain([curve(report)]).collect::<Vec<_>>();
    plots.extend(of_server(report, &stretches));
    let image = |plot: &Plot<'_>| {
        let name = plot.title.to_lowercase().replace(' ', "-");
        (format!("{name}.svg"), Image { plot, style: STYLE }.to_string())
    };
    plots.iter().map(image).collect()
}

fn over_time<'a>(report: &Report, stretches: &[Stretch]) -> [Plot<'a>; 2] {
    [throughput(report, stretches), latency(report, stretches)]
}

fn write_verdict(report: &Report, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    if report.is_right() {
        out.write_str(
            "<div class=\"verdict\">The totals agree: what the server counted is what it answered, and its trial balance \
             is zero.</div>\n",
        )?;
    } else {
        out.write_str(
            "<div class=\"verdict wrong\">The totals do NOT agree. These figures are worth nothing.\n<ul>\n",
        )?;
        for difference in &report.differences {
            writeln!(out, "<li>{}</li>", Text(difference))?;
        }
        out.write_str("</ul></div>\n")?;
    }
    let mut warn = |text: String| writeln!(out, "<p class=\"warning\">{}</p>", Text(&text));
    if report.purchases_answered != report.purchases_planned {
        let (answered, planned) = (count(report.purchases_answered), count(report.purchases_planned));
        warn(format!("The time was up before all was sent: {answered} of {planned} purchases were answered."))?;
    }
    if report.replayed != 0 {
        let replayed = count(report.replayed);
        warn(format!(
            "{replayed} purchases had been booked before and were answered from the ledger: another workload."
        ))?;
    }
    for (code, refusals) in &report.refused {
        warn(format!("{} purchases were refused: {code}.", count(*refusals)))?;
    }
    Ok(())
}

fn write_figures(report: &Report, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Latency { p50, p90, p99, p999, max } = report.latency_us;
    out.write_str("<dl class=\"figures\">\n")?;
    for (name, value) in [
        ("purchases/s", count(report.purchases_per_second)),
        ("all busy, purchases/s", count(report.busy_purchases_per_second)),
        ("requests/s", count(report.requests_per_second)),
        ("time", time(report.elapsed_us)),
        ("latency p50", time(p50)),
        ("latency p90", time(p90)),
        ("latency p99", time(p99)),
        ("latency p99.9", time(p999)),
        ("latency max", time(max)),
        ("booked", count(report.booked)),
        ("refused", count(report.refused.values().sum())),
        ("retries after 503", count(report.retries)),
    ] {
        writeln!(out, "<div><dt>{}</dt><dd>{}</dd></div>", Text(name), Text(&value))?;
    }
    out.write_str("</dl>\n")
}

/// Makes an axis of the whole run, in milliseconds and marked in seconds.
fn time_axis(report: &Report) -> Axis<'static> {
    let end = Scale::To(report.elapsed_us.div_ceil(1_000_000) * 1_000);
    let written = |ms: u64| match ms % 1_000 {
        0 => count(ms / 1_000),
        rest => format!("{}.{}", ms / 1_000, format!("{rest:03}").trim_end_matches('0')),
    };
    Axis { label: "time since the start, s", scale: end, written }
}

type Value = fn(u64) -> String;

/// Draws what came to pass within each stretch, in its middle.
fn line<'a>(name: &'a str, stretches: &[Stretch], value: impl Fn(&Stretch) -> Option<u64>, written: Value) -> Line<'a> {
    let points = stretches.iter().map(|own| {
        let (y, end) = (value(own)?, own.second + own.seconds);
        let title = format!("{name}: {}, {} to {} s", written(y), count(own.second), count(end));
        Some(Point { x: (own.second + end) * 500, y, title })
    });
    Line { name, is_dashed: false, points: points.collect() }
}

/// Draws what the server said, where a stretch begins.
fn gauge<'a>(name: &'a str, stretches: &[Stretch], value: impl Fn(&Gauges) -> Option<u64>, written: Value) -> Line<'a> {
    let points = stretches.iter().map(|own| {
        let y = value(own.server.as_ref()?)?;
        let title = format!("{name}: {} at {} s", written(y), count(own.second));
        Some(Point { x: own.second * 1_000, y, title })
    });
    Line { name, is_dashed: false, points: points.collect() }
}

/// Says how a request counts, and how seconds are put together, if they are.
fn note(stretches: &[Stretch], how: &str, rest: &str) -> String {
    match stretches.first() {
        Some(Stretch { seconds, .. }) if 1 < *seconds => format!("A point stands for {seconds} s: {how}. {rest}"),
        _ => rest.to_owned(),
    }
}

fn throughput<'a>(report: &Report, stretches: &[Stretch]) -> Plot<'a> {
    // A second that was cut short would look like a fall.
    let is_whole = |own: &Stretch| (own.second + own.seconds) * 1_000_000 <= report.elapsed_us;
    let per_second = |own: &Stretch| is_whole(own).then_some(own.purchases / own.seconds);
    let mut lines = vec![line("answered", stretches, per_second, count)];
    if let Some(rate) = report.rate {
        let (rate, last) = (u64::from(rate), u64::from(report.ramp_to.unwrap_or(rate)));
        let ends_at = 2_000 * report.purchases_planned / (rate + last).max(1);
        let point = |x, y| Some(Point { x, y, title: format!("asked for: {}", count(y)) });
        lines.push(Line { name: "asked for", is_dashed: true, points: vec![point(0, rate), point(ends_at, last)] });
    }
    let rest =
        "A request counts, with its purchases, when its answer is whole. A last second that was cut short is left out.";
    Plot {
        title: "Throughput",
        note: note(stretches, "the mean", rest),
        x: time_axis(report),
        y: Axis { label: "purchases/s", scale: Scale::Linear, written: count },
        lines,
    }
}

fn latency<'a>(report: &Report, stretches: &[Stretch]) -> Plot<'a> {
    let of = |part: fn(&LatencyBrief) -> u64| move |own: &Stretch| own.latency.as_ref().map(part);
    Plot {
        title: "Latency",
        note: note(
            stretches,
            "the highest of each",
            "Of the requests that were answered in each second; a gap where none was.",
        ),
        x: time_axis(report),
        y: Axis { label: "latency of a request", scale: Scale::Log, written: time },
        lines: vec![
            line("p50", stretches, of(|own| own.p50), time),
            line("p99", stretches, of(|own| own.p99), time),
            line("max", stretches, of(|own| own.max), time),
        ],
    }
}

/// Plots latency by how few requests are beyond it: each step to the right is a tenth as many. The whole comes a step behind the last part.
fn curve<'a>(report: &Report) -> Plot<'a> {
    let beyond = |parts: u64| log2(WHOLE_PARTS) - log2((WHOLE_PARTS - parts).max(1));
    let shown = report.percentiles.iter().filter(|(parts, _)| CURVE_PARTS_MIN <= *parts);
    let last = shown.clone().map(|(parts, _)| *parts).filter(|parts| *parts < WHOLE_PARTS).max();
    let end = beyond(last.unwrap_or(CURVE_PARTS_MIN)) + log2(2);
    let points = shown.map(|(parts, us)| {
        let (x, name) =
            if *parts < WHOLE_PARTS { (beyond(*parts), percentile(*parts)) } else { (end, "max".to_owned()) };
        Some(Point { x, y: *us, title: format!("{name}: {}", time(*us)) })
    });
    let marks =
        CURVE_MARKS.iter().map(|(one_of, name)| (beyond(WHOLE_PARTS - WHOLE_PARTS / one_of), (*name).to_owned()));
    let mut marks: Vec<_> = marks.filter(|(at, _)| *at < end).collect();
    marks.push((end, "max".to_owned()));
    Plot {
        title: "How many requests took no longer",
        note: String::new(),
        x: Axis { label: "part of all requests", scale: Scale::Marked(marks), written: count },
        y: Axis { label: "latency of a request", scale: Scale::Log, written: time },
        lines: vec![Line { name: "latency", is_dashed: false, points: points.collect() }],
    }
}

fn write_server(report: &Report, stretches: &[Stretch], out: &mut fmt::Formatter<'_>) -> fmt::Result {
    out.write_str("<h2>The server meanwhile</h2>\n")?;
    let Sampled { sampled, missed, missed_because } = &report.gauges;
    writeln!(
        out,
        "<p class=\"note\">What <code>GET /v1/system</code> said, asked once a second. Samples: {}, gaps: {}.</p>",
        count(*sampled),
        count(*missed)
    )?;
    for (why, times) in missed_because {
        writeln!(out, "<p class=\"warning\">{} without a sample: {}.</p>", seconds(*times), Text(why))?;
    }
    of_server(report, stretches).iter().try_for_each(|plot| plot.fmt(out))
}

/// Plots what the server said; nothing where it said nothing.
fn of_server<'a>(report: &Report, stretches: &[Stretch]) -> Vec<Plot<'a>> {
    if report.gauges.sampled == 0 {
        return Vec::new();
    }
    let room = report.server.as_ref().map(|server| format!("There is room for {}.", count(server.in_flight_room)));
    let highest = |rest: &str| note(stretches, "the highest", rest);
    let mut plots = vec![
        Plot {
            title: "Under way",
            note: highest(&room.unwrap_or_default()),
            x: time_axis(report),
            y: Axis { label: "units of room", scale: Scale::Linear, written: count },
            lines: vec![gauge("under way", stretches, |own| Some(own.in_flight_units), count)],
        },
        Plot {
            title: "Times within the server",
            note: highest("p99 of what took place lately, at most the last minute, so it changes slowly."),
            x: time_axis(report),
            y: Axis { label: "p99", scale: Scale::Log, written: time },
            lines: vec![
                gauge("writing and syncing a frame of the journal", stretches, |own| own.sync_p99_us, time),
                gauge("a decision until it is durable", stretches, |own| own.decision_p99_us, time),
            ],
        },
        Plot {
            title: "Journal",
            note: highest("Records that are durable and not archived yet."),
            x: time_axis(report),
            y: Axis { label: "records", scale: Scale::Linear, written: count },
            lines: vec![gauge("not archived", stretches, |own| Some(own.tail_records), count)],
        },
    ];
    if report.sampled().any(|own| own.memory_bytes.is_some()) {
        plots.push(Plot {
            title: "Memory",
            note: highest("What the server takes of the machine's memory."),
            x: time_axis(report),
            y: Axis { label: "resident", scale: Scale::Linear, written: bytes },
            lines: vec![gauge("resident", stretches, |own| own.memory_bytes, bytes)],
        });
    }
    if let Some(at_first) = report.sampled().find_map(|own| own.disk_free_bytes) {
        let taken = |own: &Gauges| Some(at_first.saturating_sub(own.disk_free_bytes?));
        plots.push(Plot {
            title: "Disk",
            note: highest("How much less is free than at the start, whoever took it."),
            x: time_axis(report),
            y: Axis { label: "taken since the start", scale: Scale::Linear, written: bytes },
            lines: vec![gauge("taken", stretches, taken, bytes)],
        });
    }
    plots
}

/// Says how many requests of a kind there were, and how long they took.
fn timed(own: Timed) -> String {
    let Timed { requests, latency_us } = own;
    format!("{}: {} and {}", count(requests), time(latency_us.p50), time(latency_us.p99))
}

fn write_conditions(report: &Report, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    out.write_str("<h2>Conditions</h2>\n<dl class=\"facts\">\n")?;
    let server = report.server.as_ref();
    let or = |value: Option<String>, other: &str| value.unwrap_or_else(|| other.to_owned());
    for (name, value) in [
        ("purchases", count(report.purchases_planned)),
        ("purchases a request", count(report.batch.into())),
        ("connections", count(report.connections.into())),
        ("under way on each, by WebSocket", or(report.window.map(|window| count(window.into())), "by HTTP")),
        ("customers", count(report.customers.into())),
        ("skew (exponent of Zipf's law)", report.skew.clone()),
        ("seed", report.seed.to_string()),
        ("copies of earlier purchases", format!("{} of 1,000", report.duplicates_per_mille)),
        ("lines of a purchase", count(report.lines.into())),
        ("purchases followed by a read", format!("{} of 1,000", report.reads_per_mille)),
        ("purchases refunded", format!("{} of 1,000", report.refunds_per_mille)),
        ("reads, p50 and p99", or(report.reads.map(timed), "none")),
        ("refunds, p50 and p99", or(report.refunds.map(timed), "none")),
        ("promo", report.promo.clone()),
        ("tenant", report.tenant.clone()),
        (
            "rate",
            or(report.rate.map(|rate| format!("{} purchases/s", count(rate.into()))), "as answers come (closed loop)"),
        ),
        ("rate at the end", or(report.ramp_to.map(|rate| format!("{} purchases/s", count(rate.into()))), "the same")),
        ("arrivals", or(report.arrivals.clone(), "as answers come")),
        ("purchases occurred", format!("from {}, one each {} ms", report.start, count(report.step_ms.into()))),
        (
            "decided again by the core alone",
            or(report.decided_again.map(|purchases| format!("{} purchases", count(purchases))), "not asked for"),
        ),
        ("cores of the machine that sent", report.cores.to_string()),
        ("version of the server", or(server.map(|server| server.version.clone()), "not known")),
        ("shards of the server", or(server.map(|server| server.shards.to_string()), "not known")),
    ] {
        writeln!(out, "<div><dt>{}</dt><dd>{}</dd></div>", Text(name), Text(&value))?;
    }
    if let Some(delivered) = &report.delivered {
        let mut said = Vec::new();
        delivered.write(&mut said).map_err(|_| fmt::Error)?;
        let said = String::from_utf8_lossy(&said);
        writeln!(out, "<div class=\"whole\"><dt>subscribers</dt><dd><pre>{}</pre></dd></div>", Text(said.trim_end()))?;
    }
    out.write_str("</dl>\n")
}

fn write_tables(report: &Report, stretches: &[Stretch], out: &mut fmt::Formatter<'_>) -> fmt::Result {
    out.write_str(
        "<h2>Numbers</h2>\n<details><summary>Percentiles of latency, us</summary>\n<div class=\"wide\"><table>\n",
    )?;
    out.write_str("<tr><th>part of all requests</th><th>latency, us</th></tr>\n")?;
    for (parts, us) in &report.percentiles {
        writeln!(out, "<tr><td>{}</td><td>{}</td></tr>", percentile(*parts), count(*us))?;
    }
    out.write_str("</table></div></details>\n")?;
    let each = stretches.first().map_or(1, |own| own.seconds);
    let how = if each == 1 {
        ""
    } else {
        "; sums of purchases and requests, of all else the highest, of free bytes the fewest"
    };
    writeln!(
        out,
        "<details><summary>Each {}{how}</summary>\n<div class=\"wide\"><table>",
        if each == 1 { "second".to_owned() } else { seconds(each) }
    )?;
    out.write_str(
        "<tr><th>from, s</th><th>purchases</th><th>requests</th><th>p50, us</th><th>p99, us</th><th>max, us</th>",
    )?;
    out.write_str(
        "<th>under way</th><th>not archived</th><th>last durable</th><th>files archived</th><th>syncs lately</th>",
    )?;
    out.write_str("<th>sync p99, us</th><th>decision p99, us</th><th>free bytes</th></tr>\n")?;
    for own in stretches {
        let latency = |part: fn(&LatencyBrief) -> u64| own.latency.as_ref().map(part);
        let gauge = |part: fn(&Gauges) -> Option<u64>| own.server.as_ref().and_then(part);
        write!(out, "<tr><td>{}</td>", count(own.second))?;
        for value in [
            Some(own.purchases),
            Some(own.requests),
            latency(|own| own.p50),
            latency(|own| own.p99),
            latency(|own| own.max),
            gauge(|own| Some(own.in_flight_units)),
            gauge(|own| Some(own.tail_records)),
            gauge(|own| Some(own.durable_seq)),
            gauge(|own| Some(own.archive_segments)),
            gauge(|own| Some(own.syncs)),
            gauge(|own| own.sync_p99_us),
            gauge(|own| own.decision_p99_us),
            gauge(|own| own.disk_free_bytes),
        ] {
            write!(out, "<td>{}</td>", value.map(count).unwrap_or_default())?;
        }
        out.write_str("</tr>\n")?;
    }
    out.write_str("</table></div></details>\n")
}

/// Puts so many seconds together that there are at most [`POINTS_MAX`] stretches of them.
fn stretches(seconds: &[SecondShown]) -> Vec<Stretch> {
    let each = seconds.len().div_ceil(POINTS_MAX).max(1);
    let stretches = seconds.chunks(each).map(|own| Stretch {
        second: own.first().map_or(0, |first| first.second.into()),
        seconds: own.len() as u64,
        purchases: own.iter().map(|own| own.purchases).sum(),
        requests: own.iter().map(|own| own.requests).sum(),
        latency: own.iter().filter_map(|own| own.latency_us).reduce(|one, two| LatencyBrief {
            p50: one.p50.max(two.p50),
            p99: one.p99.max(two.p99),
            max: one.max.max(two.max),
        }),
        server: own.iter().filter_map(|own| own.server).reduce(Gauges::highest),
    });
    stretches.collect()
}

/// Writes parts of [`WHOLE_PARTS`] in percent.
fn percentile(parts: u64) -> String {
    const PERCENT: u64 = WHOLE_PARTS / 100;
    let decimals = format!("{:04}", parts % PERCENT);
    let decimals = decimals.trim_end_matches('0');
    let point = if decimals.is_empty() { "" } else { "." };
    format!("{}{point}{decimals} %", parts / PERCENT)
}

#[cfg(test)]
#[path = "page_tests.rs"]
mod tests;
