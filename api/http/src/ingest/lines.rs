//! A stream of bytes cut into lines, and lines gathered into chunks: as many as have arrived, up to a limit.
//!
//! No line is looked into here. A line that is too long is dropped, but keeps its place. Blank lines have no place, so
//! only so many of them are taken in a row: a few bytes of gzip may stand for a thousand times as many.

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
/// Bytes of blank lines that may follow each other.
pub(super) const BLANK_BYTES_MAX: usize = 64 * 1024;
/// Bytes that are unpacked before others get their turn on the thread.
const TURN_BYTES_MAX: usize = 256 * 1024;

/// Why a stream ended before its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum StreamFault {
    #[error("the connection broke off")]
    Broken(#[source] axum::Error),
    #[error("the compressed stream is damaged")]
    Damaged(#[source] io::Error),
    #[error("more than {BLANK_BYTES_MAX} bytes of blank lines follow each other")]
    TooBlank,
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
        self.bytes.extend_from_slice(line);
        self.ends.push(Some(self.bytes.len()));
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
    /// Bytes of the blank lines since the last one that was not.
    blank: usize,
}

/// Where cutting stopped.
enum Cut {
    /// The chunk takes no more.
    Full,
    /// No whole line is left.
    Dry,
    /// Too many blank lines follow each other.
    TooBlank,
}

impl Cutter {
    /// Moves whole lines into `chunk` until it is full or no whole line is left.
    fn cut(&mut self, chunk: &mut Chunk) -> Cut {
        while !chunk.is_full() {
            if BLANK_BYTES_MAX < self.blank {
                return Cut::TooBlank;
            }
            let from = self.searched.max(self.start);
            let Some(at) = memchr::memchr(b'\n', self.buffer.get(from..).unwrap_or_default()) else {
                self.searched = self.buffer.len();
                self.forget(chunk);
                return Cut::Dry;
            };
            let end = from + at;
            self.take(end, chunk);
            self.start = end + 1;
        }
        Cut::Full
    }

    fn take(&mut self, end: usize, chunk: &mut Chunk) {
        let line = self.buffer.get(self.start..end).unwrap_or_default();
        if std::mem::take(&mut self.skips) {
            return;
        }
        if LINE_BYTES_MAX < line.len() {
            chunk.ends.push(None);
        } else if line.trim_ascii().is_empty() {
            self.blank += line.len() + 1;
            return;
        } else {
            chunk.push(line);
        }
        self.blank = 0;
    }

    /// Gives up what was cut, and the beginning of a line that is too long already.
    fn forget(&mut self, chunk: &mut Chunk) {
        if LINE_BYTES_MAX < self.buffer.len() - self.start {
            if !std::mem::replace(&mut self.skips, true) {
                chunk.ends.push(None);
                self.blank = 0;
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
    /// Bytes that were unpacked in this turn.
    turn_bytes: usize,
    cutter: Cutter,
    /// What was gathered; kept here so that a read which is given up loses nothing.
    chunk: Chunk,
    ended: bool,
    fault: Option<StreamFault>,
}

impl ChunkReader {
    pub(super) fn new(body: Body, unpacker: Unpacker) -> ChunkReader {
        let (packed, cutter, chunk) = (Bytes::new(), Cutter::default(), Chunk::default());
        ChunkReader { body, unpacker, packed, turn_bytes: 0, cutter, chunk, ended: false, fault: None }
    }

    /// Waits for the next lines and returns all that have arrived, up to the limits of a chunk; `None` at the end.
    ///
    /// Whole lines before a fault are returned before the fault is. Dropping the future loses nothing. However well the
    /// body is packed, others get their turn on the thread.
    ///
    /// # Errors
    ///
    /// [`StreamFault`]: what follows cannot be read; a line that is cut off is not returned.
    pub(super) async fn next(&mut self) -> Result<Option<Chunk>, StreamFault> {
        loop {
            match self.cutter.cut(&mut self.chunk) {
                Cut::Full => return Ok(Some(std::mem::take(&mut self.chunk))),
                Cut::TooBlank => {
                    // What follows is not looked at, so it need not be unpacked either.
                    (self.packed, self.cutter) = (Bytes::new(), Cutter::default());
                    self.fail(StreamFault::TooBlank);
                }
                Cut::Dry => (),
            }
            if !self.packed.is_empty() {
                self.unpack().await;
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

    /// Unpacks one step of what was received.
    async fn unpack(&mut self) {
        // A thread that unpacks a gigabyte of nothing would serve nobody else meanwhile.
        if TURN_BYTES_MAX <= self.turn_bytes {
            self.turn_bytes = 0;
            tokio::task::yield_now().await;
        }
        let before = self.cutter.buffer.len();
        if let Err(error) = self.unpacker.step(&mut self.packed, &mut self.cutter.buffer) {
            self.packed = Bytes::new();
            self.fail(StreamFault::Damaged(error));
        }
        self.turn_bytes += self.cutter.buffer.len() - before;
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
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::{GzEncoder, MultiGzDecoder};
    use futures_util::stream;
    use hyper::body::Frame;
    use proptest::collection::vec;
    use proptest::prelude::*;

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

    #[tokio::test]
    async fn blank_lines_are_taken_up_to_a_limit_in_a_row() {
        let most = "\n".repeat(BLANK_BYTES_MAX);
        assert_eq!(chunks(frames(&[&most])).await, [""; 0]);
        assert_eq!(chunks(frames(&["a\n", &most, "b\n", &most, "c"])).await, ["a|b|c"], "each line begins anew");
        let fault = StreamFault::TooBlank.to_string();
        assert_eq!(chunks(frames(&["a\n", &most, "\nb\n"])).await, ["a", &fault], "what came before is kept");
        let spaces = " ".repeat(BLANK_BYTES_MAX) + "\n";
        assert_eq!(chunks(frames(&[&spaces, "b\n"])).await, [fault], "a blank line counts with its bytes");
    }

    /// Reads a body of gzip to its first line or its end, and counts the turns that others got meanwhile.
    fn turns(text: &[u8]) -> (usize, String) {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).unwrap();
        let body = Body::from(encoder.finish().unwrap());
        let unpacker = Unpacker::Gzip(Box::new(MultiGzDecoder::new(Vec::new())));
        let mut reader = ChunkReader::new(body, unpacker);
        let mut turns = 0;
        loop {
            // Each poll is a read that is given up when it lets others have their turn.
            match reader.next().now_or_never() {
                None => turns += 1,
                Some(Ok(Some(chunk))) => return (turns, format!("{} lines", chunk.lines().count())),
                Some(Ok(None)) => return (turns, "nothing".to_owned()),
                Some(Err(fault)) => return (turns, fault.to_string()),
            }
        }
    }

    #[test]
    fn unpacking_much_out_of_little_lets_others_have_their_turn() {
        let (count, read) = turns(&vec![b' '; 32 * 1024 * 1024]);
        assert_eq!(read, "1 lines", "one that is too long");
        assert!((64..=128).contains(&count), "{count}");
        let (count, read) = turns(&vec![b'\n'; 32 * 1024 * 1024]);
        assert_eq!((count, read), (0, StreamFault::TooBlank.to_string()), "and nothing is unpacked in vain");
    }

    proptest! {
        /// R45: however a stream is cut into frames, the same lines come out, in order, and none that is blank.
        #[test]
        fn r45_lines_are_the_same_however_they_come(
            bytes in vec(prop_oneof![3 => Just(b'\n'), 2 => Just(b' '), 1 => Just(b'\r'), 6 => any::<u8>()], 0..200),
            cuts in vec(0..200_usize, 0..8),
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|at| at.min(bytes.len())).chain([0, bytes.len()]).collect();
            cuts.sort_unstable();
            let frames = cuts.windows(2).map(|own| Ok::<_, io::Error>(Frame::data(Bytes::copy_from_slice(&bytes[own[0]..own[1]]))));
            let body = Body::new(http_body_util::StreamBody::new(stream::iter(frames.collect::<Vec<_>>())));
            let mut reader = ChunkReader::new(body, Unpacker::Plain);
            let mut seen: Vec<Vec<u8>> = Vec::new();
            loop {
                match reader.next().now_or_never() {
                    None => (),
                    Some(Ok(Some(chunk))) => seen.extend(chunk.lines().map(|line| line.expect("none is long").to_vec())),
                    Some(Ok(None)) => break,
                    Some(Err(fault)) => panic!("{fault}"),
                }
            }
            let wanted = bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
            prop_assert_eq!(seen, wanted.map(<[u8]>::to_vec).collect::<Vec<_>>());
        }
    }
}
