//! Cashback rules and campaigns, resolved: names become ids, and what contradicts itself is refused.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{
    CampaignDraft, CashbackDraft, EarningDraft, ExternalIdDraft, FulfillmentDraft, Identified, Ids, OfferDraft,
    RewardDraft, RewardPaysDraft,
};
use super::{QUOTA_MAX, first_twin, invalid};
use crate::catalogue::{
    Campaign, CashbackRule, Catalogue, Description, ExternalId, Fulfillment, FulfillmentKind, Offer, OfferGives,
    Partner, PointKind, Reward, RewardKind,
};
use crate::identity::RuleId;
use crate::points::{LIFE_DAYS_MAX, PENDING_DAYS_MAX};
use crate::purchase::TEXT_BYTES_MAX;
use crate::rejection::CatalogueRejection;

/// Bytes of what is said of a rule to people.
const DESCRIPTION_BYTES_MAX: usize = 1_024;

/// What an [`EarningDraft`] becomes.
pub(super) struct Earning {
    pub(super) point_kinds: Vec<PointKind>,
    pub(super) cashback_rules: Vec<CashbackRule>,
    pub(super) fulfillments: Vec<Fulfillment>,
    pub(super) rewards: Vec<Reward>,
    pub(super) campaigns: Vec<Campaign>,
    pub(super) offers: Vec<Offer>,
    pub(super) external_ids: Vec<ExternalId>,
    pub(super) descriptions: Vec<Description>,
}

/// What has a name and an id.
trait Named {
    fn id(&self) -> RuleId;
    fn name(&self) -> &str;
}

macro_rules! named {
    ($($kind:ty),*) => { $(impl Named for $kind {
        fn id(&self) -> RuleId { self.id }
        fn name(&self) -> &str { &self.name }
    })* };
}

named!(PointKind, CashbackRule, Fulfillment, Reward, Campaign, Offer);

/// Finds the id that a rule of this name had before.
fn kept<T: Named>(before: Option<&[T]>, name: &str) -> Option<RuleId> {
    before.unwrap_or_default().iter().find(|own| own.name() == name).map(Named::id)
}

/// Finds the id that each rule of a list had before: that of the rule with its external id, else of the one with its name.
fn kept_by_external_id<T: Named>(
    before: &[T],
    present: Option<&Catalogue>,
    wanted: &[(&str, Option<&str>)],
) -> Vec<Option<RuleId>> {
    let by_external_id = |(_, id): &(&str, Option<&str>)| {
        let is_same = |own: &&T| id.is_some() && present.and_then(|present| present.external_id(own.id())) == *id;
        before.iter().find(is_same).map(Named::id)
    };
    let found: Vec<Option<RuleId>> = wanted.iter().map(by_external_id).collect();
    // A rule that goes on under another name leaves its old one to whoever takes it.
    let by_name = |name: &str| kept(Some(before), name).filter(|id| !found.contains(&Some(*id)));
    found.iter().zip(wanted).map(|(found, (name, _))| found.or_else(|| by_name(name))).collect()
}

/// Finds the id of a rule by its name.
fn named<T: Named>(all: &[T], name: &str, place: &str, member: &str) -> Result<RuleId, CatalogueRejection> {
    let found = all.iter().find(|own| own.name() == name).map(Named::id);
    found.ok_or_else(|| invalid(format!("{place}.{member}"), format!("names nothing that is there: {name}")))
}

/// Checks the names of one list: there, and each once.
fn check_names<'a>(list: &str, names: impl Iterator<Item = &'a str> + Clone) -> Result<(), CatalogueRejection> {
    if names.clone().any(str::is_empty) {
        return Err(invalid(format!("{list}[]"), "needs a name"));
    }
    match first_twin(names, str::to_string) {
        Some(twin) => Err(invalid(format!("{list}[{twin}]"), "stands twice")),
        None => Ok(()),
    }
}

fn check_life(life_days: Option<u32>, pending_days: Option<u32>, place: &str) -> Result<(), CatalogueRejection> {
    if life_days.is_some_and(|days| !(1..=LIFE_DAYS_MAX).contains(&days)) {
        return Err(invalid(format!("{place}.life_days"), format!("must be 1 to {LIFE_DAYS_MAX}")));
    }
    if pending_days.is_some_and(|days| !(1..=PENDING_DAYS_MAX).contains(&days)) {
        return Err(invalid(format!("{place}.pending_days"), format!("must be 1 to {PENDING_DAYS_MAX}")));
    }
    if life_days.zip(pending_days).is_some_and(|(life, pending)| life <= pending) {
        return Err(invalid(
            format!("{place}.pending_days"),
            "must be fewer than life_days: they would expire unspent",
        ));
    }
    Ok(())
}

fn sorted<T: Named>(mut all: Vec<T>) -> Vec<T> {
    all.sort_by_key(Named::id);
    all
}

impl EarningDraft {
    /// Counts the rules that it is made of.
    pub(super) fn rules(&self) -> usize {
        let products: usize = self.cashback_rules.iter().map(|rule| 1 + rule.products.len()).sum();
        let sets: usize = self.campaigns.iter().map(|own| 1 + own.fulfillments.len() + own.rewards.len()).sum();
        self.point_kinds.len() + products + self.fulfillments.len() + self.rewards.len() + sets + self.offers.len()
    }

    /// Lists everything that is called something, with its place.
    pub(super) fn names(&self) -> impl Iterator<Item = (String, &str)> {
        let kinds = self.point_kinds.iter().map(|name| ("point_kinds", name));
        let rules = self.cashback_rules.iter().map(|rule| ("cashback_rules", &rule.name));
        let fulfillments = self.fulfillments.iter().map(|own| ("fulfillments", &own.name));
        let rewards = self.rewards.iter().map(|own| ("rewards", &own.name));
        let campaigns = self.campaigns.iter().map(|own| ("campaigns", &own.name));
        let offers = self.offers.iter().map(|own| ("offers", &own.name));
        let all = kinds.chain(rules).chain(fulfillments).chain(rewards).chain(campaigns).chain(offers);
        let named = all.map(|(list, name)| (format!("{list}[{}]", name.escape_debug()), name.as_str()));
        named.chain(self.external_ids.iter().map(|own| (own.place(), own.id.as_str())))
    }

    pub(super) fn resolve(
        &self,
        present: Option<&Catalogue>,
        partners: &[Partner],
        ids: &mut Ids,
    ) -> Result<Earning, CatalogueRejection> {
        check_names("point_kinds", self.point_kinds.iter().map(String::as_str))?;
        check_names("cashback_rules", self.cashback_rules.iter().map(|own| own.name.as_str()))?;
        check_names("fulfillments", self.fulfillments.iter().map(|own| own.name.as_str()))?;
        check_names("rewards", self.rewards.iter().map(|own| own.name.as_str()))?;
        check_names("campaigns", self.campaigns.iter().map(|own| own.name.as_str()))?;
        check_names("offers", self.offers.iter().map(|own| own.name.as_str()))?;
        let before = present.map(|present| present.point_kinds.as_slice());
        let is_gone = |old: &&PointKind| !self.point_kinds.contains(&old.name);
        if let Some(gone) = before.unwrap_or_default().iter().find(is_gone) {
            let place = format!("point_kinds[{}]", gone.name);
            return Err(invalid(place, "cannot be removed: customers hold points of it"));
        }
        let kind = |name: &String| PointKind { id: ids.keep_or_next(kept(before, name)), name: name.clone() };
        let point_kinds = sorted(self.point_kinds.iter().map(kind).collect());
        self.check_external_ids()?;
        let before = present.map_or(&[][..], |present| &present.cashback_rules);
        let kept =
            self.kept(before, present, Identified::CashbackRule, self.cashback_rules.iter().map(|own| &*own.name));
        let cashback_rules: Result<Vec<_>, _> = (self.cashback_rules.iter().zip(kept))
            .map(|(own, kept)| own.resolve(kept, partners, &point_kinds, ids))
            .collect();
        let before = present.map_or(&[][..], |present| &present.fulfillments);
        let kept = self.kept(before, present, Identified::Fulfillment, self.fulfillments.iter().map(|own| &*own.name));
        let fulfillments: Result<Vec<_>, _> =
            self.fulfillments.iter().zip(kept).map(|(own, kept)| own.resolve(kept, ids)).collect();
        let fulfillments = sorted(fulfillments?);
        let before = present.map_or(&[][..], |present| &present.rewards);
        let kept = self.kept(before, present, Identified::Reward, self.rewards.iter().map(|own| &*own.name));
        let rewards: Result<Vec<_>, _> =
            self.rewards.iter().zip(kept).map(|(own, kept)| own.resolve(kept, &point_kinds, ids)).collect();
        let rewards = sorted(rewards?);
        let before = present.map_or(&[][..], |present| &present.campaigns);
        let kept = self.kept(before, present, Identified::Campaign, self.campaigns.iter().map(|own| &*own.name));
        let campaigns: Result<Vec<_>, _> = (self.campaigns.iter().zip(kept))
            .map(|(own, kept)| own.resolve(kept, &fulfillments, &rewards, ids))
            .collect();
        let (cashback_rules, campaigns) = (sorted(cashback_rules?), sorted(campaigns?));
        let offers: Result<Vec<_>, _> = self.offers.iter().map(|own| own.resolve(present, &point_kinds, ids)).collect();
        let offers = sorted(offers?);
        let mut external_ids = Vec::with_capacity(self.external_ids.len());
        for own in &self.external_ids {
            let rule = match own.of {
                Identified::CashbackRule => named(&cashback_rules, &own.name, own.of.list(), "external_id"),
                Identified::Fulfillment => named(&fulfillments, &own.name, own.of.list(), "external_id"),
                Identified::Reward => named(&rewards, &own.name, own.of.list(), "external_id"),
                Identified::Campaign => named(&campaigns, &own.name, own.of.list(), "external_id"),
            };
            external_ids.push(ExternalId { rule: rule?, id: own.id.clone() });
        }
        external_ids.sort_by_key(|own| own.rule);
        // What is said of a rule is found by its name, which no other one has.
        let said = |rule: &CashbackRule| {
            let draft = self.cashback_rules.iter().find(|own| own.name == rule.name)?;
            Some(Description { rule: rule.id, text: draft.description.clone()? })
        };
        let descriptions = cashback_rules.iter().filter_map(said).collect();
        Ok(Earning {
            point_kinds,
            cashback_rules,
            fulfillments,
            rewards,
            campaigns,
            offers,
            external_ids,
            descriptions,
        })
    }

    fn kept<'a, T: Named>(
        &'a self,
        before: &[T],
        present: Option<&Catalogue>,
        of: Identified,
        names: impl Iterator<Item = &'a str>,
    ) -> Vec<Option<RuleId>> {
        let id_of = |name| self.external_ids.iter().find(|own| own.of == of && own.name == name).map(|own| &*own.id);
        let wanted: Vec<(&str, Option<&str>)> = names.map(|name| (name, id_of(name))).collect();
        kept_by_external_id(before, present, &wanted)
    }

    /// Checks that external ids are there, each once of rules of one kind, and one of a rule.
    fn check_external_ids(&self) -> Result<(), CatalogueRejection> {
        for (index, own) in self.external_ids.iter().enumerate() {
            let mut before = self.external_ids[..index].iter().filter(|other| other.of == own.of);
            if own.id.is_empty() {
                return Err(invalid(own.place(), "must have 1 byte or more"));
            }
            if let Some(other) = before.find(|other| other.id == own.id || other.name == own.name) {
                return Err(invalid(own.place(), format!("stands twice, here and of {}", other.name)));
            }
        }
        Ok(())
    }
}

impl Identified {
    const fn list(self) -> &'static str {
        match self {
            Identified::CashbackRule => "cashback_rules",
            Identified::Fulfillment => "fulfillments",
            Identified::Reward => "rewards",
            Identified::Campaign => "campaigns",
        }
    }
}

impl ExternalIdDraft {
    fn place(&self) -> String {
        format!("{}[{}].external_id", self.of.list(), self.name.escape_debug())
    }
}

impl CashbackDraft {
    fn resolve(
        &self,
        kept: Option<RuleId>,
        partners: &[Partner],
        kinds: &[PointKind],
        ids: &mut Ids,
    ) -> Result<CashbackRule, CatalogueRejection> {
        let place = format!("cashback_rules[{}]", self.name);
        let is_wrong = |text: &str| text.chars().any(|letter| letter.is_control() && letter != '\n');
        if let Some(text) = &self.description
            && (text.is_empty() || DESCRIPTION_BYTES_MAX < text.len() || is_wrong(text))
        {
            let problem =
                format!("must have 1 to {DESCRIPTION_BYTES_MAX} bytes, and no control character but line feeds");
            return Err(invalid(format!("{place}.description"), problem));
        }
        if let Some(twin) = first_twin(self.products.iter().map(String::as_str), str::to_string) {
            return Err(invalid(format!("{place}.products"), format!("names a product twice: {twin}")));
        }
        if let Some(bad) = self.products.iter().find(|own| own.is_empty() || TEXT_BYTES_MAX < own.len()) {
            let problem = format!("a product must have 1 to {TEXT_BYTES_MAX} bytes: {bad}");
            return Err(invalid(format!("{place}.products"), problem));
        }
        let partner = match &self.partner {
            None => None,
            Some(slug) => {
                let partner = partners.iter().find(|partner| partner.slug == *slug);
                let unknown = || invalid(format!("{place}.partner"), format!("names no partner: {slug}"));
                Some(partner.ok_or_else(unknown)?.id)
            }
        };
        let mut products = self.products.clone();
        products.sort();
        check_life(self.life_days, self.pending_days, &place)?;
        Ok(CashbackRule {
            life_days: self.life_days,
            pending_days: self.pending_days,
            pays: named(kinds, &self.pays, &place, "pays")?,
            id: ids.keep_or_next(kept),
            name: self.name.clone(),
            rate: self.rate,
            products,
            partner,
            is_active: self.is_active,
            ends_at: self.ends_at,
        })
    }
}

impl FulfillmentDraft {
    fn resolve(&self, kept: Option<RuleId>, ids: &mut Ids) -> Result<Fulfillment, CatalogueRejection> {
        let place = || format!("fulfillments[{}]", self.name);
        match &self.kind {
            FulfillmentKind::Buy { product: Some(text), .. } | FulfillmentKind::Tag { tag: text, .. }
                if text.is_empty() || TEXT_BYTES_MAX < text.len() =>
            {
                return Err(invalid(place(), format!("a product or a tag must have 1 to {TEXT_BYTES_MAX} bytes")));
            }
            FulfillmentKind::Tag { count: 0, .. } => {
                return Err(invalid(place(), "count must be at least 1"));
            }
            FulfillmentKind::Buy { amount_min, is_cumulative: true, .. } if amount_min.is_zero() => {
                return Err(invalid(place(), "a sum of at least 0 is there before anything is bought"));
            }
            FulfillmentKind::Buy { .. } | FulfillmentKind::Tag { .. } => (),
        }
        let id = ids.keep_or_next(kept);
        Ok(Fulfillment { id, name: self.name.clone(), kind: self.kind.clone() })
    }
}

impl RewardDraft {
    fn resolve(&self, kept: Option<RuleId>, kinds: &[PointKind], ids: &mut Ids) -> Result<Reward, CatalogueRejection> {
        let place = format!("rewards[{}]", self.name);
        let (kind, life_days, pending_days) = match &self.pays {
            RewardPaysDraft::Points { kind, points, life_days, pending_days } => {
                let kind = RewardKind::Points { kind: named(kinds, kind, &place, "kind")?, points: *points };
                (kind, *life_days, *pending_days)
            }
            RewardPaysDraft::WalletCredit(amount) => (RewardKind::WalletCredit { amount: *amount }, None, None),
        };
        check_life(life_days, pending_days, &place)?;
        let (RewardKind::Points { points: paid, .. } | RewardKind::WalletCredit { amount: paid }) = kind;
        if paid.is_zero() {
            return Err(invalid(place, "pays nothing"));
        }
        let id = ids.keep_or_next(kept);
        Ok(Reward { id, name: self.name.clone(), kind, life_days, pending_days })
    }
}

impl CampaignDraft {
    fn resolve(
        &self,
        kept: Option<RuleId>,
        fulfillments: &[Fulfillment],
        rewards: &[Reward],
        ids: &mut Ids,
    ) -> Result<Campaign, CatalogueRejection> {
        let place = format!("campaigns[{}]", self.name);
        if self.fulfillments.is_empty() {
            return Err(invalid(format!("{place}.fulfillments"), "needs a fulfillment: it could never be completed"));
        }
        if self.rewards.is_empty() {
            return Err(invalid(format!("{place}.rewards"), "needs a reward: it would pay nothing"));
        }
        if self.ends_at.zip(self.starts_at).is_some_and(|(ends_at, starts_at)| ends_at < starts_at) {
            return Err(invalid(format!("{place}.ends_at"), "the period ends before it starts"));
        }
        if self.completions_max == Some(0) {
            return Err(invalid(format!("{place}.completions_max"), "must be at least 1"));
        }
        if self.budget == Some(0) {
            return Err(invalid(format!("{place}.budget"), "must be at least 1"));
        }
        Ok(Campaign {
            fulfillments: ids_of(&self.fulfillments, fulfillments, &place, "fulfillments")?,
            rewards: ids_of(&self.rewards, rewards, &place, "rewards")?,
            id: ids.keep_or_next(kept),
            name: self.name.clone(),
            starts_at: self.starts_at,
            ends_at: self.ends_at,
            completions_max: self.completions_max,
            budget: self.budget,
        })
    }
}

impl OfferDraft {
    fn resolve(
        &self,
        present: Option<&Catalogue>,
        kinds: &[PointKind],
        ids: &mut Ids,
    ) -> Result<Offer, CatalogueRejection> {
        let place = format!("offers[{}]", self.name);
        if self.points.is_zero() {
            return Err(invalid(format!("{place}.points"), "must be at least 1"));
        }
        if matches!(self.gives, OfferGives::WalletCredit { amount } if amount.is_zero()) {
            return Err(invalid(format!("{place}.wallet_credit"), "must be at least 1"));
        }
        if self.stock.is_some_and(|stock| QUOTA_MAX < stock) {
            return Err(invalid(format!("{place}.stock"), format!("must be at most {QUOTA_MAX}")));
        }
        if self.ends_at.zip(self.starts_at).is_some_and(|(ends_at, starts_at)| ends_at < starts_at) {
            return Err(invalid(format!("{place}.ends_at"), "lies before starts_at"));
        }
        Ok(Offer {
            kind: named(kinds, &self.kind, &place, "kind")?,
            id: ids.keep_or_next(kept(present.map(|present| present.offers.as_slice()), &self.name)),
            name: self.name.clone(),
            points: self.points,
            gives: self.gives,
            stock: self.stock,
            is_active: self.is_active,
            starts_at: self.starts_at,
            ends_at: self.ends_at,
        })
    }
}

/// Finds the ids of several rules by their names, each named once.
fn ids_of<T: Named>(names: &[String], all: &[T], place: &str, list: &str) -> Result<Vec<RuleId>, CatalogueRejection> {
    if let Some(twin) = first_twin(names.iter().map(String::as_str), str::to_string) {
        return Err(invalid(format!("{place}.{list}"), format!("names one twice: {twin}")));
    }
    let found: Result<Vec<RuleId>, _> = names.iter().map(|name| named(all, name, place, list)).collect();
    let mut found = found?;
    found.sort_unstable();
    Ok(found)
}
