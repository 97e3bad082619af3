//! Who would have got more, and who less: the difference that other rules make for each customer, in each unit.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::cmp::Reverse;

use crate::accounts::Direction;
use crate::event::Event;
use crate::identity::{CustomerId, Unit};
use crate::maps::Map;

/// The customers whom other rules give more or less of one unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct People {
    /// Those who would have got more.
    pub winners: Side,
    /// Those who would have got less.
    pub losers: Side,
}

/// The customers on one side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Side {
    /// How many.
    pub customers: u64,
    /// What they would have got more; negative for losers. Minor units, or points.
    pub sum: i128,
    /// Those with the largest difference, the largest first; of equal ones, in order of their ids.
    pub largest: Vec<(CustomerId, i128)>,
}

/// What one purchase makes of a difference.
#[derive(Debug, Default)]
pub(super) struct Moved(Vec<(Unit, i128)>);

impl Moved {
    /// Takes away what really happened.
    pub(super) fn was(&mut self, event: &Event) {
        self.add(event, -1);
    }

    /// Adds what would have happened.
    pub(super) fn is(&mut self, event: &Event) {
        self.add(event, 1);
    }

    fn add(&mut self, event: &Event, side: i128) {
        let (unit, direction, amount) = match event {
            Event::WalletEntry(entry) => (entry.unit, entry.direction, entry.amount),
            // Whoever got more also loses more to time: what is compared is what they got.
            Event::PointEntry(entry) if !entry.is_expiry() => (entry.unit(), entry.direction, entry.points),
            _ => return,
        };
        let sign = match direction {
            Direction::In => side,
            Direction::Out => -side,
        };
        let moved = sign * i128::from(amount.minor_units());
        match self.0.iter_mut().find(|(own, _)| *own == unit) {
            Some((_, sum)) => *sum += moved,
            None => self.0.push((unit, moved)),
        }
    }
}

/// The differences of all customers; only those of customers who have one.
#[derive(Debug, Default)]
pub(super) struct Differences(Map<CustomerId, Vec<(Unit, i128)>>);

impl Differences {
    /// Adds what a purchase of a customer moved.
    pub(super) fn add(&mut self, customer: CustomerId, moved: &Moved) {
        for (unit, sum) in moved.0.iter().filter(|(_, sum)| *sum != 0) {
            let own = self.0.entry(customer).or_default();
            match own.iter().position(|(held, _)| held == unit) {
                None => own.push((*unit, *sum)),
                Some(at) => {
                    own[at].1 += sum;
                    if own[at].1 == 0 {
                        own.swap_remove(at);
                    }
                }
            }
            if own.is_empty() {
                self.0.remove(&customer);
            }
        }
    }

    /// Sums them up by unit.
    pub(super) fn summed(self, largest: usize) -> BTreeMap<Unit, People> {
        let mut people: BTreeMap<Unit, People> = BTreeMap::new();
        for (customer, own) in self.0 {
            for (unit, difference) in own {
                let People { winners, losers } = people.entry(unit).or_default();
                let side = if 0 < difference { winners } else { losers };
                side.customers += 1;
                side.sum += difference;
                side.largest.push((customer, difference));
            }
        }
        for side in people.values_mut().flat_map(|own| [&mut own.winners, &mut own.losers]) {
            side.largest.sort_unstable_by_key(|(customer, difference)| (Reverse(difference.abs()), *customer));
            side.largest.truncate(largest);
            side.largest.shrink_to_fit();
        }
        people
    }
}
