//! One partner: created, with a key that is shown once.

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use hyper::{Request, StatusCode};
use kembali_core::draft::PartnerDraft;
use kembali_engine::PartnerKey;

use super::{api_keys, change, read_body, report};
use crate::app::App;
use crate::auth::Identity;
use crate::codes;
use crate::parameters;
use crate::problem::Problem;
use crate::query::Query;
use crate::reads::Json;
use crate::routes::Endpoint;
use crate::wire::change::{NewPartner, PartnerCreated};

/// Creates a partner. The key is in this answer and never in another.
pub(crate) async fn post(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    request: Request<Body>,
) -> Result<(StatusCode, Json<PartnerCreated>), Problem> {
    let query = Query::parse(request.uri(), parameters::of(Endpoint::PostPartner))?;
    let dry_run = query.flag("dry_run")?;
    let (head, body) = request.into_parts();
    let NewPartner { slug, name, api_key, api_secret, signed } = read_body(&app, &head.headers, body).await?;
    let key = api_keys::new_key(&app, &slug, api_key, (api_secret, signed))?;
    let applied = change(&app, identity, &query, vec![key.clone()], |present, draft| {
        if present.partner_by_slug(&slug).is_some() {
            return Err(Problem::new(&codes::PARTNER_EXISTS).member("partner", slug.as_str()));
        }
        draft.partners.push(PartnerDraft { slug: slug.clone(), name: name.clone() });
        Ok(())
    });
    let report = report(&applied.await?, dry_run);
    let status = if dry_run { StatusCode::OK } else { StatusCode::CREATED };
    let PartnerKey { api_key, secret, .. } = key;
    let (api_key, api_secret) = if dry_run { (None, None) } else { (Some(api_key), secret) };
    Ok((status, Json(PartnerCreated { report, partner: slug, api_key, api_secret })))
}
