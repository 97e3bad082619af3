//! One purchase, as its result was stored.

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use hyper::{StatusCode, Uri};
use kembali_core::PurchaseKey;
use kembali_engine::{CustomerRef, RecordAndRules};

use super::json_response;
use crate::app::App;
use crate::auth::Identity;
use crate::codes;
use crate::parameters;
use crate::problem::Problem;
use crate::query::Query;
use crate::routes::Endpoint;
use crate::wire::instant::parse_uuid;
use crate::wire::refund::RefundState;
use crate::wire::result::{Rules, purchase_of, render, render_refunded};

/// Shows a purchase, byte for byte as it was answered when it was booked, and behind that what was refunded of it, if
/// anything was. A partner sees its own only.
pub(crate) async fn show(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Response, Problem> {
    let query = Query::parse(&uri, parameters::of(Endpoint::Purchase))?;
    app.reach_min_seq(&query).await?;
    let (record, catalogue) = found(&app, identity, &id).await?;
    let mut out = Vec::with_capacity(1024);
    let former = app.engine.former_rules(&record.body);
    let rules = Rules { catalogue: &catalogue, former: &former };
    let view = match record.body.customer {
        Some(customer) => app.engine.customer(record.body.tenant, &CustomerRef::Id(customer)).await?,
        None => None,
    };
    let standing = view.as_ref().zip(purchase_of(&record.body)).and_then(|(view, booked)| {
        let refunded = view.row.refund(booked.key)?;
        Some(RefundState::of(refunded, &booked.purchase, &catalogue))
    });
    let written = match standing {
        None => render(&mut out, record.seq, &record.body, rules),
        Some(refunds) => render_refunded(&mut out, record.seq, &record.body, rules, refunds),
    };
    written.map_err(|error| Problem::internal(&error))?;
    Ok(json_response(StatusCode::OK, out))
}

/// Finds a purchase that is the caller's own to see, by the id in a path.
pub(super) async fn found(app: &App, identity: Identity, id: &str) -> Result<RecordAndRules, Problem> {
    let unknown = || Problem::new(&codes::PURCHASE_NOT_FOUND);
    let key = PurchaseKey(parse_uuid(id).ok_or_else(unknown)?);
    let found = app.engine.purchase(key).await?;
    let (record, catalogue) = found.ok_or_else(unknown)?;
    let booked = purchase_of(&record.body).ok_or_else(unknown)?;
    match identity {
        Identity::Operator(own) if own.tenant.is_none_or(|tenant| tenant == record.body.tenant) => (),
        Identity::Partner(caller) if caller.partner == booked.partner && caller.tenant == record.body.tenant => (),
        Identity::Customer(caller)
            if caller.tenant == record.body.tenant && record.body.customer == Some(caller.customer) => {}
        _ => return Err(unknown()),
    }
    Ok((record, catalogue))
}
