//! The private keys that tokens are signed with, sealed in the profile store. The newest signs; those before it are kept, and
//! accepted for as long as tokens of theirs may be right.
//!
//! What is in a key is the caller's business.

use std::fmt;
use std::sync::Arc;

use kembali_core::Instant;
use kembali_core::audit::Act;
use kembali_core::operation::Actor;
use kembali_journal::profile_value;
use serde::{Deserialize, Serialize};

use crate::handle::Engine;
use crate::profile_keys::{ProfileChange, SIGNING_KEY_PREFIX, signing_key_key, stored_at};
use crate::request::{AdministerError, Stopped};
use crate::seal::Sealer;

const VALUE_VERSION: u8 = 1;

/// A key that tokens are or were signed with.
#[derive(Clone)]
pub struct SigningKey {
    /// The id that tokens name it by.
    pub id: u128,
    /// Since when it signs.
    pub created_at: Instant,
    /// The private key.
    pub private: Vec<u8>,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "SigningKey({:032x})", self.id)
    }
}

#[derive(Serialize, Deserialize)]
struct Stored {
    created_at: Instant,
    sealed: Vec<u8>,
}

/// What is stored of a key is damaged, or sealed under another key than the one that is configured.
#[derive(Debug)]
pub(crate) enum Unread {
    Damaged,
    Sealed,
}

/// Opens a stored key.
pub(crate) fn read(stored_key: &[u8], stored: &[u8], sealer: Option<&Sealer>) -> Result<SigningKey, Unread> {
    let id = stored_key.get(SIGNING_KEY_PREFIX.len()..).and_then(|id| id.try_into().ok()).map(u128::from_be_bytes);
    let stored: Option<Stored> = profile_value::decode(VALUE_VERSION, stored);
    let (id, Stored { created_at, sealed }) = id.zip(stored).ok_or(Unread::Damaged)?;
    let private = sealer.and_then(|sealer| sealer.open(&purpose(id), &sealed)).ok_or(Unread::Sealed)?;
    Ok(SigningKey { id, created_at, private })
}

fn purpose(id: u128) -> [u8; 32] {
    let mut purpose = *b"token signing.  ................";
    purpose[16..].copy_from_slice(&id.to_be_bytes());
    purpose
}

/// Why no key was added.
#[derive(Debug, thiserror::Error)]
pub enum SigningKeyError {
    /// There is no key to seal it under.
    #[error("the server has no secrets_key, so it can keep no key to sign tokens with")]
    Disabled,
    /// The system gave no random bytes.
    #[error("a key to sign tokens with could not be sealed: {0}")]
    Unsealed(String),
    /// See there.
    #[error(transparent)]
    Administer(#[from] AdministerError),
}

impl From<Stopped> for SigningKeyError {
    fn from(stopped: Stopped) -> SigningKeyError {
        SigningKeyError::Administer(stopped.into())
    }
}

impl Engine {
    /// Lists the keys that tokens are or were signed with, the oldest first.
    #[must_use]
    pub fn signing_keys(&self) -> Vec<SigningKey> {
        self.inner.shared.signing_keys()
    }

    /// Makes tokens be signed with this key from now on, and forgets those of which `is_over` says so by the time since when the one
    /// after it signs. Every tenant's log has it.
    ///
    /// # Errors
    ///
    /// [`SigningKeyError`].
    pub async fn add_signing_key(
        &self,
        actor: Actor,
        id: u128,
        private: Vec<u8>,
        is_over: impl Fn(Instant) -> bool,
    ) -> Result<SigningKey, SigningKeyError> {
        let one_at_a_time = Arc::clone(&self.inner.administration).lock_owned().await;
        let sealer = self.inner.sealer.as_ref().ok_or(SigningKeyError::Disabled)?;
        self.check_room_on_disk().map_err(AdministerError::from)?;
        // One at a time, and each after the one before it: they are in the same order after a start.
        let keys = self.signing_keys();
        let after_last = keys.last().map_or(Instant(0), |last| Instant(last.created_at.0.saturating_add(1)));
        let key = SigningKey { id, created_at: self.wall().max(after_last), private };
        let over = keys.windows(2).filter(|pair| is_over(pair[1].created_at)).map(|pair| pair[0].id);
        let over: Vec<u128> = over.collect();
        let sealed = sealer.seal(&purpose(key.id), &key.private);
        let sealed = sealed.map_err(|error| SigningKeyError::Unsealed(error.to_string()))?;
        for tenant in self.tenants().await? {
            self.write_down(tenant.tenant, actor, Act::SigningKeyRotated { key: key.id }).await?;
        }
        let stored = profile_value::encode(VALUE_VERSION, &Stored { created_at: key.created_at, sealed });
        let put = vec![(stored_at(signing_key_key(key.id)), stored)];
        let remove = over.iter().map(|id| stored_at(signing_key_key(*id))).collect();
        let shown = key.clone();
        let show = move |engine: &Engine| {
            engine.inner.shared.set_signing_keys(|keys| {
                keys.retain(|key| !over.contains(&key.id));
                keys.push(shown);
            })
        };
        self.store(ProfileChange { put, remove }, one_at_a_time, show).await?;
        Ok(key)
    }
}
