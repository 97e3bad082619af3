//! Tests of the pipeline through its public face, in one binary: scenarios as text, random schedules against a
//! sequential driver, storms and crashes. Nothing here has a thread or a clock; the disk is a list of records that
//! counts as durable when the test says so.
//!
//! `KEMBALI_DEPTH` (default 1) multiplies the depth of the long tests.

#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests too")]

mod crashes;
mod lists;
mod operator;
mod refunds;
mod restore;
mod reviews;
mod rig;
mod scenarios;
mod schedules;
mod sequential;
mod storms;
mod sweeps;
