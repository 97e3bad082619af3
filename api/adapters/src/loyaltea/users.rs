//! The user service, and the points of users. A user is a customer that its id names: the tenant's reference, or the e-mail address.

use hyper::StatusCode;
use serde_json::{Value, json};

use super::Call;
use super::answer::{Done, Refusal};
use super::fields::Fields;
use super::rewards::KIND;
use crate::call::in_address;
use crate::rules::{new_id, uuid};

/// Users of a page, unless the caller says otherwise.
const LIMIT_USUAL: usize = 1_000;
/// Customers that one native page holds at most.
const NATIVE_MAX: usize = 200;

/// The member of a customer, and the parameter of a lookup, that an id is: addresses have an `@`, references of users have none.
pub(super) fn named(id: &str) -> &'static str {
    if id.contains('@') { "email" } else { "ref" }
}

/// Writes a user's id in one way: Loyaltea's are UUIDs.
pub(super) fn user_id(text: String) -> String {
    uuid(&text).unwrap_or(text)
}

/// Makes a user. Nothing is kept of people but what names them.
pub(super) async fn create(call: Call<'_>, mut fields: Fields) -> Result<Done, Refusal> {
    let tenant = fields.optional_text("tenant");
    let (id, fullname, username) = (fields.optional_uuid("id"), fields.text("fullname"), fields.text("username"));
    fields.check()?;
    let id = id.map_or_else(new_id, Ok)?;
    let call = tenant.as_deref().map_or_else(|| call.clone(), |tenant| call.about(tenant));
    call.post("/v1/customers", &json!({ "ref": id }), None).await?;
    Ok(Done::found(json!({ "id": id, "fullname": fullname, "username": username })))
}

/// Lists the users.
pub(super) async fn list(call: Call<'_>, query: &[(String, String)]) -> Result<Done, Refusal> {
    let user = |customer: &Value| {
        let id = id_of(customer)?;
        Some(json!({ "id": id, "fullname": id, "username": id }))
    };
    let (users, next) = page(&call, query, "/user", user).await?;
    Ok(Done::page(json!({ "users": users }), next))
}

/// Lists the points of users who have some, or had.
pub(super) async fn points(call: Call<'_>, query: &[(String, String)]) -> Result<Done, Refusal> {
    let (rows, next) = page(&call, query, "/user-rewards/", |own| row(own, id_of(own)?)).await?;
    Ok(Done::page(rows.into(), next))
}

/// Shows the points of a user.
pub(super) async fn points_of(call: Call<'_>, id: &str) -> Result<Done, Refusal> {
    let id = user_id(id.to_owned());
    let found = call.get(&format!("/v1/customers?{}={}", named(&id), in_address(&id))).await;
    let found = found.map_err(|own| if own.is("customer_not_found") { Refusal::not_found() } else { own })?;
    // A partner knows whom it asked for, and is not shown more.
    row(&found, &id).map(Done::found).ok_or_else(Refusal::not_found)
}

/// Nobody can be named any more who was erased.
fn id_of(customer: &Value) -> Option<&str> {
    customer["ref"].as_str().or_else(|| customer["email"].as_str())
}

fn row(customer: &Value, id: &str) -> Option<Value> {
    let own = customer["points"].as_array().into_iter().flatten().find(|own| own["kind"] == KIND)?;
    Some(json!({ "tenant": customer["tenant"], "user_id": id, "points": own["balance"] }))
}

/// Makes a page of what is shown of the tenant's customers, and says where it goes on.
async fn page(
    call: &Call<'_>,
    query: &[(String, String)],
    path: &str,
    shown: impl Fn(&Value) -> Option<Value>,
) -> Result<(Vec<Value>, Option<String>), Refusal> {
    let parameter = |name: &str| query.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str());
    let wrong = || Refusal::new(StatusCode::BAD_REQUEST, format!("limit must be 1 to {LIMIT_USUAL}"));
    let limit = match parameter("limit") {
        None => LIMIT_USUAL,
        Some(text) => text.parse().ok().filter(|limit| (1..=LIMIT_USUAL).contains(limit)).ok_or_else(wrong)?,
    };
    let mut cursor = parameter("cursor").map(str::to_owned);
    let (mut all, mut looked_at) = (Vec::new(), 0);
    while looked_at < limit {
        let from = cursor.as_ref().map_or_else(String::new, |cursor| format!("&cursor={}", in_address(cursor)));
        let count = NATIVE_MAX.min(limit - looked_at);
        let native = call.get(&format!("/v1/reports/customers?limit={count}{from}")).await?;
        let customers = native["data"].as_array().map(Vec::as_slice).unwrap_or_default();
        looked_at += customers.len();
        all.extend(customers.iter().filter_map(&shown));
        cursor = native["next_cursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            return Ok((all, None));
        }
    }
    // Whoever says nothing expects all of them, and must not take a part for the whole.
    if parameter("limit").is_none() && parameter("cursor").is_none() {
        let told = format!("There are more than {LIMIT_USUAL} users. Ask with ?limit={LIMIT_USUAL}, and follow Link.");
        return Err(Refusal::new(StatusCode::BAD_REQUEST, told));
    }
    let tenant = parameter("tenant").map_or_else(String::new, |tenant| format!("&tenant={}", in_address(tenant)));
    let next = cursor.map(|cursor| format!("{path}?limit={limit}&cursor={}{tenant}", in_address(&cursor)));
    Ok((all, next))
}
