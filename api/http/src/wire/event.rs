//! The events of a record as subscribers see them: CloudEvents 1.0, the public ones of a record in one frame.
//!
//! An event's id is `<seq>-<index>`, where the index is its place among all events of the record, so an id stays what
//! it is when a kind of event becomes public later. Money is in minor units of `currency`; whatever has a name in the
//! rules is shown by the name that it had when the record was made.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use kembali_core::accounts::{Direction, Entry, HouseAccount};
use kembali_core::catalogue::Catalogue;
use kembali_core::event::{Body, DeclineReason, Event, PromoDeclined, PromoGranted, Record};
use kembali_core::hold::{HoldClosed, HoldEnd};
use kembali_core::operation::Actor;
use kembali_core::points::PointEntry;
use kembali_core::upkeep::is_upkeep;
use kembali_core::wallet::WalletStatus;
use kembali_core::{AliasKind, CustomerId, PartnerId, Seq, Unit};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::history::Side;
use super::hold::HoldState;
use super::instant::{Rfc3339, UuidText};
use super::invoice::InvoiceChange;
use super::operation::{Asked, OperationResult, by, operation_result, status_text};
use super::refund::{BackEffect, back_effects, is_same_level, purchase_behind};
use super::result::{Declined, Effect, Names, PurchaseResult, Rules, TierStep, result_of};
use super::reversal::Reversed;
use super::risk::{RiskKindFile, RiskVerdict};
use super::transfer::TransferState;

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Topic {
    CatalogueApplied,
    CustomerRegistered,
    CustomerErased,
    PurchaseAccepted,
    PurchaseRejected,
    PromoApplied,
    PromoExhausted,
    PromoDeclined,
    TierChanged,
    MilestoneReached,
    WalletEntry,
    CashbackEarned,
    FulfillmentCompleted,
    CampaignCompleted,
    RewardGranted,
    PointsEntry,
    PurchaseRefunded,
    OperationAccepted,
    OperationRejected,
    WalletOpened,
    WalletStatus,
    OfferRedeemed,
    HoldPlaced,
    HoldSettled,
    HoldVoided,
    HoldExpired,
    TransferSent,
    TransferReceived,
    TransferDeclined,
    TransferSettled,
    TransferReturned,
    InvoiceOpened,
    InvoiceCancelled,
    InvoicePaid,
    RiskChecked,
    OperationReversed,
    ReviewOpened,
    ReviewReleased,
    ReviewRejected,
}

impl Topic {
    const ALL: [Topic; 39] = [
        Topic::CatalogueApplied,
        Topic::CustomerRegistered,
        Topic::CustomerErased,
        Topic::PurchaseAccepted,
        Topic::PurchaseRejected,
        Topic::PromoApplied,
        Topic::PromoExhausted,
        Topic::PromoDeclined,
        Topic::TierChanged,
        Topic::MilestoneReached,
        Topic::WalletEntry,
        Topic::CashbackEarned,
        Topic::FulfillmentCompleted,
        Topic::CampaignCompleted,
        Topic::RewardGranted,
        Topic::PointsEntry,
        Topic::PurchaseRefunded,
        Topic::OperationAccepted,
        Topic::OperationRejected,
        Topic::WalletOpened,
        Topic::WalletStatus,
        Topic::OfferRedeemed,
        Topic::HoldPlaced,
        Topic::HoldSettled,
        Topic::HoldVoided,
        Topic::HoldExpired,
        Topic::TransferSent,
        Topic::TransferReceived,
        Topic::TransferDeclined,
        Topic::TransferSettled,
        Topic::TransferReturned,
        Topic::InvoiceOpened,
        Topic::InvoiceCancelled,
        Topic::InvoicePaid,
        Topic::RiskChecked,
        Topic::OperationReversed,
        Topic::ReviewOpened,
        Topic::ReviewReleased,
        Topic::ReviewRejected,
    ];

    const fn name(self) -> &'static str {
        match self {
            Topic::CatalogueApplied => "catalogue.applied",
            Topic::CustomerRegistered => "customer.registered",
            Topic::CustomerErased => "customer.erased",
            Topic::PurchaseAccepted => "purchase.accepted",
            Topic::PurchaseRejected => "purchase.rejected",
            Topic::PromoApplied => "promo.applied",
            Topic::PromoExhausted => "promo.exhausted",
            Topic::PromoDeclined => "promo.declined",
            Topic::TierChanged => "tier.changed",
            Topic::MilestoneReached => "milestone.reached",
            Topic::WalletEntry => "wallet.entry",
            Topic::CashbackEarned => "cashback.earned",
            Topic::FulfillmentCompleted => "fulfillment.completed",
            Topic::CampaignCompleted => "campaign.completed",
            Topic::RewardGranted => "reward.granted",
            Topic::PointsEntry => "points.entry",
            Topic::PurchaseRefunded => "purchase.refunded",
            Topic::OperationAccepted => "operation.accepted",
            Topic::OperationRejected => "operation.rejected",
            Topic::WalletOpened => "wallet.opened",
            Topic::WalletStatus => "wallet.status",
            Topic::OfferRedeemed => "offer.redeemed",
            Topic::HoldPlaced => "hold.placed",
            Topic::HoldSettled => "hold.settled",
            Topic::HoldVoided => "hold.voided",
            Topic::HoldExpired => "hold.expired",
            Topic::TransferSent => "transfer.sent",
            Topic::TransferReceived => "transfer.received",
            Topic::TransferDeclined => "transfer.declined",
            Topic::TransferSettled => "transfer.settled",
            Topic::TransferReturned => "transfer.returned",
            Topic::InvoiceOpened => "invoice.opened",
            Topic::InvoiceCancelled => "invoice.cancelled",
            Topic::InvoicePaid => "invoice.paid",
            Topic::RiskChecked => "risk.checked",
            Topic::OperationReversed => "operation.reversed",
            Topic::ReviewOpened => "review.opened",
            Topic::ReviewReleased => "review.released",
            Topic::ReviewRejected => "review.rejected",
        }
    }

    /// Returns what an event is about; `None` for what is not public.
    fn of(event: &Event) -> Option<Topic> {
        Some(match event {
            Event::CatalogueApplied(_) => Topic::CatalogueApplied,
            Event::CustomerCreated(_) => Topic::CustomerRegistered,
            Event::CustomerErased => Topic::CustomerErased,
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
            Event::SpendCounted(counted) => match counted.before {
                Some(before) if before.level == counted.after.level => return None,
                _ => Topic::TierChanged,
            },
            Event::CashbackEarned(_) => Topic::CashbackEarned,
            // A step nearer is not there yet.
            Event::FulfillmentAdvanced(advanced) if !advanced.progress.is_met => return None,
            Event::FulfillmentAdvanced(_) => Topic::FulfillmentCompleted,
            Event::CampaignCompleted(_) => Topic::CampaignCompleted,
            Event::RewardGranted(_) => Topic::RewardGranted,
            Event::PointEntry(_) => Topic::PointsEntry,
            // What was spent is less, and the level is the same.
            Event::TierPlaced(placed) if is_same_level(placed) => return None,
            Event::TierPlaced(_) => Topic::TierChanged,
            Event::PurchaseRefunded(_) => Topic::PurchaseRefunded,
            // The house's own, and what rules ask for and the log of checks says.
            Event::HousePosted(_)
            | Event::OperationCounted(_)
            | Event::PurchaseBlocked(_)
            | Event::Audited(_)
            | Event::RiskCheckArchived(_) => return None,
            Event::OperationDone(_) => Topic::OperationAccepted,
            Event::OperationRefused(_) => Topic::OperationRejected,
            Event::WalletOpened(_) => Topic::WalletOpened,
            Event::OfferRedeemed(_) => Topic::OfferRedeemed,
            Event::WalletStatusSet(_) => Topic::WalletStatus,
            Event::InvoiceOpened(_) => Topic::InvoiceOpened,
            Event::InvoiceCancelled(_) => Topic::InvoiceCancelled,
            Event::InvoicePaid(_) => Topic::InvoicePaid,
            Event::RiskChecked(_) => Topic::RiskChecked,
            Event::OperationReversed(_) => Topic::OperationReversed,
            Event::ReviewOpened(_) => Topic::ReviewOpened,
            Event::ReviewClosed(own) if own.released_by.is_some() => Topic::ReviewReleased,
            Event::ReviewClosed(_) => Topic::ReviewRejected,
            Event::TransferSent(_) => Topic::TransferSent,
            Event::TransferCredited(_) => Topic::TransferReceived,
            Event::TransferDeclined(_) => Topic::TransferDeclined,
            Event::TransferSettled(_) => Topic::TransferSettled,
            Event::TransferReturned(_) => Topic::TransferReturned,
            Event::HoldPlaced(_) => Topic::HoldPlaced,
            Event::HoldClosed(closed) => match closed.end {
                HoldEnd::Settled { .. } => Topic::HoldSettled,
                HoldEnd::Voided => Topic::HoldVoided,
                HoldEnd::Expired => Topic::HoldExpired,
            },
        })
    }
}

/// Why points moved.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PointsReason {
    /// A rule granted them.
    Earned,
    /// They were taken back by what they were granted for.
    Reversed,
    /// Their time was over.
    Expired,
    /// They were spent.
    Redeemed,
    /// What they were spent on was taken back.
    Restored,
}

impl PointsReason {
    fn of(entry: &PointEntry) -> PointsReason {
        match (entry.against, entry.direction) {
            (HouseAccount::PointsExpired, _) => PointsReason::Expired,
            (HouseAccount::PointsRedeemed, Direction::Out) => PointsReason::Redeemed,
            (HouseAccount::PointsRedeemed, Direction::In) => PointsReason::Restored,
            (_, Direction::In) => PointsReason::Earned,
            (_, Direction::Out) => PointsReason::Reversed,
        }
    }
}

/// The topics that a subscriber asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Topics(u64);

impl Topics {
    /// Every topic, also one that is made later.
    pub const ALL: Topics = Topics(u64::MAX);

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

    /// Returns a number that tells this choice from every other.
    pub(crate) const fn number(self) -> u64 {
        self.0
    }

    const fn has(self, topic: Topic) -> bool {
        self.0 & (1 << topic as u16) != 0
    }
}

/// The public events of one record, or of several where the subscriber asked for that.
// For the document of the API: frames are made of events that are written already.
#[derive(Serialize, ToSchema)]
#[schema(as = EventFrame)]
pub(crate) struct Frame<'a> {
    /// `ev`.
    op: &'static str,
    /// The position of the last of these records; a stream resumes behind it.
    seq: u64,
    /// The events that are asked for, in the order in which they happened.
    events: Vec<CloudEvent<'a>>,
}

/// A page of history.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventPage {
    /// The events, the oldest first; those of one record are together.
    #[schema(value_type = Vec<CloudEvent<'static>>)]
    pub(crate) data: Box<RawValue>,
    /// Where the next page starts; null once everything was looked at that the ledger has.
    #[schema(required)]
    pub(crate) next_cursor: Option<String>,
    /// The position up to which everything was looked at: whoever asks again later goes on with `after=` this.
    pub(crate) as_of: u64,
}

/// An event, as CloudEvents 1.0 has it.
#[derive(Serialize, ToSchema)]
struct CloudEvent<'a> {
    /// `1.0`.
    specversion: &'static str,
    /// The position and the place within the record, such as `42-0`.
    #[schema(value_type = String)]
    id: Id,
    /// The tenant, such as `/tenants/journey`.
    #[schema(value_type = String)]
    source: Source<'a>,
    /// The topic.
    #[serde(rename = "type")]
    topic: &'static str,
    /// When the ledger received what caused it.
    time: Rfc3339,
    /// The position in 20 digits.
    #[schema(value_type = String, min_length = 20, max_length = 20)]
    sequence: Sequence,
    /// Whom or what it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    subject: Option<Cow<'a, str>>,
    /// `application/json`.
    datacontenttype: &'static str,
    /// What happened.
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

/// What happened.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = EventData)]
enum Data<'a> {
    /// The rules have a new version.
    Catalogue {
        /// The version.
        version: u32,
        /// The tenant's name.
        name: &'a str,
        /// How many partners.
        partners: usize,
        /// How many promos.
        promos: usize,
        /// How many tier programmes.
        tier_programs: usize,
    },
    /// The purchase's `result`, as it was answered.
    Accepted(Box<PurchaseResult<'a>>),
    /// A purchase was refused.
    Rejected {
        /// The id that the purchase would have had.
        purchase: UuidText,
        /// The slug of the partner that sent it.
        partner: Cow<'a, str>,
        /// The partner's own id of it.
        origin_id: &'a str,
        /// The problem code.
        code: &'static str,
    },
    /// The operation's result, as it was answered.
    OperationAccepted(Box<OperationResult<'a>>),
    /// An operation was refused.
    OperationRejected {
        /// The customer's id, if there is such a customer.
        #[schema(required)]
        customer: Option<UuidText>,
        /// What was asked.
        operation: Asked<'a>,
        /// Who asked: `operator`, or the slug of a partner.
        by: Cow<'a, str>,
        /// The problem code.
        code: &'static str,
        /// The position of the record that had set it aside, of one that an operator rejected; else not there.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        review: Option<u64>,
    },
    /// Something happened to a customer.
    Customer(About<'a>),
}

/// What happened to the record's customer, and the purchase that caused it.
#[derive(Serialize, ToSchema)]
#[schema(as = CustomerEvent)]
struct About<'a> {
    /// The customer's id.
    #[schema(required)]
    customer: Option<UuidText>,
    /// The purchase's id.
    #[schema(required)]
    purchase: Option<UuidText>,
    #[serde(flatten)]
    said: Said<'a>,
}

/// What happened to a customer.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = CustomerEventData)]
enum Said<'a> {
    /// The customer is new.
    Registered {
        /// `email` or `ref`.
        named_by: &'static str,
    },
    /// Nothing says any more who the customer is.
    Erased {
        /// True.
        erased: bool,
    },
    /// A promo paid.
    Applied {
        /// The promo's code.
        promo: Cow<'a, str>,
        /// The promo's id.
        rule: u32,
        /// The id of the band that fits.
        band: u32,
        /// The version of the rules.
        version: u32,
        /// The share, a decimal string; null of a band that is gone.
        #[schema(required)]
        percent: Option<String>,
        /// What it paid, in minor units.
        points: i64,
    },
    /// A promo did not pay.
    Declined(Declined<'a>),
    /// The customer moved to another level.
    Tier(TierStep<'a>),
    /// A milestone was reached and paid.
    Milestone {
        /// The programme.
        program: Cow<'a, str>,
        /// The level.
        level: Cow<'a, str>,
        /// The milestone's id.
        rule: u32,
        /// The version of the rules.
        version: u32,
        /// The count within the level.
        at_count: u32,
        /// What it paid, in minor units.
        points: i64,
    },
    /// A cashback rule paid, a fulfillment was met, or a reward was paid.
    Earned(Effect<'a>),
    /// A campaign was completed.
    Campaign {
        /// The campaign.
        campaign: Cow<'a, str>,
        /// The campaign's id.
        rule: u32,
        /// The version of the rules.
        version: u32,
        /// How often the customer has completed it now.
        completions: u32,
    },
    /// Points moved.
    Points {
        /// The kind of points.
        kind: Cow<'a, str>,
        /// Into the account or out of it.
        direction: Side,
        /// How many.
        points: i64,
        /// The id of the rule that granted them.
        source: u32,
        /// From when they can be spent, or could have been; not there where they are not pending first.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        matures_at: Option<Rfc3339>,
        /// When they expire, or would have; null for never.
        #[schema(required)]
        expires_at: Option<Rfc3339>,
        /// Why they moved.
        reason: PointsReason,
        /// How many there are afterwards.
        points_after: i64,
    },
    /// A purchase was refunded, in whole or in part.
    Refunded {
        /// The partner's own id of the refund.
        refund_id: &'a str,
        /// How much was refunded, in minor units.
        amount: i64,
        /// What remains of the purchase, in minor units.
        remaining: i64,
        /// What was clawed back.
        clawed_back: Vec<BackEffect<'a>>,
        /// The promo that got a unit of its quota back; not there where none did.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        unit_returned: Option<Cow<'a, str>>,
    },
    /// A wallet is open.
    WalletOpened {
        /// The wallet's number.
        wallet: u16,
        /// `active`.
        status: &'static str,
    },
    /// A wallet may be used otherwise than before.
    WalletStatus {
        /// The wallet's number.
        wallet: u16,
        /// What it was: `active`, `frozen` or `closed`.
        before: &'static str,
        /// What it is.
        after: &'static str,
    },
    /// Points were spent on an offer.
    Redeemed {
        /// The offer.
        offer: Cow<'a, str>,
        /// The id of the offer.
        rule: u32,
        /// The version of the catalogue that it is of.
        version: u32,
        /// How many units.
        quantity: u32,
        /// How many points they cost in all.
        points: i64,
    },
    /// An operation was looked at before money moves, and let be.
    Risk {
        /// What was looked at.
        looked_at: RiskKindFile,
        /// How much, in minor units.
        amount: i64,
        /// `safe` or `suspicious`.
        verdict: RiskVerdict,
        /// The name of the first rule that strikes; null where none does.
        #[schema(required)]
        rule: Option<Cow<'a, str>>,
    },
    /// An invoice was opened, taken back, or paid.
    Invoice(InvoiceChange),
    /// An operation was taken back.
    Reversed(Reversed),
    /// An operation was set aside.
    ReviewOpened {
        /// What was asked.
        set_aside: Asked<'a>,
        /// Who asked: `operator`, or the slug of a partner.
        by: Cow<'a, str>,
    },
    /// What was set aside was done, or refused.
    ReviewClosed {
        /// The position of the record that set it aside.
        review: u64,
    },
    /// Money goes from one wallet to another.
    Transfer(TransferState),
    /// Money was set aside for a partner, or what was is paid or given free.
    Hold(HoldState),
    /// Money moved.
    Entry {
        /// The wallet's number.
        wallet: u16,
        /// The currency of the amounts.
        currency: String,
        /// Into the wallet or out of it.
        direction: Side,
        /// How much, in minor units.
        amount: i64,
        /// What is in the wallet afterwards, in minor units.
        balance_after: i64,
    },
}

/// Who looks at the events of a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// The tenant's operators: everything.
    Operators,
    /// A partner: what it did itself, its holds and invoices, and what is nobody's own.
    Partner(PartnerId),
    /// A customer: what happened to what is its own.
    Customer(CustomerId),
}

impl Audience {
    fn has(self, body: &Body, event: &Event) -> bool {
        let partner = match self {
            Audience::Operators => return true,
            // What is looked at is the tenant's own business.
            Audience::Customer(customer) => {
                return body.customer == Some(customer) && !matches!(event, Event::RiskChecked(_));
            }
            Audience::Partner(partner) => partner,
        };
        match event {
            // Time and operators may close a hold, and a record of somebody else's may say that time did.
            Event::HoldPlaced(hold) | Event::HoldClosed(HoldClosed { hold, .. }) => hold.partner == partner,
            // An operator may cancel one, and a customer of the tenant's pays it.
            Event::InvoiceOpened(own) => own.partner == partner,
            Event::InvoiceCancelled(own) => own.partner == partner,
            Event::InvoicePaid(own) => own.partner == partner,
            // An operator does that, and the partner has the money no longer.
            Event::OperationReversed(own) if own.partner.is_some() => own.partner == Some(partner),
            // An operator rejects what a partner had asked for.
            Event::OperationRefused(own) => own.actor == Actor::Partner(partner),
            // What is looked at is the tenant's own business.
            Event::RiskChecked(_) => false,
            _ => partner_of(body) == Some(partner) || is_of_nobody(body),
        }
    }
}

/// Returns those events of a record that are public, for this audience and asked for, with their places in it.
fn asked_for(body: &Body, (audience, topics): (Audience, Topics)) -> impl Iterator<Item = (usize, Topic, &Event)> {
    body.events.iter().enumerate().filter_map(move |(index, event)| {
        let topic = Topic::of(event).filter(|topic| topics.has(*topic) && audience.has(body, event))?;
        Some((index, topic, event))
    })
}

/// Writes the frame of one record: those of its events that are public, for this audience and asked for. `None` when there
/// are none.
///
/// # Errors
///
/// The writer failed.
pub fn render<'a>(
    seq: Seq,
    body: &'a Body,
    rules: impl Into<Rules<'a>>,
    asked: (Audience, Topics),
) -> Result<Option<String>, serde_json::Error> {
    let view = View::of(seq, body, rules.into());
    let written =
        asked_for(body, asked).filter_map(|(index, topic, event)| view.write(index, topic, event).transpose());
    let events = written.collect::<Result<Vec<_>, _>>()?;
    Ok((!events.is_empty()).then(|| framed(seq, events.iter().map(String::as_str))))
}

/// A record whose events are written down once somebody asks for them, each once, whoever asks: what an event says is the same for
/// all who may see it.
#[derive(Debug)]
pub struct WrittenRecord {
    record: Arc<Record>,
    catalogue: Arc<Catalogue>,
    former: Vec<Arc<Catalogue>>,
    /// Of each event; `None` within of one that says nothing.
    texts: Vec<OnceLock<Option<Arc<str>>>>,
}

impl WrittenRecord {
    /// Takes a record, of which nothing is written yet, the rules of its version, and those that [`Rules`] asks for beside them.
    #[must_use]
    pub fn new(record: Arc<Record>, catalogue: Arc<Catalogue>, former: Vec<Arc<Catalogue>>) -> WrittenRecord {
        let texts = record.body.events.iter().map(|_| OnceLock::new()).collect();
        WrittenRecord { record, catalogue, former, texts }
    }

    /// Returns the record.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Returns the rules of its version.
    pub(crate) const fn rules(&self) -> &Arc<Catalogue> {
        &self.catalogue
    }

    /// Appends those of its events that are public, for this audience and asked for, and returns true if there are any.
    ///
    /// # Errors
    ///
    /// The writer failed.
    pub fn append_to(&self, events: &mut Events, asked: (Audience, Topics)) -> Result<bool, serde_json::Error> {
        let (before, Record { seq, body, .. }) = (events.count(), &*self.record);
        for (index, topic, event) in asked_for(body, asked) {
            // There is one for each event.
            let Some(text) = self.texts.get(index) else { continue };
            if text.get().is_none() {
                let rules = Rules { catalogue: &self.catalogue, former: &self.former };
                let written = View::of(*seq, body, rules).write(index, topic, event)?;
                // Where two write it at once, both write the same.
                let _ = text.set(written.map(Arc::from));
            }
            if let Some(Some(text)) = text.get() {
                events.bytes += text.len() + 1;
                events.texts.push(Arc::clone(text));
            }
        }
        Ok(before < events.count())
    }
}

/// Events that are written, in order. Their texts are shared until they are put together, once: a hundred subscribers make copying the
/// most of what the server does.
#[derive(Debug, Default)]
pub struct Events {
    texts: Vec<Arc<str>>,
    /// What they come to, each with a comma.
    bytes: usize,
}

impl Events {
    pub(crate) fn count(&self) -> usize {
        self.texts.len()
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    fn texts(&self) -> impl Iterator<Item = &str> + Clone {
        self.texts.iter().map(|text| &**text)
    }

    /// Returns them as a frame that ends with the record at `seq`.
    #[must_use]
    pub fn frame(&self, seq: Seq) -> String {
        framed(seq, self.texts())
    }

    /// Returns them as a JSON array.
    ///
    /// # Errors
    ///
    /// Never, as they were written.
    pub(crate) fn array(&self) -> Result<Box<RawValue>, serde_json::Error> {
        RawValue::from_string(joined("[", self.texts(), "]"))
    }
}

/// Writes the frame that ends with the record at `seq`, of the events of one record or of several.
fn framed<'a>(seq: Seq, events: impl Iterator<Item = &'a str> + Clone) -> String {
    // The shape of `Frame`, whose events are written already.
    joined(&format!(r#"{{"op":"ev","seq":{},"events":["#, seq.0), events, "]}")
}

/// Puts texts together, with commas, in memory of the right size.
fn joined<'a>(before: &str, texts: impl Iterator<Item = &'a str> + Clone, after: &str) -> String {
    let bytes = texts.clone().map(|own| own.len() + 1).sum::<usize>();
    let mut whole = String::with_capacity(before.len() + bytes + after.len());
    whole.push_str(before);
    for (index, text) in texts.enumerate() {
        if 0 < index {
            whole.push(',');
        }
        whole.push_str(text);
    }
    whole.push_str(after);
    whole
}

struct View<'a> {
    seq: Seq,
    body: &'a Body,
    rules: Rules<'a>,
    catalogue: &'a Catalogue,
    names: Names<'a>,
}

impl<'a> View<'a> {
    fn of(seq: Seq, body: &'a Body, rules: Rules<'a>) -> View<'a> {
        let catalogue = rules.catalogue;
        View { seq, body, rules, catalogue, names: Names { catalogue } }
    }

    /// Writes an event; `None` of one that says nothing.
    fn write(&self, index: usize, topic: Topic, event: &'a Event) -> Result<Option<String>, serde_json::Error> {
        self.cloud_event(index, topic, event).map(|event| serde_json::to_string(&event)).transpose()
    }

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
                return result_of(Some(self.seq), self.body, self.rules).map(Box::new).map(Data::Accepted);
            }
            Event::PurchaseRefused(refused) => {
                return Some(Data::Rejected {
                    purchase: UuidText(refused.key.0),
                    partner: self.names.partner(refused.partner),
                    origin_id: &refused.origin_id,
                    code: refused.code.as_str(),
                });
            }
            Event::OperationDone(_) => {
                let result = operation_result(Some(self.seq), self.body, self.rules);
                return result.map(Box::new).map(Data::OperationAccepted);
            }
            Event::OperationRefused(refused) => {
                return Some(Data::OperationRejected {
                    customer: refused.customer.map(|customer| UuidText(customer.0)),
                    operation: Asked::of(&refused.operation),
                    by: by(refused.actor, &self.names),
                    code: refused.rejection.code(),
                    review: self.body.events.iter().find_map(|event| match event {
                        Event::ReviewClosed(own) => Some(own.review.0),
                        _ => None,
                    }),
                });
            }
            Event::WalletOpened(opened) => {
                Said::WalletOpened { wallet: opened.wallet.0, status: status_text(WalletStatus::Active) }
            }
            Event::WalletStatusSet(set) => Said::WalletStatus {
                wallet: set.wallet.0,
                before: status_text(set.before),
                after: status_text(set.after),
            },
            Event::OfferRedeemed(redeemed) => Said::Redeemed {
                offer: self.names.offer(redeemed.offer),
                rule: redeemed.offer.0,
                version,
                quantity: redeemed.quantity,
                points: redeemed.points.minor_units(),
            },
            Event::InvoiceOpened(own) => Said::Invoice(InvoiceChange::opened(own, &self.names)),
            Event::InvoiceCancelled(own) => {
                Said::Invoice(InvoiceChange::cancelled(&own.number, own.partner, &self.names))
            }
            Event::RiskChecked(own) => Said::Risk {
                looked_at: RiskKindFile::of(own.kind),
                amount: own.amount.minor_units(),
                verdict: RiskVerdict::of(own.verdict),
                rule: own.rule.map(|rule| self.names.risk_rule(rule)),
            },
            Event::OperationReversed(own) => Said::Reversed(Reversed::of(own, &self.names)),
            Event::ReviewOpened(own) => {
                Said::ReviewOpened { set_aside: Asked::of(&own.operation), by: by(own.actor, &self.names) }
            }
            Event::ReviewClosed(own) => Said::ReviewClosed { review: own.review.0 },
            Event::InvoicePaid(own) => Said::Invoice(InvoiceChange::paid(own, &self.names)),
            Event::TransferSent(own) => Said::Transfer(TransferState::sent(self.seq, own)),
            Event::TransferCredited(own) => Said::Transfer(TransferState::received(own)),
            Event::TransferDeclined(own) => Said::Transfer(TransferState::declined(own)),
            Event::TransferSettled(own) => Said::Transfer(TransferState::settled(own)),
            Event::TransferReturned(own) => Said::Transfer(TransferState::returned(own)),
            Event::HoldPlaced(hold) => Said::Hold(HoldState::of(hold, &self.names)),
            Event::HoldClosed(closed) => Said::Hold(HoldState::closed(closed, &self.names)),
            Event::CustomerCreated(created) => Said::Registered {
                named_by: match created.alias.kind {
                    AliasKind::Email => "email",
                    AliasKind::Ref => "ref",
                },
            },
            Event::CustomerErased => Said::Erased { erased: true },
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
            Event::WalletEntry(entry) => self.entry(entry)?,
            Event::SpendCounted(counted) => Said::Tier(self.names.spend_step(counted)),
            Event::TierPlaced(placed) => Said::Tier(self.names.placement(placed, self.rules.former)),
            Event::PurchaseRefunded(refunded) => Said::Refunded {
                refund_id: &refunded.refund_id,
                amount: refunded.amount.minor_units(),
                remaining: refunded.remaining.minor_units(),
                clawed_back: back_effects(&refunded.claw_back, &self.names),
                unit_returned: refunded.returned_unit.map(|promo| self.names.promo(promo)),
            },
            // It is not public.
            Event::HousePosted(_)
            | Event::OperationCounted(_)
            | Event::PurchaseBlocked(_)
            | Event::Audited(_)
            | Event::RiskCheckArchived(_) => return None,
            Event::CashbackEarned(earned) => Said::Earned(self.names.cashback_rule(earned)),
            Event::FulfillmentAdvanced(advanced) => Said::Earned(self.names.fulfillment(advanced)),
            Event::RewardGranted(granted) => Said::Earned(self.names.reward(granted)),
            Event::CampaignCompleted(completed) => Said::Campaign {
                campaign: self.names.campaign(completed.campaign),
                rule: completed.campaign.0,
                version,
                completions: completed.completions,
            },
            Event::PointEntry(entry) => Said::Points {
                kind: self.names.point_kind(entry.kind),
                direction: Side::of(entry.direction),
                points: entry.points.minor_units(),
                source: entry.source.0,
                matures_at: entry.matures.instant().map(Rfc3339),
                expires_at: entry.expires.instant().map(Rfc3339),
                reason: PointsReason::of(entry),
                points_after: entry.balance_after.minor_units(),
            },
        };
        // A hold hangs on no purchase, also where it expired before one, which may be another partner's.
        let purchase = if matches!(said, Said::Hold(_)) { None } else { purchase_behind(self.body) };
        Some(Data::Customer(About {
            customer: self.body.customer.map(|customer| UuidText(customer.0)),
            purchase,
            said,
        }))
    }

    /// The accounts of the house on the other side are not for partners, so they are not said.
    fn entry(&self, entry: &Entry) -> Option<Said<'a>> {
        // A wallet holds money alone.
        let Unit::Money(currency) = entry.unit else { return None };
        Some(Said::Entry {
            wallet: entry.wallet.0,
            currency: currency.as_str().to_owned(),
            direction: Side::of(entry.direction),
            amount: entry.amount.minor_units(),
            balance_after: entry.balance_after.minor_units(),
        })
    }
}

/// Returns the partner whose purchase a record books, refuses or refunds, or that asked for what it does.
pub(crate) fn partner_of(body: &Body) -> Option<PartnerId> {
    // A refund is its partner's, whoever asked for it.
    let refunded = body.events.iter().find_map(|event| match event {
        Event::PurchaseRefunded(refunded) => Some(refunded.partner),
        _ => None,
    });
    if refunded.is_some() {
        return refunded;
    }
    // The first that says who asked; what is refused behind it is another's.
    let asked = body.events.iter().find_map(|event| match event {
        Event::PurchaseBooked(booked) => Some(Some(booked.partner)),
        Event::PurchaseRefused(refused) => Some(Some(refused.partner)),
        Event::OperationDone(done) => Some(partner_who_asked(done.actor)),
        Event::OperationRefused(refused) => Some(partner_who_asked(refused.actor)),
        Event::TransferSent(sent) => Some(partner_who_asked(sent.actor)),
        Event::ReviewOpened(own) => Some(partner_who_asked(own.actor)),
        _ => None,
    });
    asked.flatten()
}

const fn partner_who_asked(actor: Actor) -> Option<PartnerId> {
    match actor {
        Actor::Partner(partner) => Some(partner),
        Actor::Operator | Actor::Person(..) | Actor::Server => None,
    }
}

/// Returns true of a record that places a customer on other levels or lets points and holds expire, and does nothing else:
/// it is of the tenant's rules and of time, and of no partner.
pub(crate) fn is_of_nobody(body: &Body) -> bool {
    body.events.iter().all(|event| matches!(event, Event::TierPlaced(_)) || is_upkeep(event))
}

#[cfg(test)]
pub(crate) mod tests {
    use kembali_core::draft::Numbering;
    use kembali_core::event::{WalletOpened, WalletStatusSet};
    use kembali_core::{CurrencyCode, Instant, TenantId, WalletId};

    use super::*;
    use crate::wire::catalogue::CatalogueFile;

    const CUSTOMER: CustomerId = CustomerId(5);

    /// Makes a record of a customer.
    pub(crate) fn written(seq: Seq, events: Vec<Event>) -> Arc<WrittenRecord> {
        let file: CatalogueFile = toml::from_str(include_str!("../../../demo/journey.toml")).unwrap();
        let numbering = Numbering { tenant: TenantId(1), next_partner: PartnerId(1), currency_is_fixed: false };
        let catalogue = Arc::new(file.to_draft().unwrap().resolve(None, numbering).unwrap());
        let body = Body {
            received_at: Instant(0),
            tenant: TenantId(1),
            catalogue_version: 1,
            customer: Some(CUSTOMER),
            previous: Seq::ZERO,
            events,
        };
        Arc::new(WrittenRecord::new(Arc::new(Record { seq, body }), catalogue, Vec::new()))
    }

    #[test]
    fn what_is_written_once_is_what_each_would_write() {
        let (wallet, unit) = (WalletId(2), Unit::Money(CurrencyCode::parse("IDR").unwrap()));
        let set = |before, after| Event::WalletStatusSet(WalletStatusSet { wallet, unit, before, after });
        let events = vec![
            Event::WalletOpened(WalletOpened { wallet, unit }),
            set(WalletStatus::Active, WalletStatus::Frozen),
            Event::CustomerErased,
            set(WalletStatus::Frozen, WalletStatus::Active),
        ];
        let written = written(Seq(9), events);
        let topics =
            ["*", "wallet.status", "tier.*", "customer.*,wallet.opened"].map(|own| Topics::parse(own).unwrap());
        let audiences = [Audience::Operators, Audience::Customer(CUSTOMER), Audience::Customer(CustomerId(6))];
        let mut seen = Vec::new();
        // Again: the second time nothing is left to write.
        for topics in topics.into_iter().chain(topics) {
            for audience in audiences {
                let mut events = Events::default();
                let is_any = written.append_to(&mut events, (audience, topics)).unwrap();
                let own = is_any.then(|| events.frame(Seq(9)));
                let Record { seq, body } = written.record();
                assert_eq!(own, render(*seq, body, &written.catalogue, (audience, topics)).unwrap());
                seen.push(events.count());
            }
        }
        let expected = [4, 4, 0, 2, 2, 0, 0, 0, 0, 2, 2, 0];
        assert_eq!(seen, [expected, expected].concat());
    }

    fn check(list: &str) -> Result<String, &str> {
        let topics = Topics::parse(list)?;
        let has: Vec<&str> = Topic::ALL.into_iter().filter(|topic| topics.has(*topic)).map(Topic::name).collect();
        Ok(has.join(" "))
    }

    #[test]
    fn lists_of_topics() {
        assert_eq!(check("tier.changed"), Ok("tier.changed".to_owned()));
        assert_eq!(
            check("wallet.entry,purchase.*"),
            Ok("purchase.accepted purchase.rejected wallet.entry purchase.refunded".to_owned())
        );
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
