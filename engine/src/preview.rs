//! What a change of rules would do, over all customers of a tenant: counted in pieces, while purchases go on.
//!
//! Each piece is a question of its own: it waits its turn behind what came before it, keeps a shard busy for some
//! thousand rows, and lets everybody else in before the next. So the counts are not of one position: each customer is
//! looked at once, at some position from the first to the last of them.

use std::sync::Arc;

use kembali_core::Seq;
use kembali_core::command::Query;
use kembali_core::preview::{Preview, RuleChange};
use kembali_machine::Outcome;

use crate::handle::Engine;
use crate::request::Stopped;

/// What a change of rules would do.
#[derive(Clone, Debug)]
pub struct Previewed {
    /// The counts.
    pub preview: Preview,
    /// The first position that a customer was looked at, and the last.
    pub as_of: (Seq, Seq),
}

impl Engine {
    /// Counts what a change of rules would do to the tenant's customers. One such walk is under way at a time; others
    /// wait. It ends when the caller stops waiting.
    ///
    /// # Errors
    ///
    /// [`Stopped`].
    pub async fn preview(&self, change: RuleChange) -> Result<Previewed, Stopped> {
        let _one_at_a_time = self.one_walk().await;
        let change = Arc::new(change);
        let (mut shard, mut from) = (0, 0);
        let mut all: Option<Previewed> = None;
        loop {
            let query = Query::Preview { change: Arc::clone(&change), shard, from };
            let piece = match self.ask(query).await? {
                Outcome::Preview(Some(piece)) => piece,
                // That was the last shard. There is at least one.
                Outcome::Preview(None) => return all.ok_or(Stopped),
                other => unreachable!("a look at a change cannot end as {other:?}"),
            };
            (shard, from) = piece.piece.next.map_or((shard + 1, 0), |next| (shard, next));
            match &mut all {
                None => all = Some(Previewed { preview: piece.piece.preview, as_of: (piece.as_of, piece.as_of) }),
                Some(all) => {
                    all.preview.merge(piece.piece.preview);
                    all.as_of.1 = piece.as_of;
                }
            }
        }
    }
}
