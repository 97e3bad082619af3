//! The commands that talk to a server: wrong addresses, servers that do not answer, files that are cut off.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::fake::{Answer, Fake};
use crate::program::{Server, run, sample};

/// Runs a command, and returns its exit code and what it said on standard error.
fn ended(arguments: &[&str]) -> (Option<i32>, String) {
    let output = run(arguments);
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_wrong_address_is_a_wrong_command_line() {
    for url in ["localhost:8080", "ftp://localhost", "http://", "http://a/b", "http://a:b", "http://user@a"] {
        let what_if = ["what-if", "--catalogue", "x.toml"];
        for command in
            [&["apply", "--yes", "x.toml"][..], &["export", "--tenant", "t"], &["send", "x.ndjson"], &what_if]
        {
            let (code, said) = ended(&[command, &["--url", url]].concat());
            assert!(code == Some(2) && said.contains("must look like http://127.0.0.1:8080"), "{url}: {said}");
        }
    }
}

#[test]
fn a_server_that_does_not_answer_is_not_waited_for_for_ever() {
    let journey = sample("journey.toml").to_string_lossy().into_owned();
    let purchases = sample("purchases.ndjson.gz").to_string_lossy().into_owned();
    let commands: [&[&str]; 4] = [
        &["apply", "--yes", &journey],
        &["export", "--tenant", "journey"],
        &["send", &purchases, "--batch", "10"],
        &["what-if", "--catalogue", &journey],
    ];
    for command in commands {
        for answer in [Answer::Silence, Answer::Part("{".to_owned())] {
            let fake = Fake::start(vec![answer]);
            let (code, said) = ended(&[command, &["--url", &fake.url, "--answer-seconds-max", "1"]].concat());
            assert!(code == Some(5) && said.contains("did not answer within 1 seconds"), "{command:?}: {said}");
            assert!(said.contains("unknown"), "{said}");
            assert_eq!(fake.requests().len(), 1);
        }
    }
    let (code, _) = ended(&["export", "--tenant", "t", "--answer-seconds-max", "0"]);
    assert_eq!(code, Some(2));
}

#[test]
fn a_tenant_in_an_address_is_encoded() {
    let refusal = || Answer::Json(404, r#"{"code":"tenant_not_found","detail":"x"}"#.to_owned());
    let fake = Fake::start(vec![refusal()]);
    assert_eq!(ended(&["export", "--tenant", "a b&c=d/é", "--url", &fake.url]).0, Some(4));
    assert_eq!(fake.requests(), ["GET /v1/catalogue?tenant=a%20b%26c%3Dd%2F%C3%A9 HTTP/1.1"]);
}

fn packed(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).expect("memory does not fail");
    encoder.finish().expect("memory does not fail")
}

#[test]
fn refused_lines_and_a_cut_file_are_told() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let server = Server::start(&dir.path().join("data"), 1);
    server.apply_sample();
    let line = |number: usize| {
        format!(
            "{{\"origin_id\":\"{number}\",\"customer\":{{\"ref\":\"c{number}\"}},\"amount\":{number},\"quantity\":1}}\n"
        )
    };
    let file = dir.path().join("purchases.ndjson");
    let send = |bytes: &[u8]| {
        std::fs::write(&file, bytes).expect("it is written");
        let output = run(&["send", &file.to_string_lossy(), "--url", &server.url, "--batch", "2"]);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let lines: String = (1..=6).map(line).collect();
    let (code, out, _) = send(lines.as_bytes());
    assert!(code == Some(0) && out.contains("not booked                0"), "{out}");
    // One line of which cannot be booked: its amount is zero.
    let (code, out, _) = send((lines.clone() + &line(0)).as_bytes());
    assert!(code == Some(4) && out.contains("amount_not_positive"), "{out}");
    // Whole, and then cut before the end, which is the checksum or more.
    let bytes = packed(&lines);
    assert_eq!(send(&bytes).0, Some(0));
    for cut in [1, 8, 9] {
        let (code, _, said) = send(&bytes[..bytes.len() - cut]);
        assert!(code == Some(1) && said.contains("is cut off") && said.contains(" lines were answered"), "{said}");
    }
    let (_, _, said) = send(&bytes[..bytes.len() - 1]);
    assert!(said.contains("\n6 lines were answered; send the whole file again"), "{said}");
    // Damaged is not cut.
    let mut damaged = bytes;
    let last = damaged.len() - 5;
    damaged[last] ^= 1;
    let (code, _, said) = send(&damaged);
    assert!(code == Some(1) && said.contains("reading ") && said.contains("lines were answered"), "{said}");
    server.stop();
}
