//! People: accounts, log-ins, sessions and tokens.
//!
//! [`passwords`] hashes, [`tokens`] says who calls, [`limits`] slows guessing, [`sessions`] is what a person does with the own
//! account, [`accounts`] what administrators do with others'. What is stored of an account is the engine's business.

pub(crate) mod accounts;
mod limits;
mod passwords;
pub(crate) mod sessions;
pub(crate) mod tokens;

use governor::clock::MonotonicClock;
use kembali_core::Instant;
use kembali_core::operation::Actor;
use kembali_engine::{Engine, SigningKeyError};

use self::limits::LoginLimits;
use self::passwords::Passwords;
use self::tokens::Tokens;
use crate::codes;
use crate::problem::Problem;

/// What people's requests need. One for each server.
#[derive(Debug)]
pub(crate) struct People {
    /// Without one the server has no people: it keeps no key to sign tokens with.
    tokens: Option<Tokens>,
    passwords: Passwords,
    limits: LoginLimits,
    /// Tenants in which anybody may register as a customer.
    registration: Vec<String>,
}

impl People {
    /// Reads the keys that tokens are signed with, and makes the first one.
    pub(crate) async fn start(engine: &Engine, registration: Vec<String>) -> Result<People, PeopleError> {
        if engine.can_sign() && engine.signing_keys().is_empty() {
            let key = tokens::new_key(engine.wall()).map_err(PeopleError::Key)?;
            engine.add_signing_key(Actor::Server, key).await?;
        }
        let keys = engine.signing_keys();
        let tokens = if keys.is_empty() { None } else { Some(Tokens::of(&keys).map_err(PeopleError::Key)?) };
        let passwords = Passwords::new().map_err(PeopleError::Passwords)?;
        Ok(People { tokens, passwords, limits: LoginLimits::new(MonotonicClock), registration })
    }

    pub(crate) fn tokens(&self) -> Result<&Tokens, Problem> {
        self.tokens.as_ref().ok_or_else(|| Problem::new(&codes::PEOPLE_DISABLED))
    }
}

/// Why the server cannot have people.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PeopleError {
    /// A key cannot be made or used.
    #[error("a key that tokens are signed with: {0}")]
    Key(&'static str),
    /// A password cannot be hashed.
    #[error("hashing passwords: {0}")]
    Passwords(String),
    /// A key cannot be kept.
    #[error(transparent)]
    Keep(#[from] SigningKeyError),
}

/// Adds seconds to an instant.
pub(crate) fn later(now: Instant, seconds: i64) -> Instant {
    Instant(now.0.saturating_add(seconds.saturating_mul(1_000_000)))
}
