//! Risk rules, between the catalogue as people write it and the ledger; and the log of checks.

use kembali_core::catalogue::Catalogue;
use kembali_core::draft::RiskRuleDraft;
use kembali_core::risk::{RiskAction, RiskCondition, RiskKind, RiskParty, RiskRule, Verdict};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::catalogue::{CatalogueFile, Money};
use super::catalogue_draft::{CatalogueFault, amount, fault};
use super::instant::{Rfc3339, UuidText};

/// A risk rule: what is looked at before money moves by an operation, or a purchase is booked. Exactly one of `amount_above`, `count_above` and
/// `sum_above` stands in it, the last two with `within_seconds`. The operation that is looked at counts.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RiskRuleFile {
    /// Its name.
    pub name: String,
    /// The operations that it looks at; without it, all of these but purchases.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<RiskKindFile>,
    /// It strikes above this amount, in minor units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_above: Option<Money>,
    /// It strikes where there are more of these operations than so many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count_above: Option<u32>,
    /// It strikes where these operations sum to more than this, in minor units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sum_above: Option<Money>,
    /// Whose operations are counted or summed: without it those of the customer, else those of a partner or of a device, of all
    /// customers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per: Option<RiskPartyFile>,
    /// Within how many seconds, up to 31 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within_seconds: Option<u32>,
    /// What it does then; a rule of purchases alone flags them where it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub action: Option<RiskActionFile>,
}

/// An operation that is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RiskKindFile {
    /// Money from outside goes into a wallet.
    Deposit,
    /// Money is set aside for a partner.
    Hold,
    /// Money goes from wallet to wallet.
    Transfer,
    /// An invoice is paid.
    Payment,
    /// A purchase is booked.
    Purchase,
}

/// Whose operations a rule counts, of all customers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RiskPartyFile {
    /// Those that one partner asks for or is to be paid by, and its purchases.
    Partner,
    /// Those of one device, as callers name it.
    Device,
}

/// What a rule does that strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RiskActionFile {
    /// Says so in the log, and lets the operation be.
    Flag,
    /// Refuses the operation, or the purchase.
    Block,
    /// Sets the operation aside until an operator releases or rejects it. Not for purchases, which are over when they are sent.
    Review,
}

impl RiskKindFile {
    pub(crate) const fn of(kind: RiskKind) -> RiskKindFile {
        match kind {
            RiskKind::Deposit => RiskKindFile::Deposit,
            RiskKind::Hold => RiskKindFile::Hold,
            RiskKind::Transfer => RiskKindFile::Transfer,
            RiskKind::Payment => RiskKindFile::Payment,
            RiskKind::Purchase => RiskKindFile::Purchase,
        }
    }

    const fn kind(self) -> RiskKind {
        match self {
            RiskKindFile::Deposit => RiskKind::Deposit,
            RiskKindFile::Hold => RiskKind::Hold,
            RiskKindFile::Transfer => RiskKind::Transfer,
            RiskKindFile::Payment => RiskKind::Payment,
            RiskKindFile::Purchase => RiskKind::Purchase,
        }
    }
}

/// Makes the drafts of the risk rules that a file says.
pub(super) fn risk_drafts(file: &CatalogueFile) -> Result<Vec<RiskRuleDraft>, CatalogueFault> {
    file.risk_rules.iter().map(RiskRuleFile::to_draft).collect()
}

impl RiskRuleFile {
    fn to_draft(&self) -> Result<RiskRuleDraft, CatalogueFault> {
        let place = |member: &str| format!("risk_rules[{}].{member}", self.name);
        let by = self.per.map(|per| match per {
            RiskPartyFile::Partner => RiskParty::Partner,
            RiskPartyFile::Device => RiskParty::Device,
        });
        let condition = match (self.amount_above, self.count_above, self.sum_above, self.within_seconds) {
            (Some(limit), None, None, None) if by.is_none() => {
                RiskCondition::AmountAbove(amount(limit, || place("amount_above"))?)
            }
            (None, Some(count), None, Some(seconds)) => match by {
                None => RiskCondition::CountAbove { count, seconds },
                Some(by) => RiskCondition::CountAboveBy { by, count, seconds },
            },
            (None, None, Some(sum), Some(seconds)) => {
                let sum = amount(sum, || place("sum_above"))?;
                match by {
                    None => RiskCondition::SumAbove { sum, seconds },
                    Some(by) => RiskCondition::SumAboveBy { by, sum, seconds },
                }
            }
            _ => {
                let form = "must have exactly one of amount_above, count_above and sum_above; the last two, and only \
                            they, with within_seconds, and with per or without";
                return Err(fault(format!("risk_rules[{}]", self.name), form));
            }
        };
        Ok(RiskRuleDraft {
            name: self.name.clone(),
            operations: self.operations.iter().map(|kind| kind.kind()).collect(),
            condition,
            action: match self.action {
                Some(RiskActionFile::Flag) => RiskAction::Flag,
                Some(RiskActionFile::Block) => RiskAction::Block,
                Some(RiskActionFile::Review) => RiskAction::Review,
                // Nobody loses what was bought because a word is missing.
                None if self.operations == [RiskKindFile::Purchase] => RiskAction::Flag,
                None => return Err(fault(place("action"), "is missing: must be flag, block or review")),
            },
        })
    }
}

/// Writes the risk rules as people write them.
pub(super) fn risk_files(catalogue: &Catalogue) -> Vec<RiskRuleFile> {
    catalogue.risk_rules.iter().map(risk_file).collect()
}

pub(crate) fn risk_file(rule: &RiskRule) -> RiskRuleFile {
    let money = |amount: kembali_core::Amount| Some(Money(amount.minor_units()));
    let (amount_above, count_above, sum_above) = match rule.condition {
        RiskCondition::AmountAbove(amount) => (money(amount), None, None),
        RiskCondition::CountAbove { count, .. } | RiskCondition::CountAboveBy { count, .. } => {
            (None, Some(count), None)
        }
        RiskCondition::SumAbove { sum, .. } | RiskCondition::SumAboveBy { sum, .. } => (None, None, money(sum)),
    };
    RiskRuleFile {
        name: rule.name.clone(),
        operations: rule.operations.iter().map(|kind| RiskKindFile::of(*kind)).collect(),
        amount_above,
        count_above,
        sum_above,
        per: rule.condition.party().map(|by| match by {
            RiskParty::Partner => RiskPartyFile::Partner,
            RiskParty::Device => RiskPartyFile::Device,
        }),
        within_seconds: rule.condition.seconds(),
        action: Some(match rule.action {
            RiskAction::Flag => RiskActionFile::Flag,
            RiskAction::Block => RiskActionFile::Block,
            RiskAction::Review => RiskActionFile::Review,
        }),
    }
}

/// Makes the drafts that would change nothing.
pub(super) fn risk_drafts_of(catalogue: &Catalogue) -> Vec<RiskRuleDraft> {
    let draft = |rule: &RiskRule| RiskRuleDraft {
        name: rule.name.clone(),
        operations: rule.operations.clone(),
        condition: rule.condition,
        action: rule.action,
    };
    catalogue.risk_rules.iter().map(draft).collect()
}

/// A check of the log.
#[derive(Serialize, ToSchema)]
pub(crate) struct RiskCheck {
    /// The position of its record.
    pub(crate) seq: u64,
    /// When the ledger received what was looked at.
    pub(crate) received_at: Rfc3339,
    /// Whose operation or purchase. Of a purchase that is blocked it may be an id that nobody has: a first one makes nobody then.
    pub(crate) customer: UuidText,
    /// What was looked at.
    pub(crate) operation: RiskKindFile,
    /// How much, in minor units.
    pub(crate) amount: i64,
    /// What the check said.
    pub(crate) verdict: RiskVerdict,
    /// The name of the first rule that strikes; null where none does.
    #[schema(required)]
    pub(crate) rule: Option<String>,
    /// True of one that an operator is done with.
    pub(crate) archived: bool,
}

/// What a check said.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RiskVerdict {
    /// No rule strikes.
    Safe,
    /// A rule flags it; the operation was done, or the purchase booked.
    Suspicious,
    /// A rule blocks it; the operation or the purchase was refused.
    Blocked,
    /// A rule sets it aside; whether it is released or rejected is said by records that follow.
    InReview,
}

impl RiskVerdict {
    pub(crate) const fn of(verdict: Verdict) -> RiskVerdict {
        match verdict {
            Verdict::Safe => RiskVerdict::Safe,
            Verdict::Suspicious => RiskVerdict::Suspicious,
        }
    }
}

/// A page of the log, the newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct RiskCheckPage {
    /// The checks. There may be none on a page that is not the last.
    pub(crate) data: Vec<RiskCheck>,
    /// Where the next page starts; null on the last.
    #[schema(required)]
    pub(crate) next_cursor: Option<String>,
    /// The position that the log was looked at from.
    pub(crate) as_of: u64,
}
