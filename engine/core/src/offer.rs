//! Offers: what a customer may spend points on, money in the wallet at the tenant's rate or a thing with a stock.
//!
//! One unit of an offer costs so many points of one kind, and gives so much money or one thing. So a rate is a price and
//! a gift, both whole, and nothing is rounded. The stock belongs to the desk ([`crate::desk`]): a unit is reserved before
//! the customer's row is asked, and is back before the next ticket if that refuses.

use alloc::vec::Vec;

use crate::accounts::{Entry, HouseAccount, HouseLeg};
use crate::catalogue::{Offer, OfferGives};
use crate::customer::Row;
use crate::desk::{OfferTerms, OperationTerms};
use crate::event::{Event, OfferRedeemed};
use crate::operation::OperationRejection;
use crate::points::PointAccount;
use crate::quantity::{Amount, Instant};
use crate::wallet::CASHBACK_WALLET;

/// Units of an offer that one redemption may be of.
pub const QUANTITY_MAX: u32 = 1_000_000;

impl Offer {
    /// Returns true when it may be redeemed at `at`.
    #[must_use]
    pub fn is_open(&self, at: Instant) -> bool {
        let has_started = self.starts_at.is_none_or(|starts_at| starts_at <= at);
        self.is_active && has_started && self.ends_at.is_none_or(|ends_at| at <= ends_at)
    }

    /// Returns what so many units cost; `None` above the largest amount.
    fn price(&self, quantity: u32) -> Option<Amount> {
        times(self.points, quantity)
    }
}

fn times(amount: Amount, quantity: u32) -> Option<Amount> {
    Amount::new(amount.minor_units().checked_mul(i64::from(quantity))?)
}

/// Checks how many units are asked for.
///
/// # Errors
///
/// [`OperationRejection::QuantityOutOfRange`].
pub fn quantity(asked: i64) -> Result<u32, OperationRejection> {
    let quantity = u32::try_from(asked).ok().filter(|quantity| (1..=QUANTITY_MAX).contains(quantity));
    quantity.ok_or(OperationRejection::QuantityOutOfRange { quantity: asked, quantity_max: QUANTITY_MAX })
}

/// Redeems an offer: spends the points that expire soonest, and credits the wallet if the offer gives money.
///
/// # Errors
///
/// In this order: the quantity, the offer's name, whether it is open, its stock, the points, the wallet.
pub fn redeem(row: &Row, terms: &OperationTerms, name: &str, asked: i64) -> Result<Vec<Event>, OperationRejection> {
    let quantity = quantity(asked)?;
    let rules = &terms.catalogue;
    let offer = rules.offer_by_name(name).ok_or(OperationRejection::OfferUnknown)?;
    if !offer.is_open(terms.at) {
        return Err(OperationRejection::OfferClosed);
    }
    if let OfferTerms::Exhausted { stock, redeemed } = terms.offer {
        return Err(OperationRejection::StockExhausted { stock, redeemed });
    }
    let account = row.points.iter().find(|own| own.kind == offer.kind);
    let points = account.map_or(Amount::ZERO, |account| account.available(terms.at));
    let too_few = OperationRejection::PointsTooFew { points, price: offer.points, quantity };
    let price = offer.price(quantity).ok_or_else(|| too_few.clone())?;
    let spend = |account: &PointAccount| account.spend(price, HouseAccount::PointsRedeemed, terms.at);
    let spent = account.and_then(spend).ok_or(too_few)?;
    let redeemed = OfferRedeemed { offer: offer.id, quantity, points: price };
    let mut events = Vec::with_capacity(2 + spent.len());
    events.push(Event::OfferRedeemed(redeemed));
    if let OfferGives::WalletCredit { amount } = offer.gives {
        let wallet = row.wallet(CASHBACK_WALLET, rules.unit()).ok_or(OperationRejection::WalletUnknown)?;
        wallet.check_usable()?;
        let too_large = OperationRejection::BalanceTooLarge { balance: wallet.balance };
        let amount = times(amount, quantity).ok_or_else(|| too_large.clone())?;
        let leg = HouseLeg { account: HouseAccount::RedemptionExpense, amount };
        let entry = Entry::credit(wallet.id, wallet.unit, wallet.balance, &[leg]);
        events.push(Event::WalletEntry(entry.ok_or(too_large)?));
    }
    events.extend(spent.into_iter().map(Event::PointEntry));
    Ok(events)
}
