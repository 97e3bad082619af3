//! The wallet service: what moved in a customer's wallet. Money is put in and taken out by operators alone.

use hyper::StatusCode;
use hyper::body::Bytes;
use serde_json::{Value, json};

use super::Call;
use super::envelope::{Done, Fields, Refusal};
use crate::call::in_address;

/// Rows that are shown, unless the caller says otherwise.
const TOTAL_USUAL: u64 = 10;
/// Rows that are shown at most.
const TOTAL_MAX: u64 = 200;
/// What KezBek's own entries say.
const DESCRIPTION: &str = "KezBekPoint";

/// Puts money into a wallet by hand, or takes it out; once for each transaction id.
pub(super) async fn adjust(call: Call<'_>, body: &Bytes) -> Result<Done, Refusal> {
    let mut fields = Fields::read(body)?;
    let (transaction, customer) = (fields.text("transaction_id", 1), fields.text("customer_id", 1));
    let kind = fields.text("transaction_type", 1);
    let description = fields.text("transaction_description", 1);
    let amount = fields.number("amount");
    fields.check()?;
    let direction = match kind.as_str() {
        "IN" => "credit",
        "OUT" => "debit",
        _ => return Err(Refusal::new(StatusCode::BAD_REQUEST, vec!["transaction_type must be IN or OUT"])),
    };
    let path = format!("/v1/customers/{}/wallets/0/adjustments", in_address(&customer));
    let wanted = json!({ "amount": amount, "direction": direction, "reason": description });
    let done = call.post(&path, &wanted, Some(&transaction)).await?;
    let data = json!({
        "transaction_id": transaction,
        "customer_id": customer,
        "transaction_time": done["received_at"],
        "transaction_type": kind,
        "transaction_description": description,
        "amount": amount,
    });
    Ok(Done::made("Wallet transaction created", data))
}

/// Lists what moved in a customer's wallet, the newest first.
pub(super) async fn transactions(call: Call<'_>, body: &Bytes) -> Result<Done, Refusal> {
    let row = |entry: &Value| {
        json!({
            "transaction_id": id_of(entry),
            "customer_id": null,
            "transaction_time": entry["received_at"],
            "transaction_type": if entry["direction"] == "credit" { "IN" } else { "OUT" },
            "transaction_description": entry["operation"].as_str().unwrap_or(DESCRIPTION),
            "amount": entry["amount"],
        })
    };
    rows(call, body, row).await
}

/// Lists what was in a customer's wallet afterwards, the newest first.
pub(super) async fn balances(call: Call<'_>, body: &Bytes) -> Result<Done, Refusal> {
    let row = |entry: &Value| {
        json!({
            "transaction_id": id_of(entry),
            "customer_id": null,
            "transaction_time": entry["received_at"],
            "balance": entry["balance_after"],
        })
    };
    rows(call, body, row).await
}

/// The purchase that an entry is of, or the position of the operation.
fn id_of(entry: &Value) -> Value {
    if entry["purchase"].is_null() { entry["seq"].to_string().into() } else { entry["purchase"].clone() }
}

async fn rows(call: Call<'_>, body: &Bytes, row: impl Fn(&Value) -> Value) -> Result<Done, Refusal> {
    let mut fields = Fields::read(body)?;
    let (customer, total) = (fields.text("customer_id", 1), fields.count("total", Some(TOTAL_USUAL)));
    fields.check()?;
    let path = format!("/v1/customers/{}/entries?limit={}", in_address(&customer), total.min(TOTAL_MAX));
    let none = || Refusal::new(StatusCode::NOT_FOUND, "Data not found");
    let page = call.get(&path).await.map_err(|own| if own.is("customer_not_found") { none() } else { own })?;
    // The first wallet is the only one that KezBek knows.
    let entries = page["data"].as_array().into_iter().flatten().filter(|entry| entry["wallet"] == 0);
    let with_customer = |entry: &Value| {
        let mut own = row(entry);
        own["customer_id"] = page["customer"].clone();
        own
    };
    let rows: Vec<Value> = entries.map(with_customer).collect();
    if rows.is_empty() { Err(none()) } else { Ok(Done::found("Data found", rows.into())) }
}
