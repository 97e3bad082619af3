//! The ledger engine: the machine made to run. Actors and threads live here; rules and bytes on disk do not.
//!
//! [`Engine`] is all that a caller sees. Behind it: a router actor and a shard actor or more around the sans-io machine,
//! and one thread that writes the journal. No type of the actor library crosses this surface, and no JSON comes in.

mod accounts;
mod archiver;
mod as_of;
mod away_file;
mod clock;
mod clock_guard;
mod customers;
mod digest;
mod erase;
mod free_space;
mod give_way;
mod handle;
mod history;
mod installation;
mod journal_thread;
mod naming;
mod operate;
mod outbox;
mod partner_keys;
mod partners;
mod preview;
mod profile_keys;
mod recovery;
mod refund;
mod request;
mod router_actor;
mod scrub;
mod seal;
mod shard_actor;
mod shared;
mod signing_keys;
mod start;
mod status;
mod tell;
mod timings;
mod webhooks;
mod what_if;

pub use accounts::{ACCOUNT_TEXT_BYTES_MAX, Account, AccountError, NewAccount, NewActor, Session};
pub use as_of::Before;
pub use clock::now;
pub use clock_guard::{CLOCK_TOLERANCE, Clock, Monotonic, monotonic};
pub use digest::LedgerDigest;
pub use free_space::{FreeBytes, free_bytes_of};
pub use handle::{Engine, IN_FLIGHT_UNITS, Pause};
pub use installation::KeyError;
pub use journal_thread::Fault;
pub use kembali_machine::{CustomerView, InvoiceView, PromoUse, TotalsView};
pub use operate::{DeskRequest, OperateError, Operated, OperationRequest};
pub use outbox::{Delivery, DeliveryState, ForgetError, Lane, OUTBOX_REASON_CHARS_MAX, OutboxChange, OutboxState};
pub use partner_keys::SigningSecret;
pub use preview::Previewed;
pub use recovery::{FoldError, Verified, VerifyError, verify};
pub use refund::{RefundRequest, Refunded};
pub use request::{
    AdministerError, Admitted, ApiKey, ApiKeyId, Applied, ApplyError, ApplyRequest, BookError, Booking, Caller,
    CustomerRef, GivenKey, NotTaken, PartnerKey, PurchaseRequest, ReadError, ReadOnly, RecordAndRules, StopError,
    Stopped,
};
pub use scrub::Verification;
pub use signing_keys::{SigningKey, SigningKeyError};
pub use start::{EngineConfig, StartError, StartReport};
pub use status::Status;
pub use timings::Percentiles;
pub use webhooks::{
    NewWebhook, WEBHOOK_TEXT_BYTES_MAX, Webhook, WebhookDisabled, WebhookError, WebhookId, WebhookSecret,
    WebhookSettings, WebhookStatus,
};
pub use what_if::{
    Bound, WhatIfError, WhatIfOfflineError, WhatIfProgress, WhatIfRefused, WhatIfReport, WhatIfRequest, WhatIfRun,
    WhatIfUpdate, what_if_offline,
};

/// Says which store is being opened right now, with the remedy should that end in a panic: sled panics on some damage,
/// and a panic hook has nothing else to go by.
#[must_use]
pub fn opening() -> Option<String> {
    kembali_journal::opening::current()
}
