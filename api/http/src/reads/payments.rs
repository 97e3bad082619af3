//! Payments, as they moved from state to state.

use axum::Extension;
use axum::extract::State;
use hyper::Uri;

use super::Json;
use super::log::{self, Walk, customer_of, one_of};
use crate::app::App;
use crate::auth::Identity;
use crate::cursor::List;
use crate::parameters;
use crate::problem::Problem;
use crate::query::Query;
use crate::routes::Endpoint;
use crate::wire::payment::{Payment, PaymentPage, PaymentState};
use crate::wire::result::Names;

/// The states that a record leaves a payment in.
const STATES: [(&str, PaymentState); 8] = [
    ("funds_held", PaymentState::FundsHeld),
    ("settled", PaymentState::Settled),
    ("rejected", PaymentState::Rejected),
    ("failed", PaymentState::Failed),
    ("voided", PaymentState::Voided),
    ("expired", PaymentState::Expired),
    ("reversed", PaymentState::Reversed),
    ("in_review", PaymentState::InReview),
];

/// Lists payments, the newest first.
pub(crate) async fn list(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    uri: Uri,
) -> Result<Json<PaymentPage>, Problem> {
    let query = Query::parse(&uri, parameters::of(Endpoint::Payments))?;
    app.reach_min_seq(&query).await?;
    let tenant = app.tenant(identity, &query).await?.tenant;
    let (customer, state) = (customer_of(&query)?, one_of(&query, "state", &STATES)?);
    let is_wanted = |payment: &Payment| {
        customer.is_none_or(|customer| payment.customer.0 == customer.0)
            && state.is_none_or(|state| payment.state == state)
    };
    let which = state.map_or(0, |state| 1 + state as u32);
    let walk = Walk::of(&app, &query, tenant, (List::Payments, customer, which))?;
    let page = walk.page(&app, |record, catalogue| {
        Payment::moved_by(record, &Names { catalogue }).into_iter().filter(is_wanted).collect::<Vec<_>>()
    });
    let log::Page { data, next_cursor, as_of } = page.await?;
    Ok(Json(PaymentPage { data, next_cursor, as_of: as_of.0 }))
}
