//! What time and changes of the rules have made of a row, before anything is decided or shown: customers of removed levels
//! are placed ([`crate::placement`]), points and holds that are due expire ([`crate::points`], [`crate::hold`]).
//!
//! Both hold at once for whoever looks, so it does not matter when somebody does. A sweep writes down for everybody else
//! what a look would have found.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::catalogue::Catalogue;
use crate::customer::Row;
use crate::event::{Body, Event, PlacementReason};
use crate::hold::{self, HoldEnd};
use crate::placement::{self, Removal};
use crate::quantity::{Instant, Seq};

/// Returns the row as it stands at `now`, and what that changes: placements, then expired points, then expired holds. `removals` are all of
/// the tenant's, the oldest first.
///
/// Whoever decides something for a customer writes these events first, in the same record.
#[must_use]
pub fn up_to_date<'a>(row: &'a Row, removals: &[Removal], now: Instant) -> (Cow<'a, Row>, Vec<Event>) {
    let (mut row, placed) = placement::placed(row, removals);
    let mut events: Vec<Event> = placed.into_iter().map(Event::TierPlaced).collect();
    let expired: Vec<_> = row.points.iter().flat_map(|account| account.expire(now)).collect();
    if !expired.is_empty() {
        let own = row.to_mut();
        expired.iter().for_each(|entry| own.point_account_mut(entry.kind).evolve(entry));
        events.extend(expired.into_iter().map(Event::PointEntry));
    }
    let closed: Vec<_> = hold::due(&row, now).collect();
    if !closed.is_empty() {
        let own = row.to_mut();
        closed.iter().for_each(|closed| own.evolve_hold_closed(closed));
        events.extend(closed.into_iter().map(Event::HoldClosed));
    }
    (row, events)
}

/// Shows a row to whoever only looks: as [`up_to_date`] makes it.
#[must_use]
pub fn as_of(row: Row, removals: &[Removal], now: Instant) -> Row {
    let changed = match up_to_date(&row, removals, now).0 {
        Cow::Owned(changed) => Some(changed),
        Cow::Borrowed(_) => None,
    };
    changed.unwrap_or(row)
}

/// Returns true of what [`up_to_date`] makes happen.
#[must_use]
pub fn is_upkeep(event: &Event) -> bool {
    match event {
        Event::TierPlaced(placed) => matches!(placed.reason, PlacementReason::LevelRemoved { .. }),
        Event::PointEntry(entry) => entry.is_expiry(),
        Event::HoldClosed(closed) => closed.end == HoldEnd::Expired,
        _ => false,
    }
}

/// Makes the record of a customer to whom nothing else happened. Returns `None` for one whose row is up to date.
/// `previous` is left to whoever gives the position.
#[must_use]
pub fn by_sweep(
    row: &Row,
    rules: &Catalogue,
    removals: &[Removal],
    now: Instant,
    received_at: Instant,
) -> Option<Body> {
    let (_, events) = up_to_date(row, removals, now);
    (!events.is_empty()).then_some(Body {
        received_at,
        tenant: row.tenant,
        catalogue_version: rules.version,
        customer: Some(row.id),
        previous: Seq::ZERO,
        events,
    })
}
