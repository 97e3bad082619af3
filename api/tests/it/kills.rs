//! `kill -9` of the real process under load, checked by a client that keeps its own record of what was acknowledged.

use std::collections::HashMap;

use serde_json::Value;

use crate::model::Model;
use crate::program::{Server, run_well, sample_lines};

/// Kills in the normal suite. `KEMBALI_DEPTH` multiplies it: 20 makes a thousand.
const KILLS: usize = 50;

#[test]
fn r22_killed_under_load_it_loses_and_doubles_nothing() {
    let depth: usize = std::env::var("KEMBALI_DEPTH").ok().and_then(|depth| depth.parse().ok()).unwrap_or(1);
    let kills = KILLS * depth;
    let lines = sample_lines();
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut acknowledged: HashMap<usize, Value> = HashMap::new();
    let mut next = 0;
    let mut state: u64 = 0x5eed;
    let mut draw = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };

    let server = Server::start(dir.path(), 2);
    server.apply_sample();
    server.kill();
    for kill in 0..kills {
        // Generations are small, so that some kills meet one that is being sealed, archived or dropped.
        let shards = (1 + kill % 3).to_string();
        let server = Server::start_with(dir.path(), &["--shards", &shards, "--generation-bytes", "65536"]);
        // What was acknowledged before the kill is there, with the same result.
        if next > 0 {
            let before = draw(next);
            let again = server.send(&lines[before..=before], |line| {
                let answer: Value = serde_json::from_str(&line).expect("an answer is JSON");
                assert_eq!(answer["replayed"], true, "line {before} after kill {kill}: {line}");
                assert_eq!(answer["result"], acknowledged[&before], "line {before} after kill {kill}");
                true
            });
            assert!(again, "the server answers after kill {kill}");
        }
        // Some requests whole, then a kill in the middle of one.
        let batch = 1 + draw(400);
        let until = next + draw(batch);
        let end = (next + batch).min(lines.len());
        let mut at = next;
        server.send(&lines[next..end], |line| {
            let answer: Value = serde_json::from_str(&line).expect("an answer is JSON");
            acknowledged.insert(at, answer["result"].clone());
            at += 1;
            at < until
        });
        server.kill();
        next = if at >= lines.len() { 0 } else { at };
    }

    // In the end everything is sent once more from the first line: what was acknowledged is a repeat.
    let server = Server::start(dir.path(), 1);
    let mut model = Model::new(10_000);
    lines.iter().for_each(|line| model.take(line));
    let mut number = 0;
    for chunk in lines.chunks(1_000) {
        let whole = server.send(chunk, |line| {
            let answer: Value = serde_json::from_str(&line).expect("an answer is JSON");
            if let Some(result) = acknowledged.get(&number) {
                assert_eq!(answer["replayed"], true, "line {number} was acknowledged: {line}");
                assert_eq!(&answer["result"], result, "line {number}");
            }
            number += 1;
            true
        });
        assert!(whole, "the server answers every line");
    }
    let report = server.get("/v1/reports/summary?tenant=journey");
    let total = model.point_transaction + model.point_loyalty;
    assert_eq!((report["accepted"].as_u64(), report["point_total"].as_i64()), (Some(model.accepted), Some(total)));
    server.stop();
    println!("{kills} kills, {} acknowledged lines compared", acknowledged.len());
    run_well(&["verify", &dir.path().to_string_lossy()]);
}
