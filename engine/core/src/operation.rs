//! What is asked of a customer's accounts beside a purchase: who asks, what, and why not.
//!
//! An operation names its customer by id, except for the one that creates it. It is stored as it was asked, so shapes
//! here are for ever: variants are appended and never changed. What it did is said by the events behind it.
//!
//! Operations that move money or cannot be repeated harmlessly carry an [`OperationKey`]. The key is remembered for
//! [`KEY_LIFE_US`] of the ledger's time, with what became of it, be that a success or a refusal.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::accounts::Direction;
use crate::audit::Role;
use crate::event::{Body, Event, Record};
use crate::hold::HoldId;
use crate::identity::{AccountId, CustomerId, CustomerName, Fingerprint, PartnerId, RuleId, TenantId, WalletId};
use crate::quantity::{Amount, Balance, DAY_US, Instant, Seq};
use crate::refund::{Refund, RefundRejection};
use crate::risk::DeviceId;
use crate::transfer::TransferRefusal;
use crate::wallet::WalletStatus;

/// How long the key of an operation is remembered: 30 days.
pub const KEY_LIFE_US: i64 = 30 * DAY_US;

/// An idempotency key: the keyed hash of (tenant, caller, the caller's text).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OperationKey(pub u128);

/// Who asks. New ones stand at the end: the journal holds them by their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Actor {
    /// Whoever holds the server's operator token.
    Operator,
    /// A partner of the tenant.
    Partner(PartnerId),
    /// A person, by an account of the tenant, in the role that it had then.
    Person(AccountId, Role),
    /// The server itself, by its configuration.
    Server,
}

impl Actor {
    /// Returns true of whoever may do for any customer of the tenant what an operator may.
    #[must_use]
    pub const fn is_operator(self) -> bool {
        matches!(self, Actor::Operator | Actor::Server | Actor::Person(_, Role::Operator | Role::Admin))
    }
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Operation {
    /// Creates the customer whom an alias names. Does nothing when there is one.
    CreateCustomer,
    /// Opens one more wallet. Its name is kept with the profiles.
    OpenWallet,
    /// Gives a wallet another name, which is kept with the profiles.
    RenameWallet {
        /// Which.
        wallet: WalletId,
    },
    /// Freezes a wallet, makes it active again, or closes it. Does nothing when it is that already.
    SetWalletStatus {
        /// Which.
        wallet: WalletId,
        /// What it becomes.
        status: WalletStatus,
    },
    /// Puts money from outside into a wallet.
    Deposit {
        /// Which.
        wallet: WalletId,
        /// How much, in minor units, as asked.
        amount: i64,
        /// The caller's own name of it, such as the number of a bank transfer.
        reference: Option<Box<str>>,
    },
    /// Puts a wallet right by hand.
    Adjust {
        /// Which.
        wallet: WalletId,
        /// Into it or out of it.
        direction: Direction,
        /// How much, in minor units, as asked.
        amount: i64,
        /// Why.
        reason: Box<str>,
    },
    /// Reports that the customer did something that has a tag.
    ReportActivity {
        /// The tag.
        tag: Box<str>,
        /// When it was, if the caller says so.
        occurred_at: Option<Instant>,
    },
    /// Moves the customer one level up or down in a tier programme, by hand.
    MoveTier {
        /// The programme, by its name.
        program: Box<str>,
        /// Which way.
        to: TierMove,
    },
    /// Spends points on an offer.
    Redeem {
        /// The offer, by its name.
        offer: Box<str>,
        /// How many units of it, as asked.
        quantity: i64,
    },
    /// Takes a purchase back, in whole or in part.
    RefundPurchase(Box<Refund>),
    /// Sets money of a wallet aside for a partner.
    PlaceHold {
        /// Which.
        wallet: WalletId,
        /// For whom.
        partner: PartnerId,
        /// How much, in minor units, as asked.
        amount: i64,
        /// For how many seconds, if the caller says so.
        life_seconds: Option<i64>,
        /// The caller's own name of it, such as the number of an order.
        reference: Option<Box<str>>,
    },
    /// Pays a partner what was set aside, or a part of it, and gives the rest free.
    SettleHold {
        /// Which.
        hold: HoldId,
        /// How much, in minor units, as asked; `None` for all of it.
        amount: Option<i64>,
    },
    /// Gives free what was set aside.
    VoidHold {
        /// Which.
        hold: HoldId,
    },
    /// Sends money to another wallet, of this customer or of another one.
    Transfer {
        /// Out of which.
        wallet: WalletId,
        /// Whose wallet gets it.
        to: CustomerId,
        /// Which of them.
        to_wallet: WalletId,
        /// How much, in minor units, as asked.
        amount: i64,
        /// The caller's own name of it.
        reference: Option<Box<str>>,
    },
    /// Opens an invoice. No customer owns it.
    OpenInvoice {
        /// Who is to be paid.
        partner: PartnerId,
        /// How its number begins, if the caller says so.
        prefix: Option<Box<str>>,
        /// How much, in minor units, as asked.
        amount: i64,
        /// For how many seconds it can be paid, if the caller says so.
        life_seconds: Option<i64>,
        /// The caller's own name of it, such as the number of an order.
        reference: Option<Box<str>>,
    },
    /// Takes an invoice back that nobody paid.
    CancelInvoice {
        /// Its number.
        number: Box<str>,
    },
    /// Pays an invoice out of a wallet.
    PayInvoice {
        /// Which wallet.
        wallet: WalletId,
        /// The number of the invoice.
        number: Box<str>,
        /// How much, in minor units, as asked: the invoice's amount.
        amount: i64,
    },
    /// Takes an operation back.
    Reverse {
        /// The record of it.
        operation: Seq,
        /// Why.
        reason: Box<str>,
    },
    /// Does what was set aside.
    ReleaseReview {
        /// The record that set it aside.
        review: Seq,
    },
    /// Refuses what was set aside.
    RejectReview {
        /// The record that set it aside.
        review: Seq,
        /// Why.
        reason: Box<str>,
    },
    /// Says that an operator is done with a check of risk rules.
    ArchiveRiskCheck {
        /// The record of the check.
        check: Seq,
    },
    /// Forgets who the customer is. What the profiles say of the customer is removed, money and points stay. Does nothing to a
    /// customer who is forgotten.
    EraseCustomer {
        /// Why.
        reason: Box<str>,
    },
}

/// Which way a customer is moved in a tier programme.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TierMove {
    /// One level up.
    Up,
    /// One level down.
    Down,
}

/// Asks for an operation.
#[derive(Clone, Debug)]
pub struct OperationCommand {
    /// The tenant.
    pub tenant: TenantId,
    /// Who asks.
    pub actor: Actor,
    /// The key, of an operation that has one.
    pub key: Option<OperationKey>,
    /// The keyed hash of what is asked.
    pub fingerprint: Fingerprint,
    /// Whose accounts.
    pub customer: CustomerName,
    /// What is asked.
    pub operation: Operation,
    /// The device that the caller names.
    pub device: Option<DeviceId>,
    /// A text for the profile store: that of the alias when the customer is created, or the name of a wallet. No rule
    /// looks at it and no event holds it.
    pub text: Option<Box<str>>,
    /// True when the answer is wanted but not the effect.
    pub dry_run: bool,
    /// The record of the purchase that a refund is of, of the operation that is reversed, or of the review that is closed,
    /// read and found to be that.
    pub original: Option<Arc<Record>>,
    /// Records of the same key prefix as a refund's that were read and found to be of something else.
    pub other_records: Vec<Seq>,
}

/// Why an operation was refused. Stored with its numbers, so that a repeat is told the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum OperationRejection {
    /// Nobody of this tenant has this id.
    CustomerUnknown,
    /// The amount is zero or negative.
    AmountNotPositive {
        /// What was sent.
        amount: i64,
    },
    /// The amount is above the largest.
    AmountTooLarge {
        /// What was sent.
        amount: i64,
        /// The largest.
        amount_max: i64,
    },
    /// The wallet would pass the largest amount.
    BalanceTooLarge {
        /// What is in it.
        balance: Balance,
    },
    /// There is less in the wallet than is to be taken.
    BalanceTooSmall {
        /// What is in it.
        balance: Balance,
        /// What is to be taken.
        amount: Amount,
    },
    /// A sum of points would pass the largest amount.
    PointsTooLarge {
        /// The sum so far.
        points: Amount,
    },
    /// The customer has no such wallet.
    WalletUnknown,
    /// The wallet is frozen.
    WalletFrozen,
    /// The wallet is closed.
    WalletClosed,
    /// A wallet is closed only when it is empty.
    WalletNotEmpty {
        /// What is in it.
        balance: Balance,
    },
    /// The wallet that cashback goes to is never closed.
    WalletIsDefault,
    /// The customer has as many wallets as there may be.
    WalletsTooMany {
        /// How many there may be.
        wallets_max: u32,
    },
    /// The tenant has no such tier programme.
    ProgramUnknown,
    /// The customer does not stand in the programme yet.
    TierNone,
    /// The customer stands on the highest level.
    TierHighest,
    /// The customer stands on the lowest level.
    TierLowest,
    /// It is said to have occurred more than a day ahead of the ledger's clock.
    OccurredInFuture {
        /// What was sent.
        occurred_at: Instant,
        /// The latest instant that is believed.
        occurred_at_max: Instant,
    },
    /// The tenant has no such offer.
    OfferUnknown,
    /// The offer is switched off, or it is not its time.
    OfferClosed,
    /// So many units cannot be had at once.
    QuantityOutOfRange {
        /// What was sent.
        quantity: i64,
        /// The largest.
        quantity_max: u32,
    },
    /// There are fewer units left than asked for.
    StockExhausted {
        /// How many there are in all.
        stock: u64,
        /// How many of them are redeemed.
        redeemed: u64,
    },
    /// The customer has fewer points than that costs.
    PointsTooFew {
        /// How many the customer has.
        points: Amount,
        /// What one unit costs.
        price: Amount,
        /// How many units were asked for.
        quantity: u32,
    },
    /// A purchase cannot be refunded so.
    Refund(RefundRejection),
    /// There is enough in the wallet, but too much of it is held.
    BalanceHeld {
        /// What is in it.
        balance: Balance,
        /// How much of that is held.
        held: Amount,
        /// What is to be taken.
        amount: Amount,
    },
    /// A wallet is closed only when nothing of it is held.
    WalletHeld {
        /// How much is held.
        held: Amount,
    },
    /// Nothing can be held, and no invoice be paid, for so long.
    LifeOutOfRange {
        /// What was sent.
        seconds: i64,
        /// The longest.
        seconds_max: i64,
    },
    /// The customer has as many open holds as there may be.
    HoldsTooMany {
        /// How many there may be.
        holds_max: u32,
    },
    /// The customer has no such hold, or it is another partner's.
    HoldUnknown,
    /// The hold was settled or voided, or it has expired.
    HoldClosed,
    /// More is to be settled than is held.
    HoldExceeded {
        /// What is held.
        held: Amount,
        /// What is to be settled.
        amount: Amount,
    },
    /// The tenant has nobody of the id that money is to be sent to.
    TransferTargetUnknown,
    /// The wallet that money is sent to is the one that it comes from.
    TransferToItself,
    /// The wallet that money was sent to does not take it.
    TransferDeclined(TransferRefusal),
    /// The tenant has no invoice of this number, or it is another partner's.
    InvoiceUnknown,
    /// The invoice is paid.
    InvoicePaid,
    /// The invoice was taken back.
    InvoiceCancelled,
    /// The invoice was not paid in time.
    InvoiceExpired,
    /// An invoice is paid in full and not otherwise.
    InvoiceAmountDiffers {
        /// What was sent.
        amount: Amount,
        /// What the invoice is for.
        invoice_amount: Amount,
    },
    /// The wallet counts another currency than the invoice.
    InvoiceCurrencyDiffers,
    /// A risk rule blocks it.
    RiskBlocked {
        /// Which.
        rule: RuleId,
    },
    /// An operation of this kind is not reversed.
    NotReversible,
    /// The operation is reversed.
    Reversed,
    /// As many operations of the customer are reversed as may be.
    ReversalsTooMany {
        /// How many may be.
        reversals_max: u32,
    },
    /// The payment of the invoice was reversed. It is not paid again.
    InvoiceReversed,
    /// A risk rule set it aside, and a person refused it.
    ReviewRejected,
    /// The review is over.
    ReviewClosed,
    /// As many operations of the tenant are set aside as may be.
    ReviewsTooMany {
        /// How many may be.
        reviews_max: u32,
    },
    /// The check is archived.
    RiskCheckArchived,
    /// The customer is forgotten: nothing more is to be kept with the profiles.
    CustomerErased,
}

/// An operation was done. Comes first in its record; what it did follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationDone {
    /// Who asked.
    pub actor: Actor,
    /// Its key, if it has one.
    pub key: Option<OperationKey>,
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
    /// The instant that the rules saw.
    pub at: Instant,
    /// What was asked.
    pub operation: Operation,
}

/// An operation with a key was refused, for as long as the key is remembered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationRefused {
    /// Who asked.
    pub actor: Actor,
    /// Its key.
    pub key: OperationKey,
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
    /// Whose accounts, if there is such a customer. The record is not one of this customer's: nothing of theirs has changed.
    pub customer: Option<CustomerId>,
    /// What was asked.
    pub operation: Operation,
    /// Why it was refused.
    pub rejection: OperationRejection,
}

impl OperationCommand {
    /// Makes the record of a refusal. `None` of one that is not kept: a dry run, or one without a key.
    #[must_use]
    pub fn refused(
        &self,
        customer: Option<CustomerId>,
        rejection: &OperationRejection,
        received_at: Instant,
        catalogue_version: u32,
    ) -> Option<Body> {
        let OperationCommand { tenant, actor, fingerprint, dry_run, ref operation, .. } = *self;
        let key = self.key.filter(|_| !dry_run)?;
        let (operation, rejection) = (operation.clone(), rejection.clone());
        let refused = OperationRefused { actor, key, fingerprint, customer, operation, rejection };
        Some(refused.record(tenant, received_at, catalogue_version))
    }

    /// Returns the number of the invoice that is to be paid, or whose payment is to be reversed.
    #[must_use]
    pub fn invoice(&self) -> Option<&str> {
        let paid = || self.original.as_deref()?.body.operation()?.pays_invoice();
        match self.operation {
            Operation::Reverse { .. } => paid(),
            _ => self.effective().pays_invoice(),
        }
    }

    /// Returns the promo that may get a unit of its quota back, of a refund.
    #[must_use]
    pub fn may_return(&self) -> Option<(TenantId, RuleId)> {
        let record = self.original.as_deref()?;
        record.body.events.iter().find_map(|event| match event {
            Event::PromoGranted(granted) => Some((record.body.tenant, granted.promo)),
            _ => None,
        })
    }
}

impl Operation {
    /// Checks an amount that was asked.
    ///
    /// # Errors
    ///
    /// [`OperationRejection::AmountNotPositive`], [`OperationRejection::AmountTooLarge`].
    pub fn amount(asked: i64) -> Result<Amount, OperationRejection> {
        if asked < 1 {
            return Err(OperationRejection::AmountNotPositive { amount: asked });
        }
        let too_large = OperationRejection::AmountTooLarge { amount: asked, amount_max: crate::AMOUNT_MAX };
        Amount::new(asked).ok_or(too_large)
    }

    /// Checks for how many seconds something is to last.
    ///
    /// # Errors
    ///
    /// [`OperationRejection::LifeOutOfRange`].
    pub(crate) fn life(asked: Option<i64>, usual: i64, seconds_max: i64) -> Result<i64, OperationRejection> {
        let seconds = asked.unwrap_or(usual);
        let is_within = (1..=seconds_max).contains(&seconds);
        if is_within { Ok(seconds) } else { Err(OperationRejection::LifeOutOfRange { seconds, seconds_max }) }
    }

    /// Returns the refund that is asked for, if it is one.
    #[must_use]
    pub fn refund(&self) -> Option<&Refund> {
        match self {
            Operation::RefundPurchase(refund) => Some(refund),
            _ => None,
        }
    }

    /// Returns the number of the invoice that is to be paid.
    #[must_use]
    pub fn pays_invoice(&self) -> Option<&str> {
        match self {
            Operation::PayInvoice { number, .. } => Some(number),
            _ => None,
        }
    }

    /// Returns true for a transfer, which is more than one record.
    #[must_use]
    pub const fn is_transfer(&self) -> bool {
        matches!(self, Operation::Transfer { .. })
    }

    /// Returns true for an operation that creates a customer who is not there yet.
    #[must_use]
    pub const fn creates_customer(&self) -> bool {
        matches!(self, Operation::CreateCustomer)
    }
}

impl OperationDone {
    /// Returns the caller's instant where it is the one that the rules saw: only that was checked not to lie in the
    /// future, so only that can move the watermark.
    #[must_use]
    pub fn drove_rules(&self) -> Option<Instant> {
        match &self.operation {
            Operation::ReportActivity { occurred_at, .. } => occurred_at.filter(|occurred_at| *occurred_at == self.at),
            _ => None,
        }
    }
}

impl OperationRefused {
    /// Makes the record of it. It is no customer's: nothing has changed.
    #[must_use]
    pub fn record(self, tenant: TenantId, received_at: Instant, catalogue_version: u32) -> Body {
        let events = Vec::from([Event::OperationRefused(Box::new(self))]);
        Body { received_at, tenant, catalogue_version, customer: None, previous: Seq::ZERO, events }
    }
}

impl OperationRejection {
    /// Returns the code that callers see.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            OperationRejection::CustomerUnknown => "customer_not_found",
            OperationRejection::AmountNotPositive { .. } => "amount_not_positive",
            OperationRejection::AmountTooLarge { .. } => "amount_too_large",
            OperationRejection::BalanceTooLarge { .. } => "balance_too_large",
            OperationRejection::BalanceTooSmall { .. } => "balance_too_small",
            OperationRejection::PointsTooLarge { .. } => "points_too_large",
            OperationRejection::WalletUnknown => "wallet_not_found",
            OperationRejection::WalletFrozen => "wallet_frozen",
            OperationRejection::WalletClosed => "wallet_closed",
            OperationRejection::WalletNotEmpty { .. } => "wallet_not_empty",
            OperationRejection::WalletIsDefault => "wallet_is_default",
            OperationRejection::WalletsTooMany { .. } => "wallets_too_many",
            OperationRejection::ProgramUnknown => "tier_program_not_found",
            OperationRejection::TierNone => "tier_none",
            OperationRejection::TierHighest => "tier_highest",
            OperationRejection::TierLowest => "tier_lowest",
            OperationRejection::OccurredInFuture { .. } => "occurred_in_future",
            OperationRejection::OfferUnknown => "offer_not_found",
            OperationRejection::OfferClosed => "offer_closed",
            OperationRejection::QuantityOutOfRange { .. } => "quantity_out_of_range",
            OperationRejection::StockExhausted { .. } => "stock_exhausted",
            OperationRejection::PointsTooFew { .. } => "points_too_few",
            OperationRejection::Refund(rejection) => rejection.code(),
            OperationRejection::BalanceHeld { .. } => "balance_held",
            OperationRejection::WalletHeld { .. } => "wallet_held",
            OperationRejection::LifeOutOfRange { .. } => "life_out_of_range",
            OperationRejection::HoldsTooMany { .. } => "holds_too_many",
            OperationRejection::HoldUnknown => "hold_not_found",
            OperationRejection::HoldClosed => "hold_closed",
            OperationRejection::HoldExceeded { .. } => "hold_exceeded",
            OperationRejection::TransferTargetUnknown => "transfer_target_not_found",
            OperationRejection::TransferToItself => "transfer_to_itself",
            OperationRejection::TransferDeclined(refusal) => refusal.code(),
            OperationRejection::InvoiceUnknown => "invoice_not_found",
            OperationRejection::InvoicePaid => "invoice_paid",
            OperationRejection::InvoiceCancelled => "invoice_cancelled",
            OperationRejection::InvoiceExpired => "invoice_expired",
            OperationRejection::InvoiceAmountDiffers { .. } => "invoice_amount_differs",
            OperationRejection::InvoiceCurrencyDiffers => "invoice_currency_differs",
            OperationRejection::RiskBlocked { .. } => "risk_blocked",
            OperationRejection::NotReversible => "operation_not_reversible",
            OperationRejection::Reversed => "operation_reversed",
            OperationRejection::ReversalsTooMany { .. } => "reversals_too_many",
            OperationRejection::InvoiceReversed => "invoice_reversed",
            OperationRejection::ReviewRejected => "review_rejected",
            OperationRejection::ReviewClosed => "review_closed",
            OperationRejection::ReviewsTooMany { .. } => "reviews_too_many",
            OperationRejection::RiskCheckArchived => "risk_check_archived",
            OperationRejection::CustomerErased => "customer_erased",
        }
    }
}
