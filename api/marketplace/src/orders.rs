//! What the marketplace knows: who registered, and what was ordered.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_graphql::{ID, SimpleObject};

/// Rupiah of anything.
const PRICE: u32 = 25_000;
/// Rupiah to bring it.
const SHIPPING: u32 = 10_000;

/// An order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Its number, from 1.
    pub id: usize,
    /// What was ordered.
    pub product: String,
    /// How much of it.
    pub quantity: u32,
    /// Where it goes.
    pub address: String,
    /// How.
    pub shipping: String,
    /// The number that it is paid under.
    pub va_number: String,
    /// How often it was said that it is paid. Each time it is shipped again, and nobody notices: a second one is a loss.
    pub shipments: u32,
}

impl Order {
    /// Whole rupiah.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.quantity * PRICE + SHIPPING
    }
}

/// An order as it is shown.
#[derive(SimpleObject)]
#[graphql(name = "Order")]
pub(crate) struct Shown {
    id: ID,
    product_id: String,
    quantity: u32,
    total_harga: f64,
    status: &'static str,
    payment_status: &'static str,
    alamat_pengiriman: String,
    metode_pengiriman: String,
    ongkir: f64,
    #[graphql(name = "nomorVA")]
    nomor_va: String,
    nomor_resi: Option<String>,
}

impl From<Order> for Shown {
    fn from(order: Order) -> Shown {
        let is_paid = order.shipments > 0;
        Shown {
            id: order.id.into(),
            total_harga: order.total().into(),
            product_id: order.product,
            quantity: order.quantity,
            status: if is_paid { "PROCESS" } else { "PENDING" },
            payment_status: if is_paid { "PAID" } else { "UNPAID" },
            alamat_pengiriman: order.address,
            metode_pengiriman: order.shipping,
            ongkir: SHIPPING.into(),
            nomor_va: order.va_number,
            nomor_resi: is_paid.then(|| format!("RESI-{}-{}", order.id, order.shipments)),
        }
    }
}

/// Somebody who orders.
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) password: String,
}

#[derive(Default)]
struct Known {
    people: Vec<Person>,
    orders: Vec<Order>,
}

/// What the marketplace knows.
#[derive(Default)]
pub(crate) struct Orders {
    known: Mutex<Known>,
    changed: Condvar,
}

impl Orders {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the orders are so, but not longer than `time_max`, and returns them.
    pub(crate) fn wait_for(&self, mut are_so: impl FnMut(&[Order]) -> bool, time_max: Duration) -> Vec<Order> {
        let waited = self.changed.wait_timeout_while(self.known(), time_max, |known| !are_so(&known.orders));
        waited.unwrap_or_else(PoisonError::into_inner).0.orders.clone()
    }

    pub(crate) fn all(&self) -> Vec<Order> {
        self.known().orders.clone()
    }

    /// Registers somebody, unless the address is taken. Returns their number.
    pub(crate) fn register(&self, person: Person) -> Option<usize> {
        let mut known = self.known();
        let is_new = known.people.iter().all(|other| other.email != person.email);
        is_new.then(|| {
            known.people.push(person);
            known.people.len()
        })
    }

    /// Finds somebody by address and password. Returns their number and name.
    pub(crate) fn log_in(&self, email: &str, password: &str) -> Option<(usize, String)> {
        let known = self.known();
        let at = known.people.iter().position(|own| own.email == email && own.password == password)?;
        Some((at + 1, known.people[at].name.clone()))
    }

    pub(crate) fn is_known(&self, person: usize) -> bool {
        (1..=self.known().people.len()).contains(&person)
    }

    /// Adds an order, and gives it its number.
    pub(crate) fn add(&self, order: Order) -> Order {
        let mut known = self.known();
        let order = Order { id: known.orders.len() + 1, ..order };
        known.orders.push(order.clone());
        self.changed.notify_all();
        order
    }

    pub(crate) fn find(&self, va_number: &str) -> Option<Order> {
        self.known().orders.iter().find(|order| order.va_number == va_number).cloned()
    }

    /// Hears that an order is paid, and has it shipped: as often as it hears so. Returns false of one that nobody ordered.
    pub(crate) fn paid(&self, va_number: &str) -> bool {
        let mut known = self.known();
        let order = known.orders.iter_mut().find(|order| order.va_number == va_number);
        let is_known = order.map(|order| order.shipments += 1).is_some();
        self.changed.notify_all();
        is_known
    }
}
