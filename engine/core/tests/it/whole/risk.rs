//! The model's risk rules: what they say to an operation or a purchase, and what is remembered for them.

use kembali_core::risk::{RiskAction, RiskCondition, RiskKind, RiskParty, RiskRule};

use super::model::{Code, Model, Party, SECOND};

/// What rules look at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Looked {
    pub(super) who: u8,
    pub(super) kind: RiskKind,
    pub(super) amount: i128,
    pub(super) partner: Option<u32>,
    pub(super) device: Option<u8>,
    pub(super) is_released: bool,
}

fn looks_at(rule: &RiskRule, kind: RiskKind) -> bool {
    match kind {
        RiskKind::Purchase => rule.operations.contains(&kind),
        _ => rule.operations.is_empty() || rule.operations.contains(&kind),
    }
}

impl Model {
    /// Looks at an operation or a purchase, and remembers it. Returns true of what is set aside.
    pub(super) fn look(&mut self, own: &Looked) -> Result<bool, Code> {
        // Nobody who is looked at moves the ledger's own clock.
        let (rules, at) = (self.rules(), self.stamp);
        let Looked { who, kind, amount, is_released, .. } = *own;
        // Purchases and operations are two worlds, but for rules that name kinds of both.
        let is_like = |other: RiskKind| (other == RiskKind::Purchase) == (kind == RiskKind::Purchase);
        let is_purchase = kind == RiskKind::Purchase;
        let kinds = [RiskKind::Deposit, RiskKind::Hold, RiskKind::Transfer, RiskKind::Payment, RiskKind::Purchase];
        let is_of_world = |rule: &&RiskRule| kinds.iter().any(|other| is_like(*other) && looks_at(rule, *other));
        let is_wanted = rules.risk_rules.iter().any(|rule| is_of_world(&rule));
        let has_past = self.person(who).risky.iter().any(|(_, kind, _)| is_like(*kind));
        if !is_wanted && !has_past {
            return Ok(false);
        }
        let parties = [own.partner.map(Party::Partner), own.device.map(Party::Device)];
        let parties: Vec<Party> = parties.into_iter().flatten().collect();
        let of = |by: RiskParty| {
            parties.iter().copied().find(|party| matches!(party, Party::Partner(_)) == (by == RiskParty::Partner))
        };
        let of_customer = || rules.risk_rules.iter().filter(|rule| rule.condition.party().is_none());
        let longest = of_customer().filter_map(|rule| rule.condition.seconds()).max();
        let is_within = |seconds: u32, past: i64| at - i64::from(seconds) * SECOND < past;
        let is_remembered = of_customer().any(|rule| is_of_world(&rule) && rule.condition.seconds().is_some());
        let risky = &mut self.person(who).risky;
        risky.retain(|(past, ..)| longest.is_some_and(|seconds| is_within(seconds, *past)));
        let own_past = risky.clone();
        risky.extend(is_remembered.then_some((at, kind, amount)));
        let strikes = |rule: &&RiskRule| {
            let past: Vec<_> = match rule.condition.party() {
                None => own_past.clone(),
                Some(by) => {
                    let Some(party) = of(by) else { return false };
                    let own = self.counted.iter().filter(|(own, ..)| *own == party);
                    own.map(|(_, at, kind, amount)| (*at, *kind, *amount)).collect()
                }
            };
            let within = |seconds: u32| {
                let past =
                    past.iter().filter(move |(past, kind, _)| looks_at(rule, *kind) && is_within(seconds, *past));
                past.map(|(.., amount)| *amount).chain([amount])
            };
            looks_at(rule, kind)
                && match rule.condition {
                    RiskCondition::AmountAbove(bound) => i128::from(bound.minor_units()) < amount,
                    RiskCondition::CountAbove { count, seconds }
                    | RiskCondition::CountAboveBy { count, seconds, .. } => (count as usize) < within(seconds).count(),
                    RiskCondition::SumAbove { sum, seconds } | RiskCondition::SumAboveBy { sum, seconds, .. } => {
                        i128::from(sum.minor_units()) < within(seconds).sum()
                    }
                }
        };
        let striking = || rules.risk_rules.iter().filter(strikes);
        let first = |action| striking().find(|rule| action == rule.action);
        let (blocks, reviews) = (first(RiskAction::Block), first(RiskAction::Review));
        let named = blocks.or(reviews).or_else(|| striking().next());
        self.flagged = named.map(|rule| rule.id);
        let mut by_parties = rules.risk_rules.iter().filter(|rule| !is_purchase || looks_at(rule, kind));
        let is_asked_for = by_parties.any(|rule| rule.condition.party().is_some_and(|by| of(by).is_some()));
        if own.device.is_some() || is_asked_for {
            self.counted.extend(parties.into_iter().map(|party| (party, at, kind, amount)));
        }
        if is_released {
            self.note("what is released is let be");
            return Ok(false);
        }
        if blocks.is_some() {
            return Err("risk_blocked");
        }
        self.notes.extend(named.filter(|_| is_purchase).map(|_| "a purchase is flagged"));
        self.notes.extend(named.filter(|_| reviews.is_none()).map(|rule| match rule.condition {
            RiskCondition::AmountAbove(_) => "flagged by amount",
            RiskCondition::CountAbove { .. } => "flagged by count",
            RiskCondition::SumAbove { .. } => "flagged by sum",
            RiskCondition::CountAboveBy { by: RiskParty::Partner, .. } => "flagged by count of a partner",
            RiskCondition::CountAboveBy { by: RiskParty::Device, .. } => "flagged by count of a device",
            RiskCondition::SumAboveBy { by: RiskParty::Partner, .. } => "flagged by sum of a partner",
            RiskCondition::SumAboveBy { by: RiskParty::Device, .. } => "flagged by sum of a device",
        }));
        Ok(reviews.is_some())
    }
}
