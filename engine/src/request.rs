//! What the engine is asked, and what it answers: the types that cross its public surface.
//!
//! No JSON here and no actor: the caller maps its wire to these, the engine maps these to commands.

use std::sync::Arc;

use kembali_core::audit::PartnerStanding;
use kembali_core::catalogue::Catalogue;
use kembali_core::draft::CatalogueDraft;
use kembali_core::event::{Body, Record};
use kembali_core::operation::Actor;
use kembali_core::purchase::Purchase;
use kembali_core::{CatalogueRejection, CustomerId, PartnerId, Rejection, Seq, TenantId};

use crate::partner_keys::SigningSecret;

/// Who sends purchases: a partner, within its tenant, by one of its API keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Caller {
    /// The tenant.
    pub tenant: TenantId,
    /// The partner.
    pub partner: PartnerId,
    /// The key that was shown.
    pub key: ApiKeyId,
}

/// An API key as it may be shown to anybody: half of its keyed hash, of which the key cannot be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiKeyId(pub u128);

/// Whoever shows an API key.
#[derive(Clone, Debug)]
pub struct Admitted {
    /// Who that is.
    pub caller: Caller,
    /// What each request must be signed with; `None` where the key alone opens.
    pub secret: Option<SigningSecret>,
    /// What its partner may do.
    pub standing: PartnerStanding,
}

/// An API key of a partner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id.
    pub id: ApiKeyId,
    /// True where its requests must be signed. One that is revoked has no secret any more.
    pub is_signed: bool,
    /// True once it opens nothing any more. It never does again.
    pub is_revoked: bool,
}

/// A customer, as a caller names one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CustomerRef {
    /// By the id that Kembali gave.
    Id(CustomerId),
    /// By e-mail address; letter case does not count.
    Email(String),
    /// By the tenant's own reference, exact.
    Ref(String),
}

/// A purchase to book.
#[derive(Clone, Debug)]
pub struct PurchaseRequest {
    /// Who sends it.
    pub caller: Caller,
    /// Whose it is.
    pub customer: CustomerRef,
    /// What was bought.
    pub purchase: Purchase,
    /// True when the answer is wanted but not the effect.
    pub dry_run: bool,
}

/// What became of a purchase. Everything that it rests on is durable.
#[derive(Clone, Debug)]
pub enum Booking {
    /// It is booked now.
    Booked {
        /// All that happened.
        record: Arc<Record>,
        /// The rules that it was decided by.
        catalogue: Arc<Catalogue>,
    },
    /// It was booked before; this is what was stored then.
    Replayed {
        /// All that happened.
        record: Arc<Record>,
        /// The rules that it was decided by.
        catalogue: Arc<Catalogue>,
    },
    /// It would be booked; nothing was.
    WouldBook {
        /// All that would happen.
        body: Box<Body>,
        /// The rules that it was judged by.
        catalogue: Arc<Catalogue>,
    },
    /// A purchase with other content is booked under the same origin id.
    Conflict {
        /// Where that one is booked.
        seq: Seq,
    },
    /// It is refused.
    Refused {
        /// Why.
        rejection: Rejection,
        /// True when the same content was refused for the same reason before.
        replayed: bool,
    },
}

/// A record, and the rules that it was decided by.
pub type RecordAndRules = (Arc<Record>, Arc<Catalogue>);

/// An API key to give to a partner, in clear.
#[derive(Clone)]
pub struct PartnerKey {
    /// The partner's slug.
    pub partner: String,
    /// The key.
    pub api_key: String,
    /// What its requests must be signed with; `None` where the key alone opens.
    pub secret: Option<String>,
}

impl PartnerKey {
    /// Makes a key that opens alone.
    #[must_use]
    pub fn bare(partner: impl Into<String>, api_key: impl Into<String>) -> PartnerKey {
        PartnerKey { partner: partner.into(), api_key: api_key.into(), secret: None }
    }
}

impl std::fmt::Debug for PartnerKey {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "PartnerKey({}, [redacted])", self.partner)
    }
}

/// A change of a tenant's rules.
#[derive(Clone, Debug)]
pub struct ApplyRequest {
    /// Who changes them.
    pub actor: Actor,
    /// The rules as wanted.
    pub draft: CatalogueDraft,
    /// API keys to give to partners.
    pub partner_keys: Vec<PartnerKey>,
    /// The version that the caller changes; `None` to change whatever holds.
    pub expected_version: Option<u32>,
    /// True when the answer is wanted but not the effect.
    pub dry_run: bool,
}

/// What became of a change of rules.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The rules that hold now, or would.
    pub catalogue: Arc<Catalogue>,
    /// The rules before, if the tenant was there.
    pub before: Option<Arc<Catalogue>>,
    /// The record of the change; `None` when nothing changed or nothing was to change.
    pub seq: Option<Seq>,
    /// The API keys that partners have by it, or would have, in the order of the request.
    pub keys: Vec<GivenKey>,
}

/// An API key that a change of rules gives to a partner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenKey {
    /// The partner's slug.
    pub partner: String,
    /// The key's id.
    pub id: ApiKeyId,
    /// False when the partner had it before.
    pub is_new: bool,
}

/// Why a change of rules did not happen.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The rules are refused.
    #[error("the catalogue is refused")]
    Refused(CatalogueRejection),
    /// An API key belongs to somebody else.
    #[error("the API key given to partner {partner} is taken by another partner")]
    KeyTaken {
        /// The partner's slug.
        partner: String,
    },
    /// The partner has the API key already, with another secret, or one of both has none.
    #[error("the partner {partner} has that API key already, with another secret or without one")]
    KeyExists {
        /// The partner's slug.
        partner: String,
    },
    /// An API key was revoked. It never opens anything again, for anybody.
    #[error("the API key given to partner {partner} was revoked")]
    KeyRevoked {
        /// The partner's slug.
        partner: String,
    },
    /// A secret is too short or too long.
    #[error(
        "the secret of the API key given to partner {partner} must have 16 to 128 visible ASCII characters, and not be the key"
    )]
    SecretMalformed {
        /// The partner's slug.
        partner: String,
    },
    /// There is no key to seal secrets under.
    #[error("the server has no secrets_key, so no API key can have a secret")]
    SigningDisabled,
    /// The system gave no random bytes.
    #[error("the secret of an API key could not be sealed: {0}")]
    Unsealed(String),
    /// An API key is too short or too long.
    #[error("the API key given to partner {partner} must have 8 to 128 visible ASCII characters")]
    KeyMalformed {
        /// The partner's slug.
        partner: String,
    },
    /// See [`ReadOnly`].
    #[error(transparent)]
    ReadOnly(#[from] ReadOnly),
    /// The engine has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// The engine has stopped answering: the outcome of what was in flight is unknown. Send it again, with the same id,
/// once the engine is back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the engine has stopped; the outcome is unknown, repeat the request with the same id")]
pub struct Stopped;

/// Something failed while the engine was being stopped. Nothing acknowledged is lost; the next start recovers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the engine stopped after a fault: {0}")]
pub struct StopError(pub(crate) String);

/// There is too little room on the disk: the engine answers questions and takes nothing. Nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is too little room on the disk; nothing was done, try again once there is more")]
pub struct ReadOnly;

/// Why the engine does not take purchases now. Nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// More is in flight than the engine takes.
    #[error("more is in flight than the engine takes; nothing was done, try again shortly")]
    Overloaded,
    /// See [`ReadOnly`].
    #[error(transparent)]
    ReadOnly(#[from] ReadOnly),
}

/// Why an administrator's act was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdministerError {
    /// See [`ReadOnly`].
    #[error(transparent)]
    ReadOnly(#[from] ReadOnly),
    /// The engine has stopped; whether it is done is unknown.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Why history could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A stored record is damaged.
    #[error("the record at {0:?} is damaged: {1}")]
    Damaged(Seq, String),
    /// The system could not read it.
    #[error("the record at {0:?} cannot be read: {1}")]
    Unreadable(Seq, String),
    /// The position is not durable yet.
    #[error("nothing is written at {0:?} yet")]
    NotWritten(Seq),
    /// The profile store cannot be read.
    #[error("reading a profile: {0}")]
    Profile(String),
    /// The engine has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Why purchases could not be answered.
#[derive(Debug, thiserror::Error)]
pub enum BookError {
    /// The engine has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// A stored record that a repeat names could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}
