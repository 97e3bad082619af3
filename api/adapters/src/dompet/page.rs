//! GraphiQL, at the address that queries are sent to. It is self-contained: nothing is fetched from elsewhere.

use hyper::Response;
use hyper::body::Bytes;
use hyper::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue};

/// GraphiQL's editor writes styles into the page; its icons and fonts are in its own style. Scripts are those of this server alone.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      font-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

/// Returns true for an address of something that the page loads.
pub(super) fn is_file(path: &str) -> bool {
    file(path).is_some()
}

/// Shows the page, or what it loads.
pub(super) fn get(path: &str) -> Response<Bytes> {
    let (media, is_compressed, bytes) =
        file(path).unwrap_or(("text/html; charset=utf-8", false, include_bytes!("graphiql/page.html")));
    let mut response = Response::new(Bytes::from_static(bytes));
    let mut set = |name: HeaderName, value| response.headers_mut().insert(name, HeaderValue::from_static(value));
    set(CONTENT_TYPE, media);
    set(CONTENT_SECURITY_POLICY, POLICY);
    // The files change with the program, and are asked for rarely.
    set(CACHE_CONTROL, "no-cache");
    if is_compressed {
        set(CONTENT_ENCODING, "gzip");
    }
    response
}

/// What kind a file is, whether it is compressed, and what is in it.
fn file(path: &str) -> Option<(&'static str, bool, &'static [u8])> {
    Some(match path {
        "/graphql/page.js" => (SCRIPT, false, include_bytes!("graphiql/page.js")),
        "/graphql/page.css" => (STYLE, false, include_bytes!("graphiql/page.css")),
        "/graphql/graphiql.js" => (SCRIPT, true, include_bytes!("graphiql/graphiql.js.gz")),
        "/graphql/graphiql.css" => (STYLE, true, include_bytes!("graphiql/graphiql.css.gz")),
        "/graphql/react.js" => (SCRIPT, true, include_bytes!("graphiql/react.js.gz")),
        "/graphql/react-dom.js" => (SCRIPT, true, include_bytes!("graphiql/react-dom.js.gz")),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a page loads from elsewhere, or runs inline, is not loaded at all under its policy.
    #[test]
    fn the_page_loads_what_is_here() {
        let page = str::from_utf8(include_bytes!("graphiql/page.html")).expect("text");
        let loaded: Vec<&str> = ["src=\"", "href=\""]
            .iter()
            .flat_map(|name| page.split(name).skip(1))
            .filter_map(|rest| rest.split('"').next())
            .filter(|address| *address != "data:,")
            .collect();
        assert_eq!(loaded.len(), 6, "{page}");
        for address in loaded {
            assert!(is_file(address), "{address}");
            let shown = get(address);
            let is_compressed = shown.headers().get(CONTENT_ENCODING).is_some_and(|own| own == "gzip");
            assert_eq!(is_compressed, shown.body().starts_with(&[0x1f, 0x8b]), "{address}");
        }
        assert!(!page.contains("<script>") && !page.contains("<style"), "{page}");
        assert_eq!(get("/graphql").headers()[CONTENT_TYPE], "text/html; charset=utf-8");
    }
}
