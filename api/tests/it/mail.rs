//! Mail of the program: into a folder, and to a mail server that fails in every way.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::program::{OPERATOR_TOKEN, Server, call};

const FROM: &str = "KezBek Solution <no-reply@shop.example>";
const PATIENCE: Duration = Duration::from_secs(200);

fn serve(dir: &Path, more: &[&str], environment: &[(&str, &str)]) -> Server {
    let flags = [&["--mail-tenants", "journey", "--mail-from", FROM][..], more].concat();
    Server::start_in(dir, &flags, environment)
}

/// A purchase of a customer that is named by an address.
fn purchase(origin_id: &str, email: &str, amount: u32, quantity: u32, day: u32) -> String {
    let customer = json!({ "email": email });
    let occurred_at = format!("2017-03-{day:02}T10:00:00+07:00");
    json!({
        "origin_id": origin_id, "customer": customer, "amount": amount, "quantity": quantity, "occurred_at": occurred_at,
        "promo_code": "JOURNEY2017",
    })
    .to_string()
}

/// Books purchases, and returns the positions and what they earned.
fn book(server: &Server, lines: &[String]) -> Vec<(u64, i64)> {
    let mut booked = Vec::new();
    let whole = server.send(lines, |line| {
        let answer: Value = serde_json::from_str(&line).expect("an answer is JSON");
        let result = &answer["result"];
        booked.push((result["seq"].as_u64().expect("it is booked"), result["point_total"].as_i64().expect("a sum")));
        true
    });
    assert!(whole);
    booked
}

fn ask(server: &Server, method: &str, path: &str) -> (u16, Value) {
    let authorization = format!("Bearer {OPERATOR_TOKEN}");
    let separator = if path.contains('?') { '&' } else { '?' };
    call(&server.url, method, &format!("/v1/mail{path}{separator}tenant=journey"), &authorization, &Value::Null)
}

/// Waits until what is kept of mail is as wanted: by position, the state and the reason.
fn wait_for(server: &Server, is_wanted: impl Fn(&BTreeMap<u64, Value>) -> bool) -> BTreeMap<u64, Value> {
    let start = Instant::now();
    loop {
        let (status, page) = ask(server, "GET", "/deliveries?limit=200");
        assert_eq!(status, 200, "{page}");
        let data = page["data"].as_array().expect("a list").iter();
        let all = data.map(|own| (own["seq"].as_u64().expect("a position"), own.clone())).collect();
        if is_wanted(&all) {
            return all;
        }
        assert!(start.elapsed() < PATIENCE, "{page}");
    }
}

fn are_made(all: &BTreeMap<u64, Value>, seqs: &[u64]) -> bool {
    seqs.iter().all(|seq| all.get(seq).is_some_and(|own| own["state"] == "made"))
}

#[test]
fn customers_are_told_what_they_earn_and_nobody_twice() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let server = Server::start(dir.path(), 1);
    server.apply_sample();
    // What happened before there was mail is not mailed about.
    book(
        &server,
        &[purchase("A-1", "ann@example.com", 1_000_000, 1, 1), purchase("A-2", "ann@example.com", 1_000_000, 1, 2)],
    );
    let (status, problem) = ask(&server, "GET", "");
    assert_eq!((status, &problem["code"]), (404, &json!("mail_disabled")));
    server.stop();

    let server = serve(dir.path(), &[], &[]);
    let third = book(&server, &[purchase("A-3", "ann@example.com", 1_200_000, 2, 3)]);
    assert_eq!(third[0].1, 48_000);
    let nothing = book(&server, &[purchase("B-1", "ben@example.com", 10, 1, 3)]);
    assert_eq!(nothing[0].1, 0);
    let by_reference = purchase("C-1", "", 1_200_000, 2, 3).replace("\"email\":\"\"", "\"ref\":\"cat\"");
    let unnamed = book(&server, &[by_reference]);
    assert!(0 < unnamed[0].1);
    let fifth = book(&server, &[purchase("D-1", "dan@example.com", 1_200_000, 2, 3)]);
    // Of whoever has no address nothing is known in the end, and nothing is said where nothing was earned.
    let is_over =
        |all: &BTreeMap<u64, Value>| are_made(all, &[third[0].0, fifth[0].0]) && !all.contains_key(&unnamed[0].0);
    let all = wait_for(&server, is_over);
    assert_eq!(all.len(), 2, "{all:?}");
    let files = |dir: &Path| {
        let files = std::fs::read_dir(dir.join("mail")).expect("a folder");
        let mut names: Vec<String> =
            files.map(|own| own.expect("a file").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    };
    // Who is named by a reference alone has no address.
    let name = format!("{}.journey.eml", third[0].0);
    let other = format!("{}.journey.eml", fifth[0].0);
    assert_eq!(files(dir.path()), [name.as_str(), other.as_str()]);
    let text = std::fs::read_to_string(dir.path().join("mail").join(&name)).expect("it is there");
    assert!(text.contains("To: ann@example.com\r\n") && text.contains("Rp=C2=A048.000"), "{text}");
    let (_, shown) = ask(&server, "GET", "");
    assert_eq!((&shown["due"], &shown["given_up"]), (&json!(0), &json!(0)), "{shown}");

    // A kill loses none and sends none again; a customer who is forgotten meanwhile gets none.
    server.kill();
    for name in [&name, &other] {
        std::fs::remove_file(dir.path().join("mail").join(name)).expect("it is there");
    }
    let server = serve(dir.path(), &["--mail-each-purchase", "--mail-language", "en"], &[]);
    let fourth = book(&server, &[purchase("A-4", "ann@example.com", 10, 1, 4)]);
    wait_for(&server, |all| are_made(all, &[fourth[0].0]));
    assert_eq!(files(dir.path()), [format!("{}.journey.eml", fourth[0].0)]);
    // By hand it is sent again.
    let replay = |seq: u64| ask(&server, "POST", &format!("/deliveries/{seq}/replay"));
    assert_eq!(replay(third[0].0), (202, json!({ "replayed": 1 })));
    assert_eq!(replay(1).1["code"], "delivery_not_found");
    let is_back = |all: &BTreeMap<u64, Value>| all[&third[0].0]["attempts"] == 1 && are_made(all, &[third[0].0]);
    wait_for(&server, is_back);
    assert_eq!(files(dir.path()).len(), 2);
    assert_eq!(ask(&server, "POST", "/replay"), (202, json!({ "replayed": 0 })));
    server.stop();
}

/// aiosmtpd, in a Python that has it.
struct MailServer {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    _input: ChildStdin,
    port: u64,
}

impl MailServer {
    fn start(certificate: &Path, key: &Path) -> MailServer {
        let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
        let mut child = Command::new(clients.join(".venv/bin/python"))
            .args(["-W", "ignore"])
            .arg(clients.join("smtp.py"))
            .args([certificate, key])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python is there");
        let input = child.stdin.take().expect("it is piped");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let first: Value = serde_json::from_str(&lines.next().expect("a line").expect("text")).expect("JSON");
        let port = first["port"].as_u64().expect("a port");
        MailServer { child, lines, _input: input, port }
    }

    /// Waits for the next mail.
    fn next(&mut self) -> Value {
        serde_json::from_str(&self.lines.next().expect("a line").expect("text")).expect("JSON")
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
#[ignore = "needs aiosmtpd in api/tests/clients/.venv; CI runs it"]
fn a_mail_server_that_fails_in_every_way_gets_each_mail() {
    let (dir, files) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let (certificate, key) = (files.path().join("own.pem"), files.path().join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).expect("it is written");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("it is written");
    let mut mails = MailServer::start(&certificate, &key);
    let url = format!("smtp://kembali:s3cret@localhost:{}?tls=required", mails.port);
    let believed = certificate.to_string_lossy().into_owned();
    let environment = [("SSL_CERT_FILE", believed.as_str()), ("SSL_CERT_DIR", "/nonexistent")];
    let serve = |more: &[&str]| serve(dir.path(), &[&["--mail-transport", &url][..], more].concat(), &environment);
    let mut server = serve(&[]);
    server.apply_sample();
    let names = ["ok", "later", "never", "busy", "babble", "gone", "full", "lost", "hang"];
    let lines: Vec<String> = names
        .iter()
        .map(|name| purchase(&format!("{name}-1"), &format!("{name}@example.com"), 1_200_000, 2, 3))
        .collect();
    let booked = book(&server, &lines);
    assert!(booked.iter().all(|(_, earned)| 0 < *earned));
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut expected: BTreeMap<String, usize> = names.iter().map(|name| (format!("{name}@example.com"), 1)).collect();
    expected.remove("never@example.com");
    // What it took without saying so comes again: that much SMTP forces.
    for twice in ["lost@example.com", "hang@example.com"] {
        expected.insert(twice.to_owned(), 2);
    }
    while seen != expected {
        let mail = mails.next();
        assert_eq!((&mail["tls"], &mail["user"], &mail["bcc"]), (&json!(true), &json!(true), &Value::Null), "{mail}");
        assert_eq!(mail["from"], "no-reply@shop.example");
        assert!(mail["text"].as_str().is_some_and(|text| text.contains("Rp\u{a0}33.000")), "{mail}");
        let to = mail["to"][0].as_str().expect("an address").to_owned();
        let at = names.iter().position(|name| to.starts_with(name)).expect("a name");
        assert_eq!(mail["id"], format!("<{}.journey@shop.example>", booked[at].0));
        *seen.entry(to).or_default() += 1;
        assert!(seen.iter().all(|(to, count)| expected.get(to).is_some_and(|most| count <= most)), "{seen:?}");
    }
    let never = booked[2].0;
    let others: Vec<u64> = booked.iter().map(|(seq, _)| *seq).filter(|seq| *seq != never).collect();
    let all = wait_for(&server, |all| are_made(all, &others));
    assert_eq!(
        (&all[&never]["state"], &all[&never]["reason"]),
        (&json!("given_up"), &json!("the mail server answered 550"))
    );
    assert!(all.values().all(|own| !own["reason"].to_string().contains('@')), "no address is kept");

    // Whoever hung up in the middle of a mail left no answer behind for the next one to take for its own.
    let later = book(&server, &[purchase("full-b-1", "full-b@example.com", 1_200_000, 2, 3)])[0].0;
    assert_eq!(mails.next()["to"][0], "full-b@example.com");
    let all = wait_for(&server, |all| are_made(all, &[later]));
    assert_eq!(all[&later]["attempts"], 2);

    // Kills send none again that was kept, and lose none.
    for kill in 0..3 {
        let lines: Vec<String> = (0..20)
            .map(|own| {
                purchase(&format!("kill-{kill}-{own}"), &format!("kill-{kill}-{own}@example.com"), 1_200_000, 2, 3)
            })
            .collect();
        let booked = book(&server, &lines);
        let mut came = BTreeMap::<String, usize>::new();
        let mut take = |mails: &mut MailServer| {
            *came.entry(mails.next()["to"][0].as_str().expect("an address").to_owned()).or_default() += 1;
            came.len()
        };
        while take(&mut mails) < 10 {}
        server.kill();
        server = serve(&[]);
        while take(&mut mails) < 20 {}
        let seqs: Vec<u64> = booked.iter().map(|(seq, _)| *seq).collect();
        wait_for(&server, |all| are_made(all, &seqs));
        let repeats: usize = came.values().sum::<usize>() - 20;
        assert!(repeats <= 4, "those that were under way, at most: {repeats}");
    }
    server.stop();
}
