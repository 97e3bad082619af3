//! `kembali apply`: what is shown, what is asked, and that what was shown is what is applied.

use std::path::Path;
use std::process::Output;

use crate::fake::{Answer, Fake};
use crate::program::{Server, run, run_well, sample};

fn texts(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn apply(url: &str, file: &Path, more: &[&str]) -> (Option<i32>, String, String) {
    texts(&run(&[&["apply", &file.to_string_lossy(), "--url", url], more].concat()))
}

#[test]
fn nothing_is_applied_that_was_not_confirmed() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let server = Server::start(&dir.path().join("data"), 1);
    let file = sample("full.toml");
    let is_there = || run(&["export", "--tenant", "journey", "--url", &server.url]).status.success();

    let (code, out, err) = apply(&server.url, &file, &[]);
    assert_eq!(code, Some(6), "{err}");
    assert!(out.starts_with("tenant journey, version 0 -> 1\n  tenant journey: created\n"), "{out}");
    assert!(err.contains("no terminal to ask on") && err.contains("--yes") && !is_there(), "{err}");

    let (code, out, err) = apply(&server.url, &file, &["--dry-run"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.contains("  partner grocer would be given an API key, with the id "), "{out}");
    assert!(out.ends_with("nothing was changed; this would be version 1\n") && !is_there(), "{out}");

    let (code, out, err) = apply(&server.url, &file, &["--yes"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.contains("  partner grocer was given an API key, with the id "), "{out}");
    assert!(out.ends_with("applied; version 1 holds now\n") && !out.contains("grocer-demo-key"), "{out}");
    assert!(is_there());

    // What is there already needs no answer.
    let (code, out, _) = apply(&server.url, &file, &[]);
    assert!(code == Some(0) && out.contains("  partner grocer has its API key already, with the id "), "{out}");
    assert!(out.ends_with("nothing changes; version 1 holds\n"), "{out}");

    // A key alone is something to do.
    let more = std::fs::read_to_string(&file).expect("the sample is there").replace("grocer-demo-key", "another-key");
    let keyed = dir.path().join("keyed.toml");
    std::fs::write(&keyed, more).expect("it is written");
    assert_eq!(apply(&server.url, &keyed, &[]).0, Some(6));
    let (code, out, _) = apply(&server.url, &keyed, &["-y"]);
    assert!(code == Some(0) && out.ends_with("nothing changes; version 1 holds\n"), "{out}");
    assert!(out.contains("  partner grocer was given an API key") && !out.contains("another-key"), "{out}");
    server.stop();
}

#[test]
fn a_plan_says_who_would_move() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let server = Server::start(&dir.path().join("data"), 2);
    run_well(&["apply", "--yes", &sample("full.toml").to_string_lossy(), "--url", &server.url]);
    let line = |number: u32, amount: u32| {
        format!(
            r#"{{"origin_id":"{number}","customer":{{"ref":"c{number}"}},"amount":{amount},"quantity":1,"occurred_at":"2017-03-01T00:00:00Z"}}"#
        )
    };
    let lines: Vec<String> = (0..8).map(|number| line(number, 1_000_000 * number + 1)).collect();
    assert!(server.send(&lines, |answer| answer.contains("\"status\":201")));
    let text = std::fs::read_to_string(sample("full.toml")).expect("the sample is there");
    let file = dir.path().join("lowered.toml");
    std::fs::write(&file, text.replace("spent_min = 5000000", "spent_min = 2000000")).expect("it is written");
    let (_, out, _) = apply(&server.url, &file, &["--dry-run"]);
    assert!(out.contains("  tier programme Spend, level Silver: spent_min 5000000 -> 2000000\n"), "{out}");
    assert!(out.contains("What 8 customers would see of it, as they stand now:\n"), "{out}");
    let said = "tier programme Spend: 3 customers at Bronze have spent enough for Silver and stay there now; \
                the purchase that takes them to 15,000,000 leads them to Gold\n      such as ";
    assert!(out.contains(said), "{out}");
    server.stop();
}

#[test]
fn what_was_shown_is_what_is_applied() {
    let plan =
        r#"{"tenant":"journey","version":4,"changed":true,"seq":null,"changes":["c"],"warnings":[],"dry_run":true}"#;
    let conflict = r#"{"code":"version_conflict","detail":"Read it again.","expected":3,"found":4}"#;
    let answers = vec![Answer::Json(200, plan.to_owned()), Answer::Json(409, conflict.to_owned())];
    let fake = Fake::start(answers);
    let (code, out, err) = apply(&fake.url, &sample("full.toml"), &["--yes"]);
    assert_eq!((code, out.as_str()), (Some(4), "tenant journey, version 3 -> 4\n  c\n"));
    assert!(err.contains("changed by somebody else meanwhile") && err.contains("Nothing was done"), "{err}");
    let expected = ["dry_run=true", "expected_version=3"];
    assert_eq!(fake.requests(), expected.map(|more| format!("PUT /v1/catalogue?tenant=journey&{more} HTTP/1.1")));
}
