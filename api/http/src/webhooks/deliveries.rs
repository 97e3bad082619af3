//! What became of a webhook's deliveries, and having them made again.

use axum::Extension;
use axum::extract::{Path, State};
use hyper::{StatusCode, Uri};
use kembali_core::{CustomerId, Seq};
use kembali_engine::{OutboxState, ReadError, Webhook, WebhookId, WebhookStatus};

use super::{found, outbox_name};
use crate::app::App;
use crate::auth::Identity;
use crate::codes;
use crate::cursor::{self, List, Start};
use crate::outbox::{Again, AgainError};
use crate::parameters;
use crate::problem::Problem;
use crate::query::{Query, invalid};
use crate::reads::Json;
use crate::routes::Endpoint;
use crate::wire::webhook::{DeliveriesReplayed, DeliveryPage, DeliveryShown, DeliveryStateName};

/// Reads what is kept of a webhook's deliveries: up to five seconds ago.
pub(super) async fn kept(app: &App, id: WebhookId) -> Result<OutboxState, Problem> {
    let (engine, name) = (app.engine.clone(), outbox_name(id));
    let read = tokio::task::spawn_blocking(move || engine.outbox(&name)).await;
    Ok(read.map_err(|error| ReadError::Profile(error.to_string()))??)
}

/// Lists deliveries, those of the newest records first.
pub(crate) async fn list(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Json<DeliveryPage>, Problem> {
    let query = Query::parse(&uri, parameters::of(Endpoint::WebhookDeliveries))?;
    let tenant = app.tenant(identity, &query).await?;
    let webhook = found(&app, identity, &tenant, &id)?;
    let limit = query.limit()?;
    let unknown = || invalid("state", "state must be due, given_up or made");
    let state = query.text("state").map(|text| DeliveryStateName::parse(text).ok_or_else(unknown)).transpose()?;
    let of = CustomerId(webhook.id.0);
    let start = query.text("cursor").map(|text| cursor::read(text, List::Deliveries, of)).transpose()?;
    let last = start.map_or(Seq(u64::MAX), |start| start.seq);
    let kept = kept(&app, webhook.id).await?;
    let is_asked = |own: &DeliveryShown| state.is_none_or(|state| own.state == state);
    let all = kept.deliveries.into_iter().rev().skip_while(|(seq, _)| last < *seq);
    let mut all = all.map(|(seq, own)| DeliveryShown::of(webhook.id, seq, own)).filter(is_asked);
    let data: Vec<_> = all.by_ref().take(limit).collect();
    let next_cursor = all.next().map(|next| cursor::write(List::Deliveries, of, Start::of(Seq(next.seq))));
    Ok(Json(DeliveryPage { data, next_cursor }))
}

/// Has one delivery made again, whatever became of it.
pub(crate) async fn replay(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Path((id, seq)): Path<(String, String)>,
    uri: Uri,
) -> Result<(StatusCode, Json<DeliveriesReplayed>), Problem> {
    let query = Query::parse(&uri, parameters::of(Endpoint::ReplayDelivery))?;
    let tenant = app.tenant(identity, &query).await?;
    let webhook = found(&app, identity, &tenant, &id)?;
    let unknown = || Problem::new(&codes::DELIVERY_NOT_FOUND);
    let is_plain = seq.bytes().all(|byte| byte.is_ascii_digit());
    let seq = seq.parse().ok().filter(|_| is_plain).map(Seq).ok_or_else(unknown)?;
    let replayed = again(&app, &webhook, Again::Of(seq)).await?;
    if replayed == 0 {
        return Err(unknown());
    }
    Ok((StatusCode::ACCEPTED, Json(DeliveriesReplayed { replayed })))
}

/// Has all deliveries made again that were given up.
pub(crate) async fn replay_given_up(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<(StatusCode, Json<DeliveriesReplayed>), Problem> {
    let query = Query::parse(&uri, parameters::of(Endpoint::ReplayDeliveries))?;
    let tenant = app.tenant(identity, &query).await?;
    let webhook = found(&app, identity, &tenant, &id)?;
    let replayed = again(&app, &webhook, Again::GivenUp).await?;
    Ok((StatusCode::ACCEPTED, Json(DeliveriesReplayed { replayed })))
}

async fn again(app: &App, webhook: &Webhook, again: Again) -> Result<usize, Problem> {
    if matches!(webhook.status, WebhookStatus::Disabled(..)) {
        return Err(Problem::new(&codes::WEBHOOK_DISABLED));
    }
    app.outboxes.again(&outbox_name(webhook.id), again).await.map_err(|error| match error {
        // It is about to begin, or to end.
        AgainError::Idle | AgainError::Busy => Problem::new(&codes::OVERLOADED),
    })
}
