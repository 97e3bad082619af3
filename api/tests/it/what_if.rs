//! `kembali what-if` over the real purchases of the sample, on a running server and offline, against the model.

use std::path::Path;

use serde_json::Value;

use crate::model::Model;
use crate::program::{OPERATOR_TOKEN, Server, run, run_well, sample, sample_lines};

/// A copy of the sample catalogue with one text in place of another.
fn catalogue(dir: &Path, from: &str, to: &str) -> String {
    let text = std::fs::read_to_string(sample("journey.toml")).expect("the sample is there");
    assert!(text.contains(from), "{from}");
    let path = dir.join(format!("wanted-{}.toml", to.len()));
    std::fs::write(&path, text.replace(from, to)).expect("it is written");
    path.to_string_lossy().into_owned()
}

fn digest(data_dir: &Path) -> String {
    let verified = run_well(&["verify", &data_dir.to_string_lossy()]);
    verified.lines().last().expect("verify prints").to_owned()
}

/// The figures of NDJSON behind the line of the run, which says how long it took.
fn figures(ndjson: &str) -> Vec<Value> {
    let lines: Vec<Value> = ndjson.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines[0]["section"], "run");
    lines[1..].to_vec()
}

fn find<'a>(figures: &'a [Value], section: &str, measure: &str) -> &'a Value {
    let fits = |figure: &&Value| figure["section"] == section && figure["measure"] == measure;
    figures.iter().find(fits).unwrap_or_else(|| panic!("{section} {measure}"))
}

#[test]
fn the_sample_under_the_same_rules_and_another_quota() {
    let (mut quota_of_sample, mut small) = (Model::new(10_000), Model::new(700));
    for line in sample_lines() {
        quota_of_sample.take(&line);
        small.take(&line);
    }
    assert!(small.exhausted > 0);
    let dir = tempfile::tempdir().expect("a temporary folder");
    let data_dir = dir.path().join("ledger");
    let same = sample("journey.toml").to_string_lossy().into_owned();
    let other = catalogue(dir.path(), "quota = 10000", "quota = 700");

    let server = Server::start(&data_dir, 1);
    server.apply_sample();
    run_well(&["send", &sample("purchases.ndjson.gz").to_string_lossy(), "--url", &server.url]);
    let ask = |catalogue: &str, more: &[&str]| {
        let mut arguments = vec!["what-if", "--catalogue", catalogue, "--url", &server.url];
        arguments.extend_from_slice(more);
        run_well(&arguments)
    };
    let text = ask(&same, &[]);
    assert!(text.contains(&format!("{} purchases decided again", quota_of_sample.accepted)), "{text}");
    assert!(text.lines().any(|line| line == "nothing differs"), "{text}");
    let live = ask(&other, &["--format", "ndjson", "--top", "3"]);
    let csv = ask(&other, &["--format", "csv", "--top", "3"]);
    let part = ask(&other, &["--format", "ndjson", "--from", "100", "--to", "200"]);
    let later = ask(&other, &["--format", "ndjson", "--from", "2000-01-01T00:00:00+07:00"]);
    server.stop();

    let before = digest(&data_dir);
    let directory = data_dir.to_string_lossy();
    let offline = |catalogue: &str, more: &[&str]| {
        let mut arguments = vec!["what-if", "--catalogue", catalogue, "--data-dir", &directory];
        arguments.extend_from_slice(more);
        run_well(&arguments)
    };
    assert!(offline(&same, &[]).lines().any(|line| line == "nothing differs"));
    let figures_of = figures(&live);
    assert_eq!(figures_of, figures(&offline(&other, &["--format", "ndjson", "--top", "3"])));
    assert_eq!(figures(&part), figures(&offline(&other, &["--format", "ndjson", "--from", "100", "--to", "200"])));
    let run_of_later: Value = serde_json::from_str(later.lines().next().expect("a line")).expect("JSON");
    assert_eq!(run_of_later["from"], 1);
    assert_eq!(digest(&data_dir), before, "the ledger is as it was");

    let paid = find(&figures_of, "sums", "point_transaction");
    assert_eq!(
        (&paid["before"], &paid["after"]),
        (&quota_of_sample.point_transaction.into(), &small.point_transaction.into())
    );
    let loyalty = find(&figures_of, "sums", "point_loyalty");
    assert_eq!((&loyalty["before"], &loyalty["after"]), (&small.point_loyalty.into(), &small.point_loyalty.into()));
    assert_eq!(find(&figures_of, "promos", "granted")["after"], 700);
    assert_eq!(find(&figures_of, "promos", "declined_exhausted")["after"], small.exhausted);
    let losers = |figure: &&Value| figure["measure"].as_str().is_some_and(|measure| measure.starts_with("customer "));
    assert_eq!(figures_of.iter().filter(losers).count(), 3);
    assert_eq!(csv.lines().next(), Some("section,name,measure,before,after,difference"));
    assert_eq!(csv.lines().count(), figures_of.len() + 1);
}

#[test]
fn each_failure_ends_with_its_code() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let data_dir = dir.path().join("ledger");
    let directory = data_dir.to_string_lossy().into_owned();
    let server = Server::start(&data_dir, 1);
    server.apply_sample();
    let same = sample("journey.toml").to_string_lossy().into_owned();
    let no_toml = dir.path().join("broken.toml");
    std::fs::write(&no_toml, "[tenant").expect("it is written");
    let no_toml = no_toml.to_string_lossy().into_owned();
    let overlapping = catalogue(dir.path(), "quantity = 2, amount_min = 500000", "quantity = 1, amount_min = 400000");
    let stranger = catalogue(dir.path(), "slug = \"journey\"", "slug = \"somebody\"");
    let url = server.url.clone();
    let ends = |arguments: &[&str], code: i32, says: &str| {
        let output = run(&[&["what-if"], arguments].concat());
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?} {stderr}");
        assert!(stderr.contains(says) && output.stdout.is_empty(), "{arguments:?} {stderr}");
    };
    let online = ["--url", &url, "--catalogue"];
    ends(&[&online[..], &[&same, "--from", "9"]].concat(), 4, "range_empty");
    ends(&[&online[..], &[&same, "--from", "2", "--to", "1"]].concat(), 4, "range_empty");
    ends(&[&online[..], &[&same, "--operator-token", "not-the-token-of-tests"]].concat(), 4, "operator_token_unknown");
    ends(&[&online[..], &[&overlapping]].concat(), 4, "promos[JOURNEY2017].bands");
    ends(&[&online[..], &[&stranger]].concat(), 4, "tenant_not_found");
    ends(&[&online[..], &[&no_toml]].concat(), 1, "is no catalogue");
    ends(&[&online[..], &["there/is/none.toml"]].concat(), 1, "reading there/is/none.toml");
    for wrong in [
        &["--from", "yesterday"][..],
        &["--from", "2017-03-01"],
        &["--to", "-1"],
        &["--top", "1001"],
        &["--format", "xml"],
        &["--scratch", "/tmp"],
    ] {
        ends(&[&online[..], &[&same], wrong].concat(), 2, "error:");
    }
    ends(&["--url", "http://127.0.0.1:9", "--catalogue", &same], 5, "cannot be reached");

    let offline = ["--data-dir", &directory, "--catalogue"];
    ends(&[&offline[..], &[&same]].concat(), 1, "is held by another process");
    server.stop();
    ends(&[&offline[..], &[&overlapping]].concat(), 1, "promos[JOURNEY2017].bands");
    ends(&[&offline[..], &[&stranger]].concat(), 1, "there is no tenant somebody");
    ends(&[&offline[..], &[&same, "--from", "9"]].concat(), 1, "no record lies in the range");
    let nothing = dir.path().join("nothing");
    ends(&["--data-dir", &nothing.to_string_lossy(), "--catalogue", &same], 1, "holds no ledger");
    let text = run_well(&[&["what-if"], &offline[..], &[&same]].concat());
    assert!(text.contains("0 purchases decided again"), "{text}");
    std::fs::write(data_dir.join("journal/head"), "no head").expect("it is written");
    ends(&[&offline[..], &[&same]].concat(), 3, "journal/head");
    let left: Vec<String> = std::fs::read_dir(&data_dir)
        .expect("it is there")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with("verify-"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(OPERATOR_TOKEN.len() > 16);
}
