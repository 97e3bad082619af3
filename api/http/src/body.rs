//! Request bodies: media types, gzip, and limits that hold for what was sent and for what it unpacks to.

use std::io::{self, Write as _};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use http_body_util::BodyExt as _;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};

use crate::codes;
use crate::problem::Problem;

/// What a body holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Media {
    Json,
    NdJson,
}

/// Reads the content type.
pub(crate) fn media_of(headers: &HeaderMap) -> Result<Media, Problem> {
    let header = headers.get(CONTENT_TYPE).map_or(&b""[..], |header| header.as_bytes());
    let essence = header.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    if essence.eq_ignore_ascii_case(b"application/json") {
        Ok(Media::Json)
    } else if essence.eq_ignore_ascii_case(b"application/x-ndjson") {
        Ok(Media::NdJson)
    } else {
        Err(Problem::new(&codes::MEDIA_TYPE_UNSUPPORTED))
    }
}

/// Makes what unpacks a body, by its content encoding.
pub(crate) fn unpacker_of(headers: &HeaderMap) -> Result<Unpacker, Problem> {
    let header = headers.get(CONTENT_ENCODING).map_or(&b""[..], |header| header.as_bytes().trim_ascii());
    if header.is_empty() || header.eq_ignore_ascii_case(b"identity") {
        Ok(Unpacker::Plain)
    } else if header.eq_ignore_ascii_case(b"gzip") {
        Ok(Unpacker::Gzip(Box::new(MultiGzDecoder::new(Vec::new()))))
    } else {
        Err(Problem::new(&codes::CONTENT_ENCODING_UNSUPPORTED))
    }
}

/// Unpacks a body step by step.
pub(crate) enum Unpacker {
    Plain,
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
}

impl Unpacker {
    /// Moves some of `packed` to the end of `out`. A step of gzip unpacks a few times ten KiB at most, however well
    /// it was packed, so that the caller can look at a limit between two steps.
    pub(crate) fn step(&mut self, packed: &mut Bytes, out: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Unpacker::Plain => out.extend_from_slice(&std::mem::take(packed)),
            Unpacker::Gzip(decoder) => {
                let taken = decoder.write(packed)?;
                let _ = packed.split_to(taken);
                out.append(decoder.get_mut());
            }
        }
        Ok(())
    }

    /// Moves what is left to the end of `out` once all was sent.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        if let Unpacker::Gzip(decoder) = self {
            decoder.try_finish()?;
            out.append(decoder.get_mut());
        }
        Ok(())
    }
}

/// Reads a whole JSON body of at most `bytes_max`, as sent and unpacked.
pub(crate) async fn read_json(
    headers: &HeaderMap,
    body: Body,
    bytes_max: usize,
    time_max: Duration,
) -> Result<Vec<u8>, Problem> {
    if media_of(headers)? != Media::Json {
        return Err(Problem::new(&codes::MEDIA_TYPE_UNSUPPORTED));
    }
    let unpacker = unpacker_of(headers)?;
    let read = tokio::time::timeout(time_max, read_limited(body, unpacker, bytes_max));
    read.await.unwrap_or_else(|_| Err(Problem::new(&codes::REQUEST_TIMEOUT)))
}

/// Reads a whole body as it was sent, of at most `bytes_max`.
pub(crate) async fn read_raw(body: Body, bytes_max: usize, time_max: Duration) -> Result<Vec<u8>, Problem> {
    let read = tokio::time::timeout(time_max, read_limited(body, Unpacker::Plain, bytes_max));
    read.await.unwrap_or_else(|_| Err(Problem::new(&codes::REQUEST_TIMEOUT)))
}

async fn read_limited(mut body: Body, mut unpacker: Unpacker, bytes_max: usize) -> Result<Vec<u8>, Problem> {
    let too_large = || Problem::new(&codes::BODY_TOO_LARGE).member("bytes_max", bytes_max);
    let damaged = |error: io::Error| Problem::new(&codes::CONTENT_ENCODING_INVALID).detail(error.to_string());
    let mut out = Vec::new();
    let mut sent: usize = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Problem::new(&codes::BODY_INCOMPLETE))?;
        let Ok(mut data) = frame.into_data() else { continue };
        sent = sent.saturating_add(data.len());
        while !data.is_empty() {
            if bytes_max < sent || bytes_max < out.len() {
                return Err(too_large());
            }
            unpacker.step(&mut data, &mut out).map_err(damaged)?;
        }
    }
    unpacker.finish(&mut out).map_err(damaged)?;
    if bytes_max < out.len() {
        return Err(too_large());
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn packed(text: &[u8]) -> Bytes {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).unwrap();
        Bytes::from(encoder.finish().unwrap())
    }

    #[test]
    fn a_step_unpacks_little_even_of_a_bomb() {
        let zeros = vec![0; 32 * 1024 * 1024];
        let mut bomb = packed(&zeros);
        let mut unpacker = Unpacker::Gzip(Box::new(MultiGzDecoder::new(Vec::new())));
        let (mut all, mut largest) = (0, 0);
        while !bomb.is_empty() {
            let mut out = Vec::new();
            unpacker.step(&mut bomb, &mut out).unwrap();
            all += out.len();
            largest = largest.max(out.len());
        }
        let mut out = Vec::new();
        unpacker.finish(&mut out).unwrap();
        assert_eq!(all + out.len(), zeros.len());
        assert!(largest <= 128 * 1024, "{largest}");
    }

    #[test]
    fn a_stream_that_is_cut_off_or_damaged_is_an_error() {
        let whole = packed(b"hello, hello, hello");
        let mut unpacker = Unpacker::Gzip(Box::new(MultiGzDecoder::new(Vec::new())));
        let mut half = whole.slice(..whole.len() - 6);
        let mut out = Vec::new();
        while !half.is_empty() {
            unpacker.step(&mut half, &mut out).unwrap();
        }
        assert!(unpacker.finish(&mut out).is_err());
        let mut unpacker = Unpacker::Gzip(Box::new(MultiGzDecoder::new(Vec::new())));
        let mut noise = Bytes::from_static(b"this is no gzip at all");
        assert!(unpacker.step(&mut noise, &mut out).is_err());
    }
}
