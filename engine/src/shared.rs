//! What is durable, for everybody to look at: the records, the rules of every version, the callers' keys.
//!
//! Written by the journal thread alone, after the disk has what it shows. Readers never wait for a decision.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use kembali_core::catalogue::Catalogue;
use kembali_core::event::{Event, Record};
use kembali_core::{Seq, TenantId};
use kembali_journal::{Frame, codec};
use tokio::sync::watch;

use crate::request::{Caller, ReadError};

/// The hash of an API key.
pub(crate) type KeyHash = [u8; 32];

/// To whom an API key belongs, by slugs: the key may be stored before the record that creates its partner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyOwner {
    pub(crate) tenant: String,
    pub(crate) partner: String,
}

/// What is durable.
pub(crate) struct Shared {
    frames: RwLock<Vec<Frame>>,
    rules: RwLock<Rules>,
    durable: watch::Sender<Seq>,
}

#[derive(Default)]
struct Rules {
    /// Every version of every tenant's rules.
    versions: HashMap<(TenantId, u32), Arc<Catalogue>>,
    /// The present rules, by slug.
    present: HashMap<String, Arc<Catalogue>>,
    key_owners: HashMap<KeyHash, KeyOwner>,
    callers: HashMap<KeyHash, Caller>,
}

impl Rules {
    fn add(&mut self, catalogue: &Arc<Catalogue>) {
        self.versions.insert((catalogue.tenant, catalogue.version), Arc::clone(catalogue));
        self.present.insert(catalogue.slug.clone(), Arc::clone(catalogue));
        let owned: Vec<KeyHash> =
            self.key_owners.iter().filter(|(_, owner)| owner.tenant == catalogue.slug).map(|(hash, _)| *hash).collect();
        owned.into_iter().for_each(|hash| self.resolve(hash));
    }

    fn resolve(&mut self, hash: KeyHash) {
        let Some(owner) = self.key_owners.get(&hash) else { return };
        let Some(catalogue) = self.present.get(&owner.tenant) else { return };
        if let Some(partner) = catalogue.partner_by_slug(&owner.partner) {
            self.callers.insert(hash, Caller { tenant: catalogue.tenant, partner: partner.id });
        }
    }
}

// A panic while one of these locks is held stops the process in production; a poisoned lock guards whole values.
fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn new() -> Shared {
        Shared {
            frames: RwLock::new(Vec::new()),
            rules: RwLock::new(Rules::default()),
            durable: watch::Sender::new(Seq::ZERO),
        }
    }

    /// Shows a frame that is durable.
    pub(crate) fn publish<'a>(&self, frame: Frame, records: impl Iterator<Item = &'a Record>) {
        let last = frame.last_seq();
        write(&self.frames).push(frame);
        for event in records.flat_map(|record| &record.body.events) {
            if let Event::CatalogueApplied(catalogue) = event {
                write(&self.rules).add(catalogue);
            }
        }
        self.durable.send_replace(last);
    }

    /// Shows an API key that is durable.
    pub(crate) fn add_key(&self, hash: KeyHash, owner: KeyOwner) {
        let mut rules = write(&self.rules);
        rules.key_owners.insert(hash, owner);
        rules.resolve(hash);
    }

    pub(crate) fn key_owner(&self, hash: &KeyHash) -> Option<KeyOwner> {
        read(&self.rules).key_owners.get(hash).cloned()
    }

    pub(crate) fn caller(&self, hash: &KeyHash) -> Option<Caller> {
        read(&self.rules).callers.get(hash).copied()
    }

    pub(crate) fn catalogue_at(&self, tenant: TenantId, version: u32) -> Option<Arc<Catalogue>> {
        read(&self.rules).versions.get(&(tenant, version)).cloned()
    }

    /// Lists the present rules of every tenant, in order of their ids.
    pub(crate) fn catalogues(&self) -> Vec<Arc<Catalogue>> {
        let mut all: Vec<Arc<Catalogue>> = read(&self.rules).present.values().cloned().collect();
        all.sort_by_key(|catalogue| catalogue.tenant);
        all
    }

    /// Returns the durable frame that holds `seq`.
    pub(crate) fn frame_of(&self, seq: Seq) -> Option<Frame> {
        let frames = read(&self.frames);
        let at = frames.partition_point(|frame| frame.last_seq() < seq);
        frames.get(at).filter(|frame| frame.first_seq() <= seq).cloned()
    }

    /// Reads a durable record.
    pub(crate) fn record(&self, seq: Seq) -> Result<Option<Record>, ReadError> {
        let Some(frame) = self.frame_of(seq) else { return Ok(None) };
        let Some(bytes) = frame.record_by_seq(seq) else { return Ok(None) };
        let record = codec::decode(seq, bytes).map_err(|error| ReadError::Damaged(seq, error.to_string()))?;
        Ok(Some(record))
    }

    pub(crate) fn durable(&self) -> Seq {
        *self.durable.borrow()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Seq> {
        self.durable.subscribe()
    }
}
