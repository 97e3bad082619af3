//! Promos: what they pay, and how much of their quota is left.

use axum::Extension;
use axum::extract::{Path, State};
use hyper::Uri;
use kembali_core::catalogue::{self, Catalogue};

use super::Json;
use crate::app::App;
use crate::auth::Identity;
use crate::codes;
use crate::parameters;
use crate::problem::Problem;
use crate::query::Query;
use crate::routes::Endpoint;
use crate::wire::catalogue::BandFile;
use crate::wire::catalogue_view::band_file;
use crate::wire::instant::Rfc3339;
use crate::wire::promo::{Promo, PromoBand, PromoList, PromoReply};

/// Lists a tenant's promos.
pub(crate) async fn list(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    uri: Uri,
) -> Result<Json<PromoList>, Problem> {
    let query = Query::parse(&uri, parameters::of(Endpoint::Promos))?;
    app.reach_min_seq(&query).await?;
    let view = app.totals(identity, &query).await?;
    let promo = |(index, promo): (usize, &catalogue::Promo)| {
        let used = view.totals.promos.get(&promo.id).map_or(0, |totals| totals.granted);
        let reserved = view.reserved.get(index).copied().unwrap_or(0);
        shown(promo, &view.catalogue, used, reserved)
    };
    let data = view.catalogue.promos.iter().enumerate().map(promo).collect();
    Ok(Json(PromoList { data, next_cursor: (), as_of: view.as_of.0 }))
}

/// Shows a promo.
pub(crate) async fn show(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Path(code): Path<String>,
    uri: Uri,
) -> Result<Json<PromoReply>, Problem> {
    let query = Query::parse(&uri, parameters::of(Endpoint::Promo))?;
    app.reach_min_seq(&query).await?;
    let unknown = || Problem::new(&codes::PROMO_NOT_FOUND);
    if query.text("at").is_some() {
        let view = app.totals(identity, &query).await?;
        let promo = view.catalogue.promo_by_code(&code).ok_or_else(unknown)?;
        let used = view.totals.promos.get(&promo.id).map_or(0, |totals| totals.granted);
        let promo = shown(promo, &view.catalogue, used, 0);
        return Ok(Json(PromoReply { promo, version: view.catalogue.version, as_of: view.as_of.0 }));
    }
    let catalogue = app.tenant(identity, &query).await?;
    let id = catalogue.promo_by_code(&code).ok_or_else(unknown)?.id;
    let promo_use = app.engine.promo_use(catalogue.tenant, id).await?.ok_or_else(unknown)?;
    let promo = promo_use.catalogue.promo(id).ok_or_else(unknown)?;
    let promo = shown(promo, &promo_use.catalogue, promo_use.used, promo_use.reserved);
    Ok(Json(PromoReply { promo, version: promo_use.catalogue.version, as_of: promo_use.as_of.0 }))
}

/// Shows a band with its id.
pub(super) fn band_shown(band: &catalogue::PromoBand) -> PromoBand {
    let BandFile { quantity, or_more, amount_min, amount_end, percent } = band_file(band);
    PromoBand { id: band.id.0, quantity, or_more, amount_min, amount_end, percent }
}

fn shown(promo: &catalogue::Promo, catalogue: &Catalogue, used: u64, reserved: u64) -> Promo {
    let payer = promo.funded_by.and_then(|id| catalogue.partner(id));
    Promo {
        id: promo.id.0,
        code: promo.code.clone(),
        currency: catalogue.currency.code.as_str().to_owned(),
        quota: promo.quota,
        used,
        reserved,
        remaining: remaining(promo.quota, used, reserved),
        starts_at: Rfc3339(promo.starts_at),
        ends_at: Rfc3339(promo.ends_at),
        funded_by: payer.map(|partner| partner.slug.clone()),
        bands: promo.bands.iter().map(band_shown).collect(),
    }
}

/// Computes what is left of a quota; nothing when it was lowered below what is used.
pub(super) const fn remaining(quota: u64, used: u64, reserved: u64) -> u64 {
    quota.saturating_sub(used).saturating_sub(reserved)
}
