//! From rows and records to a router and its shards: what a start does. Knows no file.
//!
//! Rows lie with their shards from the beginning, so a limit holds here already; whoever folds records borrows the rows that they name.

use std::collections::BTreeSet;
use std::hint::black_box;

use kembali_core::customer::Row;
use kembali_core::desk::Desk;
use kembali_core::event::Record;
use kembali_core::ledger::{Inconsistency, Ledger};
use kembali_core::totals::Totals;
use kembali_core::{CustomerId, CustomerName, Map, Seq};

use crate::LOOK_AHEAD_MAX;
use crate::router::{Router, ShardOf};
use crate::rows::Found;
use crate::shard::Shard;
use crate::shelf::AwayError;

/// A ledger that is being recovered.
pub struct Restore {
    /// With the rows that are lent, between two folds with none.
    ledger: Ledger,
    lent: Map<CustomerId, Found>,
    shards: Vec<Shard>,
    shard_of: ShardOf,
    erased: BTreeSet<CustomerId>,
}

/// Why records cannot be folded. What was recovered so far is worthless then.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// A record contradicts the ones before it.
    #[error("the record at sequence number {} contradicts the ledger: {what:?}", seq.0)]
    Inconsistent {
        /// Which.
        seq: Seq,
        /// How.
        what: Inconsistency,
    },
    /// Rows cannot be put away, or fetched again.
    #[error(transparent)]
    Away(#[from] AwayError),
}

impl Restore {
    /// Begins with shards that have no rows, and a ledger without records.
    #[must_use]
    pub fn new(shards: Vec<Shard>, shard_of: ShardOf) -> Restore {
        let (ledger, lent) = (Ledger::default(), Map::default());
        Restore { ledger, lent, shards, shard_of, erased: BTreeSet::new() }
    }

    /// Puts some rows of a snapshot where they belong.
    ///
    /// # Errors
    ///
    /// [`AwayError`], of a shard that is limited.
    pub fn rows(&mut self, rows: Vec<Row>) -> Result<(), AwayError> {
        let shards: Vec<_> = rows.iter().map(|row| (self.shard_of)(row.tenant, row.id)).collect();
        // Nobody is found; what is looked at on the way is near then.
        for (row, shard) in rows.iter().zip(&shards) {
            black_box(self.shards[*shard].guess(&row.id).is_some());
        }
        for (row, shard) in rows.into_iter().zip(shards) {
            if row.is_erased {
                self.erased.insert(row.id);
            }
            self.shards[shard].add(row);
            self.shards[shard].settle()?;
        }
        Ok(())
    }

    /// Goes on from a snapshot, whose rows came before.
    pub fn go_on_from(&mut self, desk: Desk, totals: Totals) {
        (self.ledger.desk, self.ledger.totals) = (desk, totals);
    }

    /// Folds the next records.
    ///
    /// # Errors
    ///
    /// [`RestoreError`].
    pub fn fold(&mut self, records: &[Record]) -> Result<(), RestoreError> {
        for records in records.chunks(LOOK_AHEAD_MAX) {
            self.look_ahead(records);
            for record in records {
                let inconsistent = |what| RestoreError::Inconsistent { seq: record.seq, what };
                if let Some(customer) = record.body.customer
                    && !self.ledger.rows.contains_key(&customer)
                {
                    self.borrow(record, customer)?.map_err(inconsistent)?;
                }
                self.ledger.evolve(record).map_err(inconsistent)?;
            }
            self.give_back()?;
        }
        Ok(())
    }

    fn look_ahead(&self, records: &[Record]) {
        self.ledger.desk.look_ahead_at(records);
        let named = records.iter().filter_map(|record| Some((record.body.tenant, record.body.customer?)));
        // Three short loops: a processor waits for few turns of a long one at a time.
        let shards: Vec<_> = named.map(|(tenant, customer)| (customer, (self.shard_of)(tenant, customer))).collect();
        let guess = |(customer, shard): (CustomerId, usize)| Some((shard, self.shards[shard].guess(&customer)?));
        let guessed: Vec<_> = shards.into_iter().filter_map(guess).collect();
        guessed.into_iter().for_each(|(shard, guess)| self.shards[shard].look_at(guess));
    }

    /// Fetches the row of a customer whom a record names, unless it makes one.
    fn borrow(&mut self, record: &Record, customer: CustomerId) -> Result<Result<(), Inconsistency>, AwayError> {
        let (desk, tenant) = (&self.ledger.desk, record.body.tenant);
        if desk.find_customer(tenant, CustomerName::Id(customer)).is_none() {
            let is_another_tenants = desk.last_record_of(customer) != Seq::ZERO;
            return Ok(if is_another_tenants { Err(Inconsistency::CustomerTwice(customer)) } else { Ok(()) });
        }
        if let Some((found, row)) = self.shards[(self.shard_of)(tenant, customer)].lend(&customer)? {
            self.lent.insert(customer, found);
            self.ledger.rows.insert(customer, row);
        }
        Ok(Ok(()))
    }

    fn give_back(&mut self) -> Result<(), AwayError> {
        for (customer, row) in self.ledger.rows.drain() {
            if row.is_erased {
                self.erased.insert(customer);
            }
            let shard = &mut self.shards[(self.shard_of)(row.tenant, customer)];
            match self.lent.remove(&customer) {
                Some(found) => shard.take_back(found, row),
                None => shard.add(row),
            }
        }
        for shard in &mut self.shards {
            shard.settle()?;
        }
        Ok(())
    }

    /// Returns the last record that was folded.
    #[must_use]
    pub const fn last(&self) -> Seq {
        self.ledger.desk.last()
    }

    /// Returns the desk.
    #[must_use]
    pub const fn desk(&self) -> &Desk {
        &self.ledger.desk
    }

    /// Returns the sums.
    #[must_use]
    pub const fn totals(&self) -> &Totals {
        &self.ledger.totals
    }

    /// Counts the customers.
    #[must_use]
    pub fn customers(&self) -> u64 {
        self.shards.iter().map(|shard| shard.len() as u64).sum()
    }

    /// Lists the customers who are erased.
    #[must_use]
    pub const fn erased(&self) -> &BTreeSet<CustomerId> {
        &self.erased
    }

    /// Returns the router and its shards.
    #[must_use]
    pub fn finish<T>(self) -> (Router<T>, Vec<Shard>) {
        let Ledger { desk, totals, .. } = self.ledger;
        (Router::new(desk, totals, self.shards.len(), self.shard_of), self.shards)
    }
}
