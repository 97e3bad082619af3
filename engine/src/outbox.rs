//! What outboxes remember: how far each has followed the ledger, what it has yet to deliver, and what it has delivered last.
//!
//! An outbox reads durable records in order and delivers what they say to somebody outside. What is kept of it lies in the profile
//! store, behind a sync of its own. An older state than the true one makes deliveries again and loses none, so whoever receives must
//! bear repeats, or be asked first. What is delivered, where to, and when it is tried again, is the outbox's own.

use std::collections::BTreeMap;
use std::sync::Arc;

use kembali_core::{CustomerId, Instant, Seq};
use kembali_journal::{ProfileError, ProfileKey, profile_value};
use serde::{Deserialize, Serialize};

use crate::handle::Engine;
use crate::profile_keys::{
    OUTBOX_POSITION_PREFIX, ProfileChange, outbox_deliveries_prefix, outbox_delivery_key, outbox_position_key,
};
use crate::request::{AdministerError, ReadError};

const POSITION_VERSION: u8 = 1;
/// Deliveries of version 1 are `FormerDelivery`.
const DELIVERY_VERSION: u8 = 2;
const FORMER_DELIVERY_VERSION: u8 = 1;
/// Characters that are kept of a reason.
pub const OUTBOX_REASON_CHARS_MAX: usize = 300;

/// How far an outbox is, and what is known of its deliveries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutboxState {
    /// Each record up to here is delivered, needs no delivery, or is in `deliveries`; `None` where nothing was ever kept.
    pub position: Option<Seq>,
    /// What is not delivered, and what was delivered last, by the positions of the records.
    pub deliveries: BTreeMap<Seq, Delivery>,
}

/// A delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// What it must not overtake; `None` of one that waits for no other.
    pub lane: Option<Lane>,
    /// Since when it is tried.
    pub since: Instant,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was tried last.
    pub tried_at: Option<Instant>,
    /// Whether it is made.
    pub state: DeliveryState,
    /// Why the last attempt failed; empty where none did. No personal data.
    pub reason: String,
}

/// Deliveries of one lane are made in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Lane {
    /// Those about one customer.
    Customer(CustomerId),
    /// Those about none.
    Nobody,
}

/// Whether a delivery is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeliveryState {
    /// It is tried next at this time.
    Due(Instant),
    /// It is not tried any more.
    GivenUp,
    /// It is made.
    Made,
}

impl Delivery {
    /// A delivery that is to be tried.
    #[must_use]
    pub const fn new(lane: Option<Lane>, now: Instant) -> Delivery {
        let state = DeliveryState::Due(now);
        Delivery { lane, since: now, attempts: 0, tried_at: None, state, reason: String::new() }
    }

    /// Returns when it is tried next, if it is.
    #[must_use]
    pub const fn due(&self) -> Option<Instant> {
        match self.state {
            DeliveryState::Due(at) => Some(at),
            DeliveryState::GivenUp | DeliveryState::Made => None,
        }
    }
}

/// A delivery as it was kept before there were lanes; none of those was made.
#[derive(Serialize, Deserialize)]
struct FormerDelivery {
    since: Instant,
    attempts: u32,
    next_at: Option<Instant>,
    reason: String,
}

impl From<FormerDelivery> for Delivery {
    fn from(former: FormerDelivery) -> Delivery {
        let FormerDelivery { since, attempts, next_at, reason } = former;
        let state = next_at.map_or(DeliveryState::GivenUp, DeliveryState::Due);
        Delivery { lane: None, since, attempts, tried_at: None, state, reason }
    }
}

fn read(stored: &[u8]) -> Option<Delivery> {
    let former = || profile_value::decode::<FormerDelivery>(FORMER_DELIVERY_VERSION, stored).map(Delivery::from);
    profile_value::decode(DELIVERY_VERSION, stored).or_else(former)
}

/// What changes in an outbox, all at once.
#[derive(Clone, Debug, Default)]
pub struct OutboxChange {
    /// How far it is now; unchanged without it.
    pub position: Option<Seq>,
    /// Deliveries, in the place of what was known of them.
    pub put: Vec<(Seq, Delivery)>,
    /// Deliveries that nothing is to be known of any more.
    pub remove: Vec<Seq>,
}

impl Engine {
    /// Reads an outbox. Waits for the disk.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn outbox(&self, name: &str) -> Result<OutboxState, ReadError> {
        let damaged = |_| ReadError::Profile(format!("what is kept of the outbox {name} is damaged"));
        let position = self.profile(outbox_position_key(name))?;
        let position = position.map(|stored| profile_value::decode(POSITION_VERSION, &stored).map(Seq).ok_or(()));
        let prefix = outbox_deliveries_prefix(name);
        let deliveries = self.profiles_under(&prefix)?.into_iter().map(|(key, stored)| {
            let seq = key.as_bytes().get(prefix.len()..).and_then(|seq| Some(u64::from_be_bytes(seq.try_into().ok()?)));
            Ok((Seq(seq.ok_or(())?), read(&stored).ok_or(())?))
        });
        let deliveries: Result<_, ()> = deliveries.collect();
        let position = position.transpose().map_err(damaged)?;
        Ok(OutboxState { position, deliveries: deliveries.map_err(damaged)? })
    }

    /// Lists the outboxes of which something is kept and whose names start so. Waits for the disk.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn outboxes(&self, start: &str) -> Result<Vec<String>, ReadError> {
        let kept = self.profiles_under(&[OUTBOX_POSITION_PREFIX, start.as_bytes()].concat())?;
        let name = |(key, _): (ProfileKey, _)| {
            let name = key.as_bytes().get(OUTBOX_POSITION_PREFIX.len()..)?;
            String::from_utf8(name.to_vec()).ok()
        };
        Ok(kept.into_iter().filter_map(name).collect())
    }

    /// Makes a change of an outbox durable.
    ///
    /// # Errors
    ///
    /// [`AdministerError`]: nothing is changed while the disk is nearly full.
    ///
    /// # Panics
    ///
    /// If the name is longer than 128 bytes. One of a tenant is not.
    pub async fn keep_outbox(&self, name: &str, change: OutboxChange) -> Result<(), AdministerError> {
        let one_at_a_time = Arc::clone(&self.inner.administration).lock_owned().await;
        self.check_room_on_disk()?;
        let position = change
            .position
            .map(|position| (named(outbox_position_key(name)), profile_value::encode(POSITION_VERSION, &position.0)));
        let deliveries = change.put.into_iter().map(|(seq, delivery)| {
            let reason = delivery.reason.chars().take(OUTBOX_REASON_CHARS_MAX).collect();
            let delivery = Delivery { reason, ..delivery };
            (named(outbox_delivery_key(name, seq)), profile_value::encode(DELIVERY_VERSION, &delivery))
        });
        let put = position.into_iter().chain(deliveries).collect();
        let remove = change.remove.iter().map(|seq| named(outbox_delivery_key(name, *seq))).collect();
        Ok(self.store(ProfileChange { put, remove }, one_at_a_time, |_| ()).await?)
    }

    /// Forgets all that is kept of an outbox, which nobody works on any more. Waits for the disk.
    ///
    /// # Errors
    ///
    /// [`ReadError`], of what cannot be read; [`AdministerError`] as [`Engine::keep_outbox`].
    pub async fn forget_outbox(&self, name: &str) -> Result<(), ForgetError> {
        let one_at_a_time = Arc::clone(&self.inner.administration).lock_owned().await;
        let (engine, prefix) = (self.clone(), outbox_deliveries_prefix(name));
        let kept = tokio::task::spawn_blocking(move || engine.profiles_under(&prefix)).await;
        let kept = kept.map_err(|error| ReadError::Profile(error.to_string()))??;
        let remove = kept.into_iter().map(|(key, _)| key).chain([named(outbox_position_key(name))]).collect();
        let change = ProfileChange { put: Vec::new(), remove };
        Ok(self.store(change, one_at_a_time, |_| ()).await.map_err(AdministerError::from)?)
    }
}

/// Why an outbox is not forgotten.
#[derive(Debug, thiserror::Error)]
pub enum ForgetError {
    /// What there is cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It cannot be removed.
    #[error(transparent)]
    Administer(#[from] AdministerError),
}

fn named(key: Result<ProfileKey, ProfileError>) -> ProfileKey {
    key.expect("the name of an outbox is short")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_before_there_were_lanes_is_read() {
        for next_at in [None, Some(Instant(9))] {
            let former = FormerDelivery { since: Instant(5), attempts: 3, next_at, reason: "why".to_owned() };
            let read = read(&profile_value::encode(FORMER_DELIVERY_VERSION, &former)).expect("it is read");
            let state = next_at.map_or(DeliveryState::GivenUp, DeliveryState::Due);
            let reason = "why".to_owned();
            let expected = Delivery { lane: None, since: Instant(5), attempts: 3, tried_at: None, state, reason };
            assert_eq!((read.due(), read), (next_at, expected));
        }
    }
}
