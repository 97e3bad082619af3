//! What a claw back moves: the wallet and the house accounts that had paid, and the points that were granted.

use alloc::vec::Vec;

use super::{ClawBack, NegativeBalance, Original, RefundRejection};
use crate::accounts::{Entry, HouseAccount, HouseEntry, HouseLeg};
use crate::catalogue::RewardKind;
use crate::customer::Row;
use crate::event::Event;
use crate::identity::RuleId;
use crate::points::{Expiry, Lot, Maturity, PointAccount, PointEntry};
use crate::quantity::{Amount, Balance, Instant};
use crate::wallet::CASHBACK_WALLET;

/// What a claw back moves.
pub(super) struct Posting {
    pub(super) events: Vec<Event>,
    pub(super) shortfall: Amount,
    pub(super) points_short: Vec<(RuleId, Amount)>,
    pub(super) balance_after: Balance,
}

impl Posting {
    /// A reversal passes whatever is said of the wallet: a frozen one too.
    pub(super) fn of(
        row: &Row,
        policy: NegativeBalance,
        original: Original<'_>,
        claw_back: &ClawBack,
        at: Instant,
    ) -> Result<Posting, RefundRejection> {
        let balance = row.balance(CASHBACK_WALLET);
        let legs = legs_of(original, claw_back);
        let too_small = RefundRejection::BalanceTooSmall { balance };
        let due = legs.iter().try_fold(Amount::ZERO, |sum, leg| sum.plus(leg.amount)).ok_or(too_small.clone())?;
        let from_wallet = match policy {
            NegativeBalance::Allow => due,
            NegativeBalance::CapAtZero => due.min(row.available(CASHBACK_WALLET)),
        };
        let (taken, owed) = split(&legs, from_wallet);
        let unit = original.rules.unit();
        let mut posting = Posting {
            events: Vec::new(),
            shortfall: due.minus(from_wallet).unwrap_or(Amount::ZERO),
            points_short: Vec::new(),
            balance_after: balance,
        };
        if !from_wallet.is_zero() {
            let entry = Entry::debit(CASHBACK_WALLET, unit, balance, &taken).ok_or(too_small)?;
            posting.balance_after = entry.balance_after;
            posting.events.push(Event::WalletEntry(entry));
        }
        if !posting.shortfall.is_zero() {
            let debit = Vec::from([HouseLeg { account: HouseAccount::RefundShortfall, amount: posting.shortfall }]);
            posting.events.push(Event::HousePosted(HouseEntry { unit, debit, credit: owed }));
        }
        posting.points(row, original, claw_back, at);
        Ok(posting)
    }

    fn points(&mut self, row: &Row, original: Original<'_>, claw_back: &ClawBack, at: Instant) {
        let cashback = claw_back.cashback.iter().map(|own| (own.kind, own.rule, own.points));
        let rewards = claw_back.rewards.iter().filter_map(|own| match own.paid {
            RewardKind::Points { kind, points } => Some((kind, own.reward, points)),
            RewardKind::WalletCredit { .. } => None,
        });
        let mut accounts: Vec<PointAccount> = row.points.to_vec();
        for (kind, source, points) in cashback.chain(rewards) {
            let known = accounts.iter().position(|own| own.kind == kind);
            let at_place = known.unwrap_or_else(|| {
                accounts.push(PointAccount { kind, lots: Vec::new() });
                accounts.len() - 1
            });
            let account = &mut accounts[at_place];
            let (entries, short) = account.claw_back(Lot { points, ..lot_of(original, kind, source) }, at);
            entries.iter().for_each(|entry| account.evolve(entry));
            self.events.extend(entries.into_iter().map(Event::PointEntry));
            if !short.is_zero() {
                self.points_short.push((kind, short));
            }
        }
    }
}

/// Finds the lot that the purchase's record granted by a rule.
fn lot_of(original: Original<'_>, kind: RuleId, source: RuleId) -> Lot {
    let granted = original.body.events.iter().find_map(|event| match event {
        Event::PointEntry(entry) if entry.kind == kind && entry.source == source && !entry.is_expiry() => Some(entry),
        _ => None,
    });
    let nothing = Lot { expires: Expiry::NEVER, source, matures: Maturity::AT_ONCE, points: Amount::ZERO };
    granted.map_or(nothing, PointEntry::lot)
}

/// Says which accounts of the house had paid what is clawed back.
fn legs_of(original: Original<'_>, claw_back: &ClawBack) -> Vec<HouseLeg> {
    let promo = claw_back.promo.map(|back| {
        let funded_by = original.rules.promo(back.promo).and_then(|promo| promo.funded_by);
        let account = HouseAccount::PromoExpense(funded_by.unwrap_or(original.booked.partner));
        HouseLeg { account, amount: back.points }
    });
    let loyalty = HouseLeg { account: HouseAccount::LoyaltyExpense, amount: claw_back.loyalty };
    let rewards = claw_back.rewards.iter().filter_map(|own| match own.paid {
        RewardKind::WalletCredit { amount } => Some(HouseLeg { account: HouseAccount::RewardExpense, amount }),
        RewardKind::Points { .. } => None,
    });
    promo.into_iter().chain([loyalty]).chain(rewards).filter(|leg| !leg.amount.is_zero()).collect()
}

/// Splits legs into those that sum to `first`, and the rest.
fn split(legs: &[HouseLeg], first: Amount) -> (Vec<HouseLeg>, Vec<HouseLeg>) {
    let (mut taken, mut rest, mut left) = (Vec::new(), Vec::new(), first);
    for leg in legs {
        let own = leg.amount.min(left);
        left = left.minus(own).unwrap_or(Amount::ZERO);
        let over = leg.amount.minus(own).unwrap_or(Amount::ZERO);
        taken.extend((!own.is_zero()).then_some(HouseLeg { amount: own, ..*leg }));
        rest.extend((!over.is_zero()).then_some(HouseLeg { amount: over, ..*leg }));
    }
    (taken, rest)
}
