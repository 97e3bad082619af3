//! `kembali what-if`: decides recorded purchases again under another catalogue, on a running server or on a ledger that
//! no server runs, and writes what would have been different. Nothing is changed either way.

use std::io::{self, IsTerminal as _, Write};
use std::path::Path;

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use kembali_engine::{Bound, WhatIfOfflineError, WhatIfRequest, what_if_offline};
use kembali_http::{BOUND_EXPECTED, CatalogueFault, parse_bound, what_if_document};
use serde::Serialize;
use serde_json::{Value, json};

use crate::apply::{ApplyError, Wanted};
use crate::client::{Client, ClientError};
use crate::serve::ServeError;

/// How the report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// A JSON object a line: the run first, then each figure.
    Ndjson,
    /// Each figure in a line, behind a line of headings.
    Csv,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WhatIfError {
    #[error(transparent)]
    Catalogue(#[from] ApplyError),
    #[error(transparent)]
    Draft(#[from] CatalogueFault),
    #[error(transparent)]
    Server(#[from] ClientError),
    #[error(transparent)]
    Offline(#[from] WhatIfOfflineError),
    #[error(transparent)]
    Runtime(ServeError),
    #[error("the progress bar cannot be drawn: {0}")]
    Bar(#[from] indicatif::style::TemplateError),
}

/// An end of the range, as it was written and as it was read.
#[derive(Clone, Debug)]
pub(crate) struct BoundText {
    text: String,
    bound: Bound,
}

/// Reads an end of the range.
pub(crate) fn read_bound(text: &str) -> Result<BoundText, String> {
    let bound = parse_bound(text).ok_or_else(|| format!("must be {BOUND_EXPECTED}"))?;
    Ok(BoundText { text: text.to_owned(), bound })
}

/// What is asked beside the rules.
pub(crate) struct Question {
    pub(crate) from: Option<BoundText>,
    pub(crate) to: Option<BoundText>,
    pub(crate) top: u16,
}

/// Draws how far a run is, on standard error and only for people.
struct Bar(ProgressBar);

impl Bar {
    fn new() -> Result<Bar, WhatIfError> {
        if !io::stderr().is_terminal() {
            return Ok(Bar(ProgressBar::hidden()));
        }
        let style = ProgressStyle::with_template("{bar:32} {percent:>3}%  {msg}  {elapsed} (left: {eta})")?;
        Ok(Bar(ProgressBar::new(0).with_style(style)))
    }

    fn show(&self, reached: u64, to: u64, purchases: u64) {
        self.0.set_length(to);
        self.0.set_position(reached);
        self.0.set_message(format!("{purchases} purchases"));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Asks a running server, and returns its report.
pub(crate) async fn ask(
    client: &mut Client,
    token: &str,
    wanted: &Wanted,
    question: &Question,
) -> Result<Value, WhatIfError> {
    let mut path = format!("/v1/what-if?tenant={}&top={}", wanted.file.tenant.slug, question.top);
    for (name, bound) in [("from", &question.from), ("to", &question.to)] {
        if let Some(bound) = bound {
            // Of all that a position or an instant may hold, a query takes only this for something else.
            path += &format!("&{name}={}", bound.text.replace('+', "%2B"));
        }
    }
    let bar = Bar::new()?;
    let mut report = None;
    client
        .post_for_lines(&path, token, &wanted.body, |line| {
            let unexpected = |said: &dyn std::fmt::Display| ClientError::Unexpected(said.to_string());
            let mut line: Value = serde_json::from_slice(line).map_err(|error| unexpected(&error))?;
            let progress = &line["progress"];
            let number = |name: &str| progress[name].as_u64();
            match (number("reached"), number("to"), number("purchases")) {
                (Some(reached), Some(to), Some(purchases)) => bar.show(reached, to, purchases),
                _ => report = Some(line["report"].take()),
            }
            Ok(())
        })
        .await?;
    let missing = || ClientError::Unexpected("the answer ended without a report".to_owned());
    Ok(report.filter(Value::is_object).ok_or_else(missing)?)
}

/// Decides on a ledger that no server runs, and returns the report.
pub(crate) fn offline(dir: &Path, scratch: &Path, wanted: &Wanted, question: &Question) -> Result<Value, WhatIfError> {
    let bound = |bound: &Option<BoundText>| bound.as_ref().map(|bound| bound.bound);
    let request = WhatIfRequest {
        draft: wanted.file.to_draft()?,
        from: bound(&question.from),
        to: bound(&question.to),
        largest: question.top.into(),
    };
    let bar = Bar::new()?;
    let tell = |progress: kembali_engine::WhatIfProgress| {
        bar.show(progress.reached.0, progress.to.0, progress.purchases);
    };
    Ok(what_if_document(&what_if_offline(dir, scratch, request, tell)?))
}

/// One figure of a report. What a figure does not have is null.
#[derive(Serialize)]
struct Row {
    section: &'static str,
    name: String,
    measure: String,
    before: Value,
    after: Value,
    difference: Value,
}

/// The lists of a report: the section, the member that names an item, and its figures.
const LISTS: [(&str, &str, &[&str]); 5] = [
    ("promos", "code", &["granted", "points", "declined_exhausted"]),
    ("cashback_rules", "name", &["grants", "sum"]),
    ("campaigns", "name", &["completions"]),
    ("rewards", "name", &["grants", "sum"]),
    ("costs", "account", &["sum"]),
];

const SUMS: [&str; 9] = [
    "accepted",
    "amount",
    "point_transaction",
    "point_loyalty",
    "point_total",
    "reward_points",
    "reward_credit",
    "rewarded_customers",
    "customers",
];

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value[name].as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Takes a report apart into its figures, in the order in which they are written.
fn rows(report: &Value) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut add = |section: &'static str, name: String, measure: &str, figure: &Value| {
        let [before, after, difference] = ["before", "after", "difference"].map(|member| figure[member].clone());
        rows.push(Row { section, name, measure: measure.to_owned(), before, after, difference });
    };
    for measure in SUMS {
        add("sums", String::new(), measure, &report["sums"][measure]);
    }
    for (code, count) in report["refused"].as_object().into_iter().flatten() {
        add("refused", code.clone(), "purchases", &json!({ "before": 0, "after": count, "difference": count }));
    }
    for (code, count) in report["refused_operations"].as_object().into_iter().flatten() {
        add("refused", code.clone(), "operations", &json!({ "before": 0, "after": count, "difference": count }));
    }
    for (section, named_by, measures) in LISTS {
        for item in list(report, section) {
            let name = text(&item[named_by]);
            if section == "promos" {
                add(section, name.clone(), "quota", &item["quota"]);
            }
            for measure in measures {
                // What an account pays in is part of what is measured.
                let measure_in =
                    item["unit"].as_str().map_or_else(|| (*measure).to_owned(), |unit| format!("{measure} {unit}"));
                add(section, name.clone(), &measure_in, &item[measure]);
            }
            if section == "promos" {
                let ran_out = &item["ran_out"];
                for member in ["seq", "at"] {
                    let figure = json!({ "before": ran_out["before"][member], "after": ran_out["after"][member] });
                    add(section, name.clone(), &format!("ran_out_{member}"), &figure);
                }
            }
        }
    }
    for program in list(report, "programs") {
        let name = text(&program["program"]);
        for level in list(program, "levels") {
            add("programs", name.clone(), &format!("level {}", text(&level["level"])), &level["customers"]);
        }
        for (remark, figure) in program["remarks"].as_object().into_iter().flatten() {
            add("programs", name.clone(), &format!("remark {remark}"), figure);
        }
    }
    for unit in list(report, "people") {
        let name = text(&unit["unit"]);
        for side in ["winners", "losers"] {
            let of = &unit[side];
            add("people", name.clone(), side, &json!({ "difference": of["customers"] }));
            add("people", name.clone(), &format!("{side} sum"), &json!({ "difference": of["sum"] }));
            for customer in list(of, "largest") {
                add("people", name.clone(), &format!("customer {}", text(&customer["customer"])), customer);
            }
        }
    }
    rows
}

/// Writes a report.
pub(crate) fn write(report: &Value, format: Format, out: &mut impl Write) -> io::Result<()> {
    match format {
        Format::Text => write_text(report, out),
        Format::Ndjson => write_ndjson(report, out),
        Format::Csv => write_csv(report, out),
    }
}

/// What a report says of the run itself.
#[derive(Serialize)]
struct Run<'a> {
    section: &'static str,
    tenant: &'a Value,
    currency: &'a Value,
    from: &'a Value,
    to: &'a Value,
    purchases: &'a Value,
    operations: &'a Value,
    elapsed_us: &'a Value,
    purchases_per_second: &'a Value,
    same: &'a Value,
    left_out: &'a Value,
}

fn write_ndjson(report: &Value, out: &mut impl Write) -> io::Result<()> {
    let run = Run {
        section: "run",
        tenant: &report["tenant"],
        currency: &report["currency"],
        from: &report["from"],
        to: &report["to"],
        purchases: &report["purchases"],
        operations: &report["operations"],
        elapsed_us: &report["elapsed_us"],
        purchases_per_second: &report["purchases_per_second"],
        same: &report["same"],
        left_out: &report["left_out"],
    };
    writeln!(out, "{}", serde_json::to_string(&run)?)?;
    rows(report).iter().try_for_each(|row| writeln!(out, "{}", serde_json::to_string(row)?))
}

fn write_csv(report: &Value, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "section,name,measure,before,after,difference")?;
    for Row { section, name, measure, before, after, difference } in rows(report) {
        let fields = [section.to_owned(), name, measure, text(&before), text(&after), text(&difference)];
        writeln!(out, "{}", fields.map(|field| quoted(&field)).join(","))?;
    }
    Ok(())
}

/// Writes a field of CSV (RFC 4180).
fn quoted(field: &str) -> String {
    let is_plain = !field.contains([',', '"', '\n', '\r']);
    if is_plain { field.to_owned() } else { format!("\"{}\"", field.replace('"', "\"\"")) }
}

fn write_text(report: &Value, out: &mut impl Write) -> io::Result<()> {
    let [tenant, currency, from, to, purchases, rate] =
        ["tenant", "currency", "from", "to", "purchases", "purchases_per_second"].map(|member| text(&report[member]));
    let operations = text(&report["operations"]);
    let millis = report["elapsed_us"].as_u64().unwrap_or_default() / 1_000;
    writeln!(out, "What if, for {tenant}: records {from} to {to}, amounts in {currency}")?;
    writeln!(out, "{purchases} purchases decided again in {millis} ms, {rate} a second; {operations} operations")?;
    let left_out = &report["left_out"];
    writeln!(
        out,
        "left out: refused purchases {} (what was bought is not kept), refused operations {}, changes of the rules {}, \
         other records {}",
        left_out["refused_purchases"],
        left_out["refused_operations"],
        left_out["catalogue_changes"],
        left_out["other_records"]
    )?;
    if report["same"] == true {
        writeln!(out, "nothing differs")?;
    }
    writeln!(out, "{:<46} {:>20} {:>20} {:>20}", "", "before", "after", "difference")?;
    let mut seen = ("", String::new());
    for Row { section, name, measure, before, after, difference } in rows(report) {
        let place = (section, name);
        if seen != place {
            writeln!(out, "{}", format!("{} {}", place.0.replace('_', " "), place.1).trim_end())?;
            seen = place;
        }
        let shown =
            [before, after, difference].map(|value| if value.is_null() { "-".to_owned() } else { text(&value) });
        let [before, after, difference] = shown;
        writeln!(out, "  {measure:<44} {before:>20} {after:>20} {difference:>20}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(report: &Value, format: Format) -> String {
        let mut out = Vec::new();
        write(report, format, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn report() -> Value {
        let figure =
            |before: i64, after: i64| json!({ "before": before, "after": after, "difference": after - before });
        json!({
            "tenant": "journey", "currency": "IDR", "from": 1, "to": 9, "purchases": 7, "elapsed_us": 2_500,
            "purchases_per_second": 2_800, "same": false, "refused": { "promo_unknown": 2 },
            "left_out": { "refused_purchases": 1, "catalogue_changes": 1, "other_records": 0 },
            "sums": { "accepted": figure(7, 5), "customers": figure(2, 2) },
            "promos": [{
                "code": "A,\"B\"", "quota": { "before": null, "after": 5 }, "granted": figure(0, 5),
                "ran_out": { "before": null, "after": { "seq": 6, "at": "2017-03-01T00:00:00Z" } },
            }],
            "programs": [{
                "program": "Journey", "levels": [{ "level": "BRONZE", "customers": figure(2, 1) }],
                "remarks": { "upgrade": figure(0, 1) },
            }],
            "costs": [{ "account": "loyalty_expense", "unit": "IDR", "sum": figure(10, 4) }],
            "people": [{
                "unit": "IDR",
                "winners": { "customers": 0, "sum": 0, "largest": [] },
                "losers": { "customers": 1, "sum": -6, "largest": [{ "customer": "c", "difference": -6 }] },
            }],
        })
    }

    #[test]
    fn csv_has_a_line_for_each_figure() {
        let csv = written(&report(), Format::Csv);
        for line in [
            "section,name,measure,before,after,difference",
            "sums,,accepted,7,5,-2",
            "refused,promo_unknown,purchases,0,2,2",
            "promos,\"A,\"\"B\"\"\",quota,,5,",
            "promos,\"A,\"\"B\"\"\",granted,0,5,5",
            "promos,\"A,\"\"B\"\"\",ran_out_seq,,6,",
            "promos,\"A,\"\"B\"\"\",ran_out_at,,2017-03-01T00:00:00Z,",
            "programs,Journey,level BRONZE,2,1,-1",
            "programs,Journey,remark upgrade,0,1,1",
            "costs,loyalty_expense,sum IDR,10,4,-6",
            "people,IDR,losers,,,1",
            "people,IDR,losers sum,,,-6",
            "people,IDR,customer c,,,-6",
        ] {
            assert!(csv.lines().any(|own| own == line), "{line} is not in\n{csv}");
        }
    }

    #[test]
    fn ndjson_says_the_run_first_and_text_says_all_of_it() {
        let ndjson = written(&report(), Format::Ndjson);
        let lines: Vec<Value> = ndjson.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((&lines[0]["section"], &lines[0]["purchases"]), (&json!("run"), &json!(7)));
        assert_eq!(lines.len(), written(&report(), Format::Csv).lines().count());
        let text = written(&report(), Format::Text);
        assert!(text.contains("7 purchases decided again in 2 ms, 2800 a second"), "{text}");
        assert!(!text.contains("nothing differs"), "{text}");
    }
}
