//! Notices: what happened to a customer, told at once by Socket.IO to whoever may know.
//!
//! A client connects with a token and says whom it waits for, by the event `id`; what happens to that customer comes as `notification`.
//! Told is what is durable, from the moment on at which somebody is connected: whoever must not miss anything follows `GET /v1/stream`.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::header::{HeaderValue, RETRY_AFTER};
use hyper::{Request, Response, StatusCode};
use kembali_core::CustomerId;
use kembali_core::catalogue::Catalogue;
use kembali_core::event::{Event, Record};
use kembali_http::{Answer, Background, Stop};
use serde_json::Value;
use socketioxide::SocketIo;
use socketioxide::extract::{AckSender, Data, SocketRef, TryData};
use socketioxide::handler::ConnectHandler as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::MissedTickBehavior;
use tower::Service as _;

use super::answer::Refusal;
use super::{Call, merchants, tiers};
use crate::call::Credentials;
use crate::rules::uuid;

/// Where Socket.IO is spoken.
const PATH: &str = "/socket.io";
/// Clients at one time, whatever they have said yet.
pub(super) const CLIENTS_MAX: usize = 1_000;
/// Clients of one account, and customers that one client waits for.
const CLIENTS_OF_ONE_MAX: usize = 20;
const CUSTOMERS_MAX: usize = 100;
/// Clients that begin in a second: of all addresses, and of one. Whoever has not said who it is within the time below is sent away.
const BEGUN_PER_SECOND: (NonZeroU32, NonZeroU32) = (NonZeroU32::new(100).unwrap(), NonZeroU32::new(50).unwrap());
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// How often it is looked whether tokens are still good, and whether those who are behind can be sent away.
const LOOK_EVERY: Duration = Duration::from_secs(30);
const LOOK_BEHIND_EVERY: Duration = Duration::from_secs(1);
/// Bytes of what a client says, and notices that wait for one that reads slowly.
const MESSAGE_BYTES_MAX: u64 = 8 * 1024;
const WAITING_MAX: usize = 512;

/// Answers a request of Socket.IO's.
type Speak = Box<dyn Fn(Request<Bytes>) -> Answer<'static> + Send + Sync>;

/// Tells whoever waits.
pub(super) struct Notices {
    speak: Speak,
    io: SocketIo,
    begun: DefaultDirectRateLimiter,
    begun_by: DefaultKeyedRateLimiter<IpAddr>,
    native: Arc<OnceLock<Background>>,
    /// Room for clients.
    room: Arc<Semaphore>,
    accounts: Arc<Accounts>,
    stopping: watch::Sender<bool>,
}

/// How many clients each account has.
type Accounts = Mutex<HashMap<String, usize>>;

/// A client, from its first request to its end. It lies with that request, which the library keeps for as long as the client is there.
struct Client {
    /// Whose it is, once it has said so.
    account: Mutex<Option<String>>,
    accounts: Arc<Accounts>,
    _room: OwnedSemaphorePermit,
}

// What these locks guard is never half-changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Client {
    /// Makes it an account's, if that has not too many, and it is nobody else's.
    fn claim(&self, account: &str) -> Result<(), Unauthorized> {
        let mut own = lock(&self.account);
        match own.as_deref() {
            Some(known) if known == account => return Ok(()),
            Some(_) => return Err(Unauthorized("this connection is of another account")),
            None => (),
        }
        let mut accounts = lock(&self.accounts);
        let count = accounts.entry(account.to_owned()).or_default();
        if CLIENTS_OF_ONE_MAX <= *count {
            return Err(Unauthorized("too many of this account are connected"));
        }
        *count += 1;
        *own = Some(account.to_owned());
        Ok(())
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let Some(account) = lock(&self.account).take() else { return };
        let mut accounts = lock(&self.accounts);
        if let Some(count) = accounts.get_mut(&account) {
            *count -= 1;
            if *count == 0 {
                accounts.remove(&account);
            }
        }
    }
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
    merchant: String,
    /// What a customer may be called; anybody of the merchant's may be waited for where this is not there.
    own: Option<(String, String)>,
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
        let merchants: Arc<[String]> = merchants.into();
        let known = Arc::clone(&native);
        let enter = move |socket: SocketRef, TryData(auth): TryData<Value>| {
            let (native, merchants) = (Arc::clone(&known), Arc::clone(&merchants));
            async move {
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
                let client = socket.req_parts().extensions.get::<Arc<Client>>();
                let client = client.ok_or(Unauthorized("the connection has no beginning"))?;
                client.claim(&text("id").unwrap_or_default())?;
                let own = text("customer").map(|customer| (customer, text("username").unwrap_or_default()));
                socket.extensions.insert(Who { credentials, merchant, own });
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
                            (Some(native), Some(who)) => who.room_of(native, &customer).await,
                            _ => None,
                        };
                        // Looked at again: others may have come in between.
                        let room = room.filter(|_| socket.rooms().len() < CUSTOMERS_MAX);
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
        let begun = RateLimiter::direct(Quota::per_second(BEGUN_PER_SECOND.0));
        let begun_by = RateLimiter::keyed(Quota::per_second(BEGUN_PER_SECOND.1));
        let speak: Speak = Box::new(move |request| {
            let mut service = service.clone();
            Box::pin(async move {
                let answered = service.call(request.map(Full::new)).await;
                let (head, body) = answered.unwrap_or_else(|never| match never {}).into_parts();
                let body = body.collect().await.unwrap_or_else(|never| match never {});
                Response::from_parts(head, body.to_bytes())
            })
        });
        let room = Arc::new(Semaphore::new(CLIENTS_MAX));
        let (accounts, stopping) = (Arc::default(), watch::Sender::new(false));
        Notices { speak, io, begun, begun_by, native, room, accounts, stopping }
    }

    pub(super) fn takes(path: &str) -> bool {
        path.strip_suffix('/').unwrap_or(path) == PATH
    }

    /// Speaks Socket.IO.
    pub(super) async fn serve(&self, mut request: Request<Bytes>, peer: IpAddr) -> Response<Bytes> {
        let is_new = !request.uri().query().unwrap_or_default().split('&').any(|pair| pair.starts_with("sid="));
        if is_new {
            let is_late = self.begun_by.check_key(&peer).is_err() || self.begun.check().is_err();
            let room = Arc::clone(&self.room).try_acquire_owned().ok().filter(|_| !is_late);
            let Some(room) = room else { return later("too many clients begin, or are there") };
            let (account, accounts) = (Mutex::default(), Arc::clone(&self.accounts));
            request.extensions_mut().insert(Arc::new(Client { account, accounts, _room: room }));
        }
        let mut stopping = self.stopping.subscribe();
        tokio::select! {
            response = (self.speak)(request) => response,
            // A long poll is not waited for.
            _ = stopping.wait_for(|is_stopping| *is_stopping) => later("the server stops"),
        }
    }

    /// Tells whoever waits of what becomes durable, until it is told to stop.
    pub(super) async fn run(self: Arc<Self>, background: Background, mut stop: Stop) {
        let native = self.native.get_or_init(|| background);
        let engine = native.native().engine();
        let mut durable = engine.watch_durable();
        let mut position = *durable.borrow_and_update();
        let (mut look, mut look_behind) = (tokio::time::interval(LOOK_EVERY), tokio::time::interval(LOOK_BEHIND_EVERY));
        look_behind.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut behind = Vec::new();
        loop {
            let head = *durable.borrow_and_update();
            // Nobody waits.
            if self.room.available_permits() == CLIENTS_MAX {
                position = head;
            }
            while position < head {
                position = position.next();
                match engine.record(position).await {
                    Ok(Some((record, rules))) => self.tell(&record, &rules, &mut behind),
                    Ok(None) => (),
                    Err(error) => tracing::error!("customers are not told of the record at {}: {error}", position.0),
                }
            }
            tokio::select! {
                biased;
                () = stop.told() => break,
                _ = look.tick() => self.look(native, &mut behind).await,
                _ = look_behind.tick(), if !behind.is_empty() => (),
                changed = durable.changed() => if changed.is_err() { break },
            }
            // It works once they have read something; those who never do are found by their silence.
            behind.retain(|socket: &SocketRef| socket.connected() && socket.clone().disconnect().is_err());
        }
        self.stopping.send_replace(true);
        self.io.close().await;
    }

    fn tell(&self, record: &Record, rules: &Catalogue, behind: &mut Vec<SocketRef>) {
        let Some(customer) = record.body.customer else { return };
        for text in texts(record, rules) {
            for socket in self.io.within(room(&rules.slug, &id_text(customer))).sockets() {
                // One that reads too slowly would miss some, and not know: it hears no more, is sent away, and comes again.
                if socket.emit("notification", &text).is_err() {
                    socket.leave_all();
                    behind.push(socket);
                }
            }
        }
    }

    /// Sends those away whose token is over.
    async fn look(&self, native: &Background, behind: &mut Vec<SocketRef>) {
        self.begun_by.retain_recent();
        for socket in self.io.sockets() {
            let who = socket.extensions.get::<Who>();
            let is_good = match &who {
                Some(who) => account(native, &who.credentials).await.is_ok(),
                None => false,
            };
            if !is_good {
                socket.leave_all();
                behind.push(socket);
            }
        }
    }
}

fn later(why: &'static str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(why.as_bytes()));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
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
