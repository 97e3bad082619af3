//! What partners may do: shown, and changed by operators.

use kembali_core::audit::PartnerStanding;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::fault::{Field, Form, optional};
use super::number::Whole;
use super::operation::OperationBody;
use crate::codes;
use crate::problem::Problem;

/// The highest limit that a partner may be given.
const LIMIT_MAX: u32 = 1_000_000;

/// Whether a partner's keys open anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PartnerStatus {
    /// They do.
    Active,
    /// They do not.
    Suspended,
}

/// What a partner may send that is not what everybody may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct PartnerLimitsShown {
    /// Requests in a second; null for what the server allows to everybody.
    #[schema(required)]
    pub(crate) requests_per_second: Option<u32>,
    /// Requests under way at one time; null for what the server allows to everybody.
    #[schema(required)]
    pub(crate) requests_at_once: Option<u32>,
}

/// What a partner may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Standing {
    /// Whether its keys open anything.
    pub(crate) status: PartnerStatus,
    /// What it may send.
    pub(crate) limits: PartnerLimitsShown,
}

impl Standing {
    pub(crate) const fn of(standing: PartnerStanding) -> Standing {
        let PartnerStanding { is_suspended, requests_per_second, requests_at_once } = standing;
        let status = if is_suspended { PartnerStatus::Suspended } else { PartnerStatus::Active };
        Standing { status, limits: PartnerLimitsShown { requests_per_second, requests_at_once } }
    }
}

/// A change of what a partner may do; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PartnerPatch {
    /// Whether its keys open anything.
    #[serde(default)]
    pub(crate) status: Option<PartnerStatus>,
    /// Requests in a second, from 1 on; null for what the server allows to everybody.
    #[serde(default, deserialize_with = "named")]
    #[schema(value_type = Option<u32>, minimum = 1)]
    requests_per_second: Option<Option<Whole>>,
    /// Requests under way at one time, from 1 on; null for what the server allows to everybody.
    #[serde(default, deserialize_with = "named")]
    #[schema(value_type = Option<u32>, minimum = 1)]
    requests_at_once: Option<Option<Whole>>,
    /// Why, for the log.
    #[serde(default)]
    pub(crate) reason: Option<String>,
}

impl OperationBody for PartnerPatch {
    const FIELDS: &'static [Field] = &[
        optional("status", Form::OneOf(&["active", "suspended"])),
        optional("requests_per_second", Form::Whole),
        optional("requests_at_once", Form::Whole),
        optional("reason", Form::Text),
    ];
}

/// Tells null from what is left out.
fn named<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<Whole>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// A limit that may be left as it is, or taken away.
type NewLimit = Option<Option<u32>>;

impl PartnerPatch {
    /// Returns the limits that are said: in a second, and at one time.
    pub(crate) fn limits(&self) -> Result<(NewLimit, NewLimit), Problem> {
        let per_second = limit(&self.requests_per_second, "/requests_per_second")?;
        Ok((per_second, limit(&self.requests_at_once, "/requests_at_once")?))
    }
}

fn limit(said: &Option<Option<Whole>>, pointer: &'static str) -> Result<NewLimit, Problem> {
    match said {
        None => Ok(None),
        Some(None) => Ok(Some(None)),
        Some(Some(Whole(number))) => {
            let fits = u32::try_from(*number).ok().filter(|number| (1..=LIMIT_MAX).contains(number));
            let detail = format!("must be 1 to {LIMIT_MAX}, or null");
            let invalid = || Problem::new(&codes::FIELD_INVALID).pointer(pointer).detail(detail);
            fits.map(|number| Some(Some(number))).ok_or_else(invalid)
        }
    }
}

/// A partner whose standing was looked at to be changed.
#[derive(Serialize, ToSchema)]
pub(crate) struct PartnerChanged {
    /// The partner's slug.
    pub(crate) partner: String,
    /// What it was.
    pub(crate) before: Standing,
    /// What it is.
    pub(crate) after: Standing,
    /// The position of the change; null when nothing changed.
    #[schema(required)]
    pub(crate) seq: Option<u64>,
}
