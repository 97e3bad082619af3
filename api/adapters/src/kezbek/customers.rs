//! The customer and loyalty services: who a customer is, what is in the wallet, where it stands.

use hyper::StatusCode;
use hyper::body::Bytes;
use kembali_core::catalogue::{Catalogue, Journey, JourneyLevel, Milestone, TierPolicy, TierProgram};
use serde_json::{Value, json};

use super::Call;
use super::envelope::{Done, Fields, Refusal};
use super::people::own;
use super::transactions::remark;
use crate::call::{Declined, in_address};

/// Transactions of a history that are shown.
const HISTORY_MAX: u64 = 200;

/// Shows what is in the own wallet.
pub(super) async fn balance(call: Call<'_>) -> Result<Done, Refusal> {
    let id = own_id(&call).await?;
    let customer = call.get(&format!("/v1/customers/{}", in_address(&id))).await?;
    Ok(Done::found("Balance found", json!({ "customer_id": id, "current_balance": customer["balance"] })))
}

/// Shows where the caller stands.
pub(super) async fn own_loyalty(call: Call<'_>) -> Result<Done, Refusal> {
    let id = own_id(&call).await?;
    loyalty(call, &id).await
}

async fn own_id(call: &Call<'_>) -> Result<String, Refusal> {
    let account = own(call).await?;
    let none = || Refusal::new(StatusCode::FORBIDDEN, "This is for customers");
    account["customer"].as_str().map(str::to_owned).ok_or_else(none)
}

/// Shows where a customer stands, and would stand at a purchase now: who stayed away too long is not shown a level that is lost.
pub(super) async fn loyalty(call: Call<'_>, id: &str) -> Result<Done, Refusal> {
    let page = call
        .get(&format!("/v1/customers/{}/tiers?limit=1", in_address(id)))
        .await
        .map_err(|own| unknown(own, "id", id))?;
    let rules = rules(&call).await?;
    let (program, policy) = journey(&rules)?;
    let own = page["tiers"].as_array().into_iter().flatten().find(|own| own["program"] == program.name.as_str());
    let first = policy.levels.first().map_or("", |level| level.name.as_str());
    let (level, total) = match own {
        None => (first, json!(0)),
        Some(own) => match own["effective_level"].as_str() {
            Some(level) if own["level"] != level => (level, json!(0)),
            _ => (own["level"].as_str().unwrap_or(first), own["count"].clone()),
        },
    };
    let max = policy.levels.iter().find(|own| own.name == level).map_or(0, |level| level.count_max);
    let data = json!({ "customer_id": page["customer"], "total_trx": total, "tier": level, "max_trx": max });
    Ok(Done::found("Loyalty found", data))
}

/// Lists what a customer's transactions were to the tiers, the newest first.
pub(super) async fn loyalty_history(call: Call<'_>, id: &str) -> Result<Done, Refusal> {
    let path = format!("/v1/customers/{}/purchases?limit={HISTORY_MAX}", in_address(id));
    let page = call.get(&path).await.map_err(|own| unknown(own, "id", id))?;
    let row = |result: &Value| {
        let tier = &result["tiers"][0];
        json!({
            "transaction_id": result["id"],
            "customer_id": result["customer"],
            "transaction_time": result["at"],
            "point": result["point_loyalty"],
            "total_trx": tier["after"]["count"],
            "remark": remark(tier),
            "tier": tier["after"]["level"],
        })
    };
    let rows: Vec<Value> = page["data"].as_array().into_iter().flatten().map(row).collect();
    Ok(Done::found("Loyalty history found", rows.into()))
}

/// Lists the tiers with what each pays, for whoever sees the rules.
pub(super) async fn tiers(call: Call<'_>) -> Result<Done, Refusal> {
    // Asked for, so that whoever may not see the rules is refused as anywhere.
    call.get("/v1/tier-programs").await?;
    let rules = rules(&call).await?;
    let (_, policy) = journey(&rules)?;
    let tier = |(level, own): (usize, &JourneyLevel)| {
        let point =
            |own: &Milestone| json!({ "id": own.id.0, "at_trx": own.at_count, "point": own.points.minor_units() });
        let points: Vec<Value> = own.milestones.iter().map(point).collect();
        json!({ "id": own.id.0, "name": own.name, "level": level + 1, "max_trx": own.count_max, "points": points })
    };
    let tiers: Vec<Value> = policy.levels.iter().enumerate().map(tier).collect();
    Ok(Done::found("Tiers found", tiers.into()))
}

/// Creates a customer. Nothing is kept but the e-mail address.
pub(super) async fn create(call: Call<'_>, body: &Bytes) -> Result<Done, Refusal> {
    let mut fields = Fields::read(body)?;
    let email = fields.text("email", 1);
    fields.check()?;
    let created = call.post("/v1/customers", &json!({ "email": email }), None).await?;
    Ok(Done::made("Customer created", shown(&created["customer"], &Value::Null, &json!(email))))
}

/// Shows the customer of an id.
pub(super) async fn by_id(call: Call<'_>, id: &str) -> Result<Done, Refusal> {
    let customer =
        call.get(&format!("/v1/customers/{}", in_address(id))).await.map_err(|own| unknown(own, "id", id))?;
    Ok(found(&customer))
}

/// Shows the customer of an e-mail address.
pub(super) async fn by_email(call: Call<'_>, email: &str) -> Result<Done, Refusal> {
    let customer = call.get(&format!("/v1/customers?email={}", in_address(email))).await;
    Ok(found(&customer.map_err(|own| unknown(own, "email", email))?))
}

/// Shows the customer of an account.
pub(super) async fn by_account(call: Call<'_>, id: &str) -> Result<Done, Refusal> {
    let account = call.get(&format!("/v1/accounts/{}", in_address(id))).await;
    let account =
        account.map_err(|own| if own.is("account_not_found") { no_customer("cognito id", id) } else { own })?;
    let customer = account["customer"].as_str().ok_or_else(|| no_customer("cognito id", id))?;
    let customer = call.get(&format!("/v1/customers/{}", in_address(customer))).await?;
    Ok(Done::found("Customer found", shown(&customer["id"], &account["id"], &customer["email"])))
}

fn found(customer: &Value) -> Done {
    Done::found("Customer found", shown(&customer["id"], &Value::Null, &customer["email"]))
}

/// Writes a customer. The address is the name, since nothing else is kept.
fn shown(id: &Value, account: &Value, email: &Value) -> Value {
    json!({ "id": id, "cognito_id": account, "name": email, "username": email, "email": email, "phone": null })
}

fn no_customer(by: &str, text: &str) -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, format!("Customer with {by} {text} doesn't exist"))
}

fn unknown(refusal: Refusal, by: &str, text: &str) -> Refusal {
    let is_unknown = refusal.is("customer_not_found") || refusal.is("customer_invalid");
    if is_unknown { no_customer(by, text) } else { refusal }
}

pub(super) async fn rules(call: &Call<'_>) -> Result<std::sync::Arc<Catalogue>, Refusal> {
    let rules = call.engine().catalogue(call.tenant(), None).await.map_err(|_| Declined::internal())?;
    rules.ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, "The tenant has no rules yet"))
}

/// Finds the programme that counts transactions.
fn journey(rules: &Catalogue) -> Result<(&TierProgram, &Journey), Refusal> {
    let own = rules.programs.iter().find_map(|program| match &program.policy {
        TierPolicy::Journey(policy) => Some((program, policy)),
        TierPolicy::Threshold(_) => None,
    });
    own.ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, "The rules have no tiers"))
}
