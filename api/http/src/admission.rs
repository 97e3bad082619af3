//! Who a request is from, and whether it is let in: credentials, limits, signature, standing. In this order, so that nothing is
//! read for whoever is beyond a limit, and nobody without the secret learns how a partner stands.

use std::cell::Cell;

use axum::body::Body;
use hyper::Request;
use kembali_engine::Admitted;
use tokio::sync::OwnedSemaphorePermit;

use crate::app::App;
use crate::auth::{Identity, identify};
use crate::codes;
use crate::partner_gate::Rate;
use crate::problem::Problem;
use crate::routes::Role;
use crate::signature;

/// A request that is let in.
pub(crate) struct Entered {
    pub(crate) identity: Identity,
    pub(crate) request: Request<Body>,
    /// Held until the answer is sent, of a partner.
    pub(crate) permit: Option<OwnedSemaphorePermit>,
}

/// Lets a request in that calls a route of `role`. Says in `rate` what a partner may send after it, also where it is refused.
///
/// # Errors
///
/// 401, 403, 429, or what is wrong with a body that is signed.
pub(crate) async fn enter(
    app: &App,
    role: Role,
    request: Request<Body>,
    rate: &mut Option<Rate>,
) -> Result<Entered, Problem> {
    // Caller and secret are found at once: a key that is revoked in between must not be one that opens alone.
    let (identity, admitted) = {
        let admitted = Cell::new(None);
        let partner_of_key = |key: &str| {
            let found = app.engine.admit_key(key)?;
            let caller = found.caller;
            admitted.set(Some(found));
            Some(caller)
        };
        let identity = identify(request.headers(), role, app.operator_token.as_deref(), partner_of_key)?;
        (identity, admitted.take())
    };
    let (Identity::Partner(caller), Some(admitted)) = (identity, admitted) else {
        return Ok(Entered { identity, request, permit: None });
    };
    let entered = enter_partner(app, admitted, request, rate).await;
    app.key_uses.count(caller.key, app.engine.wall(), entered.as_ref().err().map(|problem| problem.code));
    let (request, permit) = entered?;
    Ok(Entered { identity, request, permit: Some(permit) })
}

async fn enter_partner(
    app: &App,
    admitted: Admitted,
    request: Request<Body>,
    rate: &mut Option<Rate>,
) -> Result<(Request<Body>, OwnedSemaphorePermit), Problem> {
    let Admitted { caller, secret, standing } = admitted;
    let (left, permit) = app.partner_gates.enter(caller.partner, standing);
    *rate = Some(left);
    let permit = permit?;
    let request = match secret {
        Some(secret) => signature::check(request, secret.as_bytes(), app).await?,
        None => signature::check_none(request.headers()).map(|()| request)?,
    };
    // The body may have taken its time: both are looked at now.
    if app.engine.is_admitted(caller) {
        return Ok((request, permit));
    }
    let is_suspended = app.engine.partner_standing(caller.partner).is_suspended;
    Err(Problem::new(if is_suspended { &codes::PARTNER_SUSPENDED } else { &codes::API_KEY_UNKNOWN }))
}
