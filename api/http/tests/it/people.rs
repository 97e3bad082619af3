//! People over real sockets: they register, log in, go on, log out; each sees what is its own; administrators change accounts.

use crate::support;
use crate::support::{Harness, KEY, Reply, TOKEN, every_kind_of_rule, purchase};
use futures_util::StreamExt as _;
use kembali_http::routes::{ROUTES, Role, Route};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

const PASSWORD: &str = "correct horse battery";
const JSON: (&str, &str) = ("Content-Type", "application/json");

async fn start() -> Harness {
    start_in(tempfile::tempdir().unwrap()).await
}

async fn start_in(dir: tempfile::TempDir) -> Harness {
    let configure = |config: &mut kembali_http::ServerConfig| config.registration = vec!["journey".to_owned()];
    Harness::start_on(dir, 128 * 1024 * 1024, Some([9; 32]), configure).await
}

async fn call(harness: &Harness, bearer: &str, method: &str, path: &str, body: &Value) -> Reply {
    let authorization = format!("Bearer {bearer}");
    let mut headers = vec![JSON, ("Idempotency-Key", "own")];
    if !bearer.is_empty() {
        headers.push(("Authorization", &authorization));
    }
    let text = if body.is_null() { String::new() } else { body.to_string() };
    harness.call(method, path, &headers, text.as_bytes()).await
}

async fn post(harness: &Harness, path: &str, body: &Value) -> Reply {
    call(harness, "", "POST", path, body).await
}

fn login_of(username: &str, password: &str) -> Value {
    json!({ "tenant": "journey", "username": username, "password": password })
}

/// Logs in, and returns the two tokens.
async fn login(harness: &Harness, username: &str, password: &str) -> (String, String) {
    let reply = post(harness, "/v1/auth/login", &login_of(username, password)).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    tokens(&reply)
}

fn tokens(reply: &Reply) -> (String, String) {
    let own = reply.json();
    let text = |member: &str| own[member].as_str().unwrap().to_owned();
    (text("access_token"), text("refresh_token"))
}

async fn account(harness: &Harness, username: &str, role: &str, customer: Option<&str>) -> Value {
    let body = json!({ "username": username, "password": PASSWORD, "role": role, "customer": customer });
    let made = harness.operator("POST", "/v1/accounts?tenant=journey", &body.to_string()).await;
    assert_eq!(made.status, 201, "{}", made.text());
    made.json()
}

async fn refresh(harness: &Harness, token: &str) -> Reply {
    post(harness, "/v1/auth/refresh", &json!({ "refresh_token": token })).await
}

async fn me(harness: &Harness, bearer: &str) -> Reply {
    call(harness, bearer, "GET", "/v1/auth/me", &Value::Null).await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_registers_is_a_customer_with_what_is_its_own() {
    let harness = start().await;
    let registered = post(&harness, "/v1/auth/register", &login_of("Ann@Example.com", PASSWORD)).await;
    assert_eq!(registered.status, 201, "{}", registered.text());
    let own = registered.json();
    assert_eq!((&own["token_type"], &own["expires_in"]), (&json!("Bearer"), &json!(900)));
    assert_eq!((&own["account"]["role"], &own["account"]["username"]), (&json!("customer"), &json!("Ann@Example.com")));
    let customer = own["account"]["customer"].as_str().unwrap().to_owned();
    let (access, _) = tokens(&registered);
    // The purchases of that address are the customer's.
    let bought =
        json!({ "origin_id": "A-1", "customer": { "email": "ann@example.com" }, "amount": 600_000, "quantity": 1 });
    let booked = harness.post(&bought.to_string()).await.json();
    assert_eq!(booked["customer"], customer.as_str());
    let shown = call(&harness, &access, "GET", &format!("/v1/customers/{customer}"), &Value::Null).await.json();
    assert_eq!((&shown["purchases"], &shown["email"]), (&json!(1), &json!("Ann@Example.com")));
    for path in ["wallets", "tiers", "entries", "purchases", "statement", "holds"] {
        let read = call(&harness, &access, "GET", &format!("/v1/customers/{customer}/{path}"), &Value::Null).await;
        assert_eq!(read.status, 200, "{path} {}", read.text());
    }
    let wallet =
        call(&harness, &access, "POST", &format!("/v1/customers/{customer}/wallets"), &json!({ "name": "Car" })).await;
    assert_eq!((wallet.status, &wallet.json()["by"]), (201, &own["account"]["id"]), "{}", wallet.text());
    let id = booked["id"].as_str().unwrap();
    assert_eq!(call(&harness, &access, "GET", &format!("/v1/purchases/{id}"), &Value::Null).await.status, 200);

    for (body, expected) in [
        (login_of("ann@example.com", PASSWORD), "409 customer_exists -"),
        (login_of("ann", PASSWORD), "400 field_invalid /username"),
        // Nobody can tell these from hers by looking.
        (login_of("ann@example.com\u{200b}", PASSWORD), "400 field_invalid /username"),
        (login_of("\u{430}nn@example.com", PASSWORD), "400 field_invalid /username"),
        (login_of("bob@example.com", "short"), "400 field_invalid /password"),
        (
            json!({ "tenant": "other", "username": "bob@example.com", "password": PASSWORD }),
            "403 registration_closed -",
        ),
        (json!({ "tenant": "journey", "username": "bob@example.com" }), "400 field_missing /password"),
        (
            json!({ "tenant": "journey", "username": "b@x.co", "password": PASSWORD, "role": "admin" }),
            "400 field_unknown /role",
        ),
    ] {
        assert_eq!(post(&harness, "/v1/auth/register", &body).await.problem(), expected, "{body}");
    }
    let said = harness.get("/v1/audit?tenant=journey").await.json();
    let created =
        said["data"].as_array().unwrap().iter().find(|entry| entry["act"] == "account_created").unwrap().clone();
    assert_eq!(
        (&created["by"], &created["role"], &created["account_role"], &created["customer"]),
        (&own["account"]["id"], &json!("customer"), &json!("customer"), &json!(customer))
    );
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_opens_one_account_and_tries_are_slowed() {
    let harness = start().await;
    account(&harness, "desk", "operator", None).await;
    let (access, _) = login(&harness, "DESK", PASSWORD).await;
    assert_eq!(me(&harness, &access).await.json()["role"], "operator");
    let mut codes = Vec::new();
    for (tenant, username, password) in [
        ("journey", "desk", "correct horse batterx"),
        ("journey", "desk", ""),
        ("journey", "nobody", PASSWORD),
        ("other", "desk", PASSWORD),
        ("journey' OR '1'='1", "desk", PASSWORD),
        ("journey", "desk' --", "' OR '1'='1' --"),
    ] {
        let body = json!({ "tenant": tenant, "username": username, "password": password });
        codes.push(post(&harness, "/v1/auth/login", &body).await.problem());
    }
    assert_eq!(codes, ["401 login_failed -"; 6], "the same for all, whatever is wrong");
    // What is right counts too, so that the limit tells nobody what was right.
    let mut limited = None;
    for _ in 0..20 {
        let reply = post(&harness, "/v1/auth/login", &login_of("desk", PASSWORD)).await;
        if reply.status == 429 {
            limited = Some(reply);
            break;
        }
    }
    let limited = limited.expect("ten tries at once are the most");
    assert_eq!(limited.problem(), "429 login_limited -");
    assert!(limited.header("retry-after").unwrap().parse::<u64>().unwrap() <= 60);
    assert_eq!(me(&harness, &access).await.status, 200, "who is in stays in");
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_is_good_for_once_and_a_stolen_one_ends_the_session() {
    let harness = start().await;
    account(&harness, "desk", "operator", None).await;
    let (first_access, first) = login(&harness, "desk", PASSWORD).await;
    let (_, other) = login(&harness, "desk", PASSWORD).await;
    let again = refresh(&harness, &first).await;
    assert_eq!(again.status, 200, "{}", again.text());
    let (access, second) = tokens(&again);
    assert_eq!((me(&harness, &first_access).await.status, me(&harness, &access).await.status), (200, 200));
    // An answer that was lost is given again, by another token. Whoever has the one of before is found out at once.
    let lost = refresh(&harness, &first).await;
    assert_eq!(lost.status, 200, "{}", lost.text());
    let (_, third) = tokens(&lost);
    let (access, fourth) = tokens(&refresh(&harness, &third).await);
    assert_eq!(refresh(&harness, &second).await.problem(), "401 refresh_reused -");
    assert_eq!(refresh(&harness, &fourth).await.problem(), "401 refresh_invalid -", "the session is over");
    assert_eq!(me(&harness, &access).await.problem(), "401 session_ended -", "and its access tokens with it");
    let (_, other) = tokens(&refresh(&harness, &other).await);
    let altered = if other.as_bytes()[60] == b'A' { "B" } else { "A" };
    let altered = format!("{}{altered}{}", &other[..60], &other[61..]);
    for wrong in [String::new(), "x".to_owned(), access.clone(), other[1..].to_owned(), altered] {
        assert_eq!(refresh(&harness, &wrong).await.problem(), "401 refresh_invalid -", "{wrong}");
    }
    // Nobody ends a session by its ids, which stand in access tokens too.
    assert_eq!(refresh(&harness, &other).await.status, 200);
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn log_out_and_a_new_password_end_sessions() {
    let harness = start().await;
    account(&harness, "desk", "operator", None).await;
    let (one, refresh_one) = login(&harness, "desk", PASSWORD).await;
    let (two, _) = login(&harness, "desk", PASSWORD).await;
    let (three, _) = login(&harness, "desk", PASSWORD).await;
    let mut request = "ws://test/v1/stream".into_client_request().unwrap();
    request.headers_mut().insert("authorization", format!("Bearer {one}").parse().unwrap());
    let (mut subscriber, _) = client_async(request, TcpStream::connect(harness.address).await.unwrap()).await.unwrap();
    assert_eq!(call(&harness, &one, "POST", "/v1/auth/logout", &Value::Null).await.json(), json!({ "ended": 1 }));
    assert_eq!(me(&harness, &one).await.problem(), "401 session_ended -");
    assert_eq!(refresh(&harness, &refresh_one).await.problem(), "401 refresh_invalid -");
    // Any record wakes the subscriber, which is out too.
    harness.post(&purchase("A-1", 1_000, 1, 1)).await;
    loop {
        match subscriber.next().await {
            Some(Ok(Message::Close(Some(frame)))) => break assert_eq!(u16::from(frame.code), 1008),
            Some(Ok(Message::Text(text))) => assert!(!text.contains("purchase"), "{text}"),
            other => panic!("{other:?}"),
        }
    }
    drop(subscriber);
    let change = |old: &str, new: &str| json!({ "password": old, "new_password": new });
    for (body, expected) in [
        (change("not the password", "another long password"), "422 password_wrong /password"),
        (change(PASSWORD, "short"), "400 field_invalid /new_password"),
    ] {
        assert_eq!(call(&harness, &two, "PUT", "/v1/auth/password", &body).await.problem(), expected);
    }
    let changed = call(&harness, &two, "PUT", "/v1/auth/password", &change(PASSWORD, "another long password")).await;
    assert_eq!((changed.status, changed.json()), (200, json!({ "ended": 1 })), "{}", changed.text());
    assert_eq!((me(&harness, &two).await.status, me(&harness, &three).await.status), (200, 401));
    assert_eq!(post(&harness, "/v1/auth/login", &login_of("desk", PASSWORD)).await.problem(), "401 login_failed -");
    login(&harness, "desk", "another long password").await;
    let ended = call(&harness, &two, "POST", "/v1/auth/logout?everywhere=true", &Value::Null).await;
    assert_eq!(ended.json(), json!({ "ended": 2 }));
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_account_is_out_at_once_and_after_a_start() {
    let harness = start().await;
    let desk = account(&harness, "desk", "operator", None).await;
    let admin = account(&harness, "boss", "admin", None).await;
    let (access, token) = login(&harness, "desk", PASSWORD).await;
    let (boss, _) = login(&harness, "boss", PASSWORD).await;
    let path = format!("/v1/accounts/{}", desk["id"].as_str().unwrap());
    let own = format!("/v1/accounts/{}", admin["id"].as_str().unwrap());
    let suspend = json!({ "status": "suspended", "reason": "left the company" });
    assert_eq!(call(&harness, &access, "PATCH", &path, &suspend).await.problem(), "403 role_insufficient -");
    assert_eq!(
        call(&harness, &boss, "PATCH", &own, &json!({ "role": "operator" })).await.problem(),
        "422 account_own -"
    );
    let fixed = call(&harness, &boss, "PATCH", &path, &json!({ "role": "customer" })).await;
    assert_eq!(fixed.problem(), "422 account_role_fixed /role");
    let suspended = call(&harness, &boss, "PATCH", &path, &suspend).await;
    assert_eq!((suspended.status, &suspended.json()["status"]), (200, &json!("suspended")), "{}", suspended.text());
    assert_eq!(me(&harness, &access).await.problem(), "403 account_suspended -");
    assert_eq!(refresh(&harness, &token).await.problem(), "401 refresh_invalid -");
    assert_eq!(
        post(&harness, "/v1/auth/login", &login_of("desk", PASSWORD)).await.problem(),
        "403 account_suspended -"
    );
    let said = harness.get("/v1/audit?tenant=journey").await.json();
    let entry = said["data"].as_array().unwrap()[0].clone();
    assert_eq!(
        (&entry["act"], &entry["by"], &entry["role"]),
        (&json!("account_changed"), &admin["id"], &json!("admin"))
    );
    assert_eq!((&entry["before"]["suspended"], &entry["after"]["suspended"]), (&json!(false), &json!(true)));
    let dir = harness.stop().await;

    let harness = start_in(dir).await;
    assert_eq!(me(&harness, &access).await.problem(), "403 account_suspended -", "a start");
    assert_eq!(me(&harness, &boss).await.status, 200, "sessions outlive a start");
    let open = json!({ "status": "active", "role": "admin", "password": "a password from an admin" });
    assert_eq!(call(&harness, &boss, "PATCH", &path, &open).await.json()["role"], "admin");
    assert_eq!(me(&harness, &access).await.problem(), "401 session_ended -");
    let (access, _) = login(&harness, "desk", "a password from an admin").await;
    assert_eq!(me(&harness, &access).await.json()["role"], "admin");
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_with_no_room_for_a_key_has_no_people_and_serves() {
    let dir = Harness::start().await.stop().await;
    let harness = Harness::start_at(dir, 128 * 1024 * 1024, Some([9; 32]), 0, |_| ()).await;
    assert_eq!(harness.call("GET", "/readyz", &[], b"").await.text(), r#"{"status":"read_only"}"#);
    let tried = post(&harness, "/v1/auth/login", &login_of("desk", PASSWORD)).await;
    assert_eq!(tried.problem(), "403 people_disabled -");
    assert_eq!(harness.get("/v1/audit?tenant=journey").await.status, 200);
    let harness = start_in(harness.stop().await).await;
    account(&harness, "desk", "operator", None).await;
    login(&harness, "desk", PASSWORD).await;
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn customers_register_one_after_another_up_to_a_rate() {
    let configure = |config: &mut kembali_http::ServerConfig| {
        config.registration = vec!["journey".to_owned()];
        config.limits.people.registrations_per_minute = 2.try_into().unwrap();
    };
    let harness = Harness::start_on(tempfile::tempdir().unwrap(), 128 * 1024 * 1024, Some([9; 32]), configure).await;
    let mut said = Vec::new();
    for name in ["ann@example.com", "ann@example.com", "bob@example.com", "cyn@example.com"] {
        let reply = post(&harness, "/v1/auth/register", &login_of(name, PASSWORD)).await;
        said.push(if reply.status == 201 { "registered".to_owned() } else { reply.problem() });
    }
    assert_eq!(said, ["registered", "409 customer_exists -", "registered", "429 login_limited -"], "refusals are free");
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_rotated_and_tokens_that_are_out_stay_good() {
    let harness = start().await;
    account(&harness, "desk", "operator", None).await;
    let (old, _) = login(&harness, "desk", PASSWORD).await;
    let shown = || async { harness.call("GET", "/.well-known/jwks.json", &[], b"").await.json() };
    assert_eq!(shown().await["keys"].as_array().unwrap().len(), 1);
    assert_eq!(
        call(&harness, &old, "POST", "/v1/signing-keys", &Value::Null).await.problem(),
        "403 role_insufficient -"
    );
    let rotated = harness.operator("POST", "/v1/signing-keys", "").await;
    assert_eq!(rotated.status, 201, "{}", rotated.text());
    let (new, _) = login(&harness, "desk", PASSWORD).await;
    assert_eq!((me(&harness, &old).await.status, me(&harness, &new).await.status), (200, 200));
    let keys = shown().await;
    assert_eq!((keys["keys"].as_array().unwrap().len(), &keys["keys"][1]["kid"]), (2, &rotated.json()["kid"]));
    assert_eq!((&keys["keys"][0]["kty"], &keys["keys"][0]["alg"]), (&json!("RSA"), &json!("RS256")));
    let dir = harness.stop().await;
    let harness = start_in(dir).await;
    assert_eq!((me(&harness, &old).await.status, me(&harness, &new).await.status), (200, 200), "a start");
    // An hour later both are over.
    harness.clock_error_us.store(3_600_000_000, std::sync::atomic::Ordering::SeqCst);
    for token in [old, new] {
        assert!(
            ["401 token_expired -", "401 token_invalid -"].contains(&me(&harness, &token).await.problem().as_str())
        );
    }
    let dir = harness.stop().await;
    // Without its secrets_key, or under another one, nobody is let in by an old token.
    let harness = Harness::start_in(dir, 128 * 1024 * 1024, |_| ()).await;
    assert_eq!(post(&harness, "/v1/auth/login", &login_of("desk", PASSWORD)).await.problem(), "403 people_disabled -");
    harness.stop().await;
}

/// Sends a request but the last byte of its body, lets `meanwhile` happen, sends that byte, and returns the status.
async fn slowly(
    harness: &Harness,
    bearer: &str,
    (method, path): (&str, &str),
    body: &Value,
    meanwhile: impl Future,
) -> u16 {
    let body = body.to_string();
    let (head, last) = body.as_bytes().split_at(body.len() - 1);
    let mut stream = TcpStream::connect(harness.address).await.unwrap();
    let start = format!(
        "{method} {path} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {bearer}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(start.as_bytes()).await.unwrap();
    // Whoever is asked for the body has been let in.
    let mut seen = vec![0; 64];
    let count = stream.read(&mut seen).await.unwrap();
    assert!(seen[..count].starts_with(b"HTTP/1.1 100"), "{}", String::from_utf8_lossy(&seen));
    stream.write_all(head).await.unwrap();
    meanwhile.await;
    stream.write_all(last).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).split(' ').nth(1).unwrap().parse().unwrap()
}

/// Whoever is out does nothing more, also by what was begun before; and what is not said of an account stays as it is by then.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_begun_before_a_suspension_comes_to_nothing() {
    let harness = start().await;
    let rogue = account(&harness, "rogue", "admin", None).await;
    account(&harness, "boss", "admin", None).await;
    let (access, _) = login(&harness, "rogue", PASSWORD).await;
    let (boss, _) = login(&harness, "boss", PASSWORD).await;
    let path = format!("/v1/accounts/{}", rogue["id"].as_str().unwrap());
    let of_tenant = format!("{path}?tenant=journey");
    let suspend = async || {
        let done = harness.operator("PATCH", &of_tenant, r#"{"status":"suspended"}"#).await;
        assert_eq!(done.status, 200, "{}", done.text());
    };
    let door = json!({ "username": "door", "password": PASSWORD, "role": "admin" });
    assert_eq!(slowly(&harness, &access, ("POST", "/v1/accounts"), &door, suspend()).await, 403);
    assert_eq!(post(&harness, "/v1/auth/login", &login_of("door", PASSWORD)).await.problem(), "401 login_failed -");
    assert_eq!(harness.operator("PATCH", &of_tenant, r#"{"status":"active"}"#).await.status, 200);
    let password = json!({ "password": "a password from an admin" });
    assert_eq!(slowly(&harness, &boss, ("PATCH", &path), &password, suspend()).await, 200);
    let still = call(&harness, &boss, "GET", &path, &Value::Null).await.json();
    assert_eq!(still["status"], "suspended", "a new password opens nobody");
    harness.stop().await;
}

/// R44: every route, called by everybody. Whoever it is not for is turned away, and whoever it is for is not.
#[tokio::test(flavor = "multi_thread")]
async fn r44_every_route_is_for_its_roles_and_no_others() {
    let harness = start().await;
    let customer = harness.post(&purchase("A-1", 1_000, 1, 1)).await.json()["customer"].as_str().unwrap().to_owned();
    account(&harness, "ann", "customer", Some(&customer)).await;
    account(&harness, "desk", "operator", None).await;
    account(&harness, "boss", "admin", None).await;
    let mut callers =
        vec![("partner", ("X-Api-Key", KEY.to_owned())), ("holder", ("Authorization", format!("Bearer {TOKEN}")))];
    for (name, username) in [("customer", "ann"), ("operator", "desk"), ("admin", "boss")] {
        callers.push((name, ("Authorization", format!("Bearer {}", login(&harness, username, PASSWORD).await.0))));
    }
    let takes = |role: Role| match role {
        Role::Public => "partner customer operator admin holder",
        Role::Partner => "partner",
        Role::Operator => "operator admin holder",
        Role::Admin => "admin holder",
        Role::Platform => "holder",
        Role::Person => "customer operator admin",
        Role::PartnerOrOperator => "partner operator admin holder",
        Role::PartnerOrAdmin => "partner admin holder",
        Role::CustomerOrOperator => "customer operator admin holder",
        Role::Anyone => "partner customer operator admin holder",
    };
    let mut turned_away = 0;
    for route in ROUTES {
        let path = path_of(route, &customer);
        let body = if route.method == "GET" { &b""[..] } else { b"{}" };
        for (name, credential) in &callers {
            // What ends the caller's own session comes to nothing for those who come later.
            if route.path == "/v1/auth/logout" && takes(route.role).contains(name) {
                continue;
            }
            let headers = [(credential.0, credential.1.as_str()), JSON, ("Idempotency-Key", "r44")];
            let reply = harness.call(route.method.as_str(), &path, &headers, body).await;
            let is_away = reply.status == 403 && reply.text().contains("\"role_insufficient\"");
            let is_taken = takes(route.role).split(' ').any(|own| own == *name);
            assert_eq!(is_away, !is_taken, "{} {path} by {name}: {} {}", route.method, reply.status, reply.text());
            assert!(reply.status < 500, "{} {path} by {name}: {}", route.method, reply.text());
            assert!(
                !is_taken || reply.status != 401 || route.role == Role::Public,
                "{} {path} by {name}",
                route.method
            );
            turned_away += usize::from(is_away);
        }
        // Without credentials, or with those of nobody, nothing but what is public is served.
        let is_public = route.role == Role::Public;
        for wrong in [
            None,
            Some(("X-Api-Key", "somebody else's")),
            Some(("Authorization", "Bearer somebody else's")),
            Some(("Authorization", "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.")),
        ] {
            let headers: Vec<_> = [JSON].into_iter().chain(wrong).collect();
            let reply = harness.call(route.method.as_str(), &path, &headers, body).await;
            assert_eq!(reply.status == 401, !is_public, "{} {path} {wrong:?}: {}", route.method, reply.text());
        }
    }
    assert!(100 < turned_away, "{turned_away}");
    harness.stop().await;
}

fn path_of(route: &Route, customer: &str) -> String {
    let path: Vec<&str> = route
        .path
        .split('/')
        .map(|part| match part {
            "{id}" if route.path.starts_with("/v1/customers/") => customer,
            part if part.starts_with('{') => "1",
            part => part,
        })
        .collect();
    path.join("/")
}

/// Whatever is answered, no browser runs, frames or guesses it, and no cache keeps it.
#[tokio::test(flavor = "multi_thread")]
async fn answers_say_that_they_are_nothing_to_run_or_to_keep() {
    let harness = start().await;
    for (path, headers, cache) in [
        ("/healthz", vec![], "no-store"),
        ("/v1/nothing", vec![], "no-store"),
        ("/v1/promos", vec![("X-Api-Key", KEY)], "no-store"),
        ("/v1/promos", vec![], "no-store"),
        ("/docs", vec![], "no-cache"),
        ("/", vec![], "no-cache"),
    ] {
        let reply = harness.call("GET", path, &headers, b"").await;
        let policy = reply.header("content-security-policy").unwrap();
        assert!(
            policy.starts_with("default-src 'none'") && policy.ends_with("frame-ancestors 'none'"),
            "{path}: {policy}"
        );
        let own =
            ["x-content-type-options", "referrer-policy", "cache-control"].map(|name| reply.header(name).unwrap());
        assert_eq!(own, ["nosniff", "no-referrer", cache], "{path}");
    }
    harness.stop().await;
}

/// A customer has no others beside it, an operator no other tenant.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_another_s_is_not_there() {
    let harness = start().await;
    let mut other = every_kind_of_rule();
    other.tenant.slug = "other".to_owned();
    for partner in &mut other.partners {
        partner.api_key = None;
    }
    support::apply(&harness.engine, &other).await;
    let own = harness.post(&purchase("A-1", 200_000, 1, 1)).await.json();
    let bob = json!({ "origin_id": "B-1", "customer": { "ref": "bob" }, "amount": 200_000, "quantity": 1 });
    let bobs = harness.post(&bob.to_string()).await.json();
    let (ann, bob) = (own["customer"].as_str().unwrap(), bobs["customer"].as_str().unwrap());
    account(&harness, "ann", "customer", Some(ann)).await;
    let (access, _) = login(&harness, "ann", PASSWORD).await;
    let get = |path: String| {
        let (harness, access) = (&harness, &access);
        async move { call(harness, access, "GET", &path, &Value::Null).await }
    };
    for (path, expected) in [
        (format!("/v1/customers/{bob}"), "404 customer_not_found -"),
        (format!("/v1/customers/{bob}/wallets"), "404 customer_not_found -"),
        (format!("/v1/customers/{bob}/entries"), "404 customer_not_found -"),
        (format!("/v1/customers/{}/entries", bob.to_uppercase()), "404 customer_not_found -"),
        (format!("/v1/customers/{ann}%2F..%2F{bob}/entries"), "404 customer_not_found -"),
        ("/v1/customers/x/entries".to_owned(), "404 customer_not_found -"),
        (format!("/v1/customers/{ann}?tenant=other"), "404 tenant_not_found -"),
        (format!("/v1/customers/{ann}?at=1"), "403 role_insufficient -"),
        (format!("/v1/purchases/{}", bobs["id"].as_str().unwrap()), "404 purchase_not_found -"),
        (format!("/v1/operations/{}", bobs["seq"]), "404 operation_not_found -"),
        ("/v1/customers?ref=bob".to_owned(), "403 role_insufficient -"),
    ] {
        assert_eq!(get(path.clone()).await.problem(), expected, "{path}");
    }
    assert_eq!(get(format!("/v1/purchases/{}", own["id"].as_str().unwrap())).await.status, 200);
    assert_eq!(get(format!("/v1/customers/{ann}?tenant=journey")).await.status, 200);
    let send = json!({ "to": { "id": ann }, "amount": 1 });
    for (path, body) in [
        ("wallets", json!({ "name": "Mine" })),
        ("wallets/0/transfers", send),
        ("redemptions", json!({ "offer": "x" })),
    ] {
        let refused = call(&harness, &access, "POST", &format!("/v1/customers/{bob}/{path}"), &body).await;
        assert_eq!(refused.problem(), "404 customer_not_found -", "{path}");
    }
    // A stream shows a customer its own events alone.
    let mut request = "ws://test/v1/stream?after=0".into_client_request().unwrap();
    request.headers_mut().insert("authorization", format!("Bearer {access}").parse().unwrap());
    let (mut subscriber, _) = client_async(request, TcpStream::connect(harness.address).await.unwrap()).await.unwrap();
    harness.post(&purchase("A-2", 300_000, 1, 2)).await;
    let mut seen = String::new();
    while !seen.contains("A-2") {
        match subscriber.next().await {
            Some(Ok(Message::Text(text))) => seen.push_str(&text),
            other => panic!("{other:?}"),
        }
    }
    assert!(seen.contains("A-1") && !seen.contains(bob) && !seen.contains("catalogue.applied"), "{seen}");
    drop(subscriber);

    account(&harness, "boss", "admin", None).await;
    let (boss, _) = login(&harness, "boss", PASSWORD).await;
    let by_boss = |method: &'static str, path: &'static str, body: Value| {
        let (harness, boss) = (&harness, &boss);
        async move { call(harness, boss, method, path, &body).await.problem() }
    };
    assert_eq!(by_boss("GET", "/v1/reports/summary?tenant=other", Value::Null).await, "404 tenant_not_found -");
    let booked = format!("/v1/purchases/{}", own["id"].as_str().unwrap());
    let there = json!({ "username": "there", "password": PASSWORD, "role": "operator" }).to_string();
    assert_eq!(harness.operator("POST", "/v1/accounts?tenant=other", &there).await.status, 201);
    let there = json!({ "tenant": "other", "username": "there", "password": PASSWORD });
    let (there, _) = tokens(&post(&harness, "/v1/auth/login", &there).await);
    assert_eq!(call(&harness, &there, "GET", &booked, &Value::Null).await.problem(), "404 purchase_not_found -");
    assert_eq!(by_boss("PUT", "/v1/catalogue?tenant=other", json!({})).await, "404 tenant_not_found -");
    assert_eq!(
        by_boss("PUT", "/v1/catalogue?tenant=third", json!({})).await,
        "404 tenant_not_found -",
        "no tenant is made"
    );
    // The own one need not be named.
    let rules = call(&harness, &boss, "GET", "/v1/catalogue", &Value::Null).await.json()["catalogue"].clone();
    let same = call(&harness, &boss, "PUT", "/v1/catalogue", &rules).await;
    assert_eq!((same.status, &same.json()["changed"]), (200, &json!(false)), "{}", same.text());
    let mut others = rules.clone();
    others["tenant"]["slug"] = json!("other");
    assert_eq!(by_boss("PUT", "/v1/catalogue", others).await, "422 catalogue_invalid -");
    assert_eq!(by_boss("POST", "/v1/accounts?tenant=other", json!({})).await, "404 tenant_not_found -");
    let theirs = json!({ "username": "theirs", "password": PASSWORD, "role": "admin" }).to_string();
    let theirs = harness.operator("POST", "/v1/accounts?tenant=other", &theirs).await.json();
    let path = format!("/v1/accounts/{}", theirs["id"].as_str().unwrap());
    assert_eq!(call(&harness, &boss, "GET", &path, &Value::Null).await.problem(), "404 account_not_found -");
    let closed = call(&harness, &boss, "PATCH", &path, &json!({ "status": "suspended" })).await;
    assert_eq!(closed.problem(), "404 account_not_found -");
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_checked_before_they_are_made() {
    let harness = start().await;
    account(&harness, "desk", "operator", None).await;
    let body = |username: &str, password: &str, role: &str| json!({ "username": username, "password": password, "role": role });
    let nobody = "00000000-0000-8000-8000-000000000000";
    for (body, expected) in [
        (body("DESK", PASSWORD, "operator"), "409 username_taken /username"),
        (body("ab", PASSWORD, "operator"), "400 field_invalid /username"),
        (body("a b c", PASSWORD, "operator"), "400 field_invalid /username"),
        (body("abc", "too short", "operator"), "400 field_invalid /password"),
        (body("abc", PASSWORD, "root"), "400 field_invalid /role"),
        (body("abc", PASSWORD, "customer"), "400 field_missing /customer"),
        (
            json!({ "username": "abc", "password": PASSWORD, "role": "customer", "customer": "x" }),
            "400 field_invalid /customer",
        ),
        (
            json!({ "username": "abc", "password": PASSWORD, "role": "customer", "customer": nobody }),
            "404 customer_not_found -",
        ),
        (
            json!({ "username": "abc", "password": PASSWORD, "role": "admin", "customer": nobody }),
            "400 field_invalid /customer",
        ),
    ] {
        let refused = harness.operator("POST", "/v1/accounts?tenant=journey", &body.to_string()).await;
        assert_eq!(refused.problem(), expected, "{body}");
        assert!(!refused.text().contains(PASSWORD));
    }
    let found = harness.get("/v1/accounts?tenant=journey&username=Desk").await;
    assert_eq!(found.json()["username"], "desk", "{}", found.text());
    assert!(!found.text().contains("argon2"), "no answer shows a password, hashed or not");
    assert_eq!(harness.get("/v1/accounts?tenant=journey&username=x").await.problem(), "404 account_not_found -");
    assert_eq!(
        harness.get(&format!("/v1/accounts/{nobody}?tenant=journey")).await.problem(),
        "404 account_not_found -"
    );
    harness.stop().await;
}

/// Whoever registers under an address of which there is an account already, under another name, is told, customer or not.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_registered_once_whatever_the_username() {
    let harness = start().await;
    let register = |username: &str| json!({ "tenant": "journey", "username": username, "password": PASSWORD, "email": "ann@example.com" });
    let (ann, rogue) = (register("ann"), register("rogue"));
    let (first, second) =
        tokio::join!(post(&harness, "/v1/auth/register", &ann), post(&harness, "/v1/auth/register", &rogue));
    let mut statuses = [first.status, second.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409], "{} {}", first.text(), second.text());
    harness.stop().await;
}

/// Reads the lines of an export: what each is, and what it says.
fn lines(export: &Reply) -> Vec<(String, Value)> {
    assert_eq!(export.status, 200, "{}", export.text());
    let line = |line: &str| {
        let own: Value = serde_json::from_str(line).unwrap();
        let (kind, said) = own.as_object().unwrap().iter().next().unwrap();
        (kind.clone(), said.clone())
    };
    export.text().lines().map(line).collect()
}

fn kinds(lines: &[(String, Value)]) -> String {
    lines.iter().map(|(kind, _)| kind.as_str()).collect::<Vec<_>>().join(" ")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_takes_everything_along_and_is_forgotten() {
    let harness = start().await;
    let registered = post(&harness, "/v1/auth/register", &login_of("ann@example.com", PASSWORD)).await;
    let (access, token) = tokens(&registered);
    let id = registered.json()["account"]["customer"].as_str().unwrap().to_owned();
    let path = |end: &str| format!("/v1/customers/{id}{end}");
    let opened = call(&harness, &access, "POST", &path("/wallets"), &json!({ "name": "for the holidays" })).await;
    assert_eq!(opened.status, 201, "{}", opened.text());
    let deposits = path("/wallets/0/deposits?tenant=journey");
    let deposit = call(&harness, TOKEN, "POST", &deposits, &json!({ "amount": 700 })).await;
    assert_eq!(deposit.status, 201, "{}", deposit.text());

    let export = lines(&call(&harness, &access, "GET", &path("/export"), &Value::Null).await);
    assert_eq!(kinds(&export), "customer wallets account record record record end");
    assert_eq!((&export[0].1["email"], &export[0].1["erased"]), (&json!("ann@example.com"), &json!(false)));
    assert_eq!(export[1].1["data"][1]["name"], "for the holidays");
    assert_eq!(export[2].1["username"], "ann@example.com");
    assert_eq!(export[6].1, json!({ "records": 3 }));
    let topics: Vec<&str> = export[3..6].iter().map(|(_, own)| own["events"][0]["type"].as_str().unwrap()).collect();
    assert_eq!(topics, ["operation.accepted", "operation.accepted", "customer.registered"]);

    account(&harness, "boss", "admin", None).await;
    account(&harness, "desk", "operator", None).await;
    let (boss, desk) = (login(&harness, "boss", PASSWORD).await.0, login(&harness, "desk", PASSWORD).await.0);
    let other = path("/export").replace(&id, "00000000-0000-4000-8000-000000000000");
    assert_eq!(call(&harness, &access, "GET", &other, &Value::Null).await.problem(), "404 customer_not_found -");
    let why = json!({ "reason": "asked to by letter" });
    for (bearer, expected) in [(&access, "403 role_insufficient -"), (&desk, "403 role_insufficient -")] {
        assert_eq!(call(&harness, bearer, "POST", &path("/erase"), &why).await.problem(), expected);
    }
    let dry = call(&harness, &boss, "POST", &path("/erase?dry_run=true"), &why).await;
    assert_eq!((dry.status, me(&harness, &access).await.status), (200, 200), "{}", dry.text());
    let dir = harness.stop().await;
    let before = copy_of_profiles(dir.path());
    let harness = start_in(dir).await;
    let erased = call(&harness, &boss, "POST", &path("/erase"), &why).await;
    assert_eq!((erased.status, &erased.json()["effects"]), (200, &json!([{ "type": "customer_erased" }])));
    let again = call(&harness, &boss, "POST", &path("/erase"), &json!({ "reason": "again" })).await;
    assert_eq!(again.problem(), "422 idempotency_key_reused -");

    let unchanged = harness.operator("POST", &path("/erase?tenant=journey"), &why.to_string()).await;
    assert_eq!((unchanged.status, &unchanged.json()["changed"]), (200, &json!(false)), "{}", unchanged.text());

    let harness = gone(harness, &id, (&access, &token)).await;
    // A start forgets again whom a profile store from a backup knows.
    let dir = harness.stop().await;
    for name in ["profiles", "profiles-head"] {
        let path = dir.path().join(name);
        if path.is_dir() {
            std::fs::remove_dir_all(&path).unwrap()
        } else {
            std::fs::remove_file(&path).unwrap()
        }
        copy(&before.path().join(name), &path);
    }
    let harness = start_in(dir).await;
    gone(harness, &id, (&access, &token)).await.stop().await;
}

/// Nothing says any more who the customer is, and what the ledger holds is all there.
async fn gone(harness: Harness, id: &str, (access, token): (&str, &str)) -> Harness {
    let path = |end: &str| format!("/v1/customers/{id}{end}");
    assert_eq!(me(&harness, access).await.problem(), "401 session_ended -");
    assert_eq!(refresh(&harness, token).await.problem(), "401 refresh_invalid -");
    let login = post(&harness, "/v1/auth/login", &login_of("ann@example.com", PASSWORD)).await;
    assert_eq!(login.problem(), "401 login_failed -");
    let named = harness.get("/v1/customers?tenant=journey&email=ann@example.com").await;
    assert_eq!(named.problem(), "404 customer_not_found -");
    let shown = harness.get(&path("?tenant=journey")).await.json();
    assert_eq!((&shown["id"], &shown["erased"], &shown["balance"]), (&json!(id), &json!(true), &json!(700)));
    assert!(shown.get("email").is_none(), "{shown}");
    let export = harness.get(&path("/export?tenant=journey")).await;
    assert!(!export.text().contains("ann@") && !export.text().contains("holidays"), "{}", export.text());
    assert_eq!(kinds(&lines(&export)), "customer wallets record record record record end");
    // No new names.
    let authorization = format!("Bearer {TOKEN}");
    let headers = [JSON, ("Idempotency-Key", "another"), ("Authorization", authorization.as_str())];
    let wallet = harness.call("POST", &path("/wallets?tenant=journey"), &headers, br#"{"name":"again"}"#).await;
    assert_eq!(wallet.problem(), "422 customer_erased -");
    let body = json!({ "username": "ann", "password": PASSWORD, "role": "customer", "customer": id });
    let account = harness.operator("POST", "/v1/accounts?tenant=journey", &body.to_string()).await;
    assert_eq!(account.problem(), "422 customer_erased -");
    harness
}

fn copy_of_profiles(dir: &std::path::Path) -> tempfile::TempDir {
    let copied = tempfile::tempdir().unwrap();
    for name in ["profiles", "profiles-head"] {
        copy(&dir.join(name), &copied.path().join(name));
    }
    copied
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    if from.is_dir() {
        std::fs::create_dir(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    } else {
        std::fs::copy(from, to).unwrap();
    }
}
