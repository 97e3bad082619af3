//! What is durable, for everybody to look at: the records, the rules of every version, the callers' keys.
//!
//! The newest records are kept in memory, all others are read from the archive; nobody reads the journal while it is
//! written. Written after the disk has what it shows; readers never wait for a decision.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use kembali_core::audit::PartnerStanding;
use kembali_core::catalogue::Catalogue;
use kembali_core::event::{Event, Record};
use kembali_core::placement::Removal;
use kembali_core::{PartnerId, Seq, TenantId};
use kembali_journal::{Frame, codec};
use kembali_snapshots::Archive;
use tokio::sync::watch;

use crate::partner_keys::{KeyHash, KeyOwner, SigningSecret, key_id};
use crate::request::{Admitted, ApiKey, ApiKeyId, Caller, ReadError};
use crate::signing_keys::SigningKey;
use crate::webhooks::Webhooks;

/// What is durable.
pub(crate) struct Shared {
    /// The frames that are not archived yet. Bounded: rotation waits for the archive.
    tail: RwLock<VecDeque<Frame>>,
    archive: RwLock<Arc<Archive>>,
    rules: RwLock<Rules>,
    webhooks: watch::Sender<Webhooks>,
    durable: watch::Sender<Seq>,
}

#[derive(Default)]
struct Rules {
    /// Every version of every tenant's rules.
    versions: HashMap<(TenantId, u32), Arc<Catalogue>>,
    /// Each tenant's versions that removed levels, the oldest first.
    removals: HashMap<TenantId, Vec<Removal>>,
    /// The present rules, by slug.
    present: HashMap<String, Arc<Catalogue>>,
    /// Whose each key is, and the secret of one that has it, where it could be opened.
    key_owners: HashMap<KeyHash, (KeyOwner, Option<SigningSecret>)>,
    /// Who may come in, by the ids of the keys that are not revoked; each with the whole hash, and what its requests are signed with.
    callers: HashMap<ApiKeyId, (KeyHash, Caller, Option<SigningSecret>)>,
    /// What tokens are signed with, the oldest first.
    signing_keys: Vec<SigningKey>,
    /// What partners may do of whom anything is said.
    standings: HashMap<PartnerId, PartnerStanding>,
}

impl Rules {
    /// Adds the version that follows the tenant's present one.
    fn add(&mut self, catalogue: &Arc<Catalogue>) {
        let before = self.present.get(&catalogue.slug);
        if let Some(removal) = before.and_then(|before| Removal::between(before, catalogue)) {
            self.removals.entry(catalogue.tenant).or_default().push(removal);
        }
        self.versions.insert((catalogue.tenant, catalogue.version), Arc::clone(catalogue));
        self.present.insert(catalogue.slug.clone(), Arc::clone(catalogue));
        let owned: Vec<KeyHash> = self
            .key_owners
            .iter()
            .filter(|(_, (owner, _))| owner.tenant == catalogue.slug)
            .map(|(hash, _)| *hash)
            .collect();
        owned.into_iter().for_each(|hash| self.resolve(hash));
    }

    fn standing(&self, partner: PartnerId) -> PartnerStanding {
        self.standings.get(&partner).copied().unwrap_or_default()
    }

    fn resolve(&mut self, hash: KeyHash) {
        let Some((owner, secret)) = self.key_owners.get(&hash) else { return };
        let key = key_id(&hash);
        // Without its secret a key that has one opens nothing.
        if owner.is_revoked || owner.sealed.is_some() != secret.is_some() {
            self.callers.remove(&key);
            return;
        }
        let Some(catalogue) = self.present.get(&owner.tenant) else { return };
        if let Some(partner) = catalogue.partner_by_slug(&owner.partner) {
            let caller = Caller { tenant: catalogue.tenant, partner: partner.id, key };
            self.callers.insert(key, (hash, caller, secret.clone()));
        }
    }
}

/// Frames of the tail that are looked at while whoever shows the next one has to wait.
const FRAMES_AT_ONCE: usize = 1_024;

/// Says that the archive could not be read at `seq`.
pub(crate) fn read_error(seq: Seq, error: kembali_snapshots::ReadError) -> ReadError {
    match error {
        kembali_snapshots::ReadError::Damage(damage) => ReadError::Damaged(seq, damage.to_string()),
        kembali_snapshots::ReadError::Io(fault) => ReadError::Unreadable(seq, fault.to_string()),
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
    /// Shows what a start has recovered.
    pub(crate) fn new(archive: Archive, tail: VecDeque<Frame>) -> Shared {
        let durable = tail.back().map_or(archive.last_seq(), Frame::last_seq);
        Shared {
            tail: RwLock::new(tail),
            archive: RwLock::new(Arc::new(archive)),
            rules: RwLock::new(Rules::default()),
            webhooks: watch::Sender::new(Arc::from([])),
            durable: watch::Sender::new(durable),
        }
    }

    /// Shows a frame that is durable.
    pub(crate) fn publish<'a>(&self, frame: Frame, records: impl Iterator<Item = &'a Record>) {
        let last = frame.last_seq();
        write(&self.tail).push_back(frame);
        for event in records.flat_map(|record| &record.body.events) {
            if let Event::CatalogueApplied(catalogue) = event {
                self.publish_rules(catalogue);
            }
        }
        self.durable.send_replace(last);
    }

    /// Shows rules that are durable.
    pub(crate) fn publish_rules(&self, catalogue: &Arc<Catalogue>) {
        write(&self.rules).add(catalogue);
    }

    /// Shows the archive after it has grown, and forgets the frames that it holds now.
    pub(crate) fn archived(&self, archive: Archive) {
        let last = archive.last_seq();
        // The archive comes first: a record is always in one of the two.
        *write(&self.archive) = Arc::new(archive);
        loop {
            let mut tail = write(&self.tail);
            let archived = tail.partition_point(|frame| frame.last_seq() <= last);
            let forgotten: Vec<Frame> = tail.drain(..archived.min(FRAMES_AT_ONCE)).collect();
            drop(tail);
            if forgotten.is_empty() {
                return;
            }
            // Nobody waits while their memory is given back.
            drop(forgotten);
        }
    }

    /// Returns the archive as it is now.
    pub(crate) fn archive(&self) -> Arc<Archive> {
        Arc::clone(&read(&self.archive))
    }

    /// Copies the frames of the tail from `first` to `last`; the frames themselves are shared.
    pub(crate) fn tail(&self, first: Seq, last: Seq) -> Vec<Frame> {
        let mut frames: Vec<Frame> = Vec::new();
        loop {
            let next = frames.last().map_or(first, |frame| frame.last_seq().next());
            let tail = read(&self.tail);
            let from = tail.partition_point(|frame| frame.first_seq() < next);
            let before = frames.len();
            let wanted = tail.range(from..).take(FRAMES_AT_ONCE).take_while(|frame| frame.last_seq() <= last);
            frames.extend(wanted.cloned());
            if frames.len() == before {
                return frames;
            }
        }
    }

    /// Shows what an API key is now that this is durable, and what its requests are signed with.
    pub(crate) fn set_key(&self, hash: KeyHash, owner: KeyOwner, secret: Option<SigningSecret>) {
        let mut rules = write(&self.rules);
        rules.key_owners.insert(hash, (owner, secret));
        rules.resolve(hash);
    }

    pub(crate) fn key_owner(&self, hash: &KeyHash) -> Option<(KeyOwner, Option<SigningSecret>)> {
        read(&self.rules).key_owners.get(hash).cloned()
    }

    /// Lists the keys of a partner, in order of their ids.
    pub(crate) fn keys_of(&self, tenant: &str, partner: &str) -> Vec<(KeyHash, ApiKey)> {
        let rules = read(&self.rules);
        let owned =
            rules.key_owners.iter().filter(|(_, (owner, _))| owner.tenant == tenant && owner.partner == partner);
        let key = |(hash, (owner, _)): (&KeyHash, &(KeyOwner, _))| {
            let (is_signed, is_revoked) = (owner.sealed.is_some(), owner.is_revoked);
            (*hash, ApiKey { id: key_id(hash), is_signed, is_revoked })
        };
        let mut keys: Vec<(KeyHash, ApiKey)> = owned.map(key).collect();
        keys.sort_unstable_by_key(|(hash, _)| *hash);
        keys
    }

    pub(crate) fn is_admitted(&self, caller: Caller) -> bool {
        let rules = read(&self.rules);
        rules.callers.contains_key(&caller.key) && !rules.standing(caller.partner).is_suspended
    }

    pub(crate) fn admitted(&self, hash: &KeyHash) -> Option<Admitted> {
        let rules = read(&self.rules);
        let (_, caller, secret) = rules.callers.get(&key_id(hash)).filter(|(whole, ..)| whole == hash)?;
        Some(Admitted { caller: *caller, secret: secret.clone(), standing: rules.standing(caller.partner) })
    }

    pub(crate) fn signing_keys(&self) -> Vec<SigningKey> {
        read(&self.rules).signing_keys.clone()
    }

    /// Shows which keys tokens are or were signed with, now that it is durable.
    pub(crate) fn set_signing_keys(&self, edit: impl FnOnce(&mut Vec<SigningKey>)) {
        let mut rules = write(&self.rules);
        edit(&mut rules.signing_keys);
        rules.signing_keys.sort_by_key(|key| (key.created_at, key.id));
    }

    pub(crate) fn partner_standing(&self, partner: PartnerId) -> PartnerStanding {
        read(&self.rules).standing(partner)
    }

    /// Shows what a partner may do now that this is durable.
    pub(crate) fn set_partner_standing(&self, partner: PartnerId, standing: PartnerStanding) {
        write(&self.rules).standings.insert(partner, standing);
    }

    /// The webhooks, as they are durable.
    pub(crate) const fn webhooks(&self) -> &watch::Sender<Webhooks> {
        &self.webhooks
    }

    pub(crate) fn catalogue_at(&self, tenant: TenantId, version: u32) -> Option<Arc<Catalogue>> {
        read(&self.rules).versions.get(&(tenant, version)).cloned()
    }

    /// Lists the versions up to `version` that removed levels, the oldest first.
    pub(crate) fn removals_through(&self, tenant: TenantId, version: u32) -> Vec<Removal> {
        let rules = read(&self.rules);
        let all = rules.removals.get(&tenant).into_iter().flatten();
        all.take_while(|removal| removal.version() <= version).cloned().collect()
    }

    /// Lists the present rules of every tenant, in order of their ids.
    pub(crate) fn catalogues(&self) -> Vec<Arc<Catalogue>> {
        let mut all: Vec<Arc<Catalogue>> = read(&self.rules).present.values().cloned().collect();
        all.sort_by_key(|catalogue| catalogue.tenant);
        all
    }

    /// Returns the frame of the tail that holds `seq`.
    fn frame_in_tail(&self, seq: Seq) -> Option<Frame> {
        let tail = read(&self.tail);
        let at = tail.partition_point(|frame| frame.last_seq() < seq);
        tail.get(at).filter(|frame| frame.first_seq() <= seq).cloned()
    }

    /// Returns true when reading `seq` may have to wait for a disk.
    pub(crate) fn is_archived(&self, seq: Seq) -> bool {
        seq <= read(&self.archive).last_seq() && self.frame_in_tail(seq).is_none()
    }

    /// Returns the durable frame that holds `seq`, or `None` when it is not written yet.
    pub(crate) fn frame_of(&self, seq: Seq) -> Result<Option<Frame>, ReadError> {
        if let Some(frame) = self.frame_in_tail(seq) {
            return Ok(Some(frame));
        }
        self.archive().frame_of(seq).map_err(|error| read_error(seq, error))
    }

    /// Reads a durable record.
    pub(crate) fn record(&self, seq: Seq) -> Result<Option<Record>, ReadError> {
        let Some(frame) = self.frame_of(seq)? else { return Ok(None) };
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
