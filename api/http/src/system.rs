//! How the server is doing, and the check of the archive on request.

use std::{fs, io};

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use hyper::{StatusCode, Uri};

use crate::app::App;
use crate::codes;
use crate::parameters;
use crate::problem::Problem;
use crate::query::Query;
use crate::reads::Json;
use crate::routes::Endpoint;
use crate::wire::health;
use crate::wire::instant::Rfc3339;
use crate::wire::system::{Archive, Clock, Disk, InFlight, Measured, Memory, System, Tail, VerificationShown};

/// Shows how the server is doing.
pub(crate) async fn show(State(app): State<App>, uri: Uri) -> Result<Json<System>, Problem> {
    Query::parse(&uri, parameters::of(Endpoint::System))?;
    let own = app.engine.status();
    let disk = match own.disk {
        Ok((free_bytes, free_bytes_min)) => Some(Disk { free_bytes, free_bytes_min }),
        Err(error) => {
            tracing::warn!(%error, "the room on the disk cannot be told");
            None
        }
    };
    let memory = match resident_bytes() {
        Ok(resident_bytes) => Some(Memory { resident_bytes }),
        Err(error) => {
            tracing::warn!(%error, "the memory that the server takes cannot be told");
            None
        }
    };
    Ok(Json(System {
        version: env!("CARGO_PKG_VERSION"),
        started_at: Rfc3339(app.started_at),
        status: if app.engine.is_read_only() { health::Status::ReadOnly } else { health::Status::Ok },
        clock: if app.engine.is_clock_off() { Clock::Off } else { Clock::Ok },
        decisions: Measured::of(own.decisions),
        syncs: Measured::of(own.syncs),
        in_flight: InFlight::of(own.in_flight),
        shards: own.shards,
        tail: Tail { records: own.durable.0.saturating_sub(own.archived.0) },
        archive: Archive { segments: own.segments, last_seq: own.archived.0 },
        disk,
        memory,
        subscribers: app.subscribers.taken(),
        verification: own.verification.map(VerificationShown::of),
        as_of: own.durable.0,
    }))
}

/// Asks the system how much memory this process takes; Linux tells.
fn resident_bytes() -> io::Result<u64> {
    let path = "/proc/self/status";
    let status = fs::read_to_string(path)?;
    let resident =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok());
    resident.map(|kib: u64| 1_024 * kib).ok_or_else(|| io::Error::other(format!("{path} does not tell")))
}

/// Begins to check every byte of the archive.
pub(crate) async fn verify(State(app): State<App>, uri: Uri) -> Result<Response, Problem> {
    Query::parse(&uri, parameters::of(Endpoint::VerifyArchive))?;
    let begun = app.engine.verify_archive()?.ok_or_else(|| Problem::new(&codes::VERIFICATION_RUNNING))?;
    Ok((StatusCode::ACCEPTED, Json(VerificationShown::of(begun))).into_response())
}
