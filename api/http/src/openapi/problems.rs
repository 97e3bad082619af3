//! Problems in the description: their schema, and which of them a route can answer with.

use std::collections::BTreeMap;

use hyper::{Method, StatusCode};
use kembali_core::RejectionCode;
use serde_json::{Value, json};
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{AdditionalProperties, AllOfBuilder, ObjectBuilder, Ref, Type};
use utoipa::openapi::{Content, RefOr, Schema};

use super::schemas::Schemas;
use crate::codes::{self, Code};
use crate::parameters;
use crate::problem::PROBLEM_JSON;
use crate::routes::{Endpoint, Role, Route};

/// The schema of a problem.
pub(super) const PROBLEM: &str = "Problem";
/// The schema of its code.
pub(super) const CODE: &str = "ProblemCode";

/// Adds the schemas that are made of the registry.
pub(super) fn add_schemas(schemas: &mut Schemas) {
    let explained = |code: &&Code| {
        json!({
            "code": code.code,
            "status": code.status,
            "title": code.title,
            "retryable": code.retryable,
            "remedy": code.remedy,
        })
    };
    let explained: Value = codes::ALL.iter().map(explained).collect();
    let code = ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(codes::ALL.iter().map(|code| code.code)))
        .description(Some(
            "What was refused, and why. A code never changes its meaning; `GET /problems/<code>` explains it.",
        ))
        .extensions(Some(ExtensionsBuilder::new().add("x-problem-codes", explained).build()));
    schemas.named(CODE, code);
    let of_type = |kind: Type, says: &str| ObjectBuilder::new().schema_type(kind).description(Some(says));
    let problem = ObjectBuilder::new()
        .description(Some(
            "A problem document (RFC 9457). Codes that speak of numbers or places carry them as further members.",
        ))
        .property("type", of_type(Type::String, "`/problems/<code>`, which explains the code."))
        .property("title", of_type(Type::String, "What happened, in words that belong to the code."))
        .property("status", of_type(Type::Integer, "The HTTP status."))
        .property("detail", of_type(Type::String, "What is wrong here, or what to do about it."))
        .property("code", Ref::from_schema_name(CODE))
        .property("retryable", of_type(Type::Boolean, "True when the same request can succeed later without a change."))
        .property("pointer", of_type(Type::String, "A JSON Pointer to the field at fault."))
        .property("request_id", of_type(Type::String, "The request, as in `X-Request-Id`."))
        .property("replayed", of_type(Type::Boolean, "Of a purchase: true when it was refused before."))
        .additional_properties(Some(AdditionalProperties::FreeForm(true)));
    let required = ["type", "title", "status", "detail", "code", "retryable", "request_id"];
    let problem = required.into_iter().fold(problem, ObjectBuilder::required);
    schemas.named(PROBLEM, problem);
}

/// Describes the problems that a route can answer with, by status.
pub(super) fn responses(route: &Route) -> BTreeMap<u16, Response> {
    let mut by_status: BTreeMap<u16, Vec<&Code>> = BTreeMap::new();
    for code in of(route) {
        by_status.entry(code.status).or_default().push(code);
    }
    by_status.into_iter().map(|(status, codes)| (status, response(status, &codes))).collect()
}

fn response(status: u16, codes: &[&Code]) -> Response {
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let response = ResponseBuilder::new()
        .description(reason.unwrap_or_default())
        .content(PROBLEM_JSON, Content::new(Some(narrowed(codes))));
    match status {
        429 | 503 => {
            let seconds = HeaderBuilder::new().description(Some("Seconds after which another try is worth it."));
            response
                .header("Retry-After", seconds.schema(Some(ObjectBuilder::new().schema_type(Type::Integer))).build())
        }
        _ => response,
    }
    .build()
}

/// Makes the schema of a problem that has one of these codes.
fn narrowed(codes: &[&Code]) -> RefOr<Schema> {
    let code = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(codes.iter().map(|code| code.code)));
    let narrow = ObjectBuilder::new().property("code", code);
    AllOfBuilder::new().item(Ref::from_schema_name(PROBLEM)).item(narrow).into()
}

/// Lists the codes that a route can answer with.
pub(super) fn of(route: &Route) -> Vec<&'static Code> {
    let mut all: Vec<&'static Code> = Vec::new();
    all.extend(of_role(route.role));
    if route.path.contains('{') {
        all.push(&codes::PATH_INVALID);
    }
    if takes_body(route) {
        all.extend(OF_BODIES);
    }
    let parameters = parameters::of(route.endpoint);
    if !parameters.is_empty() {
        all.push(&codes::QUERY_INVALID);
    }
    for parameter in parameters {
        match parameter.name {
            "tenant" => all.push(&codes::TENANT_NOT_FOUND),
            "min_seq" => all.push(&codes::POSITION_AHEAD),
            "cursor" => all.push(&codes::CURSOR_INVALID),
            "after" => all.push(&codes::AFTER_AHEAD),
            "version" => all.push(&codes::VERSION_NOT_FOUND),
            "expected_version" => all.extend([&codes::VERSION_CONFLICT, &codes::CATALOGUE_INVALID]),
            _ => (),
        }
    }
    all.extend(of_endpoint(route.endpoint));
    all.sort_by_key(|code| code.status);
    all
}

fn takes_body(route: &Route) -> bool {
    let is_change = matches!(route.method, Method::POST | Method::PUT | Method::PATCH);
    // Their paths say all.
    let is_bare = matches!(
        route.endpoint,
        Endpoint::PostSnapshot
            | Endpoint::VerifyArchive
            | Endpoint::Promote
            | Endpoint::Demote
            | Endpoint::Logout
            | Endpoint::RotateSigningKey
            | Endpoint::TestWebhook
            | Endpoint::ReplayDelivery
            | Endpoint::ReplayDeliveries
            | Endpoint::ReplayMail
            | Endpoint::ReplayMails
    );
    is_change && !is_bare
}

static OF_BODIES: [&Code; 7] = [
    &codes::MALFORMED_JSON,
    &codes::MEDIA_TYPE_UNSUPPORTED,
    &codes::CONTENT_ENCODING_UNSUPPORTED,
    &codes::CONTENT_ENCODING_INVALID,
    &codes::BODY_INCOMPLETE,
    &codes::BODY_TOO_LARGE,
    &codes::REQUEST_TIMEOUT,
];

/// Of what a partner's request goes through, whether or not it must be signed.
const OF_PARTNERS: [&Code; 12] = [
    &codes::SIGNATURE_MISSING,
    &codes::SIGNATURE_INVALID,
    &codes::SIGNATURE_UNEXPECTED,
    &codes::SIGNATURE_REPLAYED,
    &codes::TIMESTAMP_OFF,
    &codes::PARTNER_SUSPENDED,
    &codes::RATE_LIMITED,
    &codes::TOO_MANY_AT_ONCE,
    &codes::OVERLOADED,
    &codes::BODY_INCOMPLETE,
    &codes::BODY_TOO_LARGE,
    &codes::REQUEST_TIMEOUT,
];

/// Of access tokens, and of the server's own.
const OF_BEARERS: [&Code; 10] = [
    &codes::OPERATOR_TOKEN_UNKNOWN,
    &codes::OPERATOR_ACCESS_DISABLED,
    &codes::TOKEN_INVALID,
    &codes::TOKEN_EXPIRED,
    &codes::SESSION_ENDED,
    &codes::ACCOUNT_SUSPENDED,
    &codes::PEOPLE_DISABLED,
    // What a person sends is read whole before anything of it is done.
    &codes::BODY_INCOMPLETE,
    &codes::BODY_TOO_LARGE,
    &codes::REQUEST_TIMEOUT,
];

fn of_role(role: Role) -> Vec<&'static Code> {
    let mut own: Vec<&'static Code> = Vec::new();
    if role == Role::Public {
        return own;
    }
    own.extend([&codes::ROLE_INSUFFICIENT, &codes::API_KEY_UNKNOWN]);
    match role {
        Role::Partner => own.push(&codes::API_KEY_MISSING),
        _ if role.takes_partners() || role.takes_customers() => own.push(&codes::CREDENTIALS_MISSING),
        _ => own.push(&codes::OPERATOR_TOKEN_MISSING),
    }
    if role.takes_partners() {
        own.extend(OF_PARTNERS);
    }
    if role.takes_operators() {
        own.extend(OF_BEARERS);
    }
    own
}

/// Of a key that is given to a partner.
const GIVEN: [&Code; 6] = [
    &codes::API_KEY_TAKEN,
    &codes::API_KEY_EXISTS,
    &codes::API_KEY_REVOKED,
    &codes::API_KEY_MALFORMED,
    &codes::API_SECRET_MALFORMED,
    &codes::SIGNING_DISABLED,
];

/// What is beside role, path, body and parameters.
fn of_endpoint(endpoint: Endpoint) -> Vec<&'static Code> {
    let mut own: Vec<&'static Code> = match endpoint {
        Endpoint::OpenApi | Endpoint::AsyncApi | Endpoint::Docs | Endpoint::Dashboard | Endpoint::Health => {
            return Vec::new();
        }
        Endpoint::DocsFile | Endpoint::DashboardFile => return vec![&codes::ROUTE_UNKNOWN],
        Endpoint::Problem => return vec![&codes::CODE_NOT_FOUND],
        Endpoint::BookPurchases => purchase_codes(),
        Endpoint::FindCustomer => vec![&codes::CUSTOMER_INVALID, &codes::CUSTOMER_NOT_FOUND],
        Endpoint::Customer
        | Endpoint::Wallets
        | Endpoint::Holds
        | Endpoint::Tiers
        | Endpoint::Entries
        | Endpoint::CustomerPurchases
        | Endpoint::ExportCustomer
        | Endpoint::Statement => vec![&codes::CUSTOMER_NOT_FOUND],
        Endpoint::EraseCustomer => operation_codes(&[&codes::CUSTOMER_NOT_FOUND]),
        Endpoint::PostCustomer => operation_codes(&[&codes::CUSTOMER_INVALID]),
        Endpoint::PostWallet => keyed_codes(&[&codes::WALLETS_TOO_MANY, &codes::CUSTOMER_ERASED]),
        Endpoint::PatchWallet => operation_codes(&[
            &codes::CUSTOMER_NOT_FOUND,
            &codes::CUSTOMER_ERASED,
            &codes::WALLET_NOT_FOUND,
            &codes::WALLET_CLOSED,
        ]),
        Endpoint::DeleteWallet => operation_codes(&[
            &codes::CUSTOMER_NOT_FOUND,
            &codes::WALLET_NOT_FOUND,
            &codes::WALLET_FROZEN,
            &codes::WALLET_NOT_EMPTY,
            &codes::WALLET_IS_DEFAULT,
            &codes::WALLET_HELD,
        ]),
        Endpoint::PostHold => keyed_codes(&[
            &codes::WALLET_NOT_FOUND,
            &codes::WALLET_FROZEN,
            &codes::WALLET_CLOSED,
            &codes::AMOUNT_NOT_POSITIVE,
            &codes::AMOUNT_TOO_LARGE,
            &codes::LIFE_OUT_OF_RANGE,
            &codes::RISK_BLOCKED,
            &codes::REVIEW_REJECTED,
            &codes::REVIEWS_TOO_MANY,
            &codes::HOLDS_TOO_MANY,
            &codes::BALANCE_TOO_SMALL,
            &codes::BALANCE_HELD,
        ]),
        Endpoint::SettleHold => keyed_codes(&[
            &codes::HOLD_NOT_FOUND,
            &codes::HOLD_CLOSED,
            &codes::HOLD_EXCEEDED,
            &codes::AMOUNT_NOT_POSITIVE,
            &codes::AMOUNT_TOO_LARGE,
            &codes::WALLET_FROZEN,
            &codes::BALANCE_TOO_SMALL,
        ]),
        Endpoint::PostInvoice => {
            let mut own = operation_codes(&[&codes::IDEMPOTENCY_KEY_MISSING]);
            own.extend([&codes::AMOUNT_NOT_POSITIVE, &codes::AMOUNT_TOO_LARGE, &codes::LIFE_OUT_OF_RANGE]);
            own
        }
        Endpoint::CancelInvoice => operation_codes(&[
            &codes::IDEMPOTENCY_KEY_MISSING,
            &codes::INVOICE_NOT_FOUND,
            &codes::INVOICE_PAID,
            &codes::INVOICE_REVERSED,
            &codes::INVOICE_CANCELLED,
        ]),
        Endpoint::Invoice => vec![&codes::INVOICE_NOT_FOUND],
        Endpoint::PostPayment => keyed_codes(&[
            &codes::WALLET_NOT_FOUND,
            &codes::WALLET_FROZEN,
            &codes::WALLET_CLOSED,
            &codes::AMOUNT_NOT_POSITIVE,
            &codes::AMOUNT_TOO_LARGE,
            &codes::BALANCE_TOO_SMALL,
            &codes::BALANCE_HELD,
            &codes::INVOICE_NOT_FOUND,
            &codes::INVOICE_PAID,
            &codes::INVOICE_REVERSED,
            &codes::INVOICE_CANCELLED,
            &codes::INVOICE_EXPIRED,
            &codes::INVOICE_AMOUNT_DIFFERS,
            &codes::INVOICE_CURRENCY_DIFFERS,
            &codes::RISK_BLOCKED,
            &codes::REVIEW_REJECTED,
            &codes::REVIEWS_TOO_MANY,
        ]),
        Endpoint::PostTransfer => keyed_codes(&[
            &codes::CUSTOMER_INVALID,
            &codes::WALLET_NOT_FOUND,
            &codes::WALLET_FROZEN,
            &codes::WALLET_CLOSED,
            &codes::AMOUNT_NOT_POSITIVE,
            &codes::AMOUNT_TOO_LARGE,
            &codes::BALANCE_TOO_SMALL,
            &codes::BALANCE_HELD,
            &codes::TRANSFER_TARGET_NOT_FOUND,
            &codes::TRANSFER_TO_ITSELF,
            &codes::TARGET_WALLET_NOT_FOUND,
            &codes::TARGET_WALLET_FROZEN,
            &codes::TARGET_WALLET_CLOSED,
            &codes::TARGET_CURRENCY_DIFFERS,
            &codes::TARGET_BALANCE_TOO_LARGE,
            &codes::RISK_BLOCKED,
            &codes::REVIEW_REJECTED,
            &codes::REVIEWS_TOO_MANY,
        ]),
        Endpoint::VoidHold => keyed_codes(&[&codes::HOLD_NOT_FOUND, &codes::HOLD_CLOSED]),
        Endpoint::PostDeposit => {
            let mut own = money_codes();
            own.extend([&codes::RISK_BLOCKED, &codes::REVIEW_REJECTED, &codes::REVIEWS_TOO_MANY]);
            own
        }
        Endpoint::PostAdjustment => {
            let mut own = money_codes();
            own.extend([&codes::BALANCE_TOO_SMALL, &codes::BALANCE_HELD]);
            own
        }
        Endpoint::PostActivity => keyed_codes(&[
            &codes::OCCURRED_IN_FUTURE,
            &codes::WALLET_FROZEN,
            &codes::BALANCE_TOO_LARGE,
            &codes::POINTS_TOO_LARGE,
        ]),
        Endpoint::PostRedemption => keyed_codes(&[
            &codes::OFFER_NOT_FOUND,
            &codes::OFFER_CLOSED,
            &codes::QUANTITY_OUT_OF_RANGE,
            &codes::STOCK_EXHAUSTED,
            &codes::POINTS_TOO_FEW,
            &codes::WALLET_FROZEN,
            &codes::BALANCE_TOO_LARGE,
        ]),
        Endpoint::Promote => keyed_codes(&[&codes::TIER_PROGRAM_NOT_FOUND, &codes::TIER_NONE, &codes::TIER_HIGHEST]),
        Endpoint::Demote => keyed_codes(&[&codes::TIER_PROGRAM_NOT_FOUND, &codes::TIER_NONE, &codes::TIER_LOWEST]),
        Endpoint::PostRefund => [refund_codes(), vec![&codes::PARTNER_NOT_FOUND]].concat(),
        Endpoint::Reverse => operation_codes(&[
            &codes::IDEMPOTENCY_KEY_MISSING,
            &codes::OPERATION_NOT_FOUND,
            &codes::OPERATION_NOT_REVERSIBLE,
            &codes::OPERATION_REVERSED,
            &codes::REVERSALS_TOO_MANY,
            &codes::WALLET_CLOSED,
            &codes::BALANCE_TOO_SMALL,
            &codes::BALANCE_HELD,
            &codes::BALANCE_TOO_LARGE,
            &codes::POINTS_TOO_LARGE,
        ]),
        Endpoint::RejectReview => {
            operation_codes(&[&codes::IDEMPOTENCY_KEY_MISSING, &codes::REVIEW_NOT_FOUND, &codes::REVIEW_CLOSED])
        }
        Endpoint::ArchiveRiskCheck => operation_codes(&[
            &codes::IDEMPOTENCY_KEY_MISSING,
            &codes::RISK_CHECK_NOT_FOUND,
            &codes::RISK_CHECK_ARCHIVED,
        ]),
        Endpoint::ReleaseReview => release_codes(),
        Endpoint::Operation => vec![&codes::OPERATION_NOT_FOUND],
        Endpoint::Purchase | Endpoint::ExplainPurchase => vec![&codes::PURCHASE_NOT_FOUND],
        Endpoint::Promo | Endpoint::PatchPromo => vec![&codes::PROMO_NOT_FOUND],
        Endpoint::PostPartner => [&[&codes::PARTNER_EXISTS][..], &GIVEN].concat(),
        Endpoint::PostApiKey => [&[&codes::PARTNER_NOT_FOUND][..], &GIVEN].concat(),
        Endpoint::ApiKeys => vec![&codes::PARTNER_NOT_FOUND],
        Endpoint::PostWebhook => vec![
            &codes::PARTNER_NOT_FOUND,
            &codes::AFTER_AHEAD,
            &codes::WEBHOOKS_TOO_MANY,
            &codes::WEBHOOK_URL_REFUSED,
            &codes::WEBHOOK_SECRET_MALFORMED,
            &codes::SIGNING_DISABLED,
        ],
        Endpoint::Webhook | Endpoint::DeleteWebhook => vec![&codes::WEBHOOK_NOT_FOUND],
        Endpoint::WebhookDeliveries => vec![&codes::WEBHOOK_NOT_FOUND],
        Endpoint::PatchWebhook => {
            vec![
                &codes::WEBHOOK_NOT_FOUND,
                &codes::WEBHOOK_SEALED,
                &codes::WEBHOOK_URL_REFUSED,
                &codes::SIGNING_DISABLED,
            ]
        }
        Endpoint::RotateWebhookSecret => {
            vec![&codes::WEBHOOK_NOT_FOUND, &codes::WEBHOOK_SECRET_MALFORMED, &codes::SIGNING_DISABLED]
        }
        Endpoint::TestWebhook => vec![&codes::WEBHOOK_NOT_FOUND, &codes::WEBHOOK_SEALED, &codes::OVERLOADED],
        Endpoint::ReplayDelivery => {
            let refused = [&codes::WEBHOOK_DISABLED, &codes::WEBHOOK_SEALED];
            [&[&codes::WEBHOOK_NOT_FOUND, &codes::DELIVERY_NOT_FOUND][..], &refused, &[&codes::OVERLOADED]].concat()
        }
        Endpoint::Mail | Endpoint::MailDeliveries => vec![&codes::MAIL_DISABLED],
        Endpoint::ReplayMail => vec![&codes::MAIL_DISABLED, &codes::DELIVERY_NOT_FOUND, &codes::OVERLOADED],
        Endpoint::ReplayMails => vec![&codes::MAIL_DISABLED, &codes::OVERLOADED],
        Endpoint::ReplayDeliveries => {
            vec![&codes::WEBHOOK_NOT_FOUND, &codes::WEBHOOK_DISABLED, &codes::WEBHOOK_SEALED, &codes::OVERLOADED]
        }
        Endpoint::PatchPartner => vec![&codes::PARTNER_NOT_FOUND],
        Endpoint::DeleteApiKey => vec![&codes::PARTNER_NOT_FOUND, &codes::API_KEY_NOT_FOUND],
        Endpoint::WhatIf => vec![&codes::CATALOGUE_INVALID, &codes::RANGE_EMPTY, &codes::WHAT_IF_RUNNING],
        // They take no parameter, and say so.
        Endpoint::PostSnapshot | Endpoint::System => vec![&codes::QUERY_INVALID],
        Endpoint::VerifyArchive => vec![&codes::QUERY_INVALID, &codes::VERIFICATION_RUNNING],
        Endpoint::PutCatalogue => {
            vec![&codes::API_KEY_EXISTS, &codes::API_KEY_TAKEN, &codes::API_KEY_REVOKED, &codes::API_KEY_MALFORMED]
        }
        Endpoint::Stream => vec![
            &codes::WEBSOCKET_HANDSHAKE_INVALID,
            &codes::UPGRADE_REQUIRED,
            &codes::WEBSOCKET_VERSION_UNSUPPORTED,
            &codes::METHOD_NOT_ALLOWED,
            &codes::OVERLOADED,
        ],
        Endpoint::IngestSocket => vec![
            &codes::QUERY_INVALID,
            &codes::WEBSOCKET_HANDSHAKE_INVALID,
            &codes::UPGRADE_REQUIRED,
            &codes::WEBSOCKET_VERSION_UNSUPPORTED,
            &codes::METHOD_NOT_ALLOWED,
        ],
        Endpoint::Ready => vec![&codes::CLOCK_OFF],
        Endpoint::Register => vec![
            &codes::QUERY_INVALID,
            &codes::PEOPLE_DISABLED,
            &codes::REGISTRATION_CLOSED,
            &codes::LOGIN_LIMITED,
            &codes::USERNAME_TAKEN,
            &codes::CUSTOMER_EXISTS,
            &codes::CUSTOMER_ERASED,
            &codes::OVERLOADED,
        ],
        Endpoint::Login => vec![
            &codes::QUERY_INVALID,
            &codes::PEOPLE_DISABLED,
            &codes::LOGIN_FAILED,
            &codes::ACCOUNT_SUSPENDED,
            &codes::LOGIN_LIMITED,
            &codes::OVERLOADED,
        ],
        Endpoint::Refresh => vec![
            &codes::QUERY_INVALID,
            &codes::PEOPLE_DISABLED,
            &codes::REFRESH_INVALID,
            &codes::REFRESH_REUSED,
            &codes::LOGIN_LIMITED,
        ],
        Endpoint::ChangePassword => {
            vec![&codes::QUERY_INVALID, &codes::PASSWORD_WRONG, &codes::LOGIN_LIMITED, &codes::OVERLOADED]
        }
        Endpoint::Me | Endpoint::RotateSigningKey => vec![&codes::QUERY_INVALID],
        Endpoint::Logout => Vec::new(),
        Endpoint::PublicKeys => vec![&codes::QUERY_INVALID, &codes::PEOPLE_DISABLED],
        Endpoint::FindAccount | Endpoint::Account => vec![&codes::ACCOUNT_NOT_FOUND],
        Endpoint::PostAccount => {
            vec![&codes::USERNAME_TAKEN, &codes::CUSTOMER_NOT_FOUND, &codes::CUSTOMER_ERASED, &codes::OVERLOADED]
        }
        Endpoint::PatchAccount => {
            vec![&codes::ACCOUNT_NOT_FOUND, &codes::ACCOUNT_OWN, &codes::ACCOUNT_ROLE_FIXED, &codes::OVERLOADED]
        }
        Endpoint::Offers
        | Endpoint::Audit
        | Endpoint::RiskChecks
        | Endpoint::Reviews
        | Endpoint::Payments
        | Endpoint::Promos
        | Endpoint::PutPromo
        | Endpoint::TierPrograms
        | Endpoint::PutTierProgram
        | Endpoint::Partners
        | Endpoint::Webhooks
        | Endpoint::Catalogue
        | Endpoint::Summary
        | Endpoint::Customers
        | Endpoint::Costs
        | Endpoint::Liability
        | Endpoint::TrialBalance => Vec::new(),
        Endpoint::Events => vec![&codes::OVERLOADED],
    };
    if matches!(
        endpoint,
        Endpoint::PostCustomer
            | Endpoint::PostWallet
            | Endpoint::PatchWallet
            | Endpoint::EraseCustomer
            | Endpoint::PostDeposit
            | Endpoint::PostAdjustment
            | Endpoint::PostActivity
            | Endpoint::PostRedemption
            | Endpoint::PostHold
            | Endpoint::SettleHold
            | Endpoint::VoidHold
            | Endpoint::PostTransfer
            | Endpoint::PostInvoice
            | Endpoint::CancelInvoice
            | Endpoint::PostPayment
            | Endpoint::Reverse
            | Endpoint::ReleaseReview
            | Endpoint::RejectReview
            | Endpoint::ArchiveRiskCheck
            | Endpoint::PostRefund
            | Endpoint::PatchPartner
            | Endpoint::PostWebhook
            | Endpoint::PatchWebhook
            | Endpoint::RotateWebhookSecret
            | Endpoint::Register
            | Endpoint::Login
            | Endpoint::Refresh
            | Endpoint::ChangePassword
            | Endpoint::PostAccount
            | Endpoint::PatchAccount
    ) {
        own.extend([&codes::FIELD_MISSING, &codes::FIELD_UNKNOWN, &codes::FIELD_INVALID]);
    }
    if needs_room(endpoint) {
        own.push(&codes::READ_ONLY);
    }
    // Whatever asks the ledger can find it stopped.
    own.extend([&codes::INTERNAL, &codes::ENGINE_STOPPED]);
    own
}

/// Says which endpoints need room on the disk.
const fn needs_room(endpoint: Endpoint) -> bool {
    matches!(
        endpoint,
        Endpoint::BookPurchases
            | Endpoint::PutPromo
            | Endpoint::PatchPromo
            | Endpoint::PutTierProgram
            | Endpoint::PostPartner
            | Endpoint::PatchPartner
            | Endpoint::PostApiKey
            | Endpoint::DeleteApiKey
            | Endpoint::PostWebhook
            | Endpoint::PatchWebhook
            | Endpoint::DeleteWebhook
            | Endpoint::RotateWebhookSecret
            | Endpoint::Register
            | Endpoint::PostAccount
            | Endpoint::PatchAccount
            | Endpoint::RotateSigningKey
            | Endpoint::PutCatalogue
            | Endpoint::PostSnapshot
            | Endpoint::PostCustomer
            | Endpoint::PostWallet
            | Endpoint::PatchWallet
            | Endpoint::DeleteWallet
            | Endpoint::EraseCustomer
            | Endpoint::PostDeposit
            | Endpoint::PostAdjustment
            | Endpoint::PostActivity
            | Endpoint::PostRedemption
            | Endpoint::PostHold
            | Endpoint::SettleHold
            | Endpoint::VoidHold
            | Endpoint::PostTransfer
            | Endpoint::PostInvoice
            | Endpoint::CancelInvoice
            | Endpoint::PostPayment
            | Endpoint::Reverse
            | Endpoint::ReleaseReview
            | Endpoint::RejectReview
            | Endpoint::ArchiveRiskCheck
            | Endpoint::Promote
            | Endpoint::Demote
            | Endpoint::PostRefund
    )
}

/// What every operation can be answered with, and some more.
fn operation_codes(more: &[&'static Code]) -> Vec<&'static Code> {
    let mut own = vec![&codes::IDEMPOTENCY_KEY_INVALID, &codes::IDEMPOTENCY_KEY_REUSED, &codes::OVERLOADED];
    own.extend(more);
    own
}

/// What an operation with a key can be answered with, and some more.
fn keyed_codes(more: &[&'static Code]) -> Vec<&'static Code> {
    let mut own = operation_codes(&[&codes::IDEMPOTENCY_KEY_MISSING, &codes::CUSTOMER_NOT_FOUND]);
    own.extend(more);
    own
}

/// What a release can be answered with: whatever keeps from being done now what was set aside.
fn release_codes() -> Vec<&'static Code> {
    operation_codes(&[
        &codes::IDEMPOTENCY_KEY_MISSING,
        &codes::REVIEW_NOT_FOUND,
        &codes::REVIEW_CLOSED,
        &codes::WALLET_FROZEN,
        &codes::WALLET_CLOSED,
        &codes::BALANCE_TOO_LARGE,
        &codes::BALANCE_TOO_SMALL,
        &codes::BALANCE_HELD,
        &codes::HOLDS_TOO_MANY,
        &codes::INVOICE_PAID,
        &codes::INVOICE_REVERSED,
        &codes::INVOICE_CANCELLED,
        &codes::INVOICE_EXPIRED,
        &codes::TARGET_WALLET_NOT_FOUND,
        &codes::TARGET_WALLET_FROZEN,
        &codes::TARGET_WALLET_CLOSED,
        &codes::TARGET_CURRENCY_DIFFERS,
        &codes::TARGET_BALANCE_TOO_LARGE,
    ])
}

/// What an operation that moves money in a wallet can be answered with.
fn money_codes() -> Vec<&'static Code> {
    keyed_codes(&[
        &codes::WALLET_NOT_FOUND,
        &codes::WALLET_FROZEN,
        &codes::WALLET_CLOSED,
        &codes::AMOUNT_NOT_POSITIVE,
        &codes::AMOUNT_TOO_LARGE,
        &codes::BALANCE_TOO_LARGE,
    ])
}

fn refund_codes() -> Vec<&'static Code> {
    vec![
        &codes::ORIGIN_ID_INVALID,
        &codes::REFUND_ID_INVALID,
        &codes::PURCHASE_NOT_FOUND,
        &codes::REFUND_ID_CONFLICT,
        &codes::PURCHASE_REFUSED,
        &codes::AMOUNT_NOT_POSITIVE,
        &codes::AMOUNT_TOO_LARGE,
        &codes::LINES_TOO_MANY,
        &codes::LINE_OUT_OF_RANGE,
        &codes::REFUND_EXCEEDS_REMAINDER,
        &codes::REFUND_LINES_REQUIRED,
        &codes::REFUND_LINE_NOT_BOUGHT,
        &codes::REFUND_LINE_EXCEEDS_REMAINDER,
        &codes::REFUNDS_TOO_MANY,
        &codes::BALANCE_TOO_SMALL,
        &codes::OVERLOADED,
    ]
}

fn purchase_codes() -> Vec<&'static Code> {
    let mut own = vec![
        &codes::FIELD_MISSING,
        &codes::FIELD_UNKNOWN,
        &codes::FIELD_INVALID,
        &codes::ORIGIN_ID_INVALID,
        &codes::CUSTOMER_INVALID,
        &codes::DRY_RUN_ON_STREAM,
        &codes::ORIGIN_ID_CONFLICT,
        &codes::LINE_TOO_LARGE,
        &codes::BLANK_LINES_TOO_MANY,
        &codes::OVERLOADED,
    ];
    own.extend(RejectionCode::ALL.iter().map(|code| codes::of_rejection(*code)));
    own
}
