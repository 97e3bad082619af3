//! One tier programme: created or replaced.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use hyper::Request;

use super::{change, read_body, report};
use crate::app::App;
use crate::auth::Identity;
use crate::parameters;
use crate::problem::Problem;
use crate::query::Query;
use crate::reads::Json;
use crate::routes::Endpoint;
use crate::wire::catalogue::TierProgramFile;
use crate::wire::catalogue_draft::CatalogueFault;
use crate::wire::change::ChangeReport;

/// Creates a programme, or replaces the one of this name.
pub(crate) async fn put(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Path(name): Path<String>,
    request: Request<Body>,
) -> Result<Json<ChangeReport>, Problem> {
    let query = Query::parse(request.uri(), parameters::of(Endpoint::PutTierProgram))?;
    let (head, body) = request.into_parts();
    let file: TierProgramFile = read_body(&app, &head.headers, body).await?;
    if file.name != name {
        let problem = format!("is {}, but the request is for {name}", file.name);
        return Err(CatalogueFault { place: "name".to_owned(), problem }.into());
    }
    let wanted = file.to_draft()?;
    let applied = change(&app, identity, &query, Vec::new(), |_, draft| {
        match draft.programs.iter_mut().find(|own| own.name == name) {
            Some(own) => *own = wanted.clone(),
            None => draft.programs.push(wanted.clone()),
        }
        Ok(())
    });
    Ok(Json(report(&applied.await?, query.flag("dry_run")?)))
}
