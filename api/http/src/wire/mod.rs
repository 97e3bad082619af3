//! What crosses the network: JSON in, JSON out. Nothing here asks the engine.
//!
//! Into the ledger: `purchase` (with `fault` for what is wrong with one) and [`catalogue`] (made a draft by
//! `catalogue_draft`). Out of it: [`result`], [`event`] and `catalogue_view`. The values in both: `number`, `instant`.

pub mod catalogue;
pub(crate) mod catalogue_draft;
pub(crate) mod catalogue_view;
pub(crate) mod document;
pub mod event;
pub(crate) mod fault;
pub(crate) mod instant;
pub(crate) mod number;
pub(crate) mod purchase;
pub mod result;
