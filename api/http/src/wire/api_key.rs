//! The API keys of a partner: listed by their ids, given, and revoked.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::instant::Rfc3339;

/// A partner's keys.
#[derive(Serialize, ToSchema)]
pub(crate) struct ApiKeyList {
    /// The keys, the revoked ones too.
    pub(crate) data: Vec<ApiKeyEntry>,
    /// Always null: the list is whole.
    #[schema(value_type = Option<String>, required)]
    pub(crate) next_cursor: (),
    /// When the server started: since then use is counted.
    pub(crate) counted_since: Rfc3339,
}

/// A key, which is never shown itself.
#[derive(Serialize, ToSchema)]
pub(crate) struct ApiKeyEntry {
    /// Its id, 32 digits in hexadecimal.
    pub(crate) id: String,
    /// True when its requests must be signed. One that is revoked has no secret any more.
    pub(crate) signed: bool,
    /// True when it opens nothing any more.
    pub(crate) revoked: bool,
    /// Requests that it opened, since the server started.
    pub(crate) requests: u64,
    /// When the last of them came; null before the first.
    #[schema(required)]
    pub(crate) last_used_at: Option<Rfc3339>,
    /// Requests that showed it and were not let in, since the server started: wrongly signed, suspended, beyond a limit.
    pub(crate) failures: u64,
    /// The last of them; null before the first.
    #[schema(required)]
    pub(crate) last_failure: Option<KeyFailure>,
}

/// A request that showed a key and was not let in.
#[derive(Serialize, ToSchema)]
pub(crate) struct KeyFailure {
    /// When it came.
    pub(crate) at: Rfc3339,
    /// What it was refused for.
    pub(crate) code: &'static str,
}

/// A key to give.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewApiKey {
    /// The key, of 8 to 128 visible ASCII characters; without one the server makes one.
    #[serde(default)]
    pub(crate) api_key: Option<String>,
    /// The secret that its requests are signed with, of 16 to 128 visible ASCII characters; without one the server makes one.
    #[serde(default)]
    pub(crate) api_secret: Option<String>,
    /// Whether its requests must be signed; without it they must, where the server can keep secrets.
    #[serde(default)]
    pub(crate) signed: Option<bool>,
}

/// A key that was given.
#[derive(Serialize, ToSchema)]
pub(crate) struct ApiKeyGiven {
    /// The partner's slug.
    pub(crate) partner: String,
    /// The key's id; not there in a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) id: Option<String>,
    /// The key, shown this once; not there in a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) api_key: Option<String>,
    /// What its requests must be signed with, shown this once; not there of a key that opens alone, nor in a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) api_secret: Option<String>,
    /// True of a dry run; else not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) dry_run: Option<bool>,
}

/// A key that opens nothing any more.
#[derive(Serialize, ToSchema)]
pub(crate) struct ApiKeyRevoked {
    /// The partner's slug.
    pub(crate) partner: String,
    /// The key's id.
    pub(crate) id: String,
    /// True.
    pub(crate) revoked: bool,
}
