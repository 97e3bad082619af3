//! `kembali send`: streams a file of purchases to a server, in order, and sums up the answers.
//!
//! One request of some lines after the other, each answered before the next is sent: the order of the file is the order
//! of the ledger. Sending a file again is harmless, so an interrupted run is simply repeated.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use indicatif::{ProgressBar, ProgressStyle};
use kembali_http::signature::BODY_BYTES_MAX;
use serde::Deserialize;

use crate::client::{Client, ClientError, PartnerKey, Problem};

/// How a file is sent.
pub(crate) struct Plan<'a> {
    pub(crate) key: PartnerKey<'a>,
    /// Lines a request.
    pub(crate) batch: usize,
    /// Whether requests are compressed.
    pub(crate) gzip: bool,
    /// How many lines that were not booked are kept with their reasons.
    pub(crate) failures_max: usize,
}

/// What became of a file.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    pub(crate) lines: u64,
    pub(crate) booked: u64,
    pub(crate) replayed: u64,
    /// Lines that were not booked, by code; those that were refused before in the same way are counted too.
    pub(crate) refused: BTreeMap<String, u64>,
    /// The first lines that were not booked: line number, code, reason.
    pub(crate) failures: Vec<(u64, String, String)>,
    /// Lines of any kind whose answer was a repeated one.
    pub(crate) repeated: u64,
}

/// Why a file was not sent to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    #[error("reading {}: {source}{}", path.display(), so_far(*answered))]
    Read { path: PathBuf, source: io::Error, answered: u64 },
    #[error(
        "{} is cut off: its packed data ends before it is whole{}", path.display(), so_far(*answered)
    )]
    Cut { path: PathBuf, answered: u64 },
    #[error("{source}{}", so_far(*answered))]
    Server { source: ClientError, answered: u64 },
    #[error(
        "a signed request has at most {BODY_BYTES_MAX} bytes, and {lines} lines make {bytes}: take a smaller --batch, or --gzip{}",
        so_far(*answered)
    )]
    TooLarge { bytes: usize, lines: usize, answered: u64 },
    #[error("the server answered {answers} of {lines} lines of a request; send the file again")]
    Short { answers: usize, lines: usize },
}

/// Says what was done before a fault, and what to do.
fn so_far(answered: u64) -> String {
    format!("\n{answered} lines were answered; send the whole file again, what is booked stays booked once")
}

/// A file of purchases: plain or gzip, told by its first bytes.
pub(crate) struct Source {
    reader: Box<dyn BufRead>,
    path: PathBuf,
    bytes: u64,
    /// The number of the last line that was read.
    line: u64,
    read: ProgressBar,
}

impl Source {
    /// Opens a file, with a progress bar that counts its bytes.
    pub(crate) fn open(path: &Path) -> Result<Source, SendError> {
        let failed = |source| SendError::Read { path: path.to_path_buf(), source, answered: 0 };
        let file = File::open(path).map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        Source::new(path, file, bytes).map_err(failed)
    }

    /// Takes bytes that are in memory.
    pub(crate) fn of_bytes(name: &str, bytes: &'static [u8]) -> Result<Source, SendError> {
        let path = Path::new(name);
        Source::new(path, bytes, bytes.len() as u64).map_err(|source| SendError::Read {
            path: path.to_path_buf(),
            source,
            answered: 0,
        })
    }

    fn new(path: &Path, input: impl Read + 'static, bytes: u64) -> io::Result<Source> {
        let style = ProgressStyle::with_template("{bar:32} {percent:>3}%  {msg}  {elapsed} (left: {eta})")
            .map_err(io::Error::other)?;
        let read = ProgressBar::new(bytes).with_style(style);
        let mut input = BufReader::new(read.wrap_read(input));
        let gzipped = input.fill_buf()?.starts_with(&[0x1f, 0x8b]);
        let reader: Box<dyn BufRead> =
            if gzipped { Box::new(BufReader::new(MultiGzDecoder::new(input))) } else { Box::new(input) };
        Ok(Source { reader, path: path.to_path_buf(), bytes, line: 0, read })
    }
}

/// A line of the answer.
#[derive(Deserialize)]
struct Answer {
    status: u16,
    replayed: bool,
    problem: Option<Problem>,
}

/// Sends everything, in order.
pub(crate) async fn send(client: &mut Client, mut source: Source, plan: &Plan<'_>) -> Result<Summary, SendError> {
    let mut summary = Summary::default();
    let mut body = Vec::new();
    loop {
        body.clear();
        let read = read_lines(&mut source, plan.batch, &mut body);
        let lines = read.map_err(|error| unreadable(&source, error, summary.lines))?;
        if lines.is_empty() {
            source.read.set_length(source.bytes);
            source.read.finish_and_clear();
            return Ok(summary);
        }
        let sent = if plan.gzip {
            compress(&body).map_err(|error| unreadable(&source, error, summary.lines))?
        } else {
            body.clone()
        };
        if plan.key.secret.is_some() && BODY_BYTES_MAX < sent.len() {
            return Err(SendError::TooLarge { bytes: sent.len(), lines: lines.len(), answered: summary.lines });
        }
        let mut answers = 0;
        let outcome = client.send_lines(plan.key, sent.into(), plan.gzip, |line| {
            let answer: Answer = serde_json::from_slice(line)
                .map_err(|error| ClientError::Unexpected(format!("{error}: {}", String::from_utf8_lossy(line))))?;
            let number = lines.get(answers).copied().unwrap_or_default();
            answers += 1;
            summary.count(number, answer, plan.failures_max);
            Ok(())
        });
        outcome.await.map_err(|error| SendError::Server { source: error, answered: summary.lines })?;
        if answers != lines.len() {
            return Err(SendError::Short { answers, lines: lines.len() });
        }
        source.read.set_message(format!("{} purchases", summary.lines));
    }
}

fn unreadable(source: &Source, error: io::Error, answered: u64) -> SendError {
    let path = source.path.clone();
    // Plain text has no end that could be missing.
    match error.kind() {
        io::ErrorKind::UnexpectedEof => SendError::Cut { path, answered },
        _ => SendError::Read { path, source: error, answered },
    }
}

fn compress(body: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body)?;
    encoder.finish()
}

/// Reads some lines that are not blank into `body`, and returns their numbers in the file.
fn read_lines(source: &mut Source, batch: usize, body: &mut Vec<u8>) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::with_capacity(batch);
    while numbers.len() < batch {
        let start = body.len();
        if source.reader.read_until(b'\n', body)? == 0 {
            break;
        }
        source.line += 1;
        if body[start..].iter().all(u8::is_ascii_whitespace) {
            body.truncate(start);
            continue;
        }
        if body.last() != Some(&b'\n') {
            body.push(b'\n');
        }
        numbers.push(source.line);
    }
    Ok(numbers)
}

impl Summary {
    fn count(&mut self, line: u64, answer: Answer, failures_max: usize) {
        self.lines += 1;
        self.repeated += u64::from(answer.replayed);
        match answer.problem {
            None if answer.status == 201 && answer.replayed => self.replayed += 1,
            None => self.booked += 1,
            Some(problem) => {
                if self.failures.len() < failures_max {
                    self.failures.push((line, problem.code.clone(), problem.detail));
                }
                *self.refused.entry(problem.code).or_default() += 1;
            }
        }
    }

    /// Tells whether there are lines that were not booked.
    pub(crate) fn has_refused(&self) -> bool {
        !self.refused.is_empty()
    }

    /// Writes the summary for a person.
    pub(crate) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "lines sent     {:>12}", self.lines)?;
        writeln!(out, "booked         {:>12}", self.booked)?;
        writeln!(out, "booked before  {:>12}", self.replayed)?;
        let refused: u64 = self.refused.values().sum();
        writeln!(out, "not booked     {refused:>12}")?;
        for (code, count) in &self.refused {
            writeln!(out, "  {code:<28} {count:>6}")?;
        }
        for (line, code, detail) in &self.failures {
            writeln!(out, "  line {line}: {code}: {detail}")?;
        }
        Ok(())
    }
}
