//! The server's own gauges while a run goes on: `GET /v1/system`, once a second, over a connection of its own.
//!
//! It asks no oftener, however late it is, and it never asks twice for a second: one without a sample is a gap that says why.

use std::fmt;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinError, JoinHandle};

use crate::client::{Address, Client, ClientError};
use crate::series::SECONDS_MAX;

const PATH: &str = "/v1/system";
const EVERY: Duration = Duration::from_secs(1);
/// How long a sample may take; then there is time left until the next.
const SAMPLE_TIME_MAX: Duration = Duration::from_millis(900);
const _: () = assert!(SAMPLE_TIME_MAX.as_millis() < EVERY.as_millis());

/// What the server said of itself at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Gauges {
    /// Units of room that were taken by what was under way.
    pub(crate) in_flight_units: u64,
    /// Records that were durable and not archived yet.
    pub(crate) tail_records: u64,
    /// The last record that was durable.
    pub(crate) durable_seq: u64,
    /// The last record that was archived, and in how many files.
    pub(crate) archived_seq: u64,
    pub(crate) archive_segments: u64,
    /// The last `measured_s` seconds are what the following look back at.
    pub(crate) measured_s: u64,
    pub(crate) syncs: u64,
    pub(crate) sync_p99_us: Option<u64>,
    pub(crate) decision_p99_us: Option<u64>,
    /// Of the disk of the ledger, where it says.
    pub(crate) disk_free_bytes: Option<u64>,
    /// Of the server, where it says.
    pub(crate) memory_bytes: Option<u64>,
}

impl Gauges {
    /// Returns the highest of each, but for the free bytes: the fewest.
    pub(crate) fn highest(self, other: Gauges) -> Gauges {
        Gauges {
            in_flight_units: self.in_flight_units.max(other.in_flight_units),
            tail_records: self.tail_records.max(other.tail_records),
            durable_seq: self.durable_seq.max(other.durable_seq),
            archived_seq: self.archived_seq.max(other.archived_seq),
            archive_segments: self.archive_segments.max(other.archive_segments),
            measured_s: self.measured_s.max(other.measured_s),
            syncs: self.syncs.max(other.syncs),
            sync_p99_us: self.sync_p99_us.max(other.sync_p99_us),
            decision_p99_us: self.decision_p99_us.max(other.decision_p99_us),
            disk_free_bytes: self.disk_free_bytes.into_iter().chain(other.disk_free_bytes).min(),
            memory_bytes: self.memory_bytes.max(other.memory_bytes),
        }
    }
}

/// What the server is, as it said itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Server {
    pub(crate) version: String,
    pub(crate) shards: u64,
    /// Units of room for what is under way.
    pub(crate) in_flight_room: u64,
}

/// Why a second has no sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Gap {
    Slow,
    Unreachable,
    Broken,
    Refused {
        status: u16,
    },
    NotUnderstood,
    /// The processor was not there for this program.
    Late,
    /// The run was over before it was asked for.
    Over,
    NotAsked,
}

impl fmt::Display for Gap {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Gap::Slow => write!(out, "no answer within {} ms", SAMPLE_TIME_MAX.as_millis()),
            Gap::Unreachable => out.write_str("the server could not be reached"),
            Gap::Broken => out.write_str("the connection broke"),
            Gap::Refused { status } => write!(out, "refused with status {status}"),
            Gap::NotUnderstood => out.write_str("an answer without the gauges that are known"),
            Gap::Late => out.write_str("this program was late"),
            Gap::Over => out.write_str("the run was over"),
            Gap::NotAsked => out.write_str("nobody asked"),
        }
    }
}

/// What was sampled during a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watched {
    /// As it said in the first sample.
    pub(crate) server: Option<Server>,
    /// One for each second, taken when it begins.
    samples: Vec<Result<Gauges, Gap>>,
}

impl Watched {
    /// Returns one sample, or why there is none, for each of so many seconds.
    pub(crate) fn samples(&self, seconds: usize) -> impl Iterator<Item = Result<Gauges, Gap>> {
        let none = if self.samples.is_empty() { Gap::NotAsked } else { Gap::Over };
        self.samples.iter().copied().chain(std::iter::repeat(Err(none))).take(seconds)
    }
}

/// Who asks.
pub(crate) struct Sampler {
    client: Client,
    token: String,
}

/// A sampler at work. It ends when this is dropped.
pub(crate) struct Sampling {
    stop: oneshot::Sender<()>,
    last: watch::Receiver<Option<Gauges>>,
    task: JoinHandle<Watched>,
}

impl Sampler {
    /// Makes a sampler that asks by an operator's token.
    pub(crate) fn new(address: &Address, token: &str) -> Sampler {
        Sampler { client: Client::new(address), token: token.to_owned() }
    }

    /// Asks at each second after `began`, at once for the first time.
    pub(crate) fn start(self, began: Instant) -> Sampling {
        let (stop, stopped) = oneshot::channel();
        let (told, last) = watch::channel(None);
        Sampling { stop, last, task: tokio::spawn(self.watch(began, stopped, told)) }
    }

    async fn watch(
        mut self,
        began: Instant,
        mut stopped: oneshot::Receiver<()>,
        told: watch::Sender<Option<Gauges>>,
    ) -> Watched {
        let mut watched = Watched::default();
        while watched.samples.len() < SECONDS_MAX {
            let passed = watched.samples.len() as u64;
            let Some(due) = began.checked_add(EVERY * u32::try_from(passed).unwrap_or(u32::MAX)) else { break };
            tokio::select! {
                biased;
                // Whoever would have said so may be gone, too.
                _ = &mut stopped => break,
                () = tokio::time::sleep_until(due.into()) => (),
            }
            if passed < began.elapsed().as_secs() {
                watched.samples.push(Err(Gap::Late));
                continue;
            }
            let asked = tokio::select! {
                biased;
                // Nobody waits for an answer that no second of the run needs any more.
                _ = &mut stopped => break,
                asked = self.sample() => asked,
            };
            let sample = asked.map(|system| {
                watched.server.get_or_insert_with(|| system.server());
                system.gauges()
            });
            told.send_replace(sample.ok());
            watched.samples.push(sample);
        }
        watched
    }

    async fn sample(&mut self) -> Result<System, Gap> {
        let asked = tokio::time::timeout(SAMPLE_TIME_MAX, self.client.report(PATH, &self.token)).await;
        let result = match asked {
            Err(_) => Err(Gap::Slow),
            Ok(Err(ClientError::Unreachable { .. })) => Err(Gap::Unreachable),
            Ok(Err(ClientError::Refused { status, .. })) => Err(Gap::Refused { status }),
            Ok(Err(ClientError::Report(_))) => Err(Gap::NotUnderstood),
            Ok(Err(_)) => Err(Gap::Broken),
            Ok(Ok(report)) => serde_json::from_value(report).map_err(|_| Gap::NotUnderstood),
        };
        if result.is_err() {
            // An answer may still be on its way.
            self.client.disconnect();
        }
        result
    }
}

impl Sampling {
    /// Returns what the server said when it was asked last; nothing if it did not say.
    pub(crate) fn last(&self) -> Option<Gauges> {
        *self.last.borrow()
    }

    /// Asks no more, and returns what was sampled.
    ///
    /// # Errors
    ///
    /// A mistake of this program.
    pub(crate) async fn finish(self) -> Result<Watched, JoinError> {
        // It ends by itself after as many seconds as a run may have.
        let _ = self.stop.send(());
        self.task.await
    }
}

/// The members of the answer that are known here.
#[derive(Deserialize)]
struct System {
    version: String,
    shards: u64,
    decisions: Measured,
    syncs: Measured,
    in_flight: InFlight,
    tail: Tail,
    archive: Archive,
    disk: Option<Disk>,
    memory: Option<Memory>,
    as_of: u64,
}

#[derive(Deserialize)]
struct Measured {
    seconds: u64,
    count: u64,
    p99_us: Option<u64>,
}

#[derive(Deserialize)]
struct InFlight {
    used: u64,
    room: u64,
}

#[derive(Deserialize)]
struct Tail {
    records: u64,
}

#[derive(Deserialize)]
struct Archive {
    segments: u64,
    last_seq: u64,
}

#[derive(Deserialize)]
struct Disk {
    free_bytes: u64,
}

#[derive(Deserialize)]
struct Memory {
    resident_bytes: u64,
}

impl System {
    fn server(&self) -> Server {
        Server { version: self.version.clone(), shards: self.shards, in_flight_room: self.in_flight.room }
    }

    fn gauges(&self) -> Gauges {
        Gauges {
            in_flight_units: self.in_flight.used,
            tail_records: self.tail.records,
            durable_seq: self.as_of,
            archived_seq: self.archive.last_seq,
            archive_segments: self.archive.segments,
            measured_s: self.syncs.seconds,
            syncs: self.syncs.count,
            sync_p99_us: self.syncs.p99_us,
            decision_p99_us: self.decisions.p99_us,
            disk_free_bytes: self.disk.as_ref().map(|disk| disk.free_bytes),
            memory_bytes: self.memory.as_ref().map(|memory| memory.resident_bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    const SYSTEM: &str = r#"{"version":"0.1.0","started_at":"2026-01-01T00:00:00Z","status":"ok","clock":"ok",
        "decisions":{"seconds":10,"count":9,"p50_us":1,"p99_us":2,"max_us":3},
        "syncs":{"seconds":10,"count":0,"p50_us":null,"p99_us":null,"max_us":null},
        "in_flight":{"used":4,"room":8192},"shards":2,"tail":{"records":7},"archive":{"segments":1,"last_seq":5},
        "disk":{"free_bytes":1024,"free_bytes_min":0},"memory":{"resident_bytes":4096},"subscribers":0,"verification":null,"as_of":12}"#;

    /// Samples a server that gives one of these answers to each connection, until all are given.
    async fn watched(answers: &'static [&'static str]) -> Watched {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = Address::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let server = tokio::spawn(async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; 1_024];
                let _ = stream.read(&mut request).await.unwrap();
                stream.write_all(answer.as_bytes()).await.unwrap();
                // Whoever cannot use an answer hangs up.
                assert_eq!(stream.read(&mut request).await.unwrap(), 0);
            }
        });
        let sampling = Sampler::new(&address, "token").start(Instant::now());
        server.await.unwrap();
        sampling.finish().await.unwrap()
    }

    #[test]
    fn an_answer_is_read_member_by_member() {
        let system: System = serde_json::from_str(SYSTEM).unwrap();
        assert_eq!(system.server(), Server { version: "0.1.0".to_owned(), shards: 2, in_flight_room: 8_192 });
        let expected = Gauges {
            in_flight_units: 4,
            tail_records: 7,
            durable_seq: 12,
            archived_seq: 5,
            archive_segments: 1,
            measured_s: 10,
            syncs: 0,
            sync_p99_us: None,
            decision_p99_us: Some(2),
            disk_free_bytes: Some(1_024),
            memory_bytes: Some(4_096),
        };
        assert_eq!(system.gauges(), expected);
    }

    #[tokio::test]
    async fn each_second_is_asked_for_once_and_a_gap_says_why() {
        const REFUSED: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\n{}";
        const NOTHING: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
        let watched = watched(&[REFUSED, NOTHING]).await;
        let samples: Vec<_> = watched.samples(4).collect();
        assert_eq!(
            samples,
            [Err(Gap::Refused { status: 503 }), Err(Gap::NotUnderstood), Err(Gap::Over), Err(Gap::Over)]
        );
        assert_eq!(watched.server, None);
    }

    #[test]
    fn without_a_sampler_nobody_asked() {
        assert_eq!(Watched::default().samples(1).collect::<Vec<_>>(), [Err(Gap::NotAsked)]);
    }
}
