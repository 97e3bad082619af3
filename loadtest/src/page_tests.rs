//! Pages of results that are made up.

use std::collections::BTreeMap;

use super::*;
use crate::gauges::Server;

fn gauges(in_flight_units: u64) -> Gauges {
    Gauges {
        in_flight_units,
        tail_records: 12_345,
        durable_seq: 20_000,
        archived_seq: 7_655,
        archive_segments: 3,
        measured_s: 60,
        syncs: 900,
        sync_p99_us: Some(1_500),
        decision_p99_us: None,
        disk_free_bytes: Some(900_000_000_000 - in_flight_units * 1_000_000),
        memory_bytes: Some(500_000_000 + in_flight_units * 1_000_000),
    }
}

fn second(second: u32, server: Option<Gauges>) -> SecondShown {
    let latency_us = (second != 2).then_some(LatencyBrief { p50: 900, p99: 12_345, max: 2_000_000 });
    SecondShown { second, purchases: 1_000, requests: 10, latency_us, server }
}

/// A run of so many seconds at 1,000 purchases each, of which the third answered nothing.
fn report(seconds: u32) -> Report {
    let shown = (0..seconds).map(|number| second(number, (number != 1).then(|| gauges(number.into()))));
    let missed_because = BTreeMap::from([("refused with status 503".to_owned(), 1)]);
    Report {
        tenant: "journey".to_owned(),
        seed: 7,
        customers: 100_000,
        skew: "1.000".to_owned(),
        duplicates_per_mille: 0,
        promo: "<b>&\"PROMO'".to_owned(),
        start: "2017-07-01T00:00:00Z".to_owned(),
        step_ms: 100,
        connections: 64,
        batch: 100,
        purchases_planned: u64::from(seconds) * 1_000,
        purchases_answered: u64::from(seconds) * 1_000,
        requests: 50,
        elapsed_us: u64::from(seconds) * 1_000_000,
        purchases_per_second: 1_000,
        requests_per_second: 10,
        busy_elapsed_us: 5_000_000,
        busy_purchases_per_second: 1_000,
        latency_us: Latency { p50: 900, p90: 1_000, p99: 12_345, p999: 50_000, max: 2_000_000 },
        booked: u64::from(seconds) * 1_000,
        replayed: 0,
        refused: BTreeMap::new(),
        retries: 0,
        amount: "1".to_owned(),
        point_total: "1".to_owned(),
        rate: Some(1_000),
        ramp_to: None,
        arrivals: Some("poisson".to_owned()),
        window: None,
        lines: 0,
        reads_per_mille: 0,
        refunds_per_mille: 0,
        reads: None,
        refunds: None,
        delivered: None,
        decided_again: Some(12_345),
        differences: Vec::new(),
        began_at: "2026-01-01T00:00:00Z".to_owned(),
        cores: 2,
        server: Some(Server { version: "0.1.0".to_owned(), shards: 2, in_flight_room: 65_536 }),
        percentiles: vec![(0, 100), (500_000, 900), (900_000, 1_000), (990_000, 12_345), (1_000_000, 2_000_000)],
        seconds: shown.collect(),
        gauges: Sampled { sampled: u64::from(seconds).saturating_sub(1), missed: 1, missed_because },
    }
}

fn page(report: &Report) -> String {
    Page(report).to_string()
}

fn count_of(text: &str, part: &str) -> usize {
    text.matches(part).count()
}

#[test]
fn a_page_shows_plots_with_their_units_and_what_was_measured() {
    let text = page(&report(5));
    assert_eq!(count_of(&text, "<figure>"), 8, "throughput, latency, percentiles, and five of the server");
    // Rates and what was asked for; three latencies that pause in the third second, which leaves four pieces of two; the curve; of the
    // server six lines, whose first pieces are single points, and no decisions.
    assert_eq!(count_of(&text, "<polyline"), 2 + 3 * 2 + 1 + 5);
    for expected in [
        "<title>Kembali load test: 1,000 purchases/s</title>",
        "prefers-color-scheme: dark",
        ">time since the start, s</text>",
        ">purchases/s</text>",
        ">latency of a request</text>",
        ">99 %</text>",
        ">max</text>",
        "<title>p99: 12.3 ms, 3 to 4 s</title>",
        "<title>under way: 3 at 3 s</title>",
        "<title>resident: 503 MB at 3 s</title>",
        "<title>90 %: 1 ms</title>",
        "<tr><td>99 %</td><td>12,345</td></tr>",
        "The totals agree",
        "Samples: 4, gaps: 1.",
        "1 second without a sample: refused with status 503.",
        "<dt>version of the server</dt><dd>0.1.0</dd>",
        "<dt>decided again by the core alone</dt><dd>12,345 purchases</dd>",
        "1,000 purchases a second (poisson arrivals)",
    ] {
        assert!(text.contains(expected), "no {expected}");
    }
}

#[test]
fn a_page_needs_nothing_beside_itself_and_inserts_text_as_text() {
    let text = page(&report(5));
    for foreign in ["<script", "http:", "https:", "@import", "url(", "src=", "<b>"] {
        assert!(!text.contains(foreign), "{foreign}");
    }
    assert!(text.contains("&lt;b&gt;&amp;&quot;PROMO&#39;"));
}

#[test]
fn a_page_shows_the_rate_that_was_asked_for_as_it_changes() {
    let mut report = report(5);
    report.ramp_to = Some(4_000);
    let text = page(&report);
    for expected in ["<title>asked for: 1,000</title>", "<title>asked for: 4,000</title>", "evenly to 4,000,"] {
        assert!(text.contains(expected), "no {expected}");
    }
}

#[test]
fn a_page_says_what_is_wrong() {
    let mut report = report(5);
    report.differences.push("amount: <1>".to_owned());
    report.refused.insert("promo_unknown".to_owned(), 1_234);
    report.replayed = 5;
    report.purchases_answered -= 1;
    let text = page(&report);
    for expected in
        ["do NOT agree", "<li>amount: &lt;1&gt;</li>", "1,234 purchases were refused: promo_unknown", "4,999 of 5,000"]
    {
        assert!(text.contains(expected), "no {expected}");
    }
    assert!(!text.contains("The totals agree"));
}

#[test]
fn short_runs_and_runs_of_a_day_are_drawn() {
    for seconds in [0, 1, 2, 3] {
        assert!(page(&report(seconds)).ends_with("</html>\n"));
    }
    let mut empty = report(0);
    (empty.percentiles, empty.server, empty.rate) = (Vec::new(), None, None);
    empty.gauges.sampled = 0;
    assert_eq!(count_of(&page(&empty), "nothing was measured"), 3);
    let day = page(&report(86_400));
    assert!(day.contains("A point stands for 144 s"));
    assert!(day.len() < 2_000_000, "{}", day.len());
}

#[test]
fn percentiles_are_written_for_people() {
    assert_eq!(
        [500_000, 999_000, 999_990, 999_999, 1_000_000].map(percentile),
        ["50 %", "99.9 %", "99.999 %", "99.9999 %", "100 %"]
    );
}

#[test]
fn each_plot_is_an_image_too() {
    let names: Vec<String> = images(&report(5)).into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [
            "throughput.svg",
            "latency.svg",
            "how-many-requests-took-no-longer.svg",
            "under-way.svg",
            "times-within-the-server.svg",
            "journal.svg",
            "memory.svg",
            "disk.svg",
        ]
    );
    assert!(images(&report(5)).iter().all(|(_, image)| image.contains("--s1:") && image.contains("<polyline")));
}
