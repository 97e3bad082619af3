//! The rules of the ledger: pure, and alone in being allowed to decide anything.
//!
//! Nothing here does I/O, reads a clock, draws a random number, starts a thread or touches a float: the crate builds
//! without the standard library, and the compiler proves it. A command comes in with its stamp, events go out, and the
//! state is a fold of them.
//!
//! Read in this order: [`command`] (what is asked), [`desk`] (what no single customer owns), [`customer`] (one
//! customer's row), [`event`] (what happened), [`ledger`] (the whole state), [`what_if`] (another one beside it). The
//! rules themselves: [`promo`], [`journey`], [`threshold`], [`cashback`], [`campaign`], [`points`], [`purchase`],
//! [`accounts`], [`hold`], [`transfer`], [`invoice`], [`risk`], [`refund`]; what they say of a purchase that is booked: [`explain`]. What a change of them would do:
//! [`preview`].
#![no_std]
// Tests use proptest, which needs the standard library.
#[cfg(test)]
extern crate std;

extern crate alloc;

pub mod accounts;
pub mod audit;
pub mod campaign;
pub mod cashback;
pub mod catalogue;
pub mod command;
pub mod customer;
pub mod desk;
pub mod draft;
pub mod event;
pub mod explain;
pub mod hold;
mod identity;
pub mod invoice;
pub mod journey;
pub mod ledger;
pub mod liability;
mod maps;
pub mod offer;
pub mod operation;
mod percent;
pub mod placement;
pub mod points;
pub mod preview;
pub mod promo;
pub mod purchase;
mod quantity;
pub mod refund;
mod rejection;
pub mod reversal;
pub mod review;
pub mod risk;
pub mod threshold;
pub mod tier_move;
pub mod totals;
pub mod transfer;
pub mod upkeep;
pub mod wallet;
pub mod what_if;

pub use identity::{
    AccountId, Alias, AliasKind, CurrencyCode, CustomerId, CustomerName, Fingerprint, PartnerId, PurchaseKey, RuleId,
    TenantId, Unit, WalletId,
};
pub use maps::{BigMap, Map, Set};
pub use percent::{ExactShare, PERCENT_PLACES_MAX, Percent, Rate};
pub use quantity::{AMOUNT_MAX, Amount, Balance, DAY_US, Instant, Seq, Ticket};
pub use rejection::{CatalogueRejection, Rejection, RejectionCode};
