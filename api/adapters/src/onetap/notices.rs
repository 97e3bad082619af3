//! Notices: what happened to a customer, told at once by Socket.IO to whoever may know.
//!
//! A client connects with a token and says whom it waits for, by the event `id`; what happens to that customer comes as `notification`.
//! Told is what is durable, from the moment on at which somebody is connected: whoever must not miss anything follows `GET /v1/stream`.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::header::HeaderValue;
use hyper::{Request, Response, StatusCode};
use kembali_core::CustomerId;
use kembali_core::catalogue::Catalogue;
use kembali_core::event::{Event, Record};
use kembali_http::{Answer, Background, Stop};
use serde_json::Value;
use socketioxide::SocketIo;
use socketioxide::extract::{AckSender, Data, SocketRef, TryData};
use socketioxide::handler::ConnectHandler as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::Service as _;

use super::answer::Refusal;
use super::{Call, merchants, tiers};
use crate::call::Credentials;
use crate::rules::uuid;

/// Where Socket.IO is spoken.
const PATH: &str = "/socket.io";
/// Sockets that are connected at one time.
const SOCKETS_MAX: usize = 1_000;
/// Sockets of one account, and customers that one socket waits for.
const SOCKETS_OF_ONE_MAX: usize = 20;
const CUSTOMERS_MAX: usize = 100;
/// Sockets that begin in a second. One that has not said who it is within the time below is closed, so few of these are there.
const BEGUN_PER_SECOND: NonZeroU32 = NonZeroU32::new(100).unwrap();
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// How often it is looked whether tokens are still good.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// Bytes of what a client says, and what waits for one that reads slowly.
const MESSAGE_BYTES_MAX: u64 = 8 * 1024;
const WAITING_MAX: usize = 64;

/// Answers a request of Socket.IO's.
type Speak = Box<dyn Fn(Request<Bytes>) -> Answer<'static> + Send + Sync>;

/// Tells whoever waits.
pub(super) struct Notices {
    speak: Speak,
    io: SocketIo,
    begun: DefaultDirectRateLimiter,
    native: Arc<OnceLock<Background>>,
    /// Room for sockets.
    room: Arc<Semaphore>,
}

impl fmt::Debug for Notices {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Notices")
    }
}

/// Who is connected.
#[derive(Clone)]
struct Who {
    credentials: Credentials,
    account: String,
    merchant: String,
    /// What a customer may be called; anybody of the merchant's may be waited for where this is not there.
    own: Option<(String, String)>,
    /// Held for as long as the socket is.
    _room: Arc<OwnedSemaphorePermit>,
}

/// Why nobody is connected.
struct Unauthorized(&'static str);

impl fmt::Display for Unauthorized {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.0)
    }
}

impl Notices {
    /// Makes ready to tell the customers of some merchants.
    pub(super) fn new(merchants: &[String]) -> Notices {
        let (service, io) = SocketIo::builder()
            .req_path(PATH)
            .connect_timeout(CONNECT_TIME_MAX)
            .max_payload(MESSAGE_BYTES_MAX)
            .ws_max_message_size(MESSAGE_BYTES_MAX as usize)
            .ws_max_frame_size(MESSAGE_BYTES_MAX as usize)
            .max_buffer_size(WAITING_MAX)
            .build_svc();
        let native = Arc::<OnceLock<Background>>::default();
        let (merchants, room): (Arc<[String]>, _) = (merchants.into(), Arc::new(Semaphore::new(SOCKETS_MAX)));
        let (known, free) = (Arc::clone(&native), Arc::clone(&room));
        let enter = move |io: SocketIo, socket: SocketRef, TryData(auth): TryData<Value>| {
            let (native, merchants, room) = (Arc::clone(&known), Arc::clone(&merchants), Arc::clone(&free));
            async move {
                let room =
                    room.try_acquire_owned().map_err(|_| Unauthorized("too many are connected: try again later"))?;
                let token = auth.ok().and_then(|auth| auth["token"].as_str().map(str::to_owned));
                let bearer = token.map(|token| HeaderValue::try_from(format!("Bearer {token}")));
                let credentials = match bearer {
                    Some(Ok(bearer)) => Credentials::Authorization(bearer),
                    Some(Err(_)) => Credentials::None,
                    None => merchants::credentials(&socket.req_parts().headers),
                };
                let native = native.get().ok_or(Unauthorized("the server is not ready: try again"))?;
                let account = account(native, &credentials)
                    .await
                    .map_err(|_| Unauthorized("unauthorized: auth.token must be a token of the merchant's"))?;
                let text = |name: &str| account[name].as_str().map(str::to_owned);
                let merchant = text("tenant").filter(|tenant| merchants.contains(tenant));
                let merchant = merchant.ok_or(Unauthorized("unauthorized: the token is of no merchant here"))?;
                let account = text("id").unwrap_or_default();
                let is_same =
                    |other: &SocketRef| other.extensions.get::<Who>().is_some_and(|who| who.account == account);
                if SOCKETS_OF_ONE_MAX <= io.sockets().iter().filter(|other| is_same(other)).count() {
                    return Err(Unauthorized("too many of this account are connected"));
                }
                let own = text("customer").map(|customer| (customer, text("username").unwrap_or_default()));
                socket.extensions.insert(Who { credentials, account, merchant, own, _room: Arc::new(room) });
                Ok::<(), Unauthorized>(())
            }
        };
        let known = Arc::clone(&native);
        let connected = move |socket: SocketRef| {
            let native = Arc::clone(&known);
            async move {
                socket.on("id", move |socket: SocketRef, Data(customer): Data<String>, ack: AckSender| {
                    let native = Arc::clone(&native);
                    async move {
                        let room = match (native.get(), socket.extensions.get::<Who>()) {
                            (Some(native), Some(who)) if socket.rooms().len() < CUSTOMERS_MAX => {
                                who.room_of(native, &customer).await
                            }
                            _ => None,
                        };
                        let is_told = room.is_some();
                        if let Some(room) = room {
                            socket.join(room);
                        } else {
                            // Whoever is gone meanwhile hears nothing, here and below.
                            drop(socket.emit(
                                "unauthorized",
                                "there is no such customer, it is not yours, or there are too many",
                            ));
                        }
                        drop(ack.send(&is_told));
                    }
                });
            }
        };
        io.ns("/", connected.with(enter));
        let begun = RateLimiter::direct(Quota::per_second(BEGUN_PER_SECOND));
        let speak: Speak = Box::new(move |request| {
            let mut service = service.clone();
            Box::pin(async move {
                let answered = service.call(request.map(Full::new)).await;
                let (head, body) = answered.unwrap_or_else(|never| match never {}).into_parts();
                let body = body.collect().await.unwrap_or_else(|never| match never {});
                Response::from_parts(head, body.to_bytes())
            })
        });
        Notices { speak, io, begun, native, room }
    }

    pub(super) fn takes(path: &str) -> bool {
        path.strip_suffix('/').unwrap_or(path) == PATH
    }

    /// Speaks Socket.IO.
    pub(super) async fn serve(&self, request: Request<Bytes>) -> Response<Bytes> {
        let is_new = !request.uri().query().unwrap_or_default().split('&').any(|pair| pair.starts_with("sid="));
        if is_new && self.begun.check().is_err() {
            let mut response = Response::new(Bytes::from_static(b"too many begin at once"));
            *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
            return response;
        }
        (self.speak)(request).await
    }

    /// Tells whoever waits of what becomes durable, until it is told to stop.
    pub(super) async fn run(self: Arc<Self>, background: Background, mut stop: Stop) {
        let native = self.native.get_or_init(|| background);
        let engine = native.native().engine();
        let mut durable = engine.watch_durable();
        let mut position = *durable.borrow_and_update();
        let mut look = tokio::time::interval(LOOK_EVERY);
        loop {
            let head = *durable.borrow_and_update();
            // Nobody waits.
            if self.room.available_permits() == SOCKETS_MAX {
                position = head;
            }
            while position < head {
                position = position.next();
                match engine.record(position).await {
                    Ok(Some((record, rules))) => self.tell(&record, &rules).await,
                    Ok(None) => (),
                    Err(error) => tracing::error!("customers are not told of the record at {}: {error}", position.0),
                }
            }
            tokio::select! {
                biased;
                () = stop.told() => break,
                changed = durable.changed() => if changed.is_err() { break },
                _ = look.tick() => self.look(native).await,
            }
        }
        self.io.close().await;
    }

    async fn tell(&self, record: &Record, rules: &Catalogue) {
        let Some(customer) = record.body.customer else { return };
        for text in texts(record, rules) {
            for socket in self.io.within(room(&rules.slug, &id_text(customer))).sockets() {
                // One that reads too slowly would miss some, and not know: it is sent away, and comes again.
                if socket.emit("notification", &text).is_err() {
                    drop(socket.disconnect());
                }
            }
        }
    }

    /// Sends those away whose token is over.
    async fn look(&self, native: &Background) {
        for socket in self.io.sockets() {
            let who = socket.extensions.get::<Who>();
            let is_good = match &who {
                Some(who) => account(native, &who.credentials).await.is_ok(),
                None => false,
            };
            if !is_good {
                drop(socket.disconnect());
            }
        }
    }
}

impl Who {
    /// The room of a customer that this one may wait for.
    async fn room_of(&self, native: &Background, customer: &str) -> Option<String> {
        let id = match &self.own {
            Some((id, username)) if customer == id || customer.eq_ignore_ascii_case(username) => id.clone(),
            Some(_) => return None,
            None => {
                let call = Call::new(native.native(), self.credentials.clone(), Some(&self.merchant));
                merchants::customer_id(&call, customer).await.ok()?
            }
        };
        Some(room(&self.merchant, &id))
    }
}

fn room(merchant: &str, customer: &str) -> String {
    format!("{merchant}/{customer}")
}

fn id_text(customer: CustomerId) -> String {
    uuid(&format!("{:032x}", customer.0)).unwrap_or_else(|| unreachable!("32 digits are a UUID"))
}

async fn account(native: &Background, credentials: &Credentials) -> Result<Value, Refusal> {
    Call::new(native.native(), credentials.clone(), None).get_own("/v1/auth/me").await
}

/// Says what a record came to for its customer: nothing of what did not happen.
pub(super) fn texts(record: &Record, rules: &Catalogue) -> Vec<String> {
    let text = |event: &Event| match event {
        Event::SpendCounted(counted) => {
            let level = tiers::level_name(rules, &counted.after)?;
            match &counted.before {
                // Whoever comes for the first time stands somewhere.
                None => Some(format!("tier: {level}")),
                Some(before) if before.level != counted.after.level => Some(format!("tier upgrade: {level}")),
                Some(_) => None,
            }
        }
        Event::CashbackEarned(earned) => {
            let rule = rules.cashback_rules.iter().find(|own| own.id == earned.rule)?;
            Some(format!("cashback: {} points of {}", earned.points.minor_units(), rule.name))
        }
        _ => None,
    };
    record.body.events.iter().filter_map(text).collect()
}
