//! The opening handshake of WebSocket (RFC 6455, section 4.2), checked strictly: nothing half right is upgraded.

use axum::body::Body;
use hyper::body::Body as _;
use hyper::header::{
    CONNECTION, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use hyper::{Method, Request, Response, StatusCode, Version};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::codes;
use crate::problem::Problem;

/// Checks what a client sent and returns the answer that accepts it.
///
/// # Errors
///
/// 426 when no WebSocket, or another version of it, is asked for; 400 and 405 when it is asked for wrongly.
pub(crate) fn accept(request: &Request<Body>) -> Result<Response<Body>, Problem> {
    let invalid = |detail: &'static str| Problem::new(&codes::WEBSOCKET_HANDSHAKE_INVALID).detail(detail);
    let headers = request.headers();
    if *request.method() != Method::GET {
        let mut problem = Problem::new(&codes::METHOD_NOT_ALLOWED);
        problem.allow = Some(Method::GET.to_string());
        return Err(problem);
    }
    if !has_token(headers, &CONNECTION, "upgrade") || !has_token(headers, &UPGRADE, "websocket") {
        return Err(Problem::new(&codes::UPGRADE_REQUIRED));
    }
    if request.version() != Version::HTTP_11 {
        return Err(invalid("the handshake needs HTTP/1.1"));
    }
    match only(headers, &SEC_WEBSOCKET_VERSION) {
        Some(version) if version == "13" => (),
        Some(_) => return Err(Problem::new(&codes::WEBSOCKET_VERSION_UNSUPPORTED)),
        None => return Err(invalid("Sec-WebSocket-Version must stand once")),
    }
    let key = only(headers, &SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes).filter(|key| is_key(key));
    let Some(key) = key else { return Err(invalid("Sec-WebSocket-Key must stand once, as 16 bytes in base64")) };
    if !request.body().is_end_stream() {
        return Err(invalid("the handshake has no body"));
    }
    let accept = HeaderValue::try_from(derive_accept_key(key)).map_err(|error| Problem::internal(&error))?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    Ok(response)
}

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|value| value.trim().eq_ignore_ascii_case(token))
}

/// Returns the value of a header that stands exactly once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// Checks for 16 bytes in base64: 22 digits, of which the last holds two bits, and the padding.
fn is_key(key: &[u8]) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    let Some(digits) = key.strip_suffix(b"==") else { return false };
    digits.len() == 22 && digits.iter().all(is_digit) && matches!(digits[21], b'A' | b'Q' | b'g' | b'w')
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    /// Says the answer of the handshake, or the code.
    fn check(change: impl FnOnce(&mut Request<Body>)) -> String {
        let mut request = Request::new(Body::empty());
        let pairs = [("connection", "keep-alive, Upgrade"), ("upgrade", "WebSocket"), ("sec-websocket-version", "13")];
        for (name, value) in pairs {
            request.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        request.headers_mut().insert(SEC_WEBSOCKET_KEY, HeaderValue::from_static(KEY));
        change(&mut request);
        match accept(&request) {
            Ok(response) => response.headers()[SEC_WEBSOCKET_ACCEPT].to_str().unwrap().to_owned(),
            Err(problem) => format!("{} {}", problem.code.status, problem.code.code),
        }
    }

    fn check_header(name: &'static str, value: &'static str) -> String {
        check(|request| drop(request.headers_mut().insert(name, HeaderValue::from_static(value))))
    }

    #[test]
    fn the_sample_of_the_standard() {
        assert_eq!(check(|_| ()), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn half_right_is_wrong() {
        assert_eq!(check_header("connection", "close"), "426 upgrade_required");
        assert_eq!(check_header("upgrade", "h2c"), "426 upgrade_required");
        assert_eq!(check_header("sec-websocket-version", "8"), "426 websocket_version_unsupported");
        for key in [
            "",
            "dGhlIHNhbXBsZSBub25jZQ",
            "dGhlIHNhbXBsZSBub25jZR==",
            "dGhlIHNhbXBsZSBub25j",
            "????????????????????????",
        ] {
            assert_eq!(check_header("sec-websocket-key", key), "400 websocket_handshake_invalid", "{key}");
        }
        for name in ["sec-websocket-version", "sec-websocket-key"] {
            let missing = check(|request| drop(request.headers_mut().remove(name)));
            let twice = check(|request| {
                request.headers_mut().append(name, HeaderValue::from_static("13"));
            });
            assert_eq!(missing, "400 websocket_handshake_invalid");
            assert_eq!(twice, "400 websocket_handshake_invalid");
        }
        let invalid = "400 websocket_handshake_invalid";
        assert_eq!(check(|request| *request.version_mut() = Version::HTTP_10), invalid);
        assert_eq!(check(|request| *request.body_mut() = Body::from("x")), invalid);
        assert_eq!(check(|request| *request.method_mut() = Method::HEAD), "405 method_not_allowed");
    }
}
