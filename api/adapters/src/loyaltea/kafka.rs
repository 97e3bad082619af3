//! Events of the topic `buy`, from Kafka instead of requests.
//!
//! An event is a purchase whose origin id is its place in the topic. So the place is in the record that holds what came of it, behind one
//! sync, and an event is booked once whatever Kafka and this server repeat. What Kafka is told of the progress says where to begin
//! again, and nothing else hangs on it. An event that is refused is set aside in a topic of its own, with the reason and its place, and
//! keeps that place when it is sent again; where the ledger takes nothing now, nothing is set aside and the same events are tried again.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use hyper::header::HeaderValue;
use kembali_core::catalogue::Catalogue;
use kembali_http::{Background, Stop};
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{Consumer as _, ConsumerContext, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, Headers as _, Message as _, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{FutureProducer, FutureRecord};
use serde_json::Value;

use super::Call;
use super::answer::Refusal;
use super::events::Buy;
use super::fields::Fields;
use crate::call::Credentials;

const TOPIC: &str = "buy";
const SET_ASIDE: &str = "buy-set-aside";
/// How a place begins.
const PLACE_START: &str = "kafka:";
/// The headers of what is set aside: why, and where it stood first.
const REASON_HEADER: &str = "kembali-reason";
const PLACE_HEADER: &str = "kembali-event";
/// Events that are booked together.
const EVENTS_MAX: usize = 200;
/// Bytes of an event; one that is longer is set aside. So that those that are booked together fit into one request.
const EVENT_BYTES_MAX: usize = 4 * 1024;
/// How long to wait before the same events are tried again, at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));

/// Where events come from, and as whom they are booked.
#[derive(Clone)]
pub struct KafkaConfig {
    /// The brokers to begin with, `host:port` with commas between them.
    pub brokers: String,
    /// The consumer group.
    pub group: String,
    /// Keys of partners, one of each tenant; with a colon and its secret behind one that has a secret.
    pub keys: Vec<String>,
}

impl std::fmt::Debug for KafkaConfig {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "KafkaConfig({}, {})", self.brokers, self.group)
    }
}

/// Why events cannot be taken from Kafka.
#[derive(Debug, thiserror::Error)]
pub enum KafkaStartError {
    /// A key is no header.
    #[error("a key for events from Kafka has letters that no key has")]
    Key,
    /// What librdkafka says.
    #[error("taking events from Kafka: {0}")]
    Kafka(#[from] KafkaError),
}

/// Takes events and books them.
pub(super) struct Events {
    consumer: StreamConsumer<Logged>,
    producer: FutureProducer<Logged>,
    keys: Vec<Credentials>,
}

/// What librdkafka says goes into the log.
#[derive(Clone)]
struct Logged;

impl ClientContext for Logged {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Debug | RDKafkaLogLevel::Info | RDKafkaLogLevel::Notice => {
                tracing::debug!("kafka: {facility}: {message}");
            }
            _ => tracing::warn!("kafka: {facility}: {message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!("kafka: {error}: {reason}");
    }
}

impl ConsumerContext for Logged {}

/// Why events are not settled now.
type Later = String;

/// Rules of a tenant, and the key that its events are booked with.
type Tenant = Option<(Arc<Catalogue>, Credentials)>;

impl Events {
    /// Makes ready. Brokers that cannot be reached are tried until they can.
    pub(super) fn new(config: &KafkaConfig) -> Result<Events, KafkaStartError> {
        let keys: Result<Vec<_>, _> = config.keys.iter().map(|key| credentials(key)).collect();
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", &config.brokers).set("client.id", "kembali");
        let mut producer = client.clone();
        // Whoever waits for a topic that is not there is told so, and tries again.
        producer.set("acks", "all").set("enable.idempotence", "true").set("message.timeout.ms", "30000");
        client
            .set("group.id", &config.group)
            // Whoever comes for the first time, or whose place was forgotten, begins with the oldest: what was booked is known.
            .set("auto.offset.reset", "earliest")
            .set("enable.auto.offset.store", "false")
            // How long the partitions of a server that died wait for the next one.
            .set("session.timeout.ms", "10000")
            .set("queued.max.messages.kbytes", "16384");
        let consumer: StreamConsumer<Logged> = client.create_with_context(Logged)?;
        consumer.subscribe(&[TOPIC])?;
        Ok(Events { consumer, producer: producer.create_with_context(Logged)?, keys: keys? })
    }

    /// Books events until it is told to stop.
    pub(super) async fn run(self, background: Background, mut stop: Stop) {
        loop {
            let batch = tokio::select! {
                biased;
                () = stop.told() => break,
                batch = self.next_batch() => batch,
            };
            let (mut pause, mut settled) = (PAUSES.0, vec![false; batch.len()]);
            while let Err(why) = self.settle(&background, &batch, &mut settled).await {
                tracing::error!("events from Kafka wait, nothing of them is lost: {why}");
                tokio::select! {
                    biased;
                    () = stop.told() => return self.close().await,
                    () = tokio::time::sleep(pause) => pause = (pause * 2).min(PAUSES.1),
                }
            }
            for event in &batch {
                // Of a partition that another server has taken over, that one keeps the place.
                if let Err(error) = self.consumer.store_offset(event.topic(), event.partition(), event.offset()) {
                    tracing::debug!("kafka: {error}");
                }
            }
        }
        self.close().await;
    }

    /// Tells Kafka the last place and leaves the group. That waits for the broker.
    async fn close(self) {
        if let Err(error) = tokio::task::spawn_blocking(move || drop(self)).await {
            tracing::warn!("kafka: {error}");
        }
    }

    /// Waits for an event, and takes those that are there already with it.
    async fn next_batch(&self) -> Vec<OwnedMessage> {
        let mut batch = Vec::new();
        while batch.len() < EVENTS_MAX {
            let next =
                if batch.is_empty() { Some(self.consumer.recv().await) } else { self.consumer.recv().now_or_never() };
            match next {
                Some(Ok(event)) => batch.push(event.detach()),
                Some(Err(error)) => tracing::warn!("kafka: {error}"),
                None => break,
            }
        }
        batch
    }

    /// Books events, and sets those aside that are refused. Those that are settled are left.
    async fn settle(&self, background: &Background, batch: &[OwnedMessage], settled: &mut [bool]) -> Result<(), Later> {
        let mut tenants: HashMap<String, Tenant> = HashMap::new();
        let mut lines: BTreeMap<String, (Vec<usize>, String)> = BTreeMap::new();
        let mut set_aside: Vec<(usize, String)> = Vec::new();
        for (at, event) in batch.iter().enumerate().filter(|(at, _)| settled.get(*at) == Some(&false)) {
            let buy = match read(event) {
                Ok(buy) => buy,
                Err(reason) => {
                    set_aside.push((at, reason));
                    continue;
                }
            };
            if !tenants.contains_key(&buy.tenant) {
                tenants.insert(buy.tenant.clone(), self.tenant(background, &buy.tenant).await?);
            }
            let purchase = match tenants.get(&buy.tenant).and_then(Option::as_ref) {
                None => Err(format!("tenant_unknown: no key for events of the tenant {} is configured", buy.tenant)),
                Some((rules, _)) => buy.purchase(&origin_id(event), rules).map_err(|refusal| refusal.text()),
            };
            match purchase {
                Ok(purchase) => {
                    let (places, text) = lines.entry(buy.tenant).or_default();
                    places.push(at);
                    text.push_str(&purchase.to_string());
                    text.push('\n');
                }
                Err(reason) => set_aside.push((at, reason)),
            }
        }
        // Where one tenant's events must wait, those of the others need not.
        let mut later = None;
        for (tenant, (places, text)) in lines {
            let Some((_, credentials)) = tenants.remove(&tenant).flatten() else { continue };
            let call: Call<'_> = Call::new(background.native(), credentials, None);
            match call.book(text).await {
                Ok(said) => {
                    for (at, said) in places.into_iter().zip(&said) {
                        match refused(said) {
                            Ok(None) => mark(settled, at),
                            Ok(Some(reason)) => set_aside.push((at, reason)),
                            Err(why) => later = Some(why),
                        }
                    }
                }
                Err(refusal) => later = Some(format!("{tenant}: {}", refusal.text())),
            }
        }
        self.set_aside(batch, set_aside, settled).await?;
        // What was not answered is not settled either.
        match later {
            None if settled.contains(&false) => Err("some events were not answered".to_owned()),
            None => Ok(()),
            Some(why) => Err(why),
        }
    }

    /// Finds a tenant that events may be booked for.
    async fn tenant(&self, background: &Background, slug: &str) -> Result<Tenant, Later> {
        let engine = background.native().engine();
        let rules = engine.catalogue(slug, None).await.map_err(|error| error.to_string())?;
        let mut own: Tenant = None;
        for credentials in &self.keys {
            // A key that was revoked, or is not given yet, is of nobody knows whom: perhaps of this tenant.
            let caller = credentials.api_key().and_then(|key| engine.partner_of_key(key));
            let caller =
                caller.ok_or("a key for events is unknown to the ledger: give it, or take it out of the settings")?;
            let Some(rules) = rules.as_ref().filter(|rules| rules.tenant == caller.tenant) else { continue };
            // Places are known of each partner: another one would book them again.
            if own.replace((Arc::clone(rules), credentials.clone())).is_some() {
                return Err(format!("the tenant {slug} has two keys for events: take one out of the settings"));
            }
        }
        Ok(own)
    }

    async fn set_aside(
        &self,
        batch: &[OwnedMessage],
        events: Vec<(usize, String)>,
        settled: &mut [bool],
    ) -> Result<(), Later> {
        let Some((first, reason)) = events.first() else { return Ok(()) };
        let place = batch.get(*first).map(origin_id).unwrap_or_default();
        tracing::warn!("{} events are set aside in {SET_ASIDE}, the first of them {place}: {reason}", events.len());
        for (at, reason) in &events {
            let Some(event) = batch.get(*at) else { continue };
            let place = origin_id(event);
            let headers = OwnedHeaders::new()
                .insert(Header { key: REASON_HEADER, value: Some(reason) })
                .insert(Header { key: PLACE_HEADER, value: Some(&place) });
            let mut record = FutureRecord::<[u8], [u8]>::to(SET_ASIDE).headers(headers);
            // What is too large may be too large to be sent again: its place says where the whole of it is.
            let part = |bytes: &[u8]| bytes.len().min(EVENT_BYTES_MAX);
            record.key = event.key().map(|key| &key[..part(key)]);
            record.payload = event.payload().map(|value| &value[..part(value)]);
            self.producer.send(record, Duration::ZERO).await.map_err(|(error, _)| format!("{SET_ASIDE}: {error}"))?;
            mark(settled, *at);
        }
        Ok(())
    }
}

fn mark(settled: &mut [bool], at: usize) {
    if let Some(own) = settled.get_mut(at) {
        *own = true;
    }
}

fn credentials(key: &str) -> Result<Credentials, KafkaStartError> {
    match key.split_once(':') {
        Some((key, secret)) => Ok(Credentials::Secret(key.to_owned(), secret.to_owned())),
        None => Ok(Credentials::ApiKey(HeaderValue::try_from(key).map_err(|_| KafkaStartError::Key)?)),
    }
}

/// What names an event for ever: its place. The time tells apart what stands at one place of two topics of the same name, one after the
/// other. An event that was set aside and is sent again says where it stood first, and is the same.
fn origin_id(event: &OwnedMessage) -> String {
    let first = event.headers().and_then(|headers| headers.iter().find(|own| own.key == PLACE_HEADER)?.value);
    let first = first.and_then(|value| str::from_utf8(value).ok()).filter(|place| is_place(place));
    first.map_or_else(
        || {
            let time = event.timestamp().to_millis().unwrap_or_default();
            format!("{PLACE_START}{}/{}/{}@{time}", event.topic(), event.partition(), event.offset())
        },
        str::to_owned,
    )
}

/// Returns true of what this server may have written as a place.
fn is_place(text: &str) -> bool {
    let parts = text.strip_prefix(PLACE_START).map(|rest| rest.split(['/', '@']).collect::<Vec<_>>());
    let is_number = |part: &str| !part.is_empty() && part.len() <= 20 && part.bytes().all(|byte| byte.is_ascii_digit());
    matches!(parts.as_deref(), Some([TOPIC, partition, offset, time]) if [partition, offset, time].into_iter().all(|part| is_number(part)))
}

/// Reads an event.
///
/// # Errors
///
/// Why it is none.
fn read(event: &OwnedMessage) -> Result<Buy, String> {
    let value = event.payload().ok_or("event_malformed: it has no value")?;
    if EVENT_BYTES_MAX < value.len() {
        return Err(format!("event_too_large: it has more than {EVENT_BYTES_MAX} bytes"));
    }
    let malformed = |refusal: Refusal| format!("event_malformed: {}", refusal.text());
    let mut fields = Fields::of_json(value).map_err(malformed)?;
    let buy = Buy::take(&mut fields);
    fields.check().map_err(malformed)?;
    Ok(buy)
}

/// Why a line was refused for ever; `None` of one that is booked.
///
/// # Errors
///
/// Why it was not booked now.
fn refused(said: &Value) -> Result<Option<String>, Later> {
    let reason = || {
        let text = |name: &str| said["problem"][name].as_str().unwrap_or_default();
        format!("{}: {} {}", text("code"), text("title"), text("detail"))
    };
    match said["status"].as_u64().unwrap_or_default() {
        200..300 => Ok(None),
        429 => Err(reason()),
        400..500 => Ok(Some(reason())),
        _ => Err(reason()),
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::message::Timestamp;
    use serde_json::json;

    use super::*;

    fn event(value: Option<&[u8]>) -> OwnedMessage {
        with_headers(value, None)
    }

    fn with_headers(value: Option<&[u8]>, headers: Option<OwnedHeaders>) -> OwnedMessage {
        let (value, time) = (value.map(<[u8]>::to_vec), Timestamp::CreateTime(1_700_000_000_123));
        OwnedMessage::new(value, None, "buy".to_owned(), time, 2, 77, headers)
    }

    #[test]
    fn an_event_is_named_by_its_place_and_read_or_refused_with_a_reason() {
        let place = "kafka:buy/2/77@1700000000123";
        assert_eq!(origin_id(&event(None)), place);
        let again = |said: &str| {
            let headers = OwnedHeaders::new().insert(Header { key: PLACE_HEADER, value: Some(said) });
            origin_id(&with_headers(None, Some(headers)))
        };
        assert_eq!(again("kafka:buy/0/5@1600000000000"), "kafka:buy/0/5@1600000000000");
        for odd in
            ["", "kafka:", "kafka:buy/0/5", "kafka:other/0/5@1", "kafka:buy/0/-5@1", "buy/0/5@1", "kafka:buy/0/5@1/2"]
        {
            assert_eq!(again(odd), place, "{odd}");
        }
        let good = br#"{"tenant":"meiwei","userId":"u","product":"bread","amount":101,"more":[1]}"#;
        assert_eq!(read(&event(Some(good))).map(|buy| buy.tenant), Ok("meiwei".to_owned()));
        let long = format!("{{\"more\":\"{}\"}}", "x".repeat(EVENT_BYTES_MAX));
        for (value, reason) in [
            (None, "event_malformed: it has no value"),
            (Some(&b"{"[..]), "event_malformed: The body must be a JSON object"),
            (Some(b"\xff\xfe"), "event_malformed: The body must be a JSON object"),
            (Some(br#"{"tenant":"a","userId":"u"}"#), "event_malformed: amount: This field is required."),
            (Some(long.as_bytes()), "event_too_large: it has more than 4096 bytes"),
        ] {
            assert_eq!(read(&event(value)).map(|buy| buy.tenant), Err(reason.to_owned()));
        }
    }

    #[test]
    fn only_what_can_never_be_booked_is_set_aside() {
        let said = |status: u16| json!({ "status": status, "problem": { "code": "c", "title": "t", "detail": "d" } });
        assert_eq!(refused(&said(201)), Ok(None));
        for status in [400, 404, 409, 422] {
            assert_eq!(refused(&said(status)), Ok(Some("c: t d".to_owned())), "{status}");
        }
        for status in [429, 500, 503, 0] {
            assert_eq!(refused(&said(status)), Err("c: t d".to_owned()), "{status}");
        }
    }
}
