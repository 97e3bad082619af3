//! One promo: created, replaced, or changed in parts.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use hyper::Request;
use kembali_core::draft::PromoDraft;

use super::{change, read_body, report};
use crate::app::App;
use crate::auth::Identity;
use crate::codes;
use crate::parameters;
use crate::problem::Problem;
use crate::query::Query;
use crate::reads::Json;
use crate::routes::Endpoint;
use crate::wire::catalogue::PromoFile;
use crate::wire::catalogue_draft::{CatalogueFault, bands, period_instant, zone_of};
use crate::wire::change::{ChangeReport, PromoPatch};

/// Creates a promo, or replaces the one of this code.
pub(crate) async fn put(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Path(code): Path<String>,
    request: Request<Body>,
) -> Result<Json<ChangeReport>, Problem> {
    let query = Query::parse(request.uri(), parameters::of(Endpoint::PutPromo))?;
    let (head, body) = request.into_parts();
    let file: PromoFile = read_body(&app, &head.headers, body).await?;
    if file.code != code {
        let problem = format!("is {}, but the request is for {code}", file.code);
        return Err(CatalogueFault { place: "code".to_owned(), problem }.into());
    }
    let applied = change(&app, identity, &query, Vec::new(), |present, draft| {
        let promo = file.to_draft(&zone_of(&present.timezone)?)?;
        match draft.promos.iter_mut().find(|own| own.code == code) {
            Some(own) => *own = promo,
            None => draft.promos.push(promo),
        }
        Ok(())
    });
    Ok(Json(report(&applied.await?, query.flag("dry_run")?)))
}

/// Changes parts of a promo.
pub(crate) async fn patch(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Path(code): Path<String>,
    request: Request<Body>,
) -> Result<Json<ChangeReport>, Problem> {
    let query = Query::parse(request.uri(), parameters::of(Endpoint::PatchPromo))?;
    let (head, body) = request.into_parts();
    let wanted: PromoPatch = read_body(&app, &head.headers, body).await?;
    let applied = change(&app, identity, &query, Vec::new(), |present, draft| {
        let own = draft.promos.iter_mut().find(|own| own.code == code);
        let promo = own.ok_or_else(|| Problem::new(&codes::PROMO_NOT_FOUND))?;
        Ok(wanted.edit(promo, &present.timezone)?)
    });
    Ok(Json(report(&applied.await?, query.flag("dry_run")?)))
}

impl PromoPatch {
    fn edit(&self, promo: &mut PromoDraft, timezone: &str) -> Result<(), CatalogueFault> {
        let zone = zone_of(timezone)?;
        let place = |field: &str| format!("promos[{}].{field}", promo.code);
        let starts_at = self.starts_at.as_ref().map(|text| period_instant(text, &zone, &place("starts_at")));
        let ends_at = self.ends_at.as_ref().map(|text| period_instant(text, &zone, &place("ends_at")));
        promo.quota = self.quota.unwrap_or(promo.quota);
        promo.starts_at = starts_at.transpose()?.unwrap_or(promo.starts_at);
        promo.ends_at = ends_at.transpose()?.unwrap_or(promo.ends_at);
        if let Some(wanted) = &self.bands {
            promo.bands = bands(wanted, &promo.code)?;
        }
        Ok(())
    }
}
