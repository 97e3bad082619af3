//! That the server is up, and what it takes.

use serde::Serialize;
use utoipa::ToSchema;

/// The server is up.
#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    /// `read_only` while the disk is nearly full: reads go on, nothing is booked.
    pub(crate) status: Status,
}

/// What the server takes.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    Ok,
    ReadOnly,
}
