//! Frames of the journal.
#![cfg_attr(fuzzing, no_main)]

kembali_fuzz::target!(stored::frame);
