//! CSV (RFC 4180) as the other form of an answer: who wants it, how a line is written, how it is sent.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use hyper::StatusCode;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue, VARY};
use serde::Serialize;

use crate::reads::Json;

const CSV: HeaderValue = HeaderValue::from_static("text/csv; charset=utf-8; header=present");

/// Tells whether a caller prefers CSV to JSON: by the weights of `Accept`, of equal ones by what comes first.
pub(crate) fn is_preferred(headers: &HeaderMap) -> bool {
    let accepted =
        headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).flat_map(|all| all.split(','));
    let known = accepted.filter_map(|item| {
        let mut parts = item.split(';').map(|part| part.trim().to_ascii_lowercase());
        let is_csv = match parts.next()?.as_str() {
            "text/csv" | "text/*" => true,
            "application/json" | "application/*" | "*/*" => false,
            _ => return None,
        };
        let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse().ok()).unwrap_or(1.0_f32);
        Some((is_csv, weight))
    });
    let best = known.reduce(|best, other| if best.1 < other.1 { other } else { best });
    best.is_some_and(|(is_csv, weight)| is_csv && 0.0 < weight)
}

/// What can be written as CSV.
pub(crate) trait Table {
    /// Writes the rows, with a header.
    fn to_csv(&self) -> String;
}

/// An answer in the form that the caller prefers.
pub(crate) struct JsonOrCsv<T> {
    value: T,
    is_csv: bool,
}

impl<T> JsonOrCsv<T> {
    pub(crate) fn new(value: T, headers: &HeaderMap) -> JsonOrCsv<T> {
        JsonOrCsv { value, is_csv: is_preferred(headers) }
    }
}

impl<T: Serialize + Table> IntoResponse for JsonOrCsv<T> {
    fn into_response(self) -> Response {
        let mut response = if self.is_csv { csv(self.value.to_csv()) } else { Json(self.value).into_response() };
        varies(&mut response);
        response
    }
}

/// Answers with CSV.
pub(crate) fn csv(text: String) -> Response {
    let mut response = (StatusCode::OK, Body::from(text)).into_response();
    response.headers_mut().insert(CONTENT_TYPE, CSV);
    response
}

/// Says that another caller may get another form.
pub(crate) fn varies(response: &mut Response) {
    response.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
}

/// Writes a line; a cell is quoted where it must be.
pub(crate) fn line(out: &mut String, cells: &[&str]) {
    for (index, cell) in cells.iter().enumerate() {
        if 0 < index {
            out.push(',');
        }
        if cell.contains([',', '"', '\r', '\n']) {
            out.push('"');
            out.push_str(&cell.replace('"', "\"\""));
            out.push('"');
        } else {
            out.push_str(cell);
        }
    }
    out.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_where_they_must_be() {
        let mut out = String::new();
        line(&mut out, &["a b", "", "x,y", "say \"it\"", "1"]);
        assert_eq!(out, "a b,,\"x,y\",\"say \"\"it\"\"\",1\r\n");
    }

    #[test]
    fn csv_is_for_those_who_prefer_it() {
        for (accept, is_csv) in [
            ("text/csv", true),
            ("Text/CSV; charset=utf-8", true),
            ("text/csv, application/json;q=0.5", true),
            ("application/json;q=0.5, text/csv", true),
            ("text/csv;q=0.4, application/json; q=0.5", false),
            ("application/pdf, text/csv;q=0.1", true),
            ("text/csv;q=0", false),
            ("text/*", true),
            ("application/json, text/csv", false),
            ("*/*", false),
            ("text/csvs", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(is_preferred(&headers), is_csv, "{accept}");
        }
        assert!(!is_preferred(&HeaderMap::new()));
    }
}
