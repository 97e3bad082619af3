//! A snapshot on request: before a backup, an upgrade, or a restart that must be quick.

use axum::extract::State;
use hyper::Uri;

use crate::app::App;
use crate::parameters;
use crate::problem::Problem;
use crate::query::Query;
use crate::reads::Json;
use crate::routes::Endpoint;
use crate::wire::snapshot::Snapshot;

/// Archives all that is durable, takes a snapshot of it, and says up to which position it reaches.
pub(crate) async fn post(State(app): State<App>, uri: Uri) -> Result<Json<Snapshot>, Problem> {
    Query::parse(&uri, parameters::of(Endpoint::PostSnapshot))?;
    let seq = app.engine.snapshot().await?.0;
    Ok(Json(Snapshot { seq }))
}
