//! Snapshots of the ledger.
#![cfg_attr(fuzzing, no_main)]

kembali_fuzz::target!(stored::snapshot);
