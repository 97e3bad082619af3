//! A stream of purchases as `application/x-ndjson`: a line each, answered by a line each. How they are booked is in [`super::pipeline`].

use axum::body::{Body, Bytes};
use axum::response::Response;
use futures_util::stream::unfold;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use kembali_engine::Caller;
use tokio::time::timeout;

use super::lines::{BLANK_BYTES_MAX, Chunk, ChunkReader, StreamFault};
use super::pipeline::{Parsed, Pipeline, Source};
use crate::app::App;
use crate::body::Unpacker;
use crate::codes;
use crate::problem::Problem;
use crate::request_id::RequestId;
use crate::wire::purchase::parse;

impl Source for ChunkReader {
    type Chunk = Chunk;
    type Shape = ();
    type Fault = StreamFault;

    fn next(&mut self) -> impl Future<Output = Result<Option<Chunk>, StreamFault>> + Send {
        self.next()
    }

    fn read(chunk: &Chunk, take: impl FnMut(Parsed)) {
        let too_large = || Err(Box::new(Problem::new(&codes::LINE_TOO_LARGE)));
        chunk.lines().map(|line| line.map_or_else(too_large, parse)).for_each(take);
    }
}

/// Books the stream. Refuses as a whole only before the first line.
pub(super) async fn book(
    app: &App,
    caller: Caller,
    body: Body,
    unpacker: Unpacker,
    request_id: RequestId,
) -> Result<Response, Problem> {
    let mut pipeline = Pipeline::new(app, caller, request_id, ChunkReader::new(body, unpacker));
    let Ok(read) = timeout(app.limits.stream_idle_max, pipeline.source().next()).await else {
        return Err(Problem::new(&codes::REQUEST_TIMEOUT));
    };
    match read {
        Ok(Some(chunk)) => pipeline.submit(&chunk).map_err(Problem::from)?,
        Ok(None) => pipeline.end(),
        Err(StreamFault::Damaged(error)) => {
            return Err(Problem::new(&codes::CONTENT_ENCODING_INVALID).detail(error.to_string()));
        }
        Err(StreamFault::Broken(_)) => return Err(Problem::new(&codes::BODY_INCOMPLETE)),
        Err(StreamFault::TooBlank) => {
            return Err(Problem::new(&codes::BLANK_LINES_TOO_MANY).member("bytes_max", BLANK_BYTES_MAX));
        }
    }
    let answers = unfold(Some(pipeline), |pipeline| async {
        let mut pipeline = pipeline?;
        match pipeline.next_answers().await {
            Ok(Some(answers)) => Some((Ok(Bytes::from(answers.lines)), Some(pipeline))),
            Ok(None) => None,
            Err(fault) => {
                tracing::warn!(%fault, request_id = pipeline.request_id().as_str(), "a stream is broken off");
                // The connection writes what it was given whenever nothing more is there: else answers of what is booked
                // would be lost with the fault.
                tokio::task::yield_now().await;
                // The body ends without its end: the caller sees that the rest is unanswered.
                Some((Err(fault), None))
            }
        }
    });
    let mut response = Response::new(Body::from_stream(answers));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    Ok(response)
}
