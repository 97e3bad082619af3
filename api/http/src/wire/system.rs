//! How the server is doing, for operators.

use std::time::Duration;

use kembali_core::Instant;
use kembali_engine::{IN_FLIGHT_UNITS, Percentiles, Verification};
use serde::Serialize;
use utoipa::ToSchema;

use super::health::Status;
use super::instant::Rfc3339;

/// How the server is doing.
#[derive(Serialize, ToSchema)]
pub(crate) struct System {
    /// The version of the program.
    pub(crate) version: &'static str,
    /// When it started.
    pub(crate) started_at: Rfc3339,
    /// `read_only` while the disk is nearly full: reads go on, nothing is booked.
    pub(crate) status: Status,
    /// `off` while the clock of the wall has jumped: nothing expires that nobody asks for, and the server is not ready.
    pub(crate) clock: Clock,
    /// From where purchases are taken to where they are durable and their answers known, one measure for each.
    pub(crate) decisions: Measured,
    /// Writing a frame of the journal to the disk and syncing it, one measure for each frame.
    pub(crate) syncs: Measured,
    /// What is under way.
    pub(crate) in_flight: InFlight,
    /// How many shards decide.
    pub(crate) shards: usize,
    /// Records that are durable in the journal and not archived yet.
    pub(crate) tail: Tail,
    /// What is archived.
    pub(crate) archive: Archive,
    /// The disk of the ledger; not there where it does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) disk: Option<Disk>,
    /// The memory of the server; not there where the system does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) memory: Option<Memory>,
    /// Subscribers of the event stream, of all tenants.
    pub(crate) subscribers: usize,
    /// The check of the archive that was asked for last; null where none was since the start.
    #[schema(required)]
    pub(crate) verification: Option<VerificationShown>,
    /// The last durable position.
    pub(crate) as_of: u64,
}

/// Whether the clock of the wall can be believed.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Clock {
    Ok,
    Off,
}

/// Percentiles of what took place lately, in microseconds; null where nothing did.
#[derive(Serialize, ToSchema)]
pub(crate) struct Measured {
    /// How many seconds were looked back at.
    seconds: u64,
    /// How much was measured.
    count: u64,
    /// Half of it took no longer.
    #[schema(required)]
    p50_us: Option<u64>,
    /// 99 of 100 took no longer.
    #[schema(required)]
    p99_us: Option<u64>,
    /// Nothing took longer.
    #[schema(required)]
    max_us: Option<u64>,
}

impl Measured {
    pub(crate) fn of(own: Percentiles) -> Measured {
        let micros = |time: Duration| {
            let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
            (own.count != 0).then_some(micros)
        };
        let (p50_us, p99_us, max_us) = (micros(own.p50), micros(own.p99), micros(own.max));
        Measured { seconds: own.over.as_secs(), count: own.count, p50_us, p99_us, max_us }
    }
}

/// What is under way, in units of room: one for each purchase or operation, and one more for each KiB of its text.
#[derive(Serialize, ToSchema)]
pub(crate) struct InFlight {
    /// How many are taken.
    used: usize,
    /// How many there are. Beyond them single requests get 503, and streams are not read on.
    room: usize,
}

impl InFlight {
    pub(crate) fn of(used: usize) -> InFlight {
        InFlight { used, room: IN_FLIGHT_UNITS as usize }
    }
}

/// What is not archived yet.
#[derive(Serialize, ToSchema)]
pub(crate) struct Tail {
    /// How many records.
    pub(crate) records: u64,
}

/// What is archived. Where it ends a snapshot is taken, from which a start goes on.
#[derive(Serialize, ToSchema)]
pub(crate) struct Archive {
    /// How many files.
    pub(crate) segments: usize,
    /// The last record of them.
    pub(crate) last_seq: u64,
}

/// The disk of the ledger.
#[derive(Serialize, ToSchema)]
pub(crate) struct Disk {
    /// Bytes that are free.
    pub(crate) free_bytes: u64,
    /// With fewer the ledger is read-only; 0 where nobody looks.
    pub(crate) free_bytes_min: u64,
}

/// The memory of the server.
#[derive(Serialize, ToSchema)]
pub(crate) struct Memory {
    /// Bytes of it that are in the machine's memory.
    pub(crate) resident_bytes: u64,
}

/// A check of every byte of the archive. Damage stops the server, which says what is damaged and what to do.
#[derive(Serialize, ToSchema)]
pub(crate) struct VerificationShown {
    /// `running`; `passed`: every byte is as it was written; `incomplete`: a file could not be read, which is no damage.
    state: VerificationState,
    /// When it was asked for.
    started_at: Rfc3339,
    /// When it ended; null while it runs.
    #[schema(required)]
    ended_at: Option<Rfc3339>,
    /// Files of the archive.
    segments: usize,
    /// Those that were checked.
    segments_checked: usize,
    /// The last record of them.
    through: u64,
    /// Why a file could not be read; null where all could.
    #[schema(required)]
    unread: Option<String>,
}

/// How a check of the archive is doing.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum VerificationState {
    Running,
    Passed,
    Incomplete,
}

impl VerificationShown {
    pub(crate) fn of(own: Verification) -> VerificationShown {
        let took = i64::try_from(own.took.as_micros()).unwrap_or(i64::MAX);
        let ended = Instant(own.started_at.0.saturating_add(took));
        VerificationShown {
            state: match (own.is_over, &own.unread) {
                (false, _) => VerificationState::Running,
                (true, None) => VerificationState::Passed,
                (true, Some(_)) => VerificationState::Incomplete,
            },
            started_at: Rfc3339(own.started_at),
            ended_at: own.is_over.then_some(Rfc3339(ended)),
            segments: own.segments,
            segments_checked: own.checked,
            through: own.through.0,
            unread: own.unread,
        }
    }
}
