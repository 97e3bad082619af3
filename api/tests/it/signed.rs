//! A partner that signs, through the program: a key is given, a file is sent with its secret, and without it nothing is booked.

use serde_json::Value;

use crate::program::{OPERATOR_TOKEN, Server, run, sample};

fn give_key(server: &Server) -> (String, String) {
    let path = format!("{}/v1/partners/grocer/api-keys?tenant=journey", server.url);
    let given = ureq::post(path)
        .header("Authorization", format!("Bearer {OPERATOR_TOKEN}"))
        .content_type("application/json")
        .send("{}");
    let text = given.expect("a key is given").body_mut().read_to_string().expect("an answer");
    let given: Value = serde_json::from_str(&text).expect("JSON");
    let text = |member: &str| given[member].as_str().expect("it is shown once").to_owned();
    (text("api_key"), text("api_secret"))
}

#[test]
fn a_signed_file_is_booked_and_another_one_is_not() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let key = "5a".repeat(32);
    let server = Server::start_with(dir.path(), &["--secrets-key", &key]);
    server.apply_sample();
    let (api_key, secret) = give_key(&server);
    let file = sample("purchases.ndjson.gz");
    let send = |more: &[&str]| {
        let file = file.to_string_lossy();
        run(&[&["send", &file, "--url", &server.url, "--api-key", &api_key][..], more].concat())
    };
    for (more, code, wanted) in [
        (&[][..], 4, "signature_missing"),
        (&["--api-secret", "a-secret-of-another-key"], 4, "signature_invalid"),
        (&["--api-secret", &secret, "--batch", "100000"], 1, "take a smaller --batch, or --gzip"),
    ] {
        let refused = send(more);
        let text = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(refused.status.code() == Some(code) && text.contains(wanted), "{wanted}: {text}");
        assert!(!text.contains(&secret));
    }
    assert_eq!(server.get("/v1/reports/summary?tenant=journey")["accepted"], 0);
    for more in [&["--batch", "500"][..], &["--gzip"]] {
        let sent = send(&[&["--api-secret", &secret][..], more].concat());
        // The sample has lines that are refused.
        assert_eq!(sent.status.code(), Some(4), "{}", String::from_utf8_lossy(&sent.stderr));
    }
    let summary = server.get("/v1/reports/summary?tenant=journey");
    assert!(summary["accepted"].as_u64().is_some_and(|own| 1_000 < own), "{summary}");
    let refused = summary["rejected"].as_object().expect("an object");
    assert!(refused.keys().eq(["amount_not_positive", "quantity_not_positive"]), "{refused:?}");
    server.stop();

    // Under another key it does not start, and says what to do.
    let other = "a5".repeat(32);
    let dir = dir.path().to_string_lossy();
    let refused = run(&["serve", "--listen", "127.0.0.1:0", "--data-dir", &dir, "--secrets-key", &other]);
    let text = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{text}");
    assert!(text.contains("start with the secrets_key that they were sealed under"), "{text}");
}
