//! The log of the checks of risk rules. Nothing can be taken out of it; what is archived is shown to whoever asks for it.

use axum::Extension;
use axum::extract::State;
use hyper::Uri;
use kembali_core::RuleId;
use kembali_core::catalogue::Catalogue;
use kembali_core::event::{Event, Record};
use kembali_core::operation::OperationRejection;
use kembali_core::risk::RiskKind;

use super::Json;
use super::log::{self, Walk, customer_of, one_of};
use crate::app::App;
use crate::auth::Identity;
use crate::cursor::List;
use crate::parameters;
use crate::problem::Problem;
use crate::query::Query;
use crate::routes::Endpoint;
use crate::wire::instant::{Rfc3339, UuidText};
use crate::wire::result::Names;
use crate::wire::risk::{RiskCheck, RiskCheckPage, RiskKindFile, RiskVerdict};

const VERDICTS: [(&str, RiskVerdict); 4] = [
    ("safe", RiskVerdict::Safe),
    ("suspicious", RiskVerdict::Suspicious),
    ("blocked", RiskVerdict::Blocked),
    ("in_review", RiskVerdict::InReview),
];

/// Lists checks, the newest first.
pub(crate) async fn list(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    uri: Uri,
) -> Result<Json<RiskCheckPage>, Problem> {
    let query = Query::parse(&uri, parameters::of(Endpoint::RiskChecks))?;
    app.reach_min_seq(&query).await?;
    let tenant = app.tenant(identity, &query).await?.tenant;
    let (customer, verdict) = (customer_of(&query)?, one_of(&query, "verdict", &VERDICTS)?);
    let shows_archived = query.flag("archived")?;
    let which = 2 * verdict.map_or(0, |verdict| 1 + verdict as u32) + u32::from(shows_archived);
    let walk = Walk::of(&app, &query, tenant, (List::RiskChecks, customer, which))?;
    let (first, last) = walk.span();
    let archived = app.engine.archived_checks(tenant, first, last).await?;
    let is_wanted = |check: &RiskCheck| {
        customer.is_none_or(|customer| check.customer.0 == customer.0)
            && verdict.is_none_or(|verdict| check.verdict == verdict)
            && (shows_archived || !check.archived)
    };
    let page = walk.page(&app, |record, catalogue| {
        let check = check_of(record, catalogue)?;
        let archived = archived.binary_search(&record.seq).is_ok();
        Some(RiskCheck { archived, ..check }).filter(is_wanted)
    });
    let log::Page { data, next_cursor, as_of } = page.await?;
    Ok(Json(RiskCheckPage { data, next_cursor, as_of: as_of.0 }))
}

/// Returns the check that a record says, which has one at most.
pub(crate) fn check_of(record: &Record, catalogue: &Catalogue) -> Option<RiskCheck> {
    let names = Names { catalogue };
    let name = |rule: RuleId| names.risk_rule(rule).into_owned();
    let (seq, received_at) = (record.seq.0, Rfc3339(record.body.received_at));
    record.body.events.iter().find_map(|event| match event {
        Event::RiskChecked(own) => Some(RiskCheck {
            seq,
            received_at,
            customer: UuidText(record.body.customer?.0),
            operation: RiskKindFile::of(own.kind),
            amount: own.amount.minor_units(),
            verdict: RiskVerdict::of(own.verdict),
            rule: own.rule.map(name),
            archived: false,
        }),
        Event::ReviewOpened(own) => Some(RiskCheck {
            seq,
            received_at,
            customer: UuidText(record.body.customer?.0),
            operation: RiskKindFile::of(own.kind),
            amount: own.amount.minor_units(),
            verdict: RiskVerdict::InReview,
            rule: Some(name(own.rule)),
            archived: false,
        }),
        Event::PurchaseBlocked(own) => Some(RiskCheck {
            seq,
            received_at,
            customer: UuidText(own.customer.0),
            operation: RiskKindFile::of(RiskKind::Purchase),
            amount: own.amount.minor_units(),
            verdict: RiskVerdict::Blocked,
            rule: Some(name(own.rule)),
            archived: false,
        }),
        Event::OperationRefused(own) => {
            let OperationRejection::RiskBlocked { rule } = own.rejection else { return None };
            let (kind, amount) = own.operation.at_risk()?;
            Some(RiskCheck {
                seq,
                received_at,
                customer: UuidText(own.customer?.0),
                operation: RiskKindFile::of(kind),
                amount,
                verdict: RiskVerdict::Blocked,
                rule: Some(name(rule)),
                archived: false,
            })
        }
        _ => None,
    })
}
