//! One customer: wallets and tiers, and the decision that needs them.
//!
//! A row is the fold of the records that name its customer. [`decide`] may refuse; [`Row::evolve`] cannot.

mod decide;
mod earned;
mod operate;

use alloc::vec::Vec;

pub use decide::{Decision, decide};
pub use operate::{OperationDecision, operate};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use thin_vec::ThinVec;

use crate::campaign::{CampaignStanding, Progress};
use crate::event::{Body, Event, Placed};
use crate::hold::Hold;
use crate::identity::{Alias, CustomerId, PurchaseKey, RuleId, TenantId, Unit, WalletId};
use crate::journey::Standing;
use crate::points::PointAccount;
use crate::quantity::{Amount, Balance, Seq};
use crate::refund::RefundStanding;
use crate::risk::Remembered;
use crate::threshold::SpendStanding;
use crate::wallet::{CASHBACK_WALLET, Wallet};

/// Everything that the ledger knows of a customer.
///
/// There are as many as customers, so lists that most of them never have take no more than a pointer, and what every purchase looks at
/// lies in the row itself. A row is three lines of the processor's memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(align(64))]
pub struct Row {
    /// The customer.
    pub id: CustomerId,
    /// Whose customer.
    pub tenant: TenantId,
    /// The version of the tenant's rules that the row was last decided by.
    pub catalogue_version: u32,
    /// The alias that named the customer first.
    pub alias: Alias,
    /// How many purchases are booked.
    pub purchases: u64,
    /// The wallets, in order of their ids.
    pub wallets: SmallVec<[Wallet; 1]>,
    /// Where the customer stands in each Journey programme, in order of the programmes.
    pub standings: SmallVec<[Standing; 1]>,
    /// Where the customer stands in each Threshold programme, in order of the programmes.
    pub spends: ThinVec<SpendStanding>,
    /// The point accounts, in order of the kinds.
    pub points: ThinVec<PointAccount>,
    /// Where the customer stands in each campaign, in order of the campaigns.
    pub campaigns: ThinVec<CampaignStanding>,
    /// What was refunded of purchases, in order of their keys; of those alone that were refunded.
    pub refunds: ThinVec<RefundStanding>,
    /// How many holds there ever were.
    pub holds_placed: u32,
    /// The holds that are open, in order of their numbers.
    pub holds: ThinVec<Hold>,
    /// The operations that risk rules may ask for, the oldest first.
    pub risk: ThinVec<Remembered>,
    /// The records of operations that are reversed, in their order.
    pub reversed: ThinVec<Seq>,
    /// True once the customer was forgotten: the profiles hold nothing of the customer, for ever.
    pub is_erased: bool,
}

#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Row>() == 3 * 64, "a row is three lines of memory");

impl Row {
    /// Makes the row of a customer whom a record creates, before that record is folded in.
    ///
    /// Returns `None` when the record creates nobody.
    #[must_use]
    pub fn created_by(body: &Body) -> Option<Row> {
        let id = body.customer?;
        let created = body.events.iter().find_map(|event| match event {
            Event::CustomerCreated(created) => Some(created),
            _ => None,
        })?;
        Some(Row {
            id,
            tenant: body.tenant,
            catalogue_version: body.catalogue_version,
            alias: created.alias,
            purchases: 0,
            wallets: SmallVec::new(),
            standings: SmallVec::new(),
            spends: ThinVec::new(),
            points: ThinVec::new(),
            campaigns: ThinVec::new(),
            refunds: ThinVec::new(),
            holds_placed: 0,
            holds: ThinVec::new(),
            risk: ThinVec::new(),
            reversed: ThinVec::new(),
            is_erased: false,
        })
    }

    /// Folds a record in that names this customer.
    pub fn evolve(&mut self, body: &Body) {
        self.catalogue_version = body.catalogue_version;
        for event in &body.events {
            match event {
                Event::PurchaseBooked(_) => self.purchases += 1,
                Event::TierStepped(stepped) => self.place(stepped.after),
                Event::WalletEntry(entry) => self.wallet_mut(entry.wallet, entry.unit).balance = entry.balance_after,
                Event::SpendCounted(counted) => self.place_spend(counted.after),
                Event::TierPlaced(placed) => self.place_anew(&placed.placed),
                Event::PointEntry(entry) => self.point_account_mut(entry.kind).evolve(entry),
                Event::FulfillmentAdvanced(advanced) => self.advance(advanced.campaign, advanced.progress),
                Event::CampaignCompleted(completed) => {
                    let standing = self.campaign_mut(completed.campaign);
                    standing.completions = completed.completions;
                    standing.progress = Vec::new();
                }
                Event::PurchaseRefunded(refunded) => self.refund_mut(refunded.purchase).evolve(refunded),
                Event::WalletOpened(opened) => drop(self.wallet_mut(opened.wallet, opened.unit)),
                Event::WalletStatusSet(set) => self.wallet_mut(set.wallet, set.unit).status = set.after,
                Event::RiskChecked(checked) => self.evolve_risk(checked),
                Event::OperationReversed(own) => self.evolve_reversed(own),
                Event::CustomerErased => self.is_erased = true,
                Event::HoldPlaced(hold) => self.evolve_hold_placed(hold),
                Event::HoldClosed(closed) => self.evolve_hold_closed(closed),
                Event::CatalogueApplied(_)
                | Event::HousePosted(_)
                | Event::CustomerCreated(_)
                | Event::OperationDone(_)
                | Event::OperationRefused(_)
                | Event::PurchaseRefused(_)
                | Event::PurchaseBlocked(_)
                | Event::Audited(_)
                | Event::PromoGranted(_)
                | Event::PromoDeclined(_)
                | Event::MilestoneReached(_)
                | Event::CashbackEarned(_)
                | Event::RewardGranted(_)
                | Event::OfferRedeemed(_)
                | Event::TransferSent(_)
                | Event::TransferCredited(_)
                | Event::TransferDeclined(_)
                | Event::TransferSettled(_)
                | Event::TransferReturned(_)
                | Event::InvoiceOpened(_)
                | Event::InvoiceCancelled(_)
                | Event::InvoicePaid(_)
                | Event::ReviewOpened(_)
                | Event::ReviewClosed(_)
                | Event::OperationCounted(_)
                | Event::RiskCheckArchived(_) => (),
            }
        }
    }

    pub(crate) fn place_anew(&mut self, placed: &Placed) {
        match placed {
            Placed::Journey { after, .. } => self.place(*after),
            Placed::Threshold { after, .. } => self.place_spend(*after),
        }
    }

    fn place(&mut self, standing: Standing) {
        match self.standings.binary_search_by_key(&standing.program, |own| own.program) {
            Ok(at) => self.standings[at] = standing,
            Err(at) => {
                // Most customers stand in one programme for ever.
                self.standings.reserve_exact(1);
                self.standings.insert(at, standing);
            }
        }
    }

    fn place_spend(&mut self, standing: SpendStanding) {
        match self.spends.binary_search_by_key(&standing.program, |own| own.program) {
            Ok(at) => self.spends[at] = standing,
            Err(at) => {
                self.spends.reserve_exact(1);
                self.spends.insert(at, standing);
            }
        }
    }

    pub(crate) fn point_account_mut(&mut self, kind: RuleId) -> &mut PointAccount {
        let at = match self.points.binary_search_by_key(&kind, |own| own.kind) {
            Ok(at) => at,
            Err(at) => {
                self.points.reserve_exact(1);
                self.points.insert(at, PointAccount { kind, lots: Vec::new() });
                at
            }
        };
        &mut self.points[at]
    }

    fn campaign_mut(&mut self, campaign: RuleId) -> &mut CampaignStanding {
        let at = match self.campaigns.binary_search_by_key(&campaign, |own| own.campaign) {
            Ok(at) => at,
            Err(at) => {
                self.campaigns.reserve_exact(1);
                self.campaigns.insert(at, CampaignStanding { campaign, completions: 0, progress: Vec::new() });
                at
            }
        };
        &mut self.campaigns[at]
    }

    fn advance(&mut self, campaign: RuleId, progress: Progress) {
        let own = &mut self.campaign_mut(campaign).progress;
        match own.binary_search_by_key(&progress.fulfillment, |own| own.fulfillment) {
            Ok(at) => own[at] = progress,
            Err(at) => {
                own.reserve_exact(1);
                own.insert(at, progress);
            }
        }
    }

    fn refund_mut(&mut self, purchase: PurchaseKey) -> &mut RefundStanding {
        let at = match self.refunds.binary_search_by_key(&purchase, |own| own.purchase) {
            Ok(at) => at,
            Err(at) => {
                self.refunds.reserve_exact(1);
                self.refunds.insert(at, RefundStanding::new(purchase));
                at
            }
        };
        &mut self.refunds[at]
    }

    fn wallet_mut(&mut self, id: WalletId, unit: Unit) -> &mut Wallet {
        let at = match self.wallets.binary_search_by_key(&id, |own| own.id) {
            Ok(at) => at,
            Err(at) => {
                self.wallets.reserve_exact(1);
                self.wallets.insert(at, Wallet::new(id, unit));
                at
            }
        };
        &mut self.wallets[at]
    }

    /// Finds where the customer stands in a programme.
    #[must_use]
    pub fn standing(&self, program: RuleId) -> Option<&Standing> {
        self.standings.iter().find(|standing| standing.program == program)
    }

    /// Finds where the customer stands in a Threshold programme.
    #[must_use]
    pub fn spend(&self, program: RuleId) -> Option<&SpendStanding> {
        self.spends.iter().find(|standing| standing.program == program)
    }

    /// Finds where the customer stands in a campaign.
    #[must_use]
    pub fn campaign(&self, campaign: RuleId) -> Option<&CampaignStanding> {
        self.campaigns.iter().find(|standing| standing.campaign == campaign)
    }

    /// Returns how many points of a kind the customer holds.
    #[must_use]
    pub fn point_balance(&self, kind: RuleId) -> Amount {
        self.points.iter().find(|own| own.kind == kind).map_or(Amount::ZERO, PointAccount::balance)
    }

    /// Finds what was refunded of a purchase.
    #[must_use]
    pub fn refund(&self, purchase: PurchaseKey) -> Option<&RefundStanding> {
        let at = self.refunds.binary_search_by_key(&purchase, |own| own.purchase).ok()?;
        self.refunds.get(at)
    }

    /// Finds a wallet. The one that cashback goes to is there from the start, in `unit`.
    #[must_use]
    pub fn wallet(&self, id: WalletId, unit: Unit) -> Option<Wallet> {
        let own = self.wallets.iter().find(|own| own.id == id).copied();
        own.or_else(|| (id == CASHBACK_WALLET).then(|| Wallet::new(id, unit)))
    }

    /// Returns what is in a wallet; nothing when there was no entry yet.
    #[must_use]
    pub fn balance(&self, wallet: WalletId) -> Balance {
        self.wallets.iter().find(|own| own.id == wallet).map_or(Balance::ZERO, |own| own.balance)
    }
}
