//! The only reader of time. Everything else gets its instants as data.

use std::time::{SystemTime, UNIX_EPOCH};

use kembali_core::Instant;

/// Reads the wall clock.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the only reader of time")]
pub fn now() -> Instant {
    let micros = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |micros| -micros),
    };
    Instant(micros)
}
