//! What if: recorded purchases decided again under the rules in the body. The ledger is only read.
//!
//! The answer is a stream of lines: progress, then the report, which [`report`] puts into names. Only before the first
//! line anything is refused; a run whose caller has gone is given up.

mod report;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use futures_util::stream::unfold;
use hyper::Request;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use kembali_core::Seq;
use kembali_engine::{
    Bound, ReadError, WhatIfError, WhatIfProgress, WhatIfRefused, WhatIfReport, WhatIfRequest, WhatIfRun, WhatIfUpdate,
};
use serde_json::Value;

use crate::app::App;
use crate::apply::read_body;
use crate::auth::Identity;
use crate::codes;
use crate::parameters::{self, TOP_DEFAULT, TOP_MAX};
use crate::problem::Problem;
use crate::query::{Query, invalid};
use crate::routes::Endpoint;
use crate::wire::catalogue::CatalogueFile;
use crate::wire::catalogue_draft::CatalogueFault;
use crate::wire::instant::parse_rfc3339;
use crate::wire::number::wide;
use crate::wire::what_if::{self as wire, WhatIfLine};

/// Decides the recorded purchases of a tenant again under the rules in the body.
pub(crate) async fn post(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let query = Query::parse(request.uri(), parameters::of(Endpoint::WhatIf))?;
    let (from, to) = (bound(&query, "from")?, bound(&query, "to")?);
    let largest = top(&query)?;
    let slug = app.tenant(identity, &query).await?.slug.clone();
    let (head, body) = request.into_parts();
    let file: CatalogueFile = read_body(&app, &head.headers, body).await?;
    if file.tenant.slug != slug {
        let problem = format!("is {}, but the request is for {slug}", file.tenant.slug);
        return Err(CatalogueFault { place: "tenant.slug".to_owned(), problem }.into());
    }
    let run = app.engine.what_if(WhatIfRequest { draft: file.to_draft()?, from, to, largest }).await?;
    let lines = unfold(Some(run), |run| async {
        let mut run = run?;
        match next_line(&mut run).await {
            Ok(None) => None,
            Ok(Some(line)) => Some((Ok(line), Some(run))),
            Err(fault) => {
                tracing::warn!(%fault, "a what-if is broken off");
                // The body ends without its end: the caller sees that there is no report.
                Some((Err(fault), None))
            }
        }
    });
    let mut response = Response::new(Body::from_stream(lines));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    Ok(response)
}

/// Why a run is broken off.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Read(ReadError),
    #[error("the ledger was stopped")]
    Stopped,
    #[error("writing JSON")]
    Json(#[from] serde_json::Error),
}

/// Waits for the next line; `None` behind the report.
async fn next_line(run: &mut WhatIfRun) -> Result<Option<Bytes>, Fault> {
    if run.is_done() {
        return Ok(None);
    }
    let line = match run.next().await {
        None => return Err(Fault::Stopped),
        Some(WhatIfUpdate::Failed(error)) => return Err(Fault::Read(error)),
        Some(WhatIfUpdate::Progress(WhatIfProgress { reached, to, purchases })) => {
            WhatIfLine::Progress(wire::WhatIfProgress { reached: reached.0, to: to.0, purchases })
        }
        Some(WhatIfUpdate::Done(done)) => WhatIfLine::Report(Box::new(report::of(&done))),
    };
    let mut text = serde_json::to_vec(&line)?;
    text.push(b'\n');
    Ok(Some(text.into()))
}

/// Returns the report as the last line of the answer has it: for a run that no server did.
#[must_use]
pub fn document(done: &WhatIfReport) -> Value {
    // Text, numbers and lists are written without fail.
    serde_json::to_value(report::of(done)).unwrap_or_default()
}

/// Reads an end of the range: a position, or an instant in RFC 3339.
#[must_use]
pub fn parse_bound(text: &str) -> Option<Bound> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match is_number {
        true => text.parse().ok().map(|seq| Bound::Position(Seq(seq))),
        false => parse_rfc3339(text).map(Bound::Received),
    }
}

/// How an end of the range is written.
pub const BOUND_EXPECTED: &str = "a position, or an instant such as 2017-03-01T00:00:00+07:00";

fn bound(query: &Query, name: &str) -> Result<Option<Bound>, Problem> {
    let read = |text| parse_bound(text).ok_or_else(|| invalid(name, format!("{name} must be {BOUND_EXPECTED}")));
    query.text(name).map(read).transpose()
}

fn top(query: &Query) -> Result<usize, Problem> {
    match query.number::<usize>("top")? {
        None => Ok(TOP_DEFAULT),
        Some(top) if top <= TOP_MAX => Ok(top),
        Some(_) => Err(invalid("top", format!("top must be 0 to {TOP_MAX}"))),
    }
}

impl From<WhatIfError> for Problem {
    fn from(error: WhatIfError) -> Problem {
        match error {
            WhatIfError::Refused(WhatIfRefused::TenantUnknown { .. }) => Problem::new(&codes::TENANT_NOT_FOUND),
            WhatIfError::Refused(WhatIfRefused::Rules(rejection)) => rejection.into(),
            WhatIfError::Refused(WhatIfRefused::RangeEmpty { from, to, end }) => Problem::new(&codes::RANGE_EMPTY)
                .member("from", wide(from.0))
                .member("to", wide(to.0))
                .member("end", wide(end.0)),
            WhatIfError::Running => Problem::new(&codes::WHAT_IF_RUNNING),
            WhatIfError::Read(read) => read.into(),
            error @ WhatIfError::Thread(_) => Problem::internal(&error),
            WhatIfError::Stopped(stopped) => stopped.into(),
        }
    }
}
