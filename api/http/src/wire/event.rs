//! The events of a record as subscribers see them: CloudEvents 1.0, the public ones of a record in one frame.
//!
//! An event's id is `<seq>-<index>`, where the index is its place among all events of the record, so an id stays what
//! it is when a kind of event becomes public later. Money is in minor units of `currency`; whatever has a name in the
//! rules is shown by the name that it had when the record was made.

use std::borrow::Cow;

use kembali_core::accounts::{Direction, Entry};
use kembali_core::catalogue::Catalogue;
use kembali_core::event::{Body, DeclineReason, Event, PromoDeclined, PromoGranted};
use kembali_core::{AliasKind, PartnerId, Seq, Unit};
use serde::{Serialize, Serializer};

use super::instant::{Rfc3339, UuidText};
use super::result::{Declined, Names, PurchaseResult, TierStep, purchase_of, result_of};

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Topic {
    CatalogueApplied,
    CustomerRegistered,
    PurchaseAccepted,
    PurchaseRejected,
    PromoApplied,
    PromoExhausted,
    PromoDeclined,
    TierChanged,
    MilestoneReached,
    WalletEntry,
}

impl Topic {
    const ALL: [Topic; 10] = [
        Topic::CatalogueApplied,
        Topic::CustomerRegistered,
        Topic::PurchaseAccepted,
        Topic::PurchaseRejected,
        Topic::PromoApplied,
        Topic::PromoExhausted,
        Topic::PromoDeclined,
        Topic::TierChanged,
        Topic::MilestoneReached,
        Topic::WalletEntry,
    ];

    const fn name(self) -> &'static str {
        match self {
            Topic::CatalogueApplied => "catalogue.applied",
            Topic::CustomerRegistered => "customer.registered",
            Topic::PurchaseAccepted => "purchase.accepted",
            Topic::PurchaseRejected => "purchase.rejected",
            Topic::PromoApplied => "promo.applied",
            Topic::PromoExhausted => "promo.exhausted",
            Topic::PromoDeclined => "promo.declined",
            Topic::TierChanged => "tier.changed",
            Topic::MilestoneReached => "milestone.reached",
            Topic::WalletEntry => "wallet.entry",
        }
    }

    /// Returns what an event is about; `None` for what is not public.
    fn of(event: &Event) -> Option<Topic> {
        Some(match event {
            Event::CatalogueApplied(_) => Topic::CatalogueApplied,
            Event::CustomerCreated(_) => Topic::CustomerRegistered,
            Event::PurchaseBooked(_) => Topic::PurchaseAccepted,
            Event::PurchaseRefused(_) => Topic::PurchaseRejected,
            Event::PromoGranted(_) => Topic::PromoApplied,
            Event::PromoDeclined(PromoDeclined { reason, .. }) => match reason {
                DeclineReason::QuotaExhausted { .. } => Topic::PromoExhausted,
                DeclineReason::OutsidePeriod | DeclineReason::NoBand | DeclineReason::RoundsToZero { .. } => {
                    Topic::PromoDeclined
                }
            },
            // One more purchase within a level is no change.
            Event::TierStepped(stepped) => match stepped.before {
                Some(before) if before.level == stepped.after.level => return None,
                _ => Topic::TierChanged,
            },
            Event::MilestoneReached(_) => Topic::MilestoneReached,
            Event::WalletEntry(_) => Topic::WalletEntry,
        })
    }
}

/// The topics that a subscriber asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Topics(u16);

impl Topics {
    /// Every topic, also one that is made later.
    pub const ALL: Topics = Topics(u16::MAX);

    /// Reads a list with commas; a `*` at the end of a name stands for any text.
    ///
    /// # Errors
    ///
    /// The name that fits no topic.
    pub fn parse(list: &str) -> Result<Topics, &str> {
        let mut topics = Topics(0);
        for pattern in list.split(',') {
            let fits = |topic: &Topic| match pattern.strip_suffix('*') {
                Some(start) => topic.name().starts_with(start),
                None => topic.name() == pattern,
            };
            let mut is_known = false;
            for topic in Topic::ALL.into_iter().filter(fits) {
                topics.0 |= 1 << topic as u16;
                is_known = true;
            }
            if !is_known {
                return Err(pattern);
            }
        }
        Ok(topics)
    }

    /// Lists the names of every topic.
    pub(crate) fn names() -> String {
        Topic::ALL.map(Topic::name).join(", ")
    }

    const fn has(self, topic: Topic) -> bool {
        self.0 & (1 << topic as u16) != 0
    }
}

#[derive(Serialize)]
struct Frame<'a> {
    op: &'static str,
    seq: u64,
    events: Vec<CloudEvent<'a>>,
}

#[derive(Serialize)]
struct CloudEvent<'a> {
    specversion: &'static str,
    id: Id,
    source: Source<'a>,
    #[serde(rename = "type")]
    topic: &'static str,
    time: Rfc3339,
    sequence: Sequence,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<Cow<'a, str>>,
    datacontenttype: &'static str,
    data: Data<'a>,
}

struct Id(Seq, usize);

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}-{}", self.0.0, self.1))
    }
}

struct Source<'a>(&'a str);

impl Serialize for Source<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("/tenants/{}", self.0))
    }
}

struct Sequence(Seq);

impl Serialize for Sequence {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:020}", self.0.0))
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum Data<'a> {
    Catalogue {
        version: u32,
        name: &'a str,
        partners: usize,
        promos: usize,
        tier_programs: usize,
    },
    /// The purchase's `result`, as it was answered.
    Accepted(Box<PurchaseResult<'a>>),
    Rejected {
        purchase: UuidText,
        partner: Cow<'a, str>,
        origin_id: &'a str,
        code: &'static str,
    },
    Customer(About<'a>),
}

/// What happened to the record's customer, and the purchase that caused it.
#[derive(Serialize)]
struct About<'a> {
    customer: Option<UuidText>,
    purchase: Option<UuidText>,
    #[serde(flatten)]
    said: Said<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Said<'a> {
    Registered { named_by: &'static str },
    Applied { promo: Cow<'a, str>, rule: u32, band: u32, version: u32, percent: Option<String>, points: i64 },
    Declined(Declined<'a>),
    Tier(TierStep<'a>),
    Milestone { program: Cow<'a, str>, level: Cow<'a, str>, rule: u32, version: u32, at_count: u32, points: i64 },
    Entry { wallet: u16, currency: String, direction: &'static str, amount: i64, balance_after: i64 },
}

/// Writes the frame of one record: those of its events that are public and asked for. `None` when there are none.
///
/// # Errors
///
/// The writer failed.
pub fn render(
    seq: Seq,
    body: &Body,
    catalogue: &Catalogue,
    topics: Topics,
) -> Result<Option<String>, serde_json::Error> {
    let view = View { seq, body, catalogue, names: Names { catalogue } };
    let asked_for = body.events.iter().enumerate().filter_map(|(index, event)| {
        let topic = Topic::of(event).filter(|topic| topics.has(*topic))?;
        Some(view.cloud_event(index, topic, event))
    });
    let events: Vec<CloudEvent<'_>> = asked_for.flatten().collect();
    if events.is_empty() {
        return Ok(None);
    }
    serde_json::to_string(&Frame { op: "ev", seq: seq.0, events }).map(Some)
}

struct View<'a> {
    seq: Seq,
    body: &'a Body,
    catalogue: &'a Catalogue,
    names: Names<'a>,
}

impl<'a> View<'a> {
    fn cloud_event(&self, index: usize, topic: Topic, event: &'a Event) -> Option<CloudEvent<'a>> {
        let customer = || self.body.customer.map(|customer| Cow::Owned(UuidText(customer.0).to_string()));
        let subject = match event {
            Event::CatalogueApplied(_) => None,
            Event::PromoGranted(PromoGranted { promo, .. }) | Event::PromoDeclined(PromoDeclined { promo, .. }) => {
                Some(self.names.promo(*promo))
            }
            _ => customer(),
        };
        Some(CloudEvent {
            specversion: "1.0",
            id: Id(self.seq, index),
            source: Source(&self.catalogue.slug),
            topic: topic.name(),
            time: Rfc3339(self.body.received_at),
            sequence: Sequence(self.seq),
            subject,
            datacontenttype: "application/json",
            data: self.data(event)?,
        })
    }

    /// Says what happened; `None` only of a purchase that is none.
    fn data(&self, event: &'a Event) -> Option<Data<'a>> {
        let version = self.catalogue.version;
        let said = match event {
            Event::CatalogueApplied(applied) => {
                return Some(Data::Catalogue {
                    version: applied.version,
                    name: &applied.name,
                    partners: applied.partners.len(),
                    promos: applied.promos.len(),
                    tier_programs: applied.programs.len(),
                });
            }
            Event::PurchaseBooked(_) => {
                return result_of(Some(self.seq), self.body, self.catalogue).map(Box::new).map(Data::Accepted);
            }
            Event::PurchaseRefused(refused) => {
                return Some(Data::Rejected {
                    purchase: UuidText(refused.key.0),
                    partner: self.names.partner(refused.partner),
                    origin_id: &refused.origin_id,
                    code: refused.code.as_str(),
                });
            }
            Event::CustomerCreated(created) => Said::Registered {
                named_by: match created.alias.kind {
                    AliasKind::Email => "email",
                    AliasKind::Ref => "ref",
                },
            },
            Event::PromoGranted(granted) => Said::Applied {
                promo: self.names.promo(granted.promo),
                rule: granted.promo.0,
                band: granted.band.0,
                version,
                percent: self.names.percent(granted),
                points: granted.points.minor_units(),
            },
            Event::PromoDeclined(declined) => Said::Declined(self.names.declined(declined)),
            Event::TierStepped(stepped) => Said::Tier(self.names.step(stepped)),
            Event::MilestoneReached(reached) => Said::Milestone {
                program: self.names.program(reached.program),
                level: self.names.level(self.catalogue.program(reached.program), reached.level),
                rule: reached.milestone.0,
                version,
                at_count: reached.at_count,
                points: reached.points.minor_units(),
            },
            Event::WalletEntry(entry) => self.entry(entry),
        };
        let purchase = purchase_of(self.body).map(|booked| UuidText(booked.key.0));
        Some(Data::Customer(About {
            customer: self.body.customer.map(|customer| UuidText(customer.0)),
            purchase,
            said,
        }))
    }

    /// The accounts of the house on the other side are not for partners, so they are not said.
    fn entry(&self, entry: &Entry) -> Said<'a> {
        let Unit::Money(currency) = entry.unit;
        Said::Entry {
            wallet: entry.wallet.0,
            currency: currency.as_str().to_owned(),
            direction: match entry.direction {
                Direction::In => "credit",
                Direction::Out => "debit",
            },
            amount: entry.amount.minor_units(),
            balance_after: entry.balance_after.minor_units(),
        }
    }
}

/// Returns the partner whose purchase a record books or refuses.
pub(crate) fn partner_of(body: &Body) -> Option<PartnerId> {
    body.events.iter().find_map(|event| match event {
        Event::PurchaseBooked(booked) => Some(booked.partner),
        Event::PurchaseRefused(refused) => Some(refused.partner),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(list: &str) -> Result<String, &str> {
        let topics = Topics::parse(list)?;
        let has: Vec<&str> = Topic::ALL.into_iter().filter(|topic| topics.has(*topic)).map(Topic::name).collect();
        Ok(has.join(" "))
    }

    #[test]
    fn lists_of_topics() {
        assert_eq!(check("tier.changed"), Ok("tier.changed".to_owned()));
        assert_eq!(check("wallet.entry,purchase.*"), Ok("purchase.accepted purchase.rejected wallet.entry".to_owned()));
        assert_eq!(check("promo.*,promo.applied").unwrap().split(' ').count(), 3);
        assert_eq!(check("*").unwrap().split(' ').count(), Topic::ALL.len());
        for (list, bad) in [
            ("", ""),
            ("tier.changed,", ""),
            ("tier", "tier"),
            ("wallet.entry,Purchase.*", "Purchase.*"),
            ("*.applied", "*.applied"),
            ("mail.*", "mail.*"),
            ("tier.changed, wallet.entry", " wallet.entry"),
        ] {
            assert_eq!(check(list), Err(bad), "{list}");
        }
    }
}
