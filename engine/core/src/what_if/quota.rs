//! Where the quotas of promos run out.

use alloc::collections::BTreeMap;

use crate::catalogue::Catalogue;
use crate::identity::RuleId;
use crate::quantity::{Instant, Seq};

/// Where the last unit of a quota went, or where the quota was lowered to what was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RanOut {
    /// The position of the purchase, or of the change.
    pub seq: Seq,
    /// The instant that the rules saw there.
    pub at: Instant,
}

/// Follows the quotas of a tenant.
#[derive(Clone, Debug, Default)]
pub(super) struct QuotaWatch {
    quotas: BTreeMap<RuleId, u64>,
    used: BTreeMap<RuleId, u64>,
    /// Promos that have nothing left.
    pub(super) ran_out: BTreeMap<RuleId, RanOut>,
}

impl QuotaWatch {
    /// Other rules hold.
    pub(super) fn hold(&mut self, catalogue: &Catalogue, at: RanOut) {
        self.quotas = catalogue.promos.iter().map(|promo| (promo.id, promo.quota)).collect();
        for (promo, quota) in &self.quotas {
            let used = self.used.get(promo).copied().unwrap_or(0);
            if used < *quota {
                self.ran_out.remove(promo);
            } else {
                self.ran_out.entry(*promo).or_insert(at);
            }
        }
    }

    /// A promo got a unit back.
    pub(super) fn returned(&mut self, promo: RuleId) {
        let used = self.used.entry(promo).or_default();
        *used = used.saturating_sub(1);
        if self.quotas.get(&promo).is_some_and(|quota| *used < *quota) {
            self.ran_out.remove(&promo);
        }
    }

    /// A promo used a unit.
    pub(super) fn granted(&mut self, promo: RuleId, at: RanOut) {
        let used = self.used.entry(promo).or_default();
        *used += 1;
        if self.quotas.get(&promo).is_some_and(|quota| *quota <= *used) {
            self.ran_out.entry(promo).or_insert(at);
        }
    }
}
