//! What has happened: the events of a record, and the record itself.
//!
//! An event carries outcomes (the tier after, the balance after, the units used), never something to compute, so that
//! a fold of the records needs no catalogue and no other row. Kinds and shapes are for ever: the journal's codec
//! freezes them under golden files, and a new shape is a new version there.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::accounts::{Entry, HouseEntry};
use crate::audit::Audit;
use crate::campaign::Progress;
use crate::catalogue::{Catalogue, RewardKind};
use crate::hold::{Hold, HoldClosed};
use crate::identity::{Alias, CustomerId, Fingerprint, PartnerId, PurchaseKey, RuleId, TenantId, Unit, WalletId};
use crate::invoice::{InvoiceCancelled, InvoiceOpened, InvoicePaid};
use crate::journey::{Remark, Standing};
use crate::operation::{Operation, OperationDone, OperationRefused};
use crate::points::PointEntry;
use crate::purchase::Purchase;
use crate::quantity::{Amount, Balance, Instant, Seq};
use crate::refund::PurchaseRefunded;
use crate::rejection::RejectionCode;
use crate::reversal::OperationReversed;
use crate::review::{ReviewClosed, ReviewOpened};
use crate::risk::{OperationCounted, PurchaseBlocked, RiskCheckArchived, RiskChecked};
use crate::threshold::SpendStanding;
use crate::transfer::{TransferCredited, TransferDeclined, TransferReturned, TransferSent, TransferSettled};
use crate::wallet::WalletStatus;

/// All that one command did: one position, one stamp, all or nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its position.
    pub seq: Seq,
    /// What it says.
    pub body: Body,
}

/// A record before it has its position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// When the ledger received the command. Never falls from one record to the next.
    pub received_at: Instant,
    /// Whose rules.
    pub tenant: TenantId,
    /// The version of the tenant's catalogue that it was decided by; of a catalogue change, the new one.
    pub catalogue_version: u32,
    /// The one customer whose row it changes, if any.
    pub customer: Option<CustomerId>,
    /// The record before this one that names the same customer; zero when there is none.
    pub previous: Seq,
    /// What happened, in order; never empty.
    pub events: Vec<Event>,
}

impl Body {
    /// Returns the operation that was done, with who asked.
    #[must_use]
    pub fn operation_done(&self) -> Option<&OperationDone> {
        self.events.iter().find_map(|event| match event {
            Event::OperationDone(done) => Some(&**done),
            _ => None,
        })
    }

    /// Returns the operation that was done, as it was asked.
    #[must_use]
    pub fn operation(&self) -> Option<&Operation> {
        self.operation_done().map(|done| &done.operation)
    }
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A tenant's rules changed, or a tenant came to be.
    CatalogueApplied(Arc<Catalogue>),
    /// The record's customer came to be.
    CustomerCreated(CustomerCreated),
    /// A purchase was booked.
    PurchaseBooked(Box<PurchaseBooked>),
    /// A purchase was refused; this is its receipt.
    PurchaseRefused(Box<PurchaseRefused>),
    /// A promo paid for the purchase.
    PromoGranted(PromoGranted),
    /// A promo did not pay for the purchase.
    PromoDeclined(PromoDeclined),
    /// The customer took a step in a tier programme.
    TierStepped(TierStepped),
    /// The customer's count reached a milestone.
    MilestoneReached(MilestoneReached),
    /// A wallet was credited or debited.
    WalletEntry(Entry),
    /// What the customer has spent was counted in a Threshold programme.
    SpendCounted(SpendCounted),
    /// A cashback rule paid for the purchase.
    CashbackEarned(CashbackEarned),
    /// A fulfillment of a campaign came nearer, or was met.
    FulfillmentAdvanced(FulfillmentAdvanced),
    /// Every fulfillment of a campaign was met: it is completed, and its progress starts again with nothing.
    CampaignCompleted(CampaignCompleted),
    /// A campaign paid a reward.
    RewardGranted(RewardGranted),
    /// A point account was credited or debited.
    PointEntry(PointEntry),
    /// The customer was placed on another level of a tier programme, and no purchase did it.
    TierPlaced(TierPlaced),
    /// A purchase was refunded, in whole or in part.
    PurchaseRefunded(Box<PurchaseRefunded>),
    /// Accounts of the house were moved, and no wallet.
    HousePosted(HouseEntry),
    /// An operation was done.
    OperationDone(Box<OperationDone>),
    /// An operation was refused.
    OperationRefused(Box<OperationRefused>),
    /// A wallet was opened.
    WalletOpened(WalletOpened),
    /// A wallet was frozen, made active again, or closed.
    WalletStatusSet(WalletStatusSet),
    /// Points were spent on an offer.
    OfferRedeemed(OfferRedeemed),
    /// Money of a wallet was set aside for a partner.
    HoldPlaced(Hold),
    /// Money that was set aside was paid or given free.
    HoldClosed(HoldClosed),
    /// Money was sent to another wallet.
    TransferSent(Box<TransferSent>),
    /// Money that was sent has arrived.
    TransferCredited(TransferCredited),
    /// Money that was sent is not taken.
    TransferDeclined(TransferDeclined),
    /// Money that was sent is where it was sent to.
    TransferSettled(TransferSettled),
    /// Money that was sent is back.
    TransferReturned(TransferReturned),
    /// An invoice was opened.
    InvoiceOpened(Box<InvoiceOpened>),
    /// An invoice was taken back.
    InvoiceCancelled(Box<InvoiceCancelled>),
    /// An invoice was paid.
    InvoicePaid(Box<InvoicePaid>),
    /// An operation was looked at before money moves, or a purchase before it is booked.
    RiskChecked(RiskChecked),
    /// An operation was reversed.
    OperationReversed(OperationReversed),
    /// An operation was set aside for a person.
    ReviewOpened(Box<ReviewOpened>),
    /// A review is over.
    ReviewClosed(Box<ReviewClosed>),
    /// An operation counts for rules of partners and devices.
    OperationCounted(OperationCounted),
    /// A check of the log is archived.
    RiskCheckArchived(RiskCheckArchived),
    /// A risk rule blocked the purchase that is refused before this event.
    PurchaseBlocked(PurchaseBlocked),
    /// Somebody did something that is for administrators.
    Audited(Box<Audit>),
    /// Nothing says any more who the customer is.
    CustomerErased,
}

/// See [`Event::OfferRedeemed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferRedeemed {
    /// The offer.
    pub offer: RuleId,
    /// How many units, of its stock if it has one.
    pub quantity: u32,
    /// How many points they cost in all.
    pub points: Amount,
}

impl Event {
    /// Returns the key that is taken for ever by this event: that of a purchase, or of a refund.
    #[must_use]
    pub fn booked_key(&self) -> Option<PurchaseKey> {
        match self {
            Event::PurchaseBooked(booked) => Some(booked.key),
            Event::PurchaseRefunded(refunded) => Some(refunded.key),
            _ => None,
        }
    }
}

/// See [`Event::CustomerCreated`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomerCreated {
    /// The alias that named the customer first.
    pub alias: Alias,
}

/// See [`Event::PurchaseBooked`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurchaseBooked {
    /// Who sent it.
    pub partner: PartnerId,
    /// Its key.
    pub key: PurchaseKey,
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
    /// The instant that the rules saw.
    pub at: Instant,
    /// The refusal that this booking replaces, if the key had one.
    pub replaces: Option<RejectionCode>,
    /// What is in the wallet that cashback goes to, once all of this is booked.
    pub balance_after: Balance,
    /// What was bought.
    pub purchase: Purchase,
}

impl PurchaseBooked {
    /// Returns the partner's instant where it is the one that the rules saw: only that was checked not to lie in the
    /// future, so only that can move the watermark.
    #[must_use]
    pub fn drove_rules(&self) -> Option<Instant> {
        self.purchase.occurred_at.filter(|occurred_at| *occurred_at == self.at)
    }
}

/// See [`Event::PurchaseRefused`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurchaseRefused {
    /// Who sent it.
    pub partner: PartnerId,
    /// Its key, which stays free.
    pub key: PurchaseKey,
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
    /// The partner's id of it.
    pub origin_id: Box<str>,
    /// Why.
    pub code: RejectionCode,
    /// The refusal that this one replaces, if the key had one.
    pub replaces: Option<RejectionCode>,
}

/// See [`Event::PromoGranted`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromoGranted {
    /// The promo, one unit of whose quota is used.
    pub promo: RuleId,
    /// The band.
    pub band: RuleId,
    /// What it paid.
    pub points: Amount,
}

/// See [`Event::PromoDeclined`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromoDeclined {
    /// The promo.
    pub promo: RuleId,
    /// Why.
    pub reason: DeclineReason,
}

/// Why a promo did not pay, with the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeclineReason {
    /// The purchase is outside of the promo's period.
    OutsidePeriod,
    /// No band is for this quantity and amount.
    NoBand,
    /// The band's share rounds to nothing.
    RoundsToZero {
        /// The band.
        band: RuleId,
    },
    /// The quota is used up.
    QuotaExhausted {
        /// The band that would have paid.
        band: RuleId,
        /// The quota.
        quota: u64,
        /// What it would have paid.
        points: Amount,
    },
}

/// See [`Event::TierStepped`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TierStepped {
    /// Where the customer stood; `None` for a first step.
    pub before: Option<Standing>,
    /// Where the customer stands.
    pub after: Standing,
    /// What the step was.
    pub remark: Remark,
}

/// See [`Event::SpendCounted`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpendCounted {
    /// Where the customer stood; `None` for a first purchase.
    pub before: Option<SpendStanding>,
    /// Where the customer stands.
    pub after: SpendStanding,
}

/// See [`Event::CashbackEarned`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CashbackEarned {
    /// The rule.
    pub rule: RuleId,
    /// The kind of points that it paid.
    pub kind: RuleId,
    /// How many.
    pub points: Amount,
}

/// See [`Event::FulfillmentAdvanced`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FulfillmentAdvanced {
    /// The campaign.
    pub campaign: RuleId,
    /// Where the fulfillment is now.
    pub progress: Progress,
}

/// See [`Event::CampaignCompleted`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CampaignCompleted {
    /// The campaign.
    pub campaign: RuleId,
    /// How often the customer has completed it now.
    pub completions: u32,
    /// True when the customer had completed no campaign before.
    pub is_first: bool,
}

/// See [`Event::RewardGranted`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RewardGranted {
    /// The campaign.
    pub campaign: RuleId,
    /// The reward.
    pub reward: RuleId,
    /// What was paid.
    pub paid: RewardKind,
}

/// See [`Event::TierPlaced`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TierPlaced {
    /// Why.
    pub reason: PlacementReason,
    /// Where the customer stood, and stands.
    pub placed: Placed,
}

/// Why a customer was placed on another level. New reasons stand at the end: the journal holds them by their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PlacementReason {
    /// An operator moved the customer up.
    Promoted,
    /// An operator moved the customer down.
    Demoted,
    /// The customer's level was removed.
    LevelRemoved {
        /// The version of the tenant's rules that removed it.
        version: u32,
    },
    /// A purchase of the customer was refunded.
    Refunded,
}

/// Where a customer stood in a programme of either policy, and stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Placed {
    /// In a Journey programme.
    Journey {
        /// Where the customer stood.
        before: Standing,
        /// Where the customer stands.
        after: Standing,
    },
    /// In a Threshold programme.
    Threshold {
        /// Where the customer stood.
        before: SpendStanding,
        /// Where the customer stands.
        after: SpendStanding,
    },
}

impl Placed {
    /// Returns the programme.
    #[must_use]
    pub const fn program(&self) -> RuleId {
        match self {
            Placed::Journey { after, .. } => after.program,
            Placed::Threshold { after, .. } => after.program,
        }
    }

    /// Returns the level before.
    #[must_use]
    pub const fn from(&self) -> RuleId {
        match self {
            Placed::Journey { before, .. } => before.level,
            Placed::Threshold { before, .. } => before.level,
        }
    }

    /// Returns the level after.
    #[must_use]
    pub const fn to(&self) -> RuleId {
        match self {
            Placed::Journey { after, .. } => after.level,
            Placed::Threshold { after, .. } => after.level,
        }
    }
}

/// See [`Event::WalletOpened`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WalletOpened {
    /// The wallet.
    pub wallet: WalletId,
    /// What it counts.
    pub unit: Unit,
}

/// See [`Event::WalletStatusSet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WalletStatusSet {
    /// The wallet.
    pub wallet: WalletId,
    /// What it counts.
    pub unit: Unit,
    /// What it was.
    pub before: WalletStatus,
    /// What it is.
    pub after: WalletStatus,
}

/// See [`Event::MilestoneReached`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MilestoneReached {
    /// The programme.
    pub program: RuleId,
    /// The level.
    pub level: RuleId,
    /// The milestone.
    pub milestone: RuleId,
    /// The count that was reached.
    pub at_count: u32,
    /// What it paid.
    pub points: Amount,
}
