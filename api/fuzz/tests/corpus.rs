//! What was found before, and what a person wrote, tried again: nothing may panic.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use flate2::read::GzDecoder;
use kembali_fuzz::network::Door;
use kembali_fuzz::stored;

/// Tries everything that there is for a target.
fn replay(target: &str, try_one: impl Fn(&[u8])) {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tried = 0;
    let seeds = own.join("seeds").join(target);
    if seeds.exists() {
        for seed in fs::read_dir(seeds).expect("the seeds are read") {
            try_one(&fs::read(seed.expect("a seed").path()).expect("a seed is read"));
            tried += 1;
        }
    }
    let found = File::open(own.join("corpus").join(format!("{target}.tar.gz"))).expect("each target has a corpus");
    for entry in tar::Archive::new(GzDecoder::new(found)).entries().expect("an archive") {
        let mut entry = entry.expect("an entry");
        if entry.header().entry_type().is_file() {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).expect("an entry is read");
            try_one(&bytes);
            tried += 1;
        }
    }
    assert!(0 < tried, "there is nothing for {target}");
}

macro_rules! replays {
    ($($name:ident: $try_one:expr,)+) => {
        $(#[test]
        fn $name() {
            replay(stringify!($name), $try_one);
        })+
    };
}

replays! {
    record: stored::record,
    frame: stored::frame,
    segment: stored::segment,
    snapshot: stored::snapshot,
}

macro_rules! replays_through_a_door {
    ($($name:ident)+) => {
        $(#[test]
        fn $name() {
            let door = Door::open();
            replay(stringify!($name), |data| door.$name(data));
        })+
    };
}

replays_through_a_door! { request bodies lines graphql websocket }
