//! The promo service: programmes and what they pay, which are a promo and its bands here.

use hyper::StatusCode;
use hyper::body::Bytes;
use kembali_engine::Bound;
use kembali_http::parse_bound;
use serde_json::{Value, json};

use super::Call;
use super::customers::rules;
use super::envelope::{Done, Fields, Refusal};
use crate::call::in_address;

/// From this quantity on all are one.
const QUANTITY_MAX: u64 = 3;

/// Lists the programmes.
pub(super) async fn programs(call: Call<'_>) -> Result<Done, Refusal> {
    let list = call.get("/v1/promos").await?;
    let programs: Vec<Value> = list["data"].as_array().into_iter().flatten().map(program).collect();
    Ok(Done::found("Programs found", programs.into()))
}

/// Shows a programme.
pub(super) async fn one(call: Call<'_>, code: &str) -> Result<Done, Refusal> {
    Ok(Done::found("Program found", program(&promo(&call, code).await?)))
}

/// Shows how much of a quota is left. Here nothing is paid beyond it.
pub(super) async fn remain(call: Call<'_>, code: &str) -> Result<Done, Refusal> {
    let promo = promo(&call, code).await?;
    let data = json!({
        "program_id": promo["id"],
        "quota": promo["quota"],
        "total": promo["used"],
        "remain": promo["remaining"],
    });
    Ok(Done::found("Remain found", data))
}

/// Makes a programme, which pays nothing yet.
pub(super) async fn create(call: Call<'_>, body: &Bytes) -> Result<Done, Refusal> {
    let mut fields = Fields::read(body)?;
    let (code, quota) = (fields.text("code_key", 1), fields.number("quota"));
    let (starts_at, ends_at) = (fields.text("period_start", 1), fields.text("period_end", 1));
    fields.check()?;
    match promo(&call, &code).await {
        Ok(_) => return Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, format!("Program {code} already exist"))),
        Err(refusal) if refusal.status == StatusCode::NOT_FOUND => (),
        Err(refusal) => return Err(refusal),
    }
    let wanted = json!({ "code": code, "quota": quota, "starts_at": starts_at, "ends_at": ends_at, "bands": [] });
    call.put(&path(&code), &wanted).await?;
    Ok(Done::made("Program created", program(&promo(&call, &code).await?)))
}

/// Lists what all programmes pay.
pub(super) async fn configs(call: Call<'_>) -> Result<Done, Refusal> {
    let list = call.get("/v1/promos").await?;
    let promos = list["data"].as_array().into_iter().flatten();
    let configs: Vec<Value> = promos.flat_map(|promo| bands(promo).map(|band| config(promo, band))).collect();
    Ok(Done::found("Configs found", configs.into()))
}

/// Shows a part of what a programme pays.
pub(super) async fn config_by_id(call: Call<'_>, id: &str) -> Result<Done, Refusal> {
    let list = call.get("/v1/promos").await?;
    let promos = list["data"].as_array().into_iter().flatten();
    let mut configs = promos.flat_map(|promo| bands(promo).map(|band| config(promo, band)));
    let none = || Refusal::new(StatusCode::NOT_FOUND, "Config does not exist");
    Ok(Done::found("Config found", configs.find(|config| config["id"] == id).ok_or_else(none)?))
}

/// Adds to what a programme pays. Nothing may overlap what it pays already.
pub(super) async fn create_config(call: Call<'_>, body: &Bytes) -> Result<Done, Refusal> {
    let mut fields = Fields::read(body)?;
    let (code, quantity) = (fields.text("code_key", 1), fields.count("quantity", None));
    let (min, max) = (fields.number("min_trx"), fields.optional("max_trx"));
    let percent = fields.number("prosentase");
    fields.check()?;
    let percent = percent.as_str().map_or_else(|| percent.to_string(), str::to_owned);
    let before = promo(&call, &code).await?;
    let mut wanted: Vec<Value> = bands(&before).cloned().collect();
    for band in &mut wanted {
        band.as_object_mut().map(|own| own.remove("id"));
    }
    let mut own =
        json!({ "quantity": quantity, "or_more": quantity == QUANTITY_MAX, "amount_min": min, "percent": percent });
    if let Some(max) = max {
        own["amount_end"] = max;
    }
    wanted.push(own);
    // Of these rules and no later ones: nothing that somebody adds meanwhile is lost.
    call.patch(&path(&code), &json!({ "bands": wanted }), &before["version"]).await?;
    let after = promo(&call, &code).await?;
    let made = bands(&after).last().map(|band| config(&after, band));
    Ok(Done::made("Config created", made.unwrap_or_default()))
}

/// Says what a transaction would be paid by, of what the programmes pay.
pub(super) async fn eligible(call: Call<'_>, body: &Bytes) -> Result<Done, Refusal> {
    let mut fields = Fields::read(body)?;
    let (time, code) = (fields.text("transaction_time", 1), fields.text("promo_code", 1));
    let (quantity, amount) = (fields.count("quantity", None), fields.count("act_trx", None));
    fields.check()?;
    // Asked for, so that whoever may not see it is refused as anywhere.
    let promo = promo(&call, &code).await?;
    let wrong = |name: &str| Refusal::new(StatusCode::BAD_REQUEST, vec![format!("{name} is not possible")]);
    let Some(Bound::Received(at)) = parse_bound(&time) else { return Err(wrong("transaction_time")) };
    let quantity = i64::try_from(quantity).map_err(|_| wrong("quantity"))?;
    let amount = i64::try_from(amount).ok().and_then(kembali_core::Amount::new).ok_or_else(|| wrong("act_trx"))?;
    let rules = rules(&call).await?;
    let own = rules.promos.iter().find(|own| own.code == code);
    let found = own.and_then(|own| own.find(at, quantity, amount).ok());
    let band = found.and_then(|found| bands(&promo).find(|band| band["id"] == found.band.0));
    let none = || Refusal::new(StatusCode::NOT_FOUND, "Config does not exist");
    Ok(Done::found("Config found", config(&promo, band.ok_or_else(none)?)))
}

fn path(code: &str) -> String {
    format!("/v1/promos/{}", in_address(code))
}

async fn promo(call: &Call<'_>, code: &str) -> Result<Value, Refusal> {
    let promo = call.get(&path(code)).await;
    promo.map_err(|refusal| refusal.saying("promo_not_found", StatusCode::NOT_FOUND, "Program does not exist"))
}

fn bands(promo: &Value) -> impl Iterator<Item = &Value> {
    promo["bands"].as_array().into_iter().flatten()
}

fn program(promo: &Value) -> Value {
    json!({
        "id": promo["id"],
        "code_key": promo["code"],
        "quota": promo["quota"],
        "period_start": promo["starts_at"],
        "period_end": promo["ends_at"],
    })
}

fn config(promo: &Value, band: &Value) -> Value {
    json!({
        // Bands are numbered within their promo.
        "id": format!("{}-{}", promo["id"], band["id"]),
        "quantity": band["quantity"],
        "min_trx": band["amount_min"],
        "max_trx": band["amount_end"],
        "prosentase": band["percent"],
        "program": program(promo),
    })
}
