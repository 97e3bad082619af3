//! How API keys are used, since the server started: whoever rotates one sees whether the old one still is.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use kembali_core::Instant;
use kembali_engine::ApiKeyId;

use crate::codes::Code;

/// What became of the requests that showed a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeyUsage {
    /// Requests that the key opened.
    pub(crate) requests: u64,
    /// When the last of them came.
    pub(crate) last_at: Option<Instant>,
    /// Requests that it did not open: their signature was wrong, the partner suspended or beyond its limits.
    pub(crate) failures: u64,
    /// When the last of them came, and why.
    pub(crate) last_failure: Option<(Instant, &'static str)>,
}

/// The use of all keys. Only keys that are given are counted, so strangers cannot make it grow.
#[derive(Debug, Default)]
pub(crate) struct KeyUses(Mutex<HashMap<ApiKeyId, KeyUsage>>);

impl KeyUses {
    pub(crate) fn of(&self, key: ApiKeyId) -> KeyUsage {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key).copied().unwrap_or_default()
    }

    /// Counts a request that showed the key.
    pub(crate) fn count(&self, key: ApiKeyId, now: Instant, failure: Option<&'static Code>) {
        let mut uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let usage = uses.entry(key).or_default();
        match failure {
            None => {
                usage.requests += 1;
                usage.last_at = Some(now);
            }
            Some(code) => {
                usage.failures += 1;
                usage.last_failure = Some((now, code.code));
            }
        }
    }
}
