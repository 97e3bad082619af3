//! The way of a purchase in pieces, each of which can be run for any number of purchases: for benches, and for counting instructions.

use std::any::Any;
use std::hint::black_box;
use std::ops::Range;

use kembali_core::command::{Command, PurchaseCommand};
use kembali_core::event::Record;
use kembali_core::ledger::Ledger;
use kembali_http::wire::{purchase, result};
use kembali_journal::codec;
use kembali_machine::Outcome;

use crate::{Pipeline, book, command, ledger};

/// Customers of the purchases: few enough to be known after the first moments.
const CUSTOMERS: u64 = 1_000;
/// A quota that no run uses up.
const QUOTA: u64 = 1 << 40;
/// Purchases that come together in the pipeline.
const BATCH: usize = 1_000;

/// A piece of the way of a purchase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The JSON of a purchase is read.
    Read,
    /// It is admitted and decided, and what it caused is folded into the ledger.
    Decide,
    /// It goes through router, shard and a journal in memory, from submission to reply, in batches of 1,000.
    Pipeline,
    /// Its record is written down.
    Encode,
    /// Its record is read back.
    Decode,
    /// The JSON of its result is written.
    Answer,
}

impl Stage {
    /// All, in the order in which a purchase takes them.
    pub const ALL: [Stage; 6] =
        [Stage::Read, Stage::Decide, Stage::Pipeline, Stage::Encode, Stage::Decode, Stage::Answer];

    /// Returns the name that the command line has for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Stage::Read => "read",
            Stage::Decide => "decide",
            Stage::Pipeline => "pipeline",
            Stage::Encode => "encode",
            Stage::Decode => "decode",
            Stage::Answer => "answer",
        }
    }

    /// Makes `count` purchases of known customers ready for it, and returns what runs them through it once. That returns what is to be put
    /// away afterwards.
    ///
    /// # Panics
    ///
    /// What is returned, if a purchase is not booked.
    #[must_use]
    pub fn prepare(self, count: u64) -> Box<dyn FnOnce() -> Box<dyn Any>> {
        match self {
            Stage::Read => {
                let documents: Vec<String> = (0..count).map(document).collect();
                Box::new(move || {
                    for document in &documents {
                        assert!(black_box(purchase::read(document.as_bytes())).is_some(), "{document}");
                    }
                    Box::new(documents)
                })
            }
            Stage::Decide => {
                let (mut ledger, first) = warm();
                let commands: Vec<_> = (first..first + count).map(|number| command(number, CUSTOMERS)).collect();
                let mut records = Vec::with_capacity(commands.len());
                Box::new(move || {
                    records.extend(commands.into_iter().map(|command| book(&mut ledger, command)));
                    Box::new((ledger, records))
                })
            }
            Stage::Pipeline => {
                let first = warm().1;
                let batches = |numbers: Range<u64>| {
                    let commands: Vec<_> = numbers.map(|number| command(number, CUSTOMERS)).collect();
                    commands.chunks(BATCH).map(|batch| batch.iter().cloned().map(purchase_of).collect()).collect()
                };
                let (before, measured): (Vec<Vec<Command>>, Vec<Vec<Command>>) =
                    (batches(0..first), batches(first..first + count));
                let mut pipeline = Pipeline::new(QUOTA);
                before.into_iter().for_each(|commands| drop(pipeline.run(commands)));
                Box::new(move || {
                    for commands in measured {
                        let count = commands.len();
                        let outcomes = pipeline.run(commands);
                        assert!(outcomes.len() == count && outcomes.iter().all(is_booked));
                    }
                    Box::new(pipeline)
                })
            }
            Stage::Encode => {
                let (_, records) = records(count);
                let mut bytes = Vec::with_capacity(1_024);
                Box::new(move || {
                    for record in &records {
                        bytes.clear();
                        codec::encode(&record.body, &mut bytes).expect("a small record");
                        black_box(&bytes);
                    }
                    Box::new(records)
                })
            }
            Stage::Decode => {
                let (_, records) = records(count);
                let encoded: Vec<_> = records.iter().map(|record| (record.seq, encode(record))).collect();
                Box::new(move || {
                    for (seq, bytes) in &encoded {
                        black_box(codec::decode(*seq, bytes)).expect("it was encoded");
                    }
                    Box::new(encoded)
                })
            }
            Stage::Answer => {
                let (ledger, records) = records(count);
                let rules = ledger.desk.catalogues().next().expect("the rules are there").clone();
                let mut answer = Vec::with_capacity(2_048);
                Box::new(move || {
                    for record in &records {
                        answer.clear();
                        result::render(&mut answer, record.seq, &record.body, &rules).expect("it is a purchase");
                        black_box(&answer);
                    }
                    Box::new(records)
                })
            }
        }
    }
}

/// A ledger to which all customers are known, and the number of the first purchase that it does not have.
fn warm() -> (Ledger, u64) {
    let mut ledger = ledger(QUOTA);
    let mut next = 0;
    while (ledger.rows.len() as u64) < CUSTOMERS {
        book(&mut ledger, command(next, CUSTOMERS));
        next += 1;
    }
    (ledger, next)
}

/// The records of so many purchases of known customers, and the ledger behind them.
fn records(count: u64) -> (Ledger, Vec<Record>) {
    let (mut ledger, first) = warm();
    let records = (first..first + count).map(|number| book(&mut ledger, command(number, CUSTOMERS))).collect();
    (ledger, records)
}

fn purchase_of(command: PurchaseCommand) -> Command {
    Command::Purchase(Box::new(command))
}

fn is_booked(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Booked { .. })
}

fn encode(record: &Record) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec::encode(&record.body, &mut bytes).expect("a small record");
    bytes
}

/// The JSON of the purchase of this number, as a partner sends it.
fn document(number: u64) -> String {
    let purchase = command(number, CUSTOMERS).purchase;
    format!(
        concat!(
            r#"{{"origin_id":"{}","customer":{{"ref":"customer-{:08}"}},"amount":{},"quantity":{},"#,
            r#""occurred_at":"2023-01-15T{:02}:{:02}:{:02}Z","promo_code":"KEZBEK1000"}}"#
        ),
        purchase.origin_id,
        number % CUSTOMERS,
        purchase.amount,
        purchase.quantity,
        number / 3_600 % 24,
        number / 60 % 60,
        number % 60,
    )
}

#[cfg(test)]
mod tests {
    use kembali_core::event::Event;

    use super::*;

    #[test]
    fn every_stage_runs() {
        for stage in Stage::ALL {
            drop(stage.prepare(10)());
        }
    }

    #[test]
    fn records_are_of_purchases() {
        let (_, records) = records(3);
        let is_purchase =
            |record: &Record| record.body.events.iter().any(|event| matches!(event, Event::PurchaseBooked(_)));
        assert!(records.len() == 3 && records.iter().all(is_purchase));
    }
}
