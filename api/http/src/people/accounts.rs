//! What administrators do with the accounts of others, and with the key that all tokens are signed with.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use hyper::{Request, StatusCode, Uri};
use kembali_core::audit::{AccountStanding, Role};
use kembali_core::catalogue::Catalogue;
use kembali_core::{AccountId, CustomerId};
use kembali_engine::{Account, CustomerRef, NewAccount, NewActor, SigningKeyError};

use super::sessions::{check_username, checked_password};
use super::tokens::{self, KeyError};
use crate::app::App;
use crate::auth::Identity;
use crate::codes;
use crate::operations::body_of;
use crate::parameters;
use crate::problem::Problem;
use crate::query::Query;
use crate::reads::Json;
use crate::routes::Endpoint;
use crate::wire::audit::{RoleName, shown_key};
use crate::wire::instant::parse_uuid;
use crate::wire::operation::{REFERENCE_CHARS_MAX, checked};
use crate::wire::session::{AccountPatch, AccountShown, AccountStatus, NewAccountBody, SigningKeyRotated};

/// Creates an account.
pub(crate) async fn post(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    request: Request<Body>,
) -> Result<(StatusCode, Json<AccountShown>), Problem> {
    let query = Query::parse(request.uri(), parameters::of(Endpoint::PostAccount))?;
    app.people.tokens()?;
    let rules = app.tenant(identity, &query).await?;
    let NewAccountBody { username, password, role, customer } = body_of(&app, request).await?;
    check_username(&username)?;
    let password = checked_password(password, "/password")?;
    let customer = customer_of(&app, &rules, role, customer).await?;
    let password = app.people.passwords.hash(password).await?;
    let standing = AccountStanding { role: role.role(), is_suspended: false };
    let new = NewAccount { tenant: rules.tenant, username, standing, customer, alias: None, password };
    let account = app.engine.create_account(NewActor::Other(identity.actor()?), new).await?;
    Ok((StatusCode::CREATED, Json(AccountShown::of(&account, &rules))))
}

/// Finds the customer of a customer's account; all others have none.
async fn customer_of(
    app: &App,
    rules: &Catalogue,
    role: RoleName,
    customer: Option<String>,
) -> Result<Option<CustomerId>, Problem> {
    let invalid = |detail| Problem::new(&codes::FIELD_INVALID).pointer("/customer").detail(detail);
    match (role.role(), customer) {
        (Role::Customer, None) => Err(Problem::new(&codes::FIELD_MISSING).pointer("/customer")),
        (Role::Customer, Some(text)) => {
            let id = parse_uuid(&text).map(CustomerId).ok_or_else(|| invalid("must be the id of a customer"))?;
            let found = app.engine.customer(rules.tenant, &CustomerRef::Id(id)).await?;
            found.map(|_| Some(id)).ok_or_else(|| Problem::new(&codes::CUSTOMER_NOT_FOUND))
        }
        (_, Some(_)) => Err(invalid("is of a customer's account alone")),
        (_, None) => Ok(None),
    }
}

/// Finds an account by its username.
pub(crate) async fn find(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    uri: Uri,
) -> Result<Json<AccountShown>, Problem> {
    let query = Query::parse(&uri, parameters::of(Endpoint::FindAccount))?;
    let rules = app.tenant(identity, &query).await?;
    let found = app.engine.account_by_username(rules.tenant, query.required("username")?)?;
    let account = found.ok_or_else(|| Problem::new(&codes::ACCOUNT_NOT_FOUND))?;
    Ok(Json(AccountShown::of(&account, &rules)))
}

/// Shows an account.
pub(crate) async fn show(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Json<AccountShown>, Problem> {
    let query = Query::parse(&uri, parameters::of(Endpoint::Account))?;
    let rules = app.tenant(identity, &query).await?;
    let account = found(&app, &rules, &id)?;
    Ok(Json(AccountShown::of(&account, &rules)))
}

fn found(app: &App, rules: &Catalogue, id: &str) -> Result<Arc<Account>, Problem> {
    let unknown = || Problem::new(&codes::ACCOUNT_NOT_FOUND);
    let id = parse_uuid(id).map(AccountId).ok_or_else(unknown)?;
    // Those of other tenants are not there.
    app.engine.account(id)?.filter(|account| account.tenant == rules.tenant).ok_or_else(unknown)
}

/// Suspends an account, opens it again, gives it another role or password. Its sessions end.
pub(crate) async fn patch(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Result<Json<AccountShown>, Problem> {
    let query = Query::parse(request.uri(), parameters::of(Endpoint::PatchAccount))?;
    let rules = app.tenant(identity, &query).await?;
    let account = found(&app, &rules, &id)?;
    let AccountPatch { role, status, password, reason } = body_of(&app, request).await?;
    if identity.bearer().is_ok_and(|bearer| bearer.account == account.id) {
        return Err(Problem::new(&codes::ACCOUNT_OWN));
    }
    let reason = reason.map(|text| checked(text, REFERENCE_CHARS_MAX, "/reason")).transpose()?;
    let password = match password {
        Some(password) => Some(app.people.passwords.hash(checked_password(password, "/password")?).await?),
        None => None,
    };
    // What is not said stays as it is by then.
    let edit = |standing: &mut AccountStanding| {
        let role = role.map_or(standing.role, RoleName::role);
        if (role == Role::Customer) != (standing.role == Role::Customer) {
            return Err(Problem::new(&codes::ACCOUNT_ROLE_FIXED).pointer("/role"));
        }
        standing.role = role;
        standing.is_suspended = status.map_or(standing.is_suspended, |status| status == AccountStatus::Suspended);
        Ok(())
    };
    let whose = (rules.tenant, account.id);
    let reason = reason.map(String::into_boxed_str);
    let changed: Result<_, Problem> = app.engine.change_account(identity.actor()?, whose, reason, edit, password).await;
    let changed = changed?;
    Ok(Json(AccountShown::of(&changed, &rules)))
}

/// Makes another key, which tokens are signed with from now on. Those that are out stay good until they are over.
pub(crate) async fn rotate(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    uri: Uri,
) -> Result<(StatusCode, Json<SigningKeyRotated>), Problem> {
    Query::parse(&uri, parameters::of(Endpoint::RotateSigningKey))?;
    let tokens = app.people.tokens()?;
    let key = tokens::rotate(&app.engine, identity.actor()?).await?;
    tokens.add(&key).map_err(|error| Problem::internal(&error))?;
    Ok((StatusCode::CREATED, Json(SigningKeyRotated { kid: shown_key(key.id) })))
}

impl From<KeyError> for Problem {
    fn from(error: KeyError) -> Problem {
        match error {
            KeyError::Keep(SigningKeyError::Disabled) => Problem::new(&codes::PEOPLE_DISABLED),
            KeyError::Keep(SigningKeyError::Administer(error)) => error.into(),
            error @ (KeyError::Make(_) | KeyError::Keep(SigningKeyError::Unsealed(_))) => Problem::internal(&error),
        }
    }
}
