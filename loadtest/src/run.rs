//! The run: every connection sends its share of the purchases in order, until all are answered or the time is up: by HTTP each request
//! after the answer of the one before, by WebSocket with so many purchases under way. Without a rate it is a closed loop. With one, each
//! request has its time, and its latency counts from then: a server that stalls is not asked less.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use http_body_util::BodyExt as _;
use hyper::body::{Bytes, Incoming};
use hyper::{Response, StatusCode};
use jiff::Timestamp;
use tokio::task::JoinSet;

use crate::answer::{self, Answer, BadAnswer, Problem};
use crate::client::{Address, Client, ClientError, Key, Media, refused, retry_after, whole};
use crate::gauges::{Sampler, Sampling, Watched};
use crate::live::Live;
use crate::mix::{Beside, BesideError, Mix};
use crate::schedule::{Pace, Schedule};
use crate::series::{Recorder, Second};
use crate::socket::{Frame, PurchaseSocket, SocketError};
use crate::tally::{Sent, Tally, microseconds};
use crate::workload::{Order, Workload, Writer};

/// How many seconds a run may be given.
pub(crate) const TIME_SECONDS_MAX: u32 = 86_400;
/// How long the requests under way may take once the time is up.
pub(crate) const GRACE: Duration = Duration::from_secs(30);
const PROGRESS_EVERY: Duration = Duration::from_millis(200);
/// Bytes that most purchases take at most: room for them is taken at once.
const PURCHASE_BYTES: usize = 256;
const REPLAYED_HEADER: &str = "idempotency-replayed";

/// How purchases are sent.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) address: Address,
    pub(crate) key: Key,
    pub(crate) connections: NonZeroU32,
    /// Purchases a request.
    pub(crate) batch: NonZeroU32,
    pub(crate) time_max: Duration,
    /// How often requests come; without, each connection sends its next request once the last one is answered.
    pub(crate) pace: Option<Pace>,
    /// Sends by WebSocket, one purchase a frame, with so many under way on each connection.
    pub(crate) window: Option<NonZeroU32>,
    /// What there is beside purchases.
    pub(crate) mix: Mix,
}

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) tally: Tally,
    pub(crate) began_at: Timestamp,
    pub(crate) elapsed: Duration,
    /// How long every connection had something to send, and what was answered until then.
    pub(crate) busy: (Duration, u64),
    /// All of the time, second by second.
    pub(crate) seconds: Vec<Second>,
    /// What the server said of itself meanwhile.
    pub(crate) watched: Watched,
}

/// Why a run has no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Socket(#[from] SocketError),
    #[error(transparent)]
    Answer(#[from] BadAnswer),
    #[error("beside purchases: {0}")]
    Beside(#[from] BesideError),
    #[error("the server answered {answers} of {purchases} purchases of a request")]
    Short { answers: usize, purchases: usize },
    #[error("the server answered more than the {purchases} purchases of a request")]
    Long { purchases: usize },
    #[error("a request was not answered within {} s after the time was up", GRACE.as_secs())]
    Late,
    #[error("the latencies cannot be counted: {0}")]
    Histogram(#[from] hdrhistogram::CreationError),
    #[error("the progress bar cannot be shown: {0}")]
    Progress(#[from] indicatif::style::TemplateError),
    #[error("a connection failed by a mistake of this program: {0}")]
    Bug(#[from] tokio::task::JoinError),
}

/// What all connections share.
struct Shared {
    workload: Workload,
    plan: Plan,
    /// Of all connections.
    count: u64,
    began: Instant,
    ends: Instant,
    answered: AtomicU64,
    recorder: Recorder,
    /// Some connection has failed.
    stopped: AtomicBool,
    /// When the first connection had nothing more to send, and what was answered then.
    first_done: OnceLock<(Duration, u64)>,
}

impl Shared {
    /// Returns when each request of a connection is due, if requests come at a rate.
    fn schedule(&self, connection: u64, share: &[Order]) -> Option<Schedule> {
        Some(Schedule::new(self.plan.pace?, self.workload.seed(), connection, (share.len(), self.count)))
    }

    /// Returns when the next request of so many purchases is due.
    fn due(&self, schedule: Option<&mut Schedule>, purchases: usize) -> Option<Instant> {
        // What would be due after the end of time is due then: the run is over before.
        schedule.map(|schedule| self.began.checked_add(schedule.next(purchases)).unwrap_or(self.ends))
    }

    /// Counts a request of so many purchases that is answered now.
    fn count_request(&self, tally: &mut Tally, began: Instant, purchases: u64) {
        let now = Instant::now();
        let latency = now.saturating_duration_since(began);
        tally.count_request(latency);
        self.recorder.record(now.saturating_duration_since(self.began), microseconds(latency), purchases);
        self.answered.fetch_add(purchases, Ordering::Relaxed);
    }

    fn is_over(&self) -> bool {
        self.stopped.load(Ordering::Relaxed) || self.ends <= Instant::now()
    }
}

/// Sends the purchases of `workload` and waits for all answers. The sampler, if there is one, asks as long as that takes.
pub(crate) async fn run(workload: Workload, plan: &Plan, sampler: Option<Sampler>) -> Result<Outcome, RunError> {
    let shares = workload.shares(plan.connections);
    let count = shares.iter().map(|share| share.len() as u64).sum();
    let (began, began_at) = (Instant::now(), Timestamp::now());
    let shared = Arc::new(Shared {
        workload,
        plan: plan.clone(),
        count,
        began,
        ends: began + plan.time_max,
        answered: AtomicU64::new(0),
        recorder: Recorder::new()?,
        stopped: AtomicBool::new(false),
        first_done: OnceLock::new(),
    });
    let sampling = sampler.map(|sampler| sampler.start(began));
    let mut connections = JoinSet::new();
    for (connection, share) in (0..).zip(shares).filter(|(_, share)| !share.is_empty()) {
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let schedule = shared.schedule(connection, &share);
            let result = match shared.plan.window {
                None => send_share(&shared, schedule, &share).await,
                Some(window) => send_frames(&shared, window, schedule, &share).await,
            };
            if result.is_err() {
                shared.stopped.store(true, Ordering::Relaxed);
            }
            result
        });
    }
    let live = Live::begin(count)?;
    let mut tally = Tally::new()?;
    let mut failed = None;
    loop {
        match tokio::time::timeout(PROGRESS_EVERY, connections.join_next()).await {
            Ok(None) => break,
            Ok(Some(result)) => match result? {
                Ok(own) => tally.add(own),
                Err(error) => failed = failed.or(Some(error)),
            },
            Err(_) => live.show(
                shared.answered.load(Ordering::Relaxed),
                shared.recorder.last(began.elapsed()),
                sampling.as_ref().map(Sampling::last),
            ),
        }
    }
    let elapsed = began.elapsed();
    live.end();
    let watched = match sampling {
        Some(sampling) => sampling.finish().await?,
        None => Watched::default(),
    };
    match failed {
        Some(error) => Err(error),
        None => {
            let busy = shared.first_done.get().copied().unwrap_or((elapsed, tally.answered()));
            let seconds = shared.recorder.finish(elapsed);
            Ok(Outcome { tally, began_at, elapsed, busy, seconds, watched })
        }
    }
}

/// Sends the purchases of one connection by HTTP.
async fn send_share(shared: &Shared, mut schedule: Option<Schedule>, share: &[Order]) -> Result<Tally, RunError> {
    let (mut client, batch) = (Client::new(&shared.plan.address), shared.plan.batch.get() as usize);
    let mut tally = Tally::new()?;
    let mut writer = Writer::new(&shared.workload);
    let mut counter = Counter::new(&shared.workload);
    let mut beside = Beside::new(&shared.workload, shared.plan.mix);
    for orders in share.chunks(batch) {
        if shared.is_over() {
            break;
        }
        let body = written(&mut writer, orders, batch);
        let due = shared.due(schedule.as_mut(), orders.len());
        if let Some(due) = due {
            tokio::time::sleep_until(due.min(shared.ends).into()).await;
            if shared.is_over() {
                break;
            }
        }
        let began = due.unwrap_or_else(Instant::now);
        beside.choose(orders);
        let see = |order, answer: &Answer<'_>, bytes: &[u8]| {
            beside.see(order, answer, bytes);
            counter.count(order, answer, &mut tally);
        };
        let request = request(&mut client, &shared.plan.key, body, orders, see);
        let late = (shared.ends + GRACE).into();
        tally.retries += tokio::time::timeout_at(late, request).await.map_err(|_| RunError::Late)??;
        shared.count_request(&mut tally, began, orders.len() as u64);
        let finish = beside.finish(&mut client, &shared.plan.key, &mut tally);
        tokio::time::timeout_at(late, finish).await.map_err(|_| RunError::Late)??;
    }
    shared.first_done.get_or_init(|| (shared.began.elapsed(), shared.answered.load(Ordering::Relaxed)));
    Ok(tally)
}

/// Sends the purchases of one connection by WebSocket.
async fn send_frames(
    shared: &Shared,
    window: NonZeroU32,
    mut schedule: Option<Schedule>,
    share: &[Order],
) -> Result<Tally, RunError> {
    let mut tally = Tally::new()?;
    let mut writer = Writer::new(&shared.workload);
    let mut counter = Counter::new(&shared.workload);
    let mut orders = share.iter();
    let next = || {
        let due = shared.due(schedule.as_mut(), 1);
        if shared.is_over() || due.is_some_and(|due| shared.ends <= due) {
            return None;
        }
        let order = *orders.next()?;
        let mut text = Vec::with_capacity(PURCHASE_BYTES);
        writer.write(order, &mut text);
        Some(Frame { text: text.into(), due, order })
    };
    let see = |order, began: Instant, answer: &Answer<'_>| {
        counter.count(order, answer, &mut tally);
        shared.count_request(&mut tally, began, 1);
    };
    let exchange = async {
        let socket = PurchaseSocket::connect(&shared.plan.address, &shared.plan.key).await?;
        socket.exchange(window.get() as usize, next, see).await
    };
    tokio::time::timeout_at((shared.ends + GRACE).into(), exchange).await.map_err(|_| RunError::Late)??;
    shared.first_done.get_or_init(|| (shared.began.elapsed(), shared.answered.load(Ordering::Relaxed)));
    Ok(tally)
}

/// Compares answers with what was sent.
pub(crate) struct Counter<'a> {
    workload: &'a Workload,
    origin_id: Vec<u8>,
}

impl Counter<'_> {
    /// Makes one for the purchases of `workload`.
    pub(crate) fn new(workload: &Workload) -> Counter<'_> {
        Counter { workload, origin_id: Vec::new() }
    }

    /// Counts the answer of a purchase.
    pub(crate) fn count(&mut self, order: Order, answer: &Answer<'_>, tally: &mut Tally) {
        self.origin_id.clear();
        self.workload.write_origin_id(order, &mut self.origin_id);
        tally.count(Sent { origin_id: &self.origin_id, amount: self.workload.amount(order) }, answer);
    }
}

/// Writes the purchases of a request, of which there are so many in each.
pub(crate) fn written(writer: &mut Writer<'_>, orders: &[Order], batch: usize) -> (Media, Bytes) {
    let mut body = Vec::with_capacity(PURCHASE_BYTES * orders.len());
    for order in orders {
        writer.write(*order, &mut body);
        body.push(b'\n');
    }
    (if batch == 1 { Media::Json } else { Media::NdJson }, body.into())
}

/// Sends a request, again while the server is overloaded, and shows each answer with the bytes that it was read from: the line of a stream,
/// or the whole body. Returns how often it was sent again.
pub(crate) async fn request(
    client: &mut Client,
    key: &Key,
    (media, body): (Media, Bytes),
    orders: &[Order],
    mut see: impl FnMut(Order, &Answer<'_>, &[u8]),
) -> Result<u64, RunError> {
    let mut retries = 0;
    let response = loop {
        let response = client.purchases(key, media, body.clone()).await?;
        let Some(pause) = retry_after(&response) else { break response };
        retries += 1;
        match media {
            Media::Json => drop(whole(response).await?),
            // The server may have refused without reading the stream, so the connection cannot be used again.
            Media::NdJson => client.disconnect(),
        }
        tokio::time::sleep(pause).await;
    };
    match (media, orders) {
        (Media::Json, [order]) => {
            let status = response.status();
            let replayed = response.headers().get(REPLAYED_HEADER).is_some_and(|value| value == "true");
            match status {
                StatusCode::CREATED => {
                    let body = whole(response).await?;
                    see(*order, &answer::of_result(&body, replayed)?, &body);
                }
                // A purchase that cannot be booked; anything else is wrong with the run.
                StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY => {
                    let body = whole(response).await?;
                    let problem: Problem<'_> = serde_json::from_slice(&body).map_err(BadAnswer::Json)?;
                    see(*order, &Answer::Refused { code: problem.code }, &body);
                }
                _ => return Err(refused(response).await.into()),
            }
        }
        _ if response.status() == StatusCode::OK => read_lines(response, orders, see).await?,
        _ => return Err(refused(response).await.into()),
    }
    Ok(retries)
}

/// Reads the answers of a stream, one a line, in the order of its purchases.
async fn read_lines(
    response: Response<Incoming>,
    orders: &[Order],
    mut see: impl FnMut(Order, &Answer<'_>, &[u8]),
) -> Result<(), RunError> {
    let purchases = orders.len();
    let mut body = response.into_body();
    let mut left = orders.iter();
    let mut take = |line: &[u8]| -> Result<(), RunError> {
        let order = left.next().ok_or(RunError::Long { purchases })?;
        see(*order, &answer::of_line(line)?, line);
        Ok(())
    };
    // The beginning of a line whose end has not come.
    let mut rest: Vec<u8> = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(ClientError::Broken)?;
        let Some(mut bytes) = frame.data_ref().map(|data| &**data) else { continue };
        while let Some(length) = memchr::memchr(b'\n', bytes) {
            let (line, after) = bytes.split_at(length);
            if rest.is_empty() {
                take(line)?;
            } else {
                rest.extend_from_slice(line);
                take(&rest)?;
                rest.clear();
            }
            bytes = &after[1..];
        }
        rest.extend_from_slice(bytes);
    }
    if !rest.is_empty() {
        take(&rest)?;
    }
    match left.len() {
        0 => Ok(()),
        left => Err(RunError::Short { answers: purchases - left, purchases }),
    }
}

#[cfg(test)]
#[path = "run_tests.rs"]
pub(crate) mod tests;
