//! Changing the rules: the whole catalogue at once, or one part of it that is read, changed and applied.
//!
//! What is reported: [`diff`], the changes for people, [`holes`], purchases that no band of a promo is for, and
//! [`preview`], what customers would see of it.

pub(crate) mod api_keys;
pub(crate) mod catalogue;
mod diff;
mod holes;
pub(crate) mod partners;
mod preview;
pub(crate) mod promos;
pub(crate) mod standing;
pub(crate) mod tier_programs;

use kembali_core::catalogue::Catalogue;
use kembali_core::draft::CatalogueDraft;
use kembali_core::{CatalogueRejection, Seq};
use kembali_engine::{Applied, ApplyError, ApplyRequest, GivenKey, PartnerKey};
use serde::de::DeserializeOwned;

use axum::body::Body;
use hyper::HeaderMap;

use crate::app::App;
use crate::auth::Identity;
use crate::body::read_json;
use crate::codes;
use crate::config::CATALOGUE_BYTES_MAX;
use crate::problem::Problem;
use crate::query::Query;
use crate::wire::catalogue_draft::CatalogueFault;
use crate::wire::change::{ChangeReport, KeyGiven};
use crate::wire::document::Object;

/// How often a part is changed anew when somebody applied a whole catalogue meanwhile.
const ATTEMPTS_MAX: usize = 8;

impl From<CatalogueFault> for Problem {
    fn from(fault: CatalogueFault) -> Problem {
        Problem::new(&codes::CATALOGUE_INVALID).detail(fault.to_string()).member("place", fault.place)
    }
}

/// Reads the body of a change.
pub(crate) async fn read_body<T: DeserializeOwned>(app: &App, headers: &HeaderMap, body: Body) -> Result<T, Problem> {
    let document = read_json(headers, body, CATALOGUE_BYTES_MAX, app.limits.body_time_max).await?;
    serde_json::from_slice(&document).map(|Object(body)| body).map_err(|error| {
        let code = if error.is_data() { &codes::CATALOGUE_INVALID } else { &codes::MALFORMED_JSON };
        Problem::new(code).detail(error.to_string())
    })
}

/// Reads the rules, changes a part and applies them. One part after the other; again when a whole catalogue came
/// between.
async fn change(
    app: &App,
    identity: Identity,
    query: &Query,
    partner_keys: Vec<PartnerKey>,
    edit: impl Fn(&Catalogue, &mut CatalogueDraft) -> Result<(), Problem>,
) -> Result<Applied, Problem> {
    let expected_version = query.number::<u32>("expected_version")?;
    let dry_run = query.flag("dry_run")?;
    let _turn = app.part_change.lock().await;
    let mut attempts = 1;
    loop {
        let present = app.tenant(identity, query).await?;
        let mut draft = crate::wire::catalogue_view::draft_of(&present);
        edit(&present, &mut draft)?;
        let request = ApplyRequest {
            actor: identity.actor()?,
            draft,
            partner_keys: partner_keys.clone(),
            expected_version: Some(expected_version.unwrap_or(present.version)),
            dry_run,
        };
        match app.engine.apply(request).await {
            // Only a version that the caller insists on is the caller's business.
            Err(ApplyError::Refused(CatalogueRejection::VersionConflict { .. }))
                if expected_version.is_none() && attempts < ATTEMPTS_MAX =>
            {
                attempts += 1;
            }
            applied => return Ok(applied?),
        }
    }
}

fn key_given(key: &GivenKey) -> KeyGiven {
    KeyGiven { partner: key.partner.clone(), id: api_keys::shown_id(key.id), is_new: key.is_new }
}

/// Tells what became of a change.
fn report(applied: &Applied, dry_run: bool) -> ChangeReport {
    let Applied { catalogue, before, seq, keys } = applied;
    let changes = diff::changes(before.as_deref(), catalogue);
    ChangeReport {
        tenant: catalogue.slug.clone(),
        version: catalogue.version,
        changed: !changes.is_empty(),
        seq: seq.map(|Seq(seq)| seq),
        changes,
        warnings: holes::warnings(catalogue),
        api_keys: keys.iter().map(key_given).collect(),
        outcome: None,
        dry_run: dry_run.then_some(true),
    }
}
