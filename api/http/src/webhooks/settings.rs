//! What owners do with webhooks: create, look, change, try out, delete.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use hyper::{Request, StatusCode, Uri};
use kembali_core::catalogue::Catalogue;
use kembali_core::{Instant, Seq};
use kembali_engine::{NewWebhook, WEBHOOK_TEXT_BYTES_MAX, Webhook, WebhookDisabled, WebhookSettings, WebhookStatus};
use serde_json::Value;

use super::{found, is_seen, outbox_name, secret};
use crate::app::App;
use crate::auth::Identity;
use crate::codes;
use crate::deliveries::{count, kept};
use crate::operations::body_of;
use crate::outgoing::TargetUrl;
use crate::parameters;
use crate::problem::Problem;
use crate::query::Query;
use crate::reads::Json;
use crate::routes::Endpoint;
use crate::wire::delivery::DeliveryStateName;
use crate::wire::event::Topics;
use crate::wire::operation::checked;
use crate::wire::result::Names;
use crate::wire::webhook::{
    NewWebhookBody, NewWebhookSecret, WebhookCreated, WebhookDeleted, WebhookList, WebhookPatch, WebhookProgress,
    WebhookShown, WebhookStatusName, WebhookTested, shown_id,
};

const DESCRIPTION_CHARS_MAX: usize = 100;
/// For how long the secret before the present one signs too, unless its owner says otherwise, and at most.
const OVERLAP_HOURS: (i64, i64) = (24, 168);
const MICROS_PER_HOUR: i64 = 3_600_000_000;

/// Lists webhooks: a partner's own, or all of the tenant.
pub(crate) async fn list(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    uri: Uri,
) -> Result<Json<WebhookList>, Problem> {
    let query = Query::parse(&uri, parameters::of(Endpoint::Webhooks))?;
    let tenant = app.tenant(identity, &query).await?;
    let all = app.engine.webhooks();
    let own = all.iter().filter(|own| is_seen(identity, &tenant, own));
    Ok(Json(WebhookList { data: own.map(|own| shown(&app, own, &tenant)).collect::<Result<_, _>>()?, next_cursor: () }))
}

/// Creates a webhook. Its secret is in this answer and never in another.
pub(crate) async fn post(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    request: Request<Body>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let query = Query::parse(request.uri(), parameters::of(Endpoint::PostWebhook))?;
    let tenant = app.tenant(identity, &query).await?;
    let NewWebhookBody { url, topics, description, secret: chosen, after, partner } = body_of(&app, request).await?;
    let named = partner.as_deref().map(|slug| (slug, tenant.partner_by_slug(slug).map(|partner| partner.id)));
    let partner = match (identity, named) {
        // Whether there is another of that name is not its business.
        (Identity::Partner(caller), Some((_, named))) if named != Some(caller.partner) => {
            let detail = "A webhook of another partner is not yours to make.";
            return Err(Problem::new(&codes::ROLE_INSUFFICIENT).detail(detail));
        }
        (Identity::Partner(caller), _) => Some(caller.partner),
        (_, Some((slug, None))) => {
            return Err(Problem::new(&codes::PARTNER_NOT_FOUND).member("partner", slug).pointer("/partner"));
        }
        (_, named) => named.and_then(|(_, partner)| partner),
    };
    let settings = WebhookSettings {
        url: checked_url(&app, url)?,
        topics: topics.map_or_else(|| Ok("*".to_owned()), |topics| checked_topics(&topics))?,
        description: description.map_or_else(|| Ok(String::new()), checked_description)?,
    };
    let invalid = |_| Problem::new(&codes::FIELD_INVALID).pointer("/after").detail("must be a position");
    let after = after.map(|after| u64::try_from(after.0).map(Seq).map_err(invalid)).transpose()?;
    if let Some(ahead) = after.filter(|after| app.engine.durable() < *after) {
        return Err(Problem::new(&codes::AFTER_AHEAD).member("after", ahead.0).member("head", app.engine.durable().0));
    }
    let (key, text) = secret(chosen)?;
    let new = NewWebhook { tenant: tenant.tenant, partner, settings, after, secret: key };
    let webhook = app.engine.create_webhook(identity.actor()?, new).await?;
    Ok((StatusCode::CREATED, Json(created(&app, &webhook, &tenant, text)?)))
}

/// Shows a webhook, and how far it is.
pub(crate) async fn show(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Json<Value>, Problem> {
    let query = Query::parse(&uri, parameters::of(Endpoint::Webhook))?;
    let tenant = app.tenant(identity, &query).await?;
    let webhook = found(&app, identity, &tenant, &id)?;
    let kept = kept(&app, outbox_name(webhook.id)).await?;
    let progress = WebhookProgress {
        webhook: WebhookShown::of(&webhook, &Names { catalogue: &tenant }, app.engine.wall()),
        position: kept.position.unwrap_or(webhook.after).0,
        head: app.engine.durable().0,
        due: count(&kept, DeliveryStateName::Due),
        given_up: count(&kept, DeliveryStateName::GivenUp),
    };
    Ok(Json(serde_json::to_value(progress).map_err(|error| Problem::internal(&error))?))
}

/// Changes where a webhook sends to, what, or whether it does.
pub(crate) async fn patch(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Result<Json<Value>, Problem> {
    let query = Query::parse(request.uri(), parameters::of(Endpoint::PatchWebhook))?;
    let tenant = app.tenant(identity, &query).await?;
    let webhook = found(&app, identity, &tenant, &id)?;
    let WebhookPatch { url, topics, description, status } = body_of(&app, request).await?;
    let url = url.map(|url| checked_url(&app, url)).transpose()?;
    let topics = topics.map(|topics| checked_topics(&topics)).transpose()?;
    let description = description.map(checked_description).transpose()?;
    let now = app.engine.wall();
    let edit = |settings: &mut WebhookSettings, present: &mut WebhookStatus| {
        settings.url = url.unwrap_or_else(|| settings.url.clone());
        settings.topics = topics.unwrap_or_else(|| settings.topics.clone());
        settings.description = description.unwrap_or_else(|| settings.description.clone());
        match (status, *present) {
            (Some(WebhookStatusName::Enabled), WebhookStatus::Disabled(..)) => *present = WebhookStatus::Enabled(now),
            (Some(WebhookStatusName::Disabled), WebhookStatus::Enabled(_)) => {
                *present = WebhookStatus::Disabled(now, WebhookDisabled::Asked);
            }
            _ => (),
        }
        Ok(())
    };
    let changed: Result<_, Problem> = app.engine.change_webhook(identity.actor()?, webhook.id, edit).await;
    let changed = changed?;
    Ok(Json(shown(&app, &changed, &tenant)?))
}

/// Deletes a webhook, and all that is known of its deliveries.
pub(crate) async fn delete(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Json<WebhookDeleted>, Problem> {
    let query = Query::parse(&uri, parameters::of(Endpoint::DeleteWebhook))?;
    let tenant = app.tenant(identity, &query).await?;
    let webhook = found(&app, identity, &tenant, &id)?;
    app.engine.delete_webhook(identity.actor()?, webhook.id).await?;
    Ok(Json(WebhookDeleted { id: shown_id(webhook.id), deleted: true }))
}

/// Makes a webhook sign with another secret, which is in this answer and never in another.
pub(crate) async fn rotate(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let query = Query::parse(request.uri(), parameters::of(Endpoint::RotateWebhookSecret))?;
    let tenant = app.tenant(identity, &query).await?;
    let webhook = found(&app, identity, &tenant, &id)?;
    let NewWebhookSecret { secret: chosen, overlap_hours } = body_of(&app, request).await?;
    let hours = overlap_hours.map_or(OVERLAP_HOURS.0, |hours| hours.0);
    if !(0..=OVERLAP_HOURS.1).contains(&hours) {
        let detail = format!("must be 0 to {}", OVERLAP_HOURS.1);
        return Err(Problem::new(&codes::FIELD_INVALID).pointer("/overlap_hours").detail(detail));
    }
    let until = Instant(app.engine.wall().0.saturating_add(hours * MICROS_PER_HOUR));
    let (key, text) = secret(chosen)?;
    let webhook = app.engine.rotate_webhook_secret(identity.actor()?, webhook.id, key, until).await?;
    Ok((StatusCode::CREATED, Json(created(&app, &webhook, &tenant, text)?)))
}

/// Sends something that did not happen, and tells what came of it. Nothing is written down.
pub(crate) async fn test(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Json<WebhookTested>, Problem> {
    let query = Query::parse(&uri, parameters::of(Endpoint::TestWebhook))?;
    let tenant = app.tenant(identity, &query).await?;
    let webhook = found(&app, identity, &tenant, &id)?;
    if webhook.secrets.is_empty() {
        return Err(Problem::new(&codes::WEBHOOK_SEALED));
    }
    let tested = app.poster.test(&webhook, &tenant.slug, app.engine.wall()).await;
    tested.map(Json).ok_or_else(|| Problem::new(&codes::OVERLOADED))
}

fn shown(app: &App, webhook: &Webhook, tenant: &Catalogue) -> Result<Value, Problem> {
    let shown = WebhookShown::of(webhook, &Names { catalogue: tenant }, app.engine.wall());
    serde_json::to_value(shown).map_err(|error| Problem::internal(&error))
}

fn created(app: &App, webhook: &Webhook, tenant: &Catalogue, secret: String) -> Result<Value, Problem> {
    let webhook = WebhookShown::of(webhook, &Names { catalogue: tenant }, app.engine.wall());
    let created = WebhookCreated { webhook, secret };
    serde_json::to_value(created).map_err(|error| Problem::internal(&error))
}

/// Checks what of a URL can be told without a look at the network. Where a name leads is looked at by each attempt.
fn checked_url(app: &App, url: String) -> Result<String, Problem> {
    let refused = |detail: String| Problem::new(&codes::WEBHOOK_URL_REFUSED).pointer("/url").detail(detail);
    if WEBHOOK_TEXT_BYTES_MAX < url.len() {
        return Err(refused(format!("must have at most {WEBHOOK_TEXT_BYTES_MAX} bytes")));
    }
    let target: TargetUrl = url.parse().map_err(refused)?;
    app.poster.check(&target).map_err(|why| refused(format!("is not where this server sends to: {why}")))?;
    Ok(url)
}

fn checked_topics(topics: &[String]) -> Result<String, Problem> {
    let invalid = |detail: String| Problem::new(&codes::FIELD_INVALID).pointer("/topics").detail(detail);
    if topics.is_empty() {
        return Err(invalid("must name a topic; without this field all are sent".to_owned()));
    }
    if topics.iter().any(|topic| topic.contains(',')) {
        return Err(invalid("each topic is an item by itself".to_owned()));
    }
    let topics = topics.join(",");
    if WEBHOOK_TEXT_BYTES_MAX < topics.len() {
        return Err(invalid(format!("must have at most {WEBHOOK_TEXT_BYTES_MAX} bytes in all")));
    }
    match Topics::parse(&topics) {
        Ok(_) => Ok(topics),
        Err(name) => Err(invalid(format!("{name:?} is no topic; topics are: {}", Topics::names()))),
    }
}

fn checked_description(description: String) -> Result<String, Problem> {
    if description.is_empty() { Ok(description) } else { checked(description, DESCRIPTION_CHARS_MAX, "/description") }
}
