//! Tests of the rules through their public face, in one binary: tables of the seed systems' acceptance vectors, and
//! random histories against a model that shares no code with the rules.
//!
//! `KEMBALI_DEPTH` (default 1) multiplies the depth of the long tests.

#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests too")]

mod admit;
mod draft;
mod earning;
mod explain;
mod holds;
mod invoices;
mod journey;
mod ledger;
mod lots;
mod model;
mod operations;
mod operations_property;
mod operator;
mod percent;
mod placement;
mod preview;
mod promo;
mod property;
mod refund;
mod refund_property;
mod reversals;
mod reviews;
mod risk;
mod support;
mod transfers;
mod what_if;
mod whole;
