//! The export of a customer, line by line.

use serde::Serialize;
use utoipa::ToSchema;

use super::customer::{Customer, WalletList};
use super::event::Frame;
use super::session::AccountShown;

/// A line of an export: the customer, the wallets, each account, each record, the newest first, and the end.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ExportLine {
    /// The customer.
    Customer(Box<Customer>),
    /// The wallets.
    Wallets(WalletList),
    /// An account of the customer.
    Account(AccountShown),
    /// What happened in a record, as on the event stream. Written without a copy by whoever walks the records.
    #[allow(dead_code, reason = "it is here for the document of the API; frames are written as they are")]
    Record(Frame<'static>),
    /// There is no more.
    End(ExportEnd),
}

/// The end of an export.
#[derive(Serialize, ToSchema)]
pub(crate) struct ExportEnd {
    /// How many records the customer has. What is the tenant's own business is not shown of them.
    pub(crate) records: u64,
}
