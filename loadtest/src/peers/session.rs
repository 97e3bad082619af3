//! Purchases over the connections of a peer: each connection its share in order, one call after the other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::{PeerError, Way};
use crate::run::RunError;
use crate::tally::Tally;
use crate::workload::{Order, Purchase, Recipe, Workload};

/// A connection to a peer.
pub(super) trait Session: Send + 'static {
    /// Books purchases, and returns the points of each; `None` of one that was booked before. What it returns is durable.
    fn book(&mut self, purchases: &[Purchase]) -> impl Future<Output = Result<Vec<Option<i64>>, PeerError>> + Send;
}

/// Books the purchases of a recipe; `connect` makes as many connections as are needed, before the time counts.
pub(super) async fn book<S: Session>(
    way: Way,
    recipe: &Recipe,
    connect: impl AsyncFn() -> Result<S, PeerError>,
) -> Result<(Tally, Duration), PeerError> {
    let workload = Arc::new(Workload::new(recipe.clone()));
    let mut sessions = Vec::new();
    for share in workload.shares(way.connections()).into_iter().filter(|share| !share.is_empty()) {
        sessions.push((share, connect().await?));
    }
    let begun = Instant::now();
    let mut connections = JoinSet::new();
    for (share, session) in sessions {
        connections.spawn(book_share(Arc::clone(&workload), session, share, way.batch as usize));
    }
    let mut tally = Tally::new().map_err(RunError::from)?;
    while let Some(own) = connections.join_next().await {
        tally.add(own.map_err(RunError::from)??);
    }
    Ok((tally, begun.elapsed()))
}

async fn book_share<S: Session>(
    workload: Arc<Workload>,
    mut session: S,
    share: Vec<Order>,
    batch: usize,
) -> Result<Tally, PeerError> {
    let mut tally = Tally::new().map_err(RunError::from)?;
    for orders in share.chunks(batch) {
        let purchases: Vec<Purchase> = orders.iter().map(|order| workload.purchase(*order)).collect();
        let begun = Instant::now();
        let points = session.book(&purchases).await?;
        tally.count_request(begun.elapsed());
        if points.len() != purchases.len() {
            return Err(RunError::Short { answers: points.len(), purchases: purchases.len() }.into());
        }
        for (own, points) in purchases.iter().zip(points) {
            match points {
                Some(points) => {
                    tally.booked += 1;
                    tally.amount += i128::from(own.amount);
                    tally.points += i128::from(points);
                }
                None => tally.replayed += 1,
            }
        }
    }
    Ok(tally)
}
