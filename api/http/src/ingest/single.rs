//! One purchase, one answer.

use axum::body::Body;
use axum::response::Response;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Request, StatusCode};
use kembali_engine::{Caller, PurchaseRequest};

use super::{Answer, answer};
use crate::app::App;
use crate::body::read_json;
use crate::config::BODY_BYTES_MAX;
use crate::problem::{Problem, REPLAYED_HEADER};
use crate::wire::purchase::parse;

pub(super) async fn book(
    app: &App,
    caller: Caller,
    request: Request<Body>,
    dry_run: bool,
) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let document = read_json(&head.headers, body, BODY_BYTES_MAX, app.limits.body_time_max).await?;
    let (customer, purchase) = parse(&document).map_err(|problem| *problem)?;
    let requests = vec![PurchaseRequest { caller, customer, purchase, dry_run }];
    let booked = app.engine.try_book(requests).map_err(Problem::from)?;
    let bookings = booked.await?;
    let booking = bookings.first().ok_or_else(|| Problem::internal(&"the engine answered nothing"))?;
    let mut out = Vec::with_capacity(1024);
    match answer(&app.engine, &mut out, booking, dry_run).map_err(|error| Problem::internal(&error))? {
        Answer::Problem(problem) => Err(*problem),
        Answer::Result { replayed, dry_run } => {
            let mut response = Response::new(Body::from(out));
            *response.status_mut() = if dry_run { StatusCode::OK } else { StatusCode::CREATED };
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            if replayed {
                headers.insert(REPLAYED_HEADER, HeaderValue::from_static("true"));
            }
            Ok(response)
        }
    }
}
