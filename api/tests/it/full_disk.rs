//! R25: a disk that is really full. The process ends and names the cause; nothing acknowledged is lost.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::program::{INSTALLATION_KEY, Server, run_well, sample_lines, with_environment};

/// So small that half to two thirds of the sample fit.
const DISK_MIB: u32 = 3;

/// Starts a server, without the guard of the disk, whose data directory is a small disk in memory; what it leaves there
/// is copied to `left` once it has ended. `None` where the system does not let us make such a disk.
fn on_a_small_disk(mount: &std::path::Path, left: &std::path::Path) -> Option<std::process::Child> {
    let mount_it = format!("mount -t tmpfs -o size={DISK_MIB}m tmpfs \"$1\"");
    let may = Command::new("unshare")
        .args(["-rmp", "--kill-child", "sh", "-c", &mount_it, "sh"])
        .arg(mount)
        .stderr(Stdio::null())
        .status();
    if !may.is_ok_and(|status| status.success()) {
        return None;
    }
    let script = format!(
        "{mount_it} && \"$3\" serve --listen 127.0.0.1:0 --data-dir \"$1\" \
         --free-bytes-min 0; code=$?; cp -a \"$1/.\" \"$2\"; exit $code"
    );
    let mut server = Command::new("unshare");
    server
        .args(["-rmp", "--kill-child", "sh", "-c", &script, "sh"])
        .arg(mount)
        .arg(left)
        .arg(env!("CARGO_BIN_EXE_kembali"));
    Some(
        with_environment(server)
            .env("KEMBALI_INSTALLATION_KEY", INSTALLATION_KEY)
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts"),
    )
}

#[test]
fn r25_a_full_disk_ends_the_process_and_loses_nothing() {
    let (mount, left) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let Some(child) = on_a_small_disk(mount.path(), left.path()) else {
        println!("SKIPPED: no disk can be mounted here");
        return;
    };
    let server = Server::of(child);
    server.apply_sample();
    let mut acknowledged: BTreeSet<String> = BTreeSet::new();
    let lines = sample_lines();
    let is_whole = lines.chunks(200).all(|lines| {
        server.send(lines, |answer| {
            let answer: Value = serde_json::from_str(&answer).expect("an answer is JSON");
            if let Some(origin_id) = answer["result"]["origin_id"].as_str() {
                acknowledged.insert(origin_id.to_owned());
            }
            true
        })
    });
    assert!(!is_whole && acknowledged.len() > 1_000, "the disk was large enough for {}", acknowledged.len());
    let (code, log) = server.ended();
    assert_eq!(code, Some(74), "{log}");
    assert!(log.contains("No space left on device"), "{log}");

    run_well(&["verify", &left.path().to_string_lossy()]);
    let server = Server::start(left.path(), 1);
    let mut booked_before = 0;
    for lines in lines.chunks(1_000) {
        assert!(server.send(lines, |answer| {
            let answer: Value = serde_json::from_str(&answer).expect("an answer is JSON");
            let origin_id = answer["result"]["origin_id"].as_str().unwrap_or_default();
            if acknowledged.contains(origin_id) {
                assert_eq!(answer["replayed"], true, "{origin_id} was acknowledged and is gone");
                booked_before += 1;
            }
            true
        }));
    }
    assert_eq!(booked_before, acknowledged.len());
    server.stop();
}
