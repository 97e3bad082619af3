//! Signed requests of partners: what is signed, and whether a signature is right.
//!
//! A key that has a secret opens nothing alone. Each request carries `X-Timestamp`, seconds since 1970 with up to nine decimals, and `X-Signature`, the
//! HMAC-SHA256 under the secret of these lines, each but the last with a line feed behind it:
//!
//! ```text
//! POST
//! /v1/purchases?dry_run=true
//! 1483228800
//! (the SHA-256 of the body as sent, in lower-case hexadecimal)
//! (the idempotency key, where the request has one)
//! ```
//!
//! A signature opens once: two requests that are alike are told apart by the decimals of their timestamps.
//!
//! The whole body is read and checked before anything of it is booked, so a signed stream is one of bounded length; whoever has
//! more sends the next one. Why, and why the idempotency key is signed too, is in ADR 0035.

use axum::body::Body;
use bytes::Bytes;
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit as _, Mac as _};
use hyper::Request;
use hyper::header::HeaderMap;
use kembali_core::{Instant, PartnerId};
use sha2::{Digest as _, Sha256};

use crate::app::App;
use crate::body::read_raw;
use crate::codes;
use crate::operations::KEY_HEADER;
use crate::problem::Problem;
use crate::replays::Shown;

/// When a request was signed.
pub const TIMESTAMP_HEADER: &str = "x-timestamp";
/// What it is signed with.
pub const SIGNATURE_HEADER: &str = "x-signature";
/// Bytes that the body of a signed request may have, as sent.
pub const BODY_BYTES_MAX: usize = crate::config::BODY_BYTES_MAX;
/// How far a timestamp may lie from the server's clock, before or behind it.
pub const WINDOW_SECONDS: i64 = 5 * 60;

/// What is signed of a request.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// The method, in upper case.
    pub method: &'a str,
    /// The path with its query, as sent.
    pub path_and_query: &'a str,
    /// The text of the timestamp, as sent.
    pub timestamp: &'a str,
    /// The idempotency key, of a request that has one.
    pub idempotency_key: Option<&'a [u8]>,
}

impl Signed<'_> {
    fn mac(&self, secret: &[u8], body: &[u8]) -> Hmac<Sha256> {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else { unreachable!("HMAC takes keys of any length") };
        for line in [self.method, self.path_and_query, self.timestamp] {
            mac.update(line.as_bytes());
            mac.update(b"\n");
        }
        mac.update(HEXLOWER.encode(&Sha256::digest(body)).as_bytes());
        if let Some(key) = self.idempotency_key {
            mac.update(b"\n");
            mac.update(key);
        }
        mac
    }

    /// Signs a request with this body: 64 digits in lower-case hexadecimal.
    #[must_use]
    pub fn sign(&self, secret: &[u8], body: &[u8]) -> String {
        HEXLOWER.encode(&self.mac(secret, body).finalize().into_bytes())
    }

    /// Compares in a time that does not tell where the signatures differ.
    fn is_signed(&self, secret: &[u8], body: &[u8], signature: &[u8; 32]) -> bool {
        self.mac(secret, body).verify_slice(signature).is_ok()
    }
}

/// Reads the whole body of a request, and checks that it was signed with `secret` about now.
///
/// # Errors
///
/// 401 where it was not, or 413 and 408 where the body is too large or too slow.
pub(crate) async fn check(
    request: Request<Body>,
    secret: &[u8],
    partner: PartnerId,
    app: &App,
) -> Result<Request<Body>, Problem> {
    let (now, limits) = (app.engine.wall(), &app.limits);
    let (head, body) = request.into_parts();
    let missing = || Problem::new(&codes::SIGNATURE_MISSING);
    let sent = |name: &str| head.headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let (timestamp, signature) = sent(TIMESTAMP_HEADER).zip(sent(SIGNATURE_HEADER)).ok_or_else(missing)?;
    // What costs nothing comes first: nobody's body is read for a signature that cannot be right.
    let second = check_time(timestamp, now)?;
    let invalid = || Problem::new(&codes::SIGNATURE_INVALID);
    let signature = digest_of(signature).ok_or_else(invalid)?;
    let bytes = read_raw(body, BODY_BYTES_MAX, limits.body_time_max).await?;
    let signed = Signed {
        method: head.method.as_str(),
        path_and_query: head.uri.path_and_query().map_or("/", |path| path.as_str()),
        timestamp,
        idempotency_key: head.headers.get(KEY_HEADER).map(|key| key.as_bytes()),
    };
    if !signed.is_signed(secret, &bytes, &signature) {
        return Err(invalid());
    }
    match app.replays.show(partner, &signature, second, seconds_of(now)) {
        Shown::First => (),
        Shown::Again => return Err(Problem::new(&codes::SIGNATURE_REPLAYED)),
        Shown::NoRoom => return Err(Problem::new(&codes::OVERLOADED)),
    }
    Ok(Request::from_parts(head, Body::from(Bytes::from(bytes))))
}

/// Refuses a signature that nobody would check: its sender relies on it.
pub(crate) fn check_none(headers: &HeaderMap) -> Result<(), Problem> {
    match headers.contains_key(SIGNATURE_HEADER) {
        true => Err(Problem::new(&codes::SIGNATURE_UNEXPECTED)),
        false => Ok(()),
    }
}

const fn seconds_of(now: Instant) -> i64 {
    now.0.div_euclid(1_000_000)
}

/// Returns the second that a request was signed in.
fn check_time(timestamp: &str, now: Instant) -> Result<i64, Problem> {
    let server_time = seconds_of(now);
    let is_digits = |text: &str, max| (1..=max).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let (seconds, fraction) = timestamp.split_once('.').map_or((timestamp, None), |(own, more)| (own, Some(more)));
    let is_plain = is_digits(seconds, 12) && fraction.is_none_or(|fraction| is_digits(fraction, 9));
    match seconds.parse::<i64>().ok().filter(|_| is_plain) {
        Some(second) if server_time.abs_diff(second) <= WINDOW_SECONDS as u64 => Ok(second),
        _ => Err(Problem::new(&codes::TIMESTAMP_OFF)
            .member("server_time", server_time)
            .member("window_seconds", WINDOW_SECONDS)),
    }
}

fn digest_of(text: &str) -> Option<[u8; 32]> {
    HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed<'a>(timestamp: &'a str, idempotency_key: Option<&'a [u8]>) -> Signed<'a> {
        Signed { method: "POST", path_and_query: "/v1/purchases?dry_run=true", timestamp, idempotency_key }
    }

    /// Computed with another program: `openssl dgst -sha256 -hmac`.
    #[test]
    fn signatures_are_those_of_others() {
        let own = signed("1483228800", None);
        let body = br#"{"origin_id":"A-1"}"#;
        assert_eq!(
            own.sign(b"a-secret-of-16-chars", body),
            "d3f72d413a506bf92f3e439c0985f586072cf1be04b2aecddfbfb85f4959fdff"
        );
        let own = signed("1483228800", Some(b"order 7"));
        assert_eq!(
            own.sign(b"a-secret-of-16-chars", body),
            "aa567d04a58e035e7030df1bc436080c7c9c2b26c03b9c5688c15d127c5dbb12"
        );
        assert_eq!(
            own.sign(b"a-secret-of-16-chars", b""),
            "1823df11bbcd851037c6a4b95642e2ca1559d58d357706aa56c85cfb7aa5f5ef"
        );
    }

    #[test]
    fn whatever_is_signed_counts() {
        let sign = |own: Signed<'_>, secret: &[u8], body: &[u8]| own.sign(secret, body);
        let own = signed("1483228800", Some(b"k"));
        let right = sign(own, b"secret", b"body");
        let digest = digest_of(&right).expect("a digest");
        assert!(own.is_signed(b"secret", b"body", &digest));
        for (other, secret, body) in [
            (Signed { method: "PUT", ..own }, &b"secret"[..], &b"body"[..]),
            (Signed { path_and_query: "/v1/purchases", ..own }, b"secret", b"body"),
            (Signed { timestamp: "1483228801", ..own }, b"secret", b"body"),
            (Signed { idempotency_key: None, ..own }, b"secret", b"body"),
            (Signed { idempotency_key: Some(b"l"), ..own }, b"secret", b"body"),
            (own, b"secreu", b"body"),
            (own, b"secret", b"bodz"),
            (own, b"secret", b""),
        ] {
            assert!(!other.is_signed(secret, body, &digest), "{other:?}");
        }
    }

    #[test]
    fn timestamps_lie_within_the_window() {
        let now = Instant(1_483_228_800_999_999);
        for (timestamp, is_right) in [
            ("1483228800", true),
            ("1483229100", true),
            ("1483229101", false),
            ("1483228500", true),
            ("1483228499", false),
            ("001483228800", true),
            ("0001483228800", false),
            ("+1483228800", false),
            ("-1483228800", false),
            ("1483228800.0", true),
            ("1483228800.123456789", true),
            ("1483229100.999999999", true),
            ("1483229101.0", false),
            ("1483228800.1234567890", false),
            ("1483228800.", false),
            (".5", false),
            ("1483228800.5.5", false),
            ("1483228800.-5", false),
            (" 1483228800", false),
            ("", false),
            ("999999999999", false),
            ("99999999999999999999", false),
        ] {
            assert_eq!(check_time(timestamp, now).is_ok(), is_right, "{timestamp}");
        }
    }

    #[test]
    fn digests_are_64_digits_of_lower_case() {
        let text = "00ff10a9".repeat(8);
        assert_eq!(digest_of(&text).map(|digest| HEXLOWER.encode(&digest)), Some(text.clone()));
        for wrong in [&text[1..], &format!("{text}0"), &text.to_uppercase(), &text.replace('a', "g"), ""] {
            assert_eq!(digest_of(wrong), None, "{wrong}");
        }
    }
}
