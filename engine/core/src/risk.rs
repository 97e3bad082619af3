//! Risk rules: what is looked at before money moves by an operation or a purchase is booked, and what is remembered for it.
//!
//! A rule looks at one operation (its amount) or at those of a customer within a time (how many, how much in all), and flags
//! it, blocks it, or sets it aside for a person ([`crate::review`]). Each check is an event of the operation's record; one that
//! blocks is the operation's refusal. What velocity rules of a customer need is in the row: the operations of the longest window,
//! and no more. Rules of partners and devices ask for operations of many customers, which the desk remembers
//! ([`crate::desk`]).
//!
//! A purchase is looked at like an operation, but by rules that name purchases alone, and none of them sets it aside: it is over
//! when it is sent.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::customer::Row;
use crate::identity::{CustomerId, PartnerId, RuleId};
use crate::operation::Operation;
use crate::quantity::{Amount, Instant, Seq};

/// Operations of a customer that are remembered at most, and as many purchases; the oldest of its class makes room for the next.
/// Where the oldest still lies in the window of a rule, something of that window may be forgotten, so the rule strikes.
pub const REMEMBERED_MAX: usize = 1_024;
/// The longest window, in seconds: thirty-one days.
pub const WINDOW_SECONDS_MAX: u32 = 31 * 86_400;
/// The largest count that a rule may allow.
pub const COUNT_MAX: u32 = 1_000;

/// A risk rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RiskRule {
    /// Its id.
    pub id: RuleId,
    /// Its name.
    pub name: String,
    /// Which operations it looks at, in order, each once; none named means all but purchases.
    pub operations: Vec<RiskKind>,
    /// When it strikes.
    pub condition: RiskCondition,
    /// What it does then.
    pub action: RiskAction,
}

/// An operation that is looked at. New kinds stand last: the journal holds them by their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RiskKind {
    /// Money from outside goes into a wallet.
    Deposit,
    /// Money is set aside for a partner.
    Hold,
    /// Money goes from wallet to wallet.
    Transfer,
    /// An invoice is paid.
    Payment,
    /// A purchase is booked.
    Purchase,
}

/// What is remembered together: there may be many more purchases than operations, and neither may push the other out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RiskClass {
    Operation,
    Purchase,
}

impl RiskKind {
    pub(crate) const fn class(self) -> RiskClass {
        match self {
            RiskKind::Purchase => RiskClass::Purchase,
            RiskKind::Deposit | RiskKind::Hold | RiskKind::Transfer | RiskKind::Payment => RiskClass::Operation,
        }
    }
}

/// When a rule strikes. The operation that is looked at counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RiskCondition {
    /// The amount is above this.
    AmountAbove(Amount),
    /// The customer has more of these operations than so many within so many seconds.
    CountAbove {
        /// How many there may be.
        count: u32,
        /// Within how many seconds.
        seconds: u32,
    },
    /// Those operations of the customer sum to more than this within so many seconds.
    SumAbove {
        /// What they may sum to.
        sum: Amount,
        /// Within how many seconds.
        seconds: u32,
    },
    /// A partner or a device has more of these operations than so many within so many seconds, of all customers.
    CountAboveBy {
        /// Whose operations are counted.
        by: RiskParty,
        /// How many there may be.
        count: u32,
        /// Within how many seconds.
        seconds: u32,
    },
    /// Those operations of a partner or a device sum to more than this within so many seconds, of all customers.
    SumAboveBy {
        /// Whose operations are summed.
        by: RiskParty,
        /// What they may sum to.
        sum: Amount,
        /// Within how many seconds.
        seconds: u32,
    },
}

/// Whom operations are counted by, beside their customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RiskParty {
    /// The partner that asks, or that is to be paid.
    Partner,
    /// The device that the caller names.
    Device,
}

/// A device: the keyed hash of the tenant and the caller's name of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DeviceId(pub u128);

/// What a rule does that strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RiskAction {
    /// Says so, and lets it be.
    Flag,
    /// Refuses the operation.
    Block,
    /// Sets the operation aside for a person.
    Review,
}

/// What a check said that did not block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// No rule strikes.
    Safe,
    /// A rule flags it.
    Suspicious,
}

/// An operation was looked at, and let be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RiskChecked {
    /// What was looked at.
    pub kind: RiskKind,
    /// How much.
    pub amount: Amount,
    /// When the ledger received it.
    pub at: Instant,
    /// What the check said.
    pub verdict: Verdict,
    /// The first rule that strikes; of what a person released, before all others the first that blocks or sets aside.
    pub rule: Option<RuleId>,
    /// How many of the oldest operations that were remembered no rule asks for any more.
    pub forgets: u32,
    /// True when a rule may ask for this one.
    pub is_remembered: bool,
}

/// A rule blocks a purchase. It stands behind the receipt of the refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurchaseBlocked {
    /// Whose purchase; nobody has this id whose first one it would have been.
    pub customer: CustomerId,
    /// What was paid.
    pub amount: Amount,
    /// The first rule that blocks it.
    pub rule: RuleId,
}

/// An operator is done with a check of the log. It stays there, and is hidden from whoever does not ask for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RiskCheckArchived {
    /// The record of the check.
    pub check: Seq,
}

/// An operation was done, or a purchase booked, that rules of partners or devices may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationCounted {
    /// What it was.
    pub kind: RiskKind,
    /// How much.
    pub amount: Amount,
    /// The partner that had asked, or was to be paid, or sent the purchase.
    pub partner: Option<PartnerId>,
    /// The device that the caller named.
    pub device: Option<DeviceId>,
}

/// An operation that is remembered for velocity rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// When it was.
    pub at: Instant,
    /// What it was.
    pub kind: RiskKind,
    /// How much.
    pub amount: Amount,
}

impl RiskCondition {
    /// Returns for how long operations are remembered for it, in seconds.
    #[must_use]
    pub const fn seconds(&self) -> Option<u32> {
        match self {
            RiskCondition::AmountAbove(_) => None,
            RiskCondition::CountAbove { seconds, .. }
            | RiskCondition::SumAbove { seconds, .. }
            | RiskCondition::CountAboveBy { seconds, .. }
            | RiskCondition::SumAboveBy { seconds, .. } => Some(*seconds),
        }
    }

    /// Returns whom it counts by; `None` for the customer.
    #[must_use]
    pub const fn party(&self) -> Option<RiskParty> {
        match self {
            RiskCondition::AmountAbove(_) | RiskCondition::CountAbove { .. } | RiskCondition::SumAbove { .. } => None,
            RiskCondition::CountAboveBy { by, .. } | RiskCondition::SumAboveBy { by, .. } => Some(*by),
        }
    }
}

impl Operation {
    /// Says what of an operation is looked at: its kind, and its amount as asked.
    #[must_use]
    pub const fn at_risk(&self) -> Option<(RiskKind, i64)> {
        match self {
            Operation::Deposit { amount, .. } => Some((RiskKind::Deposit, *amount)),
            Operation::PlaceHold { amount, .. } => Some((RiskKind::Hold, *amount)),
            Operation::Transfer { amount, .. } => Some((RiskKind::Transfer, *amount)),
            Operation::PayInvoice { amount, .. } => Some((RiskKind::Payment, *amount)),
            _ => None,
        }
    }

    /// Makes what rules look at of an operation that the ledger received at `at`. What is no amount is refused for that.
    pub(crate) fn looked_at(&self, at: Instant) -> Option<Remembered> {
        let (kind, asked) = self.at_risk()?;
        Some(Remembered { at, kind, amount: Operation::amount(asked).ok()? })
    }
}

/// What a rule finds that looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How much there is of what the rule bounds: an amount, a sum of amounts, or a number of operations. The operation that
    /// is looked at counts.
    pub found: i128,
    /// What there may be of it.
    pub bound: i128,
    /// True where more may have been that is not remembered any more.
    pub is_cut_off: bool,
}

impl Finding {
    /// Returns true where the rule strikes.
    #[must_use]
    pub const fn strikes(&self) -> bool {
        self.bound < self.found || self.is_cut_off
    }
}

impl RiskRule {
    /// Returns true for a kind of operation that the rule looks at.
    #[must_use]
    pub fn looks_at(&self, kind: RiskKind) -> bool {
        self.operations.contains(&kind) || (self.operations.is_empty() && kind != RiskKind::Purchase)
    }

    /// Returns true for a rule that looks at something of a class.
    fn looks_at_any(&self, class: RiskClass) -> bool {
        match class {
            RiskClass::Purchase => self.looks_at(RiskKind::Purchase),
            RiskClass::Operation => {
                self.operations.is_empty() || self.operations.iter().any(|kind| kind.class() == class)
            }
        }
    }

    /// Says what the rule finds at an operation beside those that are remembered, the oldest of each class first; `None` where it
    /// does not look.
    pub(crate) fn find<'a, I>(&self, remembered: &I, own: Remembered) -> Option<Finding>
    where
        I: Iterator<Item = &'a Remembered> + Clone,
    {
        if !self.looks_at(own.kind) {
            return None;
        }
        let is_within = |past: &Remembered, seconds: u32| {
            Instant(own.at.0.saturating_sub(i64::from(seconds) * 1_000_000)) < past.at
        };
        let within =
            |seconds| remembered.clone().filter(move |past| is_within(past, seconds) && self.looks_at(past.kind));
        let is_cut_off = self.condition.seconds().is_some_and(|seconds| {
            [RiskClass::Operation, RiskClass::Purchase].into_iter().filter(|class| self.looks_at_any(*class)).any(
                |class| {
                    let mut own = remembered.clone().filter(|past| past.kind.class() == class);
                    let oldest = own.next();
                    REMEMBERED_MAX <= own.count() + 1 && oldest.is_some_and(|oldest| is_within(oldest, seconds))
                },
            )
        });
        let own_amount = i128::from(own.amount.minor_units());
        let (found, bound) = match self.condition {
            RiskCondition::AmountAbove(amount) => (own_amount, i128::from(amount.minor_units())),
            RiskCondition::CountAbove { count, seconds } | RiskCondition::CountAboveBy { count, seconds, .. } => {
                (within(seconds).count() as i128 + 1, i128::from(count))
            }
            RiskCondition::SumAbove { sum, seconds } | RiskCondition::SumAboveBy { sum, seconds, .. } => {
                let past: i128 = within(seconds).map(|past| i128::from(past.amount.minor_units())).sum();
                (past + own_amount, i128::from(sum.minor_units()))
            }
        };
        Some(Finding { found, bound, is_cut_off })
    }

    /// Returns true where the rule strikes at an operation beside those that are remembered.
    pub(crate) fn strikes<'a, I>(&self, remembered: &I, own: Remembered) -> bool
    where
        I: Iterator<Item = &'a Remembered> + Clone,
    {
        self.find(remembered, own).is_some_and(|found| found.strikes())
    }
}

/// What comes of a look at an operation or a purchase.
pub(crate) enum Look {
    /// The tenant has no rules, or nothing of it is looked at.
    Nothing,
    /// It is let be.
    LetBe(RiskChecked),
    /// A rule sets it aside.
    SetAside {
        /// What was looked at.
        kind: RiskKind,
        /// How much.
        amount: Amount,
        /// The rule.
        rule: RuleId,
    },
}

/// Looks at an operation or a purchase beside what is remembered of the customer. One that a person released is let be,
/// whatever strikes. What rules of partners and devices say, the desk has found out: these strike.
///
/// Windows are measured by the ledger's own clock, also for tenants whose rules follow `occurred_at`: whoever is looked at
/// must not be able to move that time.
///
/// # Errors
///
/// The first rule that blocks it.
pub(crate) fn look(
    remembered: &[Remembered],
    rules: &[RiskRule],
    own: Remembered,
    (is_released, striking_by_party): (bool, &[RuleId]),
) -> Result<Look, RuleId> {
    let Remembered { at, kind, amount } = own;
    let class = kind.class();
    let of_class = |rule: &&RiskRule| rule.looks_at_any(class);
    // Where the last rule is gone, what was remembered for it goes with the next that is looked at.
    let has_part = rules.iter().any(|rule| of_class(&rule)) || remembered.iter().any(|past| past.kind.class() == class);
    if !has_part {
        return Ok(Look::Nothing);
    }
    let of_customer = || rules.iter().filter(|rule| rule.condition.party().is_none());
    let longest = of_customer().filter_map(|rule| rule.condition.seconds()).max();
    let horizon = longest.map(|seconds| at.0.saturating_sub(i64::from(seconds) * 1_000_000));
    let is_over = |past: &&Remembered| horizon.is_none_or(|horizon| past.at.0 <= horizon);
    let forgets = remembered.iter().take_while(is_over).count();
    let remembered = &remembered[forgets..];
    let strikes = |rule: &&RiskRule| match rule.condition.party() {
        None => rule.strikes(&remembered.iter(), own),
        Some(_) => striking_by_party.contains(&rule.id),
    };
    let striking = || rules.iter().filter(strikes);
    let first_that = |action: RiskAction| striking().find(|rule| rule.action == action);
    let (blocks, reviews) = (first_that(RiskAction::Block), first_that(RiskAction::Review));
    match (blocks, reviews) {
        _ if is_released => (),
        (Some(rule), _) => return Err(rule.id),
        (None, Some(rule)) => return Ok(Look::SetAside { kind, amount, rule: rule.id }),
        (None, None) => (),
    }
    let rule = blocks.or(reviews).or_else(|| striking().next()).map(|rule| rule.id);
    let verdict = if rule.is_some() { Verdict::Suspicious } else { Verdict::Safe };
    let is_remembered = of_customer().filter(of_class).any(|rule| rule.condition.seconds().is_some());
    let forgets = u32::try_from(forgets).unwrap_or(u32::MAX);
    Ok(Look::LetBe(RiskChecked { kind, amount, at, verdict, rule, forgets, is_remembered }))
}

/// What a tenant's rules say of an amount alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AmountAlone {
    /// No rule strikes.
    Safe,
    /// The first rule that does flags it.
    Flagged(RuleId),
    /// The first rule that does more sets it aside.
    SetAside(RuleId),
    /// A rule blocks it.
    Blocked(RuleId),
}

/// Says what rules find in an amount, as if it were the first that anybody ever moved. Nothing is written of it.
#[must_use]
pub fn amount_alone(rules: &[RiskRule], kind: RiskKind, amount: Amount) -> AmountAlone {
    match look(&[], rules, Remembered { at: Instant(0), kind, amount }, (false, &[])) {
        Err(rule) => AmountAlone::Blocked(rule),
        Ok(Look::SetAside { rule, .. }) => AmountAlone::SetAside(rule),
        Ok(Look::LetBe(RiskChecked { rule: Some(rule), .. })) => AmountAlone::Flagged(rule),
        Ok(Look::Nothing | Look::LetBe(_)) => AmountAlone::Safe,
    }
}

impl Row {
    pub(crate) fn evolve_risk(&mut self, checked: &RiskChecked) {
        let RiskChecked { kind, amount, at, forgets, is_remembered, .. } = *checked;
        self.risk.drain(..(forgets as usize).min(self.risk.len()));
        if is_remembered {
            // Records of earlier builds count the one that makes room among those that are forgotten.
            let is_own = |past: &Remembered| past.kind.class() == kind.class();
            if REMEMBERED_MAX <= self.risk.iter().filter(|past| is_own(past)).count()
                && let Some(oldest) = self.risk.iter().position(is_own)
            {
                self.risk.remove(oldest);
            }
            self.risk.push(Remembered { at, kind, amount });
        }
    }
}
