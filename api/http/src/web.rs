//! Files for browsers that are in the program: the dashboard and the page of the description. They are self-contained: nothing is fetched
//! from elsewhere, nothing in them runs or is styled inline, and they say so to the browser.

use std::fmt::Write as _;

use axum::body::Body;
use axum::extract::Path;
use axum::response::Response;
use hyper::StatusCode;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH,
};
use sha2::{Digest as _, Sha256};

use crate::codes;
use crate::problem::Problem;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const PICTURE: &str = "image/svg+xml";

/// A file: its name in its folder, what it is, and what is in it.
type File = (&'static str, &'static str, &'static str);

/// What is served below `/dashboard/`.
const DASHBOARD: &[File] = &[
    ("app.css", STYLE, include_str!("dashboard/app.css")),
    ("logo.svg", PICTURE, include_str!("dashboard/logo.svg")),
    ("main.js", SCRIPT, include_str!("dashboard/main.js")),
    ("api.js", SCRIPT, include_str!("dashboard/api.js")),
    ("chart.js", SCRIPT, include_str!("dashboard/chart.js")),
    ("dom.js", SCRIPT, include_str!("dashboard/dom.js")),
    ("format.js", SCRIPT, include_str!("dashboard/format.js")),
    ("forms.js", SCRIPT, include_str!("dashboard/forms.js")),
    ("links.js", SCRIPT, include_str!("dashboard/links.js")),
    ("live.js", SCRIPT, include_str!("dashboard/live.js")),
    ("page.js", SCRIPT, include_str!("dashboard/page.js")),
    ("session.js", SCRIPT, include_str!("dashboard/session.js")),
    ("ui.js", SCRIPT, include_str!("dashboard/ui.js")),
    ("zones.js", SCRIPT, include_str!("dashboard/zones.js")),
    ("account.js", SCRIPT, include_str!("dashboard/account.js")),
    ("audit.js", SCRIPT, include_str!("dashboard/audit.js")),
    ("campaigns.js", SCRIPT, include_str!("dashboard/campaigns.js")),
    ("customers.js", SCRIPT, include_str!("dashboard/customers.js")),
    ("deliveries.js", SCRIPT, include_str!("dashboard/deliveries.js")),
    ("effects.js", SCRIPT, include_str!("dashboard/effects.js")),
    ("events.js", SCRIPT, include_str!("dashboard/events.js")),
    ("explanation.js", SCRIPT, include_str!("dashboard/explanation.js")),
    ("finance.js", SCRIPT, include_str!("dashboard/finance.js")),
    ("holdings.js", SCRIPT, include_str!("dashboard/holdings.js")),
    ("home.js", SCRIPT, include_str!("dashboard/home.js")),
    ("integrations.js", SCRIPT, include_str!("dashboard/integrations.js")),
    ("mail.js", SCRIPT, include_str!("dashboard/mail.js")),
    ("operate.js", SCRIPT, include_str!("dashboard/operate.js")),
    ("partners.js", SCRIPT, include_str!("dashboard/partners.js")),
    ("payments.js", SCRIPT, include_str!("dashboard/payments.js")),
    ("promos.js", SCRIPT, include_str!("dashboard/promos.js")),
    ("purchase.js", SCRIPT, include_str!("dashboard/purchase.js")),
    ("risk.js", SCRIPT, include_str!("dashboard/risk.js")),
    ("rules.js", SCRIPT, include_str!("dashboard/rules.js")),
    ("secrets.js", SCRIPT, include_str!("dashboard/secrets.js")),
    ("statement.js", SCRIPT, include_str!("dashboard/statement.js")),
    ("system.js", SCRIPT, include_str!("dashboard/system.js")),
    ("tiers.js", SCRIPT, include_str!("dashboard/tiers.js")),
    ("webhooks.js", SCRIPT, include_str!("dashboard/webhooks.js")),
    ("what_if.js", SCRIPT, include_str!("dashboard/what_if.js")),
    ("uPlot.js", SCRIPT, include_str!("dashboard/vendor/uPlot.js")),
    ("uPlot.css", STYLE, include_str!("dashboard/vendor/uPlot.css")),
];

/// What is served below `/docs/`.
const DOCS: &[File] =
    &[("docs.js", SCRIPT, include_str!("docs/docs.js")), ("docs.css", STYLE, include_str!("docs/docs.css"))];

/// Shows the dashboard.
pub(crate) async fn dashboard(headers: HeaderMap) -> Response {
    file(&headers, &("", HTML, include_str!("dashboard/index.html")))
}

/// Shows a file of the dashboard.
pub(crate) async fn dashboard_file(headers: HeaderMap, Path(name): Path<String>) -> Result<Response, Problem> {
    named(&headers, DASHBOARD, &name)
}

/// Shows the page of the description.
pub(crate) async fn docs(headers: HeaderMap) -> Response {
    file(&headers, &("", HTML, include_str!("docs/page.html")))
}

/// Shows a file of that page.
pub(crate) async fn docs_file(headers: HeaderMap, Path(name): Path<String>) -> Result<Response, Problem> {
    named(&headers, DOCS, &name)
}

fn named(headers: &HeaderMap, files: &[File], name: &str) -> Result<Response, Problem> {
    let found = files.iter().find(|(own, ..)| *own == name);
    found.map(|found| file(headers, found)).ok_or_else(|| Problem::new(&codes::ROUTE_UNKNOWN))
}

/// Answers with a file, or that the browser has it already: files change with the program.
fn file(headers: &HeaderMap, (_, media, text): &File) -> Response {
    let tag = tag_of(text);
    let is_known = headers.get_all(IF_NONE_MATCH).iter().any(|own| own.to_str().is_ok_and(|own| own.contains(&tag)));
    let mut response = Response::new(if is_known { Body::empty() } else { Body::from(*text) });
    if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let own: [(HeaderName, &'static str); 3] =
        [(CONTENT_TYPE, media), (CONTENT_SECURITY_POLICY, POLICY), (CACHE_CONTROL, "no-cache")];
    for (name, value) in own {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    // Quotes and hexadecimal digits make a header.
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

fn tag_of(text: &str) -> String {
    let mut tag = String::from("\"");
    for byte in Sha256::digest(text.as_bytes()).iter().take(16) {
        // A text takes whatever is written.
        let _ = write!(tag, "{byte:02x}");
    }
    tag.push('"');
    tag
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What customers and partners wrote is only ever set as text.
    #[test]
    fn scripts_make_no_markup_of_texts() {
        for (name, _, text) in DASHBOARD.iter().chain(DOCS).filter(|(name, ..)| !name.starts_with("uPlot")) {
            for way in
                ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "srcdoc"]
            {
                assert!(!text.contains(way), "{name} holds {way}");
            }
        }
    }

    /// Every module that a script of the dashboard asks for is served, and every script is asked for.
    #[test]
    fn scripts_find_each_other() {
        let mut asked = vec!["main.js", "app.css", "uPlot.css", "logo.svg"];
        for (_, _, text) in DASHBOARD {
            asked.extend(text.split(" from \"./").skip(1).filter_map(|rest| rest.split('"').next()));
        }
        asked.sort_unstable();
        asked.dedup();
        let mut served: Vec<&str> = DASHBOARD.iter().map(|(name, ..)| *name).collect();
        served.sort_unstable();
        assert_eq!(asked, served);
    }
}
