//! A client of KezBek against the program: what its services are asked for, step by step, and what its known holes were open for.

use serde_json::{Value, json};

use crate::program::{OPERATOR_TOKEN, Server, call, run_well, sample};

const KEY: &str = "dIfyRi21VvJRhz9qUsMuz";
const SECRET: &str = "68685UeyYNh6e8RZpGc4QK";
const PASSWORD: &str = "a long password";

/// A server with KezBek's rules, of which a partner has a key.
struct Shop {
    server: Server,
    _dir: tempfile::TempDir,
}

impl Shop {
    fn start() -> Shop {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let secrets = "5a".repeat(32);
        let server = Server::start_with(
            dir.path(),
            &[
                ["--secrets-key", &secrets],
                ["--registration", "kezbek"],
                ["--kezbek-tenant", "kezbek"],
                ["--kezbek-encrypt-key", "a text of 16 bytes or more"],
            ]
            .concat(),
        );
        run_well(&["apply", "--yes", &sample("kezbek.toml").to_string_lossy(), "--url", &server.url]);
        let shop = Shop { server, _dir: dir };
        let given = json!({ "api_key": KEY, "api_secret": SECRET });
        let given = shop.call("POST", "/v1/partners/tokopedia/api-keys?tenant=kezbek", OPERATOR_TOKEN, &given);
        assert_eq!(given.0, 201, "{}", given.1);
        shop
    }

    /// Sends a request, and returns the status and the answer.
    fn call(&self, method: &str, path: &str, bearer: &str, body: &Value) -> (u16, Value) {
        call(&self.server.url, method, path, &format!("Bearer {bearer}"), body)
    }

    fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.call("POST", path, "", body)
    }

    fn get(&self, path: &str, bearer: &str) -> (u16, Value) {
        self.call("GET", path, bearer, &Value::Null)
    }

    fn journey_id(&self, origin_id: &str) -> String {
        let (status, answer) = self.post("/transaction/api/v1/generate-journey-id", &ask(origin_id));
        assert_eq!(status, 201, "{answer}");
        answer["data"]["journey_id"].as_str().expect("an id").to_owned()
    }

    fn buy(&self, origin_id: &str, quantity: i64, amount: i64) -> Value {
        let transaction = transaction(origin_id, quantity, amount, &self.journey_id(origin_id));
        let (status, answer) = self.post("/transaction/api/v1/new-transaction", &transaction);
        assert_eq!(status, 201, "{answer}");
        answer["data"].clone()
    }

    /// Registers a customer and logs in.
    fn customer(&self, username: &str) -> String {
        let (status, answer) = self.post("/authenticator/api/v1/register", &person(username));
        assert_eq!((status, &answer["statusCode"]), (201, &json!(201)), "{answer}");
        let login = json!({ "username": username, "password": PASSWORD });
        let (status, answer) = self.post("/authenticator/api/v1/login", &login);
        assert_eq!(status, 201, "{answer}");
        answer["data"]["token"].as_str().expect("a token").to_owned()
    }
}

fn person(username: &str) -> Value {
    let (name, email) = ("Yukimura Sanada", format!("{username}@gmail.com"));
    json!({ "name": name, "username": username, "email": email, "phone": "+628113068890", "password": PASSWORD })
}

fn ask(origin_id: &str) -> Value {
    json!({
        "transaction_origin_id": origin_id,
        "partner_api_key": KEY,
        "partner_api_secret": SECRET,
        "promo_code": "KEZBEK1000",
    })
}

fn transaction(origin_id: &str, quantity: i64, amount: i64, journey_id: &str) -> Value {
    json!({
        "transaction_origin_id": origin_id,
        "partner_api_key": KEY,
        "customer_email": "yuckimoera@gmail.com",
        "promo_code": "KEZBEK1000",
        "quantity": quantity,
        "act_trx": amount,
        "journey_id": journey_id,
    })
}

#[test]
fn a_client_of_kezbek_walks_through() {
    let shop = Shop::start();
    let token = shop.customer("yuckimoera");
    let (_, me) = shop.get("/customer/api/v1/try-get-me", &token);
    assert!(me["data"]["cognito_id"].is_string(), "{me}");
    let (_, balance) = shop.get("/customer/api/v1/get-wallet-ballance", &token);
    let customer = balance["data"]["customer_id"].as_str().expect("an id").to_owned();
    assert_eq!(balance["data"]["current_balance"], 0);
    let (_, loyalty) = shop.get("/customer/api/v1/get-info-loyalty", &token);
    assert_eq!(loyalty["data"], json!({ "customer_id": customer, "total_trx": 0, "tier": "BRONZE", "max_trx": 7 }));

    // Each amount with the share and the points that KezBek's rules come to, and what the tiers add.
    let mut balance = 0;
    for (number, (quantity, amount, percent, points, loyalty, tier, total, remark)) in [
        (1, 99_999, json!(1.20), 1_200, 0, "BRONZE", 1, "FIRST TRANSACTION"),
        (1, 200_000, json!(1.75), 3_500, 0, "BRONZE", 2, ""),
        (2, 1_500_000, json!(2.95), 44_250, 15_000, "BRONZE", 3, ""),
        (5, 1_500_000, json!(3.35), 50_250, 0, "BRONZE", 4, ""),
        (1, 1_000_000, json!(0), 0, 25_000, "BRONZE", 5, ""),
        (1, 655_500, json!(2.30), 15_077, 0, "BRONZE", 6, ""),
        (1, 1, json!(0), 0, 35_000, "BRONZE", 7, ""),
        (2, 500_000, json!(2.45), 12_250, 0, "SILVER", 1, "UPGRADE TO NEXT TIER"),
    ]
    .into_iter()
    .enumerate()
    {
        let detail = shop.buy(&format!("TRX-{number}"), quantity, amount);
        balance += points + loyalty;
        let expected =
            [percent, json!(points), json!(loyalty), json!(points + loyalty), json!(tier), json!(total), json!(remark)];
        let names = ["prosentase", "point_transaction", "point_loyalty", "point_total", "tier", "total_trx", "remark"];
        for (name, expected) in names.into_iter().zip(expected) {
            assert_eq!(detail[name], expected, "{name} of {detail}");
        }
        assert_eq!((&detail["partner_name"], &detail["customer_id"]), (&json!("Tokopedia"), &json!(customer)));
    }
    let (_, shown) = shop.get("/customer/api/v1/get-wallet-ballance", &token);
    assert_eq!(shown["data"], json!({ "customer_id": customer, "current_balance": balance }));
    let (_, loyalty) = shop.get(&format!("/loyalty/api/v1/try-loyalty-actual/{customer}"), &token);
    assert_eq!(loyalty["data"], json!({ "customer_id": customer, "total_trx": 1, "tier": "SILVER", "max_trx": 7 }));
    let (_, history) = shop.get(&format!("/loyalty/api/v1/try-loyalty-history/{customer}"), &token);
    let points: Vec<i64> =
        history["data"].as_array().expect("rows").iter().filter_map(|row| row["point"].as_i64()).collect();
    assert_eq!(points, [0, 35_000, 0, 25_000, 0, 15_000, 0, 0]);
    let (_, rows) = shop.call(
        "POST",
        "/wallet/api/v1/try-get-last-transaction",
        &token,
        &json!({ "customer_id": customer, "total": 2 }),
    );
    let amounts: Vec<&Value> = rows["data"].as_array().expect("rows").iter().map(|row| &row["amount"]).collect();
    assert_eq!(amounts, [&json!(12_250), &json!(35_000)]);
    let (_, rows) =
        shop.call("POST", "/wallet/api/v1/try-get-last-balance-history", &token, &json!({ "customer_id": customer }));
    assert_eq!(rows["data"][0]["balance"], balance, "{rows}");

    // Whoever runs the programme looks customers and tiers up.
    let (_, found) = shop.get("/customer/api/v1/try-info-customer-by-email/yuckimoera%40gmail.com", OPERATOR_TOKEN);
    assert_eq!((&found["data"]["id"], &found["data"]["name"]), (&json!(customer), &json!("yuckimoera@gmail.com")));
    let (_, tiers) = shop.get("/loyalty/api/v1/try-tier-master-point", OPERATOR_TOKEN);
    assert_eq!((&tiers["data"][2]["name"], &tiers["data"][2]["points"][2]["point"]), (&json!("GOLD"), &json!(38_000)));
    let made = shop.call(
        "POST",
        "/customer/api/v1/try-new-customer",
        OPERATOR_TOKEN,
        &json!({ "email": "winanjuar@gmail.com" }),
    );
    assert_eq!((made.0, &made.1["data"]["email"]), (201, &json!("winanjuar@gmail.com")), "{}", made.1);
    // Promos: what there is, what is left, one more with what it pays.
    let (_, program) = shop.get("/promo/api/v1/try-program/KEZBEK1000", OPERATOR_TOKEN);
    assert_eq!((&program["data"]["code_key"], &program["data"]["quota"]), (&json!("KEZBEK1000"), &json!(1_000)));
    let (_, remain) = shop.get("/promo/api/v1/try-remain/KEZBEK1000", OPERATOR_TOKEN);
    // What pays nothing takes no unit.
    assert_eq!((&remain["data"]["total"], &remain["data"]["remain"]), (&json!(6), &json!(994)), "{remain}");
    let time = "2024-05-01T00:00:00Z";
    for (quantity, amount, percent) in [(1, 99_999, Some("1.2")), (3, 1_500_000, Some("3.35")), (1, 1_000_000, None)] {
        let ask =
            json!({ "transaction_time": time, "quantity": quantity, "act_trx": amount, "promo_code": "KEZBEK1000" });
        let (status, found) = shop.call("POST", "/promo/api/v1/try-eligible", OPERATOR_TOKEN, &ask);
        let seen = (status == 201 || status == 200).then(|| found["data"]["prosentase"].as_str().unwrap_or_default());
        assert_eq!(seen.map(|text| text.trim_end_matches('0')), percent, "{found}");
    }
    let program = json!({ "code_key": "NEW", "quota": 5, "period_start": "2023-01-01 00:00:00", "period_end": "2099-01-31 23:59:59" });
    let made = shop.call("POST", "/promo/api/v1/try-program", OPERATOR_TOKEN, &program);
    assert_eq!((made.0, &made.1["data"]["code_key"]), (201, &json!("NEW")), "{}", made.1);
    assert_eq!(shop.call("POST", "/promo/api/v1/try-program", OPERATOR_TOKEN, &program).0, 422, "it is there");
    let config = json!({ "code_key": "NEW", "quantity": 1, "min_trx": 0, "max_trx": 1000, "prosentase": 1.5 });
    let made = shop.call("POST", "/promo/api/v1/try-config", OPERATOR_TOKEN, &config);
    assert_eq!((made.0, &made.1["data"]["program"]["code_key"]), (201, &json!("NEW")), "{}", made.1);
    let id = made.1["data"]["id"].as_str().expect("an id");
    let (_, shown) = shop.get(&format!("/promo/api/v1/try-config/{id}"), OPERATOR_TOKEN);
    assert_eq!(shown["data"], made.1["data"]);
    let (_, all) = shop.get("/promo/api/v1/try-config", OPERATOR_TOKEN);
    assert_eq!(all["data"].as_array().map(Vec::len), Some(8));
    // Another partner, whose secret is told this once.
    let partner = json!({ "name": "Blibli Dot Com", "pic_email": "admin@blibli.com", "pic_phone": "+62811" });
    let (_, made) = shop.call("POST", "/partner/api/v1/try-new-partner", OPERATOR_TOKEN, &partner);
    let key = made["data"]["api_key"].as_str().expect("a key");
    assert!(made["data"]["api_secret"].is_string(), "{made}");
    for path in [format!("by-api-key/{key}"), "by-id/blibli-dot-com".to_owned()] {
        let (_, shown) = shop.get(&format!("/partner/api/v1/try-info-partner-{path}"), OPERATOR_TOKEN);
        assert_eq!(shown["data"], json!({ "id": "blibli-dot-com", "name": "Blibli Dot Com" }));
    }
    let out = json!({
        "transaction_id": "W-1", "customer_id": customer, "transaction_time": "2026-01-01", "transaction_type": "OUT",
        "transaction_description": "paid out", "amount": 1_000,
    });
    for _ in 0..2 {
        let taken = shop.call("POST", "/wallet/api/v1/try-new-transaction", OPERATOR_TOKEN, &out);
        assert_eq!(taken.0, 201, "{}", taken.1);
    }
    let (_, shown) = shop.get("/customer/api/v1/get-wallet-ballance", &token);
    assert_eq!(shown["data"]["current_balance"], balance - 1_000, "once for each transaction id");
    shop.server.stop();
}

/// The same by a client of that world: `api/tests/clients/kezbek.mjs`.
#[test]
#[ignore = "needs node; CI runs it"]
fn a_fetch_client_walks_through() {
    let shop = Shop::start();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/kezbek.mjs");
    let ran = std::process::Command::new("node")
        .arg(script)
        .envs([("KEZBEK_URL", shop.server.url.as_str()), ("KEZBEK_API_KEY", KEY), ("KEZBEK_API_SECRET", SECRET)])
        .output()
        .expect("node runs");
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{said}");
    // 48,000; of the twenty 3,500 each, and what the counts from 4 to 23 pay: 243,500 up to the 21st, less 15,000 at the third.
    assert_eq!(String::from_utf8_lossy(&ran.stdout).trim(), "paid 346500", "{said}");
    shop.server.stop();
}

/// What KezBek let anybody do.
#[test]
fn a_rogue_finds_kezbeks_holes_closed() {
    let shop = Shop::start();
    let token = shop.customer("yuckimoera");
    let other = shop.customer("winanjuar");
    let first = shop.buy("R-1", 1, 200_000);
    let customer = first["customer_id"].as_str().expect("an id").to_owned();
    let id = shop.journey_id("R-1");
    let send = |transaction: &Value| shop.post("/transaction/api/v1/new-transaction", transaction);
    // A transaction that is sent again is paid once, and answered as it was.
    let again = send(&transaction("R-1", 1, 200_000, &id));
    assert_eq!((again.0, &again.1["data"]["transaction_id"]), (201, &first["transaction_id"]), "{}", again.1);
    // With another amount, quantity or customer under the same id it is refused.
    assert_eq!(send(&transaction("R-1", 1, 400_000, &id)).0, 409);
    assert_eq!(send(&transaction("R-1", 2, 200_000, &id)).0, 409);
    let mut elsewhere = transaction("R-1", 1, 200_000, &id);
    elsewhere["customer_email"] = json!("winanjuar@gmail.com");
    assert_eq!(send(&elsewhere).0, 409);
    // An id is of one transaction, and whoever alters it has none.
    assert_eq!(send(&transaction("R-2", 1, 200_000, &id)).0, 422);
    for at in [30, 60, 80] {
        let mut altered = id.clone().into_bytes();
        altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
        let altered = String::from_utf8(altered).expect("text");
        let refused = send(&transaction("R-1", 1, 200_000, &altered));
        assert!(matches!(refused.0, 401 | 422), "{at}: {}", refused.1);
    }
    // The secret is looked at, the key alone opens nothing, and no field shifts another.
    let generate = |name: &str, text: &str| {
        let mut ask = ask("R-3");
        ask[name] = json!(text);
        shop.post("/transaction/api/v1/generate-journey-id", &ask).0
    };
    assert_eq!(generate("partner_api_secret", "another secret, as long"), 401);
    assert_eq!(generate("partner_api_key", "no-such-key"), 401);
    assert_eq!(generate("promo_code", "NONE"), 404);
    assert_eq!(generate("transaction_origin_id", "R|3"), 400);
    // The order of a body's members is nothing.
    let reordered = format!(
        r#"{{"promo_code":"KEZBEK1000","partner_api_secret":"{SECRET}","partner_api_key":"{KEY}","transaction_origin_id":"R-4"}}"#
    );
    let (_, made) =
        shop.post("/transaction/api/v1/generate-journey-id", &serde_json::from_str(&reordered).expect("JSON"));
    let made = made["data"]["journey_id"].as_str().expect("an id");
    assert_eq!(send(&transaction("R-4", 1, 200_000, made)).0, 201);
    // Zero, negative and broken amounts move nothing, and no level.
    let total = |quantity: Value, amount: Value| {
        let mut wrong = transaction("R-5", 1, 1, &shop.journey_id("R-5"));
        (wrong["quantity"], wrong["act_trx"]) = (quantity, amount);
        send(&wrong).0
    };
    for (quantity, amount) in
        [(json!(1), json!(0)), (json!(1), json!(-5)), (json!(0), json!(5)), (json!(1), json!(1.5))]
    {
        assert!((400..500).contains(&total(quantity.clone(), amount.clone())), "{quantity} {amount}");
    }
    let (_, loyalty) = shop.get("/customer/api/v1/get-info-loyalty", &token);
    assert_eq!(loyalty["data"]["total_trx"], 2, "{loyalty}");
    // Nobody unknown is paid.
    let mut nobody = transaction("R-6", 1, 200_000, &shop.journey_id("R-6"));
    nobody["customer_email"] = json!("nobody@gmail.com");
    assert_eq!(send(&nobody).0, 422);

    // What everybody could ask for is asked of whoever may.
    let wallet = json!({
        "transaction_id": "W-1", "customer_id": customer, "transaction_time": "2026-01-01", "transaction_type": "IN",
        "transaction_description": "free", "amount": 1_000_000,
    });
    for (bearer, expected) in [("", 401), (token.as_str(), 403), ("not a token", 401)] {
        assert_eq!(shop.call("POST", "/wallet/api/v1/try-new-transaction", bearer, &wallet).0, expected, "{bearer}");
    }
    for (path, expected) in [
        ("/customer/api/v1/try-info-customer-by-email/yuckimoera%40gmail.com".to_owned(), [401, 403]),
        (format!("/customer/api/v1/try-info-customer-by-id/{customer}"), [401, 404]),
        (format!("/loyalty/api/v1/try-loyalty-actual/{customer}"), [401, 404]),
        (format!("/loyalty/api/v1/try-loyalty-history/{customer}"), [401, 404]),
        ("/loyalty/api/v1/try-tier-master-point".to_owned(), [401, 403]),
        ("/customer/api/v1/get-wallet-ballance".to_owned(), [401, 200]),
        ("/promo/api/v1/try-program".to_owned(), [401, 403]),
        ("/promo/api/v1/try-remain/KEZBEK1000".to_owned(), [401, 403]),
        (format!("/partner/api/v1/try-info-partner-by-api-key/{KEY}"), [401, 403]),
        ("/partner/api/v1/try-info-partner-by-id/tokopedia".to_owned(), [401, 403]),
    ] {
        let seen = ["", other.as_str()].map(|bearer| shop.get(&path, bearer).0);
        assert_eq!(seen, expected, "{path}");
    }
    let rows = json!({ "customer_id": customer });
    assert_eq!(shop.call("POST", "/wallet/api/v1/try-get-last-transaction", &other, &rows).0, 404, "another's wallet");
    // A name is taken once, and no answer tells the secret of a partner.
    assert_eq!(shop.post("/authenticator/api/v1/register", &person("yuckimoera")).0, 422);
    for path in [format!("/partner/api/v1/try-info-partner-by-api-key/{KEY}"), "/nothing/api/v1/x".to_owned()] {
        for bearer in ["", OPERATOR_TOKEN] {
            assert!(!shop.get(&path, bearer).1.to_string().contains(SECRET), "{path}");
        }
    }
    for (path, expected) in [
        ("/promo/api/v1/try-transaction", 410),
        ("/loyalty/api/v1/try-new-transaction", 410),
        ("/partner/api/v1/try-new-partner", 400),
        ("/customer/api/v1/try-new-customer", 400),
    ] {
        assert_eq!(shop.post(path, &json!({})).0, expected, "{path}");
    }
    // Nothing is done by a method that KezBek does not know.
    let again = transaction("R-7", 1, 200_000, &shop.journey_id("R-7"));
    assert_eq!(shop.call("PUT", "/transaction/api/v1/new-transaction", "", &again).0, 404);
    let partner = json!({ "name": "Rogue", "pic_email": "a@b.c", "pic_phone": "+62811" });
    assert_eq!(shop.call("POST", "/partner/api/v1/try-new-partner", &token, &partner).0, 403);
    shop.server.stop();
}
