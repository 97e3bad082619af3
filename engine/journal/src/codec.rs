//! How a record becomes bytes, and back. A stored shape never changes: a new shape is a new version of its kind.
//!
//! | bytes of layout 2 | of layout 1 | what |
//! |---|---|---|
//! | 1 | 1 | version of the layout, 1 or 2 |
//! | 8 | 8 | received at, microseconds since the epoch |
//! | short, short | 4, 4 | tenant, catalogue version |
//! | 1 | 1 | 1 when the record names a customer, else 0 |
//! | 16, short | 16, 8 | customer, previous record of the customer; only when it names one |
//! | short | 2 | number of events |
//! | each: short, 1, short, n | 2, 1, 4, n | kind, version, length, bincode of the event's body |
//!
//! A short number takes as many bytes as it needs, as in bincode: up to 250 one byte; else 251, 252 or 253 and two, four or eight bytes.
//! The numbers of a body are short in layout 2, too. All other numbers are little-endian. Layout 2 is written, both are read. The position
//! is not stored: the frame gives it. Golden files freeze every kind.

use std::sync::Arc;

use bincode::Options as _;
use kembali_core::event::{Body, Event, Record};
use kembali_core::{CustomerId, Instant, Seq, TenantId};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::frame::RECORD_BYTES_MAX;

mod catalogue_v1;
mod catalogue_v2;
mod catalogue_v3;
mod catalogue_v4;
mod catalogue_v5;
mod catalogue_v6;
mod operation_refused_v1;
mod point_entry_v1;
mod point_entry_v2;

use catalogue_v1::CatalogueV1;
use catalogue_v2::CatalogueV2;
use catalogue_v3::CatalogueV3;
use catalogue_v4::CatalogueV4;
use catalogue_v5::CatalogueV5;
use catalogue_v6::CatalogueV6;
use operation_refused_v1::OperationRefusedV1;
use point_entry_v1::PointEntryV1;
use point_entry_v2::PointEntryV2;

/// Every number has its full width.
const FIXED: u8 = 1;
/// Numbers are short.
const SHORT: u8 = 2;
/// The largest number that is its own byte; what follows it says how many bytes there are.
const ONE_BYTE_MAX: u8 = 250;
const TWO_BYTES: u8 = 251;
const FOUR_BYTES: u8 = 252;
const EIGHT_BYTES: u8 = 253;

/// The kinds of events, by the number that the journal holds. Numbers are never used again.
mod kind {
    pub(super) const CATALOGUE_APPLIED: u16 = 1;
    pub(super) const CUSTOMER_CREATED: u16 = 2;
    pub(super) const PURCHASE_BOOKED: u16 = 3;
    pub(super) const PURCHASE_REFUSED: u16 = 4;
    pub(super) const PROMO_GRANTED: u16 = 5;
    pub(super) const PROMO_DECLINED: u16 = 6;
    pub(super) const TIER_STEPPED: u16 = 7;
    pub(super) const MILESTONE_REACHED: u16 = 8;
    pub(super) const WALLET_ENTRY: u16 = 9;
    pub(super) const SPEND_COUNTED: u16 = 10;
    pub(super) const CASHBACK_EARNED: u16 = 11;
    pub(super) const FULFILLMENT_ADVANCED: u16 = 12;
    pub(super) const CAMPAIGN_COMPLETED: u16 = 13;
    pub(super) const REWARD_GRANTED: u16 = 14;
    pub(super) const POINT_ENTRY: u16 = 15;
    pub(super) const TIER_PLACED: u16 = 16;
    pub(super) const OPERATION_DONE: u16 = 17;
    pub(super) const OPERATION_REFUSED: u16 = 18;
    pub(super) const WALLET_OPENED: u16 = 19;
    pub(super) const WALLET_STATUS_SET: u16 = 20;
    pub(super) const OFFER_REDEEMED: u16 = 21;
    pub(super) const PURCHASE_REFUNDED: u16 = 24;
    pub(super) const HOUSE_POSTED: u16 = 25;
    pub(super) const HOLD_PLACED: u16 = 26;
    pub(super) const HOLD_CLOSED: u16 = 27;
    pub(super) const TRANSFER_SENT: u16 = 28;
    pub(super) const TRANSFER_CREDITED: u16 = 29;
    pub(super) const TRANSFER_DECLINED: u16 = 30;
    pub(super) const TRANSFER_SETTLED: u16 = 31;
    pub(super) const TRANSFER_RETURNED: u16 = 32;
    pub(super) const INVOICE_OPENED: u16 = 33;
    pub(super) const INVOICE_CANCELLED: u16 = 34;
    pub(super) const INVOICE_PAID: u16 = 35;
    pub(super) const RISK_CHECKED: u16 = 36;
    pub(super) const OPERATION_REVERSED: u16 = 37;
    pub(super) const REVIEW_OPENED: u16 = 38;
    pub(super) const REVIEW_CLOSED: u16 = 39;
    pub(super) const OPERATION_COUNTED: u16 = 40;
    pub(super) const RISK_CHECK_ARCHIVED: u16 = 41;
    pub(super) const PURCHASE_BLOCKED: u16 = 42;
    pub(super) const AUDITED: u16 = 43;
    pub(super) const CUSTOMER_ERASED: u16 = 44;
}

/// Why bytes are no record.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end too early.
    #[error("the record ends after {found} bytes, {needed} more are needed")]
    Short {
        /// How many bytes there are.
        found: usize,
        /// How many more were needed.
        needed: usize,
    },
    /// Bytes are left over.
    #[error("{0} bytes are left over after the record")]
    Trailing(usize),
    /// The layout or an event is of a version or kind that this program does not know.
    #[error("{what} {found} is not known to this program; a newer one wrote it")]
    Unknown {
        /// What it is.
        what: &'static str,
        /// Its number.
        found: u32,
    },
    /// A field holds what it cannot.
    #[error("the {0} is out of range")]
    OutOfRange(&'static str),
    /// An event's body cannot be read.
    #[error("the body of an event of kind {kind} cannot be read")]
    Event {
        /// The kind.
        kind: u16,
        /// Why.
        source: bincode::Error,
    },
}

/// Why a record cannot be stored.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// An event cannot be written.
    #[error("an event of kind {kind} cannot be written")]
    Event {
        /// The kind.
        kind: u16,
        /// Why.
        source: bincode::Error,
    },
    /// The record has more events than the layout can count.
    #[error("the record has {0} events")]
    TooManyEvents(usize),
}

/// The one way in which this program uses bincode.
pub(crate) fn options() -> impl bincode::Options {
    bincode::DefaultOptions::new()
        .with_fixint_encoding()
        .with_little_endian()
        .with_limit(RECORD_BYTES_MAX as u64)
        .reject_trailing_bytes()
}

/// Reads bodies of layout 2.
fn short_options() -> impl bincode::Options {
    bincode::DefaultOptions::new()
        .with_varint_encoding()
        .with_little_endian()
        .with_limit(RECORD_BYTES_MAX as u64)
        .reject_trailing_bytes()
}

/// Appends the bytes of a record to `out`, in layout 2.
///
/// How long it may be is looked at where the frame is made.
///
/// # Errors
///
/// When an event cannot be written, or there are too many; `out` then holds a part of it.
pub fn encode(body: &Body, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let count = u16::try_from(body.events.len()).map_err(|_| EncodeError::TooManyEvents(body.events.len()))?;
    out.push(SHORT);
    out.extend_from_slice(&body.received_at.0.to_le_bytes());
    put_number(body.tenant.0.into(), out);
    put_number(body.catalogue_version.into(), out);
    match body.customer {
        None => out.push(0),
        Some(customer) => {
            out.push(1);
            out.extend_from_slice(&customer.0.to_le_bytes());
            put_number(body.previous.0, out);
        }
    }
    put_number(count.into(), out);
    body.events.iter().try_for_each(|event| encode_event(event, out))
}

fn put_number(number: u64, out: &mut Vec<u8>) {
    if let Some(byte) = u8::try_from(number).ok().filter(|byte| *byte <= ONE_BYTE_MAX) {
        out.push(byte);
    } else if let Ok(number) = u16::try_from(number) {
        out.push(TWO_BYTES);
        out.extend_from_slice(&number.to_le_bytes());
    } else if let Ok(number) = u32::try_from(number) {
        out.push(FOUR_BYTES);
        out.extend_from_slice(&number.to_le_bytes());
    } else {
        out.push(EIGHT_BYTES);
        out.extend_from_slice(&number.to_le_bytes());
    }
}

fn encode_event(event: &Event, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    match event {
        Event::CatalogueApplied(body) => put_version(kind::CATALOGUE_APPLIED, 7, &**body, out),
        Event::CustomerCreated(body) => put(kind::CUSTOMER_CREATED, body, out),
        Event::PurchaseBooked(body) => put(kind::PURCHASE_BOOKED, &**body, out),
        Event::PurchaseRefused(body) => put(kind::PURCHASE_REFUSED, &**body, out),
        Event::PromoGranted(body) => put(kind::PROMO_GRANTED, body, out),
        Event::PromoDeclined(body) => put(kind::PROMO_DECLINED, body, out),
        Event::TierStepped(body) => put(kind::TIER_STEPPED, body, out),
        Event::MilestoneReached(body) => put(kind::MILESTONE_REACHED, body, out),
        Event::WalletEntry(body) => put(kind::WALLET_ENTRY, body, out),
        Event::SpendCounted(body) => put(kind::SPEND_COUNTED, body, out),
        Event::CashbackEarned(body) => put(kind::CASHBACK_EARNED, body, out),
        Event::FulfillmentAdvanced(body) => put(kind::FULFILLMENT_ADVANCED, body, out),
        Event::CampaignCompleted(body) => put(kind::CAMPAIGN_COMPLETED, body, out),
        Event::RewardGranted(body) => put(kind::REWARD_GRANTED, body, out),
        Event::PointEntry(body) => put_version(kind::POINT_ENTRY, 3, body, out),
        Event::TierPlaced(body) => put(kind::TIER_PLACED, body, out),
        Event::PurchaseRefunded(body) => put(kind::PURCHASE_REFUNDED, &**body, out),
        Event::HousePosted(body) => put(kind::HOUSE_POSTED, body, out),
        Event::OperationDone(body) => put(kind::OPERATION_DONE, &**body, out),
        Event::OperationRefused(body) => put_version(kind::OPERATION_REFUSED, 2, &**body, out),
        Event::WalletOpened(body) => put(kind::WALLET_OPENED, body, out),
        Event::WalletStatusSet(body) => put(kind::WALLET_STATUS_SET, body, out),
        Event::OfferRedeemed(body) => put(kind::OFFER_REDEEMED, body, out),
        Event::HoldPlaced(body) => put(kind::HOLD_PLACED, body, out),
        Event::HoldClosed(body) => put(kind::HOLD_CLOSED, body, out),
        Event::TransferSent(body) => put(kind::TRANSFER_SENT, &**body, out),
        Event::TransferCredited(body) => put(kind::TRANSFER_CREDITED, body, out),
        Event::TransferDeclined(body) => put(kind::TRANSFER_DECLINED, body, out),
        Event::TransferSettled(body) => put(kind::TRANSFER_SETTLED, body, out),
        Event::TransferReturned(body) => put(kind::TRANSFER_RETURNED, body, out),
        Event::InvoiceOpened(body) => put(kind::INVOICE_OPENED, &**body, out),
        Event::InvoiceCancelled(body) => put(kind::INVOICE_CANCELLED, &**body, out),
        Event::InvoicePaid(body) => put(kind::INVOICE_PAID, &**body, out),
        Event::RiskChecked(body) => put(kind::RISK_CHECKED, body, out),
        Event::OperationReversed(body) => put(kind::OPERATION_REVERSED, body, out),
        Event::ReviewOpened(body) => put(kind::REVIEW_OPENED, &**body, out),
        Event::ReviewClosed(body) => put(kind::REVIEW_CLOSED, &**body, out),
        Event::OperationCounted(body) => put(kind::OPERATION_COUNTED, body, out),
        Event::RiskCheckArchived(body) => put(kind::RISK_CHECK_ARCHIVED, body, out),
        Event::PurchaseBlocked(body) => put(kind::PURCHASE_BLOCKED, body, out),
        Event::Audited(body) => put(kind::AUDITED, &**body, out),
        Event::CustomerErased => put(kind::CUSTOMER_ERASED, &(), out),
    }
}

/// Writes kind, version 1, length and body.
fn put(kind: u16, body: &impl Serialize, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    put_version(kind, 1, body, out)
}

fn put_version(kind: u16, version: u8, body: &impl Serialize, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    put_number(kind.into(), out);
    out.push(version);
    // Nearly every body is so short that its length is one byte.
    let at = out.len();
    out.push(0);
    // With a limit the size would be counted first, which costs as much as writing.
    let options = short_options().with_no_limit();
    options.serialize_into(&mut *out, body).map_err(|source| EncodeError::Event { kind, source })?;
    let (start, end) = (at + 1, out.len());
    put_number((end - start) as u64, out);
    let length_bytes = out.len() - end;
    if length_bytes == 1 {
        out.swap_remove(at);
    } else {
        out[start..].rotate_right(length_bytes);
        out.remove(at);
    }
    Ok(())
}

/// What stands at the start of a record: enough to leave it aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHead {
    /// When the ledger received the command.
    pub received_at: Instant,
    /// Whose rules.
    pub tenant: TenantId,
    /// True when the record names a customer.
    pub has_customer: bool,
}

/// Reads only the start of a record.
///
/// # Errors
///
/// [`DecodeError`].
pub fn decode_head(bytes: &[u8]) -> Result<RecordHead, DecodeError> {
    let mut input = Input { bytes, at: 0, layout: FIXED };
    let (received_at, tenant, _) = start(&mut input)?;
    let has_customer = input.u8()? != 0;
    Ok(RecordHead { received_at, tenant, has_customer })
}

/// Returns true for a record of `tenant` that refunds a purchase or reverses an operation, without reading what its events say.
///
/// # Errors
///
/// [`DecodeError`].
pub fn takes_back(tenant: TenantId, bytes: &[u8]) -> Result<bool, DecodeError> {
    let mut input = Input { bytes, at: 0, layout: FIXED };
    let (_, own, _) = start(&mut input)?;
    // Only what is a customer's is taken back.
    if own != tenant || input.u8()? == 0 {
        return Ok(false);
    }
    input.take(16)?;
    input.u64()?;
    let count = input.u16()?;
    for _ in 0..count {
        let kind = input.u16()?;
        if kind == kind::PURCHASE_REFUNDED || kind == kind::OPERATION_REVERSED {
            return Ok(true);
        }
        input.u8()?;
        let length = input.u32()? as usize;
        input.take(length)?;
    }
    Ok(false)
}

/// Reads layout, stamp, tenant and version.
fn start(input: &mut Input<'_>) -> Result<(Instant, TenantId, u32), DecodeError> {
    input.layout = input.u8()?;
    if !matches!(input.layout, FIXED | SHORT) {
        return Err(DecodeError::Unknown { what: "the record layout", found: input.layout.into() });
    }
    Ok((Instant(i64::from_le_bytes(input.array()?)), TenantId(input.u32()?), input.u32()?))
}

/// Reads the record at `seq`.
///
/// # Errors
///
/// [`DecodeError`]. Bytes whose checksum fits and which are no record were written by another program or by a wrong
/// one.
pub fn decode(seq: Seq, bytes: &[u8]) -> Result<Record, DecodeError> {
    let mut input = Input { bytes, at: 0, layout: FIXED };
    let (received_at, tenant, catalogue_version) = start(&mut input)?;
    let (customer, previous) = match input.u8()? {
        0 => (None, Seq::ZERO),
        1 => (Some(CustomerId(u128::from_le_bytes(input.array()?))), Seq(input.u64()?)),
        _ => return Err(DecodeError::OutOfRange("mark of a customer")),
    };
    let count = input.u16()?;
    // Three bytes at least stand behind each event that is announced.
    let mut events = Vec::with_capacity(usize::from(count).min(bytes.len() / 3));
    for _ in 0..count {
        events.push(decode_event(&mut input)?);
    }
    match bytes.len() - input.at {
        0 => {
            let body = Body { received_at, tenant, catalogue_version, customer, previous, events };
            Ok(Record { seq, body })
        }
        left => Err(DecodeError::Trailing(left)),
    }
}

fn decode_event(input: &mut Input<'_>) -> Result<Event, DecodeError> {
    let kind = input.u16()?;
    let version = input.u8()?;
    let length = input.u32()? as usize;
    let body = Bytes { layout: input.layout, bytes: input.take(length)? };
    match (kind, version) {
        (kind::CATALOGUE_APPLIED, 1) => {
            let old: CatalogueV1 = get(kind, body)?;
            return Ok(Event::CatalogueApplied(Arc::new(old.into())));
        }
        (kind::CATALOGUE_APPLIED, 2) => {
            let old: CatalogueV2 = get(kind, body)?;
            return Ok(Event::CatalogueApplied(Arc::new(old.into())));
        }
        (kind::CATALOGUE_APPLIED, 3) => {
            let old: CatalogueV3 = get(kind, body)?;
            return Ok(Event::CatalogueApplied(Arc::new(old.into())));
        }
        (kind::CATALOGUE_APPLIED, 4) => {
            let old: CatalogueV4 = get(kind, body)?;
            return Ok(Event::CatalogueApplied(Arc::new(old.into())));
        }
        (kind::CATALOGUE_APPLIED, 5) => {
            let old: CatalogueV5 = get(kind, body)?;
            return Ok(Event::CatalogueApplied(Arc::new(old.into())));
        }
        (kind::CATALOGUE_APPLIED, 6) => {
            let old: CatalogueV6 = get(kind, body)?;
            return Ok(Event::CatalogueApplied(Arc::new(old.into())));
        }
        (kind::CATALOGUE_APPLIED, 7) => return Ok(Event::CatalogueApplied(Arc::new(get(kind, body)?))),
        (kind::POINT_ENTRY, 1) => {
            let old: PointEntryV1 = get(kind, body)?;
            return Ok(Event::PointEntry(old.into()));
        }
        (kind::POINT_ENTRY, 2) => {
            let old: PointEntryV2 = get(kind, body)?;
            return Ok(Event::PointEntry(old.into()));
        }
        (kind::POINT_ENTRY, 3) => return Ok(Event::PointEntry(get(kind, body)?)),
        (kind::OPERATION_REFUSED, 1) => {
            let old: OperationRefusedV1 = get(kind, body)?;
            return Ok(Event::OperationRefused(Box::new(old.into())));
        }
        (kind::OPERATION_REFUSED, 2) => return Ok(Event::OperationRefused(Box::new(get(kind, body)?))),
        (_, 1) => (),
        _ => return Err(DecodeError::Unknown { what: "the version of an event", found: version.into() }),
    }
    Ok(match kind {
        kind::CUSTOMER_CREATED => Event::CustomerCreated(get(kind, body)?),
        kind::PURCHASE_BOOKED => Event::PurchaseBooked(Box::new(get(kind, body)?)),
        kind::PURCHASE_REFUSED => Event::PurchaseRefused(Box::new(get(kind, body)?)),
        kind::PROMO_GRANTED => Event::PromoGranted(get(kind, body)?),
        kind::PROMO_DECLINED => Event::PromoDeclined(get(kind, body)?),
        kind::TIER_STEPPED => Event::TierStepped(get(kind, body)?),
        kind::MILESTONE_REACHED => Event::MilestoneReached(get(kind, body)?),
        kind::WALLET_ENTRY => Event::WalletEntry(get(kind, body)?),
        kind::SPEND_COUNTED => Event::SpendCounted(get(kind, body)?),
        kind::CASHBACK_EARNED => Event::CashbackEarned(get(kind, body)?),
        kind::FULFILLMENT_ADVANCED => Event::FulfillmentAdvanced(get(kind, body)?),
        kind::CAMPAIGN_COMPLETED => Event::CampaignCompleted(get(kind, body)?),
        kind::REWARD_GRANTED => Event::RewardGranted(get(kind, body)?),
        kind::TIER_PLACED => Event::TierPlaced(get(kind, body)?),
        kind::PURCHASE_REFUNDED => Event::PurchaseRefunded(Box::new(get(kind, body)?)),
        kind::HOUSE_POSTED => Event::HousePosted(get(kind, body)?),
        kind::OPERATION_DONE => Event::OperationDone(Box::new(get(kind, body)?)),
        kind::WALLET_OPENED => Event::WalletOpened(get(kind, body)?),
        kind::WALLET_STATUS_SET => Event::WalletStatusSet(get(kind, body)?),
        kind::OFFER_REDEEMED => Event::OfferRedeemed(get(kind, body)?),
        kind::HOLD_PLACED => Event::HoldPlaced(get(kind, body)?),
        kind::HOLD_CLOSED => Event::HoldClosed(get(kind, body)?),
        kind::TRANSFER_SENT => Event::TransferSent(Box::new(get(kind, body)?)),
        kind::TRANSFER_CREDITED => Event::TransferCredited(get(kind, body)?),
        kind::TRANSFER_DECLINED => Event::TransferDeclined(get(kind, body)?),
        kind::TRANSFER_SETTLED => Event::TransferSettled(get(kind, body)?),
        kind::TRANSFER_RETURNED => Event::TransferReturned(get(kind, body)?),
        kind::INVOICE_OPENED => Event::InvoiceOpened(Box::new(get(kind, body)?)),
        kind::INVOICE_CANCELLED => Event::InvoiceCancelled(Box::new(get(kind, body)?)),
        kind::INVOICE_PAID => Event::InvoicePaid(Box::new(get(kind, body)?)),
        kind::RISK_CHECKED => Event::RiskChecked(get(kind, body)?),
        kind::OPERATION_REVERSED => Event::OperationReversed(get(kind, body)?),
        kind::REVIEW_OPENED => Event::ReviewOpened(Box::new(get(kind, body)?)),
        kind::REVIEW_CLOSED => Event::ReviewClosed(Box::new(get(kind, body)?)),
        kind::OPERATION_COUNTED => Event::OperationCounted(get(kind, body)?),
        kind::RISK_CHECK_ARCHIVED => Event::RiskCheckArchived(get(kind, body)?),
        kind::PURCHASE_BLOCKED => Event::PurchaseBlocked(get(kind, body)?),
        kind::AUDITED => Event::Audited(get(kind, body)?),
        kind::CUSTOMER_ERASED => get(kind, body).map(|()| Event::CustomerErased)?,
        _ => return Err(DecodeError::Unknown { what: "the kind of an event", found: kind.into() }),
    })
}

/// The bytes of an event's body.
#[derive(Clone, Copy)]
struct Bytes<'a> {
    layout: u8,
    bytes: &'a [u8],
}

fn get<T: DeserializeOwned>(kind: u16, body: Bytes<'_>) -> Result<T, DecodeError> {
    let read =
        if body.layout == FIXED { options().deserialize(body.bytes) } else { short_options().deserialize(body.bytes) };
    read.map_err(|source| DecodeError::Event { kind, source })
}

/// Appends the bytes of a value that is stored outside of a record to `out`.
///
/// # Errors
///
/// When the value cannot be written; `out` then holds a part of it.
pub fn encode_value(value: &impl Serialize, out: &mut Vec<u8>) -> Result<(), bincode::Error> {
    // The limit of a record is not a value's.
    options().with_no_limit().serialize_into(out, value)
}

/// Reads a value from all of `bytes`.
///
/// # Errors
///
/// When they hold another value, or more than one.
pub fn decode_value<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, bincode::Error> {
    options().with_limit(bytes.len() as u64).deserialize(bytes)
}

struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
    layout: u8,
}

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let left = &self.bytes[self.at..];
        let short = || DecodeError::Short { found: self.bytes.len(), needed: count - left.len() };
        let taken = left.get(..count).ok_or_else(short)?;
        self.at += count;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(self.array::<1>()?[0])
    }

    fn u16(&mut self) -> Result<u16, DecodeError> {
        if self.layout == FIXED { Ok(u16::from_le_bytes(self.array()?)) } else { self.short() }
    }

    fn u32(&mut self) -> Result<u32, DecodeError> {
        if self.layout == FIXED { Ok(u32::from_le_bytes(self.array()?)) } else { self.short() }
    }

    fn u64(&mut self) -> Result<u64, DecodeError> {
        if self.layout == FIXED { Ok(u64::from_le_bytes(self.array()?)) } else { self.short() }
    }

    /// Reads a short number. It must be as short as it can be: a record has one form.
    fn short<T: TryFrom<u64>>(&mut self) -> Result<T, DecodeError> {
        let (number, least) = match self.u8()? {
            byte @ ..=ONE_BYTE_MAX => (byte.into(), 0),
            TWO_BYTES => (u16::from_le_bytes(self.array()?).into(), u64::from(ONE_BYTE_MAX) + 1),
            FOUR_BYTES => (u32::from_le_bytes(self.array()?).into(), 1 << 16),
            EIGHT_BYTES => (u64::from_le_bytes(self.array()?), 1 << 32),
            _ => return Err(DecodeError::OutOfRange("short number")),
        };
        let number = (least <= number).then_some(number).and_then(|number| T::try_from(number).ok());
        number.ok_or(DecodeError::OutOfRange("short number"))
    }
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
