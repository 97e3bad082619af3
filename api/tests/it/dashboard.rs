//! The dashboard in a real browser: `api/tests/clients/dashboard/` drives it.

use std::process::Command;

use crate::program::sample;

#[test]
#[ignore = "needs node, what api/tests/clients/package.json names, and chromium; CI runs it where that is installed"]
fn a_browser_shows_what_is_so() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let demo = sample("full.toml");
    let ran = Command::new("node")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/dashboard/run.mjs"))
        .env("KEMBALI", env!("CARGO_BIN_EXE_kembali"))
        .env("DATA", dir.path().join("ledger"))
        .env("DEMO", demo.parent().expect("a folder"))
        .output()
        .expect("node runs");
    let (said, faults) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{said}\n{faults}");
    println!("{said}");
}
