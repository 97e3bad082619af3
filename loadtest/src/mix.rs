//! What a connection does beside its purchases: refunds of some of them, and reads of the customers of some, as soon as their request is
//! answered and over the same connection.
//!
//! Only this connection buys for its customers, so a read must show the balance that the last answer told, to the unit: a right balance at
//! once. Which purchases they are follows from the seed. By HTTP only.

use std::collections::BTreeMap;
use std::time::Instant;

use hdrhistogram::CreationError;
use hyper::body::Bytes;
use serde::Deserialize;

use crate::answer::{self, Answer, BadAnswer, Holder};
use crate::client::{Client, ClientError, Key};
use crate::random::Draws;
use crate::tally::Tally;
use crate::workload::{Order, Workload};

/// Makes these draws others than those of what is bought.
const BESIDE: u64 = 0x7265_6164_7321_2121;

/// How much there is beside purchases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mix {
    /// How many of a thousand purchases are followed by a read of their customer.
    pub(crate) reads: u64,
    /// How many of a thousand purchases are refunded whole.
    pub(crate) refunds: u64,
}

/// A customer as the last answer of this request has it that booked a purchase or a refund.
#[derive(Debug)]
struct Known {
    id: String,
    balance: i64,
}

/// What is to be done beside one request.
pub(crate) struct Beside<'a> {
    workload: &'a Workload,
    mix: Mix,
    refunds: Vec<Order>,
    reads: Vec<u32>,
    /// Those of the reads and refunds; nothing of one for whom nothing is booked.
    customers: BTreeMap<u32, Option<Known>>,
    /// Answers that booked a purchase and told no balance.
    untold: u64,
}

/// What there is beside one purchase.
struct Drawn {
    is_read: bool,
    is_refunded: bool,
}

/// The part of a customer that is checked.
#[derive(Deserialize)]
struct Customer {
    balance: i64,
}

impl<'a> Beside<'a> {
    /// Makes one for the purchases of `workload`.
    pub(crate) fn new(workload: &'a Workload, mix: Mix) -> Beside<'a> {
        Beside { workload, mix, refunds: Vec::new(), reads: Vec::new(), customers: BTreeMap::new(), untold: 0 }
    }

    /// Chooses among the purchases of a request that is about to be sent.
    pub(crate) fn choose(&mut self, orders: &[Order]) {
        if self.mix == Mix::default() {
            return;
        }
        self.refunds.clear();
        self.reads.clear();
        self.customers.clear();
        for order in orders {
            let drawn = self.drawn(*order);
            if drawn.is_read {
                self.reads.push(order.customer);
            }
            if drawn.is_read || drawn.is_refunded {
                self.customers.insert(order.customer, None);
            }
        }
    }

    fn drawn(&self, order: Order) -> Drawn {
        let mut draws = Draws::new(self.workload.seed() ^ BESIDE, u64::from(order.number));
        let mut is = |of_a_thousand| draws.below(1_000) < of_a_thousand;
        Drawn { is_read: is(self.mix.reads), is_refunded: is(self.mix.refunds) }
    }

    /// Takes the answer of a purchase, with the bytes that it was read from.
    pub(crate) fn see(&mut self, order: Order, answer: &Answer<'_>, bytes: &[u8]) {
        let is_refunded = !self.customers.is_empty() && self.drawn(order).is_refunded;
        let Some(known) = self.customers.get_mut(&order.customer) else { return };
        // Other answers move no money, and what was booked before was refunded then.
        let Answer::Booked { replayed: false, .. } = answer else { return };
        let holder = answer::holder_of(bytes);
        self.untold += u64::from(holder.is_none());
        *known = holder.map(|Holder { customer, balance }| Known { id: customer.to_owned(), balance });
        if is_refunded {
            self.refunds.push(order);
        }
    }

    /// Does what is to be done, and counts it.
    ///
    /// # Errors
    ///
    /// [`BesideError`].
    pub(crate) async fn finish(
        &mut self,
        client: &mut Client,
        key: &Key,
        tally: &mut Tally,
    ) -> Result<(), BesideError> {
        for _ in 0..std::mem::take(&mut self.untold) {
            tally.mismatch(|| "a purchase was answered without its customer and balance".to_owned());
        }
        for order in self.refunds.drain(..) {
            let began = Instant::now();
            let body = client.refund(key, refund(self.workload, order), &mut tally.retries).await?;
            tally.refunds.record(began.elapsed())?;
            // One that takes nothing back moves no money, and tells no balance.
            if let Some(Some(known)) = self.customers.get_mut(&order.customer)
                && let Some(balance) = answer::balance_of(&body)
            {
                known.balance = balance;
            }
        }
        for number in self.reads.drain(..) {
            let Some(Some(Known { id, balance: expected })) = self.customers.get(&number) else { continue };
            let began = Instant::now();
            let body = client.customer(key, id, &mut tally.retries).await?;
            tally.reads.record(began.elapsed())?;
            let Customer { balance } = serde_json::from_slice(&body).map_err(BadAnswer::Json)?;
            if balance != *expected {
                tally.mismatch(|| format!("customer {id} was read with {balance}, the last answer told {expected}"));
            }
        }
        Ok(())
    }
}

/// Why something beside the purchases has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BesideError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Answer(#[from] BadAnswer),
    #[error("the latencies cannot be counted: {0}")]
    Histogram(#[from] CreationError),
}

/// Writes the refund of a whole purchase.
fn refund(workload: &Workload, order: Order) -> Bytes {
    let mut body = br#"{"refund_id":"load","origin_id":""#.to_vec();
    workload.write_origin_id(order, &mut body);
    body.extend_from_slice(format!(r#"","amount":{}}}"#, workload.amount(order)).as_bytes());
    body.into()
}
