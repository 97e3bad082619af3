//! Who a request is from, and whether it is let in: credentials, limits, signature, standing. In this order, so that nothing is
//! read for whoever is beyond a limit, and nobody without the secret learns how a partner stands.

use std::cell::Cell;

use axum::body::Body;
use hyper::Request;
use kembali_core::CustomerId;
use kembali_core::audit::Role;
use kembali_core::operation::Actor;
use kembali_engine::Admitted;
use tokio::sync::OwnedSemaphorePermit;

use crate::app::App;
use crate::auth::{CustomerCaller, Identity, Operator, identify};
use crate::body::read_raw;
use crate::codes;
use crate::config::{CATALOGUE_BYTES_MAX, SMALL_BYTES_MAX};
use crate::partner_gate::Rate;
use crate::people::tokens::Bearer;
use crate::problem::Problem;
use crate::routes::Route;
use crate::signature;
use crate::wire::instant::parse_uuid;

/// A request that is let in.
pub(crate) struct Entered {
    pub(crate) identity: Identity,
    pub(crate) request: Request<Body>,
    /// Held until the answer is sent, of a partner.
    pub(crate) permit: Option<OwnedSemaphorePermit>,
}

/// Lets a request in that calls a route. Says in `rate` what a partner may send after it, also where it is refused.
///
/// # Errors
///
/// 401, 403, 429, or what is wrong with a body that is signed.
pub(crate) async fn enter(
    app: &App,
    route: &Route,
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
        let person_of_token = |token: &[u8]| person(app, token);
        let token = app.operator_token.as_deref();
        let identity = identify(request.headers(), route.role, token, partner_of_key, person_of_token)?;
        (identity, admitted.take())
    };
    if let Identity::Customer(caller) = identity {
        check_own(route, request.uri().path(), caller)?;
    }
    if let Ok(bearer) = identity.bearer() {
        let bytes_max = if identity.is_operator() { CATALOGUE_BYTES_MAX } else { SMALL_BYTES_MAX };
        let request = read_whole(app, request, bytes_max).await?;
        // The body may have taken its time: whoever was suspended meanwhile does nothing more.
        if identity_of(app, bearer)? != identity {
            return Err(Problem::new(&codes::SESSION_ENDED));
        }
        return Ok(Entered { identity, request, permit: None });
    }
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
        Some(secret) => signature::check(request, secret.as_bytes(), caller.partner, app).await?,
        None => signature::check_none(request.headers()).map(|()| request)?,
    };
    // The body may have taken its time: both are looked at now.
    if app.engine.is_admitted(caller) {
        return Ok((request, permit));
    }
    let is_suspended = app.engine.partner_standing(caller.partner).is_suspended;
    Err(Problem::new(if is_suspended { &codes::PARTNER_SUSPENDED } else { &codes::API_KEY_UNKNOWN }))
}

/// Finds out whose an access token is, and what that account may do now.
fn person(app: &App, token: &[u8]) -> Result<Identity, Problem> {
    identity_of(app, app.people.tokens()?.read(token, app.engine.wall())?)
}

fn identity_of(app: &App, bearer: Bearer) -> Result<Identity, Problem> {
    let now = app.engine.wall();
    let ended = || Problem::new(&codes::SESSION_ENDED);
    let account = app.engine.account(bearer.account)?.ok_or_else(ended)?;
    if account.standing.is_suspended {
        return Err(Problem::new(&codes::ACCOUNT_SUSPENDED));
    }
    account.session(bearer.session, now).ok_or_else(ended)?;
    let (tenant, role) = (account.tenant, account.standing.role);
    Ok(match (role, account.customer) {
        (Role::Customer, Some(customer)) => Identity::Customer(CustomerCaller { tenant, customer, bearer }),
        (Role::Customer, None) => return Err(ended()),
        (Role::Operator | Role::Admin, _) => {
            let actor = Actor::Person(account.id, role);
            Identity::Operator(Operator { tenant: Some(tenant), actor, bearer: Some(bearer) })
        }
    })
}

/// Reads the whole body of a person's request, as it was sent.
async fn read_whole(app: &App, request: Request<Body>, bytes_max: usize) -> Result<Request<Body>, Problem> {
    let (head, body) = request.into_parts();
    let bytes = read_raw(body, bytes_max, app.limits.body_time_max).await?;
    Ok(Request::from_parts(head, Body::from(bytes)))
}

/// Everything below a customer's path is that customer's: for one customer there are no others.
fn check_own(route: &Route, path: &str, caller: CustomerCaller) -> Result<(), Problem> {
    if !route.path.starts_with("/v1/customers/{id}") {
        return Ok(());
    }
    let named = path.split('/').nth(3).and_then(parse_uuid).map(CustomerId);
    if named == Some(caller.customer) { Ok(()) } else { Err(Problem::new(&codes::CUSTOMER_NOT_FOUND)) }
}
