//! The whole catalogue at once.

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use hyper::Request;
use kembali_engine::ApplyRequest;

use super::{preview, read_body, report};
use crate::app::App;
use crate::auth::Identity;
use crate::parameters;
use crate::problem::Problem;
use crate::query::Query;
use crate::reads::Json;
use crate::routes::Endpoint;
use crate::wire::catalogue::CatalogueFile;
use crate::wire::catalogue_draft::CatalogueFault;
use crate::wire::change::ChangeReport;

/// Makes the rules in the body the tenant's next version; creates the tenant if there is none. A dry run also tells what
/// customers would see of it.
pub(crate) async fn put(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    request: Request<Body>,
) -> Result<Json<ChangeReport>, Problem> {
    let query = Query::parse(request.uri(), parameters::of(Endpoint::PutCatalogue))?;
    let slug = match identity.tenant() {
        // Only whoever holds the server's token makes tenants.
        None => query.required("tenant")?.to_owned(),
        Some(_) => app.tenant(identity, &query).await?.slug.clone(),
    };
    let expected_version = query.number::<u32>("expected_version")?;
    let dry_run = query.flag("dry_run")?;
    let (head, body) = request.into_parts();
    let file: CatalogueFile = read_body(&app, &head.headers, body).await?;
    if file.tenant.slug != slug {
        let problem = format!("is {}, but the request is for {slug}", file.tenant.slug);
        return Err(CatalogueFault { place: "tenant.slug".to_owned(), problem }.into());
    }
    let (draft, partner_keys) = (file.to_draft()?, file.partner_keys());
    let request = ApplyRequest { actor: identity.actor()?, draft, partner_keys, expected_version, dry_run };
    let applied = app.engine.apply(request).await?;
    let mut report = report(&applied, dry_run);
    if dry_run {
        report.outcome = preview::of_change(&app.engine, &applied).await?;
    }
    Ok(Json(report))
}
