//! Somebody who is sent webhooks: takes requests over plain sockets, answers as it is told to, and remembers what came.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long anything may take that must come.
const PATIENCE: Duration = Duration::from_secs(200);

/// What came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Names in lower case.
    pub(crate) headers: HashMap<String, String>,
    pub(crate) line: String,
    pub(crate) body: String,
    /// True where it was answered by 200.
    pub(crate) is_taken: bool,
}

impl Request {
    pub(crate) fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }

    pub(crate) fn events(&self) -> Vec<Value> {
        serde_json::from_str(&self.body).expect("an array")
    }

    /// The position of the record.
    pub(crate) fn seq(&self) -> u64 {
        self.events()[0]["sequence"].as_str().expect("a position").parse().expect("digits")
    }

    /// Checks the signature as an independent library does, the age of it too.
    pub(crate) fn is_signed_with(&self, secret: &str) -> bool {
        let mut headers = ureq::http::HeaderMap::new();
        for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
            headers.insert(name, self.headers[name].parse().expect("a header"));
        }
        let webhook = standardwebhooks::Webhook::new(secret).expect("a secret");
        webhook.verify(self.body.as_bytes(), &headers).is_ok()
    }
}

/// How a request is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// With this status, and these lines of a header.
    Status(u16, &'static str),
    /// Not at all: the connection is closed.
    Closed,
}

pub(crate) const TAKEN: Answer = Answer::Status(200, "");

type Decide = Box<dyn FnMut(&Request) -> Answer + Send>;

struct State {
    requests: Vec<Request>,
    decide: Decide,
}

/// A receiver, which ends with the test.
#[derive(Clone)]
pub(crate) struct Receiver {
    pub(crate) port: u16,
    state: Arc<(Mutex<State>, Condvar)>,
}

impl Receiver {
    pub(crate) fn open() -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let state = State { requests: Vec::new(), decide: Box::new(|_| TAKEN) };
        let receiver = Receiver { port, state: Arc::new((Mutex::new(state), Condvar::new())) };
        let own = receiver.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let own = own.clone();
                // Whoever was killed in the middle of a request is not answered.
                thread::spawn(move || stream.ok().and_then(|stream| own.serve(&stream)));
            }
        });
        receiver
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hooks?shop=1", self.port)
    }

    /// Answers so from now on.
    pub(crate) fn answer(&self, decide: impl FnMut(&Request) -> Answer + Send + 'static) {
        self.state.0.lock().expect("no test has failed").decide = Box::new(decide);
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.state.0.lock().expect("no test has failed").requests.clone()
    }

    /// Waits until what came is as wanted, and returns it.
    pub(crate) fn wait_for(&self, mut is_wanted: impl FnMut(&[Request]) -> bool) -> Vec<Request> {
        let start = Instant::now();
        let mut state = self.state.0.lock().expect("no test has failed");
        while !is_wanted(&state.requests) {
            let left = PATIENCE.checked_sub(start.elapsed()).unwrap_or_else(|| panic!("{:?}", state.requests.last()));
            state = self.state.1.wait_timeout(state, left).expect("no test has failed").0;
        }
        state.requests.clone()
    }

    fn serve(&self, stream: &TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let mut headers = HashMap::new();
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).ok()?;
            let Some((name, value)) = header.trim_end().split_once(": ") else { break };
            headers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        let mut body = vec![0; headers.get("content-length")?.parse().ok()?];
        reader.read_exact(&mut body).ok()?;
        let line = line.trim_end().to_owned();
        let mut request = Request { headers, line, body: String::from_utf8(body).expect("text"), is_taken: false };
        let answer = {
            let mut state = self.state.0.lock().ok()?;
            let answer = (state.decide)(&request);
            request.is_taken = matches!(answer, Answer::Status(200, _));
            state.requests.push(request);
            self.state.1.notify_all();
            answer
        };
        if let Answer::Status(status, more) = answer {
            let head = format!("HTTP/1.1 {status} Something\r\n{more}Content-Length: 0\r\nConnection: close\r\n\r\n");
            (&*stream).write_all(head.as_bytes()).ok()?;
        }
        Some(())
    }
}
