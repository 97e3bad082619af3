//! Dompet's marketplace beside the program: its README step by step with both, and everything that can go wrong between them.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kembali_core::Seq;
use kembali_engine::{Delivery, DeliveryState, Engine, EngineConfig, OutboxChange};
use kembali_marketplace::{Dompet, Failure, Marketplace, Order};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::dompet::{MARKETPLACE, MOVE, SECRETS_KEY, Shop, admin, movement};
use crate::program::{OPERATOR_TOKEN, call};

const NOTICES: &str = "{ getMarketplaceNotices { noticeId vaNumber attempts status reason } }";
/// How long anything may take that must come.
const PATIENCE: Duration = Duration::from_secs(200);

fn open_marketplace() -> Marketplace {
    Marketplace::open(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port")
}

/// Starts the server beside a marketplace, and lets it send that one's bills.
fn beside(marketplace: &Marketplace, dir: &Path) -> Shop {
    let shop = Shop::open(dir, &["--dompet-marketplace", &marketplace.url()]);
    let (api_key, api_secret) = (MARKETPLACE.0.to_owned(), MARKETPLACE.1.to_owned());
    marketplace.bill_by(Dompet { url: format!("{}/graphql", shop.server.url), api_key, api_secret });
    shop
}

/// A marketplace, and a server with Dompet's rules beside it.
fn start() -> (Marketplace, TempDir, Shop) {
    let (marketplace, dir) = (open_marketplace(), tempfile::tempdir().expect("a temporary folder"));
    let shop = beside(&marketplace, dir.path());
    shop.set_up();
    (marketplace, dir, shop)
}

/// Asks the marketplace, and returns what there is of a name.
fn shop_at(marketplace: &Marketplace, name: &str, query: &str, variables: &Value, token: &str) -> Value {
    let url = marketplace.url();
    let (server, path) = url.split_at(url.len() - "/graphql".len());
    let (status, answer) = call(server, "POST", path, token, &json!({ "query": query, "variables": variables }));
    assert_eq!((status, &answer["errors"]), (200, &Value::Null), "{query}: {answer}");
    answer["data"][name].clone()
}

/// Registers at the marketplace, and returns a token.
fn buyer(marketplace: &Marketplace, email: &str) -> String {
    let who = json!({ "n": "Ann", "e": email, "p": "a password" });
    let register =
        "mutation($n: String!, $e: String!, $p: String!) { register(nama: $n, email: $e, password: $p) { id } }";
    shop_at(marketplace, "register", register, &who, "");
    let login = "mutation($e: String!, $p: String!) { login(email: $e, password: $p) { token user { nama } } }";
    let session = shop_at(marketplace, "login", login, &json!({ "e": email, "p": "a password" }), "");
    assert_eq!(session["user"]["nama"], "Ann");
    session["token"].as_str().expect("a token").to_owned()
}

/// Orders, and returns the order.
fn order(marketplace: &Marketplace, token: &str, quantity: u32) -> Value {
    let create =
        "mutation($i: OrderInput!) { createOrder(input: $i) { id totalHarga nomorVA status paymentStatus ongkir } }";
    let input =
        json!({ "productId": "kopi", "quantity": quantity, "alamatPengiriman": "Bandung", "metodePengiriman": "REG" });
    shop_at(marketplace, "createOrder", create, &json!({ "i": input }), &format!("Bearer {token}"))
}

/// A customer with money: the token as it is shown, and the wallet.
fn customer(shop: &Shop, name: &str, amount: f64) -> (String, String) {
    let (token, _) = shop.person(name);
    let wallet = shop.wallet(&token, "Belanja");
    shop.ask("createTransaction", MOVE, &movement("DEPOSIT", &wallet, amount, &Value::Null), &admin());
    (token, wallet)
}

fn payment(wallet: &str, ordered: &Value) -> Value {
    let amount = ordered["totalHarga"].as_f64().expect("an amount");
    movement("PAYMENT", wallet, amount, &json!({ "vaNumber": ordered["nomorVA"] }))
}

/// Waits until nothing is left to tell, as operators see it.
fn wait_until_told(shop: &Shop) {
    let start = Instant::now();
    let notices = || shop.ask("getMarketplaceNotices", NOTICES, &Value::Null, &admin());
    while notices() != json!([]) {
        assert!(start.elapsed() < PATIENCE, "{}", notices());
    }
}

fn are_all_shipped(orders: &[Order]) -> bool {
    orders.iter().all(|order| order.shipments > 0)
}

#[test]
fn a_customer_orders_and_pays() {
    let (marketplace, dir) = (open_marketplace(), tempfile::tempdir().expect("a temporary folder"));
    // While nobody sends bills, the marketplace makes numbers up that nobody can pay.
    let token = buyer(&marketplace, "ann@gmail.com");
    let offline = order(&marketplace, &token, 1);
    let shop = beside(&marketplace, dir.path());
    shop.set_up();
    let (ann, wallet) = customer(&shop, "ann", 500_000.0);
    let own = format!("Bearer {ann}");
    assert_eq!(
        shop.refused(MOVE, &payment(&wallet, &offline), &own),
        "Transaksi Ditolak: Nomor VA tidak valid (Harus diawali 'DS-8800')"
    );

    let ordered = order(&marketplace, &token, 4);
    assert_eq!(
        (&ordered["totalHarga"], &ordered["status"], &ordered["paymentStatus"]),
        (&json!(110_000.0), &json!("PENDING"), &json!("UNPAID"))
    );
    assert!(ordered["nomorVA"].as_str().is_some_and(|number| number.starts_with("DS-8800")), "{ordered}");
    let paid = shop.ask("createTransaction", MOVE, &payment(&wallet, &ordered), &own);
    assert_eq!((&paid["status"], &paid["amount"]), (&json!("SUCCESS"), &json!(110_000.0)));
    let heard = marketplace.wait_for(|orders| orders[1].shipments > 0, PATIENCE);
    assert_eq!((heard[0].shipments, heard[1].shipments), (0, 1));
    let look = "query($v: String!) { getOrderByVA(vaNumber: $v) { status paymentStatus nomorResi } }";
    let shown = shop_at(&marketplace, "getOrderByVA", look, &json!({ "v": ordered["nomorVA"] }), "");
    assert_eq!((&shown["status"], &shown["paymentStatus"]), (&json!("PROCESS"), &json!("PAID")));
    assert!(shown["nomorResi"].is_string(), "{shown}");
    // Again it is refused, and nothing is shipped again.
    assert_eq!(
        shop.refused(MOVE, &payment(&wallet, &ordered), &own),
        "Transaksi Ditolak: Tagihan VA ini sudah lunas sebelumnya."
    );
    assert_eq!(shop.balance(&wallet, &ann), 390_000.0);
    // The same request under its key is answered as before, whatever the marketplace says meanwhile.
    let ordered = order(&marketplace, &token, 5);
    let under_key = |wallet: &str| {
        let body = json!({ "query": MOVE, "variables": payment(wallet, &ordered) });
        let asked = ureq::post(format!("{}/graphql", shop.server.url)).header("Authorization", &own);
        let answer = asked.header("Idempotency-Key", "key-1").content_type("application/json").send(body.to_string());
        serde_json::from_reader::<_, Value>(answer.expect("an answer").into_body().into_reader()).expect("JSON")
    };
    let once = under_key(&wallet);
    assert_eq!(once["data"]["createTransaction"]["status"], "SUCCESS", "{once}");
    marketplace.fail(Failure::Refuses, 1);
    assert_eq!(under_key(&wallet), once);
    marketplace.fail(Failure::None, 1);
    assert_eq!(marketplace.wait_for(|orders| orders[2].shipments > 0, PATIENCE)[2].shipments, 1);
    // Only operators see what waits.
    for (query, who) in [(NOTICES, own.as_str()), ("mutation { retryMarketplaceNotice(noticeId: \"1\") }", &own)] {
        assert_eq!(shop.refused(query, &Value::Null, who), "Admin Only");
        assert_eq!(shop.refused(query, &Value::Null, ""), "Tidak terautentikasi");
    }
    // Nothing does.
    wait_until_told(&shop);
    shop.server.stop();
    assert_eq!(marketplace.orders()[1].shipments, 1);
}

/// The same by a client of that world: `api/tests/clients/dompet.mjs`.
#[test]
#[ignore = "needs node, and what api/tests/clients/package.json names; CI runs it"]
fn a_graphql_client_walks_through() {
    let (marketplace, _dir, shop) = start();
    let ran = std::process::Command::new("node")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/dompet.mjs"))
        .envs([("MARKETPLACE_URL", marketplace.url()), ("DOMPET_URL", format!("{}/graphql", shop.server.url))])
        .env("ADMIN_TOKEN", OPERATOR_TOKEN)
        .output()
        .expect("node runs");
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{said}");
    let shipped = marketplace.wait_for(are_all_shipped, PATIENCE);
    assert_eq!((shipped.len(), shipped[0].shipments), (1, 1));
    assert_eq!(String::from_utf8_lossy(&ran.stdout).trim(), shipped[0].va_number, "{said}");
    shop.server.stop();
}

/// Where the marketplace says nothing, or something else, no money moves.
#[test]
fn nothing_is_paid_that_the_marketplace_does_not_confirm() {
    let (marketplace, _dir, shop) = start();
    let (ann, wallet) = customer(&shop, "ann", 500_000.0);
    let own = format!("Bearer {ann}");
    let ordered = order(&marketplace, &buyer(&marketplace, "ann@gmail.com"), 1);
    let pay = payment(&wallet, &ordered);
    for (failure, why) in [
        (Failure::Refuses, "Marketplace Connection Error"),
        (Failure::Breaks, "Marketplace Connection Error"),
        (Failure::Loses, "Marketplace Connection Error"),
        (Failure::Babbles, "Marketplace Connection Error"),
        (Failure::Hangs, "Marketplace Connection Error"),
        (Failure::Forgets, "VA Not Found"),
    ] {
        marketplace.fail(failure, 1);
        // What it babbles is something else each time.
        for _ in 0..if failure == Failure::Babbles { 15 } else { 1 } {
            assert_eq!(shop.refused(MOVE, &pay, &own), why, "{failure:?}");
        }
    }
    // Who may not pay, or cannot, makes nobody ask.
    let before = marketplace.requests();
    let (eve, eve_wallet) = customer(&shop, "eve", 10.0);
    let eve = format!("Bearer {eve}");
    assert_eq!(shop.refused(MOVE, &pay, &eve), "Wallet tidak ditemukan");
    assert_eq!(shop.refused(MOVE, &pay, ""), "Tidak terautentikasi");
    assert_eq!(shop.refused(MOVE, &payment(&eve_wallet, &ordered), &eve), "Saldo Tidak Mencukupi");
    assert_eq!(marketplace.requests(), before);
    marketplace.fail(Failure::None, 1);
    assert_eq!(shop.balance(&wallet, &ann), 500_000.0);
    // A bill of the marketplace's that it does not know any more, and one that it holds for paid.
    let bill = "mutation { generateInvoiceVA(amount: 35000) }";
    let basic = data_encoding::BASE64.encode(format!("{}:{}", MARKETPLACE.0, MARKETPLACE.1).as_bytes());
    let unknown = shop.ask("generateInvoiceVA", bill, &Value::Null, &format!("Basic {basic}"));
    let of_unknown = payment(&wallet, &json!({ "totalHarga": 35_000.0, "nomorVA": unknown }));
    assert_eq!(shop.refused(MOVE, &of_unknown, &own), "VA Not Found");
    let told = "mutation($v: String!) { updatePaymentStatus(vaNumber: $v, status: \"PROCESSED\") }";
    shop_at(&marketplace, "updatePaymentStatus", told, &json!({ "v": ordered["nomorVA"] }), "");
    let refused = shop.refused(MOVE, &pay, &own);
    assert_eq!(refused, "Transaksi Ditolak: Tagihan VA ini sudah lunas sebelumnya.");
    assert_eq!(shop.balance(&wallet, &ann), 500_000.0);
    shop.server.stop();
}

/// Whatever fails and whoever is killed, each paid order is shipped, and once.
#[test]
fn each_paid_order_is_shipped_once() {
    let (marketplace, dir, mut shop) = start();
    let (ann, wallet) = customer(&shop, "ann", 5_000_000.0);
    let own = format!("Bearer {ann}");
    let token = buyer(&marketplace, "ann@gmail.com");
    let mut paid = BTreeSet::new();
    for (failure, every, is_waited_for) in [
        (Failure::Loses, 3, true),
        (Failure::Refuses, 2, false),
        (Failure::Breaks, 3, true),
        (Failure::Babbles, 3, false),
        (Failure::Forgets, 2, false),
        (Failure::Lags, 1, true),
    ] {
        let orders: Vec<Value> = (1..=4).map(|quantity| order(&marketplace, &token, quantity)).collect();
        marketplace.fail(failure, every);
        for ordered in &orders {
            let pay = payment(&wallet, ordered);
            // A customer tries again until it is done.
            let done = (0..20).map(|_| shop.asked(MOVE, &pay, &own)).find(|answer| answer["errors"].is_null());
            let done = done.unwrap_or_else(|| panic!("{failure:?}: {ordered} is not paid"));
            assert!(paid.insert(done["data"]["createTransaction"]["vaNumber"].to_string()), "{done}");
        }
        // Some of what it is to be told gets through although it fails, some only after the server was killed.
        if is_waited_for {
            marketplace.wait_for(are_all_shipped, PATIENCE);
        }
        shop.server.kill();
        marketplace.fail(Failure::None, 1);
        shop = beside(&marketplace, dir.path());
    }
    let orders = marketplace.wait_for(are_all_shipped, PATIENCE);
    assert_eq!((orders.len(), paid.len()), (24, 24));
    shop.server.stop();
    for order in marketplace.orders() {
        assert_eq!(order.shipments, 1, "{order:?}");
    }
}

/// What is given up is shown to operators, who have it tried again.
#[test]
fn what_is_given_up_is_tried_again_by_hand() {
    let (marketplace, dir, shop) = start();
    let (ann, wallet) = customer(&shop, "ann", 500_000.0);
    let ordered = order(&marketplace, &buyer(&marketplace, "ann@gmail.com"), 1);
    // The look before the payment passes; the one before the notice hangs until the server is gone.
    marketplace.fail(Failure::Hangs, marketplace.requests() + 2);
    let paid = shop.ask("createTransaction", MOVE, &payment(&wallet, &ordered), &format!("Bearer {ann}"));
    shop.server.kill();
    // A day later.
    let notice = Seq(paid["transactionId"].as_str().expect("an id").parse().expect("a position"));
    let put = vec![(notice, given_up("the marketplace answered with status 500"))];
    keep(dir.path(), OutboxChange { position: Some(notice), put, remove: Vec::new() });
    marketplace.fail(Failure::None, 1);
    let shop = beside(&marketplace, dir.path());
    let shown = shop.ask("getMarketplaceNotices", NOTICES, &Value::Null, &admin());
    assert_eq!(
        shown,
        json!([{ "noticeId": paid["transactionId"], "vaNumber": ordered["nomorVA"], "attempts": 150, "status": "FAILED",
                 "reason": "the marketplace answered with status 500" }])
    );
    assert_eq!(marketplace.orders()[0].shipments, 0);
    let retry = "mutation($n: String!) { retryMarketplaceNotice(noticeId: $n) }";
    let all = "mutation { retryFailedMarketplaceNotices }";
    for query in [all, "mutation { retryMarketplaceNotice(noticeId: \"1\") }"] {
        assert_eq!(shop.refused(query, &Value::Null, &format!("Bearer {ann}")), "Admin Only");
    }
    for unknown in ["0", "x", "-1", "99999999999999999999"] {
        assert_eq!(shop.ask("retryMarketplaceNotice", retry, &json!({ "n": unknown }), &admin()), false);
    }
    assert_eq!(shop.ask("retryMarketplaceNotice", retry, &json!({ "n": paid["transactionId"] }), &admin()), true);
    assert_eq!(marketplace.wait_for(are_all_shipped, PATIENCE)[0].shipments, 1);
    wait_until_told(&shop);
    shop.server.stop();
    // It is over for good.
    let shop = beside(&marketplace, dir.path());
    assert_eq!(shop.ask("getMarketplaceNotices", NOTICES, &Value::Null, &admin()), json!([]));
    assert_eq!(shop.ask("retryFailedMarketplaceNotices", all, &Value::Null, &admin()), 0);
    shop.server.stop();
    assert_eq!(marketplace.orders()[0].shipments, 1);
}

/// A profile store from after the ledger's end, as a restore of the ledger alone leaves it: nothing of what comes is passed over.
#[test]
fn an_outbox_that_is_ahead_of_the_ledger_begins_again() {
    let (marketplace, dir, shop) = start();
    let (ann, wallet) = customer(&shop, "ann", 500_000.0);
    let token = buyer(&marketplace, "ann@gmail.com");
    let first = order(&marketplace, &token, 1);
    shop.ask("createTransaction", MOVE, &payment(&wallet, &first), &format!("Bearer {ann}"));
    wait_until_told(&shop);
    shop.server.stop();
    keep(
        dir.path(),
        OutboxChange {
            position: Some(Seq(1_000_000)),
            put: vec![(Seq(999_999), given_up("it did not answer"))],
            remove: Vec::new(),
        },
    );
    let shop = beside(&marketplace, dir.path());
    let second = order(&marketplace, &token, 2);
    shop.ask("createTransaction", MOVE, &payment(&wallet, &second), &format!("Bearer {ann}"));
    marketplace.wait_for(are_all_shipped, PATIENCE);
    wait_until_told(&shop);
    shop.server.stop();
    assert_eq!(marketplace.orders().iter().map(|order| order.shipments).collect::<Vec<_>>(), [1, 1]);
}

/// What only the native API was asked to pay is told as well, where it is what the marketplace asks for.
#[test]
fn what_was_paid_by_the_native_api_is_told_if_it_is_the_order() {
    let (marketplace, _dir, shop) = start();
    let (ann, wallet) = customer(&shop, "ann", 500_000.0);
    let ordered = order(&marketplace, &buyer(&marketplace, "ann@gmail.com"), 1);
    let (id, number) = wallet.rsplit_once(':').expect("an id of a wallet");
    let path = format!("/v1/customers/{id}/wallets/{number}/payments");
    let paid = ureq::post(format!("{}{path}", shop.server.url))
        .header("Authorization", format!("Bearer {ann}"))
        .header("Idempotency-Key", "pay-1")
        .content_type("application/json")
        .send(json!({ "va_number": ordered["nomorVA"], "amount": 35_000 }).to_string())
        .expect("it is paid");
    assert_eq!(paid.status(), 201);
    assert_eq!(marketplace.wait_for(are_all_shipped, PATIENCE)[0].shipments, 1);
    shop.server.stop();
}

fn given_up(reason: &str) -> Delivery {
    let new = Delivery::new(None, kembali_core::Instant(0));
    Delivery { attempts: 150, state: DeliveryState::GivenUp, reason: reason.to_owned(), ..new }
}

/// Writes down what is kept of the outbox, as the server does.
fn keep(dir: &Path, change: OutboxChange) {
    let config = EngineConfig {
        data_dir: dir.to_path_buf(),
        shards: std::num::NonZeroUsize::MIN,
        installation_key: Some([7; 32]),
        secrets_key: Some([0x5a; 32]),
        resident_max: None,
        generation_bytes_max: 64 * 1024 * 1024,
        free_bytes: kembali_engine::free_bytes_of(dir),
        free_bytes_min: 0,
        clock: Arc::new(kembali_engine::now),
        monotonic: kembali_engine::monotonic(),
        on_fault: Box::new(|fault| panic!("no fault is planned: {fault:?}")),
    };
    assert_eq!(SECRETS_KEY, "5a".repeat(32));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (engine, _) = Engine::start(config).expect("it starts");
        engine.keep_outbox("dompet:sawit", change).await.expect("it is kept");
        engine.stop().await.expect("it stops well");
    });
}
