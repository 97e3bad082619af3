//! What an operator's scripts see of damage: an exit code of its own, and the name of the file.

use std::path::PathBuf;

use crate::program::{Server, run, run_well, sample_lines};

const DAMAGE: Option<i32> = Some(3);

#[test]
fn r26_damage_has_an_exit_code_and_a_file() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let data_dir = dir.path().to_string_lossy().into_owned();
    let server = Server::start_with(dir.path(), &["--generation-bytes", "65536"]);
    server.apply_sample();
    assert!(server.send(&sample_lines()[..1_000], |_| true), "every line is answered");
    server.stop();
    run_well(&["verify", &data_dir]);

    let listed = std::fs::read_dir(dir.path().join("archive")).expect("there is an archive");
    let first: PathBuf = listed.map(|entry| entry.expect("listed").path()).min().expect("there is a segment");
    let whole = std::fs::read(&first).expect("readable");
    let name = first.file_name().expect("a name").to_string_lossy().into_owned();
    // The header is looked at by every start; what lies in the middle is found by whoever reads all.
    for (at, commands) in [(0, ["serve", "verify"].as_slice()), (whole.len() / 2, &["verify"])] {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        std::fs::write(&first, damaged).expect("writable");
        for command in commands {
            let output = match *command {
                "serve" => run(&["serve", "--listen", "127.0.0.1:0", "--data-dir", &data_dir]),
                command => run(&[command, &data_dir]),
            };
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), DAMAGE, "{command}, byte {at}: {said}");
            assert!(said.contains(&name), "{command}, byte {at}: {said}");
        }
    }
    std::fs::write(&first, whole).expect("writable");
    run_well(&["verify", &data_dir]);
}
