//! A client of onetap against the program: what its README and its tests do, step by step, and its known holes.

use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::program::{OPERATOR_TOKEN, Server, call, run_well, sample};

const MERCHANT: &str = "4f981b0b-accf-4eb7-8018-7cd651c7e907";
const OTHER: &str = "4f981b0b-accf-4eb7-8018-7cd651c7e908";
const CUSTOMER: &str = "4f981b0b-accf-4eb7-8018-7cd651c7e922";
const PRODUCT: &str = "0e41cc11-5e54-448b-a6ce-9c9a855ad207";
const PASSWORD: &str = "a long password";

/// A server with two merchants, each with somebody who signs in and a partner that sends orders.
struct Shop {
    server: Server,
    _dir: tempfile::TempDir,
}

impl Shop {
    fn start() -> Shop {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let (secrets, merchants) = ("5a".repeat(32), format!("{MERCHANT},{OTHER}"));
        let server = Server::start_with(
            &dir.path().join("data"),
            &["--secrets-key", &secrets, "--onetap", &merchants, "--registration", &merchants],
        );
        let shop = Shop { server, _dir: dir };
        let rules = std::fs::read_to_string(sample("onetap.toml")).expect("the sample");
        // One that is no merchant of onetap's is beside them.
        for tenant in [MERCHANT, OTHER, "hidden"] {
            let file = shop._dir.path().join(format!("{tenant}.toml"));
            std::fs::write(&file, rules.replace(MERCHANT, tenant)).expect("it is written");
            run_well(&["apply", "--yes", &file.to_string_lossy(), "--url", &shop.server.url]);
            let given = json!({ "api_key": format!("key-of-{tenant}"), "api_secret": format!("a-secret-of-{tenant}") });
            let path = format!("/v1/partners/orders/api-keys?tenant={tenant}");
            assert_eq!(call(&shop.server.url, "POST", &path, &operator(), &given).0, 201);
            for (username, role) in [("owner", "admin"), ("clerk", "operator")] {
                let account = json!({ "username": username, "password": PASSWORD, "role": role });
                let path = format!("/v1/accounts?tenant={tenant}");
                assert_eq!(call(&shop.server.url, "POST", &path, &operator(), &account).0, 201);
            }
        }
        shop
    }

    /// Sends a request with a header, and returns the status, the cookie that is set and the answer.
    fn ask(&self, method: &str, path: &str, header: (&str, &str), body: &Value) -> (u16, Option<String>, Value) {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.server.url));
        let request = request.header(header.0, header.1).header("Content-Type", "application/json");
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut answered = agent.run(request.body(body).expect("a request")).expect("the server answers");
        let cookie = answered.headers().get("set-cookie").and_then(|own| own.to_str().ok()).map(str::to_owned);
        let text = answered.body_mut().read_to_string().expect("text");
        (answered.status().as_u16(), cookie, serde_json::from_str(&text).expect("JSON"))
    }

    /// Does something with a cookie.
    fn with(&self, cookie: &str, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let (status, _, answer) = self.ask(method, path, ("Cookie", cookie), body);
        (status, answer)
    }

    /// Signs somebody in, and returns the cookie as a browser sends it.
    fn sign_in(&self, username: &str) -> String {
        let body = json!({ "username": username, "password": PASSWORD });
        let (status, cookie, answer) = self.ask("POST", "/v1/signin", ("X-None", "-"), &body);
        assert_eq!((status, &answer), (200, &json!({ "message": "success" })));
        let cookie = cookie.expect("a cookie");
        assert!(
            ["; HttpOnly", "; Secure", "; SameSite=Strict", "; Path=/"].iter().all(|own| cookie.contains(own)),
            "{cookie}"
        );
        cookie.split(';').next().expect("a name and a token").to_owned()
    }

    fn order(&self, merchant: &str, id: &str, customer: &str, product: &str, amount: i64) -> (u16, Value) {
        let order = json!({
            "orderId": id, "customerId": customer, "merchantId": merchant, "productId": product, "amount": amount,
        });
        call(&self.server.url, "POST", "/order", &partner(merchant), &order)
    }

    fn tier(&self, cookie: &str, customer: &str) -> String {
        let (status, tier) = self.with(cookie, "GET", &format!("/v1/merchants/{MERCHANT}/{customer}"), &Value::Null);
        assert_eq!(status, 200, "{tier}");
        format!("{} {}", tier["TierName"].as_str().expect("a name"), tier["Points"])
    }
}

fn operator() -> String {
    format!("Bearer {OPERATOR_TOKEN}")
}

fn partner(merchant: &str) -> String {
    format!("Basic {}", BASE64.encode(format!("key-of-{merchant}:a-secret-of-{merchant}").as_bytes()))
}

fn cashback(name: &str, percentage: f64, products: &[&str], is_active: bool) -> Value {
    json!({
        "name": name, "description": format!("a share of {name}"), "percentage": percentage,
        "expiration": "2036-01-01T00:00:00Z", "eligibleProducts": products, "active": is_active,
    })
}

#[test]
fn a_client_of_onetap_walks_through() {
    let shop = Shop::start();
    let owner = shop.sign_in(&format!("{MERCHANT}/owner"));
    let tiers = format!("/v1/merchants/{MERCHANT}/tiers");
    // The merchant adds tiers, and everybody sees them.
    for (name, bound) in [("Silver", 1_000), ("Gold", 1_500)] {
        let (status, made) = shop.with(&owner, "POST", &tiers, &json!({ "name": name, "minpoint": bound }));
        assert_eq!(
            (status, &made["message"], &made["tier"]["Name"]),
            (201, &json!("tier added"), &json!(name)),
            "{made}"
        );
        assert_eq!((&made["tier"]["MinPoints"], &made["tier"]["MerchantID"]), (&json!(bound), &json!(MERCHANT)));
    }
    let names = || {
        let (status, shown) = shop.with("", "GET", &tiers, &Value::Null);
        assert_eq!(status, 200);
        let own = shown["tiers"].as_array().expect("tiers").iter();
        own.map(|tier| format!("{} {}", tier["Name"].as_str().expect("a name"), tier["MinPoints"])).collect::<Vec<_>>()
    };
    assert_eq!(names(), ["Bronze 50", "Silver 1000", "Gold 1500"]);
    assert_eq!(shop.with("", "GET", &format!("{tiers}/Gold"), &Value::Null).1["tier"]["MinPoints"], 1_500);
    assert_eq!(
        shop.with("", "GET", &format!("{tiers}/Platinum"), &Value::Null),
        (404, json!({ "message": "Tier not found" }))
    );
    for (body, status) in [
        (json!({ "name": "Gold", "minpoint": 9_000 }), 409),
        (json!({ "name": "Other", "minpoint": 1_500 }), 422),
        (json!({ "name": "Go", "minpoint": 9_000 }), 422),
        (json!({ "name": "Below", "minpoint": -1 }), 422),
        (json!({ "name": "Half", "minpoint": 0.5 }), 422),
        (json!([]), 400),
    ] {
        let refused = shop.with(&owner, "POST", &tiers, &body);
        assert_eq!(refused.0, status, "{body}: {}", refused.1);
    }
    // Orders move customers, and say what happened and nothing else.
    let bought = shop.order(MERCHANT, "o-1", CUSTOMER, PRODUCT, 40);
    assert_eq!((bought.0, &bought.1["notifications"]), (201, &json!(["tier: Bronze"])), "{}", bought.1);
    assert_eq!(shop.order(MERCHANT, "o-0", CUSTOMER, PRODUCT, 1).1["notifications"], json!([]));
    assert_eq!(shop.tier(&owner, CUSTOMER), "Bronze 41");
    assert_eq!(
        shop.order(MERCHANT, "o-2", CUSTOMER, PRODUCT, 1_009).1["notifications"],
        json!(["tier upgrade: Silver"])
    );
    assert_eq!(shop.tier(&owner, CUSTOMER), "Silver 1050");
    // Sent again it counts once, and is answered as before.
    assert_eq!(
        shop.order(MERCHANT, "o-2", CUSTOMER, PRODUCT, 1_009).1["notifications"],
        json!(["tier upgrade: Silver"])
    );
    assert_eq!(shop.tier(&owner, CUSTOMER), "Silver 1050");
    // By hand, one step at a time; a clerk may.
    let clerk = shop.sign_in(&format!("{MERCHANT}/clerk"));
    let step =
        |step: &str| shop.with(&clerk, "POST", &format!("/v1/merchants/customers/{CUSTOMER}/{step}"), &Value::Null);
    assert_eq!(step("promote"), (200, json!({ "message": "customer promoted", "tier": "Gold" })));
    assert_eq!(shop.tier(&owner, CUSTOMER), "Gold 1050");
    assert_eq!(step("promote").1["message"], "already at the highest tier");
    assert_eq!((step("demote").0, step("demote").0), (200, 200));
    assert_eq!(step("demote").0, 409);
    assert_eq!(shop.tier(&owner, CUSTOMER), "Bronze 1050");
    let nobody = shop.with(&clerk, "POST", "/v1/merchants/customers/nobody/promote", &Value::Null);
    assert_eq!(nobody.0, 404, "{}", nobody.1);
    // A tier under another name is the same; one that is removed leaves nobody behind.
    assert_eq!(
        shop.with(&owner, "PUT", &format!("{tiers}/Bronze"), &json!({ "name": "Basic", "minpoint": 50 })).0,
        200
    );
    assert_eq!(shop.tier(&owner, CUSTOMER), "Basic 1050");
    assert_eq!(
        shop.with(&owner, "PUT", &format!("{tiers}/Bronze"), &json!({ "name": "Basic", "minpoint": 50 })).0,
        404
    );
    assert_eq!(shop.with(&owner, "DELETE", &format!("{tiers}/Basic"), &Value::Null).0, 200);
    assert_eq!(shop.tier(&owner, CUSTOMER), "Silver 1050");
    assert_eq!(names(), ["Silver 1000", "Gold 1500"]);
    assert_eq!(shop.with(&owner, "DELETE", &format!("{tiers}/Gold"), &Value::Null).0, 200);
    assert_eq!(shop.with(&owner, "DELETE", &format!("{tiers}/Silver"), &Value::Null).0, 409, "the last one stays");

    // Cashbacks stack, one that does not fit keeps none of the others from paying, and one may be switched off.
    let id = |name: &str, percentage: f64, products: &[&str], is_active: bool| {
        let (status, made) =
            shop.with(&owner, "POST", "/v1/cashbacks", &cashback(name, percentage, products, is_active));
        assert_eq!((status, &made["message"]), (200, &json!("Cashback created successfully")), "{made}");
        made["id"].as_str().expect("an id").to_owned()
    };
    let none = id("Another product", 0.5, &["another"], true);
    let two = id("Two percent", 0.02, &[PRODUCT], true);
    id("Ten percent", 0.1, &[PRODUCT, "another"], true);
    id("Off", 0.9, &[PRODUCT], false);
    assert_eq!(shop.order(MERCHANT, "o-9", "second", "none", 1).1["notifications"], json!(["tier: Silver"]));
    let paid = |id: &str| shop.order(MERCHANT, id, "second", PRODUCT, 1_000).1["notifications"].clone();
    let (two_percent, ten_percent) = ("cashback: 20 points of Two percent", "cashback: 100 points of Ten percent");
    assert_eq!(paid("o-3"), json!([two_percent, ten_percent]));
    let (_, shown) = shop.with("", "GET", &format!("/v1/cashbacks?merchantID={MERCHANT}"), &Value::Null);
    assert_eq!(shown["cashbacks"].as_array().map(Vec::len), Some(4), "{shown}");
    let (_, one) = shop.with("", "GET", &format!("/v1/cashbacks/{two}"), &Value::Null);
    assert_eq!(
        one["cashback"],
        json!({
            "ID": two, "MerchantID": MERCHANT, "Name": "Two percent", "Description": "a share of Two percent",
            "Percentage": 0.02, "EligibleProducts": [PRODUCT], "Active": true, "Expiration": "2036-01-01T00:00:00Z",
        })
    );
    // Changed under its id, also its name; switched off it pays nothing.
    let path = format!("/v1/cashbacks/{two}");
    assert_eq!(shop.with(&owner, "PUT", &path, &cashback("Three percent", 0.03, &[PRODUCT], true)).0, 200);
    assert_eq!(paid("o-4"), json!(["cashback: 30 points of Three percent", ten_percent]));
    assert_eq!(shop.with(&owner, "PUT", &path, &cashback("Three percent", 0.03, &[PRODUCT], false)).0, 200);
    assert_eq!(paid("o-5"), json!([ten_percent]));
    let mut ended = cashback("Three percent", 0.03, &[PRODUCT], true);
    ended["expiration"] = json!("2020-01-01T00:00:00Z");
    assert_eq!(shop.with(&owner, "PUT", &path, &ended).0, 200);
    assert_eq!(paid("o-6"), json!([ten_percent]));
    assert_eq!(shop.with(&owner, "DELETE", &format!("/v1/cashbacks/{none}"), &Value::Null).0, 200);
    assert_eq!(shop.with(&owner, "DELETE", &format!("/v1/cashbacks/{none}"), &Value::Null).0, 404);
    // One that was not made here stays itself under another name too.
    let rules =
        || call(&shop.server.url, "GET", &format!("/v1/catalogue?tenant={MERCHANT}"), &operator(), &Value::Null).1;
    let mut file = rules()["catalogue"].clone();
    let native = json!({ "name": "Native", "rate": "0.01", "products": ["tea"], "pays": "cashback" });
    file["cashback_rules"].as_array_mut().expect("rules").push(native);
    let applied = call(&shop.server.url, "PUT", &format!("/v1/catalogue?tenant={MERCHANT}"), &operator(), &file);
    assert_eq!(applied.0, 200, "{}", applied.1);
    let number = rules()["ids"]["cashback_rules"]["Native"].as_u64().expect("a number");
    let path = format!("/v1/cashbacks/00000000-0000-0000-0000-{number:012x}");
    assert_eq!(shop.with(&owner, "PUT", &path, &cashback("Tea", 0.02, &["tea"], true)).0, 200);
    assert_eq!(rules()["ids"]["cashback_rules"]["Tea"], number);
    assert_eq!(shop.with("", "GET", &path, &Value::Null).1["cashback"]["Name"], "Tea");
    for (name, wrong) in [
        ("percentage", json!(1)),
        ("percentage", json!(0)),
        ("percentage", json!("0.1")),
        ("eligibleProducts", json!([])),
        ("eligibleProducts", json!([5])),
        ("expiration", json!("soon")),
        ("active", json!("yes")),
        ("name", json!("")),
        ("name", json!("x".repeat(255))),
        ("description", json!("x".repeat(1_025))),
    ] {
        let mut body = cashback("Wrong", 0.1, &[PRODUCT], true);
        body[name] = wrong;
        let refused = shop.with(&owner, "POST", "/v1/cashbacks", &body);
        assert_eq!(refused.0, 422, "{body}: {}", refused.1);
    }
    shop.server.stop();
}

/// Notices by the client of that world: `api/tests/clients/onetap.mjs`.
#[test]
#[ignore = "needs node, and what api/tests/clients/package.json names; CI runs it"]
fn a_socket_io_client_is_told_what_happened() {
    let shop = Shop::start();
    let owner = shop.sign_in(&format!("{MERCHANT}/owner"));
    let silver = json!({ "name": "Silver", "minpoint": 1_000 });
    assert_eq!(shop.with(&owner, "POST", &format!("/v1/merchants/{MERCHANT}/tiers"), &silver).0, 201);
    assert_eq!(shop.with(&owner, "POST", "/v1/cashbacks", &cashback("Two percent", 0.02, &[PRODUCT], true)).0, 200);
    let ran = std::process::Command::new("node")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/onetap.mjs"))
        .envs([
            ("ONETAP_URL", shop.server.url.as_str()),
            ("MERCHANT", MERCHANT),
            ("OTHER", OTHER),
            ("PASSWORD", PASSWORD),
        ])
        .envs([("ORDERS", partner(MERCHANT)), ("PRODUCT", PRODUCT.to_owned())])
        .output()
        .expect("node runs");
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{said}");
    assert_eq!(String::from_utf8_lossy(&ran.stdout).trim(), "told what happened", "{said}");
    shop.server.stop();
}

/// What onetap let anybody do.
#[test]
fn a_rogue_finds_onetaps_holes_closed() {
    let shop = Shop::start();
    let owner = shop.sign_in(&format!("{MERCHANT}/owner"));
    let other = shop.sign_in(&format!("{OTHER}/owner"));
    let clerk = shop.sign_in(&format!("{MERCHANT}/clerk"));
    let hidden = shop.sign_in("hidden/owner");
    let (_, made) = shop.with(&owner, "POST", "/v1/cashbacks", &cashback("Mine", 0.1, &[PRODUCT], true));
    let mine = format!("/v1/cashbacks/{}", made["id"].as_str().expect("an id"));
    assert_eq!(shop.order(MERCHANT, "o-1", CUSTOMER, PRODUCT, 100).0, 201);

    // Any credentials signed anybody in.
    for (username, password) in [
        (format!("{MERCHANT}/owner"), "another password"),
        (MERCHANT.to_owned(), PASSWORD),
        ("owner".to_owned(), PASSWORD),
        (format!("{OTHER}/nobody"), PASSWORD),
        ("nowhere/owner".to_owned(), PASSWORD),
    ] {
        let body = json!({ "username": username, "password": password });
        let (status, cookie, answer) = shop.ask("POST", "/v1/signin", ("X-None", "-"), &body);
        assert_eq!(
            (status, &answer["message"], cookie),
            (401, &json!("Wrong username or password"), None),
            "{username}"
        );
    }
    for body in
        [json!({}), json!({ "username": 5, "password": PASSWORD }), json!({ "username": "x", "password": "short" })]
    {
        let (status, _, answer) = shop.ask("POST", "/v1/signin", ("X-None", "-"), &body);
        assert!(status == 422 && answer["Errors"].is_object(), "{answer}");
    }
    // Nobody, another merchant, somebody who may not, and made-up tokens change nothing.
    let tiers = format!("/v1/merchants/{MERCHANT}/tiers");
    assert_eq!(shop.with(&owner, "POST", &tiers, &json!({ "name": "Gold", "minpoint": 1_500 })).0, 201);
    let tier = json!({ "name": "Free gold", "minpoint": 1 });
    let made_up = "Authorization=eyJhbGciOiJub25lIn0.eyJJZCI6IjEifQ.";
    for who in ["", &other, &clerk, &hidden, made_up, "Authorization=x"] {
        for (method, path, body) in [
            ("POST", tiers.as_str(), &tier),
            ("PUT", &format!("{tiers}/Bronze"), &tier),
            ("DELETE", &format!("{tiers}/Bronze"), &Value::Null),
            ("PUT", &mine, &cashback("Theirs", 0.9, &[PRODUCT], true)),
            ("DELETE", &mine, &Value::Null),
        ] {
            let (status, answer) = shop.with(who, method, path, body);
            assert!(matches!(status, 401 | 403 | 404), "{who} {method} {path}: {status} {answer}");
        }
    }
    let (_, shown) = shop.with("", "GET", &mine, &Value::Null);
    assert_eq!((&shown["cashback"]["Name"], &shown["cashback"]["Percentage"]), (&json!("Mine"), &json!(0.1)));
    assert_eq!(shop.with("", "GET", &tiers, &Value::Null).1["tiers"].as_array().map(Vec::len), Some(2));
    // Customers are moved and seen by their own merchant.
    for who in ["", &other, &hidden, made_up] {
        let promoted = shop.with(who, "POST", &format!("/v1/merchants/customers/{CUSTOMER}/promote"), &Value::Null);
        assert!(matches!(promoted.0, 401 | 403 | 404), "{who}: {}", promoted.1);
        let seen = shop.with(who, "GET", &format!("/v1/merchants/{MERCHANT}/{CUSTOMER}"), &Value::Null);
        assert!(matches!(seen.0, 401 | 403 | 404), "{who}: {}", seen.1);
    }
    // The server's own token is of no merchant, and says whose.
    let token = ("Authorization", &*operator());
    let (status, _, answer) = shop.ask("POST", "/v1/cashbacks", token, &cashback("Own", 0.1, &[PRODUCT], true));
    assert_eq!((status, &answer["message"]), (400, &json!("The query must have a merchantID")));
    // What a form of another page can send is not done by a cookie.
    let form = ureq::post(format!("{}/v1/merchants/customers/{CUSTOMER}/promote", shop.server.url))
        .header("Cookie", &owner)
        .content_type("text/plain")
        .send("{}");
    assert!(matches!(form, Err(ureq::Error::StatusCode(415))), "{form:?}");
    for (method, path, status) in [
        ("GET", "/v1/merchants", 404),
        ("GET", "/v1/cashbacks/a/b", 404),
        ("GET", "/v1/merchants/a/b/c/d", 404),
        ("GET", "/v1/merchants/%ff/tiers", 404),
        ("DELETE", "/order", 405),
        ("PATCH", "/v1/cashbacks/a", 405),
        ("POST", &mine, 405),
        ("GET", "/v1/cashbacks", 400),
    ] {
        assert_eq!(shop.with(&owner, method, path, &Value::Null).0, status, "{method} {path}");
    }
    // Who is no merchant of onetap's is not there.
    assert_eq!(shop.with("", "GET", "/v1/merchants/hidden/tiers", &Value::Null), (200, json!({ "tiers": [] })));
    assert_eq!(
        shop.with("", "GET", "/v1/cashbacks?merchantID=hidden", &Value::Null),
        (200, json!({ "cashbacks": [] }))
    );
    assert_eq!(shop.with(&hidden, "POST", "/v1/merchants/hidden/tiers", &tier).0, 404);
    // Orders come from partners of the merchant, have an id, and cost something.
    let order = |authorization: &str, more: &Value| {
        let mut order = json!({
            "orderId": "r-1", "customerId": CUSTOMER, "merchantId": MERCHANT, "productId": PRODUCT, "amount": 1_000_000,
        });
        more.as_object().into_iter().flatten().for_each(|(name, value)| order[name] = value.clone());
        call(&shop.server.url, "POST", "/order", authorization, &order)
    };
    for (authorization, more, expected) in [
        ("", Value::Null, 401),
        (&*partner(OTHER), Value::Null, 403),
        (&*partner("hidden"), json!({ "merchantId": "hidden" }), 404),
        (&*partner(MERCHANT).replace('=', ""), Value::Null, 401),
        (&*partner(MERCHANT), json!({ "orderId": null }), 422),
        (&*partner(MERCHANT), json!({ "amount": -5 }), 422),
        (&*partner(MERCHANT), json!({ "amount": 0 }), 422),
        (&*partner(MERCHANT), json!({ "amount": 0.5 }), 422),
        (&*partner(MERCHANT), json!({ "amount": "5" }), 422),
        (&*partner(MERCHANT), json!({ "customerId": 5 }), 422),
    ] {
        let (status, answer) = order(authorization, &more);
        assert_eq!(status, expected, "{authorization} {more}: {answer}");
    }
    assert_eq!(shop.tier(&owner, CUSTOMER), "Bronze 100");
    shop.server.stop();
}
