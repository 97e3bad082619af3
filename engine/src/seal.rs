//! Secrets at rest: sealed under a key that the configuration holds and the data directory does not.
//!
//! XChaCha20-Poly1305 with a drawn nonce. What a secret is for is sealed with it, so that nobody can put one in another's place.

use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{Key, KeyInit as _, XChaCha20Poly1305, XNonce};

/// The first byte of what is sealed so.
const VERSION: u8 = 1;
const NONCE_BYTES: usize = 24;

/// Seals secrets, and opens what was sealed.
pub(crate) struct Sealer(XChaCha20Poly1305);

/// A secret could not be sealed.
#[derive(Debug, thiserror::Error)]
#[error("drawing a nonce to seal a secret with")]
pub(crate) struct SealError(#[source] Option<getrandom::Error>);

impl Sealer {
    /// Derives what seals from the configured key.
    pub(crate) fn new(secrets_key: &[u8; 32]) -> Sealer {
        let key = blake3::derive_key("kembali partner signing secrets v1", secrets_key);
        Sealer(XChaCha20Poly1305::new(&Key::from(key)))
    }

    /// Seals a secret that is for `purpose`: the version, the nonce, then the sealed text.
    pub(crate) fn seal(&self, purpose: &[u8], secret: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|error| SealError(Some(error)))?;
        let payload = Payload { msg: secret, aad: purpose };
        let sealed = self.0.encrypt(&XNonce::from(nonce), payload).map_err(|_| SealError(None))?;
        Ok([&[VERSION][..], &nonce, &sealed].concat())
    }

    /// Opens what was sealed for `purpose`; `None` where it was sealed under another key, for something else, or is damaged.
    pub(crate) fn open(&self, purpose: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (&VERSION, rest) = sealed.split_first()? else { return None };
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_BYTES>()?;
        self.0.decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: purpose }).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_sealed_so_is_opened() {
        let sealer = Sealer::new(&[7; 32]);
        let sealed = sealer.seal(b"a", b"secret").expect("sealed");
        assert_eq!(sealer.open(b"a", &sealed).as_deref(), Some(&b"secret"[..]));
        assert_ne!(sealer.seal(b"a", b"secret").expect("sealed"), sealed, "no nonce comes twice");
        assert!(!sealed.windows(6).any(|own| own == b"secret"));
        assert_eq!(sealer.open(b"b", &sealed), None, "for something else");
        assert_eq!(Sealer::new(&[8; 32]).open(b"a", &sealed), None, "under another key");
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert_eq!(sealer.open(b"a", &damaged), None, "byte {at}");
            assert_eq!(sealer.open(b"a", &sealed[..at]), None, "{at} bytes");
        }
    }
}
