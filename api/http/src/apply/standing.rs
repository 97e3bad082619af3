//! What a partner may do: open or suspended, and within which limits. Kept beside the rules, so that no catalogue file that is
//! applied later opens what an operator has closed.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use hyper::Request;
use kembali_core::Seq;

use crate::app::App;
use crate::auth::Identity;
use crate::codes;
use crate::operations::body_of;
use crate::parameters;
use crate::problem::Problem;
use crate::query::Query;
use crate::reads::Json;
use crate::routes::Endpoint;
use crate::wire::operation::{REFERENCE_CHARS_MAX, checked};
use crate::wire::partner::{PartnerChanged, PartnerPatch, PartnerStatus, Standing};

/// Suspends a partner, opens it again, or gives it limits of its own. What is in flight is finished.
pub(crate) async fn patch(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Path(slug): Path<String>,
    request: Request<Body>,
) -> Result<Json<PartnerChanged>, Problem> {
    let query = Query::parse(request.uri(), parameters::of(Endpoint::PatchPartner))?;
    let tenant = app.tenant(identity, &query).await?;
    let unknown = || Problem::new(&codes::PARTNER_NOT_FOUND).member("partner", slug.as_str());
    let partner = tenant.partner_by_slug(&slug).ok_or_else(unknown)?.id;
    let patch: PartnerPatch = body_of(&app, request).await?;
    let (per_second, at_once) = patch.limits()?;
    let reason = patch.reason.map(|text| checked(text, REFERENCE_CHARS_MAX, "/reason")).transpose()?;
    let changed = app.engine.change_partner(
        identity.actor()?,
        (tenant.tenant, partner),
        reason.map(String::into_boxed_str),
        |standing| {
            if let Some(status) = patch.status {
                standing.is_suspended = status == PartnerStatus::Suspended;
            }
            standing.requests_per_second = per_second.unwrap_or(standing.requests_per_second);
            standing.requests_at_once = at_once.unwrap_or(standing.requests_at_once);
        },
    );
    let (before, after, seq) = changed.await?;
    let (before, after) = (Standing::of(before), Standing::of(after));
    Ok(Json(PartnerChanged { partner: slug, before, after, seq: seq.map(|Seq(seq)| seq) }))
}
