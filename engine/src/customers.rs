//! The customers of a tenant, page by page in order of their ids.
//!
//! Rows lie in the order in which customers came, so a page looks at all of them, in pieces between which everybody else
//! is let in. Whoever comes meanwhile may be on the page, or not.

use kembali_core::command::Query;
use kembali_core::{CustomerId, TenantId};
use kembali_machine::Outcome;

use crate::handle::Engine;
use crate::request::Stopped;

impl Engine {
    /// Lists a tenant's first customers behind `after`, `limit` at most. One such walk is under way at a time; others wait.
    ///
    /// # Errors
    ///
    /// [`Stopped`].
    pub async fn customers(
        &self,
        tenant: TenantId,
        after: Option<CustomerId>,
        limit: usize,
    ) -> Result<Vec<CustomerId>, Stopped> {
        let _one_at_a_time = self.one_walk().await;
        let (mut shard, mut from, mut all) = (0, 0, Vec::new());
        loop {
            let piece = match self.ask(Query::Customers { tenant, after, limit, shard, from }).await? {
                Outcome::Customers(Some(piece)) => piece,
                // That was the last shard.
                Outcome::Customers(None) => return Ok(all),
                other => unreachable!("a list of customers cannot end as {other:?}"),
            };
            (shard, from) = piece.next.map_or((shard + 1, 0), |next| (shard, next));
            all.extend(piece.customers);
            all.sort_unstable();
            all.truncate(limit);
        }
    }
}
