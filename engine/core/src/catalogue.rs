//! All rules of one tenant at one version, as the desk holds them: ids given, references resolved, checks passed.
//!
//! A version never changes once it was applied, and every version is kept: a record names the one that it was decided
//! by. How an operator's wish becomes a version is the business of [`crate::draft`].

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::identity::{CurrencyCode, PartnerId, RuleId, TenantId, Unit};
use crate::percent::{Percent, Rate};
use crate::quantity::{Amount, Instant};
use crate::refund::RefundPolicy;
use crate::risk::RiskRule;

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
    /// The kinds of points that its rules pay in, in order of their ids.
    pub point_kinds: Vec<PointKind>,
    /// Its cashback rules, in order of their ids.
    pub cashback_rules: Vec<CashbackRule>,
    /// What its campaigns ask for, in order of their ids.
    pub fulfillments: Vec<Fulfillment>,
    /// What its campaigns pay, in order of their ids.
    pub rewards: Vec<Reward>,
    /// Its campaigns, in order of their ids.
    pub campaigns: Vec<Campaign>,
    /// What points may be spent on, in order of their ids.
    pub offers: Vec<Offer>,
    /// The id that the next new rule gets.
    pub next_rule: RuleId,
    /// What refunds do beside taking back what was earned.
    pub refunds: RefundPolicy,
    /// What is looked at before money moves, in order of their ids.
    pub risk_rules: Vec<RiskRule>,
    /// What other systems know rules by, in order of the rules.
    pub external_ids: Vec<ExternalId>,
    /// What is said of rules to people, in order of the rules.
    pub descriptions: Vec<Description>,
}

/// What is said of a rule to people. Nothing is decided by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// The rule.
    pub rule: RuleId,
    /// What is said.
    pub text: String,
}

/// What another system knows a rule by. Nothing is decided by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExternalId {
    /// The rule.
    pub rule: RuleId,
    /// The other system's id, unique within the tenant among rules of the same kind.
    pub id: String,
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

impl RuleClock {
    /// Returns the instant that is "now" when the ledger's clock says `received_at`. `watermark` is the highest accepted
    /// `occurred_at` of the tenant.
    #[must_use]
    pub fn now(self, watermark: Option<Instant>, received_at: Instant) -> Instant {
        match self {
            RuleClock::Received => received_at,
            RuleClock::Occurred => watermark.unwrap_or(received_at),
        }
    }
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
    /// How a customer moves, and between which levels.
    pub policy: TierPolicy,
}

/// How a customer moves between the levels of a programme.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TierPolicy {
    /// By the count of purchases within a level and the days between them (KezBek).
    Journey(Journey),
    /// By all that was ever spent (onetap).
    Threshold(Threshold),
}

/// A Journey programme.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journey {
    /// A gap of more whole days than this steps a customer down one level.
    pub downgrade_after_days: u32,
    /// A gap of more whole days than this returns a customer to the lowest level.
    pub reset_after_days: u32,
    /// What happens at the top once its count is full.
    pub at_maximum: AtMaximum,
    /// Its levels, the lowest first; never empty.
    pub levels: Vec<JourneyLevel>,
}

/// What a customer of the highest level gets once its count is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AtMaximum {
    /// Counts on; no milestone is met again (KezBek).
    PayNothing,
    /// Counts from 1 again, so that its milestones are met again.
    RestartCycle,
}

/// One level of a Journey programme.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JourneyLevel {
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

/// A Threshold programme.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Threshold {
    /// Its levels, the lowest first, each with a higher bound than the one before; never empty.
    pub levels: Vec<ThresholdLevel>,
}

/// One level of a Threshold programme.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThresholdLevel {
    /// Its id.
    pub id: RuleId,
    /// Its name, unique within the programme without regard to case.
    pub name: String,
    /// What must have been spent to stand on it, in minor units of the tenant's currency.
    pub spent_min: Amount,
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

/// A kind of points: a unit of its own, that converts into nothing by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PointKind {
    /// Its id.
    pub id: RuleId,
    /// Its name, unique within the tenant.
    pub name: String,
}

/// A share of what is bought of some products, paid in points (onetap). Any number of rules stack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CashbackRule {
    /// Its id.
    pub id: RuleId,
    /// Its name, unique within the tenant.
    pub name: String,
    /// The share.
    pub rate: Rate,
    /// The products that it is for, sorted; none means every product.
    pub products: Vec<String>,
    /// The partner whose purchases it is for; `None` means every partner of the tenant.
    pub partner: Option<PartnerId>,
    /// False while it pays nothing.
    pub is_active: bool,
    /// The last instant at which it pays, included; `None` when it has no end.
    pub ends_at: Option<Instant>,
    /// The kind of points that it pays.
    pub pays: RuleId,
    /// How many days these points live; `None` means for ever.
    pub life_days: Option<u32>,
    /// How many days they are pending before they can be spent; `None` means not at all.
    pub pending_days: Option<u32>,
}

/// A condition that purchases meet (Loyaltea).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fulfillment {
    /// Its id.
    pub id: RuleId,
    /// Its name, unique within the tenant.
    pub name: String,
    /// What it asks for.
    pub kind: FulfillmentKind,
}

/// What a fulfillment asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FulfillmentKind {
    /// Buying something.
    Buy {
        /// What; `None` means anything.
        product: Option<String>,
        /// For how much at least.
        amount_min: Amount,
        /// True when several purchases add up; else one purchase must do it.
        is_cumulative: bool,
    },
    /// Purchases with a tag.
    Tag {
        /// The tag, exact.
        tag: String,
        /// How many of them.
        count: u32,
    },
}

/// What a campaign pays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reward {
    /// Its id.
    pub id: RuleId,
    /// Its name, unique within the tenant.
    pub name: String,
    /// What is paid.
    pub kind: RewardKind,
    /// How many days points live that it pays; `None` means for ever.
    pub life_days: Option<u32>,
    /// How many days they are pending before they can be spent; `None` means not at all.
    pub pending_days: Option<u32>,
}

/// What is paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RewardKind {
    /// Points.
    Points {
        /// Of which kind.
        kind: RuleId,
        /// How many.
        points: Amount,
    },
    /// Money in the customer's wallet.
    WalletCredit {
        /// How much.
        amount: Amount,
    },
}

/// What a customer may spend points on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// Its id.
    pub id: RuleId,
    /// Its name, unique within the tenant.
    pub name: String,
    /// The kind of points that it costs.
    pub kind: RuleId,
    /// How many of them one unit costs, greater than zero.
    pub points: Amount,
    /// What one unit gives.
    pub gives: OfferGives,
    /// How many units there are in all; `None` when there is no end of them.
    pub stock: Option<u64>,
    /// False while it cannot be redeemed.
    pub is_active: bool,
    /// The first instant of its period; `None` when it has no start.
    pub starts_at: Option<Instant>,
    /// The last instant of its period, included; `None` when it has no end.
    pub ends_at: Option<Instant>,
}

/// What one unit of an offer gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OfferGives {
    /// Money in the wallet that cashback goes to.
    WalletCredit {
        /// How much.
        amount: Amount,
    },
    /// One of what the offer is called; the tenant hands it out.
    Item,
}

/// A set of fulfillments that, once all are met, pays rewards (Loyaltea).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Campaign {
    /// Its id.
    pub id: RuleId,
    /// Its name, unique within the tenant.
    pub name: String,
    /// What must be met, sorted; never empty.
    pub fulfillments: Vec<RuleId>,
    /// What is paid, sorted; never empty.
    pub rewards: Vec<RuleId>,
    /// The first instant of its period; `None` when it has no start.
    pub starts_at: Option<Instant>,
    /// The last instant of its period, included; `None` when it has no end.
    pub ends_at: Option<Instant>,
    /// How often a customer may complete it; `None` when there is no limit.
    pub completions_max: Option<u32>,
    /// How often all customers together may complete it; `None` when there is no limit.
    pub budget: Option<u64>,
}

impl Catalogue {
    /// Returns the unit of the tenant's wallets.
    #[must_use]
    pub const fn unit(&self) -> Unit {
        Unit::Money(self.currency.code)
    }

    /// Returns what another system knows a rule by.
    #[must_use]
    pub fn external_id(&self, rule: RuleId) -> Option<&str> {
        let at = self.external_ids.binary_search_by_key(&rule, |own| own.rule).ok()?;
        self.external_ids.get(at).map(|own| own.id.as_str())
    }

    /// Returns what is said of a rule to people.
    #[must_use]
    pub fn description(&self, rule: RuleId) -> Option<&str> {
        let at = self.descriptions.binary_search_by_key(&rule, |own| own.rule).ok()?;
        self.descriptions.get(at).map(|own| own.text.as_str())
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

    /// Finds a kind of points by its id.
    #[must_use]
    pub fn point_kind(&self, id: RuleId) -> Option<&PointKind> {
        self.point_kinds.iter().find(|kind| kind.id == id)
    }

    /// Finds a cashback rule by its id.
    #[must_use]
    pub fn cashback_rule(&self, id: RuleId) -> Option<&CashbackRule> {
        self.cashback_rules.iter().find(|rule| rule.id == id)
    }

    /// Finds a fulfillment by its id.
    #[must_use]
    pub fn fulfillment(&self, id: RuleId) -> Option<&Fulfillment> {
        self.fulfillments.iter().find(|fulfillment| fulfillment.id == id)
    }

    /// Finds a reward by its id.
    #[must_use]
    pub fn reward(&self, id: RuleId) -> Option<&Reward> {
        self.rewards.iter().find(|reward| reward.id == id)
    }

    /// Finds an offer by its id.
    #[must_use]
    pub fn offer(&self, id: RuleId) -> Option<&Offer> {
        self.offers.iter().find(|offer| offer.id == id)
    }

    /// Finds a risk rule by its id.
    #[must_use]
    pub fn risk_rule(&self, id: RuleId) -> Option<&RiskRule> {
        self.risk_rules.iter().find(|rule| rule.id == id)
    }

    /// Finds an offer by its name.
    #[must_use]
    pub fn offer_by_name(&self, name: &str) -> Option<&Offer> {
        self.offers.iter().find(|offer| offer.name == name)
    }

    /// Finds a campaign by its id.
    #[must_use]
    pub fn campaign(&self, id: RuleId) -> Option<&Campaign> {
        self.campaigns.iter().find(|campaign| campaign.id == id)
    }

    /// Finds a tier programme by its id.
    #[must_use]
    pub fn program(&self, id: RuleId) -> Option<&TierProgram> {
        self.programs.iter().find(|program| program.id == id)
    }
}

impl TierProgram {
    /// Lists the ids and names of its levels, the lowest first.
    pub fn levels(&self) -> impl Iterator<Item = (RuleId, &str)> {
        let (journey, threshold) = match &self.policy {
            TierPolicy::Journey(journey) => (journey.levels.as_slice(), &[][..]),
            TierPolicy::Threshold(threshold) => (&[][..], threshold.levels.as_slice()),
        };
        let journey = journey.iter().map(|level| (level.id, level.name.as_str()));
        journey.chain(threshold.iter().map(|level| (level.id, level.name.as_str())))
    }

    /// Returns the name of a level.
    #[must_use]
    pub fn level_name(&self, id: RuleId) -> Option<&str> {
        self.levels().find(|(own, _)| *own == id).map(|(_, name)| name)
    }
}

impl Journey {
    /// Finds a level by its id.
    #[must_use]
    pub fn level(&self, id: RuleId) -> Option<&JourneyLevel> {
        self.levels.iter().find(|level| level.id == id)
    }

    /// Returns the lowest level.
    ///
    /// # Panics
    ///
    /// If the programme has no level, which no applied catalogue allows.
    #[must_use]
    pub fn lowest(&self) -> &JourneyLevel {
        self.levels.first().expect("an applied programme has a level")
    }
}

impl JourneyLevel {
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
