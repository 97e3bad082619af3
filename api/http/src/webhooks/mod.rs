//! Webhooks: what happened, sent to where a partner or a tenant wants it.
//!
//! **What is sent.** `POST` with a JSON array of CloudEvents, those of one record in one request, as the event stream has them. Headers and
//! signature are those of Standard Webhooks: `webhook-id` is the same in each attempt, and receivers that must not do things twice look
//! at it. Any status 2xx says that it is taken; 410 says that the receiver is gone, and disables the webhook; anything else, and nothing
//! within 15 seconds, is tried again (see [`crate::outbox`]).
//!
//! **In which order.** What is about one customer comes in the order in which it happened. A delivery that fails holds back the later ones
//! of its customer, and nobody else's: for an hour, or until a hundred of them wait; then they overtake it. Whoever needs order beyond
//! that looks at `sequence`.
//!
//! Files: `settings` (what owners do with webhooks), `deliveries` (what became of them, and again), `sender` (the work), `post` (one
//! attempt).

mod deliveries;
mod post;
mod sender;
mod settings;

use std::sync::Arc;

use data_encoding::BASE64;
use kembali_core::catalogue::Catalogue;
use kembali_engine::{Webhook, WebhookError, WebhookId};

pub(crate) use self::deliveries::{list as list_deliveries, replay, replay_given_up};
pub use self::post::ATTEMPTS_MAX;
pub(crate) use self::post::Poster;
pub(crate) use self::sender::send;
pub(crate) use self::settings::{delete, list, patch, post, rotate, show, test};
use crate::app::App;
use crate::auth::Identity;
use crate::codes;
use crate::problem::Problem;
use crate::wire::webhook::shown_id;

/// What a secret begins with.
const SECRET_PREFIX: &str = "whsec_";
/// Bytes of a key.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// The name of a webhook's outbox.
fn outbox_name(id: WebhookId) -> String {
    format!("{OUTBOX_PREFIX}{}", shown_id(id))
}

/// What the names of webhooks' outboxes begin with.
const OUTBOX_PREFIX: &str = "webhook:";

/// Finds a webhook that the caller may see: a partner its own, operators all of the tenant.
fn found(app: &App, identity: Identity, tenant: &Catalogue, id: &str) -> Result<Arc<Webhook>, Problem> {
    let unknown = || Problem::new(&codes::WEBHOOK_NOT_FOUND);
    let is_plain = id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let id = u128::from_str_radix(id, 16).ok().filter(|_| is_plain).map(WebhookId).ok_or_else(unknown)?;
    app.engine.webhook(id).filter(|own| is_seen(identity, tenant, own)).ok_or_else(unknown)
}

fn is_seen(identity: Identity, tenant: &Catalogue, webhook: &Webhook) -> bool {
    let is_own = match identity {
        Identity::Partner(caller) => webhook.partner == Some(caller.partner),
        Identity::Operator(_) => true,
        Identity::Customer(_) | Identity::Nobody => false,
    };
    is_own && webhook.tenant == tenant.tenant
}

/// Takes the secret that its owner has chosen, or draws one. Returns the key too.
fn secret(text: Option<String>) -> Result<(Vec<u8>, String), Problem> {
    if let Some(text) = text {
        let malformed = || Problem::new(&codes::WEBHOOK_SECRET_MALFORMED).pointer("/secret");
        let key = text.strip_prefix(SECRET_PREFIX).and_then(|own| BASE64.decode(own.as_bytes()).ok());
        let key = key.filter(|key| KEY_BYTES.contains(&key.len())).ok_or_else(malformed)?;
        return Ok((key, text));
    }
    let mut key = vec![0; 32];
    getrandom::fill(&mut key).map_err(|error| Problem::internal(&error))?;
    let text = format!("{SECRET_PREFIX}{}", BASE64.encode(&key));
    Ok((key, text))
}

impl From<WebhookError> for Problem {
    fn from(error: WebhookError) -> Problem {
        match error {
            WebhookError::Unknown => Problem::new(&codes::WEBHOOK_NOT_FOUND),
            WebhookError::TooMany => Problem::new(&codes::WEBHOOKS_TOO_MANY),
            WebhookError::Sealed => Problem::new(&codes::WEBHOOK_SEALED),
            WebhookError::Disabled => Problem::new(&codes::SIGNING_DISABLED),
            WebhookError::Administer(error) => error.into(),
            error @ (WebhookError::TextTooLong | WebhookError::Random(_) | WebhookError::Unsealed(_)) => {
                Problem::internal(&error)
            }
        }
    }
}
