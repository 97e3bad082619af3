//! The page that shows `/openapi.json` to people. It is self-contained: nothing is fetched from elsewhere, nothing in
//! it runs or is styled inline, and it says so to the browser.

use axum::body::Body;
use axum::response::Response;
use hyper::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// Shows the page.
pub(crate) async fn page() -> Response {
    file("text/html; charset=utf-8", include_str!("page.html"))
}

/// Shows its script.
pub(crate) async fn script() -> Response {
    file("text/javascript; charset=utf-8", include_str!("docs.js"))
}

/// Shows its style.
pub(crate) async fn style() -> Response {
    file("text/css; charset=utf-8", include_str!("docs.css"))
}

fn file(media: &'static str, text: &'static str) -> Response {
    let mut response = Response::new(Body::from(text));
    let headers = [
        (CONTENT_TYPE, media),
        (CONTENT_SECURITY_POLICY, POLICY),
        // The files change with the program, and are asked for rarely.
        (CACHE_CONTROL, "no-cache"),
    ];
    for (name, value) in headers {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
