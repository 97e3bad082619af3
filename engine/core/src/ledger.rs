//! The whole state as one fold of the records: for recovery, for offline checks, and as the oracle of tests.
//!
//! While the engine runs, the same parts live apart: the desk with the router, the rows with the shards.

use alloc::vec::Vec;

use crate::accounts::HouseAccount;
use crate::customer::Row;
use crate::desk::Desk;
use crate::event::{Event, Record};
use crate::identity::{AliasKind, CustomerId, Unit};
use crate::maps::Map;
use crate::totals::Totals;

/// The whole state.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// What no single customer owns.
    pub desk: Desk,
    /// Every customer.
    pub rows: Map<CustomerId, Row>,
    /// The sums.
    pub totals: Totals,
}

/// What a record says that cannot be: the journal is damaged although its bytes are whole, or the program is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inconsistency {
    /// An entry's two sides differ.
    UnbalancedEntry,
    /// The record names a customer whom no record created.
    UnknownCustomer(CustomerId),
    /// The record does not follow the one before.
    OutOfOrder,
    /// The record's chain of its customer does not lead to the customer's last record.
    BrokenChain,
}

impl Ledger {
    /// Folds one record in.
    ///
    /// # Errors
    ///
    /// [`Inconsistency`]; the state is then worthless.
    pub fn evolve(&mut self, record: &Record) -> Result<(), Inconsistency> {
        if record.seq != self.desk.last().next() {
            return Err(Inconsistency::OutOfOrder);
        }
        let body = &record.body;
        let is_balanced = |event: &Event| !matches!(event, Event::WalletEntry(entry) if !entry.balances());
        if !body.events.iter().all(is_balanced) {
            return Err(Inconsistency::UnbalancedEntry);
        }
        if let Some(customer) = body.customer {
            if body.previous != self.desk.last_record_of(customer) {
                return Err(Inconsistency::BrokenChain);
            }
            if let Some(row) = Row::created_by(body) {
                self.rows.insert(customer, row);
            }
            self.rows.get_mut(&customer).ok_or(Inconsistency::UnknownCustomer(customer))?.evolve(body);
        }
        self.desk.evolve(record);
        self.totals.evolve(record);
        Ok(())
    }

    /// Hands the canonical form of the state to `write`, piece by piece: what the ledger digest is the hash of.
    ///
    /// Rows in order of their ids, promo counters, sums. Positions, receive stamps and receipts are left out, so that
    /// two runs of one input compare equal.
    pub fn canonical(&self, mut write: impl FnMut(&[u8])) {
        let mut rows: Vec<&Row> = self.rows.values().collect();
        rows.sort_unstable_by_key(|row| row.id);
        write(&(rows.len() as u64).to_be_bytes());
        for row in rows {
            canonical_row(row, &mut write);
        }
        for (tenant, promo, used) in self.desk.promos_used() {
            write(&tenant.0.to_be_bytes());
            write(&promo.0.to_be_bytes());
            write(&used.to_be_bytes());
        }
        for (tenant, totals) in self.totals.tenants() {
            write(&tenant.0.to_be_bytes());
            write(&totals.accepted.to_be_bytes());
            write(&totals.customers.to_be_bytes());
            for sum in [totals.amount, totals.point_transaction, totals.point_loyalty] {
                write(&sum.to_be_bytes());
            }
            for ((unit, account), sum) in &totals.house {
                canonical_unit(*unit, &mut write);
                match account {
                    HouseAccount::PromoExpense(partner) => {
                        write(&[0]);
                        write(&partner.0.to_be_bytes());
                    }
                    HouseAccount::LoyaltyExpense => write(&[1]),
                }
                write(&sum.to_be_bytes());
            }
        }
    }
}

fn canonical_row(row: &Row, write: &mut impl FnMut(&[u8])) {
    write(&row.id.0.to_be_bytes());
    write(&row.tenant.0.to_be_bytes());
    write(&[match row.alias.kind {
        AliasKind::Email => 0,
        AliasKind::Ref => 1,
    }]);
    write(&row.alias.hash.to_be_bytes());
    write(&row.purchases.to_be_bytes());
    write(&(row.wallets.len() as u64).to_be_bytes());
    for wallet in &row.wallets {
        write(&wallet.id.0.to_be_bytes());
        canonical_unit(wallet.unit, write);
        write(&wallet.balance.minor_units().to_be_bytes());
    }
    write(&(row.standings.len() as u64).to_be_bytes());
    for standing in &row.standings {
        write(&standing.program.0.to_be_bytes());
        write(&standing.level.0.to_be_bytes());
        write(&standing.count.to_be_bytes());
        write(&standing.last_at.0.to_be_bytes());
    }
}

fn canonical_unit(unit: Unit, write: &mut impl FnMut(&[u8])) {
    match unit {
        Unit::Money(code) => {
            write(&[0]);
            write(&code.0);
        }
    }
}
