//! Reading: what the ledger says as of a position. Nothing is created by reading.
//!
//! One customer: [`customers`] and, over time, [`history`] and [`statement`]; [`purchase`] and [`explain`]; the rules:
//! [`promos`], [`offers`] and [`catalogue`]; sums: [`reports`], [`costs`] and [`liability`].

pub(crate) mod audit;
pub(crate) mod catalogue;
pub(crate) mod costs;
pub(crate) mod customers;
pub(crate) mod explain;
pub(crate) mod export;
pub(crate) mod history;
pub(crate) mod liability;
mod log;
pub(crate) mod offers;
pub(crate) mod payments;
pub(crate) mod promos;
pub(crate) mod purchase;
pub(crate) mod reports;
pub(crate) mod reviews;
pub(crate) mod risk;
pub(crate) mod statement;

use axum::body::Body;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use serde::Serialize;

use crate::codes;
use crate::problem::Problem;

/// A JSON answer. What is in it has a schema, so the type of a handler says what the handler answers.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(text) => json_response(StatusCode::OK, text),
            Err(error) => Problem::internal(&error).into_response(),
        }
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
