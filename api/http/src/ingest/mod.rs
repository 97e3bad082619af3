//! `POST /v1/purchases`: one purchase, or a stream of them. The only route that is busy.
//!
//! [`single`] answers one; [`lines`] cuts a stream into chunks, and [`stream`] puts their answers together; [`socket`] does both for
//! `GET /v1/purchases/stream`, a WebSocket. In between [`pipeline`] books chunks in order.

mod lines;
mod pipeline;
mod single;
mod socket;
mod stream;

use axum::body::Body;
use axum::response::Response;
use hyper::Request;
use kembali_engine::{Booking, Caller, Engine};

pub(crate) use self::socket::{FRAME_PURCHASES_MAX, open as socket};
use crate::app::App;
use crate::body::{Media, media_of, unpacker_of};
use crate::codes;
use crate::parameters;
use crate::problem::Problem;
use crate::query::Query;
use crate::request_id::RequestId;
use crate::routes::Endpoint;
use crate::wire::result::{RenderError, Rules, render, render_dry_run};

/// Books what the request holds.
pub(crate) async fn purchases(
    app: &App,
    caller: Caller,
    request: Request<Body>,
    request_id: &RequestId,
) -> Result<Response, Problem> {
    let dry_run = match request.uri().query() {
        None => false,
        Some(_) => Query::parse(request.uri(), parameters::of(Endpoint::BookPurchases))?.flag("dry_run")?,
    };
    match media_of(request.headers())? {
        Media::Json => single::book(app, caller, request, dry_run).await,
        Media::NdJson if dry_run => Err(Problem::new(&codes::DRY_RUN_ON_STREAM)),
        Media::NdJson => {
            let unpacker = unpacker_of(request.headers())?;
            stream::book(app, caller, request.into_body(), unpacker, request_id.clone()).await
        }
    }
}

/// What a booking is answered with.
enum Answer {
    /// The result was written.
    Result { replayed: bool, dry_run: bool },
    /// There is none.
    Problem(Box<Problem>),
}

/// Writes the result of a booking to the end of `out`, if it has one. A dry run of a purchase that is booked already
/// tells what was booked, but names no record: it made none.
fn answer(engine: &Engine, out: &mut Vec<u8>, booking: &Booking, dry_run: bool) -> Result<Answer, RenderError> {
    match booking {
        Booking::Booked { record, catalogue } => {
            let former = engine.former_rules(&record.body);
            render(out, record.seq, &record.body, Rules { catalogue, former: &former })?;
            Ok(Answer::Result { replayed: false, dry_run: false })
        }
        Booking::Replayed { record, catalogue } if dry_run => {
            let former = engine.former_rules(&record.body);
            render_dry_run(out, &record.body, Rules { catalogue, former: &former })?;
            Ok(Answer::Result { replayed: true, dry_run: true })
        }
        Booking::Replayed { record, catalogue } => {
            let former = engine.former_rules(&record.body);
            render(out, record.seq, &record.body, Rules { catalogue, former: &former })?;
            Ok(Answer::Result { replayed: true, dry_run: false })
        }
        Booking::WouldBook { body, catalogue } => {
            let former = engine.former_rules(body);
            render_dry_run(out, body, Rules { catalogue, former: &former })?;
            Ok(Answer::Result { replayed: false, dry_run: true })
        }
        Booking::Conflict { seq } => {
            let problem = Problem::new(&codes::ORIGIN_ID_CONFLICT).pointer("/origin_id").member("seq", seq.0);
            Ok(Answer::Problem(Box::new(problem)))
        }
        Booking::Refused { rejection, replayed } => {
            Ok(Answer::Problem(Box::new(Problem::of_rejection(rejection, *replayed))))
        }
    }
}
