//! What the crate promises, tried on ledgers made by the rules themselves.

mod archive;
mod crafted;
mod crash;
mod damage;
mod segments;
mod snapshot_damage;
mod snapshots;
mod support;
