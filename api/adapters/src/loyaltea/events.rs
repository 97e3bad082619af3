//! What users did: events of the topics `buy` and `tag`, one a request. Each has an id, and counts once.

use std::sync::Arc;

use data_encoding::HEXLOWER;
use hyper::StatusCode;
use hyper::header::HeaderMap;
use kembali_core::RuleId;
use kembali_core::catalogue::Catalogue;
use serde_json::{Value, json};

use super::Call;
use super::answer::{Done, Refusal};
use super::fields::Fields;
use super::rewards::KIND;
use super::users::{named, user_id};
use crate::call::{Declined, in_address};
use crate::money::minor_units;
use crate::rules::id_of_number;

/// Something that was bought.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Buy {
    pub(super) tenant: String,
    user: String,
    product: Option<String>,
    amount: String,
}

impl Buy {
    /// Takes the fields of an event.
    pub(super) fn take(fields: &mut Fields) -> Buy {
        let (tenant, user) = (fields.text("tenant"), user_id(fields.text("userId")));
        let product = fields.optional_text("product").filter(|product| !product.is_empty());
        Buy { tenant, user, product, amount: fields.number("amount") }
    }

    /// Makes a native purchase of it, of what is one purchase for ever.
    pub(super) fn purchase(&self, origin_id: &str, rules: &Catalogue) -> Result<Value, Refusal> {
        let exponent = rules.currency.exponent;
        let amount = minor_units(&self.amount, exponent).ok_or_else(|| {
            Refusal::field("amount", format!("A number with at most {exponent} decimal places is required."))
        })?;
        let mut purchase = json!({
            "origin_id": origin_id,
            "customer": { named(&self.user): self.user },
            "amount": amount,
            "quantity": 1,
        });
        if let Some(product) = &self.product {
            purchase["product"] = product.as_str().into();
        }
        Ok(purchase)
    }
}

/// Books what was bought, as the partner whose key was shown.
pub(super) async fn buy(call: Call<'_>, headers: &HeaderMap, mut fields: Fields) -> Result<Done, Refusal> {
    let (id, event) = (fields.optional_text("eventId"), Buy::take(&mut fields));
    fields.check()?;
    let id = event_id(id, headers)?;
    let known = call.credentials().api_key().and_then(|key| call.engine().partner_of_key(key));
    let rules = call.engine().catalogue(&event.tenant, None).await.map_err(|_| Declined::internal())?;
    let rules = rules.filter(|rules| known.is_some_and(|caller| caller.tenant == rules.tenant));
    let foreign = || Refusal::new(StatusCode::FORBIDDEN, "The API key is of another tenant.");
    let purchase = match rules.ok_or_else(foreign).and_then(|rules| event.purchase(&id, &rules)) {
        Ok(purchase) => purchase,
        Err(refusal) => {
            // Whoever may not send anything is told so first, and no more.
            let none = call.post_own("/v1/purchases", &Value::Null, None).await.err();
            return Err(none.filter(Refusal::is_about_the_caller).unwrap_or(refusal));
        }
    };
    let result = call.post_own("/v1/purchases", &purchase, None).await?;
    let rules = rules_of(&call, &event.tenant, &result).await?;
    Ok(Done::made(outcome(&id, (&event.tenant, &event.user), &result, &rules)))
}

/// Counts something that was done, as an operator or the partner whose key was shown.
pub(super) async fn tag(call: Call<'_>, headers: &HeaderMap, mut fields: Fields) -> Result<Done, Refusal> {
    let (id, tenant) = (fields.optional_text("eventId"), fields.text("tenant"));
    let (user, tag) = (user_id(fields.text("userId")), fields.text("tag"));
    fields.check()?;
    let id = event_id(id, headers)?;
    let call = call.about(&tenant);
    let found = call.get(&format!("/v1/customers?{}={}", named(&user), in_address(&user))).await;
    let none = |own: Refusal| match own.is("customer_not_found") {
        true => Refusal::new(StatusCode::NOT_FOUND, format!("There is no user {user}")),
        false => own,
    };
    let found = found.map_err(none)?;
    let path = format!("/v1/customers/{}/activities", in_address(found["id"].as_str().unwrap_or_default()));
    // Whatever is in an id, it is a key of its own then.
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, id.as_bytes());
    let key = format!("tag-{}", HEXLOWER.encode(digest.as_ref()));
    let result = call.post(&path, &json!({ "tag": tag }), Some(&key)).await;
    let result = result.map_err(|own| own.with_status("idempotency_key_reused", StatusCode::CONFLICT))?;
    let rules = rules_of(&call, &tenant, &result).await?;
    Ok(Done::made(outcome(&id, (&tenant, &user), &result, &rules)))
}

/// The rules that decided a result: what was decided before is told by those of then.
async fn rules_of(call: &Call<'_>, tenant: &str, result: &Value) -> Result<Arc<Catalogue>, Declined> {
    let version = result["catalogue_version"].as_u64().and_then(|version| u32::try_from(version).ok());
    let version = version.ok_or_else(Declined::internal)?;
    let rules = call.engine().catalogue(tenant, Some(version)).await.map_err(|_| Declined::internal())?;
    rules.ok_or_else(Declined::internal)
}

fn event_id(member: Option<String>, headers: &HeaderMap) -> Result<String, Refusal> {
    let header = headers.get("idempotency-key").and_then(|value| value.to_str().ok());
    let id = member.or_else(|| header.map(|text| text.trim_matches('"').to_owned())).filter(|id| !id.is_empty());
    id.ok_or_else(|| {
        let problem = "This field is required: with it, an event that is sent twice counts once. \
                       The Idempotency-Key header may hold it instead.";
        Refusal::field("eventId", problem)
    })
}

/// Says what became of an event, in the form of the events that would have come of it.
fn outcome(id: &str, (tenant, user): (&str, &str), result: &Value, rules: &Catalogue) -> Value {
    let effects = || result["effects"].as_array().into_iter().flatten();
    let known = |effect: &Value| {
        let number = effect["rule"].as_u64().unwrap_or_default();
        let rule = u32::try_from(number).map(RuleId).ok();
        rule.and_then(|rule| rules.external_id(rule)).map_or_else(|| id_of_number(number), str::to_owned)
    };
    let mut met: Vec<String> =
        effects().filter(|own| own["type"] == "fulfillment" && own["met"] == true).map(known).collect();
    // What several campaigns ask for is met once.
    met.sort();
    met.dedup();
    let met = met.iter().map(|id| json!({ "tenant": tenant, "userId": user, "fulfillmentId": id }));
    let paid = effects()
        .filter(|own| own["type"] == "reward" && own["kind"] == KIND)
        .map(|own| json!({ "tenant": tenant, "userId": user, "rewardId": known(own), "points": own["points"] }));
    json!({
        "eventId": id,
        "tenant": tenant,
        "userId": user,
        "fulfillments": met.collect::<Vec<_>>(),
        "rewards": paid.collect::<Vec<_>>(),
    })
}
