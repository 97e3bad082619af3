//! What is answered to a change of the rules, and the bodies that change a part.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::catalogue::BandFile;
use super::document::objects_if_any;
use super::preview::OutcomePreview;

/// What became of a change.
#[derive(Serialize, ToSchema)]
pub(crate) struct ChangeReport {
    /// The tenant's slug.
    pub(crate) tenant: String,
    /// The version that holds now, or would.
    pub(crate) version: u32,
    /// False when the rules were like this already.
    pub(crate) changed: bool,
    /// The position of the change; null when nothing was changed.
    #[schema(required)]
    pub(crate) seq: Option<u64>,
    /// What changed, for people.
    pub(crate) changes: Vec<String>,
    /// What is allowed but may be a slip, for people.
    pub(crate) warnings: Vec<String>,
    /// Which API keys partners would have been given, or were; the keys themselves are never shown. Not there where no key
    /// was sent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub(crate) api_keys: Vec<KeyGiven>,
    /// What the change would do to customers as they stand. Of a dry run of a whole catalogue that changes something.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) outcome: Option<OutcomePreview>,
    /// True of a dry run; else not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) dry_run: Option<bool>,
}

/// An API key that a partner was given.
#[derive(Serialize, ToSchema)]
pub(crate) struct KeyGiven {
    /// The partner's slug.
    pub(crate) partner: String,
    /// The key's id.
    pub(crate) id: String,
    /// False when the partner had it before.
    pub(crate) is_new: bool,
}

/// A partner that was created.
#[derive(Serialize, ToSchema)]
pub(crate) struct PartnerCreated {
    #[serde(flatten)]
    pub(crate) report: ChangeReport,
    /// The partner's slug.
    pub(crate) partner: String,
    /// The partner's key, shown this once; not there in a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) api_key: Option<String>,
    /// What its requests must be signed with, shown this once; not there of a key that opens alone, nor in a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) api_secret: Option<String>,
}

/// A partner to create.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPartner {
    /// Its name in addresses.
    pub(crate) slug: String,
    /// Its name for people.
    pub(crate) name: String,
    /// A key to give to it, of 8 to 128 visible ASCII characters; without one the server makes one.
    #[serde(default)]
    pub(crate) api_key: Option<String>,
    /// The secret that its requests are signed with, of 16 to 128 visible ASCII characters; without one the server makes one.
    #[serde(default)]
    pub(crate) api_secret: Option<String>,
    /// Whether its requests must be signed; without it they must, where the server can keep secrets.
    #[serde(default)]
    pub(crate) signed: Option<bool>,
}

/// The parts of a promo that can be changed alone; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PromoPatch {
    /// How many purchases it may pay for.
    #[serde(default)]
    pub(crate) quota: Option<u64>,
    /// The first instant of its period: local, such as `2017-01-01 00:00:00`, or RFC 3339 with an offset.
    #[serde(default)]
    pub(crate) starts_at: Option<String>,
    /// The last instant of its period, included.
    #[serde(default)]
    pub(crate) ends_at: Option<String>,
    /// What it pays, all bands.
    #[serde(default, deserialize_with = "objects_if_any")]
    pub(crate) bands: Option<Vec<BandFile>>,
}
