//! The log of the checks of risk rules, read off the records: the newest first. Nothing can be taken out of it.

use axum::Extension;
use axum::extract::State;
use hyper::Uri;
use kembali_core::catalogue::Catalogue;
use kembali_core::event::{Event, Record};
use kembali_core::operation::OperationRejection;
use kembali_core::{CustomerId, RuleId, Seq};

use super::Json;
use crate::app::App;
use crate::auth::Identity;
use crate::codes;
use crate::cursor::{self, List, Start};
use crate::parameters;
use crate::problem::Problem;
use crate::query::Query;
use crate::routes::Endpoint;
use crate::wire::instant::{Rfc3339, UuidText, parse_uuid};
use crate::wire::result::Names;
use crate::wire::risk::{RiskCheck, RiskCheckPage, RiskKindFile, RiskVerdict};

/// Records that one page looks through.
const PAGE_RECORDS_MAX: u64 = 2_000;
/// Stands where a cursor names the customer of its list: everybody's checks are asked for.
const EVERYBODY: CustomerId = CustomerId(0);

/// Lists checks, the newest first.
pub(crate) async fn list(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    uri: Uri,
) -> Result<Json<RiskCheckPage>, Problem> {
    let query = Query::parse(&uri, parameters::of(Endpoint::RiskChecks))?;
    app.reach_min_seq(&query).await?;
    let tenant = app.tenant(identity, &query).await?.tenant;
    let invalid = |name: &'static str, form: &str| {
        Problem::new(&codes::QUERY_INVALID).detail(format!("{name} must be {form}")).member("parameter", name)
    };
    let customer = query.text("customer").map(|text| parse_uuid(text).ok_or_else(|| invalid("customer", "an id")));
    let customer = customer.transpose()?.map(CustomerId);
    let verdict = match query.text("verdict") {
        None => None,
        Some("safe") => Some(RiskVerdict::Safe),
        Some("suspicious") => Some(RiskVerdict::Suspicious),
        Some("blocked") => Some(RiskVerdict::Blocked),
        Some(_) => return Err(invalid("verdict", "safe, suspicious or blocked")),
    };
    let durable = app.engine.durable();
    // A cursor goes on with the list that it was given for.
    let (whose, which) = (customer.unwrap_or(EVERYBODY), verdict.map_or(0, |verdict| 1 + verdict as u32));
    let start = match query.text("cursor") {
        Some(text) => cursor::read(text, List::RiskChecks, whose)?,
        None => Start { seq: durable, skip: which },
    };
    if durable < start.seq || start.skip != which {
        return Err(Problem::new(&codes::CURSOR_INVALID));
    }
    let limit = query.limit()?;
    let (mut data, mut next) = (Vec::new(), start.seq);
    let stop = Seq(start.seq.0.saturating_sub(PAGE_RECORDS_MAX));
    while stop < next && data.len() < limit {
        let found = app.engine.record(next).await?;
        next = Seq(next.0 - 1);
        let Some((record, catalogue)) = found.filter(|(record, _)| record.body.tenant == tenant) else { continue };
        let check = check_of(&record, &catalogue);
        let is_wanted = |check: &RiskCheck| {
            customer.is_none_or(|customer| check.customer.0 == customer.0)
                && verdict.is_none_or(|verdict| check.verdict == verdict)
        };
        data.extend(check.filter(is_wanted));
    }
    let next = Start { seq: next, skip: which };
    let next_cursor = (next.seq != Seq::ZERO).then(|| cursor::write(List::RiskChecks, whose, next));
    Ok(Json(RiskCheckPage { data, next_cursor, as_of: durable.0 }))
}

/// Returns the check that a record says, which has one at most.
fn check_of(record: &Record, catalogue: &Catalogue) -> Option<RiskCheck> {
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
        }),
        Event::OperationRefused(own) => {
            let OperationRejection::RiskBlocked { rule } = own.rejection else { return None };
            let (kind, amount) = own.operation.at_risk()?;
            Some(RiskCheck {
                seq,
                received_at,
                customer: UuidText(own.customer.0),
                operation: RiskKindFile::of(kind),
                amount,
                verdict: RiskVerdict::Blocked,
                rule: Some(name(rule)),
            })
        }
        _ => None,
    })
}
