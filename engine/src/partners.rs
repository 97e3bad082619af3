//! What administrators do about rules and partners: catalogues are applied, API keys given and revoked, partners suspended. And
//! who comes in by a key.
//!
//! Each act is in the journal before it takes effect, so that nothing changes unrecorded. One that was cut off in between was
//! never answered: whoever does it again finds it undone, or done.

use std::ops::RangeInclusive;
use std::sync::Arc;

use kembali_core::audit::{Act, Audit, PartnerStanding};
use kembali_core::catalogue::Catalogue;
use kembali_core::command::{ApplyCatalogue, AuditCommand, Command, KeyToGive};
use kembali_core::draft::CatalogueDraft;
use kembali_core::operation::Actor;
use kembali_core::{CatalogueRejection, PartnerId, Seq, TenantId};
use kembali_journal::profile_value;
use kembali_machine::Outcome;
use tokio::sync::OwnedMutexGuard;

use crate::handle::Engine;
use crate::partner_keys::{KeyHash, KeyOwner, PARTNER_VALUE_VERSION, SigningSecret, key_id};
use crate::profile_keys::{ProfileChange, api_key_key, partner_key, stored_at};
use crate::request::{
    AdministerError, Admitted, ApiKey, ApiKeyId, Applied, ApplyError, ApplyRequest, Caller, GivenKey, PartnerKey,
    Stopped,
};

/// Characters that an API key may have.
const API_KEY_CHARS: RangeInclusive<usize> = 8..=128;
/// Characters that the secret of an API key may have.
const API_SECRET_CHARS: RangeInclusive<usize> = 16..=128;

fn is_visible(text: &str, chars: RangeInclusive<usize>) -> bool {
    chars.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// A key as it is to be stored.
struct NewKey {
    hash: KeyHash,
    owner: KeyOwner,
    secret: Option<SigningSecret>,
}

impl Engine {
    /// Makes a catalogue the tenant's next version, and gives API keys to its partners.
    ///
    /// The rules come first; an apply that was cut off in between is sent again, and then only gives the keys.
    ///
    /// # Errors
    ///
    /// [`ApplyError`].
    pub async fn apply(&self, request: ApplyRequest) -> Result<Applied, ApplyError> {
        let ApplyRequest { actor, draft, partner_keys, expected_version, dry_run } = request;
        if !dry_run {
            self.check_room_on_disk()?;
        }
        let one_at_a_time = Arc::clone(&self.inner.administration).lock_owned().await;
        let (mut keys, mut given) = (Vec::<NewKey>::new(), Vec::new());
        for PartnerKey { partner, api_key, secret } in partner_keys {
            if !is_visible(&api_key, API_KEY_CHARS) {
                return Err(ApplyError::KeyMalformed { partner });
            }
            // Whoever has seen the key would know the secret.
            if secret.as_deref().is_some_and(|secret| !is_visible(secret, API_SECRET_CHARS) || secret == api_key) {
                return Err(ApplyError::SecretMalformed { partner });
            }
            let hash = self.inner.naming.api_key(&api_key);
            let present = self.inner.shared.key_owner(&hash);
            given.push(GivenKey { partner: partner.clone(), id: key_id(&hash), is_new: present.is_none() });
            let secret = secret.map(SigningSecret::new);
            let is_of = |present: &KeyOwner| present.tenant == draft.slug && present.partner == partner;
            match present {
                Some((present, _)) if present.is_revoked => return Err(ApplyError::KeyRevoked { partner }),
                Some((present, _)) if !is_of(&present) => return Err(ApplyError::KeyTaken { partner }),
                Some((present, own)) if present.sealed.is_some() != secret.is_some() || own != secret => {
                    return Err(ApplyError::KeyExists { partner });
                }
                Some(_) => (),
                None if keys.iter().any(|other| other.hash == hash) => return Err(ApplyError::KeyTaken { partner }),
                None => {
                    let sealed = secret.as_ref().map(|secret| self.seal(&hash, secret)).transpose()?;
                    let owner = KeyOwner { tenant: draft.slug.clone(), partner, sealed, is_revoked: false };
                    keys.push(NewKey { hash, owner, secret });
                }
            }
        }
        let to_give = |NewKey { hash, owner, secret }: &NewKey| KeyToGive {
            partner: owner.partner.clone(),
            key: key_id(hash).0,
            is_signed: secret.is_some(),
        };
        let to_give = keys.iter().map(to_give).collect();
        let command = ApplyCatalogue { actor: Some(actor), draft, keys: to_give, expected_version, dry_run };
        let applied = Applied { keys: given, ..self.apply_once(command).await? };
        // After the rules, since what is refused must leave no key behind. Whoever sees neither sends both again.
        if !dry_run && !keys.is_empty() {
            self.give_keys(keys, one_at_a_time).await?;
        }
        Ok(applied)
    }

    async fn apply_once(&self, command: ApplyCatalogue) -> Result<Applied, ApplyError> {
        let permit = self.room_for(1).await?;
        match self.submit_one(permit, Command::ApplyCatalogue(Box::new(command))).await? {
            Outcome::Applied { catalogue, before, seq } => Ok(Applied { catalogue, before, seq, keys: Vec::new() }),
            Outcome::CatalogueRefused(rejection) => Err(ApplyError::Refused(rejection)),
            other => unreachable!("a change of rules cannot end as {other:?}"),
        }
    }

    /// Tells what a change of rules would come to.
    pub(crate) async fn propose(&self, draft: CatalogueDraft) -> Result<Result<Applied, CatalogueRejection>, Stopped> {
        let command = ApplyCatalogue { actor: None, draft, keys: Vec::new(), expected_version: None, dry_run: true };
        match self.apply_once(command).await {
            Ok(applied) => Ok(Ok(applied)),
            Err(ApplyError::Refused(rejection)) => Ok(Err(rejection)),
            Err(ApplyError::Stopped(stopped)) => Err(stopped),
            Err(other) => unreachable!("rules without keys cannot fail by {other}"),
        }
    }

    fn seal(&self, hash: &KeyHash, secret: &SigningSecret) -> Result<Vec<u8>, ApplyError> {
        let sealer = self.inner.sealer.as_ref().ok_or(ApplyError::SigningDisabled)?;
        sealer.seal(hash, secret.as_bytes()).map_err(|error| ApplyError::Unsealed(error.to_string()))
    }

    async fn give_keys(&self, keys: Vec<NewKey>, one_at_a_time: OwnedMutexGuard<()>) -> Result<(), Stopped> {
        let entry = |own: &NewKey| (stored_at(api_key_key(&own.hash)), own.owner.stored());
        let entries = keys.iter().map(entry).collect();
        let show = |engine: &Engine| {
            keys.into_iter().for_each(|own| engine.inner.shared.set_key(own.hash, own.owner, own.secret));
        };
        self.store(ProfileChange::put(entries), one_at_a_time, show).await
    }

    /// Writes an act of an administrator into the journal, and returns its position once that is durable.
    pub(crate) async fn write_down(&self, tenant: TenantId, actor: Actor, act: Act) -> Result<Seq, Stopped> {
        let permit = self.room_for(1).await?;
        let command = AuditCommand { tenant, audit: Audit { actor, act } };
        match self.submit_one(permit, Command::Audit(Box::new(command))).await? {
            Outcome::Audited(seq) => Ok(seq),
            other => unreachable!("an act cannot end as {other:?}"),
        }
    }

    /// Lists the API keys of a partner, the revoked ones too, in order of their ids.
    #[must_use]
    pub fn api_keys(&self, tenant: &str, partner: &str) -> Vec<ApiKey> {
        self.inner.shared.keys_of(tenant, partner).into_iter().map(|(_, key)| key).collect()
    }

    /// Revokes an API key of a partner, for ever: it opens nothing from the moment that this is durable. What is in
    /// flight is finished. Returns false when the partner has no such key.
    ///
    /// # Errors
    ///
    /// [`AdministerError`].
    pub async fn revoke_api_key(
        &self,
        actor: Actor,
        rules: &Catalogue,
        partner: &str,
        id: ApiKeyId,
    ) -> Result<bool, AdministerError> {
        let one_at_a_time = Arc::clone(&self.inner.administration).lock_owned().await;
        let keys = self.inner.shared.keys_of(&rules.slug, partner);
        let Some((hash, key)) = keys.into_iter().find(|(_, key)| key.id == id) else { return Ok(false) };
        if !key.is_revoked {
            self.check_room_on_disk()?;
            if let Some(partner) = rules.partner_by_slug(partner) {
                self.write_down(rules.tenant, actor, Act::ApiKeyRevoked { partner: partner.id, key: id.0 }).await?;
            }
            // The sealed secret goes with it: nothing is to be opened any more.
            let (tenant, partner) = (rules.slug.clone(), partner.to_owned());
            let owner = KeyOwner { tenant, partner, sealed: None, is_revoked: true };
            let entry = (stored_at(api_key_key(&hash)), owner.stored());
            let show = move |engine: &Engine| engine.inner.shared.set_key(hash, owner, None);
            self.store(ProfileChange::put(vec![entry]), one_at_a_time, show).await?;
        }
        Ok(true)
    }

    /// Returns what a partner may do.
    #[must_use]
    pub fn partner_standing(&self, partner: PartnerId) -> PartnerStanding {
        self.inner.shared.partner_standing(partner)
    }

    /// Changes what a partner of `tenant` may do; it holds from the moment that this is durable, and what is in flight is
    /// finished. Returns the standing before and after, and the record of the change, if it is one.
    ///
    /// # Errors
    ///
    /// [`AdministerError`].
    pub async fn change_partner(
        &self,
        actor: Actor,
        (tenant, partner): (TenantId, PartnerId),
        reason: Option<Box<str>>,
        edit: impl FnOnce(&mut PartnerStanding),
    ) -> Result<(PartnerStanding, PartnerStanding, Option<Seq>), AdministerError> {
        let one_at_a_time = Arc::clone(&self.inner.administration).lock_owned().await;
        let before = self.inner.shared.partner_standing(partner);
        let mut after = before;
        edit(&mut after);
        if before == after {
            return Ok((before, after, None));
        }
        self.check_room_on_disk()?;
        let act = Act::PartnerChanged { partner, before, after, reason };
        let seq = self.write_down(tenant, actor, act).await?;
        let stored = profile_value::encode(PARTNER_VALUE_VERSION, &after);
        let show = move |engine: &Engine| engine.inner.shared.set_partner_standing(partner, after);
        self.store(ProfileChange::put(vec![(stored_at(partner_key(partner)), stored)]), one_at_a_time, show).await?;
        Ok((before, after, Some(seq)))
    }

    /// Returns true while the key that a caller showed is not revoked, nor its partner suspended: for what takes long.
    #[must_use]
    pub fn is_admitted(&self, caller: Caller) -> bool {
        self.inner.shared.is_admitted(caller)
    }

    /// Finds the partner that an API key belongs to, and what its requests must be signed with.
    #[must_use]
    pub fn admit_key(&self, api_key: &str) -> Option<Admitted> {
        self.inner.shared.admitted(&self.inner.naming.api_key(api_key))
    }

    /// Finds the partner that an API key belongs to.
    #[must_use]
    pub fn partner_of_key(&self, api_key: &str) -> Option<Caller> {
        self.admit_key(api_key).map(|admitted| admitted.caller)
    }

    /// Returns true where API keys can have secrets.
    #[must_use]
    pub fn can_sign(&self) -> bool {
        self.inner.sealer.is_some()
    }
}
