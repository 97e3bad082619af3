//! What became of the mail of a tenant, for its operators. What is sent, and how, is not here: who sends it names its outbox so.

use axum::Extension;
use axum::extract::{Path, State};
use hyper::{StatusCode, Uri};
use kembali_core::Seq;

use crate::app::App;
use crate::auth::Identity;
use crate::codes;
use crate::deliveries::{again, count, kept, page, replay};
use crate::outbox::Again;
use crate::parameters;
use crate::problem::Problem;
use crate::query::Query;
use crate::reads::Json;
use crate::routes::Endpoint;
use crate::wire::delivery::{DeliveriesReplayed, DeliveryPage, DeliveryStateName, MailProgress};

/// What the names of mail's outboxes begin with; the tenant's slug is behind it.
pub const OUTBOX_PREFIX: &str = "mail:";

/// Finds the outbox of the tenant that is asked about, and its slug.
async fn outbox(
    app: &App,
    identity: Identity,
    uri: &Uri,
    endpoint: Endpoint,
) -> Result<(Query, String, String), Problem> {
    let query = Query::parse(uri, parameters::of(endpoint))?;
    let slug = app.tenant(identity, &query).await?.slug.clone();
    let name = format!("{OUTBOX_PREFIX}{slug}");
    if app.outboxes.is_lasting(&name) { Ok((query, name, slug)) } else { Err(Problem::new(&codes::MAIL_DISABLED)) }
}

/// Shows how far mail is.
pub(crate) async fn show(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    uri: Uri,
) -> Result<Json<MailProgress>, Problem> {
    let (_, name, _) = outbox(&app, identity, &uri, Endpoint::Mail).await?;
    let kept = kept(&app, name).await?;
    let head = app.engine.durable();
    Ok(Json(MailProgress {
        position: kept.position.unwrap_or(head).0,
        head: head.0,
        due: count(&kept, DeliveryStateName::Due),
        given_up: count(&kept, DeliveryStateName::GivenUp),
    }))
}

/// Lists what became of it, the newest first.
pub(crate) async fn list(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    uri: Uri,
) -> Result<Json<DeliveryPage>, Problem> {
    let (query, name, slug) = outbox(&app, identity, &uri, Endpoint::MailDeliveries).await?;
    page(&app, &query, (name, 0), |seq: Seq| format!("{}.{slug}", seq.0)).await
}

/// Has one mail sent again.
pub(crate) async fn replay_one(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Path(seq): Path<String>,
    uri: Uri,
) -> Result<(StatusCode, Json<DeliveriesReplayed>), Problem> {
    let (_, name, _) = outbox(&app, identity, &uri, Endpoint::ReplayMail).await?;
    replay(&app, &name, &seq).await
}

/// Has all mail sent again that was given up.
pub(crate) async fn replay_given_up(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    uri: Uri,
) -> Result<(StatusCode, Json<DeliveriesReplayed>), Problem> {
    let (_, name, _) = outbox(&app, identity, &uri, Endpoint::ReplayMails).await?;
    again(&app, &name, Again::GivenUp).await
}
