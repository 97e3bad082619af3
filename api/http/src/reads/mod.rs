//! Reading: what the ledger says as of a position. Nothing is created by reading.
//!
//! One customer: [`customers`] and, over time, [`history`]; [`purchase`]; the rules: [`promos`] and [`catalogue`];
//! sums: [`reports`].

pub(crate) mod catalogue;
pub(crate) mod customers;
pub(crate) mod history;
pub(crate) mod promos;
pub(crate) mod purchase;
pub(crate) mod reports;

use axum::body::Body;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use serde_json::Value;

use crate::codes;
use crate::problem::Problem;

/// A JSON answer.
pub(crate) struct Json(pub(crate) Value);

impl IntoResponse for Json {
    fn into_response(self) -> Response {
        // A `Value` prints without fail.
        json_response(StatusCode::OK, self.0.to_string())
    }
}

/// Makes a response of JSON that is written already.
pub(crate) fn json_response(status: StatusCode, text: impl Into<Body>) -> Response {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Shows what a problem code means.
pub(crate) async fn problem_page(Path(code): Path<String>) -> Result<Response, Problem> {
    let code = codes::find(&code).ok_or_else(|| Problem::new(&codes::CODE_NOT_FOUND))?;
    let mut response = Response::new(Body::from(codes::page(code)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    Ok(response)
}
