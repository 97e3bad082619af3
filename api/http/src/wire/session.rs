//! Log-ins, sessions and accounts, as people and administrators send and see them.

use kembali_core::catalogue::Catalogue;
use kembali_engine::Account;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::audit::RoleName;
use super::fault::{Field, Form, optional, required};
use super::instant::{Rfc3339, UuidText};
use super::operation::OperationBody;

/// Who registers as a customer.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Registration {
    /// The tenant's slug.
    pub(crate) tenant: String,
    /// What to log in by; letter case does not count. Without `email` it is the e-mail address that names the customer.
    #[schema(min_length = 3, max_length = 128)]
    pub(crate) username: String,
    /// The password.
    #[schema(min_length = 10, max_length = 128)]
    pub(crate) password: String,
    /// The e-mail address that names the customer.
    #[schema(nullable = false)]
    pub(crate) email: Option<String>,
}

impl OperationBody for Registration {
    const FIELDS: &'static [Field] = &[
        required("tenant", Form::Text),
        required("username", Form::Text),
        required("password", Form::Text),
        optional("email", Form::Text),
    ];
}

/// Who logs in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Login {
    /// The tenant's slug.
    pub(crate) tenant: String,
    /// The username; letter case does not count.
    #[schema(min_length = 3, max_length = 128)]
    pub(crate) username: String,
    /// The password.
    #[schema(min_length = 10, max_length = 128)]
    pub(crate) password: String,
}

impl OperationBody for Login {
    const FIELDS: &'static [Field] =
        &[required("tenant", Form::Text), required("username", Form::Text), required("password", Form::Text)];
}

/// A session to go on with.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Refresh {
    /// The refresh token of the answer before; it is good for once.
    pub(crate) refresh_token: String,
}

impl OperationBody for Refresh {
    const FIELDS: &'static [Field] = &[required("refresh_token", Form::Text)];
}

/// A password to change.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PasswordChange {
    /// The password as it is.
    pub(crate) password: String,
    /// What it becomes.
    #[schema(min_length = 10, max_length = 128)]
    pub(crate) new_password: String,
}

impl OperationBody for PasswordChange {
    const FIELDS: &'static [Field] = &[required("password", Form::Text), required("new_password", Form::Text)];
}

/// An account to create.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewAccountBody {
    /// What its person logs in by; letter case does not count.
    #[schema(min_length = 3, max_length = 128)]
    pub(crate) username: String,
    /// Its first password.
    #[schema(min_length = 10, max_length = 128)]
    pub(crate) password: String,
    /// What it may do.
    pub(crate) role: RoleName,
    /// The customer's id, of a customer's account.
    #[serde(default)]
    pub(crate) customer: Option<String>,
}

/// The names of the roles.
const ROLES: Form = Form::OneOf(&["customer", "operator", "admin"]);

impl OperationBody for NewAccountBody {
    const FIELDS: &'static [Field] = &[
        required("username", Form::Text),
        required("password", Form::Text),
        required("role", ROLES),
        optional("customer", Form::Text),
    ];
}

/// Whether an account opens anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AccountStatus {
    /// It does.
    Active,
    /// It does not.
    Suspended,
}

/// A change of an account; what is left out stays. It ends the sessions of the account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccountPatch {
    /// What it may do; a customer stays one, and nobody else becomes one.
    #[serde(default)]
    pub(crate) role: Option<RoleName>,
    /// Whether it opens anything.
    #[serde(default)]
    pub(crate) status: Option<AccountStatus>,
    /// A new password.
    #[serde(default)]
    #[schema(min_length = 10, max_length = 128)]
    pub(crate) password: Option<String>,
    /// Why, for the log.
    #[serde(default)]
    pub(crate) reason: Option<String>,
}

impl OperationBody for AccountPatch {
    const FIELDS: &'static [Field] = &[
        optional("role", ROLES),
        optional("status", Form::OneOf(&["active", "suspended"])),
        optional("password", Form::Text),
        optional("reason", Form::Text),
    ];
}

/// An account.
#[derive(Serialize, ToSchema)]
pub(crate) struct AccountShown {
    /// Its id.
    pub(crate) id: UuidText,
    /// The tenant's slug.
    pub(crate) tenant: String,
    /// What its person logs in by.
    pub(crate) username: String,
    /// What it may do.
    pub(crate) role: RoleName,
    /// Whether it opens anything.
    pub(crate) status: AccountStatus,
    /// The customer, of a customer's account.
    #[schema(required)]
    pub(crate) customer: Option<UuidText>,
    /// When it came to be.
    pub(crate) created_at: Rfc3339,
    /// Sessions that are open.
    pub(crate) sessions: usize,
}

impl AccountShown {
    pub(crate) fn of(account: &Account, rules: &Catalogue) -> AccountShown {
        AccountShown {
            id: UuidText(account.id.0),
            tenant: rules.slug.clone(),
            username: account.username.clone(),
            role: RoleName::of(account.standing.role),
            status: if account.standing.is_suspended { AccountStatus::Suspended } else { AccountStatus::Active },
            customer: account.customer.map(|customer| UuidText(customer.0)),
            created_at: Rfc3339(account.created_at),
            sessions: account.sessions.len(),
        }
    }
}

/// What a session goes on with.
#[derive(Serialize, ToSchema)]
pub(crate) struct SessionTokens {
    /// `Bearer`.
    pub(crate) token_type: &'static str,
    /// Goes with each request, as `Authorization: Bearer <token>`.
    pub(crate) access_token: String,
    /// Seconds that the access token is good for.
    pub(crate) expires_in: i64,
    /// Gets the next two tokens, once. Shown again, it ends the session: somebody else has it.
    pub(crate) refresh_token: String,
    /// Seconds that the refresh token is good for.
    pub(crate) refresh_expires_in: i64,
    /// Whose they are.
    pub(crate) account: AccountShown,
}

/// Sessions that were ended.
#[derive(Serialize, ToSchema)]
pub(crate) struct SessionsEnded {
    /// How many.
    pub(crate) ended: usize,
}

/// The public keys of tokens (RFC 7517).
#[derive(Serialize, ToSchema)]
pub(crate) struct Jwks {
    /// The keys; a token names its own by `kid`.
    pub(crate) keys: Vec<Jwk>,
}

/// A public key of tokens.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Jwk {
    /// `RSA`.
    pub(crate) kty: &'static str,
    /// `sig`.
    #[serde(rename = "use")]
    pub(crate) usage: &'static str,
    /// `RS256`.
    pub(crate) alg: &'static str,
    /// Its id.
    pub(crate) kid: String,
    /// The modulus, in base64url.
    pub(crate) n: String,
    /// The exponent, in base64url.
    pub(crate) e: String,
}

/// A key that tokens are signed with from now on.
#[derive(Serialize, ToSchema)]
pub(crate) struct SigningKeyRotated {
    /// Its id.
    pub(crate) kid: String,
}
