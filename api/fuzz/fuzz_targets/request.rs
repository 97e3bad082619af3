//! Whole requests, to every route.
#![cfg_attr(fuzzing, no_main)]

kembali_fuzz::target!(network::request);
