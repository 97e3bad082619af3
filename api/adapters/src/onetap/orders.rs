//! Orders: what was bought, one event a request, and what it came to in words.

use hyper::StatusCode;
use hyper::header::HeaderMap;
use kembali_core::Seq;
use serde_json::{Value, json};

use super::answer::{Done, Refusal};
use super::fields::Fields;
use super::merchants::named;
use super::notices::texts;
use super::{Call, Onetap};
use crate::call::Declined;
use crate::money::minor_units;

/// Letters of an id.
const ID: (usize, usize) = (1, 128);

/// Books an order, as the partner whose key was shown. It has an id, and counts once.
pub(super) async fn book(
    adapter: &Onetap,
    call: Call<'_>,
    headers: &HeaderMap,
    mut fields: Fields,
) -> Result<Done, Refusal> {
    let (customer, merchant) = (fields.text("customerId", ID), fields.text("merchantId", ID));
    let (product, amount) = (fields.text("productId", ID), fields.number("amount"));
    let order = match fields.optional("orderId") {
        Some(Value::String(id)) if !id.is_empty() => Some(id),
        None => {
            headers.get("idempotency-key").and_then(|key| key.to_str().ok()).map(|key| key.trim_matches('"').to_owned())
        }
        Some(_) => None,
    };
    if order.is_none() {
        let problem = "is required: with it, an order that is sent twice counts once. The Idempotency-Key header may hold it instead";
        fields.reject("orderId", problem);
    }
    fields.check()?;
    adapter.check_merchant(&merchant)?;
    let known = call.credentials().api_key().and_then(|key| call.engine().partner_of_key(key));
    let rules = call.engine().catalogue(&merchant, None).await.map_err(|_| Declined::internal())?;
    let rules = rules.filter(|rules| known.is_some_and(|caller| caller.tenant == rules.tenant));
    let Some(rules) = rules else {
        // Whoever may not send anything is told so first, and no more.
        let none = call.post_own("/v1/purchases", &Value::Null, None).await.err();
        let foreign = || Refusal::new(StatusCode::FORBIDDEN, "The API key is of another merchant");
        return Err(none.filter(Refusal::is_about_the_caller).unwrap_or_else(foreign));
    };
    let exponent = rules.currency.exponent;
    let amount = minor_units(&amount, exponent);
    let amount =
        amount.ok_or_else(|| Refusal::field("amount", format!("must be a number with at most {exponent} decimals")))?;
    let purchase = json!({
        "origin_id": order,
        "customer": { named(&customer): customer },
        "amount": amount,
        "quantity": 1,
        "product": product,
    });
    let result = call.post_own("/v1/purchases", &purchase, None).await?;
    let seq = result["seq"].as_u64().ok_or_else(Declined::internal)?;
    let booked = call.engine().record(Seq(seq)).await.map_err(|_| Declined::internal())?;
    let (record, rules) = booked.ok_or_else(Declined::internal)?;
    Ok(Done::made(json!({ "orderId": order, "customerId": customer, "notifications": texts(&record, &rules) })))
}
