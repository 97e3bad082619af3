//! What became of an outbox's deliveries, for callers, and having them made again. Whose outbox that is, its caller has checked.

use hyper::StatusCode;
use kembali_core::{CustomerId, Seq};
use kembali_engine::{OutboxState, ReadError};

use crate::app::App;
use crate::codes;
use crate::cursor::{self, List, Start};
use crate::outbox::{Again, AgainError};
use crate::problem::Problem;
use crate::query::{Query, invalid};
use crate::reads::Json;
use crate::wire::delivery::{DeliveriesReplayed, DeliveryPage, DeliveryShown, DeliveryStateName};

/// Reads what is kept of an outbox: up to five seconds ago.
pub(crate) async fn kept(app: &App, name: String) -> Result<OutboxState, Problem> {
    let engine = app.engine.clone();
    let read = tokio::task::spawn_blocking(move || engine.outbox(&name)).await;
    Ok(read.map_err(|error| ReadError::Profile(error.to_string()))??)
}

/// Counts deliveries in a state.
pub(crate) fn count(kept: &OutboxState, state: DeliveryStateName) -> usize {
    kept.deliveries.values().filter(|own| DeliveryStateName::of(own) == state).count()
}

/// Lists deliveries, those of the newest records first. `of` tells the outbox from others, `id` says what a delivery is called.
pub(crate) async fn page(
    app: &App,
    query: &Query,
    (name, of): (String, u128),
    id: impl Fn(Seq) -> String,
) -> Result<Json<DeliveryPage>, Problem> {
    let limit = query.limit()?;
    let unknown = || invalid("state", "state must be due, given_up or made");
    let state = query.text("state").map(|text| DeliveryStateName::parse(text).ok_or_else(unknown)).transpose()?;
    let of = CustomerId(of);
    let start = query.text("cursor").map(|text| cursor::read(text, List::Deliveries, of)).transpose()?;
    let last = start.map_or(Seq(u64::MAX), |start| start.seq);
    let kept = kept(app, name).await?;
    let is_asked = |own: &DeliveryShown| state.is_none_or(|state| own.state == state);
    let all = kept.deliveries.into_iter().rev().skip_while(|(seq, _)| last < *seq);
    let mut all = all.map(|(seq, own)| DeliveryShown::of(id(seq), seq, own)).filter(is_asked);
    let data: Vec<_> = all.by_ref().take(limit).collect();
    let next_cursor = all.next().map(|next| cursor::write(List::Deliveries, of, Start::of(Seq(next.seq))));
    Ok(Json(DeliveryPage { data, next_cursor }))
}

/// Has one delivery made again, whatever became of it.
pub(crate) async fn replay(
    app: &App,
    name: &str,
    seq: &str,
) -> Result<(StatusCode, Json<DeliveriesReplayed>), Problem> {
    let unknown = || Problem::new(&codes::DELIVERY_NOT_FOUND);
    let is_plain = seq.bytes().all(|byte| byte.is_ascii_digit());
    let seq = seq.parse().ok().filter(|_| is_plain).map(Seq).ok_or_else(unknown)?;
    let (status, replayed) = again(app, name, Again::Of(seq)).await?;
    if replayed.0.replayed == 0 { Err(unknown()) } else { Ok((status, replayed)) }
}

/// Has deliveries made again.
pub(crate) async fn again(
    app: &App,
    name: &str,
    again: Again,
) -> Result<(StatusCode, Json<DeliveriesReplayed>), Problem> {
    let replayed = app.outboxes.again(name, again).await.map_err(|error| match error {
        // It is about to begin, or to end.
        AgainError::Idle | AgainError::Busy => Problem::new(&codes::OVERLOADED),
    })?;
    Ok((StatusCode::ACCEPTED, Json(DeliveriesReplayed { replayed })))
}
