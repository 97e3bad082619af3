//! The rows of a shard, found by customer, and walked through piece by piece in the order in which they came.

use kembali_core::customer::Row;
use kembali_core::{CustomerId, Map};

/// Rows by customer. A row keeps its place for ever, so that a walk can stop anywhere and go on later.
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

    /// Adds the row of a new customer.
    ///
    /// # Panics
    ///
    /// If the customer has a row already, or with more customers than memory could ever hold.
    pub(crate) fn insert(&mut self, row: Row) {
        let place = u32::try_from(self.rows.len()).expect("a shard has fewer than 2^32 customers");
        let before = self.places.insert(row.id, place);
        assert!(before.is_none(), "a customer is created twice");
        self.rows.push(row);
    }

    /// Lists the rows from a place on, each with its place.
    pub(crate) fn walk(&mut self, from: usize) -> impl Iterator<Item = (usize, &mut Row)> {
        self.rows.iter_mut().enumerate().skip(from)
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter()
    }
}

impl FromIterator<Row> for Rows {
    fn from_iter<I: IntoIterator<Item = Row>>(rows: I) -> Rows {
        let mut all = Rows::default();
        rows.into_iter().for_each(|row| all.insert(row));
        all
    }
}
