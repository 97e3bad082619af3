//! Webhooks: where a partner, or a tenant, has what happened sent to. Who may send what, and how far each is, is not here: deliveries
//! are an outbox's (see [`crate::outbox`]).
//!
//! All lie in the profile store, their secrets sealed, and all are in memory: there are a few hundred at most.

use std::fmt;
use std::sync::Arc;

use kembali_core::audit::{Act, WebhookChange};
use kembali_core::operation::Actor;
use kembali_core::{Instant, PartnerId, Seq, TenantId};
use kembali_journal::{ProfileKey, profile_value};
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedMutexGuard, watch};

use crate::handle::Engine;
use crate::profile_keys::{ProfileChange, WEBHOOK_PREFIX, stored_at, webhook_key};
use crate::request::{AdministerError, ReadOnly, Stopped};
use crate::seal::Sealer;

const VALUE_VERSION: u8 = 1;
/// Webhooks of one partner.
const WEBHOOKS_OF_A_PARTNER_MAX: usize = 8;
/// Webhooks of a tenant's own.
const WEBHOOKS_OF_A_TENANT_MAX: usize = 16;
/// Webhooks in all: each follows the ledger by itself.
const WEBHOOKS_MAX: usize = 256;
/// Bytes of a URL, and of the list of topics.
pub const WEBHOOK_TEXT_BYTES_MAX: usize = 1_024;
/// Bytes of a description.
const WEBHOOK_DESCRIPTION_BYTES_MAX: usize = 400;

/// The id of a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WebhookId(pub u128);

/// Where records are sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Its id.
    pub id: WebhookId,
    /// Whose records it sends.
    pub tenant: TenantId,
    /// The partner that it is of, which is sent what it did itself; `None` of the tenant's own, which is sent everything.
    pub partner: Option<PartnerId>,
    /// What its owner chooses.
    pub settings: WebhookSettings,
    /// When it was created.
    pub created_at: Instant,
    /// Behind which position it begins.
    pub after: Seq,
    /// Since when it sends, and whether it still does.
    pub status: WebhookStatus,
    /// What it signs with: the newest first, and those before it until they are over. Empty where they cannot be opened.
    pub secrets: Vec<WebhookSecret>,
}

/// What the owner of a webhook chooses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookSettings {
    /// Where it sends to. May hold secrets of its owner's.
    pub url: String,
    /// Which topics it sends, as callers write them.
    pub topics: String,
    /// What its owner says about it.
    pub description: String,
}

/// Whether a webhook sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WebhookStatus {
    /// Since then.
    Enabled(Instant),
    /// Not since then. What happens meanwhile waits in the ledger.
    Disabled(Instant, WebhookDisabled),
}

/// Why a webhook sends nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WebhookDisabled {
    /// Somebody said so.
    Asked,
    /// The receiver said that it is gone.
    Gone,
    /// Nothing was taken for as long as a delivery is tried.
    Failing,
}

/// What a webhook signs with. No log shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookSecret {
    /// The key.
    pub key: Vec<u8>,
    /// Until when it signs beside the one that took its place.
    pub until: Option<Instant>,
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "[redacted] until {:?}", self.until)
    }
}

/// A webhook to create.
#[derive(Debug)]
pub struct NewWebhook {
    /// Whose records it sends.
    pub tenant: TenantId,
    /// The partner that it is of.
    pub partner: Option<PartnerId>,
    /// What its owner chooses.
    pub settings: WebhookSettings,
    /// Behind which position it begins; `None` for what is durable by then.
    pub after: Option<Seq>,
    /// What it signs with.
    pub secret: Vec<u8>,
}

/// Why a webhook is not changed.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// There is none.
    #[error("there is no such webhook")]
    Unknown,
    /// Its owner has as many as fit, or the server has.
    #[error("there is no room for one more webhook")]
    TooMany,
    /// A text is too long.
    #[error("a text of the webhook is too long")]
    TextTooLong,
    /// Its secret was sealed under another key than the one that is configured.
    #[error("the secret of the webhook cannot be opened")]
    Sealed,
    /// There is no key to seal secrets under.
    #[error("the server has no secrets_key, so it can keep no secret to sign with")]
    Disabled,
    /// The system gave no random bytes.
    #[error("drawing random bytes: {0}")]
    Random(getrandom::Error),
    /// A secret could not be sealed.
    #[error("a secret could not be sealed: {0}")]
    Unsealed(String),
    /// See there.
    #[error(transparent)]
    Administer(#[from] AdministerError),
}

impl From<Stopped> for WebhookError {
    fn from(stopped: Stopped) -> WebhookError {
        WebhookError::Administer(stopped.into())
    }
}

impl From<ReadOnly> for WebhookError {
    fn from(read_only: ReadOnly) -> WebhookError {
        WebhookError::Administer(read_only.into())
    }
}

#[derive(Serialize, Deserialize)]
struct Stored {
    tenant: TenantId,
    partner: Option<PartnerId>,
    settings: WebhookSettings,
    created_at: Instant,
    after: Seq,
    status: WebhookStatus,
    /// Each sealed, and until when it signs.
    secrets: Vec<(Vec<u8>, Option<Instant>)>,
}

/// All webhooks, in the order in which they were created.
pub(crate) type Webhooks = Arc<[Arc<Webhook>]>;

/// Reads what is stored of a webhook; `None` where it is damaged. One whose secrets cannot be opened has none.
pub(crate) fn read(stored_key: &[u8], stored: &[u8], sealer: Option<&Sealer>) -> Option<Webhook> {
    let id = stored_key.get(WEBHOOK_PREFIX.len()..).and_then(|id| id.try_into().ok()).map(u128::from_be_bytes)?;
    let stored: Stored = profile_value::decode(VALUE_VERSION, stored)?;
    let Stored { tenant, partner, settings, created_at, after, status, secrets } = stored;
    let open = |(sealed, until): (Vec<u8>, _)| Some(WebhookSecret { key: sealer?.open(&purpose(id), &sealed)?, until });
    let secrets: Option<Vec<_>> = secrets.into_iter().map(open).collect();
    let secrets = secrets.unwrap_or_default();
    Some(Webhook { id: WebhookId(id), tenant, partner, settings, created_at, after, status, secrets })
}

fn purpose(id: u128) -> [u8; 32] {
    let mut purpose = *b"webhook signing.................";
    purpose[16..].copy_from_slice(&id.to_be_bytes());
    purpose
}

fn sorted(mut webhooks: Vec<Arc<Webhook>>) -> Webhooks {
    webhooks.sort_by_key(|own| (own.created_at, own.id));
    webhooks.into()
}

/// Shows webhooks that are durable.
pub(crate) fn shown(all: &watch::Sender<Webhooks>, change: impl FnOnce(&mut Vec<Arc<Webhook>>)) {
    all.send_modify(|all| {
        let mut webhooks = all.to_vec();
        change(&mut webhooks);
        *all = sorted(webhooks);
    });
}

impl Engine {
    /// Lists all webhooks, in the order in which they were created.
    #[must_use]
    pub fn webhooks(&self) -> Arc<[Arc<Webhook>]> {
        Arc::clone(&self.inner.shared.webhooks().borrow())
    }

    /// Watches all webhooks.
    #[must_use]
    pub fn watch_webhooks(&self) -> watch::Receiver<Arc<[Arc<Webhook>]>> {
        self.inner.shared.webhooks().subscribe()
    }

    /// Finds a webhook.
    #[must_use]
    pub fn webhook(&self, id: WebhookId) -> Option<Arc<Webhook>> {
        self.inner.shared.webhooks().borrow().iter().find(|own| own.id == id).cloned()
    }

    /// Creates a webhook. Written down before it is there.
    ///
    /// # Errors
    ///
    /// [`WebhookError`].
    pub async fn create_webhook(&self, actor: Actor, new: NewWebhook) -> Result<Arc<Webhook>, WebhookError> {
        let one_at_a_time = Arc::clone(&self.inner.administration).lock_owned().await;
        let NewWebhook { tenant, partner, settings, after, secret } = new;
        let all = self.webhooks();
        let own = all.iter().filter(|own| (own.tenant, own.partner) == (tenant, partner)).count();
        let own_max = if partner.is_some() { WEBHOOKS_OF_A_PARTNER_MAX } else { WEBHOOKS_OF_A_TENANT_MAX };
        if own_max <= own || WEBHOOKS_MAX <= all.len() {
            return Err(WebhookError::TooMany);
        }
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(WebhookError::Random)?;
        let now = self.wall();
        let webhook = Webhook {
            id: WebhookId(u128::from_be_bytes(id)),
            tenant,
            partner,
            settings,
            created_at: now,
            after: after.unwrap_or_else(|| self.durable()),
            status: WebhookStatus::Enabled(now),
            secrets: vec![WebhookSecret { key: secret, until: None }],
        };
        self.keep_webhook(actor, webhook, WebhookChange::Created, one_at_a_time).await
    }

    /// Changes what a webhook sends, where to, or whether it does. Written down before it holds.
    ///
    /// # Errors
    ///
    /// [`WebhookError`], or what `edit` says.
    pub async fn change_webhook<E: From<WebhookError>>(
        &self,
        actor: Actor,
        id: WebhookId,
        edit: impl FnOnce(&mut WebhookSettings, &mut WebhookStatus) -> Result<(), E>,
    ) -> Result<Arc<Webhook>, E> {
        let one_at_a_time = Arc::clone(&self.inner.administration).lock_owned().await;
        let before = self.webhook(id).ok_or(WebhookError::Unknown)?;
        // It would be written down without its secret.
        if before.secrets.is_empty() {
            return Err(WebhookError::Sealed.into());
        }
        let mut after = Webhook::clone(&before);
        edit(&mut after.settings, &mut after.status)?;
        let change = match (before.status, after.status) {
            _ if after == *before => return Ok(before),
            (WebhookStatus::Enabled(_), WebhookStatus::Disabled(..)) => WebhookChange::Disabled,
            (WebhookStatus::Disabled(..), WebhookStatus::Enabled(_)) => WebhookChange::Enabled,
            _ => WebhookChange::Changed,
        };
        Ok(self.keep_webhook(actor, after, change, one_at_a_time).await?)
    }

    /// Makes a webhook sign with `key` from now on, and with those before it until `until`. Written down before it holds.
    ///
    /// # Errors
    ///
    /// [`WebhookError`].
    pub async fn rotate_webhook_secret(
        &self,
        actor: Actor,
        id: WebhookId,
        key: Vec<u8>,
        until: Instant,
    ) -> Result<Arc<Webhook>, WebhookError> {
        let one_at_a_time = Arc::clone(&self.inner.administration).lock_owned().await;
        let mut webhook = Webhook::clone(&*self.webhook(id).ok_or(WebhookError::Unknown)?);
        let now = self.wall();
        // The one before it alone: whoever rotates twice wants the first gone.
        webhook.secrets.truncate(1);
        webhook.secrets.iter_mut().for_each(|own| own.until = Some(until));
        webhook.secrets.retain(|own| own.until.is_none_or(|until| now < until));
        webhook.secrets.insert(0, WebhookSecret { key, until: None });
        self.keep_webhook(actor, webhook, WebhookChange::SecretRotated, one_at_a_time).await
    }

    /// Deletes a webhook. What is kept of its deliveries goes with [`Engine::forget_outbox`].
    ///
    /// # Errors
    ///
    /// [`WebhookError`].
    pub async fn delete_webhook(&self, actor: Actor, id: WebhookId) -> Result<(), WebhookError> {
        let one_at_a_time = Arc::clone(&self.inner.administration).lock_owned().await;
        let webhook = self.webhook(id).ok_or(WebhookError::Unknown)?;
        self.check_room_on_disk()?;
        self.write_down(webhook.tenant, actor, act(&webhook, WebhookChange::Deleted)).await?;
        let change = ProfileChange { put: Vec::new(), remove: vec![stored_at(webhook_key(id))] };
        let show = move |engine: &Engine| {
            shown(engine.inner.shared.webhooks(), |all| all.retain(|own| own.id != id));
        };
        Ok(self.store(change, one_at_a_time, show).await?)
    }

    /// Writes down what is done to a webhook, then makes it durable and shows it.
    async fn keep_webhook(
        &self,
        actor: Actor,
        webhook: Webhook,
        change: WebhookChange,
        one_at_a_time: OwnedMutexGuard<()>,
    ) -> Result<Arc<Webhook>, WebhookError> {
        let WebhookSettings { url, topics, description } = &webhook.settings;
        let is_long = WEBHOOK_TEXT_BYTES_MAX < url.len().max(topics.len());
        if is_long || WEBHOOK_DESCRIPTION_BYTES_MAX < description.len() {
            return Err(WebhookError::TextTooLong);
        }
        self.check_room_on_disk()?;
        let entry = self.stored(&webhook)?;
        self.write_down(webhook.tenant, actor, act(&webhook, change)).await?;
        let webhook = Arc::new(webhook);
        let new = Arc::clone(&webhook);
        let show = move |engine: &Engine| {
            shown(engine.inner.shared.webhooks(), |all| {
                all.retain(|own| own.id != new.id);
                all.push(new);
            });
        };
        self.store(ProfileChange::put(vec![entry]), one_at_a_time, show).await?;
        Ok(webhook)
    }

    fn stored(&self, webhook: &Webhook) -> Result<(ProfileKey, Vec<u8>), WebhookError> {
        let sealer = self.inner.sealer.as_ref().ok_or(WebhookError::Disabled)?;
        let seal = |own: &WebhookSecret| {
            let sealed = sealer.seal(&purpose(webhook.id.0), &own.key);
            Ok((sealed.map_err(|error| WebhookError::Unsealed(error.to_string()))?, own.until))
        };
        let stored = Stored {
            tenant: webhook.tenant,
            partner: webhook.partner,
            settings: webhook.settings.clone(),
            created_at: webhook.created_at,
            after: webhook.after,
            status: webhook.status,
            secrets: webhook.secrets.iter().map(seal).collect::<Result<_, WebhookError>>()?,
        };
        Ok((stored_at(webhook_key(webhook.id)), profile_value::encode(VALUE_VERSION, &stored)))
    }
}

const fn act(webhook: &Webhook, change: WebhookChange) -> Act {
    Act::WebhookChanged { webhook: webhook.id.0, partner: webhook.partner, change }
}
