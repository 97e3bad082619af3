//! Adapters: clients of the systems that this one replaces talk to it unchanged.
//!
//! Each module maps one system's own routes and messages onto the native API, as whoever sent the request, and writes the answers as
//! that system does. No rule of the ledger is here, and nothing is stored: an adapter is off unless the settings turn it on.

mod call;
mod dompet;
mod kezbek;
mod loyaltea;
mod money;
mod onetap;
mod rules;

pub use dompet::Dompet;
pub use kezbek::{KezBek, KezBekError};
pub use loyaltea::Loyaltea;
#[cfg(feature = "kafka")]
pub use loyaltea::{KafkaConfig, KafkaStartError};
pub use onetap::Onetap;
