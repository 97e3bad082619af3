//! Offers: what points may be spent on, and how much of each is left.

use axum::Extension;
use axum::extract::State;
use hyper::Uri;
use kembali_core::catalogue::{self, OfferGives};

use super::Json;
use super::reports::totals;
use crate::app::App;
use crate::auth::Identity;
use crate::problem::Problem;
use crate::routes::Endpoint;
use crate::wire::instant::Rfc3339;
use crate::wire::offer::{Offer, OfferList};
use crate::wire::result::Names;

/// Lists a tenant's offers.
pub(crate) async fn list(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    uri: Uri,
) -> Result<Json<OfferList>, Problem> {
    let view = totals(&app, identity, &uri, Endpoint::Offers).await?;
    let names = Names { catalogue: &view.catalogue };
    let offer = |own: &catalogue::Offer| {
        let redeemed = view.totals.offers.get(&own.id).map_or(0, |sums| sums.count);
        Offer {
            id: own.id.0,
            name: own.name.clone(),
            kind: names.point_kind(own.kind).into_owned(),
            points: own.points.minor_units(),
            wallet_credit: match own.gives {
                OfferGives::WalletCredit { amount } => Some(amount.minor_units()),
                OfferGives::Item => None,
            },
            currency: view.catalogue.currency.code.as_str().to_owned(),
            stock: own.stock,
            redeemed,
            remaining: own.stock.map(|stock| stock.saturating_sub(redeemed)),
            active: own.is_active,
            starts_at: own.starts_at.map(Rfc3339),
            ends_at: own.ends_at.map(Rfc3339),
        }
    };
    let data = view.catalogue.offers.iter().map(offer).collect();
    Ok(Json(OfferList { data, next_cursor: (), version: view.catalogue.version, as_of: view.as_of.0 }))
}
