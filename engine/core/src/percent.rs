//! Percentages and rates: exact decimals, and the one rounding of every share: half up to the minor unit.

use core::fmt;

use rust_decimal::prelude::ToPrimitive;
use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::quantity::Amount;

/// Decimal places that a percentage may have.
pub const PERCENT_PLACES_MAX: usize = 6;

/// A percentage from 0 to 100, exact, with at most [`PERCENT_PLACES_MAX`] decimal places. `1.75` means 1.75 %.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percent(Decimal);

impl Percent {
    /// Reads digits with an optional decimal point, such as `1.75`. Signs, exponents and separators are refused.
    #[must_use]
    pub fn parse(text: &str) -> Option<Percent> {
        // The decimal library also takes `1_000`, `1e5` and `+5`, which no catalogue should mean.
        let (whole, places) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(places) || 3 < whole.len() || PERCENT_PLACES_MAX < places.len() {
            return None;
        }
        Percent::checked(Decimal::from_str_exact(text).ok()?)
    }

    fn checked(value: Decimal) -> Option<Percent> {
        let value = value.normalize();
        let fits =
            !value.is_sign_negative() && value <= Decimal::ONE_HUNDRED && value.scale() as usize <= PERCENT_PLACES_MAX;
        fits.then_some(Percent(value))
    }

    /// Computes this share of `amount`, rounded half up to the minor unit (KezBek's promo, in exact decimals).
    ///
    /// # Panics
    ///
    /// Never: at most 16 digits of amount times 9 of percentage stay below the 28 that a decimal holds, and a share
    /// of at most 100 % stays an amount.
    #[must_use]
    pub fn share_of(self, amount: Amount) -> Amount {
        self.exact_share_of(amount).rounded()
    }

    fn exact_share_of(self, amount: Amount) -> ExactShare {
        let product = Decimal::from(amount.minor_units()).checked_mul(self.0);
        let share = product.and_then(|product| product.checked_div(Decimal::ONE_HUNDRED));
        ExactShare(share.expect("16 digits times 9 are less than 28"))
    }
}

/// A share of an amount before it is rounded, in minor units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExactShare(Decimal);

impl ExactShare {
    /// Rounds half up to the minor unit.
    fn rounded(self) -> Amount {
        let share = self.0.round_dp_with_strategy(0, RoundingStrategy::MidpointAwayFromZero).to_i64();
        share.and_then(Amount::new).expect("a share of at most 100 % of an amount is an amount")
    }
}

impl fmt::Display for ExactShare {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.normalize(), out)
    }
}

/// A share as a fraction, above 0 and below 1, exact, with at most [`PERCENT_PLACES_MAX`] + 2 decimal places. `0.02` means
/// 2 %. Cashback rules are written so (onetap), promos as percentages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate(Percent);

impl Rate {
    /// Reads digits with a decimal point, such as `0.02`. Signs, exponents and separators are refused.
    #[must_use]
    pub fn parse(text: &str) -> Option<Rate> {
        let places = text.strip_prefix("0.")?;
        let is_plain = !places.is_empty() && places.bytes().all(|byte| byte.is_ascii_digit());
        if !is_plain || PERCENT_PLACES_MAX + 2 < places.len() {
            return None;
        }
        let percent = Decimal::from_str_exact(text).ok()?.checked_mul(Decimal::ONE_HUNDRED)?;
        Rate::checked(Percent::checked(percent)?)
    }

    fn checked(percent: Percent) -> Option<Rate> {
        let fits = !percent.0.is_zero() && percent.0 < Decimal::ONE_HUNDRED;
        fits.then_some(Rate(percent))
    }

    /// Computes this share of `amount`, rounded half up to the minor unit.
    #[must_use]
    pub fn share_of(self, amount: Amount) -> Amount {
        self.0.share_of(amount)
    }

    /// Computes this share of `amount`, not yet rounded.
    #[must_use]
    pub fn exact_share_of(self, amount: Amount) -> ExactShare {
        self.0.exact_share_of(amount)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fraction = self.0.0.checked_div(Decimal::ONE_HUNDRED).unwrap_or_default().normalize();
        fmt::Display::fmt(&fraction, out)
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Rate, D::Error> {
        let percent = Percent::deserialize(deserializer)?;
        Rate::checked(percent).ok_or_else(|| serde::de::Error::custom("not a rate"))
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, out)
    }
}

// Stored as the 16 bytes of the normalised decimal: the library's own form is text, which bincode cannot read back.
impl Serialize for Percent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Percent, D::Error> {
        let bytes = <[u8; 16]>::deserialize(deserializer)?;
        // One number has one form: bits that the decimal library would ignore are damage too.
        Percent::checked(Decimal::deserialize(bytes))
            .filter(|percent| percent.0.serialize() == bytes)
            .ok_or_else(|| serde::de::Error::custom("not a percentage"))
    }
}
