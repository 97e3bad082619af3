//! A partner's API keys: listed by their ids, given, and revoked for ever.
//!
//! Rotation is a new key, then the old one revoked once nobody uses it any more. A key itself is shown once, in the
//! answer that gives it.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use data_encoding::HEXLOWER;
use hyper::{Request, StatusCode, Uri};
use kembali_core::catalogue::Catalogue;
use kembali_engine::{ApiKey, ApiKeyId, PartnerKey};

use super::{change, read_body};
use crate::app::App;
use crate::auth::Identity;
use crate::codes;
use crate::key_usage::KeyUsage;
use crate::parameters;
use crate::problem::Problem;
use crate::query::Query;
use crate::reads::Json;
use crate::routes::Endpoint;
use crate::wire::api_key::{ApiKeyEntry, ApiKeyGiven, ApiKeyList, ApiKeyRevoked, KeyFailure, NewApiKey};
use crate::wire::audit::shown_key;
use crate::wire::instant::Rfc3339;

/// Lists the keys of a partner, the revoked ones too.
pub(crate) async fn list(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Path(slug): Path<String>,
    uri: Uri,
) -> Result<Json<ApiKeyList>, Problem> {
    let query = Query::parse(&uri, parameters::of(Endpoint::ApiKeys))?;
    let tenant = app.tenant(identity, &query).await?;
    check_partner(&tenant, &slug)?;
    let data = app.engine.api_keys(&tenant.slug, &slug).iter().map(|key| shown(key, app.key_uses.of(key.id))).collect();
    Ok(Json(ApiKeyList { data, next_cursor: (), counted_since: Rfc3339(app.started_at) }))
}

/// Gives a partner one more key. It is in this answer and never in another.
pub(crate) async fn post(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Path(slug): Path<String>,
    request: Request<Body>,
) -> Result<(StatusCode, Json<ApiKeyGiven>), Problem> {
    let query = Query::parse(request.uri(), parameters::of(Endpoint::PostApiKey))?;
    let dry_run = query.flag("dry_run")?;
    let (head, body) = request.into_parts();
    let NewApiKey { api_key, api_secret, signed } = read_body(&app, &head.headers, body).await?;
    let key = new_key(&app, &slug, api_key, (api_secret, signed))?;
    change(&app, identity, &query, vec![key.clone()], |present, _| check_partner(present, &slug)).await?;
    if dry_run {
        let given = ApiKeyGiven { partner: slug, id: None, api_key: None, api_secret: None, dry_run: Some(true) };
        return Ok((StatusCode::OK, Json(given)));
    }
    let id = app.engine.partner_of_key(&key.api_key).map(|caller| shown_id(caller.key));
    let (api_key, api_secret) = (Some(key.api_key), key.secret);
    Ok((StatusCode::CREATED, Json(ApiKeyGiven { partner: slug, id, api_key, api_secret, dry_run: None })))
}

/// Revokes a key. Doing it again changes nothing.
pub(crate) async fn delete(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Path((slug, id)): Path<(String, String)>,
    uri: Uri,
) -> Result<Json<ApiKeyRevoked>, Problem> {
    let query = Query::parse(&uri, parameters::of(Endpoint::DeleteApiKey))?;
    let tenant = app.tenant(identity, &query).await?;
    check_partner(&tenant, &slug)?;
    let unknown = || Problem::new(&codes::API_KEY_NOT_FOUND).member("id", id.as_str());
    let key = parse_id(&id).ok_or_else(unknown)?;
    if !app.engine.revoke_api_key(identity.actor()?, &tenant, &slug, key).await? {
        return Err(unknown());
    }
    Ok(Json(ApiKeyRevoked { partner: slug, id: shown_id(key), revoked: true }))
}

/// Makes the key that is to be given: what is not said is drawn.
pub(super) fn new_key(
    app: &App,
    partner: &str,
    api_key: Option<String>,
    (api_secret, signed): (Option<String>, Option<bool>),
) -> Result<PartnerKey, Problem> {
    // A key that opens alone goes on doing so where nothing else is said; nothing is drawn for a key that is there.
    let is_there = api_key.as_deref().is_some_and(|key| app.engine.partner_of_key(key).is_some());
    let api_key = api_key.map_or_else(draw, Ok)?;
    if api_secret.is_some() && signed == Some(false) {
        let detail = "A key that is not signed has no secret: leave out `api_secret`, or `signed`.";
        return Err(Problem::new(&codes::API_SECRET_MALFORMED).member("partner", partner).detail(detail));
    }
    let is_signed = signed.unwrap_or(api_secret.is_some() || (app.engine.can_sign() && !is_there));
    let secret = if is_signed { Some(api_secret.map_or_else(draw, Ok)?) } else { None };
    Ok(PartnerKey { partner: partner.to_owned(), api_key, secret })
}

fn check_partner(tenant: &Catalogue, slug: &str) -> Result<(), Problem> {
    let unknown = || Problem::new(&codes::PARTNER_NOT_FOUND).member("partner", slug);
    tenant.partner_by_slug(slug).map(|_| ()).ok_or_else(unknown)
}

fn shown(key: &ApiKey, usage: KeyUsage) -> ApiKeyEntry {
    ApiKeyEntry {
        id: shown_id(key.id),
        signed: key.is_signed,
        revoked: key.is_revoked,
        requests: usage.requests,
        last_used_at: usage.last_at.map(Rfc3339),
        failures: usage.failures,
        last_failure: usage.last_failure.map(|(at, code)| KeyFailure { at: Rfc3339(at), code }),
    }
}

pub(super) fn shown_id(ApiKeyId(id): ApiKeyId) -> String {
    shown_key(id)
}

fn parse_id(text: &str) -> Option<ApiKeyId> {
    let is_plain = text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if is_plain { u128::from_str_radix(text, 16).ok().map(ApiKeyId) } else { None }
}

/// Makes a key: 32 random bytes in hexadecimal.
fn draw() -> Result<String, Problem> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| Problem::internal(&error))?;
    Ok(HEXLOWER.encode(&bytes))
}
