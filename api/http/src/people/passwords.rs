//! Passwords: hashed by Argon2id, off the threads of the network, a few at a time.

use std::fmt;
use std::sync::Arc;

use argon2::{Argon2, PasswordHash, PasswordHasher as _, PasswordVerifier as _};
use tokio::sync::Semaphore;

use crate::codes;
use crate::problem::Problem;

/// Characters that a password may have.
pub(crate) const PASSWORD_CHARS: std::ops::RangeInclusive<usize> = 10..=128;
/// Passwords that are hashed at one time: each takes 19 MiB and a core.
const AT_ONCE: usize = 2;
/// Requests that may wait for that; more are refused as overload.
const WAITING_MAX: usize = 256;

/// Hashes passwords, and compares with what was hashed.
pub(crate) struct Passwords {
    hashing: Arc<Semaphore>,
    waiting: Semaphore,
    /// The hash of nobody's password: whoever does not exist is looked at for as long as whoever does.
    nobody: Arc<str>,
}

impl fmt::Debug for Passwords {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Passwords")
    }
}

impl Passwords {
    pub(crate) fn new() -> Result<Passwords, String> {
        let nobody = hash_now("nobody's password").map_err(|error| error.to_string())?.into();
        Ok(Passwords { hashing: Arc::new(Semaphore::new(AT_ONCE)), waiting: Semaphore::new(WAITING_MAX), nobody })
    }

    /// Hashes a password: the algorithm, its parameters, the salt and the hash as one text (PHC).
    pub(crate) async fn hash(&self, password: String) -> Result<String, Problem> {
        self.blocking(move || hash_now(&password)).await?.map_err(|error| Problem::internal(&error))
    }

    /// Compares a password with what was hashed, or with nobody's: then it is wrong, and took as long.
    pub(crate) async fn is_right(&self, password: String, hash: Option<String>) -> Result<bool, Problem> {
        let is_somebody = hash.is_some();
        let hash: Arc<str> = hash.map_or_else(|| Arc::clone(&self.nobody), Arc::from);
        let compare = move || {
            let hash = PasswordHash::new(&hash)?;
            Ok(Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
        };
        let compared: Result<bool, argon2::password_hash::phc::Error> = self.blocking(compare).await?;
        compared.map(|is_same| is_same && is_somebody).map_err(|error| Problem::internal(&error))
    }

    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
        let overloaded = || Problem::new(&codes::OVERLOADED);
        let _waiting = self.waiting.try_acquire().map_err(|_| overloaded())?;
        // The permit goes with the work: a caller that is gone does not make room for one more hash.
        let permit = Arc::clone(&self.hashing).acquire_owned().await.map_err(|_| overloaded())?;
        let worked = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        worked.await.map_err(|error| Problem::internal(&error))
    }
}

fn hash_now(password: &str) -> Result<String, argon2::password_hash::Error> {
    // The defaults of the library are those of RFC 9106's successor guidance: 19 MiB, two passes, one lane.
    Ok(Argon2::default().hash_password(password.as_bytes())?.to_string())
}

#[cfg(test)]
mod tests {
    use kembali_engine::ACCOUNT_TEXT_BYTES_MAX;

    use super::*;

    #[tokio::test]
    async fn a_password_is_right_for_its_own_hash_alone() {
        let passwords = Passwords::new().expect("it hashes");
        let hash = passwords.hash("correct horse".to_owned()).await.expect("it hashes");
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(hash.len() <= ACCOUNT_TEXT_BYTES_MAX);
        assert_ne!(passwords.hash("correct horse".to_owned()).await.ok(), Some(hash.clone()), "each has a salt");
        for (password, hash, expected) in [
            ("correct horse", Some(hash.clone()), true),
            ("correct horsf", Some(hash.clone()), false),
            ("", Some(hash), false),
            ("nobody's password", None, false),
        ] {
            assert_eq!(passwords.is_right(password.to_owned(), hash).await.ok(), Some(expected), "{password}");
        }
    }
}
