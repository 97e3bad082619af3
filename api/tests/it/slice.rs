//! The real purchases of the sample, through the program, against the model: exact totals.

use std::path::Path;

use serde_json::{Value, json};

use crate::earning_model::EarningModel;
use crate::model::Model;
use crate::program::{Server, run, run_well, sample, sample_lines};

const QUOTA: u64 = 1_500;

fn set_quota(server: &Server, quota: u64) {
    let changed = ureq::patch(format!("{}/v1/promos/JOURNEY2017?tenant=journey", server.url))
        .header("Authorization", format!("Bearer {}", crate::program::OPERATOR_TOKEN))
        .content_type("application/json")
        .send(json!({ "quota": quota }).to_string());
    assert!(changed.is_ok(), "{changed:?}");
}

fn send(server: &Server, batch: usize) -> String {
    let file = sample("purchases.ndjson.gz");
    let sent = run(&["send", &file.to_string_lossy(), "--url", &server.url, "--batch", &batch.to_string()]);
    // The sample has lines that are refused.
    assert_eq!(sent.status.code(), Some(4), "{}", String::from_utf8_lossy(&sent.stderr));
    String::from_utf8(sent.stdout).expect("the program prints text")
}

/// Sends the sample to a fresh server, and returns its report and its ledger digest.
fn fresh_run(data_dir: &Path, shards: usize, batch: usize) -> (Value, String) {
    let server = Server::start(data_dir, shards);
    server.apply_sample();
    set_quota(&server, QUOTA);
    send(&server, batch);
    let report = server.get("/v1/reports/summary?tenant=journey");
    server.stop();
    let verified = run_well(&["verify", &data_dir.to_string_lossy()]);
    let digest = verified.lines().last().expect("verify prints").to_owned();
    (report, digest)
}

/// The part of a summary that the promo and the Journey programme make.
fn of_journey(report: &Value) -> Value {
    let mut report = report.clone();
    let members = report.as_object_mut().expect("an object");
    for other in ["as_of", "currency", "programs", "cashback_rules", "campaigns", "rewards"] {
        assert!(members.remove(other).is_some(), "{other}");
    }
    report
}

/// Every kind of rule over the sample, against models that share no code; what the other rules give is unchanged.
#[test]
fn every_kind_of_rule_gives_the_totals_of_the_models() {
    let (mut journey, mut earning) = (Model::new(10_000), EarningModel::default());
    for line in sample_lines() {
        journey.take(&line);
        earning.take(&line);
    }
    let dir = tempfile::tempdir().expect("a temporary folder");
    let server = Server::start(dir.path(), 2);
    run_well(&["apply", "--yes", &sample("full.toml").to_string_lossy(), "--url", &server.url]);
    send(&server, 500);
    let report = server.get("/v1/reports/summary?tenant=journey");
    let seen = json!({
        "spend": report["programs"][1],
        "cashback_rules": report["cashback_rules"],
        "campaigns": report["campaigns"],
        "rewards": report["rewards"],
    });
    assert_eq!(seen, earning.report());
    assert_eq!(of_journey(&report)["tiers"], json!(journey.tiers()));
    assert_eq!(report["point_total"], journey.point_transaction + journey.point_loyalty);
    let balance = server.get("/v1/trial-balance?tenant=journey");
    let totals = balance["totals"].as_array().expect("a list");
    assert!(totals.len() == 3 && totals.iter().all(|unit| unit["total"] == 0), "{balance}");
    server.stop();
    run_well(&["verify", &dir.path().to_string_lossy()]);
}

/// Points of the sample that live thirty days, swept while purchases stream: what expired is what a model says, and the
/// ledger is the same one for any shards and batches, though the sweeps come by when they come.
#[test]
fn r05_points_of_the_sample_expire_as_in_the_model() {
    let mut model = EarningModel::default();
    sample_lines().iter().for_each(|line| model.take(line));
    let (earned, expired) = model.points(30);
    assert!(0 < expired && expired < earned);
    let dir = tempfile::tempdir().expect("a temporary folder");
    let rules = std::fs::read_to_string(sample("full.toml")).expect("the sample is there");
    let rules = rules.replace("\npays = \"cashback\"", "\npays = \"cashback\"\nlife_days = 30");
    let file = dir.path().join("rules.toml");
    std::fs::write(&file, rules).expect("it is written");
    let digests: Vec<String> = [(1, 1_000), (4, 100)]
        .into_iter()
        .map(|(shards, batch)| {
            let data_dir = dir.path().join(shards.to_string());
            let server = Server::start(&data_dir, shards);
            run_well(&["apply", "--yes", &file.to_string_lossy(), "--url", &server.url]);
            send(&server, batch);
            let rolled = || server.get("/v1/reports/liability?tenant=journey")["data"][1].clone();
            // The last sweep may still be under way.
            let seen = (0..2_000).map(|_| rolled()).find(|own| own["expired"] == expired).unwrap_or_else(rolled);
            let lines = ["unit", "earned", "expired", "closing"].map(|line| seen[line].clone());
            assert_eq!(lines, [json!("points/cashback"), json!(earned), json!(expired), json!(earned - expired)]);
            server.stop();
            let verified = run_well(&["verify", &data_dir.to_string_lossy()]);
            verified.lines().last().expect("verify prints").to_owned()
        })
        .collect();
    assert_eq!(digests[0], digests[1]);
}

#[test]
fn the_sample_gives_the_totals_of_the_model() {
    let mut model = Model::new(QUOTA);
    sample_lines().iter().for_each(|line| model.take(line));
    for remark in ["none", "first_transaction", "upgrade", "downgrade", "reset", "maximum"] {
        assert_ne!(model.remarks.get(remark), None, "the sample has a {remark}");
    }
    assert!(model.exhausted > 0 && model.used == QUOTA, "the sample exhausts the quota");

    let dir = tempfile::tempdir().expect("a temporary folder");
    let server = Server::start(dir.path(), 1);
    server.apply_sample();
    set_quota(&server, QUOTA);
    send(&server, 1_000);
    let report = server.get("/v1/reports/summary?tenant=journey");
    let expected = json!({
        "accepted": model.accepted,
        "rejected": model.rejected,
        "amount": model.amount,
        "point_transaction": model.point_transaction,
        "point_loyalty": model.point_loyalty,
        "point_total": model.point_transaction + model.point_loyalty,
        "customers": model.members.len(),
        "promos": [{
            "code": "JOURNEY2017",
            "quota": QUOTA,
            "used": QUOTA,
            "reserved": 0,
            "remaining": 0,
            "declined_exhausted": model.exhausted,
        }],
        "remarks": model.remarks,
        "tiers": model.tiers(),
    });
    assert_eq!(of_journey(&report), expected);

    for customer in ["household-9", "household-16", "household-1962"] {
        let member = &model.members[customer];
        let wallets = server.get(&format!("/v1/customers?tenant=journey&ref={customer}"));
        assert!(
            wallets.to_string().contains(&format!("\"balance\":{}", member.wallet)),
            "{customer} has {}: {wallets}",
            member.wallet
        );
    }

    // The same file again: nothing changes, not the count of refusals either.
    let again = send(&server, 1_000);
    assert!(again.contains(&format!("booked before  {:>12}", model.accepted)), "{again}");
    assert_eq!(of_journey(&server.get("/v1/reports/summary?tenant=journey")), expected);
    server.stop();
}

#[test]
fn r29_shards_and_batches_do_not_show_in_the_digest() {
    let runs: Vec<(Value, String)> = [(1, 1_000), (2, 100), (4, 5_000)]
        .into_iter()
        .map(|(shards, batch)| fresh_run(tempfile::tempdir().expect("a temporary folder").path(), shards, batch))
        .collect();
    for run in &runs[1..] {
        assert_eq!(run.1, runs[0].1);
        assert_eq!(run.0["point_total"], runs[0].0["point_total"]);
    }
}

/// The digest is committed: a debug build, a release build (checked in CI) and any machine come to the same ledger.
#[test]
fn r29_the_demo_gives_its_golden_digest() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let data_dir = dir.path().to_string_lossy();
    run_well(&["demo", "--exit", "--listen", "127.0.0.1:0", "--data-dir", &data_dir]);
    let verified = run_well(&["verify", &data_dir]);
    let expected = std::fs::read_to_string(sample("ledger.digest")).expect("the golden digest is there");
    assert_eq!(verified.split_whitespace().last(), Some(expected.trim_end()));
}
