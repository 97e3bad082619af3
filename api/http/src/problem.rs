//! Problem documents (RFC 9457): the one form in which anything is refused.
//!
//! A handler returns a [`Problem`]; what turns it into bytes is here, what it means is in [`crate::codes`].

use std::borrow::Cow;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use hyper::StatusCode;
use hyper::header::{
    ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, SEC_WEBSOCKET_VERSION, UPGRADE, WWW_AUTHENTICATE,
};
use kembali_core::operation::OperationRejection;
use kembali_core::refund::RefundRejection;
use kembali_core::{CatalogueRejection, Rejection};
use kembali_engine::{AdministerError, ApplyError, BookError, NotTaken, OperateError, ReadError, ReadOnly, Stopped};
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::Value;

use crate::codes::{self, Code};
use crate::request_id::RequestId;
use crate::wire::instant::Rfc3339;
use crate::wire::number::wide;

/// The media type of problem documents.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// Seconds after which an overloaded or starting server is worth another try.
const RETRY_AFTER_SECONDS: u16 = 1;

/// Why a request was not carried out.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub(crate) code: &'static Code,
    pub(crate) detail: Option<Cow<'static, str>>,
    pub(crate) pointer: Option<String>,
    /// Further members, in order.
    pub(crate) members: Vec<(&'static str, Value)>,
    /// What the `Allow` header says, of a wrong method.
    pub(crate) allow: Option<String>,
    /// The refusal is one that was given before.
    pub(crate) replayed: Option<bool>,
    /// Seconds after which another try is worth it, where they are known.
    pub(crate) retry_after: Option<u16>,
}

impl Problem {
    pub(crate) fn new(code: &'static Code) -> Problem {
        Problem {
            code,
            detail: None,
            pointer: None,
            members: Vec::new(),
            allow: None,
            replayed: None,
            retry_after: None,
        }
    }

    pub(crate) fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Problem {
        self.detail = Some(detail.into());
        self
    }

    pub(crate) fn pointer(mut self, pointer: impl Into<String>) -> Problem {
        self.pointer = Some(pointer.into());
        self
    }

    pub(crate) fn member(mut self, name: &'static str, value: impl Into<Value>) -> Problem {
        self.members.push((name, value.into()));
        self
    }

    pub(crate) fn retry_after(mut self, wait: Duration) -> Problem {
        self.retry_after = Some(u16::try_from(wait.as_secs() + 1).unwrap_or(u16::MAX));
        self
    }

    /// Logs what went wrong inside and tells the caller nothing but the request id.
    pub(crate) fn internal(error: &dyn std::fmt::Display) -> Problem {
        tracing::error!(%error, "a request failed");
        Problem::new(&codes::INTERNAL)
    }

    /// Makes the problem of a refused purchase.
    pub(crate) fn of_rejection(rejection: &Rejection, replayed: bool) -> Problem {
        let problem = Problem::new(codes::of_rejection(rejection.code()));
        let mut problem = match *rejection {
            Rejection::CustomerUnknown => problem.pointer("/customer"),
            Rejection::AmountNotPositive { amount } => problem.pointer("/amount").member("amount", wide(amount)),
            Rejection::AmountTooLarge { amount, amount_max } => {
                problem.pointer("/amount").member("amount", wide(amount)).member("amount_max", wide(amount_max))
            }
            Rejection::QuantityNotPositive { quantity } => {
                problem.pointer("/quantity").member("quantity", wide(quantity))
            }
            Rejection::QuantityTooLarge { quantity, quantity_max } => problem
                .pointer("/quantity")
                .member("quantity", wide(quantity))
                .member("quantity_max", wide(quantity_max)),
            Rejection::LinesTooMany { lines, lines_max } => {
                problem.pointer("/lines").member("lines", lines).member("lines_max", lines_max)
            }
            Rejection::LineOutOfRange { line } => problem.pointer(format!("/lines/{line}")).member("line", line),
            Rejection::LinesSumMismatch { lines_sum, amount } => {
                problem.pointer("/lines").member("lines_sum", wide(lines_sum)).member("amount", wide(amount))
            }
            Rejection::OccurredInFuture { occurred_at, occurred_at_max } => problem
                .pointer("/occurred_at")
                .member("occurred_at", Rfc3339(occurred_at).to_string())
                .member("occurred_at_max", Rfc3339(occurred_at_max).to_string()),
            Rejection::PromoUnknown => problem.pointer("/promo_code"),
            // Which rule it is helps whoever wants to get around it; operators find it in the log.
            Rejection::WalletFrozen | Rejection::RiskBlocked(_) => problem,
            Rejection::PointsTooLarge { points } => problem.member("points", points.minor_units()),
            Rejection::BalanceTooLarge { balance } => problem.member("balance", balance.minor_units()),
        };
        problem.replayed = Some(replayed);
        problem
    }

    /// Makes the problem of a refused operation.
    pub(crate) fn of_operation_rejection(rejection: &OperationRejection, replayed: bool) -> Problem {
        let problem = Problem::new(codes::of_operation_rejection(rejection));
        let mut problem = match *rejection {
            OperationRejection::AmountNotPositive { amount } => {
                problem.pointer("/amount").member("amount", wide(amount))
            }
            OperationRejection::AmountTooLarge { amount, amount_max } => {
                problem.pointer("/amount").member("amount", wide(amount)).member("amount_max", wide(amount_max))
            }
            OperationRejection::BalanceTooLarge { balance } | OperationRejection::WalletNotEmpty { balance } => {
                problem.member("balance", balance.minor_units())
            }
            OperationRejection::BalanceTooSmall { balance, amount } => problem
                .pointer("/amount")
                .member("balance", balance.minor_units())
                .member("amount", amount.minor_units()),
            OperationRejection::PointsTooLarge { points } => problem.member("points", points.minor_units()),
            OperationRejection::WalletsTooMany { wallets_max } => problem.member("wallets_max", wallets_max),
            OperationRejection::OccurredInFuture { occurred_at, occurred_at_max } => problem
                .pointer("/occurred_at")
                .member("occurred_at", Rfc3339(occurred_at).to_string())
                .member("occurred_at_max", Rfc3339(occurred_at_max).to_string()),
            OperationRejection::Refund(ref rejection) => of_refund(problem, rejection),
            OperationRejection::QuantityOutOfRange { quantity, quantity_max } => {
                problem.pointer("/quantity").member("quantity", wide(quantity)).member("quantity_max", quantity_max)
            }
            OperationRejection::StockExhausted { stock, redeemed } => {
                problem.member("stock", stock).member("redeemed", redeemed)
            }
            OperationRejection::PointsTooFew { points, price, quantity } => problem
                .member("points", points.minor_units())
                .member("price", price.minor_units())
                .member("quantity", quantity),
            OperationRejection::BalanceHeld { balance, held, amount } => problem
                .pointer("/amount")
                .member("balance", balance.minor_units())
                .member("held", held.minor_units())
                .member("amount", amount.minor_units()),
            OperationRejection::WalletHeld { held } => problem.member("held", held.minor_units()),
            OperationRejection::LifeOutOfRange { seconds, seconds_max } => problem
                .pointer("/expires_in_seconds")
                .member("expires_in_seconds", wide(seconds))
                .member("expires_in_seconds_max", seconds_max),
            OperationRejection::HoldsTooMany { holds_max } => problem.member("holds_max", holds_max),
            OperationRejection::ReversalsTooMany { reversals_max } => problem.member("reversals_max", reversals_max),
            OperationRejection::ReviewsTooMany { reviews_max } => problem.member("reviews_max", reviews_max),
            OperationRejection::HoldExceeded { held, amount } => {
                problem.pointer("/amount").member("held", held.minor_units()).member("amount", amount.minor_units())
            }
            OperationRejection::InvoiceAmountDiffers { amount, invoice_amount } => problem
                .pointer("/amount")
                .member("amount", amount.minor_units())
                .member("invoice_amount", invoice_amount.minor_units()),
            // Which rule it is helps whoever wants to get around it; operators find it in the log.
            OperationRejection::RiskBlocked { .. }
            | OperationRejection::InvoiceUnknown
            | OperationRejection::InvoicePaid
            | OperationRejection::InvoiceReversed
            | OperationRejection::RiskCheckArchived
            | OperationRejection::CustomerErased
            | OperationRejection::ReviewRejected
            | OperationRejection::ReviewClosed
            | OperationRejection::NotReversible
            | OperationRejection::Reversed
            | OperationRejection::InvoiceCancelled
            | OperationRejection::InvoiceExpired
            | OperationRejection::InvoiceCurrencyDiffers => problem,
            OperationRejection::TransferTargetUnknown => problem.pointer("/to"),
            OperationRejection::TransferToItself | OperationRejection::TransferDeclined(_) => {
                problem.pointer("/to_wallet")
            }
            OperationRejection::HoldUnknown
            | OperationRejection::HoldClosed
            | OperationRejection::OfferUnknown
            | OperationRejection::OfferClosed
            | OperationRejection::CustomerUnknown
            | OperationRejection::WalletUnknown
            | OperationRejection::WalletFrozen
            | OperationRejection::WalletClosed
            | OperationRejection::WalletIsDefault
            | OperationRejection::ProgramUnknown
            | OperationRejection::TierNone
            | OperationRejection::TierHighest
            | OperationRejection::TierLowest => problem,
        };
        problem.replayed = Some(replayed);
        problem
    }

    /// Makes the response. The status and the headers that belong to the code come with it.
    pub(crate) fn into_http(self, request_id: &RequestId) -> Response {
        let body = serde_json::to_vec(&self.with_id(request_id)).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = StatusCode::from_u16(self.code.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if matches!(self.code.status, 429 | 503) {
            headers.insert(RETRY_AFTER, HeaderValue::from(self.retry_after.unwrap_or(RETRY_AFTER_SECONDS)));
        }
        if self.code.status == 401 {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer, ApiKey"));
        }
        if self.code.status == 426 {
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        }
        if let Some(allow) = self.allow.as_deref().and_then(|allow| HeaderValue::from_str(allow).ok()) {
            headers.insert(ALLOW, allow);
        }
        if self.replayed == Some(true) {
            headers.insert(REPLAYED_HEADER, HeaderValue::from_static("true"));
        }
        response
    }

    /// Pairs the problem with the request that it answers, for writing.
    pub(crate) fn with_id<'a>(&'a self, request_id: &'a RequestId) -> impl Serialize + 'a {
        Document { problem: self, request_id }
    }
}

/// The header of an answer that was given before.
pub(crate) const REPLAYED_HEADER: &str = "idempotency-replayed";

struct Document<'a> {
    problem: &'a Problem,
    request_id: &'a RequestId,
}

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Problem { code, detail, pointer, members, allow: _, replayed, retry_after: _ } = self.problem;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", &format_args!("/problems/{}", code.code))?;
        map.serialize_entry("title", code.title)?;
        map.serialize_entry("status", &code.status)?;
        map.serialize_entry("detail", detail.as_deref().unwrap_or(code.remedy))?;
        map.serialize_entry("code", code.code)?;
        map.serialize_entry("retryable", &code.retryable)?;
        if let Some(pointer) = pointer {
            map.serialize_entry("pointer", pointer)?;
        }
        map.serialize_entry("request_id", self.request_id.as_str())?;
        if let Some(replayed) = replayed {
            map.serialize_entry("replayed", replayed)?;
        }
        for (name, value) in members {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// Hands the problem to the outermost layer, which knows the request id and writes it out.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Stopped> for Problem {
    fn from(_: Stopped) -> Problem {
        Problem::new(&codes::ENGINE_STOPPED)
    }
}

impl From<ReadOnly> for Problem {
    fn from(_: ReadOnly) -> Problem {
        Problem::new(&codes::READ_ONLY)
    }
}

impl From<NotTaken> for Problem {
    fn from(not_taken: NotTaken) -> Problem {
        match not_taken {
            NotTaken::Overloaded => Problem::new(&codes::OVERLOADED),
            NotTaken::ReadOnly(read_only) => read_only.into(),
        }
    }
}

impl From<AdministerError> for Problem {
    fn from(error: AdministerError) -> Problem {
        match error {
            AdministerError::ReadOnly(read_only) => read_only.into(),
            AdministerError::Stopped(stopped) => stopped.into(),
        }
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Problem {
        match error {
            ReadError::Stopped(stopped) => stopped.into(),
            ReadError::NotWritten(_) => Problem::new(&codes::POSITION_AHEAD),
            other => Problem::internal(&other),
        }
    }
}

impl From<BookError> for Problem {
    fn from(error: BookError) -> Problem {
        match error {
            BookError::Stopped(stopped) => stopped.into(),
            BookError::Read(read) => read.into(),
        }
    }
}

impl From<OperateError> for Problem {
    fn from(error: OperateError) -> Problem {
        match error {
            OperateError::NotTaken(not_taken) => not_taken.into(),
            OperateError::Stopped(stopped) => stopped.into(),
            OperateError::Read(read) => read.into(),
        }
    }
}

impl From<CatalogueRejection> for Problem {
    fn from(rejection: CatalogueRejection) -> Problem {
        match rejection {
            CatalogueRejection::VersionConflict { expected, found } => {
                Problem::new(&codes::VERSION_CONFLICT).member("expected", expected).member("found", found)
            }
            CatalogueRejection::Invalid { place, problem } => {
                let detail = format!("{place}: {problem}");
                Problem::new(&codes::CATALOGUE_INVALID).detail(detail).member("place", place)
            }
        }
    }
}

impl From<ApplyError> for Problem {
    fn from(error: ApplyError) -> Problem {
        match error {
            ApplyError::Refused(rejection) => rejection.into(),
            ApplyError::KeyRevoked { partner } => Problem::new(&codes::API_KEY_REVOKED).member("partner", partner),
            ApplyError::KeyTaken { partner } => Problem::new(&codes::API_KEY_TAKEN).member("partner", partner),
            ApplyError::KeyExists { partner } => Problem::new(&codes::API_KEY_EXISTS).member("partner", partner),
            ApplyError::SecretMalformed { partner } => {
                Problem::new(&codes::API_SECRET_MALFORMED).member("partner", partner)
            }
            ApplyError::SigningDisabled => Problem::new(&codes::SIGNING_DISABLED),
            ApplyError::Unsealed(error) => Problem::internal(&error),
            ApplyError::KeyMalformed { partner } => Problem::new(&codes::API_KEY_MALFORMED).member("partner", partner),
            ApplyError::ReadOnly(read_only) => read_only.into(),
            ApplyError::Stopped(stopped) => stopped.into(),
        }
    }
}

/// Adds the numbers of a refund's refusal.
fn of_refund(problem: Problem, rejection: &RefundRejection) -> Problem {
    match *rejection {
        RefundRejection::AmountNotPositive { amount } => problem.member("amount", wide(amount)),
        RefundRejection::AmountTooLarge { amount, amount_max } => {
            problem.member("amount", wide(amount)).member("amount_max", wide(amount_max))
        }
        RefundRejection::LinesTooMany { lines, lines_max } => {
            problem.pointer("/lines").member("lines", lines).member("lines_max", lines_max)
        }
        RefundRejection::LineOutOfRange { line } | RefundRejection::LineNotBought { line } => {
            problem.pointer(format!("/lines/{line}")).member("line", line)
        }
        RefundRejection::ExceedsRemainder { amount, remaining } => {
            problem.member("amount", amount.minor_units()).member("remaining", remaining.minor_units())
        }
        RefundRejection::LinesRequired { remaining } => {
            problem.pointer("/amount").member("remaining", remaining.minor_units())
        }
        RefundRejection::LineExceedsRemainder { line, remaining_quantity, remaining_amount } => problem
            .pointer(format!("/lines/{line}"))
            .member("line", line)
            .member("remaining_quantity", remaining_quantity)
            .member("remaining_amount", remaining_amount.minor_units()),
        RefundRejection::RefundsTooMany { refunds_max } => problem.member("refunds_max", refunds_max),
        RefundRejection::BalanceTooSmall { balance } => problem.member("balance", balance.minor_units()),
    }
}
