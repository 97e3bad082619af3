//! Operations on a customer's accounts beside purchases: wallets, deposits, adjustments, activities, levels by hand.
//!
//! Whoever asks again under the same `Idempotency-Key` gets the same answer; see [`kembali_core::operation`].

pub(crate) mod holds;
pub(crate) mod invoices;
pub(crate) mod reviews;
pub(crate) mod risk;

use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, HttpBody as _};
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use hyper::header::{HeaderMap, HeaderValue};
use hyper::{Request, StatusCode, Uri};
use kembali_core::catalogue::Catalogue;
use kembali_core::draft::NAME_BYTES_MAX;
use kembali_core::event::{Body as Done, Record};
use kembali_core::operation::{Actor, Operation, TierMove};
use kembali_core::wallet::WalletStatus;
use kembali_core::{CustomerId, Seq, TenantId, WalletId};
use kembali_engine::{CustomerRef, DeskRequest, Operated, OperationRequest, Refunded};

use crate::app::App;
use crate::auth::Identity;
use crate::body::read_json;
use crate::codes;
use crate::config::BODY_BYTES_MAX;
use crate::parameters;
use crate::problem::{Problem, REPLAYED_HEADER};
use crate::query::Query;
use crate::reads::{Json, json_response};
use crate::routes::Endpoint;
use crate::wire::event::partner_of;
use crate::wire::instant::UuidText;
use crate::wire::operation::{
    NewActivity, NewAdjustment, NewCustomer, NewDeposit, NewReason, NewRedemption, NewWallet, OperationBody,
    OperationUnchanged, REFERENCE_CHARS_MAX, WalletChange, WalletPatch, checked, operation_of, parse, render,
};
use crate::wire::purchase::{customer_by_email, customer_by_id, customer_by_ref};
use crate::wire::refund::NewRefund;
use crate::wire::result::Rules;
use crate::wire::transfer::NewTransfer;

/// The header that names a request for ever, or nearly.
pub(crate) const KEY_HEADER: &str = "idempotency-key";
/// Characters that a key may have.
const KEY_CHARS_MAX: usize = 255;

/// Creates a customer, or says which one has the name already.
pub(crate) async fn post_customer(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let ask = Ask::read(&app, identity, Endpoint::PostCustomer, request.uri(), request.headers()).await?;
    let body: NewCustomer = body_of(&app, request).await?;
    let customer = match (body.email, body.reference) {
        (Some(email), None) => customer_by_email(&email),
        (None, Some(text)) => customer_by_ref(&text),
        _ => None,
    };
    let customer = customer.ok_or_else(|| Problem::new(&codes::CUSTOMER_INVALID))?;
    ask.operate(&app, customer, Operation::CreateCustomer, None).await
}

/// Opens one more wallet.
pub(crate) async fn post_wallet(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let ask = Ask::read(&app, identity, Endpoint::PostWallet, request.uri(), request.headers()).await?;
    let name = body_of::<NewWallet>(&app, request).await?.name()?;
    ask.operate(&app, customer(&id)?, Operation::OpenWallet, Some(name)).await
}

/// Renames a wallet, freezes it, or makes it active again.
pub(crate) async fn patch_wallet(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Path((id, wallet)): Path<(String, String)>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let ask = Ask::read(&app, identity, Endpoint::PatchWallet, request.uri(), request.headers()).await?;
    let (customer, wallet) = (customer(&id)?, wallet_id(&wallet)?);
    let (operation, name) = match body_of::<WalletPatch>(&app, request).await?.change()? {
        WalletChange::Rename(name) => (Operation::RenameWallet { wallet }, Some(name)),
        WalletChange::Status(status) => (Operation::SetWalletStatus { wallet, status }, None),
    };
    ask.changes().operate(&app, customer, operation, name).await
}

/// Closes a wallet that is empty.
pub(crate) async fn delete_wallet(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Path((id, wallet)): Path<(String, String)>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let ask = Ask::read(&app, identity, Endpoint::DeleteWallet, request.uri(), request.headers()).await?;
    let operation = Operation::SetWalletStatus { wallet: wallet_id(&wallet)?, status: WalletStatus::Closed };
    ask.changes().operate(&app, customer(&id)?, operation, None).await
}

/// Puts money from outside into a wallet.
pub(crate) async fn post_deposit(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Path((id, wallet)): Path<(String, String)>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let ask = Ask::read(&app, identity, Endpoint::PostDeposit, request.uri(), request.headers()).await?;
    let (customer, wallet) = (customer(&id)?, wallet_id(&wallet)?);
    let mut body: NewDeposit = body_of(&app, request).await?;
    let ask = ask.with_device(body.device.take())?;
    let (amount, reference) = (body.amount.0, body.reference()?);
    ask.operate(&app, customer, Operation::Deposit { wallet, amount, reference }, None).await
}

/// Puts a wallet right by hand.
pub(crate) async fn post_adjustment(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Path((id, wallet)): Path<(String, String)>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let ask = Ask::read(&app, identity, Endpoint::PostAdjustment, request.uri(), request.headers()).await?;
    let (customer, wallet) = (customer(&id)?, wallet_id(&wallet)?);
    let body: NewAdjustment = body_of(&app, request).await?;
    let (amount, direction, reason) = (body.amount.0, body.direction.direction(), body.reason()?);
    ask.operate(&app, customer, Operation::Adjust { wallet, direction, amount, reason }, None).await
}

/// Sends money to another wallet.
pub(crate) async fn post_transfer(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Path((id, wallet)): Path<(String, String)>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let ask = Ask::read(&app, identity, Endpoint::PostTransfer, request.uri(), request.headers()).await?;
    let (customer, wallet) = (customer(&id)?, wallet_id(&wallet)?);
    let mut body: NewTransfer = body_of(&app, request).await?;
    let ask = ask.with_device(body.device.take())?;
    let to = app.engine.customer_id(ask.tenant, &body.target()?);
    let (to_wallet, amount) = (body.wallet()?, body.amount.0);
    let operation = Operation::Transfer { wallet, to, to_wallet, amount, reference: body.reference()? };
    ask.operate(&app, customer, operation, None).await
}

/// Forgets who a customer is.
pub(crate) async fn erase_customer(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let ask = Ask::read(&app, identity, Endpoint::EraseCustomer, request.uri(), request.headers()).await?.changes();
    let reason = body_of::<NewReason>(&app, request).await?.reason()?;
    let (dry_run, done) = (ask.dry_run, ask.done);
    let request = ask.request(customer(&id)?, Operation::EraseCustomer { reason }, None);
    finish(&app, app.engine.erase(request).await?, dry_run, done)
}

/// Counts something that the customer did.
pub(crate) async fn post_activity(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let ask = Ask::read(&app, identity, Endpoint::PostActivity, request.uri(), request.headers()).await?;
    let operation = body_of::<NewActivity>(&app, request).await?.operation()?;
    ask.operate(&app, customer(&id)?, operation, None).await
}

/// Spends points on an offer.
pub(crate) async fn post_redemption(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let ask = Ask::read(&app, identity, Endpoint::PostRedemption, request.uri(), request.headers()).await?;
    let NewRedemption { offer, quantity } = body_of(&app, request).await?;
    // No record keeps a name that nothing can have.
    if NAME_BYTES_MAX < offer.len() {
        return Err(Problem::new(&codes::OFFER_NOT_FOUND));
    }
    let operation = Operation::Redeem { offer: offer.into(), quantity: quantity.map_or(1, |quantity| quantity.0) };
    ask.operate(&app, customer(&id)?, operation, None).await
}

/// Moves the customer one level up.
pub(crate) async fn promote(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Path((id, program)): Path<(String, String)>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let ask = Ask::read(&app, identity, Endpoint::Promote, request.uri(), request.headers()).await?;
    let operation = Operation::MoveTier { program: program_name(program)?, to: TierMove::Up };
    ask.operate(&app, customer(&id)?, operation, None).await
}

/// Moves the customer one level down.
pub(crate) async fn demote(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Path((id, program)): Path<(String, String)>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let ask = Ask::read(&app, identity, Endpoint::Demote, request.uri(), request.headers()).await?;
    let operation = Operation::MoveTier { program: program_name(program)?, to: TierMove::Down };
    ask.operate(&app, customer(&id)?, operation, None).await
}

/// Takes a purchase back, in whole or in part.
pub(crate) async fn post_refund(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let query = Query::parse(request.uri(), parameters::of(Endpoint::PostRefund))?;
    let (actor, dry_run) = (identity.actor()?, query.flag("dry_run")?);
    let rules = app.tenant(identity, &query).await?;
    let refund = body_of::<NewRefund>(&app, request).await?.request(actor, &rules, dry_run)?;
    match app.engine.refund(refund).await? {
        Refunded::Operated(operated) => finish(&app, operated, dry_run, StatusCode::CREATED),
        Refunded::Conflict { seq } => Err(Problem::new(&codes::REFUND_ID_CONFLICT).member("seq", seq.0)),
        Refunded::PurchaseUnknown => Err(Problem::new(&codes::PURCHASE_NOT_FOUND).pointer("/origin_id")),
        Refunded::PurchaseRefused { code } => {
            Err(Problem::new(&codes::PURCHASE_REFUSED).pointer("/origin_id").member("reason", code.as_str()))
        }
    }
}

/// Takes an operation back.
pub(crate) async fn reverse(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Path(seq): Path<String>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let ask = Ask::read(&app, identity, Endpoint::Reverse, request.uri(), request.headers()).await?;
    let unknown = || Problem::new(&codes::OPERATION_NOT_FOUND);
    let seq: Seq = seq.parse().map(Seq).map_err(|_| unknown())?;
    let reason = body_of::<NewReason>(&app, request).await?.reason()?;
    let (original, _) = app.engine.record(seq).await?.ok_or_else(unknown)?;
    operation_of(&original.body).filter(|_| original.body.tenant == ask.tenant).ok_or_else(unknown)?;
    // What no customer owns is no more reversed than other kinds are; but nobody's row can say so.
    let customer = original.body.customer.ok_or_else(|| Problem::new(&codes::OPERATION_NOT_REVERSIBLE))?;
    ask.operate_on(&app, original, customer, Operation::Reverse { operation: seq, reason }).await
}

/// Shows an operation, byte for byte as it was answered when it was done. A partner sees its own only, and a customer what was done
/// with its accounts.
pub(crate) async fn show(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Path(seq): Path<String>,
    uri: Uri,
) -> Result<Response, Problem> {
    let query = Query::parse(&uri, parameters::of(Endpoint::Operation))?;
    app.reach_min_seq(&query).await?;
    let tenant = app.tenant(identity, &query).await?;
    let unknown = || Problem::new(&codes::OPERATION_NOT_FOUND);
    let seq: Seq = seq.parse().map(Seq).map_err(|_| unknown())?;
    let (record, catalogue) = app.engine.record(seq).await?.ok_or_else(unknown)?;
    operation_of(&record.body).filter(|_| record.body.tenant == tenant.tenant).ok_or_else(unknown)?;
    match identity {
        Identity::Operator(_) => (),
        Identity::Partner(caller) if partner_of(&record.body) == Some(caller.partner) => (),
        Identity::Customer(caller) if record.body.customer == Some(caller.customer) => (),
        Identity::Partner(_) | Identity::Customer(_) | Identity::Nobody => return Err(unknown()),
    }
    answer(&app, StatusCode::OK, Some(seq), &record.body, &catalogue, false)
}

/// What is asked, before the body was read.
struct Ask {
    tenant: TenantId,
    actor: Actor,
    key: Option<String>,
    dry_run: bool,
    /// The caller's name of the device that is used.
    device: Option<String>,
    /// The status of what is done.
    done: StatusCode,
}

impl Ask {
    async fn read(
        app: &App,
        identity: Identity,
        endpoint: Endpoint,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<Ask, Problem> {
        let query = Query::parse(uri, parameters::of(endpoint))?;
        let actor = identity.actor()?;
        let tenant = app.tenant(identity, &query).await?.tenant;
        let (key, dry_run) = (key_of(headers)?, query.flag("dry_run")?);
        if key.is_none() && parameters::insists_on_key(endpoint) == Some(true) {
            return Err(Problem::new(&codes::IDEMPOTENCY_KEY_MISSING));
        }
        Ok(Ask { tenant, actor, key, dry_run, device: None, done: StatusCode::CREATED })
    }

    /// Names the device that is used.
    fn with_device(self, device: Option<String>) -> Result<Ask, Problem> {
        let device = device.map(|text| checked(text, REFERENCE_CHARS_MAX, "/device")).transpose()?;
        Ok(Ask { device, ..self })
    }

    /// Changes something instead of making it.
    fn changes(self) -> Ask {
        Ask { done: StatusCode::OK, ..self }
    }

    async fn operate(
        self,
        app: &App,
        customer: CustomerRef,
        operation: Operation,
        wallet_name: Option<String>,
    ) -> Result<Response, Problem> {
        let (dry_run, done) = (self.dry_run, self.done);
        let request = self.request(customer, operation, wallet_name);
        finish(app, app.engine.operate(request).await?, dry_run, done)
    }

    fn request(self, customer: CustomerRef, operation: Operation, wallet_name: Option<String>) -> OperationRequest {
        let Ask { tenant, actor, key: idempotency_key, dry_run, device, done: _ } = self;
        OperationRequest { tenant, actor, customer, idempotency_key, operation, wallet_name, device, dry_run }
    }

    /// Operates on what an earlier record of a customer says.
    async fn operate_on(
        self,
        app: &App,
        original: Arc<Record>,
        customer: CustomerId,
        operation: Operation,
    ) -> Result<Response, Problem> {
        let (dry_run, done) = (self.dry_run, self.done);
        let request = self.request(CustomerRef::Id(customer), operation, None);
        finish(app, app.engine.operate_on(request, original).await?, dry_run, done)
    }

    /// Does what no customer has a part in.
    async fn operate_alone(self, app: &App, operation: Operation) -> Result<Response, Problem> {
        let Ask { tenant, actor, key: idempotency_key, dry_run, done, .. } = self;
        let request = DeskRequest { tenant, actor, idempotency_key, operation, dry_run };
        finish(app, app.engine.operate_alone(request).await?, dry_run, done)
    }
}

/// Answers with what became of an operation; `done` is the status of one that is done.
fn finish(app: &App, operated: Operated, dry_run: bool, done: StatusCode) -> Result<Response, Problem> {
    match operated {
        // A dry run of what was done already tells what was done, but names no record: it made none.
        Operated::Done { record, catalogue, replayed } if dry_run => {
            answer(app, StatusCode::OK, None, &record.body, &catalogue, replayed)
        }
        // It waits for an operator.
        Operated::Done { record, catalogue, replayed } if record.review().is_some() => {
            answer(app, StatusCode::ACCEPTED, Some(record.seq), &record.body, &catalogue, replayed)
        }
        Operated::Done { record, catalogue, replayed } => {
            answer(app, done, Some(record.seq), &record.body, &catalogue, replayed)
        }
        Operated::WouldDo { body, catalogue } => answer(app, StatusCode::OK, None, &body, &catalogue, false),
        Operated::Unchanged { customer } => {
            let unchanged = OperationUnchanged { customer: UuidText(customer.0), changed: false };
            Ok(Json(unchanged).into_response())
        }
        Operated::KeyReused { seq } => Err(Problem::new(&codes::IDEMPOTENCY_KEY_REUSED).member("seq", seq.0)),
        Operated::Refused { rejection, replayed } => Err(Problem::of_operation_rejection(&rejection, replayed)),
    }
}

/// Writes what became of an operation.
fn answer(
    app: &App,
    status: StatusCode,
    seq: Option<Seq>,
    body: &Done,
    catalogue: &Catalogue,
    replayed: bool,
) -> Result<Response, Problem> {
    let mut text = Vec::with_capacity(512);
    let former = app.engine.former_rules(body);
    render(&mut text, seq, body, Rules { catalogue, former: &former }).map_err(|error| Problem::internal(&error))?;
    let mut response = json_response(status, text);
    if replayed {
        response.headers_mut().insert(REPLAYED_HEADER, HeaderValue::from_static("true"));
    }
    Ok(response)
}

pub(crate) async fn body_of<T: OperationBody>(app: &App, request: Request<Body>) -> Result<T, Problem> {
    body_within(app, request, BODY_BYTES_MAX).await
}

/// As [`body_of`], of at most so many bytes.
pub(crate) async fn body_within<T: OperationBody>(
    app: &App,
    request: Request<Body>,
    bytes_max: usize,
) -> Result<T, Problem> {
    let (head, body) = request.into_parts();
    let document = read_json(&head.headers, body, bytes_max, app.limits.body_time_max).await?;
    parse(&document)
}

/// As [`body_of`], of a request that says all it must without a body.
async fn body_if_any<T: OperationBody + Default>(app: &App, request: Request<Body>) -> Result<T, Problem> {
    if request.body().is_end_stream() { Ok(T::default()) } else { body_of(app, request).await }
}

/// Reads the key of a request: a string in quotation marks, or the same without them.
fn key_of(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(KEY_HEADER).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let invalid = || Problem::new(&codes::IDEMPOTENCY_KEY_INVALID);
    let text = value.to_str().map_err(|_| invalid())?.trim();
    let bare = match text.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"').ok_or_else(invalid)?,
        None => text,
    };
    let is_usable = (1..=KEY_CHARS_MAX).contains(&bare.len()) && !bare.contains(['"', '\\']);
    if is_usable && values.next().is_none() { Ok(Some(bare.to_owned())) } else { Err(invalid()) }
}

fn customer(id: &str) -> Result<CustomerRef, Problem> {
    // What is no id is nobody's.
    customer_by_id(id).ok_or_else(|| Problem::new(&codes::CUSTOMER_NOT_FOUND))
}

fn program_name(text: String) -> Result<Box<str>, Problem> {
    // What no programme can be called is not kept under the key.
    if text.len() <= NAME_BYTES_MAX { Ok(text.into()) } else { Err(Problem::new(&codes::TIER_PROGRAM_NOT_FOUND)) }
}

fn wallet_id(text: &str) -> Result<WalletId, Problem> {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let id = if is_plain { text.parse().ok() } else { None };
    id.map(WalletId).ok_or_else(|| Problem::new(&codes::WALLET_NOT_FOUND))
}
