//! People: accounts, log-ins, sessions and tokens.
//!
//! [`passwords`] hashes, [`tokens`] says who calls, [`limits`] slows guessing, [`sessions`] is what a person does with the own
//! account, [`accounts`] what administrators do with others'. What is stored of an account is the engine's business.

pub(crate) mod accounts;
mod leeway;
pub(crate) mod limits;
mod passwords;
pub(crate) mod sessions;
pub(crate) mod tokens;

use governor::clock::MonotonicClock;
use kembali_core::Instant;
use kembali_core::operation::Actor;
use kembali_engine::{AdministerError, Engine, SigningKeyError};

use self::leeway::Leeway;
use self::limits::{LoginLimits, PeopleLimits};
use self::passwords::Passwords;
use self::tokens::{KeyError, Tokens};
use crate::codes;
use crate::problem::Problem;

/// What people's requests need. One for each server.
#[derive(Debug)]
pub(crate) struct People {
    /// Without one the server has no people: it keeps no key to sign tokens with.
    tokens: Option<Tokens>,
    passwords: Passwords,
    limits: LoginLimits,
    leeway: Leeway,
    /// Tenants in which anybody may register as a customer.
    registration: Vec<String>,
}

impl People {
    /// Reads the keys that tokens are signed with, and makes the first one. While the ledger is read-only there is none, and so no
    /// people: the server starts all the same, for its reads go on.
    pub(crate) async fn start(
        engine: &Engine,
        registration: Vec<String>,
        limits: PeopleLimits,
    ) -> Result<People, PeopleError> {
        if engine.can_sign() && engine.signing_keys().is_empty() {
            match tokens::rotate(engine, Actor::Server).await {
                Ok(_) => (),
                Err(KeyError::Keep(SigningKeyError::Administer(AdministerError::ReadOnly(_)))) => {
                    tracing::error!(
                        "nobody can log in: the disk has no room for the first key that tokens are signed with. Make room and start again"
                    );
                }
                Err(error) => return Err(error.into()),
            }
        }
        let keys = engine.signing_keys();
        let tokens = if keys.is_empty() { None } else { Some(Tokens::of(&keys).map_err(KeyError::from)?) };
        let passwords = Passwords::new().map_err(PeopleError::Passwords)?;
        Ok(People {
            tokens,
            passwords,
            limits: LoginLimits::new(limits, MonotonicClock),
            leeway: Leeway::default(),
            registration,
        })
    }

    pub(crate) fn tokens(&self) -> Result<&Tokens, Problem> {
        self.tokens.as_ref().ok_or_else(|| Problem::new(&codes::PEOPLE_DISABLED))
    }
}

/// Why the server cannot have people.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PeopleError {
    /// A key cannot be made, used or kept.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A password cannot be hashed.
    #[error("hashing passwords: {0}")]
    Passwords(String),
}

/// Adds seconds to an instant.
pub(crate) fn later(now: Instant, seconds: i64) -> Instant {
    Instant(now.0.saturating_add(seconds.saturating_mul(1_000_000)))
}
