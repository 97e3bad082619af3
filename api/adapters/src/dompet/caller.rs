//! Whoever sent a query: the native API as that one sees it, and what is its own.

use std::sync::Arc;

use hyper::header::{HeaderMap, HeaderValue};
use kembali_core::catalogue::Catalogue;
use kembali_engine::Engine;
use kembali_http::Background;
use kembali_http::outbox::Outboxes;
use serde_json::Value;

use super::answer::Refusal;
use super::types::WalletAddress;
use crate::call::{Call, Credentials, Declined, drawn, in_address};
use crate::money::minor_units;

/// Whoever sent a query.
#[derive(Clone)]
pub(super) struct Caller {
    native: Background,
    credentials: Credentials,
    tenant: Arc<str>,
    /// What names the operation that a mutation asks for, so that it is done once.
    key: Option<String>,
}

impl Caller {
    pub(super) fn new(native: Background, headers: &HeaderMap, tenant: Arc<str>) -> Caller {
        let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok()).map(str::to_owned);
        Caller { native, credentials: credentials(headers), tenant, key }
    }

    /// The same with another token.
    pub(super) fn with_token(&self, token: &str) -> Result<Caller, Refusal> {
        let bearer = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| Refusal::new("Invalid Token"))?;
        Ok(Caller { credentials: Credentials::Authorization(bearer), ..self.clone() })
    }

    pub(super) fn tenant(&self) -> &str {
        &self.tenant
    }

    pub(super) fn call(&self) -> Call<'_, Refusal> {
        Call::new(self.native.native(), self.credentials.clone(), Some(&self.tenant))
    }

    /// The outboxes that are at work.
    pub(super) fn outboxes(&self) -> &Outboxes {
        self.native.native().outboxes()
    }

    /// The engine, to look things up that are nobody's own.
    pub(super) fn engine(&self) -> &Engine {
        self.native.native().engine()
    }

    /// Refuses everybody who is no operator.
    pub(super) async fn check_operator(&self) -> Result<(), Refusal> {
        // What operators alone may ask for: who may, the native API says.
        self.call().get("/v1/risk-checks?limit=1").await.map(drop)
    }

    /// The rules, which nobody sees: how many decimals amounts have.
    pub(super) async fn rules(&self) -> Result<Arc<Catalogue>, Refusal> {
        let rules = self.engine().catalogue(&self.tenant, None).await;
        let rules = rules.map_err(|_| Declined::internal())?;
        rules.ok_or_else(|| Refusal::new("The tenant has no rules yet"))
    }

    /// Turns an amount into minor units. What is more exact than the currency is refused.
    pub(super) async fn minor_units(&self, amount: f64) -> Result<i64, Refusal> {
        let exponent = self.rules().await?.currency.exponent;
        let number = serde_json::Number::from_f64(amount).map(|number| number.to_string());
        let units = number.and_then(|text| minor_units(&text, exponent));
        units.ok_or_else(|| Refusal::new(format!("Jumlah harus angka dengan paling banyak {exponent} desimal")))
    }

    /// The id of the own customer.
    pub(super) async fn customer(&self) -> Result<String, Refusal> {
        let account = self.call().get_own("/v1/auth/me").await?;
        account["customer"].as_str().map(str::to_owned).ok_or_else(|| Refusal::new("Ini hanya untuk nasabah"))
    }

    /// Asks for an operation on a wallet, once for each key; where the caller names none, one is drawn.
    pub(super) async fn operate(
        &self,
        wallet: &WalletAddress,
        verb: &str,
        body: &Value,
        key: Option<&str>,
    ) -> Result<Value, Refusal> {
        let key = key.map_or_else(|| self.key(), |key| Ok(key.to_owned()))?;
        self.call().post(&format!("{}/{verb}", wallet.path()), body, Some(&key)).await
    }

    /// What names the operation, if the caller says so; else something that is drawn.
    pub(super) fn key(&self) -> Result<String, Refusal> {
        Ok(self.key.clone().map_or_else(|| drawn().map(|key| format!("{key:032x}")), Ok)?)
    }

    /// Reads the wallets of a customer.
    pub(super) async fn wallets(&self, customer: &str) -> Result<Value, Refusal> {
        self.call().get(&format!("/v1/customers/{}/wallets", in_address(customer))).await
    }

    /// Reads one wallet.
    pub(super) async fn wallet(&self, own: &WalletAddress) -> Result<Value, Refusal> {
        let wallets = self.wallets(&own.customer).await?;
        let found = wallets["data"].as_array().into_iter().flatten().find(|wallet| wallet["wallet"] == own.wallet);
        found.cloned().ok_or_else(|| Refusal::new("Wallet tidak ditemukan"))
    }
}

/// Dompet's clients may send a token without the word before it; its marketplaces show a partner's key.
fn credentials(headers: &HeaderMap) -> Credentials {
    match Credentials::of(headers) {
        Credentials::Authorization(value) if value.is_empty() => Credentials::None,
        Credentials::Authorization(value) if !value.as_bytes().contains(&b' ') => {
            let bearer = [b"Bearer ", value.as_bytes()].concat();
            HeaderValue::from_bytes(&bearer).map_or(Credentials::Authorization(value), Credentials::Authorization)
        }
        own => own,
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::AUTHORIZATION;

    use super::*;

    #[test]
    fn a_bare_token_is_a_token() {
        let of = |value: &'static str| {
            credentials(&HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static(value))]))
        };
        let bearer = Credentials::Authorization(HeaderValue::from_static("Bearer a.b.c"));
        assert_eq!((of("a.b.c"), of("Bearer a.b.c")), (bearer.clone(), bearer));
    }
}
