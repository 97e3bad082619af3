//! A server with a certificate, through the program: commands come by TLS, believe the right certificate and no other, and a pair
//! that does not fit is told before anything is opened.

use std::path::{Path, PathBuf};

use crate::program::{Server, run, run_well, sample};

/// Writes a certificate for 127.0.0.1 and its key.
fn certificate(dir: &Path, name: &str) -> (PathBuf, PathBuf) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    let (certificate, key) = (dir.join(format!("{name}.pem")), dir.join(format!("{name}-key.pem")));
    std::fs::write(&certificate, made.cert.pem()).expect("it is written");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("it is written");
    (certificate, key)
}

#[test]
fn commands_come_by_tls() {
    let (dir, files) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let (own, own_key) = certificate(files.path(), "own");
    let (other, other_key) = certificate(files.path(), "other");
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let data = text(dir.path());
    for (certificate, key, wanted) in [
        (text(&own), text(&other_key), "the private key does not go with the certificate"),
        (text(&own_key), text(&own_key), "holds no certificates in PEM"),
        ("none.pem".to_owned(), text(&own_key), "reading none.pem"),
    ] {
        let flags = ["--data-dir", &data, "--tls-certificate", &certificate, "--tls-key", &key];
        let refused = run(&[&["serve", "--listen", "127.0.0.1:0"][..], &flags].concat());
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(refused.status.code() == Some(1) && said.contains(wanted), "{wanted}: {said}");
    }
    assert_eq!(std::fs::read_dir(dir.path()).expect("a folder").count(), 0, "nothing was opened");

    let server = Server::start_with(dir.path(), &["--tls-certificate", &text(&own), "--tls-key", &text(&own_key)]);
    assert!(server.url.starts_with("https://"), "{}", server.url);
    let rules = text(&sample("journey.toml"));
    let apply = |more: &[&str]| run(&[&["apply", "--yes", &rules, "--url", &server.url][..], more].concat());
    for (ca_file, wanted) in
        [(None, "cannot be reached"), (Some(&other), "cannot be reached"), (Some(&other_key), "no certificates")]
    {
        let ca_file = ca_file.map(|path| text(path));
        let flags: Vec<&str> = ca_file.iter().flat_map(|path| ["--ca-file", path]).collect();
        let refused = apply(&flags);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        // Where the system believes nobody, that is said.
        let is_said = said.contains(wanted) || said.contains("no certificates to believe");
        assert!(!refused.status.success() && is_said, "{wanted}: {said}");
    }
    let applied = apply(&["--ca-file", &text(&own)]);
    assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
    let shown = run_well(&["export", "--tenant", "journey", "--url", &server.url, "--ca-file", &text(&own)]);
    assert!(shown.contains("[tenant]"), "{shown}");
    server.stop();
}
