//! What the server answers for one purchase, read with as little work as possible: the client shares the processor with
//! the server that it measures.
//!
//! The usual answer is searched for its three numbers; any other is read as JSON.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::Deserialize;

/// How the answer of a purchase that is booked now begins, in a stream.
const BOOKED: &[u8] = br#"{"status":201,"replayed":false,"result":{"#;
/// How the answer of a purchase that is booked begins in a stream, and no result.
const STREAMED: &[u8] = br#"{"status":201,"#;

// A finder is made of what it looks for once, and not for each answer.
static ORIGIN_ID: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(br#""origin_id":""#));
static CUSTOMER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(br#","customer":""#));
static BALANCES: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(br#""balances":[{"wallet":0,"#));
static BALANCE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(br#""balance":"#));
static AMOUNT: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(br#""amount":"#));
static RESULT: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(br#","result":"#));
static POINT_TOTAL: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(br#""point_total":"#));

/// What became of a purchase.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer<'a> {
    /// It is booked: now, or before if `replayed`.
    Booked { replayed: bool, result: Booked<'a> },
    /// It is refused, under this code.
    Refused { code: Cow<'a, str> },
}

/// The part of a result that is checked.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub(crate) struct Booked<'a> {
    #[serde(borrow)]
    pub(crate) origin_id: Cow<'a, str>,
    pub(crate) amount: i64,
    pub(crate) point_total: i64,
}

/// The answer is none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadAnswer {
    #[error("an answer is no JSON of the expected form: {0}")]
    Json(#[from] serde_json::Error),
    #[error("an answer has status {status}, but neither a result nor a problem that fits")]
    Status { status: u16 },
}

/// The part of a problem document that is counted, and shown if it ends the run.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Problem<'a> {
    #[serde(borrow, default)]
    pub(crate) code: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) detail: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Line<'a> {
    status: u16,
    replayed: bool,
    #[serde(borrow)]
    result: Option<Booked<'a>>,
    #[serde(borrow)]
    problem: Option<Problem<'a>>,
}

/// Reads a line of a stream's answer.
///
/// # Errors
///
/// [`BadAnswer`].
pub(crate) fn of_line(line: &[u8]) -> Result<Answer<'_>, BadAnswer> {
    if let Some(result) = line.strip_prefix(BOOKED).and_then(search) {
        return Ok(Answer::Booked { replayed: false, result });
    }
    let read: Line<'_> = serde_json::from_slice(line)?;
    match (read.result, read.problem) {
        (Some(result), None) if read.status == 201 => Ok(Answer::Booked { replayed: read.replayed, result }),
        (None, Some(problem)) if 400 <= read.status => Ok(Answer::Refused { code: problem.code }),
        _ => Err(BadAnswer::Status { status: read.status }),
    }
}

/// Reads the body that answers a single purchase that is booked.
///
/// # Errors
///
/// [`BadAnswer`].
pub(crate) fn of_result(body: &[u8], replayed: bool) -> Result<Answer<'_>, BadAnswer> {
    let result = match search(body) {
        Some(result) => result,
        None => serde_json::from_slice(body)?,
    };
    Ok(Answer::Booked { replayed, result })
}

/// Returns what is the same in all answers for a purchase, of the bytes of one: the result, without what a stream puts around it.
pub(crate) fn result_of(bytes: &[u8]) -> &[u8] {
    let in_stream = bytes.starts_with(STREAMED).then(|| after(bytes, &RESULT)?.strip_suffix(b"}"));
    in_stream.flatten().unwrap_or(bytes)
}

/// Whose purchase it was.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Holder<'a> {
    /// The id of the customer.
    pub(crate) customer: &'a str,
    /// Of the customer's first wallet, after the purchase.
    pub(crate) balance: i64,
}

/// Finds whose purchase it was that was booked.
pub(crate) fn holder_of(bytes: &[u8]) -> Option<Holder<'_>> {
    let rest = after(bytes, &CUSTOMER)?;
    let customer = std::str::from_utf8(rest.get(..memchr::memchr(b'"', rest)?)?).ok()?;
    Some(Holder { customer, balance: balance_of(rest)? })
}

/// Finds the balance of the first wallet after a purchase or a refund; nothing after a refund that moved no money.
pub(crate) fn balance_of(bytes: &[u8]) -> Option<i64> {
    number(after(after(bytes, &BALANCES)?, &BALANCE)?)
}

/// Finds the members of a result. A quote within a text is escaped, so what is found here is never within one.
fn search(result: &[u8]) -> Option<Booked<'_>> {
    let rest = after(result, &ORIGIN_ID)?;
    let (origin_id, rest) = rest.split_at_checked(memchr::memchr(b'"', rest)?)?;
    if origin_id.contains(&b'\\') {
        return None;
    }
    let rest = after(rest, &AMOUNT)?;
    let amount = number(rest)?;
    let point_total = number(after(rest, &POINT_TOTAL)?)?;
    let origin_id = Cow::Borrowed(std::str::from_utf8(origin_id).ok()?);
    Some(Booked { origin_id, amount, point_total })
}

fn after<'a>(bytes: &'a [u8], key: &Finder<'_>) -> Option<&'a [u8]> {
    bytes.get(key.find(bytes)? + key.needle().len()..)
}

/// Reads a number up to what ends a member.
fn number(bytes: &[u8]) -> Option<i64> {
    let length = bytes.iter().position(|byte| matches!(byte, b',' | b'}'))?;
    std::str::from_utf8(bytes.get(..length)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESULT: &str = concat!(
        r#"{"id":"0197","seq":9,"tenant":"journey","partner":"grocer","origin_id":"load-7-0000000003","#,
        r#""customer":"0198","amount":120000,"quantity":1,"currency":"IDR","tiers":[{"program":"\"amount\":5"}],"#,
        r#""point_transaction":2100,"point_loyalty":15000,"point_total":17100,"#,
        r#""effects":[{"points":2100}],"declined":[]}"#
    );

    fn expected() -> Booked<'static> {
        Booked { origin_id: "load-7-0000000003".into(), amount: 120_000, point_total: 17_100 }
    }

    #[test]
    fn the_search_finds_what_the_parser_reads() {
        assert_eq!(search(RESULT.as_bytes()), Some(expected()));
        assert_eq!(serde_json::from_str::<Booked<'_>>(RESULT).unwrap(), expected());
    }

    #[test]
    fn lines_of_every_kind() {
        let line = |replayed: bool| format!(r#"{{"status":201,"replayed":{replayed},"result":{RESULT}}}"#);
        for replayed in [false, true] {
            let line = line(replayed);
            assert_eq!(of_line(line.as_bytes()).unwrap(), Answer::Booked { replayed, result: expected() });
        }
        let refused = br#"{"status":422,"replayed":false,"problem":{"type":"x","code":"promo_unknown","detail":"d"}}"#;
        assert_eq!(of_line(refused).unwrap(), Answer::Refused { code: "promo_unknown".into() });
    }

    #[test]
    fn the_result_is_what_all_answers_of_a_purchase_have_in_common() {
        let line = |replayed: bool| format!(r#"{{"status":201,"replayed":{replayed},"result":{RESULT}}}"#);
        for answer in [RESULT.to_owned(), line(false), line(true)] {
            assert_eq!(result_of(answer.as_bytes()), RESULT.as_bytes(), "{answer}");
        }
        let refused = br#"{"status":422,"replayed":false,"problem":{"code":"promo_unknown"}}"#;
        assert_eq!(result_of(refused), refused);
    }

    #[test]
    fn the_holder_is_found() {
        let moved = RESULT.replace(
            r#""declined":[]"#,
            r#""declined":[],"balances":[{"wallet":0,"currency":"IDR","balance":-38000}]"#,
        );
        assert_eq!(holder_of(moved.as_bytes()), Some(Holder { customer: "0198", balance: -38_000 }));
        assert_eq!(holder_of(RESULT.as_bytes()), None);
        assert_eq!(balance_of(br#"{"seq":5,"balances":[],"points":[]}"#), None);
        assert_eq!(
            balance_of(br#"{"seq":5,"balances":[{"wallet":0,"currency":"IDR","balance":7}],"points":[]}"#),
            Some(7)
        );
    }

    #[test]
    fn an_unusual_form_is_read_as_json() {
        let spaced = RESULT.replace(r#""amount":120000"#, r#""amount" : 120000"#).replace("load-7", r"lo\u0061d-7");
        let line = format!(r#"{{"status":201,"replayed":false,"result":{spaced}}}"#);
        assert_eq!(of_line(line.as_bytes()).unwrap(), Answer::Booked { replayed: false, result: expected() });
        assert_eq!(of_result(spaced.as_bytes(), true).unwrap(), Answer::Booked { replayed: true, result: expected() });
    }

    #[test]
    fn what_is_no_answer_is_told() {
        for bad in
            ["", "{}", "nonsense", r#"{"status":201,"replayed":false}"#, r#"{"status":201,"replayed":false,"result":{"#]
        {
            assert!(of_line(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(matches!(
            of_line(br#"{"status":200,"replayed":false,"problem":{"code":"x"}}"#),
            Err(BadAnswer::Status { status: 200 })
        ));
    }
}
