//! What rules of partners and devices ask for: operations of all customers of a tenant, by the partner that asked or was to
//! be paid, and by the device that the caller named.
//!
//! Of one partner or device the latest [`REMEMBERED_MAX`] operations are remembered, of a tenant the latest [`COUNTED_MAX`], none
//! for longer than the longest window, and as many purchases beside them. What is remembered hangs on the records alone.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::{Desk, Reservations};
use crate::catalogue::Catalogue;
use crate::command::PurchaseCommand;
use crate::identity::{PartnerId, RuleId};
use crate::maps::Map;
use crate::operation::{Actor, Operation, OperationCommand};
use crate::quantity::{Amount, Instant, Seq};
use crate::risk::{
    DeviceId, OperationCounted, REMEMBERED_MAX, Remembered, RiskClass, RiskKind, RiskParty, WINDOW_SECONDS_MAX,
};

/// Operations of a tenant that are remembered at most, once for a partner and once for a device; the oldest makes room, also
/// within a window.
pub const COUNTED_MAX: usize = 262_144;

/// Whose operations are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum CountedBy {
    /// A partner's.
    Partner(PartnerId),
    /// A device's.
    Device(DeviceId),
}

/// What rules of partners and devices say to an operation or a purchase.
#[derive(Clone, Debug, Default)]
pub struct PartyTerms {
    /// The partner that asks, that is to be paid, or that sends the purchase.
    pub partner: Option<PartnerId>,
    /// The device that the caller named.
    pub device: Option<DeviceId>,
    /// Those of which nothing else is looked at until this operation is settled.
    pub looked_at: Vec<CountedBy>,
    /// The rules of partners and devices that strike.
    pub striking: Vec<RuleId>,
    /// True when the operation is to be counted, once it is done.
    pub is_counted: bool,
}

/// What is remembered of a tenant: neither pushes the other out.
#[derive(Clone, Debug, Default)]
pub(super) struct Counted {
    operations: Latest,
    purchases: Latest,
}

/// The latest of one class.
#[derive(Clone, Debug, Default)]
struct Latest {
    by: Map<CountedBy, VecDeque<(Seq, Remembered)>>,
    /// How many there are.
    len: usize,
    /// All of them in the order of their records, and among them some that are forgotten since.
    order: VecDeque<(Seq, CountedBy)>,
}

impl OperationCounted {
    fn parties(&self) -> impl Iterator<Item = CountedBy> {
        let partner = self.partner.map(CountedBy::Partner);
        partner.into_iter().chain(self.device.map(CountedBy::Device))
    }
}

impl Counted {
    fn class_mut(&mut self, kind: RiskKind) -> &mut Latest {
        match kind.class() {
            RiskClass::Operation => &mut self.operations,
            RiskClass::Purchase => &mut self.purchases,
        }
    }

    /// Remembers an operation or a purchase of the record at `seq`.
    pub(super) fn evolve(&mut self, seq: Seq, at: Instant, own: &OperationCounted) {
        self.class_mut(own.kind).evolve(seq, at, own);
    }

    /// Puts one behind the others of its class.
    pub(super) fn push(&mut self, seq: Seq, party: CountedBy, own: Remembered) {
        self.class_mut(own.kind).push(seq, party, own);
    }

    /// Lists what is remembered, the operations first, each class in the order of the records.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Seq, CountedBy, Remembered)> {
        self.operations.iter().chain(self.purchases.iter())
    }

    fn of(&self, party: CountedBy) -> impl Iterator<Item = &Remembered> + Clone {
        self.operations.of(party).chain(self.purchases.of(party))
    }
}

impl Latest {
    fn evolve(&mut self, seq: Seq, at: Instant, own: &OperationCounted) {
        for party in own.parties() {
            self.push(seq, party, Remembered { at, kind: own.kind, amount: own.amount });
        }
        let horizon = at.0.saturating_sub(i64::from(WINDOW_SECONDS_MAX) * 1_000_000);
        while let Some((seq, party)) = self.order.front().copied() {
            if let Some(oldest) = self.find(seq, party) {
                if horizon < oldest.at.0 && self.len <= COUNTED_MAX {
                    break;
                }
                self.forget_oldest(party);
            }
            self.order.pop_front();
        }
    }

    fn push(&mut self, seq: Seq, party: CountedBy, own: Remembered) {
        if self.by.get(&party).is_some_and(|own| REMEMBERED_MAX <= own.len()) {
            self.forget_oldest(party);
        }
        self.by.entry(party).or_default().push_back((seq, own));
        self.len += 1;
        self.order.push_back((seq, party));
        // Of what is forgotten not much may lie behind the oldest that is not.
        if 2 * COUNTED_MAX < self.order.len() {
            let mut order = core::mem::take(&mut self.order);
            order.retain(|(seq, party)| self.find(*seq, *party).is_some());
            self.order = order;
        }
    }

    fn find(&self, seq: Seq, party: CountedBy) -> Option<Remembered> {
        let of_party = self.by.get(&party)?;
        let at = of_party.binary_search_by_key(&seq, |(seq, _)| *seq).ok()?;
        Some(of_party[at].1)
    }

    fn forget_oldest(&mut self, party: CountedBy) {
        if let Some(own) = self.by.get_mut(&party) {
            self.len -= usize::from(own.pop_front().is_some());
            if own.is_empty() {
                self.by.remove(&party);
            }
        }
    }

    fn iter(&self) -> impl Iterator<Item = (Seq, CountedBy, Remembered)> {
        self.order.iter().filter_map(|(seq, party)| Some((*seq, *party, self.find(*seq, *party)?)))
    }

    fn of(&self, party: CountedBy) -> impl Iterator<Item = &Remembered> + Clone {
        const NONE: &VecDeque<(Seq, Remembered)> = &VecDeque::new();
        self.by.get(&party).unwrap_or(NONE).iter().map(|(_, own)| own)
    }
}

impl PartyTerms {
    /// Says what rules of partners and devices will ask for.
    pub(crate) fn counts(&self, own: Remembered) -> Option<OperationCounted> {
        let (partner, device) = (self.partner, self.device);
        self.is_counted.then_some(OperationCounted { kind: own.kind, amount: own.amount, partner, device })
    }
}

/// Says what rules of partners and devices say to an operation, or `None` while that hangs on one that is in flight.
pub(super) fn party_terms(
    desk: &Desk,
    open: &Reservations,
    (rules, received_at): (&Catalogue, Instant),
    command: &OperationCommand,
) -> Option<PartyTerms> {
    let Some(own) = command.effective().looked_at(received_at) else { return Some(PartyTerms::default()) };
    let parties = (partner_of(desk, command), command.effective_device());
    terms(desk, open, rules, own, parties, command.dry_run)
}

/// Says what rules of partners say to a purchase, where one looks; or `None` while that hangs on something that is in flight.
pub(super) fn party_terms_of_purchase(
    desk: &Desk,
    open: &Reservations,
    (rules, received_at): (&Catalogue, Instant),
    command: &PurchaseCommand,
    amount: Amount,
) -> Option<Option<Box<PartyTerms>>> {
    let kind = RiskKind::Purchase;
    // There may be many more purchases than operations: they are counted where a rule asks for them alone.
    if !rules.risk_rules.iter().any(|rule| rule.looks_at(kind) && rule.condition.party().is_some()) {
        return Some(None);
    }
    let own = Remembered { at: received_at, kind, amount };
    let terms = terms(desk, open, rules, own, (Some(command.partner), None), command.dry_run)?;
    Some(Some(Box::new(terms)))
}

fn terms(
    desk: &Desk,
    open: &Reservations,
    rules: &Catalogue,
    own: Remembered,
    (partner, device): (Option<PartnerId>, Option<DeviceId>),
    dry_run: bool,
) -> Option<PartyTerms> {
    let tenant = rules.tenant;
    let mut terms = PartyTerms { partner, device, is_counted: device.is_some(), ..PartyTerms::default() };
    for rule in &rules.risk_rules {
        let party = match rule.condition.party() {
            Some(RiskParty::Partner) => partner.map(CountedBy::Partner),
            Some(RiskParty::Device) => device.map(CountedBy::Device),
            None => None,
        };
        let Some(party) = party else { continue };
        terms.is_counted = true;
        if !rule.looks_at(own.kind) {
            continue;
        }
        if open.has_party(tenant, party) && !dry_run {
            return None;
        }
        if !terms.looked_at.contains(&party) {
            terms.looked_at.push(party);
        }
        if desk.counted(tenant).is_some_and(|counted| rule.strikes(&counted.of(party), own)) {
            terms.striking.push(rule.id);
        }
    }
    Some(terms)
}

/// Finds the partner that is to be paid, or else that asks.
fn partner_of(desk: &Desk, command: &OperationCommand) -> Option<PartnerId> {
    match command.effective() {
        Operation::PlaceHold { partner, .. } => return Some(*partner),
        Operation::PayInvoice { number, .. } => return desk.invoice(command.tenant, number).map(|own| own.partner),
        _ => (),
    }
    match command.effective_actor() {
        Actor::Partner(partner) => Some(partner),
        Actor::Operator | Actor::Person(..) | Actor::Server => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(device: u128) -> OperationCounted {
        let (kind, amount) = (RiskKind::Deposit, Amount::new(1).expect("an amount"));
        OperationCounted { kind, amount, partner: None, device: Some(DeviceId(device)) }
    }

    /// Also where one device has forgotten its own oldest before, what is forgotten is the oldest of all.
    #[test]
    fn the_latest_of_all_are_remembered() {
        let mut counted = Counted::default();
        let last = 3 * COUNTED_MAX as u64 + 3_000;
        for seq in 1..=last {
            // Every second one is of one device.
            let device = if seq % 2 == 0 { 0 } else { u128::from(seq) + 10 };
            counted.evolve(Seq(seq), Instant(0), &own(device));
        }
        let left: usize = counted.operations.by.values().map(VecDeque::len).sum();
        assert_eq!((left, counted.operations.len, counted.iter().count()), (COUNTED_MAX, COUNTED_MAX, COUNTED_MAX));
        let of_one = counted.of(CountedBy::Device(DeviceId(0))).count();
        assert_eq!(of_one, REMEMBERED_MAX);
        let oldest = last - 2 * (COUNTED_MAX - REMEMBERED_MAX) as u64 + 1;
        assert_eq!(counted.iter().next().map(|(seq, ..)| seq), Some(Seq(oldest)));
        assert!(counted.operations.order.len() <= 2 * COUNTED_MAX);
        // What is restored goes on as what was never stopped.
        let mut restored = counted.iter().fold(Counted::default(), |mut restored, (seq, party, own)| {
            restored.push(seq, party, own);
            restored
        });
        for seq in last + 1..=last + 5_000 {
            counted.evolve(Seq(seq), Instant(0), &own(u128::from(seq % 7)));
            restored.evolve(Seq(seq), Instant(0), &own(u128::from(seq % 7)));
        }
        assert!(restored.iter().eq(counted.iter()));
        assert_eq!(restored.operations.len, counted.operations.len);
    }
}
