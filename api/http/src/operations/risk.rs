//! Archiving: an operator is done with a check of risk rules.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use hyper::Request;
use kembali_core::Seq;
use kembali_core::operation::Operation;

use super::{Ask, body_if_any};
use crate::app::App;
use crate::auth::Identity;
use crate::codes;
use crate::problem::Problem;
use crate::reads::risk::check_of;
use crate::routes::Endpoint;
use crate::wire::operation::Nothing;

/// Archives a check.
pub(crate) async fn archive(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Path(seq): Path<String>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let ask = Ask::read(&app, identity, Endpoint::ArchiveRiskCheck, request.uri(), request.headers()).await?;
    let unknown = || Problem::new(&codes::RISK_CHECK_NOT_FOUND);
    let check: Seq = seq.parse().map(Seq).map_err(|_| unknown())?;
    let Nothing {} = body_if_any(&app, request).await?;
    let (record, catalogue) = app.engine.record(check).await?.ok_or_else(unknown)?;
    let is_check = record.body.tenant == ask.tenant && check_of(&record, &catalogue).is_some();
    if !is_check {
        return Err(unknown());
    }
    ask.operate_alone(&app, Operation::ArchiveRiskCheck { check }).await
}
