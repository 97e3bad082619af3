//! Loyaltea: fulfillments, campaigns and rewards, behind four services, and the events that move them.
//!
//! [`rules`] reads and changes the rules, which [`fulfillments`], [`rewards`] and [`campaigns`] show as Loyaltea does; [`users`] are the
//! customers, [`events`] what they did, which `kafka` takes from there. [`fields`] reads bodies, [`answer`] is what answers look like.
//! What of Loyaltea is not here, and what differs on purpose, is in `docs/loyaltea.md`.

mod answer;
mod campaigns;
mod events;
mod fields;
mod fulfillments;
#[cfg(feature = "kafka")]
mod kafka;
mod rewards;
mod rules;
mod users;

use std::fmt;
#[cfg(feature = "kafka")]
use std::sync::{Arc, Mutex, PoisonError};

use hyper::body::Bytes;
use hyper::{Method, Request};
use kembali_http::{Adapter, Answer, Native};
#[cfg(feature = "kafka")]
use kembali_http::{Background, Stop, Work};

use self::answer::{Done, Refusal, Style};
use self::fields::Fields;
use self::fulfillments::Kind;
#[cfg(feature = "kafka")]
pub use self::kafka::{KafkaConfig, KafkaStartError};
use crate::call::Credentials;

/// A request that is under way.
type Call<'a> = crate::call::Call<'a, Refusal>;

/// The adapter of Loyaltea's clients, whatever their tenant: whoever calls is of one.
#[derive(Default)]
pub struct Loyaltea {
    /// Held while the rules are read, changed and applied.
    changes: futures_util::lock::Mutex<()>,
    /// Events from Kafka, until the server serves.
    #[cfg(feature = "kafka")]
    events: Mutex<Option<kafka::Events>>,
}

impl fmt::Debug for Loyaltea {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Loyaltea")
    }
}

/// What is asked of a list, or of one thing in it.
enum Ask<'a> {
    List,
    Create,
    Show(&'a str),
    /// True where fields that are not there become what they are by default, as `PUT` has it.
    Change(&'a str, bool),
    Delete(&'a str),
}

impl<'a> Ask<'a> {
    /// What a method asks of a path, as Django's view sets have it.
    fn of(method: &Method, key: Option<&'a str>) -> Option<Ask<'a>> {
        Some(match (key, method) {
            (None, &(Method::GET | Method::HEAD)) => Ask::List,
            (None, &Method::POST) => Ask::Create,
            (Some(key), &(Method::GET | Method::HEAD)) => Ask::Show(key),
            (Some(key), &Method::PUT) => Ask::Change(key, true),
            (Some(key), &Method::PATCH) => Ask::Change(key, false),
            (Some(key), &Method::DELETE) => Ask::Delete(key),
            _ => return None,
        })
    }
}

/// The methods that a path takes; `None` of one that is not there.
fn allowed(service: &str, key: Option<&str>) -> Option<&'static str> {
    Some(match (service, key) {
        ("events", Some("buy" | "tag")) => "POST",
        ("rewards" | "buy-fulfillments" | "tag-fulfillments", Some(_)) => "GET, HEAD, PUT, PATCH, DELETE",
        ("rewards" | "buy-fulfillments" | "tag-fulfillments" | "campaign" | "user", None) => "GET, HEAD, POST",
        ("user-rewards", _) => "GET, HEAD",
        _ => return None,
    })
}

impl Loyaltea {
    /// Takes events from Kafka as well.
    ///
    /// # Errors
    ///
    /// [`KafkaStartError`].
    #[cfg(feature = "kafka")]
    pub fn with_kafka(config: &KafkaConfig) -> Result<Loyaltea, KafkaStartError> {
        Ok(Loyaltea { events: Mutex::new(Some(kafka::Events::new(config)?)), ..Loyaltea::default() })
    }

    async fn answer(&self, request: &Request<Bytes>, native: Native<'_>) -> Result<Done, Refusal> {
        let query = fields::query(request.uri())?;
        let tenant = query.iter().find(|(name, _)| name == "tenant").map(|(_, value)| value.as_str());
        let call = Call::new(native, Credentials::of(request.headers()), tenant);
        let path = request.uri().path().trim_matches('/');
        let (service, key) = path.split_once('/').map_or((path, None), |(service, key)| (service, Some(key)));
        if key.is_some_and(|key| key.contains('/')) {
            return Err(Refusal::not_found());
        }
        let key = key.map(|key| crate::call::decoded(key).ok_or_else(Refusal::not_found)).transpose()?;
        let key = key.as_deref();
        let Some(allowed) = allowed(service, key) else { return Err(Refusal::not_found()) };
        let refused = || Err(Refusal::method(request.method(), allowed));
        let fields = || Fields::read(request.headers(), request.body());
        if let ("events", Some(event @ ("buy" | "tag"))) = (service, key) {
            return match (request.method(), event) {
                (&Method::POST, "buy") => events::buy(call, request.headers(), fields()?).await,
                (&Method::POST, _) => events::tag(call, request.headers(), fields()?).await,
                _ => refused(),
            };
        }
        // Whoever changes rules waits for whoever does so before, instead of beginning again and again.
        let _turn = if request.method().is_safe() { None } else { Some(self.changes.lock().await) };
        let Some(ask) = Ask::of(request.method(), key) else { return refused() };
        match (service, ask) {
            ("rewards", ask) => rewards::serve(call, ask, fields).await,
            ("buy-fulfillments", ask) => fulfillments::serve(Kind::Buy, call, ask, fields).await,
            ("tag-fulfillments", ask) => fulfillments::serve(Kind::Tag, call, ask, fields).await,
            ("user-rewards", Ask::List) => users::points(call, &query).await,
            ("user-rewards", Ask::Show(user)) => users::points_of(call, user).await,
            ("campaign", Ask::List) => campaigns::list(call).await,
            ("campaign", Ask::Create) => campaigns::create(call, fields()?).await,
            ("user", Ask::List) => users::list(call, &query).await,
            ("user", Ask::Create) => users::create(call, fields()?).await,
            ("user-rewards" | "campaign" | "user", Ask::Create | Ask::Change(..) | Ask::Delete(_)) => refused(),
            _ => Err(Refusal::not_found()),
        }
    }
}

impl Adapter for Loyaltea {
    fn takes(&self, path: &str) -> bool {
        let mut parts = path.split('/').skip(1);
        let service = parts.next().unwrap_or_default();
        let is_own = ["rewards", "user-rewards", "buy-fulfillments", "tag-fulfillments", "campaign", "user"];
        is_own.contains(&service) || (service == "events" && matches!(parts.next(), Some("buy" | "tag")))
    }

    fn serve<'a>(&'a self, request: Request<Bytes>, native: Native<'a>) -> Answer<'a> {
        // Campaigns, users and events are of services that were not written with Django.
        let path = request.uri().path().trim_start_matches('/');
        let is_django = !["campaign", "user/", "events"].iter().any(|own| path.starts_with(own)) && path != "user";
        let style = if is_django { Style::Django } else { Style::Plain };
        Box::pin(async move { answer::written(self.answer(&request, native).await, style) })
    }

    #[cfg(feature = "kafka")]
    fn work(self: Arc<Self>, background: Background, stop: Stop) -> Option<Work> {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some(Box::pin(events.run(background, stop)))
    }
}
