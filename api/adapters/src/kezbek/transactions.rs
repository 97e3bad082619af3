//! The transaction service: partners ask for a journey id, and show it with the transaction.

use hyper::body::Bytes;
use hyper::{Method, StatusCode};
use kembali_core::catalogue::Catalogue;
use serde_json::{Value, json};

use super::Call;
use super::envelope::{Done, Fields, Refusal};
use super::journey::{Journey, JourneyError, JourneyKey};
use crate::call::{Declined, in_address};

/// Makes a journey id for a partner that knows its secret, of a promo that is there.
pub(super) async fn generate_journey_id(key: &JourneyKey, call: Call<'_>, body: &Bytes) -> Result<Done, Refusal> {
    let mut fields = Fields::read(body)?;
    let journey = Journey {
        origin_id: fields.text("transaction_origin_id", 1),
        api_key: fields.text("partner_api_key", 1),
        api_secret: fields.text("partner_api_secret", 1),
        promo_code: fields.text("promo_code", 1),
    };
    fields.check()?;
    // Asked as the partner: so its secret is looked at now, and not when the transaction is over.
    let promo = format!("/v1/promos/{}", in_address(&journey.promo_code));
    let secret = (journey.api_key.as_str(), journey.api_secret.as_str());
    call.signed(secret, Method::GET, &promo, &Value::Null).await.map_err(partner)?;
    let id = key.seal(&journey).map_err(|error| match error {
        JourneyError::Separator => Refusal::new(StatusCode::BAD_REQUEST, vec![error.to_string()]),
        JourneyError::Make(_) => Declined::internal().into(),
    })?;
    Ok(Done::made("Journey id generated", json!({ "journey_id": id })))
}

/// Books a transaction. A repeat of it is answered as the first one was; with another content it is refused.
pub(super) async fn new_transaction(key: &JourneyKey, call: Call<'_>, body: &Bytes) -> Result<Done, Refusal> {
    let mut fields = Fields::read(body)?;
    let origin_id = fields.text("transaction_origin_id", 1);
    let api_key = fields.text("partner_api_key", 1);
    let email = fields.text("customer_email", 1);
    let promo_code = fields.text("promo_code", 1);
    let (quantity, amount) = (fields.number("quantity"), fields.number("act_trx"));
    let journey_id = fields.text("journey_id", 1);
    fields.check()?;
    let journey = key.open(&journey_id).filter(|journey| {
        journey.origin_id == origin_id && journey.api_key == api_key && journey.promo_code == promo_code
    });
    let invalid = || Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "Transaction does not valid");
    let journey = journey.ok_or_else(invalid)?;
    let purchase = json!({
        "origin_id": origin_id,
        "customer": { "email": email },
        "promo_code": promo_code,
        "quantity": quantity,
        "amount": amount,
    });
    let secret = (journey.api_key.as_str(), journey.api_secret.as_str());
    let result = call.signed(secret, Method::POST, "/v1/purchases", &purchase).await.map_err(partner)?;
    let slug = result["tenant"].as_str().unwrap_or_default();
    let rules =
        call.engine().catalogue(slug, None).await.map_err(|_| Declined::internal())?.ok_or_else(Declined::internal)?;
    Ok(Done::made("Transaction created", detail(&result, &rules, (&email, &api_key, &promo_code))))
}

/// Says what is wrong with a partner in KezBek's words.
fn partner(refusal: Refusal) -> Refusal {
    let unauthorized = |refusal: Refusal, code: &str| {
        refusal.saying(code, StatusCode::UNAUTHORIZED, "Partner api_key or api_secret does not valid")
    };
    let codes = ["api_key_unknown", "signature_invalid", "signature_unexpected"];
    let refusal = codes.iter().fold(refusal, |refusal, code| unauthorized(refusal, code));
    let refusal = refusal.saying("promo_not_found", StatusCode::NOT_FOUND, "Program does not exist");
    refusal.saying("promo_unknown", StatusCode::NOT_FOUND, "Program does not exist")
}

/// Writes the detail of a transaction. Nothing is kept of people but what names them, so the address is the name.
fn detail(result: &Value, rules: &Catalogue, (email, api_key, promo_code): (&str, &str, &str)) -> Value {
    let partner = result["partner"].as_str().unwrap_or_default();
    let partner_name = rules.partner_by_slug(partner).map_or(partner, |own| own.name.as_str());
    let tier = &result["tiers"][0];
    json!({
        "transaction_id": result["id"],
        "transaction_origin_id": result["origin_id"],
        "transaction_time": result["at"],
        "customer_id": result["customer"],
        "customer_name": email,
        "customer_email": email,
        "customer_phone": null,
        "tier": tier["after"]["level"],
        "remark": remark(tier),
        "total_trx": tier["after"]["count"],
        "partner_id": partner,
        "partner_api_key": api_key,
        "partner_name": partner_name,
        "quantity": result["quantity"],
        "act_trx": result["amount"],
        "promo_code": promo_code,
        "prosentase": percent(result),
        "point_transaction": result["point_transaction"],
        "point_loyalty": result["point_loyalty"],
        "point_total": result["point_total"],
        "created_at": result["received_at"],
        "updated_at": result["received_at"],
    })
}

/// Says what a step in the tiers was.
pub(super) fn remark(tier: &Value) -> &'static str {
    match tier["remark"].as_str().unwrap_or_default() {
        "first_transaction" => "FIRST TRANSACTION",
        "upgrade" => "UPGRADE TO NEXT TIER",
        "downgrade" => "DOWNGRADE TO PREVIOUS TIER",
        "reset" => "RESET TO FIRST TIER",
        "maximum" => "ALREADY GET POINT MAX TIER LEVEL",
        _ => "",
    }
}

/// Returns the promo's share, which is text here and a number there; 0 where it paid nothing.
fn percent(result: &Value) -> Value {
    let effects = result["effects"].as_array().into_iter().flatten();
    let percent = effects.filter(|effect| effect["type"] == "cashback").find_map(|effect| effect["percent"].as_str());
    percent.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_else(|| json!(0))
}
