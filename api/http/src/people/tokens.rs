//! Tokens: an access token says who calls, for a quarter of an hour (JWT, RS256); a refresh token, opaque and good for once, gets
//! the next two.
//!
//! The algorithm is pinned, the key is named by the token and known here, and what the token says of the role is not relied on:
//! the account is looked at with each request, so that a suspension holds at once.

use std::fmt;
use std::sync::{PoisonError, RwLock};

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use kembali_core::operation::Actor;
use kembali_core::{AccountId, Instant};
use kembali_engine::{Account, Engine, SigningKey, SigningKeyError};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use super::later;
use crate::codes;
use crate::problem::Problem;
use crate::wire::audit::{RoleName, shown_key};
use crate::wire::instant::{UuidText, parse_uuid};
use crate::wire::session::{Jwk, Jwks};

/// Seconds that an access token is good for.
pub(crate) const ACCESS_SECONDS: i64 = 15 * 60;
/// Seconds that a session lives on without being refreshed.
pub(crate) const SESSION_SECONDS: i64 = 30 * 24 * 3_600;
/// Who issues tokens, and for whom.
const ISSUER: &str = "kembali";

/// What an access token says.
#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    /// The account.
    sub: String,
    /// The same, for clients that look for it here.
    user_id: String,
    username: String,
    role: RoleName,
    /// The tenant's slug.
    tenant: String,
    /// The customer, of a customer's account.
    #[serde(skip_serializing_if = "Option::is_none")]
    customer: Option<String>,
    /// The session.
    sid: String,
    jti: String,
    iat: i64,
    nbf: i64,
    exp: i64,
}

/// Whose an access token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bearer {
    pub(crate) account: AccountId,
    pub(crate) session: u128,
}

impl Bearer {
    /// Returns true while the session is open and the account is what it was when the session began: another role ends it.
    pub(crate) fn is_open(self, engine: &Engine) -> bool {
        let account = engine.account(self.account).ok().flatten();
        account.is_some_and(|own| !own.standing.is_suspended && own.session(self.session, engine.wall()).is_some())
    }
}

struct Key {
    id: String,
    created_at: Instant,
    private: EncodingKey,
    public: DecodingKey,
    shown: Jwk,
}

/// Signs tokens, and reads those that were signed here.
pub(crate) struct Tokens(RwLock<Vec<Key>>);

impl fmt::Debug for Tokens {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Tokens")
    }
}

/// Bits of the modulus.
const KEY_SIZE: KeySize = KeySize::Rsa2048;
/// What stands before the key itself (PKCS #1) in the form in which it is made (PKCS #8): two lengths that change, and between
/// them the version and the algorithm, which do not.
const WRAPPING_BYTES: usize = 26;
const ALGORITHM_OF_RSA: [u8; 19] =
    [0x02, 0x01, 0x00, 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00, 0x04];

/// Makes a key to sign tokens with, which takes a tenth of a second, and gives it to the engine.
pub(crate) async fn rotate(engine: &Engine, actor: Actor) -> Result<SigningKey, KeyError> {
    let (id, private) = tokio::task::spawn_blocking(new_key).await.map_err(|_| "it was not made")??;
    let now = engine.wall();
    Ok(engine.add_signing_key(actor, id, private, |next_signs_since| is_over(next_signs_since, now)).await?)
}

/// Why there is no other key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    #[error("a key that tokens are signed with: {0}")]
    Make(&'static str),
    #[error(transparent)]
    Keep(#[from] SigningKeyError),
}

impl From<&'static str> for KeyError {
    fn from(said: &'static str) -> KeyError {
        KeyError::Make(said)
    }
}

/// Draws the id of a key, and makes it.
fn new_key() -> Result<(u128, Vec<u8>), &'static str> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|_| "the system gave no random bytes")?;
    let pair = KeyPair::generate(KEY_SIZE).map_err(|_| "it cannot be made")?;
    let private = pair.as_der().map_err(|_| "it cannot be written down")?;
    Ok((u128::from_be_bytes(id), private.as_ref().to_vec()))
}

impl Key {
    fn of(key: &SigningKey) -> Result<Key, &'static str> {
        let pair = KeyPair::from_pkcs8(&key.private).map_err(|_| "it is no RSA key")?;
        let public = pair.public_key();
        let modulus = public.modulus().big_endian_without_leading_zero();
        let exponent = public.exponent().big_endian_without_leading_zero();
        let wrapped =
            key.private.split_at_checked(WRAPPING_BYTES).filter(|(wrapping, _)| wrapping[4..23] == ALGORITHM_OF_RSA);
        let (_, pkcs1) = wrapped.ok_or("it has another form")?;
        let text = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
        let id = shown_key(key.id);
        Ok(Key {
            created_at: key.created_at,
            private: EncodingKey::from_rsa_der(pkcs1),
            public: DecodingKey::from_rsa_raw_components(modulus, exponent),
            shown: Jwk { kty: "RSA", usage: "sig", alg: "RS256", kid: id.clone(), n: text(modulus), e: text(exponent) },
            id,
        })
    }
}

impl Tokens {
    /// Takes the keys, the oldest first.
    pub(crate) fn of(keys: &[SigningKey]) -> Result<Tokens, &'static str> {
        let keys: Result<Vec<Key>, _> = keys.iter().map(Key::of).collect();
        Ok(Tokens(RwLock::new(keys?)))
    }

    /// Signs with this key from now on, unless there is a newer one.
    pub(crate) fn add(&self, key: &SigningKey) -> Result<(), &'static str> {
        let key = Key::of(key)?;
        let mut keys = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let at = keys.partition_point(|own| own.created_at < key.created_at);
        keys.insert(at, key);
        Ok(())
    }

    /// Shows the public keys whose tokens may still be right.
    pub(crate) fn public_keys(&self, now: Instant) -> Jwks {
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Jwks { keys: in_use(&keys, now).map(|key| key.shown.clone()).collect() }
    }

    /// Signs an access token for a session of an account.
    pub(crate) fn issue(
        &self,
        account: &Account,
        tenant: &str,
        session: u128,
        now: Instant,
    ) -> Result<String, Problem> {
        let (sub, iat) = (UuidText(account.id.0).to_string(), seconds(now));
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: ISSUER.to_owned(),
            user_id: sub.clone(),
            sub,
            username: account.username.clone(),
            role: RoleName::of(account.standing.role),
            tenant: tenant.to_owned(),
            customer: account.customer.map(|customer| UuidText(customer.0).to_string()),
            sid: shown_key(session),
            jti: HEXLOWER.encode(&drawn()?),
            iat,
            nbf: iat,
            exp: iat + ACCESS_SECONDS,
        };
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let Some(key) = keys.last() else { unreachable!("there is a key from the start on") };
        let header = Header { kid: Some(key.id.clone()), ..Header::new(Algorithm::RS256) };
        jsonwebtoken::encode(&header, &claims, &key.private).map_err(|error| Problem::internal(&error))
    }

    /// Reads an access token: signed here, for us, and not over.
    ///
    /// # Errors
    ///
    /// 401 for any other.
    pub(crate) fn read(&self, token: &[u8], now: Instant) -> Result<Bearer, Problem> {
        let invalid = || Problem::new(&codes::TOKEN_INVALID);
        let header = jsonwebtoken::decode_header(token).map_err(|_| invalid())?;
        let id = header.kid.filter(|_| header.alg == Algorithm::RS256).ok_or_else(invalid)?;
        let mut rules = Validation::new(Algorithm::RS256);
        rules.set_issuer(&[ISSUER]);
        rules.set_audience(&[ISSUER]);
        rules.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // Time is read in one place of the program alone, and looked at below.
        (rules.validate_exp, rules.validate_nbf) = (false, false);
        let claims = {
            let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
            let key = in_use(&keys, now).find(|key| key.id == id).ok_or_else(invalid)?;
            jsonwebtoken::decode::<Claims>(token, &key.public, &rules).map_err(|_| invalid())?
        };
        let claims = claims.claims;
        if claims.exp <= seconds(now) {
            return Err(Problem::new(&codes::TOKEN_EXPIRED));
        }
        if seconds(now) < claims.nbf {
            return Err(invalid());
        }
        let account = parse_uuid(&claims.sub).map(AccountId).ok_or_else(invalid)?;
        let session = u128::from_str_radix(&claims.sid, 16).map_err(|_| invalid())?;
        Ok(Bearer { account, session })
    }
}

/// The newest key, and each older one for as long as a token that it signed last may be right.
fn in_use(keys: &[Key], now: Instant) -> impl Iterator<Item = &Key> {
    keys.iter().enumerate().filter_map(move |(at, key)| match keys.get(at + 1) {
        Some(next) if is_over(next.created_at, now) => None,
        _ => Some(key),
    })
}

/// Returns true where no token can be right that was signed before another key signed.
fn is_over(next_signs_since: Instant, now: Instant) -> bool {
    later(next_signs_since, ACCESS_SECONDS) <= now
}

const fn seconds(instant: Instant) -> i64 {
    instant.0.div_euclid(1_000_000)
}

/// A refresh token: whose it is, of which session, the session's own secret, and a second one that is good for once.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct RefreshToken {
    pub(crate) account: AccountId,
    pub(crate) session: u128,
    /// The same in all tokens of a session: whoever shows it has, or had, a token of it. The ids alone stand in access tokens too.
    of_session: [u8; 16],
    of_once: [u8; 16],
}

/// What a shown refresh token is to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    Next,
    /// It was good before.
    Used,
    /// Nobody was ever given it.
    None,
}

impl RefreshToken {
    /// Draws the first token of a session.
    pub(crate) fn draw(account: AccountId, session: u128) -> Result<RefreshToken, Problem> {
        RefreshToken { account, session, of_session: drawn()?, of_once: [0; 16] }.next()
    }

    /// Draws the token after this one.
    pub(crate) fn next(self) -> Result<RefreshToken, Problem> {
        Ok(RefreshToken { of_once: drawn()?, ..self })
    }

    /// Hashes the secrets, each to a half: what is stored opens nothing.
    pub(crate) fn hash(&self) -> [u8; 32] {
        use sha2::{Digest as _, Sha256};
        let mut halves = [0; 32];
        for (half, secret) in halves.chunks_exact_mut(16).zip([self.of_session, self.of_once]) {
            half.copy_from_slice(&Sha256::digest(secret)[..16]);
        }
        halves
    }

    /// Compares with what is stored of the session's token.
    pub(crate) fn is_of(&self, stored: &[u8; 32]) -> Match {
        let shown = self.hash();
        let is_same = |half: std::ops::Range<usize>| bool::from(shown[half.clone()].ct_eq(&stored[half]));
        match (is_same(0..16), is_same(16..32)) {
            (true, true) => Match::Next,
            (true, false) => Match::Used,
            (false, _) => Match::None,
        }
    }

    pub(crate) fn text(&self) -> String {
        let (account, session) = (self.account.0.to_be_bytes(), self.session.to_be_bytes());
        BASE64URL_NOPAD.encode(&[account, session, self.of_session, self.of_once].concat())
    }

    pub(crate) fn parse(text: &str) -> Option<RefreshToken> {
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
        let ([account, session, of_session, of_once], []) = bytes.as_chunks::<16>() else { return None };
        let (account, session) = (AccountId(u128::from_be_bytes(*account)), u128::from_be_bytes(*session));
        Some(RefreshToken { account, session, of_session: *of_session, of_once: *of_once })
    }
}

fn drawn() -> Result<[u8; 16], Problem> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| Problem::internal(&error))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use kembali_core::TenantId;
    use kembali_core::audit::{AccountStanding, Role};

    use super::*;

    const NOW: Instant = Instant(1_514_764_800_000_000);

    fn account() -> Account {
        Account {
            id: AccountId::drawn(7),
            tenant: TenantId(1),
            username: "ann@example.com".to_owned(),
            standing: AccountStanding { role: Role::Operator, is_suspended: false },
            customer: None,
            password: String::new(),
            created_at: NOW,
            sessions: Vec::new(),
        }
    }

    fn key_of(created_at: Instant) -> SigningKey {
        let (id, private) = new_key().expect("a key");
        SigningKey { id, created_at, private }
    }

    fn code(read: Result<Bearer, Problem>) -> &'static str {
        read.map_or_else(|problem| problem.code.code, |_| "in")
    }

    #[test]
    fn a_token_is_read_until_it_is_over() {
        let tokens = Tokens::of(&[key_of(NOW)]).expect("keys");
        let token = tokens.issue(&account(), "journey", 9, NOW).expect("a token");
        let read = tokens.read(token.as_bytes(), NOW).ok();
        assert_eq!(read, Some(Bearer { account: account().id, session: 9 }));
        let at = |seconds| code(tokens.read(token.as_bytes(), later(NOW, seconds)));
        assert_eq!((at(ACCESS_SECONDS - 1), at(ACCESS_SECONDS), at(-1)), ("in", "token_expired", "token_invalid"));
    }

    #[test]
    fn nothing_else_is_read() {
        let (own, other) = (key_of(NOW), key_of(NOW));
        let tokens = Tokens::of(std::slice::from_ref(&own)).expect("keys");
        let token = tokens.issue(&account(), "journey", 9, NOW).expect("a token");
        let [header, body, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
        let text = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
        let claims = String::from_utf8(BASE64URL_NOPAD.decode(body.as_bytes()).expect("a body")).expect("text");
        let kid = shown_key(own.id);
        let with_header = |header: &str| format!("{}.{body}.{signature}", text(header.as_bytes()));
        // Signed by a key of ours, of other content; and by another key under the name of ours.
        let signed = |key: &SigningKey, alg: Algorithm, claims: &str| {
            let value: serde_json::Value = serde_json::from_str(claims).expect("claims");
            let header = Header { kid: Some(kid.clone()), ..Header::new(alg) };
            let private = match alg {
                // The public key, which everybody has, taken for a shared secret.
                Algorithm::HS256 => {
                    EncodingKey::from_secret(Key::of(key).expect("a key").shown.n.as_bytes()).expect("a secret")
                }
                _ => Key::of(key).expect("a key").private,
            };
            jsonwebtoken::encode(&header, &value, &private).expect("a token")
        };
        for wrong in [
            String::new(),
            "..".to_owned(),
            "a.b.c".to_owned(),
            format!("{header}.{body}"),
            format!("{header}.{body}."),
            format!("{header}.{}.{signature}", text(claims.replace("operator", "admin").as_bytes())),
            with_header(&format!(r#"{{"typ":"JWT","alg":"none","kid":"{kid}"}}"#)),
            with_header(&format!(r#"{{"typ":"JWT","alg":"HS256","kid":"{kid}"}}"#)),
            with_header(r#"{"typ":"JWT","alg":"RS256","kid":"../../etc/passwd"}"#),
            with_header(r#"{"typ":"JWT","alg":"RS256"}"#),
            signed(&other, Algorithm::RS256, &claims),
            signed(&own, Algorithm::RS512, &claims),
            signed(&own, Algorithm::HS256, &claims),
            signed(&own, Algorithm::RS256, &claims.replace(r#""aud":"kembali""#, r#""aud":"another""#)),
            signed(&own, Algorithm::RS256, &claims.replace(r#""iss":"kembali""#, r#""iss":"another""#)),
            signed(&own, Algorithm::RS256, &claims.replace(r#""exp""#, r#""exq""#)),
            signed(&own, Algorithm::RS256, &claims.replace(r#""sub":""#, r#""sub":"x"#)),
        ] {
            assert_eq!(code(tokens.read(wrong.as_bytes(), NOW)), "token_invalid", "{wrong}");
        }
        assert_eq!(code(tokens.read(signed(&own, Algorithm::RS256, &claims).as_bytes(), NOW)), "in");
    }

    #[test]
    fn an_older_key_is_shown_until_its_last_token_is_over() {
        let tokens = Tokens::of(&[key_of(NOW)]).expect("keys");
        let old = tokens.issue(&account(), "journey", 9, NOW).expect("a token");
        let rotated_at = later(NOW, 60);
        tokens.add(&key_of(rotated_at)).expect("it is added");
        let new = tokens.issue(&account(), "journey", 9, rotated_at).expect("a token");
        let shown = |seconds| tokens.public_keys(later(rotated_at, seconds)).keys.len();
        assert_eq!((shown(0), shown(ACCESS_SECONDS - 1), shown(ACCESS_SECONDS)), (2, 2, 1));
        for token in [&old, &new] {
            assert_eq!(code(tokens.read(token.as_bytes(), rotated_at)), "in");
        }
        assert_eq!(code(tokens.read(old.as_bytes(), later(rotated_at, ACCESS_SECONDS))), "token_invalid");
    }

    #[test]
    fn refresh_tokens_are_read_as_they_were_written() {
        let token = RefreshToken::draw(AccountId(1), 2).expect("a token");
        let text = token.text();
        assert!(RefreshToken::parse(&text) == Some(token));
        for wrong in ["", &text[1..], &format!("{text}A"), &text.replace(&text[80..], "!")] {
            assert!(RefreshToken::parse(wrong).is_none(), "{wrong}");
        }
        let next = token.next().expect("a token");
        let other = RefreshToken::draw(AccountId(1), 2).expect("a token");
        let of = |shown: &RefreshToken| shown.is_of(&next.hash());
        assert_eq!((of(&next), of(&token), of(&other)), (Match::Next, Match::Used, Match::None));
        assert_eq!(RefreshToken { of_once: next.of_once, ..other }.is_of(&next.hash()), Match::None);
    }
}
