//! One request: its id, its route, its caller (see [`crate::admission`]), then whoever serves it. Every refusal is written out here.

use axum::body::{Body, Bytes, HttpBody};
use axum::response::{IntoResponse as _, Response};
use axum::{BoxError, Router};
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderMap, HeaderValue, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Request, StatusCode};
use tower::ServiceExt as _;

use crate::adapter::adapt;
use crate::admission::{self, Entered};
use crate::app::App;
use crate::auth::Identity;
use crate::codes::{self, Code};
use crate::connection::Origin;
use crate::feed;
use crate::ingest;
use crate::partner_gate::{Rate, until_sent};
use crate::problem::Problem;
use crate::reads::Json;
use crate::request_id::{self, RequestId};
use crate::routes::{self, Endpoint, Found, Role};
use crate::websocket::Switch;
use crate::wire::health::{Health, Status};

/// Serves one request.
pub(crate) async fn serve<B>(
    app: &App,
    router: &Router,
    (switch, origin): (&Switch, Origin),
    mut request: Request<B>,
) -> Response
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    request.extensions_mut().insert(origin.peer);
    let request_id = RequestId::of(request.headers());
    let mut rate = None;
    let mut response = match dispatch(app, router, switch, request.map(Body::new), (&request_id, &mut rate)).await {
        Ok(response) => response,
        Err(problem) => problem.into_http(&request_id),
    };
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        response = problem.into_http(&request_id);
    }
    response.headers_mut().insert(request_id::HEADER, request_id.header());
    if let Some(rate) = rate {
        rate.write(response.headers_mut());
    }
    secure(response.headers_mut(), origin.is_encrypted);
    response
}

/// Says to browsers and caches what every answer is: nothing to run, to frame, to guess the type of, or to keep. What an answer
/// says itself stays.
fn secure(headers: &mut HeaderMap, is_encrypted: bool) {
    if is_encrypted {
        headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}

pub(crate) async fn dispatch(
    app: &App,
    router: &Router,
    switch: &Switch,
    request: Request<Body>,
    (request_id, rate): (&RequestId, &mut Option<Rate>),
) -> Result<Response, Problem> {
    let route = match routes::find(request.method(), request.uri().path()) {
        Found::Route(route) => route,
        Found::OtherMethods(allow) => {
            let mut problem = Problem::new(&codes::METHOD_NOT_ALLOWED);
            problem.allow = Some(allow);
            return Err(problem);
        }
        Found::Nothing => {
            let adapter = app.adapters.iter().find(|adapter| adapter.takes(request.uri().path()));
            let adapter = adapter.ok_or_else(|| Problem::new(&codes::ROUTE_UNKNOWN))?;
            return adapt(app, router, adapter.as_ref(), request, request_id).await;
        }
    };
    let Entered { identity, mut request, permit } = admission::enter(app, route, request, rate).await?;
    let response = match (route.endpoint, identity) {
        (Endpoint::BookPurchases, Identity::Partner(caller)) => {
            ingest::purchases(app, caller, request, request_id).await?
        }
        (Endpoint::IngestSocket, Identity::Partner(caller)) => {
            return ingest::socket(app, caller, request, switch, (request_id, permit));
        }
        (Endpoint::BookPurchases | Endpoint::IngestSocket, _) => return Err(Problem::new(&codes::ROLE_INSUFFICIENT)),
        // A subscriber is under way for as long as it lives.
        (Endpoint::Stream, identity) => return feed::open(app, identity, request, switch, permit).await,
        (Endpoint::Health, _) => health(Status::Ok),
        (Endpoint::Ready, _) => {
            app.engine.tenants().await?;
            if app.engine.is_clock_off() {
                return Err(Problem::new(&codes::CLOCK_OFF));
            }
            // Ready all the same: reads go on, and a balancer that turned everybody away would stop them too.
            health(if app.engine.is_read_only() { Status::ReadOnly } else { Status::Ok })
        }
        _ => {
            request.extensions_mut().insert(identity);
            let served = router.clone().oneshot(request);
            // What an administrator does is written down before it is done: it goes on where whoever asked is gone meanwhile.
            let served = if matches!(route.role, Role::Admin | Role::PartnerOrAdmin | Role::Platform) {
                tokio::spawn(served).await.map_err(|error| Problem::internal(&error))?
            } else {
                served.await
            };
            let mut response = served.unwrap_or_else(|never| match never {});
            if let Some(code) = unexplained(&response) {
                response.extensions_mut().insert(Problem::new(code));
            }
            response
        }
    };
    Ok(match permit {
        Some(permit) => response.map(|body| until_sent(body, permit)),
        None => response,
    })
}

/// Finds the code of an error that is the router's own, such as a path whose text is not UTF-8.
fn unexplained(response: &Response) -> Option<&'static Code> {
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) || response.extensions().get::<Problem>().is_some() {
        return None;
    }
    Some(match status {
        StatusCode::BAD_REQUEST => &codes::PATH_INVALID,
        StatusCode::NOT_FOUND => &codes::ROUTE_UNKNOWN,
        StatusCode::METHOD_NOT_ALLOWED => &codes::METHOD_NOT_ALLOWED,
        _ => &codes::INTERNAL,
    })
}

fn health(status: Status) -> Response {
    Json(Health { status }).into_response()
}
