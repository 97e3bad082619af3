//! What a change of the rules changed, in words. For people: nothing is decided by it.

use std::fmt::Display;

use kembali_core::catalogue::{Catalogue, Journey, JourneyLevel, Promo, PromoBand, TierPolicy, TierProgram};
use kembali_core::{Percent, RuleId};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::wire::catalogue_view::file_of;
use crate::wire::instant::Rfc3339;

/// Lists the changes from `before` to `after`; empty when there is none.
pub(super) fn changes(before: Option<&Catalogue>, after: &Catalogue) -> Vec<String> {
    let Some(before) = before else { return vec![format!("tenant {}: created", after.slug)] };
    let mut log = Log { lines: Vec::new() };
    let tenant = format!("tenant {}", after.slug);
    log.field(&tenant, "name", &before.name, &after.name);
    log.field(&tenant, "currency", before.currency.code.as_str(), after.currency.code.as_str());
    log.field(&tenant, "currency_exponent", &before.currency.exponent, &after.currency.exponent);
    log.field(&tenant, "timezone", &before.timezone, &after.timezone);
    log.debug_field(&tenant, "clock", &before.clock, &after.clock);
    log.debug_field(&tenant, "unknown_customer", &before.unknown_customer, &after.unknown_customer);
    log.debug_field(&tenant, "unknown_promo", &before.unknown_promo, &after.unknown_promo);
    let (old, new) = (before.refunds, after.refunds);
    log.debug_field("refunds", "tier", &old.tier, &new.tier);
    log.debug_field("refunds", "quota", &old.quota, &new.quota);
    log.debug_field("refunds", "rewards", &old.rewards, &new.rewards);
    log.debug_field("refunds", "negative_balance", &old.negative_balance, &new.negative_balance);
    for partner in &after.partners {
        let place = format!("partner {}", partner.slug);
        match before.partner_by_slug(&partner.slug) {
            Some(own) => log.field(&place, "name", &own.name, &partner.name),
            None => log.add(&place, "added"),
        }
    }
    for own in before.promos.iter().filter(|own| after.promo_by_code(&own.code).is_none()) {
        log.add(&format!("promo {}", own.code), "removed");
    }
    for promo in &after.promos {
        match before.promo_by_code(&promo.code) {
            Some(own) => log.promo(before, own, after, promo),
            None => log.add(&format!("promo {}", promo.code), "added"),
        }
    }
    for program in &after.programs {
        match before.programs.iter().find(|own| own.name == program.name) {
            Some(own) => log.program(own, program),
            None => log.add(&format!("tier programme {}", program.name), "added"),
        }
    }
    // These are compared as people write them, so that one rule names another by its name.
    let (old, new) = (file_of(before), file_of(after));
    log.list(
        "point kind",
        [(&before.point_kinds, &old.point_kinds), (&after.point_kinds, &new.point_kinds)],
        |own| own.id,
        String::as_str,
    );
    log.list(
        "cashback rule",
        [(&before.cashback_rules, &old.cashback_rules), (&after.cashback_rules, &new.cashback_rules)],
        |own| own.id,
        |own| &own.name,
    );
    log.list(
        "fulfillment",
        [(&before.fulfillments, &old.fulfillments), (&after.fulfillments, &new.fulfillments)],
        |own| own.id,
        |own| &own.name,
    );
    log.list(
        "reward",
        [(&before.rewards, &old.rewards), (&after.rewards, &new.rewards)],
        |own| own.id,
        |own| &own.name,
    );
    log.list(
        "campaign",
        [(&before.campaigns, &old.campaigns), (&after.campaigns, &new.campaigns)],
        |own| own.id,
        |own| &own.name,
    );
    log.list("offer", [(&before.offers, &old.offers), (&after.offers, &new.offers)], |own| own.id, |own| &own.name);
    let (old, new) = (&before.risk_rules, &after.risk_rules);
    log.list("risk rule", [(old, old), (new, new)], |own| own.id, |own| &own.name);
    // Whatever has no words of its own above is still a change.
    if log.lines.is_empty() && before.version != after.version {
        log.add(&tenant, "order of the rules changed");
    }
    log.lines
}

struct Log {
    lines: Vec<String>,
}

impl Log {
    fn add(&mut self, place: &str, change: &str) {
        self.lines.push(format!("{place}: {change}"));
    }

    fn field<T: Display + PartialEq + ?Sized>(&mut self, place: &str, name: &str, before: &T, after: &T) {
        if before != after {
            self.add(place, &format!("{name} {before} -> {after}"));
        }
    }

    fn debug_field<T: std::fmt::Debug + PartialEq>(&mut self, place: &str, name: &str, before: &T, after: &T) {
        if before != after {
            self.add(place, &format!("{name} {before:?} -> {after:?}"));
        }
    }

    fn promo(&mut self, before: &Catalogue, own: &Promo, after: &Catalogue, promo: &Promo) {
        let place = format!("promo {}", promo.code);
        self.field(&place, "quota", &own.quota, &promo.quota);
        let at = |instant| Rfc3339(instant).to_string();
        self.field(&place, "starts_at", &at(own.starts_at), &at(promo.starts_at));
        self.field(&place, "ends_at", &at(own.ends_at), &at(promo.ends_at));
        let payer = |catalogue: &Catalogue, promo: &Promo| {
            let partner = promo.funded_by.and_then(|id| catalogue.partner(id));
            partner.map_or_else(|| "the sender".to_owned(), |partner| partner.slug.clone())
        };
        self.field(&place, "funded_by", &payer(before, own), &payer(after, promo));
        let twin = |bands: &[PromoBand], band: &PromoBand| bands.iter().find(|other| other.id == band.id).cloned();
        for band in own.bands.iter().filter(|band| twin(&promo.bands, band).is_none()) {
            self.add(&place, &format!("band {} removed", band_text(band)));
        }
        for band in &promo.bands {
            match twin(&own.bands, band) {
                None => self.add(&place, &format!("band {} added", band_text(band))),
                Some(old) if old != *band => {
                    self.add(&place, &format!("band {} -> {}", band_text(&old), band_text(band)));
                }
                Some(_) => (),
            }
        }
    }

    fn program(&mut self, own: &TierProgram, program: &TierProgram) {
        let place = format!("tier programme {}", program.name);
        match (&own.policy, &program.policy) {
            (TierPolicy::Journey(old), TierPolicy::Journey(new)) => {
                self.levels(&place, own, program);
                self.journey(&place, old, new);
            }
            (TierPolicy::Threshold(old), TierPolicy::Threshold(new)) => {
                self.levels(&place, own, program);
                for level in &new.levels {
                    let place = format!("{place}, level {}", level.name);
                    match old.level(level.id) {
                        Some(before) => {
                            let (before, after) = (before.spent_min.minor_units(), level.spent_min.minor_units());
                            self.field(&place, "spent_min", &before, &after);
                        }
                        None => self.add(&place, "added"),
                    }
                }
            }
            // Refused before; said all the same should that change.
            (TierPolicy::Journey(_), TierPolicy::Threshold(_)) | (TierPolicy::Threshold(_), TierPolicy::Journey(_)) => {
                self.add(&place, "policy changed");
            }
        }
    }

    /// Says which levels go, whose customers are placed anew, and which are called something else.
    fn levels(&mut self, place: &str, own: &TierProgram, program: &TierProgram) {
        for (id, name) in own.levels() {
            match program.level_name(id) {
                None => self.add(&format!("{place}, level {name}"), "removed; its customers are placed anew"),
                Some(new) if new != name => self.add(&format!("{place}, level {name}"), &format!("renamed to {new}")),
                Some(_) => (),
            }
        }
    }

    fn journey(&mut self, place: &str, own: &Journey, program: &Journey) {
        self.field(place, "downgrade_after_days", &own.downgrade_after_days, &program.downgrade_after_days);
        self.field(place, "reset_after_days", &own.reset_after_days, &program.reset_after_days);
        self.debug_field(place, "at_maximum", &own.at_maximum, &program.at_maximum);
        for level in &program.levels {
            let place = format!("{place}, level {}", level.name);
            match own.level(level.id) {
                Some(old) => self.level(&place, own, old, program, level),
                None => self.add(&place, "added"),
            }
        }
    }

    /// Compares two lists of rules, given with their ids, and each rule member by member. A name that changed is a member.
    fn list<R, T: Serialize>(
        &mut self,
        what: &str,
        lists: [(&Vec<R>, &Vec<T>); 2],
        id: fn(&R) -> RuleId,
        name: fn(&T) -> &str,
    ) {
        let with_ids = |(rules, written): (&Vec<R>, _)| rules.iter().map(id).zip(written).collect::<Vec<_>>();
        let [before, after] = lists.map(with_ids);
        for (_, gone) in before.iter().filter(|(gone, _)| !after.iter().any(|(own, _)| own == gone)) {
            self.add(&format!("{what} {}", name(gone)), "removed");
        }
        for (id, own) in after {
            let place = format!("{what} {}", name(own));
            match before.iter().find(|(old, _)| *old == id) {
                None => self.add(&place, "added"),
                Some((_, old)) => self.members(&place, &members_of(old), &members_of(own)),
            }
        }
    }

    fn members(&mut self, place: &str, before: &Map<String, Value>, after: &Map<String, Value>) {
        let text = |members: &Map<String, Value>, name: &str| match members.get(name) {
            None => "none".to_owned(),
            Some(Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
        };
        let gone = before.keys().filter(|name| !after.contains_key(*name));
        for name in after.keys().chain(gone) {
            self.field(place, name, &text(before, name), &text(after, name));
        }
    }

    fn level(&mut self, place: &str, own: &Journey, old: &JourneyLevel, program: &Journey, level: &JourneyLevel) {
        self.field(place, "count_max", &old.count_max, &level.count_max);
        let name = |journey: &Journey, id| journey.level(id).map_or_else(String::new, |level| level.name.clone());
        self.field(place, "next", &name(own, old.next), &name(program, level.next));
        self.field(place, "previous", &name(own, old.previous), &name(program, level.previous));
        for gone in old.milestones.iter().filter(|gone| level.milestone_at(gone.at_count).is_none()) {
            self.add(place, &format!("milestone at {} removed", gone.at_count));
        }
        for milestone in &level.milestones {
            let (at, points) = (milestone.at_count, milestone.points.minor_units());
            match old.milestone_at(at) {
                None => self.add(place, &format!("milestone at {at} added: {points}")),
                Some(before) => {
                    let name = format!("milestone at {at}:");
                    self.field(place, &name, &before.points.minor_units(), &points);
                }
            }
        }
    }
}

/// A rule that is a name alone has no members.
fn members_of(rule: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(rule) {
        Ok(Value::Object(members)) => members,
        _ => Map::new(),
    }
}

fn band_text(band: &PromoBand) -> String {
    let or_more = if band.or_more { "+" } else { "" };
    let end = band.amount_end.map_or_else(String::new, |end| end.minor_units().to_string());
    let percent: Percent = band.percent;
    format!("{}{or_more} x {}..{end} at {percent} %", band.quantity, band.amount_min.minor_units())
}
