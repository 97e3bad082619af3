//! Journey ids: what a partner of KezBek shows with a transaction.
//!
//! Encrypted under one key of the server, without a seal: whoever alters one gets other text out of it. So nothing of it is believed.
//! The secret inside signs the native request, and a wrong one is refused there; the rest must be what the transaction says itself.

use aws_lc_rs::cipher::{
    AES_256, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use data_encoding::BASE64;

const IV_BYTES: usize = 16;
/// log2 of N, r, p: those of Node's `scryptSync`, which the ids were made with.
const SCRYPT: (u8, u32, u32) = (14, 8, 1);
const SALT: &[u8] = b"salt";

/// The key that ids are encrypted under.
pub(super) struct JourneyKey([u8; 32]);

/// What a journey id says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Journey {
    pub(super) origin_id: String,
    pub(super) api_key: String,
    pub(super) api_secret: String,
    pub(super) promo_code: String,
}

/// Why there is no journey id.
#[derive(Debug, thiserror::Error)]
pub enum JourneyError {
    /// A field would end early where the id is read.
    #[error("no field may have a vertical bar")]
    Separator,
    /// The system gave no random bytes, or the library refuses its own parameters.
    #[error("making a journey id: {0}")]
    Make(String),
}

fn make(said: &impl ToString) -> JourneyError {
    JourneyError::Make(said.to_string())
}

impl JourneyKey {
    /// Derives the key from the text that the settings have for it.
    pub(super) fn derive(text: &str) -> Result<JourneyKey, JourneyError> {
        let (log_n, r, p) = SCRYPT;
        let mut key = [0; 32];
        let parameters = scrypt::Params::new(log_n, r, p).map_err(|error| make(&error))?;
        scrypt::scrypt(text.as_bytes(), SALT, &parameters, &mut key).map_err(|error| make(&error))?;
        Ok(JourneyKey(key))
    }

    /// Writes a journey id. The order of its fields is always the same, whatever order a request had.
    pub(super) fn seal(&self, journey: &Journey) -> Result<String, JourneyError> {
        let mut iv = [0; IV_BYTES];
        getrandom::fill(&mut iv).map_err(|error| make(&error))?;
        self.seal_with(journey, iv)
    }

    fn seal_with(&self, journey: &Journey, iv: [u8; IV_BYTES]) -> Result<String, JourneyError> {
        let Journey { origin_id, api_key, api_secret, promo_code } = journey;
        let fields = [origin_id, api_key, api_secret, promo_code].map(String::as_str);
        if fields.iter().any(|field| field.contains('|')) {
            return Err(JourneyError::Separator);
        }
        let mut text = fields.join("|").into_bytes();
        let key =
            UnboundCipherKey::new(&AES_256, &self.0).and_then(EncryptingKey::ctr).map_err(|error| make(&error))?;
        key.less_safe_encrypt(&mut text, EncryptionContext::Iv128(FixedLength::from(iv)))
            .map_err(|error| make(&error))?;
        Ok(BASE64.encode(&[&iv[..], &text].concat()))
    }

    /// Reads a journey id; `None` of what is none.
    pub(super) fn open(&self, id: &str) -> Option<Journey> {
        let bytes = BASE64.decode(id.as_bytes()).ok()?;
        let (iv, text) = bytes.split_first_chunk::<IV_BYTES>()?;
        let mut text = text.to_vec();
        let key = UnboundCipherKey::new(&AES_256, &self.0).and_then(DecryptingKey::ctr).ok()?;
        key.decrypt(&mut text, DecryptionContext::Iv128(FixedLength::from(*iv))).ok()?;
        let text = String::from_utf8(text).ok()?;
        let [origin_id, api_key, api_secret, promo_code] = text.split('|').collect::<Vec<_>>().try_into().ok()?;
        let [origin_id, api_key, api_secret, promo_code] =
            [origin_id, api_key, api_secret, promo_code].map(str::to_owned);
        Some(Journey { origin_id, api_key, api_secret, promo_code })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with Node and with Python, which agree.
    const KNOWN: &str =
        "AAECAwQFBgcICQoLDA0OD5BNBEeS+0OiqdSaH/BTZR6K3zBiJww2jiKpImJEBB5F153R2SyeTl/Fo0WEZfE5Z5BCzfOMCffNpvezvDKug+Y=";

    fn journey() -> Journey {
        let [origin_id, api_key, api_secret, promo_code] =
            ["TRX-0001", "dIfyRi21VvJRhz9qUsMuz", "68685UeyYNh6e8RZpGc4QK", "KEZBEK1000"].map(str::to_owned);
        Journey { origin_id, api_key, api_secret, promo_code }
    }

    #[test]
    fn an_id_is_that_of_others() {
        let key = JourneyKey::derive("S3cret").expect("a key");
        assert_eq!(
            data_encoding::HEXLOWER.encode(&key.0),
            "21a2d892b44407183272f07bc089cf77e64f43607627b49337907ebfdea1b4ce"
        );
        let iv = std::array::from_fn(|at| at as u8);
        assert_eq!(key.seal_with(&journey(), iv).ok().as_deref(), Some(KNOWN));
        assert_eq!(key.open(KNOWN), Some(journey()));
    }

    #[test]
    fn ids_differ_and_what_is_none_is_not_read() {
        let key = JourneyKey::derive("S3cret").expect("a key");
        let (one, other) = (key.seal(&journey()).expect("an id"), key.seal(&journey()).expect("an id"));
        assert!(one != other && key.open(&one) == key.open(&other));
        assert_ne!(JourneyKey::derive("another").expect("a key").open(KNOWN), Some(journey()));
        for wrong in ["", "AAEC", "!", &KNOWN[4..], &KNOWN.replace("J9", "K9")[..20]] {
            assert_ne!(key.open(wrong), Some(journey()), "{wrong}");
        }
        let barred = Journey { promo_code: "A|B".to_owned(), ..journey() };
        assert!(matches!(key.seal(&barred), Err(JourneyError::Separator)));
    }
}
