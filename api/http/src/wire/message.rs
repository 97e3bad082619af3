//! What the event stream says beside events: its start, its end, and answers to the client.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::report::Summary;
use crate::codes::Code;

/// What comes first where purchases are sent by WebSocket.
#[derive(Serialize, ToSchema)]
pub(crate) struct IngestReady {
    /// `ready`.
    pub(crate) op: &'static str,
    /// About how many bytes of purchases may be under way: more are not read before some of them are answered.
    pub(crate) window: usize,
}

impl IngestReady {
    /// Writes the message.
    pub(crate) fn to_text(&self) -> String {
        // Numbers and plain text are written without fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// What a subscriber may say.
#[derive(Deserialize, ToSchema)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum ClientMessage {
    /// Asks for a `pong`.
    Ping {},
}

/// A message of the server that is no event.
#[derive(Serialize, ToSchema)]
#[serde(tag = "op", rename_all = "snake_case")]
pub(crate) enum ControlMessage {
    /// Comes first.
    Ready {
        /// The last durable position.
        head: u64,
        /// The position behind which the stream starts.
        after: u64,
        /// `exact`: nothing in between is left out. `snapshot`: sums of the position where it starts follow.
        resume: &'static str,
    },
    /// The sums of the tenant, as `GET /v1/reports/summary` shows them, where they are asked for: first, and then the newest alone, at
    /// most once a second.
    Gauge {
        /// The sums, and the position that they are of.
        summary: Box<Summary>,
    },
    /// Answers `{"op":"ping"}`.
    Pong,
    /// The subscriber was too slow and is about to be closed.
    Lag {
        /// The position to go on from.
        resume_after: u64,
    },
    /// Answers what is no operation by WebSocket, and says why an event source ends.
    Error {
        /// A problem code.
        code: &'static str,
        /// What happened.
        title: &'static str,
        /// What to do about it.
        detail: &'static str,
    },
}

impl ControlMessage {
    /// Says what went wrong, and what to do about it.
    pub(crate) const fn error(code: &Code) -> ControlMessage {
        ControlMessage::Error { code: code.code, title: code.title, detail: code.remedy }
    }

    /// Writes the message.
    pub(crate) fn to_text(&self) -> String {
        // Numbers and plain text are written without fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}
