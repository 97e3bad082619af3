//! R27: a ledger is its key, its journal, its profiles and its archive together. What is missing, or another ledger's, is
//! named at the start and by `verify`, and nothing is changed.

use std::fs;
use std::sync::mpsc;

use kembali_core::Seq;
use kembali_engine::{Engine, EngineConfig, Fault, verify};

use crate::lab::{Lab, book, open_shop, purchase, runtime, word};
use crate::same::input;

/// A ledger of its own key, with a purchase, and nothing archived.
fn ledger() -> Lab {
    let lab = Lab::new();
    runtime().block_on(async {
        let engine = Engine::start(own_key(&lab)).expect("the engine starts").0;
        let shop = open_shop(&engine, 10).await;
        assert_eq!(word(&book(&engine, purchase(shop, "P-1", "ann", 1_000)).await), "booked");
        engine.stop().await.expect("it stops well");
    });
    lab
}

/// Draws a key instead of fixing one.
fn own_key(lab: &Lab) -> EngineConfig {
    EngineConfig { installation_key: None, ..lab.config(1, |fault| panic!("no fault is planned: {fault}")) }
}

/// Says what start and `verify` say of a ledger that must be refused as damaged.
fn refused(lab: &Lab) -> String {
    let start = Engine::start(own_key(lab)).expect_err("the start is refused");
    assert!(start.is_damage(), "{start}");
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let verified = verify(lab.path(), scratch.path()).expect_err("verify refuses it");
    assert!(verified.is_damage(), "{verified}");
    assert_eq!(start.to_string(), verified.to_string(), "they agree");
    start.to_string()
}

fn starts(lab: &Lab) -> u64 {
    runtime().block_on(async {
        let (engine, report) = Engine::start(own_key(lab)).expect("the engine starts");
        engine.stop().await.expect("it stops well");
        report.purchases
    })
}

#[test]
fn r27_a_part_that_is_missing_is_named() {
    for (part, named) in [
        ("journal", "journal/head"),
        ("journal/head", "journal/head"),
        ("profiles", "profiles"),
        ("profiles-head", "profiles-head"),
        ("installation.key", "installation.key"),
    ] {
        let lab = ledger();
        let (path, aside) = (lab.path().join(part), lab.path().join("aside"));
        fs::rename(&path, &aside).expect("it is there");
        let said = refused(&lab);
        assert!(said.contains(named), "without {part}: {said}");
        // Nothing was made in its place: with the part back the ledger is as it was.
        fs::rename(&aside, &path).expect("nothing is in its place");
        assert_eq!(starts(&lab), 1, "{part}");
    }
}

#[test]
fn r27_a_part_of_another_ledger_is_named() {
    for part in ["journal", "profiles", "installation.key"] {
        let (mine, other) = (ledger(), ledger());
        for name in if part == "profiles" { vec!["profiles", "profiles-head"] } else { vec![part] } {
            let path = mine.path().join(name);
            if path.is_dir() {
                fs::remove_dir_all(&path).expect("removable");
            } else {
                fs::remove_file(&path).expect("removable");
            }
            fs::rename(other.path().join(name), &path).expect("movable");
        }
        let said = refused(&mine);
        assert!(said.contains("it belongs to ledger") && said.contains("restore the whole"), "{part}: {said}");
    }
}

#[test]
fn a_first_start_that_was_broken_off_goes_on_with_its_key() {
    // Before anything but the key was made, after the journal, and after everything.
    for made in [&[][..], &["journal"], &["journal", "profiles", "profiles-head"]] {
        let lab = Lab::new();
        runtime().block_on(async {
            let engine = Engine::start(own_key(&lab)).expect("the engine starts").0;
            engine.stop().await.expect("it stops well");
        });
        fs::rename(lab.path().join("installation.key"), lab.path().join("installation.first")).expect("it is there");
        for part in ["journal", "profiles"].iter().filter(|part| !made.contains(part)) {
            fs::remove_dir_all(lab.path().join(part)).expect("removable");
        }
        if !made.contains(&"profiles-head") {
            fs::remove_file(lab.path().join("profiles-head")).expect("removable");
        }
        assert_eq!(starts(&lab), 0);
        assert!(lab.path().join("installation.key").exists() && !lab.path().join("installation.first").exists());
        assert_eq!(lab.verify().last, Seq::ZERO);
    }
}

#[test]
fn r26_the_scrub_finds_a_damaged_block_and_ends_it_all() {
    let lab = Lab::new();
    runtime().block_on(async {
        let engine = lab.start_rotating(1, 16 * 1024);
        let shop = open_shop(&engine, 500).await;
        for chunk in input(shop)[..500].chunks(50) {
            engine.book(chunk.to_vec()).await.expect("the engine answers");
        }
        engine.stop().await.expect("it stops well");
    });
    let segment = lab.path().join("archive").join("segment-0000000001.kseg");
    let mut bytes = fs::read(&segment).expect("readable");
    // Within the first block, which no start looks at.
    bytes[200] ^= 1;
    fs::write(&segment, bytes).expect("writable");
    runtime().block_on(async {
        let (fault, faults) = mpsc::channel();
        let config = lab.config(1, move |found: Fault| fault.send(found).expect("the test listens"));
        let (engine, _) = Engine::start(config).expect("the start looks at no block");
        let found = faults.recv().expect("the scrub reports");
        assert!(found.is_damage() && found.to_string().contains("segment-0000000001.kseg"), "{found}");
        let rules = engine.catalogue("shops", None).await;
        assert!(engine.record(Seq(1)).await.is_err() && rules.is_err(), "nothing is answered");
    });
}

/// Who asks for a check does not wait for the scrub, which rests for a day after each pass; one check at a time.
#[test]
fn r26_a_check_that_was_asked_for_finds_damage_at_once() {
    let lab = Lab::new();
    runtime().block_on(async {
        let (fault, faults) = mpsc::channel();
        let config = lab.config(1, move |found: Fault| fault.send(found).expect("the test listens"));
        let (engine, _) = Engine::start(config).expect("the engine starts");
        let shop = open_shop(&engine, 500).await;
        for chunk in input(shop)[..200].chunks(50) {
            engine.book(chunk.to_vec()).await.expect("the engine answers");
        }
        let through = engine.snapshot().await.expect("it is taken");
        let begun = engine.verify_archive().expect("the engine runs").expect("none is under way");
        assert!(!begun.is_over && begun.segments == 0, "{begun:?}");
        let passed = loop {
            let seen = engine.status().verification.expect("one was asked for");
            if seen.is_over {
                break seen;
            }
            tokio::task::yield_now().await;
        };
        assert_eq!((passed.segments, passed.checked, passed.through, passed.unread), (1, 1, through, None));
        let segment = lab.path().join("archive").join("segment-0000000001.kseg");
        let mut bytes = fs::read(&segment).expect("readable");
        bytes[200] ^= 1;
        fs::write(&segment, bytes).expect("writable");
        engine.verify_archive().expect("the engine runs").expect("none is under way");
        let found = faults.recv().expect("the check reports");
        assert!(found.is_damage() && found.to_string().contains("segment-0000000001.kseg"), "{found}");
        assert!(engine.verify_archive().expect("it is not stopped").is_none(), "what found damage does not end");
    });
}
