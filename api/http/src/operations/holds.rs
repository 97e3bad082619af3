//! Holds: a partner sets money of a wallet aside, and later takes it, takes a part of it, or gives it free.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use hyper::Request;
use kembali_core::hold::HoldId;
use kembali_core::operation::{Actor, Operation};

use super::{Ask, body_if_any, body_of, customer, wallet_id};
use crate::app::App;
use crate::auth::Identity;
use crate::codes;
use crate::problem::Problem;
use crate::routes::Endpoint;
use crate::wire::hold::{HoldSettlement, NewHold};
use crate::wire::operation::Nothing;

/// Sets money aside for the partner that asks.
pub(crate) async fn post(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Path((id, wallet)): Path<(String, String)>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let ask = Ask::read(&app, identity, Endpoint::PostHold, request.uri(), request.headers()).await?;
    let Actor::Partner(partner) = ask.actor else { return Err(Problem::new(&codes::ROLE_INSUFFICIENT)) };
    let (customer, wallet) = (customer(&id)?, wallet_id(&wallet)?);
    let mut body: NewHold = body_of(&app, request).await?;
    let ask = ask.with_device(body.device.take())?;
    let (amount, life_seconds) = (body.amount.0, body.expires_in_seconds.map(|seconds| seconds.0));
    let operation = Operation::PlaceHold { wallet, partner, amount, life_seconds, reference: body.reference()? };
    ask.operate(&app, customer, operation, None).await
}

/// Pays the partner of a hold, and gives the rest free.
pub(crate) async fn settle(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Path((id, hold)): Path<(String, String)>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let ask = Ask::read(&app, identity, Endpoint::SettleHold, request.uri(), request.headers()).await?;
    let (customer, hold) = (customer(&id)?, hold_id(&hold)?);
    let amount = body_if_any::<HoldSettlement>(&app, request).await?.amount.map(|amount| amount.0);
    ask.operate(&app, customer, Operation::SettleHold { hold, amount }, None).await
}

/// Gives free what is held.
pub(crate) async fn void(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Path((id, hold)): Path<(String, String)>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let ask = Ask::read(&app, identity, Endpoint::VoidHold, request.uri(), request.headers()).await?;
    let Nothing {} = body_if_any(&app, request).await?;
    ask.operate(&app, customer(&id)?, Operation::VoidHold { hold: hold_id(&hold)? }, None).await
}

fn hold_id(text: &str) -> Result<HoldId, Problem> {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let id = if is_plain { text.parse().ok() } else { None };
    id.map(HoldId).ok_or_else(|| Problem::new(&codes::HOLD_NOT_FOUND))
}
