//! What a partner says of a purchase, and the checks that need nobody's state.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::quantity::{AMOUNT_MAX, Amount, Instant};
use crate::rejection::Rejection;

/// Characters that an origin id may have.
pub const ORIGIN_ID_CHARS_MAX: usize = 128;
/// Bytes that a promo code, store, product or tag may have.
pub const TEXT_BYTES_MAX: usize = 256;
/// Tags that a purchase may have.
pub const TAGS_MAX: usize = 32;
/// Lines that a purchase may have.
pub const LINES_MAX: usize = 1_000;
/// The largest quantity of a purchase or a line.
pub const QUANTITY_MAX: i64 = u32::MAX as i64;

/// The content of a purchase, as its partner sent it. Stored whole: refunds and what-if decide by it again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Purchase {
    /// The partner's own id of it, unique for that partner.
    pub origin_id: Box<str>,
    /// What was paid, in minor units.
    pub amount: i64,
    /// How many items.
    pub quantity: i64,
    /// When it occurred, if the partner says so.
    pub occurred_at: Option<Instant>,
    /// The code of a promo.
    pub promo_code: Option<Box<str>>,
    /// Where it was.
    pub store: Option<Box<str>>,
    /// What was bought, when there are no lines.
    pub product: Option<Box<str>>,
    /// Marks of the partner's own.
    pub tags: Vec<String>,
    /// What was bought, item by item.
    pub lines: Vec<Line>,
}

/// One line of a purchase.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Line {
    /// What was bought.
    pub product: Box<str>,
    /// How many; zero is allowed.
    pub quantity: i64,
    /// For how much, in minor units; zero is allowed.
    pub amount: i64,
}

impl Purchase {
    /// Checks the numbers, in the order that decides which failure is reported: amount, quantity, lines.
    ///
    /// Returns the amount.
    ///
    /// # Errors
    ///
    /// The first failure.
    pub fn check(&self) -> Result<Amount, Rejection> {
        if self.amount < 1 {
            return Err(Rejection::AmountNotPositive { amount: self.amount });
        }
        let amount = Amount::new(self.amount)
            .ok_or(Rejection::AmountTooLarge { amount: self.amount, amount_max: AMOUNT_MAX })?;
        if self.quantity < 1 {
            return Err(Rejection::QuantityNotPositive { quantity: self.quantity });
        }
        if QUANTITY_MAX < self.quantity {
            return Err(Rejection::QuantityTooLarge { quantity: self.quantity, quantity_max: QUANTITY_MAX });
        }
        self.check_lines()?;
        Ok(amount)
    }

    fn check_lines(&self) -> Result<(), Rejection> {
        if LINES_MAX < self.lines.len() {
            return Err(Rejection::LinesTooMany { lines: self.lines.len() as u64, lines_max: LINES_MAX as u64 });
        }
        if self.lines.is_empty() {
            return Ok(());
        }
        let mut sum: i64 = 0;
        for (index, line) in self.lines.iter().enumerate() {
            let quantity_fits = 0 <= line.quantity && line.quantity <= QUANTITY_MAX;
            let line_amount = Amount::new(line.amount);
            let (true, Some(line_amount)) = (quantity_fits, line_amount) else {
                return Err(Rejection::LineOutOfRange { line: index as u64 });
            };
            // At most 1,000 amounts below 2^53 each: the sum stays below 2^63.
            sum += line_amount.minor_units();
        }
        if sum != self.amount {
            return Err(Rejection::LinesSumMismatch { lines_sum: sum, amount: self.amount });
        }
        Ok(())
    }
}
