//! Refunds: what is taken back of a purchase takes back what it had earned.
//!
//! A refund claws back what the purchase earned before it, less what the rest of it earns: by the version of the rules,
//! the instant and the grants of the purchase's own record. So what is clawed back in all hangs on what remains alone:
//! any split of a refund in any order ends in one state. Nothing is earned anew and no unit of a quota is taken.
//!
//! What else a refund does, to tiers, quotas, rewards and wallets that hold too little, is the tenant's
//! [`RefundPolicy`], by the rules that hold when the refund is booked.

mod claw_back;
mod post;

use alloc::boxed::Box;
use alloc::vec::Vec;

pub use claw_back::{CashbackBack, ClawBack, PromoBack};
use serde::{Deserialize, Serialize};

use self::claw_back::Granted;
use self::post::Posting;
use crate::catalogue::{Catalogue, TierPolicy};
use crate::customer::Row;
use crate::event::{Body, Event, Placed, PlacementReason, PurchaseBooked, TierPlaced};
use crate::identity::{PartnerId, PurchaseKey, RuleId};
use crate::purchase::{LINES_MAX, Line, Purchase, QUANTITY_MAX};
use crate::quantity::{AMOUNT_MAX, Amount, Balance, Instant};
use crate::threshold;

/// Refunds that a purchase may have.
pub const REFUNDS_MAX: usize = 1_000;
/// Characters that a refund's id may have.
pub const REFUND_ID_CHARS_MAX: usize = 128;

/// The code of a refund whose purchase was refused: nothing of it was booked, so nothing can be taken back.
pub const PURCHASE_REFUSED: &str = "purchase_refused";

/// What a refund does beside taking back what was earned. One for each tenant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RefundPolicy {
    /// What it does to the customer's place in Threshold programmes. A Journey counts purchases, and a purchase was made
    /// although it was refunded: its count stays under either policy.
    pub tier: RefundedTier,
    /// What it does to the unit of a promo's quota that the purchase used.
    pub quota: RefundedQuota,
    /// What it does to rewards of campaigns that the purchase completed.
    pub rewards: RefundedRewards,
    /// What it does where a wallet holds less than is clawed back.
    pub negative_balance: NegativeBalance,
}

/// See [`RefundPolicy::tier`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RefundedTier {
    /// What was refunded counts as spent no longer, and the level is placed anew where the sum falls below its bound.
    #[default]
    Recompute,
    /// It stays.
    Keep,
}

/// See [`RefundPolicy::quota`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RefundedQuota {
    /// It is free again, once, as soon as the rest of the purchase earns nothing from the promo.
    #[default]
    Return,
    /// It stays used.
    Keep,
}

/// See [`RefundPolicy::rewards`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RefundedRewards {
    /// They are clawed back once the rest of the purchase would not have completed the campaign.
    #[default]
    ClawBack,
    /// They stay.
    Keep,
}

/// See [`RefundPolicy::negative_balance`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum NegativeBalance {
    /// The balance goes below zero, and what comes in later fills it.
    #[default]
    Allow,
    /// No more is taken than there is; the rest is the house's, on an account of its own.
    CapAtZero,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Refund {
    /// The purchase.
    pub purchase: PurchaseKey,
    /// The partner's own id of the purchase.
    pub origin_id: Box<str>,
    /// The keyed hash of the partner, the purchase's origin id and the refund's own id. Permanent, like a purchase's.
    pub key: PurchaseKey,
    /// The partner's own id of the refund, unique within the purchase.
    pub refund_id: Box<str>,
    /// How much, or of what.
    pub of: RefundOf,
    /// Why, if the partner says so.
    pub reason: Option<Box<str>>,
}

/// How much is refunded, or of what.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RefundOf {
    /// A sum, in minor units, as asked.
    Amount(i64),
    /// Of these products so many, for so much, as asked.
    Lines(Vec<Line>),
}

/// Why a refund was refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RefundRejection {
    /// Nothing is to be refunded, or less.
    AmountNotPositive {
        /// What was sent.
        amount: i64,
    },
    /// The amount is above the largest.
    AmountTooLarge {
        /// What was sent.
        amount: i64,
        /// The largest.
        amount_max: i64,
    },
    /// There are more lines than allowed.
    LinesTooMany {
        /// How many were sent.
        lines: u64,
        /// How many are allowed.
        lines_max: u64,
    },
    /// A line's quantity or amount is negative or too large.
    LineOutOfRange {
        /// Which line, from 0.
        line: u64,
    },
    /// More is to be refunded than remains of the purchase.
    ExceedsRemainder {
        /// What is to be refunded.
        amount: Amount,
        /// What remains.
        remaining: Amount,
    },
    /// The purchase has lines, so a part of it is refunded by lines.
    LinesRequired {
        /// What remains; as much can be refunded without lines.
        remaining: Amount,
    },
    /// No line of the purchase is of this product.
    LineNotBought {
        /// Which line, from 0.
        line: u64,
    },
    /// More of a product is to be refunded than remains of it.
    LineExceedsRemainder {
        /// Which line, from 0.
        line: u64,
        /// How many remain.
        remaining_quantity: u64,
        /// For how much.
        remaining_amount: Amount,
    },
    /// The purchase has as many refunds as there may be.
    RefundsTooMany {
        /// How many there may be.
        refunds_max: u64,
    },
    /// The wallet would lie further below zero than a balance may.
    BalanceTooSmall {
        /// What is in it.
        balance: Balance,
    },
}

impl RefundRejection {
    /// Returns the code that callers see.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            RefundRejection::AmountNotPositive { .. } => "amount_not_positive",
            RefundRejection::AmountTooLarge { .. } => "amount_too_large",
            RefundRejection::LinesTooMany { .. } => "lines_too_many",
            RefundRejection::LineOutOfRange { .. } => "line_out_of_range",
            RefundRejection::ExceedsRemainder { .. } => "refund_exceeds_remainder",
            RefundRejection::LinesRequired { .. } => "refund_lines_required",
            RefundRejection::LineNotBought { .. } => "refund_line_not_bought",
            RefundRejection::LineExceedsRemainder { .. } => "refund_line_exceeds_remainder",
            RefundRejection::RefundsTooMany { .. } => "refunds_too_many",
            RefundRejection::BalanceTooSmall { .. } => "balance_too_small",
        }
    }
}

/// A part of a purchase: one of its products.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Part {
    /// The product.
    pub product: Box<str>,
    /// How many.
    pub quantity: u64,
    /// For how much.
    pub amount: Amount,
}

/// A refund was booked. What it moved stands behind it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurchaseRefunded {
    /// Who sent the purchase.
    pub partner: PartnerId,
    /// The purchase.
    pub purchase: PurchaseKey,
    /// See [`Refund::key`].
    pub key: PurchaseKey,
    /// See [`Refund::refund_id`].
    pub refund_id: Box<str>,
    /// The instant that the rules saw.
    pub at: Instant,
    /// How much is refunded.
    pub amount: Amount,
    /// Of what, in order of the products; empty for a purchase without lines.
    pub parts: Vec<Part>,
    /// What remains of the purchase.
    pub remaining: Amount,
    /// What the refund claws back.
    pub claw_back: ClawBack,
    /// The promo that gets its unit back.
    pub returned_unit: Option<RuleId>,
    /// What of the money could not be taken from the wallet, and is the house's.
    pub shortfall: Amount,
    /// Points that could not be taken because they are spent, by their kinds.
    pub points_short: Vec<(RuleId, Amount)>,
    /// What is in the wallet afterwards.
    pub balance_after: Balance,
}

/// What was refunded of one purchase so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundStanding {
    /// The purchase.
    pub purchase: PurchaseKey,
    /// How much.
    pub amount: Amount,
    /// Of what, in order of the products; empty for a purchase without lines.
    pub parts: Vec<Part>,
    /// What was clawed back.
    pub claw_back: ClawBack,
    /// True once the unit of its promo was returned.
    pub is_unit_returned: bool,
    /// Each refund, the oldest first.
    pub refunds: Vec<RefundNote>,
}

/// One refund of a purchase, in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundNote {
    /// The partner's own id of it.
    pub refund_id: Box<str>,
    /// How much.
    pub amount: Amount,
    /// The instant that the rules saw.
    pub at: Instant,
}

/// A purchase as its record has it, with the rules of the record's version.
#[derive(Clone, Copy, Debug)]
pub struct Original<'a> {
    /// What was bought.
    pub booked: &'a PurchaseBooked,
    /// All that the record says.
    pub body: &'a Body,
    /// The rules that it was decided by.
    pub rules: &'a Catalogue,
}

impl<'a> Original<'a> {
    /// Takes a record apart. `None` when it books no purchase.
    #[must_use]
    pub fn of(body: &'a Body, rules: &'a Catalogue) -> Option<Original<'a>> {
        let booked = body.events.iter().find_map(|event| match event {
            Event::PurchaseBooked(booked) => Some(&**booked),
            _ => None,
        })?;
        Some(Original { booked, body, rules })
    }

    /// Returns what was paid. Whatever is booked was checked.
    fn amount(&self) -> Amount {
        Amount::new(self.booked.purchase.amount).unwrap_or(Amount::ZERO)
    }
}

/// Decides a refund of a purchase of the customer's at `at`. `rules` are those that hold now: they say what the policy is
/// and which levels there are.
///
/// Returns what happens: [`Event::PurchaseRefunded`], then placements, then what is posted.
///
/// # Errors
///
/// [`RefundRejection`].
pub fn refund(
    row: &Row,
    rules: &Catalogue,
    original: Original<'_>,
    asked: &Refund,
    at: Instant,
) -> Result<Vec<Event>, RefundRejection> {
    let nothing = RefundStanding::new(asked.purchase);
    let before = row.refund(asked.purchase).unwrap_or(&nothing);
    let taken = take(original, before, &asked.of)?;
    if REFUNDS_MAX <= before.refunds.len() {
        return Err(RefundRejection::RefundsTooMany { refunds_max: REFUNDS_MAX as u64 });
    }
    let remaining = original.amount().minus(before.amount).and_then(|left| left.minus(taken.amount));
    let remaining = remaining.unwrap_or(Amount::ZERO);
    let granted = Granted::of(original);
    let rest = rest_of(&original.booked.purchase, remaining, &before.parts, &taken.parts);
    let due = granted.due(original, rest.as_ref(), rules.refunds.rewards);
    let claw_back = due.minus(&before.claw_back);
    let returned_unit = match rules.refunds.quota {
        RefundedQuota::Return if !before.is_unit_returned => granted.promo_spent(&due),
        _ => None,
    };
    let posting = Posting::of(row, rules.refunds.negative_balance, original, &claw_back, at)?;
    let refunded = PurchaseRefunded {
        partner: original.booked.partner,
        purchase: asked.purchase,
        key: asked.key,
        refund_id: asked.refund_id.clone(),
        at,
        amount: taken.amount,
        parts: taken.parts,
        remaining,
        claw_back,
        returned_unit,
        shortfall: posting.shortfall,
        points_short: posting.points_short,
        balance_after: posting.balance_after,
    };
    let amount = refunded.amount;
    let mut events = Vec::from([Event::PurchaseRefunded(Box::new(refunded))]);
    if rules.refunds.tier == RefundedTier::Recompute {
        events.extend(placements(row, rules, original, amount));
    }
    events.extend(posting.events);
    Ok(events)
}

/// What is refunded, checked.
struct Taken {
    amount: Amount,
    parts: Vec<Part>,
}

fn take(original: Original<'_>, before: &RefundStanding, of: &RefundOf) -> Result<Taken, RefundRejection> {
    let remaining = original.amount().minus(before.amount).unwrap_or(Amount::ZERO);
    let bought = parts_of(&original.booked.purchase.lines);
    match of {
        RefundOf::Amount(asked) => {
            let amount = positive(*asked)?;
            if remaining < amount {
                return Err(RefundRejection::ExceedsRemainder { amount, remaining });
            }
            if !bought.is_empty() && amount < remaining {
                return Err(RefundRejection::LinesRequired { remaining });
            }
            // All that remains of a purchase with lines is what remains of each of them.
            Ok(Taken { amount, parts: less(&bought, &before.parts) })
        }
        RefundOf::Lines(lines) => take_lines(lines, &bought, before),
    }
}

fn take_lines(lines: &[Line], bought: &[Part], before: &RefundStanding) -> Result<Taken, RefundRejection> {
    if LINES_MAX < lines.len() {
        return Err(RefundRejection::LinesTooMany { lines: lines.len() as u64, lines_max: LINES_MAX as u64 });
    }
    let mut sum: i64 = 0;
    for (line, index) in lines.iter().zip(0..) {
        let quantity_fits = 0 <= line.quantity && line.quantity <= QUANTITY_MAX;
        let (true, Some(amount)) = (quantity_fits, Amount::new(line.amount)) else {
            return Err(RefundRejection::LineOutOfRange { line: index });
        };
        // At most 1,000 amounts below 2^53 each: the sum stays below 2^63.
        sum += amount.minor_units();
    }
    let amount = positive(sum)?;
    let remaining = less(bought, &before.parts);
    for (line, index) in lines.iter().zip(0..) {
        let own = find(bought, &line.product).ok_or(RefundRejection::LineNotBought { line: index })?;
        // A product that stands in several lines is looked at as a whole, at the first of them.
        let asked = |line: &&Line| line.product == own.product;
        let quantity: u64 = lines.iter().filter(asked).map(|line| line.quantity.unsigned_abs()).sum();
        let asked: i64 = lines.iter().filter(asked).map(|line| line.amount).sum();
        let left = find(&remaining, &line.product);
        let (remaining_quantity, remaining_amount) =
            left.map_or((0, Amount::ZERO), |left| (left.quantity, left.amount));
        if remaining_quantity < quantity || remaining_amount.minor_units() < asked {
            return Err(RefundRejection::LineExceedsRemainder { line: index, remaining_quantity, remaining_amount });
        }
    }
    Ok(Taken { amount, parts: parts_of(lines) })
}

fn positive(asked: i64) -> Result<Amount, RefundRejection> {
    if asked < 1 {
        return Err(RefundRejection::AmountNotPositive { amount: asked });
    }
    Amount::new(asked).ok_or(RefundRejection::AmountTooLarge { amount: asked, amount_max: AMOUNT_MAX })
}

/// Sums lines up by product, in order of the products. The lines were checked.
fn parts_of(lines: &[Line]) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for line in lines {
        let amount = Amount::new(line.amount).unwrap_or(Amount::ZERO);
        add_part(&mut parts, &line.product, line.quantity.unsigned_abs(), amount);
    }
    parts
}

fn add_part(parts: &mut Vec<Part>, product: &str, quantity: u64, amount: Amount) {
    match parts.binary_search_by(|own| (*own.product).cmp(product)) {
        Ok(at) => {
            parts[at].quantity += quantity;
            parts[at].amount = parts[at].amount.plus(amount).unwrap_or(parts[at].amount);
        }
        Err(at) => parts.insert(at, Part { product: product.into(), quantity, amount }),
    }
}

fn find<'a>(parts: &'a [Part], product: &str) -> Option<&'a Part> {
    let at = parts.binary_search_by(|own| (*own.product).cmp(product)).ok()?;
    parts.get(at)
}

/// Takes parts away; of what is left of nothing, nothing stays.
fn less(parts: &[Part], taken: &[Part]) -> Vec<Part> {
    let left = parts.iter().filter_map(|own| {
        let Some(taken) = find(taken, &own.product) else { return Some(own.clone()) };
        let quantity = own.quantity.saturating_sub(taken.quantity);
        let amount = own.amount.minus(taken.amount).unwrap_or(Amount::ZERO);
        // A product is gone once all of its money is back; one that was free, once all of it is.
        let is_gone = if own.amount.is_zero() { quantity == 0 } else { amount.is_zero() };
        if is_gone && quantity == 0 { None } else { Some(Part { product: own.product.clone(), quantity, amount }) }
    });
    left.collect()
}

/// Returns what remains of a purchase as a purchase of its own. `None` when nothing does.
fn rest_of(purchase: &Purchase, remaining: Amount, before: &[Part], taken: &[Part]) -> Option<Purchase> {
    if remaining.is_zero() {
        return None;
    }
    let bought = parts_of(&purchase.lines);
    let left = less(&less(&bought, before), taken);
    let is_there =
        |part: &&Part| find(&bought, &part.product).is_none_or(|own| own.amount.is_zero()) || !part.amount.is_zero();
    let line = |part: &Part| Line {
        product: part.product.clone(),
        quantity: i64::try_from(part.quantity).unwrap_or(QUANTITY_MAX),
        amount: part.amount.minor_units(),
    };
    let lines = left.iter().filter(is_there).map(line).collect();
    Some(Purchase { amount: remaining.minor_units(), lines, ..purchase.clone() })
}

/// Says where the customer stands in each Threshold programme that the purchase was counted in, once `amount` of it is
/// spent no longer.
fn placements<'a>(
    row: &'a Row,
    rules: &'a Catalogue,
    original: Original<'a>,
    amount: Amount,
) -> impl Iterator<Item = Event> + 'a {
    original.body.events.iter().filter_map(move |event| {
        let Event::SpendCounted(counted) = event else { return None };
        let before = *row.spend(counted.after.program)?;
        let TierPolicy::Threshold(levels) = &rules.program(before.program)?.policy else { return None };
        let placed = Placed::Threshold { before, after: threshold::take_back(levels, &before, amount) };
        Some(Event::TierPlaced(TierPlaced { reason: PlacementReason::Refunded, placed }))
    })
}

impl RefundStanding {
    pub(crate) const fn new(purchase: PurchaseKey) -> RefundStanding {
        RefundStanding {
            purchase,
            amount: Amount::ZERO,
            parts: Vec::new(),
            claw_back: ClawBack::NOTHING,
            is_unit_returned: false,
            refunds: Vec::new(),
        }
    }

    /// Folds a refund of this purchase in.
    pub(crate) fn evolve(&mut self, refunded: &PurchaseRefunded) {
        self.amount = self.amount.plus(refunded.amount).unwrap_or(self.amount);
        for part in &refunded.parts {
            add_part(&mut self.parts, &part.product, part.quantity, part.amount);
        }
        self.claw_back.add(&refunded.claw_back);
        self.is_unit_returned |= refunded.returned_unit.is_some();
        let PurchaseRefunded { refund_id, amount, at, .. } = refunded;
        self.refunds.reserve_exact(1);
        self.refunds.push(RefundNote { refund_id: refund_id.clone(), amount: *amount, at: *at });
    }

    /// Returns what remains of a purchase, and of each of its products; of one without lines no products.
    #[must_use]
    pub fn remaining(&self, purchase: &Purchase) -> (Amount, Vec<Part>) {
        let bought = Amount::new(purchase.amount).unwrap_or(Amount::ZERO);
        (bought.minus(self.amount).unwrap_or(Amount::ZERO), less(&parts_of(&purchase.lines), &self.parts))
    }
}
