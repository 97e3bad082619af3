//! What administrators did, as the log of it tells.

use std::borrow::Cow;

use kembali_core::audit::{AccountStanding, Act, Role, WebhookChange};
use kembali_core::event::{Event, Record};
use kembali_core::operation::Actor;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::instant::{Rfc3339, UuidText};
use super::operation::{Asked, by};
use super::partner::Standing;
use super::result::Names;

/// Entries of the log, the newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct AuditPage {
    /// The entries.
    #[schema(value_type = Vec<AuditEntry<'static>>)]
    pub(crate) data: Vec<serde_json::Value>,
    /// Where the next page starts; null once the first record of the ledger was looked at.
    #[schema(required)]
    pub(crate) next_cursor: Option<String>,
    /// The position that the log was looked at from.
    pub(crate) as_of: u64,
}

/// An entry of the log.
#[derive(Serialize, ToSchema)]
pub(crate) struct AuditEntry<'a> {
    /// The position of its record.
    seq: u64,
    /// When it was done.
    at: Rfc3339,
    /// Who did it: an account's id, `operator` for whoever holds the server's token, or `server` for its configuration.
    by: Cow<'a, str>,
    /// In which role, of an account.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    role: Option<RoleName>,
    #[serde(flatten)]
    act: ActShown<'a>,
}

/// What an account may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RoleName {
    /// Sees and spends what is the customer's own.
    Customer,
    /// Sees, explains and corrects all of the tenant.
    Operator,
    /// Changes rules, partners, keys and accounts of the tenant, too.
    Admin,
}

impl RoleName {
    pub(crate) const fn of(role: Role) -> RoleName {
        match role {
            Role::Customer => RoleName::Customer,
            Role::Operator => RoleName::Operator,
            Role::Admin => RoleName::Admin,
        }
    }

    pub(crate) const fn role(self) -> Role {
        match self {
            RoleName::Customer => Role::Customer,
            RoleName::Operator => Role::Operator,
            RoleName::Admin => Role::Admin,
        }
    }
}

/// What an account was, or is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct AccountState {
    /// What for.
    pub(crate) role: RoleName,
    /// True where it opens nothing.
    pub(crate) suspended: bool,
}

impl AccountState {
    const fn of(standing: AccountStanding) -> AccountState {
        AccountState { role: RoleName::of(standing.role), suspended: standing.is_suspended }
    }
}

/// What was done to a webhook.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WebhookChangeName {
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

impl WebhookChangeName {
    const fn of(change: WebhookChange) -> WebhookChangeName {
        match change {
            WebhookChange::Created => WebhookChangeName::Created,
            WebhookChange::Changed => WebhookChangeName::Changed,
            WebhookChange::Disabled => WebhookChangeName::Disabled,
            WebhookChange::Enabled => WebhookChangeName::Enabled,
            WebhookChange::SecretRotated => WebhookChangeName::SecretRotated,
            WebhookChange::Deleted => WebhookChangeName::Deleted,
        }
    }
}

/// What was done.
#[derive(Serialize, ToSchema)]
#[serde(tag = "act", rename_all = "snake_case")]
enum ActShown<'a> {
    /// Rules were made the next version.
    RulesApplied {
        /// The version.
        version: u32,
    },
    /// A partner was given an API key.
    ApiKeyGiven {
        /// The partner.
        partner: Cow<'a, str>,
        /// The key's id.
        key: String,
        /// True where its requests must be signed.
        signed: bool,
    },
    /// An API key was revoked.
    ApiKeyRevoked {
        /// The partner.
        partner: Cow<'a, str>,
        /// The key's id.
        key: String,
    },
    /// A partner was suspended, opened again, or given other limits.
    PartnerChanged {
        /// The partner.
        partner: Cow<'a, str>,
        /// What it was.
        before: Standing,
        /// What it is.
        after: Standing,
        /// Why.
        #[schema(required)]
        reason: Option<&'a str>,
    },
    /// An account came to be.
    AccountCreated {
        /// The account.
        account: UuidText,
        /// What for.
        account_role: RoleName,
        /// Whose, of a customer's.
        #[schema(required)]
        customer: Option<UuidText>,
    },
    /// An account was suspended, opened again, or given another role.
    AccountChanged {
        /// The account.
        account: UuidText,
        /// What it was.
        before: AccountState,
        /// What it is.
        after: AccountState,
        /// Why.
        #[schema(required)]
        reason: Option<&'a str>,
    },
    /// An account was given a password by somebody else than its person.
    PasswordReset {
        /// The account.
        account: UuidText,
    },
    /// Tokens are signed by another key from now on.
    SigningKeyRotated {
        /// The new key's id.
        key: String,
    },
    /// Somebody has records sent elsewhere, or otherwise than before.
    WebhookChanged {
        /// The webhook's id.
        webhook: String,
        /// Whose it is; null of the tenant's own.
        #[schema(required)]
        partner: Option<Cow<'a, str>>,
        /// What was done to it.
        change: WebhookChangeName,
    },
    /// An operator did something with a customer's accounts; the operation at this position says what came of it.
    Operation {
        /// Whose, where it is a customer's.
        #[schema(required)]
        customer: Option<UuidText>,
        /// What was asked.
        operation: Asked<'a>,
    },
}

impl<'a> AuditEntry<'a> {
    /// Returns what a record says of administrators; most say nothing.
    pub(crate) fn of(record: &'a Record, names: &Names<'a>) -> Vec<AuditEntry<'a>> {
        let said = record.body.events.iter().filter_map(|event| match event {
            Event::Audited(audit) => Some((audit.actor, ActShown::of(&audit.act, record, names))),
            Event::OperationDone(done) if done.actor.is_operator() => {
                let customer = record.body.customer.map(|customer| UuidText(customer.0));
                Some((done.actor, ActShown::Operation { customer, operation: Asked::of(&done.operation) }))
            }
            _ => None,
        });
        let entry = |(actor, act)| {
            let role = match actor {
                Actor::Person(_, role) => Some(RoleName::of(role)),
                Actor::Operator | Actor::Partner(_) | Actor::Server => None,
            };
            AuditEntry { seq: record.seq.0, at: Rfc3339(record.body.received_at), by: by(actor, names), role, act }
        };
        said.map(entry).collect()
    }
}

impl<'a> ActShown<'a> {
    fn of(act: &'a Act, record: &Record, names: &Names<'a>) -> ActShown<'a> {
        match act {
            Act::RulesApplied => ActShown::RulesApplied { version: record.body.catalogue_version },
            Act::ApiKeyGiven { partner, key, is_signed } => {
                ActShown::ApiKeyGiven { partner: names.partner(*partner), key: shown_key(*key), signed: *is_signed }
            }
            Act::ApiKeyRevoked { partner, key } => {
                ActShown::ApiKeyRevoked { partner: names.partner(*partner), key: shown_key(*key) }
            }
            Act::PartnerChanged { partner, before, after, reason } => ActShown::PartnerChanged {
                partner: names.partner(*partner),
                before: Standing::of(*before),
                after: Standing::of(*after),
                reason: reason.as_deref(),
            },
            Act::AccountCreated { account, role, customer } => ActShown::AccountCreated {
                account: UuidText(account.0),
                account_role: RoleName::of(*role),
                customer: customer.map(|customer| UuidText(customer.0)),
            },
            Act::AccountChanged { account, before, after, reason } => ActShown::AccountChanged {
                account: UuidText(account.0),
                before: AccountState::of(*before),
                after: AccountState::of(*after),
                reason: reason.as_deref(),
            },
            Act::PasswordReset { account } => ActShown::PasswordReset { account: UuidText(account.0) },
            Act::SigningKeyRotated { key } => ActShown::SigningKeyRotated { key: shown_key(*key) },
            Act::WebhookChanged { webhook, partner, change } => ActShown::WebhookChanged {
                webhook: shown_key(*webhook),
                partner: partner.map(|partner| names.partner(partner)),
                change: WebhookChangeName::of(*change),
            },
        }
    }
}

/// Writes the id of a key as the list of keys shows it.
pub(crate) fn shown_key(id: u128) -> String {
    format!("{id:032x}")
}
