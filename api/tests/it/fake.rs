//! A server that answers what a test tells it to, for what a real one cannot be brought to at will.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

/// What it does with a request.
pub(crate) enum Answer {
    /// Answers with this status and this JSON.
    Json(u16, String),
    /// Keeps the connection open and says nothing.
    Silence,
    /// Answers with the head of a stream and this part of it, then says nothing more.
    Part(String),
}

/// Answers one request after the other, and gives back the first line of each.
pub(crate) struct Fake {
    pub(crate) url: String,
    serves: JoinHandle<Vec<String>>,
}

impl Fake {
    pub(crate) fn start(answers: Vec<Answer>) -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let serves = thread::spawn(move || {
            let mut answers = answers.into_iter();
            let (mut seen, mut silent) = (Vec::new(), Vec::new());
            while answers.len() > 0 {
                let (stream, _) = listener.accept().expect("a connection comes");
                let mut reader = BufReader::new(stream);
                while let Some(line) = request(&mut reader) {
                    seen.push(line);
                    match answers.next() {
                        Some(Answer::Json(status, body)) => {
                            let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n", body.len());
                            let written = reader.get_mut().write_all((head + &body).as_bytes());
                            written.expect("the client reads");
                        }
                        Some(Answer::Part(body)) => {
                            let head = format!("HTTP/1.1 200 X\r\ncontent-length: {}\r\n\r\n", body.len() + 1);
                            reader.get_mut().write_all((head + &body).as_bytes()).expect("the client reads");
                        }
                        Some(Answer::Silence) | None => (),
                    }
                    if answers.len() == 0 {
                        break;
                    }
                }
                // Open until the end: a client must not be told by a closed connection.
                silent.push(reader);
            }
            for mut reader in silent {
                // Until the client has gone.
                let _ = reader.read_to_end(&mut Vec::new());
            }
            seen
        });
        Fake { url, serves }
    }

    /// Waits until the client has gone, and returns the first lines of its requests.
    pub(crate) fn requests(self) -> Vec<String> {
        self.serves.join().expect("it serves to the end")
    }
}

/// Reads one request, and returns its first line; `None` once there is no more.
fn request(reader: &mut BufReader<TcpStream>) -> Option<String> {
    let (mut first, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length");
        }
        if line.is_empty() {
            reader.read_exact(&mut vec![0; length]).ok()?;
            return first;
        }
        first.get_or_insert_with(|| line.to_owned());
    }
}
