//! Loyaltea's events from Kafka, against the program and librdkafka's own mock brokers: real sockets, the real protocol. What a cluster of
//! many machines does beyond that is not tested.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Header, Headers as _, Message as _, OwnedHeaders};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer as _};
use serde_json::{Value, json};

use crate::loyaltea::{make_example, server_token};
use crate::program::{Server, call, run_well, sample};

type Mock = MockCluster<'static, DefaultProducerContext>;

/// How long the brokers may take for anything.
const PATIENCE: Duration = Duration::from_secs(60);

struct Kafka {
    cluster: Mock,
    producer: BaseProducer,
}

impl Kafka {
    fn start() -> Kafka {
        let cluster = MockCluster::new(1).expect("mock brokers");
        for topic in ["buy", "buy-set-aside"] {
            cluster.create_topic(topic, 3, 1).expect("a topic");
        }
        let producer =
            ClientConfig::new().set("bootstrap.servers", cluster.bootstrap_servers()).create().expect("a producer");
        Kafka { cluster, producer }
    }

    /// Sends events, spread over the partitions by their keys.
    fn send(&self, events: impl Iterator<Item = (String, Vec<u8>)>) {
        for (key, event) in events {
            self.producer.send(BaseRecord::to("buy").key(&key).payload(&event)).expect("it is taken");
        }
        self.producer.flush(PATIENCE).expect("they are there");
    }

    /// Reads so many events that were set aside: what they hold, and why.
    fn set_aside(&self, count: usize) -> BTreeMap<String, String> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.cluster.bootstrap_servers())
            .set("group.id", format!("whoever looks at {count}"))
            .set("auto.offset.reset", "earliest")
            .create()
            .expect("a consumer");
        consumer.subscribe(&["buy-set-aside"]).expect("the topic");
        let mut all = BTreeMap::new();
        let start = Instant::now();
        while all.len() < count {
            assert!(start.elapsed() < PATIENCE, "only {all:?}");
            // Nothing may mean that the group has not met yet.
            let Some(Ok(event)) = consumer.poll(Duration::from_millis(100)) else { continue };
            let reason = event.headers().and_then(|headers| headers.iter().find(|own| own.key == "kembali-reason"));
            let reason = reason.and_then(|own| own.value).map(|value| String::from_utf8_lossy(value).into_owned());
            let value = String::from_utf8_lossy(event.payload().unwrap_or_default()).into_owned();
            all.insert(value, reason.expect("a reason"));
        }
        all
    }

    /// Where an event that was set aside stood first.
    fn place_of(&self, value: &str) -> String {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.cluster.bootstrap_servers())
            .set("group.id", "whoever looks for a place")
            .set("auto.offset.reset", "earliest")
            .create()
            .expect("a consumer");
        consumer.subscribe(&["buy-set-aside"]).expect("the topic");
        let start = Instant::now();
        loop {
            assert!(start.elapsed() < PATIENCE, "{value} is not there");
            let Some(Ok(event)) = consumer.poll(Duration::from_millis(100)) else { continue };
            if event.payload() != Some(value.as_bytes()) {
                continue;
            }
            let place = event.headers().and_then(|headers| headers.iter().find(|own| own.key == "kembali-event"));
            return String::from_utf8_lossy(place.and_then(|own| own.value).expect("a place")).into_owned();
        }
    }

    fn server(&self, dir: &std::path::Path, group: &str) -> Server {
        let keys = ["meiwei", "other"].map(|tenant| format!("key-of-{tenant}:a-secret-of-{tenant}-and-more")).join(",");
        let (brokers, secrets) = (self.cluster.bootstrap_servers(), "5a".repeat(32));
        let flags = ["--loyaltea", "--loyaltea-kafka-brokers", &brokers, "--loyaltea-kafka-keys", &keys];
        let more = ["--loyaltea-kafka-group", group, "--secrets-key", &secrets];
        Server::start_with(dir, &[&flags[..], &more[..]].concat())
    }
}

/// Makes the two tenants, each with a partner, and the example of the README.
fn prepare(dir: &std::path::Path, others: &str) {
    let secrets = "5a".repeat(32);
    let server = Server::start_with(&dir.join("data"), &["--loyaltea", "--secrets-key", &secrets]);
    let rules = std::fs::read_to_string(sample("loyaltea.toml")).expect("the sample");
    for tenant in ["meiwei", "other"] {
        let file = dir.join(format!("{tenant}.toml"));
        let own = rules.replace("meiwei", tenant);
        let own = if tenant == "other" { own.replace("auto_create", others) } else { own };
        std::fs::write(&file, own).expect("it is written");
        run_well(&["apply", "--yes", &file.to_string_lossy(), "--url", &server.url]);
        let given =
            json!({ "api_key": format!("key-of-{tenant}"), "api_secret": format!("a-secret-of-{tenant}-and-more") });
        let path = format!("/v1/partners/events/api-keys?tenant={tenant}");
        assert_eq!(call(&server.url, "POST", &path, &server_token(), &given).0, 201);
        make_example(&server.url, &server_token(), tenant);
    }
    server.stop();
}

/// Waits until so many purchases of a tenant are accepted, and returns how many are.
fn accepted(server: &Server, tenant: &str, count: u64) -> u64 {
    let mut after = 0;
    loop {
        // The server answers once there is something behind that position, or says that it takes too long.
        let path = format!("/v1/reports/summary?tenant={tenant}&min_seq={after}");
        let (status, summary) = call(&server.url, "GET", &path, &server_token(), &Value::Null);
        if status == 200 {
            let accepted = summary["accepted"].as_u64().expect("a count");
            if count <= accepted {
                return accepted;
            }
            after = summary["as_of"].as_u64().expect("a position") + 1;
        }
    }
}

/// The points of each user.
fn points(server: &Server, tenant: &str) -> BTreeMap<String, i64> {
    let (status, rows) =
        call(&server.url, "GET", &format!("/user-rewards/?tenant={tenant}"), &server_token(), &Value::Null);
    assert_eq!(status, 200, "{rows}");
    let row =
        |row: &Value| (row["user_id"].as_str().expect("an id").to_owned(), row["points"].as_i64().expect("points"));
    rows.as_array().expect("rows").iter().map(row).collect()
}

fn event(tenant: &str, user: usize, amount: f64) -> Vec<u8> {
    json!({ "tenant": tenant, "userId": format!("u{user}"), "product": "bread", "amount": amount })
        .to_string()
        .into_bytes()
}

/// Each event counts once, whether the server is killed, or its place in Kafka is forgotten.
#[test]
fn each_event_counts_once_through_kills_and_lost_places() {
    let (dir, kafka) = (tempfile::tempdir().expect("a temporary folder"), Kafka::start());
    prepare(dir.path(), "auto_create");
    let data = dir.path().join("data");
    let mut wanted: BTreeMap<&str, BTreeMap<String, i64>> = BTreeMap::new();
    let events: Vec<(String, Vec<u8>)> = (0..3_000_usize)
        .map(|number| {
            let (tenant, user) = (if number % 3 == 0 { "other" } else { "meiwei" }, number % 41);
            let amount = if number % 5 == 0 { 99.99 } else { 100.5 };
            *wanted.entry(tenant).or_default().entry(format!("u{user}")).or_default() +=
                if number % 5 == 0 { 0 } else { 100 };
            (format!("u{user}"), event(tenant, user, amount))
        })
        .collect();
    let (early, late) = events.split_at(2_000);
    kafka.send(early.iter().cloned());
    let server = kafka.server(&data, "one");
    accepted(&server, "meiwei", 300);
    server.kill();
    kafka.send(late.iter().cloned());
    let server = kafka.server(&data, "one");
    accepted(&server, "meiwei", 1_000);
    server.kill();
    let server = kafka.server(&data, "one");
    assert_eq!((accepted(&server, "meiwei", 2_000), accepted(&server, "other", 1_000)), (2_000, 1_000));
    server.stop();
    // A group that Kafka knows nothing of begins with the oldest event.
    let server = kafka.server(&data, "another");
    kafka.send((0..30).map(|user| (format!("u{user}"), event("meiwei", user, 100.0))));
    assert_eq!(accepted(&server, "meiwei", 2_030), 2_030);
    for user in 0..30 {
        *wanted.entry("meiwei").or_default().entry(format!("u{user}")).or_default() += 100;
    }
    for (tenant, wanted) in &wanted {
        assert_eq!(points(&server, tenant), *wanted, "{tenant}");
    }
    server.stop();
}

/// An event that can never be booked is set aside with the reason, and stops no other.
#[test]
fn poison_is_set_aside_with_a_reason() {
    let (dir, kafka) = (tempfile::tempdir().expect("a temporary folder"), Kafka::start());
    prepare(dir.path(), "must_exist");
    let poison = [
        ("{", "event_malformed: The body must be a JSON object"),
        ("[]", "event_malformed: The body must be a JSON object"),
        ("", "event_malformed: The body must be a JSON object"),
        (r#"{"tenant":"meiwei","userId":"u1"}"#, "event_malformed: amount: This field is required."),
        (
            r#"{"tenant":"nobody","userId":"u1","amount":5}"#,
            "tenant_unknown: no key for events of the tenant nobody is configured",
        ),
        (
            r#"{"tenant":"meiwei","userId":"u1","amount":1.001}"#,
            "amount: A number with at most 2 decimal places is required.",
        ),
        (r#"{"tenant":"meiwei","userId":"u1","amount":-5}"#, "amount_not_positive: "),
        (r#"{"tenant":"meiwei","userId":"a@b@c","amount":5}"#, "customer_invalid: "),
    ];
    // Of this one the beginning is set aside: the whole of it may be larger than what may be sent.
    let giant = format!("{{\"more\":\"{}\"}}", "x".repeat(900_000));
    let good = |from: usize| (from..from + 20).map(|user| (format!("u{user}"), event("meiwei", user, 100.0)));
    kafka.send(good(0));
    kafka.send(poison.iter().map(|(text, _)| ("poison".to_owned(), text.as_bytes().to_vec())));
    kafka.send([("poison".to_owned(), giant.clone().into_bytes())].into_iter());
    kafka.send(good(20));
    let server = kafka.server(&dir.path().join("data"), "kembali");
    assert_eq!(accepted(&server, "meiwei", 40), 40);
    let set_aside = kafka.set_aside(poison.len() + 1);
    assert_eq!(
        set_aside.get(&giant[..4_096]).map(String::as_str),
        Some("event_too_large: it has more than 4096 bytes")
    );
    for (text, reason) in &poison {
        let told = set_aside.get(*text).unwrap_or_else(|| panic!("{text} is not there: {set_aside:?}"));
        assert!(told.starts_with(*reason), "{text}: {told}");
    }
    // A partner that is suspended has nothing set aside: its events wait until it is open again.
    let partner = "/v1/partners/events?tenant=meiwei";
    let suspended = json!({ "status": "suspended", "reason": "a look at it" });
    assert_eq!(call(&server.url, "PATCH", partner, &server_token(), &suspended).0, 200);
    kafka.send(good(40));
    kafka.send([("other".to_owned(), event("other", 1, 100.0))].into_iter());
    let open = json!({ "status": "active", "reason": "all is well" });
    assert_eq!(call(&server.url, "PATCH", partner, &server_token(), &open).0, 200);
    assert_eq!(accepted(&server, "meiwei", 60), 60);
    // Nobody of the other tenant is there, and its event is set aside as well. Sent again with its place, it counts once, though the
    // group is forgotten and the first one is looked at again.
    let all = kafka.set_aside(poison.len() + 2);
    let late = String::from_utf8(event("other", 1, 100.0)).expect("text");
    assert!(all.get(&late).is_some_and(|why| why.starts_with("customer_unknown: ")), "{all:?}");
    let path = "/v1/customers?tenant=other";
    assert_eq!(call(&server.url, "POST", path, &server_token(), &json!({ "ref": "u1" })).0, 201);
    let place = kafka.place_of(&late);
    let headers = OwnedHeaders::new().insert(Header { key: "kembali-event", value: Some(&place) });
    kafka.producer.send(BaseRecord::to("buy").key("again").payload(&late).headers(headers)).expect("it is taken");
    kafka.producer.flush(PATIENCE).expect("it is there");
    assert_eq!(accepted(&server, "other", 1), 1);
    server.stop();
    let server = kafka.server(&dir.path().join("data"), "a group that begins anew");
    kafka.send(
        [("u1".to_owned(), event("other", 1, 100.0)), ("again".to_owned(), event("other", 1, 100.0))].into_iter(),
    );
    assert_eq!(accepted(&server, "other", 3), 3);
    assert_eq!(points(&server, "other"), BTreeMap::from([("u1".to_owned(), 300)]));
    assert_eq!(accepted(&server, "meiwei", 60), 60);
    server.stop();
}
