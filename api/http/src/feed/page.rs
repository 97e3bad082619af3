//! `GET /v1/events`: history, page by page, the oldest events first. What [`super`] sends as it happens, for whoever asks when it suits
//! them.

use axum::Extension;
use axum::extract::State;
use hyper::Uri;
use kembali_core::{CustomerId, Seq};

use super::reader::{Reader, Scope};
use super::topics_of;
use crate::app::App;
use crate::auth::Identity;
use crate::codes;
use crate::cursor::{self, List, Start};
use crate::parameters;
use crate::problem::Problem;
use crate::query::{Query, invalid};
use crate::reads::Json;
use crate::routes::Endpoint;
use crate::wire::event::{EventPage, Events};

/// Records that one page looks through.
const PAGE_RECORDS_MAX: u64 = 2_000;

/// Shows a page.
pub(crate) async fn page(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    uri: Uri,
) -> Result<Json<EventPage>, Problem> {
    let query = Query::parse(&uri, parameters::of(Endpoint::Events))?;
    let (topics, limit) = (topics_of(&query)?, query.limit()?);
    let tenant = app.tenant(identity, &query).await?.tenant;
    let scope = Scope::of(identity, tenant)?;
    let head = app.engine.durable();
    // A cursor goes on with the topics that it was given for.
    let filter = CustomerId(topics.number().into());
    let after = match (query.text("cursor"), query.number::<u64>("after")?) {
        (Some(_), Some(_)) => return Err(invalid("after", "a cursor says itself where it goes on: leave `after` out")),
        (Some(text), None) => cursor::read(text, List::Events, filter)?.seq,
        (None, after) => Seq(after.unwrap_or(0)),
    };
    if head < after {
        return Err(Problem::new(&codes::AFTER_AHEAD).member("after", after.0).member("head", head.0));
    }
    let _turn = app.pages.try_acquire().map_err(|_| Problem::new(&codes::OVERLOADED))?;
    let mut reader = Reader::new(&app, scope, topics, after);
    let end = head.0.min(after.0.saturating_add(PAGE_RECORDS_MAX));
    let mut events = Events::default();
    while reader.position().0 < end && events.count() < limit {
        reader.read(&mut events).await.map_err(|_| Problem::new(&codes::INTERNAL))?;
    }
    let as_of = reader.position();
    let next_cursor = (as_of < head).then(|| cursor::write(List::Events, filter, Start::of(as_of)));
    let data = events.array().map_err(|error| Problem::internal(&error))?;
    Ok(Json(EventPage { data, next_cursor, as_of: as_of.0 }))
}
