//! From the catalogue as people write it to the draft that the ledger judges.
//!
//! Only what the wire adds is checked here: times, zones, percentages, currencies. The rest is the ledger's to refuse.

use jiff::tz::TimeZone;
use jiff::{Timestamp, civil};
use kembali_core::catalogue::{AtMaximum, Currency, RuleClock, UnknownCustomer, UnknownPromo};
use kembali_core::draft::{
    BandDraft, CatalogueDraft, JourneyDraft, LevelDraft, LevelRename, PartnerDraft, PolicyDraft, ProgramDraft,
    PromoDraft,
};
use kembali_core::{Amount, CurrencyCode, Instant, Percent};
use kembali_engine::PartnerKey;

use super::catalogue::{
    AtMaximumFile, BandFile, CatalogueFile, ClockFile, LevelFile, Money, PolicyFile, PromoFile, TenantFile,
    TierProgramFile, UnknownCustomerFile, UnknownPromoFile,
};
use super::earning::earning_draft;
use super::instant::{has_leap_second, is_local, parse_rfc3339};
use super::refund::policy_of;
use super::risk::risk_drafts;

/// What is wrong with a catalogue, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct CatalogueFault {
    /// Where, such as `promos[JOURNEY2017].bands[3].percent`.
    pub place: String,
    /// What is wrong there and what would be right.
    pub problem: String,
}

pub(super) fn fault(place: impl Into<String>, problem: impl Into<String>) -> CatalogueFault {
    CatalogueFault { place: place.into(), problem: problem.into() }
}

impl CatalogueFile {
    /// Makes the draft.
    ///
    /// # Errors
    ///
    /// [`CatalogueFault`] with the first place that is wrong.
    pub fn to_draft(&self) -> Result<CatalogueDraft, CatalogueFault> {
        let TenantFile { slug, name, timezone, .. } = &self.tenant;
        let code = CurrencyCode::parse(&self.tenant.currency)
            .ok_or_else(|| fault("tenant.currency", "must be three upper-case letters (ISO 4217)"))?;
        let zone = zone_of(timezone)?;
        let promos: Result<Vec<PromoDraft>, CatalogueFault> =
            self.promos.iter().map(|promo| promo.to_draft(&zone)).collect();
        let programs: Result<Vec<ProgramDraft>, CatalogueFault> =
            self.tier_programs.iter().map(TierProgramFile::to_draft).collect();
        let partner = |partner: &super::catalogue::PartnerFile| PartnerDraft {
            slug: partner.slug.clone(),
            name: partner.name.clone(),
        };
        Ok(CatalogueDraft {
            slug: slug.clone(),
            name: name.clone(),
            currency: Currency { code, exponent: self.tenant.currency_exponent },
            timezone: timezone.clone(),
            clock: match self.tenant.clock {
                ClockFile::Received => RuleClock::Received,
                ClockFile::Occurred => RuleClock::Occurred,
            },
            unknown_customer: match self.tenant.unknown_customer {
                UnknownCustomerFile::AutoCreate => UnknownCustomer::AutoCreate,
                UnknownCustomerFile::MustExist => UnknownCustomer::MustExist,
            },
            unknown_promo: match self.tenant.unknown_promo {
                UnknownPromoFile::Refuse => UnknownPromo::Refuse,
                UnknownPromoFile::Ignore => UnknownPromo::Ignore,
            },
            partners: self.partners.iter().map(partner).collect(),
            promos: promos?,
            programs: programs?,
            earning: earning_draft(self, &zone)?,
            refunds: policy_of(self.refunds),
            risk_rules: risk_drafts(self)?,
        })
    }

    /// Returns the API keys to give. Those of a file open alone: a secret is shown once, and in no file.
    #[must_use]
    pub fn partner_keys(&self) -> Vec<PartnerKey> {
        let key = |own: &super::catalogue::PartnerFile| Some(PartnerKey::bare(&own.slug, own.api_key.clone()?));
        self.partners.iter().filter_map(key).collect()
    }
}

/// Finds a time zone by its IANA name.
pub(crate) fn zone_of(name: &str) -> Result<TimeZone, CatalogueFault> {
    TimeZone::get(name).map_err(|_| fault("tenant.timezone", format!("no time zone has this IANA name: {name}")))
}

/// Reads an instant of a period: local in `zone`, or RFC 3339 with an offset.
pub(crate) fn period_instant(text: &str, zone: &TimeZone, place: &str) -> Result<Instant, CatalogueFault> {
    if let Some(instant) = parse_rfc3339(text) {
        // A period is shown and applied again, so it must be an instant that can be shown.
        let shown = Timestamp::from_microsecond(instant.0);
        return shown.map(|_| instant).map_err(|_| fault(place, "must be before 9999-12-30T22:00:01Z"));
    }
    let form = "must be local such as 2017-01-01 00:00:00, or RFC 3339 with an offset";
    // The calendar library takes fewer digits, more spaces and leap seconds too.
    if !is_local(text) || has_leap_second(text) {
        return Err(fault(place, form));
    }
    let local = civil::DateTime::strptime("%Y-%m-%d %H:%M:%S%.f", text).map_err(|_| fault(place, form))?;
    let instant = zone.to_ambiguous_timestamp(local).unambiguous().map_err(|_| {
        fault(place, "is skipped or stands twice in the tenant's time zone; write it in RFC 3339 with an offset")
    })?;
    Ok(Instant(instant.as_microsecond()))
}

pub(super) fn amount(money: Money, place: impl FnOnce() -> String) -> Result<Amount, CatalogueFault> {
    Amount::new(money.0).ok_or_else(|| fault(place(), "must be 0 to 9007199254740991 minor units"))
}

impl PromoFile {
    /// Makes the draft of one promo, whose local times are read in `zone`.
    pub(crate) fn to_draft(&self, zone: &TimeZone) -> Result<PromoDraft, CatalogueFault> {
        let place = |field: &str| format!("promos[{}].{field}", self.code);
        Ok(PromoDraft {
            code: self.code.clone(),
            quota: self.quota,
            starts_at: period_instant(&self.starts_at, zone, &place("starts_at"))?,
            ends_at: period_instant(&self.ends_at, zone, &place("ends_at"))?,
            funded_by: self.funded_by.clone(),
            bands: bands(&self.bands, &self.code)?,
        })
    }
}

/// Makes the drafts of a promo's bands.
pub(crate) fn bands(bands: &[BandFile], code: &str) -> Result<Vec<BandDraft>, CatalogueFault> {
    let band = |(index, band): (usize, &BandFile)| {
        let place = |field: &str| format!("promos[{code}].bands[{index}].{field}");
        let percent = Percent::parse(&band.percent).ok_or_else(|| {
            fault(place("percent"), "must be 0 to 100 with at most 6 decimal places, as a string such as \"1.75\"")
        })?;
        let amount_end = band.amount_end.map(|end| amount(end, || place("amount_end"))).transpose()?;
        Ok(BandDraft {
            quantity: band.quantity,
            or_more: band.or_more,
            amount_min: amount(band.amount_min, || place("amount_min"))?,
            amount_end,
            percent,
        })
    };
    bands.iter().enumerate().map(band).collect()
}

impl TierProgramFile {
    /// Makes the draft of one programme.
    pub(crate) fn to_draft(&self) -> Result<ProgramDraft, CatalogueFault> {
        match self.policy {
            PolicyFile::Journey => self.journey_draft(),
            PolicyFile::Threshold => self.threshold_draft(),
        }
    }

    fn renames(&self) -> Vec<LevelRename> {
        let rename =
            |level: &LevelFile| Some(LevelRename { from: level.renamed_from.clone()?, to: level.name.clone() });
        self.levels.iter().filter_map(rename).collect()
    }

    fn threshold_draft(&self) -> Result<ProgramDraft, CatalogueFault> {
        let place = |field: &str| format!("tier_programs[{}].{field}", self.name);
        for (field, is_there) in [
            ("downgrade_after_days", self.downgrade_after_days.is_some()),
            ("reset_after_days", self.reset_after_days.is_some()),
            ("at_maximum", self.at_maximum.is_some()),
        ] {
            if is_there {
                return Err(fault(place(field), "is of the policy journey; leave it out"));
            }
        }
        let level = |level: &LevelFile| {
            let place = || place(&format!("levels[{}]", level.name));
            let is_plain = level.count_max.is_none() && level.next.is_none() && level.previous.is_none();
            if !is_plain || !level.milestones.is_empty() {
                return Err(fault(place(), "count_max, next, previous and milestones are of the policy journey"));
            }
            let spent_min = level.spent_min.ok_or_else(|| fault(place(), "needs spent_min"))?;
            Ok((level.name.clone(), amount(spent_min, || format!("{}.spent_min", place()))?))
        };
        let levels: Result<Vec<(String, Amount)>, CatalogueFault> = self.levels.iter().map(level).collect();
        Ok(ProgramDraft { name: self.name.clone(), policy: PolicyDraft::Threshold(levels?), renames: self.renames() })
    }

    fn journey_draft(&self) -> Result<ProgramDraft, CatalogueFault> {
        let needed = |field: &str, days: Option<u32>| {
            days.ok_or_else(|| fault(format!("tier_programs[{}].{field}", self.name), "is missing"))
        };
        let level = |level: &LevelFile| {
            let own = || format!("tier_programs[{}].levels[{}]", self.name, level.name);
            if level.spent_min.is_some() {
                return Err(fault(own(), "spent_min is of the policy threshold"));
            }
            let place = || format!("tier_programs[{}].levels[{}].milestones", self.name, level.name);
            let milestones: Result<Vec<(u32, Amount)>, CatalogueFault> = level
                .milestones
                .iter()
                .map(|milestone| Ok((milestone.at_count, amount(milestone.points, place)?)))
                .collect();
            Ok(LevelDraft {
                name: level.name.clone(),
                count_max: level.count_max.ok_or_else(|| fault(own(), "needs count_max"))?,
                next: level.next.clone(),
                previous: level.previous.clone(),
                milestones: milestones?,
            })
        };
        let levels: Result<Vec<LevelDraft>, CatalogueFault> = self.levels.iter().map(level).collect();
        Ok(ProgramDraft {
            name: self.name.clone(),
            renames: self.renames(),
            policy: PolicyDraft::Journey(JourneyDraft {
                downgrade_after_days: needed("downgrade_after_days", self.downgrade_after_days)?,
                reset_after_days: needed("reset_after_days", self.reset_after_days)?,
                at_maximum: match self.at_maximum {
                    None | Some(AtMaximumFile::PayNothing) => AtMaximum::PayNothing,
                    Some(AtMaximumFile::RestartCycle) => AtMaximum::RestartCycle,
                },
                levels: levels?,
            }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::instant::Rfc3339;

    #[test]
    fn local_times_are_read_in_the_zone_and_refused_when_they_do_not_stand_once() {
        let check = |zone: &str, text: &str| {
            let zone = zone_of(zone).unwrap();
            period_instant(text, &zone, "x").map(|at| Rfc3339(at).to_string()).map_err(|fault| fault.problem)
        };
        assert_eq!(check("Asia/Jakarta", "2017-01-01 00:00:00").unwrap(), "2016-12-31T17:00:00Z");
        assert_eq!(check("Asia/Jakarta", "2017-12-31 23:59:59.999999").unwrap(), "2017-12-31T16:59:59.999999Z");
        assert_eq!(check("Asia/Jakarta", "2017-01-01T00:00:00Z").unwrap(), "2017-01-01T00:00:00Z");
        assert!(check("Europe/Berlin", "2024-03-31 02:30:00").unwrap_err().contains("skipped"));
        assert!(check("Europe/Berlin", "2024-10-27 02:30:00").unwrap_err().contains("twice"));
        assert!(check("Europe/Berlin", "2024-10-27").unwrap_err().contains("must be local"));
        assert!(check("Europe/Berlin", "2024-02-30 00:00:00").unwrap_err().contains("must be local"));
        for form in [
            "17-1-1 0:0:0",
            "2017-1-1 00:00:00",
            " 2017-01-01 00:00:00",
            "2017-01-01  00:00:00",
            "2017-01-01 00:00:00 ",
            "2017-01-01 00:00:00.",
            "2017-01-01 00:00:00.1234567",
            "2016-12-31 23:59:60",
            "2016-12-31T23:59:60Z",
        ] {
            assert!(check("Asia/Jakarta", form).unwrap_err().contains("must be local"), "{form}");
        }
        assert!(check("Asia/Jakarta", "9999-12-31T23:59:59Z").unwrap_err().contains("must be before"));
        assert_eq!(zone_of("Mars/Olympus").unwrap_err().place, "tenant.timezone");
    }
}
