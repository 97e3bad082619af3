//! onetap: tiers by what was spent and cashbacks, of merchants that each are a tenant.
//!
//! [`tiers`] and [`cashbacks`] show and change the rules, [`orders`] books what was bought, [`notices`] tells customers of it,
//! [`merchants`] is who changes what.
//! [`answer`] is what answers look like, [`fields`] reads bodies. What of onetap is not here, and what differs on purpose, is in
//! `docs/onetap.md`.

mod answer;
mod cashbacks;
mod fields;
mod merchants;
mod notices;
mod orders;
mod tiers;

use std::fmt;
use std::sync::Arc;

use hyper::body::Bytes;
use hyper::{Method, Request};
use kembali_core::catalogue::Catalogue;
use kembali_http::{Adapter, Answer, Background, Native, Stop, Work};

use self::answer::{Done, Refusal};
use self::notices::Notices;
use crate::call::Declined;

/// A request that is under way.
type Call<'a> = crate::call::Call<'a, Refusal>;

/// The adapter of some merchants' clients.
pub struct Onetap {
    merchants: Vec<String>,
    /// Held while the rules are read, changed and applied.
    changes: futures_util::lock::Mutex<()>,
    notices: Arc<Notices>,
}

impl fmt::Debug for Onetap {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Onetap({:?})", self.merchants)
    }
}

/// The methods that an address takes; `None` of one that is not there.
fn allowed(parts: &[&str]) -> Option<&'static str> {
    Some(match parts {
        ["v1", "signin"] | ["order"] | ["v1", "merchants", "customers", _, "promote" | "demote"] => "POST",
        ["v1", "merchants", _, "tiers"] | ["v1", "cashbacks"] => "GET, HEAD, POST",
        ["v1", "merchants", _, "tiers", _] | ["v1", "cashbacks", _] => "GET, HEAD, PUT, DELETE",
        ["v1", "merchants", _, _] => "GET, HEAD",
        _ => return None,
    })
}

impl Onetap {
    /// Clients of its notices that there may be beside the connections of requests.
    pub const CLIENTS_MAX: usize = notices::CLIENTS_MAX;

    /// Makes the adapter of merchants, which are tenants. Whoever comes sees their tiers and cashbacks.
    #[must_use]
    pub fn new(merchants: Vec<String>) -> Onetap {
        let notices = Arc::new(Notices::new(&merchants));
        Onetap { merchants, changes: futures_util::lock::Mutex::new(()), notices }
    }

    /// Returns a merchant's rules, which everybody may see.
    async fn shown_rules(&self, call: &Call<'_>, merchant: &str) -> Result<Option<Arc<Catalogue>>, Refusal> {
        if !self.merchants.iter().any(|own| own == merchant) {
            return Ok(None);
        }
        Ok(call.engine().catalogue(merchant, None).await.map_err(|_| Declined::internal())?)
    }

    /// Checks that a merchant's clients are served here.
    fn check_merchant(&self, merchant: &str) -> Result<(), Refusal> {
        if self.merchants.iter().any(|own| own == merchant) {
            Ok(())
        } else {
            Err(Refusal::not_found("Merchant not found"))
        }
    }

    async fn answer(&self, request: &Request<Bytes>, native: Native<'_>) -> Result<Done, Refusal> {
        let call = Call::new(native, merchants::credentials(request.headers()), None);
        let path = request.uri().path().trim_matches('/');
        let parts: Option<Vec<String>> = path.split('/').map(crate::call::decoded).collect();
        let parts = parts.ok_or_else(|| Refusal::not_found("There is no such address"))?;
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let allowed = allowed(&parts).ok_or_else(|| Refusal::not_found("There is no such address"))?;
        let body = || fields::Fields::read(request.headers(), request.body());
        // Whoever changes rules waits for whoever does so before, instead of beginning again and again.
        let changes = || self.changes.lock();
        let method = request.method();
        let is_read = matches!(*method, Method::GET | Method::HEAD);
        // A cookie comes along whoever made the browser send the request; what no form can send, no other page made it send.
        if *method == Method::POST && merchants::is_by_cookie(request.headers()) {
            fields::check_media(request.headers())?;
        }
        match (method, &parts[..]) {
            (&Method::POST, ["v1", "signin"]) => merchants::sign_in(&call, body()?).await,
            (&Method::POST, ["order"]) => orders::book(self, call, request.headers(), body()?).await,
            (_, ["v1", "merchants", merchant, "tiers"]) if is_read => {
                let rules = self.shown_rules(&call, merchant).await?;
                Ok(Done::found(tiers::all(merchant, rules.as_deref())))
            }
            (_, ["v1", "merchants", merchant, "tiers", name]) if is_read => {
                tiers::one(merchant, self.shown_rules(&call, merchant).await?.as_deref(), name)
            }
            (&Method::POST, ["v1", "merchants", "customers", customer, step @ ("promote" | "demote")]) => {
                let merchant = merchants::own(&call, request.uri()).await?;
                self.check_merchant(&merchant)?;
                merchants::step(call.about(&merchant), customer, step, request.headers()).await
            }
            (&Method::POST, ["v1", "merchants", merchant, "tiers"]) => {
                self.check_merchant(merchant)?;
                let (_turn, call) = (changes().await, call.about(merchant));
                tiers::add(call, body()?).await
            }
            (&Method::PUT, ["v1", "merchants", merchant, "tiers", name]) => {
                self.check_merchant(merchant)?;
                let (_turn, call) = (changes().await, call.about(merchant));
                tiers::change(call, name, body()?).await
            }
            (&Method::DELETE, ["v1", "merchants", merchant, "tiers", name]) => {
                self.check_merchant(merchant)?;
                let (_turn, call) = (changes().await, call.about(merchant));
                tiers::remove(call, name).await
            }
            (_, ["v1", "merchants", merchant, customer]) if is_read => {
                self.check_merchant(merchant)?;
                tiers::of_customer(call.about(merchant), customer).await
            }
            (_, ["v1", "cashbacks"]) if is_read => {
                let merchant = fields::parameter(request.uri(), "merchantID");
                let merchant = merchant.ok_or_else(|| Refusal::bad("The query must have a merchantID"))?;
                let rules = self.shown_rules(&call, &merchant).await?;
                Ok(Done::found(cashbacks::all(&merchant, rules.as_deref())))
            }
            (_, ["v1", "cashbacks", id]) if is_read => {
                for merchant in &self.merchants {
                    let rules = self.shown_rules(&call, merchant).await?;
                    if let Some(found) = rules.and_then(|rules| cashbacks::one(merchant, &rules, id)) {
                        return Ok(Done::found(found));
                    }
                }
                Err(cashbacks::not_found())
            }
            (&Method::POST, ["v1", "cashbacks"]) | (&Method::PUT | &Method::DELETE, ["v1", "cashbacks", _]) => {
                let merchant = merchants::own(&call, request.uri()).await?;
                self.check_merchant(&merchant)?;
                let (_turn, call) = (changes().await, call.about(&merchant));
                match (method, parts.get(2)) {
                    (&Method::PUT, Some(id)) => cashbacks::change(call, id, body()?).await,
                    (&Method::DELETE, Some(id)) => cashbacks::remove(call, id).await,
                    _ => cashbacks::add(call, body()?).await,
                }
            }
            _ => Err(Refusal::method(allowed)),
        }
    }
}

impl Adapter for Onetap {
    fn takes(&self, path: &str) -> bool {
        let path = path.strip_suffix('/').unwrap_or(path);
        let is_under =
            |start: &str| path.strip_prefix(start).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        path == "/order"
            || Notices::takes(path)
            || path == "/v1/signin"
            || is_under("/v1/merchants")
            || is_under("/v1/cashbacks")
    }

    fn serve<'a>(&'a self, request: Request<Bytes>, native: Native<'a>) -> Answer<'a> {
        if Notices::takes(request.uri().path()) {
            return Box::pin(self.notices.serve(request, native.peer()));
        }
        Box::pin(async move { answer::written(self.answer(&request, native).await) })
    }

    fn work(self: Arc<Self>, background: Background, stop: Stop) -> Option<Work> {
        Some(Box::pin(Arc::clone(&self.notices).run(background, stop)))
    }
}
