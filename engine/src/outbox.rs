//! What outboxes remember: how far each has followed the ledger, and what it has yet to deliver.
//!
//! An outbox reads durable records in order and delivers what they say to somebody outside. What is kept of it lies in the profile
//! store, behind a sync of its own. An older state than the true one makes deliveries again and loses none, so whoever receives must
//! bear repeats, or be asked first. What is delivered, where to, and when it is tried again, is the outbox's own.

use std::collections::BTreeMap;
use std::sync::Arc;

use kembali_core::{Instant, Seq};
use kembali_journal::{ProfileError, ProfileKey, profile_value};
use serde::{Deserialize, Serialize};

use crate::handle::Engine;
use crate::profile_keys::{ProfileChange, outbox_deliveries_prefix, outbox_delivery_key, outbox_position_key};
use crate::request::{AdministerError, ReadError};

const VALUE_VERSION: u8 = 1;
/// Characters that are kept of a reason.
const REASON_CHARS_MAX: usize = 300;

/// How far an outbox is, and what it has not delivered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutboxState {
    /// Each record up to here is delivered, needs no delivery, or is in `open`.
    pub position: Seq,
    /// What is not delivered, by the positions of the records.
    pub open: BTreeMap<Seq, Delivery>,
}

/// A delivery that was not made yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Since when it is tried.
    pub since: Instant,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried next; `None` of one that is given up.
    pub next_at: Option<Instant>,
    /// Why the last attempt failed. No personal data.
    pub reason: String,
}

/// What changes in an outbox, all at once.
#[derive(Clone, Debug, Default)]
pub struct OutboxChange {
    /// How far it is now; unchanged without it.
    pub position: Option<Seq>,
    /// What is open, in the place of what was known of it.
    pub open: Vec<(Seq, Delivery)>,
    /// What is not open any more.
    pub over: Vec<Seq>,
}

impl Engine {
    /// Reads an outbox; one that was never kept is at the start of the ledger. Waits for the disk.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn outbox(&self, name: &str) -> Result<OutboxState, ReadError> {
        let damaged = |_| ReadError::Profile(format!("what is kept of the outbox {name} is damaged"));
        let position = self.profile(outbox_position_key(name))?;
        let position = position.map_or(Ok(0), |stored| profile_value::decode(VALUE_VERSION, &stored).ok_or(()));
        let prefix = outbox_deliveries_prefix(name);
        let open = self.profiles_under(&prefix)?.into_iter().map(|(key, stored)| {
            let seq = key.as_bytes().get(prefix.len()..).and_then(|seq| Some(u64::from_be_bytes(seq.try_into().ok()?)));
            Ok((Seq(seq.ok_or(())?), profile_value::decode(VALUE_VERSION, &stored).ok_or(())?))
        });
        let open: Result<_, ()> = open.collect();
        Ok(OutboxState { position: Seq(position.map_err(damaged)?), open: open.map_err(damaged)? })
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
        let of = |key: Result<ProfileKey, ProfileError>| key.expect("the name of an outbox is short");
        let position = change
            .position
            .map(|position| (of(outbox_position_key(name)), profile_value::encode(VALUE_VERSION, &position.0)));
        let open = change.open.into_iter().map(|(seq, delivery)| {
            let reason = delivery.reason.chars().take(REASON_CHARS_MAX).collect();
            let delivery = Delivery { reason, ..delivery };
            (of(outbox_delivery_key(name, seq)), profile_value::encode(VALUE_VERSION, &delivery))
        });
        let put = position.into_iter().chain(open).collect();
        let remove = change.over.iter().map(|seq| of(outbox_delivery_key(name, *seq))).collect();
        Ok(self.store(ProfileChange { put, remove }, one_at_a_time, |_| ()).await?)
    }
}
