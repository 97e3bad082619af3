//! All that is kept of a customer, for the customer: who it is, accounts, wallets, and what happened, the newest first.
//!
//! The answer is a stream of lines, so that a long history takes no more memory than a short one. The last line says how many
//! records there were: an answer without it was broken off.

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::response::Response;
use futures_util::stream::unfold;
use hyper::Uri;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use kembali_core::{CustomerId, Seq};
use kembali_engine::ReadError;

use super::customers::{shown, view_by_id, wallet_list};
use crate::app::App;
use crate::auth::Identity;
use crate::parameters;
use crate::problem::Problem;
use crate::query::Query;
use crate::routes::Endpoint;
use crate::wire::event::{Audience, Topics, render};
use crate::wire::export::{ExportEnd, ExportLine};
use crate::wire::result::Rules;
use crate::wire::session::AccountShown;

/// Exports a customer.
pub(crate) async fn export(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Response, Problem> {
    let query = Query::parse(&uri, parameters::of(Endpoint::ExportCustomer))?;
    app.reach_min_seq(&query).await?;
    let view = view_by_id(&app, identity, &query, &id).await?;
    let mut head = vec![ExportLine::Customer(Box::new(shown(&app, identity, &view, None)?))];
    head.push(ExportLine::Wallets(wallet_list(&app, identity, &view)?));
    let accounts = app.engine.accounts_of(view.id)?;
    head.extend(accounts.iter().map(|account| ExportLine::Account(AccountShown::of(account, &view.catalogue))));
    let mut first = Vec::new();
    for own in &head {
        line(&mut first, own).map_err(|error| Problem::internal(&error))?;
    }
    let walk = Walk { app, customer: view.id, next: Some(view.last), records: 0 };
    let lines = unfold((Some(first), Some(walk)), |(first, walk)| async {
        if let Some(first) = first {
            return Some((Ok(Bytes::from(first)), (None, walk)));
        }
        let mut walk = walk?;
        match walk.next_lines().await {
            Ok(lines) => {
                let is_over = walk.next.is_none();
                Some((Ok(lines), (None, (!is_over).then_some(walk))))
            }
            Err(fault) => {
                tracing::warn!(%fault, "an export is broken off");
                Some((Err(fault), (None, None)))
            }
        }
    });
    let mut response = Response::new(Body::from_stream(lines));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    Ok(response)
}

fn line(out: &mut Vec<u8>, own: &ExportLine) -> Result<(), serde_json::Error> {
    serde_json::to_writer(&mut *out, own)?;
    out.push(b'\n');
    Ok(())
}

/// Bytes of lines that are sent together.
const CHUNK_BYTES: usize = 16 * 1024;

/// Walks back through a customer's records.
struct Walk {
    app: App,
    customer: CustomerId,
    /// The record that is next; `None` behind the last line.
    next: Option<Seq>,
    records: u64,
}

/// Why an export is broken off.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("a record that a later one names is not there")]
    Missing,
    #[error("writing JSON")]
    Json(#[from] serde_json::Error),
}

impl Walk {
    async fn next_lines(&mut self) -> Result<Bytes, Fault> {
        let mut out = Vec::with_capacity(CHUNK_BYTES);
        while let Some(seq) = self.next {
            if seq == Seq::ZERO {
                self.next = None;
                line(&mut out, &ExportLine::End(ExportEnd { records: self.records }))?;
                break;
            }
            let (record, catalogue) = self.app.engine.record(seq).await?.ok_or(Fault::Missing)?;
            let former = self.app.engine.former_rules(&record.body);
            let rules = Rules { catalogue: &catalogue, former: &former };
            let view = (Audience::Customer(self.customer), Topics::ALL);
            // As on the stream: one form of what happened.
            if let Some(events) = render(seq, &record.body, rules, view)? {
                out.extend_from_slice(b"{\"record\":");
                out.extend_from_slice(events.as_bytes());
                out.extend_from_slice(b"}\n");
            }
            self.records += 1;
            self.next = Some(record.body.previous);
            if CHUNK_BYTES <= out.len() {
                break;
            }
        }
        Ok(out.into())
    }
}
