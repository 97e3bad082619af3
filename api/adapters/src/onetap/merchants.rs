//! Merchants: they sign in by a cookie, and move their customers up and down by hand.

use hyper::header::{COOKIE, HeaderMap, HeaderValue};
use hyper::{StatusCode, Uri};
use serde_json::{Value, json};

use super::answer::{Done, Refusal};
use super::fields::{Fields, parameter};
use super::{Call, tiers};
use crate::call::{Credentials, Declined, drawn, in_address};

/// The cookie that holds a token.
const COOKIE_NAME: &str = "Authorization";

/// Takes the token out of the cookie, where nothing else says who sent the request.
pub(super) fn credentials(headers: &HeaderMap) -> Credentials {
    match Credentials::of(headers) {
        Credentials::None => cookie(headers).map_or(Credentials::None, Credentials::Authorization),
        own => own,
    }
}

/// Returns true where a cookie says who sent the request.
pub(super) fn is_by_cookie(headers: &HeaderMap) -> bool {
    Credentials::of(headers) == Credentials::None && cookie(headers).is_some()
}

fn cookie(headers: &HeaderMap) -> Option<HeaderValue> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let (_, token) = pairs.find(|(name, token)| *name == COOKIE_NAME && !token.is_empty())?;
    HeaderValue::try_from(format!("Bearer {token}")).ok()
}

/// Signs somebody in who works for a merchant. The merchant stands before the name: `merchant/name`, or alone where both are the same.
pub(super) async fn sign_in(call: &Call<'_>, mut fields: Fields) -> Result<Done, Refusal> {
    let (username, password) = (fields.text("username", (1, 150)), fields.text("password", (8, 500)));
    fields.check()?;
    let (merchant, name) = username.split_once('/').unwrap_or((&username, &username));
    let body = json!({ "tenant": merchant, "username": name, "password": password });
    let wrong = |own: Refusal| {
        let message = "Wrong username or password";
        let own = own.saying("login_failed", StatusCode::UNAUTHORIZED, message);
        own.saying("tenant_not_found", StatusCode::UNAUTHORIZED, message)
    };
    let session = call.post_own("/v1/auth/login", &body, None).await.map_err(wrong)?;
    let token = session["access_token"].as_str().ok_or_else(Declined::internal)?;
    let seconds = &session["expires_in"];
    let lives = seconds.as_u64().map_or_else(String::new, |seconds| format!("; Max-Age={seconds}"));
    let cookie = format!("{COOKIE_NAME}={token}; Path=/{lives}; Secure; HttpOnly; SameSite=Strict");
    let cookie = HeaderValue::try_from(cookie).map_err(|_| Declined::internal())?;
    Ok(Done::found(json!({ "message": "success" })).with_cookie(cookie))
}

/// The merchant that whoever calls works for; whoever works for none says which.
pub(super) async fn own(call: &Call<'_>, uri: &Uri) -> Result<String, Refusal> {
    if let Some(merchant) = parameter(uri, "merchantID") {
        return Ok(merchant);
    }
    // The server's own token is of no merchant.
    let none =
        |own: Refusal| own.saying("role_insufficient", StatusCode::BAD_REQUEST, "The query must have a merchantID");
    let account = call.get_own("/v1/auth/me").await.map_err(none)?;
    let tenant = account["tenant"].as_str().map(str::to_owned);
    tenant.ok_or_else(|| Refusal::bad("The query must have a merchantID"))
}

/// Moves a customer one level up or down.
pub(super) async fn step(call: Call<'_>, customer: &str, step: &str, headers: &HeaderMap) -> Result<Done, Refusal> {
    let program = tiers::program_of(&call).await?;
    let id = customer_id(&call, customer).await?;
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok()).map(str::to_owned);
    let key = key.map_or_else(|| drawn().map(|key| format!("{key:032x}")), Ok)?;
    let path = format!("/v1/customers/{}/tiers/{}/{step}", in_address(&id), in_address(&program));
    let done = call.post(&path, &Value::Null, Some(&key)).await.map_err(|own| {
        let own = own.saying("tier_none", StatusCode::NOT_FOUND, "customer doesn't have any tier");
        let own = own.saying("tier_highest", StatusCode::CONFLICT, "already at the highest tier");
        own.saying("tier_lowest", StatusCode::CONFLICT, "customer already on lowest tier")
    })?;
    let mut effects = done["effects"].as_array().into_iter().flatten();
    let moved = effects.find(|own| own["type"] == "tier_change");
    let tier = moved.and_then(|own| own["to"].as_str());
    Ok(Done::found(json!({ "message": format!("customer {step}d"), "tier": tier })))
}

/// How a customer is named: customers that log in are known by an e-mail address.
pub(super) fn named(customer: &str) -> &'static str {
    if customer.contains('@') { "email" } else { "ref" }
}

/// Finds a customer's native id.
pub(super) async fn customer_id(call: &Call<'_>, customer: &str) -> Result<String, Refusal> {
    let found = call.get(&format!("/v1/customers?{}={}", named(customer), in_address(customer))).await;
    let found = found.map_err(|own| own.saying("customer_not_found", StatusCode::NOT_FOUND, "Customer not found"))?;
    Ok(found["id"].as_str().map(str::to_owned).ok_or_else(Declined::internal)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_stands_in_a_cookie() {
        let of = |name: &'static str, value: &'static str| {
            credentials(&HeaderMap::from_iter([(name.parse().expect("a name"), HeaderValue::from_static(value))]))
        };
        let bearer = Credentials::Authorization(HeaderValue::from_static("Bearer a.b.c"));
        assert_eq!(of("cookie", "Authorization=a.b.c"), bearer);
        assert_eq!(of("cookie", "theme=dark; Authorization=a.b.c; x"), bearer);
        assert_eq!(of("authorization", "Bearer a.b.c"), bearer);
        for none in ["", "Authorization", "Authorization=", "authorization=a.b.c", "XAuthorization=a.b.c"] {
            assert_eq!(of("cookie", none), Credentials::None, "{none}");
        }
    }
}
