//! What an operator wants the rules to be, and how that becomes a version: references resolved, ids given, checked.
//!
//! A rule that was there before keeps its id: partners by slug, promos by code, bands by quantity and smallest amount,
//! milestones by count, everything else by name; a level also by the name that it was renamed from, and what another system
//! has an id of by that id first. What the ledger still needs cannot be removed. The customers of a level that is removed are placed anew ([`crate::placement`]).
//!
//! Cashback rules and campaigns are resolved in [`earning`].

mod earning;
mod renames;
mod risk;

pub use risk::{RISK_RULES_MAX, RiskRuleDraft};

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::catalogue::{
    AtMaximum, Catalogue, Currency, FulfillmentKind, Journey, JourneyLevel, Milestone, OfferGives, Partner, Promo,
    PromoBand, RuleClock, Threshold, ThresholdLevel, TierPolicy, TierProgram, UnknownCustomer, UnknownPromo,
};
use crate::identity::{PartnerId, RuleId, TenantId};
use crate::percent::{Percent, Rate};
use crate::quantity::{Amount, Instant};
use crate::refund::RefundPolicy;
use crate::rejection::CatalogueRejection;

/// Rules that a catalogue may hold in all: promos, bands, programmes, levels and milestones. Keeps the record of a
/// change far below what a frame can hold.
pub const RULES_MAX: usize = 4_096;
/// Partners that a tenant may have.
pub const PARTNERS_MAX: usize = 2_048;
/// Bytes that a name may have.
pub const NAME_BYTES_MAX: usize = 64;
/// Purchases that a promo may pay for: what every reader of JSON takes as it is written.
pub const QUOTA_MAX: u64 = (1 << 53) - 1;

/// The rules of one tenant, as wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogueDraft {
    /// See [`Catalogue::slug`].
    pub slug: String,
    /// See [`Catalogue::name`].
    pub name: String,
    /// See [`Catalogue::currency`].
    pub currency: Currency,
    /// See [`Catalogue::timezone`].
    pub timezone: String,
    /// See [`Catalogue::clock`].
    pub clock: RuleClock,
    /// See [`Catalogue::unknown_customer`].
    pub unknown_customer: UnknownCustomer,
    /// See [`Catalogue::unknown_promo`].
    pub unknown_promo: UnknownPromo,
    /// The partners.
    pub partners: Vec<PartnerDraft>,
    /// The promos.
    pub promos: Vec<PromoDraft>,
    /// The tier programmes.
    pub programs: Vec<ProgramDraft>,
    /// Cashback rules, campaigns, and what they need.
    pub earning: EarningDraft,
    /// See [`Catalogue::refunds`].
    pub refunds: RefundPolicy,
    /// The risk rules.
    pub risk_rules: Vec<RiskRuleDraft>,
}

/// Cashback rules, campaigns, and what they need, as wanted. Everything names everything by its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EarningDraft {
    /// The names of the kinds of points.
    pub point_kinds: Vec<String>,
    /// The cashback rules.
    pub cashback_rules: Vec<CashbackDraft>,
    /// The fulfillments.
    pub fulfillments: Vec<FulfillmentDraft>,
    /// The rewards.
    pub rewards: Vec<RewardDraft>,
    /// The campaigns.
    pub campaigns: Vec<CampaignDraft>,
    /// The offers.
    pub offers: Vec<OfferDraft>,
    /// What other systems know some of these by.
    pub external_ids: Vec<ExternalIdDraft>,
}

/// What another system knows a rule by, as wanted. A rule that had this id before is the same, whatever it is called now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalIdDraft {
    /// The kind of rule.
    pub of: Identified,
    /// The rule's name.
    pub name: String,
    /// See [`ExternalId::id`](crate::catalogue::ExternalId::id).
    pub id: String,
}

/// The kinds of rules that other systems may have ids of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identified {
    /// A cashback rule.
    CashbackRule,
    /// A fulfillment.
    Fulfillment,
    /// A reward.
    Reward,
    /// A campaign.
    Campaign,
}

/// An offer, as wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferDraft {
    /// See [`Offer::name`].
    pub name: String,
    /// The name of the kind of points that it costs.
    pub kind: String,
    /// See [`Offer::points`].
    pub points: Amount,
    /// See [`Offer::gives`].
    pub gives: OfferGives,
    /// See [`Offer::stock`].
    pub stock: Option<u64>,
    /// See [`Offer::is_active`].
    pub is_active: bool,
    /// See [`Offer::starts_at`].
    pub starts_at: Option<Instant>,
    /// See [`Offer::ends_at`].
    pub ends_at: Option<Instant>,
}

/// A cashback rule, as wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CashbackDraft {
    /// See [`CashbackRule::name`].
    pub name: String,
    /// What is said of it to people.
    pub description: Option<String>,
    /// See [`CashbackRule::rate`].
    pub rate: Rate,
    /// See [`CashbackRule::products`].
    pub products: Vec<String>,
    /// The slug of the partner that it is for.
    pub partner: Option<String>,
    /// See [`CashbackRule::is_active`].
    pub is_active: bool,
    /// See [`CashbackRule::ends_at`].
    pub ends_at: Option<Instant>,
    /// The name of the kind of points that it pays.
    pub pays: String,
    /// See [`CashbackRule::life_days`].
    pub life_days: Option<u32>,
    /// See [`CashbackRule::pending_days`].
    pub pending_days: Option<u32>,
}

/// A fulfillment, as wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FulfillmentDraft {
    /// See [`Fulfillment::name`].
    pub name: String,
    /// See [`Fulfillment::kind`].
    pub kind: FulfillmentKind,
}

/// A reward, as wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RewardDraft {
    /// See [`Reward::name`].
    pub name: String,
    /// What it pays.
    pub pays: RewardPaysDraft,
}

/// What a reward pays, as wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RewardPaysDraft {
    /// Points.
    Points {
        /// The name of their kind.
        kind: String,
        /// How many.
        points: Amount,
        /// See [`Reward::life_days`].
        life_days: Option<u32>,
        /// See [`Reward::pending_days`].
        pending_days: Option<u32>,
    },
    /// Money in the wallet.
    WalletCredit(Amount),
}

/// A campaign, as wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CampaignDraft {
    /// See [`Campaign::name`].
    pub name: String,
    /// The names of its fulfillments.
    pub fulfillments: Vec<String>,
    /// The names of its rewards.
    pub rewards: Vec<String>,
    /// See [`Campaign::starts_at`].
    pub starts_at: Option<Instant>,
    /// See [`Campaign::ends_at`].
    pub ends_at: Option<Instant>,
    /// See [`Campaign::completions_max`].
    pub completions_max: Option<u32>,
    /// See [`Campaign::budget`].
    pub budget: Option<u64>,
}

/// A partner, as wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartnerDraft {
    /// See [`Partner::slug`].
    pub slug: String,
    /// See [`Partner::name`].
    pub name: String,
}

/// A promo, as wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromoDraft {
    /// See [`Promo::code`].
    pub code: String,
    /// See [`Promo::quota`].
    pub quota: u64,
    /// See [`Promo::starts_at`].
    pub starts_at: Instant,
    /// See [`Promo::ends_at`].
    pub ends_at: Instant,
    /// The slug of the partner that pays; `None` means the one that sent the purchase.
    pub funded_by: Option<String>,
    /// The bands.
    pub bands: Vec<BandDraft>,
}

/// A band, as wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BandDraft {
    /// See [`PromoBand::quantity`].
    pub quantity: u32,
    /// See [`PromoBand::or_more`].
    pub or_more: bool,
    /// See [`PromoBand::amount_min`].
    pub amount_min: Amount,
    /// See [`PromoBand::amount_end`].
    pub amount_end: Option<Amount>,
    /// See [`PromoBand::percent`].
    pub percent: Percent,
}

/// A tier programme, as wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramDraft {
    /// See [`TierProgram::name`].
    pub name: String,
    /// How a customer moves, and between which levels.
    pub policy: PolicyDraft,
    /// Which levels are present ones under another name.
    pub renames: Vec<LevelRename>,
}

/// A level that stays what it is under another name: nobody moves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LevelRename {
    /// The name that it has, or had before it was renamed.
    pub from: String,
    /// The name that is wanted.
    pub to: String,
}

/// How a customer moves, as wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyDraft {
    /// By count and gaps.
    Journey(JourneyDraft),
    /// By all that was ever spent: name and bound of each level, the lowest first.
    Threshold(Vec<(String, Amount)>),
}

/// A Journey programme's rules, as wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JourneyDraft {
    /// See [`Journey::downgrade_after_days`].
    pub downgrade_after_days: u32,
    /// See [`Journey::reset_after_days`].
    pub reset_after_days: u32,
    /// See [`Journey::at_maximum`].
    pub at_maximum: AtMaximum,
    /// The levels, the lowest first.
    pub levels: Vec<LevelDraft>,
}

/// A level of a Journey programme, as wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LevelDraft {
    /// See [`JourneyLevel::name`].
    pub name: String,
    /// See [`JourneyLevel::count_max`].
    pub count_max: u32,
    /// The name of the level above; `None` means the one that follows in the list, itself at the top.
    pub next: Option<String>,
    /// The name of the level below; `None` means the one before in the list, itself at the bottom.
    pub previous: Option<String>,
    /// Count and points of each milestone.
    pub milestones: Vec<(u32, Amount)>,
}

/// What the desk knows beside the present version.
#[derive(Clone, Copy, Debug)]
pub struct Numbering {
    /// The tenant's id, or the one that a new tenant gets.
    pub tenant: TenantId,
    /// The id that the next new partner gets.
    pub next_partner: PartnerId,
    /// True once a wallet of the tenant was moved: its currency cannot change any more.
    pub currency_is_fixed: bool,
}

fn invalid(place: impl Into<String>, problem: impl Into<String>) -> CatalogueRejection {
    CatalogueRejection::Invalid { place: place.into(), problem: problem.into() }
}

/// Returns the text of the first name that stands twice.
fn first_twin<'a>(names: impl Iterator<Item = &'a str>, fold: fn(&str) -> String) -> Option<String> {
    let mut names: Vec<String> = names.map(fold).collect();
    names.sort();
    names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0].clone())
}

/// Gives ids to rules: the old one where there is one, else the next.
struct Ids {
    next: u32,
}

impl Ids {
    fn keep_or_next(&mut self, kept: Option<RuleId>) -> RuleId {
        kept.unwrap_or_else(|| {
            let id = RuleId(self.next);
            self.next += 1;
            id
        })
    }
}

impl CatalogueDraft {
    /// Makes this the version that follows `present`.
    ///
    /// # Errors
    ///
    /// [`CatalogueRejection::Invalid`] with the first place that is wrong.
    pub fn resolve(&self, present: Option<&Catalogue>, numbering: Numbering) -> Result<Catalogue, CatalogueRejection> {
        self.check_tenant(present, numbering)?;
        let partners = self.resolve_partners(present, numbering)?;
        let mut ids = Ids { next: present.map_or(1, |present| present.next_rule.0) };
        let promos = self.resolve_promos(present, &partners, &mut ids)?;
        let programs = self.resolve_programs(present, &mut ids)?;
        let earning = self.earning.resolve(present, &partners, &mut ids)?;
        let risk_rules = risk::resolve(&self.risk_rules, present, &mut ids)?;
        Ok(Catalogue {
            tenant: numbering.tenant,
            version: present.map_or(1, |present| present.version + 1),
            slug: self.slug.clone(),
            name: self.name.clone(),
            currency: self.currency,
            timezone: self.timezone.clone(),
            clock: self.clock,
            unknown_customer: self.unknown_customer,
            unknown_promo: self.unknown_promo,
            partners,
            promos,
            programs,
            point_kinds: earning.point_kinds,
            cashback_rules: earning.cashback_rules,
            fulfillments: earning.fulfillments,
            rewards: earning.rewards,
            campaigns: earning.campaigns,
            offers: earning.offers,
            next_rule: RuleId(ids.next),
            refunds: self.refunds,
            risk_rules,
            external_ids: earning.external_ids,
            descriptions: earning.descriptions,
        })
    }

    fn check_tenant(&self, present: Option<&Catalogue>, numbering: Numbering) -> Result<(), CatalogueRejection> {
        if !is_slug(&self.slug) {
            return Err(invalid("tenant.slug", "must be 1 to 64 of a-z, 0-9 and '-'"));
        }
        let currency_changes = present.is_some_and(|present| present.currency != self.currency);
        if currency_changes && numbering.currency_is_fixed {
            return Err(invalid("tenant.currency", "cannot change once a wallet was moved or an invoice opened"));
        }
        if 4 < self.currency.exponent {
            return Err(invalid("tenant.currency_exponent", "must be 0 to 4"));
        }
        self.check_size()
    }

    fn check_size(&self) -> Result<(), CatalogueRejection> {
        let bands: usize = self.promos.iter().map(|promo| 1 + promo.bands.len()).sum();
        let steps: usize = self.programs.iter().map(ProgramDraft::rules).sum();
        if RULES_MAX < bands + steps + self.earning.rules() + self.risk_rules.len() {
            return Err(invalid("tenant", format!("has more than {RULES_MAX} rules in all")));
        }
        if PARTNERS_MAX < self.partners.len() {
            return Err(invalid("partners", format!("are more than {PARTNERS_MAX}")));
        }
        self.names().try_for_each(|(place, name)| {
            if NAME_BYTES_MAX < name.len() {
                return Err(invalid(place, format!("a name is longer than {NAME_BYTES_MAX} bytes: {name}")));
            }
            // A name is printed in logs and on terminals, which take them for orders.
            if name.contains(char::is_control) {
                return Err(invalid(place, format!("a name has a control character: {name:?}")));
            }
            Ok(())
        })
    }

    /// Lists everything that is called something, with its place. In a place, control characters stand escaped.
    fn names(&self) -> impl Iterator<Item = (String, &str)> {
        let own = [("tenant.name", &self.name), ("tenant.timezone", &self.timezone)];
        let own = own.into_iter().map(|(place, name)| (place.to_string(), name.as_str()));
        let partners = self.partners.iter().map(|partner| (format!("partners[{}].name", partner.slug), &*partner.name));
        let promos = self.promos.iter().map(|promo| (format!("promos[{}]", promo.code.escape_debug()), &*promo.code));
        let levels = self.programs.iter().flat_map(|program| {
            let place = format!("tier_programs[{}]", program.name.escape_debug());
            let level = format!("{place}.levels");
            let levels = program.level_names().map(move |name| (format!("{level}[{}]", name.escape_debug()), &**name));
            core::iter::once((place, &*program.name)).chain(levels)
        });
        let risk = self.risk_rules.iter();
        let risk = risk.map(|rule| (format!("risk_rules[{}]", rule.name.escape_debug()), &*rule.name));
        own.chain(partners).chain(promos).chain(levels).chain(self.earning.names()).chain(risk)
    }

    fn resolve_partners(
        &self,
        present: Option<&Catalogue>,
        numbering: Numbering,
    ) -> Result<Vec<Partner>, CatalogueRejection> {
        if let Some(twin) = first_twin(self.partners.iter().map(|partner| partner.slug.as_str()), str::to_string) {
            return Err(invalid(format!("partners[{twin}]"), "stands twice"));
        }
        if let Some(bad) = self.partners.iter().find(|partner| !is_slug(&partner.slug)) {
            return Err(invalid(format!("partners[{}]", bad.slug), "the slug must be 1 to 64 of a-z, 0-9 and '-'"));
        }
        let before = present.map_or(&[][..], |present| present.partners.as_slice());
        let is_gone = |old: &&Partner| !self.partners.iter().any(|partner| partner.slug == old.slug);
        if let Some(gone) = before.iter().find(is_gone) {
            return Err(invalid(format!("partners[{}]", gone.slug), "cannot be removed: its purchases name it"));
        }
        let mut next = numbering.next_partner.0;
        let mut partners: Vec<Partner> = Vec::with_capacity(self.partners.len());
        for wanted in &self.partners {
            let kept = before.iter().find(|partner| partner.slug == wanted.slug).map(|partner| partner.id);
            let id = kept.unwrap_or_else(|| {
                next += 1;
                PartnerId(next - 1)
            });
            partners.push(Partner { id, slug: wanted.slug.clone(), name: wanted.name.clone() });
        }
        partners.sort_by_key(|partner| partner.id);
        Ok(partners)
    }

    fn resolve_promos(
        &self,
        present: Option<&Catalogue>,
        partners: &[Partner],
        ids: &mut Ids,
    ) -> Result<Vec<Promo>, CatalogueRejection> {
        if let Some(twin) = first_twin(self.promos.iter().map(|promo| promo.code.as_str()), str::to_string) {
            return Err(invalid(format!("promos[{twin}]"), "stands twice"));
        }
        let mut promos = Vec::with_capacity(self.promos.len());
        for wanted in &self.promos {
            let old = present.and_then(|present| present.promo_by_code(&wanted.code));
            promos.push(wanted.resolve(old, partners, ids)?);
        }
        promos.sort_by(|left, right| left.code.cmp(&right.code));
        Ok(promos)
    }

    fn resolve_programs(
        &self,
        present: Option<&Catalogue>,
        ids: &mut Ids,
    ) -> Result<Vec<TierProgram>, CatalogueRejection> {
        if let Some(twin) = first_twin(self.programs.iter().map(|program| program.name.as_str()), str::to_lowercase) {
            return Err(invalid(format!("tier_programs[{twin}]"), "stands twice"));
        }
        let before = present.map_or(&[][..], |present| present.programs.as_slice());
        let is_gone = |old: &&TierProgram| !self.programs.iter().any(|program| program.name == old.name);
        if let Some(gone) = before.iter().find(is_gone) {
            return Err(invalid(format!("tier_programs[{}]", gone.name), "cannot be removed: customers stand in it"));
        }
        let mut programs = Vec::with_capacity(self.programs.len());
        for wanted in &self.programs {
            let old = before.iter().find(|program| program.name == wanted.name);
            programs.push(wanted.resolve(old, ids)?);
        }
        programs.sort_by_key(|program| program.id);
        Ok(programs)
    }
}

impl PromoDraft {
    fn resolve(&self, old: Option<&Promo>, partners: &[Partner], ids: &mut Ids) -> Result<Promo, CatalogueRejection> {
        let place = || format!("promos[{}]", self.code);
        if self.code.is_empty() || 64 < self.code.len() {
            return Err(invalid(place(), "the code must have 1 to 64 bytes"));
        }
        if QUOTA_MAX < self.quota {
            return Err(invalid(format!("promos[{}].quota", self.code), format!("must be at most {QUOTA_MAX}")));
        }
        if self.ends_at < self.starts_at {
            return Err(invalid(place(), "the period ends before it starts"));
        }
        let funded_by = match &self.funded_by {
            None => None,
            Some(slug) => {
                let payer = partners.iter().find(|partner| partner.slug == *slug);
                let payer = payer.ok_or_else(|| invalid(place(), format!("funded_by names no partner: {slug}")))?;
                Some(payer.id)
            }
        };
        let id = ids.keep_or_next(old.map(|promo| promo.id));
        let mut bands = Vec::with_capacity(self.bands.len());
        for (index, wanted) in self.bands.iter().enumerate() {
            let is_same = |band: &&PromoBand| band.quantity == wanted.quantity && band.amount_min == wanted.amount_min;
            let kept = old.and_then(|promo| promo.bands.iter().find(is_same)).map(|band| band.id);
            if wanted.quantity == 0 || wanted.amount_end.is_some_and(|end| end <= wanted.amount_min) {
                return Err(invalid(
                    format!("promos[{}].bands[{index}]", self.code),
                    "the quantity must be at least 1 and amount_end above amount_min",
                ));
            }
            let band = PromoBand {
                id: ids.keep_or_next(kept),
                quantity: wanted.quantity,
                or_more: wanted.or_more,
                amount_min: wanted.amount_min,
                amount_end: wanted.amount_end,
                percent: wanted.percent,
            };
            if let Some(other) = bands.iter().position(|other: &PromoBand| other.overlaps(&band)) {
                return Err(invalid(
                    format!("promos[{}].bands[{index}]", self.code),
                    format!("overlaps with bands[{other}]: a purchase would meet both"),
                ));
            }
            bands.push(band);
        }
        Ok(Promo {
            id,
            code: self.code.clone(),
            quota: self.quota,
            starts_at: self.starts_at,
            ends_at: self.ends_at,
            funded_by,
            bands,
        })
    }
}

impl ProgramDraft {
    /// Counts the rules that it is made of: itself, its levels and their milestones.
    fn rules(&self) -> usize {
        1 + match &self.policy {
            PolicyDraft::Journey(journey) => journey.levels.iter().map(|level| 1 + level.milestones.len()).sum(),
            PolicyDraft::Threshold(levels) => levels.len(),
        }
    }

    fn level_names(&self) -> impl Iterator<Item = &String> {
        let (journey, threshold) = match &self.policy {
            PolicyDraft::Journey(journey) => (journey.levels.as_slice(), &[][..]),
            PolicyDraft::Threshold(levels) => (&[][..], levels.as_slice()),
        };
        journey.iter().map(|level| &level.name).chain(threshold.iter().map(|(name, _)| name))
    }

    fn resolve(&self, old: Option<&TierProgram>, ids: &mut Ids) -> Result<TierProgram, CatalogueRejection> {
        let place = || format!("tier_programs[{}]", self.name);
        if self.name.is_empty() || self.level_names().next().is_none() {
            return Err(invalid(place(), "needs a name and at least one level"));
        }
        if let Some(twin) = first_twin(self.level_names().map(String::as_str), str::to_lowercase) {
            return Err(invalid(format!("tier_programs[{}].levels[{twin}]", self.name), "stands twice"));
        }
        let id = ids.keep_or_next(old.map(|program| program.id));
        let origins = self.origins(old)?;
        let policy = match (&self.policy, old.map(|old| &old.policy)) {
            (PolicyDraft::Journey(journey), None) => {
                TierPolicy::Journey(self.resolve_journey(journey, &[], &origins, ids)?)
            }
            (PolicyDraft::Journey(journey), Some(TierPolicy::Journey(old))) => {
                TierPolicy::Journey(self.resolve_journey(journey, &old.levels, &origins, ids)?)
            }
            (PolicyDraft::Threshold(levels), None) => {
                TierPolicy::Threshold(self.resolve_threshold(levels, &[], &origins, ids)?)
            }
            (PolicyDraft::Threshold(levels), Some(TierPolicy::Threshold(old))) => {
                TierPolicy::Threshold(self.resolve_threshold(levels, &old.levels, &origins, ids)?)
            }
            (PolicyDraft::Journey(_) | PolicyDraft::Threshold(_), Some(_)) => {
                return Err(invalid(place(), "the policy cannot change: customers stand in it; add another programme"));
            }
        };
        Ok(TierProgram { id, name: self.name.clone(), policy })
    }

    /// Finds the place of each level's present one, if it has one.
    fn origins(&self, old: Option<&TierProgram>) -> Result<Vec<Option<usize>>, CatalogueRejection> {
        let wanted: Vec<&str> = self.level_names().map(String::as_str).collect();
        let present: Vec<&str> = old.into_iter().flat_map(TierProgram::levels).map(|(_, name)| name).collect();
        renames::origins(&wanted, &self.renames, &present).map_err(|(level, problem)| {
            invalid(format!("tier_programs[{}].levels[{level}].renamed_from", self.name), problem)
        })
    }

    fn resolve_journey(
        &self,
        wanted: &JourneyDraft,
        before: &[JourneyLevel],
        origins: &[Option<usize>],
        ids: &mut Ids,
    ) -> Result<Journey, CatalogueRejection> {
        if wanted.reset_after_days < wanted.downgrade_after_days {
            let place = format!("tier_programs[{}]", self.name);
            return Err(invalid(place, "reset_after_days must not be below downgrade_after_days"));
        }
        let old_levels: Vec<Option<&JourneyLevel>> =
            origins.iter().map(|origin| origin.and_then(|at| before.get(at))).collect();
        let level_ids: Vec<RuleId> = old_levels.iter().map(|old| ids.keep_or_next(old.map(|old| old.id))).collect();
        let find = |name: &str| wanted.levels.iter().position(|level| level.name == name).map(|at| level_ids[at]);
        let mut levels = Vec::with_capacity(wanted.levels.len());
        for (index, own) in wanted.levels.iter().enumerate() {
            let place = || format!("tier_programs[{}].levels[{}]", self.name, own.name);
            let neighbour = |name: &Option<String>, implied: usize| match name {
                Some(name) => find(name).ok_or_else(|| invalid(place(), format!("names no level: {name}"))),
                None => Ok(level_ids[implied]),
            };
            let next = neighbour(&own.next, (index + 1).min(wanted.levels.len() - 1))?;
            let previous = neighbour(&own.previous, index.saturating_sub(1))?;
            let milestones = own.resolve_milestones(old_levels[index], ids, place)?;
            let (name, count_max) = (own.name.clone(), own.count_max);
            levels.push(JourneyLevel { id: level_ids[index], name, count_max, next, previous, milestones });
        }
        self.check_ways(&levels)?;
        Ok(Journey {
            downgrade_after_days: wanted.downgrade_after_days,
            reset_after_days: wanted.reset_after_days,
            at_maximum: wanted.at_maximum,
            levels,
        })
    }

    fn resolve_threshold(
        &self,
        wanted: &[(String, Amount)],
        before: &[ThresholdLevel],
        origins: &[Option<usize>],
        ids: &mut Ids,
    ) -> Result<Threshold, CatalogueRejection> {
        let mut levels: Vec<ThresholdLevel> = Vec::with_capacity(wanted.len());
        for ((name, spent_min), origin) in wanted.iter().zip(origins) {
            let place = || format!("tier_programs[{}].levels[{name}]", self.name);
            if name.is_empty() {
                return Err(invalid(place(), "needs a name"));
            }
            if levels.last().is_some_and(|below| *spent_min <= below.spent_min) {
                let problem = "spent_min must be above that of the level below: no customer can ever stand there";
                return Err(invalid(place(), problem));
            }
            let kept = origin.and_then(|at| before.get(at)).map(|level| level.id);
            levels.push(ThresholdLevel { id: ids.keep_or_next(kept), name: name.clone(), spent_min: *spent_min });
        }
        Ok(Threshold { levels })
    }
}

impl ProgramDraft {
    /// Checks that up leads up, down leads down, and that somebody can stand on every level one day.
    fn check_ways(&self, levels: &[JourneyLevel]) -> Result<(), CatalogueRejection> {
        let at = |id: RuleId| levels.iter().position(|level| level.id == id).unwrap_or(0);
        let mut reached: Vec<usize> = levels.first().map(|_| 0).into_iter().collect();
        let mut looked_at = 0;
        while let Some(&index) = reached.get(looked_at) {
            looked_at += 1;
            for way in [levels[index].next, levels[index].previous].map(at) {
                if !reached.contains(&way) {
                    reached.push(way);
                }
            }
        }
        for (index, level) in levels.iter().enumerate() {
            let place = || format!("tier_programs[{}].levels[{}]", self.name, level.name);
            if at(level.next) < index {
                return Err(invalid(place(), "next must name a level above it, or itself at the top"));
            }
            if index < at(level.previous) {
                return Err(invalid(place(), "previous must name a level below it, or itself at the bottom"));
            }
            if !reached.contains(&index) {
                return Err(invalid(place(), "no way leads there: no customer can ever reach it"));
            }
        }
        Ok(())
    }
}

impl LevelDraft {
    fn resolve_milestones(
        &self,
        old: Option<&JourneyLevel>,
        ids: &mut Ids,
        place: impl Fn() -> String,
    ) -> Result<Vec<Milestone>, CatalogueRejection> {
        if self.name.is_empty() || self.count_max == 0 {
            return Err(invalid(place(), "needs a name and a count_max of at least 1"));
        }
        let mut milestones: Vec<Milestone> = Vec::with_capacity(self.milestones.len());
        for &(at_count, points) in &self.milestones {
            if at_count == 0 || self.count_max < at_count || points.is_zero() {
                let problem = format!("a milestone must lie at 1 to {} and pay something", self.count_max);
                return Err(invalid(place(), problem));
            }
            if milestones.iter().any(|other| other.at_count == at_count) {
                return Err(invalid(place(), format!("has two milestones at {at_count}")));
            }
            let kept = old.and_then(|level| level.milestone_at(at_count)).map(|milestone| milestone.id);
            milestones.push(Milestone { id: ids.keep_or_next(kept), at_count, points });
        }
        milestones.sort_by_key(|milestone| milestone.at_count);
        Ok(milestones)
    }
}

fn is_slug(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.len() <= 64 && text.bytes().all(fits)
}
