//! Segments of the archive.
#![cfg_attr(fuzzing, no_main)]

kembali_fuzz::target!(stored::segment);
