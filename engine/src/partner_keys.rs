//! The API keys of partners as the profile store keeps them: whose a key is, whether it is revoked, and the sealed secret that its
//! requests are signed with.

use std::fmt;
use std::sync::Arc;

use data_encoding::HEXLOWER;

use crate::request::ApiKeyId;
use crate::seal::Sealer;

/// The version of what is stored of a partner's standing.
pub(crate) const PARTNER_VALUE_VERSION: u8 = 1;

/// The hash of an API key.
pub(crate) type KeyHash = [u8; 32];

/// What the requests of an API key are signed with. No log shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningSecret(Arc<str>);

impl SigningSecret {
    pub(crate) fn new(text: impl Into<Arc<str>>) -> SigningSecret {
        SigningSecret(text.into())
    }

    /// Returns the secret itself.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("[redacted]")
    }
}

/// To whom an API key belongs, by slugs: the key may be stored before the record that creates its partner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyOwner {
    pub(crate) tenant: String,
    pub(crate) partner: String,
    /// The secret of a key whose requests are signed, as it is sealed.
    pub(crate) sealed: Option<Vec<u8>>,
    /// It opens nothing any more. It is kept all the same: a catalogue file that still names it must not give it back.
    pub(crate) is_revoked: bool,
}

/// No slug has a line feed.
const REVOKED_MARK: &str = "\nrevoked";
const SEALED_MARK: &str = "\nsealed ";

impl KeyOwner {
    /// Writes this down for the profile store: tenant and partner, a line each; one of the sealed secret, if there is one; and a
    /// last one once it is revoked.
    pub(crate) fn stored(&self) -> Vec<u8> {
        let sealed =
            self.sealed.as_ref().map_or_else(String::new, |own| format!("{SEALED_MARK}{}", HEXLOWER.encode(own)));
        let mark = if self.is_revoked { REVOKED_MARK } else { "" };
        format!("{}\n{}{sealed}{mark}", self.tenant, self.partner).into_bytes()
    }

    /// Reads what [`KeyOwner::stored`] wrote.
    pub(crate) fn parse(stored: &[u8]) -> Option<KeyOwner> {
        let text = std::str::from_utf8(stored).ok()?;
        let (text, is_revoked) = match text.strip_suffix(REVOKED_MARK) {
            Some(text) => (text, true),
            None => (text, false),
        };
        let (text, sealed) = match text.split_once(SEALED_MARK) {
            Some((text, sealed)) => (text, Some(HEXLOWER.decode(sealed.as_bytes()).ok()?)),
            None => (text, None),
        };
        let (tenant, partner) = text.split_once('\n')?;
        Some(KeyOwner { tenant: tenant.to_owned(), partner: partner.to_owned(), sealed, is_revoked })
    }

    /// Opens the secret of the key of this hash. `Err` where it cannot be.
    pub(crate) fn secret(&self, hash: &KeyHash, sealer: Option<&Sealer>) -> Result<Option<SigningSecret>, Unopened> {
        // One that opens nothing needs none.
        let Some(sealed) = self.sealed.as_deref().filter(|_| !self.is_revoked) else { return Ok(None) };
        let opened = sealer.ok_or(Unopened)?.open(hash, sealed).ok_or(Unopened)?;
        String::from_utf8(opened).map(|text| Some(SigningSecret::new(text))).map_err(|_| Unopened)
    }
}

/// A secret was sealed under another key than the one that is configured.
#[derive(Debug)]
pub(crate) struct Unopened;

/// Returns the id under which an API key may be shown.
pub(crate) fn key_id(hash: &KeyHash) -> ApiKeyId {
    let mut half = [0; 16];
    half.copy_from_slice(&hash[..16]);
    ApiKeyId(u128::from_be_bytes(half))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_read() {
        for (sealed, is_revoked, stored) in [
            (None, false, "t\np"),
            (None, true, "t\np\nrevoked"),
            (Some(vec![0, 255]), false, "t\np\nsealed 00ff"),
            (Some(Vec::new()), true, "t\np\nsealed \nrevoked"),
        ] {
            let owner = KeyOwner { tenant: "t".into(), partner: "p".into(), sealed, is_revoked };
            assert_eq!(owner.stored(), stored.as_bytes());
            assert_eq!(KeyOwner::parse(stored.as_bytes()), Some(owner), "{stored}");
        }
        for damaged in ["t", "t\np\nsealed 0", "t\np\nsealed 0g", "t\np\nsealed +1"] {
            assert_eq!(KeyOwner::parse(damaged.as_bytes()), None, "{damaged}");
        }
        assert_eq!(format!("{:?}", SigningSecret::new("s3cret")), "[redacted]");
    }
}
