//! Closing reviews: an operator does what a risk rule set aside, or refuses it.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use hyper::Request;
use kembali_core::Seq;
use kembali_core::operation::Operation;

use super::{Ask, body_if_any, body_of};
use crate::app::App;
use crate::auth::Identity;
use crate::codes;
use crate::problem::Problem;
use crate::routes::Endpoint;
use crate::wire::operation::{NewReason, Nothing};

/// Does what was set aside.
pub(crate) async fn release(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Path(seq): Path<String>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let ask = Ask::read(&app, identity, Endpoint::ReleaseReview, request.uri(), request.headers()).await?;
    let review = review_of(&seq)?;
    let Nothing {} = body_if_any(&app, request).await?;
    ask.close(&app, review, Operation::ReleaseReview { review }).await
}

/// Refuses what was set aside.
pub(crate) async fn reject(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Path(seq): Path<String>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let ask = Ask::read(&app, identity, Endpoint::RejectReview, request.uri(), request.headers()).await?;
    let review = review_of(&seq)?;
    let reason = body_of::<NewReason>(&app, request).await?.reason()?;
    ask.close(&app, review, Operation::RejectReview { review, reason }).await
}

fn review_of(text: &str) -> Result<Seq, Problem> {
    text.parse().map(Seq).map_err(|_| Problem::new(&codes::REVIEW_NOT_FOUND))
}

impl Ask {
    async fn close(self, app: &App, review: Seq, operation: Operation) -> Result<Response, Problem> {
        let unknown = || Problem::new(&codes::REVIEW_NOT_FOUND);
        let (original, _) = app.engine.record(review).await?.ok_or_else(unknown)?;
        let is_review = original.body.tenant == self.tenant && original.review().is_some();
        let customer = original.body.customer.filter(|_| is_review).ok_or_else(unknown)?;
        self.operate_on(app, original, customer, operation).await
    }
}
