//! Runs the binary: a server that can be killed, and commands that end.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::{self, JoinHandle};

use flate2::read::GzDecoder;
use serde_json::Value;

pub(crate) const OPERATOR_TOKEN: &str = "operator-token-of-tests";
pub(crate) const API_KEY: &str = "grocer-demo-key";

/// The key that ids are hashed under: fixed, so that ledgers of separate runs can be compared.
pub(crate) const INSTALLATION_KEY: &str = "0707070707070707070707070707070707070707070707070707070707070707";

/// Gives a command that runs the program its environment.
pub(crate) fn with_environment(mut command: Command) -> Command {
    command
        .env("KEMBALI_OPERATOR_TOKEN", OPERATOR_TOKEN)
        .env("KEMBALI_API_KEY", API_KEY)
        .env("NO_COLOR", "1")
        .stdin(Stdio::null());
    command
}

fn binary() -> Command {
    with_environment(Command::new(env!("CARGO_BIN_EXE_kembali")))
}

/// Where the sample data lies.
pub(crate) fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("demo").join(name)
}

/// The sample purchases, a line each.
pub(crate) fn sample_lines() -> Vec<String> {
    let file = std::fs::File::open(sample("purchases.ndjson.gz")).expect("the sample is there");
    BufReader::new(GzDecoder::new(file)).lines().map(|line| line.expect("the sample is text")).collect()
}

/// Runs a command of the program to its end.
pub(crate) fn run(arguments: &[&str]) -> Output {
    binary().args(arguments).output().expect("the program runs")
}

/// Runs a command that must end well, and returns what it printed.
pub(crate) fn run_well(arguments: &[&str]) -> String {
    let output = run(arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?} ended with {}: {stderr}", output.status);
    String::from_utf8(output.stdout).expect("the program prints text")
}

/// Sends a request as a client would, and returns the status and the answer, which is null where there is none.
pub(crate) fn call(url: &str, method: &str, path: &str, authorization: &str, body: &Value) -> (u16, Value) {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let request = ureq::http::Request::builder()
        .method(method)
        .uri(format!("{url}{path}"))
        .header("Authorization", authorization)
        .header("Content-Type", "application/json");
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let mut answered = agent.run(request.body(body).expect("a request")).expect("the server answers");
    let status = answered.status().as_u16();
    let text = answered.body_mut().read_to_string().expect("text");
    (status, if text.is_empty() { Value::Null } else { serde_json::from_str(&text).expect("JSON") })
}

/// A running server.
pub(crate) struct Server {
    child: Child,
    /// Reads its log to the end.
    log: Option<JoinHandle<String>>,
    pub(crate) url: String,
}

impl Server {
    /// Starts a server on a data directory, and waits until it listens.
    pub(crate) fn start(data_dir: &Path, shards: usize) -> Server {
        Server::start_with(data_dir, &["--shards", &shards.to_string()])
    }

    /// Starts a server with some flags of its own.
    pub(crate) fn start_with(data_dir: &Path, flags: &[&str]) -> Server {
        Server::start_in(data_dir, flags, &[])
    }

    /// The same, in an environment of its own.
    pub(crate) fn start_in(data_dir: &Path, flags: &[&str], environment: &[(&str, &str)]) -> Server {
        let child = binary()
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(data_dir)
            .args(flags)
            .env("KEMBALI_INSTALLATION_KEY", INSTALLATION_KEY)
            .envs(environment.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server starts");
        Server::of(child)
    }

    /// Waits until a server that was started listens.
    pub(crate) fn of(mut child: Child) -> Server {
        let mut log = BufReader::new(child.stderr.take().expect("its log is piped"));
        let mut seen = String::new();
        let url = loop {
            let start = seen.len();
            let read = log.read_line(&mut seen).expect("its log is text");
            assert_ne!(read, 0, "the server ended early:\n{seen}");
            if let Some((_, url)) = seen[start..].split_once("listening on ") {
                break url.trim().to_owned();
            }
        };
        // Its log must go on being read, or it would block.
        let rest = thread::spawn(move || log.lines().map_while(Result::ok).collect::<Vec<String>>().join("\n"));
        Server { child, log: Some(rest), url }
    }

    /// Waits until it has ended by itself, and returns its exit code and what it logged since it listened.
    pub(crate) fn ended(mut self) -> (Option<i32>, String) {
        let status = self.child.wait().expect("it ended");
        let log = self.log.take().and_then(|log| log.join().ok());
        (status.code(), log.unwrap_or_default())
    }

    /// Makes the sample catalogue its rules.
    pub(crate) fn apply_sample(&self) {
        run_well(&["apply", "--yes", &sample("journey.toml").to_string_lossy(), "--url", &self.url]);
    }

    /// Ends it without warning, as `kill -9` does.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ended");
    }

    /// Tells it to stop, and waits until it has.
    pub(crate) fn stop(mut self) {
        let told = Command::new("kill").arg(self.child.id().to_string()).status().expect("kill runs");
        assert!(told.success());
        let status = self.child.wait().expect("it ended");
        assert!(status.success(), "the server ended with {status}");
    }

    /// Gets a document as an operator.
    pub(crate) fn get(&self, path: &str) -> Value {
        let mut response = ureq::get(format!("{}{path}", self.url))
            .header("Authorization", format!("Bearer {OPERATOR_TOKEN}"))
            .call()
            .expect("the server answers");
        serde_json::from_reader(response.body_mut().as_reader()).expect("a document")
    }

    /// Sends lines in one request, and hands each answer to `see` until it says stop. Returns whether all was answered.
    pub(crate) fn send(&self, lines: &[String], mut see: impl FnMut(String) -> bool) -> bool {
        let body = lines.join("\n");
        let sent = ureq::post(format!("{}/v1/purchases", self.url))
            .header("X-Api-Key", API_KEY)
            .content_type("application/x-ndjson")
            .send(body);
        let Ok(response) = sent else { return false };
        let mut answered = 0;
        for line in BufReader::new(response.into_body().into_reader()).lines() {
            let Ok(line) = line else { return false };
            answered += 1;
            if !see(line) {
                return false;
            }
        }
        answered == lines.len()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A test that failed leaves nothing running; one that ended has waited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
