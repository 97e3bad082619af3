//! The rules, as people write them.

use axum::Extension;
use axum::extract::State;
use hyper::Uri;

use super::Json;
use crate::app::App;
use crate::auth::Identity;
use crate::codes;
use crate::parameters;
use crate::problem::Problem;
use crate::query::{Query, invalid};
use crate::routes::Endpoint;
use crate::wire::catalogue_view::{file_of, ids_of, program_file};
use crate::wire::partner::Standing;
use crate::wire::rules::{CatalogueReply, Partner, PartnerList, TierProgramList};

/// Shows a tenant's rules at a version, or those that held at a past position; the present ones if neither is named.
/// `catalogue` can be sent back as it is.
pub(crate) async fn show(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    uri: Uri,
) -> Result<Json<CatalogueReply>, Problem> {
    let query = Query::parse(&uri, parameters::of(Endpoint::Catalogue))?;
    app.reach_min_seq(&query).await?;
    let version = query.number::<u32>("version")?;
    if version.is_some() && query.text("at").is_some() {
        return Err(invalid("at", "send `version` or `at`; the rules that held at a position have one version"));
    }
    let (held, as_of) = app.rules(identity, &query).await?;
    let catalogue = match version {
        None => held,
        Some(version) => {
            let found = app.engine.catalogue(&held.slug, Some(version)).await?;
            found.ok_or_else(|| Problem::new(&codes::VERSION_NOT_FOUND))?
        }
    };
    Ok(Json(CatalogueReply {
        tenant: catalogue.slug.clone(),
        version: catalogue.version,
        catalogue: file_of(&catalogue),
        ids: ids_of(&catalogue),
        as_of: as_of.0,
    }))
}

/// Lists a tenant's tier programmes.
pub(crate) async fn tier_programs(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    uri: Uri,
) -> Result<Json<TierProgramList>, Problem> {
    let query = Query::parse(&uri, parameters::of(Endpoint::TierPrograms))?;
    app.reach_min_seq(&query).await?;
    let (catalogue, as_of) = app.rules(identity, &query).await?;
    let data = catalogue.programs.iter().map(program_file).collect();
    Ok(Json(TierProgramList { data, next_cursor: (), version: catalogue.version, as_of: as_of.0 }))
}

/// Lists a tenant's partners, each with what it may do now; keys are never shown.
pub(crate) async fn partners(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    uri: Uri,
) -> Result<Json<PartnerList>, Problem> {
    let query = Query::parse(&uri, parameters::of(Endpoint::Partners))?;
    app.reach_min_seq(&query).await?;
    let (catalogue, as_of) = app.rules(identity, &query).await?;
    let data = catalogue
        .partners
        .iter()
        .map(|partner| Partner {
            id: partner.id.0,
            slug: partner.slug.clone(),
            name: partner.name.clone(),
            standing: Standing::of(app.engine.partner_standing(partner.id)),
        })
        .collect();
    Ok(Json(PartnerList { data, next_cursor: (), version: catalogue.version, as_of: as_of.0 }))
}
