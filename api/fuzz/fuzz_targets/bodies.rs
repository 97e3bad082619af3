//! Bodies that clients of other systems post.
#![cfg_attr(fuzzing, no_main)]

kembali_fuzz::target!(network::bodies);
