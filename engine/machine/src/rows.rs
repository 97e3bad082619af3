//! The rows of a shard: found by customer, and gone through in pieces while they change.
//!
//! A row keeps its place for ever, so a walk that stops after each piece sees every row once that was there when it
//! began. A hash map alone moves its rows when it grows.

use kembali_core::customer::Row;
use kembali_core::{CustomerId, Map};

/// Rows by their customers.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    rows: Vec<Row>,
    places: Map<CustomerId, u32>,
}

impl Rows {
    pub(crate) fn get(&self, customer: &CustomerId) -> Option<&Row> {
        self.rows.get(*self.places.get(customer)? as usize)
    }

    pub(crate) fn get_mut(&mut self, customer: &CustomerId) -> Option<&mut Row> {
        self.rows.get_mut(*self.places.get(customer)? as usize)
    }

    /// Puts a row in, in the place of the customer's row before, if there is one.
    ///
    /// # Panics
    ///
    /// If there are 2^32 rows.
    pub(crate) fn insert(&mut self, customer: CustomerId, row: Row) {
        let next = u32::try_from(self.rows.len()).expect("a shard has less than 2^32 rows");
        let place = *self.places.entry(customer).or_insert(next);
        match self.rows.get_mut(place as usize) {
            Some(own) => *own = row,
            None => self.rows.push(row),
        }
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter()
    }

    /// Returns at most `count` rows from a place on.
    pub(crate) fn piece(&self, from: usize, count: usize) -> &[Row] {
        let rest = self.rows.get(from..).unwrap_or_default();
        &rest[..rest.len().min(count)]
    }
}

impl FromIterator<(CustomerId, Row)> for Rows {
    fn from_iter<I: IntoIterator<Item = (CustomerId, Row)>>(rows: I) -> Rows {
        let mut all = Rows::default();
        rows.into_iter().for_each(|(customer, row)| all.insert(customer, row));
        all
    }
}

#[cfg(test)]
mod tests {
    use kembali_core::{Alias, AliasKind, TenantId};

    use super::*;

    fn row(id: u128, purchases: u64) -> Row {
        Row {
            id: CustomerId(id),
            tenant: TenantId(1),
            catalogue_version: 1,
            alias: Alias { kind: AliasKind::Ref, hash: id },
            purchases,
            wallets: Vec::new(),
            standings: Vec::new(),
            spends: Vec::new(),
            points: Vec::new(),
            campaigns: Vec::new(),
        }
    }

    #[test]
    fn a_walk_sees_each_row_once_while_rows_come_and_change() {
        let mut rows: Rows = (0..100).map(|id| (CustomerId(id * 7_919 % 101), row(id * 7_919 % 101, 0))).collect();
        let mut seen = Vec::new();
        for piece in 0..100 {
            let some = rows.piece(seen.len(), 16);
            seen.extend(some.iter().map(|row| row.id.0));
            if some.len() < 16 {
                break;
            }
            (0..3).for_each(|new| rows.insert(CustomerId(1_000 + 3 * piece + new), row(1_000 + 3 * piece + new, 0)));
            rows.get_mut(&CustomerId(50)).expect("it is there").purchases += 1;
        }
        let mut once = seen.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), seen.len(), "a row is seen twice");
        assert!((0..101).filter(|id| rows.get(&CustomerId(*id)).is_some()).all(|id| once.contains(&id)));
        assert_eq!(rows.values().count(), seen.len());
    }

    #[test]
    fn a_row_that_is_put_in_again_keeps_its_place() {
        let mut rows: Rows = [(CustomerId(1), row(1, 1)), (CustomerId(2), row(2, 2))].into_iter().collect();
        rows.insert(CustomerId(1), row(1, 9));
        assert_eq!(rows.piece(0, 9).iter().map(|row| row.purchases).collect::<Vec<_>>(), [9, 2]);
        assert_eq!(rows.get(&CustomerId(1)).map(|row| row.purchases), Some(9));
        assert_eq!(rows.get(&CustomerId(3)), None);
        assert!(rows.piece(2, 9).is_empty() && rows.piece(99, 9).is_empty());
    }
}
