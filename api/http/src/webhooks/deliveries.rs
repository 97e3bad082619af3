//! What became of a webhook's deliveries, and having them made again.

use axum::Extension;
use axum::extract::{Path, State};
use hyper::{StatusCode, Uri};
use kembali_engine::{Webhook, WebhookStatus};

use super::{found, outbox_name};
use crate::app::App;
use crate::auth::Identity;
use crate::codes;
use crate::deliveries;
use crate::outbox::Again;
use crate::parameters;
use crate::problem::Problem;
use crate::query::Query;
use crate::reads::Json;
use crate::routes::Endpoint;
use crate::wire::delivery::{DeliveriesReplayed, DeliveryPage};
use crate::wire::webhook::message_id;

/// Lists deliveries, those of the newest records first.
pub(crate) async fn list(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Json<DeliveryPage>, Problem> {
    let query = Query::parse(&uri, parameters::of(Endpoint::WebhookDeliveries))?;
    let tenant = app.tenant(identity, &query).await?;
    let webhook = found(&app, identity, &tenant, &id)?.id;
    deliveries::page(&app, &query, (outbox_name(webhook), webhook.0), |seq| message_id(webhook, seq)).await
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
    check_sends(&webhook)?;
    deliveries::replay(&app, &outbox_name(webhook.id), &seq).await
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
    check_sends(&webhook)?;
    deliveries::again(&app, &outbox_name(webhook.id), Again::GivenUp).await
}

fn check_sends(webhook: &Webhook) -> Result<(), Problem> {
    match webhook.status {
        WebhookStatus::Disabled(..) => Err(Problem::new(&codes::WEBHOOK_DISABLED)),
        WebhookStatus::Enabled(_) if webhook.secrets.is_empty() => Err(Problem::new(&codes::WEBHOOK_SEALED)),
        WebhookStatus::Enabled(_) => Ok(()),
    }
}
