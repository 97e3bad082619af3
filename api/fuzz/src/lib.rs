//! Fuzzing guided by coverage: everything that reads bytes which others wrote. How it is run is in `docs/fuzzing.md`.
//!
//! Each function takes any bytes and may not panic: what is wrong is an error to the reader, and what is read must survive being
//! written and read again. [`stored`] has what lies on a disk, [`network`] what comes from strangers, through the door that they use.
//! `fuzz_targets/` makes programs of them, and the tests replay what was found.

pub mod network;
pub mod stored;

/// Makes a program of the function with this name, of the module or of its door: a fuzzer, where it is built as one.
#[macro_export]
macro_rules! target {
    (stored::$name:ident) => {
        $crate::target!(@ |data| kembali_fuzz::stored::$name(data));
    };
    (network::$name:ident) => {
        $crate::target!(@ |data| {
            kembali_fuzz::network::through_a_door(|door| door.$name(data));
        });
    };
    (@ |$data:ident| $body:expr) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|$data: &[u8]| $body);

        #[cfg(not(fuzzing))]
        fn main() -> std::process::ExitCode {
            // It is compiled all the same, so that no change breaks it unseen.
            let _: fn(&[u8]) = |$data| $body;
            eprintln!("This is no fuzzer yet: api/fuzz/fuzz.sh builds it as one.");
            std::process::ExitCode::FAILURE
        }
    };
}
