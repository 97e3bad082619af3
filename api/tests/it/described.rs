//! What the server says of itself, read by the programs of others.

use std::process::Command;

use crate::program::Server;

#[test]
#[ignore = "needs node, and what api/tests/clients/package.json names; CI runs it"]
fn a_parser_of_asyncapi_reads_the_description() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let server = Server::start(dir.path(), 1);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/asyncapi.mjs");
    let ran = Command::new("node").arg(script).env("KEMBALI_URL", &server.url).output().expect("node runs");
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{said}");
    assert_eq!(String::from_utf8_lossy(&ran.stdout).trim(), "/v1/stream 3, /v1/purchases/stream 5", "{said}");
    server.stop();
}
