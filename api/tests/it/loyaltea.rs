//! A client of Loyaltea against the program: its README step by step, what its services can do beyond that, and its known holes.

use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::program::{OPERATOR_TOKEN, Server, call, run_well, sample};

const REWARD: &str = "0e41cc11-5e54-448b-a6ce-9c9a855ad207";
const BREAD: &str = "7bed8bf6-995b-450d-8417-1c368709e1e3";
const USER: &str = "0e41cc11-5e54-448b-a6ce-9c9a855ad202";

/// A server with two tenants, each with an admin and a partner that sends events.
struct Shop {
    server: Server,
    _dir: tempfile::TempDir,
}

impl Shop {
    fn start() -> Shop {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let secrets = "5a".repeat(32);
        let server = Server::start_with(&dir.path().join("data"), &["--secrets-key", &secrets, "--loyaltea"]);
        let rules = std::fs::read_to_string(sample("loyaltea.toml")).expect("the sample");
        for tenant in ["meiwei", "other"] {
            let file = dir.path().join(format!("{tenant}.toml"));
            std::fs::write(&file, rules.replace("meiwei", tenant)).expect("it is written");
            run_well(&["apply", "--yes", &file.to_string_lossy(), "--url", &server.url]);
        }
        let shop = Shop { server, _dir: dir };
        for tenant in ["meiwei", "other"] {
            let given = json!({ "api_key": format!("key-of-{tenant}"), "api_secret": format!("a-secret-of-{tenant}-and-more") });
            let path = format!("/v1/partners/events/api-keys?tenant={tenant}");
            assert_eq!(shop.call("POST", &path, &server_token(), &given).0, 201);
        }
        shop
    }

    fn call(&self, method: &str, path: &str, authorization: &str, body: &Value) -> (u16, Value) {
        call(&self.server.url, method, path, authorization, body)
    }

    /// Makes an admin, and returns what it logs in with: a token in the place of Django's password.
    fn admin(&self, tenant: &str) -> String {
        let (username, password) = (format!("admin-{tenant}"), "a long password");
        let account = json!({ "username": username, "password": password, "role": "admin" });
        let made = self.call("POST", &format!("/v1/accounts?tenant={tenant}"), &server_token(), &account);
        assert_eq!(made.0, 201, "{}", made.1);
        let login = json!({ "tenant": tenant, "username": username, "password": password });
        let (_, session) = self.call("POST", "/v1/auth/login", "", &login);
        basic("token", session["access_token"].as_str().expect("a token"))
    }

    /// Sends an event as the partner of a tenant.
    fn buy(&self, tenant: &str, id: &str, user: &str, product: &str, amount: &Value) -> (u16, Value) {
        let event = json!({ "eventId": id, "tenant": tenant, "userId": user, "product": product, "amount": amount });
        self.call("POST", "/events/buy", &partner(tenant), &event)
    }

    fn points(&self, user: &str, authorization: &str) -> Value {
        let (status, row) = self.call("GET", &format!("/user-rewards/{user}/"), authorization, &Value::Null);
        assert_eq!(status, 200, "{row}");
        row["points"].clone()
    }
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", BASE64.encode(format!("{user}:{password}").as_bytes()))
}

fn partner(tenant: &str) -> String {
    basic(&format!("key-of-{tenant}"), &format!("a-secret-of-{tenant}-and-more"))
}

pub(crate) fn server_token() -> String {
    format!("Bearer {OPERATOR_TOKEN}")
}

/// Makes what Loyaltea's README makes.
pub(crate) fn make_example(url: &str, admin: &str, tenant: &str) {
    let made =
        call(url, "POST", "/rewards/", admin, &json!({ "tenant": tenant, "reward_id": REWARD, "reward_points": 100 }));
    assert_eq!(
        (made.0, &made.1["reward_id"], &made.1["reward_points"]),
        (201, &json!(REWARD), &json!(100)),
        "{}",
        made.1
    );
    let bread = json!({
        "tenant": tenant, "fulfillment_id": BREAD, "name": "Lucky 100 bread", "product": "bread", "amount": 100.0,
    });
    let (status, made) = call(url, "POST", "/buy-fulfillments/", admin, &bread);
    assert_eq!((status, &made["fulfillment_id"], &made["amount"]), (201, &json!(BREAD), &json!(100)), "{made}");
    let campaign =
        json!({ "tenant": tenant, "name": "Lucky Guys Campaign", "fulfillments": [BREAD], "rewards": [REWARD] });
    let (status, made) = call(url, "POST", "/campaign", admin, &campaign);
    assert_eq!((status, &made["fulfillments"], &made["rewards"]), (200, &json!([BREAD]), &json!([REWARD])), "{made}");
    assert!(made["id"].is_string(), "{made}");
}

#[test]
fn a_client_of_loyaltea_walks_through() {
    let shop = Shop::start();
    let admin = shop.admin("meiwei");
    make_example(&shop.server.url, &admin, "meiwei");
    let (status, told) = shop.buy("meiwei", "e-1", USER, "bread", &json!(101));
    assert_eq!(status, 201, "{told}");
    let met = json!([{ "tenant": "meiwei", "userId": USER, "fulfillmentId": BREAD }]);
    let paid = json!([{ "tenant": "meiwei", "userId": USER, "rewardId": REWARD, "points": 100 }]);
    assert_eq!((&told["fulfillments"], &told["rewards"]), (&met, &paid), "{told}");
    let (_, rows) = shop.call("GET", "/user-rewards/", &admin, &Value::Null);
    assert_eq!(rows, json!([{ "tenant": "meiwei", "user_id": USER, "points": 100 }]));
    // The bound is included, and what is below it is nothing.
    for (id, amount, points) in [("e-2", json!(100), 200), ("e-3", json!(99.99), 200), ("e-4", json!("100.00"), 300)] {
        assert_eq!(shop.buy("meiwei", id, USER, "bread", &amount).0, 201);
        assert_eq!(shop.points(USER, &admin), points, "{id}");
    }
    // An event that comes again counts once, and is answered as it was.
    assert_eq!(shop.buy("meiwei", "e-1", USER, "bread", &json!(101)), (201, told));
    assert_eq!(shop.points(USER, &admin), 300);

    // A campaign of two, of which one is anything for 500, and one that something is done.
    let any = json!({ "tenant": "meiwei", "name": "Big", "product": "", "amount": 500 });
    let (_, any) = shop.call("POST", "/buy-fulfillments/", &admin, &any);
    let visit = json!({ "tenant": "meiwei", "name": "Visit", "tag": "visit" });
    let (status, visit) = shop.call("POST", "/tag-fulfillments/", &admin, &visit);
    assert_eq!((status, &visit["tag"]), (201, &json!("visit")), "{visit}");
    let (_, bonus) = shop.call("POST", "/rewards/", &admin, &json!({ "tenant": "meiwei", "reward_points": "7" }));
    let ids = [&any["fulfillment_id"], &visit["fulfillment_id"]];
    let both = json!({ "tenant": "meiwei", "name": "Both", "fulfillments": ids, "rewards": [bonus["reward_id"]] });
    assert_eq!(shop.call("POST", "/campaign", &admin, &both).0, 200);
    let (_, campaigns) = shop.call("GET", "/campaign", &admin, &Value::Null);
    let names: Vec<&Value> =
        campaigns["campaigns"].as_array().expect("a list").iter().map(|own| &own["name"]).collect();
    assert_eq!(names, ["Lucky Guys Campaign", "Both"]);
    let done = |id: &str| {
        let event = json!({ "eventId": id, "tenant": "meiwei", "userId": USER, "tag": "visit" });
        shop.call("POST", "/events/tag", &partner("meiwei"), &event)
    };
    let (status, told) = done("t-1");
    assert_eq!((status, &told["rewards"]), (201, &json!([])), "{told}");
    assert_eq!(done("t-2").1["rewards"], json!([]), "it is met once");
    let (_, told) = shop.buy("meiwei", "e-5", USER, "cake", &json!(500));
    assert_eq!(told["rewards"][0]["points"], 7, "{told}");
    assert_eq!(shop.points(USER, &admin), 307);

    // What is there is listed, shown, changed, renamed and removed.
    let (_, list) = shop.call("GET", "/buy-fulfillments/", &admin, &Value::Null);
    assert_eq!(list.as_array().map(Vec::len), Some(2), "{list}");
    let url = list[0]["url"].as_str().expect("an address").to_owned();
    let (_, shown) = shop.call("GET", &url, &admin, &Value::Null);
    assert_eq!((&shown, &shown["product"]), (&list[0], &json!("bread")));
    assert_eq!(done("t-3").0, 201);
    let path = format!("/tag-fulfillments/{}/", visit["fulfillment_id"].as_str().expect("an id"));
    let (status, changed) = shop.call("PATCH", &path, &admin, &json!({ "name": "Came by" }));
    assert_eq!((status, &changed["name"], &changed["tag"]), (200, &json!("Came by"), &json!("visit")), "{changed}");
    let (_, told) = shop.buy("meiwei", "e-6", USER, "cake", &json!(500));
    assert_eq!(told["rewards"][0]["points"], 7, "what was met before it was renamed is met: {told}");
    let (_, whole) = shop.call("PUT", &url, &admin, &json!({ "tenant": "meiwei", "name": "Loaf", "amount": 50 }));
    assert_eq!((&whole["name"], &whole["product"], &whole["amount"]), (&json!("Loaf"), &json!(""), &json!(50)));
    let (_, points) = shop.call("PATCH", &format!("/rewards/{REWARD}/"), &admin, &json!({ "reward_points": 150 }));
    assert_eq!(points["reward_points"], 150);
    let (_, unused) = shop.call("POST", "/rewards/", &admin, &json!({ "tenant": "meiwei", "reward_points": 1 }));
    let path = format!("/rewards/{}/", unused["reward_id"].as_str().expect("an id"));
    assert_eq!(shop.call("DELETE", &path, &admin, &Value::Null), (204, Value::Null));
    assert_eq!(shop.call("GET", &path, &admin, &Value::Null).0, 404);
    // A rule that was made natively is renamed as well, and what was done counts on.
    let (_, rules) = shop.call("GET", "/v1/catalogue?tenant=meiwei", &server_token(), &Value::Null);
    let mut rules = rules["catalogue"].clone();
    let visits = json!({ "name": "Two visits", "tag": { "tag": "came", "count": 2 } });
    rules["fulfillments"].as_array_mut().expect("a list").push(visits);
    let twice =
        json!({ "name": "Twice", "fulfillments": ["Two visits"], "rewards": [bonus["reward_id"]], "budget": 5 });
    rules["campaigns"].as_array_mut().expect("a list").push(twice);
    assert_eq!(shop.call("PUT", "/v1/catalogue?tenant=meiwei", &server_token(), &rules).0, 200);
    let came = |id: &str| {
        let event = json!({ "eventId": id, "tenant": "meiwei", "userId": USER, "tag": "came" });
        shop.call("POST", "/events/tag", &partner("meiwei"), &event).1["rewards"][0]["points"].clone()
    };
    assert_eq!(came("c-1"), Value::Null);
    let (_, list) = shop.call("GET", "/tag-fulfillments/", &admin, &Value::Null);
    let native = list.as_array().expect("a list").iter().find(|own| own["name"] == "Two visits").expect("it is there");
    let url = native["url"].as_str().expect("an address");
    let (_, renamed) = shop.call("PATCH", url, &admin, &json!({ "name": "Second visit" }));
    assert_eq!((&renamed["url"], &renamed["fulfillment_id"]), (&native["url"], &native["fulfillment_id"]));
    assert_eq!(came("c-2"), 7, "the first visit counts");
    let (_, rules) = shop.call("GET", "/v1/catalogue?tenant=meiwei", &server_token(), &Value::Null);
    assert!(rules["catalogue"]["campaigns"].to_string().contains("\"budget\":5"), "{rules}");
    // A UUID is one id, however it is written, and a partner asks for the points of a user whom it knows.
    let before = shop.points(USER, &admin).as_i64().expect("points");
    assert_eq!(shop.buy("meiwei", "e-7", &USER.to_uppercase(), "cake", &json!(60)).0, 201);
    assert_eq!(shop.points(&USER.replace('-', ""), &partner("meiwei")), before + 150);
    // Twenty at one time are made, all of them.
    let made: Vec<u16> = std::thread::scope(|scope| {
        let one = || {
            scope.spawn(|| shop.call("POST", "/rewards/", &admin, &json!({ "tenant": "meiwei", "reward_points": 3 })).0)
        };
        let all: Vec<_> = (0..20).map(|_| one()).collect();
        all.into_iter().map(|one| one.join().expect("it ends")).collect()
    });
    assert_eq!(made, vec![201; 20]);
    // A form is as good as JSON, and users are there before they buy.
    let (_, user) = shop.call("POST", "/user/", &admin, &json!({ "fullname": "Ann Lee", "username": "ann" }));
    let id = user["id"].as_str().expect("an id");
    assert_eq!((&user["fullname"], &user["username"]), (&json!("Ann Lee"), &json!("ann")));
    let (_, users) = shop.call("GET", "/user", &admin, &Value::Null);
    let mut ids: Vec<&str> =
        users["users"].as_array().expect("a list").iter().filter_map(|own| own["id"].as_str()).collect();
    ids.sort_unstable();
    let mut wanted = [USER, id];
    wanted.sort_unstable();
    assert_eq!(ids, wanted);
    let (_, page) = shop.call("GET", "/user?limit=1", &admin, &Value::Null);
    assert_eq!(page["users"].as_array().map(Vec::len), Some(1));
    shop.server.stop();
}

/// What Loyaltea let anybody do, or did wrong.
#[test]
fn a_rogue_finds_loyalteas_holes_closed() {
    let shop = Shop::start();
    let (admin, other) = (shop.admin("meiwei"), shop.admin("other"));
    make_example(&shop.server.url, &admin, "meiwei");
    make_example(&shop.server.url, &other, "other");
    let reward = json!({ "tenant": "meiwei", "reward_points": 1_000_000 });
    // Nobody reads or writes without saying who it is; partners and customers make no rules.
    for (who, expected) in
        [("", 401), ("Basic bm9ib2R5Om5vYm9keQ==", 401), ("Bearer x.y.z", 401), (&partner("meiwei"), 403)]
    {
        for (method, path) in [
            ("GET", "/rewards/"),
            ("POST", "/rewards/"),
            ("GET", "/campaign"),
            ("GET", "/user"),
            ("GET", "/user-rewards/"),
        ] {
            assert_eq!(shop.call(method, path, who, &reward).0, expected, "{who} {method} {path}");
        }
    }
    // Lists hold what is the caller's tenant's, and nothing of another's is made, changed, removed or shown.
    let (_, rewards) = shop.call("GET", "/rewards/", &admin, &Value::Null);
    assert_eq!((rewards.as_array().map(Vec::len), &rewards[0]["tenant"]), (Some(1), &json!("meiwei")));
    for (method, path, body) in [
        ("GET", "/rewards/?tenant=other".to_owned(), Value::Null),
        ("POST", "/rewards/".to_owned(), json!({ "tenant": "other", "reward_points": 5 })),
        ("GET", "/user-rewards/?tenant=other".to_owned(), Value::Null),
        ("POST", "/user/".to_owned(), json!({ "tenant": "other", "fullname": "a", "username": "a" })),
        ("DELETE", format!("/buy-fulfillments/{BREAD}/?tenant=other"), Value::Null),
    ] {
        let (status, told) = shop.call(method, &path, &admin, &body);
        assert!(matches!(status, 403 | 404), "{method} {path}: {status} {told}");
    }
    let moved = json!({ "tenant": "other", "reward_points": 5 });
    assert_eq!(shop.call("PATCH", &format!("/rewards/{REWARD}/"), &admin, &moved).0, 400);
    // An event of another tenant, with the same ids, does nothing here.
    let event = json!({ "eventId": "x-1", "tenant": "meiwei", "userId": USER, "product": "bread", "amount": 101 });
    assert_eq!(shop.call("POST", "/events/buy", &partner("other"), &event).0, 403);
    assert_eq!(shop.call("POST", "/events/buy", &basic("key-of-meiwei", "a-secret-that-is-none-of-it"), &event).0, 401);
    assert_eq!(shop.call("POST", "/events/buy", &basic("key-of-meiwei", ""), &event).0, 401, "a secret is asked for");
    assert_eq!(shop.call("POST", "/events/buy", &basic("no-such-key", "a-secret"), &event).0, 401);
    assert_eq!(shop.call("POST", "/events/buy", "", &event).0, 401);
    assert_eq!(shop.call("POST", "/events/buy", &admin, &event).0, 403);
    assert_eq!(shop.buy("other", "x-1", USER, "bread", &json!(101)).0, 201);
    assert_eq!(shop.call("GET", &format!("/user-rewards/{USER}/"), &admin, &Value::Null).0, 404);
    assert_eq!(shop.points(USER, &other), 100);
    // Whoever has a key and not its secret is told nothing of whose it is.
    let wrong = basic("key-of-meiwei", "a-secret-that-is-none-of-it");
    for (tenant, amount) in [("other", json!(1)), ("nobody", json!(1)), ("meiwei", json!(1.001))] {
        let event = json!({ "eventId": "w", "tenant": tenant, "userId": USER, "amount": amount });
        assert_eq!(shop.call("POST", "/events/buy", &wrong, &event).0, 401, "{tenant}");
    }
    // Events count once; with another content they are refused; without an id they are not taken.
    for _ in 0..3 {
        assert_eq!(shop.buy("meiwei", "x-1", USER, "bread", &json!(101)).0, 201);
    }
    assert_eq!(shop.buy("meiwei", "x-1", USER, "bread", &json!(102)).0, 409);
    let (status, told) = shop.call("POST", "/events/buy", &partner("meiwei"), &json!({ "tenant": "meiwei" }));
    assert_eq!(status, 400, "{told}");
    let nameless = json!({ "tenant": "meiwei", "userId": USER, "product": "bread", "amount": 101 });
    let (status, told) = shop.call("POST", "/events/buy", &partner("meiwei"), &nameless);
    assert!(status == 400 && told["message"].as_str().is_some_and(|text| text.starts_with("eventId")), "{told}");
    assert_eq!(shop.points(USER, &admin), 100);
    // Zero, negative, broken and too exact amounts are nothing.
    for (number, amount) in
        [json!(0), json!(-5), json!("x"), json!(1.001), json!(1e300), json!(null), json!([])].into_iter().enumerate()
    {
        let (status, told) = shop.buy("meiwei", &format!("y-{number}"), USER, "bread", &amount);
        assert!((400..500).contains(&status), "{amount}: {told}");
    }
    // So do tags, whatever letters are in the id.
    let tag = |id: &str, tag: &str| {
        let event = json!({ "eventId": id, "tenant": "meiwei", "userId": USER, "tag": tag });
        shop.call("POST", "/events/tag", &partner("meiwei"), &event).0
    };
    let long = "x".repeat(500);
    assert_eq!(
        [tag("\"t\u{e9}", "a"), tag("\"t\u{e9}", "a"), tag("\"t\u{e9}", "b"), tag(&long, "a")],
        [201, 201, 409, 201]
    );
    // Campaigns are of what is there, and of something.
    for (fulfillments, rewards) in [
        (json!([]), json!([REWARD])),
        (json!([BREAD]), json!([])),
        (json!([USER]), json!([REWARD])),
        (json!([BREAD]), json!([USER])),
        (json!("x"), json!([REWARD])),
    ] {
        let campaign = json!({ "tenant": "meiwei", "name": "Empty", "fulfillments": fulfillments, "rewards": rewards });
        let (status, told) = shop.call("POST", "/campaign", &admin, &campaign);
        assert!(matches!(status, 400 | 422) && told["message"].is_string(), "{status} {told}");
    }
    // What a campaign needs stays; nobody writes points; ids and tenants do not change; nothing is made twice.
    let (status, told) = shop.call("DELETE", &format!("/rewards/{REWARD}/"), &admin, &Value::Null);
    assert_eq!((status, &told["code"]), (422, &json!("catalogue_invalid")), "{told}");
    let points = json!({ "tenant": "meiwei", "user_id": USER, "points": 5 });
    for (method, path) in [("POST", "/user-rewards/".to_owned()), ("PUT", format!("/user-rewards/{USER}/"))] {
        assert_eq!(shop.call(method, &path, &admin, &points).0, 405);
    }
    // The form of ids that numbers make is nobody's to give, and what is an id is no number.
    let squatted =
        json!({ "tenant": "meiwei", "reward_id": "00000000-0000-0000-0000-000000000010", "reward_points": 5 });
    assert_eq!(shop.call("POST", "/rewards/", &admin, &squatted).0, 400);
    for key in ["00000000000000000000000000000002", "+2", "02"] {
        assert_eq!(shop.call("DELETE", &format!("/rewards/{key}/"), &admin, &Value::Null).0, 404, "{key}");
    }
    assert_eq!(shop.call("GET", "/user?limit=1&x=%ff", &admin, &Value::Null).0, 400);
    let twice = json!({ "tenant": "meiwei", "reward_id": REWARD, "reward_points": 5 });
    assert_eq!(shop.call("POST", "/rewards/", &admin, &twice).0, 400);
    let other_id = json!({ "reward_id": USER, "reward_points": 5 });
    assert_eq!(shop.call("PATCH", &format!("/rewards/{REWARD}/"), &admin, &other_id).0, 400);
    for points in [json!(0), json!(-1), json!(0.5), json!("many"), json!({})] {
        let (status, told) =
            shop.call("POST", "/rewards/", &admin, &json!({ "tenant": "meiwei", "reward_points": points }));
        assert!(status == 400 && told["reward_points"].is_array(), "{points}: {told}");
    }
    // A fulfillment that two campaigns ask for moves both.
    let second = json!({ "tenant": "meiwei", "name": "Second", "fulfillments": [BREAD], "rewards": [REWARD] });
    assert_eq!(shop.call("POST", "/campaign", &admin, &second).0, 200);
    let (_, told) = shop.buy("meiwei", "z-1", USER, "bread", &json!(101));
    assert_eq!(
        (told["fulfillments"].as_array().map(Vec::len), told["rewards"].as_array().map(Vec::len)),
        (Some(1), Some(2))
    );
    assert_eq!(shop.points(USER, &admin), 300);
    // Paths that are nobody's, broken bodies and names that are no text.
    for (method, path) in
        [("GET", "/rewards/1/2/"), ("GET", "/rewards/%ff/"), ("GET", "/events/other"), ("POST", "/events/buy/1")]
    {
        assert_eq!(shop.call(method, path, &admin, &Value::Null).0, 404, "{method} {path}");
    }
    assert_eq!(shop.call("GET", "/events/buy", &admin, &Value::Null).0, 405);
    shop.server.stop();
}
