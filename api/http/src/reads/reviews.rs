//! The list of what is set aside: operations that wait for an operator.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use hyper::{StatusCode, Uri};
use kembali_core::catalogue::Catalogue;
use kembali_core::event::Record;
use kembali_core::{CustomerId, Seq};

use super::json_response;
use crate::app::App;
use crate::auth::Identity;
use crate::codes;
use crate::cursor::{self, List, Start};
use crate::parameters;
use crate::problem::Problem;
use crate::query::Query;
use crate::routes::Endpoint;
use crate::wire::review::{Review, ReviewPage};

/// Stands where a cursor names the customer of its list: everybody's are shown.
const EVERYBODY: CustomerId = CustomerId(0);

/// Lists the reviews that are open, the oldest first.
pub(crate) async fn list(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    uri: Uri,
) -> Result<Response, Problem> {
    let query = Query::parse(&uri, parameters::of(Endpoint::Reviews))?;
    app.reach_min_seq(&query).await?;
    let tenant = app.tenant(identity, &query).await?.tenant;
    let after = match query.text("cursor") {
        Some(text) => {
            let own = cursor::read(text, List::Reviews, EVERYBODY)?.seq;
            // No page has ended behind the last record.
            if app.engine.durable() < own {
                return Err(Problem::new(&codes::CURSOR_INVALID));
            }
            own
        }
        None => Seq::ZERO,
    };
    let limit = query.limit()?;
    let open = app.engine.reviews(tenant, after, limit.saturating_add(1)).await?;
    let mut records: Vec<(Arc<Record>, Arc<Catalogue>)> = Vec::with_capacity(open.len().min(limit));
    for seq in open.iter().take(limit) {
        // What the desk has said, the disk has.
        records.extend(app.engine.record(*seq).await?);
    }
    let next = open.get(limit).and_then(|_| open.get(limit - 1));
    let next_cursor = next.map(|last| cursor::write(List::Reviews, EVERYBODY, Start::of(*last)));
    let data = records.iter().filter_map(|(record, catalogue)| Review::of(record, catalogue)).collect();
    let text = serde_json::to_vec(&ReviewPage { data, next_cursor }).map_err(|error| Problem::internal(&error))?;
    Ok(json_response(StatusCode::OK, text))
}
