//! What was asked, as results and events tell it.

use kembali_core::operation::{Operation, TierMove};
use kembali_core::refund::RefundOf;
use serde::Serialize;
use utoipa::ToSchema;

use super::status_text;
use crate::wire::history::Side;
use crate::wire::instant::{Rfc3339, UuidText};
use crate::wire::refund::RefundLine;

/// What was asked.
#[derive(Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Asked<'a> {
    /// To create the customer.
    CreateCustomer,
    /// To open one more wallet.
    OpenWallet,
    /// To give a wallet another name.
    RenameWallet {
        /// The wallet's number.
        wallet: u16,
    },
    /// To freeze a wallet, make it active again, or close it.
    SetWalletStatus {
        /// The wallet's number.
        wallet: u16,
        /// What it becomes.
        status: &'static str,
    },
    /// To put money from outside into a wallet.
    Deposit {
        /// The wallet's number.
        wallet: u16,
        /// How much, in minor units.
        amount: i64,
        /// The caller's own name of it.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        reference: Option<&'a str>,
    },
    /// To put a wallet right by hand.
    Adjust {
        /// The wallet's number.
        wallet: u16,
        /// Into it or out of it.
        direction: Side,
        /// How much, in minor units.
        amount: i64,
        /// Why.
        reason: &'a str,
    },
    /// To count something that the customer did.
    ReportActivity {
        /// What it was.
        tag: &'a str,
        /// When it was, if the caller said so.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        occurred_at: Option<Rfc3339>,
    },
    /// To move the customer one level up.
    Promote {
        /// The programme.
        program: &'a str,
    },
    /// To move the customer one level down.
    Demote {
        /// The programme.
        program: &'a str,
    },
    /// To spend points on an offer.
    Redeem {
        /// The offer.
        offer: &'a str,
        /// How many units of it.
        quantity: i64,
    },
    /// To set money aside for a partner.
    PlaceHold {
        /// The wallet's number.
        wallet: u16,
        /// How much, in minor units.
        amount: i64,
        /// For how many seconds, if the caller said so.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        expires_in_seconds: Option<i64>,
        /// The caller's own name of it.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        reference: Option<&'a str>,
    },
    /// To pay a partner what was set aside, or a part of it.
    SettleHold {
        /// The hold's number.
        hold: u32,
        /// How much, in minor units; not there where all of it was asked for.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        amount: Option<i64>,
    },
    /// To give free what was set aside.
    VoidHold {
        /// The hold's number.
        hold: u32,
    },
    /// To send money to another wallet.
    Transfer {
        /// The number of the wallet that it comes from.
        wallet: u16,
        /// Whose wallet gets it.
        to: UuidText,
        /// The number of that wallet.
        to_wallet: u16,
        /// How much, in minor units.
        amount: i64,
        /// The caller's own name of it.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        reference: Option<&'a str>,
    },
    /// To open an invoice.
    OpenInvoice {
        /// How its number begins, if the caller said so.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        va_prefix: Option<&'a str>,
        /// How much it is for, in minor units.
        amount: i64,
        /// For how many seconds it can be paid, if the caller said so.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        expires_in_seconds: Option<i64>,
        /// The caller's own name of it.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        reference: Option<&'a str>,
    },
    /// To take an invoice back.
    CancelInvoice {
        /// Its number.
        va_number: &'a str,
    },
    /// To pay an invoice.
    PayInvoice {
        /// The number of the wallet.
        wallet: u16,
        /// The number of the invoice.
        va_number: &'a str,
        /// How much, in minor units.
        amount: i64,
    },
    /// To take an operation back.
    Reverse {
        /// The position of its record.
        operation: u64,
        /// Why.
        reason: &'a str,
    },
    /// To do what was set aside.
    ReleaseReview {
        /// The position of the record that set it aside.
        review: u64,
    },
    /// To refuse what was set aside.
    RejectReview {
        /// The position of the record that set it aside.
        review: u64,
        /// Why.
        reason: &'a str,
    },
    /// To archive a check of risk rules.
    ArchiveRiskCheck {
        /// The position of its record.
        check: u64,
    },
    /// To forget who the customer is.
    EraseCustomer {
        /// Why.
        reason: &'a str,
    },
    /// To take a purchase back, in whole or in part.
    RefundPurchase {
        /// The id of the refund.
        refund: UuidText,
        /// The partner's own id of it.
        refund_id: &'a str,
        /// The id of the purchase.
        purchase: UuidText,
        /// The partner's own id of the purchase.
        origin_id: &'a str,
        /// How much, in minor units; not there where lines were asked for.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        amount: Option<i64>,
        /// Of what; not there where an amount was asked for.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        lines: Option<Vec<RefundLine<'a>>>,
        /// Why, if the partner said so.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        reason: Option<&'a str>,
    },
}

impl<'a> Asked<'a> {
    pub(crate) fn of(operation: &'a Operation) -> Asked<'a> {
        match operation {
            Operation::CreateCustomer => Asked::CreateCustomer,
            Operation::OpenWallet => Asked::OpenWallet,
            Operation::RenameWallet { wallet } => Asked::RenameWallet { wallet: wallet.0 },
            Operation::SetWalletStatus { wallet, status } => {
                Asked::SetWalletStatus { wallet: wallet.0, status: status_text(*status) }
            }
            Operation::Deposit { wallet, amount, reference } => {
                Asked::Deposit { wallet: wallet.0, amount: *amount, reference: reference.as_deref() }
            }
            Operation::Adjust { wallet, direction, amount, reason } => {
                Asked::Adjust { wallet: wallet.0, direction: Side::of(*direction), amount: *amount, reason }
            }
            Operation::ReportActivity { tag, occurred_at } => {
                Asked::ReportActivity { tag, occurred_at: occurred_at.map(Rfc3339) }
            }
            Operation::MoveTier { program, to: TierMove::Up } => Asked::Promote { program },
            Operation::MoveTier { program, to: TierMove::Down } => Asked::Demote { program },
            Operation::Redeem { offer, quantity } => Asked::Redeem { offer, quantity: *quantity },
            Operation::PlaceHold { wallet, partner: _, amount, life_seconds, reference } => Asked::PlaceHold {
                wallet: wallet.0,
                amount: *amount,
                expires_in_seconds: *life_seconds,
                reference: reference.as_deref(),
            },
            Operation::SettleHold { hold, amount } => Asked::SettleHold { hold: hold.0, amount: *amount },
            Operation::VoidHold { hold } => Asked::VoidHold { hold: hold.0 },
            Operation::Transfer { wallet, to, to_wallet, amount, reference } => Asked::Transfer {
                wallet: wallet.0,
                to: UuidText(to.0),
                to_wallet: to_wallet.0,
                amount: *amount,
                reference: reference.as_deref(),
            },
            Operation::OpenInvoice { partner: _, prefix, amount, life_seconds, reference } => Asked::OpenInvoice {
                va_prefix: prefix.as_deref(),
                amount: *amount,
                expires_in_seconds: *life_seconds,
                reference: reference.as_deref(),
            },
            Operation::CancelInvoice { number } => Asked::CancelInvoice { va_number: number },
            Operation::PayInvoice { wallet, number, amount } => {
                Asked::PayInvoice { wallet: wallet.0, va_number: number, amount: *amount }
            }
            Operation::Reverse { operation, reason } => Asked::Reverse { operation: operation.0, reason },
            Operation::ReleaseReview { review } => Asked::ReleaseReview { review: review.0 },
            Operation::RejectReview { review, reason } => Asked::RejectReview { review: review.0, reason },
            Operation::ArchiveRiskCheck { check } => Asked::ArchiveRiskCheck { check: check.0 },
            Operation::EraseCustomer { reason } => Asked::EraseCustomer { reason },
            Operation::RefundPurchase(refund) => Asked::RefundPurchase {
                refund: UuidText(refund.key.0),
                refund_id: &refund.refund_id,
                purchase: UuidText(refund.purchase.0),
                origin_id: &refund.origin_id,
                amount: match refund.of {
                    RefundOf::Amount(amount) => Some(amount),
                    RefundOf::Lines(_) => None,
                },
                lines: match &refund.of {
                    RefundOf::Amount(_) => None,
                    RefundOf::Lines(lines) => Some(lines.iter().map(RefundLine::of).collect()),
                },
                reason: refund.reason.as_deref(),
            },
        }
    }
}

/// Names an operation, as `type` of what was asked does.
pub(crate) const fn operation_name(operation: &Operation) -> &'static str {
    match operation {
        Operation::CreateCustomer => "create_customer",
        Operation::OpenWallet => "open_wallet",
        Operation::RenameWallet { .. } => "rename_wallet",
        Operation::SetWalletStatus { .. } => "set_wallet_status",
        Operation::Deposit { .. } => "deposit",
        Operation::Adjust { .. } => "adjust",
        Operation::ReportActivity { .. } => "report_activity",
        Operation::MoveTier { to: TierMove::Up, .. } => "promote",
        Operation::MoveTier { to: TierMove::Down, .. } => "demote",
        Operation::Redeem { .. } => "redeem",
        Operation::PlaceHold { .. } => "place_hold",
        Operation::SettleHold { .. } => "settle_hold",
        Operation::VoidHold { .. } => "void_hold",
        Operation::Transfer { .. } => "transfer",
        Operation::OpenInvoice { .. } => "open_invoice",
        Operation::CancelInvoice { .. } => "cancel_invoice",
        Operation::PayInvoice { .. } => "pay_invoice",
        Operation::RefundPurchase(_) => "refund_purchase",
        Operation::Reverse { .. } => "reverse",
        Operation::ReleaseReview { .. } => "release_review",
        Operation::RejectReview { .. } => "reject_review",
        Operation::ArchiveRiskCheck { .. } => "archive_risk_check",
        Operation::EraseCustomer { .. } => "erase_customer",
    }
}
