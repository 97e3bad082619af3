//! Streams of purchases.
#![cfg_attr(fuzzing, no_main)]

kembali_fuzz::target!(network::lines);
