//! The authenticator service: customers register and log in. Accounts and tokens are the native ones.

use hyper::StatusCode;
use hyper::body::Bytes;
use serde_json::{Value, json};

use super::Call;
use super::envelope::{Done, Fields, Refusal};

/// Registers a customer, named by the e-mail address.
pub(super) async fn register(call: Call<'_>, body: &Bytes) -> Result<Done, Refusal> {
    let mut fields = Fields::read(body)?;
    let (name, username) = (fields.text("name", 4), fields.text("username", 4));
    let (email, phone) = (fields.text("email", 1), fields.text("phone", 1));
    let password = fields.text("password", 8);
    fields.check()?;
    let registration = json!({ "tenant": call.tenant(), "username": username, "password": password, "email": email });
    let registered = call.post_own("/v1/auth/register", &registration, None).await.map_err(|refusal| {
        let taken = format!("Username {username} already exist");
        let refusal = refusal.saying("username_taken", StatusCode::UNPROCESSABLE_ENTITY, taken);
        refusal.saying("customer_exists", StatusCode::UNPROCESSABLE_ENTITY, format!("Email {email} already exist"))
    })?;
    let data = json!({
        "cognito_id": registered["account"]["id"],
        "name": name,
        "username": username,
        "email": email,
        "phone": phone,
    });
    Ok(Done::made("Customer registered", data))
}

/// Logs in.
pub(super) async fn login(call: Call<'_>, body: &Bytes) -> Result<Done, Refusal> {
    let mut fields = Fields::read(body)?;
    let (username, password) = (fields.text("username", 1), fields.text("password", 1));
    fields.check()?;
    let login = json!({ "tenant": call.tenant(), "username": username, "password": password });
    let session = call.post_own("/v1/auth/login", &login, None).await.map_err(|refusal| {
        refusal.saying("login_failed", StatusCode::UNAUTHORIZED, "Sorry, username or password wrong")
    })?;
    let data = json!({ "token": session["access_token"], "refresh_token": session["refresh_token"] });
    Ok(Done::made("Login success", data))
}

/// Shows the id of the own account.
pub(super) async fn me(call: Call<'_>) -> Result<Done, Refusal> {
    let account = own(&call).await?;
    Ok(Done::found("Customer found", json!({ "cognito_id": account["id"] })))
}

/// Reads the own account.
pub(super) async fn own(call: &Call<'_>) -> Result<Value, Refusal> {
    call.get_own("/v1/auth/me").await
}
