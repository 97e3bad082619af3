//! Refunds: the policy as people write it, the result of one (version 1: frozen like a purchase's), and what is shown of
//! them with their purchase.

use std::borrow::Cow;

use kembali_core::PartnerId;
use kembali_core::catalogue::{Catalogue, RewardKind};
use kembali_core::event::{Body, Event, Placed, TierPlaced};
use kembali_core::operation::Actor;
use kembali_core::purchase::{Line, TEXT_BYTES_MAX};
use kembali_core::refund::{
    ClawBack, NegativeBalance, Part, PurchaseRefunded, REFUND_ID_CHARS_MAX, RefundOf, RefundPolicy, RefundStanding,
    RefundedQuota, RefundedRewards, RefundedTier,
};
use kembali_engine::RefundRequest;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::catalogue::{NegativeBalanceFile, RefundedQuotaFile, RefundedRewardsFile, RefundedTierFile, RefundsFile};
use super::document::Object;
use super::fault::{self, Field, Form, optional, required};
use super::instant::{Rfc3339, UuidText};
use super::number::Whole;
use super::operation::{OperationBody, REFERENCE_CHARS_MAX as REASON_CHARS_MAX, checked};
use super::purchase::{check_origin_id, has_chars};
use super::result::{Names, purchase_of};
use crate::codes;
use crate::problem::Problem;

/// Reads the policy.
pub(super) fn policy_of(file: RefundsFile) -> RefundPolicy {
    RefundPolicy {
        tier: match file.tier {
            RefundedTierFile::Recompute => RefundedTier::Recompute,
            RefundedTierFile::Keep => RefundedTier::Keep,
        },
        quota: match file.quota {
            RefundedQuotaFile::Return => RefundedQuota::Return,
            RefundedQuotaFile::Keep => RefundedQuota::Keep,
        },
        rewards: match file.rewards {
            RefundedRewardsFile::ClawBack => RefundedRewards::ClawBack,
            RefundedRewardsFile::Keep => RefundedRewards::Keep,
        },
        negative_balance: match file.negative_balance {
            NegativeBalanceFile::Allow => NegativeBalance::Allow,
            NegativeBalanceFile::CapAtZero => NegativeBalance::CapAtZero,
        },
    }
}

/// Writes the policy as people write it.
pub(super) fn refunds_file(policy: RefundPolicy) -> RefundsFile {
    RefundsFile {
        tier: match policy.tier {
            RefundedTier::Recompute => RefundedTierFile::Recompute,
            RefundedTier::Keep => RefundedTierFile::Keep,
        },
        quota: match policy.quota {
            RefundedQuota::Return => RefundedQuotaFile::Return,
            RefundedQuota::Keep => RefundedQuotaFile::Keep,
        },
        rewards: match policy.rewards {
            RefundedRewards::ClawBack => RefundedRewardsFile::ClawBack,
            RefundedRewards::Keep => RefundedRewardsFile::Keep,
        },
        negative_balance: match policy.negative_balance {
            NegativeBalance::Allow => NegativeBalanceFile::Allow,
            NegativeBalance::CapAtZero => NegativeBalanceFile::CapAtZero,
        },
    }
}

/// A purchase to take back, in whole or in part: by exactly one of `amount` and `lines`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRefund {
    /// The slug of the partner that booked the purchase: of a partner its own, if it says one; an operator must.
    #[serde(default)]
    #[schema(nullable = false)]
    partner: Option<String>,
    /// The partner's own id of the purchase.
    #[schema(min_length = 1, max_length = 128)]
    origin_id: String,
    /// The id of the refund, within the purchase and for ever: the same id again is a repeat.
    #[schema(min_length = 1, max_length = 128)]
    refund_id: String,
    /// How much, in minor units of the tenant's currency. Of a purchase with lines all that remains.
    #[serde(default)]
    amount: Option<Whole>,
    /// Of what: products of the purchase, so many for so much.
    #[serde(default)]
    #[schema(value_type = Option<Vec<NewRefundLine>>, max_items = 1_000)]
    lines: Option<Vec<Object<NewRefundLine>>>,
    /// Why. No personal data.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 128)]
    reason: Option<String>,
}

/// A part of a purchase to take back.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewRefundLine {
    /// The product, as a line of the purchase names it.
    product: String,
    /// How many pieces; at least 0.
    quantity: Whole,
    /// For how much, in minor units; at least 0.
    amount: Whole,
}

impl OperationBody for NewRefund {
    const FIELDS: &'static [Field] = &[
        optional("partner", Form::Text),
        required("origin_id", Form::Text),
        required("refund_id", Form::Text),
        optional("amount", Form::Whole),
        optional("lines", Form::ObjectList(fault::LINE)),
        optional("reason", Form::Text),
    ];
}

impl NewRefund {
    /// Makes the request of whoever asks, under a tenant's rules.
    pub(crate) fn request(self, actor: Actor, rules: &Catalogue, dry_run: bool) -> Result<RefundRequest, Problem> {
        let partner = self.partner_of(actor, rules)?;
        let NewRefund { origin_id, refund_id, amount, lines, reason, .. } = self;
        check_origin_id(&origin_id).map_err(|problem| *problem)?;
        if !has_chars(&refund_id, 1..=REFUND_ID_CHARS_MAX) {
            return Err(Problem::new(&codes::REFUND_ID_INVALID).pointer("/refund_id"));
        }
        let of = match (amount, lines) {
            (Some(Whole(amount)), None) => RefundOf::Amount(amount),
            (None, Some(lines)) => RefundOf::Lines(checked_lines(lines)?),
            _ => {
                let detail = "must have exactly one of amount and lines";
                return Err(Problem::new(&codes::FIELD_INVALID).pointer("").detail(detail));
            }
        };
        let reason = reason.map(|text| checked(text, REASON_CHARS_MAX, "/reason")).transpose()?;
        Ok(RefundRequest { actor, tenant: rules.tenant, partner, origin_id, refund_id, of, reason, dry_run })
    }

    /// Finds the partner whose purchase it is. Others do not exist for a partner.
    fn partner_of(&self, actor: Actor, rules: &Catalogue) -> Result<PartnerId, Problem> {
        let named = match &self.partner {
            None => None,
            Some(slug) => {
                let named = rules.partner_by_slug(slug).map(|partner| partner.id);
                Some(named.ok_or_else(|| Problem::new(&codes::PARTNER_NOT_FOUND).pointer("/partner"))?)
            }
        };
        match (actor, named) {
            (Actor::Partner(own), None) => Ok(own),
            (Actor::Partner(own), Some(named)) if named != own => {
                Err(Problem::new(&codes::PARTNER_NOT_FOUND).pointer("/partner"))
            }
            (_, Some(named)) => Ok(named),
            (_, None) => {
                let detail = "an operator says whose purchase it is: `partner` must have the partner's slug";
                Err(Problem::new(&codes::FIELD_MISSING).pointer("/partner").detail(detail))
            }
        }
    }
}

fn checked_lines(lines: Vec<Object<NewRefundLine>>) -> Result<Vec<Line>, Problem> {
    if let Some(index) = lines.iter().position(|line| TEXT_BYTES_MAX < line.0.product.len()) {
        let detail = format!("must have at most {TEXT_BYTES_MAX} bytes");
        return Err(Problem::new(&codes::FIELD_INVALID).pointer(format!("/lines/{index}/product")).detail(detail));
    }
    let line = |Object(line): Object<NewRefundLine>| Line {
        product: line.product.into(),
        quantity: line.quantity.0,
        amount: line.amount.0,
    };
    Ok(lines.into_iter().map(line).collect())
}

/// A line that was asked for.
#[derive(Serialize, ToSchema)]
pub(crate) struct RefundLine<'a> {
    /// The product.
    product: &'a str,
    /// How many pieces.
    quantity: i64,
    /// For how much, in minor units.
    amount: i64,
}

impl<'a> RefundLine<'a> {
    pub(crate) fn of(line: &'a Line) -> RefundLine<'a> {
        RefundLine { product: &line.product, quantity: line.quantity, amount: line.amount }
    }
}

/// A part of a purchase.
#[derive(Serialize, ToSchema)]
pub(crate) struct RefundPart {
    /// The product.
    product: String,
    /// How many pieces.
    quantity: u64,
    /// For how much, in minor units.
    amount: i64,
}

impl RefundPart {
    pub(crate) fn of(part: &Part) -> RefundPart {
        RefundPart { product: part.product.to_string(), quantity: part.quantity, amount: part.amount.minor_units() }
    }
}

/// What is clawed back, by what had granted it. What is nothing is not there.
#[derive(Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum BackEffect<'a> {
    /// What a promo had paid.
    Cashback {
        /// The promo's code.
        promo: Cow<'a, str>,
        /// The promo's id.
        rule: u32,
        /// How much, in minor units.
        points: i64,
    },
    /// What milestones had paid.
    Milestones {
        /// How much, in minor units.
        points: i64,
    },
    /// What a cashback rule had granted.
    CashbackRule {
        /// The rule's name.
        name: Cow<'a, str>,
        /// The rule's id.
        rule: u32,
        /// The kind of points.
        kind: Cow<'a, str>,
        /// How many points.
        points: i64,
    },
    /// A reward of a campaign.
    Reward {
        /// The campaign.
        campaign: Cow<'a, str>,
        /// The reward.
        reward: Cow<'a, str>,
        /// The reward's id.
        rule: u32,
        /// The kind of points, of a reward in points.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        kind: Option<Cow<'a, str>>,
        /// How many points.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        points: Option<i64>,
        /// How much money, in minor units, of a reward in money.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        wallet_credit: Option<i64>,
    },
}

/// Lists what is clawed back. `names` are those of the rules that hold when it is: what is gone since shows its number.
pub(crate) fn back_effects<'a>(back: &ClawBack, names: &Names<'a>) -> Vec<BackEffect<'a>> {
    let promo = back.promo.map(|own| BackEffect::Cashback {
        promo: names.promo(own.promo),
        rule: own.promo.0,
        points: own.points.minor_units(),
    });
    let loyalty = (!back.loyalty.is_zero()).then(|| BackEffect::Milestones { points: back.loyalty.minor_units() });
    let cashback = back.cashback.iter().map(|own| BackEffect::CashbackRule {
        name: names.source(own.rule),
        rule: own.rule.0,
        kind: names.point_kind(own.kind),
        points: own.points.minor_units(),
    });
    let rewards = back.rewards.iter().map(|own| {
        let (kind, points, wallet_credit) = match own.paid {
            RewardKind::Points { kind, points } => (Some(names.point_kind(kind)), Some(points.minor_units()), None),
            RewardKind::WalletCredit { amount } => (None, None, Some(amount.minor_units())),
        };
        let (campaign, reward) = (names.campaign(own.campaign), names.source(own.reward));
        BackEffect::Reward { campaign, reward, rule: own.reward.0, kind, points, wallet_credit }
    });
    promo.into_iter().chain(loyalty).chain(cashback).chain(rewards).collect()
}

/// What was refunded of a purchase so far; not there where nothing was.
#[derive(Serialize, ToSchema)]
pub(crate) struct RefundState<'a> {
    /// How much was refunded, in minor units.
    refunded: i64,
    /// What remains of the purchase, in minor units.
    remaining: i64,
    /// What remains of each product, of a purchase with lines.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    remaining_lines: Vec<RefundPart>,
    /// What was clawed back.
    clawed_back: Vec<BackEffect<'a>>,
    /// True once the unit of its promo's quota was returned.
    unit_returned: bool,
    /// The refunds, the oldest first.
    refunds: Vec<RefundSeen>,
}

/// A refund of a purchase.
#[derive(Serialize, ToSchema)]
struct RefundSeen {
    /// The partner's own id of it.
    refund_id: String,
    /// How much was refunded, in minor units.
    amount: i64,
    /// The instant that the rules saw.
    at: Rfc3339,
}

impl<'a> RefundState<'a> {
    /// Shows what was refunded of a purchase that `lines` and `amount` describe.
    pub(crate) fn of(
        standing: &RefundStanding,
        purchase: &kembali_core::purchase::Purchase,
        catalogue: &'a Catalogue,
    ) -> RefundState<'a> {
        let (remaining, parts) = standing.remaining(purchase);
        RefundState {
            refunded: standing.amount.minor_units(),
            remaining: remaining.minor_units(),
            remaining_lines: parts.iter().map(RefundPart::of).collect(),
            clawed_back: back_effects(&standing.claw_back, &Names { catalogue }),
            unit_returned: standing.is_unit_returned,
            refunds: (standing.refunds.iter())
                .map(|own| RefundSeen {
                    refund_id: own.refund_id.to_string(),
                    amount: own.amount.minor_units(),
                    at: Rfc3339(own.at),
                })
                .collect(),
        }
    }
}

/// Finds the refund that a record books.
pub(crate) fn refund_of(body: &Body) -> Option<&PurchaseRefunded> {
    body.events.iter().find_map(|event| match event {
        Event::PurchaseRefunded(refunded) => Some(&**refunded),
        _ => None,
    })
}

/// Returns the id of the purchase that a record books or refunds.
pub(crate) fn purchase_behind(body: &Body) -> Option<UuidText> {
    let booked = purchase_of(body).map(|booked| booked.key);
    booked.or_else(|| refund_of(body).map(|refunded| refunded.purchase)).map(|key| UuidText(key.0))
}

/// Returns true of a placement that changes no level: only what was spent is another.
pub(crate) fn is_same_level(placed: &TierPlaced) -> bool {
    match placed.placed {
        Placed::Journey { before, after } => before.level == after.level,
        Placed::Threshold { before, after } => before.level == after.level,
    }
}
