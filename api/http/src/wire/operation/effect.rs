//! What an operation did, effect by effect.

use std::borrow::Cow;
use std::sync::Arc;

use kembali_core::Unit;
use kembali_core::accounts::{Direction, Entry};
use kembali_core::catalogue::Catalogue;
use kembali_core::event::{Event, OfferRedeemed};
use kembali_core::hold::{HoldClosed, HoldEnd};
use serde::Serialize;
use utoipa::ToSchema;

use super::status_text;
use crate::wire::history::Side;
use crate::wire::hold::HoldState;
use crate::wire::invoice::InvoiceChange;
use crate::wire::refund::{BackEffect, RefundPart, back_effects};
use crate::wire::result::{Effect, Names};
use crate::wire::reversal::Reversed;
use crate::wire::transfer::TransferState;

/// What an operation did.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum OperationEffect<'a> {
    /// Something that purchases cause as well.
    Earned(Effect<'a>),
    /// Something else.
    Own(OwnEffect<'a>),
}

/// What only operations do.
#[derive(Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum OwnEffect<'a> {
    /// The customer is new.
    CustomerCreated,
    /// Nothing says any more who the customer is.
    CustomerErased,
    /// A wallet is open.
    WalletOpened {
        /// Its number.
        wallet: u16,
    },
    /// A wallet may be used otherwise than before.
    WalletStatus {
        /// Its number.
        wallet: u16,
        /// What it was.
        before: &'static str,
        /// What it is.
        after: &'static str,
    },
    /// Points were spent on an offer.
    OfferRedeemed {
        /// The offer.
        offer: Cow<'a, str>,
        /// The id of the offer.
        rule: u32,
        /// The version of the catalogue that it is of.
        version: u32,
        /// How many units.
        quantity: u32,
        /// The kind of points that it costs.
        kind: Cow<'a, str>,
        /// How many points they cost in all.
        points: i64,
    },
    /// Money was set aside for a partner.
    HoldPlaced(HoldState),
    /// Money that was set aside was paid or given free.
    HoldClosed(HoldState),
    /// Money was sent to another wallet, and has arrived.
    Transfer(TransferState),
    /// An invoice can be paid.
    InvoiceOpened(InvoiceChange),
    /// An invoice was taken back.
    InvoiceCancelled(InvoiceChange),
    /// An invoice was paid.
    InvoicePaid(InvoiceChange),
    /// An operation was taken back.
    OperationReversed(Reversed),
    /// The operation was set aside for a person; it has moved nothing.
    ReviewOpened,
    /// A check is archived.
    RiskCheckArchived {
        /// The position of its record.
        check: u64,
    },
    /// What was set aside is done: what it did follows.
    ReviewReleased {
        /// The position of the record that set it aside.
        review: u64,
    },
    /// What was set aside is refused.
    ReviewRejected {
        /// The position of the record that set it aside.
        review: u64,
    },
    /// A purchase was taken back, in whole or in part.
    Refund {
        /// How much, in minor units.
        amount: i64,
        /// Of each product, of a purchase with lines.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        #[schema(required = false)]
        lines: Vec<RefundPart>,
        /// What remains of the purchase, in minor units.
        remaining: i64,
        /// What is clawed back for it, by what had granted it.
        clawed_back: Vec<BackEffect<'a>>,
        /// The promo that gets a unit of its quota back; not there where none does.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        unit_returned: Option<Cow<'a, str>>,
        /// What the wallet held too little of, in minor units, and is the house's; not there where it held enough.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        shortfall: Option<i64>,
    },
    /// Money moved.
    WalletEntry {
        /// The wallet's number.
        wallet: u16,
        /// The currency of the amounts.
        currency: &'a str,
        /// Into it or out of it.
        direction: Side,
        /// How much, in minor units.
        amount: i64,
        /// What was in it before, in minor units.
        balance_before: i64,
        /// What is in it afterwards, in minor units.
        balance_after: i64,
    },
}

pub(super) fn effect<'a>(
    event: &'a Event,
    names: &Names<'a>,
    former: &'a [Arc<Catalogue>],
) -> Option<OperationEffect<'a>> {
    let own = match event {
        Event::CustomerCreated(_) => OwnEffect::CustomerCreated,
        Event::CustomerErased => OwnEffect::CustomerErased,
        Event::WalletOpened(opened) => OwnEffect::WalletOpened { wallet: opened.wallet.0 },
        Event::WalletStatusSet(set) => OwnEffect::WalletStatus {
            wallet: set.wallet.0,
            before: status_text(set.before),
            after: status_text(set.after),
        },
        Event::OfferRedeemed(redeemed) => offer_redeemed(redeemed, names),
        Event::InvoiceOpened(own) => OwnEffect::InvoiceOpened(InvoiceChange::opened(own, names)),
        Event::InvoiceCancelled(own) => {
            OwnEffect::InvoiceCancelled(InvoiceChange::cancelled(&own.number, own.partner, names))
        }
        Event::InvoicePaid(own) => OwnEffect::InvoicePaid(InvoiceChange::paid(own, names)),
        Event::TransferSettled(settled) => OwnEffect::Transfer(TransferState::settled(settled)),
        Event::HoldPlaced(hold) => OwnEffect::HoldPlaced(HoldState::of(hold, names)),
        // Time has done that, before the operation, and the hold may be another partner's than whoever asked.
        Event::HoldClosed(HoldClosed { end: HoldEnd::Expired, .. }) => return None,
        Event::HoldClosed(closed) => OwnEffect::HoldClosed(HoldState::closed(closed, names)),
        Event::RiskCheckArchived(own) => OwnEffect::RiskCheckArchived { check: own.check.0 },
        Event::ReviewOpened(_) => OwnEffect::ReviewOpened,
        Event::ReviewClosed(own) => match own.released_by {
            Some(_) => OwnEffect::ReviewReleased { review: own.review.0 },
            None => OwnEffect::ReviewRejected { review: own.review.0 },
        },
        Event::OperationReversed(own) => OwnEffect::OperationReversed(Reversed::of(own, names)),
        Event::WalletEntry(entry) => wallet_entry(entry)?,
        Event::PurchaseRefunded(refunded) => OwnEffect::Refund {
            amount: refunded.amount.minor_units(),
            lines: refunded.parts.iter().map(RefundPart::of).collect(),
            remaining: refunded.remaining.minor_units(),
            clawed_back: back_effects(&refunded.claw_back, names),
            unit_returned: refunded.returned_unit.map(|promo| names.promo(promo)),
            shortfall: Some(refunded.shortfall.minor_units()).filter(|shortfall| 0 < *shortfall),
        },
        event => return names.effect(event, former).map(OperationEffect::Earned),
    };
    Some(OperationEffect::Own(own))
}

fn offer_redeemed<'a>(redeemed: &OfferRedeemed, names: &Names<'a>) -> OwnEffect<'a> {
    OwnEffect::OfferRedeemed {
        offer: names.offer(redeemed.offer),
        rule: redeemed.offer.0,
        version: names.catalogue.version,
        quantity: redeemed.quantity,
        kind: names.catalogue.offer(redeemed.offer).map_or(Cow::Borrowed(""), |offer| names.point_kind(offer.kind)),
        points: redeemed.points.minor_units(),
    }
}

fn wallet_entry(entry: &Entry) -> Option<OwnEffect<'_>> {
    // A wallet holds money alone.
    let Unit::Money(currency) = &entry.unit else { return None };
    let (amount, balance_after) = (entry.amount.minor_units(), entry.balance_after.minor_units());
    let balance_before = match entry.direction {
        Direction::In => balance_after - amount,
        Direction::Out => balance_after + amount,
    };
    let (wallet, currency, direction) = (entry.wallet.0, currency.as_str(), Side::of(entry.direction));
    Some(OwnEffect::WalletEntry { wallet, currency, direction, amount, balance_before, balance_after })
}
