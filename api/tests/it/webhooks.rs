//! Webhooks of the program: what happened comes to whoever asked for it, signed, in order, and whatever fails meanwhile.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use serde_json::{Value, json};

use crate::program::{API_KEY, OPERATOR_TOKEN, Server, call, run_well, sample, sample_lines};
use crate::receiver::{Answer, Receiver, Request, TAKEN};

const SECRETS_KEY: &str = "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a";
const NETWORK: &str = "127.0.0.1";

fn serve(dir: &Path) -> Server {
    Server::start_with(dir, &["--secrets-key", SECRETS_KEY, "--webhook-networks", NETWORK])
}

/// A server with the sample's rules.
fn start() -> (tempfile::TempDir, Server) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let server = serve(dir.path());
    server.apply_sample();
    (dir, server)
}

/// Asks as an operator.
fn ask(server: &Server, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let (path, query) = path.split_once('?').map_or((path, String::new()), |(path, query)| (path, format!("&{query}")));
    let path = format!("/v1/webhooks{path}?tenant=journey{query}");
    call(&server.url, method, &path, &format!("Bearer {OPERATOR_TOKEN}"), body)
}

/// Asks as the grocer.
fn ask_as_partner(server: &Server, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let request = ureq::http::Request::builder()
        .method(method)
        .uri(format!("{}/v1/webhooks{path}", server.url))
        .header("X-Api-Key", API_KEY)
        .header("Content-Type", "application/json");
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let mut answered = agent.run(request.body(body).expect("a request")).expect("the server answers");
    let text = answered.body_mut().read_to_string().expect("text");
    (answered.status().as_u16(), serde_json::from_str(&text).expect("JSON"))
}

/// Creates a webhook of the tenant's, and returns its id and secret.
fn create(server: &Server, body: &Value) -> (String, String) {
    let (status, created) = ask(server, "POST", "", body);
    assert_eq!(status, 201, "{created}");
    let text = |member: &str| created[member].as_str().expect("text").to_owned();
    (text("id"), text("secret"))
}

/// Books the sample's purchases at these places, and returns the positions of those that are booked.
fn book(server: &Server, lines: &[String]) -> Vec<u64> {
    let mut booked = Vec::new();
    let whole = server.send(lines, |line| {
        let answer: Value = serde_json::from_str(&line).expect("an answer is JSON");
        booked.extend(answer["result"]["seq"].as_u64());
        true
    });
    assert!(whole);
    booked
}

/// Waits until what is kept of a webhook's deliveries is as wanted.
fn deliveries(server: &Server, id: &str, mut is_wanted: impl FnMut(&[Value]) -> bool) -> Vec<Value> {
    let start = std::time::Instant::now();
    loop {
        let (status, page) = ask(server, "GET", &format!("/{id}/deliveries?limit=200"), &Value::Null);
        assert_eq!(status, 200, "{page}");
        let data = page["data"].as_array().expect("a list");
        if is_wanted(data) {
            return data.clone();
        }
        assert!(start.elapsed().as_secs() < 100, "{page}");
    }
}

fn taken(requests: &[Request]) -> usize {
    requests.iter().filter(|own| own.is_taken).count()
}

#[test]
fn what_happens_comes_signed_and_as_the_stream_has_it() {
    let (_dir, server) = start();
    let lines = sample_lines();
    let receiver = Receiver::open();
    let before = book(&server, &lines[..1]);
    let (id, secret) = create(&server, &json!({ "url": receiver.url(), "topics": ["purchase.*", "promo.applied"] }));
    let booked = book(&server, &lines[1..4]);
    let requests = receiver.wait_for(|requests| requests.len() == booked.len());
    let page = server.get(&format!("/v1/events?tenant=journey&topics=purchase.*,promo.applied&after={}", before[0]));
    let mut streamed: BTreeMap<u64, Vec<Value>> = BTreeMap::new();
    for event in page["data"].as_array().expect("events") {
        let seq = event["sequence"].as_str().expect("a position").parse().expect("digits");
        streamed.entry(seq).or_default().push(event.clone());
    }
    assert!(streamed.keys().eq(&booked));
    for request in &requests {
        assert_eq!(request.events(), streamed[&request.seq()]);
        assert_eq!(request.line, "POST /hooks?shop=1 HTTP/1.1");
        assert_eq!(request.headers["content-type"], "application/cloudevents-batch+json; charset=utf-8");
        assert_eq!(request.headers["host"], format!("127.0.0.1:{}", receiver.port));
        assert_eq!(request.id(), format!("msg_{id}_{}", request.seq()));
        assert!(request.is_signed_with(&secret));
        assert!(!request.is_signed_with("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="));
        let mut forged = request.clone();
        forged.body = forged.body.replacen("journey", "journei", 1);
        assert!(!forged.is_signed_with(&secret));
    }

    // What became of them is listed, the newest first, a page at a time.
    let log = deliveries(&server, &id, |data| data.len() == booked.len());
    assert!(log.iter().map(|own| own["seq"].as_u64().expect("a position")).eq(booked.iter().rev().copied()));
    assert!(log.iter().all(|own| own["state"] == "made" && own["attempts"] == 1 && own["reason"] == Value::Null));
    let (_, first) = ask(&server, "GET", &format!("/{id}/deliveries?limit=2&state=made"), &Value::Null);
    let cursor = first["next_cursor"].as_str().expect("there is more");
    let (_, rest) = ask(&server, "GET", &format!("/{id}/deliveries?limit=2&cursor={cursor}"), &Value::Null);
    let pages: Vec<Value> =
        [&first, &rest].iter().flat_map(|page| page["data"].as_array().expect("a list").clone()).collect();
    assert_eq!((pages, &rest["next_cursor"]), (log, &Value::Null));
    let (_, none) = ask(&server, "GET", &format!("/{id}/deliveries?state=given_up"), &Value::Null);
    assert_eq!(none["data"], json!([]));
    let (_, shown) = ask(&server, "GET", &format!("/{id}"), &Value::Null);
    assert_eq!((&shown["due"], &shown["given_up"], &shown["status"]), (&json!(0), &json!(0), &json!("enabled")));
    assert!(shown["secret"].is_null() && booked.last().copied() <= shown["position"].as_u64(), "{shown}");

    // Again, by hand: of what was made, and of nothing that it does not send.
    let replay = |seq: u64| ask(&server, "POST", &format!("/{id}/deliveries/{seq}/replay"), &Value::Null);
    assert_eq!(replay(booked[0]), (202, json!({ "replayed": 1 })));
    // Two customers' are made beside each other.
    receiver.wait_for(|requests| requests.len() == booked.len() + 1);
    // Also of what was there before the webhook was.
    assert_eq!(replay(before[0]).0, 202);
    let requests = receiver.wait_for(|requests| requests.len() == booked.len() + 2);
    let again = &requests[booked.len()..];
    assert_eq!(again[0].id(), format!("msg_{id}_{}", booked[0]));
    assert_eq!(again[1].seq(), before[0]);
    assert!(again.iter().all(|own| own.is_signed_with(&secret)));
    for unknown in [0, 1, 1_000_000] {
        let (status, problem) = replay(unknown);
        assert_eq!((status, &problem["code"]), (404, &json!("delivery_not_found")), "{unknown}");
    }
    assert_eq!(ask(&server, "POST", &format!("/{id}/replay"), &Value::Null), (202, json!({ "replayed": 0 })));

    // All of it is in the log of what administrators did, and nothing of where it goes or what it signs with.
    let audit = server.get("/v1/audit?tenant=journey").to_string();
    assert!(audit.contains("webhook_changed") && !audit.contains(&secret) && !audit.contains("hooks"), "{audit}");
    server.stop();
}

#[test]
fn a_partner_is_sent_its_own_and_nobody_elses() {
    let (_dir, server) = start();
    let lines = sample_lines();
    let receiver = Receiver::open();
    let (status, created) = ask_as_partner(&server, "POST", "", &json!({ "url": receiver.url() }));
    assert_eq!((status, &created["partner"]), (201, &json!("grocer")), "{created}");
    let id = created["id"].as_str().expect("an id");
    // One of another partner's, and one of the tenant's own, which the grocer does not see.
    let partner = json!({ "slug": "baker", "name": "The Baker", "api_key": "baker-key", "signed": false });
    let token = format!("Bearer {OPERATOR_TOKEN}");
    let (status, answer) = call(&server.url, "POST", "/v1/partners?tenant=journey", &token, &partner);
    assert!(matches!(status, 200 | 201), "{answer}");
    let (other, _) = create(&server, &json!({ "url": receiver.url(), "partner": "baker" }));
    let (own, _) = create(&server, &json!({ "url": receiver.url(), "topics": ["catalogue.applied"] }));
    let (_, list) = ask_as_partner(&server, "GET", "", &Value::Null);
    assert_eq!(list["data"].as_array().map(Vec::len), Some(1), "{list}");
    let (_, list) = ask(&server, "GET", "", &Value::Null);
    assert_eq!(list["data"].as_array().map(Vec::len), Some(3), "{list}");
    for hidden in [&other, &own, &"0".repeat(32), &"x".to_owned()] {
        for (method, path, body) in [
            ("GET", "", Value::Null),
            ("PATCH", "", json!({ "status": "disabled" })),
            ("DELETE", "", Value::Null),
            ("POST", "/secret", json!({})),
            ("POST", "/test", Value::Null),
            ("GET", "/deliveries", Value::Null),
            ("POST", "/deliveries/2/replay", Value::Null),
            ("POST", "/replay", Value::Null),
        ] {
            let (status, problem) = ask_as_partner(&server, method, &format!("/{hidden}{path}"), &body);
            assert_eq!((status, &problem["code"]), (404, &json!("webhook_not_found")), "{method} {path}: {problem}");
        }
    }
    let (status, problem) = ask_as_partner(&server, "POST", "", &json!({ "url": receiver.url(), "partner": "baker" }));
    assert_eq!((status, &problem["code"]), (403, &json!("role_insufficient")));

    // What the grocer's purchases did comes to the grocer alone.
    let booked = book(&server, &lines[..3]);
    let requests = receiver.wait_for(|requests| requests.len() == booked.len());
    assert!(requests.iter().all(|own| own.id().starts_with(&format!("msg_{id}_"))));
    // Nor is anything else of the tenant's its own to have made again.
    let (status, _) = ask_as_partner(&server, "POST", &format!("/{id}/deliveries/1/replay"), &Value::Null);
    assert_eq!(status, 404);

    // A partner that is suspended is sent nothing, and all of it afterwards.
    let standing = |status: &str| {
        let path = "/v1/partners/grocer?tenant=journey";
        let (code, answer) = call(&server.url, "PATCH", path, &token, &json!({ "status": status }));
        assert_eq!(code, 200, "{answer}");
    };
    standing("suspended");
    standing("active");
    let later = book(&server, &lines[3..5]);
    let requests = receiver.wait_for(|requests| requests.len() == booked.len() + later.len());
    assert!(requests[booked.len()..].iter().all(|own| own.is_taken));

    // Nor more than so many.
    for _ in 1..8 {
        assert_eq!(ask_as_partner(&server, "POST", "", &json!({ "url": receiver.url() })).0, 201);
    }
    let (status, problem) = ask_as_partner(&server, "POST", "", &json!({ "url": receiver.url() }));
    assert_eq!((status, &problem["code"]), (409, &json!("webhooks_too_many")));
    server.stop();
}

#[test]
fn nothing_is_sent_to_where_it_must_not_go() {
    let receiver = Receiver::open();
    let lines = sample_lines();
    let dir = tempfile::tempdir().expect("a temporary folder");
    let server = Server::start_with(dir.path(), &["--secrets-key", SECRETS_KEY]);
    server.apply_sample();
    for url in [
        "http://169.254.169.254/latest/meta-data/",
        "https://169.254.169.254/",
        "https://localhost/",
        "http://localhost:8080/",
        "https://x.LOCALHOST./",
        "https://127.0.0.1/",
        "https://127.0.0.2/",
        &receiver.url(),
        "http://shop.example/",
        "https://10.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:169.254.169.254]/",
        "http://1.1.1.1/",
        "https://me:secret@1.1.1.1/",
        "ftp://1.1.1.1/",
        "file:///etc/passwd",
        "1.1.1.1",
        "https://",
        "",
        &format!("https://1.1.1.1/{}", "a".repeat(1_024)),
    ] {
        let (status, problem) = ask(&server, "POST", "", &json!({ "url": url }));
        assert_eq!((status, &problem["code"]), (422, &json!("webhook_url_refused")), "{url}: {problem}");
        assert_eq!(problem["pointer"], "/url");
    }
    server.stop();
    let server = serve(dir.path());
    for (body, status, code, pointer) in [
        (json!({}), 400, "field_missing", "/url"),
        (json!({ "url": receiver.url(), "topics": ["no.topic"] }), 400, "field_invalid", "/topics"),
        (json!({ "url": receiver.url(), "topics": [] }), 400, "field_invalid", "/topics"),
        (json!({ "url": receiver.url(), "topics": ["purchase.*,tier.*"] }), 400, "field_invalid", "/topics"),
        (json!({ "url": receiver.url(), "description": "a\nb" }), 400, "field_invalid", "/description"),
        (json!({ "url": receiver.url(), "secret": "whsec_c2hvcnQ=" }), 422, "webhook_secret_malformed", "/secret"),
        (json!({ "url": receiver.url(), "secret": "not one" }), 422, "webhook_secret_malformed", "/secret"),
        (json!({ "url": receiver.url(), "after": -1 }), 400, "field_invalid", "/after"),
        (json!({ "url": receiver.url(), "colour": "red" }), 400, "field_unknown", "/colour"),
    ] {
        let (seen, problem) = ask(&server, "POST", "", &body);
        let expected = (status, &json!(code), &json!(pointer));
        assert_eq!((seen, &problem["code"], &problem["pointer"]), expected, "{body}: {problem}");
    }
    let (status, problem) = ask(&server, "POST", "", &json!({ "url": receiver.url(), "after": 1_000_000 }));
    assert_eq!((status, &problem["code"]), (409, &json!("after_ahead")));
    assert_eq!(ask(&server, "GET", "", &Value::Null).1["data"], json!([]));

    // Where a name leads is looked at when it is sent to: this is 127.1.1.1, and only 127.0.0.1 is allowed.
    let hidden = format!("http://0x7f010101:{}/", receiver.port);
    let (id, _) = create(&server, &json!({ "url": hidden }));
    // And a receiver must not lead elsewhere.
    receiver.answer(|_| Answer::Status(302, "Location: http://169.254.169.254/latest/\r\n"));
    let (led, _) = create(&server, &json!({ "url": receiver.url() }));
    book(&server, &lines[..1]);
    for (id, why) in
        [(&id, "is where no connection is made to: it is not public"), (&led, "302: redirects are not followed")]
    {
        let tried = |data: &[Value]| data.iter().any(|own| !own["reason"].is_null());
        let log = deliveries(&server, id, tried);
        let reason = log[0]["reason"].as_str().expect("a reason");
        assert!(log[0]["state"] == "due" && reason.contains(why), "{reason}");
        let (status, tested) = ask(&server, "POST", &format!("/{id}/test"), &Value::Null);
        assert_eq!((status, &tested["delivered"]), (200, &json!(false)));
        assert!(tested["reason"].as_str().is_some_and(|reason| reason.contains(why)), "{tested}");
    }
    assert!(receiver.requests().iter().all(|own| own.line.starts_with("POST /hooks")));
    server.stop();
}

#[test]
fn secrets_change_without_a_gap() {
    let (dir, server) = start();
    let receiver = Receiver::open();
    let lines = sample_lines();
    let chosen = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let (id, secret) = create(&server, &json!({ "url": receiver.url(), "secret": chosen }));
    assert_eq!(secret, chosen);
    let rotate = |body: Value| {
        let (status, rotated) = ask(&server, "POST", &format!("/{id}/secret"), &body);
        assert_eq!(status, 201, "{rotated}");
        assert_eq!(rotated["former_secret_until"].is_null(), body["overlap_hours"] == 0, "{rotated}");
        rotated["secret"].as_str().expect("a secret").to_owned()
    };
    let sent = |server: &Server, count: usize| {
        book(server, &lines[count - 1..count]);
        receiver.wait_for(|requests| requests.len() == count).pop().expect("a request")
    };
    let second = rotate(json!({}));
    let both = sent(&server, 1);
    assert!(both.is_signed_with(chosen) && both.is_signed_with(&second) && second != chosen);
    // Whoever changes it twice wants the first gone.
    let third = rotate(json!({ "overlap_hours": 1 }));
    let two = sent(&server, 2);
    assert!(!two.is_signed_with(chosen) && two.is_signed_with(&second) && two.is_signed_with(&third));
    let fourth = rotate(json!({ "overlap_hours": 0 }));
    let one = sent(&server, 3);
    assert!(!one.is_signed_with(&second) && !one.is_signed_with(&third) && one.is_signed_with(&fourth));
    for hours in [-1, 169] {
        let (status, problem) = ask(&server, "POST", &format!("/{id}/secret"), &json!({ "overlap_hours": hours }));
        assert_eq!((status, &problem["pointer"]), (400, &json!("/overlap_hours")), "{problem}");
    }
    let (_, tested) = ask(&server, "POST", &format!("/{id}/test"), &Value::Null);
    assert_eq!((&tested["delivered"], &tested["reason"]), (&json!(true), &Value::Null), "{tested}");
    let test = receiver.requests().pop().expect("a request");
    assert!(test.is_signed_with(&fourth) && test.events()[0]["type"] == "webhook.test");
    // It is there after a start, and lies nowhere in the clear.
    server.stop();
    let server = serve(dir.path());
    assert!(sent(&server, 5).is_signed_with(&fourth));
    server.stop();
    // Without the key it sends nothing, and says so; what it would have sent comes once the key is back.
    let server = Server::start_with(dir.path(), &["--webhook-networks", NETWORK]);
    book(&server, &lines[5..6]);
    server.stop();
    let server = serve(dir.path());
    receiver.wait_for(|requests| requests.len() == 6);
    server.stop();
}

#[test]
fn what_a_webhook_misses_while_it_is_disabled_comes_later() {
    let (_dir, server) = start();
    let receiver = Receiver::open();
    let lines = sample_lines();
    let (id, _) = create(&server, &json!({ "url": receiver.url(), "topics": ["purchase.accepted"] }));
    let set = |server: &Server, body: Value| {
        let (status, shown) = ask(server, "PATCH", &format!("/{id}"), &body);
        assert_eq!(status, 200, "{shown}");
        shown
    };
    let shown = set(&server, json!({ "status": "disabled" }));
    assert_eq!((&shown["status"], &shown["disabled_because"]), (&json!("disabled"), &json!("asked")));
    let missed = book(&server, &lines[..2]);
    let (status, problem) = ask(&server, "POST", &format!("/{id}/replay"), &Value::Null);
    assert_eq!((status, &problem["code"]), (409, &json!("webhook_disabled")));
    assert_eq!(receiver.requests().len(), 0);
    set(&server, json!({ "status": "enabled", "description": "the till" }));
    receiver.wait_for(|requests| requests.len() == missed.len());

    // A receiver that is gone is left alone, and nothing of what it was to be sent is lost.
    receiver.answer(|_| Answer::Status(410, ""));
    let gone = book(&server, &lines[2..3]);
    let start = std::time::Instant::now();
    let shown = loop {
        let (_, shown) = ask(&server, "GET", &format!("/{id}"), &Value::Null);
        if shown["status"] == "disabled" {
            break shown;
        }
        assert!(start.elapsed().as_secs() < 100, "{shown}");
    };
    assert_eq!((&shown["disabled_because"], &shown["due"]), (&json!("gone"), &json!(1)), "{shown}");
    let count = receiver.requests().len();
    let behind = book(&server, &lines[3..4]);
    receiver.answer(|_| TAKEN);
    let other = Receiver::open();
    set(&server, json!({ "status": "enabled", "url": other.url() }));
    let requests = other.wait_for(|requests| requests.len() == 2);
    assert!(requests.iter().map(Request::seq).collect::<BTreeSet<_>>().iter().eq(gone.iter().chain(&behind)));
    assert_eq!(receiver.requests().len(), count);

    // One that is deleted is gone, with all that was known of it; one that begins earlier is sent what was.
    assert_eq!(ask(&server, "DELETE", &format!("/{id}"), &Value::Null), (200, json!({ "id": id, "deleted": true })));
    assert_eq!(ask(&server, "GET", &format!("/{id}"), &Value::Null).0, 404);
    let whole = Receiver::open();
    create(&server, &json!({ "url": whole.url(), "topics": ["purchase.accepted"], "after": 0 }));
    let requests = whole.wait_for(|requests| requests.len() == 4);
    let all: BTreeSet<u64> = missed.iter().chain(&gone).chain(&behind).copied().collect();
    assert_eq!(requests.iter().map(Request::seq).collect::<BTreeSet<_>>(), all);
    assert_eq!(other.requests().len(), 2);
    server.stop();
}

#[test]
fn a_delivery_that_fails_holds_back_its_customer_alone() {
    let (_dir, server) = start();
    let receiver = Receiver::open();
    let lines = sample_lines();
    create(&server, &json!({ "url": receiver.url(), "topics": ["purchase.accepted"] }));
    let customer = |request: &Request| request.events()[0]["subject"].as_str().expect("a customer").to_owned();
    // The first of them that comes has its customer fail, three times.
    let (mut held, mut failures) = (None, 0);
    receiver.answer(move |request| {
        let own = customer(request);
        if *held.get_or_insert_with(|| own.clone()) == own && failures < 3 {
            failures += 1;
            return Answer::Status(500, "");
        }
        TAKEN
    });
    let lines: Vec<String> = lines.into_iter().take(60).collect();
    let booked = book(&server, &lines);
    let requests = receiver.wait_for(|requests| taken(requests) == booked.len());
    let held = customer(&requests[0]);
    let failed: Vec<u64> = requests.iter().filter(|own| !own.is_taken).map(Request::seq).collect();
    assert_eq!(failed, [failed[0]; 3], "the later ones of that customer wait");
    let mut seen: HashMap<String, u64> = HashMap::new();
    for request in requests.iter().filter(|own| own.is_taken) {
        let before = seen.insert(customer(request), request.seq());
        assert!(before < Some(request.seq()), "in order");
    }
    // Everybody else's came meanwhile.
    let others = requests.iter().filter(|own| customer(own) != held).count();
    let last = requests.iter().rposition(|own| !own.is_taken).expect("it failed");
    assert_eq!(requests[..last].iter().filter(|own| customer(own) != held).count(), others);
    server.stop();
}

/// A thousand of them to a receiver that fails a third of the time in every way, through three kills.
#[test]
fn a_thousand_webhooks_come_through_failures_and_kills() {
    const WEBHOOKS: usize = 1_000;
    /// Changes that are kept at once, and attempts at one time: what a kill may do again.
    const REPEATS_OF_A_KILL_MAX: usize = 108;
    let (dir, mut server) = start();
    let receiver = Receiver::open();
    let (id, secret) = create(&server, &json!({ "url": receiver.url(), "topics": ["purchase.accepted"] }));
    let mut count = 0;
    receiver.answer(move |_| {
        count += 1;
        match count % 12 {
            0 => Answer::Status(503, "Retry-After: 1\r\n"),
            3 => Answer::Status(500, ""),
            6 => Answer::Closed,
            9 => Answer::Status(307, "Location: http://127.0.0.1/\r\n"),
            _ => TAKEN,
        }
    });
    let mut lines = sample_lines().into_iter();
    let mut booked: Vec<u64> = Vec::new();
    for kill in 1..=3 {
        while booked.len() < WEBHOOKS * kill / 4 {
            let missing = WEBHOOKS * kill / 4 - booked.len();
            booked.extend(book(&server, &lines.by_ref().take(missing).collect::<Vec<_>>()));
        }
        receiver.wait_for(|requests| WEBHOOKS * kill / 5 < taken(requests));
        server.kill();
        server = serve(dir.path());
    }
    while booked.len() < WEBHOOKS {
        let missing = WEBHOOKS - booked.len();
        booked.extend(book(&server, &lines.by_ref().take(missing).collect::<Vec<_>>()));
    }
    let is_whole = |requests: &[Request]| {
        requests.iter().filter(|own| own.is_taken).map(Request::id).collect::<BTreeSet<_>>().len() == WEBHOOKS
    };
    let requests = receiver.wait_for(is_whole);
    assert!(requests.iter().all(|own| own.is_signed_with(&secret)), "failed ones too");
    let failed = requests.len() - taken(&requests);
    assert!(WEBHOOKS / 3 <= failed, "{failed}");
    let mut seen: BTreeMap<u64, usize> = BTreeMap::new();
    let mut last: HashMap<String, u64> = HashMap::new();
    for request in requests.iter().filter(|own| own.is_taken) {
        let (seq, events) = (request.seq(), request.events());
        assert_eq!(request.id(), format!("msg_{id}_{seq}"));
        let times = seen.entry(seq).or_default();
        *times += 1;
        if *times == 1 {
            let customer = events[0]["subject"].as_str().expect("a customer").to_owned();
            assert!(last.insert(customer, seq) < Some(seq), "a customer's come in order");
        }
    }
    assert!(seen.keys().eq(&booked), "each of them, and nothing else");
    let repeats = taken(&requests) - WEBHOOKS;
    assert!(repeats <= 3 * REPEATS_OF_A_KILL_MAX, "{repeats}");
    println!("{} requests, {failed} failed, {repeats} repeated", requests.len());
    // Nothing is left, and a start makes none of it again.
    deliveries(&server, &id, |data| data.iter().all(|own| own["state"] == "made"));
    server.stop();
    let server = serve(dir.path());
    let one = book(&server, &lines.next().into_iter().collect::<Vec<_>>());
    let after = receiver.wait_for(|requests| requests.iter().any(|own| own.is_taken && own.seq() == one[0]));
    assert!(after[requests.len()..].iter().all(|own| own.seq() == one[0]));
    server.stop();
}

/// A receiver by TLS: believed where its certificate is, and not where it is not.
#[test]
fn a_receiver_is_believed_by_its_certificate() {
    let (dir, files) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    let (certificate, key) = (files.path().join("own.pem"), files.path().join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).expect("it is written");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("it is written");
    // Another server of the same kind: it takes no webhooks, and says so by TLS.
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let other = Server::start_with(files.path(), &["--tls-certificate", &text(&certificate), "--tls-key", &text(&key)]);
    for (believed, wanted) in
        [(text(&certificate), "answered 404"), (text(&sample("journey.toml")), "certificates to believe")]
    {
        let data = dir.path().join(wanted.replace(' ', "-"));
        let server = Server::start_in(
            &data,
            &["--secrets-key", SECRETS_KEY, "--webhook-networks", NETWORK],
            &[("SSL_CERT_FILE", &believed), ("SSL_CERT_DIR", "/nonexistent")],
        );
        run_well(&["apply", "--yes", &text(&sample("journey.toml")), "--url", &server.url]);
        let (id, _) = create(&server, &json!({ "url": format!("{}/hooks", other.url) }));
        let (_, tested) = ask(&server, "POST", &format!("/{id}/test"), &Value::Null);
        let reason = tested["reason"].as_str().expect("a reason");
        assert!(reason.contains(wanted), "{tested}");
        server.stop();
    }
    other.stop();
}
