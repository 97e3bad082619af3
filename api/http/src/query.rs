//! Query parameters, strictly: one that a route does not know is refused, so that `?dry_rum=true` books nothing.

use hyper::Uri;
use kembali_core::{Instant, Seq};
use percent_encoding::percent_decode_str;

use crate::codes;
use crate::parameters::{LIMIT_DEFAULT, LIMIT_MAX, Parameter};
use crate::problem::Problem;
use crate::wire::instant::parse_rfc3339;

/// A past position, as callers name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Past {
    /// Itself.
    Position(Seq),
    /// The last record that was received at this instant or before it.
    Instant(Instant),
}

/// The parameters of one request.
#[derive(Debug, Default)]
pub(crate) struct Query {
    pairs: Vec<(String, String)>,
}

/// Refuses a parameter.
pub(crate) fn invalid(name: &str, detail: impl Into<String>) -> Problem {
    Problem::new(&codes::QUERY_INVALID).detail(detail.into()).member("parameter", name)
}

impl Query {
    /// Reads the parameters, of which only `known` may stand, each once.
    pub(crate) fn parse(uri: &Uri, known: &[Parameter]) -> Result<Query, Problem> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for pair in uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decode(name), decode(value));
            let (Some(name), Some(value)) = (name, value) else { return Err(invalid("", "is not UTF-8")) };
            if !known.iter().any(|own| own.name == name) {
                let names: Vec<&str> = known.iter().map(|own| own.name).collect();
                let detail = format!("{name} is not known here; known are: {}", names.join(", "));
                return Err(invalid(&name, detail));
            }
            if pairs.iter().any(|(earlier, _)| *earlier == name) {
                return Err(invalid(&name, format!("{name} stands twice")));
            }
            pairs.push((name, value));
        }
        Ok(Query { pairs })
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn required(&self, name: &str) -> Result<&str, Problem> {
        self.text(name).ok_or_else(|| invalid(name, format!("{name} is required")))
    }

    pub(crate) fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = if is_plain { text.parse().ok() } else { None };
        number.map(Some).ok_or_else(|| invalid(name, format!("{name} must be a whole number that fits")))
    }

    /// Reads a position: a whole number, or an instant.
    pub(crate) fn past(&self, name: &str) -> Result<Option<Past>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        if let Some(instant) = parse_rfc3339(text) {
            return Ok(Some(Past::Instant(instant)));
        }
        match self.number(name) {
            Ok(position) => Ok(position.map(|position| Past::Position(Seq(position)))),
            Err(_) => {
                let detail = format!(
                    "{name} must be a position, or an instant in RFC 3339 such as 2017-03-01T07:00:00%2B07:00, with its \
                     plus sign encoded"
                );
                Err(invalid(name, detail))
            }
        }
    }

    pub(crate) fn flag(&self, name: &str) -> Result<bool, Problem> {
        match self.text(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(invalid(name, format!("{name} must be true or false"))),
        }
    }

    /// Reads `limit`, the size of a page.
    pub(crate) fn limit(&self) -> Result<usize, Problem> {
        match self.number::<usize>("limit")? {
            None => Ok(LIMIT_DEFAULT),
            Some(limit) if (1..=LIMIT_MAX).contains(&limit) => Ok(limit),
            Some(_) => Err(invalid("limit", format!("limit must be 1 to {LIMIT_MAX}"))),
        }
    }
}

fn decode(text: &str) -> Option<String> {
    let text = text.replace('+', " ");
    percent_decode_str(&text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::Form;

    fn check(query: &str) -> Result<Query, String> {
        let uri: Uri = format!("/x?{query}").parse().unwrap();
        let known = ["email", "dry_run", "limit"].map(|name| Parameter { name, form: Form::Text, says: "" });
        Query::parse(&uri, &known).map_err(|problem| problem.detail.unwrap_or_default().into_owned())
    }

    #[test]
    fn parameters() {
        let query = check("email=a%2Bb%40c&dry_run=true&limit=20").unwrap();
        assert_eq!(query.text("email"), Some("a+b@c"));
        assert!(query.flag("dry_run").unwrap());
        assert_eq!(query.limit().unwrap(), 20);
        assert_eq!(check("").unwrap().limit().unwrap(), 50);
        assert!(check("dry_rum=true").unwrap_err().contains("dry_rum is not known"));
        assert!(check("limit=1&limit=2").unwrap_err().contains("twice"));
        assert!(check("limit=0").unwrap().limit().is_err());
        assert!(check("limit=201").unwrap().limit().is_err());
        assert!(check("limit=%2B5").unwrap().limit().is_err());
        assert!(check("dry_run=yes").unwrap().flag("dry_run").is_err());
        assert!(check("email=%ff").is_err());
    }

    #[test]
    fn a_past_position_is_a_number_or_an_instant() {
        let past = |text: &str| check(&format!("email={text}")).unwrap().past("email");
        assert_eq!(past("0").unwrap(), Some(Past::Position(Seq(0))));
        assert_eq!(past("18446744073709551615").unwrap(), Some(Past::Position(Seq(u64::MAX))));
        assert_eq!(past("1970-01-01T07:00:01%2B07:00").unwrap(), Some(Past::Instant(Instant(1_000_000))));
        assert_eq!(past("0001-01-01T00:00:00Z").unwrap(), Some(Past::Instant(Instant(-62_135_596_800_000_000))));
        for bad in ["", "-1", "1.5", "18446744073709551616", "now", "2017-01-01", "1970-01-01T07:00:01+07:00"] {
            assert!(past(bad).is_err(), "{bad}");
        }
        assert_eq!(check("").unwrap().past("email").unwrap(), None);
    }
}
