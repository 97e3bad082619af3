//! What a person does with the own account: registers, logs in, goes on, logs out, changes the password.

use std::net::IpAddr;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use hyper::{Request, StatusCode, Uri};
use kembali_core::Instant;
use kembali_core::audit::{AccountStanding, Role};
use kembali_core::catalogue::Catalogue;
use kembali_core::operation::{Actor, Operation};
use kembali_engine::{Account, AccountError, CustomerRef, NewAccount, NewActor, Operated, OperationRequest, Session};

use super::later;
use super::passwords::PASSWORD_CHARS;
use super::tokens::{ACCESS_SECONDS, Match, RefreshToken, SESSION_SECONDS};
use crate::app::App;
use crate::auth::Identity;
use crate::codes;
use crate::config::STRANGER_BYTES_MAX;
use crate::operations::{body_of, body_within};
use crate::parameters;
use crate::problem::Problem;
use crate::query::Query;
use crate::reads::Json;
use crate::routes::Endpoint;
use crate::wire::purchase::{customer_by_email, has_chars};
use crate::wire::session::{
    AccountShown, Jwks, Login, PasswordChange, Refresh, Registration, SessionTokens, SessionsEnded,
};

/// Where a request comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// Characters that a username may have.
pub(crate) const USERNAME_CHARS: std::ops::RangeInclusive<usize> = 3..=128;

/// Registers a customer, and logs in.
pub(crate) async fn register(
    State(app): State<App>,
    Extension(Peer(address)): Extension<Peer>,
    request: Request<Body>,
) -> Result<(StatusCode, Json<SessionTokens>), Problem> {
    Query::parse(request.uri(), parameters::of(Endpoint::Register))?;
    app.people.tokens()?;
    app.people.limits.address(address)?;
    let Registration { tenant, username, password, email } = body_within(&app, request, STRANGER_BYTES_MAX).await?;
    let closed = || Problem::new(&codes::REGISTRATION_CLOSED);
    if !app.people.registration.contains(&tenant) {
        return Err(closed());
    }
    let rules = app.engine.catalogue(&tenant, None).await?.ok_or_else(closed)?;
    let (text, pointer) = email.map_or_else(|| (username.clone(), "/username"), |email| (email, "/email"));
    let no_address = || Problem::new(&codes::FIELD_INVALID).pointer(pointer).detail("must be an e-mail address");
    // Visible ASCII, as of usernames: two addresses that look alike must not be two customers.
    let customer = customer_by_email(&text).filter(|_| is_plain(&text)).ok_or_else(no_address)?;
    check_username(&username)?;
    let password = checked_password(password, "/password")?;
    if app.engine.customer(rules.tenant, &customer).await?.is_some() {
        // Nobody has shown that the address is theirs, and somebody has something there already.
        return Err(Problem::new(&codes::CUSTOMER_EXISTS));
    }
    app.people.limits.registration(address)?;
    let customer = app.engine.customer_id(rules.tenant, &customer);
    let password = app.people.passwords.hash(password).await?;
    if app.engine.customer(rules.tenant, &CustomerRef::Id(customer)).await?.is_some() {
        return Err(Problem::new(&codes::CUSTOMER_EXISTS));
    }
    let standing = AccountStanding { role: Role::Customer, is_suspended: false };
    // The customer comes to be after the account, at this log-in or at a later one, and so by an address that is kept with it.
    let new =
        NewAccount { tenant: rules.tenant, username, standing, customer: Some(customer), alias: Some(text), password };
    // As a whole, also where whoever asked is gone meanwhile: no account is left without its customer.
    let registered = tokio::spawn(async move {
        let account = app.engine.create_account(NewActor::Own, new).await?;
        open_session(&app, &account, &rules).await
    });
    let session: Result<SessionTokens, Problem> = registered.await.map_err(|error| Problem::internal(&error))?;
    Ok((StatusCode::CREATED, Json(session?)))
}

/// Logs in.
pub(crate) async fn login(
    State(app): State<App>,
    Extension(Peer(address)): Extension<Peer>,
    request: Request<Body>,
) -> Result<(StatusCode, Json<SessionTokens>), Problem> {
    Query::parse(request.uri(), parameters::of(Endpoint::Login))?;
    app.people.tokens()?;
    app.people.limits.address(address)?;
    let Login { tenant, username, password } = body_within(&app, request, STRANGER_BYTES_MAX).await?;
    // What nobody can be called is not remembered by any limit.
    let is_usable = check_username(&username).is_ok();
    let rules = app.engine.catalogue(&tenant, None).await?.filter(|_| is_usable);
    let account = match &rules {
        Some(rules) => {
            app.people.limits.account(rules.tenant, &username, address)?;
            app.engine.account_by_username(rules.tenant, &username)?
        }
        None => None,
    };
    // Whoever is not there is looked at for as long as whoever is.
    let hash = account.as_ref().map(|account| account.password.clone());
    let is_right = has_chars(&password, PASSWORD_CHARS) && app.people.passwords.is_right(password, hash).await?;
    let (Some(rules), Some(account), true) = (rules, account, is_right) else {
        return Err(Problem::new(&codes::LOGIN_FAILED));
    };
    app.people.limits.logged_in(rules.tenant, &username, address);
    Ok((StatusCode::CREATED, Json(open_session(&app, &account, &rules).await?)))
}

/// Opens a session of an account whose person has shown the password that `checked` has.
async fn open_session(app: &App, checked: &Account, rules: &Catalogue) -> Result<SessionTokens, Problem> {
    let now = app.engine.wall();
    let mut session = [0; 16];
    getrandom::fill(&mut session).map_err(|error| Problem::internal(&error))?;
    let refresh = RefreshToken::draw(checked.id, u128::from_be_bytes(session))?;
    ensure_customer(app, checked).await?;
    let account = app.engine.with_account(checked.id, |account| {
        // It was changed while the old one was compared.
        if account.password != checked.password {
            return Err(Problem::new(&codes::LOGIN_FAILED));
        }
        if account.standing.is_suspended {
            return Err(Problem::new(&codes::ACCOUNT_SUSPENDED));
        }
        let session = Session {
            id: refresh.session,
            refresh_hash: refresh.hash(),
            started_at: now,
            used_at: now,
            expires_at: later(now, SESSION_SECONDS),
        };
        account.open_session(session, now);
        Ok(account.clone())
    });
    let account = account.await?;
    tokens(app, &account, rules, refresh, now)
}

/// Creates the customer of an account that was registered, where that was cut off.
async fn ensure_customer(app: &App, account: &Account) -> Result<(), Problem> {
    let Some(customer) = account.customer else { return Ok(()) };
    if app.engine.customer(account.tenant, &CustomerRef::Id(customer)).await?.is_some() {
        return Ok(());
    }
    let alias = app.engine.alias_text(customer)?.unwrap_or_else(|| account.username.clone());
    let Some(email) = customer_by_email(&alias) else { return Ok(()) };
    let request = OperationRequest {
        tenant: account.tenant,
        actor: Actor::Person(account.id, account.standing.role),
        customer: email,
        idempotency_key: None,
        operation: Operation::CreateCustomer,
        wallet_name: None,
        device: None,
        dry_run: false,
    };
    match app.engine.operate(request).await? {
        Operated::Refused { rejection, replayed } => Err(Problem::of_operation_rejection(&rejection, replayed)),
        // Whoever was faster made the same customer.
        _ => Ok(()),
    }
}

fn tokens(
    app: &App,
    account: &Account,
    rules: &Catalogue,
    refresh: RefreshToken,
    now: Instant,
) -> Result<SessionTokens, Problem> {
    Ok(SessionTokens {
        token_type: "Bearer",
        access_token: app.people.tokens()?.issue(account, &rules.slug, refresh.session, now)?,
        expires_in: ACCESS_SECONDS,
        refresh_token: refresh.text(),
        refresh_expires_in: SESSION_SECONDS,
        account: AccountShown::of(account, rules),
    })
}

/// What became of a refresh token.
enum Refreshed {
    Next(Box<Account>, RefreshToken),
    /// It was used before: whoever shows it, or showed it before, has stolen it.
    Reused,
}

/// Goes on with a session: the token is good for once, and the answer has the next one.
pub(crate) async fn refresh(State(app): State<App>, request: Request<Body>) -> Result<Json<SessionTokens>, Problem> {
    Query::parse(request.uri(), parameters::of(Endpoint::Refresh))?;
    app.people.tokens()?;
    let Refresh { refresh_token } = body_within(&app, request, STRANGER_BYTES_MAX).await?;
    let invalid = || Problem::new(&codes::REFRESH_INVALID);
    let shown = RefreshToken::parse(&refresh_token).ok_or_else(invalid)?;
    let next = shown.next()?;
    let now = app.engine.wall();
    let refreshed = app.engine.with_account(shown.account, |account| {
        let session = account.sessions.iter_mut().find(|own| own.id == shown.session && now < own.expires_at);
        let session = session.filter(|_| !account.standing.is_suspended).ok_or_else(invalid)?;
        match shown.is_of(&session.refresh_hash) {
            Match::Next => app.people.limits.session(shown.session)?,
            Match::Used if app.people.leeway.covers(shown.session, &shown.hash(), &session.refresh_hash, now) => {
                app.people.limits.session(shown.session)?;
            }
            Match::Used => {
                account.sessions.retain(|own| own.id != shown.session);
                return Ok(Refreshed::Reused);
            }
            Match::None => return Err(invalid()),
        }
        app.people.leeway.note(shown.session, shown.hash(), next.hash(), now);
        session.refresh_hash = next.hash();
        session.used_at = now;
        session.expires_at = later(now, SESSION_SECONDS);
        Ok(Refreshed::Next(Box::new(account.clone()), next))
    });
    let refreshed: Result<Refreshed, Problem> = refreshed.await;
    match refreshed {
        Ok(Refreshed::Next(account, next)) => {
            let rules = app.tenant_by_id(account.tenant).await?;
            Ok(Json(tokens(&app, &account, &rules, next, now)?))
        }
        Ok(Refreshed::Reused) => Err(Problem::new(&codes::REFRESH_REUSED)),
        // An account that is not there has no sessions either.
        Err(problem) if problem.code.code == codes::ACCOUNT_NOT_FOUND.code => Err(invalid()),
        Err(problem) => Err(problem),
    }
}

/// Ends the session, or with `everywhere` all of the account.
pub(crate) async fn logout(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    uri: Uri,
) -> Result<Json<SessionsEnded>, Problem> {
    let query = Query::parse(&uri, parameters::of(Endpoint::Logout))?;
    let everywhere = query.flag("everywhere")?;
    let bearer = identity.bearer()?;
    let ended = app.engine.with_account(bearer.account, |account| {
        let before = account.sessions.len();
        account.sessions.retain(|own| !everywhere && own.id != bearer.session);
        Ok::<_, Problem>(before - account.sessions.len())
    });
    Ok(Json(SessionsEnded { ended: ended.await? }))
}

/// Changes the own password, which ends all other sessions of the account.
pub(crate) async fn change_password(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Extension(Peer(address)): Extension<Peer>,
    request: Request<Body>,
) -> Result<Json<SessionsEnded>, Problem> {
    Query::parse(request.uri(), parameters::of(Endpoint::ChangePassword))?;
    let bearer = identity.bearer()?;
    let account = own(&app, identity)?;
    app.people.limits.account(account.tenant, &account.username, address)?;
    let PasswordChange { password, new_password } = body_of(&app, request).await?;
    let new_password = checked_password(new_password, "/new_password")?;
    let hash = Some(account.password.clone());
    if !has_chars(&password, PASSWORD_CHARS) || !app.people.passwords.is_right(password, hash).await? {
        return Err(Problem::new(&codes::PASSWORD_WRONG).pointer("/password"));
    }
    let hashed = app.people.passwords.hash(new_password).await?;
    let (before, now) = (account.password.clone(), app.engine.wall());
    let ended = app.engine.with_account(bearer.account, |account| {
        // What was compared is not what holds any more, or the person is out.
        let is_in = !account.standing.is_suspended && account.session(bearer.session, now).is_some();
        if !is_in || account.password != before {
            return Err(Problem::new(&codes::SESSION_ENDED));
        }
        account.password = hashed;
        let sessions = account.sessions.len();
        account.sessions.retain(|own| own.id == bearer.session);
        Ok(sessions - account.sessions.len())
    });
    Ok(Json(SessionsEnded { ended: ended.await? }))
}

/// Shows the own account.
pub(crate) async fn me(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    uri: Uri,
) -> Result<Json<AccountShown>, Problem> {
    Query::parse(&uri, parameters::of(Endpoint::Me))?;
    let account = own(&app, identity)?;
    let rules = app.tenant_by_id(account.tenant).await?;
    Ok(Json(AccountShown::of(&account, &rules)))
}

/// Shows the public keys of tokens.
pub(crate) async fn public_keys(State(app): State<App>, uri: Uri) -> Result<Json<Jwks>, Problem> {
    Query::parse(&uri, parameters::of(Endpoint::PublicKeys))?;
    Ok(Json(app.people.tokens()?.public_keys(app.engine.wall())))
}

fn own(app: &App, identity: Identity) -> Result<std::sync::Arc<Account>, Problem> {
    let ended = || Problem::new(&codes::SESSION_ENDED);
    app.engine.account(identity.bearer()?.account)?.ok_or_else(ended)
}

/// Takes a password that is long enough.
pub(super) fn checked_password(password: String, pointer: &'static str) -> Result<String, Problem> {
    if has_chars(&password, PASSWORD_CHARS) {
        return Ok(password);
    }
    let (min, max) = (PASSWORD_CHARS.start(), PASSWORD_CHARS.end());
    let detail = format!("must have {min} to {max} characters and no control characters");
    Err(Problem::new(&codes::FIELD_INVALID).pointer(pointer).detail(detail))
}

/// Returns true for text that looks like no other.
fn is_plain(text: &str) -> bool {
    USERNAME_CHARS.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Takes a username of visible ASCII, so that none looks like another.
pub(super) fn check_username(username: &str) -> Result<(), Problem> {
    if is_plain(username) {
        return Ok(());
    }
    let (min, max) = (USERNAME_CHARS.start(), USERNAME_CHARS.end());
    let detail = format!("must have {min} to {max} visible ASCII characters");
    Err(Problem::new(&codes::FIELD_INVALID).pointer("/username").detail(detail))
}

impl From<AccountError> for Problem {
    fn from(error: AccountError) -> Problem {
        match error {
            AccountError::UsernameTaken => Problem::new(&codes::USERNAME_TAKEN).pointer("/username"),
            AccountError::CustomerExists => Problem::new(&codes::CUSTOMER_EXISTS),
            AccountError::CustomerErased => Problem::new(&codes::CUSTOMER_ERASED),
            AccountError::Unknown => Problem::new(&codes::ACCOUNT_NOT_FOUND),
            error @ AccountError::TextTooLong => Problem::internal(&error),
            AccountError::Random(error) => Problem::internal(&error),
            AccountError::Administer(error) => error.into(),
            AccountError::Read(error) => error.into(),
        }
    }
}
