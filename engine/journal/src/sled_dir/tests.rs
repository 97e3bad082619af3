//! Tests of what is known about sled's own files.

use super::{CONF_TEXT, conf_bytes, crc32};

#[test]
fn crc32_is_the_one_of_zip() {
    assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
}

#[test]
fn conf_is_what_sled_writes() {
    // `SledDir::create` compares it with a fresh one; here it is pinned.
    assert_eq!(conf_bytes().len(), 62);
    assert_eq!(conf_bytes()[..CONF_TEXT.len()], *CONF_TEXT);
    let dir = tempfile::tempdir().unwrap();
    drop(super::config(dir.path()).open().unwrap());
    assert_eq!(std::fs::read(dir.path().join("conf")).unwrap(), conf_bytes());
}
