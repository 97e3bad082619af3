//! All rules of one tenant at one version, as the desk holds them: ids given, references resolved, checks passed.
//!
//! A version never changes once it was applied, and every version is kept: a record names the one that it was decided
//! by. How an operator's wish becomes a version is the business of [`crate::draft`].

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::identity::{CurrencyCode, PartnerId, RuleId, TenantId, Unit};
use crate::percent::Percent;
use crate::quantity::{Amount, Instant};

/// The rules of one tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalogue {
    /// The tenant.
    pub tenant: TenantId,
    /// Counts the changes of this tenant's rules from 1.
    pub version: u32,
    /// The tenant's name in addresses, such as `journey`.
    pub slug: String,
    /// The tenant's name for people.
    pub name: String,
    /// The currency of its wallets.
    pub currency: Currency,
    /// Its IANA time zone. Informative here: periods are instants already.
    pub timezone: String,
    /// Which clock drives its rules.
    pub clock: RuleClock,
    /// What a purchase by somebody unknown does.
    pub unknown_customer: UnknownCustomer,
    /// What a purchase with an unknown promo code does.
    pub unknown_promo: UnknownPromo,
    /// Its partners, in order of their ids.
    pub partners: Vec<Partner>,
    /// Its promos, in order of their codes.
    pub promos: Vec<Promo>,
    /// Its tier programmes, in order of their ids.
    pub programs: Vec<TierProgram>,
    /// The id that the next new rule gets.
    pub next_rule: RuleId,
}

/// A currency as its tenant declares it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Currency {
    /// The ISO 4217 code.
    pub code: CurrencyCode,
    /// Decimal places of the major unit: 0 when a minor unit is a whole one, as for rupiah in cashback.
    pub exponent: u8,
}

/// Which instant a rule sees as the time of a purchase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RuleClock {
    /// When the ledger received it.
    Received,
    /// When the partner says that it occurred; for partners that replay history.
    Occurred,
}

/// What a purchase by somebody unknown does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UnknownCustomer {
    /// Creates the customer.
    AutoCreate,
    /// Is refused.
    MustExist,
}

/// What a purchase with an unknown promo code does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UnknownPromo {
    /// Is refused.
    Refuse,
    /// Is booked as if it named none.
    Ignore,
}

/// A shop or marketplace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partner {
    /// Its id.
    pub id: PartnerId,
    /// Its name in addresses.
    pub slug: String,
    /// Its name for people.
    pub name: String,
}

/// A promo: a share of each purchase that meets one of its bands, for as long as its quota lasts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promo {
    /// Its id.
    pub id: RuleId,
    /// The code that a purchase names, exact, unique within the tenant.
    pub code: String,
    /// How many purchases it may pay for.
    pub quota: u64,
    /// The first instant of its period.
    pub starts_at: Instant,
    /// The last instant of its period, included.
    pub ends_at: Instant,
    /// Who pays; `None` means the partner that sent the purchase.
    pub funded_by: Option<PartnerId>,
    /// What it pays; no two overlap.
    pub bands: Vec<PromoBand>,
}

/// The share that a promo pays for one quantity and one range of amounts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromoBand {
    /// Its id.
    pub id: RuleId,
    /// The quantity that it is for.
    pub quantity: u32,
    /// True when larger quantities count too.
    pub or_more: bool,
    /// The smallest amount, included.
    pub amount_min: Amount,
    /// The first amount that is too large; `None` when there is none.
    pub amount_end: Option<Amount>,
    /// The share.
    pub percent: Percent,
}

/// A ladder of tiers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TierProgram {
    /// Its id.
    pub id: RuleId,
    /// Its name, unique within the tenant.
    pub name: String,
    /// How a customer moves.
    pub policy: TierPolicy,
    /// Its levels, the lowest first; never empty.
    pub levels: Vec<TierLevel>,
}

/// How a customer moves between the levels of a programme.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TierPolicy {
    /// By the count of purchases within a level and the days between them (KezBek).
    Journey(JourneyRules),
}

/// The numbers of a Journey programme.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JourneyRules {
    /// A gap of more whole days than this steps a customer down one level.
    pub downgrade_after_days: u32,
    /// A gap of more whole days than this returns a customer to the lowest level.
    pub reset_after_days: u32,
    /// What happens at the top once its count is full.
    pub at_maximum: AtMaximum,
}

/// What a customer of the highest level gets once its count is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AtMaximum {
    /// Counts on; no milestone is met again (KezBek).
    PayNothing,
}

/// One level of a programme.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TierLevel {
    /// Its id.
    pub id: RuleId,
    /// Its name, unique within the programme without regard to case.
    pub name: String,
    /// How many purchases fill it.
    pub count_max: u32,
    /// The level above; itself at the top.
    pub next: RuleId,
    /// The level that a long gap leads to; itself at the bottom.
    pub previous: RuleId,
    /// What it pays at which count, in order of the counts.
    pub milestones: Vec<Milestone>,
}

/// Points paid when the count within a level reaches a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Milestone {
    /// Its id.
    pub id: RuleId,
    /// The count that it is for.
    pub at_count: u32,
    /// What it pays, in minor units of the tenant's currency.
    pub points: Amount,
}

impl Catalogue {
    /// Returns the unit of the tenant's wallets.
    #[must_use]
    pub const fn unit(&self) -> Unit {
        Unit::Money(self.currency.code)
    }

    /// Finds a promo by its code.
    #[must_use]
    pub fn promo_by_code(&self, code: &str) -> Option<&Promo> {
        let at = self.promos.binary_search_by(|promo| promo.code.as_str().cmp(code)).ok()?;
        self.promos.get(at)
    }

    /// Finds a promo by its id.
    #[must_use]
    pub fn promo(&self, id: RuleId) -> Option<&Promo> {
        self.promos.iter().find(|promo| promo.id == id)
    }

    /// Finds a partner by its id.
    #[must_use]
    pub fn partner(&self, id: PartnerId) -> Option<&Partner> {
        self.partners.iter().find(|partner| partner.id == id)
    }

    /// Finds a partner by its slug.
    #[must_use]
    pub fn partner_by_slug(&self, slug: &str) -> Option<&Partner> {
        self.partners.iter().find(|partner| partner.slug == slug)
    }

    /// Finds a tier programme by its id.
    #[must_use]
    pub fn program(&self, id: RuleId) -> Option<&TierProgram> {
        self.programs.iter().find(|program| program.id == id)
    }
}

impl TierProgram {
    /// Finds a level by its id.
    #[must_use]
    pub fn level(&self, id: RuleId) -> Option<&TierLevel> {
        self.levels.iter().find(|level| level.id == id)
    }

    /// Returns the lowest level.
    ///
    /// # Panics
    ///
    /// If the programme has no level, which no applied catalogue allows.
    #[must_use]
    pub fn lowest(&self) -> &TierLevel {
        self.levels.first().expect("an applied programme has a level")
    }
}

impl TierLevel {
    /// Returns true for a level that nothing follows.
    #[must_use]
    pub fn is_highest(&self) -> bool {
        self.next == self.id
    }

    /// Finds what the level pays at exactly `count`.
    #[must_use]
    pub fn milestone_at(&self, count: u32) -> Option<&Milestone> {
        self.milestones.iter().find(|milestone| milestone.at_count == count)
    }
}
