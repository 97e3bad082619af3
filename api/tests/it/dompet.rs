//! A client of Dompet Digital Sawit against the program: its README step by step, and its known holes.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::program::{OPERATOR_TOKEN, Server, call, run_well, sample};

const PASSWORD: &str = "a long password";
pub(crate) const SECRETS_KEY: &str = "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a";
/// The marketplace's key, and its secret.
pub(crate) const MARKETPLACE: (&str, &str) = ("key-of-blackdoctrine", "a-secret-of-blackdoctrine");

/// A server with Dompet's rules, and a key for its marketplace.
pub(crate) struct Shop {
    pub(crate) server: Server,
    _dir: Option<TempDir>,
}

impl Shop {
    fn start() -> Shop {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let shop = Shop::open(dir.path(), &[]);
        shop.set_up();
        Shop { _dir: Some(dir), ..shop }
    }

    /// Starts the server on a data directory, with some flags more.
    pub(crate) fn open(dir: &Path, more: &[&str]) -> Shop {
        let flags = ["--secrets-key", SECRETS_KEY, "--registration", "sawit", "--dompet-tenant", "sawit"];
        Shop { server: Server::start_with(dir, &[&flags[..], more].concat()), _dir: None }
    }

    /// Gives it its rules, and the marketplace its key.
    pub(crate) fn set_up(&self) {
        run_well(&["apply", "--yes", &sample("dompet.toml").to_string_lossy(), "--url", &self.server.url]);
        let given = json!({ "api_key": MARKETPLACE.0, "api_secret": MARKETPLACE.1 });
        let path = "/v1/partners/blackdoctrine/api-keys?tenant=sawit";
        assert_eq!(call(&self.server.url, "POST", path, &admin(), &given).0, 201);
    }

    /// Asks, and returns the whole answer.
    pub(crate) fn asked(&self, query: &str, variables: &Value, authorization: &str) -> Value {
        let body = json!({ "query": query, "variables": variables });
        let (status, answer) = call(&self.server.url, "POST", "/graphql", authorization, &body);
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// Asks, and returns what there is of a name.
    pub(crate) fn ask(&self, name: &str, query: &str, variables: &Value, authorization: &str) -> Value {
        let answer = self.asked(query, variables, authorization);
        assert!(answer["errors"].is_null(), "{query}: {answer}");
        answer["data"][name].clone()
    }

    /// Asks for what is refused, and returns why.
    pub(crate) fn refused(&self, query: &str, variables: &Value, authorization: &str) -> String {
        let answer = self.asked(query, variables, authorization);
        answer["errors"][0]["message"].as_str().unwrap_or_else(|| panic!("{query}: {answer}")).to_owned()
    }

    /// Registers somebody, and returns the token and the user's id.
    pub(crate) fn person(&self, name: &str) -> (String, String) {
        let who = json!({ "u": name, "f": format!("{name} Sawit"), "e": format!("{name}@gmail.com"), "p": PASSWORD });
        let register = "mutation($u: String!, $f: String!, $e: String!, $p: String!) { \
                        registerUser(username: $u, fullname: $f, email: $e, password: $p) }";
        assert_eq!(self.ask("registerUser", register, &who, ""), "Registrasi Berhasil");
        let login = "mutation($e: String!, $p: String!) { loginUser(email: $e, password: $p) { \
                     access_token token_type user { user_id username fullname email role } } }";
        let session = self.ask("loginUser", login, &json!({ "e": who["e"], "p": PASSWORD }), "");
        assert_eq!((&session["token_type"], &session["user"]["role"]), (&json!("bearer"), &json!("Nasabah")));
        assert_eq!(session["user"]["email"], who["e"]);
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        (text(&session["access_token"]), text(&session["user"]["user_id"]))
    }

    pub(crate) fn wallet(&self, token: &str, name: &str) -> String {
        let create = "mutation($n: String!) { createWallet(walletName: $n) { walletId walletName balance status } }";
        let wallet = self.ask("createWallet", create, &json!({ "n": name }), &format!("Bearer {token}"));
        assert_eq!(
            (&wallet["walletName"], &wallet["balance"], &wallet["status"]),
            (&json!(name), &json!(0.0), &json!("ACTIVE"))
        );
        wallet["walletId"].as_str().expect("an id").to_owned()
    }

    pub(crate) fn balance(&self, wallet: &str, token: &str) -> f64 {
        let wallets =
            self.ask("myWallets", "{ myWallets { walletId balance } }", &Value::Null, &format!("Bearer {token}"));
        let own = wallets.as_array().expect("wallets").iter().find(|own| own["walletId"] == wallet);
        own.and_then(|own| own["balance"].as_f64()).unwrap_or_else(|| panic!("{wallet} is not in {wallets}"))
    }

    /// Sends a bill as the marketplace.
    fn bill(&self, amount: f64) -> String {
        let bill = "mutation($a: Float!) { generateInvoiceVA(amount: $a, description: \"Order BlackDoctrine\") }";
        let number = self.ask("generateInvoiceVA", bill, &json!({ "a": amount }), &marketplace());
        number.as_str().expect("a number").to_owned()
    }
}

pub(crate) const MOVE: &str = "mutation($i: TransactionInput!) { createTransaction(input: $i) { \
                    transactionId userId walletId amount type vaNumber status createdAt } }";

pub(crate) fn admin() -> String {
    format!("Bearer {OPERATOR_TOKEN}")
}

fn marketplace() -> String {
    let basic = data_encoding::BASE64.encode(format!("{}:{}", MARKETPLACE.0, MARKETPLACE.1).as_bytes());
    format!("Basic {basic}")
}

pub(crate) fn movement(kind: &str, wallet: &str, amount: f64, more: &Value) -> Value {
    let mut input = json!({ "walletId": wallet, "amount": amount, "type": kind });
    more.as_object().into_iter().flatten().for_each(|(name, value)| input[name] = value.clone());
    json!({ "i": input })
}

#[test]
fn a_client_of_dompet_walks_through() {
    let shop = Shop::start();
    let (ann, user) = shop.person("ann");
    let (budi, _) = shop.person("budi");
    let own = format!("Bearer {ann}");
    let me = shop.ask(
        "myProfile",
        "query($t: String!) { myProfile(token: $t) { user_id email role } }",
        &json!({ "t": ann }),
        "",
    );
    assert_eq!(me, json!({ "user_id": user, "email": "ann@gmail.com", "role": "Nasabah" }));
    let (wallet, other) = (shop.wallet(&ann, "Belanja"), shop.wallet(&budi, "Budi"));
    assert_eq!(shop.balance(&wallet, &ann), 0.0);

    // The same address shows people where to try queries, and nothing else is done by GET.
    let page = ureq::get(format!("{}/graphql?query={{myWallets}}", shop.server.url)).call().expect("a page");
    assert!(page.headers()["content-security-policy"].to_str().is_ok_and(|own| own.starts_with("default-src 'none'")));
    assert!(page.into_body().read_to_string().expect("text").contains("/graphql/graphiql.js"));
    // Money comes in by whoever took it.
    let deposit = shop.ask("createTransaction", MOVE, &movement("DEPOSIT", &wallet, 100_000.0, &Value::Null), &admin());
    assert_eq!(
        (&deposit["status"], &deposit["type"], &deposit["amount"]),
        (&json!("SUCCESS"), &json!("DEPOSIT"), &json!(100_000.0))
    );
    // A bill is paid once, to the rupiah.
    let number = shop.bill(20_000.0);
    assert!(number.starts_with("DS-8800") && number.len() > 12, "{number}");
    let pay = |amount: f64| movement("PAYMENT", &wallet, amount, &json!({ "vaNumber": number }));
    assert_eq!(shop.refused(MOVE, &pay(19_999.0), &own), "Total harga tidak sesuai dengan tagihan VA");
    let paid = shop.ask("createTransaction", MOVE, &pay(20_000.0), &own);
    assert_eq!((&paid["status"], &paid["vaNumber"]), (&json!("SUCCESS"), &json!(number)));
    assert_eq!(shop.refused(MOVE, &pay(20_000.0), &own), "Transaksi Ditolak: Tagihan VA ini sudah lunas sebelumnya.");
    // A transfer arrives, and nothing is lost.
    let to = json!({ "destinationWalletId": other });
    let sent = shop.ask("createTransaction", MOVE, &movement("TRANSFER", &wallet, 30_000.0, &to), &own);
    assert_eq!(sent["status"], "SUCCESS");
    assert_eq!((shop.balance(&wallet, &ann), shop.balance(&other, &budi)), (50_000.0, 30_000.0));
    // Both see what moved, the newest first; a bill with its number.
    let rows = |token: &str| {
        let rows = shop.ask(
            "myTransactions",
            "{ myTransactions { type amount vaNumber status } }",
            &Value::Null,
            &format!("Bearer {token}"),
        );
        let row = |row: &Value| format!("{} {} {}", row["type"], row["amount"], row["vaNumber"]);
        rows.as_array().expect("rows").iter().map(row).collect::<Vec<_>>()
    };
    assert_eq!(
        rows(&ann),
        [
            "\"TRANSFER\" 30000.0 null".to_owned(),
            format!("\"PAYMENT\" 20000.0 \"{number}\""),
            "\"DEPOSIT\" 100000.0 null".to_owned()
        ]
    );
    assert_eq!(rows(&budi), ["\"TRANSFER\" 30000.0 null"]);
    // One that the other side does not take is refused, the money is back, and it is one row that says so.
    let frozen = shop.wallet(&budi, "Beku");
    let (customer, number) = frozen.rsplit_once(':').expect("an id of a wallet");
    let path = format!("/v1/customers/{customer}/wallets/{number}?tenant=sawit");
    assert_eq!(call(&shop.server.url, "PATCH", &path, &admin(), &json!({ "status": "frozen" })).0, 200);
    let to_frozen = movement("TRANSFER", &wallet, 1_000.0, &json!({ "destinationWalletId": frozen }));
    assert_eq!(shop.refused(MOVE, &to_frozen, &own), "Wallet tujuan dibekukan");
    assert_eq!(shop.balance(&wallet, &ann), 50_000.0);
    let newest = shop.ask("myTransactions", "{ myTransactions { amount status } }", &Value::Null, &own);
    assert_eq!(
        (newest.as_array().map(Vec::len), &newest[0], &newest[1]["status"]),
        (Some(4), &json!({ "amount": 1_000.0, "status": "REJECTED" }), &json!("SUCCESS"))
    );
    let history = shop.ask("myHistory", "{ myHistory { historyId transactionId type } }", &Value::Null, &own);
    assert_eq!(history.as_array().map(Vec::len), Some(4), "{history}");

    // What is looked at before money moves: the bounds are included, and every check is in the log.
    for (amount, expected) in [
        (10_000_000.0, None),
        (10_000_001.0, None),
        (50_000_000.0, None),
        (50_000_001.0, Some("Fraud Detected: Transaksi diblokir")),
    ] {
        let wanted = movement("DEPOSIT", &wallet, amount, &Value::Null);
        let answer = shop.asked(MOVE, &wanted, &admin());
        assert_eq!(answer["errors"][0]["message"].as_str(), expected, "{amount}: {answer}");
    }
    let check = "query($u: String!, $a: Float!) { checkFraud(userId: $u, amount: $a) { is_fraud status reason } }";
    for (amount, status, reason) in [
        (10_000_000.0, "SAFE", "Aman"),
        (10_000_001.0, "SUSPICIOUS", "Transaksi Besar > 10jt"),
        (50_000_001.0, "FRAUD", "Limit > 50jt"),
    ] {
        let checked = shop.ask("checkFraud", check, &json!({ "u": user, "a": amount }), &admin());
        assert_eq!(checked, json!({ "is_fraud": status == "FRAUD", "status": status, "reason": reason }));
    }
    let logs = "{ getFraudLogs { logId userId amount status reason } }";
    let logged = shop.ask("getFraudLogs", logs, &Value::Null, &admin());
    let newest: Vec<String> = logged
        .as_array()
        .expect("logs")
        .iter()
        .take(4)
        .map(|own| format!("{} {}", own["status"], own["reason"]))
        .collect();
    assert_eq!(
        newest,
        [
            "\"FRAUD\" \"Limit > 50jt\"",
            "\"SUSPICIOUS\" \"Transaksi Besar > 10jt\"",
            "\"SUSPICIOUS\" \"Transaksi Besar > 10jt\"",
            "\"SAFE\" \"Aman\""
        ]
    );
    let archive = "mutation($l: String!) { deleteFraudLog(logId: $l) }";
    shop.ask("deleteFraudLog", archive, &json!({ "l": logged[0]["logId"] }), &admin());
    let left = shop.ask("getFraudLogs", logs, &Value::Null, &admin());
    assert_eq!(left[0]["logId"], logged[1]["logId"]);
    // By hand, and many times at once.
    let by_hand = |name: &str, amount: f64| {
        let query = format!("mutation($w: String!, $a: Float!) {{ {name}(walletId: $w, amount: $a) {{ balance }} }}");
        shop.ask(name, &query, &json!({ "w": other, "a": amount }), &admin())["balance"].clone()
    };
    assert_eq!(
        (by_hand("topupWallet", 5_000.0), by_hand("deductWallet", 15_000.0)),
        (json!(35_000.0), json!(20_000.0))
    );
    let race = "mutation($w: String!, $n: Int!, $t: Float!, $d: Float!) { simulateRaceCondition(walletId: $w, iterations: $n, \
                topupAmount: $t, deductAmount: $d) { expectedBalance actualBalance hasRaceCondition message } }";
    let raced =
        shop.ask("simulateRaceCondition", race, &json!({ "w": other, "n": 100, "t": 500.0, "d": 300.0 }), &admin());
    assert_eq!(raced["hasRaceCondition"], false, "{raced}");
    assert_eq!(raced["expectedBalance"], raced["actualBalance"], "{raced}");
    assert_eq!(shop.balance(&other, &budi), raced["actualBalance"].as_f64().expect("a balance"));
    // An empty wallet is closed by its owner, and no other.
    let empty = shop.wallet(&ann, "Kosong");
    let delete = "mutation($w: String!) { deleteWallet(walletId: $w) { success message } }";
    let told = |wallet: &str| shop.ask("deleteWallet", delete, &json!({ "w": wallet }), &own);
    assert_eq!(told(&wallet), json!({ "success": false, "message": "Saldo wallet harus 0 sebelum dihapus" }));
    assert_eq!(told(&empty), json!({ "success": true, "message": "Wallet 'Kosong' berhasil dihapus" }));
    assert_eq!(told(&empty), json!({ "success": false, "message": "Wallet tidak ditemukan" }));
    shop.server.stop();
}

/// What Dompet let anybody do.
#[test]
fn a_rogue_finds_dompets_holes_closed() {
    let shop = Shop::start();
    let ((ann, _), (eve, _)) = (shop.person("ann"), shop.person("eve"));
    let (ann_wallet, eve_wallet) = (shop.wallet(&ann, "Ann"), shop.wallet(&eve, "Eve"));
    let eve = format!("Bearer {eve}");
    shop.ask("createTransaction", MOVE, &movement("DEPOSIT", &ann_wallet, 50_000.0, &Value::Null), &admin());
    // Nobody spends or looks at another's wallet, and nobody makes money.
    let to_eve = json!({ "destinationWalletId": eve_wallet });
    let number = shop.bill(10_000.0);
    for (input, why) in [
        (movement("TRANSFER", &ann_wallet, 10.0, &to_eve), "Wallet tidak ditemukan"),
        (movement("PAYMENT", &ann_wallet, 10_000.0, &json!({ "vaNumber": number })), "Wallet tidak ditemukan"),
        (movement("DEPOSIT", &eve_wallet, 10.0, &Value::Null), "Admin Only"),
        (
            movement("TRANSFER", &eve_wallet, 10.0, &Value::Null),
            "Transaksi Ditolak: destinationWalletId wajib diisi untuk tipe TRANSFER",
        ),
        (
            movement("TRANSFER", &eve_wallet, 10.0, &json!({ "destinationWalletId": ann_wallet })),
            "Saldo Tidak Mencukupi",
        ),
        (
            movement("TRANSFER", &eve_wallet, -10.0, &json!({ "destinationWalletId": ann_wallet })),
            "Jumlah harus positif",
        ),
        (movement("TRANSFER", &eve_wallet, 0.0, &json!({ "destinationWalletId": ann_wallet })), "Jumlah harus positif"),
        (
            movement("TRANSFER", &eve_wallet, 0.5, &json!({ "destinationWalletId": ann_wallet })),
            "Jumlah harus angka dengan paling banyak 0 desimal",
        ),
        (
            movement("PAYMENT", &eve_wallet, 10.0, &Value::Null),
            "Transaksi Ditolak: Nomor VA wajib diisi untuk tipe PAYMENT",
        ),
        (
            movement("PAYMENT", &eve_wallet, 10.0, &json!({ "vaNumber": "OFFLINE-17" })),
            "Transaksi Ditolak: Nomor VA tidak valid (Harus diawali 'DS-8800')",
        ),
        (movement("PAYMENT", &eve_wallet, 10.0, &json!({ "vaNumber": "DS-8800999999" })), "VA Not Found"),
        (
            movement("TRANSFER", &eve_wallet, 10.0, &json!({ "vaNumber": number })),
            "Transaksi Ditolak: Nomor VA hanya boleh diisi untuk tipe PAYMENT",
        ),
        (movement("TRANSFER", "../../accounts:0", 10.0, &to_eve), "Wallet tidak ditemukan"),
    ] {
        assert_eq!(shop.refused(MOVE, &input, &eve), why, "{input}");
    }
    assert_eq!(shop.balance(&ann_wallet, &ann), 50_000.0);
    let delete = "mutation($w: String!) { deleteWallet(walletId: $w) { success message } }";
    let told = shop.ask("deleteWallet", delete, &json!({ "w": ann_wallet }), &eve);
    assert_eq!(told, json!({ "success": false, "message": "Wallet tidak ditemukan" }));
    // What is for operators is for operators; nothing is for nobody.
    for (query, variables) in [
        ("{ getFraudLogs { logId } }", Value::Null),
        ("{ checkFraud(userId: \"x\", amount: 5) { status } }", Value::Null),
        ("mutation { deleteFraudLog(logId: \"1\") }", Value::Null),
        ("mutation($w: String!) { topupWallet(walletId: $w, amount: 5) { balance } }", json!({ "w": eve_wallet })),
        ("mutation($w: String!) { deductWallet(walletId: $w, amount: 5) { balance } }", json!({ "w": ann_wallet })),
    ] {
        let why = shop.refused(query, &variables, &eve);
        assert!(matches!(why.as_str(), "Admin Only" | "Wallet tidak ditemukan"), "{query}: {why}");
        assert_eq!(shop.refused(query, &variables, ""), "Tidak terautentikasi", "{query}");
    }
    for query in [
        "{ myWallets { walletId } }",
        "{ myTransactions { type } }",
        "{ myHistory { type } }",
        "mutation { createWallet(walletName: \"x\") { walletId } }",
    ] {
        assert_eq!(shop.refused(query, &Value::Null, ""), "Tidak terautentikasi", "{query}");
        assert_eq!(shop.refused(query, &Value::Null, "Bearer a.b.c"), "Invalid Token", "{query}");
    }
    // Bills are sent by marketplaces alone, and history stays.
    let bill = "mutation { generateInvoiceVA(amount: 5000) }";
    for who in ["", &eve] {
        assert!(!shop.refused(bill, &Value::Null, who).is_empty(), "{who}");
    }
    for query in ["mutation { deleteAllTransactions }", "mutation { deleteHistory(historyId: \"1\") }"] {
        assert_eq!(shop.refused(query, &Value::Null, &eve), "Riwayat tidak dapat dihapus");
    }
    let forged = "mutation { addHistory(input: { transactionId: \"1\", userId: \"1\", amount: 5, type: \"DEPOSIT\", status: \"SUCCESS\" }) }";
    assert_eq!(shop.refused(forged, &Value::Null, &admin()), "Riwayat ditulis oleh transaksi");
    // A bill is paid once, though many try at one time.
    let pay = movement("PAYMENT", &ann_wallet, 10_000.0, &json!({ "vaNumber": number }));
    let own = format!("Bearer {ann}");
    let answers: Vec<Value> = std::thread::scope(|scope| {
        let one = || scope.spawn(|| shop.asked(MOVE, &pay, &own));
        let all: Vec<_> = (0..8).map(|_| one()).collect();
        all.into_iter().map(|one| one.join().expect("it ends")).collect()
    });
    assert_eq!(answers.iter().filter(|own| own["errors"].is_null()).count(), 1, "{answers:?}");
    assert_eq!(shop.balance(&ann_wallet, &ann), 40_000.0);
    // The same operation under one key is done once; wrong passwords open nothing.
    let login = "mutation { loginUser(email: \"ann@gmail.com\", password: \"another password\") { access_token } }";
    assert_eq!(shop.refused(login, &Value::Null, ""), "Invalid Credentials");
    let twice = json!({ "u": "ann", "f": "Ann", "e": "ann@gmail.com", "p": PASSWORD });
    let register = "mutation($u: String!, $f: String!, $e: String!, $p: String!) { \
                    registerUser(username: $u, fullname: $f, email: $e, password: $p) }";
    assert_eq!(shop.refused(register, &twice, ""), "Email already registered");

    // Queries that are deep, wide, or nonsense.
    let wide: String = (0..300).map(|number| format!("a{number}: myWallets {{ walletId }} ")).collect();
    assert_eq!(shop.refused(&format!("{{ {wide} }}"), &Value::Null, &eve), "Query is too complex.");
    let costly: String = (0..5).map(|number| format!("a{number}: myTransactions {{ type }} ")).collect();
    assert_eq!(shop.refused(&format!("{{ {costly} }}"), &Value::Null, &eve), "Query is too complex.");
    let deep = format!("{{ __schema {{ types {}name{} }} }}", "{ fields { type ".repeat(20), " } }".repeat(20));
    let why = shop.refused(&deep, &Value::Null, &eve);
    assert!(why.contains("too deep") || why.contains("recursion"), "{why}");
    let circle = "query { ...a } fragment a on Query { ...b } fragment b on Query { ...a }";
    assert!(!shop.refused(circle, &Value::Null, &eve).is_empty());
    for nonsense in [
        "",
        "{",
        "{ nobody }",
        "' OR 1=1 --",
        "mutation { createTransaction(input: {}) { status } }",
        "{ myWallets { walletId }",
        "\u{0}",
    ] {
        assert!(!shop.refused(nonsense, &Value::Null, &eve).is_empty(), "{nonsense}");
    }
    for body in [json!([]), json!([{ "query": "{ myWallets { walletId } }" }]), json!("x"), json!({ "query": 5 })] {
        let (status, told) = call(&shop.server.url, "POST", "/graphql", &eve, &body);
        assert!(status == 400 && told["errors"][0]["message"].is_string(), "{body}: {status} {told}");
    }
    assert_eq!(call(&shop.server.url, "PUT", "/graphql", &eve, &json!({})).0, 405);
    let introspection = shop.asked(
        "{ __schema { queryType { name } types { name fields { name type { name ofType { name } } } } } }",
        &Value::Null,
        "",
    );
    assert!(introspection["errors"].is_null(), "{introspection}");
    shop.server.stop();
}
