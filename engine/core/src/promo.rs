//! Which band of a promo a purchase meets, and what it pays. KezBek's transaction factor, in exact decimals.
//!
//! How much of the quota is used is not known here: it belongs to nobody's row, see [`crate::desk`].

use crate::catalogue::{Promo, PromoBand};
use crate::event::DeclineReason;
use crate::identity::RuleId;
use crate::quantity::{Amount, Instant};

/// What a promo would pay for a purchase if a unit of its quota is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Match {
    /// The band that was met.
    pub band: RuleId,
    /// What it pays, greater than zero.
    pub points: Amount,
}

/// Why no band pays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Miss {
    /// The purchase is outside of the promo's period. Both ends belong to the period.
    OutsidePeriod,
    /// No band is for this quantity and this amount.
    NoBand,
    /// The band's share rounds to nothing.
    RoundsToZero(RuleId),
}

impl PromoBand {
    /// Returns true when the band is for this quantity and this amount.
    ///
    /// A quantity matches exactly unless the band says `or_more`; amounts lie in `[amount_min, amount_end)`.
    #[must_use]
    pub fn covers(&self, quantity: i64, amount: Amount) -> bool {
        let own = i64::from(self.quantity);
        let quantity_fits = if self.or_more { own <= quantity } else { own == quantity };
        quantity_fits && self.amount_min <= amount && self.amount_end.is_none_or(|end| amount < end)
    }

    /// Returns true when some purchase would meet both bands.
    #[must_use]
    pub fn overlaps(&self, other: &PromoBand) -> bool {
        let quantity = self.quantity.max(other.quantity);
        let reaches =
            |band: &PromoBand| if band.or_more { band.quantity <= quantity } else { band.quantity == quantity };
        let before = |end: Option<Amount>, start: Amount| end.is_some_and(|end| end <= start);
        reaches(self)
            && reaches(other)
            && !before(self.amount_end, other.amount_min)
            && !before(other.amount_end, self.amount_min)
    }
}

impl Promo {
    /// Finds what this promo pays for a purchase at `at`.
    ///
    /// # Errors
    ///
    /// A [`Miss`] that says why it pays nothing. The purchase is booked all the same.
    pub fn find(&self, at: Instant, quantity: i64, amount: Amount) -> Result<Match, Miss> {
        if at < self.starts_at || self.ends_at < at {
            return Err(Miss::OutsidePeriod);
        }
        let band = self.bands.iter().find(|band| band.covers(quantity, amount)).ok_or(Miss::NoBand)?;
        let points = band.percent.share_of(amount);
        if points.is_zero() {
            return Err(Miss::RoundsToZero(band.id));
        }
        Ok(Match { band: band.id, points })
    }

    /// Returns the least that it pays for this quantity and any amount from `remaining` up to `bought`: what a purchase of
    /// `bought` that was paid for keeps once only `remaining` is left of it.
    ///
    /// Where bands pay more for more, that is what it pays for `remaining`. Elsewhere, in a hole between bands or where a
    /// smaller amount pays more, the least keeps refunds true in any split: what was taken back is never given again.
    #[must_use]
    pub fn least(&self, quantity: i64, remaining: Amount, bought: Amount) -> Amount {
        let (mut at, mut least) = (remaining, None);
        loop {
            let Some(band) = self.bands.iter().find(|band| band.covers(quantity, at)) else { return Amount::ZERO };
            // Within a band the share grows with the amount, so its least lies at the lower end.
            let share = band.percent.share_of(at);
            let so_far = least.map_or(share, |least: Amount| least.min(share));
            match band.amount_end {
                Some(end) if end <= bought => (at, least) = (end, Some(so_far)),
                _ => return so_far,
            }
        }
    }

    /// Decides what this promo, of which `used` units are used, does for a purchase at `at`. The quota comes last.
    ///
    /// # Errors
    ///
    /// Why it pays nothing, with the numbers. The purchase is booked all the same.
    pub fn judge(&self, used: u64, at: Instant, quantity: i64, amount: Amount) -> Result<Match, DeclineReason> {
        let found = self.find(at, quantity, amount).map_err(|miss| match miss {
            Miss::OutsidePeriod => DeclineReason::OutsidePeriod,
            Miss::NoBand => DeclineReason::NoBand,
            Miss::RoundsToZero(band) => DeclineReason::RoundsToZero { band },
        })?;
        if self.quota <= used {
            let Match { band, points } = found;
            return Err(DeclineReason::QuotaExhausted { band, quota: self.quota, points });
        }
        Ok(found)
    }
}
