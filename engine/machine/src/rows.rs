//! The rows of a shard, found by customer, and walked through piece by piece in the order in which they came.

use std::hint::black_box;

use kembali_core::customer::Row;
use kembali_core::{BigMap, CustomerId};

/// Rows that lie together. Full ones are never moved: nobody waits while a million rows are copied to make room for one.
const CHUNK_ROWS: usize = 1_024;

/// Rows by customer. A row keeps its place for ever, so that a walk can stop anywhere and go on later.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    /// All but the last are full.
    chunks: Vec<Vec<Row>>,
    places: BigMap<CustomerId, u32>,
}

impl Rows {
    pub(crate) fn get(&self, customer: &CustomerId) -> Option<&Row> {
        let place = *self.places.get(customer)? as usize;
        self.chunks.get(place / CHUNK_ROWS)?.get(place % CHUNK_ROWS)
    }

    pub(crate) fn get_mut(&mut self, customer: &CustomerId) -> Option<&mut Row> {
        let place = *self.places.get(customer)? as usize;
        self.chunks.get_mut(place / CHUNK_ROWS)?.get_mut(place % CHUNK_ROWS)
    }

    /// Looks at the rows of some customers, and changes nothing: each look waits for memory that is far away, and those of a batch
    /// wait together.
    pub(crate) fn look_ahead(&self, customers: impl Iterator<Item = CustomerId>) {
        let rows: Vec<&Row> = customers.filter_map(|customer| self.get(&customer)).collect();
        for row in rows {
            black_box(row.purchases);
            black_box(row.wallets.first().map(|wallet| wallet.balance));
            black_box(row.standings.first().map(|standing| standing.count));
            black_box((row.points.len(), row.holds.len()));
        }
    }

    /// Adds the row of a new customer.
    ///
    /// # Panics
    ///
    /// If the customer has a row already, or with more customers than memory could ever hold.
    pub(crate) fn insert(&mut self, row: Row) {
        let place = u32::try_from(self.len()).expect("a shard has fewer than 2^32 customers");
        let before = self.places.insert(row.id, place);
        assert!(before.is_none(), "a customer is created twice");
        match self.chunks.last_mut().filter(|chunk| chunk.len() < CHUNK_ROWS) {
            Some(chunk) => chunk.push(row),
            None => {
                let mut chunk = Vec::with_capacity(CHUNK_ROWS);
                chunk.push(row);
                self.chunks.push(chunk);
            }
        }
    }

    /// Lists the rows from a place on, each with its place.
    pub(crate) fn walk(&mut self, from: usize) -> impl Iterator<Item = (usize, &mut Row)> {
        let (chunk, rest) = (from / CHUNK_ROWS, from % CHUNK_ROWS);
        let rows = self.chunks.iter_mut().skip(chunk).flatten().skip(rest);
        (from..).zip(rows)
    }

    pub(crate) fn len(&self) -> usize {
        let full = self.chunks.len().saturating_sub(1);
        self.chunks.last().map_or(0, |last| full * CHUNK_ROWS + last.len())
    }

    /// Lists the rows from a place on.
    pub(crate) fn values(&self, from: usize) -> impl Iterator<Item = &Row> {
        self.chunks.iter().skip(from / CHUNK_ROWS).flatten().skip(from % CHUNK_ROWS)
    }
}

impl FromIterator<Row> for Rows {
    fn from_iter<I: IntoIterator<Item = Row>>(rows: I) -> Rows {
        let mut all = Rows::default();
        rows.into_iter().for_each(|row| all.insert(row));
        all
    }
}

#[cfg(test)]
mod tests {
    use kembali_core::event::{Body, CustomerCreated, Event};
    use kembali_core::{Alias, AliasKind, Instant, Seq, TenantId};

    use super::*;

    fn row(id: u128) -> Row {
        let created = CustomerCreated { alias: Alias { kind: AliasKind::Ref, hash: id } };
        let body = Body {
            received_at: Instant(0),
            tenant: TenantId(1),
            catalogue_version: 1,
            customer: Some(CustomerId(id)),
            previous: Seq::ZERO,
            events: vec![Event::CustomerCreated(created)],
        };
        Row::created_by(&body).expect("the body creates one")
    }

    #[test]
    fn a_row_keeps_its_place_and_walks_begin_anywhere() {
        let count = 2 * CHUNK_ROWS + 7;
        let mut rows = Rows::default();
        assert_eq!((rows.len(), rows.values(0).count()), (0, 0));
        for id in 0..count as u128 {
            rows.insert(row(id));
            assert_eq!(rows.len(), id as usize + 1);
        }
        for from in [0, 1, CHUNK_ROWS - 1, CHUNK_ROWS, 2 * CHUNK_ROWS, count - 1, count, count + CHUNK_ROWS] {
            let wanted: Vec<(usize, u128)> = (from..count).map(|place| (place, place as u128)).collect();
            assert_eq!(rows.walk(from).map(|(place, row)| (place, row.id.0)).collect::<Vec<_>>(), wanted, "{from}");
            let seen = (from..).zip(rows.values(from)).map(|(place, row)| (place, row.id.0));
            assert_eq!(seen.collect::<Vec<_>>(), wanted, "{from}");
        }
        for id in 0..count as u128 {
            assert_eq!(rows.get(&CustomerId(id)).map(|row| row.id.0), Some(id));
            assert_eq!(rows.get_mut(&CustomerId(id)).map(|row| row.id.0), Some(id));
        }
        assert!(rows.get(&CustomerId(count as u128)).is_none());
    }
}
