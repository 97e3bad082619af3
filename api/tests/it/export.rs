//! `kembali export`: what is exported can be applied, and changes nothing.

use std::path::Path;

use crate::program::{Server, run, run_well, sample};

fn apply(server: &Server, file: &Path) -> String {
    run_well(&["apply", "--yes", &file.to_string_lossy(), "--url", &server.url])
}

fn export(server: &Server, more: &[&str]) -> String {
    run_well(&[&["export", "--tenant", "journey", "--url", &server.url], more].concat())
}

#[test]
fn what_is_exported_changes_nothing_and_makes_the_same_rules_elsewhere() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let server = Server::start(&dir.path().join("data"), 1);
    let file = dir.path().join("exported.toml");
    let mut exported = Vec::new();
    for (name, version) in [("journey.toml", 1), ("full.toml", 2)] {
        apply(&server, &sample(name));
        let text = export(&server, &[]);
        assert!(text.starts_with(&format!("# The rules of journey, version {version},")), "{text}");
        assert!(!text.contains("grocer-demo-key"), "a key is written");
        std::fs::write(&file, &text).expect("it is written");
        assert_eq!(apply(&server, &file).lines().last(), Some(&*format!("nothing changes; version {version} holds")));

        // On another server the file makes the same rules.
        let other = Server::start(&dir.path().join(name), 1);
        apply(&other, &file);
        let rules = |text: &str| text.split_once("\n\n").map(|(_, rules)| rules.to_owned());
        assert_eq!(rules(&export(&other, &[])), rules(&text));
        other.stop();
        exported.push(text);
    }
    // Earlier rules are there as they were.
    assert_eq!(export(&server, &["--version", "1"]), exported[0]);
    for (arguments, said) in [
        (["--tenant", "journey", "--version", "3"], "version_not_found"),
        (["--tenant", "a b&dry_run=true", "--version", "1"], "tenant_not_found"),
    ] {
        let refused = run(&[&["export", "--url", &server.url], &arguments[..]].concat());
        let stderr = String::from_utf8_lossy(&refused.stderr);
        assert!(refused.status.code() == Some(4) && stderr.contains(said), "{stderr}");
        assert_eq!(refused.stdout, b"");
    }
    server.stop();
}
