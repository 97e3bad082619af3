//! Cashback rules: a share of what is bought of some products (onetap).
//!
//! The share is taken of the sum of the product's lines, so that it is rounded once. A purchase without lines is one of
//! its `product` for the whole amount. Rules stack, and one that does not fit never keeps the others from paying.

use alloc::string::String;

use crate::catalogue::CashbackRule;
use crate::identity::PartnerId;
use crate::purchase::Purchase;
use crate::quantity::{Amount, Instant};

/// What a rule pays for a purchase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paid {
    /// What was bought of its products.
    pub bought: Amount,
    /// How many points, greater than zero.
    pub points: Amount,
}

/// Why a rule pays nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unpaid {
    /// The rule is switched off.
    Inactive,
    /// The purchase comes after its end.
    Ended,
    /// It is for the purchases of another partner.
    OtherPartner,
    /// Nothing was bought of its products, or for nothing.
    NothingBought,
    /// Its share rounds to nothing.
    RoundsToZero {
        /// What was bought of its products.
        bought: Amount,
    },
}

impl CashbackRule {
    /// Returns what the rule pays for a purchase of `partner` at `at`; nothing where it does not fit.
    #[must_use]
    pub fn pays_for(&self, purchase: &Purchase, amount: Amount, partner: PartnerId, at: Instant) -> Amount {
        self.judge(purchase, amount, partner, at).map_or(Amount::ZERO, |paid| paid.points)
    }

    /// Decides what the rule does for a purchase of `partner` at `at`.
    ///
    /// # Errors
    ///
    /// The first reason why it pays nothing.
    pub fn judge(&self, purchase: &Purchase, amount: Amount, partner: PartnerId, at: Instant) -> Result<Paid, Unpaid> {
        if !self.is_active {
            return Err(Unpaid::Inactive);
        }
        if self.ends_at.is_some_and(|ends_at| ends_at < at) {
            return Err(Unpaid::Ended);
        }
        if self.partner.is_some_and(|own| own != partner) {
            return Err(Unpaid::OtherPartner);
        }
        let bought = bought_of(purchase, amount, |product| self.has(product));
        if bought.is_zero() {
            return Err(Unpaid::NothingBought);
        }
        let points = self.rate.share_of(bought);
        if points.is_zero() { Err(Unpaid::RoundsToZero { bought }) } else { Ok(Paid { bought, points }) }
    }

    fn has(&self, product: &str) -> bool {
        let is_listed = self.products.binary_search_by(|own: &String| own.as_str().cmp(product)).is_ok();
        self.products.is_empty() || is_listed
    }
}

/// Sums what was bought of the products that `is_wanted` names. `amount` is the purchase's own, checked.
#[must_use]
pub fn bought_of(purchase: &Purchase, amount: Amount, is_wanted: impl Fn(&str) -> bool) -> Amount {
    if purchase.lines.is_empty() {
        let product = purchase.product.as_deref().unwrap_or("");
        return if is_wanted(product) { amount } else { Amount::ZERO };
    }
    let lines = purchase.lines.iter().filter(|line| is_wanted(&line.product));
    // The lines were checked to sum to the amount, so a part of them is an amount too.
    Amount::new(lines.map(|line| line.amount).sum()).unwrap_or(amount)
}
