//! The description of the server, against what the server does. Beside what is here, every reply that any of these
//! tests gets is held against it; see `support::contract`.

use crate::support;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::support::contract::{METHODS, check_named, operations, template_of};
use crate::support::{Harness, purchase};
use kembali_core::{Instant, Seq};
use kembali_engine::{Delivery, Lane};
use kembali_http::outbox::{Attempted, Bounds, Deliver, GivenUp, Halt, Start};
use kembali_http::{Background, Beside, Stop, Work};
use serde_json::{Value, json};

fn golden(file: &str) -> Value {
    goldens(file).remove(0)
}

/// Reads a golden file: one document, or one a line.
fn goldens(file: &str) -> Vec<Value> {
    let path = format!("{}/tests/golden/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    serde_json::Deserializer::from_str(&text).into_iter().map(Result::unwrap).collect()
}

#[test]
fn every_golden_file_is_as_described() {
    let dir = format!("{}/tests/golden", env!("CARGO_MANIFEST_DIR"));
    let mut seen = 0;
    for file in std::fs::read_dir(dir).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        for value in goldens(&name) {
            if name.starts_with("events_") {
                check_named("EventFrame", &value);
                check_named("StreamMessage", &value);
            } else if name.starts_with("operations") {
                check_named("OperationResult", &value);
            } else {
                check_named("PurchaseResult", &value);
            }
            seen += 1;
        }
    }
    assert!(30 <= seen, "{seen}");
}

#[test]
fn what_is_not_described_is_found() {
    let fails = |name: &str, value: Value| {
        let caught = std::panic::catch_unwind(|| check_named(name, &value));
        assert!(caught.is_err(), "{name} takes {value}");
    };
    let good = golden("first_purchase.json");
    let with = |name: &str, member: Value| {
        let mut changed = good.clone();
        changed[name] = member;
        changed
    };
    fails("PurchaseResult", with("surprise", json!(1)));
    fails("PurchaseResult", with("at", json!("yesterday")));
    fails("PurchaseResult", with("id", json!("1")));
    fails("PurchaseResult", with("point_total", json!("3500")));
    let mut missing = good.clone();
    missing.as_object_mut().unwrap().remove("seq");
    fails("PurchaseResult", missing);
    let mut remark = good.clone();
    remark["tiers"][0]["remark"] = json!("sidegrade");
    fails("PurchaseResult", remark);
    let mut event = golden("events_of_a_purchase.json");
    event["events"][1]["data"]["surprise"] = json!(true);
    fails("EventFrame", event);
    fails("Problem", json!({ "code": "no_such_code" }));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_served_to_anybody_and_the_page_too() {
    let harness = Harness::start().await;
    let served = harness.call("GET", "/openapi.json", &[], b"").await;
    assert_eq!((served.status, served.header("content-type")), (200, Some("application/json")));
    assert_eq!(served.text(), kembali_http::openapi::text());
    let served = harness.call("GET", "/asyncapi.json", &[], b"").await;
    assert_eq!((served.status, served.header("content-type")), (200, Some("application/json")));
    assert_eq!(served.text(), kembali_http::openapi::asyncapi::text());
    for (path, media) in [
        ("/docs", "text/html"),
        ("/docs/docs.js", "text/javascript"),
        ("/docs/docs.css", "text/css"),
        ("/", "text/html"),
        ("/dashboard/main.js", "text/javascript"),
        ("/dashboard/ui.js", "text/javascript"),
        ("/dashboard/dom.js", "text/javascript"),
        ("/dashboard/app.css", "text/css"),
    ] {
        let file = harness.call("GET", path, &[], b"").await;
        let expected = format!("{media}; charset=utf-8");
        assert_eq!((file.status, file.header("content-type")), (200, Some(expected.as_str())), "{path}");
        assert!(file.header("content-security-policy").unwrap().starts_with("default-src 'none'; script-src 'self'"));
        // Nothing comes from elsewhere, and nothing runs that the policy would stop.
        for foreign in ["http:", "https:", "//cdn", "<style", "style=", "onclick=", "innerHTML", "eval("] {
            assert!(!file.text().contains(foreign), "{path} holds {foreign}");
        }
        if media == "text/html" {
            assert_eq!(file.text().matches("<script").count(), file.text().matches(" src=\"/d").count());
        }
        // Who has it is not sent it again, until it is another.
        let tag = file.header("etag").unwrap().to_owned();
        for known in [tag.clone(), format!("W/{tag}"), format!("\"another\", {tag}")] {
            let again = harness.call("GET", path, &[("If-None-Match", &known)], b"").await;
            assert_eq!((again.status, again.text(), again.header("etag")), (304, "", Some(tag.as_str())), "{path}");
        }
        let other = harness.call("GET", path, &[("If-None-Match", "\"of another version\"")], b"").await;
        assert_eq!((other.status, other.text()), (200, file.text()), "{path}");
    }
    for path in ["/docs/other.js", "/docs/main.js", "/dashboard/docs.js", "/dashboard/..%2Fweb.rs", "/dashboard/"] {
        assert_eq!(harness.call("GET", path, &[], b"").await.problem(), "404 route_unknown -", "{path}");
    }
    harness.stop().await;
}

/// The server names the parameters that it reads when it is sent another one.
#[tokio::test(flavor = "multi_thread")]
async fn a_route_reads_the_parameters_that_are_described() {
    let (harness, person, _) = with_admin().await;
    let mut asked = 0;
    for (path, method, operation) in operations() {
        let of_query = |parameter: &&Value| parameter["in"] == "query";
        let described: Vec<&str> = operation["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(of_query)
            .map(|parameter| parameter["name"].as_str().unwrap())
            .collect();
        // The stream wants its handshake first; routes without parameters do not look.
        if described.is_empty() || path == "/v1/stream" {
            continue;
        }
        let target = format!("{}?nonsense=1", path.replace("{id}", "4df5900c-22c4-4373-875d-f1172048e1b4"));
        let target = target.replace(['{', '}'], "");
        let credential = match operation["security"][0].get("ApiKey") {
            Some(_) => ("X-Api-Key", support::KEY),
            None => ("Authorization", person.as_str()),
        };
        let reply = harness.call(&method.to_uppercase(), &target, &[credential], b"").await;
        assert_eq!(reply.problem(), "400 query_invalid -", "{method} {path}");
        let expected = format!("nonsense is not known here; known are: {}", described.join(", "));
        assert_eq!(reply.json()["detail"], expected, "{method} {path}");
        asked += 1;
    }
    assert!(20 <= asked, "{asked}");
    harness.stop().await;
}

/// A server with an admin: its token, as a header has it, and its account's id.
async fn with_admin() -> (Harness, String, String) {
    let configure = |config: &mut kembali_http::ServerConfig| {
        config.registration = vec!["journey".to_owned()];
        config.beside = vec![Arc::new(Postman)];
    };
    let dir = tempfile::tempdir().unwrap();
    let harness = Harness::start_on(dir, 128 * 1024 * 1024, Some([9; 32]), configure).await;
    let account = json!({ "username": "boss", "password": "correct horse battery", "role": "admin" });
    let made = harness.operator("POST", "/v1/accounts?tenant=journey", &account.to_string()).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let login = json!({ "tenant": "journey", "username": "boss", "password": "correct horse battery" });
    let login = harness.post_to("/v1/auth/login", "application/json", &[], login.to_string().as_bytes()).await;
    let token = format!("Bearer {}", login.json()["access_token"].as_str().unwrap());
    (harness, token, made.json()["id"].as_str().unwrap().to_owned())
}

/// Delivers each record as a mail, to nobody.
#[derive(Debug)]
struct Postman;

impl Beside for Postman {
    fn outboxes(&self) -> Vec<String> {
        vec!["mail:journey".to_owned()]
    }

    fn work(self: Arc<Self>, background: Background, mut stop: Stop) -> Work {
        Box::pin(async move {
            let native = background.native();
            native.outboxes().run(self, native.engine().clone(), stop.told()).await;
        })
    }
}

impl Deliver for Postman {
    fn name(&self) -> &str {
        "mail:journey"
    }

    fn bounds(&self) -> Bounds {
        let (lane, doubt) = ((Duration::ZERO, 0), Duration::ZERO);
        Bounds { open: 10, at_once: 1, made: 10, keeps_each: true, given_up: GivenUp::All, lane, doubt }
    }

    fn start(&self) -> Start {
        Start { after: Seq::ZERO, since: Instant(0) }
    }

    async fn look(&self, _: Seq) -> Result<Option<Option<Lane>>, Halt> {
        Ok(Some(None))
    }

    async fn attempt(&self, _: Seq, _: Delivery) -> Attempted {
        Attempted::Made
    }
}

/// A parameter that is required is one without which the server refuses, and the others are not. Whoever holds the server's
/// token is of no tenant, and must name one.
#[tokio::test(flavor = "multi_thread")]
async fn required_is_what_the_server_insists_on() {
    let (harness, person, account) = with_admin().await;
    let booked = harness.post(&purchase("A-1", 200_000, 1, 1)).await.json();
    let webhook = json!({ "url": "https://shop.invalid/" }).to_string();
    let webhook = harness.operator("POST", "/v1/webhooks?tenant=journey", &webhook).await.json();
    for (path, method, operation) in operations() {
        let id = match path {
            path if path.starts_with("/v1/webhooks/") => webhook["id"].as_str().unwrap(),
            path if path.starts_with("/v1/purchases/") => booked["id"].as_str().unwrap(),
            path if path.starts_with("/v1/accounts/") => &account,
            _ => booked["customer"].as_str().unwrap(),
        };
        let is_for_people =
            operation["security"].as_array().is_some_and(|own| own.iter().any(|own| own.get("Bearer").is_some()));
        let numbers = ["{number}", "{seq}", "{code}"];
        if !is_for_people || method != "get" || path == "/v1/stream" || numbers.iter().any(|own| path.contains(own)) {
            continue;
        }
        let target = path.replace("{id}", id).replace("{slug}", "grocer");
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let insists = parameters.iter().any(|own| own["in"] == "query" && own["required"] == true);
        let as_person = async |target: &str| harness.call("GET", target, &[("Authorization", &person)], b"").await;
        match path {
            "/v1/accounts" => {
                assert!(insists && as_person(&target).await.problem() == "400 query_invalid -");
                assert_eq!(as_person(&format!("{target}?username=boss")).await.status, 200);
            }
            "/v1/customers" => {
                assert_eq!(as_person(&format!("{target}?id={id}")).await.status, 200);
            }
            _ => {
                assert!(!insists, "{path}");
                assert_eq!(as_person(&target).await.status, 200, "{path}");
            }
        }
        if parameters.iter().any(|own| own["name"] == "tenant") {
            let target = if path == "/v1/customers" { format!("{target}?id={id}") } else { target };
            assert_eq!(harness.get(&target).await.problem(), "400 query_invalid -", "{path}");
        }
    }
    harness.stop().await;
}

/// One good reply at least of every operation, so that each answer's schema is held against an answer.
#[tokio::test(flavor = "multi_thread")]
async fn every_operation_answers_as_described() {
    let (harness, person, account) = with_admin().await;
    let booked = harness.post(&purchase("A-1", 200_000, 1, 1)).await;
    assert_eq!(booked.status, 201);
    for day in 2..=9 {
        harness.post(&purchase(&format!("A-{day}"), 200_000, 1, day)).await;
    }
    let purchase_id = booked.json()["id"].as_str().unwrap().to_owned();
    let id = booked.json()["customer"].as_str().unwrap().to_owned();
    let dry = purchase("B", 1_000, 1, 9);
    let dry = harness.post_to("/v1/purchases?dry_run=true", "application/json", &[], dry.as_bytes()).await;
    assert_eq!(dry.status, 200);
    let full = json!({
        "origin_id": "full", "customer": { "email": "ann@example.org" }, "amount": "300", "quantity": 2,
        "occurred_at": "2017-03-20T10:00:00+07:00", "promo_code": null, "store": "s", "product": "p", "tags": ["t"],
        "lines": [{ "product": "tea", "quantity": "1", "amount": 100 }, { "product": "rice", "quantity": 1, "amount": 200 }],
    });
    assert_eq!(harness.post(&full.to_string()).await.status, 201);
    // Points to spend, and something to spend them on.
    support::apply(&harness.engine, &support::every_kind_of_rule()).await;
    let pizza = json!({
        "origin_id": "pizza", "customer": { "ref": "C1" }, "amount": 5_000, "quantity": 1, "product": "FROZEN PIZZA",
    });
    assert_eq!(harness.post(&pizza.to_string()).await.status, 201);
    let lines =
        harness.stream(&format!("{}\n{}\n{{\n", purchase("A-1", 200_000, 1, 1), purchase("A-1", 7, 1, 1))).await;
    assert_eq!(lines.len(), 3);

    let catalogue = harness.get("/v1/catalogue?tenant=journey").await.json();
    let (promo, program) = (&catalogue["catalogue"]["promos"][0], &catalogue["catalogue"]["tier_programs"][0]);
    let keys = harness.get("/v1/partners/grocer/api-keys?tenant=journey").await.json();
    let key_id = keys["data"][0]["id"].as_str().unwrap().to_owned();
    let partner = json!({ "slug": "baker", "name": "The Baker" });

    // Booking is above; the stream's messages are checked by its own tests.
    let mut seen = BTreeSet::from([("/v1/purchases", "post"), ("/v1/stream", "get"), ("/v1/purchases/stream", "get")]);
    assert_eq!(harness.post(&purchase("P-refunded", 200_000, 1, 30)).await.status, 201);
    for (dry_run, status) in [("?dry_run=true", 200), ("", 201), ("", 201)] {
        let body = json!({ "origin_id": "P-refunded", "refund_id": "R-1", "amount": 120_000 }).to_string();
        let path = format!("/v1/refunds{dry_run}");
        let reply = harness.post_to(&path, "application/json", &[], body.as_bytes()).await;
        assert_eq!(reply.status, status, "{}", reply.text());
        seen.insert((template_of("/v1/refunds").unwrap(), "post"));
    }
    for (path, method, body) in [
        ("/healthz", "GET", &Value::Null),
        ("/readyz", "GET", &Value::Null),
        ("/problems/internal", "GET", &Value::Null),
        ("/openapi.json", "GET", &Value::Null),
        ("/asyncapi.json", "GET", &Value::Null),
        ("/docs", "GET", &Value::Null),
        ("/docs/docs.js", "GET", &Value::Null),
        ("/", "GET", &Value::Null),
        ("/dashboard/main.js", "GET", &Value::Null),
        ("/v1/system", "GET", &Value::Null),
        ("/v1/system/verification", "POST", &Value::Null),
        ("/v1/customers?tenant=journey&ref=C1", "GET", &Value::Null),
        ("/v1/customers/ID?tenant=journey", "GET", &Value::Null),
        ("/v1/customers/ID/wallets?tenant=journey", "GET", &Value::Null),
        ("/v1/customers/ID/tiers?tenant=journey&limit=2", "GET", &Value::Null),
        ("/v1/customers/ID/entries?tenant=journey", "GET", &Value::Null),
        ("/v1/customers/ID/purchases?tenant=journey&min_seq=1", "GET", &Value::Null),
        ("/v1/customers/ID/statement?tenant=journey&from=2&limit=2", "GET", &Value::Null),
        ("/v1/purchases/PURCHASE", "GET", &Value::Null),
        ("/v1/purchases/PURCHASE/explain?tenant=journey", "GET", &Value::Null),
        ("/v1/promos?tenant=journey", "GET", &Value::Null),
        ("/v1/offers?tenant=journey", "GET", &Value::Null),
        ("/v1/promos/JOURNEY2017?tenant=journey", "GET", &Value::Null),
        ("/v1/promos/JOURNEY2017?tenant=journey&dry_run=true", "PUT", promo),
        ("/v1/promos/JOURNEY2017?tenant=journey", "PATCH", &json!({ "quota": 7 })),
        ("/v1/tier-programs?tenant=journey", "GET", &Value::Null),
        ("/v1/tier-programs/Journey?tenant=journey", "PUT", program),
        ("/v1/partners?tenant=journey", "GET", &Value::Null),
        ("/v1/catalogue?tenant=journey&version=1", "GET", &Value::Null),
        ("/v1/catalogue?tenant=journey&dry_run=true", "PUT", &catalogue["catalogue"]),
        ("/v1/risk-checks?tenant=journey&verdict=safe&limit=3", "GET", &Value::Null),
        ("/v1/payments?tenant=journey&state=settled&limit=3", "GET", &Value::Null),
        ("/v1/reports/summary?tenant=journey", "GET", &Value::Null),
        ("/v1/reports/customers?tenant=journey", "GET", &Value::Null),
        ("/v1/reports/costs?tenant=journey", "GET", &Value::Null),
        ("/v1/reports/liability?tenant=journey&from=2", "GET", &Value::Null),
        ("/v1/trial-balance?tenant=journey", "GET", &Value::Null),
        ("/v1/what-if?tenant=journey&from=2&to=2100-01-01T00:00:00Z&top=3", "POST", &catalogue["catalogue"]),
        ("/v1/snapshots", "POST", &Value::Null),
        ("/v1/partners?tenant=journey&dry_run=true", "POST", &partner),
        ("/v1/partners?tenant=journey", "POST", &partner),
        ("/v1/partners/grocer/api-keys?tenant=journey&dry_run=true", "POST", &json!({})),
        ("/v1/partners/grocer/api-keys?tenant=journey", "POST", &json!({ "api_key": "another-key", "signed": false })),
        ("/v1/partners/grocer/api-keys/KEY?tenant=journey", "DELETE", &Value::Null),
        ("/v1/partners/grocer/api-keys?tenant=journey", "GET", &Value::Null),
        ("/v1/partners/grocer?tenant=journey", "PATCH", &json!({ "requests_at_once": 9, "reason": "a small shop" })),
        ("/v1/audit?tenant=journey", "GET", &Value::Null),
    ] {
        let path = path.replace("ID", &id).replace("PURCHASE", &purchase_id).replace("KEY", &key_id);
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let reply = harness.operator(method, &path, &body).await;
        assert!(matches!(reply.status, 200..=202), "{method} {path} {}", reply.text());
        let template = template_of(path.split('?').next().unwrap()).unwrap();
        seen.insert((template, METHODS.into_iter().find(|own| own.eq_ignore_ascii_case(method)).unwrap()));
    }
    let token = format!("Bearer {}", support::TOKEN);
    let (customer, wallet) = (format!("/v1/customers/{id}"), json!({ "name": "Mobil" }));
    for (path, method, body, key) in [
        ("/v1/customers", "POST", &json!({ "ref": "somebody" }), ""),
        ("/v1/customers", "POST", &json!({ "ref": "somebody" }), ""),
        ("ID/wallets", "POST", &wallet, "1"),
        ("ID/wallets", "POST", &wallet, "1"),
        ("ID/wallets/1", "PATCH", &json!({ "name": "Motor" }), ""),
        ("ID/wallets/1", "PATCH", &json!({ "status": "active" }), ""),
        ("ID/wallets/1/deposits", "POST", &json!({ "amount": 9, "reference": "BCA" }), "2"),
        ("ID/wallets/1/adjustments", "POST", &json!({ "direction": "debit", "amount": 9, "reason": "x" }), "3"),
        ("ID/wallets/1", "DELETE", &Value::Null, ""),
        ("ID/wallets/1", "DELETE", &Value::Null, ""),
        ("ID/activities", "POST", &json!({ "tag": "review", "occurred_at": "2017-03-20T10:00:00Z" }), "4"),
        ("ID/tiers/Journey/promote", "POST", &Value::Null, "5"),
        ("ID/tiers/Journey/demote", "POST", &Value::Null, "6"),
        (
            "ID/wallets/0/transfers",
            "POST",
            &json!({ "to": { "ref": "somebody" }, "amount": 7, "reference": "x" }),
            "13",
        ),
        ("ID/redemptions", "POST", &json!({ "offer": "10 a point", "quantity": 2 }), "7"),
        ("/v1/operations/SEQ", "GET", &Value::Null, ""),
    ] {
        let durable = harness.engine.durable().0.to_string();
        let path = path.replace("ID", &customer).replace("SEQ", &durable);
        let target = format!("{path}?tenant=journey");
        let mut headers = vec![("Authorization", token.as_str()), ("Content-Type", "application/json")];
        if !key.is_empty() {
            headers.push(("Idempotency-Key", key));
        }
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let reply = harness.call(method, &target, &headers, body.as_bytes()).await;
        assert!(matches!(reply.status, 200 | 201), "{method} {path} {}", reply.text());
        seen.insert((
            template_of(&path).unwrap(),
            METHODS.into_iter().find(|own| own.eq_ignore_ascii_case(method)).unwrap(),
        ));
    }
    // What only a partner does.
    for (path, body, key) in [
        ("/wallets/0/holds", json!({ "amount": 9, "expires_in_seconds": 60, "reference": "x" }), "8"),
        ("/wallets/0/holds?dry_run=true", json!({ "amount": 9 }), "9"),
        ("/wallets/0/holds", json!({ "amount": 9 }), "10"),
        ("/holds", Value::Null, ""),
        ("/holds/1/settle", json!({ "amount": 1 }), "11"),
        ("/holds/2/void", Value::Null, "12"),
        (
            "/v1/invoices",
            json!({ "amount": 3, "va_prefix": "DS-8800", "expires_in_seconds": 60, "reference": "x" }),
            "i1",
        ),
        ("/v1/invoices", json!({ "amount": 3 }), "i2"),
        ("/v1/invoices/DS-88001000000000", Value::Null, ""),
        ("/v1/invoices/VA-1000000001/cancel", Value::Null, "i3"),
        ("/v1/invoices/VA-1000000001", Value::Null, ""),
    ] {
        let path = if path.starts_with("/v1") { path.to_owned() } else { format!("{customer}{path}") };
        let headers = [("X-Api-Key", "another-key"), ("Content-Type", "application/json"), ("Idempotency-Key", key)];
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let (method, headers) = if key.is_empty() { ("GET", &headers[..1]) } else { ("POST", &headers[..]) };
        let reply = harness.call(method, &path, headers, text.as_bytes()).await;
        assert!(matches!(reply.status, 200 | 201), "{method} {path} {}", reply.text());
        let template = template_of(path.split('?').next().unwrap()).unwrap();
        seen.insert((template, METHODS.into_iter().find(|own| own.eq_ignore_ascii_case(method)).unwrap()));
    }
    let body = json!({ "va_number": "DS-88001000000000", "amount": 3 }).to_string();
    let headers = [("Authorization", token.as_str()), ("Content-Type", "application/json"), ("Idempotency-Key", "pay")];
    let path = format!("{customer}/wallets/0/payments");
    let paid = harness.call("POST", &format!("{path}?tenant=journey"), &headers, body.as_bytes()).await;
    assert_eq!(paid.status, 201, "{}", paid.text());
    seen.insert((template_of(&path).unwrap(), "post"));
    let path = format!("/v1/operations/{}/reverse", paid.json()["seq"]);
    let headers =
        [("Authorization", token.as_str()), ("Content-Type", "application/json"), ("Idempotency-Key", "back")];
    let why = json!({ "reason": "paid twice" }).to_string();
    let reversed = harness.call("POST", &format!("{path}?tenant=journey"), &headers, why.as_bytes()).await;
    assert_eq!(reversed.status, 201, "{}", reversed.text());
    seen.insert((template_of(&path).unwrap(), "post"));
    let mut rules = harness.get("/v1/catalogue?tenant=journey").await.json()["catalogue"].clone();
    rules["risk_rules"] = json!([{ "name": "All", "amount_above": 0, "action": "review" }]);
    assert_eq!(harness.operator("PUT", "/v1/catalogue?tenant=journey", &rules.to_string()).await.status, 200);
    let path = format!("/v1/risk-checks/{}/archive", paid.json()["seq"]);
    let headers = [("Authorization", token.as_str()), ("Idempotency-Key", "archive")];
    let archived = harness.call("POST", &format!("{path}?tenant=journey"), &headers, b"").await;
    assert_eq!(archived.status, 201, "{}", archived.text());
    seen.insert((template_of(&path).unwrap(), "post"));
    for (key, verb, body) in [("r1", "release", String::new()), ("r2", "reject", why)] {
        let headers =
            [("Authorization", token.as_str()), ("Content-Type", "application/json"), ("Idempotency-Key", key)];
        let deposit = format!("{customer}/wallets/0/deposits?tenant=journey");
        let set_aside = harness.call("POST", &deposit, &headers, br#"{"amount":5}"#).await;
        assert_eq!(set_aside.status, 202, "{}", set_aside.text());
        assert_eq!(harness.get("/v1/reviews?tenant=journey").await.status, 200);
        seen.insert((template_of("/v1/reviews").unwrap(), "get"));
        let path = format!("/v1/reviews/{}/{verb}", set_aside.json()["seq"]);
        let headers =
            [("Authorization", token.as_str()), ("Content-Type", "application/json"), ("Idempotency-Key", verb)];
        let closed = harness.call("POST", &format!("{path}?tenant=journey"), &headers, body.as_bytes()).await;
        assert_eq!(closed.status, 201, "{}", closed.text());
        seen.insert((template_of(&path).unwrap(), "post"));
    }
    let ann = json!({ "tenant": "journey", "username": "ann@example.com", "password": "correct horse battery" });
    let registered = harness.post_to("/v1/auth/register", "application/json", &[], ann.to_string().as_bytes()).await;
    assert_eq!(registered.status, 201, "{}", registered.text());
    let registered = registered.json();
    let desk = json!({ "username": "desk", "password": "correct horse battery", "role": "operator" });
    let passwords = json!({ "password": "correct horse battery", "new_password": "another long password" });
    let path_of_ann = format!("/v1/accounts/{}", registered["account"]["id"].as_str().unwrap());
    let session = json!({ "refresh_token": registered["refresh_token"] });
    for (path, method, body) in [
        ("/.well-known/jwks.json", "GET", Value::Null),
        ("/v1/accounts", "POST", desk),
        ("/v1/accounts?username=desk", "GET", Value::Null),
        (&format!("/v1/accounts/{account}"), "GET", Value::Null),
        ("/v1/auth/login", "POST", ann),
        ("/v1/auth/refresh", "POST", session),
        (&path_of_ann, "PATCH", json!({ "status": "suspended", "reason": "a test" })),
        ("/v1/auth/me", "GET", Value::Null),
        ("/v1/events", "GET", Value::Null),
        ("/v1/auth/password", "PUT", passwords),
        ("/v1/auth/logout", "POST", Value::Null),
    ] {
        let headers = [("Authorization", person.as_str()), ("Content-Type", "application/json")];
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let reply = harness.call(method, path, &headers, text.as_bytes()).await;
        assert!(matches!(reply.status, 200 | 201), "{method} {path} {}", reply.text());
        let template = template_of(path.split('?').next().unwrap()).unwrap();
        seen.insert((template, METHODS.into_iter().find(|own| own.eq_ignore_ascii_case(method)).unwrap()));
    }
    // Nothing is sent to where nobody listens, and what is answered is described all the same.
    let body = json!({ "url": "https://192.0.2.1/hooks", "topics": ["purchase.*"], "after": 0 }).to_string();
    let refused = harness.operator("POST", "/v1/webhooks?tenant=journey", &body).await;
    assert_eq!(refused.status, 422, "{}", refused.text());
    let body = body.replace("192.0.2.1", "shop.invalid");
    let created = harness.operator("POST", "/v1/webhooks?tenant=journey", &body).await;
    assert_eq!(created.status, 201, "{}", created.text());
    seen.insert(("/v1/webhooks", "post"));
    let webhook = format!("/v1/webhooks/{}", created.json()["id"].as_str().unwrap());
    let replay = format!("{webhook}/deliveries/{}/replay", booked.json()["seq"]);
    for (path, method, body) in [
        ("/v1/webhooks", "GET", ""),
        (&*webhook, "GET", ""),
        (&format!("{webhook}/deliveries"), "GET", ""),
        (&format!("{webhook}/test"), "POST", ""),
        (&replay, "POST", ""),
        (&format!("{webhook}/replay"), "POST", ""),
        (&format!("{webhook}/secret"), "POST", "{}"),
        (&*webhook, "PATCH", r#"{"status":"disabled","description":"the till"}"#),
        (&*webhook, "DELETE", ""),
    ] {
        // It may not have begun, or not have looked at the record yet.
        let reply = loop {
            let reply = harness.operator(method, &format!("{path}?tenant=journey"), body).await;
            if !path.ends_with("/replay") || !matches!(reply.status, 404 | 503) {
                break reply;
            }
        };
        assert!(matches!(reply.status, 200..=202), "{method} {path} {}", reply.text());
        let method = METHODS.into_iter().find(|own| own.eq_ignore_ascii_case(method)).unwrap();
        seen.insert((template_of(path).unwrap(), method));
    }
    let replay = format!("/v1/mail/deliveries/{}/replay", booked.json()["seq"]);
    for (path, method) in
        [("/v1/mail", "GET"), ("/v1/mail/deliveries", "GET"), (&*replay, "POST"), ("/v1/mail/replay", "POST")]
    {
        let reply = loop {
            let reply = harness.operator(method, &format!("{path}?tenant=journey"), "").await;
            if !path.ends_with("/replay") || !matches!(reply.status, 404 | 503) {
                break reply;
            }
        };
        assert!(matches!(reply.status, 200 | 202), "{method} {path} {}", reply.text());
        let method = METHODS.into_iter().find(|own| own.eq_ignore_ascii_case(method)).unwrap();
        seen.insert((template_of(path).unwrap(), method));
    }
    let ann = format!("/v1/customers/{}", registered["account"]["customer"].as_str().unwrap());
    let export = format!("{ann}/export");
    assert_eq!(harness.get(&format!("{export}?tenant=journey")).await.status, 200);
    seen.insert((template_of(&export).unwrap(), "get"));
    let erase = format!("{ann}/erase");
    let erased = harness.operator("POST", &format!("{erase}?tenant=journey"), r#"{"reason":"asked to"}"#).await;
    assert_eq!(erased.status, 200, "{}", erased.text());
    seen.insert((template_of(&erase).unwrap(), "post"));
    assert_eq!(harness.operator("POST", "/v1/signing-keys", "").await.status, 201);
    seen.insert(("/v1/signing-keys", "post"));
    seen.insert(("/v1/auth/register", "post"));
    let described: BTreeSet<_> = operations().into_iter().map(|(path, method, _)| (path, method)).collect();
    assert_eq!(seen, described);
    harness.stop().await;
}
