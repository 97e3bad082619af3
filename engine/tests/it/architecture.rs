//! The layers, checked: who may use whom, and which crate alone may name which library.

use std::collections::BTreeSet;
use std::path::Path;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

/// Every member, and the members that its code (not its tests) may use. A new edge is a decision: record it.
const EDGES: &[(&str, &[&str])] = &[
    ("kembali-core", &[]),
    ("kembali-journal", &["kembali-core"]),
    ("kembali-machine", &["kembali-core"]),
    ("kembali-snapshots", &["kembali-core", "kembali-journal"]),
    ("kembali-engine", &["kembali-core", "kembali-journal", "kembali-machine", "kembali-snapshots"]),
    ("kembali-http", &["kembali-core", "kembali-engine"]),
    ("kembali-adapters", &["kembali-core", "kembali-engine", "kembali-http"]),
    ("kembali-notify", &["kembali-core", "kembali-engine", "kembali-http"]),
    ("kembali-api", &["kembali-adapters", "kembali-engine", "kembali-http", "kembali-notify"]),
    ("kembali-marketplace", &[]),
    (
        "kembali-fuzz",
        &["kembali-adapters", "kembali-core", "kembali-engine", "kembali-http", "kembali-journal", "kembali-snapshots"],
    ),
    ("kembali-benches", &["kembali-core", "kembali-http", "kembali-journal", "kembali-machine"]),
    ("kembali-loadtest", &[]),
];

/// Libraries that only these members may name, tests included.
const OWNERS: &[(&str, &[&str])] = &[
    ("rust_decimal", &["kembali-core"]),
    ("sled", &["kembali-journal"]),
    ("crossbeam-epoch", &["kembali-journal"]),
    // What is stored is the journal's to write; the machine writes rows that do not outlive the process.
    ("bincode", &["kembali-journal", "kembali-machine"]),
    ("actix", &["kembali-engine"]),
    ("hyper", &["kembali-adapters", "kembali-http", "kembali-api", "kembali-loadtest", "kembali-marketplace"]),
    ("hyper-util", &["kembali-http", "kembali-loadtest", "kembali-marketplace"]),
    ("axum", &["kembali-http"]),
    ("async-graphql", &["kembali-adapters", "kembali-marketplace"]),
    ("socketioxide", &["kembali-adapters"]),
    // The program's tests alone, beside the adapter.
    ("rdkafka", &["kembali-adapters", "kembali-api"]),
    // The load tester, and the program's tests, beside the server.
    ("tokio-tungstenite", &["kembali-http", "kembali-api", "kembali-loadtest"]),
    // Peers to compare with.
    ("tokio-postgres", &["kembali-loadtest"]),
    ("redis", &["kembali-loadtest"]),
    ("utoipa", &["kembali-http"]),
    ("lettre", &["kembali-notify"]),
    ("criterion", &["kembali-benches"]),
];

/// What the rules may use beside each other.
const CORE_LIBRARIES: &[&str] = &["foldhash", "hashbrown", "rust_decimal", "serde", "smallvec", "thin-vec"];

fn metadata() -> Metadata {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
    MetadataCommand::new()
        .manifest_path(manifest)
        // What the members declare is enough, and needs nothing of the libraries themselves.
        .no_deps()
        .exec()
        .expect("cargo metadata reads the workspace")
}

#[test]
fn members_use_each_other_exactly_as_drawn() {
    let metadata = metadata();
    let members: BTreeSet<&str> = metadata.workspace_packages().iter().map(|package| package.name.as_str()).collect();
    let drawn: BTreeSet<&str> = EDGES.iter().map(|(member, _)| *member).collect();
    assert_eq!(members, drawn, "every member stands in the drawing, and nothing else does");
    for package in metadata.workspace_packages() {
        let used: BTreeSet<&str> = package
            .dependencies
            .iter()
            .filter(|dependency| dependency.kind == DependencyKind::Normal)
            .map(|dependency| dependency.name.as_str())
            .filter(|name| members.contains(name))
            .collect();
        let (_, allowed) = EDGES.iter().find(|(member, _)| *member == package.name.as_str()).expect("checked above");
        assert_eq!(used, allowed.iter().copied().collect(), "what {} uses", package.name);
    }
}

#[test]
fn a_library_with_owners_is_named_by_them_alone() {
    let metadata = metadata();
    for (library, owners) in OWNERS {
        for package in metadata.workspace_packages() {
            let names = package.dependencies.iter().any(|dependency| dependency.name == *library);
            let may = owners.contains(&package.name.as_str());
            assert!(!names || may, "{} names {library}, which only {owners:?} may", package.name);
        }
    }
}

#[test]
fn the_rules_use_no_other_library() {
    let metadata = metadata();
    let core = metadata.workspace_packages().into_iter().find(|package| package.name.as_str() == "kembali-core");
    for dependency in &core.expect("the rules are a member").dependencies {
        if dependency.kind == DependencyKind::Normal {
            assert!(CORE_LIBRARIES.contains(&dependency.name.as_str()), "the rules use {}", dependency.name);
            assert!(!dependency.uses_default_features, "{} may bring the standard library", dependency.name);
        }
    }
}
