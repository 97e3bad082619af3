//! Administrative acts: who changed what about partners, keys, accounts and rules.
//!
//! An act is written down and decides nothing: what holds now lies where it is used (keys, accounts and the standing of partners
//! in the profile store, rules in the catalogue). It is written before that changes, so that nothing changes unrecorded; an act
//! that was cut off in between is in the log, was never answered, and is done again. No act names a person: accounts are ids.

use alloc::boxed::Box;

use serde::{Deserialize, Serialize};

use crate::identity::{AccountId, CustomerId, PartnerId};
use crate::operation::Actor;

/// Somebody did something that is for administrators.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// Who did it.
    pub actor: Actor,
    /// What was done.
    pub act: Act,
}

/// What was done. New acts stand at the end: the journal holds them by their number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Act {
    /// The rules of this record's version were made the tenant's next ones.
    RulesApplied,
    /// A partner was given an API key.
    ApiKeyGiven {
        /// The partner.
        partner: PartnerId,
        /// The id that the key is shown by.
        key: u128,
        /// True where its requests must be signed.
        is_signed: bool,
    },
    /// An API key was revoked, for ever.
    ApiKeyRevoked {
        /// The partner.
        partner: PartnerId,
        /// The id that the key is shown by.
        key: u128,
    },
    /// A partner was suspended, opened again, or given other limits.
    PartnerChanged {
        /// The partner.
        partner: PartnerId,
        /// What it was.
        before: PartnerStanding,
        /// What it is.
        after: PartnerStanding,
        /// Why.
        reason: Option<Box<str>>,
    },
    /// An account came to be.
    AccountCreated {
        /// The account.
        account: AccountId,
        /// What it may do.
        role: Role,
        /// Whose purchases and wallets it may see, of a customer's.
        customer: Option<CustomerId>,
    },
    /// An account was suspended, opened again, or given another role.
    AccountChanged {
        /// The account.
        account: AccountId,
        /// What it was.
        before: AccountStanding,
        /// What it is.
        after: AccountStanding,
        /// Why.
        reason: Option<Box<str>>,
    },
    /// An account was given a password by somebody else than its person, which ends all its sessions.
    PasswordReset {
        /// The account.
        account: AccountId,
    },
    /// Tokens are signed by another key from now on.
    SigningKeyRotated {
        /// The id that the new key is shown by.
        key: u128,
    },
    /// Somebody has records sent elsewhere, or otherwise than before.
    WebhookChanged {
        /// The id that the webhook is shown by.
        webhook: u128,
        /// Whose it is; `None` of the tenant's own.
        partner: Option<PartnerId>,
        /// What was done to it.
        change: WebhookChange,
    },
}

/// What was done to a webhook. Where it sends to is in no journal: addresses may hold secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WebhookChange {
    /// It came to be.
    Created,
    /// It sends elsewhere, or something else.
    Changed,
    /// It sends nothing any more.
    Disabled,
    /// It sends again.
    Enabled,
    /// It signs with another secret.
    SecretRotated,
    /// It is gone.
    Deleted,
}

/// What a partner may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartnerStanding {
    /// True where none of its keys opens anything.
    pub is_suspended: bool,
    /// Requests that it may send in a second; `None` for what the server allows to everybody.
    pub requests_per_second: Option<u32>,
    /// Requests that it may have under way at one time; `None` for what the server allows to everybody.
    pub requests_at_once: Option<u32>,
}

/// What an account may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountStanding {
    /// What for.
    pub role: Role,
    /// True where it opens nothing.
    pub is_suspended: bool,
}

/// What the person behind an account may do. Each may all that the one before it may, except that customers have what is their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Role {
    /// Sees and spends what is the customer's own.
    Customer,
    /// Sees, explains and corrects all of the tenant.
    Operator,
    /// Changes rules, partners, keys and accounts of the tenant, too.
    Admin,
}
