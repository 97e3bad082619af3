//! What crosses the network: JSON in, JSON out. Nothing here asks the engine.
//!
//! Into the ledger: `purchase` and [`operation`] (with `fault` for what is wrong with one) and [`catalogue`] (made a draft
//! by `catalogue_draft`, a file by `catalogue_toml`); parts of it in `change`. Out of it: [`result`] of a purchase,
//! [`event`] and `message` of the stream; `costs`, `customer`, `explanation`, `history`, `liability`, `promo`, `report`, `statement`,
//! `rules` (made by `catalogue_view`) of reads; `change`, `preview` and `api_key` of changes; `what_if`; `snapshot`. The
//! values in both: `number`, `instant`; results are written by `json`. Each type derives its schema for
//! [`crate::openapi`].

pub(crate) mod api_key;
pub(crate) mod audit;
pub mod catalogue;
pub(crate) mod catalogue_draft;
mod catalogue_toml;
pub(crate) mod catalogue_view;
pub(crate) mod change;
pub(crate) mod costs;
pub(crate) mod customer;
pub(crate) mod delivery;
pub(crate) mod document;
mod earning;
pub mod event;
pub(crate) mod explanation;
pub(crate) mod export;
pub(crate) mod fault;
pub(crate) mod health;
pub(crate) mod history;
pub(crate) mod hold;
pub mod instant;
pub(crate) mod invoice;
mod json;
pub(crate) mod liability;
pub(crate) mod message;
pub(crate) mod number;
pub(crate) mod offer;
pub mod operation;
pub(crate) mod partner;
pub(crate) mod payment;
pub(crate) mod preview;
pub(crate) mod promo;
pub mod purchase;
pub(crate) mod refund;
pub(crate) mod report;
pub mod result;
pub(crate) mod reversal;
pub(crate) mod review;
pub(crate) mod risk;
pub(crate) mod rules;
pub(crate) mod session;
pub(crate) mod snapshot;
pub(crate) mod statement;
pub(crate) mod system;
pub(crate) mod transfer;
pub(crate) mod webhook;
pub(crate) mod what_if;
