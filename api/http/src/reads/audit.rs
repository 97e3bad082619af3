//! The log of what administrators did. Nothing can be taken out of it.

use axum::Extension;
use axum::extract::State;
use hyper::Uri;

use super::Json;
use super::log::{self, Walk};
use crate::app::App;
use crate::auth::Identity;
use crate::cursor::List;
use crate::parameters;
use crate::problem::Problem;
use crate::query::Query;
use crate::routes::Endpoint;
use crate::wire::audit::{AuditEntry, AuditPage};
use crate::wire::result::Names;

/// Lists what administrators did, the newest first.
pub(crate) async fn list(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    uri: Uri,
) -> Result<Json<AuditPage>, Problem> {
    let query = Query::parse(&uri, parameters::of(Endpoint::Audit))?;
    app.reach_min_seq(&query).await?;
    let tenant = app.tenant(identity, &query).await?.tenant;
    let walk = Walk::of(&app, &query, tenant, (List::Audit, None, 0))?;
    let page = walk.page(&app, |record, catalogue| {
        AuditEntry::of(record, &Names { catalogue }).iter().map(serde_json::to_value).collect::<Vec<_>>()
    });
    let log::Page { data, next_cursor, as_of } = page.await?;
    let data: Result<Vec<_>, _> = data.into_iter().collect();
    let data = data.map_err(|error| Problem::internal(&error))?;
    Ok(Json(AuditPage { data, next_cursor, as_of: as_of.0 }))
}
