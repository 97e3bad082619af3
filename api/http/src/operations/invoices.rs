//! Invoices: a partner opens one, a customer's wallet pays it, and whoever opened it may take it back.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use hyper::{Request, Uri};
use kembali_core::operation::{Actor, Operation};

use super::{Ask, body_if_any, body_of, customer, wallet_id};
use crate::app::App;
use crate::auth::Identity;
use crate::codes;
use crate::parameters;
use crate::problem::Problem;
use crate::query::Query;
use crate::reads::Json;
use crate::routes::Endpoint;
use crate::wire::invoice::{InvoiceView, NewInvoice, NewPayment, number};
use crate::wire::operation::Nothing;
use crate::wire::result::Names;

/// Opens an invoice for the partner that asks.
pub(crate) async fn post(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let ask = Ask::read(&app, identity, Endpoint::PostInvoice, request.uri(), request.headers()).await?;
    let Actor::Partner(partner) = ask.actor else { return Err(Problem::new(&codes::ROLE_INSUFFICIENT)) };
    let body: NewInvoice = body_of(&app, request).await?;
    let (amount, life_seconds) = (body.amount.0, body.expires_in_seconds.as_ref().map(|seconds| seconds.0));
    let prefix = body.prefix()?;
    let operation = Operation::OpenInvoice { partner, prefix, amount, life_seconds, reference: body.reference()? };
    ask.operate_alone(&app, operation).await
}

/// Takes an invoice back.
pub(crate) async fn cancel(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Path(text): Path<String>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let ask = Ask::read(&app, identity, Endpoint::CancelInvoice, request.uri(), request.headers()).await?;
    let Nothing {} = body_if_any(&app, request).await?;
    ask.operate_alone(&app, Operation::CancelInvoice { number: number(text)? }).await
}

/// Pays an invoice out of a wallet.
pub(crate) async fn pay(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Path((id, wallet)): Path<(String, String)>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let ask = Ask::read(&app, identity, Endpoint::PostPayment, request.uri(), request.headers()).await?;
    let (customer, wallet) = (customer(&id)?, wallet_id(&wallet)?);
    let mut body: NewPayment = body_of(&app, request).await?;
    let ask = ask.with_device(body.device.take())?;
    let amount = body.amount.0;
    let operation = Operation::PayInvoice { wallet, number: body.number()?, amount };
    ask.operate(&app, customer, operation, None).await
}

/// Shows an invoice. A partner sees its own only.
pub(crate) async fn show(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Path(text): Path<String>,
    uri: Uri,
) -> Result<Json<InvoiceView>, Problem> {
    let query = Query::parse(&uri, parameters::of(Endpoint::Invoice))?;
    app.reach_min_seq(&query).await?;
    let tenant = app.tenant(identity, &query).await?.tenant;
    let number = number(text)?;
    let view = app.engine.find_invoice(tenant, &number).await?;
    let view = view.filter(|view| match identity {
        Identity::Operator(_) => true,
        Identity::Partner(caller) => view.invoice.partner == caller.partner,
        Identity::Customer(_) | Identity::Nobody => false,
    });
    let view = view.ok_or_else(|| Problem::new(&codes::INVOICE_NOT_FOUND))?;
    let names = Names { catalogue: &view.catalogue };
    Ok(Json(InvoiceView::of(&number, &view.invoice, &names, (view.now, view.as_of))))
}
