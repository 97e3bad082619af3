//! Wallets: many a customer, each a liability of the house in one unit.
//!
//! Wallet 0 is there from the start: cashback goes to it. Others are opened and closed by name. A wallet that is frozen
//! takes no debit and no credit; one that is closed never does again (Dompet Digital Sawit, with its bugs fixed).

use serde::{Deserialize, Serialize};

use crate::identity::{Unit, WalletId};
use crate::operation::OperationRejection;
use crate::quantity::{Amount, Balance};

/// The wallet that cashback goes to.
pub const CASHBACK_WALLET: WalletId = WalletId(0);
/// Wallets that a customer may have, the closed ones too: their numbers are never used again.
pub const WALLETS_MAX: usize = 256;

/// A wallet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wallet {
    /// Its id.
    pub id: WalletId,
    /// What it counts.
    pub unit: Unit,
    /// How much is in it.
    pub balance: Balance,
    /// What may be done with it.
    pub status: WalletStatus,
}

/// What may be done with a wallet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum WalletStatus {
    /// Everything.
    Active,
    /// Nothing, until an operator makes it active again.
    Frozen,
    /// Nothing, for ever. It is empty.
    Closed,
}

impl Wallet {
    /// Makes an empty wallet.
    #[must_use]
    pub const fn new(id: WalletId, unit: Unit) -> Wallet {
        Wallet { id, unit, balance: Balance::ZERO, status: WalletStatus::Active }
    }

    /// Checks that the wallet may be debited and credited.
    ///
    /// # Errors
    ///
    /// [`OperationRejection::WalletFrozen`], [`OperationRejection::WalletClosed`].
    pub const fn check_usable(&self) -> Result<(), OperationRejection> {
        match self.status {
            WalletStatus::Active => Ok(()),
            WalletStatus::Frozen => Err(OperationRejection::WalletFrozen),
            WalletStatus::Closed => Err(OperationRejection::WalletClosed),
        }
    }

    /// Checks that the wallet, of which `held` is held, may become `status`. Returns false when it is that already.
    ///
    /// # Errors
    ///
    /// A closed wallet stays closed, the wallet that cashback goes to is never closed, and what is closed is empty and nothing of it is held.
    pub fn check_becomes(&self, status: WalletStatus, held: Amount) -> Result<bool, OperationRejection> {
        match (self.status, status) {
            (own, wanted) if own == wanted => Ok(false),
            (WalletStatus::Closed, _) => Err(OperationRejection::WalletClosed),
            (_, WalletStatus::Closed) if self.id == CASHBACK_WALLET => Err(OperationRejection::WalletIsDefault),
            (WalletStatus::Frozen, WalletStatus::Closed) => Err(OperationRejection::WalletFrozen),
            (_, WalletStatus::Closed) if !self.balance.is_zero() => {
                Err(OperationRejection::WalletNotEmpty { balance: self.balance })
            }
            (_, WalletStatus::Closed) if !held.is_zero() => Err(OperationRejection::WalletHeld { held }),
            _ => Ok(true),
        }
    }
}
