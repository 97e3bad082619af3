//! The query parameters of every route, in one table: a handler reads no other, and the description of the server
//! lists exactly these.

use kembali_core::points::LIFE_DAYS_MAX;

use crate::routes::Endpoint;

/// What the text of a parameter must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Text,
    /// A whole number without a sign, from `min` to `max`.
    Whole {
        min: u64,
        max: u64,
        default: Option<u64>,
    },
    Flag,
    Uuid,
    /// A position, or an instant.
    Past,
}

/// One parameter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    pub(crate) form: Form,
    /// What it does, in a sentence.
    pub(crate) says: &'static str,
}

/// Items of a page, unless the caller says otherwise.
pub(crate) const LIMIT_DEFAULT: usize = 50;
/// Items of a page at most.
pub(crate) const LIMIT_MAX: usize = 200;

/// Customers that a what-if lists of each side, unless the caller says otherwise.
pub(crate) const TOP_DEFAULT: usize = 10;
/// Customers that it lists of each side at most.
pub(crate) const TOP_MAX: usize = 1_000;

const fn parameter(name: &'static str, form: Form, says: &'static str) -> Parameter {
    Parameter { name, form, says }
}

/// A wallet's number.
pub(crate) const WALLET: Form = Form::Whole { min: 0, max: u16::MAX as u64, default: None };
/// A hold's number.
pub(crate) const HOLD: Form = Form::Whole { min: 1, max: u32::MAX as u64, default: None };
/// A position.
pub(crate) const POSITION: Form = Form::Whole { min: 0, max: u64::MAX, default: None };
const VERSION_NUMBER: Form = Form::Whole { min: 0, max: u32::MAX as u64, default: None };

const TENANT: Parameter = parameter(
    "tenant",
    Form::Text,
    "The tenant's slug. Whoever holds the server's token must name it; for all others there is their own alone.",
);
const MIN_SEQ: Parameter =
    parameter("min_seq", POSITION, "A position that the answer must have reached, such as the `seq` of a write.");
const AT: Parameter = parameter(
    "at",
    Form::Past,
    "A past position that the answer is as of, or an instant: then the last record that was received at it or before it. \
     For operators alone.",
);
const STATEMENT_FROM: Parameter = parameter(
    "from",
    Form::Past,
    "The position, or instant, behind which the statement begins: its opening balances are as of it. From the first record \
     on without it.",
);
const STATEMENT_TO: Parameter = parameter(
    "to",
    Form::Past,
    "The position, or instant, with which the statement ends: its closing balances are as of it. Until now without it.",
);
const REPORT_FROM: Parameter = parameter(
    "from",
    Form::Past,
    "The position, or instant, behind which the report begins: what was there is as of it. From the first record on \
     without it.",
);
const REPORT_TO: Parameter = parameter(
    "to",
    Form::Past,
    "The position, or instant, with which the report ends: what is there is as of it. Until now without it.",
);
const ID: Parameter = parameter("id", Form::Uuid, "The customer's id. Exactly one of `id`, `email` and `ref`.");
const EMAIL: Parameter = parameter("email", Form::Text, "The customer's e-mail address, as purchases name it.");
const REF: Parameter = parameter("ref", Form::Text, "The tenant's own reference of the customer.");
const CUSTOMER: Parameter = parameter("customer", Form::Uuid, "Only what is of this customer.");
const STATE: Parameter = parameter(
    "state",
    Form::Text,
    "Only payments that came to this: `funds_held`, `settled`, `rejected`, `failed`, `voided`, `expired`, \
     `reversed` or `in_review`.",
);
const DELIVERY_STATE: Parameter =
    parameter("state", Form::Text, "Only deliveries that are so: `due`, `given_up` or `made`.");
const VERDICT: Parameter =
    parameter("verdict", Form::Text, "Only checks that said this: `safe`, `suspicious`, `blocked` or `in_review`.");
const ARCHIVED: Parameter = parameter("archived", Form::Flag, "True to be shown those too that are archived.");
const EVERYWHERE: Parameter = parameter("everywhere", Form::Flag, "True to end all sessions of the account.");
const USERNAME: Parameter =
    parameter("username", Form::Text, "What its person logs in by; letter case does not count. It must be named.");
const EXPIRING: Parameter = parameter(
    "expiring_within_days",
    Form::Whole { min: 1, max: LIFE_DAYS_MAX as u64, default: None },
    "Each kind of points says how many of them expire within so many days from now, if they are not spent.",
);
const LIMIT: Parameter = parameter(
    "limit",
    Form::Whole { min: 1, max: LIMIT_MAX as u64, default: Some(LIMIT_DEFAULT as u64) },
    "Items of a page. The last record on a page is shown whole, so there may be a few more.",
);
const CURSOR: Parameter =
    parameter("cursor", Form::Text, "Where the page starts: `next_cursor` of the page before, as it is.");
const VERSION: Parameter =
    parameter("version", VERSION_NUMBER, "A version of the rules; the present one if it is not given.");
const WHAT_IF_FROM: Parameter = parameter(
    "from",
    Form::Text,
    "From where on purchases are decided again, included: a position, or when the ledger received them (RFC 3339). All \
     of them without it; what lies before really happened.",
);
const WHAT_IF_TO: Parameter = parameter(
    "to",
    Form::Text,
    "Up to where, included: a position, or when the ledger received them (RFC 3339). All that is durable without it.",
);
const TOP: Parameter = parameter(
    "top",
    Form::Whole { min: 0, max: TOP_MAX as u64, default: Some(TOP_DEFAULT as u64) },
    "How many of the customers with the largest differences are listed, of each side and unit.",
);
const DRY_RUN: Parameter =
    parameter("dry_run", Form::Flag, "True to be told what would happen, and have nothing happen.");
const EXPECTED_VERSION: Parameter =
    parameter("expected_version", VERSION_NUMBER, "Refuses the change unless this version is the present one.");
const AFTER: Parameter =
    parameter("after", POSITION, "The last position that was seen; events behind it follow. From now on without it.");
const TOPICS: Parameter = parameter(
    "topics",
    Form::Text,
    "Topics with commas between them; `*` at the end of a name stands for any text. Every topic without it.",
);

/// Records that one `ev` may tell of at most.
pub(crate) const BATCH_MAX: u64 = 256;
const HISTORY_AFTER: Parameter = parameter(
    "after",
    POSITION,
    "The last position that was seen; events behind it follow. From the first one without it.",
);
const BATCH: Parameter = parameter(
    "batch",
    Form::Whole { min: 1, max: BATCH_MAX, default: Some(1) },
    "How many records one `ev` may tell of; 1 without it.",
);

const GAUGES: Parameter = parameter(
    "gauges",
    Form::Flag,
    "True to be sent the sums of the tenant too, for operators. Without `after` the events follow that the first sums do not know yet.",
);

/// Lists what a route reads from its query.
pub(crate) fn of(endpoint: Endpoint) -> &'static [Parameter] {
    match endpoint {
        Endpoint::Health
        | Endpoint::Ready
        | Endpoint::Problem
        | Endpoint::OpenApi
        | Endpoint::AsyncApi
        | Endpoint::PostSnapshot
        | Endpoint::System
        | Endpoint::VerifyArchive
        | Endpoint::Docs
        | Endpoint::DocsFile
        | Endpoint::Dashboard
        | Endpoint::DashboardFile => &[],
        Endpoint::BookPurchases => &[DRY_RUN],
        Endpoint::FindCustomer => &[TENANT, MIN_SEQ, AT, ID, EMAIL, REF, EXPIRING],
        Endpoint::Tiers | Endpoint::Entries | Endpoint::CustomerPurchases => &[TENANT, MIN_SEQ, AT, LIMIT, CURSOR],
        Endpoint::Purchase => &[MIN_SEQ],
        Endpoint::PostCustomer
        | Endpoint::PostWallet
        | Endpoint::PatchWallet
        | Endpoint::DeleteWallet
        | Endpoint::EraseCustomer
        | Endpoint::PostDeposit
        | Endpoint::PostAdjustment
        | Endpoint::PostActivity
        | Endpoint::PostRedemption
        | Endpoint::SettleHold
        | Endpoint::VoidHold
        | Endpoint::PostTransfer
        | Endpoint::CancelInvoice
        | Endpoint::PostPayment
        | Endpoint::Reverse
        | Endpoint::ReleaseReview
        | Endpoint::RejectReview
        | Endpoint::ArchiveRiskCheck
        | Endpoint::Promote
        | Endpoint::PostRefund
        | Endpoint::Demote => &[TENANT, DRY_RUN],
        Endpoint::PostHold | Endpoint::PostInvoice => &[DRY_RUN],
        Endpoint::Operation | Endpoint::Invoice => &[TENANT, MIN_SEQ],
        Endpoint::Payments => &[TENANT, MIN_SEQ, CUSTOMER, STATE, LIMIT, CURSOR],
        Endpoint::Reviews => &[TENANT, MIN_SEQ, LIMIT, CURSOR],
        Endpoint::RiskChecks => &[TENANT, MIN_SEQ, CUSTOMER, VERDICT, ARCHIVED, LIMIT, CURSOR],
        Endpoint::Customer => &[TENANT, MIN_SEQ, AT, EXPIRING],
        Endpoint::Wallets
        | Endpoint::Holds
        | Endpoint::Promos
        | Endpoint::Promo
        | Endpoint::TierPrograms
        | Endpoint::Partners
        | Endpoint::Summary
        | Endpoint::Costs
        | Endpoint::Offers
        | Endpoint::TrialBalance => &[TENANT, MIN_SEQ, AT],
        Endpoint::Customers => &[TENANT, MIN_SEQ, LIMIT, CURSOR],
        Endpoint::Liability => &[TENANT, MIN_SEQ, REPORT_FROM, REPORT_TO],
        Endpoint::Statement => &[TENANT, MIN_SEQ, STATEMENT_FROM, STATEMENT_TO, LIMIT, CURSOR],
        Endpoint::ExplainPurchase | Endpoint::ExportCustomer => &[TENANT, MIN_SEQ],
        Endpoint::Catalogue => &[TENANT, VERSION, MIN_SEQ, AT],
        Endpoint::ApiKeys | Endpoint::DeleteApiKey | Endpoint::PatchPartner => &[TENANT],
        Endpoint::Register
        | Endpoint::Login
        | Endpoint::Refresh
        | Endpoint::ChangePassword
        | Endpoint::Me
        | Endpoint::PublicKeys
        | Endpoint::IngestSocket
        | Endpoint::RotateSigningKey => &[],
        Endpoint::Logout => &[EVERYWHERE],
        Endpoint::FindAccount => &[TENANT, USERNAME],
        Endpoint::PostAccount | Endpoint::Account | Endpoint::PatchAccount => &[TENANT],
        Endpoint::Audit => &[TENANT, MIN_SEQ, LIMIT, CURSOR],
        Endpoint::WhatIf => &[TENANT, WHAT_IF_FROM, WHAT_IF_TO, TOP],
        Endpoint::PutPromo
        | Endpoint::PatchPromo
        | Endpoint::PutTierProgram
        | Endpoint::PostPartner
        | Endpoint::PostApiKey
        | Endpoint::PutCatalogue => &[TENANT, EXPECTED_VERSION, DRY_RUN],
        Endpoint::Stream => &[AFTER, TOPICS, BATCH, GAUGES, TENANT],
        Endpoint::Webhooks
        | Endpoint::PostWebhook
        | Endpoint::Webhook
        | Endpoint::PatchWebhook
        | Endpoint::DeleteWebhook
        | Endpoint::RotateWebhookSecret
        | Endpoint::TestWebhook
        | Endpoint::ReplayDelivery
        | Endpoint::ReplayDeliveries
        | Endpoint::Mail
        | Endpoint::ReplayMail
        | Endpoint::ReplayMails => &[TENANT],
        Endpoint::WebhookDeliveries | Endpoint::MailDeliveries => &[TENANT, DELIVERY_STATE, LIMIT, CURSOR],
        Endpoint::Events => &[HISTORY_AFTER, TOPICS, TENANT, LIMIT, CURSOR],
    }
}

/// Says whether a route takes the header `Idempotency-Key`, and whether it insists on one: `None` where it takes none.
pub(crate) const fn insists_on_key(endpoint: Endpoint) -> Option<bool> {
    match endpoint {
        // Money, or a step: a repeat would be a second one.
        Endpoint::PostWallet
        | Endpoint::PostDeposit
        | Endpoint::PostAdjustment
        | Endpoint::PostActivity
        | Endpoint::PostRedemption
        | Endpoint::PostHold
        | Endpoint::SettleHold
        | Endpoint::VoidHold
        | Endpoint::PostTransfer
        | Endpoint::PostInvoice
        | Endpoint::CancelInvoice
        | Endpoint::PostPayment
        | Endpoint::Reverse
        | Endpoint::ReleaseReview
        | Endpoint::RejectReview
        | Endpoint::ArchiveRiskCheck
        | Endpoint::Promote
        | Endpoint::Demote => Some(true),
        Endpoint::PostCustomer | Endpoint::PatchWallet | Endpoint::DeleteWallet | Endpoint::EraseCustomer => {
            Some(false)
        }
        _ => None,
    }
}
