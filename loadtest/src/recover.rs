//! `loadtest recover`: kills a server of its own again and again while purchases are sent, and holds what it says afterwards against what it
//! answered before.
//!
//! Whoever was not answered sends the same request again once the server is back, as a partner would. The first answer of each purchase is
//! remembered; any later one must say the same, byte for byte, and that it is not the first. At the end the server is killed once more, and
//! everything is asked again. A kill ends a process, not the power.

use std::hash::{DefaultHasher, Hasher as _};
use std::io::{self, Write};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::Args;
use hdrhistogram::CreationError;
use serde::Serialize;
use tempfile::TempDir;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use crate::Failure;
use crate::answer::{self, Answer};
use crate::client::{Address, Client, ClientError, Key};
use crate::generate::write_json;
use crate::options::{Making, OwnServer, runtime};
use crate::random::Draws;
use crate::run::{Counter, RunError, TIME_SECONDS_MAX, request, written};
use crate::server::{Program, Server, ServerError, told_to_end};
use crate::tally::{Tally, microseconds};
use crate::totals::TotalsError;
use crate::workload::{COUNT_MAX, Order, Workload, Writer};

/// Makes the moments of the kills another sequence than the purchases.
const MOMENTS: u64 = 0x6b69_6c6c_2d39_2121;
/// Purchases a request when everything is asked again.
const ASKED_AGAIN_BATCH: usize = 1_000;
/// Answers that are wrong and are shown, of each connection and of all.
const WRONG_SHOWN_MAX: usize = 5;

#[derive(Args)]
pub(crate) struct Recover {
    #[command(flatten)]
    server: OwnServer,
    #[command(flatten)]
    making: Making,
    /// How often the server is killed while purchases are sent; it is once more at the end
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    kills: u32,
    /// Purchases
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1..=COUNT_MAX))]
    count: u64,
    /// Purchases a request; 1 posts them singly as JSON, more as NDJSON
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    batch: u32,
    /// Connections; customer number c is served by connection c modulo this
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    connections: u32,
    /// Threads of this program
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    threads: u16,
    /// When all of it must be done
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..=i64::from(TIME_SECONDS_MAX)))]
    timeout_seconds: u32,
    /// Writes the result as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecoverError {
    #[error("making a temporary directory: {0}")]
    Directory(io::Error),
    #[error("{0}")]
    Server(#[from] ServerError),
    #[error("{0}")]
    Client(#[from] ClientError),
    #[error("sending: {0}")]
    Send(#[from] RunError),
    #[error("reading totals: {0}")]
    Totals(#[from] TotalsError),
    #[error("the latencies cannot be counted: {0}")]
    Histogram(#[from] CreationError),
    #[error("the next server was not started")]
    NoServer,
    #[error("not done after {seconds} s; --timeout-seconds gives it longer")]
    Late { seconds: u32 },
    #[error("listening for an interrupt: {0}")]
    Signal(io::Error),
    #[error("interrupted")]
    Interrupted,
    #[error("a connection failed by a mistake of this program: {0}")]
    Bug(#[from] tokio::task::JoinError),
}

/// What came of it, whole numbers only. Its members are written as they are named here.
#[derive(Debug, Serialize)]
struct Recovered {
    seed: u64,
    purchases: u64,
    batch: u32,
    connections: u32,
    /// The last one came when everything was answered.
    kills: Vec<Kill>,
    /// Purchases that were booked when the server was killed, and answered only when they were sent again.
    answered_late: u64,
    /// Answers that came when an answered purchase was sent again.
    answered_again: u64,
    /// Purchases that the core decided again at the end.
    decided_again: u64,
    /// What is wrong.
    differences: Vec<String>,
}

/// One kill and what came after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct Kill {
    /// Purchases that had been answered, counted when their request was answered or cut off.
    answered: u64,
    /// From the start of the next server to its word that it is ready.
    ready_after_us: u64,
}

impl Recover {
    /// Does it, and writes the result.
    ///
    /// # Errors
    ///
    /// [`Failure`]. The result is written before [`Failure::Lost`]. The ledger is kept but after an interrupt.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let recipe = self.making.recipe(self.making.seed, self.count, 0)?;
        let runtime = runtime(self.threads).map_err(Failure::Threads)?;
        let dir = TempDir::new().map_err(RecoverError::Directory)?;
        let ledger = dir.path().join("ledger");
        let done = runtime.block_on(async {
            tokio::select! {
                done = self.kill_and_recover(Workload::new(recipe), &ledger) => done,
                () = tokio::time::sleep(Duration::from_secs(self.timeout_seconds.into())) => {
                    Err(RecoverError::Late { seconds: self.timeout_seconds })
                }
                // The server that was started is stopped.
                told = told_to_end() => Err(told.err().map_or(RecoverError::Interrupted, RecoverError::Signal)),
            }
        });
        // What went wrong is to be looked at, whatever comes of writing the result.
        let is_right = match &done {
            Ok(recovered) => recovered.differences.is_empty(),
            Err(error) => matches!(error, RecoverError::Interrupted),
        };
        let kept = (!is_right && ledger.exists()).then(|| dir.keep());
        let recovered = match (done, kept.clone()) {
            (Ok(recovered), _) => recovered,
            (Err(error), Some(kept)) => return Err(Failure::RecoverKept { error, kept }),
            (Err(error), None) => return Err(error.into()),
        };
        recovered.write(&mut io::stdout().lock()).map_err(Failure::Print)?;
        if let Some(path) = &self.json {
            write_json(&recovered, path)?;
        }
        kept.map_or(Ok(()), |kept| Err(Failure::Lost { kept }))
    }

    async fn kill_and_recover(&self, workload: Workload, dir: &Path) -> Result<Recovered, RecoverError> {
        let program = self.server.program()?;
        let server = program.start(dir).await?;
        program.apply(&self.server.rules).await?;
        let before = program.totals().await?;
        let connections = NonZeroU32::new(self.connections).unwrap_or(NonZeroU32::MIN);
        let shares = workload.shares(connections);
        let (serving, seen) = watch::channel(Serving { starts: 1, is_up: true });
        let shared = Arc::new(Shared {
            workload,
            address: program.address().clone(),
            key: program.key()?,
            serving: seen,
            answered: AtomicU64::new(0),
            progress: Notify::new(),
        });

        let batch = self.batch as usize;
        let mut sending = JoinSet::new();
        for share in shares {
            let shared = Arc::clone(&shared);
            sending.spawn(async move {
                let mut told = Told::new(share)?;
                send(&shared, batch, &mut told).await?;
                Ok::<Told, RecoverError>(told)
            });
        }
        let mut killing = std::pin::pin!(self.kill(&program, server, dir, &shared, serving));
        let mut killed = None;
        let mut all = Vec::new();
        while killed.is_none() || !sending.is_empty() {
            tokio::select! {
                done = &mut killing, if killed.is_none() => killed = Some(done?),
                Some(done) = sending.join_next() => all.push(done??),
            }
        }
        let Some((server, mut kills)) = killed else { unreachable!("the loop ends with it") };

        let (server, last) = self.kill_once(&program, server, dir, &shared).await?;
        kills.push(last);
        for told in &mut all {
            send(&shared, ASKED_AGAIN_BATCH, told).await?;
        }
        let after = program.totals().await?;
        let again = program.decide_again(&after).await?;
        // It is gone before its directory is.
        program.kill(server).await?;

        let mut sum = Told::new(Vec::new())?;
        all.into_iter().for_each(|told| sum.add(told));
        let mut differences = after.differences(&before, &sum.tally);
        differences.extend(sum.differences(self.count));
        differences.extend(again.differences);
        Ok(Recovered {
            seed: self.making.seed,
            purchases: sum.tally.answered(),
            batch: self.batch,
            connections: self.connections,
            kills,
            answered_late: sum.late,
            answered_again: sum.again,
            decided_again: again.purchases,
            differences,
        })
    }

    /// Kills the server as often as asked for, each time after a number of answers that follows from the seed, and starts it anew.
    async fn kill(
        &self,
        program: &Program,
        mut server: Server,
        dir: &Path,
        shared: &Shared,
        serving: watch::Sender<Serving>,
    ) -> Result<(Server, Vec<Kill>), RecoverError> {
        let mut kills = Vec::new();
        for kill in 0..u64::from(self.kills) {
            let moment = moment(self.making.seed, self.count, (kill, self.kills.into()));
            while shared.answered.load(Ordering::Relaxed) < moment {
                shared.progress.notified().await;
            }
            // First of all: who is cut off must find that the server was killed.
            serving.send_modify(|serving| serving.is_up = false);
            let (next, told) = self.kill_once(program, server, dir, shared).await?;
            server = next;
            kills.push(told);
            serving.send_modify(|serving| *serving = Serving { starts: serving.starts + 1, is_up: true });
        }
        Ok((server, kills))
    }

    async fn kill_once(
        &self,
        program: &Program,
        server: Server,
        dir: &Path,
        shared: &Shared,
    ) -> Result<(Server, Kill), RecoverError> {
        program.kill(server).await?;
        let answered = shared.answered.load(Ordering::Relaxed);
        let server = program.start(dir).await?;
        let kill = Kill { answered, ready_after_us: microseconds(server.ready_after) };
        Ok((server, kill))
    }
}

/// Returns after how many answers a kill comes: somewhere in its part of the purchases.
fn moment(seed: u64, count: u64, (kill, kills): (u64, u64)) -> u64 {
    let (from, to) = (count * kill / kills, count * (kill + 1) / kills);
    from + Draws::new(seed ^ MOMENTS, kill).below(to - from)
}

/// Whether there is a server, and how many have been started.
#[derive(Clone, Copy, Debug)]
struct Serving {
    starts: u64,
    is_up: bool,
}

/// What all connections share.
struct Shared {
    workload: Workload,
    address: Address,
    key: Key,
    serving: watch::Receiver<Serving>,
    /// Purchases that were answered.
    answered: AtomicU64,
    /// Rung when there are more of them.
    progress: Notify,
}

/// Sends the purchases of a connection in order, each request until all of it is answered.
async fn send(shared: &Shared, batch: usize, told: &mut Told) -> Result<(), RecoverError> {
    let mut client = Client::new(&shared.address);
    let mut serving = shared.serving.clone();
    let mut writer = Writer::new(&shared.workload);
    let mut counter = Counter::new(&shared.workload);
    let share = std::mem::take(&mut told.share);
    for (orders, first) in share.chunks(batch).zip((0..).step_by(batch)) {
        let body = written(&mut writer, orders, batch);
        loop {
            let began = wait_for_server(&mut serving).await?;
            let known = told.tally.answered();
            let mut at = first;
            let see = |order, answer: &Answer<'_>, bytes: &[u8]| {
                told.see((at, order), answer, bytes, &mut counter);
                at += 1;
            };
            let sent = request(&mut client, &shared.key, body.clone(), orders, see).await;
            // Before the killer hears of these answers: a server that ended by itself must not be taken for one that was killed.
            let now = *serving.borrow();
            shared.answered.fetch_add(told.tally.answered() - known, Ordering::Relaxed);
            shared.progress.notify_one();
            match sent {
                Ok(_) => break,
                Err(error) => {
                    let was_killed = !now.is_up || began < now.starts;
                    if !(was_killed && is_cut(&error)) {
                        return Err(error.into());
                    }
                    client.disconnect();
                }
            }
        }
    }
    told.share = share;
    Ok(())
}

/// Waits until there is a server; returns how many have been started by then.
async fn wait_for_server(serving: &mut watch::Receiver<Serving>) -> Result<u64, RecoverError> {
    let up = serving.wait_for(|serving| serving.is_up).await;
    // Whoever starts them has failed, and says why.
    Ok(up.map_err(|_| RecoverError::NoServer)?.starts)
}

/// Returns true for what comes of a server that is gone.
fn is_cut(error: &RunError) -> bool {
    matches!(error, RunError::Client(ClientError::Broken(_) | ClientError::Unreachable { .. }))
}

/// What a purchase was answered first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct First {
    is_booked: bool,
    /// Of its result, or of the code of its refusal.
    hash: u64,
}

impl First {
    fn of(answer: &Answer<'_>, bytes: &[u8]) -> First {
        let (is_booked, told) = match answer {
            Answer::Booked { .. } => (true, answer::result_of(bytes)),
            Answer::Refused { code } => (false, code.as_bytes()),
        };
        let mut hasher = DefaultHasher::new();
        hasher.write(told);
        First { is_booked, hash: hasher.finish() }
    }
}

/// What the purchases of a connection were answered, and what is wrong with that.
struct Told {
    share: Vec<Order>,
    /// The first answer of each of the share.
    firsts: Vec<Option<First>>,
    /// The first answers, as if each had booked its purchase.
    tally: Tally,
    late: u64,
    again: u64,
    wrong: u64,
    wrong_shown: Vec<String>,
}

impl Told {
    fn new(share: Vec<Order>) -> Result<Told, CreationError> {
        let firsts = vec![None; share.len()];
        Ok(Told { share, firsts, tally: Tally::new()?, late: 0, again: 0, wrong: 0, wrong_shown: Vec::new() })
    }

    fn see(&mut self, (at, order): (usize, Order), answer: &Answer<'_>, bytes: &[u8], counter: &mut Counter<'_>) {
        let own = First::of(answer, bytes);
        let is_replayed = matches!(answer, Answer::Booked { replayed: true, .. });
        // Within the share: a request that is answered more than it holds is refused by who reads it.
        let Some(known) = self.firsts.get_mut(at) else { return };
        let Some(before) = *known else {
            *known = Some(own);
            self.late += u64::from(is_replayed);
            match answer {
                Answer::Booked { result, .. } => {
                    let booked = Answer::Booked { replayed: false, result: result.clone() };
                    counter.count(order, &booked, &mut self.tally);
                }
                Answer::Refused { .. } => counter.count(order, answer, &mut self.tally),
            }
            return;
        };
        self.again += 1;
        match (before.is_booked, own.is_booked) {
            (true, true) if !is_replayed => {
                self.is_wrong(order, "was booked, and then booked as if it had never come");
            }
            (true, false) => self.is_wrong(order, "was booked, and then refused"),
            (false, true) => self.is_wrong(order, "was refused, and then booked"),
            _ if before != own => self.is_wrong(order, "was answered one way, and then another"),
            _ => (),
        }
    }

    fn is_wrong(&mut self, order: Order, what: &str) {
        self.wrong += 1;
        if self.wrong_shown.len() < WRONG_SHOWN_MAX {
            self.wrong_shown.push(format!("purchase number {} {what}", order.number));
        }
    }

    fn add(&mut self, other: Told) {
        self.tally.add(other.tally);
        self.late += other.late;
        self.again += other.again;
        self.wrong += other.wrong;
        self.wrong_shown.extend(other.wrong_shown);
        self.wrong_shown.truncate(WRONG_SHOWN_MAX);
    }

    /// Lists what is wrong, where so many purchases were to be booked and asked again.
    fn differences(&self, count: u64) -> Vec<String> {
        let mut found = Vec::new();
        if self.tally.booked != count {
            found.push(format!(
                "{} of {count} purchases were booked: {:?} refused",
                self.tally.booked, self.tally.refused
            ));
        }
        if self.wrong != 0 {
            found.push(format!("{} answers contradict earlier ones: {}", self.wrong, self.wrong_shown.join("; ")));
        }
        found
    }
}

impl Recovered {
    /// Writes the result for a person.
    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "{:>5}{:>14}{:>18}", "kill", "answered", "ready again, ms")?;
        for (number, Kill { answered, ready_after_us }) in (1..).zip(&self.kills) {
            writeln!(out, "{number:>5}{answered:>14}{:>18}", ready_after_us / 1_000)?;
        }
        writeln!(out, "purchases answered  {:>12}", self.purchases)?;
        writeln!(
            out,
            "answered late       {:>12}, which were booked before a kill that came before their answer",
            self.answered_late
        )?;
        writeln!(out, "answered again      {:>12}", self.answered_again)?;
        writeln!(out, "decided again       {:>12} by the core alone, in the order of the ledger", self.decided_again)?;
        if self.differences.is_empty() {
            return writeln!(
                out,
                "none is lost, none is booked twice, each answer stayed as it was, and the server's totals agree"
            );
        }
        for difference in &self.differences {
            writeln!(out, "WRONG: {difference}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "recover_tests.rs"]
mod tests;
