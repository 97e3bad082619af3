//! KezBek: eight services behind one gateway, each under a prefix of its own, such as `/transaction/api/v1/new-transaction`.
//!
//! [`journey`] is what partners show, [`envelope`] is what answers look like; the other modules are the
//! services. What of KezBek is not here, and what differs on purpose, is in `docs/kezbek.md`.

mod customers;
mod envelope;
mod journey;
mod partners;
mod people;
mod promos;
mod transactions;
mod wallets;

use std::fmt;

use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode};
use kembali_http::{Adapter, Answer, Native};

use self::envelope::{Done, Refusal};
pub use self::journey::JourneyError as KezBekError;
use self::journey::JourneyKey;
use crate::call::Credentials;

/// A request that is under way.
type Call<'a> = crate::call::Call<'a, Refusal>;

/// The services, as the gateway names them.
const SERVICES: [&str; 8] =
    ["authenticator", "customer", "loyalty", "mailer", "partner", "promo", "transaction", "wallet"];

/// The adapter of one tenant's clients.
pub struct KezBek {
    tenant: String,
    journey_key: JourneyKey,
}

impl fmt::Debug for KezBek {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "KezBek({})", self.tenant)
    }
}

impl KezBek {
    /// Makes the adapter of a tenant. `encrypt_key` is what journey ids are encrypted under.
    ///
    /// # Errors
    ///
    /// [`KezBekError`].
    pub fn new(tenant: String, encrypt_key: &str) -> Result<KezBek, KezBekError> {
        Ok(KezBek { tenant, journey_key: JourneyKey::derive(encrypt_key)? })
    }

    async fn answer(&self, request: Request<Bytes>, native: Native<'_>) -> Result<Done, Refusal> {
        let call = Call::new(native, Credentials::authorization(request.headers()), Some(&self.tenant));
        // Ids and codes stand in paths, and may come encoded.
        let decoded = |part| percent_encoding::percent_decode_str(part).decode_utf8();
        let parts: Result<Vec<_>, _> = request.uri().path().split('/').skip(1).map(decoded).collect();
        let parts = parts.map_err(|_| Refusal::new(StatusCode::BAD_REQUEST, "The path is no text"))?;
        let parts: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
        let [service, "api", "v1", route @ ..] = parts.as_slice() else { return Err(Refusal::no_route(&request)) };
        let get = match *request.method() {
            Method::GET => true,
            Method::POST => false,
            _ => return Err(Refusal::no_route(&request)),
        };
        let body = request.body();
        match (*service, get, route) {
            ("transaction", false, ["generate-journey-id"]) => {
                transactions::generate_journey_id(&self.journey_key, call, body).await
            }
            ("transaction", false, ["new-transaction"]) => {
                transactions::new_transaction(&self.journey_key, call, body).await
            }
            ("authenticator", false, ["register"]) => people::register(call, body).await,
            ("authenticator", false, ["login"]) => people::login(call, body).await,
            ("authenticator" | "customer", true, ["try-get-me"]) => people::me(call).await,
            ("customer", true, ["get-wallet-ballance"]) => customers::balance(call).await,
            ("customer", true, ["get-info-loyalty"]) => customers::own_loyalty(call).await,
            ("customer", false, ["try-new-customer"]) => customers::create(call, body).await,
            ("customer", true, ["try-info-customer-by-id", id]) => customers::by_id(call, id).await,
            ("customer", true, ["try-info-customer-by-email", email]) => customers::by_email(call, email).await,
            ("customer", true, ["try-info-customer-by-cognito", id]) => customers::by_account(call, id).await,
            ("loyalty", true, ["try-tier-master-point"]) => customers::tiers(call).await,
            ("loyalty", true, ["try-loyalty-actual", id]) => customers::loyalty(call, id).await,
            ("loyalty", true, ["try-loyalty-history", id]) => customers::loyalty_history(call, id).await,
            ("partner", false, ["try-new-partner"]) => partners::create(call, body).await,
            ("partner", true, ["try-info-partner-by-id", id]) => partners::by_id(call, id).await,
            ("partner", true, ["try-info-partner-by-api-key", key]) => partners::by_api_key(call, key).await,
            ("promo", true, ["try-program"]) => promos::programs(call).await,
            ("promo", false, ["try-program"]) => promos::create(call, body).await,
            ("promo", true, ["try-program", code]) => promos::one(call, code).await,
            ("promo", true, ["try-config"]) => promos::configs(call).await,
            ("promo", false, ["try-config"]) => promos::create_config(call, body).await,
            ("promo", true, ["try-config", id]) => promos::config_by_id(call, id).await,
            ("promo", false, ["try-eligible"]) => promos::eligible(call, body).await,
            ("promo", true, ["try-remain", code]) => promos::remain(call, code).await,
            // Each moved one part of a transaction, and nothing else of it.
            ("promo" | "loyalty", false, ["try-transaction" | "try-new-transaction"]) => {
                Err(Refusal::new(StatusCode::GONE, "Promos and tiers move with a transaction: POST new-transaction"))
            }
            ("mailer", false, ["try-send-mail"]) => {
                Err(Refusal::new(StatusCode::GONE, "Mail goes out with a transaction: POST new-transaction"))
            }
            ("wallet", false, ["try-new-transaction"]) => wallets::adjust(call, body).await,
            ("wallet", false, ["try-get-last-transaction"]) => wallets::transactions(call, body).await,
            ("wallet", false, ["try-get-last-balance-history"]) => wallets::balances(call, body).await,
            _ => Err(Refusal::no_route(&request)),
        }
    }
}

impl Adapter for KezBek {
    fn takes(&self, path: &str) -> bool {
        let mut parts = path.split('/').skip(1);
        let is_service = parts.next().is_some_and(|service| SERVICES.contains(&service));
        is_service && parts.next() == Some("api") && parts.next() == Some("v1")
    }

    fn serve<'a>(&'a self, request: Request<Bytes>, native: Native<'a>) -> Answer<'a> {
        Box::pin(async move { envelope::written(self.answer(request, native).await) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_services_paths_are_its_own_and_no_others() {
        let own = KezBek::new("journey".into(), "S3cret").expect("a key");
        for (path, expected) in [
            ("/transaction/api/v1/new-transaction", true),
            ("/wallet/api/v1/", true),
            ("/v1/purchases", false),
            ("/transaction/api/v2/new-transaction", false),
            ("/transactions/api/v1/x", false),
            ("/", false),
        ] {
            assert_eq!(own.takes(path), expected, "{path}");
        }
    }
}
