//! Tables of purchases, good and bad: what goes in, which code and which place come out.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

/// Reads `body` and writes down what came out: `ok`, or the code and the pointer.
fn outcome(body: &str) -> String {
    match parse(body.as_bytes()) {
        Ok(_) => "ok".to_owned(),
        Err(problem) => format!("{} {}", problem.code.code, problem.pointer.as_deref().unwrap_or("-")),
    }
}

const GOOD: &str = r#"{"origin_id":"A-1","customer":{"ref":"C1"},"amount":100000,"quantity":1}"#;

/// A good purchase with one member replaced or added.
fn with(member: &str, value: &str) -> String {
    let mut fields =
        vec![("origin_id", r#""A-1""#), ("customer", r#"{"ref":"C1"}"#), ("amount", "100000"), ("quantity", "1")];
    match fields.iter_mut().find(|(name, _)| *name == member) {
        Some(field) => field.1 = value,
        None => fields.push((member, value)),
    }
    let mut text = String::from("{");
    for (index, (name, value)) in fields.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        write!(text, "{comma}\"{name}\":{value}").unwrap();
    }
    text + "}"
}

fn without(member: &str) -> String {
    let all = ["\"origin_id\":\"A-1\"", "\"customer\":{\"ref\":\"C1\"}", "\"amount\":1", "\"quantity\":1"];
    let kept: Vec<&str> = all.into_iter().filter(|field| !field.starts_with(&format!("\"{member}\""))).collect();
    format!("{{{}}}", kept.join(","))
}

#[test]
fn documents_that_are_no_purchase() {
    for (body, expected) in [
        ("", "malformed_json -"),
        ("nonsense", "malformed_json -"),
        ("{", "malformed_json -"),
        (r#"{"origin_id":"A"} trailing"#, "malformed_json -"),
        ("{\"origin_id\":\"\u{1}\"}", "malformed_json -"),
        ("[]", "field_invalid "),
        (r#"["A-1",{"ref":"C1"},1,1]"#, "field_invalid "),
        ("null", "field_invalid "),
        ("12", "field_invalid "),
        ("{}", "field_missing /origin_id"),
    ] {
        assert_eq!(outcome(body), expected, "{body}");
    }
    assert_eq!(outcome(std::str::from_utf8(&[b'['; 10_000]).unwrap()), "malformed_json -");
    assert!(parse(b"{\"origin_id\":\"\xff\"}").is_err_and(|problem| problem.code.code == "malformed_json"));
}

#[test]
fn members_missing_unknown_or_twice() {
    for member in ["origin_id", "customer", "amount", "quantity"] {
        assert_eq!(outcome(&without(member)), format!("field_missing /{member}"));
        let null = if member == "customer" { "field_invalid /customer" } else { &format!("field_invalid /{member}") };
        assert_eq!(outcome(&with(member, "null")), null);
    }
    assert_eq!(outcome(&with("ammount", "1")), "field_unknown /ammount");
    assert_eq!(outcome(&with("a/b~c", "1")), "field_unknown /a~1b~0c");
    let twice = GOOD.replace("\"quantity\":1", "\"quantity\":1,\"amount\":5");
    assert_eq!(outcome(&twice), "field_invalid /amount");
    for member in ["occurred_at", "promo_code", "store", "product", "tags", "lines"] {
        assert_eq!(outcome(&with(member, "null")), "ok");
    }
}

#[test]
fn numbers() {
    for member in ["amount", "quantity"] {
        for good in ["1", "0", "-5", "9223372036854775807", "\"12\"", "\"-12\"", "\"0\"", "\"007\""] {
            assert_eq!(outcome(&with(member, good)), "ok", "{member} {good}");
        }
        for bad in [
            "1.0",
            "1e3",
            "1.5",
            "9223372036854775808",
            "-9223372036854775809",
            "\"9223372036854775808\"",
            "\"1.0\"",
            "\"1e3\"",
            "\"+5\"",
            "\"\"",
            "\" 1\"",
            "\"1_000\"",
            "true",
            "[1]",
            "{}",
        ] {
            assert_eq!(outcome(&with(member, bad)), format!("field_invalid /{member}"), "{bad}");
        }
    }
    let sum = |text: &str| parse(with("amount", text).as_bytes()).unwrap().1.amount;
    assert_eq!(sum("\"12\""), sum("12"));
}

#[test]
fn texts_and_their_lengths() {
    let quoted = |chars: usize| format!("\"{}\"", "x".repeat(chars));
    for member in ["promo_code", "store", "product"] {
        assert_eq!(outcome(&with(member, &quoted(256))), "ok");
        assert_eq!(outcome(&with(member, &quoted(257))), format!("field_invalid /{member}"));
        assert_eq!(outcome(&with(member, "7")), format!("field_invalid /{member}"));
    }
    assert_eq!(outcome(&with("origin_id", &quoted(128))), "ok");
    let wide = format!("\"{}\"", "\u{1F600}".repeat(128));
    assert_eq!(outcome(&with("origin_id", &wide)), "ok");
    for bad in [&quoted(0), &quoted(129), &quoted(10_000), "\"a\\u0000b\"", "\"a\\nb\""] {
        assert_eq!(outcome(&with("origin_id", bad)), "origin_id_invalid /origin_id");
    }
    assert_eq!(outcome(&with("origin_id", "17")), "field_invalid /origin_id");
}

#[test]
fn customers() {
    for (customer, expected) in [
        (r#"{"ref":"C1"}"#, "ok"),
        (r#"{"email":"a@b"}"#, "ok"),
        (r#"{"id":"4df5900c-22c4-4373-875d-f1172048e1b4"}"#, "ok"),
        (r#"{"ref":"C1","email":null}"#, "ok"),
        (r"{}", "customer_invalid /customer"),
        (r#"{"ref":"C1","email":"a@b"}"#, "customer_invalid /customer"),
        (r#"{"ref":""}"#, "customer_invalid /customer/ref"),
        (r#"{"ref":"a\tb"}"#, "customer_invalid /customer/ref"),
        (r#"{"email":"ab"}"#, "customer_invalid /customer/email"),
        (r#"{"email":"a@b@c"}"#, "customer_invalid /customer/email"),
        (r#"{"email":"@b.c"}"#, "customer_invalid /customer/email"),
        (r#"{"email":"a b@c"}"#, "customer_invalid /customer/email"),
        (r#"{"id":"4df5900c"}"#, "customer_invalid /customer/id"),
        (r#"{"id":"4df5900c22c44373875df1172048e1b4"}"#, "customer_invalid /customer/id"),
        (r#"{"name":"C1"}"#, "field_unknown /customer/name"),
        (r#"{"ref":"C1","ref":"C1"}"#, "field_invalid /customer/ref"),
        (r#"{"ref":5}"#, "field_invalid /customer/ref"),
        (r#""C1""#, "field_invalid /customer"),
        (r#"["4df5900c-22c4-4373-875d-f1172048e1b4"]"#, "field_invalid /customer"),
    ] {
        assert_eq!(outcome(&with("customer", customer)), expected, "{customer}");
    }
    let long = format!(r#"{{"ref":"{}"}}"#, "x".repeat(129));
    assert_eq!(outcome(&with("customer", &long)), "customer_invalid /customer/ref");
}

#[test]
fn instants_tags_and_lines() {
    let line = r#"{"product":"tea","quantity":2,"amount":"100"}"#;
    for (member, value, expected) in [
        ("occurred_at", r#""2017-03-01T10:00:00+07:00""#, "ok"),
        ("occurred_at", r#""2017-03-01 10:00:00""#, "field_invalid /occurred_at"),
        ("occurred_at", "1488337200", "field_invalid /occurred_at"),
        ("tags", r#"["a","b"]"#, "ok"),
        ("tags", r#"["a",1]"#, "field_invalid /tags/1"),
        ("tags", r#""a""#, "field_invalid /tags"),
        ("lines", &format!("[{line}]"), "ok"),
        ("lines", r#"[{"product":"tea","quantity":2}]"#, "field_missing /lines/0/amount"),
        ("lines", &format!("[{line},{{\"product\":1,\"quantity\":1,\"amount\":1}}]"), "field_invalid /lines/1/product"),
        ("lines", r#"[{"product":"t","quantity":0.5,"amount":1}]"#, "field_invalid /lines/0/quantity"),
        ("lines", r#"[["t",1,1]]"#, "field_invalid /lines/0"),
        ("lines", "{}", "field_invalid /lines"),
    ] {
        assert_eq!(outcome(&with(member, value)), expected, "{member} {value}");
    }
    let many = format!("[{}]", vec!["\"t\""; 33].join(","));
    assert_eq!(outcome(&with("tags", &many)), "field_invalid /tags");
}

#[test]
fn the_first_failure_in_the_order_of_the_contract_is_the_code() {
    let body = |origin: &str, customer: &str, amount: &str| {
        format!(r#"{{"origin_id":"{origin}","customer":{customer},"amount":{amount},"quantity":0}}"#)
    };
    assert_eq!(outcome(&body("", "{}", "1.5")), "field_invalid /amount");
    assert_eq!(outcome(&body("", "{}", "-1")), "origin_id_invalid /origin_id");
    assert_eq!(outcome(&body("A", "{}", "-1")), "customer_invalid /customer");
    // From here on the ledger decides: it leaves a receipt.
    assert_eq!(outcome(&body("A", r#"{"ref":"C"}"#, "-1")), "ok");
}

/// A purchase with every member.
const WHOLE: &str = r#"{"origin_id":"A-1","customer":{"email":"a@b.c"},"amount":100000,"quantity":"2","occurred_at":"2017-01-01T11:53:26Z","promo_code":"P","store":"330","product":"MILK","tags":["a","b"],"lines":[{"product":"MILK","quantity":1,"amount":60000},{"product":"EGGS","quantity":1,"amount":40000}]}"#;

/// What is put into a document, to bring it near to being another one.
const PIECES: &[&str] = &[
    "\"",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "null",
    "-1",
    "1e9",
    "9223372036854775808",
    "\"amount\":1,",
    "\"lines\":[],",
    "\\u0000",
    "\\ud800",
    "\u{1f600}",
    "\"customer\":{\"ref\":\"C\"},",
    " ",
    "true",
];

fn any_document() -> impl Strategy<Value = Vec<u8>> {
    let edit = (0..400_usize, 0..6_usize, proptest::option::of(proptest::sample::select(PIECES)), any::<u8>());
    let edited = proptest::collection::vec(edit, 0..5).prop_map(|edits| {
        let mut bytes = WHOLE.as_bytes().to_vec();
        for (at, gone, piece, byte) in edits {
            let at = at.min(bytes.len());
            let end = at.saturating_add(gone).min(bytes.len());
            bytes.splice(at..end, piece.map_or_else(|| vec![byte], |piece| piece.as_bytes().to_vec()));
        }
        bytes
    });
    prop_oneof![8 => edited, 1 => proptest::collection::vec(any::<u8>(), 0..100)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// R45: whatever stands in a line, it is a purchase or a fault that says where it is; and the same each time.
    #[test]
    fn r45_any_line_is_a_purchase_or_a_fault_with_its_place(document in any_document()) {
        let tell = || match parse(&document) {
            Ok((customer, purchase)) => Ok(format!("{customer:?} {purchase:?}")),
            Err(problem) => Err((problem.code.status, problem.code.code, problem.pointer)),
        };
        let told = tell();
        if let Err((status, _, pointer)) = &told {
            prop_assert_eq!(*status, 400);
            prop_assert!(pointer.as_ref().is_none_or(|own| own.is_empty() || own.starts_with('/')), "{:?}", pointer);
        }
        prop_assert_eq!(told, tell());
    }
}
