//! A purchase as a partner sends it.
//!
//! The good case is one typed pass over the bytes. The first failure in this order is the code: shape (which includes
//! instants and lengths), origin id, customer; the rest is the ledger's to refuse.

use std::borrow::Cow;

use kembali_core::purchase::{Line, ORIGIN_ID_CHARS_MAX, Purchase, TAGS_MAX, TEXT_BYTES_MAX};
use kembali_core::{CustomerId, Instant};
use kembali_engine::CustomerRef;
use serde::Deserialize;
use utoipa::ToSchema;

use super::document::Object;
use super::fault;
use super::instant::{parse_rfc3339, parse_uuid};
use super::number::Whole;
use crate::codes;
use crate::problem::Problem;

/// Characters that a tenant's own reference of a customer may have.
const REF_CHARS_MAX: usize = 128;
/// Characters that an e-mail address may have (RFC 5321 leaves 254).
const EMAIL_CHARS: std::ops::RangeInclusive<usize> = 3..=254;

/// A purchase.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Purchase)]
pub(crate) struct PurchaseBody<'a> {
    /// The partner's own id of it, for ever: the same id again is a repeat.
    #[serde(borrow)]
    #[schema(min_length = 1, max_length = 128)]
    origin_id: Cow<'a, str>,
    /// Who bought.
    #[serde(borrow)]
    #[schema(value_type = CustomerBody<'a>)]
    customer: Object<CustomerBody<'a>>,
    /// What was paid, in minor units of the tenant's currency; at least 1.
    amount: Whole,
    /// How many pieces; at least 1.
    quantity: Whole,
    /// When it occurred: RFC 3339 with an offset.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    occurred_at: Option<Text<'a>>,
    /// The code of a promo.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>)]
    promo_code: Option<Text<'a>>,
    /// The shop.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>)]
    store: Option<Text<'a>>,
    /// The product.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>)]
    product: Option<Text<'a>>,
    /// Whatever the partner likes to find again.
    #[serde(default)]
    tags: Option<Vec<String>>,
    /// The lines; their amounts sum to `amount`.
    #[serde(borrow, default)]
    #[schema(value_type = Option<Vec<LineBody<'a>>>, max_items = 1_000)]
    lines: Option<Vec<Object<LineBody<'a>>>>,
}

/// A string that borrows where it can; the derive borrows a bare `Cow` only.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Who bought: exactly one of `id`, `email` and `ref`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CustomerName)]
struct CustomerBody<'a> {
    /// The customer's id, as a result shows it.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, format = "uuid")]
    id: Option<Text<'a>>,
    /// The e-mail address.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, min_length = 3, max_length = 254)]
    email: Option<Text<'a>>,
    /// The tenant's own reference.
    #[serde(borrow, default, rename = "ref")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 128)]
    reference: Option<Text<'a>>,
}

/// A line of a purchase.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Line)]
struct LineBody<'a> {
    /// The product.
    #[serde(borrow)]
    product: Cow<'a, str>,
    /// How many pieces; at least 0.
    quantity: Whole,
    /// What was paid for them, in minor units; at least 0.
    amount: Whole,
}

/// Reads one purchase, for whoever need not know what is wrong with one that cannot be read.
#[must_use]
pub fn read(document: &[u8]) -> Option<(CustomerRef, Purchase)> {
    parse(document).ok()
}

/// Reads one purchase.
///
/// # Errors
///
/// A problem of status 400 that names the place.
pub(crate) fn parse(document: &[u8]) -> Result<(CustomerRef, Purchase), Box<Problem>> {
    match str::from_utf8(document) {
        Ok(text) => parse_text(text),
        // It cannot be read: this says where.
        Err(_) => checked(document, serde_json::from_slice(document)),
    }
}

/// As [`parse`], of what is known to be text: it is not looked at again, string by string.
///
/// # Errors
///
/// As [`parse`].
pub(crate) fn parse_text(document: &str) -> Result<(CustomerRef, Purchase), Box<Problem>> {
    checked(document.as_bytes(), serde_json::from_str(document))
}

fn checked(
    document: &[u8],
    read: Result<Object<PurchaseBody<'_>>, serde_json::Error>,
) -> Result<(CustomerRef, Purchase), Box<Problem>> {
    let Object(body) = read.map_err(|error| Box::new(fault::find(document, fault::PURCHASE, &error)))?;
    let occurred_at = instant(body.occurred_at.as_ref(), "/occurred_at")?;
    let promo_code = text(body.promo_code, "/promo_code")?;
    let store = text(body.store, "/store")?;
    let product = text(body.product, "/product")?;
    let tags = tags(body.tags.unwrap_or_default())?;
    let lines = lines(body.lines.unwrap_or_default())?;
    check_origin_id(&body.origin_id)?;
    let customer = customer(body.customer.0)?;
    let purchase = Purchase {
        origin_id: body.origin_id.into(),
        amount: body.amount.0,
        quantity: body.quantity.0,
        occurred_at,
        promo_code,
        store,
        product,
        tags,
        lines,
    };
    Ok((customer, purchase))
}

fn invalid(pointer: impl Into<String>, detail: impl Into<Cow<'static, str>>) -> Box<Problem> {
    Box::new(Problem::new(&codes::FIELD_INVALID).pointer(pointer).detail(detail))
}

fn too_long() -> String {
    format!("must have at most {TEXT_BYTES_MAX} bytes")
}

fn instant(text: Option<&Text<'_>>, pointer: &'static str) -> Result<Option<Instant>, Box<Problem>> {
    let Some(text) = text else { return Ok(None) };
    let instant = parse_rfc3339(&text.0);
    instant.map(Some).ok_or_else(|| invalid(pointer, "must be an instant in RFC 3339 with an offset"))
}

fn text(text: Option<Text<'_>>, pointer: &'static str) -> Result<Option<Box<str>>, Box<Problem>> {
    match text {
        Some(text) if TEXT_BYTES_MAX < text.0.len() => Err(invalid(pointer, too_long())),
        text => Ok(text.map(|text| text.0.into())),
    }
}

fn tags(tags: Vec<String>) -> Result<Vec<String>, Box<Problem>> {
    if TAGS_MAX < tags.len() {
        return Err(invalid("/tags", format!("must have at most {TAGS_MAX} items")));
    }
    match tags.iter().position(|tag| TEXT_BYTES_MAX < tag.len()) {
        Some(index) => Err(invalid(format!("/tags/{index}"), too_long())),
        None => Ok(tags),
    }
}

fn lines(lines: Vec<Object<LineBody<'_>>>) -> Result<Vec<Line>, Box<Problem>> {
    if let Some(index) = lines.iter().position(|line| TEXT_BYTES_MAX < line.0.product.len()) {
        return Err(invalid(format!("/lines/{index}/product"), too_long()));
    }
    let line = |Object(line): Object<LineBody<'_>>| Line {
        product: line.product.into(),
        quantity: line.quantity.0,
        amount: line.amount.0,
    };
    Ok(lines.into_iter().map(line).collect())
}

pub(super) fn check_origin_id(origin_id: &str) -> Result<(), Box<Problem>> {
    if has_chars(origin_id, 1..=ORIGIN_ID_CHARS_MAX) {
        return Ok(());
    }
    Err(Box::new(Problem::new(&codes::ORIGIN_ID_INVALID).pointer("/origin_id")))
}

/// Returns true for text of a fitting length without control characters.
pub(crate) fn has_chars(text: &str, range: std::ops::RangeInclusive<usize>) -> bool {
    // A character has 1 to 4 bytes: nothing more is looked at of a text that is far too long.
    if 4 * range.end() < text.len() {
        return false;
    }
    // Nearly every text is plain ASCII, of which many bytes are looked at together.
    if text.bytes().fold(true, |plain, byte| plain & (0x20..0x7f).contains(&byte)) {
        return range.contains(&text.len());
    }
    range.contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

fn customer(body: CustomerBody<'_>) -> Result<CustomerRef, Box<Problem>> {
    let invalid = |pointer: &str| Box::new(Problem::new(&codes::CUSTOMER_INVALID).pointer(pointer));
    match (body.id, body.email, body.reference) {
        (Some(id), None, None) => customer_by_id(&id.0).ok_or_else(|| invalid("/customer/id")),
        (None, Some(email), None) => customer_by_email(&email.0).ok_or_else(|| invalid("/customer/email")),
        (None, None, Some(text)) => customer_by_ref(&text.0).ok_or_else(|| invalid("/customer/ref")),
        _ => Err(invalid("/customer")),
    }
}

/// Names a customer by id, if the text is one.
pub(crate) fn customer_by_id(text: &str) -> Option<CustomerRef> {
    parse_uuid(text).map(|id| CustomerRef::Id(CustomerId(id)))
}

/// Names a customer by e-mail address, if the text may be one.
pub(crate) fn customer_by_email(text: &str) -> Option<CustomerRef> {
    let (name, host) = text.split_once('@')?;
    let is_sane = has_chars(text, EMAIL_CHARS)
        && !name.is_empty()
        && !host.is_empty()
        && !host.contains('@')
        && !text.contains(char::is_whitespace);
    is_sane.then(|| CustomerRef::Email(text.to_owned()))
}

/// Names a customer by the tenant's reference, if the text may be one.
pub(crate) fn customer_by_ref(text: &str) -> Option<CustomerRef> {
    has_chars(text, 1..=REF_CHARS_MAX).then(|| CustomerRef::Ref(text.to_owned()))
}

#[cfg(test)]
#[path = "purchase_tests.rs"]
mod tests;
