//! A snapshot that was taken on request.

use serde::Serialize;
use utoipa::ToSchema;

/// A snapshot.
#[derive(Serialize, ToSchema)]
pub(crate) struct Snapshot {
    /// The position up to which it reaches.
    pub(crate) seq: u64,
}
