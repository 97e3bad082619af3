//! One customer: wallets and tiers, and the decision that needs them.
//!
//! A row is the fold of the records that name its customer. [`decide`] may refuse; [`Row::evolve`] cannot.

mod decide;

use alloc::vec::Vec;

pub use decide::{Decision, Needs, Resource, ResourceKind, decide};
use serde::{Deserialize, Serialize};

use crate::event::{Body, Event};
use crate::identity::{Alias, CustomerId, RuleId, TenantId, Unit, WalletId};
use crate::journey::Standing;
use crate::quantity::Amount;

/// Everything that the ledger knows of a customer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The customer.
    pub id: CustomerId,
    /// Whose customer.
    pub tenant: TenantId,
    /// The version of the tenant's rules that the row was last decided by.
    pub catalogue_version: u32,
    /// The alias that named the customer first.
    pub alias: Alias,
    /// How many purchases are booked.
    pub purchases: u64,
    /// The wallets, in order of their ids.
    pub wallets: Vec<Wallet>,
    /// Where the customer stands in each programme, in order of the programmes.
    pub standings: Vec<Standing>,
}

/// A wallet: a liability of the house.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wallet {
    /// Its id.
    pub id: WalletId,
    /// What it counts.
    pub unit: Unit,
    /// How much is in it.
    pub balance: Amount,
}

impl Row {
    /// Makes the row of a customer whom a record creates, before that record is folded in.
    ///
    /// Returns `None` when the record creates nobody.
    #[must_use]
    pub fn created_by(body: &Body) -> Option<Row> {
        let id = body.customer?;
        let created = body.events.iter().find_map(|event| match event {
            Event::CustomerCreated(created) => Some(created),
            _ => None,
        })?;
        Some(Row {
            id,
            tenant: body.tenant,
            catalogue_version: body.catalogue_version,
            alias: created.alias,
            purchases: 0,
            wallets: Vec::new(),
            standings: Vec::new(),
        })
    }

    /// Folds a record in that names this customer.
    pub fn evolve(&mut self, body: &Body) {
        self.catalogue_version = body.catalogue_version;
        for event in &body.events {
            match event {
                Event::PurchaseBooked(_) => self.purchases += 1,
                Event::TierStepped(stepped) => self.place(stepped.after),
                Event::WalletEntry(entry) => self.set_balance(entry.wallet, entry.unit, entry.balance_after),
                Event::CatalogueApplied(_)
                | Event::CustomerCreated(_)
                | Event::PurchaseRefused(_)
                | Event::PromoGranted(_)
                | Event::PromoDeclined(_)
                | Event::MilestoneReached(_) => (),
            }
        }
    }

    fn place(&mut self, standing: Standing) {
        match self.standings.binary_search_by_key(&standing.program, |own| own.program) {
            Ok(at) => self.standings[at] = standing,
            Err(at) => {
                // Most customers stand in one programme for ever.
                self.standings.reserve_exact(1);
                self.standings.insert(at, standing);
            }
        }
    }

    fn set_balance(&mut self, id: WalletId, unit: Unit, balance: Amount) {
        match self.wallets.binary_search_by_key(&id, |own| own.id) {
            Ok(at) => self.wallets[at].balance = balance,
            Err(at) => {
                self.wallets.reserve_exact(1);
                self.wallets.insert(at, Wallet { id, unit, balance });
            }
        }
    }

    /// Finds where the customer stands in a programme.
    #[must_use]
    pub fn standing(&self, program: RuleId) -> Option<&Standing> {
        self.standings.iter().find(|standing| standing.program == program)
    }

    /// Returns what is in a wallet; nothing when there was no entry yet.
    #[must_use]
    pub fn balance(&self, wallet: WalletId) -> Amount {
        self.wallets.iter().find(|own| own.id == wallet).map_or(Amount::ZERO, |own| own.balance)
    }
}
