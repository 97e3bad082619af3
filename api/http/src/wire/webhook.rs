//! Webhooks and their deliveries, as callers see them.

use std::borrow::Cow;

use kembali_core::{Instant, Seq};
use kembali_engine::{Webhook, WebhookDisabled, WebhookId, WebhookStatus};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::audit::shown_key;
use super::fault::{Field, Form, optional, required};
use super::instant::Rfc3339;
use super::number::Whole;
use super::operation::OperationBody;
use super::result::Names;

/// A webhook to create.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewWebhookBody {
    /// Where it sends to, of at most 1,024 bytes: `https`, and a public address, unless the operator of the server allows others.
    pub(crate) url: String,
    /// The topics that it sends, as the event stream has them; without them all.
    #[serde(default)]
    pub(crate) topics: Option<Vec<String>>,
    /// What it is for, of at most 100 characters.
    #[serde(default)]
    pub(crate) description: Option<String>,
    /// What it signs with: `whsec_` and 24 to 64 bytes in Base64; without it the server makes one.
    #[serde(default)]
    pub(crate) secret: Option<String>,
    /// The position behind which it begins; without it only what comes from now on.
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    pub(crate) after: Option<Whole>,
    /// The slug of the partner whose it is, where an admin creates it; without it, it is the tenant's own and sends everything. Those of a
    /// partner send what that did itself.
    #[serde(default)]
    pub(crate) partner: Option<String>,
}

impl OperationBody for NewWebhookBody {
    const FIELDS: &'static [Field] = &[
        required("url", Form::Text),
        optional("topics", Form::TextList),
        optional("description", Form::Text),
        optional("secret", Form::Text),
        optional("after", Form::Whole),
        optional("partner", Form::Text),
    ];
}

/// What is to change of a webhook; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WebhookPatch {
    /// Where it sends to.
    #[serde(default)]
    pub(crate) url: Option<String>,
    /// The topics that it sends.
    #[serde(default)]
    pub(crate) topics: Option<Vec<String>>,
    /// What it is for.
    #[serde(default)]
    pub(crate) description: Option<String>,
    /// Whether it sends. What happens while it does not waits for it in the ledger.
    #[serde(default)]
    pub(crate) status: Option<WebhookStatusName>,
}

impl OperationBody for WebhookPatch {
    const FIELDS: &'static [Field] = &[
        optional("url", Form::Text),
        optional("topics", Form::TextList),
        optional("description", Form::Text),
        optional("status", Form::OneOf(&["enabled", "disabled"])),
    ];
}

/// A secret to sign with from now on.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewWebhookSecret {
    /// The secret; without it the server makes one.
    #[serde(default)]
    pub(crate) secret: Option<String>,
    /// For how many hours the one before it signs too, 0 to 168; 24 without it.
    #[serde(default)]
    #[schema(value_type = Option<u64>, maximum = 168)]
    pub(crate) overlap_hours: Option<Whole>,
}

impl OperationBody for NewWebhookSecret {
    const FIELDS: &'static [Field] = &[optional("secret", Form::Text), optional("overlap_hours", Form::Whole)];
}

/// Whether a webhook sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WebhookStatusName {
    /// It does.
    Enabled,
    /// It does not.
    Disabled,
}

/// Why a webhook sends nothing.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WebhookDisabledName {
    /// Somebody said so.
    Asked,
    /// The receiver answered 410.
    Gone,
    /// Nothing was taken for a day, or too much was given up.
    Failing,
    /// Its secret cannot be opened: the server runs without the key that it was sealed under.
    Sealed,
}

/// A webhook.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookShown<'a> {
    /// Its id, 32 digits in hexadecimal.
    id: String,
    /// Where it sends to.
    url: &'a str,
    /// The topics that it sends.
    topics: Vec<&'a str>,
    /// What it is for.
    description: &'a str,
    /// The slug of the partner whose it is; null of the tenant's own.
    #[schema(required)]
    partner: Option<Cow<'a, str>>,
    /// Whether it sends.
    status: WebhookStatusName,
    /// Since when.
    status_since: Rfc3339,
    /// Why it does not; null where it does.
    #[schema(required)]
    disabled_because: Option<WebhookDisabledName>,
    /// When it was created.
    created_at: Rfc3339,
    /// The position behind which it began.
    after: u64,
    /// Until when the secret before the present one signs too; null where only one does.
    #[schema(required)]
    former_secret_until: Option<Rfc3339>,
}

impl<'a> WebhookShown<'a> {
    pub(crate) fn of(webhook: &'a Webhook, names: &Names<'a>, now: Instant) -> WebhookShown<'a> {
        let (status, since, why) = match webhook.status {
            WebhookStatus::Enabled(since) if webhook.secrets.is_empty() => {
                (WebhookStatusName::Disabled, since, Some(WebhookDisabledName::Sealed))
            }
            WebhookStatus::Enabled(since) => (WebhookStatusName::Enabled, since, None),
            WebhookStatus::Disabled(since, why) => {
                let why = match why {
                    WebhookDisabled::Asked => WebhookDisabledName::Asked,
                    WebhookDisabled::Gone => WebhookDisabledName::Gone,
                    WebhookDisabled::Failing => WebhookDisabledName::Failing,
                };
                (WebhookStatusName::Disabled, since, Some(why))
            }
        };
        WebhookShown {
            id: shown_id(webhook.id),
            url: &webhook.settings.url,
            topics: webhook.settings.topics.split(',').collect(),
            description: &webhook.settings.description,
            partner: webhook.partner.map(|partner| names.partner(partner)),
            status,
            status_since: Rfc3339(since),
            disabled_because: why,
            created_at: Rfc3339(webhook.created_at),
            after: webhook.after.0,
            former_secret_until: webhook
                .secrets
                .get(1)
                .and_then(|own| own.until)
                .filter(|until| now < *until)
                .map(Rfc3339),
        }
    }
}

/// Webhooks.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookList {
    /// In the order in which they were created.
    #[schema(value_type = Vec<WebhookShown<'static>>)]
    pub(crate) data: Vec<serde_json::Value>,
    /// Always null: the list is whole.
    #[schema(value_type = Option<String>, required)]
    pub(crate) next_cursor: (),
}

/// A webhook, and how far it is.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookProgress<'a> {
    #[serde(flatten)]
    pub(crate) webhook: WebhookShown<'a>,
    /// The position up to which the ledger was looked through for it, as it was kept last: up to half a minute ago.
    pub(crate) position: u64,
    /// The last durable position of the ledger.
    pub(crate) head: u64,
    /// Deliveries that are tried, or wait for it.
    pub(crate) due: usize,
    /// Deliveries that were given up.
    pub(crate) given_up: usize,
}

/// A webhook that was created.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookCreated<'a> {
    #[serde(flatten)]
    pub(crate) webhook: WebhookShown<'a>,
    /// What it signs with, shown this once.
    pub(crate) secret: String,
}

/// A webhook that is gone.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookDeleted {
    /// Its id.
    pub(crate) id: String,
    /// True.
    pub(crate) deleted: bool,
}

/// What a webhook is told of to be tried out.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookTested {
    /// True where the receiver took it.
    pub(crate) delivered: bool,
    /// Why not; null where it did.
    #[schema(required)]
    pub(crate) reason: Option<String>,
    /// How long that took, in milliseconds.
    pub(crate) milliseconds: u64,
}

/// The id by which a webhook is shown.
pub(crate) fn shown_id(id: WebhookId) -> String {
    shown_key(id.0)
}

/// What a delivery is called, in each attempt.
pub(crate) fn message_id(webhook: WebhookId, seq: Seq) -> String {
    format!("msg_{}_{}", shown_id(webhook), seq.0)
}
