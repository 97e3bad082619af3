//! A stream of bytes cut into lines, and lines gathered into chunks: as many as have arrived, up to a limit.
//!
//! No line is looked into here. A line that is too long is dropped, but keeps its place.

use std::io;

use axum::body::Body;
use bytes::Bytes;
use futures_util::FutureExt as _;
use http_body_util::BodyExt as _;

use crate::body::Unpacker;

/// Bytes that a line may have.
pub(super) const LINE_BYTES_MAX: usize = 1024 * 1024;
/// Lines that a chunk may have.
pub(super) const CHUNK_LINES_MAX: usize = 1_000;
/// Bytes after which a chunk takes no further line.
pub(super) const CHUNK_BYTES_MAX: usize = 1024 * 1024;

/// Why a stream ended before its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum StreamFault {
    #[error("the connection broke off")]
    Broken(#[source] axum::Error),
    #[error("the compressed stream is damaged")]
    Damaged(#[source] io::Error),
    #[error("the API key was revoked")]
    KeyRevoked,
}

/// Whole lines that arrived together, without the empty ones.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    bytes: Vec<u8>,
    /// Where each line ends in `bytes`; `None` for one that was too long.
    ends: Vec<Option<usize>>,
}

impl Chunk {
    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    fn is_full(&self) -> bool {
        CHUNK_LINES_MAX <= self.ends.len() || CHUNK_BYTES_MAX <= self.bytes.len()
    }

    /// Lists the lines in order; `None` stands for one that was too long.
    pub(super) fn lines(&self) -> impl Iterator<Item = Option<&[u8]>> {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let end = (*end)?;
            let line = self.bytes.get(start..end);
            start = end;
            line
        })
    }

    fn push(&mut self, line: &[u8]) {
        if !line.trim_ascii().is_empty() {
            self.bytes.extend_from_slice(line);
            self.ends.push(Some(self.bytes.len()));
        }
    }
}

/// Cuts bytes into lines.
#[derive(Debug, Default)]
struct Cutter {
    /// What was unpacked, from `start` on not yet cut.
    buffer: Vec<u8>,
    start: usize,
    /// Up to here there is no line end.
    searched: usize,
    /// Inside of a line that is too long.
    skips: bool,
}

impl Cutter {
    /// Moves whole lines into `chunk` until it is full. Returns false once no whole line is left.
    fn cut(&mut self, chunk: &mut Chunk) -> bool {
        while !chunk.is_full() {
            let from = self.searched.max(self.start);
            let Some(at) = memchr::memchr(b'\n', self.buffer.get(from..).unwrap_or_default()) else {
                self.searched = self.buffer.len();
                self.forget(chunk);
                return false;
            };
            let end = from + at;
            self.take(end, chunk);
            self.start = end + 1;
        }
        true
    }

    fn take(&mut self, end: usize, chunk: &mut Chunk) {
        let line = self.buffer.get(self.start..end).unwrap_or_default();
        if std::mem::take(&mut self.skips) {
            return;
        }
        if LINE_BYTES_MAX < line.len() { chunk.ends.push(None) } else { chunk.push(line) }
    }

    /// Gives up what was cut, and the beginning of a line that is too long already.
    fn forget(&mut self, chunk: &mut Chunk) {
        if LINE_BYTES_MAX < self.buffer.len() - self.start {
            if !std::mem::replace(&mut self.skips, true) {
                chunk.ends.push(None);
            }
            self.start = self.buffer.len();
        }
        self.buffer.drain(..self.start);
        self.searched -= self.start;
        self.start = 0;
    }
}

/// Reads chunks from a body.
pub(super) struct ChunkReader {
    body: Body,
    unpacker: Unpacker,
    /// What was received and is not unpacked yet.
    packed: Bytes,
    cutter: Cutter,
    /// What was gathered; kept here so that a read which is given up loses nothing.
    chunk: Chunk,
    ended: bool,
    fault: Option<StreamFault>,
}

impl ChunkReader {
    pub(super) fn new(body: Body, unpacker: Unpacker) -> ChunkReader {
        let (packed, cutter, chunk) = (Bytes::new(), Cutter::default(), Chunk::default());
        ChunkReader { body, unpacker, packed, cutter, chunk, ended: false, fault: None }
    }

    /// Waits for the next lines and returns all that have arrived, up to the limits of a chunk; `None` at the end.
    ///
    /// Whole lines before a fault are returned before the fault is. Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// [`StreamFault`]: what follows cannot be read; a line that is cut off is not returned.
    pub(super) async fn next(&mut self) -> Result<Option<Chunk>, StreamFault> {
        loop {
            if self.cutter.cut(&mut self.chunk) {
                return Ok(Some(std::mem::take(&mut self.chunk)));
            }
            if !self.packed.is_empty() {
                if let Err(error) = self.unpacker.step(&mut self.packed, &mut self.cutter.buffer) {
                    self.packed = Bytes::new();
                    self.fail(StreamFault::Damaged(error));
                }
                continue;
            }
            if self.ended {
                if !self.chunk.is_empty() {
                    return Ok(Some(std::mem::take(&mut self.chunk)));
                }
                return self.fault.take().map_or(Ok(None), Err);
            }
            // What is there already is taken at once; only an empty chunk waits.
            let frame = match self.body.frame().now_or_never() {
                Some(frame) => frame,
                None if !self.chunk.is_empty() => return Ok(Some(std::mem::take(&mut self.chunk))),
                None => self.body.frame().await,
            };
            match frame {
                Some(Ok(frame)) => self.packed = frame.into_data().unwrap_or_default(),
                Some(Err(error)) => self.fail(StreamFault::Broken(error)),
                None => self.finish(),
            }
        }
    }

    fn finish(&mut self) {
        self.ended = true;
        match self.unpacker.finish(&mut self.cutter.buffer) {
            Ok(()) => {
                // The lines before the last one are cut by `next`; a chunk that is full leaves the rest for its turn.
                if !self.cutter.buffer.is_empty() && self.cutter.buffer.last() != Some(&b'\n') {
                    self.cutter.buffer.push(b'\n');
                }
            }
            Err(error) => self.fail(StreamFault::Damaged(error)),
        }
    }

    fn fail(&mut self, fault: StreamFault) {
        self.ended = true;
        self.fault = Some(fault);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use hyper::body::Frame;

    use super::*;

    /// Feeds `frames` and writes down the chunks: lines by their text, `!` for one that was too long.
    async fn chunks(frames: Vec<Result<Vec<u8>, &'static str>>) -> Vec<String> {
        let frames = frames.into_iter().map(|frame| frame.map(|data| Frame::data(Bytes::from(data))));
        let body = Body::new(http_body_util::StreamBody::new(stream::iter(frames.collect::<Vec<_>>())));
        let mut reader = ChunkReader::new(body, Unpacker::Plain);
        let mut seen = Vec::new();
        loop {
            match reader.next().await {
                Ok(Some(chunk)) => {
                    let text = |line: Option<&[u8]>| line.map_or("!".into(), String::from_utf8_lossy).into_owned();
                    seen.push(chunk.lines().map(text).collect::<Vec<_>>().join("|"));
                }
                Ok(None) => return seen,
                Err(fault) => {
                    seen.push(fault.to_string());
                    return seen;
                }
            }
        }
    }

    fn frames(texts: &[&str]) -> Vec<Result<Vec<u8>, &'static str>> {
        texts.iter().map(|text| Ok(text.as_bytes().to_vec())).collect()
    }

    #[tokio::test]
    async fn lines_across_frames_and_blank_ones() {
        assert_eq!(chunks(frames(&["a\nb", "c\n\n  \r\nd"])).await, ["a|bc|d"]);
        assert_eq!(chunks(frames(&[])).await, [""; 0]);
        assert_eq!(chunks(frames(&["\n", "\n"])).await, [""; 0]);
        assert_eq!(chunks(frames(&["x"])).await, ["x"]);
    }

    #[tokio::test]
    async fn a_chunk_ends_at_a_thousand_lines() {
        let text = "x\n".repeat(2_500);
        let sizes: Vec<usize> = chunks(frames(&[&text])).await.iter().map(|chunk| chunk.split('|').count()).collect();
        assert_eq!(sizes, [1_000, 1_000, 500]);
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_keeps_its_place() {
        let half = "x".repeat(LINE_BYTES_MAX / 2 + 1);
        assert_eq!(chunks(frames(&["a\n", &half, &half, &half, "\nb\n"])).await, ["a|!|b"]);
        let whole = format!("a\n{half}{half}\nb");
        assert_eq!(chunks(frames(&[&whole])).await, ["a|!|b"]);
        assert_eq!(chunks(frames(&[&half, &half])).await, ["!"]);
    }

    #[tokio::test]
    async fn whole_lines_before_a_fault_are_kept_and_the_cut_off_one_is_not() {
        let mut broken = frames(&["a\nb\nc"]);
        broken.push(Err("reset"));
        assert_eq!(chunks(broken).await, ["a|b", "the connection broke off"]);
    }
}
